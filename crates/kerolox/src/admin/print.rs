//! Commands that print the messages of queues.

use std::collections::BTreeMap;

use kerolox_client::route::readable_queues;
use kerolox_client::{Message, MessageQueue, Pull, PullStatus};
use kerolox_wire::names::{GroupName, TopicName};

use serde_json::{Value, json};

use super::bar::Bar;
use super::command::{Command, Target, may, must};
use super::failure::Failure;
use super::message::{object, tools_group};
use super::options::Given;
use super::session::Session;
use super::{name, text, time};

/// Messages asked for at once.
const PULL_MAX: i32 = 32;
/// Messages that `consumeMessage` prints unless told otherwise.
const CONSUME_MAX: i64 = 128;

pub(super) const PRINT_MSG: Command = Command {
    name: "printMsg",
    about: "Print the messages of a topic",
    options: &[
        must('t', "topic", "topic name"),
        may('c', "charsetName", "how bodies are encoded: UTF-8 (if not given), US-ASCII or ISO-8859-1"),
        may('s', "subExpression", "only these tags, as 'TagA || TagB'"),
        may('b', "beginTimestamp", "stored from then on; milliseconds or yyyy-MM-dd#HH:mm:ss:SSS"),
        may('e', "endTimestamp", "stored until then"),
        may('d', "printBody", "false: leave bodies out"),
    ],
    target: Target::Free,
    shows: true,
    example: "-t orders -s 'TagA || TagB' -d true",
    run: |s, g| Box::pin(print_msg(s, g)),
};

pub(super) const PRINT_MSG_BY_QUEUE: Command = Command {
    name: "printMsgByQueue",
    about: "Print or count the messages of one queue",
    options: &[
        must('t', "topic", "topic name"),
        must('a', "brokerName", "broker name"),
        must('i', "queueId", "queue"),
        may('c', "charsetName", "how bodies are encoded: UTF-8 (if not given), US-ASCII or ISO-8859-1"),
        may('s', "subExpression", "only these tags, as 'TagA || TagB'"),
        may('b', "beginTimestamp", "stored from then on; milliseconds or yyyy-MM-dd#HH:mm:ss:SSS"),
        may('e', "endTimestamp", "stored until then"),
        may('p', "print msg", "true: print each message"),
        may('d', "printBody", "true: with its body"),
        may('f', "calculate", "true: count messages by tag"),
    ],
    target: Target::Free,
    shows: true,
    example: "-t orders -a broker-a -i 0 -p true -d true",
    run: |s, g| Box::pin(print_msg_by_queue(s, g)),
};

pub(super) const CONSUME_MESSAGE: Command = Command {
    name: "consumeMessage",
    about: "Print messages with their bodies, oldest first",
    options: &[
        must('t', "topic", "topic name"),
        may('b', "brokerName", "broker name"),
        may('i', "queueId", "queue, with -b"),
        may('o', "offset", "offset in the queue, with -i"),
        may('g', "consumerGroup", "group to pull as"),
        may('s', "beginTimestamp", "stored from then on; milliseconds or yyyy-MM-dd#HH:mm:ss:SSS"),
        may('e', "endTimestamp", "stored until then"),
        may('c', "MessageNumber", "how many, 128 if not given"),
    ],
    target: Target::Free,
    shows: true,
    example: "-t orders -b broker-a -i 0 -o 0 -c 10",
    run: |s, g| Box::pin(consume_message(s, g)),
};

/// A queue, its broker's address, and the part of it to be printed.
struct Part {
    queue: MessageQueue,
    broker: String,
    min: i64,
    max: i64,
}

async fn print_msg(s: &Session, given: &Given) -> Result<(), Failure> {
    let charset = Charset::of(given)?;
    let with_body = given.truth('d').unwrap_or(true);
    let expression = given.get('s').unwrap_or("*");
    let times = (given.get('b').map(time::parse).transpose()?, given.get('e').map(time::parse).transpose()?);
    let topic = given.required('t')?;
    let route = s.client.route(topic).await?;
    let group = tools_group();
    let bar = Bar::printing("messages", 0);
    for queue in readable_queues(topic, &route) {
        let part = part_of(s, queue, times).await?;
        bar.more(part.max - part.min);
        let shown = text::queue(&part.queue);
        s.out.line(format_args!("minOffset={}, maxOffset={}, {shown}", part.min, part.max));
        let mut offset = part.min;
        while offset < part.max && !s.out.is_closed() {
            let pull = Pull { group: &group, queue: &part.queue, offset, max: PULL_MAX, expression };
            let pulled = s.client.pull(&part.broker, &pull).await?;
            let next = pulled.next.max(offset + 1);
            bar.done(next - offset);
            offset = next;
            let status = pulled.status.name();
            match pulled.status {
                PullStatus::Found => print_all(s, &pulled.messages, charset, with_body),
                PullStatus::NoMatchedMsg => {
                    s.out.line(format_args!("{shown} no matched msg. status={status}, offset={offset}"));
                }
                PullStatus::NoNewMsg | PullStatus::OffsetIllegal => {
                    s.out.line(format_args!("{shown} print msg finished. status={status}, offset={offset}"));
                    break;
                }
            }
        }
    }
    Ok(())
}

async fn print_msg_by_queue(s: &Session, given: &Given) -> Result<(), Failure> {
    let charset = Charset::of(given)?;
    let asked = |letter| given.truth(letter) == Some(true);
    let (print, with_body, count) = (asked('p'), asked('d'), asked('f'));
    let times = (given.get('b').map(time::parse).transpose()?, given.get('e').map(time::parse).transpose()?);
    let queue = MessageQueue {
        topic: given.required('t')?.to_owned(),
        broker_name: given.required('a')?.to_owned(),
        queue_id: given.parsed('i')?,
    };
    let part = part_of(s, queue, times).await?;
    let group = tools_group();
    let mut counts: BTreeMap<String, u64> = BTreeMap::new();
    let bar = Bar::printing("messages", 0);
    bar.more(part.max - part.min);
    let mut offset = part.min;
    while offset < part.max && !s.out.is_closed() {
        let expression = given.get('s').unwrap_or("*");
        let pull = Pull { group: &group, queue: &part.queue, offset, max: PULL_MAX, expression };
        let pulled = s.client.pull(&part.broker, &pull).await?;
        let next = pulled.next.max(offset + 1);
        bar.done(next - offset);
        offset = next;
        match pulled.status {
            PullStatus::Found => {
                for tag in pulled.messages.iter().filter_map(Message::tags) {
                    *counts.entry(tag.to_owned()).or_default() += 1;
                }
                if print {
                    print_all(s, &pulled.messages, charset, with_body);
                }
            }
            PullStatus::NoMatchedMsg => {}
            PullStatus::NoNewMsg | PullStatus::OffsetIllegal => break,
        }
    }
    if count {
        let mut counts: Vec<(String, u64)> = counts.into_iter().collect();
        counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        for (tag, count) in counts {
            s.out.line(format_args!("Tag: {tag:<30} Count: {count}"));
            s.out.json_line(json!({"tag": tag, "count": count}));
        }
    }
    Ok(())
}

async fn consume_message(s: &Session, given: &Given) -> Result<(), Failure> {
    let mut wanted: i64 = given.maybe('c')?.unwrap_or(CONSUME_MAX);
    if wanted <= 0 {
        return Err(Failure::Usage("Please input a positive messageNumber!".to_owned()));
    }
    let times = consume_times(s, given)?;
    let group = if given.flag('g') { name(given, 'g', GroupName::parse)? } else { tools_group() };
    let topic = given.required('t')?;
    if given.flag('i') && !given.flag('b') {
        return Err(Failure::Usage("Please set the brokerName before queueId!".to_owned()));
    }
    let Some(queue_id) = given.maybe('i')? else {
        if given.flag('o') {
            return Err(Failure::Usage("Please set queueId before offset!".to_owned()));
        }
        let route = s.client.route(topic).await?;
        for queue in readable_queues(topic, &route) {
            if wanted <= 0 {
                break;
            }
            if given.get('b').is_some_and(|name| name != queue.broker_name) {
                continue;
            }
            let mut part = part_of(s, queue, times).await?;
            if part.max - part.min > wanted {
                let queue_id = part.queue.queue_id;
                s.out.line(format_args!("The older {wanted} message of the {queue_id} queue will be provided"));
                part.max = part.min + wanted - 1;
                wanted = 0;
            } else {
                wanted -= part.max - part.min;
            }
            consume_part(s, &part, &group).await?;
        }
        return Ok(());
    };
    let broker_name = given.required('b')?.to_owned();
    let queue = MessageQueue { topic: topic.to_owned(), broker_name, queue_id };
    let offset: i64 = given.maybe('o')?.unwrap_or(0);
    let mut part = part_of(s, queue, times).await?;
    if offset > part.max {
        s.out.line(format_args!("{} no matched msg, offset={offset}", text::queue(&part.queue)));
        return Ok(());
    }
    part.min = part.min.max(offset);
    if part.max - part.min > wanted {
        s.out.line(format_args!("The oldler {wanted} message will be provided"));
        part.max = part.min + wanted - 1;
    }
    consume_part(s, &part, &group).await
}

fn consume_times(s: &Session, given: &Given) -> Result<(Option<i64>, Option<i64>), Failure> {
    let begin = given.get('s').map(time::parse).transpose()?;
    let end = given.get('e').map(time::parse).transpose()?;
    let now = s.now_ms();
    let wrong = |what: &str| Err(Failure::Usage(what.to_owned()));
    if begin.is_some_and(|begin| begin > now) {
        return wrong("Please set the beginTimestamp before now!");
    }
    if end.is_some_and(|end| end > now) {
        return wrong("Please set the endTimestamp before now!");
    }
    if let (Some(begin), Some(end)) = (begin, end)
        && begin > end
    {
        return wrong("Please make sure that the beginTimestamp is less than or equal to the endTimestamp");
    }
    Ok((begin, end))
}

/// Prints a part of a queue, its last offset included.
async fn consume_part(s: &Session, part: &Part, group: &GroupName) -> Result<(), Failure> {
    let shown = text::queue(&part.queue);
    let bar = Bar::printing("messages", 0);
    bar.more(part.max - part.min + 1);
    let mut offset = part.min;
    while offset <= part.max && !s.out.is_closed() {
        let max = i32::try_from(part.max - offset + 1).unwrap_or(PULL_MAX).min(PULL_MAX);
        let pull = Pull { group, queue: &part.queue, offset, max, expression: "*" };
        let pulled = s.client.pull(&part.broker, &pull).await?;
        let status = pulled.status.name();
        let next = pulled.next;
        match pulled.status {
            PullStatus::Found => {
                s.out.line("Consume ok");
                print_all(s, &pulled.messages, Charset::Utf8, true);
            }
            PullStatus::NoMatchedMsg => {
                s.out.line(format_args!("{shown} no matched msg. status={status}, offset={next}"));
            }
            PullStatus::NoNewMsg | PullStatus::OffsetIllegal => {
                s.out.line(format_args!("{shown} print msg finished. status={status}, offset={next}"));
                break;
            }
        }
        let next = next.max(offset + 1);
        bar.done(next - offset);
        offset = next;
    }
    Ok(())
}

/// The part of a queue that was stored between the times.
async fn part_of(s: &Session, queue: MessageQueue, times: (Option<i64>, Option<i64>)) -> Result<Part, Failure> {
    let topic = TopicName::parse(&queue.topic).map_err(|why| Failure::Usage(why.to_string()))?;
    let broker = s.client.broker_of_topic(&queue.topic, &queue.broker_name).await?;
    let min = match times.0 {
        Some(begin) => s.client.offset_from_time(&broker, &topic, queue.queue_id, begin).await?,
        None => s.client.min_offset(&broker, &topic, queue.queue_id).await?,
    };
    let max = match times.1 {
        Some(end) => s.client.offset_from_time(&broker, &topic, queue.queue_id, end).await?,
        None => s.client.max_offset(&broker, &topic, queue.queue_id).await?,
    };
    Ok(Part { queue, broker, min, max })
}

fn print_all(s: &Session, messages: &[Message], charset: Charset, with_body: bool) {
    for message in messages {
        if s.out.is_json() {
            let mut told = object(message);
            if !with_body {
                told["body"] = Value::Null;
            }
            s.out.json_line(told);
            continue;
        }
        let body = if with_body { charset.decode(&message.body) } else { "NOT PRINT BODY".to_owned() };
        s.out.line(format_args!("MSGID: {} {} BODY: {body}", message.id(), text::message(message)));
    }
}

/// How bodies are read as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Charset {
    Utf8,
    Latin1,
}

impl Charset {
    fn of(given: &Given) -> Result<Self, Failure> {
        let name = given.get('c').unwrap_or("UTF-8");
        match name.to_ascii_uppercase().as_str() {
            "UTF-8" | "UTF8" | "US-ASCII" | "ASCII" => Ok(Self::Utf8),
            "ISO-8859-1" | "LATIN1" => Ok(Self::Latin1),
            _ => Err(Failure::Usage(format!("the charset [{name}] is not known here: UTF-8, US-ASCII, ISO-8859-1"))),
        }
    }

    fn decode(self, body: &[u8]) -> String {
        match self {
            Self::Utf8 => String::from_utf8_lossy(body).into_owned(),
            Self::Latin1 => body.iter().copied().map(char::from).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_are_read_by_the_charset_asked_for() {
        assert_eq!(Charset::Utf8.decode("打印 me".as_bytes()), "打印 me");
        assert_eq!(Charset::Utf8.decode(&[0x41, 0xFF]), "A\u{FFFD}");
        assert_eq!(Charset::Latin1.decode(&[0x41, 0xE9]), "Aé");
    }
}
