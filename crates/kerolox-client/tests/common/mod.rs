//! Nodes that answer by a script, on loopback.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use kerolox_client::Client;
use kerolox_net::{ListenConfig, Listening, Outbound, OutboundConfig, Peer, Service, Serving};
use kerolox_wire::body::{BrokerData, QueueData, Style, TopicRouteData, to_json};
use kerolox_wire::clock::ManualClock;
use kerolox_wire::command::Request;
use kerolox_wire::frame::Frame;
use kerolox_wire::names::{LogOffset, QueueOffset};
use kerolox_wire::record::{LateFields, NewRecord, fill_late};
use kerolox_wire::reply::{Reply, ReplyTo};
use kerolox_wire::response::ResponseCode;
use serde::Serialize;

/// The time at which tests happen.
pub(crate) const NOW_MS: i64 = 1_795_577_629_323;

/// What a node says to a request, given its own address.
type Script = Box<dyn Fn(&Request, &str) -> Reply + Send + Sync>;

struct Scripted {
    script: Script,
    heard: Mutex<Vec<(String, Request, Frame)>>,
}

impl Service for Scripted {
    fn serve(&self, peer: &Arc<Peer>, frames: &mut Vec<Frame>, out: &mut BytesMut) {
        let own = peer.local().to_string();
        for frame in frames.drain(..) {
            let request = Request::decode(&frame).expect("the client sends what the table says");
            (self.script)(&request, &own).encode(ReplyTo::from(&frame), out);
            self.heard.lock().unwrap().push((own.clone(), request, frame));
        }
    }
}

/// Nodes of one script, and a client whose name servers they are.
pub(crate) struct Nodes {
    pub(crate) addresses: Vec<String>,
    pub(crate) client: Client,
    service: Arc<Scripted>,
    _serving: Vec<Serving>,
}

impl Nodes {
    /// So many nodes.
    pub(crate) fn start(count: usize, script: impl Fn(&Request, &str) -> Reply + Send + Sync + 'static) -> Self {
        let service = Arc::new(Scripted { script: Box::new(script), heard: Mutex::default() });
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let serving: Vec<Serving> =
            (0..count).map(|_| Listening::bind(ListenConfig::new(any)).unwrap().serve(service.clone())).collect();
        let addresses: Vec<String> = serving.iter().map(|s| s.local_addr().to_string()).collect();
        let client = client(addresses.clone());
        Self { addresses, client, service, _serving: serving }
    }

    /// What was heard so far: address, request.
    pub(crate) fn heard(&self) -> Vec<(String, Request)> {
        self.service.heard.lock().unwrap().iter().map(|(own, request, _)| (own.clone(), request.clone())).collect()
    }

    /// The requests alone.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.heard().into_iter().map(|(_, request)| request).collect()
    }

    /// The frames, for what the header does not tell.
    pub(crate) fn frames(&self) -> Vec<Frame> {
        self.service.heard.lock().unwrap().iter().map(|(_, _, frame)| frame.clone()).collect()
    }
}

/// A client of these name servers.
pub(crate) fn client(name_servers: Vec<String>) -> Client {
    Client::new(
        name_servers,
        Outbound::new(OutboundConfig::default()),
        Arc::new(ManualClock::at(NOW_MS)),
        Arc::new(|_| 0),
    )
}

/// A success with a JSON body.
pub(crate) fn json<T: Serialize>(body: &T) -> Reply {
    Reply::body(to_json(body, Style::Fastjson))
}

/// The answer for what is not there.
pub(crate) fn no_route() -> Reply {
    Reply::refuse(ResponseCode::TOPIC_NOT_EXIST, "No topic route info")
}

/// A route over brokers `(name, master address, permission, queues)`.
pub(crate) fn route(brokers: &[(&str, &str, i32, i32)]) -> TopicRouteData {
    TopicRouteData {
        broker_datas: brokers
            .iter()
            .map(|&(name, address, _, _)| BrokerData {
                broker_name: name.to_owned(),
                cluster: "DefaultCluster".to_owned(),
                broker_addrs: [(0, address.to_owned())].into(),
            })
            .collect(),
        queue_datas: brokers
            .iter()
            .map(|&(name, _, perm, queues)| QueueData {
                broker_name: name.to_owned(),
                perm,
                read_queue_nums: queues,
                write_queue_nums: queues,
                topic_syn_flag: 0,
            })
            .collect(),
        ..TopicRouteData::default()
    }
}

/// The record of a message with these properties, stored at `log_offset` a moment before [`NOW_MS`].
pub(crate) fn record(topic: &str, properties: &str, body: &[u8], log_offset: u64) -> Vec<u8> {
    let host: SocketAddr = "127.0.0.1:10911".parse().unwrap();
    let mut bytes = Vec::new();
    let record = NewRecord {
        topic,
        queue_id: 1,
        flag: 0,
        sys_flag: 0,
        born_timestamp: NOW_MS - 5,
        born_host: host,
        store_host: host,
        reconsume_times: 0,
        prepared_transaction_offset: 0,
        body,
        properties,
    };
    record.encode(&mut bytes).unwrap();
    let late = LateFields {
        queue_offset: QueueOffset::new(log_offset / 100),
        log_offset: LogOffset::new(log_offset),
        store_timestamp: NOW_MS - 4,
    };
    fill_late(&mut bytes, &late);
    bytes
}

/// Properties as text.
pub(crate) fn properties(pairs: &[(&str, &str)]) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        kerolox_wire::properties::push(&mut text, name, value);
    }
    text
}
