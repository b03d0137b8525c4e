use kerolox_wire::names::GroupName;

use super::super::FilterType;
use super::*;

fn name(text: &str) -> TopicName {
    TopicName::parse(text).unwrap()
}

fn rules() -> TopicRules {
    TopicRules {
        cluster_name: "DefaultCluster".to_owned(),
        broker_name: "broker-a".to_owned(),
        auto_create: true,
        default_queues: 8,
        cluster_topic: true,
        broker_topic: true,
        trace_topic: None,
    }
}

fn topics() -> Topics {
    Topics::new(rules())
}

/// Queues to read and to write, and permission.
fn shape(topic: &Topic) -> (u32, u32, i32) {
    (topic.read_queues, topic.write_queues, topic.perm.get())
}

fn by_send(topics: &Topics, topic: &str, template: &str, queues: i32) -> Result<Made, TopicError> {
    let topic = name(topic);
    topics.create_by_send(&TopicByProducer { topic: &topic, template, queues, unit_mode: false }, 7)
}

#[test]
fn the_systems_topics_exist_from_the_start() {
    let topics = Topics::new(TopicRules { trace_topic: Some("RMQ_SYS_TRACE_TOPIC".to_owned()), ..rules() });
    for (topic, queues, perm) in [
        ("SELF_TEST_TOPIC", 1, 6),
        ("TBW102", 8, 7),
        ("BenchmarkTest", 1024, 6),
        ("DefaultCluster", 16, 7),
        ("broker-a", 1, 7),
        ("OFFSET_MOVED_EVENT", 1, 6),
        ("SCHEDULE_TOPIC_XXXX", 18, 6),
        ("RMQ_SYS_TRACE_TOPIC", 1, 6),
        ("DefaultCluster_REPLY_TOPIC", 1, 6),
    ] {
        assert_eq!(shape(&topics.get(topic).unwrap()), (queues, queues, perm), "{topic}");
    }
    assert_eq!(topics.snapshot().len(), 9);
    assert_eq!(topics.data_version(), DataVersion::default());
}

#[test]
fn switches_decide_about_templates() {
    let off = TopicRules { auto_create: false, cluster_topic: false, broker_topic: false, ..rules() };
    let topics = Topics::new(off);
    assert!(topics.get("TBW102").is_none());
    assert!(topics.get("RMQ_SYS_TRACE_TOPIC").is_none());
    assert_eq!(topics.get("DefaultCluster").unwrap().perm, Perm::INHERIT);
    assert_eq!(topics.get("broker-a").unwrap().perm, Perm::INHERIT);
}

#[test]
fn a_broker_name_that_is_no_topic_name_yields_no_topic() {
    let topics = Topics::new(TopicRules { broker_name: "broker/a".to_owned(), ..rules() });
    assert!(topics.get("broker/a").is_none());
    assert_eq!(topics.snapshot().len(), 7);
}

#[test]
fn names_of_the_system_are_reserved() {
    let topics = topics();
    for (topic, system) in [
        ("TBW102", true),
        ("RMQ_SYS_TRANS_HALF_TOPIC", true),
        ("RMQ_SYS_TRACE_TOPIC", true),
        ("rmq_sys_anything", true),
        ("broker-a", true),
        ("DefaultCluster_REPLY_TOPIC", true),
        ("%RETRY%g", false),
        ("t", false),
    ] {
        assert_eq!(topics.is_system(topic), system, "{topic}");
    }
    let error = topics.replace(Topic::new(name("TBW102"), 4, Perm::READ_WRITE), 1).unwrap_err();
    assert_eq!(error.to_string(), "The topic[TBW102] is conflict with system topic.");
    assert_eq!(topics.delete(&name("BenchmarkTest"), 1), Err(TopicError::System(name("BenchmarkTest"))));
    assert!(Topics::forbidden_to_send("SCHEDULE_TOPIC_XXXX"));
    assert!(Topics::forbidden_to_send("RMQ_SYS_TRANS_HALF_TOPIC"));
    assert!(!Topics::forbidden_to_send("TRANS_CHECK_MAX_TIME_TOPIC"));
}

#[test]
fn sending_makes_a_topic_after_its_template() {
    let topics = topics();
    for (topic, template, queues, expected) in [
        ("few", "TBW102", 4, (4, 4, 6)),
        ("many", "TBW102", 100, (8, 8, 6)),
        ("negative", "TBW102", -1, (0, 0, 6)),
        ("cluster", "DefaultCluster", 100, (16, 16, 6)),
        ("broker", "broker-a", 4, (1, 1, 6)),
    ] {
        let made = by_send(&topics, topic, template, queues).unwrap();
        assert!(made.new);
        assert_eq!(shape(&made.topic), expected, "{topic}");
        assert!(!by_send(&topics, topic, template, queues).unwrap().new, "the second send finds it");
    }
    assert_eq!(topics.data_version(), DataVersion { counter: 5, timestamp: 7 });
}

#[test]
fn sending_makes_no_topic_without_a_template_that_passes_on_its_permission() {
    let topics = topics();
    for (template, why) in [
        ("nowhere", NotMade::NoTemplate("nowhere".to_owned())),
        ("", NotMade::NoTemplate(String::new())),
        ("BenchmarkTest", NotMade::NotInherited("BenchmarkTest".to_owned(), 6)),
    ] {
        let error = by_send(&topics, "t", template, 4).unwrap_err();
        assert_eq!(error, TopicError::NotExist { topic: name("t"), why });
        assert_eq!(error.to_string(), "topic[t] not exist, apply first please!");
    }
    assert!(topics.get("t").is_none());
    let retry = by_send(&topics, "%RETRY%g", "nowhere", 4).unwrap();
    assert_eq!(shape(&retry.topic), (1, 1, 6), "a retry topic needs no template");
}

#[test]
fn while_automatic_creation_is_off_tbw102_makes_no_topic_and_other_templates_do() {
    let topics = topics();
    for _ in 0..2 {
        topics.set_auto_create(false);
        let error = by_send(&topics, "t", "TBW102", 4).unwrap_err();
        assert_eq!(error, TopicError::NotExist { topic: name("t"), why: NotMade::SwitchedOff });
        topics.set_auto_create(true);
        assert!(by_send(&topics, "u", "TBW102", 4).is_ok(), "and does again once it is on");
    }
    topics.set_auto_create(false);
    assert!(by_send(&topics, "t", "DefaultCluster", 4).unwrap().new);
}

#[test]
fn whether_there_is_a_tbw102_is_decided_by_the_setting_and_not_by_the_file() {
    let closed = "{\"topicConfigTable\":{\"TBW102\":{\"topicName\":\"TBW102\",\"perm\":6}}}";
    for auto_create in [true, false] {
        let topics = Topics::new(TopicRules { auto_create, ..rules() });
        topics.load_json(closed).unwrap();
        let perm = topics.get("TBW102").map(|topic| topic.perm);
        assert_eq!(perm, auto_create.then_some(Perm::TEMPLATE));
    }
}

#[test]
fn creation_that_is_switched_on_after_the_start_gets_its_template() {
    let topics = Topics::new(TopicRules { auto_create: false, ..rules() });
    topics.set_auto_create(true);
    assert!(by_send(&topics, "t", "TBW102", 4).is_err(), "there is no template yet");
    assert!(topics.open_template(8, 7) && !topics.open_template(8, 8), "made once");
    assert_eq!(shape(&topics.get("TBW102").unwrap()), (8, 8, 7));
    assert!(by_send(&topics, "t", "TBW102", 4).unwrap().new);
}

#[test]
fn unit_mode_marks_the_topic() {
    let topics = topics();
    for (topic, unit_mode, sys_flag) in [("a", false, 0), ("b", true, 1), ("%RETRY%c", true, 2)] {
        let topic = name(topic);
        let ask = TopicByProducer { topic: &topic, template: "TBW102", queues: 4, unit_mode };
        assert_eq!(topics.create_by_send(&ask, 1).unwrap().topic.sys_flag, sys_flag, "{topic}");
    }
    let retry = Topic::retry_of(&GroupName::parse("g").unwrap(), 1).unwrap();
    assert_eq!(retry.subscribed_in_unit().sys_flag, 2);
}

#[test]
fn topics_of_a_group_are_made_as_given_and_once() {
    let topics = topics();
    let group = GroupName::parse("g").unwrap();
    for (wanted, topic, expected) in
        [(Topic::retry_of(&group, 3), "%RETRY%g", (3, 3, 6)), (Topic::dlq_of(&group), "%DLQ%g", (1, 1, 2))]
    {
        let made = topics.ensure(wanted.clone().unwrap(), 1).unwrap();
        assert!(made.new);
        assert_eq!(shape(&topics.get(topic).unwrap()), expected, "{topic}");
        assert!(!topics.ensure(wanted.unwrap(), 2).unwrap().new);
    }
    assert!(Topic::retry_of(&GroupName::parse(&"g".repeat(249)).unwrap(), 1).is_err());
}

#[test]
fn only_an_administrator_makes_topics_beyond_the_limit() {
    let topics = topics();
    let table = |n: usize| {
        let config = TopicConfig { topic_name: format!("t{n}"), ..TopicConfig::default() };
        (config.topic_name.clone(), config)
    };
    let topic_config_table = (0..TOPICS_AUTOMATIC_MAX).map(table).collect();
    topics.adopt(&TopicConfigTable { topic_config_table, ..TopicConfigTable::default() });
    let limit = TOPICS_AUTOMATIC_MAX;
    assert_eq!(by_send(&topics, "t", "TBW102", 4).unwrap_err(), TopicError::TooMany { topic: name("t"), limit });
    assert!(matches!(topics.ensure(Topic::new(name("u"), 1, Perm::WRITE), 1), Err(TopicError::TooMany { .. })));
    assert!(topics.replace(Topic::new(name("t"), 1, Perm::READ_WRITE), 1).is_ok());
}

#[test]
fn an_administrator_creates_replaces_and_deletes() {
    let topics = topics();
    let topic = |queues, perm| Topic { order: true, ..Topic::new(name("t"), queues, perm) };
    topics.replace(topic(4, Perm::READ_WRITE), 1).unwrap();
    let replaced = topics.replace(topic(2, Perm::READ), 2).unwrap();
    assert_eq!(shape(&topics.get("t").unwrap()), (2, 2, 4));
    assert!(!replaced.order, "order comes from the name server alone");
    assert!(matches!(topics.replace(topic(65_537, Perm::READ), 2), Err(TopicError::TooManyQueues { .. })));
    assert_eq!(topics.delete(&name("t"), 3), Ok(true));
    assert_eq!(topics.delete(&name("t"), 4), Ok(false));
    assert_eq!(topics.data_version(), DataVersion { counter: 3, timestamp: 3 });
}

#[test]
fn the_name_server_says_which_topics_are_ordered() {
    let topics = topics();
    for topic in ["a", "b"] {
        topics.replace(Topic::new(name(topic), 1, Perm::READ_WRITE), 1).unwrap();
    }
    for (ordered, changed) in [(vec!["a", "elsewhere"], true), (vec!["a"], false), (vec!["b"], true), (vec![], true)] {
        assert_eq!(topics.apply_order(&ordered, 2), changed, "{ordered:?}");
        for topic in ["a", "b"] {
            assert_eq!(topics.get(topic).unwrap().order, ordered.contains(&topic), "{topic} {ordered:?}");
        }
    }
    assert_eq!(topics.data_version().counter, 5);
}

#[test]
fn a_broker_that_is_not_readable_and_writable_announces_its_own_permission() {
    let topics = topics();
    topics.replace(Topic { sys_flag: 1, ..Topic::new(name("t"), 4, Perm::READ) }, 1).unwrap();
    for (broker, announced) in [(Perm::READ_WRITE, 4), (Perm::TEMPLATE, 4), (Perm::READ, 4), (Perm::WRITE, 2)] {
        let all = topics.register_all(broker);
        assert_eq!(all.topic_config_table["t"].perm, announced, "{broker:?}");
        let one = topics.register_one("t", broker).unwrap();
        assert_eq!(one.data_version, all.data_version);
        assert_eq!(one.topic_config_table.into_values().collect::<Vec<_>>(), [all.topic_config_table["t"].clone()]);
    }
    assert_eq!(topics.register_all(Perm::WRITE).topic_config_table["TBW102"].perm, 2);
    assert!(topics.register_one("nowhere", Perm::READ_WRITE).is_none());
}

#[test]
fn a_file_of_either_reference_version_is_read_and_written_in_the_old_shape() {
    let old = "{\"dataVersion\":{\"counter\":3,\"timestamp\":9},\"topicConfigTable\":{\"T\":{\"order\":false,\"perm\":6,\
        \"readQueueNums\":4,\"topicFilterType\":\"MULTI_TAG\",\"topicName\":\"T\",\"topicSysFlag\":0,\
        \"writeQueueNums\":5},\"TBW102\":{\"perm\":6,\"readQueueNums\":2,\"topicName\":\"TBW102\",\
        \"writeQueueNums\":2}}}";
    let new = old
        .replace("\"timestamp\"", "\"stateVersion\":0,\"timestamp\"")
        .replace("{\"order\"", "{\"attributes\":{\"message.type\":\"NORMAL\"},\"order\"");
    for text in [old, &new] {
        let topics = topics();
        topics.load_json(text).unwrap();
        let topic = topics.get("T").unwrap();
        assert_eq!((shape(&topic), topic.filter_type), ((4, 5, 6), FilterType::MultiTag));
        assert_eq!(shape(&topics.get("TBW102").unwrap()), (2, 2, 7), "the file wins over what is made at start");
        assert!(topics.get("BenchmarkTest").is_some());
        assert_eq!(topics.data_version(), DataVersion { counter: 3, timestamp: 9 });
        let written: String = topics.to_json().split_whitespace().collect();
        let entry = old.split_once("\"T\":").unwrap().1.split_once("},").unwrap().0;
        assert!(written.contains(entry), "{written}");
    }
}

#[test]
fn topics_of_the_file_that_cannot_be_served_stay_in_it() {
    let topics = topics();
    let text = "{\"topicConfigTable\":{\"../x\":{\"topicName\":\"../x\"},\"bad\":{\"perm\":\"rw\"},\
        \"order.created\":{\"topicName\":\"order.created\"},\"t\":{\"topicName\":\"t\"}}}";
    topics.load_json(text).unwrap();
    assert!(topics.get("../x").is_none() && topics.get("bad").is_none());
    assert!(topics.get("t").is_some() && topics.get("order.created").is_some());
    let written = topics.to_json();
    for kept in ["\"../x\"", "\"perm\":\"rw\"", "\"order.created\""] {
        assert!(written.contains(kept), "{kept}: {written}");
    }
}

#[test]
fn names_of_old_topics_are_not_made_but_may_be_changed() {
    let topics = topics();
    let topic = |name: &str, queues| Topic::new(TopicName::parse(name).unwrap(), queues, Perm::READ_WRITE);
    for name in ["order.created", "\u{8ba2}\u{5355}", &"t".repeat(128)] {
        assert!(matches!(topics.replace(topic(name, 1), 1), Err(TopicError::Name(_))), "{name}");
        assert!(matches!(by_send(&topics, name, "TBW102", 1), Err(TopicError::Name(_))), "{name}");
    }
    topics.load_json("{\"topicConfigTable\":{\"order.created\":{\"topicName\":\"order.created\"}}}").unwrap();
    assert_eq!(topics.replace(topic("order.created", 3), 2).unwrap().read_queues, 3);
    assert!(!by_send(&topics, "order.created", "TBW102", 1).unwrap().new);
}

#[test]
fn a_retry_topic_gets_the_queues_its_group_gets_later() {
    let topics = topics();
    let group = GroupName::parse("com.shop").unwrap();
    let retry = |queues| Topic::retry_of(&group, queues).unwrap();
    assert!(topics.ensure(retry(1), 1).unwrap().new);
    let made = topics.ensure(retry(4), 2).unwrap();
    assert_eq!((made.new, made.topic.read_queues, made.topic.write_queues), (true, 4, 4));
    let made = topics.ensure(retry(2), 3).unwrap();
    assert_eq!((made.new, made.topic.read_queues), (false, 4), "queues that hold messages stay");
}

#[test]
fn senders_that_race_make_a_topic_once() {
    let topics = topics();
    let made = std::thread::scope(|scope| {
        let race = || (0..50).filter(|n| by_send(&topics, &format!("t{n}"), "TBW102", 4).unwrap().new).count();
        let racers: Vec<_> = (0..4).map(|_| scope.spawn(race)).collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).sum::<usize>()
    });
    assert_eq!(made, 50);
    assert_eq!(topics.data_version().counter, 50);
}
