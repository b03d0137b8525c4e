//! Rules about brokers: can clients reach them, do they take messages, how are disk and clock?

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use super::{BrokerFacts, Facts, Figures, Findings};
use crate::route::MASTER_ID;

/// Difference between two clocks that still does no harm, in milliseconds. Uptimes come in whole seconds.
const CLOCK_MS_MAX: i64 = 5_000;
/// `diskSpaceWarningLevelRatio` where the broker does not tell it: above it, messages are refused.
const DISK_FULL_PERCENT: f64 = 90.0;
/// `diskMaxUsedSpaceRatio` where the broker does not tell it: above it, old files are deleted at any hour.
const DISK_DELETES_PERCENT: f64 = 75.0;
/// Bytes of the log that consumers do not see yet.
const BEHIND_BYTES_MAX: u64 = 64 << 20;
/// How long the first send may wait for a thread, as `waitTimeMillsInSendQueue` has it; later ones are refused.
const SEND_WAIT_MS_MAX: u64 = 200;
/// How long the log may be locked, as `osPageCacheBusyTimeOutMills` has it; sends are refused above it.
const LOG_LOCK_MS_MAX: u64 = 1_000;

pub(super) fn judge(facts: &Facts, findings: &mut Findings) {
    let answering = facts.name_servers.iter().filter(|server| server.clusters.is_ok()).count();
    if answering > 0 && facts.brokers.is_empty() {
        let addresses: Vec<&str> = facts.name_servers.iter().map(|server| server.address.as_str()).collect();
        let remedy = format!("start one: mqbroker -n '{}'", addresses.join(";"));
        findings.error("brokers", "none is registered", remedy);
    }
    masters(facts, findings);
    versions(facts, findings);
    for broker in &facts.brokers {
        let subject = subject(broker);
        address(&subject, broker, facts, findings);
        settings(&subject, broker, findings);
        match &broker.figures {
            Some(Ok(figures)) => {
                clock(&subject, broker, figures, findings);
                disk(&subject, broker, figures, findings);
                load(&subject, broker, figures, findings);
                transactions(&subject, figures, findings);
            }
            Some(Err(why)) => {
                let what = format!("registered itself as {} and does not answer there: {why}", broker.address);
                let remedy = "look whether it runs (`mqadmin clusterList`), whether a firewall is between, and set \
                              brokerIP1 to an address that clients reach";
                findings.error(&subject, what, remedy);
            }
            None => {}
        }
    }
}

fn subject(broker: &BrokerFacts) -> String {
    format!("broker {}/{}", broker.name, broker.id)
}

fn masters(facts: &Facts, findings: &mut Findings) {
    let with: BTreeSet<&str> = facts.brokers.iter().filter(|b| b.id == MASTER_ID).map(|b| b.name.as_str()).collect();
    let all: BTreeSet<&str> = facts.brokers.iter().map(|b| b.name.as_str()).collect();
    for name in all.difference(&with) {
        let what = "has no master: its queues can be read but not written";
        findings.error(&format!("broker {name}"), what, "start its master again (brokerId=0)");
    }
}

fn versions(facts: &Facts, findings: &mut Findings) {
    let mut clusters: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for broker in &facts.brokers {
        if let Some(Ok(figures)) = &broker.figures
            && let Some(version) = figures.get("brokerVersionDesc")
        {
            clusters.entry(&broker.cluster).or_default().insert(version);
        }
    }
    for (cluster, versions) in clusters.iter().filter(|(_, versions)| versions.len() > 1) {
        let list = versions.iter().copied().collect::<Vec<_>>().join(", ");
        let remedy = "finish the upgrade; `mqadmin clusterList` shows which broker has which";
        findings.note(&format!("cluster {cluster}"), format!("has brokers of several versions: {list}"), remedy);
    }
}

/// Clients are given this address; what only its own machine can reach is useless to others.
fn address(subject: &str, broker: &BrokerFacts, facts: &Facts, findings: &mut Findings) {
    let Ok(address) = broker.address.parse::<SocketAddr>() else { return };
    let remedy = "set brokerIP1 in the broker's configuration to the address that clients reach, and restart it";
    if address.ip().is_unspecified() {
        let what = format!("registered itself as {address}, which is no place to connect to");
        findings.error(subject, what, remedy);
    } else if address.ip().is_loopback() {
        let what = format!("registered itself as {address}, which only its own machine reaches");
        if facts.name_servers.iter().all(|server| is_loopback(&server.address)) {
            let remedy = "nothing to do while all clients run there; otherwise set brokerIP1 and restart it";
            findings.note(subject, what, remedy);
        } else {
            findings.error(subject, what, remedy);
        }
    }
}

fn is_loopback(address: &str) -> bool {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn settings(subject: &str, broker: &BrokerFacts, findings: &mut Findings) {
    let change =
        |key: &str, value: &str| format!("mqadmin updateBrokerConfig -b {} -k {key} -v {value}", broker.address);
    let permission = broker.settings.get("brokerPermission").map(String::as_str);
    if let Some(permission @ ("2" | "4")) = permission {
        let may = if permission == "2" { "written" } else { "read" };
        let what = format!("may only be {may}: brokerPermission is {permission}");
        findings.warning(subject, what, change("brokerPermission", "6"));
    }
    let from: Option<i64> = broker.settings.get("startAcceptSendRequestTimeStamp").and_then(|v| v.trim().parse().ok());
    if let Some(from) = from.filter(|from| *from > broker.answered_ms) {
        let wait = (from - broker.answered_ms) / 1_000;
        let what = format!("refuses messages for {wait} s more: startAcceptSendRequestTimeStamp is {from}");
        findings.error(subject, what, change("startAcceptSendRequestTimeStamp", "0"));
    }
    if broker.settings.get("rejectTransactionMessage").is_some_and(|value| value == "true") {
        let what = "refuses transactional messages: rejectTransactionMessage is true";
        findings.note(subject, what, "set it to false in the configuration and restart, if transactions are wanted");
    }
}

/// The broker's time is when it started and how long it runs, both by its own clock.
fn clock(subject: &str, broker: &BrokerFacts, figures: &Figures, findings: &mut Findings) {
    let boot: Option<i64> = figures.get("bootTimestamp").and_then(|text| text.parse().ok());
    let running = figures.get("runtime").and_then(|text| running_ms(text));
    let (Some(boot), Some(running)) = (boot, running) else { return };
    // Told in whole seconds, at some time between question and answer.
    let Some(earliest) = boot.checked_add(running) else { return };
    let latest = earliest.saturating_add(1_000);
    let behind = broker.asked_ms.saturating_sub(latest);
    let ahead = earliest.saturating_sub(broker.answered_ms);
    let (off, word) = if behind > ahead { (behind, "behind") } else { (ahead, "ahead of") };
    if off > CLOCK_MS_MAX {
        let what = format!("its clock is {} s {word} this machine's: delays and retention go by it", off / 1_000);
        findings.warning(subject, what, "on both machines: timedatectl set-ntp true");
    }
}

/// Milliseconds of `[ 1 days, 2 hours, 3 minutes, 4 seconds ]`; Java groups digits, as in `1,234 days`.
pub(super) fn running_ms(text: &str) -> Option<i64> {
    let inside = text.trim().strip_prefix('[')?.strip_suffix(']')?;
    let mut total = 0_i64;
    for part in inside.split(", ") {
        let (number, unit) = part.trim().split_once(' ')?;
        let number: i64 = number.chars().filter(char::is_ascii_digit).collect::<String>().parse().ok()?;
        let seconds = match unit {
            "days" => 86_400,
            "hours" => 3_600,
            "minutes" => 60,
            "seconds" => 1,
            _ => return None,
        };
        total = total.checked_add(number.checked_mul(seconds)?)?;
    }
    total.checked_mul(1_000)
}

fn disk(subject: &str, broker: &BrokerFacts, figures: &Figures, findings: &mut Findings) {
    let ratio = |key: &str| figures.get(key).and_then(|text| text.parse::<f64>().ok()).unwrap_or(-1.0);
    let used = ratio("commitLogDiskRatio").max(ratio("consumeQueueDiskRatio"));
    let setting = |key: &str| broker.settings.get(key).and_then(|text| text.trim().parse::<f64>().ok());
    let deletes_percent = setting("diskMaxUsedSpaceRatio").unwrap_or(DISK_DELETES_PERCENT);
    let full_percent = setting("diskSpaceWarningLevelRatio").unwrap_or(DISK_FULL_PERCENT);
    let percent = used * 100.0;
    let hours = broker.settings.get("fileReservedTime").map_or("72", String::as_str);
    let remedy = format!(
        "keep messages for less than the {hours} hours of now: mqadmin updateBrokerConfig -b {} -k fileReservedTime -v \
         HOURS; or enlarge the disk of storePathRootDir",
        broker.address
    );
    if percent > full_percent {
        let what = format!("its disk is {percent:.0} % full: messages are refused above {full_percent:.0} %");
        findings.error(subject, what, remedy);
    } else if percent >= deletes_percent {
        let what = format!("its disk is {percent:.0} % full: from {deletes_percent:.0} % on, old messages go early");
        findings.warning(subject, what, remedy);
    }
}

fn load(subject: &str, broker: &BrokerFacts, figures: &Figures, findings: &mut Findings) {
    let figure = |key: &str| figures.get(key).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let look = format!("look at its disk and processor; mqadmin brokerStatus -b {} shows the figures", broker.address);
    let behind = figure("dispatchBehindBytes");
    if behind > BEHIND_BYTES_MAX {
        let what = format!("{} MiB of messages are stored but not seen by consumers yet", behind >> 20);
        findings.warning(subject, what, look.clone());
    }
    let wait = figure("sendThreadPoolQueueHeadWaitTimeMills");
    if wait > SEND_WAIT_MS_MAX {
        let what = format!("sends wait for {wait} ms: they are refused from {SEND_WAIT_MS_MAX} ms on");
        findings.error(subject, what, look.clone());
    }
    let locked = figure("pageCacheLockTimeMills");
    if locked > LOG_LOCK_MS_MAX {
        let what = format!("a write of the log takes {locked} ms: sends are refused from {LOG_LOCK_MS_MAX} ms on");
        findings.error(subject, what, look);
    }
}

/// Only Kerolox tells these figures.
fn transactions(subject: &str, figures: &Figures, findings: &mut Findings) {
    let figure = |key: &str| figures.get(key).and_then(|text| text.parse::<u64>().ok()).unwrap_or(0);
    let stuck = figure("transactionHalfStuck");
    if stuck > 0 {
        let minutes = figure("transactionHalfOldestAgeMills") / 60_000;
        let what = format!(
            "{stuck} transactions have no end, however often their producers are asked; the oldest is open for \
             {minutes} minutes"
        );
        let remedy = "its log names the groups that have nobody to ask: start their producers \
                      (`mqadmin producerConnection -g GROUP -t TOPIC`); those that are connected must answer \
                      checkLocalTransaction with commit or rollback";
        findings.warning(subject, what, remedy);
    }
    let failed = figure("transactionCheckFailedTotal");
    if failed > 0 {
        let what = format!("{failed} rounds over open transactions have failed since its start");
        findings.warning(subject, what, "its log says why; report it with that text");
    }
}
