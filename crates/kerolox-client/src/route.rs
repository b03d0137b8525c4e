//! Who serves a topic, and which brokers a cluster has.

use std::collections::BTreeMap;

use bytes::Bytes;
use kerolox_wire::body::{BrokerData, ClusterInfo, MessageQueue, TopicList, TopicRouteData};
use kerolox_wire::command::name_server::{ClusterName, GetRoute};
use kerolox_wire::command::{NoFields, call};
use kerolox_wire::names::topics;
use kerolox_wire::response::ResponseCode;

use crate::{Client, ClientError};

/// Number of a master within its broker name.
pub const MASTER_ID: i64 = 0;
const PERM_READ: i32 = 4;
const PERM_WRITE: i32 = 2;
/// Queues of a topic that does not exist yet, as seen by its first producer.
const NEW_TOPIC_QUEUES: i32 = 4;

/// The address to administrate or read a broker at: its master, else the lowest id.
#[must_use]
pub fn address_of(broker: &BrokerData) -> Option<&str> {
    broker.broker_addrs.iter().min_by_key(|(id, _)| **id).map(|(_, address)| address.as_str())
}

/// The master's address.
#[must_use]
pub fn master_of(broker: &BrokerData) -> Option<&str> {
    broker.broker_addrs.get(&MASTER_ID).map(String::as_str)
}

/// The queues that consumers read, in order.
#[must_use]
pub fn readable_queues(topic: &str, route: &TopicRouteData) -> Vec<MessageQueue> {
    let readable = route.queue_datas.iter().filter(|q| q.perm & PERM_READ != 0);
    let mut queues: Vec<MessageQueue> =
        readable.flat_map(|q| queues_of(topic, &q.broker_name, q.read_queue_nums)).collect();
    queues.sort();
    queues
}

/// The queues that producers write to: those of brokers whose master is known. An order configuration lists them.
#[must_use]
pub fn writable_queues(topic: &str, route: &TopicRouteData) -> Vec<MessageQueue> {
    if let Some(order) = route.order_topic_conf.as_deref().filter(|conf| !conf.trim().is_empty()) {
        let listed = order.split(';').filter_map(|part| part.split_once(':'));
        return listed.flat_map(|(name, count)| queues_of(topic, name, count.trim().parse().unwrap_or(0))).collect();
    }
    let has_master = |name: &str| route.broker_datas.iter().any(|b| b.broker_name == name && master_of(b).is_some());
    let writable = route.queue_datas.iter().filter(|q| q.perm & PERM_WRITE != 0 && has_master(&q.broker_name));
    let mut queues: Vec<MessageQueue> =
        writable.flat_map(|q| queues_of(topic, &q.broker_name, q.write_queue_nums)).collect();
    queues.sort();
    queues
}

fn queues_of(topic: &str, broker_name: &str, count: i32) -> impl Iterator<Item = MessageQueue> {
    (0..count).map(move |queue_id| MessageQueue {
        topic: topic.to_owned(),
        broker_name: broker_name.to_owned(),
        queue_id,
    })
}

/// The brokers of one cluster.
#[derive(Debug, Clone, Default)]
pub struct ClusterBrokers {
    /// Name and addresses, by name.
    pub brokers: BTreeMap<String, BrokerData>,
}

impl ClusterBrokers {
    /// Addresses of all masters, by broker name.
    pub fn masters(&self) -> impl Iterator<Item = &str> {
        self.brokers.values().filter_map(master_of)
    }

    /// Addresses of masters and slaves, by broker name and id.
    pub fn addresses(&self) -> impl Iterator<Item = (i64, &str)> {
        self.brokers.values().flat_map(|broker| {
            let mut addresses: Vec<(i64, &str)> =
                broker.broker_addrs.iter().map(|(id, address)| (*id, address.as_str())).collect();
            addresses.sort_unstable();
            addresses
        })
    }
}

/// The brokers of `cluster` in `info`.
///
/// # Errors
/// When there is no such cluster.
pub fn brokers_of(info: &ClusterInfo, cluster: &str) -> Result<ClusterBrokers, ClientError> {
    let Some(names) = info.cluster_addr_table.get(cluster) else {
        return Err(ClientError::NoBroker {
            why: format!("the name server knows no cluster [{cluster}]; is the name right, and the name server?"),
        });
    };
    let known = names.iter().filter_map(|name| info.broker_addr_table.get(name).map(|b| (name.clone(), b.clone())));
    Ok(ClusterBrokers { brokers: known.collect() })
}

impl Client {
    /// Who serves `topic`.
    ///
    /// # Errors
    /// Code 17 when nobody does.
    pub async fn route(&self, topic: &str) -> Result<TopicRouteData, ClientError> {
        let request = GetRoute { topic: topic.to_owned(), accept_standard_json_only: false };
        self.ask_for::<call::GetRoute, _>(&request).await
    }

    /// Who takes messages of `topic`: a topic that is not there yet is made at the first send by brokers that make
    /// topics, so their template's route counts.
    ///
    /// # Errors
    /// Code 17 when nobody would take them.
    pub async fn publish_route(&self, topic: &str) -> Result<TopicRouteData, ClientError> {
        match self.route(topic).await {
            Err(why) if why.is(ResponseCode::TOPIC_NOT_EXIST) => {
                let mut route = self.route(topics::AUTO_CREATE).await.map_err(|_| why)?;
                for queues in &mut route.queue_datas {
                    let count = queues.read_queue_nums.min(NEW_TOPIC_QUEUES);
                    queues.read_queue_nums = count;
                    queues.write_queue_nums = count;
                }
                Ok(route)
            }
            other => other,
        }
    }

    /// All clusters and brokers.
    ///
    /// # Errors
    /// When no name server answers.
    pub async fn cluster_info(&self) -> Result<ClusterInfo, ClientError> {
        self.ask_for::<call::GetClusterInfo, _>(&NoFields).await
    }

    /// The brokers of one cluster.
    ///
    /// # Errors
    /// When there is no such cluster, or no name server answers.
    pub async fn cluster(&self, cluster: &str) -> Result<ClusterBrokers, ClientError> {
        brokers_of(&self.cluster_info().await?, cluster)
    }

    /// All topic names, sorted.
    ///
    /// # Errors
    /// When no name server answers.
    pub async fn topic_names(&self) -> Result<Vec<String>, ClientError> {
        let list: TopicList = self.ask_for::<call::GetAllTopicNames, _>(&NoFields).await?;
        let mut names = list.topic_list;
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    /// The topics of one cluster, sorted.
    ///
    /// # Errors
    /// When no name server answers.
    pub async fn topics_of_cluster(&self, cluster: &str) -> Result<Vec<String>, ClientError> {
        let request = ClusterName { cluster: cluster.to_owned() };
        let list: TopicList = self.ask_for::<call::GetTopicsByCluster, _>(&request).await?;
        let mut names = list.topic_list;
        names.sort_unstable();
        Ok(names)
    }

    /// The address to read `broker_name` at, from a topic's route.
    ///
    /// # Errors
    /// When the topic has no route, or none to that broker.
    pub async fn broker_of_topic(&self, topic: &str, broker_name: &str) -> Result<String, ClientError> {
        let route = self.route(topic).await?;
        let broker = route.broker_datas.iter().find(|b| b.broker_name == broker_name);
        broker.and_then(address_of).map(str::to_owned).ok_or_else(|| ClientError::NoBroker {
            why: format!("the broker [{broker_name}] does not serve the topic [{topic}]"),
        })
    }

    /// The addresses to read all brokers of a topic at.
    ///
    /// # Errors
    /// Code 17 when nobody serves the topic.
    pub async fn brokers_of_topic(&self, topic: &str) -> Result<Vec<(String, String)>, ClientError> {
        let route = self.route(topic).await?;
        let mut brokers: Vec<(String, String)> = route
            .broker_datas
            .iter()
            .filter_map(|b| address_of(b).map(|address| (b.broker_name.clone(), address.to_owned())))
            .collect();
        brokers.sort_unstable();
        if brokers.is_empty() {
            return Err(ClientError::NoBroker { why: format!("no broker of the topic [{topic}] has an address") });
        }
        Ok(brokers)
    }
}

/// The empty body of most requests.
pub(crate) const NO_BODY: Bytes = Bytes::new();
