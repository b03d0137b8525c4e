//! How often a login may be tried: per address, and by all together since each try costs memory and time.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

/// Failures of one address after which it must wait.
const FAILURES_MAX: u32 = 5;
/// Failures of all addresses within a span after which everybody must wait.
const ALL_FAILURES_MAX: u32 = 100;
/// Failures are forgotten after this long.
const SPAN: Duration = Duration::from_secs(60);
/// Most addresses that are remembered.
const ADDRESSES_MAX: usize = 10_000;

#[derive(Clone, Copy, Debug, Default)]
struct Tries {
    count: u32,
    since: Duration,
}

impl Tries {
    fn wait(&self, most: u32, now: Duration) -> Option<Duration> {
        let over = self.since.saturating_add(SPAN);
        (self.count >= most && now < over).then(|| over.saturating_sub(now))
    }

    fn count(&mut self, now: Duration) {
        if self.count == 0 || now >= self.since.saturating_add(SPAN) {
            *self = Self { count: 0, since: now };
        }
        self.count = self.count.saturating_add(1);
    }
}

/// Tries of late.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    addresses: HashMap<IpAddr, Tries>,
    all: Tries,
}

impl Throttle {
    /// Counts a try that is about to be made, before it is known how it ends: many at once must not slip through.
    ///
    /// # Errors
    /// How long to wait before the next.
    pub(crate) fn admit(&mut self, ip: IpAddr, now: Duration) -> Result<(), Duration> {
        let own = self.addresses.get(&ip).and_then(|tries| tries.wait(FAILURES_MAX, now));
        if let Some(wait) = own.or_else(|| self.all.wait(ALL_FAILURES_MAX, now)) {
            return Err(wait);
        }
        if self.addresses.len() >= ADDRESSES_MAX {
            self.addresses.retain(|_, tries| now < tries.since.saturating_add(SPAN));
        }
        self.all.count(now);
        if self.addresses.len() < ADDRESSES_MAX || self.addresses.contains_key(&ip) {
            self.addresses.entry(ip).or_default().count(now);
        }
        Ok(())
    }

    /// The try succeeded, so it does not count.
    pub(crate) fn forgive(&mut self, ip: IpAddr) {
        self.addresses.remove(&ip);
        self.all.count = self.all.count.saturating_sub(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    #[test]
    fn the_sixth_try_waits_for_the_minute_to_pass() {
        let mut throttle = Throttle::default();
        let now = Duration::from_secs(1_000);
        for _ in 0..FAILURES_MAX {
            assert_eq!(throttle.admit(ip(1), now), Ok(()));
        }
        let later = now + Duration::from_secs(20);
        assert_eq!(throttle.admit(ip(1), later), Err(Duration::from_secs(40)));
        assert_eq!(throttle.admit(ip(2), later), Ok(()));
        assert_eq!(throttle.admit(ip(1), now + SPAN), Ok(()));
    }

    #[test]
    fn success_forgives() {
        let mut throttle = Throttle::default();
        for _ in 0..50 {
            assert_eq!(throttle.admit(ip(1), Duration::ZERO), Ok(()));
            throttle.forgive(ip(1));
        }
        assert_eq!(throttle.all.count, 0);
    }

    #[test]
    fn many_addresses_together_wait_too() {
        let mut throttle = Throttle::default();
        for i in 0..ALL_FAILURES_MAX {
            assert_eq!(throttle.admit(ip(u8::try_from(i).unwrap()), Duration::ZERO), Ok(()));
        }
        assert!(throttle.admit(ip(200), Duration::from_secs(1)).is_err());
    }
}
