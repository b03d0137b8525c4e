//! Questions to producers: how did a transaction end?

use std::collections::BTreeSet;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use bytes::Bytes;
use kerolox_net::Peer;
use kerolox_wire::command::send::CheckTransactionState;
use kerolox_wire::command::{Header, Names, RequestCode};
use kerolox_wire::fields::Fields;
use kerolox_wire::frame::Frame;
use kerolox_wire::record::{BodyCheck, Record};

use crate::node::Node;

/// How long a question waits for room towards a producer that takes in less than it is sent.
const ROOM_PATIENCE: Duration = Duration::from_secs(1);
/// Time between two looks for room.
const ROOM_PAUSE: Duration = Duration::from_millis(10);

/// A question to one producer of a group.
pub(super) struct Ask {
    pub(super) group: String,
    pub(super) header: CheckTransactionState,
    /// The message as it was sent.
    pub(super) body: Bytes,
}

/// Whom this round could not ask.
#[derive(Default)]
pub(super) struct Unasked {
    /// Groups without a producer; the names of the first few.
    pub(super) groups: BTreeSet<String>,
    pub(super) count: u64,
    /// Connections that take in too little; not waited for twice.
    slow: BTreeSet<u64>,
}

/// Most groups named in a warning.
const GROUPS_NAMED_MAX: usize = 5;

impl Node {
    /// Asks one producer of the group, each in turn. Nobody waits for the answer, which is a request of its own.
    pub(super) async fn ask_producer(&self, ask: Ask, unasked: &mut Unasked) {
        let figures = &self.transactions.figures;
        let sent = match self.clients.next_producer(&ask.group, |peer| self.may_be_asked(peer, &ask.body)) {
            Some(producer) => {
                let mut fields = Fields::new();
                ask.header.encode(&mut fields, Names::Long);
                let question = Frame::request(RequestCode::CHECK_TRANSACTION_STATE, fields, ask.body);
                let wanted = question.body.len().saturating_mul(2).max(1 << 20);
                let mut patience = if unasked.slow.contains(&producer.id()) { Duration::ZERO } else { ROOM_PATIENCE };
                while producer.push_room() < wanted && !patience.is_zero() {
                    tokio::time::sleep(ROOM_PAUSE).await;
                    patience = patience.saturating_sub(ROOM_PAUSE);
                }
                if producer.push_room() < wanted {
                    unasked.slow.insert(producer.id());
                    tracing::debug!(producer = %producer.remote(), "no room for a question: it is asked next time");
                    false
                } else {
                    producer.notify(&question).is_ok()
                }
            }
            None => {
                if unasked.groups.len() < GROUPS_NAMED_MAX {
                    unasked.groups.insert(ask.group);
                }
                false
            }
        };
        if sent {
            figures.asked.fetch_add(1, Relaxed);
        } else {
            unasked.count += 1;
            figures.unasked.fetch_add(1, Relaxed);
        }
    }

    /// Whether a producer may see a half message: its account must be allowed to publish to the topic of it.
    fn may_be_asked(&self, producer: &Peer, half: &Bytes) -> bool {
        let Some(acl) = &self.acl else { return true };
        Record::parse(half, BodyCheck::Skip).is_ok_and(|half| acl.may_publish(producer, half.topic()))
    }
}
