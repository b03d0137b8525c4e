//! Pulls that wait for messages, as a plain structure: time and arrivals come in, pulls to be answered come out.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use kerolox_net::Peer;
use kerolox_wire::command::pull::PullMessage;
use kerolox_wire::names::{QueueId, TopicName};
use kerolox_wire::reply::ReplyTo;

use crate::registry::Subscription;

/// Most pulls held at once; above it an empty pull is answered at once.
pub(crate) const HOLDS_MAX: usize = 200_000;
/// Longest time a pull is held, whatever the client asks.
pub(crate) const HOLD_TIME_MAX: Duration = Duration::from_secs(120);

/// A pull that found nothing and waits.
#[derive(Clone)]
pub(crate) struct HeldPull {
    /// Connection that asked.
    pub(crate) peer: Arc<Peer>,
    /// What the answer must repeat.
    pub(crate) to: ReplyTo,
    /// The request.
    pub(crate) pull: PullMessage,
    /// The subscription it was made under.
    pub(crate) subscription: Arc<Subscription>,
}

/// All held pulls by queue.
#[derive(Default)]
pub(crate) struct Holds {
    by_id: HashMap<u64, (HeldPull, Duration)>,
    by_queue: HashMap<TopicName, HashMap<QueueId, Vec<u64>>>,
    by_deadline: BTreeSet<(Duration, u64)>,
    next_id: u64,
}

impl Holds {
    /// How many pulls wait.
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Holds `pull` until messages arrive or `until` has come. Gives it back when the limit is reached.
    pub(crate) fn park(&mut self, pull: HeldPull, queue: QueueId, until: Duration) -> Result<u64, Box<HeldPull>> {
        if self.by_id.len() >= HOLDS_MAX {
            return Err(Box::new(pull));
        }
        let id = self.next_id;
        self.next_id += 1;
        let topic = pull.pull.topic.clone();
        self.by_queue.entry(topic).or_default().entry(queue).or_default().push(id);
        self.by_deadline.insert((until, id));
        self.by_id.insert(id, (pull, until));
        Ok(id)
    }

    /// Takes the pulls of a queue that a message with `tags_code` concerns.
    pub(crate) fn arrived(&mut self, topic: &str, queue: QueueId, tags_code: i64, out: &mut Vec<HeldPull>) {
        let Some(ids) = self.by_queue.get(topic).and_then(|queues| queues.get(&queue)) else { return };
        let woken: Vec<u64> = ids
            .iter()
            .filter(|id| self.by_id.get(id).is_some_and(|(held, _)| held.subscription.tags.matches(tags_code)))
            .copied()
            .collect();
        out.extend(woken.into_iter().filter_map(|id| self.take(id)));
    }

    /// Takes the pulls whose time has come.
    pub(crate) fn expired(&mut self, now: Duration, out: &mut Vec<HeldPull>) {
        while let Some((until, id)) = self.by_deadline.first() {
            if *until > now {
                return;
            }
            let id = *id;
            out.extend(self.take(id));
        }
    }

    /// When the first pull must be answered at the latest.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.by_deadline.first().map(|(until, _)| *until)
    }

    /// Takes one pull, when it still waits.
    pub(crate) fn take(&mut self, id: u64) -> Option<HeldPull> {
        let (held, until) = self.by_id.remove(&id)?;
        self.by_deadline.remove(&(until, id));
        let topic: &str = held.pull.topic.as_ref();
        let queue = QueueId::from_wire(held.pull.queue_id).unwrap_or_default();
        if let Some(queues) = self.by_queue.get_mut(topic) {
            if let Some(ids) = queues.get_mut(&queue) {
                ids.retain(|other| *other != id);
                if ids.is_empty() {
                    queues.remove(&queue);
                }
            }
            if queues.is_empty() {
                self.by_queue.remove(topic);
            }
        }
        Some(held)
    }

    /// Forgets the pulls of a closed connection.
    pub(crate) fn forget(&mut self, peer: u64) {
        let gone: Vec<u64> =
            self.by_id.iter().filter(|(_, (held, _))| held.peer.id() == peer).map(|(id, _)| *id).collect();
        for id in gone {
            self.take(id);
        }
    }
}
