//! Export to a collector of OpenTelemetry: OTLP over HTTP, off unless a collector is named.
//!
//! Nothing waits for a collector: figures are worked out when they are due, and what cannot be delivered is counted.

mod collector;
mod metrics;
mod proto;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use prost::Message;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};

use crate::clock::wall_nanos;
use crate::config::table::MetricsKeys;
use crate::metrics::{Figures, Watched};
use collector::Collector;
pub(crate) use collector::{endpoint, headers};
use proto::{Export, KeyValue, Resource, ResourceMetrics, Scope, ScopeMetrics};

/// Longest time that the last message may take once the node ends.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// How it goes, for the figures.
#[derive(Debug, Default)]
pub(crate) struct Exports {
    done: AtomicU64,
    failed: AtomicU64,
}

impl Exports {
    /// Name, help and count.
    pub(crate) fn rows(&self) -> Vec<(&'static str, &'static str, u64)> {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        vec![
            ("kerolox_otel_exports", "Messages that the collector took", read(&self.done)),
            ("kerolox_otel_exports_failed", "Messages that the collector did not take", read(&self.failed)),
        ]
    }
}

/// What a process is called at a collector.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// `kerolox-broker` or `kerolox-namesrv`, unless the settings say otherwise.
    pub(crate) service: &'static str,
    /// Its cluster, where it has one.
    pub(crate) cluster: Option<String>,
    /// What tells it from others of its kind.
    pub(crate) instance: String,
}

/// An export at work.
#[derive(Debug)]
pub(crate) struct Exporter {
    end: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Exporter {
    /// Begins, where a collector is named; `watched` hears how it goes.
    ///
    /// # Errors
    /// A sentence: the collector's certificates cannot be used.
    pub(crate) fn start(keys: &MetricsKeys, watched: &mut Watched, who: Identity) -> Result<Option<Self>, String> {
        if keys.otel_endpoint.is_empty() {
            return Ok(None);
        }
        let collector = Collector::of(keys)?;
        let exports = Arc::new(Exports::default());
        watched.exports = Some(Arc::clone(&exports));
        tracing::info!(collector = keys.otel_endpoint, "figures are exported");
        let (end, ended) = watch::channel(false);
        let line = Line { collector, exports, failing: false };
        let source = Source {
            watched: watched.clone(),
            most: keys.series_max,
            resource: resource(keys, who),
            started: wall_nanos(),
            every: keys.otel_metrics_interval,
        };
        Ok(Some(Self { end, task: tokio::spawn(source.export(line, ended)) }))
    }

    /// Ends, the last figures delivered within two seconds.
    pub(crate) async fn shutdown(mut self) {
        self.end.send_replace(true);
        if tokio::time::timeout(END_TIMEOUT, &mut self.task).await.is_err() {
            self.task.abort();
            tracing::warn!("the last figures did not reach the collector within {} s", END_TIMEOUT.as_secs());
        }
    }
}

/// The way to a collector for one kind of message.
struct Line {
    collector: Collector,
    exports: Arc<Exports>,
    /// The last message was not taken: one line in the log is enough until that changes.
    failing: bool,
}

impl Line {
    async fn send(&mut self, signal: &str, message: &impl Message) {
        let done = self.collector.post(signal, message.encode_to_vec()).await;
        let count = if done.is_ok() { &self.exports.done } else { &self.exports.failed };
        count.fetch_add(1, Ordering::Relaxed);
        let to = self.collector.authority();
        match &done {
            Err(why) if !self.failing => {
                tracing::warn!(signal, to, "the collector did not take what was exported, and is asked again: {why}");
            }
            Ok(()) if self.failing => tracing::info!(signal, to, "the collector takes what is exported again"),
            _ => {}
        }
        self.failing = done.is_err();
    }
}

/// Where figures come from, and how often.
struct Source {
    watched: Watched,
    most: usize,
    resource: Resource,
    /// Nanoseconds since 1970.
    started: u64,
    every: Duration,
}

impl Source {
    /// Exports again and again, and once more at the end.
    async fn export(self, mut line: Line, mut ended: watch::Receiver<bool>) {
        let mut due = tokio::time::interval_at(Instant::now() + self.every.min(Duration::from_secs(1)), self.every);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = false;
        while !last {
            tokio::select! {
                _ = due.tick() => {}
                // An error means that nobody is left to end it.
                _ = ended.wait_for(|ended| *ended) => last = true,
            }
            let (watched, most) = (self.watched.clone(), self.most);
            let figures = tokio::task::spawn_blocking(move || watched.figures(most)).await;
            let Ok(Some(figures)) = figures else { return };
            line.send("metrics", &self.message(&figures)).await;
        }
    }

    fn message(&self, figures: &Figures) -> Export<ResourceMetrics> {
        let metrics = metrics::of(figures, self.started, wall_nanos());
        let scope_metrics = vec![ScopeMetrics { scope: Some(scope()), metrics }];
        Export { resources: vec![ResourceMetrics { resource: Some(self.resource.clone()), scope_metrics }] }
    }
}

fn scope() -> Scope {
    Scope { name: "kerolox".to_owned(), version: env!("CARGO_PKG_VERSION").to_owned() }
}

fn resource(keys: &MetricsKeys, who: Identity) -> Resource {
    let name = if keys.otel_service_name.is_empty() { who.service } else { &keys.otel_service_name };
    let mut attributes = vec![
        KeyValue::text("service.name", name),
        KeyValue::text("service.instance.id", who.instance),
        KeyValue::text("service.version", env!("CARGO_PKG_VERSION")),
    ];
    attributes.extend(who.cluster.map(|cluster| KeyValue::text("service.namespace", cluster)));
    Resource { attributes }
}
