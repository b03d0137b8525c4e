//! Questions that the broker passes on to the clients connected to it.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kerolox_net::{CallError, Peer};
use kerolox_wire::body::{ConsumerStatus as StatusBody, PairMap, Style, from_json, to_json};
use kerolox_wire::command::client::{ConsumeDirectly, ConsumerRunningInfo, ConsumerStatus};
use kerolox_wire::command::{Header, Names, RequestCode};
use kerolox_wire::fields::Fields;
use kerolox_wire::frame::Frame;
use kerolox_wire::id::MessageId;
use kerolox_wire::reply::{Reply, ReplyTo};
use kerolox_wire::response::ResponseCode;

use crate::aside::PendingReply;
use crate::node::Node;
use crate::refusal::Refusal;

/// Limit of one relayed question.
const RELAY_TIMEOUT: Duration = Duration::from_secs(10);
/// Limit of asking a consumer where it stands.
const STATUS_TIMEOUT: Duration = Duration::from_secs(5);

impl Node {
    /// Asks a consumer about itself.
    pub(crate) fn relay_running_info(
        self: &Arc<Self>,
        peer: &Arc<Peer>,
        to: ReplyTo,
        asked: &ConsumerRunningInfo,
        out: &mut BytesMut,
    ) {
        match self.online_consumer(asked.consumer_group.as_str(), &asked.client_id) {
            Ok(consumer) => {
                let question = question(RequestCode::GET_CONSUMER_RUNNING_INFO, asked, Bytes::new());
                let who = format!("{} {}", asked.consumer_group, asked.client_id);
                self.answer_later(peer, to, async move { relay(&consumer, question, &who).await });
            }
            Err(refusal) => Reply::from(refusal).encode(to, out),
        }
    }

    /// Has one consumer consume one message.
    pub(crate) fn relay_consume_directly(
        self: &Arc<Self>,
        peer: &Arc<Peer>,
        to: ReplyTo,
        mut asked: ConsumeDirectly,
        out: &mut BytesMut,
    ) {
        asked.broker_name = Some(self.config.name.clone());
        let client = asked.client_id.clone().unwrap_or_default();
        let prepared = self.online_consumer(asked.consumer_group.as_str(), &client).and_then(|consumer| {
            let id = MessageId::parse(asked.msg_id.as_deref().unwrap_or_default())
                .map_err(|e| Refusal::error(format!("msgId is not an offset message id: {e}")))?;
            let record = self
                .store
                .record_named(id.offset)
                .map_err(|e| Refusal::error(format!("no message at log offset {}: {e}", id.offset)))?;
            Ok((consumer, record))
        });
        match prepared {
            Ok((consumer, record)) => {
                let question = question(RequestCode::CONSUME_MESSAGE_DIRECTLY, &asked, record);
                let who = format!("{} {client}", asked.consumer_group);
                self.answer_later(peer, to, async move { relay(&consumer, question, &who).await });
            }
            Err(refusal) => Reply::from(refusal).encode(to, out),
        }
    }

    /// Asks all consumers of a group, or one of them, where they stand.
    pub(crate) fn collect_consumer_status(self: &Arc<Self>, peer: &Arc<Peer>, to: ReplyTo, asked: ConsumerStatus) {
        let wanted = asked.client_addr.clone().filter(|c| !c.is_empty());
        let mut consumers = self.clients.consumers(asked.group.as_str());
        consumers.retain(|(id, _)| wanted.as_ref().is_none_or(|w| w == id));
        self.answer_later(peer, to, async move {
            if consumers.is_empty() {
                return Refusal::error(format!("No Any Consumer online in the consumer group: [{}]", asked.group))
                    .into();
            }
            let mut table = BTreeMap::new();
            for (client, consumer) in consumers {
                let question = question(RequestCode::GET_CONSUMER_STATUS_FROM_CLIENT, &asked, Bytes::new());
                let Ok(answer) = consumer.call(question, STATUS_TIMEOUT).await else { continue };
                if let Ok(status) = from_json::<StatusBody>(&answer.body) {
                    table.insert(client, status.message_queue_table);
                }
            }
            let body = StatusBody { consumer_table: table, message_queue_table: PairMap::default() };
            Reply::body(to_json(&body, Style::Fastjson))
        });
    }

    fn online_consumer(&self, group: &str, client: &str) -> Result<Arc<Peer>, Refusal> {
        self.clients
            .consumer(group, client)
            .ok_or_else(|| Refusal::error(format!("The Consumer <{group}> <{client}> not online")))
    }

    fn answer_later(
        self: &Arc<Self>,
        peer: &Arc<Peer>,
        to: ReplyTo,
        work: impl Future<Output = Reply> + Send + 'static,
    ) {
        let pending = PendingReply::new(peer, to);
        self.runtime.spawn(async move { pending.answer(&work.await) });
    }
}

/// A request of the broker to a client.
pub(crate) fn question(code: RequestCode, header: &impl Header, body: Bytes) -> Frame {
    let mut fields = Fields::new();
    header.encode(&mut fields, Names::Long);
    Frame::request(code, fields, body)
}

async fn relay(consumer: &Peer, question: Frame, who: &str) -> Reply {
    match consumer.call(question, RELAY_TIMEOUT).await {
        Ok(answer) => {
            Reply { code: ResponseCode(answer.code), remark: answer.remark, fields: answer.fields, body: answer.body }
        }
        Err(error @ CallError::Timeout { .. }) => {
            Refusal::new(ResponseCode::CONSUME_MSG_TIMEOUT, format!("consumer <{who}> Timeout: {error}")).into()
        }
        Err(error) => Refusal::error(format!("invoke consumer <{who}> Exception: {error}")).into(),
    }
}
