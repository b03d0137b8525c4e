//! Producers: all that are connected, where brokers tell; those of one group at any broker.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::{Query, State};
use kerolox_wire::names::TopicName;
use serde::Deserialize;
use serde_json::{Value, json};

use super::cluster::{in_parallel, masters, page_of};
use crate::door::Shared;
use crate::error::{Answer, Failure};

#[derive(Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    group: String,
    #[serde(default)]
    topic: String,
    #[serde(default)]
    search: String,
    page: Option<usize>,
    size: Option<usize>,
}

/// With a group and a topic: who sends for the group. Otherwise one page of all producers, and the brokers that do not tell
/// them: RocketMQ does from 5.0 on.
pub(crate) async fn list(State(door): State<Shared>, Query(asked): Query<Asked>) -> Answer {
    let client = &door.client;
    if !asked.group.trim().is_empty() && !asked.topic.trim().is_empty() {
        let topic = TopicName::parse(asked.topic.trim())?;
        let found = client.producer_connection(asked.group.trim(), topic.as_str()).await?;
        return Ok(Json(json!({ "items": found.connection_set })));
    }
    let told = in_parallel(masters(client).await?, |master| async move {
        (client.all_producers(&master.address).await, master.name)
    });
    let word = asked.search.trim().to_ascii_lowercase();
    let fits = |text: &str| text.to_ascii_lowercase().contains(&word);
    // One client is connected to several brokers and is one row.
    let mut rows: BTreeMap<(String, String), Value> = BTreeMap::new();
    let mut silent = Vec::new();
    for (answer, broker) in told.await {
        let table = match answer {
            Ok(Some(table)) => table,
            Ok(None) => {
                silent.push(json!({ "broker": broker, "old": true }));
                continue;
            }
            Err(why) => {
                silent.push(json!({ "broker": broker, "error": Failure::from(why).sentence() }));
                continue;
            }
        };
        for (group, members) in table.data {
            for one in members.into_iter().filter(|one| fits(&group) || fits(&one.client_id) || fits(&one.remote_ip)) {
                let row = json!({
                    "group": group, "clientId": one.client_id, "clientAddr": one.remote_ip.trim_start_matches('/'),
                    "language": one.language, "version": one.version, "lastMs": one.last_update_timestamp,
                });
                rows.insert((group.clone(), one.client_id), row);
            }
        }
    }
    let page = page_of(rows.into_values().collect(), asked.page, asked.size);
    Ok(Json(json!({
        "total": page.total, "page": page.page, "pageSize": page.page_size, "items": page.items, "silent": silent,
    })))
}
