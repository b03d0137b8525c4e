//! Bytes on their way to one socket: replies in one buffer, then pushes as they came.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::AsyncWrite;

use crate::buffers;

/// Pushes up to this size are copied behind the replies, larger ones are written from where they lie.
const COPY_MAX: usize = 4 * 1024;
/// Most pieces that one gathered write names; systems allow at least this many.
const SLICES_MAX: usize = 64;

/// What is to be written, in order. Only whole frames enter, so its end is always a frame boundary.
#[derive(Default)]
pub(crate) struct Outgoing {
    head: BytesMut,
    written: usize,
    tail: VecDeque<Bytes>,
    tail_bytes: usize,
    /// Bytes of replies that entered since everything was last written.
    replies: usize,
    unflushed: bool,
}

impl Outgoing {
    /// Whether everything was written and flushed.
    pub(crate) fn is_done(&self) -> bool {
        self.is_empty() && !self.unflushed
    }

    /// Bytes of replies that entered since everything was last written; pushes do not count.
    pub(crate) fn replies(&self) -> usize {
        self.replies
    }

    fn is_empty(&self) -> bool {
        self.head.len() == self.written && self.tail_bytes == 0
    }

    /// Lets `fill` append replies at the end.
    pub(crate) fn append_with<T>(&mut self, fill: impl FnOnce(&mut BytesMut) -> T) -> T {
        if self.tail.is_empty() {
            self.own_head();
            let before = self.head.len();
            let value = fill(&mut self.head);
            self.replies += self.head.len().saturating_sub(before);
            return value;
        }
        let mut behind = BytesMut::new();
        let value = fill(&mut behind);
        self.replies += behind.len();
        self.tail_bytes += behind.len();
        self.tail.push_back(behind.freeze());
        value
    }

    /// Puts one push at the end.
    pub(crate) fn push(&mut self, bytes: Bytes) {
        if self.tail.is_empty() && bytes.len() <= COPY_MAX {
            self.own_head();
            self.head.extend_from_slice(&bytes);
        } else {
            self.tail_bytes += bytes.len();
            self.tail.push_back(bytes);
        }
    }

    /// Writes until everything is out or the socket takes no more; counts into `moved` what it took.
    pub(crate) fn poll_write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        cx: &mut Context<'_>,
        moved: &mut usize,
    ) -> Poll<io::Result<()>> {
        while !self.is_empty() {
            let taken = ready!(self.poll_write_some(stream, cx))?;
            if taken == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *moved += taken;
            self.unflushed = true;
            self.advance(taken);
        }
        // A plain socket has nothing to flush; TLS may still hold an encrypted record.
        ready!(Pin::new(stream).poll_flush(cx))?;
        self.unflushed = false;
        self.replies = 0;
        Poll::Ready(Ok(()))
    }

    fn poll_write_some<S: AsyncWrite + Unpin>(&self, stream: &mut S, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let head = self.head.get(self.written..).unwrap_or_default();
        if self.tail.is_empty() {
            return Pin::new(stream).poll_write(cx, head);
        }
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let pieces = std::iter::once(head).chain(self.tail.iter().map(|b| &b[..])).filter(|p| !p.is_empty());
        let mut count = 0;
        for (slot, piece) in slices.iter_mut().zip(pieces) {
            *slot = IoSlice::new(piece);
            count += 1;
        }
        Pin::new(stream).poll_write_vectored(cx, slices.get(..count).unwrap_or_default())
    }

    fn advance(&mut self, mut taken: usize) {
        let of_head = taken.min(self.head.len() - self.written);
        self.written += of_head;
        taken -= of_head;
        if self.written == self.head.len() {
            self.written = 0;
            buffers::give_replies(std::mem::take(&mut self.head));
        }
        self.tail_bytes -= taken;
        while let Some(front) = self.tail.front_mut() {
            if taken < front.len() {
                front.advance(taken);
                return;
            }
            taken -= front.len();
            self.tail.pop_front();
        }
        if self.tail.capacity() > SLICES_MAX {
            self.tail = VecDeque::new();
        }
    }

    fn own_head(&mut self) {
        if self.head.capacity() == 0 {
            self.head = buffers::take_replies();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes `step` bytes a call, then says it is full once.
    struct Narrow {
        step: usize,
        got: Vec<u8>,
        full: bool,
    }

    impl AsyncWrite for Narrow {
        fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
            self.full = !self.full;
            if self.full {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let n = buf.len().min(self.step);
            self.got.extend_from_slice(&buf[..n]);
            Poll::Ready(Ok(n))
        }
        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[test]
    fn whatever_the_socket_takes_at_a_time_the_order_stays() {
        for step in [1, 2, 7, 100, 10_000] {
            let mut outgoing = Outgoing::default();
            let mut expected = Vec::new();
            let mut stream = Narrow { step, got: Vec::new(), full: false };
            let mut cx = Context::from_waker(std::task::Waker::noop());
            let mut moved = 0;
            for round in 0..40_u8 {
                if round % 3 == 0 {
                    outgoing.append_with(|out| out.extend_from_slice(&[round; 11]));
                    expected.extend_from_slice(&[round; 11]);
                } else {
                    let size = if round % 3 == 1 { 20 } else { COPY_MAX + 1 };
                    outgoing.push(Bytes::from(vec![round; size]));
                    expected.extend(std::iter::repeat_n(round, size));
                }
                let _ = outgoing.poll_write(&mut stream, &mut cx, &mut moved);
            }
            while outgoing.poll_write(&mut stream, &mut cx, &mut moved).is_pending() {}
            assert!(outgoing.is_done());
            assert_eq!(stream.got, expected, "step {step}");
            assert_eq!(moved, expected.len());
        }
    }
}
