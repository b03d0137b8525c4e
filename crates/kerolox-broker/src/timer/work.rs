//! The two loops of timed messages: one reads the wheel topic and delivers what is due, the other writes what was derived.

use std::collections::HashSet;
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use kerolox_store::consume_queue::Unit;
use kerolox_store::timers::{TimerEntry, TimerKind};
use kerolox_store::{AppendBatch, ReadError};
use kerolox_wire::names::{LogOffset, QueueId, QueueOffset, TopicName, topics};
use kerolox_wire::properties::{self, timer};
use kerolox_wire::record::{BodyCheck, NewRecord, Record};

use super::{Timed, wheel};
use crate::node::Node;

/// Units read in a row before deliveries get their turn.
const READ_BATCH: usize = 512;
/// Messages, and bytes of them, delivered by one append.
const DELIVER_BATCH: usize = 256;
const DELIVER_BYTES: usize = 1 << 20;
/// Longest sleep while something is pending: a clock that was set forward is noticed after it.
const SLEEP_MAX: Duration = Duration::from_millis(50);
/// Sleep while the index has not got what a cancellation needs, and how often that is waited for.
const INDEX_PAUSE: Duration = Duration::from_millis(5);
const INDEX_PATIENCE: u32 = 400;
/// What is told to fail and to go on.
const READING: &str = "reading and delivering timed messages";
const SAVING: &str = "saving the timers";
/// Pause after something that failed.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Time between two saves.
const KEEP_INTERVAL: Duration = Duration::from_secs(1);
/// Cancellations of one millisecond that are remembered, and bytes of their keys.
const CANCELS_MAX: usize = 65_536;
const CANCEL_BYTES_MAX: usize = 16 << 20;
/// Delay from which on there is a backlog, which does not hold up what becomes due now; also how far behind the time of
/// the last look one begins for those, since a unit may be read later than it is due.
const BEHIND_MS: i64 = 2_000;

/// What the delivering loop remembers from step to step.
#[derive(Default)]
pub(super) struct Work {
    /// Whether reading has caught up, or found no room, since the start.
    started: bool,
    stopped: bool,
    /// What was planned last in turn, and ahead of a backlog.
    in_turn: Moment,
    ahead: Moment,
    /// While there is a backlog: until when everything that became due lately has been delivered.
    ahead_to_ms: Option<i64>,
    /// How often the index was waited for at the next unit.
    waited: u32,
}

/// The millisecond whose timers are being delivered.
#[derive(Default)]
struct Moment {
    at_ms: i64,
    /// Its cancellations, with their keys.
    cancels: HashSet<String>,
    /// Bytes of these keys.
    cancel_bytes: usize,
    /// Whether messages of it are left that a cancellation may mean.
    amid: bool,
}

impl Moment {
    fn cancel(&mut self, wake_ms: i64, key: String) {
        self.forget(wake_ms);
        let bytes = self.cancel_bytes.saturating_add(key.len());
        if self.cancels.len() < CANCELS_MAX && bytes <= CANCEL_BYTES_MAX && self.cancels.insert(key) {
            self.cancel_bytes = bytes;
        }
    }

    /// Forgets what belongs to another moment.
    fn forget(&mut self, wake_ms: i64) {
        if self.at_ms != wake_ms {
            self.cancels.clear();
            self.cancel_bytes = 0;
            self.at_ms = wake_ms;
        }
    }
}

impl Node {
    /// Reads and delivers timed messages until the task is ended.
    pub(crate) async fn deliver_timed(self: Arc<Self>) {
        self.step_by_step(Self::timer_step, |node| &node.timer.arrived).await;
    }

    /// Writes runs, merges and state until the task is ended.
    pub(crate) async fn keep_timers(self: Arc<Self>) {
        loop {
            let node = Arc::clone(&self);
            let more = tokio::task::spawn_blocking(move || node.keep_timers_once()).await;
            match more {
                Ok(Ok(true)) => continue,
                Ok(Ok(false)) => drop(self.outages.ended(SAVING, 0)),
                Ok(Err(error)) => self.timers_failed(SAVING, &error),
                Err(error) => tracing::error!(%error, "saving the timers failed"),
            }
            tokio::select! {
                () = tokio::time::sleep(KEEP_INTERVAL) => {}
                () = self.timer.full.notified() => {}
            }
        }
    }

    /// One round; returns how long there will be nothing to do.
    fn timer_step(&self) -> Duration {
        let mut work = self.timer.work.lock();
        if work.stopped {
            return RETRY_PAUSE;
        }
        let done = self.read_timers(&mut work).and_then(|read| {
            work.started |= !read.is_zero();
            // What is due can only be known once all was read that the last stop left to be read again.
            if work.started { Ok(read.min(self.deliver_timers(&mut work)?)) } else { Ok(read) }
        });
        match done {
            Ok(pause) => {
                self.outages.ended(READING, 0);
                pause
            }
            Err(error) => {
                self.timers_failed(READING, &error);
                RETRY_PAUSE
            }
        }
    }

    fn timers_failed(&self, what: &'static str, error: &io::Error) {
        self.outages.failed(what, 0, error);
        if error.kind() == io::ErrorKind::InvalidData {
            tracing::error!("a file of the timers is damaged: they are rebuilt from the log");
            self.timer.timers.rebuild(self.wheel_range());
        }
    }

    /// First and last offset of the wheel topic's queue.
    fn wheel_range(&self) -> Range<u64> {
        let (topic, queue) = wheel();
        self.store.queue_range(&topic, queue).map_or(0..0, |(min, max)| min.get()..max.get())
    }

    /// Takes new units in; returns how long there will be none.
    fn read_timers(&self, work: &mut Work) -> io::Result<Duration> {
        let timers = &self.timer.timers;
        let range = self.wheel_range();
        if timers.read_to().max(range.start) >= range.end {
            return Ok(Duration::MAX);
        }
        let (topic, queue) = wheel();
        let from = QueueOffset::new(timers.read_to().max(range.start));
        let (first, units) = self.store.units(&topic, queue, from, READ_BATCH)?;
        for (n, unit) in (0_u64..).zip(&units) {
            if !timers.has_room() {
                self.timer.full.notify_one();
                return Ok(INDEX_PAUSE);
            }
            let Some(entry) = self.entry_of(unit, work)? else { return Ok(INDEX_PAUSE) };
            work.waited = 0;
            timers.add(first.get() + n, entry);
        }
        Ok(if units.is_empty() { SLEEP_MAX } else { Duration::ZERO })
    }

    /// The timer of a unit, inside of it `None` when its record is none; `None` when that cannot be told yet.
    fn entry_of(&self, unit: &Unit, work: &mut Work) -> io::Result<Option<Option<TimerEntry>>> {
        let offset = LogOffset::new(unit.log_offset);
        let lost = |why: &str| tracing::error!(%offset, why, "a timed message cannot be delivered and is dropped");
        let bytes = match self.store.record_at(offset) {
            Ok(bytes) => bytes,
            Err(ReadError::Io(error)) => return Err(error),
            Err(why) => {
                lost(&why.to_string());
                return Ok(Some(None));
            }
        };
        let record = Record::parse(&bytes, BodyCheck::Skip).map_err(|e| e.to_string());
        let timed = match record.as_ref().map_err(String::clone).and_then(Timed::of) {
            Ok(timed) => timed,
            // One that cannot be read must not hold up those behind it.
            Err(why) => {
                lost(&why);
                return Ok(Some(None));
            }
        };
        let mut entry = timed.entry(self.timer.timers.windows_ms().last().copied().unwrap_or(i64::MAX));
        if timed.kind == TimerKind::Cancel {
            if self.store.indexed_end() <= offset && work.waited < INDEX_PATIENCE {
                work.waited += 1;
                return Ok(None);
            }
            // It waits where the message waits, whatever time it names itself.
            if let Some(message) = self.waiting_message(&timed)? {
                entry.wake_ms = message.wake_ms;
            }
        }
        Ok(Some(Some(entry)))
    }

    /// Delivers what is due; returns how long nothing will be.
    fn deliver_timers(&self, work: &mut Work) -> io::Result<Duration> {
        let now_ms = self.clock.wall_ms();
        let due = self.timer.timers.due(now_ms, DELIVER_BATCH)?;
        if due.is_empty() {
            if std::mem::take(&mut work.in_turn.amid) {
                self.timer.timers.take(&[], false)?;
            }
            let Some(wake_ms) = self.timer.timers.next_wake()? else { return Ok(Duration::MAX) };
            let left = u64::try_from(wake_ms.saturating_sub(self.clock.wall_ms())).unwrap_or(0);
            return Ok(Duration::from_millis(left.max(1)).min(SLEEP_MAX));
        }
        let overdue =
            due.len() == DELIVER_BATCH && due.first().is_some_and(|e| e.wake_ms < now_ms.saturating_sub(BEHIND_MS));
        if overdue {
            if self.deliver_ahead(now_ms, work)? {
                return Ok(Duration::ZERO);
            }
        } else if work.ahead_to_ms.take().is_some() && std::mem::take(&mut work.ahead.amid) {
            self.timer.timers.take_ahead(&[], false);
        }
        let done = self.deliver_entries(&due, now_ms, &mut work.in_turn)?;
        self.timer.timers.take(done, work.in_turn.amid)?;
        Ok(Duration::ZERO)
    }

    /// Delivers what has become due lately, while what is overdue for longer, above all what is to be stored anew, goes
    /// its own pace; whether there is more of it.
    fn deliver_ahead(&self, now_ms: i64, work: &mut Work) -> io::Result<bool> {
        let from_ms = work.ahead_to_ms.unwrap_or(now_ms).saturating_sub(BEHIND_MS);
        let due = self.timer.timers.due_from(from_ms, now_ms, DELIVER_BATCH)?;
        let done = self.deliver_entries(&due, now_ms, &mut work.ahead)?;
        self.timer.timers.take_ahead(done, work.ahead.amid);
        let more = done.len() < due.len() || due.len() == DELIVER_BATCH;
        // Until all of it is delivered, the next look begins where this one did.
        let to_ms = if more { work.ahead_to_ms.unwrap_or(now_ms) } else { now_ms };
        work.ahead_to_ms = Some(to_ms);
        Ok(more)
    }

    /// Delivers the first of these entries in one append; returns them. Only what is stored anew is done.
    fn deliver_entries<'e>(
        &self,
        due: &'e [TimerEntry],
        now_ms: i64,
        moment: &mut Moment,
    ) -> io::Result<&'e [TimerEntry]> {
        let mut batch = self.store.batch();
        let mut planned = 0;
        for entry in due {
            if batch.bytes() >= DELIVER_BYTES {
                break;
            }
            if let Err(error) = self.plan_timed(entry, now_ms, moment, &mut batch) {
                if planned == 0 {
                    return Err(error);
                }
                // Those before it go out; the next step begins with it.
                break;
            }
            planned += 1;
        }
        if !batch.is_empty() {
            self.store.append(&mut batch).map_err(io::Error::other)?;
        }
        let all_looked_at = planned == due.len() && due.len() < DELIVER_BATCH;
        moment.amid = !moment.cancels.is_empty() && !all_looked_at;
        Ok(due.get(..planned).unwrap_or_default())
    }

    fn plan_timed(
        &self,
        entry: &TimerEntry,
        now_ms: i64,
        moment: &mut Moment,
        batch: &mut AppendBatch,
    ) -> io::Result<()> {
        moment.forget(entry.wake_ms);
        let offset = LogOffset::new(entry.log_offset);
        let lost = |why: &str| tracing::error!(%offset, why, "a timed message cannot be delivered and is dropped");
        let bytes = match self.store.record_at(offset) {
            Ok(bytes) => bytes,
            Err(ReadError::Io(error)) => return Err(error),
            Err(why) => {
                lost(&why.to_string());
                return Ok(());
            }
        };
        let planned = Record::parse(&bytes, BodyCheck::Skip).map_err(|e| e.to_string()).and_then(|record| {
            let timed = Timed::of(&record)?;
            if timed.kind == TimerKind::Cancel {
                moment.cancel(entry.wake_ms, timed.key.clone());
                let is_own_time = self.entries_of(&timed).any(|own| own.wake_ms == entry.wake_ms);
                return if is_own_time && timed.due_ms > now_ms { self.plan_roll(&timed, batch) } else { Ok(()) };
            }
            if moment.cancels.contains(&timed.key) {
                return Ok(());
            }
            if timed.due_ms > now_ms { self.plan_roll(&timed, batch) } else { self.plan_delivery_of(&timed, batch) }
        });
        planned.unwrap_or_else(|why| lost(&why));
        Ok(())
    }

    /// Stores the waiting message anew, so that its record does not grow too old.
    fn plan_roll(&self, timed: &Timed<'_>, batch: &mut AppendBatch) -> Result<(), String> {
        let text = timed.record.properties();
        let times = properties::find(text, timer::ROLL_TIMES).and_then(|v| v.parse::<u32>().ok()).unwrap_or(0);
        let counted = properties::with(text, &[(timer::ROLL_TIMES, &times.saturating_add(1).to_string())]);
        let (topic, queue) = wheel();
        self.plan_again(timed, &topic, queue, &counted, batch)
            // The count is a comfort; where it has no room the message goes on without.
            .or_else(|_| self.plan_again(timed, &topic, queue, text, batch))
    }

    fn plan_delivery_of(&self, timed: &Timed<'_>, batch: &mut AppendBatch) -> Result<(), String> {
        let topic = TopicName::parse(timed.real_topic).map_err(|e| e.to_string())?;
        if [topics::TRANS_HALF, topics::TIMER].contains(&topic.as_str()) {
            return Err(format!("nothing is delivered to {topic}"));
        }
        let text = timed.record.properties();
        let queue = properties::find(text, properties::REAL_QID).and_then(|v| v.parse().ok()).unwrap_or(0);
        self.plan_again(timed, &topic, QueueId::new(queue), text, batch)
    }

    fn plan_again(
        &self,
        timed: &Timed<'_>,
        topic: &TopicName,
        queue: QueueId,
        text: &str,
        batch: &mut AppendBatch,
    ) -> Result<(), String> {
        let again = NewRecord::copy_of(timed.record, topic.as_str(), queue.get(), text, self.store_host);
        batch.push(&self.store.queue(topic, queue), &again).map(|_| ()).map_err(|e| e.to_string())
    }

    fn keep_timers_once(&self) -> io::Result<bool> {
        let (now_ms, caught_up) = self.timers_caught_up();
        let more = self.timer.timers.keep(now_ms, caught_up, &|| self.store.flush_now())?;
        self.keep_timed_records();
        Ok(more)
    }

    /// The time, and whether everything that was sent until then has been read.
    fn timers_caught_up(&self) -> (i64, bool) {
        let now_ms = self.clock.wall_ms();
        let dispatched = self.store.dispatched_end() >= self.store.end();
        (now_ms, dispatched && self.timer.timers.read_to() >= self.wheel_range().end)
    }

    /// Tells retention what pending timers need.
    pub(crate) fn keep_timed_records(&self) {
        let (topic, queue) = wheel();
        let read_to = QueueOffset::new(self.timer.timers.read_to());
        let all = self.store.dispatched_end();
        let unread = match self.store.units(&topic, queue, read_to, 1) {
            Ok((_, units)) => units.first().map_or(all, |unit| LogOffset::new(unit.log_offset)),
            // What is not known to be free to go stays.
            Err(_) => self.store.begin(),
        };
        let read = self.timer.timers.log_from().map_or(unread, LogOffset::new);
        self.store.keep_from(read.min(unread));
    }

    /// Waits for a delivery that is under way, begins no other, and saves.
    pub(crate) fn stop_timers(&self) {
        let mut work = self.timer.work.lock();
        // What is saved together is finished first: the rest of one millisecond.
        while (work.in_turn.amid || work.ahead.amid) && self.deliver_timers(&mut work).is_ok() {}
        work.stopped = true;
        drop(work);
        let (now_ms, caught_up) = self.timers_caught_up();
        if let Err(error) = self.timer.timers.close(now_ms, caught_up, &|| self.store.flush_now()) {
            tracing::error!(%error, "the timers could not be saved; the next start reads more of the log");
        }
    }
}
