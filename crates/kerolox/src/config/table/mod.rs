//! The one table of configuration keys. Parser, printed lists, run-time changes and the reference page read it.

mod broker;
mod console;
mod guards;
mod ignored;
mod later;
mod live;
mod metrics;
mod namesrv;
mod net;
mod store;

pub(crate) use broker::BrokerKeys;
pub(crate) use console::{ConsoleKeys, WatchedKeys};
pub(crate) use metrics::{MetricsKeys, TraceKeys};
pub(crate) use namesrv::NamesrvKeys;
pub(crate) use net::{ClientKeys, ServerKeys, TlsKeys};
pub(crate) use store::StoreKeys;

use super::host::Host;
use super::key::{Class, Key};

pub(crate) use later::{LATER, REASON as LATER_REASON};

/// Which kind of node reads the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Role {
    /// Stores messages.
    Broker,
    /// Knows the brokers.
    Namesrv,
    /// Shows them to browsers.
    Console,
}

impl Role {
    /// All.
    pub(crate) const ALL: [Self; 3] = [Self::Broker, Self::Namesrv, Self::Console];

    /// As sentences call it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Broker => "broker",
            Self::Namesrv => "name server",
            Self::Console => "console",
        }
    }

    /// All keys of the role but those of RocketMQ 5.x that mean nothing here.
    pub(crate) fn keys(self) -> impl Iterator<Item = &'static Key> {
        let tables = match self {
            Self::Broker => vec![
                broker::BROKER_KEYS,
                live::BROKER_LIVE,
                guards::BROKER_GUARDS,
                guards::NET_GUARDS,
                ignored::BROKER_IGNORED,
                store::STORE_KEYS,
                net::SERVER_KEYS,
                net::CLIENT_KEYS,
                net::TLS_KEYS,
                ignored::NET_IGNORED,
                ignored::CLIENT_IGNORED,
                console::CONSOLE_KEYS,
                metrics::METRICS_KEYS,
                metrics::TRACE_KEYS,
            ],
            Self::Namesrv => vec![
                namesrv::NAMESRV_KEYS,
                guards::NAMESRV_GUARDS,
                guards::NET_GUARDS,
                ignored::NAMESRV_IGNORED,
                net::SERVER_KEYS,
                net::TLS_KEYS,
                ignored::NET_IGNORED,
                metrics::METRICS_KEYS,
            ],
            Self::Console => vec![
                console::CONSOLE_KEYS,
                console::WATCHED_KEYS,
                guards::NET_GUARDS,
                net::CLIENT_KEYS,
                net::TLS_KEYS,
                ignored::CLIENT_IGNORED,
            ],
        };
        tables.into_iter().flatten()
    }

    /// The key of that name, or of that name as a system property.
    pub(crate) fn key(self, name: &str) -> Option<&'static Key> {
        self.keys().find(|key| key.name == name || key.property == Some(name))
    }

    /// The value of a key that nobody set.
    pub(crate) fn default_of(self, key: &Key, host: &Host) -> String {
        if self == Self::Namesrv && key.name == "listenPort" {
            return "9876".to_owned();
        }
        key.default_on(host)
    }
}

/// What is known about a name that is no key of the role.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stranger {
    /// A key of RocketMQ 5.x only.
    Later(Class),
    /// A key of another role.
    Of(Role),
    /// Unknown, with the known name that looks most like it.
    Unknown(Option<&'static str>),
}

/// Looks a name up that is no key of `role`.
pub(crate) fn stranger(role: Role, name: &str) -> Stranger {
    if let Some((class, _)) = LATER.iter().find(|(_, names)| names.contains(&name)) {
        return Stranger::Later(*class);
    }
    if let Some(other) = Role::ALL.into_iter().find(|other| *other != role && other.key(name).is_some()) {
        return Stranger::Of(other);
    }
    let near = role.keys().map(|key| (distance(key.name, name), key.name)).min();
    Stranger::Unknown(near.filter(|(steps, _)| *steps <= 2).map(|(_, near)| near))
}

/// How many letters differ between two names, upper and lower case being the same.
pub(crate) fn distance(a: &str, b: &str) -> usize {
    let (a, b) = (a.to_ascii_lowercase(), b.to_ascii_lowercase());
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        for (cell, y) in row.iter_mut().skip(1).zip(&b) {
            let above = *cell;
            left = (left + 1).min(above + 1).min(diagonal + usize::from(x != *y));
            diagonal = above;
            *cell = left;
        }
        if let Some(first) = row.first_mut() {
            *first = i + 1;
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::config::host::tests::sample;
    use crate::config::key::Status;

    #[test]
    fn names_and_aliases_are_unique_within_a_role() {
        for role in Role::ALL {
            let mut seen = HashSet::new();
            for key in role.keys() {
                assert!(seen.insert(key.name), "{}", key.name);
                assert!(key.property.is_none_or(|alias| seen.insert(alias)), "{}", key.name);
                assert!(seen.insert(Box::leak(key.own_env().into_boxed_str())), "{}", key.own_env());
            }
            for name in LATER.iter().flat_map(|(_, names)| *names) {
                assert!(role.key(name).is_none() || *name == "listenPort", "{name} is in two tables");
            }
        }
    }

    #[test]
    fn every_default_is_allowed_and_in_its_usual_spelling() {
        for role in Role::ALL {
            for key in role.keys() {
                let text = role.default_of(key, &sample());
                let taken = key.rule.check(&text).unwrap_or_else(|allowed| panic!("{}: {text}: {allowed}", key.name));
                assert_eq!((taken.text, taken.note), (text, None), "{}", key.name);
            }
        }
    }

    #[test]
    fn every_honoured_key_has_a_sentence_and_no_other_key_changes_at_run_time() {
        for role in Role::ALL {
            for key in role.keys() {
                match key.status {
                    Status::Honoured => assert!(key.sentence().ends_with('.'), "{}", key.name),
                    Status::NoMeaning(reason) => {
                        assert!(!reason.is_empty() && key.live.is_none(), "{}", key.name);
                    }
                }
            }
        }
    }

    /// Name and default of each 4.7.1 key, written down from the reference and not from the tables.
    const REFERENCE: &str = include_str!("../../../testdata/keys-4.7.1.txt");

    #[test]
    fn every_key_of_4_7_1_is_known_with_its_default() {
        let mut count = 0;
        for line in REFERENCE.lines().filter(|line| !line.starts_with('#')) {
            let mut columns = line.split('\t');
            let (class, name, default) =
                (columns.next().unwrap(), columns.next().unwrap(), columns.next().unwrap_or(""));
            let role = if class == "NamesrvConfig" { Role::Namesrv } else { Role::Broker };
            let key = role.key(name).unwrap_or_else(|| panic!("{class} {name} is missing"));
            assert_eq!(key.class.name(), class, "{name}");
            let ours = role.default_of(key, &sample());
            assert!(default == "*" || ours == default, "{name}: {ours} instead of {default}");
            count += 1;
        }
        assert!(count > 160, "{count} keys");
    }

    #[test]
    fn unknown_names_are_told_apart() {
        assert_eq!(stranger(Role::Broker, "brokerNmae"), Stranger::Unknown(Some("brokerName")));
        assert_eq!(stranger(Role::Broker, "brokername"), Stranger::Unknown(Some("brokerName")));
        assert_eq!(stranger(Role::Broker, "somethingElse"), Stranger::Unknown(None));
        assert_eq!(stranger(Role::Broker, "timerWarmEnable"), Stranger::Later(Class::Store));
        assert_eq!(stranger(Role::Broker, "kvConfigPath"), Stranger::Of(Role::Namesrv));
        assert_eq!(stranger(Role::Namesrv, "brokerName"), Stranger::Of(Role::Broker));
    }

    #[test]
    fn distance_counts_letters() {
        for (a, b, steps) in [("abc", "abc", 0), ("abc", "ab", 1), ("abc", "xbc", 1), ("", "abc", 3), ("ab", "ba", 2)] {
            assert_eq!(distance(a, b), steps, "{a} {b}");
        }
    }
}
