//! Typed settings of each role, complete and in keeping with one another.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::host::Host;
use super::load::{Given, Problems, load};
use super::paths;
use super::settings::Settings;
use super::table::{
    BrokerKeys, ClientKeys, ConsoleKeys, MetricsKeys, NamesrvKeys, Role, ServerKeys, StoreKeys, TlsKeys, TraceKeys,
    WatchedKeys,
};
use super::values::Values;

/// Bytes that the end of a log file takes.
const LOG_FILE_END: u64 = 8;

/// Settings of a broker.
#[derive(Clone, Debug)]
pub(crate) struct BrokerSettings {
    pub(crate) broker: BrokerKeys,
    pub(crate) store: StoreKeys,
    pub(crate) server: ServerKeys,
    pub(crate) client: ClientKeys,
    pub(crate) tls: TlsKeys,
    /// Used by a standalone node alone.
    pub(crate) console: ConsoleKeys,
    /// Whether the console's port was said rather than left at its default.
    pub(crate) console_port_is_set: bool,
    pub(crate) metrics: MetricsKeys,
    pub(crate) traces: TraceKeys,
    /// Whether the port of the metrics was said.
    pub(crate) metrics_port_is_set: bool,
    /// Whether `brokerIP1` was said rather than found.
    pub(crate) address_is_set: bool,
    /// File of accounts, where they are checked.
    pub(crate) accounts: Option<PathBuf>,
}

/// Settings of a name server.
#[derive(Clone, Debug)]
pub(crate) struct NamesrvSettings {
    pub(crate) namesrv: NamesrvKeys,
    pub(crate) metrics: MetricsKeys,
    pub(crate) server: ServerKeys,
    pub(crate) tls: TlsKeys,
}

/// Settings of a console.
#[derive(Clone, Debug)]
pub(crate) struct ConsoleSettings {
    pub(crate) console: ConsoleKeys,
    pub(crate) watched: WatchedKeys,
    pub(crate) client: ClientKeys,
    pub(crate) tls: TlsKeys,
}

/// What a role starts with.
#[derive(Debug)]
pub(crate) struct Ready<T> {
    /// Typed, for the parts of the node.
    pub(crate) typed: T,
    /// All of them as text, for administrators.
    pub(crate) settings: Arc<Settings>,
    /// One sentence each, to be logged at start.
    pub(crate) warnings: Vec<String>,
}

/// Reads a broker's settings.
///
/// # Errors
/// All problems found.
pub(crate) fn broker(given: &Given) -> Result<Ready<BrokerSettings>, Problems> {
    let mut loaded = load(given)?;
    let mut typed = BrokerSettings {
        broker: BrokerKeys::read(&loaded.values),
        store: StoreKeys::read(&loaded.values),
        server: ServerKeys::read(&loaded.values),
        client: ClientKeys::read(&loaded.values),
        tls: TlsKeys::read(&loaded.values),
        console: ConsoleKeys::read(&loaded.values),
        console_port_is_set: loaded.values.is_set("consolePort"),
        metrics: MetricsKeys::read(&loaded.values),
        traces: TraceKeys::read(&loaded.values),
        metrics_port_is_set: loaded.values.is_set("metricsPort"),
        address_is_set: loaded.values.is_set("brokerIP1"),
        accounts: None,
    };
    if typed.broker.acl_enable {
        let home = Some(loaded.values.text("rocketmqHome")).filter(|home| !home.is_empty()).map(Path::new);
        typed.accounts = Some(paths::accounts(home, &typed.broker.acl_file, given.file.as_deref()));
    }
    let (mut warnings, mut problems) = (loaded.warnings, Vec::new());
    agree(&mut typed, &mut loaded.values, &given.host, &mut warnings, &mut problems);
    if !problems.is_empty() {
        return Err(Problems(problems));
    }
    let settings = Arc::new(Settings::new(Role::Broker, loaded.values, given.file.clone()));
    Ok(Ready { typed, settings, warnings })
}

/// Reads a name server's settings.
///
/// # Errors
/// All problems found.
pub(crate) fn namesrv(given: &Given) -> Result<Ready<NamesrvSettings>, Problems> {
    let loaded = load(given)?;
    let typed = NamesrvSettings {
        namesrv: NamesrvKeys::read(&loaded.values),
        metrics: MetricsKeys::read(&loaded.values),
        server: ServerKeys::read(&loaded.values),
        tls: TlsKeys::read(&loaded.values),
    };
    let settings = Arc::new(Settings::new(Role::Namesrv, loaded.values, given.file.clone()));
    Ok(Ready { typed, settings, warnings: loaded.warnings })
}

/// Reads a console's settings.
///
/// # Errors
/// All problems found.
pub(crate) fn console(given: &Given) -> Result<Ready<ConsoleSettings>, Problems> {
    let loaded = load(given)?;
    let typed = ConsoleSettings {
        console: ConsoleKeys::read(&loaded.values),
        watched: WatchedKeys::read(&loaded.values),
        client: ClientKeys::read(&loaded.values),
        tls: TlsKeys::read(&loaded.values),
    };
    if typed.watched.namesrv_addr.is_empty() {
        let why =
            "namesrvAddr is not set: give -n host:port, or set NAMESRV_ADDR, so that the console finds the cluster";
        return Err(Problems(vec![why.to_owned()]));
    }
    let settings = Arc::new(Settings::new(Role::Console, loaded.values, given.file.clone()));
    Ok(Ready { typed, settings, warnings: loaded.warnings })
}

/// Rules between keys.
fn agree(
    typed: &mut BrokerSettings,
    values: &mut Values,
    host: &Host,
    warnings: &mut Vec<String>,
    problems: &mut Vec<String>,
) {
    let change = |values: &mut Values, key: &'static str, text: String| {
        let source = values.source(key).clone();
        values.set(key, text, source);
    };
    let listens_on_one = typed.server.bind_address.parse().is_ok_and(|ip: std::net::IpAddr| !ip.is_unspecified());
    if listens_on_one && !typed.address_is_set {
        typed.broker.broker_ip1.clone_from(&typed.server.bind_address);
        change(values, "brokerIP1", typed.server.bind_address.clone());
    }
    if listens_on_one && !values.is_set("brokerIP2") {
        typed.broker.broker_ip2.clone_from(&typed.server.bind_address);
        change(values, "brokerIP2", typed.server.bind_address.clone());
    }
    if typed.broker.broker_id != 0 {
        warnings
            .push(format!("brokerId = {} is not used: a primary is always 0, as in RocketMQ", typed.broker.broker_id));
        typed.broker.broker_id = 0;
        change(values, "brokerId", "0".to_owned());
    }
    if typed.store.broker_role == "SYNC_MASTER" {
        warnings.push(
            "brokerRole = SYNC_MASTER: this version has no replicas, so a message is acknowledged when this broker alone \
             has stored it"
                .to_owned(),
        );
    }
    let chosen = paths::commit_log(&host.home, &typed.store.store_path_root_dir, &typed.store.store_path_commit_log);
    warnings.extend(chosen.warning);
    change(values, "storePathCommitLog", chosen.dir.to_string_lossy().into_owned());
    typed.store.store_path_commit_log = chosen.dir;
    if !values.is_set("useTLS") && typed.tls.mode == "enforcing" {
        typed.client.use_tls = true;
        change(values, "useTLS", "true".to_owned());
    }
    if typed.server.listen_port < 3 {
        problems.push(format!(
            "listenPort = {} is not allowed for a broker, which also answers on the port two below; allowed: 3 to 65535",
            typed.server.listen_port
        ));
    }
    let largest = typed.store.mapped_file_size_commit_log.saturating_sub(LOG_FILE_END);
    if let Ok(largest) = u32::try_from(largest)
        && typed.store.max_message_size > largest
    {
        warnings.push(format!(
            "maxMessageSize = {} does not fit one file of the log (mappedFileSizeCommitLog), so {largest} is used",
            typed.store.max_message_size
        ));
        typed.store.max_message_size = largest;
        change(values, "maxMessageSize", largest.to_string());
    }
    let (force, full) = (typed.store.disk_space_clean_forcibly_ratio, typed.store.disk_space_warning_level_ratio);
    if force > full {
        problems.push(format!(
            "diskSpaceCleanForciblyRatio = {force} is above diskSpaceWarningLevelRatio = {full}; sends would be refused \
             before anything is deleted"
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::host::tests::sample;

    fn given(flags: &[(&str, &str)]) -> Given {
        let flags = flags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned(), "--set".to_owned())).collect();
        let presets = vec![("tls.config.file", "/nonexistent".to_owned())];
        Given { role: Role::Broker, host: sample(), presets, variables: vec![], file: None, flags }
    }

    #[test]
    fn defaults_are_those_of_4_7_1() {
        let ready = broker(&given(&[])).unwrap();
        assert_eq!(ready.warnings, Vec::<String>::new());
        let typed = ready.typed;
        assert_eq!(typed.server.listen_port, 10911);
        assert_eq!(typed.broker.broker_ip1, "10.1.2.3");
        assert_eq!(typed.store.store_path_root_dir.to_str(), Some("/home/rocket/store"));
        assert_eq!(typed.store.store_path_commit_log.to_str(), Some("/home/rocket/store/commitlog"));
        assert_eq!(typed.store.mapped_file_size_commit_log, 1 << 30);
        assert_eq!(typed.store.flush_interval_commit_log.as_millis(), 500);
        assert_eq!((typed.store.file_reserved_time, typed.store.disk_space_warning_level_ratio), (72, 90));
        assert!(typed.broker.cluster_topic_enable && !typed.client.use_tls && !typed.address_is_set);
    }

    #[test]
    fn who_listens_on_one_address_is_reached_there() {
        let typed = broker(&given(&[("bindAddress", "127.0.0.1"), ("brokerIP2", "10.0.0.9")])).unwrap().typed;
        assert_eq!((typed.broker.broker_ip1.as_str(), typed.broker.broker_ip2.as_str()), ("127.0.0.1", "10.0.0.9"));
        let typed = broker(&given(&[("bindAddress", "0.0.0.0")])).unwrap().typed;
        assert_eq!((typed.broker.broker_ip1.as_str(), typed.broker.broker_ip2.as_str()), ("10.1.2.3", "10.1.2.3"));
    }

    #[test]
    fn the_root_takes_the_log_along_and_the_text_says_so() {
        let ready = broker(&given(&[("storePathRootDir", "/nonexistent/root")])).unwrap();
        assert_eq!(ready.typed.store.store_path_commit_log.to_str(), Some("/nonexistent/root/commitlog"));
        assert!(ready.settings.as_properties().contains("storePathCommitLog=/nonexistent/root/commitlog\n"));
    }

    #[test]
    fn settings_that_contradict_one_another_are_all_told() {
        let bad = [("listenPort", "2"), ("diskSpaceCleanForciblyRatio", "0.95")];
        let problems = broker(&given(&bad)).unwrap_err().0;
        assert_eq!(problems.len(), 2, "{problems:?}");
        let small = broker(&given(&[("mappedFileSizeCommitLog", "65536")])).unwrap();
        assert_eq!((small.typed.store.max_message_size, small.warnings.len()), (65_528, 1));
        let ready = broker(&given(&[("brokerId", "3"), ("brokerRole", "SYNC_MASTER")])).unwrap();
        assert_eq!((ready.typed.broker.broker_id, ready.warnings.len()), (0, 2));
    }

    #[test]
    fn enforced_tls_counts_for_outgoing_connections_unless_they_are_set() {
        assert!(broker(&given(&[("tls.server.mode", "enforcing")])).unwrap().typed.client.use_tls);
        let set = [("tls.server.mode", "enforcing"), ("useTLS", "false")];
        assert!(!broker(&given(&set)).unwrap().typed.client.use_tls);
    }
}
