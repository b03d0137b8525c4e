//! Reading messages: by queue and offset, by time.

use std::io;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use kerolox_wire::names::{LogOffset, QueueId, QueueOffset, TopicName};
use kerolox_wire::record::{Peek, peek};
use kerolox_wire::sys_flag::BORNHOST_V6;

use crate::commit_log::CommitLog;
use crate::config::TransferLimit;
use crate::consume_queue::{Queue, Unit};
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
}

impl ReadResult {
    fn empty(status: ReadStatus, next: QueueOffset, (min, max): (QueueOffset, QueueOffset)) -> Self {
        Self { status, next, min, max, body: Bytes::new(), count: 0, bytes: 0, log_behind: 0, suggest_replica: false }
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
        let config = self.config();
        let mut picked = Picked::new(self.log(), self.memory_window(), limits.max_count);
        let full = (config.memory_transfer, config.disk_transfer);
        let mut unscanned = limits.max_count.max(UNITS_SCANNED_MIN);
        // Without a filter one helping is enough; with one, most reads need several.
        let helping = limits.max_count.clamp(UNITS_HELPING_MIN, UNITS_SCANNED_MIN);
        let mut units = Vec::with_capacity(helping);
        let mut next = from;
        while unscanned > 0 && next < max {
            units.clear();
            let first = match queue.units(next, helping.min(unscanned), &mut units) {
                Ok(first) if !units.is_empty() => first,
                _ if next > from => break,
                other => {
                    tracing::warn!(%topic, queue = %queue_id, %from, %min, %max, ?other, "the queue has no unit here");
                    return ReadResult::empty(ReadStatus::OffsetFoundNull, queue.next_file(from).min(max), range);
                }
            };
            let taken = picked.collect(&units, full, limits, filter);
            next = first + taken as u64;
            unscanned = unscanned.saturating_sub(units.len());
            if taken < units.len() {
                break;
            }
        }
        let log_behind = picked.end.saturating_sub(picked.last_seen);
        ReadResult {
            status: picked.status,
            next,
            min,
            max,
            count: picked.count,
            bytes: picked.body.len(),
            body: picked.body.freeze(),
            log_behind,
            suggest_replica: log_behind > self.memory_window(),
        }
    }

    /// First offset and end of a queue; `None` when there is no such queue.
    #[must_use]
    pub fn queue_range(&self, topic: &TopicName, queue_id: QueueId) -> Option<(QueueOffset, QueueOffset)> {
        self.queues().get(topic, queue_id).map(|queue| (queue.min(), queue.max()))
    }

    /// The unit of one message.
    #[must_use]
    pub fn unit_at(&self, topic: &TopicName, queue_id: QueueId, offset: QueueOffset) -> Option<Unit> {
        self.queues().get(topic, queue_id)?.unit(offset).ok().flatten()
    }

    /// Up to `count` units from an offset on, and the offset of the first of them: a later one when there is a gap.
    #[must_use]
    pub fn units(
        &self,
        topic: &TopicName,
        queue_id: QueueId,
        from: QueueOffset,
        count: usize,
    ) -> (QueueOffset, Vec<Unit>) {
        let mut units = Vec::new();
        let first = match self.queues().get(topic, queue_id) {
            Some(queue) => queue.units(from, count, &mut units).unwrap_or(from),
            None => from,
        };
        (first, units)
    }

    /// When a message was stored, ms.
    #[must_use]
    pub fn store_time(&self, topic: &TopicName, queue_id: QueueId, offset: QueueOffset) -> Option<i64> {
        let queue = self.queues().get(topic, queue_id)?;
        unit_time(self.log(), &queue, offset)
    }

    /// Offset of the message stored nearest to a time; 0 for a queue without messages.
    #[must_use]
    pub fn offset_by_time(&self, topic: &TopicName, queue_id: QueueId, time_ms: i64) -> QueueOffset {
        match self.queues().get(topic, queue_id) {
            Some(queue) => offset_near_time(self.log(), &queue, time_ms),
            None => QueueOffset::ZERO,
        }
    }

    /// Whether a place of the log is in the part supposed to be in memory.
    #[must_use]
    pub fn is_in_memory(&self, offset: LogOffset) -> bool {
        self.log().end().saturating_sub(offset.get()) <= self.memory_window()
    }
}

/// The records picked by one read.
struct Picked<'a> {
    log: &'a CommitLog,
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
}

impl<'a> Picked<'a> {
    fn new(log: &'a CommitLog, memory_window: u64, max_count: usize) -> Self {
        Self {
            log,
            end: log.end(),
            memory_window,
            max_count,
            body: BytesMut::new(),
            count: 0,
            status: ReadStatus::NoMatchedMessage,
            last_seen: 0,
            resume_at: 0,
        }
    }

    /// Goes through the units until the answer is full; returns how many it has passed.
    fn collect(
        &mut self,
        units: &[Unit],
        (memory, disk): (TransferLimit, TransferLimit),
        limits: ReadLimits<'_>,
        filter: &dyn Fn(i64, &[u8]) -> Verdict,
    ) -> usize {
        for (passed, unit) in units.iter().enumerate() {
            self.last_seen = unit.log_offset;
            if unit.log_offset < self.resume_at {
                continue;
            }
            let cold = self.end.saturating_sub(unit.log_offset) > self.memory_window;
            if self.is_full(unit, if cold { disk } else { memory }) {
                return passed;
            }
            if limits.by_tags.is_some_and(|judge| judge(unit.tags_code) == Verdict::Skip) {
                self.note(ReadStatus::NoMatchedMessage);
                continue;
            }
            if self.body.is_empty() {
                self.make_room(unit, units.len().saturating_sub(passed), if cold { disk } else { memory });
            }
            let start = self.body.len();
            if let Err(e) = self.copy(unit) {
                if e.kind() != io::ErrorKind::NotFound {
                    tracing::error!(at = unit.log_offset, error = %e, "a unit points to no record");
                }
                self.body.truncate(start);
                self.note(ReadStatus::MessageWasRemoving);
                let segments = self.log.segments();
                // Only what is no longer held lies in a file that is gone as a whole.
                if unit.log_offset < self.log.begin() {
                    self.resume_at = segments.base_of(unit.log_offset).saturating_add(segments.size());
                }
                continue;
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
    fn copy(&mut self, unit: &Unit) -> io::Result<()> {
        let start = self.body.len();
        let len = usize::try_from(unit.size).map_err(io::Error::other)?;
        self.log.copy_to(unit.log_offset, len, &mut self.body)?;
        let (_, record) = self.body.split_at(start);
        let own_offset = record.get(28..36).and_then(|b| b.first_chunk()).map(|b| u64::from_be_bytes(*b));
        if peek(record) == (Peek::Record { size: unit.size }) && own_offset == Some(unit.log_offset) {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::InvalidData, "not the record that the unit describes"))
    }
}

/// Store time of the record at a log offset, read without the rest of it.
pub(crate) fn record_time(log: &CommitLog, at: u64) -> io::Result<i64> {
    let mut head = [0; 76];
    log.read(at, &mut head)?;
    let field = |from: usize| head.get(from..).and_then(|b| b.first_chunk::<8>()).map(|b| i64::from_be_bytes(*b));
    let own_offset = field(28).and_then(|offset| u64::try_from(offset).ok());
    if !matches!(peek(&head), Peek::Record { .. }) || own_offset != Some(at) {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("no record at log offset {at}")));
    }
    let flag = head.get(39).copied().map_or(0, i32::from);
    let time = if flag & BORNHOST_V6 == 0 { field(56) } else { field(68) };
    time.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

fn unit_time(log: &CommitLog, queue: &Arc<Queue>, offset: QueueOffset) -> Option<i64> {
    let unit = queue.unit(offset).ok().flatten()?;
    record_time(log, unit.log_offset).ok()
}

/// Binary search over the whole queue; units whose record is gone count as earlier than any time. Of the two
/// neighbours the nearer one wins, the earlier one when both are as near.
fn offset_near_time(log: &CommitLog, queue: &Arc<Queue>, time_ms: i64) -> QueueOffset {
    let (min, max) = (queue.min().get(), queue.max().get());
    let mut low = min;
    let mut high = max;
    let (mut before, mut after) = (None, None);
    while low < high {
        let middle = low.midpoint(high);
        match unit_time(log, queue, QueueOffset::new(middle)) {
            Some(at) if at == time_ms => return QueueOffset::new(middle),
            Some(at) if at > time_ms => {
                after = Some((middle, at));
                high = middle;
            }
            earlier => {
                before = earlier.map(|at| (middle, at)).or(before);
                low = middle.saturating_add(1);
            }
        }
    }
    let nearest = match (before, after) {
        (Some((offset, at)), Some((_, later))) if time_ms.abs_diff(at) <= later.abs_diff(time_ms) => offset,
        (_, Some((offset, _))) | (Some((offset, _)), None) => offset,
        (None, None) => min,
    };
    QueueOffset::new(nearest)
}
