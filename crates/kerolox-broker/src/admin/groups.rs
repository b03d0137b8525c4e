//! Consumer groups: create, delete, list, connections.

use kerolox_wire::body::{Style, SubscriptionGroupConfig, from_json, to_json};
use kerolox_wire::command::admin::{DeleteGroup, GroupRef};
use kerolox_wire::command::client::{ConsumerGroup, ProducerGroup};
use kerolox_wire::frame::Frame;
use kerolox_wire::reply::Reply;
use kerolox_wire::response::ResponseCode;

use crate::node::Node;
use crate::refusal::Refusal;

impl Node {
    /// Creates or replaces a group.
    pub(crate) fn create_group(&self, frame: &Frame) -> Result<Reply, Refusal> {
        let group: SubscriptionGroupConfig =
            from_json(&frame.body).map_err(|e| Refusal::bad_body("subscription group", e))?;
        self.groups.update(group, self.clock.wall_ms())?;
        self.save_groups();
        Ok(Reply::ok())
    }

    /// Deletes a group; its offsets stay, as in 4.7.1.
    pub(crate) fn delete_group(&self, asked: &DeleteGroup) -> Reply {
        if self.groups.delete(asked.group_name.as_str(), self.clock.wall_ms()) {
            self.stats.forget_group(asked.group_name.as_str());
            self.save_groups();
        }
        Reply::ok()
    }

    /// All groups with the version of the table.
    pub(crate) fn all_groups(&self) -> Reply {
        Reply::body(to_json(&self.groups.table(), Style::Fastjson))
    }

    /// One group. As in 5.x, a group that consumers could use is made when it is asked about.
    pub(crate) fn one_group(&self, asked: &GroupRef) -> Result<Reply, Refusal> {
        Ok(Reply::body(to_json(&*self.group_or_create(&asked.group)?, Style::Fastjson)))
    }

    /// Connections and subscriptions of a consumer group.
    pub(crate) fn consumer_connections(&self, asked: &ConsumerGroup) -> Result<Reply, Refusal> {
        let group = asked.consumer_group.as_str();
        let body = self
            .clients
            .consumer_connection(group)
            .map_err(|e| Refusal::new(ResponseCode::CONSUMER_NOT_ONLINE, e.to_string()))?;
        Ok(Reply::body(to_json(&body, Style::Fastjson)))
    }

    /// All connected producers by group, as in 5.x.
    pub(crate) fn all_producers(&self) -> Reply {
        let body = self.clients.all_producers(self.clock.elapsed(), self.clock.wall_ms());
        Reply::body(to_json(&body, Style::Fastjson))
    }

    /// Connections of a producer group.
    pub(crate) fn producer_connections(&self, asked: &ProducerGroup) -> Result<Reply, Refusal> {
        let body =
            self.clients.producer_connection(&asked.producer_group).map_err(|e| Refusal::error(e.to_string()))?;
        Ok(Reply::body(to_json(&body, Style::Fastjson)))
    }
}
