//! The audit log.

use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::json;

use crate::door::Shared;
use crate::error::{Answer, Failure};
use crate::guard::Who;
use crate::sessions::AccountRole;

/// Entries of one answer.
const ENTRIES_MAX: usize = 200;

#[derive(Deserialize)]
pub(crate) struct Asked {
    #[serde(default)]
    search: String,
}

/// The newest entries with a word in them.
pub(crate) async fn list(State(door): State<Shared>, Extension(caller): Who, Query(asked): Query<Asked>) -> Answer {
    if caller.role < AccountRole::Admin {
        return Err(Failure::new(StatusCode::FORBIDDEN, "the audit log is shown to administrators"));
    }
    Ok(Json(json!({ "items": door.audit.recent(asked.search.trim(), ENTRIES_MAX) })))
}
