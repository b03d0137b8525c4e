//! Durability of the log: one sync for everything appended before it, and a watermark that replies wait on.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kerolox_wire::clock::Clock;
use parking_lot::Mutex;

use crate::bell::Bell;
use crate::commit_log::CommitLog;
use crate::config::FlushMode;
use crate::times::Times;

/// How the wait for durability ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// It counts as stored in the chosen mode.
    Durable,
    /// It is stored, but the medium did not confirm it in time.
    TimedOut,
    /// The medium refused it; the log is sealed.
    Failed,
}

/// What is called when a wait ends; runs on a thread of the store and must be short.
pub type WhenDurable = Box<dyn FnOnce(Durability) + Send>;

struct Waiter {
    end: u64,
    deadline: Duration,
    done: WhenDurable,
}

#[derive(Default)]
struct Waiting {
    list: Vec<Waiter>,
    /// Nothing will be synced any more: nobody may begin to wait.
    over: bool,
}

/// The durable end of the log and who waits for it.
pub(crate) struct Flush {
    mode: FlushMode,
    timeout: Duration,
    clock: Arc<dyn Clock>,
    durable: AtomicU64,
    /// Held during a sync: only one at a time, so that the watermark moves in order.
    syncing: Mutex<()>,
    waiting: Mutex<Waiting>,
    /// How long syncs took.
    pub(crate) times: Times,
    /// Wakes the flush thread.
    pub(crate) bell: Bell,
    /// Wakes the thread that tells who has waited too long.
    pub(crate) patience: Bell,
}

impl Flush {
    pub(crate) fn new(mode: FlushMode, timeout: Duration, clock: Arc<dyn Clock>, durable: u64) -> Self {
        Self {
            mode,
            timeout,
            clock,
            durable: AtomicU64::new(durable),
            syncing: Mutex::new(()),
            waiting: Mutex::default(),
            times: Times::default(),
            bell: Bell::default(),
            patience: Bell::default(),
        }
    }

    pub(crate) fn mode(&self) -> FlushMode {
        self.mode
    }

    /// Everything before it is on the medium.
    pub(crate) fn durable(&self) -> u64 {
        self.durable.load(Ordering::SeqCst)
    }

    /// Calls `done` once everything before `end` counts as stored.
    pub(crate) fn when_durable(&self, log: &CommitLog, end: u64, done: WhenDurable) {
        if self.mode == FlushMode::Async || self.durable() >= end {
            return done(Durability::Durable);
        }
        {
            let mut waiting = self.waiting.lock();
            // Looked at again under the lock: whoever moves the watermark or seals takes the lock afterwards.
            if self.durable() < end && log.sealed().is_none() && !waiting.over {
                let deadline = self.clock.elapsed().saturating_add(self.timeout);
                waiting.list.push(Waiter { end, deadline, done });
                drop(waiting);
                self.bell.ring();
                return self.patience.ring();
            }
        }
        done(if self.durable() >= end { Durability::Durable } else { Durability::Failed });
    }

    /// Makes everything written so far durable. A failure seals the log: what the medium has is then unknown, and
    /// asking again would confirm what is lost.
    pub(crate) fn flush(&self, log: &CommitLog) -> io::Result<()> {
        let outcome = {
            let _one = self.syncing.lock();
            self.sync(log)
        };
        self.release(log);
        outcome
    }

    fn sync(&self, log: &CommitLog) -> io::Result<()> {
        let (from, to) = (self.durable(), log.end());
        if from >= to {
            return Ok(());
        }
        if let Some(why) = log.sealed() {
            return Err(io::Error::other(format!("the log is sealed: {why}")));
        }
        let before = self.clock.elapsed();
        for segment in log.segments().list().iter().filter(|s| s.base() < to && s.end() > from) {
            if let Err(e) = log.segments().sync(segment) {
                log.seal(format!("syncing {}: {e}", segment.path().display()));
                return Err(e);
            }
        }
        self.durable.store(to, Ordering::SeqCst);
        self.times.note(self.clock.elapsed().saturating_sub(before), 1);
        Ok(())
    }

    /// Answers all whose wait is over.
    fn release(&self, log: &CommitLog) {
        let (durable, now) = (self.durable(), self.clock.elapsed());
        let no_more = log.sealed().is_some();
        self.answer(|waiter| {
            if waiter.end <= durable {
                Some(Durability::Durable)
            } else if no_more {
                Some(Durability::Failed)
            } else {
                (waiter.deadline <= now).then_some(Durability::TimedOut)
            }
        });
    }

    /// When the first of those who wait has waited too long; `None` while nobody waits.
    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        // All wait equally long, so the first to come is the first to give up.
        self.waiting.lock().list.first().map(|waiter| waiter.deadline)
    }

    /// Answers all that have waited too long. Its thread never touches the disk: a sync that hangs does not hold up the
    /// answers.
    pub(crate) fn expire(&self) {
        let now = self.clock.elapsed();
        self.answer(|waiter| (waiter.deadline <= now).then_some(Durability::TimedOut));
    }

    /// Ends all waiting for good: the store stops.
    pub(crate) fn end(&self) {
        self.waiting.lock().over = true;
        self.give_up();
    }

    /// Answers all that still wait: the log is sealed.
    pub(crate) fn give_up(&self) {
        let durable = self.durable();
        self.answer(|w| Some(if w.end <= durable { Durability::Durable } else { Durability::Failed }));
    }

    fn answer(&self, verdict: impl Fn(&Waiter) -> Option<Durability>) {
        let mut ended = Vec::new();
        {
            let mut waiting = self.waiting.lock();
            for waiter in std::mem::take(&mut waiting.list) {
                match verdict(&waiter) {
                    Some(durability) => ended.push((waiter.done, durability)),
                    None => waiting.list.push(waiter),
                }
            }
        }
        for (done, durability) in ended {
            done(durability);
        }
    }
}
