//! Pulls that wait for messages, as a plain structure: time and arrivals come in, pulls to be answered come out.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use kerolox_net::Peer;
use kerolox_wire::command::pull::PullMessage;
use kerolox_wire::names::{QueueId, TopicName};
use kerolox_wire::reply::ReplyTo;

use crate::registry::Subscription;

/// Most pulls held at once; above it an empty pull is answered at once.
pub(crate) const HOLDS_MAX: usize = 200_000;
/// Most pulls held for one connection, so that one client cannot use all places. A consumer waits once in each queue it
/// reads.
pub(crate) const HOLDS_OF_PEER_MAX: usize = 20_000;
/// Most bytes of expressions that held pulls bring along.
pub(crate) const HOLD_BYTES_MAX: usize = 16 * 1024 * 1024;
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
    /// When it is answered at the latest.
    pub(crate) until: Duration,
}

/// All held pulls by queue.
#[derive(Default)]
pub(crate) struct Holds {
    by_id: HashMap<u64, HeldPull>,
    /// Sets, since thousands of pulls may wait for one queue and each is taken out by its number.
    by_queue: HashMap<TopicName, HashMap<QueueId, BTreeSet<u64>>>,
    by_deadline: BTreeSet<(Duration, u64)>,
    /// By the number of the connection.
    by_peer: HashMap<u64, HashSet<u64>>,
    /// Bytes of the expressions that they bring along.
    bytes: usize,
    next_id: u64,
}

/// What a pull brings along, which its client chose freely.
fn bytes_of(pull: &HeldPull) -> usize {
    pull.pull.subscription.as_ref().map_or(0, String::len)
}

impl Holds {
    /// How many pulls wait.
    pub(crate) fn len(&self) -> usize {
        self.by_id.len()
    }

    /// Holds `pull` until messages arrive or its time has come. Gives it back when a limit is reached.
    pub(crate) fn park(&mut self, pull: HeldPull, queue: QueueId) -> Result<u64, Box<HeldPull>> {
        let of_peer = self.by_peer.get(&pull.peer.id()).map_or(0, HashSet::len);
        let bytes = self.bytes.saturating_add(bytes_of(&pull));
        if self.by_id.len() >= HOLDS_MAX || of_peer >= HOLDS_OF_PEER_MAX || bytes > HOLD_BYTES_MAX {
            return Err(Box::new(pull));
        }
        self.bytes = bytes;
        let id = self.next_id;
        self.next_id += 1;
        self.by_peer.entry(pull.peer.id()).or_default().insert(id);
        let topic = pull.pull.topic.clone();
        self.by_queue.entry(topic).or_default().entry(queue).or_default().insert(id);
        self.by_deadline.insert((pull.until, id));
        self.by_id.insert(id, pull);
        Ok(id)
    }

    /// Takes the pulls of a queue that a message with `tags_code` concerns.
    pub(crate) fn arrived(&mut self, topic: &str, queue: QueueId, tags_code: i64, out: &mut Vec<HeldPull>) {
        let Some(ids) = self.by_queue.get(topic).and_then(|queues| queues.get(&queue)) else { return };
        let woken: Vec<u64> = ids
            .iter()
            .filter(|id| self.by_id.get(id).is_some_and(|held| held.subscription.tags.matches(tags_code)))
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
        let held = self.by_id.remove(&id)?;
        self.bytes = self.bytes.saturating_sub(bytes_of(&held));
        self.by_deadline.remove(&(held.until, id));
        if let Some(ids) = self.by_peer.get_mut(&held.peer.id()) {
            ids.remove(&id);
            if ids.is_empty() {
                self.by_peer.remove(&held.peer.id());
            }
        }
        let topic: &str = held.pull.topic.as_ref();
        let queue = QueueId::from_wire(held.pull.queue_id).unwrap_or_default();
        if let Some(queues) = self.by_queue.get_mut(topic) {
            if let Some(ids) = queues.get_mut(&queue) {
                ids.remove(&id);
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

    /// Whether the connection of a pull that waits is open.
    pub(crate) fn is_open(&self, id: u64) -> bool {
        self.by_id.get(&id).is_some_and(|held| held.peer.is_open())
    }

    /// Forgets the pulls of a closed connection.
    pub(crate) fn forget(&mut self, peer: u64) {
        for id in self.by_peer.get(&peer).cloned().unwrap_or_default() {
            self.take(id);
        }
    }
}

#[cfg(test)]
mod tests {
    use kerolox_net::{Outbound, OutboundConfig};
    use tokio::net::TcpListener;

    use super::*;

    /// Makes pulls of one connection, which stays open as long as both of its ends are kept.
    struct Consumer {
        peer: Arc<Peer>,
        _ends: (TcpListener, Outbound),
    }

    impl Consumer {
        async fn connected() -> Self {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let addr = listener.local_addr().unwrap().to_string();
            let outbound = Outbound::new(OutboundConfig::default());
            Self { peer: outbound.peer(&addr).await.unwrap(), _ends: (listener, outbound) }
        }

        /// A pull of a queue; `opaque` tells it apart.
        fn pull(&self, opaque: i32, queue_id: i32, expression: &str) -> HeldPull {
            let topic = TopicName::parse("t").unwrap();
            let subscription = Subscription::parse(&topic, Some(expression), None, 0).unwrap();
            HeldPull {
                peer: Arc::clone(&self.peer),
                to: ReplyTo { opaque, serialization: kerolox_wire::frame::Serialization::Json, oneway: false },
                pull: PullMessage {
                    consumer_group: kerolox_wire::names::GroupName::parse("g").unwrap(),
                    topic,
                    queue_id,
                    queue_offset: 0,
                    max_msg_nums: 1,
                    sys_flag: 0,
                    commit_offset: 0,
                    suspend_timeout_millis: 0,
                    subscription: None,
                    sub_version: 0,
                    expression_type: None,
                },
                subscription: Arc::new(subscription),
                until: Duration::ZERO,
            }
        }
    }

    fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn park(holds: &mut Holds, pull: HeldPull, until: u64) -> u64 {
        let queue = QueueId::from_wire(pull.pull.queue_id).unwrap();
        holds.park(HeldPull { until: at(until), ..pull }, queue).ok().unwrap()
    }

    fn opaques(pulls: &[HeldPull]) -> Vec<i32> {
        pulls.iter().map(|pull| pull.to.opaque).collect()
    }

    fn arrived(holds: &mut Holds, topic: &str, queue: u32, tags_code: i64) -> Vec<i32> {
        let mut woken = Vec::new();
        holds.arrived(topic, QueueId::new(queue), tags_code, &mut woken);
        opaques(&woken)
    }

    fn is_empty(holds: &Holds) -> bool {
        holds.by_id.is_empty() && holds.by_queue.is_empty() && holds.by_deadline.is_empty() && holds.by_peer.is_empty()
    }

    #[tokio::test]
    async fn a_message_wakes_the_pulls_of_its_queue_that_want_its_tag_in_the_order_they_came() {
        let consumer = Consumer::connected().await;
        let mut holds = Holds::default();
        for (opaque, queue, expression) in [(1, 0, "*"), (2, 0, "a"), (3, 0, "b || a"), (4, 1, "*"), (5, 0, "*")] {
            park(&mut holds, consumer.pull(opaque, queue, expression), 10);
        }
        let tag = |text| i64::from(kerolox_wire::tags::java_hash(text));
        assert!(arrived(&mut holds, "t", 2, tag("a")).is_empty());
        assert!(arrived(&mut holds, "u", 0, tag("a")).is_empty());
        assert_eq!(arrived(&mut holds, "t", 0, tag("b")), [1, 3, 5]);
        assert_eq!(arrived(&mut holds, "t", 0, tag("a")), [2]);
        assert_eq!(arrived(&mut holds, "t", 1, 0), [4]);
        assert!(is_empty(&holds), "who was woken leaves nothing behind");
    }

    #[tokio::test]
    async fn pulls_end_when_their_time_has_come_the_earliest_first() {
        let consumer = Consumer::connected().await;
        let mut holds = Holds::default();
        for (opaque, until) in [(1, 30), (2, 10), (3, 20), (4, 10)] {
            park(&mut holds, consumer.pull(opaque, 0, "*"), until);
        }
        let mut ended = Vec::new();
        for (now, expected) in [(9, &[][..]), (10, &[2, 4]), (29, &[2, 4, 3]), (40, &[2, 4, 3, 1])] {
            holds.expired(at(now), &mut ended);
            assert_eq!(opaques(&ended), expected, "at {now}");
        }
        assert_eq!(holds.next_deadline(), None);
        assert!(is_empty(&holds));
    }

    #[tokio::test]
    async fn a_closed_connection_is_forgotten_and_others_are_not() {
        let (gone, here) = (Consumer::connected().await, Consumer::connected().await);
        let mut holds = Holds::default();
        park(&mut holds, gone.pull(1, 0, "*"), 10);
        park(&mut holds, here.pull(2, 0, "*"), 20);
        park(&mut holds, gone.pull(3, 1, "*"), 5);
        holds.forget(gone.peer.id());
        assert_eq!((holds.len(), holds.next_deadline()), (1, Some(at(20))));
        gone.peer.close("test");
        let late = park(&mut holds, gone.pull(4, 0, "*"), 10);
        assert!(!holds.is_open(late) && holds.is_open(1), "what is parked after the close is seen to be");
        holds.take(late);
        assert_eq!(arrived(&mut holds, "t", 0, 0), [2]);
        assert!(is_empty(&holds));
    }

    #[tokio::test]
    async fn what_pulls_bring_along_is_bounded() {
        let consumer = Consumer::connected().await;
        let mut holds = Holds::default();
        let heavy = |opaque| {
            let mut pull = consumer.pull(opaque, 0, "*");
            pull.pull.subscription = Some("x".repeat(HOLD_BYTES_MAX / 4));
            pull
        };
        let first = park(&mut holds, heavy(1), 10);
        for opaque in 2..=4 {
            park(&mut holds, heavy(opaque), 10);
        }
        assert!(holds.park(heavy(5), QueueId::new(0)).is_err());
        holds.take(first);
        park(&mut holds, heavy(6), 10);
        assert_eq!(arrived(&mut holds, "t", 0, 0), [2, 3, 4, 6]);
        assert_eq!(holds.bytes, 0);
    }

    #[tokio::test]
    async fn a_pull_is_taken_once() {
        let consumer = Consumer::connected().await;
        let mut holds = Holds::default();
        let id = park(&mut holds, consumer.pull(1, 0, "*"), 10);
        assert!(holds.take(id).is_some());
        assert!(holds.take(id).is_none());
        assert!(is_empty(&holds));
    }

    #[tokio::test]
    async fn above_a_limit_a_pull_comes_back_and_below_it_any_number_of_one_queue_is_quick() {
        let mut holds = Holds::default();
        for n in 1..=HOLDS_MAX / HOLDS_OF_PEER_MAX {
            let template = Consumer::connected().await.pull(0, 0, "*");
            for _ in 0..HOLDS_OF_PEER_MAX {
                park(&mut holds, template.clone(), 10);
            }
            assert!(holds.park(template, QueueId::new(0)).is_err(), "a connection has its share");
            assert_eq!(holds.len(), n * HOLDS_OF_PEER_MAX);
        }
        let another = Consumer::connected().await.pull(0, 0, "*");
        assert!(holds.park(another, QueueId::new(0)).is_err(), "all places are taken");
        assert_eq!(arrived(&mut holds, "t", 0, 0).len(), HOLDS_MAX);
        assert!(is_empty(&holds));
    }
}
