//! A store written by another implementation opens, goes on, and keeps the form it had.
#![allow(clippy::unwrap_used, reason = "test code")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use common::{bodies, clock, send, small, topic};
use kerolox_store::disk::RealDisk;
use kerolox_store::{Store, StoreConfig};
use kerolox_wire::names::{QueueId, QueueOffset};
use serde_json::Value;

/// The settings with which the small store was made.
fn config(root: &Path) -> StoreConfig {
    StoreConfig { queue_file_size: 20 * 64, ..small(root) }
}

fn open(root: &Path) -> Store {
    let store = Store::open(config(root), Arc::new(RealDisk), clock()).unwrap();
    store.dispatch_now(None).unwrap();
    store
}

fn mini() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/mini")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn messages() -> Vec<Value> {
    let text = include_str!("../testdata/mini.json");
    let all: Value = serde_json::from_str(text).unwrap();
    all["messages"].as_array().unwrap().clone()
}

fn check(store: &Store, what: &str) {
    for message in messages() {
        let topic = topic(message["topic"].as_str().unwrap());
        let queue = QueueId::new(u32::try_from(message["queueId"].as_u64().unwrap()).unwrap());
        let offset = QueueOffset::new(message["queueOffset"].as_u64().unwrap());
        let unit = store.unit_at(&topic, queue, offset).unwrap().unwrap_or_else(|| panic!("{what}: {message}"));
        assert_eq!(unit.log_offset, message["phy"].as_u64().unwrap(), "{what}");
        assert_eq!(u64::from(unit.size), message["size"].as_u64().unwrap(), "{what}");
        assert_eq!(unit.tags_code, message["tagsCode"].as_i64().unwrap(), "{what}: {message}");
        assert_eq!(store.store_time(&topic, queue, offset).unwrap(), message["storeTimestamp"].as_i64(), "{what}");
    }
    for (queue, expected) in [(0, 20), (1, 20)] {
        let found = bodies(store, "TopicMini", queue);
        assert!(found.len() >= expected, "{what}");
        assert_eq!(found[1], if queue == 0 { &b"body-2-body-2-body-2-"[..] } else { b"body-3-body-3-body-3-body-3-" });
    }
}

#[test]
fn it_opens_after_any_stop_and_with_any_part_missing() {
    for abort in [false, true] {
        for missing in ["", "consumequeue", "index", "checkpoint"] {
            let dir = tempfile::tempdir().unwrap();
            copy(&mini(), dir.path());
            if abort {
                fs::write(dir.path().join("abort"), b"").unwrap();
            }
            let gone = dir.path().join(missing);
            if missing == "checkpoint" {
                fs::remove_file(gone).unwrap();
            } else if !missing.is_empty() {
                fs::remove_dir_all(gone).unwrap();
            }
            let what = format!("abort {abort}, without {missing:?}");
            let store = open(dir.path());
            check(&store, &what);
            assert_eq!(store.end().get(), 8424, "{what}");
            let found = store.query_keys("TopicMini", "k3", 32, 0, i64::MAX).unwrap();
            assert_eq!(found.records.len(), 1, "{what}: found by key");
            assert_eq!(send(&store, "TopicMini", 0, b"next").unwrap().queue_offset.get(), 20, "{what}");
            store.shutdown().unwrap();
            check(&open(dir.path()), &what);
        }
    }
}

#[test]
fn queues_and_index_made_anew_are_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    copy(&mini(), dir.path());
    fs::remove_dir_all(dir.path().join("consumequeue")).unwrap();
    fs::remove_dir_all(dir.path().join("index")).unwrap();
    let store = open(dir.path());
    store.shutdown().unwrap();
    for file in ["SCHEDULE_TOPIC_XXXX/4", "TopicMini/0", "TopicMini/1"] {
        let file = format!("consumequeue/{file}/00000000000000000000");
        assert_eq!(fs::read(dir.path().join(&file)).unwrap(), fs::read(mini().join(&file)).unwrap(), "{file}");
    }
    let index = |root: &Path| {
        let mut files = fs::read_dir(root.join("index")).unwrap();
        fs::read(files.next().unwrap().unwrap().path()).unwrap()
    };
    assert_eq!(index(dir.path()), index(&mini()));
}

#[test]
fn a_stop_leaves_what_the_reference_expects() {
    let dir = tempfile::tempdir().unwrap();
    copy(&mini(), dir.path());
    let store = open(dir.path());
    for n in 0..40_u8 {
        send(&store, "TopicMini", 0, &[n; 300]).unwrap();
    }
    store.dispatch_now(None).unwrap();
    store.shutdown().unwrap();
    for entry in fs::read_dir(dir.path().join("commitlog")).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().len(), 4096);
    }
    assert_eq!(fs::metadata(dir.path().join("checkpoint")).unwrap().len(), 4096);
    assert!(!dir.path().join("abort").exists());
    assert_eq!(fs::read(dir.path().join("lock")).unwrap(), b"lock");
    for entry in fs::read_dir(dir.path().join("consumequeue/TopicMini/0")).unwrap() {
        assert_eq!(entry.unwrap().metadata().unwrap().len(), 20 * 64);
    }
}
