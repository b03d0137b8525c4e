//! Runs: sorted entries that no longer change, in memory until they are written, in a file from then on. How far a run
//! has been delivered is a number kept outside of it.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::entry::{BLOCK_ENTRIES, BLOCK_SIZE, TimerEntry, put_block, read_block};
use crate::disk::{Allocate, Disk, DiskFile, OpenMode};

/// Bytes gathered for one write.
const WRITE_SIZE: usize = 64 * BLOCK_SIZE;

/// The entries of a run.
#[derive(Clone)]
enum Entries {
    Memory(Arc<[TimerEntry]>),
    File(Arc<dyn DiskFile>),
}

/// A run and the place in it up to which its entries are done. Clones go on separately.
#[derive(Clone)]
pub(super) struct Run {
    entries: Entries,
    /// Number in its file's name; 0 while it is in memory.
    pub(super) seq: u64,
    /// How many merges its entries have been through.
    pub(super) level: u32,
    pub(super) count: u64,
    /// How many of them are done.
    pub(super) done: u64,
    /// Lowest log offset of its entries.
    pub(super) log_from: u64,
    /// Lowest queue offset of its entries.
    pub(super) queue_from: u64,
    /// The block that was read last, and its number.
    block: Option<(u64, Arc<[TimerEntry]>)>,
}

/// What is known of a run in a file without opening it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct RunFacts {
    pub(super) seq: u64,
    pub(super) level: u32,
    pub(super) count: u64,
    pub(super) done: u64,
    pub(super) log_from: u64,
    pub(super) queue_from: u64,
}

/// Each level takes eight runs of the one below, each with an entry at least.
const LEVEL_MAX: u32 = u64::BITS / 3 + 1;

impl RunFacts {
    /// Whether there can be such a run: its file has a length, and others can follow it.
    pub(super) fn are_possible(&self) -> bool {
        let has_length = self.count <= u64::MAX / BLOCK_SIZE as u64;
        has_length && self.done <= self.count && self.seq < u64::MAX && self.level <= LEVEL_MAX
    }
}

/// Name of a run's file.
pub(super) fn file_name(seq: u64) -> String {
    format!("{seq:020}.run")
}

impl Run {
    /// Sorted entries in memory.
    pub(super) fn in_memory(entries: Vec<TimerEntry>, queue_from: u64) -> Self {
        assert!(entries.is_sorted(), "a run is sorted");
        Self {
            seq: 0,
            level: 0,
            count: entries.len() as u64,
            done: 0,
            log_from: entries.iter().map(|entry| entry.log_offset).min().unwrap_or(u64::MAX),
            queue_from,
            entries: Entries::Memory(entries.into()),
            block: None,
        }
    }

    /// Opens the file of a run.
    pub(super) fn open(disk: &dyn Disk, dir: &Path, facts: RunFacts) -> io::Result<Self> {
        let file = disk.open(&dir.join(file_name(facts.seq)), OpenMode::Read)?;
        let run = Self::over(file, facts);
        if run.file_len() != blocks_len(facts.count) || facts.done > facts.count {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!("{} is not as long as it was", file_name(facts.seq)),
            ));
        }
        Ok(run)
    }

    fn over(file: Arc<dyn DiskFile>, facts: RunFacts) -> Self {
        Self {
            entries: Entries::File(file),
            seq: facts.seq,
            level: facts.level,
            count: facts.count,
            done: facts.done,
            log_from: facts.log_from,
            queue_from: facts.queue_from,
            block: None,
        }
    }

    fn file_len(&self) -> u64 {
        match &self.entries {
            Entries::Memory(_) => 0,
            Entries::File(file) => file.len(),
        }
    }

    pub(super) fn facts(&self) -> RunFacts {
        RunFacts {
            seq: self.seq,
            level: self.level,
            count: self.count,
            done: self.done,
            log_from: self.log_from,
            queue_from: self.queue_from,
        }
    }

    pub(super) fn is_in_memory(&self) -> bool {
        matches!(self.entries, Entries::Memory(_))
    }

    /// How many entries are not done.
    pub(super) fn left(&self) -> u64 {
        self.count.saturating_sub(self.done)
    }

    /// The first entry that is not done.
    pub(super) fn head(&mut self) -> io::Result<Option<TimerEntry>> {
        if self.done >= self.count { Ok(None) } else { self.entry(self.done).map(Some) }
    }

    fn entry(&mut self, index: u64) -> io::Result<TimerEntry> {
        let gone = || io::Error::new(io::ErrorKind::InvalidData, format!("a run has no timer {index}"));
        let file = match &self.entries {
            Entries::Memory(entries) => {
                let at = usize::try_from(index).map_err(io::Error::other)?;
                return entries.get(at).copied().ok_or_else(gone);
            }
            Entries::File(file) => file,
        };
        let (number, at) = (index / BLOCK_ENTRIES as u64, index % BLOCK_ENTRIES as u64);
        let at = usize::try_from(at).map_err(io::Error::other)?;
        if let Some((known, entries)) = &self.block
            && *known == number
        {
            return entries.get(at).copied().ok_or_else(gone);
        }
        let bytes = file.slice(number * BLOCK_SIZE as u64, BLOCK_SIZE)?;
        let entries: Arc<[TimerEntry]> = read_block(&bytes)?.into();
        let found = entries.get(at).copied().ok_or_else(gone);
        self.block = Some((number, entries));
        found
    }

    /// Whether an entry is in the run and not done.
    pub(super) fn contains(&self, wanted: &TimerEntry) -> io::Result<bool> {
        Ok(self.from(wanted)?.head()? == Some(*wanted))
    }

    /// The run from the first entry on that is not done and not before `wanted`: a binary search.
    pub(super) fn from(&self, wanted: &TimerEntry) -> io::Result<Self> {
        let mut reading = self.clone();
        let (mut low, mut high) = (self.done, self.count);
        while low < high {
            let middle = low.midpoint(high);
            if reading.entry(middle)? < *wanted {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        reading.done = low;
        Ok(reading)
    }
}

fn blocks_len(count: u64) -> u64 {
    count.div_ceil(BLOCK_ENTRIES as u64) * BLOCK_SIZE as u64
}

/// Writes the file of a run, entry by entry in their order.
pub(super) struct RunWriter {
    file: Arc<dyn DiskFile>,
    facts: RunFacts,
    block: Vec<TimerEntry>,
    bytes: Vec<u8>,
    at: u64,
    put: u64,
}

impl RunWriter {
    /// Begins the file of a run that will have `facts.count` entries.
    pub(super) fn create(disk: &dyn Disk, dir: &Path, facts: RunFacts) -> io::Result<Self> {
        let len = blocks_len(facts.count);
        let file = disk.open(&dir.join(file_name(facts.seq)), OpenMode::Create { len, allocate: Allocate::Full })?;
        Ok(Self { file, facts, block: Vec::with_capacity(BLOCK_ENTRIES), bytes: Vec::new(), at: 0, put: 0 })
    }

    /// Adds the next entry.
    pub(super) fn push(&mut self, entry: TimerEntry) -> io::Result<()> {
        self.block.push(entry);
        self.put += 1;
        if self.block.len() == BLOCK_ENTRIES {
            self.end_block()?;
        }
        Ok(())
    }

    fn end_block(&mut self) -> io::Result<()> {
        put_block(&self.block, &mut self.bytes);
        self.block.clear();
        if self.bytes.len() >= WRITE_SIZE { self.write() } else { Ok(()) }
    }

    fn write(&mut self) -> io::Result<()> {
        self.file.write_at(self.at, &self.bytes)?;
        self.file.write_back(self.at, self.bytes.len() as u64);
        self.at += self.bytes.len() as u64;
        self.bytes.clear();
        Ok(())
    }

    /// Makes the file and its name durable.
    pub(super) fn finish(mut self, disk: &dyn Disk, dir: &Path) -> io::Result<Run> {
        assert_eq!(self.put, self.facts.count, "a run has as many entries as were announced");
        if !self.block.is_empty() {
            self.end_block()?;
        }
        if !self.bytes.is_empty() {
            self.write()?;
        }
        self.file.sync_data()?;
        disk.sync_dir(dir)?;
        Ok(Run::over(self.file, self.facts))
    }
}
