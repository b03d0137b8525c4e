//! Messages of a topic that were stored within a span of time, newest first, read a page at a time over all queues.

use kerolox_client::route::address_of;
use kerolox_client::{Client, ClientError, Message, MessageQueue, Pull, TOOLS_GROUP};
use kerolox_wire::command::admin::QueryConsumeQueue;
use kerolox_wire::id::MessageId;
use kerolox_wire::names::{GroupName, LogOffset, TopicName};
use kerolox_wire::response::ResponseCode;

use crate::api::cluster::in_parallel;
use crate::error::Failure;

/// Most queues that are read for one page; a topic with more is read by queues of the first brokers.
const QUEUES_MAX: usize = 1_024;
/// Messages of one pull: a broker of default settings gives no more at once.
const PULL_MAX: i64 = 32;
/// Pulls of one queue for one page.
const PULLS_MAX: usize = 8;

/// What is left of one queue: places from `begin` until before `end`.
#[derive(Clone, Debug)]
pub(crate) struct Part {
    pub(crate) queue: MessageQueue,
    pub(crate) address: String,
    pub(crate) begin: i64,
    pub(crate) end: i64,
}

/// What is left of a span.
#[derive(Debug)]
pub(crate) struct Span {
    topic: TopicName,
    between: (i64, i64),
    parts: Vec<Part>,
}

impl Span {
    /// Looks the span's ends up in every queue. Times in milliseconds since 1970, both included.
    pub(crate) async fn open(client: &Client, topic: &TopicName, between: (i64, i64)) -> Result<Self, Failure> {
        let now = client.clock().wall_ms();
        let bounds = in_parallel(places(client, topic).await?, |part| async move {
            let id = part.queue.queue_id;
            let begin = if between.0 <= 0 {
                client.min_offset(&part.address, topic, id).await?
            } else {
                client.search_offset(&part.address, topic, id, between.0).await?
            };
            let end = if between.1 >= now {
                client.max_offset(&part.address, topic, id).await?
            } else {
                client.search_offset(&part.address, topic, id, between.1.saturating_add(1)).await?
            };
            // A broker answers with the nearest place, which may lie one before or behind; times decide later.
            Ok::<_, ClientError>(Part { begin: begin.saturating_sub(1).max(0), end: end.saturating_add(1), ..part })
        });
        let mut parts = Vec::new();
        for part in bounds.await {
            let mut part = part?;
            let max = client.max_offset(&part.address, topic, part.queue.queue_id).await?;
            part.end = part.end.min(max);
            parts.push(part);
        }
        Ok(Self { topic: topic.clone(), between, parts })
    }

    /// Goes on where a page ended.
    pub(crate) async fn resume(
        client: &Client,
        topic: &TopicName,
        cursor: &str,
        between: (i64, i64),
    ) -> Result<Self, Failure> {
        let mut parts = places(client, topic).await?;
        let marks: Vec<(String, i32, i64, i64)> =
            serde_json::from_str(cursor).map_err(|_| Failure::bad("the cursor is not one that this console made"))?;
        for part in &mut parts {
            let mark = marks.iter().find(|mark| mark.0 == part.queue.broker_name && mark.1 == part.queue.queue_id);
            (part.begin, part.end) = mark.map_or((0, 0), |mark| (mark.2.max(0), mark.3.max(0)));
        }
        Ok(Self { topic: topic.clone(), between, parts })
    }

    /// Where to go on; nothing when all has been read.
    pub(crate) fn cursor(&self) -> Option<String> {
        let left: Vec<_> = self.parts.iter().filter(|part| part.begin < part.end).collect();
        let marks: Vec<_> =
            left.iter().map(|part| (&part.queue.broker_name, part.queue.queue_id, part.begin, part.end)).collect();
        (!marks.is_empty()).then(|| serde_json::to_string(&marks).ok()).flatten()
    }

    /// How many messages are left, at most.
    pub(crate) fn left(&self) -> i64 {
        self.parts.iter().map(|part| part.end.saturating_sub(part.begin).max(0)).fold(0, i64::saturating_add)
    }

    /// The newest messages of what is left, at most `size` of them.
    pub(crate) async fn older(&mut self, client: &Client, size: usize) -> Result<Vec<Message>, Failure> {
        let between = self.between;
        loop {
            let topic = &self.topic;
            let left: Vec<(usize, Part)> =
                self.parts.iter().cloned().enumerate().filter(|(_, p)| p.begin < p.end).collect();
            if left.is_empty() {
                return Ok(Vec::new());
            }
            let step = step(size, left.len());
            let read = in_parallel(left, |(at, part)| async move {
                let from = part.begin.max(part.end.saturating_sub(step));
                (at, newest(client, topic, &part, from).await)
            });
            let mut found = Vec::new();
            for (at, read) in read.await {
                let (from, messages) = read?;
                found.push((at, from, messages));
            }
            let mut all: Vec<(usize, Message)> = Vec::new();
            for (at, from, messages) in found {
                let within = |m: &Message| (between.0..=between.1).contains(&m.store_timestamp);
                let fitting: Vec<Message> = messages.into_iter().filter(within).collect();
                if fitting.is_empty()
                    && let Some(part) = self.parts.get_mut(at)
                {
                    part.end = from;
                }
                all.extend(fitting.into_iter().map(|message| (at, message)));
            }
            all.sort_by(|(_, a), (_, b)| {
                (b.store_timestamp, b.log_offset.get()).cmp(&(a.store_timestamp, a.log_offset.get()))
            });
            all.truncate(size);
            if all.is_empty() {
                continue;
            }
            for (at, message) in &all {
                if let Some(part) = self.parts.get_mut(*at) {
                    part.end = part.end.min(message.queue_offset.to_wire());
                }
            }
            return Ok(all.into_iter().map(|(_, message)| message).collect());
        }
    }
}

/// Messages read of each queue for a page: of many queues few each, so that a page stays small in memory. The pages of
/// an uneven topic may then overlap in time; none of its messages is left out.
fn step(size: usize, queues: usize) -> i64 {
    let share = (size * 4 / queues.max(1)).clamp(4, size.max(4));
    i64::try_from(share).unwrap_or(i64::MAX)
}

/// The queues of a topic. Those that cannot be read through a pull count too: dead letters of RocketMQ lie in such.
pub(crate) async fn places(client: &Client, topic: &TopicName) -> Result<Vec<Part>, Failure> {
    let route = client.route(topic.as_str()).await?;
    let mut parts = Vec::new();
    for queues in &route.queue_datas {
        let broker = route.broker_datas.iter().find(|broker| broker.broker_name == queues.broker_name);
        let Some(address) = broker.and_then(address_of) else { continue };
        parts.extend((0..queues.read_queue_nums.max(queues.write_queue_nums)).take(QUEUES_MAX).map(|queue_id| Part {
            queue: MessageQueue { topic: topic.to_string(), broker_name: queues.broker_name.clone(), queue_id },
            address: address.to_owned(),
            begin: 0,
            end: 0,
        }));
    }
    parts.truncate(QUEUES_MAX);
    Ok(parts)
}

/// Messages from `from` until before the part's end; of large ones, which few fit into an answer, the last, with the place
/// where those begin.
async fn newest(client: &Client, topic: &TopicName, part: &Part, from: i64) -> Result<(i64, Vec<Message>), Failure> {
    let mut from = from;
    loop {
        let (messages, next) = read(client, topic, part, from).await?;
        if next >= part.end {
            return Ok((from, messages));
        }
        from = next;
    }
}

/// Messages from `from` until before the part's end, or the first of them when there are many; and the place behind them.
pub(crate) async fn read(
    client: &Client,
    topic: &TopicName,
    part: &Part,
    from: i64,
) -> Result<(Vec<Message>, i64), Failure> {
    let group = GroupName::parse(TOOLS_GROUP)?;
    let (mut at, mut messages) = (from, Vec::new());
    for _ in 0..PULLS_MAX {
        let count = part.end.saturating_sub(at).min(PULL_MAX);
        if count <= 0 {
            break;
        }
        let max = i32::try_from(count).unwrap_or(1);
        let pull = Pull { group: &group, queue: &part.queue, offset: at, max, expression: "*" };
        match client.pull(&part.address, &pull).await {
            Ok(pulled) => {
                messages.extend(pulled.messages.into_iter().filter(|m| m.queue_offset.to_wire() < part.end));
                // A broker that leads nowhere has nothing more.
                at = if pulled.next > at { pulled.next } else { part.end };
            }
            // RocketMQ keeps the ends of transactions in a topic that it does not know for a while.
            Err(why) if why.is(ResponseCode::NO_PERMISSION) || why.is(ResponseCode::TOPIC_NOT_EXIST) => {
                return by_units(client, topic, part, from).await;
            }
            Err(why) => return Err(why.into()),
        }
    }
    Ok((messages, at))
}

/// The same without pulling: the places of the records, then each of them.
async fn by_units(client: &Client, topic: &TopicName, part: &Part, from: i64) -> Result<(Vec<Message>, i64), Failure> {
    let most = PULL_MAX.saturating_mul(i64::try_from(PULLS_MAX).unwrap_or(1));
    let count = part.end.saturating_sub(from).min(most);
    let request = QueryConsumeQueue {
        topic: topic.clone(),
        queue_id: part.queue.queue_id,
        index: from,
        count: i32::try_from(count).unwrap_or(i32::MAX),
        consumer_group: None,
    };
    let units = client.queue_units(&part.address, &request).await?.queue_data;
    let Ok(host) = part.address.parse() else {
        return Err(Failure::bad(format!("the broker is registered as {}, which is no address", part.address)));
    };
    let places = units.iter().filter_map(|unit| LogOffset::from_wire(unit.physic_offset));
    let ids: Vec<String> = places.map(|offset| MessageId { host, offset }.to_string()).collect();
    let mut messages = Vec::new();
    for message in in_parallel(ids, |id| async move { client.view_message(&id).await }).await {
        let mut message = message?;
        message.broker_name = Some(part.queue.broker_name.clone());
        messages.push(message);
    }
    let next = i64::try_from(units.len()).map_or(part.end, |read| from.saturating_add(read));
    Ok((messages, if units.is_empty() { part.end } else { next }))
}
