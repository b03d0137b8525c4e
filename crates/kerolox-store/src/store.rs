//! The store as its users see it: one value, cheap to clone, over log, queues and index.

use std::any::Any;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::thread::JoinHandle;

use kerolox_wire::clock::Clock;
use kerolox_wire::names::{LogOffset, QueueId, TopicName, topics};
use parking_lot::Mutex;

use crate::batch::{AppendBatch, Appended};
use crate::checkpoint::Checkpoint;
use crate::commit_log::CommitLog;
use crate::config::StoreConfig;
use crate::consume_queue::Queue;
use crate::disk::Disk;
use crate::dispatch::{Arrivals, Dispatch, Sources};
use crate::error::{AppendError, OpenError};
use crate::flush::{Flush, WhenDurable};
use crate::index::Index;
use crate::queues::Queues;
use crate::recovery::{Paths, leave_abort, recover};
use crate::retention::Retention;
use crate::stats::{Counters, DiskState, StoreStats};
use crate::times::TimesRead;
use crate::workers::{self, Bells};

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
        disk.create_dir_all(&config.root).map_err(OpenError::io(&config.root))?;
        let held = disk.lock(&paths.lock).map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => OpenError::Locked { dir: config.root.clone() },
            _ => OpenError::Io { path: paths.lock.clone(), source },
        })?;
        let found = recover(&config, &disk, &clock)?;
        leave_abort(disk.as_ref(), &config.root)?;
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
        let before = shared.log.end();
        let outcome = shared.log.append(batch).inspect_err(|_| {
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

    /// Removes the queues of all topics that `keep` does not want; returns those topics. Their records stay in the log
    /// until retention takes them.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn delete_queues(&self, keep: &dyn Fn(&TopicName) -> bool) -> io::Result<Vec<TopicName>> {
        let shared = &self.shared;
        let removed = shared.dispatch.paused(|| shared.queues.remove_where(&|topic| !keep(topic)))?;
        if !removed.is_empty() {
            // After a crash, recovery must not find the removed queues' records again.
            shared.save_checkpoint()?;
        }
        Ok(removed)
    }

    /// Removes the queues of topics whose last messages are no longer in the log; returns those topics.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn clean_expired_queues(&self) -> io::Result<Vec<TopicName>> {
        let begin = self.shared.log.begin();
        let queues = self.shared.queues.all();
        let is_expired = |topic: &TopicName| {
            let mut own = queues.iter().filter(|queue| queue.topic() == topic).peekable();
            own.peek().is_some() && own.all(|queue| queue.max().get() > 0 && queue.log_end() <= begin)
        };
        // Progress is kept by the offsets of these.
        let counted = [topics::SCHEDULE, topics::TIMER, topics::TRANS_HALF, topics::TRANS_OP_HALF];
        let is_waiting = |topic: &TopicName| counted.contains(&topic.as_str());
        self.delete_queues(&|topic| is_waiting(topic) || !is_expired(topic))
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

    /// Dispatches all that was appended so far, on this thread.
    ///
    /// # Errors
    /// When the disk fails; the next call goes on.
    pub fn dispatch_now(&self, arrivals: Option<&dyn Arrivals>) -> io::Result<()> {
        while self.shared.dispatch.has_work(&self.shared.log) {
            if !self.shared.dispatch.step(&self.shared.sources(), arrivals)? {
                break;
            }
        }
        Ok(())
    }

    /// Makes all that was appended so far durable, on this thread.
    ///
    /// # Errors
    /// When the disk fails; the log is sealed then.
    pub fn flush_now(&self) -> io::Result<()> {
        self.shared.flush.flush(&self.shared.log)
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
        }
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    fn stop_threads(&self) {
        self.stopping.store(true, Ordering::SeqCst);
        self.dispatch.bell.ring_loud();
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
