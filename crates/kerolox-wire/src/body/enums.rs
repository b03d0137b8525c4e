//! Enums that travel by name. A name that is not known counts as not said, as the reference's reader has it.

use std::fmt;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

macro_rules! by_name {
    ($(#[$doc:meta])* $type:ident default $default:ident { $($(#[$variant_doc:meta])* $variant:ident = $name:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $type {
            $($(#[$variant_doc])* $variant,)+
            /// Not said, or by a name of another version. Not written.
            Unset,
        }

        impl $type {
            /// All that have a name, in the order of their numbers.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name on the wire.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$variant => Some($name),)+
                    Self::Unset => None,
                }
            }

            /// What counts where nothing is said.
            fn or_default(self) -> Self {
                if self == Self::Unset { Self::default() } else { self }
            }

            /// The one of that name.
            #[must_use]
            pub fn from_name(name: &str) -> Self {
                match name {
                    $($name => Self::$variant,)+
                    _ => Self::Unset,
                }
            }
        }

        impl Default for $type {
            fn default() -> Self {
                Self::$default
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                self.name().serialize(serializer)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct NameOrNumber;

                impl Visitor<'_> for NameOrNumber {
                    type Value = $type;

                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str("a name")
                    }

                    fn visit_str<E: de::Error>(self, name: &str) -> Result<$type, E> {
                        Ok($type::from_name(name).or_default())
                    }

                    fn visit_i64<E: de::Error>(self, number: i64) -> Result<$type, E> {
                        let known = usize::try_from(number).ok().and_then(|number| $type::ALL.get(number));
                        Ok(known.copied().unwrap_or_default())
                    }
                }

                deserializer.deserialize_any(NameOrNumber)
            }
        }
    };
}

by_name! {
    /// How many tags a message of a topic has.
    TopicFilterType default SingleTag {
        /// One.
        SingleTag = "SINGLE_TAG",
        /// Several.
        MultiTag = "MULTI_TAG",
    }
}

by_name! {
    /// Who asks for messages: the application, or its consumer on its own.
    ConsumeType default Unset {
        /// Pull.
        Actively = "CONSUME_ACTIVELY",
        /// Push.
        Passively = "CONSUME_PASSIVELY",
    }
}

by_name! {
    /// Who gets a message of a topic.
    MessageModel default Unset {
        /// Every member of the group.
        Broadcasting = "BROADCASTING",
        /// One member of the group.
        Clustering = "CLUSTERING",
    }
}

by_name! {
    /// Where a group without offsets begins.
    ConsumeFromWhere default Unset {
        /// At the end.
        LastOffset = "CONSUME_FROM_LAST_OFFSET",
        /// At the end; an old form.
        LastOffsetAndMinWhenBootFirst = "CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST",
        /// At the begin; an old form.
        MinOffset = "CONSUME_FROM_MIN_OFFSET",
        /// At the end; an old form.
        MaxOffset = "CONSUME_FROM_MAX_OFFSET",
        /// At the begin.
        FirstOffset = "CONSUME_FROM_FIRST_OFFSET",
        /// At a time.
        Timestamp = "CONSUME_FROM_TIMESTAMP",
    }
}

by_name! {
    /// What a client made of a message it was handed directly.
    ConsumeResult default Unset {
        /// Consumed.
        Success = "CR_SUCCESS",
        /// To be tried again.
        Later = "CR_LATER",
        /// Rolled back.
        Rollback = "CR_ROLLBACK",
        /// Committed.
        Commit = "CR_COMMIT",
        /// The listener failed.
        ThrowException = "CR_THROW_EXCEPTION",
        /// The listener said nothing.
        ReturnNull = "CR_RETURN_NULL",
    }
}
