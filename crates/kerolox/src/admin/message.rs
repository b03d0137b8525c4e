//! Commands that show single messages.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::PathBuf;

use base64ct::{Base64, Encoding};
use kerolox_client::{Message, MessageQueue, Outgoing, Pull, PullStatus, TOOLS_GROUP};
use kerolox_wire::names::{GroupName, TopicName};

use serde_json::{Value, json};

use super::command::{Command, Target, may, must};
use super::failure::Failure;
use super::options::Given;
use super::output::{Column, cell, left, right};
use super::send::sent_object;
use super::session::Session;
use super::{name, text, time};

/// Messages that a look-up by key brings at most.
const KEY_MATCHES_MAX: i32 = 64;
/// Group under which messages are sent again.
const RESEND_GROUP: &str = "ReSendMsgById";

pub(super) const QUERY_MSG_BY_ID: Command = Command {
    name: "queryMsgById",
    about: "Show a message by its offset id, hand it to a consumer, or send it again",
    options: &[
        must('i', "msgId", "offset message id; several with commas"),
        may('g', "consumerGroup", "with -d: hand the message to this group"),
        may('d', "clientId", "with -g: hand the message to this consumer"),
        may('s', "sendMessage", "true: send the message again"),
        may('u', "unitName", "accepted for compatibility, without effect"),
        may('t', "topic", "with a topic, ids made by senders are understood too"),
    ],
    target: Target::Free,
    shows: true,
    example: "-i 7F00000100002A9F0000000000000000",
    run: |s, g| Box::pin(query_by_id(s, g)),
};

pub(super) const QUERY_MSG_BY_KEY: Command = Command {
    name: "queryMsgByKey",
    about: "List messages with a key",
    options: &[must('t', "topic", "topic name"), must('k', "msgKey", "key")],
    target: Target::Free,
    shows: true,
    example: "-t orders -k order-4711",
    run: |s, g| Box::pin(query_by_key(s, g)),
};

pub(super) const QUERY_MSG_BY_UNIQUE_KEY: Command = Command {
    name: "queryMsgByUniqueKey",
    about: "Show a message by the id that its sender made up",
    options: &[
        must('i', "msgId", "unique message id"),
        may('g', "consumerGroup", "with -d: hand the message to this group"),
        may('d', "clientId", "with -g: hand the message to this consumer"),
        must('t', "topic", "topic name"),
    ],
    target: Target::Free,
    shows: true,
    example: "-t orders -i 7F0000010C1C18B4AAC22C8A8B1D0000",
    run: |s, g| Box::pin(query_by_unique_key(s, g)),
};

pub(super) const QUERY_MSG_BY_OFFSET: Command = Command {
    name: "queryMsgByOffset",
    about: "Show the message at a place of a queue",
    options: &[
        must('t', "topic", "topic name"),
        must('b', "brokerName", "broker name"),
        must('i', "queueId", "queue"),
        must('o', "offset", "offset in the queue"),
    ],
    target: Target::Free,
    shows: true,
    example: "-t orders -b broker-a -i 0 -o 42",
    run: |s, g| Box::pin(query_by_offset(s, g)),
};

async fn query_by_id(s: &Session, given: &Given) -> Result<(), Failure> {
    let ids = given.required('i')?.split(',').map(str::trim).filter(|id| !id.is_empty());
    let mut all = Vec::new();
    for id in ids {
        let message = match given.get('t') {
            Some(topic) => {
                let topic = TopicName::parse(topic).map_err(|why| Failure::Usage(why.to_string()))?;
                s.client.find_message(&topic, id).await?
            }
            None => s.client.view_message(id).await?,
        };
        if let (Some(group), Some(client)) = (given.get('g'), given.get('d')) {
            all.push(hand_over(s, &message, group, client).await?);
        } else if given.flag('s') {
            if given.truth('s') == Some(true) {
                s.out.line(format_args!("prepare resend msg. originalMsgId={id}"));
                all.push(send_again(s, &message).await?);
            }
        } else {
            all.push(show(s, &message, true).await?);
        }
    }
    s.out.json(all);
    Ok(())
}

/// Prints for people, and returns for programs, what became of it; so do the others below.
async fn hand_over(s: &Session, message: &Message, group: &str, client_id: &str) -> Result<Value, Failure> {
    let group = GroupName::parse(group).map_err(|why| Failure::Usage(why.to_string()))?;
    let broker = message.store_host.to_string();
    let result = s.client.consume_directly(&broker, &group, client_id, &message.offset_id()).await?;
    s.out.line(text::consumed_directly(&result));
    Ok(json!(result))
}

async fn send_again(s: &Session, message: &Message) -> Result<Value, Failure> {
    let topic = TopicName::parse(&message.topic).map_err(|why| Failure::failed(why.to_string()))?;
    let again = Outgoing {
        group: RESEND_GROUP,
        topic: &topic,
        flag: message.flag,
        properties: message.properties.clone(),
        body: &message.body,
    };
    let sent = s.client.send(&again).await?;
    s.out.line(text::sent(&sent));
    Ok(sent_object(&sent))
}

const KEY_COLUMNS: &[Column] =
    &[left("#Message ID", "msgId", 50), right("#QID", "queueId", 4), right("#Offset", "queueOffset", 40)];

async fn query_by_key(s: &Session, given: &Given) -> Result<(), Failure> {
    let topic: TopicName = name(given, 't', TopicName::parse)?;
    let found = s.client.messages_by_key(&topic, given.required('k')?, KEY_MATCHES_MAX, (0, i64::MAX)).await?;
    let mut table = s.out.table(KEY_COLUMNS);
    for message in found {
        table.row([cell(message.id()), cell(message.queue_id.to_wire()), cell(message.queue_offset.to_wire())]);
    }
    table.end();
    Ok(())
}

async fn query_by_unique_key(s: &Session, given: &Given) -> Result<(), Failure> {
    let topic: TopicName = name(given, 't', TopicName::parse)?;
    let message = s.client.find_message(&topic, given.required('i')?).await?;
    let told = match (given.get('g'), given.get('d')) {
        (Some(group), Some(client)) => hand_over(s, &message, group, client).await?,
        _ => show(s, &message, false).await?,
    };
    s.out.json(told);
    Ok(())
}

async fn query_by_offset(s: &Session, given: &Given) -> Result<(), Failure> {
    let topic = given.required('t')?;
    let queue = MessageQueue {
        topic: topic.to_owned(),
        broker_name: given.required('b')?.to_owned(),
        queue_id: given.parsed('i')?,
    };
    let group = tools_group();
    let broker = s.client.broker_of_topic(topic, &queue.broker_name).await?;
    let pull = Pull { group: &group, queue: &queue, offset: given.parsed('o')?, max: 1, expression: "*" };
    let pulled = s.client.pull(&broker, &pull).await?;
    match (pulled.status, pulled.messages.first()) {
        (PullStatus::Found, Some(message)) => {
            let told = show(s, message, true).await?;
            s.out.json(told);
            Ok(())
        }
        (status, _) => Err(Failure::failed(format!(
            "no message at offset {}: status={}, minOffset={}, maxOffset={}",
            pull.offset,
            status.name(),
            pulled.min,
            pulled.max
        ))),
    }
}

/// The group under which the tool pulls.
pub(super) fn tools_group() -> GroupName {
    GroupName::parse(TOOLS_GROUP).expect("the constant is a legal name")
}

/// Prints all about a message, and what became of it in each group.
async fn show(s: &Session, message: &Message, with_offset_id: bool) -> Result<Value, Failure> {
    if s.out.is_json() {
        let tracks = s.client.track(message).await?;
        let mut told = object(message);
        told["tracks"] = tracks
            .iter()
            .map(|track| json!({"consumerGroup": track.group, "trackType": track.kind.name(), "exception": track.why}))
            .collect();
        return Ok(told);
    }
    let path = match write_body(message) {
        Ok(path) => path.display().to_string(),
        Err(why) => format!("(not written: {why})"),
    };
    let field = |label: &str, value: &dyn std::fmt::Display| s.out.line(format_args!("{label:<20} {value}"));
    if with_offset_id {
        field("OffsetID:", &message.offset_id());
    }
    field("Topic:", &message.topic);
    field("Tags:", &format_args!("[{}]", text::or_null(message.tags())));
    field("Keys:", &format_args!("[{}]", text::or_null(message.keys())));
    field("Queue ID:", &message.queue_id);
    field("Queue Offset:", &message.queue_offset);
    field("CommitLog Offset:", &message.log_offset);
    field("Reconsume Times:", &message.reconsume_times);
    field("Born Timestamp:", &time::to_millis(message.born_timestamp));
    field("Store Timestamp:", &time::to_millis(message.store_timestamp));
    field("Born Host:", &message.born_host);
    field("Store Host:", &message.store_host);
    field("System Flag:", &message.sys_flag);
    field("Properties:", &text::properties(&message.properties));
    field("Message Body Path:", &path);
    s.out.lines("\n\n");
    let tracks = s.client.track(message).await?;
    if tracks.is_empty() {
        s.out.line("WARN: No Consumer");
    }
    for track in tracks {
        s.out.line(text::track(&track));
    }
    Ok(Value::Null)
}

/// A message for programs. A body that is no text is told in base64.
pub(super) fn object(message: &Message) -> Value {
    let properties: BTreeMap<&str, &str> = message.properties.iter().collect();
    let mut told = json!({
        "msgId": message.id(),
        "offsetMsgId": message.offset_id(),
        "topic": message.topic,
        "tags": message.tags(),
        "keys": message.keys(),
        "brokerName": message.broker_name,
        "queueId": message.queue_id.to_wire(),
        "queueOffset": message.queue_offset.to_wire(),
        "commitLogOffset": message.log_offset.to_wire(),
        "storeSize": message.store_size,
        "reconsumeTimes": message.reconsume_times,
        "bornTimestamp": message.born_timestamp,
        "bornHost": message.born_host.to_string(),
        "storeTimestamp": message.store_timestamp,
        "storeHost": message.store_host.to_string(),
        "sysFlag": message.sys_flag,
        "flag": message.flag,
        "properties": properties,
    });
    match std::str::from_utf8(&message.body) {
        Ok(text) => told["body"] = text.into(),
        Err(_) => told["bodyBase64"] = Base64::encode_string(&message.body).into(),
    }
    told
}

/// Keeps the body in a file named by the message's id. The sender chose that id, so only one that is plainly an id
/// becomes a file name; the other id is the broker's own.
fn write_body(message: &Message) -> std::io::Result<PathBuf> {
    let folder = std::env::temp_dir().join("rocketmq").join("msgbodys");
    fs::create_dir_all(&folder)?;
    let file_name = match message.unique_key() {
        Some(id) if is_plain(id) => id.to_owned(),
        _ => message.offset_id(),
    };
    let path = folder.join(file_name);
    // Remove and create anew: a link that someone left there is not followed.
    match fs::remove_file(&path) {
        Err(why) if why.kind() != std::io::ErrorKind::NotFound => return Err(why),
        _ => {}
    }
    let mut file = fs::OpenOptions::new().write(true).create_new(true).open(&path)?;
    file.write_all(&message.body)?;
    Ok(path)
}

fn is_plain(id: &str) -> bool {
    (1..=128).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_id_becomes_a_file_name() {
        assert!(is_plain("7F0000010C1C18B4AAC22C8A8B1D0000"));
        for id in ["", "../../etc/passwd", "a/b", "a.b", &"A".repeat(129)] {
            assert!(!is_plain(id), "{id}");
        }
    }
}
