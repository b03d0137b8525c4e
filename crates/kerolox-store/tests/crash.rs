//! Stops the machine at every single disk operation of a small history, loses what a crash may lose, starts again, and
//! looks for every message that was acknowledged.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use common::{bodies, clock, record, send, small, topic};
use kerolox_store::disk::Disk;
use kerolox_store::disk::sim::{Loss, SimDisk};
use kerolox_store::{Durability, FlushMode, Store, StoreConfig};
use kerolox_wire::names::QueueId;

const QUEUES: [(&str, u32); 3] = [("A", 0), ("A", 1), ("%RETRY%b", 0)];
const BATCHES: u32 = 36;

/// What was sent to each queue in order, and whether it was acknowledged.
#[derive(Default, Clone)]
struct History {
    sent: BTreeMap<(String, u32), Vec<(u32, bool)>>,
}

fn config(flush: FlushMode) -> StoreConfig {
    StoreConfig { flush, ..small(Path::new("/store")) }
}

fn start(disk: &SimDisk, flush: FlushMode) -> Result<Store, kerolox_store::OpenError> {
    Store::open(config(flush), Arc::new(disk.process()) as Arc<dyn Disk>, clock())
}

fn body(number: u32) -> Vec<u8> {
    let mut body = number.to_be_bytes().to_vec();
    body.resize(4 + (number as usize * 37) % 400, 7);
    body
}

/// Runs until something fails; every acknowledgement is noted when it is given.
fn run(disk: &SimDisk, flush: FlushMode, history: &mut History) -> Option<()> {
    let mut store = start(disk, flush).ok()?;
    let mut number = 0;
    for round in 0..BATCHES {
        let mut batch = store.batch();
        let mut items = Vec::new();
        for _ in 0..=round % 4 {
            let (name, id) = QUEUES[number as usize % QUEUES.len()];
            let queue = store.queue(&topic(name), QueueId::new(id));
            batch.push(&queue, &record(name, id, &body(number), "UNIQ_KEY\u{1}k\u{2}")).unwrap();
            let sent = history.sent.entry((name.to_owned(), id)).or_default();
            items.push(((name.to_owned(), id), sent.len()));
            sent.push((number, false));
            number += 1;
        }
        let appended = store.append(&mut batch).ok()?;
        let done = Arc::new(AtomicBool::new(false));
        let (tell, end) = (Arc::clone(&done), appended.last().unwrap().end);
        store.when_durable(end, Box::new(move |d| tell.store(d == Durability::Durable, Ordering::SeqCst)));
        if flush == FlushMode::Sync || round % 5 == 0 {
            let _ = store.flush_now();
        }
        if done.load(Ordering::SeqCst) {
            for (queue, at) in items {
                history.sent.get_mut(&queue).unwrap()[at].1 = true;
            }
        }
        if round % 2 == 0 {
            store.dispatch_now(None).ok()?;
        }
        if round % 7 == 6 {
            store.checkpoint_now().ok()?;
        }
        if round == BATCHES / 2 {
            store.shutdown().ok()?;
            store = start(disk, flush).ok()?;
        }
    }
    store.shutdown().ok()
}

/// Every acknowledged message is there, all are in order, none is there twice.
fn check(store: &Store, history: &History, what: &str) {
    for ((name, id), sent) in &history.sent {
        let found = bodies(store, name, *id);
        let numbers: Vec<_> = found.iter().map(|b| u32::from_be_bytes(b[..4].try_into().unwrap())).collect();
        for (bytes, number) in found.iter().zip(&numbers) {
            assert_eq!(*bytes, body(*number), "{what}: {name}/{id}");
        }
        let mut sent = sent.iter();
        let mut found = numbers.iter();
        let mut next = found.next();
        for (number, acknowledged) in sent.by_ref() {
            if next == Some(number) {
                next = found.next();
            } else {
                assert!(!acknowledged, "{what}: {name}/{id} lost message {number}, has {numbers:?}");
            }
        }
        assert_eq!(next, None, "{what}: {name}/{id} has messages out of order or twice: {numbers:?}");
    }
}

/// After the crash the store starts, has what it must, takes more, and stops and starts cleanly.
fn recover(disk: &SimDisk, flush: FlushMode, mut history: History, what: &str) {
    let store = start(disk, flush).unwrap_or_else(|e| panic!("{what}: {e}"));
    let _ = store.flush_now();
    store.dispatch_now(None).unwrap();
    check(&store, &history, what);
    for number in 1_000..1_010 {
        let (name, id) = QUEUES[number as usize % QUEUES.len()];
        send(&store, name, id, &body(number)).unwrap();
        history.sent.entry((name.to_owned(), id)).or_default().push((number, true));
    }
    store.flush_now().unwrap();
    store.dispatch_now(None).unwrap();
    check(&store, &history, what);
    // Again without a clean stop, then with one.
    drop(store);
    let store = start(disk, flush).unwrap();
    check(&store, &history, what);
    // The power may take sectors from between others that were not synced.
    assert!(store.stats().records_skipped == 0 || what.contains("orn"), "{what}");
    store.shutdown().unwrap();
    drop(store);
    let store = start(disk, flush).unwrap();
    check(&store, &history, what);
}

fn at_every_operation(flush: FlushMode, losses: &[Loss]) {
    let disk = SimDisk::new(clock());
    run(&disk, flush, &mut History::default()).unwrap();
    let operations = disk.ops();
    for stop in 0..operations {
        let loss = losses[usize::try_from(stop).unwrap() % losses.len()];
        for loss in [losses[0], loss] {
            let disk = SimDisk::new(clock());
            disk.stop_after(stop);
            let mut history = History::default();
            assert!(run(&disk, flush, &mut history).is_none(), "the history ends at the stop");
            disk.crash(loss);
            recover(&disk, flush, history, &format!("{flush:?}, stopped at operation {stop}, {loss:?}"));
        }
    }
}

#[test]
fn the_end_of_the_process_loses_no_acknowledged_message() {
    at_every_operation(FlushMode::Async, &[Loss::Nothing]);
}

#[test]
fn the_end_of_power_loses_no_synced_message() {
    let torn: Vec<_> = (1..40).map(|n| Loss::Torn(n * 7919)).collect();
    at_every_operation(FlushMode::Sync, &[&[Loss::Everything], &torn[..]].concat());
}

/// Without syncs, messages may go with the power; what is left must still be sound.
#[test]
fn the_end_of_power_leaves_a_sound_store_without_syncs() {
    let disk = SimDisk::new(clock());
    run(&disk, FlushMode::Async, &mut History::default()).unwrap();
    for stop in (0..disk.ops()).step_by(3) {
        for seed in 1..4 {
            let disk = SimDisk::new(clock());
            disk.stop_after(stop);
            let mut history = History::default();
            let _ = run(&disk, FlushMode::Async, &mut history);
            disk.crash(Loss::Torn(stop * 31 + seed));
            history.sent.values_mut().flatten().for_each(|(_, acknowledged)| *acknowledged = false);
            recover(&disk, FlushMode::Async, history, &format!("stopped at operation {stop}, torn by {seed}"));
        }
    }
}
