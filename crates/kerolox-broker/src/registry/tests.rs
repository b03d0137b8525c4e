use std::sync::atomic::{AtomicBool, Ordering};

use kerolox_wire::body::{ConsumeFromWhere, ConsumeType, ConsumerData, MessageModel, ProducerData, SubscriptionData};

use super::*;

#[derive(Debug, Clone)]
struct Line {
    id: u64,
    open: Arc<AtomicBool>,
}

impl Line {
    fn new(id: u64) -> Self {
        Self { id, open: Arc::new(AtomicBool::new(true)) }
    }
}

impl Channel for Line {
    fn id(&self) -> u64 {
        self.id
    }

    fn remote(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 5000))
    }

    fn is_open(&self) -> bool {
        self.open.load(Ordering::Relaxed)
    }
}

const JAVA: Software = Software { language: Language::JAVA, version: 355 };

/// Subscriptions given as (topic, expression, version).
fn consumer(group: &str, wanted: &[(&str, &str, i64)]) -> ConsumerData {
    let subscription = |(topic, text, version): &(&str, &str, i64)| SubscriptionData {
        topic: (*topic).to_owned(),
        sub_string: (*text).to_owned(),
        sub_version: *version,
        ..SubscriptionData::default()
    };
    ConsumerData {
        group_name: group.to_owned(),
        consume_type: ConsumeType::Passively,
        message_model: MessageModel::Clustering,
        consume_from_where: ConsumeFromWhere::LastOffset,
        subscription_data_set: wanted.iter().map(subscription).collect(),
        unit_mode: false,
        unreadable: Vec::new(),
    }
}

fn beat(client_id: &str, consumers: Vec<ConsumerData>, producers: &[&str]) -> HeartbeatData {
    let producers = producers.iter().map(|name| ProducerData { group_name: (*name).to_owned() });
    HeartbeatData {
        client_id: client_id.to_owned(),
        consumer_data_set: consumers,
        producer_data_set: producers.collect(),
        unreadable: Vec::new(),
    }
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// Connection `id` says that it consumes `wanted` in group `g`; the connections to tell of it.
fn consume(clients: &Clients<Line>, id: u64, wanted: &[(&str, &str, i64)], now: Duration) -> Vec<u64> {
    let heard =
        clients.heartbeat(&Line::new(id), JAVA, &beat(&format!("c{id}"), vec![consumer("g", wanted)], &[]), now);
    assert_eq!(heard.refused, []);
    assert_eq!(heard.changes.len(), 1, "every group heard of is named, for its retry topic");
    told(&heard.changes)
}

fn told(changes: &[GroupChange<Line>]) -> Vec<u64> {
    changes.iter().flat_map(|change| change.tell.iter().map(Channel::id)).collect()
}

#[test]
fn members_hear_of_new_members_and_of_other_topics_but_not_of_other_expressions() {
    let clients = Clients::new();
    for (id, wanted, expected, why) in [
        (1, vec![("t", "*", 1)], vec![1], "the first member"),
        (1, vec![("t", "*", 1)], vec![], "nothing new"),
        (2, vec![("t", "*", 1)], vec![1, 2], "another member"),
        (2, vec![("t", "a", 2)], vec![], "another expression"),
        (2, vec![("t", "a", 2), ("u", "*", 2)], vec![1, 2], "another topic"),
        (1, vec![("t", "a", 2)], vec![1, 2], "the latest heartbeat drops a topic"),
    ] {
        assert_eq!(consume(&clients, id, &wanted, at(0)), expected, "{why}");
    }
}

#[test]
fn a_subscription_is_replaced_only_by_a_later_version() {
    let clients = Clients::new();
    for (text, version, holds) in [("a", 5, "a"), ("b", 5, "a"), ("c", 4, "a"), ("d", 6, "d")] {
        consume(&clients, 1, &[("t", text, version)], at(0));
        assert_eq!(clients.subscription("g", "t").unwrap().to_body().sub_string, holds, "{text} {version}");
    }
    consume(&clients, 1, &[("u", "*", 6)], at(0));
    assert!(clients.subscription("g", "t").is_none(), "what the latest heartbeat leaves out is gone");
}

#[test]
fn a_member_that_is_asked_subscribes_as_by_a_heartbeat_and_nobody_else_does() {
    let clients = Clients::new();
    consume(&clients, 1, &[("t", "a", 1)], at(0));
    let wanted = consumer("g", &[("t", "b", 2)]).subscription_data_set;
    let group = GroupName::parse("g").unwrap();
    assert!(clients.resubscribe(&Line::new(2), &group, &wanted).unwrap().is_none(), "it is no member");
    assert_eq!(clients.subscription("g", "t").unwrap().version, 1);
    let change = clients.resubscribe(&Line::new(1), &group, &wanted).unwrap().unwrap();
    assert!(change.tell.is_empty(), "another expression is nothing to share queues anew for");
    assert_eq!(clients.subscription("g", "t").unwrap().to_body().sub_string, "b");
    assert_eq!((clients.client_id("g", 1).as_deref(), clients.client_id("g", 2)), (Some("c1"), None));
    clients.unregister(&Line::new(1), None, Some("g"));
    assert!(clients.resubscribe(&Line::new(1), &group, &wanted).unwrap().is_none(), "it has left");
    assert!(clients.group("g").is_none());
}

#[test]
fn the_latest_heartbeat_decides_how_the_group_consumes() {
    let clients = Clients::new();
    consume(&clients, 1, &[("t", "*", 1)], at(0));
    let broadcasting = ConsumerData { message_model: MessageModel::Broadcasting, ..consumer("g", &[("t", "*", 1)]) };
    let heard = clients.heartbeat(&Line::new(1), JAVA, &beat("c1", vec![broadcasting], &[]), at(1));
    assert_eq!(told(&heard.changes), [0_u64; 0]);
    assert_eq!(clients.group("g").unwrap().message_model, MessageModel::Broadcasting);
}

#[test]
fn a_member_that_leaves_is_told_to_the_rest_and_the_last_one_ends_the_group() {
    let clients = Clients::new();
    for id in [1, 2, 3] {
        consume(&clients, id, &[("t", "*", 1)], at(0));
    }
    assert_eq!(told(&clients.disconnected(2)), [1, 3]);
    assert_eq!(told(&clients.disconnected(2)), [0_u64; 0]);
    let change = clients.unregister(&Line::new(3), None, Some("g")).unwrap();
    assert_eq!(told(&[change]), [1]);
    assert!(clients.unregister(&Line::new(3), None, Some("g")).is_none());
    clients.disconnected(1);
    assert!(clients.group("g").is_none());
    assert!(clients.subscription("g", "t").is_none());
    assert!(clients.state.lock().connections.is_empty(), "nothing is left behind");
}

#[test]
fn silence_of_more_than_120_seconds_ends_a_client() {
    let clients = Clients::new();
    consume(&clients, 1, &[("t", "*", 1)], at(0));
    consume(&clients, 2, &[("t", "*", 1)], at(60));
    assert_eq!(clients.expire(at(120)).close.len(), 0);
    let expired = clients.expire(at(121));
    assert_eq!(expired.close.iter().map(Channel::id).collect::<Vec<_>>(), [1]);
    assert_eq!(told(&expired.changes), [2]);
    assert_eq!(clients.client_ids("g").unwrap(), ["c2"]);
}

#[test]
fn a_group_left_out_of_heartbeats_expires_although_the_connection_lives() {
    let clients = Clients::new();
    consume(&clients, 1, &[("t", "*", 1)], at(0));
    clients.heartbeat(&Line::new(1), JAVA, &beat("c1", vec![], &["p"]), at(100));
    assert_eq!(clients.expire(at(121)).close.len(), 1);
    assert!(clients.producer("c1").is_none(), "closing ends all that the connection was");
}

#[test]
fn client_ids_are_sorted_and_each_there_once() {
    let clients = Clients::new();
    for (id, client) in [(1, "b"), (2, "a"), (3, "b")] {
        clients.heartbeat(&Line::new(id), JAVA, &beat(client, vec![consumer("g", &[])], &[]), at(0));
    }
    assert_eq!(clients.client_ids("g").unwrap(), ["a", "b"]);
    assert_eq!(clients.consumers("g").len(), 3);
    assert_eq!(clients.consumer("g", "a").map(|line| line.id), Some(2));
    assert!(clients.consumer("g", "x").is_none());
}

#[test]
fn unknown_groups_are_refused_in_the_words_of_the_reference() {
    let clients = Clients::<Line>::new();
    for (error, remark) in [
        (clients.client_ids("G").err(), "no consumer for this group, G"),
        (clients.consumer_connection("G").err(), "the consumer group[G] not online"),
        (clients.producer_connection("G").err(), "the producer group[G] not exist"),
    ] {
        assert_eq!(error.map(|error| error.to_string()).as_deref(), Some(remark));
    }
}

#[test]
fn producers_are_chosen_in_turn_and_closed_ones_passed_over() {
    let clients = Clients::new();
    let lines: Vec<Line> = [7, 8, 9].map(Line::new).into();
    for line in &lines {
        clients.heartbeat(line, JAVA, &beat(&format!("c{}", line.id), vec![], &["p"]), at(0));
    }
    let next = || clients.next_producer("p", |_| true).map(|line| line.id);
    assert_eq!([next(), next(), next(), next()], [Some(7), Some(8), Some(9), Some(7)]);
    lines[1].open.store(false, Ordering::Relaxed);
    assert_eq!([next(), next()], [Some(9), Some(7)]);
    for line in &lines {
        line.open.store(false, Ordering::Relaxed);
    }
    assert_eq!(next(), None);
    assert!(clients.next_producer("x", |_| true).is_none());
}

#[test]
fn a_producing_client_is_found_by_its_id_until_its_last_group_ends() {
    let clients = Clients::new();
    let line = Line::new(1);
    clients.heartbeat(&line, JAVA, &beat("c", vec![], &["p", "q"]), at(0));
    clients.unregister(&line, Some("p"), None);
    assert!(clients.producer("c").is_some());
    // The client comes back on another connection before the old one is known to be dead.
    clients.heartbeat(&Line::new(2), JAVA, &beat("c", vec![], &["q"]), at(1));
    clients.disconnected(1);
    assert_eq!(clients.producer("c").map(|line| line.id), Some(2));
    clients.disconnected(2);
    assert!(clients.producer("c").is_none());
    assert!(clients.producer_connection("q").is_err());
}

#[test]
fn all_producers_are_told_with_their_last_heartbeat() {
    let clients = Clients::new();
    clients.heartbeat(&Line::new(1), JAVA, &beat("c1", vec![], &["p", "q"]), at(10));
    clients.heartbeat(&Line::new(2), JAVA, &beat("c2", vec![], &["p"]), at(12));
    let told = clients.all_producers(at(15), 100_000).data;
    let rows: Vec<_> = told
        .iter()
        .flat_map(|(group, all)| all.iter().map(move |one| (group.as_str(), one.client_id.as_str(), one)))
        .map(|(group, client, one)| (group, client, one.last_update_timestamp))
        .collect();
    assert_eq!(rows, [("p", "c1", 95_000), ("p", "c2", 97_000), ("q", "c1", 95_000)]);
    assert!(told["p"][0].remote_ip.starts_with('/') && told["p"][0].language == "JAVA");
}

#[test]
fn operators_see_members_and_subscriptions() {
    let clients = Clients::new();
    consume(&clients, 1, &[("t", "a || b", 3)], at(0));
    let seen = clients.consumer_connection("g").unwrap();
    assert_eq!(seen.consume_type, ConsumeType::Passively);
    assert_eq!(seen.subscription_table["t"].sub_string, "a || b");
    let connection = Connection {
        client_addr: "127.0.0.1:5000".to_owned(),
        client_id: "c1".to_owned(),
        language: "JAVA".to_owned(),
        version: 355,
    };
    assert_eq!(seen.connection_set, [connection]);
    let names: Vec<_> = clients.groups_on("t").iter().map(ToString::to_string).collect();
    assert_eq!(names, ["g"]);
}

#[test]
fn one_bad_group_does_not_keep_the_others_out() {
    let clients = Clients::new();
    let many: Vec<_> = (0..=SUBSCRIPTIONS_PER_GROUP_MAX).map(|n| format!("t{n}")).collect();
    let many: Vec<_> = many.iter().map(|topic| (topic.as_str(), "*", 1)).collect();
    let bad = vec![
        consumer("../g", &[]),
        consumer("x", &[("../t", "*", 1)]),
        consumer("y", &many),
        consumer("g", &[("t", "*", 1)]),
    ];
    let heard = clients.heartbeat(&Line::new(1), JAVA, &beat("c", bad, &["p", "a/b"]), at(0));
    let taken: Vec<_> = heard.changes.iter().map(|change| change.group.as_str()).collect();
    assert_eq!((taken, heard.producers), (vec!["x", "g"], 1));
    let refused: Vec<_> = heard.refused.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(refused, ["../g", "x", "y", "a/b"], "{:?}", heard.refused);
    assert!(clients.group("x").unwrap().subscriptions.is_empty() && clients.group("y").is_none());
    assert!(clients.group("g").is_some() && clients.producer("c").is_some());
}

#[test]
fn a_connection_joins_a_bounded_number_of_groups() {
    let clients = Clients::new();
    let names: Vec<_> = (0..=GROUPS_PER_CONNECTION_MAX).map(|n| format!("g{n}")).collect();
    let producers: Vec<_> = names.iter().map(String::as_str).collect();
    let consumers = names.iter().map(|name| consumer(name, &[])).collect();
    let heard = clients.heartbeat(&Line::new(1), JAVA, &beat("c", consumers, &producers), at(0));
    assert_eq!(heard.changes.len(), GROUPS_PER_CONNECTION_MAX);
    assert!(matches!(
        heard.refused[..],
        [(_, ClientError::TooManyGroups { .. }), (_, ClientError::TooManyGroups { .. })]
    ));
    assert_eq!(clients.disconnected(1).len(), GROUPS_PER_CONNECTION_MAX);
}

#[test]
fn a_group_takes_a_bounded_number_of_members() {
    let clients = Clients::new();
    let data = beat("c", vec![], &["p"]);
    for id in 0..CLIENTS_PER_GROUP_MAX as u64 {
        assert_eq!(clients.heartbeat(&Line::new(id), JAVA, &data, at(0)).refused, []);
    }
    let heard = clients.heartbeat(&Line::new(u64::MAX), JAVA, &data, at(0));
    assert!(matches!(heard.refused[..], [(_, ClientError::GroupFull { .. })]));
    let heard = clients.heartbeat(&Line::new(0), JAVA, &data, at(0));
    assert_eq!(heard.refused, [], "members already in stay in");
}

#[test]
fn a_client_id_has_a_bounded_length() {
    let clients = Clients::new();
    let heard = clients.heartbeat(&Line::new(1), JAVA, &beat(&"c".repeat(CLIENT_ID_MAX + 1), vec![], &["p"]), at(0));
    assert!(matches!(heard.refused[..], [(_, ClientError::ClientIdTooLong { .. })]));
    assert!(clients.producer_connection("p").is_err());
}

#[test]
fn members_that_subscribe_to_something_else_are_found_once_per_change() {
    let clients = Clients::new();
    let found = || {
        let now = clients.disagreements(10);
        (now.groups, now.found)
    };
    consume(&clients, 1, &[("t", "a || b", 1), ("u", "*", 1)], at(0));
    consume(&clients, 2, &[("u", "", 7), ("t", "b||a", 9)], at(0));
    assert_eq!(found(), (0, 0), "order, blanks and versions do not count");
    consume(&clients, 2, &[("t", "c", 10)], at(1));
    assert_eq!(found(), (1, 1));
    let some = clients.disagreements(10).some;
    let expected =
        "client c2 subscribes to topic t by \"c\" and not by \"b||a\", topic u not at all, which the others do";
    assert_eq!((some[0].0.as_str(), some[0].1.as_str()), ("g", expected));
    consume(&clients, 2, &[("t", "c", 10)], at(2));
    consume(&clients, 1, &[("t", "a || b", 1), ("u", "*", 1)], at(2));
    assert_eq!(found(), (1, 1), "the same heartbeats again are no news");
    consume(&clients, 3, &[("t", "c", 10), ("v", "*", 1)], at(3));
    assert_eq!(found(), (1, 2));
    assert_eq!(clients.disagreements(0).some, []);
    clients.disconnected(1);
    assert_eq!(found(), (1, 2));
    clients.disconnected(3);
    assert_eq!(found(), (0, 2), "who is left agrees");
    clients.disconnected(2);
    consume(&clients, 4, &[("w", "*", 1)], at(4));
    assert_eq!(found(), (0, 2), "a group that was empty begins anew");
}

#[test]
fn what_groups_subscribe_to_is_bounded_and_freed_when_they_leave() {
    let clients = Clients::new();
    let text = "x".repeat(3 << 20);
    let join = |id: u64, group: &str, text: &str, version| {
        let consumers = vec![consumer(group, &[("t", text, version)])];
        clients.heartbeat(&Line::new(id), JAVA, &beat("c", consumers, &[]), at(0)).refused
    };
    let size =
        |refused: Vec<(String, ClientError)>| matches!(refused[..], [(_, ClientError::SubscriptionsTooLarge { .. })]);
    assert!(size(join(1, "large", &"x".repeat(SUBSCRIPTION_BYTES_PER_GROUP_MAX), 1)));
    assert!(clients.group("large").is_none());
    let full = u64::try_from(SUBSCRIPTION_BYTES_MAX / text.len()).unwrap();
    for n in 0..full {
        assert_eq!(join(n, &format!("g{n}"), &text, 1), [], "{n}");
    }
    assert!(matches!(join(full, "more", &text, 1)[..], [(_, ClientError::NoRoomForSubscriptions { .. })]));
    assert_eq!(join(0, "g0", &text[1..], 2), [], "a group that wants less may say so");
    clients.disconnected(1);
    assert_eq!(join(full, "more", &text, 1), []);
    for n in 0..=full {
        clients.disconnected(n);
    }
    assert_eq!(clients.state.lock().subscription_bytes, 0);
}
