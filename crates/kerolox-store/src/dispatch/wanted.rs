//! What is derived from one record.

use kerolox_wire::names::topics;
use kerolox_wire::properties;
use kerolox_wire::record::Record;
use kerolox_wire::sys_flag::{self, Transaction};
use kerolox_wire::tags::tags_code;

use crate::config::DelayLevels;
use crate::index::IndexKeys;

/// What queues and index need of a record's properties, found in one pass. Of equal names the last one counts.
#[derive(Default)]
pub(super) struct Wanted<'b> {
    uniq_key: Option<&'b str>,
    keys: Option<&'b str>,
    tags: Option<&'b str>,
    delay: Option<&'b str>,
}

impl<'b> Wanted<'b> {
    pub(super) fn of(record: &Record<'b>) -> Self {
        let mut wanted = Self::default();
        for (name, value) in properties::pairs(record.properties()) {
            match name {
                properties::UNIQ_KEY => wanted.uniq_key = Some(value),
                properties::KEYS => wanted.keys = Some(value),
                properties::TAGS => wanted.tags = Some(value),
                properties::DELAY => wanted.delay = Some(value),
                _ => {}
            }
        }
        wanted
    }

    /// What the index keeps of the record.
    pub(super) fn keys(&self, record: &Record<'b>) -> Option<IndexKeys<'b>> {
        let is_rollback = sys_flag::transaction(record.sys_flag()) == Transaction::Rollback;
        if is_rollback || (self.uniq_key.is_none() && self.keys.is_none()) {
            return None;
        }
        Some(IndexKeys {
            topic: record.topic(),
            uniq_key: self.uniq_key,
            keys: self.keys,
            log_offset: record.log_offset().get(),
            store_timestamp: record.store_timestamp(),
        })
    }

    /// What the unit keeps: the hash of the tags, and in the delay topic the time when the message is due.
    pub(super) fn unit_code(&self, record: &Record<'b>, levels: &DelayLevels) -> i64 {
        if record.topic() == topics::SCHEDULE {
            let level = self.delay.and_then(|level| level.parse::<u32>().ok());
            if let Some(level) = level.filter(|level| *level > 0) {
                return levels.due_ms(level, record.store_timestamp());
            }
        }
        tags_code(self.tags)
    }
}
