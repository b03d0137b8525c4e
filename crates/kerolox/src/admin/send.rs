//! Commands that send.

use kerolox_client::{MessageQueue, Outgoing, Sent};
use kerolox_wire::names::TopicName;
use kerolox_wire::properties::{KEYS, Properties, TAGS};
use serde_json::{Value, json};

use super::bar::Bar;
use super::command::{Command, Target, may, must};
use super::failure::Failure;
use super::options::Given;
use super::output::{Column, cell, left};
use super::session::Session;
use super::{name, text};

/// Group under which the tool sends.
pub(super) const SENDER_GROUP: &str = kerolox_wire::names::groups::TOOLS_PRODUCER;
/// Bytes of a probe unless told otherwise.
pub(super) const PROBE_SIZE: usize = 128;
/// Largest probe: what brokers take by default.
const PROBE_SIZE_MAX: usize = 4 * 1024 * 1024;

pub(super) const SEND_MESSAGE: Command = Command {
    name: "sendMessage",
    about: "Send a message",
    options: &[
        must('t', "topic", "topic name"),
        must('p', "body", "text of the message"),
        may('k', "key", "keys, blank-separated"),
        may('c', "tags", "tag"),
        may('b', "broker", "name of the broker to send to"),
        may('i', "qid", "queue to send to, with -b"),
    ],
    target: Target::Free,
    shows: true,
    example: "-t orders -p 'hello world' -k order-4711 -c TagA",
    run: |s, g| Box::pin(send_message(s, g)),
};

pub(super) const SEND_MSG_STATUS: Command = Command {
    name: "sendMsgStatus",
    about: "Send messages to a broker's own topic and show how each went",
    options: &[
        must('b', "brokerName", "broker name"),
        may('s', "messageSize", "bytes of a message, 128 if not given"),
        may('c', "count", "how many, 50 if not given"),
    ],
    target: Target::Free,
    shows: true,
    example: "-b broker-a -s 1024 -c 10",
    run: |s, g| Box::pin(send_msg_status(s, g)),
};

pub(super) const CHECK_MSG_SEND_RT: Command = Command {
    name: "checkMsgSendRT",
    about: "Send messages to all queues of a topic in turn and show how long each took",
    options: &[
        must('t', "topic", "topic name"),
        may('a', "amount", "how many, 100 if not given"),
        must('s', "size", "bytes of a message"),
    ],
    target: Target::Free,
    shows: true,
    example: "-t probe -a 10 -s 128",
    run: |s, g| Box::pin(check_msg_send_rt(s, g)),
};

const SENT_COLUMNS: &[Column] = &[
    left("#Broker Name", "brokerName", 32),
    left("#QID", "queueId", 4),
    left("#Send Result", "sendStatus", 20),
    left("#MsgId", "msgId", 0).gap(4),
];

async fn send_message(s: &Session, given: &Given) -> Result<(), Failure> {
    let topic: TopicName = name(given, 't', TopicName::parse)?;
    if given.flag('i') && !given.flag('b') {
        return Err(Failure::Usage("Broker name must be set if the queue is chosen!".to_owned()));
    }
    let mut properties = Properties::new();
    for (letter, property) in [('k', KEYS), ('c', TAGS)] {
        if let Some(value) = given.get(letter) {
            properties.set(property, value);
        }
    }
    if !kerolox_wire::properties::is_legal(&format!("{}{}", given.get('k').unwrap_or(""), given.get('c').unwrap_or("")))
    {
        return Err(Failure::Usage("keys and tags may not hold control characters".to_owned()));
    }
    let body = given.required('p')?.as_bytes();
    let message = Outgoing { group: SENDER_GROUP, topic: &topic, flag: 0, properties, body };
    let sent = match given.get('b') {
        Some(broker_name) => {
            let (queue, address) = queue_at(s, &topic, broker_name, given.maybe('i')?).await?;
            s.client.send_to(&message, &queue, &address).await?
        }
        None => s.client.send(&message).await?,
    };
    let mut table = s.out.table(SENT_COLUMNS);
    table.row([cell(&sent.queue.broker_name), cell(sent.queue.queue_id), cell(sent.status.name()), cell(&sent.id)]);
    s.out.json(sent_object(&sent));
    Ok(())
}

/// A queue of the topic at that broker: the one asked for, else its first.
async fn queue_at(
    s: &Session,
    topic: &TopicName,
    broker_name: &str,
    queue_id: Option<i32>,
) -> Result<(MessageQueue, String), Failure> {
    let queues = s.client.send_queues(topic).await?;
    let Some((first, address)) = queues.iter().find(|(queue, _)| queue.broker_name == broker_name) else {
        let mut known: Vec<&str> = queues.iter().map(|(queue, _)| queue.broker_name.as_str()).collect();
        known.dedup();
        let known = known.join(", ");
        return Err(Failure::failed(format!(
            "the broker [{broker_name}] takes no messages of the topic [{topic}]; these do: {known}"
        )));
    };
    // A broker that knows better how many queues it has says so itself.
    let queue_id = queue_id.unwrap_or(first.queue_id);
    Ok((MessageQueue { queue_id, ..first.clone() }, address.clone()))
}

async fn send_msg_status(s: &Session, given: &Given) -> Result<(), Failure> {
    let topic: TopicName = name(given, 'b', TopicName::parse)?;
    let body = probe(given.maybe('s')?.unwrap_or(PROBE_SIZE))?;
    let count: u32 = given.maybe('c')?.unwrap_or(50);
    let message = outgoing(&topic, &body);
    // The first one connects and is not shown.
    s.client.send(&message).await?;
    let mut all = Vec::new();
    let bar = Bar::printing("messages", count as usize);
    for _ in 0..count {
        bar.done(1);
        let begin = s.clock.elapsed();
        let sent = s.client.send(&message).await?;
        let rt = s.clock.elapsed().saturating_sub(begin).as_millis();
        s.out.line(format_args!("rt:{rt}ms, SendResult={}", text::sent(&sent)));
        if s.out.is_json() {
            let mut object = sent_object(&sent);
            object["rt"] = json!(rt);
            all.push(object);
        }
        if s.out.is_closed() {
            break;
        }
    }
    s.out.json(all);
    Ok(())
}

/// Where a message was stored, for programs.
pub(super) fn sent_object(sent: &Sent) -> Value {
    json!({
        "sendStatus": sent.status.name(),
        "msgId": sent.id,
        "offsetMsgId": sent.offset_id,
        "brokerName": sent.queue.broker_name,
        "queueId": sent.queue.queue_id,
        "queueOffset": sent.queue_offset,
    })
}

const RT_COLUMNS: &[Column] = &[
    left("#Broker Name", "brokerName", 32),
    left("#QID", "queueId", 4),
    left("#Send Result", "sent", 20),
    left("#RT", "rt", 0).gap(4),
];

async fn check_msg_send_rt(s: &Session, given: &Given) -> Result<(), Failure> {
    let topic: TopicName = name(given, 't', TopicName::parse)?;
    let amount: usize = given.maybe('a')?.unwrap_or(100);
    let body = probe(given.parsed('s')?)?;
    let message = outgoing(&topic, &body);
    let queues = s.client.send_queues(&topic).await?;
    let mut table = s.out.table(RT_COLUMNS);
    let mut times = Vec::new();
    let mut failed = None;
    let bar = Bar::printing("messages", amount);
    for (queue, address) in queues.iter().cycle().take(amount) {
        bar.done(1);
        let begin = s.clock.elapsed();
        let sent = s.client.send_to(&message, queue, address).await;
        let rt = s.clock.elapsed().saturating_sub(begin).as_millis();
        times.push(rt);
        table.row([cell(&queue.broker_name), cell(queue.queue_id), cell(sent.is_ok()), cell(rt)]);
        failed = sent.err().or(failed);
        if s.out.is_closed() {
            break;
        }
    }
    let mean = mean_after_first(&times);
    s.out.line(format_args!("Avg RT: {mean:.2}"));
    s.out.json(json!({"sends": table.into_rows(), "averageRt": mean}));
    failed.map_or(Ok(()), |why| Err(why.into()))
}

/// A message of the tool's own.
pub(super) fn outgoing<'a>(topic: &'a TopicName, body: &'a [u8]) -> Outgoing<'a> {
    Outgoing { group: SENDER_GROUP, topic, flag: 0, properties: Properties::new(), body }
}

/// A body of that many bytes.
pub(super) fn probe(size: usize) -> Result<Vec<u8>, Failure> {
    if (1..=PROBE_SIZE_MAX).contains(&size) {
        return Ok(vec![b'a'; size]);
    }
    Err(Failure::Usage(format!("a message has 1 to {PROBE_SIZE_MAX} bytes, not {size}")))
}

/// The first message pays for the connection, so it does not count if there are others.
pub(super) fn mean_after_first(times: &[u128]) -> f64 {
    let counted = if times.len() > 1 { &times[1..] } else { times };
    if counted.is_empty() {
        return 0.0;
    }
    #[allow(clippy::cast_precision_loss, reason = "milliseconds of a few messages")]
    let mean = counted.iter().sum::<u128>() as f64 / counted.len() as f64;
    mean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_time_counts_only_alone() {
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(near(mean_after_first(&[]), 0.0));
        assert!(near(mean_after_first(&[7]), 7.0));
        assert!(near(mean_after_first(&[100, 1, 2]), 1.5));
    }

    #[test]
    fn a_probe_has_a_size() {
        assert_eq!(probe(3).unwrap(), b"aaa");
        assert!(probe(0).is_err());
        assert!(probe(PROBE_SIZE_MAX + 1).is_err());
    }
}
