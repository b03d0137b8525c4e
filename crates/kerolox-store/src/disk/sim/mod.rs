//! A disk in memory that knows what is in the page cache and what is on the disk. It can stop at any operation, lose or
//! tear what was not synced, run full, fail, hang, and flip bits.
//!
//! It keeps to what a file system promises and no more. A failed sync leaves its pages clean: later reads see them,
//! later syncs succeed without writing them, a power loss drops them. A name, also of a folder, is durable only after a
//! sync of the folder that holds it. The end of a process loses nothing and makes nothing durable.

use std::any::Any;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kerolox_wire::clock::Clock;
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::{Allocate, DirEntry, Disk, DiskFile, DiskUsage, OpenMode};

use faults::Faults;
pub use faults::{DiskOp, Fault};
use file::SimFile;
use inode::{Inode, PAGE};
use random::Random;
use tree::{Node, Tree, not_found};

mod faults;
mod file;
mod inode;
mod random;
#[cfg(test)]
mod tests;
mod tree;

/// Size of the partition when no other is set.
const CAPACITY_DEFAULT: u64 = 1 << 40;

/// Whether new folders are durable at once unless a test says otherwise. To be set to `false`, and then removed, once the
/// store syncs the folder that holds a new one.
const DIRS_DURABLE_DEFAULT: bool = true;

/// What a crash does to bytes and names that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Nothing: only the process ended, the page cache lives on.
    Nothing,
    /// All of them are gone.
    Everything,
    /// Each sector and each changed name stays or goes as the seed decides.
    Torn(u64),
}

/// A disk in memory. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    /// Crashes that came before the process that uses it; `None` is the machine, which outlives them.
    process: Option<u64>,
    /// Notified when operations that hang may end.
    released: Arc<Condvar>,
    clock: Arc<dyn Clock>,
}

struct State {
    tree: Tree,
    locked: BTreeSet<PathBuf>,
    capacity: u64,
    ops: u64,
    stop_at: Option<u64>,
    fail: Option<(u64, io::ErrorKind)>,
    faults: Faults,
    /// Counts crashes: files opened before the last one are dead.
    epoch: u64,
    /// Whether syncs of files begin and do not end.
    syncs_hang: bool,
    /// Whether new folders need no sync of the folder that holds them.
    dirs_durable: bool,
}

/// Why an operation does not happen.
struct Refused {
    error: io::Error,
    progress: Progress,
}

/// How far an operation comes that is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Progress {
    /// It never began.
    None,
    /// The machine stops within it: a write is done halfway.
    Stopped,
    /// The disk fails it: a write is done halfway, a sync gives up its pages.
    Failed,
}

impl SimDisk {
    /// An empty disk; the clock dates its files.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let state = State {
            tree: Tree::new(),
            locked: BTreeSet::new(),
            capacity: CAPACITY_DEFAULT,
            ops: 0,
            stop_at: None,
            fail: None,
            faults: Faults::default(),
            epoch: 0,
            syncs_hang: false,
            dirs_durable: DIRS_DURABLE_DEFAULT,
        };
        Self { state: Arc::new(Mutex::new(state)), process: None, released: Arc::default(), clock }
    }

    /// The disk as one process has it: the next crash ends that process, even if its threads go on.
    #[must_use]
    pub fn process(&self) -> Self {
        Self { process: Some(self.state.lock().epoch), ..self.clone() }
    }

    /// Number of changing operations so far.
    #[must_use]
    pub fn ops(&self) -> u64 {
        self.state.lock().ops
    }

    /// From the `n`-th changing operation on, counted from now, everything fails; a write at that point is done halfway.
    pub fn stop_after(&self, n: u64) {
        let mut state = self.state.lock();
        state.stop_at = Some(state.ops.saturating_add(n));
    }

    /// Whether the operation has come at which the machine stops.
    #[must_use]
    pub fn has_stopped(&self) -> bool {
        let state = self.state.lock();
        state.stop_at.is_some_and(|stop| state.ops > stop)
    }

    /// The `n`-th changing operation from now on fails once.
    pub fn fail_after(&self, n: u64, kind: io::ErrorKind) {
        let mut state = self.state.lock();
        state.fail = Some((state.ops.saturating_add(n), kind));
    }

    /// Brings a fault into force. It outlives crashes.
    pub fn add_fault(&self, fault: Fault) {
        self.state.lock().faults.add(fault);
    }

    /// Ends all faults that were added.
    pub fn clear_faults(&self) {
        self.state.lock().faults.clear();
        self.released.notify_all();
    }

    /// From now on syncs of files do not end, until this is taken back.
    pub fn hang_syncs(&self, hang: bool) {
        self.state.lock().syncs_hang = hang;
        self.released.notify_all();
    }

    /// Chooses whether new folders are durable at once or, as on disks, after a sync of the folder that holds them.
    pub fn set_dirs_durable(&self, at_once: bool) {
        self.state.lock().dirs_durable = at_once;
    }

    /// Sets the size of the partition.
    pub fn set_capacity(&self, bytes: u64) {
        self.state.lock().capacity = bytes;
    }

    /// Inverts one bit of a file, as ageing disks do.
    ///
    /// # Panics
    /// When there is no such byte.
    pub fn flip_bit(&self, path: &Path, offset: usize, bit: u8) {
        let inode = self.state.lock().tree.file(path).expect("a bit is flipped in a file that is there");
        let mut inode = inode.lock();
        assert!((offset as u64) < inode.len, "a bit is flipped inside of its file");
        inode.flip(offset as u64, 1 << (bit % 8));
    }

    /// Ends everything that uses the disk: open files are dead, planned stops and failures are forgotten, locks are free.
    pub fn crash(&self, loss: Loss) {
        let mut state = self.state.lock();
        state.epoch = state.epoch.saturating_add(1);
        state.stop_at = None;
        state.fail = None;
        state.locked.clear();
        match loss {
            Loss::Nothing => {}
            Loss::Everything => state.lose_power(None),
            Loss::Torn(seed) => state.lose_power(Some(Random::new(seed))),
        }
        self.released.notify_all();
    }

    /// Locks the disk for one changing operation and counts it. Waits as long as a fault lets the operation hang.
    fn begin(&self, op: DiskOp, path: &Path, epoch: Option<u64>) -> Result<MutexGuard<'_, State>, Box<Stopped<'_>>> {
        let mut state = self.state.lock();
        self.released.wait_while(&mut state, |state| {
            alive(state, epoch).is_ok() && (state.faults.hang(op, path) || op == DiskOp::Sync && state.syncs_hang)
        });
        match state.count(op, path, epoch) {
            Ok(()) => Ok(state),
            Err(refused) => Err(Box::new(Stopped { _state: state, refused })),
        }
    }

    fn change(&self, op: DiskOp, path: &Path) -> io::Result<MutexGuard<'_, State>> {
        self.begin(op, path, self.process).map_err(|stopped| stopped.refused.error)
    }

    /// Locks the disk for one operation that changes nothing.
    fn look(&self, op: DiskOp, path: &Path) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state.lock();
        state.faults.meet(op, path)?;
        Ok(state)
    }

    fn create(&self, path: &Path, len: u64, allocate: Allocate) -> io::Result<()> {
        let mut state = self.change(DiskOp::Create, path)?;
        let inode = Inode::new(len, allocate == Allocate::Full, self.clock.wall_ms());
        if state.tree.lacks_dir(path.parent().unwrap_or(Path::new(""))) {
            return Err(not_found(path));
        }
        state.claim(inode.pages_used())?;
        state.tree.link(path, Arc::new(Mutex::new(inode)))
    }
}

/// An operation that does not happen, with the disk still locked.
struct Stopped<'a> {
    _state: MutexGuard<'a, State>,
    refused: Refused,
}

impl State {
    /// Counts one changing operation of a process that began after so many crashes.
    fn count(&mut self, op: DiskOp, path: &Path, epoch: Option<u64>) -> Result<(), Refused> {
        alive(self, epoch).map_err(|error| Refused { error, progress: Progress::None })?;
        let number = self.ops;
        self.ops = number.saturating_add(1);
        if let Some(stop) = self.stop_at
            && number >= stop
        {
            let progress = if number == stop { Progress::Stopped } else { Progress::None };
            return Err(Refused { error: stopped(), progress });
        }
        if let Some((at, kind)) = self.fail
            && number == at
        {
            self.fail = None;
            return Err(Refused { error: io::Error::new(kind, "simulated fault"), progress: Progress::Failed });
        }
        self.faults.meet(op, path).map_err(|error| Refused { error, progress: Progress::Failed })
    }

    fn lose_power(&mut self, mut torn: Option<Random>) {
        self.tree.lose_power(torn.as_mut());
        self.tree.each_file(|inode| inode.lose_power(torn.as_mut()));
    }

    fn used(&self) -> u64 {
        let mut pages = 0_u64;
        self.tree.each_file(|inode| pages = pages.saturating_add(inode.pages_used()));
        pages.saturating_mul(PAGE as u64)
    }

    /// Refuses to use so many more pages when there is no room for them.
    fn claim(&self, pages: u64) -> io::Result<()> {
        let bytes = pages.saturating_mul(PAGE as u64);
        // Nobody fills the default size, so that its use need not be counted.
        if bytes == 0 || (self.capacity == CAPACITY_DEFAULT && bytes < CAPACITY_DEFAULT) {
            return Ok(());
        }
        if self.used().saturating_add(bytes) > self.capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

fn stopped() -> io::Error {
    io::Error::other("the simulated machine has stopped")
}

/// Processes that began before the last crash are dead.
fn alive(state: &State, epoch: Option<u64>) -> io::Result<()> {
    match epoch {
        Some(epoch) if epoch != state.epoch => Err(io::Error::other("begun before the last crash")),
        _ => Ok(()),
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        if let OpenMode::Create { len, allocate } = mode {
            self.create(path, len, allocate)?;
        }
        let mut state = self.state.lock();
        alive(&state, self.process)?;
        if matches!(mode, OpenMode::Read | OpenMode::ReadWrite) {
            state.faults.meet(DiskOp::Open, path)?;
        }
        let inode = state.tree.file(path)?;
        let epoch = state.epoch;
        drop(state);
        Ok(Arc::new(SimFile::new(self.clone(), path, inode, epoch, mode != OpenMode::Read)))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let state = self.look(DiskOp::List, dir)?;
        let mut found = Vec::new();
        for (name, node) in state.tree.entries(dir)? {
            let Ok(name) = name.into_string() else { continue };
            found.push(match node {
                Node::Dir(_) => DirEntry { name, len: 0, is_dir: true, modified_ms: 0 },
                Node::File(inode) => {
                    let inode = inode.lock();
                    DirEntry { name, len: inode.len, is_dir: false, modified_ms: inode.modified_ms }
                }
            });
        }
        Ok(found)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change(DiskOp::Rename, path)?.tree.remove_file(path)
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        self.change(DiskOp::Rename, path)?.tree.remove_dir(path)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.change(DiskOp::Rename, from)?.tree.rename(from, to)
    }

    /// Not counted as an operation: a stop before it and one after it leave the same.
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        alive(&state, self.process)?;
        if !state.tree.lacks_dir(path) {
            return Ok(());
        }
        if state.stop_at.is_some_and(|stop| state.ops > stop) {
            return Err(stopped());
        }
        state.faults.meet(DiskOp::Create, path)?;
        let durable = state.dirs_durable;
        state.tree.create_dir_all(path, durable)
    }

    fn exists(&self, path: &Path) -> bool {
        self.state.lock().tree.node(path).is_some()
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.change(DiskOp::SyncDir, path)?.tree.sync_dir(path)
    }

    fn read_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        drop(self.look(DiskOp::Open, path)?);
        let inode = self.look(DiskOp::Read, path)?.tree.file(path)?;
        let inode = inode.lock();
        let mut bytes = vec![0; usize::try_from(inode.len).map_err(io::Error::other)?];
        inode.read(0, &mut bytes);
        Ok(bytes)
    }

    fn write_file_atomic(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let with = |suffix: &str| PathBuf::from(format!("{}{suffix}", path.display()));
        let allocate = Allocate::Sparse;
        let file = self.open(&with(".tmp"), OpenMode::Create { len: bytes.len() as u64, allocate })?;
        file.write_at(0, bytes)?;
        file.sync_data()?;
        if self.exists(path) {
            let mut state = self.change(DiskOp::Rename, path)?;
            let old = state.tree.file(path)?;
            state.tree.link(&with(".bak"), old)?;
        }
        self.rename(&with(".tmp"), path)?;
        self.sync_dir(path.parent().unwrap_or(Path::new("")))
    }

    fn usage(&self, _path: &Path) -> io::Result<DiskUsage> {
        let state = self.state.lock();
        Ok(DiskUsage { total: state.capacity, free: state.capacity.saturating_sub(state.used()) })
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn Any + Send>> {
        let mut state = self.state.lock();
        alive(&state, self.process)?;
        if !state.locked.insert(path.to_path_buf()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(SimLock { disk: self.clone(), path: path.to_path_buf(), epoch: state.epoch }))
    }
}

struct SimLock {
    disk: SimDisk,
    path: PathBuf,
    epoch: u64,
}

impl Drop for SimLock {
    fn drop(&mut self) {
        let mut state = self.disk.state.lock();
        if state.epoch == self.epoch {
            state.locked.remove(&self.path);
        }
    }
}
