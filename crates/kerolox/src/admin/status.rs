//! What consumers say of themselves.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use kerolox_wire::body::{ConsumerRunningInfo, MessageQueue, ProcessQueueInfo};
use kerolox_wire::names::GroupName;
use kerolox_wire::text::{escaped, escaped_unless};

use serde::Serialize;
use serde_json::{Value, json};

use super::command::{Command, Target, flag, may, must};
use super::failure::Failure;
use super::options::Given;
use super::output::{Column, left, right, row, titles};
use super::session::Session;
use super::{name, text, time};

pub(super) const CONSUMER_STATUS: Command = Command {
    name: "consumerStatus",
    about: "Show what the consumers of a group say of themselves, and check that they agree",
    options: &[
        must('g', "consumerGroup", "consumer group"),
        may('i', "clientId", "only this consumer, printed instead of written to files"),
        flag('s', "jstack", "with stack traces"),
    ],
    target: Target::Free,
    shows: true,
    example: "-g billing",
    run: |s, g| Box::pin(consumer_status(s, g)),
};

const PROP_CONSUME_TYPE: &str = "PROP_CONSUME_TYPE";
const PROP_CONSUME_ORDERLY: &str = "PROP_CONSUMEORDERLY";
const PROP_START_TIMESTAMP: &str = "PROP_CONSUMER_START_TIMESTAMP";
/// Members may differ for so long after a start.
const SETTLED_AFTER_MS: i64 = 120_000;
/// A queue with messages that nobody consumed for so long may be stuck.
const STUCK_AFTER_MS: i64 = 60_000;

async fn consumer_status(s: &Session, given: &Given) -> Result<(), Failure> {
    let group: GroupName = name(given, 'g', GroupName::parse)?;
    let jstack = given.flag('s');
    if let Some(client_id) = given.get('i') {
        let info = s.client.consumer_running_info(&group, client_id, jstack).await?;
        s.out.lines(&page(&info));
        s.out.json(object(client_id, &info));
        return Ok(());
    }
    let now = s.now_ms();
    let connection = s.client.consumer_connection(&group).await?;
    let mut infos: Vec<(String, ConsumerRunningInfo)> = Vec::new();
    for client in connection.connection_set {
        match s.client.consumer_running_info(&group, &client.client_id, jstack).await {
            Ok(info) if s.out.is_json() => infos.push((client.client_id, info)),
            Ok(info) => {
                let path = write_page(Path::new(&now.to_string()), &client.client_id, &page(&info));
                s.out.line(format_args!(
                    "{:03}  {:<40} {:<20} {path}",
                    infos.len() + 1,
                    client.client_id,
                    text::version(client.version)
                ));
                infos.push((client.client_id, info));
            }
            Err(why) => super::output::complain(format_args!("{}: {why}", client.client_id)),
        }
    }
    infos.sort_by(|a, b| a.0.cmp(&b.0));
    if infos.is_empty() {
        return Err(Failure::failed("no consumer of the group answered"));
    }
    let members: Vec<Value> = infos.iter().map(|(client_id, info)| object(client_id, info)).collect();
    let troubles: Vec<String> = infos.iter().map(|(client_id, info)| trouble(client_id, info, now)).collect();
    let told: Vec<&str> = troubles.iter().flat_map(|trouble| trouble.lines()).collect();
    let same = same_subscriptions(&infos, now);
    s.out.json(json!({"members": members, "sameSubscription": same, "warnings": told}));
    if !same {
        s.out.lines("\n\nWARN: Different subscription in the same group of consumer!!!");
        return Ok(());
    }
    s.out.lines("\n\nSame subscription in the same group of consumer");
    s.out.lines("\n\nRebalance OK");
    for trouble in troubles.iter().filter(|trouble| !trouble.is_empty()) {
        s.out.lines(trouble);
    }
    Ok(())
}

/// A queue of a consumer, for programs.
#[derive(Serialize)]
struct Held<'a> {
    #[serde(flatten)]
    queue: &'a MessageQueue,
    #[serde(flatten)]
    at: &'a ProcessQueueInfo,
}

/// All that a consumer said, for programs.
fn object(client_id: &str, info: &ConsumerRunningInfo) -> Value {
    let queues: Vec<Held<'_>> = info.mq_table.iter().map(|(queue, at)| Held { queue, at }).collect();
    json!({
        "clientId": client_id,
        "properties": info.properties,
        "subscriptions": info.subscription_set,
        "queues": queues,
        "rates": info.status_table,
        "jstack": info.jstack,
    })
}

/// Writes a page to a file named after the client; a client's own id does not lead out of that folder.
fn write_page(folder: &Path, client_id: &str, page: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '@' | '#' | '-' | '_' | '%');
    let file: String = client_id.chars().map(|c| if safe(c) { c } else { '_' }).collect();
    let file = if file.chars().all(|c| c == '.') { "_".to_owned() } else { file };
    let path = folder.join(file);
    let written = fs::create_dir_all(folder).and_then(|()| fs::write(&path, page));
    match written {
        Ok(()) => path.display().to_string(),
        Err(why) => format!("(not written: {why})"),
    }
}

/// Members of a push group that have run for a while must subscribe to the same.
pub(super) fn same_subscriptions(infos: &[(String, ConsumerRunningInfo)], now: i64) -> bool {
    let Some((_, first)) = infos.first() else { return true };
    let started = first.properties.get(PROP_START_TIMESTAMP).and_then(|text| text.parse::<i64>().ok()).unwrap_or(now);
    if !is_push(first) || now - started <= SETTLED_AFTER_MS {
        return true;
    }
    let subscriptions = |info: &ConsumerRunningInfo| {
        let mut all: Vec<(String, String, bool)> = info
            .subscription_set
            .iter()
            .map(|sub| (sub.topic.clone(), sub.sub_string.clone(), sub.class_filter_mode))
            .collect();
        all.sort();
        all
    };
    let wanted = subscriptions(first);
    !wanted.is_empty() && infos.iter().all(|(_, info)| subscriptions(info) == wanted)
}

fn is_push(info: &ConsumerRunningInfo) -> bool {
    info.properties.get(PROP_CONSUME_TYPE).is_some_and(|kind| kind == "CONSUME_PASSIVELY")
}

/// Queues that do not move.
pub(super) fn trouble(client_id: &str, info: &ConsumerRunningInfo, now: i64) -> String {
    let mut lines = String::new();
    if !is_push(info) {
        return lines;
    }
    let client_id = escaped(client_id);
    let orderly = info.properties.get(PROP_CONSUME_ORDERLY).is_some_and(|v| v.eq_ignore_ascii_case("true"));
    for (queue, at) in info.mq_table.iter() {
        let queue = escaped(&text::queue(queue)).into_owned();
        let _ = match (orderly, idle_for(at, now)) {
            (true, _) if !at.locked => {
                writeln!(
                    lines,
                    "{client_id} {queue} can't lock for a while, {}ms",
                    now.saturating_sub(at.last_lock_timestamp)
                )
            }
            (true, _) if at.droped && at.try_unlock_times > 0 => {
                writeln!(lines, "{client_id} {queue} unlock {} times, still failed", at.try_unlock_times)
            }
            (false, Some(idle)) => {
                writeln!(lines, "{client_id} {queue} can't consume for a while, maybe blocked, {idle}ms")
            }
            _ => Ok(()),
        };
    }
    lines
}

fn idle_for(at: &ProcessQueueInfo, now: i64) -> Option<i64> {
    let idle = now.saturating_sub(at.last_consume_timestamp);
    (idle > STUCK_AFTER_MS && at.cached_msg_count > 0).then_some(idle)
}

const OFFSET_COLUMNS: &[Column] =
    &[left("#Topic", "", 32), left("#Broker Name", "", 32), left("#QID", "", 4), left("#Consumer Offset", "", 20)];
const DETAIL_COLUMNS: &[Column] =
    &[left("#Topic", "", 32), left("#Broker Name", "", 32), left("#QID", "", 4), left("#ProcessQueueInfo", "", 20)];
const RATE_COLUMNS: &[Column] = &[
    left("#Topic", "", 32),
    right("#Pull RT", "", 14).gap(2),
    right("#Pull TPS", "", 14),
    right("#Consume RT", "", 14),
    right("#ConsumeOK TPS", "", 14),
    right("#ConsumeFailed TPS", "", 18),
    right("#ConsumeFailedMsgsInHour", "", 25),
];

/// All that a consumer said, for people.
fn page(info: &ConsumerRunningInfo) -> String {
    let mut page = "#Consumer Properties#\n".to_owned();
    for (name, value) in &info.properties {
        let _ = writeln!(page, "{:<40}: {}", escaped(name), escaped(value));
    }
    page.push_str("\n\n#Consumer Subscription#\n");
    for (i, sub) in info.subscription_set.iter().enumerate() {
        let _ = writeln!(
            page,
            "{:03} Topic: {:<40} ClassFilter: {:<8} SubExpression: {}",
            i + 1,
            escaped(&sub.topic),
            sub.class_filter_mode.to_string(),
            escaped(&sub.sub_string)
        );
    }
    let mut queues: Vec<_> = info.mq_table.iter().collect();
    queues.sort_by(|a, b| a.0.cmp(&b.0));
    let _ = write!(page, "\n\n#Consumer Offset#\n{}\n", titles(OFFSET_COLUMNS));
    for (queue, at) in &queues {
        let line = row(OFFSET_COLUMNS, &[&queue.topic, &queue.broker_name, &queue.queue_id, &at.commit_offset]);
        let _ = writeln!(page, "{line}");
    }
    let _ = write!(page, "\n\n#Consumer MQ Detail#\n{}\n", titles(DETAIL_COLUMNS));
    for (queue, at) in &queues {
        let line = row(DETAIL_COLUMNS, &[&queue.topic, &queue.broker_name, &queue.queue_id, &process_queue(at)]);
        let _ = writeln!(page, "{line}");
    }
    let _ = write!(page, "\n\n#Consumer RT&TPS#\n{}\n", titles(RATE_COLUMNS));
    for (topic, rates) in &info.status_table {
        let two = |value: f64| format!("{value:.2}");
        let line = row(
            RATE_COLUMNS,
            &[
                topic,
                &two(rates.pull_rt),
                &two(rates.pull_tps),
                &two(rates.consume_rt),
                &two(rates.consume_ok_tps),
                &two(rates.consume_failed_tps),
                &rates.consume_failed_msgs,
            ],
        );
        let _ = writeln!(page, "{line}");
    }
    if let Some(stacks) = &info.jstack {
        let stacks = escaped_unless(stacks, |c| matches!(c, '\n' | '\t'));
        let _ = write!(page, "\n\n#Consumer jstack#\n{stacks}");
    }
    page
}

fn process_queue(at: &ProcessQueueInfo) -> String {
    format!(
        "ProcessQueueInfo [commitOffset={}, cachedMsgMinOffset={}, cachedMsgMaxOffset={}, cachedMsgCount={}, \
         cachedMsgSizeInMiB={}, transactionMsgMinOffset={}, transactionMsgMaxOffset={}, transactionMsgCount={}, \
         locked={}, tryUnlockTimes={}, lastLockTimestamp={}, droped={}, lastPullTimestamp={}, \
         lastConsumeTimestamp={}]",
        at.commit_offset,
        at.cached_msg_min_offset,
        at.cached_msg_max_offset,
        at.cached_msg_count,
        at.cached_msg_size_in_mib,
        at.transaction_msg_min_offset,
        at.transaction_msg_max_offset,
        at.transaction_msg_count,
        at.locked,
        at.try_unlock_times,
        time::packed(at.last_lock_timestamp),
        at.droped,
        time::packed(at.last_pull_timestamp),
        time::packed(at.last_consume_timestamp)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use kerolox_wire::body::{PairMap, SubscriptionData};

    fn info(sub: &str, at: ProcessQueueInfo) -> ConsumerRunningInfo {
        let properties = [(PROP_CONSUME_TYPE, "CONSUME_PASSIVELY"), (PROP_START_TIMESTAMP, "0")];
        let queue = MessageQueue { topic: "T".to_owned(), broker_name: "b".to_owned(), queue_id: 1 };
        let subscription =
            SubscriptionData { topic: "T".to_owned(), sub_string: sub.to_owned(), ..SubscriptionData::default() };
        ConsumerRunningInfo {
            properties: properties.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect(),
            subscription_set: vec![subscription],
            mq_table: PairMap(vec![(queue, at)]),
            ..ConsumerRunningInfo::default()
        }
    }

    #[test]
    fn settled_members_must_agree() {
        let at = ProcessQueueInfo::default();
        let both = [("a".to_owned(), info("*", at.clone())), ("b".to_owned(), info("A", at))];
        assert!(same_subscriptions(&both[..1], SETTLED_AFTER_MS + 1));
        assert!(!same_subscriptions(&both, SETTLED_AFTER_MS + 1));
        assert!(same_subscriptions(&both, SETTLED_AFTER_MS), "they may still be starting");
    }

    #[test]
    fn a_queue_that_does_not_move_is_named() {
        let stuck = ProcessQueueInfo { cached_msg_count: 3, ..ProcessQueueInfo::default() };
        let found = trouble("c", &info("*", stuck), STUCK_AFTER_MS + 1);
        assert_eq!(
            found,
            "c MessageQueue [topic=T, brokerName=b, queueId=1] can't consume for a while, maybe blocked, 60001ms\n"
        );
        assert_eq!(trouble("c", &info("*", ProcessQueueInfo::default()), i64::MAX), "");
    }

    #[test]
    fn a_page_has_all_parts() {
        let page = page(&info("*", ProcessQueueInfo::default()));
        for part in ["Properties", "Subscription", "Offset", "MQ Detail", "RT&TPS"] {
            assert!(page.contains(&format!("#Consumer {part}#\n")), "{page}");
        }
        assert!(!page.contains("jstack"));
    }

    #[test]
    fn a_clients_id_stays_within_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        for (client_id, file) in [("..", "_"), ("../../x", ".._.._x"), ("10.0.0.1@42", "10.0.0.1@42")] {
            assert_eq!(write_page(folder.path(), client_id, ""), folder.path().join(file).display().to_string());
        }
    }
}
