//! Pending timers, derived from the wheel topic: what is to be looked at when, with memory that does not grow with them.
//!
//! The records themselves are in the log, in the queue of the wheel topic. Of each, 28 bytes are kept here: the newest in
//! memory, sorted; once 65,536 units have been read they become a sorted run in a file, and eight runs of a kind are merged
//! into one. What is due is the smallest over all of them, so only one block of each run is in memory. The saved state says
//! which runs there are, how far each is done, and from which unit on the queue must be read again: that much and no more
//! is done at a start. Everything here can be thrown away: it is rebuilt from the log and the time in `config/timercheck`.

mod check;
mod entry;
mod pending;
mod run;
mod state;

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::disk::Disk;
use check::TimerCheck;
pub use entry::{TimerEntry, TimerKind};
use pending::{Pending, SPAN_MAX};
use run::{Run, RunFacts, RunWriter, file_name};
use state::State;

/// Entries that one step of a merge copies.
const MERGE_STEP: usize = 131_072;
/// Saves between two of the file for other programs.
const CHECK_EVERY: u64 = 10;
/// Deliveries may be so far behind their time when the log ends.
const LOG_MARGIN_MS: i64 = 60_000;
/// Lengths of time that are remembered.
const WINDOWS_MAX: usize = 16;

/// Where the files of the timers are, and how they are kept.
#[derive(Debug, Clone)]
pub struct TimersConfig {
    /// Folder of runs and state.
    pub dir: PathBuf,
    /// RocketMQ 5.x's `timercheck`.
    pub check: PathBuf,
    /// Time after which a record is stored anew, ms.
    pub window_ms: i64,
    /// When the log's last record was stored, ms: of later deliveries it has none, whatever a saved state says.
    pub log_ms: i64,
    /// Units in memory at most; [`TimersConfig::new`] sets what suits a broker.
    pub span_max: u64,
}

impl TimersConfig {
    /// The usual settings below a store's root.
    #[must_use]
    pub fn new(root: &Path, window_ms: i64) -> Self {
        let check = root.join("config").join("timercheck");
        Self { dir: root.join("timer"), check, window_ms, log_ms: i64::MAX, span_max: SPAN_MAX }
    }
}

/// The pending timers of one store.
pub struct Timers {
    config: TimersConfig,
    disk: Arc<dyn Disk>,
    pending: Mutex<Pending>,
    keeping: Mutex<Keeping>,
    windows_ms: Vec<i64>,
}

/// What the upkeep remembers; whoever holds it is the only one that writes.
struct Keeping {
    next_seq: u64,
    /// Files that the saved state names.
    saved: Vec<u64>,
    saves: u64,
    merging: Option<Merging>,
}

/// A merge that is under way.
struct Merging {
    parts: Vec<Run>,
    /// The parts as far as they have been copied.
    reading: Vec<Run>,
    writer: RunWriter,
    seq: u64,
}

impl Timers {
    /// Opens what was saved. `queue` is the range of the wheel topic's queue.
    ///
    /// # Errors
    /// When the disk fails. Files that do not fit are no error: the timers are rebuilt.
    pub fn open(config: TimersConfig, disk: Arc<dyn Disk>, queue: Range<u64>) -> io::Result<Self> {
        disk.create_dir_all(&config.dir)?;
        let path = config.dir.join("state");
        let exists = disk.exists(&path);
        let state = if exists { State::decode(&disk.read_file(&path)?) } else { None };
        let mut windows_ms = state.as_ref().map(|state| state.windows_ms.clone()).unwrap_or_default();
        if windows_ms.last() != Some(&config.window_ms) {
            windows_ms.push(config.window_ms);
            windows_ms.drain(..windows_ms.len().saturating_sub(WINDOWS_MAX));
        }
        let opened = match state {
            Some(state) => open_runs(disk.as_ref(), &config, &state, &queue).map(|runs| (state, runs)),
            None => Err(None),
        };
        let pending = match opened {
            Ok((state, runs)) => Pending::new(state, runs, config.span_max),
            Err(floor_ms) => {
                let known = TimerCheck::load(disk.as_ref(), &config.check)?;
                let known = known.map(|check| floor_of_check(&config, check, queue.end));
                let floor_ms = floor_ms.or(known).unwrap_or(i64::MIN);
                if !queue.is_empty() {
                    tracing::warn!(
                        exists,
                        units = queue.end - queue.start,
                        floor_ms,
                        "the timers are rebuilt from the log"
                    );
                }
                Pending::rebuild(queue, floor_ms, config.span_max)
            }
        };
        let runs: Vec<u64> = pending.run_numbers().collect();
        let next_seq = remove_others(disk.as_ref(), &config.dir, &runs)?;
        let keeping = Keeping { next_seq, saved: runs, saves: 0, merging: None };
        Ok(Self { config, disk, pending: Mutex::new(pending), keeping: Mutex::new(keeping), windows_ms })
    }

    /// Queue offset of the next unit to be read.
    #[must_use]
    pub fn read_to(&self) -> u64 {
        self.pending.lock().read_to()
    }

    /// Whether there is room for another unit; otherwise [`Self::keep`] makes some.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.pending.lock().has_room()
    }

    /// Takes in the unit at a queue offset, which rises from call to call; `None` when it is no timer.
    pub fn add(&self, queue_offset: u64, entry: Option<TimerEntry>) {
        self.pending.lock().add(queue_offset, entry);
    }

    /// The first entries to be looked at until `now_ms`, in their order, `max` at most.
    ///
    /// # Errors
    /// When the disk fails; `InvalidData` calls for [`Self::rebuild`].
    pub fn due(&self, now_ms: i64, max: usize) -> io::Result<Vec<TimerEntry>> {
        self.pending.lock().due(now_ms, max)
    }

    /// The first entries to be looked at from `from_ms` until `to_ms`, in their order, `max` at most.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn between(&self, from_ms: i64, to_ms: i64, max: usize) -> io::Result<Vec<TimerEntry>> {
        self.pending.lock().between(from_ms, to_ms, max)
    }

    /// Forgets entries that [`Self::due`] has told, from the first one on. With `amid` nothing is saved until the next
    /// call: cancellations and the messages of their millisecond must come again together, or not at all.
    ///
    /// # Errors
    /// When the disk fails: some may come again.
    pub fn take(&self, entries: &[TimerEntry], amid: bool) -> io::Result<()> {
        self.pending.lock().take(entries, amid)
    }

    /// The entries to be looked at from `from_ms` until `now_ms`, in their order, `max` at most, when those before have to
    /// wait. None while very many have been taken ahead.
    ///
    /// # Errors
    /// As [`Self::due`].
    pub fn due_from(&self, from_ms: i64, now_ms: i64, max: usize) -> io::Result<Vec<TimerEntry>> {
        self.pending.lock().due_from(from_ms, now_ms, max)
    }

    /// Forgets entries that [`Self::due_from`] has told, ahead of those before them; `amid` as in [`Self::take`].
    pub fn take_ahead(&self, entries: &[TimerEntry], amid: bool) {
        self.pending.lock().take_ahead(entries, amid);
    }

    /// When the first entry is to be looked at, ms since 1970.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn next_wake(&self) -> io::Result<Option<i64>> {
        self.pending.lock().next_wake()
    }

    /// Whether the entry is pending.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn contains(&self, entry: &TimerEntry) -> io::Result<bool> {
        self.pending.lock().contains(entry)
    }

    /// Whether a cancellation of the message waits with it.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn is_cancelled(&self, message: &TimerEntry) -> io::Result<bool> {
        self.pending.lock().is_cancelled(message)
    }

    /// How many timers are pending, as far as units have been read.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.pending.lock().len()
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// No pending timer that was read has its record before this log offset.
    #[must_use]
    pub fn log_from(&self) -> Option<u64> {
        self.pending.lock().log_from()
    }

    /// Lengths of time after which records of this directory were stored anew, the present one last, ms.
    #[must_use]
    pub fn windows_ms(&self) -> &[i64] {
        &self.windows_ms
    }

    /// Begins anew from the log, when a file turned out to be damaged.
    pub fn rebuild(&self, queue: Range<u64>) {
        let mut keeping = self.keeping.lock();
        keeping.merging = None;
        let mut pending = self.pending.lock();
        *pending = Pending::rebuild(queue, pending.floor_ms(), self.config.span_max);
    }

    /// Writes what has to be written: a run, a step of a merge, the state. `caught_up` says that every unit has been read,
    /// `make_durable` makes durable what the log holds so far. Returns whether there is more to do at once.
    ///
    /// # Errors
    /// When the disk fails; the next call tries again.
    pub fn keep(&self, now_ms: i64, caught_up: bool, make_durable: &dyn Fn() -> io::Result<()>) -> io::Result<bool> {
        let mut keeping = self.keeping.lock();
        self.write_frozen(&mut keeping)?;
        let more = self.merge(&mut keeping)?;
        self.save(&mut keeping, now_ms, caught_up, make_durable)?;
        Ok(more)
    }

    /// Saves all there is, when the broker stops.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn close(&self, now_ms: i64, caught_up: bool, make_durable: &dyn Fn() -> io::Result<()>) -> io::Result<()> {
        let mut keeping = self.keeping.lock();
        self.write_frozen(&mut keeping)?;
        keeping.saves = 0;
        self.save(&mut keeping, now_ms, caught_up, make_durable)
    }

    fn write_frozen(&self, keeping: &mut Keeping) -> io::Result<()> {
        // Room for it may let the next one begin.
        while let Some(frozen) = self.next_frozen() {
            self.write_run(keeping, frozen)?;
        }
        Ok(())
    }

    fn next_frozen(&self) -> Option<Run> {
        self.pending.lock().frozen().cloned()
    }

    fn write_run(&self, keeping: &mut Keeping, mut frozen: Run) -> io::Result<()> {
        let facts = RunFacts { seq: keeping.take_seq(), ..frozen.facts() };
        // Those that are done already are written as well: the number of the others would not fit otherwise.
        frozen.done = 0;
        let mut write = || {
            let mut writer = RunWriter::create(self.disk.as_ref(), &self.config.dir, facts)?;
            while let Some(entry) = frozen.head()? {
                writer.push(entry)?;
                frozen.done += 1;
            }
            writer.finish(self.disk.as_ref(), &self.config.dir)
        };
        let run = self.or_discard(facts.seq, write())?;
        self.pending.lock().written(run);
        Ok(())
    }

    /// A file that could not be finished must not take room on a disk that is full already.
    fn or_discard<T>(&self, seq: u64, outcome: io::Result<T>) -> io::Result<T> {
        outcome.inspect_err(|_| {
            // If it cannot be removed now, the next start does.
            let _ = self.disk.remove(&self.config.dir.join(file_name(seq)));
        })
    }

    /// One step of a merge; whether another one is to follow.
    fn merge(&self, keeping: &mut Keeping) -> io::Result<bool> {
        let Some(merging) = &mut keeping.merging else {
            let Some(parts) = self.pending.lock().merge_candidates() else { return Ok(false) };
            let seq = keeping.take_seq();
            let begun = Merging::begin(self.disk.as_ref(), &self.config.dir, parts, seq);
            keeping.merging = Some(self.or_discard(seq, begun)?);
            return Ok(true);
        };
        let seq = merging.seq;
        match merging.step() {
            Ok(true) => return Ok(true),
            Ok(false) => {}
            Err(error) => {
                keeping.merging = None;
                return self.or_discard(seq, Err(error));
            }
        }
        let Some(merging) = keeping.merging.take() else { return Ok(false) };
        let run = self.or_discard(seq, merging.writer.finish(self.disk.as_ref(), &self.config.dir))?;
        if !self.pending.lock().merged(&merging.parts, run) {
            self.disk.remove(&self.config.dir.join(file_name(merging.seq)))?;
        }
        Ok(true)
    }

    fn save(
        &self,
        keeping: &mut Keeping,
        now_ms: i64,
        caught_up: bool,
        make_durable: &dyn Fn() -> io::Result<()>,
    ) -> io::Result<()> {
        let (state, check) = {
            let mut pending = self.pending.lock();
            pending.raise_floor(now_ms, caught_up)?;
            if !pending.changed {
                return Ok(());
            }
            let Some(state) = pending.state(&self.windows_ms) else { return Ok(()) };
            pending.changed = false;
            (state, TimerCheck { floor_ms: pending.floor_ms(), queue_from: pending.queue_from() })
        };
        let written = make_durable()
            // Only now may it be said that they were delivered, or that their units were read.
            .and_then(|()| self.disk.write_file_atomic(&self.config.dir.join("state"), &state.encode()))
            .and_then(|()| {
                let due = keeping.saves.is_multiple_of(CHECK_EVERY);
                if due { check.save(self.disk.as_ref(), &self.config.check) } else { Ok(()) }
            });
        if let Err(error) = written {
            self.pending.lock().changed = true;
            return Err(error);
        }
        keeping.saves += 1;
        let now: Vec<u64> = state.runs.iter().map(|run| run.seq).collect();
        for seq in std::mem::replace(&mut keeping.saved, now) {
            if !keeping.saved.contains(&seq) {
                self.disk.remove(&self.config.dir.join(file_name(seq)))?;
            }
        }
        Ok(())
    }
}

impl Keeping {
    fn take_seq(&mut self) -> u64 {
        self.next_seq += 1;
        self.next_seq - 1
    }
}

impl Merging {
    fn begin(disk: &dyn Disk, dir: &Path, parts: Vec<Run>, seq: u64) -> io::Result<Self> {
        let facts = RunFacts {
            seq,
            level: parts.iter().map(|part| part.level).max().unwrap_or(0) + 1,
            count: parts.iter().map(Run::left).sum(),
            done: 0,
            log_from: parts.iter().map(|part| part.log_from).min().unwrap_or(0),
            queue_from: parts.iter().map(|part| part.queue_from).min().unwrap_or(0),
        };
        Ok(Self { writer: RunWriter::create(disk, dir, facts)?, reading: parts.clone(), parts, seq })
    }

    /// Copies some entries; whether there are more.
    fn step(&mut self) -> io::Result<bool> {
        let mut heads = self.reading.iter_mut().map(Run::head).collect::<io::Result<Vec<_>>>()?;
        for _ in 0..MERGE_STEP {
            let smallest = heads.iter().enumerate().filter_map(|(n, head)| head.map(|head| (head, n))).min();
            let Some((entry, n)) = smallest else { return Ok(false) };
            self.writer.push(entry)?;
            if let (Some(run), Some(head)) = (self.reading.get_mut(n), heads.get_mut(n)) {
                run.done += 1;
                *head = run.head()?;
            }
        }
        Ok(true)
    }
}

/// Opens the runs that the state names; otherwise the floor to rebuild by, as far as it is known.
fn open_runs(
    disk: &dyn Disk,
    config: &TimersConfig,
    state: &State,
    queue: &Range<u64>,
) -> Result<Vec<Run>, Option<i64>> {
    if state.read_to > queue.end {
        // The queue lost its end, so what stands at these places now is not what the state speaks of.
        let floor_ms = within_log(config, state.floor_ms);
        let (from, to) = (state.read_to, queue.end);
        tracing::warn!(
            table = "timer/state",
            from,
            to,
            floor_ms,
            "a saved offset is beyond the end of the timers' queue"
        );
        return Err(Some(floor_ms));
    }
    let open = |facts: &RunFacts| Run::open(disk, &config.dir, *facts);
    let runs = state.runs.iter().map(open).collect::<io::Result<Vec<_>>>();
    runs.map_err(|error| {
        tracing::error!(%error, "a file of timers cannot be used");
        Some(state.floor_ms)
    })
}

/// The floor of a `timercheck`, which may have been written beside another log.
fn floor_of_check(config: &TimersConfig, check: TimerCheck, end: u64) -> i64 {
    if check.queue_from <= end {
        return check.floor_ms;
    }
    let floor_ms = within_log(config, check.floor_ms);
    tracing::warn!(
        table = "timercheck",
        from = check.queue_from,
        to = end,
        floor_ms,
        "a saved offset is beyond the end of the timers' queue"
    );
    floor_ms
}

/// Up to when timers can have been delivered into a log that is shorter than what was saved beside it. Some may come
/// again; without this, those that were delivered to the lost part would never come.
fn within_log(config: &TimersConfig, floor_ms: i64) -> i64 {
    floor_ms.min(config.log_ms.saturating_sub(LOG_MARGIN_MS))
}

/// Removes the files that belong to nothing; returns a number for the next one.
fn remove_others(disk: &dyn Disk, dir: &Path, runs: &[u64]) -> io::Result<u64> {
    let mut next = 1;
    for entry in disk.list(dir)? {
        let Some(seq) = entry.name.strip_suffix(".run").and_then(|seq| seq.parse().ok()) else { continue };
        if runs.contains(&seq) {
            next = next.max(seq + 1);
        } else {
            disk.remove(&dir.join(&entry.name))?;
        }
    }
    Ok(next)
}

#[cfg(test)]
mod tests;
