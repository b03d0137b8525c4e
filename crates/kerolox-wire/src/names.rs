//! Names, numbers and positions that travel between all rooms, as types that cannot be mixed up.

use std::borrow::Borrow;
use std::fmt;
use std::ops::Add;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest name of a new topic in bytes: a V1 record keeps the length in one signed byte.
pub const TOPIC_NAME_MAX: usize = 127;
/// Longest topic name in bytes that is read: a topic is a folder, and file systems take no longer name for one.
pub const TOPIC_PATH_MAX: usize = 255;
/// Longest group name in bytes.
pub const GROUP_NAME_MAX: usize = 255;

/// Prefix of the topic that holds a group's messages to be tried again.
pub const RETRY_PREFIX: &str = "%RETRY%";
/// Prefix of the topic that holds a group's messages nobody could consume.
pub const DLQ_PREFIX: &str = "%DLQ%";

/// Names of topics that the system itself uses.
pub mod topics {
    /// Template of topics made by sending: its inherit bit allows them.
    pub const AUTO_CREATE: &str = "TBW102";
    /// Messages that wait for their delay level.
    pub const SCHEDULE: &str = "SCHEDULE_TOPIC_XXXX";
    /// Messages that wait for a time of their own, as in 5.x.
    pub const TIMER: &str = "rmq_sys_wheel_timer";
    /// Target of the stock benchmark.
    pub const BENCHMARK: &str = "BenchmarkTest";
    /// Half messages of transactions.
    pub const TRANS_HALF: &str = "RMQ_SYS_TRANS_HALF_TOPIC";
    /// Marks of ended transactions.
    pub const TRANS_OP_HALF: &str = "RMQ_SYS_TRANS_OP_HALF_TOPIC";
    /// Half messages that were given up.
    pub const TRANS_CHECK_MAX_TIME: &str = "TRANS_CHECK_MAX_TIME_TOPIC";
    /// Default topic of message traces.
    pub const TRACE: &str = "RMQ_SYS_TRACE_TOPIC";
    /// Topic of the broker's own probes.
    pub const SELF_TEST: &str = "SELF_TEST_TOPIC";
    /// Notices of pulls whose offset was out of range.
    pub const OFFSET_MOVED_EVENT: &str = "OFFSET_MOVED_EVENT";
    /// Names with this beginning belong to the system.
    pub const SYSTEM_PREFIX: &str = "rmq_sys_";
    /// Reserved names, whether or not such a topic exists.
    pub const SYSTEM: [&str; 9] = [
        AUTO_CREATE,
        SCHEDULE,
        BENCHMARK,
        TRANS_HALF,
        TRACE,
        TRANS_OP_HALF,
        TRANS_CHECK_MAX_TIME,
        SELF_TEST,
        OFFSET_MOVED_EVENT,
    ];
}

/// Names of groups with a meaning of their own.
pub mod groups {
    /// Reads for administration tools.
    pub const TOOLS: &str = "TOOLS_CONSUMER";
    /// Sends for administration tools.
    pub const TOOLS_PRODUCER: &str = "TOOLS_PRODUCER";
    /// Its offsets tell how far half messages and operation messages are settled.
    pub const TRANS: &str = "CID_RMQ_SYS_TRANS";
    /// Groups of this beginning are made at their first use even when automatic creation is off.
    pub const SYSTEM_PREFIX: &str = "CID_RMQ_SYS_";
    /// Groups that every broker has from the start.
    pub const SYSTEM: [&str; 7] = [
        TOOLS,
        "FILTERSRV_CONSUMER",
        "SELF_TEST_C_GROUP",
        "CID_ONS-HTTP-PROXY",
        "CID_ONSAPI_PULL",
        "CID_ONSAPI_PERMISSION",
        "CID_ONSAPI_OWNER",
    ];
}

/// Why a text is not a legal topic or group name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NameError {
    /// Nothing but blanks.
    #[error("The specified {what} is blank.")]
    Blank {
        /// `topic` or `group`.
        what: &'static str,
    },
    /// Nothing that may be part of a path.
    #[error("The specified {what} contains illegal characters: it could be no part of a path")]
    Unsafe {
        /// `topic` or `group`.
        what: &'static str,
    },
    /// A character outside of what new topics may have.
    #[error("The specified {what} contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$")]
    Illegal {
        /// `topic` or `group`.
        what: &'static str,
    },
    /// Longer than the limit.
    #[error("The specified {what} is longer than {what} max length. {len} > {limit}")]
    TooLong {
        /// `topic` or `group`.
        what: &'static str,
        /// Bytes given.
        len: usize,
        /// Bytes allowed.
        limit: usize,
    },
}

/// What every name must keep, wherever it comes from: topics are folders of the store, and names stand in the
/// properties of messages, where control characters separate.
fn check(text: &str, what: &'static str, limit: usize) -> Result<(), NameError> {
    if text.trim().is_empty() {
        return Err(NameError::Blank { what });
    }
    if matches!(text, "." | "..") || text.chars().any(|c| matches!(c, '/' | '\\') || c.is_control()) {
        return Err(NameError::Unsafe { what });
    }
    if text.len() > limit {
        return Err(NameError::TooLong { what, len: text.len(), limit });
    }
    Ok(())
}

/// What 4.7.1 asks of a topic that is made.
fn check_new_topic(text: &str) -> Result<(), NameError> {
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'%' | b'|' | b'_' | b'-')) {
        return Err(NameError::Illegal { what: "topic" });
    }
    check(text, "topic", TOPIC_NAME_MAX)
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $what:literal, $limit:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes any text that is safe as a part of a path: names of old brokers and of other clients have dots or
            /// are not in Latin letters.
            ///
            /// # Errors
            /// Says which rule is broken.
            pub fn parse(text: &str) -> Result<Self, NameError> {
                check(text, $what, $limit)?;
                Ok(Self(text.into()))
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&self.0, f)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Self::parse(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}

name_type!(
    /// A topic name.
    TopicName,
    "topic",
    TOPIC_PATH_MAX
);
name_type!(
    /// A producer or consumer group name.
    GroupName,
    "group",
    GROUP_NAME_MAX
);

impl TopicName {
    /// A topic name known at compile time to be legal.
    #[must_use]
    pub fn known(text: &'static str) -> Self {
        debug_assert!(check_new_topic(text).is_ok());
        Self(text.into())
    }

    /// Checks the name as 4.7.1 does when a topic is made: `^[%|a-zA-Z0-9_-]+$`, and no longer than a record can tell.
    ///
    /// # Errors
    /// Says which rule is broken.
    pub fn check_as_new(&self) -> Result<(), NameError> {
        check_new_topic(self.as_str())
    }

    /// Checks that a record of the topic can be written: it keeps the length of the name in one signed byte.
    ///
    /// # Errors
    /// When the name is longer.
    pub fn check_record(&self) -> Result<(), NameError> {
        let len = self.as_str().len();
        if len > TOPIC_NAME_MAX {
            return Err(NameError::TooLong { what: "topic", len, limit: TOPIC_NAME_MAX });
        }
        Ok(())
    }

    /// The topic of `group`'s messages to be tried again.
    ///
    /// # Errors
    /// When the group name is too long for a topic name.
    pub fn retry_of(group: &GroupName) -> Result<Self, NameError> {
        Self::parse(&format!("{RETRY_PREFIX}{group}"))
    }

    /// The dead letter topic of `group`.
    ///
    /// # Errors
    /// When the group name is too long for a topic name.
    pub fn dlq_of(group: &GroupName) -> Result<Self, NameError> {
        Self::parse(&format!("{DLQ_PREFIX}{group}"))
    }

    /// Whether this is the retry topic of some group.
    #[must_use]
    pub fn is_retry(&self) -> bool {
        self.0.starts_with(RETRY_PREFIX)
    }

    /// Whether this is the dead letter topic of some group.
    #[must_use]
    pub fn is_dlq(&self) -> bool {
        self.0.starts_with(DLQ_PREFIX)
    }
}

macro_rules! position_type {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
        pub struct $name(u64);

        impl $name {
            /// The very first position.
            pub const ZERO: Self = Self(0);

            /// Wraps a plain number.
            #[must_use]
            pub const fn new(value: u64) -> Self {
                Self(value)
            }

            /// The plain number.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }

            /// The number as the protocol's signed 64 bits; positions stay far below 2^63.
            #[must_use]
            pub const fn to_wire(self) -> i64 {
                self.0.cast_signed()
            }

            /// Takes a number from the wire; negative ones are no position.
            #[must_use]
            pub fn from_wire(value: i64) -> Option<Self> {
                u64::try_from(value).ok().map(Self)
            }

            /// How far this lies behind `earlier`, 0 when it does not.
            #[must_use]
            pub const fn distance_from(self, earlier: Self) -> u64 {
                self.0.saturating_sub(earlier.0)
            }
        }

        impl Add<u64> for $name {
            type Output = Self;
            fn add(self, by: u64) -> Self {
                Self(self.0.saturating_add(by))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0, f)
            }
        }
    };
}

position_type!(
    /// A byte position in the commit log.
    LogOffset
);
position_type!(
    /// A position in a queue, counted in messages.
    QueueOffset
);

/// Number of a queue within its topic on one broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct QueueId(u32);

impl QueueId {
    /// Wraps a plain number.
    #[must_use]
    pub const fn new(value: u32) -> Self {
        Self(value)
    }

    /// The plain number.
    #[must_use]
    pub const fn get(self) -> u32 {
        self.0
    }

    /// The number as the protocol's signed 32 bits.
    #[must_use]
    pub const fn to_wire(self) -> i32 {
        self.0.cast_signed()
    }

    /// Takes a number from the wire; negative ones name no queue.
    #[must_use]
    pub fn from_wire(value: i32) -> Option<Self> {
        u32::try_from(value).ok().map(Self)
    }
}

impl fmt::Display for QueueId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_a_folder_are_refused() {
        for bad in ["../a", "a/b", ".", "..", "a\\b", "a\0", "a\u{1}b", "a\nb"] {
            assert_eq!(TopicName::parse(bad), Err(NameError::Unsafe { what: "topic" }), "{bad:?}");
            assert_eq!(GroupName::parse(bad), Err(NameError::Unsafe { what: "group" }), "{bad:?}");
        }
        assert_eq!(GroupName::parse("  "), Err(NameError::Blank { what: "group" }));
        assert!(matches!(TopicName::parse(&"a".repeat(256)), Err(NameError::TooLong { len: 256, .. })));
    }

    #[test]
    fn names_of_old_data_are_read_but_not_made() {
        for old in ["order.created", "\u{8ba2}\u{5355}", "a b", "..a", &"a".repeat(128), &"a".repeat(255)] {
            assert!(TopicName::parse(old).unwrap().check_as_new().is_err(), "{old}");
            assert!(GroupName::parse(old).is_ok(), "{old}");
        }
        for new in ["%RETRY%a-b_C|9", &"a".repeat(127)] {
            assert_eq!(TopicName::parse(new).unwrap().check_as_new(), Ok(()), "{new}");
        }
    }

    #[test]
    fn positions_do_not_wrap() {
        assert_eq!((LogOffset::new(u64::MAX) + 1).get(), u64::MAX);
        assert_eq!(QueueOffset::new(3).distance_from(QueueOffset::new(5)), 0);
        assert_eq!(QueueOffset::from_wire(-1), None);
    }
}
