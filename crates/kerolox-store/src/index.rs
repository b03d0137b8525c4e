//! The key index: finds messages by topic and key.
//!
//! A batch's entries go to the newest file in one write and are the truth; slots live in memory and reach the file when
//! it is full or the store stops. After a crash they are derived again from the entries that the header counts; it is
//! written when these are durable, and when the file is full. The reference keeps no such order at all, so entries are
//! checked against each other too.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kerolox_wire::clock::Clock;
use kerolox_wire::names::LogOffset;
use kerolox_wire::tags::index_key_hash;
use parking_lot::Mutex;

use crate::disk::Disk;
use crate::queues::LoadError;

mod cut;
mod format;
mod name;
mod repair;
mod segment;
mod slots;

use format::{ENTRY_BYTES, Entry, Header, Layout};
use segment::{Search, Segment};
use slots::Slots;

/// Memory kept for the entries of a batch between batches.
const PENDING_KEPT_BYTES: usize = 1 << 20;

/// Seconds east of Greenwich that the local clock shows at a time given in milliseconds.
pub type UtcOffset = Arc<dyn Fn(i64) -> i32 + Send + Sync>;

/// How an index is opened.
pub struct IndexOpen {
    /// Slots per file.
    pub slots: u32,
    /// Entries per file.
    pub entries: u32,
    /// The last stop was a crash: what may be torn is checked and repaired.
    pub abnormal: bool,
    /// Index time of the checkpoint: files that end later are checked after a crash.
    pub checkpoint_index_ms: i64,
    /// Time for the names of new files.
    pub clock: Arc<dyn Clock>,
    /// Local time for the names of new files.
    pub utc_offset: UtcOffset,
}

/// The keys of one record.
#[derive(Debug, Clone, Copy)]
pub struct IndexKeys<'a> {
    /// The record's own topic.
    pub topic: &'a str,
    /// UNIQ_KEY property.
    pub uniq_key: Option<&'a str>,
    /// KEYS property, its parts separated by blanks.
    pub keys: Option<&'a str>,
    /// Where the record begins.
    pub log_offset: u64,
    /// When it was stored.
    pub store_timestamp: i64,
}

/// The key index.
pub struct Index {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    layout: Layout,
    clock: Arc<dyn Clock>,
    utc_offset: UtcOffset,
    rebuild_from: Option<u64>,
    /// Held for a batch of keys or to look up a slot; never while chains are walked or files are synced.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Files that are not written any more, oldest first.
    sealed: Vec<Sealed>,
    /// The newest file.
    active: Option<Active>,
    /// Records below this log offset have their keys in the index.
    next_log: u64,
    /// Whether keys were put since the open.
    joined: bool,
    /// Encoded entries not written yet; empty between batches.
    pending: Vec<u8>,
    /// Files sealed since the last sync.
    unsynced: Vec<(Arc<Segment>, Header)>,
    /// How often keys were taken back.
    cuts: u64,
    /// End time of the last full file that is durable.
    sealed_ms: i64,
}

struct Sealed {
    segment: Arc<Segment>,
    header: Header,
}

struct Active {
    segment: Arc<Segment>,
    header: Header,
    slots: Slots,
    /// The header in the file: what it counts is durable.
    durable: Header,
}

impl Index {
    /// Opens the index in `dir`, which is made with the first key.
    ///
    /// # Errors
    /// When a file has another size than `slots` and `entries` say, or the disk fails.
    pub fn open(disk: Arc<dyn Disk>, dir: &Path, how: IndexOpen) -> Result<Self, LoadError> {
        let layout = Layout::new(how.slots, how.entries);
        let found = repair::open(disk.as_ref(), dir, layout, how.abnormal, how.checkpoint_index_ms)?;
        let mut state = State { next_log: found.next_log, ..State::default() };
        state.sealed_ms = found.sealed.last().map_or(0, |last| last.header.end_ms);
        state.sealed = found.sealed;
        state.active = found.active;
        Ok(Self {
            disk,
            dir: dir.to_path_buf(),
            layout,
            clock: how.clock,
            utc_offset: how.utc_offset,
            rebuild_from: found.rebuild_from,
            state: Mutex::new(state),
        })
    }

    /// Log offset from which keys must be put again because the open found, or must assume, that some are missing.
    /// Always given after a crash; after a clean stop only when a file turned out to be damaged.
    #[must_use]
    pub fn rebuild_from(&self) -> Option<u64> {
        self.rebuild_from
    }

    /// Adds the keys of a batch of records, in log order. Records already there are skipped, but for the first call
    /// after an open: from its first record on everything comes again, and what the index has there is dropped. It may
    /// belong to records that a crash took from the log.
    ///
    /// # Errors
    /// When the disk fails. The same call may be made again.
    pub fn put(&self, batch: &[IndexKeys<'_>]) -> io::Result<()> {
        let mut state = self.state.lock();
        if let (false, Some(first)) = (state.joined, batch.first()) {
            cut::cut_back(self.disk.as_ref(), &self.dir, &mut state, first.log_offset)?;
            state.joined = true;
        }
        let mut undo = state.mark();
        let done = self.put_all(&mut state, batch, &mut undo);
        if done.is_err() {
            state.roll_back(&undo);
        }
        state.pending.clear();
        state.pending.shrink_to(PENDING_KEPT_BYTES);
        done
    }

    /// Records that may have the key, newest first, stored between the two times (whole seconds). Keys are known by
    /// their hashes alone, so records with another key come back too: the caller compares.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn query(&self, topic: &str, key: &str, max: usize, begin_ms: i64, end_ms: i64) -> io::Result<Vec<LogOffset>> {
        let search = Search { hash: index_key_hash(topic, key), begin_ms, end_ms, max };
        let slot = self.layout.slot_of(search.hash);
        let (active, sealed) = {
            let state = self.state.lock();
            let active = match &state.active {
                Some(active) => {
                    let newest = active.slots.get(active.segment.file.as_ref(), slot)?;
                    Some((active.segment.clone(), active.header, Some(newest)))
                }
                None => None,
            };
            let sealed = state.sealed.iter().rev().map(|sealed| (sealed.segment.clone(), sealed.header, None));
            (active, sealed.collect::<Vec<_>>())
        };
        let mut out = Vec::new();
        for (segment, header, newest) in active.into_iter().chain(sealed) {
            if header.overlaps(begin_ms, end_ms) {
                let newest = match newest {
                    Some(newest) => newest,
                    None => slots::read_slot(self.layout, segment.file.as_ref(), slot)?,
                };
                segment.search(&header, newest, &search, &mut out)?;
            }
            if out.len() >= max || header.begin_ms < begin_ms {
                break;
            }
        }
        Ok(out)
    }

    /// Store time and log offset of the newest record indexed; zeros without one.
    #[must_use]
    pub fn last_end(&self) -> (i64, u64) {
        let state = self.state.lock();
        state.newest().map_or((0, 0), |header| (header.end_ms, header.end_log))
    }

    /// End time of the last full file that is durable: the checkpoint's index time.
    #[must_use]
    pub fn sealed_ms(&self) -> i64 {
        self.state.lock().sealed_ms
    }

    /// Removes files that end below `log_begin`, never the last one. Returns how many.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn delete_expired(&self, log_begin: u64) -> io::Result<usize> {
        let mut state = self.state.lock();
        let mut removed = 0_usize;
        while let Some(oldest) = state.sealed.first() {
            let is_last = state.active.is_none() && state.sealed.len() == 1;
            if is_last || oldest.header.end_log >= log_begin {
                break;
            }
            remove_file(self.disk.as_ref(), &oldest.segment.path)?;
            let gone = state.sealed.remove(0);
            state.unsynced.retain(|(segment, _)| !Arc::ptr_eq(segment, &gone.segment));
            removed = removed.saturating_add(1);
        }
        Ok(removed)
    }

    /// For a timer: makes entries durable, so that little must be put again after a crash. Slots are left for later.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn sync(&self) -> io::Result<()> {
        self.sync_with(false)
    }

    /// For the clean stop: completes the newest file and makes everything durable.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn flush(&self) -> io::Result<()> {
        self.sync_with(true)
    }

    fn sync_with(&self, slots: bool) -> io::Result<()> {
        let (due, cuts) = {
            let mut state = self.state.lock();
            let mut due = state.unsynced.clone();
            if let Some(active) = &mut state.active {
                if slots {
                    active.slots.write(active.segment.file.as_ref())?;
                }
                if slots || active.durable != active.header {
                    due.push((active.segment.clone(), active.header));
                }
            }
            (due, state.cuts)
        };
        due.iter().try_for_each(|(segment, header)| self.make_durable(segment, header, cuts))
    }

    /// First the entries, then the header that counts them: so a header never counts an entry that a crash could take.
    /// The lock is not held while the disk works; if keys were taken back meanwhile, the header is out of date.
    fn make_durable(&self, segment: &Arc<Segment>, header: &Header, cuts: u64) -> io::Result<()> {
        segment.file.sync_data()?;
        {
            let state = self.state.lock();
            if state.cuts != cuts {
                return Ok(());
            }
            segment.write_header(header)?;
        }
        segment.file.sync_data()?;
        let mut state = self.state.lock();
        if state.cuts != cuts {
            return Ok(());
        }
        if let Some(active) = state.active.as_mut().filter(|active| Arc::ptr_eq(&active.segment, segment)) {
            active.durable = *header;
        }
        // A file that became full meanwhile has got more entries, which are due the next time.
        let sealed = state.unsynced.iter().position(|(due, full)| Arc::ptr_eq(due, segment) && full == header);
        if let Some(sealed) = sealed {
            state.unsynced.remove(sealed);
            state.sealed_ms = header.end_ms;
        }
        Ok(())
    }

    fn put_all(&self, state: &mut State, batch: &[IndexKeys<'_>], undo: &mut Mark) -> io::Result<()> {
        for record in batch.iter().filter(|record| i64::try_from(record.log_offset).is_ok()) {
            if record.log_offset < state.next_log {
                continue;
            }
            let parts = record.keys.unwrap_or_default().split(' ').filter(|key| !key.is_empty());
            for key in record.uniq_key.into_iter().chain(parts) {
                let hash = index_key_hash(record.topic, key);
                if state.active.as_ref().is_none_or(Active::is_full) {
                    state.write_pending()?;
                    *undo = state.mark();
                    self.begin_file(state)?;
                    *undo = state.mark();
                }
                state.add(hash, record)?;
            }
            state.next_log = record.log_offset.saturating_add(1);
        }
        state.write_pending()
    }

    /// Seals the newest file, if there is one, and begins another.
    fn begin_file(&self, state: &mut State) -> io::Result<()> {
        if let Some(active) = &mut state.active {
            active.slots.write(active.segment.file.as_ref())?;
            // The end of the process must not cost a full file. The end of power may leave a header whose entries are
            // lost; that is found out, since a file behind the checkpoint's time is checked entry by entry.
            active.segment.write_header(&active.header)?;
        }
        let now = self.clock.wall_ms();
        let last = state.active.as_ref().map(|active| &active.segment);
        let last = last.or(state.sealed.last().map(|sealed| &sealed.segment)).map(|segment| segment.name.as_str());
        let name = name::after(name::file_name(now, (self.utc_offset)(now)), last);
        let header = state.newest().map_or(Header::empty(0, 0), |last| Header::empty(last.end_ms, last.end_log));
        let segment = Arc::new(Segment::create(self.disk.as_ref(), &self.dir, name, self.layout, &header)?);
        // A crash must not take this file's name and leave the next one's: keys would be missing between them.
        self.disk.sync_dir(&self.dir)?;
        let slots = Slots::zeros(self.layout);
        if let Some(full) = state.active.replace(Active { segment, header, slots, durable: header }) {
            state.unsynced.push((full.segment.clone(), full.header));
            state.sealed.push(Sealed { segment: full.segment, header: full.header });
        }
        Ok(())
    }
}

/// Where to go back to when entries cannot be written.
struct Mark {
    header: Option<Header>,
    next_log: u64,
}

impl State {
    fn mark(&self) -> Mark {
        Mark { header: self.active.as_ref().map(|active| active.header), next_log: self.next_log }
    }

    /// Takes back what is pending.
    fn roll_back(&mut self, mark: &Mark) {
        self.next_log = mark.next_log;
        let (Some(active), Some(header)) = (&mut self.active, mark.header) else { return };
        for entry in self.pending.as_chunks::<ENTRY_BYTES>().0.iter().rev().map(Entry::decode) {
            let slot = active.segment.layout.slot_of(entry.hash);
            // The page is in memory since the entry was added, so this cannot fail.
            let _ = active.slots.replace(active.segment.file.as_ref(), slot, entry.prev);
        }
        active.header = header;
        self.pending.clear();
    }

    /// Adds one key to the newest file, in memory.
    fn add(&mut self, hash: u32, record: &IndexKeys<'_>) -> io::Result<()> {
        let Some(active) = &mut self.active else { return Err(io::ErrorKind::InvalidInput.into()) };
        let header = &mut active.header;
        let n = header.count;
        let slot = active.segment.layout.slot_of(hash);
        let prev = active.slots.replace(active.segment.file.as_ref(), slot, n)?;
        // A torn slot counts as empty.
        let prev = if prev >= n { 0 } else { prev };
        if header.is_empty() {
            header.begin_log = record.log_offset;
            header.begin_ms = record.store_timestamp;
        }
        let entry =
            Entry { hash, log_offset: record.log_offset, seconds: header.seconds_of(record.store_timestamp), prev };
        self.pending.extend_from_slice(&entry.encode());
        header.used_slots = header.used_slots.saturating_add(u32::from(prev == 0));
        header.count = n.saturating_add(1);
        header.end_log = record.log_offset;
        header.end_ms = record.store_timestamp;
        Ok(())
    }

    /// Writes the entries added since the last write, which are the newest of the newest file.
    fn write_pending(&mut self) -> io::Result<()> {
        let Some(active) = self.active.as_mut().filter(|_| !self.pending.is_empty()) else { return Ok(()) };
        let entries = u32::try_from(self.pending.len() / ENTRY_BYTES).unwrap_or(u32::MAX);
        let first = active.header.count.saturating_sub(entries);
        active.segment.file.write_at(active.segment.layout.entry_at(first), &self.pending)?;
        self.pending.clear();
        Ok(())
    }

    /// Header of the newest file.
    fn newest(&self) -> Option<&Header> {
        let active = self.active.as_ref().map(|active| &active.header);
        active.or(self.sealed.last().map(|sealed| &sealed.header))
    }
}

impl Active {
    fn is_full(&self) -> bool {
        self.header.count >= self.segment.layout.entries
    }
}

fn remove_file(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
