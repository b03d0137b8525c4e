//! Places in queues: consumer offsets, ends, and places by time.

use kerolox_wire::command::offset::{
    OffsetResult, QueryConsumerOffset, QueueRef, SearchOffset, TimestampResult, UpdateConsumerOffset,
};
use kerolox_wire::names::{LogOffset, QueueId, QueueOffset, TopicName};
use kerolox_wire::reply::Reply;
use kerolox_wire::response::ResponseCode;

use crate::node::Node;
use crate::refusal::Refusal;

impl Node {
    /// Reads how far a group has come.
    ///
    /// A group without an offset starts at 0 while the queue still starts there and its first message is young; only
    /// then does the client's own rule for new groups apply (as 4.7.1 answers).
    pub(crate) fn query_offset(&self, asked: &QueryConsumerOffset) -> Result<Reply, Refusal> {
        let queue = QueueId::from_wire(asked.queue_id).unwrap_or_default();
        if let Some(offset) = self.offsets.get(asked.consumer_group.as_str(), asked.topic.as_str(), queue) {
            return Ok(Reply::of(&OffsetResult { offset }));
        }
        let starts_at_zero =
            self.store.queue_range(&asked.topic, queue).is_none_or(|(min, _)| min == QueueOffset::ZERO);
        let first = self.store.unit_at(&asked.topic, queue, QueueOffset::ZERO);
        let first = first.map_err(|error| Refusal::read_failed(&error))?;
        let young = first.is_none_or(|unit| self.store.is_in_memory(LogOffset::new(unit.log_offset)));
        if starts_at_zero && young {
            return Ok(Reply::of(&OffsetResult { offset: 0 }));
        }
        Err(Refusal::new(
            ResponseCode::QUERY_NOT_FOUND,
            "Not found, V3_0_6_SNAPSHOT maybe this group consumer boot first",
        ))
    }

    /// Stores how far a group has come, also backwards.
    pub(crate) fn update_offset(&self, asked: &UpdateConsumerOffset) -> Result<Reply, Refusal> {
        let Some(queue) = QueueId::from_wire(asked.queue_id) else {
            return Err(Refusal::error(format!("queueId[{}] is illegal", asked.queue_id)));
        };
        if !self.has_queue(&asked.topic, queue) {
            let remark = format!("topic[{}] has no queue {queue} here, so there is no offset to keep", asked.topic);
            return Err(Refusal::new(ResponseCode::TOPIC_NOT_EXIST, remark));
        }
        self.group_or_create(&asked.consumer_group)?;
        self.offsets.commit(&asked.consumer_group, &asked.topic, queue, asked.commit_offset)?;
        Ok(Reply::ok())
    }

    /// Whether a topic has that queue, by its settings or, when it had more queues once, by its messages.
    pub(crate) fn has_queue(&self, topic: &TopicName, queue: QueueId) -> bool {
        let Some(known) = self.topics.get(topic.as_str()) else { return false };
        let queues = known.read_queues.max(known.write_queues);
        u32::try_from(queue.to_wire()).is_ok_and(|queue| queue < queues)
            || self.store.queue_range(topic, queue).is_some()
    }

    /// The place behind the last message; 0 for an unknown queue.
    pub(crate) fn max_offset(&self, asked: &QueueRef) -> Reply {
        let offset = self.range(asked).map_or(0, |(_, max)| max.to_wire());
        Reply::of(&OffsetResult { offset })
    }

    /// The first place; 0 for a queue without messages, as Java answers (it makes the queue while looking for it).
    pub(crate) fn min_offset(&self, asked: &QueueRef) -> Reply {
        let offset = self.range(asked).map_or(0, |(min, _)| min.to_wire());
        Reply::of(&OffsetResult { offset })
    }

    /// Store time of the first message, -1 without one.
    pub(crate) fn earliest_store_time(&self, asked: &QueueRef) -> Result<Reply, Refusal> {
        let queue = QueueId::from_wire(asked.queue_id).unwrap_or_default();
        let stored = match self.range(asked) {
            Some((min, _)) => self.store.store_time(&asked.topic, queue, min),
            None => Ok(None),
        };
        let timestamp = stored.map_err(|error| Refusal::read_failed(&error))?.unwrap_or(-1);
        Ok(Reply::of(&TimestampResult { timestamp }))
    }

    /// The place of the message stored nearest to a time.
    pub(crate) fn search_offset(&self, asked: &SearchOffset) -> Result<Reply, Refusal> {
        let queue = QueueId::from_wire(asked.queue_id).unwrap_or_default();
        let offset = self.store.offset_by_time(&asked.topic, queue, asked.timestamp);
        let offset = offset.map_err(|error| Refusal::read_failed(&error))?.to_wire();
        Ok(Reply::of(&OffsetResult { offset }))
    }

    fn range(&self, asked: &QueueRef) -> Option<(QueueOffset, QueueOffset)> {
        self.store.queue_range(&asked.topic, QueueId::from_wire(asked.queue_id)?)
    }
}
