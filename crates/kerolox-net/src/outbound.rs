//! Connections to other nodes: one per address, opened when first needed, shared by all calls.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use kerolox_wire::frame::{FRAME_SIZE_MAX, Frame};
use parking_lot::Mutex;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::Service;
use crate::connection::{Presence, Reading, Shared, run};
use crate::counters::{Counters, bump};
use crate::listener::PUSH_BYTES_MAX;
use crate::peer::{CallError, Peer, PeerLimits, Phase};
use crate::peers::Peers;
use crate::tls::ClientTls;

/// How to reach other nodes.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct OutboundConfig {
    /// Longest time for resolving a name, connecting and shaking hands.
    pub connect_timeout: Duration,
    /// A connection on which nothing moves for this long is closed.
    pub idle: Duration,
    /// Largest frame taken, its length field included.
    pub frame_max: usize,
    /// Most bytes that may wait to be written on one connection; more close it.
    pub push_bytes_max: usize,
    /// TLS, or none for plain connections.
    pub tls: Option<ClientTls>,
    /// Where events are counted.
    pub counters: Arc<Counters>,
}

impl Default for OutboundConfig {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(3),
            idle: Duration::from_secs(120),
            frame_max: FRAME_SIZE_MAX,
            push_bytes_max: PUSH_BYTES_MAX,
            tls: None,
            counters: Arc::default(),
        }
    }
}

/// A pool of connections to other nodes. Clones share it; when the last one goes, all its connections are closed.
#[derive(Clone)]
pub struct Outbound(Arc<Pool>);

struct Pool {
    config: OutboundConfig,
    shared: Shared,
    routes: Mutex<HashMap<String, Arc<Route>>>,
    /// Whether the sweeping task runs.
    swept: AtomicBool,
}

/// The way to one address.
#[derive(Default)]
struct Route {
    peer: Mutex<Option<Arc<Peer>>>,
    /// Held by the one who dials; the others wait for it.
    dialling: tokio::sync::Mutex<Option<CallError>>,
    /// Dials finished so far: who waited while one failed shares its failure instead of trying again in line.
    dials: AtomicU64,
}

impl Outbound {
    /// A pool whose peers are only asked; requests from their side are not served.
    #[must_use]
    pub fn new(config: OutboundConfig) -> Self {
        Self::build(config, None)
    }

    /// A pool that serves the requests which the other side sends on these connections.
    #[must_use]
    pub fn serving(config: OutboundConfig, service: Arc<dyn Service>) -> Self {
        Self::build(config, Some(service))
    }

    fn build(config: OutboundConfig, service: Option<Arc<dyn Service>>) -> Self {
        let limits = PeerLimits { push_bytes_max: config.push_bytes_max, counters: Arc::clone(&config.counters) };
        let peers = Arc::new(Peers::new(config.idle, None, limits));
        let shared = Shared { peers, service, frame_max: config.frame_max, reading: Reading::WhileWriting };
        Self(Arc::new(Pool { config, shared, routes: Mutex::new(HashMap::new()), swept: AtomicBool::new(false) }))
    }

    /// Sends a request to `addr` (`host:port`) and waits for the response; `frame.opaque` is chosen here.
    ///
    /// # Errors
    /// When there is no connection, or no response within `timeout`, which covers connecting as well.
    pub async fn call(&self, addr: &str, frame: Frame, timeout: Duration) -> Result<Frame, CallError> {
        let exchange = async { self.peer(addr).await?.exchange(frame).await };
        match tokio::time::timeout(timeout, exchange).await {
            Ok(result) => result,
            Err(_) => Err(CallError::Timeout { addr: addr.to_owned(), after: timeout }),
        }
    }

    /// Sends a request that nobody answers; it is on its way, not more, when this returns.
    ///
    /// # Errors
    /// When there is no connection or too much waits to be written on it.
    pub async fn oneway(&self, addr: &str, frame: &Frame) -> Result<(), CallError> {
        Ok(self.peer(addr).await?.notify(frame)?)
    }

    /// The connection to `addr`, opened if there is none.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn peer(&self, addr: &str) -> Result<Arc<Peer>, CallError> {
        let route = Arc::clone(self.0.routes.lock().entry(addr.to_owned()).or_default());
        if let Some(peer) = route.open_peer() {
            return Ok(peer);
        }
        let dials = route.dials.load(Ordering::Acquire);
        let mut failure = route.dialling.lock().await;
        if let Some(peer) = route.open_peer() {
            return Ok(peer);
        }
        if let (true, Some(error)) = (route.dials.load(Ordering::Acquire) != dials, &*failure) {
            return Err(error.clone());
        }
        let dialled = self.dial(addr, &route).await;
        *failure = dialled.as_ref().err().cloned();
        route.dials.fetch_add(1, Ordering::Release);
        dialled
    }

    /// Closes the connection to `addr`, if there is one; its calls fail at once.
    pub fn close(&self, addr: &str) {
        let route = self.0.routes.lock().remove(addr);
        if let Some(peer) = route.and_then(|route| route.open_peer()) {
            peer.close("no longer needed");
        }
    }

    /// Closes all connections; their calls fail at once. Later calls open new ones.
    pub fn close_all(&self) {
        self.0.routes.lock().clear();
        self.0.shared.peers.end_all(Phase::Close);
    }

    /// The counters given with the configuration.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.0.config.counters)
    }

    async fn dial(&self, addr: &str, route: &Route) -> Result<Arc<Peer>, CallError> {
        let pool = &self.0;
        let failed = |why: String| CallError::Connect { addr: addr.to_owned(), why };
        let limit = pool.config.connect_timeout;
        let opened = tokio::time::timeout(limit, pool.open(addr)).await;
        let (stream, remote, local) =
            opened.map_err(|_| failed(format!("no answer within {limit:?}")))?.map_err(failed)?;
        let shared = &pool.shared;
        bump(&shared.counters().dialled);
        let peer = Arc::new(Peer::new(remote, local, shared.peers.limits.clone(), shared.peers.sweep()));
        let presence = Presence::new(shared.clone(), Arc::clone(&peer));
        match stream {
            Opened::Plain(stream) => tokio::spawn(run(stream, presence)),
            Opened::Tls(stream) => tokio::spawn(run(stream, presence)),
        };
        *route.peer.lock() = Some(Arc::clone(&peer));
        if !pool.swept.swap(true, Ordering::Relaxed) {
            tokio::spawn(sweep(Arc::downgrade(pool)));
        }
        Ok(peer)
    }
}

impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Outbound({} connections)", self.0.shared.peers.len())
    }
}

impl Route {
    fn open_peer(&self) -> Option<Arc<Peer>> {
        self.peer.lock().as_ref().filter(|peer| peer.is_open()).cloned()
    }
}

enum Opened {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Pool {
    /// Resolves, connects to the first address that answers, and shakes hands.
    async fn open(&self, addr: &str) -> Result<(Opened, SocketAddr, SocketAddr), String> {
        let stream = TcpStream::connect(addr).await.map_err(|error| error.to_string())?;
        let ends = stream.peer_addr().and_then(|remote| Ok((remote, stream.local_addr()?)));
        let (remote, local) = ends.map_err(|error| error.to_string())?;
        // Without it small requests would wait for the peer's acknowledgement.
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        let Some(tls) = &self.config.tls else { return Ok((Opened::Plain(stream), remote, local)) };
        let stream = tls.connect(host_of(addr), stream).await.map_err(|error| format!("TLS: {error}"))?;
        bump(&self.shared.counters().tls_sessions);
        Ok((Opened::Tls(Box::new(stream)), remote, local))
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.shared.peers.end_all(Phase::Close);
    }
}

/// The host of `host:port`, without the brackets of an IPv6 address.
fn host_of(addr: &str) -> &str {
    let host = addr.rsplit_once(':').map_or(addr, |(host, _)| host);
    host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host)
}

/// Closes silent connections and forgets addresses no longer in use, as long as the pool exists.
async fn sweep(pool: Weak<Pool>) {
    let Some(period) = pool.upgrade().map(|pool| pool.shared.peers.period()) else { return };
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(pool) = pool.upgrade() else { return };
        pool.shared.peers.sweep_over();
        pool.routes.lock().retain(|_, route| Arc::strong_count(route) > 1 || route.open_peer().is_some());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_what_stands_before_the_port() {
        for (addr, host) in [("a.b:1", "a.b"), ("10.0.0.1:10911", "10.0.0.1"), ("[::1]:9876", "::1"), ("bare", "bare")]
        {
            assert_eq!(host_of(addr), host);
        }
    }
}
