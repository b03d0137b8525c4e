//! Which names and addresses a registration may carry: they are handed on to every client and tool.

use kerolox_wire::names::TopicName;

use super::{RegisterError, Registration};

/// Longest name of a broker or cluster in bytes.
const NAME_SIZE_MAX: usize = 255;
/// Longest `host:port` in bytes: a host name has at most 253.
const ADDRESS_SIZE_MAX: usize = 260;
/// How much of a wrong text is repeated.
const QUOTED_MAX: usize = 64;

pub(super) fn check(registration: &Registration) -> Result<(), RegisterError> {
    for (what, text) in [("broker name", &registration.broker), ("cluster name", &registration.cluster)] {
        if !is_name(text) {
            return Err(RegisterError::Name { what, text: cut(text) });
        }
    }
    for (what, text) in [("broker address", &registration.addr), ("replication address", &registration.ha_addr)] {
        // A broker without replication has no such address.
        let optional = what == "replication address" && text.is_empty();
        if !optional && !is_address(text) {
            return Err(RegisterError::Address { what, text: cut(text) });
        }
    }
    Ok(())
}

pub(super) fn is_topic(name: &str) -> bool {
    TopicName::parse(name).is_ok()
}

/// As topic names, and with dots, since brokers are named after their hosts by default; but not dots alone.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= NAME_SIZE_MAX
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"%|_-.".contains(&b))
        && !text.bytes().all(|b| b == b'.')
}

/// `host:port`; an IPv6 host may stand in brackets and have a zone, or stand bare as Java writes it.
fn is_address(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    text.len() <= ADDRESS_SIZE_MAX
        && !host.is_empty()
        && host.bytes().all(|b| b.is_ascii_alphanumeric() || b".-_:[]%".contains(&b))
        && port.parse::<u16>().is_ok_and(|port| port > 0)
}

fn cut(text: &str) -> String {
    text.chars().take(QUOTED_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_hosts_and_operators_use() {
        for good in ["broker-a", "DefaultCluster", "host.example.org", "a|b%c_d", &"n".repeat(255)] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "a\\b", "a b", "a\nb", "ä", &"n".repeat(256)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn addresses_have_a_host_and_a_port() {
        for good in ["127.0.0.1:10911", "host.example.org:1", "[::1]:9", "fe80::1%eth0:10911"] {
            assert!(is_address(good), "{good}");
        }
        for bad in ["", "host", ":1", "host:", "host:0", "host:70000", "a;b:1", "a b:1", "host:1\n", "{}:1"] {
            assert!(!is_address(bad), "{bad}");
        }
    }
}
