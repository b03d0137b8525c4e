//! A disk in memory that knows what is in the page cache and what is on the medium. It can stop at any operation, lose
//! or tear what was not synced, run full, fail, and flip bits.

use std::any::Any;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::BytesMut;
use kerolox_wire::clock::Clock;
use parking_lot::{Condvar, Mutex, MutexGuard};

use super::{Allocate, DirEntry, Disk, DiskFile, DiskUsage, OpenMode, check_range};

const PAGE: u64 = 4096;
/// Size of the partition when no other is set.
const CAPACITY_DEFAULT: u64 = 1 << 40;

/// What a crash does to bytes and names that were not synced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// Nothing: only the process ended, the page cache lives on.
    Nothing,
    /// All of them are gone.
    Everything,
    /// Each write, new name and removed name stays or goes, and writes are torn, as the seed decides.
    Torn(u64),
}

/// A disk in memory. Clones are the same disk.
#[derive(Clone)]
pub struct SimDisk {
    state: Arc<Mutex<State>>,
    /// Crashes that came before the process that uses it; `None` is the machine, which outlives them.
    process: Option<u64>,
    /// Told when syncs may end again.
    released: Arc<Condvar>,
    clock: Arc<dyn Clock>,
}

struct State {
    names: BTreeMap<PathBuf, SharedData>,
    durable_names: BTreeMap<PathBuf, SharedData>,
    dirs: BTreeSet<PathBuf>,
    locked: BTreeSet<PathBuf>,
    capacity: u64,
    ops: u64,
    stop_at: Option<u64>,
    fail: Option<(u64, io::ErrorKind)>,
    /// Counts crashes: files opened before the last one are dead.
    epoch: u64,
    /// Whether syncs of files begin and do not end.
    hanging: bool,
}

type SharedData = Arc<Mutex<Data>>;

/// The bytes of one file.
struct Data {
    cached: Vec<u8>,
    durable: Vec<u8>,
    unsynced: Vec<(usize, Vec<u8>)>,
    /// Pages with room on the medium.
    pages: BTreeSet<u64>,
    modified_ms: i64,
}

impl SimDisk {
    /// An empty disk; the clock dates its files.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let state = State {
            names: BTreeMap::new(),
            durable_names: BTreeMap::new(),
            dirs: BTreeSet::new(),
            locked: BTreeSet::new(),
            capacity: CAPACITY_DEFAULT,
            ops: 0,
            stop_at: None,
            fail: None,
            epoch: 0,
            hanging: false,
        };
        Self { state: Arc::new(Mutex::new(state)), process: None, released: Arc::default(), clock }
    }

    /// The disk as one process has it: the next crash ends that process, whatever threads of it go on.
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

    /// The `n`-th changing operation from now on fails once.
    pub fn fail_after(&self, n: u64, kind: io::ErrorKind) {
        let mut state = self.state.lock();
        state.fail = Some((state.ops.saturating_add(n), kind));
    }

    /// From now on syncs of files do not end, until this is taken back.
    pub fn hang_syncs(&self, hang: bool) {
        self.state.lock().hanging = hang;
        self.released.notify_all();
    }

    /// Sets the size of the partition.
    pub fn set_capacity(&self, bytes: u64) {
        self.state.lock().capacity = bytes;
    }

    /// Inverts one bit of a file, as ageing media do.
    ///
    /// # Panics
    /// When there is no such byte.
    pub fn flip_bit(&self, path: &Path, offset: usize, bit: u8) {
        let state = self.state.lock();
        let mut data = state.names.get(path).expect("a bit is flipped in a file that is there").lock();
        let mask = 1_u8 << (bit % 8);
        let Data { cached, durable, .. } = &mut *data;
        for bytes in [cached, durable] {
            *bytes.get_mut(offset).expect("a bit is flipped inside of its file") ^= mask;
        }
    }

    /// Ends everything that uses the disk and starts it again: open files are dead, faults are forgotten, locks are free.
    pub fn crash(&self, loss: Loss) {
        let mut state = self.state.lock();
        state.epoch = state.epoch.saturating_add(1);
        state.stop_at = None;
        state.fail = None;
        state.locked.clear();
        match loss {
            Loss::Nothing => {}
            Loss::Everything => {
                state.names = state.durable_names.clone();
                state.each_file(|data| {
                    data.cached = data.durable.clone();
                    data.unsynced.clear();
                });
            }
            Loss::Torn(seed) => {
                let mut random = Random(seed | 1);
                state.lose_names(&mut random);
                state.each_file(|data| data.tear(&mut random));
            }
        }
        // What survived is what the medium has. The bytes move, so that a write that has begun cannot reach them.
        for data in state.names.values_mut() {
            let mut old = data.lock();
            let survived = Data {
                cached: old.cached.clone(),
                durable: old.cached.clone(),
                unsynced: Vec::new(),
                pages: std::mem::take(&mut old.pages),
                modified_ms: old.modified_ms,
            };
            drop(old);
            *data = Arc::new(Mutex::new(survived));
        }
        state.durable_names = state.names.clone();
    }

    /// Counts one changing operation by who has begun after so many crashes. `Err` when it must not happen; with `true`
    /// inside when it may happen halfway.
    fn count(state: &mut State, epoch: Option<u64>) -> Result<(), (io::Error, bool)> {
        alive(state, epoch).map_err(|e| (e, false))?;
        let op = state.ops;
        state.ops = op.saturating_add(1);
        if let Some(stop) = state.stop_at
            && op >= stop
        {
            return Err((io::Error::other("the simulated machine has stopped"), op == stop));
        }
        match state.fail {
            Some((at, kind)) if op == at => {
                state.fail = None;
                Err((io::Error::new(kind, "simulated fault"), true))
            }
            _ => Ok(()),
        }
    }

    fn change(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state.lock();
        Self::count(&mut state, self.process).map_err(|(e, _)| e)?;
        Ok(state)
    }
}

impl State {
    fn each_file(&self, mut change: impl FnMut(&mut Data)) {
        for data in self.names.values() {
            change(&mut data.lock());
        }
    }

    fn lose_names(&mut self, random: &mut Random) {
        for (path, data) in &self.names {
            let durable = self.durable_names.get(path).is_some_and(|old| Arc::ptr_eq(old, data));
            if !durable && random.coin() {
                self.durable_names.insert(path.clone(), Arc::clone(data));
            }
        }
        let names = &self.names;
        self.durable_names.retain(|path, _| names.contains_key(path) || random.coin());
        self.names = self.durable_names.clone();
    }

    fn used(&self) -> u64 {
        self.names.values().map(|data| data.lock().pages.len() as u64 * PAGE).fold(0, u64::saturating_add)
    }

    fn claim(&self, pages: u64) -> io::Result<()> {
        if self.used().saturating_add(pages.saturating_mul(PAGE)) > self.capacity {
            return Err(io::ErrorKind::StorageFull.into());
        }
        Ok(())
    }
}

impl Data {
    fn tear(&mut self, random: &mut Random) {
        let mut bytes = self.durable.clone();
        for (offset, write) in self.unsynced.drain(..) {
            let keep = match random.below(4) {
                0 => 0,
                1 => random.below(write.len() as u64 + 1),
                _ => write.len() as u64,
            };
            let kept = write.iter().take(usize::try_from(keep).unwrap_or(0));
            for (to, from) in bytes.iter_mut().skip(offset).zip(kept) {
                *to = *from;
            }
        }
        self.cached = bytes;
    }

    fn write(&mut self, offset: u64, bytes: &[u8], now_ms: i64) {
        let at = usize::try_from(offset).unwrap_or(usize::MAX);
        for (to, from) in self.cached.iter_mut().skip(at).zip(bytes) {
            *to = *from;
        }
        self.pages.extend(pages(offset, bytes.len()));
        self.unsynced.push((at, bytes.to_vec()));
        self.modified_ms = now_ms;
    }
}

fn pages(offset: u64, len: usize) -> std::ops::Range<u64> {
    offset / PAGE..offset.saturating_add(len as u64).div_ceil(PAGE)
}

/// Numbers that look random and are the same for the same seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// Who has begun before the last crash is dead.
fn alive(state: &State, epoch: Option<u64>) -> io::Result<()> {
    match epoch {
        Some(epoch) if epoch != state.epoch => Err(io::Error::other("begun before the last crash")),
        _ => Ok(()),
    }
}

fn not_found(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, path.display().to_string())
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn DiskFile>> {
        if let OpenMode::Create { len, allocate } = mode {
            let mut state = self.change()?;
            let mut pages_kept = BTreeSet::new();
            if allocate == Allocate::Full {
                let all = pages(0, usize::try_from(len).map_err(io::Error::other)?);
                state.claim(all.end)?;
                pages_kept.extend(all);
            }
            let zeros = vec![0; usize::try_from(len).map_err(io::Error::other)?];
            let data = Data {
                cached: zeros.clone(),
                durable: zeros,
                unsynced: Vec::new(),
                pages: pages_kept,
                modified_ms: self.clock.wall_ms(),
            };
            state.names.insert(path.to_path_buf(), Arc::new(Mutex::new(data)));
        }
        let state = self.state.lock();
        alive(&state, self.process)?;
        let data = Arc::clone(state.names.get(path).ok_or_else(|| not_found(path))?);
        let len = data.lock().cached.len() as u64;
        Ok(Arc::new(SimFile { disk: self.clone(), data, len, epoch: state.epoch, writable: mode != OpenMode::Read }))
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<DirEntry>> {
        let state = self.state.lock();
        let name = |path: &Path| path.file_name().and_then(|n| n.to_str()).map(str::to_owned);
        let mut found = Vec::new();
        for (path, data) in state.names.iter().filter(|(path, _)| path.parent() == Some(dir)) {
            let data = data.lock();
            let (len, modified_ms) = (data.cached.len() as u64, data.modified_ms);
            found.extend(name(path).map(|name| DirEntry { name, len, is_dir: false, modified_ms }));
        }
        for path in state.dirs.iter().filter(|path| path.parent() == Some(dir)) {
            found.extend(name(path).map(|name| DirEntry { name, len: 0, is_dir: true, modified_ms: 0 }));
        }
        Ok(found)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.change()?.names.remove(path).map(drop).ok_or_else(|| not_found(path))
    }

    fn remove_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.change()?;
        let inside = |other: &PathBuf| other.parent() == Some(path);
        if state.names.keys().any(inside) || state.dirs.iter().any(inside) {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        if state.dirs.remove(path) { Ok(()) } else { Err(not_found(path)) }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.change()?;
        let data = state.names.remove(from).ok_or_else(|| not_found(from))?;
        state.names.insert(to.to_path_buf(), data);
        Ok(())
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.state.lock();
        state.dirs.extend(path.ancestors().map(Path::to_path_buf));
        Ok(())
    }

    fn exists(&self, path: &Path) -> bool {
        let state = self.state.lock();
        state.names.contains_key(path) || state.dirs.contains(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.change()?;
        let State { names, durable_names, .. } = &mut *state;
        durable_names.retain(|name, _| name.parent() != Some(path));
        let here = names.iter().filter(|(name, _)| name.parent() == Some(path));
        durable_names.extend(here.map(|(name, data)| (name.clone(), Arc::clone(data))));
        Ok(())
    }

    fn read_file(&self, path: &Path) -> io::Result<Vec<u8>> {
        let state = self.state.lock();
        let bytes = state.names.get(path).ok_or_else(|| not_found(path))?.lock().cached.clone();
        Ok(bytes)
    }

    fn write_file_atomic(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let with = |suffix: &str| PathBuf::from(format!("{}{suffix}", path.display()));
        let allocate = Allocate::Sparse;
        let file = self.open(&with(".tmp"), OpenMode::Create { len: bytes.len() as u64, allocate })?;
        file.write_at(0, bytes)?;
        file.sync_data()?;
        if self.exists(path) {
            let mut state = self.change()?;
            if let Some(old) = state.names.get(path).cloned() {
                state.names.insert(with(".bak"), old);
            }
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

struct SimFile {
    disk: SimDisk,
    data: SharedData,
    len: u64,
    epoch: u64,
    writable: bool,
}

impl DiskFile for SimFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        check_range(self.len, offset, bytes.len())?;
        if !self.writable {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        let now_ms = self.disk.clock.wall_ms();
        if let Err((e, halfway)) = SimDisk::count(&mut self.disk.state.lock(), Some(self.epoch)) {
            if halfway {
                let (half, _) = bytes.split_at(bytes.len() / 2);
                self.data.lock().write(offset, half, now_ms);
            }
            return Err(e);
        }
        let missing = {
            let data = self.data.lock();
            pages(offset, bytes.len()).filter(|page| !data.pages.contains(page)).count()
        };
        if missing > 0 {
            self.disk.state.lock().claim(missing as u64)?;
        }
        self.data.lock().write(offset, bytes, now_ms);
        Ok(())
    }

    fn read_at(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        check_range(self.len, offset, out.len())?;
        let at = usize::try_from(offset).map_err(io::Error::other)?;
        for (to, from) in out.iter_mut().zip(self.data.lock().cached.iter().skip(at)) {
            *to = *from;
        }
        Ok(())
    }

    fn append_to(&self, offset: u64, len: usize, out: &mut BytesMut) -> io::Result<()> {
        out.extend_from_slice(&self.slice(offset, len)?);
        Ok(())
    }

    fn zero(&self, offset: u64, len: u64) -> io::Result<()> {
        let len = usize::try_from(len).map_err(io::Error::other)?;
        check_range(self.len, offset, len)?;
        SimDisk::count(&mut self.disk.state.lock(), Some(self.epoch)).map_err(|(e, _)| e)?;
        self.data.lock().write(offset, &vec![0; len], self.disk.clock.wall_ms());
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.disk.released.wait_while(&mut self.disk.state.lock(), |state| state.hanging);
        SimDisk::count(&mut self.disk.state.lock(), Some(self.epoch)).map_err(|(e, _)| e)?;
        let mut data = self.data.lock();
        data.durable = data.cached.clone();
        data.unsynced.clear();
        Ok(())
    }

    fn write_back(&self, _offset: u64, _len: u64) {}

    fn modified_ms(&self) -> io::Result<i64> {
        Ok(self.data.lock().modified_ms)
    }
}

#[cfg(test)]
mod tests {
    use kerolox_wire::clock::ManualClock;

    use super::*;

    fn disk() -> SimDisk {
        let disk = SimDisk::new(Arc::new(ManualClock::at(0)));
        disk.create_dir_all(Path::new("/d")).unwrap();
        disk
    }

    fn create(disk: &SimDisk, name: &str) -> Arc<dyn DiskFile> {
        let mode = OpenMode::Create { len: 100, allocate: Allocate::Full };
        disk.open(&Path::new("/d").join(name), mode).unwrap()
    }

    #[test]
    fn unsynced_bytes_and_names_go_with_the_power() {
        let disk = disk();
        let file = create(&disk, "a");
        disk.sync_dir(Path::new("/d")).unwrap();
        create(&disk, "b");
        file.write_at(0, b"old").unwrap();
        file.sync_data().unwrap();
        file.write_at(0, b"new").unwrap();
        disk.crash(Loss::Everything);
        assert!(!disk.exists(Path::new("/d/b")));
        assert_eq!(&disk.read_file(Path::new("/d/a")).unwrap()[..3], b"old");
        assert!(file.write_at(0, b"x").is_err(), "files opened before the crash are dead");
    }

    #[test]
    fn the_end_of_the_process_loses_nothing_and_it_does_nothing_more() {
        let disk = disk();
        let process = disk.process();
        let file = create(&process, "a");
        file.write_at(0, b"new").unwrap();
        let _lock = process.lock(Path::new("/d/lock")).unwrap();
        disk.crash(Loss::Nothing);
        let path = Path::new("/d/a");
        assert!(file.write_at(0, b"x").is_err() && file.sync_data().is_err());
        assert!(process.open(path, OpenMode::ReadWrite).is_err() && process.remove(path).is_err());
        assert!(process.write_file_atomic(path, b"x").is_err());
        assert!(process.rename(path, Path::new("/d/b")).is_err() && process.lock(path).is_err());
        let next = disk.process();
        next.lock(Path::new("/d/lock")).unwrap();
        assert_eq!(&next.read_file(path).unwrap()[..3], b"new");
    }

    #[test]
    fn a_full_disk_refuses_and_a_stopped_one_writes_half() {
        let disk = disk();
        disk.set_capacity(PAGE);
        let file = create(&disk, "a");
        let mode = OpenMode::Create { len: 1, allocate: Allocate::Full };
        let full = disk.open(Path::new("/d/b"), mode).err().unwrap();
        assert_eq!(full.kind(), io::ErrorKind::StorageFull);
        disk.stop_after(1);
        file.write_at(0, b"whole").unwrap();
        assert!(file.write_at(10, b"half").is_err());
        assert!(file.write_at(20, b"none").is_err());
        let bytes = disk.read_file(Path::new("/d/a")).unwrap();
        assert_eq!((&bytes[..5], &bytes[10..14], bytes[20]), (&b"whole"[..], &b"ha\0\0"[..], 0));
    }
}
