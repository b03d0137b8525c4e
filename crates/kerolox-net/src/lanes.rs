//! Threads that own their connections.
//!
//! A connection is read, served and written by one thread for its whole life, so that no request waits for another
//! thread to be woken. While one peer alone asks for one thing after the other, its lane looks for the next request for
//! a moment before it sleeps: waking a sleeping thread takes longer than serving it.

use std::cell::{Cell, RefCell};
use std::future::{Future, poll_fn};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Poll, Waker};
use std::thread::{self, Builder};
use std::time::Duration;

use tokio::runtime::{self, Handle};
use tokio::sync::watch;
use tokio::time::Instant;

/// Requests in a row after which a peer is taken to be alone and quick.
const STREAK: u32 = 4;
/// Longest time from an answer to the next request of a quick peer, and the time spent looking for it.
const LOOK_OUT: Duration = Duration::from_micros(50);

/// As many threads as the machine has cores, each with connections of its own. They end with the last user.
#[derive(Debug)]
pub struct Lanes {
    lanes: Vec<Lane>,
    /// Its end is the threads' end.
    _open: watch::Sender<()>,
}

#[derive(Debug)]
struct Lane {
    handle: Handle,
    connections: Arc<AtomicUsize>,
}

impl Lanes {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system has no thread or no descriptor left.
    pub fn start() -> io::Result<Self> {
        let count = thread::available_parallelism().map_or(1, usize::from);
        let (open, closed) = watch::channel(());
        let lane = |number: usize| {
            let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
            let (handle, mut closed) = (runtime.handle().clone(), closed.clone());
            let run = async move {
                tokio::select! {
                    _ = closed.changed() => {}
                    () = look_out() => {}
                }
            };
            Builder::new().name(format!("lane-{number}")).spawn(move || runtime.block_on(run))?;
            Ok(Lane { handle, connections: Arc::default() })
        };
        Ok(Self { lanes: (0..count).map(lane).collect::<io::Result<_>>()?, _open: open })
    }

    /// Gives a connection to the lane that has the fewest.
    pub(crate) fn spawn(&self, connection: impl Future<Output = ()> + Send + 'static) {
        let Some(lane) = self.lanes.iter().min_by_key(|lane| lane.connections.load(Ordering::Relaxed)) else { return };
        let counted = Counted::new(&lane.connections);
        lane.handle.spawn(async move {
            let _counted = counted;
            connection.await;
        });
    }
}

/// One more connection of a lane, as long as it lives.
struct Counted(Arc<AtomicUsize>);

impl Counted {
    fn new(connections: &Arc<AtomicUsize>) -> Self {
        connections.fetch_add(1, Ordering::Relaxed);
        Self(Arc::clone(connections))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Tells from the requests of a lane whether one peer alone asks, quickly and for one thing at a time.
#[derive(Debug, Default)]
struct Pace {
    /// Connection that asked last, 0 for none.
    peer: u64,
    /// When its answer was written, until it asks again.
    answered: Option<Instant>,
    /// Its quick requests in a row.
    streak: u32,
}

impl Pace {
    const NEW: Self = Self { peer: 0, answered: None, streak: 0 };

    /// A read brought so many requests.
    fn asked(&mut self, peer: u64, requests: usize, now: impl FnOnce() -> Instant) {
        let answered = self.answered.take().filter(|_| self.peer == peer && requests == 1);
        let quick = answered.is_some_and(|at| now().saturating_duration_since(at) < LOOK_OUT);
        self.streak = if quick { self.streak.saturating_add(1) } else { 0 };
        self.peer = peer;
    }

    /// A connection has nothing left to do; says until when its next request is worth looking for.
    fn idle(&mut self, peer: u64, now: impl FnOnce() -> Instant) -> Option<Instant> {
        if self.peer != peer || self.answered.is_some() {
            return None;
        }
        let now = now();
        self.answered = Some(now);
        (self.streak >= STREAK).then(|| now + LOOK_OUT)
    }
}

/// What a lane's thread knows.
struct Here {
    pace: RefCell<Pace>,
    until: Cell<Option<Instant>>,
    waker: Cell<Option<Waker>>,
}

thread_local! {
    static HERE: Here = const { Here { pace: RefCell::new(Pace::NEW), until: Cell::new(None), waker: Cell::new(None) } };
}

/// Notes on the thread of a connection that a read brought so many requests.
pub(crate) fn asked(peer: u64, requests: usize) {
    HERE.with(|here| here.pace.borrow_mut().asked(peer, requests, Instant::now));
}

/// Notes on the thread of a connection that it has nothing left to do.
pub(crate) fn idle(peer: u64) {
    HERE.with(|here| {
        let Some(until) = here.pace.borrow_mut().idle(peer, Instant::now) else { return };
        here.until.set(Some(until));
        if let Some(waker) = here.waker.take() {
            waker.wake();
        }
    });
}

/// Keeps the thread from sleeping while a request is likely to come at once.
async fn look_out() {
    loop {
        poll_fn(|cx| {
            HERE.with(|here| {
                here.waker.set(Some(cx.waker().clone()));
                if here.until.get().is_some() { Poll::Ready(()) } else { Poll::Pending }
            })
        })
        .await;
        while HERE.with(|here| here.until.get().is_some_and(|until| Instant::now() < until)) {
            // Others that want this core come first.
            thread::yield_now();
            tokio::task::yield_now().await;
        }
        HERE.with(|here| here.until.set(None));
    }
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;

    use super::*;

    /// Plays requests of (connection, requests, µs since the last answer), each answered at once; says what is worth it.
    fn worth(requests: &[(u64, usize, u64)]) -> Vec<bool> {
        let mut pace = Pace::default();
        let mut now = Instant::now();
        let mut play = |(peer, count, after): &(u64, usize, u64)| {
            now += Duration::from_micros(*after);
            pace.asked(*peer, *count, || now);
            pace.idle(*peer, || now).is_some()
        };
        requests.iter().map(&mut play).collect()
    }

    #[test]
    fn a_peer_that_asks_alone_and_quickly_is_looked_out_for() {
        assert_eq!(worth(&[(1, 1, 10); 7]), [false, false, false, false, true, true, true]);
        assert_eq!(worth(&[(1, 1, 60); 7]), [false; 7], "it takes its time");
        assert_eq!(worth(&[(1, 2, 10); 7]), [false; 7], "it asks for more than one thing");
        let two: Vec<_> = (0..8).map(|n| (n % 2 + 1, 1, 10)).collect();
        assert_eq!(worth(&two), [false; 8], "it is not alone");
        let mut pauses = [(1, 1, 10); 8];
        pauses[5].2 = 100;
        assert_eq!(
            worth(&pauses),
            [false, false, false, false, true, false, false, false],
            "it must prove itself anew"
        );
    }

    #[test]
    fn a_look_out_begins_with_the_answer_and_not_with_later_idleness() {
        let mut pace = Pace { peer: 1, answered: None, streak: STREAK };
        let now = Instant::now();
        assert_eq!(pace.idle(2, || now), None, "another connection was polled");
        assert_eq!(pace.idle(1, || now), Some(now + LOOK_OUT));
        assert_eq!(pace.idle(1, || now + LOOK_OUT), None);
    }

    #[tokio::test]
    async fn connections_are_shared_out_evenly_and_each_keeps_its_thread() {
        let lanes = Lanes::start().unwrap();
        let (tell, mut told) = mpsc::unbounded_channel();
        let count = lanes.lanes.len();
        for _ in 0..2 * count {
            let tell = tell.clone();
            lanes.spawn(async move {
                let first = thread::current().id();
                tokio::task::yield_now().await;
                tell.send((first, thread::current().id())).unwrap();
                std::future::pending::<()>().await;
            });
        }
        for _ in 0..2 * count {
            let (first, then) = told.recv().await.unwrap();
            assert_eq!(first, then);
        }
        assert!(lanes.lanes.iter().all(|lane| lane.connections.load(Ordering::Relaxed) == 2));
        drop(lanes);
        drop(tell);
        assert!(told.recv().await.is_none(), "with the lanes their connections end");
    }
}
