//! Records laid out and waiting for the log: everything that can be done before the append lock is done here.

use std::sync::Arc;

use kerolox_wire::names::{LogOffset, QueueOffset};
use kerolox_wire::properties::PAIR_END;
use kerolox_wire::record::{LateFields, NewRecord, PROPERTIES_SIZE_MAX, RecordError, TOPIC_SIZE_MAX, fill_late};
use kerolox_wire::sys_flag;
use smallvec::SmallVec;

use crate::consume_queue::Queue;
use crate::error::RefusedRecord;
use crate::tombstone::TOMBSTONE_TOPIC;

/// Largest record when nobody says otherwise.
const RECORD_SIZE_MAX_DEFAULT: u32 = 4 << 20;

/// Records to be appended together.
#[derive(Default)]
pub struct AppendBatch {
    bytes: Vec<u8>,
    items: Vec<Item>,
    limit: Option<u32>,
}

/// One or several records of one queue that stay together in one log file.
pub(crate) struct Item {
    pub(crate) queue: Arc<Queue>,
    /// Whether its records take places in the queue: prepared and rollback records do not.
    pub(crate) enters: bool,
    /// Bytes of each record.
    sizes: SmallVec<[usize; 1]>,
    /// Bytes of all of them.
    pub(crate) size: usize,
}

/// Where one item of a batch was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Appended {
    /// Log offset of the first record.
    pub first: LogOffset,
    /// Queue offset of the first record; 0 for prepared and rollback records.
    pub queue_offset: QueueOffset,
    /// Store time of all records, ms.
    pub store_timestamp: i64,
    /// Log offsets of all records.
    pub record_offsets: SmallVec<[LogOffset; 1]>,
    /// Log offset behind the last record: what must be durable for the whole item to be.
    pub end: LogOffset,
}

impl AppendBatch {
    /// An empty batch for records of the default largest size.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty batch for records of at most `limit` bytes.
    #[must_use]
    pub fn with_limit(limit: u32) -> Self {
        Self { limit: Some(limit), ..Self::default() }
    }

    /// Adds one record; returns the number of its item.
    ///
    /// # Errors
    /// When the record does not fit; the batch is then as before.
    pub fn push(&mut self, queue: &Arc<Queue>, record: &NewRecord<'_>) -> Result<usize, RefusedRecord> {
        self.push_group(queue, std::slice::from_ref(record))
    }

    /// Adds records that get consecutive queue offsets and stay in one log file; returns the number of their item.
    ///
    /// # Errors
    /// When there is none or one does not fit; the batch is then as before.
    pub fn push_group(&mut self, queue: &Arc<Queue>, records: &[NewRecord<'_>]) -> Result<usize, RefusedRecord> {
        let Some(first) = records.first() else { return Err(RefusedRecord::Empty) };
        let start = self.bytes.len();
        let mut sizes = SmallVec::with_capacity(records.len());
        for record in records {
            debug_assert!(record.topic == queue.topic().as_str() && record.queue_id == queue.id().get());
            match self.encode(record) {
                Ok(size) => sizes.push(size),
                Err(refused) => {
                    self.bytes.truncate(start);
                    return Err(refused);
                }
            }
        }
        let size = self.bytes.len().saturating_sub(start);
        let enters = sys_flag::enters_queue(first.sys_flag);
        self.items.push(Item { queue: Arc::clone(queue), enters, sizes, size });
        Ok(self.items.len().saturating_sub(1))
    }

    /// A batch of one record that deletes a topic.
    pub(crate) fn of_tombstone(detached: Arc<Queue>, record: &NewRecord<'_>) -> Result<Self, RecordError> {
        let mut batch = Self::new();
        record.encode(&mut batch.bytes)?;
        let size = batch.bytes.len();
        batch.items.push(Item { queue: detached, enters: false, sizes: SmallVec::from_elem(size, 1), size });
        Ok(batch)
    }

    /// Returns the size of the record.
    fn encode(&mut self, record: &NewRecord<'_>) -> Result<usize, RefusedRecord> {
        if record.topic == TOMBSTONE_TOPIC {
            return Err(RefusedRecord::ReservedTopic { topic: record.topic.to_owned() });
        }
        if record.properties.ends_with('\0') {
            // Recovery takes a zero byte at the end for a page that was never written. A separator changes no property.
            let closed = format!("{}{PAIR_END}", record.properties);
            return self.encode(&NewRecord { properties: &closed, ..*record });
        }
        let size = record.encoded_len();
        let limit = usize::try_from(self.limit.unwrap_or(RECORD_SIZE_MAX_DEFAULT)).unwrap_or(usize::MAX);
        if record.topic.len() > TOPIC_SIZE_MAX {
            return Err(RefusedRecord::TopicTooLong { size: record.topic.len(), limit: TOPIC_SIZE_MAX });
        }
        if record.properties.len() > PROPERTIES_SIZE_MAX {
            return Err(RefusedRecord::PropertiesTooLong { size: record.properties.len(), limit: PROPERTIES_SIZE_MAX });
        }
        if size > limit {
            return Err(RefusedRecord::TooLarge { size, limit });
        }
        record.encode(&mut self.bytes).map_err(|e| match e {
            RecordError::TopicTooLong { size } => RefusedRecord::TopicTooLong { size, limit: TOPIC_SIZE_MAX },
            RecordError::PropertiesTooLong { size } => {
                RefusedRecord::PropertiesTooLong { size, limit: PROPERTIES_SIZE_MAX }
            }
            _ => RefusedRecord::TooLarge { size, limit },
        })?;
        Ok(size)
    }

    /// Number of items.
    #[must_use]
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether there is no item.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Bytes of all records.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Bytes of records that fit without new memory.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Drops all items and keeps the memory for the next batch.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.items.clear();
    }

    pub(crate) fn items(&self) -> &[Item] {
        &self.items
    }

    /// Replaces handles of queues that were deleted after a record was laid out for them: a deleted queue gives no
    /// offsets. Called under the append lock, under which queues are deleted.
    pub(crate) fn renew_queues(&mut self, find: impl Fn(&Queue) -> Arc<Queue>) {
        for item in self.items.iter_mut().filter(|item| item.queue.is_deleted()) {
            item.queue = find(&item.queue);
        }
    }

    /// The items and their encoded bytes, item by item.
    pub(crate) fn parts(&mut self) -> (&[Item], &mut [u8]) {
        (&self.items, &mut self.bytes)
    }
}

impl Item {
    /// Number of records.
    pub(crate) fn count(&self) -> usize {
        self.sizes.len()
    }

    /// Writes the late fields into the item's records, which begin at `at` in the log.
    pub(crate) fn settle(&self, bytes: &mut [u8], at: LogOffset, first: QueueOffset, now_ms: i64) -> Appended {
        let mut record_offsets = SmallVec::with_capacity(self.sizes.len());
        let mut log_offset = at;
        let mut queue_offset = first;
        let mut rest = bytes;
        for size in &self.sizes {
            let (record, behind) = rest.split_at_mut(*size);
            fill_late(record, &LateFields { queue_offset, log_offset, store_timestamp: now_ms });
            record_offsets.push(log_offset);
            rest = behind;
            log_offset = log_offset + *size as u64;
            if self.enters {
                queue_offset = queue_offset + 1;
            }
        }
        Appended { first: at, queue_offset: first, store_timestamp: now_ms, record_offsets, end: log_offset }
    }
}
