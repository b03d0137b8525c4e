//! The name server as brokers, clients and tools meet it: through a socket.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use kerolox_namesrv::{Handle, NamesrvConfig, start};
use kerolox_net::{CallError, ListenConfig, Outbound, OutboundConfig, Peer, Service};
use kerolox_wire::addresses::Addresses;
use kerolox_wire::body::{
    ClusterInfo, DataVersion, KvTable, RegisterBrokerBody, Style, TopicConfig, TopicConfigTable, TopicList,
    TopicRouteData, from_json, to_json,
};
use kerolox_wire::clock::ManualClock;
use kerolox_wire::fields::Fields;
use kerolox_wire::frame::Frame;
use kerolox_wire::reply::{Reply, ReplyTo};
use kerolox_wire::response::ResponseCode;
use tempfile::TempDir;

const WAIT: Duration = Duration::from_secs(10);
/// Version number of 4.7.1.
const V4_7_1: i32 = 355;

struct Node {
    handle: Handle,
    clock: Arc<ManualClock>,
    dir: TempDir,
    addr: String,
}

fn node() -> Node {
    node_with(|_| {})
}

fn node_with(change: impl Fn(&mut NamesrvConfig)) -> Node {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(1_000_000));
    let mut config =
        NamesrvConfig::new(ListenConfig::new(([127, 0, 0, 1], 0).into()), dir.path().join("kvConfig.json"));
    config.scan_interval = Duration::from_millis(20);
    config.config_store_path = Some(dir.path().join("namesrv.properties"));
    change(&mut config);
    let handle = start(config, Arc::clone(&clock) as _).unwrap();
    let addr = handle.local_addr().to_string();
    Node { handle, clock, dir, addr }
}

/// One connection to a node.
struct Caller<'a> {
    pool: Outbound,
    node: &'a Node,
}

/// Answers like a broker's connection: that it serves nothing.
struct Unserved;

impl Service for Unserved {
    fn serve(&self, _: &Arc<Peer>, frames: &mut Vec<Frame>, out: &mut BytesMut) {
        for frame in frames.drain(..) {
            Reply::refuse(ResponseCode::REQUEST_CODE_NOT_SUPPORTED, "").encode(ReplyTo::from(&frame), out);
        }
    }

    fn disconnected(&self, _: &Arc<Peer>) {}
}

impl Node {
    /// A connection that answers requests of the name server.
    fn caller(&self) -> Caller<'_> {
        Caller { pool: Outbound::serving(OutboundConfig::default(), Arc::new(Unserved)), node: self }
    }

    /// A connection that answers nothing, like that of a node which is cut off.
    fn silent_caller(&self) -> Caller<'_> {
        Caller { pool: Outbound::new(OutboundConfig::default()), node: self }
    }
}

impl Caller<'_> {
    async fn send(&self, frame: Frame) -> Frame {
        self.pool.call(&self.node.addr, frame, WAIT).await.unwrap()
    }

    async fn ask(&self, code: i32, fields: &[(&str, &str)]) -> Frame {
        self.send(request(code, fields, b"")).await
    }

    async fn register(&self, broker: &str, id: &str, addr: &str, body: Vec<u8>, more: &[(&str, &str)]) -> Frame {
        let mut fields = vec![
            ("brokerName", broker),
            ("brokerAddr", addr),
            ("clusterName", "C"),
            ("haServerAddr", "10.0.0.1:10912"),
            ("brokerId", id),
        ];
        fields.retain(|(name, _)| more.iter().all(|(given, _)| given != name));
        fields.extend_from_slice(more);
        self.send(request(103, &fields, &body)).await
    }

    async fn topics(&self) -> Vec<String> {
        from_json::<TopicList>(&self.ask(206, &[]).await.body).unwrap().topic_list
    }
}

fn request(code: i32, fields: &[(&str, &str)], body: &[u8]) -> Frame {
    let fields = Fields::from_iter(fields.iter().copied());
    Frame { code, version: V4_7_1, fields, body: Bytes::copy_from_slice(body), ..Frame::default() }
}

fn body(counter: i64, topics: &[&str]) -> RegisterBrokerBody {
    let topic = |name: &str| TopicConfig { topic_name: name.to_owned(), ..TopicConfig::default() };
    RegisterBrokerBody {
        topic_config_serialize_wrapper: TopicConfigTable {
            data_version: DataVersion { counter, timestamp: 5 },
            topic_config_table: topics.iter().map(|name| ((*name).to_owned(), topic(name))).collect(),
            unreadable: Vec::new(),
        },
        ..RegisterBrokerBody::default()
    }
}

async fn until<F: Future<Output = bool>>(met: impl Fn() -> F) {
    for _ in 0..500 {
        if met().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("not met in time");
}

#[tokio::test]
async fn a_registered_topic_is_found_with_keys_as_the_client_reads_them() {
    let node = node();
    let (broker, client) = (node.caller(), node.caller());
    let missing = client.ask(105, &[("topic", "T")]).await;
    assert_eq!(missing.code, 17);
    assert!(missing.remark.unwrap().starts_with("No topic route info in name server for the topic: T\nSee "));

    let reply = broker.register("a", "0", "10.0.0.1:10911", body(1, &["T"]).encode(), &[]).await;
    assert_eq!((reply.code, reply.body.len(), reply.fields.is_empty()), (0, 0, true));
    let replica = broker.register("a", "1", "10.0.0.2:10911", Vec::new(), &[]).await;
    assert_eq!(replica.fields.get("masterAddr"), Some("10.0.0.1:10911"));
    assert_eq!(replica.fields.get("haServerAddr"), Some("10.0.0.1:10912"));

    let bare = r#"{"brokerDatas":[{"brokerAddrs":{0:"10.0.0.1:10911",1:"10.0.0.2:10911"},"brokerName":"a","cluster":"C"}],"filterServerTable":{},"queueDatas":[{"brokerName":"a","perm":6,"readQueueNums":16,"topicSynFlag":0,"writeQueueNums":16}]}"#;
    let strict = bare
        .replace("0:\"10", "\"0\":\"10")
        .replace("1:\"10", "\"1\":\"10")
        .replace("\"cluster\":\"C\"", "\"cluster\":\"C\",\"enableActingMaster\":false")
        .replace("\"writeQueueNums\":16", "\"writeQueueNums\":16,\"topicSysFlag\":0");
    for (version, fields, expected) in [
        (0, &[("topic", "T")][..], bare),
        (V4_7_1, &[("topic", "T")], bare),
        (399, &[("topic", "T"), ("acceptStandardJsonOnly", "true")], &strict),
        (401, &[("topic", "T")], &strict),
    ] {
        let reply = client.send(Frame { version, ..request(105, fields, b"") }).await;
        assert_eq!(String::from_utf8_lossy(&reply.body), expected, "{version}");
    }
    let route: TopicRouteData = from_json(&client.ask(105, &[("topic", "T")]).await.body).unwrap();
    assert_eq!(route.broker_datas[0].broker_addrs.len(), 2);
    let info: ClusterInfo = from_json(&client.ask(106, &[]).await.body).unwrap();
    assert_eq!(info.cluster_addr_table["C"].len(), 1);
    let bare = r#"{"brokerAddrTable":{"a":{"brokerAddrs":{0:"10.0.0.1:10911",1:"10.0.0.2:10911"},"brokerName":"a","cluster":"C"}},"clusterAddrTable":{"C":["a"]}}"#;
    let strict = bare
        .replace("0:\"10", "\"0\":\"10")
        .replace("1:\"10", "\"1\":\"10")
        .replace("\"cluster\":\"C\"", "\"cluster\":\"C\",\"enableActingMaster\":false");
    for (version, expected) in [(V4_7_1, bare), (493, &strict)] {
        let reply = client.send(Frame { version, ..request(106, &[], b"") }).await;
        assert_eq!(String::from_utf8_lossy(&reply.body), expected, "{version}");
    }
}

#[tokio::test]
async fn all_forms_of_registration_are_read_and_damaged_ones_refused() {
    let node = node();
    let broker = node.caller();
    let compressed = body(1, &["Z"]).encode_compressed();
    let sum = |body: &[u8]| (crc32fast::hash(body) & 0x7FFF_FFFF).to_string();
    let good = sum(&compressed);
    let reply =
        broker.register("a", "0", "h:1", compressed.clone(), &[("compressed", "true"), ("bodyCrc32", &good)]).await;
    assert_eq!(reply.code, 0);

    let old = to_json(&body(2, &["Old"]).topic_config_serialize_wrapper, Style::Fastjson);
    let fields =
        [("brokerName", "b"), ("brokerAddr", "h:2"), ("clusterName", "C"), ("haServerAddr", "h:3"), ("brokerId", "0")];
    assert_eq!(broker.send(Frame { version: 0, ..request(103, &fields, &old) }).await.code, 0);
    assert_eq!(broker.topics().await, ["Old", "Z"]);

    for (bytes, more, part) in [
        (compressed.clone(), vec![("compressed", "true"), ("bodyCrc32", "5")], "crc32 not match"),
        (compressed, vec![], "unreadable body"),
        (b"{}}".to_vec(), vec![], "unreadable body"),
        (body(3, &["T"]).encode(), vec![("brokerId", "x")], "brokerId"),
        (body(3, &["T"]).encode(), vec![("brokerAddr", "nowhere")], "address"),
    ] {
        let reply = broker.register("c", "0", "h:4", bytes, &more).await;
        assert_eq!(reply.code, 1, "{part}");
        assert!(reply.remark.as_ref().unwrap().contains(part), "{part}: {:?}", reply.remark);
    }
    assert_eq!(broker.topics().await, ["Old", "Z"]);
}

#[tokio::test]
async fn the_end_of_a_brokers_connection_is_the_end_of_its_routes() {
    let node = node();
    let (broker, client) = (node.caller(), node.caller());
    broker.register("a", "0", "h:1", body(1, &["T"]).encode(), &[]).await;
    assert_eq!(client.topics().await, ["T"]);
    drop(broker);
    until(|| async { client.topics().await.is_empty() }).await;

    let first = node.caller();
    first.register("a", "0", "h:1", body(1, &["T"]).encode(), &[]).await;
    let fields = [("brokerName", "a"), ("brokerAddr", "h:1"), ("clusterName", "C"), ("brokerId", "0")];
    assert_eq!(client.ask(104, &fields).await.code, 16, "only its own connection unregisters it");
    assert_eq!(client.topics().await, ["T"]);
    assert_eq!(first.ask(104, &fields).await.code, 0);
    assert!(client.topics().await.is_empty());
}

#[tokio::test]
async fn a_stranger_takes_nothing_from_a_live_broker() {
    let node = node();
    let (owner, client) = (node.caller(), node.caller());
    owner.register("a", "0", "h:1", body(1, &["T"]).encode(), &[]).await;
    let before = client.ask(105, &[("topic", "T")]).await.body;
    for (name, id, addr) in [("a", "0", "h:2"), ("a", "0", "h:1"), ("a", "3", "h:1"), ("b", "0", "h:1")] {
        let stranger = node.caller();
        for _ in 0..2 {
            assert_eq!(
                stranger.register(name, id, addr, body(9, &["X"]).encode(), &[]).await.code,
                1,
                "{name} {id} {addr}"
            );
            // It answered the question whether it lives, however late the claim is repeated.
            let asked = owner.pool.counters();
            until(|| async { asked.snapshot().requests > 0 }).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            node.clock.advance(Duration::from_secs(15));
            owner.register("a", "0", "h:1", body(1, &["T"]).encode(), &[]).await;
        }
        drop(stranger);
    }
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(client.ask(105, &[("topic", "T")]).await.body, before);
    assert_eq!(client.topics().await, ["T"]);
}

#[tokio::test]
async fn a_broker_that_moved_is_taken_when_its_old_connection_stays_silent() {
    for addr in ["h:1", "h:2"] {
        let node = node();
        let (old, new) = (node.silent_caller(), node.caller());
        old.register("a", "0", "h:1", body(1, &["T"]).encode(), &[]).await;
        let connection = old.pool.peer(&node.addr).await.unwrap();
        assert_eq!(new.register("a", "0", addr, body(1, &["T"]).encode(), &[]).await.code, 1);
        node.clock.advance(Duration::from_secs(10));
        assert_eq!(new.register("a", "0", addr, body(1, &["T"]).encode(), &[]).await.code, 0);
        until(|| async { !connection.is_open() }).await;
        let route: TopicRouteData = from_json(&new.ask(105, &[("topic", "T")]).await.body).unwrap();
        assert_eq!(route.broker_datas[0].broker_addrs[&0], addr);
    }
}

#[tokio::test]
async fn brokers_register_from_allowed_addresses_only() {
    for (allowed, code) in [("10.0.0.*", 1), ("127.0.0.1", 0)] {
        let node = node_with(|config| config.broker_addresses = Some(Addresses::parse(allowed).unwrap()));
        let broker = node.caller();
        assert_eq!(broker.register("a", "0", "10.0.0.7:1", body(1, &["T"]).encode(), &[]).await.code, code);
    }
}

#[tokio::test]
async fn a_silent_broker_expires_and_its_connection_is_closed() {
    let node = node();
    let (silent, alive) = (node.caller(), node.caller());
    silent.register("a", "0", "h:1", body(1, &["T"]).encode(), &[]).await;
    alive.register("b", "0", "h:2", body(1, &["U"]).encode(), &[]).await;
    let version = to_json(&DataVersion { counter: 1, timestamp: 5 }, Style::Fastjson);
    let fields = [("brokerName", "b"), ("brokerAddr", "h:2"), ("clusterName", "C"), ("brokerId", "0")];
    for _ in 0..2 {
        node.clock.advance(Duration::from_secs(65));
        let reply = alive.send(request(322, &fields, &version)).await;
        assert_eq!(reply.fields.get("changed"), Some("false"));
        assert_eq!(&reply.body[..], br#"{"counter":1,"timestamp":5}"#);
    }
    until(|| async { alive.topics().await == ["U"] }).await;
    let waiting = silent.pool.peer(&node.addr).await.unwrap();
    until(|| async { !waiting.is_open() || silent.pool.counters().snapshot().dialled > 1 }).await;
    let other = to_json(&DataVersion { counter: 2, timestamp: 5 }, Style::Fastjson);
    assert_eq!(alive.send(request(322, &fields, &other)).await.fields.get("changed"), Some("true"));
}

#[tokio::test]
async fn a_second_primary_of_the_same_name_is_refused_while_the_first_lives() {
    let node = node();
    let (owner, other) = (node.caller(), node.caller());
    owner.register("a", "0", "h:1", body(1, &["T"]).encode(), &[]).await;
    let refused = other.register("a", "0", "h:2", body(9, &["X"]).encode(), &[]).await;
    assert_eq!(refused.code, 1, "even at once");
    assert!(refused.remark.unwrap().contains("h:1"));
    drop(owner);
    until(|| async { other.register("a", "0", "h:2", body(9, &["X"]).encode(), &[]).await.code == 0 }).await;
    assert_eq!(other.topics().await, ["X"]);
}

#[tokio::test]
async fn keys_are_stored_and_told_to_brokers_and_with_routes() {
    let node = node();
    let tool = node.caller();
    let (ns, topic) = (("namespace", "ORDER_TOPIC_CONFIG"), ("key", "T"));
    let missing = tool.ask(101, &[ns, topic]).await;
    assert_eq!(missing.remark.unwrap(), "No config item, Namespace: ORDER_TOPIC_CONFIG Key: T");
    assert_eq!((missing.code, tool.ask(219, &[ns]).await.code), (22, 22));
    assert_eq!(tool.ask(100, &[ns, topic, ("value", "a:8")]).await.code, 0);
    assert_eq!(tool.ask(100, &[("namespace", "../x"), topic, ("value", "a:8")]).await.code, 1);
    assert_eq!(tool.ask(101, &[ns, topic]).await.fields.get("value"), Some("a:8"));
    let list: KvTable = from_json(&tool.ask(219, &[ns]).await.body).unwrap();
    assert_eq!(list.table["T"], "a:8");
    assert!(std::fs::read_to_string(node.dir.path().join("kvConfig.json")).unwrap().contains("a:8"));

    let reply = tool.register("a", "0", "h:1", body(1, &["T"]).encode(), &[]).await;
    assert_eq!(&reply.body[..], br#"{"table":{"T":"a:8"}}"#);
    let order = async || from_json::<TopicRouteData>(&tool.ask(105, &[("topic", "T")]).await.body).unwrap();
    assert_eq!(order().await.order_topic_conf, None);
    assert_eq!(tool.send(request(318, &[], b"orderMessageEnable=true\n")).await.code, 0);
    assert_eq!(order().await.order_topic_conf.as_deref(), Some("a:8"));
    assert_eq!(tool.ask(102, &[ns, topic]).await.code, 0);
    assert_eq!(order().await.order_topic_conf, None);
}

#[tokio::test]
async fn settings_outside_the_white_list_are_refused_on_the_wire() {
    let node = node();
    let tool = node.caller();
    for key in [
        "configStorePath",
        "configStorePathName",
        "kvConfigPath",
        "rocketmqHome",
        "configBlackList",
        "listenPort",
        "anything",
    ] {
        let text = format!("orderMessageEnable=true\n{key}={}/stolen\n", node.dir.path().display());
        let reply = tool.send(request(318, &[], text.as_bytes())).await;
        assert_eq!(reply.code, 16, "{key}");
    }
    let told = String::from_utf8(tool.ask(319, &[]).await.body.to_vec()).unwrap();
    assert!(
        told.starts_with("kvConfigPath=")
            && told.contains("\nlistenPort=")
            && told.ends_with("\norderMessageEnable=false\n"),
        "{told}"
    );
    assert_eq!(std::fs::read_dir(node.dir.path()).unwrap().count(), 0);
    assert_eq!(tool.send(request(318, &[], b"orderMessageEnable=1")).await.code, 1);
}

#[tokio::test]
async fn administration_reaches_topics_and_brokers() {
    let node = node();
    let tool = node.caller();
    tool.register("a", "0", "h:1", body(1, &["T", "U"]).encode(), &[]).await;
    assert_eq!(tool.ask(205, &[("brokerName", "a")]).await.fields.get("wipeTopicCount"), Some("2"));
    let route: TopicRouteData = from_json(&tool.ask(105, &[("topic", "T")]).await.body).unwrap();
    assert_eq!(route.queue_datas[0].perm, 4);
    assert_eq!(tool.ask(327, &[("brokerName", "a")]).await.fields.get("addTopicCount"), Some("2"));
    let list = |frame: Frame| from_json::<TopicList>(&frame.body).unwrap();
    assert_eq!(list(tool.ask(224, &[("cluster", "C")]).await).topic_list, ["T", "U"]);
    assert_eq!(list(tool.ask(224, &[("cluster", "none")]).await).topic_list, [""; 0]);
    let system = list(tool.ask(304, &[]).await);
    assert_eq!((system.topic_list, system.broker_addr.as_deref()), (vec!["C".to_owned(), "a".to_owned()], Some("h:1")));
    for code in [311, 312, 313] {
        assert_eq!(&tool.ask(code, &[]).await.body[..], br#"{"topicList":[]}"#);
    }
    assert_eq!(tool.ask(216, &[("topic", "T")]).await.code, 0);
    assert_eq!(tool.topics().await, ["U"]);
}

#[tokio::test]
async fn whatever_else_is_asked_is_not_supported_and_one_way_requests_stay_unanswered() {
    let node = node();
    let caller = node.caller();
    for code in [10, 34, 217, 301, 901, 99_999, -1] {
        let reply = caller.ask(code, &[]).await;
        assert_eq!((reply.code, reply.remark), (3, Some(format!(" request type {code} not supported"))));
    }
    let missing = caller.ask(105, &[]).await;
    assert_eq!(missing.code, 1);
    let silent = caller.pool.call(&node.addr, request(206, &[], b"").oneway(), Duration::from_millis(50)).await;
    assert!(matches!(silent, Err(CallError::Timeout { .. })));
    node.handle.shutdown().await;
}

#[tokio::test]
async fn figures_tell_who_is_registered_what_was_asked_and_who_left() {
    let node = node();
    let watch = node.handle.watch();
    let broker = node.caller();
    for (name, addr) in [("a", "h:1"), ("b", "h:2"), ("c", "h:3")] {
        broker.register(name, "0", addr, body(1, &["T"]).encode(), &[]).await;
    }
    broker.ask(104, &[("brokerName", "c"), ("brokerId", "0"), ("brokerAddr", "h:3"), ("clusterName", "C")]).await;
    let client = node.caller();
    assert_eq!(client.ask(105, &[("topic", "T")]).await.code, 0);
    assert_eq!(client.ask(105, &[("topic", "none")]).await.code, 17);
    client.ask(10, &[]).await;
    node.clock.advance(Duration::from_secs(7));

    let figures = watch.figures(1).unwrap();
    assert_eq!((figures.clusters, figures.brokers, figures.topics, figures.missing_topics), (1, 2, 1, 1));
    let told: Vec<_> = figures.members.iter().map(|one| (one.broker.as_str(), one.addr.as_str(), one.age)).collect();
    assert_eq!((told, figures.members_all), (vec![("a", "h:1", Duration::from_secs(7))], 2));
    let asked: Vec<_> = figures.requests.iter().filter(|(_, count)| *count > 0).copied().collect();
    let expected = [("REGISTER_BROKER", 3), ("UNREGISTER_BROKER", 1), ("GET_ROUTEINFO_BY_TOPIC", 2), ("other", 1)];
    assert_eq!(asked, expected);
    assert_eq!(figures.refusals, [("GET_ROUTEINFO_BY_TOPIC", 17, 1), ("other", 3, 1)]);
    assert_eq!(figures.removed, [("unregistered", 1), ("disconnected", 0), ("expired", 0)]);
    assert!(figures.connections.contains(&("open", 2)) && figures.connections.contains(&("requests", 7)));

    // Silent for too long, the brokers are taken out by the next scan.
    node.clock.advance(Duration::from_secs(200));
    let expired = async {
        while watch.figures(1).unwrap().removed[2].1 < 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(WAIT, expired).await.unwrap();
    assert!(watch.ready().is_ok());
    node.handle.shutdown().await;
    assert!(watch.figures(1).is_none() && watch.ready().is_err());
}
