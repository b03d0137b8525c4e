//! Headers of client membership, and of what the broker asks of clients.

use super::header::header;
use crate::names::{GroupName, TopicName};

header! {
    /// Takes a client out of its groups (35).
    UnregisterClient {
        /// Client id.
        client_id: required String = "clientID",
        /// Producer group to leave.
        producer_group: optional String = "producerGroup",
        /// Consumer group to leave.
        consumer_group: optional String = "consumerGroup",
    }
}

header! {
    /// Names a consumer group (38, 40, 203).
    ConsumerGroup {
        /// The group.
        consumer_group: required GroupName = "consumerGroup",
    }
}

header! {
    /// Names a producer group (204).
    ProducerGroup {
        /// The group.
        producer_group: required String = "producerGroup",
    }
}

header! {
    /// Tells a consumer to go on at other places (220).
    ResetClientOffset {
        /// Topic.
        topic: required TopicName = "topic",
        /// Group that consumes.
        group: required GroupName = "group",
        /// Store time aimed at, -1 for the end.
        timestamp: required i64 = "timestamp",
        /// Whether to go forward too.
        is_force: required bool = "isForce",
    }
}

header! {
    /// Asks where consumers stand (221, 223).
    ConsumerStatus {
        /// Topic.
        topic: required TopicName = "topic",
        /// Group that consumes.
        group: required GroupName = "group",
        /// Client id to ask alone.
        client_addr: optional String = "clientAddr",
    }
}

header! {
    /// Asks a consumer about itself (307).
    ConsumerRunningInfo {
        /// Group that consumes.
        consumer_group: required GroupName = "consumerGroup",
        /// Client id.
        client_id: required String = "clientId",
        /// Whether to add its stack traces.
        jstack_enable: default bool = "jstackEnable",
    }
}

header! {
    /// Has one consumer consume one message (309).
    ConsumeDirectly {
        /// Group that consumes.
        consumer_group: required GroupName = "consumerGroup",
        /// Client id.
        client_id: optional String = "clientId",
        /// Offset message id.
        msg_id: optional String = "msgId",
        /// Set by the broker.
        broker_name: optional String = "brokerName",
    }
}
