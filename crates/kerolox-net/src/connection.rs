//! What the task of a connection does: read, decode, serve, write, and wait for the socket or for mail.

use std::future::{Future, poll_fn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::BytesMut;
use kerolox_wire::frame::{Frame, FrameError, frame_size, take_frame_into};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};

use crate::Service;
use crate::buffers::{self, CHUNK_SIZE};
use crate::counters::{Counters, add, bump};
use crate::lanes::{self, Move};
use crate::outgoing::Outgoing;
use crate::peer::{CloseReason, Peer, Phase};
use crate::peers::Peers;
use crate::tls::TLS_FIRST_BYTE;

/// A connection that reads while it writes stops reading when this many bytes of replies wait to be written.
const DUPLEX_REPLIES_MAX: usize = 1024 * 1024;

/// Whether a connection is read while a write is pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// No: a peer that does not take its replies sends no more requests. The side that accepted works so.
    AfterWriting,
    /// Yes: two nodes that both wait for the other to read would wait for ever. The side that dialled works so.
    WhileWriting,
}

/// What all connections of one listener or pool have in common.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) peers: Arc<Peers>,
    pub(crate) service: Option<Arc<dyn Service>>,
    pub(crate) frame_max: usize,
    pub(crate) reading: Reading,
}

impl Shared {
    pub(crate) fn counters(&self) -> &Counters {
        &self.peers.limits.counters
    }
}

/// Membership of a connection from accept to end; whatever way its task ends, everybody concerned learns of it.
pub(crate) struct Presence {
    pub(crate) shared: Shared,
    pub(crate) peer: Arc<Peer>,
    announced: bool,
}

impl Presence {
    pub(crate) fn new(shared: Shared, peer: Arc<Peer>) -> Self {
        shared.peers.add(&peer);
        Self { shared, peer, announced: false }
    }

    /// Makes the connection known, once.
    fn announce(&mut self) -> Result<(), CloseReason> {
        if std::mem::replace(&mut self.announced, true) {
            return Ok(());
        }
        let Some(service) = &self.shared.service else { return Ok(()) };
        catch_unwind(AssertUnwindSafe(|| service.connected(&self.peer))).map_err(|_| CloseReason::Panic)
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.peer.ended();
        if let (true, Some(service)) = (self.announced, &self.shared.service)
            && catch_unwind(AssertUnwindSafe(|| service.disconnected(&self.peer))).is_err()
        {
            bump(&self.shared.counters().panics);
            tracing::error!(peer = %self.peer.remote(), "noting the end of a connection panicked");
        }
        self.shared.peers.remove(&self.peer);
    }
}

/// Runs a connection to its end.
pub(crate) async fn run<S: AsyncRead + AsyncWrite + Unpin>(stream: S, presence: Presence) {
    let mut connection = Connection::new(stream, presence);
    let reason = poll_fn(|cx| connection.poll(cx)).await;
    connection.report(&reason);
}

/// Waits for `step` of setting a connection up, unless the connection is ended meanwhile.
pub(crate) async fn unless_closed<T>(peer: &Peer, step: impl Future<Output = T>) -> Result<T, CloseReason> {
    let mut step = pin!(step);
    let mut nothing = Outgoing::default();
    poll_fn(|cx| {
        loop {
            if let (Phase::Finish | Phase::Close, why) = peer.collect(&mut nothing) {
                return Poll::Ready(Err(why.unwrap_or(CloseReason::Shutdown)));
            }
            if let Poll::Ready(value) = step.as_mut().poll(cx) {
                return Poll::Ready(Ok(value));
            }
            if peer.park(cx.waker()) {
                return Poll::Pending;
            }
        }
    })
    .await
}

/// One line and one count per ended connection; ordinary ends only show in debug logs.
pub(crate) fn report(peer: &Peer, counters: &Counters, reason: &CloseReason) {
    let (id, remote) = (peer.id(), peer.remote());
    match reason {
        CloseReason::Peer | CloseReason::Asked(_) | CloseReason::Shutdown => {}
        CloseReason::Idle(_) => bump(&counters.closed_idle),
        CloseReason::Slow(_) => bump(&counters.closed_slow),
        CloseReason::Malformed(_) => bump(&counters.malformed),
        CloseReason::Overflow { .. } => bump(&counters.overflow),
        CloseReason::Panic => bump(&counters.panics),
        CloseReason::Io(_) => bump(&counters.io_errors),
        // Counted where it is known which of them it was.
        CloseReason::Tls(_) => {}
    }
    match reason {
        CloseReason::Panic => tracing::error!(id, %remote, %reason, "connection closed"),
        CloseReason::Slow(_) | CloseReason::Malformed(_) | CloseReason::Overflow { .. } | CloseReason::Tls(_) => {
            tracing::warn!(id, %remote, %reason, "connection closed");
        }
        _ => tracing::debug!(id, %remote, %reason, "connection closed"),
    }
}

/// The state of one connection, driven by whichever task polls it.
pub(crate) struct Connection<S> {
    stream: S,
    /// What was read beyond the last whole frame.
    rest: BytesMut,
    outgoing: Outgoing,
    said_goodbye: bool,
    presence: Presence,
    /// Set when the connection ends as soon as what is due was offered to the socket.
    finishing: Option<CloseReason>,
}

impl<S> Connection<S> {
    pub(crate) fn new(stream: S, presence: Presence) -> Self {
        let (rest, outgoing) = (BytesMut::new(), Outgoing::default());
        Self { stream, rest, outgoing, said_goodbye: false, presence, finishing: None }
    }

    /// Number of the peer.
    pub(crate) fn peer_id(&self) -> u64 {
        self.presence.peer.id()
    }

    /// Notes why the connection has ended.
    pub(crate) fn report(&self, reason: &CloseReason) {
        report(&self.presence.peer, self.presence.shared.counters(), reason);
    }
}

impl<S: Move> Connection<S> {
    /// Has the socket be waited for on the present thread from now on.
    pub(crate) fn move_here(&mut self) -> Result<(), CloseReason> {
        self.stream.move_here().map_err(|error| io_reason(&error))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Connection<S> {
    /// Does all that can be done now; ready with the reason when the connection ends.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        if let Err(reason) = self.presence.announce() {
            return Poll::Ready(reason);
        }
        let (mut phase, mut why) = self.presence.peer.collect(&mut self.outgoing);
        loop {
            if self.presence.peer.has_mail() {
                (phase, why) = self.presence.peer.collect(&mut self.outgoing);
            }
            let written = self.poll_write(cx);
            if let Poll::Ready(Err(error)) = written {
                return Poll::Ready(self.finishing.take().unwrap_or_else(|| io_reason(&error)));
            }
            if let Some(reason) = self.finishing.take() {
                return Poll::Ready(reason);
            }
            if phase == Phase::Close {
                return Poll::Ready(why.unwrap_or(CloseReason::Shutdown));
            }
            if phase == Phase::Finish && written.is_ready() {
                return self.poll_goodbye(cx);
            }
            if phase == Phase::Open && self.may_read() {
                match self.poll_read(cx) {
                    Poll::Ready(Ok(0)) => return Poll::Ready(CloseReason::Peer),
                    Poll::Ready(Ok(n)) => {
                        add(&self.presence.shared.counters().bytes_in, n);
                        self.finishing = self.work().err();
                        continue;
                    }
                    Poll::Ready(Err(error)) => return Poll::Ready(io_reason(&error)),
                    Poll::Pending => {}
                }
            }
            if self.presence.peer.park(cx.waker()) {
                lanes::idle(self.presence.peer.id());
                return Poll::Pending;
            }
        }
    }

    fn may_read(&self) -> bool {
        match self.presence.shared.reading {
            Reading::AfterWriting => self.outgoing.is_done(),
            Reading::WhileWriting => self.outgoing.replies() < DUPLEX_REPLIES_MAX,
        }
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.outgoing.is_done() {
            return Poll::Ready(Ok(()));
        }
        let mut moved = 0;
        let written = self.outgoing.poll_write(&mut self.stream, cx, &mut moved);
        if moved > 0 {
            let shared = &self.presence.shared;
            add(&shared.counters().bytes_out, moved);
            self.presence.peer.touch(shared.peers.sweep(), None);
        }
        written
    }

    /// Reads once: behind what is left of the last read, into the thread's buffer unless a large frame is under way.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let frame_max = self.presence.shared.frame_max;
        let announced = frame_size(&self.rest, frame_max).ok().flatten().unwrap_or(0);
        if announced > CHUNK_SIZE {
            // Grows with what really comes, so that announcing a size costs no memory.
            let missing = announced.saturating_sub(self.rest.len());
            self.rest.reserve(missing.min(self.rest.len().max(CHUNK_SIZE)));
            return pin!(self.stream.read_buf(&mut self.rest)).poll(cx);
        }
        let mut chunk = buffers::take_chunk();
        chunk.extend_from_slice(&self.rest);
        let read = pin!(self.stream.read_buf(&mut chunk)).poll(cx);
        match read {
            Poll::Ready(Ok(n)) if n > 0 => self.rest = chunk,
            _ => buffers::give_chunk(chunk),
        }
        read
    }

    /// Decodes every whole frame and serves them together. An error ends the connection, after what was well-formed
    /// before it was answered.
    fn work(&mut self) -> Result<(), CloseReason> {
        let shared = &self.presence.shared;
        let mut frames = buffers::take_frames();
        let mut responses = false;
        let malformed = loop {
            match next_frame(&mut self.rest, shared.frame_max, &mut frames) {
                Ok(true) => {}
                Ok(false) => break None,
                Err(error) => break Some(error),
            }
            if let Some(response) = frames.pop_if(|frame| frame.is_response()) {
                responses = true;
                self.presence.peer.answer(response);
            }
        };
        let sweep = shared.peers.sweep();
        if responses || !frames.is_empty() {
            self.presence.peer.touch(sweep, Some(false));
        }
        self.presence.peer.touch(sweep, Some(!self.rest.is_empty()));
        self.keep_rest();
        lanes::asked(self.presence.peer.id(), frames.len());
        let served = self.serve(&mut frames);
        buffers::give_frames(frames);
        served?;
        malformed.map_or(Ok(()), |error| Err(self.malformed(&error)))
    }

    fn serve(&mut self, frames: &mut Vec<Frame>) -> Result<(), CloseReason> {
        if frames.is_empty() {
            return Ok(());
        }
        let counters = self.presence.shared.counters();
        add(&counters.requests, frames.len());
        let Some(service) = &self.presence.shared.service else {
            add(&counters.unserved, frames.len());
            return Ok(());
        };
        let peer = &self.presence.peer;
        self.outgoing.append_with(|out| {
            let start = out.len();
            catch_unwind(AssertUnwindSafe(|| service.serve(peer, frames, &mut *out))).map_err(|_| {
                // The last reply may be half written.
                out.truncate(start);
                CloseReason::Panic
            })
        })
    }

    /// Gives the thread's buffer back; the begin of a frame moves to memory of its own size.
    fn keep_rest(&mut self) {
        if self.rest.len() >= CHUNK_SIZE / 2 {
            return;
        }
        let own = BytesMut::from(&self.rest[..]);
        buffers::give_chunk(std::mem::replace(&mut self.rest, own));
    }

    fn malformed(&self, error: &FrameError) -> CloseReason {
        if self.rest.first() == Some(&TLS_FIRST_BYTE) {
            bump(&self.presence.shared.counters().tls_refused);
            return CloseReason::Tls("offered by the peer, but disabled here".to_owned());
        }
        if matches!(error, FrameError::Length { len, limit } if usize::try_from(*len).is_ok_and(|len| len > *limit)) {
            bump(&self.presence.shared.counters().oversize);
        }
        CloseReason::Malformed(error.to_string())
    }

    /// Says that nothing more will come and waits until the peer has seen it: closing at once would make the system
    /// throw away replies that the peer has not read yet. The listener bounds the wait.
    fn poll_goodbye(&mut self, cx: &mut Context<'_>) -> Poll<CloseReason> {
        if !self.said_goodbye {
            match Pin::new(&mut self.stream).poll_shutdown(cx) {
                Poll::Ready(Ok(())) => self.said_goodbye = true,
                Poll::Ready(Err(_)) => return Poll::Ready(CloseReason::Shutdown),
                Poll::Pending => {}
            }
        }
        self.rest.clear();
        while self.said_goodbye {
            match self.poll_read(cx) {
                Poll::Ready(Ok(n)) if n > 0 => self.rest = BytesMut::new(),
                Poll::Ready(_) => return Poll::Ready(CloseReason::Shutdown),
                Poll::Pending => break,
            }
        }
        if !self.presence.peer.park(cx.waker()) {
            cx.waker().wake_by_ref();
        }
        Poll::Pending
    }
}

/// Decodes the next whole frame to the end of `frames`; false when there is none.
fn next_frame(rest: &mut BytesMut, frame_max: usize, frames: &mut Vec<Frame>) -> Result<bool, FrameError> {
    let index = frames.len();
    frames.push(Frame::default());
    let taken = frames.last_mut().map_or(Ok(false), |frame| take_frame_into(rest, frame_max, frame));
    if taken != Ok(true) {
        frames.truncate(index);
    }
    taken
}

fn io_reason(error: &io::Error) -> CloseReason {
    match error.kind() {
        io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => CloseReason::Peer,
        _ => CloseReason::Io(error.to_string()),
    }
}
