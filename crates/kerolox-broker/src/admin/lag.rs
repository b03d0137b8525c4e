//! How far groups have come, and how far behind they are.

use std::collections::BTreeMap;
use std::io;

use kerolox_wire::body::{
    BrokerConsumeStats as BrokerConsumeStatsBody, ConsumeStats as ConsumeStatsBody, ConsumeTimeSpans, OffsetWrapper,
    PairMap, QueueTimeSpan, Style, to_json,
};
use kerolox_wire::command::admin::{BrokerConsumeStats, ConsumeStats, TopicAndGroup};
use kerolox_wire::names::{GroupName, QueueId, QueueOffset, TopicName};
use kerolox_wire::reply::Reply;
use kerolox_wire::response::ResponseCode;

use crate::node::Node;
use crate::refusal::Refusal;

impl Node {
    /// Places of a group in the queues of one topic or of all it has consumed.
    pub(crate) fn consume_stats(&self, asked: &ConsumeStats) -> Result<Reply, Refusal> {
        let topics = match &asked.topic {
            Some(topic) => vec![topic.clone()],
            None => self.topics_of_group(&asked.consumer_group),
        };
        Ok(Reply::body(to_json(&self.stats_of(&asked.consumer_group, &topics), Style::Fastjson)))
    }

    /// The topics that a group has consumed or subscribes to.
    pub(crate) fn topics_of_group(&self, group: &GroupName) -> Vec<TopicName> {
        let mut topics = self.offsets.topics_of(group.as_str());
        if let Some(online) = self.clients.group(group.as_str()) {
            topics.extend(online.subscriptions.keys().cloned());
        }
        topics.sort();
        topics.dedup();
        topics
    }

    fn stats_of(&self, group: &GroupName, topics: &[TopicName]) -> ConsumeStatsBody {
        let mut table = Vec::new();
        let mut tps = 0.0;
        for name in topics {
            let Some(topic) = self.topics.get(name.as_str()) else { continue };
            for id in 0..topic.read_queues {
                table.push((self.message_queue(name, id), self.place_in(group, name, QueueId::new(id))));
            }
            tps += self.stats.group_get_tps(name.as_str(), group.as_str());
        }
        ConsumeStatsBody { offset_table: PairMap(table), consume_tps: tps }
    }

    fn place_in(&self, group: &GroupName, topic: &TopicName, queue: QueueId) -> OffsetWrapper {
        let (_, max) = self.range_or_empty(topic, queue);
        let consumer = self.offsets.get(group.as_str(), topic.as_str(), queue).unwrap_or(0);
        let last = QueueOffset::from_wire(consumer.saturating_sub(1))
            .and_then(|last| self.store.store_time(topic, queue, last).ok().flatten());
        OffsetWrapper { broker_offset: max.to_wire(), consumer_offset: consumer, last_timestamp: last.unwrap_or(0) }
    }

    /// Places of every group of this broker.
    pub(crate) fn broker_consume_stats(&self, asked: &BrokerConsumeStats) -> Reply {
        let mut list = Vec::new();
        let mut behind = 0_i64;
        for group in self.groups.snapshot().keys() {
            let Ok(group) = GroupName::parse(group.as_ref()) else { continue };
            let topics: Vec<TopicName> = self
                .offsets
                .topics_of(group.as_str())
                .into_iter()
                .filter(|t| !asked.is_order || self.topics.get(t.as_str()).is_some_and(|t| t.order))
                .collect();
            if topics.is_empty() {
                continue;
            }
            let stats = self.stats_of(&group, &topics);
            // Clients choose what offsets they store.
            let lags = stats.offset_table.iter().map(|(_, at)| at.broker_offset.saturating_sub(at.consumer_offset));
            behind = lags.fold(behind, i64::saturating_add);
            list.push(BTreeMap::from([(group.to_string(), vec![stats])]));
        }
        let body =
            BrokerConsumeStatsBody { consume_stats_list: list, broker_addr: self.address.clone(), total_diff: behind };
        Reply::body(to_json(&body, Style::Fastjson))
    }

    /// What time span of messages a group still has to consume.
    pub(crate) fn consume_time_span(&self, asked: &TopicAndGroup) -> Result<Reply, Refusal> {
        let topic = self
            .topics
            .get(asked.topic.as_str())
            .ok_or_else(|| Refusal::new(ResponseCode::TOPIC_NOT_EXIST, format!("topic[{}] not exist", asked.topic)))?;
        let spans = (0..topic.write_queues).map(|id| self.time_span(asked, id)).collect::<io::Result<_>>();
        let spans = spans.map_err(|error| Refusal::read_failed(&error))?;
        Ok(Reply::body(to_json(&ConsumeTimeSpans { consume_time_span_set: spans }, Style::Fastjson)))
    }

    fn time_span(&self, asked: &TopicAndGroup, id: u32) -> io::Result<QueueTimeSpan> {
        let queue = QueueId::new(id);
        let (min, max) = self.range_or_empty(&asked.topic, queue);
        let stored = |offset: QueueOffset| self.store.store_time(&asked.topic, queue, offset);
        let time = |offset: QueueOffset| stored(offset).map(|ms| ms.unwrap_or(-1));
        let consumed = self.offsets.get(asked.group.as_str(), asked.topic.as_str(), queue);
        let at = consumed.and_then(QueueOffset::from_wire);
        let consume_time = match at {
            Some(next) if next > min => time(QueueOffset::new(next.get() - 1))?,
            _ => time(min)?,
        };
        let delay = match at {
            // What retention has taken is waited for no more; 4.7.1 tells the time since 1970 then.
            Some(next) if next < max => {
                let now_ms = self.clock.wall_ms();
                now_ms.saturating_sub(stored(next.max(min))?.unwrap_or(now_ms))
            }
            _ => 0,
        };
        Ok(QueueTimeSpan {
            message_queue: self.message_queue(&asked.topic, id),
            min_time_stamp: time(min)?,
            max_time_stamp: if max > min { time(QueueOffset::new(max.get() - 1))? } else { -1 },
            consume_time_stamp: consume_time,
            delay_time: delay,
        })
    }
}
