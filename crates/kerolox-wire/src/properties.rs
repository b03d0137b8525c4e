//! The properties of a message: `name 0x01 value 0x02`, repeated.
//!
//! Readers follow 4.7.1: a pair counts only when it has exactly a name and a value, trailing empty parts aside; so empty
//! values vanish, and of equal names the last one wins. On the paths of sending and dispatching use [`find`], [`pairs`]
//! and [`with`], which build no map.

use std::fmt;

use smallvec::SmallVec;

/// Ends a name.
pub const NAME_END: char = '\u{1}';
/// Ends a pair.
pub const PAIR_END: char = '\u{2}';

macro_rules! property_names {
    ($($(#[$doc:meta])+ $name:ident = $text:literal;)+) => {
        $($(#[$doc])+ pub const $name: &str = $text;)+

        /// The names that the system itself gives a meaning; applications may not use them for their own.
        pub const RESERVED: &[&str] = &[$($text),+];
    };
}

property_names! {
    /// The message's keys, blank-separated.
    KEYS = "KEYS";
    /// The message's tag.
    TAGS = "TAGS";
    /// `false`: the sender does not wait for flush or replica.
    WAIT = "WAIT";
    /// Delay level, from 1.
    DELAY = "DELAY";
    /// Topic a message in a retry topic came from.
    RETRY_TOPIC = "RETRY_TOPIC";
    /// Topic a delayed or half message is for.
    REAL_TOPIC = "REAL_TOPIC";
    /// Queue a delayed or half message is for.
    REAL_QID = "REAL_QID";
    /// `true` on the messages of a transaction.
    TRAN_MSG = "TRAN_MSG";
    /// Producer group of a transaction.
    PGROUP = "PGROUP";
    /// First offset of the queue, added by consumers.
    MIN_OFFSET = "MIN_OFFSET";
    /// End of the queue, added by consumers.
    MAX_OFFSET = "MAX_OFFSET";
    /// Without meaning today, but reserved.
    BUYER_ID = "BUYER_ID";
    /// Message id a retried message had first.
    ORIGIN_MESSAGE_ID = "ORIGIN_MESSAGE_ID";
    /// Without meaning today, but reserved.
    TRANSFER_FLAG = "TRANSFER_FLAG";
    /// Without meaning today, but reserved.
    CORRECTION_FLAG = "CORRECTION_FLAG";
    /// Without meaning today, but reserved.
    MQ2_FLAG = "MQ2_FLAG";
    /// How often a client resent a message itself.
    RECONSUME_TIME = "RECONSUME_TIME";
    /// Region of the broker, for traces.
    MSG_REGION = "MSG_REGION";
    /// Whether the broker wants traces.
    TRACE_ON = "TRACE_ON";
    /// Id that the client made up.
    UNIQ_KEY = "UNIQ_KEY";
    /// How often a message may be tried again.
    MAX_RECONSUME_TIMES = "MAX_RECONSUME_TIMES";
    /// When a consumer began with the message, added by consumers.
    CONSUME_START_TIME = "CONSUME_START_TIME";
    /// Queue offset of the half message that a copy replaces.
    TRAN_PREPARED_QUEUE_OFFSET = "TRAN_PREPARED_QUEUE_OFFSET";
    /// How often the outcome of a half message was asked for.
    TRANSACTION_CHECK_TIMES = "TRANSACTION_CHECK_TIMES";
    /// Seconds during which nobody asks for the outcome.
    CHECK_IMMUNITY_TIME_IN_SECONDS = "CHECK_IMMUNITY_TIME_IN_SECONDS";
    /// Namespace of the client.
    INSTANCE_ID = "INSTANCE_ID";
    /// Joins a reply to its request.
    CORRELATION_ID = "CORRELATION_ID";
    /// Client that waits for a reply.
    REPLY_TO_CLIENT = "REPLY_TO_CLIENT";
    /// How long a requester waits, ms.
    TTL = "TTL";
    /// When a reply reached the broker.
    ARRIVE_TIME = "ARRIVE_TIME";
    /// When a reply was pushed on to the client.
    PUSH_REPLY_TIME = "PUSH_REPLY_TIME";
    /// Cluster that stored the message.
    CLUSTER = "CLUSTER";
    /// `reply` on replies.
    MSG_TYPE = "MSG_TYPE";
}

/// Properties of timed messages, which came with 5.x. A 4.x client may set them as its own, so they are not reserved.
pub mod timer {
    /// How they all begin, and few others do.
    pub const PREFIX: &str = "TIMER_DE";
    /// Seconds to wait.
    pub const DELAY_SEC: &str = "TIMER_DELAY_SEC";
    /// Milliseconds to wait.
    pub const DELAY_MS: &str = "TIMER_DELAY_MS";
    /// When to deliver, ms since 1970.
    pub const DELIVER_MS: &str = "TIMER_DELIVER_MS";
    /// Set by the broker: when it will deliver, ms since 1970.
    pub const OUT_MS: &str = "TIMER_OUT_MS";
    /// Set by the broker: how often the waiting message was stored anew.
    pub const ROLL_TIMES: &str = "TIMER_ROLL_TIMES";
    /// Takes a waiting message back: `topic+unique key`, or the unique key alone.
    pub const DEL_UNIQKEY: &str = "TIMER_DEL_UNIQKEY";
}

/// The pairs of a properties text in order; of equal names the last one counts.
pub fn pairs(text: &str) -> impl DoubleEndedIterator<Item = (&str, &str)> {
    text.split(PAIR_END).filter_map(pair)
}

/// The value of `name` in a properties text, without building a map.
#[must_use]
pub fn find<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.rsplit(PAIR_END).find_map(|part| value(part.strip_prefix(name)?.strip_prefix(NAME_END)?))
}

/// The values of several names, found in one pass.
#[must_use]
pub fn find_each<'a, const N: usize>(text: &'a str, names: [&str; N]) -> [Option<&'a str>; N] {
    let mut found = [None; N];
    for (name, value) in pairs(text) {
        for (wanted, found) in names.iter().zip(&mut found) {
            if name == *wanted {
                *found = Some(value);
            }
        }
    }
    found
}

/// The properties of `text` with `set` put at their end; what has their names before goes. One allocation.
#[must_use]
pub fn with(text: &str, set: &[(&str, &str)]) -> String {
    let added: usize = set.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
    let mut out = String::with_capacity(text.len() + 1 + added);
    for (name, value) in pairs(text).filter(|(name, _)| !set.iter().any(|(new, _)| new == name)) {
        push(&mut out, name, value);
    }
    for (name, value) in set {
        push(&mut out, name, value);
    }
    out
}

/// Appends one pair; an empty value is left out, since no reader would see it.
pub fn push(out: &mut String, name: &str, value: &str) {
    if value.is_empty() {
        return;
    }
    out.push_str(name);
    out.push(NAME_END);
    out.push_str(value);
    out.push(PAIR_END);
}

/// Whether a text can be a name or value: it holds neither of the separators.
#[must_use]
pub fn is_legal(text: &str) -> bool {
    !text.bytes().any(|byte| matches!(byte, 1 | 2))
}

fn pair(part: &str) -> Option<(&str, &str)> {
    let (name, rest) = part.split_once(NAME_END)?;
    value(rest).map(|value| (name, value))
}

/// The value of a pair from what stands behind its name.
fn value(rest: &str) -> Option<&str> {
    // Java's split forgets empty parts at the end, so `k 01 v 01` has a value and `k 01` has none.
    let value = rest.trim_end_matches(NAME_END);
    (!value.is_empty() && !value.contains(NAME_END)).then_some(value)
}

/// The properties of one message as a small ordered map.
#[derive(Clone, Default)]
pub struct Properties {
    text: String,
    spans: SmallVec<[Span; 12]>,
}

/// Where a pair stands in the text.
#[derive(Debug, Clone, Copy)]
struct Span {
    start: usize,
    name_len: usize,
    value_len: usize,
}

impl Properties {
    /// No properties.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a properties text; see the module's rules.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let mut properties = Self { text: String::with_capacity(text.len()), spans: SmallVec::new() };
        for (name, value) in pairs(text) {
            properties.set(name, value);
        }
        properties
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The value of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.iter().find_map(|(known, value)| (known == name).then_some(value))
    }

    /// Sets `name`, in its old place if it is known. An empty value removes it, since no reader would see it.
    pub fn set(&mut self, name: &str, value: &str) {
        if value.is_empty() {
            self.remove(name);
            return;
        }
        let span = Span { start: self.text.len(), name_len: name.len(), value_len: value.len() };
        self.text.push_str(name);
        self.text.push_str(value);
        match self.position(name) {
            Some(at) => {
                if let Some(old) = self.spans.get_mut(at) {
                    *old = span;
                }
            }
            None => self.spans.push(span),
        }
    }

    /// Removes `name`; says whether it was there.
    pub fn remove(&mut self, name: &str) -> bool {
        match self.position(name) {
            Some(at) => {
                self.spans.remove(at);
                true
            }
            None => false,
        }
    }

    /// The pairs in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.spans.iter().filter_map(|span| self.pair(*span))
    }

    /// The text form; every pair ends with its separator.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = String::with_capacity(self.iter().map(|(name, value)| name.len() + value.len() + 2).sum());
        for (name, value) in self.iter() {
            push(&mut out, name, value);
        }
        out
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.spans.iter().position(|span| self.pair(*span).is_some_and(|(known, _)| known == name))
    }

    fn pair(&self, span: Span) -> Option<(&str, &str)> {
        let middle = span.start + span.name_len;
        Some((self.text.get(span.start..middle)?, self.text.get(middle..middle + span.value_len)?))
    }
}

impl fmt::Display for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.encode())
    }
}

impl fmt::Debug for Properties {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl PartialEq for Properties {
    /// Equal as maps: the reference's order is that of a hash map and means nothing.
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().all(|(name, value)| other.get(name) == Some(value))
    }
}

impl Eq for Properties {}

impl<'a> FromIterator<(&'a str, &'a str)> for Properties {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(iter: I) -> Self {
        let mut properties = Self::new();
        for (name, value) in iter {
            properties.set(name, value);
        }
        properties
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn several_names_are_found_as_one_is() {
        for text in
            ["", "A\u{1}1\u{2}B\u{1}2\u{2}A\u{1}3", "A\u{1}\u{2}B\u{1}2", "A\u{1}1\u{1}x\u{2}BB\u{1}2\u{2}B\u{1}é\u{2}"]
        {
            let names = ["B", "A", "C"];
            assert_eq!(find_each(text, names), names.map(|name| find(text, name)), "{text:?}");
        }
    }

    #[test]
    fn a_pair_counts_only_with_exactly_a_name_and_a_value() {
        for (text, expected) in [
            ("", None),
            ("k\u{1}v\u{2}", Some("v")),
            ("k\u{1}v", Some("v")),
            ("k\u{1}v\u{1}w\u{2}", None),
            ("k\u{1}v\u{1}\u{2}", Some("v")),
            ("k\u{1}\u{1}v\u{2}", None),
            ("k\u{1}\u{2}", None),
            ("k\u{2}", None),
            ("kk\u{1}v\u{2}", None),
            ("a\u{1}b\u{2}\u{2}k\u{1}v\u{2}", Some("v")),
            ("k\u{1}v\u{2}k\u{1}w\u{2}", Some("w")),
            ("k\u{1}v\u{2}k\u{1}\u{2}", Some("v")),
        ] {
            assert_eq!(find(text, "k"), expected, "{text:?}");
            assert_eq!(Properties::parse(text).get("k"), expected, "{text:?}");
        }
        assert_eq!(find("\u{1}v\u{2}", ""), Some("v"));
    }

    #[test]
    fn setting_replaces_in_place_and_an_empty_value_removes() {
        let mut properties = Properties::parse("a\u{1}1\u{2}b\u{1}2\u{2}");
        properties.set("a", "3");
        properties.set("c", "4");
        assert_eq!(properties.encode(), "a\u{1}3\u{2}b\u{1}2\u{2}c\u{1}4\u{2}");
        properties.set("b", "");
        assert!(properties.remove("a"));
        assert!(!properties.remove("a"));
        assert_eq!(properties.to_string(), "c\u{1}4\u{2}");
        assert_eq!(format!("{properties:?}"), r#"{"c": "4"}"#);
    }

    #[test]
    fn with_replaces_and_normalises() {
        let text = with("a\u{1}1\u{2}CLUSTER\u{1}x\u{2}bad\u{2}b\u{1}2", &[(CLUSTER, "c"), (TAGS, "")]);
        assert_eq!(text, "a\u{1}1\u{2}b\u{1}2\u{2}CLUSTER\u{1}c\u{2}");
    }

    proptest! {
        #[test]
        fn properties_round_trip(pairs in prop::collection::vec(("[a-zA-Z_]{1,8}", "[^\u{1}\u{2}]{1,12}"), 0..20)) {
            let properties: Properties = pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            let text = properties.encode();
            prop_assert_eq!(&Properties::parse(&text), &properties);
            for (name, value) in properties.iter() {
                prop_assert_eq!(find(&text, name), Some(value));
            }
        }

        #[test]
        fn find_and_with_agree_with_the_map_on_any_text(text in "[ab\u{1}\u{2}é]{0,40}") {
            let properties = Properties::parse(&text);
            for name in ["a", "b", "ab", "é", ""] {
                prop_assert_eq!(find(&text, name), properties.get(name));
            }
            prop_assert_eq!(Properties::parse(&with(&text, &[])), properties);
        }
    }
}
