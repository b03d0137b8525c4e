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
    use std::time::Duration;

    use kerolox_net::{ListenConfig, Listening, Outbound, OutboundConfig};

    use super::*;

    #[tokio::test]
    async fn a_name_server_gets_an_answer_over_the_brokers_connection() {
        let listening = Listening::bind(ListenConfig::new(([127, 0, 0, 1], 0).into())).unwrap();
        let serving = listening.serve(Arc::new(Unserved));
        let address = serving.local_addr().to_string();
        let pool = Outbound::serving(OutboundConfig::default(), Arc::new(Unserved));
        let request = || Frame { code: 106, ..Frame::default() };
        assert_eq!(pool.call(&address, request(), Duration::from_secs(10)).await.unwrap().code, 3);
        let peer = serving.peers().pop().unwrap();
        assert_eq!(peer.call(request(), Duration::from_secs(10)).await.unwrap().code, 3);
    }
}
