//! How long something took, over and over: counts in classes whose ends double. Noting is two relaxed additions.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Classes: up to 1 µs, 2 µs, 4 µs … 16.8 s, and everything above.
const CLASSES: usize = 26;

/// Counts of how long something took.
#[derive(Debug, Default)]
pub struct Times {
    classes: [AtomicU64; CLASSES],
    nanos: AtomicU64,
}

/// The counts of a [`Times`] at one moment.
#[derive(Debug, Clone, PartialEq)]
pub struct TimesRead {
    /// The end of each class in seconds, the last one's being infinite, and how many took that long at most but longer
    /// than the end of the class before.
    pub classes: Vec<(f64, u64)>,
    /// All of it together.
    pub sum: Duration,
}

impl Times {
    /// Notes that each of `count` took `took`.
    pub fn note(&self, took: Duration, count: u64) {
        let nanos = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        let micros = nanos.div_ceil(1_000).max(1);
        let class = (u64::BITS - (micros - 1).leading_zeros()) as usize;
        if let Some(counted) = self.classes.get(class.min(CLASSES - 1)) {
            counted.fetch_add(count, Relaxed);
        }
        self.nanos.fetch_add(nanos.saturating_mul(count), Relaxed);
    }

    /// What was noted so far.
    #[must_use]
    pub fn read(&self) -> TimesRead {
        let doubling = std::iter::successors(Some(1e-6), |end| Some(end * 2.0)).take(CLASSES - 1);
        let ends = doubling.chain([f64::INFINITY]);
        let classes = ends.zip(self.classes.iter().map(|count| count.load(Relaxed))).collect();
        TimesRead { classes, sum: Duration::from_nanos(self.nanos.load(Relaxed)) }
    }
}

impl TimesRead {
    /// How many were noted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.classes.iter().map(|(_, count)| count).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_time_falls_into_the_class_that_ends_at_or_above_it() {
        for (nanos, class) in [(0, 0), (1_000, 0), (1_001, 1), (2_000, 1), (2_001, 2), (1_024_000, 10), (u64::MAX, 25)]
        {
            let times = Times::default();
            times.note(Duration::from_nanos(nanos), 3);
            let read = times.read();
            assert_eq!(read.classes.iter().position(|(_, count)| *count == 3), Some(class), "{nanos}");
            assert!(read.classes[class].0 * 1e9 >= nanos as f64 && read.count() == 3, "{nanos}");
        }
    }

    #[test]
    fn sums_and_ends_are_in_seconds() {
        let times = Times::default();
        times.note(Duration::from_micros(3), 2);
        times.note(Duration::from_secs(1), 1);
        let read = times.read();
        assert_eq!((read.sum, read.classes.len()), (Duration::from_micros(1_000_006), CLASSES));
        assert!((read.classes[20].0 - 1.048_576).abs() < 1e-9 && read.classes[25].0.is_infinite());
    }
}
