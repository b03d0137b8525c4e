//! Consumer offsets as operators change and read them.

use std::sync::Arc;

use bytes::Bytes;
use kerolox_net::Peer;
use kerolox_wire::body::{
    CorrectionOffsets, DelayOffsets, MessageQueue, MessageQueueOffset, PairMap, ResetOffset as ResetBody,
    ResetOffsetList, Style, to_json,
};
use kerolox_wire::command::admin::{CloneGroupOffset, CorrectionOffset, ResetOffset};
use kerolox_wire::command::client::ResetClientOffset;
use kerolox_wire::command::{Header, Names, RequestCode};
use kerolox_wire::fields::Fields;
use kerolox_wire::frame::{Frame, Language};
use kerolox_wire::names::{QueueId, QueueOffset, TopicName};
use kerolox_wire::reply::Reply;
use kerolox_wire::response::ResponseCode;

use crate::node::Node;
use crate::offset::{OffsetError, TABLE_BYTES_MAX};
use crate::refusal::Refusal;

impl Node {
    /// Resets a group by time through its online consumers.
    pub(crate) fn reset_offset(&self, frame: &Frame, asked: &ResetOffset) -> Result<Reply, Refusal> {
        let topic = self.topics.get(asked.topic.as_str()).ok_or_else(|| {
            Refusal::error(format!(
                "[reset-offset] reset offset failed, no topic in this broker. topic={}",
                asked.topic
            ))
        })?;
        let mut targets = Vec::new();
        for id in 0..topic.write_queues {
            let queue = QueueId::new(id);
            let current = self
                .offsets
                .get(asked.group.as_str(), asked.topic.as_str(), queue)
                .ok_or_else(|| Refusal::error(format!("THe consumer group <{}> not exist", asked.group)))?;
            let by_time = self.place_by_time(&asked.topic, queue, asked.timestamp)?;
            let target = if asked.is_force || by_time < current { by_time } else { current };
            targets.push((self.message_queue(&asked.topic, id), target));
        }
        let consumers = self.clients.consumers(asked.group.as_str());
        if consumers.is_empty() {
            return Err(Refusal::new(
                ResponseCode::CONSUMER_NOT_ONLINE,
                format!(
                    "Consumer not online, so can not reset offset, Group: {} Topic: {} Timestamp: {}",
                    asked.group, asked.topic, asked.timestamp
                ),
            ));
        }
        let order = self.reset_order(frame.language, asked, &targets);
        for (_, consumer) in consumers {
            tell_reset(&consumer, &order);
        }
        let body = ResetBody { offset_table: PairMap(targets) };
        Ok(Reply::body(to_json(&body, Style::Fastjson)))
    }

    /// The place of a time, -1 meaning the end.
    fn place_by_time(&self, topic: &TopicName, queue: QueueId, timestamp: i64) -> Result<i64, Refusal> {
        let end = self.range_or_empty(topic, queue).1;
        if timestamp == -1 || self.is_behind_all(topic, queue, end, timestamp)? {
            return Ok(end.to_wire());
        }
        let offset = self.store.offset_by_time(topic, queue, timestamp);
        offset.map(QueueOffset::to_wire).map_err(|error| Refusal::read_failed(&error))
    }

    /// Whether a time lies behind the last message of a queue. A search by time finds that message then; whoever goes
    /// there to skip everything would be given it once more.
    fn is_behind_all(
        &self,
        topic: &TopicName,
        queue: QueueId,
        end: QueueOffset,
        timestamp: i64,
    ) -> Result<bool, Refusal> {
        let Some(last) = end.get().checked_sub(1).map(QueueOffset::new) else { return Ok(false) };
        let stored = self.store.store_time(topic, queue, last).map_err(|error| Refusal::read_failed(&error))?;
        Ok(stored.is_some_and(|stored| stored < timestamp))
    }

    fn reset_order(&self, language: Language, asked: &ResetOffset, targets: &[(MessageQueue, i64)]) -> Frame {
        let mut fields = Fields::new();
        let header = ResetClientOffset {
            topic: asked.topic.clone(),
            group: asked.group.clone(),
            timestamp: asked.timestamp,
            is_force: asked.is_force,
        };
        header.encode(&mut fields, Names::Long);
        let body = if language == Language::CPP {
            let entries = targets.iter().map(|(queue, offset)| MessageQueueOffset {
                broker_name: queue.broker_name.clone(),
                offset: *offset,
                queue_id: queue.queue_id,
                topic: queue.topic.clone(),
            });
            to_json(&ResetOffsetList { offset_table: entries.collect() }, Style::Fastjson)
        } else {
            to_json(&ResetBody { offset_table: PairMap(targets.to_vec()) }, Style::Fastjson)
        };
        Frame::request(RequestCode::RESET_CONSUMER_CLIENT_OFFSET, fields, Bytes::from(body))
    }

    /// Copies the offsets of one group to another.
    pub(crate) fn clone_group_offset(&self, asked: &CloneGroupOffset) -> Result<Reply, Refusal> {
        let topics = match &asked.topic {
            Some(topic) => vec![topic.clone()],
            None => self.offsets.topics_of(asked.src_group.as_str()),
        };
        for topic in topics {
            let subscribed = || self.clients.subscription(asked.src_group.as_str(), topic.as_str()).is_some();
            if asked.offline || topic.is_retry() || subscribed() {
                self.offsets.clone_topic(asked.src_group.as_str(), &asked.dest_group, &topic)?;
            }
        }
        Ok(Reply::ok())
    }

    /// Lowest places of other groups in a topic.
    pub(crate) fn correction_offsets(&self, asked: &CorrectionOffset) -> Reply {
        let skip: Vec<&str> = asked.filter_groups.as_deref().unwrap_or_default().split(',').collect();
        let begin = |queue: QueueId| self.range_or_empty(&asked.topic, queue).0.to_wire();
        let mut lowest = self.offsets.min_over_groups(asked.topic.as_str(), &skip, begin);
        for (queue, offset) in self.offsets.of(asked.compare_group.as_str(), asked.topic.as_str()) {
            // A place below which the compared group has gone already needs no correction.
            if lowest.get(&queue).is_some_and(|low| *low <= offset) {
                lowest.remove(&queue);
            }
        }
        let table = lowest.into_iter().map(|(queue, offset)| (queue.to_wire(), offset)).collect();
        Reply::body(to_json(&CorrectionOffsets { correction_offsets: table }, Style::Fastjson))
    }

    /// All consumer offsets, for a replica.
    pub(crate) fn all_consumer_offsets(&self) -> Result<Reply, Refusal> {
        let body = to_json(&self.offsets.table_to_send()?, Style::Fastjson);
        if body.len() > TABLE_BYTES_MAX {
            return Err(OffsetError::TooLargeToTell { limit: TABLE_BYTES_MAX }.into());
        }
        Ok(Reply::body(body))
    }

    /// How far each delay level has come, for a replica.
    pub(crate) fn all_delay_offsets(&self) -> Reply {
        let offset_table = self.delay_offsets.table();
        Reply::body(to_json(&DelayOffsets { offset_table }, Style::Fastjson))
    }
}

fn tell_reset(consumer: &Arc<Peer>, order: &Frame) {
    // A consumer that just left starts from the stored offset next time.
    let _ = consumer.notify(order);
}
