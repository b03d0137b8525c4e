//! Listing and cancelling timed messages by key. The key index finds their records, the store's timers say which of them
//! still wait.

use std::io;

use bytes::Bytes;
use kerolox_store::ReadError;
use kerolox_store::timers::{TimerEntry, TimerKind};
use kerolox_wire::names::{LogOffset, QueueId, TopicName, topics};
use kerolox_wire::properties::{self, timer};
use kerolox_wire::record::{BodyCheck, NewRecord, Record};

use super::{Timed, wheel};
use crate::node::Node;
use crate::refusal::Refusal;

/// Records looked at for one key.
const FOUND_MAX: usize = 64;

/// A message that waits for its time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PendingTimer {
    /// Where it will be delivered.
    pub topic: TopicName,
    /// The queue there.
    pub queue_id: QueueId,
    /// Id that its sender made up; empty without one, and then it cannot be cancelled.
    pub unique_key: String,
    /// Its keys, blank-separated.
    pub keys: String,
    /// When it is due, ms since 1970.
    pub due_ms: i64,
    /// Where its record is now.
    pub log_offset: u64,
}

/// Most messages, and most bytes of them, that are listed at once.
const LISTED_MAX: usize = 256;
const LISTED_SIZE_MAX: usize = 4 * 1024 * 1024;

impl Node {
    /// Records of messages that the broker will look at from `from_ms` until `to_ms`, the earliest first. That is when
    /// they are due, or, for those that wait longer than a record is kept in one place, when they are stored anew. With
    /// the time from which to go on; the end asked for when there is no more.
    pub(crate) fn timers_between(&self, from_ms: i64, to_ms: i64, most: usize) -> Result<(Vec<Bytes>, i64), Refusal> {
        let failed = |e: io::Error| Refusal::error(format!("the timers cannot be read: {e}"));
        let timers = &self.timer.timers;
        let (mut records, mut size) = (Vec::new(), 0);
        let most = most.min(LISTED_MAX);
        let entries = timers.between(from_ms, to_ms, most).map_err(failed)?;
        // Of one millisecond there may be more than fit; then the next one is where to go on.
        let mut next_ms = match entries.last() {
            Some(last) if entries.len() == most => last.wake_ms.max(from_ms.saturating_add(1)),
            _ => to_ms,
        };
        for entry in entries {
            if entry.kind != TimerKind::Message || timers.is_cancelled(&entry).map_err(failed)? {
                continue;
            }
            let record = match self.store.record_at(LogOffset::new(entry.log_offset)) {
                Err(ReadError::Io(error)) => return Err(failed(error)),
                Err(_) => continue,
                Ok(record) => record,
            };
            size += record.len();
            if size > LISTED_SIZE_MAX && !records.is_empty() {
                next_ms = entry.wake_ms.max(from_ms.saturating_add(1));
                break;
            }
            records.push(record);
        }
        Ok((records, next_ms))
    }

    /// The messages to `topic` with this key or unique key that wait for their time.
    pub(crate) fn pending_timers(&self, topic: &TopicName, key: &str) -> Result<Vec<PendingTimer>, Refusal> {
        if !self.store.config().index_enabled {
            return Err(Refusal::error("timed messages are found by the key index: messageIndexEnable is false"));
        }
        let failed = |e: io::Error| Refusal::error(format!("the timers cannot be read: {e}"));
        let mut found: Vec<PendingTimer> = Vec::new();
        for bytes in self.store.query_keys(topics::TIMER, key, FOUND_MAX, 0, i64::MAX).map_err(failed)?.records {
            let Ok(record) = Record::parse(&bytes, BodyCheck::Skip) else { continue };
            let Ok(timed) = Timed::of(&record) else { continue };
            if timed.kind != TimerKind::Message || timed.real_topic != topic.as_str() {
                continue;
            }
            let Some(entry) = self.waiting(&timed).map_err(failed)? else { continue };
            if self.timer.timers.is_cancelled(&entry).map_err(failed)? {
                continue;
            }
            let text = record.properties();
            let property = |name: &str| properties::find(text, name).unwrap_or_default().to_owned();
            found.push(PendingTimer {
                topic: topic.clone(),
                queue_id: QueueId::new(property(properties::REAL_QID).parse().unwrap_or(0)),
                unique_key: property(properties::UNIQ_KEY),
                keys: property(properties::KEYS),
                due_ms: timed.due_ms,
                log_offset: entry.log_offset,
            });
        }
        Ok(found)
    }

    /// Takes back the waiting message with this unique key, as a send with `TIMER_DEL_UNIQKEY` does; false when none
    /// waits. The cancellation is stored like a message, so it holds over a restart.
    pub(crate) fn cancel_timer(&self, topic: &TopicName, unique_key: &str) -> Result<bool, Refusal> {
        let pending = self.pending_timers(topic, unique_key)?;
        let Some(message) = pending.into_iter().find(|message| message.unique_key == unique_key) else {
            return Ok(false);
        };
        let text = properties::with(
            "",
            &[
                (timer::DEL_UNIQKEY, &format!("{topic}+{unique_key}")),
                (timer::OUT_MS, &message.due_ms.to_string()),
                (properties::REAL_TOPIC, topic.as_str()),
                (properties::REAL_QID, "0"),
            ],
        );
        let (wheel, queue) = wheel();
        let cancel = NewRecord {
            topic: wheel.as_str(),
            queue_id: queue.get(),
            flag: 0,
            sys_flag: 0,
            born_timestamp: self.clock.wall_ms(),
            born_host: self.store_host,
            store_host: self.store_host,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: b"0",
            properties: &text,
        };
        let mut batch = self.store.batch();
        batch.push(&self.store.queue(&wheel, queue), &cancel)?;
        self.store.append(&mut batch).map_err(|e| Refusal::from(&e))?;
        if self.waits_for_disk() {
            self.store.flush_now().map_err(|e| Refusal::error(format!("the cancellation is not durable: {e}")))?;
        }
        Ok(true)
    }

    /// The message that a cancellation means, if it waits.
    pub(super) fn waiting_message(&self, cancel: &Timed<'_>) -> io::Result<Option<TimerEntry>> {
        for bytes in self.store.query_keys(topics::TIMER, cancel.unique_key(), FOUND_MAX, 0, i64::MAX)?.records {
            let Ok(record) = Record::parse(&bytes, BodyCheck::Skip) else { continue };
            let Ok(timed) = Timed::of(&record) else { continue };
            if timed.kind == TimerKind::Message
                && timed.key == cancel.key
                && let Some(entry) = self.waiting(&timed)?
            {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    fn waiting(&self, timed: &Timed<'_>) -> io::Result<Option<TimerEntry>> {
        for entry in self.entries_of(timed) {
            if self.timer.timers.contains(&entry)? {
                return Ok(Some(entry));
            }
        }
        Ok(None)
    }

    /// The entries that a record may have, by all settings that this directory has seen.
    pub(super) fn entries_of<'a>(&'a self, timed: &'a Timed<'a>) -> impl Iterator<Item = TimerEntry> + 'a {
        self.timer.timers.windows_ms().iter().rev().map(|window_ms| timed.entry(*window_ms))
    }
}
