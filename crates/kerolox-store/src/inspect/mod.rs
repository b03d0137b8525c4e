//! Inspects a data directory without a broker: nothing is opened for writing, nothing is made. Works on the directories of
//! RocketMQ 4.7.1 as well, with whatever file sizes are found.
//!
//! The log is walked once and each record looked up in its queue; then the key index, the checkpoint, the tables and the
//! timers are compared with what the log has. Memory is bounded: pieces of files, and a few numbers for each queue.

use std::io;
use std::path::{Path, PathBuf};

use kerolox_wire::record::Record;

use crate::checkpoint::Checkpoint;
use crate::disk::Disk;
use crate::mark::Mark;

mod agreement;
mod finding;
mod index;
mod log;
mod progress;
mod queues;
mod tables;
mod timers;
mod walk;

pub use finding::{FINDINGS_PER_KIND_MAX, Finding, Findings, Kind, Remedy, Severity};
pub use log::{LogFile, LogFiles};
pub use progress::{Progress, Silent};
pub use tables::{RecoveredTopics, topics_from_queues};
pub use walk::{Item, Walk};

use agreement::Agreement;
use index::{Against, IndexFiles};
use log::Records;
use queues::QueueTable;
use tables::Tables;

/// Store times may step back a little between threads.
const CLOCK_SLACK_MS: i64 = 3000;
/// Bytes of a checkpoint that have a meaning in 4.7.1.
const CHECKPOINT_BYTES_MIN: usize = 24;

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directory {
    /// `storePathRootDir`.
    pub root: PathBuf,
    /// `storePathCommitLog`.
    pub commit_log: PathBuf,
}

impl Directory {
    /// A root whose log is below it.
    #[must_use]
    pub fn at(root: &Path) -> Self {
        Self { root: root.to_path_buf(), commit_log: root.join("commitlog") }
    }
}

/// What an inspection saw.
#[derive(Debug, Clone, Default)]
pub struct Report {
    /// What is wrong, or worth knowing.
    pub findings: Findings,
    /// Damaged queues that a rebuild mends: their folders. Complete, however many.
    pub damaged_queues: Vec<PathBuf>,
    /// Log files.
    pub log_files: usize,
    /// First log offset.
    pub log_begin: u64,
    /// Log offset behind the last sound record.
    pub log_end: u64,
    /// Sound records.
    pub records: u64,
    /// Queues.
    pub queues: usize,
    /// Units of messages that the log still has.
    pub units: u64,
    /// Index files.
    pub index_files: usize,
}

/// Inspects a directory.
///
/// # Errors
/// When a folder cannot be listed. A file that cannot be read is a finding.
pub fn check(disk: &dyn Disk, dir: &Directory, progress: &mut dyn Progress) -> io::Result<Report> {
    let mut findings = Findings::default();
    let root = &dir.root;
    let log = LogFiles::find(disk, &dir.commit_log, &mut findings)?;
    let queue_root = root.join("consumequeue");
    let mut queues = QueueTable::find(disk, &queue_root, &mut findings)?;
    let index = IndexFiles::find(disk, &root.join("index"))?;
    let abort = root.join("abort");
    let abnormal = disk.exists(&abort);
    if abnormal {
        findings.add(Finding::of(Kind::Abort, &abort, "the broker did not stop cleanly"));
    }
    let tables = Tables::read(disk, &root.join("config"), &mut findings);
    progress.total(log.bytes().saturating_add(queues.bytes()).saturating_add(index.bytes()));
    queues.scan(log.begin(), &mut findings, progress);
    let checkpoint = root.join("checkpoint");
    if log.files().is_empty() {
        empty_log(disk, dir, &queues, &checkpoint, &mut findings);
    }
    let walked = walk_log(&log, &mut queues, tables.topics(), &queue_root, &mut findings, progress);
    let against = Against { log: &log, log_end: walked.end, abnormal };
    if !log.files().is_empty() {
        index.check(&against, &mut findings, progress);
        check_checkpoint(disk, &checkpoint, &log, &walked, &mut findings);
        timers::check(disk, &root.join("timer"), walked.end, &mut findings);
    }
    tables.compare(&queues, &mut findings);
    let units = queues.queues().iter().fold(0, |sum: u64, queue| sum.saturating_add(queue.live));
    let damaged = queues.queues().iter().filter(|queue| queue.damaged).map(|queue| queue.dir.clone());
    Ok(Report {
        damaged_queues: damaged.collect(),
        log_files: log.files().len(),
        log_begin: log.begin(),
        log_end: walked.end,
        records: walked.records,
        queues: queues.queues().len(),
        units,
        index_files: index.count(),
        findings,
    })
}

/// Queues or a checkpoint without a log: nothing else can be judged.
fn empty_log(disk: &dyn Disk, dir: &Directory, queues: &QueueTable<'_>, checkpoint: &Path, findings: &mut Findings) {
    let known = queues.queues().iter().filter(|queue| queue.end > 0).count();
    let saved = Checkpoint::load(disk, checkpoint).unwrap_or_default();
    if known > 0 || saved.log_ms > 0 {
        let why = format!("no log file is here, and {known} queues and the checkpoint know of one");
        findings.add(Finding::of(Kind::LogMissing, &dir.commit_log, why));
    }
}

/// What the walk of the log saw.
#[derive(Debug, Default)]
struct Walked {
    end: u64,
    records: u64,
    last_ms: i64,
}

fn walk_log(
    log: &LogFiles<'_>,
    queues: &mut QueueTable<'_>,
    topics: Option<Vec<String>>,
    queue_root: &Path,
    findings: &mut Findings,
    progress: &mut dyn Progress,
) -> Walked {
    let mut walked = Walked { end: log.begin(), ..Walked::default() };
    if log.files().is_empty() {
        return walked;
    }
    let mut agreement = Agreement::new(queues, topics, queue_root.to_path_buf());
    let mut walk = Walk::new(log, log.begin());
    let mut pending = Vec::new();
    let mut told = log.begin();
    loop {
        let at = walk.at();
        progress.advance(at.saturating_sub(told));
        told = at;
        let Some(item) = walk.next_item() else { break };
        match item {
            Item::Record(record) => {
                settle(&mut pending, Some(record.log_offset().get()), log, findings);
                walked.record(&record);
                agreement.record(&record, findings);
            }
            Item::Odd { at, len, why } => {
                settle(&mut pending, Some(at), log, findings);
                walked.end = at.saturating_add(len);
                findings.add(Finding::of(Kind::LogOddRecord, &path_of(log, at), why).at(at, len));
                agreement.stretch(at..walked.end);
            }
            Item::Stretch { at, len, why, blank } => {
                agreement.stretch(at..at.saturating_add(len));
                pending.push(Pending { at, len, why, blank });
            }
            Item::Unreadable { at, len, why } => {
                findings.add(Finding::of(Kind::LogUnreadable, &path_of(log, at), why).at(at, len));
            }
        }
    }
    progress.advance(walk.at().saturating_sub(told));
    settle(&mut pending, None, log, findings);
    agreement.finish(log, walked.end, findings);
    walked
}

impl Walked {
    fn record(&mut self, record: &Record<'_>) {
        self.end = record.log_offset().get().saturating_add(record.total_size().into());
        self.records = self.records.saturating_add(1);
        self.last_ms = record.store_timestamp();
    }
}

/// A stretch without records, until it is known whether the log goes on behind it.
struct Pending {
    at: u64,
    len: u64,
    why: String,
    blank: bool,
}

/// Tells of stretches once it is known where the log goes on, if it does.
fn settle(pending: &mut Vec<Pending>, goes_on: Option<u64>, log: &LogFiles<'_>, findings: &mut Findings) {
    for stretch in pending.drain(..) {
        let path = path_of(log, stretch.at);
        match goes_on {
            Some(next) => {
                let why = format!("{}; the log goes on at {next}", stretch.why);
                findings.add(Finding::of(Kind::LogDamaged, &path, why).at(stretch.at, stretch.len));
            }
            None if stretch.blank => {}
            None => findings.add(Finding::of(Kind::LogTornEnd, &path, stretch.why).at(stretch.at, stretch.len)),
        }
    }
}

fn path_of(log: &LogFiles<'_>, at: u64) -> PathBuf {
    log.holding(at).map(|file| file.path.clone()).unwrap_or_default()
}

fn check_checkpoint(disk: &dyn Disk, path: &Path, log: &LogFiles<'_>, walked: &Walked, findings: &mut Findings) {
    if !disk.exists(path) {
        findings.add(Finding::of(Kind::CheckpointMissing, path, "the next start reads the whole log"));
        return;
    }
    let len = disk.read_file(path).map_or(0, |bytes| bytes.len());
    let Some(saved) = Checkpoint::load(disk, path).ok().filter(|_| len >= CHECKPOINT_BYTES_MIN) else {
        findings.add(Finding::of(Kind::CheckpointShort, path, format!("{len} bytes")));
        return;
    };
    let latest = walked.last_ms.saturating_add(CLOCK_SLACK_MS);
    if saved.log_ms > latest && walked.records > 0 {
        let why = format!("it knows records of {} ms, and the log's last is of {} ms", saved.log_ms, walked.last_ms);
        findings.add(Finding::of(Kind::CheckpointAhead, path, why));
    }
    let Some(mark) = Mark::load(disk, path, &saved).ok().flatten() else { return };
    if !is_boundary(log, mark.complete, walked.end) {
        let why = format!("offset {} begins no record of the log, which ends at {}", mark.complete, walked.end);
        findings.add(Finding::of(Kind::CheckpointMark, path, why).at(mark.complete, 0));
    }
}

/// Whether a record, a filler or the end of the log is at an offset.
fn is_boundary(log: &LogFiles<'_>, at: u64, end: u64) -> bool {
    if at == end || log.files().iter().any(|file| file.base == at || file.end() == at) {
        return true;
    }
    let place = Records::new(log).place(at);
    matches!(place, Ok(Some(log::Place::Record { .. } | log::Place::Odd { .. } | log::Place::FileEnd)))
}
