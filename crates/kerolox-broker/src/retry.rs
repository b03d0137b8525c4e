//! Messages that a consumer hands back: to be tried again after a while, or to the dead letters.

use std::sync::Arc;

use bytes::BytesMut;
use kerolox_net::Peer;
use kerolox_store::Durability;
use kerolox_wire::command::send::SendBack;
use kerolox_wire::frame::Frame;
use kerolox_wire::id::MessageId;
use kerolox_wire::names::{GroupName, LogOffset, QueueId, TopicName};
use kerolox_wire::properties;
use kerolox_wire::record::{BodyCheck, NewRecord, Record};
use kerolox_wire::reply::{Reply, ReplyTo};

use crate::group::Group;
use crate::node::Node;
use crate::refusal::Refusal;
use crate::topic::Topic;

/// Delay level of the first retry when the broker decides; each further one is a level higher.
const FIRST_RETRY_LEVEL: i32 = 3;

impl Node {
    /// Stores a handed-back message anew, in the group's retry topic after a delay or in its dead letter topic.
    pub(crate) fn send_back(self: &Arc<Self>, peer: &Arc<Peer>, frame: &Frame, asked: &SendBack, out: &mut BytesMut) {
        let to = ReplyTo::from(frame);
        match self.try_send_back(asked) {
            Ok(None) => Reply::ok().encode(to, out),
            Ok(Some(end)) if self.waits_for_disk() => {
                let (node, peer) = (Arc::clone(self), Arc::clone(peer));
                self.store.when_durable(
                    end,
                    Box::new(move |durability| {
                        let reply = match durability {
                            Durability::Durable => Reply::ok(),
                            Durability::TimedOut => Refusal::error("FLUSH_DISK_TIMEOUT").into(),
                            Durability::Failed => node.not_durable().into(),
                        };
                        let mut out = BytesMut::new();
                        reply.encode(to, &mut out);
                        // A closed connection has nobody left to tell.
                        let _ = peer.push(out.freeze());
                    }),
                );
            }
            Ok(Some(_)) => Reply::ok().encode(to, out),
            Err(refusal) => {
                self.refused("send back", peer, &refusal);
                Reply::from(refusal).encode(to, out);
            }
        }
    }

    /// Returns the log offset that must be durable, or none when the group keeps no retries.
    fn try_send_back(&self, asked: &SendBack) -> Result<Option<LogOffset>, Refusal> {
        let group = self.group_or_create(&asked.group)?;
        if !self.permission().writable() {
            return Err(Refusal::no_permission(format!(
                "the broker[{}] sending message is forbidden",
                self.config.advertised
            )));
        }
        let retry_queues = u32::try_from(group.retry_queue_nums).unwrap_or(0);
        if retry_queues == 0 {
            return Ok(None);
        }
        let bytes = self.record_of_client(asked.offset, "look message by offset failed")?;
        let record = Record::parse(&bytes, BodyCheck::Skip)
            .map_err(|e| Refusal::error(format!("look message by offset failed, {}: {e}", asked.offset)))?;
        let (topic, queue, properties) = self.place_of(asked, &group, retry_queues, &record)?;
        let again = NewRecord {
            reconsume_times: record.reconsume_times().saturating_add(1),
            ..NewRecord::copy_of(&record, topic.as_str(), queue.get(), &properties, self.store_host)
        };
        let mut batch = self.store.batch();
        batch.push(&self.store.queue(&topic, queue), &again)?;
        let stored = self.store.append(&mut batch).map_err(|e| Refusal::from(&e))?;
        let origin = properties::find(&properties, properties::RETRY_TOPIC).and_then(|t| TopicName::parse(t).ok());
        if let Some(origin) = origin {
            self.stats.group(&origin, &asked.group).send_back();
        }
        Ok(stored.last().map(|s| s.end))
    }

    fn place_of(
        &self,
        asked: &SendBack,
        group: &Group,
        retry_queues: u32,
        record: &Record<'_>,
    ) -> Result<(TopicName, QueueId, String), Refusal> {
        let text = record.properties();
        let origin_topic = properties::find(text, properties::RETRY_TOPIC).unwrap_or(record.topic());
        let id = MessageId { host: record.store_host(), offset: record.log_offset() }.to_string();
        let origin_id = properties::find(text, properties::ORIGIN_MESSAGE_ID).unwrap_or(&id);
        let own = properties::with(
            text,
            &[(properties::RETRY_TOPIC, origin_topic), (properties::ORIGIN_MESSAGE_ID, origin_id)],
        );
        let max = asked.max_reconsume_times.unwrap_or(group.retry_max_times);
        if record.reconsume_times() >= max || asked.delay_level < 0 {
            let topic = self.dead_letter_topic(&asked.group)?;
            return Ok((topic, QueueId::new(0), properties::with(&own, &[(properties::DELAY, "")])));
        }
        let retry = Topic::retry_of(&asked.group, retry_queues)?;
        // It waits under another topic first, and would fail only when it is due.
        retry.name.check_record()?;
        let made = self.topics.ensure(retry, self.clock.wall_ms())?;
        if made.new {
            self.topics_changed();
        }
        if !made.topic.perm.writable() {
            return Err(Refusal::no_permission(format!("the topic[{}] sending message is forbidden", made.topic.name)));
        }
        let level = if asked.delay_level == 0 {
            FIRST_RETRY_LEVEL.saturating_add(record.reconsume_times())
        } else {
            asked.delay_level
        };
        let queue = QueueId::new(self.random_below(retry_queues));
        let own = properties::with(&own, &[(properties::DELAY, &level.to_string())]);
        Ok(self.delayed(&made.topic.name, queue, level, &own))
    }

    /// The dead letter topic of a group, created when absent: write-only, as in 4.x.
    pub(crate) fn dead_letter_topic(&self, group: &GroupName) -> Result<TopicName, Refusal> {
        let made = self.topics.ensure(Topic::dlq_of(group)?, self.clock.wall_ms())?;
        if made.new {
            self.topics_changed();
        }
        Ok(made.topic.name.clone())
    }
}
