use proptest::prelude::*;

use super::*;

const VERSION: i32 = 355;

fn text(name: &str) -> String {
    let texts: BTreeMap<String, String> =
        serde_json::from_str(include_str!("../../../testdata/reference_bodies.json")).unwrap();
    texts[name].clone()
}

fn body(lines: &[&str], count: i32, rest: &[u8]) -> Vec<u8> {
    let mut plain = Vec::new();
    push_block(&mut plain, br#"{"counter":3,"timestamp":4}"#);
    plain.extend_from_slice(&count.to_be_bytes());
    for line in lines {
        push_block(&mut plain, line.as_bytes());
    }
    plain.extend_from_slice(rest);
    compress::deflate(&plain, 1)
}

fn empty_list() -> Vec<u8> {
    let mut out = Vec::new();
    push_block(&mut out, b"[]");
    out
}

#[test]
fn the_references_forms_are_read_alike_but_for_what_the_compressed_one_loses() {
    let plain = RegisterBrokerBody::decode(text("RegisterBrokerBody").as_bytes(), false, VERSION).unwrap();
    assert_eq!(plain.encode(), text("RegisterBrokerBody").as_bytes());
    let hex = text("RegisterBrokerBody.compressed");
    let bytes: Vec<u8> =
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect();
    let compressed = RegisterBrokerBody::decode(&bytes, true, VERSION).unwrap();
    let mut expected = plain.clone();
    for topic in expected.topic_config_serialize_wrapper.topic_config_table.values_mut() {
        topic.order = false;
        topic.topic_sys_flag = 0;
    }
    assert_eq!(compressed, expected);
    assert_eq!(RegisterBrokerBody::decode(&plain.encode_compressed(), true, VERSION).unwrap(), expected);
    let ours = compress::inflate(&plain.encode_compressed(), 1000).unwrap();
    assert_eq!(ours, compress::inflate(&bytes, 1000).unwrap(), "before compression both are the same bytes");
    let table = text("TopicConfigTable");
    assert_eq!(RegisterBrokerBody::decode(table.as_bytes(), false, 0).unwrap(), plain, "the form before version 37");
}

#[test]
fn an_empty_body_registers_nothing() {
    for compressed in [false, true] {
        let body = RegisterBrokerBody::decode(b"", compressed, VERSION).unwrap();
        assert_eq!(body, RegisterBrokerBody::default());
        assert_eq!(body.topic_config_serialize_wrapper.data_version, DataVersion { counter: 0, timestamp: 0 });
    }
}

#[test]
fn lines_and_sections_of_5_x_are_understood() {
    let mut rest = empty_list();
    rest.extend_from_slice(&[0, 0, 0, 9, 1, 2, 3]);
    let bytes = body(&[r#"T 4 5 6 SINGLE_TAG {"message.type":"FIFO","k":"a b"}"#, "U 1 1 2 MULTI_TAG {}"], 2, &rest);
    let topics = RegisterBrokerBody::decode(&bytes, true, VERSION).unwrap().topic_config_serialize_wrapper;
    let topic = &topics.topic_config_table["T"];
    assert_eq!((topic.read_queue_nums, topic.write_queue_nums, topic.perm), (4, 5, 6));
    assert_eq!(topic.attributes["k"], "a b");
    assert_eq!(topics.topic_config_table["U"].topic_filter_type, TopicFilterType::MultiTag);
}

#[test]
fn a_broken_registration_is_refused() {
    let list = empty_list();
    for (bytes, why) in [
        (body(&["T 4 5 6 SINGLE_TAG"], i32::MAX, b""), "a topic is cut"),
        (body(&[], 0, b""), "the filter servers are cut"),
        (body(&[], 0, &[0xFF; 4]), "the filter servers are cut"),
        (compress::deflate(b"", 1), "the version is cut"),
        (b"{}".to_vec(), "not a zlib stream"),
    ] {
        assert_eq!(RegisterBrokerBody::decode(&bytes, true, VERSION).unwrap_err().why, why);
    }
    let bomb = RegisterBrokerBody::decode_compressed(&compress::deflate(&[0; 5000], 9), 4999);
    assert_eq!(bomb.unwrap_err().why, "inflates to more than 4999 bytes");
    assert_eq!(RegisterBrokerBody::decode(&body(&[], -1, &list), true, VERSION).unwrap().filter_server_list.len(), 0);
}

#[test]
fn an_unreadable_topic_takes_no_other_with_it() {
    let lines = ["T 4 5 6", " 4 5 6 SINGLE_TAG", "V 4 x 6 SINGLE_TAG", "W 4 5 6 OTHER", "U 4 5 6 SINGLE_TAG"];
    let read = RegisterBrokerBody::decode(&body(&lines, 5, &empty_list()), true, VERSION).unwrap();
    let table = read.topic_config_serialize_wrapper;
    assert_eq!(table.topic_config_table.into_keys().collect::<Vec<_>>(), ["U"]);
    let left_out: Vec<_> = table.unreadable.into_iter().map(|topic| topic.key).collect();
    assert_eq!(left_out, ["T", "", "V", "W"]);
}

proptest! {
    #[test]
    fn any_bytes_are_a_registration_or_an_error(
        bytes in prop::collection::vec(any::<u8>(), 0..200), compressed: bool, version in 30..40,
    ) {
        let _ = RegisterBrokerBody::decode(&bytes, compressed, version);
        let _ = RegisterBrokerBody::decode(&compress::deflate(&bytes, 1), true, VERSION);
        let _ = RegisterBrokerBody::sections(&bytes);
    }

    #[test]
    fn registrations_round_trip(names in prop::collection::btree_set("[a-zA-Z0-9_%-]{1,20}", 0..20), perm in 0..8) {
        let mut body = RegisterBrokerBody::default();
        for name in names {
            let topic = TopicConfig { topic_name: name.clone(), perm, ..TopicConfig::default() };
            body.topic_config_serialize_wrapper.topic_config_table.insert(name, topic);
        }
        prop_assert_eq!(&RegisterBrokerBody::decode(&body.encode(), false, VERSION).unwrap(), &body);
        prop_assert_eq!(&RegisterBrokerBody::decode(&body.encode_compressed(), true, VERSION).unwrap(), &body);
    }
}
