//! Which broker serves which topic, and which broker is still alive.
//!
//! Plain state: time, connections and bytes stay outside. A broker name stands for one set of replicas; each replica is
//! a member with an id (0 is the primary) and belongs to the connection that registered it, see `owners`.
//! Only the primary's registration brings topics. A registration adds and
//! changes topics and never takes one away, because brokers also register single new topics.

mod names;
mod owners;
#[cfg(test)]
mod tests;
mod views;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use kerolox_wire::body::{DataVersion, TopicConfig, TopicConfigTable};

pub use views::{Size, Unit, clusters_body, route_body};

/// Id of the primary among a broker's replicas.
pub const PRIMARY_ID: i64 = 0;
/// A member that registered within this time is not replaced while its connection lives. Brokers register every 60 s at
/// least.
pub const TAKEOVER_AFTER: Duration = Duration::from_secs(75);

/// Most topics of one connection's brokers.
pub const CONNECTION_TOPICS_MAX: usize = 200_000;
/// Most topics known in all, each counted once for each broker that has it.
pub const TOPICS_MAX: usize = 2_000_000;
/// Most members that one connection registers: a broker has a connection of its own, a container of them shares one.
pub const CONNECTION_MEMBERS_MAX: usize = 64;
/// Most members of one broker name over one connection.
pub const CONNECTION_REPLICAS_MAX: usize = 8;
/// Most broker names.
pub const BROKERS_MAX: usize = 4096;
/// Most replicas of one broker name.
pub const REPLICAS_MAX: usize = 64;
/// Most queues of a topic on one broker.
const QUEUES_MAX: i32 = 65_535;
/// Permission bit for sending.
const PERM_WRITE: i32 = 2;
/// Permission to send and to receive.
const PERM_READ_WRITE: i32 = 6;
/// All permission bits there are: priority, read, write, inherit.
const PERM_MAX: i32 = 15;

const _: () = assert!(CONNECTION_TOPICS_MAX <= TOPICS_MAX && CONNECTION_MEMBERS_MAX <= BROKERS_MAX);

/// What a broker says of itself.
#[derive(Debug, Clone)]
pub struct Registration {
    /// Cluster it belongs to.
    pub cluster: String,
    /// Name shared by its replicas.
    pub broker: String,
    /// Its id among them.
    pub id: i64,
    /// Address that clients are told.
    pub addr: String,
    /// Address for replicas.
    pub ha_addr: String,
    /// The connection it registers over; its end ends the registration.
    pub connection: u64,
    /// Its topics, all or some, and the version of the whole.
    pub topics: TopicConfigTable,
}

/// What a registration brought about.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Registered {
    /// For a replica: address and replication address of its primary.
    pub primary: Option<(String, String)>,
    /// Whether this member was unknown.
    pub new: bool,
    /// The address that this one replaced under the same id.
    pub replaced: Option<String>,
    /// Topics left out because their name or numbers are not legal.
    pub skipped: Vec<String>,
    /// Connections that lost members to this registration, to be closed.
    pub displaced: Vec<u64>,
}

/// Why a registration is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegisterError {
    /// A name that is empty, too long or holds other characters than letters, digits and `%|_-.`.
    #[error("{what} {text:?} is not a legal name")]
    Name {
        /// Which name.
        what: &'static str,
        /// What was given, cut.
        text: String,
    },
    /// Not `host:port`.
    #[error("{what} {text:?} is not an address of the form host:port")]
    Address {
        /// Which address.
        what: &'static str,
        /// What was given, cut.
        text: String,
    },
    /// The id or the address belongs to a member that another connection registered.
    #[error(
        "id {id} of broker {broker} belongs to {owner}, which registered {age:?} ago over another connection; {addr} may \
         follow when that one is gone or does not answer"
    )]
    OwnerAlive {
        /// Broker name.
        broker: String,
        /// Id of the owner.
        id: i64,
        /// The owner's address.
        owner: String,
        /// Time since it registered.
        age: Duration,
        /// Address of the refused registration.
        addr: String,
        /// The owner's connection.
        connection: u64,
    },
    /// A replica names another cluster than its broker has.
    #[error("broker {broker} belongs to cluster {cluster}, which only its primary changes")]
    OtherCluster {
        /// Broker name.
        broker: String,
        /// Its cluster.
        cluster: String,
    },
    /// A limit of this name server, or of one connection to it.
    #[error("the limit of {limit} {what} is reached")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

/// A member that another connection registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("another connection registered this broker; only that one unregisters it")]
pub struct NotItsOwn;

/// A member that is no longer known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// Broker name.
    pub broker: String,
    /// Id among the replicas.
    pub id: i64,
    /// Address.
    pub addr: String,
    /// Connection it had registered over.
    pub connection: u64,
    /// Whether the name, and with it its topics' routes, went with its last member.
    pub last: bool,
}

#[derive(Debug)]
struct Member {
    addr: String,
    ha_addr: String,
    version: DataVersion,
    registered: Duration,
    connection: u64,
}

#[derive(Debug, Default)]
struct Broker {
    cluster: String,
    members: BTreeMap<i64, Member>,
    /// The topics that its primaries registered.
    topics: BTreeSet<Arc<str>>,
}

/// Name of a broker and id among its replicas.
type MemberKey = (Arc<str>, i64);

/// A topic's queues on one broker.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Queues {
    broker: Arc<str>,
    perm: i32,
    read: i32,
    write: i32,
    sys_flag: i32,
}

/// The routing tables.
#[derive(Debug, Default)]
pub struct Routes {
    brokers: BTreeMap<Arc<str>, Broker>,
    topics: BTreeMap<Arc<str>, Vec<Queues>>,
    /// The members that each connection registered.
    connections: HashMap<u64, BTreeSet<MemberKey>>,
    /// The member that last registered with each address.
    addresses: HashMap<String, MemberKey>,
    /// Topics, each counted once for each broker.
    entries: usize,
}

impl Routes {
    /// Nothing known yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a registration in whole, or refuses it and changes nothing.
    ///
    /// The reference lets any peer replace any member at any time, so that two brokers configured alike take turns and a
    /// stranger can draw a broker's traffic to itself. Here an id and an address belong to the connection that
    /// registered them until it ends, `is_lost` says that it no longer answers, or the member was silent for
    /// [`TAKEOVER_AFTER`].
    ///
    /// # Errors
    /// When a name, an address or a limit is broken, or the id or address belongs to another living member.
    pub fn register(
        &mut self,
        registration: Registration,
        now: Duration,
        is_lost: impl Fn(u64) -> bool,
    ) -> Result<Registered, RegisterError> {
        names::check(&registration)?;
        let stale = self.check_owners(&registration, now, is_lost)?;
        self.check_cluster(&registration)?;
        self.check_own_limits(&registration)?;
        let mut displaced = self.make_room(&registration)?;
        let name: Arc<str> = registration.broker.as_str().into();
        let slot = (Arc::clone(&name), registration.id);
        let before = self.brokers.get(&name).and_then(|broker| broker.members.get(&registration.id));
        let before = before.map(|member| (member.addr.clone(), member.version));
        let former = stale.iter().filter_map(|key| self.connection_of(key));
        displaced.extend(former.filter(|connection| *connection != registration.connection));
        for key in stale.into_iter().filter(|key| *key != slot) {
            self.take_out(&key, &name);
        }
        Ok(self.insert(slot, registration, before.as_ref(), displaced, now))
    }

    /// Enters a member whose place is free; `before` is the address and version that it had.
    fn insert(
        &mut self,
        slot: MemberKey,
        registration: Registration,
        before: Option<&(String, DataVersion)>,
        displaced: Vec<u64>,
        now: Duration,
    ) -> Registered {
        let Registration { cluster, addr, ha_addr, connection, topics, .. } = registration;
        let version = topics.data_version;
        let same = before.filter(|(old, _)| *old == addr);
        let unchanged = same.is_some_and(|(_, old)| *old == version);
        let mut registered = Registered {
            new: before.is_none(),
            replaced: before.filter(|_| same.is_none()).map(|(old, _)| old.clone()),
            displaced,
            ..Registered::default()
        };
        let (name, id) = slot.clone();
        self.addresses.insert(addr.clone(), slot.clone());
        let broker = self.brokers.entry(Arc::clone(&name)).or_default();
        broker.cluster = cluster;
        let old = broker.members.insert(id, Member { addr, ha_addr, version, registered: now, connection });
        if id != PRIMARY_ID {
            registered.primary = broker.members.get(&PRIMARY_ID).map(|m| (m.addr.clone(), m.ha_addr.clone()));
        }
        if let Some(old) = old {
            self.forget_links(&slot, &old, connection);
        }
        self.connections.entry(connection).or_default().insert(slot);
        if id == PRIMARY_ID && !unchanged {
            registered.skipped = self.take_topics(&name, topics);
        }
        registered
    }

    /// The version of its topics that a member last registered over this connection; none when there is no such member.
    #[must_use]
    pub fn version(&self, broker: &str, id: i64, addr: &str, connection: u64) -> Option<DataVersion> {
        self.member(broker, id, addr).filter(|member| member.connection == connection).map(|member| member.version)
    }

    /// Notes that a member is alive, over the connection that registered it.
    pub fn touch(&mut self, broker: &str, id: i64, addr: &str, connection: u64, now: Duration) {
        let member = self.brokers.get_mut(broker).and_then(|broker| broker.members.get_mut(&id));
        if let Some(member) = member.filter(|member| member.addr == addr && member.connection == connection) {
            member.registered = now;
        }
    }

    /// Takes a member out at its own request; none when there is no such member.
    ///
    /// # Errors
    /// When another connection registered it.
    pub fn unregister(
        &mut self,
        broker: &str,
        id: i64,
        addr: &str,
        connection: u64,
    ) -> Result<Option<Gone>, NotItsOwn> {
        match self.member(broker, id, addr) {
            None => Ok(None),
            Some(member) if member.connection != connection => Err(NotItsOwn),
            Some(_) => Ok(self.remove(broker, id)),
        }
    }

    /// Takes out all members that registered over a connection which has ended.
    pub fn disconnected(&mut self, connection: u64) -> Vec<Gone> {
        let members = self.connections.remove(&connection).unwrap_or_default();
        members.into_iter().filter_map(|(name, id)| self.remove(&name, id)).collect()
    }

    /// Takes out all members that have been silent for longer than `limit`.
    pub fn expire(&mut self, now: Duration, limit: Duration) -> Vec<Gone> {
        let members = |(name, broker): (&Arc<str>, &Broker)| -> Vec<MemberKey> {
            let silent = broker.members.iter().filter(|(_, m)| now.saturating_sub(m.registered) > limit);
            silent.map(|(id, _)| (Arc::clone(name), *id)).collect()
        };
        let silent: Vec<MemberKey> = self.brokers.iter().flat_map(members).collect();
        silent.into_iter().filter_map(|(name, id)| self.remove(&name, id)).collect()
    }

    /// Whether any member registered over this connection.
    #[must_use]
    pub fn is_registered_over(&self, connection: u64) -> bool {
        self.connections.contains_key(&connection)
    }

    /// Whether some broker has the topic.
    #[must_use]
    pub fn has_topic(&self, topic: &str) -> bool {
        self.topics.contains_key(topic)
    }

    /// Forgets a topic on all brokers, until one registers it anew.
    pub fn delete_topic(&mut self, topic: &str) -> bool {
        let Some(known) = self.topics.remove(topic) else { return false };
        self.entries = self.entries.saturating_sub(known.len());
        for queues in known {
            if let Some(broker) = self.brokers.get_mut(&queues.broker) {
                broker.topics.remove(topic);
            }
        }
        true
    }

    /// Takes the write permission off all topics of a broker, until it registers a change; says how many there are.
    pub fn wipe_write(&mut self, broker: &str) -> usize {
        self.each_topic_of(broker, |queues| queues.perm &= !PERM_WRITE)
    }

    /// Gives all topics of a broker read and write permission; says how many there are.
    pub fn add_write(&mut self, broker: &str) -> usize {
        self.each_topic_of(broker, |queues| queues.perm = PERM_READ_WRITE)
    }

    fn each_topic_of(&mut self, broker: &str, change: impl Fn(&mut Queues)) -> usize {
        let Some(topics) = self.brokers.get(broker).map(|broker| &broker.topics) else { return 0 };
        for topic in topics {
            let known = self.topics.get_mut(topic).into_iter().flatten();
            known.filter(|queues| &*queues.broker == broker).for_each(&change);
        }
        topics.len()
    }

    fn member(&self, broker: &str, id: i64, addr: &str) -> Option<&Member> {
        self.brokers.get(broker)?.members.get(&id).filter(|member| member.addr == addr)
    }

    /// Adds or changes the topics of a primary; returns those it had to leave out.
    fn take_topics(&mut self, broker: &Arc<str>, table: TopicConfigTable) -> Vec<String> {
        let cluster = self.brokers.get(broker).map(|b| b.cluster.clone()).unwrap_or_default();
        let mut skipped: Vec<String> = table.unreadable.into_iter().map(|topic| topic.key).collect();
        let mut added = Vec::new();
        for (key, config) in table.topic_config_table {
            let name = if config.topic_name.is_empty() { key } else { config.topic_name.clone() };
            // Brokers make topics of their own and their cluster's name, and default to the name of their host.
            let legal = names::is_topic(&name) || name == **broker || name == cluster;
            if !legal || !has_legal_numbers(&config) {
                skipped.push(name);
                continue;
            }
            let queues = Queues {
                broker: Arc::clone(broker),
                perm: config.perm,
                read: config.read_queue_nums,
                write: config.write_queue_nums,
                sys_flag: config.topic_sys_flag,
            };
            let name: Arc<str> = name.into();
            let known = self.topics.entry(Arc::clone(&name)).or_default();
            match known.iter_mut().find(|q| q.broker == *broker) {
                Some(old) => *old = queues,
                None => {
                    known.push(queues);
                    added.push(name);
                }
            }
        }
        self.entries = self.entries.saturating_add(added.len());
        if let Some(broker) = self.brokers.get_mut(broker) {
            broker.topics.extend(added);
        }
        skipped
    }

    fn remove(&mut self, name: &str, id: i64) -> Option<Gone> {
        let (key, broker) = self.brokers.get_key_value(name)?;
        let slot = (Arc::clone(key), id);
        let last = broker.members.len() == 1;
        let member = self.brokers.get_mut(name)?.members.remove(&id)?;
        self.forget_links(&slot, &member, 0);
        if last {
            let topics = self.brokers.remove(name).map(|broker| broker.topics).unwrap_or_default();
            self.remove_queues(name, &topics);
        }
        Some(Gone { broker: name.to_owned(), id, addr: member.addr, connection: member.connection, last })
    }

    /// Forgets the queues that a broker has of its topics.
    fn remove_queues(&mut self, broker: &str, topics: &BTreeSet<Arc<str>>) {
        for topic in topics {
            let Some(known) = self.topics.get_mut(topic) else { continue };
            known.retain(|queues| &*queues.broker != broker);
            if known.is_empty() {
                self.topics.remove(topic);
            }
        }
        self.entries = self.entries.saturating_sub(topics.len());
    }
}

fn has_legal_numbers(config: &TopicConfig) -> bool {
    (0..=QUEUES_MAX).contains(&config.read_queue_nums)
        && (0..=QUEUES_MAX).contains(&config.write_queue_nums)
        && (0..=PERM_MAX).contains(&config.perm)
}
