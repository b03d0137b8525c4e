//! Topics and names that belong to the system.

use kerolox_wire::names::{TopicName, topics};

use super::{Perm, Topic};

/// Queues of the schedule topic, one for each delay level.
const SCHEDULE_QUEUES: u32 = 18;
/// Queues of the benchmark's topic.
const BENCHMARK_QUEUES: u32 = 1024;
/// Queues of the topic named after the cluster.
const CLUSTER_QUEUES: u32 = 16;

/// What decides which topics exist at start.
#[derive(Debug, Clone)]
pub(crate) struct TopicRules {
    /// Cluster name, also the name of a topic.
    pub(crate) cluster_name: String,
    /// Broker name, also the name of a topic.
    pub(crate) broker_name: String,
    /// Whether `TBW102` exists at start.
    pub(crate) auto_create: bool,
    /// Queues of `TBW102`, the most that an automatic topic gets.
    pub(crate) default_queues: u32,
    /// Whether the cluster's topic may be read and written.
    pub(crate) cluster_topic: bool,
    /// Whether the broker's topic may be read and written.
    pub(crate) broker_topic: bool,
    /// Name of the trace topic, if there shall be one.
    pub(crate) trace_topic: Option<String>,
}

/// The topics that exist from the start. A cluster or broker name that is no legal topic name yields none.
pub(super) fn system_topics(rules: TopicRules) -> Vec<Topic> {
    let template = |usable: bool| if usable { Perm::TEMPLATE } else { Perm::INHERIT };
    let reply = format!("{}_REPLY_TOPIC", rules.cluster_name);
    let mut wanted = vec![
        (topics::SELF_TEST.to_owned(), 1, Perm::READ_WRITE),
        (topics::BENCHMARK.to_owned(), BENCHMARK_QUEUES, Perm::READ_WRITE),
        (rules.cluster_name, CLUSTER_QUEUES, template(rules.cluster_topic)),
        (rules.broker_name, 1, template(rules.broker_topic)),
        (topics::OFFSET_MOVED_EVENT.to_owned(), 1, Perm::READ_WRITE),
        (topics::SCHEDULE.to_owned(), SCHEDULE_QUEUES, Perm::READ_WRITE),
        (reply, 1, Perm::READ_WRITE),
    ];
    if rules.auto_create {
        wanted.push((topics::AUTO_CREATE.to_owned(), rules.default_queues, Perm::TEMPLATE));
    }
    if let Some(trace) = rules.trace_topic {
        wanted.push((trace, 1, Perm::READ_WRITE));
    }
    let legal = |(name, queues, perm): (String, u32, Perm)| match TopicName::parse(&name) {
        Ok(name) => Some(Topic::new(name, queues, perm)),
        Err(why) => {
            tracing::warn!(name, %why, "no topic of this name is made");
            None
        }
    };
    wanted.into_iter().filter_map(legal).collect()
}
