//! The run that sends a group's dead letters again.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use kerolox_wire::names::GroupName;
use serde::Deserialize;
use serde_json::{Value, json};

use super::dead_letters::Target;
use crate::door::Shared;
use crate::error::{Answer, Failure};
use crate::guard::Done;
use crate::replays::{RATE_MAX, Run, State as Standing, Wanted};

fn told(run: &Run) -> Value {
    let mut told = json!(run);
    if let Some(fields) = told.as_object_mut() {
        fields.remove("places");
        fields.insert("left".to_owned(), json!(run.left()));
    }
    told
}

/// Where the run of a group stands; nothing when there is none.
pub(crate) async fn one(State(door): State<Shared>, Path(group): Path<String>) -> Json<Value> {
    Json(json!({ "run": door.replays.get(&group).as_ref().map(told) }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Begin {
    to: Target,
    per_second: u32,
    #[serde(default)]
    wanted: Wanted,
}

/// Begins a run.
pub(crate) async fn begin(
    State(door): State<Shared>,
    Path(group): Path<String>,
    Json(given): Json<Begin>,
) -> Answer<Done> {
    let group = GroupName::parse(&group)?;
    check_rate(given.per_second)?;
    let run = door.replays.begin(&door.client, &group, given.to, given.per_second, given.wanted).await?;
    go_on(&door, group);
    let said = format!("{} dead letters to {} at {}/s", run.left(), run.to.name(), run.per_second);
    Ok(Done::noted(said).telling(json!({ "run": told(&run) })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Change {
    run: Option<bool>,
    per_second: Option<u32>,
}

/// Pauses a run or lets it go on, or gives it another rate.
pub(crate) async fn change(
    State(door): State<Shared>,
    Path(group): Path<String>,
    Json(given): Json<Change>,
) -> Answer<Done> {
    let group = GroupName::parse(&group)?;
    if let Some(rate) = given.per_second {
        check_rate(rate)?;
    }
    let mut begins = false;
    let run = door.replays.change(group.as_str(), |run| {
        if let Some(rate) = given.per_second {
            run.per_second = rate;
        }
        match given.run {
            Some(true) => begins = run.go_on(),
            Some(false) if run.state == Standing::Running => run.state = Standing::Paused,
            _ => {}
        }
    });
    let run = run.await?;
    if begins {
        go_on(&door, group);
    }
    Ok(Done::noted(format!("{:?} at {}/s", run.state, run.per_second)).telling(json!({ "run": told(&run) })))
}

/// Forgets a run that does not run.
pub(crate) async fn forget(State(door): State<Shared>, Path(group): Path<String>) -> Answer<Done> {
    door.replays.forget(&group).await?;
    Ok(Done::noted(""))
}

fn check_rate(rate: u32) -> Result<(), Failure> {
    if (1..=RATE_MAX).contains(&rate) {
        Ok(())
    } else {
        Err(Failure::bad(format!("perSecond = {rate} is not allowed; allowed: 1 to {RATE_MAX}")))
    }
}

fn go_on(door: &Shared, group: GroupName) {
    let (replays, client) = (Arc::clone(&door.replays), door.client.clone());
    tokio::spawn(async move { replays.run(&client, &group).await });
}
