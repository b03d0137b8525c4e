//! Figures of the whole cluster over time, taken only while somebody looks.
//!
//! The first page that subscribes starts a task; it ends after the last page has gone. All pages share what it takes.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use kerolox_client::{Client, ClientError, TOPIC_PUT_NUMS};
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::watch;

use crate::api::cluster::{Kind, Node, in_parallel, kind, nodes};

/// Time between two looks.
const INTERVAL: Duration = Duration::from_secs(5);
/// A look that takes long must not be taken often: the pause is so many times its length, within limits.
const PAUSE_FACTOR: u32 = 20;
/// Longest pause: a broker that does not answer makes a look long, and costs nothing.
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Looks that are remembered: an hour.
const HISTORY_MAX: usize = 720;
/// Pages that watch at one moment.
const WATCHERS_MAX: usize = 64;
/// Topics whose rates are asked for at each look, in turn when there are more.
const TOPICS_PER_LOOK: usize = 200;
/// Length of the lists of the busiest.
const TOP_MAX: usize = 10;
/// Longest wait for one broker's answer.
const LAG_TIMEOUT: Duration = Duration::from_secs(10);

/// One broker at one moment.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct BrokerFigures {
    /// Who it is.
    #[serde(flatten)]
    pub(crate) node: Node,
    /// Its release, as it says.
    pub(crate) version: String,
    /// Messages stored per second, last 10 s.
    pub(crate) put_tps: f64,
    /// Messages read per second, last 10 s.
    pub(crate) get_tps: f64,
    /// Messages stored since its start (4.7.1: since midnight).
    pub(crate) put_total: u64,
    /// Used part of its disk, 0 to 1.
    pub(crate) disk_ratio: f64,
    /// Bytes not flushed yet, as the broker writes them: `1.5 KiB`.
    pub(crate) unflushed: String,
    /// Bytes not dispatched yet.
    pub(crate) undispatched: u64,
    /// When it was started, ms since 1970.
    pub(crate) boot_ms: i64,
    /// Why it does not answer.
    pub(crate) error: Option<String>,
}

/// A name with a figure.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Ranked {
    name: String,
    value: f64,
}

/// The cluster at one moment.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Look {
    /// When, ms since 1970.
    at_ms: i64,
    put_tps: f64,
    get_tps: f64,
    /// Messages that groups have not consumed yet.
    lag: i64,
    brokers: Vec<BrokerFigures>,
    /// Topics with the most messages stored per second.
    top_topics: Vec<Ranked>,
    /// Groups with the most messages not consumed yet.
    top_groups: Vec<Ranked>,
    topics: usize,
    groups: usize,
    /// What could not be found out.
    errors: Vec<String>,
}

/// The shared watch.
pub(crate) struct Live {
    client: Client,
    state: Arc<State>,
}

struct State {
    history: Mutex<VecDeque<Arc<Look>>>,
    news: watch::Sender<Option<Arc<Look>>>,
    /// Whether the task runs; decided under this lock by subscribers and by the task when it wants to end.
    running: Mutex<bool>,
}

/// What comes to a watcher: the newest look.
pub(crate) type News = watch::Receiver<Option<Arc<Look>>>;

/// There are too many watchers.
#[derive(Debug)]
pub(crate) struct Crowded;

impl Live {
    pub(crate) fn new(client: Client) -> Self {
        let state = State { history: Mutex::default(), news: watch::Sender::new(None), running: Mutex::new(false) };
        Self { client, state: Arc::new(state) }
    }

    /// Begins to watch: what is remembered, and what comes.
    pub(crate) fn watch(&self) -> Result<(Vec<Arc<Look>>, News), Crowded> {
        let mut running = self.state.running.lock();
        if self.state.news.receiver_count() >= WATCHERS_MAX {
            return Err(Crowded);
        }
        let mut news = self.state.news.subscribe();
        news.mark_unchanged();
        if !*running {
            *running = true;
            tokio::spawn(look_on(self.client.clone(), Arc::clone(&self.state)));
        }
        Ok((self.state.history.lock().iter().cloned().collect(), news))
    }
}

async fn look_on(client: Client, state: Arc<State>) {
    let mut rates = Rates::default();
    loop {
        let before = client.clock().elapsed();
        let look = Arc::new(look(&client, &mut rates).await);
        let took = client.clock().elapsed().saturating_sub(before);
        {
            let mut history = state.history.lock();
            if history.len() == HISTORY_MAX {
                history.pop_front();
            }
            history.push_back(Arc::clone(&look));
        }
        state.news.send_replace(Some(look));
        let pause = took.saturating_mul(PAUSE_FACTOR).clamp(INTERVAL, PAUSE_MAX);
        tokio::select! {
            () = tokio::time::sleep(pause) => {}
            () = state.news.closed() => {}
        }
        let mut running = state.running.lock();
        if state.news.receiver_count() == 0 {
            *running = false;
            return;
        }
    }
}

/// Rates of topics, as last heard.
#[derive(Debug, Default)]
struct Rates {
    known: HashMap<String, f64>,
    next: usize,
}

impl Rates {
    /// The topics to ask for now: the busiest known ones, and the next of all others.
    fn turn(&mut self, all: &[String]) -> Vec<String> {
        let mut turn: Vec<String> = self.top().into_iter().map(|ranked| ranked.name).collect();
        let count = TOPICS_PER_LOOK.min(all.len());
        let start = if all.is_empty() { 0 } else { self.next % all.len() };
        turn.extend(all.iter().cycle().skip(start).take(count).cloned());
        self.next = start + count;
        turn.sort_unstable();
        turn.dedup();
        turn
    }

    fn top(&self) -> Vec<Ranked> {
        top(self.known.iter().map(|(name, rate)| (name.clone(), *rate)))
    }
}

fn top(all: impl Iterator<Item = (String, f64)>) -> Vec<Ranked> {
    let mut ranked: Vec<Ranked> =
        all.filter(|(_, value)| *value > 0.0).map(|(name, value)| Ranked { name, value }).collect();
    ranked.sort_by(|a, b| b.value.total_cmp(&a.value).then_with(|| a.name.cmp(&b.name)));
    ranked.truncate(TOP_MAX);
    ranked
}

async fn look(client: &Client, rates: &mut Rates) -> Look {
    let mut look = Look { at_ms: client.clock().wall_ms(), ..Look::default() };
    let nodes = match nodes(client).await {
        Ok(nodes) => nodes,
        Err(why) => {
            look.errors.push(why.to_string());
            return look;
        }
    };
    look.brokers = in_parallel(nodes.clone(), |node| figures(client, node)).await;
    for broker in &look.brokers {
        look.put_tps += broker.put_tps;
        look.get_tps += broker.get_tps;
        look.errors.extend(broker.error.clone());
    }
    let masters: Vec<Node> = nodes.into_iter().filter(|node| node.id == 0).collect();
    lags(client, &masters, &mut look).await;
    match client.topic_names().await {
        Ok(names) => {
            // Clusters and brokers have topics of their names.
            let named = |name: &str| look.brokers.iter().any(|b| b.node.cluster == name || b.node.name == name);
            let fits = |name: &String| kind(name) != Kind::System && !named(name);
            let own: Vec<String> = names.into_iter().filter(fits).collect();
            look.topics = own.iter().filter(|name| !name.starts_with('%')).count();
            rates.known.retain(|name, _| own.binary_search(name).is_ok());
            let turn = rates.turn(&own);
            let masters = &masters;
            let asked = in_parallel(turn, |topic| async move { (rate(client, masters, &topic).await, topic) }).await;
            rates.known.extend(asked.into_iter().map(|(rate, topic)| (topic, rate)));
            look.top_topics = rates.top();
        }
        Err(why) => look.errors.push(why.to_string()),
    }
    look
}

async fn lags(client: &Client, masters: &[Node], look: &mut Look) {
    let mut lag: BTreeMap<String, i64> = BTreeMap::new();
    let asked = in_parallel(masters.to_vec(), |master| async move {
        client.broker_consume_stats(&master.address, false, LAG_TIMEOUT).await
    });
    for answer in asked.await {
        let stats = match answer {
            Ok(stats) => stats,
            Err(why) => {
                look.errors.push(why.to_string());
                continue;
            }
        };
        for (group, parts) in stats.consume_stats_list.into_iter().flatten() {
            let behind = parts.iter().flat_map(|part| part.offset_table.iter()).map(|(_, at)| at.diff().max(0));
            let sum = lag.entry(group).or_default();
            *sum = behind.fold(*sum, i64::saturating_add);
        }
    }
    look.groups = lag.len();
    look.lag = lag.values().fold(0, |sum, lag| sum.saturating_add(*lag));
    #[allow(clippy::cast_precision_loss, reason = "a figure for people")]
    let as_figure = |lag: i64| lag as f64;
    look.top_groups = top(lag.into_iter().map(|(group, lag)| (group, as_figure(lag))));
}

/// Messages per second stored in a topic. A broker that has stored none knows no such statistic.
async fn rate(client: &Client, masters: &[Node], topic: &str) -> f64 {
    let mut sum = 0.0;
    for master in masters {
        if let Ok(stats) = client.stats(&master.address, TOPIC_PUT_NUMS, topic).await {
            sum += stats.stats_minute.tps;
        }
    }
    sum
}

/// What a broker says of itself.
pub(crate) async fn figures(client: &Client, node: Node) -> BrokerFigures {
    let info = client.runtime_info(&node.address).await;
    from_info(node, info)
}

fn from_info(node: Node, info: Result<BTreeMap<String, String>, ClientError>) -> BrokerFigures {
    let (info, error) = match info {
        Ok(info) => (info, None),
        Err(why) => (BTreeMap::new(), Some(why.to_string())),
    };
    // Rates are three averages, the shortest first.
    let first = |key: &str| info.get(key).and_then(|text| text.split(' ').next()).unwrap_or_default();
    let number = |key: &str| first(key).parse::<f64>().unwrap_or_default();
    let whole = |key: &str| first(key).parse::<u64>().unwrap_or_default();
    BrokerFigures {
        version: first("brokerVersionDesc").to_owned(),
        put_tps: number("putTps"),
        get_tps: number("getTransferedTps"),
        put_total: whole("msgPutTotalTodayNow"),
        disk_ratio: number("commitLogDiskRatio").clamp(0.0, 1.0),
        unflushed: info.get("remainHowManyDataToFlush").cloned().unwrap_or_default(),
        undispatched: whole("dispatchBehindBytes"),
        boot_ms: first("bootTimestamp").parse().unwrap_or_default(),
        node,
        error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_take_turns_and_the_busiest_are_always_asked() {
        let all: Vec<String> = (0..450).map(|i| format!("t{i:03}")).collect();
        let mut rates = Rates::default();
        rates.known.insert("t449".to_owned(), 5.0);
        let mut seen = std::collections::HashSet::new();
        for _ in 0..3 {
            let turn = rates.turn(&all);
            assert!(turn.len() <= TOPICS_PER_LOOK + TOP_MAX && turn.contains(&"t449".to_owned()));
            seen.extend(turn);
        }
        assert_eq!(seen.len(), 450);
        assert!(Rates::default().turn(&[]).is_empty());
    }

    #[test]
    fn ranks_leave_out_what_does_not_move() {
        let ranked = top([("a", 1.0), ("b", 0.0), ("c", 3.0)].into_iter().map(|(n, v)| (n.to_owned(), v)));
        assert_eq!(ranked.iter().map(|r| r.name.as_str()).collect::<Vec<_>>(), ["c", "a"]);
    }

    #[test]
    fn the_first_of_three_averages_counts() {
        let node = Node { cluster: "c".to_owned(), name: "b".to_owned(), id: 0, address: "a:1".to_owned() };
        let info = [("putTps", "1.5 2.0 3.0"), ("commitLogDiskRatio", "7"), ("bootTimestamp", "12")];
        let info = info.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let figures = from_info(node, Ok(info));
        assert!((figures.put_tps - 1.5).abs() < 1e-9 && (figures.disk_ratio - 1.0).abs() < 1e-9);
        assert_eq!((figures.boot_ms, figures.get_tps.to_bits()), (12, 0));
    }
}
