//! Rounds over the half messages: which have ended, and what to do with the others.
//!
//! A round sees the log up to where it begins. It goes through the queue of half messages in parts, each on a thread that
//! may wait for the disk; between them the producers are asked.

use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::time::Duration;

use bytes::Bytes;
use kerolox_store::{AppendBatch, Appended, ReadError};
use kerolox_wire::command::send::CheckTransactionState;
use kerolox_wire::id::MessageId;
use kerolox_wire::names::{LogOffset, QueueId, QueueOffset, TopicName, groups};
use kerolox_wire::record::{BodyCheck, LateFields, NewRecord, Record};

use super::ask::{Ask, Unasked};
use super::decide::{Limits, Verdict, Why};
use super::ended::Offsets;
use super::figures::{Found, STUCK_CHECKS, earlier};
use super::half::{Half, ended_by};
use super::{half_topic, op_topic};
use crate::node::Node;
use crate::upkeep::{joined, survive};

/// Half messages looked at in one part of a round, and operation messages read at once.
const PART_MAX: usize = 256;
/// Bytes of copies that one part collects.
const PART_BYTES_MAX: usize = 4 << 20;
/// How long a round waits until all that was stored before it can be read.
const DISPATCH_PATIENCE: Duration = Duration::from_secs(10);
/// Time between two looks whether that is so.
const DISPATCH_PAUSE: Duration = Duration::from_millis(5);

/// What is told to fail and to go on.
const ROUND: &str = "checking half messages, by queue";

/// One queue of half messages in one round.
struct Round {
    queue: QueueId,
    limits: Limits,
    /// End of the log when the round began.
    mark: LogOffset,
    /// Next half message to look at, and the end of those that the round sees.
    half: (QueueOffset, QueueOffset),
    /// First operation message that is not settled, and the end of those that the round sees.
    ops: (QueueOffset, QueueOffset),
    ended: Offsets,
    found: Found,
}

/// A half message that is stored anew.
struct Again {
    offset: QueueOffset,
    original: Option<u64>,
    bytes: Bytes,
    verdict: Verdict,
}

/// One part of a round.
#[derive(Default)]
struct Part {
    asks: Vec<Ask>,
    more: bool,
    /// Why the round ends here: the disk failed, and the next round goes on at this place.
    stopped: Option<String>,
}

impl Part {
    fn stop(why: impl Into<String>) -> Self {
        Self { stopped: Some(why.into()), ..Self::default() }
    }
}

impl Node {
    /// Goes over the half messages every `transactionCheckInterval` until the task is ended.
    pub(crate) async fn check_transactions(self: Arc<Self>) {
        loop {
            let interval = u64::try_from(self.config.live.transaction_check_interval_ms()).unwrap_or(60_000);
            tokio::time::sleep(Duration::from_millis(interval)).await;
            let outcome = survive(Arc::clone(&self).check_round()).await;
            self.transactions.endings.lock().since_round = None;
            if let Err(why) = outcome {
                self.transactions.figures.failed_rounds.fetch_add(1, Relaxed);
                tracing::error!(why, "a round over the half messages has panicked; the next one begins anew");
            }
        }
    }

    async fn check_round(self: Arc<Self>) {
        let topic = half_topic();
        let queues = self.topics.get(topic.as_str()).map_or(1, |topic| topic.read_queues.max(1));
        let (mut total, mut open, mut unasked) = (Found::default(), 0, Unasked::default());
        for queue in (0..queues).map(QueueId::new) {
            let Some((_, end)) = self.store.queue_range(&topic, queue) else { continue };
            if self.transaction_offset(&topic, queue) >= Some(end) {
                // No half message has come since the last round.
                continue;
            }
            let Some(mut round) = self.begin_round(queue).await else { break };
            let stopped = loop {
                let node = Arc::clone(&self);
                // Reading and appending may meet the disk, so not on a task that serves sockets.
                let part = tokio::task::spawn_blocking(move || {
                    let part = node.run_part(&mut round);
                    (round, part)
                });
                let Some((back, part)) = joined(part.await) else { return };
                round = back;
                for ask in part.asks {
                    self.ask_producer(ask, &mut unasked).await;
                }
                if !part.more {
                    break part.stopped;
                }
            };
            match stopped {
                Some(why) => drop(self.outages.failed(ROUND, queue.get(), why)),
                None => drop(self.outages.ended(ROUND, queue.get())),
            }
            let behind = round.half.1.distance_from(round.half.0);
            let behind = behind.saturating_sub(round.ended.count_from(round.half.0.get()));
            total.add(round.found);
            open += round.found.asked + round.found.postponed + behind;
        }
        if total.asked + total.postponed + total.given_up > 0 {
            let node = Arc::clone(&self);
            joined(tokio::task::spawn_blocking(move || node.save_round()).await);
        }
        self.note_round(&total, open, &unasked);
    }

    /// Writes down how far all is settled, once the copies that this rests on are durable. A kill before the next save of
    /// offsets would have both the half messages and their copies asked for from then on, and delivered twice.
    fn save_round(&self) {
        match self.store.flush_now() {
            Ok(()) => self.save_offsets(),
            Err(error) => tracing::error!(%error, "how far half messages are settled is not stored"),
        }
    }

    /// Fixes what a round over one queue sees, and reads which half messages have ended.
    async fn begin_round(self: &Arc<Self>, queue: QueueId) -> Option<Round> {
        let mark = {
            let mut endings = self.transactions.endings.lock();
            endings.since_round.get_or_insert_default();
            self.store.end()
        };
        let mut patience = DISPATCH_PATIENCE;
        while self.store.dispatched_end() < mark {
            if patience.is_zero() {
                tracing::warn!("half messages are not checked this time: the queues do not follow the log");
                return None;
            }
            tokio::time::sleep(DISPATCH_PAUSE).await;
            patience = patience.saturating_sub(DISPATCH_PAUSE);
        }
        let live = &self.config.live;
        let now_ms = self.clock.wall_ms();
        let limits = Limits {
            now_ms,
            began_ms: now_ms,
            timeout_ms: live.transaction_timeout_ms(),
            checks_max: live.transaction_check_max(),
            reserved_ms: live.reserved_hours().saturating_mul(3_600_000),
        };
        let mut round = Round {
            queue,
            limits,
            mark,
            half: self.unsettled(&half_topic(), queue),
            ops: self.unsettled(&op_topic(), queue),
            ended: Offsets::default(),
            found: Found::default(),
        };
        let node = Arc::clone(self);
        let read = tokio::task::spawn_blocking(move || node.read_ends(&mut round).map(|()| round));
        match joined(read.await)? {
            Ok(round) => Some(round),
            Err(why) => {
                // Half messages whose end was not read would be asked for although they have ended.
                self.outages.failed(ROUND, queue.get(), why);
                None
            }
        }
    }

    fn transaction_offset(&self, topic: &TopicName, queue: QueueId) -> Option<QueueOffset> {
        self.offsets.get(groups::TRANS, topic.as_str(), queue).and_then(QueueOffset::from_wire)
    }

    /// The part of a queue that is not settled.
    pub(super) fn unsettled(&self, topic: &TopicName, queue: QueueId) -> (QueueOffset, QueueOffset) {
        let (min, max) = self.range_or_empty(topic, queue);
        (self.transaction_offset(topic, queue).unwrap_or(min).clamp(min, max.max(min)), max)
    }

    /// Reads which half messages have ended, without those whose operation message is gone or damaged.
    fn read_ends(&self, round: &mut Round) -> Result<(), ReadError> {
        let topic = op_topic();
        let mut next = round.ops.0;
        while next < round.ops.1 {
            let (first, units) = self.store.units(&topic, round.queue, next, PART_MAX)?;
            if units.is_empty() || self.transactions.stopping.load(Relaxed) {
                break;
            }
            next = first + units.len() as u64;
            for unit in units {
                let bytes = match self.store.record_at(LogOffset::new(unit.log_offset)) {
                    Err(error @ ReadError::Io(_)) => return Err(error),
                    Err(_) => continue,
                    Ok(bytes) => bytes,
                };
                let Ok(record) = Record::parse(&bytes, BodyCheck::Skip) else { continue };
                ended_by(&record).for_each(|half| round.ended.insert(half.get()));
            }
        }
        Ok(())
    }

    /// Goes through the next half messages; stores anew those that are without an end.
    fn run_part(&self, round: &mut Round) -> Part {
        let stopped = self.transactions.stopped.lock();
        if *stopped || self.transactions.stopping.load(Relaxed) {
            return Part::default();
        }
        let topic = half_topic();
        let (mut next, end) = round.half;
        let (first, units) = match self.store.units(&topic, round.queue, next, PART_MAX) {
            Ok(found) => found,
            Err(why) => return Part::stop(why.to_string()),
        };
        next = first.max(next);
        let (mut again, mut bytes, mut more) = (Vec::new(), 0, !units.is_empty());
        let mut stopped = None;
        for unit in units {
            if next >= end || bytes > PART_BYTES_MAX {
                break;
            }
            let offset = next;
            if !round.ended.contains(offset.get()) {
                match self.judge(round, offset, LogOffset::new(unit.log_offset)) {
                    Ok(Some(Again { verdict: Verdict::Later, .. })) => {
                        more = false;
                        break;
                    }
                    Ok(Some(one)) => {
                        bytes += one.bytes.len();
                        again.push(one);
                    }
                    Ok(None) => {}
                    Err(why) => {
                        (more, stopped) = (false, Some(why.to_string()));
                        break;
                    }
                }
            }
            next = next + 1;
        }
        let asks = match self.store_again(round, &again) {
            Ok(asks) => asks,
            Err(why) => return Part::stop(format!("storing half messages anew from {}: {why}", round.half.0)),
        };
        if next > round.half.0 {
            round.half.0 = next;
            self.settle_transactions(&topic, round.queue, next);
        }
        more &= next < end;
        if !more && let Err(why) = self.settle_operations(round) {
            stopped.get_or_insert(why.to_string());
        }
        Part { asks, more, stopped }
    }

    /// What to do with a half message; nothing when it has ended, is gone or is damaged.
    fn judge(&self, round: &mut Round, offset: QueueOffset, at: LogOffset) -> Result<Option<Again>, ReadError> {
        let bytes = match self.store.record_at(at) {
            Ok(bytes) => bytes,
            Err(error @ ReadError::Io(_)) => return Err(error),
            Err(why) => {
                tracing::error!(%offset, %why, "a half message is gone from the log: its transaction is lost");
                round.found.lost += 1;
                return Ok(None);
            }
        };
        let (verdict, original, born_ms) = match Half::parse(&bytes) {
            Ok(half) => (half.facts().verdict(&round.limits), half.original, Some(half.facts().born_ms)),
            Err(why) => {
                tracing::error!(%offset, why, "a half message cannot be used and is given up");
                (Verdict::GiveUp(Why::Unusable), None, None)
            }
        };
        if original.is_some_and(|original| round.ended.contains(original)) {
            return Ok(None);
        }
        if !matches!(verdict, Verdict::GiveUp(_)) {
            round.found.oldest_ms = earlier(round.found.oldest_ms, born_ms);
        }
        Ok(Some(Again { offset, original, bytes, verdict }))
    }

    /// Stores half messages anew, those left out whose end has come meanwhile; returns whom to ask.
    fn store_again(&self, round: &mut Round, again: &[Again]) -> Result<Vec<Ask>, String> {
        if again.is_empty() {
            return Ok(Vec::new());
        }
        let mut batch = self.store.batch();
        let mut stored = Vec::new();
        let appended = {
            // No end can be stored between this look and the append.
            let endings = self.transactions.endings.lock();
            let ended = |offset: u64| endings.since_round.as_ref().is_some_and(|ended| ended.contains(&offset));
            for one in again {
                if ended(one.offset.get()) || one.original.is_some_and(ended) {
                    continue;
                }
                if let Some(verdict) = self.plan_copy(one, &mut batch)? {
                    stored.push((one, verdict));
                }
            }
            self.store.append(&mut batch).map_err(|e| e.to_string())?
        };
        let mut asks = Vec::new();
        for ((one, verdict), at) in stored.into_iter().zip(&appended) {
            match verdict {
                Verdict::Ask(checks) => {
                    round.found.asked += 1;
                    round.found.stuck += u64::from(checks > STUCK_CHECKS);
                    match self.question(one, checks, at) {
                        Ok(ask) => asks.push(ask),
                        Err(why) => tracing::error!(offset = %one.offset, why, "a producer cannot be asked"),
                    }
                }
                Verdict::Postpone => round.found.postponed += 1,
                Verdict::GiveUp(why) => {
                    round.found.given_up += 1;
                    self.transactions.figures.given_up.fetch_add(1, Relaxed);
                    self.warn_given_up(one, why, at);
                }
                Verdict::Later => {}
            }
        }
        Ok(asks)
    }

    /// Adds what becomes of a half message to a batch; returns what that is, or nothing when it cannot be stored at all.
    fn plan_copy(&self, one: &Again, batch: &mut AppendBatch) -> Result<Option<Verdict>, String> {
        let half = Half::parse(&one.bytes);
        let text = match (&half, one.verdict) {
            (Ok(half), Verdict::Ask(checks)) => Some(half.text_with_checks(checks)),
            (Ok(half), Verdict::Postpone) => Some(half.text_postponed()),
            _ => None,
        };
        let record = Record::parse(&one.bytes, BodyCheck::Skip).map_err(|e| e.to_string())?;
        let mut verdict = one.verdict;
        if let Some(text) = text {
            let topic = half_topic();
            let copy = NewRecord::copy_of(&record, topic.as_str(), record.queue_id().get(), &text, self.store_host);
            if batch.push(&self.store.queue(&topic, record.queue_id()), &copy).is_ok() {
                return Ok(Some(verdict));
            }
            // The count of questions has no room left in the record.
            verdict = Verdict::GiveUp(Why::TooLarge);
        }
        let topic = self.given_up_topic().map_err(|refusal| refusal.remark)?;
        let queue = QueueId::new(0);
        let copy = NewRecord::copy_of(&record, topic.as_str(), queue.get(), record.properties(), self.store_host);
        match batch.push(&self.store.queue(&topic, queue), &copy) {
            Ok(_) => Ok(Some(verdict)),
            Err(why) => {
                tracing::error!(offset = %one.offset, %why, "a half message cannot be kept and is dropped");
                Ok(None)
            }
        }
    }

    fn question(&self, one: &Again, checks: i32, at: &Appended) -> Result<Ask, String> {
        let half = Half::parse(&one.bytes)?;
        let log_offset = at.first;
        let late =
            LateFields { queue_offset: at.queue_offset, log_offset, store_timestamp: half.record.store_timestamp() };
        let body = half.question(&half.text_with_checks(checks), &late, self.store_host).map_err(|e| e.to_string())?;
        let key = half.unique_key().map(str::to_owned);
        let header = CheckTransactionState {
            tran_state_table_offset: at.queue_offset.to_wire(),
            commit_log_offset: log_offset.to_wire(),
            msg_id: key.clone(),
            transaction_id: key,
            offset_msg_id: Some(MessageId { host: self.store_host, offset: log_offset }.to_string()),
        };
        Ok(Ask { group: half.group.to_owned(), header, body })
    }

    fn warn_given_up(&self, one: &Again, why: Why, at: &Appended) {
        let id = MessageId { host: self.store_host, offset: at.first }.to_string();
        let half = Half::parse(&one.bytes).ok();
        let (group, topic) = half.as_ref().map_or(("", ""), |half| (half.group, half.topic.as_str()));
        let key = half.as_ref().and_then(Half::unique_key).unwrap_or_default();
        tracing::warn!(
            group,
            topic,
            key,
            ?why,
            message = id,
            "a half message is given up; `mqadmin resumeCheckHalfMessage -i {id}` has it asked for again"
        );
    }

    /// Notes that everything before an offset is settled.
    pub(crate) fn settle_transactions(&self, topic: &TopicName, queue: QueueId, offset: QueueOffset) {
        if let Err(error) = self.offsets.commit(&super::group(), topic, queue, offset.to_wire()) {
            tracing::error!(%error, "how far half messages are settled is not stored; they are checked again");
        }
    }

    /// Passes the operation messages that no half message needs any more, up to the first that one may.
    fn settle_operations(&self, round: &Round) -> Result<(), ReadError> {
        let topic = op_topic();
        // A copy of a postponed message ends by the place of its first one, and the mark of that end is behind the copy.
        let rest = self.store.unit_at(&half_topic(), round.queue, round.half.0)?;
        let needed = rest.map_or(round.mark, |unit| LogOffset::new(unit.log_offset).min(round.mark));
        let (mut next, end) = round.ops;
        'passing: while next < end {
            let (first, units) = self.store.units(&topic, round.queue, next, PART_MAX)?;
            if units.is_empty() {
                break;
            }
            next = first.max(next);
            for unit in units {
                if next >= end || LogOffset::new(unit.log_offset) >= needed || self.is_needed(round, unit.log_offset)? {
                    break 'passing;
                }
                next = next + 1;
            }
        }
        if next > round.ops.0 {
            self.settle_transactions(&topic, round.queue, next);
        }
        Ok(())
    }

    /// Whether an operation message ends a half message that rounds have yet to reach.
    fn is_needed(&self, round: &Round, at: u64) -> Result<bool, ReadError> {
        let bytes = match self.store.record_at(LogOffset::new(at)) {
            Err(error @ ReadError::Io(_)) => return Err(error),
            Err(_) => return Ok(false),
            Ok(bytes) => bytes,
        };
        let Ok(record) = Record::parse(&bytes, BodyCheck::Skip) else { return Ok(false) };
        // One that names a place beyond the end is no mark of ours: its half message would be before it.
        Ok(ended_by(&record).any(|half| half >= round.half.0 && half < round.half.1))
    }

    /// Waits for a part of a round that is under way, and begins no other.
    pub(crate) fn stop_checking(&self) {
        self.transactions.stopping.store(true, SeqCst);
        *self.transactions.stopped.lock() = true;
    }
}
