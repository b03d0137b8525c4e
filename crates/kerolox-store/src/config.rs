//! What a store is told when it opens.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::disk::physical_memory;
use crate::index::UtcOffset;

/// Smallest segment that makes sense: the largest record must fit with the filler behind it.
pub(crate) const SEGMENT_FILLER: u64 = 8;

/// When an appended record counts as stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FlushMode {
    /// Once it is in the page cache: survives the end of the process, not of the machine.
    #[default]
    Async,
    /// Once it is on the medium.
    Sync,
}

/// How much one read may return.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransferLimit {
    /// Bytes of records. The first record is returned whatever its size.
    pub bytes: usize,
    /// Number of records.
    pub count: usize,
}

/// Settings of one store.
#[derive(Clone)]
pub struct StoreConfig {
    /// Folder of queues, index, checkpoint and lock.
    pub root: PathBuf,
    /// Folder of the log's segments.
    pub commit_log_dir: PathBuf,
    /// Bytes of one log file.
    pub segment_size: u64,
    /// Bytes of one queue file; rounded up to whole units.
    pub queue_file_size: u64,
    /// Hash slots of one index file.
    pub index_slots: u32,
    /// Entries of one index file.
    pub index_entries: u32,
    /// Whether messages are indexed by key at all.
    pub index_enabled: bool,
    /// When an appended record counts as stored.
    pub flush: FlushMode,
    /// How often the log is made durable in `FlushMode::Async`.
    pub flush_interval: Duration,
    /// How often queues and checkpoint are made durable.
    pub queue_flush_interval: Duration,
    /// How long a record may wait for the medium in `FlushMode::Sync`.
    pub sync_flush_timeout: Duration,
    /// Largest record in bytes.
    pub max_record_size: u32,
    /// Age from which segments may be deleted.
    pub reserved: Duration,
    /// Local hours in which old segments are deleted.
    pub delete_when: Vec<u8>,
    /// Used percent of the disk above which old segments are deleted at any hour.
    pub disk_max_used_ratio: u8,
    /// Used percent above which the oldest segments are deleted whatever their age.
    pub disk_force_clean_ratio: u8,
    /// Used percent above which appends are refused.
    pub disk_full_ratio: u8,
    /// How often the store looks for something to delete and at the disk's usage.
    pub clean_interval: Duration,
    /// Pause between two deleted segments.
    pub delete_pause: Duration,
    /// Delay levels: due times of the delay topic's queues.
    pub delay_levels: DelayLevels,
    /// Whether recovery checks the body of each record.
    pub check_crc_on_recover: bool,
    /// Limit of a read whose records are likely in memory.
    pub memory_transfer: TransferLimit,
    /// Limit of a read from the disk.
    pub disk_transfer: TransferLimit,
    /// Bytes of memory that the machine has.
    pub memory_bytes: u64,
    /// Percent of it in which the newest part of the log is supposed to be.
    pub memory_ratio: u8,
    /// Most records that a query by key returns.
    pub max_query: usize,
    /// What the local clock shows: deletion hours and names of index files.
    pub utc_offset: UtcOffset,
    /// What is done when a thread of the store panics, with the reason: by default the process ends.
    pub on_failure: OnFailure,
}

/// What is done when a part without which nothing can be promised has failed.
pub type OnFailure = Arc<dyn Fn(&str) + Send + Sync>;

impl StoreConfig {
    /// Defaults with everything below one folder.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self { commit_log_dir: root.join("commitlog"), root, ..Self::default() }
    }
}

impl Default for StoreConfig {
    fn default() -> Self {
        Self {
            root: PathBuf::from("store"),
            commit_log_dir: PathBuf::from("store/commitlog"),
            segment_size: 1 << 30,
            queue_file_size: 6_000_000,
            index_slots: 5_000_000,
            index_entries: 20_000_000,
            index_enabled: true,
            flush: FlushMode::Async,
            flush_interval: Duration::from_millis(500),
            queue_flush_interval: Duration::from_secs(1),
            sync_flush_timeout: Duration::from_secs(5),
            max_record_size: 4 << 20,
            reserved: Duration::from_secs(72 * 3600),
            delete_when: vec![4],
            disk_max_used_ratio: 75,
            disk_force_clean_ratio: 85,
            disk_full_ratio: 90,
            clean_interval: Duration::from_secs(10),
            delete_pause: Duration::from_millis(100),
            delay_levels: DelayLevels::default(),
            check_crc_on_recover: true,
            memory_transfer: TransferLimit { bytes: 262_144, count: 32 },
            disk_transfer: TransferLimit { bytes: 65_536, count: 8 },
            memory_bytes: physical_memory(),
            memory_ratio: 40,
            max_query: 64,
            utc_offset: Arc::new(|_| 0),
            on_failure: Arc::new(|why| {
                tracing::error!(why, "the process ends: it could not keep what it acknowledges");
                std::process::abort();
            }),
        }
    }
}

/// The table of delay levels: level 1 is the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelayLevels(Vec<i64>);

/// The reference's levels.
pub const DELAY_LEVELS_DEFAULT: &str = "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h";

impl DelayLevels {
    /// Reads a list such as `1s 5s 10m 2h 1d`, separated by one blank.
    ///
    /// # Errors
    /// Names the part that is no duration.
    pub fn parse(text: &str) -> Result<Self, String> {
        let level = |part: &str| -> Option<i64> {
            let unit = match part.chars().last()? {
                's' => 1_000,
                'm' => 60_000,
                'h' => 3_600_000,
                'd' => 86_400_000,
                _ => return None,
            };
            let number = part.get(..part.len().saturating_sub(1))?;
            number.parse::<u32>().ok().and_then(|n| i64::from(n).checked_mul(unit))
        };
        let read = |part| level(part).ok_or_else(|| format!("{part:?} is no delay such as 10s, 5m, 2h or 1d"));
        text.split(' ').map(read).collect::<Result<Vec<_>, _>>().map(Self)
    }

    /// Number of the last level.
    #[must_use]
    pub fn max_level(&self) -> u32 {
        u32::try_from(self.0.len()).unwrap_or(u32::MAX)
    }

    /// Delay of a level in milliseconds; `None` for 0 and beyond the last.
    #[must_use]
    pub fn delay_ms(&self, level: u32) -> Option<i64> {
        let index = usize::try_from(level.checked_sub(1)?).ok()?;
        self.0.get(index).copied()
    }

    /// When a message of the delay topic is due. Levels beyond the last count as the last; without any level at all a
    /// message waits one second, as the reference does.
    #[must_use]
    pub fn due_ms(&self, level: u32, store_timestamp: i64) -> i64 {
        let delay = self.delay_ms(level.min(self.max_level())).unwrap_or(1_000);
        store_timestamp.saturating_add(delay)
    }
}

impl Default for DelayLevels {
    fn default() -> Self {
        Self::parse(DELAY_LEVELS_DEFAULT).expect("the default table is well formed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delay_levels_are_read_clamped_and_defaulted() {
        let levels = DelayLevels::default();
        assert_eq!(levels.max_level(), 18);
        assert_eq!(levels.delay_ms(1), Some(1_000));
        assert_eq!(levels.delay_ms(18), Some(7_200_000));
        assert_eq!(levels.delay_ms(0), None);
        assert_eq!(levels.due_ms(99, 5), 7_200_005);
        assert_eq!(DelayLevels(Vec::new()).due_ms(3, 5), 1_005);
        for bad in ["", "1", "s", "1x", "1s  2s", "-1s"] {
            assert!(DelayLevels::parse(bad).is_err(), "{bad:?}");
        }
    }
}
