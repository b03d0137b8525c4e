//! The record by which a topic is deleted.
//!
//! Queues are derived from the log, so a deletion must stand in the log too: else a crash brings the topic back. The
//! record is a rollback of a transaction by its flag, which RocketMQ puts into no queue and no index, in a topic that
//! no client can send to.
//!
//! | bytes | field of its body |
//! |---|---|
//! | 8 | what the topic's queues added to the sum in the last mark, see [`crate::mark`] |
//! | n | name of the topic |

use std::net::{Ipv4Addr, SocketAddr};

use kerolox_wire::names::TopicName;
use kerolox_wire::record::{NewRecord, Record, body_crc};
use kerolox_wire::sys_flag::ROLLBACK;

use crate::queues::QueueSum;

/// Topic of deletions. No batch takes a record of it.
pub(crate) const TOMBSTONE_TOPIC: &str = "rmq_sys_kerolox_deletion";

/// What a tombstone says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tombstone {
    /// The topic that was deleted.
    pub(crate) topic: TopicName,
    /// What its queues added to the sum in the last mark before.
    pub(crate) marked: QueueSum,
}

impl Tombstone {
    /// The body of the record.
    pub(crate) fn body(&self) -> Vec<u8> {
        let mut body = self.marked.to_bits().to_be_bytes().to_vec();
        body.extend_from_slice(self.topic.as_str().as_bytes());
        body
    }

    /// The record around a body made by [`Self::body`].
    pub(crate) fn record(body: &[u8], now_ms: i64) -> NewRecord<'_> {
        let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        NewRecord {
            topic: TOMBSTONE_TOPIC,
            queue_id: 0,
            flag: 0,
            sys_flag: ROLLBACK,
            born_timestamp: now_ms,
            born_host: nowhere,
            store_host: nowhere,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body,
            properties: "",
        }
    }

    /// Reads a record of the log; `None` for all that is no tombstone.
    pub(crate) fn of(record: &Record<'_>) -> Option<Self> {
        // A damaged one must not delete another topic.
        if record.topic() != TOMBSTONE_TOPIC || body_crc(record.body()) != record.body_crc() {
            return None;
        }
        let (marked, topic) = record.body().split_first_chunk()?;
        let topic = TopicName::parse(std::str::from_utf8(topic).ok()?).ok()?;
        Some(Self { topic, marked: QueueSum::from_bits(u64::from_be_bytes(*marked)) })
    }
}
