//! All that the name server can say of itself in numbers, for a page of metrics.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use kerolox_wire::command::{COMMANDS, Served};
use kerolox_wire::response::ResponseCode;
use parking_lot::Mutex;

use crate::Handle;
use crate::serve::NameServer;

/// What requests are called whose code is none of a name server's.
const OTHER: &str = "other";

/// Figures at one moment.
#[derive(Debug)]
pub struct Figures {
    /// Clusters that have a broker.
    pub clusters: usize,
    /// Names of brokers, each standing for a primary and its replicas.
    pub brokers: usize,
    /// Topics that some broker serves.
    pub topics: usize,
    /// Registered brokers in order of their names, as many as were asked for.
    pub members: Vec<MemberFigures>,
    /// All registered brokers, told one by one or not.
    pub members_all: usize,
    /// Requests by the reference's name of what was asked; `other` are those that a name server does not serve.
    pub requests: Vec<(&'static str, u64)>,
    /// What was refused: the request, the code of the answer, how often.
    pub refusals: Vec<(&'static str, i32, u64)>,
    /// Brokers taken out, by the reason: one word each.
    pub removed: [(&'static str, u64); 3],
    /// Topics that clients ask for and that are not there.
    pub missing_topics: usize,
    /// What happened on connections.
    pub connections: Vec<(&'static str, u64)>,
}

/// One registered broker.
#[derive(Debug, PartialEq, Eq)]
pub struct MemberFigures {
    /// Its cluster.
    pub cluster: String,
    /// Its name.
    pub broker: String,
    /// Its id among the replicas of that name; 0 is the primary.
    pub id: i64,
    /// Address that clients are told.
    pub addr: String,
    /// Time since it registered or said that nothing changed.
    pub age: Duration,
}

/// Sees a name server's figures, as long as it runs.
#[derive(Clone)]
pub struct Watch(Weak<NameServer>);

impl Handle {
    /// For whoever wants to see figures again and again.
    #[must_use]
    pub fn watch(&self) -> Watch {
        Watch(Arc::downgrade(&self.server))
    }
}

impl Watch {
    /// All figures, `most` registered brokers one by one at most; none once the name server has ended.
    #[must_use]
    pub fn figures(&self, most: usize) -> Option<Figures> {
        Some(self.0.upgrade()?.figures(most))
    }

    /// Whether clients and brokers can use the name server. One that no broker has found yet is ready too: brokers
    /// would never find it otherwise.
    ///
    /// # Errors
    /// A sentence: why not.
    pub fn ready(&self) -> Result<(), String> {
        self.0.upgrade().map(drop).ok_or_else(|| "the name server has ended".to_owned())
    }
}

impl NameServer {
    fn figures(&self, most: usize) -> Figures {
        let routes = self.routes.read();
        let (members, members_all) = routes.members(self.clock.elapsed(), most);
        let size = routes.size();
        Figures {
            clusters: size.clusters,
            brokers: size.brokers,
            topics: size.topics,
            members,
            members_all,
            requests: self.tally.requests(),
            refusals: self.tally.refusals(),
            removed: Removal::ALL.map(|why| (why.word(), self.tally.removed(why))),
            missing_topics: self.missing.list(|topic| routes.route(topic).is_some()).table.len(),
            connections: self.counters.snapshot().rows(),
        }
    }
}

/// Why a broker is no longer known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removal {
    /// It said goodbye.
    Unregistered,
    /// Its connection ended.
    Disconnected,
    /// It was silent for too long.
    Expired,
}

impl Removal {
    const ALL: [Self; 3] = [Self::Unregistered, Self::Disconnected, Self::Expired];

    const fn word(self) -> &'static str {
        match self {
            Self::Unregistered => "unregistered",
            Self::Disconnected => "disconnected",
            Self::Expired => "expired",
        }
    }

    /// As the log says it.
    pub(crate) const fn sentence(self) -> &'static str {
        match self {
            Self::Unregistered => "it said goodbye",
            Self::Disconnected => "its connection ended",
            Self::Expired => "it was silent for too long",
        }
    }
}

/// Counts what is asked and what comes of it. Every request costs one addition; the rest is rare.
#[derive(Debug)]
pub(crate) struct Tally {
    /// Code, name and count of each request that is served here, in order of the codes, then all others.
    requests: Vec<(i32, &'static str, AtomicU64)>,
    refusals: Mutex<BTreeMap<(&'static str, i32), u64>>,
    removed: [AtomicU64; 3],
}

impl Tally {
    pub(crate) fn new() -> Self {
        let served = COMMANDS.iter().filter(|command| command.served == Served::NameServer);
        let mut requests: Vec<_> = served.map(|command| (command.code.0, command.name, AtomicU64::default())).collect();
        requests.sort_unstable_by_key(|(code, ..)| *code);
        requests.push((i32::MAX, OTHER, AtomicU64::default()));
        Self { requests, refusals: Mutex::default(), removed: Default::default() }
    }

    /// Counts a request of that code and the code of its answer.
    pub(crate) fn note(&self, request: i32, answer: ResponseCode) {
        let at = self.requests.binary_search_by_key(&request, |(code, ..)| *code).unwrap_or(self.requests.len() - 1);
        let Some((_, name, count)) = self.requests.get(at) else { return };
        count.fetch_add(1, Ordering::Relaxed);
        if answer != ResponseCode::SUCCESS {
            *self.refusals.lock().entry((name, answer.0)).or_default() += 1;
        }
    }

    /// Counts brokers that are no longer known.
    pub(crate) fn note_removed(&self, why: Removal, count: usize) {
        self.removed[why as usize].fetch_add(count as u64, Ordering::Relaxed);
    }

    fn requests(&self) -> Vec<(&'static str, u64)> {
        self.requests.iter().map(|(_, name, count)| (*name, count.load(Ordering::Relaxed))).collect()
    }

    fn refusals(&self) -> Vec<(&'static str, i32, u64)> {
        self.refusals.lock().iter().map(|((what, code), count)| (*what, *code, *count)).collect()
    }

    fn removed(&self, why: Removal) -> u64 {
        self.removed[why as usize].load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_name_and_strangers_together() {
        let tally = Tally::new();
        for (code, answer) in [
            (105, ResponseCode::SUCCESS),
            (105, ResponseCode::TOPIC_NOT_EXIST),
            (10, ResponseCode::REQUEST_CODE_NOT_SUPPORTED),
            (-7, ResponseCode::REQUEST_CODE_NOT_SUPPORTED),
            (i32::MAX, ResponseCode::REQUEST_CODE_NOT_SUPPORTED),
        ] {
            tally.note(code, answer);
        }
        let counted: Vec<_> = tally.requests().into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [("GET_ROUTEINFO_BY_TOPIC", 2), (OTHER, 3)]);
        assert_eq!(tally.refusals(), [("GET_ROUTEINFO_BY_TOPIC", 17, 1), (OTHER, 3, 3)]);
    }

    #[test]
    fn removals_are_told_apart() {
        let tally = Tally::new();
        tally.note_removed(Removal::Expired, 2);
        tally.note_removed(Removal::Unregistered, 1);
        assert_eq!(Removal::ALL.map(|why| tally.removed(why)), [1, 0, 2]);
    }
}
