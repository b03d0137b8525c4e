//! The index agrees byte for byte with the reference, with a plain list of keys, and loses nothing in a crash.

use std::collections::BTreeSet;
use std::fs;

use kerolox_wire::clock::ManualClock;
use proptest::prelude::*;

use super::format::HEADER_BYTES;
use super::*;
use crate::disk::RealDisk;
use crate::disk::sim::{Loss, SimDisk};
use crate::vectors;

const NOW: i64 = 1_700_000_000_000;

#[derive(Clone, Copy)]
struct Sizes(u32, u32);

const SMALL: Sizes = Sizes(16, 50);

fn how(Sizes(slots, entries): Sizes, crash: Option<i64>) -> IndexOpen {
    IndexOpen {
        slots,
        entries,
        abnormal: crash.is_some(),
        checkpoint_index_ms: crash.unwrap_or(0),
        clock: Arc::new(ManualClock::at(NOW)),
        utc_offset: Arc::new(|_| 0),
    }
}

fn open(dir: &Path, sizes: Sizes) -> Index {
    Index::open(Arc::new(RealDisk), dir, how(sizes, None)).unwrap()
}

fn after_crash(dir: &Path, sizes: Sizes) -> Index {
    Index::open(Arc::new(RealDisk), dir, how(sizes, Some(0))).unwrap()
}

/// Record `n`: 100 bytes long, a second after the one before, with a key of its own and one of five shared ones.
#[derive(Clone)]
struct Record {
    uniq: String,
    keys: String,
    log_offset: u64,
    ms: i64,
}

fn record(n: u64) -> Record {
    let (uniq, keys) = (format!("U{n}"), format!("k{}  s", n % 5));
    Record { uniq, keys, log_offset: n * 100, ms: NOW + n.cast_signed() * 1000 }
}

impl Record {
    fn keys(&self) -> IndexKeys<'_> {
        IndexKeys {
            topic: "T",
            uniq_key: Some(&self.uniq),
            keys: Some(&self.keys),
            log_offset: self.log_offset,
            store_timestamp: self.ms,
        }
    }
}

fn put(index: &Index, range: std::ops::Range<u64>) {
    let records: Vec<_> = range.map(record).collect();
    index.put(&records.iter().map(Record::keys).collect::<Vec<_>>()).unwrap();
}

fn find(index: &Index, key: &str) -> Vec<u64> {
    index.query("T", key, 10_000, 0, i64::MAX).unwrap().into_iter().map(LogOffset::get).collect()
}

/// All records below `end` are found by each of their keys, newest first.
fn assert_holds(index: &Index, end: u64) {
    for n in 0..end {
        assert!(find(index, &format!("U{n}")).contains(&(n * 100)), "record {n} of {end}");
    }
    let shared: Vec<_> = (0..end).rev().map(|n| n * 100).collect();
    assert_eq!(find(index, "s"), shared);
    let third: Vec<_> = (0..end).rev().filter(|n| n % 5 == 3).map(|n| n * 100).collect();
    assert_eq!(find(index, "k3"), third);
}

fn files(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Damages a file: the bytes from entry `n` on for `len` bytes become zeros, as when a page was never written.
fn tear(path: &Path, Sizes(slots, entries): Sizes, n: u32, skip: u64, len: u64) {
    use std::os::unix::fs::FileExt;
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    let at = Layout::new(slots, entries).entry_at(n) + skip;
    let len = len.min(file.metadata().unwrap().len() - at);
    file.write_all_at(&vec![0; usize::try_from(len).unwrap()], at).unwrap();
}

#[test]
fn structures_have_the_reference_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let sizes = Sizes(5_000_000, 20_000_000);
    let index = open(dir.path(), sizes);
    let keys = |uniq_key, keys, log_offset, store_timestamp| IndexKeys {
        topic: "TopicTest",
        uniq_key,
        keys,
        log_offset,
        store_timestamp,
    };
    index.put(&[keys(Some("7F00000100002A139A5500000001"), Some("order-1001"), 0, NOW + 5)]).unwrap();
    index.put(&[keys(None, Some("order-1001"), 777, NOW + 9005)]).unwrap();
    index.flush().unwrap();
    let file = RealDisk.open(&files(dir.path())[0], crate::disk::OpenMode::Read).unwrap();
    assert_eq!(file.len(), 420_000_040);
    assert_eq!(file.slice(0, HEADER_BYTES).unwrap(), vectors::hex("index.header"));
    for n in 1..=3 {
        for name in [format!("index.entry.{n}"), format!("index.slot.of.entry.{n}")] {
            let bytes = vectors::hex(&name);
            let at = u64::try_from(vectors::field(&name, "at")).unwrap();
            assert_eq!(file.slice(at, bytes.len()).unwrap(), bytes, "{name}");
        }
    }
    let header = Header::decode(vectors::hex("index.header").first_chunk().unwrap());
    assert_eq!(header.encode().to_vec(), vectors::hex("index.header"));
}

#[test]
fn the_small_reference_store_is_read_and_written_byte_for_byte() {
    let reference = vectors::mini().join("index").join(vectors::MINI_INDEX_FILE);
    let sizes = Sizes(vectors::MINI_INDEX_SLOTS, vectors::MINI_INDEX_ENTRIES);
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path(), sizes);
    let messages = vectors::mini_messages();
    for (i, message) in messages.iter().enumerate() {
        index
            .put(&[IndexKeys {
                topic: &message.topic,
                uniq_key: Some(&format!("U{i:027}")),
                keys: Some(&format!("k{i} shared")),
                log_offset: message.phy,
                store_timestamp: message.store_timestamp,
            }])
            .unwrap();
    }
    index.flush().unwrap();
    assert_eq!(fs::read(&files(dir.path())[0]).unwrap(), fs::read(&reference).unwrap());

    let copy = tempfile::tempdir().unwrap();
    fs::copy(&reference, copy.path().join(vectors::MINI_INDEX_FILE)).unwrap();
    let theirs = open(copy.path(), sizes);
    assert_eq!(theirs.rebuild_from(), None);
    let last = messages.last().unwrap();
    assert_eq!(theirs.last_end(), (last.store_timestamp, last.phy));
    for (i, message) in messages.iter().enumerate() {
        let found = theirs.query(&message.topic, &format!("k{i}"), 64, 0, i64::MAX).unwrap();
        assert_eq!(found, [LogOffset::new(message.phy)], "message {i}");
    }
    assert_eq!(theirs.query("TopicMini", "shared", 64, 0, i64::MAX).unwrap().len(), 40);
}

#[test]
fn keys_that_collide_come_back_together() {
    let hashes = vectors::hex("index.collision");
    assert_eq!(hashes[..4], hashes[4..]);
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path(), SMALL);
    for (n, key) in ["Aa", "BB"].into_iter().enumerate() {
        let log_offset = n as u64;
        index
            .put(&[IndexKeys { topic: "T", uniq_key: Some(key), keys: None, log_offset, store_timestamp: NOW }])
            .unwrap();
    }
    assert_eq!(find(&index, "Aa"), [1, 0]);
}

#[test]
fn keys_run_over_files_and_survive_a_clean_stop() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path(), SMALL);
    put(&index, 0..100);
    put(&index, 90..120);
    assert_holds(&index, 120);
    index.flush().unwrap();
    let names = files(dir.path());
    assert_eq!(names.len(), 8, "360 keys, 49 in a file");
    assert_eq!(names[1].file_name().unwrap().to_str(), Some("20231114221320001"));
    let index = open(dir.path(), SMALL);
    assert_eq!(index.rebuild_from(), None);
    assert_eq!(index.last_end(), (NOW + 119_000, 11_900));
    put(&index, 110..150);
    assert_holds(&index, 150);
}

#[test]
fn a_query_is_bounded_in_time_and_number() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path(), SMALL);
    put(&index, 0..100);
    let query = |max, begin: i64, end: i64| {
        let found = index.query("T", "s", max, NOW + begin * 1000, NOW + end * 1000).unwrap();
        found.into_iter().map(|offset| offset.get() / 100).collect::<Vec<_>>()
    };
    assert_eq!(query(3, 0, 1000), [99, 98, 97]);
    assert_eq!(query(64, 10, 13), [13, 12, 11, 10]);
    assert_eq!(query(64, 97, 2000), [99, 98, 97]);
    assert!(query(64, 200, 300).is_empty());
    assert!(query(64, -50, -10).is_empty());
    assert!(query(0, 0, 1000).is_empty());
    assert!(index.query("T", "nothing", 64, 0, i64::MAX).unwrap().is_empty());
    assert!(index.query("Other", "s", 64, 0, i64::MAX).unwrap().is_empty());
}

#[test]
fn expiry_removes_whole_files_but_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path(), SMALL);
    put(&index, 0..100);
    assert_eq!(index.delete_expired(0).unwrap(), 0);
    assert_eq!(index.delete_expired(5000).unwrap(), 3);
    assert_eq!(index.delete_expired(u64::MAX).unwrap(), 3);
    assert_eq!(files(dir.path()).len(), 1);
    index.sync().unwrap();
    put(&index, 100..130);
    assert_eq!(find(&index, "s")[0], 12_900);
}

#[test]
fn the_time_of_full_files_counts_once_they_are_durable() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path(), SMALL);
    put(&index, 0..40);
    assert_eq!(index.sealed_ms(), 0);
    index.sync().unwrap();
    // 98 keys fill two files; the 98th is one of record 32.
    assert_eq!(index.sealed_ms(), NOW + 32_000);
    assert_eq!(open(dir.path(), SMALL).sealed_ms(), NOW + 32_000);
}

#[test]
fn slots_that_were_never_written_are_noticed_without_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path(), SMALL);
    put(&index, 0..20);
    index.sync().unwrap();
    let index = open(dir.path(), SMALL);
    let from = index.rebuild_from().unwrap();
    put(&index, from / 100..20);
    assert_holds(&index, 20);
}

#[test]
fn after_a_crash_keys_come_back_from_the_offset_told() {
    for synced in [0_u64, 1, 15, 16, 17, 33, 40] {
        let dir = tempfile::tempdir().unwrap();
        let index = open(dir.path(), SMALL);
        put(&index, 0..synced);
        index.sync().unwrap();
        put(&index, synced..40);
        drop(index);
        let index = after_crash(dir.path(), SMALL);
        let from = index.rebuild_from().unwrap();
        assert!(from <= synced.saturating_sub(1) * 100 || from <= 3900, "{from} after {synced}");
        put(&index, from / 100..60);
        assert_holds(&index, 60);
        index.flush().unwrap();
        let index = open(dir.path(), SMALL);
        assert_eq!(index.rebuild_from(), None);
        assert_holds(&index, 60);
    }
}

#[test]
fn a_killed_process_leaves_full_files_that_need_no_second_indexing() {
    let dir = tempfile::tempdir().unwrap();
    // 16 records a file: three are full, the fourth is begun; nothing was synced.
    put(&open(dir.path(), SMALL), 0..60);
    let index = after_crash(dir.path(), SMALL);
    assert_eq!(index.rebuild_from(), Some(4800), "the last record of the third file");
    assert_eq!(files(dir.path()).len(), 3);
}

#[test]
fn a_file_from_before_the_clock_was_set_back_vouches_for_no_later_one() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path(), SMALL);
    put(&index, 60..80);
    index.flush().unwrap();
    let durable = index.sealed_ms();
    let late: Vec<_> = (0..40).map(|n| Record { log_offset: record(n + 80).log_offset, ..record(n) }).collect();
    index.put(&late.iter().map(Record::keys).collect::<Vec<_>>()).unwrap();
    drop(index);
    // The second file is full and ends earlier, but its last entries never reached the medium.
    tear(&files(dir.path())[1], SMALL, 40, 0, 200);
    let index = Index::open(Arc::new(RealDisk), dir.path(), how(SMALL, Some(durable))).unwrap();
    let from = index.rebuild_from().unwrap();
    assert!(from > 7500 && from < 9300, "{from}");
}

#[test]
fn a_lost_index_is_rebuilt_from_the_beginning_after_a_crash() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(after_crash(dir.path(), SMALL).rebuild_from(), Some(0));
    assert_eq!(open(dir.path(), SMALL).rebuild_from(), None);
}

#[test]
fn files_that_the_checkpoint_vouches_for_are_not_walked() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path(), SMALL);
    put(&index, 0..60);
    index.flush().unwrap();
    // The last entry of the first file is damaged: only a walk would see it.
    tear(&files(dir.path())[0], SMALL, 49, 0, 20);
    let durable = Some(index.sealed_ms());
    let index = Index::open(Arc::new(RealDisk), dir.path(), how(SMALL, durable)).unwrap();
    assert!(index.rebuild_from().unwrap() > 5000);
    let index = after_crash(dir.path(), SMALL);
    assert!(index.rebuild_from().unwrap() < 1700);
    assert_eq!(files(dir.path()).len(), 1, "what follows a damaged file has lost its place");
}

#[test]
fn a_file_of_another_size_is_an_error_that_names_the_settings() {
    let dir = tempfile::tempdir().unwrap();
    put(&open(dir.path(), SMALL), 0..3);
    let error = Index::open(Arc::new(RealDisk), dir.path(), how(Sizes(17, 50), None)).err().unwrap().to_string();
    for part in ["20231114221320000", "1104", "1108", "maxHashSlotNum"] {
        assert!(error.contains(part), "{error}");
    }
}

#[test]
fn leftovers_of_failed_file_making_are_dropped_and_strangers_stay() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path(), SMALL);
    put(&index, 0..20);
    index.flush().unwrap();
    let empty_middle = dir.path().join("20231114221320000");
    let size = Layout::new(SMALL.0, SMALL.1).file_size();
    for name in ["20200101000000000", "20231114221320999"] {
        fs::File::create(dir.path().join(name))
            .unwrap()
            .set_len(if name.starts_with("2020") { size } else { 0 })
            .unwrap();
    }
    fs::write(dir.path().join("note.txt"), "x").unwrap();
    let index = open(dir.path(), SMALL);
    assert_holds(&index, 20);
    assert!(dir.path().join("note.txt").exists() && empty_middle.exists());
    assert_eq!(files(dir.path()).len(), 3);
}

#[test]
fn a_record_whose_keys_cannot_be_written_is_taken_back() {
    let dir = tempfile::tempdir().unwrap();
    let index = open(dir.path(), SMALL);
    put(&index, 0..10);
    {
        let mut state = index.state.lock();
        let undo = state.mark();
        let before = state.active.as_ref().unwrap().header;
        let record = record(10);
        for hash in [1, 17, 33] {
            state.add(hash, &record.keys()).unwrap();
        }
        state.roll_back(&undo);
        assert_eq!(state.active.as_ref().unwrap().header, before);
    }
    put(&index, 10..20);
    assert_holds(&index, 20);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn the_index_agrees_with_a_list(
        batches in prop::collection::vec((1_u64..30, 0_u8..4), 1..8),
        slots in 1_u32..40,
        entries in 2_u32..80,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let sizes = Sizes(slots, entries);
        let mut index = open(dir.path(), sizes);
        let mut end = 0;
        for (count, then) in batches {
            put(&index, end..end + count);
            end += count;
            match then {
                1 => index.sync().unwrap(),
                2 => {
                    index.flush().unwrap();
                    index = open(dir.path(), sizes);
                    prop_assert_eq!(index.rebuild_from(), None);
                }
                3 => {
                    index = after_crash(dir.path(), sizes);
                    let from = index.rebuild_from().unwrap();
                    prop_assert!(from <= end * 100);
                    put(&index, from / 100..end);
                }
                _ => {}
            }
            let expected: Vec<_> = (0..end).rev().map(|n| n * 100).collect();
            prop_assert_eq!(find(&index, "s"), expected);
        }
        assert_holds(&index, end);
    }

    #[test]
    fn a_torn_file_loses_nothing_once_keys_are_put_again(
        end in 1_u64..60,
        file in any::<prop::sample::Index>(),
        first in 1_u32..50,
        skip in 0_u64..20,
        // Pages and sectors are lost, never single bytes: at least one whole entry is gone.
        len in 40_u64..400,
        slots_too in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let index = open(dir.path(), SMALL);
        put(&index, 0..end);
        index.flush().unwrap();
        let paths = files(dir.path());
        let path = &paths[file.index(paths.len())];
        tear(path, SMALL, first, skip, len);
        if slots_too {
            tear(path, Sizes(0, 0), 0, 0, 64);
        }
        let index = after_crash(dir.path(), SMALL);
        let from = index.rebuild_from().unwrap();
        put(&index, from / 100..end + 5);
        // What a torn last entry says of its time may be wrong, nothing else may.
        let expected: BTreeSet<_> = (0..end + 5).map(|n| n * 100).collect();
        prop_assert_eq!(find(&index, "s").into_iter().collect::<BTreeSet<_>>(), expected);
        for n in 0..end + 5 {
            prop_assert!(find(&index, &format!("U{n}")).contains(&(n * 100)), "record {}", n);
        }
    }

    #[test]
    fn no_content_of_a_file_is_fatal(
        bytes in prop::collection::vec(prop_oneof![2 => Just(0_u8), 1 => any::<u8>()], 1104),
        crash in any::<bool>(),
        names in 1_usize..4,
    ) {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..names {
            let mut bytes = bytes.clone();
            bytes.rotate_left(n * 7);
            bytes[36..40].copy_from_slice(&(n as i32 * 17).to_be_bytes());
            fs::write(dir.path().join(format!("2023111422132000{n}")), bytes).unwrap();
        }
        let index = Index::open(Arc::new(RealDisk), dir.path(), how(SMALL, crash.then_some(5))).unwrap();
        find(&index, "s");
        index.put(&[IndexKeys { topic: "T", uniq_key: Some("new"), keys: None, log_offset: i64::MAX as u64, store_timestamp: NOW }]).unwrap();
        prop_assert!(index.query("T", "new", 64, i64::MIN, i64::MAX).unwrap().contains(&LogOffset::new(i64::MAX as u64)));
        index.flush().unwrap();
        index.delete_expired(1 << 40).unwrap();
    }
}

#[test]
fn keys_of_records_that_a_crash_took_from_the_log_are_dropped() {
    for (end, log_end) in [(10, 9), (40, 20), (40, 16), (40, 17), (40, 0), (40, 40), (17, 5)] {
        let dir = tempfile::tempdir().unwrap();
        let index = open(dir.path(), SMALL);
        put(&index, 0..end);
        index.flush().unwrap();
        // Every second open notices by itself, from where keys are put again.
        for explicit in [true, false] {
            let index = open(dir.path(), SMALL);
            if explicit {
                index.truncate(log_end * 100).unwrap();
                assert_holds(&index, log_end);
                index.sync().unwrap();
                let reopened = after_crash(dir.path(), SMALL);
                assert!(reopened.last_end().1 < log_end * 100 || log_end == 0);
            }
            // The log goes on with other records in the same places.
            let other = Record { uniq: format!("other-{explicit}"), ..record(log_end) };
            index.put(&[other.keys()]).unwrap();
            assert_eq!(find(&index, &other.uniq), [log_end * 100]);
            assert!((0..log_end).all(|n| find(&index, &format!("U{n}")) == [n * 100]));
            assert!(log_end == end || find(&index, &format!("U{}", end - 1)).is_empty());
            put(&index, log_end + 1..end);
            index.flush().unwrap();
        }
    }
}

fn on(disk: &SimDisk, crash: bool) -> Index {
    Index::open(Arc::new(disk.process()), Path::new("/index"), how(SMALL, crash.then_some(0))).unwrap()
}

#[test]
fn a_disk_that_fails_once_at_any_point_costs_nothing() {
    for n in 0.. {
        let disk = SimDisk::new(Arc::new(ManualClock::at(NOW)));
        let index = on(&disk, false);
        put(&index, 0..10);
        disk.fail_after(n, io::ErrorKind::StorageFull);
        let mut failed = 0;
        for begin in (10..70).step_by(10) {
            let records: Vec<_> = (begin..begin + 10).map(record).collect();
            let keys: Vec<_> = records.iter().map(Record::keys).collect();
            while index.put(&keys).and_then(|()| index.sync()).is_err() {
                failed += 1;
                assert!(failed < 3, "fails once at operation {n}");
            }
        }
        assert_holds(&index, 70);
        while index.flush().is_err() {
            failed += 1;
            assert!(failed < 3, "fails once at operation {n}");
        }
        let index = on(&disk, false);
        assert_eq!(index.rebuild_from(), None);
        assert_holds(&index, 70);
        if failed == 0 {
            assert!(n > 10);
            return;
        }
    }
}

#[test]
fn a_crash_at_any_point_loses_no_key() {
    for loss in [Loss::Nothing, Loss::Everything].into_iter().chain((0..20).map(Loss::Torn)) {
        for n in 0.. {
            let disk = SimDisk::new(Arc::new(ManualClock::at(NOW)));
            let index = on(&disk, false);
            disk.stop_after(n);
            let all: Vec<_> = (0..80).map(record).collect();
            let mut done = true;
            for (number, part) in all.chunks(7).enumerate() {
                let keys: Vec<_> = part.iter().map(Record::keys).collect();
                let sync = || if number % 4 == 0 { index.sync() } else { Ok(()) };
                done &= index.put(&keys).and_then(|()| sync()).is_ok();
            }
            drop(index);
            disk.crash(loss);
            let index = on(&disk, true);
            let from = index.rebuild_from().unwrap() / 100;
            put(&index, from..85);
            assert_holds(&index, 85);
            index.flush().unwrap();
            let index = on(&disk, false);
            assert_eq!(index.rebuild_from(), None);
            assert_holds(&index, 85);
            if done {
                break;
            }
        }
    }
}
