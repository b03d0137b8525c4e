//! Commands about whole clusters.

use std::collections::BTreeMap;
use std::time::Duration;

use kerolox_client::ClientError;
use kerolox_wire::body::ClusterInfo;
use kerolox_wire::names::TopicName;

use super::command::{Command, Target, flag, may, must};
use super::failure::Failure;
use super::options::Given;
use super::output::{Cell, Column, Table, cell, left, right, shown, two_digits};
use super::send::{mean_after_first, outgoing, probe};
use super::session::Session;
use super::time;

pub(super) const CLUSTER_LIST: Command = Command {
    name: "clusterList",
    about: "List clusters and brokers with their load",
    options: &[
        flag('m', "moreStats", "show messages of yesterday and today instead"),
        may('i', "interval", "again and again, with so many seconds between"),
    ],
    target: Target::Free,
    shows: true,
    example: "-i 10",
    run: |s, g| Box::pin(cluster_list(s, g)),
};

pub(super) const CLUSTER_RT: Command = Command {
    name: "clusterRT",
    about: "Send to each broker's own topic, again and again, and show how long it takes",
    options: &[
        may('a', "amount", "messages per broker and round, 50 if not given"),
        must('s', "size", "bytes of a message"),
        may('c', "cluster", "cluster name; all if not given"),
        may('p', "print log", "true: lines of a log instead of a table"),
        may('m', "machine room", "name for the log lines, noname if not given"),
        may('i', "interval", "seconds between rounds, 10 if not given"),
    ],
    target: Target::Free,
    shows: true,
    example: "-s 128 -a 10 -i 5",
    run: |s, g| Box::pin(cluster_rt(s, g)),
};

type Figures = BTreeMap<String, String>;

async fn cluster_list(s: &Session, given: &Given) -> Result<(), Failure> {
    let interval: Option<u64> = given.maybe('i')?;
    loop {
        let (table, done) = list_once(s, given.flag('m')).await?;
        let Some(interval) = interval.filter(|_| !s.out.is_closed()) else {
            table.end();
            return done;
        };
        // A line for each round.
        s.out.json_line(table.into_rows());
        // A round that fails is no reason to stop watching.
        if let Err(why) = done {
            super::output::complain(&why);
        }
        tokio::time::sleep(Duration::from_secs(interval)).await;
    }
}

const LOAD_COLUMNS: &[Column] = &[
    left("#Cluster Name", "clusterName", 16),
    left("#Broker Name", "brokerName", 22),
    left("#BID", "brokerId", 4),
    left("#Addr", "brokerAddr", 22),
    left("#Version", "version", 16).gap(1),
    right("#InTPS(LOAD)", "inTps", 19),
    right("#OutTPS(LOAD)", "outTps", 19),
    right("#PCWait(ms)", "pageCacheLockTimeMills", 10),
    right("#Hour", "hours", 5),
    right("#SPACE", "space", 6),
];

const TOTAL_COLUMNS: &[Column] = &[
    left("#Cluster Name", "clusterName", 16),
    left("#Broker Name", "brokerName", 32),
    right("#InTotalYest", "inTotalYesterday", 14),
    right("#OutTotalYest", "outTotalYesterday", 14),
    right("#InTotalToday", "inTotalToday", 14),
    right("#OutTotalToday", "outTotalToday", 14),
];

/// The brokers, and what went wrong with the last one that did not answer.
async fn list_once(s: &Session, totals: bool) -> Result<(Table<'_>, Result<(), Failure>), Failure> {
    let info = s.client.cluster_info().await?;
    let mut table = s.out.table(if totals { TOTAL_COLUMNS } else { LOAD_COLUMNS });
    let mut silent = Ok(());
    for member in members(&info) {
        let figures = match s.client.runtime_info(member.address).await {
            Ok(figures) => figures,
            Err(why) => {
                silent = Err(why.into());
                Figures::new()
            }
        };
        match totals {
            true => table.row(total_row(&member, &figures)),
            false => table.row(load_row(&member, &figures, s.now_ms())),
        }
    }
    Ok((table, silent))
}

/// One broker of a cluster.
struct Member<'a> {
    cluster: &'a str,
    broker_name: &'a str,
    id: i64,
    address: &'a str,
}

fn members(info: &ClusterInfo) -> Vec<Member<'_>> {
    let mut members = Vec::new();
    for (cluster, names) in &info.cluster_addr_table {
        for broker_name in names {
            let Some(broker) = info.broker_addr_table.get(broker_name) else { continue };
            for (id, address) in &broker.broker_addrs {
                members.push(Member { cluster, broker_name, id: *id, address });
            }
        }
    }
    members
}

fn load_row(member: &Member<'_>, figures: &Figures, now_ms: i64) -> [Cell; 10] {
    let text = |key: &str| figures.get(key).map_or("", String::as_str);
    // The rates of three windows; the shortest comes first.
    let rate = |key: &str| text(key).split(' ').next().and_then(|first| first.parse::<f64>().ok()).unwrap_or(0.0);
    let load = |tps: f64, pool: &str| {
        let figure = |name: &str| text(&format!("{pool}ThreadPoolQueue{name}"));
        shown(format!("{tps:9.2}({},{}ms)", figure("Size"), figure("HeadWaitTimeMills")), tps)
    };
    let hours = match text("earliestMessageTimeStamp").parse::<i64>() {
        Ok(earliest) if earliest > 0 => hours_between(earliest, now_ms),
        // A broker without messages has no earliest one.
        _ => 0.0,
    };
    let space = text("commitLogDiskRatio").parse::<f64>().unwrap_or(0.0);
    let wait = text("pageCacheLockTimeMills");
    [
        cell(member.cluster),
        cell(member.broker_name),
        cell(member.id),
        cell(member.address),
        cell(text("brokerVersionDesc")),
        load(rate("putTps"), "send"),
        load(rate("getTransferedTps"), "pull"),
        shown(wait, wait.parse::<i64>().ok()),
        two_digits(hours),
        shown(format!("{space:.4}"), space),
    ]
}

#[allow(clippy::cast_precision_loss, reason = "hours with two digits after the point")]
fn hours_between(earlier_ms: i64, later_ms: i64) -> f64 {
    later_ms.saturating_sub(earlier_ms) as f64 / 3_600_000.0
}

fn total_row(member: &Member<'_>, figures: &Figures) -> [Cell; 6] {
    let count = |key: &str| figures.get(key).and_then(|text| text.parse::<i64>().ok());
    let between = |earlier: &str, later: &str| match (count(earlier), count(later)) {
        (Some(earlier), Some(later)) => later - earlier,
        _ => 0,
    };
    [
        cell(member.cluster),
        cell(member.broker_name),
        cell(between("msgPutTotalYesterdayMorning", "msgPutTotalTodayMorning")),
        cell(between("msgGetTotalYesterdayMorning", "msgGetTotalTodayMorning")),
        cell(between("msgPutTotalTodayMorning", "msgPutTotalTodayNow")),
        cell(between("msgGetTotalTodayMorning", "msgGetTotalTodayNow")),
    ]
}

/// The titles stand closer than the values do, as in 4.7.1.
const RT_TITLES: &[Column] = &[
    left("#Cluster Name", "", 24),
    left("#Broker Name", "", 24),
    left("#RT", "", 4),
    left("#successCount", "", 8),
    left("#failCount", "", 8),
];
const RT_COLUMNS: &[Column] = &[
    left("#Cluster Name", "clusterName", 24),
    left("#Broker Name", "brokerName", 24),
    left("#RT", "rt", 8),
    left("#successCount", "successCount", 16),
    left("#failCount", "failCount", 16),
];

async fn cluster_rt(s: &Session, given: &Given) -> Result<(), Failure> {
    let amount: usize = given.maybe('a')?.unwrap_or(50);
    let body = probe(given.parsed('s')?)?;
    let interval = Duration::from_secs(given.maybe('i')?.unwrap_or(10));
    let as_log = given.truth('p') == Some(true);
    let room = given.get('m').unwrap_or("noname");
    let info = s.client.cluster_info().await?;
    if let Some(cluster) = given.get('c')
        && !info.cluster_addr_table.contains_key(cluster)
    {
        return Err(Failure::failed(format!("cluster [{cluster}] not exist")));
    }
    if !as_log {
        s.out.table(RT_TITLES);
    }
    let table = s.out.rows(RT_COLUMNS);
    while !s.out.is_closed() {
        for (cluster, names) in &info.cluster_addr_table {
            if given.get('c').is_some_and(|wanted| wanted != cluster) {
                continue;
            }
            for broker_name in names {
                let (rt, ok, failed) = probe_broker(s, broker_name, &body, amount).await?;
                if as_log && !s.out.is_json() {
                    let now = time::to_seconds(s.now_ms());
                    s.out.line(format_args!("{now}|{room}|{cluster}|{broker_name}|{rt:.0}"));
                } else {
                    table.stream([cell(cluster), cell(broker_name), two_digits(rt), cell(ok), cell(failed)]);
                }
            }
        }
        tokio::time::sleep(interval).await;
    }
    Ok(())
}

/// Sends to a broker's own topic: mean time, how many went well, how many did not.
async fn probe_broker(
    s: &Session,
    broker_name: &str,
    body: &[u8],
    amount: usize,
) -> Result<(f64, usize, usize), ClientError> {
    let topic = TopicName::parse(broker_name)?;
    let message = outgoing(&topic, body);
    let mut times = Vec::with_capacity(amount);
    let mut failed = 0;
    for _ in 0..amount {
        let begin = s.clock.elapsed();
        if s.client.send(&message).await.is_err() {
            failed += 1;
        }
        times.push(s.clock.elapsed().saturating_sub(begin).as_millis());
    }
    Ok((mean_after_first(&times), amount - failed, failed))
}

#[cfg(test)]
mod tests {
    use super::super::output::line_of;
    use super::*;

    const MEMBER: Member<'static> =
        Member { cluster: "DefaultCluster", broker_name: "broker-a", id: 0, address: "127.0.0.1:10911" };

    fn figures(pairs: &[(&str, &str)]) -> Figures {
        pairs.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect()
    }

    #[test]
    fn a_loaded_broker_is_a_line_of_the_table() {
        let figures = figures(&[
            ("putTps", "1.5 2.0 3.0"),
            ("getTransferedTps", "0.0 0.0 0.0"),
            ("sendThreadPoolQueueSize", "0"),
            ("pullThreadPoolQueueSize", "0"),
            ("sendThreadPoolQueueHeadWaitTimeMills", "0"),
            ("pullThreadPoolQueueHeadWaitTimeMills", "0"),
            ("pageCacheLockTimeMills", "0"),
            ("earliestMessageTimeStamp", "3600000"),
            ("commitLogDiskRatio", "0.25"),
            ("brokerVersionDesc", "V4_7_1"),
        ]);
        assert_eq!(
            line_of(LOAD_COLUMNS, &load_row(&MEMBER, &figures, 10_800_000)),
            "DefaultCluster    broker-a                0     127.0.0.1:10911        V4_7_1                   \
             1.50(0,0ms)         0.00(0,0ms)          0  2.00 0.2500"
        );
    }

    #[test]
    fn a_silent_broker_is_a_line_too() {
        let line = line_of(LOAD_COLUMNS, &load_row(&MEMBER, &Figures::new(), 0));
        assert!(line.starts_with("DefaultCluster    broker-a                0     127.0.0.1:10911 "), "{line}");
        let totals = line_of(TOTAL_COLUMNS, &total_row(&MEMBER, &Figures::new()));
        assert!(totals.ends_with(" 0              0              0              0"));
    }

    #[test]
    fn totals_are_differences() {
        let figures = figures(&[
            ("msgPutTotalYesterdayMorning", "10"),
            ("msgPutTotalTodayMorning", "30"),
            ("msgPutTotalTodayNow", "35"),
        ]);
        let line = line_of(TOTAL_COLUMNS, &total_row(&MEMBER, &figures));
        let numbers: Vec<&str> = line.split_whitespace().skip(2).collect();
        assert_eq!(numbers, ["20", "0", "5", "0"]);
    }
}
