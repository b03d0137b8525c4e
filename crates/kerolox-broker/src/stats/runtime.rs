//! The counts among the answers to a question for the broker's runtime information.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use super::{Stats, Totals, millis};

/// Spans of the average rates.
const SPANS: [Duration; 3] = [Duration::from_secs(10), Duration::from_secs(60), Duration::from_secs(600)];
/// Samples that cover the longest span, 10 s apart, with one to spare on both ends.
const SAMPLES_MAX: usize = 63;

/// Totals over the last ten minutes.
#[derive(Debug)]
pub(super) struct Rates(VecDeque<(Duration, Totals)>);

impl Rates {
    pub(super) fn starting(now: Duration) -> Self {
        Self(VecDeque::from([(now, Totals::default())]))
    }

    pub(super) fn sample(&mut self, now: Duration, totals: Totals) {
        self.0.push_back((now, totals));
        if self.0.len() > SAMPLES_MAX {
            self.0.pop_front();
        }
    }

    /// Averages over the three spans up to `now`, blank-separated; a span longer than what is remembered is cut to it.
    /// (The reference leaves an average out until its span has passed; some tools stumble over that.)
    fn triple(&self, now: Duration, totals: &Totals, amount: fn(&Totals) -> u64) -> String {
        SPANS.map(|span| format!("{:?}", self.average(span, now, totals, amount))).join(" ")
    }

    fn average(&self, span: Duration, now: Duration, totals: &Totals, amount: fn(&Totals) -> u64) -> f64 {
        let old_enough = self.0.iter().rev().find(|(at, _)| now.saturating_sub(*at) >= span);
        let Some((at, before)) = old_enough.or(self.0.front()) else { return 0.0 };
        let seconds = now.saturating_sub(*at).as_secs_f64();
        if seconds > 0.0 { amount(totals).saturating_sub(amount(before)) as f64 / seconds } else { 0.0 }
    }
}

/// Upper ends of the classes of send times, in milliseconds, and their names.
const CLASSES: [(u64, &str); 13] = [
    (1, "[<=0ms]"),
    (10, "[0~10ms]"),
    (50, "[10~50ms]"),
    (100, "[50~100ms]"),
    (200, "[100~200ms]"),
    (500, "[200~500ms]"),
    (1_000, "[500ms~1s]"),
    (2_000, "[1~2s]"),
    (3_000, "[2~3s]"),
    (4_000, "[3~4s]"),
    (5_000, "[4~5s]"),
    (10_000, "[5~10s]"),
    (u64::MAX, "[10s~]"),
];

/// How long sends took in the store: the longest ever, and how many of which length within the last minute.
#[derive(Debug, Default)]
pub(super) struct PutTimes {
    longest_ms: AtomicU64,
    classes: [AtomicU64; CLASSES.len()],
    since_ms: AtomicI64,
}

impl PutTimes {
    pub(super) fn note(&self, ms: u64) {
        let class = CLASSES.iter().zip(&self.classes).find(|((end, _), _)| ms < *end);
        if let Some((_, count)) = class {
            count.fetch_add(1, Relaxed);
        }
        if ms > self.longest_ms.load(Relaxed) {
            self.longest_ms.fetch_max(ms, Relaxed);
        }
    }

    pub(super) fn sample(&self, now: Duration) {
        let now_ms = millis(now);
        if now_ms - self.since_ms.load(Relaxed) >= 60_000 {
            self.since_ms.store(now_ms, Relaxed);
            self.classes.iter().for_each(|count| count.store(0, Relaxed));
        }
    }

    fn text(&self) -> String {
        let mut text = String::new();
        for ((_, name), count) in CLASSES.iter().zip(&self.classes) {
            let _ = write!(text, "{name}:{} ", count.load(Relaxed));
        }
        text
    }
}

impl Stats {
    /// The counted part of the broker's runtime information, under the reference's keys.
    #[must_use]
    pub(crate) fn runtime(&self, now: Duration) -> Vec<(&'static str, String)> {
        let totals = self.totals();
        // The reference says 1 as long as nothing was sent, to have something to divide by.
        let puts = totals.puts.max(1);
        let rates = self.rates.lock();
        let triple = |amount: fn(&Totals) -> u64| rates.triple(now, &totals, amount);
        let mornings = &self.mornings;
        let count = |count: &AtomicU64| count.load(Relaxed).to_string();
        vec![
            ("bootTimestamp", self.boot_ms.to_string()),
            ("runtime", running_for(now.saturating_sub(self.boot))),
            ("putMessageEntireTimeMax", count(&self.put_times.longest_ms)),
            ("putMessageTimesTotal", puts.to_string()),
            ("putMessageSizeTotal", totals.put_bytes.to_string()),
            ("putMessageDistributeTime", self.put_times.text()),
            ("putMessageAverageSize", format!("{:?}", totals.put_bytes as f64 / puts as f64)),
            ("dispatchMaxBuffer", "0".to_owned()),
            ("getMessageEntireTimeMax", count(&self.longest_pull_ms)),
            ("putTps", triple(|totals| totals.puts)),
            ("getFoundTps", triple(|totals| totals.found)),
            ("getMissTps", triple(|totals| totals.missed)),
            ("getTotalTps", triple(|totals| totals.found + totals.missed)),
            ("getTransferedTps", triple(|totals| totals.transferred)),
            ("msgPutTotalYesterdayMorning", count(&mornings.puts_yesterday)),
            ("msgPutTotalTodayMorning", count(&mornings.puts_today)),
            ("msgPutTotalTodayNow", totals.puts.to_string()),
            ("msgGetTotalYesterdayMorning", count(&mornings.gets_yesterday)),
            ("msgGetTotalTodayMorning", count(&mornings.gets_today)),
            ("msgGetTotalTodayNow", totals.transferred.to_string()),
        ]
    }
}

fn running_for(time: Duration) -> String {
    let seconds = time.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    format!("[ {days} days, {hours} hours, {minutes} minutes, {} seconds ]", seconds % 60)
}
