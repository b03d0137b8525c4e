//! Which broker serves which topic, and which broker is still alive.
//!
//! Plain state: time, connections and bytes stay outside. A broker name stands for one set of replicas; each replica is
//! a member with an id (0 is the primary). Only the primary's registration brings topics. A registration adds and
//! changes topics and never takes one away, because brokers also register single new topics.

mod names;
#[cfg(test)]
mod tests;
mod views;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use kerolox_wire::body::{DataVersion, TopicConfig, TopicConfigTable};

pub use views::{Size, Unit, clusters_body, route_body};

/// Id of the primary among a broker's replicas.
pub const PRIMARY_ID: i64 = 0;
/// A primary that registered within this time is not replaced by a stranger. Brokers register every 60 s at least.
pub const TAKEOVER_AFTER: Duration = Duration::from_secs(75);

/// Most topics in one registration.
pub const REGISTRATION_TOPICS_MAX: usize = 200_000;
/// Most topics known in all.
pub const TOPICS_MAX: usize = 1_000_000;
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

const _: () = assert!(REGISTRATION_TOPICS_MAX <= TOPICS_MAX);

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
    /// Another node is the primary and alive.
    #[error(
        "broker {broker} has a primary at {owner}, which registered {age:?} ago; {addr} may follow when it is gone"
    )]
    OwnerAlive {
        /// Broker name.
        broker: String,
        /// The primary's address.
        owner: String,
        /// Time since it registered.
        age: Duration,
        /// Who wanted its place.
        addr: String,
    },
    /// A limit of this name server.
    #[error("the limit of {limit} {what} is reached")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
}

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

#[derive(Debug)]
struct Broker {
    cluster: String,
    members: BTreeMap<i64, Member>,
}

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
    topics: BTreeMap<String, Vec<Queues>>,
}

impl Routes {
    /// Nothing known yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a registration in whole, or refuses it and changes nothing.
    ///
    /// Who may be primary: the reference lets anybody replace the primary of a name at any time, so that two brokers
    /// configured alike take turns and messages seem lost, and a stranger can draw a broker's traffic to itself. Here
    /// the place is free when its owner is gone or silent for [`TAKEOVER_AFTER`], and a registered replica of the same
    /// name may take it at once, which is what a fail-over looks like. Any other node is refused while the owner lives.
    ///
    /// # Errors
    /// When a name, an address or a limit is broken, or the name has another living primary.
    pub fn register(&mut self, registration: Registration, now: Duration) -> Result<Registered, RegisterError> {
        names::check(&registration)?;
        self.check_owner(&registration, now)?;
        self.check_limits(&registration)?;
        let Registration { cluster, broker: name, id, addr, ha_addr, connection, topics } = registration;
        let name: Arc<str> = name.into();
        let broker = self
            .brokers
            .entry(Arc::clone(&name))
            .or_insert_with(|| Broker { cluster: String::new(), members: BTreeMap::new() });
        broker.cluster = cluster;
        // A replica that became primary must not stay listed under its old id.
        broker.members.retain(|known, member| *known == id || member.addr != addr);
        let version = topics.data_version;
        let member = Member { addr, ha_addr, version, registered: now, connection };
        let before = broker.members.insert(id, member);
        let member_addr = broker.members.get(&id).map(|m| m.addr.as_str()).unwrap_or_default();
        let same = before.as_ref().filter(|old| old.addr == member_addr);
        let mut registered = Registered {
            new: before.is_none(),
            replaced: before.as_ref().filter(|_| same.is_none()).map(|old| old.addr.clone()),
            ..Registered::default()
        };
        if id == PRIMARY_ID {
            if same.is_none_or(|old| old.version != version) {
                registered.skipped = self.take_topics(&name, topics);
            }
        } else {
            registered.primary = broker.members.get(&PRIMARY_ID).map(|m| (m.addr.clone(), m.ha_addr.clone()));
        }
        Ok(registered)
    }

    /// The version of its topics that a member last registered; none when it is unknown at that address.
    #[must_use]
    pub fn version(&self, broker: &str, id: i64, addr: &str) -> Option<DataVersion> {
        self.member(broker, id, addr).map(|member| member.version)
    }

    /// Notes that a member is alive.
    pub fn touch(&mut self, broker: &str, id: i64, addr: &str, now: Duration) {
        let member = self.brokers.get_mut(broker).and_then(|broker| broker.members.get_mut(&id));
        if let Some(member) = member.filter(|member| member.addr == addr) {
            member.registered = now;
        }
    }

    /// Takes a member out, at its own wish. One that was replaced meanwhile takes nobody else out.
    pub fn unregister(&mut self, broker: &str, id: i64, addr: &str) -> Option<Gone> {
        self.member(broker, id, addr)?;
        self.remove(broker, id)
    }

    /// Takes out all members that registered over a connection which has ended.
    pub fn disconnected(&mut self, connection: u64) -> Vec<Gone> {
        self.remove_where(|member| member.connection == connection)
    }

    /// Takes out all members that have been silent for longer than `limit`.
    pub fn expire(&mut self, now: Duration, limit: Duration) -> Vec<Gone> {
        self.remove_where(|member| now.saturating_sub(member.registered) > limit)
    }

    /// Whether any member registered over this connection.
    #[must_use]
    pub fn is_registered_over(&self, connection: u64) -> bool {
        self.brokers.values().flat_map(|broker| broker.members.values()).any(|m| m.connection == connection)
    }

    /// Forgets a topic on all brokers, until one registers it anew.
    pub fn delete_topic(&mut self, topic: &str) -> bool {
        self.topics.remove(topic).is_some()
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
        let mut count = 0;
        for queues in self.topics.values_mut().flatten().filter(|queues| &*queues.broker == broker) {
            change(queues);
            count += 1;
        }
        count
    }

    fn member(&self, broker: &str, id: i64, addr: &str) -> Option<&Member> {
        self.brokers.get(broker)?.members.get(&id).filter(|member| member.addr == addr)
    }

    fn check_owner(&self, registration: &Registration, now: Duration) -> Result<(), RegisterError> {
        let Registration { broker: name, id, addr, .. } = registration;
        let Some(broker) = self.brokers.get(name.as_str()).filter(|_| *id == PRIMARY_ID) else { return Ok(()) };
        let Some(owner) = broker.members.get(&PRIMARY_ID).filter(|owner| owner.addr != *addr) else { return Ok(()) };
        let age = now.saturating_sub(owner.registered);
        let is_replica = broker.members.values().any(|member| member.addr == *addr);
        if is_replica || age > TAKEOVER_AFTER {
            return Ok(());
        }
        let (broker, owner, addr) = (name.clone(), owner.addr.clone(), addr.clone());
        Err(RegisterError::OwnerAlive { broker, owner, age, addr })
    }

    fn check_limits(&self, registration: &Registration) -> Result<(), RegisterError> {
        let too_many = |what, limit| Err(RegisterError::TooMany { what, limit });
        match self.brokers.get(registration.broker.as_str()) {
            None if self.brokers.len() >= BROKERS_MAX => return too_many("broker names", BROKERS_MAX),
            Some(broker) if broker.members.len() >= REPLICAS_MAX && !broker.members.contains_key(&registration.id) => {
                return too_many("replicas of a broker", REPLICAS_MAX);
            }
            _ => {}
        }
        let topics = &registration.topics.topic_config_table;
        if topics.len() > REGISTRATION_TOPICS_MAX {
            return too_many("topics in a registration", REGISTRATION_TOPICS_MAX);
        }
        // Only near the limit is it worth to count which of them are new.
        if self.topics.len() + topics.len() > TOPICS_MAX {
            let new = topics.keys().filter(|name| !self.topics.contains_key(*name)).count();
            if self.topics.len() + new > TOPICS_MAX {
                return too_many("topics", TOPICS_MAX);
            }
        }
        Ok(())
    }

    /// Adds or changes the topics of a primary; returns those it had to leave out.
    fn take_topics(&mut self, broker: &Arc<str>, table: TopicConfigTable) -> Vec<String> {
        let cluster = self.brokers.get(broker).map(|b| b.cluster.clone()).unwrap_or_default();
        let mut skipped: Vec<String> = table.unreadable.into_iter().map(|topic| topic.key).collect();
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
            let known = self.topics.entry(name).or_default();
            match known.iter_mut().find(|q| q.broker == *broker) {
                Some(old) => *old = queues,
                None => known.push(queues),
            }
        }
        skipped
    }

    fn remove_where(&mut self, is_gone: impl Fn(&Member) -> bool) -> Vec<Gone> {
        let found: Vec<_> = self
            .brokers
            .iter()
            .flat_map(|(name, broker)| broker.members.iter().map(move |(id, member)| (name, *id, member)))
            .filter(|(_, _, member)| is_gone(member))
            .map(|(name, id, _)| (Arc::clone(name), id))
            .collect();
        found.into_iter().filter_map(|(name, id)| self.remove(&name, id)).collect()
    }

    fn remove(&mut self, name: &str, id: i64) -> Option<Gone> {
        let broker = self.brokers.get_mut(name)?;
        let member = broker.members.remove(&id)?;
        let last = broker.members.is_empty();
        if last {
            self.brokers.remove(name);
            self.topics.retain(|_, known| {
                known.retain(|queues| &*queues.broker != name);
                !known.is_empty()
            });
        }
        Some(Gone { broker: name.to_owned(), id, addr: member.addr, connection: member.connection, last })
    }
}

fn has_legal_numbers(config: &TopicConfig) -> bool {
    (0..=QUEUES_MAX).contains(&config.read_queue_nums)
        && (0..=QUEUES_MAX).contains(&config.write_queue_nums)
        && (0..=PERM_MAX).contains(&config.perm)
}
