//! Clients and their groups: heartbeats, goodbyes, lists, queue locks, and telling members of changes.

use std::sync::Arc;

use kerolox_net::Peer;
use kerolox_wire::body::{
    CheckClientConfig, ConsumerIds, HeartbeatData, LockReply, LockRequest, Style, UnlockRequest, from_json, to_json,
};
use kerolox_wire::command::client::{ConsumerGroup, UnregisterClient};
use kerolox_wire::command::{Header, Names, RequestCode};
use kerolox_wire::fields::Fields;
use kerolox_wire::frame::Frame;
use kerolox_wire::names::{GroupName, TopicName};
use kerolox_wire::reply::Reply;
use kerolox_wire::response::ResponseCode;

use crate::node::Node;
use crate::refusal::Refusal;
use crate::registry::{GROUPS_PER_CONNECTION_MAX, GroupChange, Software, Subscription};
use crate::topic::Topic;

/// Most refusals that the answer to a heartbeat tells.
const UNSERVED_TOLD_MAX: usize = 5;

/// What of a heartbeat is not served, by name, and why.
#[derive(Debug, Default)]
struct Unserved {
    items: Vec<(String, Refusal)>,
}

impl Unserved {
    fn add(&mut self, name: &str, why: Refusal) {
        self.items.push((name.to_owned(), why));
    }
}

impl Node {
    /// Takes a heartbeat in; the groups it names, and their retry topics, exist afterwards. A group or producer that is
    /// refused is so by itself: as with 4.7.1 the answer is then still a success, because clients make something of it
    /// that concerns all their groups, and its remark tells. Only a heartbeat of which nothing was taken fails.
    pub(crate) fn heartbeat(&self, peer: &Arc<Peer>, frame: &Frame) -> Result<Reply, Refusal> {
        let mut data: HeartbeatData = from_json(&frame.body).map_err(|e| Refusal::bad_body("heartbeat", e))?;
        for (what, count) in [("consumer", data.consumer_data_set.len()), ("producer", data.producer_data_set.len())] {
            if count > GROUPS_PER_CONNECTION_MAX {
                return Err(Refusal::error(format!(
                    "the heartbeat names {count} {what} groups, the most is {GROUPS_PER_CONNECTION_MAX}"
                )));
            }
        }
        let mut unserved = Unserved::default();
        for unreadable in &data.unreadable {
            unserved.add("", Refusal::error(unreadable.to_string()));
        }
        data.consumer_data_set.retain(|consumer| {
            let found = GroupName::parse(&consumer.group_name).map_err(Refusal::from);
            let found = found.and_then(|group| self.group_or_create(&group));
            found.map_err(|why| unserved.add(&consumer.group_name, why)).is_ok()
        });
        let software = Software { language: frame.language, version: frame.version };
        let heard = self.clients.heartbeat(peer, software, &data, self.now());
        for (name, why) in heard.refused {
            unserved.add(&name, Refusal::error(why.to_string()));
        }
        for change in &heard.changes {
            if let Err(why) = self.ensure_retry_topic(&change.group, change.unit_mode) {
                unserved.add(change.group.as_str(), why);
            }
            let said = data.consumer_data_set.iter().filter(|data| data.group_name == change.group.as_str());
            for consumer in said {
                self.filters.register(&change.group, &consumer.subscription_data_set, self.clock.wall_ms());
            }
        }
        let served = heard.producers + heard.changes.len();
        self.tell(heard.changes);
        self.answer_heartbeat(peer, served, &unserved)
    }

    /// Tells what of a heartbeat was not served: in the answer, and when it is news in the log and the findings.
    fn answer_heartbeat(&self, peer: &Peer, served: usize, unserved: &Unserved) -> Result<Reply, Refusal> {
        let now_ms = self.clock.wall_ms();
        for (name, why) in &unserved.items {
            if self.refusals.unserved(name, &why.remark, peer.remote(), now_ms) {
                tracing::warn!(client = %peer.remote(), group = ?name, why = %why.remark, "not served to a client");
            }
        }
        let Some((_, first)) = unserved.items.first() else { return Ok(Reply::ok()) };
        if served == 0 {
            return Err(first.clone());
        }
        let told: Vec<&str> = unserved.items.iter().take(UNSERVED_TOLD_MAX).map(|(_, why)| &*why.remark).collect();
        Ok(Reply { remark: Some(format!("{} not served: {}", unserved.items.len(), told.join("; "))), ..Reply::ok() })
    }

    /// A group whose name is too long for a topic has no retry topic, as with 4.7.1: it is served but for that.
    fn ensure_retry_topic(&self, group: &GroupName, unit_mode: bool) -> Result<(), Refusal> {
        let config = self.group_or_create(group)?;
        let queues = u32::try_from(config.retry_queue_nums).unwrap_or(0);
        if queues == 0 {
            return Ok(());
        }
        let retry = Topic::retry_of(group, queues)?;
        let retry = if unit_mode { retry.subscribed_in_unit() } else { retry };
        let made = self.topics.ensure(retry, self.clock.wall_ms())?;
        if made.new {
            self.topics_changed();
        }
        Ok(())
    }

    /// Takes a client out of its groups at once.
    pub(crate) fn unregister_client(&self, peer: &Arc<Peer>, header: &UnregisterClient) -> Reply {
        let change = self.clients.unregister(peer, header.producer_group.as_deref(), header.consumer_group.as_deref());
        self.members_left(change.into_iter().collect());
        Reply::ok()
    }

    /// Members have left these groups; the filters of those that are empty now are dead.
    fn members_left(&self, changes: Vec<GroupChange<Arc<Peer>>>) {
        for change in &changes {
            if self.clients.group(change.group.as_str()).is_none() {
                self.filters.unregister(&change.group, self.clock.wall_ms());
            }
        }
        self.tell(changes);
    }

    /// Tells the members of changed groups, so that they share the queues anew.
    pub(crate) fn tell(&self, changes: Vec<GroupChange<Arc<Peer>>>) {
        if !self.config.live.notify_ids_changed() {
            return;
        }
        for change in changes {
            let wanted = self.groups.get(change.group.as_str()).is_none_or(|g| g.notify_consumer_ids_changed_enable);
            if !wanted {
                continue;
            }
            let mut fields = Fields::new();
            ConsumerGroup { consumer_group: change.group }.encode(&mut fields, Names::Long);
            let notice = Frame::request(RequestCode::NOTIFY_CONSUMER_IDS_CHANGED, fields, bytes::Bytes::new());
            for member in change.tell {
                // A member that just left needs no notice.
                let _ = member.notify(&notice);
            }
        }
    }

    /// Lists the client ids of a group.
    pub(crate) fn consumer_list(&self, header: &ConsumerGroup) -> Result<Reply, Refusal> {
        let ids = self.clients.client_ids(header.consumer_group.as_str()).map_err(|e| Refusal::error(e.to_string()))?;
        Ok(Reply::body(to_json(&ConsumerIds { consumer_id_list: ids }, Style::Fastjson)))
    }

    /// Takes or renews locks on queues for a client.
    pub(crate) fn lock_queues(&self, peer: &Peer, frame: &Frame) -> Result<Reply, Refusal> {
        let asked: LockRequest = from_json(&frame.body).map_err(|e| Refusal::bad_body("lock request", e))?;
        let group = GroupName::parse(&asked.consumer_group)?;
        let granted = self.locks.lock(&group, peer.id(), &asked.client_id, &asked.mq_set, self.now());
        Ok(Reply::body(to_json(&LockReply { lock_ok_mq_set: granted }, Style::Fastjson)))
    }

    /// Gives a client's locks back.
    pub(crate) fn unlock_queues(&self, frame: &Frame) -> Result<Reply, Refusal> {
        let asked: UnlockRequest = from_json(&frame.body).map_err(|e| Refusal::bad_body("unlock request", e))?;
        self.locks.unlock(&asked.consumer_group, &asked.client_id, &asked.mq_set);
        Ok(Reply::ok())
    }

    /// Checks a subscription before a consumer starts with it.
    pub(crate) fn check_client(&self, frame: &Frame) -> Result<Reply, Refusal> {
        let asked: CheckClientConfig = from_json(&frame.body).map_err(|e| Refusal::bad_body("client check", e))?;
        let data = asked.subscription_data;
        let topic = TopicName::parse(&data.topic)?;
        let parsed = Subscription::parse(&topic, Some(&data.sub_string), Some(&data.expression_type), 0)
            .map_err(|e| Refusal::new(ResponseCode::SUBSCRIPTION_PARSE_FAILED, e.to_string()))?;
        if parsed.is_tag() {
            return Ok(Reply::ok());
        }
        self.filters_by(&parsed)?;
        match self.filters.read(parsed.expression()) {
            Ok(_) => Ok(Reply::ok()),
            Err(error) => Err(Refusal::new(ResponseCode::SUBSCRIPTION_PARSE_FAILED, error.to_string())),
        }
    }

    /// A connection is gone: its client leaves all groups.
    pub(crate) fn left(&self, peer: &Peer) {
        self.members_left(self.clients.disconnected(peer.id()));
        if let Some(acl) = &self.acl {
            acl.forget(peer.id());
        }
        let mut holds = self.holds.lock();
        holds.forget(peer.id());
        self.held.store(holds.len(), std::sync::atomic::Ordering::SeqCst);
    }

    /// Drops clients that have been silent for too long.
    pub(crate) fn expire_clients(&self) {
        let expired = self.clients.expire(self.now());
        self.members_left(expired.changes);
        for silent in expired.close {
            tracing::info!(client = %silent.remote(), "client closed: no heartbeat for too long");
            silent.close("no heartbeat for too long");
        }
        self.locks.sweep(self.now());
    }
}
