//! What happens when a store opens: find the end of the log, cut what a crash left behind it, and bring queues and
//! index up to that end.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kerolox_wire::clock::Clock;
use kerolox_wire::names::QueueOffset;
use kerolox_wire::record::{BodyCheck, Peek, Record, RecordError, peek};

use crate::checkpoint::Checkpoint;
use crate::commit_log::{CommitLog, filler};
use crate::config::{SEGMENT_FILLER, StoreConfig};
use crate::disk::{Allocate, Disk, OpenMode};
use crate::dispatch::{Dispatch, Sources};
use crate::error::OpenError;
use crate::index::{Index, IndexOpen};
use crate::mark::Mark;
use crate::queues::Queues;
use crate::segment::Segment;

/// Bytes looked at with one read while walking the log.
const WALK_BYTES: u64 = 1 << 20;
/// After a clean stop without a mark the walk begins this many files before the end, as the reference does.
const FILES_WALKED: usize = 3;

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
    mark: Option<Mark>,
    /// Log end of the newest unit in any queue.
    queues_end: u64,
    /// There are fewer queues than the mark tells of.
    queues_lost: bool,
}

/// Opens log, queues and index and brings them into agreement.
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
        // Without a log, queues and index point to nothing.
        queues.remove_where(&|_| true).map_err(OpenError::io(&paths.queues))?;
        remove_files(disk.as_ref(), &paths.index)?;
    }
    let index = open_index(config, disk, clock, &paths, abnormal, &checkpoint)?;
    let mark = mark.filter(|mark| is_plausible(mark, &log));
    let queues_end = recover_queues(&queues, abnormal, mark.as_ref()).map_err(OpenError::io(&paths.queues))?;
    let queues_found = queues.all().iter().filter(|queue| queue.max() > QueueOffset::ZERO).count() as u64;
    let queues_lost = mark.is_some_and(|mark| mark.queues > queues_found);
    let known = Known { abnormal, checkpoint, mark, queues_end, queues_lost };

    let begin = log.begin();
    let (walk_from, dispatch_from) = starts(&log, &queues, &known, config)?;
    let walk = Walk { log: &log, check: config.check_crc_on_recover };
    let walked = walk.run(walk_from)?;
    tracing::info!(abnormal, from = walk_from, end = walked.end, records = walked.records, "log recovered");
    cut(&log, &walked, &known)?;
    let last_ms = if walked.last_ms == 0 { checkpoint.log_ms } else { walked.last_ms };
    log.set_end(walked.end, last_ms);

    let dispatch_from = dispatch_from.clamp(begin, walked.end);
    // After a crash a unit may be torn, or outlive the record it was made for: those that will be made again go first.
    let trusted = if abnormal { dispatch_from } else { walked.end };
    for queue in queues.all() {
        let settle = || {
            if queue.log_end() > trusted {
                queue.truncate(trusted)?;
            }
            queue.correct_min(begin)
        };
        settle().map_err(OpenError::io(&paths.queues))?;
    }
    let index_from = index_start(index.as_ref(), &known, dispatch_from).max(begin);
    let dispatch = Dispatch::new(dispatch_from, index_from);
    let sources = Sources { log: &log, queues: &queues, index: index.as_ref(), delay_levels: &config.delay_levels };
    // Appends need to know where each queue ends. The index may follow later.
    while dispatch.done() < log.end() {
        dispatch.step_without_catching_up(&sources).map_err(OpenError::io(&paths.queues))?;
    }
    for queue in queues.all() {
        queue.set_next_offset(queue.max());
    }
    Ok(Recovered { log, queues, index, dispatch, checkpoint, durable: walk_from.min(walked.end) })
}

/// Leaves the sign that the store is in use: still there at the next start, it tells of a crash.
pub(crate) fn leave_abort(disk: &dyn Disk, root: &Path) -> Result<(), OpenError> {
    let path = Paths::below(root).abort;
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

/// A mark must lie in the log that is there.
fn is_plausible(mark: &Mark, log: &CommitLog) -> bool {
    let list = log.segments().list();
    let (Some(first), Some(last)) = (list.first(), list.last()) else { return false };
    mark.complete >= first.base() && mark.complete <= last.end()
}

/// Where to begin walking the log, and where to begin dispatching it.
fn starts(log: &CommitLog, queues: &Queues, known: &Known, config: &StoreConfig) -> Result<(u64, u64), OpenError> {
    let begin = log.begin();
    if let Some(mark) = known.mark {
        if known.queues_lost {
            tracing::warn!("queues are missing: all queues are made anew from the log");
            return Ok((mark.complete, begin));
        }
        return Ok((mark.complete, mark.complete));
    }
    let list = log.segments().list();
    if !known.abnormal {
        let walk_from = match last_unit_is_sound(log, queues, known.queues_end, config) {
            true => known.queues_end,
            false => list.iter().rev().nth(FILES_WALKED - 1).map_or(begin, |segment| segment.base()),
        };
        return Ok((walk_from, known.queues_end));
    }
    let until_ms = known.checkpoint.recover_from_ms(false);
    let mut walk_from = begin;
    for segment in list.iter().rev() {
        let first = first_record_ms(segment).map_err(OpenError::io(segment.path()))?;
        if first.is_some_and(|ms| ms != 0 && ms <= until_ms) {
            walk_from = segment.base();
            break;
        }
    }
    // The reference begins to dispatch where it begins to walk, and loses what queues lack before that.
    Ok((walk_from, walk_from.min(known.queues_end)))
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
    let walk = Walk { log, check: config.check_crc_on_recover };
    let mut bytes = Vec::new();
    matches!(walk.at(&segment, unit.log_offset, &mut bytes), Ok(Place::Record { size, .. }) if size == u64::from(unit.size))
}

fn first_record_ms(segment: &Segment) -> io::Result<Option<i64>> {
    let head = segment.file().slice(0, 76)?;
    let Peek::Record { .. } = peek(&head) else { return Ok(None) };
    let v6 = head.get(39).is_some_and(|flag| flag & 0x10 != 0);
    let from = if v6 { 68 } else { 56 };
    Ok(head.get(from..).and_then(|b| b.first_chunk::<8>()).map(|b| i64::from_be_bytes(*b)))
}

/// Where the index must go on.
fn index_start(index: Option<&Index>, known: &Known, dispatch_from: u64) -> u64 {
    let Some(index) = index else { return dispatch_from };
    let (_, last) = index.last_end();
    let start = match known.mark {
        Some(mark) if mark.index_last > last => last,
        Some(mark) => mark.indexed,
        // What the reference left is as far as its queues, but for an index that is missing altogether.
        None if last == 0 => 0,
        None if known.abnormal => last.min(dispatch_from),
        None => dispatch_from,
    };
    index.rebuild_from().map_or(start, |from| from.min(start)).min(dispatch_from)
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
    if known.mark.is_some() && !known.abnormal {
        // We stopped cleanly and left zeros.
        return Ok(());
    }
    let within = walked.end.saturating_sub(segment.base());
    let rest = segment.end().saturating_sub(walked.end);
    segment.file().zero(within, rest).map_err(OpenError::io(segment.path()))
}

/// What stands at one place of the log.
enum Place {
    Record {
        size: u64,
        store_ms: i64,
    },
    /// The rest of the file is unused.
    FileEnd,
    /// No record, and why.
    Nothing(String),
}

/// How a walk ended.
struct Walked {
    /// Behind the last good record.
    end: u64,
    /// Store time of the last record, 0 when there was none.
    last_ms: i64,
    records: u64,
    /// What stood at the end, if it was not simply blank.
    stop: Option<String>,
}

/// Goes through the log record by record.
struct Walk<'a> {
    log: &'a CommitLog,
    check: bool,
}

impl Walk<'_> {
    fn run(&self, from: u64) -> Result<Walked, OpenError> {
        let list = self.log.segments().list();
        let mut walked = Walked { end: from, last_ms: 0, records: 0, stop: None };
        let mut bytes = Vec::new();
        for (number, segment) in list.iter().enumerate().filter(|(_, s)| s.end() > from) {
            if segment.end() <= walked.end {
                continue;
            }
            if self.file(segment, &mut walked, &mut bytes).map_err(OpenError::io(segment.path()))? {
                continue;
            }
            let later = list.get(number.saturating_add(1)..).unwrap_or_default();
            match self.next_sound(later, &mut bytes)? {
                Some(next) => bridge(&list, next, &mut walked)?,
                None => break,
            }
        }
        Ok(walked)
    }

    /// Walks one file; `true` when it ends with a filler, so that the log goes on in the next.
    fn file(&self, segment: &Segment, walked: &mut Walked, bytes: &mut Vec<u8>) -> io::Result<bool> {
        bytes.clear();
        let mut loaded_at = walked.end;
        loop {
            let skip = usize::try_from(walked.end.saturating_sub(loaded_at)).map_err(io::Error::other)?;
            let rest = bytes.get(skip..).unwrap_or_default();
            let wanted = match peek(rest) {
                _ if rest.len() < 8 => WALK_BYTES,
                Peek::Record { size } if u64::from(size) > rest.len() as u64 => u64::from(size).max(WALK_BYTES),
                _ => 0,
            };
            let left = segment.end().saturating_sub(walked.end);
            if wanted > 0 && left > rest.len() as u64 {
                loaded_at = walked.end;
                let len = usize::try_from(wanted.min(left)).map_err(io::Error::other)?;
                bytes.resize(len, 0);
                segment.file().read_at(loaded_at.saturating_sub(segment.base()), bytes)?;
                continue;
            }
            match self.judge(rest, walked.end, segment.end()) {
                Place::Record { size, store_ms } => {
                    walked.end = walked.end.saturating_add(size);
                    walked.last_ms = store_ms;
                    walked.records = walked.records.saturating_add(1);
                }
                Place::FileEnd => {
                    walked.end = segment.end();
                    return Ok(true);
                }
                Place::Nothing(why) => {
                    walked.stop = (!why.is_empty()).then_some(why);
                    return Ok(false);
                }
            }
        }
    }

    /// What stands at one place.
    fn at(&self, segment: &Segment, offset: u64, bytes: &mut Vec<u8>) -> io::Result<Place> {
        let within = offset.saturating_sub(segment.base());
        let left = segment.end().saturating_sub(offset);
        bytes.resize(8, 0);
        segment.file().read_at(within, bytes)?;
        if let Peek::Record { size } = peek(bytes)
            && u64::from(size) <= left
        {
            bytes.resize(usize::try_from(size).map_err(io::Error::other)?, 0);
            segment.file().read_at(within, bytes)?;
        }
        Ok(self.judge(bytes, offset, segment.end()))
    }

    fn judge(&self, bytes: &[u8], at: u64, file_end: u64) -> Place {
        let left = file_end.saturating_sub(at);
        let size = match peek(bytes) {
            Peek::Record { size } => u64::from(size),
            Peek::Filler { size } if u64::from(size) == left => return Place::FileEnd,
            Peek::Filler { size } => return Place::Nothing(format!("a filler of {size} bytes where {left} are left")),
            Peek::Blank => return Place::Nothing(String::new()),
            Peek::Bad => return Place::Nothing("neither record nor filler".into()),
        };
        if size.saturating_add(SEGMENT_FILLER) > left {
            return Place::Nothing(format!("a record of {size} bytes where {left} are left"));
        }
        let check = if self.check { BodyCheck::Crc } else { BodyCheck::Skip };
        match Record::parse(bytes, check) {
            Ok(record) if is_torn(&record) => Place::Nothing("a record whose last bytes were never written".into()),
            Ok(record) if record.log_offset().get() == at => Place::Record { size, store_ms: record.store_timestamp() },
            Ok(record) => Place::Nothing(format!("a record that says it stands at {}", record.log_offset())),
            // Complete as bytes, only not for us: the reference reads on, and so do we.
            Err(RecordError::Field { .. }) if own_offset(bytes) == Some(at) => Place::Record { size, store_ms: 0 },
            Err(e) => Place::Nothing(e.to_string()),
        }
    }

    /// The first later file that begins with a whole record: proof that the log once went on.
    fn next_sound<'s>(
        &self,
        later: &'s [Arc<Segment>],
        bytes: &mut Vec<u8>,
    ) -> Result<Option<&'s Arc<Segment>>, OpenError> {
        for segment in later {
            let place = self.at(segment, segment.base(), bytes).map_err(OpenError::io(segment.path()))?;
            if matches!(place, Place::Record { .. }) {
                return Ok(Some(segment));
            }
        }
        Ok(None)
    }
}

/// Gives up the damaged rest of a file rather than all later ones: a filler lets every reader pass.
fn bridge(list: &[Arc<Segment>], next: &Segment, walked: &mut Walked) -> Result<(), OpenError> {
    for segment in list.iter().filter(|s| s.end() > walked.end && s.base() < next.base()) {
        let at = walked.end.max(segment.base());
        let rest = segment.end().saturating_sub(at);
        tracing::error!(file = %segment.path().display(), at, bytes = rest, why = ?walked.stop,
            "damaged log: the rest of this file is given up, later files are kept");
        segment.write(at, &filler(rest)).map_err(OpenError::io(segment.path()))?;
        segment.file().sync_data().map_err(OpenError::io(segment.path()))?;
    }
    walked.end = next.base();
    walked.stop = None;
    Ok(())
}

fn own_offset(bytes: &[u8]) -> Option<u64> {
    bytes.get(28..36).and_then(|b| b.first_chunk()).map(|b| u64::from_be_bytes(*b))
}

/// Whether a write ended inside of the record, behind its body: a killed process may leave the pages before and none of
/// those after. The body's checksum does not cover what follows it, but neither a topic nor a properties text ends in a
/// zero byte, which is what an unwritten page holds: a batch stores no other.
fn is_torn(record: &Record<'_>) -> bool {
    record.properties_bytes().last() == Some(&0) || record.topic().ends_with('\0')
}
