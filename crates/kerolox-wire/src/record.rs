//! One stored message as bytes: how the commit log keeps it and how a pull answer carries it.
//!
//! | bytes | field | | bytes | field |
//! |---|---|---|---|---|
//! | 4 | whole size | | 8 | store time, ms |
//! | 4 | magic | | 8 or 20 | broker address, port in 4 bytes |
//! | 4 | CRC-32 of the body, 31 bits | | 4 | times consumed before |
//! | 4 | queue id | | 8 | log offset of the half message |
//! | 4 | the application's flag | | 4 + n | body |
//! | 8 | queue offset | | 1 + n (V1), 2 + n (V2) | topic |
//! | 8 | log offset | | 2 + n | properties |
//! | 4 | system flag | | | |
//! | 8 | birth time, ms | | | |
//! | 8 or 20 | sender's address, port in 4 bytes | | | |
//!
//! Three fields are known only when the log takes the record: queue offset, log offset and store time. They are written
//! as zeros first and filled in by [`fill_late`].

mod batch;
mod read;
mod write;

pub use batch::{BatchItem, BatchItems, encode_batch_item};
pub use read::{BodyCheck, Peek, Record, peek};
pub use write::{LateFields, NewRecord, fill_late};

/// Magic of the record form that all versions read.
pub const MAGIC_V1: u32 = 0xDAA3_20A7;
/// Magic of the 5.x form with a two-byte topic length.
pub const MAGIC_V2: u32 = 0xDAA3_20AB;
/// Magic of the filler between the last record and the end of a file.
pub const MAGIC_FILLER: u32 = 0xCBD4_3194;

/// Bytes of a V1 record with two IPv4 addresses, apart from body, topic and properties.
pub const RECORD_FIXED_SIZE: usize = 91;
/// Bytes that a filler has at least: its size and its magic. So many stay free behind the last record of a file.
pub const FILLER_SIZE_MIN: usize = 8;
/// Longest topic of a V1 record: its length is one signed byte.
pub const TOPIC_SIZE_MAX: usize = 127;
/// Longest properties text: its length is two signed bytes.
pub const PROPERTIES_SIZE_MAX: usize = 32_767;

const HOST_V4_SIZE: usize = 8;
const HOST_V6_SIZE: usize = 20;

const QUEUE_OFFSET_AT: usize = 20;
const LOG_OFFSET_AT: usize = 28;
const SYS_FLAG_AT: usize = 36;
const BORN_HOST_AT: usize = 48;

const _: () = assert!(RECORD_FIXED_SIZE == BORN_HOST_AT + HOST_V4_SIZE + 8 + HOST_V4_SIZE + 4 + 8 + 4 + 1 + 2);

/// Why bytes are no record, or a message cannot become one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The bytes end before the record does.
    #[error("record ends early: {have} bytes")]
    Short {
        /// Bytes there are.
        have: usize,
    },
    /// Neither of the record magics.
    #[error("not a record: magic {magic:#010x}")]
    Magic {
        /// The value found.
        magic: u32,
    },
    /// The size at the front is not the sum of the parts.
    #[error("record size {declared} does not fit its parts")]
    Size {
        /// The size at the front.
        declared: i32,
    },
    /// The body is not the one that was written.
    #[error("body checksum is {found:#010x}, expected {stored:#010x}")]
    Crc {
        /// The checksum in the record.
        stored: u32,
        /// The checksum of the body.
        found: u32,
    },
    /// A field holds a value it can never have.
    #[error("record has an impossible {field}")]
    Field {
        /// Which one.
        field: &'static str,
    },
    /// The topic does not fit its length field.
    #[error("topic has {size} bytes, {TOPIC_SIZE_MAX} are allowed")]
    TopicTooLong {
        /// Bytes of the topic.
        size: usize,
    },
    /// The properties do not fit their length field.
    #[error("properties have {size} bytes, {PROPERTIES_SIZE_MAX} are allowed")]
    PropertiesTooLong {
        /// Bytes of the properties text.
        size: usize,
    },
    /// The record does not fit its length field.
    #[error("record of {size} bytes is too large")]
    TooLarge {
        /// Bytes of the record.
        size: usize,
    },
}

/// The checksum kept of a body: CRC-32 without its top bit.
#[must_use]
pub fn body_crc(body: &[u8]) -> u32 {
    crc32fast::hash(body) & 0x7FFF_FFFF
}

#[cfg(test)]
mod tests;
