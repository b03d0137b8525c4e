//! Reading messages by queue and offset.
//!
//! Only what is certain moves a consumer's offset: a record before the beginning of the log, a unit without a message, a
//! record that is damaged. A read that the disk failed ends with what was found before it.

use std::io;

use bytes::{Bytes, BytesMut};
use kerolox_wire::names::{LogOffset, QueueId, QueueOffset, TopicName};

use crate::config::TransferLimit;
use crate::consume_queue::{Queue, Unit};
use crate::fetch::{Check, Place, Unreadable, fetch};
use crate::store::Store;

/// Fewest units that one read looks at when a filter drops most of them.
const UNITS_SCANNED_MIN: usize = 800;
/// Fewest units that are read at once.
const UNITS_HELPING_MIN: usize = 32;

/// What a filter says of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Return it.
    Keep,
    /// Leave it out.
    Skip,
}

/// What one read may return.
#[derive(Clone, Copy)]
pub struct ReadLimits<'a> {
    /// Most messages.
    pub max_count: usize,
    /// Judges a message by its unit alone, before its record is read: what is left out here costs no access to the log.
    pub by_tags: Option<&'a dyn Fn(i64) -> Verdict>,
}

impl Default for ReadLimits<'_> {
    fn default() -> Self {
        Self::count(32)
    }
}

impl ReadLimits<'_> {
    /// At most `max_count` messages, all of them judged by their records only.
    #[must_use]
    pub fn count(max_count: usize) -> Self {
        Self { max_count, by_tags: None }
    }
}

/// How a read ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadStatus {
    /// There are messages.
    Found,
    /// No message among those looked at passed the filter.
    NoMatchedMessage,
    /// The messages' log file is gone.
    MessageWasRemoving,
    /// The queue has no unit at this offset.
    OffsetFoundNull,
    /// The offset is far behind the end.
    OffsetOverflowBadly,
    /// The offset is the end.
    OffsetOverflowOne,
    /// The offset lies before the first message.
    OffsetTooSmall,
    /// There is no such queue.
    NoMatchedLogicQueue,
    /// The queue has never had a message.
    NoMessageInQueue,
    /// The disk failed before there was a message: the same offset is to be asked for again.
    ReadFailed,
}

/// What a read brings back.
#[derive(Debug, Clone)]
pub struct ReadResult {
    /// How it ended.
    pub status: ReadStatus,
    /// Offset to ask for next.
    pub next: QueueOffset,
    /// First offset of the queue.
    pub min: QueueOffset,
    /// End of the queue.
    pub max: QueueOffset,
    /// The records, back to back.
    pub body: Bytes,
    /// Number of records.
    pub count: usize,
    /// Bytes of all records.
    pub bytes: usize,
    /// Bytes of the log behind the last message looked at.
    pub log_behind: u64,
    /// That is more than the part of the log supposed to be in memory: a replica should be asked instead.
    pub suggest_replica: bool,
    /// What the disk said, with the place, where [`ReadStatus::ReadFailed`] is the status.
    pub failure: Option<String>,
}

impl ReadResult {
    fn empty(status: ReadStatus, next: QueueOffset, (min, max): (QueueOffset, QueueOffset)) -> Self {
        Self {
            status,
            next,
            min,
            max,
            body: Bytes::new(),
            count: 0,
            bytes: 0,
            log_behind: 0,
            suggest_replica: false,
            failure: None,
        }
    }

    fn failed(from: QueueOffset, range: (QueueOffset, QueueOffset), error: &io::Error) -> Self {
        Self { failure: Some(error.to_string()), ..Self::empty(ReadStatus::ReadFailed, from, range) }
    }
}

impl Store {
    /// Reads messages of a queue from an offset on. `filter` judges each by its tags code and its record.
    #[must_use]
    pub fn read(
        &self,
        topic: &TopicName,
        queue_id: QueueId,
        from: i64,
        limits: ReadLimits<'_>,
        filter: &dyn Fn(i64, &[u8]) -> Verdict,
    ) -> ReadResult {
        let result = self.read_queue(topic, queue_id, from, limits, filter);
        let counters = self.counters();
        match result.status {
            ReadStatus::Found => counters.reads_found.add(1),
            _ => counters.reads_missed.add(1),
        }
        counters.records_read.add(result.count as u64);
        result
    }

    fn read_queue(
        &self,
        topic: &TopicName,
        queue_id: QueueId,
        from: i64,
        limits: ReadLimits<'_>,
        filter: &dyn Fn(i64, &[u8]) -> Verdict,
    ) -> ReadResult {
        let zero = QueueOffset::ZERO;
        let Some(queue) = self.queues().get(topic, queue_id) else {
            return ReadResult::empty(ReadStatus::NoMatchedLogicQueue, zero, (zero, zero));
        };
        let range = (queue.min(), queue.max());
        let (min, max) = range;
        if max == zero {
            return ReadResult::empty(ReadStatus::NoMessageInQueue, zero, range);
        }
        let from = match QueueOffset::from_wire(from) {
            Some(from) if from >= min => from,
            _ => return ReadResult::empty(ReadStatus::OffsetTooSmall, min, range),
        };
        if from == max {
            return ReadResult::empty(ReadStatus::OffsetOverflowOne, from, range);
        }
        if from > max {
            // As the reference: a queue that begins at 0 is read again from there.
            let next = if min == zero { min } else { max };
            return ReadResult::empty(ReadStatus::OffsetOverflowBadly, next, range);
        }
        self.read_units(&queue, from, range, limits, filter)
    }

    fn read_units(
        &self,
        queue: &Queue,
        from: QueueOffset,
        range: (QueueOffset, QueueOffset),
        limits: ReadLimits<'_>,
        filter: &dyn Fn(i64, &[u8]) -> Verdict,
    ) -> ReadResult {
        let (min, max) = range;
        let mut picked = Picked::new(self, limits.max_count);
        let mut unscanned = limits.max_count.max(UNITS_SCANNED_MIN);
        // Without a filter one helping is enough; with one, most reads need several.
        let helping = limits.max_count.clamp(UNITS_HELPING_MIN, UNITS_SCANNED_MIN);
        let mut units = Vec::with_capacity(helping);
        let mut next = from;
        while unscanned > 0 && next < max {
            units.clear();
            let first = match units_until_failure(queue, next, helping.min(unscanned), &mut units) {
                Ok(first) => first,
                // Retention has taken the file since.
                Err(_) if next < queue.min() => break,
                Err(error) => {
                    picked.failure = Some(error);
                    break;
                }
            };
            if units.is_empty() {
                if next > from {
                    break;
                }
                let (topic, queue_id) = (queue.topic(), queue.id());
                tracing::warn!(%topic, queue = %queue_id, %from, %min, %max, "no unit from the offset to the end of the queue");
                return ReadResult::empty(ReadStatus::OffsetFoundNull, queue.next_file(from).min(max), range);
            }
            let taken = picked.collect((queue.id(), first), &units, limits, filter);
            next = first + taken as u64;
            unscanned = unscanned.saturating_sub(units.len());
            if taken < units.len() {
                break;
            }
        }
        if let Some(error) = picked.failure.as_ref().filter(|_| picked.count == 0) {
            return ReadResult::failed(from, range, error);
        }
        if next == from && next < queue.min() {
            return ReadResult::empty(ReadStatus::OffsetTooSmall, queue.min(), (queue.min(), max));
        }
        picked.into_result(next, range)
    }

    /// First offset and end of a queue; `None` when there is no such queue.
    #[must_use]
    pub fn queue_range(&self, topic: &TopicName, queue_id: QueueId) -> Option<(QueueOffset, QueueOffset)> {
        self.queues().get(topic, queue_id).map(|queue| (queue.min(), queue.max()))
    }

    /// The unit of one message; `None` where there is none.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn unit_at(&self, topic: &TopicName, queue_id: QueueId, offset: QueueOffset) -> io::Result<Option<Unit>> {
        match self.queues().get(topic, queue_id) {
            Some(queue) => queue.unit(offset).map_err(|error| queue_failed(&queue, offset, &error)),
            None => Ok(None),
        }
    }

    /// Up to `count` units from an offset on, and the offset of the first of them: a later one when there is a gap. Where
    /// a part of them cannot be read, those before it.
    ///
    /// # Errors
    /// When the disk fails at the first of them.
    pub fn units(
        &self,
        topic: &TopicName,
        queue_id: QueueId,
        from: QueueOffset,
        count: usize,
    ) -> io::Result<(QueueOffset, Vec<Unit>)> {
        let mut units = Vec::new();
        let first = match self.queues().get(topic, queue_id) {
            Some(queue) => units_until_failure(&queue, from, count, &mut units)?,
            None => from,
        };
        Ok((first, units))
    }

    /// Whether a place of the log is in the part supposed to be in memory.
    #[must_use]
    pub fn is_in_memory(&self, offset: LogOffset) -> bool {
        self.log().end().saturating_sub(offset.get()) <= self.memory_window()
    }

    /// Whether a record's body is checked when it is read: only what this process wrote, and may still have in memory, is
    /// taken on trust.
    pub(crate) fn is_trusted(&self, at: u64) -> bool {
        at >= self.opened_end() && self.is_in_memory(LogOffset::new(at))
    }

    /// Counts and tells of a record that is passed over because it is damaged.
    pub(crate) fn note_damaged(&self, at: u64, why: &str) {
        self.counters().records_damaged.add(1);
        tracing::error!(at, why, "a damaged record of the log is passed over");
    }
}

/// Units from an offset on as [`Queue::units`] finds them. Where a read fails, those before it, as far as fewer of them
/// can be read.
fn units_until_failure(queue: &Queue, from: QueueOffset, count: usize, out: &mut Vec<Unit>) -> io::Result<QueueOffset> {
    let mut wanted = count;
    loop {
        let error = match queue.units(from, wanted, out) {
            Ok(first) => return Ok(first),
            Err(error) => error,
        };
        wanted = if out.is_empty() { wanted / 2 } else { out.len().min(wanted.saturating_sub(1)) };
        out.clear();
        if wanted == 0 {
            return Err(queue_failed(queue, from, &error));
        }
    }
}

/// An error of the disk with the place in the queue that it is about.
pub(crate) fn queue_failed(queue: &Queue, at: QueueOffset, error: &io::Error) -> io::Error {
    let text = format!("reading queue {} of {} at offset {at}: {error}", queue.id(), queue.topic());
    io::Error::new(error.kind(), text)
}

/// The records picked by one read.
struct Picked<'a> {
    store: &'a Store,
    end: u64,
    memory_window: u64,
    max_count: usize,
    body: BytesMut,
    count: usize,
    status: ReadStatus,
    /// Log offset of the last unit looked at.
    last_seen: u64,
    /// After a record whose file is gone, units below this offset are passed over.
    resume_at: u64,
    /// What ended the read before its time.
    failure: Option<io::Error>,
}

impl<'a> Picked<'a> {
    fn new(store: &'a Store, max_count: usize) -> Self {
        Self {
            store,
            end: store.log().end(),
            memory_window: store.memory_window(),
            max_count,
            body: BytesMut::new(),
            count: 0,
            status: ReadStatus::NoMatchedMessage,
            last_seen: 0,
            resume_at: 0,
            failure: None,
        }
    }

    fn into_result(self, next: QueueOffset, (min, max): (QueueOffset, QueueOffset)) -> ReadResult {
        let log_behind = self.end.saturating_sub(self.last_seen);
        ReadResult {
            status: self.status,
            next,
            min,
            max,
            count: self.count,
            bytes: self.body.len(),
            body: self.body.freeze(),
            log_behind,
            suggest_replica: log_behind > self.memory_window,
            failure: None,
        }
    }

    /// Goes through the units until the answer is full or the disk fails; returns how many it has passed.
    fn collect(
        &mut self,
        (queue, first): (QueueId, QueueOffset),
        units: &[Unit],
        limits: ReadLimits<'_>,
        filter: &dyn Fn(i64, &[u8]) -> Verdict,
    ) -> usize {
        for (passed, unit) in units.iter().enumerate() {
            self.last_seen = unit.log_offset;
            if unit.log_offset < self.resume_at {
                continue;
            }
            let limit = self.limit_of(unit);
            if self.is_full(unit, limit) {
                return passed;
            }
            if limits.by_tags.is_some_and(|judge| judge(unit.tags_code) == Verdict::Skip) {
                self.note(ReadStatus::NoMatchedMessage);
                continue;
            }
            if self.body.is_empty() {
                self.make_room(unit, units.len().saturating_sub(passed), limit);
            }
            let start = self.body.len();
            match self.copy(unit, (queue, first + passed as u64)) {
                Ok(()) => {}
                Err(Unreadable::Failed(error)) => {
                    self.failure = Some(error);
                    return passed;
                }
                Err(Unreadable::Gone) => {
                    self.note(ReadStatus::MessageWasRemoving);
                    let segments = self.store.log().segments();
                    self.resume_at = segments.base_of(unit.log_offset).saturating_add(segments.size());
                    continue;
                }
                Err(Unreadable::Damaged(why)) => {
                    self.note(ReadStatus::MessageWasRemoving);
                    self.store.note_damaged(unit.log_offset, &why);
                    continue;
                }
            }
            let (_, record) = self.body.split_at(start);
            if filter(unit.tags_code, record) == Verdict::Skip {
                self.body.truncate(start);
                self.note(ReadStatus::NoMatchedMessage);
                continue;
            }
            self.count = self.count.saturating_add(1);
            self.status = ReadStatus::Found;
            self.resume_at = 0;
        }
        units.len()
    }

    fn limit_of(&self, unit: &Unit) -> TransferLimit {
        let config = self.store.config();
        let cold = self.end.saturating_sub(unit.log_offset) > self.memory_window;
        if cold { config.disk_transfer } else { config.memory_transfer }
    }

    /// Takes memory for as many records like this one as the answer may get: growing it bit by bit would copy it again
    /// and again.
    fn make_room(&mut self, unit: &Unit, units: usize, limit: TransferLimit) {
        let size = usize::try_from(unit.size).unwrap_or(usize::MAX);
        let count = units.min(self.max_count).min(limit.count);
        self.body.reserve(size.saturating_mul(count).min(limit.bytes));
    }

    fn is_full(&self, unit: &Unit, limit: TransferLimit) -> bool {
        let size = usize::try_from(unit.size).unwrap_or(usize::MAX);
        self.count > 0
            && (self.count >= self.max_count.min(limit.count) || self.body.len().saturating_add(size) > limit.bytes)
    }

    fn note(&mut self, status: ReadStatus) {
        if self.count == 0 {
            self.status = status;
        }
    }

    /// Copies a unit's record and checks that it is the one meant.
    fn copy(&mut self, unit: &Unit, queue: (QueueId, QueueOffset)) -> Result<(), Unreadable> {
        let check = if self.store.is_trusted(unit.log_offset) { Check::Head } else { Check::Body };
        let place = Place { at: unit.log_offset, size: unit.size, check, queue: Some(queue) };
        fetch(self.store.log(), place, &mut self.body)
    }
}
