//! Registered connections that another peer claims the place of: asked whether they live, and lost when they stay silent.
//!
//! A node that is cut off leaves its connection open. Brokers answer any request, at least that they do not serve it.

use std::collections::HashMap;
use std::time::Duration;

use parking_lot::Mutex;

/// A connection that was silent for so long after a question is lost. Shorter than the period of registrations, so that
/// a broker which moved is registered by its second try.
pub(crate) const SILENCE_MAX: Duration = Duration::from_secs(10);

/// Connections that were asked and have not answered, with the time of the first question.
#[derive(Debug, Default)]
pub(crate) struct Suspects(Mutex<HashMap<u64, Duration>>);

impl Suspects {
    /// Notes a question; false when one waits for its answer already.
    pub(crate) fn ask(&self, connection: u64, now: Duration) -> bool {
        let mut waiting = self.0.lock();
        let new = !waiting.contains_key(&connection);
        waiting.entry(connection).or_insert(now);
        new
    }

    /// Something was received over the connection, or it has ended.
    pub(crate) fn clear(&self, connection: u64) {
        self.0.lock().remove(&connection);
    }

    /// Whether the connection has left a question unanswered for too long.
    pub(crate) fn is_lost(&self, connection: u64, now: Duration) -> bool {
        self.0.lock().get(&connection).is_some_and(|asked| now.saturating_sub(*asked) >= SILENCE_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_loses_and_an_answer_clears() {
        let suspects = Suspects::default();
        assert!(suspects.ask(1, Duration::ZERO));
        assert!(!suspects.ask(1, Duration::from_secs(3)), "the first question counts");
        assert!(!suspects.is_lost(1, Duration::from_secs(9)) && suspects.is_lost(1, SILENCE_MAX));
        suspects.clear(1);
        assert!(!suspects.is_lost(1, SILENCE_MAX) && suspects.ask(1, SILENCE_MAX));
    }
}
