//! A disk whose reads fail as those of real ones do: for a while, in one folder, from one place of a file on.
#![allow(dead_code, reason = "each test uses its part")]
#![allow(clippy::unwrap_used, reason = "test code")]

use std::any::Any;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::BytesMut;
use kerolox_store::disk::{DirEntry, Disk, DiskFile, DiskUsage, OpenMode};
use parking_lot::Mutex;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// A bad sector: reads fail with EIO.
    BadSector,
    /// Descriptors have run out: opening a file for reading fails with EMFILE.
    NoDescriptors,
    /// A read ends before it has all that it was asked for.
    ShortRead,
    /// A read brings one bit changed, so many times.
    FlippedBit { reads: u32 },
}

/// The faults that a test may try one after the other: each ends with an error.
pub(crate) const FAILING: [Fault; 3] = [Fault::BadSector, Fault::NoDescriptors, Fault::ShortRead];

#[derive(Clone, Copy)]
struct Present {
    folder: &'static str,
    /// First byte of a file that is concerned.
    from: u64,
    fault: Fault,
}

/// Switches the faults of one disk.
#[derive(Clone, Default)]
pub(crate) struct Faults {
    present: Arc<Mutex<Option<Present>>>,
    met: Arc<AtomicU64>,
}

impl Faults {
    /// From now on reads below a folder of this name fail.
    pub(crate) fn begin(&self, folder: &'static str, fault: Fault) {
        self.begin_at(folder, 0, fault);
    }

    /// The same of reads that touch a file at `from` or behind it; a flipped bit is the one at `from`.
    pub(crate) fn begin_at(&self, folder: &'static str, from: u64, fault: Fault) {
        self.met.store(0, Ordering::SeqCst);
        *self.present.lock() = Some(Present { folder, from, fault });
    }

    /// The disk is sound again.
    pub(crate) fn end(&self) {
        *self.present.lock() = None;
    }

    /// How often the present fault was met.
    pub(crate) fn met(&self) -> u64 {
        self.met.load(Ordering::SeqCst)
    }

    fn in_file(&self, path: &Path) -> Option<Present> {
        let present = *self.present.lock();
        present.filter(|present| path.components().any(|part| part.as_os_str() == present.folder))
    }

    /// What becomes of a read of a file.
    fn meet(&self, path: &Path, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let end = offset + out.len() as u64;
        let Some(present) = self.in_file(path).filter(|present| present.from < end) else { return Ok(()) };
        if present.fault != Fault::NoDescriptors {
            self.met.fetch_add(1, Ordering::SeqCst);
        }
        match present.fault {
            Fault::BadSector => Err(io::Error::from_raw_os_error(5)),
            Fault::ShortRead => Err(io::ErrorKind::UnexpectedEof.into()),
            Fault::NoDescriptors => Ok(()),
            Fault::FlippedBit { reads: 0 } => Ok(()),
            Fault::FlippedBit { reads } => {
                let Some(at) = present.from.checked_sub(offset) else { return Ok(()) };
                out[usize::try_from(at).unwrap()] ^= 1;
                let fault = Fault::FlippedBit { reads: reads - 1 };
                *self.present.lock() = Some(Present { fault, ..present });
                Ok(())
            }
        }
    }
}

/// The disk below it, with faults.
pub(crate) struct FaultyDisk {
    disk: Arc<dyn Disk>,
    faults: Faults,
}

impl FaultyDisk {
    pub(crate) fn over(disk: Arc<dyn Disk>) -> (Arc<Self>, Faults) {
        let faults = Faults::default();
        (Arc::new(Self { disk, faults: faults.clone() }), faults)
    }
}

struct FaultyFile {
    file: Arc<dyn DiskFile>,
    path: std::path::PathBuf,
    faults: Faults,
}

impl Disk for FaultyDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        let fault = self.faults.in_file(path).map(|present| present.fault);
        if fault == Some(Fault::NoDescriptors) {
            self.faults.met.fetch_add(1, Ordering::SeqCst);
            return Err(io::Error::from_raw_os_error(24));
        }
        let file = self.disk.open(path, mode)?;
        Ok(Arc::new(FaultyFile { file, path: path.to_path_buf(), faults: self.faults.clone() }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        self.disk.list(dir)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.remove_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir_all(path)
    }

    fn exists(&self, path: &Path) -> bool {
        self.disk.exists(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path)
    }

    fn read_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        self.disk.read_file(path)
    }

    fn write_file_atomic(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        self.disk.write_file_atomic(path, bytes)
    }

    fn usage(&self, path: &Path) -> io::Result<DiskUsage> {
        self.disk.usage(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send>> {
        self.disk.lock(path)
    }
}

impl DiskFile for FaultyFile {
    fn len(&self) -> u64 {
        self.file.len()
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_at(offset, bytes)
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_at(offset, out)?;
        self.faults.meet(&self.path, offset, out)
    }

    /// What dispatch reads is in memory: it meets no fault.
    fn read_once(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.file.read_once(offset, out)
    }

    fn append_to(&self, offset: u64, len: usize, out: &mut BytesMut) -> io::Result<()> {
        let start = out.len();
        self.file.append_to(offset, len, out)?;
        self.faults.meet(&self.path, offset, &mut out[start..])
    }

    fn data_from(&self, offset: u64) -> u64 {
        self.file.data_from(offset)
    }

    fn zero(&self, offset: u64, len: u64) -> io::Result<()> {
        self.file.zero(offset, len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    fn write_back(&self, offset: u64, len: u64) {
        self.file.write_back(offset, len);
    }

    fn modified_ms(&self) -> io::Result<i64> {
        self.file.modified_ms()
    }
}
