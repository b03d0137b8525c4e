//! Files that the store keeps beside its log.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use kerolox_store::Unit;
use kerolox_store::checkpoint::{CHECKPOINT_SIZE, Checkpoint};
use kerolox_store::disk::sim::SimDisk;
use kerolox_store::disk::{Allocate, Disk, OpenMode};
use kerolox_store::fuzzing;
use kerolox_store::index::{Index, IndexKeys, IndexOpen};
use kerolox_store::timers::{TimerEntry, TimerKind, Timers, TimersConfig};
use kerolox_wire::clock::ManualClock;

const NOW_MS: i64 = 1_700_000_000_000;

/// Takes bytes off the front of an input; behind its end everything is zero.
struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn array<const N: usize>(&mut self) -> [u8; N] {
        let mut out = [0; N];
        let len = N.min(self.0.len());
        let (taken, rest) = self.0.split_at(len);
        out[..len].copy_from_slice(taken);
        self.0 = rest;
        out
    }

    fn byte(&mut self) -> u8 {
        let [byte] = self.array();
        byte
    }

    fn short(&mut self) -> u16 {
        u16::from_be_bytes(self.array())
    }

    fn long(&mut self) -> u64 {
        u64::from_be_bytes(self.array())
    }

    fn bytes(&mut self, len: usize) -> Vec<u8> {
        let (taken, rest) = self.0.split_at(len.min(self.0.len()));
        self.0 = rest;
        taken.to_vec()
    }
}

fn disk() -> Arc<SimDisk> {
    Arc::new(SimDisk::new(Arc::new(ManualClock::at(NOW_MS))))
}

fn put(disk: &SimDisk, path: &Path, bytes: &[u8]) {
    let mode = OpenMode::Create { len: bytes.len() as u64, allocate: Allocate::Sparse };
    let file = disk.open(path, mode).expect("a simulated disk without faults");
    file.write_at(0, bytes).expect("a simulated disk without faults");
}

/// The checkpoint and the mark in it: `how | fields | mark`. Bit 0 of `how`: the file has its full length; bit 1: the mark's
/// checksum and times are right.
pub fn checkpoint(data: &[u8]) {
    let mut input = Input(data);
    let how = input.byte();
    let mut bytes = input.bytes(40);
    if how & 1 != 0 {
        let mut mark: [u8; 60] = input.array();
        if how & 2 != 0 {
            mark[..8].copy_from_slice(b"KRLXMARK");
            let len = bytes.len().min(16);
            mark[8..8 + len].copy_from_slice(&bytes[..len]);
            let crc = crc32fast::hash(&mark[..56]);
            mark[56..].copy_from_slice(&crc.to_be_bytes());
        }
        bytes.resize(3072, 0);
        bytes.extend_from_slice(&mark);
        bytes.resize(usize::try_from(CHECKPOINT_SIZE).expect("a page"), 0);
    }
    let (disk, path) = (disk(), Path::new("/checkpoint"));
    put(&disk, path, &bytes);
    let read = Checkpoint::load(disk.as_ref(), path).expect("any bytes are a checkpoint");
    assert!(read.recover_from_ms(true) <= read.recover_from_ms(false));
    fuzzing::read_and_write_mark(disk.as_ref(), path, &read).expect("any bytes are a mark or none");
    read.save(disk.as_ref(), path).expect("a simulated disk without faults");
    assert_eq!(Checkpoint::load(disk.as_ref(), path).ok(), Some(read));
}

/// Units of a queue.
pub fn queue_unit(data: &[u8]) {
    for bytes in data.as_chunks().0 {
        let unit = Unit::decode(bytes);
        assert_eq!(unit.encode(), *bytes);
        assert!(!unit.is_message() || unit.is_taken());
        assert!(!unit.is_blank() || (unit.is_taken() && !unit.is_message()));
        assert!(unit.log_end() >= unit.log_offset);
    }
}

const SLOTS: u32 = 5;
const ENTRIES: u32 = 12;
const INDEX_FILE: usize = 40 + 4 * 5 + 20 * 12;

/// A folder of index files of any content: `how | checkpoint time | file*`. It opens, answers, takes keys, and finds them.
pub fn index(data: &[u8]) {
    let mut input = Input(data);
    let how = input.byte();
    let checkpoint_index_ms = input.long().cast_signed();
    let (disk, dir) = (disk(), Path::new("/index"));
    disk.create_dir_all(dir).expect("a simulated disk without faults");
    for file in 0..1 + how / 2 % 3 {
        let mut bytes = input.bytes(INDEX_FILE);
        bytes.resize(INDEX_FILE, 0);
        put(&disk, &dir.join(format!("2023111422133{file}000")), &bytes);
    }
    let open = |abnormal: bool| {
        let how = IndexOpen {
            slots: SLOTS,
            entries: ENTRIES,
            abnormal,
            checkpoint_index_ms,
            clock: Arc::new(ManualClock::at(NOW_MS)),
            utc_offset: Arc::new(|_| 0),
        };
        Index::open(disk.clone(), dir, how).expect("files of the right size open")
    };
    let index = open(how & 1 != 0);
    index.query("t", "k", 64, i64::MIN, i64::MAX).expect("a simulated disk without faults");
    let from = index.rebuild_from().unwrap_or_else(|| index.last_end().1.saturating_add(1));
    put_and_find(&index, from);
    index.flush().expect("a simulated disk without faults");
    drop(index);
    open(false).query("t", "k", 64, NOW_MS, NOW_MS).expect("a simulated disk without faults");
}

fn put_and_find(index: &Index, from: u64) {
    let keys = |n: u64| IndexKeys {
        topic: "t",
        uniq_key: Some("unique"),
        keys: Some("k l"),
        log_offset: from.saturating_add(n),
        store_timestamp: NOW_MS,
    };
    let batch: Vec<_> = (0..6).map(keys).collect();
    index.put(&batch).expect("a simulated disk without faults");
    let found = index.query("t", "k", 64, i64::MIN, i64::MAX).expect("a simulated disk without faults");
    if let Some(last) = batch.iter().rev().find(|keys| i64::try_from(keys.log_offset).is_ok()) {
        assert!(found.iter().any(|offset| offset.get() == last.log_offset), "{} of {found:?}", last.log_offset);
    }
    index.sync().expect("a simulated disk without faults");
    index.delete_expired(from.saturating_add(3)).expect("a simulated disk without faults");
}

/// The folder of timers: `length of the state | state | how | queue's end | block*`. Checksums are made right, so that what is
/// behind them is reached.
pub fn timers(data: &[u8]) {
    let mut input = Input(data);
    let len = input.short() % 512;
    let mut state = b"KRLXTIMR".to_vec();
    state.extend(input.bytes(len.into()));
    state.extend_from_slice(&crc32fast::hash(&state).to_be_bytes());
    let how = input.byte();
    let queue = 0..input.long() >> (how & 63);
    let config = TimersConfig { span_max: 8, ..TimersConfig::new(&PathBuf::from("/store"), 1000) };
    let disk = disk();
    disk.create_dir_all(&config.dir).expect("a simulated disk without faults");
    put(&disk, &config.dir.join("state"), &state);
    for seq in 1..=3 {
        let bytes = run_file(&mut input);
        put(&disk, &config.dir.join(format!("{seq:020}.run")), &bytes);
    }
    let timers = Timers::open(config.clone(), disk.clone(), queue.clone()).expect("what does not fit is rebuilt");
    // A damaged run is an error, which calls for a rebuild.
    if use_timers(&timers).is_err() {
        timers.rebuild(queue.clone());
        use_timers(&timers).expect("nothing of the files is left");
    }
    drop(timers);
    let again = Timers::open(config, disk, queue).expect("what was saved opens");
    assert_eq!(again.is_empty(), again.len() == 0);
}

/// A block of up to seven sorted entries with a right checksum, or nothing.
fn run_file(input: &mut Input<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    let count = u32::from(input.byte() % 8);
    if count > 0 {
        let mut entries: Vec<[u8; 28]> = (0..count).map(|_| input.array()).collect();
        entries.sort_unstable_by_key(|entry| {
            let [wake, log, hash] =
                [0, 8, 16].map(|at| entry[at..].first_chunk().map_or(0, |b| u64::from_be_bytes(*b)));
            (wake.cast_signed(), entry[27] != 0, log, hash)
        });
        bytes.extend(entries.as_flattened());
        bytes.resize(4088, 0);
        bytes.extend_from_slice(&count.to_be_bytes());
        let crc = crc32fast::hash(&bytes);
        bytes.extend_from_slice(&crc.to_be_bytes());
    }
    bytes
}

fn use_timers(timers: &Timers) -> std::io::Result<()> {
    let from = timers.read_to();
    for n in 0..12 {
        let queue_offset = from.saturating_add(n);
        if queue_offset == u64::MAX || !timers.has_room() {
            break;
        }
        let entry = TimerEntry { wake_ms: NOW_MS, kind: TimerKind::Message, log_offset: n, key_hash: n };
        timers.add(queue_offset, Some(entry).filter(|_| n % 3 != 0));
    }
    assert!(timers.log_from().is_some() || timers.is_empty());
    timers.next_wake()?;
    let due = timers.due(i64::MAX, 16)?;
    assert!(due.is_sorted());
    for entry in &due {
        timers.contains(entry)?;
        timers.is_cancelled(entry)?;
    }
    timers.between(NOW_MS - 1, NOW_MS + 1, 16)?;
    let ahead = timers.due_from(NOW_MS, i64::MAX, 2)?;
    timers.take_ahead(&ahead, false);
    timers.take(due.get(..2).unwrap_or_default(), false)?;
    for _ in 0..3 {
        timers.keep(NOW_MS, true, &|| Ok(()))?;
    }
    timers.close(NOW_MS, false, &|| Ok(()))
}
