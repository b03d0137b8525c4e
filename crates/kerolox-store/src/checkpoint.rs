//! The checkpoint file: up to which store times log, queues and index are durable.

use std::io;
use std::path::Path;

use crate::disk::{Allocate, Disk, OpenMode};

/// Length of the file.
pub const CHECKPOINT_SIZE: u64 = 4096;
/// Bytes of it with a meaning, in the longest known form.
const USED: usize = 40;
/// Store times may step back a little between threads; recovery begins this much before the checkpoint.
const SLACK_MS: i64 = 3000;

/// Up to which store times (milliseconds) the parts of the store are durable.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Checkpoint {
    /// The commit log.
    pub log_ms: i64,
    /// The queues.
    pub queues_ms: i64,
    /// The index, up to its last full file.
    pub index_ms: i64,
    /// Bytes 24..40, which later versions use for offsets of replication; kept as they are.
    pub later: [u8; 16],
}

impl Checkpoint {
    /// Reads the file. A missing or short one says that nothing is known to be durable.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn load(disk: &dyn Disk, path: &Path) -> io::Result<Self> {
        if !disk.exists(path) {
            return Ok(Self::default());
        }
        let bytes = disk.read_file(path)?;
        if bytes.len() < 24 {
            tracing::warn!(path = %path.display(), len = bytes.len(), "checkpoint is too short and ignored");
        }
        Ok(Self::decode(&bytes))
    }

    /// Writes the file in place and makes it durable: the fields share one sector, which no crash splits.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn save(&self, disk: &dyn Disk, path: &Path) -> io::Result<()> {
        let existing = disk.open(path, OpenMode::ReadWrite).ok().filter(|file| file.len() == CHECKPOINT_SIZE);
        let file = match existing {
            Some(file) => file,
            None => disk.open(path, OpenMode::Create { len: CHECKPOINT_SIZE, allocate: Allocate::Full })?,
        };
        file.write_at(0, &self.encode())?;
        file.sync_data()
    }

    /// Store time from whose record on recovery after a crash looks at the log; with `index` also for the index's sake.
    #[must_use]
    pub fn recover_from_ms(&self, index: bool) -> i64 {
        let oldest = self.log_ms.min(self.queues_ms).saturating_sub(SLACK_MS).max(0);
        if index { oldest.min(self.index_ms) } else { oldest }
    }

    fn decode(bytes: &[u8]) -> Self {
        let field = |at: usize| match bytes.get(at..).and_then(|rest| rest.first_chunk()) {
            Some(field) => i64::from_be_bytes(*field),
            None => 0,
        };
        let later = bytes.get(24..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default();
        Self { log_ms: field(0), queues_ms: field(8), index_ms: field(16), later }
    }

    fn encode(&self) -> [u8; USED] {
        let mut out = [0; USED];
        let (fields, later) = out.split_at_mut(24);
        for (place, value) in fields.chunks_exact_mut(8).zip([self.log_ms, self.queues_ms, self.index_ms]) {
            place.copy_from_slice(&value.to_be_bytes());
        }
        later.copy_from_slice(&self.later);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    #[test]
    fn the_bytes_are_those_of_both_generations() {
        let now = 1_700_000_000_000;
        let mut checkpoint = Checkpoint { log_ms: now + 1, queues_ms: now + 2, index_ms: now + 3, later: [0; 16] };
        let (four, five) = (crate::vectors::hex("checkpoint.4x"), crate::vectors::hex("checkpoint.5x"));
        assert_eq!(checkpoint.encode()[..24], four);
        checkpoint.later.copy_from_slice(&five[24..]);
        assert_eq!(checkpoint.encode()[..], five);
        assert_eq!(Checkpoint::decode(&five), checkpoint);
        assert_eq!(Checkpoint::decode(&four).later, [0; 16]);
    }

    #[test]
    fn a_save_keeps_what_later_versions_wrote() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoint");
        assert_eq!(Checkpoint::load(&RealDisk, &path).unwrap(), Checkpoint::default());
        let checkpoint = Checkpoint { log_ms: 1, queues_ms: 2, index_ms: 3, later: [7; 16] };
        checkpoint.save(&RealDisk, &path).unwrap();
        assert_eq!(Checkpoint::load(&RealDisk, &path).unwrap(), checkpoint);
        let newer = Checkpoint { log_ms: 9, ..checkpoint };
        newer.save(&RealDisk, &path).unwrap();
        assert_eq!(Checkpoint::load(&RealDisk, &path).unwrap(), newer);
        assert_eq!(std::fs::metadata(&path).unwrap().len(), CHECKPOINT_SIZE);
    }

    #[test]
    fn a_damaged_file_claims_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoint");
        std::fs::write(&path, b"short").unwrap();
        assert_eq!(Checkpoint::load(&RealDisk, &path).unwrap(), Checkpoint::default());
        Checkpoint { log_ms: 5, ..Checkpoint::default() }.save(&RealDisk, &path).unwrap();
        assert_eq!(Checkpoint::load(&RealDisk, &path).unwrap().log_ms, 5);
    }

    #[test]
    fn recovery_begins_three_seconds_before_the_older_of_log_and_queues() {
        let checkpoint = Checkpoint { log_ms: 10_000, queues_ms: 9_000, index_ms: 4_000, later: [0; 16] };
        assert_eq!(checkpoint.recover_from_ms(false), 6_000);
        assert_eq!(checkpoint.recover_from_ms(true), 4_000);
        assert_eq!(Checkpoint { log_ms: i64::MIN, ..checkpoint }.recover_from_ms(false), 0);
    }
}
