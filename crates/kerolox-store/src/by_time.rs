//! When messages were stored, and which message was stored nearest to a time.

use std::io;
use std::sync::Arc;

use kerolox_wire::names::{LogOffset, QueueId, QueueOffset, TopicName};
use kerolox_wire::record::{Peek, peek};
use kerolox_wire::sys_flag::BORNHOST_V6;

use crate::commit_log::CommitLog;
use crate::consume_queue::Queue;
use crate::fetch::{Unreadable, classify};
use crate::reader::queue_failed;
use crate::store::Store;

/// Bytes of a record up to and with its store time, whatever the length of its addresses.
const HEAD_BYTES: usize = 76;
/// Damaged units that a search looks past before it takes the rest for earlier than any time.
const DAMAGED_PASSED_MAX: u64 = 64;

/// The store time of one unit.
enum UnitTime {
    /// Its record lies before the beginning of the log.
    Gone,
    /// There is no unit, or no record where it points to.
    None,
    At(i64),
}

impl Store {
    /// When a message was stored, ms; `None` where there is none.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn store_time(&self, topic: &TopicName, queue_id: QueueId, offset: QueueOffset) -> io::Result<Option<i64>> {
        let Some(queue) = self.queues().get(topic, queue_id) else { return Ok(None) };
        Ok(match unit_time(self.log(), &queue, offset)? {
            UnitTime::At(ms) => Some(ms),
            UnitTime::Gone | UnitTime::None => None,
        })
    }

    /// When the record at a log offset was stored, ms; `None` where no record begins.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn store_time_at(&self, offset: LogOffset) -> io::Result<Option<i64>> {
        match record_time(self.log(), offset.get()) {
            Ok(ms) => Ok(Some(ms)),
            Err(Unreadable::Failed(error)) => Err(error),
            Err(Unreadable::Gone | Unreadable::Damaged(_)) => Ok(None),
        }
    }

    /// Offset of the message stored nearest to a time; 0 for a queue without messages.
    ///
    /// # Errors
    /// When the disk fails: no offset is better than a wrong one.
    pub fn offset_by_time(&self, topic: &TopicName, queue_id: QueueId, time_ms: i64) -> io::Result<QueueOffset> {
        match self.queues().get(topic, queue_id) {
            Some(queue) => offset_near_time(self.log(), &queue, time_ms),
            None => Ok(QueueOffset::ZERO),
        }
    }
}

/// Store time of the record at a log offset, read without the rest of it.
fn record_time(log: &CommitLog, at: u64) -> Result<i64, Unreadable> {
    let mut head = [0; HEAD_BYTES];
    log.read(at, &mut head).map_err(|error| classify(log, at, HEAD_BYTES as u64, &error))?;
    let field = |from: usize| head.get(from..).and_then(|b| b.first_chunk::<8>()).map(|b| i64::from_be_bytes(*b));
    let own_offset = field(28).and_then(|offset| u64::try_from(offset).ok());
    let damaged = || Unreadable::Damaged(format!("no record at log offset {at}"));
    if !matches!(peek(&head), Peek::Record { .. }) || own_offset != Some(at) {
        return Err(damaged());
    }
    let flag = head.get(39).copied().map_or(0, i32::from);
    let time = if flag & BORNHOST_V6 == 0 { field(56) } else { field(68) };
    time.ok_or_else(damaged)
}

fn unit_time(log: &CommitLog, queue: &Arc<Queue>, offset: QueueOffset) -> io::Result<UnitTime> {
    let unit = queue.unit(offset).map_err(|error| queue_failed(queue, offset, &error))?;
    let Some(unit) = unit else { return Ok(UnitTime::None) };
    match record_time(log, unit.log_offset) {
        Ok(ms) => Ok(UnitTime::At(ms)),
        Err(Unreadable::Gone) => Ok(UnitTime::Gone),
        Err(Unreadable::Damaged(_)) => Ok(UnitTime::None),
        Err(Unreadable::Failed(error)) => Err(error),
    }
}

/// The first unit from `from` on that has a time, with it. `None` where all count as earlier than any time.
fn first_time(log: &CommitLog, queue: &Arc<Queue>, from: u64, end: u64) -> io::Result<Option<(u64, i64)>> {
    for offset in from..end.min(from.saturating_add(DAMAGED_PASSED_MAX)) {
        match unit_time(log, queue, QueueOffset::new(offset))? {
            UnitTime::At(ms) => return Ok(Some((offset, ms))),
            UnitTime::Gone => return Ok(None),
            UnitTime::None => {}
        }
    }
    Ok(None)
}

/// Binary search over the whole queue; units whose record is gone count as earlier than any time. Of the two
/// neighbours the nearer one wins, the earlier one when both are as near.
fn offset_near_time(log: &CommitLog, queue: &Arc<Queue>, time_ms: i64) -> io::Result<QueueOffset> {
    let (min, max) = (queue.min().get(), queue.max().get());
    let mut low = min;
    let mut high = max;
    let (mut before, mut after) = (None, None);
    while low < high {
        let middle = low.midpoint(high);
        match first_time(log, queue, middle, high)? {
            Some((offset, at)) if at == time_ms => return Ok(QueueOffset::new(offset)),
            Some((offset, at)) if at > time_ms => {
                after = Some((offset, at));
                high = middle;
            }
            Some((offset, at)) => {
                before = Some((offset, at));
                low = offset.saturating_add(1);
            }
            None => low = middle.saturating_add(1),
        }
    }
    let nearest = match (before, after) {
        (Some((offset, at)), Some((_, later))) if time_ms.abs_diff(at) <= later.abs_diff(time_ms) => offset,
        (_, Some((offset, _))) | (Some((offset, _)), None) => offset,
        (None, None) => min,
    };
    Ok(QueueOffset::new(nearest))
}
