//! Whether log and queues agree: each record is looked up in its queue as the log is walked, and only queues with units
//! that no record confirmed are gone through once more.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::PathBuf;

use kerolox_wire::names::topics;
use kerolox_wire::properties;
use kerolox_wire::record::Record;
use kerolox_wire::sys_flag::{INNER_BATCH, enters_queue};
use kerolox_wire::tags::tags_code;

use super::finding::{Finding, Findings, Kind};
use super::log::{LogFiles, Records};
use super::queues::QueueTable;
use crate::consume_queue::Unit;

/// Damaged stretches of the log that are remembered, to tell their units from wrong ones.
const STRETCHES_MAX: usize = 65_536;
/// Values of a unit's last field from here down are addresses of RocketMQ's extension of queues, not hashes.
const EXTENSION_ADDRESS_MAX: i64 = -2_147_483_649;

/// The comparison of log and queues.
pub(super) struct Agreement<'q, 'a> {
    queues: &'q mut QueueTable<'a>,
    /// Topics of the table, when it can be read.
    topics: Option<Vec<String>>,
    /// Log offset behind the newest record that any queue knows.
    dispatched: u64,
    stretches: Vec<Range<u64>>,
    missing: BTreeMap<(String, u32), (u64, u64)>,
    behind: Option<(u64, u64)>,
    former: u64,
    root: PathBuf,
}

impl<'q, 'a> Agreement<'q, 'a> {
    pub(super) fn new(queues: &'q mut QueueTable<'a>, topics: Option<Vec<String>>, root: PathBuf) -> Self {
        let dispatched = queues.queues().iter().map(|queue| queue.log_end).max().unwrap_or(0);
        Self {
            queues,
            topics,
            dispatched,
            stretches: Vec::new(),
            missing: BTreeMap::new(),
            behind: None,
            former: 0,
            root,
        }
    }

    /// A stretch of the log without records.
    pub(super) fn stretch(&mut self, range: Range<u64>) {
        if self.stretches.len() < STRETCHES_MAX {
            self.stretches.push(range);
        }
    }

    /// Looks the record up in its queue.
    pub(super) fn record(&mut self, record: &Record<'_>, findings: &mut Findings) {
        if !enters_queue(record.sys_flag()) || record.sys_flag() & INNER_BATCH != 0 {
            return;
        }
        let (at, log_offset) = (record.queue_offset().get(), record.log_offset().get());
        let Some(number) = self.queues.number(record.topic(), record.queue_id().get()) else {
            self.without_queue(record);
            return;
        };
        let unit = match self.queues.unit(number, at) {
            Ok(unit) => unit.filter(|unit| *unit != Unit::default()),
            // The scan has told.
            Err(_) => return,
        };
        match unit {
            Some(unit) if unit.log_offset == log_offset && unit.size == record.total_size() => {
                self.confirm(number, &unit, record, findings);
            }
            Some(unit) => self.without_unit(number, record, Some(unit), findings),
            None if log_offset >= self.dispatched => {
                let (first, count) = self.behind.unwrap_or((log_offset, 0));
                self.behind = Some((first, count.saturating_add(1)));
            }
            None => self.without_unit(number, record, None, findings),
        }
    }

    fn confirm(&mut self, number: usize, unit: &Unit, record: &Record<'_>, findings: &mut Findings) {
        let Some(queue) = self.queues.queue_mut(number) else { return };
        queue.confirmed = queue.confirmed.saturating_add(1);
        let due_time = record.topic() == topics::SCHEDULE;
        let expected = tags_code(properties::find(record.properties(), properties::TAGS));
        if !due_time && unit.tags_code > EXTENSION_ADDRESS_MAX && unit.tags_code != expected {
            let at = record.queue_offset();
            let why = format!("{}: unit {at} has the tags hash {}, not {expected}", queue.name(), unit.tags_code);
            findings.add(queue.finding(Kind::QueueUnitTags, why).at(at.get(), 1));
        }
    }

    fn without_queue(&mut self, record: &Record<'_>) {
        let (topic, offset) = (record.topic(), record.log_offset().get());
        if offset >= self.dispatched && !self.queues.queues().is_empty() {
            let (first, count) = self.behind.unwrap_or((offset, 0));
            self.behind = Some((first, count.saturating_add(1)));
            return;
        }
        let known = self.topics.as_ref().is_none_or(|known| known.iter().any(|name| name == topic));
        if !known && !self.queues.has_topic(topic) {
            self.former = self.former.saturating_add(1);
            return;
        }
        let (_, count) =
            self.missing.entry((topic.to_owned(), record.queue_id().get())).or_insert((record.queue_offset().get(), 0));
        *count = count.saturating_add(1);
    }

    fn without_unit(&mut self, number: usize, record: &Record<'_>, unit: Option<Unit>, findings: &mut Findings) {
        let Some(queue) = self.queues.queue_mut(number) else { return };
        let (at, log_offset) = (record.queue_offset().get(), record.log_offset().get());
        // A topic that was deleted and made anew counts from 0 again.
        if queue.first.is_some_and(|(first, first_log)| log_offset < first_log && at >= first) {
            self.former = self.former.saturating_add(1);
            return;
        }
        let instead = match unit {
            Some(unit) if unit.is_blank() => "there is a blank".to_owned(),
            Some(unit) => format!("it points to {} bytes at {}", unit.size, unit.log_offset),
            None => "it is free".to_owned(),
        };
        let why = format!(
            "{}: unit {at} should point to the {} bytes of the record at {log_offset}, but {instead}",
            queue.name(),
            record.total_size()
        );
        findings.add(queue.finding(Kind::QueueRecordWithoutUnit, why).at(at, 1));
    }

    /// Once the whole log was walked: units that no record confirmed, and what was counted on the way.
    pub(super) fn finish(mut self, log: &LogFiles<'_>, log_end: u64, findings: &mut Findings) {
        for ((topic, id), (first, count)) in std::mem::take(&mut self.missing) {
            let path = self.root.join(&topic).join(id.to_string());
            let why = format!("{topic}/{id}: {count} records of the log belong to it");
            findings.add(Finding::of(Kind::QueueMissing, &path, why).at(first, count));
        }
        if let Some((first, count)) = self.behind {
            let why = format!("{count} records from log offset {first} on have no unit yet");
            findings.add(Finding::of(Kind::QueueBehind, &self.root, why).at(first, count));
        }
        if self.former > 0 {
            let why = format!("{} records of deleted topics, or of topics before they were made anew", self.former);
            findings
                .add(Finding { length: Some(self.former), ..Finding::of(Kind::QueueDeletedTopic, &self.root, why) });
        }
        let mut records = Records::new(log);
        for number in 0..self.queues.queues().len() {
            let suspicious = self.queues.queues().get(number).is_some_and(|queue| queue.live != queue.confirmed);
            if suspicious {
                self.unconfirmed(number, &mut records, log_end, findings);
            }
        }
    }

    /// Finds the units of one queue that point to no record of it.
    fn unconfirmed(&mut self, number: usize, records: &mut Records<'_>, log_end: u64, findings: &mut Findings) {
        let Some(mut queue) = self.queues.queues().get(number).cloned() else { return };
        let log_begin = records.begin();
        let (topic, id) = (queue.topic.clone(), queue.id);
        let stretches = &self.stretches;
        let read = self.queues.units(number, &mut |at, unit| {
            if !unit.is_message() || unit.log_offset < log_begin {
                return;
            }
            let (size, offset) = (unit.size, unit.log_offset);
            let (kind, why) = match records.record(offset) {
                Ok(Some(record)) if is_its(&record, &topic, id, at, size) => return,
                Ok(Some(record)) => (Kind::QueueUnitPointsNowhere, format!("there is {}", shown(&record))),
                _ if offset >= log_end => (Kind::QueueUnitBeyondEnd, format!("the log ends at {log_end}")),
                _ if stretches.iter().any(|range| range.contains(&offset)) => {
                    (Kind::QueueUnitOfDamage, "the log is damaged there".to_owned())
                }
                Ok(None) => (Kind::QueueUnitPointsNowhere, "no record begins there".to_owned()),
                Err(why) => (Kind::QueueUnitOfDamage, why.to_string()),
            };
            let why = format!("{}: unit {at} points to {size} bytes at {offset}, but {why}", queue.name());
            findings.add(queue.finding(kind, why).at(at, 1));
        });
        if let Err(why) = read {
            findings.add(queue.finding(Kind::QueueUnreadable, why.to_string()));
        }
        if let Some(place) = self.queues.queue_mut(number) {
            place.damaged |= queue.damaged;
        }
    }
}

fn is_its(record: &Record<'_>, topic: &str, id: u32, at: u64, size: u32) -> bool {
    record.topic() == topic
        && record.queue_id().get() == id
        && record.queue_offset().get() == at
        && record.total_size() == size
}

fn shown(record: &Record<'_>) -> String {
    let (topic, id, at) = (record.topic(), record.queue_id(), record.queue_offset());
    format!("the record of {topic}/{id}, queue offset {at}, {} bytes", record.total_size())
}
