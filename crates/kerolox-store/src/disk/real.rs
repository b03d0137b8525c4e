//! Files of the operating system: written with positioned writes, so that a full disk is an error and never a signal,
//! and read through a map of the page cache once they turn out to be read often.

use std::any::Any;
use std::collections::BTreeSet;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use parking_lot::Mutex;
use rustix::fs::{FallocateFlags, SeekFrom};
use rustix::io::Errno;

use super::mapped::{Map, cut_while_open};
use super::{Allocate, DirEntry, Disk, DiskFile, DiskUsage, OpenMode, check_range};

/// Reads of a file before it is mapped. A map costs more than that many positioned reads, above all the first touch of
/// each page; most of ten thousand queues are only looked at when the store opens.
const READS_BEFORE_MAP: u32 = 64;

/// The disks of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub struct RealDisk;

/// Bytes of memory that this machine has; 24 GiB when it does not say, as the reference assumes.
#[must_use]
pub fn physical_memory() -> u64 {
    let info = rustix::system::sysinfo();
    #[allow(clippy::useless_conversion, reason = "the width of these fields differs between platforms")]
    let total = u64::from(info.totalram).saturating_mul(u64::from(info.mem_unit));
    if total == 0 { 24 << 30 } else { total }
}

impl Disk for RealDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let file = match mode {
            OpenMode::Read => File::open(path)?,
            OpenMode::ReadWrite => OpenOptions::new().read(true).write(true).open(path)?,
            OpenMode::Create { len, allocate } => create(path, len, allocate)?,
        };
        let len = file.metadata()?.len();
        Ok(Arc::new(RealFile { file, path: path.into(), len, reads: AtomicU32::new(0), map: OnceLock::new() }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let entries = match fs::read_dir(dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(e),
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry?;
            // Names that are no text belong to nobody we know.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let meta = match entry.metadata() {
                Ok(meta) => meta,
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Err(e) => return Err(e),
            };
            let is_dir = meta.is_dir();
            let len = if is_dir { 0 } else { meta.len() };
            found.push(DirEntry { name, len, is_dir, modified_ms: millis(meta.modified()?) });
        }
        Ok(found)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        fs::remove_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        let above = parent(path);
        self.create_dir_all(above)?;
        match fs::create_dir(path) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
            other => other?,
        }
        // Its name is an entry of the folder above, which a power loss forgets otherwise.
        self.sync_dir(above)
    }

    fn exists(&self, path: &Path) -> bool {
        path.exists()
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn read_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn write_file_atomic(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let temporary = with_suffix(path, ".tmp");
        let file = File::create(&temporary)?;
        // A file that only its owner may read, as one with secrets, stays one.
        if let Ok(old) = fs::metadata(path) {
            file.set_permissions(old.permissions())?;
        }
        file.write_all_at(bytes, 0)?;
        file.sync_all()?;
        if path.exists() {
            let backup = with_suffix(path, ".bak");
            match fs::remove_file(&backup) {
                Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
                _ => {}
            }
            // A second name for the old text costs nothing; not every file system can.
            if fs::hard_link(path, &backup).is_err() {
                fs::copy(path, &backup)?;
            }
        }
        fs::rename(&temporary, path)?;
        self.sync_dir(parent(path))
    }

    fn usage(&self, path: &Path) -> io::Result<DiskUsage> {
        // As `df` does: blocks kept for the administrator are neither used nor free.
        let stat = rustix::fs::statvfs(existing_ancestor(path))?;
        let used = stat.f_blocks.saturating_sub(stat.f_bfree);
        let total = used.saturating_add(stat.f_bavail).saturating_mul(stat.f_frsize);
        Ok(DiskUsage { total, free: stat.f_bavail.saturating_mul(stat.f_frsize) })
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send>> {
        HeldLock::take(path).map(|held| Box::new(held) as Box<dyn Any + Send>)
    }
}

fn create(path: &Path, len: u64, allocate: Allocate) -> io::Result<File> {
    // A new inode: readers that still map the old file keep its bytes.
    match fs::remove_file(path) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
        _ => {}
    }
    let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
    let sized = match allocate {
        Allocate::Sparse => file.set_len(len),
        Allocate::Full => match rustix::fs::fallocate(&file, FallocateFlags::empty(), 0, len) {
            Err(error) if is_unsupported(error) => {
                tell_unreserved(path);
                file.set_len(len)
            }
            other => other.map_err(io::Error::from),
        },
    };
    if let Err(e) = sized {
        // A file of the wrong length would stop the next start.
        let _ = fs::remove_file(path);
        return Err(e);
    }
    Ok(file)
}

/// Whether a file system cannot reserve room, rather than having none.
fn is_unsupported(error: Errno) -> bool {
    matches!(error, Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL)
}

/// Says once that files have only as much room as the disk has when they are written.
fn tell_unreserved(path: &Path) {
    static TOLD: AtomicBool = AtomicBool::new(false);
    if !TOLD.swap(true, Ordering::Relaxed) {
        tracing::warn!(
            path = %path.display(),
            "the file system cannot reserve room for files: a write of the log can meet a full disk; leave room free"
        );
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

fn existing_ancestor(path: &Path) -> &Path {
    path.ancestors().find(|p| p.exists()).unwrap_or_else(|| Path::new("/"))
}

fn millis(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Data directories locked by this process. The system's record locks belong to the process and vanish when any handle
/// of the file is closed, so a second attempt from within must not even open it.
static HELD: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());

struct HeldLock {
    name: PathBuf,
    /// Released by closing the file; an option so that this happens before the name is given free.
    file: Option<File>,
}

impl HeldLock {
    fn take(path: &Path) -> io::Result<Self> {
        let name = parent(path).canonicalize()?.join(path.file_name().unwrap_or_default());
        let mut held = HELD.lock();
        if held.contains(&name) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        // A lock of the whole file excludes the reference, which locks its first byte.
        match rustix::fs::fcntl_lock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
            Err(Errno::AGAIN | Errno::ACCESS) => return Err(io::ErrorKind::WouldBlock.into()),
            other => other?,
        }
        file.write_all_at(b"lock", 0)?;
        // Tried at each start, since no file may have to be created for days.
        if rustix::fs::fallocate(&file, FallocateFlags::KEEP_SIZE, 0, 4096).is_err_and(is_unsupported) {
            tell_unreserved(path);
        }
        held.insert(name.clone());
        Ok(Self { name, file: Some(file) })
    }
}

impl Drop for HeldLock {
    fn drop(&mut self) {
        let mut held = HELD.lock();
        drop(self.file.take());
        held.remove(&self.name);
    }
}

struct RealFile {
    file: File,
    path: Box<Path>,
    len: u64,
    /// Reads so far, until there is a map.
    reads: AtomicU32,
    /// `None` inside when mapping failed: then reads are positioned reads.
    map: OnceLock<Option<Map>>,
}

impl RealFile {
    /// The map to read from; `None` while reads are positioned reads.
    fn map(&self) -> Option<&Map> {
        let map = match self.map.get() {
            Some(map) => map,
            None if self.reads.fetch_add(1, Ordering::Relaxed) < READS_BEFORE_MAP => return None,
            None => self.map.get_or_init(|| Map::new(&self.file, self.len)),
        };
        map.as_ref().filter(|map| !map.is_broken())
    }

    /// Says what a read of the map did not get. The positioned read that follows tells whether the disk has it.
    fn tell_lost(&self, offset: u64, len: usize) {
        tracing::error!(
            path = %self.path.display(), offset, len,
            "failed to read a page of a mapped file; it is read without the map from now on; check the disk"
        );
    }

    fn read_positioned(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_exact_at(out, offset).map_err(|error| match error.kind() {
            // The range was checked: the end of the file is no longer where it was.
            io::ErrorKind::UnexpectedEof => cut_while_open(offset, out.len()),
            _ => error,
        })
    }
}

impl DiskFile for RealFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        check_range(self.len, offset, bytes.len())?;
        self.file.write_all_at(bytes, offset)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        check_range(self.len, offset, out.len())?;
        if let Some(map) = self.map() {
            if map.read(offset, out) {
                return Ok(());
            }
            self.tell_lost(offset, out.len());
        }
        self.read_positioned(offset, out)
    }

    fn read_once(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        check_range(self.len, offset, out.len())?;
        self.read_positioned(offset, out)
    }

    fn append_to(&self, offset: u64, len: usize, out: &mut BytesMut) -> io::Result<()> {
        check_range(self.len, offset, len)?;
        if let Some(map) = self.map() {
            if map.append_to(offset, len, out) {
                return Ok(());
            }
            self.tell_lost(offset, len);
        }
        let start = out.len();
        out.resize(start.saturating_add(len), 0);
        let (_, fresh) = out.split_at_mut(start);
        let read = self.read_positioned(offset, fresh);
        if read.is_err() {
            out.truncate(start);
        }
        read
    }

    fn data_from(&self, offset: u64) -> u64 {
        // Moves the file's own position, which nothing here uses.
        match rustix::fs::seek(&self.file, SeekFrom::Data(offset)) {
            Ok(at) => at,
            Err(Errno::NXIO) => self.len,
            Err(_) => offset,
        }
    }

    fn zero(&self, offset: u64, len: u64) -> io::Result<()> {
        if len == 0 {
            return Ok(());
        }
        check_range(self.len, offset, usize::try_from(len).unwrap_or(usize::MAX))?;
        // Both drop the range from the page cache, so that no older page is written over it later, and both change the
        // inode in a way that `fdatasync` waits for: the next sync makes the zeros durable as it does written bytes.
        let punch = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        for flags in [FallocateFlags::ZERO_RANGE, punch] {
            if rustix::fs::fallocate(&self.file, flags, offset, len).is_ok() {
                return Ok(());
            }
        }
        self.zero_by_hand(offset, len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write_back(&self, _offset: u64, _len: u64) {
        // The system's own write-back starts within seconds; a hint needs a call that our bindings do not offer.
    }

    fn modified_ms(&self) -> io::Result<i64> {
        Ok(millis(self.file.metadata()?.modified()?))
    }
}

impl RealFile {
    /// Writes zeros over what is not zero.
    fn zero_by_hand(&self, offset: u64, len: u64) -> io::Result<()> {
        const STEP: usize = 64 << 10;
        let zeros = [0_u8; STEP];
        let mut buf = vec![0_u8; STEP];
        let mut at = offset;
        let end = offset.saturating_add(len);
        while at < end {
            let step = usize::try_from(end.saturating_sub(at)).unwrap_or(STEP).min(STEP);
            let (part, _) = buf.split_at_mut(step);
            self.read_positioned(at, part)?;
            if part.iter().any(|b| *b != 0) {
                let (fresh, _) = zeros.split_at(step);
                self.file.write_all_at(fresh, at)?;
            }
            at = at.saturating_add(step as u64);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(dir: &Path, name: &str, len: u64, allocate: Allocate) -> Arc<dyn DiskFile> {
        RealDisk.open(&dir.join(name), OpenMode::Create { len, allocate }).unwrap()
    }

    #[test]
    fn bytes_come_back_and_ranges_are_checked() {
        let dir = tempfile::tempdir().unwrap();
        for allocate in [Allocate::Full, Allocate::Sparse] {
            let file = file(dir.path(), "a", 10_000, allocate);
            assert_eq!(file.slice(0, 10_000).unwrap(), vec![0; 10_000]);
            file.write_at(9_990, b"0123456789").unwrap();
            assert_eq!(file.slice(9_989, 4).unwrap(), b"\x00012");
            assert!(file.write_at(9_991, b"0123456789").is_err());
            assert_eq!(file.slice(9_991, 10).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
            let mut out = BytesMut::from(&b"x"[..]);
            file.append_to(9_998, 2, &mut out).unwrap();
            assert_eq!(&out[..], b"x89");
            file.zero(9_995, 5).unwrap();
            // Often enough that the file is mapped on the way.
            for _ in 0..=READS_BEFORE_MAP {
                assert_eq!(file.slice(9_990, 10).unwrap(), b"01234\0\0\0\0\0");
            }
            file.append_to(9_990, 3, &mut out).unwrap();
            assert_eq!(&out[..], b"x89012");
            assert!(file.append_to(9_999, 2, &mut out).is_err());
        }
    }

    #[test]
    fn file_cut_while_mapped_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let cut = file(dir.path(), "a", 1 << 20, Allocate::Full);
        let whole = file(dir.path(), "b", 1 << 20, Allocate::Full);
        for _ in 0..=READS_BEFORE_MAP {
            assert_eq!(cut.slice(500_000, 3).unwrap(), [0; 3]);
            assert_eq!(whole.slice(500_000, 3).unwrap(), [0; 3]);
        }
        OpenOptions::new().write(true).open(dir.path().join("a")).unwrap().set_len(10_000).unwrap();
        let mut out = BytesMut::from(&b"x"[..]);
        assert!(cut.append_to(500_000, 100, &mut out).is_err());
        assert_eq!(&out[..], b"x");
        let error = cut.slice(600_000, 100).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::Other, "not taken for a range outside of the file: {error}");
        assert_eq!(cut.slice(9_990, 10).unwrap(), [0; 10], "what is there can be read");
        assert_eq!(whole.slice(600_000, 3).unwrap(), [0; 3]);
    }

    #[test]
    fn folders_are_created_below_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b/c");
        RealDisk.create_dir_all(&deep).unwrap();
        RealDisk.create_dir_all(&deep).unwrap();
        assert!(deep.is_dir());
        fs::write(dir.path().join("file"), b"").unwrap();
        assert!(RealDisk.create_dir_all(&dir.path().join("file/below")).is_err());
        assert!(RealDisk.create_dir_all(&dir.path().join("file")).is_err());
    }

    #[test]
    fn a_hole_is_passed_and_data_never_is() {
        let dir = tempfile::tempdir().unwrap();
        let file = file(dir.path(), "a", 1 << 20, Allocate::Sparse);
        file.write_at(500_000, b"x").unwrap();
        assert!(file.data_from(0) <= 500_000);
        assert_eq!(file.data_from(500_000), 500_000);
        assert!((600_000..=1 << 20).contains(&file.data_from(600_000)));
        assert_eq!(file.data_from(1 << 20), 1 << 20);
    }

    #[test]
    fn a_removed_or_replaced_file_stays_readable() {
        let dir = tempfile::tempdir().unwrap();
        let old = file(dir.path(), "a", 8, Allocate::Full);
        old.write_at(0, b"old text").unwrap();
        let _new = file(dir.path(), "a", 8, Allocate::Full);
        assert_eq!(old.slice(0, 8).unwrap(), b"old text");
    }

    #[test]
    fn a_replaced_text_keeps_its_predecessor() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.json");
        RealDisk.write_file_atomic(&path, b"one").unwrap();
        RealDisk.write_file_atomic(&path, b"two").unwrap();
        RealDisk.write_file_atomic(&path, b"three").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"three");
        assert_eq!(fs::read(dir.path().join("t.json.bak")).unwrap(), b"two");
    }

    #[test]
    fn a_replaced_text_can_be_read_by_the_same_users() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.json");
        RealDisk.write_file_atomic(&path, b"one").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        RealDisk.write_file_atomic(&path, b"two").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_directory_is_locked_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = RealDisk.lock(&path).unwrap();
        assert_eq!(RealDisk.lock(&path).err().unwrap().kind(), io::ErrorKind::WouldBlock);
        drop(held);
        let _again = RealDisk.lock(&path).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"lock");
    }
}
