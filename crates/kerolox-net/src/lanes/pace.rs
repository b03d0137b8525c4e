//! Looking for the next request of a quick, lone peer before the thread sleeps.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::task::{Poll, Waker};
use std::thread;
use std::time::Duration;

use tokio::time::Instant;

/// Requests in a row after which a peer is taken to be alone and quick.
const STREAK: u32 = 4;
/// Longest time from an answer to the next request of a quick peer, and the time spent looking for it.
const LOOK_OUT: Duration = Duration::from_micros(50);

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
pub(super) async fn look_out() {
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
}
