//! Parts of a list or table that are read each by itself, so that one that cannot be read takes no other with it.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, Visitor};
use serde::ser::SerializeMap as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Style, from_json, to_json};

/// Names the newtype whose text the reader and the writer pass on as it stands.
pub(super) const RAW: &str = "$kerolox::body::RawText";

/// A part as it stood, and why it could not be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Its key in the table; empty in a list.
    pub key: String,
    /// Its text.
    pub text: String,
    /// What is wrong with it.
    pub why: String,
}

impl Unreadable {
    /// A part that was read but cannot be used, kept as it would be written.
    pub fn unusable<T: Serialize>(key: &str, value: &T, why: impl fmt::Display) -> Self {
        let text = String::from_utf8(to_json(value, Style::Fastjson)).unwrap_or_default();
        Self { key: key.to_owned(), text, why: why.to_string() }
    }
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        /// Longest piece of a peer's text that is repeated.
        const SHOWN_MAX: usize = 120;
        let shown = if self.key.is_empty() { &self.text } else { &self.key };
        write!(f, "{:?}: {}", shown.chars().take(SHOWN_MAX).collect::<String>(), self.why)
    }
}

/// One part: read, or why not.
struct Item<T>(Result<T, Unreadable>);

impl<'de, T: DeserializeOwned> Deserialize<'de> for Item<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text<T>(PhantomData<T>);

        impl<'de, T: DeserializeOwned> Visitor<'de> for Text<T> {
            type Value = Item<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_str<E>(self, text: &str) -> Result<Item<T>, E> {
                let unreadable =
                    |why: super::BodyError| Unreadable { key: String::new(), text: text.to_owned(), why: why.why };
                Ok(Item(from_json(text.as_bytes()).map_err(unreadable)))
            }

            fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Item<T>, D::Error> {
                T::deserialize(deserializer).map(|value| Item(Ok(value)))
            }
        }

        deserializer.deserialize_newtype_struct(RAW, Text(PhantomData))
    }
}

/// A list of which every item that can be read is there.
pub(crate) struct EachItem<T> {
    pub(crate) read: Vec<T>,
    pub(crate) unreadable: Vec<Unreadable>,
}

impl<T> Default for EachItem<T> {
    fn default() -> Self {
        Self { read: Vec::new(), unreadable: Vec::new() }
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for EachItem<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut each = Self::default();
        for Item(item) in Vec::<Item<T>>::deserialize(deserializer)? {
            match item {
                Ok(item) => each.read.push(item),
                Err(why) => each.unreadable.push(why),
            }
        }
        Ok(each)
    }
}

/// A table of which every member that can be read is there.
pub(crate) struct EachMember<T> {
    pub(crate) read: BTreeMap<String, T>,
    pub(crate) unreadable: Vec<Unreadable>,
}

impl<T> Default for EachMember<T> {
    fn default() -> Self {
        Self { read: BTreeMap::new(), unreadable: Vec::new() }
    }
}

impl<'de, T: DeserializeOwned> Deserialize<'de> for EachMember<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut each = Self::default();
        for (key, Item(member)) in BTreeMap::<String, Item<T>>::deserialize(deserializer)? {
            match member {
                Ok(member) => drop(each.read.insert(key, member)),
                Err(why) => each.unreadable.push(Unreadable { key, ..why }),
            }
        }
        Ok(each)
    }
}

/// Text of the dialect that is written as it stands.
struct Raw<'a>(&'a str);

impl Serialize for Raw<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(RAW, self.0)
    }
}

/// A table as it is written: what was read, and behind it what could not be, as it stood.
pub(crate) struct Members<'a, T> {
    pub(crate) read: &'a BTreeMap<String, T>,
    pub(crate) unreadable: &'a [Unreadable],
}

impl<T: Serialize> Serialize for Members<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in self.read {
            map.serialize_entry(key, value)?;
        }
        for kept in self.unreadable.iter().filter(|kept| !self.read.contains_key(&kept.key)) {
            map.serialize_entry(&kept.key, &Raw(&kept.text))?;
        }
        map.end()
    }
}
