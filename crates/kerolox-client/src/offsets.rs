//! Ends of queues, places of times, and how far groups have come.

use kerolox_wire::body::{ConsumeStats, MessageQueue, OffsetWrapper, ResetOffset, TopicOffset};
use kerolox_wire::command::admin::{self, CloneGroupOffset};
use kerolox_wire::command::call;
use kerolox_wire::command::offset::{QueueRef, SearchOffset, UpdateConsumerOffset};
use kerolox_wire::frame::{Frame, Language};
use kerolox_wire::names::{GroupName, TopicName};
use kerolox_wire::response::ResponseCode;

use crate::client::{CALL_TIMEOUT, LONG_CALL_TIMEOUT, body_of, frame_of, refused};
use crate::route::NO_BODY;
use crate::{Client, ClientError};

/// How far a group has come, over all brokers.
#[derive(Debug, Clone, Default)]
pub struct GroupProgress {
    /// Messages consumed per second, lately.
    pub tps: f64,
    /// Each queue, sorted.
    pub queues: Vec<(MessageQueue, OffsetWrapper)>,
}

impl GroupProgress {
    /// Messages not consumed yet.
    #[must_use]
    pub fn lag(&self) -> i64 {
        self.queues.iter().map(|(_, at)| at.diff()).fold(0, i64::saturating_add)
    }
}

/// What the old way of resetting did to one queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rollback {
    /// The queue.
    pub queue: MessageQueue,
    /// Its end.
    pub broker_offset: i64,
    /// Where the group was.
    pub consumer_offset: i64,
    /// Where the time is.
    pub timestamp_offset: i64,
    /// Where the group is now.
    pub rollback_offset: i64,
}

/// How a group was set to a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reset {
    /// The brokers told the connected consumers: new place of each queue.
    Told(Vec<(MessageQueue, i64)>),
    /// Nobody is connected: the stored offsets were changed.
    Stored(Vec<Rollback>),
}

impl Client {
    /// The place behind the last message.
    ///
    /// # Errors
    /// When the broker does not answer or refuses.
    pub async fn max_offset(&self, broker: &str, topic: &TopicName, queue_id: i32) -> Result<i64, ClientError> {
        let request = QueueRef { topic: topic.clone(), queue_id };
        Ok(self.call::<call::GetMaxOffset>(broker, &request).await?.header.offset)
    }

    /// The first place; −1 where there is no such queue.
    ///
    /// # Errors
    /// When the broker does not answer or refuses.
    pub async fn min_offset(&self, broker: &str, topic: &TopicName, queue_id: i32) -> Result<i64, ClientError> {
        let request = QueueRef { topic: topic.clone(), queue_id };
        Ok(self.call::<call::GetMinOffset>(broker, &request).await?.header.offset)
    }

    /// The place of a store time.
    ///
    /// # Errors
    /// When the broker does not answer or refuses.
    pub async fn search_offset(
        &self,
        broker: &str,
        topic: &TopicName,
        queue_id: i32,
        timestamp: i64,
    ) -> Result<i64, ClientError> {
        let request = SearchOffset { topic: topic.clone(), queue_id, timestamp };
        Ok(self.call::<call::SearchOffset>(broker, &request).await?.header.offset)
    }

    /// The place of the first message that was stored at a time or later: as [`Client::search_offset`], but behind the
    /// last message for a time behind that of the last message.
    ///
    /// # Errors
    /// When the broker does not answer or refuses.
    pub async fn offset_from_time(
        &self,
        broker: &str,
        topic: &TopicName,
        queue_id: i32,
        timestamp: i64,
    ) -> Result<i64, ClientError> {
        let found = self.search_offset(broker, topic, queue_id, timestamp).await?;
        let ranges = self.topic_stats_at(broker, topic).await?;
        let range = ranges.into_iter().find(|(queue, _)| queue.queue_id == queue_id);
        let is_behind = |at: &TopicOffset| found < at.max_offset && (1..timestamp).contains(&at.last_update_timestamp);
        Ok(range.filter(|(_, at)| is_behind(at)).map_or(found, |(_, at)| at.max_offset))
    }

    /// Stores where a group stands in a queue.
    ///
    /// # Errors
    /// When the broker does not answer or refuses.
    pub async fn put_offset(
        &self,
        broker: &str,
        group: &GroupName,
        queue: &MessageQueue,
        offset: i64,
    ) -> Result<(), ClientError> {
        let request = UpdateConsumerOffset {
            consumer_group: group.clone(),
            topic: TopicName::parse(&queue.topic)?,
            queue_id: queue.queue_id,
            commit_offset: offset,
        };
        self.call::<call::UpdateConsumerOffset>(broker, &request).await.map(drop)
    }

    /// How far a group has come at one broker.
    ///
    /// # Errors
    /// When the broker does not answer or refuses.
    pub async fn progress_at(
        &self,
        broker: &str,
        group: &GroupName,
        topic: Option<&TopicName>,
    ) -> Result<GroupProgress, ClientError> {
        let request = admin::ConsumeStats { consumer_group: group.clone(), topic: topic.cloned() };
        let stats: ConsumeStats = self.read::<call::GetConsumeStats, _>(broker, &request, LONG_CALL_TIMEOUT).await?;
        let queues = stats.offset_table.0;
        Ok(GroupProgress { tps: stats.consume_tps, queues })
    }

    /// How far a group has come, over all brokers that know it.
    ///
    /// # Errors
    /// Code 206 when it has not consumed anything.
    pub async fn progress(&self, group: &GroupName, topic: Option<&TopicName>) -> Result<GroupProgress, ClientError> {
        let mut whole = GroupProgress::default();
        for (_, address) in self.brokers_of_group(group).await? {
            let part = self.progress_at(&address, group, topic).await?;
            whole.tps += part.tps;
            whole.queues.extend(part.queues);
        }
        if whole.queues.is_empty() {
            return Err(ClientError::Absent {
                code: ResponseCode::CONSUMER_NOT_ONLINE,
                what: format!("Not found the consumer group consume stats: [{group}] has not consumed any message"),
            });
        }
        whole.queues.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(whole)
    }

    /// Copies the offsets of a group to another, at every broker that knows it.
    ///
    /// # Errors
    /// When a broker does not answer or refuses.
    pub async fn clone_group_offset(
        &self,
        from: &GroupName,
        to: &GroupName,
        topic: Option<&TopicName>,
        offline: bool,
    ) -> Result<(), ClientError> {
        let request =
            CloneGroupOffset { src_group: from.clone(), dest_group: to.clone(), topic: topic.cloned(), offline };
        for (_, address) in self.brokers_of_group(from).await? {
            self.call_with::<call::CloneGroupOffset>(&address, &request, NO_BODY, LONG_CALL_TIMEOUT).await?;
        }
        Ok(())
    }

    /// Sets a group to a store time (−1: to the end): through its connected consumers, which are of `language`, else
    /// in the stored offsets.
    ///
    /// # Errors
    /// When a broker does not answer or refuses for another reason than that nobody is connected.
    pub async fn reset_offset(
        &self,
        group: &GroupName,
        topic: &TopicName,
        timestamp: i64,
        force: bool,
        language: Language,
    ) -> Result<Reset, ClientError> {
        match self.reset_through_consumers(group, topic, timestamp, force, language).await {
            Err(why) if why.is(ResponseCode::CONSUMER_NOT_ONLINE) => {
                self.reset_stored(group, topic, timestamp, force).await.map(Reset::Stored)
            }
            other => other.map(Reset::Told),
        }
    }

    async fn reset_through_consumers(
        &self,
        group: &GroupName,
        topic: &TopicName,
        timestamp: i64,
        force: bool,
        language: Language,
    ) -> Result<Vec<(MessageQueue, i64)>, ClientError> {
        let request = admin::ResetOffset { topic: topic.clone(), group: group.clone(), timestamp, is_force: force };
        let mut places: Vec<(MessageQueue, i64)> = Vec::new();
        for (_, address) in self.brokers_of_topic(topic.as_str()).await? {
            let frame = Frame { language, ..frame_of::<call::ResetOffset>(&request, NO_BODY) };
            let answer = self.exchange_frame(&address, frame, CALL_TIMEOUT).await?;
            if answer.code != ResponseCode::SUCCESS.0 {
                return Err(refused(&address, &answer));
            }
            if !answer.body.is_empty() {
                let told: ResetOffset = body_of::<call::ResetOffset, _>(&address, &answer.body)?;
                places.extend(told.offset_table.0);
            }
        }
        places.sort();
        Ok(places)
    }

    /// Sets the stored offsets of a group that nobody is connected for.
    ///
    /// # Errors
    /// When a broker does not answer or refuses.
    pub async fn reset_stored(
        &self,
        group: &GroupName,
        topic: &TopicName,
        timestamp: i64,
        force: bool,
    ) -> Result<Vec<Rollback>, ClientError> {
        let mut rollbacks = Vec::new();
        for (_, address) in self.brokers_of_topic(topic.as_str()).await? {
            let mut places: Vec<(MessageQueue, i64, i64)> = self
                .progress_at(&address, group, None)
                .await?
                .queues
                .into_iter()
                .filter(|(queue, _)| queue.topic == topic.as_str())
                .map(|(queue, at)| (queue, at.broker_offset, at.consumer_offset))
                .collect();
            if places.is_empty() {
                let ranges = self.topic_stats_at(&address, topic).await?;
                places = ranges.into_iter().map(|(queue, at)| (queue, at.max_offset, at.min_offset)).collect();
            }
            places.sort();
            for (queue, broker_offset, consumer_offset) in places {
                let timestamp_offset = if timestamp == -1 {
                    self.max_offset(&address, topic, queue.queue_id).await?
                } else {
                    self.offset_from_time(&address, topic, queue.queue_id, timestamp).await?
                };
                let mut rollback_offset = consumer_offset;
                if force || timestamp_offset <= consumer_offset {
                    rollback_offset = timestamp_offset;
                    self.put_offset(&address, group, &queue, timestamp_offset).await?;
                }
                rollbacks.push(Rollback { queue, broker_offset, consumer_offset, timestamp_offset, rollback_offset });
            }
        }
        Ok(rollbacks)
    }
}
