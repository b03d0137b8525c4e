//! The log's files: one fixed size, named by their first offset, without gaps.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;

use crate::disk::{Allocate, Disk, DiskFile, OpenMode, create_dir_durable};
use crate::error::OpenError;

/// One file of the log.
pub(crate) struct Segment {
    base: u64,
    file: Arc<dyn DiskFile>,
    path: PathBuf,
    /// Whether the folder's entry of this file is known to be durable.
    entry_durable: AtomicBool,
}

impl Segment {
    pub(crate) fn base(&self) -> u64 {
        self.base
    }

    pub(crate) fn end(&self) -> u64 {
        self.base.saturating_add(self.file.len())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn file(&self) -> &dyn DiskFile {
        self.file.as_ref()
    }

    /// Writes at a log offset inside of this file.
    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        assert!(offset >= self.base, "a write goes to the file that holds its offset");
        self.file.write_at(offset.saturating_sub(self.base), bytes)
    }
}

/// Name of the file that begins at `base`.
pub(crate) fn file_name(base: u64) -> String {
    format!("{base:020}")
}

/// All files of the log. The list is replaced as a whole, so readers look at it without a lock.
pub(crate) struct Segments {
    disk: Arc<dyn Disk>,
    dir: PathBuf,
    size: u64,
    list: ArcSwap<Vec<Arc<Segment>>>,
    /// Held while the list is replaced: appends add files while retention removes others.
    changing: Mutex<()>,
    /// Held while a file is removed: one round of retention at a time.
    removing: Mutex<()>,
    spare: Mutex<Spare>,
}

/// The next file, made before it is needed. Locked while it is made, so that whoever needs it waits.
struct Spare {
    ready: Option<Arc<Segment>>,
    /// Files before this offset are in the list or with an append that will put them there: they must not be made anew.
    given_until: u64,
}

impl Segments {
    /// Finds and opens the files of a folder.
    pub(crate) fn load(disk: Arc<dyn Disk>, dir: &Path, size: u64) -> Result<Self, OpenError> {
        create_dir_durable(disk.as_ref(), dir).map_err(OpenError::io(dir))?;
        let mut found = Vec::new();
        for entry in disk.list(dir).map_err(OpenError::io(dir))? {
            match entry.name.parse::<u64>() {
                Ok(base) if !entry.is_dir && entry.name.len() == 20 => found.push((base, entry.len)),
                _ => tracing::warn!(dir = %dir.display(), name = entry.name, "not a log file, ignored"),
            }
        }
        found.sort_unstable();
        finish_files(disk.as_ref(), dir, size, &mut found)?;
        let mut list = Vec::with_capacity(found.len());
        let mut expected_base = found.first().map_or(0, |(base, _)| *base);
        for (base, len) in found {
            let path = dir.join(file_name(base));
            if len != size {
                return Err(OpenError::SegmentSize { file: path, len, expected: size });
            }
            if base != expected_base || base % size != 0 {
                let why = format!("log files must follow each other; expected {}", file_name(expected_base));
                return Err(OpenError::Corrupt { file: path, offset: 0, why });
            }
            let file = disk.open(&path, OpenMode::ReadWrite).map_err(OpenError::io(&path))?;
            list.push(Arc::new(Segment { base, file, path, entry_durable: AtomicBool::new(false) }));
            expected_base = base.saturating_add(size);
        }
        let spare = Mutex::new(Spare { ready: None, given_until: expected_base });
        let (changing, removing) = (Mutex::default(), Mutex::default());
        Ok(Self { disk, dir: dir.to_path_buf(), size, list: ArcSwap::from_pointee(list), changing, removing, spare })
    }

    /// Bytes of one file.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Folder of the files.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// First offset of the file that holds `offset`.
    pub(crate) fn base_of(&self, offset: u64) -> u64 {
        offset.saturating_sub(offset % self.size)
    }

    /// The files as they are now, oldest first.
    pub(crate) fn list(&self) -> Arc<Vec<Arc<Segment>>> {
        self.list.load_full()
    }

    /// First offset held, `None` without any file.
    pub(crate) fn begin(&self) -> Option<u64> {
        self.list.load().first().map(|s| s.base)
    }

    /// The file that holds `offset`.
    pub(crate) fn find(&self, offset: u64) -> Option<Arc<Segment>> {
        let list = self.list.load();
        let first = list.first()?.base;
        let index = usize::try_from(offset.checked_sub(first)? / self.size).ok()?;
        list.get(index).cloned()
    }

    /// Makes the file that will begin at `base`, unless it is there already.
    pub(crate) fn prepare(&self, base: u64) -> io::Result<()> {
        let mut spare = self.spare.lock();
        if spare.ready.is_none() && base >= spare.given_until {
            spare.ready = Some(self.make(base)?);
        }
        Ok(())
    }

    /// Gives the file that begins at `base`, made now if nobody has prepared it. It is not in the list yet.
    pub(crate) fn take_next(&self, base: u64) -> io::Result<Arc<Segment>> {
        let mut spare = self.spare.lock();
        assert!(base >= spare.given_until, "a log file is made once");
        let segment = match spare.ready.take_if(|ready| ready.base == base) {
            Some(ready) => ready,
            None => self.make(base)?,
        };
        spare.given_until = segment.end();
        Ok(segment)
    }

    /// Takes back files that were not needed after all.
    pub(crate) fn put_back(&self, segments: impl IntoIterator<Item = Arc<Segment>>) {
        let mut spare = self.spare.lock();
        let mut segments = segments.into_iter();
        if let Some(first) = segments.next() {
            spare.given_until = first.base;
            spare.ready = Some(first);
        }
        // Only the first can be the next file.
        for later in segments {
            if let Err(error) = self.disk.remove(later.path()) {
                tracing::warn!(path = %later.path().display(), %error, "an unused log file stays until the next start");
            }
        }
    }

    /// Adds the file behind the last one.
    pub(crate) fn push(&self, segment: Arc<Segment>) {
        self.change(|list| {
            assert!(list.last().is_none_or(|last| last.end() == segment.base), "log files follow each other");
            list.push(segment);
        });
    }

    /// Removes `oldest`, if it still is the oldest of several; readers that hold it go on. Returns whether it was.
    pub(crate) fn remove_oldest(&self, oldest: &Segment) -> io::Result<bool> {
        let _one = self.removing.lock();
        let list = self.list.load_full();
        if list.len() < 2 || list.first().is_none_or(|first| first.base != oldest.base) {
            return Ok(false);
        }
        match self.disk.remove(oldest.path()) {
            // Who took it away did what was to be done.
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => self.change(|list| list.retain(|segment| segment.base != oldest.base)),
        }
        // If it came back after a crash, without those behind it, there would be a hole.
        self.disk.sync_dir(&self.dir)?;
        Ok(true)
    }

    fn change(&self, edit: impl FnOnce(&mut Vec<Arc<Segment>>)) {
        let _one = self.changing.lock();
        let mut list = self.list.load().to_vec();
        edit(&mut list);
        assert!(list.is_sorted_by(|a, b| a.end() == b.base), "log files stay in order and without holes");
        self.list.store(Arc::new(list));
    }

    /// Removes the files that begin at `from` or later: a cut after a crash.
    pub(crate) fn remove_from(&self, from: u64) -> io::Result<()> {
        let list = self.list.load_full();
        let (keep, cut): (Vec<_>, Vec<_>) = list.iter().cloned().partition(|s| s.base < from);
        if cut.is_empty() {
            return Ok(());
        }
        // The last first, each for good: what is left by a crash in between has no gap, and a cut file that came back with
        // the next one would be read behind newer records.
        for segment in cut.iter().rev() {
            self.disk.remove(segment.path())?;
            self.disk.sync_dir(&self.dir)?;
        }
        self.spare.lock().given_until = keep.last().map_or(from, |last| last.end());
        self.change(|list| *list = keep);
        Ok(())
    }

    /// Removes the file made ahead: a clean stop leaves only files with records.
    pub(crate) fn remove_spare(&self) -> io::Result<()> {
        match self.spare.lock().ready.take() {
            Some(spare) => self.disk.remove(spare.path()),
            None => Ok(()),
        }
    }

    /// Makes the folder's entries durable: those of files that a killed process left may not be.
    pub(crate) fn sync_names(&self) -> io::Result<()> {
        self.disk.sync_dir(&self.dir)?;
        for segment in self.list().iter() {
            segment.entry_durable.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Makes a file and its entry in the folder durable.
    pub(crate) fn sync(&self, segment: &Segment) -> io::Result<()> {
        segment.file.sync_data()?;
        self.sync_entry(segment)
    }

    fn sync_entry(&self, segment: &Segment) -> io::Result<()> {
        if !segment.entry_durable.load(Ordering::Acquire) {
            self.disk.sync_dir(&self.dir)?;
            segment.entry_durable.store(true, Ordering::Release);
        }
        Ok(())
    }

    fn make(&self, base: u64) -> io::Result<Arc<Segment>> {
        // A crash must not take the name before this one and leave this one: that would be a hole.
        match self.list.load().last() {
            Some(last) if last.end() == base => self.sync_entry(last)?,
            // The one before belongs to the same append and is not in the list yet.
            Some(_) => self.disk.sync_dir(&self.dir)?,
            None => {}
        }
        let path = self.dir.join(file_name(base));
        let file = self.disk.open(&path, OpenMode::Create { len: self.size, allocate: Allocate::Full })?;
        Ok(Arc::new(Segment { base, file, path, entry_durable: AtomicBool::new(false) }))
    }
}

/// Puts right the files that a crash came into while they were made: at the end they go, before others they are made anew,
/// which costs nothing, since they hold nothing.
fn finish_files(disk: &dyn Disk, dir: &Path, size: u64, found: &mut Vec<(u64, u64)>) -> Result<(), OpenError> {
    let path = |base: u64| dir.join(file_name(base));
    while let Some((base, len)) = found.last().copied()
        && len < size
        && is_unfinished(disk, &path(base), len)?
    {
        tracing::warn!(path = %path(base).display(), len, "log file that was never finished removed");
        disk.remove(&path(base)).and_then(|()| disk.sync_dir(dir)).map_err(OpenError::io(&path(base)))?;
        found.pop();
    }
    for (base, len) in found.iter_mut().filter(|(_, len)| *len == 0) {
        tracing::error!(path = %path(*base).display(), "log file lost its content before it was synced; it is blank now");
        let mode = OpenMode::Create { len: size, allocate: Allocate::Full };
        disk.open(&path(*base), mode).map_err(OpenError::io(&path(*base)))?;
        *len = size;
    }
    Ok(())
}

/// Whether a file of the wrong length holds nothing yet.
fn is_unfinished(disk: &dyn Disk, path: &Path, len: u64) -> Result<bool, OpenError> {
    let probe = usize::try_from(len.min(8)).unwrap_or(0);
    if probe == 0 {
        return Ok(true);
    }
    let file = disk.open(path, OpenMode::Read).map_err(OpenError::io(path))?;
    let head = file.slice(0, probe).map_err(OpenError::io(path))?;
    Ok(head.iter().all(|b| *b == 0))
}
