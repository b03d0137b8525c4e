//! Looking single messages up: by key and by log offset.

use bytes::{Bytes, BytesMut};
use kerolox_store::ReadError;
use kerolox_wire::command::pull::{QueryMessage, QueryResult, ViewMessage};
use kerolox_wire::names::{LogOffset, topics};
use kerolox_wire::reply::Reply;
use kerolox_wire::response::ResponseCode;

use crate::node::Node;
use crate::refusal::Refusal;

/// Most results of a query by unique key, as 4.7.1 has it.
const UNIQUE_KEY_RESULTS_MAX: usize = 32;

impl Node {
    /// Finds messages by key. Hash collisions come along; clients compare the keys.
    pub(crate) fn query_message(&self, asked: &QueryMessage) -> Result<Reply, Refusal> {
        if asked.topic.as_str() == topics::TIMER && asked.key.is_empty() {
            return self.query_timers(asked);
        }
        let wanted =
            if asked.unique_key { UNIQUE_KEY_RESULTS_MAX } else { usize::try_from(asked.max_num).unwrap_or(0) };
        let (topic, between) = (asked.topic.as_str(), (asked.begin_timestamp, asked.end_timestamp));
        let found = self.store.query_keys(topic, &asked.key, wanted, between.0, between.1);
        let found = found.map_err(|error| Refusal::read_failed(&error))?;
        if found.records.is_empty() {
            return Err(Refusal::new(
                ResponseCode::QUERY_NOT_FOUND,
                "can not find message, maybe time range not correct",
            ));
        }
        let mut body = BytesMut::new();
        for record in &found.records {
            body.extend_from_slice(record);
        }
        let header = QueryResult {
            index_last_update_timestamp: found.last_update_timestamp,
            index_last_update_phyoffset: found.last_update_offset.cast_signed(),
        };
        Ok(Reply::of(&header).with_body(body.freeze()))
    }

    /// Without a key, the timers' topic tells what waits for a time between the two: RocketMQ has no such question, and
    /// answers an empty key with nothing.
    fn query_timers(&self, asked: &QueryMessage) -> Result<Reply, Refusal> {
        let most = usize::try_from(asked.max_num).unwrap_or(0);
        let (records, next_ms) = self.timers_between(asked.begin_timestamp, asked.end_timestamp, most)?;
        let header = QueryResult { index_last_update_timestamp: next_ms, index_last_update_phyoffset: 0 };
        Ok(Reply::of(&header).with_body(Bytes::from(records.concat())))
    }

    /// Reads the message at a log offset, which a client may have made up.
    pub(crate) fn view_message(&self, asked: &ViewMessage) -> Result<Reply, Refusal> {
        Ok(Reply::body(self.record_of_client(asked.offset, "can not find message by the offset")?))
    }

    /// The record at a log offset that a client names; where none is, the refusal says `absent`.
    pub(crate) fn record_of_client(&self, offset: i64, absent: &str) -> Result<Bytes, Refusal> {
        let found = LogOffset::from_wire(offset).map(|offset| self.store.record_named(offset));
        match found {
            Some(Ok(record)) => Ok(record),
            Some(Err(ReadError::Io(error))) => Err(Refusal::read_failed(&error)),
            Some(Err(_)) | None => Err(Refusal::error(format!("{absent}, {offset}"))),
        }
    }
}
