//! Looking single messages up: by key and by log offset.

use bytes::{Bytes, BytesMut};
use kerolox_store::ReadError;
use kerolox_wire::command::pull::{QueryMessage, QueryResult, ViewMessage};
use kerolox_wire::names::{LogOffset, topics};
use kerolox_wire::record::{BodyCheck, Record};
use kerolox_wire::reply::Reply;
use kerolox_wire::response::ResponseCode;

use crate::node::Node;
use crate::refusal::Refusal;

/// Most results of a query by unique key, as 4.7.1 has it.
const UNIQUE_KEY_RESULTS_MAX: usize = 32;

/// The index keeps store times in steps of a second.
const INDEX_STEP_MS: i64 = 1_000;

impl Node {
    /// Finds messages by key. Hash collisions come along; clients compare the keys.
    pub(crate) fn query_message(&self, asked: &QueryMessage) -> Result<Reply, Refusal> {
        if asked.topic.as_str() == topics::TIMER && asked.key.is_empty() {
            return self.query_timers(asked);
        }
        let wanted =
            if asked.unique_key { UNIQUE_KEY_RESULTS_MAX } else { usize::try_from(asked.max_num).unwrap_or(0) };
        let found = self.stored_between(asked, wanted)?;
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

    /// The messages with a key that were stored between the two times. The index keeps whole seconds since its begin, so
    /// an entry may tell up to a second less than its message; 4.7.1 misses a range that begins within that second.
    fn stored_between(&self, asked: &QueryMessage, wanted: usize) -> Result<kerolox_store::QueryResult, Refusal> {
        let (begin, end) = (asked.begin_timestamp, asked.end_timestamp);
        let mut most = wanted;
        loop {
            let from = begin.saturating_sub(INDEX_STEP_MS);
            let found = self.store.query_keys(asked.topic.as_str(), &asked.key, most, from, end);
            let mut found = found.map_err(|error| Refusal::read_failed(&error))?;
            let all = found.records.len();
            found.records.retain(|bytes| stored_at(bytes).is_some_and(|at| (begin..=end).contains(&at)));
            // Those of the first second may have taken the place of others.
            if found.records.len() == all || found.records.len() >= wanted || all < most {
                found.records.truncate(wanted);
                return Ok(found);
            }
            most = most.saturating_mul(2);
        }
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

fn stored_at(bytes: &[u8]) -> Option<i64> {
    Record::parse(bytes, BodyCheck::Skip).ok().map(|record| record.store_timestamp())
}
