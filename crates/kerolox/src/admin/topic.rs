//! Commands about topics.

use kerolox_client::route::{address_of, master_of};
use kerolox_client::{ClientError, ORDER_NAMESPACE};
use kerolox_wire::body::{BrokerData, ClusterInfo, QueueData, TopicConfig, TopicRouteData, to_json_pretty};
use kerolox_wire::names::{DLQ_PREFIX, GroupName, RETRY_PREFIX, TopicName};
use serde_json::json;

use super::bar::Bar;
use super::command::{Command, Target, flag, may, must};
use super::failure::Failure;
use super::options::Given;
use super::output::{Column, cell, left, shown};
use super::session::Session;
use super::{name, text, time};

/// Queues of a topic unless told otherwise.
const QUEUES: i32 = 8;
/// Read and write.
const PERM_READ_WRITE: i32 = 6;
/// Bits of a topic's system flag.
const UNIT: i32 = 1;
const UNIT_SUB: i32 = 2;

pub(super) const UPDATE_TOPIC: Command = Command {
    name: "updateTopic",
    about: "Create a topic or change its queues and permission",
    options: &[
        may('b', "brokerAddr", "on this broker only"),
        may('c', "clusterName", "on all masters of this cluster"),
        must('t', "topic", "topic name"),
        may('r', "readQueueNums", "queues to read, 8 if not given"),
        may('w', "writeQueueNums", "queues to write, 8 if not given"),
        may('p', "perm", "2 write only, 4 read only, 6 both (if not given)"),
        may('o', "order", "true: also write the order configuration of the topic"),
        may('u', "unit", "true: a topic of the unit mode"),
        may('s', "hasUnitSub", "true: has subscriptions of the unit mode"),
    ],
    target: Target::OneOf,
    shows: false,
    example: "-c DefaultCluster -t orders -r 8 -w 8",
    run: |s, g| Box::pin(update_topic(s, g)),
};

pub(super) const DELETE_TOPIC: Command = Command {
    name: "deleteTopic",
    about: "Delete a topic at the brokers of a cluster and at the name servers",
    options: &[must('t', "topic", "topic name"), must('c', "clusterName", "cluster to delete it from")],
    target: Target::Free,
    shows: false,
    example: "-c DefaultCluster -t orders",
    run: |s, g| Box::pin(delete_topic(s, g)),
};

pub(super) const UPDATE_TOPIC_PERM: Command = Command {
    name: "updateTopicPerm",
    about: "Change the permission of a topic",
    options: &[
        may('b', "brokerAddr", "on this broker only, which must be a master"),
        may('c', "clusterName", "on all masters of this cluster"),
        must('t', "topic", "topic name"),
        must('p', "perm", "2 write only, 4 read only, 6 both"),
    ],
    target: Target::Either,
    shows: false,
    example: "-b 127.0.0.1:10911 -t orders -p 4",
    run: |s, g| Box::pin(update_topic_perm(s, g)),
};

pub(super) const TOPIC_ROUTE: Command = Command {
    name: "topicRoute",
    about: "Show which brokers serve a topic",
    options: &[must('t', "topic", "topic name")],
    target: Target::Free,
    shows: true,
    example: "-t orders",
    run: |s, g| Box::pin(topic_route(s, g)),
};

pub(super) const TOPIC_STATUS: Command = Command {
    name: "topicStatus",
    about: "Show the first and last offset of each queue of a topic",
    options: &[must('t', "topic", "topic name")],
    target: Target::Free,
    shows: true,
    example: "-t orders",
    run: |s, g| Box::pin(topic_status(s, g)),
};

pub(super) const TOPIC_CLUSTER_LIST: Command = Command {
    name: "topicClusterList",
    about: "Show in which clusters a topic is",
    options: &[must('t', "topic", "topic name")],
    target: Target::Free,
    shows: true,
    example: "-t orders",
    run: |s, g| Box::pin(topic_cluster_list(s, g)),
};

pub(super) const TOPIC_LIST: Command = Command {
    name: "topicList",
    about: "List all topics, with -c also their clusters and groups",
    options: &[flag('c', "clusterModel", "add cluster and consumer groups of each topic")],
    target: Target::Free,
    shows: true,
    example: "-c",
    run: |s, g| Box::pin(topic_list(s, g)),
};

pub(super) const UPDATE_ORDER_CONF: Command = Command {
    name: "updateOrderConf",
    about: "Read, write or delete the order configuration of a topic",
    options: &[
        must('t', "topic", "topic name"),
        may('v', "orderConf", "for put, as broker-a:8;broker-b:8"),
        must('m', "method", "get, put or delete"),
    ],
    target: Target::Free,
    shows: true,
    example: "-t orders -m put -v broker-a:8;broker-b:8",
    run: |s, g| Box::pin(update_order_conf(s, g)),
};

async fn update_topic(s: &Session, given: &Given) -> Result<(), Failure> {
    let flag_bit = |letter, bit| if given.truth(letter) == Some(true) { bit } else { 0 };
    let order = given.truth('o').unwrap_or(false);
    let topic = TopicConfig {
        topic_name: given.required('t')?.to_owned(),
        read_queue_nums: queues_of(given, 'r')?,
        write_queue_nums: queues_of(given, 'w')?,
        perm: given.maybe('p')?.map_or(Ok(PERM_READ_WRITE), legal_perm)?,
        topic_sys_flag: flag_bit('u', UNIT) | flag_bit('s', UNIT_SUB),
        order,
        ..TopicConfig::default()
    };
    for address in s.masters(given).await? {
        s.client.put_topic(&address, &topic).await?;
        s.out.line(format_args!("create topic to {address} success."));
    }
    if order {
        put_order_conf(s, given, &topic).await?;
    }
    s.out.line(text::topic_config(&topic));
    Ok(())
}

/// Most queues that a broker gives a topic.
const QUEUES_MAX: i32 = 65_536;

/// How many queues an option asks for. A topic without any takes and gives no message.
fn queues_of(given: &Given, letter: char) -> Result<i32, Failure> {
    let queues = given.maybe(letter)?.unwrap_or(QUEUES);
    if (1..=QUEUES_MAX).contains(&queues) {
        return Ok(queues);
    }
    Err(Failure::Usage(format!("Option -{letter} cannot be [{queues}]: a number from 1 to {QUEUES_MAX}")))
}

/// A permission with a meaning; the bit 1 is that of templates such as `TBW102`.
fn legal_perm(perm: i32) -> Result<i32, Failure> {
    if (0..=7).contains(&perm) {
        return Ok(perm);
    }
    Err(Failure::Usage(format!("Option -p cannot be [{perm}]: 2 (write), 4 (read), 6 (both) or 0 (neither)")))
}

async fn put_order_conf(s: &Session, given: &Given, topic: &TopicConfig) -> Result<(), Failure> {
    let queues = topic.write_queue_nums;
    if let Some(address) = given.get('b') {
        let name = broker_name_of(&s.client.cluster_info().await?, address)?;
        s.client.merge_order_conf(&topic.topic_name, &name, queues).await?;
        s.out.line(format_args!("set broker orderConf. isOrder=true, orderConf=[{name}:{queues}]"));
        warn_where_unserved(s).await;
        return Ok(());
    }
    let cluster = s.client.cluster(given.required('c')?).await?;
    let parts: Vec<String> = cluster.brokers.keys().map(|name| format!("{name}:{queues}")).collect();
    let conf = parts.join(";");
    s.client.put_kv(ORDER_NAMESPACE, &topic.topic_name, &conf).await?;
    s.out.line(format_args!("set cluster orderConf. isOrder=true, orderConf=[{conf}]"));
    warn_where_unserved(s).await;
    Ok(())
}

/// An order configuration that routes do not carry keeps no order, and nothing else tells.
async fn warn_where_unserved(s: &Session) {
    const KEY: &str = "orderMessageEnable";
    for address in s.client.name_servers() {
        // One that does not answer has failed the command already.
        let Ok(settings) = s.client.name_server_config(address).await else { continue };
        if !settings.iter().any(|(key, value)| key == KEY && value == "true") {
            super::output::complain(format_args!(
                "warning: {KEY} is not true at {address}, so its routes do not carry this; \
                 `mqadmin updateNamesrvConfig -k {KEY} -v true` changes that"
            ));
        }
    }
}

fn broker_name_of(info: &ClusterInfo, address: &str) -> Result<String, Failure> {
    let found = info.broker_addr_table.iter().find(|(_, broker)| broker.broker_addrs.values().any(|a| a == address));
    found
        .map(|(name, _)| name.clone())
        .ok_or_else(|| Failure::failed(format!("the name server knows no broker with the address [{address}]")))
}

async fn delete_topic(s: &Session, given: &Given) -> Result<(), Failure> {
    let topic: TopicName = name(given, 't', TopicName::parse)?;
    delete_everywhere(s, given.required('c')?, &topic).await
}

/// Deletes a topic at all brokers of a cluster, then its routes.
pub(super) async fn delete_everywhere(s: &Session, cluster: &str, topic: &TopicName) -> Result<(), Failure> {
    let brokers = s.client.cluster(cluster).await?;
    for (_, address) in brokers.addresses() {
        s.client.delete_topic(address, topic).await?;
    }
    s.out.line(format_args!("delete topic [{topic}] from cluster [{cluster}] success."));
    s.client.delete_topic_routes(topic.as_str()).await?;
    s.out.line(format_args!("delete topic [{topic}] from NameServer success."));
    Ok(())
}

async fn update_topic_perm(s: &Session, given: &Given) -> Result<(), Failure> {
    let topic_name = given.required('t')?;
    let perm = legal_perm(given.parsed('p')?)?;
    let route = s.client.route(topic_name).await?;
    let mut served = false;
    for address in s.masters(given).await? {
        // Each broker keeps its own numbers of queues.
        let Some(old) = queues_at_master(&route, &address) else { continue };
        served = true;
        if old.perm == perm {
            s.out.line("new perm equals to the old one!");
            continue;
        }
        let topic = TopicConfig {
            topic_name: topic_name.to_owned(),
            read_queue_nums: old.read_queue_nums,
            write_queue_nums: old.write_queue_nums,
            topic_sys_flag: old.topic_syn_flag,
            perm,
            ..TopicConfig::default()
        };
        s.client.put_topic(&address, &topic).await?;
        s.out.line(format_args!("update topic perm from {} to {perm} in {address} success.", old.perm));
        if given.flag('b') {
            s.out.line(format_args!("{}.", text::topic_config(&topic)));
        }
    }
    if served {
        return Ok(());
    }
    Err(Failure::failed("updateTopicPerm error broker not exit or broker is not master!."))
}

/// The topic's queues at the broker whose master has that address.
fn queues_at_master<'a>(route: &'a TopicRouteData, address: &str) -> Option<&'a QueueData> {
    let master = |b: &&BrokerData| master_of(b) == Some(address);
    let broker = route.broker_datas.iter().find(master)?;
    route.queue_datas.iter().find(|q| q.broker_name == broker.broker_name)
}

async fn topic_route(s: &Session, given: &Given) -> Result<(), Failure> {
    let route = s.client.route(given.required('t')?).await?;
    s.out.lines(&to_json_pretty(&route));
    s.out.json(&route);
    Ok(())
}

const STATUS_COLUMNS: &[Column] = &[
    left("#Broker Name", "brokerName", 32).cut(),
    left("#QID", "queueId", 4),
    left("#Min Offset", "minOffset", 20),
    left("#Max Offset", "maxOffset", 20),
    left("#Last Updated", "lastUpdateTimestamp", 0).gap(4),
];

async fn topic_status(s: &Session, given: &Given) -> Result<(), Failure> {
    let topic: TopicName = name(given, 't', TopicName::parse)?;
    let ranges = s.client.topic_stats(&topic).await?;
    if ranges.is_empty() {
        return Err(Failure::failed("Not found the topic stats info"));
    }
    let mut table = s.out.table(STATUS_COLUMNS);
    for (queue, range) in ranges {
        let at = range.last_update_timestamp;
        let updated = if at > 0 { time::to_millis(at) } else { String::new() };
        table.row([
            cell(queue.broker_name),
            cell(queue.queue_id),
            cell(range.min_offset),
            cell(range.max_offset),
            shown(updated, at),
        ]);
    }
    table.end();
    Ok(())
}

async fn topic_cluster_list(s: &Session, given: &Given) -> Result<(), Failure> {
    let info = s.client.cluster_info().await?;
    let route = s.client.route(given.required('t')?).await?;
    let clusters = clusters_of(&route, &info);
    for cluster in &clusters {
        s.out.line(cluster);
    }
    s.out.json(clusters);
    Ok(())
}

/// The clusters of the topic's first broker.
fn clusters_of<'a>(route: &TopicRouteData, info: &'a ClusterInfo) -> Vec<&'a str> {
    let Some(broker) = route.broker_datas.first() else { return Vec::new() };
    let holds = info.cluster_addr_table.iter().filter(|(_, names)| names.contains(&broker.broker_name));
    let mut clusters: Vec<&str> = holds.map(|(cluster, _)| cluster.as_str()).collect();
    clusters.sort_unstable();
    clusters
}

const LIST_COLUMNS: &[Column] = &[
    left("#Cluster Name", "clusterName", 20).cut(),
    left("#Topic", "topic", 48).cut(),
    left("#Consumer Group", "consumerGroup", 48).cut(),
];

async fn topic_list(s: &Session, given: &Given) -> Result<(), Failure> {
    let topics = s.client.topic_names().await?;
    if !given.flag('c') {
        for topic in &topics {
            s.out.line(topic);
        }
        s.out.json(topics);
        return Ok(());
    }
    let info = s.client.cluster_info().await?;
    let mut table = s.out.table(LIST_COLUMNS);
    let bar = Bar::printing("topics", topics.len());
    for topic in &topics {
        bar.done(1);
        if is_groups_own(topic) {
            continue;
        }
        // A topic without a route, or a broker that does not answer, leaves its columns empty.
        let (cluster, mut groups) = describe(s, topic, &info).await.unwrap_or_default();
        if groups.is_empty() {
            groups.push(String::new());
        }
        for group in groups {
            let told = (!group.is_empty()).then(|| group.clone());
            table.row([cell(&cluster), cell(topic), shown(group, told)]);
        }
        if s.out.is_closed() {
            break;
        }
    }
    table.end();
    Ok(())
}

async fn describe(s: &Session, topic: &str, info: &ClusterInfo) -> Result<(String, Vec<String>), ClientError> {
    let route = s.client.route(topic).await?;
    let cluster = clusters_of(&route, info).first().map_or_else(String::new, |&c| c.to_owned());
    let reachable = route.broker_datas.first().and_then(address_of).is_some();
    let groups = if reachable {
        s.client.groups_of_topic(&TopicName::parse(topic)?).await.unwrap_or_default()
    } else {
        Vec::new()
    };
    Ok((cluster, groups))
}

/// Whether a topic is one of those that every group has of its own.
pub(super) fn is_groups_own(topic: &str) -> bool {
    topic.starts_with(RETRY_PREFIX) || topic.starts_with(DLQ_PREFIX)
}

/// The group whose retry topic this is.
pub(super) fn group_of_retry(topic: &str) -> Option<GroupName> {
    topic.strip_prefix(RETRY_PREFIX).and_then(|group| GroupName::parse(group).ok())
}

async fn update_order_conf(s: &Session, given: &Given) -> Result<(), Failure> {
    let topic = given.required('t')?;
    match given.required('m')? {
        "get" => {
            let conf = s.client.get_kv(ORDER_NAMESPACE, topic).await?;
            s.out.line(format_args!("get orderConf success. topic=[{topic}], orderConf=[{conf}]"));
            s.out.json(json!({"topic": topic, "orderConf": conf}));
        }
        "put" => {
            let conf = given.get('v').filter(|conf| !conf.is_empty());
            let conf = conf.ok_or_else(|| Failure::Usage("please set orderConf with option -v.".to_owned()))?;
            s.client.put_kv(ORDER_NAMESPACE, topic, conf).await?;
            s.out.line(format_args!("update orderConf success. topic=[{topic}], orderConf=[{conf}]"));
            s.out.json(json!({"topic": topic, "orderConf": conf}));
            warn_where_unserved(s).await;
        }
        "delete" => {
            s.client.delete_kv(ORDER_NAMESPACE, topic).await?;
            s.out.line(format_args!("delete orderConf success. topic=[{topic}]"));
            s.out.json(json!({"topic": topic, "orderConf": null}));
        }
        other => return Err(Failure::Usage(format!("the method is get, put or delete, not [{other}]"))),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_master_has_its_own_queues() {
        let broker = |name: &str, id: i64, address: &str| BrokerData {
            broker_name: name.to_owned(),
            cluster: "C".to_owned(),
            broker_addrs: [(id, address.to_owned())].into(),
        };
        let queues = |name: &str, count: i32| QueueData {
            broker_name: name.to_owned(),
            read_queue_nums: count,
            ..QueueData::default()
        };
        let route = TopicRouteData {
            broker_datas: vec![broker("a", 0, "1"), broker("b", 0, "2"), broker("c", 1, "3")],
            queue_datas: vec![queues("a", 4), queues("b", 16), queues("c", 8)],
            ..TopicRouteData::default()
        };
        let count = |address: &str| queues_at_master(&route, address).map(|q| q.read_queue_nums);
        assert_eq!((count("1"), count("2"), count("3")), (Some(4), Some(16), None), "c has only a slave");
    }
}
