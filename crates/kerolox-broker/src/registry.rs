//! Who is connected: producers and consumers by their heartbeats, and what each consumer group subscribes to.
//!
//! Changes go through one short lock. Pulls read what a group subscribes to from a map without locks.

mod agreement;
mod group;
mod join;
mod subscription;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kerolox_net::Peer;
use kerolox_wire::body::{
    Connection, ConsumerConnection, ConsumerData, HeartbeatData, ProducerConnection, ProducerInfo, ProducerTable,
    SubscriptionData,
};
use kerolox_wire::frame::Language;
use kerolox_wire::names::{GroupName, NameError, TopicName};
use parking_lot::Mutex;

pub(crate) use self::group::OnlineGroup;
use self::group::{ConsumerGroup, Member, Memberships, ProducerGroup};
pub(crate) use self::subscription::Subscription;

/// How long a client lasts after its last heartbeat.
pub(crate) const CLIENT_LIFETIME: Duration = Duration::from_secs(120);
/// Most members of one group.
pub(crate) const CLIENTS_PER_GROUP_MAX: usize = 20_000;
/// Most consumer groups, and most producer groups, of one connection.
pub(crate) const GROUPS_PER_CONNECTION_MAX: usize = 4_096;
/// Most consumer groups, and most producer groups, that are connected.
pub(crate) const GROUPS_ONLINE_MAX: usize = 100_000;
/// Most topics that one group subscribes to.
pub(crate) const SUBSCRIPTIONS_PER_GROUP_MAX: usize = 10_000;
/// Most bytes of the subscriptions of one group, and of all that are connected.
pub(crate) const SUBSCRIPTION_BYTES_PER_GROUP_MAX: usize = 4 << 20;
pub(crate) const SUBSCRIPTION_BYTES_MAX: usize = 256 << 20;
/// Longest client id in bytes; Java's are about fifty.
pub(crate) const CLIENT_ID_MAX: usize = 1_024;

/// A connection to a client.
pub(crate) trait Channel: Clone + Send + Sync + 'static {
    /// A number that no other connection has or had.
    fn id(&self) -> u64;
    /// The client's address.
    fn remote(&self) -> SocketAddr;
    /// Whether it can still be talked to.
    fn is_open(&self) -> bool;
}

impl Channel for Arc<Peer> {
    fn id(&self) -> u64 {
        Peer::id(self)
    }

    fn remote(&self) -> SocketAddr {
        Peer::remote(self)
    }

    fn is_open(&self) -> bool {
        Peer::is_open(self)
    }
}

/// What a client is written with, as its requests say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Software {
    /// Its language.
    pub(crate) language: Language,
    /// Its protocol version.
    pub(crate) version: i32,
}

/// A consumer group that was heard of, or has changed.
#[derive(Debug, Clone)]
pub(crate) struct GroupChange<C> {
    /// The group.
    pub(crate) group: GroupName,
    /// Whether it consumes in a unit.
    pub(crate) unit_mode: bool,
    /// Members that must hear that the group has changed; none when it has not.
    pub(crate) tell: Vec<C>,
}

/// A consumer group that was taken in.
#[derive(Debug)]
struct Joined<C> {
    change: GroupChange<C>,
    /// Why some of its subscriptions were not.
    left_out: Vec<ClientError>,
}

/// What a heartbeat led to.
#[derive(Debug, Clone)]
pub(crate) struct Heard<C> {
    /// Every consumer group that was taken in: its retry topic must exist.
    pub(crate) changes: Vec<GroupChange<C>>,
    /// How many producer groups were.
    pub(crate) producers: usize,
    /// The groups that were not, or not with all that they subscribe to, and why.
    pub(crate) refused: Vec<(String, ClientError)>,
}

/// Who was silent for too long.
#[derive(Debug, Clone)]
pub(crate) struct Expired<C> {
    /// Connections to close; their clients have left all groups already.
    pub(crate) close: Vec<C>,
    /// Groups that lost members by it.
    pub(crate) changes: Vec<GroupChange<C>>,
}

/// Why a client is not taken in, or not found; its text is the remark for whoever asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum ClientError {
    /// Not a legal name.
    #[error(transparent)]
    Name(#[from] NameError),
    /// A subscription is to no topic, or is none at all.
    #[error("group[{group}] does not subscribe to topic {topic}")]
    Subscription {
        /// The group.
        group: GroupName,
        /// What it named, and what is wrong with that.
        topic: String,
    },
    /// The client id is too long.
    #[error("the client id has {len} bytes, the most is {limit}")]
    ClientIdTooLong {
        /// Bytes given.
        len: usize,
        /// [`CLIENT_ID_MAX`]
        limit: usize,
    },
    /// The group has all the members it may have.
    #[error("the group[{group}] has {limit} clients, and no more are taken in")]
    GroupFull {
        /// The group.
        group: GroupName,
        /// [`CLIENTS_PER_GROUP_MAX`]
        limit: usize,
    },
    /// The connection is in all the groups it may be in.
    #[error("the connection takes part in {limit} groups, and group[{group}] would be one more")]
    TooManyGroups {
        /// The group.
        group: GroupName,
        /// [`GROUPS_PER_CONNECTION_MAX`]
        limit: usize,
    },
    /// The broker has all the groups it may have.
    #[error("{limit} groups are connected, and group[{group}] would be one more")]
    TooManyGroupsOnline {
        /// The group.
        group: GroupName,
        /// [`GROUPS_ONLINE_MAX`]
        limit: usize,
    },
    /// The group subscribes to too many topics.
    #[error("the group[{group}] subscribes to {count} topics, the most is {limit}")]
    TooManySubscriptions {
        /// The group.
        group: GroupName,
        /// Topics given.
        count: usize,
        /// [`SUBSCRIPTIONS_PER_GROUP_MAX`]
        limit: usize,
    },
    /// What the group subscribes to is too large.
    #[error("the subscriptions of group[{group}] take {size} bytes, the most is {limit}")]
    SubscriptionsTooLarge {
        /// The group.
        group: GroupName,
        /// Bytes given.
        size: usize,
        /// [`SUBSCRIPTION_BYTES_PER_GROUP_MAX`]
        limit: usize,
    },
    /// What all groups subscribe to is too large.
    #[error("the subscriptions of all groups take {limit} bytes, and those of group[{group}] would be more")]
    NoRoomForSubscriptions {
        /// The group.
        group: GroupName,
        /// [`SUBSCRIPTION_BYTES_MAX`]
        limit: usize,
    },
    /// Nobody of that group is connected (asked for its members).
    #[error("no consumer for this group, {0}")]
    NoConsumer(String),
    /// Nobody of that group is connected (asked for its connections).
    #[error("the consumer group[{0}] not online")]
    NotOnline(String),
    /// No producer of that group is connected.
    #[error("the producer group[{0}] not exist")]
    NoProducer(String),
}

/// All connected clients.
#[derive(Debug)]
pub(crate) struct Clients<C> {
    state: Mutex<State<C>>,
    /// What each connected consumer group subscribes to; changed under the lock of `state` only.
    online: papaya::HashMap<GroupName, Arc<OnlineGroup>>,
}

#[derive(Debug)]
struct State<C> {
    consumers: HashMap<GroupName, ConsumerGroup<C>>,
    producers: HashMap<GroupName, ProducerGroup<C>>,
    connections: HashMap<u64, Memberships>,
    /// The connection of each producing client, to push replies to.
    producer_clients: HashMap<Arc<str>, C>,
    /// Consumer groups whose members do not subscribe to the same, and how the latest of them differs.
    disagreeing: BTreeMap<GroupName, String>,
    /// How often that was found.
    disagreements: u64,
    /// Bytes of the subscriptions of all consumer groups.
    subscription_bytes: usize,
}

/// Consumer groups whose members do not subscribe to the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Disagreements {
    /// How many such groups are connected.
    pub(crate) groups: usize,
    /// How often a member was found to differ, since the start.
    pub(crate) found: u64,
    /// Some of the groups, and how the latest member differs from the others.
    pub(crate) some: Vec<(GroupName, String)>,
}

impl<C: Channel> Default for Clients<C> {
    fn default() -> Self {
        Self::new()
    }
}

impl<C: Channel> Clients<C> {
    /// Nobody yet.
    #[must_use]
    pub(crate) fn new() -> Self {
        let state = State {
            consumers: HashMap::new(),
            producers: HashMap::new(),
            connections: HashMap::new(),
            producer_clients: HashMap::new(),
            disagreeing: BTreeMap::new(),
            disagreements: 0,
            subscription_bytes: 0,
        };
        Self { state: Mutex::new(state), online: papaya::HashMap::new() }
    }

    /// Takes in what a client says of its groups. The latest heartbeat decides what a group subscribes to, so members
    /// that disagree change it back and forth, as with Java.
    pub(crate) fn heartbeat(&self, from: &C, software: Software, data: &HeartbeatData, now: Duration) -> Heard<C> {
        let mut heard = Heard { changes: Vec::new(), producers: 0, refused: Vec::new() };
        let len = data.client_id.len();
        if len > CLIENT_ID_MAX {
            heard.refused.push((String::new(), ClientError::ClientIdTooLong { len, limit: CLIENT_ID_MAX }));
            return heard;
        }
        let member =
            Member { channel: from.clone(), client_id: data.client_id.as_str().into(), software, seen: now, wants: 0 };
        let mut state = self.state.lock();
        for consumer in &data.consumer_data_set {
            match self.join_consumer(&mut state, &member, consumer) {
                Ok(joined) => {
                    let name = || consumer.group_name.clone();
                    heard.refused.extend(joined.left_out.into_iter().map(|why| (name(), why)));
                    heard.changes.push(joined.change);
                }
                Err(why) => heard.refused.push((consumer.group_name.clone(), why)),
            }
        }
        for producer in &data.producer_data_set {
            match state.join_producer(&member, producer) {
                Ok(()) => heard.producers += 1,
                Err(why) => heard.refused.push((producer.group_name.clone(), why)),
            }
        }
        heard
    }

    /// Takes in what a member of a consumer group subscribes to, as its heartbeat would tell; `None` when it is none.
    pub(crate) fn resubscribe(
        &self,
        from: &C,
        group: &GroupName,
        wanted: &[SubscriptionData],
    ) -> Result<Option<GroupChange<C>>, ClientError> {
        let mut state = self.state.lock();
        let Some(known) = state.consumers.get(group) else { return Ok(None) };
        let Some(member) = known.members.get(&from.id()).cloned() else { return Ok(None) };
        let data = ConsumerData {
            group_name: group.to_string(),
            consume_type: known.online.consume_type,
            message_model: known.online.message_model,
            consume_from_where: known.online.from_where,
            subscription_data_set: wanted.to_vec(),
            unit_mode: false,
            unreadable: Vec::new(),
        };
        self.join_consumer(&mut state, &member, &data).map(|joined| Some(joined.change))
    }

    /// Takes a client out of a producer group, a consumer group, or both; says whom to tell.
    pub(crate) fn unregister(
        &self,
        from: &C,
        producer: Option<&str>,
        consumer: Option<&str>,
    ) -> Option<GroupChange<C>> {
        let mut state = self.state.lock();
        if let Some(group) = producer {
            state.leave_producer(from.id(), group);
        }
        let change = consumer.and_then(|group| self.leave_consumer(&mut state, from.id(), group));
        if state.connections.get(&from.id()).is_some_and(Memberships::is_empty) {
            state.connections.remove(&from.id());
        }
        change
    }

    /// Takes a closed connection out of all its groups; says whom to tell.
    pub(crate) fn disconnected(&self, conn: u64) -> Vec<GroupChange<C>> {
        self.drop_connection(&mut self.state.lock(), conn)
    }

    /// Takes out clients that were silent for longer than [`CLIENT_LIFETIME`] in one of their groups.
    pub(crate) fn expire(&self, now: Duration) -> Expired<C> {
        let mut state = self.state.lock();
        let silent = |member: &&Member<C>| now.saturating_sub(member.seen) > CLIENT_LIFETIME;
        let consumers = state.consumers.values().flat_map(|group| group.members.values()).filter(silent);
        let producers = state.producers.values().flat_map(|group| group.members.values()).filter(silent);
        let silent: BTreeMap<u64, C> =
            consumers.chain(producers).map(|member| (member.channel.id(), member.channel.clone())).collect();
        let changes = silent.keys().flat_map(|conn| self.drop_connection(&mut state, *conn)).collect();
        Expired { close: silent.into_values().collect(), changes }
    }

    /// A connected consumer group.
    #[must_use]
    pub(crate) fn group(&self, group: &str) -> Option<Arc<OnlineGroup>> {
        self.online.pin().get(group).cloned()
    }

    /// What a connected consumer group wants of a topic.
    #[must_use]
    pub(crate) fn subscription(&self, group: &str, topic: &str) -> Option<Arc<Subscription>> {
        self.online.pin().get(group)?.subscriptions.get(topic).cloned()
    }

    /// Connected consumer groups that subscribe to a topic, in order of their names.
    #[must_use]
    pub(crate) fn groups_on(&self, topic: &str) -> Vec<GroupName> {
        let online = self.online.pin();
        let subscribed = online.iter().filter(|(_, group)| group.subscriptions.contains_key(topic));
        let mut names: Vec<_> = subscribed.map(|(name, _)| name.clone()).collect();
        names.sort();
        names
    }

    /// Consumer groups whose members do not subscribe to the same; at most `most` of them by name.
    #[must_use]
    pub(crate) fn disagreements(&self, most: usize) -> Disagreements {
        let state = self.state.lock();
        let some = state.disagreeing.iter().take(most).map(|(group, how)| (group.clone(), how.clone())).collect();
        Disagreements { groups: state.disagreeing.len(), found: state.disagreements, some }
    }

    /// The client ids of a consumer group, sorted, each once.
    ///
    /// # Errors
    /// When nobody of it is connected.
    pub(crate) fn client_ids(&self, group: &str) -> Result<Vec<String>, ClientError> {
        let state = self.state.lock();
        let group = state.consumers.get(group).ok_or_else(|| ClientError::NoConsumer(group.to_owned()))?;
        let ids: BTreeSet<&str> = group.members.values().map(|member| &*member.client_id).collect();
        Ok(ids.into_iter().map(str::to_owned).collect())
    }

    /// The client id of the member of a consumer group that has this connection.
    #[must_use]
    pub(crate) fn client_id(&self, group: &str, conn: u64) -> Option<String> {
        let state = self.state.lock();
        Some(state.consumers.get(group)?.members.get(&conn)?.client_id.to_string())
    }

    /// The connection of one member of a consumer group.
    #[must_use]
    pub(crate) fn consumer(&self, group: &str, client_id: &str) -> Option<C> {
        let state = self.state.lock();
        let mut members = state.consumers.get(group)?.members.values();
        members.find(|member| &*member.client_id == client_id).map(|member| member.channel.clone())
    }

    /// All members of a consumer group: client ids and connections.
    #[must_use]
    pub(crate) fn consumers(&self, group: &str) -> Vec<(String, C)> {
        let state = self.state.lock();
        let members = state.consumers.get(group).into_iter().flat_map(|group| group.members.values());
        members.map(|member| (member.client_id.to_string(), member.channel.clone())).collect()
    }

    /// The connection of a producing client.
    #[must_use]
    pub(crate) fn producer(&self, client_id: &str) -> Option<C> {
        self.state.lock().producer_clients.get(client_id).cloned()
    }

    /// A connection of a producer group that `fits`, each in turn; closed ones are passed over.
    #[must_use]
    pub(crate) fn next_producer(&self, group: &str, fits: impl Fn(&C) -> bool) -> Option<C> {
        self.state.lock().producers.get_mut(group)?.next(fits)
    }

    /// A consumer group as operators see it.
    ///
    /// # Errors
    /// When nobody of it is connected.
    pub(crate) fn consumer_connection(&self, group: &str) -> Result<ConsumerConnection, ClientError> {
        let state = self.state.lock();
        let known = state.consumers.get(group).ok_or_else(|| ClientError::NotOnline(group.to_owned()))?;
        let online = &known.online;
        let subscription = |(topic, wanted): (&TopicName, &Arc<Subscription>)| (topic.to_string(), wanted.to_body());
        Ok(ConsumerConnection {
            connection_set: connections(&known.members),
            consume_from_where: online.from_where,
            consume_type: online.consume_type,
            message_model: online.message_model,
            subscription_table: online.subscriptions.iter().map(subscription).collect(),
        })
    }

    /// A producer group as operators see it.
    ///
    /// # Errors
    /// When nobody of it is connected.
    pub(crate) fn producer_connection(&self, group: &str) -> Result<ProducerConnection, ClientError> {
        let state = self.state.lock();
        let known = state.producers.get(group).ok_or_else(|| ClientError::NoProducer(group.to_owned()))?;
        Ok(ProducerConnection { connection_set: connections(&known.members) })
    }

    /// All producers by group. `now` is the clock that heartbeats were noted by, `wall_ms` the time of day at it.
    pub(crate) fn all_producers(&self, now: Duration, wall_ms: i64) -> ProducerTable {
        let info = |member: &Member<C>| ProducerInfo {
            client_id: member.client_id.to_string(),
            remote_ip: format!("/{}", member.channel.remote()),
            language: member.software.language.name().to_owned(),
            version: member.software.version,
            last_update_timestamp: wall_ms
                .saturating_sub(i64::try_from(now.saturating_sub(member.seen).as_millis()).unwrap_or(i64::MAX)),
        };
        let groups = &self.state.lock().producers;
        ProducerTable {
            data: groups
                .iter()
                .map(|(name, group)| (name.to_string(), group.members.values().map(info).collect()))
                .collect(),
        }
    }
}

fn connections<C: Channel>(members: &BTreeMap<u64, Member<C>>) -> Vec<Connection> {
    let connection = |member: &Member<C>| Connection {
        client_addr: member.channel.remote().to_string(),
        client_id: member.client_id.to_string(),
        language: member.software.language.name().to_owned(),
        version: member.software.version,
    };
    members.values().map(connection).collect()
}

#[cfg(test)]
mod tests;
