//! Keys of what a node tells about itself, the same for every role.

use crate::config::key::{Class, key, keys};
use crate::config::rule::{IP, Rule};

keys! {
    /// What a broker or a name server tells.
    struct MetricsKeys, METRICS_KEYS, Class::Metrics;
    /// Port of `/metrics`, `/healthz` and `/readyz`; 0: none. In `standalone` one port tells of both roles: 5557 if free.
    port: u16 = key("metricsPort", Rule::Number(0, 65_535), "0").later();
    /// Address on which that port listens.
    bind_address: String = key("metricsBindAddress", IP, "127.0.0.1").later();
    /// Most topics, pairs of group and topic, and registered brokers that are told one by one; the rest is counted.
    series_max: usize = key("metricsSeriesMax", Rule::Number(1, 1_000_000), "5000").later();
}
