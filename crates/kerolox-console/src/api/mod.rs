//! What pages ask, one file a subject.

mod acl;
mod audit;
mod brokers;
pub(crate) mod cluster;
pub(crate) mod dead_letters;
mod delays;
mod groups;
mod login;
mod messages;
mod overview;
mod producers;
mod replays;
mod topics;
mod trace;
mod transactions;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post, put};

use crate::door::Shared;

/// Largest body of a request that carries a message: 4 MiB of it, which as text in JSON may double.
const MESSAGE_REQUEST_SIZE_MAX: usize = 9 * 1024 * 1024;

/// Changing calls that read-only accounts may make too: they concern themselves alone.
pub(crate) const FOR_ALL: &[&str] = &["/api/logout", "/api/password"];

/// Calls of who is not logged in.
pub(crate) fn outside() -> Router<Shared> {
    Router::new().route("/api/login", post(login::login))
}

/// Calls of who is logged in.
pub(crate) fn inside() -> Router<Shared> {
    Router::new()
        .route("/api/session", get(login::session))
        .route("/api/logout", post(login::logout))
        .route("/api/password", post(login::password))
        .route("/api/accounts", get(login::accounts))
        .route("/api/accounts/{name}", put(login::put_account).delete(login::delete_account))
        .route("/api/audit", get(audit::list))
        .route("/api/live", get(overview::live))
        .route("/api/findings", get(overview::findings))
        .route("/api/brokers", get(brokers::list))
        .route("/api/brokers/{name}/{id}", get(brokers::one))
        .route("/api/brokers/{name}/{id}/config", put(brokers::change))
        .route("/api/topics", get(topics::list))
        .route("/api/topics/{topic}", get(topics::one).put(topics::put).delete(topics::remove))
        .route("/api/groups", get(groups::list))
        .route("/api/groups/{group}", get(groups::one).put(groups::put).delete(groups::remove))
        .route("/api/groups/{group}/owners", get(groups::owners))
        .route("/api/groups/{group}/client", get(groups::client))
        .route("/api/groups/{group}/reset", post(groups::reset))
        .route("/api/producers", get(producers::list))
        .route("/api/messages", get(messages::by_time))
        .route("/api/messages/by-key", get(messages::by_key))
        .route("/api/messages/by-id", get(messages::by_id))
        .route("/api/messages/body", get(messages::body))
        .route("/api/messages/track", get(messages::track))
        .route("/api/messages/resend", post(messages::resend))
        .route("/api/dead-letters", get(dead_letters::groups))
        .route("/api/dead-letters/{group}/replay", post(dead_letters::replay))
        .route("/api/dead-letters/{group}/export", get(dead_letters::export))
        .route(
            "/api/dead-letters/{group}/run",
            get(replays::one).post(replays::begin).put(replays::change).delete(replays::forget),
        )
        .route("/api/trace", get(trace::trace))
        .route("/api/delays", get(delays::list))
        .route("/api/delays/timers", get(delays::timers))
        .route("/api/delays/levels/{broker}/{level}", get(delays::level))
        .route("/api/delays/cancel", post(delays::cancel))
        .route("/api/transactions", get(transactions::list))
        .route("/api/missing-topics", get(topics::missing))
        .route("/api/acl", get(acl::list))
        .route("/api/acl/accounts/{key}", put(acl::put).delete(acl::remove))
        .route("/api/acl/white", put(acl::white))
}

/// Calls that carry a message.
pub(crate) fn with_message() -> Router<Shared> {
    Router::new()
        .route("/api/topics/{topic}/send", post(topics::send))
        .layer(DefaultBodyLimit::max(MESSAGE_REQUEST_SIZE_MAX))
}
