//! Rates and lags over many topics and groups.

use std::time::Duration;

use kerolox_client::route::master_of;
use kerolox_client::{ClientError, GROUP_GET_NUMS, TOPIC_PUT_NUMS};
use kerolox_wire::body::{BrokerStatsData, ConsumeStats};
use kerolox_wire::names::{GroupName, TopicName};

use serde_json::json;

use super::bar::Bar;
use super::command::{Command, Target, flag, may, must};
use super::failure::Failure;
use super::options::Given;
use super::output::{Column, Table, cell, left, right, shown, two_digits};
use super::session::Session;
use super::time;
use super::topic::is_groups_own;

/// How long the lag of all groups may take to come.
const CONSUME_STATS_TIMEOUT_MS: u64 = 50_000;

pub(super) const BROKER_CONSUME_STATS: Command = Command {
    name: "brokerConsumeStats",
    about: "Show the lag of all groups on a broker",
    options: &[
        must('b', "brokerAddr", "broker to ask"),
        may('t', "timeoutMillis", "how long to wait, 50000 if not given"),
        may('l', "level", "only queues with at least this lag"),
        may('o', "order", "true: only ordered topics"),
    ],
    target: Target::Free,
    shows: true,
    example: "-b 127.0.0.1:10911 -l 100",
    run: |s, g| Box::pin(broker_consume_stats(s, g)),
};

pub(super) const STATS_ALL: Command = Command {
    name: "statsAll",
    about: "Show rates and lag of each topic and its groups",
    options: &[flag('a', "activeTopic", "only topics with messages today"), may('t', "topic", "only this topic")],
    target: Target::Free,
    shows: true,
    example: "-t orders",
    run: |s, g| Box::pin(stats_all(s, g)),
};

const LAG_COLUMNS: &[Column] = &[
    left("#Topic", "topic", 32).cut(),
    left("#Group", "consumerGroup", 32),
    left("#Broker Name", "brokerName", 32).cut(),
    left("#QID", "queueId", 4),
    left("#Broker Offset", "brokerOffset", 20),
    left("#Consumer Offset", "consumerOffset", 20),
    left("#Diff", "diff", 20),
    left("#LastTime", "lastTimestamp", 0),
];

async fn broker_consume_stats(s: &Session, given: &Given) -> Result<(), Failure> {
    let ordered = given.truth('o').unwrap_or(false);
    let timeout = Duration::from_millis(given.maybe('t')?.unwrap_or(CONSUME_STATS_TIMEOUT_MS));
    let least: i64 = given.maybe('l')?.unwrap_or(0);
    let stats = s.client.broker_consume_stats(given.required('b')?, ordered, timeout).await?;
    let mut table = s.out.table(LAG_COLUMNS);
    for (group, parts) in stats.consume_stats_list.iter().flatten() {
        for part in parts {
            show_lag(&mut table, group, part, least);
        }
    }
    s.out.line("");
    s.out.line(format_args!("Diff Total: {}", stats.total_diff));
    s.out.json(json!({"queues": table.into_rows(), "diffTotal": stats.total_diff}));
    Ok(())
}

fn show_lag(table: &mut Table<'_>, group: &str, stats: &ConsumeStats, least: i64) {
    let mut queues: Vec<_> = stats.offset_table.iter().collect();
    queues.sort_by(|a, b| a.0.cmp(&b.0));
    for (queue, at) in queues {
        let diff = at.diff();
        // A queue from which nothing was consumed yet has no time.
        if diff < least || at.last_timestamp <= 0 {
            continue;
        }
        table.row([
            cell(&queue.topic),
            cell(group),
            cell(&queue.broker_name),
            cell(queue.queue_id),
            cell(at.broker_offset),
            cell(at.consumer_offset),
            cell(diff),
            shown(time::to_seconds(at.last_timestamp), at.last_timestamp),
        ]);
    }
}

const ALL_COLUMNS: &[Column] = &[
    left("#Topic", "topic", 32).cut(),
    left("#Consumer Group", "consumerGroup", 32).cut(),
    right("#Accumulation", "accumulation", 12),
    right("#InTPS", "inTps", 11),
    right("#OutTPS", "outTps", 11),
    right("#InMsg24Hour", "inMsg24Hour", 14),
    right("#OutMsg24Hour", "outMsg24Hour", 14),
];

/// Messages per second now, and in the last 24 hours.
#[derive(Clone, Copy, Default)]
struct Rate {
    tps: f64,
    day: i64,
}

async fn stats_all(s: &Session, given: &Given) -> Result<(), Failure> {
    let topics = s.client.topic_names().await?;
    let mut table = s.out.table(ALL_COLUMNS);
    let wanted = given.get('t').filter(|topic| !topic.is_empty());
    if let Some(wanted) = wanted
        && !topics.iter().any(|topic| topic == wanted)
    {
        return Err(Failure::failed(format!("the name server knows no topic [{wanted}]")));
    }
    let bar = Bar::printing("topics", topics.len());
    for topic in &topics {
        bar.done(1);
        if is_groups_own(topic) {
            continue;
        }
        if wanted.is_none_or(|wanted| wanted == topic) {
            // Topics that no broker serves now are passed over, unless one was asked for by name.
            match topic_rows(s, &mut table, topic, given.flag('a')).await {
                Err(why) if wanted.is_some() => return Err(why.into()),
                _ => {}
            }
        }
        if s.out.is_closed() {
            break;
        }
    }
    table.end();
    Ok(())
}

async fn topic_rows(
    s: &Session,
    table: &mut Table<'_>,
    topic_name: &str,
    active_only: bool,
) -> Result<(), ClientError> {
    let topic = TopicName::parse(topic_name)?;
    let route = s.client.route(topic_name).await?;
    let masters: Vec<&str> = route.broker_datas.iter().filter_map(master_of).collect();
    let groups = s.client.groups_of_topic(&topic).await?;
    let sent = rate(s, &masters, TOPIC_PUT_NUMS, topic_name).await;
    if groups.is_empty() && (!active_only || sent.day > 0) {
        let none = None::<()>;
        table.row([
            cell(topic_name),
            shown("", none),
            cell(0),
            two_digits(sent.tps),
            shown("", none),
            cell(sent.day),
            shown("NO_CONSUMER", none),
        ]);
    }
    for group in groups {
        let read = rate(s, &masters, GROUP_GET_NUMS, &format!("{topic}@{group}")).await;
        if active_only && sent.day == 0 && read.day == 0 {
            continue;
        }
        let lag = match GroupName::parse(&group) {
            Ok(group) => s.client.progress(&group, Some(&topic)).await.map_or(0, |progress| progress.lag().max(0)),
            Err(_) => 0,
        };
        table.row([
            cell(topic_name),
            cell(&group),
            cell(lag),
            two_digits(sent.tps),
            two_digits(read.tps),
            cell(sent.day),
            cell(read.day),
        ]);
    }
    Ok(())
}

/// A statistic over several brokers; one that a broker does not have counts as nothing.
async fn rate(s: &Session, masters: &[&str], name: &str, key: &str) -> Rate {
    let mut whole = Rate::default();
    for master in masters {
        if let Ok(stats) = s.client.stats(master, name, key).await {
            whole.tps += stats.stats_minute.tps;
            whole.day += day_sum(&stats);
        }
    }
    whole
}

/// The widest window that has counted anything yet.
fn day_sum(stats: &BrokerStatsData) -> i64 {
    let sums = [stats.stats_day.sum, stats.stats_hour.sum, stats.stats_minute.sum];
    sums.into_iter().find(|sum| *sum != 0).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_window_with_a_sum_counts() {
        let mut stats = BrokerStatsData::default();
        assert_eq!(day_sum(&stats), 0);
        stats.stats_minute.sum = 1;
        assert_eq!(day_sum(&stats), 1);
        stats.stats_hour.sum = 2;
        assert_eq!(day_sum(&stats), 2);
        stats.stats_day.sum = 3;
        assert_eq!(day_sum(&stats), 3);
    }
}
