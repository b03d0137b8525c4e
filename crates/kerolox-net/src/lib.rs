//! Connections: accept, frame loop, TLS and calls to other nodes.
//!
//! One task at a time owns one socket. All frames that one read brought go to [`Service::serve`] together, and whatever is to be
//! said in return, replies and pushes of other threads alike, leaves with one write. A connection whose write is
//! pending is not read: that is the only back-pressure there is. No frame gets a task, a channel or a timer of its own.

mod buffers;
mod connection;
mod counters;
mod lanes;
mod listener;
mod outbound;
mod outgoing;
mod peer;
mod peers;
pub mod signature;
mod socket;
mod tls;

use std::sync::Arc;

use bytes::BytesMut;
use kerolox_wire::frame::Frame;

pub use counters::{Counters, CountersSnapshot};
pub use lanes::Lanes;
pub use listener::{ListenConfig, ListenError, Listening, Serving};
pub use outbound::{Outbound, OutboundConfig};
pub use peer::{CallError, CloseReason, Peer, PushError};
pub use tls::{ClientTls, ServerTls, ServerTlsFiles, TlsError, TlsMode};

/// What a role does with the frames that arrive.
///
/// All methods run on the connection's own task. One that blocks holds up its own connection, and in [`Lanes`] others for
/// some 50 ms; a panic in one of them closes that connection only.
pub trait Service: Send + Sync + 'static {
    /// Serves all requests that one read brought, in order.
    ///
    /// Replies that are ready are appended to `out` as encoded frames; later ones go through [`Peer::push`]. Responses
    /// to [`Peer::call`] never show up here. What is left in `frames` is dropped.
    fn serve(&self, peer: &Arc<Peer>, frames: &mut Vec<Frame>, out: &mut BytesMut);

    /// A connection stands (after the TLS handshake, if any); called before its first [`Service::serve`].
    fn connected(&self, _peer: &Arc<Peer>) {}

    /// The connection is gone; called exactly once after [`Service::connected`].
    fn disconnected(&self, _peer: &Arc<Peer>) {}
}
