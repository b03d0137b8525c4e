//! The store as its users see it: one value, cheap to clone, over log, queues and index.

use std::any::Any;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use kerolox_wire::clock::Clock;
use kerolox_wire::names::{LogOffset, QueueId, TopicName, topics};
use parking_lot::Mutex;

use crate::batch::{AppendBatch, Appended};
use crate::bell::Bell;
use crate::checkpoint::Checkpoint;
use crate::commit_log::CommitLog;
use crate::config::{FlushMode, StoreConfig};
use crate::consume_queue::Queue;
use crate::disk::{Disk, create_dir_durable};
use crate::dispatch::{Arrivals, Dispatch, Sources};
use crate::error::{AppendError, OpenError};
use crate::flush::{Flush, WhenDurable};
use crate::index::Index;
use crate::queues::{QueueSum, Queues};
use crate::recovery::{Paths, recover};
use crate::retention::Retention;
use crate::stats::{Counters, DiskState, StoreStats};
use crate::times::TimesRead;
use crate::tombstone::{TOMBSTONE_TOPIC, Tombstone};
use crate::workers::{self, Bells};

/// Bytes that dispatch may be behind before appends are slowed down.
const DISPATCH_LAG_MAX: u64 = 64 << 20;
/// How long one append waits then: other connections of its thread wait as well.
const DISPATCH_PAUSE: Duration = Duration::from_millis(5);

/// A store of messages. Clones are the same store; when the last one goes without [`Store::shutdown`], the threads end
/// and the files stay as a crash would leave them.
#[derive(Clone)]
pub struct Store {
    shared: Arc<Shared>,
    _stop: Arc<StopOnDrop>,
}

/// What the store's threads share with its users.
pub(crate) struct Shared {
    pub(crate) config: StoreConfig,
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) paths: Paths,
    pub(crate) log: CommitLog,
    pub(crate) queues: Queues,
    pub(crate) index: Option<Index>,
    pub(crate) dispatch: Dispatch,
    pub(crate) flush: Flush,
    pub(crate) counters: Counters,
    /// End of the log when it was opened: what lies before was written by an earlier process.
    opened_end: u64,
    pub(crate) bells: Bells,
    pub(crate) stopping: AtomicBool,
    /// Percent of the memory that the newest part of the log is supposed to be in.
    memory_ratio: AtomicU8,
    pub(crate) retention: Mutex<Retention>,
    /// Retention keeps everything from this log offset on.
    pub(crate) kept_from: AtomicU64,
    /// The checkpoint as it is on the disk; locked while a new one is made.
    pub(crate) checkpoint: Mutex<Checkpoint>,
    /// Held during a round of retention.
    pub(crate) cleaning: Mutex<()>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    /// The lock of the data directory.
    held: Mutex<Option<Box<dyn Any + Send>>>,
}

struct StopOnDrop(Arc<Shared>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        self.0.log.close();
        self.0.stop_threads();
        self.0.flush.end();
        self.0.held.lock().take();
    }
}

impl Store {
    /// Locks the directory, recovers what is in it and is then ready to append and read. Starts no thread: until
    /// [`Store::start`] nothing is dispatched or flushed but by [`Store::dispatch_now`] and [`Store::flush_now`].
    ///
    /// # Errors
    /// When the directory is in use, its files do not fit the settings, or the disk fails.
    pub fn open(config: StoreConfig, disk: Arc<dyn Disk>, clock: Arc<dyn Clock>) -> Result<Self, OpenError> {
        check(&config)?;
        let paths = Paths::below(&config.root);
        create_dir_durable(disk.as_ref(), &config.root).map_err(OpenError::io(&config.root))?;
        let held = disk.lock(&paths.lock).map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => OpenError::Locked { dir: config.root.clone() },
            _ => OpenError::Io { path: paths.lock.clone(), source },
        })?;
        let found = recover(&config, &disk, &clock)?;
        let flush = Flush::new(config.flush, config.sync_flush_timeout, Arc::clone(&clock), found.durable);
        let shared = Arc::new(Shared {
            memory_ratio: AtomicU8::new(config.memory_ratio),
            retention: Mutex::new(Retention::of(&config)),
            kept_from: AtomicU64::new(u64::MAX),
            config,
            disk,
            clock,
            paths,
            opened_end: found.log.end(),
            log: found.log,
            queues: found.queues,
            index: found.index,
            dispatch: found.dispatch,
            flush,
            counters: Counters::default(),
            bells: Bells::default(),
            stopping: AtomicBool::new(false),
            checkpoint: Mutex::new(found.checkpoint),
            cleaning: Mutex::default(),
            threads: Mutex::new(Vec::new()),
            held: Mutex::new(Some(held)),
        });
        shared.look_at_disk();
        Ok(Self { _stop: Arc::new(StopOnDrop(Arc::clone(&shared))), shared })
    }

    /// Starts the threads that dispatch, flush and clean.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start(&self, arrivals: Arc<dyn Arrivals>) -> io::Result<()> {
        let mut threads = self.shared.threads.lock();
        if threads.is_empty() {
            threads.extend(workers::start(&self.shared, arrivals)?);
        }
        Ok(())
    }

    /// The handle of a queue that records are appended to. It has no file until its first unit.
    #[must_use]
    pub fn queue(&self, topic: &TopicName, queue_id: QueueId) -> Arc<Queue> {
        self.shared.queues.get_or_create(topic, queue_id)
    }

    /// An empty batch for records of the configured largest size.
    #[must_use]
    pub fn batch(&self) -> AppendBatch {
        AppendBatch::with_limit(self.shared.config.max_record_size)
    }

    /// Stores a batch as a whole and leaves it empty, or refuses it as a whole and leaves it as it was.
    ///
    /// # Errors
    /// When the log takes nothing: the reason says whether it ever will.
    pub fn append(&self, batch: &mut AppendBatch) -> Result<Vec<Appended>, AppendError> {
        let shared = &self.shared;
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        shared.slow_down();
        let before = shared.log.end();
        let find = |gone: &Queue| shared.queues.get_or_create(gone.topic(), gone.id());
        let outcome = shared.log.append(batch, find).inspect_err(|_| {
            shared.counters.refused.add(1);
            // Nobody waits for a log that takes nothing more; those who do must hear of it.
            shared.flush.bell.ring();
        })?;
        shared.dispatch.bell.ring();
        shared.flush.bell.ring();
        if outcome.rolled || shared.log.is_past_middle(before) {
            shared.bells.files.ring();
        }
        shared.counters.appends.add(1);
        shared.counters.records.add(outcome.appended.iter().map(|a| a.record_offsets.len() as u64).sum());
        shared.counters.bytes.add(batch.bytes() as u64);
        batch.clear();
        Ok(outcome.appended)
    }

    /// Calls `done` once everything before `end` counts as stored: at once in `FlushMode::Async`, after the sync that
    /// covers it in `FlushMode::Sync`. Runs on a thread of the store and must be short.
    pub fn when_durable(&self, end: LogOffset, done: WhenDurable) {
        self.shared.flush.when_durable(&self.shared.log, end.get(), done);
    }

    /// Changes which percent of the memory the newest part of the log is supposed to be in.
    pub fn set_memory_ratio(&self, percent: u8) {
        self.shared.memory_ratio.store(percent, Ordering::Relaxed);
    }

    /// Changes which log files are old and when they go; counts from the next round on.
    pub fn set_retention(&self, retention: Retention) {
        *self.shared.retention.lock() = retention;
    }

    /// Keeps everything from a log offset on, whatever its age and however full the disk is: somebody still needs it.
    pub fn keep_from(&self, offset: LogOffset) {
        self.shared.kept_from.store(offset.get(), Ordering::SeqCst);
    }

    /// Bytes at the log's end that are supposed to be in memory.
    pub(crate) fn memory_window(&self) -> u64 {
        let ratio = self.shared.memory_ratio.load(Ordering::Relaxed);
        (self.shared.config.memory_bytes / 100).saturating_mul(ratio.into())
    }

    /// First offset of the log.
    #[must_use]
    pub fn begin(&self) -> LogOffset {
        LogOffset::new(self.shared.log.begin())
    }

    /// End of the log: everything before it is written.
    #[must_use]
    pub fn end(&self) -> LogOffset {
        LogOffset::new(self.shared.log.end())
    }

    /// Everything before it is on the medium.
    #[must_use]
    pub fn durable_end(&self) -> LogOffset {
        LogOffset::new(self.shared.flush.durable())
    }

    /// Everything before it can be read from its queue.
    #[must_use]
    pub fn dispatched_end(&self) -> LogOffset {
        LogOffset::new(self.shared.dispatch.done())
    }

    /// Whether all that the log held when it was opened is in its queues: until then their ends are not known.
    #[must_use]
    pub fn is_recovered(&self) -> bool {
        self.dispatched_end().get() >= self.opened_end()
    }

    /// The key index has everything before it.
    #[must_use]
    pub fn indexed_end(&self) -> LogOffset {
        LogOffset::new(self.shared.dispatch.indexed())
    }

    /// All queues that have or had messages.
    #[must_use]
    pub fn topics_on_disk(&self) -> Vec<(TopicName, QueueId)> {
        let queues = self.shared.queues.all();
        queues.iter().filter(|queue| queue.max().get() > 0).map(|queue| (queue.topic().clone(), queue.id())).collect()
    }

    /// Deletes a topic: its queues go with their files, and what is on its way to them is dropped. A record of the log
    /// says so, so that the messages before it never come back; what is stored afterwards begins new queues. Returns
    /// whether there were messages.
    ///
    /// # Errors
    /// When the log takes nothing or the disk fails. The topic may be deleted all the same.
    pub fn delete_topic(&self, topic: &TopicName) -> io::Result<bool> {
        let shared = &self.shared;
        // No mark is saved between the record and the removal of the files: it would miss one or the other.
        let mut checkpoint = shared.checkpoint.lock();
        let deleted = shared.dispatch.paused(|| {
            let own = shared.queues.of_topic(topic);
            if own.is_empty() {
                // An earlier deletion may have failed halfway; this one must not say more than the disk.
                shared.flush_log()?;
                shared.queues.finish_deletions()?;
                return Ok(false);
            }
            let marked = own.iter().map(|queue| QueueSum::from_bits(queue.marked()));
            let marked = marked.fold(QueueSum::default(), QueueSum::plus);
            self.append_tombstone(&Tombstone { topic: topic.clone(), marked })?;
            // The files go only once the record that says why is durable.
            shared.flush_log()?;
            shared.queues.finish_deletions()?;
            Ok::<_, io::Error>(true)
        })?;
        shared.dispatch.bell.ring();
        if deleted {
            shared.save_checkpoint_over(&mut checkpoint)?;
        }
        Ok(deleted)
    }

    fn append_tombstone(&self, tombstone: &Tombstone) -> io::Result<()> {
        let shared = &self.shared;
        let name = TopicName::known(TOMBSTONE_TOPIC);
        let body = tombstone.body();
        let record = Tombstone::record(&body, shared.clock.wall_ms());
        let mut batch = AppendBatch::of_tombstone(shared.queues.detached(&name), &record).map_err(io::Error::other)?;
        let delete = |end| shared.queues.delete(&tombstone.topic, end);
        shared.log.append_and(&mut batch, delete).map(drop).map_err(io::Error::other)
    }

    /// Removes the queues of topics whose last messages are no longer in the log; returns those topics.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn clean_expired_queues(&self) -> io::Result<Vec<TopicName>> {
        let shared = &self.shared;
        // Progress is kept by the offsets of these.
        let counted = [topics::SCHEDULE, topics::TIMER, topics::TRANS_HALF, topics::TRANS_OP_HALF];
        if let Some(why) = shared.log.sealed() {
            // What a failed write has left behind the end may still turn out to be theirs.
            return Err(io::Error::other(format!("the log is sealed: {why}")));
        }
        let begin = shared.log.begin();
        let is_expired = |queue: &Queue| {
            let all_dispatched = queue.next_offset() == queue.max();
            queue.max().get() > 0 && queue.log_end() <= begin && all_dispatched
        };
        let mut expired = BTreeMap::<TopicName, bool>::new();
        for queue in shared.queues.all() {
            *expired.entry(queue.topic().clone()).or_insert(true) &= is_expired(&queue);
        }
        expired.retain(|topic, expired| *expired && !counted.contains(&topic.as_str()));
        let mut checkpoint = shared.checkpoint.lock();
        let mut removed = Vec::new();
        for topic in expired.into_keys() {
            let gone = shared.dispatch.paused(|| {
                // Looked at again while nothing is appended: a message may be on its way by now.
                let gone = shared.log.between_appends(|end| {
                    shared.queues.of_topic(&topic).iter().all(|queue| is_expired(queue))
                        && shared.queues.delete(&topic, end)
                });
                shared.queues.finish_deletions()?;
                Ok::<_, io::Error>(gone)
            })?;
            if gone {
                removed.push(topic);
            }
        }
        if !removed.is_empty() {
            shared.save_checkpoint_over(&mut checkpoint)?;
        }
        Ok(removed)
    }

    /// Figures at this moment.
    #[must_use]
    pub fn stats(&self) -> StoreStats {
        let shared = &self.shared;
        let counters = &shared.counters;
        StoreStats {
            appends: counters.appends.get(),
            records: counters.records.get(),
            bytes: counters.bytes.get(),
            refused: counters.refused.get(),
            reads_found: counters.reads_found.get(),
            reads_missed: counters.reads_missed.get(),
            records_read: counters.records_read.get(),
            records_damaged: counters.records_damaged.get(),
            segments_deleted: counters.segments_deleted.get(),
            records_skipped: shared.dispatch.skipped.load(Ordering::Relaxed),
            begin: shared.log.begin(),
            end: shared.log.end(),
            durable_end: shared.flush.durable(),
            dispatched_end: shared.dispatch.done(),
            indexed_end: shared.dispatch.indexed(),
            last_store_ms: shared.log.last_store_ms(),
            segments: shared.log.segments().list().len(),
            sealed: shared.log.sealed().map(str::to_owned),
        }
    }

    /// How long syncs of the log took.
    #[must_use]
    pub fn flush_times(&self) -> TimesRead {
        self.shared.flush.times.read()
    }

    /// How the store stands with its disk.
    #[must_use]
    pub fn disk_state(&self) -> DiskState {
        let log = &self.shared.log;
        DiskState { log_used: log.room().used(), full: log.room().is_full(), sealed: log.sealed().is_some() }
    }

    /// Dispatches all that was appended so far, on this thread; with synchronous flush all that is durable.
    ///
    /// # Errors
    /// When the disk fails; the next call goes on.
    pub fn dispatch_now(&self, arrivals: Option<&dyn Arrivals>) -> io::Result<()> {
        let shared = &self.shared;
        while shared.dispatch.step(&shared.sources(), arrivals)? {}
        while shared.dispatch.step_index(&shared.sources())? {}
        Ok(())
    }

    /// Dispatches one step of what was appended, on this thread. Returns whether there was anything.
    ///
    /// # Errors
    /// When the disk fails; the next call goes on.
    pub fn dispatch_step(&self) -> io::Result<bool> {
        self.shared.dispatch.step(&self.shared.sources(), None)
    }

    /// Makes all that was appended so far durable, on this thread.
    ///
    /// # Errors
    /// When the disk fails; the log is sealed then.
    pub fn flush_now(&self) -> io::Result<()> {
        self.shared.flush_log()
    }

    /// Makes queues and checkpoint durable, on this thread: the next start after a crash begins here.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn checkpoint_now(&self) -> io::Result<()> {
        self.shared.save_checkpoint()
    }

    /// Stops taking records, makes everything durable, and leaves a directory that says so. A second call does nothing.
    ///
    /// # Errors
    /// When the disk fails. The directory then looks as after a crash and recovers at the next start.
    pub fn shutdown(&self) -> io::Result<()> {
        let shared = &self.shared;
        if shared.log.is_closed() {
            return Ok(());
        }
        shared.log.close();
        shared.stop_threads();
        let stopped = self.settle();
        shared.flush.end();
        shared.held.lock().take();
        stopped
    }

    fn settle(&self) -> io::Result<()> {
        let shared = &self.shared;
        if let Some(why) = shared.log.sealed() {
            return Err(io::Error::other(format!("the log is sealed and must be recovered: {why}")));
        }
        shared.flush_log()?;
        self.dispatch_now(None)?;
        if let Some(index) = &shared.index {
            index.flush()?;
        }
        shared.save_checkpoint()?;
        shared.log.segments().remove_spare()?;
        shared.disk.remove(&shared.paths.abort)?;
        shared.disk.sync_dir(&shared.config.root)
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.shared
    }

    pub(crate) fn log(&self) -> &CommitLog {
        &self.shared.log
    }

    /// Records before it were written by an earlier process.
    pub(crate) fn opened_end(&self) -> u64 {
        self.shared.opened_end
    }

    pub(crate) fn queues(&self) -> &Queues {
        &self.shared.queues
    }

    pub(crate) fn index(&self) -> Option<&Index> {
        self.shared.index.as_ref()
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.shared.counters
    }

    /// The settings it was opened with.
    #[must_use]
    pub fn config(&self) -> &StoreConfig {
        &self.shared.config
    }
}

impl Shared {
    pub(crate) fn sources(&self) -> Sources<'_> {
        Sources {
            log: &self.log,
            queues: &self.queues,
            index: self.index.as_ref(),
            delay_levels: &self.config.delay_levels,
            end: self.readable_end(),
        }
    }

    /// Log offset up to which messages are handed out. With synchronous flush only what is durable: else a message could
    /// be consumed, lost with the power, and its offset given to another.
    pub(crate) fn readable_end(&self) -> u64 {
        match self.flush.mode() {
            FlushMode::Async => self.log.end(),
            FlushMode::Sync => self.flush.durable(),
        }
    }

    /// Holds an append up for a moment while dispatch is far behind, so that what is acknowledged can soon be read.
    fn slow_down(&self) {
        let behind = self.readable_end().saturating_sub(self.dispatch.done());
        if behind > DISPATCH_LAG_MAX {
            // Nothing rings this one: it is a pause.
            Bell::default().pause(DISPATCH_PAUSE);
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    fn stop_threads(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.dispatch.bell.ring_loud();
        self.dispatch.index_bell.ring_loud();
        self.flush.bell.ring_loud();
        self.flush.patience.ring_loud();
        self.bells.ring_all();
        let threads = std::mem::take(&mut *self.threads.lock());
        let me = std::thread::current().id();
        // The last user may be a callback on one of these threads, which cannot wait for itself.
        for thread in threads.into_iter().filter(|thread| thread.thread().id() != me) {
            if thread.join().is_err() {
                tracing::error!("a thread of the store had panicked");
            }
        }
    }
}

fn check(config: &StoreConfig) -> Result<(), OpenError> {
    let wrong = |setting, why: String| Err(OpenError::Setting { setting, why });
    let (size, largest) = (config.segment_size, u64::from(config.max_record_size));
    if size > u64::from(i32::MAX.cast_unsigned()) || size < 512 {
        return wrong("segment_size", format!("{size} is not between 512 and {}", i32::MAX));
    }
    if largest.saturating_add(crate::config::SEGMENT_FILLER) > size {
        return wrong("max_record_size", format!("{largest} does not fit a log file of {size} bytes"));
    }
    Ok(())
}
