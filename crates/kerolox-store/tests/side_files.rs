//! Files beside the log that belong to another day, or to another log, decide nothing.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{bodies, clock, send, small};
use kerolox_store::disk::RealDisk;
use kerolox_store::{OpenError, Store};

/// A data directory and a place for copies of its parts.
struct Place {
    _dir: tempfile::TempDir,
    root: PathBuf,
    copies: PathBuf,
}

impl Place {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let (root, copies) = (dir.path().join("store"), dir.path().join("copies"));
        fs::create_dir_all(&copies).unwrap();
        Self { _dir: dir, root, copies }
    }

    fn try_open(&self) -> Result<Store, OpenError> {
        Store::open(small(&self.root), Arc::new(RealDisk), clock())
    }

    /// Opens, sends so many messages more, and stops in order.
    fn fill(&self, topic: &str, from: usize, to: usize) {
        let store = self.try_open().unwrap();
        for n in from..to {
            let queue_offset = send(&store, topic, 0, &body(topic, n)).unwrap().queue_offset.get();
            assert_eq!(queue_offset, n as u64, "{topic}");
        }
        store.dispatch_now(None).unwrap();
        store.shutdown().unwrap();
    }

    fn keep(&self, part: &str) {
        copy(&self.root.join(part), &self.copies.join(part));
    }

    fn put_back(&self, part: &str) {
        remove(&self.root.join(part));
        copy(&self.copies.join(part), &self.root.join(part));
    }

    fn remove(&self, part: &str) {
        remove(&self.root.join(part));
    }

    /// What is there, in order.
    fn holds(&self, topic: &str, count: usize) {
        let store = self.try_open().unwrap();
        store.dispatch_now(None).unwrap();
        let expected: Vec<_> = (0..count).map(|n| body(topic, n)).collect();
        assert_eq!(bodies(&store, topic, 0), expected);
        store.shutdown().unwrap();
    }
}

fn body(topic: &str, n: usize) -> Vec<u8> {
    format!("{topic} {n} {}", ".".repeat(300)).into_bytes()
}

fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        fs::copy(from, to).unwrap();
        return;
    }
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(Result::unwrap) {
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}

fn remove(path: &Path) {
    if path.is_file() {
        fs::remove_file(path).unwrap();
    } else if path.exists() {
        fs::remove_dir_all(path).unwrap();
    }
}

#[test]
fn absent_log_stops_the_start_until_it_is_back() {
    let place = Place::new();
    place.fill("T", 0, 30);
    place.keep("commitlog");
    place.remove("commitlog");
    for part in ["nothing", "consumequeue", "checkpoint"] {
        if part != "nothing" {
            place.keep(part);
            place.remove(part);
        }
        let error = place.try_open().err().unwrap();
        assert!(matches!(error, OpenError::LogMissing { .. }), "without {part}: {error}");
        assert!(error.to_string().contains("kerolox store repair"), "{error}");
        if part != "nothing" {
            place.put_back(part);
        }
    }
    place.put_back("commitlog");
    place.holds("T", 30);
}

#[test]
fn another_log_beside_an_older_checkpoint_is_whole() {
    let (tried, real) = (Place::new(), Place::new());
    tried.fill("Tried", 0, 3);
    real.fill("T", 0, 40);
    for with_queues in [false, true] {
        let place = Place::new();
        copy(&tried.root, &place.root);
        place.remove("commitlog");
        if !with_queues {
            place.remove("consumequeue");
            place.remove("index");
        }
        copy(&real.root.join("commitlog"), &place.root.join("commitlog"));
        place.holds("T", 40);
        place.fill("T", 40, 45);
        place.holds("T", 45);
    }
}

#[test]
fn log_of_an_earlier_day_goes_on_where_it_ends() {
    let place = Place::new();
    place.fill("T", 0, 20);
    place.keep("commitlog");
    place.fill("T", 20, 40);
    place.put_back("commitlog");
    place.holds("T", 20);
    place.fill("T", 20, 25);
    for part in ["consumequeue", "checkpoint"] {
        place.remove(part);
    }
    place.holds("T", 25);
}

#[test]
fn queues_of_an_earlier_day_are_filled_up() {
    let place = Place::new();
    place.fill("T", 0, 20);
    place.fill("U", 0, 5);
    place.keep("consumequeue");
    place.keep("checkpoint");
    place.fill("T", 20, 40);
    place.keep("commitlog");
    place.put_back("consumequeue");
    place.fill("T", 40, 41);
    place.holds("T", 41);
    place.holds("U", 5);
    // With the checkpoint of that day, and after a crash.
    place.put_back("consumequeue");
    place.put_back("checkpoint");
    fs::write(place.root.join("abort"), "").unwrap();
    place.holds("T", 41);
}

#[test]
fn one_queue_that_is_gone_is_made_anew() {
    let place = Place::new();
    place.fill("T", 0, 20);
    place.fill("U", 0, 20);
    place.remove("consumequeue/T");
    place.holds("T", 20);
    place.holds("U", 20);
}
