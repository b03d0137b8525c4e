//! What administrators look at while messages are consumed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{ConsumeResult, MessageQueue, PairMap, SubscriptionData};

/// What a client made of a message it was handed directly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumeDirectlyResult {
    /// Whether an ordered consumer commits by itself.
    pub auto_commit: bool,
    /// The outcome.
    pub consume_result: ConsumeResult,
    /// Whether the consumer is an ordered one.
    pub order: bool,
    /// What went wrong.
    pub remark: Option<String>,
    /// How long it took, ms.
    pub spent_time_mills: i64,
}

impl Default for ConsumeDirectlyResult {
    fn default() -> Self {
        Self {
            auto_commit: true,
            consume_result: ConsumeResult::Unset,
            order: false,
            remark: None,
            spent_time_mills: 0,
        }
    }
}

/// The state of a consumer, as it tells it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerRunningInfo {
    /// Stacks of its threads, when asked for.
    pub jstack: Option<String>,
    /// State by queue.
    pub mq_table: PairMap<MessageQueue, ProcessQueueInfo>,
    /// Its settings.
    pub properties: BTreeMap<String, String>,
    /// Speeds by topic.
    pub status_table: BTreeMap<String, ConsumeStatus>,
    /// Its subscriptions.
    pub subscription_set: Vec<SubscriptionData>,
}

/// A queue as its consumer holds it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProcessQueueInfo {
    /// Messages held.
    pub cached_msg_count: i32,
    /// Last offset held.
    pub cached_msg_max_offset: i64,
    /// First offset held.
    pub cached_msg_min_offset: i64,
    /// Their size, MiB.
    #[serde(rename = "cachedMsgSizeInMiB")]
    pub cached_msg_size_in_mib: i32,
    /// Offset to be committed next.
    pub commit_offset: i64,
    /// Whether it was given up. So spelled in Java.
    #[serde(alias = "dropped")]
    pub droped: bool,
    /// When consuming was last begun, ms.
    pub last_consume_timestamp: i64,
    /// When the lock was last renewed, ms.
    pub last_lock_timestamp: i64,
    /// When it was last pulled, ms.
    pub last_pull_timestamp: i64,
    /// Whether it is locked.
    pub locked: bool,
    /// Messages in the ordered consumer's hands.
    pub transaction_msg_count: i32,
    /// Last of them.
    pub transaction_msg_max_offset: i64,
    /// First of them.
    pub transaction_msg_min_offset: i64,
    /// How often unlocking was tried.
    pub try_unlock_times: i64,
}

/// How fast a consumer is.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ConsumeStatus {
    /// Messages that failed in the last hour.
    #[serde(rename = "consumeFailedMsgs")]
    pub consume_failed_msgs: i64,
    /// Messages that fail in a second.
    #[serde(rename = "consumeFailedTPS")]
    pub consume_failed_tps: f64,
    /// Messages that succeed in a second.
    #[serde(rename = "consumeOKTPS")]
    pub consume_ok_tps: f64,
    /// Time of consuming a message, ms.
    #[serde(rename = "consumeRT")]
    pub consume_rt: f64,
    /// Time of a pull, ms.
    #[serde(rename = "pullRT")]
    pub pull_rt: f64,
    /// Messages pulled in a second.
    #[serde(rename = "pullTPS")]
    pub pull_tps: f64,
}

/// Units of a queue, and what a group's filter makes of them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumeQueueUnits {
    /// The group's SQL filter.
    pub filter_data: Option<String>,
    /// End of the queue.
    pub max_queue_index: i64,
    /// Its first unit.
    pub min_queue_index: i64,
    /// The units.
    pub queue_data: Vec<ConsumeQueueUnit>,
    /// The group's subscription.
    pub subscription_data: Option<SubscriptionData>,
}

/// One unit of a queue.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumeQueueUnit {
    /// Bits of the filters that match.
    pub bit_map: Option<String>,
    /// Whether the group's filter matches.
    pub eval: bool,
    /// The unit's extension.
    pub extend_data_json: Option<String>,
    /// What could not be read.
    pub msg: Option<String>,
    /// Place of the record.
    pub physic_offset: i64,
    /// Its size.
    pub physic_size: i32,
    /// The tags code.
    pub tags_code: i64,
}
