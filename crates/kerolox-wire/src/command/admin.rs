//! Headers of broker administration.

use super::header::header;
use crate::names::{GroupName, TopicName};

header! {
    /// Creates or replaces a topic (17).
    CreateTopic {
        /// Topic.
        topic: required TopicName = "topic",
        /// Unused template name.
        default_topic: default String = "defaultTopic",
        /// Queues to read.
        read_queue_nums: required i32 = "readQueueNums",
        /// Queues to write.
        write_queue_nums: required i32 = "writeQueueNums",
        /// 4 read, 2 write, 1 inherit.
        perm: required i32 = "perm",
        /// `SINGLE_TAG` or `MULTI_TAG`.
        topic_filter_type: optional String = "topicFilterType",
        /// Bits of the unit mode.
        topic_sys_flag: default i32 = "topicSysFlag",
        /// Not applied by 4.7.1: order comes from the name server.
        order: default bool = "order",
    }
}

header! {
    /// Names a topic (202, 215, 300, 351).
    TopicRef {
        /// Topic.
        topic: required TopicName = "topic",
    }
}

header! {
    /// Version of a table, as JSON.
    VersionResult {
        /// A `DataVersion`.
        version: required String = "version",
    }
}

header! {
    /// Creates or changes an access account (50).
    UpdateAccessConfig {
        /// Access key.
        access_key: required String = "accessKey",
        /// Secret key.
        secret_key: optional String = "secretKey",
        /// Addresses that need no signature.
        white_remote_address: optional String = "whiteRemoteAddress",
        /// Whether it may administrate.
        admin: default bool = "admin",
        /// Permission on topics not listed.
        default_topic_perm: optional String = "defaultTopicPerm",
        /// Permission on groups not listed.
        default_group_perm: optional String = "defaultGroupPerm",
        /// `topic=perm`, joined by commas.
        topic_perms: optional String = "topicPerms",
        /// `group=perm`, joined by commas.
        group_perms: optional String = "groupPerms",
    }
}

header! {
    /// Names an access account (51).
    AccessKeyRef {
        /// Access key.
        access_key: required String = "accessKey",
    }
}

header! {
    /// Addresses that need no account (53).
    GlobalWhiteAddrs {
        /// Joined by commas.
        global_white_addrs: required String = "globalWhiteAddrs",
    }
}

header! {
    /// Version of the access accounts (52).
    AclVersionResult {
        /// A `DataVersion` as JSON.
        version: required String = "version",
        /// Broker name.
        broker_name: required String = "brokerName",
        /// Broker address.
        broker_addr: required String = "brokerAddr",
        /// Cluster name.
        cluster_name: required String = "clusterName",
    }
}

header! {
    /// Names a consumer group (352).
    GroupRef {
        /// Group.
        group: required GroupName = "group",
    }
}

header! {
    /// Deletes a group (207).
    DeleteGroup {
        /// Group.
        group_name: required GroupName = "groupName",
    }
}

header! {
    /// Asks how far a group has come (208).
    ConsumeStats {
        /// Group that consumes.
        consumer_group: required GroupName = "consumerGroup",
        /// Topic alone wanted.
        topic: optional TopicName = "topic",
    }
}

header! {
    /// Names a topic as a group consumes it (303).
    TopicAndGroup {
        /// Topic.
        topic: required TopicName = "topic",
        /// Group that consumes.
        group: required GroupName = "group",
    }
}

header! {
    /// Lowest offsets of groups that must wait for another (308).
    CorrectionOffset {
        /// Groups left out, joined by commas.
        filter_groups: optional String = "filterGroups",
        /// Group to compare with.
        compare_group: required GroupName = "compareGroup",
        /// Topic.
        topic: required TopicName = "topic",
    }
}

header! {
    /// Copies offsets of a group (314).
    CloneGroupOffset {
        /// Group to copy from.
        src_group: required GroupName = "srcGroup",
        /// Group to copy to.
        dest_group: required GroupName = "destGroup",
        /// Topic alone wanted.
        topic: optional TopicName = "topic",
        /// Whether the topic need not be subscribed now.
        offline: default bool = "offline",
    }
}

header! {
    /// Reads one statistic (315).
    BrokerStatsData {
        /// Statistic.
        stats_name: required String = "statsName",
        /// Its key.
        stats_key: required String = "statsKey",
    }
}

header! {
    /// Reads the lag of all groups (317).
    BrokerConsumeStats {
        /// Whether ordered topics are wanted.
        is_order: default bool = "isOrder",
    }
}

header! {
    /// Reads units of a queue (321).
    QueryConsumeQueue {
        /// Topic.
        topic: required TopicName = "topic",
        /// Queue within the topic.
        queue_id: required i32 = "queueId",
        /// First place.
        index: required i64 = "index",
        /// How many.
        count: required i32 = "count",
        /// Group whose subscription is applied.
        consumer_group: optional GroupName = "consumerGroup",
    }
}

header! {
    /// Makes a given-up half message be checked again (323).
    ResumeCheckHalf {
        /// Offset message id.
        msg_id: required String = "msgId",
    }
}

header! {
    /// Asks the broker to reset a group (222).
    ResetOffset {
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
    /// Offers a filter server (301); always refused.
    RegisterFilterServer {
        /// Its address.
        filter_server_addr: required String = "filterServerAddr",
    }
}
