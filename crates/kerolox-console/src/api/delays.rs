//! Messages that wait: by delay level as in 4.x, and for a time of their own.

use axum::Json;
use axum::extract::{Path, Query, State};
use kerolox_client::{Message, MessageQueue, Outgoing};
use kerolox_wire::names::{TopicName, topics};
use kerolox_wire::properties::{self, Properties, timer};
use serde::Deserialize;
use serde_json::{Value, json};

use super::cluster::{in_parallel, masters};
use super::messages::row;
use super::topics::targets;
use crate::door::Shared;
use crate::error::{Answer, Failure};
use crate::guard::Done;
use crate::span::{Part, read};

/// Waiting messages of one page.
const PAGE_SIZE: usize = 64;
/// Group that sends cancellations.
const SENDER_GROUP: &str = "CONSOLE_PRODUCER";

/// What waits at each primary: for how many times of their own, and in which levels.
pub(crate) async fn list(State(door): State<Shared>) -> Answer {
    let client = &door.client;
    let items = in_parallel(masters(client).await?, |master| async move {
        let (info, config) = tokio::join!(client.runtime_info(&master.address), client.broker_config(&master.address));
        let info = match info {
            Ok(info) => info,
            Err(why) => return json!({ "broker": master.name, "error": Failure::from(why).sentence() }),
        };
        let config = config.unwrap_or_default();
        let names: Vec<&str> = config.get("messageDelayLevel").map_or("", String::as_str).split_whitespace().collect();
        let mut levels: Vec<(usize, Value)> = Vec::new();
        for (key, text) in &info {
            let Some(level) = key.strip_prefix("scheduleMessageOffset_").and_then(|n| n.parse::<usize>().ok()) else {
                continue;
            };
            let (next, end) = text.split_once(',').unwrap_or((text, text));
            let (next, end): (i64, i64) = (next.parse().unwrap_or(0), end.parse().unwrap_or(0));
            let delay = level.checked_sub(1).and_then(|at| names.get(at));
            levels.push((level, json!({ "level": level, "delay": delay, "next": next, "end": end })));
        }
        levels.sort_by_key(|(level, _)| *level);
        let levels: Vec<Value> = levels.into_iter().map(|(_, row)| row).collect();
        let timers: Option<u64> = info.get("timerPending").and_then(|text| text.parse().ok());
        json!({ "broker": master.name, "timers": timers, "levels": levels })
    });
    Ok(Json(json!({ "items": items.await })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AskedTimers {
    from_ms: Option<i64>,
    to_ms: Option<i64>,
}

/// Messages that wait for a time of their own, the earliest first, and where to go on.
pub(crate) async fn timers(State(door): State<Shared>, Query(asked): Query<AskedTimers>) -> Answer {
    let client = &door.client;
    let (from, to) = (asked.from_ms.unwrap_or(0), asked.to_ms.unwrap_or(i64::MAX));
    let most = i32::try_from(PAGE_SIZE).unwrap_or(i32::MAX);
    let (mut rows, mut next): (Vec<Value>, i64) = (Vec::new(), to);
    let asked = in_parallel(masters(client).await?, |master| async move {
        (client.timers_at(&master.address, (from, to), most).await, master.name)
    });
    for (answer, broker) in asked.await {
        let (messages, its_next) = answer?;
        next = next.min(its_next);
        rows.extend(messages.iter().map(|message| waiting(message, &broker)));
    }
    rows.sort_by_key(|row| row.get("dueMs").and_then(Value::as_i64));
    Ok(Json(json!({ "items": rows, "nextMs": (next < to).then_some(next) })))
}

/// A message that waits, as the one it will be.
fn waiting(message: &Message, broker: &str) -> Value {
    let own = |name: &str| message.properties.get(name);
    let mut row = row(message);
    if let Some(fields) = row.as_object_mut() {
        fields.insert("topic".to_owned(), json!(own(properties::REAL_TOPIC)));
        fields.insert("broker".to_owned(), json!(broker));
        fields.insert("dueMs".to_owned(), json!(own(timer::OUT_MS).and_then(|text| text.parse::<i64>().ok())));
    }
    row
}

/// Messages that wait in a level of a broker, the next ones first.
pub(crate) async fn level(State(door): State<Shared>, Path((broker, level)): Path<(String, i32)>) -> Answer {
    let client = &door.client;
    let master = targets(client, std::slice::from_ref(&broker)).await?.remove(0);
    let info = client.runtime_info(&master.address).await?;
    let text = info.get(&format!("scheduleMessageOffset_{level}")).map_or("", String::as_str);
    let range = text.split_once(',').and_then(|(next, end)| Some((next.parse().ok()?, end.parse().ok()?)));
    let (begin, end): (i64, i64) =
        range.ok_or_else(|| Failure::absent(format!("the broker [{broker}] has nothing in delay level {level}")))?;
    let topic = TopicName::known(topics::SCHEDULE);
    let size = i64::try_from(PAGE_SIZE).unwrap_or(i64::MAX);
    let part = Part {
        queue: MessageQueue {
            topic: topic.to_string(),
            broker_name: broker.clone(),
            queue_id: level.saturating_sub(1),
        },
        address: master.address,
        begin,
        end: end.min(begin.saturating_add(size)),
    };
    let (messages, _) = read(client, &topic, &part, begin).await?;
    let rows: Vec<Value> = messages.iter().map(|message| waiting(message, &broker)).collect();
    Ok(Json(json!({ "items": rows, "left": end.saturating_sub(begin).max(0) })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cancel {
    broker: String,
    topic: String,
    /// The id that the sender made up.
    id: String,
    due_ms: i64,
}

/// Takes a message back that waits for a time of its own.
pub(crate) async fn cancel(State(door): State<Shared>, Json(given): Json<Cancel>) -> Answer<Done> {
    let client = &door.client;
    let topic = TopicName::parse(given.topic.trim())?;
    let id = given.id.trim();
    if id.is_empty() || id.contains([properties::NAME_END, properties::PAIR_END]) {
        return Err(Failure::bad("a message without an id of its sender cannot be taken back"));
    }
    let mut own = Properties::new();
    own.set(timer::DEL_UNIQKEY, &format!("{topic}+{id}"));
    own.set(timer::DELIVER_MS, &given.due_ms.to_string());
    let message = Outgoing { group: SENDER_GROUP, topic: &topic, flag: 0, properties: own, body: b"-" };
    let queues = client.send_queues(&topic).await?;
    let there = queues.iter().find(|(queue, _)| queue.broker_name == given.broker);
    let (queue, address) =
        there.ok_or_else(|| Failure::absent(format!("[{topic}] has no queue at the broker [{}]", given.broker)))?;
    client.send_to(&message, queue, address).await?;
    Ok(Done::noted(format!("{id} of {topic}, due at {}", given.due_ms)))
}
