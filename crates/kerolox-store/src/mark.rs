//! How far the store was complete at the last checkpoint, in offsets.
//!
//! The checkpoint's own fields are times, which say only which log file to begin with after a crash. This mark stands in
//! the same file, far behind the fields that the reference uses, and names the very offset. It counts only while the
//! times beside it are those it was written with: once another program has written a checkpoint it is void.
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 3072 | 8 | `KRLXMARK` |
//! | 3080 | 8 | log time of the checkpoint it belongs to |
//! | 3088 | 8 | queue time of that checkpoint |
//! | 3096 | 8 | log offset before which log and queues are durable and complete |
//! | 3104 | 8 | log offset before which the index is complete |
//! | 3112 | 8 | log offset of the newest record in the index |
//! | 3120 | 8 | number of queues that have or had messages |
//! | 3128 | 4 | CRC-32 of the 56 bytes before |

use std::io;
use std::path::Path;

use crate::checkpoint::{CHECKPOINT_SIZE, Checkpoint};
use crate::disk::{Disk, OpenMode};

/// Where the mark stands: in another sector than the checkpoint's fields.
const MARK_AT: u64 = 3072;
const MARK_SIZE: usize = 60;
const MAGIC: u64 = u64::from_be_bytes(*b"KRLXMARK");

const _: () = assert!(MARK_AT + MARK_SIZE as u64 <= CHECKPOINT_SIZE && MARK_AT % 512 + MARK_SIZE as u64 <= 512);

/// How far the store was complete at the last checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// Everything before it is durable in the log and in its queue. A record, a filler or the log's end is there.
    pub(crate) complete: u64,
    /// Everything before it is in the index.
    pub(crate) indexed: u64,
    /// The newest record in the index: tells a missing index from one that had nothing to hold.
    pub(crate) index_last: u64,
    /// Queues that have or had messages: fewer at the next start means that somebody removed some to have them made anew.
    pub(crate) queues: u64,
}

impl Mark {
    /// Reads the mark, if there is one that belongs to `checkpoint`.
    pub(crate) fn load(disk: &dyn Disk, path: &Path, checkpoint: &Checkpoint) -> io::Result<Option<Self>> {
        if !disk.exists(path) {
            return Ok(None);
        }
        let bytes = disk.read_file(path)?;
        let from = usize::try_from(MARK_AT).map_err(io::Error::other)?;
        let Some(bytes) = bytes.get(from..).and_then(|rest| rest.get(..MARK_SIZE)) else { return Ok(None) };
        let (fields, crc) = bytes.split_at(MARK_SIZE - 4);
        let field = |n: usize| {
            let bytes = fields.chunks_exact(8).nth(n).and_then(|b| b.first_chunk());
            bytes.map_or(0, |b| u64::from_be_bytes(*b))
        };
        let whole = crc == crc32fast::hash(fields).to_be_bytes();
        let ours = field(1) == checkpoint.log_ms.cast_unsigned() && field(2) == checkpoint.queues_ms.cast_unsigned();
        let mark = Self { complete: field(3), indexed: field(4), index_last: field(5), queues: field(6) };
        Ok((whole && ours && field(0) == MAGIC).then_some(mark))
    }

    /// Writes the mark beside the checkpoint it belongs to, which has been saved before.
    pub(crate) fn save(&self, disk: &dyn Disk, path: &Path, checkpoint: &Checkpoint) -> io::Result<()> {
        let (log_ms, queues_ms) = (checkpoint.log_ms.cast_unsigned(), checkpoint.queues_ms.cast_unsigned());
        let mut bytes = Vec::with_capacity(MARK_SIZE);
        for field in [MAGIC, log_ms, queues_ms, self.complete, self.indexed, self.index_last, self.queues] {
            bytes.extend_from_slice(&field.to_be_bytes());
        }
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
        let file = disk.open(path, OpenMode::ReadWrite)?;
        file.write_at(MARK_AT, &bytes)?;
        file.sync_data()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    #[test]
    fn a_mark_is_void_once_the_checkpoint_was_written_by_somebody_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("checkpoint");
        let mut checkpoint = Checkpoint { log_ms: 7, queues_ms: 5, ..Checkpoint::default() };
        assert_eq!(Mark::load(&RealDisk, &path, &checkpoint).unwrap(), None);
        checkpoint.save(&RealDisk, &path).unwrap();
        assert_eq!(Mark::load(&RealDisk, &path, &checkpoint).unwrap(), None);
        let mark = Mark { complete: 100, indexed: 90, index_last: 80, queues: 3 };
        mark.save(&RealDisk, &path, &checkpoint).unwrap();
        assert_eq!(Mark::load(&RealDisk, &path, &checkpoint).unwrap(), Some(mark));
        assert_eq!(Checkpoint::load(&RealDisk, &path).unwrap(), checkpoint, "the checkpoint itself is untouched");
        checkpoint.log_ms = 8;
        assert_eq!(Mark::load(&RealDisk, &path, &checkpoint).unwrap(), None);
    }
}
