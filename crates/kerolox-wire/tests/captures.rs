//! Frames captured from real clients, brokers and name servers (see `testdata/captures/README.md`) decode into typed
//! values and encode back to the fields and bodies they came with.

#[path = "captures/bodies.rs"]
mod bodies;
#[path = "captures/text.rs"]
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use bytes::BytesMut;
use kerolox_wire::command::{COMMANDS, Call, FieldSpec, Header, HeaderError, Names, Request, RequestCode, call};
use kerolox_wire::fields::Fields;
use kerolox_wire::frame::{FRAME_SIZE_MAX, Frame, take_frame};
use kerolox_wire::response::ResponseCode;

/// One line of a capture file.
pub struct Captured {
    /// File, line and note, for messages.
    pub place: String,
    /// Code of the request that this is or answers.
    pub request: i32,
    /// The frame.
    pub frame: Frame,
    /// Its bytes with the length word.
    bytes: BytesMut,
}

fn unhex(text: &str) -> Vec<u8> {
    assert_eq!(text.len() % 2, 0);
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).expect("a hex digit")).collect()
}

fn captures() -> Vec<Captured> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/captures");
    let mut all = Vec::new();
    for client in ["java", "java-binary", "java-v1", "go", "node", "broker"] {
        let lines = std::fs::read_to_string(folder.join(client).with_extension("jsonl")).expect("a capture file");
        for (number, line) in lines.lines().enumerate() {
            let row: serde_json::Value = serde_json::from_str(line).expect("one object a line");
            let body = unhex(row["hex"].as_str().expect("hex"));
            let mut bytes = BytesMut::from(&u32::try_from(body.len()).expect("a length").to_be_bytes()[..]);
            bytes.extend_from_slice(&body);
            let place = format!("{client}.jsonl:{} ({})", number + 1, row["note"].as_str().expect("a note"));
            let frame = take_frame(&mut bytes.clone(), FRAME_SIZE_MAX)
                .unwrap_or_else(|error| panic!("{place}: {error}"))
                .unwrap_or_else(|| panic!("{place}: not a whole frame"));
            assert_eq!(frame.is_response(), row["kind"] == "answer", "{place}");
            assert_eq!(i64::from(frame.code), row["code"].as_i64().expect("a code"), "{place}");
            let request = i32::try_from(row["request_code"].as_i64().expect("a code")).expect("a code");
            all.push(Captured { place, request, frame, bytes });
        }
    }
    all
}

#[test]
fn every_captured_frame_reads_and_writes_back_equal() {
    let all = captures();
    assert!(all.len() > 200, "only {} frames", all.len());
    for captured in all {
        let mut again = BytesMut::new();
        captured.frame.encode(&mut again);
        let read = take_frame(&mut again, FRAME_SIZE_MAX).unwrap().unwrap();
        assert_eq!(read, captured.frame, "{}", captured.place);
        let mut rest = captured.bytes.clone();
        take_frame(&mut rest, FRAME_SIZE_MAX).unwrap();
        assert!(rest.is_empty(), "{}", captured.place);
    }
}

#[test]
fn every_captured_request_is_in_the_table() {
    let mut faults = Vec::new();
    for captured in captures().iter().filter(|c| !c.frame.is_response()) {
        match Request::decode(&captured.frame) {
            Ok(Request::Other(code)) => faults.push(format!("{}: {code} is unknown", captured.place)),
            Ok(_) => {}
            Err(error) => faults.push(format!("{}: {error}", captured.place)),
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Reads a header and writes it again.
fn through<H: Header>(fields: &Fields, names: Names) -> Result<Fields, HeaderError> {
    let mut again = Fields::new();
    H::decode(fields)?.encode(&mut again, names);
    Ok(again)
}

macro_rules! round_trips {
    ($($call:ident)*) => {
        /// Request and answer header of every command, read and written again; and which fields each knows.
        fn round_trip(code: i32, answer: bool, fields: &Fields) -> (Result<Fields, HeaderError>, &'static [FieldSpec]) {
            $(if code == call::$call::CODE.0 {
                type Request = <call::$call as Call>::Request;
                type Response = <call::$call as Call>::Response;
                return if answer {
                    (through::<Response>(fields, Names::Long), Response::SPEC.fields)
                } else {
                    (through::<Request>(fields, <call::$call as Call>::NAMES), Request::SPEC.fields)
                };
            })*
            panic!("{code} is not in the list of this test");
        }

        const LISTED: &[i32] = &[$(call::$call::CODE.0),*];
    };
}

round_trips! {
    SendMessage PullMessage QueryMessage QueryConsumerOffset UpdateConsumerOffset CreateTopic GetAllTopics UpdateBrokerConfig
    GetBrokerConfig GetRuntimeInfo SearchOffset GetMaxOffset GetMinOffset GetEarliestStoreTime ViewMessage Heartbeat
    UnregisterClient SendBack EndTransaction GetConsumerList CheckTransactionState NotifyConsumerIdsChanged LockBatch UnlockBatch
    GetAllConsumerOffsets GetAllDelayOffsets CheckClientConfig UpdateAccessConfig DeleteAccessConfig GetAclVersion
    UpdateGlobalWhiteAddrs GetAclConfig PutKv GetKv DeleteKv RegisterBroker UnregisterBroker GetRoute GetClusterInfo CreateGroup
    GetAllGroups GetTopicStats GetConsumerConnections GetProducerConnections WipeWritePerm GetAllTopicNames DeleteGroup
    GetConsumeStats DeleteTopic DeleteTopicRoutes GetKvList ResetClientOffset GetClientStatus ResetOffset GetConsumerStatus
    GetTopicsByCluster QueryConsumersOfTopic RegisterFilterServer QueryConsumeTimeSpan GetSystemTopicsFromNameServer
    GetSystemTopics CleanExpiredQueues GetConsumerRunningInfo QueryCorrectionOffset ConsumeDirectly SendMessageV2 GetUnitTopics
    GetUnitSubTopics GetUnitSubNonUnitTopics CloneGroupOffset ViewStats CleanUnusedTopics GetBrokerConsumeStats
    UpdateNamesrvConfig GetNamesrvConfig SendBatch QueryConsumeQueue QueryDataVersion ResumeCheckHalf SendReply SendReplyV2
    PushReply AddWritePerm GetAllProducers GetTopic GetGroup LitePullMessage
}

#[test]
fn this_test_lists_the_whole_table() {
    let listed: BTreeSet<i32> = LISTED.iter().copied().collect();
    let table: BTreeSet<i32> = COMMANDS.iter().map(|command| command.code.0).collect();
    assert_eq!(listed, table);
}

/// The fields as a map by their long names, those that no header knows left out.
fn known(fields: &Fields, specs: &[FieldSpec]) -> BTreeMap<&'static str, String> {
    let mut map = BTreeMap::new();
    for (name, value) in fields.iter() {
        if let Some(spec) = specs.iter().find(|s| s.name == name || (!s.short.is_empty() && s.short == name)) {
            map.insert(spec.name, value.to_owned());
        }
    }
    map
}

/// Codes with which an answer carries its header.
fn carries_header(request: i32, code: i32) -> bool {
    let pull = [ResponseCode::PULL_NOT_FOUND, ResponseCode::PULL_RETRY_IMMEDIATELY, ResponseCode::PULL_OFFSET_MOVED];
    code == ResponseCode::SUCCESS.0
        || (request == RequestCode::PULL_MESSAGE.0 && pull.iter().any(|known| known.0 == code))
}

#[test]
fn every_captured_header_is_written_back_with_the_same_fields() {
    let mut faults = Vec::new();
    for captured in captures() {
        let Captured { place, request, frame, .. } = &captured;
        let answer = frame.is_response();
        if answer && !carries_header(*request, frame.code) {
            continue;
        }
        let (again, specs) = round_trip(*request, answer, &frame.fields);
        match again {
            Err(error) => faults.push(format!("{place}: {error}")),
            Ok(again) => {
                let (is, was) = (known(&again, specs), known(&frame.fields, specs));
                // A field that was absent may come back with its default, and must then mean the same.
                if !was.iter().all(|(name, value)| is.get(name) == Some(value)) {
                    faults.push(format!("{place}:\n   is  {is:?}\n   was {was:?}"));
                }
                let (third, _) = round_trip(*request, answer, &again);
                assert_eq!(third.as_ref(), Ok(&again), "{place}");
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Fields that no header declares; a new one is a find. Brokers add the first two to the answers of sends; the last is of
/// 5.x, sent by the tool that makes the topics of an acceptance run.
const STRAY: &[&str] = &["MSG_REGION", "TRACE_ON", "attributes"];

#[test]
fn no_captured_frame_has_a_field_that_the_table_lacks() {
    let mut faults = BTreeSet::new();
    for Captured { place, request, frame, .. } in captures() {
        if frame.is_response() && !carries_header(request, frame.code) {
            continue;
        }
        let (_, specs) = round_trip(request, frame.is_response(), &frame.fields);
        for (name, value) in frame.fields.iter() {
            let found = specs.iter().any(|s| s.name == name || s.short == name) || STRAY.contains(&name);
            if !found {
                faults.insert(format!("{place}: {name}={value}"));
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn every_captured_body_is_of_its_type_and_written_back_alike() {
    let (mut kinds, mut faults) = (BTreeSet::new(), Vec::new());
    for captured in captures() {
        if captured.frame.is_response() && captured.frame.code != ResponseCode::SUCCESS.0 {
            continue;
        }
        if !captured.frame.body.is_empty() {
            if let Err(fault) = bodies::check(&captured) {
                faults.push(format!("{}: {fault}", captured.place));
            }
            kinds.insert((captured.request, captured.frame.is_response()));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(kinds.len() > 30, "bodies of {} kinds only", kinds.len());
}
