//! One pending timer as the derived files keep it, and the block that a file of them is made of.
//!
//! | at | bytes | field of an entry |
//! |---|---|---|
//! | 0 | 8 | when it is to be looked at, ms since 1970 |
//! | 8 | 8 | log offset of its record in the wheel topic |
//! | 16 | 8 | hash of topic and unique key |
//! | 24 | 4 | 0 cancellation, 1 message |
//!
//! A block has 4,096 bytes: 146 entries, the number of those in use (4 bytes), and the CRC-32 of all before it.

use std::io;

/// Bytes of a block.
pub(super) const BLOCK_SIZE: usize = 4096;
/// Bytes of an entry.
pub(super) const ENTRY_SIZE: usize = 28;
/// Entries of a full block.
pub(super) const BLOCK_ENTRIES: usize = 146;
const COUNT_AT: usize = BLOCK_ENTRIES * ENTRY_SIZE;
const CRC_AT: usize = COUNT_AT + 4;

const _: () = assert!(CRC_AT + 4 == BLOCK_SIZE);

/// What an entry stands for. Of one millisecond, cancellations come first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TimerKind {
    /// Takes back a message with the same hash and time.
    Cancel,
    /// A message to be delivered, or stored anew when its time is far away.
    Message,
}

/// One pending timer. The order is that of delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TimerEntry {
    /// When it is to be looked at, ms since 1970.
    pub wake_ms: i64,
    /// What it stands for.
    pub kind: TimerKind,
    /// Where its record is.
    pub log_offset: u64,
    /// Hash of topic and unique key: joins a cancellation to its message.
    pub key_hash: u64,
}

/// Lays up to [`BLOCK_ENTRIES`] entries out as a block at the end of `out`.
pub(super) fn put_block(entries: &[TimerEntry], out: &mut Vec<u8>) {
    assert!(entries.len() <= BLOCK_ENTRIES, "a block has room for {BLOCK_ENTRIES} entries");
    let start = out.len();
    entries.iter().for_each(|entry| put_entry(entry, out));
    out.resize(start + COUNT_AT, 0);
    out.extend_from_slice(&u32::try_from(entries.len()).unwrap_or(0).to_be_bytes());
    let crc = crc32fast::hash(out.get(start..).unwrap_or_default());
    out.extend_from_slice(&crc.to_be_bytes());
}

/// Reads a block; `InvalidData` when it is none.
pub(super) fn read_block(bytes: &[u8]) -> io::Result<Vec<TimerEntry>> {
    let bad = |why: &str| io::Error::new(io::ErrorKind::InvalidData, format!("a block of timers {why}"));
    let Some((head, crc)) = bytes.split_at_checked(CRC_AT) else { return Err(bad("is too short")) };
    if crc != crc32fast::hash(head).to_be_bytes() {
        return Err(bad("does not fit its checksum"));
    }
    let Some((entries, count)) = head.split_at_checked(COUNT_AT) else { return Err(bad("is too short")) };
    let count = count.first_chunk().map_or(0, |b| u32::from_be_bytes(*b));
    let count = usize::try_from(count).ok().filter(|n| *n <= BLOCK_ENTRIES).ok_or_else(|| bad("counts too many"))?;
    Ok(entries.chunks_exact(ENTRY_SIZE).take(count).map(read_entry).collect())
}

/// Lays one entry out at the end of `out`.
pub(super) fn put_entry(entry: &TimerEntry, out: &mut Vec<u8>) {
    out.extend_from_slice(&entry.wake_ms.to_be_bytes());
    out.extend_from_slice(&entry.log_offset.to_be_bytes());
    out.extend_from_slice(&entry.key_hash.to_be_bytes());
    let kind = match entry.kind {
        TimerKind::Cancel => 0_u32,
        TimerKind::Message => 1,
    };
    out.extend_from_slice(&kind.to_be_bytes());
}

/// The entry in [`ENTRY_SIZE`] bytes that a checksum has covered.
pub(super) fn read_entry(entry: &[u8]) -> TimerEntry {
    let field = |at: usize| entry.get(at..).and_then(|b| b.first_chunk()).map_or(0, |b| u64::from_be_bytes(*b));
    TimerEntry {
        wake_ms: field(0).cast_signed(),
        log_offset: field(8),
        key_hash: field(16),
        kind: if entry.last() == Some(&0) { TimerKind::Cancel } else { TimerKind::Message },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entry() -> impl Strategy<Value = TimerEntry> {
        let kind = prop_oneof![Just(TimerKind::Cancel), Just(TimerKind::Message)];
        (any::<i64>(), kind, any::<u64>(), any::<u64>()).prop_map(|(wake_ms, kind, log_offset, key_hash)| TimerEntry {
            wake_ms,
            kind,
            log_offset,
            key_hash,
        })
    }

    proptest! {
        #[test]
        fn a_block_reads_back_as_it_was_written(entries in proptest::collection::vec(entry(), 0..=BLOCK_ENTRIES)) {
            let mut bytes = Vec::new();
            put_block(&entries, &mut bytes);
            prop_assert_eq!(bytes.len(), BLOCK_SIZE);
            prop_assert_eq!(read_block(&bytes).unwrap(), entries);
        }

        #[test]
        fn a_changed_bit_is_noticed(at in 0..BLOCK_SIZE, bit in 0..8_u8) {
            let mut bytes = Vec::new();
            put_block(&[], &mut bytes);
            bytes[at] ^= 1 << bit;
            prop_assert!(read_block(&bytes).is_err());
        }

        #[test]
        fn anything_else_is_no_block(bytes in proptest::collection::vec(any::<u8>(), 0..BLOCK_SIZE + 9)) {
            prop_assert!(read_block(&bytes).is_err());
        }
    }

    #[test]
    fn cancellations_come_before_the_messages_of_their_time() {
        let entry = |wake_ms, kind, log_offset| TimerEntry { wake_ms, kind, log_offset, key_hash: 0 };
        let order = [entry(1, TimerKind::Message, 9), entry(2, TimerKind::Cancel, 8), entry(2, TimerKind::Message, 7)];
        assert!(order.is_sorted());
    }
}
