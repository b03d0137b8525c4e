//! Headers of the name server.

use super::header::header;

header! {
    /// Sets a key (100).
    PutKv {
        /// Namespace.
        namespace: required String = "namespace",
        /// Key.
        key: required String = "key",
        /// Value.
        value: required String = "value",
    }
}

header! {
    /// Names a key (101, 102).
    KvRef {
        /// Namespace.
        namespace: required String = "namespace",
        /// Key.
        key: required String = "key",
    }
}

header! {
    /// The value of a key.
    KvValue {
        /// The value.
        value: optional String = "value",
    }
}

header! {
    /// Names a namespace of keys (219).
    KvNamespace {
        /// The namespace.
        namespace: required String = "namespace",
    }
}

header! {
    /// Announces a broker with its topics (103).
    RegisterBroker {
        /// Broker name.
        broker_name: required String = "brokerName",
        /// Address that clients are told.
        broker_addr: required String = "brokerAddr",
        /// Cluster name.
        cluster_name: required String = "clusterName",
        /// Address for replicas.
        ha_server_addr: required String = "haServerAddr",
        /// 0 for the primary.
        broker_id: required i64 = "brokerId",
        /// Whether the body is compressed.
        compressed: default bool = "compressed",
        /// CRC-32 of the body as sent, 0 for none.
        body_crc32: default i32 = "bodyCrc32",
    }
}

header! {
    /// What a replica must know of its primary.
    RegisterBrokerResult {
        /// The primary's address for replicas.
        ha_server_addr: optional String = "haServerAddr",
        /// The primary's address.
        master_addr: optional String = "masterAddr",
    }
}

header! {
    /// Names a broker with its address (104, 322).
    BrokerRef {
        /// Broker name.
        broker_name: required String = "brokerName",
        /// Address that clients are told.
        broker_addr: required String = "brokerAddr",
        /// Cluster name.
        cluster_name: required String = "clusterName",
        /// 0 for the primary.
        broker_id: required i64 = "brokerId",
    }
}

header! {
    /// Whether the name server knows another version of a broker's topics.
    DataVersionResult {
        /// True when they differ.
        changed: required bool = "changed",
    }
}

header! {
    /// Asks for the route of a topic (105).
    GetRoute {
        /// Topic, as text: whatever is not known is answered alike.
        topic: required String = "topic",
        /// Whether map keys must be quoted.
        accept_standard_json_only: default bool = "acceptStandardJsonOnly",
    }
}

header! {
    /// Names a broker (205, 327).
    BrokerName {
        /// Broker name.
        broker_name: required String = "brokerName",
    }
}

header! {
    /// How many topics lost their write permission.
    WipeWritePermResult {
        /// Topics touched.
        wipe_topic_count: required i32 = "wipeTopicCount",
    }
}

header! {
    /// How many topics got their write permission.
    AddWritePermResult {
        /// Topics touched.
        add_topic_count: required i32 = "addTopicCount",
    }
}

header! {
    /// Names a topic, as text (216).
    TopicText {
        /// Topic.
        topic: required String = "topic",
    }
}

header! {
    /// Names a cluster (224).
    ClusterName {
        /// Cluster.
        cluster: required String = "cluster",
    }
}
