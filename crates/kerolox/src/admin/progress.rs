//! How far groups have come.

use std::collections::BTreeMap;

use kerolox_client::{ClientError, GroupProgress, MessageQueue};
use kerolox_wire::body::{ConsumeType, ConsumerConnection};
use kerolox_wire::names::GroupName;
use kerolox_wire::response::ResponseCode;

use serde_json::json;

use super::bar::Bar;
use super::command::{Command, Target, may};
use super::failure::Failure;
use super::options::Given;
use super::output::{Cell, Column, cell, left, shown};
use super::session::Session;
use super::topic::group_of_retry;
use super::{group, name, text, time};

pub(super) const CONSUMER_PROGRESS: Command = Command {
    name: "consumerProgress",
    about: "Show how far a group has come in each queue, or all groups in one line each",
    options: &[
        may('g', "groupName", "consumer group; all if not given"),
        may('s', "showClientIP", "true: show which client has each queue"),
    ],
    target: Target::Free,
    shows: true,
    example: "-g billing",
    run: |s, g| Box::pin(consumer_progress(s, g)),
};

const QUEUE_COLUMNS: &[Column] = &[
    left("#Topic", "topic", 32).cut(),
    left("#Broker Name", "brokerName", 32).cut(),
    left("#QID", "queueId", 4),
    left("#Broker Offset", "brokerOffset", 20),
    left("#Consumer Offset", "consumerOffset", 20),
    left("#Client IP", "clientIp", 20),
    left("#Diff", "diff", 20).gap(1),
    left("#LastTime", "lastTimestamp", 0),
];

const GROUP_COLUMNS: &[Column] = &[
    left("#Group", "consumerGroup", 32).cut(),
    left("#Count", "count", 6),
    left("#Version", "version", 24),
    left("#Type", "type", 5).gap(1),
    left("#Model", "model", 14),
    left("#TPS", "consumeTps", 7),
    left("#Diff Total", "diffTotal", 0),
];

async fn consumer_progress(s: &Session, given: &Given) -> Result<(), Failure> {
    if given.flag('g') {
        let group: GroupName = name(given, 'g', GroupName::parse)?;
        return one_group(s, &group, given.truth('s') == Some(true)).await;
    }
    let mut table = s.out.table(GROUP_COLUMNS);
    let topics = s.client.topic_names().await?;
    let bar = Bar::printing("topics", topics.len());
    for topic in topics {
        bar.done(1);
        let Some(group) = group_of_retry(&topic) else { continue };
        // A group that never consumed, or that nobody is connected for, is a line too.
        let progress = s.client.progress(&group, None).await.unwrap_or_default();
        let connection = s.client.consumer_connection(&group).await.ok();
        table.row(group_row(&group, &progress, connection.as_ref()));
        if s.out.is_closed() {
            break;
        }
    }
    table.end();
    Ok(())
}

async fn one_group(s: &Session, group: &GroupName, show_clients: bool) -> Result<(), Failure> {
    let progress = progress_of(s, group).await?;
    let clients = if show_clients { clients_of_queues(s, group).await } else { BTreeMap::new() };
    let mut table = s.out.table(QUEUE_COLUMNS);
    for (queue, at) in &progress.queues {
        let diff = at.diff();
        let last = if at.last_timestamp == 0 { "N/A".to_owned() } else { time::to_seconds(at.last_timestamp) };
        let client = clients.get(queue);
        table.row([
            cell(&queue.topic),
            cell(&queue.broker_name),
            cell(queue.queue_id),
            cell(at.broker_offset),
            cell(at.consumer_offset),
            shown(client.map_or("N/A", String::as_str), client),
            cell(diff),
            shown(last, at.last_timestamp),
        ]);
    }
    s.out.line("");
    s.out.line(format_args!("Consume TPS: {:.2}", progress.tps));
    s.out.line(format_args!("Diff Total: {}", progress.lag()));
    let queues = table.into_rows();
    s.out.json(json!({"queues": queues, "consumeTps": progress.tps, "diffTotal": progress.lag()}));
    Ok(())
}

/// How far a group has come: nowhere, when it is there and has not consumed.
async fn progress_of(s: &Session, group: &GroupName) -> Result<GroupProgress, Failure> {
    let why = match s.client.progress(group, None).await {
        Ok(progress) => return Ok(progress),
        Err(why) => why,
    };
    if is_unused(&why) && group::is_there(s, group).await? {
        return Ok(GroupProgress::default());
    }
    Err(why.into())
}

/// Whether a group has nothing to tell: it has no retry topic before its first consumer, and then no offsets yet.
fn is_unused(why: &ClientError) -> bool {
    why.is(ResponseCode::TOPIC_NOT_EXIST) || why.is(ResponseCode::CONSUMER_NOT_ONLINE)
}

/// Which client has which queue, as far as clients say.
async fn clients_of_queues(s: &Session, group: &GroupName) -> BTreeMap<MessageQueue, String> {
    let mut clients = BTreeMap::new();
    let Ok(connection) = s.client.consumer_connection(group).await else { return clients };
    for client in connection.connection_set {
        let Ok(info) = s.client.consumer_running_info(group, &client.client_id, false).await else { continue };
        let ip = client.client_id.split('@').next().unwrap_or_default();
        clients.extend(info.mq_table.0.into_iter().map(|(queue, _)| (queue, ip.to_owned())));
    }
    clients
}

fn group_row(group: &GroupName, progress: &GroupProgress, connection: Option<&ConsumerConnection>) -> [Cell; 7] {
    let count = connection.map_or(0, |c| c.connection_set.len());
    let (mut version, mut kind, mut model) = ("OFFLINE".to_owned(), "", "");
    if let Some(connection) = connection.filter(|_| count > 0) {
        let least = connection.connection_set.iter().map(|c| c.version).min().unwrap_or(0);
        version = text::version(least);
        (kind, model) = match connection.consume_type {
            ConsumeType::Actively => ("PULL", ""),
            _ => ("PUSH", connection.message_model.name().unwrap_or("")),
        };
    }
    // Whole messages per second.
    let tps = progress.tps.trunc();
    let told = |text: &'static str| (!text.is_empty()).then_some(text);
    [
        cell(group.as_str()),
        cell(count),
        cell(version),
        shown(kind, told(kind)),
        shown(model, told(model)),
        shown(tps.to_string(), progress.tps),
        cell(progress.lag()),
    ]
}

#[cfg(test)]
mod tests {
    use super::super::output::line_of;
    use super::*;
    use kerolox_wire::body::{Connection, MessageModel};

    #[test]
    fn a_group_is_one_line() {
        let group = GroupName::parse("billing").unwrap();
        let progress = GroupProgress { tps: 2.7, queues: Vec::new() };
        let offline = line_of(GROUP_COLUMNS, &group_row(&group, &progress, None));
        assert_eq!(offline, format!("{:<32}  0       {:<24} {:5}  {:14}  2        0", "billing", "OFFLINE", "", ""));
        let member = Connection { version: 355, ..Connection::default() };
        let connection = ConsumerConnection {
            connection_set: vec![member],
            consume_type: ConsumeType::Passively,
            message_model: MessageModel::Clustering,
            ..ConsumerConnection::default()
        };
        let online = line_of(GROUP_COLUMNS, &group_row(&group, &progress, Some(&connection)));
        assert!(online.contains("  1       V4_7_1 "), "{online}");
        assert!(online.contains(" PUSH   CLUSTERING      2        0"), "{online}");
    }
}
