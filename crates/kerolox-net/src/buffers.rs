//! Read and write buffers, lent by the worker thread to whichever connection is at work on it.
//!
//! Ten thousand idle connections own no buffer at all, and a busy one finds its thread's buffer warm in the cache.

use std::cell::Cell;

use bytes::BytesMut;
use kerolox_wire::frame::Frame;

/// How much one read may bring.
pub(crate) const CHUNK_SIZE: usize = 128 * 1024;
/// A larger write buffer is given back to the allocator after use.
const REPLIES_KEEP_MAX: usize = 1024 * 1024;
/// A larger list of frames is given back to the allocator after use.
const FRAMES_KEEP_MAX: usize = 1024;

thread_local! {
    static CHUNK: Cell<BytesMut> = Cell::new(BytesMut::new());
    static REPLIES: Cell<BytesMut> = Cell::new(BytesMut::new());
    static FRAMES: Cell<Vec<Frame>> = const { Cell::new(Vec::new()) };
}

/// An empty buffer with room for one read.
///
/// When bodies of earlier frames are still held by someone, their memory stays theirs and a new piece is made.
pub(crate) fn take_chunk() -> BytesMut {
    let mut chunk = CHUNK.take();
    chunk.reserve(CHUNK_SIZE);
    chunk
}

/// Takes back what [`take_chunk`] lent; its contents are dropped.
pub(crate) fn give_chunk(mut chunk: BytesMut) {
    chunk.clear();
    CHUNK.set(chunk);
}

/// An empty buffer for replies.
pub(crate) fn take_replies() -> BytesMut {
    REPLIES.take()
}

/// Takes back what [`take_replies`] lent.
pub(crate) fn give_replies(mut replies: BytesMut) {
    if replies.capacity() <= REPLIES_KEEP_MAX {
        replies.clear();
        REPLIES.set(replies);
    }
}

/// An empty list for the frames of one read.
pub(crate) fn take_frames() -> Vec<Frame> {
    FRAMES.take()
}

/// Takes back what [`take_frames`] lent; its contents are dropped.
pub(crate) fn give_frames(mut frames: Vec<Frame>) {
    frames.clear();
    if frames.capacity() <= FRAMES_KEEP_MAX {
        FRAMES.set(frames);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_memory_is_lent_again_once_nobody_holds_a_piece_of_it() {
        let mut chunk = take_chunk();
        let address = chunk.as_ptr();
        chunk.extend_from_slice(&[7; 1000]);
        drop(chunk.split_to(600));
        give_chunk(chunk);
        assert_eq!(take_chunk().as_ptr(), address);
    }

    #[test]
    fn a_held_piece_keeps_its_contents() {
        let mut chunk = take_chunk();
        chunk.extend_from_slice(&[7; 1000]);
        let held = chunk.split_to(600).freeze();
        give_chunk(chunk);
        take_chunk().extend_from_slice(&[9; 2000]);
        assert!(held.iter().all(|b| *b == 7));
    }

    #[test]
    fn huge_buffers_are_not_kept() {
        give_replies(BytesMut::with_capacity(REPLIES_KEEP_MAX * 4));
        assert!(take_replies().capacity() <= REPLIES_KEEP_MAX);
    }
}
