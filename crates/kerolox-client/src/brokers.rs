//! Settings, figures and housekeeping of a broker.

use std::collections::BTreeMap;
use std::time::Duration;

use kerolox_wire::body::{BrokerConsumeStats, ConsumeQueueUnits, KvTable};
use kerolox_wire::command::admin::{self, QueryConsumeQueue};
use kerolox_wire::command::{NoFields, call};

use crate::client::{CALL_TIMEOUT, LONG_CALL_TIMEOUT};
use crate::name_servers::{setting, settings};
use crate::route::NO_BODY;
use crate::{Client, ClientError};

impl Client {
    /// All settings.
    ///
    /// # Errors
    /// When the broker does not answer or refuses.
    pub async fn broker_config(&self, broker: &str) -> Result<BTreeMap<String, String>, ClientError> {
        let answer = self.call::<call::GetBrokerConfig>(broker, &NoFields).await?;
        settings::<call::GetBrokerConfig>(broker, &answer.body)
    }

    /// Changes one setting.
    ///
    /// # Errors
    /// When the broker does not answer or refuses.
    pub async fn set_broker_config(&self, broker: &str, key: &str, value: &str) -> Result<(), ClientError> {
        let body = setting(key, value).into();
        self.call_with::<call::UpdateBrokerConfig>(broker, &NoFields, body, CALL_TIMEOUT).await.map(drop)
    }

    /// Figures of the running broker.
    ///
    /// # Errors
    /// When the broker does not answer or refuses.
    pub async fn runtime_info(&self, broker: &str) -> Result<BTreeMap<String, String>, ClientError> {
        let table: KvTable = self.read::<call::GetRuntimeInfo, _>(broker, &NoFields, CALL_TIMEOUT).await?;
        Ok(table.table)
    }

    /// The lag of all groups.
    ///
    /// # Errors
    /// When the broker does not answer or refuses.
    pub async fn broker_consume_stats(
        &self,
        broker: &str,
        ordered: bool,
        timeout: Duration,
    ) -> Result<BrokerConsumeStats, ClientError> {
        let request = admin::BrokerConsumeStats { is_order: ordered };
        self.read::<call::GetBrokerConsumeStats, _>(broker, &request, timeout).await
    }

    /// Deletes queue files that point at nothing.
    ///
    /// # Errors
    /// When the broker does not answer or refuses.
    pub async fn clean_expired_queues(&self, broker: &str) -> Result<(), ClientError> {
        let answered = self.call_with::<call::CleanExpiredQueues>(broker, &NoFields, NO_BODY, LONG_CALL_TIMEOUT);
        answered.await.map(drop)
    }

    /// Deletes queues of topics that are no more.
    ///
    /// # Errors
    /// When the broker does not answer or refuses.
    pub async fn clean_unused_topics(&self, broker: &str) -> Result<(), ClientError> {
        let answered = self.call_with::<call::CleanUnusedTopics>(broker, &NoFields, NO_BODY, LONG_CALL_TIMEOUT);
        answered.await.map(drop)
    }

    /// Units of a queue.
    ///
    /// # Errors
    /// When the broker does not answer or has no such queue.
    pub async fn queue_units(
        &self,
        broker: &str,
        request: &QueryConsumeQueue,
    ) -> Result<ConsumeQueueUnits, ClientError> {
        self.read::<call::QueryConsumeQueue, _>(broker, request, CALL_TIMEOUT).await
    }
}
