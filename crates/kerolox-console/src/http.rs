//! Serving HTTP with limits that hold for every peer: connections, the size and time of a request's head.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::connect_info::ConnectInfo;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tokio::task::JoinHandle;

/// Most connections at one moment; more wait in the system's queue.
const CONNECTIONS_MAX: usize = 256;
/// Longest time for the head of a request to arrive, and for a kept connection to be idle.
const HEAD_TIMEOUT: Duration = Duration::from_secs(30);
/// Most bytes of a request's head.
const HEAD_SIZE_MAX: usize = 64 * 1024;
/// How long answers that are under way may take once the server ends.
const END_TIMEOUT: Duration = Duration::from_secs(2);
/// Pause after a failed accept, such as running out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A listener at work.
#[derive(Debug)]
pub struct Server {
    addr: SocketAddr,
    end: oneshot::Sender<()>,
    task: JoinHandle<()>,
}

/// Listens on `addr` and answers with `router`, which finds the peer's address in [`ConnectInfo`].
///
/// # Errors
/// When the address cannot be listened on.
pub async fn serve(addr: SocketAddr, router: Router) -> std::io::Result<Server> {
    let listener = TcpListener::bind(addr).await?;
    let addr = listener.local_addr()?;
    let (end, ended) = oneshot::channel();
    let task = tokio::spawn(accept(listener, router, ended));
    Ok(Server { addr, end, task })
}

impl Server {
    /// The address listened on.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Takes no more connections, and ends those that stand within two seconds.
    pub async fn shutdown(self) {
        let _ = self.end.send(());
        let _ = self.task.await;
    }
}

async fn accept(listener: TcpListener, router: Router, mut ended: oneshot::Receiver<()>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    loop {
        let arrived = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            arrived = arrived => arrived,
            _ = &mut ended => break,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::debug!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let router = TowerToHyperService::new(router.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            router.call(request.map(Body::new))
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(HEAD_SIZE_MAX)
            .serve_connection(TokioIo::new(stream), service);
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%peer, %error, "a connection ended early");
            }
            drop(place);
        });
    }
    drop(listener);
    // Streams of live figures never end by themselves.
    let _ = tokio::time::timeout(END_TIMEOUT, graceful.shutdown()).await;
}
