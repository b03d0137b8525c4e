//! Topics at brokers.

use kerolox_wire::body::{
    BrokerStatsData, GroupList, MessageQueue, TopicConfig, TopicConfigTable, TopicOffset, TopicStats,
};
use kerolox_wire::command::admin::{self, CreateTopic, TopicRef};
use kerolox_wire::command::{NoFields, call};
use kerolox_wire::names::{TopicName, topics};

use crate::client::{CALL_TIMEOUT, LONG_CALL_TIMEOUT};
use crate::{Client, ClientError};

/// Statistic of messages stored per topic.
pub const TOPIC_PUT_NUMS: &str = "TOPIC_PUT_NUMS";
/// Statistic of messages read per `topic@group`.
pub const GROUP_GET_NUMS: &str = "GROUP_GET_NUMS";

impl Client {
    /// Creates a topic at a broker, or replaces its settings.
    ///
    /// # Errors
    /// When the broker does not answer or refuses.
    pub async fn put_topic(&self, broker: &str, topic: &TopicConfig) -> Result<(), ClientError> {
        let request = CreateTopic {
            topic: TopicName::parse(&topic.topic_name)?,
            default_topic: topics::AUTO_CREATE.to_owned(),
            read_queue_nums: topic.read_queue_nums,
            write_queue_nums: topic.write_queue_nums,
            perm: topic.perm,
            topic_filter_type: Some(topic.topic_filter_type.name().unwrap_or("SINGLE_TAG").to_owned()),
            topic_sys_flag: topic.topic_sys_flag,
            order: topic.order,
        };
        self.call::<call::CreateTopic>(broker, &request).await.map(drop)
    }

    /// Deletes a topic with its queues at a broker.
    ///
    /// # Errors
    /// When the broker does not answer or refuses.
    pub async fn delete_topic(&self, broker: &str, topic: &TopicName) -> Result<(), ClientError> {
        self.call::<call::DeleteTopic>(broker, &TopicRef { topic: topic.clone() }).await.map(drop)
    }

    /// All topics of a broker.
    ///
    /// # Errors
    /// When the broker does not answer or refuses.
    pub async fn topics_of(&self, broker: &str) -> Result<TopicConfigTable, ClientError> {
        self.read::<call::GetAllTopics, _>(broker, &NoFields, LONG_CALL_TIMEOUT).await
    }

    /// First offset, end and last store time of each queue of a topic, over all its brokers.
    ///
    /// # Errors
    /// When a broker does not answer, or the topic has no route.
    pub async fn topic_stats(&self, topic: &TopicName) -> Result<Vec<(MessageQueue, TopicOffset)>, ClientError> {
        let mut ranges = Vec::new();
        for (_, address) in self.brokers_of_topic(topic.as_str()).await? {
            ranges.extend(self.topic_stats_at(&address, topic).await?);
        }
        ranges.sort_by(|a, b| a.0.cmp(&b.0));
        Ok(ranges)
    }

    /// The same at one broker.
    ///
    /// # Errors
    /// When it does not answer or does not know the topic.
    pub async fn topic_stats_at(
        &self,
        broker: &str,
        topic: &TopicName,
    ) -> Result<Vec<(MessageQueue, TopicOffset)>, ClientError> {
        let request = TopicRef { topic: topic.clone() };
        let stats: TopicStats = self.read::<call::GetTopicStats, _>(broker, &request, CALL_TIMEOUT).await?;
        Ok(stats.offset_table.0)
    }

    /// The groups that consume a topic, or did; sorted. The first broker of the topic is asked.
    ///
    /// # Errors
    /// When it does not answer or the topic has no route.
    pub async fn groups_of_topic(&self, topic: &TopicName) -> Result<Vec<String>, ClientError> {
        let brokers = self.brokers_of_topic(topic.as_str()).await?;
        let request = TopicRef { topic: topic.clone() };
        let mut groups = Vec::new();
        if let Some((_, address)) = brokers.first() {
            let list: GroupList = self.read::<call::QueryConsumersOfTopic, _>(address, &request, CALL_TIMEOUT).await?;
            groups = list.group_list;
        }
        groups.sort_unstable();
        Ok(groups)
    }

    /// One statistic of a broker.
    ///
    /// # Errors
    /// Code 1 when there is no such statistic.
    pub async fn stats(&self, broker: &str, name: &str, key: &str) -> Result<BrokerStatsData, ClientError> {
        let request = admin::BrokerStatsData { stats_name: name.to_owned(), stats_key: key.to_owned() };
        self.read::<call::ViewStats, _>(broker, &request, CALL_TIMEOUT).await
    }
}
