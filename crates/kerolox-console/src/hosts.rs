//! Under which names the console answers. A page of another site that lets its own name point here would otherwise speak
//! with the console as if it came from it.

use std::net::{IpAddr, SocketAddr};

/// The names that requests may carry in their `Host`.
#[derive(Debug)]
pub(crate) enum Hosts {
    /// Any: the console answers other machines, and nobody said under which names.
    Any,
    /// Addresses, `localhost`, and these in small letters.
    Listed(Vec<String>),
}

impl Hosts {
    /// The names for a listener, with those that the operator listed.
    pub(crate) fn new(listen: SocketAddr, listed: &[String]) -> Self {
        if listed.is_empty() && !listen.ip().is_loopback() {
            return Self::Any;
        }
        Self::Listed(listed.iter().map(|name| name.to_ascii_lowercase()).collect())
    }

    /// Whether a request with this `Host` may be answered.
    pub(crate) fn contain(&self, host: &str) -> bool {
        let Self::Listed(listed) = self else { return true };
        let name = without_port(host).to_ascii_lowercase();
        let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(&name);
        bare.parse::<IpAddr>().is_ok() || name == "localhost" || listed.contains(&name)
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_names_are_refused_on_loopback_and_where_names_are_listed() {
        let listed = ["Console.example.org".to_owned()];
        for (listen, listed, host, fits) in [
            ("127.0.0.1:80", &[][..], "127.0.0.1:80", true),
            ("127.0.0.1:80", &[], "localhost:8080", true),
            ("[::1]:80", &[], "[::1]:80", true),
            ("127.0.0.1:80", &[], "evil.example:80", false),
            ("127.0.0.1:80", &[], "localhost.evil.example", false),
            ("127.0.0.1:80", &[], "", false),
            ("0.0.0.0:80", &[], "any.example", true),
            ("0.0.0.0:80", &listed, "any.example", false),
            ("0.0.0.0:80", &listed, "console.EXAMPLE.org:443", true),
        ] {
            assert_eq!(Hosts::new(listen.parse().unwrap(), listed).contain(host), fits, "{listen} {host}");
        }
    }
}
