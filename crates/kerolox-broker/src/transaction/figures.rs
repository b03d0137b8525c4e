//! Figures of transactions for operators: how many, and which halves are stuck.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

use kerolox_wire::names::QueueId;

use super::ask::Unasked;
use super::{half_topic, op_topic};
use crate::node::Node;

/// Counts since the start, and what the last round has found.
#[derive(Debug, Default)]
pub(super) struct Figures {
    pub(super) committed: AtomicU64,
    pub(super) rolled_back: AtomicU64,
    pub(super) refused_ends: AtomicU64,
    pub(super) asked: AtomicU64,
    /// Questions that found no producer, or none that takes them in.
    pub(super) unasked: AtomicU64,
    pub(super) given_up: AtomicU64,
    /// Rounds that ended in a panic.
    pub(super) failed_rounds: AtomicU64,
    /// Half messages without an end after the last round.
    pub(super) open: AtomicU64,
    /// Of those, asked for more than [`STUCK_CHECKS`] times.
    pub(super) stuck: AtomicU64,
    /// When the oldest of those without an end was made, ms; 0 for none.
    pub(super) oldest_ms: AtomicI64,
}

/// Questions without an answer after which a half message counts as stuck.
pub(super) const STUCK_CHECKS: i32 = 3;

impl Figures {
    /// Under names of their own beside the reference's.
    pub(super) fn table(&self, now_ms: i64) -> [(&'static str, String); 10] {
        let count = |figure: &AtomicU64| figure.load(Relaxed).to_string();
        let oldest = self.oldest_ms.load(Relaxed);
        let age = if oldest == 0 { 0 } else { now_ms.saturating_sub(oldest).max(0) };
        [
            ("transactionCommitTotal", count(&self.committed)),
            ("transactionRollbackTotal", count(&self.rolled_back)),
            ("transactionEndRefusedTotal", count(&self.refused_ends)),
            ("transactionCheckTotal", count(&self.asked)),
            ("transactionCheckUnsentTotal", count(&self.unasked)),
            ("transactionGivenUpTotal", count(&self.given_up)),
            ("transactionCheckFailedTotal", count(&self.failed_rounds)),
            ("transactionHalfOpen", count(&self.open)),
            ("transactionHalfStuck", count(&self.stuck)),
            ("transactionHalfOldestAgeMills", age.to_string()),
        ]
    }
}

/// What a round has come upon.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Found {
    pub(super) asked: u64,
    pub(super) postponed: u64,
    pub(super) given_up: u64,
    pub(super) stuck: u64,
    pub(super) lost: u64,
    /// When the oldest without an end was made, ms.
    pub(super) oldest_ms: Option<i64>,
}

impl Found {
    pub(super) fn add(&mut self, other: Self) {
        self.asked += other.asked;
        self.postponed += other.postponed;
        self.given_up += other.given_up;
        self.stuck += other.stuck;
        self.lost += other.lost;
        self.oldest_ms = earlier(self.oldest_ms, other.oldest_ms);
    }
}

impl Node {
    /// Tells what a round has come upon; `open` is how many have no end after it.
    pub(super) fn note_round(&self, found: &Found, open: u64, unasked: &Unasked) {
        let figures = &self.transactions.figures;
        figures.open.store(open, Relaxed);
        figures.stuck.store(found.stuck, Relaxed);
        figures.oldest_ms.store(found.oldest_ms.unwrap_or(0), Relaxed);
        if unasked.count > 0 {
            tracing::warn!(
                count = unasked.count, groups = ?unasked.groups,
                "half messages wait for an outcome and no producer of their groups can be asked",
            );
        }
        if found.stuck > 0 {
            let age_ms = found.oldest_ms.map_or(0, |born| self.clock.wall_ms().saturating_sub(born));
            tracing::warn!(
                stuck = found.stuck,
                open,
                oldest_age_ms = age_ms,
                transactionCheckMax = self.config.live.transaction_check_max(),
                "half messages are stuck: asked for more than {STUCK_CHECKS} times without an outcome",
            );
        }
        if found.asked + found.given_up > 0 {
            tracing::info!(
                asked = found.asked,
                postponed = found.postponed,
                given_up = found.given_up,
                lost = found.lost,
                open,
                "half messages checked",
            );
        }
    }

    /// Figures of transactions for the broker's runtime information.
    pub(crate) fn transaction_figures(&self) -> Vec<(&'static str, String)> {
        let mut table = self.transactions.figures.table(self.clock.wall_ms()).to_vec();
        let queue = QueueId::new(0);
        for (key, topic) in [("transactionHalfOffset", half_topic()), ("transactionOpOffset", op_topic())] {
            let (next, max) = self.unsettled(&topic, queue);
            table.push((key, format!("{next},{max}")));
        }
        table
    }
}

pub(super) fn earlier(one: Option<i64>, other: Option<i64>) -> Option<i64> {
    one.into_iter().chain(other).min()
}
