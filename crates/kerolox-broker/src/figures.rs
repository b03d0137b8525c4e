//! All that the broker can say of itself in numbers, for a page of metrics.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::time::Duration;

use kerolox_store::TimesRead;
use kerolox_store::disk::DiskUsage;
use kerolox_wire::body::MessageModel;
use kerolox_wire::names::{DLQ_PREFIX, GroupName, QueueId, QueueOffset, RETRY_PREFIX, TopicName};

use crate::node::Node;
use crate::start::Handle;

/// Figures at one moment.
#[derive(Debug)]
pub struct Figures {
    /// Cluster name.
    pub cluster: String,
    /// Broker name.
    pub broker: String,
    /// Address that clients are told, with the port.
    pub address: String,
    /// What the administration request for runtime information answers.
    pub runtime: BTreeMap<String, String>,
    /// Bytes of the log's disk: all, and free.
    pub disk: (u64, u64),
    /// Bytes of the log that are not on the medium yet.
    pub unflushed: u64,
    /// Messages per second put and got over the last minute.
    pub rates: (f64, f64),
    /// Topics in order of their names, as many as were asked for.
    pub topics: Vec<TopicFigures>,
    /// Pairs of group and topic in order of their names, as many as were asked for.
    pub groups: Vec<GroupFigures>,
    /// Topics and pairs that were left out.
    pub left_out: (usize, usize),
    /// What was refused: the request, the code of the answer, how often.
    pub refusals: Vec<(&'static str, i32, u64)>,
    /// Topics that senders want and that are not there.
    pub missing_topics: usize,
    /// Pulls that wait.
    pub held_pulls: usize,
    /// What happened on connections.
    pub connections: Vec<(&'static str, u64)>,
    /// How long sends, appends to the log, syncs and pulls took.
    pub times: [(&'static str, TimesRead); 4],
}

/// Figures of one topic.
#[derive(Debug)]
pub struct TopicFigures {
    /// Its name.
    pub topic: TopicName,
    /// Sum of its queues' ends.
    pub offset: i64,
    /// Messages per second put over the last minute.
    pub tps: f64,
    /// Bytes per second put over the last minute.
    pub byte_rate: f64,
}

/// Figures of a group in one topic.
#[derive(Debug)]
pub struct GroupFigures {
    /// Its name.
    pub group: GroupName,
    /// The topic.
    pub topic: TopicName,
    /// Sum of its places in the queues.
    pub offset: i64,
    /// Messages that it has not consumed.
    pub lag: i64,
    /// How long ago the oldest of these was stored.
    pub lag_time: Duration,
    /// Messages per second got over the last minute.
    pub tps: f64,
    /// Bytes per second got over the last minute.
    pub byte_rate: f64,
    /// Messages per second handed back over the last minute.
    pub send_backs: f64,
    /// Clients that are connected.
    pub clients: usize,
    /// Whether each of them gets all messages.
    pub broadcasting: bool,
}

/// Sees a broker's figures, as long as it runs.
#[derive(Clone)]
pub struct Watch(Weak<Node>);

impl Handle {
    /// For whoever wants to see figures again and again.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch(Arc::downgrade(self.node()))
    }
}

impl Watch {
    /// All figures, `most` topics and pairs of group and topic at most; none once the broker has ended. Reads the disk,
    /// so not for a task that serves sockets.
    #[must_use]
    pub fn figures(&self, most: usize) -> Option<Figures> {
        Some(self.0.upgrade()?.figures(most))
    }

    /// Whether clients can find and use the broker.
    ///
    /// # Errors
    /// A sentence: why not.
    pub fn ready(&self) -> Result<(), String> {
        self.0.upgrade().ok_or_else(|| "the broker has ended".to_owned())?.ready()
    }
}

impl Node {
    fn ready(&self) -> Result<(), String> {
        if let Some(why) = self.store.stats().sealed {
            return Err(format!("the log takes nothing more until a restart: {why}"));
        }
        let disk = self.store.disk_state();
        if disk.full {
            return Err(format!("the disk is full: {} % are used", disk.log_used));
        }
        let known = self.name_servers();
        if !known.is_empty() && !self.registered.load(std::sync::atomic::Ordering::Relaxed) {
            return Err(format!("registered at none of the name servers {}", known.join(";")));
        }
        Ok(())
    }

    fn figures(&self, most: usize) -> Figures {
        let (topics, topics_left) = self.topic_figures(most);
        let (groups, groups_left) = self.group_figures(most);
        let usage = self.disk.usage(&self.store.config().commit_log_dir).unwrap_or(DiskUsage { total: 0, free: 0 });
        let rate = |name| self.stats.view(name, &self.config.cluster).map_or(0.0, |view| view.stats_minute.tps);
        Figures {
            cluster: self.config.cluster.clone(),
            broker: self.config.name.clone(),
            address: self.address.clone(),
            runtime: self.runtime_table(),
            disk: (usage.total, usage.free),
            unflushed: self.store.end().distance_from(self.store.durable_end()),
            rates: (rate("BROKER_PUT_NUMS"), rate("BROKER_GET_NUMS")),
            topics,
            groups,
            left_out: (topics_left, groups_left),
            refusals: self.refusals.counts(),
            missing_topics: self.refusals.still_missing(|topic| self.topics.get(topic).is_some()).len(),
            held_pulls: self.held.load(std::sync::atomic::Ordering::Relaxed),
            connections: self.config.listen.counters.snapshot().rows(),
            times: [
                ("send", self.stats.send_times.read()),
                ("store", self.stats.store_times.read()),
                ("flush", self.store.flush_times()),
                ("pull", self.stats.pull_times.read()),
            ],
        }
    }

    fn topic_figures(&self, most: usize) -> (Vec<TopicFigures>, usize) {
        let snapshot = self.topics.snapshot();
        let mut names: Vec<&TopicName> = snapshot.keys().collect();
        names.sort_unstable();
        let left_out = names.len().saturating_sub(most);
        let figures = names.into_iter().take(most).filter_map(|name| {
            let topic = snapshot.get(name)?;
            let end = |id| self.range_or_empty(name, QueueId::new(id)).1.to_wire();
            let tps = |what| self.stats.view(what, name.as_str()).map_or(0.0, |view| view.stats_minute.tps);
            Some(TopicFigures {
                topic: name.clone(),
                offset: (0..topic.write_queues.max(topic.read_queues)).map(end).sum(),
                tps: tps("TOPIC_PUT_NUMS"),
                byte_rate: tps("TOPIC_PUT_SIZE"),
            })
        });
        (figures.collect(), left_out)
    }

    fn group_figures(&self, most: usize) -> (Vec<GroupFigures>, usize) {
        let groups = self.groups.snapshot();
        let mut names: Vec<GroupName> = groups.keys().cloned().collect();
        names.sort_unstable();
        let (mut figures, mut left_out) = (Vec::new(), 0);
        for group in names {
            for topic in self.topics_of_group(&group) {
                if figures.len() < most {
                    figures.extend(self.figures_of(&group, topic));
                } else {
                    left_out += 1;
                }
            }
        }
        (figures, left_out)
    }

    fn figures_of(&self, group: &GroupName, topic: TopicName) -> Option<GroupFigures> {
        let queues = self.topics.get(topic.as_str())?.read_queues;
        let (mut offset, mut lag, mut oldest) = (0_i64, 0_i64, None);
        for id in (0..queues).map(QueueId::new) {
            let (min, max) = self.range_or_empty(&topic, id);
            let at = self.offsets.get(group.as_str(), topic.as_str(), id);
            let consumed = at.unwrap_or(0);
            // Clients choose what offsets they store.
            offset = offset.saturating_add(consumed);
            lag = lag.saturating_add(max.to_wire().saturating_sub(consumed));
            let next = QueueOffset::from_wire(consumed).map_or(min, |next| next.max(min));
            if next < max
                && let Ok(Some(stored)) = self.store.store_time(&topic, id, next)
            {
                oldest = Some(oldest.map_or(stored, |oldest: i64| oldest.min(stored)));
            }
        }
        let age = oldest.map_or(0, |oldest| self.clock.wall_ms().saturating_sub(oldest));
        let key = format!("{topic}@{group}");
        let tps = |what| self.stats.view(what, &key).map_or(0.0, |view| view.stats_minute.tps);
        let online = self.clients.group(group.as_str());
        Some(GroupFigures {
            offset,
            lag,
            lag_time: Duration::from_millis(u64::try_from(age).unwrap_or(0)),
            tps: tps("GROUP_GET_NUMS"),
            byte_rate: tps("GROUP_GET_SIZE"),
            send_backs: tps("SNDBCK_PUT_NUMS"),
            clients: self.clients.client_ids(group.as_str()).map_or(0, |ids| ids.len()),
            broadcasting: online.is_some_and(|online| online.message_model == MessageModel::Broadcasting),
            group: group.clone(),
            topic,
        })
    }
}

impl TopicFigures {
    /// The group whose messages to be tried again it has.
    #[must_use]
    pub fn retried_group(&self) -> Option<&str> {
        self.topic.as_str().strip_prefix(RETRY_PREFIX)
    }

    /// The group whose dead letters it has.
    #[must_use]
    pub fn dead_group(&self) -> Option<&str> {
        self.topic.as_str().strip_prefix(DLQ_PREFIX)
    }
}
