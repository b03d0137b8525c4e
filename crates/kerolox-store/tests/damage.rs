//! Small damage costs what it hits and nothing beside it.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use std::path::Path;
use std::sync::Arc;

use common::{bodies, clock, send, small};
use kerolox_store::disk::Disk;
use kerolox_store::disk::sim::{Loss, SimDisk};
use kerolox_store::{Store, StoreConfig};
use kerolox_wire::clock::ManualClock;

const COUNT: usize = 40;
const LOG: &str = "/s/commitlog/00000000000000000000";

/// What is done to the store between the damage and the next start.
#[derive(Debug, Clone, Copy)]
enum Before {
    /// It stops in order, and its queues are made anew.
    QueuesLost,
    /// Its process dies without a checkpoint.
    Killed,
}

struct Case {
    disk: SimDisk,
    clock: Arc<ManualClock>,
    /// Log offsets of the messages.
    at: Vec<usize>,
}

fn config() -> StoreConfig {
    StoreConfig { segment_size: 1 << 16, ..small(Path::new("/s")) }
}

fn open(disk: &SimDisk, clock: &Arc<ManualClock>) -> Store {
    Store::open(config(), Arc::new(disk.process()), Arc::clone(clock) as _).unwrap()
}

fn body(n: usize) -> Vec<u8> {
    format!("message {n}").into_bytes()
}

fn filled(before: Before) -> Case {
    let clock = clock();
    let disk = SimDisk::new(Arc::clone(&clock) as _);
    let store = open(&disk, &clock);
    let at =
        (0..COUNT).map(|n| usize::try_from(send(&store, "T", 0, &body(n)).unwrap().first.get()).unwrap()).collect();
    store.dispatch_now(None).unwrap();
    match before {
        Before::QueuesLost => {
            store.shutdown().unwrap();
            for entry in disk.list(Path::new("/s/consumequeue/T/0")).unwrap() {
                disk.remove(&Path::new("/s/consumequeue/T/0").join(entry.name)).unwrap();
            }
        }
        Before::Killed => {
            store.flush_now().unwrap();
            drop(store);
            disk.crash(Loss::Nothing);
        }
    }
    Case { disk, clock, at }
}

/// Opens the store; all but at most one message must be there, in order, and the next one gets an offset of its own.
fn loses_at_most_one(case: &Case, what: &str) {
    let store = open(&case.disk, &case.clock);
    store.dispatch_now(None).unwrap();
    let found = bodies(&store, "T", 0);
    let mut missing = (0..COUNT).filter(|n| !found.contains(&body(*n)));
    let lost = missing.next();
    assert_eq!(missing.next(), None, "{what}: {lost:?} and another are lost of {COUNT}, {} there", found.len());
    assert!(found.is_sorted_by_key(|body| (body.len(), body.clone())), "{what}");
    let next = send(&store, "T", 0, b"next").unwrap().queue_offset.get();
    let expected = COUNT as u64;
    assert!(next == expected || (next + 1 == expected && lost == Some(COUNT - 1)), "{what}: next is {next}");
    store.dispatch_now(None).unwrap();
    assert_eq!(bodies(&store, "T", 0).last().unwrap(), b"next", "{what}");
}

#[test]
fn flipped_bit_costs_one_message() {
    for before in [Before::QueuesLost, Before::Killed] {
        let length = {
            let case = filled(before);
            case.at[1] - case.at[0]
        };
        for message in [0, 1, 20, COUNT - 2, COUNT - 1] {
            for byte in (0..length).step_by(3) {
                let case = filled(before);
                case.disk.flip_bit(Path::new(LOG), case.at[message] + byte, u8::try_from(byte % 8).unwrap());
                loses_at_most_one(&case, &format!("{before:?}, byte {byte} of message {message}"));
            }
        }
    }
}

#[test]
fn every_bit_of_a_queue_offset_and_a_size_may_flip() {
    for before in [Before::QueuesLost, Before::Killed] {
        for byte in (0..4).chain(20..28) {
            for bit in 0..8 {
                let case = filled(before);
                case.disk.flip_bit(Path::new(LOG), case.at[33] + byte, bit);
                loses_at_most_one(&case, &format!("{before:?}, bit {bit} of byte {byte}"));
            }
        }
    }
}
