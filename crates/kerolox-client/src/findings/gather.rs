//! Collecting the facts: questions to all nodes, and a look at this machine.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use kerolox_wire::body::{ClusterInfo, TopicList};
use kerolox_wire::command::{NoFields, call};
use kerolox_wire::names::{GroupName, TopicName};

use super::host::kernel_names;
use super::{BrokerFacts, Facts, GroupFacts, HostFacts, NameServerFacts, TopicFacts};
use crate::Client;
use crate::client::{CALL_TIMEOUT, LONG_CALL_TIMEOUT};
use crate::route::MASTER_ID;

/// How many topics are looked at: each costs a question.
const TOPICS_MAX: usize = 2_000;

/// Most waiting groups that are looked at: each costs a few questions.
const GROUPS_MAX: usize = 50;

/// Messages a group has not consumed, its rate, and the brokers and topics that have them.
type Waiting = (i64, f64, BTreeSet<(String, TopicName)>);

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
        facts.now_ms = self.clock().wall_ms();
        facts.missing = self.missing_topics().await;
        facts.groups = self.waiting_groups(&facts.brokers).await;
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

    /// Groups that have messages to consume and consumed none in the last minute.
    async fn waiting_groups(&self, brokers: &[BrokerFacts]) -> Vec<GroupFacts> {
        let mut waiting: BTreeMap<String, Waiting> = BTreeMap::new();
        for broker in brokers.iter().filter(|broker| broker.id == MASTER_ID && matches!(broker.figures, Some(Ok(_)))) {
            let stats = self.broker_consume_stats(&broker.address, false, LONG_CALL_TIMEOUT).await.unwrap_or_default();
            for (group, parts) in stats.consume_stats_list.into_iter().flatten() {
                let one = waiting.entry(group).or_default();
                for part in parts {
                    one.1 += part.consume_tps;
                    for (queue, at) in part.offset_table.iter() {
                        let lag = at.diff();
                        if lag > 0
                            && let Ok(topic) = TopicName::parse(&queue.topic)
                        {
                            one.0 = one.0.saturating_add(lag);
                            one.2.insert((broker.address.clone(), topic));
                        }
                    }
                }
            }
        }
        let idle = waiting.into_iter().filter(|(_, (lag, tps, _))| *lag > 0 && *tps == 0.0);
        let mut facts = Vec::new();
        for (name, (lag, tps, topics)) in idle {
            let Ok(group) = GroupName::parse(&name) else { continue };
            let clients = self.consumer_connection(&group).await.map_or(0, |told| told.connection_set.len());
            if clients == 0 {
                continue;
            }
            let mut oldest_ms = 0;
            for (address, topic) in topics {
                let spans = self.time_spans(&address, &group, &topic).await.unwrap_or_default();
                oldest_ms = spans.iter().map(|span| span.delay_time).fold(oldest_ms, i64::max);
            }
            facts.push(GroupFacts { name, lag, tps, oldest_ms, clients });
            if facts.len() >= GROUPS_MAX {
                break;
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
