//! Learns from a consumer itself what it subscribes to, when its heartbeat did not tell.
//!
//! A Java client of 5.x changes the version of its subscription when its share of the queues changes, and tells so with a
//! heartbeat that it leaves out when another one is just on its way. That other one may have been made before the change,
//! and then every pull is refused as newer than the subscription known here, until the next heartbeat in 30 s. A consumer
//! answers what it subscribes to when asked about itself, so it is asked.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use kerolox_net::Peer;
use kerolox_wire::body::{ConsumerRunningInfo, from_json};
use kerolox_wire::command::RequestCode;
use kerolox_wire::command::client::ConsumerRunningInfo as Question;
use kerolox_wire::names::GroupName;
use kerolox_wire::response::ResponseCode;
use parking_lot::Mutex;

use crate::admin::question;
use crate::node::Node;

/// How long the answer may take. The consumer pulls again after 3 s in any case.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(3);

/// Connections that are being asked: one question at a time is enough, since the answer holds all topics of a group.
#[derive(Debug, Default)]
pub(crate) struct Asked(Mutex<HashSet<u64>>);

impl Node {
    /// After a pull was refused: asks the consumer what it subscribes to, if that is what is missing here.
    pub(crate) fn catch_up_on_subscription(
        self: &Arc<Self>,
        consumer: &Arc<Peer>,
        group: &GroupName,
        refused: ResponseCode,
    ) {
        let is_behind =
            [ResponseCode::SUBSCRIPTION_NOT_LATEST, ResponseCode::FILTER_DATA_NOT_LATEST].contains(&refused);
        if !is_behind {
            return;
        }
        let Some(client_id) = self.clients.client_id(group.as_str(), consumer.id()) else { return };
        if !self.asked.0.lock().insert(consumer.id()) {
            return;
        }
        let (node, consumer, group) = (Arc::clone(self), Arc::clone(consumer), group.clone());
        self.runtime.spawn(async move {
            node.ask_for_subscription(&consumer, &group, client_id).await;
            node.asked.0.lock().remove(&consumer.id());
        });
    }

    async fn ask_for_subscription(&self, consumer: &Arc<Peer>, group: &GroupName, client_id: String) {
        let asked = Question { consumer_group: group.clone(), client_id, jstack_enable: false };
        let question = question(RequestCode::GET_CONSUMER_RUNNING_INFO, &asked, Bytes::new());
        // Clients that do not know the question go on as before.
        let Ok(answer) = consumer.call(question, ANSWER_TIMEOUT).await else { return };
        let Ok(info) = from_json::<ConsumerRunningInfo>(&answer.body) else { return };
        if info.subscription_set.is_empty() {
            return;
        }
        match self.clients.resubscribe(consumer, group, &info.subscription_set) {
            Ok(Some(change)) => {
                self.filters.register(group, &info.subscription_set, self.clock.wall_ms());
                tracing::debug!(%group, client = %consumer.remote(), "subscription learnt by asking");
                self.tell(vec![change]);
            }
            // It has left the group meanwhile.
            Ok(None) => {}
            // As with a heartbeat that is refused: a peer must not fill the log.
            Err(error) => tracing::debug!(%group, client = %consumer.remote(), %error, "subscription not taken in"),
        }
    }
}
