//! Requests that take long, off the threads of connections: their bounds, and one answer for each.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use kerolox_net::Peer;
use kerolox_wire::reply::{Reply, ReplyTo};
use kerolox_wire::response::ResponseCode;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use crate::node::Node;
use crate::refusal::Refusal;

/// Requests of one kind that run at a time.
const RUNNING_MAX: usize = 16;
/// Units of room for all requests that run or wait; see [`room_of`].
const WAITING_MAX: usize = 1024;
/// Units of room for those of one connection: a client may pull from many cold queues at once.
const WAITING_PER_PEER_MAX: usize = 128;
/// Bytes of a body that take as much room as a request without one.
const BODY_UNIT: usize = 64 * 1024;
/// Longest wait for them when the broker stops.
const FINISH_TIMEOUT: Duration = Duration::from_secs(5);

const _: () = assert!(WAITING_PER_PEER_MAX * 4 <= WAITING_MAX, "one connection must not take all room");

/// Why a request takes long. Each kind has threads of its own, so that a disk that hangs does not stop administration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// It goes through whole tables, or writes one.
    Admin,
    /// It reads what is not expected to be in memory.
    ColdRead,
}

/// Requests that run or wait off the threads of connections.
#[derive(Debug)]
pub(crate) struct Aside {
    admin: Arc<Semaphore>,
    cold_reads: Arc<Semaphore>,
    waiting: Mutex<Waiting>,
    /// The last one was answered.
    done: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    total: usize,
    by_peer: HashMap<u64, usize>,
}

impl Default for Aside {
    fn default() -> Self {
        let running = || Arc::new(Semaphore::new(RUNNING_MAX));
        Self { admin: running(), cold_reads: running(), waiting: Mutex::default(), done: Notify::new() }
    }
}

impl Aside {
    /// Takes room for a request; refuses it when the connection or all together have too many.
    fn enter(&self, peer: u64, room: usize) -> Result<(), Refusal> {
        let mut waiting = self.waiting.lock();
        let of_peer = waiting.by_peer.get(&peer).copied().unwrap_or(0);
        // A large body alone is taken: frames have a limit of their own.
        if of_peer > 0 && of_peer.saturating_add(room) > WAITING_PER_PEER_MAX {
            return Err(busy("on this connection"));
        }
        if waiting.total > 0 && waiting.total.saturating_add(room) > WAITING_MAX {
            return Err(busy("on this broker"));
        }
        waiting.total = waiting.total.saturating_add(room);
        waiting.by_peer.insert(peer, of_peer.saturating_add(room));
        Ok(())
    }

    fn leave(&self, peer: u64, room: usize) {
        let mut waiting = self.waiting.lock();
        waiting.total = waiting.total.saturating_sub(room);
        if let Some(of_peer) = waiting.by_peer.get_mut(&peer) {
            *of_peer = of_peer.saturating_sub(room);
            if *of_peer == 0 {
                waiting.by_peer.remove(&peer);
            }
        }
        if waiting.total == 0 {
            self.done.notify_waiters();
        }
    }

    /// Waits until all that were taken are answered, a few seconds at most.
    pub(crate) async fn finished(&self) {
        let all_done = async {
            loop {
                let mut done = pin!(self.done.notified());
                done.as_mut().enable();
                if self.waiting.lock().total == 0 {
                    return;
                }
                done.await;
            }
        };
        if tokio::time::timeout(FINISH_TIMEOUT, all_done).await.is_err() {
            tracing::warn!("failed to finish every administrative request and cold read before the stop");
        }
    }
}

fn busy(place: &str) -> Refusal {
    Refusal::new(
        ResponseCode::SYSTEM_BUSY,
        format!("too many administrative requests and cold reads wait {place}; try again later"),
    )
}

/// Room that a request with so large a body takes.
fn room_of(body: usize) -> usize {
    (body / BODY_UNIT).saturating_add(1)
}

/// A request whose answer is pushed. Dropped without one, as after a panic or when the broker ends, it is answered
/// with an error: a client never waits in vain.
pub(crate) struct PendingReply {
    peer: Arc<Peer>,
    to: ReplyTo,
    answered: bool,
}

impl PendingReply {
    pub(crate) fn new(peer: &Arc<Peer>, to: ReplyTo) -> Self {
        Self { peer: Arc::clone(peer), to, answered: false }
    }

    /// Sends the answer.
    pub(crate) fn answer(mut self, reply: &Reply) {
        self.push(reply);
    }

    fn push(&mut self, reply: &Reply) {
        let mut out = BytesMut::new();
        reply.encode(self.to, &mut out);
        self.push_encoded(out);
    }

    /// Sends an encoded answer. An empty one leaves it to whoever the request was handed on to.
    fn push_encoded(&mut self, out: BytesMut) {
        self.answered = true;
        if !out.is_empty() {
            // A closed connection has no reader left.
            let _ = self.peer.push(out.freeze());
        }
    }
}

impl Drop for PendingReply {
    fn drop(&mut self) {
        if !self.answered {
            self.push(&Refusal::error("the request ended without an answer; the broker's log says why").into());
        }
    }
}

/// Room taken, given back when the request has ended in whatever way.
struct Taken {
    node: Arc<Node>,
    peer: u64,
    room: usize,
}

impl Drop for Taken {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.node.config.listen.counters.note_panic();
            tracing::error!("serving a request panicked");
        }
        self.node.aside.leave(self.peer, self.room);
    }
}

impl Node {
    /// Runs `work` off the threads of connections and pushes what it has written; where there is no room for that, `out`
    /// gets the refusal.
    pub(crate) fn run_aside(
        self: &Arc<Self>,
        kind: Kind,
        peer: &Arc<Peer>,
        (to, body): (ReplyTo, usize),
        work: impl FnOnce(&mut BytesMut) + Send + 'static,
        out: &mut BytesMut,
    ) {
        let room = room_of(body);
        if let Err(refusal) = self.aside.enter(peer.id(), room) {
            self.refused("request", peer, &refusal);
            return Reply::from(refusal).encode(to, out);
        }
        let taken = Taken { node: Arc::clone(self), peer: peer.id(), room };
        let running = match kind {
            Kind::Admin => &self.aside.admin,
            Kind::ColdRead => &self.aside.cold_reads,
        };
        let (running, mut pending) = (Arc::clone(running), PendingReply::new(peer, to));
        let run = move || {
            // Dropped last: a stop waits for the answer.
            let _taken = taken;
            let mut out = BytesMut::new();
            work(&mut out);
            pending.push_encoded(out);
            drop(pending);
        };
        let runtime = self.runtime.clone();
        self.runtime.spawn(async move {
            // The semaphore is never closed; without a permit the answer is the one of a request that was dropped.
            let Ok(permit) = running.acquire_owned().await else { return };
            runtime.spawn_blocking(move || {
                let _permit = permit;
                run();
            });
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_of_a_connection_is_bounded() {
        let aside = Aside::default();
        for _ in 0..WAITING_PER_PEER_MAX {
            aside.enter(1, 1).unwrap();
        }
        assert_eq!(aside.enter(1, 1).unwrap_err().code, ResponseCode::SYSTEM_BUSY);
        aside.enter(2, 1).unwrap();
        aside.leave(1, 1);
        aside.enter(1, 1).unwrap();
    }

    #[test]
    fn room_of_all_connections_is_bounded() {
        let aside = Aside::default();
        for n in 0..WAITING_MAX {
            aside.enter(n as u64, 1).unwrap();
        }
        assert_eq!(aside.enter(u64::MAX, 1).unwrap_err().code, ResponseCode::SYSTEM_BUSY);
        for n in 0..WAITING_MAX {
            aside.leave(n as u64, 1);
        }
        assert!(aside.waiting.lock().by_peer.is_empty(), "closed connections leave nothing behind");
        aside.enter(1, room_of(500 << 20)).unwrap();
    }
}
