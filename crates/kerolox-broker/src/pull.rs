//! Pulls: checks, one read of the queue, and the answer, or the wait for it.

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};
use std::time::Duration;

use bytes::BytesMut;
use kerolox_net::Peer;
use kerolox_store::{ReadLimits, ReadResult, ReadStatus, Verdict};
use kerolox_wire::body::{EXPRESSION_SQL92, MessageModel};
use kerolox_wire::command::pull::{PullMessage, PullResult};
use kerolox_wire::frame::Frame;
use kerolox_wire::names::{QueueId, RETRY_PREFIX, TopicName};
use kerolox_wire::properties;
use kerolox_wire::record::{BodyCheck, Record};
use kerolox_wire::reply::{Reply, ReplyTo};
use kerolox_wire::response::ResponseCode;
use kerolox_wire::sys_flag::pull as flags;

use crate::filter::Filter;
use crate::hold::{HOLD_TIME_MAX, HeldPull};
use crate::node::Node;
use crate::refusal::Refusal;
use crate::registry::Subscription;

/// Most messages of one pull, whatever the client asks.
const PULL_MESSAGES_MAX: usize = 1024;

/// A pull that may be served.
struct Checked {
    queue: QueueId,
    subscription: Arc<Subscription>,
    /// What it filters by when that is not tags.
    filter: Option<Arc<Filter>>,
}

/// What became of a pull that was to wait.
enum Parked {
    /// It waits.
    Held,
    /// No more can wait.
    Full(Box<HeldPull>),
    /// Messages came before it could.
    Missed(Box<HeldPull>),
}

impl Node {
    /// Answers a pull, or holds it until messages arrive.
    pub(crate) fn pull(self: &Arc<Self>, peer: &Arc<Peer>, frame: &Frame, pull: PullMessage, out: &mut BytesMut) {
        let to = ReplyTo::from(frame);
        let before = self.now();
        let checked = match self.check_pull(&pull) {
            Ok(checked) => checked,
            Err(refusal) => {
                self.refused("pull", peer, &refusal);
                self.catch_up_on_subscription(peer, &pull.consumer_group, refusal.code);
                return Reply::from(refusal).encode(to, out);
            }
        };
        let read = self.read_for(&pull, &checked);
        if pull.sys_flag & flags::COMMIT_OFFSET != 0 {
            self.commit_with_pull(&pull, checked.queue);
        }
        if response_code(&read, &pull) == ResponseCode::PULL_NOT_FOUND && pull.sys_flag & flags::SUSPEND != 0 {
            let until = before + self.hold_time(&pull);
            let held = HeldPull { peer: Arc::clone(peer), to, pull, subscription: checked.subscription, until };
            if let Some(refused) = self.hold(held, checked.queue) {
                self.answer_now(&refused, out);
            }
        } else {
            self.pulled(peer, before, &pull, read).encode(to, out);
            self.stats.pull_took(self.now().saturating_sub(before));
        }
    }

    /// Answers pulls that have waited and whose time has come, or to which messages have come. What a filter by
    /// properties leaves out entirely does not end the wait, since only the read can tell.
    pub(crate) fn answer_held(&self, held: Vec<HeldPull>) {
        for waiting in held {
            let Some(due) = self.wait_on(waiting) else { continue };
            let mut out = BytesMut::new();
            self.answer_now(&due, &mut out);
            // A closed connection has nobody left to tell.
            let _ = due.peer.push(out.freeze());
        }
    }

    /// Holds a pull again as long as its filter leaves out whatever came; gives back what is to be answered.
    fn wait_on(&self, mut waiting: HeldPull) -> Option<HeldPull> {
        loop {
            let Ok(checked) = self.check_pull(&waiting.pull) else { return Some(waiting) };
            if checked.filter.is_none() || self.now() >= waiting.until {
                return Some(waiting);
            }
            let read = self.read_for(&waiting.pull, &checked);
            if read.status != ReadStatus::NoMatchedMessage || read.next < read.max {
                return Some(waiting);
            }
            waiting.pull.queue_offset = read.next.to_wire();
            match self.park(waiting, checked.queue) {
                Parked::Held => return None,
                Parked::Full(refused) => return Some(*refused),
                Parked::Missed(missed) => waiting = *missed,
            }
        }
    }

    fn answer_now(&self, waiting: &HeldPull, out: &mut BytesMut) {
        let began = self.now();
        let reply = match self.check_pull(&waiting.pull) {
            Ok(checked) => {
                let read = self.read_for(&waiting.pull, &checked);
                self.pulled(&waiting.peer, began, &waiting.pull, read)
            }
            Err(refusal) => Reply::from(refusal),
        };
        reply.encode(waiting.to, out);
    }

    fn hold_time(&self, pull: &PullMessage) -> Duration {
        let live = &self.config.live;
        let asked = if live.long_polling() { pull.suspend_timeout_millis } else { live.short_polling_ms() };
        Duration::from_millis(u64::try_from(asked).unwrap_or(0)).min(HOLD_TIME_MAX)
    }

    /// Holds a pull; gives it back when no more can be held.
    fn hold(&self, held: HeldPull, queue: QueueId) -> Option<Box<HeldPull>> {
        match self.park(held, queue) {
            Parked::Held => {}
            Parked::Full(refused) => return Some(refused),
            Parked::Missed(missed) => self.answer_held(vec![*missed]),
        }
        None
    }

    /// Has a pull wait, unless messages have come meanwhile.
    fn park(&self, held: HeldPull, queue: QueueId) -> Parked {
        let (topic, from, until) = (held.pull.topic.clone(), held.pull.queue_offset, held.until);
        let mut holds = self.holds.lock();
        let first = holds.next_deadline().is_none_or(|next| until < next);
        let id = match holds.park(held, queue) {
            Ok(id) => id,
            Err(refused) => return Parked::Full(refused),
        };
        self.held.store(holds.len(), Ordering::SeqCst);
        self.was_awaited.store(true, Ordering::Relaxed);
        // A message that became visible between the read and the park has woken nobody. The fence has its partner in
        // the dispatch thread, between the publication of a queue's end and the look at `held`: if the message is not
        // seen here, the pull is seen there.
        fence(Ordering::SeqCst);
        let arrived = self.store.queue_range(&topic, queue).is_some_and(|(_, max)| max.to_wire() > from);
        let missed = if arrived { holds.take(id) } else { None };
        // A connection that closed while it was served has given up its holds before this one.
        if missed.is_none() && !holds.is_open(id) {
            holds.take(id);
        }
        self.held.store(holds.len(), Ordering::SeqCst);
        drop(holds);
        if let Some(missed) = missed {
            return Parked::Missed(Box::new(missed));
        }
        if first {
            self.earlier_deadline.notify_one();
        }
        Parked::Held
    }

    fn check_pull(&self, pull: &PullMessage) -> Result<Checked, Refusal> {
        if !self.permission().readable() {
            return Err(Refusal::no_permission(format!(
                "the broker[{}] pulling message is forbidden",
                self.config.advertised
            )));
        }
        let group = self.group_or_create(&pull.consumer_group)?;
        if !group.consume_enable {
            return Err(Refusal::no_permission(format!("subscription group no permission, {}", pull.consumer_group)));
        }
        let topic =
            self.topics.get(pull.topic.as_str()).ok_or_else(|| Refusal::topic_not_exist(pull.topic.as_str()))?;
        if !topic.perm.readable() {
            return Err(Refusal::no_permission(format!("the topic[{}] pulling message is forbidden", pull.topic)));
        }
        let queue = match QueueId::from_wire(pull.queue_id) {
            Some(id) if id.get() < topic.read_queues => id,
            _ => {
                return Err(Refusal::error(format!(
                    "queueId[{}] is illegal, topic:[{}] topicConfig.readQueueNums:[{}]",
                    pull.queue_id, pull.topic, topic.read_queues
                )));
            }
        };
        let subscription = self.subscription_of(pull, group.consume_broadcast_enable)?;
        let filter = if subscription.is_tag() { None } else { Some(self.filter_of(pull, &subscription)?) };
        Ok(Checked { queue, subscription, filter })
    }

    /// What a subscription that is not about tags filters by: its own expression, or the group's.
    fn filter_of(&self, pull: &PullMessage, subscription: &Subscription) -> Result<Arc<Filter>, Refusal> {
        if pull.sys_flag & flags::SUBSCRIPTION != 0 {
            self.filters_by(subscription)?;
            return self.filters.read(subscription.expression()).map_err(|e| parse_failed(&e));
        }
        let (group, topic) = (pull.consumer_group.as_str(), pull.topic.as_str());
        let Some((filter, version)) = self.filters.get(group, topic) else {
            return Err(Refusal::new(
                ResponseCode::FILTER_DATA_NOT_EXIST,
                "The broker's consumer filter data is not exist!Your expression may be wrong!",
            ));
        };
        if version < pull.sub_version {
            let why = "the consumer's consumer filter data not latest";
            return Err(Refusal::new(ResponseCode::FILTER_DATA_NOT_LATEST, why));
        }
        self.filters_by(subscription)?;
        Ok(filter)
    }

    /// Refuses languages that are unknown or switched off.
    pub(crate) fn filters_by(&self, subscription: &Subscription) -> Result<(), Refusal> {
        let language = subscription.language();
        if language == EXPRESSION_SQL92 && self.config.live.property_filter() {
            return Ok(());
        }
        Err(Refusal::error(format!("The broker does not support consumer to filter message by {language}")))
    }

    fn subscription_of(&self, pull: &PullMessage, broadcast: bool) -> Result<Arc<Subscription>, Refusal> {
        if pull.sys_flag & flags::SUBSCRIPTION != 0 {
            let parsed = Subscription::parse(
                &pull.topic,
                pull.subscription.as_deref(),
                pull.expression_type.as_deref(),
                pull.sub_version,
            );
            return parsed.map(Arc::new).map_err(|e| parse_failed(&e));
        }
        let missing = |remark: &str| Refusal::new(ResponseCode::SUBSCRIPTION_NOT_EXIST, remark);
        let group = self
            .clients
            .group(pull.consumer_group.as_str())
            .ok_or_else(|| missing("the consumer's group info not exist"))?;
        if !broadcast && group.message_model == MessageModel::Broadcasting {
            return Err(Refusal::no_permission(format!(
                "the consumer group[{}] can not consume by broadcast way",
                pull.consumer_group
            )));
        }
        let subscription =
            group.subscriptions.get(&pull.topic).ok_or_else(|| missing("the consumer's subscription not exist"))?;
        if subscription.version < pull.sub_version {
            return Err(Refusal::new(ResponseCode::SUBSCRIPTION_NOT_LATEST, "the consumer's subscription not latest"));
        }
        Ok(Arc::clone(subscription))
    }

    fn read_for(&self, pull: &PullMessage, checked: &Checked) -> ReadResult {
        let wanted = usize::try_from(pull.max_msg_nums).unwrap_or(0).min(PULL_MESSAGES_MAX);
        let verdict = |keep: bool| if keep { Verdict::Keep } else { Verdict::Skip };
        let tags = &checked.subscription.tags;
        let by_tags = |tags_code| verdict(tags.matches(tags_code));
        let limits = ReadLimits { max_count: wanted, by_tags: Some(&by_tags) };
        let read = |by_record: &dyn Fn(i64, &[u8]) -> Verdict| {
            self.store.read(&pull.topic, checked.queue, pull.queue_offset, limits, by_record)
        };
        if pull.topic.is_retry() && self.config.live.filter_retry() {
            return read(&|_, record| verdict(self.passes_again(&pull.topic, record)));
        }
        match &checked.filter {
            None => read(&|_, _| Verdict::Keep),
            Some(filter) => read(&|_, record| verdict(with_properties(record, |text| filter.passes(text)))),
        }
    }

    /// Whether a message to be tried again passes the filter that the group has for the topic it came from.
    fn passes_again(&self, retry: &TopicName, record: &[u8]) -> bool {
        let group = retry.as_str().strip_prefix(RETRY_PREFIX).unwrap_or_default();
        with_properties(record, |text| {
            let origin = properties::find(text, properties::RETRY_TOPIC);
            let filter = origin.and_then(|topic| self.filters.get(group, topic));
            filter.is_none_or(|(filter, _)| filter.passes(text))
        })
    }

    fn commit_with_pull(&self, pull: &PullMessage, queue: QueueId) {
        let committed = self.offsets.commit(&pull.consumer_group, &pull.topic, queue, pull.commit_offset);
        if let Err(error) = committed {
            tracing::warn!(%error, group = %pull.consumer_group, topic = %pull.topic, "offset not stored");
        }
    }

    fn pulled(&self, peer: &Peer, began: Duration, pull: &PullMessage, read: ReadResult) -> Reply {
        let code = response_code(&read, pull);
        if let Some(why) = &read.failure {
            self.refusals.note("pull", code);
            self.note_failed_read(pull, why);
        }
        if code == ResponseCode::SUCCESS {
            self.stats.group(&pull.topic, &pull.consumer_group).record(read.count as u64, read.body.len() as u64);
            self.span_of_pull(peer.remote(), began, pull, &read.body, read.count);
        } else {
            self.stats.missed();
        }
        let header = PullResult {
            suggest_which_broker_id: 0,
            next_begin_offset: read.next.to_wire(),
            min_offset: read.min.to_wire(),
            max_offset: read.max.to_wire(),
        };
        let remark = match &read.failure {
            None => status_name(read.status).to_owned(),
            Some(why) => format!("{}: {why}; try again", status_name(read.status)),
        };
        Reply::of(&header).with_code(code).with_remark(remark).with_body(read.body)
    }

    /// Tells of a pull that the disk failed, one of those in a second: each consumer tries again and again.
    fn note_failed_read(&self, pull: &PullMessage, why: &str) {
        let now_s = self.now().as_secs();
        if self.read_failure_s.swap(now_s, Ordering::Relaxed) != now_s {
            let (topic, group, offset) = (&pull.topic, &pull.consumer_group, pull.queue_offset);
            tracing::error!(%topic, queue = pull.queue_id, %group, offset, why, "failed to read messages; the consumer is to try again");
        }
    }
}

fn parse_failed(why: &dyn std::fmt::Display) -> Refusal {
    let remark = format!("parse the consumer's subscription failed: {why}");
    Refusal::new(ResponseCode::SUBSCRIPTION_PARSE_FAILED, remark)
}

/// Judges a record by its properties; what cannot be read as a record passes, since the reader is who must hear of it.
fn with_properties(record: &[u8], judge: impl FnOnce(&str) -> bool) -> bool {
    Record::parse(record, BodyCheck::Skip).map_or(true, |record| judge(record.properties()))
}

fn response_code(read: &ReadResult, pull: &PullMessage) -> ResponseCode {
    match read.status {
        ReadStatus::Found => ResponseCode::SUCCESS,
        ReadStatus::NoMatchedLogicQueue | ReadStatus::NoMessageInQueue if pull.queue_offset == 0 => {
            ResponseCode::PULL_NOT_FOUND
        }
        ReadStatus::OffsetOverflowOne | ReadStatus::OffsetFoundNull => ResponseCode::PULL_NOT_FOUND,
        ReadStatus::NoMatchedMessage | ReadStatus::MessageWasRemoving => ResponseCode::PULL_RETRY_IMMEDIATELY,
        ReadStatus::NoMatchedLogicQueue
        | ReadStatus::NoMessageInQueue
        | ReadStatus::OffsetTooSmall
        | ReadStatus::OffsetOverflowBadly => ResponseCode::PULL_OFFSET_MOVED,
        // Clients ask for the same offset again after a pause.
        ReadStatus::ReadFailed => ResponseCode::SYSTEM_ERROR,
    }
}

/// What Java puts into the remark.
fn status_name(status: ReadStatus) -> &'static str {
    match status {
        ReadStatus::Found => "FOUND",
        ReadStatus::NoMatchedMessage => "NO_MATCHED_MESSAGE",
        ReadStatus::MessageWasRemoving => "MESSAGE_WAS_REMOVING",
        ReadStatus::OffsetFoundNull => "OFFSET_FOUND_NULL",
        ReadStatus::OffsetOverflowBadly => "OFFSET_OVERFLOW_BADLY",
        ReadStatus::OffsetOverflowOne => "OFFSET_OVERFLOW_ONE",
        ReadStatus::OffsetTooSmall => "OFFSET_TOO_SMALL",
        ReadStatus::NoMatchedLogicQueue => "NO_MATCHED_LOGIC_QUEUE",
        ReadStatus::NoMessageInQueue => "NO_MESSAGE_IN_QUEUE",
        ReadStatus::ReadFailed => "READ_FAILED",
    }
}
