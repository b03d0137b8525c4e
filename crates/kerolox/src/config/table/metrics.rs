//! Keys of what a node tells about itself, the same for every role.

use std::time::Duration;

use crate::config::key::{Class, key, keys};
use crate::config::rule::{COLLECTOR, HEADERS, IP, Rule, SHARE};

keys! {
    /// What a broker or a name server tells.
    struct MetricsKeys, METRICS_KEYS, Class::Metrics;
    /// Port of `/metrics`, `/healthz` and `/readyz`; 0: none. In `standalone` one port tells of both roles: 5557 if free.
    port: u16 = key("metricsPort", Rule::Number(0, 65_535), "0").later();
    /// Address on which that port listens.
    bind_address: String = key("metricsBindAddress", IP, "127.0.0.1").later();
    /// Most topics, pairs of group and topic, and registered brokers that are told one by one; the rest is counted.
    series_max: usize = key("metricsSeriesMax", Rule::Number(1, 1_000_000), "5000").later();
    /// Collector of OpenTelemetry that figures, and spans of a broker, are exported to, as OTLP over HTTP below this address.
    otel_endpoint: String = key("otelEndpoint", COLLECTOR, "").env("OTEL_EXPORTER_OTLP_ENDPOINT").later();
    /// Headers of what is exported: `name=value`, several joined by commas, blanks in a value written `%20`.
    otel_headers: String = key("otelHeaders", HEADERS, "").env("OTEL_EXPORTER_OTLP_HEADERS").later();
    /// Certificates of those who may sign the certificate of an `https` collector, PEM.
    otel_certificate: String = key("otelCertificate", Rule::Path, "/etc/ssl/certs/ca-certificates.crt")
        .env("OTEL_EXPORTER_OTLP_CERTIFICATE")
        .later();
    /// Name of the service at the collector.
    otel_service_name: String = key("otelServiceName", Rule::Text, "")
        .of("`kerolox-broker` or `kerolox-namesrv`", |_| String::new())
        .env("OTEL_SERVICE_NAME")
        .later();
    /// Time between two exports of figures.
    otel_metrics_interval: Duration = key("otelMetricsInterval", Rule::Number(1_000, 3_600_000), "60000")
        .ms()
        .env("OTEL_METRIC_EXPORT_INTERVAL")
        .later();
}

keys! {
    /// What a broker tells of single requests.
    struct TraceKeys, TRACE_KEYS, Class::Metrics;
    /// Whether spans of sends and pulls are exported too, at `/v1/traces`: of messages whose `traceparent` asks for it.
    enable: bool = key("otelTracesEnable", Rule::Switch, "true").later();
    /// Share of the sends and pulls without a `traceparent` that have a span all the same.
    share: String = key("otelTraceRatio", SHARE, "0").env("OTEL_TRACES_SAMPLER_ARG").later();
}
