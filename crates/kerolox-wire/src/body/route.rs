//! What a name server tells about topics, brokers and clusters.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// Where a topic can be found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicRouteData {
    /// The brokers that have queues of the topic.
    pub broker_datas: Vec<BrokerData>,
    /// Filter servers by broker address; always empty today.
    pub filter_server_table: BTreeMap<String, Vec<String>>,
    /// Queues of an ordered topic, `broker-a:8;broker-b:8`.
    pub order_topic_conf: Option<String>,
    /// The topic's queues on each broker.
    pub queue_datas: Vec<QueueData>,
}

/// A topic's queues on one broker.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", from = "ReadQueueData")]
pub struct QueueData {
    /// The broker's name.
    pub broker_name: String,
    /// Permission bits: 4 read, 2 write, 1 inherit.
    pub perm: i32,
    /// Queues to read from.
    pub read_queue_nums: i32,
    /// Bit 0 unit, bit 1 unit subscription. So spelled by 4.x; 5.x writes `topicSysFlag`, and some write both.
    pub topic_syn_flag: i32,
    /// Queues to write to.
    pub write_queue_nums: i32,
}

/// [`QueueData`] as peers of all versions write it: an alias would take the two names of the flag for a doubled field.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ReadQueueData {
    broker_name: String,
    perm: i32,
    read_queue_nums: i32,
    topic_syn_flag: Option<i32>,
    topic_sys_flag: Option<i32>,
    write_queue_nums: i32,
}

impl From<ReadQueueData> for QueueData {
    fn from(read: ReadQueueData) -> Self {
        Self {
            broker_name: read.broker_name,
            perm: read.perm,
            read_queue_nums: read.read_queue_nums,
            topic_syn_flag: read.topic_syn_flag.or(read.topic_sys_flag).unwrap_or_default(),
            write_queue_nums: read.write_queue_nums,
        }
    }
}

/// One broker name with its master (id 0) and slaves.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BrokerData {
    /// Addresses by broker id.
    pub broker_addrs: BTreeMap<i64, String>,
    /// The name they share.
    pub broker_name: String,
    /// The cluster they belong to.
    pub cluster: String,
}

/// All brokers of all clusters.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ClusterInfo {
    /// Brokers by name.
    pub broker_addr_table: BTreeMap<String, BrokerData>,
    /// Broker names by cluster.
    pub cluster_addr_table: BTreeMap<String, BTreeSet<String>>,
}

/// Names of topics.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicList {
    /// A broker to ask for more system topics.
    pub broker_addr: Option<String>,
    /// The names.
    pub topic_list: Vec<String>,
}

/// Keys and values: runtime information, order configuration, a namespace of the name server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KvTable {
    /// Values by key.
    pub table: BTreeMap<String, String>,
}

/// The name server's file `kvConfig.json`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct KvConfigTable {
    /// Values by namespace and key.
    pub config_table: BTreeMap<String, BTreeMap<String, String>>,
}
