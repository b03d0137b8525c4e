//! Headers of sending and of what follows from it.

use super::header::header;
use crate::names::{GroupName, TopicName};

header! {
    /// Stores a message (10), also with one-letter names (310), or a batch of them (320 or `batch`).
    SendMessage {
        /// Group of the producer.
        producer_group: required String = "producerGroup" | "a",
        /// Topic to store under.
        topic: required TopicName = "topic" | "b",
        /// Topic whose settings an unknown topic is created with.
        default_topic: required String = "defaultTopic" | "c",
        /// Queues that the client wants for an unknown topic.
        default_topic_queues: required i32 = "defaultTopicQueueNums" | "d",
        /// Queue within the topic; negative: the broker chooses.
        queue_id: required i32 = "queueId" | "e",
        /// Bits of `sys_flag`.
        sys_flag: required i32 = "sysFlag" | "f",
        /// When the client made the message, in milliseconds.
        born_timestamp: required i64 = "bornTimestamp" | "g",
        /// The application's own number.
        flag: required i32 = "flag" | "h",
        /// Property text.
        properties: optional String = "properties" | "i",
        /// How often a consumer has handed it back.
        reconsume_times: default i32 = "reconsumeTimes" | "j",
        /// Set by producers of the unit mode.
        unit_mode: default bool = "unitMode" | "k",
        /// Hand-backs after which it becomes a dead letter.
        max_reconsume_times: optional i32 = "maxReconsumeTimes" | "l",
        /// Whether the body is a batch.
        batch: default bool = "batch" | "m",
    }
}

header! {
    /// Where a message was stored.
    SendResult {
        /// Offset message id; for a batch all of them, joined by commas.
        msg_id: required String = "msgId",
        /// Queue it went to.
        queue_id: required i32 = "queueId",
        /// Place in that queue, of the first for a batch.
        queue_offset: required i64 = "queueOffset",
        /// Transaction id, where there is one.
        transaction_id: optional String = "transactionId",
    }
}

header! {
    /// Hands a message back to be tried again (36).
    SendBack {
        /// Log offset of the message.
        offset: required i64 = "offset",
        /// Group of the consumer.
        group: required GroupName = "group",
        /// 0: the broker decides; negative: straight to the dead letters.
        delay_level: required i32 = "delayLevel",
        /// Offset id of the message as the client knows it.
        origin_msg_id: optional String = "originMsgId",
        /// Topic the message was consumed from.
        origin_topic: optional String = "originTopic",
        /// Set by consumers of the unit mode.
        unit_mode: default bool = "unitMode",
        /// Hand-backs after which it becomes a dead letter.
        max_reconsume_times: optional i32 = "maxReconsumeTimes",
    }
}

header! {
    /// Ends a transaction (37).
    EndTransaction {
        /// Group of the producer.
        producer_group: required String = "producerGroup",
        /// Place in the queue of half messages.
        tran_state_table_offset: required i64 = "tranStateTableOffset",
        /// Log offset of the half message.
        commit_log_offset: required i64 = "commitLogOffset",
        /// 0 unknown, 8 commit, 12 roll back.
        commit_or_rollback: required i32 = "commitOrRollback",
        /// Whether this answers a check.
        from_transaction_check: default bool = "fromTransactionCheck",
        /// Unique key of the message.
        msg_id: required String = "msgId",
        /// Transaction id.
        transaction_id: optional String = "transactionId",
    }
}

header! {
    /// Asks a producer how a transaction went (39).
    CheckTransactionState {
        /// Place in the queue of half messages.
        tran_state_table_offset: required i64 = "tranStateTableOffset",
        /// Log offset of the half message.
        commit_log_offset: required i64 = "commitLogOffset",
        /// Unique key of the message.
        msg_id: optional String = "msgId",
        /// Transaction id.
        transaction_id: optional String = "transactionId",
        /// Offset message id of the half message.
        offset_msg_id: optional String = "offsetMsgId",
    }
}

header! {
    /// Gives a reply to the client that asked (326).
    PushReply {
        /// Group of the replier.
        producer_group: required String = "producerGroup",
        /// Topic of replies.
        topic: required String = "topic",
        /// Default topic of the replier.
        default_topic: required String = "defaultTopic",
        /// Queues of that default.
        default_topic_queues: required i32 = "defaultTopicQueueNums",
        /// Queue of the reply.
        queue_id: required i32 = "queueId",
        /// Bits of `sys_flag`.
        sys_flag: required i32 = "sysFlag",
        /// When the reply was made, in milliseconds.
        born_timestamp: required i64 = "bornTimestamp",
        /// The application's own number.
        flag: required i32 = "flag",
        /// Property text.
        properties: optional String = "properties",
        /// How often it was handed back.
        reconsume_times: default i32 = "reconsumeTimes",
        /// Set by the unit mode.
        unit_mode: default bool = "unitMode",
        /// Where the reply came from, as Java prints addresses.
        born_host: required String = "bornHost",
        /// The broker's address, as Java prints it.
        store_host: required String = "storeHost",
        /// When the broker took the reply, in milliseconds.
        store_timestamp: required i64 = "storeTimestamp",
    }
}
