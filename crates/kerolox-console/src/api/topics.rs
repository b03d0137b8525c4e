//! Topics: the list, one of them, and changes.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::{Path, Query, State};
use kerolox_client::{Client, ClientError, MessageQueue, Outgoing, TOPIC_PUT_NUMS};
use kerolox_wire::body::TopicConfig;
use kerolox_wire::names::TopicName;
use kerolox_wire::properties::{self, Properties};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::cluster::{Kind, Node, in_parallel, kind, masters, masters_of, nodes, page_of};
use super::groups::standing;
use super::messages::{base64_bytes, row};
use crate::door::Shared;
use crate::error::{Answer, Failure};
use crate::guard::Done;

/// Most queues that a topic is given at once.
const QUEUES_MAX: i32 = 1_024;
/// Most groups of one topic that are looked at for one page.
const GROUPS_MAX: usize = 100;
/// Group of the console's own test messages.
const SENDER_GROUP: &str = "CONSOLE_PRODUCER";

#[derive(Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    search: String,
    kind: Option<String>,
    page: Option<usize>,
    size: Option<usize>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Row {
    topic: String,
    kind: Kind,
    read_queues: i32,
    write_queues: i32,
    perm: i32,
    brokers: usize,
    tps: f64,
    error: Option<String>,
}

/// One page of topics, with the figures of those on the page alone: a list may have ten thousand.
pub(crate) async fn list(State(door): State<Shared>, Query(asked): Query<Asked>) -> Answer {
    let client = &door.client;
    let (names, nodes) = tokio::join!(client.topic_names(), nodes(client));
    let (names, nodes) = (names?, nodes?);
    let own: BTreeSet<&str> = nodes.iter().flat_map(|node| [node.cluster.as_str(), node.name.as_str()]).collect();
    let search = asked.search.trim().to_ascii_lowercase();
    let wanted = asked.kind.as_deref().unwrap_or("normal");
    let of = |name: &str| if own.contains(name) { Kind::System } else { kind(name) };
    let fits = |name: &String| {
        let kind = serde_json::to_value(of(name)).unwrap_or_default();
        (wanted == "all" || kind == wanted) && (search.is_empty() || name.to_ascii_lowercase().contains(&search))
    };
    let page = page_of(names.into_iter().filter(fits).collect(), asked.page, asked.size);
    let masters = &masters_of(&nodes)?;
    let items = in_parallel(page.items, |topic| async move { summary(client, masters, topic).await }).await;
    let items: Vec<Row> = items.into_iter().map(|row| Row { kind: of(&row.topic), ..row }).collect();
    Ok(Json(json!({ "total": page.total, "page": page.page, "pageSize": page.page_size, "items": items })))
}

async fn summary(client: &Client, masters: &[Node], topic: String) -> Row {
    let mut row =
        Row { kind: Kind::Normal, read_queues: 0, write_queues: 0, perm: 0, brokers: 0, tps: 0.0, error: None, topic };
    let route = match client.route(&row.topic).await {
        Ok(route) => route,
        Err(why) => return Row { error: Some(Failure::from(why).sentence().to_owned()), ..row },
    };
    row.brokers = route.queue_datas.len();
    for queues in &route.queue_datas {
        row.read_queues = row.read_queues.saturating_add(queues.read_queue_nums);
        row.write_queues = row.write_queues.saturating_add(queues.write_queue_nums);
        row.perm |= queues.perm;
        let master = masters.iter().find(|master| master.name == queues.broker_name);
        // A broker that has stored none of the topic's messages knows no such statistic.
        if let Some(master) = master
            && let Ok(stats) = client.stats(&master.address, TOPIC_PUT_NUMS, &row.topic).await
        {
            row.tps += stats.stats_minute.tps;
        }
    }
    row
}

/// One topic: route, ranges of its queues, who consumes it and how far.
pub(crate) async fn one(State(door): State<Shared>, Path(topic): Path<String>) -> Answer {
    let client = &door.client;
    let topic = TopicName::parse(&topic)?;
    // A page left open after a deletion must not look to name servers like a client that wants the topic.
    if !is_there(client, &topic).await? {
        return Err(Failure::absent(format!("there is no topic [{topic}]")));
    }
    let (route, stats, groups) =
        tokio::join!(client.route(topic.as_str()), client.topic_stats(&topic), client.groups_of_topic(&topic));
    let route = route?;
    let stats = stats?;
    let masters = &masters(client).await?;
    let of_topic = &topic;
    let groups: Vec<String> = groups.unwrap_or_default().into_iter().take(GROUPS_MAX).collect();
    let groups =
        in_parallel(groups, |group| async move { standing(client, masters, group, Some(of_topic)).await }).await;
    let queues: Vec<Value> = stats
        .iter()
        .map(|(queue, at)| {
            json!({
                "broker": queue.broker_name, "queue": queue.queue_id, "min": at.min_offset, "max": at.max_offset,
                "lastMs": at.last_update_timestamp,
            })
        })
        .collect();
    Ok(Json(json!({
        "topic": topic, "kind": kind(topic.as_str()), "route": route, "queues": queues,
        "groups": groups,
    })))
}

/// Whether a topic is there. Not by its route, since a name server would tell that somebody wants it.
async fn is_there(client: &Client, topic: &TopicName) -> Result<bool, ClientError> {
    Ok(client.topic_names().await?.iter().any(|known| known == topic.as_str()))
}

/// Topics that clients want and that are not there.
pub(crate) async fn missing(State(door): State<Shared>) -> Json<Value> {
    Json(json!({ "items": door.client.missing_topics().await }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PutTopic {
    read_queues: i32,
    write_queues: i32,
    perm: i32,
    #[serde(default)]
    order: bool,
    /// Names of brokers; all of them when there is none.
    #[serde(default)]
    brokers: Vec<String>,
    /// Whether a topic that is there already is meant to be changed.
    #[serde(default)]
    replace: bool,
}

/// Creates a topic, or changes it.
pub(crate) async fn put(
    State(door): State<Shared>,
    Path(topic): Path<String>,
    Json(given): Json<PutTopic>,
) -> Answer<Done> {
    let client = &door.client;
    let name = TopicName::parse(&topic)?;
    for (what, queues) in [("readQueues", given.read_queues), ("writeQueues", given.write_queues)] {
        if !(1..=QUEUES_MAX).contains(&queues) {
            return Err(Failure::bad(format!("{what} = {queues} is not allowed; allowed: 1 to {QUEUES_MAX}")));
        }
    }
    if !matches!(given.perm, 2 | 4 | 6) {
        return Err(Failure::bad(format!("perm = {} is not allowed; allowed: 2 write, 4 read, 6 both", given.perm)));
    }
    if !given.replace && is_there(client, &name).await? {
        return Err(Failure::conflict(format!("there is a topic [{name}] already; edit it instead")));
    }
    let targets = targets(client, &given.brokers).await?;
    let config = TopicConfig {
        topic_name: topic,
        read_queue_nums: given.read_queues,
        write_queue_nums: given.write_queues,
        perm: given.perm,
        order: given.order,
        ..TopicConfig::default()
    };
    for target in &targets {
        client.put_topic(&target.address, &config).await?;
        if given.order {
            client.merge_order_conf(name.as_str(), &target.name, given.write_queues).await?;
        }
    }
    let at: Vec<&str> = targets.iter().map(|target| target.name.as_str()).collect();
    Ok(Done::noted(format!(
        "read {} write {} perm {} order {} at {}",
        given.read_queues,
        given.write_queues,
        given.perm,
        given.order,
        at.join(",")
    )))
}

/// The primaries of those names; all when none is named.
pub(crate) async fn targets(client: &Client, names: &[String]) -> Result<Vec<Node>, Failure> {
    let mut masters = masters(client).await?;
    if let Some(unknown) = names.iter().find(|name| !masters.iter().any(|master| master.name == **name)) {
        return Err(Failure::absent(format!("no primary of the broker [{unknown}] is registered")));
    }
    masters.retain(|master| names.is_empty() || names.contains(&master.name));
    Ok(masters)
}

/// Deletes a topic everywhere: at every primary, then its routes.
pub(crate) async fn remove(State(door): State<Shared>, Path(topic): Path<String>) -> Answer<Done> {
    let client = &door.client;
    let name = TopicName::parse(&topic)?;
    let nodes = nodes(client).await?;
    let of_system = kind(name.as_str()) == Kind::System
        || nodes.iter().any(|node| node.cluster == name.as_str() || node.name == name.as_str());
    if of_system {
        return Err(Failure::conflict(format!("[{name}] belongs to the system and stays")));
    }
    for node in nodes.iter().filter(|node| node.id == 0) {
        client.delete_topic(&node.address, &name).await?;
    }
    client.delete_topic_routes(name.as_str()).await?;
    Ok(Done::noted(""))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Send {
    #[serde(default)]
    tags: String,
    #[serde(default)]
    keys: String,
    #[serde(default)]
    body: String,
    /// The body in base64, in place of a text.
    body_base64: Option<String>,
    #[serde(default)]
    delay_level: u8,
    #[serde(default)]
    properties: BTreeMap<String, String>,
    /// A queue to send to, in place of any.
    broker: Option<String>,
    queue: Option<i32>,
}

/// Sends a test message.
pub(crate) async fn send(
    State(door): State<Shared>,
    Path(topic): Path<String>,
    Json(given): Json<Send>,
) -> Answer<Done> {
    let client = &door.client;
    let topic = TopicName::parse(&topic)?;
    // A send would create a topic whose name was mistyped.
    client.route(topic.as_str()).await?;
    let body = match &given.body_base64 {
        Some(text) => base64_bytes(text).ok_or_else(|| Failure::bad("bodyBase64 is no base64"))?,
        None => given.body.clone().into_bytes(),
    };
    let properties = message_properties(&given)?;
    let message = Outgoing { group: SENDER_GROUP, topic: &topic, flag: 0, properties, body: &body };
    let sent = match (&given.broker, given.queue) {
        (Some(broker), Some(queue_id)) => {
            let address = client.broker_of_topic(topic.as_str(), broker).await?;
            let queue = MessageQueue { topic: topic.to_string(), broker_name: broker.clone(), queue_id };
            client.send_to(&message, &queue, &address).await?
        }
        _ => client.send(&message).await?,
    };
    Ok(Done::noted(format!("{} bytes, id {}", body.len(), sent.id)).telling(json!({
        "status": sent.status.name(), "id": sent.id, "offsetId": sent.offset_id,
        "broker": sent.queue.broker_name, "queue": sent.queue.queue_id, "queueOffset": sent.queue_offset,
    })))
}

fn message_properties(given: &Send) -> Result<Properties, Failure> {
    let mut all = Properties::new();
    for (name, value) in &given.properties {
        if properties::RESERVED.contains(&name.as_str()) {
            return Err(Failure::bad(format!("the property {name:?} belongs to the system")));
        }
        all.set(name, value);
    }
    let level = if given.delay_level == 0 { String::new() } else { given.delay_level.to_string() };
    for (name, value) in [(properties::TAGS, &given.tags), (properties::KEYS, &given.keys), (properties::DELAY, &level)]
    {
        if !value.trim().is_empty() {
            all.set(name, value.trim());
        }
    }
    let legal = |(name, value): (&str, &str)| {
        let clean = |text: &str| !text.contains([properties::NAME_END, properties::PAIR_END]);
        !name.is_empty() && clean(name) && clean(value)
    };
    if all.iter().all(legal) {
        Ok(all)
    } else {
        Err(Failure::bad("a property has a name, and neither name nor value has the characters U+0001 and U+0002"))
    }
}

/// What a page is told when nothing is found is a list without entries, not a failure.
pub(crate) fn none_if_absent<T: Default>(found: Result<T, ClientError>) -> Result<T, Failure> {
    match found.map_err(Failure::from) {
        Err(why) if why.is_absent() => Ok(T::default()),
        other => other,
    }
}

/// The rows of messages.
pub(crate) fn rows(messages: &[kerolox_client::Message]) -> Vec<Value> {
    messages.iter().map(row).collect()
}
