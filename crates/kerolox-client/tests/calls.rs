//! Calls against nodes that answer by a script: which node is asked, with what, and what is made of the answer.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

mod common;

use common::{NOW_MS, Nodes, client, json, no_route, properties, record, route};
use kerolox_client::{ClientError, ORDER_NAMESPACE, Outgoing, Pull, PullStatus, Reset, SendStatus};
use kerolox_wire::body::{
    ConsumeStats, ConsumerConnection, MessageQueue, OffsetWrapper, PairMap, ResetOffset, TopicOffset, TopicStats,
};
use kerolox_wire::command::admin::VersionResult;
use kerolox_wire::command::name_server::KvValue;
use kerolox_wire::command::offset::OffsetResult;
use kerolox_wire::command::pull::{PullResult, QueryResult};
use kerolox_wire::command::send::SendResult;
use kerolox_wire::command::{NoFields, Request, call};
use kerolox_wire::frame::Language;
use kerolox_wire::id::UniqueKey;
use kerolox_wire::names::{GroupName, TopicName};
use kerolox_wire::properties::{Properties, find};
use kerolox_wire::reply::Reply;
use kerolox_wire::response::ResponseCode;

fn topic(name: &str) -> TopicName {
    TopicName::parse(name).unwrap()
}

fn group(name: &str) -> GroupName {
    GroupName::parse(name).unwrap()
}

fn queue(topic: &str, queue_id: i32) -> MessageQueue {
    MessageQueue { topic: topic.to_owned(), broker_name: "broker-a".to_owned(), queue_id }
}

fn unexpected(request: &Request) -> Reply {
    Reply::refuse(ResponseCode::REQUEST_CODE_NOT_SUPPORTED, format!("{request:?}"))
}

#[tokio::test]
async fn the_next_name_server_is_asked_when_one_is_gone_and_kept_while_it_answers() {
    let nodes = Nodes::start(1, |_, own| json(&route(&[("broker-a", own, 6, 4)])));
    // Nothing listens on the discard port of loopback here.
    let servers = vec!["127.0.0.1:9".to_owned(), nodes.addresses[0].clone()];
    let client = client(servers);
    for _ in 0..2 {
        assert_eq!(client.route("T").await.unwrap().queue_datas.len(), 1);
    }
    assert_eq!(nodes.heard().len(), 2);
    let gone = common::client(vec!["127.0.0.1:9".to_owned()]).route("T").await;
    assert!(matches!(gone, Err(ClientError::Unanswered { ref address, .. }) if address == "127.0.0.1:9"), "{gone:?}");
    assert!(matches!(common::client(Vec::new()).route("T").await, Err(ClientError::NoNameServer)));
}

#[tokio::test]
async fn a_refusal_says_who_what_and_why() {
    let nodes = Nodes::start(2, |_, _| no_route());
    let why = nodes.client.route("T").await.unwrap_err();
    assert!(why.is(ResponseCode::TOPIC_NOT_EXIST));
    let address = &nodes.addresses[0];
    assert_eq!(why.to_string(), format!("CODE: 17  DESC: No topic route info (answered by {address})"));
    assert_eq!(nodes.heard().len(), 1, "an answer is final");
}

#[tokio::test]
async fn an_unreadable_answer_is_told_from_a_refusal() {
    let nodes = Nodes::start(1, |_, _| Reply::body("{\"queueDatas\":"));
    let why = nodes.client.route("T").await.unwrap_err();
    assert!(matches!(why, ClientError::Malformed { request: "GET_ROUTEINFO_BY_TOPIC", .. }), "{why:?}");
    let nodes = Nodes::start(1, |_, _| Reply::ok());
    let why = nodes.client.max_offset(&nodes.addresses[0], &topic("T"), 0).await.unwrap_err();
    assert!(matches!(why, ClientError::Header { request: "GET_MAX_OFFSET", .. }), "{why:?}");
}

/// Knows two brokers that make topics, and answers every send with `code`.
fn sending(code: ResponseCode) -> impl Fn(&Request, &str) -> Reply + Send + Sync {
    move |request, own| match request {
        Request::GetRoute(get) if get.topic == "TBW102" => {
            json(&route(&[("broker-a", own, 7, 8), ("broker-b", own, 7, 8)]))
        }
        Request::GetRoute(_) => no_route(),
        Request::SendMessageV2(send) => {
            let header = SendResult {
                msg_id: "7F00000100002A9F0000000000000000".to_owned(),
                queue_id: send.queue_id,
                queue_offset: 7,
                transaction_id: None,
            };
            Reply { code, ..Reply::of(&header) }
        }
        other => unexpected(other),
    }
}

#[tokio::test]
async fn a_message_to_a_new_topic_goes_by_the_template_and_has_an_id() {
    let nodes = Nodes::start(1, sending(ResponseCode::FLUSH_DISK_TIMEOUT));
    let topic = topic("T");
    let mut own = Properties::new();
    own.set("KEYS", "k1 k2");
    let message = Outgoing { group: "PG", topic: &topic, flag: 3, properties: own, body: b"hello" };
    let sent = nodes.client.send(&message).await.unwrap();
    assert_eq!(sent.status, SendStatus::FlushDiskTimeout);
    assert_eq!((sent.offset_id.as_str(), sent.queue_offset), ("7F00000100002A9F0000000000000000", 7));
    let Some(Request::SendMessageV2(heard)) = nodes.requests().pop() else { panic!("no send") };
    assert_eq!((heard.default_topic.as_str(), heard.default_topic_queues), ("TBW102", 4));
    assert_eq!((heard.flag, heard.born_timestamp, heard.producer_group.as_str()), (3, NOW_MS, "PG"));
    assert!((0..4).contains(&heard.queue_id), "four queues of a topic that is not there yet: {}", heard.queue_id);
    let text = heard.properties.unwrap();
    assert_eq!((find(&text, "KEYS"), find(&text, "WAIT")), (Some("k1 k2"), Some("true")));
    assert_eq!(find(&text, "UNIQ_KEY"), Some(sent.id.as_str()));
    assert_eq!(UniqueKey::parse(&sent.id).unwrap().made_at_ms(NOW_MS + 1), NOW_MS);
    assert_eq!(nodes.frames().pop().unwrap().body, "hello");
}

#[tokio::test]
async fn a_failed_send_is_tried_on_the_other_broker_if_that_may_help() {
    for (code, tries) in [
        (ResponseCode::SERVICE_NOT_AVAILABLE, 3),
        (ResponseCode::NO_PERMISSION, 3),
        (ResponseCode::MESSAGE_ILLEGAL, 1),
        (ResponseCode::SYSTEM_BUSY, 1),
    ] {
        let nodes = Nodes::start(1, sending(code));
        let topic = topic("T");
        let message = Outgoing { group: "PG", topic: &topic, flag: 0, properties: Properties::new(), body: b"x" };
        let why = nodes.client.send(&message).await.unwrap_err();
        assert!(why.is(code), "{why}");
        let sends = nodes.requests().iter().filter(|r| matches!(r, Request::SendMessageV2(_))).count();
        assert_eq!(sends, tries, "{code}");
    }
}

#[tokio::test]
async fn brokers_without_write_permission_or_master_take_nothing() {
    let nodes = Nodes::start(1, |request, own| match request {
        Request::GetRoute(_) => {
            let mut data = route(&[("broker-a", own, 4, 4), ("broker-b", own, 6, 2), ("broker-c", own, 6, 4)]);
            let slave = &mut data.broker_datas[2].broker_addrs;
            *slave = [(1, own.to_owned())].into();
            json(&data)
        }
        other => unexpected(other),
    });
    let queues = nodes.client.send_queues(&topic("T")).await.unwrap();
    let names: Vec<(&str, i32)> = queues.iter().map(|(q, _)| (q.broker_name.as_str(), q.queue_id)).collect();
    assert_eq!(names, [("broker-b", 0), ("broker-b", 1)]);
}

#[tokio::test]
async fn a_unique_key_is_looked_up_from_its_time_on_and_must_match_exactly() {
    let key = "7F000001705210D9681A7C7181BA69B8";
    let nodes = Nodes::start(1, move |request, own| match request {
        Request::GetRoute(_) => json(&route(&[("broker-a", own, 6, 4)])),
        Request::QueryMessage(_) => {
            let mut records = record("T", &properties(&[("UNIQ_KEY", "7F000001705210D9681A7C7181BA0000")]), b"no", 100);
            records.extend(record("T", &properties(&[("UNIQ_KEY", key), ("TAGS", "A")]), b"yes", 300));
            let header = QueryResult { index_last_update_timestamp: 1, index_last_update_phyoffset: 1 };
            Reply::of(&header).with_body(records)
        }
        other => unexpected(other),
    });
    let found = nodes.client.find_message(&topic("T"), key).await.unwrap();
    assert_eq!((found.body.as_slice(), found.tags(), found.id().as_str()), (&b"yes"[..], Some("A"), key));
    assert_eq!(found.offset_id(), "7F00000100002A9F000000000000012C");
    let Some(Request::QueryMessage(query)) = nodes.requests().pop() else { panic!("no query") };
    assert!(query.unique_key);
    assert_eq!((query.max_num, query.end_timestamp), (32, i64::MAX));
    let made = UniqueKey::parse(key).unwrap().made_at_ms(NOW_MS);
    assert_eq!(query.begin_timestamp, made - 26 * 3_600_000 - 1000);
    let other = nodes.client.message_by_unique_key(&topic("T"), "7F000001705210D9681A7C7181BAFFFF").await;
    assert!(other.unwrap_err().is(ResponseCode::NO_MESSAGE));
}

#[tokio::test]
async fn messages_of_another_key_with_the_same_hash_are_left_out() {
    let nodes = Nodes::start(1, |request, own| match request {
        Request::GetRoute(_) => json(&route(&[("broker-a", own, 6, 4), ("broker-b", own, 6, 4)])),
        Request::QueryMessage(query) if query.key == "none" => Reply::refuse(ResponseCode::QUERY_NOT_FOUND, "no"),
        Request::QueryMessage(_) => {
            let mut records = record("T", &properties(&[("KEYS", "Aa k")]), b"1", 100);
            records.extend(record("T", &properties(&[("KEYS", "BB")]), b"2", 300));
            Reply::of(&QueryResult { index_last_update_timestamp: 1, index_last_update_phyoffset: 1 })
                .with_body(records)
        }
        other => unexpected(other),
    });
    let found = nodes.client.messages_by_key(&topic("T"), "BB", 64, (0, i64::MAX)).await.unwrap();
    assert_eq!(found.iter().map(|m| m.body.as_slice()).collect::<Vec<_>>(), [b"2", b"2"], "one of each broker");
    let none = nodes.client.messages_by_key(&topic("T"), "none", 64, (0, i64::MAX)).await;
    assert!(none.unwrap_err().is(ResponseCode::NO_MESSAGE));
}

#[tokio::test]
async fn a_pull_tells_its_four_outcomes_and_filters_by_the_text_of_tags() {
    let nodes = Nodes::start(1, |request, own| match request {
        Request::GetRoute(_) => json(&route(&[("broker-a", own, 6, 4)])),
        Request::PullMessage(pull) => {
            let code = match pull.queue_offset {
                0 => ResponseCode::SUCCESS,
                1 => ResponseCode::PULL_NOT_FOUND,
                2 => ResponseCode::PULL_RETRY_IMMEDIATELY,
                3 => ResponseCode::PULL_OFFSET_MOVED,
                _ => return Reply::refuse(ResponseCode::NO_PERMISSION, "no"),
            };
            let header = PullResult { suggest_which_broker_id: 0, next_begin_offset: 9, min_offset: 0, max_offset: 10 };
            let mut records = record("T", &properties(&[("TAGS", "A")]), b"a", 0);
            records.extend(record("T", &properties(&[("TAGS", "C")]), b"c", 100));
            let body = if code == ResponseCode::SUCCESS { records } else { Vec::new() };
            Reply { code, ..Reply::of(&header) }.with_body(body)
        }
        other => unexpected(other),
    });
    let (group, queue) = (group("G"), queue("T", 1));
    let pull = |offset| Pull { group: &group, queue: &queue, offset, max: 32, expression: "A || B" };
    let address = &nodes.addresses[0];
    let found = nodes.client.pull(address, &pull(0)).await.unwrap();
    assert_eq!((found.status, found.next, found.min, found.max), (PullStatus::Found, 9, 0, 10));
    assert_eq!(found.messages.len(), 1, "the hash of C may be that of A; the text is not");
    assert_eq!(found.messages[0].properties.get("MAX_OFFSET"), Some("10"));
    assert_eq!(found.messages[0].broker_name.as_deref(), Some("broker-a"));
    for (offset, status) in [(1, PullStatus::NoNewMsg), (2, PullStatus::NoMatchedMsg), (3, PullStatus::OffsetIllegal)] {
        assert_eq!(nodes.client.pull(address, &pull(offset)).await.unwrap().status, status);
    }
    assert!(nodes.client.pull(address, &pull(4)).await.unwrap_err().is(ResponseCode::NO_PERMISSION));
    let Some(Request::PullMessage(heard)) = nodes.requests().pop() else { panic!("no pull") };
    assert_eq!((heard.sys_flag, heard.subscription.as_deref()), (4, Some("A || B")), "never holds");
}

#[tokio::test]
async fn a_reset_goes_through_consumers_in_their_language() {
    let nodes = Nodes::start(1, |request, own| match request {
        Request::GetRoute(_) => json(&route(&[("broker-a", own, 6, 2)])),
        Request::ResetOffset(_) => {
            json(&ResetOffset { offset_table: PairMap(vec![(queue("T", 1), 5), (queue("T", 0), 4)]) })
        }
        other => unexpected(other),
    });
    let done = nodes.client.reset_offset(&group("G"), &topic("T"), 77, true, Language::CPP).await.unwrap();
    assert_eq!(done, Reset::Told(vec![(queue("T", 0), 4), (queue("T", 1), 5)]));
    assert_eq!(nodes.frames().pop().unwrap().language, Language::CPP);
}

#[tokio::test]
async fn a_reset_of_an_absent_group_changes_stored_offsets_backwards_unless_forced() {
    let nodes = Nodes::start(1, |request, own| match request {
        Request::GetRoute(_) => json(&route(&[("broker-a", own, 6, 2)])),
        Request::ResetOffset(_) => Reply::refuse(ResponseCode::CONSUMER_NOT_ONLINE, "nobody"),
        Request::GetConsumeStats(_) => {
            let at = |consumer_offset| OffsetWrapper { broker_offset: 10, consumer_offset, last_timestamp: 0 };
            let queues = vec![(queue("T", 0), at(8)), (queue("T", 1), at(3)), (queue("%RETRY%G", 0), at(0))];
            json(&ConsumeStats { consume_tps: 0.0, offset_table: PairMap(queues) })
        }
        Request::GetTopicStats(_) => {
            let range = TopicOffset { min_offset: 0, max_offset: 10, last_update_timestamp: 100 };
            json(&TopicStats { offset_table: PairMap(vec![(queue("T", 0), range.clone()), (queue("T", 1), range)]) })
        }
        Request::SearchOffset(_) => Reply::of(&OffsetResult { offset: 5 }),
        Request::GetMaxOffset(_) => Reply::of(&OffsetResult { offset: 10 }),
        Request::UpdateConsumerOffset(_) => Reply::ok(),
        other => unexpected(other),
    });
    let places = |reset: Reset| match reset {
        Reset::Stored(all) => all.iter().map(|r| (r.queue.queue_id, r.rollback_offset)).collect::<Vec<_>>(),
        Reset::Told(_) => panic!("nobody is there to be told"),
    };
    let back = nodes.client.reset_offset(&group("G"), &topic("T"), 77, false, Language::JAVA).await.unwrap();
    assert_eq!(places(back), [(0, 5), (1, 3)], "queue 1 would have to go forward");
    let end = nodes.client.reset_offset(&group("G"), &topic("T"), -1, true, Language::JAVA).await.unwrap();
    assert_eq!(places(end), [(0, 10), (1, 10)]);
    let behind = nodes.client.reset_offset(&group("G"), &topic("T"), 101, true, Language::JAVA).await.unwrap();
    assert_eq!(places(behind), [(0, 10), (1, 10)], "a time behind the last message is the end");
    let stored: Vec<(i32, i64)> = nodes
        .requests()
        .iter()
        .filter_map(|r| match r {
            Request::UpdateConsumerOffset(put) => Some((put.queue_id, put.commit_offset)),
            _ => None,
        })
        .collect();
    assert_eq!(stored, [(0, 5), (0, 10), (1, 10), (0, 10), (1, 10)]);
}

#[tokio::test]
async fn a_group_that_never_consumed_is_reset_over_the_topics_queues() {
    let nodes = Nodes::start(1, |request, own| match request {
        Request::GetRoute(_) => json(&route(&[("broker-a", own, 6, 1)])),
        Request::ResetOffset(_) => Reply::refuse(ResponseCode::CONSUMER_NOT_ONLINE, "nobody"),
        Request::GetConsumeStats(_) => json(&ConsumeStats::default()),
        Request::GetTopicStats(_) => {
            let range = TopicOffset { min_offset: 2, max_offset: 9, last_update_timestamp: 0 };
            json(&TopicStats { offset_table: PairMap(vec![(queue("T", 0), range)]) })
        }
        Request::SearchOffset(_) => Reply::of(&OffsetResult { offset: 6 }),
        Request::UpdateConsumerOffset(_) => Reply::ok(),
        other => unexpected(other),
    });
    let done = nodes.client.reset_offset(&group("G"), &topic("T"), 77, true, Language::JAVA).await.unwrap();
    let Reset::Stored(all) = done else { panic!("{done:?}") };
    assert_eq!((all[0].broker_offset, all[0].consumer_offset, all[0].rollback_offset), (9, 2, 6));
}

#[tokio::test]
async fn keys_are_told_to_every_name_server() {
    let nodes = Nodes::start(2, |request, _| match request {
        Request::GetKv(_) => Reply::of(&KvValue { value: Some("broker-b:4".to_owned()) }),
        Request::PutKv(_) => Reply::ok(),
        other => unexpected(other),
    });
    nodes.client.merge_order_conf("T", "broker-a", 8).await.unwrap();
    let told: Vec<String> = nodes
        .heard()
        .into_iter()
        .filter_map(|(own, request)| match request {
            Request::PutKv(put) if put.value == "broker-a:8;broker-b:4" && put.namespace == ORDER_NAMESPACE => {
                Some(own)
            }
            _ => None,
        })
        .collect();
    assert_eq!(told, nodes.addresses);
}

#[tokio::test]
async fn progress_of_an_unknown_group_is_an_absence() {
    let nodes = Nodes::start(1, |request, own| match request {
        Request::GetRoute(get) if get.topic == "%RETRY%G" => json(&route(&[("broker-a", own, 6, 1)])),
        Request::GetRoute(_) => no_route(),
        Request::GetConsumeStats(_) => json(&ConsumeStats::default()),
        Request::GetConsumerConnections(_) => json(&ConsumerConnection::default()),
        other => unexpected(other),
    });
    assert!(nodes.client.progress(&group("G"), None).await.unwrap_err().is(ResponseCode::CONSUMER_NOT_ONLINE));
    assert!(nodes.client.consumer_connection(&group("G")).await.unwrap_err().is(ResponseCode::CONSUMER_NOT_ONLINE));
    assert!(nodes.client.progress(&group("H"), None).await.unwrap_err().is(ResponseCode::TOPIC_NOT_EXIST));
}

#[tokio::test]
async fn settings_of_a_broker_are_read_and_changed_by_lines() {
    let nodes = Nodes::start(1, |request, _| match request {
        Request::GetBrokerConfig(NoFields) => {
            let version = VersionResult { version: "{}".to_owned() };
            Reply::body("deleteWhen=04\nbrokerName=broker-a\n").with_header(&version)
        }
        Request::UpdateBrokerConfig(NoFields) => Reply::ok(),
        other => unexpected(other),
    });
    let address = &nodes.addresses[0];
    assert_eq!(nodes.client.broker_config(address).await.unwrap()["deleteWhen"], "04");
    nodes.client.set_broker_config(address, "deleteWhen", "03").await.unwrap();
    assert_eq!(nodes.frames().pop().unwrap().body, "deleteWhen=03\n");
    let raw = nodes.client.call::<call::GetBrokerConfig>(address, &NoFields).await.unwrap();
    assert_eq!(raw.header.version, "{}");
}
