//! Rules about topics: can clients write to them and read from them?

use kerolox_wire::body::TopicRouteData;

use super::{Facts, Findings};
use crate::route::{readable_queues, writable_queues};

const RETRY: &str = "%RETRY%";
const DEAD_LETTERS: &str = "%DLQ%";

pub(super) fn judge(facts: &Facts, findings: &mut Findings) {
    for topic in &facts.topics {
        let subject = format!("topic {}", topic.name);
        match &topic.route {
            Ok(route) => one(&subject, &topic.name, route, findings),
            Err(why) => findings.error(
                &subject,
                format!("is listed but has no route: {why}"),
                format!("mqadmin deleteTopic -t {0} -c CLUSTER, or mqadmin updateTopic -t {0} -c CLUSTER", topic.name),
            ),
        }
    }
    if facts.topics_left_out > 0 {
        let what = format!("{} topics more than are looked at here", facts.topics_left_out);
        findings.note("topics", what, "mqadmin topicRoute -t TOPIC shows one");
    }
}

fn one(subject: &str, name: &str, route: &TopicRouteData, findings: &mut Findings) {
    for queues in &route.queue_datas {
        if !route.broker_datas.iter().any(|broker| broker.broker_name == queues.broker_name) {
            let what = format!("has queues at {}, whose address nobody knows", queues.broker_name);
            findings.error(subject, what, format!("start the broker {} again", queues.broker_name));
        }
    }
    // The dead letters of a group may be written only, until somebody wants to read them.
    if !name.starts_with(DEAD_LETTERS) && readable_queues(name, route).is_empty() {
        let remedy = format!("mqadmin updateTopicPerm -t {name} -c CLUSTER -p 6");
        findings.error(subject, "has no queue that may be read", remedy);
    }
    if writable_queues(name, route).is_empty() {
        order_or_permission(subject, name, route, findings);
    }
    if !name.starts_with(RETRY) {
        uneven(subject, name, route, findings);
    }
}

fn order_or_permission(subject: &str, name: &str, route: &TopicRouteData, findings: &mut Findings) {
    let what = "has no queue that may be written: the permission is off or no master is there";
    if route.order_topic_conf.as_deref().is_some_and(|conf| !conf.trim().is_empty()) {
        let what = "has an order configuration that names no queue";
        findings.error(subject, what, format!("mqadmin updateOrderConf -t {name} -m put -v BROKER:QUEUES"));
        return;
    }
    let remedy = format!(
        "start the master; or mqadmin addWritePerm -b BROKER after a wipeWritePerm; or mqadmin updateTopicPerm -t {name} \
         -c CLUSTER -p 6"
    );
    findings.error(subject, what, remedy);
}

/// Queues that are written and not read hold messages that nobody gets.
fn uneven(subject: &str, name: &str, route: &TopicRouteData, findings: &mut Findings) {
    for queues in route.queue_datas.iter().filter(|queues| queues.write_queue_nums > queues.read_queue_nums) {
        let (write, read) = (queues.write_queue_nums, queues.read_queue_nums);
        let what =
            format!("has {write} queues to write but {read} to read at {}: some are not read", queues.broker_name);
        let remedy = format!("mqadmin updateTopic -t {name} -c CLUSTER -r {write} -w {write}");
        findings.warning(subject, what, remedy);
    }
}
