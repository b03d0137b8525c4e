//! Which client may consume a queue in order: a lock per group and queue that ends unless it is renewed. A client that
//! goes away keeps its locks until then, so that what it was consuming is not consumed by two.

use std::collections::HashMap;
use std::time::Duration;

use kerolox_wire::body::MessageQueue;
use kerolox_wire::names::GroupName;
use parking_lot::Mutex;

/// How long a lock lasts after its last renewal.
pub(crate) const LOCK_LIFETIME: Duration = Duration::from_secs(60);
/// Most queues locked by one group, held or run out.
pub(crate) const LOCKS_PER_GROUP_MAX: usize = 100_000;
/// Most groups with locks: a request names any group it likes.
pub(crate) const LOCKING_GROUPS_MAX: usize = 10_000;

#[derive(Debug)]
struct Lock {
    client_id: String,
    renewed: Duration,
}

type ByQueue = HashMap<MessageQueue, Lock>;

/// All queue locks of the broker.
#[derive(Debug)]
pub(crate) struct QueueLocks {
    lifetime: Duration,
    groups: Mutex<HashMap<GroupName, ByQueue>>,
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
        Self { lifetime, groups: Mutex::default() }
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
        let mut groups = self.groups.lock();
        if groups.len() >= LOCKING_GROUPS_MAX && !groups.contains_key(group) {
            sweep(&mut groups, self.lifetime, now);
            if groups.len() >= LOCKING_GROUPS_MAX {
                tracing::warn!(%group, limit = LOCKING_GROUPS_MAX, "queues not locked: too many groups hold locks");
                return Vec::new();
            }
        }
        let locks = groups.entry(group.clone()).or_default();
        queues.iter().filter(|queue| self.lock_one(locks, client_id, queue, now)).cloned().collect()
    }

    /// Ends the client's own locks among `queues`.
    pub(crate) fn unlock(&self, group: &str, client_id: &str, queues: &[MessageQueue]) {
        let mut groups = self.groups.lock();
        let Some(locks) = groups.get_mut(group) else { return };
        for queue in queues {
            if locks.get(queue).is_some_and(|lock| lock.client_id == client_id) {
                locks.remove(queue);
            }
        }
        if locks.is_empty() {
            groups.remove(group);
        }
    }

    /// Forgets locks that ran out; nobody sees a difference but the memory.
    pub(crate) fn sweep(&self, now: Duration) {
        sweep(&mut self.groups.lock(), self.lifetime, now);
    }

    fn lock_one(&self, locks: &mut ByQueue, client_id: &str, queue: &MessageQueue, now: Duration) -> bool {
        if let Some(lock) = locks.get_mut(queue) {
            let free = ran_out(lock, self.lifetime, now);
            if lock.client_id != client_id {
                if !free {
                    return false;
                }
                tracing::info!(client_id, before = %lock.client_id, ?queue, "queue lock ran out and changes hands");
                client_id.clone_into(&mut lock.client_id);
            }
            lock.renewed = now;
            return true;
        }
        if locks.len() >= LOCKS_PER_GROUP_MAX {
            locks.retain(|_, lock| !ran_out(lock, self.lifetime, now));
            if locks.len() >= LOCKS_PER_GROUP_MAX {
                return false;
            }
        }
        locks.insert(queue.clone(), Lock { client_id: client_id.to_owned(), renewed: now });
        true
    }
}

fn ran_out(lock: &Lock, lifetime: Duration, now: Duration) -> bool {
    now.saturating_sub(lock.renewed) > lifetime
}

fn sweep(groups: &mut HashMap<GroupName, ByQueue>, lifetime: Duration, now: Duration) {
    groups.retain(|_, locks| {
        locks.retain(|_, lock| !ran_out(lock, lifetime, now));
        !locks.is_empty()
    });
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
        assert_eq!(locks.groups.lock().len(), 1);
        locks.sweep(at(61));
        assert!(locks.groups.lock().is_empty());
    }

    #[test]
    fn one_group_cannot_lock_without_end() {
        let locks = QueueLocks::default();
        let many: Vec<_> = (0..=i32::try_from(LOCKS_PER_GROUP_MAX).unwrap()).map(queue).collect();
        assert_eq!(locks.lock(&group(), "a", &many, at(0)).len(), LOCKS_PER_GROUP_MAX);
        assert_eq!(locks.lock(&group(), "b", &many[LOCKS_PER_GROUP_MAX..], at(61)).len(), 1, "after they ran out");
    }
}
