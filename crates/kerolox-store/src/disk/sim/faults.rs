//! Faults on request: which operations fail or hang, where, and how often.

use std::io;
use std::path::{Path, PathBuf};

/// A kind of disk operation that faults can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskOp {
    /// Opening a file that exists.
    Open,
    /// Making a new file, with its room.
    Create,
    /// Reading from an open file or a whole small one.
    Read,
    /// Writing to an open file; half of it is done.
    Write,
    /// Making the bytes of a file durable.
    Sync,
    /// Making the entries of a folder durable.
    SyncDir,
    /// Listing a folder.
    List,
    /// Removing, renaming or making a name.
    Rename,
}

/// What a fault does to an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Fails(io::ErrorKind),
    FailsWith(i32),
    Hangs,
}

/// A fault of the disk: operations of one kind fail or hang, everywhere or below a path, for a while or for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    op: DiskOp,
    effect: Effect,
    below: PathBuf,
    passed: u64,
    left: Option<u64>,
}

impl Fault {
    /// Fails every operation of a kind, as the system reports it: `5` is an I/O error, `24` too many open files, `28`
    /// no space.
    #[must_use]
    pub fn errno(op: DiskOp, errno: i32) -> Self {
        Self::new(op, Effect::FailsWith(errno))
    }

    /// Fails every operation of a kind; `UnexpectedEof` is a short read.
    #[must_use]
    pub fn error(op: DiskOp, kind: io::ErrorKind) -> Self {
        Self::new(op, Effect::Fails(kind))
    }

    /// Lets every operation of a kind wait until [`super::SimDisk::clear_faults`] or the end of its process. Reads,
    /// lists and opens do not hang.
    #[must_use]
    pub fn hang(op: DiskOp) -> Self {
        Self::new(op, Effect::Hangs)
    }

    fn new(op: DiskOp, effect: Effect) -> Self {
        Self { op, effect, below: PathBuf::new(), passed: 0, left: None }
    }

    /// Only at this file, or below this folder.
    #[must_use]
    pub fn below(self, path: impl Into<PathBuf>) -> Self {
        Self { below: path.into(), ..self }
    }

    /// Lets so many operations pass first.
    #[must_use]
    pub fn after(self, passed: u64) -> Self {
        Self { passed, ..self }
    }

    /// Ends after so many operations.
    #[must_use]
    pub fn times(self, times: u64) -> Self {
        Self { left: Some(times), ..self }
    }

    fn concerns(&self, op: DiskOp, path: &Path) -> bool {
        self.op == op && self.left != Some(0) && path.starts_with(&self.below)
    }
}

/// The faults in force.
#[derive(Default)]
pub(super) struct Faults(Vec<Fault>);

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) {
        self.0.push(fault);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether an operation has to wait.
    pub(super) fn hang(&self, op: DiskOp, path: &Path) -> bool {
        self.0.iter().any(|fault| fault.effect == Effect::Hangs && fault.passed == 0 && fault.concerns(op, path))
    }

    /// Counts one operation; `Err` when a fault fails it.
    pub(super) fn meet(&mut self, op: DiskOp, path: &Path) -> io::Result<()> {
        for fault in self.0.iter_mut().filter(|fault| fault.concerns(op, path)) {
            if fault.passed > 0 {
                fault.passed = fault.passed.saturating_sub(1);
                continue;
            }
            let error = match fault.effect {
                Effect::Fails(kind) => io::Error::new(kind, "simulated fault"),
                Effect::FailsWith(errno) => io::Error::from_raw_os_error(errno),
                Effect::Hangs => continue,
            };
            fault.left = fault.left.map(|left| left.saturating_sub(1));
            return Err(error);
        }
        Ok(())
    }
}
