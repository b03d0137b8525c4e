//! Whose an id and an address are, how much one connection may register, and who makes room when a table is full.
//!
//! Limits count for a connection first. A limit of the whole is never a reason to refuse a connection that has little:
//! the one that has most gives way.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::{
    BROKERS_MAX, CONNECTION_MEMBERS_MAX, CONNECTION_REPLICAS_MAX, CONNECTION_TOPICS_MAX, Member, MemberKey, PRIMARY_ID,
    REPLICAS_MAX, RegisterError, Registration, Routes, TAKEOVER_AFTER, TOPICS_MAX,
};

impl Routes {
    /// The members that this registration takes the place of: those with its id or its address.
    ///
    /// # Errors
    /// When one of them belongs to another connection that lives.
    pub(super) fn check_owners(
        &self,
        registration: &Registration,
        now: Duration,
        is_lost: impl Fn(u64) -> bool,
    ) -> Result<Vec<MemberKey>, RegisterError> {
        let mut stale = Vec::new();
        for key in self.rivals(registration) {
            let Some(owner) = self.by_key(&key) else { continue };
            let age = now.saturating_sub(owner.registered);
            let own = owner.connection == registration.connection;
            if own && key.0.as_ref() != registration.broker {
                // Brokers in one process may share an address.
                continue;
            }
            if !own && age <= TAKEOVER_AFTER && !is_lost(owner.connection) {
                return Err(RegisterError::OwnerAlive {
                    broker: key.0.to_string(),
                    id: key.1,
                    owner: owner.addr.clone(),
                    age,
                    addr: registration.addr.clone(),
                    connection: owner.connection,
                });
            }
            stale.push(key);
        }
        Ok(stale)
    }

    /// Members with the id or the address of a registration.
    fn rivals(&self, registration: &Registration) -> BTreeSet<MemberKey> {
        let mut rivals: BTreeSet<MemberKey> = self.addresses.get(&registration.addr).cloned().into_iter().collect();
        if let Some((name, broker)) = self.brokers.get_key_value(registration.broker.as_str()) {
            let same = |(id, member): &(&i64, &Member)| **id == registration.id || member.addr == registration.addr;
            rivals.extend(broker.members.iter().filter(same).map(|(id, _)| (Arc::clone(name), *id)));
        }
        rivals
    }

    /// A replica must not carry its broker into another cluster.
    pub(super) fn check_cluster(&self, registration: &Registration) -> Result<(), RegisterError> {
        let Some(broker) = self.brokers.get(registration.broker.as_str()) else { return Ok(()) };
        let alone = broker.members.keys().all(|id| *id == registration.id);
        if registration.id == PRIMARY_ID || alone || broker.cluster == registration.cluster {
            return Ok(());
        }
        Err(RegisterError::OtherCluster { broker: registration.broker.clone(), cluster: broker.cluster.clone() })
    }

    /// What one connection may register, whatever others have.
    pub(super) fn check_own_limits(&self, registration: &Registration) -> Result<(), RegisterError> {
        let too_many = |what, limit| Err(RegisterError::TooMany { what, limit });
        let name = registration.broker.as_str();
        let known = |own: &BTreeSet<MemberKey>| own.iter().any(|(n, id)| n.as_ref() == name && *id == registration.id);
        if let Some(own) = self.connections.get(&registration.connection).filter(|own| !known(own)) {
            if own.len() >= CONNECTION_MEMBERS_MAX {
                return too_many("brokers of a connection", CONNECTION_MEMBERS_MAX);
            }
            if own.iter().filter(|(n, _)| n.as_ref() == name).count() >= CONNECTION_REPLICAS_MAX {
                return too_many("replicas of a broker over one connection", CONNECTION_REPLICAS_MAX);
            }
        }
        let own = self.topics_of_connection(registration.connection);
        if own.saturating_add(self.new_topics(registration)) > CONNECTION_TOPICS_MAX {
            return too_many("topics of a connection's brokers", CONNECTION_TOPICS_MAX);
        }
        Ok(())
    }

    /// Where a table is full, the connection that has most in it loses its members; returns the connections that did.
    ///
    /// # Errors
    /// When no connection has more than the one that registers.
    pub(super) fn make_room(&mut self, registration: &Registration) -> Result<Vec<u64>, RegisterError> {
        let mut displaced = Vec::new();
        while let Some((what, limit)) = self.full_table(registration) {
            let heaviest = self.heaviest(registration, what);
            let Some(connection) = heaviest else { return Err(RegisterError::TooMany { what: what.name(), limit }) };
            self.disconnected(connection);
            displaced.push(connection);
        }
        Ok(displaced)
    }

    fn full_table(&self, registration: &Registration) -> Option<(Table, usize)> {
        let broker = self.brokers.get(registration.broker.as_str());
        match broker {
            None if self.brokers.len() >= BROKERS_MAX => return Some((Table::Brokers, BROKERS_MAX)),
            Some(broker) if broker.members.len() >= REPLICAS_MAX && !broker.members.contains_key(&registration.id) => {
                return Some((Table::Replicas, REPLICAS_MAX));
            }
            _ => {}
        }
        let topics = &registration.topics.topic_config_table;
        // Only near the limit is it worth to count which of them are new.
        let full = self.entries.saturating_add(topics.len()) > TOPICS_MAX
            && self.entries.saturating_add(self.new_topics(registration)) > TOPICS_MAX;
        full.then_some((Table::Topics, TOPICS_MAX))
    }

    /// The connection that takes up most of a table, if that is more than the registering one would have.
    fn heaviest(&self, registration: &Registration, table: Table) -> Option<u64> {
        let name = registration.broker.as_str();
        let weight = |connection: u64| match (table, self.connections.get(&connection)) {
            (_, None) => 0,
            (Table::Brokers, Some(own)) => own.len(),
            (Table::Replicas, Some(own)) => own.iter().filter(|(n, _)| n.as_ref() == name).count(),
            (Table::Topics, Some(_)) => self.topics_of_connection(connection),
        };
        let more = match table {
            Table::Brokers | Table::Replicas => 1,
            Table::Topics => self.new_topics(registration),
        };
        let wanted = weight(registration.connection).saturating_add(more);
        let others = self.connections.keys().copied().filter(|connection| *connection != registration.connection);
        // Of equal ones the youngest.
        let heaviest = others.map(|connection| (weight(connection), connection)).max();
        heaviest.filter(|(weight, _)| *weight > wanted).map(|(_, connection)| connection)
    }

    fn topics_of_connection(&self, connection: u64) -> usize {
        let own = self.connections.get(&connection).into_iter().flatten();
        let primaries = own.filter(|(_, id)| *id == PRIMARY_ID);
        primaries.filter_map(|(name, _)| self.brokers.get(name)).map(|broker| broker.topics.len()).sum()
    }

    /// How many topics of a registration its broker does not have yet.
    fn new_topics(&self, registration: &Registration) -> usize {
        if registration.id != PRIMARY_ID {
            return 0;
        }
        let topics = registration.topics.topic_config_table.keys();
        match self.brokers.get(registration.broker.as_str()) {
            None => topics.len(),
            Some(broker) => topics.filter(|topic| !broker.topics.contains(topic.as_str())).count(),
        }
    }

    /// Takes a member out that gives way to one of broker `successor`, whose topics stay.
    pub(super) fn take_out(&mut self, key: &MemberKey, successor: &str) {
        if key.0.as_ref() != successor {
            self.remove(&key.0, key.1);
            return;
        }
        if let Some(member) = self.brokers.get_mut(&key.0).and_then(|broker| broker.members.remove(&key.1)) {
            self.forget_links(key, &member, 0);
        }
    }

    /// Takes a former member out of the tables by connection and address; `kept` is the connection that has it now.
    pub(super) fn forget_links(&mut self, key: &MemberKey, member: &Member, kept: u64) {
        if member.connection != kept
            && let Some(own) = self.connections.get_mut(&member.connection)
        {
            own.remove(key);
            if own.is_empty() {
                self.connections.remove(&member.connection);
            }
        }
        let moved = self.by_key(key).is_none_or(|now| now.addr != member.addr);
        if moved && self.addresses.get(&member.addr) == Some(key) {
            self.addresses.remove(&member.addr);
        }
    }

    /// The connection of a member.
    pub(super) fn connection_of(&self, key: &MemberKey) -> Option<u64> {
        self.by_key(key).map(|member| member.connection)
    }

    fn by_key(&self, (name, id): &MemberKey) -> Option<&Member> {
        self.brokers.get(name)?.members.get(id)
    }
}

/// What can be full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Table {
    Brokers,
    Replicas,
    Topics,
}

impl Table {
    const fn name(self) -> &'static str {
        match self {
            Self::Brokers => "broker names",
            Self::Replicas => "replicas of a broker",
            Self::Topics => "topics",
        }
    }
}
