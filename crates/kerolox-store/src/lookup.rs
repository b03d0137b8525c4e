//! Single messages: by place in the log, by key.

use std::io;

use bytes::Bytes;
use kerolox_wire::frame::FRAME_SIZE_MAX;
use kerolox_wire::names::{LogOffset, TopicName};
use kerolox_wire::properties;
use kerolox_wire::record::{BodyCheck, RECORD_FIXED_SIZE, Record};

use crate::error::ReadError;
use crate::fetch::{Check, Unreadable, fetch_at};
use crate::store::Store;

/// Most bytes of messages found by key: they are answered in one frame.
const QUERY_BYTES_MAX: usize = FRAME_SIZE_MAX - (64 << 10);

/// What a query by key brings back.
#[derive(Debug, Clone, Default)]
pub struct QueryResult {
    /// The records, newest first.
    pub records: Vec<Bytes>,
    /// Store time of the last record indexed.
    pub last_update_timestamp: i64,
    /// Log offset of the last record indexed.
    pub last_update_offset: u64,
}

impl Store {
    /// The record that begins at a log offset which a peer has named. A message's body may hold bytes that look like a
    /// record, so what stands there counts only when its queue points to it, or when it lies where dispatch has not been
    /// and the records before it lead there.
    ///
    /// # Errors
    /// When no record begins there; when its queue was deleted or it never had a place in one; when the disk fails.
    pub fn record_named(&self, offset: LogOffset) -> Result<Bytes, ReadError> {
        let bytes = self.fetch_one(offset, |_| {})?;
        let no_record = |why: &str| ReadError::NoRecord { offset, why: why.to_owned() };
        let record = Record::parse(&bytes, BodyCheck::Skip).map_err(|e| no_record(&e.to_string()))?;
        let dispatched = self.dispatched_end();
        if offset >= dispatched {
            let leads_there = self.log().leads_to(dispatched.get(), offset.get())?;
            return if leads_there { Ok(bytes) } else { Err(no_record("no record before it leads there")) };
        }
        let topic = TopicName::parse(record.topic()).map_err(|e| no_record(&e.to_string()))?;
        match self.unit_at(&topic, record.queue_id(), record.queue_offset())? {
            Some(unit) if unit.log_offset == offset.get() && unit.size == record.total_size() => Ok(bytes),
            _ => Err(no_record("no queue points to it")),
        }
    }

    /// The record that begins at a log offset which the store itself gave. One that is damaged is counted and told.
    ///
    /// # Errors
    /// When none does, or the disk fails: only the former may be passed over.
    pub fn record_at(&self, offset: LogOffset) -> Result<Bytes, ReadError> {
        self.fetch_one(offset, |why| self.note_damaged(offset.get(), why))
    }

    fn fetch_one(&self, offset: LogOffset, damaged: impl FnOnce(&str)) -> Result<Bytes, ReadError> {
        let (log, at) = (self.log(), offset.get());
        let out_of_range = || {
            let (begin, end) = (LogOffset::new(log.begin()), LogOffset::new(log.end()));
            ReadError::OutOfRange { offset, begin, end }
        };
        if at < log.begin() || at.saturating_add(RECORD_FIXED_SIZE as u64) > log.end() {
            return Err(out_of_range());
        }
        let check = if self.is_trusted(at) { Check::Fields } else { Check::Body };
        fetch_at(log, at, check).map_err(|unreadable| match unreadable {
            Unreadable::Gone => out_of_range(),
            Unreadable::Failed(error) => ReadError::Io(error),
            Unreadable::Damaged(why) => {
                damaged(&why);
                ReadError::NoRecord { offset, why }
            }
        })
    }

    /// Messages of a topic with a key, stored in a span of time; newest first, as many as fit into one frame. Records
    /// that the index knows and the log no longer has are left out.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn query_keys(
        &self,
        topic: &str,
        key: &str,
        max: usize,
        begin_ms: i64,
        end_ms: i64,
    ) -> io::Result<QueryResult> {
        let Some(index) = self.index() else { return Ok(QueryResult::default()) };
        let max = max.min(self.config().max_query);
        let index_failed = |e: io::Error| io::Error::new(e.kind(), format!("reading the key index: {e}"));
        let offsets = index.query(topic, key, max, begin_ms, end_ms).map_err(index_failed)?;
        let (last_update_timestamp, last_update_offset) = index.last_end();
        let mut found = QueryResult { records: Vec::new(), last_update_timestamp, last_update_offset };
        let mut size = 0_usize;
        for offset in offsets {
            let bytes = match self.fetch_one(offset, |_| {}) {
                Ok(bytes) => bytes,
                Err(ReadError::Io(error)) => return Err(error),
                Err(why) => {
                    tracing::debug!(%offset, %why, topic, "an entry of the key index leads to no record");
                    continue;
                }
            };
            // The index keeps hashes only; a message that merely shares one is left out here.
            if !has_key(&bytes, topic, key) {
                continue;
            }
            size = size.saturating_add(bytes.len());
            if size > QUERY_BYTES_MAX && !found.records.is_empty() {
                break;
            }
            found.records.push(bytes);
        }
        Ok(found)
    }
}

fn has_key(bytes: &[u8], topic: &str, key: &str) -> bool {
    let Ok(record) = Record::parse(bytes, BodyCheck::Skip) else { return false };
    let text = record.properties();
    record.topic() == topic
        && (properties::find(text, properties::UNIQ_KEY) == Some(key)
            || properties::find(text, properties::KEYS).is_some_and(|keys| keys.split(' ').any(|part| part == key)))
}
