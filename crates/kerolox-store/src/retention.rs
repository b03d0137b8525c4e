//! What is deleted and when: the oldest log files by age and by the disk's usage, and what pointed into them.

use std::io;
use std::time::Duration;

use crate::commit_log::CommitLog;
use crate::config::StoreConfig;
use crate::segment::Segment;

/// A hook for tests and the thread: pauses between deletions; returns whether to go on.
pub(crate) type Pause<'a> = &'a dyn Fn() -> bool;

/// Most files that one round deletes.
pub(crate) const FILES_PER_ROUND: usize = 10;
const HOUR_MS: i64 = 3_600_000;

/// Which log files are old, and when old files go. May change while the store is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    /// Age from which log files may be deleted.
    pub reserved: Duration,
    /// Local hours in which old files are deleted.
    pub delete_when: Vec<u8>,
    /// Used percent of the disk above which old files are deleted at any hour.
    pub disk_max_used_ratio: u8,
}

impl Retention {
    /// What the store was opened with.
    pub(crate) fn of(config: &StoreConfig) -> Self {
        Self {
            reserved: config.reserved,
            delete_when: config.delete_when.clone(),
            disk_max_used_ratio: config.disk_max_used_ratio,
        }
    }
}

/// Why a round deletes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// It is the hour for it, somebody asked, or the disk fills up: files past their age.
    Aged,
    /// The disk is nearly full: the oldest files whatever their age.
    Forced,
}

/// Used percent of a disk; `None` when it cannot be told.
pub(crate) type Used = Option<u8>;

/// Whether and how a round deletes now.
pub(crate) fn reason(
    config: &StoreConfig,
    retention: &Retention,
    now_ms: i64,
    used: Used,
    asked: bool,
) -> Option<Reason> {
    let used = used.unwrap_or(0);
    if used > config.disk_force_clean_ratio {
        return Some(Reason::Forced);
    }
    let is_hour = retention.delete_when.contains(&local_hour(config, now_ms));
    (is_hour || asked || used > retention.disk_max_used_ratio).then_some(Reason::Aged)
}

/// Whether a file last written at `modified_ms` is to go.
pub(crate) fn is_due(retention: &Retention, reason: Reason, now_ms: i64, modified_ms: i64) -> bool {
    let reserved = i64::try_from(retention.reserved.as_millis()).unwrap_or(i64::MAX);
    match reason {
        Reason::Forced => true,
        Reason::Aged => modified_ms.saturating_add(reserved) <= now_ms,
    }
}

fn local_hour(config: &StoreConfig, now_ms: i64) -> u8 {
    let offset_ms = i64::from((config.utc_offset)(now_ms)).saturating_mul(1000);
    let hour = now_ms.saturating_add(offset_ms).div_euclid(HOUR_MS).rem_euclid(24);
    u8::try_from(hour).unwrap_or(0)
}

/// What one round of cleaning removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Deleted {
    /// Log files.
    pub segments: usize,
    /// Queue files.
    pub queue_files: usize,
    /// Index files.
    pub index_files: usize,
}

/// Deletes the oldest log files that are due, one after the other with a pause between, until one must stay. The last
/// one always stays.
pub(crate) fn delete_segments(
    log: &CommitLog,
    is_due: &dyn Fn(&Segment) -> io::Result<bool>,
    pause: Pause<'_>,
) -> io::Result<usize> {
    let mut deleted = 0_usize;
    while deleted < FILES_PER_ROUND {
        let list = log.segments().list();
        let (Some(oldest), true) = (list.first(), list.len() > 1) else { break };
        if !is_due(oldest)? || (deleted > 0 && !pause()) {
            break;
        }
        // Another round may have taken it during the pause: then the next one is judged anew.
        if log.segments().remove_oldest(oldest)? {
            tracing::info!(file = %oldest.path().display(), "log file deleted");
            deleted = deleted.saturating_add(1);
        }
    }
    Ok(deleted)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;

    fn config() -> StoreConfig {
        StoreConfig { reserved: Duration::from_secs(3600), ..StoreConfig::default() }
    }

    fn reason_of(config: &StoreConfig, now_ms: i64, used: Used, asked: bool) -> Option<Reason> {
        reason(config, &Retention::of(config), now_ms, used, asked)
    }

    #[test]
    fn files_go_at_their_hour_on_request_or_when_the_disk_fills() {
        let four = 4 * HOUR_MS + 5;
        let noon = 12 * HOUR_MS;
        assert_eq!(reason_of(&config(), four, Some(10), false), Some(Reason::Aged));
        assert_eq!(reason_of(&config(), noon, Some(10), false), None);
        assert_eq!(reason_of(&config(), noon, Some(10), true), Some(Reason::Aged));
        assert_eq!(reason_of(&config(), noon, Some(76), false), Some(Reason::Aged));
        assert_eq!(reason_of(&config(), noon, Some(86), false), Some(Reason::Forced));
        assert_eq!(reason_of(&config(), noon, None, false), None);
    }

    #[test]
    fn the_hour_is_the_local_one() {
        let config = StoreConfig { utc_offset: Arc::new(|_| 8 * 3600), ..config() };
        assert_eq!(reason_of(&config, 20 * HOUR_MS, Some(0), false), Some(Reason::Aged));
    }

    #[test]
    fn age_counts_from_the_last_write_unless_forced() {
        let now = 100 * HOUR_MS;
        assert!(is_due(&Retention::of(&config()), Reason::Aged, now, now - HOUR_MS));
        assert!(!is_due(&Retention::of(&config()), Reason::Aged, now, now - HOUR_MS + 1));
        assert!(is_due(&Retention::of(&config()), Reason::Forced, now, now));
    }
}
