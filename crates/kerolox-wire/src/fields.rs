//! Extension fields of a header: names and values in one piece of memory.

use std::fmt::{self, Display, Write};

use smallvec::SmallVec;

/// Most fields one header may carry; the largest header of the protocol has 16, ACL and trace add a few.
pub const FIELDS_MAX: usize = 256;

#[derive(Clone, Copy)]
struct Span {
    key: usize,
    value: usize,
    end: usize,
}

/// Extension fields in the order they came; of a name that came twice the last value counts.
#[derive(Clone, Default)]
pub struct Fields {
    text: String,
    spans: SmallVec<[Span; 16]>,
}

impl Fields {
    /// No fields.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// No fields yet, with room for `bytes` of names and values.
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        Self { text: String::with_capacity(bytes), spans: SmallVec::new() }
    }

    /// How many fields there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there is no field.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// The value of `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.find(name, name)
    }

    /// The value of `name`, or of its short form where only that is there; one pass over the fields.
    pub(crate) fn find(&self, name: &str, short: &str) -> Option<&str> {
        let text = self.text.as_bytes();
        let is = |span: &Span, wanted: &str| {
            // Most fields differ in length or in the first letter, so the bytes are seldom compared.
            span.value.wrapping_sub(span.key) == wanted.len()
                && text.get(span.key) == wanted.as_bytes().first()
                && text.get(span.key..span.value) == Some(wanted.as_bytes())
        };
        let mut found = None;
        for span in self.spans.iter().rev() {
            if is(span, name) {
                found = Some(span);
                break;
            }
            if found.is_none() && is(span, short) {
                found = Some(span);
            }
        }
        found.map(|span| self.piece(span.value, span.end))
    }

    /// All fields in the order they came.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.spans.iter().map(|s| (self.piece(s.key, s.value), self.piece(s.value, s.end)))
    }

    /// Adds a field.
    pub fn push(&mut self, name: &str, value: &str) {
        let key = self.text.len();
        self.text.push_str(name);
        let at = self.text.len();
        self.text.push_str(value);
        self.close(key, at);
    }

    /// Adds a field whose value is the text form of `value`.
    pub fn push_display(&mut self, name: &str, value: impl Display) {
        let key = self.text.len();
        self.text.push_str(name);
        let at = self.text.len();
        // Writing into a String cannot fail.
        let _ = write!(self.text, "{value}");
        self.close(key, at);
    }

    /// Gives `name` the value alone, whatever it had before.
    pub fn set(&mut self, name: &str, value: &str) {
        let mut kept = Self::with_capacity(self.text.len() + name.len() + value.len());
        for (k, v) in self.iter().filter(|(k, _)| *k != name) {
            kept.push(k, v);
        }
        kept.push(name, value);
        *self = kept;
    }

    /// The memory that a decoder appends to: first the name, then [`Fields::begin_value`], then the value.
    pub(crate) fn arena(&mut self) -> &mut String {
        &mut self.text
    }

    /// Marks what was appended since `key` up to `value` as name and the rest as its value.
    pub(crate) fn close(&mut self, key: usize, value: usize) {
        self.spans.push(Span { key, value, end: self.text.len() });
    }

    fn piece(&self, from: usize, to: usize) -> &str {
        self.text.get(from..to).unwrap_or_default()
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

impl PartialEq for Fields {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Fields {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(pairs: I) -> Self {
        let mut fields = Self::new();
        for (name, value) in pairs {
            fields.push(name, value);
        }
        fields
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_value_of_a_name_counts() {
        let mut fields = Fields::from_iter([("a", "1"), ("b", "2"), ("a", "3")]);
        assert_eq!(fields.get("a"), Some("3"));
        fields.set("a", "4");
        assert_eq!(fields.iter().collect::<Vec<_>>(), [("b", "2"), ("a", "4")]);
    }

    #[test]
    fn numbers_are_written_as_text() {
        let mut fields = Fields::new();
        fields.push_display("n", -5_i64);
        assert_eq!(fields.get("n"), Some("-5"));
        assert_eq!(fields.get("m"), None);
    }
}
