//! Figures over time, as a stream.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::{Extension, Json};
use futures_util::{Stream, stream};
use kerolox_client::findings::{Scope, judge};
use serde_json::{Value, json};

use crate::door::Shared;
use crate::error::{Answer, Failure};
use crate::guard::Who;
use crate::live::Look;

/// Without news a stream says so, so that either side learns that the other has gone.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What is wrong with the cluster and what mends it, by the rules of `mqadmin doctor`. The topics are left out: there may
/// be thousands, and each costs a question.
pub(crate) async fn findings(State(door): State<Shared>) -> Json<Value> {
    let facts = door.client.gather(Scope { topics: false, host: false }).await;
    Json(json!({ "items": judge(&facts) }))
}

/// First `history` with what is remembered, then a `look` each time one is taken, until the session ends.
pub(crate) async fn live(
    State(door): State<Shared>,
    Extension(caller): Who,
) -> Answer<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    let (history, news) = door
        .live
        .watch()
        .map_err(|_| Failure::new(StatusCode::SERVICE_UNAVAILABLE, "too many pages watch already; close some"))?;
    let start = (door, caller.token, news, Some(history));
    let events = stream::unfold(start, |(door, token, mut news, mut history)| async move {
        if let Some(history) = history.take() {
            let history: Vec<&Look> = history.iter().map(Arc::as_ref).collect();
            return Some((Ok(event("history", &history)), (door, token, news, None)));
        }
        let look: Arc<Look> = loop {
            news.changed().await.ok()?;
            if let Some(look) = news.borrow_and_update().clone() {
                break look;
            }
        };
        // A page that stays open must not see more than its session lasts.
        if !door.sessions.lock().stands(&token, door.now()) {
            return None;
        }
        Some((Ok(event("look", &*look)), (door, token, news, None)))
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)))
}

fn event(name: &str, data: &(impl serde::Serialize + ?Sized)) -> Event {
    Event::default().event(name).json_data(data).unwrap_or_else(|why| Event::default().comment(why.to_string()))
}
