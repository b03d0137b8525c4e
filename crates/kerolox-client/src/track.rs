//! What became of a message in each group that consumes its topic.

use kerolox_wire::body::{ConsumeType, ConsumerConnection};
use kerolox_wire::names::{GroupName, TopicName};
use kerolox_wire::response::ResponseCode;

use crate::route::master_of;
use crate::{Client, ClientError, Message};

/// What became of a message in one group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrackType {
    /// The group's offset is behind it.
    Consumed,
    /// So, but the group's subscription does not match it.
    ConsumedButFiltered,
    /// The group pulls by itself; nobody knows.
    Pull,
    /// The group has not come so far.
    NotConsumeYet,
    /// Nobody is connected for the group.
    NotOnline,
    /// It could not be found out.
    Unknown,
}

impl TrackType {
    /// The name that Java tools print.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Consumed => "CONSUMED",
            Self::ConsumedButFiltered => "CONSUMED_BUT_FILTERED",
            Self::Pull => "PULL",
            Self::NotConsumeYet => "NOT_CONSUME_YET",
            Self::NotOnline => "NOT_ONLINE",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// One group and what became of the message there.
#[derive(Debug, Clone)]
pub struct Track {
    /// The group.
    pub group: String,
    /// What became of it.
    pub kind: TrackType,
    /// Why it could not be found out.
    pub why: Option<String>,
}

impl Client {
    /// What became of `message` in every group that consumes its topic.
    ///
    /// # Errors
    /// When the groups cannot be listed; what fails for one group stands in its track.
    pub async fn track(&self, message: &Message) -> Result<Vec<Track>, ClientError> {
        let topic = TopicName::parse(&message.topic)?;
        let mut tracks = Vec::new();
        for group in self.groups_of_topic(&topic).await? {
            let (kind, why) = match self.track_in(message, &group).await {
                Ok(kind) => (kind, None),
                Err(why) if why.is(ResponseCode::CONSUMER_NOT_ONLINE) => {
                    (TrackType::NotOnline, Some(description(&why)))
                }
                Err(why) => (TrackType::Unknown, Some(why.to_string())),
            };
            tracks.push(Track { group, kind, why });
        }
        Ok(tracks)
    }

    async fn track_in(&self, message: &Message, group: &str) -> Result<TrackType, ClientError> {
        let group = GroupName::parse(group)?;
        let connection = self.consumer_connection(&group).await?;
        if connection.consume_type == ConsumeType::Actively {
            return Ok(TrackType::Pull);
        }
        if !self.is_behind(message, &group).await? {
            return Ok(TrackType::NotConsumeYet);
        }
        Ok(if wants(&connection, message) { TrackType::Consumed } else { TrackType::ConsumedButFiltered })
    }

    /// Whether the group's offset in the message's queue is behind the message.
    async fn is_behind(&self, message: &Message, group: &GroupName) -> Result<bool, ClientError> {
        let progress = self.progress(group, None).await?;
        let info = self.cluster_info().await?;
        let host = message.store_host.to_string();
        Ok(progress.queues.iter().any(|(queue, at)| {
            queue.topic == message.topic
                && queue.queue_id == message.queue_id.to_wire()
                && at.consumer_offset > message.queue_offset.to_wire()
                && info.broker_addr_table.get(&queue.broker_name).and_then(master_of) == Some(host.as_str())
        }))
    }
}

fn wants(connection: &ConsumerConnection, message: &Message) -> bool {
    match connection.subscription_table.get(&message.topic) {
        Some(subscription) => {
            let tags = &subscription.tags_set;
            tags.is_empty() || tags.iter().any(|tag| tag == "*" || Some(tag.as_str()) == message.tags())
        }
        None => true,
    }
}

fn description(why: &ClientError) -> String {
    match why {
        ClientError::Refused { code, remark, .. } => format!("CODE:{} DESC:{remark}", code.0),
        ClientError::Absent { code, what } => format!("CODE:{} DESC:{what}", code.0),
        other => other.to_string(),
    }
}
