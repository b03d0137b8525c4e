use std::collections::BTreeMap;

use kerolox_wire::body::{BrokerData, ClusterInfo, QueueData, TopicRouteData};

use super::broker::running_ms;
use super::*;
use crate::MissingTopic;

const NOW: i64 = 1_795_577_629_323;

fn figures(pairs: &[(&str, &str)]) -> Figures {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn broker_data(address: &str) -> BrokerData {
    BrokerData { broker_name: "b".to_owned(), cluster: "C".to_owned(), broker_addrs: [(0, address.to_owned())].into() }
}

fn name_server(address: &str, brokers: &[&str]) -> NameServerFacts {
    let table = brokers.iter().map(|name| {
        ((*name).to_owned(), BrokerData { broker_name: (*name).to_owned(), ..broker_data("10.0.0.1:10911") })
    });
    let info = ClusterInfo { broker_addr_table: table.collect(), cluster_addr_table: BTreeMap::new() };
    NameServerFacts { address: address.to_owned(), clusters: Ok(info), topics: Ok(3) }
}

fn broker() -> BrokerFacts {
    let running = [
        ("bootTimestamp", "1795577600000"),
        ("runtime", "[ 0 days, 0 hours, 0 minutes, 29 seconds ]"),
        ("commitLogDiskRatio", "0.4"),
    ];
    BrokerFacts {
        cluster: "C".to_owned(),
        name: "b".to_owned(),
        id: 0,
        address: "10.0.0.1:10911".to_owned(),
        figures: Some(Ok(figures(&running))),
        settings: figures(&[("brokerPermission", "6")]),
        asked_ms: NOW,
        answered_ms: NOW + 3,
    }
}

fn healthy() -> Facts {
    let route = TopicRouteData {
        broker_datas: vec![broker_data("10.0.0.1:10911")],
        queue_datas: vec![QueueData {
            broker_name: "b".to_owned(),
            perm: 6,
            read_queue_nums: 4,
            write_queue_nums: 4,
            topic_syn_flag: 0,
        }],
        ..TopicRouteData::default()
    };
    Facts {
        name_servers: vec![name_server("10.0.0.8:9876", &["b"]), name_server("10.0.0.9:9876", &["b"])],
        brokers: vec![broker()],
        topics: vec![TopicFacts { name: "T".to_owned(), route: Ok(route) }],
        topics_left_out: 0,
        missing: vec![],
        groups: vec![],
        now_ms: NOW,
        host: Some(HostFacts {
            kernel: [("vm.max_map_count", 655_360), ("vm.swappiness", 1)].map(|(k, v)| (k.to_owned(), v)).into(),
            open_files: None,
        }),
    }
}

/// The only finding after `spoil`: its severity, subject and text.
fn only(spoil: impl FnOnce(&mut Facts)) -> Finding {
    let mut facts = healthy();
    spoil(&mut facts);
    let mut found = judge(&facts);
    assert_eq!(found.len(), 1, "{found:#?}");
    found.remove(0)
}

fn check(finding: &Finding, severity: Severity, subject: &str, what: &str, remedy: &str) {
    assert_eq!((finding.severity, finding.subject.as_str()), (severity, subject), "{finding:?}");
    assert!(finding.what.contains(what), "{finding:?}");
    assert!(finding.remedy.contains(remedy), "{finding:?}");
}

#[test]
fn nothing_is_found_where_nothing_is_wrong() {
    assert_eq!(judge(&healthy()), []);
}

#[test]
fn a_silent_name_server_and_one_that_lacks_a_broker_are_errors() {
    let silent = only(|f| f.name_servers[1].clusters = Err("refused".to_owned()));
    check(&silent, Severity::Error, "name server 10.0.0.9:9876", "does not answer: refused", "nc -vz 10.0.0.9 9876");
    let lacking = only(|f| f.name_servers[1] = name_server("10.0.0.9:9876", &[]));
    let remedy = "namesrvAddr=10.0.0.8:9876;10.0.0.9:9876";
    check(&lacking, Severity::Error, "name server 10.0.0.9:9876", "1 brokers are registered at others", remedy);
    let fewer = only(|f| f.name_servers[0].topics = Ok(2));
    check(&fewer, Severity::Warning, "name server 10.0.0.8:9876", "knows 2 topics, another one knows 3", "namesrvAddr");
    let one = only(|f| drop(f.name_servers.pop()));
    check(&one, Severity::Note, "name server 10.0.0.8:9876", "only one", "second");
}

#[test]
fn a_broker_must_be_there_have_a_master_and_answer() {
    let none = only(|f| f.brokers.clear());
    check(&none, Severity::Error, "brokers", "none is registered", "mqbroker -n '10.0.0.8:9876;10.0.0.9:9876'");
    let slave = only(|f| f.brokers[0].id = 1);
    check(&slave, Severity::Error, "broker b", "has no master", "brokerId=0");
    let silent = only(|f| f.brokers[0].figures = Some(Err("timed out".to_owned())));
    check(&silent, Severity::Error, "broker b/0", "10.0.0.1:10911 and does not answer there: timed out", "brokerIP1");
}

#[test]
fn an_address_that_others_cannot_reach_is_found() {
    let own = only(|f| f.brokers[0].address = "127.0.0.1:10911".to_owned());
    check(&own, Severity::Error, "broker b/0", "only its own machine reaches", "brokerIP1");
    let none = only(|f| f.brokers[0].address = "0.0.0.0:10911".to_owned());
    check(&none, Severity::Error, "broker b/0", "no place to connect to", "brokerIP1");
    let all_here = only(|f| {
        f.brokers[0].address = "127.0.0.1:10911".to_owned();
        for (server, address) in f.name_servers.iter_mut().zip(["localhost:9876", "[::1]:9876"]) {
            server.address = address.to_owned();
        }
    });
    check(&all_here, Severity::Note, "broker b/0", "only its own machine reaches", "nothing to do");
}

#[test]
fn clocks_may_differ_by_a_few_seconds() {
    let shifted = |by_ms: i64| {
        let mut facts = healthy();
        facts.brokers[0].asked_ms += by_ms;
        facts.brokers[0].answered_ms += by_ms;
        judge(&facts)
    };
    for close in [-4_000, -1_000, 0, 1_000, 4_000] {
        assert_eq!(shifted(close), [], "{close}");
    }
    check(&shifted(60_000)[0], Severity::Warning, "broker b/0", "is 59 s behind this machine's", "set-ntp");
    check(&shifted(-60_000)[0], Severity::Warning, "broker b/0", "is 59 s ahead of this machine's", "set-ntp");
}

#[test]
fn uptimes_are_read_as_java_writes_them() {
    assert_eq!(running_ms("[ 0 days, 0 hours, 1 minutes, 3 seconds ]"), Some(63_000));
    assert_eq!(running_ms("[ 1,000 days, 2 hours, 0 minutes, 0 seconds ]"), Some((86_400 * 1_000 + 7_200) * 1_000));
    for text in ["", "[]", "[ x days ]", "5 seconds", "[ 99999999999999999999 days ]", "[ 9223372036854775807 days ]"] {
        assert_eq!(running_ms(text), None, "{text}");
    }
}

#[test]
fn a_disk_is_judged_by_the_brokers_own_limit() {
    let with_disk = |ratio: &str, setting: Option<(&str, &str)>| {
        let mut facts = healthy();
        if let Some(Ok(known)) = &mut facts.brokers[0].figures {
            known.insert("commitLogDiskRatio".to_owned(), ratio.to_owned());
        }
        facts.brokers[0].settings.extend(setting.map(|(key, value)| (key.to_owned(), value.to_owned())));
        judge(&facts)
    };
    assert_eq!(with_disk("0.7", None), []);
    assert_eq!(with_disk("-1", None), [], "a folder that is not there yet");
    assert_eq!(with_disk("nonsense", None), []);
    check(
        &with_disk("0.7", Some(("diskMaxUsedSpaceRatio", "60")))[0],
        Severity::Warning,
        "broker b/0",
        "70 % full: from 60 %",
        "fileReservedTime",
    );
    check(&with_disk("0.8", None)[0], Severity::Warning, "broker b/0", "80 % full", "-b 10.0.0.1:10911");
    check(&with_disk("0.9", None)[0], Severity::Warning, "broker b/0", "90 % full: from 75 % on", "enlarge");
    check(&with_disk("0.95", None)[0], Severity::Error, "broker b/0", "messages are refused", "enlarge");
    let own = with_disk("0.95", Some(("diskSpaceWarningLevelRatio", "98")));
    check(&own[0], Severity::Warning, "broker b/0", "95 % full: from 75 % on", "enlarge");
}

#[test]
fn settings_that_keep_messages_out_are_found() {
    let read_only = only(|f| f.brokers[0].settings = figures(&[("brokerPermission", "4")]));
    let remedy = "mqadmin updateBrokerConfig -b 10.0.0.1:10911 -k brokerPermission -v 6";
    check(&read_only, Severity::Warning, "broker b/0", "may only be read", remedy);
    let later = (NOW + 60_003).to_string();
    let closed = only(|f| f.brokers[0].settings = figures(&[("startAcceptSendRequestTimeStamp", &later)]));
    check(&closed, Severity::Error, "broker b/0", "refuses messages for 60 s more", "-v 0");
}

#[test]
fn transactions_without_an_end_are_found() {
    for (key, what, remedy) in [
        ("transactionHalfStuck", "2 transactions have no end", "producerConnection"),
        ("transactionCheckFailedTotal", "2 rounds over open transactions have failed", "its log says why"),
    ] {
        let found = only(|f| {
            if let Some(Ok(known)) = &mut f.brokers[0].figures {
                known.insert(key.to_owned(), "2".to_owned());
            }
        });
        check(&found, Severity::Warning, "broker b/0", what, remedy);
    }
}

#[test]
fn a_loaded_broker_is_found() {
    for (key, value, severity) in [
        ("dispatchBehindBytes", "100000000", Severity::Warning),
        ("sendThreadPoolQueueHeadWaitTimeMills", "201", Severity::Error),
        ("pageCacheLockTimeMills", "5000", Severity::Error),
    ] {
        let found = only(|f| {
            if let Some(Ok(known)) = &mut f.brokers[0].figures {
                known.insert(key.to_owned(), value.to_owned());
            }
        });
        check(&found, severity, "broker b/0", "", "brokerStatus -b 10.0.0.1:10911");
    }
}

#[test]
fn versions_of_one_cluster_are_compared() {
    let found = only(|f| {
        let mut other = broker();
        other.name = "c".to_owned();
        for (b, version) in [(&mut f.brokers[0], "V4_7_1"), (&mut other, "V4_9_7")] {
            if let Some(Ok(known)) = &mut b.figures {
                known.insert("brokerVersionDesc".to_owned(), version.to_owned());
            }
        }
        f.brokers.push(other);
    });
    check(&found, Severity::Note, "cluster C", "V4_7_1, V4_9_7", "clusterList");
}

#[test]
fn topics_must_be_writable_readable_and_read_to_the_last_queue() {
    let with = |change: &dyn Fn(&mut TopicRouteData)| {
        let mut facts = healthy();
        if let Ok(route) = &mut facts.topics[0].route {
            change(route);
        }
        judge(&facts)
    };
    let no_write = with(&|r| r.queue_datas[0].perm = 4);
    check(&no_write[0], Severity::Error, "topic T", "no queue that may be written", "updateTopicPerm -t T");
    let no_read = with(&|r| r.queue_datas[0].perm = 2);
    check(&no_read[0], Severity::Error, "topic T", "no queue that may be read", "updateTopicPerm -t T");
    let uneven = with(&|r| r.queue_datas[0].write_queue_nums = 8);
    check(&uneven[0], Severity::Warning, "topic T", "8 queues to write but 4 to read at b", "-r 8 -w 8");
    let order = with(&|r| r.order_topic_conf = Some("b:x".to_owned()));
    check(&order[0], Severity::Error, "topic T", "order configuration", "updateOrderConf -t T");
    let lost = with(&|r| r.broker_datas[0].broker_name = "other".to_owned());
    assert!(lost.iter().any(|f| f.what.contains("queues at b, whose address nobody knows")), "{lost:?}");
    let gone = only(|f| f.topics[0].route = Err("CODE: 17".to_owned()));
    check(&gone, Severity::Error, "topic T", "has no route: CODE: 17", "deleteTopic -t T");
    let dead_letters = only(|f| {
        f.topics_left_out = 1;
        f.topics[0].name = "%DLQ%g".to_owned();
        if let Ok(route) = &mut f.topics[0].route {
            route.queue_datas[0].perm = 2;
        }
    });
    check(&dead_letters, Severity::Note, "topics", "1 topics more", "topicRoute");
}

#[test]
fn kernel_settings_and_limits_come_with_the_command_that_sets_them() {
    let maps = only(|f| {
        f.host = Some(HostFacts { kernel: [("vm.max_map_count".to_owned(), 65_530)].into(), open_files: None })
    });
    check(
        &maps,
        Severity::Warning,
        "this machine",
        "vm.max_map_count is 65530, should be at least 655360",
        "sysctl -w",
    );
    let swap =
        only(|f| f.host = Some(HostFacts { kernel: [("vm.swappiness".to_owned(), 60)].into(), open_files: None }));
    check(&swap, Severity::Warning, "this machine", "at most 10", "sudo sysctl -w vm.swappiness=1");
    let files = only(|f| f.host = Some(HostFacts { kernel: BTreeMap::new(), open_files: Some(1_024) }));
    check(&files, Severity::Warning, "this machine", "may open 1024 files", "limits.conf");
}

#[test]
fn the_worst_comes_first_and_nothing_twice() {
    let mut facts = healthy();
    facts.name_servers[1].clusters = Err("refused".to_owned());
    facts.brokers[0].settings = figures(&[("brokerPermission", "4"), ("rejectTransactionMessage", "true")]);
    let severities: Vec<Severity> = judge(&facts).iter().map(|f| f.severity).collect();
    assert_eq!(severities, [Severity::Error, Severity::Warning, Severity::Note]);
    facts.topics.push(facts.topics[0].clone());
    assert_eq!(judge(&facts).len(), 3);
    let json = serde_json::to_value(judge(&facts)).unwrap();
    assert_eq!(json[0]["severity"], "error");
}

#[test]
fn topics_that_clients_want_and_that_are_not_there_are_named_with_the_client() {
    let missing = |last_ms| MissingTopic {
        topic: "orders".to_owned(),
        count: 7,
        last_ms,
        client: "10.0.0.5:4711".to_owned(),
        group: Some("shop".to_owned()),
        told_by: "b".to_owned(),
    };
    let found = only(|f| f.missing = vec![missing(NOW - 1_000), missing(NOW - 2_000)]);
    let what = "asked for 7 times, last by 10.0.0.5:4711 (group shop)";
    check(&found, Severity::Error, "topic orders", what, "mqadmin updateTopic -c C -t orders");
    let once = only(|f| f.missing = vec![MissingTopic { count: 1, ..missing(NOW) }]);
    check(&once, Severity::Note, "topic orders", "asked for once", "updateTopic");
    let named = |topic: &str| MissingTopic { topic: topic.to_owned(), ..missing(NOW) };
    for (one, why) in [
        (missing(NOW - 3_700_000), "long ago"),
        (named("TBW102"), "a template that is off on purpose"),
        (named("order.created"), "nobody can make it"),
    ] {
        let mut facts = healthy();
        facts.missing = vec![one];
        assert_eq!(judge(&facts), [], "{why}");
    }
}

#[test]
fn groups_that_disagree_or_stand_still_are_found() {
    let told = |pairs: &'static [(&str, &str)]| {
        move |f: &mut Facts| {
            if let Some(Ok(known)) = &mut f.brokers[0].figures {
                known.extend(figures(pairs));
            }
        }
    };
    let unserved = only(told(&[("unservedGroup_g", "10.0.0.5:1 there is no such group")]));
    check(&unserved, Severity::Error, "group g", "not served: there is no such group", "updateSubGroup -g g");
    let replaced = only(|f| {
        if let Some(Ok(known)) = &mut f.brokers[0].figures {
            known.insert("headersReplacedTotal".to_owned(), "3".to_owned());
            known.insert("headersReplacedLast".to_owned(), format!("{} 10.0.0.5:1", NOW - 1_000));
        }
    });
    check(&replaced, Severity::Warning, "client 10.0.0.5:1", "3 requests had names", "UTF-8");
    let mismatch = only(told(&[("subscriptionMismatchGroups", "1"), ("subscriptionMismatch_g", "x wants t")]));
    check(&mismatch, Severity::Error, "group g", "subscribe differently: x wants t", "same topics");
    let group = |oldest_ms, tps| GroupFacts { name: "g".to_owned(), lag: 5, tps, oldest_ms, clients: 2 };
    let stuck = only(|f| f.groups = vec![group(600_000, 0.0)]);
    check(
        &stuck,
        Severity::Error,
        "group g",
        "2 clients and consumes nothing: 5 messages",
        "consumerStatus -g g -s true",
    );
    for fine in [group(600_000, 1.0), group(1_000, 0.0)] {
        let mut facts = healthy();
        facts.groups = vec![fine];
        assert_eq!(judge(&facts), []);
    }
}
