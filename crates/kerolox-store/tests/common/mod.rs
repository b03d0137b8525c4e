//! What the store's tests share.
#![allow(dead_code, unreachable_pub, reason = "each test uses its own part of this")]
#![allow(clippy::unwrap_used, reason = "test code")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kerolox_store::disk::Disk;
use kerolox_store::{AppendError, Appended, FlushMode, ReadLimits, ReadStatus, Store, StoreConfig, Verdict};
use kerolox_wire::clock::{Clock, ManualClock};
use kerolox_wire::names::{QueueId, TopicName};
use kerolox_wire::record::{BodyCheck, NewRecord, Record};

/// Settings with small files, so that a few records fill several.
pub fn small(root: &Path) -> StoreConfig {
    StoreConfig {
        segment_size: 4096,
        queue_file_size: 200,
        index_slots: 100,
        index_entries: 400,
        max_record_size: 2048,
        flush: FlushMode::Async,
        clean_interval: Duration::from_secs(3600),
        disk_full_ratio: 100,
        disk_force_clean_ratio: 100,
        disk_max_used_ratio: 100,
        delete_when: vec![],
        ..StoreConfig::at(root)
    }
}

pub fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at(1_700_000_000_000))
}

pub fn open(config: StoreConfig, disk: Arc<dyn Disk>) -> Store {
    Store::open(config, disk, clock() as Arc<dyn Clock>).unwrap()
}

pub fn topic(name: &str) -> TopicName {
    TopicName::parse(name).unwrap()
}

pub fn host() -> SocketAddr {
    "127.0.0.1:10911".parse().unwrap()
}

/// A record of the given topic and body.
pub fn record<'a>(topic: &'a str, queue_id: u32, body: &'a [u8], properties: &'a str) -> NewRecord<'a> {
    NewRecord {
        topic,
        queue_id,
        flag: 0,
        sys_flag: 0,
        born_timestamp: 5,
        born_host: host(),
        store_host: host(),
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body,
        properties,
    }
}

/// Appends one message.
pub fn send(store: &Store, name: &str, queue_id: u32, body: &[u8]) -> Result<Appended, AppendError> {
    let queue = store.queue(&topic(name), QueueId::new(queue_id));
    let mut batch = store.batch();
    batch.push(&queue, &record(name, queue_id, body, "")).unwrap();
    store.append(&mut batch).map(|mut appended| appended.remove(0))
}

/// Deletes a topic; returns whether there was one.
pub fn delete_topic(store: &Store, name: &str) -> std::io::Result<bool> {
    store.delete_topic(&topic(name))
}

/// All bodies of a queue, read as a consumer does. Queue offsets must rise, each within what the read covered; they are
/// dense but for messages that a crash took.
pub fn bodies(store: &Store, name: &str, queue_id: u32) -> Vec<Vec<u8>> {
    let (topic, queue_id) = (topic(name), QueueId::new(queue_id));
    let Some((min, _)) = store.queue_range(&topic, queue_id) else { return Vec::new() };
    let mut from = min;
    let mut found = Vec::new();
    loop {
        let result = store.read(&topic, queue_id, from.to_wire(), ReadLimits::count(32), &|_, _| Verdict::Keep);
        match result.status {
            ReadStatus::Found => {}
            ReadStatus::OffsetOverflowOne | ReadStatus::NoMessageInQueue => return found,
            other => panic!("{other:?} at {from} of {min}..{}", result.max),
        }
        let mut rest = &result.body[..];
        let mut least = from;
        while !rest.is_empty() {
            let record = Record::parse(rest, BodyCheck::Crc).unwrap();
            let offset = record.queue_offset();
            assert!(offset >= least && offset < result.next, "{name}/{queue_id}: {offset} in {least}..{}", result.next);
            assert_eq!(record.topic(), name);
            found.push(record.body().to_vec());
            least = offset + 1;
            rest = &rest[record.bytes().len()..];
        }
        from = result.next;
    }
}
