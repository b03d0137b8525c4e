//! Counters of one store, and a snapshot of them.

use std::sync::atomic::{AtomicU64, Ordering};

/// One counter.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, by: u64) {
        self.0.fetch_add(by, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What the store counts.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) appends: Counter,
    pub(crate) records: Counter,
    pub(crate) bytes: Counter,
    pub(crate) refused: Counter,
    pub(crate) reads_found: Counter,
    pub(crate) reads_missed: Counter,
    pub(crate) records_read: Counter,
    pub(crate) records_damaged: Counter,
    pub(crate) segments_deleted: Counter,
}

/// Figures of a store at one moment; counters begin at 0 with each start.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct StoreStats {
    /// Batches appended.
    pub appends: u64,
    /// Records appended.
    pub records: u64,
    /// Bytes of records appended.
    pub bytes: u64,
    /// Batches refused.
    pub refused: u64,
    /// Reads that returned messages.
    pub reads_found: u64,
    /// Reads that returned none.
    pub reads_missed: u64,
    /// Messages returned by reads.
    pub records_read: u64,
    /// Records that reads passed over because they are damaged.
    pub records_damaged: u64,
    /// Log files deleted by retention.
    pub segments_deleted: u64,
    /// Damaged places of the log met while dispatching.
    pub records_skipped: u64,
    /// First offset of the log.
    pub begin: u64,
    /// End of the log.
    pub end: u64,
    /// Everything before it is on the medium.
    pub durable_end: u64,
    /// Everything before it is in its queue.
    pub dispatched_end: u64,
    /// Everything before it is in the key index.
    pub indexed_end: u64,
    /// Store time of the last record, ms.
    pub last_store_ms: i64,
    /// Log files.
    pub segments: usize,
    /// Why the log is sealed, if it is.
    pub sealed: Option<String>,
}

/// How the store stands with its disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DiskState {
    /// Used percent of the log's partition, as last looked at.
    pub log_used: u8,
    /// Appends are refused for lack of room.
    pub full: bool,
    /// Appends are refused because a write or sync failed.
    pub sealed: bool,
}
