//! A client that asks with typed requests, and the usual requests.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use kerolox_net::{Outbound, OutboundConfig, Peer, Service};
use kerolox_wire::body::{ConsumerData, HeartbeatData, Style, SubscriptionData, to_json};
use kerolox_wire::command::pull::{PullMessage, PullResult};
use kerolox_wire::command::send::{SendMessage, SendResult};
use kerolox_wire::command::{Call, Header, NoFields, RequestCode, call};
use kerolox_wire::fields::Fields;
use kerolox_wire::frame::Frame;
use kerolox_wire::record::{BatchItem, BodyCheck, Record, encode_batch_item};
use kerolox_wire::reply::{Reply, ReplyTo};
use kerolox_wire::response::ResponseCode;
use kerolox_wire::sys_flag::pull as flags;
use tokio::sync::{Mutex, mpsc};

use super::{LONG, group, topic, until};

/// One connection, opened when it is first needed.
pub(crate) struct Client {
    outbound: Outbound,
    addr: String,
    heard: Mutex<mpsc::UnboundedReceiver<Frame>>,
    says: Arc<Answers>,
}

/// What a client answers to requests of the broker, by their codes.
type Answers = parking_lot::Mutex<HashMap<RequestCode, String>>;

struct Ears {
    heard: mpsc::UnboundedSender<Frame>,
    says: Arc<Answers>,
}

impl Service for Ears {
    /// Notes every request, and answers those that want it as the test said, or with a body that names the code.
    fn serve(&self, _: &Arc<Peer>, frames: &mut Vec<Frame>, out: &mut BytesMut) {
        for frame in frames.drain(..) {
            let said = self.says.lock().get(&RequestCode(frame.code)).cloned();
            let body = said.unwrap_or_else(|| format!("answer to {}", frame.code));
            Reply::body(body).encode(ReplyTo::from(&frame), out);
            let _ = self.heard.send(frame);
        }
    }
}

/// Where every test client says that it stands.
pub(crate) const STATUS: &str =
    "{\"messageQueueTable\":{{\"brokerName\":\"broker-t\",\"queueId\":0,\"topic\":\"orders\"}:7}}";

impl Client {
    pub(crate) fn of(addr: SocketAddr) -> Self {
        let (ears, heard) = mpsc::unbounded_channel();
        let says = Arc::<Answers>::default();
        says.lock().insert(RequestCode::GET_CONSUMER_STATUS_FROM_CLIENT, STATUS.to_owned());
        let ears = Ears { heard: ears, says: Arc::clone(&says) };
        let outbound = Outbound::serving(OutboundConfig::default(), Arc::new(ears));
        Self { outbound, addr: addr.to_string(), heard: Mutex::new(heard), says }
    }

    /// From now on it answers the broker's requests of this code so.
    pub(crate) fn will_say(&self, code: RequestCode, body: impl Into<String>) {
        self.says.lock().insert(code, body.into());
    }

    /// Sends a request and waits for its answer.
    pub(crate) async fn exchange(&self, frame: Frame) -> Frame {
        self.outbound.call(&self.addr, frame, LONG).await.unwrap()
    }

    /// Asks with a typed header.
    pub(crate) async fn ask<C: Call>(&self, header: &C::Request, body: impl Into<Bytes>) -> Frame {
        self.exchange(request::<C>(header, body)).await
    }

    /// Asks with fields as they are.
    pub(crate) async fn call(&self, code: RequestCode, fields: &[(&str, &str)], body: impl Into<Bytes>) -> Frame {
        self.exchange(Frame::request(code, fields.iter().copied().collect(), body.into())).await
    }

    /// Sends a request that nobody answers.
    pub(crate) async fn oneway<C: Call>(&self, header: &C::Request, body: impl Into<Bytes>) {
        self.outbound.oneway(&self.addr, &request::<C>(header, body)).await.unwrap();
    }

    /// Sends a message that must be taken.
    pub(crate) async fn send(&self, header: &SendMessage, body: impl Into<Bytes>) -> SendResult {
        let answer = self.ask::<call::SendMessage>(header, body).await;
        ok(&answer);
        SendResult::decode(&answer.fields).unwrap()
    }

    /// Pulls once.
    pub(crate) async fn pull(&self, header: &PullMessage) -> Frame {
        self.ask::<call::PullMessage>(header, Bytes::new()).await
    }

    /// Reads a queue from an offset on until it has `count` messages.
    pub(crate) async fn read(&self, name: &str, queue: i32, from: i64, count: usize) -> Vec<Message> {
        until(|| async move {
            let mut messages = Vec::new();
            let mut next = from;
            while messages.len() < count {
                let answer = self.pull(&pull("reader", name, queue, next)).await;
                if code(&answer) != ResponseCode::SUCCESS {
                    return None;
                }
                messages.extend(messages_of(&answer));
                next = pull_result(&answer).next_begin_offset;
            }
            Some(messages)
        })
        .await
    }

    /// Says which groups it is in.
    pub(crate) async fn heartbeat(&self, id: &str, consumers: Vec<ConsumerData>) -> Frame {
        let data = HeartbeatData {
            client_id: id.to_owned(),
            consumer_data_set: consumers,
            producer_data_set: vec![],
            unreadable: Vec::new(),
        };
        self.ask::<call::Heartbeat>(&NoFields {}, to_json(&data, Style::Fastjson)).await
    }

    /// The next request that the broker sends to this client.
    pub(crate) async fn hear(&self) -> Frame {
        let mut heard = self.heard.lock().await;
        tokio::time::timeout(LONG, heard.recv()).await.expect("the broker said nothing").unwrap()
    }

    /// Ends the connection.
    pub(crate) fn close(&self) {
        self.outbound.close_all();
    }
}

/// A request as a frame.
pub(crate) fn request<C: Call>(header: &C::Request, body: impl Into<Bytes>) -> Frame {
    let mut fields = Fields::new();
    header.encode(&mut fields, C::NAMES);
    Frame::request(C::CODE, fields, body.into())
}

/// A message to a queue; negative: the broker chooses.
pub(crate) fn message(name: &str, queue: i32) -> SendMessage {
    SendMessage {
        producer_group: "producer".to_owned(),
        topic: topic(name),
        default_topic: "TBW102".to_owned(),
        default_topic_queues: 4,
        queue_id: queue,
        sys_flag: 0,
        born_timestamp: 1_600_000_000_000,
        flag: 0,
        properties: None,
        reconsume_times: 0,
        unit_mode: false,
        max_reconsume_times: None,
        batch: false,
    }
}

/// The same with properties.
pub(crate) fn message_with(name: &str, queue: i32, properties: &[(&str, &str)]) -> SendMessage {
    SendMessage { properties: Some(properties_text(properties)), ..message(name, queue) }
}

/// The text of properties.
pub(crate) fn properties_text(properties: &[(&str, &str)]) -> String {
    properties.iter().map(|(name, value)| format!("{name}\u{1}{value}\u{2}")).collect()
}

/// The body of a batch.
pub(crate) fn batch_body(items: &[(&str, &str)]) -> Vec<u8> {
    let mut body = Vec::new();
    for (text, properties) in items {
        encode_batch_item(&mut body, &BatchItem { flag: 3, body: text.as_bytes(), properties }).unwrap();
    }
    body
}

/// A pull that brings its own subscription to everything and does not wait.
pub(crate) fn pull(of: &str, name: &str, queue: i32, offset: i64) -> PullMessage {
    PullMessage {
        consumer_group: group(of),
        topic: topic(name),
        queue_id: queue,
        queue_offset: offset,
        max_msg_nums: 32,
        sys_flag: flags::SUBSCRIPTION,
        commit_offset: 0,
        suspend_timeout_millis: 0,
        subscription: Some("*".to_owned()),
        sub_version: 0,
        expression_type: None,
    }
}

/// A consumer group as a heartbeat describes it.
pub(crate) fn consumer(of: &str, subscriptions: &[(&str, &str, i64)]) -> ConsumerData {
    let data = |(name, expression, version): &(&str, &str, i64)| SubscriptionData {
        topic: (*name).to_owned(),
        sub_string: (*expression).to_owned(),
        sub_version: *version,
        ..SubscriptionData::default()
    };
    ConsumerData {
        group_name: of.to_owned(),
        subscription_data_set: subscriptions.iter().map(data).collect(),
        ..ConsumerData::default()
    }
}

/// The answer's code.
pub(crate) fn code(answer: &Frame) -> ResponseCode {
    ResponseCode(answer.code)
}

/// Fails with the remark unless the answer is a success.
pub(crate) fn ok(answer: &Frame) {
    assert_eq!(code(answer), ResponseCode::SUCCESS, "{:?}", answer.remark);
}

/// Fails unless the answer has this code and a remark that tells `why`.
pub(crate) fn refused(answer: &Frame, expected: ResponseCode, why: &str) {
    let remark = answer.remark.as_deref().unwrap_or_default();
    assert_eq!(code(answer), expected, "{remark}");
    assert!(remark.contains(why), "{remark:?} does not tell {why:?}");
}

/// The typed header of an answer.
pub(crate) fn header<H: Header>(answer: &Frame) -> H {
    ok(answer);
    H::decode(&answer.fields).unwrap()
}

/// The header of any answer to a pull.
pub(crate) fn pull_result(answer: &Frame) -> PullResult {
    PullResult::decode(&answer.fields).unwrap()
}

/// A message as a consumer sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) topic: String,
    pub(crate) body: String,
    pub(crate) properties: String,
    pub(crate) queue_offset: i64,
    pub(crate) log_offset: i64,
    pub(crate) reconsume_times: i32,
    pub(crate) flag: i32,
    pub(crate) stored_ms: i64,
}

impl Message {
    pub(crate) fn property(&self, name: &str) -> Option<&str> {
        kerolox_wire::properties::find(&self.properties, name)
    }
}

/// The messages that an answer brings.
pub(crate) fn messages_of(answer: &Frame) -> Vec<Message> {
    let mut rest = &answer.body[..];
    let mut messages = Vec::new();
    while !rest.is_empty() {
        let record = Record::parse(rest, BodyCheck::Crc).unwrap();
        messages.push(Message {
            topic: record.topic().to_owned(),
            body: String::from_utf8(record.body().to_vec()).unwrap(),
            properties: record.properties().to_owned(),
            queue_offset: record.queue_offset().to_wire(),
            log_offset: record.log_offset().to_wire(),
            reconsume_times: record.reconsume_times(),
            flag: record.flag(),
            stored_ms: record.store_timestamp(),
        });
        rest = &rest[record.bytes().len()..];
    }
    messages
}

/// Their bodies.
pub(crate) fn bodies(messages: &[Message]) -> Vec<&str> {
    messages.iter().map(|m| m.body.as_str()).collect()
}
