//! `kerolox store`: exit codes, what is printed, and what is changed.

#![allow(clippy::unwrap_used, reason = "this file is a test, helpers and all")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Arc;

use common::kerolox;
use kerolox_store::disk::{Disk, RealDisk};
use kerolox_store::{ReadLimits, ReadStatus, Store, StoreConfig, Verdict};
use kerolox_wire::clock::{Clock, ManualClock};
use kerolox_wire::names::{QueueId, TopicName};
use kerolox_wire::record::NewRecord;
use serde_json::Value;

const QUEUES: u32 = 3;
const MESSAGES: u32 = 60;

fn open(root: &Path) -> Store {
    let config = StoreConfig {
        segment_size: 4096,
        queue_file_size: 200,
        index_slots: 100,
        index_entries: 400,
        max_record_size: 2048,
        disk_full_ratio: 100,
        disk_force_clean_ratio: 100,
        disk_max_used_ratio: 100,
        delete_when: vec![],
        ..StoreConfig::at(root)
    };
    Store::open(config, Arc::new(RealDisk), Arc::new(ManualClock::at(1_700_000_000_000)) as Arc<dyn Clock>).unwrap()
}

/// A directory with sixty messages in three queues of `T`, its tables, and nothing wrong.
fn directory() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let host = "127.0.0.1:10911".parse().unwrap();
    for n in 0..MESSAGES {
        let queue_id = n % QUEUES;
        let queue = store.queue(&TopicName::parse("T").unwrap(), QueueId::new(queue_id));
        let body = format!("body {n}\u{1b}[2J");
        let record = NewRecord {
            topic: "T",
            queue_id,
            flag: 7,
            sys_flag: 0,
            born_timestamp: 5,
            born_host: host,
            store_host: host,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: body.as_bytes(),
            properties: "KEYS\u{1}k\u{2}TAGS\u{1}red\u{2}",
        };
        let mut batch = store.batch();
        batch.push(&queue, &record).unwrap();
        store.append(&mut batch).unwrap();
    }
    store.shutdown().unwrap();
    let config = dir.path().join("config");
    fs::create_dir_all(&config).unwrap();
    fs::write(config.join("topics.json"), TOPICS).unwrap();
    fs::write(config.join("consumerOffset.json"), "{\n\t\"offsetTable\":{\n\t\t\"T@g\":{0:12,1:13}\n\t}\n}").unwrap();
    dir
}

const TOPICS: &str = r#"{"dataVersion":{"counter":4,"timestamp":9},"topicConfigTable":{"T":{"order":false,"perm":4,
    "readQueueNums":3,"topicFilterType":"SINGLE_TAG","topicName":"T","topicSysFlag":0,"writeQueueNums":3}}}"#;

fn store(dir: &Path, words: &[&str]) -> Output {
    let home = tempfile::tempdir().unwrap();
    let (command, rest) = words.split_first().unwrap();
    kerolox(home.path()).args(["store", command]).arg(dir).args(rest).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs a command that ends with this code; what it printed.
fn run(dir: &Path, words: &[&str], code: i32) -> String {
    let done = store(dir, words);
    let told = format!("{}{}", text(&done.stdout), text(&done.stderr));
    assert_eq!(done.status.code(), Some(code), "{words:?}: {told}");
    told
}

/// Every file below a folder with its bytes.
fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(contents(&path));
        } else {
            found.push((path.clone(), fs::read(path).unwrap()));
        }
    }
    found.sort();
    found
}

fn change(path: &Path, at: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[at] ^= 1;
    fs::write(path, bytes).unwrap();
}

/// The one folder that repairs have left.
fn repair_folder(dir: &Path) -> PathBuf {
    let entries = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut folders = entries.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("repair-"));
    let folder = folders.next().unwrap();
    assert!(folders.next().is_none());
    folder
}

/// Messages that the store hands out of all queues.
fn readable(dir: &Path) -> usize {
    let store = open(dir);
    let count = |queue| {
        let limits = ReadLimits::count(1000);
        let read = store.read(&TopicName::parse("T").unwrap(), QueueId::new(queue), 0, limits, &|_, _| Verdict::Keep);
        if read.status == ReadStatus::Found { read.next.get() } else { 0 }
    };
    let messages: u64 = (0..QUEUES).map(count).sum();
    store.shutdown().unwrap();
    usize::try_from(messages).unwrap()
}

#[test]
fn check_of_a_clean_directory_changes_nothing() {
    let dir = directory();
    fs::remove_file(dir.path().join("lock")).unwrap();
    let before = contents(dir.path());
    let told = run(dir.path(), &["check"], 0);
    assert!(told.contains("60 records") && told.contains("nothing is damaged"), "{told}");
    assert_eq!(contents(dir.path()), before);
}

#[test]
fn check_tells_damage_with_stable_ids() {
    let dir = directory();
    change(&dir.path().join("commitlog/00000000000000000000"), 95);
    change(&dir.path().join("consumequeue/T/1/00000000000000000000"), 27);
    let told = run(dir.path(), &["check"], 1);
    assert!(told.contains("DAMAGE log.damaged-record: ") && told.contains(" at 0: body checksum is "), "{told}");
    let report: Value = serde_json::from_str(&run(dir.path(), &["check", "-o", "json"], 1)).unwrap();
    assert_eq!(report["clean"], false);
    assert_eq!(report["counts"]["log.damaged-record"], 1);
    let finding = &report["findings"][0];
    assert_eq!(
        (&finding["id"], &finding["offset"], &finding["remedy"]),
        (&"log.damaged-record".into(), &0.into(), &"backup".into())
    );
    assert!(report["queues"]["damaged"][0].as_str().unwrap().ends_with("consumequeue/T/1"));
}

#[test]
fn bad_usage_and_strange_directories_end_with_2() {
    let dir = tempfile::tempdir().unwrap();
    assert!(run(dir.path(), &["check"], 2).contains("holds no store"));
    assert!(run(&dir.path().join("gone"), &["repair"], 2).contains("is no directory"));
    let dir = directory();
    assert!(run(dir.path(), &["check", "-o", "xml"], 2).contains("[possible values: text, json]"));
    assert!(run(dir.path(), &["repair", "--topics", "--forget-log"], 2).contains("cannot be used with"));
    assert!(run(dir.path(), &["dump", "--from", "99999999"], 2).contains("--from must be an offset from 0 to "));
}

#[test]
fn a_directory_in_use_is_refused() {
    let dir = directory();
    let held = RealDisk.lock(&dir.path().join("lock")).unwrap();
    let process = format!("in use by process {}", std::process::id());
    assert!(run(dir.path(), &["check"], 2).contains(&process));
    assert!(run(dir.path(), &["repair", "--dry-run"], 2).contains(&process));
    assert!(run(dir.path(), &["dump", "--count", "1"], 0).contains("logOffset=0 "));
    drop(held);
    run(dir.path(), &["check"], 0);
}

#[test]
fn repair_sets_a_damaged_queue_aside() {
    let dir = directory();
    let queue = dir.path().join("consumequeue/T/1");
    let sound = contents(&queue);
    change(&queue.join("00000000000000000000"), 27);
    let damaged = fs::read(queue.join("00000000000000000000")).unwrap();
    let before = contents(dir.path());
    assert!(run(dir.path(), &["repair", "--dry-run"], 0).contains("this was a dry run"));
    assert_eq!(contents(dir.path()), before);
    let told = run(dir.path(), &["repair"], 0);
    assert!(told.contains("move ") && told.contains("consumequeue/T/1"), "{told}");
    let kept = repair_folder(dir.path());
    assert_eq!(fs::read(kept.join("consumequeue/T/1/00000000000000000000")).unwrap(), damaged);
    assert!(kept.join("checkpoint").exists() && !queue.exists() && !kept.join("index").exists());
    assert_eq!(readable(dir.path()), 60);
    assert_eq!(contents(&queue), sound);
    run(dir.path(), &["check"], 0);
}

#[test]
fn repair_beside_a_damaged_log_calls_for_no_whole_walk() {
    let dir = directory();
    change(&dir.path().join("commitlog/00000000000000000000"), 95);
    change(&dir.path().join("consumequeue/T/1/00000000000000000000"), 27);
    let index = fs::read_dir(dir.path().join("index")).unwrap().next().unwrap().unwrap().path();
    change(&index, 40 + 400 + 20 + 19);
    let told = run(dir.path(), &["repair"], 1);
    assert!(told.contains("queues and checkpoint are left as they are"), "{told}");
    assert!(dir.path().join("checkpoint").exists() && !dir.path().join("abort").exists());
    assert!(dir.path().join("consumequeue/T/1").exists() && !index.exists());
    readable(dir.path());
    let report: Value = serde_json::from_str(&run(dir.path(), &["check", "-o", "json"], 1)).unwrap();
    assert_eq!((&report["log"]["records"], report["counts"].get("index.chain")), (&59.into(), None));
}

#[test]
fn repair_derives_index_and_missing_queues() {
    let dir = directory();
    fs::remove_dir_all(dir.path().join("consumequeue/T/2")).unwrap();
    let index = fs::read_dir(dir.path().join("index")).unwrap().next().unwrap().unwrap().path();
    change(&index, 40 + 400 + 20 + 19);
    run(dir.path(), &["check"], 1);
    run(dir.path(), &["repair"], 0);
    assert_eq!(readable(dir.path()), 60);
    run(dir.path(), &["check"], 0);
}

#[test]
fn repair_of_topics_keeps_what_the_table_says() {
    let dir = directory();
    let path = dir.path().join("config/topics.json");
    fs::create_dir_all(dir.path().join("consumequeue/orders/6")).unwrap();
    assert!(run(dir.path(), &["check"], 1).contains("topics.queues-without-topic"));
    run(dir.path(), &["repair", "--topics"], 0);
    let table = fs::read_to_string(&path).unwrap();
    let json: Value = serde_json::from_str(&table).unwrap();
    assert!(table.contains("\n\t\"topicConfigTable\":{"), "{table}");
    assert_eq!(json["topicConfigTable"]["T"]["perm"], 4);
    let orders = &json["topicConfigTable"]["orders"];
    let numbers = [&orders["readQueueNums"], &orders["writeQueueNums"], &orders["perm"]];
    assert_eq!(numbers, [&Value::from(7), &7.into(), &6.into()]);
    assert_eq!(fs::read_to_string(repair_folder(dir.path()).join("config/topics.json")).unwrap(), TOPICS);
    assert!(run(dir.path(), &["repair", "--topics"], 0).contains("has the topics of all queues"));
    fs::write(&path, "{").unwrap();
    assert!(run(dir.path(), &["repair", "--topics"], 0).contains("cannot be read"));
    run(dir.path(), &["check"], 0);
}

#[test]
fn forgetting_a_log_needs_it_to_be_gone() {
    let dir = directory();
    assert!(run(dir.path(), &["repair", "--forget-log"], 2).contains("the log is there and is not forgotten"));
    fs::remove_dir_all(dir.path().join("commitlog")).unwrap();
    assert!(run(dir.path(), &["repair", "--forget-log"], 2).contains("--commitlog"));
    fs::create_dir(dir.path().join("commitlog")).unwrap();
    let told = run(dir.path(), &["check"], 1);
    assert!(told.contains("DAMAGE log.missing") && told.contains("--forget-log"), "{told}");
    assert!(run(dir.path(), &["repair"], 2).contains("--forget-log"));
    run(dir.path(), &["repair", "--forget-log"], 0);
    let kept = repair_folder(dir.path());
    for name in ["consumequeue/T/0", "index", "checkpoint", "config/consumerOffset.json"] {
        assert!(kept.join(name).exists() && !dir.path().join(name).exists(), "{name}");
    }
    assert!(dir.path().join("config/topics.json").exists());
    assert_eq!(readable(dir.path()), 0);
}

#[test]
fn dump_prints_headers_bodies_and_goes_on() {
    let dir = directory();
    let lines = |words: &[&str]| run(dir.path(), words, 0).lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(&["dump"]).len(), 60);
    assert_eq!(lines(&["dump", "--topic", "T", "--queue", "2"]).len(), 20);
    let line = &lines(&["dump", "--count", "1", "--body"])[0];
    assert!(line.contains("logOffset=0 ") && line.contains("flag=7 ") && line.contains("\"TAGS\":\"red\""), "{line}");
    assert!(line.ends_with(r"body=body 0\u{1b}[2J"), "{line}");
    let json: Value = serde_json::from_str(&lines(&["dump", "-o", "json", "--body", "--count", "1"])[0]).unwrap();
    assert_eq!((&json["queueOffset"], &json["bornHost"]), (&0.into(), &"127.0.0.1:10911".into()));
    assert_eq!((&json["body"], &json["properties"]["KEYS"]), (&"body 0\u{1b}[2J".into(), &"k".into()));
    let second = json["size"].as_u64().unwrap().to_string();
    assert!(lines(&["dump", "--from", "1", "--count", "1"])[0].starts_with(&format!("logOffset={second} ")));
    change(&dir.path().join("commitlog/00000000000000000000"), 95);
    let told = run(dir.path(), &["dump"], 1);
    assert_eq!(told.lines().filter(|line| line.starts_with("logOffset=")).count(), 59);
    assert!(told.contains("bytes at 0 are passed over: body checksum"), "{told}");
}
