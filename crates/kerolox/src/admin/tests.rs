//! Whole commands, from the words of the command line to what is printed, against a node that answers by a script.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use kerolox_client::Client;
use kerolox_net::{ListenConfig, Listening, Outbound, OutboundConfig, Peer, Service};
use kerolox_wire::body::{
    BrokerData, ClusterInfo, KvTable, MessageQueue, PairMap, QueueData, Style, SubscriptionGroupConfig,
    SubscriptionGroupTable, TopicList, TopicOffset, TopicRouteData, TopicStats, to_json,
};
use kerolox_wire::clock::ManualClock;
use kerolox_wire::command::Request;
use kerolox_wire::command::name_server::WipeWritePermResult;
use kerolox_wire::command::send::SendResult;
use kerolox_wire::frame::Frame;
use kerolox_wire::reply::{Reply, ReplyTo};
use kerolox_wire::response::ResponseCode;

use super::command;
use super::failure::Failure;
use super::help;
use super::options::Given;
use super::output::Out;
use super::session::Session;

/// A name server and a broker in one: the cluster `C` with the broker `b`, and the topic `T` with two queues.
struct Node {
    heard: Mutex<Vec<Request>>,
}

impl Node {
    fn answer(request: &Request, own: &str) -> Reply {
        let broker = BrokerData {
            broker_name: "b".to_owned(),
            cluster: "C".to_owned(),
            broker_addrs: [(0, own.to_owned())].into(),
        };
        let json = |bytes: Vec<u8>| Reply::body(bytes);
        match request {
            Request::GetClusterInfo(_) => {
                let info = ClusterInfo {
                    broker_addr_table: [("b".to_owned(), broker)].into(),
                    cluster_addr_table: [("C".to_owned(), ["b".to_owned()].into())].into(),
                };
                json(to_json(&info, Style::Fastjson))
            }
            Request::GetRoute(get) if get.topic == "T" => {
                let queues = QueueData { broker_name: "b".to_owned(), perm: 6, ..queues_of(2) };
                let route = TopicRouteData {
                    broker_datas: vec![broker],
                    queue_datas: vec![queues],
                    ..TopicRouteData::default()
                };
                json(to_json(&route, Style::Fastjson))
            }
            Request::GetAllGroups(_) => {
                let group = SubscriptionGroupConfig { group_name: "G".to_owned(), ..Default::default() };
                let subscription_group_table = [("G".to_owned(), group)].into();
                let table = SubscriptionGroupTable { subscription_group_table, ..Default::default() };
                json(to_json(&table, Style::Fastjson))
            }
            Request::GetAllTopicNames(_) => {
                let topic_list = vec!["T".to_owned(), "%RETRY%G".to_owned(), "A".to_owned()];
                json(to_json(&TopicList { broker_addr: None, topic_list }, Style::Fastjson))
            }
            Request::GetTopicStats(_) => {
                let queue = |queue_id| MessageQueue { topic: "T".to_owned(), broker_name: "b".to_owned(), queue_id };
                let empty = TopicOffset::default();
                let offset_table = PairMap(vec![(queue(1), empty.clone()), (queue(0), empty)]);
                json(to_json(&TopicStats { offset_table }, Style::Fastjson))
            }
            Request::GetRuntimeInfo(_) => {
                let table = [("putTps".to_owned(), "1.0 2.0".to_owned())].into();
                json(to_json(&KvTable { table }, Style::Fastjson))
            }
            Request::SendMessageV2(send) => Reply::of(&SendResult {
                msg_id: "7F00000100002A9F0000000000000000".to_owned(),
                queue_id: send.queue_id,
                queue_offset: 0,
                transaction_id: None,
            }),
            Request::WipeWritePerm(_) => Reply::of(&WipeWritePermResult { wipe_topic_count: 3 }),
            Request::CreateTopic(_)
            | Request::PutKv(_)
            | Request::DeleteGroup(_)
            | Request::DeleteTopic(_)
            | Request::DeleteTopicRoutes(_) => Reply::ok(),
            Request::GetKv(_) => Reply::refuse(ResponseCode::QUERY_NOT_FOUND, "No config item"),
            other => Reply::refuse(ResponseCode::TOPIC_NOT_EXIST, format!("{other:?}")),
        }
    }
}

fn queues_of(count: i32) -> QueueData {
    QueueData { read_queue_nums: count, write_queue_nums: count, ..QueueData::default() }
}

impl Service for Node {
    fn serve(&self, peer: &Arc<Peer>, frames: &mut Vec<Frame>, out: &mut BytesMut) {
        for frame in frames.drain(..) {
            let request = Request::decode(&frame).expect("the client sends what the table says");
            Self::answer(&request, &peer.local().to_string()).encode(ReplyTo::from(&frame), out);
            self.heard.lock().unwrap().push(request);
        }
    }
}

#[derive(Clone, Default)]
struct Printed(Arc<Mutex<Vec<u8>>>);

impl Write for Printed {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What became of one command: its result, what it printed, what the node heard. `ADDR` stands for the node.
struct Ran {
    result: Result<(), Failure>,
    printed: String,
    heard: Vec<Request>,
}

async fn mqadmin(line: &str) -> Ran {
    let node = Arc::new(Node { heard: Mutex::default() });
    let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
    let serving = Listening::bind(ListenConfig::new(any)).unwrap().serve(node.clone());
    let address = serving.local_addr().to_string();
    let words = help::words(&line.replace("ADDR", &address));
    let command = command::find(&words[0]).expect("a command of the table");
    let printed = Printed::default();
    let clock = Arc::new(ManualClock::at(1_795_577_629_323));
    let client =
        Client::new(vec![address.clone()], Outbound::new(OutboundConfig::default()), clock.clone(), Arc::new(|_| 0));
    let result = match Given::parse(command, &words[1..]) {
        Ok(given) => {
            let out = Out::new(printed.clone()).with_format(given.format());
            (command.run)(&Session { client, out, clock }, &given).await
        }
        Err(why) => Err(why),
    };
    let text = String::from_utf8(printed.0.lock().unwrap().clone()).unwrap();
    let heard = node.heard.lock().unwrap().clone();
    Ran { result, printed: text.replace(&address, "ADDR"), heard }
}

async fn prints(line: &str) -> String {
    let ran = mqadmin(line).await;
    assert!(ran.result.is_ok(), "{line}: {:?}", ran.result);
    ran.printed
}

#[tokio::test]
async fn an_ordered_topic_of_a_cluster_is_made_with_its_order_configuration() {
    assert_eq!(
        prints("updateTopic -c C -t T -r 4 -w 4 -o true").await,
        "create topic to ADDR success.\n\
         set cluster orderConf. isOrder=true, orderConf=[b:4]\n\
         TopicConfig [topicName=T, readQueueNums=4, writeQueueNums=4, perm=RW-, topicFilterType=SINGLE_TAG, \
         topicSysFlag=0, order=true]\n"
    );
    let ran = mqadmin("updateTopic -b ADDR -t T -o true -u true -s true").await;
    assert!(ran.printed.contains("set broker orderConf. isOrder=true, orderConf=[b:8]"), "{}", ran.printed);
    let made = ran.heard.iter().find_map(|r| if let Request::CreateTopic(c) = r { Some(c) } else { None }).unwrap();
    assert_eq!((made.read_queue_nums, made.perm, made.topic_sys_flag, made.order), (8, 6, 3, true));
}

#[tokio::test]
async fn a_group_of_a_cluster_is_deleted_with_its_own_topics() {
    assert_eq!(
        prints("deleteSubGroup -c C -g G").await,
        "delete subscription group [G] from broker [ADDR] in cluster [C] success.\n\
         delete topic [%RETRY%G] from cluster [C] success.\n\
         delete topic [%RETRY%G] from NameServer success.\n\
         delete topic [%DLQ%G] from cluster [C] success.\n\
         delete topic [%DLQ%G] from NameServer success.\n"
    );
    let nobody = mqadmin("deleteSubGroup -c C -g nobody").await;
    assert!(nobody.result.unwrap_err().to_string().contains("there is no group [nobody]"));
}

#[tokio::test]
async fn options_that_cannot_be_met_are_refused_with_what_is_allowed() {
    for (line, allowed) in [
        ("updateTopic -c C -t T -p 9", "2 (write)"),
        ("updateTopic -c C -t T -r 0", "from 1 to 65536"),
        ("updateTopicPerm -c C -t T -p 8", "2 (write)"),
        ("sendMessage -t T -p x -b nobroker", "these do: b"),
    ] {
        let why = mqadmin(line).await.result.unwrap_err().to_string();
        assert!(why.contains(allowed), "{line}: {why}");
    }
}

#[tokio::test]
async fn lists_are_sorted() {
    assert_eq!(prints("topicList").await, "%RETRY%G\nA\nT\n");
    let status = prints("topicStatus -t T").await;
    let queues: Vec<&str> = status.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(queues, ["0", "1"]);
    assert_eq!(prints("topicClusterList -t T").await, "C\n");
}

#[tokio::test]
async fn a_message_goes_to_the_queue_asked_for() {
    let printed = prints("sendMessage -t T -p 'hello world' -k k1 -b b -i 1").await;
    let sent: Vec<&str> = printed.lines().nth(1).unwrap().split_whitespace().collect();
    assert_eq!(&sent[..3], ["b", "1", "SEND_OK"]);
    assert_eq!(sent[3].len(), 32);
    let elsewhere = mqadmin("sendMessage -t T -p x -b other -i 1").await;
    assert!(elsewhere.result.unwrap_err().to_string().contains("[other] takes no messages of the topic [T]"));
    assert!(!elsewhere.heard.iter().any(|r| matches!(r, Request::SendMessageV2(_))));
}

#[tokio::test]
async fn permission_is_changed_only_where_it_differs_and_at_a_master() {
    assert_eq!(prints("updateTopicPerm -b ADDR -t T -p 6").await, "new perm equals to the old one!\n");
    let changed = prints("updateTopicPerm -b ADDR -t T -p 4").await;
    assert!(
        changed.starts_with("update topic perm from 6 to 4 in ADDR success.\nTopicConfig [topicName=T, "),
        "{changed}"
    );
    let slave = mqadmin("updateTopicPerm -b 127.0.0.1:1 -t T -p 4").await;
    assert!(matches!(slave.result, Err(Failure::Failed(_))));
    assert_eq!(prints("wipeWritePerm -b b").await, "wipe write perm of broker[b] in name server[ADDR] OK, 3\n");
}

#[tokio::test]
async fn queues_are_shared_and_figures_shown() {
    let shares = prints("allocateMQ -t T -i 10.0.0.1,10.0.0.2").await;
    assert_eq!(shares.matches("\"queueId\"").count(), 2, "{shares}");
    assert_eq!(prints("brokerStatus -b ADDR").await, format!("{:<32}: 1.0 2.0\n", "putTps"));
    let list = prints("clusterList").await;
    assert!(
        list.lines().nth(1).unwrap().starts_with("C                 b                       0     ADDR "),
        "{list}"
    );
}

/// What a command prints with `-o json`.
async fn tells(line: &str) -> serde_json::Value {
    let printed = prints(line).await;
    serde_json::from_str(&printed).unwrap_or_else(|why| panic!("{line}: {why}: {printed}"))
}

#[tokio::test]
async fn programs_get_one_value_and_no_text() {
    use serde_json::json;
    assert_eq!(tells("topicList -o json").await, json!(["%RETRY%G", "A", "T"]));
    assert_eq!(
        tells("topicStatus -t T -o json").await[1],
        json!({"brokerName": "b", "queueId": 1, "minOffset": 0, "maxOffset": 0, "lastUpdateTimestamp": 0})
    );
    let route = tells("topicRoute -t T --output json").await;
    assert_eq!(route["brokerDatas"][0]["brokerAddrs"], json!({"0": "ADDR"}));
    assert_eq!(
        tells("brokerStatus -b ADDR -o json").await,
        json!([{"brokerAddr": "ADDR", "figures": {"putTps": "1.0 2.0"}}])
    );
    let list = tells("clusterList -o json").await;
    assert_eq!((&list[0]["brokerAddr"], &list[0]["inTps"]), (&json!("ADDR"), &json!(1.0)));
    let sent = tells("sendMessage -t T -p x -b b -i 1 -o json").await;
    assert_eq!((&sent["queueId"], &sent["sendStatus"]), (&json!(1), &json!("SEND_OK")));
    assert_eq!(tells("wipeWritePerm -b b -o json").await, json!([{"namesrvAddr": "ADDR", "topics": 3}]));
}

#[tokio::test]
async fn failures_tell_usage_from_refusals() {
    for line in ["topicRoute", "sendMessage -t a/b -p x", "updateOrderConf -t T -m put", "queryCq -t T -q x -i 0"] {
        let result = mqadmin(line).await.result;
        assert!(matches!(result, Err(Failure::Usage(_))), "{line}: {result:?}");
    }
    for line in ["topicRoute -t NONE", "updateTopic -c NONE -t T", "statsAll -t NONE", "updateOrderConf -t T -m get"] {
        let result = mqadmin(line).await.result;
        assert!(matches!(result, Err(Failure::Client(_) | Failure::Failed(_))), "{line}: {result:?}");
    }
    let refused = mqadmin("topicRoute -t NONE").await.result.unwrap_err().to_string();
    assert!(refused.starts_with("CODE: 17  DESC: "), "{refused}");
}

/// Set `KEROLOX_BLESS` to write the table anew.
#[test]
fn the_page_of_commands_is_up_to_date() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/mqadmin.md");
    let page = std::fs::read_to_string(path).unwrap();
    let (before, rest) = page.split_once("<!-- commands -->\n").expect("the begin mark");
    let (table, after) = rest.split_once("<!-- end -->").expect("the end mark");
    if std::env::var_os("KEROLOX_BLESS").is_some() {
        let fresh = format!("{before}<!-- commands -->\n{}<!-- end -->{after}", help::table());
        std::fs::write(path, fresh).unwrap();
        return;
    }
    assert_eq!(table, help::table(), "run the tests once with KEROLOX_BLESS=1");
}

#[tokio::test]
async fn the_doctor_tells_people_and_programs_the_same() {
    let table = prints("doctor -r -s").await;
    assert!(table.starts_with("note     broker b/0: registered itself as ADDR, which only its own"), "{table}");
    assert!(
        table.ends_with("looked at 1 name servers, 1 brokers, 0 topics: 0 errors, 0 warnings, 2 notes\n"),
        "{table}"
    );
    // The node lists three topics and has a route for one of them.
    let ran = mqadmin("doctor -r -o json").await;
    assert!(matches!(&ran.result, Err(Failure::Failed(why)) if why == "2 errors"), "{:?}", ran.result);
    let findings: serde_json::Value = serde_json::from_str(&ran.printed).unwrap();
    let told =
        |key: &str| -> Vec<&str> { findings.as_array().unwrap().iter().map(|f| f[key].as_str().unwrap()).collect() };
    assert_eq!(told("severity"), ["error", "error", "note", "note"]);
    assert_eq!(told("subject"), ["topic %RETRY%G", "topic A", "broker b/0", "name server ADDR"]);
    assert!(told("remedy")[1].starts_with("mqadmin deleteTopic -t A -c "));
    assert!(matches!(mqadmin("doctor -o xml").await.result, Err(Failure::Usage(_))));
}
