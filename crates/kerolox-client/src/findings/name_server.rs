//! Rules about name servers: do they answer, and do they agree?

use std::collections::BTreeSet;

use super::{Facts, Findings, NameServerFacts};

/// How many brokers a finding names.
const NAMED_MAX: usize = 5;

pub(super) fn judge(facts: &Facts, findings: &mut Findings) {
    for server in &facts.name_servers {
        if let Err(why) = &server.clusters {
            let place = server.address.replacen(':', " ", 1);
            let remedy = format!(
                "start it (`mqnamesrv`) or correct its address in -n and NAMESRV_ADDR; `nc -vz {place}` shows whether \
                 it can be reached"
            );
            findings.error(&subject(server), format!("does not answer: {why}"), remedy);
        }
    }
    if let [only] = facts.name_servers.as_slice() {
        let remedy = "start a second one on another machine and name both: namesrvAddr=host:port;host:port";
        findings.note(&subject(only), "is the only one: while it is away, no client can start", remedy);
    }
    agreement(&facts.name_servers, findings);
}

/// Name servers do not talk to each other: a broker that registers at some of them is found by some clients only.
fn agreement(servers: &[NameServerFacts], findings: &mut Findings) {
    let all: BTreeSet<String> = servers.iter().flat_map(registered).collect();
    let addresses: Vec<&str> = servers.iter().map(|server| server.address.as_str()).collect();
    for server in servers.iter().filter(|server| server.clusters.is_ok()) {
        let here = registered(server);
        let missing: Vec<&str> = all.difference(&here).map(String::as_str).collect();
        if !missing.is_empty() {
            let some = missing.iter().take(NAMED_MAX).copied().collect::<Vec<_>>().join(", ");
            let what = format!("{} brokers are registered at others but not here: {some}", missing.len());
            let remedy = format!("restart these brokers with namesrvAddr={}", addresses.join(";"));
            findings.error(&subject(server), what, remedy);
        }
    }
    let most = servers.iter().filter_map(|server| server.topics.as_ref().ok()).max();
    for server in servers {
        if let (Some(most), Ok(topics)) = (most, &server.topics)
            && topics < most
        {
            let what = format!("knows {topics} topics, another one knows {most}");
            let remedy = "wait for half a minute, brokers tell their topics again by then; then look whether all \
                          brokers name this server in namesrvAddr";
            findings.warning(&subject(server), what, remedy);
        }
    }
}

fn registered(server: &NameServerFacts) -> BTreeSet<String> {
    let Ok(info) = &server.clusters else { return BTreeSet::new() };
    let brokers = info.broker_addr_table.values();
    brokers.flat_map(|b| b.broker_addrs.keys().map(|id| format!("{}/{id}", b.broker_name))).collect()
}

fn subject(server: &NameServerFacts) -> String {
    format!("name server {}", server.address)
}
