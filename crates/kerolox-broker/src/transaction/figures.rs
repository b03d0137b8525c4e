//! Figures of transactions for operators: how many, and which halves are stuck.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};

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
    /// Of those, asked for at least [`STUCK_CHECKS`] times.
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
