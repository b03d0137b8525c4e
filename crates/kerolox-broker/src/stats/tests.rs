use kerolox_wire::body::BrokerStatsItem;

use super::*;

fn topic(text: &str) -> TopicName {
    TopicName::parse(text).unwrap()
}

fn group(text: &str) -> GroupName {
    GroupName::parse(text).unwrap()
}

fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn stats() -> Stats {
    Stats::new("DefaultCluster", 0, at(0), 0)
}

fn runtime(stats: &Stats, now: Duration, key: &str) -> String {
    let all = stats.runtime(now);
    all.into_iter().find(|(known, _)| *known == key).map(|(_, value)| value).unwrap()
}

#[test]
fn a_topic_shows_growth_over_the_last_minute() {
    let stats = stats();
    for second in 0..12 {
        stats.topic(&topic("t")).record(1, 100);
        stats.topic(&topic("t")).record(3, 300);
        stats.sample(at(10 * (second + 1)), 0);
    }
    let nums = stats.view("TOPIC_PUT_NUMS", "t").unwrap();
    // Seven samples lie 60 s apart and see six steps of four messages in two calls.
    assert_eq!(nums.stats_minute, BrokerStatsItem { sum: 24, tps: 0.4, avgpt: 2.0 });
    let size = stats.view("TOPIC_PUT_SIZE", "t").unwrap();
    assert_eq!(size.stats_minute, BrokerStatsItem { sum: 2400, tps: 40.0, avgpt: 200.0 });
    let all = BrokerStatsItem { sum: 48, tps: 0.4, avgpt: 2.0 };
    assert_eq!((nums.stats_hour, nums.stats_day), (all.clone(), all), "hour and day count from the first moment on");
}

#[test]
fn the_hour_and_the_day_let_go_of_what_is_older() {
    let stats = stats();
    for step in 1..=3 * 24 * 360 {
        stats.topic(&topic("t")).record(1, 1);
        stats.sample(at(10 * step), 0);
    }
    let nums = stats.view("TOPIC_PUT_NUMS", "t").unwrap();
    let near = |item: &BrokerStatsItem, least: i64, most: i64| {
        assert!((least..=most).contains(&item.sum) && (item.tps - 0.1).abs() < 1e-9, "{item:?}");
    };
    near(&nums.stats_minute, 6, 6);
    near(&nums.stats_hour, 360, 360 + 60);
    near(&nums.stats_day, 24 * 360, 25 * 360);
}

#[test]
fn the_first_sample_shows_all_that_was_counted() {
    let stats = stats();
    stats.group(&topic("t"), &group("g")).record(32, 3200);
    stats.sample(at(10), 0);
    let nums = stats.view("GROUP_GET_NUMS", "t@g").unwrap();
    assert_eq!(nums.stats_minute, BrokerStatsItem { sum: 32, tps: 3.2, avgpt: 32.0 });
    assert_eq!(stats.group_get_tps("t", "g"), 3.2);
    assert_eq!(stats.group_get_tps("t", "x"), 0.0);
}

#[test]
fn statistics_exist_once_something_was_counted() {
    let stats = stats();
    let _ = stats.topic(&topic("t"));
    stats.group(&topic("t"), &group("g")).record(1, 1);
    for (name, key, known) in [
        ("TOPIC_PUT_NUMS", "t", true),
        ("TOPIC_PUT_SIZE", "u", false),
        ("GROUP_GET_SIZE", "t@g", true),
        ("GROUP_GET_NUMS", "t@h", false),
        ("GROUP_GET_NUMS", "t", false),
        ("SNDBCK_PUT_NUMS", "t@g", false),
        ("BROKER_PUT_NUMS", "DefaultCluster", true),
        ("BROKER_GET_NUMS", "other", false),
        ("NO_SUCH", "t", false),
    ] {
        assert_eq!(stats.view(name, key).is_ok(), known, "{name} {key}");
    }
    let error = stats.view("TOPIC_PUT_NUMS", "u").unwrap_err();
    assert_eq!(error.to_string(), "The stats <TOPIC_PUT_NUMS> <u> not exist");
    stats.group(&topic("t"), &group("g")).send_back();
    assert!(stats.view("SNDBCK_PUT_NUMS", "t@g").is_ok());
}

#[test]
fn rates_are_three_averages_and_never_missing() {
    let stats = stats();
    assert_eq!(runtime(&stats, at(0), "putTps"), "0.0 0.0 0.0");
    stats.topic(&topic("t")).record(50, 1);
    assert_eq!(runtime(&stats, at(5), "putTps"), "10.0 10.0 10.0", "spans are cut to what is remembered");
    for step in 1..=100 {
        stats.sample(at(10 * step), 0);
    }
    stats.topic(&topic("t")).record(600, 1);
    assert_eq!(runtime(&stats, at(1000), "putTps"), "60.0 10.0 1.0");
    assert_eq!(runtime(&stats, at(1000), "getTransferedTps"), "0.0 0.0 0.0");
}

#[test]
fn found_and_missed_pulls_make_the_total() {
    let stats = stats();
    stats.group(&topic("t"), &group("g")).record(20, 1);
    stats.missed();
    assert_eq!(runtime(&stats, at(10), "getFoundTps"), "0.1 0.1 0.1");
    assert_eq!(runtime(&stats, at(10), "getMissTps"), "0.1 0.1 0.1");
    assert_eq!(runtime(&stats, at(10), "getTotalTps"), "0.2 0.2 0.2");
    assert_eq!(runtime(&stats, at(10), "getTransferedTps"), "2.0 2.0 2.0");
}

#[test]
fn totals_are_remembered_at_midnight() {
    const HOUR_MS: i64 = 3_600_000;
    // One hour east of Greenwich the day begins at 23:00 there.
    let stats = Stats::new("c", 20 * HOUR_MS, at(0), HOUR_MS);
    stats.topic(&topic("t")).record(5, 1);
    stats.sample(at(10), 22 * HOUR_MS);
    assert_eq!(runtime(&stats, at(10), "msgPutTotalTodayMorning"), "0");
    stats.sample(at(20), 23 * HOUR_MS);
    assert_eq!(runtime(&stats, at(20), "msgPutTotalTodayMorning"), "5");
    stats.topic(&topic("t")).record(2, 1);
    stats.sample(at(30), 47 * HOUR_MS);
    for (key, value) in [
        ("msgPutTotalYesterdayMorning", "5"),
        ("msgPutTotalTodayMorning", "7"),
        ("msgPutTotalTodayNow", "7"),
        ("msgGetTotalTodayNow", "0"),
    ] {
        assert_eq!(runtime(&stats, at(30), key), value, "{key}");
    }
}

#[test]
fn deleting_a_topic_or_group_drops_its_statistics_but_not_the_totals() {
    let stats = stats();
    stats.topic(&topic("t")).record(5, 1);
    stats.group(&topic("t"), &group("g")).record(3, 1);
    stats.group(&topic("u"), &group("g")).record(2, 1);
    stats.forget_topic("t");
    assert!(stats.view("TOPIC_PUT_NUMS", "t").is_err());
    assert!(stats.view("GROUP_GET_NUMS", "t@g").is_err());
    assert!(stats.view("GROUP_GET_NUMS", "u@g").is_ok());
    stats.forget_group("g");
    assert!(stats.view("GROUP_GET_NUMS", "u@g").is_err());
    assert_eq!(runtime(&stats, at(1), "msgPutTotalTodayNow"), "5");
    assert_eq!(runtime(&stats, at(1), "msgGetTotalTodayNow"), "5");
}

#[test]
fn send_times_fall_into_classes() {
    let stats = stats();
    for ms in [0, 9, 10, 999, 20_000] {
        stats.put_took(Duration::from_millis(ms));
    }
    let text = runtime(&stats, at(0), "putMessageDistributeTime");
    for part in ["[<=0ms]:1 ", "[0~10ms]:1 ", "[10~50ms]:1 ", "[500ms~1s]:1 ", "[10s~]:1 "] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert_eq!(runtime(&stats, at(0), "putMessageEntireTimeMax"), "20000");
    stats.sample(at(60), 0);
    assert!(!runtime(&stats, at(60), "putMessageDistributeTime").contains(":1"));
}

#[test]
fn the_runtime_is_told_as_the_reference_tells_it() {
    let stats = stats();
    assert_eq!(runtime(&stats, at(93_784), "runtime"), "[ 1 days, 2 hours, 3 minutes, 4 seconds ]");
    assert_eq!(runtime(&stats, at(0), "putMessageTimesTotal"), "1");
}
