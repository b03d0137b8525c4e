//! Commands about queues: what is in them, and how they are shared.

use std::collections::BTreeMap;

use kerolox_client::MessageQueue;
use kerolox_client::allocate::evenly;
use kerolox_client::route::{master_of, readable_queues};
use kerolox_wire::body::{ConsumeQueueUnit, Style, to_json, to_json_pretty};
use kerolox_wire::command::admin::QueryConsumeQueue;
use kerolox_wire::names::{GroupName, TopicName};
use serde::Serialize;
use serde_json::{Value, json};

use super::command::{Command, Target, may, must};
use super::failure::Failure;
use super::name;
use super::options::Given;
use super::session::Session;
use super::text::or_null;

pub(super) const ALLOCATE_MQ: Command = Command {
    name: "allocateMQ",
    about: "Show how clients would share the queues of a topic",
    options: &[must('t', "topic", "topic name"), must('i', "ipList", "client addresses, with commas")],
    target: Target::Free,
    shows: true,
    example: "-t orders -i 10.0.0.1,10.0.0.2",
    run: |s, g| Box::pin(allocate_mq(s, g)),
};

pub(super) const QUERY_CQ: Command = Command {
    name: "queryCq",
    about: "Show the units of a queue as they are stored",
    options: &[
        must('t', "topic", "topic name"),
        must('q', "queue", "queue"),
        must('i', "index", "first unit"),
        may('c', "count", "how many, 10 if not given"),
        may('b', "broker", "broker address; the topic's first if not given"),
        may('g', "consumer", "apply the subscription of this group"),
    ],
    target: Target::Free,
    shows: true,
    example: "-t orders -q 0 -i 0 -c 5 -b 127.0.0.1:10911",
    run: |s, g| Box::pin(query_cq(s, g)),
};

/// Units shown unless told otherwise.
const UNITS: i32 = 10;
const RULE: &str = "======================================";

#[derive(Serialize)]
struct Shares<'a> {
    result: BTreeMap<&'a str, &'a [MessageQueue]>,
}

async fn allocate_mq(s: &Session, given: &Given) -> Result<(), Failure> {
    let topic = given.required('t')?;
    let route = s.client.route(topic).await?;
    let queues = readable_queues(topic, &route);
    let clients: Vec<&str> = given.required('i')?.split(',').map(str::trim).filter(|c| !c.is_empty()).collect();
    let shares = shares(&queues, &clients);
    s.out.line(String::from_utf8_lossy(&to_json(&shares, Style::Fastjson)));
    s.out.json(shares.result);
    Ok(())
}

fn shares<'a>(queues: &'a [MessageQueue], clients: &[&'a str]) -> Shares<'a> {
    let share = |(i, &client)| (client, evenly(queues, clients.len(), i));
    Shares { result: clients.iter().enumerate().map(share).collect() }
}

async fn query_cq(s: &Session, given: &Given) -> Result<(), Failure> {
    let topic: TopicName = name(given, 't', TopicName::parse)?;
    let group = if given.flag('g') { Some(name(given, 'g', GroupName::parse)?) } else { None };
    let broker = match given.get('b').filter(|address| !address.is_empty()) {
        Some(address) => address.to_owned(),
        None => {
            let route = s.client.route(topic.as_str()).await?;
            let master = route.broker_datas.iter().find_map(master_of);
            master.ok_or_else(|| Failure::failed("No topic route data!"))?.to_owned()
        }
    };
    let request = QueryConsumeQueue {
        topic,
        queue_id: given.parsed('q')?,
        index: given.parsed('i')?,
        count: given.maybe('c')?.unwrap_or(UNITS),
        consumer_group: group,
    };
    let units = s.client.queue_units(&broker, &request).await?;
    if let Some(subscription) = &units.subscription_data {
        s.out.lines(&format!("Subscription data: \n{}\n{RULE}", to_json_pretty(subscription)));
    }
    if let Some(filter) = &units.filter_data {
        s.out.line("Filter data: ");
        s.out.line(filter);
        s.out.line(RULE);
    }
    s.out.lines(&format!("Queue data: \nmax: {}, min: {}\n{RULE}", units.max_queue_index, units.min_queue_index));
    for (index, unit) in (request.index..).zip(&units.queue_data) {
        s.out.line(format_args!("idx: {index}"));
        s.out.line(unit_text(unit));
        s.out.line(RULE);
    }
    let queue_data = (request.index..).zip(&units.queue_data).map(|(index, unit)| unit_object(index, unit));
    s.out.json(json!({
        "minQueueIndex": units.min_queue_index,
        "maxQueueIndex": units.max_queue_index,
        "subscriptionData": units.subscription_data,
        "filterData": units.filter_data,
        "queueData": queue_data.collect::<Vec<_>>(),
    }));
    Ok(())
}

fn unit_object(index: i64, unit: &ConsumeQueueUnit) -> Value {
    let mut object = json!(unit);
    object["index"] = index.into();
    object
}

fn unit_text(unit: &ConsumeQueueUnit) -> String {
    format!(
        "ConsumeQueueData{{physicOffset={}, physicSize={}, tagsCode={}, extendDataJson='{}', bitMap='{}', eval={}, \
         msg='{}'}}",
        unit.physic_offset,
        unit.physic_size,
        unit.tags_code,
        or_null(unit.extend_data_json.as_deref()),
        or_null(unit.bit_map.as_deref()),
        unit.eval,
        or_null(unit.msg.as_deref())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_one_line_of_json() {
        let queue = |queue_id| MessageQueue { topic: "T".to_owned(), broker_name: "b".to_owned(), queue_id };
        let queues = [queue(0), queue(1), queue(2)];
        let text = to_json(&shares(&queues, &["10.0.0.1", "10.0.0.2"]), Style::Fastjson);
        let unit = |id| format!("{{\"brokerName\":\"b\",\"queueId\":{id},\"topic\":\"T\"}}");
        let expected = format!("{{\"result\":{{\"10.0.0.1\":[{},{}],\"10.0.0.2\":[{}]}}}}", unit(0), unit(1), unit(2));
        assert_eq!(String::from_utf8(text).unwrap(), expected);
    }

    #[test]
    fn a_unit_prints_what_is_absent_as_null() {
        let unit = ConsumeQueueUnit { physic_size: 215, tags_code: 2_598_919, ..ConsumeQueueUnit::default() };
        assert_eq!(
            unit_text(&unit),
            "ConsumeQueueData{physicOffset=0, physicSize=215, tagsCode=2598919, extendDataJson='null', \
             bitMap='null', eval=false, msg='null'}"
        );
    }
}
