//! A watch over all groups: what each has still to consume, members that disagree, queues that do not move, and
//! consumers that asked for messages which are not there.

use std::collections::BTreeMap;
use std::time::Duration;

use kerolox_client::route::readable_queues;
use kerolox_client::{Message, MessageQueue, Pull, PullStatus};
use kerolox_wire::body::{ConsumerRunningInfo, OffsetMovedEvent, OffsetWrapper, from_json};
use kerolox_wire::names::{GroupName, TopicName, topics};
use serde::Serialize;
use serde_json::{Value, json};

use super::bar::Bar;
use super::command::{Command, Target, may};
use super::failure::Failure;
use super::message::tools_group;
use super::options::Given;
use super::session::Session;
use super::status::{same_subscriptions, trouble};
use super::topic::group_of_retry;
use super::{text, time};

pub(super) const START_MONITORING: Command = Command {
    name: "startMonitoring",
    about: "Watch all groups: lag, members that disagree, queues that do not move, offsets that are gone",
    options: &[
        may('i', "interval", "seconds between rounds, 60 if not given"),
        may('c', "count", "rounds, without end if not given"),
    ],
    target: Target::Free,
    shows: true,
    example: "-i 30",
    run: |s, g| Box::pin(start_monitoring(s, g)),
};

/// Seconds between rounds unless told otherwise.
const INTERVAL_S: u64 = 60;
/// Events read of a queue in one round; the rest waits for the next.
const EVENTS_MAX: i32 = 32;
const BEGIN: &str = "=========================================beginRound";
const END: &str = "=========================================endRound";

async fn start_monitoring(s: &Session, given: &Given) -> Result<(), Failure> {
    let interval = Duration::from_secs(given.maybe('i')?.unwrap_or(INTERVAL_S).max(1));
    let mut rounds: Option<u64> = given.maybe('c')?;
    let mut moves = Moves::from_now_on(s).await;
    loop {
        let done = round(s, &mut moves).await;
        rounds = rounds.map(|left| left.saturating_sub(1));
        if rounds == Some(0) || s.out.is_closed() {
            return done;
        }
        // A round that fails is no reason to stop watching.
        if let Err(why) = done {
            super::output::complain(&why);
        }
        tokio::time::sleep(interval).await;
    }
}

fn say(s: &Session, what: &str) {
    s.out.line(format_args!("{} [MONITOR] {what}", time::to_millis(s.now_ms())));
}

/// What programs get, a line each.
fn tell(s: &Session, event: &str, mut object: Value) {
    object["event"] = event.into();
    object["time"] = s.now_ms().into();
    s.out.json_line(object);
}

async fn round(s: &Session, moves: &mut Moves) -> Result<(), Failure> {
    say(s, BEGIN);
    let topics = s.client.topic_names().await?;
    let bar = Bar::printing("topics", topics.len());
    for topic in topics {
        bar.done(1);
        let Some(group) = group_of_retry(&topic) else { continue };
        // As in 4.7.1, a group that nobody is connected for is passed over.
        let Ok(connection) = s.client.consumer_connection(&group).await else { continue };
        for behind in behind(s, &group).await {
            say(s, &format!("reportUndoneMsgs: {}", behind.text()));
            tell(s, "undoneMsgs", json!(behind));
        }
        let mut members = Vec::new();
        for client in connection.connection_set {
            if let Ok(info) = s.client.consumer_running_info(&group, &client.client_id, false).await {
                members.push((client.client_id, info));
            }
        }
        members.sort_by(|a, b| a.0.cmp(&b.0));
        for warning in warnings(&group, &members, s.now_ms()) {
            say(s, &format!("[NOTIFY] reportConsumerRunningInfo: {warning}"));
            tell(s, "consumerWarning", json!({"consumerGroup": group.as_str(), "warning": warning}));
        }
    }
    drop(bar);
    for event in moves.news(s).await {
        say(s, &format!("reportDeleteMsgsEvent: {}", event.text()));
        tell(s, "offsetMoved", json!(event));
    }
    say(s, END);
    Ok(())
}

/// How far a group is behind in one topic.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Behind {
    #[serde(rename = "consumerGroup")]
    group: String,
    topic: String,
    #[serde(rename = "undoneMsgsTotal")]
    total: i64,
    /// Most in one queue.
    #[serde(rename = "undoneMsgsSingleMQ")]
    largest: i64,
    /// Store time of the newest message less that of the last one consumed, of the queue where this is most.
    #[serde(rename = "undoneMsgsDelayTimeMills")]
    delay_ms: i64,
}

impl Behind {
    fn text(&self) -> String {
        format!(
            "UndoneMsgs [consumerGroup={}, topic={}, undoneMsgsTotal={}, undoneMsgsSingleMQ={}, \
             undoneMsgsDelayTimeMills={}]",
            self.group, self.topic, self.total, self.largest, self.delay_ms
        )
    }
}

async fn behind(s: &Session, group: &GroupName) -> Vec<Behind> {
    let Ok(progress) = s.client.progress(group, None).await else { return Vec::new() };
    let mut queues = Vec::new();
    for (queue, at) in progress.queues {
        let newest = if at.last_timestamp > 0 { newest(s, &queue).await } else { None };
        queues.push((queue, at, newest));
    }
    by_topic(group, &queues)
}

fn by_topic(group: &GroupName, queues: &[(MessageQueue, OffsetWrapper, Option<i64>)]) -> Vec<Behind> {
    let mut topics: BTreeMap<&str, Behind> = BTreeMap::new();
    for (queue, at, newest) in queues {
        let behind = topics.entry(&queue.topic).or_insert_with(|| Behind {
            group: group.to_string(),
            topic: queue.topic.clone(),
            total: 0,
            largest: 0,
            delay_ms: 0,
        });
        let lag = at.diff().max(0);
        behind.total = behind.total.saturating_add(lag);
        behind.largest = behind.largest.max(lag);
        let delay = newest.map_or(0, |newest| newest.saturating_sub(at.last_timestamp));
        behind.delay_ms = behind.delay_ms.max(delay);
    }
    topics.into_values().collect()
}

/// Store time of a queue's last message.
async fn newest(s: &Session, queue: &MessageQueue) -> Option<i64> {
    let topic = TopicName::parse(&queue.topic).ok()?;
    let broker = s.client.broker_of_topic(&queue.topic, &queue.broker_name).await.ok()?;
    let end = s.client.max_offset(&broker, &topic, queue.queue_id).await.ok()?;
    let group = tools_group();
    let pull = Pull { group: &group, queue, offset: end - 1, max: 1, expression: "*" };
    let pulled = s.client.pull(&broker, &pull).await.ok().filter(|_| end > 0)?;
    pulled.messages.first().map(|message| message.store_timestamp)
}

fn warnings(group: &GroupName, members: &[(String, ConsumerRunningInfo)], now_ms: i64) -> Vec<String> {
    let mut warnings = Vec::new();
    if !same_subscriptions(members, now_ms) {
        warnings.push(format!("ConsumerGroup: {group}, Subscription different"));
    }
    for (client_id, info) in members {
        let trouble = trouble(client_id, info, now_ms);
        if !trouble.is_empty() {
            warnings.push(format!("ConsumerGroup: {group}, ClientId: {client_id}, {trouble}"));
        }
    }
    warnings
}

/// What brokers write down when a consumer asks for an offset that is not there, read from the start of the watch on.
struct Moves {
    /// Where to read on, by queue, with the address of its broker.
    queues: Vec<(MessageQueue, String, i64)>,
}

impl Moves {
    async fn from_now_on(s: &Session) -> Self {
        let topic = TopicName::known(topics::OFFSET_MOVED_EVENT);
        let mut queues = Vec::new();
        // Where that topic is missing there is nothing to tell.
        let Ok(route) = s.client.route(topic.as_str()).await else { return Self { queues } };
        for queue in readable_queues(topic.as_str(), &route) {
            let Ok(broker) = s.client.broker_of_topic(topic.as_str(), &queue.broker_name).await else { continue };
            let Ok(end) = s.client.max_offset(&broker, &topic, queue.queue_id).await else { continue };
            queues.push((queue, broker, end));
        }
        Self { queues }
    }

    async fn news(&mut self, s: &Session) -> Vec<Moved> {
        let group = tools_group();
        let mut news = Vec::new();
        for (queue, broker, next) in &mut self.queues {
            let pull = Pull { group: &group, queue, offset: *next, max: EVENTS_MAX, expression: "*" };
            let Ok(pulled) = s.client.pull(broker, &pull).await else { continue };
            if pulled.status != PullStatus::NoNewMsg {
                *next = pulled.next;
            }
            news.extend(pulled.messages.iter().filter_map(Moved::read));
        }
        news
    }
}

/// A consumer asked for an offset that is not there, and was sent elsewhere.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Moved {
    #[serde(flatten)]
    event: OffsetMovedEvent,
    event_timestamp: i64,
}

impl Moved {
    fn read(message: &Message) -> Option<Self> {
        let event = from_json(&message.body).ok()?;
        Some(Self { event, event_timestamp: message.store_timestamp })
    }

    fn text(&self) -> String {
        let Self { event, event_timestamp } = self;
        format!(
            "DeleteMsgsEvent [offsetMovedEvent=OffsetMovedEvent [consumerGroup={}, messageQueue={}, \
             offsetRequest={}, offsetNew={}], eventTimestamp={event_timestamp}]",
            event.consumer_group,
            text::queue(&event.message_queue),
            event.offset_request,
            event.offset_new
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_is_summed_by_topic_and_never_below_nothing() {
        let queue =
            |topic: &str, queue_id| MessageQueue { topic: topic.to_owned(), broker_name: "b".to_owned(), queue_id };
        let at = |broker_offset, consumer_offset, last_timestamp| OffsetWrapper {
            broker_offset,
            consumer_offset,
            last_timestamp,
        };
        let group = GroupName::parse("G").unwrap();
        let found = by_topic(
            &group,
            &[
                (queue("T", 0), at(10, 3, 1000), Some(1500)),
                (queue("T", 1), at(2, 5, 0), None),
                (queue("T", 2), at(5, 4, 1000), Some(900)),
                (queue("A", 0), at(0, 0, 0), None),
            ],
        );
        let texts: Vec<String> = found.iter().map(Behind::text).collect();
        let line = |rest: &str| format!("UndoneMsgs [consumerGroup=G, {rest}]");
        assert_eq!(
            texts,
            [
                line("topic=A, undoneMsgsTotal=0, undoneMsgsSingleMQ=0, undoneMsgsDelayTimeMills=0"),
                line("topic=T, undoneMsgsTotal=8, undoneMsgsSingleMQ=7, undoneMsgsDelayTimeMills=500"),
            ]
        );
    }
}
