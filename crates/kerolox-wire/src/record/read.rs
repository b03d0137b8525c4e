//! Reads records where they lie.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{MAGIC_FILLER, MAGIC_V1, MAGIC_V2, RECORD_FIXED_SIZE, RecordError, body_crc};
use crate::cursor::Cursor;
use crate::names::{LogOffset, QueueId, QueueOffset};
use crate::sys_flag::{BORNHOST_V6, STOREHOST_V6};

/// Whether reading a record includes the checksum of its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyCheck {
    /// Compare it.
    Crc,
    /// Trust the body.
    Skip,
}

/// What stands at a place of the log, judged by eight bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peek {
    /// A record, as it seems.
    Record {
        /// Its whole size.
        size: u32,
    },
    /// The filler at the end of a file.
    Filler {
        /// Bytes to the end of the file.
        size: u32,
    },
    /// Nothing was written here.
    Blank,
    /// Anything else.
    Bad,
}

/// Looks at the first eight bytes of `bytes` (fewer are [`Peek::Bad`]).
#[must_use]
pub fn peek(bytes: &[u8]) -> Peek {
    let mut cursor = Cursor::new(bytes);
    let (Some(size), Some(magic)) = (cursor.u32(), cursor.u32()) else {
        return Peek::Bad;
    };
    match magic {
        MAGIC_V1 | MAGIC_V2 if (SIZE_MIN..=SIZE_MAX).contains(&size) => Peek::Record { size },
        MAGIC_FILLER if (8..=SIZE_MAX).contains(&size) => Peek::Filler { size },
        0 if size == 0 => Peek::Blank,
        _ => Peek::Bad,
    }
}

const SIZE_MIN: u32 = 91;
const SIZE_MAX: u32 = i32::MAX.cast_unsigned();
const _: () = assert!(SIZE_MIN as usize == RECORD_FIXED_SIZE);

/// A view of one stored record. Its size, its lengths and its numbers have been checked against each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    bytes: &'a [u8],
    body: &'a [u8],
    topic: &'a str,
    properties: &'a [u8],
    born_host: SocketAddr,
    store_host: SocketAddr,
    queue_offset: QueueOffset,
    log_offset: LogOffset,
    born_timestamp: i64,
    store_timestamp: i64,
    prepared_transaction_offset: i64,
    body_crc: u32,
    queue_id: QueueId,
    flag: i32,
    sys_flag: i32,
    reconsume_times: i32,
    size: u32,
}

impl<'a> Record<'a> {
    /// Reads the record at the front of `bytes`; more may follow it.
    ///
    /// # Errors
    /// When there is no whole record of consistent lengths, or its body is damaged.
    pub fn parse(bytes: &'a [u8], check: BodyCheck) -> Result<Self, RecordError> {
        let short = || RecordError::Short { have: bytes.len() };
        let head = bytes.first_chunk::<8>().ok_or_else(short)?;
        let mut cursor = Cursor::new(head);
        let declared = cursor.i32().ok_or_else(short)?;
        let magic = cursor.u32().ok_or_else(short)?;
        if magic != MAGIC_V1 && magic != MAGIC_V2 {
            return Err(RecordError::Magic { magic });
        }
        let wrong_size = || RecordError::Size { declared };
        let size = u32::try_from(declared).map_err(|_| wrong_size())?;
        if size < SIZE_MIN {
            return Err(wrong_size());
        }
        let bytes = usize::try_from(size).ok().and_then(|size| bytes.get(..size)).ok_or_else(short)?;
        // From here on the record has all its bytes, so a field that does not fit means a wrong size.
        let record = Self::fields(bytes, size, magic).ok_or_else(wrong_size)??;
        // As the reference does: a record without a body has nothing to check.
        if check == BodyCheck::Crc && !record.body.is_empty() {
            let found = body_crc(record.body);
            if found != record.body_crc {
                return Err(RecordError::Crc { stored: record.body_crc, found });
            }
        }
        Ok(record)
    }

    /// `None` when the parts do not fill the bytes exactly.
    fn fields(bytes: &'a [u8], size: u32, magic: u32) -> Option<Result<Self, RecordError>> {
        let field = |field| Some(Err(RecordError::Field { field }));
        let mut cursor = Cursor::new(bytes);
        cursor.array::<8>()?;
        let body_crc = cursor.u32()?;
        let Some(queue_id) = QueueId::from_wire(cursor.i32()?) else { return field("queue id") };
        let flag = cursor.i32()?;
        let Some(queue_offset) = QueueOffset::from_wire(cursor.i64()?) else { return field("queue offset") };
        let Some(log_offset) = LogOffset::from_wire(cursor.i64()?) else { return field("log offset") };
        let sys_flag = cursor.i32()?;
        let born_timestamp = cursor.i64()?;
        let born_host = host(&mut cursor, sys_flag & BORNHOST_V6 != 0)?;
        let store_timestamp = cursor.i64()?;
        let store_host = host(&mut cursor, sys_flag & STOREHOST_V6 != 0)?;
        let reconsume_times = cursor.i32()?;
        let prepared_transaction_offset = cursor.i64()?;
        let body = cursor.block32()?;
        let topic_size = if magic == MAGIC_V1 { cursor.i8()?.into() } else { cursor.i16()? };
        let topic = cursor.take(usize::try_from(topic_size).ok()?)?;
        let properties_size = cursor.i16()?;
        let properties = cursor.take(usize::try_from(properties_size).ok()?)?;
        if !cursor.is_empty() {
            return None;
        }
        let Ok(topic) = std::str::from_utf8(topic) else { return field("topic") };
        Some(Ok(Self {
            bytes,
            body,
            topic,
            properties,
            born_host,
            store_host,
            queue_offset,
            log_offset,
            born_timestamp,
            store_timestamp,
            prepared_transaction_offset,
            body_crc,
            queue_id,
            flag,
            sys_flag,
            reconsume_times,
            size,
        }))
    }

    /// Bytes of the whole record.
    #[must_use]
    pub const fn total_size(&self) -> u32 {
        self.size
    }

    /// The record itself.
    #[must_use]
    pub const fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The checksum kept of the body.
    #[must_use]
    pub const fn body_crc(&self) -> u32 {
        self.body_crc
    }

    /// Queue within the topic.
    #[must_use]
    pub const fn queue_id(&self) -> QueueId {
        self.queue_id
    }

    /// The application's own flag.
    #[must_use]
    pub const fn flag(&self) -> i32 {
        self.flag
    }

    /// Place in the queue; 0 for prepared and rollback records.
    #[must_use]
    pub const fn queue_offset(&self) -> QueueOffset {
        self.queue_offset
    }

    /// Place in the log, as the record itself says.
    #[must_use]
    pub const fn log_offset(&self) -> LogOffset {
        self.log_offset
    }

    /// Bits of [`crate::sys_flag`].
    #[must_use]
    pub const fn sys_flag(&self) -> i32 {
        self.sys_flag
    }

    /// When the sender made it, ms.
    #[must_use]
    pub const fn born_timestamp(&self) -> i64 {
        self.born_timestamp
    }

    /// Where it came from.
    #[must_use]
    pub const fn born_host(&self) -> SocketAddr {
        self.born_host
    }

    /// When the log took it, ms.
    #[must_use]
    pub const fn store_timestamp(&self) -> i64 {
        self.store_timestamp
    }

    /// The broker that stored it.
    #[must_use]
    pub const fn store_host(&self) -> SocketAddr {
        self.store_host
    }

    /// How often a consumer has handed it back.
    #[must_use]
    pub const fn reconsume_times(&self) -> i32 {
        self.reconsume_times
    }

    /// Log offset of the half message, 0 when there is none.
    #[must_use]
    pub const fn prepared_transaction_offset(&self) -> i64 {
        self.prepared_transaction_offset
    }

    /// The body as stored, possibly compressed.
    #[must_use]
    pub const fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The topic it is stored under.
    #[must_use]
    pub const fn topic(&self) -> &'a str {
        self.topic
    }

    /// The properties text; see [`crate::properties`].
    ///
    /// The reference copies the properties of batch items unseen, so a foreign store may hold some that are no text:
    /// then this is what precedes the damage.
    #[must_use]
    pub fn properties(&self) -> &'a str {
        match std::str::from_utf8(self.properties) {
            Ok(text) => text,
            Err(error) => self
                .properties
                .get(..error.valid_up_to())
                .and_then(|sound| std::str::from_utf8(sound).ok())
                .unwrap_or_default(),
        }
    }

    /// The properties as stored.
    #[must_use]
    pub const fn properties_bytes(&self) -> &'a [u8] {
        self.properties
    }
}

fn host(cursor: &mut Cursor<'_>, v6: bool) -> Option<SocketAddr> {
    let ip = if v6 {
        IpAddr::V6(Ipv6Addr::from_octets(cursor.array()?))
    } else {
        IpAddr::V4(Ipv4Addr::from_octets(cursor.array()?))
    };
    // Four bytes for a number of two: the reference reads what fits.
    let [_, _, high, low] = cursor.array::<4>()?;
    Some(SocketAddr::new(ip, u16::from_be_bytes([high, low])))
}
