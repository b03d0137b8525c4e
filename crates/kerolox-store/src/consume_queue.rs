//! One queue of a topic: its messages in order, as fixed 20-byte units that point into the commit log.
//! Unit `n` stands at byte `20 * n` of the queue, in the file that covers this byte. Whatever precedes the first
//! message of a queue that does not begin at 0 is filled with blank units, which are never handed out.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use kerolox_wire::names::{QueueId, QueueOffset, TopicName};
use parking_lot::Mutex;
use smallvec::SmallVec;

use crate::disk::{DiskFile, rewrite};

mod files;
mod repair;
mod unit;

use files::{Dirty, Home};
pub(crate) use files::{Files, Place, parse_file_name};
pub use unit::{UNIT_SIZE, Unit};

/// Units that a gap may blank out. A larger one means that a record's queue offset is wrong: nothing is lost by
/// refusing, while following it could fill the disk with blanks.
pub const QUEUE_GAP_MAX: u64 = 1_000_000;
/// Units read at a time: a page and a bit, small enough for the stack.
const READ_UNITS: usize = 256;
const READ_BYTES: usize = READ_UNITS * unit::UNIT_BYTES;
/// Bytes of a write that need no memory of their own.
const STACK_BYTES: usize = 1024;

/// One queue; shared as `Arc`. An idle one costs a few hundred bytes and no descriptor.
///
/// One thread appends (dispatch), any thread reads. `tail` is taken before `files`.
pub struct Queue {
    topic: TopicName,
    id: QueueId,
    place: Arc<Place>,
    /// Records before this log offset belong to a queue of the same name that was deleted there.
    born_at: u64,
    next: AtomicU64,
    min: AtomicU64,
    max: AtomicU64,
    /// The queue was deleted: it gives no offsets and takes no units. Set under the append lock.
    deleted: AtomicBool,
    /// What this queue adds to the sum over all queues in the last mark that was saved.
    marked: AtomicU64,
    tail: Mutex<Tail>,
    /// Held to find or open a file, not while it is read or written.
    files: Mutex<Files>,
}

#[derive(Default)]
struct Tail {
    /// End in the log of the last unit's record.
    log_end: u64,
}

impl Queue {
    /// A queue of the given files whose records stand at or behind `born_at` in the log.
    pub(crate) fn new(topic: TopicName, id: QueueId, place: Arc<Place>, files: Files, born_at: u64) -> Self {
        let first = files.first() / UNIT_SIZE;
        Self {
            topic,
            id,
            place,
            born_at,
            next: AtomicU64::new(first),
            min: AtomicU64::new(first),
            max: AtomicU64::new(first),
            deleted: AtomicBool::new(false),
            marked: AtomicU64::new(0),
            tail: Mutex::default(),
            files: Mutex::new(files),
        }
    }

    /// The topic it belongs to.
    #[must_use]
    pub fn topic(&self) -> &TopicName {
        &self.topic
    }

    /// Its number within the topic.
    #[must_use]
    pub fn id(&self) -> QueueId {
        self.id
    }

    /// The offset the log tail gives next; runs ahead of `max` by what is not dispatched yet. Touched under the append
    /// lock only, and set to `max` by recovery and truncation.
    #[must_use]
    pub fn next_offset(&self) -> QueueOffset {
        QueueOffset::new(self.next.load(Ordering::Acquire))
    }

    /// Sets what the log tail gives next.
    pub(crate) fn set_next_offset(&self, next: QueueOffset) {
        assert!(next.get() >= self.max.load(Ordering::Acquire), "an offset that was dispatched is never given again");
        self.next.store(next.get(), Ordering::Release);
    }

    /// Log offset before which records belong to an earlier queue of this name.
    pub(crate) fn born_at(&self) -> u64 {
        self.born_at
    }

    /// Whether the queue was deleted: who still holds it must ask for the queue of its name again.
    pub(crate) fn is_deleted(&self) -> bool {
        self.deleted.load(Ordering::Acquire)
    }

    /// Ends the queue: from now on it gives no offsets and takes no units. Called under the append lock.
    pub(crate) fn set_deleted(&self) {
        self.deleted.store(true, Ordering::Release);
    }

    /// What the queue adds to the sum over all queues: its name and its ends. 0 for one that never had a message.
    pub(crate) fn checksum(&self) -> u64 {
        let (max, log_end) = (self.max().get(), self.log_end());
        if max == 0 {
            return 0;
        }
        let mut name = crc32fast::Hasher::new();
        name.update(self.topic.as_str().as_bytes());
        name.update(&self.id.get().to_be_bytes());
        let mut ends = name.clone();
        ends.update(&max.to_be_bytes());
        ends.update(&log_end.to_be_bytes());
        u64::from(name.finalize()) << 32 | u64::from(ends.finalize())
    }

    /// What the queue added to the sum in the last mark that was saved.
    pub(crate) fn marked(&self) -> u64 {
        self.marked.load(Ordering::Relaxed)
    }

    /// Notes what the queue added to the sum in a mark that was saved.
    pub(crate) fn set_marked(&self, checksum: u64) {
        self.marked.store(checksum, Ordering::Relaxed);
    }

    /// First offset that can be read.
    #[must_use]
    pub fn min(&self) -> QueueOffset {
        QueueOffset::new(self.min.load(Ordering::Acquire))
    }

    /// One past the last offset that can be read.
    #[must_use]
    pub fn max(&self) -> QueueOffset {
        QueueOffset::new(self.max.load(Ordering::Acquire))
    }

    /// End in the log of the last unit's record, 0 without one.
    #[must_use]
    pub fn log_end(&self) -> u64 {
        self.tail.lock().log_end
    }

    /// First offset of the file after the one that `at` lies in.
    #[must_use]
    pub fn next_file(&self, at: QueueOffset) -> QueueOffset {
        let units = self.units_per_file();
        QueueOffset::new((at.get() / units).saturating_add(1).saturating_mul(units))
    }

    /// Stores the units of consecutive messages, the first of which is number `first`, and then publishes them. Units
    /// already there are ignored. One write per file touched.
    ///
    /// # Errors
    /// When the disk fails: what was written before stays, so the same call may be made again. When `first` lies more
    /// than [`QUEUE_GAP_MAX`] beyond the end.
    pub fn append(&self, first: QueueOffset, units: &[Unit]) -> io::Result<()> {
        let mut tail = self.tail.lock();
        let Some((first, units)) = self.news(first.get(), units, tail.log_end) else {
            return Ok(());
        };
        if self.is_deleted() {
            return Ok(());
        }
        if let Some(unit) = units.iter().find(|unit| !unit.is_message()) {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{unit:?} is no message")));
        }
        let nothing_readable = self.min() >= self.max();
        let mut blank_from = self.begin_at(first)?;
        let mut rest = units;
        let mut at = first;
        while !rest.is_empty() {
            // Blanks come first, and may fill whole files.
            let blanks = first.saturating_sub(blank_from);
            let begin = if blanks > 0 { blank_from } else { at };
            let room = self.room_in_file(begin);
            let blanks_here = blanks.min(room);
            let (here, later) = rest.split_at(to_len(room.saturating_sub(blanks_here)).min(rest.len()));
            self.write(begin, blanks_here, here)?;
            blank_from = blank_from.saturating_add(blanks_here);
            rest = later;
            if let Some(last) = here.last() {
                at = at.saturating_add(to_u64(here.len()));
                tail.log_end = last.log_end();
                self.max.store(at, Ordering::Release);
                if nothing_readable {
                    self.min.store(first, Ordering::Release);
                }
            }
        }
        Ok(())
    }

    /// Appends up to `count` units from `from` on to `out`. Those given are consecutive; returns the offset of the
    /// first one, which is later than `from` when a gap had to be skipped.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn units(&self, from: QueueOffset, count: usize, out: &mut Vec<Unit>) -> io::Result<QueueOffset> {
        let (begin, end) = {
            let files = self.files.lock();
            (files.first() / UNIT_SIZE, files.end(&self.place) / UNIT_SIZE)
        };
        let max = self.max.load(Ordering::Acquire).min(end);
        let mut at = from.get().max(begin);
        let mut first = None;
        let mut left = to_u64(count);
        let mut bytes = [0; READ_BYTES];
        while at < max && left > 0 {
            let len = left.min(self.room_in_file(at)).min(max.saturating_sub(at)).min(to_u64(READ_UNITS));
            for unit in self.read(at, len, &mut bytes)? {
                // A blank or a damaged unit is no message: those before it are handed out, or else those behind it.
                if unit.is_message() {
                    first.get_or_insert(at);
                    out.push(unit);
                    left = left.saturating_sub(1);
                } else if first.is_some() {
                    return Ok(QueueOffset::new(first.unwrap_or(at)));
                }
                at = at.saturating_add(1);
            }
        }
        Ok(QueueOffset::new(first.unwrap_or(at)))
    }

    /// The unit of one message, if it is there.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn unit(&self, at: QueueOffset) -> io::Result<Option<Unit>> {
        if at < self.min() || at >= self.max() {
            return Ok(None);
        }
        Ok(Some(self.read_one(at.get())?).filter(Unit::is_message))
    }

    /// Makes all units durable. Files whose last sync failed are written again first: their pages may be in memory only,
    /// and the next sync would pass over them.
    ///
    /// # Errors
    /// When the disk fails; the next call tries again.
    pub fn flush(&self) -> io::Result<()> {
        let work = self.files.lock().take_dirty();
        let outcome = self.sync(&work);
        if outcome.is_err() {
            self.files.lock().give_back(work);
        }
        outcome
    }

    fn sync(&self, work: &Dirty) -> io::Result<()> {
        for start in &work.files {
            let file = self.file(*start)?;
            if work.failed {
                let written = self.max().get().saturating_mul(UNIT_SIZE).saturating_sub(*start);
                rewrite(file.as_ref(), 0, written.min(file.len()))?;
            }
            file.sync_data()?;
        }
        if work.names_changed { self.sync_names() } else { Ok(()) }
    }

    /// Closes descriptors that were not used since the last call.
    pub fn close_idle(&self) {
        self.files.lock().close_idle();
    }

    /// Removes all files and the folder of a deleted queue.
    ///
    /// # Errors
    /// When the disk fails; the next call goes on.
    pub(crate) fn destroy(&self) -> io::Result<()> {
        assert!(self.is_deleted(), "only a deleted queue loses its files");
        self.remove_files()?;
        let folder = self.home().folder();
        if self.place.disk.exists(&folder)
            && let Err(error) = self.place.disk.remove_dir(&folder)
        {
            // Somebody's file is in it: the queue is gone all the same.
            tracing::warn!(path = %folder.display(), %error, "folder of a deleted queue stays");
        }
        Ok(())
    }

    /// Drops all units: what comes next was given offsets from the beginning on. Records known so far stay known.
    ///
    /// # Errors
    /// When the disk fails; the next call goes on.
    pub(crate) fn begin_again(&self) -> io::Result<()> {
        self.remove_files()?;
        self.next.store(0, Ordering::Release);
        Ok(())
    }

    fn remove_files(&self) -> io::Result<()> {
        let _tail = self.tail.lock();
        self.min.store(0, Ordering::Release);
        self.max.store(0, Ordering::Release);
        let mut files = self.files.lock();
        while !files.is_empty() {
            files.remove_first(self.home())?;
        }
        *files = Files::default();
        Ok(())
    }

    /// What of `units` is not there yet: by its place in the queue and by its place in the log.
    fn news<'a>(&self, first: u64, units: &'a [Unit], log_end: u64) -> Option<(u64, &'a [Unit])> {
        let by_place = to_len(self.max.load(Ordering::Acquire).saturating_sub(first));
        let begin = log_end.max(self.born_at);
        let by_log = units.iter().take_while(|unit| unit.log_end() <= begin).count();
        let known = by_place.max(by_log);
        let news = units.get(known..)?;
        (!news.is_empty()).then_some((first.saturating_add(to_u64(known)), news))
    }

    /// Where blanks must begin so that the next unit can be number `first`.
    fn begin_at(&self, first: u64) -> io::Result<u64> {
        let wrong = |why: &str| {
            let max = self.max();
            let text = format!("queue {}/{} ends at {max}, unit {first} {why}", self.topic, self.id);
            Err(io::Error::new(io::ErrorKind::InvalidData, text))
        };
        if first > i64::MAX.cast_unsigned() / UNIT_SIZE / 2 {
            return wrong("is beyond every possible queue");
        }
        let mut files = self.files.lock();
        let (min, max) = (self.min().get(), self.max().get());
        let last_file_end = files.end(&self.place) / UNIT_SIZE;
        if first > last_file_end && min >= max {
            // Nothing readable is left: begin anew rather than fill the way with blanks.
            while !files.is_empty() {
                files.remove_first(self.home())?;
            }
        }
        if files.is_empty() {
            return Ok(first / self.units_per_file() * self.units_per_file());
        }
        // The first file may be there without a unit, when the disk failed after it was made.
        let end = max.max(files.first() / UNIT_SIZE);
        if first.saturating_sub(end) > QUEUE_GAP_MAX {
            return wrong("leaves a gap too large to fill");
        }
        if first > end && min < max {
            tracing::warn!(topic = %self.topic, queue = %self.id, end, next = first, "queue has a gap");
        }
        Ok(end)
    }

    /// Writes blanks and units at `begin`, all in one file.
    fn write(&self, begin: u64, blanks: u64, units: &[Unit]) -> io::Result<()> {
        let start = self.file_start(begin);
        let mut bytes = SmallVec::<[u8; STACK_BYTES]>::new();
        bytes.reserve(to_len(blanks).saturating_add(units.len()).saturating_mul(unit::UNIT_BYTES));
        for _ in 0..blanks {
            bytes.extend_from_slice(&Unit::BLANK.encode());
        }
        for unit in units {
            bytes.extend_from_slice(&unit.encode());
        }
        let file = {
            let mut files = self.files.lock();
            let file = if files.is_empty() || start >= files.end(&self.place) {
                files.create(self.home(), start)?
            } else {
                files.get(self.home(), start)?
            };
            files.mark_dirty(start);
            file
        };
        file.write_at(begin.saturating_mul(UNIT_SIZE).saturating_sub(start), &bytes)
    }

    /// Reads `len` units from `at` on, which lie in one file.
    fn read<'a>(
        &self,
        at: u64,
        len: u64,
        bytes: &'a mut [u8; READ_BYTES],
    ) -> io::Result<impl DoubleEndedIterator<Item = Unit> + ExactSizeIterator + use<'a>> {
        let start = self.file_start(at);
        let end = to_len(len).saturating_mul(unit::UNIT_BYTES);
        let wanted = bytes.get_mut(..end).ok_or(io::ErrorKind::InvalidInput)?;
        self.file(start)?.read_at(at.saturating_mul(UNIT_SIZE).saturating_sub(start), wanted)?;
        Ok(wanted.as_chunks().0.iter().map(Unit::decode))
    }

    fn read_one(&self, at: u64) -> io::Result<Unit> {
        let start = self.file_start(at);
        let mut bytes = [0; unit::UNIT_BYTES];
        self.file(start)?.read_at(at.saturating_mul(UNIT_SIZE).saturating_sub(start), &mut bytes)?;
        Ok(Unit::decode(&bytes))
    }

    fn file(&self, start: u64) -> io::Result<Arc<dyn DiskFile>> {
        self.files.lock().get(self.home(), start)
    }

    fn home(&self) -> Home<'_> {
        Home { place: &self.place, topic: &self.topic, id: self.id }
    }

    fn sync_names(&self) -> io::Result<()> {
        let folder = self.home().folder();
        // The queue, its topic, the folder of all queues, and the store's, which holds that one's name.
        for dir in folder.ancestors().take(4) {
            if self.place.disk.exists(dir) {
                self.place.disk.sync_dir(dir)?;
            }
        }
        Ok(())
    }

    fn units_per_file(&self) -> u64 {
        (self.place.file_size / UNIT_SIZE).max(1)
    }

    /// Units from `at` to the end of its file.
    fn room_in_file(&self, at: u64) -> u64 {
        self.units_per_file().saturating_sub(at % self.units_per_file())
    }

    /// Start, in bytes, of the file in which unit `at` lies.
    fn file_start(&self, at: u64) -> u64 {
        (at / self.units_per_file()).saturating_mul(self.place.file_size)
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Queue({}/{} {}..{})", self.topic, self.id, self.min(), self.max())
    }
}

/// Counts in memory and on disk are interchangeable: this runs on 64 bits only.
const fn to_u64(len: usize) -> u64 {
    len as u64
}

/// As [`to_u64`]; saturates elsewhere.
pub(crate) fn to_len(count: u64) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
