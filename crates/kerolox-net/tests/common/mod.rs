//! A service to test connections with, and a client that shows raw bytes.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kerolox_net::{ListenConfig, Listening, Peer, Service, Serving};
use kerolox_wire::fields::Fields;
use kerolox_wire::frame::{FRAME_SIZE_MAX, Frame, take_frame};
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What the test service does with a request, by its code.
pub(crate) const ECHO: i32 = 10;
pub(crate) const PANIC: i32 = 11;
/// Pushes `body.len()` times a mebibyte to the peer.
pub(crate) const FLOOD: i32 = 12;
/// Answers from another thread, a little later.
pub(crate) const LATE: i32 = 13;
/// Answers, then closes.
pub(crate) const LAST: i32 = 14;
/// Answers nothing.
pub(crate) const SILENT: i32 = 15;

pub(crate) const LONG: Duration = Duration::from_secs(20);

#[derive(Default)]
pub(crate) struct Echo {
    pub(crate) peers: Mutex<Vec<Arc<Peer>>>,
    pub(crate) gone: Mutex<Vec<u64>>,
    /// Sizes of the groups in which requests were handed over.
    pub(crate) groups: Mutex<Vec<usize>>,
}

impl Service for Echo {
    fn serve(&self, peer: &Arc<Peer>, frames: &mut Vec<Frame>, out: &mut BytesMut) {
        self.groups.lock().push(frames.len());
        for frame in frames.drain(..) {
            assert!(!frame.is_response());
            match frame.code {
                PANIC => {
                    out.extend_from_slice(&[0, 0, 0]);
                    panic!("asked to")
                }
                FLOOD => {
                    for _ in 0..frame.body.len() {
                        let _ = peer.push(Bytes::from(vec![0; 1024 * 1024]));
                    }
                }
                LATE => {
                    let (peer, reply) = (Arc::clone(peer), response(&frame));
                    std::thread::spawn(move || {
                        wait(Duration::from_millis(30));
                        peer.push(reply.to_bytes()).unwrap();
                    });
                }
                LAST => {
                    response(&frame).encode(out);
                    peer.close("asked to");
                }
                SILENT => {}
                _ if frame.is_oneway() => {}
                _ => response(&frame).encode(out),
            }
        }
    }

    fn connected(&self, peer: &Arc<Peer>) {
        self.peers.lock().push(Arc::clone(peer));
    }

    fn disconnected(&self, peer: &Arc<Peer>) {
        self.gone.lock().push(peer.id());
    }
}

#[allow(clippy::disallowed_methods, reason = "a thread outside the runtime has no other way to wait")]
pub(crate) fn wait(time: Duration) {
    std::thread::sleep(time);
}

pub(crate) fn local(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

pub(crate) fn config() -> ListenConfig {
    ListenConfig::new(local(0))
}

pub(crate) fn serve(config: ListenConfig) -> (Serving, Arc<Echo>) {
    let echo = Arc::new(Echo::default());
    let serving = Listening::bind(config).unwrap().serve(Arc::clone(&echo) as Arc<dyn Service>);
    (serving, echo)
}

pub(crate) fn request(code: i32, opaque: i32, body: &[u8]) -> Frame {
    let fields = Fields::from_iter([("topic", "T")]);
    Frame { code, opaque, fields, body: Bytes::copy_from_slice(body), ..Frame::default() }
}

pub(crate) fn response(to: &Frame) -> Frame {
    Frame { code: 0, opaque: to.opaque, flag: 1, body: to.body.clone(), ..Frame::default() }
}

/// A connection whose every byte the test decides.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    buf: BytesMut,
}

impl Raw {
    pub(crate) async fn to(serving: &Serving) -> Self {
        let stream = TcpStream::connect(serving.local_addr()).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buf: BytesMut::new() }
    }

    pub(crate) async fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// The next frame, or none when the server closed.
    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        let read = async {
            loop {
                if let Some(frame) = take_frame(&mut self.buf, FRAME_SIZE_MAX).unwrap() {
                    return Some(frame);
                }
                if self.stream.read_buf(&mut self.buf).await.unwrap_or(0) == 0 {
                    return None;
                }
            }
        };
        tokio::time::timeout(LONG, read).await.expect("an answer or the end")
    }

    pub(crate) async fn ask(&mut self, frame: &Frame) -> Option<Frame> {
        self.send(&frame.to_bytes()).await;
        self.frame().await
    }
}

/// Waits until `met`, with a bound.
pub(crate) async fn until(mut met: impl FnMut() -> bool) {
    for _ in 0..1000 {
        if met() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not met in time");
}
