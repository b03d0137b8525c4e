//! Figures as OTLP metrics: the same families as the page `/metrics`, out of the same figures.

use std::fmt;

use kerolox_store::TimesRead;

use super::proto::{CUMULATIVE, Data, Gauge, Histogram, HistogramDataPoint, KeyValue, Metric, NumberDataPoint, Sum};
use crate::metrics::sheet::{self, Kind, Labels, Sheet};

/// Ends of names and the units that they mean. Whatever makes Prometheus' text of it adds the unit to a name that does not
/// end with its full word, so `_ms` is not among them.
const UNITS: [(&str, &str); 2] = [("_seconds", "s"), ("_bytes", "By")];

/// All figures as metrics; counters began at `started`, and it is `now`, both in nanoseconds since 1970.
pub(super) fn of(figures: &crate::metrics::Figures, started: u64, now: u64) -> Vec<Metric> {
    let mut points = Points { started, now, metrics: Vec::new() };
    // Nothing here can fail: it is the other form, a text, that might.
    let _ = sheet::write(figures, &mut points);
    points.metrics
}

struct Points {
    started: u64,
    now: u64,
    metrics: Vec<Metric>,
}

impl Points {
    /// A family without a series is left out, as OTLP wants it.
    fn push(&mut self, name: &str, help: &str, data: Data) {
        let unit = UNITS.iter().find(|(end, _)| name.ends_with(end)).map_or("", |(_, unit)| unit);
        let metric =
            Metric { name: name.to_owned(), description: help.to_owned(), unit: unit.to_owned(), data: Some(data) };
        self.metrics.push(metric);
    }
}

impl Sheet for Points {
    fn family<'a>(
        &mut self,
        name: &str,
        help: &str,
        kind: Kind,
        series: impl IntoIterator<Item = (Labels<'a>, f64)>,
    ) -> fmt::Result {
        let start_time_unix_nano = if kind == Kind::Counter { self.started } else { 0 };
        let point = |(labels, value): (Labels<'a>, f64)| NumberDataPoint {
            attributes: labels.into_iter().map(|(name, text)| KeyValue::text(name, text)).collect(),
            start_time_unix_nano,
            time_unix_nano: self.now,
            as_double: Some(value),
        };
        let data_points: Vec<_> = series.into_iter().map(point).collect();
        if data_points.is_empty() {
            return Ok(());
        }
        let data = match kind {
            Kind::Counter => Data::Sum(Sum { data_points, aggregation_temporality: CUMULATIVE, is_monotonic: true }),
            Kind::Gauge => Data::Gauge(Gauge { data_points }),
        };
        self.push(name, help, data);
        Ok(())
    }

    fn histogram(&mut self, name: &str, help: &str, read: &TimesRead) -> fmt::Result {
        let point = HistogramDataPoint {
            start_time_unix_nano: self.started,
            time_unix_nano: self.now,
            count: read.count(),
            sum: Some(read.sum.as_secs_f64()),
            bucket_counts: read.classes.iter().map(|(_, count)| *count).collect(),
            // The last class has no end.
            explicit_bounds: read.classes.iter().map(|(end, _)| *end).filter(|end| end.is_finite()).collect(),
        };
        let data = Histogram { data_points: vec![point], aggregation_temporality: CUMULATIVE };
        self.push(name, help, Data::Histogram(data));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_kind_of_family_has_its_form() {
        let mut points = Points { started: 5, now: 9, metrics: Vec::new() };
        points.family("a", "of a", Kind::Counter, [(vec![("k", "v")], 3.0)]).unwrap();
        points.family("b_bytes", "of b", Kind::Gauge, [(vec![], 2.0), (vec![("k", "w")], 4.0)]).unwrap();
        points.family("c", "of c", Kind::Gauge, []).unwrap();
        let read = TimesRead { classes: vec![(0.5, 2), (f64::INFINITY, 1)], sum: Duration::from_secs(4) };
        points.histogram("d_seconds", "of d", &read).unwrap();
        let [a, b, d] = points.metrics.as_slice() else { panic!("{:?}", points.metrics) };
        let Some(Data::Sum(sum)) = &a.data else { panic!("{a:?}") };
        assert!(sum.is_monotonic && sum.data_points[0].attributes == [KeyValue::text("k", "v")]);
        assert_eq!((sum.data_points[0].start_time_unix_nano, sum.data_points[0].time_unix_nano), (5, 9));
        let Some(Data::Gauge(gauge)) = &b.data else { panic!("{b:?}") };
        assert_eq!((gauge.data_points.len(), gauge.data_points[1].as_double, b.unit.as_str()), (2, Some(4.0), "By"));
        let Some(Data::Histogram(histogram)) = &d.data else { panic!("{d:?}") };
        let point = &histogram.data_points[0];
        assert_eq!((point.count, point.sum, d.unit.as_str()), (3, Some(4.0), "s"));
        assert_eq!((point.bucket_counts.as_slice(), point.explicit_bounds.as_slice()), (&[2, 1][..], &[0.5][..]));
    }
}
