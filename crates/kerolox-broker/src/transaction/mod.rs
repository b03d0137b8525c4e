//! Transactional messages: half messages that wait for their outcome, and producers that are asked for it.
//!
//! As in RocketMQ 4.7.1 all state is in two topics. A half message stands in `RMQ_SYS_TRANS_HALF_TOPIC`, its real place
//! kept as properties. Its end is told by an operation message in `RMQ_SYS_TRANS_OP_HALF_TOPIC` whose body is the half
//! message's queue offset in decimal; a commit stores the message anew in its real topic besides. The group
//! `CID_RMQ_SYS_TRANS` holds offsets in both: everything before them is settled. In rounds, half messages without an end
//! are put at the end of their queue again and their producers are asked.

mod ask;
mod check;
mod decide;
mod end;
mod ended;
mod figures;
mod half;

use std::collections::HashSet;
use std::sync::atomic::AtomicBool;

use kerolox_wire::command::send::SendMessage;
use kerolox_wire::names::{GroupName, QueueId, TopicName, groups, topics};
use kerolox_wire::properties;
use parking_lot::Mutex;

use self::figures::Figures;
use crate::node::Node;
use crate::refusal::Refusal;
use crate::send::Target;
use crate::topic::{Perm, Topic};

/// Tag of operation messages: their half message has ended.
const ENDED_TAG: &str = "d";

/// What one broker remembers of transactions beyond its topics: nothing that a restart may not lose.
#[derive(Debug, Default)]
pub(crate) struct Transactions {
    /// Held while an end is stored, and while half messages are put back.
    endings: Mutex<Endings>,
    /// Held while a part of a round runs; true once no more may.
    stopped: Mutex<bool>,
    /// Asks a running part to stop early.
    stopping: AtomicBool,
    figures: Figures,
}

/// Ends that were stored since the round that runs has begun; `None` while no round does. Without them a half message
/// could be put back, and asked for, after its end was stored. Bounded by the time of a round.
#[derive(Debug, Default)]
struct Endings {
    since_round: Option<HashSet<u64>>,
}

impl Endings {
    fn note(&mut self, half: u64) {
        if let Some(ended) = &mut self.since_round {
            ended.insert(half);
        }
    }
}

/// Whether a send opens a transaction: `value` is that of its property `TRAN_MSG`. A consumer that hands a committed
/// message back by sending it sends that property along; such a message is none.
pub(crate) fn opens(value: Option<&str>, header: &SendMessage, text: &str) -> bool {
    let asked = value.is_some_and(|v| v.eq_ignore_ascii_case("true"));
    asked && !(header.reconsume_times > 0 && properties::find(text, properties::DELAY).is_some())
}

fn half_topic() -> TopicName {
    TopicName::known(topics::TRANS_HALF)
}

fn op_topic() -> TopicName {
    TopicName::known(topics::TRANS_OP_HALF)
}

fn group() -> GroupName {
    GroupName::parse(groups::TRANS).expect("the name is legal")
}

impl Node {
    /// Sends a half message to where it waits; `target` is its real place.
    pub(crate) fn half_of(&self, target: &Target, producer_group: &str) -> Result<Target, Refusal> {
        if self.config.live.reject_transactions() {
            return Err(Refusal::no_permission(format!(
                "the broker[{}] sending transaction message is forbidden",
                self.config.advertised
            )));
        }
        self.ensure_transaction_topics()?;
        let queue = target.queue_id.to_string();
        let group = properties::find(&target.properties, properties::PGROUP).unwrap_or(producer_group);
        let own = properties::with(
            &target.properties,
            &[
                (properties::PGROUP, group),
                (properties::REAL_TOPIC, target.topic.as_str()),
                (properties::REAL_QID, &queue),
                // Waiting twice is not possible; Java's clients leave it out themselves.
                (properties::DELAY, ""),
            ],
        );
        Ok(Target { topic: half_topic(), queue_id: QueueId::new(0), properties: own })
    }

    /// Makes the topics of half messages and of their ends where they are not there yet.
    fn ensure_transaction_topics(&self) -> Result<(), Refusal> {
        for topic in [half_topic(), op_topic()] {
            if self.topics.get(topic.as_str()).is_none() {
                let made = self.topics.ensure(Topic::new(topic, 1, Perm::READ_WRITE), self.clock.wall_ms())?;
                if made.new {
                    self.topics_changed();
                }
            }
        }
        Ok(())
    }

    /// The topic of half messages that were given up.
    fn given_up_topic(&self) -> Result<TopicName, Refusal> {
        let topic = Topic::new(TopicName::known(topics::TRANS_CHECK_MAX_TIME), 1, Perm::READ_WRITE);
        let made = self.topics.ensure(topic, self.clock.wall_ms())?;
        if made.new {
            self.topics_changed();
        }
        Ok(made.topic.name.clone())
    }
}
