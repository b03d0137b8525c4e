//! Bytes of an index file: 40 of header, 4 for each slot, 20 for each entry. A slot holds the number of the newest entry
//! of its chain, an entry that of the one before it; 0 ends the chain, so entry 0 is never used.

/// Bytes of the header.
pub(super) const HEADER_BYTES: usize = 40;
/// Bytes of a slot.
pub(super) const SLOT_BYTES: usize = 4;
/// Bytes of an entry.
pub(super) const ENTRY_BYTES: usize = 20;
/// Granularity of an entry's time.
pub(super) const MS_PER_SECOND: i64 = 1000;

/// Where things stand in a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Layout {
    pub(super) slots: u32,
    pub(super) entries: u32,
}

impl Layout {
    /// At least one slot, and one entry beside the unused one.
    pub(super) fn new(slots: u32, entries: u32) -> Self {
        Self { slots: slots.max(1), entries: entries.max(2) }
    }

    /// Bytes of the whole file.
    pub(super) fn file_size(self) -> u64 {
        self.entry_at(self.entries)
    }

    /// Where slot number `slot` stands.
    pub(super) fn slot_at(self, slot: u32) -> u64 {
        u64::from(slot).saturating_mul(SLOT_BYTES as u64).saturating_add(HEADER_BYTES as u64)
    }

    /// Where entry number `n` stands.
    pub(super) fn entry_at(self, n: u32) -> u64 {
        u64::from(n).saturating_mul(ENTRY_BYTES as u64).saturating_add(self.slot_at(self.slots))
    }

    /// The slot of a key's hash.
    pub(super) fn slot_of(self, hash: u32) -> u32 {
        hash.checked_rem(self.slots).unwrap_or(0)
    }
}

/// The header of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Store time of the first key.
    pub(super) begin_ms: i64,
    /// Store time of the last key.
    pub(super) end_ms: i64,
    /// Log offset of the first key's record.
    pub(super) begin_log: u64,
    /// Log offset of the last key's record.
    pub(super) end_log: u64,
    /// Slots in use.
    pub(super) used_slots: u32,
    /// Number of the next entry: 1 in an empty file.
    pub(super) count: u32,
}

impl Header {
    /// The header of a new file that follows one ending at these values.
    pub(super) fn empty(end_ms: i64, end_log: u64) -> Self {
        Self { begin_ms: end_ms, end_ms, begin_log: end_log, end_log, used_slots: 0, count: 1 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count <= 1
    }

    pub(super) fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        let (longs, ints) = out.split_at_mut(32);
        let values = [self.begin_ms, self.end_ms, self.begin_log.cast_signed(), self.end_log.cast_signed()];
        for (place, value) in longs.chunks_exact_mut(8).zip(values) {
            place.copy_from_slice(&value.to_be_bytes());
        }
        for (place, value) in ints.chunks_exact_mut(4).zip([self.used_slots, self.count]) {
            place.copy_from_slice(&value.to_be_bytes());
        }
        out
    }

    /// Any bytes make a header; one that was never written reads as that of an empty file.
    pub(super) fn decode(bytes: &[u8; HEADER_BYTES]) -> Self {
        let long = |at: usize| match bytes.get(at..).and_then(|rest| rest.first_chunk()) {
            Some(long) => i64::from_be_bytes(*long),
            None => 0,
        };
        let int = |at: usize| match bytes.get(at..).and_then(|rest| rest.first_chunk()) {
            Some(int) => i32::from_be_bytes(*int),
            None => 0,
        };
        let offset = |at: usize| u64::try_from(long(at)).unwrap_or(0);
        Self {
            begin_ms: long(0),
            end_ms: long(8),
            begin_log: offset(16),
            end_log: offset(24),
            used_slots: u32::try_from(int(32)).unwrap_or(0),
            count: u32::try_from(int(36)).unwrap_or(0).max(1),
        }
    }

    /// The time that an entry keeps of a record stored at `store_ms`.
    pub(super) fn seconds_of(&self, store_ms: i64) -> u32 {
        if self.begin_ms <= 0 {
            return 0;
        }
        let seconds = store_ms.saturating_sub(self.begin_ms) / MS_PER_SECOND;
        u32::try_from(seconds.clamp(0, i32::MAX.into())).unwrap_or(0)
    }

    /// The time that an entry stands for.
    pub(super) fn ms_of(&self, seconds: u32) -> i64 {
        self.begin_ms.saturating_add(i64::from(seconds).saturating_mul(MS_PER_SECOND))
    }

    /// Whether the file may have entries of this range of time.
    pub(super) fn overlaps(&self, begin_ms: i64, end_ms: i64) -> bool {
        begin_ms <= self.end_ms && end_ms >= self.begin_ms
    }
}

/// One key of one record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) hash: u32,
    pub(super) log_offset: u64,
    /// Seconds since the file's first key.
    pub(super) seconds: u32,
    /// The entry before it in its slot's chain.
    pub(super) prev: u32,
}

impl Entry {
    pub(super) fn encode(&self) -> [u8; ENTRY_BYTES] {
        let [h0, h1, h2, h3] = self.hash.to_be_bytes();
        let [a, b, c, d, e, f, g, h] = self.log_offset.to_be_bytes();
        let [s0, s1, s2, s3] = self.seconds.to_be_bytes();
        let [p0, p1, p2, p3] = self.prev.to_be_bytes();
        [h0, h1, h2, h3, a, b, c, d, e, f, g, h, s0, s1, s2, s3, p0, p1, p2, p3]
    }

    pub(super) fn decode(bytes: &[u8; ENTRY_BYTES]) -> Self {
        let [h0, h1, h2, h3, a, b, c, d, e, f, g, h, s0, s1, s2, s3, p0, p1, p2, p3] = *bytes;
        Self {
            hash: u32::from_be_bytes([h0, h1, h2, h3]),
            log_offset: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            seconds: u32::from_be_bytes([s0, s1, s2, s3]),
            prev: u32::from_be_bytes([p0, p1, p2, p3]),
        }
    }

    /// Whether the signed numbers of the format can say this.
    pub(super) fn is_legal(&self) -> bool {
        i32::try_from(self.hash).is_ok()
            && i64::try_from(self.log_offset).is_ok()
            && i32::try_from(self.seconds).is_ok()
    }
}
