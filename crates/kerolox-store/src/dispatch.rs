//! Derives queues and index from the log: every record becomes a unit of its queue and an entry for each of its keys.
//!
//! Queues come first and are announced at once. The index has a cursor of its own: it is written along as long as that
//! is quick, and catches up by itself where it is slow, fails, or was found behind.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use kerolox_wire::names::{QueueId, QueueOffset};
use kerolox_wire::record::{BodyCheck, Peek, Record, peek};
use parking_lot::Mutex;

use crate::bell::Bell;
use crate::commit_log::CommitLog;
use crate::config::DelayLevels;
use crate::index::{Index, IndexKeys};
use crate::queues::Queues;
use crate::tombstone::Tombstone;
use crate::walk::{Walk, is_torn};

mod gather;
mod wanted;

use gather::{Slots, Trust};
use wanted::Wanted;

/// Bytes of the log looked at in one step. Larger records make the step larger.
const STEP_BYTES: u64 = 512 << 10;
/// Bytes of keys up to which a step writes the index along: more would hold up the messages behind.
const KEYS_ALONG_MAX: usize = 256 << 10;
/// Offset that stands for no record.
const NO_RECORD: u64 = u64::MAX;

/// Who wants to know that messages can be read.
pub trait Arrivals: Send + Sync + 'static {
    /// Message `end - 1` of a queue can be read now. Called in order, on the dispatch thread; must not wait.
    ///
    /// A `SeqCst` fence stands between the publication of the queue's end and this call. Who waits for a message and
    /// says so first, then makes such a fence, and then looks at the queue's end, either sees the message there, or is
    /// seen waiting here: no message passes both unseen.
    fn arrived(&self, topic: &str, queue_id: QueueId, end: QueueOffset, tags_code: i64);
    /// Everything announced since the last call can be answered: a step of dispatch has ended.
    fn caught_up(&self) {}
    /// Whether anybody waits for a message, or did since the last call; then records are not kept gathering for long.
    fn awaited(&self) -> bool {
        true
    }
}

/// The log, what is derived from it, and the rule for the delay topic.
pub(crate) struct Sources<'a> {
    pub(crate) log: &'a CommitLog,
    pub(crate) queues: &'a Queues,
    pub(crate) index: Option<&'a Index>,
    pub(crate) delay_levels: &'a DelayLevels,
    /// Log offset up to which messages may be handed out: the end, or with synchronous flush what is durable.
    pub(crate) end: u64,
}

/// How far queues and index follow the log.
pub(crate) struct Dispatch {
    work: Mutex<Work>,
    /// Memory of the thread that catches up with the index; held while it does.
    index_work: Mutex<Vec<u8>>,
    /// Everything before it is in its queue.
    done: AtomicU64,
    /// Where the last record before `done` begins, or [`NO_RECORD`].
    last: AtomicU64,
    /// Everything before it is in the index.
    indexed: AtomicU64,
    /// The index was left behind: its own thread catches up.
    index_left: AtomicBool,
    /// The index could not be written: only its own thread tries again.
    index_failed: AtomicBool,
    /// Records before `done` are not in their queue yet: what they say is damaged, and those behind them decide.
    holds: AtomicBool,
    /// Store time of the last record dispatched.
    store_ms: AtomicI64,
    /// Wakes the dispatch thread.
    pub(crate) bell: Bell,
    /// Wakes the thread that catches up with the index.
    pub(crate) index_bell: Bell,
    /// Records without a usable place: illegal topic names and damaged ones.
    pub(crate) skipped: AtomicU64,
}

/// Memory of the dispatching thread, reused from step to step.
#[derive(Default)]
struct Work {
    bytes: Vec<u8>,
    slots: Slots,
}

/// The records of one step: where it ended and what its keys are.
struct Step<'b> {
    end: u64,
    /// Where the last record begins.
    last: Option<u64>,
    keys: Vec<IndexKeys<'b>>,
    store_ms: i64,
    /// No record stands at `end`, although the log goes on.
    damaged: bool,
}

impl Dispatch {
    /// Begins at `at`, before which `last` is the last record; the index may be behind.
    pub(crate) fn new(at: u64, index_at: u64, last: Option<u64>) -> Self {
        Self {
            work: Mutex::default(),
            index_work: Mutex::default(),
            done: AtomicU64::new(at),
            last: AtomicU64::new(last.unwrap_or(NO_RECORD)),
            indexed: AtomicU64::new(index_at.min(at)),
            index_left: AtomicBool::new(index_at < at),
            index_failed: AtomicBool::new(false),
            holds: AtomicBool::new(false),
            store_ms: AtomicI64::new(0),
            bell: Bell::default(),
            index_bell: Bell::default(),
            skipped: AtomicU64::new(0),
        }
    }

    /// Everything before it is in its queue.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::SeqCst)
    }

    /// Everything before it is in the index.
    pub(crate) fn indexed(&self) -> u64 {
        self.indexed.load(Ordering::SeqCst)
    }

    /// Where the last record before [`Self::done`] begins; `None` when that is not known.
    pub(crate) fn last(&self) -> Option<u64> {
        Some(self.last.load(Ordering::SeqCst)).filter(|last| *last != NO_RECORD)
    }

    /// Whether records before [`Self::done`] wait for those behind them.
    pub(crate) fn holds(&self) -> bool {
        self.holds.load(Ordering::SeqCst)
    }

    /// Store time of the last record dispatched, 0 before the first.
    pub(crate) fn store_ms(&self) -> i64 {
        self.store_ms.load(Ordering::Relaxed)
    }

    /// Whether the index was left behind the queues.
    pub(crate) fn is_index_behind(&self) -> bool {
        self.index_left.load(Ordering::SeqCst)
    }

    /// Takes the next records of the log. Returns whether there were any. After an error nothing is lost: the same
    /// records are taken again, and what is in its queue already is not put there twice.
    pub(crate) fn step(&self, sources: &Sources<'_>, arrivals: Option<&dyn Arrivals>) -> io::Result<bool> {
        self.step_queues(&mut self.work.lock(), sources, arrivals, Trust::Given)
    }

    /// As [`Self::step`], of records that come from the disk and are announced to nobody.
    pub(crate) fn step_in_recovery(&self, sources: &Sources<'_>) -> io::Result<bool> {
        self.step_queues(&mut self.work.lock(), sources, None, Trust::Compared)
    }

    /// Ends a recovery: no further record will say what damaged ones mean.
    pub(crate) fn finish_recovery(&self, sources: &Sources<'_>) -> io::Result<()> {
        let mut work = self.work.lock();
        work.slots.settle_held(Trust::Compared)?;
        work.slots.write()?;
        work.slots.clear();
        sources.queues.forget_deletions(self.done());
        Ok(())
    }

    /// Looks while no step is under way, so that what is in the queues and what counts as done are the same.
    pub(crate) fn between_steps<T>(&self, look: impl FnOnce() -> T) -> T {
        let _work = self.work.lock();
        look()
    }

    /// Runs `change` while nothing is dispatched, and forgets the queues known so far: they may be gone.
    pub(crate) fn paused<T>(&self, change: impl FnOnce() -> T) -> T {
        let mut work = self.work.lock();
        work.slots.clear();
        change()
    }

    fn step_queues(
        &self,
        work: &mut Work,
        sources: &Sources<'_>,
        arrivals: Option<&dyn Arrivals>,
        trust: Trust,
    ) -> io::Result<bool> {
        let at = self.done().max(sources.log.begin());
        let Work { bytes, slots } = work;
        // Nothing is written beside files that are still to be removed.
        sources.queues.finish_deletions()?;
        if !load(sources.log, at, sources.end, bytes)? {
            return Ok(false);
        }
        slots.begin_step();
        let along = sources.index.filter(|_| self.indexed() >= at && !self.index_failed.load(Ordering::Relaxed));
        let visit = |record: &Record<'_>, wanted: &Wanted<'_>, end: u64| match Tombstone::of(record) {
            Some(tombstone) => slots.bury(sources, &tombstone, end, arrivals),
            None => slots.add(sources, record, wanted, trust),
        };
        let gathered = self.walk(sources, at, bytes, (along.is_some(), trust), visit).and_then(|step| {
            if trust == Trust::Given && step.end == sources.end {
                slots.settle_held(trust)?;
            }
            slots.write().map(|()| step)
        });
        let mut step = match gathered {
            Ok(step) => step,
            Err(e) => {
                slots.revert();
                return Err(e);
            }
        };
        self.holds.store(slots.holds(), Ordering::SeqCst);
        if step.damaged {
            slots.note_damage(step.end);
            step.end = self.pass_damage(sources, step.end)?;
        }
        self.done.store(step.end, Ordering::SeqCst);
        if let Some(last) = step.last {
            self.last.store(last, Ordering::SeqCst);
            self.store_ms.store(step.store_ms, Ordering::Relaxed);
        }
        slots.announce(arrivals);
        if trust == Trust::Given {
            sources.queues.forget_deletions(at);
        }
        self.index_along(along, sources, at, &step);
        Ok(true)
    }

    /// Writes the keys of a step that has just been dispatched, unless there are many or the index is busy.
    fn index_along(&self, along: Option<&Index>, sources: &Sources<'_>, at: u64, step: &Step<'_>) {
        if sources.index.is_none() {
            // Without an index its cursor follows, so that nobody waits for it.
            return self.indexed.store(step.end, Ordering::SeqCst);
        }
        let bytes = step.keys.iter().map(|keys| keys.keys.map_or(0, str::len)).fold(0, usize::saturating_add);
        if let (Some(index), true, Some(_one)) = (along, bytes <= KEYS_ALONG_MAX, self.index_work.try_lock()) {
            match index.put(&step.keys) {
                Ok(()) => return self.indexed.store(step.end, Ordering::SeqCst),
                Err(e) => self.index_fell_behind(&e, at),
            }
        }
        self.index_left.store(true, Ordering::SeqCst);
        self.index_bell.ring();
    }

    fn index_fell_behind(&self, e: &io::Error, at: u64) {
        if !self.index_failed.swap(true, Ordering::Relaxed) {
            tracing::error!(error = %e, at, "failed to write the key index; queues go on without it");
        }
    }

    /// Catches up with the index by one step. Returns whether there was something to do; after an error the same
    /// records are taken again.
    pub(crate) fn step_index(&self, sources: &Sources<'_>) -> io::Result<bool> {
        let mut bytes = self.index_work.lock();
        self.index_left.store(false, Ordering::SeqCst);
        let done = self.done();
        if self.indexed() >= done {
            return Ok(false);
        }
        // Until it has caught up, which the next call finds.
        self.index_left.store(true, Ordering::SeqCst);
        let Some(index) = sources.index else {
            self.indexed.store(done, Ordering::SeqCst);
            return Ok(true);
        };
        let at = self.indexed().max(sources.log.begin());
        if !load(sources.log, at, done, &mut bytes)? {
            self.indexed.store(done, Ordering::SeqCst);
            return Ok(true);
        }
        let mut step = self.walk(sources, at, &bytes, (true, Trust::Compared), |_, _, _| Ok(()))?;
        if step.damaged {
            step.end = self.pass_damage(sources, step.end)?;
        }
        if let Err(e) = index.put(&step.keys) {
            self.index_fell_behind(&e, at);
            return Err(e);
        }
        self.indexed.store(step.end.min(done), Ordering::SeqCst);
        if self.index_failed.swap(false, Ordering::Relaxed) {
            tracing::info!(at, "the key index can be written again");
        }
        Ok(true)
    }

    /// Visits the whole records in `bytes`, which begin at `at`.
    fn walk<'b>(
        &self,
        sources: &Sources<'_>,
        at: u64,
        bytes: &'b [u8],
        (with_keys, trust): (bool, Trust),
        mut visit: impl FnMut(&Record<'b>, &Wanted<'b>, u64) -> io::Result<()>,
    ) -> io::Result<Step<'b>> {
        let segments = sources.log.segments();
        let file_end = segments.base_of(at).saturating_add(segments.size());
        let mut step = Step { end: at, last: None, keys: Vec::new(), store_ms: 0, damaged: false };
        let mut rest = bytes;
        while !rest.is_empty() {
            let size = match peek(rest) {
                Peek::Record { size } => usize::try_from(size).unwrap_or(usize::MAX),
                Peek::Filler { .. } => {
                    step.end = file_end;
                    break;
                }
                // The step ends within a record, which the next one begins with.
                _ if rest.len() < 8 && step.end > at => break,
                Peek::Blank | Peek::Bad => 0,
            };
            let Some((bytes, behind)) = rest.split_at_checked(size).filter(|_| size > 0) else {
                // A record that does not end here begins the next step; at its beginning it is damaged.
                step.damaged = size == 0 || step.end == at;
                break;
            };
            match Record::parse(bytes, BodyCheck::Skip) {
                Ok(record) if record.log_offset().get() == step.end && (trust == Trust::Given || !is_torn(&record)) => {
                    let end = step.end.saturating_add(size as u64);
                    let wanted = Wanted::of(&record);
                    if with_keys {
                        step.keys.extend(wanted.keys(&record));
                    }
                    visit(&record, &wanted, end)?;
                    step.store_ms = record.store_timestamp();
                    step.last = Some(step.end);
                    step.end = end;
                }
                _ => {
                    step.damaged = true;
                    break;
                }
            }
            rest = behind;
        }
        Ok(step)
    }

    /// Where the log goes on behind a damaged place.
    fn pass_damage(&self, sources: &Sources<'_>, at: u64) -> io::Result<u64> {
        let Some(segment) = sources.log.segments().find(at) else { return Ok(sources.end) };
        let next = Walk { log: sources.log, check: true, torn_from: None }.behind_damage(&segment, at)?;
        let next = next.unwrap_or(segment.end()).min(sources.end);
        self.skipped.fetch_add(1, Ordering::Relaxed);
        tracing::error!(at, bytes = next.saturating_sub(at), "damaged place of the log passed over");
        assert!(next > at, "dispatch goes on behind a damaged place");
        Ok(next)
    }
}

/// Fills `bytes` with the log from `at` on: whole records of one file, at least one. `false` when there is nothing.
fn load(log: &CommitLog, at: u64, end: u64, bytes: &mut Vec<u8>) -> io::Result<bool> {
    let file_end = log.segments().base_of(at).saturating_add(log.segments().size());
    let available = end.min(file_end).saturating_sub(at);
    if available == 0 {
        return Ok(false);
    }
    let mut len = available.min(STEP_BYTES);
    loop {
        bytes.resize(usize::try_from(len).map_err(io::Error::other)?, 0);
        log.read_once(at, bytes)?;
        match peek(bytes) {
            Peek::Record { size } if u64::from(size) > len && len < available => {
                len = u64::from(size).min(available);
            }
            _ => return Ok(true),
        }
    }
}
