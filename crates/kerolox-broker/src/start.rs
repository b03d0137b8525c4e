//! Starting a broker, and stopping it so that nothing is left undone.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use kerolox_net::{ListenError, Listening, Outbound, Serving as Listener};
use kerolox_store::disk::{Disk, create_dir_durable};
use kerolox_store::timers::{Timers, TimersConfig};
use kerolox_store::{OpenError, Store, StoreConfig, tables};
use kerolox_wire::clock::Clock;
use kerolox_wire::names::{QueueId, TopicName, topics};
use tokio::task::JoinSet;

use crate::acl::Acl;
use crate::config::BrokerConfig;
use crate::delay::DelayProgress;
use crate::dispatch::Serving;
use crate::filter::Filters;
use crate::group::Groups;
use crate::node::{Arriving, Node, Parts};
use crate::offset::Offsets;
use crate::stats::Stats;
use crate::timer::PendingTimer;
use crate::topic::{TopicRules, Topics, topics_with_messages};

/// Why a broker cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The data directory cannot be opened.
    #[error(transparent)]
    Store(#[from] OpenError),
    /// A port cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// A table of the configuration folder cannot be read.
    #[error("{file} cannot be read: {why}; move it away to start without it")]
    Table {
        /// Its path.
        file: String,
        /// What is wrong.
        why: String,
    },
    /// The table of topics is gone and the queues of topics are not.
    #[error(
        "{file} is missing or has no topics, but there are queues with messages of {topics} topics: put the file back, \
         or make it anew from the queues with `kerolox store repair {root} --topics`"
    )]
    TopicsLost {
        /// The path of the table.
        file: String,
        /// How many topics have queues.
        topics: usize,
        /// The data directory.
        root: String,
    },
    /// Access control is on and its file cannot be used.
    #[error("aclEnable is true, but {file} cannot be used: {why}")]
    Accounts {
        /// Its path.
        file: String,
        /// What is wrong.
        why: String,
    },
}

/// A running broker.
pub struct Handle {
    node: Arc<Node>,
    listeners: Vec<Listener>,
    upkeep: JoinSet<()>,
    local: SocketAddr,
}

/// Opens the data directory, listens, and begins to announce the broker.
///
/// # Errors
/// When the directory, a table in it or a port cannot be used.
pub async fn start(
    config: BrokerConfig,
    store: StoreConfig,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    outbound: Outbound,
) -> Result<Handle, StartError> {
    let main = Listening::bind(config.listen.clone())?;
    let local = main.local_addr();
    let fast = match config.fast_listen.clone() {
        Some(listen) => Some(Listening::bind(listen)?),
        None => None,
    };
    // Before the store opens, which makes queues of what it finds in the log.
    check_topics(&config, &store.root, disk.as_ref())?;
    let store = Store::open(store, Arc::clone(&disk), Arc::clone(&clock))?;
    // Its name must outlive the power: the tables in it are as good as gone otherwise.
    create_dir_durable(disk.as_ref(), &config.config_dir)
        .map_err(|e| StartError::Table { file: config.config_dir.display().to_string(), why: e.to_string() })?;
    let node = Arc::new(make_node(config, store, disk, clock, outbound, local)?);
    node.save_first_topics();
    node.adopt_topics();
    node.correct_saved_positions();
    // Before the thread that deletes old files begins.
    node.keep_timed_records();
    node.store
        .start(Arc::new(Arriving(Arc::clone(&node))))
        .map_err(|e| StartError::Table { file: "a thread of the store".to_owned(), why: e.to_string() })?;
    let service = Arc::new(Serving(Arc::clone(&node)));
    let mut listeners = vec![main.serve(Arc::clone(&service) as _)];
    listeners.extend(fast.map(|fast| fast.serve(service as _)));
    let upkeep = node.start_upkeep();
    Ok(Handle { node, listeners, upkeep, local })
}

/// Refuses a directory whose table of topics is gone: with an empty one, whatever is cleaned by it takes their messages.
fn check_topics(config: &BrokerConfig, root: &Path, disk: &dyn Disk) -> Result<(), StartError> {
    let file = config.config_dir.join("topics.json");
    let failed = |e: io::Error| StartError::Table { file: file.display().to_string(), why: e.to_string() };
    if Topics::is_saved(disk, &file).map_err(failed)? {
        return Ok(());
    }
    let made_at_start = Topics::new(topic_rules(config));
    let topics = topics_with_messages(disk, &root.join("consumequeue"), |name| made_at_start.is_system(name));
    let topics = topics.map_err(failed)?;
    if topics.is_empty() {
        return Ok(());
    }
    let (file, root) = (file.display().to_string(), root.display().to_string());
    Err(StartError::TopicsLost { file, topics: topics.len(), root })
}

fn topic_rules(config: &BrokerConfig) -> TopicRules {
    TopicRules {
        cluster_name: config.cluster.clone(),
        broker_name: config.name.clone(),
        auto_create: config.live.auto_create_topic(),
        default_queues: u32::try_from(config.live.default_topic_queues()).unwrap_or(8),
        cluster_topic: config.cluster_topic,
        broker_topic: config.broker_topic,
        trace_topic: config.trace_topic.then(|| config.trace_topic_name.clone()),
    }
}

fn make_node(
    config: BrokerConfig,
    store: Store,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    outbound: Outbound,
    local: SocketAddr,
) -> Result<Node, StartError> {
    let topics = Topics::new(topic_rules(&config));
    let groups = Groups::new(config.live.auto_create_group());
    let offsets = Offsets::new();
    let table = |file: &Path, why: String| StartError::Table { file: file.display().to_string(), why };
    let path = |name: &str| config.config_dir.join(name);
    topics.load(disk.as_ref(), &path("topics.json")).map_err(|e| table(&path("topics.json"), e.to_string()))?;
    groups
        .load(disk.as_ref(), &path("subscriptionGroup.json"))
        .map_err(|e| table(&path("subscriptionGroup.json"), e.to_string()))?;
    offsets
        .load(disk.as_ref(), &path("consumerOffset.json"))
        .map_err(|e| table(&path("consumerOffset.json"), e.to_string()))?;
    let filters = Filters::default();
    filters
        .load(disk.as_ref(), &path("consumerFilter.json"), clock.wall_ms())
        .map_err(|e| table(&path("consumerFilter.json"), e.to_string()))?;
    let delays = path("delayOffset.json");
    let delay_offsets = tables::load(disk.as_ref(), &delays, DelayProgress::from_json)
        .map_err(|e| table(&delays, e.to_string()))?
        .unwrap_or_default();
    let timers = open_timers(&store, &disk, &config.config_dir)?;
    let now_ms = clock.wall_ms();
    let acl = config.acl_file.as_deref().map(|file| {
        Acl::open(file, Arc::clone(&disk), now_ms)
            .map_err(|why| StartError::Accounts { file: file.display().to_string(), why })
    });
    let acl = acl.transpose()?;
    let stats = Stats::new(&config.cluster, now_ms, clock.elapsed(), config.utc_offset_ms);
    let store_host = SocketAddr::new(config.advertised, local.port());
    Ok(Node::new(Parts {
        config,
        store,
        disk,
        clock,
        acl,
        topics,
        groups,
        offsets,
        filters,
        stats,
        outbound,
        store_host,
        delay_offsets,
        timers,
    }))
}

fn open_timers(store: &Store, disk: &Arc<dyn Disk>, config_dir: &Path) -> Result<Timers, StartError> {
    let settings = store.config();
    let mut timers = TimersConfig::new(&settings.root, crate::timer::window_ms(settings.reserved));
    timers.check = config_dir.join("timercheck");
    timers.log_ms = store.stats().last_store_ms;
    let dir = timers.dir.display().to_string();
    let range = store.queue_range(&TopicName::known(topics::TIMER), QueueId::new(0));
    let range = range.map_or(0..0, |(min, max)| min.get()..max.get());
    Timers::open(timers, Arc::clone(disk), range).map_err(|e| StartError::Table { file: dir, why: e.to_string() })
}

impl Handle {
    pub(crate) fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// The messages to a topic with this key or unique key that wait for their time, 64 at most.
    ///
    /// # Errors
    /// A sentence: there is no key index, or the disk failed.
    pub fn pending_timers(&self, topic: &TopicName, key: &str) -> Result<Vec<PendingTimer>, String> {
        self.node.pending_timers(topic, key).map_err(|refusal| refusal.remark)
    }

    /// Takes back the message with this unique key that waits for its time; false when none does.
    ///
    /// # Errors
    /// A sentence: there is no key index, or the cancellation could not be stored.
    pub fn cancel_timer(&self, topic: &TopicName, unique_key: &str) -> Result<bool, String> {
        self.node.cancel_timer(topic, unique_key).map_err(|refusal| refusal.remark)
    }

    /// Address of the main listener.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Address that clients are told.
    #[must_use]
    pub fn advertised(&self) -> &str {
        &self.node.address
    }

    /// Replaces the name servers, when their list is looked up over HTTP.
    pub fn set_name_servers(&self, servers: Vec<String>) {
        self.node.name_servers.store(Arc::new(servers));
        self.node.announce.notify_one();
    }

    /// Announces the broker everywhere once, and returns where that failed with the reason.
    pub async fn announce(&self) -> Vec<(String, String)> {
        self.node.announce_all().await
    }

    /// Stops: takes the broker out of the name servers, finishes what has begun, writes everything, and returns.
    pub async fn shutdown(mut self) {
        self.upkeep.abort_all();
        self.node.unregister().await;
        // Sends that wait for the disk get their answers before the connections close.
        for listener in &self.listeners {
            listener.quiesce();
        }
        self.node.aside.finished().await;
        for listener in self.listeners {
            listener.shutdown().await;
        }
        let node = Arc::clone(&self.node);
        let saved = tokio::task::spawn_blocking(move || {
            // Ending its task does not end a delivery that runs: what it has stored must be in the progress saved here.
            node.stop_delivering();
            node.stop_timers();
            node.stop_checking();
            node.save_all();
            node.store.shutdown()
        });
        let outcome = saved.await.map_err(|e| e.to_string()).and_then(|done| done.map_err(|e| e.to_string()));
        if let Err(error) = outcome {
            tracing::error!(error, "the store did not shut down in order; the next start recovers it");
        }
    }
}

/// The list of name servers, replaced as a whole.
pub(crate) type NameServers = ArcSwap<Vec<String>>;
