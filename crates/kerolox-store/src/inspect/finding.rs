//! What an inspection finds: one table of kinds, and a collection that keeps the first findings of each kind.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Findings kept of one kind; further ones are counted.
pub const FINDINGS_PER_KIND_MAX: u64 = 20;

/// How much a finding matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Something is damaged, missing or contradictory.
    Damage,
    /// Normal for a directory in this state, and worth knowing.
    Note,
}

/// What mends a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// The broker's next start.
    NextStart,
    /// `kerolox store repair DIR`.
    Repair,
    /// `kerolox store repair DIR --topics`.
    RepairTopics,
    /// `kerolox store repair DIR --forget-log`, or the log's folder back in its place.
    ForgetLog,
    /// A copy of the file from elsewhere.
    Backup,
    /// The operator, outside of the store.
    Operator,
    /// Nothing has to be done.
    None,
}

impl Remedy {
    /// The stable id.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::NextStart => "next-start",
            Self::Repair => "repair",
            Self::RepairTopics => "repair-topics",
            Self::ForgetLog => "forget-log",
            Self::Backup => "backup",
            Self::Operator => "operator",
            Self::None => "none",
        }
    }

    /// The sentence shown to the operator.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::NextStart => "the next start of the broker mends it",
            Self::Repair => "`kerolox store repair DIR` sets it aside, and the next start derives it from the log",
            Self::RepairTopics => "`kerolox store repair DIR --topics` adds the topics of the queues on the disk",
            Self::ForgetLog => {
                "put the log back in its place (or name it with --commitlog); if it is gone for good, \
                 `kerolox store repair DIR --forget-log` begins with an empty one"
            }
            Self::Backup => "only a copy of the file from elsewhere brings this back",
            Self::Operator => "move the file away, or correct the setting that decides its size",
            Self::None => "nothing has to be done",
        }
    }
}

macro_rules! kinds {
    ($($(#[doc = $doc:literal])+ $name:ident = $id:literal, $severity:ident, $remedy:ident;)+) => {
        /// What can be found. The ids are stable: programs match them.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Kind { $($(#[doc = $doc])+ $name,)+ }

        impl Kind {
            /// Every kind, in the order of reports.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The stable id.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Self::$name => $id,)+ }
            }

            /// How much it matters.
            #[must_use]
            pub const fn severity(self) -> Severity {
                match self { $(Self::$name => Severity::$severity,)+ }
            }

            /// What mends it.
            #[must_use]
            pub const fn remedy(self) -> Remedy {
                match self { $(Self::$name => Remedy::$remedy,)+ }
            }
        }
    };
}

kinds! {
    /// There is no log file beside queues or a checkpoint that knew one.
    LogMissing = "log.missing", Damage, ForgetLog;
    /// A log file has another size than the others.
    LogFileSize = "log.file-size", Damage, Operator;
    /// A log file does not follow the one before it.
    LogFileGap = "log.file-gap", Damage, Backup;
    /// A stretch of the log holds no sound record, and the log goes on behind it.
    LogDamaged = "log.damaged-record", Damage, Backup;
    /// The last bytes of the log are no whole record.
    LogTornEnd = "log.torn-end", Damage, NextStart;
    /// A record has a field that no broker of this version serves.
    LogOddRecord = "log.odd-record", Damage, Backup;
    /// The disk did not deliver a stretch of the log.
    LogUnreadable = "log.unreadable", Damage, Backup;
    /// A file in the log's folder is no log file.
    LogStranger = "log.stranger", Note, None;
    /// A queue file has another size than the others.
    QueueFileSize = "queue.file-size", Damage, Repair;
    /// A queue's files do not follow each other.
    QueueFileGap = "queue.file-gap", Damage, Repair;
    /// A queue has taken units behind free ones.
    QueueHole = "queue.hole", Damage, Repair;
    /// A unit's record is not behind the record of the unit before.
    QueueOrder = "queue.order", Damage, Repair;
    /// A unit points to no record of this queue, offset and size.
    QueueUnitPointsNowhere = "queue.unit-points-nowhere", Damage, Repair;
    /// A unit has another tags hash than its record.
    QueueUnitTags = "queue.unit-tags", Damage, Repair;
    /// A unit points behind the end of the log.
    QueueUnitBeyondEnd = "queue.unit-beyond-end", Damage, Repair;
    /// A record of the log has no unit.
    QueueRecordWithoutUnit = "queue.record-without-unit", Damage, Repair;
    /// A topic has records in the log, but not the queue that they belong to.
    QueueMissing = "queue.missing", Damage, Repair;
    /// The disk did not deliver a part of a queue.
    QueueUnreadable = "queue.unreadable", Damage, Repair;
    /// A unit points to a record that is damaged in the log.
    QueueUnitOfDamage = "queue.unit-of-damaged-record", Note, None;
    /// Records at the end of the log have no unit yet.
    QueueBehind = "queue.behind", Note, NextStart;
    /// Records of a topic that was deleted, or of its life before it was made anew.
    QueueDeletedTopic = "queue.deleted-topic", Note, None;
    /// Something below the queues' folder is no queue.
    QueueStranger = "queue.stranger", Note, None;
    /// An index file has another size than the others, or its layout cannot be found.
    IndexFileSize = "index.file-size", Damage, Repair;
    /// An index header contradicts itself or the file.
    IndexHeader = "index.header", Damage, Repair;
    /// A chain of an index file is broken.
    IndexChain = "index.chain", Damage, Repair;
    /// An index entry points to no record.
    IndexEntryPointsNowhere = "index.entry-points-nowhere", Damage, Repair;
    /// The disk did not deliver a part of the index.
    IndexUnreadable = "index.unreadable", Damage, Repair;
    /// The index was not closed cleanly; its slots are derived at the next start.
    IndexOpen = "index.not-closed", Note, NextStart;
    /// The checkpoint is too short.
    CheckpointShort = "checkpoint.short", Damage, Repair;
    /// The checkpoint claims more than the log has.
    CheckpointAhead = "checkpoint.ahead-of-log", Damage, Repair;
    /// The mark beside the checkpoint does not fit the log.
    CheckpointMark = "checkpoint.mark", Damage, Repair;
    /// There is no checkpoint: the next start reads the whole log.
    CheckpointMissing = "checkpoint.missing", Note, NextStart;
    /// The broker did not stop cleanly.
    Abort = "store.abort", Note, NextStart;
    /// A table cannot be read, nor its previous text.
    TableDamaged = "table.damaged", Damage, Backup;
    /// A table cannot be read; its previous text can.
    TablePrevious = "table.previous-text", Damage, NextStart;
    /// `topics.json` is missing or damaged beside queues.
    TopicsLost = "topics.table-missing", Damage, RepairTopics;
    /// A topic has queues and is not in `topics.json`.
    TopicMissing = "topics.queues-without-topic", Damage, RepairTopics;
    /// A consumer offset is beyond the end of its queue.
    OffsetBeyondEnd = "offsets.beyond-end", Damage, NextStart;
    /// A delay level's progress is beyond the end of its queue.
    DelayBeyondEnd = "delay.beyond-end", Damage, NextStart;
    /// The state of the timers cannot be read.
    TimerState = "timers.state", Damage, Repair;
    /// A run of timers is missing, too short, damaged, or points to nothing.
    TimerRun = "timers.run", Damage, Repair;
}

/// One thing that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub kind: Kind,
    /// File or folder.
    pub path: PathBuf,
    /// Where: an offset of the log for `log.*`, a queue offset for `queue.*`, else a byte of the file.
    pub offset: Option<u64>,
    /// How much: bytes for `log.*`, messages for `queue.*`.
    pub length: Option<u64>,
    /// The facts in words.
    pub why: String,
}

impl Finding {
    /// A finding about a whole file or folder.
    #[must_use]
    pub fn of(kind: Kind, path: &Path, why: impl Into<String>) -> Self {
        Self { kind, path: path.to_path_buf(), offset: None, length: None, why: why.into() }
    }

    /// The same at an offset, of a length.
    #[must_use]
    pub fn at(self, offset: u64, length: u64) -> Self {
        Self { offset: Some(offset), length: Some(length), ..self }
    }
}

/// Findings, the first few of each kind, and how many there were.
#[derive(Debug, Clone, Default)]
pub struct Findings {
    kept: Vec<Finding>,
    counts: BTreeMap<Kind, u64>,
}

impl Findings {
    /// Counts a finding, and keeps it unless there are many of its kind.
    pub fn add(&mut self, finding: Finding) {
        if self.count(finding.kind) < FINDINGS_PER_KIND_MAX {
            self.counts.entry(finding.kind).and_modify(|n| *n = n.saturating_add(1)).or_insert(1);
            self.kept.push(finding);
        } else {
            self.count_only(finding.kind, 1);
        }
    }

    /// Counts findings that are not shown one by one.
    pub fn count_only(&mut self, kind: Kind, many: u64) {
        let count = self.counts.entry(kind).or_insert(0);
        *count = count.saturating_add(many);
    }

    /// How many of a kind there were.
    #[must_use]
    pub fn count(&self, kind: Kind) -> u64 {
        self.counts.get(&kind).copied().unwrap_or(0)
    }

    /// Kinds that were found, with their numbers.
    pub fn counts(&self) -> impl Iterator<Item = (Kind, u64)> + '_ {
        self.counts.iter().map(|(kind, count)| (*kind, *count))
    }

    /// Those kept of a kind, in the order in which they were found.
    pub fn of(&self, kind: Kind) -> impl Iterator<Item = &Finding> {
        self.kept.iter().filter(move |finding| finding.kind == kind)
    }

    /// Whether nothing is damaged; notes may be there.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.counts.keys().all(|kind| kind.severity() == Severity::Note)
    }

    /// Whether anything was found that the remedy mends.
    #[must_use]
    pub fn calls_for(&self, remedy: Remedy) -> bool {
        self.counts.keys().any(|kind| kind.severity() == Severity::Damage && kind.remedy() == remedy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_capped_and_counted() {
        let mut findings = Findings::default();
        for n in 0..25 {
            findings.add(Finding::of(Kind::QueueHole, Path::new("q"), "x").at(n, 1));
        }
        findings.add(Finding::of(Kind::Abort, Path::new("abort"), "x"));
        assert_eq!(findings.count(Kind::QueueHole), 25);
        assert_eq!(findings.of(Kind::QueueHole).count(), 20);
        assert!(!findings.is_clean() && findings.calls_for(Remedy::Repair) && !findings.calls_for(Remedy::Backup));
        assert!(Findings::default().is_clean());
    }

    #[test]
    fn ids_are_unique() {
        let ids: std::collections::BTreeSet<_> = Kind::ALL.iter().map(|kind| kind.id()).collect();
        assert_eq!(ids.len(), Kind::ALL.len());
    }
}
