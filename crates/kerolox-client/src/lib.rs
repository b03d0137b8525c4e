//! Calls to name servers and brokers, for the admin tool and for users of the library.
//!
//! [`Client`] holds the name servers and the connections; its methods are grouped by what they are about: routes and
//! clusters, topics, groups, offsets, messages, settings. Nothing here keeps state between calls but connections.

mod accounts;
pub mod allocate;
mod brokers;
mod client;
mod error;
pub mod findings;
mod groups;
mod message;
mod messages;
mod name_servers;
mod offsets;
mod producer;
pub mod route;
mod spans;
mod topics;
mod track;
mod unique;

pub use client::{Answer, CALL_TIMEOUT, Client, LONG_CALL_TIMEOUT, split_addresses};
pub use error::ClientError;
pub use kerolox_net::signature::Credentials;
pub use kerolox_wire::body::MessageQueue;
pub use message::Message;
pub use messages::{Pull, PullStatus, Pulled, TOOLS_GROUP};
pub use name_servers::{MissingTopic, ORDER_NAMESPACE};
pub use offsets::{GroupProgress, Reset, Rollback};
pub use producer::{Outgoing, SendStatus, Sent};
pub use topics::{GROUP_GET_NUMS, TOPIC_PUT_NUMS};
pub use track::{Track, TrackType};
pub use unique::UtcOffset;
