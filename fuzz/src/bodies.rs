//! Every body and table that is JSON, and the registration of a broker in its three forms.

use std::fmt::Debug;

use kerolox_wire::body::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// What can be read is written so that it reads back the same; strict JSON is JSON.
fn written_and_read<T: DeserializeOwned + Serialize + PartialEq + Debug>(text: &[u8]) {
    let value: T = match from_json(text) {
        Ok(value) => value,
        Err(why) => return assert!(why.at <= text.len() && why.why.len() < 256, "{why}"),
    };
    for layout in [to_json(&value, Style::Fastjson), to_json_pretty(&value).into_bytes()] {
        let again: Result<T, _> = from_json(&layout);
        assert_eq!(again.as_ref(), Ok(&value), "{}", String::from_utf8_lossy(&layout));
    }
    let strict = to_json(&value, Style::Strict);
    let again: Result<serde_json::Value, _> = serde_json::from_slice(&strict);
    assert!(again.is_ok(), "{again:?} of {}", String::from_utf8_lossy(&strict));
}

macro_rules! bodies {
    ($($body:ty),* $(,)?) => {
        const BODIES: &[fn(&[u8])] = &[$(written_and_read::<$body>),*];
    };
}

bodies![
    AclConfig,
    BrokerConsumeStats,
    BrokerStatsData,
    CheckClientConfig,
    ClusterInfo,
    ConsumeDirectlyResult,
    ConsumeQueueUnits,
    ConsumeStats,
    ConsumeTimeSpans,
    ConsumerConnection,
    ConsumerIds,
    ConsumerRunningInfo,
    ConsumerStatus,
    CorrectionOffsets,
    DataVersion,
    DelayOffsets,
    FilterTable,
    GroupList,
    HeartbeatData,
    KvConfigTable,
    KvTable,
    LockReply,
    LockRequest,
    OffsetMovedEvent,
    OffsetTable,
    OffsetWrapper,
    ProducerConnection,
    ProducerTable,
    RegisterBrokerBody,
    ResetOffset,
    ResetOffsetList,
    SubscriptionGroupConfig,
    SubscriptionGroupTable,
    TopicConfig,
    TopicConfigTable,
    TopicList,
    TopicRouteData,
    TopicStats,
    UnlockRequest,
];

/// A JSON body: `type | text`.
pub fn body(data: &[u8]) {
    let Some((number, text)) = data.split_first() else { return };
    BODIES[usize::from(*number) % BODIES.len()](text);
}

/// A broker's registration: `form | body`. Bit 0: compressed; bit 1: of a version that sends topics alone; bit 2: `body` is
/// what is to be compressed.
pub fn registration(data: &[u8]) {
    let Some((form, body)) = data.split_first() else { return };
    let version = if form & 2 != 0 { 0 } else { 355 };
    let read = match form & 4 {
        0 => RegisterBrokerBody::decode(body, form & 1 != 0, version),
        _ => RegisterBrokerBody::decode(&kerolox_wire::compress::deflate(body, 1), true, 355),
    };
    let Ok(read) = read else { return };
    assert_eq!(RegisterBrokerBody::decode(&read.encode(), false, 355).as_ref(), Ok(&read));
    let again = RegisterBrokerBody::decode(&read.encode_compressed(), true, 355);
    let Ok(again) = again else { return };
    assert_eq!(RegisterBrokerBody::decode(&again.encode_compressed(), true, 355), Ok(again));
}
