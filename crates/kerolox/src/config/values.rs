//! Checked values by key, and their way into typed fields.

use std::collections::HashMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The table.
    Default,
    /// An environment variable.
    Env(String),
    /// A `-D` option in one of the environment variables that hold JVM options.
    JvmOption(&'static str),
    /// A line of a file.
    File(PathBuf, usize),
    /// The command line.
    Flag(String),
    /// An administrator, while the node ran.
    Update,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Env(name) => write!(f, "environment variable {name}"),
            Self::JvmOption(name) => write!(f, "-D option in {name}"),
            Self::File(path, line) => write!(f, "{}, line {line}", path.display()),
            Self::Flag(flag) => write!(f, "option {flag}"),
            Self::Update => f.write_str("administrator"),
        }
    }
}

/// One checked value.
#[derive(Clone, Debug)]
pub(crate) struct Value {
    /// In its usual spelling.
    pub(crate) text: String,
    /// Where it came from.
    pub(crate) source: Source,
}

/// The value of every key of a role's table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Values(HashMap<&'static str, Value>);

impl Values {
    /// Sets a value that was checked.
    pub(crate) fn set(&mut self, key: &'static str, text: String, source: Source) {
        self.0.insert(key, Value { text, source });
    }

    /// The value of a key; empty when the role has no such key.
    pub(crate) fn text(&self, key: &str) -> &str {
        self.0.get(key).map_or("", |value| value.text.as_str())
    }

    /// Whether somebody set the key to something.
    pub(crate) fn is_set(&self, key: &str) -> bool {
        self.0.get(key).is_some_and(|value| value.source != Source::Default && !value.text.is_empty())
    }

    /// Where the value came from.
    pub(crate) fn source(&self, key: &str) -> &Source {
        self.0.get(key).map_or(&Source::Default, |value| &value.source)
    }
}

/// A type of fields that are read from checked texts.
///
/// The table's rules make sure that a text fits its field; a test reads every default, and a rule that lets too much
/// through yields the type's zero here rather than a panic.
pub(crate) trait Typed {
    /// Reads a checked text.
    fn of_checked(text: &str) -> Self;
}

impl Typed for String {
    fn of_checked(text: &str) -> Self {
        text.to_owned()
    }
}

impl Typed for bool {
    fn of_checked(text: &str) -> Self {
        text == "true"
    }
}

impl Typed for PathBuf {
    fn of_checked(text: &str) -> Self {
        Self::from(text)
    }
}

/// For keys counted in milliseconds.
impl Typed for Duration {
    fn of_checked(text: &str) -> Self {
        Self::from_millis(text.parse().unwrap_or(0))
    }
}

/// A time that its key counts in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seconds(pub(crate) Duration);

impl Typed for Seconds {
    fn of_checked(text: &str) -> Self {
        Self(Duration::from_secs(text.parse().unwrap_or(0)))
    }
}

macro_rules! numbers {
    ($($ty:ty)*) => {
        $(impl Typed for $ty {
            fn of_checked(text: &str) -> Self {
                text.parse().unwrap_or(0)
            }
        })*
    };
}
numbers!(u8 u16 u32 u64 usize i32 i64);
