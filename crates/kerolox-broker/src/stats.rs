//! What the broker counts, per topic and per group and topic, and how fast the counts grew lately.
//!
//! Counting is a few relaxed additions. Everything else happens in [`Stats::sample`], called every [`SAMPLE_INTERVAL`].

mod history;
mod runtime;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use kerolox_store::Times;
use kerolox_wire::body::BrokerStatsData;
use kerolox_wire::names::{GroupName, TopicName};
use papaya::Equivalent;
use parking_lot::Mutex;

use self::history::{History, Reading};
use self::runtime::{PutTimes, Rates};

/// How often [`Stats::sample`] wants to be called.
pub(crate) const SAMPLE_INTERVAL: Duration = Duration::from_secs(10);
/// Most topics, and most pairs of topic and group, that are counted one by one; the rest is counted together.
pub(crate) const COUNTERS_MAX: usize = 100_000;

const DAY_MS: i64 = 86_400_000;

/// Counts of one topic's sends, or of one group's pulls from one topic.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    messages: AtomicU64,
    bytes: AtomicU64,
    /// Messages beyond the first of each call; so a call of one message adds to two counters and not three.
    beyond_first: AtomicU64,
    send_backs: AtomicU64,
    history: Mutex<History>,
}

impl Counters {
    /// Counts one call that moved `messages` (at least one), stored in `bytes` together.
    pub(crate) fn record(&self, messages: u64, bytes: u64) {
        self.messages.fetch_add(messages, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
        if messages > 1 {
            self.beyond_first.fetch_add(messages - 1, Relaxed);
        }
    }

    /// Counts one message handed back by a consumer.
    pub(crate) fn send_back(&self) {
        self.send_backs.fetch_add(1, Relaxed);
    }

    fn read(&self) -> Reading {
        let messages = self.messages.load(Relaxed);
        Reading {
            messages,
            bytes: self.bytes.load(Relaxed),
            calls: messages.saturating_sub(self.beyond_first.load(Relaxed)),
            send_backs: self.send_backs.load(Relaxed),
        }
    }

    fn sample(&self, at_ms: i64) {
        self.history.lock().sample(at_ms, self.read());
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Pair(TopicName, GroupName);

/// Finds a [`Pair`] without making one; hashes as the pair does, since names hash as their text.
#[derive(Hash)]
struct PairRef<'a>(&'a str, &'a str);

impl Equivalent<Pair> for PairRef<'_> {
    fn equivalent(&self, pair: &Pair) -> bool {
        self.0 == pair.0.as_str() && self.1 == pair.1.as_str()
    }
}

/// Why there are no statistics of that name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("The stats <{name}> <{key}> not exist")]
pub(crate) struct StatsError {
    name: String,
    key: String,
}

/// All that the broker counts.
#[derive(Debug)]
pub(crate) struct Stats {
    cluster_name: String,
    topics: papaya::HashMap<TopicName, Arc<Counters>>,
    groups: papaya::HashMap<Pair, Arc<Counters>>,
    /// What is beyond [`COUNTERS_MAX`], and what was counted of topics and groups that are gone.
    other_puts: Arc<Counters>,
    other_gets: Arc<Counters>,
    misses: AtomicU64,
    put_times: PutTimes,
    /// From the arrival of sends until they may be answered.
    pub(crate) send_times: Times,
    /// Appends to the log, each for all sends that came together.
    pub(crate) store_times: Times,
    /// Pulls that were answered without waiting.
    pub(crate) pull_times: Times,
    longest_pull_ms: AtomicU64,
    boot_ms: i64,
    boot: Duration,
    utc_offset_ms: i64,
    mornings: Mornings,
    rates: Mutex<Rates>,
    broker_puts: Mutex<History>,
    broker_gets: Mutex<History>,
}

/// Totals at the last two midnights.
#[derive(Debug, Default)]
struct Mornings {
    day: AtomicI64,
    puts_yesterday: AtomicU64,
    puts_today: AtomicU64,
    gets_yesterday: AtomicU64,
    gets_today: AtomicU64,
}

/// What the whole broker moved since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Totals {
    puts: u64,
    put_bytes: u64,
    /// Pulls that found something.
    found: u64,
    /// Pulls that did not.
    missed: u64,
    /// Messages that pulls found.
    transferred: u64,
}

impl Stats {
    /// Nothing counted yet. `utc_offset_ms` says when the day changes here.
    #[must_use]
    pub(crate) fn new(cluster_name: &str, now_ms: i64, now: Duration, utc_offset_ms: i64) -> Self {
        let stats = Self {
            cluster_name: cluster_name.to_owned(),
            topics: papaya::HashMap::new(),
            groups: papaya::HashMap::new(),
            other_puts: Arc::default(),
            other_gets: Arc::default(),
            misses: AtomicU64::new(0),
            put_times: PutTimes::default(),
            send_times: Times::default(),
            store_times: Times::default(),
            pull_times: Times::default(),
            longest_pull_ms: AtomicU64::new(0),
            boot_ms: now_ms,
            boot: now,
            utc_offset_ms,
            mornings: Mornings::default(),
            rates: Mutex::new(Rates::starting(now)),
            broker_puts: Mutex::default(),
            broker_gets: Mutex::default(),
        };
        stats.mornings.day.store(stats.day_of(now_ms), Relaxed);
        stats
    }

    /// The counters of what is sent to a topic.
    #[must_use]
    pub(crate) fn topic(&self, topic: &TopicName) -> Arc<Counters> {
        let topics = self.topics.pin();
        if let Some(counters) = topics.get(topic.as_str()) {
            return Arc::clone(counters);
        }
        if topics.len() >= COUNTERS_MAX {
            return Arc::clone(&self.other_puts);
        }
        Arc::clone(topics.get_or_insert_with(topic.clone(), Arc::default))
    }

    /// The counters of what a group pulls from a topic, and of what it hands back.
    #[must_use]
    pub(crate) fn group(&self, topic: &TopicName, group: &GroupName) -> Arc<Counters> {
        let groups = self.groups.pin();
        if let Some(counters) = groups.get(&PairRef(topic.as_str(), group.as_str())) {
            return Arc::clone(counters);
        }
        if groups.len() >= COUNTERS_MAX {
            return Arc::clone(&self.other_gets);
        }
        Arc::clone(groups.get_or_insert_with(Pair(topic.clone(), group.clone()), Arc::default))
    }

    /// Counts a pull that found nothing.
    pub(crate) fn missed(&self) {
        self.misses.fetch_add(1, Relaxed);
    }

    /// Notes how long sends that came together took in the store.
    pub(crate) fn put_took(&self, took: Duration) {
        self.put_times.note(u64::try_from(took.as_millis()).unwrap_or(u64::MAX));
        self.store_times.note(took, 1);
    }

    /// Notes how long a pull took that was answered at once.
    pub(crate) fn pull_took(&self, took: Duration) {
        let ms = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        if ms > self.longest_pull_ms.load(Relaxed) {
            self.longest_pull_ms.fetch_max(ms, Relaxed);
        }
        self.pull_times.note(took, 1);
    }

    /// Remembers all counts for later comparison; `now_ms` decides when a day begins.
    pub(crate) fn sample(&self, now: Duration, now_ms: i64) {
        let at_ms = millis(now);
        for counters in self.topics.pin().values() {
            counters.sample(at_ms);
        }
        for counters in self.groups.pin().values() {
            counters.sample(at_ms);
        }
        let totals = self.totals();
        let reading = |messages| Reading { messages, ..Reading::default() };
        self.broker_puts.lock().sample(at_ms, reading(totals.puts));
        self.broker_gets.lock().sample(at_ms, reading(totals.transferred));
        self.rates.lock().sample(now, totals);
        self.put_times.sample(now);
        let day = self.day_of(now_ms);
        if self.mornings.day.swap(day, Relaxed) != day {
            self.mornings.pass(&totals);
        }
    }

    /// Growth over the last minute, hour and day, by the reference's names.
    ///
    /// # Errors
    /// When nothing of that name was counted.
    pub(crate) fn view(&self, name: &str, key: &str) -> Result<BrokerStatsData, StatsError> {
        type Amount = fn(&Reading) -> u64;
        let messages: Amount = |reading| reading.messages;
        let bytes: Amount = |reading| reading.bytes;
        let calls: Amount = |reading| reading.calls;
        let send_backs: Amount = |reading| reading.send_backs;
        let of = |counters: Arc<Counters>, amount, times| counters.history.lock().view(amount, times);
        let broker = |history: &Mutex<History>| history.lock().view(messages, |_| 0);
        let found = match name {
            "TOPIC_PUT_NUMS" => self.known_topic(key).map(|counters| of(counters, messages, calls)),
            "TOPIC_PUT_SIZE" => self.known_topic(key).map(|counters| of(counters, bytes, calls)),
            "GROUP_GET_NUMS" => self.known_pair(key).map(|counters| of(counters, messages, calls)),
            "GROUP_GET_SIZE" => self.known_pair(key).map(|counters| of(counters, bytes, calls)),
            "SNDBCK_PUT_NUMS" => {
                let handing_back = self.known_pair(key).filter(|counters| counters.send_backs.load(Relaxed) > 0);
                handing_back.map(|counters| of(counters, send_backs, send_backs))
            }
            "BROKER_PUT_NUMS" if key == self.cluster_name => Some(broker(&self.broker_puts)),
            "BROKER_GET_NUMS" if key == self.cluster_name => Some(broker(&self.broker_gets)),
            _ => None,
        };
        found.ok_or_else(|| StatsError { name: name.to_owned(), key: key.to_owned() })
    }

    /// Messages per second that a group pulled from a topic over the last minute.
    #[must_use]
    pub(crate) fn group_get_tps(&self, topic: &str, group: &str) -> f64 {
        let groups = self.groups.pin();
        let counters = groups.get(&PairRef(topic, group));
        counters.map_or(0.0, |counters| counters.history.lock().view(|r| r.messages, |r| r.calls).stats_minute.tps)
    }

    /// Drops the counters of a deleted topic; totals keep what was counted.
    pub(crate) fn forget_topic(&self, topic: &str) {
        if let Some(counters) = self.topics.pin().remove(topic) {
            self.other_puts.absorb(counters);
        }
        self.forget_pairs(|pair| pair.0.as_str() == topic);
    }

    /// Drops the counters of a deleted group; totals keep what was counted.
    pub(crate) fn forget_group(&self, group: &str) {
        self.forget_pairs(|pair| pair.1.as_str() == group);
    }

    fn forget_pairs(&self, gone: impl Fn(&Pair) -> bool) {
        let groups = self.groups.pin();
        for (pair, counters) in groups.iter().filter(|(pair, _)| gone(pair)) {
            if groups.remove(pair).is_some() {
                self.other_gets.absorb(counters);
            }
        }
    }

    fn known_topic(&self, topic: &str) -> Option<Arc<Counters>> {
        self.topics.pin().get(topic).cloned()
    }

    /// The counters of a key `topic@group`.
    fn known_pair(&self, key: &str) -> Option<Arc<Counters>> {
        let (topic, group) = key.split_once('@')?;
        self.groups.pin().get(&PairRef(topic, group)).cloned()
    }

    fn totals(&self) -> Totals {
        let mut totals = Totals { missed: self.misses.load(Relaxed), ..Totals::default() };
        let topics = self.topics.pin();
        for puts in topics.values().chain([&self.other_puts]).map(|counters| counters.read()) {
            totals.puts += puts.messages;
            totals.put_bytes += puts.bytes;
        }
        let groups = self.groups.pin();
        for gets in groups.values().chain([&self.other_gets]).map(|counters| counters.read()) {
            totals.found += gets.calls;
            totals.transferred += gets.messages;
        }
        totals
    }

    fn day_of(&self, now_ms: i64) -> i64 {
        now_ms.saturating_add(self.utc_offset_ms).div_euclid(DAY_MS)
    }
}

impl Counters {
    fn absorb(&self, gone: &Self) {
        self.messages.fetch_add(gone.messages.load(Relaxed), Relaxed);
        self.bytes.fetch_add(gone.bytes.load(Relaxed), Relaxed);
        self.beyond_first.fetch_add(gone.beyond_first.load(Relaxed), Relaxed);
    }
}

impl Mornings {
    fn pass(&self, totals: &Totals) {
        self.puts_yesterday.store(self.puts_today.swap(totals.puts, Relaxed), Relaxed);
        self.gets_yesterday.store(self.gets_today.swap(totals.transferred, Relaxed), Relaxed);
    }
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
