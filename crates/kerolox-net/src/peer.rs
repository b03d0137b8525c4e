//! The other end of one connection, as the rest of the program sees it.
//!
//! Any thread may push, call or close; the connection's task picks that up and joins it into its next write.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, AtomicU64, Ordering};
use std::task::Waker;
use std::time::Duration;

use bytes::Bytes;
use kerolox_wire::frame::Frame;
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::counters::{Counters, bump};
use crate::outgoing::Outgoing;

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// The peer closed it.
    #[error("closed by the peer")]
    Peer,
    /// Nothing was read or written for the idle time.
    #[error("idle for {0:?}")]
    Idle(Duration),
    /// A frame, or the handshake, was begun and not finished in time.
    #[error("no complete frame within {0:?}")]
    Slow(Duration),
    /// Bytes that are no frame.
    #[error("malformed frame: {0}")]
    Malformed(String),
    /// The peer takes in less than is pushed to it.
    #[error("{queued} bytes wait to be pushed, the limit is {limit}")]
    Overflow {
        /// Bytes queued, with the push that was refused.
        queued: usize,
        /// Most bytes that may wait.
        limit: usize,
    },
    /// Serving its requests panicked.
    #[error("serving its request panicked")]
    Panic,
    /// TLS where it is disabled, none where it is enforced, or a failed handshake.
    #[error("TLS: {0}")]
    Tls(String),
    /// The socket failed.
    #[error("socket error: {0}")]
    Io(String),
    /// This program asked for it.
    #[error("closed by this node: {0}")]
    Asked(String),
    /// The node shuts down.
    #[error("shutting down")]
    Shutdown,
}

/// Why a push was refused. Either way the connection is closed or about to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// The connection is closed.
    #[error("the connection is closed")]
    Closed,
    /// Too many bytes wait already; the connection is being closed for it.
    #[error("{queued} bytes wait to be pushed, the limit is {limit}")]
    Overflow {
        /// Bytes queued, with this push.
        queued: usize,
        /// Most bytes that may wait.
        limit: usize,
    },
}

/// Why a call has no response.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CallError {
    /// No connection to that address.
    #[error("cannot connect to {addr}: {why}")]
    Connect {
        /// The address as it was given.
        addr: String,
        /// What the resolver, the socket or TLS said.
        why: String,
    },
    /// No response in time; it may have been served all the same.
    #[error("no response from {addr} within {after:?}")]
    Timeout {
        /// The peer.
        addr: String,
        /// Time waited.
        after: Duration,
    },
    /// The connection ended before the response came.
    #[error("the connection to {addr} closed before a response came")]
    Closed {
        /// The peer.
        addr: String,
    },
    /// Too much waits to be written on that connection.
    #[error(transparent)]
    Push(#[from] PushError),
}

/// How far the end of a connection has come; later states never return to earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Reading and writing.
    Open,
    /// No new requests are read; what is due is still written.
    Quiet,
    /// Write what is due, say goodbye, end.
    Finish,
    /// End at once.
    Close,
}

/// What other threads left for the connection's task.
#[derive(Debug)]
struct Mailbox {
    queue: Vec<Bytes>,
    /// Bytes of `queue` and of what the task took from it and has not written yet.
    bytes: usize,
    taken: usize,
    phase: Phase,
    why: Option<CloseReason>,
    waker: Option<Waker>,
}

/// Limits and counters that the connections of one listener or pool share.
#[derive(Debug, Clone)]
pub(crate) struct PeerLimits {
    pub(crate) push_bytes_max: usize,
    pub(crate) counters: Arc<Counters>,
}

/// The other end of one connection.
pub struct Peer {
    id: u64,
    remote: SocketAddr,
    local: SocketAddr,
    limits: PeerLimits,
    mailbox: Mutex<Mailbox>,
    /// Set whenever the mailbox holds something new, so that the task looks into it without the lock.
    mail: AtomicBool,
    closed: AtomicBool,
    calls: Mutex<HashMap<i32, oneshot::Sender<Frame>>>,
    next_opaque: AtomicI32,
    /// Sweep number at which bytes last moved.
    active: AtomicU32,
    /// Sweep number at which the unfinished frame or handshake began, plus one; 0 when there is none.
    begun: AtomicU32,
}

impl Peer {
    pub(crate) fn new(remote: SocketAddr, local: SocketAddr, limits: PeerLimits, sweep: u32) -> Self {
        static NEXT_ID: AtomicU64 = AtomicU64::new(1);
        let mailbox = Mailbox { queue: Vec::new(), bytes: 0, taken: 0, phase: Phase::Open, why: None, waker: None };
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            remote,
            local,
            limits,
            mailbox: Mutex::new(mailbox),
            mail: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            calls: Mutex::new(HashMap::new()),
            next_opaque: AtomicI32::new(1),
            active: AtomicU32::new(sweep),
            begun: AtomicU32::new(sweep.wrapping_add(1)),
        }
    }

    /// A number that no other connection of this process has or had.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// The peer's address.
    #[must_use]
    pub fn remote(&self) -> SocketAddr {
        self.remote
    }

    /// This node's end of the connection.
    #[must_use]
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// Whether frames can still be pushed.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !self.closed.load(Ordering::Acquire)
    }

    /// Sends whole encoded frames from any thread; does not wait.
    ///
    /// # Errors
    /// When the connection is closed, or when more than the limit would wait, which closes it.
    pub fn push(&self, frames: Bytes) -> Result<(), PushError> {
        let mut mailbox = self.mailbox.lock();
        if mailbox.phase >= Phase::Finish {
            return Err(PushError::Closed);
        }
        let queued = mailbox.bytes.saturating_add(frames.len());
        let limit = self.limits.push_bytes_max;
        if queued > limit {
            self.closed.store(true, Ordering::Release);
            mailbox.phase = Phase::Close;
            mailbox.why = Some(CloseReason::Overflow { queued, limit });
            self.signal(mailbox);
            return Err(PushError::Overflow { queued, limit });
        }
        mailbox.bytes = queued;
        mailbox.queue.push(frames);
        self.signal(mailbox);
        Ok(())
    }

    /// Bytes that may still be pushed before the limit.
    #[must_use]
    pub fn push_room(&self) -> usize {
        self.limits.push_bytes_max.saturating_sub(self.mailbox.lock().bytes)
    }

    /// Sends a request that nobody answers.
    ///
    /// # Errors
    /// As [`Peer::push`].
    pub fn notify(&self, frame: &Frame) -> Result<(), PushError> {
        let mut frame = frame.clone().oneway();
        frame.opaque = self.fresh_opaque();
        self.push(frame.to_bytes())
    }

    /// Sends a request to the peer and waits for its response.
    ///
    /// # Errors
    /// When the peer does not answer in time or the connection ends first.
    pub async fn call(&self, frame: Frame, timeout: Duration) -> Result<Frame, CallError> {
        match tokio::time::timeout(timeout, self.exchange(frame)).await {
            Ok(result) => result,
            Err(_) => Err(CallError::Timeout { addr: self.remote.to_string(), after: timeout }),
        }
    }

    /// Closes the connection. What waits is offered to the socket once, then dropped.
    pub fn close(&self, why: impl fmt::Display) {
        self.end(Phase::Close, CloseReason::Asked(why.to_string()));
    }

    /// The number of calls that wait for the peer's response.
    #[must_use]
    pub fn pending_calls(&self) -> usize {
        self.calls.lock().len()
    }

    /// [`Peer::call`] without a time limit of its own.
    pub(crate) async fn exchange(&self, mut frame: Frame) -> Result<Frame, CallError> {
        let opaque = self.fresh_opaque();
        frame.opaque = opaque;
        let (answer, answered) = oneshot::channel();
        self.calls.lock().insert(opaque, answer);
        let _forget = Forget { peer: self, opaque };
        // A connection that ends from here on fails every call it finds noted.
        self.push(frame.to_bytes())?;
        answered.await.map_err(|_| CallError::Closed { addr: self.remote.to_string() })
    }

    /// Gives a response to the call that waits for it.
    pub(crate) fn answer(&self, frame: Frame) {
        let waiting = self.calls.lock().remove(&frame.opaque);
        if waiting.is_some_and(|call| call.send(frame).is_ok()) {
            bump(&self.limits.counters.responses);
        } else {
            bump(&self.limits.counters.stray_responses);
        }
    }

    /// Moves the connection towards its end; an end already asked for is not taken back.
    pub(crate) fn end(&self, phase: Phase, why: CloseReason) {
        let mut mailbox = self.mailbox.lock();
        if mailbox.phase >= phase {
            return;
        }
        mailbox.phase = phase;
        if phase >= Phase::Finish {
            mailbox.why.get_or_insert(why);
        }
        if phase == Phase::Close {
            self.closed.store(true, Ordering::Release);
        }
        self.signal(mailbox);
    }

    /// The connection is gone: fails all calls and drops what waits.
    pub(crate) fn ended(&self) {
        self.closed.store(true, Ordering::Release);
        let dropped = {
            let mut mailbox = self.mailbox.lock();
            mailbox.phase = Phase::Close;
            mailbox.waker = None;
            mailbox.bytes = 0;
            std::mem::take(&mut mailbox.queue)
        };
        drop(dropped);
        let calls = std::mem::take(&mut *self.calls.lock());
        drop(calls);
    }

    /// Moves the mail into `outgoing`, which must be written completely, and tells how far the end has come.
    pub(crate) fn collect(&self, outgoing: &mut Outgoing) -> (Phase, Option<CloseReason>) {
        let mut mailbox = self.mailbox.lock();
        self.mail.store(false, Ordering::Relaxed);
        mailbox.waker = None;
        if outgoing.is_done() {
            mailbox.bytes = mailbox.bytes.saturating_sub(mailbox.taken);
            mailbox.taken = 0;
        }
        let waiting: usize = mailbox.queue.iter().map(Bytes::len).sum();
        mailbox.taken += waiting;
        for frames in mailbox.queue.drain(..) {
            outgoing.push(frames);
        }
        if mailbox.queue.capacity() > 64 {
            mailbox.queue = Vec::new();
        }
        (mailbox.phase, mailbox.why.clone())
    }

    /// Whether the mailbox holds something new.
    pub(crate) fn has_mail(&self) -> bool {
        self.mail.load(Ordering::Acquire)
    }

    /// Leaves `waker` to be woken by the next mail; false when some has come meanwhile.
    pub(crate) fn park(&self, waker: &Waker) -> bool {
        let mut mailbox = self.mailbox.lock();
        if self.mail.load(Ordering::Relaxed) {
            return false;
        }
        if !mailbox.waker.as_ref().is_some_and(|known| known.will_wake(waker)) {
            mailbox.waker = Some(waker.clone());
        }
        true
    }

    /// Notes that bytes moved, and whether a frame is left unfinished.
    pub(crate) fn touch(&self, sweep: u32, unfinished: Option<bool>) {
        self.active.store(sweep, Ordering::Relaxed);
        match unfinished {
            None => {}
            Some(false) => self.begun.store(0, Ordering::Relaxed),
            Some(true) if self.begun.load(Ordering::Relaxed) == 0 => {
                self.begun.store(sweep.wrapping_add(1).max(1), Ordering::Relaxed);
            }
            Some(true) => {}
        }
    }

    /// Sweeps since bytes last moved.
    pub(crate) fn idle_sweeps(&self, sweep: u32) -> u32 {
        sweep.wrapping_sub(self.active.load(Ordering::Relaxed))
    }

    /// Sweeps since the unfinished frame began.
    pub(crate) fn unfinished_sweeps(&self, sweep: u32) -> u32 {
        match self.begun.load(Ordering::Relaxed) {
            0 => 0,
            begun => sweep.wrapping_add(1).wrapping_sub(begun),
        }
    }

    fn fresh_opaque(&self) -> i32 {
        self.next_opaque.fetch_add(1, Ordering::Relaxed)
    }

    /// Wakes the task after the lock is released, so that it does not run into it.
    fn signal(&self, mut mailbox: parking_lot::MutexGuard<'_, Mailbox>) {
        self.mail.store(true, Ordering::Release);
        let waker = mailbox.waker.take();
        drop(mailbox);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peer({} {})", self.id, self.remote)
    }
}

/// Forgets a call when its waiter gives up, so that calls do not pile up.
struct Forget<'a> {
    peer: &'a Peer,
    opaque: i32,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.peer.calls.lock().remove(&self.opaque);
    }
}
