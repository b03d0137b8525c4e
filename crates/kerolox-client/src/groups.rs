//! Groups, and who is connected for them.

use kerolox_wire::body::{
    ConsumeDirectlyResult, ConsumerConnection, ConsumerRunningInfo, ProducerConnection, ProducerTable, Style,
    SubscriptionGroupConfig, SubscriptionGroupTable, to_json,
};
use kerolox_wire::command::admin::DeleteGroup;
use kerolox_wire::command::client::{ConsumeDirectly, ConsumerGroup, ProducerGroup};
use kerolox_wire::command::{NoFields, call, client};
use kerolox_wire::names::{GroupName, TopicName};
use kerolox_wire::response::ResponseCode;

use crate::client::{CALL_TIMEOUT, LONG_CALL_TIMEOUT};
use crate::{Client, ClientError};

impl Client {
    /// Creates a group at a broker, or replaces its settings.
    ///
    /// # Errors
    /// When the broker does not answer or refuses.
    pub async fn put_group(&self, broker: &str, group: &SubscriptionGroupConfig) -> Result<(), ClientError> {
        let body = to_json(group, Style::Fastjson).into();
        self.call_with::<call::CreateGroup>(broker, &NoFields, body, CALL_TIMEOUT).await.map(drop)
    }

    /// Deletes a group at a broker.
    ///
    /// # Errors
    /// When the broker does not answer or refuses.
    pub async fn delete_group(&self, broker: &str, group: &GroupName) -> Result<(), ClientError> {
        self.call::<call::DeleteGroup>(broker, &DeleteGroup { group_name: group.clone() }).await.map(drop)
    }

    /// All groups of a broker.
    ///
    /// # Errors
    /// When the broker does not answer or refuses.
    pub async fn groups_of(&self, broker: &str) -> Result<SubscriptionGroupTable, ClientError> {
        self.read::<call::GetAllGroups, _>(broker, &NoFields, LONG_CALL_TIMEOUT).await
    }

    /// The brokers that know a group: those that serve its retry topic.
    ///
    /// # Errors
    /// Code 17 when none does.
    pub async fn brokers_of_group(&self, group: &GroupName) -> Result<Vec<(String, String)>, ClientError> {
        self.brokers_of_topic(TopicName::retry_of(group)?.as_str()).await
    }

    /// Who is connected as a consumer of the group. Consumers connect to all brokers, so the first one is asked.
    ///
    /// # Errors
    /// Code 206 when nobody is.
    pub async fn consumer_connection(&self, group: &GroupName) -> Result<ConsumerConnection, ClientError> {
        let request = ConsumerGroup { consumer_group: group.clone() };
        for (_, address) in self.brokers_of_group(group).await? {
            let found: ConsumerConnection =
                self.read::<call::GetConsumerConnections, _>(&address, &request, CALL_TIMEOUT).await?;
            if !found.connection_set.is_empty() {
                return Ok(found);
            }
        }
        Err(ClientError::Absent {
            code: ResponseCode::CONSUMER_NOT_ONLINE,
            what: "Not found the consumer group connection".to_owned(),
        })
    }

    /// Who is connected as a producer of the group, as seen by the first broker of the topic.
    ///
    /// # Errors
    /// Code 1 when nobody is.
    pub async fn producer_connection(&self, group: &str, topic: &str) -> Result<ProducerConnection, ClientError> {
        let request = ProducerGroup { producer_group: group.to_owned() };
        for (_, address) in self.brokers_of_topic(topic).await? {
            let found: ProducerConnection =
                self.read::<call::GetProducerConnections, _>(&address, &request, CALL_TIMEOUT).await?;
            if !found.connection_set.is_empty() {
                return Ok(found);
            }
        }
        Err(ClientError::Absent {
            code: ResponseCode::SYSTEM_ERROR,
            what: "Not found the producer group connection".to_owned(),
        })
    }

    /// All producers that are connected to one broker, by group; none where it does not tell them. RocketMQ does from 5.0
    /// on; 4.7.1 leaves the question without any answer, so it is not asked.
    ///
    /// # Errors
    /// When the broker does not answer or refuses.
    pub async fn all_producers(&self, broker: &str) -> Result<Option<ProducerTable>, ClientError> {
        let figures = self.runtime_info(broker).await?;
        let release = figures.get("brokerVersionDesc").and_then(|text| text.strip_prefix('V')?.split('_').next());
        let is_new = release.and_then(|major| major.parse::<u32>().ok()).is_some_and(|major| major >= 5);
        // Kerolox calls itself 4.7.1, and alone tells of timers by this name.
        if !is_new && !figures.contains_key("timerPending") {
            return Ok(None);
        }
        self.read::<call::GetAllProducers, _>(broker, &NoFields, LONG_CALL_TIMEOUT).await.map(Some)
    }

    /// What a consumer says of itself.
    ///
    /// # Errors
    /// When the broker cannot reach it.
    pub async fn consumer_running_info(
        &self,
        group: &GroupName,
        client_id: &str,
        jstack: bool,
    ) -> Result<ConsumerRunningInfo, ClientError> {
        let request = client::ConsumerRunningInfo {
            consumer_group: group.clone(),
            client_id: client_id.to_owned(),
            jstack_enable: jstack,
        };
        let brokers = self.brokers_of_group(group).await?;
        let (_, address) =
            brokers.first().ok_or_else(|| ClientError::NoBroker { why: format!("none has [{group}]") })?;
        self.read::<call::GetConsumerRunningInfo, _>(address, &request, LONG_CALL_TIMEOUT).await
    }

    /// Has one consumer consume one message, which lies at `broker`.
    ///
    /// # Errors
    /// When the broker cannot reach the consumer or find the message.
    pub async fn consume_directly(
        &self,
        broker: &str,
        group: &GroupName,
        client_id: &str,
        offset_id: &str,
    ) -> Result<ConsumeDirectlyResult, ClientError> {
        let request = ConsumeDirectly {
            consumer_group: group.clone(),
            client_id: Some(client_id.to_owned()),
            msg_id: Some(offset_id.to_owned()),
            broker_name: None,
        };
        self.read::<call::ConsumeDirectly, _>(broker, &request, LONG_CALL_TIMEOUT).await
    }
}
