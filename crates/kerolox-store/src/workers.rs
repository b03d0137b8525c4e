//! The store's threads, each a short loop around a step that tests call directly: dispatch, flush, files made ahead,
//! keeping (checkpoint and retention), and with synchronous flush the end of patience.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use crate::bell::Bell;
use crate::checkpoint::Checkpoint;
use crate::commit_log::is_full;
use crate::config::FlushMode;
use crate::dispatch::Arrivals;
use crate::mark::{LastRecord, Mark};
use crate::retention::{self, Deleted, Reason};
use crate::segment::Segment;
use crate::store::{Shared, Store};

/// How long a step that failed waits before it is tried again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// What dispatch lets gather after a step, at most: a thread woken for every few records costs more than its work, and
/// one write then serves many units of a queue. The first record after a silence does not wait.
const GATHER_TIME: Duration = Duration::from_micros(200);
/// The same while nobody waits for messages: as long as RocketMQ's dispatch sleeps.
const GATHER_TIME_ALONE: Duration = Duration::from_millis(1);
/// Records waiting already for which gathering more would only add delay.
const GATHER_BYTES: u64 = 256 << 10;
/// How often the index is made durable: it costs much and saves only time after a crash.
const INDEX_SYNC_EVERY: Duration = Duration::from_secs(30);
/// Rounds of an asked-for deletion.
const ASKED_ROUNDS: usize = 20;

/// Bells of the threads that have no other owner.
#[derive(Default)]
pub(crate) struct Bells {
    pub(crate) files: Bell,
    pub(crate) keeper: Bell,
}

impl Bells {
    pub(crate) fn ring_all(&self) {
        self.files.ring_loud();
        self.keeper.ring_loud();
    }
}

pub(crate) fn start(shared: &Arc<Shared>, arrivals: Arc<dyn Arrivals>) -> io::Result<Vec<JoinHandle<()>>> {
    let spawn = |name: &'static str, run: Box<dyn FnOnce(&Shared) + Send>| {
        let shared = Arc::clone(shared);
        Builder::new().name(format!("store-{name}")).spawn(move || run_to_the_end(&shared, name, run))
    };
    let mut threads = vec![
        spawn("dispatch", Box::new(move |shared| dispatch(shared, arrivals.as_ref())))?,
        spawn("flush", Box::new(flush))?,
        spawn("files", Box::new(make_files))?,
        spawn("keeper", Box::new(keep))?,
    ];
    if shared.index.is_some() {
        threads.push(spawn("index", Box::new(catch_up_index))?);
    }
    if shared.flush.mode() == FlushMode::Sync {
        threads.push(spawn("patience", Box::new(expire))?);
    }
    Ok(threads)
}

/// A store without one of its threads would acknowledge what it cannot keep, so a panic ends more than its thread.
fn run_to_the_end(shared: &Shared, name: &str, run: Box<dyn FnOnce(&Shared) + Send>) {
    let Err(panic) = catch_unwind(AssertUnwindSafe(|| run(shared))) else { return };
    let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
    let why = format!("the store's {name} thread has failed: {}", text.unwrap_or("without a word"));
    shared.log.seal(why.clone());
    shared.flush.give_up();
    (shared.config.on_failure)(&why);
}

fn dispatch(shared: &Shared, arrivals: &dyn Arrivals) {
    let bell = &shared.dispatch.bell;
    while !shared.is_stopping() {
        let sources = shared.sources();
        match shared.dispatch.step(&sources, Some(arrivals)) {
            Ok(progressed) => {
                // What was dispatched is told at once, however much is still to come.
                arrivals.caught_up();
                let behind = shared.readable_end().saturating_sub(shared.dispatch.done());
                if progressed {
                    shared.bells.keeper.ring();
                }
                if !progressed {
                    bell.wait(None, || shared.is_stopping() || shared.dispatch.done() < shared.readable_end());
                } else if behind < GATHER_BYTES {
                    bell.pause(if arrivals.awaited() { GATHER_TIME } else { GATHER_TIME_ALONE });
                }
            }
            Err(e) => {
                shared.dispatch_failed(&e);
                bell.pause(RETRY_PAUSE);
            }
        }
    }
}

fn catch_up_index(shared: &Shared) {
    let bell = &shared.dispatch.index_bell;
    while !shared.is_stopping() {
        match shared.dispatch.step_index(&shared.sources()) {
            Ok(true) => {}
            Ok(false) => bell.wait(None, || shared.is_stopping() || shared.dispatch.is_index_behind()),
            // It was told; messages are read and sent without the index meanwhile.
            Err(_) => bell.pause(RETRY_PAUSE),
        }
    }
}

fn flush(shared: &Shared) {
    let flush = &shared.flush;
    let is_dirty = || flush.durable() < shared.log.end() && shared.log.sealed().is_none();
    while !shared.is_stopping() {
        if !is_dirty() {
            if shared.log.sealed().is_some() {
                flush.give_up();
            }
            flush.bell.wait(None, || shared.is_stopping() || is_dirty());
            continue;
        }
        if flush.mode() == FlushMode::Async {
            flush.bell.pause(shared.config.flush_interval);
        }
        // A failure seals the log, which is reported there.
        let _ = shared.flush_log();
    }
}

fn expire(shared: &Shared) {
    let flush = &shared.flush;
    while !shared.is_stopping() {
        // Nobody who comes later has a nearer deadline, so a pause is not rung awake: once per timeout is enough.
        match flush.next_deadline() {
            Some(at) => flush.patience.pause(at.saturating_sub(shared.clock.elapsed())),
            None => flush.patience.wait(None, || shared.is_stopping() || flush.next_deadline().is_some()),
        }
        flush.expire();
    }
}

fn make_files(shared: &Shared) {
    while !shared.is_stopping() {
        if !shared.log.is_closed()
            && let Err(error) = shared.log.prepare_next()
        {
            // The append that needs the file will try again and report it.
            tracing::warn!(%error, "the next log file cannot be made ahead");
        }
        shared.bells.files.wait(None, || shared.is_stopping());
    }
}

fn keep(shared: &Shared) {
    let now = || shared.clock.elapsed();
    let mut clean_at = now().saturating_add(shared.config.clean_interval);
    let mut index_at = now().saturating_add(INDEX_SYNC_EVERY);
    let mut saved = None;
    while !shared.is_stopping() {
        let is_dirty = || saved != Some(shared.dispatch.done()) && shared.log.sealed().is_none();
        let until_clean = clean_at.saturating_sub(now());
        if is_dirty() {
            shared.bells.keeper.pause(shared.config.queue_flush_interval.min(until_clean));
        } else {
            shared.bells.keeper.wait(Some(until_clean), || shared.is_stopping() || is_dirty());
        }
        if shared.is_stopping() {
            return;
        }
        let done = shared.dispatch.done();
        if saved != Some(done) && shared.log.sealed().is_none() {
            match shared.save_checkpoint() {
                Ok(()) => saved = Some(done),
                Err(error) => tracing::error!(%error, "no checkpoint: a start after a crash takes longer"),
            }
        }
        if now() >= index_at {
            index_at = now().saturating_add(INDEX_SYNC_EVERY);
            if let Some(Err(error)) = shared.index.as_ref().map(crate::index::Index::sync) {
                tracing::error!(%error, "syncing the key index");
            }
        }
        if now() >= clean_at {
            clean_at = now().saturating_add(shared.config.clean_interval);
            shared.queues.close_idle();
            let pause = || {
                shared.bells.keeper.pause(shared.config.delete_pause);
                !shared.is_stopping()
            };
            if let Err(error) = shared.clean(false, &pause) {
                tracing::error!(%error, "deleting old files");
            }
        }
    }
}

impl Store {
    /// Deletes log files past their age now, whatever the hour, and what pointed into them.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn delete_expired_now(&self) -> io::Result<Deleted> {
        let mut all = Deleted::default();
        for _ in 0..ASKED_ROUNDS {
            let round = self.shared().clean(true, &|| true)?;
            all.segments = all.segments.saturating_add(round.segments);
            all.queue_files = all.queue_files.saturating_add(round.queue_files);
            all.index_files = all.index_files.saturating_add(round.index_files);
            if round.segments < retention::FILES_PER_ROUND {
                break;
            }
        }
        Ok(all)
    }
}

impl Shared {
    /// Looks how full the disk is, which may end or begin the refusal of appends.
    pub(crate) fn look_at_disk(&self) -> Option<u8> {
        let used = |path| self.disk.usage(path).map(|usage| usage.used_percent()).ok();
        let used = used(&self.config.commit_log_dir).max(used(&self.config.root))?;
        let full = used > self.config.disk_full_ratio;
        // Below the ratio there may still be no room for a whole file; the append that needs it finds out.
        if self.log.room().set(full, used) {
            let limit = self.config.disk_full_ratio;
            match full {
                true => tracing::error!(used, limit, "the disk is full: appends are refused until there is room"),
                false => tracing::info!(used, limit, "there is room on the disk again: appends go on"),
            }
        }
        Some(used)
    }

    fn dispatch_failed(&self, e: &io::Error) {
        if is_full(e) {
            // Messages that cannot be dispatched would pile up unseen.
            self.log.room().set(true, 100);
            tracing::error!(error = %e, "no room for queues: appends are refused until there is");
        } else {
            tracing::error!(error = %e, "dispatching failed, will be tried again");
        }
    }

    /// One round of retention.
    pub(crate) fn clean(&self, asked: bool, pause: retention::Pause<'_>) -> io::Result<Deleted> {
        // Rounds of the keeper and of operators follow each other.
        let _one = self.cleaning.lock();
        let now_ms = self.clock.wall_ms();
        let used = self.look_at_disk();
        let mut deleted = Deleted::default();
        let rules = self.retention.lock().clone();
        let Some(reason) = retention::reason(&self.config, &rules, now_ms, used, asked) else { return Ok(deleted) };
        if reason == Reason::Forced {
            tracing::warn!(used, "the disk is nearly full: deleting the oldest log files whatever their age");
        }
        // What is not in its queue or not on the medium yet is not old, whatever its time says.
        let settled = self.dispatch.done().min(self.flush.durable()).min(self.kept_from.load(Ordering::SeqCst));
        let is_due = |segment: &Segment| {
            Ok(segment.end() <= settled && retention::is_due(&rules, reason, now_ms, segment.file().modified_ms()?))
        };
        deleted.segments = retention::delete_segments(&self.log, &is_due, pause)?;
        self.counters.segments_deleted.add(deleted.segments as u64);
        let begin = self.log.begin();
        for queue in self.queues.all() {
            deleted.queue_files = deleted.queue_files.saturating_add(queue.delete_expired(begin)?);
        }
        if let Some(index) = &self.index {
            deleted.index_files = index.delete_expired(begin)?;
        }
        Ok(deleted)
    }

    /// Makes log and queues durable and notes how far, so that a start after a crash begins there.
    pub(crate) fn save_checkpoint(&self) -> io::Result<()> {
        self.save_checkpoint_over(&mut self.checkpoint.lock())
    }

    /// As [`Self::save_checkpoint`], by who holds the checkpoint.
    pub(crate) fn save_checkpoint_over(&self, checkpoint: &mut Checkpoint) -> io::Result<()> {
        // Taken before anything is synced: what comes in meanwhile belongs to the next checkpoint.
        let (mut mark, last, each, whole) = self.dispatch.between_steps(|| {
            let (queues, each) = self.queues.sum();
            let index_last = self.index.as_ref().map_or(0, |index| index.last_end().1);
            let (complete, indexed) = (self.dispatch.done(), self.dispatch.indexed());
            (
                Mark { complete, indexed, index_last, queues, last: None },
                self.dispatch.last(),
                each,
                !self.dispatch.holds(),
            )
        });
        let (log_ms, queues_ms) = (self.log.last_store_ms(), self.dispatch.store_ms());
        self.queues.finish_deletions()?;
        self.flush_log()?;
        for (queue, _) in &each {
            queue.flush()?;
        }
        let mut next = *checkpoint;
        // The newest time, not the largest: after the clock was set back, a large one would claim too much.
        next.log_ms = if log_ms == 0 { next.log_ms } else { log_ms };
        next.queues_ms = if queues_ms == 0 { next.queues_ms } else { queues_ms };
        if let Some(index) = &self.index {
            next.index_ms = index.sealed_ms();
            // After a crash Java throws away every index file that is not full and puts in the keys of those records
            // only that it finds behind these two times. Our own recovery goes by the mark, which is exact.
            next.log_ms = next.log_ms.min(next.index_ms);
            next.queues_ms = next.queues_ms.min(next.index_ms);
        }
        let is_new = !self.disk.exists(&self.paths.checkpoint);
        next.save(self.disk.as_ref(), &self.paths.checkpoint)?;
        if is_new {
            self.disk.sync_dir(&self.config.root)?;
        }
        *checkpoint = next;
        mark.last = last.map(|at| LastRecord::read(&self.log, at)).transpose()?.flatten();
        // A mark that nothing ties to its log is void, and need not be written.
        if whole && (mark.last.is_some() || mark.complete == 0) {
            mark.save(self.disk.as_ref(), &self.paths.checkpoint, &next)?;
            each.iter().for_each(|(queue, own)| queue.set_marked(*own));
        }
        Ok(())
    }

    /// Makes the log durable, and with synchronous flush tells dispatch how far messages may be handed out.
    pub(crate) fn flush_log(&self) -> io::Result<()> {
        let outcome = self.flush.flush(&self.log);
        if self.flush.mode() == FlushMode::Sync {
            self.dispatch.bell.ring();
        }
        outcome
    }
}
