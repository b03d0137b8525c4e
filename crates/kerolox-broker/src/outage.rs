//! Work that fails and is tried again: told when it begins to fail or fails for another reason, and when it goes on.

use std::collections::BTreeMap;
use std::fmt::Display;

use parking_lot::Mutex;

/// What is tried, and which part of it: a delay level, a queue.
type Work = (&'static str, u32);

/// All work that waits for its next try.
#[derive(Debug, Default)]
pub(crate) struct Outages(Mutex<BTreeMap<Work, String>>);

impl Outages {
    /// Notes that a try has failed; true when that was not known yet.
    pub(crate) fn failed(&self, what: &'static str, part: u32, why: impl Display) -> bool {
        let why = why.to_string();
        let mut present = self.0.lock();
        if present.get(&(what, part)) == Some(&why) {
            return false;
        }
        tracing::error!(what, part, why, "failed; it is tried again until it succeeds");
        present.insert((what, part), why);
        true
    }

    /// Notes that a try has succeeded; true when the one before had failed.
    pub(crate) fn ended(&self, what: &'static str, part: u32) -> bool {
        let ended = self.0.lock().remove(&(what, part));
        if let Some(why) = &ended {
            tracing::info!(what, part, why, "works again");
        }
        ended.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_told_once_per_reason() {
        let outages = Outages::default();
        assert!(!outages.ended("reading", 1));
        assert!(outages.failed("reading", 1, "EIO") && !outages.failed("reading", 1, "EIO"));
        assert!(outages.failed("reading", 2, "EIO"), "another part");
        assert!(outages.failed("reading", 1, "EMFILE"));
        assert!(outages.ended("reading", 1) && !outages.ended("reading", 1));
        assert!(outages.failed("reading", 1, "EMFILE"), "it has begun anew");
    }
}
