//! Which client may consume a queue in order: a lock per group and queue that ends unless it is renewed. A client that
//! goes away keeps its locks until then, so that what it was consuming is not consumed by two.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kerolox_wire::body::MessageQueue;
use kerolox_wire::names::{GROUP_NAME_MAX, GroupName, TOPIC_NAME_MAX};
use kerolox_wire::text::shown;
use parking_lot::Mutex;

use crate::registry::CLIENT_ID_MAX;

/// How long a lock lasts after its last renewal.
pub(crate) const LOCK_LIFETIME: Duration = Duration::from_secs(60);
/// Most queues locked by one group, held or run out.
pub(crate) const LOCKS_PER_GROUP_MAX: usize = 100_000;
/// Most queues locked over one connection.
pub(crate) const LOCKS_PER_CONNECTION_MAX: usize = 20_000;
/// Most queues locked by all groups; when there are so many, the connection with most of them loses its own to one with
/// fewer.
pub(crate) const LOCKS_MAX: usize = 500_000;

#[derive(Debug)]
struct Lock {
    client_id: Arc<str>,
    /// The connection over which it was last renewed.
    connection: u64,
    renewed: Duration,
}

/// The locks of each group; no group without one.
#[derive(Debug, Default)]
struct Table {
    groups: HashMap<GroupName, HashMap<MessageQueue, Lock>>,
    /// How many locks each connection has.
    connections: HashMap<u64, usize>,
    /// How many locks there are.
    len: usize,
}

/// All queue locks of the broker.
#[derive(Debug)]
pub(crate) struct QueueLocks {
    lifetime: Duration,
    table: Mutex<Table>,
}

impl Default for QueueLocks {
    fn default() -> Self {
        Self::new(LOCK_LIFETIME)
    }
}

impl QueueLocks {
    /// No locks yet; each will last for `lifetime`.
    #[must_use]
    pub(crate) fn new(lifetime: Duration) -> Self {
        Self { lifetime, table: Mutex::default() }
    }

    /// Locks or renews what it can of `queues` for a client and returns that: queues that are free, its own, or whose
    /// lock ran out.
    pub(crate) fn lock(
        &self,
        group: &GroupName,
        connection: u64,
        client_id: &str,
        queues: &[MessageQueue],
        now: Duration,
    ) -> Vec<MessageQueue> {
        if client_id.len() > CLIENT_ID_MAX {
            return Vec::new();
        }
        let by = Holder { client_id: Arc::from(client_id), connection };
        let mut table = self.table.lock();
        // Once for all of them: it goes over every lock.
        if !table.has_room(group, connection, queues.len()) {
            table.sweep(|lock| ran_out(lock, self.lifetime, now));
            table.make_room(connection, queues.len());
        }
        let granted = queues.iter().filter(|queue| self.lock_one(&mut table, group, &by, queue, now));
        let granted: Vec<_> = granted.cloned().collect();
        if granted.is_empty() && table.len >= LOCKS_MAX {
            tracing::warn!(%group, limit = LOCKS_MAX, "queues not locked: too many are");
        }
        granted
    }

    /// Ends the client's own locks among `queues`.
    pub(crate) fn unlock(&self, group: &str, client_id: &str, queues: &[MessageQueue]) {
        let mut table = self.table.lock();
        let Some(locks) = table.groups.get_mut(group) else { return };
        let mut gone = Vec::new();
        for queue in queues {
            if locks.get(queue).is_some_and(|lock| *lock.client_id == *client_id) {
                gone.extend(locks.remove(queue).map(|lock| lock.connection));
            }
        }
        if locks.is_empty() {
            table.groups.remove(group);
        }
        for connection in gone {
            table.count_off(connection);
        }
    }

    /// Forgets locks that ran out; nobody sees a difference but the memory.
    pub(crate) fn sweep(&self, now: Duration) {
        self.table.lock().sweep(|lock| ran_out(lock, self.lifetime, now));
    }

    fn lock_one(&self, table: &mut Table, group: &GroupName, by: &Holder, queue: &MessageQueue, now: Duration) -> bool {
        if let Some(lock) = table.groups.get_mut(group).and_then(|locks| locks.get_mut(queue)) {
            if lock.client_id != by.client_id {
                if !ran_out(lock, self.lifetime, now) {
                    return false;
                }
                let (after, before) = (shown(&by.client_id), shown(&lock.client_id));
                tracing::info!(client_id = %after, %before, topic = %shown(&queue.topic), queue = queue.queue_id, "queue lock ran out and changes hands");
                lock.client_id = Arc::clone(&by.client_id);
            }
            lock.renewed = now;
            let before = std::mem::replace(&mut lock.connection, by.connection);
            if before != by.connection {
                table.count_off(before);
                table.count_on(by.connection);
            }
            return true;
        }
        if queue.topic.len() > TOPIC_NAME_MAX || queue.broker_name.len() > GROUP_NAME_MAX {
            return false;
        }
        if !table.has_room(group, by.connection, 1) {
            return false;
        }
        let lock = Lock { client_id: Arc::clone(&by.client_id), connection: by.connection, renewed: now };
        table.groups.entry(group.clone()).or_default().insert(queue.clone(), lock);
        table.count_on(by.connection);
        true
    }
}

/// The client that asks for locks.
struct Holder {
    client_id: Arc<str>,
    connection: u64,
}

impl Table {
    /// Whether a group may have so many locks more over a connection.
    fn has_room(&self, group: &GroupName, connection: u64, more: usize) -> bool {
        let of_group = self.groups.get(group).map_or(0, HashMap::len);
        self.len.saturating_add(more) <= LOCKS_MAX
            && of_group.saturating_add(more) <= LOCKS_PER_GROUP_MAX
            && self.of_connection(connection).saturating_add(more) <= LOCKS_PER_CONNECTION_MAX
    }

    fn of_connection(&self, connection: u64) -> usize {
        self.connections.get(&connection).copied().unwrap_or_default()
    }

    /// While there is no room for so many locks in all, the connection with most locks loses them, if that is more than
    /// `connection` would have.
    fn make_room(&mut self, connection: u64, more: usize) {
        let wanted = self.of_connection(connection).saturating_add(more);
        while self.len.saturating_add(more) > LOCKS_MAX {
            let heaviest = self.connections.iter().max_by_key(|(_, count)| **count);
            let Some((heaviest, _)) = heaviest.filter(|(_, count)| **count > wanted) else { return };
            let heaviest = *heaviest;
            tracing::warn!(connection = heaviest, "queue locks of the connection with most of them ended to make room");
            self.sweep(|lock| lock.connection == heaviest);
        }
    }

    fn count_on(&mut self, connection: u64) {
        let count = self.connections.entry(connection).or_default();
        *count = count.saturating_add(1);
        self.len = self.len.saturating_add(1);
    }

    fn count_off(&mut self, connection: u64) {
        self.len = self.len.saturating_sub(1);
        let Some(count) = self.connections.get_mut(&connection) else { return };
        *count = count.saturating_sub(1);
        if *count == 0 {
            self.connections.remove(&connection);
        }
    }

    fn sweep(&mut self, gone: impl Fn(&Lock) -> bool) {
        self.groups.retain(|_, locks| {
            locks.retain(|_, lock| !gone(lock));
            !locks.is_empty()
        });
        self.len = 0;
        self.connections.clear();
        let left: Vec<u64> = self.groups.values().flat_map(HashMap::values).map(|lock| lock.connection).collect();
        for connection in left {
            self.count_on(connection);
        }
    }
}

fn ran_out(lock: &Lock, lifetime: Duration, now: Duration) -> bool {
    now.saturating_sub(lock.renewed) > lifetime
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> GroupName {
        GroupName::parse("g").unwrap()
    }

    fn queue(id: i32) -> MessageQueue {
        MessageQueue { topic: "t".to_owned(), broker_name: "b".to_owned(), queue_id: id }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_queue_is_locked_for_one_client_until_60_seconds_after_its_last_renewal() {
        let locks = QueueLocks::default();
        for (client, seconds, granted) in
            [("a", 0, true), ("b", 1, false), ("a", 50, true), ("b", 110, false), ("b", 111, true), ("a", 111, false)]
        {
            let got = locks.lock(&group(), 1, client, &[queue(0)], at(seconds));
            assert_eq!(!got.is_empty(), granted, "{client} at {seconds} s");
        }
    }

    #[test]
    fn the_answer_lists_what_was_granted_and_nothing_else() {
        let locks = QueueLocks::default();
        locks.lock(&group(), 1, "a", &[queue(1)], at(0));
        let granted = locks.lock(&group(), 2, "b", &[queue(0), queue(1), queue(2)], at(0));
        assert_eq!(granted, [queue(0), queue(2)]);
    }

    #[test]
    fn only_the_owner_unlocks() {
        let locks = QueueLocks::default();
        locks.lock(&group(), 1, "a", &[queue(0)], at(0));
        locks.unlock("g", "b", &[queue(0)]);
        assert!(locks.lock(&group(), 2, "b", &[queue(0)], at(1)).is_empty());
        locks.unlock("g", "a", &[queue(0), queue(7)]);
        assert_eq!(locks.lock(&group(), 2, "b", &[queue(0)], at(1)), [queue(0)]);
    }

    #[test]
    fn groups_do_not_share_locks() {
        let locks = QueueLocks::default();
        locks.lock(&group(), 1, "a", &[queue(0)], at(0));
        let other = GroupName::parse("h").unwrap();
        assert_eq!(locks.lock(&other, 2, "b", &[queue(0)], at(0)), [queue(0)]);
    }

    #[test]
    fn the_lifetime_is_a_setting() {
        let locks = QueueLocks::new(at(2));
        locks.lock(&group(), 1, "a", &[queue(0)], at(0));
        assert_eq!(locks.lock(&group(), 2, "b", &[queue(0)], at(3)), [queue(0)]);
    }

    #[test]
    fn a_sweep_frees_the_memory_of_locks_that_ran_out() {
        let locks = QueueLocks::default();
        locks.lock(&group(), 1, "a", &[queue(0)], at(0));
        locks.sweep(at(60));
        assert_eq!(locks.table.lock().len, 1);
        locks.sweep(at(61));
        let table = locks.table.lock();
        assert!(table.groups.is_empty() && table.len == 0);
    }

    fn many(from: usize, count: usize) -> Vec<MessageQueue> {
        (from..from + count).map(|n| queue(i32::try_from(n).unwrap())).collect()
    }

    #[test]
    fn a_connection_and_a_group_cannot_lock_without_end() {
        let locks = QueueLocks::default();
        let full = LOCKS_PER_GROUP_MAX / LOCKS_PER_CONNECTION_MAX;
        for n in 0..full {
            let wanted = many(n * LOCKS_PER_CONNECTION_MAX, LOCKS_PER_CONNECTION_MAX + 1);
            let granted = locks.lock(&group(), n as u64, "a", &wanted, at(0));
            assert_eq!(granted.len(), LOCKS_PER_CONNECTION_MAX);
        }
        let more = many(LOCKS_PER_GROUP_MAX, 1);
        assert!(locks.lock(&group(), 99, "b", &more, at(0)).is_empty());
        assert_eq!(locks.lock(&group(), 99, "b", &more, at(61)).len(), 1, "after they ran out");
    }

    #[test]
    fn the_connection_with_most_locks_makes_room() {
        let locks = QueueLocks::default();
        let own = many(0, LOCKS_PER_CONNECTION_MAX);
        let named = |n: u64| GroupName::parse(&format!("g{n}")).unwrap();
        let full = LOCKS_MAX / LOCKS_PER_CONNECTION_MAX;
        for n in 0..full as u64 {
            assert_eq!(locks.lock(&named(n), n, "a", &own, at(0)).len(), LOCKS_PER_CONNECTION_MAX);
        }
        assert_eq!(locks.lock(&named(900), 900, "b", &[queue(0)], at(0)), [queue(0)]);
        assert_eq!(locks.table.lock().len, LOCKS_MAX - LOCKS_PER_CONNECTION_MAX + 1);
        assert_eq!(locks.lock(&named(901), 901, "b", &own, at(0)).len(), LOCKS_PER_CONNECTION_MAX - 1);
    }

    #[test]
    fn long_names_are_not_kept() {
        let locks = QueueLocks::default();
        let long = MessageQueue { topic: "t".repeat(TOPIC_NAME_MAX + 1), ..queue(0) };
        assert!(locks.lock(&group(), 1, "a", &[long], at(100)).is_empty());
        assert!(locks.lock(&group(), 1, &"a".repeat(CLIENT_ID_MAX + 1), &[queue(0)], at(100)).is_empty());
        assert_eq!(locks.lock(&group(), 1, "a", &[queue(0)], at(100)), [queue(0)]);
    }
}
