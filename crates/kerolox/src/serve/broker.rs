//! The role of the broker.

use std::iter;
use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use kerolox_broker::{BrokerConfig, Handle, Live, LiveSettings, Spans};
use kerolox_net::{Counters, Lanes, ListenConfig, Outbound, OutboundConfig, TlsMode};
use kerolox_store::disk::RealDisk;
use kerolox_store::{DelayLevels, FlushMode, StoreConfig, TransferLimit};
use kerolox_wire::clock::Clock;

use super::address_server::{self, AddressServer};
use super::reach::Reach;
use super::telling::Telling;
use super::{Ending, Refused, leave_word, listen_addr, on_runtime, say, tls, warn};
use crate::clock::{LocalTime, SystemClock};
use crate::config::load::Given;
use crate::config::roles::{self, BrokerSettings, Ready};
use crate::config::rule::addresses;
use crate::config::settings::{Change, Settings};
use crate::config::table::Role;
use crate::metrics::Watched;
use crate::otel::{Identity, Traced};

const WHAT: &str = "broker";
/// Port of the fast listener, below the main one.
const FAST_PORT_BELOW: u16 = 2;

/// Runs a broker until it is asked to end.
pub(crate) fn run(given: &Given) -> ExitCode {
    on_runtime(WHAT, async {
        let mut ending = Ending::listen()?;
        let ready = roles::broker(given)?;
        let _word = leave_word("broker");
        warn(&ready.warnings);
        let running = ending.unless_asked(start(&ready, None)).await?;
        running.boast();
        ending.asked().await;
        ending.during(running.shutdown()).await;
        Ok(())
    })
}

/// A broker at work.
pub(crate) struct Running {
    handle: Arc<Handle>,
    name: String,
    name_servers: Vec<String>,
    looking_up: Option<tokio::task::JoinHandle<()>>,
    telling: Telling,
}

impl Running {
    /// Says that it runs, in RocketMQ's words.
    pub(crate) fn boast(&self) {
        let known = if self.name_servers.is_empty() {
            String::new()
        } else {
            format!(" and name server is {}", self.name_servers.join(";"))
        };
        say(format!("The broker[{}, {}] boot success. serializeType=JSON{known}", self.name, self.handle.advertised()));
    }

    /// Ends in good order.
    pub(crate) async fn shutdown(self) {
        self.telling.shutdown().await;
        if let Some(task) = self.looking_up {
            task.abort();
            let _ = task.await;
        }
        match Arc::try_unwrap(self.handle) {
            Ok(handle) => handle.shutdown().await,
            Err(_) => tracing::error!("the broker is still in use and was not shut down in order"),
        }
    }
}

/// Starts it on the present runtime; its metrics tell of the name server `beside` it too.
pub(crate) async fn start(
    ready: &Ready<BrokerSettings>,
    beside: Option<kerolox_namesrv::Watch>,
) -> Result<Running, Refused> {
    let typed = &ready.typed;
    let told = address_of(&typed.broker.broker_ip1).await?;
    let listen = listen_addr(&typed.server.bind_address, typed.server.listen_port).ip();
    warn(&Reach { listen, told, chosen: typed.address_is_set }.warnings());
    let (mode, warning) = tls::of_listener(&typed.tls).map_err(Refused::start)?;
    // On loopback there is nobody to prove anything to.
    if !listen.is_loopback() {
        warn(warning.as_slice());
    }
    let (client_tls, warning) = tls::of_calls(typed.client.use_tls, &typed.tls).map_err(Refused::start)?;
    warn(warning.as_slice());
    let look_up = look_up(typed);
    let name_servers = match &look_up {
        Some(server) => server.ask().await.unwrap_or_else(|why| {
            tracing::warn!("{why}");
            Vec::new()
        }),
        None => addresses(&typed.broker.namesrv_addr).unwrap_or_default(),
    };
    if name_servers.is_empty() && look_up.is_none() {
        tracing::warn!(
            "no name server is known, so clients cannot find this broker: set namesrvAddr, -n or NAMESRV_ADDR"
        );
    }
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let local = LocalTime::of_system();
    let mut outbound = OutboundConfig::default();
    outbound.connect_timeout = typed.client.connect_timeout;
    outbound.idle = typed.client.idle.0;
    outbound.tls = client_tls;
    let config = with_lanes(broker_config(ready, told, &mode, name_servers.clone(), &local, clock.wall_ms()))?;
    let store = store_config(typed, local).map_err(Refused::start)?;
    let traced = config.spans.clone().map(|spans| Traced { spans, clock: Arc::clone(&clock) });
    // On a thread of its own, since recovery may take long and the signals must be heard meanwhile.
    // A name server asks over the broker's own connection whether it lives.
    let outbound = Outbound::serving(outbound, Arc::new(kerolox_broker::Unserved));
    let starting = kerolox_broker::start(config, store, Arc::new(RealDisk), clock, outbound);
    let started =
        tokio::spawn(starting).await.map_err(|error| Refused::start(format!("it failed at start: {error}")))?;
    let handle = Arc::new(started.map_err(Refused::start)?);
    // Clients that ask right after the success line must find the broker; failures are logged where they are tried again.
    let _not_registered = handle.announce().await;
    let watched = Watched { broker: Some(handle.watch()), namesrv: beside, exports: None };
    let who = Identity {
        service: "kerolox-broker",
        cluster: Some(typed.broker.broker_cluster_name.clone()),
        instance: format!("{}@{}", typed.broker.broker_name, handle.advertised()),
    };
    let telling = Telling::start(&typed.metrics, typed.metrics_port_is_set, watched, who, traced).await?;
    let looking_up =
        look_up.map(|server| tokio::spawn(keep_looking_up(server, Arc::clone(&handle), name_servers.clone())));
    Ok(Running { handle, name: typed.broker.broker_name.clone(), name_servers, looking_up, telling })
}

/// The address of what clients are told: a name is looked up once, for the ids of messages; clients look it up themselves.
async fn address_of(host: &str) -> Result<IpAddr, Refused> {
    if let Ok(ip) = host.parse() {
        return Ok(ip);
    }
    let found = tokio::net::lookup_host((host, 0)).await;
    let found = found.map_err(|why| Refused::start(format!("brokerIP1 = {host} has no address: {why}")))?.next();
    found.map(|found| found.ip()).ok_or_else(|| Refused::start(format!("brokerIP1 = {host} has no address")))
}

fn look_up(typed: &BrokerSettings) -> Option<AddressServer> {
    let wanted = typed.broker.fetch_namesrv_addr && typed.broker.namesrv_addr.is_empty();
    wanted.then(|| AddressServer {
        domain: typed.broker.address_server_domain.clone(),
        subgroup: typed.broker.address_server_subgroup.clone(),
    })
}

/// A list that cannot be had or is none leaves the last good one in place.
async fn keep_looking_up(server: AddressServer, handle: Arc<Handle>, mut known: Vec<String>) {
    let mut pause = address_server::FIRST_PAUSE;
    loop {
        tokio::time::sleep(pause).await;
        pause = address_server::PAUSE;
        match server.ask().await {
            Ok(found) if found != known => {
                tracing::info!(before = known.join(";"), now = found.join(";"), "the list of name servers changed");
                handle.set_name_servers(found.clone());
                known = found;
            }
            Ok(_) => {}
            Err(why) => tracing::warn!("{why}"),
        }
    }
}

/// Has the connections served by threads of their own.
fn with_lanes(mut config: BrokerConfig) -> Result<BrokerConfig, Refused> {
    let lanes = Lanes::start().map_err(|error| Refused::start(format!("no threads for connections: {error}")))?;
    let lanes = Arc::new(lanes);
    for listen in iter::once(&mut config.listen).chain(config.fast_listen.as_mut()) {
        listen.lanes = Some(Arc::clone(&lanes));
    }
    Ok(config)
}

fn broker_config(
    ready: &Ready<BrokerSettings>,
    told: IpAddr,
    tls: &TlsMode,
    name_servers: Vec<String>,
    local: &LocalTime,
    now_ms: i64,
) -> BrokerConfig {
    let (broker, store, server) = (&ready.typed.broker, &ready.typed.store, &ready.typed.server);
    let counters = Arc::new(Counters::default());
    let listen = |port: u16| {
        let mut listen = ListenConfig::new(listen_addr(&server.bind_address, port));
        listen.idle = server.idle.0;
        listen.frame_max = server.frame_max;
        listen.tls = tls.clone();
        listen.counters = Arc::clone(&counters);
        listen
    };
    let live = Arc::new(Live::default());
    apply_all(&ready.settings, &live);
    live.set_number("default_topic_queues", broker.default_topic_queue_nums.into());
    let changing = Arc::clone(&live);
    ready.settings.on_change(move |change| apply(&changing, change));
    BrokerConfig {
        listen: listen(server.listen_port),
        fast_listen: server.listen_port.checked_sub(FAST_PORT_BELOW).filter(|port| *port > 0).map(listen),
        advertised: told,
        advertised_name: Some(broker.broker_ip1.clone()).filter(|host| host.parse::<IpAddr>().is_err()),
        ha_address: format!("{}:{}", broker.broker_ip2, server.listen_port.saturating_add(1)),
        name: broker.broker_name.clone(),
        cluster: broker.broker_cluster_name.clone(),
        broker_id: broker.broker_id,
        name_servers,
        config_dir: store.store_path_root_dir.join("config"),
        acl_file: ready.typed.accounts.clone(),
        compressed_register: broker.compressed_register,
        register_period: broker.register_name_server_period,
        register_timeout: broker.register_broker_timeout_mills,
        flush_offsets: broker.flush_consumer_offset_interval,
        flush_delay_offsets: store.flush_delay_offset_interval,
        timers: store.timer_wheel_enable,
        timer_max_delay_ms: i64::from(store.timer_max_delay_sec) * 1_000,
        cluster_topic: broker.cluster_topic_enable,
        broker_topic: broker.broker_topic_enable,
        trace_topic: broker.trace_topic_enable,
        trace_topic_name: broker.msg_trace_topic_name.clone(),
        queue_lock_lifetime: broker.queue_lock_lifetime,
        region: broker.region_id.clone(),
        utc_offset_ms: i64::from(local.offset_seconds(now_ms)) * 1_000,
        spans: spans(&ready.typed),
        seed: now_ms.unsigned_abs() ^ u64::from(std::process::id()).rotate_left(40),
        live,
        settings: Arc::new(Shown(Arc::clone(&ready.settings))),
    }
}

/// Where spans go, when they are to be exported.
fn spans(typed: &BrokerSettings) -> Option<Arc<Spans>> {
    let wanted = !typed.metrics.otel_endpoint.is_empty() && typed.traces.enable;
    wanted.then(|| Arc::new(Spans::new(typed.traces.share.parse().unwrap_or(0.0))))
}

fn store_config(typed: &BrokerSettings, local: LocalTime) -> Result<StoreConfig, String> {
    let keys = &typed.store;
    // Nothing is above 100 percent, so the disk is never "that full".
    let never = 100;
    Ok(StoreConfig {
        root: keys.store_path_root_dir.clone(),
        commit_log_dir: keys.store_path_commit_log.clone(),
        segment_size: keys.mapped_file_size_commit_log,
        queue_file_size: keys.mapped_file_size_consume_queue,
        index_slots: keys.max_hash_slot_num,
        index_entries: keys.max_index_num,
        index_enabled: keys.message_index_enable,
        flush: if keys.flush_disk_type == "SYNC_FLUSH" { FlushMode::Sync } else { FlushMode::Async },
        flush_interval: keys.flush_interval_commit_log,
        queue_flush_interval: keys.flush_interval_consume_queue,
        sync_flush_timeout: keys.sync_flush_timeout,
        max_record_size: keys.max_message_size,
        reserved: Duration::from_secs(keys.file_reserved_time.saturating_mul(3_600)),
        delete_when: hours(&keys.delete_when).collect(),
        disk_max_used_ratio: keys.disk_max_used_space_ratio,
        disk_force_clean_ratio: if keys.clean_file_forcibly_enable {
            keys.disk_space_clean_forcibly_ratio
        } else {
            never
        },
        disk_full_ratio: keys.disk_space_warning_level_ratio,
        clean_interval: keys.clean_resource_interval,
        delete_pause: keys.delete_commit_log_files_interval,
        delay_levels: DelayLevels::parse(&keys.message_delay_level)?,
        check_crc_on_recover: keys.check_crc_on_recover,
        memory_transfer: TransferLimit { bytes: keys.transfer_bytes_in_memory, count: keys.transfer_count_in_memory },
        disk_transfer: TransferLimit { bytes: keys.transfer_bytes_in_disk, count: keys.transfer_count_in_disk },
        memory_ratio: keys.access_message_in_memory_max_ratio,
        max_query: keys.max_msgs_num_batch,
        utc_offset: Arc::new(move |wall_ms| local.offset_seconds(wall_ms)),
        ..StoreConfig::default()
    })
}

/// The settings as the broker shows and changes them.
struct Shown(Arc<Settings>);

impl LiveSettings for Shown {
    fn properties_text(&self) -> String {
        self.0.as_properties()
    }

    fn text(&self, key: &str) -> String {
        self.0.values().text(key).to_owned()
    }

    fn update(&self, text: &str) -> Result<Vec<(String, String)>, String> {
        let changes = self.0.update(text)?;
        Ok(changes.into_iter().map(|change| (change.key.name.to_owned(), change.value)).collect())
    }
}

fn apply_all(settings: &Settings, live: &Live) {
    let values = settings.values();
    for key in Role::Broker.keys().filter(|key| key.live.is_some()) {
        apply(live, &Change { key, value: values.text(key.name).to_owned() });
    }
}

/// The hours of `deleteWhen`.
fn hours(text: &str) -> impl Iterator<Item = u8> {
    text.split(';').filter_map(|hour| hour.trim().parse().ok())
}

fn apply(live: &Live, change: &Change) {
    let name = change.key.live.unwrap_or("");
    let taken = match change.value.as_str() {
        "true" => live.set_switch(name, true),
        "false" => live.set_switch(name, false),
        list if name == "delete_hours" => live.set_number(name, hours(list).fold(0, |bits, hour| bits | 1 << hour)),
        number => number.parse().is_ok_and(|number| live.set_number(name, number)),
    };
    if !taken {
        tracing::error!(key = change.key.name, value = change.value, "the running broker does not know this setting");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready(flags: &[(&str, &str)]) -> Ready<BrokerSettings> {
        let flags = flags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned(), "--set".to_owned())).collect();
        let presets = vec![("tls.config.file", "/nonexistent".to_owned())];
        let given = Given { presets, variables: vec![], flags, ..Given::here(Role::Broker) };
        roles::broker(&given).unwrap()
    }

    #[test]
    fn every_key_that_may_change_is_known_to_the_running_broker() {
        let live = Live::default();
        for key in Role::Broker.keys() {
            let Some(name) = key.live else { continue };
            let text = Role::Broker.default_of(key, &crate::config::host::Host::here());
            let taken = match text.as_str() {
                "true" | "false" => live.set_switch(name, true),
                number => live.set_number(name, number.parse().unwrap()),
            };
            assert!(taken, "{}", key.name);
        }
    }

    #[test]
    fn settings_reach_the_broker_at_start_and_while_it_runs() {
        let ready = ready(&[
            ("brokerPermission", "4"),
            ("bindAddress", "127.0.0.1"),
            ("listenPort", "40911"),
            ("defaultTopicQueueNums", "4"),
        ]);
        let told: IpAddr = ready.typed.broker.broker_ip1.parse().unwrap();
        let config = broker_config(&ready, told, &TlsMode::Disabled, vec![], &LocalTime::of_system(), 0);
        assert_eq!(config.listen.addr.to_string(), "127.0.0.1:40911");
        assert_eq!(config.fast_listen.unwrap().addr.port(), 40909);
        assert_eq!((config.advertised.to_string(), config.live.permission()), ("127.0.0.1".to_owned(), 4));
        assert_eq!(config.live.default_topic_queues(), 4);
        assert!(config.ha_address.ends_with(":40912"));
        let changed = config.settings.update("brokerPermission=6\nautoCreateTopicEnable=false").unwrap();
        assert_eq!(changed.len(), 2);
        assert!(config.live.permission() == 6 && !config.live.auto_create_topic());
        config.settings.update("deleteWhen=03;23").unwrap();
        assert_eq!(config.live.delete_hours(), 1 << 3 | 1 << 23);
        assert!(config.settings.properties_text().contains("\nbrokerPermission=6\n"));
        assert!(config.settings.update("listenPort=1").unwrap_err().contains("listenPort cannot be changed"));
    }

    #[test]
    fn the_store_gets_what_the_table_says() {
        let typed = ready(&[
            ("storePathRootDir", "/nonexistent/r"),
            ("flushDiskType", "SYNC_FLUSH"),
            ("deleteWhen", "04;16"),
            ("cleanFileForciblyEnable", "false"),
            ("messageDelayLevel", "1s 2m"),
        ])
        .typed;
        let store = store_config(&typed, LocalTime::of_system()).unwrap();
        assert_eq!(store.commit_log_dir.to_str(), Some("/nonexistent/r/commitlog"));
        assert_eq!((store.flush, store.delete_when, store.disk_force_clean_ratio), (FlushMode::Sync, vec![4, 16], 100));
        assert_eq!((store.delay_levels.max_level(), store.reserved.as_secs()), (2, 72 * 3_600));
        let defaults = store_config(&ready(&[]).typed, LocalTime::of_system()).unwrap();
        let theirs = StoreConfig::default();
        assert_eq!(defaults.segment_size, theirs.segment_size);
        assert_eq!((defaults.disk_force_clean_ratio, defaults.disk_full_ratio), (85, 90));
        assert_eq!(defaults.memory_transfer, theirs.memory_transfer);
    }
}
