//! Single messages: by place in the log, by key.

use bytes::{Bytes, BytesMut};
use kerolox_wire::frame::FRAME_SIZE_MAX;
use kerolox_wire::names::{LogOffset, TopicName};
use kerolox_wire::properties;
use kerolox_wire::record::{BodyCheck, Peek, RECORD_FIXED_SIZE, Record, peek};

use crate::error::ReadError;
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
    /// When no record begins there; when its queue was deleted or it never had a place in one.
    pub fn record_named(&self, offset: LogOffset) -> Result<Bytes, ReadError> {
        let bytes = self.record_at(offset)?;
        let no_record = |why: &str| ReadError::NoRecord { offset, why: why.to_owned() };
        let record = Record::parse(&bytes, BodyCheck::Skip).map_err(|e| no_record(&e.to_string()))?;
        let dispatched = self.dispatched_end();
        if offset >= dispatched {
            let leads_there = self.log().leads_to(dispatched.get(), offset.get())?;
            return if leads_there { Ok(bytes) } else { Err(no_record("no record before it leads there")) };
        }
        let topic = TopicName::parse(record.topic()).map_err(|e| no_record(&e.to_string()))?;
        let unit = self.unit_at(&topic, record.queue_id(), record.queue_offset());
        match unit {
            Some(unit) if unit.log_offset == offset.get() && unit.size == record.total_size() => Ok(bytes),
            _ => Err(no_record("no queue points to it")),
        }
    }

    /// The record that begins at a log offset which the store itself gave.
    ///
    /// # Errors
    /// When none does.
    pub fn record_at(&self, offset: LogOffset) -> Result<Bytes, ReadError> {
        let log = self.log();
        let (begin, end) = (log.begin(), log.end());
        let at = offset.get();
        if at < begin || at.saturating_add(RECORD_FIXED_SIZE as u64) > end {
            return Err(ReadError::OutOfRange { offset, begin: LogOffset::new(begin), end: LogOffset::new(end) });
        }
        let no_record = |why: String| ReadError::NoRecord { offset, why };
        let mut head = [0; 8];
        log.read(at, &mut head)?;
        let Peek::Record { size } = peek(&head) else { return Err(no_record(format!("found {:?}", peek(&head)))) };
        let mut bytes = BytesMut::new();
        let len = usize::try_from(size).map_err(|e| no_record(e.to_string()))?;
        log.copy_to(at, len, &mut bytes).map_err(|e| no_record(e.to_string()))?;
        match Record::parse(&bytes, BodyCheck::Skip) {
            Ok(record) if record.log_offset() == offset => Ok(bytes.freeze()),
            Ok(record) => Err(no_record(format!("it says it stands at {}", record.log_offset()))),
            Err(e) => Err(no_record(e.to_string())),
        }
    }

    /// Messages of a topic with a key, stored in a span of time; newest first, as many as fit into one frame.
    #[must_use]
    pub fn query_keys(&self, topic: &str, key: &str, max: usize, begin_ms: i64, end_ms: i64) -> QueryResult {
        let Some(index) = self.index() else { return QueryResult::default() };
        let max = max.min(self.config().max_query);
        let offsets = index.query(topic, key, max, begin_ms, end_ms).unwrap_or_else(|e| {
            tracing::error!(error = %e, topic, "reading the key index");
            Vec::new()
        });
        // The index keeps hashes only; a message that merely shares one is left out here.
        let matching = |offset| self.record_at(offset).ok().filter(|bytes| has_key(bytes, topic, key));
        let mut size = 0_usize;
        let fits = |bytes: &Bytes| {
            size = size.saturating_add(bytes.len());
            size <= QUERY_BYTES_MAX || size == bytes.len()
        };
        let (last_update_timestamp, last_update_offset) = index.last_end();
        QueryResult {
            records: offsets.into_iter().filter_map(matching).take_while(fits).collect(),
            last_update_timestamp,
            last_update_offset,
        }
    }
}

fn has_key(bytes: &[u8], topic: &str, key: &str) -> bool {
    let Ok(record) = Record::parse(bytes, BodyCheck::Skip) else { return false };
    let text = record.properties();
    record.topic() == topic
        && (properties::find(text, properties::UNIQ_KEY) == Some(key)
            || properties::find(text, properties::KEYS).is_some_and(|keys| keys.split(' ').any(|part| part == key)))
}
