//! All pending timers: the newest in memory, the others in sorted runs. Delivery takes the smallest over all of them, so
//! what it has taken of a run, or of several runs that are being merged, is always their beginning. What it takes ahead of
//! that is remembered by itself, until the beginning has come that far.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use super::entry::{TimerEntry, TimerKind};
use super::run::Run;
use super::state::{State, bit, set_bit};

/// Units of the wheel topic's queue that are kept in memory only, and read again at a start: bounds memory and that work.
pub(super) const SPAN_MAX: u64 = 65_536;
/// Runs of one level that are merged into one.
const MERGE_RUNS: usize = 8;
/// Entries that are done ahead of their turn, at most: they are in memory, and in each saved state.
const AHEAD_MAX: usize = 65_536;

/// What an earlier run of the broker had done already of the units that are read again.
#[derive(Default)]
struct Known {
    from: u64,
    to: u64,
    pending: Vec<u8>,
    /// End of a rebuild and the floor it goes by.
    rebuild: Option<(u64, i64)>,
}

impl Known {
    fn is_done(&self, queue_offset: u64, entry: &TimerEntry) -> bool {
        if queue_offset < self.to {
            return queue_offset >= self.from && !bit(&self.pending, queue_offset - self.from);
        }
        self.rebuild.is_some_and(|(to, floor_ms)| queue_offset < to && entry.wake_ms <= floor_ms)
    }

    /// Behind it every unit is new.
    fn end(&self) -> u64 {
        self.to.max(self.rebuild.map_or(0, |(to, _)| to))
    }
}

/// The pending timers.
pub(super) struct Pending {
    /// With the queue offset of each.
    newest: BTreeMap<TimerEntry, u64>,
    /// Queue offset from which `newest` knows the units.
    newest_from: u64,
    read_to: u64,
    known: Known,
    runs: Vec<Run>,
    /// Entries of the runs that are done although earlier ones are not.
    ahead: BTreeSet<TimerEntry>,
    floor_ms: i64,
    span_max: u64,
    /// Whether there is anything that the saved state does not say.
    pub(super) changed: bool,
    /// Whether what was taken last makes sense only together with what comes next: in turn, and ahead of it.
    amid: [bool; 2],
}

impl Pending {
    /// As saved, with its runs opened.
    pub(super) fn new(state: State, runs: Vec<Run>, span_max: u64) -> Self {
        Self {
            newest: BTreeMap::new(),
            newest_from: state.read_from,
            read_to: state.read_from,
            known: Known { from: state.read_from, to: state.read_to, pending: state.pending, rebuild: state.rebuild },
            runs,
            ahead: state.ahead.into_iter().collect(),
            floor_ms: state.floor_ms,
            span_max,
            changed: false,
            amid: [false; 2],
        }
    }

    /// Nothing is trusted but the floor: all units of `queue` are read again.
    pub(super) fn rebuild(queue: std::ops::Range<u64>, floor_ms: i64, span_max: u64) -> Self {
        let state = State { read_from: queue.start, read_to: queue.start, floor_ms, ..State::default() };
        let mut fresh = Self::new(state, Vec::new(), span_max);
        fresh.known.rebuild = Some((queue.end, floor_ms));
        fresh.changed = true;
        fresh
    }

    /// Queue offset of the next unit to be read.
    pub(super) fn read_to(&self) -> u64 {
        self.read_to
    }

    /// Whether there is room for the next unit.
    pub(super) fn has_room(&self) -> bool {
        self.read_to.saturating_sub(self.newest_from) < self.span_max
    }

    /// Takes in the next unit; `None` when it is no timer.
    pub(super) fn add(&mut self, queue_offset: u64, entry: Option<TimerEntry>) {
        assert!(queue_offset >= self.read_to, "units are read in order");
        self.read_to = queue_offset + 1;
        self.changed = true;
        if let Some(entry) = entry.filter(|entry| !self.known.is_done(queue_offset, entry)) {
            self.newest.insert(entry, queue_offset);
        }
        if !self.has_room() {
            self.make_room();
        }
    }

    /// Moves the newest entries to a run in memory, unless the oldest of them are done anyway.
    fn make_room(&mut self) {
        self.newest_from = self.newest.values().min().copied().unwrap_or(self.read_to);
        if self.read_to - self.newest_from < self.span_max / 4 * 3 || self.frozen().is_some() {
            return;
        }
        let entries: Vec<_> = std::mem::take(&mut self.newest).into_keys().collect();
        self.runs.push(Run::in_memory(entries, self.newest_from));
        self.newest_from = self.read_to;
    }

    /// Numbers of the runs in files.
    pub(super) fn run_numbers(&self) -> impl Iterator<Item = u64> {
        self.runs.iter().filter(|run| !run.is_in_memory()).map(|run| run.seq)
    }

    /// The run that has to be written.
    pub(super) fn frozen(&self) -> Option<&Run> {
        self.runs.iter().find(|run| run.is_in_memory())
    }

    /// Puts the written run in the place of the one in memory.
    pub(super) fn written(&mut self, mut run: Run) {
        if let Some(frozen) = self.runs.iter_mut().find(|run| run.is_in_memory()) {
            run.done = frozen.done;
            *frozen = run;
            self.changed = true;
        }
        if !self.has_room() {
            self.make_room();
        }
    }

    /// Runs that should become one.
    pub(super) fn merge_candidates(&mut self) -> Option<Vec<Run>> {
        self.runs.retain(|run| run.left() > 0 || run.is_in_memory());
        let top = self.runs.iter().map(|run| run.level).max()?;
        (0..=top).find_map(|level| {
            let of_level: Vec<_> =
                self.runs.iter().filter(|r| r.level == level && !r.is_in_memory()).cloned().collect();
            (of_level.len() >= MERGE_RUNS).then_some(of_level)
        })
    }

    /// Puts the merged run in the place of its parts, which are as they were when the merge began; false when they are
    /// no longer there.
    pub(super) fn merged(&mut self, parts: &[Run], mut run: Run) -> bool {
        let mut done = 0;
        for part in parts {
            // A part that is no longer listed was taken to its end, unless all was rebuilt.
            let now = self.runs.iter().find(|run| run.seq == part.seq);
            done += now.map_or(part.count, |now| now.done) - part.done;
        }
        if !parts.iter().any(|part| self.runs.iter().any(|run| run.seq == part.seq)) {
            return false;
        }
        run.done = done;
        self.runs.retain(|run| !parts.iter().any(|part| part.seq == run.seq));
        self.runs.push(run);
        self.changed = true;
        true
    }

    /// The first entries that are to be looked at until `now_ms`, `max` at most.
    pub(super) fn due(&self, now_ms: i64, max: usize) -> io::Result<Vec<TimerEntry>> {
        let runs = self.runs.iter().filter(|run| run.left() > 0).cloned().collect();
        self.first(runs, self.newest.keys().copied(), now_ms, max)
    }

    /// The same of those that are to be looked at from `from_ms` on; none while too many are done ahead already.
    pub(super) fn due_from(&self, from_ms: i64, now_ms: i64, max: usize) -> io::Result<Vec<TimerEntry>> {
        self.between(from_ms, now_ms, max.min(AHEAD_MAX.saturating_sub(self.ahead.len())))
    }

    /// The first entries that are to be looked at from `from_ms` until `to_ms`, `max` at most.
    pub(super) fn between(&self, from_ms: i64, to_ms: i64, max: usize) -> io::Result<Vec<TimerEntry>> {
        let first = TimerEntry { wake_ms: from_ms, kind: TimerKind::Cancel, log_offset: 0, key_hash: 0 };
        let runs =
            self.runs.iter().filter(|run| run.left() > 0).map(|run| run.from(&first)).collect::<io::Result<_>>()?;
        self.first(runs, self.newest.range(first..).map(|(entry, _)| *entry), to_ms, max)
    }

    /// The first entries of these until `now_ms`, without those that are done ahead.
    fn first(
        &self,
        mut runs: Vec<Run>,
        newest: impl Iterator<Item = TimerEntry>,
        now_ms: i64,
        max: usize,
    ) -> io::Result<Vec<TimerEntry>> {
        let mut heads = runs.iter_mut().map(Run::head).collect::<io::Result<Vec<_>>>()?;
        let mut newest = newest.peekable();
        let mut due = Vec::new();
        while due.len() < max {
            let of_runs = heads.iter().enumerate().filter_map(|(n, head)| head.map(|head| (head, n))).min();
            let from_newest = newest.peek().copied().filter(|own| of_runs.is_none_or(|(head, _)| *own < head));
            let Some(next) = from_newest.or(of_runs.map(|(head, _)| head)) else { break };
            if next.wake_ms > now_ms {
                break;
            }
            if !self.ahead.contains(&next) {
                due.push(next);
            }
            match of_runs {
                Some((_, n)) if from_newest.is_none() => {
                    if let (Some(run), Some(head)) = (runs.get_mut(n), heads.get_mut(n)) {
                        run.done += 1;
                        *head = run.head()?;
                    }
                }
                _ => drop(newest.next()),
            }
        }
        Ok(due)
    }

    /// Marks the first entries as done, which [`Self::due`] has told; `amid` when that may be saved only together with
    /// what is taken next.
    pub(super) fn take(&mut self, entries: &[TimerEntry], amid: bool) -> io::Result<()> {
        let [_, ahead] = self.amid;
        self.amid = [amid, ahead];
        for entry in entries {
            self.changed = true;
            if self.newest.remove(entry).is_some() {
                continue;
            }
            self.pass_ahead()?;
            for run in &mut self.runs {
                if run.head()? == Some(*entry) {
                    run.done += 1;
                    break;
                }
            }
        }
        Ok(())
    }

    /// Marks entries as done, which [`Self::due_from`] has told, while earlier ones are not; `amid` as in [`Self::take`].
    pub(super) fn take_ahead(&mut self, entries: &[TimerEntry], amid: bool) {
        let [in_turn, _] = self.amid;
        self.amid = [in_turn, amid];
        for entry in entries {
            self.changed = true;
            if self.newest.remove(entry).is_none() {
                self.ahead.insert(*entry);
            }
        }
    }

    /// Goes over the entries that are done ahead, as far as it is their turn.
    fn pass_ahead(&mut self) -> io::Result<()> {
        while !self.ahead.is_empty() {
            let heads = self.runs.iter_mut().map(Run::head).collect::<io::Result<Vec<_>>>()?;
            let first = heads.iter().enumerate().filter_map(|(n, head)| head.map(|head| (head, n))).min();
            let Some((entry, n)) = first.filter(|(entry, _)| self.ahead.contains(entry)) else { break };
            if let Some(run) = self.runs.get_mut(n) {
                run.done += 1;
            }
            self.ahead.remove(&entry);
            self.changed = true;
        }
        Ok(())
    }

    /// When the first entry is to be looked at.
    pub(super) fn next_wake(&mut self) -> io::Result<Option<i64>> {
        self.pass_ahead()?;
        let mut first = self.newest.keys().next().copied();
        for run in &mut self.runs {
            if let Some(head) = run.head()? {
                first = Some(first.map_or(head, |first| first.min(head)));
            }
        }
        Ok(first.map(|entry| entry.wake_ms))
    }

    /// Whether the entry is pending.
    pub(super) fn contains(&self, entry: &TimerEntry) -> io::Result<bool> {
        if self.newest.contains_key(entry) {
            return Ok(true);
        }
        for run in &self.runs {
            if run.contains(entry)? {
                return Ok(!self.ahead.contains(entry));
            }
        }
        Ok(false)
    }

    /// Whether a cancellation waits at the same time with the same hash.
    pub(super) fn is_cancelled(&self, message: &TimerEntry) -> io::Result<bool> {
        let first = TimerEntry { kind: TimerKind::Cancel, log_offset: 0, key_hash: 0, ..*message };
        let fits = |entry: &TimerEntry| entry.kind == TimerKind::Cancel && entry.key_hash == message.key_hash;
        if self.newest.range(first..*message).any(|(entry, _)| fits(entry)) {
            return Ok(true);
        }
        for run in &self.runs {
            let mut reading = run.from(&first)?;
            while let Some(entry) = reading.head()?.filter(|e| e.wake_ms == first.wake_ms && e.kind == first.kind) {
                if fits(&entry) {
                    return Ok(true);
                }
                reading.done += 1;
            }
        }
        Ok(false)
    }

    /// How many there are.
    pub(super) fn len(&self) -> u64 {
        let of_runs = self.runs.iter().map(Run::left).sum::<u64>();
        (self.newest.len() as u64 + of_runs).saturating_sub(self.ahead.len() as u64)
    }

    /// No pending timer's record is before this log offset.
    pub(super) fn log_from(&self) -> Option<u64> {
        let runs = self.runs.iter().filter(|run| run.left() > 0).map(|run| run.log_from);
        self.newest.keys().map(|entry| entry.log_offset).chain(runs).min()
    }

    /// No pending timer's unit is before this queue offset.
    pub(super) fn queue_from(&self) -> u64 {
        let runs = self.runs.iter().filter(|run| run.left() > 0).map(|run| run.queue_from);
        self.newest.values().copied().chain(runs).min().unwrap_or(self.read_to)
    }

    /// Every entry up to this time is done.
    pub(super) fn floor_ms(&self) -> i64 {
        self.floor_ms
    }

    /// Brings the floor up; `caught_up` when every unit of the queue has been read.
    pub(super) fn raise_floor(&mut self, now_ms: i64, caught_up: bool) -> io::Result<()> {
        // A unit that was not read may be due earlier than all that were.
        let floor = if caught_up && self.read_to >= self.known.end() {
            self.next_wake()?.map_or(now_ms, |wake| now_ms.min(wake.saturating_sub(1)))
        } else {
            self.floor_ms.min(now_ms)
        };
        self.floor_ms = floor;
        Ok(())
    }

    /// What has to be saved; `None` while there is a run that must be written before, or something is half done.
    pub(super) fn state(&self, windows_ms: &[i64]) -> Option<State> {
        if self.amid.contains(&true) || self.frozen().is_some() {
            return None;
        }
        let read_to = self.read_to.max(self.known.to);
        let bits = usize::try_from((read_to - self.newest_from).div_ceil(8)).unwrap_or(0);
        let mut pending = vec![0; bits];
        for queue_offset in self.newest.values() {
            set_bit(&mut pending, queue_offset - self.newest_from);
        }
        for unread in self.read_to.max(self.known.from)..self.known.to {
            if bit(&self.known.pending, unread - self.known.from) {
                set_bit(&mut pending, unread - self.newest_from);
            }
        }
        Some(State {
            read_from: self.newest_from,
            read_to,
            floor_ms: self.floor_ms,
            rebuild: self.known.rebuild.filter(|(to, _)| *to > read_to),
            windows_ms: windows_ms.to_vec(),
            runs: self.runs.iter().filter(|run| run.left() > 0).map(Run::facts).collect(),
            ahead: self.ahead.iter().copied().collect(),
            pending,
        })
    }
}
