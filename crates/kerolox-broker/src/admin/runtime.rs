//! The running broker: figures and settings.

use std::collections::BTreeMap;
use std::time::Duration;

use kerolox_net::Peer;
use kerolox_store::Retention;
use kerolox_store::disk::DiskUsage;
use kerolox_wire::body::{KvTable, Style, to_json};
use kerolox_wire::command::admin::{BrokerStatsData, VersionResult};
use kerolox_wire::frame::{Frame, VERSION_4_7_1};
use kerolox_wire::names::{QueueId, QueueOffset, TopicName, topics};
use kerolox_wire::reply::Reply;

use crate::node::Node;
use crate::refusal::Refusal;

/// Most groups whose members differ that are told by name.
const DISAGREEMENTS_TOLD_MAX: usize = 100;

impl Node {
    /// Figures of the running broker under the names that Java's tools read.
    pub(crate) fn runtime_info(&self) -> Reply {
        Reply::body(to_json(&KvTable { table: self.runtime_table() }, Style::Fastjson))
    }

    /// These figures by name.
    pub(crate) fn runtime_table(&self) -> BTreeMap<String, String> {
        let mut table: BTreeMap<String, String> =
            self.stats.runtime(self.now()).into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        let mut put = |key: &str, value: String| {
            table.insert(key.to_owned(), value);
        };
        put("brokerVersionDesc", "V4_7_1".to_owned());
        put("brokerVersion", VERSION_4_7_1.to_string());
        put("startAcceptSendRequestTimeStamp", self.config.live.accept_sends_from().to_string());
        // Nothing is queued between threads here, so sizes and waits are always 0. The capacities are what is set, which
        // tools divide by.
        for queue in ["send", "pull", "query"] {
            put(&format!("{queue}ThreadPoolQueueSize"), "0".to_owned());
            let capacity = format!("{queue}ThreadPoolQueueCapacity");
            put(&capacity, self.config.settings.text(&capacity));
            put(&format!("{queue}ThreadPoolQueueHeadWaitTimeMills"), "0".to_owned());
        }
        put("EndTransactionQueueSize", "0".to_owned());
        put("EndTransactionThreadPoolQueueCapacity", self.config.settings.text("endTransactionPoolQueueCapacity"));
        put("pageCacheLockTimeMills", "0".to_owned());
        // What 4.7.1 says when it has no pool of such buffers.
        put("remainTransientStoreBufferNumbs", i32::MAX.to_string());
        let unflushed = self.store.end().distance_from(self.store.durable_end());
        put("remainHowManyDataToFlush", bytes_text(unflushed));
        put("dispatchBehindBytes", self.store.end().distance_from(self.store.dispatched_end()).to_string());
        put("commitLogMinOffset", self.store.begin().to_string());
        put("commitLogMaxOffset", self.store.end().to_string());
        put("earliestMessageTimeStamp", self.earliest_in_log().to_string());
        let usage = |folder| self.disk.usage(folder).unwrap_or(DiskUsage { total: 0, free: 0 });
        put("consumeQueueDiskRatio", used_share(&usage(&self.store.config().root)).to_string());
        let usage = usage(&self.store.config().commit_log_dir);
        put("commitLogDiskRatio", used_share(&usage).to_string());
        put("commitLogDirCapacity", format!("Total : {}, Free : {}.", bytes_text(usage.total), bytes_text(usage.free)));
        put("timerPending", self.timer.timers.len().to_string());
        let disagreements = self.clients.disagreements(DISAGREEMENTS_TOLD_MAX);
        put("subscriptionMismatchGroups", disagreements.groups.to_string());
        put("subscriptionMismatchFound", disagreements.found.to_string());
        for (group, how) in disagreements.some {
            put(&format!("subscriptionMismatch_{group}"), how);
        }
        for (topic, one) in self.refusals.still_missing(|topic| self.topics.get(topic).is_some()) {
            let told = format!("{} {} {} {}", one.count, one.last_ms, one.client, one.group);
            put(&format!("missingTopic_{topic}"), told);
        }
        let replaced = self.refusals.replaced_texts();
        put("headersReplacedTotal", replaced.count.to_string());
        if let Some((client, at_ms)) = replaced.last {
            put("headersReplacedLast", format!("{at_ms} {client}"));
        }
        for (group, one) in self.refusals.still_unserved(self.clock.wall_ms()) {
            put(&format!("unservedGroup_{group}"), format!("{} {}", one.client, one.why));
        }
        let schedule = TopicName::known(topics::SCHEDULE);
        let delivered = self.delay_offsets.table();
        for (at, level) in (0..self.store.config().delay_levels.max_level()).zip(1..) {
            let (_, max) = self.range_or_empty(&schedule, QueueId::new(at));
            // A level whose messages all still wait has delivered none yet.
            if let Some(next) = delivered.get(&level).copied().or((max > QueueOffset::ZERO).then_some(0)) {
                put(&format!("scheduleMessageOffset_{level}"), format!("{next},{max}"));
            }
        }
        table.extend(self.transaction_figures().into_iter().map(|(key, value)| (key.to_owned(), value)));
        table
    }

    /// Store time of the first record of the log, -1 without one.
    fn earliest_in_log(&self) -> i64 {
        self.store.store_time_at(self.store.begin()).ok().flatten().unwrap_or(-1)
    }

    /// One statistic.
    pub(crate) fn view_stats(&self, asked: &BrokerStatsData) -> Result<Reply, Refusal> {
        let view = self.stats.view(&asked.stats_name, &asked.stats_key).map_err(|e| Refusal::error(e.to_string()))?;
        Ok(Reply::body(to_json(&view, Style::Fastjson)))
    }

    /// All settings, secrets masked.
    pub(crate) fn broker_config(&self) -> Reply {
        let version = to_json(&self.topics.data_version(), Style::Fastjson);
        let header = VersionResult { version: String::from_utf8_lossy(&version).into_owned() };
        Reply::of(&header).with_body(self.config.settings.properties_text())
    }

    /// Changes settings that may change while running.
    pub(crate) fn update_broker_config(&self, peer: &Peer, frame: &Frame) -> Result<Reply, Refusal> {
        let text = std::str::from_utf8(&frame.body).map_err(|e| Refusal::bad_body("properties text", e))?;
        let changes = self.config.settings.update(text).map_err(Refusal::no_permission)?;
        for (key, value) in &changes {
            tracing::info!(client = %peer.remote(), key, value = %value.escape_debug(), "setting changed");
        }
        let live = &self.config.live;
        self.store.set_memory_ratio(u8::try_from(live.memory_ratio()).unwrap_or(100));
        let hours = live.delete_hours();
        self.store.set_retention(Retention {
            reserved: Duration::from_secs(
                u64::try_from(live.reserved_hours()).unwrap_or_default().saturating_mul(3_600),
            ),
            delete_when: (0..24).filter(|hour| hours >> hour & 1 == 1).collect(),
            disk_max_used_ratio: u8::try_from(live.disk_max_used()).unwrap_or(100),
        });
        if live.auto_create_topic() {
            let queues = u32::try_from(live.default_topic_queues()).unwrap_or(8);
            if self.topics.open_template(queues, self.clock.wall_ms()) {
                self.topics_changed();
            }
        }
        // The broker's permission is part of what name servers tell.
        self.announce.notify_one();
        Ok(Reply::ok())
    }
}

/// The used share of a disk, 0 to 1, of what is used or free to the broker: blocks kept back for root are neither.
#[allow(clippy::cast_precision_loss, reason = "a figure for people")]
fn used_share(usage: &DiskUsage) -> f64 {
    if usage.total == 0 { 0.0 } else { usage.total.saturating_sub(usage.free) as f64 / usage.total as f64 }
}

/// A number of bytes as 4.7.1 writes it: with one digit after the point in the largest unit of 1024 that fits.
fn bytes_text(bytes: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    let power = (bytes.ilog2() / 10).min(6);
    #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
    let value = bytes as f64 / (1_u64 << (10 * power)) as f64;
    let unit = UNITS.get(power as usize - 1).copied().unwrap_or("B");
    format!("{value:.1} {unit}")
}

#[cfg(test)]
mod tests {
    use super::bytes_text;

    #[test]
    fn bytes_are_written_in_the_largest_unit_that_fits() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1.0 KiB"),
            (1536 << 10, "1.5 MiB"),
            (1 << 30, "1.0 GiB"),
            (u64::MAX, "16.0 EiB"),
        ] {
            assert_eq!(bytes_text(bytes), text);
        }
    }
}
