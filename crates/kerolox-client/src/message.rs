//! A message as it lies in a broker.

use std::net::SocketAddr;

use kerolox_wire::compress;
use kerolox_wire::id::MessageId;
use kerolox_wire::names::{LogOffset, QueueId, QueueOffset};
use kerolox_wire::properties::{self, Properties};
use kerolox_wire::record::{BodyCheck, Record};
use kerolox_wire::sys_flag;

/// Largest body after inflating; four times what a broker takes by default.
const BODY_SIZE_MAX: usize = 16 * 1024 * 1024;

/// A stored message, read from its record.
#[derive(Debug, Clone)]
pub struct Message {
    /// Topic.
    pub topic: String,
    /// Broker it was read from, where that is known.
    pub broker_name: Option<String>,
    /// Queue.
    pub queue_id: QueueId,
    /// Place in the queue.
    pub queue_offset: QueueOffset,
    /// Place in the commit log.
    pub log_offset: LogOffset,
    /// Bytes of the record.
    pub store_size: u32,
    /// Checksum of the stored body.
    pub body_crc: u32,
    /// The application's own number.
    pub flag: i32,
    /// Bits of `sys_flag`.
    pub sys_flag: i32,
    /// When the sender made it.
    pub born_timestamp: i64,
    /// Where it came from.
    pub born_host: SocketAddr,
    /// When the broker stored it.
    pub store_timestamp: i64,
    /// The broker's address.
    pub store_host: SocketAddr,
    /// How often a consumer handed it back.
    pub reconsume_times: i32,
    /// Log offset of the half message it came from.
    pub prepared_transaction_offset: i64,
    /// Properties.
    pub properties: Properties,
    /// Body, inflated.
    pub body: Vec<u8>,
}

impl Message {
    /// Reads one record.
    ///
    /// # Errors
    /// A sentence about what is wrong with it.
    pub fn read(record: &Record<'_>) -> Result<Self, String> {
        let body = if record.sys_flag() & sys_flag::COMPRESSED == 0 {
            record.body().to_vec()
        } else {
            compress::inflate(record.body(), BODY_SIZE_MAX).map_err(|why| why.to_string())?
        };
        Ok(Self {
            topic: record.topic().to_owned(),
            broker_name: None,
            queue_id: record.queue_id(),
            queue_offset: record.queue_offset(),
            log_offset: record.log_offset(),
            store_size: record.total_size(),
            body_crc: record.body_crc(),
            flag: record.flag(),
            sys_flag: record.sys_flag(),
            born_timestamp: record.born_timestamp(),
            born_host: record.born_host(),
            store_timestamp: record.store_timestamp(),
            store_host: record.store_host(),
            reconsume_times: record.reconsume_times(),
            prepared_transaction_offset: record.prepared_transaction_offset(),
            properties: Properties::parse(record.properties()),
            body,
        })
    }

    /// Reads records that lie back to back.
    ///
    /// # Errors
    /// A sentence about the first that cannot be read.
    pub fn read_all(mut bytes: &[u8]) -> Result<Vec<Self>, String> {
        let mut messages = Vec::new();
        while !bytes.is_empty() {
            let record = Record::parse(bytes, BodyCheck::Crc).map_err(|why| why.to_string())?;
            messages.push(Self::read(&record)?);
            let size = record.bytes().len();
            bytes = bytes.get(size..).unwrap_or_default();
        }
        Ok(messages)
    }

    /// The id made of the broker's address and the log offset.
    #[must_use]
    pub fn offset_id(&self) -> String {
        MessageId { host: self.store_host, offset: self.log_offset }.to_string()
    }

    /// The id that the sender made up.
    #[must_use]
    pub fn unique_key(&self) -> Option<&str> {
        self.properties.get(properties::UNIQ_KEY)
    }

    /// The id that tools show: the sender's if there is one.
    #[must_use]
    pub fn id(&self) -> String {
        self.unique_key().map_or_else(|| self.offset_id(), str::to_owned)
    }

    /// Its tag.
    #[must_use]
    pub fn tags(&self) -> Option<&str> {
        self.properties.get(properties::TAGS)
    }

    /// Its keys, blank-separated.
    #[must_use]
    pub fn keys(&self) -> Option<&str> {
        self.properties.get(properties::KEYS)
    }

    /// Whether `key` is one of its keys.
    #[must_use]
    pub fn has_key(&self, key: &str) -> bool {
        self.keys().is_some_and(|keys| keys.split(' ').any(|known| known == key))
    }
}
