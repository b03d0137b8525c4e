//! A connection in a lane: its state, the task that drives it, and how another thread takes it over.
//!
//! The state is locked only while the connection is read, served and written, never across a wait, so a connection that
//! is not being worked for can be taken from a thread that does not come back.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::Handle;

use super::{Lane, Working};
use crate::connection::Connection;

/// Owner before any thread had the connection.
const FIRST_OWNER: u64 = 0;

/// A stream that can wait for its socket on another thread than so far.
pub(crate) trait Move {
    /// Registers the socket with the runtime of the present thread.
    fn move_here(&mut self) -> io::Result<()>;
}

/// What a connection in a lane reads and writes.
pub(crate) trait LaneStream: AsyncRead + AsyncWrite + Move + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Move + Unpin + Send + 'static> LaneStream for S {}

/// A connection whatever its stream.
pub(super) trait Seat: Send + Sync {
    /// Has another thread drive the connection; false when the present one is at work for it. A connection that has
    /// ended counts as taken over.
    fn take_over(self: Arc<Self>, thread: &Handle) -> bool;
}

/// A connection in a lane.
pub(super) struct Seated<S> {
    lane: Arc<Lane>,
    id: u64,
    state: Mutex<State<S>>,
}

struct State<S> {
    /// None once it has ended.
    connection: Option<Connection<S>>,
    /// Number of the task that drives it; tasks of lower numbers end without touching it.
    owner: u64,
    /// Whether the socket is registered with the owner's runtime.
    here: bool,
}

impl<S: LaneStream> Seated<S> {
    pub(super) fn new(lane: Arc<Lane>, connection: Connection<S>) -> Self {
        let id = connection.peer_id();
        Self { lane, id, state: Mutex::new(State { connection: Some(connection), owner: FIRST_OWNER, here: false }) }
    }

    /// Has the first thread drive the connection, unless another has taken it over already.
    pub(super) fn begin(self: Arc<Self>, thread: &Handle) {
        let mut state = self.state.lock();
        if state.owner == FIRST_OWNER {
            let owner = state.next_owner();
            drop(state);
            thread.spawn(Driver { seat: self, owner });
        }
    }

    fn poll(&self, owner: u64, cx: &mut Context<'_>) -> Poll<()> {
        let _working = Working::begin();
        let mut state = self.state.lock();
        if state.owner != owner {
            return Poll::Ready(());
        }
        let State { connection: Some(connection), here, .. } = &mut *state else { return Poll::Ready(()) };
        let moved = if std::mem::replace(here, true) { Ok(()) } else { connection.move_here() };
        let polled = moved.map_or_else(Poll::Ready, |()| connection.poll(cx));
        let Poll::Ready(reason) = polled else { return Poll::Pending };
        connection.report(&reason);
        let ended = state.connection.take();
        drop(state);
        self.forget(ended);
        Poll::Ready(())
    }

    /// Ends a connection whose task is gone without having ended it: after a panic, or with the threads.
    fn abandon(&self, owner: u64) {
        let mut state = self.state.lock();
        if state.owner == owner {
            let ended = state.connection.take();
            drop(state);
            self.forget(ended);
        }
    }

    fn forget(&self, ended: Option<Connection<S>>) {
        if ended.is_some() {
            self.lane.remove(self.id);
        }
        // Tells the service, which may take its time: neither lock is held.
        drop(ended);
    }
}

impl<S> State<S> {
    fn next_owner(&mut self) -> u64 {
        self.owner = self.owner.wrapping_add(1);
        self.here = false;
        self.owner
    }
}

impl<S: LaneStream> Seat for Seated<S> {
    fn take_over(self: Arc<Self>, thread: &Handle) -> bool {
        let Some(mut state) = self.state.try_lock() else { return false };
        if state.connection.is_some() {
            let owner = state.next_owner();
            drop(state);
            // Without the lock: a runtime that has ended drops the task at once.
            thread.spawn(Driver { seat: Arc::clone(&self), owner });
        }
        true
    }
}

/// The task of a connection on one thread.
struct Driver<S: LaneStream> {
    seat: Arc<Seated<S>>,
    owner: u64,
}

impl<S: LaneStream> Future for Driver<S> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.seat.poll(self.owner, cx)
    }
}

impl<S: LaneStream> Drop for Driver<S> {
    fn drop(&mut self) {
        self.seat.abandon(self.owner);
    }
}
