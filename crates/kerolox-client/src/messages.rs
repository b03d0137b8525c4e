//! Messages at brokers: by id, by key, by place.

use std::time::Duration;

use kerolox_wire::body::MessageQueue;
use kerolox_wire::command::call;
use kerolox_wire::command::pull::{PullMessage, QueryMessage, ViewMessage};
use kerolox_wire::id::{MessageId, UniqueKey};
use kerolox_wire::names::{GroupName, TopicName, groups, topics};
use kerolox_wire::properties;
use kerolox_wire::response::ResponseCode;
use kerolox_wire::sys_flag;

use crate::client::{LONG_CALL_TIMEOUT, header_of, malformed, refused};
use crate::route::NO_BODY;
use crate::{Client, ClientError, Message};

/// Messages that a look-up by unique key brings at most.
const UNIQUE_KEY_MAX: i32 = 32;
/// A unique key holds its time since the start of the month where its sender is, and zones are up to 26 hours apart:
/// the window starts so much earlier.
const UNIQUE_KEY_SLACK_MS: i64 = 26 * 3_600_000 + 1000;
/// How long a pull may take that does not wait for messages.
const PULL_TIMEOUT: Duration = Duration::from_secs(10);
/// Group under which tools pull.
pub const TOOLS_GROUP: &str = groups::TOOLS;

/// What a pull found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PullStatus {
    /// Messages.
    Found,
    /// The end of the queue.
    NoNewMsg,
    /// Messages, but none that the expression matches.
    NoMatchedMsg,
    /// The place is outside the queue.
    OffsetIllegal,
}

impl PullStatus {
    /// The name that Java tools print.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Found => "FOUND",
            Self::NoNewMsg => "NO_NEW_MSG",
            Self::NoMatchedMsg => "NO_MATCHED_MSG",
            Self::OffsetIllegal => "OFFSET_ILLEGAL",
        }
    }
}

/// The answer to a pull.
#[derive(Debug, Clone)]
pub struct Pulled {
    /// What was found.
    pub status: PullStatus,
    /// Where to pull on.
    pub next: i64,
    /// First place of the queue.
    pub min: i64,
    /// End of the queue.
    pub max: i64,
    /// The messages.
    pub messages: Vec<Message>,
}

/// One pull.
#[derive(Debug, Clone)]
pub struct Pull<'a> {
    /// Group it is for.
    pub group: &'a GroupName,
    /// Where.
    pub queue: &'a MessageQueue,
    /// From where on.
    pub offset: i64,
    /// How many at most.
    pub max: i32,
    /// Tags joined by `||`, or `*`.
    pub expression: &'a str,
}

impl Client {
    /// The message at the place that its offset id names.
    ///
    /// # Errors
    /// When there is none, or the id cannot be read.
    pub async fn view_message(&self, offset_id: &str) -> Result<Message, ClientError> {
        let id: MessageId = MessageId::parse(offset_id)
            .map_err(|why| ClientError::MessageId { id: offset_id.to_owned(), why: why.to_string() })?;
        let address = id.host.to_string();
        let request = ViewMessage { offset: id.offset.to_wire() };
        let answer = self.call_with::<call::ViewMessage>(&address, &request, NO_BODY, LONG_CALL_TIMEOUT).await?;
        let read = Message::read_all(&answer.body).map_err(|why| malformed::<call::ViewMessage>(&address, &why))?;
        read.into_iter().next().ok_or_else(|| absent("no message at that place"))
    }

    /// The message of that id, whichever kind of id it is.
    ///
    /// # Errors
    /// When there is none.
    pub async fn find_message(&self, topic: &TopicName, id: &str) -> Result<Message, ClientError> {
        match self.view_message(id).await {
            Ok(message) => Ok(message),
            Err(ClientError::MessageId { .. } | ClientError::Refused { .. } | ClientError::Unanswered { .. }) => {
                self.message_by_unique_key(topic, id).await
            }
            Err(why) => Err(why),
        }
    }

    /// The message whose sender made up that id; the one stored first, if there are several.
    ///
    /// # Errors
    /// Code 208 when there is none.
    pub async fn message_by_unique_key(&self, topic: &TopicName, key: &str) -> Result<Message, ClientError> {
        let begin = UniqueKey::parse(key)
            .map_or(0, |made| made.made_at_ms(self.clock().wall_ms()).saturating_sub(UNIQUE_KEY_SLACK_MS));
        let query = QueryMessage {
            topic: topic.clone(),
            key: key.to_owned(),
            max_num: UNIQUE_KEY_MAX,
            begin_timestamp: begin,
            end_timestamp: i64::MAX,
            unique_key: true,
        };
        let found = self.query_all(&query).await?;
        let exact = found.into_iter().filter(|message| message.id() == key);
        exact.min_by_key(|m| m.store_timestamp).ok_or_else(|| absent("query message by key finished, but no message."))
    }

    /// Messages with that key.
    ///
    /// # Errors
    /// Code 208 when there is none.
    pub async fn messages_by_key(
        &self,
        topic: &TopicName,
        key: &str,
        max: i32,
        between: (i64, i64),
    ) -> Result<Vec<Message>, ClientError> {
        let query = QueryMessage {
            topic: topic.clone(),
            key: key.to_owned(),
            max_num: max,
            begin_timestamp: between.0,
            end_timestamp: between.1,
            unique_key: false,
        };
        let mut found = self.query_all(&query).await?;
        // Brokers find by hash, so messages with other keys may be among them.
        found.retain(|message| message.has_key(key));
        if found.is_empty() {
            return Err(absent("query message by key finished, but no message."));
        }
        Ok(found)
    }

    /// Messages that wait at a broker for a time between the two, ms since 1970, the earliest first, and the time from
    /// which to go on. Only Kerolox tells; other brokers answer as if there were none.
    ///
    /// # Errors
    /// When the broker does not answer or refuses.
    pub async fn timers_at(
        &self,
        broker: &str,
        between: (i64, i64),
        max: i32,
    ) -> Result<(Vec<Message>, i64), ClientError> {
        let query = QueryMessage {
            topic: TopicName::known(topics::TIMER),
            key: String::new(),
            max_num: max,
            begin_timestamp: between.0,
            end_timestamp: between.1,
            unique_key: false,
        };
        match self.call_with::<call::QueryMessage>(broker, &query, NO_BODY, LONG_CALL_TIMEOUT).await {
            Ok(answer) => {
                let read = Message::read_all(&answer.body);
                let read = read.map_err(|why| malformed::<call::QueryMessage>(broker, &why))?;
                Ok((read, answer.header.index_last_update_timestamp))
            }
            Err(why) if why.is(ResponseCode::QUERY_NOT_FOUND) => Ok((Vec::new(), between.1)),
            Err(why) => Err(why),
        }
    }

    /// Asks every broker of the topic. One that has nothing, or does not answer while others do, is passed over.
    async fn query_all(&self, query: &QueryMessage) -> Result<Vec<Message>, ClientError> {
        let mut found = Vec::new();
        let mut failed = None;
        for (name, address) in self.brokers_of_topic(query.topic.as_str()).await? {
            match self.call_with::<call::QueryMessage>(&address, query, NO_BODY, LONG_CALL_TIMEOUT).await {
                Ok(answer) => {
                    let read = Message::read_all(&answer.body);
                    let mut part = read.map_err(|why| malformed::<call::QueryMessage>(&address, &why))?;
                    for message in &mut part {
                        message.broker_name = Some(name.clone());
                    }
                    found.append(&mut part);
                }
                Err(why) if why.is(ResponseCode::QUERY_NOT_FOUND) => {}
                Err(why) => failed = Some(why),
            }
        }
        match failed {
            Some(why) if found.is_empty() => Err(why),
            _ => Ok(found),
        }
    }

    /// Pulls once, without waiting for messages to come.
    ///
    /// # Errors
    /// When the broker does not answer or refuses.
    pub async fn pull(&self, broker: &str, pull: &Pull<'_>) -> Result<Pulled, ClientError> {
        let request = PullMessage {
            consumer_group: pull.group.clone(),
            topic: TopicName::parse(&pull.queue.topic)?,
            queue_id: pull.queue.queue_id,
            queue_offset: pull.offset,
            max_msg_nums: pull.max,
            sys_flag: sys_flag::pull::SUBSCRIPTION,
            commit_offset: 0,
            suspend_timeout_millis: 0,
            subscription: Some(pull.expression.to_owned()),
            sub_version: 0,
            expression_type: Some("TAG".to_owned()),
        };
        let frame = self.exchange::<call::PullMessage>(broker, &request, NO_BODY, PULL_TIMEOUT).await?;
        let status = match ResponseCode(frame.code) {
            ResponseCode::SUCCESS => PullStatus::Found,
            ResponseCode::PULL_NOT_FOUND => PullStatus::NoNewMsg,
            ResponseCode::PULL_RETRY_IMMEDIATELY => PullStatus::NoMatchedMsg,
            ResponseCode::PULL_OFFSET_MOVED => PullStatus::OffsetIllegal,
            _ => return Err(refused(broker, &frame)),
        };
        let header = header_of::<call::PullMessage>(broker, &frame)?;
        let mut messages =
            Message::read_all(&frame.body).map_err(|why| malformed::<call::PullMessage>(broker, &why))?;
        // Brokers filter by the hash of a tag; the text decides.
        messages.retain(|message| matches(pull.expression, message.tags()));
        for message in &mut messages {
            message.broker_name = Some(pull.queue.broker_name.clone());
            message.properties.set(properties::MIN_OFFSET, &header.min_offset.to_string());
            message.properties.set(properties::MAX_OFFSET, &header.max_offset.to_string());
        }
        Ok(Pulled { status, next: header.next_begin_offset, min: header.min_offset, max: header.max_offset, messages })
    }
}

fn matches(expression: &str, tags: Option<&str>) -> bool {
    let all = expression.trim().is_empty() || expression.trim() == "*";
    all || tags.is_some_and(|tag| expression.split("||").any(|wanted| wanted.trim() == tag))
}

fn absent(what: &str) -> ClientError {
    ClientError::Absent { code: ResponseCode::NO_MESSAGE, what: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_match_whole_tags() {
        for (expression, tag, expected) in [
            ("*", None, true),
            ("", Some("A"), true),
            ("A", Some("A"), true),
            ("A || B", Some("B"), true),
            ("A||B", Some("C"), false),
            ("A", None, false),
            ("A", Some("AB"), false),
        ] {
            assert_eq!(matches(expression, tag), expected, "{expression} {tag:?}");
        }
    }
}
