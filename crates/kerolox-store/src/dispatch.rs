//! Derives queues and index from the log: every record becomes a unit of its queue and an entry for each of its keys.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering, fence};

use kerolox_wire::names::{QueueId, QueueOffset, TopicName, topics};
use kerolox_wire::properties;
use kerolox_wire::record::{BodyCheck, Peek, Record, peek};
use kerolox_wire::sys_flag::{self, Transaction};
use kerolox_wire::tags::tags_code;
use parking_lot::Mutex;

use crate::bell::Bell;
use crate::commit_log::CommitLog;
use crate::config::DelayLevels;
use crate::consume_queue::{Queue, Unit};
use crate::index::{Index, IndexKeys};
use crate::queues::Queues;

/// Bytes of the log looked at in one step. Larger records make the step larger.
const STEP_BYTES: u64 = 512 << 10;

/// Who wants to know that messages can be read.
pub trait Arrivals: Send + Sync + 'static {
    /// Message `end - 1` of a queue can be read now. Called in order, on the dispatch thread; must not wait.
    ///
    /// A `SeqCst` fence stands between the publication of the queue's end and this call. Who waits for a message and
    /// says so first, then makes such a fence, and then looks at the queue's end, either sees the message there, or is
    /// seen waiting here: no message passes both unseen.
    fn arrived(&self, topic: &str, queue_id: QueueId, end: QueueOffset, tags_code: i64);
    /// All that was appended so far has been dispatched.
    fn caught_up(&self) {}
    /// Whether anybody waits for a message, or did since the last call; then records are not kept gathering for long.
    fn awaited(&self) -> bool {
        true
    }
}

/// The log, what is derived from it, and the rule for the delay topic.
pub(crate) struct Sources<'a> {
    pub(crate) log: &'a CommitLog,
    pub(crate) queues: &'a Queues,
    pub(crate) index: Option<&'a Index>,
    pub(crate) delay_levels: &'a DelayLevels,
}

/// How far queues and index follow the log.
pub(crate) struct Dispatch {
    work: Mutex<Work>,
    /// Everything before it is in its queue.
    done: AtomicU64,
    /// Everything before it is in the index.
    indexed: AtomicU64,
    /// Store time of the last record dispatched.
    store_ms: AtomicI64,
    /// Wakes the dispatch thread.
    pub(crate) bell: Bell,
    /// Records without a usable place: illegal topic names and damaged ones.
    pub(crate) skipped: AtomicU64,
}

/// Memory of the dispatching thread, reused from step to step.
#[derive(Default)]
struct Work {
    bytes: Vec<u8>,
    slots: Vec<Slot>,
    by_topic: HashMap<Box<str>, Vec<(QueueId, usize)>>,
    /// Slots with units of the current step.
    touched: Vec<usize>,
}

/// A queue and its units of the current step.
struct Slot {
    queue: Arc<Queue>,
    first: QueueOffset,
    units: Vec<Unit>,
}

impl Slot {
    fn write(&self) -> io::Result<()> {
        let begins_again = |first: &Unit| {
            let log_end = self.queue.log_end();
            self.first < self.queue.max() && log_end > 0 && first.log_offset >= log_end
        };
        if self.units.first().is_some_and(begins_again) {
            // A newer record with a lower number: the topic was deleted and made again between the two. Only a recovery
            // that makes queues anew comes by here.
            tracing::warn!(topic = %self.queue.topic(), queue = %self.queue.id(), first = %self.first, "queue begins again");
            self.queue.truncate(0)?;
        }
        match self.queue.append(self.first, &self.units) {
            // Trying again would not help: the record's offset makes no sense in its queue.
            Err(e) if matches!(e.kind(), io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput) => {
                tracing::error!(error = %e, count = self.units.len(), "records that fit no place in their queue");
                Ok(())
            }
            other => other,
        }
    }
}

/// The records of one step: where it ended and what its keys are.
struct Step<'b> {
    end: u64,
    keys: Vec<IndexKeys<'b>>,
    store_ms: i64,
}

impl Dispatch {
    /// Begins at `at`; the index may be behind.
    pub(crate) fn new(at: u64, index_at: u64) -> Self {
        Self {
            work: Mutex::default(),
            done: AtomicU64::new(at),
            indexed: AtomicU64::new(index_at.min(at)),
            store_ms: AtomicI64::new(0),
            bell: Bell::default(),
            skipped: AtomicU64::new(0),
        }
    }

    /// Everything before it is in its queue.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::SeqCst)
    }

    /// Everything before it is in the index.
    pub(crate) fn indexed(&self) -> u64 {
        self.indexed.load(Ordering::SeqCst)
    }

    /// Store time of the last record dispatched, 0 before the first.
    pub(crate) fn store_ms(&self) -> i64 {
        self.store_ms.load(Ordering::Relaxed)
    }

    /// Whether a step would do something.
    pub(crate) fn has_work(&self, log: &CommitLog) -> bool {
        let done = self.done();
        done < log.end() || self.indexed() < done
    }

    /// Takes the next records of the log. Returns whether there were any. After an error nothing is lost: the same
    /// records are taken again, and what is in its queue already is not put there twice.
    pub(crate) fn step(&self, sources: &Sources<'_>, arrivals: Option<&dyn Arrivals>) -> io::Result<bool> {
        let mut work = self.work.lock();
        let mut progressed = self.step_queues(&mut work, sources, arrivals)?;
        if self.indexed() < self.done() {
            self.step_index(&mut work, sources)?;
            progressed = true;
        }
        Ok(progressed)
    }

    /// As [`Self::step`], but an index that is behind is left behind.
    pub(crate) fn step_without_catching_up(&self, sources: &Sources<'_>) -> io::Result<bool> {
        self.step_queues(&mut self.work.lock(), sources, None)
    }

    /// Looks while no step is under way, so that what is in the queues and what counts as done are the same.
    pub(crate) fn between_steps<T>(&self, look: impl FnOnce() -> T) -> T {
        let _work = self.work.lock();
        look()
    }

    /// Runs `change` while nothing is dispatched, and forgets the queues known so far: they may be gone.
    pub(crate) fn paused<T>(&self, change: impl FnOnce() -> T) -> T {
        let mut work = self.work.lock();
        work.slots.clear();
        work.by_topic.clear();
        change()
    }

    fn step_queues(&self, work: &mut Work, sources: &Sources<'_>, arrivals: Option<&dyn Arrivals>) -> io::Result<bool> {
        let at = self.done().max(sources.log.begin());
        let Work { bytes, slots, by_topic, touched } = work;
        if !load(sources.log, at, sources.log.end(), bytes)? {
            return Ok(false);
        }
        let with_index = sources.index.filter(|_| self.indexed() >= at.min(self.done()));
        let mut gather = Gather { sources, slots, by_topic, touched };
        let step = match self
            .walk(sources.log, at, bytes, with_index.is_some(), |record, wanted| gather.unit(record, wanted))
        {
            Ok(step) => step,
            Err(e) => {
                gather.drop_units();
                return Err(e);
            }
        };
        // Entries first: a message that can be read can also be found.
        let indexed = with_index.map(|index| index.put(&step.keys));
        gather.write_units()?;
        self.done.store(step.end, Ordering::SeqCst);
        if step.store_ms != 0 {
            self.store_ms.store(step.store_ms, Ordering::Relaxed);
        }
        match indexed {
            // Without an index its mark follows, so that nobody waits for it.
            None if sources.index.is_none() => self.indexed.store(step.end, Ordering::SeqCst),
            None => {}
            Some(Ok(())) => self.indexed.store(step.end, Ordering::SeqCst),
            Some(Err(e)) => tracing::error!(error = %e, at, "the key index falls behind"),
        }
        gather.tell(arrivals);
        Ok(true)
    }

    /// Catches up with the index alone, after a start that found it behind or a failed write.
    fn step_index(&self, work: &mut Work, sources: &Sources<'_>) -> io::Result<()> {
        let done = self.done();
        let Some(index) = sources.index else {
            self.indexed.store(done, Ordering::SeqCst);
            return Ok(());
        };
        let at = self.indexed().max(sources.log.begin());
        if !load(sources.log, at, done, &mut work.bytes)? {
            self.indexed.store(done, Ordering::SeqCst);
            return Ok(());
        }
        let step = self.walk(sources.log, at, &work.bytes, true, |_, _| Ok(()))?;
        index.put(&step.keys)?;
        self.indexed.store(step.end.min(done), Ordering::SeqCst);
        Ok(())
    }

    /// Visits the whole records in `bytes`, which begin at `at`.
    fn walk<'b>(
        &self,
        log: &CommitLog,
        at: u64,
        bytes: &'b [u8],
        with_keys: bool,
        mut visit: impl FnMut(&Record<'b>, &Wanted<'b>) -> io::Result<()>,
    ) -> io::Result<Step<'b>> {
        let file_end = log.segments().base_of(at).saturating_add(log.segments().size());
        let mut step = Step { end: at, keys: Vec::new(), store_ms: 0 };
        let mut rest = bytes;
        while !rest.is_empty() {
            let size = match peek(rest) {
                Peek::Record { size } => u64::from(size),
                Peek::Filler { .. } => {
                    step.end = file_end;
                    break;
                }
                // The step ends within a record, which the next one begins with.
                _ if rest.len() < 8 && step.end > at => break,
                Peek::Blank | Peek::Bad => {
                    self.skipped.fetch_add(1, Ordering::Relaxed);
                    tracing::error!(at = step.end, "no record in the log here: the rest of the file is skipped");
                    step.end = file_end.min(log.end());
                    break;
                }
            };
            let Some((record, behind)) = usize::try_from(size).ok().and_then(|size| rest.split_at_checked(size)) else {
                if step.end > at {
                    break;
                }
                self.skipped.fetch_add(1, Ordering::Relaxed);
                tracing::error!(at, size, "a record passes the end of the log: the rest of the file is skipped");
                step.end = file_end.min(log.end());
                break;
            };
            match Record::parse(record, BodyCheck::Skip) {
                Ok(record) if record.log_offset().get() == step.end => {
                    step.store_ms = record.store_timestamp();
                    let wanted = Wanted::of(&record);
                    if with_keys {
                        step.keys.extend(wanted.keys(&record));
                    }
                    visit(&record, &wanted)?;
                }
                Ok(record) => self.skip(step.end, &format!("it says it stands at {}", record.log_offset())),
                Err(e) => self.skip(step.end, &e.to_string()),
            }
            rest = behind;
            step.end = step.end.saturating_add(size);
        }
        Ok(step)
    }

    fn skip(&self, at: u64, why: &str) {
        self.skipped.fetch_add(1, Ordering::Relaxed);
        tracing::error!(at, why, "a record cannot be dispatched and is skipped");
    }
}

/// Fills `bytes` with the log from `at` on: whole records of one file, at least one. `false` when there is nothing.
fn load(log: &CommitLog, at: u64, end: u64, bytes: &mut Vec<u8>) -> io::Result<bool> {
    let file_end = log.segments().base_of(at).saturating_add(log.segments().size());
    let available = end.min(file_end).saturating_sub(at);
    if available == 0 {
        return Ok(false);
    }
    let mut len = available.min(STEP_BYTES);
    loop {
        bytes.resize(usize::try_from(len).map_err(io::Error::other)?, 0);
        log.read_once(at, bytes)?;
        match peek(bytes) {
            Peek::Record { size } if u64::from(size) > len && len < available => {
                len = u64::from(size).min(available);
            }
            _ => return Ok(true),
        }
    }
}

/// What queues and index need of a record's properties, found in one pass. Of equal names the last one counts.
#[derive(Default)]
struct Wanted<'b> {
    uniq_key: Option<&'b str>,
    keys: Option<&'b str>,
    tags: Option<&'b str>,
    delay: Option<&'b str>,
}

impl<'b> Wanted<'b> {
    fn of(record: &Record<'b>) -> Self {
        let mut wanted = Self::default();
        for (name, value) in properties::pairs(record.properties()) {
            match name {
                properties::UNIQ_KEY => wanted.uniq_key = Some(value),
                properties::KEYS => wanted.keys = Some(value),
                properties::TAGS => wanted.tags = Some(value),
                properties::DELAY => wanted.delay = Some(value),
                _ => {}
            }
        }
        wanted
    }

    /// What the index keeps of the record.
    fn keys(&self, record: &Record<'b>) -> Option<IndexKeys<'b>> {
        let is_rollback = sys_flag::transaction(record.sys_flag()) == Transaction::Rollback;
        if is_rollback || (self.uniq_key.is_none() && self.keys.is_none()) {
            return None;
        }
        Some(IndexKeys {
            topic: record.topic(),
            uniq_key: self.uniq_key,
            keys: self.keys,
            log_offset: record.log_offset().get(),
            store_timestamp: record.store_timestamp(),
        })
    }

    /// What the unit keeps: the hash of the tags, and in the delay topic the time when the message is due.
    fn unit_code(&self, record: &Record<'b>, levels: &DelayLevels) -> i64 {
        if record.topic() == topics::SCHEDULE {
            let level = self.delay.and_then(|level| level.parse::<u32>().ok());
            if let Some(level) = level.filter(|level| *level > 0) {
                return levels.due_ms(level, record.store_timestamp());
            }
        }
        tags_code(self.tags)
    }
}

/// Collects the units of one step, queue by queue.
struct Gather<'w, 's> {
    sources: &'w Sources<'s>,
    slots: &'w mut Vec<Slot>,
    by_topic: &'w mut HashMap<Box<str>, Vec<(QueueId, usize)>>,
    touched: &'w mut Vec<usize>,
}

impl Gather<'_, '_> {
    fn unit<'b>(&mut self, record: &Record<'b>, wanted: &Wanted<'b>) -> io::Result<()> {
        if !sys_flag::enters_queue(record.sys_flag()) {
            return Ok(());
        }
        let Some(index) = self.slot(record.topic(), record.queue_id()) else {
            tracing::warn!(at = %record.log_offset(), topic = ?record.topic(), queue = %record.queue_id(),
                "a record whose topic has no legal name is not dispatched");
            return Ok(());
        };
        let Some(slot) = self.slots.get_mut(index) else { return Ok(()) };
        let offset = record.queue_offset();
        if slot.units.is_empty() {
            slot.first = offset;
            self.touched.push(index);
        } else if slot.first + slot.units.len() as u64 != offset {
            slot.write()?;
            slot.units.clear();
            slot.first = offset;
        }
        let tags_code = wanted.unit_code(record, self.sources.delay_levels);
        slot.units.push(Unit { log_offset: record.log_offset().get(), size: record.total_size(), tags_code });
        Ok(())
    }

    /// The slot of a queue; `None` when the name could lead out of the store's folder.
    fn slot(&mut self, topic: &str, id: QueueId) -> Option<usize> {
        if let Some(known) = self.by_topic.get(topic)
            && let Some((_, slot)) = known.iter().find(|(known_id, _)| *known_id == id)
        {
            return Some(*slot);
        }
        let name = TopicName::parse(topic).ok()?;
        let queue = self.sources.queues.get_or_create(&name, id);
        let index = self.slots.len();
        self.slots.push(Slot { queue, first: QueueOffset::ZERO, units: Vec::new() });
        self.by_topic.entry(topic.into()).or_default().push((id, index));
        Some(index)
    }

    fn write_units(&mut self) -> io::Result<()> {
        for index in self.touched.iter() {
            let Some(slot) = self.slots.get(*index) else { continue };
            if let Err(e) = slot.write() {
                self.drop_units();
                return Err(e);
            }
        }
        Ok(())
    }

    /// Tells who waits, and empties the slots.
    fn tell(&mut self, arrivals: Option<&dyn Arrivals>) {
        if let Some(arrivals) = arrivals {
            // One for all units of the step: publishing them is a plain release, which a later load could overtake.
            fence(Ordering::SeqCst);
            for slot in self.touched.iter().filter_map(|index| self.slots.get(*index)) {
                let mut end = slot.first;
                for unit in &slot.units {
                    end = end + 1;
                    arrivals.arrived(slot.queue.topic().as_str(), slot.queue.id(), end, unit.tags_code);
                }
            }
        }
        self.drop_units();
    }

    fn drop_units(&mut self) {
        for index in self.touched.drain(..) {
            if let Some(slot) = self.slots.get_mut(index) {
                slot.units.clear();
            }
        }
    }
}
