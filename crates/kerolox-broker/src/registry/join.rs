//! Clients join groups and leave them; the limits are kept here.

use std::collections::BTreeMap;
use std::sync::Arc;

use kerolox_wire::body::{ConsumerData, ProducerData};
use kerolox_wire::names::GroupName;

use super::agreement::{Agreement, difference, wanted_by};
use super::group::{ConsumerGroup, Member};
use super::{
    CLIENTS_PER_GROUP_MAX, Channel, ClientError, Clients, GROUPS_ONLINE_MAX, GROUPS_PER_CONNECTION_MAX, GroupChange,
    Joined, SUBSCRIPTION_BYTES_MAX, SUBSCRIPTION_BYTES_PER_GROUP_MAX, SUBSCRIPTIONS_PER_GROUP_MAX, State,
};

impl<C: Channel> Clients<C> {
    /// One consumer group of a heartbeat. Members hear of a new member and of a change in the set of topics, but not
    /// of another expression for the same topic.
    pub(super) fn join_consumer(
        &self,
        state: &mut State<C>,
        member: &Member<C>,
        data: &ConsumerData,
    ) -> Result<Joined<C>, ClientError> {
        let name = GroupName::parse(&data.group_name)?;
        let count = data.subscription_data_set.len();
        if count > SUBSCRIPTIONS_PER_GROUP_MAX {
            return Err(ClientError::TooManySubscriptions { group: name, count, limit: SUBSCRIPTIONS_PER_GROUP_MAX });
        }
        let conn = member.channel.id();
        let known = state.consumers.get(&name);
        let new_member = known.is_none_or(|group| !group.members.contains_key(&conn));
        if new_member {
            let groups = state.connections.get(&conn).map_or(0, |of| of.consumers.len());
            room(&name, groups, state.consumers.len(), known.map(|group| group.members.len()))?;
        }
        let before = known.map_or_else(Arc::default, |group| Arc::clone(&group.online));
        let (after, bad) = before.after(data);
        let unreadable = data.unreadable.iter().map(ToString::to_string);
        let left_out = bad.into_iter().chain(unreadable);
        let left_out = left_out.map(|topic| ClientError::Subscription { group: name.clone(), topic }).collect();
        let member = Member { wants: wanted_by(data), ..member.clone() };
        // Compared with the group as it was, before this member's wishes become the group's.
        let was = Arc::clone(&before);
        if let Some((online, _)) = &after {
            state.room_for(&name, before.subscription_bytes, online.subscription_bytes)?;
        }
        let topics_changed = after.as_ref().is_some_and(|(_, topics_changed)| *topics_changed);
        let online = after.map_or(before, |(online, _)| Arc::new(online));
        let empty =
            || ConsumerGroup { members: BTreeMap::new(), online: Arc::default(), agreement: Agreement::default() };
        let group = state.consumers.entry(name.clone()).or_insert_with(empty);
        let wanted = group.members.insert(conn, member.clone()).map(|before| before.wants);
        let differs = group.agreement.wants(wanted, member.wants);
        let agrees = group.agreement.is_full();
        if group.members.len() == 1 || !Arc::ptr_eq(&group.online, &online) {
            state.subscription_bytes -= group.online.subscription_bytes;
            state.subscription_bytes += online.subscription_bytes;
            group.online = Arc::clone(&online);
            self.online.pin().insert(name.clone(), online);
        }
        let tell = if new_member || topics_changed { group.channels() } else { Vec::new() };
        if differs {
            state.differs(&name, &member, &difference(&was, data));
        } else if agrees {
            state.agrees(name.as_str());
        }
        if new_member {
            tracing::info!(group = %name, client = ?member.client_id, from = %member.channel.remote(), "consumer joined");
            state.connections.entry(conn).or_default().consumers.insert(name.clone());
        }
        Ok(Joined { change: GroupChange { group: name, unit_mode: data.unit_mode, tell }, left_out })
    }

    pub(super) fn leave_consumer(&self, state: &mut State<C>, conn: u64, name: &str) -> Option<GroupChange<C>> {
        let group = state.consumers.get_mut(name)?;
        let gone = group.members.remove(&conn)?;
        tracing::info!(group = name, client = ?gone.client_id, from = %gone.channel.remote(), "consumer left");
        group.agreement.forget(gone.wants);
        let agrees = group.agreement.is_full();
        let tell = group.channels();
        if tell.is_empty() {
            state.subscription_bytes -= group.online.subscription_bytes;
            state.consumers.remove(name);
            self.online.pin().remove(name);
        }
        if agrees {
            state.agrees(name);
        }
        let of_connection = state.connections.get_mut(&conn)?;
        let group = of_connection.consumers.take(name)?;
        Some(GroupChange { group, unit_mode: false, tell })
    }

    pub(super) fn drop_connection(&self, state: &mut State<C>, conn: u64) -> Vec<GroupChange<C>> {
        let Some(of_connection) = state.connections.get(&conn) else { return Vec::new() };
        let producers: Vec<_> = of_connection.producers.iter().cloned().collect();
        let consumers: Vec<_> = of_connection.consumers.iter().cloned().collect();
        for group in producers {
            state.leave_producer(conn, group.as_str());
        }
        let left = consumers.iter().filter_map(|group| self.leave_consumer(state, conn, group.as_str())).collect();
        state.connections.remove(&conn);
        left
    }
}

impl<C: Channel> State<C> {
    /// Whether a group's subscriptions may take so many bytes after `before`.
    fn room_for(&self, group: &GroupName, before: usize, size: usize) -> Result<(), ClientError> {
        let (group, limit) = (group.clone(), SUBSCRIPTION_BYTES_PER_GROUP_MAX);
        if size > limit {
            return Err(ClientError::SubscriptionsTooLarge { group, size, limit });
        }
        if size > before && self.subscription_bytes - before + size > SUBSCRIPTION_BYTES_MAX {
            return Err(ClientError::NoRoomForSubscriptions { group, limit: SUBSCRIPTION_BYTES_MAX });
        }
        Ok(())
    }

    /// A member was found that does not subscribe as the others do. Logged at this change and not at each heartbeat.
    fn differs(&mut self, group: &GroupName, member: &Member<C>, how: &str) {
        tracing::warn!(
            %group, client = ?member.client_id, from = %member.channel.remote(),
            "members of the group do not subscribe to the same, so some of their messages are lost to them: this one {how}"
        );
        self.disagreements += 1;
        self.disagreeing.insert(group.clone(), format!("client {} {how}", member.client_id));
    }

    /// All members of the group subscribe to the same, or there are none.
    fn agrees(&mut self, group: &str) {
        if self.disagreeing.remove(group).is_some() {
            tracing::info!(group, "members of the group subscribe to the same again");
        }
    }

    /// One producer group of a heartbeat.
    pub(super) fn join_producer(&mut self, member: &Member<C>, data: &ProducerData) -> Result<(), ClientError> {
        let name = GroupName::parse(&data.group_name)?;
        let conn = member.channel.id();
        let known = self.producers.get(&name);
        if known.is_none_or(|group| !group.members.contains_key(&conn)) {
            let groups = self.connections.get(&conn).map_or(0, |of| of.producers.len());
            room(&name, groups, self.producers.len(), known.map(|group| group.members.len()))?;
            tracing::info!(group = %name, client = ?member.client_id, from = %member.channel.remote(), "producer joined");
            self.connections.entry(conn).or_default().producers.insert(name.clone());
        }
        let before = self.producers.entry(name).or_default().members.insert(conn, member.clone());
        if let Some(before) = before.filter(|before| before.client_id != member.client_id) {
            self.forget_producing_client(&before);
        }
        self.producer_clients.insert(Arc::clone(&member.client_id), member.channel.clone());
        Ok(())
    }

    pub(super) fn leave_producer(&mut self, conn: u64, name: &str) {
        let Some(group) = self.producers.get_mut(name) else { return };
        let Some(gone) = group.members.remove(&conn) else { return };
        if group.members.is_empty() {
            self.producers.remove(name);
        }
        let still_producing = self.connections.get_mut(&conn).is_some_and(|of| {
            of.producers.remove(name);
            !of.producers.is_empty()
        });
        tracing::info!(group = name, client = ?gone.client_id, from = %gone.channel.remote(), "producer left");
        if !still_producing {
            self.forget_producing_client(&gone);
        }
    }

    /// Ends the way to a client by its id, unless another connection has taken that id over.
    fn forget_producing_client(&mut self, gone: &Member<C>) {
        let of_gone = self.producer_clients.get(&gone.client_id).is_some_and(|to| to.id() == gone.channel.id());
        if of_gone {
            self.producer_clients.remove(&gone.client_id);
        }
    }
}

/// Whether one more member fits: the connection is in `groups`, `online` groups are connected, and this one has
/// `members` or is not among them.
fn room(group: &GroupName, groups: usize, online: usize, members: Option<usize>) -> Result<(), ClientError> {
    let group = || group.clone();
    if groups >= GROUPS_PER_CONNECTION_MAX {
        return Err(ClientError::TooManyGroups { group: group(), limit: GROUPS_PER_CONNECTION_MAX });
    }
    match members {
        Some(members) if members >= CLIENTS_PER_GROUP_MAX => {
            Err(ClientError::GroupFull { group: group(), limit: CLIENTS_PER_GROUP_MAX })
        }
        None if online >= GROUPS_ONLINE_MAX => {
            Err(ClientError::TooManyGroupsOnline { group: group(), limit: GROUPS_ONLINE_MAX })
        }
        Some(_) | None => Ok(()),
    }
}
