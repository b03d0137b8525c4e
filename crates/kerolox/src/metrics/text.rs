//! Figures as OpenMetrics text, which Prometheus reads.

use std::fmt;

use kerolox_store::TimesRead;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::{Figures, broker, namesrv, process};

/// What Prometheus takes the text for.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The text of all figures.
pub(super) fn page(figures: Figures) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Page(figures)));
    let mut out = String::new();
    text::encode(&mut out, &registry)?;
    Ok(out)
}

#[derive(Debug)]
struct Page(Figures);

impl Collector for Page {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut out = Out(encoder);
        out.one("kerolox_build", "Release of this node", "version", env!("CARGO_PKG_VERSION"))?;
        if let Some(figures) = &self.0.broker {
            broker::write(figures, &mut out)?;
        }
        if let Some(figures) = &self.0.namesrv {
            namesrv::write(figures, &mut out)?;
        }
        for (name, help, grows, value) in process::rows() {
            out.family(name, help, kind(grows), [(vec![], value)])?;
        }
        Ok(())
    }
}

/// Names and values of a series' labels.
pub(super) type Labels<'a> = Vec<(&'static str, &'a str)>;

/// Writes families of series.
pub(super) struct Out<'a>(DescriptorEncoder<'a>);

impl Out<'_> {
    /// A family of counters or gauges.
    pub(super) fn family<'a>(
        &mut self,
        name: &str,
        help: &str,
        kind: MetricType,
        series: impl IntoIterator<Item = (Labels<'a>, f64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, kind)?;
        for (labels, value) in series {
            let mut one = family.encode_family(&labels)?;
            match kind {
                MetricType::Counter => one.encode_counter::<NoLabelSet, f64, f64>(&value, None)?,
                _ => one.encode_gauge(&value)?,
            }
        }
        Ok(())
    }

    /// A histogram of seconds.
    pub(super) fn histogram(&mut self, name: &str, help: &str, read: &TimesRead) -> fmt::Result {
        // The encoder knows the last class by this end.
        let last = |end: f64| if end.is_finite() { end } else { f64::MAX };
        let classes: Vec<(f64, u64)> = read.classes.iter().map(|(end, count)| (last(*end), *count)).collect();
        let mut histogram = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        histogram.encode_histogram::<NoLabelSet>(read.sum.as_secs_f64(), read.count(), &classes, None)
    }

    fn one(&mut self, name: &str, help: &str, label: &'static str, value: &str) -> fmt::Result {
        self.family(name, help, MetricType::Gauge, [(vec![(label, value)], 1.0)])
    }
}

/// Of a figure that only grows, or may also fall.
pub(super) const fn kind(grows: bool) -> MetricType {
    if grows { MetricType::Counter } else { MetricType::Gauge }
}
