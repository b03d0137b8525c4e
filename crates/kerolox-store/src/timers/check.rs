//! `config/timercheck`, RocketMQ 5.x's note of how far its timers have come: big-endian i64 fields in a file of 4,096
//! bytes. It is all that remains true when the derived files are thrown away, and what 5.x begins with.
//!
//! | at | field |
//! |---|---|
//! | 0 | time up to which timers were delivered, ms since 1970 |
//! | 8 | 5.x: durable end of its timer log; 0 here, there is none |
//! | 16 | queue offset in the wheel topic from which units are to be read |
//! | 24 | the same of the primary |
//! | 32 | state version, time and counter of 5.x's data version; 0 here |

use std::io;
use std::path::Path;

use crate::disk::Disk;

const FILE_SIZE: usize = 4096;

/// The two fields that both sides use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimerCheck {
    /// Timers were delivered up to then, ms since 1970.
    pub(super) floor_ms: i64,
    /// No pending timer's unit is before.
    pub(super) queue_from: u64,
}

impl TimerCheck {
    /// Reads the file; `None` when there is none or it is too short to be one.
    pub(super) fn load(disk: &dyn Disk, path: &Path) -> io::Result<Option<Self>> {
        if !disk.exists(path) {
            return Ok(None);
        }
        let bytes = disk.read_file(path)?;
        let field = |at: usize| bytes.get(at..).and_then(|b| b.first_chunk()).map(|b| u64::from_be_bytes(*b));
        Ok(field(0).zip(field(16)).map(|(floor, queue_from)| Self { floor_ms: floor.cast_signed(), queue_from }))
    }

    /// Replaces the file.
    pub(super) fn save(&self, disk: &dyn Disk, path: &Path) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(FILE_SIZE);
        for field in [self.floor_ms.cast_unsigned(), 0, self.queue_from, self.queue_from] {
            bytes.extend_from_slice(&field.to_be_bytes());
        }
        bytes.resize(FILE_SIZE, 0);
        disk.write_file_atomic(path, &bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    #[test]
    fn it_is_a_page_that_java_maps_and_reads_back() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("timercheck");
        assert_eq!(TimerCheck::load(&RealDisk, &path).unwrap(), None);
        let check = TimerCheck { floor_ms: -5, queue_from: 77 };
        check.save(&RealDisk, &path).unwrap();
        assert_eq!(TimerCheck::load(&RealDisk, &path).unwrap(), Some(check));
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 4096);
        std::fs::write(&path, [0; 20]).unwrap();
        assert_eq!(TimerCheck::load(&RealDisk, &path).unwrap(), None);
    }
}
