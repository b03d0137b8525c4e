//! Collecting the facts: questions to all nodes, and a look at this machine.

use std::collections::BTreeMap;
use std::fs;

use kerolox_wire::body::{ClusterInfo, TopicList};
use kerolox_wire::command::{NoFields, call};

use super::host::kernel_names;
use super::{BrokerFacts, Facts, HostFacts, NameServerFacts, TopicFacts};
use crate::Client;
use crate::client::CALL_TIMEOUT;

/// How many topics are looked at: each costs a question.
const TOPICS_MAX: usize = 2_000;

/// What to ask besides name servers and brokers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// Also the route of each topic.
    pub topics: bool,
    /// Also the settings of this machine.
    pub host: bool,
}

impl Client {
    /// Asks all name servers, and all brokers that they know. Whoever does not answer is a fact too.
    pub async fn gather(&self, scope: Scope) -> Facts {
        let mut facts = Facts { host: scope.host.then(host), ..Facts::default() };
        let mut names: Vec<String> = Vec::new();
        for address in self.name_servers() {
            let clusters = self.read::<call::GetClusterInfo, ClusterInfo>(address, &NoFields, CALL_TIMEOUT).await;
            let mut topics = Err("not asked".to_owned());
            if clusters.is_ok() {
                let list = self.read::<call::GetAllTopicNames, TopicList>(address, &NoFields, CALL_TIMEOUT).await;
                topics = list
                    .map(|list| {
                        let count = list.topic_list.len();
                        names.extend(list.topic_list);
                        count
                    })
                    .map_err(|why| why.to_string());
            }
            let clusters = clusters.map_err(|why| why.to_string());
            facts.name_servers.push(NameServerFacts { address: address.clone(), clusters, topics });
        }
        facts.brokers = registered(&facts.name_servers);
        for broker in &mut facts.brokers {
            self.ask_broker(broker).await;
        }
        if scope.topics {
            names.sort_unstable();
            names.dedup();
            facts.topics_left_out = names.len().saturating_sub(TOPICS_MAX);
            for name in names.into_iter().take(TOPICS_MAX) {
                let route = self.route(&name).await.map_err(|why| why.to_string());
                facts.topics.push(TopicFacts { name, route });
            }
        }
        facts
    }

    async fn ask_broker(&self, broker: &mut BrokerFacts) {
        broker.asked_ms = self.clock().wall_ms();
        let figures = self.runtime_info(&broker.address).await;
        broker.answered_ms = self.clock().wall_ms();
        if figures.is_ok() {
            // A broker that keeps its settings to itself is judged without them.
            broker.settings = self.broker_config(&broker.address).await.unwrap_or_default();
        }
        broker.figures = Some(figures.map_err(|why| why.to_string()));
    }
}

/// The brokers that any of the name servers knows, each once, by name and id.
fn registered(servers: &[NameServerFacts]) -> Vec<BrokerFacts> {
    let mut brokers: BTreeMap<(String, i64, String), BrokerFacts> = BTreeMap::new();
    for info in servers.iter().filter_map(|server| server.clusters.as_ref().ok()) {
        for (name, broker) in &info.broker_addr_table {
            for (id, address) in &broker.broker_addrs {
                let key = (name.clone(), *id, address.clone());
                brokers.entry(key).or_insert_with(|| BrokerFacts {
                    cluster: broker.cluster.clone(),
                    name: name.clone(),
                    id: *id,
                    address: address.clone(),
                    ..BrokerFacts::default()
                });
            }
        }
    }
    brokers.into_values().collect()
}

/// Settings of this machine; what cannot be read is left out.
fn host() -> HostFacts {
    let kernel = kernel_names().filter_map(|name| {
        let text = fs::read_to_string(format!("/proc/sys/{}", name.replace('.', "/"))).ok()?;
        Some((name.to_owned(), text.trim().parse().ok()?))
    });
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    HostFacts { kernel: kernel.collect(), open_files: limit.maximum }
}
