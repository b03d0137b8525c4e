//! Consumer groups: the list, one of them, changes; and who is connected.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use axum::Json;
use axum::extract::{Path, Query, State};
use kerolox_client::{Client, MessageQueue, Reset};
use kerolox_wire::body::{ConsumerConnection, OffsetWrapper, SubscriptionGroupConfig};
use kerolox_wire::frame::Language;
use kerolox_wire::names::{GroupName, TopicName, groups};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::cluster::{Node, in_parallel, masters, page_of};
use super::topics::{none_if_absent, targets};
use crate::door::Shared;
use crate::error::{Answer, Failure};
use crate::guard::Done;

/// Clients of a group that are asked about themselves for one page.
const CLIENTS_MAX: usize = 50;
/// Reads dead letters and the like for a monitor of RocketMQ.
const MONITOR_GROUP: &str = "__MONITOR_CONSUMER";

/// Whether tools or the system use the group.
fn is_system(group: &str) -> bool {
    groups::SYSTEM.contains(&group) || [groups::TRANS, MONITOR_GROUP].contains(&group)
}

#[derive(Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    search: String,
    #[serde(default)]
    system: bool,
    page: Option<usize>,
    size: Option<usize>,
}

/// How a group stands, over all topics or one.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Row {
    group: String,
    clients: usize,
    consume_type: Option<&'static str>,
    model: Option<&'static str>,
    lag: i64,
    /// Age of the oldest message that is not consumed, ms; none where no broker tells.
    delay_ms: Option<i64>,
    tps: f64,
    topics: usize,
    error: Option<String>,
}

/// One page of groups, with the figures of those on the page alone.
pub(crate) async fn list(State(door): State<Shared>, Query(asked): Query<Asked>) -> Answer {
    let client = &door.client;
    let masters = masters(client).await?;
    let search = asked.search.trim().to_ascii_lowercase();
    let mut names = BTreeSet::new();
    let tables = in_parallel(masters.clone(), |master| async move { client.groups_of(&master.address).await });
    for table in tables.await {
        names.extend(table?.subscription_group_table.into_keys());
    }
    let fits = |name: &String| {
        (asked.system || !is_system(name)) && (search.is_empty() || name.to_ascii_lowercase().contains(&search))
    };
    let page = page_of(names.into_iter().filter(fits).collect(), asked.page, asked.size);
    let masters = &masters;
    let items = in_parallel(page.items, |group| async move { standing(client, masters, group, None).await }).await;
    Ok(Json(json!({ "total": page.total, "page": page.page, "pageSize": page.page_size, "items": items })))
}

/// How a group stands; in one topic alone if one is given.
pub(crate) async fn standing(client: &Client, masters: &[Node], name: String, topic: Option<&TopicName>) -> Row {
    let row = Row {
        group: name.clone(),
        clients: 0,
        consume_type: None,
        model: None,
        lag: 0,
        delay_ms: None,
        tps: 0.0,
        topics: 0,
        error: None,
    };
    let asked = async {
        let group = GroupName::parse(&name)?;
        let (progress, connection) = tokio::join!(progress(client, masters, &group, topic), connection(client, &group));
        let (queues, tps) = progress?;
        let connection = connection?;
        let lag = queues.iter().map(|(_, at)| lag(at)).fold(0, i64::saturating_add);
        let oldest = delays(client, masters, &group, &queues).await.into_values().max();
        let topics: BTreeSet<&str> = queues.iter().map(|(queue, _)| queue.topic.as_str()).collect();
        Ok::<_, Failure>(Row {
            clients: connection.connection_set.len(),
            consume_type: connection.consume_type.name(),
            model: connection.message_model.name(),
            lag,
            delay_ms: if lag == 0 { Some(0) } else { oldest },
            tps,
            topics: topics.iter().filter(|topic| !topic.starts_with('%')).count(),
            group: name.clone(),
            error: None,
        })
    };
    asked.await.unwrap_or_else(|why| Row { error: Some(why.sentence().to_owned()), ..row })
}

fn lag(at: &OffsetWrapper) -> i64 {
    at.diff().max(0)
}

/// Places at all primaries, and messages consumed per second. A group that has consumed nothing has none.
async fn progress(
    client: &Client,
    masters: &[Node],
    group: &GroupName,
    topic: Option<&TopicName>,
) -> Result<(Vec<(MessageQueue, OffsetWrapper)>, f64), Failure> {
    let (mut queues, mut tps) = (Vec::new(), 0.0);
    for master in masters {
        let part = none_if_absent(client.progress_at(&master.address, group, topic).await)?;
        queues.extend(part.queues);
        tps += part.tps;
    }
    queues.sort_by(|a, b| a.0.cmp(&b.0));
    Ok((queues, tps))
}

async fn connection(client: &Client, group: &GroupName) -> Result<ConsumerConnection, Failure> {
    none_if_absent(client.consumer_connection(group).await)
}

/// One group: its places with the lag in messages and time, its clients, its settings.
pub(crate) async fn one(State(door): State<Shared>, Path(group): Path<String>) -> Answer {
    let client = &door.client;
    let group = GroupName::parse(&group)?;
    let masters = masters(client).await?;
    let (progress, connection) = tokio::join!(progress(client, &masters, &group, None), connection(client, &group));
    let ((queues, tps), connection) = (progress?, connection?);
    let mut settings = BTreeMap::new();
    for master in &masters {
        let mut table = client.groups_of(&master.address).await?.subscription_group_table;
        if let Some(own) = table.remove(group.as_str()) {
            settings.insert(master.name.clone(), own);
        }
    }
    if settings.is_empty() && queues.is_empty() && connection.connection_set.is_empty() {
        return Err(Failure::absent(format!("no broker knows the group [{group}]")));
    }
    let delays = delays(client, &masters, &group, &queues).await;
    let rows: Vec<Value> = queues
        .iter()
        .map(|(queue, at)| {
            json!({
                "topic": queue.topic, "broker": queue.broker_name, "queue": queue.queue_id,
                "end": at.broker_offset, "at": at.consumer_offset, "lag": lag(at),
                "delayMs": if lag(at) == 0 { Some(0) } else { delays.get(queue).copied() },
                "lastMs": at.last_timestamp,
            })
        })
        .collect();
    Ok(Json(json!({
        "group": group, "tps": tps, "queues": rows, "settings": settings,
        "clients": connection.connection_set, "subscriptions": connection.subscription_table,
        "consumeType": connection.consume_type.name(), "model": connection.message_model.name(),
        "from": connection.consume_from_where.name(),
    })))
}

/// How old the next message of each queue is; a topic whose brokers do not tell is left out.
async fn delays(
    client: &Client,
    masters: &[Node],
    group: &GroupName,
    queues: &[(MessageQueue, OffsetWrapper)],
) -> HashMap<MessageQueue, i64> {
    let behind = queues.iter().filter(|(_, at)| lag(at) > 0);
    let topics: BTreeSet<(String, String)> =
        behind.map(|(queue, _)| (queue.broker_name.clone(), queue.topic.clone())).collect();
    let asked = in_parallel(topics.into_iter().collect(), |(broker, topic)| async move {
        let master = masters.iter().find(|master| master.name == broker)?;
        client.time_spans(&master.address, group, &TopicName::parse(&topic).ok()?).await.ok()
    });
    let spans = asked.await.into_iter().flatten().flatten();
    spans.map(|span| (span.message_queue, span.delay_time.max(0))).collect()
}

/// Which client has which queue, as the clients say, and since when, as was seen here; those that do not answer are named.
pub(crate) async fn owners(State(door): State<Shared>, Path(group): Path<String>) -> Answer {
    let client = &door.client;
    let group = &GroupName::parse(&group)?;
    let connection = connection(client, group).await?;
    let ids: Vec<String> =
        connection.connection_set.iter().map(|one| one.client_id.clone()).take(CLIENTS_MAX).collect();
    let asked = in_parallel(ids, |id| async move { (client.consumer_running_info(group, &id, false).await, id) });
    let (mut owned, mut silent) = (Vec::new(), Vec::new());
    for (info, id) in asked.await {
        match info {
            Ok(info) => owned.extend(
                info.mq_table
                    .into_iter()
                    .filter(|(_, at)| !at.droped)
                    .map(|(queue, at)| ((queue.topic, queue.broker_name, queue.queue_id), id.clone(), at)),
            ),
            Err(why) => silent.push((id, Failure::from(why))),
        }
    }
    let away: Vec<String> = silent.iter().map(|(id, _)| id.clone()).collect();
    let now = owned.iter().map(|(queue, id, _)| (queue.clone(), id.clone()));
    let since = door.owners.lock().note(group.as_str(), door.wall_ms(), now, &away);
    let owners: Vec<Value> = owned
        .iter()
        .map(|(queue, id, at)| {
            let since = since.get(queue);
            json!({
                "topic": queue.0, "broker": queue.1, "queue": queue.2, "client": id,
                "sinceMs": since.map(|since| since.ms), "seen": since.is_some_and(|since| since.seen),
                "cached": at.cached_msg_count, "lastPullMs": at.last_pull_timestamp,
                "lastConsumeMs": at.last_consume_timestamp, "locked": at.locked,
            })
        })
        .collect();
    let silent: Vec<Value> = silent.iter().map(|(id, why)| json!({ "client": id, "error": why.sentence() })).collect();
    let left_out = connection.connection_set.len().saturating_sub(CLIENTS_MAX);
    Ok(Json(json!({ "owners": owners, "silent": silent, "leftOut": left_out })))
}

#[derive(Deserialize)]
pub(crate) struct AskedClient {
    id: String,
    #[serde(default)]
    stack: bool,
}

/// What one client says of itself, with the stacks of its threads if wanted.
pub(crate) async fn client(
    State(door): State<Shared>,
    Path(group): Path<String>,
    Query(asked): Query<AskedClient>,
) -> Answer {
    let group = GroupName::parse(&group)?;
    let info = door.client.consumer_running_info(&group, &asked.id, asked.stack).await?;
    let queues: Vec<Value> =
        info.mq_table.iter().map(|(queue, state)| json!({ "of": queue, "state": state })).collect();
    Ok(Json(json!({
        "properties": info.properties, "subscriptions": info.subscription_set, "rates": info.status_table,
        "queues": queues, "stack": info.jstack,
    })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PutGroup {
    consume_enable: bool,
    consume_broadcast_enable: bool,
    retry_max_times: i32,
    retry_queue_nums: i32,
    #[serde(default)]
    brokers: Vec<String>,
}

/// Creates a group, or changes its settings; those that are not offered stay as they are.
pub(crate) async fn put(
    State(door): State<Shared>,
    Path(group): Path<String>,
    Json(given): Json<PutGroup>,
) -> Answer<Done> {
    let group = GroupName::parse(&group)?;
    for (what, value, most) in
        [("retryMaxTimes", given.retry_max_times, 1_000), ("retryQueueNums", given.retry_queue_nums, 64)]
    {
        let least = i32::from(what == "retryQueueNums");
        if !(least..=most).contains(&value) {
            return Err(Failure::bad(format!("{what} = {value} is not allowed; allowed: {least} to {most}")));
        }
    }
    for target in targets(&door.client, &given.brokers).await? {
        let mut known = door.client.groups_of(&target.address).await?.subscription_group_table;
        let old = known.remove(group.as_str()).unwrap_or_default();
        let settings = SubscriptionGroupConfig {
            group_name: group.to_string(),
            consume_enable: given.consume_enable,
            consume_broadcast_enable: given.consume_broadcast_enable,
            retry_max_times: given.retry_max_times,
            retry_queue_nums: given.retry_queue_nums,
            ..old
        };
        door.client.put_group(&target.address, &settings).await?;
    }
    Ok(Done::noted(format!(
        "consume {} broadcast {} retries {} retry queues {}",
        given.consume_enable, given.consume_broadcast_enable, given.retry_max_times, given.retry_queue_nums
    )))
}

/// Deletes a group at every primary.
pub(crate) async fn remove(State(door): State<Shared>, Path(group): Path<String>) -> Answer<Done> {
    let group = GroupName::parse(&group)?;
    if is_system(group.as_str()) {
        return Err(Failure::conflict(format!("[{group}] belongs to the system and stays")));
    }
    for master in masters(&door.client).await? {
        door.client.delete_group(&master.address, &group).await?;
    }
    Ok(Done::noted(""))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", tag = "to")]
pub(crate) enum To {
    /// The oldest messages.
    Begin,
    /// Behind the newest message: what lies before is skipped.
    End,
    /// A store time, ms since 1970.
    #[serde(rename_all = "camelCase")]
    Time { time_ms: i64 },
}

#[derive(Deserialize)]
pub(crate) struct AskedReset {
    topic: String,
    #[serde(flatten)]
    to: To,
}

/// Sets a group to another place of a topic.
pub(crate) async fn reset(
    State(door): State<Shared>,
    Path(group): Path<String>,
    Json(asked): Json<AskedReset>,
) -> Answer<Done> {
    let group = GroupName::parse(&group)?;
    let topic = TopicName::parse(&asked.topic)?;
    let (timestamp, said) = match asked.to {
        To::Begin => (0, "the begin".to_owned()),
        To::End => (-1, "the end".to_owned()),
        To::Time { time_ms } if time_ms >= 0 => (time_ms, format!("time {time_ms}")),
        To::Time { time_ms } => {
            return Err(Failure::bad(format!("timeMs = {time_ms} is not allowed; allowed: from 0")));
        }
    };
    let members = connection(&door.client, &group).await?;
    let client = &door.client;
    let reset = match members.connection_set.first() {
        // A broker resets through clients only, and only groups that have consumed before.
        None => Reset::Stored(client.reset_stored(&group, &topic, timestamp, true).await?),
        Some(first) => {
            // Clients in C++ read the answer in another form.
            let language = if first.language == "CPP" { Language::CPP } else { Language::JAVA };
            client.reset_offset(&group, &topic, timestamp, true, language).await?
        }
    };
    let (through, queues) = match reset {
        Reset::Told(places) => ("clients", places),
        Reset::Stored(places) => {
            ("stored", places.into_iter().map(|place| (place.queue, place.rollback_offset)).collect())
        }
    };
    let rows: Vec<Value> = queues
        .iter()
        .map(|(queue, to)| json!({ "broker": queue.broker_name, "queue": queue.queue_id, "to": to }))
        .collect();
    Ok(Done::noted(format!("topic {topic} to {said}, {} queues", rows.len()))
        .telling(json!({ "through": through, "queues": rows })))
}
