//! Which body goes with which command, and that each survives being read and written.

use kerolox_wire::body::{
    BrokerConsumeStats, BrokerStatsData, CheckClientConfig, ClusterInfo, ConsumeDirectlyResult, ConsumeQueueUnits,
    ConsumeStats, ConsumerConnection, ConsumerIds, ConsumerRunningInfo, GroupList, HeartbeatData, KvTable, LockReply,
    LockRequest, ProducerConnection, RegisterBrokerBody, ResetOffset, Style, SubscriptionGroupConfig,
    SubscriptionGroupTable, TopicConfigTable, TopicList, TopicRouteData, TopicStats, from_json, to_json,
};
use kerolox_wire::command::RequestCode as Code;
use kerolox_wire::record::{BatchItems, BodyCheck, Record};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Captured, text};

/// Reads the body as a `T` and writes it again: the same members with the same values, and absent ones by their default.
fn json<T: DeserializeOwned + Serialize>(captured: &Captured) -> Result<(), String> {
    let value: T = from_json(&captured.frame.body).map_err(|error| error.to_string())?;
    same(&to_json(&value, Style::Fastjson), &captured.frame.body)
}

fn same(is: &[u8], was: &[u8]) -> Result<(), String> {
    let (is, was) = (std::str::from_utf8(is).expect("text"), std::str::from_utf8(was).expect("text"));
    if text::holds(&text::read(is), &text::read(was)) { Ok(()) } else { Err(format!("\n   is  {is}\n   was {was}")) }
}

/// The body is records back to back, each with a good checksum.
fn records(captured: &Captured) -> Result<(), String> {
    let mut rest: &[u8] = &captured.frame.body;
    while !rest.is_empty() {
        let record = Record::parse(rest, BodyCheck::Crc).map_err(|error| error.to_string())?;
        assert!(!record.topic().is_empty());
        rest = &rest[record.total_size() as usize..];
    }
    Ok(())
}

fn batch(captured: &Captured) -> Result<(), String> {
    let items =
        BatchItems::new(&captured.frame.body).collect::<Result<Vec<_>, _>>().map_err(|error| error.to_string())?;
    assert!(!items.is_empty() && items.iter().all(|item| !item.body.is_empty()));
    Ok(())
}

fn registration(captured: &Captured) -> Result<(), String> {
    let frame = &captured.frame;
    let compressed = frame.fields.get("compressed") == Some("true");
    let read =
        |bytes: &[u8]| RegisterBrokerBody::decode(bytes, compressed, frame.version).map_err(|error| error.to_string());
    let body = read(&frame.body)?;
    let table = &body.topic_config_serialize_wrapper.topic_config_table;
    assert!(!table.is_empty() && table.iter().all(|(name, topic)| *name == topic.topic_name), "{table:?}");
    let again = if compressed { body.encode_compressed() } else { body.encode() };
    assert_eq!(read(&again)?, body);
    if compressed { Ok(()) } else { same(&again, &frame.body) }
}

/// Checks the body of a request or of a good answer.
///
/// # Errors
/// When it cannot be read, or is written with other members.
pub(crate) fn check(captured: &Captured) -> Result<(), String> {
    match (Code(captured.request), captured.frame.is_response()) {
        (Code::REGISTER_BROKER, false) => registration(captured),
        (Code::SEND_BATCH_MESSAGE, false) => batch(captured),
        (Code::PULL_MESSAGE | Code::QUERY_MESSAGE | Code::VIEW_MESSAGE_BY_ID, true) => records(captured),
        (Code::HEART_BEAT, false) => json::<HeartbeatData>(captured),
        (Code::LOCK_BATCH_MQ | Code::UNLOCK_BATCH_MQ, false) => json::<LockRequest>(captured),
        (Code::LOCK_BATCH_MQ, true) => json::<LockReply>(captured),
        (Code::CHECK_CLIENT_CONFIG, false) => json::<CheckClientConfig>(captured),
        (Code::UPDATE_AND_CREATE_SUBSCRIPTIONGROUP, false) => json::<SubscriptionGroupConfig>(captured),
        (Code::GET_ALL_SUBSCRIPTIONGROUP_CONFIG, true) => json::<SubscriptionGroupTable>(captured),
        (Code::GET_ALL_TOPIC_CONFIG, true) => json::<TopicConfigTable>(captured),
        (Code::GET_ROUTEINFO_BY_TOPIC, true) => json::<TopicRouteData>(captured),
        (Code::GET_BROKER_CLUSTER_INFO, true) => json::<ClusterInfo>(captured),
        (Code::GET_CONSUMER_LIST_BY_GROUP, true) => json::<ConsumerIds>(captured),
        (Code::GET_TOPIC_STATS_INFO, true) => json::<TopicStats>(captured),
        (Code::GET_CONSUME_STATS, true) => json::<ConsumeStats>(captured),
        (Code::GET_CONSUMER_CONNECTION_LIST, true) => json::<ConsumerConnection>(captured),
        (Code::GET_PRODUCER_CONNECTION_LIST, true) => json::<ProducerConnection>(captured),
        (Code::GET_CONSUMER_RUNNING_INFO, true) => json::<ConsumerRunningInfo>(captured),
        (Code::CONSUME_MESSAGE_DIRECTLY, true) => json::<ConsumeDirectlyResult>(captured),
        (Code::QUERY_TOPIC_CONSUME_BY_WHO, true) => json::<GroupList>(captured),
        (Code::VIEW_BROKER_STATS_DATA, true) => json::<BrokerStatsData>(captured),
        (Code::GET_BROKER_CONSUME_STATS, true) => json::<BrokerConsumeStats>(captured),
        (Code::QUERY_CONSUME_QUEUE, true) => json::<ConsumeQueueUnits>(captured),
        (Code::RESET_CONSUMER_CLIENT_OFFSET, false) | (Code::INVOKE_BROKER_TO_RESET_OFFSET, true) => {
            json::<ResetOffset>(captured)
        }
        (
            Code::GET_ALL_TOPIC_LIST_FROM_NAMESERVER
            | Code::GET_TOPICS_BY_CLUSTER
            | Code::GET_SYSTEM_TOPIC_LIST_FROM_NS
            | Code::GET_SYSTEM_TOPIC_LIST_FROM_BROKER,
            true,
        ) => json::<TopicList>(captured),
        (Code::GET_KVLIST_BY_NAMESPACE | Code::GET_BROKER_RUNTIME_INFO, true) | (Code::REGISTER_BROKER, true) => {
            json::<KvTable>(captured)
        }
        // Messages as their senders made them, and settings as lines of text.
        (
            Code::SEND_MESSAGE
            | Code::SEND_MESSAGE_V2
            | Code::SEND_REPLY_MESSAGE
            | Code::SEND_REPLY_MESSAGE_V2
            | Code::PUSH_REPLY_MESSAGE_TO_CLIENT
            | Code::UPDATE_BROKER_CONFIG
            | Code::UPDATE_NAMESRV_CONFIG,
            false,
        )
        | (Code::GET_BROKER_CONFIG | Code::GET_NAMESRV_CONFIG, true) => Ok(()),
        (Code::CHECK_TRANSACTION_STATE | Code::CONSUME_MESSAGE_DIRECTLY, false) => records(captured),
        (code, answer) => Err(format!("no type for this body ({code:?}, answer {answer})")),
    }
}
