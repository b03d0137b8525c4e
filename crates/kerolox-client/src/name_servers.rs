//! Keys, settings and write permission at the name servers.

use std::collections::BTreeMap;

use kerolox_wire::body::KvTable;
use kerolox_wire::command::name_server::{BrokerName, KvNamespace, KvRef, PutKv, TopicText};
use kerolox_wire::command::{Call, NoFields, call};
use kerolox_wire::response::ResponseCode;

use serde::Serialize;

use crate::client::{CALL_TIMEOUT, malformed};
use crate::route::MASTER_ID;
use crate::{Client, ClientError};

/// Namespace of the order configurations of topics.
pub const ORDER_NAMESPACE: &str = "ORDER_TOPIC_CONFIG";

/// Namespace in which a name server of Kerolox tells of topics that were asked for in vain.
const MISSING_NAMESPACE: &str = "KEROLOX_MISSING_TOPICS";
/// Begin of the figures in which a broker of Kerolox tells of topics that were sent to in vain.
pub(crate) const MISSING_FIGURE: &str = "missingTopic_";

/// A topic that is not there although clients want it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MissingTopic {
    /// Its name.
    pub topic: String,
    /// How often it was wanted.
    pub count: u64,
    /// When the last time was, ms since 1970.
    pub last_ms: i64,
    /// Who wanted it then: an address.
    pub client: String,
    /// The producer group, where a broker knows it.
    pub group: Option<String>,
    /// The node that tells.
    pub told_by: String,
}

impl MissingTopic {
    /// Reads `count last-ms client [group]`.
    pub(crate) fn read(topic: &str, text: &str, told_by: &str) -> Option<Self> {
        let mut words = text.splitn(4, ' ');
        Some(Self {
            topic: topic.to_owned(),
            count: words.next()?.parse().ok()?,
            last_ms: words.next()?.parse().ok()?,
            client: words.next()?.to_owned(),
            group: words.next().map(str::to_owned),
            told_by: told_by.to_owned(),
        })
    }
}

impl Client {
    /// Sends a request to every name server, because they do not talk to each other.
    ///
    /// # Errors
    /// What the first one met that did not do it.
    async fn tell_all<C: Call>(&self, request: &C::Request) -> Result<(), ClientError> {
        if self.name_servers().is_empty() {
            return Err(ClientError::NoNameServer);
        }
        for address in self.name_servers() {
            self.call::<C>(address, request).await?;
        }
        Ok(())
    }

    /// Sets a key at every name server.
    ///
    /// # Errors
    /// When one did not take it.
    pub async fn put_kv(&self, namespace: &str, key: &str, value: &str) -> Result<(), ClientError> {
        let request = PutKv { namespace: namespace.to_owned(), key: key.to_owned(), value: value.to_owned() };
        self.tell_all::<call::PutKv>(&request).await
    }

    /// Deletes a key at every name server.
    ///
    /// # Errors
    /// When one did not do it.
    pub async fn delete_kv(&self, namespace: &str, key: &str) -> Result<(), ClientError> {
        self.tell_all::<call::DeleteKv>(&KvRef { namespace: namespace.to_owned(), key: key.to_owned() }).await
    }

    /// The value of a key.
    ///
    /// # Errors
    /// Code 22 when it is not set.
    pub async fn get_kv(&self, namespace: &str, key: &str) -> Result<String, ClientError> {
        let request = KvRef { namespace: namespace.to_owned(), key: key.to_owned() };
        let (_, answer) = self.ask::<call::GetKv>(&request).await?;
        Ok(answer.header.value.unwrap_or_default())
    }

    /// All keys of a namespace.
    ///
    /// # Errors
    /// Code 22 when there are none.
    pub async fn kv_list(&self, namespace: &str) -> Result<KvTable, ClientError> {
        self.ask_for::<call::GetKvList, _>(&KvNamespace { namespace: namespace.to_owned() }).await
    }

    /// Topics that clients asked a name server for, or sent to, and that are not there. Only Kerolox tells; others are
    /// passed over.
    pub async fn missing_topics(&self) -> Vec<MissingTopic> {
        let mut missing = Vec::new();
        let list = KvNamespace { namespace: MISSING_NAMESPACE.to_owned() };
        for address in self.name_servers() {
            let told = self.read::<call::GetKvList, KvTable>(address, &list, CALL_TIMEOUT).await;
            let told = told.map(|told| told.table).unwrap_or_default();
            missing.extend(told.iter().filter_map(|(topic, text)| MissingTopic::read(topic, text, address)));
        }
        let info = self.cluster_info().await.unwrap_or_default();
        for (name, broker) in &info.broker_addr_table {
            let Some(address) = broker.broker_addrs.get(&MASTER_ID) else { continue };
            let figures = self.runtime_info(address).await.unwrap_or_default();
            missing.extend(
                figures
                    .iter()
                    .filter_map(|(key, text)| MissingTopic::read(key.strip_prefix(MISSING_FIGURE)?, text, name)),
            );
        }
        missing.sort_by(|a, b| (b.last_ms, &a.topic).cmp(&(a.last_ms, &b.topic)));
        missing
    }

    /// Writes the part of one broker into a topic's order configuration and leaves those of others.
    ///
    /// # Errors
    /// When a name server does not take it.
    pub async fn merge_order_conf(&self, topic: &str, broker_name: &str, queues: i32) -> Result<(), ClientError> {
        let old = match self.get_kv(ORDER_NAMESPACE, topic).await {
            Ok(old) => old,
            Err(why) if why.is(ResponseCode::QUERY_NOT_FOUND) => String::new(),
            Err(why) => return Err(why),
        };
        self.put_kv(ORDER_NAMESPACE, topic, &merged_order(&old, broker_name, queues)).await
    }

    /// Makes every name server forget the routes of a topic.
    ///
    /// # Errors
    /// When one did not do it.
    pub async fn delete_topic_routes(&self, topic: &str) -> Result<(), ClientError> {
        self.tell_all::<call::DeleteTopicRoutes>(&TopicText { topic: topic.to_owned() }).await
    }

    /// Takes the write permission off all topics of a broker, at one name server; says off how many.
    ///
    /// # Errors
    /// When it does not answer or refuses.
    pub async fn wipe_write_perm(&self, name_server: &str, broker_name: &str) -> Result<i32, ClientError> {
        let request = BrokerName { broker_name: broker_name.to_owned() };
        Ok(self.call::<call::WipeWritePerm>(name_server, &request).await?.header.wipe_topic_count)
    }

    /// Gives it back; says to how many.
    ///
    /// # Errors
    /// When it does not answer or refuses.
    pub async fn add_write_perm(&self, name_server: &str, broker_name: &str) -> Result<i32, ClientError> {
        let request = BrokerName { broker_name: broker_name.to_owned() };
        Ok(self.call::<call::AddWritePerm>(name_server, &request).await?.header.add_topic_count)
    }

    /// All settings of one name server.
    ///
    /// # Errors
    /// When it does not answer or refuses.
    pub async fn name_server_config(&self, name_server: &str) -> Result<BTreeMap<String, String>, ClientError> {
        let answer = self.call::<call::GetNamesrvConfig>(name_server, &NoFields).await?;
        settings::<call::GetNamesrvConfig>(name_server, &answer.body)
    }

    /// Changes a setting at every name server.
    ///
    /// # Errors
    /// When one does not take it.
    pub async fn set_name_server_config(&self, key: &str, value: &str) -> Result<(), ClientError> {
        if self.name_servers().is_empty() {
            return Err(ClientError::NoNameServer);
        }
        for address in self.name_servers() {
            let body = setting(key, value).into();
            self.call_with::<call::UpdateNamesrvConfig>(address, &NoFields, body, CALL_TIMEOUT).await?;
        }
        Ok(())
    }
}

fn merged_order(old: &str, broker_name: &str, queues: i32) -> String {
    let mut parts: BTreeMap<&str, String> = BTreeMap::new();
    for part in old.split(';').filter(|part| !part.trim().is_empty()) {
        parts.insert(part.split(':').next().unwrap_or(part), part.to_owned());
    }
    parts.insert(broker_name, format!("{broker_name}:{queues}"));
    parts.into_values().collect::<Vec<_>>().join(";")
}

/// The line that changes one setting. Readers split it as Java properties, so a backslash must be doubled.
pub(crate) fn setting(key: &str, value: &str) -> String {
    let escaped = value.replace('\\', "\\\\").replace('\n', "\\n");
    format!("{key}={escaped}\n")
}

/// Reads `key=value` lines.
pub(crate) fn settings<C: Call>(address: &str, body: &[u8]) -> Result<BTreeMap<String, String>, ClientError> {
    let text = std::str::from_utf8(body).map_err(|why| malformed::<C>(address, &why))?;
    let lines = text.lines().map(str::trim_end).filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
    Ok(lines
        .map(|line| match line.split_once('=') {
            Some((key, value)) => (key.trim().to_owned(), value.trim_start().to_owned()),
            None => (line.trim().to_owned(), String::new()),
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_broker_of_an_order_configuration_is_replaced() {
        assert_eq!(merged_order("", "a", 8), "a:8");
        assert_eq!(merged_order("b:4;a:2", "a", 8), "a:8;b:4");
        assert_eq!(merged_order("b:4;", "c", 1), "b:4;c:1");
    }

    #[test]
    fn settings_are_lines_of_key_and_value() {
        let read = settings::<call::GetNamesrvConfig>("a:1", b"# note\nlistenPort=9876\npath=a=b\nempty=\n").unwrap();
        assert_eq!(read["listenPort"], "9876");
        assert_eq!(read["path"], "a=b");
        assert_eq!(read["empty"], "");
        assert_eq!(setting("k", "a\\b"), "k=a\\\\b\n");
    }
}
