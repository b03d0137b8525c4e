//! The name server: which broker serves which topic, and which broker is still alive.
//!
//! Brokers register here every half minute over connections of their own; clients and tools ask. Name servers do not
//! know each other: brokers register with all of them. Routes live in memory only; the few keys that administrators
//! store live in one file. Nothing a request carries is ever used as a path.

mod figures;
mod files;
pub mod kv;
mod missing;
mod register;
pub mod routes;
mod serve;
pub mod settings;
mod suspects;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kerolox_net::{Counters, ListenConfig, ListenError, Listening, Service, Serving};
use kerolox_wire::addresses::Addresses;
use kerolox_wire::clock::Clock;
use parking_lot::{Mutex, RwLock};
use tokio::task::JoinHandle;

use figures::Tally;
pub use figures::{Figures, MemberFigures, Watch};
use kv::{Kv, KvError};
pub use missing::MISSING_TOPICS;
use missing::Missing;
use routes::Routes;
use serve::NameServer;
use settings::Settings;

/// What a name server needs to know.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct NamesrvConfig {
    /// Where to listen.
    pub listen: ListenConfig,
    /// The file of stored keys.
    pub kv_config_path: PathBuf,
    /// The file that keeps settings changed while running; none to keep them until the end only.
    pub config_store_path: Option<PathBuf>,
    /// Whether routes carry the order configuration.
    pub order_message_enable: bool,
    /// Time between two searches for silent brokers.
    pub scan_interval: Duration,
    /// A broker that has not registered for this long is taken out.
    pub broker_expiry: Duration,
    /// Addresses that brokers may register from; none for all.
    pub broker_addresses: Option<Addresses>,
}

impl NamesrvConfig {
    /// The usual settings.
    #[must_use]
    pub fn new(listen: ListenConfig, kv_config_path: PathBuf) -> Self {
        Self {
            listen,
            kv_config_path,
            config_store_path: None,
            order_message_enable: false,
            scan_interval: Duration::from_secs(10),
            broker_expiry: Duration::from_secs(120),
            broker_addresses: None,
        }
    }
}

/// Why a name server cannot start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// The stored keys cannot be read.
    #[error(transparent)]
    Kv(#[from] KvError),
    /// The address cannot be used.
    #[error(transparent)]
    Listen(#[from] ListenError),
}

/// Starts a name server on the present runtime.
///
/// # Errors
/// When the stored keys cannot be read or the address is taken.
pub fn start(config: NamesrvConfig, clock: Arc<dyn Clock>) -> Result<Handle, StartError> {
    let counters = Arc::clone(&config.listen.counters);
    let listening = Listening::bind(config.listen)?;
    // Lines of properties, where a backslash would begin an escape.
    let kv_path = config.kv_config_path.display().to_string().replace('\\', "\\\\");
    let told = [("kvConfigPath", kv_path), ("listenPort", listening.local_addr().port().to_string())];
    let server = Arc::new(NameServer {
        routes: RwLock::new(Routes::new()),
        kv: Mutex::new(Kv::load(&config.kv_config_path)?),
        missing: Missing::default(),
        settings: Settings::new(&told, config.order_message_enable, config.config_store_path),
        clock,
        registrants: Mutex::new(HashMap::new()),
        suspects: Arc::default(),
        broker_addresses: config.broker_addresses,
        tally: Tally::new(),
        counters,
    });
    let serving = listening.serve(Arc::clone(&server) as Arc<dyn Service>);
    let (interval, expiry) = (config.scan_interval, config.broker_expiry);
    let scanned = Arc::clone(&server);
    let scanning = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(interval);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            scanned.expire(expiry);
        }
    });
    Ok(Handle { serving, scanning, server })
}

/// A name server at work.
pub struct Handle {
    serving: Serving,
    scanning: JoinHandle<()>,
    server: Arc<NameServer>,
}

impl Handle {
    /// The address with the port really taken.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.serving.local_addr()
    }

    /// What happened on its connections.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        self.serving.counters()
    }

    /// Answers what was asked, then stops.
    pub async fn shutdown(self) {
        self.scanning.abort();
        self.serving.shutdown().await;
    }
}
