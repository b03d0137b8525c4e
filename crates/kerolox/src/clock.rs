//! The time of this machine.

#![allow(clippy::disallowed_methods, reason = "this is where the process asks the system for the time")]

use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use kerolox_wire::clock::Clock;

/// The system's clocks.
#[derive(Debug)]
pub(crate) struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// A clock whose elapsed time starts now.
    pub(crate) fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn wall_ms(&self) -> i64 {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
    }

    fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }
}

/// Nanoseconds since 1970.
pub(crate) fn wall_nanos() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// The zone of this machine, read once: `TZ`, else `/etc/localtime`, else UTC.
#[derive(Clone, Debug)]
pub(crate) struct LocalTime(TimeZone);

impl LocalTime {
    /// The zone of this machine.
    pub(crate) fn of_system() -> Self {
        Self(TimeZone::try_system().unwrap_or(TimeZone::UTC))
    }

    /// Local time minus UTC at that moment, in seconds.
    pub(crate) fn offset_seconds(&self, wall_ms: i64) -> i32 {
        Timestamp::from_millisecond(wall_ms).map_or(0, |at| self.0.to_offset(at).seconds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wall_clock_is_in_this_century_and_elapsed_time_grows() {
        let clock = SystemClock::new();
        assert!(clock.wall_ms() > 1_700_000_000_000);
        let before = clock.elapsed();
        assert!(clock.elapsed() >= before);
    }

    #[test]
    fn offsets_follow_the_zone() {
        let east = LocalTime(TimeZone::fixed(jiff::tz::offset(8)));
        assert_eq!(east.offset_seconds(1_700_000_000_000), 8 * 3_600);
        assert_eq!(LocalTime(TimeZone::UTC).offset_seconds(i64::MAX), 0);
    }
}
