//! Disks that fail, fill up or lie.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use common::{bodies, clock, record, send, small, topic};
use kerolox_store::disk::sim::{Loss, SimDisk};
use kerolox_store::disk::{Disk, OpenMode};
use kerolox_store::{AppendError, Arrivals, Durability, FlushMode, Store, StoreConfig};
use kerolox_wire::clock::ManualClock;
use kerolox_wire::names::{QueueId, QueueOffset};

const LOG: &str = "/store/commitlog/00000000000000000000";

fn disk() -> (SimDisk, Arc<ManualClock>) {
    let clock = clock();
    (SimDisk::new(Arc::clone(&clock) as _), clock)
}

fn config() -> StoreConfig {
    small(Path::new("/store"))
}

fn open_with(disk: &SimDisk, config: StoreConfig, clock: &Arc<ManualClock>) -> Store {
    Store::open(config, Arc::new(disk.process()), Arc::clone(clock) as _).unwrap()
}

#[test]
fn a_failed_write_seals_the_log_and_reads_go_on() {
    let (disk, clock) = disk();
    let store = open_with(&disk, config(), &clock);
    send(&store, "T", 0, b"kept").unwrap();
    store.dispatch_now(None).unwrap();
    disk.fail_after(0, ErrorKind::Other);
    let error = send(&store, "T", 0, b"lost").unwrap_err();
    assert!(matches!(&error, AppendError::Sealed { why } if why.contains("simulated fault")), "{error}");
    assert!(matches!(send(&store, "T", 0, b"later"), Err(AppendError::Sealed { .. })), "the disk works again, but");
    assert_eq!(bodies(&store, "T", 0), [b"kept"]);
    assert!(store.stats().sealed.is_some());
    assert!(store.shutdown().is_err());
    assert!(disk.exists(Path::new("/store/abort")));
    drop(store);
    let store = open_with(&disk, config(), &clock);
    assert_eq!(bodies(&store, "T", 0), [b"kept"]);
    assert_eq!(send(&store, "T", 0, b"anew").unwrap().queue_offset.get(), 1);
}

#[test]
fn a_failed_sync_is_never_retried_into_a_confirmation() {
    let (disk, clock) = disk();
    let store = open_with(&disk, StoreConfig { flush: FlushMode::Sync, ..config() }, &clock);
    let appended = send(&store, "T", 0, b"x").unwrap();
    let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
    let listen = |end| {
        let heard = Arc::clone(&heard);
        store.when_durable(end, Box::new(move |d| heard.lock().unwrap().push(d)));
    };
    listen(appended.end);
    disk.fail_after(0, ErrorKind::Other);
    assert!(store.flush_now().is_err());
    assert_eq!(*heard.lock().unwrap(), [Durability::Failed]);
    assert!(store.flush_now().is_err());
    listen(appended.end);
    assert_eq!(*heard.lock().unwrap(), [Durability::Failed, Durability::Failed]);
    assert!(matches!(send(&store, "T", 0, b"y"), Err(AppendError::Sealed { .. })));
}

#[test]
fn who_waits_too_long_is_told_so_while_the_sync_hangs_and_nobody_else_comes() {
    let (disk, clock) = disk();
    let sync_flush_timeout = Duration::from_millis(50);
    let store = open_with(&disk, StoreConfig { flush: FlushMode::Sync, sync_flush_timeout, ..config() }, &clock);
    store.start(Arc::new(Nobody)).unwrap();
    disk.hang_syncs(true);
    for _ in 0..2 {
        let appended = send(&store, "T", 0, b"x").unwrap();
        let (tell, told) = std::sync::mpsc::channel();
        store.when_durable(appended.end, Box::new(move |durability| tell.send(durability).unwrap()));
        clock.advance(sync_flush_timeout);
        assert_eq!(told.recv_timeout(Duration::from_secs(20)).unwrap(), Durability::TimedOut);
    }
    disk.hang_syncs(false);
}

struct Nobody;

impl Arrivals for Nobody {
    fn arrived(&self, _: &str, _: QueueId, _: QueueOffset, _: i64) {}
}

#[test]
fn no_room_for_a_file_refuses_without_sealing_and_ends_by_itself() {
    let (disk, clock) = disk();
    let store = open_with(&disk, StoreConfig { index_enabled: false, ..config() }, &clock);
    send(&store, "T", 0, &[1; 1500]).unwrap();
    send(&store, "T", 0, &[2; 1500]).unwrap();
    store.dispatch_now(None).unwrap();
    disk.set_capacity(4096 * 2);
    let queue = store.queue(&topic("T"), QueueId::new(0));
    let mut batch = store.batch();
    // The first still fits the file; the whole batch is refused all the same, and nothing of it stays.
    batch.push(&queue, &record("T", 0, &[3; 100], "")).unwrap();
    batch.push(&queue, &record("T", 0, &[4; 1500], "")).unwrap();
    assert!(matches!(store.append(&mut batch), Err(AppendError::DiskFull { .. })));
    assert_eq!(batch.len(), 2, "a refused batch is as it was");
    assert!(store.disk_state().full);
    assert!(matches!(send(&store, "T", 0, b"small"), Err(AppendError::DiskFull { .. })));
    assert_eq!(bodies(&store, "T", 0).len(), 2, "reads go on");
    disk.set_capacity(1 << 30);
    store.delete_expired_now().unwrap();
    assert!(!store.disk_state().full);
    let appended = store.append(&mut batch).unwrap();
    assert_eq!(appended[0].queue_offset.get(), 2);
    store.dispatch_now(None).unwrap();
    assert_eq!(bodies(&store, "T", 0).len(), 4);
}

#[test]
fn a_disk_filled_by_others_refuses_appends_until_there_is_room() {
    let (disk, clock) = disk();
    let store = open_with(&disk, StoreConfig { disk_full_ratio: 90, ..config() }, &clock);
    send(&store, "T", 0, b"x").unwrap();
    disk.set_capacity(4096);
    store.delete_expired_now().unwrap();
    let error = send(&store, "T", 0, b"y").unwrap_err();
    assert!(matches!(error, AppendError::DiskFull { used: 100, limit: 90 }), "{error}");
    disk.set_capacity(1 << 30);
    store.delete_expired_now().unwrap();
    send(&store, "T", 0, b"y").unwrap();
}

#[test]
fn no_room_for_a_queue_delays_its_messages_and_loses_none() {
    let (disk, clock) = disk();
    let store = open_with(&disk, StoreConfig { index_enabled: false, ..config() }, &clock);
    for n in 0..20_u8 {
        send(&store, "T", u32::from(n % 2), &[n]).unwrap();
    }
    disk.set_capacity(4096 * 2);
    assert_eq!(store.dispatch_now(None).unwrap_err().kind(), ErrorKind::StorageFull);
    assert_eq!(store.dispatched_end().get(), 0);
    disk.set_capacity(1 << 30);
    store.dispatch_now(None).unwrap();
    for queue in 0..2 {
        let expected: Vec<_> = (0..20).filter(|n| n % 2 == queue).map(|n| vec![n]).collect();
        assert_eq!(bodies(&store, "T", u32::from(queue)), expected);
    }
}

#[test]
fn a_torn_tail_is_cut_and_old_bytes_behind_it_never_come_back() {
    let (disk, clock) = disk();
    let store = open_with(&disk, config(), &clock);
    let first = send(&store, "T", 0, &[1; 200]).unwrap();
    let second = send(&store, "T", 0, &[2; 200]).unwrap();
    let third = send(&store, "T", 0, &[3; 200]).unwrap();
    store.dispatch_now(None).unwrap();
    drop(store);
    // The second and the third record are damaged: nothing sound follows the first.
    for at in [second.first, third.first] {
        disk.flip_bit(Path::new(LOG), usize::try_from(at.get()).unwrap() + 150, 3);
    }
    let store = open_with(&disk, config(), &clock);
    assert_eq!(store.end(), first.end);
    disk.flip_bit(Path::new(LOG), usize::try_from(third.first.get()).unwrap() + 150, 3);
    // As large as the damaged one: what is left of the old third record would now follow it.
    let again = send(&store, "T", 0, &[9; 200]).unwrap();
    assert_eq!(again.queue_offset.get(), 1);
    store.dispatch_now(None).unwrap();
    drop(store);
    let store = open_with(&disk, config(), &clock);
    assert_eq!(store.end(), again.end);
    assert_eq!(bodies(&store, "T", 0), [vec![1; 200], vec![9; 200]]);
}

#[test]
fn damage_in_an_early_file_does_not_take_the_later_ones_with_it() {
    let (disk, clock) = disk();
    let store = open_with(&disk, config(), &clock);
    for n in 0..30_u8 {
        send(&store, "T", 0, &[n; 500]).unwrap();
    }
    store.dispatch_now(None).unwrap();
    assert!(store.stats().segments >= 4);
    let end = store.end();
    drop(store);
    disk.flip_bit(Path::new("/store/commitlog/00000000000000004096"), 700, 0);
    let store = open_with(&disk, config(), &clock);
    assert_eq!(store.end(), end);
    let kept = bodies(&store, "T", 0);
    assert!(kept.len() > 20 && kept.len() < 30, "{}", kept.len());
    assert_eq!(kept.last(), Some(&vec![29; 500]));
    assert_eq!(send(&store, "T", 0, b"next").unwrap().queue_offset.get(), 30);
    // What was given up is passed by a filler, so nothing is walked or cut a second time.
    drop(store);
    let store = open_with(&disk, config(), &clock);
    assert_eq!(bodies(&store, "T", 0).len(), kept.len() + 1);
}

#[test]
fn a_file_that_was_never_finished_is_removed() {
    let (disk, clock) = disk();
    let store = open_with(&disk, config(), &clock);
    send(&store, "T", 0, b"x").unwrap();
    store.shutdown().unwrap();
    for len in [0, 100] {
        let path = Path::new("/store/commitlog/00000000000000004096");
        disk.open(path, OpenMode::Create { len, allocate: kerolox_store::disk::Allocate::Sparse }).unwrap();
        let store = open_with(&disk, config(), &clock);
        assert!(!disk.exists(path));
        store.shutdown().unwrap();
    }
}

#[test]
fn lost_queues_are_made_anew_even_after_a_crash() {
    for clean in [true, false] {
        let (disk, clock) = disk();
        let store = open_with(&disk, config(), &clock);
        for n in 0..30_u8 {
            send(&store, "T", 0, &[n; 500]).unwrap();
            send(&store, "T", 1, &[n]).unwrap();
        }
        store.dispatch_now(None).unwrap();
        store.checkpoint_now().unwrap();
        if clean {
            store.shutdown().unwrap();
        }
        drop(store);
        for entry in disk.list(Path::new("/store/consumequeue/T/0")).unwrap() {
            disk.remove(&Path::new("/store/consumequeue/T/0").join(entry.name)).unwrap();
        }
        let store = open_with(&disk, config(), &clock);
        assert_eq!(bodies(&store, "T", 0).len(), 30, "after a clean stop: {clean}");
        assert_eq!(bodies(&store, "T", 1).len(), 30, "after a clean stop: {clean}");
        assert_eq!(send(&store, "T", 0, b"next").unwrap().queue_offset.get(), 30);
    }
}

#[test]
fn a_topic_made_again_begins_at_zero_also_after_a_crash() {
    let (disk, clock) = disk();
    let store = open_with(&disk, config(), &clock);
    for n in 0..10_u8 {
        send(&store, "T", 0, &[n]).unwrap();
        send(&store, "U", 0, &[n]).unwrap();
    }
    store.dispatch_now(None).unwrap();
    assert!(store.delete_topic(&topic("T")).unwrap());
    assert_eq!(send(&store, "T", 0, b"new").unwrap().queue_offset.get(), 0);
    store.dispatch_now(None).unwrap();
    assert_eq!(bodies(&store, "T", 0), [b"new"]);
    drop(store);
    disk.crash(Loss::Nothing);
    let store = open_with(&disk, config(), &clock);
    assert_eq!(bodies(&store, "T", 0), [b"new"]);
    assert_eq!(bodies(&store, "U", 0).len(), 10);
    drop(store);
    // Even when all queues are made anew from a log that tells both lives of the topic.
    disk.remove(Path::new("/store/checkpoint")).unwrap();
    let store = open_with(&disk, config(), &clock);
    assert_eq!(bodies(&store, "T", 0), [b"new"]);
    assert_eq!(bodies(&store, "U", 0).len(), 10);
    assert_eq!(send(&store, "T", 0, b"newer").unwrap().queue_offset.get(), 1);
}

#[test]
fn a_start_reads_only_what_came_after_the_checkpoint() {
    let (disk, clock) = disk();
    let store = open_with(&disk, config(), &clock);
    for n in 0..30_u8 {
        send(&store, "T", 0, &[n; 500]).unwrap();
    }
    store.dispatch_now(None).unwrap();
    store.checkpoint_now().unwrap();
    send(&store, "T", 0, b"after").unwrap();
    drop(store);
    disk.crash(Loss::Nothing);
    // Damage before the checkpoint goes unnoticed, since nobody looks there.
    disk.flip_bit(Path::new(LOG), 300, 0);
    let store = open_with(&disk, config(), &clock);
    store.dispatch_now(None).unwrap();
    assert_eq!(store.queue_range(&topic("T"), QueueId::new(0)).unwrap().1.get(), 31);
}

#[test]
fn names_that_lead_out_of_the_store_are_not_dispatched() {
    let (disk, clock) = disk();
    let store = open_with(&disk, config(), &clock);
    let queue = store.queue(&topic("T"), QueueId::new(0));
    send(&store, "T", 0, &[7; 40]).unwrap();
    drop((queue, store));
    // A foreign log: the topic's one byte is made a path separator's neighbour.
    let file = disk.open(Path::new(LOG), OpenMode::ReadWrite).unwrap();
    let at = 88 + 40;
    assert_eq!(file.slice(at, 2).unwrap(), b"\x01T");
    file.write_at(at + 1, b"/").unwrap();
    let store = open_with(&disk, config(), &clock);
    store.dispatch_now(None).unwrap();
    let in_root = disk.list(Path::new("/")).unwrap().into_iter().map(|e| e.name).collect::<Vec<_>>();
    assert_eq!(in_root, ["store"]);
    send(&store, "T", 0, b"fine").unwrap();
    store.dispatch_now(None).unwrap();
    assert_eq!(bodies(&store, "T", 0), [b"fine"]);
}

#[test]
fn a_record_whose_properties_were_not_written_to_their_end_is_cut() {
    let (disk, clock) = disk();
    let store = open_with(&disk, config(), &clock);
    let first = send(&store, "T", 0, &[1; 200]).unwrap();
    let queue = store.queue(&topic("T"), QueueId::new(0));
    let mut batch = store.batch();
    batch.push(&queue, &record("T", 0, &[2; 200], "KEYS\u{1}k1\u{2}CLUSTER\u{1}c\u{2}")).unwrap();
    let second = store.append(&mut batch).unwrap().remove(0);
    drop(store);
    // As a kill leaves a write that had come to a page's end: the body is whole, what follows it is not.
    let log = disk.open(Path::new(LOG), OpenMode::ReadWrite).unwrap();
    log.write_at(second.end.get() - 9, &[0; 9]).unwrap();
    let store = open_with(&disk, config(), &clock);
    assert_eq!(store.end(), first.end);
    assert_eq!(bodies(&store, "T", 0), [vec![1; 200]]);
}

#[test]
fn what_somebody_still_needs_is_kept_however_full_the_disk_is() {
    let (disk, clock) = disk();
    let store = open_with(&disk, StoreConfig { disk_force_clean_ratio: 1, ..config() }, &clock);
    let sent: Vec<_> = (0..12).map(|n| send(&store, "T", 0, &[n; 1500]).unwrap().first).collect();
    store.dispatch_now(None).unwrap();
    store.flush_now().unwrap();
    disk.set_capacity(1 << 16);
    store.keep_from(sent[6]);
    store.delete_expired_now().unwrap();
    assert!(store.begin() > sent[0] && store.begin() <= sent[6], "{} of {sent:?}", store.begin());
    store.keep_from(sent[11]);
    store.delete_expired_now().unwrap();
    assert!(store.begin() > sent[6]);
}
