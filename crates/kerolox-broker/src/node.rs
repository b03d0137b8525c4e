//! One broker: everything its requests share.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use kerolox_net::{Outbound, Peer};
use kerolox_store::disk::Disk;
use kerolox_store::{FlushMode, Store};
use kerolox_wire::clock::Clock;
use kerolox_wire::names::{GroupName, QueueId, QueueOffset};
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::acl::Acl;
use crate::config::BrokerConfig;
use crate::filter::Filters;
use crate::group::{Group, Groups};
use crate::hold::{HeldPull, Holds};
use crate::offset::Offsets;
use crate::queue_lock::QueueLocks;
use crate::refusal::Refusal;
use crate::refusals::Refusals;
use crate::registry::Clients;
use crate::send::SendGroup;
use crate::stats::Stats;
use crate::topic::{Perm, Topics};
use crate::transaction::Transactions;

/// The state of one broker and what it needs of the outside.
pub(crate) struct Node {
    pub(crate) config: BrokerConfig,
    pub(crate) store: Store,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: Arc<dyn Clock>,
    /// Who may do what; none where everybody may do everything.
    pub(crate) acl: Option<Acl>,
    pub(crate) topics: Topics,
    pub(crate) groups: Groups,
    pub(crate) offsets: Offsets,
    pub(crate) filters: Filters,
    pub(crate) clients: Clients<Arc<Peer>>,
    pub(crate) asked: crate::resubscribe::Asked,
    pub(crate) locks: QueueLocks,
    pub(crate) stats: Stats,
    pub(crate) refusals: Refusals,
    pub(crate) outbound: Outbound,
    /// Whether the last announcement reached a name server.
    pub(crate) registered: AtomicBool,
    pub(crate) name_servers: crate::start::NameServers,
    pub(crate) runtime: tokio::runtime::Handle,
    /// Address written into records and message ids.
    pub(crate) store_host: SocketAddr,
    /// Address registered at the name servers.
    pub(crate) address: String,
    pub(crate) holds: Mutex<Holds>,
    /// How many pulls wait: lets arrivals pass without the lock.
    pub(crate) held: AtomicUsize,
    /// A pull was held since the store last asked.
    pub(crate) was_awaited: AtomicBool,
    /// A pull was held whose deadline comes before all others'.
    pub(crate) earlier_deadline: Notify,
    /// Groups of sends that are not in use.
    pub(crate) spare_groups: Mutex<Vec<SendGroup>>,
    /// Pulls to be answered, collected while a batch is dispatched.
    pub(crate) woken: Mutex<Vec<HeldPull>>,
    /// The topics have changed and the name servers must hear of it.
    pub(crate) announce: Notify,
    /// A delayed message was stored.
    pub(crate) delay_arrived: Notify,
    pub(crate) delay_offsets: crate::delay::DelayProgress,
    /// Work in the background that has failed and is tried again.
    pub(crate) outages: crate::outage::Outages,
    /// Second of the node's time in which a failed pull was told last.
    pub(crate) read_failure_s: AtomicU64,
    pub(crate) timer: crate::timer::TimerRoom,
    /// Held while delayed messages are delivered; true once no more may be.
    pub(crate) delivering: Mutex<bool>,
    pub(crate) transactions: Transactions,
    /// KiB of replies that may still wait for their requesters.
    pub(crate) reply_room: Arc<tokio::sync::Semaphore>,
    /// Requests that run off the threads of connections.
    pub(crate) aside: crate::aside::Aside,
    random: AtomicU64,
}

/// What a node is made of.
pub(crate) struct Parts {
    pub(crate) config: BrokerConfig,
    pub(crate) store: Store,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) acl: Option<Acl>,
    pub(crate) topics: Topics,
    pub(crate) groups: Groups,
    pub(crate) offsets: Offsets,
    pub(crate) filters: Filters,
    pub(crate) stats: Stats,
    pub(crate) outbound: Outbound,
    pub(crate) store_host: SocketAddr,
    pub(crate) delay_offsets: crate::delay::DelayProgress,
    pub(crate) timers: kerolox_store::timers::Timers,
}

impl Node {
    pub(crate) fn new(parts: Parts) -> Self {
        let random = AtomicU64::new(parts.config.seed);
        let locks = QueueLocks::new(parts.config.queue_lock_lifetime);
        Self {
            address: match &parts.config.advertised_name {
                Some(name) => format!("{name}:{}", parts.store_host.port()),
                None => parts.store_host.to_string(),
            },
            name_servers: arc_swap::ArcSwap::from_pointee(parts.config.name_servers.clone()),
            config: parts.config,
            store: parts.store,
            disk: parts.disk,
            clock: parts.clock,
            acl: parts.acl,
            topics: parts.topics,
            groups: parts.groups,
            offsets: parts.offsets,
            filters: parts.filters,
            clients: Clients::new(),
            asked: crate::resubscribe::Asked::default(),
            locks,
            stats: parts.stats,
            refusals: Refusals::default(),
            registered: AtomicBool::new(false),
            outbound: parts.outbound,
            runtime: tokio::runtime::Handle::current(),
            store_host: parts.store_host,
            holds: Mutex::new(Holds::default()),
            held: AtomicUsize::new(0),
            was_awaited: AtomicBool::new(false),
            spare_groups: Mutex::default(),
            earlier_deadline: Notify::new(),
            woken: Mutex::new(Vec::new()),
            announce: Notify::new(),
            delay_arrived: Notify::new(),
            delay_offsets: parts.delay_offsets,
            outages: crate::outage::Outages::default(),
            read_failure_s: AtomicU64::new(u64::MAX),
            timer: crate::timer::TimerRoom::new(parts.timers),
            delivering: Mutex::new(false),
            transactions: Transactions::default(),
            reply_room: crate::reply::room(),
            aside: crate::aside::Aside::default(),
            random,
        }
    }

    /// Whether answers to sends wait until the log is on disk.
    pub(crate) fn waits_for_disk(&self) -> bool {
        self.store.config().flush == FlushMode::Sync
    }

    /// Monotonic time.
    pub(crate) fn now(&self) -> Duration {
        self.clock.elapsed()
    }

    /// A number below `bound`, which is not 0.
    pub(crate) fn random_below(&self, bound: u32) -> u32 {
        u32::try_from(self.random() % u64::from(bound.max(1))).unwrap_or(0)
    }

    /// Any number.
    pub(crate) fn random(&self) -> u64 {
        // SplitMix64: the sequence is fixed by the seed.
        let mut z = self.random.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// The broker's own permission.
    pub(crate) fn permission(&self) -> Perm {
        Perm::from_wire(self.config.live.permission()).unwrap_or(Perm::READ_WRITE)
    }

    /// The settings of a group, created when that is allowed.
    pub(crate) fn group_or_create(&self, group: &GroupName) -> Result<Arc<Group>, Refusal> {
        if let Some(known) = self.groups.get(group.as_str()) {
            return Ok(known);
        }
        self.groups.set_auto_create(self.config.live.auto_create_group());
        let found = self.groups.find(group, self.clock.wall_ms())?;
        if found.new {
            self.save_groups();
        }
        Ok(found.group)
    }

    /// Writes the topics and tells the name servers, after a change.
    pub(crate) fn topics_changed(&self) {
        self.save_topics();
        self.announce.notify_one();
    }

    /// Writes the topics where they have changed.
    pub(crate) fn save_topics(&self) {
        if let Err(error) = self.topics.save(self.disk.as_ref(), &self.config_file("topics.json")) {
            tracing::error!(%error, "topics.json could not be written; the change lasts until the next restart only");
        }
    }

    /// Writes the topics when there is no file of them yet: queues beside a missing file stop the next start.
    pub(crate) fn save_first_topics(&self) {
        if !self.disk.exists(&self.config_file("topics.json")) {
            self.topics.require_save();
            self.save_topics();
        }
    }

    /// Writes the groups where they have changed.
    pub(crate) fn save_groups(&self) {
        if let Err(error) = self.groups.save(self.disk.as_ref(), &self.config_file("subscriptionGroup.json")) {
            tracing::error!(%error, "subscriptionGroup.json could not be written; the change lasts until the next restart only");
        }
    }

    /// A file of the configuration folder.
    pub(crate) fn config_file(&self, name: &str) -> PathBuf {
        self.config.config_dir.join(name)
    }

    /// Whether any pull waits for messages.
    fn is_awaited(&self) -> bool {
        self.held.load(Ordering::SeqCst) > 0
    }

    /// Counts and logs a refusal.
    pub(crate) fn refused(&self, what: &'static str, peer: &Peer, refusal: &Refusal) {
        self.refusals.note(what, refusal.code);
        tracing::debug!(what, client = %peer.remote(), code = refusal.code.0, remark = %refusal.remark.escape_debug(), "refused");
    }
}

/// Messages have become visible to consumers: whoever waits for them is woken.
impl kerolox_store::Arrivals for Arriving {
    fn arrived(&self, topic: &str, queue_id: QueueId, _end: QueueOffset, tags_code: i64) {
        let node = &self.0;
        if topic == kerolox_wire::names::topics::SCHEDULE {
            node.delay_arrived.notify_one();
        } else if topic == kerolox_wire::names::topics::TIMER {
            node.timer.arrived.notify_one();
        }
        if !node.is_awaited() {
            return;
        }
        let mut woken = node.woken.lock();
        let mut holds = node.holds.lock();
        holds.arrived(topic, queue_id, tags_code, &mut woken);
        node.held.store(holds.len(), Ordering::SeqCst);
    }

    fn caught_up(&self) {
        let node = &self.0;
        let woken = std::mem::take(&mut *node.woken.lock());
        if woken.is_empty() {
            return;
        }
        let answering = Arc::clone(node);
        node.runtime.spawn(async move { answering.answer_held(woken) });
    }

    fn awaited(&self) -> bool {
        let was_awaited = self.0.was_awaited.swap(false, Ordering::Relaxed);
        was_awaited || self.0.is_awaited()
    }
}

/// The broker as the store sees it.
pub(crate) struct Arriving(pub(crate) Arc<Node>);
