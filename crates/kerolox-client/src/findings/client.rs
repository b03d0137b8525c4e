//! Rules about producers and consumers: do they find their topics, agree with one another, and come forward?

use kerolox_wire::names::{TopicName, topics};

use super::{BrokerFacts, Facts, Findings, GroupFacts};
use crate::name_servers::MissingTopic;

/// Most topics and groups of one kind that are named.
const NAMED_MAX: usize = 20;
/// A topic that was wanted longer ago is no longer worth a word.
const WANTED_MS_MAX: i64 = 3_600_000;
/// A group that is connected, consumes nothing, and has left a message lie this long, is stuck.
const STUCK_MS_MIN: i64 = 120_000;

pub(super) fn judge(facts: &Facts, findings: &mut Findings) {
    missing(facts, findings);
    for broker in &facts.brokers {
        if let Some(Ok(_)) = &broker.figures {
            mismatches(broker, findings);
            unserved(broker, findings);
            replaced(broker, facts.now_ms, findings);
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

fn missing(facts: &Facts, findings: &mut Findings) {
    let cluster = facts.brokers.first().map_or("CLUSTER", |broker| broker.cluster.as_str());
    let mut named: Vec<&str> = Vec::new();
    for one in facts.missing.iter().filter(|one| is_wanted(one, facts.now_ms)) {
        if named.len() >= NAMED_MAX || named.contains(&one.topic.as_str()) {
            continue;
        }
        named.push(&one.topic);
        let group = one.group.as_ref().map_or_else(String::new, |group| format!(" (group {group})"));
        let often = if one.count == 1 { "once".to_owned() } else { format!("{} times", one.count) };
        let what = format!("is wanted and not there: asked for {often}, last by {}{group}", one.client);
        let remedy = format!("mqadmin updateTopic -c {cluster} -t {}", one.topic);
        let subject = format!("topic {}", one.topic);
        // A client that needs the topic asks again; who asked once has mistyped it as likely as not.
        if one.count == 1 {
            findings.note(&subject, what, remedy);
        } else {
            findings.error(&subject, what, remedy);
        }
    }
}

/// Whether somebody wants the topic now, and it is one that can be made.
fn is_wanted(one: &MissingTopic, now_ms: i64) -> bool {
    let name = TopicName::parse(&one.topic);
    let can_be_made = name.is_ok_and(|name| name.check_as_new().is_ok()) && !topics::SYSTEM.contains(&&*one.topic);
    can_be_made && now_ms.saturating_sub(one.last_ms) <= WANTED_MS_MAX
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

fn unserved(broker: &BrokerFacts, findings: &mut Findings) {
    let Some(Ok(figures)) = &broker.figures else { return };
    let groups = figures.iter().filter_map(|(key, told)| Some((key.strip_prefix("unservedGroup_")?, told)));
    for (group, told) in groups.take(NAMED_MAX) {
        let (client, why) = told.split_once(' ').unwrap_or((told, "no reason was told"));
        let remedy = format!("make the group with mqadmin updateSubGroup -g {group}, or mend its name in the client");
        findings.error(
            &format!("group {group}"),
            format!("client {client} names it and it is not served: {why}"),
            remedy,
        );
    }
}

fn replaced(broker: &BrokerFacts, now_ms: i64, findings: &mut Findings) {
    let Some(Ok(figures)) = &broker.figures else { return };
    let last = figures.get("headersReplacedLast").and_then(|last| last.split_once(' '));
    let Some((client, at_ms)) = last.and_then(|(at, client)| Some((client, at.parse::<i64>().ok()?))) else { return };
    if now_ms.saturating_sub(at_ms) > WANTED_MS_MAX {
        return;
    }
    let count = figures.get("headersReplacedTotal").map_or("some", String::as_str);
    let what = format!("{count} requests had names, tags or keys that are no UTF-8, the last from {client}");
    findings.warning(&format!("client {client}"), what, "make the client send UTF-8; such bytes are stored as U+FFFD");
}

fn is_stuck(group: &GroupFacts) -> bool {
    group.clients > 0 && group.lag > 0 && group.tps == 0.0 && group.oldest_ms >= STUCK_MS_MIN
}
