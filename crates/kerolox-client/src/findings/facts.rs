//! What the rules judge by.

use std::collections::BTreeMap;

use kerolox_wire::body::{ClusterInfo, TopicRouteData};

use crate::name_servers::MissingTopic;

/// Names and values as a node tells them.
pub type Figures = BTreeMap<String, String>;

/// Everything that was learned about a cluster at one time. A `Result`'s error is the sentence to show.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// The name servers that were asked.
    pub name_servers: Vec<NameServerFacts>,
    /// The brokers that any name server knows.
    pub brokers: Vec<BrokerFacts>,
    /// The topics that were looked at.
    pub topics: Vec<TopicFacts>,
    /// Topics that were not looked at because there are too many.
    pub topics_left_out: usize,
    /// Topics that clients want and that are not there.
    pub missing: Vec<MissingTopic>,
    /// Groups that have messages to consume and seem not to: no other was looked at.
    pub groups: Vec<GroupFacts>,
    /// When it was learned, ms since 1970.
    pub now_ms: i64,
    /// The machine that asked, if it is to be judged.
    pub host: Option<HostFacts>,
}

/// One name server.
#[derive(Debug, Clone)]
pub struct NameServerFacts {
    /// Its address as it was given.
    pub address: String,
    /// The brokers it knows.
    pub clusters: Result<ClusterInfo, String>,
    /// How many topics it knows.
    pub topics: Result<usize, String>,
}

/// One broker.
#[derive(Debug, Clone, Default)]
pub struct BrokerFacts {
    /// Its cluster.
    pub cluster: String,
    /// Its name.
    pub name: String,
    /// 0 for a master.
    pub id: i64,
    /// The address that clients are given.
    pub address: String,
    /// Figures of the running broker, or why it did not tell them.
    pub figures: Option<Result<Figures, String>>,
    /// Its settings, where it told them.
    pub settings: Figures,
    /// Milliseconds since 1970 by the clock of whoever asked, when the question was sent.
    pub asked_ms: i64,
    /// The same when the answer was there.
    pub answered_ms: i64,
}

/// One topic.
#[derive(Debug, Clone)]
pub struct TopicFacts {
    /// Its name.
    pub name: String,
    /// Its route, or why there is none.
    pub route: Result<TopicRouteData, String>,
}

/// One consumer group that has messages to consume.
#[derive(Debug, Clone)]
pub struct GroupFacts {
    /// Its name.
    pub name: String,
    /// Messages that it has not consumed.
    pub lag: i64,
    /// Messages per second that it consumes.
    pub tps: f64,
    /// How long the oldest of the messages waits, ms.
    pub oldest_ms: i64,
    /// Connected clients.
    pub clients: usize,
}

/// The machine that asked. What could not be read is absent.
#[derive(Debug, Clone, Default)]
pub struct HostFacts {
    /// Kernel settings by the name that `sysctl` takes.
    pub kernel: BTreeMap<String, i64>,
    /// Most files a process may raise its limit to; absent also when there is no limit.
    pub open_files: Option<u64>,
}
