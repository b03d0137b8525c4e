//! Answers to requests: one match over all commands, so that a new one cannot be forgotten.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use kerolox_net::{Counters, Peer, Service};
use kerolox_wire::addresses::Addresses;
use kerolox_wire::body::{Style, TopicList, to_json};
use kerolox_wire::clock::Clock;
use kerolox_wire::command::{COMMANDS, Request, Served, name_server as header};
use kerolox_wire::frame::Frame;
use kerolox_wire::reply::{Reply, ReplyTo};
use kerolox_wire::response::ResponseCode;
use parking_lot::{Mutex, RwLock};

use crate::figures::{Removal, Tally};
use crate::kv::{Kv, ORDER_TOPIC_CONFIG};
use crate::missing::{MISSING_TOPICS, Missing};
use crate::routes::{Gone, Routes, Unit, clusters_body, route_body};
use crate::settings::{SettingError, Settings};
use crate::suspects::Suspects;

/// End of the remark about unknown topics: clients print it as it is.
const FAQ: &str = "\nSee http://rocketmq.apache.org/docs/faq/ for further details.";

/// The name server as connections see it.
pub(crate) struct NameServer {
    pub(crate) routes: RwLock<Routes>,
    pub(crate) kv: Mutex<Kv>,
    pub(crate) missing: Missing,
    pub(crate) settings: Settings,
    pub(crate) clock: Arc<dyn Clock>,
    /// Connections over which brokers are registered, to close them when a registration expires.
    pub(crate) registrants: Mutex<HashMap<u64, Arc<Peer>>>,
    pub(crate) suspects: Arc<Suspects>,
    /// Addresses that brokers may register from; none for all.
    pub(crate) broker_addresses: Option<Addresses>,
    pub(crate) tally: Tally,
    /// What happens on its connections.
    pub(crate) counters: Arc<Counters>,
}

impl Service for NameServer {
    fn serve(&self, peer: &Arc<Peer>, frames: &mut Vec<Frame>, out: &mut BytesMut) {
        self.suspects.clear(peer.id());
        for frame in frames.drain(..) {
            let reply = self.answer(peer, &frame);
            self.tally.note(frame.code, reply.code);
            reply.encode(ReplyTo::from(&frame), out);
        }
    }

    fn disconnected(&self, peer: &Arc<Peer>) {
        // Of the many connections only a few are brokers'.
        if self.registrants.lock().remove(&peer.id()).is_none() {
            return;
        }
        self.suspects.clear(peer.id());
        let gone = self.routes.write().disconnected(peer.id());
        self.note_gone(&gone, Removal::Disconnected);
    }
}

impl NameServer {
    /// Takes out brokers that have been silent for longer than `limit` and closes their connections.
    pub(crate) fn expire(&self, limit: Duration) {
        let gone = self.routes.write().expire(self.clock.elapsed(), limit);
        self.note_gone(&gone, Removal::Expired);
        for member in gone {
            if let Some(peer) = self.registrants.lock().remove(&member.connection) {
                peer.close("the registration expired");
            }
        }
    }

    pub(crate) fn note_gone(&self, gone: &[Gone], why: Removal) {
        self.tally.note_removed(why, gone.len());
        for Gone { broker, id, addr, last, .. } in gone {
            tracing::warn!(%broker, id, %addr, topics_removed = last, why = why.sentence(), "broker removed");
        }
    }

    fn answer(&self, peer: &Arc<Peer>, frame: &Frame) -> Reply {
        match Request::decode(frame) {
            Ok(request) => self.dispatch(peer, frame, request),
            Err(error) if is_served_here(frame.code) => Reply::refuse(ResponseCode::SYSTEM_ERROR, error.to_string()),
            Err(_) => unsupported(frame.code),
        }
    }

    fn dispatch(&self, peer: &Arc<Peer>, frame: &Frame, request: Request) -> Reply {
        match request {
            Request::PutKv(put) => done(self.kv.lock().put(&put.namespace, &put.key, &put.value)),
            Request::GetKv(key) => self.get_kv(&key),
            Request::DeleteKv(key) => done(self.kv.lock().delete(&key.namespace, &key.key)),
            Request::GetKvList(list) => self.list_kv(&list),
            Request::RegisterBroker(broker) => self.register(peer, frame, broker),
            Request::UnregisterBroker(broker) => self.unregister(peer, &broker),
            Request::QueryDataVersion(broker) => self.query_version(peer, frame, &broker),
            Request::GetRoute(get) => self.route(peer, frame, &get),
            Request::GetClusterInfo(_) => Reply::body(clusters_body(&self.routes.read().clusters(), frame.version)),
            Request::WipeWritePerm(broker) => self.wipe_write(peer, &broker.broker_name),
            Request::AddWritePerm(broker) => self.add_write(peer, &broker.broker_name),
            Request::DeleteTopicRoutes(topic) => {
                let known = self.routes.write().delete_topic(&topic.topic);
                tracing::info!(topic = ?topic.topic, known, by = %peer.remote(), "routes of a topic deleted");
                Reply::ok()
            }
            Request::GetAllTopicNames(_) => listed(&self.routes.read().topics()),
            Request::GetTopicsByCluster(of) => listed(&self.routes.read().topics_of_cluster(&of.cluster)),
            Request::GetSystemTopicsFromNameServer(_) => listed(&self.routes.read().system_topics()),
            Request::GetUnitTopics(_) => listed(&self.routes.read().unit_topics(Unit::Topics)),
            Request::GetUnitSubTopics(_) => listed(&self.routes.read().unit_topics(Unit::Subscribed)),
            Request::GetUnitSubNonUnitTopics(_) => listed(&self.routes.read().unit_topics(Unit::SubscribedNonUnit)),
            Request::UpdateNamesrvConfig(_) => self.change_settings(peer, frame),
            Request::GetNamesrvConfig(_) => Reply::body(self.settings.text()),
            // Commands that others answer; listed, so that a new one does not end up here unseen.
            Request::SendMessage(_)
            | Request::PullMessage(_)
            | Request::LitePullMessage(_)
            | Request::GetTopic(_)
            | Request::GetGroup(_)
            | Request::QueryMessage(_)
            | Request::QueryConsumerOffset(_)
            | Request::UpdateConsumerOffset(_)
            | Request::CreateTopic(_)
            | Request::GetAllTopics(_)
            | Request::UpdateBrokerConfig(_)
            | Request::GetBrokerConfig(_)
            | Request::GetRuntimeInfo(_)
            | Request::SearchOffset(_)
            | Request::GetMaxOffset(_)
            | Request::GetMinOffset(_)
            | Request::GetEarliestStoreTime(_)
            | Request::ViewMessage(_)
            | Request::Heartbeat(_)
            | Request::UnregisterClient(_)
            | Request::SendBack(_)
            | Request::EndTransaction(_)
            | Request::GetConsumerList(_)
            | Request::CheckTransactionState(_)
            | Request::NotifyConsumerIdsChanged(_)
            | Request::LockBatch(_)
            | Request::UnlockBatch(_)
            | Request::GetAllConsumerOffsets(_)
            | Request::GetAllDelayOffsets(_)
            | Request::CheckClientConfig(_)
            | Request::UpdateAccessConfig(_)
            | Request::DeleteAccessConfig(_)
            | Request::GetAclVersion(_)
            | Request::UpdateGlobalWhiteAddrs(_)
            | Request::GetAclConfig(_)
            | Request::CreateGroup(_)
            | Request::GetAllGroups(_)
            | Request::GetTopicStats(_)
            | Request::GetConsumerConnections(_)
            | Request::GetProducerConnections(_)
            | Request::GetAllProducers(_)
            | Request::DeleteGroup(_)
            | Request::GetConsumeStats(_)
            | Request::DeleteTopic(_)
            | Request::ResetClientOffset(_)
            | Request::GetClientStatus(_)
            | Request::ResetOffset(_)
            | Request::GetConsumerStatus(_)
            | Request::QueryConsumersOfTopic(_)
            | Request::RegisterFilterServer(_)
            | Request::QueryConsumeTimeSpan(_)
            | Request::GetSystemTopics(_)
            | Request::CleanExpiredQueues(_)
            | Request::GetConsumerRunningInfo(_)
            | Request::QueryCorrectionOffset(_)
            | Request::ConsumeDirectly(_)
            | Request::SendMessageV2(_)
            | Request::CloneGroupOffset(_)
            | Request::ViewStats(_)
            | Request::CleanUnusedTopics(_)
            | Request::GetBrokerConsumeStats(_)
            | Request::SendBatch(_)
            | Request::QueryConsumeQueue(_)
            | Request::ResumeCheckHalf(_)
            | Request::SendReply(_)
            | Request::SendReplyV2(_)
            | Request::PushReply(_)
            | Request::Other(_) => unsupported(frame.code),
        }
    }

    fn get_kv(&self, key: &header::KvRef) -> Reply {
        match self.kv.lock().get(&key.namespace, &key.key) {
            Some(value) => Reply::of(&header::KvValue { value: Some(value.to_owned()) }),
            None => {
                let remark = format!("No config item, Namespace: {} Key: {}", key.namespace, key.key);
                Reply::refuse(ResponseCode::QUERY_NOT_FOUND, remark)
            }
        }
    }

    fn list_kv(&self, list: &header::KvNamespace) -> Reply {
        if list.namespace == MISSING_TOPICS {
            let routes = self.routes.read();
            let missing = self.missing.list(|topic| routes.has_topic(topic));
            return Reply::body(to_json(&missing, Style::Fastjson));
        }
        self.kv.lock().list(&list.namespace).map_or_else(
            || {
                let remark = format!("No config item, Namespace: {}", list.namespace);
                Reply::refuse(ResponseCode::QUERY_NOT_FOUND, remark)
            },
            Reply::body,
        )
    }

    fn route(&self, peer: &Peer, frame: &Frame, get: &header::GetRoute) -> Reply {
        let Some(mut route) = self.routes.read().route(&get.topic) else {
            self.missing.note(&get.topic, peer.remote(), self.clock.wall_ms());
            let remark = format!("No topic route info in name server for the topic: {}{FAQ}", get.topic);
            return Reply::refuse(ResponseCode::TOPIC_NOT_EXIST, remark);
        };
        if self.settings.order_message_enable() {
            route.order_topic_conf = self.kv.lock().get(ORDER_TOPIC_CONFIG, &get.topic).map(str::to_owned);
        }
        Reply::body(route_body(&route, frame.version, get.accept_standard_json_only))
    }

    fn wipe_write(&self, peer: &Arc<Peer>, broker: &str) -> Reply {
        let count = self.routes.write().wipe_write(broker);
        tracing::warn!(?broker, count, by = %peer.remote(), "write permission of a broker's topics taken off");
        Reply::of(&header::WipeWritePermResult { wipe_topic_count: wire_count(count) })
    }

    fn add_write(&self, peer: &Arc<Peer>, broker: &str) -> Reply {
        let count = self.routes.write().add_write(broker);
        tracing::warn!(?broker, count, by = %peer.remote(), "read and write permission given to a broker's topics");
        Reply::of(&header::AddWritePermResult { add_topic_count: wire_count(count) })
    }

    fn change_settings(&self, peer: &Arc<Peer>, frame: &Frame) -> Reply {
        let by = peer.remote();
        match self.settings.change(&frame.body) {
            Ok(()) => {
                tracing::warn!(%by, now = self.settings.text().trim_end(), "settings changed");
                Reply::ok()
            }
            Err(error) => {
                tracing::warn!(%by, %error, "change of settings refused");
                let code = match error {
                    SettingError::NotChangeable { .. } => ResponseCode::NO_PERMISSION,
                    SettingError::Value { .. } | SettingError::Text(_) | SettingError::Save { .. } => {
                        ResponseCode::SYSTEM_ERROR
                    }
                };
                Reply::refuse(code, error.to_string())
            }
        }
    }
}

fn unsupported(code: i32) -> Reply {
    // The leading blank is the reference's.
    Reply::refuse(ResponseCode::REQUEST_CODE_NOT_SUPPORTED, format!(" request type {code} not supported"))
}

fn is_served_here(code: i32) -> bool {
    COMMANDS.iter().any(|command| command.code.0 == code && command.served == Served::NameServer)
}

fn listed(list: &TopicList) -> Reply {
    Reply::body(to_json(list, Style::Fastjson))
}

fn done(result: Result<(), crate::kv::KvError>) -> Reply {
    match result {
        Ok(()) => Reply::ok(),
        Err(error) => Reply::refuse(ResponseCode::SYSTEM_ERROR, error.to_string()),
    }
}

fn wire_count(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
