//! Delayed messages: they wait in the schedule topic, a queue per level, and are stored anew when due.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kerolox_store::AppendBatch;
use kerolox_store::consume_queue::Unit;
use kerolox_wire::body::{DelayOffsets, from_json, to_json_pretty};
use kerolox_wire::names::{LogOffset, QueueId, QueueOffset, TopicName, topics};
use kerolox_wire::properties::{self, timer};
use kerolox_wire::record::{BodyCheck, NewRecord, Record};

use crate::node::Node;
use crate::refusal::Refusal;
use crate::send::Target;

/// Messages of one level delivered in a row before the others get their turn.
const DELIVER_BATCH_MAX: usize = 256;
/// Bytes from which on one append has enough of them: they are in memory, and senders wait for it.
const DELIVER_BYTES: usize = 1 << 20;
/// Pause after a delivery that failed.
const RETRY_PAUSE: Duration = Duration::from_secs(10);
/// Longest sleep: a clock that was set forward is noticed after it.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// How far each level has come: next place to deliver.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct DelayProgress {
    next: BTreeMap<i32, i64>,
    dirty: bool,
}

impl DelayProgress {
    /// Reads `delayOffset.json`.
    pub(crate) fn from_json(text: &str) -> Result<Self, String> {
        let read: DelayOffsets = from_json(text.as_bytes()).map_err(|e| e.to_string())?;
        Ok(Self { next: read.offset_table, dirty: false })
    }

    pub(crate) fn to_json(&self) -> String {
        to_json_pretty(&DelayOffsets { offset_table: self.next.clone() })
    }

    /// The next place of each level, for the administration requests.
    pub(crate) fn table(&self) -> BTreeMap<i32, i64> {
        self.next.clone()
    }
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
        let topic = TopicName::known(topics::SCHEDULE);
        let queue = QueueId::new(level - 1);
        let key = i32::try_from(level).unwrap_or(i32::MAX);
        let Some((min, max)) = self.store.queue_range(&topic, queue) else { return Duration::MAX };
        let stored = self.delay_offsets.lock().next.get(&key).copied().unwrap_or(0);
        let mut next = QueueOffset::from_wire(stored).unwrap_or_default().max(min);
        if next >= max {
            return Duration::MAX;
        }
        let now = self.clock.wall_ms();
        let longest = self.store.config().delay_levels.delay_ms(level).unwrap_or(0);
        let (first, units) = self.store.units(&topic, queue, next, DELIVER_BATCH_MAX);
        next = first;
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
        if due.is_empty() {
            return pause;
        }
        match self.deliver(&due) {
            Ok(done) => {
                next = next + done as u64;
                let mut progress = self.delay_offsets.lock();
                progress.next.insert(key, next.to_wire());
                progress.dirty = true;
                if done < due.len() { Duration::ZERO } else { pause }
            }
            Err(why) => {
                tracing::error!(level, offset = %next, why, "delayed messages could not be delivered; tried again");
                RETRY_PAUSE
            }
        }
    }

    /// Delivers the first of these in one append; returns how many that were.
    fn deliver(&self, due: &[Unit]) -> Result<usize, String> {
        let mut batch = self.store.batch();
        let mut done = 0;
        for unit in due {
            if batch.bytes() >= DELIVER_BYTES {
                break;
            }
            done += 1;
            let offset = LogOffset::new(unit.log_offset);
            let bytes = match self.store.record_at(offset) {
                Ok(bytes) => bytes,
                Err(why) => {
                    tracing::error!(%offset, %why, "a delayed message is gone from the log and cannot be delivered");
                    continue;
                }
            };
            if let Err(why) = self.plan_delivery(&bytes, &mut batch) {
                tracing::error!(%offset, why, "a delayed message has no place to be delivered to and is dropped");
            }
        }
        if !batch.is_empty() {
            self.store.append(&mut batch).map_err(|e| e.to_string())?;
        }
        Ok(done)
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

    /// Writes `delayOffset.json` when it has changed.
    pub(crate) fn save_delay_progress(&self) {
        let text = {
            let mut progress = self.delay_offsets.lock();
            if !progress.dirty {
                return;
            }
            progress.dirty = false;
            progress.to_json()
        };
        if let Err(error) = self.disk.write_file_atomic(&self.config_file("delayOffset.json"), text.as_bytes()) {
            self.delay_offsets.lock().dirty = true;
            tracing::error!(%error, "delayOffset.json could not be written; it is tried again");
        }
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
        assert_eq!(DelayProgress::from_json(&read.to_json()), Ok(read));
    }

    #[test]
    fn a_later_versions_file_is_read_and_what_is_no_table_is_not() {
        let later = "{\"dataVersion\":{\"counter\":1,\"timestamp\":2},\"offsetTable\":{\"2\":9}}";
        assert_eq!(DelayProgress::from_json(later).unwrap().table(), BTreeMap::from([(2, 9)]));
        assert_eq!(DelayProgress::from_json("{}"), Ok(DelayProgress::default()));
        for bad in ["", "{", "{\"offsetTable\":{\"x\":1}}", "{\"offsetTable\":[]}"] {
            assert!(DelayProgress::from_json(bad).is_err(), "{bad}");
        }
    }
}
