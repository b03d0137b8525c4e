//! Writes records.

use std::net::{IpAddr, SocketAddr};

use super::{
    BORN_HOST_AT, HOST_V4_SIZE, HOST_V6_SIZE, LOG_OFFSET_AT, MAGIC_V1, PROPERTIES_SIZE_MAX, QUEUE_OFFSET_AT,
    RECORD_FIXED_SIZE, Record, RecordError, SYS_FLAG_AT, TOPIC_SIZE_MAX, body_crc,
};
use crate::names::{LogOffset, QueueOffset};
use crate::sys_flag;

/// A message about to be stored: everything but the three fields that the log decides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewRecord<'a> {
    /// Topic to store under.
    pub topic: &'a str,
    /// Queue within the topic.
    pub queue_id: u32,
    /// The application's own flag.
    pub flag: i32,
    /// System flag; the two host bits are set by the encoder.
    pub sys_flag: i32,
    /// When the sender made it, ms.
    pub born_timestamp: i64,
    /// Where it came from.
    pub born_host: SocketAddr,
    /// The broker's address as clients know it.
    pub store_host: SocketAddr,
    /// How often a consumer has handed it back.
    pub reconsume_times: i32,
    /// Log offset of the half message, 0 when there is none.
    pub prepared_transaction_offset: i64,
    /// The body as sent, possibly compressed.
    pub body: &'a [u8],
    /// The properties text.
    pub properties: &'a str,
}

/// The fields of a record that are known only once the log takes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LateFields {
    /// Place in the queue; 0 for prepared and rollback records.
    pub queue_offset: QueueOffset,
    /// Place in the log.
    pub log_offset: LogOffset,
    /// When the log took it, ms.
    pub store_timestamp: i64,
}

impl<'a> NewRecord<'a> {
    /// A stored message once more: `topic` and `queue_id` are its place now, `properties` its text there.
    #[must_use]
    pub fn copy_of(
        record: &'a Record<'_>,
        topic: &'a str,
        queue_id: u32,
        properties: &'a str,
        store_host: SocketAddr,
    ) -> Self {
        Self {
            topic,
            queue_id,
            flag: record.flag(),
            sys_flag: record.sys_flag(),
            born_timestamp: record.born_timestamp(),
            born_host: record.born_host(),
            store_host,
            reconsume_times: record.reconsume_times(),
            prepared_transaction_offset: 0,
            body: record.body(),
            properties,
        }
    }

    /// Bytes that [`Self::encode`] writes.
    #[must_use]
    pub const fn encoded_len(&self) -> usize {
        let born = if self.born_host.is_ipv6() { HOST_V6_SIZE - HOST_V4_SIZE } else { 0 };
        let store = if self.store_host.is_ipv6() { HOST_V6_SIZE - HOST_V4_SIZE } else { 0 };
        RECORD_FIXED_SIZE + born + store + self.body.len() + self.topic.len() + self.properties.len()
    }

    /// Appends the record in V1 form, the late fields zero.
    ///
    /// # Errors
    /// When a part does not fit its length field; `out` is then as before.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<(), RecordError> {
        let size = self.encoded_len();
        let total = i32::try_from(size).map_err(|_| RecordError::TooLarge { size })?;
        let body_size = i32::try_from(self.body.len()).map_err(|_| RecordError::TooLarge { size })?;
        let topic_size = i8::try_from(self.topic.len());
        let topic_size = topic_size.map_err(|_| RecordError::TopicTooLong { size: self.topic.len() })?;
        let properties_size = i16::try_from(self.properties.len());
        let properties_size =
            properties_size.map_err(|_| RecordError::PropertiesTooLong { size: self.properties.len() })?;
        let sys_flag = sys_flag::with_hosts(self.sys_flag, &self.born_host, &self.store_host);

        out.reserve(size);
        let mut head = [0; BORN_HOST_AT];
        head[0..4].copy_from_slice(&total.to_be_bytes());
        head[4..8].copy_from_slice(&MAGIC_V1.to_be_bytes());
        head[8..12].copy_from_slice(&body_crc(self.body).to_be_bytes());
        head[12..16].copy_from_slice(&self.queue_id.to_be_bytes());
        head[16..20].copy_from_slice(&self.flag.to_be_bytes());
        head[36..40].copy_from_slice(&sys_flag.to_be_bytes());
        head[40..48].copy_from_slice(&self.born_timestamp.to_be_bytes());
        out.extend_from_slice(&head);
        push_host(out, &self.born_host);
        out.extend_from_slice(&[0; 8]);
        push_host(out, &self.store_host);
        let mut middle = [0; 16];
        middle[0..4].copy_from_slice(&self.reconsume_times.to_be_bytes());
        middle[4..12].copy_from_slice(&self.prepared_transaction_offset.to_be_bytes());
        middle[12..16].copy_from_slice(&body_size.to_be_bytes());
        out.extend_from_slice(&middle);
        out.extend_from_slice(self.body);
        out.extend_from_slice(&topic_size.to_be_bytes());
        out.extend_from_slice(self.topic.as_bytes());
        out.extend_from_slice(&properties_size.to_be_bytes());
        out.extend_from_slice(self.properties.as_bytes());
        Ok(())
    }
}

const _: () = assert!(TOPIC_SIZE_MAX == i8::MAX.cast_unsigned() as usize);
const _: () = assert!(PROPERTIES_SIZE_MAX == i16::MAX.cast_unsigned() as usize);

fn push_host(out: &mut Vec<u8>, host: &SocketAddr) {
    match host.ip() {
        IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
    }
    out.extend_from_slice(&u32::from(host.port()).to_be_bytes());
}

/// Writes the late fields into one encoded record.
///
/// # Panics
/// When `record` is shorter than any record is: the caller passes what [`NewRecord::encode`] wrote.
pub fn fill_late(record: &mut [u8], late: &LateFields) {
    let head = record.first_chunk_mut::<RECORD_FIXED_SIZE>().expect("an encoded record has its fixed part");
    head[QUEUE_OFFSET_AT..LOG_OFFSET_AT].copy_from_slice(&late.queue_offset.to_wire().to_be_bytes());
    head[LOG_OFFSET_AT..SYS_FLAG_AT].copy_from_slice(&late.log_offset.to_wire().to_be_bytes());
    let time = late.store_timestamp.to_be_bytes();
    // The sender's address before the store time has one of two lengths; bit 4 of the flag's last byte says which.
    if i32::from(head[SYS_FLAG_AT + 3]) & sys_flag::BORNHOST_V6 == 0 {
        head[56..64].copy_from_slice(&time);
    } else {
        head[68..76].copy_from_slice(&time);
    }
}
