//! Sending one message and waiting for the answer.

use kerolox_wire::body::MessageQueue;
use kerolox_wire::command::call;
use kerolox_wire::command::send::SendMessage;
use kerolox_wire::names::{TopicName, topics};
use kerolox_wire::properties::{self, Properties};
use kerolox_wire::response::ResponseCode;
use std::time::Duration;

use crate::client::{header_of, refused};
use crate::route::{master_of, writable_queues};
use crate::{Client, ClientError};

/// How often a message sent to a retry topic may be handed back, as subscription groups have it by default.
const RETRIES_MAX: i32 = 16;
/// Tries before a failure is final, when any queue will do.
const SEND_ATTEMPTS: usize = 3;
/// How long one try may take.
const SEND_TIMEOUT: Duration = Duration::from_secs(3);
/// Queues of a topic that the send creates, at most.
const NEW_TOPIC_QUEUES: i32 = 4;

/// A message to be sent.
#[derive(Debug, Clone)]
pub struct Outgoing<'a> {
    /// Group of the sender.
    pub group: &'a str,
    /// Topic.
    pub topic: &'a TopicName,
    /// The application's own number.
    pub flag: i32,
    /// Properties; an id is added if it has none.
    pub properties: Properties,
    /// Body.
    pub body: &'a [u8],
}

/// What the broker made of a message that it stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendStatus {
    /// Stored as its mode promises.
    SendOk,
    /// Stored, but not known to be on disk in time.
    FlushDiskTimeout,
    /// Stored, but not known to be replicated in time.
    FlushSlaveTimeout,
    /// Stored, but there is no replica.
    SlaveNotAvailable,
}

impl SendStatus {
    /// The name that Java tools print.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::SendOk => "SEND_OK",
            Self::FlushDiskTimeout => "FLUSH_DISK_TIMEOUT",
            Self::FlushSlaveTimeout => "FLUSH_SLAVE_TIMEOUT",
            Self::SlaveNotAvailable => "SLAVE_NOT_AVAILABLE",
        }
    }

    const fn of(code: ResponseCode) -> Option<Self> {
        match code {
            ResponseCode::SUCCESS => Some(Self::SendOk),
            ResponseCode::FLUSH_DISK_TIMEOUT => Some(Self::FlushDiskTimeout),
            ResponseCode::FLUSH_SLAVE_TIMEOUT => Some(Self::FlushSlaveTimeout),
            ResponseCode::SLAVE_NOT_AVAILABLE => Some(Self::SlaveNotAvailable),
            _ => None,
        }
    }
}

/// Where a message was stored.
#[derive(Debug, Clone)]
pub struct Sent {
    /// How safely.
    pub status: SendStatus,
    /// The id that the sender made up.
    pub id: String,
    /// The id by its place.
    pub offset_id: String,
    /// The queue.
    pub queue: MessageQueue,
    /// The place in it.
    pub queue_offset: i64,
}

impl Client {
    /// Queues that take messages of the topic, each with its broker's address.
    ///
    /// # Errors
    /// When nobody takes them.
    pub async fn send_queues(&self, topic: &TopicName) -> Result<Vec<(MessageQueue, String)>, ClientError> {
        let route = self.publish_route(topic.as_str()).await?;
        let queues = writable_queues(topic.as_str(), &route);
        let with_address: Vec<(MessageQueue, String)> = queues
            .into_iter()
            .filter_map(|queue| {
                let broker = route.broker_datas.iter().find(|b| b.broker_name == queue.broker_name)?;
                let address = master_of(broker)?.to_owned();
                Some((queue, address))
            })
            .collect();
        if with_address.is_empty() {
            return Err(ClientError::NoBroker { why: format!("none takes messages of the topic [{topic}]") });
        }
        Ok(with_address)
    }

    /// Sends to any queue of the topic; after a failure that another broker may not have, to the next.
    ///
    /// # Errors
    /// What the last try met.
    pub async fn send(&self, message: &Outgoing<'_>) -> Result<Sent, ClientError> {
        let queues = self.send_queues(message.topic).await?;
        let mut at = self.unique_keys().turn();
        let mut last_broker = String::new();
        let mut last = ClientError::NoBroker { why: format!("none takes messages of the topic [{}]", message.topic) };
        for _ in 0..SEND_ATTEMPTS {
            let (first, rest) = queues.split_at(at % queues.len());
            let other = rest.iter().chain(first).find(|(queue, _)| queue.broker_name != last_broker);
            let Some((queue, address)) = other.or_else(|| rest.first()) else { break };
            match self.send_to(message, queue, address).await {
                Err(why) if may_work_elsewhere(&why) => {
                    last_broker.clone_from(&queue.broker_name);
                    last = why;
                    at = at.wrapping_add(1);
                }
                done => return done,
            }
        }
        Err(last)
    }

    /// Sends to one queue of a broker, once.
    ///
    /// # Errors
    /// When the broker does not answer or refuses.
    pub async fn send_to(
        &self,
        message: &Outgoing<'_>,
        queue: &MessageQueue,
        address: &str,
    ) -> Result<Sent, ClientError> {
        let now = self.clock().wall_ms();
        let mut properties = message.properties.clone();
        let known = properties.get(properties::UNIQ_KEY).map(str::to_owned);
        let id = known.unwrap_or_else(|| self.unique_keys().next(now));
        properties.set(properties::UNIQ_KEY, &id);
        properties.set(properties::WAIT, "true");
        let request = SendMessage {
            producer_group: message.group.to_owned(),
            topic: message.topic.clone(),
            default_topic: topics::AUTO_CREATE.to_owned(),
            default_topic_queues: NEW_TOPIC_QUEUES,
            queue_id: queue.queue_id,
            sys_flag: 0,
            born_timestamp: now,
            flag: message.flag,
            properties: Some(properties.encode()),
            reconsume_times: 0,
            unit_mode: false,
            // RocketMQ 4.7.1 fails without it where the topic is one of messages to be tried again.
            max_reconsume_times: message.topic.is_retry().then_some(RETRIES_MAX),
            batch: false,
        };
        let body = bytes::Bytes::copy_from_slice(message.body);
        let frame = self.exchange::<call::SendMessageV2>(address, &request, body, SEND_TIMEOUT).await?;
        let Some(status) = SendStatus::of(ResponseCode(frame.code)) else {
            return Err(refused(address, &frame));
        };
        let header = header_of::<call::SendMessageV2>(address, &frame)?;
        Ok(Sent {
            status,
            id,
            offset_id: header.msg_id,
            queue: MessageQueue { queue_id: header.queue_id, ..queue.clone() },
            queue_offset: header.queue_offset,
        })
    }
}

/// The failures after which Java producers try another broker.
fn may_work_elsewhere(why: &ClientError) -> bool {
    match why {
        ClientError::Unanswered { .. } => true,
        ClientError::Refused { code, .. } => matches!(
            *code,
            ResponseCode::TOPIC_NOT_EXIST
                | ResponseCode::SERVICE_NOT_AVAILABLE
                | ResponseCode::SYSTEM_ERROR
                | ResponseCode::NO_PERMISSION
                | ResponseCode::NO_BUYER_ID
                | ResponseCode::NOT_IN_CURRENT_UNIT
        ),
        _ => false,
    }
}
