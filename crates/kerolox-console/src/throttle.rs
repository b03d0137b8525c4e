//! How often a login may be tried: by account and address together, so that no success of one account forgives another's
//! failures and nobody locks an account out elsewhere; and by all together, since each try costs memory and time.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

/// Failures of an account from one address after which both together must wait.
const FAILURES_MAX: u32 = 5;
/// Names tried from one address within a span that are told apart; further names count as one.
const NAMES_MAX: usize = 32;
/// Failures of all within a span after which those wait that have not logged in of late.
const ALL_FAILURES_MAX: u32 = 300;
/// Failures are forgotten after this long.
const SPAN: Duration = Duration::from_secs(60);
/// An account and address that logged in within this time are known.
const KNOWN_FOR: Duration = Duration::from_secs(24 * 3_600);
/// Most addresses that are remembered.
const ADDRESSES_MAX: usize = 10_000;
/// Most accounts with their addresses that are known.
const KNOWN_MAX: usize = 10_000;
/// Longest part of a name that is kept, bytes.
const NAME_SIZE_MAX: usize = 64;

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

    fn is_over(&self, now: Duration) -> bool {
        now >= self.since.saturating_add(SPAN)
    }
}

/// Tries of late.
#[derive(Debug, Default)]
pub(crate) struct Throttle {
    /// By address, then by name; the empty name is all those beyond [`NAMES_MAX`].
    addresses: HashMap<IpAddr, HashMap<String, Tries>>,
    known: HashMap<(String, IpAddr), Duration>,
    all: Tries,
}

impl Throttle {
    /// Counts a try that is about to be made, before it is known how it ends: many at once must not slip through.
    ///
    /// # Errors
    /// How long to wait before the next.
    pub(crate) fn admit(&mut self, ip: IpAddr, user: &str, now: Duration) -> Result<(), Duration> {
        let (ip, user) = (network(ip), cut(user));
        let known = self.known.get(&(user.to_owned(), ip)).is_some_and(|at| now < at.saturating_add(KNOWN_FOR));
        self.make_room(ip, now);
        // Where even that is too much, all further addresses are one.
        let full = self.addresses.len() >= ADDRESSES_MAX && !self.addresses.contains_key(&ip);
        let ip = if full { IpAddr::V6(Ipv6Addr::UNSPECIFIED) } else { ip };
        let names = self.addresses.entry(ip).or_default();
        names.retain(|_, tries| !tries.is_over(now));
        let apart = known || names.contains_key(user) || names.len() < NAMES_MAX;
        let tries = names.entry(if apart { user.to_owned() } else { String::new() }).or_default();
        let crowd = self.all.wait(ALL_FAILURES_MAX, now).filter(|_| !known);
        if let Some(wait) = tries.wait(FAILURES_MAX, now).or(crowd) {
            return Err(wait);
        }
        tries.count(now);
        self.all.count(now);
        Ok(())
    }

    /// The try succeeded, so it does not count, nor do those before it of the same account from the same address.
    pub(crate) fn forgive(&mut self, ip: IpAddr, user: &str, now: Duration) {
        let (ip, user) = (network(ip), cut(user));
        if let Some(names) = self.addresses.get_mut(&ip) {
            names.remove(user);
        }
        self.all.count = self.all.count.saturating_sub(1);
        if self.known.len() >= KNOWN_MAX {
            self.known.retain(|_, at| now < at.saturating_add(KNOWN_FOR));
        }
        if self.known.len() < KNOWN_MAX {
            self.known.insert((user.to_owned(), ip), now);
        }
    }

    fn make_room(&mut self, ip: IpAddr, now: Duration) {
        if self.addresses.len() >= ADDRESSES_MAX && !self.addresses.contains_key(&ip) {
            self.addresses.retain(|_, names| names.values().any(|tries| !tries.is_over(now)));
        }
    }
}

/// The address, or the network of an IPv6 address: whoever has one of it has them all.
fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64)),
    }
}

fn cut(user: &str) -> &str {
    user.get(..user.floor_char_boundary(NAME_SIZE_MAX)).unwrap_or(user)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(1_000);

    fn ip(last: u8) -> IpAddr {
        IpAddr::from([127, 0, 0, last])
    }

    #[test]
    fn the_sixth_try_waits_for_the_minute_to_pass() {
        let mut throttle = Throttle::default();
        for _ in 0..FAILURES_MAX {
            assert_eq!(throttle.admit(ip(1), "a", NOW), Ok(()));
        }
        let later = NOW + Duration::from_secs(20);
        assert_eq!(throttle.admit(ip(1), "a", later), Err(Duration::from_secs(40)));
        assert_eq!(throttle.admit(ip(2), "a", later), Ok(()), "another address");
        assert_eq!(throttle.admit(ip(1), "b", later), Ok(()), "another account");
        assert_eq!(throttle.admit(ip(1), "a", NOW + SPAN), Ok(()));
    }

    #[test]
    fn success_forgives_only_its_own_failures() {
        let mut throttle = Throttle::default();
        for _ in 0..FAILURES_MAX {
            throttle.admit(ip(1), "victim", NOW).unwrap();
            throttle.admit(ip(1), "own", NOW).unwrap();
            throttle.forgive(ip(1), "own", NOW);
        }
        assert!(throttle.admit(ip(1), "victim", NOW).is_err());
        assert_eq!(throttle.all.count, FAILURES_MAX);
    }

    #[test]
    fn many_names_and_addresses_wait_while_known_ones_do_not() {
        let mut throttle = Throttle::default();
        throttle.admit(ip(1), "admin", NOW).unwrap();
        throttle.forgive(ip(1), "admin", NOW);
        let mut refused = 0;
        for n in 0..400_u32 {
            let from = ip(u8::try_from(n / 50 + 1).unwrap());
            refused += u32::from(throttle.admit(from, &format!("guess{n}"), NOW).is_err());
        }
        assert!(refused > 100, "{refused}");
        assert!(throttle.admit(ip(200), "new", NOW).is_err() || throttle.all.count < ALL_FAILURES_MAX);
        assert_eq!(throttle.admit(ip(1), "admin", NOW), Ok(()));
    }

    #[test]
    fn a_network_counts_as_one_address() {
        let mut throttle = Throttle::default();
        for n in 0..FAILURES_MAX {
            throttle.admit(format!("2001:db8::{n}").parse().unwrap(), "a", NOW).unwrap();
        }
        assert!(throttle.admit("2001:db8::ffff".parse().unwrap(), "a", NOW).is_err());
        assert!(throttle.admit("2001:db8:0:1::".parse().unwrap(), "a", NOW).is_ok());
    }
}
