//! Messages that a group could not consume: listing, sending them again, saving them.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use kerolox_client::{Client, Message, Outgoing};
use kerolox_wire::names::{DLQ_PREFIX, GroupName, TopicName};
use kerolox_wire::properties;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::cluster::{in_parallel, page_of};
use super::messages::{at_place, row};
use crate::door::Shared;
use crate::error::{Answer, Failure};
use crate::guard::Done;
use crate::span::Span;

/// Messages that one request sends again.
const REPLAY_MAX: usize = 500;
/// Messages that one file holds.
const EXPORT_MAX: usize = 10_000;
/// Messages read at a time for a file.
const EXPORT_STEP: usize = 64;
/// Group that sends them.
const SENDER_GROUP: &str = "CONSOLE_PRODUCER";

#[derive(Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    search: String,
    page: Option<usize>,
    size: Option<usize>,
}

/// Groups that have dead letters, with how many.
pub(crate) async fn groups(State(door): State<Shared>, Query(asked): Query<Asked>) -> Answer {
    let client = &door.client;
    let search = asked.search.trim().to_ascii_lowercase();
    let topics = client.topic_names().await?;
    let groups = topics.iter().filter_map(|topic| topic.strip_prefix(DLQ_PREFIX));
    let fitting = groups.filter(|group| group.to_ascii_lowercase().contains(&search)).map(str::to_owned);
    let page = page_of(fitting.collect(), asked.page, asked.size);
    let items = in_parallel(page.items, |group| async move {
        let topic = TopicName::parse(&format!("{DLQ_PREFIX}{group}"));
        let ranges = match topic {
            Ok(topic) => client.topic_stats(&topic).await.map_err(Failure::from),
            Err(why) => Err(why.into()),
        };
        match ranges {
            Ok(ranges) => {
                let count = ranges.iter().map(|(_, at)| at.max_offset.saturating_sub(at.min_offset)).sum::<i64>();
                let last = ranges.iter().map(|(_, at)| at.last_update_timestamp).max();
                json!({ "group": group, "count": count, "lastMs": last })
            }
            Err(why) => json!({ "group": group, "error": why.sentence() }),
        }
    });
    Ok(Json(json!({
        "total": page.total, "page": page.page, "pageSize": page.page_size, "items": items.await,
    })))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Target {
    /// The group alone, as if the message came from its retry topic.
    Group,
    /// The topic it came from, and so every group.
    Topic,
}

impl Target {
    /// As sentences call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Group => "the group",
            Self::Topic => "the topic",
        }
    }
}

#[derive(Deserialize)]
pub(crate) struct AskedReplay {
    ids: Vec<String>,
    to: Target,
}

/// Sends dead letters again. Each is told apart: what failed can be tried again, and nothing is sent twice by that.
pub(crate) async fn replay(
    State(door): State<Shared>,
    Path(group): Path<String>,
    Json(asked): Json<AskedReplay>,
) -> Answer<Done> {
    let group = GroupName::parse(&group)?;
    if asked.ids.is_empty() || asked.ids.len() > REPLAY_MAX {
        return Err(Failure::bad(format!("{} ids; allowed: 1 to {REPLAY_MAX} in one request", asked.ids.len())));
    }
    let (mut outcomes, mut sent) = (Vec::new(), 0_usize);
    for id in &asked.ids {
        outcomes.push(match again(&door.client, &group, id, asked.to).await {
            Ok(new) => {
                sent += 1;
                json!({ "id": id, "sent": new })
            }
            Err(why) => json!({ "id": id, "error": why.sentence() }),
        });
    }
    Ok(Done::noted(format!("{sent} of {} to {}", asked.ids.len(), asked.to.name()))
        .telling(json!({ "sent": sent, "items": outcomes })))
}

async fn again(client: &Client, group: &GroupName, id: &str, to: Target) -> Result<String, Failure> {
    let found = at_place(client, id).await?;
    let message = found.ok_or_else(|| Failure::absent("the id names no place of this cluster"))?;
    if message.topic.strip_prefix(DLQ_PREFIX) != Some(group.as_str()) {
        return Err(Failure::conflict(format!("it lies in [{}] and is no dead letter of [{group}]", message.topic)));
    }
    send_again(client, group, &message, to).await
}

/// Sends a dead letter of a group again.
pub(crate) async fn send_again(
    client: &Client,
    group: &GroupName,
    message: &Message,
    to: Target,
) -> Result<String, Failure> {
    let origin = message.properties.get(properties::RETRY_TOPIC).map(str::to_owned);
    let topic = match to {
        Target::Group => TopicName::retry_of(group)?,
        Target::Topic => {
            let origin = origin.ok_or_else(|| Failure::conflict("it does not say which topic it came from"))?;
            TopicName::parse(&origin)?
        }
    };
    // A send would create a topic that was deleted meanwhile.
    client.route(topic.as_str()).await?;
    let mut properties = message.properties.clone();
    // It must not wait once more, nor be counted as tried before.
    for spent in [
        properties::DELAY,
        properties::REAL_TOPIC,
        properties::REAL_QID,
        properties::RECONSUME_TIME,
        properties::MIN_OFFSET,
        properties::MAX_OFFSET,
    ] {
        properties.remove(spent);
    }
    let message = Outgoing { group: SENDER_GROUP, topic: &topic, flag: message.flag, properties, body: &message.body };
    Ok(client.send(&message).await?.offset_id)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AskedExport {
    from_ms: Option<i64>,
    to_ms: Option<i64>,
}

/// Dead letters of a span of time as a file, one JSON object a line, newest first.
pub(crate) async fn export(
    State(door): State<Shared>,
    Path(group): Path<String>,
    Query(asked): Query<AskedExport>,
) -> Answer<Response> {
    let group = GroupName::parse(&group)?;
    let topic = TopicName::parse(&format!("{DLQ_PREFIX}{group}"))?;
    let between = (asked.from_ms.unwrap_or(0), asked.to_ms.unwrap_or_else(|| door.wall_ms()));
    let span = Span::open(&door.client, &topic, between).await?;
    let client = door.client.clone();
    let lines = stream::unfold((client, span, 0_usize), |(client, mut span, count)| async move {
        if count >= EXPORT_MAX {
            return None;
        }
        match span.older(&client, EXPORT_STEP).await {
            Ok(page) if page.is_empty() => None,
            Ok(page) => {
                let text: String = page.iter().map(|message| line(message).to_string() + "\n").collect();
                Some((Ok(Bytes::from(text)), (client, span, count + page.len())))
            }
            // The connection ends without its last chunk, so that the reader learns that the file is not whole.
            Err(why) => Some((Err(std::io::Error::other(why.sentence().to_owned())), (client, span, EXPORT_MAX))),
        }
    });
    let name = format!("attachment; filename=\"dead-letters-{}.jsonl\"", group.as_str().replace(['%', '|'], "_"));
    let headers = [(header::CONTENT_TYPE, "application/x-ndjson".to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, Body::from_stream(lines)).into_response())
}

fn line(message: &Message) -> Value {
    use base64ct::{Base64, Encoding};
    let mut line = row(message);
    if let Some(fields) = line.as_object_mut() {
        let properties: std::collections::BTreeMap<&str, &str> = message.properties.iter().collect();
        fields.insert("properties".to_owned(), json!(properties));
        fields.insert("bodyBase64".to_owned(), json!(Base64::encode_string(&message.body)));
    }
    line
}
