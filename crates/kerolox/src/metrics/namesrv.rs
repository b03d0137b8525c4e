//! The figures of a name server. RocketMQ's exporter has none, so all names are ours.

use std::fmt;

use super::sheet::{Kind, Sheet};
use kerolox_namesrv::Figures;

/// Writes all of them.
pub(super) fn write(figures: &Figures, out: &mut impl Sheet) -> fmt::Result {
    let mut gauge = |name, help, value: usize| {
        out.family(&format!("kerolox_namesrv_{name}"), help, Kind::Gauge, [(vec![], value as f64)])
    };
    gauge("clusters", "Clusters that have a broker", figures.clusters)?;
    gauge("brokers", "Names of brokers, each a primary with its replicas", figures.brokers)?;
    gauge("registered", "Brokers that are registered, replicas among them", figures.members_all)?;
    gauge("topics", "Topics that some broker serves", figures.topics)?;
    gauge("missing_topics", "Topics that clients ask for and that are not there", figures.missing_topics)?;
    let left_out = figures.members_all - figures.members.len();
    gauge("metrics_left_out", "Registered brokers not told one by one: see metricsSeriesMax", left_out)?;
    members(figures, out)?;
    requests(figures, out)?;
    for (name, value) in &figures.connections {
        let help = format!("Connections: {}", name.replace('_', " "));
        let name = format!("kerolox_namesrv_connections_{name}");
        out.family(&name, &help, Kind::of(!name.ends_with("_open")), [(vec![], *value as f64)])?;
    }
    Ok(())
}

fn members(figures: &Figures, out: &mut impl Sheet) -> fmt::Result {
    let ids: Vec<String> = figures.members.iter().map(|one| one.id.to_string()).collect();
    let series = figures.members.iter().zip(&ids).map(|(one, id)| {
        let labels = vec![
            ("cluster", one.cluster.as_str()),
            ("broker", one.broker.as_str()),
            ("id", id.as_str()),
            ("address", one.addr.as_str()),
        ];
        (labels, one.age.as_secs_f64())
    });
    let help = "Seconds since a broker registered or said that nothing changed";
    out.family("kerolox_namesrv_registration_age_seconds", help, Kind::Gauge, series)
}

fn requests(figures: &Figures, out: &mut impl Sheet) -> fmt::Result {
    let counter = Kind::Counter;
    let asked = figures.requests.iter().map(|(what, count)| (vec![("request", *what)], *count as f64));
    out.family("kerolox_namesrv_requests", "Requests, by what was asked", counter, asked)?;
    let codes: Vec<String> = figures.refusals.iter().map(|(_, code, _)| code.to_string()).collect();
    let refused = figures.refusals.iter().zip(&codes);
    let refused = refused.map(|((what, _, count), code)| (vec![("request", *what), ("code", code)], *count as f64));
    out.family("kerolox_namesrv_refused", "Requests refused, by the code of the answer", counter, refused)?;
    let removed = figures.removed.iter().map(|(why, count)| (vec![("why", *why)], *count as f64));
    out.family("kerolox_namesrv_brokers_removed", "Brokers taken out, by the reason", counter, removed)
}
