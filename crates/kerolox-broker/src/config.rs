//! What a broker is told at start, and what may change while it runs.

use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicI64, Ordering};
use std::time::Duration;

use kerolox_net::ListenConfig;

use crate::spans::Spans;

/// Settings fixed at start.
#[derive(Clone)]
pub struct BrokerConfig {
    /// Main listener.
    pub listen: ListenConfig,
    /// Fast listener (main port - 2): answers everything but pulls; none when the port is below 3.
    pub fast_listen: Option<ListenConfig>,
    /// Address that clients are told (`brokerIP1`).
    pub advertised: IpAddr,
    /// Name that clients are told in its place, where that is steadier than the address.
    pub advertised_name: Option<String>,
    /// Address that replicas are told (`brokerIP2`), with the HA port.
    pub ha_address: String,
    /// Broker name.
    pub name: String,
    /// Cluster name.
    pub cluster: String,
    /// 0 for the primary.
    pub broker_id: i64,
    /// Name servers, `host:port` each.
    pub name_servers: Vec<String>,
    /// Folder of `topics.json` and its neighbours.
    pub config_dir: PathBuf,
    /// File of accounts; none: everybody may do everything.
    pub acl_file: Option<PathBuf>,
    /// Whether the broker deflates its registrations.
    pub compressed_register: bool,
    /// Time between two registrations.
    pub register_period: Duration,
    /// Limit of one registration.
    pub register_timeout: Duration,
    /// Time between two writes of `consumerOffset.json`.
    pub flush_offsets: Duration,
    /// Time between two writes of `delayOffset.json`.
    pub flush_delay_offsets: Duration,
    /// Whether messages may have a time of their own.
    pub timers: bool,
    /// Longest delay of such a message, in milliseconds.
    pub timer_max_delay_ms: i64,
    /// Topic named after the cluster is usable.
    pub cluster_topic: bool,
    /// Topic named after the broker is usable.
    pub broker_topic: bool,
    /// Create the trace topic, and mark messages with what consumers of 5.x need for a trace.
    pub trace_topic: bool,
    /// Name of the trace topic.
    pub trace_topic_name: String,
    /// Lifetime of a queue lock without renewal.
    pub queue_lock_lifetime: Duration,
    /// Region told to clients.
    pub region: String,
    /// Local time minus UTC, in milliseconds: when a day begins in the statistics.
    pub utc_offset_ms: i64,
    /// Seed of everything random.
    pub seed: u64,
    /// Where spans of sends and pulls go; none: there are none.
    pub spans: Option<Arc<Spans>>,
    /// Settings that may change while running.
    pub live: Arc<Live>,
    /// All settings as text, for the administration requests.
    pub settings: Arc<dyn LiveSettings>,
}

/// All settings as an operator sees them.
pub trait LiveSettings: Send + Sync + 'static {
    /// `key=value` lines of all settings, secrets masked.
    fn properties_text(&self) -> String;

    /// The value of one setting, empty when it has none.
    fn text(&self, key: &str) -> String;

    /// Applies `key=value` lines, all or none, and writes them where they survive a restart. Returns what changed.
    ///
    /// # Errors
    /// A sentence with the key, the value and what is allowed.
    fn update(&self, text: &str) -> Result<Vec<(String, String)>, String>;
}

macro_rules! live {
    ($($(#[$doc:meta])* $name:ident: $atomic:ident $ty:ty = $default:expr;)*) => {
        /// Settings read on every request that concerns them; each may change at any time.
        #[derive(Debug)]
        pub struct Live {
            $($(#[$doc])* $name: $atomic,)*
        }

        impl Default for Live {
            fn default() -> Self {
                Self { $($name: $atomic::new($default),)* }
            }
        }

        impl Live {
            $(
                $(#[$doc])*
                #[must_use]
                pub fn $name(&self) -> $ty {
                    self.$name.load(Ordering::Relaxed)
                }
            )*

            /// Changes one setting by its field name; false when there is no such number setting.
            pub fn set_number(&self, name: &str, value: i64) -> bool {
                match name {
                    $(stringify!($name) => live!(@number $atomic self.$name, value),)*
                    _ => false,
                }
            }

            /// Changes one setting by its field name; false when there is no such switch.
            pub fn set_switch(&self, name: &str, value: bool) -> bool {
                match name {
                    $(stringify!($name) => live!(@switch $atomic self.$name, value),)*
                    _ => false,
                }
            }
        }
    };
    (@number AtomicBool $field:expr, $value:ident) => { false };
    (@number AtomicI32 $field:expr, $value:ident) => {{
        let Ok(value) = i32::try_from($value) else { return false };
        $field.store(value, Ordering::Relaxed);
        true
    }};
    (@number AtomicI64 $field:expr, $value:ident) => {{ $field.store($value, Ordering::Relaxed); true }};
    (@switch AtomicBool $field:expr, $value:ident) => {{ $field.store($value, Ordering::Relaxed); true }};
    (@switch $atomic:ident $field:expr, $value:ident) => {{ let _ = $value; false }};
}

live! {
    /// 2 write, 4 read, 6 both.
    permission: AtomicI32 i32 = 6;
    /// Queues of `TBW102` and so the most that an automatic topic gets.
    default_topic_queues: AtomicI32 i32 = 8;
    /// Whether a send to an unknown topic creates it.
    auto_create_topic: AtomicBool bool = true;
    /// Whether an unknown consumer group is created at its first use.
    auto_create_group: AtomicBool bool = true;
    /// Whether empty pulls are held for as long as the client asks.
    long_polling: AtomicBool bool = true;
    /// How long an empty pull is held otherwise, in milliseconds.
    short_polling_ms: AtomicI64 i64 = 1000;
    /// Whether members of a group are told when it changes.
    notify_ids_changed: AtomicBool bool = true;
    /// Whether clients are told that tracing is allowed.
    trace_on: AtomicBool bool = true;
    /// Whether half messages are refused.
    reject_transactions: AtomicBool bool = false;
    /// Age in milliseconds before which nobody is asked for the outcome of a half message.
    transaction_timeout_ms: AtomicI64 i64 = 6000;
    /// Questions after which a half message is given up.
    transaction_check_max: AtomicI32 i32 = 15;
    /// Milliseconds between two rounds of questions.
    transaction_check_interval_ms: AtomicI64 i64 = 60_000;
    /// Milliseconds since 1970 before which sends are refused.
    accept_sends_from: AtomicI64 i64 = 0;
    /// Whether replies between clients are stored besides being passed on.
    store_replies: AtomicBool bool = true;
    /// Whether consumers may subscribe by SQL92.
    property_filter: AtomicBool bool = false;
    /// Local hours in which old log files are deleted: bit 0 is midnight.
    delete_hours: AtomicI32 i32 = 1 << 4;
    /// Hours that a log file is kept after its last write.
    reserved_hours: AtomicI64 i64 = 72;
    /// Used percent of the disk above which old log files are deleted at any hour.
    disk_max_used: AtomicI32 i32 = 75;
    /// Whether messages in retry topics are filtered again.
    filter_retry: AtomicBool bool = false;
    /// How long the filter of a group that is gone is kept, in milliseconds.
    filter_lifetime_ms: AtomicI64 i64 = 86_400_000;
    /// Percent of the memory that the newest part of the log is supposed to be in.
    memory_ratio: AtomicI32 i32 = 40;
}
