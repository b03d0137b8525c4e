//! `/metrics`, `/healthz` and `/readyz` of a broker, over plain HTTP on a port of their own.

mod page;
mod process;

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use kerolox_broker::Watch;
use kerolox_console::http::{self, Server};
use tokio::sync::Mutex;

/// What the pages are made from.
struct Source {
    watch: Watch,
    /// Topics, and pairs of group and topic, that are told one by one.
    most: usize,
    /// One scrape at a time: a page of thousands of topics is work.
    scraping: Mutex<()>,
}

/// Listens on `listen` and answers for the broker behind `watch`.
///
/// # Errors
/// When the address cannot be listened on.
pub(crate) async fn start(listen: SocketAddr, watch: Watch, most: usize) -> std::io::Result<Server> {
    let source = Arc::new(Source { watch, most, scraping: Mutex::new(()) });
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(source);
    http::serve(listen, router).await
}

async fn metrics(State(source): State<Arc<Source>>) -> Response {
    let _one = source.scraping.lock().await;
    let (watch, most) = (source.watch.clone(), source.most);
    let made = tokio::task::spawn_blocking(move || watch.figures(most).map(page::page)).await;
    match made {
        Ok(Some(Ok(text))) => ([(header::CONTENT_TYPE, page::CONTENT_TYPE)], text).into_response(),
        Ok(Some(Err(_))) | Err(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "the figures could not be written\n").into_response()
        }
        Ok(None) => (StatusCode::SERVICE_UNAVAILABLE, "the broker has ended\n").into_response(),
    }
}

async fn ready(State(source): State<Arc<Source>>) -> Response {
    match source.watch.ready() {
        Ok(()) => "ready\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")).into_response(),
    }
}
