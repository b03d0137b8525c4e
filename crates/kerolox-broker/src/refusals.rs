//! What was refused, counted; sends to topics that are not there, with who sent them; and groups that are not served.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use kerolox_wire::names::TopicName;
use kerolox_wire::response::ResponseCode;
use parking_lot::Mutex;

/// Most missing topics that are remembered; the one that was asked for longest ago makes room.
const MISSING_MAX: usize = 200;

/// Characters of a producer group's name that are remembered.
const GROUP_SIZE_MAX: usize = 255;

/// A topic that senders want and that is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MissingTopic {
    /// Sends refused for it.
    pub(crate) count: u64,
    /// When the last one was, ms since 1970.
    pub(crate) last_ms: i64,
    /// Where that came from.
    pub(crate) client: SocketAddr,
    /// The producer group it named.
    pub(crate) group: String,
}

/// Most names of groups that are remembered as not served; the one that was named longest ago makes room.
const UNSERVED_MAX: usize = 200;
/// A group that was not named for so long is forgotten: clients name theirs every 30 s.
const UNSERVED_MS_MAX: i64 = 600_000;

/// A group of a client that is not served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct UnservedGroup {
    /// Why.
    pub(crate) why: String,
    /// When it was named last, ms since 1970.
    pub(crate) last_ms: i64,
    /// Who named it then.
    pub(crate) client: SocketAddr,
}

/// Counts of refusals. All of it is bounded: requests come from our own list, codes from our own answers.
#[derive(Debug, Default)]
pub(crate) struct Refusals(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    counts: BTreeMap<(&'static str, i32), u64>,
    missing: BTreeMap<TopicName, MissingTopic>,
    unserved: BTreeMap<String, UnservedGroup>,
    replaced: ReplacedTexts,
}

/// Requests whose header had bytes that are no UTF-8: they were replaced, as Java does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ReplacedTexts {
    /// How many.
    pub(crate) count: u64,
    /// Who sent the last one, and when, ms since 1970.
    pub(crate) last: Option<(SocketAddr, i64)>,
}

impl Refusals {
    /// Counts one.
    pub(crate) fn note(&self, what: &'static str, code: ResponseCode) {
        *self.0.lock().counts.entry((what, code.0)).or_default() += 1;
    }

    /// Remembers a send to a topic that is not there.
    pub(crate) fn missing(&self, topic: &TopicName, client: SocketAddr, group: &str, now_ms: i64) {
        let missing = &mut self.0.lock().missing;
        if missing.len() >= MISSING_MAX && !missing.contains_key(topic) {
            let oldest = missing.iter().min_by_key(|(_, one)| one.last_ms).map(|(name, _)| name.clone());
            oldest.map(|name| missing.remove(&name));
        }
        let fresh = || MissingTopic { count: 0, last_ms: now_ms, client, group: String::new() };
        let one = missing.entry(topic.clone()).or_insert_with(fresh);
        *one = MissingTopic {
            count: one.count + 1,
            last_ms: now_ms,
            client,
            group: group.chars().take(GROUP_SIZE_MAX).collect(),
        };
    }

    /// Counts a request whose header had bytes that are no UTF-8.
    pub(crate) fn replaced(&self, client: SocketAddr, now_ms: i64) {
        let replaced = &mut self.0.lock().replaced;
        replaced.count = replaced.count.saturating_add(1);
        replaced.last = Some((client, now_ms));
    }

    /// The requests whose header had bytes that are no UTF-8.
    pub(crate) fn replaced_texts(&self) -> ReplacedTexts {
        self.0.lock().replaced.clone()
    }

    /// Remembers a group that is not served; true when that is news.
    pub(crate) fn unserved(&self, name: &str, why: &str, client: SocketAddr, now_ms: i64) -> bool {
        let unserved = &mut self.0.lock().unserved;
        unserved.retain(|_, one| now_ms.saturating_sub(one.last_ms) <= UNSERVED_MS_MAX);
        let name: String = name.chars().take(GROUP_SIZE_MAX).collect();
        if unserved.len() >= UNSERVED_MAX && !unserved.contains_key(&name) {
            let oldest = unserved.iter().min_by_key(|(_, one)| one.last_ms).map(|(name, _)| name.clone());
            oldest.map(|name| unserved.remove(&name));
        }
        let one = UnservedGroup { why: why.to_owned(), last_ms: now_ms, client };
        unserved.insert(name, one).is_none_or(|before| before.why != why)
    }

    /// The groups that are not served.
    pub(crate) fn still_unserved(&self, now_ms: i64) -> Vec<(String, UnservedGroup)> {
        let unserved = &mut self.0.lock().unserved;
        unserved.retain(|_, one| now_ms.saturating_sub(one.last_ms) <= UNSERVED_MS_MAX);
        unserved.iter().map(|(name, one)| (name.clone(), one.clone())).collect()
    }

    /// What was refused, with the code of the answer, and how often.
    pub(crate) fn counts(&self) -> Vec<(&'static str, i32, u64)> {
        self.0.lock().counts.iter().map(|((what, code), count)| (*what, *code, *count)).collect()
    }

    /// The missing topics for which `there` is not true by now; the others are forgotten.
    pub(crate) fn still_missing(&self, there: impl Fn(&str) -> bool) -> Vec<(TopicName, MissingTopic)> {
        let missing = &mut self.0.lock().missing;
        missing.retain(|topic, _| !there(topic.as_str()));
        missing.iter().map(|(topic, one)| (topic.clone(), one.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(name: &str) -> TopicName {
        TopicName::parse(name).unwrap()
    }

    #[test]
    fn refusals_are_counted_by_request_and_code() {
        let refusals = Refusals::default();
        for code in [ResponseCode::TOPIC_NOT_EXIST, ResponseCode::SYSTEM_ERROR, ResponseCode::SYSTEM_ERROR] {
            refusals.note("send", code);
        }
        assert_eq!(refusals.counts(), [("send", 1, 2), ("send", 17, 1)]);
    }

    #[test]
    fn a_group_not_served_is_news_once_and_ages_out() {
        let refusals = Refusals::default();
        let from = SocketAddr::from(([127, 0, 0, 1], 1));
        let news = [("g", "a", 1), ("g", "a", 2), ("g", "b", 3), ("h", "a", 4)];
        assert_eq!(news.map(|(name, why, at)| refusals.unserved(name, why, from, at)), [true, false, true, true]);
        assert_eq!(refusals.still_unserved(UNSERVED_MS_MAX + 3).len(), 2);
        assert!(refusals.still_unserved(UNSERVED_MS_MAX + 5).is_empty());
        for n in 0..=UNSERVED_MAX {
            refusals.unserved(&format!("g{n}"), "a", from, 10);
        }
        assert_eq!(refusals.still_unserved(10).len(), UNSERVED_MAX);
    }

    #[test]
    fn missing_topics_keep_the_last_sender_are_bounded_and_go_when_they_are_made() {
        let refusals = Refusals::default();
        let from = |last| SocketAddr::from(([127, 0, 0, 1], last));
        refusals.missing(&topic("old"), from(1), "a", 1);
        for n in 0..u16::try_from(MISSING_MAX).unwrap() {
            refusals.missing(&topic(&format!("t{n}")), from(n), "g", 10);
            refusals.missing(&topic("t0"), from(9), "h", 20);
        }
        let missing = refusals.still_missing(|name| name == "t1");
        assert_eq!(missing.len(), MISSING_MAX - 1);
        assert!(!missing.iter().any(|(name, _)| name.as_str() == "old" || name.as_str() == "t1"));
        let (_, t0) = missing.iter().find(|(name, _)| name.as_str() == "t0").unwrap();
        assert_eq!((t0.count, t0.client, t0.group.as_str()), (MISSING_MAX as u64 + 1, from(9), "h"));
    }
}
