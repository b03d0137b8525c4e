//! Topics: create, delete, list, ranges.

use std::sync::Arc;

use bytes::BytesMut;
use kerolox_net::Peer;
use kerolox_wire::body::{GroupList, MessageQueue, PairMap, Style, TopicList, TopicOffset, TopicStats, to_json};
use kerolox_wire::command::admin::{CreateTopic, TopicRef};
use kerolox_wire::names::{QueueId, QueueOffset, TopicName};
use kerolox_wire::reply::{Reply, ReplyTo};
use kerolox_wire::response::ResponseCode;

use crate::aside::PendingReply;
use crate::node::Node;
use crate::refusal::Refusal;
use crate::topic::{FilterType, Perm, Topic};

impl Node {
    /// Creates or replaces a topic, and answers once the name servers know it.
    pub(crate) fn create_topic(
        self: &Arc<Self>,
        peer: &Arc<Peer>,
        to: ReplyTo,
        asked: CreateTopic,
        out: &mut BytesMut,
    ) {
        let name = asked.topic.clone();
        if let Err(refusal) = self.try_create_topic(asked) {
            self.refused("create topic", peer, &refusal);
            return Reply::from(refusal).encode(to, out);
        }
        let (node, pending) = (Arc::clone(self), PendingReply::new(peer, to));
        self.runtime.spawn(async move {
            node.announce_one(name.as_str()).await;
            pending.answer(&Reply::ok());
        });
    }

    fn try_create_topic(&self, asked: CreateTopic) -> Result<(), Refusal> {
        let number = |what: &str, value: i32| {
            u32::try_from(value).map_err(|_| Refusal::error(format!("{what} is {value}, which is negative")))
        };
        let filter = asked.topic_filter_type.as_deref().unwrap_or("SINGLE_TAG");
        let topic = Topic {
            name: asked.topic,
            read_queues: number("readQueueNums", asked.read_queue_nums)?,
            write_queues: number("writeQueueNums", asked.write_queue_nums)?,
            perm: Perm::from_wire(asked.perm).ok_or_else(|| {
                Refusal::error(format!("perm is {}, which is not a sum of 1, 2, 4 and 8", asked.perm))
            })?,
            filter_type: FilterType::parse(filter).ok_or_else(|| {
                Refusal::error(format!("topicFilterType is {filter:?}; it is SINGLE_TAG or MULTI_TAG"))
            })?,
            sys_flag: asked.topic_sys_flag,
            order: false,
        };
        self.topics.replace(topic, self.clock.wall_ms())?;
        self.save_topics();
        Ok(())
    }

    /// Deletes a topic with its queues.
    pub(crate) fn delete_topic(&self, asked: &TopicRef) -> Result<Reply, Refusal> {
        self.topics.delete(&asked.topic, self.clock.wall_ms())?;
        self.offsets.remove_topic(asked.topic.as_str());
        self.stats.forget_topic(asked.topic.as_str());
        self.topics_changed();
        self.delete_queues(&asked.topic)?;
        Ok(Reply::ok())
    }

    /// All topics with the version of the table.
    pub(crate) fn all_topics(&self) -> Reply {
        Reply::body(to_json(&self.topics.register_all(Perm::READ_WRITE), Style::Fastjson))
    }

    /// One topic.
    pub(crate) fn one_topic(&self, asked: &TopicRef) -> Result<Reply, Refusal> {
        let name = asked.topic.as_str();
        let topic = self.topics.get(name).ok_or_else(|| {
            Refusal::new(ResponseCode::TOPIC_NOT_EXIST, format!("No topic in this broker. topic: {name}"))
        })?;
        Ok(Reply::body(to_json(&topic.to_config(topic.perm), Style::Fastjson)))
    }

    /// Names of the topics that the system uses.
    pub(crate) fn system_topics(&self) -> Reply {
        let topic_list = self.topics.system_names().iter().map(ToString::to_string).collect();
        Reply::body(to_json(&TopicList { topic_list, ..TopicList::default() }, Style::Fastjson))
    }

    /// Groups that consume a topic, online or by their offsets.
    pub(crate) fn consumers_of_topic(&self, asked: &TopicRef) -> Reply {
        let mut groups = self.clients.groups_on(asked.topic.as_str());
        groups.extend(self.offsets.groups_of(asked.topic.as_str()));
        groups.sort();
        groups.dedup();
        let group_list = groups.iter().map(ToString::to_string).collect();
        Reply::body(to_json(&GroupList { group_list }, Style::Fastjson))
    }

    /// Ranges of a topic's queues.
    pub(crate) fn topic_stats(&self, asked: &TopicRef) -> Result<Reply, Refusal> {
        let topic = self
            .topics
            .get(asked.topic.as_str())
            .ok_or_else(|| Refusal::new(ResponseCode::TOPIC_NOT_EXIST, format!("topic[{}] not exist", asked.topic)))?;
        let queues = (0..topic.write_queues).map(|id| {
            let (min, max) = self.range_or_empty(&topic.name, QueueId::new(id));
            let last = if max > min {
                let before = QueueOffset::new(max.get() - 1);
                self.store.store_time(&topic.name, QueueId::new(id), before).ok().flatten().unwrap_or(0)
            } else {
                0
            };
            let place =
                TopicOffset { min_offset: min.to_wire(), max_offset: max.to_wire(), last_update_timestamp: last };
            (self.message_queue(&topic.name, id), place)
        });
        let stats = TopicStats { offset_table: PairMap(queues.collect()) };
        Ok(Reply::body(to_json(&stats, Style::Fastjson)))
    }

    /// First and end place of a queue; 0 and 0 without messages.
    pub(crate) fn range_or_empty(&self, topic: &TopicName, queue: QueueId) -> (QueueOffset, QueueOffset) {
        self.store.queue_range(topic, queue).unwrap_or_default()
    }

    /// A queue of this broker as bodies name it.
    pub(crate) fn message_queue(&self, topic: &TopicName, queue: u32) -> MessageQueue {
        MessageQueue {
            broker_name: self.config.name.clone(),
            queue_id: QueueId::new(queue).to_wire(),
            topic: topic.to_string(),
        }
    }
}
