//! Keys of `BrokerConfig` that do what they say.

use std::path::PathBuf;
use std::time::Duration;

use crate::config::key::{Class, key, keys};
use crate::config::rule::{ADDRESSES, DOMAIN, HOST, NAME, PATH_PART, PATH_THERE, Rule, TOPIC};

keys! {
    /// What a broker is and how it treats its clients.
    struct BrokerKeys, BROKER_KEYS, Class::Broker;
    /// Name servers, `host:port` joined by `;`.
    namesrv_addr: String = key("namesrvAddr", ADDRESSES, "")
        .property("rocketmq.namesrv.addr")
        .env("NAMESRV_ADDR")
        .important();
    /// Address or name that clients are told; set it where the first address of the machine cannot be reached by them.
    broker_ip1: String = key("brokerIP1", HOST, "")
        .of("first address that is not loopback", |host| host.advertised())
        .important();
    /// Address or name that replicas are told.
    broker_ip2: String = key("brokerIP2", HOST, "").of("first address that is not loopback", |host| host.advertised());
    /// Name of the broker, also that of a topic.
    broker_name: String = key("brokerName", NAME, "")
        .of("host name, a dot replaced by a dash", |host| host.broker_name())
        .important();
    /// Name of the cluster, also that of a topic.
    broker_cluster_name: String = key("brokerClusterName", NAME, "DefaultCluster").important();
    /// Number within brokers of one name; 0 is the primary, and a primary is always 0, as in RocketMQ.
    broker_id: i64 = key("brokerId", Rule::Number(0, i64::MAX), "0").important();
    /// Most queues of a topic that a send creates.
    default_topic_queue_nums: u16 = key("defaultTopicQueueNums", Rule::AtMost(1, 1024), "8");
    /// Whether the topic named after the cluster is readable and writable.
    cluster_topic_enable: bool = key("clusterTopicEnable", Rule::Switch, "true");
    /// Whether the topic named after the broker is readable and writable.
    broker_topic_enable: bool = key("brokerTopicEnable", Rule::Switch, "true");
    /// Name of the trace topic.
    msg_trace_topic_name: String = key("msgTraceTopicName", TOPIC, "RMQ_SYS_TRACE_TOPIC").important();
    /// Whether the trace topic is created, and messages get the properties that consumers of 5.x need for a trace.
    trace_topic_enable: bool = key("traceTopicEnable", Rule::Switch, "false").important();
    /// Time between two writes of `consumerOffset.json`.
    flush_consumer_offset_interval: Duration =
        key("flushConsumerOffsetInterval", Rule::AtMost(100, 3_600_000), "5000")
        .ms();
    /// Whether the name servers are looked up over HTTP when none are named: `http://DOMAIN:8080/rocketmq/SUBGROUP`.
    fetch_namesrv_addr: bool = key("fetchNamesrvAddrByAddressServer", Rule::Switch, "false").important();
    /// Domain of that look-up, with its port if that is not 8080.
    address_server_domain: String = key("rmqAddressServerDomain", DOMAIN, "jmenv.tbsite.net")
        .property("rocketmq.namesrv.domain");
    /// Last part of that look-up's URL.
    address_server_subgroup: String = key("rmqAddressServerSubGroup", PATH_PART, "nsaddr")
        .property("rocketmq.namesrv.domain.subgroup");
    /// Limit of one registration at a name server.
    register_broker_timeout_mills: Duration = key("registerBrokerTimeoutMills", Rule::AtMost(100, 600_000), "6000")
        .ms();
    /// Time between two registrations.
    register_name_server_period: Duration = key("registerNameServerPeriod", Rule::Clamped(10_000, 60_000), "30000")
        .ms();
    /// Whether registrations are compressed.
    compressed_register: bool = key("compressedRegister", Rule::Switch, "false");
    /// Region that clients are told.
    region_id: String = key("regionId", Rule::Text, "DefaultRegion");
    /// Whether requests are checked against accounts of the 4.x kind.
    acl_enable: bool = key("aclEnable", Rule::Switch, "false").important();
    /// File of these accounts: in the folder `rocketmqHome` as in RocketMQ, or anywhere.
    acl_file: PathBuf = key("rocketmq.acl.plain.file", PATH_THERE, "")
        .of("`plain_acl.yml` beside the configuration file, else `conf/plain_acl.yml` in `rocketmqHome`", |_| String::new());
    /// How long a lock of an orderly consumer on a queue lasts without renewal.
    queue_lock_lifetime: Duration =
        key("rocketmq.broker.rebalance.lockMaxLiveTime", Rule::AtMost(1_000, 3_600_000), "60000")
        .ms();
}
