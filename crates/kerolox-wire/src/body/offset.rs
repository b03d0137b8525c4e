//! Queues and positions in them.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use serde::ser::SerializeStruct as _;
use serde::{Deserialize, Serialize, Serializer};

use super::json::{EachMember, Members};
use super::{PairMap, Unreadable};

/// One queue of one topic on one broker.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MessageQueue {
    // The order of the fields is that of the wire; some clients parse it by hand.
    /// The broker's name.
    pub broker_name: String,
    /// The queue's number.
    pub queue_id: i32,
    /// The topic.
    pub topic: String,
}

impl Ord for MessageQueue {
    /// By topic, then broker, then number: clients share queues out in this order.
    fn cmp(&self, other: &Self) -> Ordering {
        (&self.topic, &self.broker_name, self.queue_id).cmp(&(&other.topic, &other.broker_name, other.queue_id))
    }
}

impl PartialOrd for MessageQueue {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Consumer offsets: `consumerOffset.json`, and the answer to `GET_ALL_CONSUMER_OFFSET`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(from = "OffsetTableText")]
pub struct OffsetTable {
    /// Offsets by `topic@group` and queue.
    pub offset_table: BTreeMap<String, BTreeMap<i32, i64>>,
    /// Members that could not be read; written back as they stood.
    pub unreadable: Vec<Unreadable>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct OffsetTableText {
    offset_table: EachMember<BTreeMap<i32, i64>>,
}

impl From<OffsetTableText> for OffsetTable {
    fn from(text: OffsetTableText) -> Self {
        let EachMember { read, unreadable } = text.offset_table;
        Self { offset_table: read, unreadable }
    }
}

impl Serialize for OffsetTable {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let members = Members { read: &self.offset_table, unreadable: &self.unreadable };
        let mut table = serializer.serialize_struct("OffsetTable", 1)?;
        table.serialize_field("offsetTable", &members)?;
        table.end()
    }
}

/// Progress of delayed messages: `delayOffset.json`, and the answer to `GET_ALL_DELAY_OFFSET`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct DelayOffsets {
    /// Offsets by delay level, from 1.
    pub offset_table: BTreeMap<i32, i64>,
}

/// New offsets for a group: pushed to clients, and told to whoever asked for the reset.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResetOffset {
    /// Offsets by queue.
    pub offset_table: PairMap<MessageQueue, i64>,
}

/// The same for clients in C++.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ResetOffsetList {
    /// Queues with their offsets.
    pub offset_table: Vec<MessageQueueOffset>,
}

/// A queue with an offset.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MessageQueueOffset {
    /// The broker's name.
    pub broker_name: String,
    /// The offset.
    pub offset: i64,
    /// The queue's number.
    pub queue_id: i32,
    /// The topic.
    pub topic: String,
}

/// What clients hold as their offsets: one client's answer, and a broker's collection of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerStatus {
    /// In the broker's answer: offsets by client id and queue.
    pub consumer_table: BTreeMap<String, PairMap<MessageQueue, i64>>,
    /// In a client's answer: offsets by queue.
    pub message_queue_table: PairMap<MessageQueue, i64>,
}

/// Offsets of a group that others may be lagging behind.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CorrectionOffsets {
    /// Offsets by queue.
    pub correction_offsets: BTreeMap<i32, i64>,
}

/// Between which times a group consumes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumeTimeSpans {
    /// One entry for each queue.
    pub consume_time_span_set: Vec<QueueTimeSpan>,
}

/// Between which times a group consumes one queue.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct QueueTimeSpan {
    /// Store time of the message at the group's offset, ms.
    pub consume_time_stamp: i64,
    /// How far that lies behind now, ms.
    pub delay_time: i64,
    /// Store time of the newest message, ms.
    pub max_time_stamp: i64,
    /// The queue.
    pub message_queue: MessageQueue,
    /// Store time of the oldest message, ms.
    pub min_time_stamp: i64,
}

/// Body of the message that reports a pull out of range.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OffsetMovedEvent {
    /// The group that pulled.
    pub consumer_group: String,
    /// The queue.
    pub message_queue: MessageQueue,
    /// Where it was sent.
    pub offset_new: i64,
    /// Where it wanted to read.
    pub offset_request: i64,
}
