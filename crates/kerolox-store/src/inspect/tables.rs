//! The tables of `config/*.json`, read only: whether they can be read, and whether what they say is there.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use kerolox_wire::body::{DelayOffsets, OffsetTable, SubscriptionGroupTable, TopicConfig, TopicConfigTable, from_json};
use kerolox_wire::names::topics;
use serde::de::{DeserializeOwned, IgnoredAny};

use super::finding::{Finding, Findings, Kind};
use super::queues::QueueTable;
use crate::disk::Disk;

/// A table as far as it could be read.
#[derive(Debug)]
enum Text<T> {
    Good(T),
    /// Not there, or empty.
    Missing,
    Bad(String),
}

/// What the tables say that other parts of an inspection need.
pub(super) struct Tables {
    topics: Option<BTreeMap<String, TopicConfig>>,
    offsets: OffsetTable,
    delays: DelayOffsets,
    dir: PathBuf,
}

impl Tables {
    /// Reads all tables of `dir`, the folder `config`.
    pub(super) fn read(disk: &dyn Disk, dir: &Path, findings: &mut Findings) -> Self {
        let topics = read::<TopicConfigTable>(disk, &dir.join("topics.json"), findings);
        read::<SubscriptionGroupTable>(disk, &dir.join("subscriptionGroup.json"), findings);
        read::<IgnoredAny>(disk, &dir.join("consumerFilter.json"), findings);
        Self {
            topics: topics.map(|table| table.topic_config_table),
            offsets: read(disk, &dir.join("consumerOffset.json"), findings).unwrap_or_default(),
            delays: read(disk, &dir.join("delayOffset.json"), findings).unwrap_or_default(),
            dir: dir.to_path_buf(),
        }
    }

    /// Names of all topics, `None` without a table that can be read.
    pub(super) fn topics(&self) -> Option<Vec<String>> {
        self.topics.as_ref().map(|topics| topics.keys().cloned().collect())
    }

    /// Compares what the tables say with the queues.
    pub(super) fn compare(&self, queues: &QueueTable<'_>, findings: &mut Findings) {
        self.compare_topics(queues, findings);
        self.compare_offsets(queues, findings);
        self.compare_delays(queues, findings);
    }

    fn compare_topics(&self, queues: &QueueTable<'_>, findings: &mut Findings) {
        let path = self.dir.join("topics.json");
        let own = || queues.topics().filter(|(topic, _)| !is_made_at_start(topic));
        let Some(known) = &self.topics else {
            let count = own().count() as u64;
            if count > 0 {
                let why = format!("there are queues of {count} topics, and no table that says so");
                findings.add(Finding { length: Some(count), ..Finding::of(Kind::TopicsLost, &path, why) });
            }
            return;
        };
        for (topic, count) in own().filter(|(topic, _)| !known.contains_key(*topic)) {
            let why = format!("{topic} has queues up to number {} and is not in the table", count.saturating_sub(1));
            findings.add(Finding::of(Kind::TopicMissing, &path, why));
        }
    }

    fn compare_offsets(&self, queues: &QueueTable<'_>, findings: &mut Findings) {
        let path = self.dir.join("consumerOffset.json");
        for (key, offsets) in &self.offsets.offset_table {
            let Some((topic, group)) = key.split_once('@') else { continue };
            // Offsets of deleted topics stay until somebody cleans them.
            let known = self.topics.as_ref().is_none_or(|topics| topics.contains_key(topic));
            for (id, offset) in offsets.iter().filter(|_| known) {
                let end = end_of(queues, topic, *id);
                let Some(offset) = u64::try_from(*offset).ok().filter(|offset| *offset > end) else { continue };
                let why = format!("{group} is at {offset} of {topic}/{id}, which ends at {end}");
                findings.add(Finding::of(Kind::OffsetBeyondEnd, &path, why).at(offset, offset.saturating_sub(end)));
            }
        }
    }

    fn compare_delays(&self, queues: &QueueTable<'_>, findings: &mut Findings) {
        let path = self.dir.join("delayOffset.json");
        for (level, offset) in &self.delays.offset_table {
            let end = end_of(queues, topics::SCHEDULE, level.saturating_sub(1));
            let Some(offset) = u64::try_from(*offset).ok().filter(|offset| *offset > end) else { continue };
            let why = format!("delay level {level} is at {offset}, and its queue ends at {end}");
            findings.add(Finding::of(Kind::DelayBeyondEnd, &path, why).at(offset, offset.saturating_sub(end)));
        }
    }
}

fn end_of(queues: &QueueTable<'_>, topic: &str, id: i32) -> u64 {
    let number = u32::try_from(id).ok().and_then(|id| queues.number(topic, id));
    number.and_then(|number| queues.queues().get(number)).map_or(0, |queue| queue.end)
}

/// Topics that every start makes; a table need not have them.
fn is_made_at_start(topic: &str) -> bool {
    topics::SYSTEM.contains(&topic) || topic.starts_with(topics::SYSTEM_PREFIX)
}

/// Reads a table, or its previous text; tells when the first is damaged.
fn read<T: DeserializeOwned>(disk: &dyn Disk, path: &Path, findings: &mut Findings) -> Option<T> {
    let (found, why) = match text(disk, path) {
        Ok(Text::Good(table)) => return Some(table),
        Ok(Text::Missing) => (false, "it is missing or empty".to_owned()),
        Ok(Text::Bad(why)) => (true, why),
        Err(why) => (true, why.to_string()),
    };
    match text(disk, &previous(path)) {
        Ok(Text::Good(table)) => {
            findings.add(Finding::of(Kind::TablePrevious, path, why));
            Some(table)
        }
        Ok(Text::Missing) if !found => None,
        _ => {
            findings.add(Finding::of(Kind::TableDamaged, path, why));
            None
        }
    }
}

fn text<T: DeserializeOwned>(disk: &dyn Disk, path: &Path) -> io::Result<Text<T>> {
    if !disk.exists(path) {
        return Ok(Text::Missing);
    }
    let bytes = disk.read_file(path)?;
    if bytes.is_empty() {
        return Ok(Text::Missing);
    }
    Ok(from_json(&bytes).map_or_else(|why| Text::Bad(why.to_string()), Text::Good))
}

/// The file with the previous text.
fn previous(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".bak");
    name.into()
}

/// `topics.json` with the topics of all queues on the disk.
#[derive(Debug)]
pub struct RecoveredTopics {
    /// What the file says, or its previous text, and what it lacked.
    pub table: TopicConfigTable,
    /// The topics that it lacked, with their numbers of queues.
    pub added: Vec<(String, i32)>,
    /// Why neither the file nor its previous text can be read: topics without queues are not known then.
    pub unreadable: Option<String>,
}

/// Reads `topics.json` and adds the topics of all queues on the disk that it lacks: as many queues as the highest number
/// says, readable and writable.
///
/// # Errors
/// When the folder of the queues cannot be listed.
pub fn topics_from_queues(disk: &dyn Disk, root: &Path) -> io::Result<RecoveredTopics> {
    let mut findings = Findings::default();
    let queues = QueueTable::find(disk, &root.join("consumequeue"), &mut findings)?;
    let path = root.join("config").join("topics.json");
    let readable = read::<TopicConfigTable>(disk, &path, &mut findings);
    let unreadable = findings.of(Kind::TableDamaged).next().map(|finding| finding.why.clone());
    let mut topics = RecoveredTopics { table: readable.unwrap_or_default(), added: Vec::new(), unreadable };
    for (topic, count) in queues.topics().filter(|(topic, _)| !is_made_at_start(topic)) {
        if topics.table.topic_config_table.contains_key(topic) {
            continue;
        }
        let nums = i32::try_from(count).unwrap_or(i32::MAX);
        let topic_name = topic.to_owned();
        let config =
            TopicConfig { topic_name, read_queue_nums: nums, write_queue_nums: nums, ..TopicConfig::default() };
        topics.table.topic_config_table.insert(topic.to_owned(), config);
        topics.added.push((topic.to_owned(), nums));
    }
    Ok(topics)
}
