//! What the routing tables tell: routes, clusters and lists of topics.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use kerolox_wire::body::{BrokerData, ClusterInfo, QueueData, Style, TopicList, TopicRouteData, to_json};
use serde::Serialize;

use super::{Broker, Queues, Routes};
use crate::figures::MemberFigures;

/// Bit of a topic's system flag: the topic belongs to a unit.
const FLAG_UNIT: i32 = 1;
/// Bit of a topic's system flag: consumers of a unit subscribe to it.
const FLAG_UNIT_SUB: i32 = 2;

/// Which topics of the unit mode are asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    /// Topics of units.
    Topics,
    /// Topics with subscriptions of units.
    Subscribed,
    /// Topics with subscriptions of units that are themselves none.
    SubscribedNonUnit,
}

/// Version of the client from which integer keys are read in quotes; those below get them bare, as they always did.
const VERSION_STRICT_JSON: i32 = 401;

/// How a peer of that version reads maps with integer keys.
fn style(version: i32, standard_only: bool) -> Style {
    if standard_only || version >= VERSION_STRICT_JSON { Style::Strict } else { Style::Fastjson }
}

/// A route as a client of that version reads it. 5.x renamed `topicSynFlag` to `topicSysFlag`: newer clients get both. And
/// it has acting masters, which there are none of here: the Rust client fails without being told so.
#[must_use]
pub fn route_body(route: &TopicRouteData, version: i32, standard_only: bool) -> Vec<u8> {
    match style(version, standard_only) {
        Style::Fastjson => to_json(route, Style::Fastjson),
        Style::Strict => {
            let queue_datas =
                route.queue_datas.iter().map(|queues| BothFlags { queues, topic_sys_flag: queues.topic_syn_flag });
            let route = NewerRoute {
                queue_datas: queue_datas.collect(),
                broker_datas: route.broker_datas.iter().map(NewerBroker::from).collect(),
                filter_server_table: &route.filter_server_table,
                order_topic_conf: route.order_topic_conf.as_deref(),
            };
            to_json(&route, Style::Strict)
        }
    }
}

/// All clusters as a peer of that version reads them.
#[must_use]
pub fn clusters_body(info: &ClusterInfo, version: i32) -> Vec<u8> {
    match style(version, false) {
        Style::Fastjson => to_json(info, Style::Fastjson),
        Style::Strict => {
            let brokers = info.broker_addr_table.iter();
            let info = NewerClusters {
                broker_addr_table: brokers.map(|(name, broker)| (name.as_str(), NewerBroker::from(broker))).collect(),
                cluster_addr_table: &info.cluster_addr_table,
            };
            to_json(&info, Style::Strict)
        }
    }
}

/// How much is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Clusters that have a broker.
    pub clusters: usize,
    /// Names of brokers.
    pub brokers: usize,
    /// Topics that some broker serves.
    pub topics: usize,
}

impl Routes {
    /// How much is known.
    #[must_use]
    pub fn size(&self) -> Size {
        let clusters: BTreeSet<&str> = self.brokers.values().map(|broker| broker.cluster.as_str()).collect();
        Size { clusters: clusters.len(), brokers: self.brokers.len(), topics: self.topics.len() }
    }

    /// Registered brokers in order of their names and ids, the first `most`, and how many there are in all.
    #[must_use]
    pub fn members(&self, now: Duration, most: usize) -> (Vec<MemberFigures>, usize) {
        let all = self.brokers.values().map(|broker| broker.members.len()).sum();
        let each = self.brokers.iter().flat_map(|(name, broker)| {
            broker.members.iter().map(move |(id, member)| MemberFigures {
                cluster: broker.cluster.clone(),
                broker: name.to_string(),
                id: *id,
                addr: member.addr.clone(),
                age: now.saturating_sub(member.registered),
            })
        });
        (each.take(most).collect(), all)
    }

    /// Where a topic's queues are; none when no known broker has any.
    #[must_use]
    pub fn route(&self, topic: &str) -> Option<TopicRouteData> {
        let known = self.topics.get(topic)?;
        let broker_datas: Vec<_> =
            known.iter().filter_map(|q| Some(broker_data(&q.broker, self.brokers.get(&q.broker)?))).collect();
        if broker_datas.is_empty() {
            return None;
        }
        let queue_datas = known.iter().map(queue_data).collect();
        Some(TopicRouteData { broker_datas, queue_datas, ..TopicRouteData::default() })
    }

    /// All clusters and their brokers.
    #[must_use]
    pub fn clusters(&self) -> ClusterInfo {
        let mut info = ClusterInfo::default();
        for (name, broker) in &self.brokers {
            info.broker_addr_table.insert(name.to_string(), broker_data(name, broker));
            info.cluster_addr_table.entry(broker.cluster.clone()).or_default().insert(name.to_string());
        }
        info
    }

    /// All topics.
    #[must_use]
    pub fn topics(&self) -> TopicList {
        list(self.topics.keys().map(|name| name.to_string()).collect())
    }

    /// The topics with queues in a cluster.
    #[must_use]
    pub fn topics_of_cluster(&self, cluster: &str) -> TopicList {
        let is_there = |q: &Queues| self.brokers.get(&q.broker).is_some_and(|broker| broker.cluster == cluster);
        let found = self.topics.iter().filter(|(_, known)| known.iter().any(is_there));
        list(found.map(|(name, _)| name.to_string()).collect())
    }

    /// Names of clusters and brokers, which are topics too, and one broker that knows more system topics.
    #[must_use]
    pub fn system_topics(&self) -> TopicList {
        let mut names = BTreeMap::<&str, Vec<&str>>::new();
        for (name, broker) in &self.brokers {
            names.entry(&broker.cluster).or_default().push(name);
        }
        let topics = names.into_iter().flat_map(|(cluster, brokers)| std::iter::once(cluster).chain(brokers));
        let any = self.brokers.values().find_map(|broker| broker.members.values().next());
        TopicList { topic_list: topics.map(str::to_owned).collect(), broker_addr: any.map(|m| m.addr.clone()) }
    }

    /// Topics of the unit mode. A topic is what the first broker that registered it says.
    #[must_use]
    pub fn unit_topics(&self, which: Unit) -> TopicList {
        let fits = |flag: i32| match which {
            Unit::Topics => flag & FLAG_UNIT != 0,
            Unit::Subscribed => flag & FLAG_UNIT_SUB != 0,
            Unit::SubscribedNonUnit => flag & (FLAG_UNIT | FLAG_UNIT_SUB) == FLAG_UNIT_SUB,
        };
        let found = self.topics.iter().filter(|(_, known)| known.first().is_some_and(|q| fits(q.sys_flag)));
        list(found.map(|(name, _)| name.to_string()).collect())
    }
}

fn list(topic_list: Vec<String>) -> TopicList {
    TopicList { topic_list, broker_addr: None }
}

fn broker_data(name: &str, broker: &Broker) -> BrokerData {
    BrokerData {
        broker_addrs: broker.members.iter().map(|(id, member)| (*id, member.addr.clone())).collect(),
        broker_name: name.to_owned(),
        cluster: broker.cluster.clone(),
    }
}

fn queue_data(queues: &Queues) -> QueueData {
    QueueData {
        broker_name: queues.broker.to_string(),
        perm: queues.perm,
        read_queue_nums: queues.read,
        topic_syn_flag: queues.sys_flag,
        write_queue_nums: queues.write,
    }
}

/// [`TopicRouteData`] with what newer clients look for.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewerRoute<'a> {
    broker_datas: Vec<NewerBroker<'a>>,
    filter_server_table: &'a BTreeMap<String, Vec<String>>,
    order_topic_conf: Option<&'a str>,
    queue_datas: Vec<BothFlags<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct BothFlags<'a> {
    #[serde(flatten)]
    queues: &'a QueueData,
    topic_sys_flag: i32,
}

/// [`ClusterInfo`] with what newer clients look for.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewerClusters<'a> {
    broker_addr_table: BTreeMap<&'a str, NewerBroker<'a>>,
    cluster_addr_table: &'a BTreeMap<String, BTreeSet<String>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct NewerBroker<'a> {
    #[serde(flatten)]
    broker: &'a BrokerData,
    enable_acting_master: bool,
}

impl<'a> From<&'a BrokerData> for NewerBroker<'a> {
    fn from(broker: &'a BrokerData) -> Self {
        Self { broker, enable_acting_master: false }
    }
}
