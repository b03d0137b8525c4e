//! Topics that clients ask the route of and that are not there: with automatic creation off, that is all that is ever
//! seen of a producer whose topic is missing, since it never comes to send.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use kerolox_wire::body::KvTable;
use kerolox_wire::names::{DLQ_PREFIX, RETRY_PREFIX, TopicName, topics};
use parking_lot::Mutex;

/// Namespace under which the keys of the name server tell them: topic to `count last-ms client`.
pub const MISSING_TOPICS: &str = "KEROLOX_MISSING_TOPICS";
/// Most topics that are remembered; the one that was asked for longest ago makes room.
const MISSING_MAX: usize = 200;

#[derive(Debug, Clone, Copy)]
struct Asked {
    count: u64,
    last_ms: i64,
    client: SocketAddr,
}

/// Topics asked for in vain.
#[derive(Debug, Default)]
pub(crate) struct Missing(Mutex<BTreeMap<TopicName, Asked>>);

impl Missing {
    /// Remembers a question. Retry topics are made by their group's first failure, so nobody misses them.
    pub(crate) fn note(&self, topic: &str, client: SocketAddr, now_ms: i64) {
        let Ok(topic) = TopicName::parse(topic) else { return };
        // What nobody can make, or has switched off on purpose, is not missing either.
        if topic.check_as_new().is_err() || topics::SYSTEM.contains(&topic.as_str()) {
            return;
        }
        if topic.as_str().starts_with(RETRY_PREFIX) || topic.as_str().starts_with(DLQ_PREFIX) {
            return;
        }
        let missing = &mut self.0.lock();
        if missing.len() >= MISSING_MAX && !missing.contains_key(&topic) {
            let oldest = missing.iter().min_by_key(|(_, asked)| asked.last_ms).map(|(name, _)| name.clone());
            oldest.map(|name| missing.remove(&name));
        }
        let asked = missing.entry(topic).or_insert(Asked { count: 0, last_ms: now_ms, client });
        *asked = Asked { count: asked.count + 1, last_ms: now_ms, client };
    }

    /// Forgets those that are `there` by now: when such a topic is deleted later, nobody has asked for it since.
    pub(crate) fn forget(&self, there: impl Fn(&str) -> bool) {
        self.0.lock().retain(|topic, _| !there(topic.as_str()));
    }

    /// Those that are not `there` by now; the others are forgotten.
    pub(crate) fn list(&self, there: impl Fn(&str) -> bool) -> KvTable {
        self.forget(there);
        let missing = self.0.lock();
        let told = |asked: &Asked| format!("{} {} {}", asked.count, asked.last_ms, asked.client);
        KvTable { table: missing.iter().map(|(topic, asked)| (topic.to_string(), told(asked))).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_in_vain_is_told_until_it_is_there() {
        let missing = Missing::default();
        let from = |port| SocketAddr::from(([127, 0, 0, 1], port));
        for (topic, ms) in
            [("a", 1), ("b", 2), ("a", 3), ("%RETRY%g", 4), ("%DLQ%g", 4), ("../x", 5), ("TBW102", 6), ("a.b", 6)]
        {
            missing.note(topic, from(7), ms);
        }
        let told = missing.list(|_| false).table;
        assert_eq!(
            told.into_iter().map(|(k, v)| format!("{k} {v}")).collect::<Vec<_>>(),
            ["a 2 3 127.0.0.1:7", "b 1 2 127.0.0.1:7"]
        );
        assert_eq!(missing.list(|topic| topic == "a").table.len(), 1);
        for n in 0..=MISSING_MAX {
            missing.note(&format!("t{n}"), from(7), 10);
        }
        let told = missing.list(|_| false).table;
        assert!(told.len() == MISSING_MAX && !told.contains_key("b"));
    }
}
