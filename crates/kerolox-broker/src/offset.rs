//! How far each group has consumed each queue. Groups do not wait for each other: each has its own lock.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kerolox_store::disk::Disk;
use kerolox_store::tables::{self, TableError};
use kerolox_wire::body::{OffsetTable, Unreadable, from_json, to_json_pretty};
use kerolox_wire::frame::FRAME_SIZE_MAX;
use kerolox_wire::names::{GroupName, QueueId, TopicName};
use parking_lot::Mutex;

use crate::changes::Changes;

/// Most offsets kept, over all groups.
pub(crate) const OFFSETS_MAX: usize = 4_000_000;
/// Most offsets of one group: a client that commits for every queue there is must not use up the table.
pub(crate) const OFFSETS_PER_GROUP_MAX: usize = 200_000;
/// Largest table that is sent as one answer.
pub(crate) const TABLE_BYTES_MAX: usize = FRAME_SIZE_MAX - 64 * 1024;
/// Bytes that one offset of a queue takes up in an answer, at least.
const ENTRY_BYTES: usize = 8;

/// Between topic and group in the keys of the table.
const SEPARATOR: char = '@';

/// Why an offset is not stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum OffsetError {
    /// The table is full.
    #[error("the broker keeps {limit} consumer offsets, and no more")]
    Full {
        /// [`OFFSETS_MAX`]
        limit: usize,
    },
    /// The group has all the offsets it may have.
    #[error("the broker keeps {limit} consumer offsets of a group, and no more")]
    GroupFull {
        /// [`OFFSETS_PER_GROUP_MAX`]
        limit: usize,
    },
    /// The table does not fit an answer.
    #[error("all consumer offsets together take more than {limit} bytes; ask for the offsets of single groups")]
    TooLargeToTell {
        /// [`TABLE_BYTES_MAX`]
        limit: usize,
    },
}

/// Offsets of one topic's queues.
type Queues = BTreeMap<QueueId, i64>;
/// Offsets of one group.
type ByTopic = HashMap<TopicName, Queues>;

/// All consumer offsets of the broker.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    groups: papaya::HashMap<GroupName, Arc<Mutex<ByTopic>>>,
    count: AtomicUsize,
    changes: Changes,
    /// Members of the file that belong to no topic and group; they stay in it.
    unusable: Mutex<Vec<Unreadable>>,
}

impl Offsets {
    /// An empty table.
    #[must_use]
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Stores an offset, whether or not it goes back, and returns the one before.
    ///
    /// # Errors
    /// When it would be a new entry and the table is full.
    pub(crate) fn commit(
        &self,
        group: &GroupName,
        topic: &TopicName,
        queue: QueueId,
        offset: i64,
    ) -> Result<Option<i64>, OffsetError> {
        let of_group = self.of_group(group)?;
        let mut topics = of_group.lock();
        let known = topics.get_mut(topic.as_str()).and_then(|queues| queues.get_mut(&queue));
        let before = if let Some(known) = known {
            Some(std::mem::replace(known, offset))
        } else {
            let own: usize = topics.values().map(BTreeMap::len).sum();
            if own >= OFFSETS_PER_GROUP_MAX {
                return Err(OffsetError::GroupFull { limit: OFFSETS_PER_GROUP_MAX });
            }
            self.reserve(1)?;
            topics.entry(topic.clone()).or_default().insert(queue, offset)
        };
        if before.is_some_and(|before| before > offset) {
            tracing::debug!(%group, %topic, %queue, offset, ?before, "consumer offset goes back");
        }
        if before != Some(offset) {
            self.changes.touch();
        }
        Ok(before)
    }

    /// The stored offset; a negative one counts as none.
    #[must_use]
    pub(crate) fn get(&self, group: &str, topic: &str, queue: QueueId) -> Option<i64> {
        let groups = self.groups.pin();
        let topics = groups.get(group)?.lock();
        topics.get(topic)?.get(&queue).copied().filter(|offset| *offset >= 0)
    }

    /// All offsets of a group in a topic.
    #[must_use]
    pub(crate) fn of(&self, group: &str, topic: &str) -> BTreeMap<QueueId, i64> {
        let groups = self.groups.pin();
        groups.get(group).and_then(|topics| topics.lock().get(topic).cloned()).unwrap_or_default()
    }

    /// The groups that have offsets in a topic, in order of their names.
    #[must_use]
    pub(crate) fn groups_of(&self, topic: &str) -> Vec<GroupName> {
        let groups = self.groups.pin();
        let with_topic = groups.iter().filter(|(_, topics)| topics.lock().contains_key(topic));
        let mut names: Vec<_> = with_topic.map(|(name, _)| name.clone()).collect();
        names.sort();
        names
    }

    /// The topics that a group has offsets in, in order of their names.
    #[must_use]
    pub(crate) fn topics_of(&self, group: &str) -> Vec<TopicName> {
        let groups = self.groups.pin();
        let Some(topics) = groups.get(group) else { return Vec::new() };
        let mut names: Vec<_> = topics.lock().keys().cloned().collect();
        names.sort();
        names
    }

    /// Gives `to` the offsets that `from` has in a topic, in place of its own; false when there are none.
    ///
    /// # Errors
    /// When the table is full.
    pub(crate) fn clone_topic(&self, from: &str, to: &GroupName, topic: &TopicName) -> Result<bool, OffsetError> {
        let queues = self.of(from, topic.as_str());
        if queues.is_empty() {
            return Ok(false);
        }
        let of_group = self.of_group(to)?;
        self.reserve(queues.len())?;
        let replaced = of_group.lock().insert(topic.clone(), queues);
        self.release(replaced.map_or(0, |queues| queues.len()));
        self.changes.touch();
        Ok(true)
    }

    /// Forgets a topic in all groups; the number of offsets that went.
    pub(crate) fn remove_topic(&self, topic: &str) -> usize {
        self.retain(|_, each, _| each.as_str() != topic)
    }

    /// Gives each offset the value that `correct` has for it, if any; the number of those.
    pub(crate) fn correct(
        &self,
        mut correct: impl FnMut(&GroupName, &TopicName, QueueId, i64) -> Option<i64>,
    ) -> usize {
        let mut corrected = 0;
        for (group, topics) in &self.groups.pin() {
            for (topic, queues) in topics.lock().iter_mut() {
                for (queue, offset) in queues {
                    if let Some(right) = correct(group, topic, *queue, *offset) {
                        *offset = right;
                        corrected += 1;
                    }
                }
            }
        }
        if corrected > 0 {
            self.changes.touch();
        }
        corrected
    }

    /// Keeps the topics of groups for which `keep` is true; the number of offsets that went.
    pub(crate) fn retain(
        &self,
        mut keep: impl FnMut(&GroupName, &TopicName, &BTreeMap<QueueId, i64>) -> bool,
    ) -> usize {
        let mut gone = 0;
        for (group, topics) in &self.groups.pin() {
            topics.lock().retain(|topic, queues| {
                let kept = keep(group, topic, queues);
                if !kept {
                    gone += queues.len();
                }
                kept
            });
        }
        self.note_removed(gone)
    }

    /// The smallest offset of each queue over all groups but `skip`, leaving out offsets before the queue's begin.
    #[must_use]
    pub(crate) fn min_over_groups(
        &self,
        topic: &str,
        skip: &[&str],
        begin_of: impl Fn(QueueId) -> i64,
    ) -> BTreeMap<QueueId, i64> {
        let mut least = BTreeMap::new();
        let groups = self.groups.pin();
        for (_, topics) in groups.iter().filter(|(group, _)| !skip.contains(&group.as_str())) {
            let queues = topics.lock().get(topic).cloned().unwrap_or_default();
            for (queue, offset) in queues.into_iter().filter(|(queue, offset)| *offset >= begin_of(*queue)) {
                let entry = least.entry(queue).or_insert(offset);
                *entry = offset.min(*entry);
            }
        }
        least
    }

    /// Number of stored offsets.
    #[must_use]
    pub(crate) fn len(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Whether nothing is stored.
    #[must_use]
    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether something changed since the last save.
    #[must_use]
    #[cfg(test)]
    pub(crate) fn is_dirty(&self) -> bool {
        self.changes.pending()
    }

    /// The table as the protocol and the file know it.
    #[must_use]
    pub(crate) fn table(&self) -> OffsetTable {
        let mut table = OffsetTable::default();
        for (group, topics) in &self.groups.pin() {
            for (topic, queues) in topics.lock().iter() {
                let queues = queues.iter().map(|(queue, offset)| (queue.to_wire(), *offset)).collect();
                table.offset_table.insert(format!("{topic}{SEPARATOR}{group}"), queues);
            }
        }
        table
    }

    /// The table, where it fits one answer.
    ///
    /// # Errors
    /// When it does not; little is built to find that out.
    pub(crate) fn table_to_send(&self) -> Result<OffsetTable, OffsetError> {
        let mut size = 0_usize;
        for (group, topics) in &self.groups.pin() {
            for (topic, queues) in topics.lock().iter() {
                let names = topic.as_str().len().saturating_add(group.as_str().len());
                size = size.saturating_add(names).saturating_add(queues.len().saturating_mul(ENTRY_BYTES));
            }
            if size > TABLE_BYTES_MAX {
                return Err(OffsetError::TooLargeToTell { limit: TABLE_BYTES_MAX });
            }
        }
        Ok(self.table())
    }

    /// The text of `consumerOffset.json`.
    #[must_use]
    pub(crate) fn to_json(&self) -> String {
        to_json_pretty(&OffsetTable { unreadable: self.unusable.lock().clone(), ..self.table() })
    }

    /// Takes over the offsets of a `consumerOffset.json`.
    ///
    /// # Errors
    /// When the text is no such table.
    #[cfg(test)]
    pub(crate) fn load_json(&self, text: &str) -> Result<(), String> {
        self.adopt(&parse(text)?);
        Ok(())
    }

    /// Reads `consumerOffset.json`, if there is one.
    ///
    /// # Errors
    /// When neither the file nor its previous text can be used.
    pub(crate) fn load(&self, disk: &dyn Disk, path: &Path) -> Result<(), TableError> {
        if let Some(table) = tables::load(disk, path, parse)? {
            self.adopt(&table);
        }
        Ok(())
    }

    /// Writes `consumerOffset.json` if something changed since the last time. `before` runs between the making of the
    /// text and its write.
    ///
    /// # Errors
    /// When `before` or the disk fails.
    pub(crate) fn save(
        &self,
        disk: &dyn Disk,
        path: &Path,
        before: impl FnOnce() -> io::Result<()>,
    ) -> Result<bool, TableError> {
        self.changes.save_after(disk, path, || self.to_json(), before)
    }

    fn of_group(&self, group: &GroupName) -> Result<Arc<Mutex<ByTopic>>, OffsetError> {
        let groups = self.groups.pin();
        if let Some(topics) = groups.get(group.as_str()) {
            return Ok(Arc::clone(topics));
        }
        // Empty groups count for nothing, so they must not come into being when nothing can be stored in them.
        if self.len() >= OFFSETS_MAX {
            return Err(OffsetError::Full { limit: OFFSETS_MAX });
        }
        Ok(Arc::clone(groups.get_or_insert_with(group.clone(), Arc::default)))
    }

    fn reserve(&self, entries: usize) -> Result<(), OffsetError> {
        let more = |count: usize| count.checked_add(entries).filter(|count| *count <= OFFSETS_MAX);
        let reserved = self.count.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        reserved.map(drop).map_err(|_| OffsetError::Full { limit: OFFSETS_MAX })
    }

    fn release(&self, entries: usize) {
        self.count.fetch_sub(entries, Ordering::Relaxed);
    }

    fn note_removed(&self, entries: usize) -> usize {
        if entries > 0 {
            self.release(entries);
            self.changes.touch();
        }
        entries
    }

    fn adopt(&self, table: &OffsetTable) {
        let mut unusable = table.unreadable.clone();
        for (key, queues) in &table.offset_table {
            let names = key
                .split_once(SEPARATOR)
                .and_then(|(topic, group)| Some((TopicName::parse(topic).ok()?, GroupName::parse(group).ok()?)));
            let Some((topic, group)) = names else {
                unusable.push(Unreadable::unusable(key, queues, "no topic@group"));
                continue;
            };
            let queues: Queues =
                queues.iter().filter_map(|(queue, offset)| Some((QueueId::from_wire(*queue)?, *offset))).collect();
            let Ok(of_group) = self.of_group(&group) else { return tracing::warn!("too many saved offsets") };
            self.count.fetch_add(queues.len(), Ordering::Relaxed);
            let replaced = of_group.lock().insert(topic, queues);
            self.release(replaced.map_or(0, |queues| queues.len()));
        }
        for key in &unusable {
            tracing::warn!(%key, "offsets of the saved table are not used; they stay in the file");
        }
        *self.unusable.lock() = unusable;
    }
}

fn parse(text: &str) -> Result<OffsetTable, String> {
    from_json(text.as_bytes()).map_err(|why| why.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const Q0: QueueId = QueueId::new(0);
    const Q1: QueueId = QueueId::new(1);

    fn group(text: &str) -> GroupName {
        GroupName::parse(text).unwrap()
    }

    fn topic(text: &str) -> TopicName {
        TopicName::parse(text).unwrap()
    }

    /// Offsets given as (group, topic, queue, offset).
    fn offsets(entries: &[(&str, &str, QueueId, i64)]) -> Offsets {
        let offsets = Offsets::new();
        for (g, t, queue, offset) in entries {
            offsets.commit(&group(g), &topic(t), *queue, *offset).unwrap();
        }
        offsets
    }

    #[test]
    fn a_commit_is_stored_even_when_it_goes_back() {
        let offsets = offsets(&[("g", "t", Q0, 12)]);
        assert_eq!(offsets.commit(&group("g"), &topic("t"), Q0, 5), Ok(Some(12)));
        assert_eq!(offsets.get("g", "t", Q0), Some(5));
        for (g, t, queue) in [("g", "t", Q1), ("g", "u", Q0), ("h", "t", Q0)] {
            assert_eq!(offsets.get(g, t, queue), None, "{g} {t} {queue}");
        }
    }

    #[test]
    fn a_stored_negative_offset_counts_as_none() {
        let offsets = offsets(&[("g", "t", Q0, -1)]);
        assert_eq!(offsets.get("g", "t", Q0), None);
    }

    #[test]
    fn groups_and_topics_find_each_other() {
        let offsets = offsets(&[("h", "t", Q0, 1), ("g", "t", Q0, 1), ("g", "a", Q1, 1)]);
        assert_eq!(offsets.groups_of("t"), [group("g"), group("h")]);
        assert_eq!(offsets.topics_of("g"), [topic("a"), topic("t")]);
        assert_eq!(offsets.topics_of("x"), []);
    }

    #[test]
    fn a_clone_replaces_what_the_other_group_had() {
        let offsets = offsets(&[("g", "t", Q0, 7), ("h", "t", Q0, 1), ("h", "t", Q1, 2)]);
        assert_eq!(offsets.clone_topic("g", &group("h"), &topic("t")), Ok(true));
        assert_eq!(offsets.of("h", "t"), BTreeMap::from([(Q0, 7)]));
        assert_eq!(offsets.clone_topic("x", &group("h"), &topic("t")), Ok(false));
        assert_eq!(offsets.len(), 2);
    }

    #[test]
    fn removals_say_how_many_offsets_went() {
        let offsets = offsets(&[("g", "t", Q0, 7), ("h", "t", Q0, 1), ("h", "u", Q1, 2)]);
        assert_eq!(offsets.remove_topic("t"), 2);
        assert_eq!(offsets.retain(|group, _, _| group.as_str() != "h"), 1);
        assert_eq!(offsets.remove_topic("t"), 0);
        assert!(offsets.is_empty());
        offsets.commit(&group("h"), &topic("u"), Q0, 3).unwrap();
        assert_eq!(offsets.get("h", "u", Q0), Some(3), "what was removed may come back");
    }

    #[test]
    fn the_least_offset_over_groups_leaves_out_what_is_before_the_queue() {
        let offsets = offsets(&[("a", "t", Q0, 2), ("b", "t", Q0, 9), ("c", "t", Q0, 11), ("d", "t", Q0, 6)]);
        assert_eq!(offsets.min_over_groups("t", &["d"], |_| 5), BTreeMap::from([(Q0, 9)]));
        assert_eq!(offsets.len(), 4, "unlike in Java the question removes nothing");
    }

    #[test]
    fn a_file_of_either_reference_version_is_read() {
        for text in [
            "{\n\t\"offsetTable\":{\n\t\t\"T@G\":{0:12,1:13\n\t\t}\n\t}\n}",
            r#"{"offsetTable":{"T@G":{"0":12,"1":13}}}"#,
            r#"{"dataVersion":{"counter":1,"stateVersion":0,"timestamp":5},"groupTopicMap":{"G":["T"]},"offsetTable":{"T@G":{0:12,1:13}}}"#,
            r#"{"offsetTable":{"T@G":{0:12,1:13},"nogroup":{0:1},"../x@G":{0:1}}}"#,
        ] {
            let offsets = Offsets::new();
            offsets.load_json(text).unwrap();
            assert_eq!(offsets.of("G", "T"), BTreeMap::from([(Q0, 12), (Q1, 13)]), "{text}");
            assert_eq!(offsets.len(), 2, "{text}");
            assert!(!offsets.is_dirty(), "loading changes nothing");
        }
        assert!(Offsets::new().load_json("{\"offsetTable\":").is_err());
    }

    #[test]
    fn the_file_has_bare_queue_numbers() {
        let offsets = offsets(&[("G", "T", Q0, 12), ("G", "T", Q1, 13)]);
        let written: String = offsets.to_json().split_whitespace().collect();
        assert_eq!(written, r#"{"offsetTable":{"T@G":{0:12,1:13}}}"#);
    }

    #[test]
    fn a_group_is_bounded_and_leaves_room_for_others() {
        let offsets = offsets(&[("h", "t", Q0, 1)]);
        let many: BTreeMap<i32, i64> = (0..i32::try_from(OFFSETS_PER_GROUP_MAX).unwrap()).map(|n| (n, 1)).collect();
        let table = OffsetTable { offset_table: BTreeMap::from([("t@g".to_owned(), many)]), ..OffsetTable::default() };
        offsets.adopt(&table);
        let refused = offsets.commit(&group("g"), &topic("u"), Q0, 1);
        assert_eq!(refused, Err(OffsetError::GroupFull { limit: OFFSETS_PER_GROUP_MAX }));
        assert_eq!(offsets.commit(&group("g"), &topic("t"), Q0, 2), Ok(Some(1)));
        assert_eq!(offsets.commit(&group("h"), &topic("u"), Q0, 1), Ok(None));
    }

    #[test]
    fn a_table_beyond_a_frame_is_not_sent() {
        let offsets = offsets(&[("h", "t", Q0, 1)]);
        assert!(offsets.table_to_send().is_ok());
        let queues: BTreeMap<i32, i64> = (0..200_000).map(|n| (n, 1)).collect();
        let tables = (0..11).map(|n| (format!("t@g{n}"), queues.clone())).collect();
        offsets.adopt(&OffsetTable { offset_table: tables, ..OffsetTable::default() });
        assert_eq!(offsets.table_to_send().err(), Some(OffsetError::TooLargeToTell { limit: TABLE_BYTES_MAX }));
    }

    #[test]
    fn the_table_is_bounded() {
        let offsets = offsets(&[("g", "t", Q0, 1)]);
        offsets.count.store(OFFSETS_MAX, Ordering::Relaxed);
        assert_eq!(offsets.commit(&group("g"), &topic("t"), Q1, 1), Err(OffsetError::Full { limit: OFFSETS_MAX }));
        assert_eq!(offsets.commit(&group("g"), &topic("t"), Q0, 2), Ok(Some(1)), "what is there may still change");
    }

    #[test]
    fn commits_that_race_are_all_stored_and_counted() {
        let offsets = Offsets::new();
        std::thread::scope(|scope| {
            for racer in 0..4 {
                let offsets = &offsets;
                scope.spawn(move || {
                    for n in 0..100 {
                        let (group, topic) = (group(&format!("g{}", n % 5)), topic(&format!("t{n}")));
                        offsets.commit(&group, &topic, QueueId::new(racer), n).unwrap();
                    }
                });
            }
        });
        assert_eq!(offsets.len(), 400);
        assert_eq!(offsets.table().offset_table.values().map(BTreeMap::len).sum::<usize>(), 400);
    }
}
