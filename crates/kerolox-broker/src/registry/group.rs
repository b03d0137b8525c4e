//! What the broker knows of a connected group.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use kerolox_wire::body::{ConsumeFromWhere, ConsumeType, ConsumerData, MessageModel, SubscriptionData};
use kerolox_wire::names::{GroupName, TOPIC_PATH_MAX, TopicName};

use super::agreement::Agreement;
use super::{Channel, Software, Subscription};

/// A connected consumer group, as its latest heartbeat told.
#[derive(Debug, Clone, Default)]
pub(crate) struct OnlineGroup {
    /// Push or pull.
    pub(crate) consume_type: ConsumeType,
    /// Whether members share the messages.
    pub(crate) message_model: MessageModel,
    /// Where the group begins in queues it has no offset of.
    pub(crate) from_where: ConsumeFromWhere,
    /// What it wants of each topic.
    pub(crate) subscriptions: HashMap<TopicName, Arc<Subscription>>,
    /// Bytes of that.
    pub(super) subscription_bytes: usize,
}

impl OnlineGroup {
    /// The group after a heartbeat, and whether its set of topics has changed; `None` when all is as before. With it
    /// the topics that nobody can subscribe to, and why.
    pub(super) fn after(&self, data: &ConsumerData) -> (Option<(Self, bool)>, Vec<String>) {
        let topics: BTreeSet<&str> = data.subscription_data_set.iter().map(|wanted| wanted.topic.as_str()).collect();
        let lost = self.subscriptions.keys().any(|topic| !topics.contains(topic.as_str()));
        let (mut news, mut left_out) = (Vec::new(), Vec::new());
        for wanted in data.subscription_data_set.iter().filter(|wanted| self.is_news(wanted)) {
            match Subscription::from_body(wanted) {
                Ok(subscription) => news.push(subscription),
                Err(why) => {
                    let topic: String = wanted.topic.chars().take(TOPIC_PATH_MAX).collect();
                    left_out.push(format!("{topic:?}: {why}"));
                }
            }
        }
        let manner = (self.consume_type, self.message_model, self.from_where);
        let same = manner == (data.consume_type, data.message_model, data.consume_from_where);
        if same && !lost && news.is_empty() {
            return (None, left_out);
        }
        let mut subscriptions = self.subscriptions.clone();
        subscriptions.retain(|topic, _| topics.contains(topic.as_str()));
        let mut topics_changed = lost;
        for subscription in news {
            topics_changed |= !subscriptions.contains_key(&subscription.topic);
            subscriptions.insert(subscription.topic.clone(), Arc::new(subscription));
        }
        let group = Self {
            subscription_bytes: subscriptions.values().map(|wanted| wanted.size()).sum(),
            consume_type: data.consume_type,
            message_model: data.message_model,
            from_where: data.consume_from_where,
            subscriptions,
        };
        (Some((group, topics_changed)), left_out)
    }

    /// A subscription to another topic, or a later one to the same; the same or an earlier version changes nothing.
    fn is_news(&self, wanted: &SubscriptionData) -> bool {
        let known = self.subscriptions.get(wanted.topic.as_str());
        known.is_none_or(|known| wanted.sub_version > known.version)
    }
}

/// One client in one group.
#[derive(Debug, Clone)]
pub(super) struct Member<C> {
    pub(super) channel: C,
    pub(super) client_id: Arc<str>,
    pub(super) software: Software,
    /// When its last heartbeat for the group came.
    pub(super) seen: Duration,
    /// What it subscribes to, as a number to compare; 0 for producers.
    pub(super) wants: u64,
}

/// Members of a consumer group by connection, and what it subscribes to.
#[derive(Debug)]
pub(super) struct ConsumerGroup<C> {
    pub(super) members: BTreeMap<u64, Member<C>>,
    pub(super) online: Arc<OnlineGroup>,
    pub(super) agreement: Agreement,
}

impl<C: Channel> ConsumerGroup<C> {
    pub(super) fn channels(&self) -> Vec<C> {
        self.members.values().map(|member| member.channel.clone()).collect()
    }
}

/// Members of a producer group by connection, and whose turn it is.
#[derive(Debug)]
pub(super) struct ProducerGroup<C> {
    pub(super) members: BTreeMap<u64, Member<C>>,
    /// The connection that was chosen last.
    last: u64,
}

impl<C> Default for ProducerGroup<C> {
    fn default() -> Self {
        Self { members: BTreeMap::new(), last: 0 }
    }
}

impl<C: Channel> ProducerGroup<C> {
    /// The next open connection in turn that `fits`.
    pub(super) fn next(&mut self, fits: impl Fn(&C) -> bool) -> Option<C> {
        let after = self.members.range(self.last.saturating_add(1)..);
        let mut turns = after.chain(self.members.range(..=self.last));
        let (conn, member) = turns.find(|(_, member)| member.channel.is_open() && fits(&member.channel))?;
        self.last = *conn;
        Some(member.channel.clone())
    }
}

/// The groups that a connection takes part in.
#[derive(Debug, Default)]
pub(super) struct Memberships {
    pub(super) consumers: BTreeSet<GroupName>,
    pub(super) producers: BTreeSet<GroupName>,
}

impl Memberships {
    pub(super) fn is_empty(&self) -> bool {
        self.consumers.is_empty() && self.producers.is_empty()
    }
}
