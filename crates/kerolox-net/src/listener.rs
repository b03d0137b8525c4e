//! Accepting connections, and ending them all when the node shuts down.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use kerolox_wire::frame::FRAME_SIZE_MAX;
use tokio::io::ReadBuf;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::Service;
use crate::connection::{Connection, Presence, Reading, Shared, report, run, unless_closed};
use crate::counters::{Counters, bump};
use crate::lanes::{LaneStream, Lanes};
use crate::peer::{CloseReason, Peer, PeerLimits, Phase};
use crate::peers::Peers;
use crate::socket::Socket;
use crate::tls::{ServerTls, TLS_FIRST_BYTE, TlsMode};

/// Connections that the system may hold ready for accepting.
const BACKLOG: u32 = 1024;
/// Pause after accepting failed for want of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// After the grace time connections are cut; this long their tasks may take to notice.
const CUT_WAIT: Duration = Duration::from_secs(1);

/// How to listen.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ListenConfig {
    /// Address and port; port 0 takes a free one.
    pub addr: SocketAddr,
    /// A connection on which nothing moves for this long is closed.
    pub idle: Duration,
    /// Longest time from the first byte of a frame to its last, and from accept to the first frame; none for no limit.
    pub frame_deadline: Option<Duration>,
    /// Largest frame taken, its length field included.
    pub frame_max: usize,
    /// Most connections at a time; more are closed as they come.
    pub connections_max: usize,
    /// Most bytes that may wait to be pushed to one peer; more close its connection.
    pub push_bytes_max: usize,
    /// How long [`Serving::shutdown`] waits for what is due to be written.
    pub grace: Duration,
    /// Whether TLS is taken or demanded.
    pub tls: TlsMode,
    /// Threads that own the connections; none: those of the present runtime share them.
    pub lanes: Option<Arc<Lanes>>,
    /// Where events are counted; listeners may share it.
    pub counters: Arc<Counters>,
}

impl ListenConfig {
    /// The usual limits, plain connections only.
    #[must_use]
    pub fn new(addr: SocketAddr) -> Self {
        Self {
            addr,
            idle: Duration::from_secs(120),
            frame_deadline: Some(Duration::from_secs(120)),
            frame_max: FRAME_SIZE_MAX,
            connections_max: 20_000,
            push_bytes_max: PUSH_BYTES_MAX,
            grace: Duration::from_secs(5),
            tls: TlsMode::Disabled,
            lanes: None,
            counters: Arc::default(),
        }
    }
}

/// Most bytes that may wait to be pushed to one peer, unless configured otherwise.
pub(crate) const PUSH_BYTES_MAX: usize = 64 * 1024 * 1024;
const _: () = assert!(PUSH_BYTES_MAX >= 2 * FRAME_SIZE_MAX, "the largest frame must fit the push queue");

/// Why listening failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The address cannot be used.
    #[error("cannot listen on {addr}: {source}")]
    Bind {
        /// The address asked for.
        addr: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
}

/// A bound address on which nobody is served yet: the system holds early connections until [`Listening::serve`].
#[derive(Debug)]
pub struct Listening {
    listener: TcpListener,
    local_addr: SocketAddr,
    config: ListenConfig,
}

impl Listening {
    /// Binds the address.
    ///
    /// # Errors
    /// When the system refuses it, for example because it is in use.
    pub fn bind(config: ListenConfig) -> Result<Self, ListenError> {
        let addr = config.addr;
        let bound = (|| {
            let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
            socket.set_reuseaddr(true)?;
            socket.bind(addr)?;
            let listener = socket.listen(BACKLOG)?;
            let local_addr = listener.local_addr()?;
            Ok((listener, local_addr))
        })();
        let (listener, local_addr) = bound.map_err(|source| ListenError::Bind { addr, source })?;
        Ok(Self { listener, local_addr, config })
    }

    /// The address with the port really taken.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Starts to serve connections on the present runtime.
    #[must_use]
    pub fn serve(self, service: Arc<dyn Service>) -> Serving {
        let limits =
            PeerLimits { push_bytes_max: self.config.push_bytes_max, counters: Arc::clone(&self.config.counters) };
        let peers = Arc::new(Peers::new(self.config.idle, self.config.frame_deadline, limits));
        let shared = Shared {
            peers: Arc::clone(&peers),
            service: Some(service),
            frame_max: self.config.frame_max,
            reading: Reading::AfterWriting,
        };
        let (stop, stopped) = watch::channel(false);
        let (local_addr, grace) = (self.local_addr, self.config.grace);
        let lanes = self.config.lanes.clone();
        let accepting = tokio::spawn(self.accept(shared, stopped));
        Serving { local_addr, peers, stop, grace, accepting, _lanes: lanes }
    }

    async fn accept(self, shared: Shared, mut stopped: watch::Receiver<bool>) {
        let peers = Arc::clone(&shared.peers);
        let mut sweeps = tokio::time::interval(peers.period());
        sweeps.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut refused_before = 0;
        loop {
            tokio::select! {
                taken = self.listener.accept() => match taken {
                    Ok((stream, remote)) => self.take(stream, remote, &shared),
                    Err(error) => {
                        bump(&shared.counters().accept_errors);
                        if !is_of_one_connection(&error) {
                            tracing::error!(addr = %self.local_addr, %error, "cannot accept connections, trying again");
                            tokio::time::sleep(ACCEPT_PAUSE).await;
                        }
                    }
                },
                _ = sweeps.tick() => {
                    peers.sweep_over();
                    refused_before = self.tell_refused(shared.counters(), refused_before);
                }
                // An error means that the handle was dropped.
                _ = stopped.changed() => break,
            }
        }
        drop(self);
        // Connections outlive the listener until the handle ends them; silent ones must still be found.
        loop {
            if stopped.has_changed().is_err() {
                peers.end_for_good(Phase::Close);
                return;
            }
            sweeps.tick().await;
            peers.sweep_over();
        }
    }

    fn take(&self, stream: TcpStream, remote: SocketAddr, shared: &Shared) {
        let counters = shared.counters();
        if shared.peers.len() >= self.config.connections_max {
            bump(&counters.refused_full);
            return;
        }
        bump(&counters.accepted);
        // Without it small replies would wait for the peer's acknowledgement; failing means the peer is gone already.
        let _ = stream.set_nodelay(true);
        let local = stream.local_addr().unwrap_or(self.local_addr);
        let peer = Arc::new(Peer::new(remote, local, shared.peers.limits.clone(), shared.peers.sweep()));
        let presence = Presence::new(shared.clone(), peer);
        let (stream, lanes) = (Socket::new(stream), self.config.lanes.clone());
        match (lanes, self.config.tls.clone()) {
            (Some(lanes), TlsMode::Disabled) => lanes.spawn(Connection::new(stream, presence)),
            // A thread that is held up could not hand on what waits for a first byte or a handshake.
            (lanes, tls) => drop(tokio::spawn(open(stream, tls, presence, lanes))),
        }
    }

    /// One line per sweep however many were turned away.
    fn tell_refused(&self, counters: &Counters, before: u64) -> u64 {
        let refused = counters.snapshot().refused_full;
        if refused > before {
            tracing::warn!(
                addr = %self.local_addr,
                refused = refused - before,
                limit = self.config.connections_max,
                "connections refused: the limit of connections is reached"
            );
        }
        refused
    }
}

/// Whether accepting failed for the connection at hand only, so that the next may be fine.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset | Interrupted)
}

/// Finds out whether the peer speaks TLS, then runs the connection.
async fn open(stream: Socket, tls: TlsMode, presence: Presence, lanes: Option<Arc<Lanes>>) {
    let (server, enforced) = match &tls {
        TlsMode::Disabled => return serve(stream, presence, lanes).await,
        TlsMode::Permissive(server) => (server, false),
        TlsMode::Enforcing(server) => (server, true),
    };
    let reason = match unless_closed(&presence.peer, first_byte(&stream)).await {
        Ok(Ok(Some(TLS_FIRST_BYTE))) => {
            // The session is large; plain connections should not carry room for it.
            return Box::pin(open_tls(stream, server, presence, lanes)).await;
        }
        Ok(Ok(Some(_))) if !enforced => return serve(stream, presence, lanes).await,
        Ok(Ok(Some(_))) => {
            bump(&presence.shared.counters().plain_refused);
            CloseReason::Tls("a plain connection, but TLS is enforced".to_owned())
        }
        Ok(Ok(None)) => CloseReason::Peer,
        Ok(Err(error)) => CloseReason::Io(error.to_string()),
        Err(reason) => reason,
    };
    report(&presence.peer, presence.shared.counters(), &reason);
}

/// Runs an open connection, in a lane where there are lanes.
async fn serve<S: LaneStream>(stream: S, presence: Presence, lanes: Option<Arc<Lanes>>) {
    match lanes {
        Some(lanes) => lanes.spawn(Connection::new(stream, presence)),
        None => run(stream, presence).await,
    }
}

async fn first_byte(stream: &Socket) -> io::Result<Option<u8>> {
    let mut byte = [0];
    let mut buf = ReadBuf::new(&mut byte);
    std::future::poll_fn(|cx| stream.poll_peek(cx, &mut buf)).await?;
    Ok(buf.filled().first().copied())
}

async fn open_tls(stream: Socket, server: &ServerTls, presence: Presence, lanes: Option<Arc<Lanes>>) {
    let counters = presence.shared.counters();
    let reason = match unless_closed(&presence.peer, server.accept(stream)).await {
        Ok(Ok(stream)) => {
            bump(&counters.tls_sessions);
            return serve(stream, presence, lanes).await;
        }
        Ok(Err(error)) => {
            bump(&counters.tls_failed);
            CloseReason::Tls(format!("handshake failed: {error}"))
        }
        Err(reason) => reason,
    };
    report(&presence.peer, counters, &reason);
}

/// A listener at work. Dropping it closes everything at once; [`Serving::shutdown`] does so in good order.
#[derive(Debug)]
pub struct Serving {
    local_addr: SocketAddr,
    peers: Arc<Peers>,
    stop: watch::Sender<bool>,
    grace: Duration,
    accepting: JoinHandle<()>,
    /// Connections outlive the listener.
    _lanes: Option<Arc<Lanes>>,
}

impl Serving {
    /// The address with the port really taken.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// The counters given with the configuration.
    #[must_use]
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.peers.limits.counters)
    }

    /// All connections that stand now.
    #[must_use]
    pub fn peers(&self) -> Vec<Arc<Peer>> {
        self.peers.list()
    }

    /// Takes no new connections and no new requests; what is due can still be pushed.
    ///
    /// Call it before ending whatever gives late answers, so that these still reach their peers.
    pub fn quiesce(&self) {
        self.stop.send_replace(true);
        self.peers.end_for_good(Phase::Quiet);
    }

    /// Stops in good order: what is due is written, then the peers are told goodbye; who does not take it within the
    /// grace time is cut off.
    pub async fn shutdown(self) {
        self.quiesce();
        let orderly = async {
            self.peers.end_for_good(Phase::Finish);
            self.peers.gone().await;
        };
        if tokio::time::timeout(self.grace, orderly).await.is_err() {
            tracing::warn!(addr = %self.local_addr, left = self.peers.len(), "connections cut after the grace time");
            self.peers.end_for_good(Phase::Close);
            let _ = tokio::time::timeout(CUT_WAIT, self.peers.gone()).await;
        }
        self.accepting.abort();
        // The port is free once the task is gone.
        let _ = self.accepting.await;
    }
}
