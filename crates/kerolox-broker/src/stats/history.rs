//! Counts remembered over the last minute, hour and day.

use std::collections::VecDeque;

use kerolox_wire::body::{BrokerStatsData, BrokerStatsItem};

/// Distance of samples, as in [`super::SAMPLE_INTERVAL`].
const SAMPLE_MS: i64 = 10_000;
const _: () = assert!(super::SAMPLE_INTERVAL.as_millis() == SAMPLE_MS as u128);

/// Counts at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) messages: u64,
    pub(super) bytes: u64,
    pub(super) calls: u64,
    pub(super) send_backs: u64,
}

/// Samples at a fixed distance, the oldest dropped.
#[derive(Debug, Default)]
struct Samples(VecDeque<(i64, Reading)>);

impl Samples {
    fn sample(&mut self, every_ms: i64, most: usize, at_ms: i64, reading: Reading) {
        match self.0.back() {
            Some((last_ms, _)) if at_ms - last_ms < every_ms => return,
            Some(_) => {}
            // As if it had stood at nothing one sample ago, so that the first sample already shows growth.
            None => self.0.push_back((at_ms.saturating_sub(SAMPLE_MS), Reading::default())),
        }
        self.0.push_back((at_ms, reading));
        if self.0.len() > most {
            self.0.pop_front();
        }
    }

    /// Growth from the oldest sample to the latest of all, whichever span that one was kept for: the hour and the day
    /// count from the first moments on, where 4.7.1 has them at 0 until their second sample.
    fn rate(
        &self,
        latest: &(i64, Reading),
        amount: fn(&Reading) -> u64,
        times: fn(&Reading) -> u64,
    ) -> BrokerStatsItem {
        let (Some((from_ms, first)), (to_ms, last)) = (self.0.front(), latest) else {
            return BrokerStatsItem::default();
        };
        let sum = amount(last).saturating_sub(amount(first));
        let calls = times(last).saturating_sub(times(first));
        let tps = if to_ms > from_ms { sum as f64 * 1000.0 / (to_ms - from_ms) as f64 } else { 0.0 };
        let avgpt = if calls > 0 { sum as f64 / calls as f64 } else { 0.0 };
        BrokerStatsItem { avgpt, sum: sum.cast_signed(), tps }
    }
}

/// Samples of one counter for the three spans that are asked for.
#[derive(Debug, Default)]
pub(super) struct History {
    latest: (i64, Reading),
    minute: Samples,
    hour: Samples,
    day: Samples,
}

impl History {
    pub(super) fn sample(&mut self, at_ms: i64, reading: Reading) {
        self.minute.sample(SAMPLE_MS, 7, at_ms, reading);
        self.latest = (at_ms, reading);
        self.hour.sample(600_000, 7, at_ms, reading);
        self.day.sample(3_600_000, 25, at_ms, reading);
    }

    pub(super) fn view(&self, amount: fn(&Reading) -> u64, times: fn(&Reading) -> u64) -> BrokerStatsData {
        BrokerStatsData {
            stats_minute: self.minute.rate(&self.latest, amount, times),
            stats_hour: self.hour.rate(&self.latest, amount, times),
            stats_day: self.day.rate(&self.latest, amount, times),
        }
    }
}
