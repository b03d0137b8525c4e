//! The files of one queue: a run of equal files without holes, opened when needed and few at a time.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use kerolox_wire::names::{QueueId, TopicName};
use smallvec::SmallVec;

use crate::disk::{Allocate, Disk, DiskFile, OpenMode};

/// Descriptors one queue keeps open: the file that is written and the one a late reader is in.
const OPEN_FILES_MAX: usize = 2;
/// Descriptors all queues keep open, where the system sets no lower limit.
const OPEN_FILES_ALL_MAX: usize = 16_384;
/// Digits of a file name: the position of its first byte in the queue.
const NAME_DIGITS: usize = 20;

/// What all queues of a store share.
pub(crate) struct Place {
    /// Where the files are.
    pub(crate) disk: Arc<dyn Disk>,
    /// Folder of all queues.
    pub(crate) root: PathBuf,
    /// Bytes of each file, whole units.
    pub(crate) file_size: u64,
    /// Descriptors that all queues together may keep open; beyond that a file is opened anew for each use.
    pub(crate) open_max: usize,
    /// Descriptors kept open now.
    pub(crate) open: Arc<AtomicUsize>,
}

impl Place {
    /// The folder `root`, whose queues keep no more than half of this process's descriptors.
    pub(crate) fn new(disk: Arc<dyn Disk>, root: &Path, file_size: u64) -> Self {
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let half = limit.and_then(|limit| usize::try_from(limit / 2).ok()).unwrap_or(OPEN_FILES_ALL_MAX);
        let open_max = half.min(OPEN_FILES_ALL_MAX);
        Self { disk, root: root.to_path_buf(), file_size, open_max, open: Arc::default() }
    }
}

/// Which queue's files are meant. The path is put together only when a file must be opened, made or removed.
#[derive(Clone, Copy)]
pub(crate) struct Home<'a> {
    pub(crate) place: &'a Place,
    pub(crate) topic: &'a TopicName,
    pub(crate) id: QueueId,
}

impl Home<'_> {
    /// The folder of the queue.
    pub(crate) fn folder(&self) -> PathBuf {
        self.place.root.join(self.topic.as_str()).join(self.id.to_string())
    }

    fn file(&self, start: u64) -> PathBuf {
        self.folder().join(format!("{start:0NAME_DIGITS$}"))
    }
}

/// Position of the first byte that a file name stands for.
pub(crate) fn parse_file_name(name: &str) -> Option<u64> {
    let legal = name.len() == NAME_DIGITS && name.bytes().all(|byte| byte.is_ascii_digit());
    // Positions are signed 64-bit numbers in the format.
    name.parse().ok().filter(|start| legal && i64::try_from(*start).is_ok())
}

struct OpenFile {
    start: u64,
    used: bool,
    file: Arc<dyn DiskFile>,
    /// Counts this descriptor.
    all: Arc<AtomicUsize>,
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        self.all.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The run of files of one queue. Positions are bytes from the queue's very first unit.
#[derive(Default)]
pub(crate) struct Files {
    /// Start of the first file.
    first: u64,
    /// How many there are.
    count: u64,
    open: SmallVec<[OpenFile; OPEN_FILES_MAX]>,
    dirty: Dirty,
    /// Whether the names of files found on the disk are known to be durable: a killed process may have left them.
    names_synced: bool,
}

/// What a sync of a queue has to do.
#[derive(Default)]
pub(crate) struct Dirty {
    /// Starts of the files written since the last sync.
    pub(crate) files: SmallVec<[u64; 1]>,
    /// Whether files were made or removed since the last sync.
    pub(crate) names_changed: bool,
    /// The sync before failed: what it did not write must be written again.
    pub(crate) failed: bool,
}

impl Files {
    /// A run of `count` files found on the disk.
    pub(crate) fn found(first: u64, count: u64) -> Self {
        Self { first, count, ..Self::default() }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Start of the first file.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// End of the last file.
    pub(crate) fn end(&self, place: &Place) -> u64 {
        self.count.saturating_mul(place.file_size).saturating_add(self.first)
    }

    /// Start of the last file.
    pub(crate) fn last(&self, place: &Place) -> u64 {
        self.end(place).saturating_sub(place.file_size).max(self.first)
    }

    /// The file that begins at `start`, opened if it is not.
    pub(crate) fn get(&mut self, home: Home<'_>, start: u64) -> io::Result<Arc<dyn DiskFile>> {
        if let Some(open) = self.open.iter_mut().find(|open| open.start == start) {
            open.used = true;
            return Ok(open.file.clone());
        }
        let file = home.place.disk.open(&home.file(start), OpenMode::ReadWrite)?;
        self.keep(home.place, start, &file);
        Ok(file)
    }

    /// Makes the file that begins at `start`, which must be the next one or the first of all.
    pub(crate) fn create(&mut self, home: Home<'_>, start: u64) -> io::Result<Arc<dyn DiskFile>> {
        assert!(self.count == 0 || start == self.end(home.place), "files of a queue have no holes");
        if self.count == 0 {
            home.place.disk.create_dir_all(&home.folder())?;
            self.first = start;
        } else if self.dirty.names_changed || !self.names_synced {
            // A crash must not take this file's name and leave the next one's: that would be a hole.
            home.place.disk.sync_dir(&home.folder())?;
        }
        let mode = OpenMode::Create { len: home.place.file_size, allocate: Allocate::Sparse };
        let file = home.place.disk.open(&home.file(start), mode)?;
        self.count = self.count.saturating_add(1);
        self.dirty.names_changed = true;
        self.names_synced = true;
        self.keep(home.place, start, &file);
        Ok(file)
    }

    /// Removes the oldest file.
    pub(crate) fn remove_first(&mut self, home: Home<'_>) -> io::Result<()> {
        self.remove(home, self.first)?;
        self.first = self.first.saturating_add(home.place.file_size);
        Ok(())
    }

    /// Removes the newest file for good: if it came back after a crash, without those before it, there would be a hole.
    pub(crate) fn remove_last(&mut self, home: Home<'_>) -> io::Result<()> {
        self.remove(home, self.last(home.place))?;
        home.place.disk.sync_dir(&home.folder())
    }

    fn remove(&mut self, home: Home<'_>, start: u64) -> io::Result<()> {
        match home.place.disk.remove(&home.file(start)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        self.open.retain(|open| open.start != start);
        self.dirty.files.retain(|dirty| *dirty != start);
        self.count = self.count.saturating_sub(1);
        self.dirty.names_changed = true;
        Ok(())
    }

    /// Notes that the file was written.
    pub(crate) fn mark_dirty(&mut self, start: u64) {
        self.dirty.names_changed |= !std::mem::replace(&mut self.names_synced, true);
        if !self.dirty.files.contains(&start) {
            self.dirty.files.push(start);
        }
    }

    /// What a sync has to do now; it counts as done from here on.
    pub(crate) fn take_dirty(&mut self) -> Dirty {
        std::mem::take(&mut self.dirty)
    }

    /// Takes back what a failed sync did not do.
    pub(crate) fn give_back(&mut self, work: Dirty) {
        for start in work.files {
            if start >= self.first {
                self.mark_dirty(start);
            }
        }
        self.dirty.names_changed |= work.names_changed;
        self.dirty.failed = true;
    }

    /// Closes what need not stay open for a sync.
    pub(crate) fn close(&mut self) {
        self.open.retain(|open| self.dirty.files.contains(&open.start));
    }

    /// Closes what was not used since the last call. Written files stay until they are synced, so that the descriptor
    /// that would report a failed write is the one that wrote.
    pub(crate) fn close_idle(&mut self) {
        let dirty = &self.dirty.files;
        self.open.retain(|open| std::mem::take(&mut open.used) || dirty.contains(&open.start));
    }

    /// Descriptors open now.
    #[cfg(test)]
    pub(crate) fn open_count(&self) -> usize {
        self.open.len()
    }

    fn keep(&mut self, place: &Place, start: u64, file: &Arc<dyn DiskFile>) {
        if self.open.len() >= OPEN_FILES_MAX {
            // The newest file is the one that is written; whatever else is open gives way.
            let newest = self.open.iter().map(|open| open.start).max();
            let victim = self.open.iter().position(|open| Some(open.start) != newest || newest < Some(start));
            self.open.remove(victim.unwrap_or(0));
        }
        let all = place.open.clone();
        if all.fetch_add(1, Ordering::Relaxed) >= place.open_max {
            all.fetch_sub(1, Ordering::Relaxed);
            return;
        }
        self.open.push(OpenFile { start, used: true, file: file.clone(), all });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_name_is_twenty_digits() {
        assert_eq!(parse_file_name("00000000000006000000"), Some(6_000_000));
        for bad in ["6000000", "0000000000000600000x", "+0000000000006000000", "99999999999999999999", ""] {
            assert_eq!(parse_file_name(bad), None, "{bad}");
        }
    }
}
