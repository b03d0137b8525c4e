//! The file `consumerFilter.json`: which SQL filters groups have.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// All filters.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FilterTable {
    /// Filters by topic.
    pub filter_data_by_topic: BTreeMap<String, TopicFilters>,
}

/// The filters of one topic.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct TopicFilters {
    /// Filters by group.
    pub group_filter_data: BTreeMap<String, FilterData>,
    /// The topic.
    pub topic: String,
}

/// The filter of one group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FilterData {
    /// The group's bits.
    pub bloom_filter_data: Option<BloomBits>,
    /// Since when it holds, ms.
    pub born_time: i64,
    /// Version of the subscription.
    pub client_version: i64,
    /// The group.
    pub consumer_group: String,
    /// Whether the group is gone; the reference derives it and writes it all the same.
    pub dead: bool,
    /// Since when the group is gone, ms; 0 while it is there.
    pub dead_time: i64,
    /// The SQL text.
    pub expression: String,
    /// Its kind, `SQL92`.
    pub expression_type: String,
    /// The topic.
    pub topic: String,
}

/// Which bits of a bloom filter stand for a group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BloomBits {
    /// Bits of the filter.
    pub bit_num: i32,
    /// The group's.
    pub bit_pos: Vec<i32>,
}
