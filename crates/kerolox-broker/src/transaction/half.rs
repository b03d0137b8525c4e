//! Half messages as they are stored, and the records that are made of them.

use std::net::SocketAddr;

use bytes::Bytes;
use kerolox_wire::names::{QueueId, QueueOffset, TopicName};
use kerolox_wire::properties;
use kerolox_wire::record::{BodyCheck, LateFields, NewRecord, Record, RecordError, fill_late};
use kerolox_wire::sys_flag::{self, Transaction};

use super::decide::Facts;
use crate::topic::Topics;

/// A half message, or a copy that replaces it.
pub(super) struct Half<'b> {
    pub(super) record: Record<'b>,
    /// Group that can tell its outcome.
    pub(super) group: &'b str,
    /// Where it goes when it is committed.
    pub(super) topic: TopicName,
    pub(super) queue_id: QueueId,
    /// Queue offset under which its producer knows it, when it is a copy made because nobody may ask yet.
    pub(super) original: Option<u64>,
    checks: Option<&'b str>,
    immunity: Option<&'b str>,
}

impl<'b> Half<'b> {
    /// Reads a record of the half topic.
    ///
    /// # Errors
    /// When nobody could be asked or the message has no place to go to: the reason.
    pub(super) fn parse(bytes: &'b [u8]) -> Result<Self, String> {
        let record = Record::parse(bytes, BodyCheck::Skip).map_err(|e| e.to_string())?;
        let names = [
            properties::PGROUP,
            properties::REAL_TOPIC,
            properties::REAL_QID,
            properties::TRAN_PREPARED_QUEUE_OFFSET,
            properties::TRANSACTION_CHECK_TIMES,
            properties::CHECK_IMMUNITY_TIME_IN_SECONDS,
        ];
        let [group, topic, queue, original, checks, immunity] = properties::find_each(record.properties(), names);
        let lacks = |name: &str| format!("it lacks the property {name}");
        let topic = topic.ok_or_else(|| lacks(properties::REAL_TOPIC))?;
        if Topics::forbidden_to_send(topic) {
            return Err(format!("it is for topic {topic}, which takes no messages"));
        }
        Ok(Self {
            group: group.ok_or_else(|| lacks(properties::PGROUP))?,
            topic: TopicName::parse(topic).map_err(|e| e.to_string())?,
            queue_id: queue
                .and_then(|id| id.parse().ok())
                .and_then(QueueId::from_wire)
                .ok_or_else(|| lacks(properties::REAL_QID))?,
            original: original.and_then(|offset| offset.parse().ok()),
            checks,
            immunity,
            record,
        })
    }

    /// What decides what to do with it.
    pub(super) fn facts(&self) -> Facts {
        Facts {
            born_ms: self.record.born_timestamp(),
            stored_ms: self.record.store_timestamp(),
            checks: self.checks.map(|times| times.trim().parse().unwrap_or(0)),
            immunity_s: self.immunity.map(|seconds| seconds.trim().parse().unwrap_or(-1)),
        }
    }

    /// What its client calls it.
    pub(super) fn unique_key(&self) -> Option<&'b str> {
        properties::find(self.record.properties(), properties::UNIQ_KEY)
    }

    /// Its properties after one more question.
    pub(super) fn text_with_checks(&self, checks: i32) -> String {
        let times = checks.to_string();
        properties::with(self.record.properties(), &[(properties::TRANSACTION_CHECK_TIMES, &times)])
    }

    /// Its properties in a copy under whose place its producer does not know it.
    pub(super) fn text_postponed(&self) -> String {
        let original = self.original.unwrap_or(self.record.queue_offset().get()).to_string();
        properties::with(self.record.properties(), &[(properties::TRAN_PREPARED_QUEUE_OFFSET, &original)])
    }

    /// The message made visible. As in 4.7.1 its text keeps `TRAN_MSG`, `REAL_TOPIC` and `REAL_QID`.
    pub(super) fn committed<'r>(&'r self, place: &'r crate::send::Target, store_host: SocketAddr) -> NewRecord<'r> {
        NewRecord {
            topic: place.topic.as_str(),
            queue_id: place.queue_id.get(),
            sys_flag: sys_flag::with_transaction(self.record.sys_flag(), Transaction::Commit),
            prepared_transaction_offset: self.record.log_offset().to_wire(),
            properties: &place.properties,
            ..NewRecord::copy_of(&self.record, "", 0, "", store_host)
        }
    }

    /// The body of the question for its outcome: the message as it was sent, at the place of its copy.
    pub(super) fn question(&self, text: &str, late: &LateFields, store_host: SocketAddr) -> Result<Bytes, RecordError> {
        let record = NewRecord::copy_of(&self.record, self.topic.as_str(), self.queue_id.get(), text, store_host);
        let mut bytes = Vec::with_capacity(record.encoded_len());
        record.encode(&mut bytes)?;
        fill_late(&mut bytes, late);
        Ok(bytes.into())
    }
}

/// The half messages that an operation message declares ended: one in 4.7.1, several joined by commas in 5.x.
pub(super) fn ended_by(record: &Record<'_>) -> impl Iterator<Item = QueueOffset> {
    let tagged = properties::find(record.properties(), properties::TAGS) == Some(super::ENDED_TAG);
    let text = if tagged { std::str::from_utf8(record.body()).unwrap_or_default() } else { "" };
    text.split(',').filter_map(|offset| offset.trim().parse().ok()).filter_map(QueueOffset::from_wire)
}
