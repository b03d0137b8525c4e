//! JSON as the reference's peers write and expect it: nearly JSON, but not quite.
//!
//! Read besides plain JSON: integer keys without quotes (`{0:"a"}`), objects as keys (`{{"queueId":0}:1}`), numbers and
//! booleans in quotes or where a text is wanted. A member that is `null` counts as absent. Depth is limited; types named
//! in the text (`@type`) mean nothing; no value is made that the text does not carry.

mod item;
mod read;
mod write;

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeOwned, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use item::Unreadable;
pub(crate) use item::{EachItem, EachMember, Members};
pub use read::DEPTH_MAX;

/// Why bytes are not the body they should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unreadable body at byte {at}: {why}")]
pub struct BodyError {
    /// Where reading stopped.
    pub at: usize,
    /// What was wrong there.
    pub why: String,
}

impl BodyError {
    /// Longest explanation kept: it may quote what a peer sent.
    const WHY_MAX: usize = 200;

    pub(crate) fn new(at: usize, why: impl fmt::Display) -> Self {
        let mut why = why.to_string();
        if why.len() > Self::WHY_MAX {
            why.truncate(why.floor_char_boundary(Self::WHY_MAX));
            why.push('…');
        }
        Self { at, why }
    }
}

/// How keys that are not text are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// As 4.x peers expect them: integers bare, objects as they are.
    Fastjson,
    /// As JSON has them: in quotes.
    Strict,
}

/// Reads one value that fills `bytes`. What is no UTF-8 in them is replaced, as Java does.
///
/// # Errors
/// When the text is not of that dialect, nested deeper than [`DEPTH_MAX`], followed by anything, or not a `T`.
pub fn from_json<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, BodyError> {
    let text = String::from_utf8_lossy(bytes);
    let mut reader = read::Reader::new(&text);
    T::deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| BodyError::new(reader.at(), error))
}

/// Writes a body without blanks; members without a value are left out.
///
/// # Panics
/// When `T` has enum variants with fields, which no body has.
#[must_use]
pub fn to_json<T: Serialize + ?Sized>(value: &T, style: Style) -> Vec<u8> {
    let mut writer = write::Writer::new(style, write::Layout::Compact);
    value.serialize(&mut writer).expect("bodies are made of structs, maps, lists and plain values");
    writer.into_bytes()
}

/// Writes a table file as the reference lays it out: tabs, no blank after a colon, integer keys bare.
///
/// # Panics
/// When `T` has enum variants with fields, which no table has.
#[must_use]
pub fn to_json_pretty<T: Serialize + ?Sized>(value: &T) -> String {
    let mut writer = write::Writer::new(Style::Fastjson, write::Layout::Pretty);
    value.serialize(&mut writer).expect("tables are made of structs, maps, lists and plain values");
    String::from_utf8(writer.into_bytes()).expect("the writer copies text and adds ASCII")
}

/// A map whose keys are objects: `{{k}:v,{k}:v}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairMap<K, V>(pub Vec<(K, V)>);

impl<K: PartialEq, V> PairMap<K, V> {
    /// The value of `key`; the last one, should a peer have sent several.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.0.iter().rev().find_map(|(known, value)| (known == key).then_some(value))
    }
}

impl<K, V> PairMap<K, V> {
    /// The pairs in order.
    pub fn iter(&self) -> std::slice::Iter<'_, (K, V)> {
        self.0.iter()
    }

    /// How many pairs there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<K, V> Default for PairMap<K, V> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<K, V> FromIterator<(K, V)> for PairMap<K, V> {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(iter: I) -> Self {
        Self(iter.into_iter().collect())
    }
}

impl<K, V> IntoIterator for PairMap<K, V> {
    type Item = (K, V);
    type IntoIter = std::vec::IntoIter<(K, V)>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a, K, V> IntoIterator for &'a PairMap<K, V> {
    type Item = &'a (K, V);
    type IntoIter = std::slice::Iter<'a, (K, V)>;
    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

impl<K: Ord, V> From<PairMap<K, V>> for BTreeMap<K, V> {
    fn from(pairs: PairMap<K, V>) -> Self {
        pairs.0.into_iter().collect()
    }
}

impl<K: Serialize, V: Serialize> Serialize for PairMap<K, V> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Deserialize<'de> for PairMap<K, V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs<K, V>(PhantomData<(K, V)>);

        impl<'de, K: Deserialize<'de>, V: Deserialize<'de>> Visitor<'de> for Pairs<K, V> {
            type Value = PairMap<K, V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Vec::new();
                while let Some(pair) = map.next_entry()? {
                    pairs.push(pair);
                }
                Ok(PairMap(pairs))
            }
        }

        deserializer.deserialize_map(Pairs(PhantomData))
    }
}

#[cfg(test)]
mod tests;
