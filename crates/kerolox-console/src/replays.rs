//! Dead letters sent again, many of them, at a chosen rate: one run a group, kept in a file so that it can go on after the
//! console has ended. How far a run has come is written a few times a second; after a kill, what was sent since is sent
//! once more.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kerolox_client::{Client, Message};
use kerolox_wire::names::{DLQ_PREFIX, GroupName, TopicName};
use kerolox_wire::properties;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

use crate::api::dead_letters::{Target, send_again};
use crate::error::Failure;
use crate::file::replace;
use crate::span::{Part, places, read};

/// Messages read at once.
const STEP: i64 = 32;
/// Time between two writes of the file while a run is under way.
const SAVE_EVERY: Duration = Duration::from_millis(250);
/// Failures that are told one by one.
const ERRORS_MAX: usize = 20;
/// Most runs that are remembered.
const RUNS_MAX: usize = 200;
/// Fastest rate, messages a second.
pub(crate) const RATE_MAX: u32 = 10_000;

/// Which dead letters. What is empty fits all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Wanted {
    /// Earliest store time, ms since 1970.
    pub(crate) from_ms: Option<i64>,
    /// Latest store time.
    pub(crate) to_ms: Option<i64>,
    /// Its tag.
    pub(crate) tag: String,
    /// Found in its body, keys or ids.
    pub(crate) text: String,
}

impl Wanted {
    fn fits(&self, message: &Message) -> bool {
        let at = message.store_timestamp;
        let has = |text: Option<&str>| text.is_some_and(|text| text.contains(&self.text));
        let said = || {
            has(Some(&message.id()))
                || has(message.keys())
                || has(message.properties.get(properties::ORIGIN_MESSAGE_ID))
                || has(std::str::from_utf8(&message.body).ok())
        };
        self.from_ms.is_none_or(|from| at >= from)
            && self.to_ms.is_none_or(|to| at <= to)
            && (self.tag.is_empty() || message.tags() == Some(self.tag.as_str()))
            && (self.text.is_empty() || said())
    }
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum State {
    /// It sends.
    Running,
    /// It waits to be told to go on.
    Paused,
    /// All was looked at.
    Done,
}

/// How far one queue was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    broker: String,
    queue: i32,
    next: i64,
    /// What came later does not belong to the run.
    end: i64,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Run {
    pub(crate) to: Target,
    pub(crate) per_second: u32,
    pub(crate) wanted: Wanted,
    places: Vec<Place>,
    pub(crate) state: State,
    pub(crate) sent: u64,
    /// Looked at and not wanted.
    pub(crate) passed_over: u64,
    pub(crate) failed: u64,
    /// The first of the failures: an id and why.
    pub(crate) errors: Vec<String>,
    /// Why it paused by itself.
    pub(crate) trouble: Option<String>,
    /// Counts how often it was let go on, so that who was told to pause does not go on beside the next.
    #[serde(skip)]
    turn: u64,
}

impl Run {
    /// Lets it go on; false when it runs already or is done.
    pub(crate) fn go_on(&mut self) -> bool {
        let paused = self.state == State::Paused;
        if paused {
            self.state = State::Running;
            self.trouble = None;
            self.turn += 1;
        }
        paused
    }

    /// Messages that are still to be looked at.
    pub(crate) fn left(&self) -> i64 {
        self.places.iter().map(|place| place.end.saturating_sub(place.next).max(0)).fold(0, i64::saturating_add)
    }
}

/// All runs, by group.
pub(crate) struct Replays {
    file: PathBuf,
    runs: Mutex<BTreeMap<String, Run>>,
    /// Held by whoever writes the file: several groups may send at once.
    writing: Arc<tokio::sync::Mutex<()>>,
    /// Held by whoever sends for a group, so that a run that goes on begins where the paused one has really stopped.
    senders: Mutex<BTreeMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Replays {
    /// Reads the file. What ran when the console ended waits until somebody wants it to go on.
    pub(crate) fn open(file: PathBuf) -> io::Result<Self> {
        let mut runs: BTreeMap<String, Run> = match std::fs::read(&file) {
            Ok(text) => serde_json::from_slice(&text)?,
            Err(why) if why.kind() == io::ErrorKind::NotFound => BTreeMap::new(),
            Err(why) => return Err(why),
        };
        for run in runs.values_mut().filter(|run| run.state == State::Running) {
            run.state = State::Paused;
            run.trouble = Some("the console has ended meanwhile".to_owned());
        }
        Ok(Self { file, runs: Mutex::new(runs), writing: Arc::default(), senders: Mutex::default() })
    }

    /// The run of a group.
    pub(crate) fn get(&self, group: &str) -> Option<Run> {
        self.runs.lock().get(group).cloned()
    }

    /// Begins a run over what the group has by now.
    pub(crate) async fn begin(
        &self,
        client: &Client,
        group: &GroupName,
        to: Target,
        per_second: u32,
        wanted: Wanted,
    ) -> Result<Run, Failure> {
        let topic = TopicName::parse(&format!("{DLQ_PREFIX}{group}"))?;
        let mut found = Vec::new();
        for part in places(client, &topic).await? {
            let id = part.queue.queue_id;
            let next = client.min_offset(&part.address, &topic, id).await?;
            let end = client.max_offset(&part.address, &topic, id).await?;
            found.push(Place { broker: part.queue.broker_name, queue: id, next, end });
        }
        let run = Run {
            to,
            per_second,
            wanted,
            places: found,
            state: State::Running,
            sent: 0,
            passed_over: 0,
            failed: 0,
            errors: Vec::new(),
            trouble: None,
            turn: 0,
        };
        {
            let mut runs = self.runs.lock();
            if runs.get(group.as_str()).is_some_and(|known| known.state == State::Running) {
                return Err(Failure::conflict(format!("dead letters of [{group}] are being replayed already")));
            }
            if runs.len() >= RUNS_MAX {
                runs.retain(|_, run| run.state != State::Done);
            }
            if runs.len() >= RUNS_MAX {
                return Err(Failure::conflict(format!("{RUNS_MAX} replays are not done; forget some of them first")));
            }
            runs.insert(group.to_string(), run.clone());
        }
        self.save().await?;
        Ok(run)
    }

    /// Changes a run.
    pub(crate) async fn change(&self, group: &str, change: impl FnOnce(&mut Run)) -> Result<Run, Failure> {
        let changed = {
            let mut runs = self.runs.lock();
            let run = runs.get_mut(group).ok_or_else(|| Failure::absent("there is no replay of this group"))?;
            change(run);
            run.clone()
        };
        self.save().await?;
        Ok(changed)
    }

    /// Forgets a run that does not run.
    pub(crate) async fn forget(&self, group: &str) -> Result<(), Failure> {
        {
            let mut runs = self.runs.lock();
            if runs.get(group).is_some_and(|run| run.state == State::Running) {
                return Err(Failure::conflict("the replay runs; pause it first"));
            }
            runs.remove(group).ok_or_else(|| Failure::absent("there is no replay of this group"))?;
        }
        self.save().await
    }

    async fn save(&self) -> Result<(), Failure> {
        let failed = |why: String| Failure::conflict(format!("how far the replay has come cannot be kept: {why}"));
        // Goes with the writing thread, which goes on when nobody waits for it any more.
        let alone = Arc::clone(&self.writing).lock_owned().await;
        let text = serde_json::to_vec_pretty(&*self.runs.lock()).map_err(|why| failed(why.to_string()))?;
        let file = self.file.clone();
        let written = tokio::task::spawn_blocking(move || {
            let written = replace(&file, &text);
            drop(alone);
            written
        });
        written.await.map_err(|why| failed(why.to_string()))?.map_err(|why| failed(why.to_string()))
    }

    /// Sends until all is looked at, or the run is paused, or something fails that concerns more than one message.
    pub(crate) async fn run(&self, client: &Client, group: &GroupName) {
        let Some(turn) = self.get(group.as_str()).map(|run| run.turn) else { return };
        let sender = Arc::clone(self.senders.lock().entry(group.to_string()).or_default());
        let _alone = sender.lock().await;
        let outcome = self.work(client, group, turn).await;
        let ended = self.change(group.as_str(), |run| match &outcome {
            _ if run.turn != turn => {}
            Err(why) => {
                run.state = State::Paused;
                run.trouble = Some(why.sentence().to_owned());
            }
            Ok(()) if run.state == State::Running && run.left() == 0 => run.state = State::Done,
            Ok(()) => {}
        });
        if let Err(why) = ended.await {
            tracing::error!(%group, why = why.sentence(), "a replay of dead letters");
        }
    }

    /// The run, as long as it runs by this turn.
    fn running(&self, group: &GroupName, turn: u64) -> Option<Run> {
        self.get(group.as_str()).filter(|run| run.state == State::Running && run.turn == turn)
    }

    async fn work(&self, client: &Client, group: &GroupName, turn: u64) -> Result<(), Failure> {
        let topic = TopicName::parse(&format!("{DLQ_PREFIX}{group}"))?;
        let queues = places(client, &topic).await?;
        let mut saved = client.clock().elapsed();
        let mut pace = Pace::default();
        while let Some(run) = self.running(group, turn) {
            let Some(at) = run.places.iter().position(|place| place.next < place.end) else { return Ok(()) };
            let Some(place) = run.places.get(at) else { return Ok(()) };
            let own = queues.iter().find(|p| p.queue.broker_name == place.broker && p.queue.queue_id == place.queue);
            let own = own.ok_or_else(|| Failure::absent(format!("the broker [{}] is not there", place.broker)))?;
            let end = place.end.min(place.next.saturating_add(STEP));
            let part = Part { begin: place.next, end, ..own.clone() };
            let (messages, next) = read(client, &topic, &part, place.next).await?;
            for message in &messages {
                if self.running(group, turn).is_none() {
                    return Ok(());
                }
                let sent = if run.wanted.fits(message) {
                    pace.wait(client, run.per_second).await;
                    if self.running(group, turn).is_none() {
                        return Ok(());
                    }
                    Some(send_again(client, group, message, run.to).await)
                } else {
                    None
                };
                self.looked_at(group, at, message, sent);
                if client.clock().elapsed().saturating_sub(saved) >= SAVE_EVERY {
                    self.save().await?;
                    saved = client.clock().elapsed();
                }
            }
            // What retention has taken meanwhile is gone.
            self.note(group, |run| {
                if let Some(place) = run.places.get_mut(at) {
                    place.next = place.next.max(next);
                }
            });
        }
        Ok(())
    }

    fn looked_at(&self, group: &GroupName, at: usize, message: &Message, sent: Option<Result<String, Failure>>) {
        self.note(group, |run| {
            match sent {
                None => run.passed_over += 1,
                Some(Ok(_)) => run.sent += 1,
                Some(Err(why)) => {
                    run.failed += 1;
                    if run.errors.len() < ERRORS_MAX {
                        run.errors.push(format!("{}: {}", message.id(), why.sentence()));
                    }
                }
            }
            if let Some(place) = run.places.get_mut(at) {
                place.next = message.queue_offset.to_wire().saturating_add(1);
            }
        });
    }

    fn note(&self, group: &GroupName, change: impl FnOnce(&mut Run)) {
        if let Some(run) = self.runs.lock().get_mut(group.as_str()) {
            change(run);
        }
    }
}

/// Spreads sends over time.
#[derive(Default)]
struct Pace {
    next: Duration,
}

impl Pace {
    async fn wait(&mut self, client: &Client, per_second: u32) {
        let now = client.clock().elapsed();
        if let Some(pause) = self.next.checked_sub(now) {
            tokio::time::sleep(pause).await;
        }
        self.next = self.next.max(now) + Duration::from_secs(1) / per_second.clamp(1, RATE_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(state: State) -> Run {
        Run {
            to: Target::Group,
            per_second: 5,
            wanted: Wanted::default(),
            places: vec![Place { broker: "b".to_owned(), queue: 0, next: 3, end: 10 }],
            state,
            sent: 3,
            passed_over: 0,
            failed: 0,
            errors: vec![],
            trouble: None,
            turn: 0,
        }
    }

    #[tokio::test]
    async fn a_run_outlives_the_console_and_waits_to_be_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("new/replays.json");
        let replays = Replays::open(file.clone()).unwrap();
        replays.runs.lock().insert("g".to_owned(), run(State::Running));
        assert!(replays.forget("g").await.is_err(), "it runs");
        replays.change("g", |run| run.sent += 1).await.unwrap();
        let again = Replays::open(file).unwrap();
        let known = again.get("g").unwrap();
        assert_eq!((known.state, known.sent, known.left()), (State::Paused, 4, 7));
        assert!(known.trouble.is_some());
        again.forget("g").await.unwrap();
        assert!(again.get("g").is_none() && again.forget("g").await.is_err());
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn groups_that_send_at_once_do_not_disturb_each_others_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("replays.json");
        let replays = Arc::new(Replays::open(file.clone()).unwrap());
        for group in 0..8 {
            replays.runs.lock().insert(format!("g{group}"), run(State::Paused));
        }
        let saves: Vec<_> = (0..8)
            .map(|group| {
                let replays = Arc::clone(&replays);
                tokio::spawn(async move {
                    for _ in 0..20 {
                        replays.change(&format!("g{group}"), |run| run.sent += 1).await.unwrap();
                    }
                })
            })
            .collect();
        for save in saves {
            save.await.unwrap();
        }
        let again = Replays::open(file).unwrap();
        assert!((0..8).all(|group| again.get(&format!("g{group}")).unwrap().sent == 23));
    }

    #[test]
    fn a_damaged_file_is_told() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("r"), "{").unwrap();
        assert!(Replays::open(dir.path().join("r")).is_err());
    }
}
