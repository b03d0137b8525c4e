//! Figures as OpenMetrics text, which Prometheus reads.

use std::fmt;

use kerolox_store::TimesRead;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::Figures;
use super::sheet::{self, Kind, Labels, Sheet};

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
        sheet::write(&self.0, &mut Out(encoder))
    }
}

struct Out<'a>(DescriptorEncoder<'a>);

impl Sheet for Out<'_> {
    fn family<'a>(
        &mut self,
        name: &str,
        help: &str,
        kind: Kind,
        series: impl IntoIterator<Item = (Labels<'a>, f64)>,
    ) -> fmt::Result {
        let as_written = match kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
        };
        let mut family = self.0.encode_descriptor(name, help, None, as_written)?;
        for (labels, value) in series {
            let mut one = family.encode_family(&labels)?;
            match kind {
                Kind::Counter => one.encode_counter::<NoLabelSet, f64, f64>(&value, None)?,
                Kind::Gauge => one.encode_gauge(&value)?,
            }
        }
        Ok(())
    }

    fn histogram(&mut self, name: &str, help: &str, read: &TimesRead) -> fmt::Result {
        // The encoder knows the last class by this end.
        let last = |end: f64| if end.is_finite() { end } else { f64::MAX };
        let classes: Vec<(f64, u64)> = read.classes.iter().map(|(end, count)| (last(*end), *count)).collect();
        let mut histogram = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        histogram.encode_histogram::<NoLabelSet>(read.sum.as_secs_f64(), read.count(), &classes, None)
    }
}
