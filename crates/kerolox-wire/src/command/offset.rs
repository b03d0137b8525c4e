//! Headers of consumer offsets and queue ranges.

use super::header::header;
use crate::names::{GroupName, TopicName};

header! {
    /// Names a queue as a group consumes it (14).
    QueryConsumerOffset {
        /// Group that consumes.
        consumer_group: required GroupName = "consumerGroup",
        /// Topic.
        topic: required TopicName = "topic",
        /// Queue within the topic.
        queue_id: required i32 = "queueId",
    }
}

header! {
    /// Stores how far a group has come (15).
    UpdateConsumerOffset {
        /// Group that consumes.
        consumer_group: required GroupName = "consumerGroup",
        /// Topic.
        topic: required TopicName = "topic",
        /// Queue within the topic.
        queue_id: required i32 = "queueId",
        /// Next place to consume.
        commit_offset: required i64 = "commitOffset",
    }
}

header! {
    /// Finds the place of a store time (29).
    SearchOffset {
        /// Topic.
        topic: required TopicName = "topic",
        /// Queue within the topic.
        queue_id: required i32 = "queueId",
        /// Store time in milliseconds.
        timestamp: required i64 = "timestamp",
    }
}

header! {
    /// Names one queue (30, 31, 32).
    QueueRef {
        /// Topic.
        topic: required TopicName = "topic",
        /// Queue within the topic.
        queue_id: required i32 = "queueId",
    }
}

header! {
    /// A place in a queue.
    OffsetResult {
        /// The place.
        offset: required i64 = "offset",
    }
}

header! {
    /// A store time.
    TimestampResult {
        /// Milliseconds, -1 when there is none.
        timestamp: required i64 = "timestamp",
    }
}
