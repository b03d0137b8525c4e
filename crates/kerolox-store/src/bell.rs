//! How a thread sleeps until there is work, so that waking it costs nothing while it is awake.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

/// The bell of one sleeping thread.
#[derive(Default)]
pub(crate) struct Bell {
    asleep: AtomicBool,
    rung: Mutex<bool>,
    woken: Condvar,
}

impl Bell {
    /// There is work: wakes the thread if it sleeps. The caller has published the work before, with `SeqCst` order.
    pub(crate) fn ring(&self) {
        if self.asleep.load(Ordering::SeqCst) {
            self.ring_loud();
        }
    }

    /// Ends any wait, also a pause.
    pub(crate) fn ring_loud(&self) {
        *self.rung.lock() = true;
        self.woken.notify_one();
    }

    /// Sleeps until it rings or `at_most` has passed, unless there is work already. The thread says that it sleeps
    /// before it looks for work a last time, and who brings work looks for sleepers after bringing it: one sees the other.
    pub(crate) fn wait(&self, at_most: Option<Duration>, has_work: impl Fn() -> bool) {
        self.asleep.store(true, Ordering::SeqCst);
        if !has_work() {
            self.block(at_most);
        }
        self.asleep.store(false, Ordering::SeqCst);
    }

    /// Sleeps for a time during which work may gather; only `ring_loud` ends it early.
    pub(crate) fn pause(&self, time: Duration) {
        self.block(Some(time));
    }

    fn block(&self, at_most: Option<Duration>) {
        let mut rung = self.rung.lock();
        if !*rung {
            match at_most {
                Some(time) => drop(self.woken.wait_for(&mut rung, time)),
                None => self.woken.wait(&mut rung),
            }
        }
        *rung = false;
    }
}
