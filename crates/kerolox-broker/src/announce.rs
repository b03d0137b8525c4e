//! Announcing the broker and its topics to every name server.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use kerolox_wire::body::{DataVersion, KvTable, RegisterBrokerBody, TopicConfigTable, from_json};
use kerolox_wire::command::name_server::{BrokerRef, RegisterBroker};
use kerolox_wire::command::{Header, Names, RequestCode};
use kerolox_wire::fields::Fields;
use kerolox_wire::frame::Frame;
use kerolox_wire::response::ResponseCode;

use crate::node::Node;

/// Limit of saying goodbye to a name server.
const UNREGISTER_TIMEOUT: Duration = Duration::from_secs(3);

/// Most bytes of topics in one registration, roughly: a frame holds 16 MiB, and a name server reads other requests
/// between the parts.
const PART_BYTES_MAX: usize = 4 << 20;
/// Bytes of a topic in a registration, roughly and but for its name, which stands there twice.
const TOPIC_BYTES: usize = 200;

/// Shares the topics of a registration out to several, each small enough for a frame.
fn parts_of(table: TopicConfigTable, limit: usize) -> Vec<TopicConfigTable> {
    let version = table.data_version;
    let mut parts = vec![TopicConfigTable::default()];
    let mut size: usize = 0;
    for (name, topic) in table.topic_config_table {
        let of_topic = TOPIC_BYTES + 2 * name.len();
        if size + of_topic > limit && size > 0 {
            parts.push(TopicConfigTable::default());
            size = 0;
        }
        size += of_topic;
        if let Some(part) = parts.last_mut() {
            part.topic_config_table.insert(name, topic);
        }
    }
    // A name server of RocketMQ passes over topics whose version it has already, so each part has its own; the last one
    // has that of the table.
    for (part, before_last) in parts.iter_mut().rev().zip(0..) {
        part.data_version = DataVersion { timestamp: version.timestamp.wrapping_sub(before_last), ..version };
    }
    parts
}

impl Node {
    /// Announces at once, then whenever topics change and every period, until the task is ended.
    pub(crate) async fn keep_announced(self: Arc<Self>) {
        let mut failing = false;
        loop {
            let failures = self.announce_all().await;
            let failed = !failures.is_empty();
            if failed && !failing {
                for (server, why) in &failures {
                    tracing::warn!(server, why, "not registered at this name server; tried again every second");
                }
            } else if failing && !failed {
                tracing::info!("registered at all name servers again");
            }
            failing = failed;
            // A name server that is still starting is asked again soon.
            let pause = if failed { Duration::from_secs(1) } else { self.config.register_period };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.announce.notified() => {}
            }
        }
    }

    /// Announces all topics to all name servers, side by side; returns those that failed with the reason.
    pub(crate) async fn announce_all(self: &Arc<Self>) -> Vec<(String, String)> {
        let table = self.topics.register_all(self.permission());
        let failures = self.register(table).await;
        self.registered.store(failures.len() < self.name_servers().len(), Ordering::Relaxed);
        failures
    }

    /// Announces one topic, after an operator changed it.
    pub(crate) async fn announce_one(self: &Arc<Self>, topic: &str) {
        if let Some(table) = self.topics.register_one(topic, self.permission()) {
            for (server, why) in self.register(table).await {
                tracing::warn!(server, why, topic, "topic not registered at this name server");
            }
        }
    }

    async fn register(self: &Arc<Self>, table: TopicConfigTable) -> Vec<(String, String)> {
        let frames: Arc<[Frame]> =
            parts_of(table, PART_BYTES_MAX).into_iter().map(|part| self.registration(part)).collect();
        let mut asked = tokio::task::JoinSet::new();
        for server in self.name_servers() {
            let (node, frames) = (Arc::clone(self), Arc::clone(&frames));
            asked.spawn(async move {
                for frame in frames.iter() {
                    if let Err(why) = node.register_at(&server, frame.clone()).await {
                        return Some((server, why));
                    }
                }
                None
            });
        }
        asked.join_all().await.into_iter().flatten().collect()
    }

    fn registration(&self, table: TopicConfigTable) -> Frame {
        let body = RegisterBrokerBody { topic_config_serialize_wrapper: table, filter_server_list: Vec::new() };
        let compressed = self.config.compressed_register;
        let body = Bytes::from(if compressed { body.encode_compressed() } else { body.encode() });
        let header = RegisterBroker {
            broker_name: self.config.name.clone(),
            broker_addr: self.address.clone(),
            cluster_name: self.config.cluster.clone(),
            ha_server_addr: self.config.ha_address.clone(),
            broker_id: self.config.broker_id,
            compressed,
            body_crc32: kerolox_wire::record::body_crc(&body).cast_signed(),
        };
        let mut fields = Fields::new();
        header.encode(&mut fields, Names::Long);
        Frame::request(RequestCode::REGISTER_BROKER, fields, body)
    }

    async fn register_at(&self, server: &str, frame: Frame) -> Result<(), String> {
        let answer =
            self.outbound.call(server, frame, self.config.register_timeout).await.map_err(|e| e.to_string())?;
        if answer.code != ResponseCode::SUCCESS.0 {
            return Err(format!("it answered {}: {}", ResponseCode(answer.code), answer.remark.unwrap_or_default()));
        }
        // The name server tells which topics are ordered.
        if !answer.body.is_empty() {
            let ordered: KvTable = from_json(&answer.body).map_err(|e| e.to_string())?;
            let names: Vec<&String> = ordered.table.keys().collect();
            if self.topics.apply_order(&names, self.clock.wall_ms()) {
                self.save_topics();
            }
        }
        Ok(())
    }

    /// Takes this broker out of all name servers, when it stops.
    pub(crate) async fn unregister(self: &Arc<Self>) {
        let header = BrokerRef {
            broker_name: self.config.name.clone(),
            broker_addr: self.address.clone(),
            cluster_name: self.config.cluster.clone(),
            broker_id: self.config.broker_id,
        };
        let mut fields = Fields::new();
        header.encode(&mut fields, Names::Long);
        let frame = Frame::request(RequestCode::UNREGISTER_BROKER, fields, Bytes::new());
        let mut asked = tokio::task::JoinSet::new();
        for server in self.name_servers() {
            let (node, frame) = (Arc::clone(self), frame.clone());
            asked.spawn(async move {
                if let Err(why) = node.outbound.call(&server, frame, UNREGISTER_TIMEOUT).await {
                    tracing::info!(server, %why, "not unregistered at this name server; it forgets this broker by itself");
                }
            });
        }
        asked.join_all().await;
    }

    /// The name servers of the moment.
    pub(crate) fn name_servers(&self) -> Vec<String> {
        self.name_servers.load().as_ref().clone()
    }
}

#[cfg(test)]
mod tests {
    use kerolox_wire::body::TopicConfig;

    use super::*;

    #[test]
    fn a_large_registration_is_split_and_the_last_part_has_its_version() {
        let name = |n: i32| format!("topic{n}");
        let topics = (0..5).map(|n| (name(n), TopicConfig { topic_name: name(n), ..TopicConfig::default() }));
        let version = DataVersion { counter: 7, timestamp: 90 };
        let table =
            TopicConfigTable { data_version: version, topic_config_table: topics.collect(), ..Default::default() };
        let parts = parts_of(table.clone(), 2 * (TOPIC_BYTES + 12));
        let told = parts.iter().map(|part| (part.topic_config_table.len(), part.data_version.timestamp));
        assert_eq!(told.collect::<Vec<_>>(), [(2, 88), (2, 89), (1, 90)]);
        assert_eq!(parts_of(table.clone(), usize::MAX), [table]);
        assert_eq!(parts_of(TopicConfigTable::default(), 1), [TopicConfigTable::default()]);
    }
}
