//! Accounts of the brokers (access control of the 4.x kind). Secrets go in and never come out.

use axum::Json;
use axum::extract::{Path, State};
use kerolox_wire::command::admin::UpdateAccessConfig;
use serde::Deserialize;
use serde_json::{Value, json};

use super::cluster::{in_parallel, masters};
use crate::door::Shared;
use crate::error::{Answer, Failure};
use crate::guard::Done;

/// Accounts and addresses at each primary; one without access control says so.
pub(crate) async fn list(State(door): State<Shared>) -> Answer {
    let client = &door.client;
    let items = in_parallel(masters(client).await?, |master| async move {
        match client.accounts(&master.address).await {
            Ok(known) => {
                let accounts: Vec<Value> = known
                    .plain_access_configs
                    .iter()
                    .map(|one| {
                        json!({
                            "accessKey": one.access_key, "admin": one.admin, "white": one.white_remote_address,
                            "topicPerm": one.default_topic_perm, "groupPerm": one.default_group_perm,
                            "topicPerms": one.topic_perms, "groupPerms": one.group_perms,
                        })
                    })
                    .collect();
                json!({ "broker": master.name, "white": known.global_white_addrs, "accounts": accounts })
            }
            Err(why) => json!({ "broker": master.name, "error": Failure::from(why).sentence() }),
        }
    });
    Ok(Json(json!({ "items": items.await })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Put {
    /// Empty: as it was.
    #[serde(default)]
    secret_key: String,
    #[serde(default)]
    white: String,
    #[serde(default)]
    admin: bool,
    topic_perm: String,
    group_perm: String,
    /// `name=permission`, one each.
    #[serde(default)]
    topic_perms: Vec<String>,
    #[serde(default)]
    group_perms: Vec<String>,
}

const PERMISSIONS: [&str; 4] = ["DENY", "PUB", "SUB", "PUB|SUB"];

/// Creates an account at every primary, or changes it.
pub(crate) async fn put(
    State(door): State<Shared>,
    Path(access_key): Path<String>,
    Json(given): Json<Put>,
) -> Answer<Done> {
    for perm in [&given.topic_perm, &given.group_perm] {
        if !PERMISSIONS.contains(&perm.as_str()) {
            return Err(Failure::bad(format!("the permission {perm:?} is none of {}", PERMISSIONS.join(", "))));
        }
    }
    for pair in given.topic_perms.iter().chain(&given.group_perms) {
        let known = pair.split_once('=').is_some_and(|(name, perm)| !name.is_empty() && PERMISSIONS.contains(&perm));
        if !known || pair.contains(',') {
            return Err(Failure::bad(format!("{pair:?} is no name=permission with one of {}", PERMISSIONS.join(", "))));
        }
    }
    let text = |text: &str| Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    let account = UpdateAccessConfig {
        access_key: access_key.clone(),
        secret_key: text(&given.secret_key),
        white_remote_address: text(&given.white),
        admin: given.admin,
        default_topic_perm: Some(given.topic_perm),
        default_group_perm: Some(given.group_perm),
        topic_perms: text(&given.topic_perms.join(",")),
        group_perms: text(&given.group_perms.join(",")),
    };
    for master in masters(&door.client).await? {
        door.client.put_account(&master.address, &account).await?;
    }
    let secret = if account.secret_key.is_some() { "with a new secret" } else { "same secret" };
    Ok(Done::noted(format!("admin {} {secret}", account.admin)))
}

/// Deletes an account at every primary.
pub(crate) async fn remove(State(door): State<Shared>, Path(access_key): Path<String>) -> Answer<Done> {
    for master in masters(&door.client).await? {
        door.client.delete_account(&master.address, &access_key).await?;
    }
    Ok(Done::noted(""))
}

#[derive(Deserialize)]
pub(crate) struct White {
    addresses: String,
}

/// Replaces the addresses, joined by commas, whose requests are not checked.
pub(crate) async fn white(State(door): State<Shared>, Json(given): Json<White>) -> Answer<Done> {
    for master in masters(&door.client).await? {
        door.client.set_global_white_addresses(&master.address, given.addresses.trim()).await?;
    }
    Ok(Done::noted(given.addresses))
}
