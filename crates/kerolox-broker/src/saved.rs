//! Positions that outlive the broker: consumer offsets, delay levels, transactions. They are written after the log they
//! speak of is durable, and held against the queues that are there when the broker starts: a position never decides what
//! exists.

use std::path::Path;

use kerolox_store::tables::TableError;
use kerolox_wire::names::{QueueId, QueueOffset, TopicName, groups, topics};

use crate::delay::level_queue;
use crate::node::Node;

/// Corrected offsets that have a line of their own; of more, only the number is told.
const TOLD_MAX: usize = 1_000;

const OFFSETS: &str = "consumerOffset.json";
const FILTERS: &str = "consumerFilter.json";
const DELAYS: &str = "delayOffset.json";

impl Node {
    /// Writes the consumer offsets where they have changed, once the messages they speak of are durable.
    pub(crate) fn save_offsets(&self) {
        let path = self.config_file(OFFSETS);
        self.note_save(
            "writing consumerOffset.json",
            self.offsets.save(self.disk.as_ref(), &path, || self.store.flush_now()),
        );
    }

    /// Writes what groups filter by where it has changed, without what has expired.
    pub(crate) fn save_filters(&self) {
        self.filters.clean(self.clock.wall_ms(), self.config.live.filter_lifetime_ms());
        let path = self.config_file(FILTERS);
        self.note_save(
            "writing consumerFilter.json",
            self.filters.save(self.disk.as_ref(), &path, || self.store.flush_now()),
        );
    }

    /// Writes how far delay levels have come where it has changed, once what was delivered is durable.
    pub(crate) fn save_delay_progress(&self) {
        let path = self.config_file(DELAYS);
        self.note_save(
            "writing delayOffset.json",
            self.delay_offsets.save(self.disk.as_ref(), &path, || self.store.flush_now()),
        );
    }

    fn note_save(&self, what: &'static str, outcome: Result<bool, TableError>) {
        match outcome {
            Ok(_) => drop(self.outages.ended(what, 0)),
            Err(error) => drop(self.outages.failed(what, 0, error)),
        }
    }

    /// Corrects, before anything is served, every saved position that lies beyond the end of its queue, and tells so.
    pub(crate) fn correct_saved_positions(&self) {
        if !self.store.is_recovered()
            && let Err(error) = self.store.dispatch_now(None)
        {
            // Behind an end that is not known yet, nothing can be told to be wrong.
            tracing::warn!(%error, "saved offsets are not checked: the queues do not follow the log");
            return;
        }
        self.correct_transactions();
        self.correct_offsets();
        self.correct_delays(self.saved_at(DELAYS));
    }

    /// When a table was written last, ms; now at the latest.
    fn saved_at(&self, name: &str) -> i64 {
        let now_ms = self.clock.wall_ms();
        let entries = self.disk.list(&self.config.config_dir).unwrap_or_default();
        let entry = entries.into_iter().find(|entry| Path::new(&entry.name) == Path::new(name));
        entry.map_or(now_ms, |entry| entry.modified_ms.min(now_ms))
    }

    fn correct_offsets(&self) {
        let mut told = 0;
        let corrected = self.offsets.correct(|group, topic, queue, offset| {
            let end = self.range_or_empty(topic, queue).1.to_wire();
            if offset <= end {
                return None;
            }
            told += 1;
            if told <= TOLD_MAX {
                tracing::warn!(table = OFFSETS, %group, %topic, %queue, from = offset, to = end, "a saved offset beyond the end of its queue is set to the end");
            }
            Some(end)
        });
        if corrected > TOLD_MAX {
            tracing::warn!(table = OFFSETS, corrected, "more saved offsets were beyond the ends of their queues");
        }
    }

    /// A level that is beyond its end was saved beside another log. Which of the messages here it has delivered shows by
    /// their times: those that were not due when the table was written have not been.
    fn correct_delays(&self, saved_ms: i64) {
        let topic = TopicName::known(topics::SCHEDULE);
        for (key, from) in self.delay_offsets.table() {
            let Ok(level) = u32::try_from(key) else { continue };
            let (queue, key) = level_queue(level);
            let (min, end) = self.range_or_empty(&topic, queue);
            if from <= end.to_wire() {
                continue;
            }
            let to = self.first_due_after(&topic, queue, (min, end), saved_ms);
            tracing::warn!(table = DELAYS, level, from, %to, %end, "a saved offset beyond the end of its delay level is corrected");
            self.delay_offsets.set(key, to);
        }
    }

    /// The first of the units of a delay level, which are in the order of their times, that is due after a time. One that
    /// cannot be read counts as such: delivering again is better than never.
    fn first_due_after(
        &self,
        topic: &TopicName,
        queue: QueueId,
        (min, end): (QueueOffset, QueueOffset),
        time_ms: i64,
    ) -> QueueOffset {
        let (mut low, mut high) = (min.get(), end.get());
        while low < high {
            let middle = low.midpoint(high);
            match self.store.unit_at(topic, queue, QueueOffset::new(middle)) {
                Ok(unit) if unit.is_none_or(|unit| unit.tags_code <= time_ms) => low = middle + 1,
                _ => high = middle,
            }
        }
        QueueOffset::new(low)
    }

    /// Where rounds over half messages are beyond an end, both topics are gone through again from the beginning: what has
    /// ended is told by the operation messages, and what has not would never be asked for otherwise.
    fn correct_transactions(&self) {
        let topics = [TopicName::known(topics::TRANS_HALF), TopicName::known(topics::TRANS_OP_HALF)];
        let saved = |topic: &TopicName| self.offsets.of(groups::TRANS, topic.as_str());
        let mut beyond: Vec<QueueId> = Vec::new();
        for topic in &topics {
            let ahead = |(queue, offset): (QueueId, i64)| {
                (offset > self.range_or_empty(topic, queue).1.to_wire()).then_some(queue)
            };
            beyond.extend(saved(topic).into_iter().filter_map(ahead));
        }
        for topic in &topics {
            for (queue, from) in saved(topic).into_iter().filter(|(queue, _)| beyond.contains(queue)) {
                let (to, end) = self.range_or_empty(topic, queue);
                tracing::warn!(table = OFFSETS, %topic, %queue, from, %to, %end, "transactions are checked from the beginning: a saved offset is beyond the end");
                self.settle_transactions(topic, queue, to);
            }
        }
    }
}
