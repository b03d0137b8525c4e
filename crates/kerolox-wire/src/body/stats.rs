//! Numbers about topics, groups and brokers.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{MessageQueue, PairMap};

/// How far a group is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumeStats {
    /// Messages in a second.
    pub consume_tps: f64,
    /// Positions by queue.
    pub offset_table: PairMap<MessageQueue, OffsetWrapper>,
}

/// How far a group is in one queue.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OffsetWrapper {
    /// End of the queue.
    pub broker_offset: i64,
    /// The group's offset.
    pub consumer_offset: i64,
    /// Store time of the last message consumed, ms.
    pub last_timestamp: i64,
}

impl OffsetWrapper {
    /// Messages between the group's offset and the end of the queue; below 0 when the group is beyond it.
    #[must_use]
    pub fn diff(&self) -> i64 {
        self.broker_offset.saturating_sub(self.consumer_offset)
    }
}

/// What a topic holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicStats {
    /// Ranges by queue.
    pub offset_table: PairMap<MessageQueue, TopicOffset>,
}

/// What a queue holds.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicOffset {
    /// Store time of the newest message, ms.
    pub last_update_timestamp: i64,
    /// End of the queue.
    pub max_offset: i64,
    /// Its first message.
    pub min_offset: i64,
}

/// How far all groups of a broker are.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BrokerConsumeStats {
    /// The broker's address.
    pub broker_addr: String,
    /// One entry for each group, its topics in a list.
    pub consume_stats_list: Vec<BTreeMap<String, Vec<ConsumeStats>>>,
    /// Messages not consumed yet, over all groups.
    pub total_diff: i64,
}

/// One statistic over three spans of time.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BrokerStatsData {
    /// The last day.
    pub stats_day: BrokerStatsItem,
    /// The last hour.
    pub stats_hour: BrokerStatsItem,
    /// The last minute.
    pub stats_minute: BrokerStatsItem,
}

/// One statistic over one span of time.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BrokerStatsItem {
    /// Average per event.
    pub avgpt: f64,
    /// Total.
    pub sum: i64,
    /// Per second.
    pub tps: f64,
}

/// Names of groups.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GroupList {
    /// Them.
    pub group_list: Vec<String>,
}
