//! What a request needs: the one place that says so for every command.
//!
//! Names come from the typed header (fields of the types `TopicName` and `GroupName`), or, where a request has its
//! names in the body, from there.

use std::borrow::Cow;

use bytes::Bytes;
use kerolox_store::{ReadError, Store};
use kerolox_wire::body::{CheckClientConfig, HeartbeatData, LockRequest, from_json};
use kerolox_wire::command::send::SendBack;
use kerolox_wire::command::{COMMANDS, FieldSpec, Header, Request};
use kerolox_wire::frame::Frame;
use kerolox_wire::names::{LogOffset, RETRY_PREFIX, topics};
use kerolox_wire::properties;
use kerolox_wire::record::{BodyCheck, Record};
use smallvec::SmallVec;

use crate::refusal::Refusal;

/// Topics of the broker itself that hold messages of every other topic, or tell of them.
const INTERNAL_TOPICS: [&str; 5] =
    [topics::SCHEDULE, topics::TRANS_HALF, topics::TRANS_OP_HALF, topics::TRANS_CHECK_MAX_TIME, topics::TRACE];

/// What is done with a topic or group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Publish,
    Subscribe,
    /// Looking at it, for which either permission will do.
    Either,
}

/// A topic or group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Resource<'a> {
    Topic(Cow<'a, str>),
    Group(Cow<'a, str>),
}

/// Everything that a request needs, besides a valid signature.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Need<'a> {
    /// An administrator.
    pub(crate) admin: bool,
    /// The client id that the request speaks for.
    pub(crate) client_id: Option<String>,
    /// Permissions.
    pub(crate) resources: SmallVec<[(Resource<'a>, Access); 2]>,
}

impl<'a> Need<'a> {
    /// What `request`, decoded from `frame`, needs.
    ///
    /// # Errors
    /// When the body that holds the names cannot be read, or the disk fails.
    pub(crate) fn of(request: &Request, frame: &'a Frame, store: &Store) -> Result<Self, Refusal> {
        let mut need = Self::default();
        match kind(request) {
            Kind::Admin => need.admin = true,
            Kind::Account => {}
            Kind::Named(access) => need.named(specs(frame), frame, access),
            Kind::Heartbeat => need.heartbeat(body(frame, "heartbeat")?),
            Kind::Locks => {
                let asked: LockRequest = body(frame, "lock request")?;
                need.client_id = Some(asked.client_id);
                need.group(Cow::Owned(asked.consumer_group), Access::Subscribe);
                for queue in asked.mq_set {
                    need.topic(Cow::Owned(queue.topic), Access::Subscribe);
                }
            }
            Kind::Check => {
                let asked: CheckClientConfig = body(frame, "subscription")?;
                need.group(Cow::Owned(asked.group), Access::Subscribe);
                need.topic(Cow::Owned(asked.subscription_data.topic), Access::Subscribe);
            }
            Kind::SendBack => {
                need.named(SendBack::SPEC.fields, frame, Access::Subscribe);
                if let Some(topic) = frame.fields.get("originTopic").filter(|topic| !topic.is_empty()) {
                    need.topic(Cow::Borrowed(topic), Access::Publish);
                }
                need.stored(frame, store, Access::Either)?;
            }
            Kind::View => need.stored(frame, store, Access::Subscribe)?,
            Kind::End => {
                // What is ended is a send to that topic.
                let bytes = record_at("commitLogOffset", frame, store)?;
                let half = bytes.as_ref().and_then(|bytes| Record::parse(bytes, BodyCheck::Skip).ok());
                if let Some(half) = half.filter(|half| half.topic() == topics::TRANS_HALF)
                    && let Some(topic) = properties::find(half.properties(), properties::REAL_TOPIC)
                {
                    need.topic(Cow::Owned(topic.to_owned()), Access::Publish);
                }
            }
            Kind::Goodbye => {
                if let Some(group) = frame.fields.get("consumerGroup").filter(|group| !group.is_empty()) {
                    need.group(Cow::Borrowed(group), Access::Subscribe);
                }
            }
        }
        Ok(need)
    }

    /// Publishing to a topic.
    pub(crate) fn publish(topic: &'a str) -> Self {
        let mut need = Self::default();
        need.topic(Cow::Borrowed(topic), Access::Publish);
        need
    }

    fn named(&mut self, specs: &[FieldSpec], frame: &'a Frame, access: Access) {
        for spec in specs {
            let Some(name) = spec.value(&frame.fields).filter(|name| !name.is_empty()) else { continue };
            match spec.kind {
                "TopicName" => self.topic(Cow::Borrowed(name), access),
                "GroupName" => self.group(Cow::Borrowed(name), Access::Subscribe),
                _ => {}
            }
        }
    }

    fn heartbeat(&mut self, data: HeartbeatData) {
        self.client_id = Some(data.client_id);
        for consumer in &data.consumer_data_set {
            self.group(Cow::Owned(consumer.group_name.clone()), Access::Subscribe);
            for subscription in &consumer.subscription_data_set {
                self.topic(Cow::Owned(subscription.topic.clone()), Access::Subscribe);
            }
        }
    }

    /// The topic of the message at the log offset that the request names, which is its sender's choice.
    fn stored(&mut self, frame: &Frame, store: &Store, access: Access) -> Result<(), Refusal> {
        let bytes = record_at("offset", frame, store)?;
        if let Some(Ok(record)) = bytes.as_ref().map(|bytes| Record::parse(bytes, BodyCheck::Skip)) {
            self.topic(Cow::Owned(record.topic().to_owned()), access);
        }
        Ok(())
    }

    fn topic(&mut self, name: Cow<'a, str>, access: Access) {
        // Whoever may use a group may use its retry topic, so that one is the group's.
        match name.strip_prefix(RETRY_PREFIX) {
            Some(group) => {
                let group = group.to_owned();
                self.group(Cow::Owned(group), access);
            }
            None => {
                // Messages of all topics pass through these, so a permission on one topic must not open them.
                let internal = INTERNAL_TOPICS.contains(&name.as_ref()) || name.starts_with(topics::SYSTEM_PREFIX);
                self.admin |= internal && access != Access::Publish;
                self.resources.push((Resource::Topic(name), access));
            }
        }
    }

    fn group(&mut self, name: Cow<'a, str>, access: Access) {
        self.resources.push((Resource::Group(name), access));
    }
}

/// The record at the log offset that a header field names. One that the disk does not deliver is refused: without it
/// nothing tells what the request needs.
fn record_at(field: &str, frame: &Frame, store: &Store) -> Result<Option<Bytes>, Refusal> {
    let offset = frame.fields.get(field).and_then(|text| text.trim().parse().ok()).and_then(LogOffset::from_wire);
    let Some(offset) = offset else { return Ok(None) };
    match store.record_named(offset) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(ReadError::Io(error)) => Err(Refusal::read_failed(&error)),
        Err(_) => Ok(None),
    }
}

fn body<T: serde::de::DeserializeOwned>(frame: &Frame, what: &str) -> Result<T, Refusal> {
    from_json(&frame.body).map_err(|error| Refusal::bad_body(what, error))
}

/// The header fields of the frame's command.
fn specs(frame: &Frame) -> &'static [FieldSpec] {
    COMMANDS.iter().find(|command| command.code.0 == frame.code).map_or(&[], |command| command.request.fields)
}

enum Kind {
    /// An administrator.
    Admin,
    /// Any account.
    Account,
    /// The topics of its header in this way, and the groups of its header for subscribing.
    Named(Access),
    Heartbeat,
    Locks,
    Check,
    SendBack,
    View,
    /// The topic of the half message that it ends.
    End,
    Goodbye,
}

/// 17, 25, 200, 207 and 215 are what 4.7.1 asks an administrator for; here it is everything that changes the broker's
/// state beyond a client's own, reaches into clients, or reads settings, accounts or whole tables.
fn kind(request: &Request) -> Kind {
    match request {
        Request::SendMessage(_)
        | Request::SendMessageV2(_)
        | Request::SendBatch(_)
        | Request::SendReply(_)
        | Request::SendReplyV2(_) => Kind::Named(Access::Publish),
        Request::PullMessage(_)
        | Request::LitePullMessage(_)
        | Request::QueryMessage(_)
        | Request::QueryConsumerOffset(_)
        | Request::UpdateConsumerOffset(_)
        | Request::GetConsumerList(_) => Kind::Named(Access::Subscribe),
        Request::SearchOffset(_)
        | Request::GetMaxOffset(_)
        | Request::GetMinOffset(_)
        | Request::GetEarliestStoreTime(_)
        | Request::GetTopic(_)
        | Request::GetGroup(_)
        | Request::GetTopicStats(_)
        | Request::GetConsumerConnections(_)
        | Request::GetConsumeStats(_)
        | Request::QueryConsumersOfTopic(_)
        | Request::QueryConsumeTimeSpan(_)
        | Request::QueryCorrectionOffset(_) => Kind::Named(Access::Either),
        Request::Heartbeat(_) => Kind::Heartbeat,
        Request::LockBatch(_) | Request::UnlockBatch(_) => Kind::Locks,
        Request::CheckClientConfig(_) => Kind::Check,
        Request::SendBack(_) => Kind::SendBack,
        Request::ViewMessage(_) => Kind::View,
        Request::UnregisterClient(_) => Kind::Goodbye,
        Request::EndTransaction(_) => Kind::End,
        Request::GetProducerConnections(_)
        | Request::GetAllTopics(_)
        | Request::GetSystemTopics(_)
        | Request::ViewStats(_) => Kind::Account,
        Request::CreateTopic(_)
        | Request::DeleteTopic(_)
        | Request::CreateGroup(_)
        | Request::DeleteGroup(_)
        | Request::UpdateBrokerConfig(_)
        | Request::GetBrokerConfig(_)
        | Request::GetRuntimeInfo(_)
        | Request::GetAllConsumerOffsets(_)
        | Request::GetAllDelayOffsets(_)
        | Request::GetAllGroups(_)
        | Request::GetAllProducers(_)
        | Request::GetBrokerConsumeStats(_)
        | Request::UpdateAccessConfig(_)
        | Request::DeleteAccessConfig(_)
        | Request::GetAclVersion(_)
        | Request::UpdateGlobalWhiteAddrs(_)
        | Request::GetAclConfig(_)
        | Request::ResetOffset(_)
        | Request::GetConsumerStatus(_)
        | Request::GetConsumerRunningInfo(_)
        | Request::ConsumeDirectly(_)
        | Request::CloneGroupOffset(_)
        | Request::CleanExpiredQueues(_)
        | Request::CleanUnusedTopics(_)
        | Request::QueryConsumeQueue(_)
        | Request::ResumeCheckHalf(_)
        | Request::RegisterFilterServer(_) => Kind::Admin,
        // Not a broker's: refused anyway.
        Request::CheckTransactionState(_)
        | Request::NotifyConsumerIdsChanged(_)
        | Request::ResetClientOffset(_)
        | Request::GetClientStatus(_)
        | Request::PushReply(_)
        | Request::PutKv(_)
        | Request::GetKv(_)
        | Request::DeleteKv(_)
        | Request::RegisterBroker(_)
        | Request::UnregisterBroker(_)
        | Request::GetRoute(_)
        | Request::GetClusterInfo(_)
        | Request::WipeWritePerm(_)
        | Request::GetAllTopicNames(_)
        | Request::DeleteTopicRoutes(_)
        | Request::GetKvList(_)
        | Request::GetTopicsByCluster(_)
        | Request::GetSystemTopicsFromNameServer(_)
        | Request::GetUnitTopics(_)
        | Request::GetUnitSubTopics(_)
        | Request::GetUnitSubNonUnitTopics(_)
        | Request::UpdateNamesrvConfig(_)
        | Request::GetNamesrvConfig(_)
        | Request::QueryDataVersion(_)
        | Request::AddWritePerm(_)
        | Request::Other(_) => Kind::Account,
    }
}
