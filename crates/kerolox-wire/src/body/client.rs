//! What clients say of themselves, and what brokers tell about them.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::json::EachItem;
use super::{ConsumeFromWhere, ConsumeType, MessageModel, MessageQueue, Unreadable};

/// Expression type of subscriptions by tag.
pub const EXPRESSION_TAG: &str = "TAG";
/// Expressions of SQL92.
pub const EXPRESSION_SQL92: &str = "SQL92";

/// A client's sign of life: its groups and subscriptions.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, from = "HeartbeatDataText")]
pub struct HeartbeatData {
    /// The client's id. So spelled only here.
    #[serde(rename = "clientID")]
    pub client_id: String,
    /// Its consumer groups.
    pub consumer_data_set: Vec<ConsumerData>,
    /// Its producer groups.
    pub producer_data_set: Vec<ProducerData>,
    /// Groups that could not be read.
    #[serde(skip)]
    pub unreadable: Vec<Unreadable>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct HeartbeatDataText {
    #[serde(rename = "clientID")]
    client_id: String,
    consumer_data_set: EachItem<ConsumerData>,
    producer_data_set: EachItem<ProducerData>,
}

impl From<HeartbeatDataText> for HeartbeatData {
    fn from(text: HeartbeatDataText) -> Self {
        let consumer_data_set = text.consumer_data_set;
        let producer_data_set = text.producer_data_set;
        let unreadable = [consumer_data_set.unreadable, producer_data_set.unreadable].concat();
        Self {
            client_id: text.client_id,
            consumer_data_set: consumer_data_set.read,
            producer_data_set: producer_data_set.read,
            unreadable,
        }
    }
}

/// One producer group of a client.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProducerData {
    /// Its name.
    pub group_name: String,
}

/// One consumer group of a client.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, from = "ConsumerDataText")]
pub struct ConsumerData {
    /// Where the group begins.
    pub consume_from_where: ConsumeFromWhere,
    /// Push or pull.
    pub consume_type: ConsumeType,
    /// Its name.
    pub group_name: String,
    /// Whether members share the messages.
    pub message_model: MessageModel,
    /// What it reads.
    pub subscription_data_set: Vec<SubscriptionData>,
    /// Whether it consumes unit topics.
    pub unit_mode: bool,
    /// Subscriptions that could not be read.
    #[serde(skip)]
    pub unreadable: Vec<Unreadable>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ConsumerDataText {
    consume_from_where: ConsumeFromWhere,
    consume_type: ConsumeType,
    group_name: String,
    message_model: MessageModel,
    subscription_data_set: EachItem<SubscriptionData>,
    unit_mode: bool,
}

impl From<ConsumerDataText> for ConsumerData {
    fn from(text: ConsumerDataText) -> Self {
        let subscription_data_set = text.subscription_data_set;
        let unreadable = subscription_data_set.unreadable;
        Self {
            consume_from_where: text.consume_from_where,
            consume_type: text.consume_type,
            group_name: text.group_name,
            message_model: text.message_model,
            subscription_data_set: subscription_data_set.read,
            unit_mode: text.unit_mode,
            unreadable,
        }
    }
}

/// Which messages of a topic a group wants.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct SubscriptionData {
    /// Whether the expression is a class; refused today.
    pub class_filter_mode: bool,
    /// Hashes of the tags.
    pub code_set: BTreeSet<i32>,
    /// [`EXPRESSION_TAG`] or [`EXPRESSION_SQL92`].
    pub expression_type: String,
    /// The expression: `*`, tags joined by `||`, or SQL.
    pub sub_string: String,
    /// Time of the subscription, ms; the newer one wins.
    pub sub_version: i64,
    /// The tags.
    pub tags_set: BTreeSet<String>,
    /// The topic.
    pub topic: String,
}

impl Default for SubscriptionData {
    fn default() -> Self {
        Self {
            class_filter_mode: false,
            code_set: BTreeSet::new(),
            expression_type: EXPRESSION_TAG.to_owned(),
            sub_string: String::new(),
            sub_version: 0,
            tags_set: BTreeSet::new(),
            topic: String::new(),
        }
    }
}

/// The members of a consumer group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerIds {
    /// Client ids.
    pub consumer_id_list: Vec<String>,
}

/// Asks for the right to consume queues in order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, from = "LockRequestText")]
pub struct LockRequest {
    /// Who asks.
    pub client_id: String,
    /// For which group.
    pub consumer_group: String,
    /// Which queues.
    pub mq_set: Vec<MessageQueue>,
    /// Queues that could not be read.
    #[serde(skip)]
    pub unreadable: Vec<Unreadable>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct LockRequestText {
    client_id: String,
    consumer_group: String,
    mq_set: EachItem<MessageQueue>,
}

impl From<LockRequestText> for LockRequest {
    fn from(text: LockRequestText) -> Self {
        let mq_set = text.mq_set;
        let unreadable = mq_set.unreadable;
        Self { client_id: text.client_id, consumer_group: text.consumer_group, mq_set: mq_set.read, unreadable }
    }
}

/// Gives the right back.
pub type UnlockRequest = LockRequest;

/// The queues that were granted.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct LockReply {
    /// Them.
    #[serde(rename = "lockOKMQSet")]
    pub lock_ok_mq_set: Vec<MessageQueue>,
}

/// One connected client.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Connection {
    /// Its address.
    pub client_addr: String,
    /// Its id.
    pub client_id: String,
    /// Its language by name, as `JAVA`.
    pub language: String,
    /// Its protocol version.
    pub version: i32,
}

/// A consumer group as a broker sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ConsumerConnection {
    /// Its members.
    pub connection_set: Vec<Connection>,
    /// Where it begins.
    pub consume_from_where: ConsumeFromWhere,
    /// Push or pull.
    pub consume_type: ConsumeType,
    /// Whether members share the messages.
    pub message_model: MessageModel,
    /// Subscriptions by topic.
    pub subscription_table: BTreeMap<String, SubscriptionData>,
}

/// A producer group as a broker sees it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProducerConnection {
    /// Its members.
    pub connection_set: Vec<Connection>,
}

/// All producers of a broker, as 5.x tells them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProducerTable {
    /// Members by producer group.
    pub data: BTreeMap<String, Vec<ProducerInfo>>,
}

/// One producer.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProducerInfo {
    /// As the client calls itself.
    pub client_id: String,
    /// Address and port behind a slash, as Java writes them.
    #[serde(rename = "remoteIP")]
    pub remote_ip: String,
    /// What it is written in.
    pub language: String,
    /// Protocol version.
    pub version: i32,
    /// When its last heartbeat came, ms since 1970.
    pub last_update_timestamp: i64,
}

/// Asks whether the broker could serve a subscription.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct CheckClientConfig {
    /// Who asks.
    pub client_id: String,
    /// For which group.
    pub group: String,
    /// The subscription.
    pub subscription_data: SubscriptionData,
}
