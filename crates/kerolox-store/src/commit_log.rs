//! The commit log: one sequence of records in which every message of the store stands once.
//! Appends take one short lock for a whole batch; readers never take it, they see the published end.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU64, Ordering};
use std::time::Duration;

use bytes::BytesMut;
use kerolox_wire::clock::Clock;
use kerolox_wire::names::{LogOffset, QueueOffset};
use kerolox_wire::record::{MAGIC_FILLER, Peek, peek};
use parking_lot::{Mutex, MutexGuard};
use smallvec::SmallVec;

use crate::batch::{AppendBatch, Appended, Item};
use crate::config::SEGMENT_FILLER;
use crate::consume_queue::Queue;
use crate::disk::Disk;
use crate::error::{AppendError, OpenError};
use crate::segment::{Segment, Segments};

/// Records looked at to reach one that is not dispatched yet. Dispatch is rarely a fraction of a second behind.
const HOPS_MAX: u32 = 100_000;
/// How long an append waits for one before it, whose write may hang. RocketMQ's brokers are busy after the same time.
const APPEND_PATIENCE: Duration = Duration::from_secs(1);

/// The log and its tail.
pub(crate) struct CommitLog {
    segments: Segments,
    clock: Arc<dyn Clock>,
    tail: Mutex<Tail>,
    /// Everything before it is written and never changes again.
    end: AtomicU64,
    /// Store time of the last record.
    last_store_ms: AtomicI64,
    sealed: OnceLock<String>,
    closed: AtomicBool,
    /// An append waited in vain for the tail.
    stuck: AtomicBool,
    room: Room,
}

/// Where the next record goes; guarded by the append lock, as are the queues' next offsets.
struct Tail {
    at: u64,
    /// The file that holds `at`; `None` when it has yet to be made.
    segment: Option<Arc<Segment>>,
}

/// Whether the disk has room for more, as last seen.
pub(crate) struct Room {
    full: AtomicBool,
    used: AtomicU8,
    limit: u8,
}

impl Room {
    /// Notes what was seen; returns whether that changed anything.
    pub(crate) fn set(&self, full: bool, used: u8) -> bool {
        self.used.store(used, Ordering::Relaxed);
        self.full.swap(full, Ordering::Relaxed) != full
    }

    pub(crate) fn is_full(&self) -> bool {
        self.full.load(Ordering::Relaxed)
    }

    pub(crate) fn used(&self) -> u8 {
        self.used.load(Ordering::Relaxed)
    }

    fn error(&self) -> AppendError {
        AppendError::DiskFull { used: self.used(), limit: self.limit }
    }
}

/// What an append did besides storing.
pub(crate) struct Outcome {
    pub(crate) appended: Vec<Appended>,
    /// The tail is in a file that it was not in before.
    pub(crate) rolled: bool,
}

impl CommitLog {
    /// Opens the files. The end is unknown until `set_end`.
    pub(crate) fn load(
        disk: Arc<dyn Disk>,
        dir: &Path,
        segment_size: u64,
        disk_full_ratio: u8,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, OpenError> {
        let segments = Segments::load(disk, dir, segment_size)?;
        Ok(Self {
            segments,
            clock,
            tail: Mutex::new(Tail { at: 0, segment: None }),
            end: AtomicU64::new(0),
            last_store_ms: AtomicI64::new(0),
            sealed: OnceLock::new(),
            closed: AtomicBool::new(false),
            stuck: AtomicBool::new(false),
            room: Room { full: AtomicBool::new(false), used: AtomicU8::new(0), limit: disk_full_ratio },
        })
    }

    pub(crate) fn segments(&self) -> &Segments {
        &self.segments
    }

    pub(crate) fn room(&self) -> &Room {
        &self.room
    }

    /// Everything before it can be read.
    pub(crate) fn end(&self) -> u64 {
        self.end.load(Ordering::SeqCst)
    }

    /// First offset held.
    pub(crate) fn begin(&self) -> u64 {
        self.segments.begin().unwrap_or(0)
    }

    /// Store time of the last record, 0 without one.
    pub(crate) fn last_store_ms(&self) -> i64 {
        self.last_store_ms.load(Ordering::Relaxed)
    }

    /// Places the tail where recovery found the end.
    pub(crate) fn set_end(&self, end: u64, last_store_ms: i64) {
        let mut tail = self.tail.lock();
        tail.at = end;
        tail.segment = self.segments.find(end);
        self.last_store_ms.store(last_store_ms, Ordering::Relaxed);
        self.end.store(end, Ordering::SeqCst);
    }

    /// Takes nothing more: what was written or synced can no longer be trusted.
    pub(crate) fn seal(&self, why: String) {
        tracing::error!(why, end = self.end(), "the log is sealed: reads go on, appends are refused until a restart");
        // The first reason is the cause, later ones are consequences.
        let _ = self.sealed.set(why);
    }

    /// Why the log takes nothing more.
    pub(crate) fn sealed(&self) -> Option<&str> {
        self.sealed.get().map(String::as_str)
    }

    /// Refuses appends from now on. Returns once no append is under way.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
        drop(self.tail.lock());
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Stores a batch as a whole or refuses it as a whole. `find` gives the queue that has the name of a deleted one now.
    pub(crate) fn append(
        &self,
        batch: &mut AppendBatch,
        find: impl Fn(&Queue) -> Arc<Queue>,
    ) -> Result<Outcome, AppendError> {
        let mut tail = self.lock()?;
        self.check_open()?;
        if self.room.is_full() {
            return Err(self.room.error());
        }
        batch.renew_queues(find);
        self.append_locked(&mut tail, batch)
    }

    /// As [`Self::append`], also on a disk that counts as full, and then calls `then` with the end before anything else
    /// is appended.
    pub(crate) fn append_and<T>(&self, batch: &mut AppendBatch, then: impl FnOnce(u64) -> T) -> Result<T, AppendError> {
        let mut tail = self.lock()?;
        self.check_open()?;
        self.append_locked(&mut tail, batch)?;
        Ok(then(tail.at))
    }

    /// Looks or changes something while nothing is appended; gets the end.
    pub(crate) fn between_appends<T>(&self, look: impl FnOnce(u64) -> T) -> T {
        let tail = self.tail.lock();
        look(tail.at)
    }

    /// Whether an append has found the log held by another for longer than [`APPEND_PATIENCE`], and it still is.
    pub(crate) fn is_stuck(&self) -> bool {
        self.stuck.load(Ordering::Relaxed)
    }

    fn lock(&self) -> Result<MutexGuard<'_, Tail>, AppendError> {
        let locked = match self.tail.try_lock() {
            Some(tail) => Some(tail),
            None if self.is_stuck() => None,
            None => self.tail.try_lock_for(APPEND_PATIENCE),
        };
        if self.is_stuck() == locked.is_some() {
            self.stuck.store(locked.is_none(), Ordering::Relaxed);
        }
        locked.ok_or(AppendError::Busy { waited: APPEND_PATIENCE })
    }

    fn append_locked(&self, tail: &mut Tail, batch: &mut AppendBatch) -> Result<Outcome, AppendError> {
        // Files are made before anything is written, so that a full disk leaves no trace behind the end.
        let mut fresh = if tail.holds(batch.bytes()) { SmallVec::new() } else { self.files_for(tail, batch.items())? };
        let rolled = !fresh.is_empty();
        let now_ms = self.clock.wall_ms();
        let start = tail.at;
        let before: SmallVec<[QueueOffset; 8]> = batch.items().iter().map(|item| item.queue.next_offset()).collect();
        let appended = match self.write(tail, &mut fresh, batch, now_ms) {
            Ok(appended) => appended,
            Err(e) => {
                for (item, next) in batch.items().iter().zip(before).rev() {
                    item.queue.set_next_offset(next);
                }
                self.segments.put_back(fresh);
                return Err(self.write_failed(tail, start, batch.bytes(), &e));
            }
        };
        self.last_store_ms.store(now_ms, Ordering::Relaxed);
        assert!(tail.at >= self.end(), "the log only grows");
        self.end.store(tail.at, Ordering::SeqCst);
        Ok(Outcome { appended, rolled })
    }

    /// Seals the log, but where the disk was merely full and nothing is left of the write: not every file system keeps
    /// the room that a file was made with.
    fn write_failed(&self, tail: &Tail, start: u64, len: usize, e: &io::Error) -> AppendError {
        if is_full(e) && tail.at == start && tail.blank(len) {
            if self.room.set(true, 100) {
                tracing::error!(at = start, "no room for a record: appends are refused until there is");
            }
            return self.room.error();
        }
        let why = format!("writing the log at {}: {e}", tail.at);
        self.seal(why.clone());
        AppendError::Sealed { why }
    }

    fn check_open(&self) -> Result<(), AppendError> {
        if let Some(why) = self.sealed() {
            return Err(AppendError::Sealed { why: why.to_owned() });
        }
        if self.is_closed() {
            return Err(AppendError::ShutDown);
        }
        Ok(())
    }

    /// The files that the items will need beyond the tail's own, in order.
    fn files_for(&self, tail: &Tail, items: &[Item]) -> Result<SmallVec<[Arc<Segment>; 1]>, AppendError> {
        let size = self.segments.size();
        let mut fresh = SmallVec::new();
        let mut at = tail.at;
        let mut have = tail.segment.is_some();
        for item in items {
            let len = item.size as u64;
            if len.saturating_add(SEGMENT_FILLER) > size {
                self.segments.put_back(fresh);
                return Err(AppendError::TooLarge { size: len, limit: size });
            }
            let file_end = self.segments.base_of(at).saturating_add(size);
            if have && len.saturating_add(SEGMENT_FILLER) > file_end.saturating_sub(at) {
                at = file_end;
                have = false;
            }
            if !have {
                match self.segments.take_next(at) {
                    Ok(segment) => fresh.push(segment),
                    Err(e) => {
                        self.segments.put_back(fresh);
                        return Err(self.no_file(e));
                    }
                }
                have = true;
            }
            at = at.saturating_add(len);
        }
        Ok(fresh)
    }

    fn no_file(&self, e: io::Error) -> AppendError {
        if is_full(&e) {
            if self.room.set(true, 100) {
                tracing::error!("no room for the next log file: appends are refused until there is");
            }
            return self.room.error();
        }
        tracing::error!(error = %e, "the next log file cannot be made");
        AppendError::Io(e)
    }

    /// Writes the items, one contiguous write per file. An error leaves the tail behind what was surely written.
    fn write(
        &self,
        tail: &mut Tail,
        fresh: &mut SmallVec<[Arc<Segment>; 1]>,
        batch: &mut AppendBatch,
        now_ms: i64,
    ) -> io::Result<Vec<Appended>> {
        let (items, mut rest) = batch.parts();
        let mut appended = Vec::with_capacity(items.len());
        // Bytes of `rest` that are settled and wait for their write at `tail.at`.
        let mut waiting = 0;
        for item in items {
            let at = tail.at.saturating_add(waiting as u64);
            let file_end = tail.segment.as_ref().map_or(at, |s| s.end());
            let mut at = at;
            if (item.size as u64).saturating_add(SEGMENT_FILLER) > file_end.saturating_sub(at) {
                let (ready, behind) = rest.split_at_mut(waiting);
                tail.fill_up(ready)?;
                rest = behind;
                waiting = 0;
                let next = fresh.remove(0);
                self.segments.push(Arc::clone(&next));
                tail.segment = Some(next);
                at = tail.at;
            }
            let first = if item.enters { item.queue.next_offset() } else { QueueOffset::ZERO };
            let (_, unsettled) = rest.split_at_mut(waiting);
            let (bytes, _) = unsettled.split_at_mut(item.size);
            appended.push(item.settle(bytes, LogOffset::new(at), first, now_ms));
            if item.enters {
                item.queue.set_next_offset(first + item.count() as u64);
            }
            waiting = waiting.saturating_add(item.size);
        }
        tail.put(rest)?;
        Ok(appended)
    }

    /// Appends `len` bytes from a log offset on to `out`; they must lie in one file and before the end.
    pub(crate) fn copy_to(&self, offset: u64, len: usize, out: &mut BytesMut) -> io::Result<()> {
        let segment = self.holding(offset, len)?;
        segment.file().append_to(offset.saturating_sub(segment.base()), len, out)
    }

    /// Reads bytes that must lie in one file and before the end.
    pub(crate) fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let segment = self.holding(offset, out.len())?;
        segment.file().read_at(offset.saturating_sub(segment.base()), out)
    }

    /// As [`Self::read`], of bytes that nobody here reads again.
    pub(crate) fn read_once(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let segment = self.holding(offset, out.len())?;
        segment.file().read_once(offset.saturating_sub(segment.base()), out)
    }

    /// Whether a record begins at `to`, going from record to record beginning with the one at `from`. Not beyond
    /// [`HOPS_MAX`] records.
    pub(crate) fn leads_to(&self, from: u64, to: u64) -> io::Result<bool> {
        let mut at = from;
        for _ in 0..HOPS_MAX {
            if at >= to {
                break;
            }
            let mut head = [0; 8];
            self.read(at, &mut head)?;
            at = match peek(&head) {
                Peek::Record { size } => at.saturating_add(size.into()),
                Peek::Filler { .. } => self.segments.base_of(at).saturating_add(self.segments.size()),
                Peek::Blank | Peek::Bad => break,
            };
        }
        Ok(at == to)
    }

    fn holding(&self, offset: u64, len: usize) -> io::Result<Arc<Segment>> {
        let end = self.end();
        if offset.saturating_add(len as u64) > end {
            let why = format!("log bytes {offset}+{len} lie behind the end {end}");
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
        }
        let gone = || io::Error::new(io::ErrorKind::NotFound, format!("log offset {offset} is no longer held"));
        self.segments.find(offset).ok_or_else(gone)
    }

    /// Makes the next file when the tail's own is more than half full, or the first one.
    pub(crate) fn prepare_next(&self) -> io::Result<()> {
        let end = self.end();
        let base = self.segments.base_of(end);
        match self.segments.find(end) {
            None => self.segments.prepare(base),
            Some(_) if end.saturating_sub(base) > self.segments.size() / 2 => {
                self.segments.prepare(base.saturating_add(self.segments.size()))
            }
            Some(_) => Ok(()),
        }
    }

    /// Whether the tail has passed the middle of its file: time to prepare the next.
    pub(crate) fn is_past_middle(&self, before: u64) -> bool {
        let middle = self.segments.size() / 2;
        let end = self.end();
        let place = |offset: u64| offset.saturating_sub(self.segments.base_of(offset));
        place(end) > middle && (place(before) <= middle || self.segments.base_of(before) != self.segments.base_of(end))
    }
}

impl Tail {
    /// Whether the present file has room for so many bytes and the mark behind them.
    fn holds(&self, bytes: usize) -> bool {
        let end = self.segment.as_ref().map_or(self.at, |segment| segment.end());
        (bytes as u64).saturating_add(SEGMENT_FILLER) <= end.saturating_sub(self.at)
    }

    /// Clears what a failed write may have left at the tail, for good; whether it could.
    fn blank(&self, len: usize) -> bool {
        let Some(segment) = &self.segment else { return false };
        let within = self.at.saturating_sub(segment.base());
        let len = (len as u64).min(segment.end().saturating_sub(self.at));
        segment.file().zero(within, len).and_then(|()| segment.file().sync_data()).is_ok()
    }

    /// Writes what is ready.
    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        let Some(segment) = &self.segment else { return Err(io::Error::other("no log file at the tail")) };
        segment.write(self.at, bytes)?;
        self.at = self.at.saturating_add(bytes.len() as u64);
        Ok(())
    }

    /// Writes what is ready and declares the rest of the file unused.
    fn fill_up(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.put(bytes)?;
        let Some(segment) = self.segment.take() else { return Ok(()) };
        let rest = segment.end().saturating_sub(self.at);
        segment.write(self.at, &filler(rest))?;
        self.at = segment.end();
        Ok(())
    }
}

/// The mark at the end of a full file: how many bytes are left, and a magic that is no record's.
pub(crate) fn filler(rest: u64) -> [u8; 8] {
    let rest = u32::try_from(rest).expect("a file's rest fits its field: file sizes are checked at the start");
    assert!(rest >= 8, "appends keep eight bytes free behind the last record");
    let mut out = [0; 8];
    let (size, magic) = out.split_at_mut(4);
    size.copy_from_slice(&rest.to_be_bytes());
    magic.copy_from_slice(&MAGIC_FILLER.to_be_bytes());
    out
}

/// Whether an error says that the disk has no room.
pub(crate) fn is_full(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}
