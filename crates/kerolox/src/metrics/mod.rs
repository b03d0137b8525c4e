//! `/metrics`, `/healthz` and `/readyz` of a node, over plain HTTP on a port of their own.

mod broker;
mod namesrv;
mod process;
pub(crate) mod sheet;
mod text;

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use kerolox_console::http::{self, Server};
use tokio::sync::Mutex;

use crate::config::table::MetricsKeys;
use crate::otel::Exports;
use crate::serve::{Refused, listen_addr};

/// The roles of this process that can be looked at.
#[derive(Clone, Default)]
pub(crate) struct Watched {
    pub(crate) broker: Option<kerolox_broker::Watch>,
    pub(crate) namesrv: Option<kerolox_namesrv::Watch>,
    /// What is exported of them, and how that goes.
    pub(crate) exports: Option<Arc<Exports>>,
}

/// Figures of these roles.
#[derive(Debug)]
pub(crate) struct Figures {
    broker: Option<kerolox_broker::Figures>,
    namesrv: Option<kerolox_namesrv::Figures>,
    /// Name, help and count of what happened on the way to a collector.
    exports: Vec<(&'static str, &'static str, u64)>,
}

impl Watched {
    /// All figures, `most` of each kind of name one by one at most; none once a role has ended.
    pub(crate) fn figures(&self, most: usize) -> Option<Figures> {
        let broker = self.broker.as_ref().map(|watch| watch.figures(most));
        let namesrv = self.namesrv.as_ref().map(|watch| watch.figures(most));
        if matches!(broker, Some(None)) || matches!(namesrv, Some(None)) {
            return None;
        }
        let exports = self.exports.as_ref().map(|exports| exports.rows()).unwrap_or_default();
        Some(Figures { broker: broker.flatten(), namesrv: namesrv.flatten(), exports })
    }

    /// Whether clients can find and use all of them.
    fn ready(&self) -> Result<(), String> {
        self.namesrv.as_ref().map_or(Ok(()), kerolox_namesrv::Watch::ready)?;
        self.broker.as_ref().map_or(Ok(()), kerolox_broker::Watch::ready)
    }
}

/// What the pages are made from.
struct Source {
    watched: Watched,
    most: usize,
    /// One scrape at a time: a page of thousands of topics is work.
    scraping: Mutex<()>,
}

/// Serves the pages where that is wanted. A port that nobody chose and that is taken is no reason not to start.
///
/// # Errors
/// When the port that was chosen cannot be listened on.
pub(crate) async fn start(keys: &MetricsKeys, chosen: bool, watched: Watched) -> Result<Option<Server>, Refused> {
    if keys.port == 0 {
        return Ok(None);
    }
    let listen = listen_addr(&keys.bind_address, keys.port);
    let source = Arc::new(Source { watched, most: keys.series_max, scraping: Mutex::new(()) });
    let router = Router::new()
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .with_state(source);
    match http::serve(listen, router).await {
        Ok(server) => {
            tracing::info!(addr = %server.local_addr(), "metrics are served");
            Ok(Some(server))
        }
        Err(why) if chosen => {
            Err(Refused::start(format!("metrics cannot be served on {listen}: {why}; set metricsPort to another port")))
        }
        Err(why) => {
            tracing::warn!("the node runs without metrics: {listen} cannot be listened on: {why}");
            Ok(None)
        }
    }
}

async fn metrics(State(source): State<Arc<Source>>) -> Response {
    let _one = source.scraping.lock().await;
    let (watched, most) = (source.watched.clone(), source.most);
    let made = tokio::task::spawn_blocking(move || watched.figures(most).map(text::page)).await;
    match made {
        Ok(Some(Ok(text))) => ([(header::CONTENT_TYPE, text::CONTENT_TYPE)], text).into_response(),
        Ok(Some(Err(_))) | Err(_) => {
            (StatusCode::INTERNAL_SERVER_ERROR, "the figures could not be written\n").into_response()
        }
        Ok(None) => (StatusCode::SERVICE_UNAVAILABLE, "the node has ended\n").into_response(),
    }
}

async fn ready(State(source): State<Arc<Source>>) -> Response {
    match source.watched.ready() {
        Ok(()) => "ready\n".into_response(),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {why}\n")).into_response(),
    }
}
