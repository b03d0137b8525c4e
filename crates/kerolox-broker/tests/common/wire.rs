//! A bare connection.

use std::net::SocketAddr;

use bytes::BytesMut;
use kerolox_wire::frame::{FRAME_SIZE_MAX, Frame, take_frame};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::LONG;

pub(crate) struct Wire {
    stream: TcpStream,
    read: BytesMut,
}

impl Wire {
    pub(crate) async fn open(addr: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(addr).await.unwrap(), read: BytesMut::new() }
    }

    /// Writes frames in one go, numbered from `first` on.
    pub(crate) async fn write(&mut self, first: i32, frames: impl IntoIterator<Item = Frame>) {
        let mut bytes = BytesMut::new();
        for (opaque, mut frame) in (first..).zip(frames) {
            frame.opaque = opaque;
            frame.encode(&mut bytes);
        }
        self.write_bytes(&bytes).await;
    }

    /// Writes bytes; a connection that the broker has closed shows when the next frame is read.
    pub(crate) async fn write_bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes).await;
    }

    /// The next frame; none once the broker has closed the connection.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let reading = async {
            loop {
                if let Some(frame) = take_frame(&mut self.read, FRAME_SIZE_MAX).unwrap() {
                    return Some(frame);
                }
                match self.stream.read_buf(&mut self.read).await {
                    Ok(0) | Err(_) => return None,
                    Ok(_) => {}
                }
            }
        };
        tokio::time::timeout(LONG, reading).await.expect("neither a frame nor an end")
    }
}
