//! What reading sends and writing their answers costs: `cargo run --release -p kerolox-wire --example send_frames`.
//! Prints nanoseconds per message for a read of 16 requests, as a busy connection brings them.
#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a measurement prints and looks at the clock")]

use std::time::Instant;

use bytes::{Bytes, BytesMut};
use kerolox_wire::command::send::{SendMessage, SendResult};
use kerolox_wire::command::{Header, Names, Request, RequestCode};
use kerolox_wire::fields::Fields;
use kerolox_wire::frame::{FRAME_SIZE_MAX, Frame, take_frame_into};
use kerolox_wire::names::TopicName;
use kerolox_wire::reply::{Reply, ReplyTo};

const REQUESTS: i32 = 16;
const ROUNDS: i32 = 100_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let read = requests()?;
    let mut replies = BytesMut::new();
    let mut best = f64::INFINITY;
    for _ in 0..5 {
        let begin = Instant::now();
        for _ in 0..ROUNDS {
            replies.clear();
            let mut rest = BytesMut::from(&read[..]);
            let mut frame = Frame::default();
            while take_frame_into(&mut rest, FRAME_SIZE_MAX, &mut frame)? {
                answer(&frame, &mut replies)?;
                frame = Frame::default();
            }
        }
        best = best.min(begin.elapsed().as_secs_f64() * 1e9 / f64::from(ROUNDS * REQUESTS));
    }
    println!("{best:.0} ns per message, {} bytes of answers a read", replies.len());
    Ok(())
}

fn answer(frame: &Frame, out: &mut BytesMut) -> Result<(), Box<dyn std::error::Error>> {
    let Request::SendMessageV2(header) = Request::decode(frame)? else { return Err("not a send".into()) };
    let result = SendResult {
        msg_id: "7F00000100002A9F00000000000F4240".to_owned(),
        queue_id: header.queue_id,
        queue_offset: 1_000_000,
        transaction_id: None,
    };
    let mut reply = Reply::of(&result);
    reply.fields.push("MSG_REGION", "DefaultRegion");
    reply.fields.push("TRACE_ON", "true");
    reply.encode(ReplyTo::from(frame), out);
    Ok(())
}

fn requests() -> Result<BytesMut, Box<dyn std::error::Error>> {
    let mut out = BytesMut::new();
    for n in 0..REQUESTS {
        let header = SendMessage {
            producer_group: "bench-producers".to_owned(),
            topic: TopicName::parse("Bench")?,
            default_topic: "TBW102".to_owned(),
            default_topic_queues: 4,
            queue_id: n % 8,
            sys_flag: 0,
            born_timestamp: 1_764_300_000_000,
            flag: 0,
            properties: Some("UNIQ_KEY\u{1}7F0000010000000000000000000F4240\u{2}WAIT\u{1}true\u{2}".to_owned()),
            reconsume_times: 0,
            unit_mode: false,
            max_reconsume_times: None,
            batch: false,
        };
        let mut fields = Fields::new();
        header.encode(&mut fields, Names::Short);
        let mut frame = Frame::request(RequestCode(310), fields, Bytes::from(vec![b'x'; 128]));
        frame.opaque = 1_000_000_000 + n;
        frame.encode(&mut out);
    }
    Ok(out)
}
