//! Delayed messages: they wait in the schedule topic, a queue per level, and are stored anew when due.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kerolox_store::consume_queue::Unit;
use kerolox_store::disk::Disk;
use kerolox_store::tables::TableError;
use kerolox_store::{AppendBatch, ReadError};
use kerolox_wire::body::{DelayOffsets, from_json, to_json_pretty};
use kerolox_wire::names::{LogOffset, QueueId, QueueOffset, TopicName, topics};
use kerolox_wire::properties::{self, timer};
use kerolox_wire::record::{BodyCheck, NewRecord, Record};
use parking_lot::Mutex;

use crate::changes::Changes;
use crate::node::Node;
use crate::refusal::Refusal;
use crate::send::Target;

/// Messages of one level delivered in a row before the others get their turn.
const DELIVER_BATCH_MAX: usize = 256;
/// Bytes from which on one append has enough of them: they are in memory, and senders wait for it.
const DELIVER_BYTES: usize = 1 << 20;
/// Pause after an append that was refused, as in Java.
const RETRY_PAUSE: Duration = Duration::from_secs(10);
/// Pause after a read that the disk failed.
const READ_PAUSE: Duration = Duration::from_secs(1);
/// Longest sleep: a clock that was set forward is noticed after it.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// What is told to fail and to go on.
const DELIVERY: &str = "delivery of delayed messages, by level";

/// How far each level has come: the queue offset of the next message to deliver.
#[derive(Debug, Default)]
pub(crate) struct DelayProgress {
    next: Mutex<BTreeMap<i32, i64>>,
    changes: Changes,
}

impl DelayProgress {
    /// Reads `delayOffset.json`.
    pub(crate) fn from_json(text: &str) -> Result<Self, String> {
        let read: DelayOffsets = from_json(text.as_bytes()).map_err(|e| e.to_string())?;
        Ok(Self { next: Mutex::new(read.offset_table), changes: Changes::default() })
    }

    pub(crate) fn to_json(&self) -> String {
        to_json_pretty(&DelayOffsets { offset_table: self.table() })
    }

    /// The next offset of each level.
    pub(crate) fn table(&self) -> BTreeMap<i32, i64> {
        self.next.lock().clone()
    }

    fn get(&self, level: i32) -> Option<i64> {
        self.next.lock().get(&level).copied()
    }

    /// Sets how far a level has come.
    pub(crate) fn set(&self, level: i32, next: QueueOffset) {
        self.next.lock().insert(level, next.to_wire());
        self.changes.touch();
    }

    /// Writes `delayOffset.json` when something changed since the last time, `before` in between.
    pub(crate) fn save(
        &self,
        disk: &dyn Disk,
        path: &Path,
        before: impl FnOnce() -> io::Result<()>,
    ) -> Result<bool, TableError> {
        self.changes.save_after(disk, path, || self.to_json(), before)
    }
}

/// A level that cannot go on now, and when it is tried again.
struct Stop {
    why: String,
    pause: Duration,
}

/// The queue of a delay level, and its key in the table of progress.
pub(crate) fn level_queue(level: u32) -> (QueueId, i32) {
    (QueueId::new(level.saturating_sub(1)), i32::try_from(level).unwrap_or(i32::MAX))
}

impl Node {
    /// Sends a message that asks to be delayed to where it waits; `text` is what its sender said.
    pub(crate) fn delayed_if_asked(&self, target: Target, text: &str) -> Result<Target, Refusal> {
        let level = properties::find(text, properties::DELAY).and_then(|v| v.trim().parse::<i32>().ok()).unwrap_or(0);
        let is_timed = text.contains(timer::PREFIX);
        if level <= 0 {
            return if is_timed { self.timed_if_asked(target, text) } else { Ok(target) };
        }
        // As in 5.x a level wins over a time, which must not come into play when the message is sent again.
        let none = [(timer::DELAY_SEC, ""), (timer::DELAY_MS, ""), (timer::DELIVER_MS, "")];
        let target = match is_timed {
            true => Target { properties: properties::with(&target.properties, &none), ..target },
            false => target,
        };
        let (topic, queue_id, properties) = self.delayed(&target.topic, target.queue_id, level, &target.properties);
        Ok(Target { topic, queue_id, properties })
    }

    /// Where a message with a delay level goes first: the schedule topic, its real place kept as properties.
    pub(crate) fn delayed(
        &self,
        topic: &TopicName,
        queue: QueueId,
        level: i32,
        text: &str,
    ) -> (TopicName, QueueId, String) {
        let last = self.store.config().delay_levels.max_level().max(1);
        let level = u32::try_from(level).unwrap_or(1).clamp(1, last);
        let own = properties::with(
            text,
            &[(properties::REAL_TOPIC, topic.as_str()), (properties::REAL_QID, &queue.to_string())],
        );
        let queue = QueueId::new(level - 1);
        (TopicName::known(topics::SCHEDULE), queue, own)
    }

    /// Delivers due messages until the task is ended.
    pub(crate) async fn deliver_delayed(self: Arc<Self>) {
        self.step_by_step(Self::deliver_due, |node| &node.delay_arrived).await;
    }

    /// One round over all levels; returns how long nothing will be due.
    fn deliver_due(&self) -> Duration {
        let stopped = self.delivering.lock();
        if *stopped {
            return SLEEP_MAX;
        }
        let mut pause = Duration::MAX;
        for level in 1..=self.store.config().delay_levels.max_level() {
            pause = pause.min(self.deliver_level(level));
        }
        pause
    }

    fn deliver_level(&self, level: u32) -> Duration {
        match self.try_level(level) {
            Ok(pause) => {
                self.outages.ended(DELIVERY, level);
                pause
            }
            Err(stop) => {
                self.outages.failed(DELIVERY, level, stop.why);
                stop.pause
            }
        }
    }

    fn try_level(&self, level: u32) -> Result<Duration, Stop> {
        let topic = TopicName::known(topics::SCHEDULE);
        let (queue, key) = level_queue(level);
        let Some((next, max)) = self.next_of_level(level) else { return Ok(Duration::MAX) };
        if next >= max {
            return Ok(Duration::MAX);
        }
        let now = self.clock.wall_ms();
        let longest = self.store.config().delay_levels.delay_ms(level).unwrap_or(0);
        let units = self.store.units(&topic, queue, next, DELIVER_BATCH_MAX);
        let (first, units) = units.map_err(|e| Stop { why: e.to_string(), pause: READ_PAUSE })?;
        if units.is_empty() {
            // Nothing but filler up to the end.
            self.delay_offsets.set(key, first.min(max));
            return Ok(Duration::MAX);
        }
        let mut due = Vec::new();
        let mut pause = Duration::ZERO;
        for unit in units {
            // A time further away than the level's delay comes from a clock that was set back: due now.
            let left = unit.tags_code.saturating_sub(now);
            if left > 0 && left <= longest {
                pause = Duration::from_millis(u64::try_from(left).unwrap_or(0)).min(SLEEP_MAX);
                break;
            }
            due.push(unit);
        }
        let (done, failure) = self.deliver(&due).map_err(|why| Stop { why, pause: RETRY_PAUSE })?;
        if done > 0 {
            self.delay_offsets.set(key, first + done as u64);
        }
        match failure {
            Some(why) => Err(Stop { why, pause: READ_PAUSE }),
            None if done < due.len() => Ok(Duration::ZERO),
            None => Ok(pause),
        }
    }

    /// The next offset to deliver of a level, and the end of its queue; nothing without a queue.
    fn next_of_level(&self, level: u32) -> Option<(QueueOffset, QueueOffset)> {
        let (queue, key) = level_queue(level);
        let range = self.store.queue_range(&TopicName::known(topics::SCHEDULE), queue);
        let stored = self.delay_offsets.get(key).and_then(QueueOffset::from_wire).unwrap_or_default();
        let (min, max) = range.unwrap_or_default();
        if stored > max && self.store.is_recovered() {
            // At the start it was not beyond the end: the queue was deleted and has begun anew.
            tracing::warn!(level, from = %stored, to = %min, end = %max, "delayed messages are delivered from the beginning of their queue, which is shorter than what was delivered");
            self.delay_offsets.set(key, min);
            return range.map(|_| (min, max));
        }
        range.map(|_| (stored.max(min), max))
    }

    /// Delivers the first of these in one append; returns how many that were, and why the next one could not be read.
    fn deliver(&self, due: &[Unit]) -> Result<(usize, Option<String>), String> {
        let mut batch = self.store.batch();
        let (mut done, mut failure) = (0, None);
        for unit in due {
            if batch.bytes() >= DELIVER_BYTES {
                break;
            }
            let offset = LogOffset::new(unit.log_offset);
            match self.store.record_at(offset) {
                Ok(bytes) => {
                    if let Err(why) = self.plan_delivery(&bytes, &mut batch) {
                        tracing::error!(%offset, why, "a delayed message has no place to be delivered to and is dropped");
                    }
                }
                Err(ReadError::Io(error)) => {
                    failure = Some(error.to_string());
                    break;
                }
                Err(why) => {
                    tracing::error!(%offset, %why, "a delayed message is gone from the log and cannot be delivered");
                }
            }
            done += 1;
        }
        if !batch.is_empty() {
            self.store.append(&mut batch).map_err(|e| e.to_string())?;
        }
        Ok((done, failure))
    }

    fn plan_delivery(&self, bytes: &[u8], batch: &mut AppendBatch) -> Result<(), String> {
        let record = Record::parse(bytes, BodyCheck::Skip).map_err(|e| e.to_string())?;
        let text = record.properties();
        let topic = properties::find(text, properties::REAL_TOPIC).ok_or("it lacks REAL_TOPIC")?;
        let topic = TopicName::parse(topic).map_err(|e| e.to_string())?;
        if topic.as_str() == topics::TRANS_HALF {
            return Err("half messages are not delayed".to_owned());
        }
        let queue = properties::find(text, properties::REAL_QID).and_then(|v| v.parse().ok()).unwrap_or(0);
        // As in Java the text keeps DELAY, REAL_TOPIC and REAL_QID.
        let due = NewRecord::copy_of(&record, topic.as_str(), queue, text, self.store_host);
        batch.push(&self.store.queue(&topic, QueueId::new(queue)), &due).map(|_| ()).map_err(|e| e.to_string())
    }

    /// Waits for a delivery that is under way, and begins no other.
    pub(crate) fn stop_delivering(&self) {
        *self.delivering.lock() = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_kept_as_java_writes_it() {
        let text = "{\n\t\"offsetTable\":{1:5,3:70\n\t}\n}";
        let read = DelayProgress::from_json(text).unwrap();
        assert_eq!(read.table(), BTreeMap::from([(1, 5), (3, 70)]));
        assert_eq!(DelayProgress::from_json(&read.to_json()).unwrap().table(), read.table());
    }

    #[test]
    fn a_later_versions_file_is_read_and_what_is_no_table_is_not() {
        let later = "{\"dataVersion\":{\"counter\":1,\"timestamp\":2},\"offsetTable\":{\"2\":9}}";
        assert_eq!(DelayProgress::from_json(later).unwrap().table(), BTreeMap::from([(2, 9)]));
        assert!(DelayProgress::from_json("{}").unwrap().table().is_empty());
        for bad in ["", "{", "{\"offsetTable\":{\"x\":1}}", "{\"offsetTable\":[]}"] {
            assert!(DelayProgress::from_json(bad).is_err(), "{bad}");
        }
    }
}
