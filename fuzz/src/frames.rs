//! Frames and both headers.

use bytes::{BufMut, BytesMut};
use kerolox_wire::command::Request;
use kerolox_wire::frame::{FRAME_SIZE_MAX, Frame, FrameError, take_frame};
use kerolox_wire::reply::{Reply, ReplyTo};

/// A stream of frames, which must read alike in whatever pieces it arrives.
pub fn frame(data: &[u8]) {
    let Some((piece, stream)) = data.split_first() else { return };
    let whole = read_all([stream].into_iter());
    let pieces = read_all(stream.chunks(usize::from(*piece).max(1)));
    assert_eq!(whole, pieces);
    for frame in &whole.0 {
        written_and_read(frame);
        answered(frame);
    }
}

/// One JSON header.
pub fn header_json(data: &[u8]) {
    header(data, 0);
}

/// One compact header.
pub fn header_compact(data: &[u8]) {
    header(data, 1);
}

fn header(data: &[u8], serialization: u8) {
    let mut bytes = framed(data, serialization);
    if let Ok(Some(frame)) = take_frame(&mut bytes, FRAME_SIZE_MAX) {
        assert!(bytes.is_empty() && frame.body.is_empty());
        written_and_read(&frame);
    }
}

fn framed(header: &[u8], serialization: u8) -> BytesMut {
    let length = u32::try_from(header.len()).expect("inputs are small");
    let mut bytes = BytesMut::new();
    bytes.put_u32(length + 4);
    bytes.put_u32(u32::from(serialization) << 24 | length);
    bytes.put_slice(header);
    bytes
}

fn read_all<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> (Vec<Frame>, Option<FrameError>) {
    let (mut frames, mut buffer) = (Vec::new(), BytesMut::new());
    for piece in pieces {
        buffer.put_slice(piece);
        loop {
            match take_frame(&mut buffer, FRAME_SIZE_MAX) {
                Ok(Some(frame)) => frames.push(frame),
                Ok(None) => break,
                Err(why) => return (frames, Some(why)),
            }
        }
    }
    (frames, None)
}

/// What was read is written so that it reads back the same; a language without a name becomes `OTHER` in JSON.
fn written_and_read(frame: &Frame) {
    let read = |frame: &Frame| {
        let mut bytes = BytesMut::from(&frame.to_bytes()[..]);
        take_frame(&mut bytes, FRAME_SIZE_MAX).expect("what we write is a frame").expect("what we write is whole")
    };
    let again = read(frame);
    assert_eq!(Frame { language: again.language, ..frame.clone() }, again);
    assert_eq!(read(&again), again);
}

/// The header of a request is decoded or refused, and an answer to it can be read.
fn answered(frame: &Frame) {
    let refusal = Request::decode(frame).err().map(|why| why.to_string()).unwrap_or_default();
    let mut bytes = BytesMut::new();
    let to = ReplyTo::from(frame);
    Reply::ok().with_remark(refusal.clone()).encode(to, &mut bytes);
    assert_eq!(bytes.is_empty(), frame.is_oneway());
    if !bytes.is_empty() {
        let answer = take_frame(&mut bytes, FRAME_SIZE_MAX).expect("an answer is a frame").expect("and whole");
        assert_eq!((answer.opaque, answer.remark.unwrap_or_default()), (frame.opaque, refusal));
    }
}
