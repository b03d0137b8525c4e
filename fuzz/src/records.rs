//! Stored records, batches, and the texts in them.

use std::net::SocketAddr;

use kerolox_wire::id::{MessageId, UniqueKey};
use kerolox_wire::properties::{self, Properties};
use kerolox_wire::record::{
    BatchItems, BodyCheck, LateFields, MAGIC_V1, NewRecord, Peek, Record, RecordError, encode_batch_item, fill_late,
    peek,
};
use kerolox_wire::tags;

/// One record.
pub fn record(data: &[u8]) {
    let checked = Record::parse(data, BodyCheck::Crc);
    let trusted = Record::parse(data, BodyCheck::Skip);
    match (&checked, &trusted) {
        (Ok(checked), Ok(trusted)) => assert_eq!(checked, trusted),
        (Err(checked), Err(trusted)) => assert_eq!(checked, trusted),
        (Err(RecordError::Crc { .. }), Ok(_)) => {}
        other => panic!("one check less finds more: {other:?}"),
    }
    if let Ok(record) = trusted {
        assert_eq!(peek(data), Peek::Record { size: record.total_size() });
        stored_again(&record);
    }
}

/// A record stored once more has the same fields.
fn stored_again(record: &Record<'_>) {
    let store_host: SocketAddr = record.store_host();
    let text = record.properties();
    let new = NewRecord::copy_of(record, record.topic(), record.queue_id().get(), text, store_host);
    let mut bytes = Vec::new();
    if let Err(why) = new.encode(&mut bytes) {
        assert!(matches!(why, RecordError::TopicTooLong { .. }) && bytes.is_empty(), "{why}");
        return;
    }
    let late = LateFields {
        queue_offset: record.queue_offset(),
        log_offset: record.log_offset(),
        store_timestamp: record.store_timestamp(),
    };
    fill_late(&mut bytes, &late);
    let again = Record::parse(&bytes, BodyCheck::Crc).expect("what we write is a record");
    assert_eq!((again.topic(), again.body(), again.properties()), (record.topic(), record.body(), text));
    assert_eq!((again.queue_id(), again.queue_offset()), (record.queue_id(), record.queue_offset()));
    assert_eq!((again.log_offset(), again.store_timestamp()), (record.log_offset(), record.store_timestamp()));
    assert_eq!((again.born_host(), again.store_host()), (record.born_host(), record.store_host()));
    assert_eq!((again.flag(), again.sys_flag()), (record.flag(), record.sys_flag()));
    assert_eq!((again.born_timestamp(), again.reconsume_times()), (record.born_timestamp(), record.reconsume_times()));
}

/// Records back to back, as a file of the log and the answer to a pull have them.
pub fn walk(data: &[u8]) {
    let mut rest = data;
    loop {
        let size = match (peek(rest), Record::parse(rest, BodyCheck::Skip)) {
            (Peek::Record { size }, Ok(record)) => {
                assert_eq!(size, record.total_size());
                assert!(matches!(rest.get(4..8), Some(magic) if *magic == MAGIC_V1.to_be_bytes() || magic[3] == 0xAB));
                size
            }
            (Peek::Filler { size }, Err(_)) => size,
            (_, Err(_)) => return,
            (seen, Ok(record)) => panic!("{seen:?} where {record:?} stands"),
        };
        let Some(behind) = usize::try_from(size).ok().and_then(|size| rest.get(size..)) else { return };
        assert!(behind.len() < rest.len());
        rest = behind;
    }
}

/// The body of a batch send.
pub fn batch(data: &[u8]) {
    let items: Vec<_> = BatchItems::new(data).collect();
    assert!(items.iter().rev().skip(1).all(Result::is_ok), "nothing follows an error");
    let good: Vec<_> = items.into_iter().filter_map(Result::ok).collect();
    let mut bytes = Vec::new();
    for item in &good {
        encode_batch_item(&mut bytes, item).expect("an item that was read fits its lengths");
    }
    let again: Result<Vec<_>, _> = BatchItems::new(&bytes).collect();
    assert_eq!(again, Ok(good));
}

/// A properties text: all ways to read it agree.
pub fn properties(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let read = Properties::parse(text);
    for (name, value) in read.iter() {
        assert_eq!(properties::find(text, name), Some(value));
        assert_eq!(properties::find_each(text, [name, properties::TAGS]), [Some(value), read.get(properties::TAGS)]);
    }
    assert_eq!(properties::find(text, properties::KEYS), read.get(properties::KEYS));
    assert_eq!(Properties::parse(&read.encode()), read);
    let set = [(properties::TAGS, "t"), (properties::KEYS, "")];
    let changed = properties::with(text, &set);
    assert_eq!(properties::find(&changed, properties::TAGS), Some("t"));
    assert_eq!(properties::find(&changed, properties::KEYS), None);
    for (name, value) in read.iter().filter(|(name, _)| !set.iter().any(|(set, _)| set == name)) {
        assert_eq!(properties::find(&changed, name), Some(value));
    }
}

/// Hashes of tags and keys: `topic | 0 | key`.
pub fn tags(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let (topic, key) = text.split_once('\0').unwrap_or((text, ""));
    let plain = text.encode_utf16().fold(0_i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)));
    assert_eq!(tags::java_hash(text), plain);
    assert_eq!(tags::tags_code(Some(text)), i64::from(plain));
    assert_eq!(tags::index_key_hash(topic, key), tags::index_hash(&format!("{topic}#{key}")));
    assert!(i32::try_from(tags::index_hash(text)).is_ok());
}

/// Both ids of a message.
pub fn message_id(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(id) = MessageId::parse(text) {
        assert_eq!(id.to_string(), text.to_ascii_uppercase());
        assert!(UniqueKey::parse(text).is_ok(), "both have the same digits");
    }
    if let Ok(key) = UniqueKey::parse(text) {
        assert_eq!(key.to_string(), text.to_ascii_uppercase());
        // No client counts further: a month has at most 31 days and an hour.
        let is_real = key.since_month_start_ms < 31 * 24 * 3_600_000;
        for now_ms in [0, 1_700_000_000_000, 1_709_251_200_000, i64::MAX / 2] {
            assert!(key.made_at_ms(now_ms) <= now_ms || !is_real);
        }
    }
}
