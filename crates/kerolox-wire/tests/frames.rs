//! Frames and headers: any frame round-trips, any bytes are refused without a panic, and the hand-written header
//! scanner agrees with a general JSON parser.

use bytes::{Bytes, BytesMut};
use kerolox_wire::command::{COMMANDS, Header, Names, Request};
use kerolox_wire::fields::Fields;
use kerolox_wire::frame::HEADER_SIZE_MAX;
use kerolox_wire::frame::{FRAME_SIZE_MAX, Frame, FrameError, Language, Serialization, take_frame};
use proptest::prelude::*;

fn any_frame() -> impl Strategy<Value = Frame> {
    // A name comes once: a header that repeats one is refused.
    let fields = proptest::collection::btree_map("[a-zA-Z_][a-zA-Z0-9_]{0,12}", ".{0,40}", 0..12);
    (
        (any::<i16>(), 0_u8..14, 0_i32..700, any::<i32>(), 0_i32..4),
        proptest::option::of(".{1,40}"),
        fields,
        any::<bool>(),
        proptest::collection::vec(any::<u8>(), 0..200),
    )
        .prop_map(|((code, language, version, opaque, flag), remark, fields, binary, body)| Frame {
            replaced: false,
            code: i32::from(code),
            language: Language(language),
            version,
            opaque,
            flag,
            remark,
            fields: fields.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect(),
            serialization: if binary { Serialization::Binary } else { Serialization::Json },
            body: Bytes::from(body),
        })
}

proptest! {
    #[test]
    fn any_frame_round_trips(frame in any_frame()) {
        let mut bytes = BytesMut::from(&frame.to_bytes()[..]);
        prop_assert_eq!(take_frame(&mut bytes, FRAME_SIZE_MAX).unwrap(), Some(frame));
        prop_assert!(bytes.is_empty());
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let mut bytes = BytesMut::from(&bytes[..]);
        while let Ok(Some(frame)) = take_frame(&mut bytes, FRAME_SIZE_MAX) {
            let _ = Request::decode(&frame);
        }
    }

    #[test]
    fn any_header_text_is_read_or_refused(header in ".{0,200}", binary in any::<bool>()) {
        let mut bytes = framed(header.as_bytes(), u32::from(binary));
        let _ = take_frame(&mut bytes, FRAME_SIZE_MAX);
    }

    #[test]
    fn a_damaged_frame_is_read_or_refused(frame in any_frame(), at in any::<prop::sample::Index>(), byte in any::<u8>()) {
        let mut bytes = BytesMut::from(&frame.to_bytes()[..]);
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if let Ok(Some(frame)) = take_frame(&mut bytes, FRAME_SIZE_MAX) {
            let _ = Request::decode(&frame);
        }
    }

    #[test]
    fn the_scanner_agrees_with_a_general_parser(frame in any_frame()) {
        let frame = Frame { serialization: Serialization::Json, ..frame };
        let bytes = frame.to_bytes();
        let header = u32::from_be_bytes(bytes[4..8].try_into().unwrap()) as usize;
        let value: serde_json::Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
        prop_assert_eq!(value["code"].as_i64(), Some(i64::from(frame.code)));
        prop_assert_eq!(value["remark"].as_str(), frame.remark.as_deref());
        for (name, text) in frame.fields.iter() {
            prop_assert_eq!(value["extFields"][name].as_str(), Some(text));
        }
    }
}

fn framed(header: &[u8], kind: u32) -> BytesMut {
    let mut bytes = BytesMut::new();
    let len = u32::try_from(header.len()).expect("a short header");
    bytes.extend_from_slice(&(len + 4).to_be_bytes());
    bytes.extend_from_slice(&(len | kind << 24).to_be_bytes());
    bytes.extend_from_slice(header);
    bytes
}

fn read(header: &str) -> Result<Frame, FrameError> {
    take_frame(&mut framed(header.as_bytes(), 0), FRAME_SIZE_MAX).map(|frame| frame.expect("a whole frame"))
}

#[test]
fn headers_as_other_clients_write_them_are_read() {
    let frame = read(
        r#" {"version":355,"extFields":{"topic":"T\u0001\u4e2d\ud83d\ude00","n":5,"b":true,"none":null},"unknown":[{"a":[1,"x"]}],
            "opaque":"7","language":"GO","flag":0,"code":105,"remark":null} "#,
    )
    .unwrap();
    assert_eq!((frame.code, frame.opaque, frame.version), (105, 7, 355));
    assert_eq!(frame.language.name(), "GO");
    assert_eq!(frame.remark, None);
    assert_eq!(frame.fields, Fields::from_iter([("topic", "T\u{1}中😀"), ("n", "5"), ("b", "true")]));
}

#[test]
fn malformed_headers_say_where_they_break() {
    let cases = [
        ("", "expected an object"),
        ("{\"code\":1", "expected ',' or '}'"),
        ("{\"code\":99999999999}", "expected a 32-bit integer"),
        ("{\"code\":1} x", "text after the header's object"),
        ("{\"remark\":\"a", "a string does not end"),
        ("{\"remark\":\"\\q\"}", "unknown escape"),
        ("{\"remark\":\"\\u12", "a \\u escape ends early"),
    ];
    for (header, why) in cases {
        match read(header) {
            Err(FrameError::Header { why: got, .. }) => assert_eq!(got, why, "{header}"),
            other => panic!("{header}: {other:?}"),
        }
    }
    let deep = format!("{{\"x\":{}1{}}}", "[".repeat(1000), "]".repeat(1000));
    assert!(matches!(read(&deep), Err(FrameError::Header { why: "nested too deeply", .. })));
}

#[test]
fn repeated_members_are_refused() {
    for (header, why) in [
        (r#"{"code":1,"code":2}"#, "a member is repeated"),
        (r#"{"extFields":{},"extFields":{}}"#, "a member is repeated"),
        (r#"{"extFields":null,"extFields":{"a":"1"}}"#, "a member is repeated"),
        (r#"{"\u0063ode":1,"code":2}"#, "a member is repeated"),
        (r#"{"mine":1,"mine":2}"#, "a member is repeated"),
        (r#"{"serializeTypeCurrentRPC":"JSON","serializeTypeCurrentRPC":"JSON"}"#, "a member is repeated"),
        (r#"{"extFields":{"a":"1","a":"2"}}"#, "an extension field is repeated"),
        (r#"{"extFields":{"topic":"1","b":"x","topic":"1"}}"#, "an extension field is repeated"),
        (r#"{"extFields":{"topic":"1","\u0074opic":"2"}}"#, "an extension field is repeated"),
        (r#"{"extFields":{"topic":"1","topic":null}}"#, "an extension field is repeated"),
    ] {
        assert!(matches!(read(header), Err(FrameError::Header { why: got, .. }) if got == why), "{header}");
    }
    let many = (0..100).map(|n| format!("\"name{n}\":\"\",")).collect::<String>();
    assert!(read(&format!("{{\"extFields\":{{{many}\"last\":\"\"}}}}")).is_ok());
    assert!(read(&format!("{{\"extFields\":{{{many}\"name7\":\"\"}}}}")).is_err());
    assert!(read(&format!("{{{many}\"code\":1}}")).is_err(), "too many members");
    let repeated = Fields::from_iter([("topic", "1"), ("topic", "2")]);
    let frame = Frame { fields: repeated, serialization: Serialization::Binary, ..Frame::default() };
    assert!(take_frame(&mut BytesMut::from(&frame.to_bytes()[..]), FRAME_SIZE_MAX).is_err());
}

#[test]
fn a_long_header_is_refused_by_its_first_bytes() {
    let header = HEADER_SIZE_MAX + 1;
    for kind in [0, 1] {
        let prefix = framed(&vec![b' '; header], kind).split_to(8);
        let refused = take_frame(&mut BytesMut::from(&prefix[..]), FRAME_SIZE_MAX);
        assert_eq!(refused, Err(FrameError::HeaderTooLong { header }));
        let fits = framed(&vec![b' '; HEADER_SIZE_MAX], kind).split_to(8);
        assert_eq!(take_frame(&mut BytesMut::from(&fits[..]), FRAME_SIZE_MAX), Ok(None));
    }
    let value = "x".repeat(HEADER_SIZE_MAX);
    let large = Frame { fields: Fields::from_iter([("a", &*value)]), ..Frame::default() };
    let read = take_frame(&mut BytesMut::from(&large.to_bytes()[..]), FRAME_SIZE_MAX).unwrap().unwrap();
    assert!(read.fields.is_empty() && read.remark.unwrap().contains("exceeds the limit"));
}

#[test]
fn lengths_are_checked_before_anything_is_kept() {
    for len in [-1_i32, 0, 3, i32::MAX, i32::MIN] {
        let mut bytes = BytesMut::from(&len.to_be_bytes()[..]);
        assert!(matches!(take_frame(&mut bytes, FRAME_SIZE_MAX), Err(FrameError::Length { .. })), "{len}");
    }
    let mut bytes = BytesMut::from(&[0, 0, 0, 6, 0, 0, 0, 9, b'{', b'}'][..]);
    assert_eq!(take_frame(&mut bytes, FRAME_SIZE_MAX), Err(FrameError::HeaderLength { header: 9, rest: 2 }));
    let mut bytes = framed(b"{}", 7);
    assert_eq!(take_frame(&mut bytes, FRAME_SIZE_MAX), Err(FrameError::Serialization(7)));
}

#[test]
fn a_frame_is_taken_only_when_it_is_there_whole() {
    let whole = Frame { code: 34, body: Bytes::from_static(b"body"), ..Frame::default() }.to_bytes();
    for cut in 0..whole.len() {
        let mut part = BytesMut::from(&whole[..cut]);
        assert_eq!(take_frame(&mut part, FRAME_SIZE_MAX), Ok(None), "{cut}");
        assert_eq!(part.len(), cut);
    }
}

#[test]
fn no_number_of_the_table_is_used_twice() {
    let mut codes: Vec<i32> = COMMANDS.iter().map(|c| c.code.0).collect();
    codes.sort_unstable();
    assert!(codes.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn every_header_of_the_table_reads_back_what_it_wrote() {
    for command in COMMANDS {
        let mut frame = Frame { code: command.code.0, ..Frame::default() };
        for field in command.request.fields {
            let value = match field.kind {
                "i32" | "i64" => "7",
                "bool" => "true",
                _ => "Name_1",
            };
            frame.fields.push(field.name, value);
        }
        let request = Request::decode(&frame).unwrap_or_else(|e| panic!("{}: {e}", command.name));
        assert_ne!(request, Request::Other(command.code.0), "{}", command.name);
        for field in command.request.fields.iter().filter(|f| f.required) {
            let mut without = frame.clone();
            without.fields = frame.fields.iter().filter(|(k, _)| *k != field.name).collect();
            assert!(Request::decode(&without).is_err(), "{} without {}", command.name, field.name);
        }
    }
}

#[test]
fn one_letter_names_are_written_and_read() {
    let mut frame = Frame { code: 310, ..Frame::default() };
    for (name, value) in
        [("a", "g"), ("b", "T"), ("c", "TBW102"), ("d", "4"), ("e", "0"), ("f", "0"), ("g", "1"), ("h", "0")]
    {
        frame.fields.push(name, value);
    }
    let Ok(Request::SendMessageV2(header)) = Request::decode(&frame) else { panic!("not decoded") };
    let mut fields = Fields::new();
    header.encode(&mut fields, Names::Short);
    assert_eq!(fields.get("b"), Some("T"));
    assert_eq!(fields.get("topic"), None);
    header.encode(&mut fields, Names::Long);
    assert_eq!(fields.get("topic"), Some("T"));
}
