//! What happens when a store opens: find the end of the log, cut what a crash left behind it, and bring queues and
//! index up to that end.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kerolox_wire::clock::Clock;
use kerolox_wire::names::QueueOffset;
use kerolox_wire::record::{BodyCheck, Peek, Record, peek};

use crate::checkpoint::Checkpoint;
use crate::commit_log::{CommitLog, is_full};
use crate::config::StoreConfig;
use crate::consume_queue::{Queue, to_len};
use crate::disk::{Allocate, Disk, OpenMode, rewrite};
use crate::dispatch::{Dispatch, Sources};
use crate::error::OpenError;
use crate::index::{Index, IndexOpen};
use crate::mark::{Mark, record_bytes};
use crate::queues::{QueueSum, Queues};
use crate::segment::Segment;
use crate::walk::{Place, Walk, Walked, own_offset};

/// After a crash without a mark the walk begins at most this many files before the end.
const FILES_WALKED: usize = 3;
/// Units at the end of a queue that are compared with their records.
const UNITS_COMPARED: u64 = 8;

/// Places of the files below the root.
pub(crate) struct Paths {
    pub(crate) abort: PathBuf,
    pub(crate) checkpoint: PathBuf,
    pub(crate) lock: PathBuf,
    pub(crate) queues: PathBuf,
    pub(crate) index: PathBuf,
}

impl Paths {
    pub(crate) fn below(root: &Path) -> Self {
        Self {
            abort: root.join("abort"),
            checkpoint: root.join("checkpoint"),
            lock: root.join("lock"),
            queues: root.join("consumequeue"),
            index: root.join("index"),
        }
    }
}

/// The parts of a store, brought into agreement.
pub(crate) struct Recovered {
    pub(crate) log: CommitLog,
    pub(crate) queues: Queues,
    pub(crate) index: Option<Index>,
    pub(crate) dispatch: Dispatch,
    pub(crate) checkpoint: Checkpoint,
    /// Before it the log is known to be on the medium.
    pub(crate) durable: u64,
}

/// What is known before the log is read.
struct Known {
    abnormal: bool,
    checkpoint: Checkpoint,
    /// The last mark, where it belongs to this log.
    mark: Option<Mark>,
    /// Log end of the newest unit in any queue.
    queues_end: u64,
}

/// Opens log, queues and index and brings them into agreement.
///
/// The log alone decides what exists: its end is where the last sound record ends. Checkpoint, mark and queues say only
/// where to begin looking, and only as far as the log bears them out.
pub(crate) fn recover(
    config: &StoreConfig,
    disk: &Arc<dyn Disk>,
    clock: &Arc<dyn Clock>,
) -> Result<Recovered, OpenError> {
    let paths = Paths::below(&config.root);
    let abnormal = disk.exists(&paths.abort);
    let log = CommitLog::load(
        Arc::clone(disk),
        &config.commit_log_dir,
        config.segment_size,
        config.disk_full_ratio,
        Arc::clone(clock),
    )?;
    let queues = Queues::load(Arc::clone(disk), &paths.queues, config.queue_file_size)?;
    let checkpoint = Checkpoint::load(disk.as_ref(), &paths.checkpoint).map_err(OpenError::io(&paths.checkpoint))?;
    let mark = Mark::load(disk.as_ref(), &paths.checkpoint, &checkpoint).map_err(OpenError::io(&paths.checkpoint))?;
    if log.segments().list().is_empty() {
        refuse_missing_log(config, &queues, &checkpoint, mark.as_ref(), abnormal)?;
    }
    // From here on files are changed: a crash meanwhile must be seen by the next start.
    leave_abort(disk.as_ref(), &config.root)?;
    log.segments().sync_names().map_err(OpenError::io(log.segments().dir()))?;
    if log.segments().list().is_empty() {
        // A crash before the first sync took the log; what was derived from it points to nothing.
        discard_all(&queues).map_err(OpenError::io(&paths.queues))?;
        remove_files(disk.as_ref(), &paths.index)?;
    }
    let index = open_index(config, disk, clock, &paths, abnormal, &checkpoint)?;
    let mark = fitting(mark, &log)?;
    let queues_end = recover_queues(&queues, abnormal, mark.as_ref()).map_err(OpenError::io(&paths.queues))?;
    let known = Known { abnormal, checkpoint, mark, queues_end };

    let walk_from = walk_start(&log, &queues, &known, config)?;
    let torn_from = abnormal.then_some(walk_from);
    let walked = Walk { log: &log, check: config.check_crc_on_recover, torn_from }.run(walk_from)?;
    tracing::info!(abnormal, from = walk_from, end = walked.end, records = walked.records, "log recovered");
    cut(&log, &walked, &known)?;
    let durable = if abnormal { secure(&log, walk_from, walked.end)? } else { walked.end };
    let last_ms = if walked.last_ms == 0 { checkpoint.log_ms } else { walked.last_ms };
    log.set_end(walked.end, last_ms);

    let dispatch_from =
        dispatch_start(&log, &queues, &known, &walked, walk_from).map_err(OpenError::io(&paths.queues))?;
    // After a crash a unit may be torn, or outlive the record it was made for: only what was durable before is kept.
    let trusted = match &known.mark {
        _ if !abnormal => walked.end,
        Some(mark) => mark.complete.min(walked.end),
        None => dispatch_from,
    };
    correct_queues(&queues, trusted, log.begin()).map_err(OpenError::io(&paths.queues))?;
    let index_from = index_start(index.as_ref(), &known, &log, dispatch_from)?;
    let last = match &known.mark {
        Some(mark) if mark.complete == dispatch_from => mark.last.map(|last| last.at),
        _ if dispatch_from == walked.end => walked.last,
        _ => None,
    };
    let dispatch = Dispatch::new(dispatch_from, index_from, last);
    let sources = Sources {
        log: &log,
        queues: &queues,
        index: index.as_ref(),
        delay_levels: &config.delay_levels,
        end: log.end(),
    };
    derive_queues(&sources, &dispatch).map_err(OpenError::io(&paths.queues))?;
    Ok(Recovered { log, queues, index, dispatch, checkpoint, durable })
}

/// Dispatches the rest of the log. Appends need to know where each queue ends; the index may follow later.
fn derive_queues(sources: &Sources<'_>, dispatch: &Dispatch) -> io::Result<()> {
    while dispatch.done() < sources.end {
        dispatch.step_in_recovery(sources)?;
    }
    dispatch.finish_recovery(sources)?;
    for queue in sources.queues.all() {
        queue.set_next_offset(queue.max());
    }
    Ok(())
}

/// Stops a start without a log where there was one: its disk may not be mounted, and what is stored now would be lost
/// with the log that comes back, or the log with it.
fn refuse_missing_log(
    config: &StoreConfig,
    queues: &Queues,
    checkpoint: &Checkpoint,
    mark: Option<&Mark>,
    abnormal: bool,
) -> Result<(), OpenError> {
    let stored = mark.map_or(0, |mark| mark.complete);
    let with_files = queues.all().len();
    let witness = if stored > 0 {
        format!("the checkpoint knows {stored} bytes of it")
    } else if checkpoint.log_ms > 0 {
        "the checkpoint knows messages in it".to_owned()
    } else if with_files > 0 && !abnormal {
        format!("{with_files} queues point into it")
    } else {
        return Ok(());
    };
    Err(OpenError::LogMissing { dir: config.commit_log_dir.clone(), root: config.root.clone(), witness })
}

/// The mark, where it belongs to the log that is there.
fn fitting(mark: Option<Mark>, log: &CommitLog) -> Result<Option<Mark>, OpenError> {
    let Some(found) = mark else { return Ok(None) };
    let fits = found.fits(log).map_err(OpenError::io(log.segments().dir()))?;
    if !fits && !log.segments().list().is_empty() {
        tracing::warn!(complete = found.complete, "the checkpoint's mark belongs to another log and is not used");
    }
    Ok(fits.then_some(found))
}

/// Writes what was walked once more and syncs it. After a failed sync the system may show what the disk does not have,
/// and would not write it again by itself. Returns how far the log is durable.
fn secure(log: &CommitLog, from: u64, end: u64) -> Result<u64, OpenError> {
    for segment in log.segments().list().iter().filter(|s| s.base() < end && s.end() > from) {
        let range = from.max(segment.base())..end.min(segment.end());
        let within = |offset: u64| offset.saturating_sub(segment.base());
        match rewrite(segment.file(), within(range.start), within(range.end)) {
            Err(e) if is_full(&e) => {
                tracing::warn!(file = %segment.path().display(), "no room to make sure that the end of the log is on the disk");
                return Ok(from.min(end));
            }
            other => other.map_err(OpenError::io(segment.path()))?,
        }
        log.segments().sync(segment).map_err(OpenError::io(segment.path()))?;
    }
    Ok(end)
}

/// Cuts each queue to what is not dispatched again, and moves its beginning to the log's.
fn correct_queues(queues: &Queues, trusted: u64, begin: u64) -> io::Result<()> {
    for queue in queues.all() {
        if queue.log_end() > trusted {
            queue.truncate(trusted)?;
        }
        queue.correct_min(begin)?;
    }
    Ok(())
}

/// Where to begin dispatching.
fn dispatch_start(log: &CommitLog, queues: &Queues, known: &Known, walked: &Walked, walk_from: u64) -> io::Result<u64> {
    let (begin, end) = (log.begin(), walked.end);
    if let Some(mark) = &known.mark {
        match compare(queues, mark, walked) {
            Queued::AsMarked => return Ok(mark.complete.clamp(begin, end)),
            Queued::Elsewhere { oldest } => {
                tracing::warn!(
                    from = oldest,
                    "queues do not end where they did: what they lack is made anew from the log"
                );
                let foreign = discard_foreign(log, queues, end)?;
                return Ok(if foreign { begin } else { oldest.clamp(begin, end) });
            }
            Queued::Others => {
                tracing::warn!("queues are missing: what they held is made anew from the log");
                discard_foreign(log, queues, end)?;
                return Ok(begin);
            }
        }
    }
    // Without any checkpoint nothing says how far queues were complete.
    let unknown = known.checkpoint.queues_ms == 0;
    if discard_foreign(log, queues, end)? || queues.all().is_empty() || unknown {
        return Ok(begin);
    }
    // The reference begins to dispatch where it begins to walk, and loses what queues lack before that.
    let from = if known.abnormal { walk_from.min(known.queues_end) } else { known.queues_end };
    Ok(from.clamp(begin, end))
}

/// How the queues that are there compare with those that a mark was made beside.
enum Queued {
    /// The same.
    AsMarked,
    /// The same names, but with other ends; the oldest of these.
    Elsewhere { oldest: u64 },
    /// Some are missing or new.
    Others,
}

fn compare(queues: &Queues, mark: &Mark, walked: &Walked) -> Queued {
    // What was deleted after the mark may be gone already, or not yet.
    let deleted = |queue: &Queue| walked.tombstones.iter().any(|tombstone| tombstone.topic == *queue.topic());
    let (_, each) = queues.sum();
    let kept = each.iter().filter(|(queue, _)| !deleted(queue));
    let gone = walked.tombstones.iter().map(|tombstone| tombstone.marked);
    let found = kept.clone().map(|(_, own)| QueueSum::from_bits(*own)).chain(gone);
    let found = found.fold(QueueSum::default(), QueueSum::plus);
    if found == mark.queues {
        return Queued::AsMarked;
    }
    if found.same_names(mark.queues) {
        let oldest = kept.filter(|(_, own)| *own != 0).map(|(queue, _)| queue.log_end()).min().unwrap_or(0);
        return Queued::Elsewhere { oldest };
    }
    Queued::Others
}

/// Removes queues whose last unit points to no record of theirs: they belong to another log. Returns whether there were
/// any.
fn discard_foreign(log: &CommitLog, queues: &Queues, end: u64) -> io::Result<bool> {
    let mut foreign = Vec::new();
    for queue in queues.all() {
        if queue.log_end() > end {
            queue.truncate(end)?;
        }
        if !foreign.contains(queue.topic()) && !belongs(log, &queue)? {
            tracing::warn!(topic = %queue.topic(), queue = %queue.id(), "a queue points to records of another log: it is made anew");
            foreign.push(queue.topic().clone());
        }
    }
    for topic in &foreign {
        queues.delete(topic, 0);
    }
    queues.finish_deletions()?;
    Ok(!foreign.is_empty())
}

/// Whether one of a queue's last units points to a record of that queue, or to none that is still held.
fn belongs(log: &CommitLog, queue: &Queue) -> io::Result<bool> {
    let max = queue.max();
    let from = QueueOffset::new(max.get().saturating_sub(UNITS_COMPARED));
    let mut units = Vec::new();
    let first = queue.units(from, to_len(UNITS_COMPARED), &mut units)?;
    if units.is_empty() {
        return Ok(true);
    }
    for (n, unit) in units.iter().enumerate().rev() {
        if unit.log_offset < log.begin() {
            return Ok(true);
        }
        let Some(bytes) = record_bytes(log, unit.log_offset)? else { continue };
        let Ok(record) = Record::parse(&bytes, BodyCheck::Skip) else { continue };
        let is_own = record.topic() == queue.topic().as_str()
            && record.queue_id() == queue.id()
            && record.queue_offset() == first + n as u64
            && record.log_offset().get() == unit.log_offset;
        if is_own {
            return Ok(true);
        }
    }
    Ok(false)
}

fn discard_all(queues: &Queues) -> io::Result<()> {
    for queue in queues.all() {
        queues.delete(queue.topic(), 0);
    }
    queues.finish_deletions()
}

/// Leaves the sign that the store is in use: still there at the next start, it tells of a crash.
pub(crate) fn leave_abort(disk: &dyn Disk, root: &Path) -> Result<(), OpenError> {
    let path = Paths::below(root).abort;
    if disk.exists(&path) {
        // Made anew, it could be lost with the power before its new name is durable.
        return disk.sync_dir(root).map_err(OpenError::io(root));
    }
    disk.open(&path, OpenMode::Create { len: 0, allocate: Allocate::Sparse }).map_err(OpenError::io(&path))?;
    disk.sync_dir(root).map_err(OpenError::io(root))
}

fn open_index(
    config: &StoreConfig,
    disk: &Arc<dyn Disk>,
    clock: &Arc<dyn Clock>,
    paths: &Paths,
    abnormal: bool,
    checkpoint: &Checkpoint,
) -> Result<Option<Index>, OpenError> {
    if !config.index_enabled {
        return Ok(None);
    }
    let how = IndexOpen {
        slots: config.index_slots,
        entries: config.index_entries,
        abnormal,
        checkpoint_index_ms: checkpoint.index_ms,
        clock: Arc::clone(clock),
        utc_offset: Arc::clone(&config.utc_offset),
    };
    Ok(Some(Index::open(Arc::clone(disk), &paths.index, how)?))
}

/// Finds the ends of all queues. After a crash the mark saves walking them: what came after it is dispatched anew.
fn recover_queues(queues: &Queues, abnormal: bool, mark: Option<&Mark>) -> io::Result<u64> {
    let mut end = 0;
    for queue in queues.all() {
        end = end.max(match mark {
            _ if !abnormal => queue.recover_clean()?,
            Some(mark) => queue.recover_to(mark.complete)?,
            None => queue.recover()?,
        });
    }
    Ok(end)
}

/// Where to begin walking the log.
fn walk_start(log: &CommitLog, queues: &Queues, known: &Known, config: &StoreConfig) -> Result<u64, OpenError> {
    if let Some(mark) = &known.mark {
        return Ok(mark.complete);
    }
    let list = log.segments().list();
    // A file that another follows is complete; what a crash has damaged in it is met when it is dispatched or read.
    let newest = newest_with_records(&list)?;
    if !known.abnormal {
        return Ok(match last_unit_is_sound(log, queues, known.queues_end, config) {
            true => known.queues_end,
            false => newest,
        });
    }
    if known.checkpoint.log_ms == 0 {
        // No checkpoint at all: nothing is known to be durable.
        return Ok(log.begin());
    }
    let until_ms = known.checkpoint.recover_from_ms(false);
    let mut from = newest;
    for segment in list.iter().rev().filter(|segment| segment.base() <= newest).take(FILES_WALKED) {
        from = segment.base();
        let first = first_record_ms(segment).map_err(OpenError::io(segment.path()))?;
        if first.is_some_and(|ms| ms != 0 && ms <= until_ms) {
            break;
        }
    }
    Ok(from)
}

/// First offset of the newest file that begins with something; of the oldest one when none does.
fn newest_with_records(list: &[Arc<Segment>]) -> Result<u64, OpenError> {
    for segment in list.iter().rev() {
        let head = segment.file().slice(0, 8).map_err(OpenError::io(segment.path()))?;
        if peek(&head) != Peek::Blank {
            return Ok(segment.base());
        }
    }
    Ok(list.first().map_or(0, |first| first.base()))
}

/// After a clean stop the newest unit's record is nearly the log's last: if it is whole, nothing before it needs a look.
fn last_unit_is_sound(log: &CommitLog, queues: &Queues, queues_end: u64, config: &StoreConfig) -> bool {
    let newest = queues.all().into_iter().find(|queue| queue.log_end() == queues_end);
    let Some(queue) = newest.filter(|queue| queue.max() > QueueOffset::ZERO) else { return false };
    let last = QueueOffset::new(queue.max().get().saturating_sub(1));
    let mut units = Vec::new();
    let Ok(_) = queue.units(last, 1, &mut units) else { return false };
    let Some(unit) = units.first().filter(|u| u.log_offset.saturating_add(u.size.into()) == queues_end) else {
        return false;
    };
    let Some(segment) = log.segments().find(unit.log_offset) else { return false };
    let walk = Walk { log, check: config.check_crc_on_recover, torn_from: None };
    matches!(walk.at(&segment, unit.log_offset), Ok(Place::Record { size, .. }) if size == u64::from(unit.size))
}

fn first_record_ms(segment: &Segment) -> io::Result<Option<i64>> {
    let head = segment.file().slice(0, 76)?;
    let Peek::Record { .. } = peek(&head) else { return Ok(None) };
    let v6 = head.get(39).is_some_and(|flag| flag & 0x10 != 0);
    let from = if v6 { 68 } else { 56 };
    Ok(head.get(from..).and_then(|b| b.first_chunk::<8>()).map(|b| i64::from_be_bytes(*b)))
}

/// Where the index must go on.
fn index_start(index: Option<&Index>, known: &Known, log: &CommitLog, dispatch_from: u64) -> Result<u64, OpenError> {
    let Some(index) = index else { return Ok(dispatch_from) };
    let (_, last) = index.last_end();
    let is_here = || -> io::Result<bool> {
        let bytes = if last < log.begin() { None } else { record_bytes(log, last)? };
        Ok(last < log.begin() || bytes.is_some_and(|bytes| own_offset(&bytes) == Some(last)))
    };
    let start = match &known.mark {
        Some(mark) if mark.index_last > last => last,
        Some(mark) => mark.indexed,
        // What the reference left is as far as its queues, but for an index that is missing or of another log.
        None if last == 0 || !is_here().map_err(OpenError::io(log.segments().dir()))? => 0,
        None if known.abnormal => last.min(dispatch_from),
        None => dispatch_from,
    };
    let start = index.rebuild_from().map_or(start, |from| from.min(start));
    Ok(start.min(dispatch_from).max(log.begin()))
}

fn remove_files(disk: &dyn Disk, dir: &Path) -> Result<(), OpenError> {
    for entry in disk.list(dir).map_err(OpenError::io(dir))? {
        if !entry.is_dir {
            let path = dir.join(entry.name);
            disk.remove(&path).map_err(OpenError::io(&path))?;
        }
    }
    Ok(())
}

/// Removes what lies behind the end: whole files, and bytes that a later walk could take for records.
fn cut(log: &CommitLog, walked: &Walked, known: &Known) -> Result<(), OpenError> {
    let segments = log.segments();
    if let Some(stop) = &walked.stop {
        tracing::warn!(at = walked.end, why = stop, "the log ends here; what follows is cut");
    }
    let cut_from = segments.base_of(walked.end);
    let holds_records = walked.end > cut_from;
    let first_cut = if holds_records { cut_from.saturating_add(segments.size()) } else { cut_from };
    // The very first file stays even if it is empty: it says where the log begins.
    let first_cut = first_cut.max(segments.begin().unwrap_or(0).saturating_add(1));
    segments.remove_from(first_cut).map_err(OpenError::io(segments.dir()))?;
    let Some(segment) = segments.find(walked.end) else { return Ok(()) };
    assert!(walked.end >= segment.base(), "a cut is inside of its file");
    if known.mark.is_some() && !known.abnormal {
        // We stopped cleanly and left zeros.
        return Ok(());
    }
    let within = walked.end.saturating_sub(segment.base());
    let rest = segment.end().saturating_sub(walked.end);
    segment.file().zero(within, rest).map_err(OpenError::io(segment.path()))?;
    // Bytes that came back with the loss of power would be taken for records behind newer ones.
    segments.sync(&segment).map_err(OpenError::io(segment.path()))
}
