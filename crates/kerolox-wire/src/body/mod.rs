//! The bodies of requests and answers, and the table files that have their shape.
//!
//! Names are as on the wire; members that 4.7.1 may leave out have its defaults; unknown ones are ignored. Names of
//! topics and groups are plain texts here: whoever takes them in checks them.

mod acl;
mod client;
mod config;
mod consume;
mod enums;
mod filter;
mod json;
mod offset;
mod register;
mod route;
mod stats;

pub use acl::{AclConfig, PlainAccessConfig};
pub use client::{
    CheckClientConfig, Connection, ConsumerConnection, ConsumerData, ConsumerIds, EXPRESSION_SQL92, EXPRESSION_TAG,
    HeartbeatData, LockReply, LockRequest, ProducerConnection, ProducerData, ProducerInfo, ProducerTable,
    SubscriptionData, UnlockRequest,
};
pub use config::{DataVersion, SubscriptionGroupConfig, SubscriptionGroupTable, TopicConfig, TopicConfigTable};
pub use consume::{
    ConsumeDirectlyResult, ConsumeQueueUnit, ConsumeQueueUnits, ConsumeStatus, ConsumerRunningInfo, ProcessQueueInfo,
};
pub use enums::{ConsumeFromWhere, ConsumeResult, ConsumeType, MessageModel, TopicFilterType};
pub use filter::{BloomBits, FilterData, FilterTable, TopicFilters};
pub use json::{BodyError, DEPTH_MAX, PairMap, Style, Unreadable, from_json, to_json, to_json_pretty};
pub use offset::{
    ConsumeTimeSpans, ConsumerStatus, CorrectionOffsets, DelayOffsets, MessageQueue, MessageQueueOffset,
    OffsetMovedEvent, OffsetTable, QueueTimeSpan, ResetOffset, ResetOffsetList,
};
pub use register::{REGISTER_BODY_SIZE_MAX, RegisterBrokerBody};
pub use route::{BrokerData, ClusterInfo, KvConfigTable, KvTable, QueueData, TopicList, TopicRouteData};
pub use stats::{
    BrokerConsumeStats, BrokerStatsData, BrokerStatsItem, ConsumeStats, GroupList, OffsetWrapper, TopicOffset,
    TopicStats,
};

#[cfg(test)]
mod tests;
