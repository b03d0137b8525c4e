//! What the table says about one configuration key.

use super::host::Host;
use super::rule::Rule;

/// Which object of RocketMQ has the key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Class {
    /// `BrokerConfig`.
    Broker,
    /// `MessageStoreConfig`.
    Store,
    /// `NettyServerConfig`.
    Server,
    /// `NettyClientConfig`.
    Client,
    /// `NamesrvConfig`.
    Namesrv,
    /// System properties that begin with `tls.`.
    Tls,
    /// The web console, which RocketMQ has as a program of its own.
    Console,
    /// What a node tells about itself, for which RocketMQ 4.x has an exporter.
    Metrics,
}

impl Class {
    /// The name operators know from RocketMQ's documentation.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Broker => "BrokerConfig",
            Self::Store => "MessageStoreConfig",
            Self::Server => "NettyServerConfig",
            Self::Client => "NettyClientConfig",
            Self::Namesrv => "NamesrvConfig",
            Self::Tls => "TLS system properties",
            Self::Console => "Console",
            Self::Metrics => "Metrics",
        }
    }
}

/// What a number counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Nothing, or no number.
    None,
    /// Milliseconds.
    Ms,
    /// Seconds.
    Seconds,
    /// Hours.
    Hours,
    /// Bytes.
    Bytes,
    /// Hundredths.
    Percent,
}

impl Unit {
    /// As the reference page shows it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Ms => "ms",
            Self::Seconds => "s",
            Self::Hours => "h",
            Self::Bytes => "bytes",
            Self::Percent => "%",
        }
    }
}

/// Whether the key does anything here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    /// It does what it says.
    Honoured,
    /// It is known and taken, and has no effect for this reason.
    NoMeaning(&'static str),
}

/// The value without any setting.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Initial {
    /// Always the same.
    Is(&'static str),
    /// Depends on the machine; the text says how, for the reference page.
    Of(&'static str, fn(&Host) -> String),
}

/// One key of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Key {
    /// Name in `.properties` files, also the name of its system property unless [`Key::property`] is another.
    pub(crate) name: &'static str,
    /// Object of RocketMQ that has it.
    pub(crate) class: Class,
    /// What values are allowed.
    pub(crate) rule: Rule,
    /// Value without any setting.
    pub(crate) initial: Initial,
    /// What a number counts.
    pub(crate) unit: Unit,
    /// Name in the running broker of a key that may change at run time.
    pub(crate) live: Option<&'static str>,
    /// Whether `-m` shows it.
    pub(crate) important: bool,
    /// Whether only RocketMQ 5.x has it, so that a list of 4.7.1's keys leaves it out.
    pub(crate) later: bool,
    /// System property of another name that sets it.
    pub(crate) property: Option<&'static str>,
    /// Environment variable of RocketMQ that sets it.
    pub(crate) env: Option<&'static str>,
    /// Whether it does anything here.
    pub(crate) status: Status,
    /// One sentence.
    pub(crate) about: &'static str,
}

/// A key that is honoured, fixed at start and without unit; the methods below say otherwise.
pub(crate) const fn key(name: &'static str, rule: Rule, initial: &'static str) -> Key {
    Key {
        name,
        class: Class::Broker,
        rule,
        initial: Initial::Is(initial),
        unit: Unit::None,
        live: None,
        important: false,
        later: false,
        property: None,
        env: None,
        status: Status::Honoured,
        about: "",
    }
}

impl Key {
    pub(crate) const fn class(mut self, class: Class) -> Self {
        self.class = class;
        self
    }

    pub(crate) const fn about(mut self, about: &'static str) -> Self {
        self.about = about;
        self
    }

    pub(crate) const fn unit(mut self, unit: Unit) -> Self {
        self.unit = unit;
        self
    }

    pub(crate) const fn ms(self) -> Self {
        self.unit(Unit::Ms)
    }

    pub(crate) const fn bytes(self) -> Self {
        self.unit(Unit::Bytes)
    }

    pub(crate) const fn percent(self) -> Self {
        self.unit(Unit::Percent)
    }

    /// It may change at run time; the running broker calls it `name`.
    pub(crate) const fn live(mut self, name: &'static str) -> Self {
        self.live = Some(name);
        self
    }

    /// `-m` shows it.
    pub(crate) const fn important(mut self) -> Self {
        self.important = true;
        self
    }

    /// 4.7.1 does not have it.
    pub(crate) const fn later(mut self) -> Self {
        self.later = true;
        self
    }

    pub(crate) const fn property(mut self, name: &'static str) -> Self {
        self.property = Some(name);
        self
    }

    pub(crate) const fn env(mut self, name: &'static str) -> Self {
        self.env = Some(name);
        self
    }

    /// The default depends on the machine.
    pub(crate) const fn of(mut self, how: &'static str, make: fn(&Host) -> String) -> Self {
        self.initial = Initial::Of(how, make);
        self
    }

    pub(crate) const fn no_meaning(mut self, reason: &'static str) -> Self {
        self.status = Status::NoMeaning(reason);
        self
    }

    /// The value without any setting on this machine.
    pub(crate) fn default_on(&self, host: &Host) -> String {
        match self.initial {
            Initial::Is(text) => text.to_owned(),
            Initial::Of(_, make) => make(host),
        }
    }

    /// The one sentence.
    pub(crate) fn sentence(&self) -> &'static str {
        self.about.trim()
    }

    /// Whether its value must never be shown.
    pub(crate) fn is_secret(&self) -> bool {
        let name = self.name.to_ascii_lowercase();
        ["secret", "password", "credential", "accesskey", "headers"].iter().any(|word| name.contains(word))
    }

    /// `KEROLOX_` and the name in capitals, words set apart: `brokerIP1` is `KEROLOX_BROKER_IP1`, `tls.server.mode` is
    /// `KEROLOX_TLS_SERVER_MODE`.
    pub(crate) fn own_env(&self) -> String {
        let mut out = String::from("KEROLOX_");
        let mut before = '_';
        let mut chars = self.name.chars().peekable();
        while let Some(c) = chars.next() {
            if c == '.' {
                out.push('_');
                before = '_';
                continue;
            }
            let next_is_lower = chars.peek().is_some_and(char::is_ascii_lowercase);
            let word_begins = before.is_ascii_lowercase() || (before.is_ascii_uppercase() && next_is_lower);
            if c.is_ascii_uppercase() && word_begins {
                out.push('_');
            }
            out.push(c.to_ascii_uppercase());
            before = c;
        }
        out
    }
}

/// Declares honoured keys once: the table's entries, and the struct of typed values that is read from checked texts.
///
/// Each field's doc comment is the key's sentence.
macro_rules! keys {
    (
        $(#[$doc:meta])*
        struct $name:ident, $table:ident, $class:expr;
        $( #[doc = $about:literal] $field:ident: $ty:ty = $key:expr; )*
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub(crate) struct $name {
            $( #[doc = $about] pub(crate) $field: $ty, )*
        }

        /// The keys of this struct, in its order.
        pub(crate) static $table: &[$crate::config::key::Key] =
            &[$( $key.class($class).about($about), )*];

        impl $name {
            /// Reads values that were checked against the table.
            pub(crate) fn read(values: &$crate::config::values::Values) -> Self {
                let mut keys = $table.iter();
                let mut text = || keys.next().map_or("", |key| values.text(key.name));
                Self { $( $field: $crate::config::values::Typed::of_checked(text()), )* }
            }
        }
    };
}
pub(crate) use keys;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::rule::Rule;

    #[test]
    fn environment_names_set_words_apart() {
        for (name, env) in [
            ("brokerName", "KEROLOX_BROKER_NAME"),
            ("brokerIP1", "KEROLOX_BROKER_IP1"),
            ("storePathRootDir", "KEROLOX_STORE_PATH_ROOT_DIR"),
            ("checkCRCOnRecover", "KEROLOX_CHECK_CRC_ON_RECOVER"),
            ("useTLS", "KEROLOX_USE_TLS"),
            ("tls.server.keyPath", "KEROLOX_TLS_SERVER_KEY_PATH"),
        ] {
            assert_eq!(key(name, Rule::Text, "").own_env(), env);
        }
    }

    #[test]
    fn secrets_are_told_by_their_names() {
        assert!(key("tls.server.keyPassword", Rule::Text, "").is_secret());
        assert!(key("adminAccessKey", Rule::Text, "").is_secret());
        assert!(key("otelHeaders", Rule::Text, "").is_secret());
        assert!(!key("tls.server.keyPath", Rule::Text, "").is_secret());
    }
}
