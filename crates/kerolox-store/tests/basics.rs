//! Storing and reading on a real disk.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::{bodies, clock, open, record, send, small, topic};
use kerolox_store::disk::{Disk, RealDisk};
use kerolox_store::{Arrivals, OpenError, ReadLimits, ReadStatus, RefusedRecord, Store, StoreConfig, Verdict};
use kerolox_wire::names::{LogOffset, QueueId, QueueOffset};
use kerolox_wire::record::{BodyCheck, LateFields, Record, fill_late};
use kerolox_wire::sys_flag::PREPARED;

fn real() -> Arc<dyn Disk> {
    Arc::new(RealDisk)
}

#[test]
fn what_is_appended_can_be_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(small(dir.path()), real());
    for n in 0..100_u32 {
        let appended = send(&store, "T", n % 3, format!("body {n}").as_bytes()).unwrap();
        assert_eq!(appended.queue_offset.get(), u64::from(n / 3));
    }
    store.dispatch_now(None).unwrap();
    for queue in 0..3 {
        let expected: Vec<_> = (0..100).filter(|n| n % 3 == queue).map(|n| format!("body {n}").into_bytes()).collect();
        assert_eq!(bodies(&store, "T", queue), expected);
    }
    assert!(store.stats().segments > 2, "the log has rolled");
}

#[test]
fn a_clean_stop_and_a_start_change_nothing() {
    let dir = tempfile::tempdir().unwrap();
    for round in 0..5_u32 {
        let store = open(small(dir.path()), real());
        for n in 0..30 {
            let appended = send(&store, "T", 0, format!("body {}", round * 30 + n).as_bytes()).unwrap();
            assert_eq!(appended.queue_offset.get(), u64::from(round * 30 + n));
        }
        store.shutdown().unwrap();
        assert!(!dir.path().join("abort").exists());
    }
    let store = open(small(dir.path()), real());
    assert_eq!(bodies(&store, "T", 0).len(), 150);
    assert_eq!(store.stats().records_skipped, 0);
}

#[test]
fn a_group_keeps_together_and_counts_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(small(dir.path()), real());
    let queue = store.queue(&topic("T"), QueueId::new(0));
    for round in 0..10_u64 {
        let mut batch = store.batch();
        let body = [7; 300];
        let group: Vec<_> = (0..5).map(|_| record("T", 0, &body, "")).collect();
        batch.push_group(&queue, &group).unwrap();
        let appended = store.append(&mut batch).unwrap().remove(0);
        assert_eq!(appended.queue_offset.get(), round * 5);
        assert_eq!(appended.record_offsets.len(), 5);
        let size = 91 + 1 + 300;
        for pair in appended.record_offsets.windows(2) {
            assert_eq!(pair[1].get() - pair[0].get(), size, "no filler between them");
        }
        assert_eq!(appended.first.get() / 4096, (appended.end.get() - 1) / 4096, "in one file");
    }
    store.dispatch_now(None).unwrap();
    assert_eq!(bodies(&store, "T", 0).len(), 50);
}

#[test]
fn a_query_brings_what_fits_into_one_frame() {
    let dir = tempfile::tempdir().unwrap();
    let config = StoreConfig { segment_size: 32 << 20, max_record_size: 8 << 20, ..small(dir.path()) };
    let store = open(config, real());
    let queue = store.queue(&topic("T"), QueueId::new(0));
    let large = vec![7; 6 << 20];
    for _ in 0..4 {
        let mut batch = store.batch();
        batch.push(&queue, &record("T", 0, &large, "KEYS\u{1}k\u{2}")).unwrap();
        store.append(&mut batch).unwrap();
    }
    store.dispatch_now(None).unwrap();
    let found = store.query_keys("T", "k", 32, 0, i64::MAX).unwrap().records;
    assert_eq!(found.len(), 2, "as many as no client refuses");
    assert!(found.iter().map(bytes::Bytes::len).sum::<usize>() < kerolox_wire::frame::FRAME_SIZE_MAX);
}

#[test]
fn properties_that_end_in_a_zero_byte_pass_for_no_torn_record() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(small(dir.path()), real());
    let queue = store.queue(&topic("T"), QueueId::new(0));
    let mut batch = store.batch();
    let odd = record("T", 0, b"odd", "KEYS\u{1}k\0");
    batch.push_group(&queue, &[record("T", 0, b"before", ""), odd]).unwrap();
    store.append(&mut batch).unwrap();
    send(&store, "T", 0, b"after").unwrap();
    // As a kill leaves it.
    drop(store);
    assert!(dir.path().join("abort").exists());
    let store = open(small(dir.path()), real());
    store.dispatch_now(None).unwrap();
    assert_eq!(bodies(&store, "T", 0), [&b"before"[..], b"odd", b"after"]);
    assert_eq!(store.query_keys("T", "k\0", 32, 0, i64::MAX).unwrap().records.len(), 1, "the value is what it was");
}

#[test]
fn prepared_records_take_no_place_in_the_queue() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(small(dir.path()), real());
    let queue = store.queue(&topic("T"), QueueId::new(0));
    send(&store, "T", 0, b"one").unwrap();
    let mut batch = store.batch();
    let mut half = record("T", 0, b"half", "");
    half.sys_flag = PREPARED;
    batch.push(&queue, &half).unwrap();
    let appended = store.append(&mut batch).unwrap().remove(0);
    assert_eq!(appended.queue_offset, QueueOffset::ZERO);
    assert_eq!(send(&store, "T", 0, b"two").unwrap().queue_offset.get(), 1);
    store.dispatch_now(None).unwrap();
    assert_eq!(bodies(&store, "T", 0), [b"one", b"two"]);
    let bytes = store.record_at(appended.first).unwrap();
    assert_eq!(Record::parse(&bytes, BodyCheck::Crc).unwrap().body(), b"half");
}

#[test]
fn reads_out_of_range_say_where_to_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(small(dir.path()), real());
    for n in 0..10_u8 {
        send(&store, "T", 0, &[n]).unwrap();
    }
    store.dispatch_now(None).unwrap();
    let read = |name: &str, queue, from| {
        let result = store.read(&topic(name), QueueId::new(queue), from, ReadLimits::count(32), &|_, _| Verdict::Keep);
        (result.status, result.next.get(), result.count)
    };
    assert_eq!(read("T", 0, -1), (ReadStatus::OffsetTooSmall, 0, 0));
    assert_eq!(read("T", 0, 4), (ReadStatus::Found, 10, 6));
    assert_eq!(read("T", 0, 10), (ReadStatus::OffsetOverflowOne, 10, 0));
    assert_eq!(read("T", 0, 11), (ReadStatus::OffsetOverflowBadly, 0, 0));
    assert_eq!(read("T", 1, 0), (ReadStatus::NoMatchedLogicQueue, 0, 0));
    let _handle = store.queue(&topic("T"), QueueId::new(2));
    assert_eq!(read("T", 2, 0), (ReadStatus::NoMessageInQueue, 0, 0));
}

#[test]
fn filters_see_the_tags_code_before_the_record() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(small(dir.path()), real());
    let queue = store.queue(&topic("T"), QueueId::new(0));
    let mut batch = store.batch();
    for tag in ["A", "B", "A", "C"] {
        batch.push(&queue, &record("T", 0, tag.as_bytes(), &format!("TAGS\u{1}{tag}\u{2}"))).unwrap();
    }
    store.append(&mut batch).unwrap();
    store.dispatch_now(None).unwrap();
    let wanted = i64::from(b'A');
    let by_tags = |code: i64| if code == wanted { Verdict::Keep } else { Verdict::Skip };
    let limits = ReadLimits { max_count: 32, by_tags: Some(&by_tags) };
    let seen = AtomicU64::new(0);
    let result = store.read(&topic("T"), QueueId::new(0), 0, limits, &|code, bytes| {
        assert_eq!(code, wanted);
        assert_eq!(Record::parse(bytes, BodyCheck::Crc).unwrap().body(), b"A");
        seen.fetch_add(1, Ordering::Relaxed);
        Verdict::Keep
    });
    assert_eq!((result.status, result.count, result.next.get()), (ReadStatus::Found, 2, 4));
    assert_eq!(seen.into_inner(), 2);
    let none = store.read(&topic("T"), QueueId::new(0), 0, limits, &|_, _| Verdict::Skip);
    assert_eq!((none.status, none.next.get()), (ReadStatus::NoMatchedMessage, 4));
}

#[test]
fn offsets_that_begin_no_record_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(small(dir.path()), real());
    send(&store, "T", 0, &[0; 500]).unwrap();
    for offset in [1, 91, 400, 600, 5_000, u64::MAX] {
        assert!(store.record_at(LogOffset::new(offset)).is_err(), "{offset}");
    }
    assert!(store.record_at(LogOffset::ZERO).is_ok());
}

#[test]
fn a_record_made_up_inside_a_body_is_none_to_a_peer() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(small(dir.path()), real());
    let first = send(&store, "T", 0, b"x").unwrap();
    // Whoever knows the end of the log knows where a record inside of the next body will stand.
    let at = first.end + 88;
    let mut made_up = Vec::new();
    record("U", 0, b"made up", "").encode(&mut made_up).unwrap();
    fill_late(&mut made_up, &LateFields { queue_offset: QueueOffset::ZERO, log_offset: at, store_timestamp: 1 });
    let real = send(&store, "T", 0, &made_up).unwrap();
    let last = send(&store, "U", 0, b"y").unwrap();
    assert!(store.record_at(at).is_ok(), "it looks like a record");
    for _ in 0..2 {
        // First where nothing is dispatched, then where all is.
        assert!(store.record_named(at).is_err());
        for known in [first.first, real.first, last.first] {
            assert!(store.record_named(known).is_ok(), "{known}");
        }
        store.dispatch_now(None).unwrap();
    }
    store.delete_topic(&topic("U")).unwrap();
    assert!(store.record_named(last.first).is_err(), "its queue is gone");
}

#[test]
fn records_that_do_not_fit_are_refused_alone() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(small(dir.path()), real());
    let queue = store.queue(&topic("T"), QueueId::new(0));
    let mut batch = store.batch();
    batch.push(&queue, &record("T", 0, b"fits", "")).unwrap();
    let refused = batch.push(&queue, &record("T", 0, &[0; 2048], "")).unwrap_err();
    assert_eq!(refused, RefusedRecord::TooLarge { size: 2048 + 92, limit: 2048 });
    let refused = batch.push(&queue, &record("T", 0, b"", &"p".repeat(40_000))).unwrap_err();
    assert!(matches!(refused, RefusedRecord::PropertiesTooLong { size: 40_000, .. }));
    assert_eq!(store.append(&mut batch).unwrap().len(), 1);
    assert!(batch.is_empty());
}

#[test]
fn a_directory_is_open_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(small(dir.path()), real());
    let second = Store::open(small(dir.path()), real(), clock());
    assert!(matches!(second.err(), Some(OpenError::Locked { .. })));
    drop(store);
    let _third = open(small(dir.path()), real());
}

#[test]
fn files_of_another_size_stop_the_start() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(small(dir.path()), real());
    send(&store, "T", 0, b"x").unwrap();
    store.shutdown().unwrap();
    let mut other = small(dir.path());
    other.segment_size = 8192;
    let error = Store::open(other, real(), clock()).err().unwrap();
    assert!(matches!(error, OpenError::SegmentSize { len: 4096, expected: 8192, .. }), "{error}");
}

#[test]
fn times_lead_to_the_nearest_message() {
    let dir = tempfile::tempdir().unwrap();
    let clock = clock();
    let store = Store::open(small(dir.path()), real(), Arc::clone(&clock) as _).unwrap();
    let start = 1_700_000_000_000;
    for n in 0..50_u8 {
        send(&store, "T", 0, &[n]).unwrap();
        clock.advance(Duration::from_millis(100));
    }
    store.dispatch_now(None).unwrap();
    let at = |ms| store.offset_by_time(&topic("T"), QueueId::new(0), ms).unwrap().get();
    assert_eq!(at(0), 0);
    assert_eq!(at(start), 0);
    assert_eq!(at(start + 1_000), 10);
    assert_eq!(at(start + 1_040), 10);
    assert_eq!(at(start + 1_060), 11);
    assert_eq!(at(i64::MAX), 49);
    assert_eq!(store.store_time(&topic("T"), QueueId::new(0), QueueOffset::new(7)).unwrap(), Some(start + 700));
}

#[derive(Default)]
struct Heard(AtomicU64);

impl Arrivals for Heard {
    fn arrived(&self, topic: &str, queue_id: QueueId, end: QueueOffset, _: i64) {
        assert_eq!((topic, queue_id.get()), ("T", 0));
        let before = self.0.swap(end.get(), Ordering::SeqCst);
        assert_eq!(before + 1, end.get(), "in order, each once");
    }
}

#[test]
fn threads_dispatch_flush_and_tell() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = small(dir.path());
    config.flush = kerolox_store::FlushMode::Sync;
    let store = open(config, real());
    let heard = Arc::new(Heard::default());
    store.start(Arc::clone(&heard) as Arc<dyn Arrivals>).unwrap();
    let (tell, told) = std::sync::mpsc::channel();
    for n in 0..200_u32 {
        let appended = send(&store, "T", 0, &n.to_be_bytes()).unwrap();
        let tell = tell.clone();
        store.when_durable(appended.end, Box::new(move |durability| tell.send((n, durability)).unwrap()));
    }
    for _ in 0..200 {
        let (_, durability) = told.recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(durability, kerolox_store::Durability::Durable);
    }
    assert_eq!(store.durable_end(), store.end());
    for _ in 0..1_000 {
        if heard.0.load(Ordering::SeqCst) < 200 {
            let _ = told.recv_timeout(Duration::from_millis(10));
        }
    }
    store.shutdown().unwrap();
    assert_eq!(heard.0.load(Ordering::SeqCst), 200);
    assert!(send(&store, "T", 0, b"late").is_err());
    let files = std::fs::read_dir(dir.path().join("commitlog")).unwrap().count();
    assert_eq!(files, store.stats().segments, "the file made ahead is gone");
}

/// Several writers and the store's own threads over many small files: files made ahead, rolling, dispatch and reads race.
#[test]
fn writers_and_threads_race_without_loss() {
    const WRITERS: u32 = 3;
    const MESSAGES: u32 = 3_000;
    let dir = tempfile::tempdir().unwrap();
    let store = open(small(dir.path()), real());
    store.start(Arc::new(Deaf)).unwrap();
    std::thread::scope(|scope| {
        for writer in 0..WRITERS {
            let store = store.clone();
            scope.spawn(move || {
                for n in 0..MESSAGES {
                    let appended = send(&store, "T", writer, &n.to_be_bytes()).unwrap();
                    assert_eq!(appended.queue_offset.get(), u64::from(n));
                }
            });
        }
    });
    store.shutdown().unwrap();
    for writer in 0..WRITERS {
        let expected: Vec<_> = (0..MESSAGES).map(|n| n.to_be_bytes().to_vec()).collect();
        assert_eq!(bodies(&store, "T", writer), expected);
    }
    assert_eq!(store.stats().records_skipped, 0);
    let mut names: Vec<_> =
        std::fs::read_dir(dir.path().join("commitlog")).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names.len(), store.stats().segments, "no file is left over");
}

struct Deaf;

impl Arrivals for Deaf {
    fn arrived(&self, _: &str, _: QueueId, _: QueueOffset, _: i64) {}
}
