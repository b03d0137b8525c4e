//! All connections of one listener or pool, and the coarse clock by which silent ones are found.
//!
//! A sweep passes over them a few dozen times per idle time. A connection only notes the number of the present sweep
//! when bytes move: no timer is set or reset for a read.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::counters::bump;
use crate::peer::{CloseReason, Peer, PeerLimits, Phase};

/// Sweeps per idle time; a silent connection lives at most one sweep longer than it should.
const SWEEPS_PER_IDLE: u32 = 24;
const SWEEP_MIN: Duration = Duration::from_millis(10);

struct Live {
    peers: HashMap<u64, Arc<Peer>>,
    /// How far the end of them all has come; newcomers share it.
    phase: Phase,
}

pub(crate) struct Peers {
    live: Mutex<Live>,
    left: Notify,
    sweep: AtomicU32,
    period: Duration,
    idle: Duration,
    /// How long a frame or a handshake may stay unfinished.
    finish: Duration,
    pub(crate) limits: PeerLimits,
}

impl Peers {
    pub(crate) fn new(idle: Duration, finish: Option<Duration>, limits: PeerLimits) -> Self {
        let finish = finish.unwrap_or(Duration::MAX);
        let period = (idle.min(finish) / SWEEPS_PER_IDLE).max(SWEEP_MIN);
        let live = Mutex::new(Live { peers: HashMap::new(), phase: Phase::Open });
        Self { live, left: Notify::new(), sweep: AtomicU32::new(0), period, idle, finish, limits }
    }

    /// Time between two sweeps.
    pub(crate) fn period(&self) -> Duration {
        self.period
    }

    /// Number of the present sweep.
    pub(crate) fn sweep(&self) -> u32 {
        self.sweep.load(Ordering::Relaxed)
    }

    pub(crate) fn len(&self) -> usize {
        self.live.lock().peers.len()
    }

    pub(crate) fn add(&self, peer: &Arc<Peer>) {
        let phase = {
            let mut live = self.live.lock();
            live.peers.insert(peer.id(), Arc::clone(peer));
            live.phase
        };
        bump(&self.limits.counters.open);
        peer.end(phase, CloseReason::Shutdown);
    }

    pub(crate) fn remove(&self, peer: &Peer) {
        if self.live.lock().peers.remove(&peer.id()).is_some() {
            self.limits.counters.open.fetch_sub(1, Ordering::Relaxed);
            self.left.notify_waiters();
        }
    }

    /// A copy of the list, for whoever wants to look at or end connections.
    pub(crate) fn list(&self) -> Vec<Arc<Peer>> {
        self.live.lock().peers.values().cloned().collect()
    }

    /// Moves all connections, and those to come, towards their end.
    pub(crate) fn end_for_good(&self, phase: Phase) {
        self.live.lock().phase = phase;
        self.end_all(phase);
    }

    /// Moves the connections of this moment towards their end.
    pub(crate) fn end_all(&self, phase: Phase) {
        for peer in self.list() {
            peer.end(phase, CloseReason::Shutdown);
        }
    }

    /// Waits until no connection is left.
    pub(crate) async fn gone(&self) {
        loop {
            let left = self.left.notified();
            if self.len() == 0 {
                return;
            }
            left.await;
        }
    }

    /// Closes whatever has been silent, or has left a frame unfinished, for too long.
    pub(crate) fn sweep_over(&self) {
        let sweep = self.sweep.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
        for peer in self.list() {
            if self.period.saturating_mul(peer.idle_sweeps(sweep)) > self.idle {
                peer.end(Phase::Close, CloseReason::Idle(self.idle));
            } else if self.period.saturating_mul(peer.unfinished_sweeps(sweep)) > self.finish {
                peer.end(Phase::Close, CloseReason::Slow(self.finish));
            }
        }
    }
}

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peers({})", self.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peers(idle_s: u64, finish_s: Option<u64>) -> (Peers, Arc<Peer>) {
        let limits = PeerLimits { push_bytes_max: 1000, counters: Arc::default() };
        let peers = Peers::new(Duration::from_secs(idle_s), finish_s.map(Duration::from_secs), limits.clone());
        let nowhere = ([127, 0, 0, 1], 1).into();
        let peer = Arc::new(Peer::new(nowhere, nowhere, limits, peers.sweep()));
        peers.add(&peer);
        (peers, peer)
    }

    #[test]
    fn a_silent_connection_is_closed_after_the_idle_time_and_not_before() {
        let (peers, peer) = peers(120, None);
        assert_eq!(peers.period(), Duration::from_secs(5));
        for _ in 0..24 {
            peers.sweep_over();
            assert!(peer.is_open());
        }
        peers.sweep_over();
        assert!(!peer.is_open());
    }

    #[test]
    fn moving_bytes_keep_a_connection_but_not_an_unfinished_frame() {
        let (peers, peer) = peers(120, Some(240));
        peer.touch(peers.sweep(), Some(false));
        for _ in 0..100 {
            peers.sweep_over();
            peer.touch(peers.sweep(), Some(false));
        }
        assert!(peer.is_open());
        for _ in 0..48 {
            peer.touch(peers.sweep(), Some(true));
            peers.sweep_over();
            assert!(peer.is_open());
        }
        peer.touch(peers.sweep(), Some(true));
        peers.sweep_over();
        assert!(!peer.is_open());
    }
}
