//! The 20 bytes that a queue keeps of one message.

/// Bytes of one unit.
pub const UNIT_SIZE: u64 = 20;
/// The same as a length in memory.
pub(super) const UNIT_BYTES: usize = 20;
/// Largest size the format's signed 32 bits can say; only blanks have it.
const BLANK_SIZE: u32 = i32::MAX.cast_unsigned();
/// Sizes from here on are no record's, but those of a torn blank.
const RECORD_SIZE_END: u32 = 0x7F00_0000;

const _: () = assert!(UNIT_BYTES as u64 == UNIT_SIZE);

/// What a queue keeps of one message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unit {
    /// Where the record begins in the log.
    pub log_offset: u64,
    /// Bytes of the whole record.
    pub size: u32,
    /// Hash of the TAGS property, or the due time in the delay topic.
    pub tags_code: i64,
}

impl Unit {
    /// Filler before the first message of a queue that does not begin at 0.
    pub const BLANK: Self = Self { log_offset: 0, size: BLANK_SIZE, tags_code: 0 };

    /// Whether this is filler.
    #[must_use]
    pub fn is_blank(&self) -> bool {
        *self == Self::BLANK
    }

    /// Whether the place is taken, by a message or by filler; what follows the last taken place is zeros.
    #[must_use]
    pub fn is_taken(&self) -> bool {
        self.size > 0 && i32::try_from(self.size).is_ok() && i64::try_from(self.log_offset).is_ok()
    }

    /// Whether the unit stands for a message.
    #[must_use]
    pub fn is_message(&self) -> bool {
        self.is_taken() && self.size < RECORD_SIZE_END
    }

    /// Where the record ends in the log.
    #[must_use]
    pub fn log_end(&self) -> u64 {
        self.log_offset.saturating_add(self.size.into())
    }

    /// Its bytes on disk.
    #[must_use]
    pub fn encode(&self) -> [u8; UNIT_BYTES] {
        let mut out = [0; UNIT_BYTES];
        let (log_offset, rest) = out.split_at_mut(8);
        let (size, tags_code) = rest.split_at_mut(4);
        log_offset.copy_from_slice(&self.log_offset.to_be_bytes());
        size.copy_from_slice(&self.size.to_be_bytes());
        tags_code.copy_from_slice(&self.tags_code.to_be_bytes());
        out
    }

    /// The unit that these bytes stand for.
    #[must_use]
    pub fn decode(bytes: &[u8; UNIT_BYTES]) -> Self {
        let [a, b, c, d, e, f, g, h, s0, s1, s2, s3, i, j, k, l, m, n, o, p] = *bytes;
        Self {
            log_offset: u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            size: u32::from_be_bytes([s0, s1, s2, s3]),
            tags_code: i64::from_be_bytes([i, j, k, l, m, n, o, p]),
        }
    }
}
