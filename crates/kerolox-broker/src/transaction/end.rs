//! How transactions end: by a producer's word, and by an operator who has a given-up one asked for again.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use bytes::{Bytes, BytesMut};
use kerolox_net::Peer;
use kerolox_store::{AppendBatch, Durability};
use kerolox_wire::command::admin::ResumeCheckHalf;
use kerolox_wire::command::send::EndTransaction;
use kerolox_wire::frame::Frame;
use kerolox_wire::id::MessageId;
use kerolox_wire::names::{LogOffset, QueueId, TopicName, topics};
use kerolox_wire::properties;
use kerolox_wire::record::{BodyCheck, NewRecord, Record};
use kerolox_wire::reply::{Reply, ReplyTo};
use kerolox_wire::sys_flag::{COMMIT, ROLLBACK};

use super::half::Half;
use super::{ENDED_TAG, half_topic, op_topic};
use crate::node::Node;
use crate::refusal::Refusal;
use crate::send::Target;

/// What a producer says of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Commit,
    RollBack,
}

impl Node {
    /// Ends a transaction, and answers once that is as durable as a send would be.
    pub(crate) fn end_transaction(
        self: &Arc<Self>,
        peer: &Arc<Peer>,
        frame: &Frame,
        asked: &EndTransaction,
        out: &mut BytesMut,
    ) {
        let to = ReplyTo::from(frame);
        match self.try_end(asked) {
            Ok(Some(end)) if self.waits_for_disk() && !to.oneway => self.ended_when_durable(peer, to, end),
            Ok(Some(_)) => Reply::ok().encode(to, out),
            Ok(None) => {
                tracing::debug!(client = %peer.remote(), group = asked.producer_group, key = asked.msg_id,
                    remark = frame.remark.as_deref(), "a producer does not know the outcome yet");
                Reply::ok().with_remark("the transaction stays open; its producer is asked again").encode(to, out);
            }
            Err(refusal) => {
                self.transactions.figures.refused_ends.fetch_add(1, Relaxed);
                tracing::warn!(client = %peer.remote(), group = asked.producer_group, key = asked.msg_id,
                    why = %refusal.remark.escape_debug(), "the end of a transaction is refused");
                Reply::from(refusal).encode(to, out);
            }
        }
    }

    fn ended_when_durable(self: &Arc<Self>, peer: &Arc<Peer>, to: ReplyTo, end: LogOffset) {
        let (node, peer) = (Arc::clone(self), Arc::clone(peer));
        self.store.when_durable(
            end,
            Box::new(move |durability| {
                let reply = match durability {
                    // A late sync is no failure: what is stored stays, and the producer has nothing to do again.
                    Durability::Durable | Durability::TimedOut => Reply::ok(),
                    Durability::Failed => node.not_durable().into(),
                };
                let mut out = BytesMut::new();
                reply.encode(to, &mut out);
                // A closed connection has nobody left to tell.
                let _ = peer.push(out.freeze());
            }),
        );
    }

    /// Returns the log offset that must be durable, or none when the outcome is still unknown.
    fn try_end(&self, asked: &EndTransaction) -> Result<Option<LogOffset>, Refusal> {
        let outcome = match asked.commit_or_rollback {
            0 => return Ok(None),
            COMMIT => Outcome::Commit,
            ROLLBACK => Outcome::RollBack,
            other => {
                return Err(Refusal::error(format!("commitOrRollback is {other}; it is 0, {COMMIT} or {ROLLBACK}")));
            }
        };
        let bytes = self.half_named(asked.commit_log_offset)?;
        let half = check_end(&bytes, asked)?;
        let mut batch = self.store.batch();
        let place = match outcome {
            Outcome::Commit => Some(self.plan_commit(&half, &mut batch)?),
            Outcome::RollBack => None,
        };
        let size = batch.bytes() as u64;
        self.plan_operation(&half, &mut batch)?;
        let end = {
            let mut endings = self.transactions.endings.lock();
            let stored = self.store.append(&mut batch).map_err(|e| Refusal::from(&e))?;
            endings.note(half.record.queue_offset().get());
            stored.last().map(|stored| stored.end)
        };
        match place {
            Some(topic) => {
                self.transactions.figures.committed.fetch_add(1, Relaxed);
                self.stats.topic(&topic).record(1, size);
            }
            None => {
                self.transactions.figures.rolled_back.fetch_add(1, Relaxed);
            }
        }
        Ok(end)
    }

    fn half_named(&self, offset: i64) -> Result<Bytes, Refusal> {
        let found = LogOffset::from_wire(offset).ok_or_else(|| "no log offset is negative".to_owned());
        let found = found.and_then(|offset| self.store.record_named(offset).map_err(|e| e.to_string()));
        found.map_err(|why| {
            Refusal::error(format!("Find prepared transaction message failed: commitLogOffset {offset}: {why}"))
        })
    }

    /// Adds the message made visible to a batch; returns its real topic.
    fn plan_commit(&self, half: &Half<'_>, batch: &mut AppendBatch) -> Result<TopicName, Refusal> {
        let text = half.record.properties();
        let place = Target { topic: half.topic.clone(), queue_id: half.queue_id, properties: text.to_owned() };
        // A half message of another broker may have kept its delay.
        let place = self.delayed_if_asked(place, text)?;
        let queue = self.store.queue(&place.topic, place.queue_id);
        batch.push(&queue, &half.committed(&place, self.store_host))?;
        Ok(half.topic.clone())
    }

    /// Adds the mark that a half message has ended to a batch.
    fn plan_operation(&self, half: &Half<'_>, batch: &mut AppendBatch) -> Result<(), Refusal> {
        let topic = op_topic();
        let queue_id = half.record.queue_id();
        let body = half.record.queue_offset().to_string();
        let mut text = String::new();
        properties::push(&mut text, properties::WAIT, "true");
        properties::push(&mut text, properties::TAGS, ENDED_TAG);
        let record = NewRecord {
            topic: topic.as_str(),
            queue_id: queue_id.get(),
            flag: 0,
            sys_flag: 0,
            born_timestamp: self.clock.wall_ms(),
            born_host: self.store_host,
            store_host: self.store_host,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: body.as_bytes(),
            properties: &text,
        };
        batch.push(&self.store.queue(&topic, queue_id), &record)?;
        Ok(())
    }

    /// Has a half message that was given up asked for again, from the first time on.
    pub(crate) fn resume_check_half(&self, asked: &ResumeCheckHalf) -> Result<Reply, Refusal> {
        let id = MessageId::parse(&asked.msg_id)
            .map_err(|e| Refusal::error(format!("msgId {:?} is no offset message id: {e}", asked.msg_id)))?;
        let bytes = self
            .store
            .record_named(id.offset)
            .map_err(|e| Refusal::error(format!("no message at log offset {}: {e}", id.offset)))?;
        let record = Record::parse(&bytes, BodyCheck::Skip).map_err(|e| Refusal::error(e.to_string()))?;
        if record.topic() != topics::TRANS_CHECK_MAX_TIME {
            return Err(Refusal::error(format!(
                "the message at log offset {} is of topic {}; only those of {} can be asked for again",
                id.offset,
                record.topic(),
                topics::TRANS_CHECK_MAX_TIME
            )));
        }
        self.ensure_transaction_topics()?;
        let text = properties::with(record.properties(), &[(properties::TRANSACTION_CHECK_TIMES, "0")]);
        let (topic, queue) = (half_topic(), QueueId::new(0));
        let mut batch = self.store.batch();
        let again = NewRecord::copy_of(&record, topic.as_str(), queue.get(), &text, self.store_host);
        batch.push(&self.store.queue(&topic, queue), &again)?;
        self.store.append(&mut batch).map_err(|e| Refusal::from(&e))?;
        tracing::info!(message = asked.msg_id, "a half message that was given up is asked for again");
        Ok(Reply::ok())
    }
}

/// Whether a record is the half message that a producer means, and that producer's own.
fn check_end<'b>(bytes: &'b [u8], asked: &EndTransaction) -> Result<Half<'b>, Refusal> {
    let record = Record::parse(bytes, BodyCheck::Skip).map_err(|e| Refusal::error(e.to_string()))?;
    let offset = asked.commit_log_offset;
    if record.topic() != topics::TRANS_HALF {
        return Err(Refusal::error(format!(
            "Find prepared transaction message failed: at commitLogOffset {offset} stands no half message"
        )));
    }
    let half = Half::parse(bytes).map_err(|why| {
        Refusal::error(format!(
            "Find prepared transaction message failed: the one at commitLogOffset {offset} cannot be used: {why}"
        ))
    })?;
    if half.group != asked.producer_group {
        return Err(Refusal::error(format!(
            "The producer group wrong: the half message is not of {}",
            asked.producer_group.escape_debug()
        )));
    }
    let place = half.record.queue_offset().to_wire();
    if place != asked.tran_state_table_offset {
        return Err(Refusal::error(format!(
            "The transaction state table offset wrong: {}, it is {place}",
            asked.tran_state_table_offset
        )));
    }
    let id = asked.transaction_id.as_deref().unwrap_or_default();
    if let Some(key) = half.unique_key().filter(|key| !id.is_empty() && *key != id) {
        return Err(Refusal::error(format!("The transaction id wrong: {}, it is {key}", id.escape_debug())));
    }
    Ok(half)
}

#[cfg(test)]
mod tests {
    use kerolox_wire::names::QueueOffset;
    use kerolox_wire::record::{LateFields, fill_late};

    use super::*;

    fn stored(topic: &str, text: &str) -> Vec<u8> {
        let host = "127.0.0.1:1".parse().unwrap();
        let record = NewRecord {
            topic,
            queue_id: 0,
            flag: 0,
            sys_flag: 0,
            born_timestamp: 1,
            born_host: host,
            store_host: host,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: b"x",
            properties: text,
        };
        let mut bytes = Vec::new();
        record.encode(&mut bytes).unwrap();
        let (queue_offset, log_offset) = (QueueOffset::new(4), LogOffset::new(900));
        fill_late(&mut bytes, &LateFields { queue_offset, log_offset, store_timestamp: 2 });
        bytes
    }

    fn end() -> EndTransaction {
        EndTransaction {
            producer_group: "g".to_owned(),
            tran_state_table_offset: 4,
            commit_log_offset: 900,
            commit_or_rollback: COMMIT,
            from_transaction_check: false,
            msg_id: "K".to_owned(),
            transaction_id: Some("K".to_owned()),
        }
    }

    #[test]
    fn an_end_must_fit_its_half_message() {
        const TEXT: &str = "PGROUP\u{1}g\u{2}REAL_TOPIC\u{1}t\u{2}REAL_QID\u{1}3\u{2}UNIQ_KEY\u{1}K\u{2}";
        let why = |topic: &str, text: &str, asked: EndTransaction| {
            check_end(&stored(topic, text), &asked).map(|half| half.queue_id).map_err(|refusal| refusal.remark)
        };
        assert_eq!(why(topics::TRANS_HALF, TEXT, end()), Ok(QueueId::new(3)));
        for id in [None, Some(String::new())] {
            assert!(why(topics::TRANS_HALF, TEXT, EndTransaction { transaction_id: id, ..end() }).is_ok());
        }
        let forged = |change: fn(&mut EndTransaction)| {
            let mut asked = end();
            change(&mut asked);
            why(topics::TRANS_HALF, TEXT, asked).unwrap_err()
        };
        assert_eq!(forged(|a| a.producer_group = "h".into()), "The producer group wrong: the half message is not of h");
        assert_eq!(forged(|a| a.tran_state_table_offset = 5), "The transaction state table offset wrong: 5, it is 4");
        assert_eq!(forged(|a| a.transaction_id = Some("L".into())), "The transaction id wrong: L, it is K");
        // A message that was committed before still has the properties of its half.
        let again = why("t", TEXT, end()).unwrap_err();
        assert!(again.starts_with("Find prepared transaction message failed: at commitLogOffset 900 stands no"));
        for (text, lacks) in [
            ("REAL_TOPIC\u{1}t\u{2}REAL_QID\u{1}3\u{2}", "it lacks the property PGROUP"),
            ("PGROUP\u{1}g\u{2}REAL_QID\u{1}3\u{2}", "it lacks the property REAL_TOPIC"),
            ("PGROUP\u{1}g\u{2}REAL_TOPIC\u{1}t\u{2}REAL_QID\u{1}-3\u{2}", "it lacks the property REAL_QID"),
            ("PGROUP\u{1}g\u{2}REAL_TOPIC\u{1}../t\u{2}REAL_QID\u{1}3\u{2}", "topic"),
        ] {
            let why = why(topics::TRANS_HALF, text, end()).unwrap_err();
            assert!(why.contains(lacks), "{why}");
        }
    }
}
