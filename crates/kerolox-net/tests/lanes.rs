//! Connections whose thread does not come back from serving one of them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use bytes::BytesMut;
use common::{ECHO, LONG, Raw, config, request, response};
use kerolox_net::{
    ClientTls, Lanes, ListenConfig, Listening, Outbound, OutboundConfig, Peer, ServerTls, Service, Serving, TlsMode,
};
use kerolox_wire::frame::Frame;
use parking_lot::Mutex;

/// Serving it does not end before the test says so.
const HANG: i32 = 20;

/// Answers everything; hangs when asked to.
struct Hanging {
    begun: Mutex<Sender<()>>,
    release: Mutex<Receiver<()>>,
    peers: Mutex<Vec<Arc<Peer>>>,
}

impl Service for Hanging {
    fn serve(&self, _peer: &Arc<Peer>, frames: &mut Vec<Frame>, out: &mut BytesMut) {
        for frame in frames.drain(..) {
            if frame.code == HANG {
                self.begun.lock().send(()).unwrap();
                self.release.lock().recv().unwrap();
            }
            response(&frame).encode(out);
        }
    }

    fn connected(&self, peer: &Arc<Peer>) {
        self.peers.lock().push(Arc::clone(peer));
    }
}

struct Server {
    serving: Serving,
    service: Arc<Hanging>,
    begun: Receiver<()>,
    release: Sender<()>,
}

impl Server {
    fn start(mut config: ListenConfig) -> Self {
        let ((begin, begun), (release, released)) = (channel(), channel());
        let service =
            Arc::new(Hanging { begun: Mutex::new(begin), release: Mutex::new(released), peers: Mutex::default() });
        config.lanes = Some(Arc::new(Lanes::start().unwrap()));
        // Bare connections do not answer its goodbye.
        config.grace = Duration::from_millis(200);
        let serving = Listening::bind(config).unwrap().serve(Arc::clone(&service) as Arc<dyn Service>);
        Self { serving, service, begun, release }
    }

    async fn connections(&self, count: usize) -> Vec<Raw> {
        let mut all = Vec::new();
        for _ in 0..count {
            let mut raw = Raw::to(&self.serving).await;
            assert!(raw.ask(&request(ECHO, 1, b"first")).await.is_some());
            all.push(raw);
        }
        all
    }

    /// Has a thread hang in serving this connection.
    async fn hang(&self, raw: &mut Raw) {
        raw.send(&request(HANG, 7, b"").to_bytes()).await;
        tokio::task::block_in_place(|| self.begun.recv_timeout(LONG)).unwrap();
    }

    async fn assert_served(&self, all: &mut [Raw]) {
        for (n, raw) in all.iter_mut().enumerate() {
            assert_eq!(raw.ask(&request(ECHO, 2, b"served")).await.unwrap().opaque, 2, "connection {n}");
        }
        assert_eq!(self.connections(3).await.len(), 3, "new connections are served as well");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn held_up_thread_keeps_only_its_connection() {
    let server = Server::start(config());
    let mut all = server.connections(12).await;
    for round in 0..3 {
        let mut held_up = all.remove(0);
        server.hang(&mut held_up).await;
        server.assert_served(&mut all).await;
        server.release.send(()).unwrap();
        assert_eq!(held_up.frame().await.unwrap().opaque, 7, "round {round}");
        assert_eq!(held_up.ask(&request(ECHO, 3, b"")).await.unwrap().opaque, 3);
        all.push(held_up);
    }
    server.assert_served(&mut all).await;
    server.serving.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unfinished_frames_and_pushes_move_along() {
    let server = Server::start(config());
    let mut all = server.connections(8).await;
    let frame = request(ECHO, 4, &[5; 300_000]).to_bytes();
    let (begin, rest) = frame.split_at(200_001);
    for raw in &mut all {
        raw.send(begin).await;
    }
    let mut held_up = server.connections(1).await.remove(0);
    server.hang(&mut held_up).await;
    for raw in &mut all {
        raw.send(rest).await;
        assert_eq!(raw.frame().await.unwrap().body.len(), 300_000);
    }
    let peers = server.service.peers.lock().clone();
    for (peer, raw) in peers.iter().zip(&mut all) {
        peer.notify(&request(40, 0, b"pushed")).unwrap();
        assert_eq!(&raw.frame().await.unwrap().body[..], b"pushed");
    }
    server.release.send(()).unwrap();
    assert_eq!(held_up.frame().await.unwrap().opaque, 7);
    server.serving.shutdown().await;
    assert!(peers.iter().all(|peer| !peer.is_open()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_thread_may_be_held_up_at_once() {
    let server = Server::start(config());
    let mut all = server.connections(16).await;
    let mut held_up = all.split_off(10);
    for raw in &mut held_up {
        raw.send(&request(HANG, 7, b"").to_bytes()).await;
    }
    // One of them waits in the release of the service, the others for it.
    tokio::task::block_in_place(|| server.begun.recv_timeout(LONG)).unwrap();
    server.assert_served(&mut all).await;
    for _ in &held_up {
        server.release.send(()).unwrap();
    }
    for raw in &mut held_up {
        assert_eq!(raw.frame().await.unwrap().opaque, 7);
    }
    server.assert_served(&mut held_up).await;
    server.serving.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tls_sessions_move_along() {
    let mut config = config();
    config.tls = TlsMode::Permissive(ServerTls::self_made().unwrap());
    let server = Server::start(config);
    let mut outbounds = Vec::new();
    for _ in 0..6 {
        let mut config = OutboundConfig::default();
        config.tls = Some(ClientTls::trusting_anyone().unwrap());
        let outbound = Outbound::new(config);
        outbound.call(&server.serving.local_addr().to_string(), request(ECHO, 0, b""), LONG).await.unwrap();
        outbounds.push(outbound);
    }
    let mut plain = server.connections(6).await;
    let mut held_up = plain.remove(0);
    server.hang(&mut held_up).await;
    for outbound in &outbounds {
        let addr = server.serving.local_addr().to_string();
        assert_eq!(&outbound.call(&addr, request(ECHO, 0, b"x"), LONG).await.unwrap().body[..], b"x");
    }
    server.assert_served(&mut plain).await;
    server.release.send(()).unwrap();
    assert_eq!(held_up.frame().await.unwrap().opaque, 7);
    assert_eq!(server.serving.counters().snapshot().tls_sessions, 6);
}
