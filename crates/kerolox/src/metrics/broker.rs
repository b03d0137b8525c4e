//! The figures of a broker. Names that begin with `rocketmq_` and their labels are those of RocketMQ's exporter, so that
//! its dashboards and alerts go on; what it has no name for begins with `kerolox_`.

use std::fmt;

use super::sheet::{Kind, Sheet};
use kerolox_broker::{Figures, GroupFigures, TopicFigures};

/// Writes all of them.
pub(super) fn write(figures: &Figures, out: &mut impl Sheet) -> fmt::Result {
    broker(figures, out)?;
    topics(figures, out)?;
    groups(figures, out)?;
    refusals(figures, out)?;
    times(figures, out)
}

/// Names of the exporter, the entry of the runtime table, and which of its words counts.
const RUNTIME: &[(&str, &str, usize)] = &[
    ("msg_put_total_today_now", "msgPutTotalTodayNow", 0),
    ("msg_gettotal_today_now", "msgGetTotalTodayNow", 0),
    ("msg_puttotal_todaymorning", "msgPutTotalTodayMorning", 0),
    ("msg_gettotal_todaymorning", "msgGetTotalTodayMorning", 0),
    ("msg_puttotal_yesterdaymorning", "msgPutTotalYesterdayMorning", 0),
    ("msg_gettotal_yesterdaymorning", "msgGetTotalYesterdayMorning", 0),
    ("dispatch_behind_bytes", "dispatchBehindBytes", 0),
    ("put_message_size_total", "putMessageSizeTotal", 0),
    ("put_message_average_size", "putMessageAverageSize", 0),
    ("putmessage_times_total", "putMessageTimesTotal", 0),
    ("putmessage_entire_time_max", "putMessageEntireTimeMax", 0),
    ("getmessage_entire_time_max", "getMessageEntireTimeMax", 0),
    ("earliest_message_timestamp", "earliestMessageTimeStamp", 0),
    ("start_accept_sendrequest_time", "startAcceptSendRequestTimeStamp", 0),
    ("pagecache_lock_time_mills", "pageCacheLockTimeMills", 0),
    ("remain_transientstore_buffer_numbs", "remainTransientStoreBufferNumbs", 0),
    ("dispatch_maxbuffer", "dispatchMaxBuffer", 0),
    ("commitlog_disk_ratio", "commitLogDiskRatio", 0),
    ("consumequeue_disk_ratio", "consumeQueueDiskRatio", 0),
    ("commitlog_maxoffset", "commitLogMaxOffset", 0),
    ("commitlog_minoffset", "commitLogMinOffset", 0),
    ("put_tps10", "putTps", 0),
    ("put_tps60", "putTps", 1),
    ("put_tps600", "putTps", 2),
    ("getfound_tps10", "getFoundTps", 0),
    ("getfound_tps60", "getFoundTps", 1),
    ("getfound_tps600", "getFoundTps", 2),
    ("getmiss_tps10", "getMissTps", 0),
    ("getmiss_tps60", "getMissTps", 1),
    ("getmiss_tps600", "getMissTps", 2),
    ("gettotal_tps10", "getTotalTps", 0),
    ("gettotal_tps60", "getTotalTps", 1),
    ("gettotal_tps600", "getTotalTps", 2),
    ("gettransfered_tps10", "getTransferedTps", 0),
    ("gettransfered_tps60", "getTransferedTps", 1),
    ("gettransfered_tps600", "getTransferedTps", 2),
    ("send_threadpool_queue_size", "sendThreadPoolQueueSize", 0),
    ("send_threadpoolqueue_capacity", "sendThreadPoolQueueCapacity", 0),
    ("send_threadpoolqueue_headwait_timemills", "sendThreadPoolQueueHeadWaitTimeMills", 0),
    ("pull_threadpoolqueue_size", "pullThreadPoolQueueSize", 0),
    ("pull_threadpoolqueue_capacity", "pullThreadPoolQueueCapacity", 0),
    ("pull_threadpoolqueue_headwait_timemills", "pullThreadPoolQueueHeadWaitTimeMills", 0),
    ("query_threadpoolqueue_size", "queryThreadPoolQueueSize", 0),
    ("query_threadpool_queue_capacity", "queryThreadPoolQueueCapacity", 0),
    ("query_threadpoolqueue_headwait_timemills", "queryThreadPoolQueueHeadWaitTimeMills", 0),
];

/// The exporter's names of how long sends took, in the order of `putMessageDistributeTime`.
const CLASSES: [&str; 13] = [
    "0ms",
    "0to10ms",
    "10to50ms",
    "50to100ms",
    "100to200ms",
    "200to500ms",
    "500to1s",
    "1to2s",
    "2to3s",
    "3to4s",
    "4to5s",
    "5to10s",
    "10stomore",
];

/// Entries of the runtime table that RocketMQ does not have: name, help, whether it only grows, entry.
const OWN: &[(&str, &str, bool, &str)] = &[
    ("kerolox_transactions_open", "Half messages without an end", false, "transactionHalfOpen"),
    ("kerolox_transactions_stuck", "Half messages whose producer does not answer", false, "transactionHalfStuck"),
    ("kerolox_transactions_oldest_ms", "Age of the oldest half message", false, "transactionHalfOldestAgeMills"),
    ("kerolox_transactions_committed", "Transactions committed", true, "transactionCommitTotal"),
    ("kerolox_transactions_rolled_back", "Transactions rolled back", true, "transactionRollbackTotal"),
    ("kerolox_transactions_given_up", "Half messages given up", true, "transactionGivenUpTotal"),
    ("kerolox_transactions_ends_refused", "Ends that fit no half message", true, "transactionEndRefusedTotal"),
    ("kerolox_transactions_checks", "Questions to producers", true, "transactionCheckTotal"),
    ("kerolox_transactions_checks_unsent", "Questions nobody was there for", true, "transactionCheckUnsentTotal"),
    ("kerolox_timers_pending", "Messages that wait for a time of their own", false, "timerPending"),
    (
        "kerolox_subscription_mismatch_groups",
        "Groups whose members subscribe differently",
        false,
        "subscriptionMismatchGroups",
    ),
    ("kerolox_headers_replaced", "Requests whose header is no UTF-8", true, "headersReplacedTotal"),
    ("kerolox_subscription_mismatches", "Members found to differ", true, "subscriptionMismatchFound"),
];

fn broker(figures: &Figures, out: &mut impl Sheet) -> fmt::Result {
    let word = |entry: &str, word: usize| {
        let text = figures.runtime.get(entry).and_then(|text| text.split(' ').nth(word));
        text.and_then(|text| text.parse::<f64>().ok())
    };
    let text = |entry: &str| figures.runtime.get(entry).map_or("", String::as_str);
    let labels = || {
        vec![
            ("cluster", figures.cluster.as_str()),
            ("brokerIP", &figures.address),
            ("brokerHost", &figures.broker),
            ("des", text("brokerVersionDesc")),
            ("boottime", text("bootTimestamp")),
            ("broker_version", text("brokerVersion")),
        ]
    };
    let mut gauge = |name: &str, help: &str, value: f64| {
        out.family(&format!("rocketmq_brokeruntime_{name}"), help, Kind::Gauge, [(labels(), value)])
    };
    for (name, entry, position) in RUNTIME {
        if let Some(value) = word(entry, *position) {
            gauge(name, entry, value)?;
        }
    }
    gauge("commitlogdir_capacity_total", "Bytes of the log's disk", figures.disk.0 as f64)?;
    gauge("commitlogdir_capacity_free", "Free bytes of the log's disk", figures.disk.1 as f64)?;
    gauge("remain_howmanydata_toflush", "Bytes of the log not on the medium yet", figures.unflushed as f64)?;
    let counts = text("putMessageDistributeTime").split_whitespace().filter_map(|class| class.rsplit_once(':'));
    for (name, (_, count)) in CLASSES.iter().zip(counts) {
        gauge(&format!("pmdt_{name}"), "Appends of the last minute that took that long", count.parse().unwrap_or(0.0))?;
    }
    let who = || {
        vec![("cluster", figures.cluster.as_str()), ("brokerIP", figures.address.as_str()), ("broker", &figures.broker)]
    };
    let rate = Kind::Gauge;
    out.family("rocketmq_broker_tps", "Messages put per second", rate, [(who(), figures.rates.0)])?;
    out.family("rocketmq_broker_qps", "Messages got per second", rate, [(who(), figures.rates.1)])?;
    for (name, help, grows, entry) in OWN {
        out.family(name, help, Kind::of(*grows), word(entry, 0).map(|value| (who(), value)))?;
    }
    out.family("kerolox_held_pulls", "Pulls that wait", rate, [(who(), figures.held_pulls as f64)])?;
    for (name, value) in &figures.connections {
        let help = format!("Connections: {}", name.replace('_', " "));
        let name = format!("kerolox_connections_{name}");
        out.family(&name, &help, Kind::of(!name.ends_with("_open")), [(who(), *value as f64)])?;
    }
    Ok(())
}

fn topics(figures: &Figures, out: &mut impl Sheet) -> fmt::Result {
    let of = |label: &'static str, name| {
        vec![("cluster", figures.cluster.as_str()), ("broker", figures.broker.as_str()), (label, name)]
    };
    let normal = |topic: &&TopicFigures| topic.retried_group().is_none() && topic.dead_group().is_none();
    let mut gauge = |name, help, label, value: fn(&TopicFigures) -> f64, fits: &dyn Fn(&&TopicFigures) -> bool| {
        let series = figures.topics.iter().filter(fits).map(|topic| {
            let name = if label == "group" { topic.dead_group().unwrap_or_default() } else { topic.topic.as_str() };
            (of(label, name), value(topic))
        });
        out.family(name, help, Kind::Gauge, series)
    };
    let end = |topic: &TopicFigures| topic.offset as f64;
    let retried = |topic: &&TopicFigures| topic.retried_group().is_some();
    let dead = |topic: &&TopicFigures| topic.dead_group().is_some();
    gauge("rocketmq_producer_offset", "Sum of the ends of a topic's queues", "topic", end, &normal)?;
    gauge("rocketmq_topic_retry_offset", "The same of a retry topic", "topic", end, &retried)?;
    gauge("rocketmq_topic_dlq_offset", "Dead letters of a group, all that ever were", "group", end, &dead)?;
    gauge("rocketmq_producer_tps", "Messages put per second", "topic", |topic| topic.tps, &|_| true)?;
    gauge("rocketmq_producer_message_size", "Bytes put per second", "topic", |topic| topic.byte_rate, &|_| true)
}

fn groups(figures: &Figures, out: &mut impl Sheet) -> fmt::Result {
    let clients: Vec<String> = figures.groups.iter().map(|one| one.clients.to_string()).collect();
    let is_retry = |one: &GroupFigures| one.topic.is_retry();
    let mut of_group = |name, help, value: fn(&GroupFigures) -> f64| {
        let series = figures.groups.iter().map(|one| {
            let labels = vec![
                ("cluster", figures.cluster.as_str()),
                ("broker", figures.broker.as_str()),
                ("topic", one.topic.as_str()),
                ("group", one.group.as_str()),
            ];
            (labels, value(one))
        });
        out.family(name, help, Kind::Gauge, series)
    };
    of_group("rocketmq_consumer_offset", "Sum of a group's places in a topic's queues", |one| one.offset as f64)?;
    of_group("rocketmq_consumer_tps", "Messages got per second", |one| one.tps)?;
    of_group("rocketmq_consumer_message_size", "Bytes got per second", |one| one.byte_rate)?;
    of_group("rocketmq_send_back_nums", "Messages handed back per second", |one| one.send_backs)?;
    let late = "Age in ms of the oldest message not consumed";
    of_group("rocketmq_group_get_latency_by_storetime", late, |one| one.lag_time.as_secs_f64() * 1e3)?;
    let late = "Age in seconds of the oldest message not consumed";
    of_group("kerolox_group_lag_seconds", late, |one| one.lag_time.as_secs_f64())?;
    let mut lag = |name, help, fits: &dyn Fn(&GroupFigures) -> bool| {
        let shared = figures.groups.iter().zip(&clients).filter(|(one, _)| !one.broadcasting && fits(one));
        let series = shared.map(|(one, clients)| {
            let labels = vec![
                ("group", one.group.as_str()),
                ("topic", one.topic.as_str()),
                ("countOfOnlineConsumers", clients.as_str()),
                ("msgModel", "1"),
                ("cluster", &figures.cluster),
                ("broker", &figures.broker),
            ];
            (labels, one.lag as f64)
        });
        out.family(name, help, Kind::Gauge, series)
    };
    lag("rocketmq_group_diff", "Messages that a group has not consumed", &|one| !is_retry(one))?;
    lag("rocketmq_group_retrydiff", "Messages to be tried again that it has not consumed", &is_retry)?;
    let mut seen = figures.groups.iter().zip(&clients).collect::<Vec<_>>();
    seen.dedup_by(|(a, _), (b, _)| a.group == b.group);
    let series = seen.into_iter().map(|(one, _)| (vec![("group", one.group.as_str())], one.clients as f64));
    out.family("rocketmq_group_count", "Connected clients of a group", Kind::Gauge, series)
}

fn refusals(figures: &Figures, out: &mut impl Sheet) -> fmt::Result {
    let codes: Vec<String> = figures.refusals.iter().map(|(_, code, _)| code.to_string()).collect();
    let series = figures.refusals.iter().zip(&codes);
    let series = series.map(|((what, _, count), code)| (vec![("request", *what), ("code", code)], *count as f64));
    out.family("kerolox_refused", "Requests refused, by the code of the answer", Kind::Counter, series)?;
    let missing = [(vec![], figures.missing_topics as f64)];
    let help = "Topics that senders want and that are not there";
    out.family("kerolox_missing_topics", help, Kind::Gauge, missing)?;
    let left_out = [("topic", figures.left_out.0), ("group", figures.left_out.1)];
    let series = left_out.map(|(kind, count)| (vec![("kind", kind)], count as f64));
    out.family("kerolox_metrics_left_out", "Not told one by one: see metricsSeriesMax", Kind::Gauge, series)
}

fn times(figures: &Figures, out: &mut impl Sheet) -> fmt::Result {
    for (name, read) in &figures.times {
        let help = match *name {
            "send" => "From the arrival of sends until they may be answered",
            "store" => "Appends to the log, each for all sends that came together",
            "flush" => "Syncs of the log",
            _ => "Pulls that were answered without waiting",
        };
        out.histogram(&format!("kerolox_{name}_seconds"), help, read)?;
    }
    Ok(())
}
