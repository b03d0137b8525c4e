//! Reads of a disk that fails or lies: no message is passed over because of an error, and none is handed out damaged.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "common/faulty.rs"]
mod faulty;

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{bodies, clock, open, record, send, small, topic};
use faulty::{FAILING, Fault, Faults, FaultyDisk};
use kerolox_store::disk::{Disk, RealDisk};
use kerolox_store::{ReadError, ReadLimits, ReadResult, ReadStatus, Store, Verdict};
use kerolox_wire::names::{LogOffset, QueueId, QueueOffset};

const Q: QueueId = QueueId::new(0);
/// Messages of the topic `T`, all of one size.
const COUNT: u8 = 10;

/// A directory with messages of an earlier process, opened anew on a disk with faults.
struct Reopened {
    dir: tempfile::TempDir,
    disk: Arc<FaultyDisk>,
    faults: Faults,
    /// Where the records stand.
    at: Vec<LogOffset>,
}

impl Reopened {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = open(small(dir.path()), Arc::new(RealDisk));
        let queue = store.queue(&topic("T"), Q);
        let mut at = Vec::new();
        for n in 0..COUNT {
            let mut batch = store.batch();
            batch.push(&queue, &record("T", 0, &[n; 20], &format!("UNIQ_KEY\u{1}k{n}\u{2}"))).unwrap();
            at.push(store.append(&mut batch).unwrap().remove(0).first);
        }
        store.shutdown().unwrap();
        let (disk, faults) = FaultyDisk::over(Arc::new(RealDisk));
        Self { dir, disk, faults, at }
    }

    fn open(&self) -> Store {
        open(small(self.dir.path()), Arc::clone(&self.disk) as Arc<dyn Disk>)
    }

    /// Changes a byte at rest.
    fn damage(&self, at: u64) {
        let path = self.dir.path().join("commitlog").join("0".repeat(20));
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[usize::try_from(at).unwrap()] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }
}

fn read(store: &Store, from: i64) -> ReadResult {
    store.read(&topic("T"), Q, from, ReadLimits::count(32), &|_, _| Verdict::Keep)
}

fn outcome(result: &ReadResult) -> (ReadStatus, u64, usize) {
    (result.status, result.next.get(), result.count)
}

#[test]
fn a_failed_read_moves_no_offset() {
    for folder in ["commitlog", "consumequeue"] {
        for fault in FAILING {
            if (folder, fault) == ("commitlog", Fault::NoDescriptors) {
                continue; // The files of the log stay open.
            }
            let reopened = Reopened::new();
            let store = reopened.open();
            reopened.faults.begin(folder, fault);
            let failed = read(&store, 3);
            assert_eq!(outcome(&failed), (ReadStatus::ReadFailed, 3, 0), "{folder} {fault:?}");
            assert_eq!((failed.min.get(), failed.max.get()), (0, COUNT.into()));
            let why = failed.failure.unwrap();
            let place =
                if folder == "commitlog" { format!("log at {}", reopened.at[3]) } else { "offset 3".to_owned() };
            assert!(why.contains(&place), "{why} does not name {place}");
            reopened.faults.end();
            assert_eq!(outcome(&read(&store, 3)), (ReadStatus::Found, 10, 7));
            assert_eq!(store.stats().records_damaged, 0);
        }
    }
}

#[test]
fn what_was_read_before_a_failure_is_handed_out() {
    let reopened = Reopened::new();
    let store = reopened.open();
    for (folder, from) in [("commitlog", reopened.at[5].get()), ("consumequeue", 5 * 20)] {
        reopened.faults.begin_at(folder, from, Fault::BadSector);
        assert_eq!(outcome(&read(&store, 3)), (ReadStatus::Found, 5, 2), "{folder}");
        assert_eq!(outcome(&read(&store, 5)), (ReadStatus::ReadFailed, 5, 0), "{folder}");
        let tagged = |_: i64, bytes: &[u8]| if bytes.contains(&9) { Verdict::Keep } else { Verdict::Skip };
        let filtered = store.read(&topic("T"), Q, 3, ReadLimits::count(32), &tagged);
        assert!(filtered.next.get() <= 5, "{filtered:?}");
        let (first, units) = store.units(&topic("T"), Q, QueueOffset::new(3), 32).unwrap();
        let readable = if folder == "consumequeue" { 2 } else { 7 };
        assert_eq!((first.get(), units.len()), (3, readable));
        reopened.faults.end();
    }
}

#[test]
fn single_messages_tell_a_failure_from_their_absence() {
    let reopened = Reopened::new();
    let store = reopened.open();
    reopened.faults.begin("commitlog", Fault::BadSector);
    let at = reopened.at[4];
    assert!(matches!(store.record_at(at), Err(ReadError::Io(_))));
    assert!(matches!(store.record_named(at), Err(ReadError::Io(_))));
    assert!(store.query_keys("T", "k4", 32, 0, i64::MAX).is_err());
    assert!(store.store_time(&topic("T"), Q, QueueOffset::new(4)).is_err());
    assert!(store.store_time_at(at).is_err());
    assert!(store.offset_by_time(&topic("T"), Q, i64::MAX).is_err());
    reopened.faults.begin("consumequeue", Fault::BadSector);
    assert!(store.unit_at(&topic("T"), Q, QueueOffset::new(4)).is_err());
    assert!(store.units(&topic("T"), Q, QueueOffset::new(4), 1).is_err());
    assert!(matches!(store.record_named(at), Err(ReadError::Io(_))));
    assert!(store.record_at(at).is_ok(), "it needs no queue");
    reopened.faults.begin("index", Fault::BadSector);
    assert!(store.query_keys("T", "k4", 32, 0, i64::MAX).is_err());
    reopened.faults.end();
    assert_eq!(store.query_keys("T", "k4", 32, 0, i64::MAX).unwrap().records.len(), 1);
    assert!(matches!(store.record_at(LogOffset::new(1)), Err(ReadError::NoRecord { .. })));
    assert!(matches!(store.record_at(LogOffset::new(1 << 40)), Err(ReadError::OutOfRange { .. })));
}

#[test]
fn a_damaged_body_is_passed_over_and_counted() {
    let reopened = Reopened::new();
    let store = reopened.open();
    reopened.damage(reopened.at[4].get() + 90);
    let result = read(&store, 3);
    assert_eq!(outcome(&result), (ReadStatus::Found, 10, 6));
    assert_eq!(store.stats().records_damaged, 1);
    assert_eq!(bodies(&store, "T", 0).len(), 9);
    assert!(matches!(store.record_at(reopened.at[4]), Err(ReadError::NoRecord { .. })));
    assert_eq!(store.stats().records_damaged, 3);
    assert!(matches!(store.record_named(reopened.at[4]), Err(ReadError::NoRecord { .. })));
    assert!(store.query_keys("T", "k4", 32, 0, i64::MAX).unwrap().records.is_empty());
    let alone = store.read(&topic("T"), Q, 4, ReadLimits::count(1), &|_, _| Verdict::Keep);
    assert_eq!(outcome(&alone), (ReadStatus::Found, 6, 1), "the next sound one");
}

#[test]
fn a_bit_that_flipped_on_the_way_is_read_again() {
    let reopened = Reopened::new();
    let store = reopened.open();
    for (within, reads, damaged) in [(90, 1, 0), (90, 2, 1), (35, 1, 1), (35, 2, 2)] {
        reopened.faults.begin_at("commitlog", reopened.at[4].get() + within, Fault::FlippedBit { reads });
        let count = read(&store, 4).count;
        assert_eq!(count, if reads == 1 { 6 } else { 5 }, "{within} {reads}");
        assert_eq!(store.stats().records_damaged, damaged);
        reopened.faults.end();
    }
}

#[test]
fn own_records_are_checked_once_they_are_cold() {
    for (memory_bytes, expected) in [(0, 0), (1 << 30, 1)] {
        let dir = tempfile::tempdir().unwrap();
        let mut config = small(dir.path());
        config.memory_bytes = memory_bytes;
        let (disk, faults) = FaultyDisk::over(Arc::new(RealDisk));
        let store = open(config, disk as Arc<dyn Disk>);
        let sent = send(&store, "T", 0, b"body").unwrap();
        store.dispatch_now(None).unwrap();
        faults.begin_at("commitlog", sent.first.get() + 88, Fault::FlippedBit { reads: 2 });
        assert_eq!(read(&store, 0).count, expected);
    }
}

#[test]
fn a_damaged_record_does_not_lead_a_search_by_time_astray() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let store = Store::open(small(dir.path()), Arc::new(RealDisk), Arc::clone(&clock) as _).unwrap();
    let mut at = Vec::new();
    for n in 0..20_u8 {
        at.push(send(&store, "T", 0, &[n]).unwrap().first.get());
        clock.advance(Duration::from_millis(100));
    }
    store.dispatch_now(None).unwrap();
    // The first one that a binary search looks at.
    let path = dir.path().join("commitlog").join("0".repeat(20));
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[0xff], at[10] + 28).unwrap();
    for (after_ms, expected) in [(0, 0), (400, 4), (1_100, 11), (1_900, 19)] {
        let found = store.offset_by_time(&topic("T"), Q, 1_700_000_000_000 + after_ms).unwrap();
        assert_eq!(found.get(), expected, "{after_ms}");
    }
}
