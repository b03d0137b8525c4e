//! Brokers: figures and settings.

use axum::Json;
use axum::extract::{Path, State};
use kerolox_client::Client;
use serde::Deserialize;
use serde_json::json;

use super::cluster::{Node, in_parallel, nodes};
use crate::door::Shared;
use crate::error::{Answer, Failure};
use crate::guard::Done;
use crate::live::figures;

/// Settings that are offered for editing: those that change how a running broker treats clients, and nothing about
/// paths, addresses, names or accounts, which 4.7.1 would take.
const EDITABLE: [&str; 10] = [
    "brokerPermission",
    "autoCreateTopicEnable",
    "autoCreateSubscriptionGroup",
    "longPollingEnable",
    "shortPollingTimeMills",
    "notifyConsumerIdsChangedEnable",
    "traceOn",
    "fileReservedTime",
    "deleteWhen",
    "accessMessageInMemoryMaxRatio",
];
/// Longest value, bytes.
const VALUE_SIZE_MAX: usize = 200;
/// What stands in place of a secret: 4.7.1 shows its own.
const MASK: &str = "******";

/// All brokers with their figures.
pub(crate) async fn list(State(door): State<Shared>) -> Answer {
    let client = &door.client;
    let found = in_parallel(nodes(client).await?, |node| figures(client, node)).await;
    Ok(Json(json!({ "items": found, "nameServers": client.name_servers() })))
}

/// One broker: figures and settings.
pub(crate) async fn one(State(door): State<Shared>, Path((name, id)): Path<(String, i64)>) -> Answer {
    let node = find(&door.client, &name, id).await?;
    let (runtime, config) =
        tokio::join!(door.client.runtime_info(&node.address), door.client.broker_config(&node.address));
    let (runtime, mut config) = (runtime?, config?);
    for (key, value) in &mut config {
        let key = key.to_ascii_lowercase();
        let secret = ["secret", "password", "credential", "accesskey"].iter().any(|word| key.contains(word));
        if secret && !value.is_empty() {
            MASK.clone_into(value);
        }
    }
    let editable: Vec<&str> = EDITABLE.into_iter().filter(|key| config.contains_key(*key)).collect();
    Ok(Json(json!({ "node": node, "runtime": runtime, "config": config, "editable": editable })))
}

async fn find(client: &Client, name: &str, id: i64) -> Result<Node, Failure> {
    let nodes = nodes(client).await?;
    let found = nodes.into_iter().find(|node| node.name == name && node.id == id);
    found.ok_or_else(|| Failure::absent(format!("no broker [{name}] with id {id} is registered at the name server")))
}

#[derive(Deserialize)]
pub(crate) struct Setting {
    key: String,
    value: String,
}

/// Changes one setting.
pub(crate) async fn change(
    State(door): State<Shared>,
    Path((name, id)): Path<(String, i64)>,
    Json(given): Json<Setting>,
) -> Answer<Done> {
    if !EDITABLE.contains(&given.key.as_str()) {
        return Err(Failure::bad(format!("{:?} cannot be changed here; allowed: {}", given.key, EDITABLE.join(", "))));
    }
    if given.value.len() > VALUE_SIZE_MAX || given.value.chars().any(char::is_control) {
        return Err(Failure::bad(format!("a value has at most {VALUE_SIZE_MAX} bytes and no control characters")));
    }
    let node = find(&door.client, &name, id).await?;
    door.client.set_broker_config(&node.address, &given.key, &given.value).await?;
    Ok(Done::noted(format!("{}={}", given.key, given.value)))
}
