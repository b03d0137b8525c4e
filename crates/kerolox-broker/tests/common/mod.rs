//! A broker in this process, and clients that talk to it over loopback.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use kerolox_broker::{BrokerConfig, Handle, Live, LiveSettings, Spans, StartError};
use kerolox_net::{Counters, ListenConfig, Outbound, OutboundConfig};
use kerolox_store::disk::sim::SimDisk;
use kerolox_store::disk::{Disk, RealDisk};
use kerolox_store::{DelayLevels, StoreConfig};
use kerolox_wire::clock::Clock;
use kerolox_wire::command::send::SendBack;
use kerolox_wire::names::{GroupName, TopicName};
use parking_lot::Mutex;
use tempfile::TempDir;

pub(crate) mod client;
#[path = "../../../kerolox-store/tests/common/faulty.rs"]
pub(crate) mod faulty;
pub(crate) mod wire;

#[allow(unused_imports, reason = "each test file uses its part")]
pub(crate) use client::*;
#[allow(unused_imports, reason = "each test file uses its part")]
pub(crate) use wire::Wire;

/// Longer than anything takes: it only keeps a broken test from hanging.
pub(crate) const LONG: Duration = Duration::from_secs(30);
/// Largest record of the test brokers.
pub(crate) const RECORD_MAX: usize = 64 * 1024;
pub(crate) const CLUSTER: &str = "TestCluster";
pub(crate) const BROKER: &str = "broker-t";

/// What a broker is started with. Starting again from the same value is a restart on the same directory.
pub(crate) struct Setup {
    pub(crate) store: StoreConfig,
    pub(crate) live: Arc<Live>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) disk: Arc<dyn Disk>,
    simulated: Option<SimDisk>,
    pub(crate) clock: Arc<TestClock>,
    /// Whether messages may have a time of their own.
    pub(crate) timers: bool,
    /// Whether there is a trace topic.
    pub(crate) trace: bool,
    /// Time between two writes of the consumer offsets and of the delay levels.
    pub(crate) save_interval: Duration,
    /// File of accounts.
    pub(crate) accounts: Option<PathBuf>,
    /// Where spans go.
    pub(crate) spans: Option<Arc<Spans>>,
    /// Keeps the directory until the test ends.
    folder: Option<Arc<TempDir>>,
}

/// A running broker.
pub(crate) struct Node {
    handle: Handle,
    pub(crate) counters: Arc<Counters>,
    pub(crate) clock: Arc<TestClock>,
    _folder: Option<Arc<TempDir>>,
}

impl Setup {
    /// A broker on the real disk.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = StoreConfig::at(folder.path().join("store"));
        Self::with(store, Arc::new(RealDisk), Arc::default(), Some(Arc::new(folder)))
    }

    /// A broker on the real disk, whose reads may fail.
    pub(crate) fn faulty() -> (Self, faulty::Faults) {
        let setup = Self::new();
        let (disk, faults) = faulty::FaultyDisk::over(Arc::clone(&setup.disk));
        (Self { disk, ..setup }, faults)
    }

    /// A table of the broker.
    pub(crate) fn table(&self, name: &str) -> PathBuf {
        self.store.root.join("config").join(name)
    }

    /// A broker on a disk in memory.
    pub(crate) fn simulated() -> (Self, SimDisk) {
        let clock = Arc::<TestClock>::default();
        let disk = SimDisk::new(Arc::clone(&clock) as _);
        let setup = Self::with(StoreConfig::at("/store"), Arc::new(disk.clone()), clock, None);
        (Self { simulated: Some(disk.clone()), ..setup }, disk)
    }

    fn with(store: StoreConfig, disk: Arc<dyn Disk>, clock: Arc<TestClock>, folder: Option<Arc<TempDir>>) -> Self {
        let store = StoreConfig {
            segment_size: 512 * 1024,
            queue_file_size: 20_000,
            index_slots: 100,
            index_entries: 4_000,
            max_record_size: u32::try_from(RECORD_MAX).unwrap(),
            // Nothing is written or deleted by the clock unless a test asks for it.
            queue_flush_interval: Duration::from_secs(3600),
            clean_interval: Duration::from_secs(3600),
            disk_full_ratio: 99,
            disk_force_clean_ratio: 100,
            disk_max_used_ratio: 100,
            delete_when: Vec::new(),
            delay_levels: DelayLevels::parse("1s 1s 1s 1s").unwrap(),
            ..store
        };
        let (live, settings) = Default::default();
        let (timers, trace, accounts, spans) = (true, false, None, None);
        let save_interval = Duration::from_secs(3600);
        Self {
            store,
            live,
            settings,
            disk,
            simulated: None,
            clock,
            timers,
            trace,
            save_interval,
            accounts,
            spans,
            folder,
        }
    }

    /// Starts a broker.
    pub(crate) async fn start(&self) -> Node {
        self.try_start().await.unwrap()
    }

    /// The same where it may fail.
    pub(crate) async fn try_start(&self) -> Result<Node, StartError> {
        let counters = Arc::<Counters>::default();
        let mut listen = ListenConfig::new(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));
        listen.counters = Arc::clone(&counters);
        // Bare connections do not answer its goodbye.
        listen.grace = Duration::from_millis(200);
        let config = BrokerConfig {
            listen,
            fast_listen: None,
            advertised: IpAddr::V4(Ipv4Addr::LOCALHOST),
            advertised_name: None,
            ha_address: "127.0.0.1:1".to_owned(),
            name: BROKER.to_owned(),
            cluster: CLUSTER.to_owned(),
            broker_id: 0,
            name_servers: Vec::new(),
            config_dir: self.store.root.join("config"),
            acl_file: self.accounts.clone(),
            compressed_register: false,
            register_period: Duration::from_secs(30),
            register_timeout: Duration::from_secs(6),
            flush_offsets: self.save_interval,
            flush_delay_offsets: self.save_interval,
            timers: self.timers,
            timer_max_delay_ms: 366 * 86_400_000,
            cluster_topic: true,
            broker_topic: true,
            trace_topic: self.trace,
            trace_topic_name: "RMQ_SYS_TRACE_TOPIC".to_owned(),
            queue_lock_lifetime: Duration::from_secs(60),
            region: "DefaultRegion".to_owned(),
            utc_offset_ms: 0,
            seed: 7,
            spans: self.spans.clone(),
            live: Arc::clone(&self.live),
            settings: Arc::clone(&self.settings) as _,
        };
        let outbound = Outbound::new(OutboundConfig::default());
        // Each start is a process of its own: what is left of one that was killed must not reach the files of the next.
        let process = self.simulated.as_ref().map(|disk| Arc::new(disk.process()) as Arc<dyn Disk>);
        let (disk, clock) = (process.unwrap_or_else(|| Arc::clone(&self.disk)), Arc::clone(&self.clock));
        let handle = kerolox_broker::start(config, self.store.clone(), disk, clock, outbound).await?;
        Ok(Node { handle, counters, clock: Arc::clone(&self.clock), _folder: self.folder.clone() })
    }

    /// Changes a switch as an operator would.
    pub(crate) fn switch(&self, name: &str, on: bool) {
        assert!(self.live.set_switch(name, on), "{name}");
    }
}

impl Node {
    /// A client with a connection of its own.
    pub(crate) fn client(&self) -> Client {
        Client::of(self.handle.local_addr())
    }

    /// A connection that shows every frame.
    pub(crate) async fn wire(&self) -> Wire {
        Wire::open(self.handle.local_addr()).await
    }

    /// How often serving a request has panicked.
    pub(crate) fn panics(&self) -> u64 {
        self.counters.snapshot().panics
    }

    /// The broker's own functions.
    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// Stops it in good order.
    pub(crate) async fn stop(self) {
        assert_eq!(self.panics(), 0, "no request may panic");
        self.handle.shutdown().await;
    }

    /// Leaves it as a killed process would.
    pub(crate) fn kill(self) {
        drop(self.handle);
    }
}

/// Time that passes as everywhere, and jumps when the test says so.
pub(crate) struct TestClock {
    started: tokio::time::Instant,
    jumped_ms: AtomicU64,
    wall_set_ms: AtomicI64,
}

impl Default for TestClock {
    fn default() -> Self {
        Self { started: tokio::time::Instant::now(), jumped_ms: AtomicU64::new(0), wall_set_ms: AtomicI64::new(0) }
    }
}

impl TestClock {
    pub(crate) fn advance(&self, by: Duration) {
        self.jumped_ms.fetch_add(u64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    /// Sets the wall clock alone forward or back, as an operator would.
    pub(crate) fn set_by(&self, ms: i64) {
        self.wall_set_ms.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn wall_ms(&self) -> i64 {
        let set_ms = self.wall_set_ms.load(Ordering::SeqCst);
        1_700_000_000_000 + set_ms + i64::try_from(self.elapsed().as_millis()).unwrap()
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed() + Duration::from_millis(self.jumped_ms.load(Ordering::SeqCst))
    }
}

/// Applying it panics.
pub(crate) const PANICKING_SETTING: &str = "panic=now";

/// Settings of which one may be changed.
#[derive(Default)]
pub(crate) struct Settings {
    pub(crate) applied: Mutex<Vec<String>>,
}

impl LiveSettings for Settings {
    fn properties_text(&self) -> String {
        "brokerName=broker-t\n".to_owned()
    }

    fn text(&self, key: &str) -> String {
        if key == "sendThreadPoolQueueCapacity" { "10000".to_owned() } else { String::new() }
    }

    fn update(&self, text: &str) -> Result<Vec<(String, String)>, String> {
        assert_ne!(text, PANICKING_SETTING, "asked to");
        let changes: Vec<(String, String)> = text
            .lines()
            .filter_map(|line| line.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        if let Some((key, _)) = changes.iter().find(|(key, _)| key != "flushDelayOffsetInterval") {
            return Err(format!("{key} cannot be changed while the broker runs"));
        }
        self.applied.lock().push(text.to_owned());
        Ok(changes)
    }
}

pub(crate) fn topic(name: &str) -> TopicName {
    TopicName::parse(name).unwrap()
}

pub(crate) fn group(name: &str) -> GroupName {
    GroupName::parse(name).unwrap()
}

/// Asks until the answer is there; what is asked for happens on another thread.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(mut ask: impl FnMut() -> F) -> T {
    let asking = async {
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LONG, asking).await.expect("what the test waits for did not happen")
}

/// A message handed back for the first time that its group decides on.
pub(crate) fn back(of: &str, offset: i64) -> SendBack {
    SendBack {
        offset,
        group: group(of),
        delay_level: 0,
        origin_msg_id: None,
        origin_topic: None,
        unit_mode: false,
        max_reconsume_times: None,
    }
}
