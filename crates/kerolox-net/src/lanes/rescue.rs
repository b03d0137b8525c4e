//! The thread that finds lanes whose thread does not come back, and gives their other connections to a fresh one.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::thread::Builder;
use std::time::Duration;

use tokio::sync::oneshot;

use super::{Lane, LaneThread, Seat};

/// Time between two looks at the lanes.
const TICK: Duration = Duration::from_millis(20);
/// Looks in a row that find a thread at the same work before its lane is taken over: 40 to 60 ms.
const SAME_WORK_MAX: u32 = 2;
/// Looks after a warning in which there is no second one: 10 s. A slow disk could cause many a second.
const QUIET_TICKS: u32 = 500;
/// Most threads in place of which others run. Each of them waits for something that does not come back.
const HELD_UP_MAX: usize = 64;

/// Starts to watch; ends when the returned value is dropped.
pub(super) fn watch(lanes: Vec<Arc<Lane>>) -> io::Result<mpsc::Sender<()>> {
    let (watched, until) = mpsc::channel();
    let mut watches: Vec<_> = lanes.into_iter().map(Watch::new).collect();
    Builder::new().name("lanes-watch".to_owned()).spawn(move || {
        while until.recv_timeout(TICK) == Err(mpsc::RecvTimeoutError::Timeout) {
            for watch in &mut watches {
                watch.tick();
            }
        }
    })?;
    Ok(watched)
}

/// One lane as it was seen.
struct Watch {
    lane: Arc<Lane>,
    progress: u64,
    same_work: u32,
    /// Looks until the next warning may be given.
    quiet: u32,
    held_up: Vec<HeldUp>,
}

/// A thread whose lane was taken over, with the connections that it is at work for.
struct HeldUp {
    /// Ends the thread once its connections are taken over; dropping it does the same.
    _retire: oneshot::Sender<()>,
    seats: Vec<Arc<dyn Seat>>,
}

impl Watch {
    fn new(lane: Arc<Lane>) -> Self {
        Self { lane, progress: 0, same_work: 0, quiet: 0, held_up: Vec::new() }
    }

    fn tick(&mut self) {
        self.quiet = self.quiet.saturating_sub(1);
        if self.is_stuck() {
            self.take_over();
        }
        self.take_over_rest();
    }

    /// Whether the thread has been at the same work for too long.
    fn is_stuck(&mut self) -> bool {
        let progress = self.lane.state.lock().thread.progress.0.load(Ordering::Relaxed);
        let at_work = progress % 2 == 1;
        self.same_work = if at_work && progress == self.progress { self.same_work.saturating_add(1) } else { 0 };
        self.progress = progress;
        self.same_work >= SAME_WORK_MAX
    }

    /// Gives the lane a fresh thread and moves to it whatever the old one is not at work for. A lane with one connection
    /// stays as it is until another one comes.
    fn take_over(&mut self) {
        let alone = self.lane.state.lock().seats.len() <= 1;
        if alone || self.held_up.len() >= HELD_UP_MAX {
            return;
        }
        let thread = match LaneThread::start(self.lane.number, self.lane.closed.clone()) {
            Ok(thread) => thread,
            Err(error) if self.may_warn() => {
                tracing::error!(%error, lane = self.lane.number, "failed to start a thread for held up connections");
                return;
            }
            Err(_) => return,
        };
        let (old, seats) = {
            let mut state = self.lane.state.lock();
            let old = std::mem::replace(&mut state.thread, thread);
            (old, state.seats.values().cloned().collect::<Vec<_>>())
        };
        self.tell(seats.len());
        self.same_work = 0;
        self.held_up.push(HeldUp { _retire: old.retire, seats });
    }

    fn tell(&mut self, connections: usize) {
        let lane = self.lane.number;
        if self.may_warn() {
            tracing::warn!(lane, connections, "a thread of connections is held up, another takes over; check the disk");
        } else {
            tracing::debug!(lane, connections, "a thread of connections is held up again");
        }
    }

    /// Whether the last warning was long enough ago.
    fn may_warn(&mut self) -> bool {
        let may = self.quiet == 0;
        if may {
            self.quiet = QUIET_TICKS;
        }
        may
    }

    /// Moves connections for which a held up thread is no longer at work, and ends the thread with the last.
    fn take_over_rest(&mut self) {
        if self.held_up.is_empty() {
            return;
        }
        let handle = self.lane.state.lock().thread.handle.clone();
        for held_up in &mut self.held_up {
            held_up.seats.retain(|seat| !Arc::clone(seat).take_over(&handle));
        }
        self.held_up.retain(|held_up| !held_up.seats.is_empty());
    }
}
