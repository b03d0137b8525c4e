//! Extension fields of a header: names and values in one piece of memory.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use smallvec::SmallVec;

/// Most fields one header may carry; the largest header of the protocol has 16, ACL and trace add a few.
pub const FIELDS_MAX: usize = 256;

/// One field: where its name and its value lie in the text.
#[derive(Clone, Copy)]
struct Span {
    key: u32,
    key_end: u32,
    value: u32,
    value_end: u32,
}

/// Up to so many names are compared with each other; more are sorted.
const COMPARED_MAX: usize = 24;

/// Extension fields in the order they came; of a name that was pushed twice the last value counts. A decoder refuses
/// such fields.
#[derive(Clone, Default)]
pub struct Fields {
    text: String,
    spans: SmallVec<[Span; 16]>,
    /// The last field, counted from 1, whose name is that small letter: the compact requests have no other names.
    letters: [u16; 26],
    /// Whether any name is not a small letter.
    words: bool,
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
        Self { text: String::with_capacity(bytes), ..Self::default() }
    }

    /// Begins with a text that names and values can be pieces of (see [`Fields::close`]), and drops what was there.
    pub(crate) fn begin(&mut self, text: &str) {
        self.spans.clear();
        self.letters = Default::default();
        self.words = false;
        self.text.clear();
        // Room for what escapes resolve to, which is put behind it.
        self.text.reserve(text.len().saturating_mul(2));
        self.text.push_str(text);
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
        self.last(name)
    }

    /// The value of `name`, or of its one-letter form where only that is there.
    pub(crate) fn find(&self, name: &str, short: &str) -> Option<&str> {
        let word = if self.words { self.last(name) } else { None };
        word.or_else(|| self.last(short))
    }

    fn last(&self, name: &str) -> Option<&str> {
        if let Some(letter) = letter(name) {
            let place = self.letters.get(letter).copied().unwrap_or_default();
            let span = self.spans.get(usize::from(place).checked_sub(1)?)?;
            return Some(self.value(span));
        }
        self.spans.iter().rev().find(|span| self.key(span) == name).map(|span| self.value(span))
    }

    /// All fields in the order they came.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.spans.iter().map(|span| (self.key(span), self.value(span)))
    }

    /// Adds a field.
    pub fn push(&mut self, name: &str, value: &str) {
        self.push_with(name, |text| text.push_str(value));
    }

    /// Adds a field whose value is what `write` appends.
    pub fn push_with(&mut self, name: &str, write: impl FnOnce(&mut String)) {
        let key = self.text.len();
        self.text.push_str(name);
        let value = self.text.len();
        write(&mut self.text);
        self.close(key..value, value..self.text.len());
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

    /// The text that names and values are pieces of: what a decoder appends to.
    pub(crate) fn arena(&mut self) -> &mut String {
        &mut self.text
    }

    /// Adds a field whose name and value are those bytes of the text.
    pub(crate) fn close(&mut self, name: Range<usize>, value: Range<usize>) {
        let letter = letter(self.text.get(name.clone()).unwrap_or_default());
        self.add(letter, name, value);
    }

    /// As [`Fields::close`], of a name that is a small letter and stands at `name`.
    pub(crate) fn close_letter(&mut self, letter: u8, name: usize, value: Range<usize>) {
        self.add(Some(usize::from(letter.wrapping_sub(b'a'))), name..name + 1, value);
    }

    fn add(&mut self, letter: Option<usize>, name: Range<usize>, value: Range<usize>) {
        // Beyond 4 GiB, which no frame reaches, a piece is empty.
        let at = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let span =
            Span { key: at(name.start), key_end: at(name.end), value: at(value.start), value_end: at(value.end) };
        self.spans.push(span);
        let place = u16::try_from(self.spans.len()).ok();
        match (letter.and_then(|letter| self.letters.get_mut(letter)), place) {
            (Some(last), Some(place)) => *last = place,
            _ => self.words = true,
        }
    }

    /// Whether a name came twice, those of fields without a value included, which are pieces of the text.
    pub(crate) fn is_repeated(&self, absent: &[Range<usize>]) -> bool {
        let absent = absent.iter().map(|name| self.text.get(name.clone()).unwrap_or_default());
        let mut names: SmallVec<[&str; 32]> = self.spans.iter().map(|span| self.key(span)).chain(absent).collect();
        if names.len() <= COMPARED_MAX {
            // Nearly all names differ by their mark: comparing each with each would be a large part of reading a send.
            let mut marks = 0_u64;
            return names.iter().enumerate().any(|(n, name)| {
                let mark = 1 << mark_of(name);
                let may_be = marks & mark != 0;
                marks |= mark;
                may_be && names.iter().take(n).any(|other| other == name)
            });
        }
        names.sort_unstable();
        names.windows(2).any(|pair| matches!(pair, [one, other] if one == other))
    }

    fn key(&self, span: &Span) -> &str {
        self.piece(span.key, span.key_end)
    }

    fn value(&self, span: &Span) -> &str {
        self.piece(span.value, span.value_end)
    }

    fn piece(&self, from: u32, to: u32) -> &str {
        self.text.get(from as usize..to as usize).unwrap_or_default()
    }
}

/// The text of a header or of a part of it. Bytes that are no UTF-8 are replaced, as Java does: a name or a tag in another
/// encoding is no reason to lose the connection. Nearly all are UTF-8, and looking at them whole is quicker.
pub(crate) fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    std::str::from_utf8(bytes).map_or_else(|_| String::from_utf8_lossy(bytes), Cow::Borrowed)
}

/// A number below 64, the same for equal names.
fn mark_of(name: &str) -> u32 {
    let end = |byte: Option<&u8>| u32::from(byte.copied().unwrap_or_default());
    let (first, last) = (end(name.as_bytes().first()), end(name.as_bytes().last()));
    let len = u32::try_from(name.len()).unwrap_or(u32::MAX);
    first.wrapping_add(last.wrapping_mul(5)).wrapping_add(len.wrapping_mul(11)) % 64
}

/// Which letter of the alphabet a one-letter name is, from 0.
fn letter(name: &str) -> Option<usize> {
    match name.as_bytes() {
        [letter @ b'a'..=b'z'] => Some(usize::from(letter - b'a')),
        _ => None,
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
    fn a_word_comes_before_its_letter_whatever_their_order() {
        let mut fields = Fields::from_iter([("topic", "long"), ("b", "short"), ("b", "again")]);
        assert_eq!(fields.find("topic", "b"), Some("long"));
        assert_eq!(fields.find("queueId", "b"), Some("again"));
        assert_eq!(fields.find("queueId", "e"), None);
        fields.push("é", "x");
        assert_eq!(fields.get("é"), Some("x"));
    }

    #[test]
    fn what_is_no_utf8_is_replaced() {
        assert!(matches!(text_of("\u{8ba2}".as_bytes()), Cow::Borrowed(_)));
        assert_eq!(text_of(b"a\xb6\xa9"), "a\u{FFFD}\u{FFFD}");
    }

    #[test]
    fn values_are_what_was_written() {
        let mut fields = Fields::new();
        fields.push_with("n", |text| text.push_str("-5"));
        assert_eq!(fields.get("n"), Some("-5"));
        assert_eq!(fields.get("m"), None);
    }
}
