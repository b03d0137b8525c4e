//! Topics and subscription groups, as table files keep them and as name servers and slaves get them.

use std::collections::BTreeMap;

use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Serialize, Serializer};

use super::json::{EachMember, Members};
use super::{TopicFilterType, Unreadable};

/// Tells whether two tables are the same without comparing them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DataVersion {
    /// Counts the changes.
    pub counter: i64,
    /// Time of the last change, ms.
    pub timestamp: i64,
}

impl DataVersion {
    /// The version after one more change.
    #[must_use]
    pub const fn next(self, now_ms: i64) -> Self {
        Self { counter: self.counter.wrapping_add(1), timestamp: now_ms }
    }
}

/// One topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicConfig {
    /// What 5.x adds; kept for it, and left out when there is nothing.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// Whether the order configuration lists it.
    pub order: bool,
    /// Permission bits: 4 read, 2 write, 1 inherit.
    pub perm: i32,
    /// Queues to read from.
    pub read_queue_nums: i32,
    /// How many tags a message has.
    pub topic_filter_type: TopicFilterType,
    /// Its name.
    pub topic_name: String,
    /// Bit 0 unit, bit 1 unit subscription.
    pub topic_sys_flag: i32,
    /// Queues to write to.
    pub write_queue_nums: i32,
}

impl Default for TopicConfig {
    fn default() -> Self {
        Self {
            attributes: BTreeMap::new(),
            order: false,
            perm: 6,
            read_queue_nums: 16,
            topic_filter_type: TopicFilterType::SingleTag,
            topic_name: String::new(),
            topic_sys_flag: 0,
            write_queue_nums: 16,
        }
    }
}

/// All topics of a broker: `topics.json`, and the answer to `GET_ALL_TOPIC_CONFIG`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(from = "TopicConfigTableText")]
pub struct TopicConfigTable {
    /// Version of the table.
    pub data_version: DataVersion,
    /// Topics by name.
    pub topic_config_table: BTreeMap<String, TopicConfig>,
    /// Members that could not be read; written back as they stood.
    pub unreadable: Vec<Unreadable>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TopicConfigTableText {
    data_version: DataVersion,
    topic_config_table: EachMember<TopicConfig>,
}

impl From<TopicConfigTableText> for TopicConfigTable {
    fn from(text: TopicConfigTableText) -> Self {
        let EachMember { read, unreadable } = text.topic_config_table;
        Self { data_version: text.data_version, topic_config_table: read, unreadable }
    }
}

impl Serialize for TopicConfigTable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let members = Members { read: &self.topic_config_table, unreadable: &self.unreadable };
        let mut table = serializer.serialize_struct("TopicConfigTable", 2)?;
        table.serialize_field("dataVersion", &self.data_version)?;
        table.serialize_field("topicConfigTable", &members)?;
        table.end()
    }
}

/// One subscription group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionGroupConfig {
    /// Broker to read from.
    pub broker_id: i64,
    /// Whether broadcasting is allowed.
    pub consume_broadcast_enable: bool,
    /// Whether consuming is allowed.
    pub consume_enable: bool,
    /// Whether a new group may begin at the oldest message.
    pub consume_from_min_enable: bool,
    /// Its name.
    pub group_name: String,
    /// Whether members hear of changes in the group.
    pub notify_consumer_ids_changed_enable: bool,
    /// How often a message is tried again.
    pub retry_max_times: i32,
    /// Queues of the retry topic.
    pub retry_queue_nums: i32,
    /// Broker to read from when far behind.
    pub which_broker_when_consume_slowly: i64,
}

impl Default for SubscriptionGroupConfig {
    fn default() -> Self {
        Self {
            broker_id: 0,
            consume_broadcast_enable: true,
            consume_enable: true,
            consume_from_min_enable: true,
            group_name: String::new(),
            notify_consumer_ids_changed_enable: true,
            retry_max_times: 16,
            retry_queue_nums: 1,
            which_broker_when_consume_slowly: 1,
        }
    }
}

/// All groups of a broker: `subscriptionGroup.json`, and the answer to `GET_ALL_SUBSCRIPTIONGROUP_CONFIG`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(from = "SubscriptionGroupTableText")]
pub struct SubscriptionGroupTable {
    /// Version of the table.
    pub data_version: DataVersion,
    /// Groups by name.
    pub subscription_group_table: BTreeMap<String, SubscriptionGroupConfig>,
    /// Members that could not be read; written back as they stood.
    pub unreadable: Vec<Unreadable>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SubscriptionGroupTableText {
    data_version: DataVersion,
    subscription_group_table: EachMember<SubscriptionGroupConfig>,
}

impl From<SubscriptionGroupTableText> for SubscriptionGroupTable {
    fn from(text: SubscriptionGroupTableText) -> Self {
        let EachMember { read, unreadable } = text.subscription_group_table;
        Self { data_version: text.data_version, subscription_group_table: read, unreadable }
    }
}

impl Serialize for SubscriptionGroupTable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let members = Members { read: &self.subscription_group_table, unreadable: &self.unreadable };
        let mut table = serializer.serialize_struct("SubscriptionGroupTable", 2)?;
        table.serialize_field("dataVersion", &self.data_version)?;
        table.serialize_field("subscriptionGroupTable", &members)?;
        table.end()
    }
}
