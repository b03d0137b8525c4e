//! Threads that own their connections.
//!
//! A connection is read, served and written by one thread, so that no request waits for another thread to be woken.
//! While one peer alone asks for one thing after the other, its lane looks for the next request for a moment before it
//! sleeps: waking a sleeping thread takes longer than serving it.
//!
//! A thread that does not come back, as from a write to a disk that hangs, keeps the connection it works for; a fresh
//! thread takes over the others of its lane.

mod pace;
mod rescue;
mod seat;

use std::cell::OnceCell;
use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread::{self, Builder};

use parking_lot::Mutex;
use tokio::runtime::{self, Handle};
use tokio::sync::{oneshot, watch};

use crate::connection::Connection;
pub(crate) use pace::{asked, idle};
pub(crate) use seat::{LaneStream, Move};
use seat::{Seat, Seated};

/// As many threads as the machine has cores, each with connections of its own. They end with the last user.
#[derive(Debug)]
pub struct Lanes {
    lanes: Vec<Arc<Lane>>,
    /// Its end is the threads' end.
    _open: watch::Sender<()>,
    /// Its end is the end of the thread that watches the others.
    _watched: mpsc::Sender<()>,
}

/// The connections of one thread, and of those that take its place.
struct Lane {
    number: usize,
    state: Mutex<LaneState>,
    closed: watch::Receiver<()>,
}

struct LaneState {
    thread: LaneThread,
    /// By the number of the peer.
    seats: HashMap<u64, Arc<dyn Seat>>,
}

/// A thread that runs connections.
struct LaneThread {
    handle: Handle,
    progress: Arc<Progress>,
    /// Ends the thread when it is next between two connections.
    retire: oneshot::Sender<()>,
}

/// How often a thread has begun or ended work for a connection: odd while it is at work.
#[derive(Debug, Default)]
struct Progress(AtomicU64);

impl Progress {
    /// Only the thread itself writes.
    fn step(&self) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
    }
}

impl Lanes {
    /// Starts the threads.
    ///
    /// # Errors
    /// When the system has no thread or no descriptor left.
    pub fn start() -> io::Result<Self> {
        let count = thread::available_parallelism().map_or(1, usize::from);
        let (open, closed) = watch::channel(());
        let lanes: Vec<_> = (0..count).map(|number| Lane::start(number, &closed)).collect::<io::Result<_>>()?;
        let watched = rescue::watch(lanes.clone())?;
        Ok(Self { lanes, _open: open, _watched: watched })
    }

    /// Gives a connection to the lane that has the fewest.
    pub(crate) fn spawn<S: LaneStream>(&self, connection: Connection<S>) {
        let Some(lane) = self.lanes.iter().min_by_key(|lane| lane.state.lock().seats.len()) else { return };
        let id = connection.peer_id();
        let seat = Arc::new(Seated::new(Arc::clone(lane), connection));
        let mut state = lane.state.lock();
        state.seats.insert(id, Arc::clone(&seat) as Arc<dyn Seat>);
        let handle = state.thread.handle.clone();
        drop(state);
        seat.begin(&handle);
    }
}

impl Lane {
    fn start(number: usize, closed: &watch::Receiver<()>) -> io::Result<Arc<Self>> {
        let thread = LaneThread::start(number, closed.clone())?;
        let state = Mutex::new(LaneState { thread, seats: HashMap::new() });
        Ok(Arc::new(Self { number, state, closed: closed.clone() }))
    }

    /// Forgets a connection that has ended.
    fn remove(&self, id: u64) {
        let seat = self.state.lock().seats.remove(&id);
        drop(seat);
    }
}

impl std::fmt::Debug for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Lane({})", self.number)
    }
}

thread_local! {
    /// Progress of the present thread.
    static PROGRESS: OnceCell<Arc<Progress>> = const { OnceCell::new() };
}

impl LaneThread {
    fn start(number: usize, mut closed: watch::Receiver<()>) -> io::Result<Self> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let (handle, progress) = (runtime.handle().clone(), Arc::<Progress>::default());
        let (retire, retired) = oneshot::channel();
        let run = async move {
            tokio::select! {
                _ = closed.changed() => {}
                _ = retired => {}
                () = pace::look_out() => {}
            }
        };
        let own = Arc::clone(&progress);
        Builder::new().name(format!("lane-{number}")).spawn(move || {
            PROGRESS.with(|progress| {
                progress.get_or_init(|| own);
            });
            runtime.block_on(run);
        })?;
        Ok(Self { handle, progress, retire })
    }
}

/// Work for a connection, as the thread that watches sees it.
struct Working;

impl Working {
    fn begin() -> Self {
        Self::step();
        Self
    }

    fn step() {
        PROGRESS.with(|progress| {
            if let Some(progress) = progress.get() {
                progress.step();
            }
        });
    }
}

impl Drop for Working {
    fn drop(&mut self) {
        Self::step();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::DuplexStream;

    use super::*;
    use crate::connection::{Presence, Reading, Shared};
    use crate::peer::{Peer, PeerLimits};
    use crate::peers::Peers;

    impl Move for DuplexStream {
        fn move_here(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn connections_are_spread_and_end_with_the_lanes() {
        let lanes = Lanes::start().unwrap();
        let limits = PeerLimits { push_bytes_max: 1000, counters: Arc::default() };
        let peers = Arc::new(Peers::new(Duration::from_secs(60), None, limits.clone()));
        let shared =
            Shared { peers: Arc::clone(&peers), service: None, frame_max: 1000, reading: Reading::AfterWriting };
        let nowhere = ([127, 0, 0, 1], 1).into();
        let mut far = Vec::new();
        for _ in 0..2 * lanes.lanes.len() {
            let (near, end) = tokio::io::duplex(100);
            let peer = Arc::new(Peer::new(nowhere, nowhere, limits.clone(), 0));
            lanes.spawn(Connection::new(near, Presence::new(shared.clone(), peer)));
            far.push(end);
        }
        assert!(lanes.lanes.iter().all(|lane| lane.state.lock().seats.len() == 2));
        far.pop();
        while peers.len() > far.len() {
            tokio::task::yield_now().await;
        }
        let left: usize = lanes.lanes.iter().map(|lane| lane.state.lock().seats.len()).sum();
        assert_eq!(left, far.len());
        drop(lanes);
        peers.gone().await;
    }
}
