//! A queue agrees with a plain vector, byte for byte with the reference, and survives whatever its files hold.

use std::path::Path;

use kerolox_wire::clock::ManualClock;
use proptest::prelude::*;

use super::*;
use crate::disk::sim::{Loss, SimDisk};
use crate::disk::{Disk, RealDisk};
use crate::queues::Queues;
use crate::vectors;

/// Units per file in these tests.
const FILE_UNITS: u64 = 8;
const FILE_SIZE: u64 = FILE_UNITS * UNIT_SIZE;

fn load(root: &Path) -> Queues {
    Queues::load(Arc::new(RealDisk), root, FILE_SIZE).unwrap()
}

fn topic() -> TopicName {
    TopicName::parse("T").unwrap()
}

fn open(root: &Path) -> Arc<Queue> {
    load(root).get_or_create(&topic(), QueueId::new(3))
}

fn at(offset: u64) -> QueueOffset {
    QueueOffset::new(offset)
}

/// Unit `n` of a queue whose records are all 100 bytes long.
fn unit(n: u64) -> Unit {
    Unit { log_offset: n * 100, size: 100, tags_code: -(n.cast_signed()) }
}

fn units(range: std::ops::Range<u64>) -> Vec<Unit> {
    range.map(unit).collect()
}

fn all(queue: &Queue) -> Vec<Unit> {
    let mut out = Vec::new();
    assert_eq!(queue.units(queue.min(), usize::MAX, &mut out).unwrap(), queue.min());
    out
}

fn file(root: &Path, start: u64) -> std::path::PathBuf {
    root.join("T/3").join(format!("{start:020}"))
}

fn names(root: &Path) -> Vec<String> {
    let mut names: Vec<_> = RealDisk.list(&root.join("T/3")).unwrap().into_iter().map(|entry| entry.name).collect();
    names.sort();
    names
}

#[test]
fn units_have_the_reference_bytes() {
    let name = "consumequeue.of.record.v1.ipv4";
    let unit = Unit { log_offset: 0, size: 187, tags_code: vectors::field(name, "tagsCode") };
    assert_eq!(unit.encode().to_vec(), vectors::hex(name));
    assert_eq!(Unit::BLANK.encode().to_vec(), vectors::hex("consumequeue.pre_blank"));
    for name in ["consumequeue.of.record.v1.ipv6", "consumequeue.of.record.v1.delay_level_3"] {
        let bytes = vectors::hex(name);
        let unit = Unit::decode(bytes.first_chunk().unwrap());
        assert_eq!(unit.tags_code, vectors::field(name, "tagsCode"));
        assert!(unit.is_message());
        assert_eq!(unit.encode().to_vec(), bytes);
    }
}

#[test]
fn the_small_reference_store_is_read_and_written_byte_for_byte() {
    let dir = tempfile::tempdir().unwrap();
    let reference = vectors::mini().join("consumequeue");
    let load = |root: &Path| Queues::load(Arc::new(RealDisk), root, vectors::MINI_QUEUE_FILE_SIZE).unwrap();
    let (theirs, ours) = (load(&reference), load(dir.path()));
    for queue in theirs.all() {
        queue.recover_clean().unwrap();
    }
    for message in vectors::mini_messages() {
        let topic = TopicName::parse(&message.topic).unwrap();
        let id = QueueId::new(message.queue_id);
        let unit = Unit { log_offset: message.phy, size: message.size, tags_code: message.tags_code };
        assert_eq!(theirs.get(&topic, id).unwrap().unit(at(message.queue_offset)).unwrap(), Some(unit));
        ours.get_or_create(&topic, id).append(at(message.queue_offset), &[unit]).unwrap();
    }
    for queue in ours.all() {
        let part = format!("{}/{}/{:020}", queue.topic(), queue.id(), 0);
        let (theirs, ours) =
            (std::fs::read(reference.join(&part)).unwrap(), std::fs::read(dir.path().join(&part)).unwrap());
        assert_eq!(theirs, ours, "{part}");
    }
    assert_eq!(ours.all().len(), theirs.all().len());
}

#[test]
fn units_run_over_files_and_survive_a_reopen() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    assert_eq!((queue.min(), queue.max()), (at(0), at(0)));
    assert!(names(dir.path()).is_empty(), "no file before the first unit");
    queue.append(at(0), &units(0..5)).unwrap();
    queue.append(at(5), &units(5..30)).unwrap();
    assert_eq!(all(&queue), units(0..30));
    assert_eq!(queue.log_end(), 3000);
    assert!(queue.files.lock().open_count() <= 2);
    queue.flush().unwrap();
    for recover in [Queue::recover, Queue::recover_clean] {
        let queue = open(dir.path());
        assert_eq!(recover(&queue).unwrap(), 3000);
        assert_eq!(queue.next_offset(), at(30));
        assert_eq!(all(&queue), units(0..30));
    }
}

#[test]
fn reads_stop_at_count_and_at_the_end() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    queue.append(at(0), &units(0..20)).unwrap();
    for (from, count, expected) in [(3, 4, 3..7), (6, 5, 6..11), (18, 9, 18..20), (20, 1, 20..20), (5, 0, 5..5)] {
        let mut out = Vec::new();
        assert_eq!(queue.units(at(from), count, &mut out).unwrap(), at(from));
        assert_eq!(out, units(expected));
    }
    let mut out = Vec::new();
    queue.units(at(99), 5, &mut out).unwrap();
    assert!(out.is_empty());
    assert_eq!(queue.next_file(at(7)), at(8));
    assert_eq!(queue.next_file(at(8)), at(16));
}

#[test]
fn what_is_already_there_is_ignored() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    queue.append(at(0), &units(0..10)).unwrap();
    queue.append(at(0), &units(0..10)).unwrap();
    queue.append(at(7), &units(7..12)).unwrap();
    // The same record under a later number is known by its place in the log.
    queue.append(at(12), &units(11..12)).unwrap();
    assert_eq!(all(&queue), units(0..12));
}

#[test]
fn a_queue_that_begins_late_is_filled_with_blanks_that_are_never_read() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    queue.append(at(19), &units(19..26)).unwrap();
    assert_eq!(names(dir.path()), [format!("{:020}", 320), format!("{:020}", 480)]);
    let blank = std::fs::read(file(dir.path(), 320)).unwrap();
    assert_eq!(blank[..60], Unit::BLANK.encode().repeat(3));
    for recover in [Queue::recover, Queue::recover_clean] {
        let queue = open(dir.path());
        assert_eq!(recover(&queue).unwrap(), 2600);
        assert_eq!((queue.min(), queue.max()), (at(19), at(26)));
        // With a log that begins at 0 the blanks would pass for its first records.
        queue.correct_min(0).unwrap();
        assert_eq!(queue.min(), at(19));
        let mut out = Vec::new();
        assert_eq!(queue.units(at(0), 3, &mut out).unwrap(), at(19));
        assert_eq!(out, units(19..22));
        assert_eq!(queue.unit(at(17)).unwrap(), None);
    }
}

#[test]
fn a_gap_is_blanked_and_skipped() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    queue.append(at(0), &units(0..4)).unwrap();
    queue.append(at(21), &units(21..23)).unwrap();
    let mut out = Vec::new();
    assert_eq!(queue.units(at(2), 9, &mut out).unwrap(), at(2));
    assert_eq!(out, units(2..4), "units given are consecutive");
    out.clear();
    assert_eq!(queue.units(at(4), 9, &mut out).unwrap(), at(21));
    assert_eq!(out, units(21..23));
    for (log_begin, min) in [(0, 0), (1, 1), (301, 21), (2101, 22), (9999, 23)] {
        queue.correct_min(log_begin).unwrap();
        assert_eq!(queue.min(), at(min), "log from {log_begin}");
    }
}

#[test]
fn an_absurd_queue_offset_is_refused_and_fills_no_disk() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    queue.append(at(0), &units(0..4)).unwrap();
    for first in [QUEUE_GAP_MAX + 5, u64::MAX / 40, u64::MAX] {
        let error = queue.append(at(first), &units(50..51)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{error}");
    }
    queue.append(at(4), &units(4..5)).unwrap();
    assert_eq!(all(&queue), units(0..5));
    assert!(queue.append(at(5), &[Unit { log_offset: 600, size: 0, tags_code: 0 }]).is_err());
}

#[test]
fn a_queue_without_readable_units_begins_anew_behind_a_large_gap() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    queue.append(at(0), &units(0..4)).unwrap();
    queue.correct_min(1000).unwrap();
    assert_eq!(queue.min(), queue.max());
    let far = QUEUE_GAP_MAX * 3 / 8 * 8;
    queue.append(at(far), &units(far..far + 2)).unwrap();
    assert_eq!(names(dir.path()).len(), 1);
    assert_eq!(all(&queue), units(far..far + 2));
}

#[test]
fn truncation_drops_units_and_their_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    queue.append(at(0), &units(0..30)).unwrap();
    queue.truncate(1350).unwrap();
    assert_eq!((queue.max(), queue.next_offset(), queue.log_end()), (at(14), at(14), 1400));
    assert_eq!(names(dir.path()).len(), 2);
    assert!(std::fs::read(file(dir.path(), 160)).unwrap()[120..].iter().all(|byte| *byte == 0));
    let other = open(dir.path());
    assert_eq!(other.recover().unwrap(), 1400);
    queue.append(at(14), &units(14..17)).unwrap();
    assert_eq!(all(&queue), units(0..17));
    queue.truncate(0).unwrap();
    assert_eq!((queue.min(), queue.max(), queue.log_end()), (at(0), at(0), 0));
    queue.append(at(0), &units(0..2)).unwrap();
    assert_eq!(all(&queue), units(0..2));
}

#[test]
fn a_queue_emptied_by_truncation_keeps_its_offset() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    queue.append(at(16), &units(16..18)).unwrap();
    queue.truncate(0).unwrap();
    assert_eq!((queue.min(), queue.max()), (at(16), at(16)));
    let queue = open(dir.path());
    assert_eq!(queue.recover().unwrap(), 0);
    assert_eq!((queue.min(), queue.max(), queue.next_offset()), (at(16), at(16), at(16)));
}

#[test]
fn expiry_removes_whole_files_but_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    queue.append(at(0), &units(0..30)).unwrap();
    assert_eq!(queue.delete_expired(0).unwrap(), 0);
    assert_eq!(queue.delete_expired(1650).unwrap(), 2);
    assert_eq!((queue.min(), queue.max()), (at(17), at(30)));
    let mut out = Vec::new();
    assert_eq!(queue.units(at(0), 1, &mut out).unwrap(), at(16), "the caller compares with min first");
    assert_eq!(queue.delete_expired(1 << 40).unwrap(), 1);
    assert_eq!((queue.min(), queue.max()), (at(30), at(30)));
    assert_eq!(names(dir.path()).len(), 1);
    queue.append(at(30), &units(30..33)).unwrap();
    queue.correct_min(1 << 30).unwrap();
    let queue = open(dir.path());
    assert_eq!(queue.recover().unwrap(), 3300);
    queue.correct_min(3100).unwrap();
    assert_eq!(all(&queue), units(31..33));
}

#[test]
fn a_hole_left_by_a_crash_ends_the_queue_and_what_is_behind_is_cleared() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    queue.append(at(0), &units(0..30)).unwrap();
    let path = file(dir.path(), 320);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[40..60].fill(0);
    std::fs::write(&path, bytes).unwrap();
    let queue = open(dir.path());
    assert_eq!(queue.recover().unwrap(), 1800);
    assert_eq!(queue.max(), at(18));
    assert_eq!(names(dir.path()).len(), 3);
    assert!(std::fs::read(&path).unwrap()[40..].iter().all(|byte| *byte == 0));
    queue.append(at(18), &units(18..19)).unwrap();
    assert_eq!(open(dir.path()).recover_clean().unwrap(), 1900);
}

#[test]
fn a_known_end_is_found_without_a_walk_and_what_looks_old_behind_it_is_not_taken_for_it() {
    for complete in 0..30 {
        let dir = tempfile::tempdir().unwrap();
        let queue = open(dir.path());
        queue.append(at(0), &units(0..30)).unwrap();
        // The first bytes of the second-last unit were never written: the rest looks like a unit of the log's beginning.
        let path = file(dir.path(), 480);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[80..88].fill(0);
        std::fs::write(&path, bytes).unwrap();
        let queue = open(dir.path());
        let known = complete.min(28);
        assert_eq!(queue.recover_to(complete * 100 + 99).unwrap(), known * 100);
        assert_eq!(queue.max(), at(known));
        assert_eq!(open(dir.path()).recover().unwrap(), known * 100, "what was behind is cleared");
        queue.append(at(known), &units(known..31)).unwrap();
        assert_eq!(all(&queue), units(0..31));
    }
}

#[test]
fn a_unit_that_goes_back_in_the_log_is_torn() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    queue.append(at(0), &units(0..6)).unwrap();
    let path = file(dir.path(), 0);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[80..88].fill(0);
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(open(dir.path()).recover().unwrap(), 400);
}

#[test]
fn idle_queues_hold_no_descriptors() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    queue.append(at(0), &units(0..20)).unwrap();
    for open in [2, 2, 0] {
        assert_eq!(queue.files.lock().open_count(), open);
        queue.flush().unwrap();
        queue.close_idle();
    }
    assert_eq!(all(&queue), units(0..20));
    assert!(size_of::<Queue>() <= 320, "ten thousand queues cost a few megabytes: {}", size_of::<Queue>());
}

#[test]
fn all_queues_together_keep_a_bounded_number_of_descriptors() {
    let dir = tempfile::tempdir().unwrap();
    let place = Arc::new(Place { open_max: 3, ..Place::new(Arc::new(RealDisk), dir.path(), FILE_SIZE) });
    let queues: Vec<_> =
        (0..9).map(|id| Queue::new(topic(), QueueId::new(id), place.clone(), Files::default(), 0)).collect();
    for (from, to) in [(0, 10), (10, 20), (20, 30)] {
        for queue in &queues {
            queue.append(at(from), &units(from..to)).unwrap();
        }
        assert!(place.open.load(Ordering::Relaxed) <= 3);
    }
    for queue in &queues {
        queue.flush().unwrap();
        assert_eq!(all(queue), units(0..30));
        queue.recover().unwrap();
        queue.correct_min(0).unwrap();
    }
    assert_eq!(place.open.load(Ordering::Relaxed), 0);
}

#[test]
fn a_destroyed_queue_takes_no_late_units() {
    let dir = tempfile::tempdir().unwrap();
    let queue = open(dir.path());
    queue.append(at(0), &units(0..20)).unwrap();
    queue.set_deleted();
    queue.destroy().unwrap();
    queue.append(at(20), &units(20..21)).unwrap();
    assert!(!dir.path().join("T/3").exists());
    assert!(all(&queue).is_empty());
}

#[derive(Debug, Clone)]
enum Step {
    Append(u64),
    Again(u64),
    Truncate(u64),
    Expire(u64),
    Reopen(bool),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (1_u64..20).prop_map(Step::Append),
        1 => (1_u64..20).prop_map(Step::Again),
        1 => (0_u64..100).prop_map(Step::Truncate),
        1 => (0_u64..100).prop_map(Step::Expire),
        2 => any::<bool>().prop_map(Step::Reopen),
    ];
    prop::collection::vec(step, 1..30)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_queue_agrees_with_a_vector(begin in 0_u64..20, steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        let mut queue = open(dir.path());
        // All units ever, of which `min..` can be read.
        let (mut min, mut model) = (begin, (begin..begin + 1).map(unit).collect::<Vec<_>>());
        queue.append(at(begin), &model).unwrap();
        for step in steps {
            let max = begin + model.len() as u64;
            match step {
                Step::Append(count) => {
                    let fresh = units(max..max + count);
                    queue.append(at(max), &fresh).unwrap();
                    model.extend(fresh);
                }
                Step::Again(back) => {
                    let from = max.saturating_sub(back).max(begin);
                    queue.append(at(from), &units(from..max)).unwrap();
                }
                Step::Truncate(percent) => {
                    let end = min + (max - min) * percent / 100;
                    queue.truncate(end * 100).unwrap();
                    model.truncate((end - begin) as usize);
                    min = min.min(end);
                }
                Step::Expire(percent) => {
                    min += (max - min) * percent / 100;
                    queue.delete_expired(min * 100).unwrap();
                }
                Step::Reopen(clean) => {
                    let before = queue.log_end();
                    queue = open(dir.path());
                    let log_end = if clean { queue.recover_clean() } else { queue.recover() }.unwrap();
                    prop_assert_eq!(log_end, before);
                    queue.correct_min(min * 100).unwrap();
                }
            }
            prop_assert_eq!(queue.max(), at(begin + model.len() as u64));
            prop_assert_eq!(queue.min(), at(min));
            prop_assert_eq!(all(&queue), model[(min - begin) as usize..].to_vec());
        }
    }

    #[test]
    fn no_content_of_a_file_is_fatal(
        bytes in prop::collection::vec(prop_oneof![any::<u8>(), Just(0)], FILE_SIZE as usize * 2),
        from in any::<u64>(),
        log in any::<u64>(),
        clean in any::<bool>(),
    ) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("T/3")).unwrap();
        std::fs::write(file(dir.path(), 160), &bytes[..160]).unwrap();
        std::fs::write(file(dir.path(), 320), &bytes[160..]).unwrap();
        let queue = open(dir.path());
        let _ = if clean { queue.recover_clean() } else { queue.recover() }.unwrap();
        let mut out = Vec::new();
        queue.units(at(from % 40), 40, &mut out).unwrap();
        prop_assert!(out.iter().all(Unit::is_message));
        queue.correct_min(log).unwrap();
        prop_assert!(queue.min() <= queue.max());
        queue.delete_expired(log).unwrap();
        queue.truncate(log).unwrap();
        let max = queue.max();
        let next = Unit { log_offset: queue.log_end().min(1 << 50), size: 9, tags_code: 0 };
        queue.append(max, &[next]).unwrap();
        queue.flush().unwrap();
    }
}

fn on(disk: &SimDisk) -> Arc<Queue> {
    let queues = Queues::load(Arc::new(disk.process()), Path::new("/queues"), FILE_SIZE).unwrap();
    queues.get_or_create(&topic(), QueueId::new(3))
}

#[test]
fn a_disk_that_fails_once_at_any_point_costs_nothing() {
    for n in 0.. {
        let disk = SimDisk::new(Arc::new(ManualClock::at(0)));
        let queue = on(&disk);
        disk.fail_after(n, io::ErrorKind::StorageFull);
        let mut failed = 0;
        for (from, to) in [(11, 15), (15, 40), (40, 41)] {
            while queue.append(at(from), &units(from..to)).and_then(|()| queue.flush()).is_err() {
                failed += 1;
                assert!(failed < 3, "fails once at operation {n}");
            }
        }
        assert_eq!(all(&queue), units(11..41));
        let queue = on(&disk);
        assert_eq!(queue.recover_clean().unwrap(), 4100);
        assert_eq!(all(&queue), units(11..41));
        if failed == 0 {
            assert!(n > 5);
            return;
        }
    }
}

#[test]
fn a_crash_at_any_point_leaves_a_queue_that_can_be_filled_again() {
    let losses = [Loss::Nothing, Loss::Everything].into_iter().chain((0..20).map(Loss::Torn));
    for (loss, by_mark) in losses.flat_map(|loss| [(loss, false), (loss, true)]) {
        for n in 0.. {
            let disk = SimDisk::new(Arc::new(ManualClock::at(0)));
            let queue = on(&disk);
            disk.stop_after(n);
            let mut durable = 11;
            let mut done = true;
            for (from, to) in [(11, 15), (15, 30), (30, 41)] {
                match queue.append(at(from), &units(from..to)).and_then(|()| queue.flush()) {
                    Ok(()) if done => durable = to,
                    _ => done = false,
                }
            }
            drop(queue);
            disk.crash(loss);
            let queue = on(&disk);
            let known = if durable > 11 { durable * 100 } else { 0 };
            if by_mark {
                assert_eq!(queue.recover_to(durable * 100).unwrap(), known, "at {n} with {loss:?}");
            } else {
                let log_end = queue.recover().unwrap();
                assert!(log_end >= known, "{log_end} of {durable} at {n} with {loss:?}");
                // Units made since the last flush may be torn: they are made again, as recovery of the store does.
                queue.truncate(durable * 100).unwrap();
            }
            queue.append(at(11), &units(11..45)).unwrap();
            assert_eq!(all(&queue), units(11..45));
            if done {
                break;
            }
        }
    }
}
