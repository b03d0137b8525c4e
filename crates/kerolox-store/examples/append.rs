//! Measures appending: `cargo run --release -p kerolox-store --example append -- [records] [batch] [body bytes] [dir]`.
//! A given directory is appended to and left; without one a temporary directory is used and removed.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a measurement prints and looks at the clock")]

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use kerolox_store::disk::RealDisk;
use kerolox_store::{Arrivals, Store, StoreConfig};
use kerolox_wire::clock::Clock;
use kerolox_wire::names::{QueueId, QueueOffset, TopicName};
use kerolox_wire::record::NewRecord;

struct SystemClock(Instant);

impl Clock for SystemClock {
    fn wall_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(0)
    }

    fn elapsed(&self) -> Duration {
        self.0.elapsed()
    }
}

struct Deaf;

impl Arrivals for Deaf {
    fn arrived(&self, _: &str, _: QueueId, _: QueueOffset, _: i64) {}
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: usize| arguments.next().and_then(|a| a.parse().ok()).unwrap_or(default);
    let (records, batch_len, body_len) = (number(3_000_000), number(16).max(1), number(128));
    let given = arguments.next().map(std::path::PathBuf::from);
    let own = std::env::temp_dir().join(format!("kerolox-append-{}", std::process::id()));
    let dir = given.as_ref().unwrap_or(&own);
    let started = Instant::now();
    let clock = Arc::new(SystemClock(started));
    let store = Store::open(StoreConfig::at(dir), Arc::new(RealDisk), clock)?;
    store.start(Arc::new(Deaf))?;
    println!("open and start: {:.1?}", started.elapsed());

    let topic = TopicName::parse("Bench")?;
    let queues: Vec<_> = (0..8).map(|id| store.queue(&topic, QueueId::new(id))).collect();
    let body = vec![b'x'; body_len];
    let host = "127.0.0.1:10911".parse()?;
    let mut batch = store.batch();
    let mut sent = 0_usize;
    let started = Instant::now();
    while sent < records {
        for queue in queues.iter().cycle().skip(sent % queues.len()).take(batch_len) {
            // As producers do, every message has its own unique key.
            let properties =
                format!("UNIQ_KEY\u{1}7F000001000018B4AAC2{sent:012X}\u{2}WAIT\u{1}true\u{2}TAGS\u{1}TagA\u{2}");
            let record = NewRecord {
                topic: topic.as_str(),
                queue_id: queue.id().get(),
                flag: 0,
                sys_flag: 0,
                born_timestamp: 1_700_000_000_000,
                born_host: host,
                store_host: host,
                reconsume_times: 0,
                prepared_transaction_offset: 0,
                body: &body,
                properties: &properties,
            };
            batch.push(queue, &record)?;
            sent += 1;
        }
        store.append(&mut batch)?;
    }
    let appended = started.elapsed();
    while store.dispatched_end() < store.end() {
        std::thread::sleep(Duration::from_millis(1));
    }
    let dispatched = started.elapsed();
    let rate = |time: Duration| sent as f64 / time.as_secs_f64();
    println!("appended   {sent} records in {appended:.2?}: {:.0} records/s", rate(appended));
    println!("dispatched {sent} records in {dispatched:.2?}: {:.0} records/s", rate(dispatched));
    let started = Instant::now();
    store.shutdown()?;
    println!("shutdown: {:.1?}", started.elapsed());
    if given.is_none() {
        std::fs::remove_dir_all(dir)?;
    }
    Ok(())
}
