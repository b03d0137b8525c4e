use std::net::SocketAddr;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::names::{LogOffset, QueueOffset};
use crate::properties::Properties;
use crate::sys_flag::{BORNHOST_V6, STOREHOST_V6};

/// The vectors that the reference's own decoder was seen to read; see testdata/README.md.
fn vectors() -> Vec<Value> {
    let all: Value = serde_json::from_str(include_str!("../../testdata/store_vectors.json")).unwrap();
    all["binary"].as_array().unwrap().clone()
}

fn hex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn address(text: &str) -> SocketAddr {
    let (ip, port) = text.rsplit_once(':').unwrap();
    SocketAddr::new(ip.parse().unwrap(), port.parse().unwrap())
}

fn golden(name: &str) -> Vec<u8> {
    let vector = vectors().into_iter().find(|vector| vector["name"] == name).unwrap();
    hex(vector["hex"].as_str().unwrap())
}

fn sample() -> NewRecord<'static> {
    NewRecord {
        topic: "T",
        queue_id: 1,
        flag: 2,
        sys_flag: 0,
        born_timestamp: 3,
        born_host: address("127.0.0.1:4"),
        store_host: address("127.0.0.1:5"),
        reconsume_times: 6,
        prepared_transaction_offset: 7,
        body: b"body",
        properties: "a\u{1}b\u{2}",
    }
}

fn encoded(record: &NewRecord<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    record.encode(&mut bytes).unwrap();
    bytes
}

#[test]
fn records_the_reference_reads_parse_to_the_same_values_and_encode_to_the_same_bytes() {
    let mut seen = 0;
    for vector in vectors() {
        let name = vector["name"].as_str().unwrap();
        if !name.starts_with("record.v") {
            continue;
        }
        seen += 1;
        let (bytes, fields) = (hex(vector["hex"].as_str().unwrap()), &vector["fields"]);
        let record = Record::parse(&bytes, BodyCheck::Crc).unwrap();
        assert_eq!(record.bytes(), bytes, "{name}");
        assert_eq!(record.topic(), fields["topic"], "{name}");
        assert_eq!(record.queue_id().to_wire(), fields["queueId"], "{name}");
        assert_eq!(record.queue_offset().get(), fields["queueOffset"], "{name}");
        assert_eq!(record.log_offset().get(), fields["physicalOffset"], "{name}");
        assert_eq!(record.sys_flag(), fields["sysFlag"], "{name}");
        assert_eq!(record.born_timestamp(), fields["bornTimestamp"], "{name}");
        assert_eq!(record.store_timestamp(), fields["storeTimestamp"], "{name}");
        assert_eq!(record.born_host(), address(fields["bornHost"].as_str().unwrap()), "{name}");
        assert_eq!(record.store_host(), address(fields["storeHost"].as_str().unwrap()), "{name}");
        assert_eq!(record.body_crc(), fields["bodyCRC"], "{name}");
        assert_eq!(record.reconsume_times(), fields["reconsumeTimes"], "{name}");
        assert_eq!(record.prepared_transaction_offset(), fields["preparedTransactionOffset"], "{name}");
        let properties = fields["properties"].as_str();
        if let Some(properties) = properties {
            assert_eq!(Properties::parse(record.properties()), Properties::parse(properties), "{name}");
        }
        if record.sys_flag() & crate::sys_flag::COMPRESSED == 0 {
            assert_eq!(record.body(), fields["body"].as_str().unwrap().as_bytes(), "{name}");
        }
        if name.starts_with("record.v1") {
            assert_eq!(rewritten(&record), bytes, "{name}");
        }
    }
    assert_eq!(seen, 7);
}

/// The record written anew from what was read of it.
fn rewritten(record: &Record<'_>) -> Vec<u8> {
    let mut bytes = encoded(&NewRecord {
        topic: record.topic(),
        queue_id: record.queue_id().get(),
        flag: record.flag(),
        sys_flag: record.sys_flag(),
        born_timestamp: record.born_timestamp(),
        born_host: record.born_host(),
        store_host: record.store_host(),
        reconsume_times: record.reconsume_times(),
        prepared_transaction_offset: record.prepared_transaction_offset(),
        body: record.body(),
        properties: record.properties(),
    });
    let late = LateFields {
        queue_offset: record.queue_offset(),
        log_offset: record.log_offset(),
        store_timestamp: record.store_timestamp(),
    };
    fill_late(&mut bytes, &late);
    bytes
}

#[test]
fn peek_tells_records_fillers_and_nothing_apart() {
    assert_eq!(peek(&golden("record.v1.ipv4")), Peek::Record { size: 187 });
    assert_eq!(peek(&golden("record.v2.long_topic")), Peek::Record { size: 237 });
    assert_eq!(peek(&golden("record.blank.100")), Peek::Filler { size: 100 });
    assert_eq!(peek(&[0; 8]), Peek::Blank);
    for bad in ["", "00000064daa320", "00000000daa320a7", "ffffffffdaa320a7", "0000000100000000", "00000007cbd43194"] {
        assert_eq!(peek(&hex(bad)), Peek::Bad, "{bad}");
    }
}

#[test]
fn a_changed_body_is_seen_only_when_asked_for() {
    let mut bytes = encoded(&sample());
    let at = bytes.windows(4).position(|part| part == b"body").unwrap();
    bytes[at] ^= 1;
    assert!(matches!(Record::parse(&bytes, BodyCheck::Crc), Err(RecordError::Crc { .. })));
    assert_eq!(Record::parse(&bytes, BodyCheck::Skip).unwrap().body()[1..], b"ody"[..]);
}

#[test]
fn a_size_that_is_not_the_sum_of_the_parts_is_refused() {
    let bytes = encoded(&sample());
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(Record::parse(&longer, BodyCheck::Crc).unwrap().bytes(), bytes, "what follows a record is not its own");
    longer[3] += 1;
    assert!(matches!(Record::parse(&longer, BodyCheck::Skip), Err(RecordError::Size { .. })));
    let mut shorter = bytes.clone();
    shorter[3] -= 1;
    assert!(matches!(Record::parse(&shorter, BodyCheck::Skip), Err(RecordError::Size { .. })));
    for len in 0..bytes.len() {
        assert!(matches!(Record::parse(&bytes[..len], BodyCheck::Skip), Err(RecordError::Short { .. })));
    }
}

#[test]
fn what_does_not_fit_its_length_field_is_refused_and_writes_nothing() {
    let (topic, properties) = ("t".repeat(128), "p".repeat(32_768));
    let mut out = vec![9];
    let record = NewRecord { topic: &topic, ..sample() };
    assert_eq!(record.encode(&mut out), Err(RecordError::TopicTooLong { size: 128 }));
    let record = NewRecord { properties: &properties, ..sample() };
    assert_eq!(record.encode(&mut out), Err(RecordError::PropertiesTooLong { size: 32_768 }));
    assert_eq!(out, [9]);
    let record = NewRecord { topic: &topic[..127], properties: &properties[..32_767], ..sample() };
    assert!(Record::parse(&encoded(&record), BodyCheck::Crc).is_ok());
}

#[test]
fn a_negative_place_is_refused() {
    let bytes = encoded(&sample());
    for (at, field) in [(12, "queue id"), (20, "queue offset"), (28, "log offset")] {
        let mut bytes = bytes.clone();
        bytes[at] = 0x80;
        assert_eq!(Record::parse(&bytes, BodyCheck::Skip), Err(RecordError::Field { field }));
    }
}

#[test]
fn properties_that_are_no_text_end_where_the_damage_begins() {
    let mut bytes = encoded(&NewRecord { properties: "a\u{1}b\u{2}c", ..sample() });
    *bytes.last_mut().unwrap() = 0xFF;
    let record = Record::parse(&bytes, BodyCheck::Crc).unwrap();
    assert_eq!(record.properties(), "a\u{1}b\u{2}");
    assert_eq!(record.properties_bytes().len(), 5);
}

#[test]
fn batch_items_are_read_as_written_and_a_cut_one_ends_the_batch() {
    let items = [
        BatchItem { flag: 1, body: b"one", properties: "a\u{1}b\u{2}" },
        BatchItem { flag: -2, body: b"", properties: "" },
    ];
    let mut body = Vec::new();
    for item in &items {
        encode_batch_item(&mut body, item).unwrap();
    }
    assert_eq!(body[..4], 29u32.to_be_bytes());
    assert_eq!(BatchItems::new(&body).collect::<Result<Vec<_>, _>>().unwrap(), items);
    let cut: Vec<_> = BatchItems::new(&body[..body.len() - 1]).collect();
    assert_eq!(cut.len(), 2);
    assert!(matches!(cut[1], Err(RecordError::Short { have: 21 })));
}

fn host() -> impl Strategy<Value = SocketAddr> {
    prop_oneof![any::<([u8; 4], u16)>().prop_map(SocketAddr::from), any::<([u8; 16], u16)>().prop_map(SocketAddr::from)]
}

proptest! {
    #[test]
    fn records_round_trip(
        topic in "[%A-Za-z0-9_-]{0,127}",
        body in prop::collection::vec(any::<u8>(), 0..300),
        properties in "\\PC{0,80}",
        numbers in any::<(u32, i32, i32, i64, i64, i32, i64)>(),
        places in any::<(u32, u32)>(),
        hosts in (host(), host()),
    ) {
        let (queue_id, flag, sys_flag, born_timestamp, store_timestamp, reconsume_times, prepared) = numbers;
        let new = NewRecord {
            topic: &topic, queue_id: queue_id >> 1, flag, sys_flag, born_timestamp, born_host: hosts.0,
            store_host: hosts.1, reconsume_times, prepared_transaction_offset: prepared, body: &body,
            properties: &properties,
        };
        let late = LateFields {
            queue_offset: QueueOffset::new(places.0.into()), log_offset: LogOffset::new(places.1.into()),
            store_timestamp,
        };
        let mut bytes = encoded(&new);
        prop_assert_eq!(bytes.len(), new.encoded_len());
        fill_late(&mut bytes, &late);
        let record = Record::parse(&bytes, BodyCheck::Crc).unwrap();
        let host_bits = BORNHOST_V6 | STOREHOST_V6;
        prop_assert_eq!(record.sys_flag() & !host_bits, sys_flag & !host_bits);
        prop_assert_eq!((record.born_host(), record.store_host()), hosts);
        prop_assert_eq!((record.topic(), record.body(), record.properties()), (new.topic, new.body, new.properties));
        prop_assert_eq!(
            (record.queue_offset(), record.log_offset(), record.store_timestamp()),
            (late.queue_offset, late.log_offset, late.store_timestamp)
        );
        prop_assert_eq!(rewritten(&record), bytes);
    }

    #[test]
    fn any_bytes_are_a_record_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Record::parse(&bytes, BodyCheck::Crc);
        let _ = peek(&bytes);
        prop_assert!(BatchItems::new(&bytes).count() <= bytes.len() / 22 + 1);
    }

    #[test]
    fn a_damaged_record_is_a_record_or_an_error(at in 0..120_usize, value: u8) {
        let mut bytes = encoded(&sample());
        if let Some(byte) = bytes.get_mut(at) {
            *byte = value;
        }
        if let Ok(record) = Record::parse(&bytes, BodyCheck::Crc) {
            let _ = Properties::parse(record.properties());
            prop_assert!(record.bytes().len() <= bytes.len());
        }
    }
}
