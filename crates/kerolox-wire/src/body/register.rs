//! A broker's registration with a name server, in its three forms.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    BodyError, DataVersion, Style, TopicConfig, TopicConfigTable, TopicFilterType, Unreadable, from_json, to_json,
};
use crate::compress;
use crate::cursor::Cursor;

/// Most bytes that a compressed registration may inflate to: about 600,000 topics.
pub const REGISTER_BODY_SIZE_MAX: usize = 64 * 1024 * 1024;

/// Version from which the body carries more than topics.
const VERSION_WITH_WRAPPER: i32 = 37;

/// What a broker registers.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RegisterBrokerBody {
    /// Filter servers; none today.
    pub filter_server_list: Vec<String>,
    /// Its topics.
    pub topic_config_serialize_wrapper: TopicConfigTable,
}

impl RegisterBrokerBody {
    /// Reads the body of a registration; `version` is that of the request. An empty body registers no topics.
    ///
    /// # Errors
    /// When it is none of the three forms, or inflates to more than [`REGISTER_BODY_SIZE_MAX`].
    pub fn decode(body: &[u8], compressed: bool, version: i32) -> Result<Self, BodyError> {
        if body.is_empty() {
            return Ok(Self::default());
        }
        if version < VERSION_WITH_WRAPPER {
            let topic_config_serialize_wrapper = from_json(body)?;
            return Ok(Self { topic_config_serialize_wrapper, ..Self::default() });
        }
        if !compressed {
            return from_json(body);
        }
        Self::decode_compressed(body, REGISTER_BODY_SIZE_MAX)
    }

    fn decode_compressed(body: &[u8], limit: usize) -> Result<Self, BodyError> {
        let plain = compress::inflate(body, limit).map_err(|error| BodyError::new(0, error))?;
        Self::sections(&plain)
    }

    /// The body as JSON.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        to_json(self, Style::Fastjson)
    }

    /// The body in the compressed form, which loses the topics' order and system flags.
    ///
    /// # Panics
    /// When a part is larger than 2 GiB.
    #[must_use]
    pub fn encode_compressed(&self) -> Vec<u8> {
        let table = &self.topic_config_serialize_wrapper;
        let mut plain = Vec::new();
        push_block(&mut plain, &to_json(&table.data_version, Style::Fastjson));
        // A name with a blank cannot be told in this form; a name server of RocketMQ refuses the whole for one.
        let topics = || table.topic_config_table.values().filter(|topic| !topic.topic_name.contains(' '));
        push_count(&mut plain, topics().count());
        for topic in topics() {
            push_block(&mut plain, topic_line(topic).as_bytes());
        }
        push_block(&mut plain, &to_json(&self.filter_server_list, Style::Fastjson));
        compress::deflate(&plain, compress::LEVEL_BEST)
    }

    /// Version, topics, filter servers; what 5.x adds behind them is not looked at.
    fn sections(plain: &[u8]) -> Result<Self, BodyError> {
        let mut cursor = Cursor::new(plain);
        let wrong = |cursor: &Cursor<'_>, why: &str| BodyError::new(plain.len() - cursor.rest().len(), why);
        let version = cursor.block32().ok_or_else(|| wrong(&cursor, "the version is cut"))?;
        let data_version: DataVersion = from_json(version)?;
        let count = cursor.i32().ok_or_else(|| wrong(&cursor, "the count of topics is cut"))?;
        let mut topics = BTreeMap::new();
        let mut unreadable = Vec::new();
        // A count has no weight of its own: it ends with the bytes.
        for _ in 0..count {
            let line = cursor.block32().ok_or_else(|| wrong(&cursor, "a topic is cut"))?;
            let line = String::from_utf8_lossy(line);
            match topic_from_line(&line) {
                Some(topic) => drop(topics.insert(topic.topic_name.clone(), topic)),
                None => unreadable.push(Unreadable {
                    key: line.split(' ').next().unwrap_or_default().to_owned(),
                    text: line.into_owned(),
                    why: "an unreadable topic".to_owned(),
                }),
            }
        }
        let filter_servers = cursor.block32().ok_or_else(|| wrong(&cursor, "the filter servers are cut"))?;
        Ok(Self {
            // As the reference does: an unreadable list is no reason to refuse a broker.
            filter_server_list: from_json(filter_servers).unwrap_or_default(),
            topic_config_serialize_wrapper: TopicConfigTable { data_version, topic_config_table: topics, unreadable },
        })
    }
}

fn topic_line(topic: &TopicConfig) -> String {
    let filter = topic.topic_filter_type.name().unwrap_or("SINGLE_TAG");
    let TopicConfig { topic_name, read_queue_nums, write_queue_nums, perm, .. } = topic;
    format!("{topic_name} {read_queue_nums} {write_queue_nums} {perm} {filter}")
}

/// `name read write perm filter`; 5.x adds attributes, whose text may hold blanks.
fn topic_from_line(line: &str) -> Option<TopicConfig> {
    let mut parts = line.splitn(6, ' ');
    let topic_name = parts.next().filter(|name| !name.is_empty())?.to_owned();
    let mut number = || parts.next()?.parse().ok();
    let (read_queue_nums, write_queue_nums, perm) = (number()?, number()?, number()?);
    let topic_filter_type = TopicFilterType::from_name(parts.next()?);
    if topic_filter_type == TopicFilterType::Unset {
        return None;
    }
    let attributes = parts.next().and_then(|text| from_json(text.as_bytes()).ok()).unwrap_or_default();
    let rest = TopicConfig::default();
    Some(TopicConfig { attributes, perm, read_queue_nums, topic_filter_type, topic_name, write_queue_nums, ..rest })
}

fn push_count(out: &mut Vec<u8>, count: usize) {
    let count = i32::try_from(count).expect("a registration stays far below 2 GiB");
    out.extend_from_slice(&count.to_be_bytes());
}

fn push_block(out: &mut Vec<u8>, block: &[u8]) {
    push_count(out, block.len());
    out.extend_from_slice(block);
}

#[cfg(test)]
mod tests;
