//! Commands about consumer groups and their offsets.

use kerolox_client::route::MASTER_ID;
use kerolox_client::{MessageQueue, Reset, Rollback};
use kerolox_wire::body::SubscriptionGroupConfig;
use kerolox_wire::frame::Language;
use kerolox_wire::names::{GroupName, TopicName};

use serde_json::json;

use super::bar::Bar;
use super::command::{Command, Target, flag, may, must};
use super::failure::Failure;
use super::options::Given;
use super::output::{Cell, Column, cell, left, shown};
use super::session::Session;
use super::{name, text, time, topic};

pub(super) const UPDATE_SUB_GROUP: Command = Command {
    name: "updateSubGroup",
    about: "Create a consumer group or change its settings",
    options: &[
        may('b', "brokerAddr", "on this broker only"),
        may('c', "clusterName", "on all masters of this cluster"),
        must('g', "groupName", "group name"),
        may('s', "consumeEnable", "false: the group may not consume"),
        may('m', "consumeFromMinEnable", "true: a new member may begin at the first message"),
        may('d', "consumeBroadcastEnable", "true: broadcasting is allowed"),
        may('q', "retryQueueNums", "queues of the retry topic, 1 if not given"),
        may('r', "retryMaxTimes", "tries before a message goes to the dead letters, 16 if not given"),
        may('i', "brokerId", "id of the broker to read from, 0 if not given"),
        may('w', "whichBrokerWhenConsumeSlowly", "id to read from while behind, 1 if not given"),
        may('a', "notifyConsumerIdsChanged", "false: do not tell members when the group changes"),
    ],
    target: Target::Either,
    shows: false,
    example: "-c DefaultCluster -g billing -r 5",
    run: |s, g| Box::pin(update_sub_group(s, g)),
};

pub(super) const DELETE_SUB_GROUP: Command = Command {
    name: "deleteSubGroup",
    about: "Delete a consumer group, with -c also its retry and dead letter topics",
    options: &[
        may('b', "brokerAddr", "on this broker only"),
        may('c', "clusterName", "on all masters of this cluster"),
        must('g', "groupName", "group name"),
    ],
    target: Target::Either,
    shows: false,
    example: "-c DefaultCluster -g billing",
    run: |s, g| Box::pin(delete_sub_group(s, g)),
};

pub(super) const CLONE_GROUP_OFFSET: Command = Command {
    name: "cloneGroupOffset",
    about: "Set a group to where another group stands",
    options: &[
        must('s', "srcGroup", "group to copy from"),
        must('d', "destGroup", "group to copy to"),
        must('t', "topic", "topic name"),
        may('o', "offline", "accepted for compatibility, without effect"),
    ],
    target: Target::Free,
    shows: false,
    example: "-s billing -d billing-v2 -t orders",
    run: |s, g| Box::pin(clone_group_offset(s, g)),
};

pub(super) const RESET_OFFSET_BY_TIME: Command = Command {
    name: "resetOffsetByTime",
    about: "Set a group to a store time, without restarting its consumers",
    options: &[
        must('g', "group", "group name"),
        must('t', "topic", "topic name"),
        must('s', "timestamp", "now, -1 for the end, milliseconds, or yyyy-MM-dd#HH:mm:ss:SSS"),
        may('f', "force", "false: only go back, never forward"),
        flag('c', "cplus", "for C++ consumers"),
    ],
    target: Target::Free,
    shows: true,
    example: "-g billing -t orders -s 2026-11-25#08:00:00:000",
    run: |s, g| Box::pin(reset_offset_by_time(s, g)),
};

async fn update_sub_group(s: &Session, given: &Given) -> Result<(), Failure> {
    let defaults = SubscriptionGroupConfig::default();
    let group = SubscriptionGroupConfig {
        group_name: given.required('g')?.to_owned(),
        consume_enable: given.truth('s').unwrap_or(defaults.consume_enable),
        // The tool's own defaults, other than the broker's: what is not asked for is switched off.
        consume_from_min_enable: given.truth('m').unwrap_or(false),
        consume_broadcast_enable: given.truth('d').unwrap_or(false),
        retry_queue_nums: given.maybe('q')?.unwrap_or(defaults.retry_queue_nums),
        retry_max_times: given.maybe('r')?.unwrap_or(defaults.retry_max_times),
        broker_id: given.maybe('i')?.unwrap_or(defaults.broker_id),
        which_broker_when_consume_slowly: given.maybe('w')?.unwrap_or(defaults.which_broker_when_consume_slowly),
        notify_consumer_ids_changed_enable: given.truth('a').unwrap_or(defaults.notify_consumer_ids_changed_enable),
    };
    for address in s.masters(given).await? {
        s.client.put_group(&address, &group).await?;
        s.out.line(format_args!("create subscription group to {address} success."));
    }
    s.out.line(text::group_config(&group));
    Ok(())
}

/// Whether any master has the group in its table.
pub(super) async fn is_there(s: &Session, group: &GroupName) -> Result<bool, Failure> {
    let brokers = s.client.cluster_info().await?.broker_addr_table;
    for address in brokers.values().filter_map(|broker| broker.broker_addrs.get(&MASTER_ID)) {
        if has_group(s, address, group).await? {
            return Ok(true);
        }
    }
    Ok(false)
}

async fn has_group(s: &Session, address: &str, group: &GroupName) -> Result<bool, Failure> {
    Ok(s.client.groups_of(address).await?.subscription_group_table.contains_key(group.as_str()))
}

async fn delete_sub_group(s: &Session, given: &Given) -> Result<(), Failure> {
    let group: GroupName = name(given, 'g', GroupName::parse)?;
    let brokers = s.masters(given).await?;
    let mut found = false;
    for address in &brokers {
        found |= has_group(s, address, &group).await?;
    }
    if !found {
        return Err(Failure::failed(format!("there is no group [{group}] at {}", brokers.join(", "))));
    }
    if let Some(address) = given.get('b') {
        s.client.delete_group(address, &group).await?;
        s.out.line(format_args!("delete subscription group [{group}] from broker [{address}] success."));
        return Ok(());
    }
    let cluster = given.required('c')?;
    for address in brokers {
        s.client.delete_group(&address, &group).await?;
        s.out.line(format_args!(
            "delete subscription group [{group}] from broker [{address}] in cluster [{cluster}] success."
        ));
    }
    for own in [TopicName::retry_of(&group), TopicName::dlq_of(&group)] {
        // A group whose name is too long for a topic has none.
        let Ok(own) = own else { continue };
        topic::delete_everywhere(s, cluster, &own).await?;
    }
    Ok(())
}

async fn clone_group_offset(s: &Session, given: &Given) -> Result<(), Failure> {
    let from: GroupName = name(given, 's', GroupName::parse)?;
    let to: GroupName = name(given, 'd', GroupName::parse)?;
    let topic: TopicName = name(given, 't', TopicName::parse)?;
    let progress = s.client.progress(&from, Some(&topic)).await?;
    let bar = Bar::silent("queues", progress.queues.len());
    for (queue, at) in &progress.queues {
        let address = s.client.broker_of_topic(topic.as_str(), &queue.broker_name).await?;
        if at.consumer_offset >= 0 {
            s.client.put_offset(&address, &to, queue, at.consumer_offset).await?;
        }
        bar.done(1);
    }
    drop(bar);
    s.out.line(format_args!("clone group offset success. srcGroup[{from}], destGroup=[{to}], topic[{topic}]"));
    Ok(())
}

const TOLD_COLUMNS: &[Column] =
    &[left("#brokerName", "brokerName", 40), left("#queueId", "queueId", 40), left("#offset", "offset", 40)];

const STORED_COLUMNS: &[Column] = &[
    left("#brokerName", "brokerName", 20),
    left("#queueId", "queueId", 20),
    left("#brokerOffset", "brokerOffset", 20),
    left("#consumerOffset", "consumerOffset", 20),
    left("#timestampOffset", "timestampOffset", 20),
    left("#rollbackOffset", "offset", 20),
];

async fn reset_offset_by_time(s: &Session, given: &Given) -> Result<(), Failure> {
    let group: GroupName = name(given, 'g', GroupName::parse)?;
    let topic: TopicName = name(given, 't', TopicName::parse)?;
    let typed = given.required('s')?;
    let timestamp = if typed == "now" { s.now_ms() } else { time::parse(typed)? };
    let force = given.truth('f').unwrap_or(true);
    let language = if given.flag('c') { Language::CPP } else { Language::JAVA };
    let reset = s.client.reset_offset(&group, &topic, timestamp, force, language).await?;
    let what = match &reset {
        Reset::Told(_) => format!("group[{group}]"),
        Reset::Stored(_) => format!("consumerGroup[{group}]"),
    };
    s.out.line(format_args!(
        "rollback consumer offset by specified {what}, topic[{topic}], force[{force}], timestamp(string)[{typed}], \
         timestamp(long)[{timestamp}]"
    ));
    let online = matches!(reset, Reset::Told(_));
    let queues = match reset {
        Reset::Told(places) => {
            let mut table = s.out.table(TOLD_COLUMNS);
            for (queue, offset) in places {
                table.row([broker(&queue), cell(queue.queue_id), cell(offset)]);
            }
            table.into_rows()
        }
        Reset::Stored(rollbacks) => {
            let mut table = s.out.table(STORED_COLUMNS);
            for rollback in rollbacks {
                table.row(stored_row(&rollback));
            }
            table.into_rows()
        }
    };
    s.out.json(json!({
        "consumerGroup": group.as_str(),
        "topic": topic.as_str(),
        "force": force,
        "timestamp": timestamp,
        "consumersOnline": online,
        "queues": queues,
    }));
    Ok(())
}

fn stored_row(rollback: &Rollback) -> [Cell; 6] {
    [
        broker(&rollback.queue),
        cell(rollback.queue.queue_id),
        cell(rollback.broker_offset),
        cell(rollback.consumer_offset),
        cell(rollback.timestamp_offset),
        cell(rollback.rollback_offset),
    ]
}

/// Names are cut at 32 characters here, though the columns are of other widths.
fn broker(queue: &MessageQueue) -> Cell {
    shown(queue.broker_name.chars().take(32).collect::<String>(), &queue.broker_name)
}
