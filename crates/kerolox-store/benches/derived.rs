//! What the parts derived from the log cost: one key of the index, one unit of a queue, opening ten thousand queues.
//! Run with `cargo bench -p kerolox-store --bench derived`.
#![allow(clippy::print_stdout, reason = "prints what it measured")]
#![allow(clippy::disallowed_methods, reason = "measures real time")]
#![allow(clippy::unwrap_used, reason = "a failing disk ends the measurement")]

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kerolox_store::consume_queue::{Queue, Unit};
use kerolox_store::disk::RealDisk;
use kerolox_store::index::{Index, IndexKeys, IndexOpen};
use kerolox_store::queues::Queues;
use kerolox_wire::clock::ManualClock;
use kerolox_wire::names::{QueueId, QueueOffset, TopicName};

const NOW: i64 = 1_700_000_000_000;
const KEYS: u64 = 3_000_000;
const UNITS: u64 = 1_000_000;
const QUEUES: u32 = 10_000;

fn main() {
    let dir = tempfile::tempdir().unwrap();
    index(&dir.path().join("index"));
    queues(&dir.path().join("consumequeue"));
}

fn each(what: &str, count: u64, run: impl FnOnce()) {
    let begin = Instant::now();
    run();
    let each = begin.elapsed().as_nanos() / u128::from(count.max(1));
    println!("{what:<40} {:?}", Duration::from_nanos(u64::try_from(each).unwrap()));
}

fn open(dir: &Path, abnormal: bool) -> Index {
    let how = IndexOpen {
        slots: 5_000_000,
        entries: 20_000_000,
        abnormal,
        checkpoint_index_ms: 0,
        clock: Arc::new(ManualClock::at(NOW)),
        utc_offset: Arc::new(|_| 0),
    };
    Index::open(Arc::new(RealDisk), dir, how).unwrap()
}

fn index(dir: &Path) {
    let index = open(dir, false);
    let texts: Vec<_> = (0..KEYS).map(|n| format!("7F00000100002A139A55{n:012X}")).collect();
    let keys: Vec<_> = texts.iter().zip(0_u64..).map(|(text, n)| keys(text, n)).collect();
    let mut rest = keys.as_slice();
    for (batch, count) in [(1, 100_000), (8, 400_000), (32, 500_000), (256, 2_000_000)] {
        let (part, later) = rest.split_at(count);
        rest = later;
        each(&format!("one key, in batches of {batch}"), count as u64, || {
            part.chunks(batch).for_each(|batch| index.put(batch).unwrap());
        });
    }
    each("index flush", 1, || index.flush().unwrap());
    each("find one of 3,000,000 keys", KEYS / 30, || {
        for text in texts.iter().step_by(30) {
            assert!(!index.query("BenchmarkTest", text, 64, 0, i64::MAX).unwrap().is_empty());
        }
    });
    drop(index);
    each("open after a crash with 3,000,000 keys", 1, || drop(open(dir, true)));
}

fn keys(text: &str, n: u64) -> IndexKeys<'_> {
    let log_offset = n * 300;
    IndexKeys { topic: "BenchmarkTest", uniq_key: Some(text), keys: None, log_offset, store_timestamp: NOW }
}

fn queues(root: &Path) {
    let load = || Queues::load(Arc::new(RealDisk), root, 6_000_000).unwrap();
    let topic = TopicName::known("BenchmarkTest");
    let units: Vec<_> = (0..UNITS).map(|n| Unit { log_offset: n * 300, size: 300, tags_code: 0 }).collect();
    let queues = load();
    let queue = queues.get_or_create(&topic, QueueId::new(0));
    let mut at = 0;
    for (batch, count) in [(1, 100_000), (8, 200_000), (64, 700_000)] {
        let part = &units[at..at + count];
        each(&format!("one unit, in batches of {batch}"), count as u64, || {
            for batch in part.chunks(batch) {
                queue.append(QueueOffset::new(at as u64), batch).unwrap();
                at += batch.len();
            }
        });
    }
    let mut out = Vec::new();
    each("read 32 units", UNITS / 32, || {
        for from in (0..UNITS).step_by(32) {
            out.clear();
            queue.units(QueueOffset::new(from), 32, &mut out).unwrap();
        }
    });
    each("look a queue up", UNITS, || {
        for n in 0..1_000_000_u32 {
            assert!(queues.get(&topic, QueueId::new(n % 2)).is_some() == n.is_multiple_of(2));
        }
    });
    queue.flush().unwrap();
    let recovered = |recover: fn(&Queue) -> std::io::Result<u64>| {
        let queue = load().get_or_create(&topic, QueueId::new(0));
        assert_eq!(recover(&queue).unwrap(), UNITS * 300);
    };
    each("recover 1,000,000 units after a crash", 1, || recovered(Queue::recover));
    each("the same with a mark", 1, || recovered(|queue| queue.recover_to(UNITS * 300)));
    each("recover 1,000,000 units", 1, || recovered(Queue::recover_clean));
    each("first unit of 10,000 queues, each", QUEUES.into(), || {
        for id in 1..QUEUES {
            queues.get_or_create(&topic, QueueId::new(id)).append(QueueOffset::ZERO, &units[1..2]).unwrap();
        }
    });
    let mut found = None;
    each("load 10,000 queues", 1, || found = Some(load()));
    each("recover 10,000 queues after a crash", 1, || {
        for queue in found.iter().flat_map(Queues::all) {
            queue.recover().unwrap();
            queue.correct_min(0).unwrap();
        }
    });
    let found = load();
    each("the same with a mark", 1, || {
        for queue in found.all() {
            queue.recover_to(UNITS * 300).unwrap();
            queue.correct_min(0).unwrap();
        }
    });
    drop(found);
    for queue in load().all().iter().take(200) {
        queue.recover_clean().unwrap();
        queue.append(queue.max(), &large(queue)).unwrap();
    }
    each("recover 200 queues of 250,000 units after a crash", 1, || {
        for queue in load().all() {
            queue.recover().unwrap();
        }
    });
    each("the same with a mark", 1, || {
        for queue in load().all() {
            queue.recover_to(u64::MAX).unwrap();
        }
    });
}

/// 250,000 units behind those that the queue has.
fn large(queue: &Queue) -> Vec<Unit> {
    let log = queue.log_end();
    (0..250_000).map(|n| Unit { log_offset: log + n * 300, size: 300, tags_code: 0 }).collect()
}
