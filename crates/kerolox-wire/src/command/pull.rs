//! Headers of pulling and of looking messages up.

use super::header::header;
use crate::names::{GroupName, TopicName};

header! {
    /// Asks for messages of one queue (11, 361).
    PullMessage {
        /// Group that consumes.
        consumer_group: required GroupName = "consumerGroup",
        /// Topic.
        topic: required TopicName = "topic",
        /// Queue within the topic.
        queue_id: required i32 = "queueId",
        /// First place wanted.
        queue_offset: required i64 = "queueOffset",
        /// Most messages wanted.
        max_msg_nums: required i32 = "maxMsgNums",
        /// Bits of `sys_flag::pull`.
        sys_flag: required i32 = "sysFlag",
        /// Place to commit with this pull.
        commit_offset: required i64 = "commitOffset",
        /// How long the broker may hold the request, in milliseconds.
        suspend_timeout_millis: required i64 = "suspendTimeoutMillis",
        /// Subscription expression, when sent along.
        subscription: optional String = "subscription",
        /// Version of the subscription the client relies on.
        sub_version: required i64 = "subVersion",
        /// `TAG` or `SQL92`.
        expression_type: optional String = "expressionType",
    }
}

header! {
    /// Where to go on.
    PullResult {
        /// Broker id to pull from next.
        suggest_which_broker_id: required i64 = "suggestWhichBrokerId",
        /// Place to pull from next.
        next_begin_offset: required i64 = "nextBeginOffset",
        /// First place of the queue.
        min_offset: required i64 = "minOffset",
        /// Place behind the last message of the queue.
        max_offset: required i64 = "maxOffset",
    }
}

header! {
    /// Looks messages up by key (12).
    QueryMessage {
        /// Topic.
        topic: required TopicName = "topic",
        /// Key, or unique key.
        key: required String = "key",
        /// Most messages wanted.
        max_num: required i32 = "maxNum",
        /// Earliest store time, in milliseconds.
        begin_timestamp: required i64 = "beginTimestamp",
        /// Latest store time, in milliseconds.
        end_timestamp: required i64 = "endTimestamp",
        /// Whether `key` is a unique key.
        unique_key: default bool = "_UNIQUE_KEY_QUERY",
    }
}

header! {
    /// How far the index reaches.
    QueryResult {
        /// Store time of the last indexed message.
        index_last_update_timestamp: required i64 = "indexLastUpdateTimestamp",
        /// Log offset of the last indexed message.
        index_last_update_phyoffset: required i64 = "indexLastUpdatePhyoffset",
    }
}

header! {
    /// Reads one message at its log offset (33).
    ViewMessage {
        /// Log offset.
        offset: required i64 = "offset",
    }
}
