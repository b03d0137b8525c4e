//! Sends: checks, the record each message becomes, one append for all that arrived together, and the answers.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kerolox_net::Peer;
use kerolox_store::{AppendBatch, AppendError, Appended, Durability};
use kerolox_wire::command::send::{SendMessage, SendResult};
use kerolox_wire::frame::Frame;
use kerolox_wire::id::MessageId;
use kerolox_wire::names::{GroupName, QueueId, RETRY_PREFIX, TopicName, groups, topics};
use kerolox_wire::properties;
use kerolox_wire::record::{BatchItems, NewRecord};
use kerolox_wire::reply::{Reply, ReplyTo};
use kerolox_wire::response::ResponseCode;
use kerolox_wire::sys_flag;
use smallvec::SmallVec;

use crate::node::Node;
use crate::refusal::Refusal;
use crate::spans::Span;
use crate::topic::{FilterType, Topic, TopicByProducer, TopicError, Topics};
use crate::transaction;

/// Most groups kept for use again; as many are in use as threads serve.
const GROUPS_KEPT: usize = 64;
/// A group with more room for records than this is not kept.
const GROUP_BYTES_KEPT: usize = 1 << 20;

/// Sends that one read brought, collected for a single append.
pub(crate) struct SendGroup {
    batch: AppendBatch,
    pending: Vec<Pending>,
    /// When the first of them was begun.
    began: Duration,
    /// What is counted once it is stored: topic by topic in the order they came.
    counted: SmallVec<[Counted; 1]>,
}

/// Messages of one topic in a group.
struct Counted {
    topic: Arc<Topic>,
    messages: u64,
    /// Of the stored records, as 4.7.1 counts.
    bytes: u64,
}

/// A send whose record is in the batch.
struct Pending {
    to: ReplyTo,
    queue_id: QueueId,
    /// False when the client does not want to wait for the disk.
    wait: bool,
    /// What follows it, where somebody does.
    span: Option<Box<Span>>,
}

/// Where a message goes, after the redirections of retry and delay.
pub(crate) struct Target {
    pub(crate) topic: TopicName,
    pub(crate) queue_id: QueueId,
    pub(crate) properties: String,
}

/// A send whose body is a batch.
struct Batch<'a> {
    topic: &'a Topic,
    queue_id: QueueId,
    header: &'a SendMessage,
    body: &'a Bytes,
    born_host: SocketAddr,
}

impl SendGroup {
    /// Nothing yet; `batch` is an empty one of the store.
    pub(crate) fn new(batch: AppendBatch) -> Self {
        Self { batch, pending: Vec::new(), began: Duration::ZERO, counted: SmallVec::new() }
    }

    /// The topic of the last message, when it has that name: sends that come together mostly have one topic.
    fn last_topic(&self, name: &TopicName) -> Option<Arc<Topic>> {
        self.counted.last().filter(|last| last.topic.name == *name).map(|last| Arc::clone(&last.topic))
    }

    fn count(&mut self, topic: Arc<Topic>, messages: u64, bytes: u64) {
        match self.counted.last_mut() {
            Some(last) if Arc::ptr_eq(&last.topic, &topic) => {
                last.messages += messages;
                last.bytes += bytes;
            }
            _ => self.counted.push(Counted { topic, messages, bytes }),
        }
    }

    /// Whether it is worth keeping: a few large bodies must not hold their memory for ever.
    fn is_handy(&self) -> bool {
        self.batch.capacity() <= GROUP_BYTES_KEPT
    }

    /// Whether there is nothing to append.
    pub(crate) fn is_empty(&self) -> bool {
        self.pending.is_empty()
    }
}

impl Node {
    /// An empty group, with the memory of one used before.
    pub(crate) fn lend_group(&self) -> SendGroup {
        let spare = self.spare_groups.lock().pop();
        spare.unwrap_or_else(|| SendGroup::new(self.store.batch()))
    }

    /// Takes back what [`Node::lend_group`] gave, once it is finished.
    pub(crate) fn take_back(&self, group: SendGroup) {
        let mut spare = self.spare_groups.lock();
        if group.is_handy() && spare.len() < GROUPS_KEPT {
            spare.push(group);
        }
    }

    /// Checks one send and adds it to `group`; a refusal is answered at once.
    pub(crate) fn plan_send(
        &self,
        peer: &Peer,
        frame: &Frame,
        header: &SendMessage,
        group: &mut SendGroup,
        out: &mut BytesMut,
    ) {
        let to = ReplyTo::from(frame);
        if group.is_empty() {
            group.began = self.now();
        }
        let span = self.span_of_send(peer.remote(), frame, header);
        match self.try_plan(peer, frame, header, group) {
            Ok(pending) => group.pending.push(Pending { span, ..pending }),
            Err(refusal) => {
                self.refused("send", peer, &refusal);
                if let Some(span) = span {
                    self.end_span(*span, refusal.code, Some(&refusal.remark));
                }
                self.decorate(Reply::from(refusal)).encode(to, out);
            }
        }
    }

    fn try_plan(
        &self,
        peer: &Peer,
        frame: &Frame,
        header: &SendMessage,
        group: &mut SendGroup,
    ) -> Result<Pending, Refusal> {
        let text = header.properties.as_deref().unwrap_or_default();
        let [wait, transaction] = properties::find_each(text, [properties::WAIT, properties::TRAN_MSG]);
        let half = transaction::opens(transaction, header, text);
        let topic = self.topic_for_send(peer, header, group)?;
        let queue_id = self.queue_for_send(&topic, header, peer)?;
        let wait = wait != Some("false");
        let to = ReplyTo::from(frame);
        let stored_before = group.batch.bytes();
        let messages = if header.batch {
            if half {
                return Err(Refusal::new(ResponseCode::MESSAGE_ILLEGAL, "a batch cannot be part of a transaction"));
            }
            self.plan_batch(
                &Batch { topic: &topic, queue_id, header, body: &frame.body, born_host: peer.remote() },
                group,
            )?
        } else {
            let target = self.target_of(&topic, queue_id, header, text)?;
            let is_dead = target.topic != topic.name;
            let target = match (half, is_dead) {
                (true, _) => self.half_of(&target, &header.producer_group)?,
                // Nothing waits on the way to the dead letters.
                (false, true) => target,
                (false, false) => self.delayed_if_asked(target, text)?,
            };
            let record = NewRecord {
                topic: target.topic.as_str(),
                queue_id: target.queue_id.get(),
                flag: header.flag,
                sys_flag: header.sys_flag & !sys_flag::TRANSACTION_MASK | tag_bits(&topic),
                born_timestamp: header.born_timestamp,
                born_host: peer.remote(),
                store_host: self.store_host,
                reconsume_times: header.reconsume_times,
                prepared_transaction_offset: 0,
                body: &frame.body,
                properties: &target.properties,
            };
            let queue = self.store.queue(&target.topic, target.queue_id);
            group.batch.push(&queue, &record)?;
            1
        };
        let counted = if half { self.topics.get(topics::TRANS_HALF).unwrap_or(topic) } else { topic };
        group.count(counted, messages, group.batch.bytes().saturating_sub(stored_before) as u64);
        Ok(Pending { to, queue_id, wait, span: None })
    }

    pub(crate) fn topic_for_send(
        &self,
        peer: &Peer,
        header: &SendMessage,
        group: &SendGroup,
    ) -> Result<Arc<Topic>, Refusal> {
        let live = &self.config.live;
        let from = live.accept_sends_from();
        if from > 0 && self.clock.wall_ms() < from {
            return Err(Refusal::error(format!("broker unable to service, until {from} ms since 1970")));
        }
        if Topics::forbidden_to_send(header.topic.as_str()) {
            return Err(Refusal::no_permission(format!("Sending message to topic[{}] is forbidden.", header.topic)));
        }
        let topic = match group.last_topic(&header.topic).or_else(|| self.topics.get(header.topic.as_str())) {
            Some(topic) => topic,
            None => self.create_topic_by_send(peer, header)?,
        };
        // A delayed or half message keeps the name as a property, and would fail only when it is due.
        topic.name.check_record()?;
        if !self.permission().writable() && topic.order {
            return Err(Refusal::no_permission(format!(
                "the broker[{}] sending message is forbidden",
                self.config.advertised
            )));
        }
        Ok(topic)
    }

    pub(crate) fn queue_for_send(&self, topic: &Topic, header: &SendMessage, peer: &Peer) -> Result<QueueId, Refusal> {
        let queues = topic.write_queues.max(topic.read_queues);
        match QueueId::from_wire(header.queue_id) {
            Some(id) if id.get() < queues => Ok(id),
            Some(id) => Err(Refusal::error(format!(
                "request queueId[{id}] is illegal, topic {} has {} write and {} read queues. Producer: {}",
                topic.name,
                topic.write_queues,
                topic.read_queues,
                peer.remote()
            ))),
            None if topic.write_queues == 0 => {
                Err(Refusal::error(format!("topic {} has no queue to write to", topic.name)))
            }
            None => Ok(QueueId::new(self.random_below(topic.write_queues))),
        }
    }

    fn target_of(&self, topic: &Topic, queue_id: QueueId, header: &SendMessage, text: &str) -> Result<Target, Refusal> {
        if header.topic.is_retry()
            && let Some(dead) = self.dead_letter_of(header)?
        {
            let own = [(properties::CLUSTER, self.config.cluster.as_str()), (properties::DELAY, "")];
            return Ok(Target { topic: dead, queue_id: QueueId::new(0), properties: properties::with(text, &own) });
        }
        let mut own = extensible(text, self.config.cluster.len() + 16);
        properties::push(&mut own, properties::CLUSTER, &self.config.cluster);
        if self.config.trace_topic {
            self.mark_for_trace(&mut own);
        }
        Ok(Target { topic: topic.name.clone(), queue_id, properties: own })
    }

    /// Adds the properties without which consumers of 5.x leave no trace of a message, unless it brings them: a message
    /// that a consumer sends again does. A broker of 5.x adds them always, 4.7.1 never.
    fn mark_for_trace(&self, text: &mut String) {
        if properties::find(text, properties::MSG_REGION).is_none() {
            properties::push(text, properties::MSG_REGION, &self.config.region);
            properties::push(text, properties::TRACE_ON, self.trace_on());
        }
    }

    /// The dead letter topic, when the message was handed back too often (`%RETRY%` sends by consumers).
    fn dead_letter_of(&self, header: &SendMessage) -> Result<Option<TopicName>, Refusal> {
        let group = header.topic.as_str().strip_prefix(RETRY_PREFIX).unwrap_or_default();
        let group = GroupName::parse(group)?;
        let config = self.group_or_create(&group)?;
        let max = header.max_reconsume_times.unwrap_or(config.retry_max_times);
        if header.reconsume_times < max {
            return Ok(None);
        }
        self.dead_letter_topic(&group).map(Some)
    }

    /// Adds the messages of a batch to `group`; returns how many.
    fn plan_batch(&self, asked: &Batch<'_>, group: &mut SendGroup) -> Result<u64, Refusal> {
        let illegal = |why: String| Refusal::new(ResponseCode::MESSAGE_ILLEGAL, why);
        let header = asked.header;
        if header.topic.is_retry() {
            return Err(illegal("a batch cannot be sent to a retry topic".to_owned()));
        }
        let (size, limit) = (asked.body.len(), self.store.config().max_record_size);
        if size as u64 > u64::from(limit) {
            return Err(illegal(format!("the batch has {size} bytes, {limit} are allowed")));
        }
        let mut items = Vec::new();
        for item in BatchItems::new(asked.body) {
            let item = item.map_err(|e| illegal(format!("malformed batch: {e}")))?;
            crate::timer::refuse_in_batch(item.properties)?;
            let mut text = Cow::Borrowed(item.properties);
            if self.config.trace_topic {
                text = Cow::Owned(extensible(&text, 64));
                self.mark_for_trace(text.to_mut());
            }
            items.push((item, text));
        }
        if items.is_empty() {
            return Err(illegal("the batch has no message".to_owned()));
        }
        let records: Vec<_> = items
            .iter()
            .map(|(item, text)| NewRecord {
                topic: asked.topic.name.as_str(),
                queue_id: asked.queue_id.get(),
                flag: item.flag,
                sys_flag: header.sys_flag & !sys_flag::TRANSACTION_MASK | tag_bits(asked.topic),
                born_timestamp: header.born_timestamp,
                born_host: asked.born_host,
                store_host: self.store_host,
                reconsume_times: header.reconsume_times,
                prepared_transaction_offset: 0,
                body: item.body,
                properties: text,
            })
            .collect();
        let queue = self.store.queue(&asked.topic.name, asked.queue_id);
        group.batch.push_group(&queue, &records)?;
        Ok(records.len() as u64)
    }

    /// Appends what was collected and answers, now or once it is on disk.
    pub(crate) fn finish_sends(self: &Arc<Self>, peer: &Arc<Peer>, group: &mut SendGroup, out: &mut BytesMut) {
        if group.is_empty() {
            return;
        }
        let sends = group.pending.len();
        let before = self.now();
        let stored = self.store.append(&mut group.batch);
        let after = self.now();
        self.stats.put_took(after.saturating_sub(before));
        match stored {
            Ok(appended) => {
                for counted in &group.counted {
                    self.stats.topic(&counted.topic.name).record(counted.messages, counted.bytes);
                }
                let late = self.answer_sends(&mut group.pending, appended, out);
                self.stats.send_times.note(after.saturating_sub(group.began), (sends - late.len()) as u64);
                self.answer_when_durable(peer, late, group.began);
            }
            Err(error) => self.refuse_sends(peer, &mut group.pending, &error, out),
        }
        group.batch.clear();
        group.counted.clear();
    }

    fn refuse_sends(&self, peer: &Peer, pending: &mut Vec<Pending>, error: &AppendError, out: &mut BytesMut) {
        let refusal = Refusal::from(error);
        self.refused("send", peer, &refusal);
        for send in pending.drain(..) {
            if let Some(span) = send.span {
                self.end_span(*span, refusal.code, Some(&refusal.remark));
            }
            self.decorate(Reply::from(refusal.clone())).encode(send.to, out);
        }
    }

    /// Answers what is stored, and returns what still waits for the disk.
    fn answer_sends(
        &self,
        pending: &mut Vec<Pending>,
        appended: Vec<Appended>,
        out: &mut BytesMut,
    ) -> Vec<(Pending, Appended)> {
        let sync = self.waits_for_disk();
        let mut late = Vec::new();
        for (mut send, stored) in pending.drain(..).zip(appended) {
            if sync && send.wait {
                late.push((send, stored));
            } else {
                let reply = self.sent(&send, &stored, ResponseCode::SUCCESS);
                self.end_span_of(&mut send, &stored, &reply);
                reply.encode(send.to, out);
            }
        }
        late
    }

    fn answer_when_durable(self: &Arc<Self>, peer: &Arc<Peer>, mut late: Vec<(Pending, Appended)>, began: Duration) {
        let Some(end) = late.iter().map(|(_, stored)| stored.end).max() else { return };
        let node = Arc::clone(self);
        let peer = Arc::clone(peer);
        self.store.when_durable(
            end,
            Box::new(move |durability| {
                let mut out = BytesMut::new();
                for (send, stored) in &mut late {
                    let reply = node.settled(send, stored, durability);
                    node.end_span_of(send, stored, &reply);
                    reply.encode(send.to, &mut out);
                }
                node.stats.send_times.note(node.now().saturating_sub(began), late.len() as u64);
                // A closed connection has nobody left to tell.
                let _ = peer.push(out.freeze());
            }),
        );
    }

    fn end_span_of(&self, send: &mut Pending, stored: &Appended, reply: &Reply) {
        let Some(mut span) = send.span.take() else { return };
        span.queue = Some(send.queue_id.get());
        span.offset = Some(stored.queue_offset.to_wire());
        span.messages = stored.record_offsets.len();
        self.end_span(*span, reply.code, reply.remark.as_deref());
    }

    fn settled(&self, send: &Pending, stored: &Appended, durability: Durability) -> Reply {
        match durability {
            Durability::Durable => self.sent(send, stored, ResponseCode::SUCCESS),
            Durability::TimedOut => self.sent(send, stored, ResponseCode::FLUSH_DISK_TIMEOUT),
            Durability::Failed => self.decorate(Reply::from(self.not_durable())),
        }
    }

    /// The disk did not confirm what was written, and never will: no answer may look as if it were stored.
    pub(crate) fn not_durable(&self) -> Refusal {
        let why = self.store.stats().sealed;
        Refusal::from(&why.map_or(AppendError::ShutDown, |why| AppendError::Sealed { why }))
    }

    fn sent(&self, send: &Pending, stored: &Appended, code: ResponseCode) -> Reply {
        let mut msg_id = String::with_capacity(33 * stored.record_offsets.len());
        for (n, offset) in stored.record_offsets.iter().enumerate() {
            if n > 0 {
                msg_id.push(',');
            }
            // Writing into a String cannot fail.
            let _ = write!(msg_id, "{}", MessageId { host: self.store_host, offset: *offset });
        }
        let header = SendResult {
            msg_id,
            queue_id: send.queue_id.to_wire(),
            queue_offset: stored.queue_offset.to_wire(),
            transaction_id: None,
        };
        self.decorate(Reply::of(&header).with_code(code))
    }

    /// Every answer to a send tells the region and whether tracing is allowed; Java fails without them.
    pub(crate) fn decorate(&self, mut reply: Reply) -> Reply {
        reply.fields.push(properties::MSG_REGION, &self.config.region);
        reply.fields.push(properties::TRACE_ON, self.trace_on());
        reply
    }

    fn trace_on(&self) -> &'static str {
        if self.config.live.trace_on() { "true" } else { "false" }
    }

    fn create_topic_by_send(&self, peer: &Peer, header: &SendMessage) -> Result<Arc<Topic>, Refusal> {
        let allowed = self.config.live.auto_create_topic();
        self.topics.set_auto_create(allowed);
        let asked = TopicByProducer {
            topic: &header.topic,
            template: &header.default_topic,
            queues: header.default_topic_queues,
            unit_mode: header.unit_mode,
        };
        match self.topics.create_by_send(&asked, self.clock.wall_ms()) {
            Ok(made) => {
                if made.new {
                    tracing::info!(topic = %header.topic, client = %peer.remote(), "topic created by a send");
                    self.topics_changed();
                }
                Ok(made.topic)
            }
            Err(error @ TopicError::Name(_)) => Err(error.into()),
            Err(error) => {
                // What was typed into a tool is told there.
                if header.producer_group != groups::TOOLS_PRODUCER {
                    self.refusals.missing(&header.topic, peer.remote(), &header.producer_group, self.clock.wall_ms());
                }
                tracing::warn!(
                    topic = %header.topic, client = %peer.remote(), why = %error, autoCreateTopicEnable = allowed,
                    "send refused: create the topic with `mqadmin updateTopic -c {} -t {}`", self.config.cluster, header.topic,
                );
                Err(error.into())
            }
        }
    }
}

/// Messages of a topic with several tags each say so in their flag.
fn tag_bits(topic: &Topic) -> i32 {
    if topic.filter_type == FilterType::MultiTag { sys_flag::MULTI_TAGS } else { 0 }
}

/// A copy of a properties text that can be added to, with room for `more` bytes. Java's producers leave the last separator
/// away now and then; a property added behind it needs one.
fn extensible(text: &str, more: usize) -> String {
    let mut own = String::with_capacity(text.len() + more + 1);
    own.push_str(text);
    if !text.is_empty() && !text.ends_with(properties::PAIR_END) {
        own.push(properties::PAIR_END);
    }
    own
}
