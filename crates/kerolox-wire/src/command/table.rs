//! The table of commands. A row is `code NAME Variant @ server (Header) -> ResponseHeader;`.
//!
//! Numbers are those of RocketMQ 4.7.1 and are never reused; from 327 on they came later and are answered too.

use super::header::{Header, HeaderError, HeaderSpec, Names, NoFields};
use super::{admin, client, name_server, offset, pull, send};
use crate::frame::Frame;

/// A request code by its number; unknown numbers pass through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RequestCode(pub i32);

/// Who answers a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Served {
    /// The broker.
    Broker,
    /// The name server.
    NameServer,
    /// A client, asked by the broker.
    Client,
    /// The broker, which may pass it on to a client.
    BrokerAndClient,
}

/// One row of the table.
#[derive(Debug, Clone, Copy)]
pub struct CommandSpec {
    /// Number.
    pub code: RequestCode,
    /// Name in the reference.
    pub name: &'static str,
    /// Who answers it.
    pub served: Served,
    /// What it does.
    pub doc: &'static str,
    /// Which field names the request is written with.
    pub names: Names,
    /// The request header.
    pub request: &'static HeaderSpec,
    /// The response header.
    pub response: &'static HeaderSpec,
}

/// A request type that knows its code and its answer.
pub trait Call {
    /// Number.
    const CODE: RequestCode;
    /// Which field names it is written with.
    const NAMES: Names;
    /// Request header.
    type Request: Header;
    /// Response header.
    type Response: Header;
}

macro_rules! commands {
    ($($(#[doc = $doc:literal])* $code:literal $name:ident $variant:ident @ $served:ident ($request:ty $(, $names:ident)?) -> $response:ty;)*) => {
        impl RequestCode {
            $($(#[doc = $doc])* pub const $name: Self = Self($code);)*
        }

        /// Every command of the table.
        pub const COMMANDS: &[CommandSpec] = &[$(CommandSpec {
            code: RequestCode($code),
            name: stringify!($name),
            served: Served::$served,
            doc: concat!($($doc),*),
            names: commands!(@names $($names)?),
            request: <$request as Header>::SPEC,
            response: <$response as Header>::SPEC,
        }),*];

        /// A request with its header decoded.
        #[derive(Debug, Clone, PartialEq)]
        pub enum Request {
            $($(#[doc = $doc])* $variant($request),)*
            /// A number outside the table.
            Other(i32),
        }

        impl Request {
            /// Decodes the header of `frame` by its code.
            ///
            /// # Errors
            /// When a required field is absent or a value is not of its type.
            pub fn decode(frame: &Frame) -> Result<Self, HeaderError> {
                Ok(match frame.code {
                    $($code => Self::$variant(<$request as Header>::decode(&frame.fields)?),)*
                    other => Self::Other(other),
                })
            }
        }

        /// One type per command, for those who send it.
        pub mod call {
            use super::*;
            $(
                $(#[doc = $doc])*
                #[derive(Debug, Clone, Copy)]
                pub struct $variant;

                impl Call for $variant {
                    const CODE: RequestCode = RequestCode($code);
                    const NAMES: Names = commands!(@names $($names)?);
                    type Request = $request;
                    type Response = $response;
                }
            )*
        }
    };
    (@names short) => { Names::Short };
    (@names) => { Names::Long };
}

commands! {
    /// Stores one message.
    10 SEND_MESSAGE SendMessage @ Broker (send::SendMessage) -> send::SendResult;
    /// Reads messages of one queue, waiting for them when asked to.
    11 PULL_MESSAGE PullMessage @ Broker (pull::PullMessage) -> pull::PullResult;
    /// Finds messages by key.
    12 QUERY_MESSAGE QueryMessage @ Broker (pull::QueryMessage) -> pull::QueryResult;
    /// Reads how far a group has come in a queue.
    14 QUERY_CONSUMER_OFFSET QueryConsumerOffset @ Broker (offset::QueryConsumerOffset) -> offset::OffsetResult;
    /// Stores how far a group has come in a queue.
    15 UPDATE_CONSUMER_OFFSET UpdateConsumerOffset @ Broker (offset::UpdateConsumerOffset) -> NoFields;
    /// Creates or replaces a topic.
    17 UPDATE_AND_CREATE_TOPIC CreateTopic @ Broker (admin::CreateTopic) -> NoFields;
    /// Reads all topics.
    21 GET_ALL_TOPIC_CONFIG GetAllTopics @ Broker (NoFields) -> NoFields;
    /// Changes settings while running.
    25 UPDATE_BROKER_CONFIG UpdateBrokerConfig @ Broker (NoFields) -> NoFields;
    /// Reads all settings.
    26 GET_BROKER_CONFIG GetBrokerConfig @ Broker (NoFields) -> admin::VersionResult;
    /// Reads figures of the running broker.
    28 GET_BROKER_RUNTIME_INFO GetRuntimeInfo @ Broker (NoFields) -> NoFields;
    /// Finds the place of a store time in a queue.
    29 SEARCH_OFFSET_BY_TIMESTAMP SearchOffset @ Broker (offset::SearchOffset) -> offset::OffsetResult;
    /// Reads the place behind the last message of a queue.
    30 GET_MAX_OFFSET GetMaxOffset @ Broker (offset::QueueRef) -> offset::OffsetResult;
    /// Reads the first place of a queue.
    31 GET_MIN_OFFSET GetMinOffset @ Broker (offset::QueueRef) -> offset::OffsetResult;
    /// Reads the store time of a queue's first message.
    32 GET_EARLIEST_MSG_STORETIME GetEarliestStoreTime @ Broker (offset::QueueRef) -> offset::TimestampResult;
    /// Reads one message at its log offset.
    33 VIEW_MESSAGE_BY_ID ViewMessage @ Broker (pull::ViewMessage) -> NoFields;
    /// Keeps a client's groups and subscriptions alive.
    34 HEART_BEAT Heartbeat @ Broker (NoFields) -> NoFields;
    /// Takes a client out of its groups.
    35 UNREGISTER_CLIENT UnregisterClient @ Broker (client::UnregisterClient) -> NoFields;
    /// Hands a message back to be tried again.
    36 CONSUMER_SEND_MSG_BACK SendBack @ Broker (send::SendBack) -> NoFields;
    /// Commits or rolls back a half message.
    37 END_TRANSACTION EndTransaction @ Broker (send::EndTransaction) -> NoFields;
    /// Lists the clients of a consumer group.
    38 GET_CONSUMER_LIST_BY_GROUP GetConsumerList @ Broker (client::ConsumerGroup) -> NoFields;
    /// Asks a producer how a transaction went.
    39 CHECK_TRANSACTION_STATE CheckTransactionState @ Client (send::CheckTransactionState) -> NoFields;
    /// Tells a consumer that its group has changed.
    40 NOTIFY_CONSUMER_IDS_CHANGED NotifyConsumerIdsChanged @ Client (client::ConsumerGroup) -> NoFields;
    /// Takes or renews locks on queues.
    41 LOCK_BATCH_MQ LockBatch @ Broker (NoFields) -> NoFields;
    /// Gives locks on queues back.
    42 UNLOCK_BATCH_MQ UnlockBatch @ Broker (NoFields) -> NoFields;
    /// Reads all consumer offsets.
    43 GET_ALL_CONSUMER_OFFSET GetAllConsumerOffsets @ Broker (NoFields) -> NoFields;
    /// Reads how far each delay level has come.
    45 GET_ALL_DELAY_OFFSET GetAllDelayOffsets @ Broker (NoFields) -> NoFields;
    /// Checks a subscription expression.
    46 CHECK_CLIENT_CONFIG CheckClientConfig @ Broker (NoFields) -> NoFields;
    /// Creates or changes an access account.
    50 UPDATE_AND_CREATE_ACL_CONFIG UpdateAccessConfig @ Broker (admin::UpdateAccessConfig) -> NoFields;
    /// Deletes an access account.
    51 DELETE_ACL_CONFIG DeleteAccessConfig @ Broker (admin::AccessKeyRef) -> NoFields;
    /// Reads the version of the access accounts.
    52 GET_BROKER_CLUSTER_ACL_INFO GetAclVersion @ Broker (NoFields) -> admin::AclVersionResult;
    /// Replaces the addresses that need no account.
    53 UPDATE_GLOBAL_WHITE_ADDRS_CONFIG UpdateGlobalWhiteAddrs @ Broker (admin::GlobalWhiteAddrs) -> NoFields;
    /// Reads the access accounts without their secrets.
    54 GET_BROKER_CLUSTER_ACL_CONFIG GetAclConfig @ Broker (NoFields) -> NoFields;
    /// Sets a key.
    100 PUT_KV_CONFIG PutKv @ NameServer (name_server::PutKv) -> NoFields;
    /// Reads a key.
    101 GET_KV_CONFIG GetKv @ NameServer (name_server::KvRef) -> name_server::KvValue;
    /// Deletes a key.
    102 DELETE_KV_CONFIG DeleteKv @ NameServer (name_server::KvRef) -> NoFields;
    /// Announces a broker with its topics.
    103 REGISTER_BROKER RegisterBroker @ NameServer (name_server::RegisterBroker) -> name_server::RegisterBrokerResult;
    /// Takes a broker out.
    104 UNREGISTER_BROKER UnregisterBroker @ NameServer (name_server::BrokerRef) -> NoFields;
    /// Reads which brokers serve a topic.
    105 GET_ROUTEINFO_BY_TOPIC GetRoute @ NameServer (name_server::GetRoute) -> NoFields;
    /// Reads all clusters and brokers.
    106 GET_BROKER_CLUSTER_INFO GetClusterInfo @ NameServer (NoFields) -> NoFields;
    /// Creates or replaces a consumer group.
    200 UPDATE_AND_CREATE_SUBSCRIPTIONGROUP CreateGroup @ Broker (NoFields) -> NoFields;
    /// Reads all consumer groups.
    201 GET_ALL_SUBSCRIPTIONGROUP_CONFIG GetAllGroups @ Broker (NoFields) -> NoFields;
    /// Reads the ranges of a topic's queues.
    202 GET_TOPIC_STATS_INFO GetTopicStats @ Broker (admin::TopicRef) -> NoFields;
    /// Lists the connections of a consumer group.
    203 GET_CONSUMER_CONNECTION_LIST GetConsumerConnections @ Broker (client::ConsumerGroup) -> NoFields;
    /// Lists the connections of a producer group.
    204 GET_PRODUCER_CONNECTION_LIST GetProducerConnections @ Broker (client::ProducerGroup) -> NoFields;
    /// Takes the write permission off a broker's topics.
    205 WIPE_WRITE_PERM_OF_BROKER WipeWritePerm @ NameServer (name_server::BrokerName) -> name_server::WipeWritePermResult;
    /// Lists all topics.
    206 GET_ALL_TOPIC_LIST_FROM_NAMESERVER GetAllTopicNames @ NameServer (NoFields) -> NoFields;
    /// Deletes a consumer group.
    207 DELETE_SUBSCRIPTIONGROUP DeleteGroup @ Broker (admin::DeleteGroup) -> NoFields;
    /// Reads how far a group has come in all its queues.
    208 GET_CONSUME_STATS GetConsumeStats @ Broker (admin::ConsumeStats) -> NoFields;
    /// Deletes a topic with its queues.
    215 DELETE_TOPIC_IN_BROKER DeleteTopic @ Broker (admin::TopicRef) -> NoFields;
    /// Forgets a topic's routes.
    216 DELETE_TOPIC_IN_NAMESRV DeleteTopicRoutes @ NameServer (name_server::TopicText) -> NoFields;
    /// Reads all keys of a namespace.
    219 GET_KVLIST_BY_NAMESPACE GetKvList @ NameServer (name_server::KvNamespace) -> NoFields;
    /// Tells a consumer to go on at other places.
    220 RESET_CONSUMER_CLIENT_OFFSET ResetClientOffset @ Client (client::ResetClientOffset) -> NoFields;
    /// Asks a consumer where it stands.
    221 GET_CONSUMER_STATUS_FROM_CLIENT GetClientStatus @ Client (client::ConsumerStatus) -> NoFields;
    /// Resets a group by time through its online consumers.
    222 INVOKE_BROKER_TO_RESET_OFFSET ResetOffset @ Broker (admin::ResetOffset) -> NoFields;
    /// Asks all consumers of a group where they stand.
    223 INVOKE_BROKER_TO_GET_CONSUMER_STATUS GetConsumerStatus @ Broker (client::ConsumerStatus) -> NoFields;
    /// Lists the topics of a cluster.
    224 GET_TOPICS_BY_CLUSTER GetTopicsByCluster @ NameServer (name_server::ClusterName) -> NoFields;
    /// Lists the groups that consume a topic.
    300 QUERY_TOPIC_CONSUME_BY_WHO QueryConsumersOfTopic @ Broker (admin::TopicRef) -> NoFields;
    /// Offers a filter server; always refused.
    301 REGISTER_FILTER_SERVER RegisterFilterServer @ Broker (admin::RegisterFilterServer) -> NoFields;
    /// Reads what time span a group still has to consume.
    303 QUERY_CONSUME_TIME_SPAN QueryConsumeTimeSpan @ Broker (admin::TopicAndGroup) -> NoFields;
    /// Lists cluster and broker names, which are topics too.
    304 GET_SYSTEM_TOPIC_LIST_FROM_NS GetSystemTopicsFromNameServer @ NameServer (NoFields) -> NoFields;
    /// Lists the broker's system topics.
    305 GET_SYSTEM_TOPIC_LIST_FROM_BROKER GetSystemTopics @ Broker (NoFields) -> NoFields;
    /// Deletes queue files that point at nothing.
    306 CLEAN_EXPIRED_CONSUMEQUEUE CleanExpiredQueues @ Broker (NoFields) -> NoFields;
    /// Asks a consumer about itself.
    307 GET_CONSUMER_RUNNING_INFO GetConsumerRunningInfo @ BrokerAndClient (client::ConsumerRunningInfo) -> NoFields;
    /// Reads lowest offsets of groups that must wait for another.
    308 QUERY_CORRECTION_OFFSET QueryCorrectionOffset @ Broker (admin::CorrectionOffset) -> NoFields;
    /// Has one consumer consume one message.
    309 CONSUME_MESSAGE_DIRECTLY ConsumeDirectly @ BrokerAndClient (client::ConsumeDirectly) -> NoFields;
    /// Stores one message; the header has one-letter names.
    310 SEND_MESSAGE_V2 SendMessageV2 @ Broker (send::SendMessage, short) -> send::SendResult;
    /// Lists topics of the unit mode.
    311 GET_UNIT_TOPIC_LIST GetUnitTopics @ NameServer (NoFields) -> NoFields;
    /// Lists topics with unit subscriptions.
    312 GET_HAS_UNIT_SUB_TOPIC_LIST GetUnitSubTopics @ NameServer (NoFields) -> NoFields;
    /// Lists topics with unit subscriptions that are no unit topics.
    313 GET_HAS_UNIT_SUB_UNUNIT_TOPIC_LIST GetUnitSubNonUnitTopics @ NameServer (NoFields) -> NoFields;
    /// Copies offsets from one group to another.
    314 CLONE_GROUP_OFFSET CloneGroupOffset @ Broker (admin::CloneGroupOffset) -> NoFields;
    /// Reads one statistic.
    315 VIEW_BROKER_STATS_DATA ViewStats @ Broker (admin::BrokerStatsData) -> NoFields;
    /// Deletes queues of topics that are no more.
    316 CLEAN_UNUSED_TOPIC CleanUnusedTopics @ Broker (NoFields) -> NoFields;
    /// Reads the lag of all groups.
    317 GET_BROKER_CONSUME_STATS GetBrokerConsumeStats @ Broker (admin::BrokerConsumeStats) -> NoFields;
    /// Changes the name server's settings.
    318 UPDATE_NAMESRV_CONFIG UpdateNamesrvConfig @ NameServer (NoFields) -> NoFields;
    /// Reads the name server's settings.
    319 GET_NAMESRV_CONFIG GetNamesrvConfig @ NameServer (NoFields) -> NoFields;
    /// Stores a batch of messages.
    320 SEND_BATCH_MESSAGE SendBatch @ Broker (send::SendMessage, short) -> send::SendResult;
    /// Reads units of a queue.
    321 QUERY_CONSUME_QUEUE QueryConsumeQueue @ Broker (admin::QueryConsumeQueue) -> NoFields;
    /// Asks whether the name server knows this version of a broker's topics.
    322 QUERY_DATA_VERSION QueryDataVersion @ NameServer (name_server::BrokerRef) -> name_server::DataVersionResult;
    /// Makes a given-up half message be checked again.
    323 RESUME_CHECK_HALF_MESSAGE ResumeCheckHalf @ Broker (admin::ResumeCheckHalf) -> NoFields;
    /// Stores a reply and gives it to the client that asked.
    324 SEND_REPLY_MESSAGE SendReply @ Broker (send::SendMessage) -> send::SendResult;
    /// The same; the header has one-letter names.
    325 SEND_REPLY_MESSAGE_V2 SendReplyV2 @ Broker (send::SendMessage, short) -> send::SendResult;
    /// Gives a reply to the client that asked.
    326 PUSH_REPLY_MESSAGE_TO_CLIENT PushReply @ Client (send::PushReply) -> NoFields;
    /// Gives a broker's topics their write permission back.
    327 ADD_WRITE_PERM_OF_BROKER AddWritePerm @ NameServer (name_server::BrokerName) -> name_server::AddWritePermResult;
    /// Lists all connected producers by group.
    328 GET_ALL_PRODUCER_INFO GetAllProducers @ Broker (NoFields) -> NoFields;
    /// Reads one topic.
    351 GET_TOPIC_CONFIG GetTopic @ Broker (admin::TopicRef) -> NoFields;
    /// Reads one consumer group.
    352 GET_SUBSCRIPTIONGROUP_CONFIG GetGroup @ Broker (admin::GroupRef) -> NoFields;
    /// Reads messages of one queue for a consumer that polls; the same as 11.
    361 LITE_PULL_MESSAGE LitePullMessage @ Broker (pull::PullMessage) -> pull::PullResult;
}

impl RequestCode {
    /// The name in the table.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        COMMANDS.iter().find(|c| c.code == self).map(|c| c.name)
    }
}
