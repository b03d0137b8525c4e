//! Where the store's bytes live: a small set of file operations, with a real and a simulated implementation.
//! The rest of the store never touches the file system otherwise, so every fault can be produced in a test.

use std::any::Any;
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::BytesMut;

mod mapped;
mod real;
pub mod sim;

pub use real::{RealDisk, physical_memory};

/// How a file is opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// An existing file, for reading only.
    Read,
    /// An existing file, for reading and writing.
    ReadWrite,
    /// A new file of a fixed length that reads as zeros; an existing one of that name is emptied first.
    Create {
        /// Length of the file in bytes.
        len: u64,
        /// Whether room for all of it is claimed now.
        allocate: Allocate,
    },
}

/// Whether a new file claims its room on the disk at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocate {
    /// All of it: a later write inside the file cannot meet a full disk.
    Full,
    /// None of it: room is claimed as it is written, and a write may meet a full disk.
    Sparse,
}

/// One entry of a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirEntry {
    /// File name without the folder.
    pub name: String,
    /// Length in bytes; 0 for folders.
    pub len: u64,
    /// A folder rather than a file.
    pub is_dir: bool,
    /// Last modification, milliseconds since the epoch.
    pub modified_ms: i64,
}

/// How full the partition below a path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskUsage {
    /// Size of the partition in bytes.
    pub total: u64,
    /// Bytes free for this process.
    pub free: u64,
}

impl DiskUsage {
    /// Used share in whole percent, rounded up so that a limit of 90 means "at most 90".
    #[must_use]
    pub fn used_percent(&self) -> u8 {
        if self.total == 0 {
            return 0;
        }
        let used = u128::from(self.total.saturating_sub(self.free)) * 100;
        u8::try_from(used.div_ceil(u128::from(self.total))).unwrap_or(100)
    }
}

/// Where the store's bytes live; real and simulated.
pub trait Disk: Send + Sync + 'static {
    /// Opens or creates a file.
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>>;
    /// Lists a folder, in no particular order. A missing folder is an empty one.
    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>>;
    /// Removes a file. Readers that still hold it go on reading it.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Removes an empty folder.
    fn remove_dir(&self, path: &Path) -> io::Result<()>;
    /// Renames a file, replacing `to`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Creates a folder and those above it; each that is new is durable afterwards.
    fn create_dir_all(&self, path: &Path) -> io::Result<()>;
    /// Whether a file or folder is there.
    fn exists(&self, path: &Path) -> bool;
    /// Makes the folder's entries durable.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;
    /// The whole of a (small) file.
    fn read_file(&self, path: &Path) -> io::Result<Vec<u8>>;
    /// Replaces the text of a file so that a crash leaves the old or the new one: writes `X.tmp`, syncs it, keeps the
    /// previous text as `X.bak`, renames.
    fn write_file_atomic(&self, path: &Path, bytes: &[u8]) -> io::Result<()>;
    /// How full the partition is.
    fn usage(&self, path: &Path) -> io::Result<DiskUsage>;
    /// Takes the exclusive lock of a data directory (`path` is the lock file) until the returned value is dropped;
    /// `WouldBlock` when another process holds it.
    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send>>;
}

/// One open file of fixed length.
pub trait DiskFile: Send + Sync {
    /// Length in bytes, fixed since it was opened.
    fn len(&self) -> u64;
    /// Whether the file has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Writes all of `bytes`; refuses what would pass the end of the file.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Fills all of `out`; `UnexpectedEof` past the end of the file. Bytes that the disk cannot deliver are an error of
    /// another kind, never a signal.
    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()>;
    /// As [`Self::read_at`], of bytes written just now that nobody here reads again: a map's first touch of their pages
    /// would cost more than it saves.
    fn read_once(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.read_at(offset, out)
    }
    /// A copy of `len` bytes.
    fn slice(&self, offset: u64, len: usize) -> io::Result<Vec<u8>> {
        check_range(self.len(), offset, len)?;
        let mut out = vec![0; len];
        self.read_at(offset, &mut out)?;
        Ok(out)
    }
    /// Appends `len` bytes of the file to `out`.
    fn append_to(&self, offset: u64, len: usize, out: &mut BytesMut) -> io::Result<()>;
    /// First offset from `offset` on at which anything but zeros may stand, the length of the file when there is none.
    /// Where the file system does not tell, that is `offset` itself.
    fn data_from(&self, offset: u64) -> u64 {
        offset
    }
    /// Makes a range read as zeros, without writing them one by one where the file system can do better. Durable with
    /// the next [`Self::sync_data`], like written bytes.
    fn zero(&self, offset: u64, len: u64) -> io::Result<()>;
    /// Makes everything written so far durable.
    fn sync_data(&self) -> io::Result<()>;
    /// Hints that the range may be written to the medium now; neither waits nor promises anything.
    fn write_back(&self, offset: u64, len: u64);
    /// Last modification, milliseconds since the epoch.
    fn modified_ms(&self) -> io::Result<i64>;
}

/// Creates a folder and those above it and makes all their names durable, also of those that were there already: the
/// process that made them may have died before it did so.
///
/// # Errors
/// When the disk fails. A folder above that this process may not open is passed over.
pub fn create_dir_durable(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    use io::ErrorKind::{InvalidInput, PermissionDenied, ReadOnlyFilesystem, Unsupported};
    disk.create_dir_all(path)?;
    for above in path.ancestors().skip(1) {
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        match disk.sync_dir(above) {
            Err(e) if matches!(e.kind(), PermissionDenied | ReadOnlyFilesystem | InvalidInput | Unsupported) => {}
            other => other?,
        }
    }
    Ok(())
}

/// Writes bytes again that are in the page cache, so that the next sync brings them to the disk. A failed sync leaves
/// pages that reads show and that no later sync writes.
///
/// # Errors
/// When the disk fails.
pub(crate) fn rewrite(file: &dyn DiskFile, from: u64, to: u64) -> io::Result<()> {
    const STEP: u64 = 256 << 10;
    let mut at = from;
    while at < to {
        let len = usize::try_from(to.saturating_sub(at).min(STEP)).map_err(io::Error::other)?;
        file.write_at(at, &file.slice(at, len)?)?;
        at = at.saturating_add(len as u64);
    }
    Ok(())
}

/// Fails when `offset..offset + len` is not inside a file of `file_len` bytes.
pub(crate) fn check_range(file_len: u64, offset: u64, len: usize) -> io::Result<()> {
    let end = u64::try_from(len).ok().and_then(|len| offset.checked_add(len));
    match end {
        Some(end) if end <= file_len => Ok(()),
        _ => Err(io::Error::new(
            io::ErrorKind::UnexpectedEof,
            format!("bytes {offset}+{len} lie outside of a file of {file_len} bytes"),
        )),
    }
}
