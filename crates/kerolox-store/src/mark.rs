//! How far the store was complete at the last checkpoint, in offsets.
//!
//! The checkpoint's own fields are times, which say only which log file to begin with after a crash. This mark stands in
//! the same file, far behind the fields that the reference uses, and names the very offset. It only makes a start
//! quicker and is void wherever it cannot be checked: it counts beside the checkpoint that it was written with, in a log
//! that has the very record it names, and beside queues of the names and ends that it has summed up.
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 3072 | 8 | `KRLXMRK2` |
//! | 3080 | 8 | log time of the checkpoint it belongs to |
//! | 3088 | 8 | queue time of that checkpoint |
//! | 3096 | 8 | log offset before which log and queues are durable and complete |
//! | 3104 | 8 | log offset before which the index is complete |
//! | 3112 | 8 | log offset of the newest record in the index |
//! | 3120 | 8 | sum over all queues: of the names' CRC-32 (4), of the names' and ends' CRC-32 (4) |
//! | 3128 | 8 | log offset of the last record before the first offset, -1 where there is none |
//! | 3136 | 8 | CRC-32 of that record |
//! | 3144 | 4 | CRC-32 of the 72 bytes before |

use std::io;
use std::path::Path;

use kerolox_wire::record::{Peek, peek};

use crate::checkpoint::{CHECKPOINT_SIZE, Checkpoint};
use crate::commit_log::CommitLog;
use crate::disk::{Disk, OpenMode};
use crate::queues::QueueSum;
use crate::walk::own_offset;

/// Where the mark stands: in another sector than the checkpoint's fields.
const MARK_AT: u64 = 3072;
const MARK_SIZE: usize = 76;
const MAGIC: u64 = u64::from_be_bytes(*b"KRLXMRK2");
/// Offset that stands for no record.
const NO_RECORD: u64 = u64::MAX;

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
    /// Names and ends of all queues.
    pub(crate) queues: QueueSum,
    /// The last record before `complete`, which ties the mark to its log.
    pub(crate) last: Option<LastRecord>,
}

/// A record that a log must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LastRecord {
    /// Its log offset.
    pub(crate) at: u64,
    /// CRC-32 of all its bytes.
    pub(crate) crc: u32,
}

impl LastRecord {
    /// Reads the record at `at`; `None` where there is none.
    pub(crate) fn read(log: &CommitLog, at: u64) -> io::Result<Option<Self>> {
        Ok(record_bytes(log, at)?.map(|bytes| Self { at, crc: crc32fast::hash(&bytes) }))
    }
}

/// All bytes of what looks like a record at an offset.
pub(crate) fn record_bytes(log: &CommitLog, at: u64) -> io::Result<Option<Vec<u8>>> {
    let Some(segment) = log.segments().find(at) else { return Ok(None) };
    let (within, left) = (at.saturating_sub(segment.base()), segment.end().saturating_sub(at));
    if left < 8 {
        return Ok(None);
    }
    match peek(&segment.file().slice(within, 8)?) {
        Peek::Record { size } if u64::from(size) <= left => {
            let len = usize::try_from(size).map_err(io::Error::other)?;
            segment.file().slice(within, len).map(Some)
        }
        _ => Ok(None),
    }
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
        let (fields, sum) = bytes.split_at(MARK_SIZE - 4);
        let field = |n: usize| {
            let bytes = fields.chunks_exact(8).nth(n).and_then(|b| b.first_chunk());
            bytes.map_or(0, |b| u64::from_be_bytes(*b))
        };
        let whole = sum == crc32fast::hash(fields).to_be_bytes();
        let ours = field(1) == checkpoint.log_ms.cast_unsigned() && field(2) == checkpoint.queues_ms.cast_unsigned();
        let crc = u32::try_from(field(8)).unwrap_or(0);
        let last = Some(LastRecord { at: field(7), crc }).filter(|last| last.at != NO_RECORD);
        let queues = QueueSum::from_bits(field(6));
        let mark = Self { complete: field(3), indexed: field(4), index_last: field(5), queues, last };
        Ok((whole && ours && field(0) == MAGIC).then_some(mark))
    }

    /// Whether the log that is there is the one that the mark was made in: it has the record that the mark names, and
    /// that record, or the filler behind it, ends where the mark says.
    pub(crate) fn fits(&self, log: &CommitLog) -> io::Result<bool> {
        let list = log.segments().list();
        let (Some(first), Some(newest)) = (list.first(), list.last()) else { return Ok(false) };
        if self.complete < first.base() || self.complete > newest.end() {
            return Ok(false);
        }
        let Some(last) = self.last else { return Ok(self.complete == 0) };
        let Some(bytes) = record_bytes(log, last.at)? else { return Ok(false) };
        if crc32fast::hash(&bytes) != last.crc || own_offset(&bytes) != Some(last.at) {
            return Ok(false);
        }
        let end = last.at.saturating_add(bytes.len() as u64);
        let Some(segment) = log.segments().find(last.at) else { return Ok(false) };
        let filler = || -> io::Result<bool> {
            let left = segment.end().saturating_sub(end);
            let head =
                if left < 8 { Vec::new() } else { segment.file().slice(end.saturating_sub(segment.base()), 8)? };
            Ok(self.complete == segment.end()
                && matches!(peek(&head), Peek::Filler { size } if u64::from(size) == left))
        };
        Ok(self.complete == end || filler()?)
    }

    /// Writes the mark beside the checkpoint it belongs to, which has been saved before.
    pub(crate) fn save(&self, disk: &dyn Disk, path: &Path, checkpoint: &Checkpoint) -> io::Result<()> {
        let (log_ms, queues_ms) = (checkpoint.log_ms.cast_unsigned(), checkpoint.queues_ms.cast_unsigned());
        let mut bytes = Vec::with_capacity(MARK_SIZE);
        let (last_at, last_crc) = self.last.map_or((NO_RECORD, 0), |last| (last.at, last.crc.into()));
        let queues = self.queues.to_bits();
        let own = [self.complete, self.indexed, self.index_last, queues, last_at, last_crc];
        for field in [MAGIC, log_ms, queues_ms].into_iter().chain(own) {
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
        let last = Some(LastRecord { at: 60, crc: 7 });
        let queues = QueueSum::from_bits(0x0000_0001_0000_0002);
        let mark = Mark { complete: 100, indexed: 90, index_last: 80, queues, last };
        mark.save(&RealDisk, &path, &checkpoint).unwrap();
        assert_eq!(Mark::load(&RealDisk, &path, &checkpoint).unwrap(), Some(mark));
        assert_eq!(Checkpoint::load(&RealDisk, &path).unwrap(), checkpoint, "the checkpoint itself is untouched");
        checkpoint.log_ms = 8;
        assert_eq!(Mark::load(&RealDisk, &path, &checkpoint).unwrap(), None);
    }
}
