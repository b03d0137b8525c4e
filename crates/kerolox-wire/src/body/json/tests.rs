use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::body::{HeartbeatData, OffsetTable};

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Sample {
    number: i32,
    real: f64,
    flag: bool,
    text: String,
    maybe: Option<String>,
    list: Vec<i64>,
    keyed: BTreeMap<i32, i64>,
    paired: PairMap<Place, i64>,
    any: Option<Value>,
}

#[derive(Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Place {
    b: String,
    q: i32,
}

fn sample(text: &str) -> Sample {
    from_json(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn why(text: &str) -> String {
    from_json::<Sample>(text.as_bytes()).unwrap_err().to_string()
}

#[test]
fn plain_values_are_taken_where_another_kind_of_them_is_wanted() {
    let expected = Sample { number: 12, real: 1.0, flag: true, text: "3".to_owned(), ..Sample::default() };
    assert_eq!(sample(r#"{"number":"12","real":1,"flag":"TRUE","text":3}"#), expected);
    assert_eq!(sample(r#"{"number":12,"real":"1.0","flag":1,"text":"3"}"#), expected);
    assert_eq!(sample(r#"{"text":true}"#).text, "true");
    assert_eq!(sample(r#"{"text":-1.5e3}"#).text, "-1.5e3");
}

#[test]
fn keys_may_be_bare_or_objects() {
    let keyed = BTreeMap::from([(0, 1), (-2, 3), (4, 5)]);
    assert_eq!(sample(r#"{keyed:{0:1,-2:3, "4" : 5}}"#).keyed, keyed);
    let pairs = sample(r#"{"paired":{{"b":"x","q":1}:2 , {"q":"3"} : "4"}}"#).paired;
    let place = |b: &str, q| Place { b: b.to_owned(), q };
    assert_eq!(pairs, PairMap(vec![(place("x", 1), 2), (place("", 3), 4)]));
    assert_eq!(pairs.get(&place("x", 1)), Some(&2));
    assert_eq!(sample(r#"{"paired":{}}"#).paired, PairMap::default());
}

#[test]
fn a_member_that_is_null_counts_as_absent() {
    let text = r#"{"number":null,"list":null,"keyed":{"1":null,2:3},"text":null,"maybe":null,"other":null}"#;
    assert_eq!(sample(text), Sample { keyed: BTreeMap::from([(2, 3)]), ..Sample::default() });
}

#[test]
fn unknown_members_are_passed_over() {
    let text = r#"{"x":{"y":[1,{"z":"a\"b"}]},"number":1,"w":[[],{},"}"],"@type":"java.lang.Runtime"}"#;
    assert_eq!(sample(text), Sample { number: 1, ..Sample::default() });
}

#[test]
fn escapes_are_undone() {
    let text = r#"{"text":"a\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00\uD83Dx\udc00\'"}"#;
    assert_eq!(sample(text).text, "a\"\\/\u{8}\u{c}\n\r\té\u{1F600}\u{FFFD}x\u{FFFD}'");
    assert_eq!(sample("{\"text\":\"a\tb\u{1}\"}").text, "a\tb\u{1}", "control characters may stand for themselves");
}

#[test]
fn what_is_not_of_the_dialect_is_refused_with_its_place() {
    for (text, expected) in [
        ("", "at byte 0: a value is missing"),
        ("{", "at byte 1: a key is missing"),
        ("{}x", "at byte 2: something follows the value"),
        ("{} {}", "at byte 3: something follows the value"),
        (r#"{"number":1,}"#, "at byte 12: a key is missing"),
        (r#"{"number":1 "real":2}"#, "at byte 12: a comma is missing between members"),
        (r#"{"number" 1}"#, "at byte 10: a colon is missing"),
        (r#"{"list":[1 2]}"#, "at byte 11: a comma is missing between items"),
        (r#"{"list":[1"#, "at byte 10: a comma is missing between items"),
        (r#"{"text":"a"#, "at byte 9: a text does not end"),
        (r#"{"text":"a\"#, "at byte 11: a text does not end"),
        (r#"{"text":"\x"}"#, "at byte 10: an unknown escape"),
        (r#"{"text":"\u12g4"}"#, "at byte 11: an escape needs four digits"),
        (r#"{"text":nul}"#, "at byte 8: a value is missing"),
        (r#"{"any":nul}"#, "at byte 10: an unknown word"),
        (r#"{"text":[]}"#, "at byte 8: a plain value is missing"),
        (r#"{"number":2147483648}"#, "at byte 20: invalid value: integer `2147483648`, expected i32"),
        (r#"{"number":"1x"}"#, "at byte 14: invalid value: string \"1x\", expected i32"),
        (r#"{"real":1e999}"#, "at byte 13: invalid value: string \"1e999\", expected f64"),
        (r#"{"flag":2}"#, "at byte 9: invalid value: string \"2\", expected a boolean"),
    ] {
        assert_eq!(why(text), format!("unreadable body {expected}"), "{text}");
    }
}

#[test]
fn what_is_no_utf8_is_replaced_as_java_does() {
    assert_eq!(from_json::<String>(b"\"\xb6\xa9a\"").unwrap(), "\u{FFFD}\u{FFFD}a");
}

#[test]
fn one_unreadable_item_takes_no_other_with_it() {
    let beat = br#"{"clientID":"c","consumerDataSet":[null,{"groupName":["x"]},{"groupName":"g","subscriptionDataSet":[
        {"topic":"t","subVersion":"new"},{"topic":"u"}]}],"producerDataSet":[7,{"groupName":"p"}]}"#;
    let beat: HeartbeatData = from_json(beat).unwrap();
    assert_eq!((beat.consumer_data_set.len(), beat.producer_data_set.len(), beat.unreadable.len()), (1, 1, 3));
    let group = &beat.consumer_data_set[0];
    assert_eq!((group.subscription_data_set.len(), group.unreadable.len()), (1, 1));
    assert_eq!(group.subscription_data_set[0].topic, "u");
    assert!(from_json::<HeartbeatData>(br#"{"producerDataSet":[{]}"#).is_err(), "what is no text of the dialect");
}

#[test]
fn what_of_a_table_is_unreadable_is_written_back_as_it_stood() {
    let text = br#"{"offsetTable":{"a@b":{0:"many"},"t@g":{0:5,1:6}}}"#;
    let table: OffsetTable = from_json(text).unwrap();
    assert_eq!(table.offset_table.len(), 1);
    assert_eq!(table.unreadable[0].key, "a@b");
    let written = to_json(&table, Style::Fastjson);
    assert_eq!(String::from_utf8(written).unwrap(), r#"{"offsetTable":{"t@g":{0:5,1:6},"a@b":{0:"many"}}}"#);
    assert_eq!(from_json::<OffsetTable>(to_json_pretty(&table).as_bytes()).unwrap(), table);
}

#[test]
fn an_explanation_does_not_repeat_all_that_a_peer_sent() {
    let text = format!(r#"{{"number":"{}"}}"#, "é".repeat(5000));
    assert!(why(&text).len() < 300);
}

#[test]
fn depth_is_limited() {
    let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert!(from_json::<Value>(nested(DEPTH_MAX).as_bytes()).is_ok());
    assert!(from_json::<Value>(nested(DEPTH_MAX + 1).as_bytes()).is_err());
    for open in ["[", "{\"a\":", "{", "{{\"a\":1}:"] {
        assert!(from_json::<Sample>(open.repeat(1_000_000).as_bytes()).is_err());
        assert!(from_json::<Value>(open.repeat(1_000_000).as_bytes()).is_err());
    }
}

#[test]
fn the_two_styles_differ_in_keys_that_are_no_text() {
    let value = Sample {
        real: 2.0,
        keyed: BTreeMap::from([(-1, 1), (2, 3)]),
        paired: PairMap(vec![(Place { b: "x\"".to_owned(), q: 1 }, 2)]),
        ..Sample::default()
    };
    let start = r#"{"number":0,"real":2.0,"flag":false,"text":"","list":[],"keyed":"#;
    assert_eq!(
        String::from_utf8(to_json(&value, Style::Fastjson)).unwrap(),
        format!(r#"{start}{{-1:1,2:3}},"paired":{{{{"b":"x\"","q":1}}:2}}}}"#)
    );
    let strict = to_json(&value, Style::Strict);
    assert_eq!(
        String::from_utf8(strict.clone()).unwrap(),
        format!(r#"{start}{{"-1":1,"2":3}},"paired":{{"{{\"b\":\"x\\\"\",\"q\":1}}":2}}}}"#)
    );
    assert!(serde_json::from_slice::<Value>(&strict).is_ok());
}

#[test]
fn table_files_have_tabs_and_no_blank_after_a_colon() {
    let value = json!({"a":{"b":[1,{"c":"d"}],"e":{},"f":[]}});
    let lines = "{\n\t\"a\":{\n\t\t\"b\":[\n\t\t\t1,\n\t\t\t{\n\t\t\t\t\"c\":\"d\"\n\t\t\t}\n\t\t],\n\t\t\"e\":{},\n\t\t\"f\":[]\n\t}\n}";
    assert_eq!(to_json_pretty(&value), lines);
    assert_eq!(to_json_pretty(&BTreeMap::from([(0, 1), (1, 2)])), "{0:1,1:2\n}");
}

#[test]
fn what_has_no_number_is_left_out() {
    let value = Sample { real: f64::NAN, ..Sample::default() };
    assert!(!String::from_utf8(to_json(&value, Style::Strict)).unwrap().contains("real"));
    let set = BTreeSet::from(["\u{7f}\u{1f}".to_owned()]);
    assert_eq!(to_json(&set, Style::Fastjson), br#"["\u007f\u001f"]"#);
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<i32>().prop_map(|number| Value::from(f64::from(number) / 4.0)),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            prop::collection::btree_map(any::<String>(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn json_is_read_as_others_read_it_and_written_so_that_others_can(value in any_json()) {
        prop_assert_eq!(&from_json::<Value>(&serde_json::to_vec(&value).unwrap()).unwrap(), &value);
        prop_assert_eq!(&from_json::<Value>(&serde_json::to_vec_pretty(&value).unwrap()).unwrap(), &value);
        for written in [to_json(&value, Style::Fastjson), to_json(&value, Style::Strict)] {
            prop_assert_eq!(&serde_json::from_slice::<Value>(&written).unwrap(), &value);
        }
        prop_assert_eq!(&serde_json::from_str::<Value>(&to_json_pretty(&value)).unwrap(), &value);
    }

    #[test]
    fn any_bytes_are_a_value_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
        let _ = from_json::<Sample>(&bytes);
        let _ = from_json::<Value>(&bytes);
    }

    #[test]
    fn any_likely_text_is_a_value_or_an_error(
        text in r#"[\[\]{}:,"\\0-9a-z .eE+-]{0,60}"#,
        members in r#"\{("(keyed|paired|list|any|text)":[\[{"0-9n][\]}",:0-9{\[a]{0,20},?){0,4}\}"#,
    ) {
        let _ = from_json::<Value>(text.as_bytes());
        let _ = from_json::<Sample>(members.as_bytes());
    }
}
