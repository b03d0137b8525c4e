//! Which client may consume a queue in order: a lock per group and queue that ends unless it is renewed. A client that
//! goes away keeps its locks until then, so that what it was consuming is not consumed by two.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kerolox_wire::body::MessageQueue;
use kerolox_wire::names::{GROUP_NAME_MAX, GroupName, TOPIC_NAME_MAX};
use parking_lot::Mutex;

use crate::registry::CLIENT_ID_MAX;

/// How long a lock lasts after its last renewal.
pub(crate) const LOCK_LIFETIME: Duration = Duration::from_secs(60);
/// Most queues locked by one group, held or run out.
pub(crate) const LOCKS_PER_GROUP_MAX: usize = 100_000;
/// Most queues locked by all groups: a request names any group and any queue it likes.
pub(crate) const LOCKS_MAX: usize = 500_000;

#[derive(Debug)]
struct Lock {
    client_id: Arc<str>,
    renewed: Duration,
}

/// The locks of each group; no group without one.
#[derive(Debug, Default)]
struct Table {
    groups: HashMap<GroupName, HashMap<MessageQueue, Lock>>,
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
        client_id: &str,
        queues: &[MessageQueue],
        now: Duration,
    ) -> Vec<MessageQueue> {
        if client_id.len() > CLIENT_ID_MAX {
            return Vec::new();
        }
        let client_id = Arc::from(client_id);
        let mut table = self.table.lock();
        // Once for all of them: it goes over every lock.
        if !table.has_room(group, queues.len()) {
            table.sweep(|lock| ran_out(lock, self.lifetime, now));
        }
        let granted = queues.iter().filter(|queue| self.lock_one(&mut table, group, &client_id, queue, now));
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
        let before = locks.len();
        for queue in queues {
            if locks.get(queue).is_some_and(|lock| *lock.client_id == *client_id) {
                locks.remove(queue);
            }
        }
        let gone = before - locks.len();
        if locks.is_empty() {
            table.groups.remove(group);
        }
        table.len -= gone;
    }

    /// Forgets locks that ran out; nobody sees a difference but the memory.
    pub(crate) fn sweep(&self, now: Duration) {
        self.table.lock().sweep(|lock| ran_out(lock, self.lifetime, now));
    }

    fn lock_one(
        &self,
        table: &mut Table,
        group: &GroupName,
        client_id: &Arc<str>,
        queue: &MessageQueue,
        now: Duration,
    ) -> bool {
        if let Some(lock) = table.groups.get_mut(group).and_then(|locks| locks.get_mut(queue)) {
            if lock.client_id != *client_id {
                if !ran_out(lock, self.lifetime, now) {
                    return false;
                }
                tracing::info!(%client_id, before = %lock.client_id, ?queue, "queue lock ran out and changes hands");
                lock.client_id = Arc::clone(client_id);
            }
            lock.renewed = now;
            return true;
        }
        if queue.topic.len() > TOPIC_NAME_MAX || queue.broker_name.len() > GROUP_NAME_MAX {
            return false;
        }
        if !table.has_room(group, 1) {
            return false;
        }
        let lock = Lock { client_id: Arc::clone(client_id), renewed: now };
        table.groups.entry(group.clone()).or_default().insert(queue.clone(), lock);
        table.len += 1;
        true
    }
}

impl Table {
    /// Whether a group may have so many locks more.
    fn has_room(&self, group: &GroupName, more: usize) -> bool {
        let own = self.groups.get(group).map_or(0, HashMap::len);
        self.len.saturating_add(more) <= LOCKS_MAX && own.saturating_add(more) <= LOCKS_PER_GROUP_MAX
    }

    fn sweep(&mut self, gone: impl Fn(&Lock) -> bool) {
        self.groups.retain(|_, locks| {
            locks.retain(|_, lock| !gone(lock));
            !locks.is_empty()
        });
        self.len = self.groups.values().map(HashMap::len).sum();
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
            let got = locks.lock(&group(), client, &[queue(0)], at(seconds));
            assert_eq!(!got.is_empty(), granted, "{client} at {seconds} s");
        }
    }

    #[test]
    fn the_answer_lists_what_was_granted_and_nothing_else() {
        let locks = QueueLocks::default();
        locks.lock(&group(), "a", &[queue(1)], at(0));
        let granted = locks.lock(&group(), "b", &[queue(0), queue(1), queue(2)], at(0));
        assert_eq!(granted, [queue(0), queue(2)]);
    }

    #[test]
    fn only_the_owner_unlocks() {
        let locks = QueueLocks::default();
        locks.lock(&group(), "a", &[queue(0)], at(0));
        locks.unlock("g", "b", &[queue(0)]);
        assert!(locks.lock(&group(), "b", &[queue(0)], at(1)).is_empty());
        locks.unlock("g", "a", &[queue(0), queue(7)]);
        assert_eq!(locks.lock(&group(), "b", &[queue(0)], at(1)), [queue(0)]);
    }

    #[test]
    fn groups_do_not_share_locks() {
        let locks = QueueLocks::default();
        locks.lock(&group(), "a", &[queue(0)], at(0));
        let other = GroupName::parse("h").unwrap();
        assert_eq!(locks.lock(&other, "b", &[queue(0)], at(0)), [queue(0)]);
    }

    #[test]
    fn the_lifetime_is_a_setting() {
        let locks = QueueLocks::new(at(2));
        locks.lock(&group(), "a", &[queue(0)], at(0));
        assert_eq!(locks.lock(&group(), "b", &[queue(0)], at(3)), [queue(0)]);
    }

    #[test]
    fn a_sweep_frees_the_memory_of_locks_that_ran_out() {
        let locks = QueueLocks::default();
        locks.lock(&group(), "a", &[queue(0)], at(0));
        locks.sweep(at(60));
        assert_eq!(locks.table.lock().len, 1);
        locks.sweep(at(61));
        let table = locks.table.lock();
        assert!(table.groups.is_empty() && table.len == 0);
    }

    #[test]
    fn one_group_cannot_lock_without_end() {
        let locks = QueueLocks::default();
        let many: Vec<_> = (0..=i32::try_from(LOCKS_PER_GROUP_MAX).unwrap()).map(queue).collect();
        assert_eq!(locks.lock(&group(), "a", &many, at(0)).len(), LOCKS_PER_GROUP_MAX);
        assert_eq!(locks.lock(&group(), "b", &many[LOCKS_PER_GROUP_MAX..], at(61)).len(), 1, "after they ran out");
    }

    #[test]
    fn all_groups_together_cannot_lock_without_end() {
        let locks = QueueLocks::default();
        let many: Vec<_> = (0..i32::try_from(LOCKS_PER_GROUP_MAX).unwrap()).map(queue).collect();
        let named = |n: usize| GroupName::parse(&format!("g{n}")).unwrap();
        let full = LOCKS_MAX / LOCKS_PER_GROUP_MAX;
        for n in 0..full {
            assert_eq!(locks.lock(&named(n), "a", &many, at(0)).len(), LOCKS_PER_GROUP_MAX);
        }
        assert!(locks.lock(&named(full), "a", &[queue(0)], at(0)).is_empty());
        assert_eq!(locks.lock(&named(0), "a", &many[..3], at(0)).len(), 3, "those that are there are renewed");
        locks.unlock("g0", "a", &many[..1]);
        assert_eq!(locks.lock(&named(full), "a", &[queue(0), queue(1)], at(0)), [queue(0)]);
        let long = MessageQueue { topic: "t".repeat(TOPIC_NAME_MAX + 1), ..queue(0) };
        assert!(locks.lock(&group(), "a", &[long], at(100)).is_empty());
        assert!(locks.lock(&group(), &"a".repeat(CLIENT_ID_MAX + 1), &[queue(0)], at(100)).is_empty());
        assert_eq!(locks.lock(&group(), "a", &[queue(0)], at(100)), [queue(0)]);
    }
}
