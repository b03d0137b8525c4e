//! Requests over the connections that a broker opened: a name server asks over them whether the broker lives.

use std::sync::Arc;

use bytes::BytesMut;
use kerolox_net::{Peer, Service};
use kerolox_wire::frame::Frame;
use kerolox_wire::reply::{Reply, ReplyTo};

use crate::refusal::Refusal;

/// Answers that nothing is served here, as RocketMQ's brokers do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Unserved;

impl Service for Unserved {
    fn serve(&self, _: &Arc<Peer>, frames: &mut Vec<Frame>, out: &mut BytesMut) {
        for frame in frames.drain(..) {
            Reply::from(Refusal::not_supported(frame.code)).encode(ReplyTo::from(&frame), out);
        }
    }

    fn disconnected(&self, _: &Arc<Peer>) {}
}

#[cfg(test)]
mod tests {
    use kerolox_net::{ListenConfig, Listening, Outbound, OutboundConfig};
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn every_request_gets_an_answer() {
        let listening = Listening::bind(ListenConfig::new(([127, 0, 0, 1], 0).into())).unwrap();
        let serving = listening.serve(Arc::new(Unserved));
        let pool = Outbound::serving(OutboundConfig::default(), Arc::new(Unserved));
        let mut answered = Vec::new();
        pool.peer(&serving.local_addr().to_string()).await.unwrap();
        for peer in serving.peers() {
            let question = Frame { code: 106, ..Frame::default() };
            answered.push(peer.call(question, Duration::from_secs(10)).await.unwrap().code);
        }
        assert_eq!(answered, [3]);
    }
}
