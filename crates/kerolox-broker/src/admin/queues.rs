//! Queue files: looking into them and cleaning them.

use std::collections::{BTreeMap, BTreeSet};

use kerolox_wire::body::{ConsumeQueueUnit, ConsumeQueueUnits, Style, to_json, to_json_pretty};
use kerolox_wire::command::admin::QueryConsumeQueue;
use kerolox_wire::names::{LogOffset, QueueId, QueueOffset, TopicName};
use kerolox_wire::record::{BodyCheck, Record};
use kerolox_wire::reply::Reply;

use crate::node::Node;
use crate::refusal::Refusal;
use crate::topic::{Perm, Topic};

/// Most units of one answer.
const UNITS_MAX: usize = 1000;
/// Queues that a topic found on the disk may have; a higher number comes from a damaged record.
const QUEUES_ADOPTED_MAX: u32 = 1024;

impl Node {
    /// Reads units of a queue as they lie on disk.
    pub(crate) fn query_consume_queue(&self, asked: &QueryConsumeQueue) -> Result<Reply, Refusal> {
        let queue = QueueId::from_wire(asked.queue_id).unwrap_or_default();
        let Some((min, max)) = self.store.queue_range(&asked.topic, queue) else {
            return Err(Refusal::error(format!("{}@{} is not exist!", asked.queue_id, asked.topic)));
        };
        let subscription =
            asked.consumer_group.as_ref().and_then(|g| self.clients.subscription(g.as_str(), asked.topic.as_str()));
        let filter_data = asked.consumer_group.as_ref().map(|group| match &subscription {
            None => format!("{group}@{} is not online!", asked.topic),
            Some(_) => to_json_pretty(&self.filters.stored(group.as_str(), asked.topic.as_str())),
        });
        let from = QueueOffset::from_wire(asked.index).unwrap_or_default().max(min);
        let count = usize::try_from(asked.count).unwrap_or(0).min(UNITS_MAX);
        let units = self.store.units(&asked.topic, queue, from, count);
        let (_, units) = units.map_err(|error| Refusal::read_failed(&error))?;
        let queue_data = units
            .iter()
            .map(|unit| {
                let stored = self.store.record_at(LogOffset::new(unit.log_offset)).ok();
                let message = stored.as_deref().and_then(|bytes| Record::parse(bytes, BodyCheck::Skip).ok());
                ConsumeQueueUnit {
                    physic_offset: unit.log_offset.cast_signed(),
                    physic_size: unit.size.cast_signed(),
                    tags_code: unit.tags_code,
                    eval: subscription.as_ref().is_none_or(|s| s.tags.matches(unit.tags_code)),
                    msg: message.is_none().then(|| "the message is not in the log".to_owned()),
                    ..ConsumeQueueUnit::default()
                }
            })
            .collect();
        let body = ConsumeQueueUnits {
            filter_data,
            subscription_data: subscription.map(|s| s.to_body()),
            queue_data,
            max_queue_index: max.to_wire(),
            min_queue_index: min.to_wire(),
        };
        Ok(Reply::body(to_json(&body, Style::Fastjson)))
    }

    /// Deletes queue files that point below the log.
    pub(crate) fn clean_expired_queues(&self) -> Result<Reply, Refusal> {
        self.store
            .clean_expired_queues()
            .map_err(|e| Refusal::error(format!("queue files could not be deleted: {e}")))?;
        Ok(Reply::ok())
    }

    /// Deletes the queues of topics that are no more, each by its name.
    pub(crate) fn clean_unused_topics(&self) -> Result<Reply, Refusal> {
        let known = self.topics.snapshot();
        let on_disk: BTreeSet<_> = self.store.topics_on_disk().into_iter().map(|(topic, _)| topic).collect();
        let is_used = |topic: &TopicName| {
            known.contains_key(topic.as_str()) || crate::topic::Topics::forbidden_to_send(topic.as_str())
        };
        for topic in on_disk.iter().filter(|topic| !is_used(topic)) {
            tracing::info!(%topic, "queues of an unused topic deleted");
            self.delete_queues(topic)?;
        }
        Ok(Reply::ok())
    }

    /// Makes the topics whose messages are in queues although the table does not know them: the log came from another
    /// directory, or the table from an earlier day. What is stored stays readable.
    pub(crate) fn adopt_topics(&self) {
        let mut found = BTreeMap::<TopicName, u32>::new();
        for (topic, queue) in self.store.topics_on_disk() {
            let has_messages = self.store.queue_range(&topic, queue).is_some_and(|(min, max)| min < max);
            let unknown = self.topics.get(topic.as_str()).is_none() && !self.topics.is_system(topic.as_str());
            if has_messages && unknown && queue.get() < QUEUES_ADOPTED_MAX {
                let queues = found.entry(topic).or_default();
                *queues = (*queues).max(queue.get() + 1);
            }
        }
        for (topic, queues) in found {
            let made = self.topics.replace(Topic::new(topic.clone(), queues, Perm::READ_WRITE), self.clock.wall_ms());
            match made {
                Ok(_) => tracing::warn!(%topic, queues, "topic made for messages that topics.json does not know"),
                Err(error) => tracing::warn!(%topic, %error, "messages of an unknown topic cannot be read"),
            }
        }
        self.save_topics();
    }

    /// Deletes the queues of one topic.
    pub(crate) fn delete_queues(&self, topic: &TopicName) -> Result<(), Refusal> {
        let deleted = self.store.delete_topic(topic);
        deleted.map(drop).map_err(|e| Refusal::error(format!("queues of {topic} could not be deleted: {e}")))
    }
}
