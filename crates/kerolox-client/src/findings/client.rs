//! Rules about producers and consumers: do they find their topics, agree with one another, and come forward?

use super::{BrokerFacts, Facts, Findings, GroupFacts};
use crate::name_servers::MissingTopic;

/// Most topics and groups of one kind that are named.
const NAMED_MAX: usize = 20;
/// A topic that was wanted longer ago is no longer worth a word.
const WANTED_MS_MAX: i64 = 3_600_000;
/// A group that is connected, consumes nothing, and has left a message lie this long, is stuck.
const STUCK_MS_MIN: i64 = 120_000;

pub(super) fn judge(facts: &Facts, findings: &mut Findings) {
    missing(&facts.missing, facts.now_ms, findings);
    for broker in &facts.brokers {
        if let Some(Ok(_)) = &broker.figures {
            mismatches(broker, findings);
        }
    }
    let stuck = facts.groups.iter().filter(|group| is_stuck(group));
    for group in stuck.take(NAMED_MAX) {
        let what = format!(
            "has {} clients and consumes nothing: {} messages wait, the oldest for {} s",
            group.clients,
            group.lag,
            group.oldest_ms / 1_000
        );
        let remedy = format!("mqadmin consumerStatus -g {} -s true shows what its threads wait for", group.name);
        findings.error(&format!("group {}", group.name), what, remedy);
    }
}

fn missing(missing: &[MissingTopic], now_ms: i64, findings: &mut Findings) {
    let mut named: Vec<&str> = Vec::new();
    for one in missing.iter().filter(|one| now_ms.saturating_sub(one.last_ms) <= WANTED_MS_MAX) {
        if named.len() >= NAMED_MAX || named.contains(&one.topic.as_str()) {
            continue;
        }
        named.push(&one.topic);
        let group = one.group.as_ref().map_or_else(String::new, |group| format!(" (group {group})"));
        let often = if one.count == 1 { "once".to_owned() } else { format!("{} times", one.count) };
        let what = format!("is wanted and not there: asked for {often}, last by {}{group}", one.client);
        let remedy = format!("mqadmin updateTopic -c CLUSTER -t {}", one.topic);
        findings.error(&format!("topic {}", one.topic), what, remedy);
    }
}

fn mismatches(broker: &BrokerFacts, findings: &mut Findings) {
    let Some(Ok(figures)) = &broker.figures else { return };
    let groups = figures.iter().filter_map(|(key, how)| Some((key.strip_prefix("subscriptionMismatch_")?, how)));
    for (group, how) in groups.take(NAMED_MAX) {
        let remedy =
            "give all members of the group the same topics and expressions; until then some messages reach nobody";
        findings.error(&format!("group {group}"), format!("its members subscribe differently: {how}"), remedy);
    }
}

fn is_stuck(group: &GroupFacts) -> bool {
    group.clients > 0 && group.lag > 0 && group.tps == 0.0 && group.oldest_ms >= STUCK_MS_MIN
}
