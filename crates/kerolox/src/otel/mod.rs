//! Export to a collector of OpenTelemetry: OTLP over HTTP, off unless a collector is named.
//!
//! Nothing waits for a collector: figures are worked out when they are due, spans wait in a bounded list, and what cannot
//! be delivered is counted.

mod collector;
mod metrics;
mod proto;
mod traces;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kerolox_broker::Spans;
use kerolox_wire::clock::Clock;
use prost::Message;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};

use crate::clock::wall_nanos;
use crate::config::table::MetricsKeys;
use crate::metrics::{Figures, Watched};
use collector::Collector;
pub(crate) use collector::{endpoint, headers};
use proto::{Export, KeyValue, Resource, ResourceMetrics, ResourceSpans, Scope, ScopeMetrics, ScopeSpans};
use traces::Moment;

/// Longest time that the last messages may take once the node ends.
const END_TIMEOUT: Duration = Duration::from_secs(2);
/// Time between two exports of spans, unless many wait.
const TRACES_INTERVAL: Duration = Duration::from_secs(2);

/// How it goes, for the figures.
#[derive(Debug, Default)]
pub(crate) struct Exports {
    done: AtomicU64,
    failed: AtomicU64,
    spans: Option<Arc<Spans>>,
}

impl Exports {
    /// Name, help and count.
    pub(crate) fn rows(&self) -> Vec<(&'static str, &'static str, u64)> {
        let read = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let mut rows = vec![
            ("kerolox_otel_exports", "Messages that the collector took", read(&self.done)),
            ("kerolox_otel_exports_failed", "Messages that the collector did not take", read(&self.failed)),
        ];
        if let Some(spans) = &self.spans {
            let (ended, dropped) = spans.counts();
            rows.push(("kerolox_otel_spans", "Spans of sends and pulls", ended));
            rows.push(("kerolox_otel_spans_dropped", "Spans that did not reach the collector", dropped));
        }
        rows
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

/// Where spans come from.
pub(crate) struct Traced {
    pub(crate) spans: Arc<Spans>,
    /// The clock they are measured by.
    pub(crate) clock: Arc<dyn Clock>,
}

/// An export at work.
#[derive(Debug)]
pub(crate) struct Exporter {
    end: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Exporter {
    /// Begins, where a collector is named; `watched` hears how it goes.
    ///
    /// # Errors
    /// A sentence: the collector's certificates cannot be used.
    pub(crate) fn start(
        keys: &MetricsKeys,
        watched: &mut Watched,
        who: Identity,
        traced: Option<Traced>,
    ) -> Result<Option<Self>, String> {
        if keys.otel_endpoint.is_empty() {
            return Ok(None);
        }
        let collector = Arc::new(Collector::of(keys)?);
        let spans = traced.as_ref().map(|traced| Arc::clone(&traced.spans));
        let exports = Arc::new(Exports { spans, ..Exports::default() });
        watched.exports = Some(Arc::clone(&exports));
        tracing::info!(collector = keys.otel_endpoint, traces = traced.is_some(), "figures are exported");
        let (end, ended) = watch::channel(false);
        let line = |signal| Line {
            signal,
            collector: Arc::clone(&collector),
            exports: Arc::clone(&exports),
            failing: false,
            ended: ended.clone(),
        };
        let resource = resource(keys, who);
        let mut tasks = JoinSet::new();
        if let Some(traced) = traced {
            tasks.spawn(traced.export(line("traces"), resource.clone()));
        }
        let source = Source {
            watched: watched.clone(),
            most: keys.series_max,
            resource,
            started: wall_nanos(),
            every: keys.otel_metrics_interval,
        };
        tasks.spawn(source.export(line("metrics")));
        Ok(Some(Self { end, tasks }))
    }

    /// Ends, the last figures and spans delivered within two seconds.
    pub(crate) async fn shutdown(mut self) {
        self.end.send_replace(true);
        let all = async { while self.tasks.join_next().await.is_some() {} };
        if tokio::time::timeout(END_TIMEOUT, all).await.is_err() {
            tracing::warn!("the last figures did not reach the collector within {} s", END_TIMEOUT.as_secs());
        }
    }
}

/// The way to a collector for one kind of message.
struct Line {
    /// `metrics` or `traces`.
    signal: &'static str,
    collector: Arc<Collector>,
    exports: Arc<Exports>,
    /// The last message was not taken: one line in the log is enough until that changes.
    failing: bool,
    ended: watch::Receiver<bool>,
}

impl Line {
    /// Whether the collector took it.
    async fn send(&mut self, message: &impl Message) -> bool {
        let (signal, to) = (self.signal, self.collector.authority());
        let done = self.collector.post(signal, message.encode_to_vec()).await;
        let count = if done.is_ok() { &self.exports.done } else { &self.exports.failed };
        count.fetch_add(1, Ordering::Relaxed);
        match &done {
            Err(why) if !self.failing => {
                tracing::warn!(signal, to, "the collector did not take what was exported, and is asked again: {why}");
            }
            Ok(()) if self.failing => tracing::info!(signal, to, "the collector takes what is exported again"),
            _ => {}
        }
        self.failing = done.is_err();
        done.is_ok()
    }

    /// Returns when the node ends, or nobody is left to say so.
    async fn ended(&mut self) {
        let _ = self.ended.wait_for(|ended| *ended).await;
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
    async fn export(self, mut line: Line) {
        let mut due = tokio::time::interval_at(Instant::now() + self.every.min(Duration::from_secs(1)), self.every);
        due.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = false;
        while !last {
            tokio::select! {
                _ = due.tick() => {}
                () = line.ended() => last = true,
            }
            let (watched, most) = (self.watched.clone(), self.most);
            let figures = tokio::task::spawn_blocking(move || watched.figures(most)).await;
            let Ok(Some(figures)) = figures else { return };
            line.send(&self.message(&figures)).await;
        }
    }

    fn message(&self, figures: &Figures) -> Export<ResourceMetrics> {
        let metrics = metrics::of(figures, self.started, wall_nanos());
        let scope_metrics = vec![ScopeMetrics { scope: Some(scope()), metrics }];
        Export { resources: vec![ResourceMetrics { resource: Some(self.resource.clone()), scope_metrics }] }
    }
}

impl Traced {
    /// Exports what waits, again and again, and once more at the end.
    async fn export(self, mut line: Line, resource: Resource) {
        let mut last = false;
        while !last {
            tokio::select! {
                () = tokio::time::sleep(TRACES_INTERVAL) => {}
                () = self.spans.filled() => {}
                () = line.ended() => last = true,
            }
            let taken = self.spans.take();
            if taken.is_empty() {
                continue;
            }
            let count = taken.len();
            let now = Moment::now(self.clock.as_ref());
            let spans = taken.into_iter().map(|span| traces::of(span, now)).collect();
            let scope_spans = vec![ScopeSpans { scope: Some(scope()), spans }];
            let message = Export { resources: vec![ResourceSpans { resource: Some(resource.clone()), scope_spans }] };
            if !line.send(&message).await {
                self.spans.lost(count);
            }
        }
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
