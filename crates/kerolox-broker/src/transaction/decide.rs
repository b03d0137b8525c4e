//! What to do with a half message whose end is not known. Pure: the time is an argument.

/// What counts, of one half message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Facts {
    /// When its producer made it, by the producer's clock, ms.
    pub(super) born_ms: i64,
    /// When it, or its last copy, was stored, ms.
    pub(super) stored_ms: i64,
    /// How often it was asked for; `None` when never.
    pub(super) checks: Option<i32>,
    /// Seconds during which nobody may ask, if its producer said so; -1 when what it said is no number.
    pub(super) immunity_s: Option<i64>,
}

/// The time and the settings of a round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limits {
    /// Now.
    pub(super) now_ms: i64,
    /// When the round began.
    pub(super) began_ms: i64,
    /// Age before which nobody is asked, unless the message has an age of its own (`transactionTimeOut`).
    pub(super) timeout_ms: i64,
    /// Questions after which it is given up (`transactionCheckMax`).
    pub(super) checks_max: i32,
    /// Age at which it is given up (`fileReservedTime`).
    pub(super) reserved_ms: i64,
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is too young, and so is all behind it: the round ends here.
    Later,
    /// Nobody may ask yet, but what is behind it may be due: a copy takes its place at the end of the queue.
    Postpone,
    /// A copy takes its place at the end of the queue, and a producer is asked: this is how often then.
    Ask(i32),
    /// It goes where operators find it.
    GiveUp(Why),
}

/// Why a half message is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Nobody told its outcome, however often asked.
    AskedTooOften,
    /// It is older than the log keeps messages.
    TooOld,
    /// It does not say whom to ask, or where it is to go.
    Unusable,
    /// It has no room for the number of questions.
    TooLarge,
}

impl Facts {
    /// Decides as 4.7.1 does, except that putting a message back unasked does not count as a question.
    pub(super) fn verdict(&self, limits: &Limits) -> Verdict {
        let asked = self.checks.unwrap_or(0).max(0);
        if self.checks.is_some() && asked >= limits.checks_max {
            return Verdict::GiveUp(Why::AskedTooOften);
        }
        let age = limits.now_ms.saturating_sub(self.born_ms);
        if age > limits.reserved_ms {
            return Verdict::GiveUp(Why::TooOld);
        }
        if self.stored_ms >= limits.began_ms {
            return Verdict::Later;
        }
        match self.immunity_s {
            Some(seconds) => {
                let own = if seconds == -1 { limits.timeout_ms } else { seconds.saturating_mul(1_000) };
                if age < own { Verdict::Postpone } else { Verdict::Ask(asked.saturating_add(1)) }
            }
            // A message of the future comes from a clock that is ahead; its age says nothing.
            None if (0..limits.timeout_ms).contains(&age) => Verdict::Later,
            None => Verdict::Ask(asked.saturating_add(1)),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_700_000_000_000;
    const LIMITS: Limits =
        Limits { now_ms: NOW, began_ms: NOW - 10, timeout_ms: 6_000, checks_max: 15, reserved_ms: 72 * 3_600_000 };

    fn aged(ms: i64) -> Facts {
        Facts { born_ms: NOW - ms, stored_ms: NOW - ms.max(1_000), checks: None, immunity_s: None }
    }

    #[test]
    fn age_decides_when_to_ask() {
        for (facts, verdict) in [
            (aged(0), Verdict::Later),
            (aged(5_999), Verdict::Later),
            (aged(6_000), Verdict::Ask(1)),
            (aged(LIMITS.reserved_ms), Verdict::Ask(1)),
            (aged(LIMITS.reserved_ms + 1), Verdict::GiveUp(Why::TooOld)),
            // The producer's clock is ahead of ours.
            (aged(-1), Verdict::Ask(1)),
            // Stored since the round began.
            (Facts { stored_ms: NOW - 10, ..aged(60_000) }, Verdict::Later),
            (Facts { stored_ms: NOW - 11, ..aged(60_000) }, Verdict::Ask(1)),
        ] {
            assert_eq!(facts.verdict(&LIMITS), verdict, "{facts:?}");
        }
    }

    #[test]
    fn questions_are_counted_and_end() {
        for (checks, verdict) in [
            (Some(0), Verdict::Ask(1)),
            (Some(14), Verdict::Ask(15)),
            (Some(15), Verdict::GiveUp(Why::AskedTooOften)),
            (Some(i32::MAX), Verdict::GiveUp(Why::AskedTooOften)),
            (Some(i32::MIN), Verdict::Ask(1)),
        ] {
            let facts = Facts { checks, ..aged(60_000) };
            assert_eq!(facts.verdict(&LIMITS), verdict, "{checks:?}");
        }
        // Given up before its age is looked at, as in 4.7.1.
        assert_eq!(Facts { checks: Some(15), ..aged(0) }.verdict(&LIMITS), Verdict::GiveUp(Why::AskedTooOften));
    }

    #[test]
    fn a_message_may_bring_its_own_age() {
        for (seconds, age, verdict) in [
            (20, 19_999, Verdict::Postpone),
            (20, 20_000, Verdict::Ask(1)),
            (-1, 5_999, Verdict::Postpone),
            (-1, 6_000, Verdict::Ask(1)),
            (0, 0, Verdict::Ask(1)),
            (-7, 0, Verdict::Ask(1)),
            (i64::MAX, 60_000, Verdict::Postpone),
            (i64::MIN, 60_000, Verdict::Ask(1)),
            (20, -5_000, Verdict::Postpone),
        ] {
            let facts = Facts { immunity_s: Some(seconds), ..aged(age) };
            assert_eq!(facts.verdict(&LIMITS), verdict, "{seconds} {age}");
        }
    }

    proptest! {
        /// Whatever a record says, rounds come to an end with it: with each question the count grows by one, and age
        /// alone ends it at last.
        #[test]
        fn every_message_is_given_up_in_the_end(
            born_ms: i64, stored_ms: i64, checks: Option<i32>, immunity_s: Option<i64>,
            now_ms in 0i64..=i64::MAX / 2, checks_max in 1..100,
        ) {
            let limits = Limits { now_ms, began_ms: i64::MAX, checks_max, ..LIMITS };
            let facts = Facts { born_ms, stored_ms: stored_ms.min(i64::MAX - 1), checks, immunity_s };
            match facts.verdict(&limits) {
                Verdict::Ask(next) => {
                    prop_assert_eq!(next, checks.unwrap_or(0).max(0) + 1);
                    prop_assert!(next <= checks_max.max(1));
                }
                Verdict::Postpone => prop_assert!(immunity_s.is_some()),
                Verdict::Later => prop_assert!((0..limits.timeout_ms).contains(&(now_ms.saturating_sub(born_ms)))),
                Verdict::GiveUp(_) => {}
            }
            let old = Limits { now_ms: born_ms.saturating_add(limits.reserved_ms).saturating_add(1), ..limits };
            if born_ms < i64::MAX / 2 {
                prop_assert!(matches!(facts.verdict(&old), Verdict::GiveUp(_)));
            }
        }
    }
}
