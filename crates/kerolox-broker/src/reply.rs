//! Replies to requests between clients: passed on to the client that asked, and stored as well.

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use kerolox_net::Peer;
use kerolox_store::{Appended, Durability};
use kerolox_wire::command::send::{PushReply, SendMessage, SendResult};
use kerolox_wire::command::{Header, Names, RequestCode};
use kerolox_wire::fields::Fields;
use kerolox_wire::frame::Frame;
use kerolox_wire::id::MessageId;
use kerolox_wire::names::QueueId;
use kerolox_wire::properties;
use kerolox_wire::record::NewRecord;
use kerolox_wire::reply::{Reply, ReplyTo};
use kerolox_wire::response::ResponseCode;
use kerolox_wire::sys_flag;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::node::Node;
use crate::refusal::Refusal;
use crate::send::SendGroup;
use crate::topic::Topic;

/// How long the client that asked may take to confirm that it has the reply.
const CONFIRM_TIMEOUT: Duration = Duration::from_secs(10);
/// Most KiB of replies that wait for a confirmation at once.
const WAITING_KIB_MAX: usize = 256 * 1024;

/// A reply that was checked and is on its way.
struct OnItsWay {
    header: SendMessage,
    frame: Frame,
    topic: Arc<Topic>,
    queue_id: QueueId,
    from: Arc<Peer>,
    _room: OwnedSemaphorePermit,
}

/// Room for replies that wait for a confirmation, in KiB.
pub(crate) fn room() -> Arc<Semaphore> {
    Arc::new(Semaphore::new(WAITING_KIB_MAX))
}

impl Node {
    /// Passes a reply on to the client that asked; the replier hears how that went.
    pub(crate) fn send_reply(
        self: &Arc<Self>,
        peer: &Arc<Peer>,
        frame: &Frame,
        header: SendMessage,
        out: &mut BytesMut,
    ) {
        let to = ReplyTo::from(frame);
        match self.take_reply(peer, frame, header) {
            Ok(reply) => {
                let node = Arc::clone(self);
                self.runtime.spawn(async move {
                    let mut out = BytesMut::new();
                    node.pass_on(&reply).await.encode(to, &mut out);
                    // A closed connection has nobody left to tell.
                    let _ = reply.from.push(out.freeze());
                });
            }
            Err(refusal) => {
                self.refused("reply", peer, &refusal);
                self.decorate(Reply::from(refusal)).encode(to, out);
            }
        }
    }

    fn take_reply(&self, peer: &Arc<Peer>, frame: &Frame, header: SendMessage) -> Result<OnItsWay, Refusal> {
        let topic = self.topic_for_send(peer, &header, &SendGroup::new(self.store.batch()))?;
        let queue_id = self.queue_for_send(&topic, &header, peer)?;
        let kib = u32::try_from(frame.body.len() / 1024 + 1).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.reply_room).try_acquire_many_owned(kib).map_err(|_| {
            Refusal::new(
                ResponseCode::SYSTEM_BUSY,
                format!(
                    "no room for a reply of {kib} KiB: of {WAITING_KIB_MAX} KiB too many wait for their requesters"
                ),
            )
        })?;
        Ok(OnItsWay { header, frame: frame.clone(), topic, queue_id, from: Arc::clone(peer), _room: room })
    }

    async fn pass_on(&self, reply: &OnItsWay) -> Reply {
        let pushed = self.push_reply(reply).await;
        let stored = if self.config.live.store_replies() { self.store_reply(reply).await } else { None };
        let place = stored.map(|at| SendResult {
            msg_id: at.record_offsets.first().map_or_else(
                || "0".to_owned(),
                |offset| MessageId { host: self.store_host, offset: *offset }.to_string(),
            ),
            queue_id: reply.queue_id.to_wire(),
            queue_offset: at.queue_offset.to_wire(),
            transaction_id: None,
        });
        let answer = match pushed {
            Ok(()) => {
                // Java's clients fail without these three, also when the reply is not kept.
                let not_kept = || SendResult {
                    msg_id: "0".to_owned(),
                    queue_id: reply.queue_id.to_wire(),
                    queue_offset: 0,
                    transaction_id: None,
                };
                Reply::of(&place.unwrap_or_else(not_kept))
            }
            Err(refusal) => {
                self.refused("reply", &reply.from, &refusal);
                let answer = Reply::from(refusal);
                match place {
                    Some(place) => answer.with_header(&place),
                    None => answer,
                }
            }
        };
        self.decorate(answer)
    }

    async fn push_reply(&self, reply: &OnItsWay) -> Result<(), Refusal> {
        let text = reply.header.properties.as_deref().unwrap_or_default();
        let Some(requester) = properties::find(text, properties::REPLY_TO_CLIENT) else {
            return Err(Refusal::error(format!("reply message properties[{}] is null", properties::REPLY_TO_CLIENT)));
        };
        let Some(channel) = self.clients.producer(requester) else {
            return Err(Refusal::error(format!("push reply message fail, channel of <{requester}> not found.")));
        };
        let now_ms = self.clock.wall_ms();
        let notice = notice(reply, &self.store_host.to_string(), text, now_ms);
        match channel.call(notice, CONFIRM_TIMEOUT).await {
            Ok(answer) if answer.code == ResponseCode::SUCCESS.0 => Ok(()),
            Ok(answer) => Err(Refusal::error(format!(
                "push reply message to {requester} fail: it answered {}, {}",
                answer.code,
                answer.remark.as_deref().unwrap_or("without a reason")
            ))),
            Err(error) => Err(Refusal::error(format!("push reply message to {requester} fail: {error}"))),
        }
    }

    /// Stores the reply as it came; that it cannot be stored matters little once the requester has it.
    async fn store_reply(&self, reply: &OnItsWay) -> Option<Appended> {
        let (topic, header, body) = (&reply.topic, &reply.header, &reply.frame.body);
        let record = NewRecord {
            topic: topic.name.as_str(),
            queue_id: reply.queue_id.get(),
            flag: header.flag,
            sys_flag: header.sys_flag & !sys_flag::TRANSACTION_MASK,
            born_timestamp: header.born_timestamp,
            born_host: reply.from.remote(),
            store_host: self.store_host,
            reconsume_times: header.reconsume_times,
            prepared_transaction_offset: 0,
            body,
            properties: header.properties.as_deref().unwrap_or_default(),
        };
        let stored = self.append_one(topic, reply.queue_id, &record);
        let stored = match stored {
            Ok(stored) => stored?,
            Err(refusal) => {
                tracing::warn!(topic = %topic.name, why = %refusal.remark, "a reply was passed on but not stored");
                return None;
            }
        };
        self.stats.topic(&topic.name).record(1, record.encoded_len() as u64);
        if self.waits_for_disk() && self.durability(&stored).await == Durability::Failed {
            return None;
        }
        Some(stored)
    }

    fn append_one(
        &self,
        topic: &Topic,
        queue_id: QueueId,
        record: &NewRecord<'_>,
    ) -> Result<Option<Appended>, Refusal> {
        let mut batch = self.store.batch();
        batch.push(&self.store.queue(&topic.name, queue_id), record)?;
        let stored = self.store.append(&mut batch).map_err(|e| Refusal::from(&e))?;
        Ok(stored.into_iter().next())
    }

    async fn durability(&self, stored: &Appended) -> Durability {
        let (told, tells) = oneshot::channel();
        self.store.when_durable(
            stored.end,
            Box::new(move |durability| {
                // Nobody waits when the broker stops meanwhile.
                let _ = told.send(durability);
            }),
        );
        tells.await.unwrap_or(Durability::Failed)
    }
}

/// The request that brings a reply to the client that asked; addresses as Java prints them.
fn notice(reply: &OnItsWay, store_host: &str, text: &str, now_ms: i64) -> Frame {
    let header = &reply.header;
    let push = PushReply {
        producer_group: header.producer_group.clone(),
        topic: header.topic.to_string(),
        default_topic: header.default_topic.clone(),
        default_topic_queues: header.default_topic_queues,
        queue_id: header.queue_id,
        sys_flag: header.sys_flag,
        born_timestamp: header.born_timestamp,
        flag: header.flag,
        properties: Some(properties::with(text, &[(properties::PUSH_REPLY_TIME, &now_ms.to_string())])),
        reconsume_times: header.reconsume_times,
        unit_mode: header.unit_mode,
        born_host: format!("/{}", reply.from.remote()),
        store_host: format!("/{store_host}"),
        store_timestamp: now_ms,
    };
    let mut fields = Fields::new();
    push.encode(&mut fields, Names::Long);
    Frame::request(RequestCode::PUSH_REPLY_MESSAGE_TO_CLIENT, fields, reply.frame.body.clone())
}
