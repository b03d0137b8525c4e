//! Texts of peers where people read them: no character may move the cursor, start a line or turn the direction of
//! writing, and in a log no text may be long.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

/// Longest text of a peer in a log line, in characters.
pub const LOGGED_CHARS_MAX: usize = 256;

/// A text for a log line: escaped, and cut at [`LOGGED_CHARS_MAX`].
#[must_use]
pub fn shown(text: &str) -> Shown<'_> {
    Shown(text)
}

/// See [`shown`].
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a>(&'a str);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (head, rest) = match self.0.char_indices().nth(LOGGED_CHARS_MAX) {
            Some((at, _)) => self.0.split_at_checked(at).unwrap_or((self.0, "")),
            None => (self.0, ""),
        };
        f.write_str(&escaped(head))?;
        if rest.is_empty() { Ok(()) } else { write!(f, "… (and {} bytes)", rest.len()) }
    }
}

/// The text with `\u001b` in place of an escape, and so on for every character that [`is_unsafe`].
#[must_use]
pub fn escaped(text: &str) -> Cow<'_, str> {
    escaped_unless(text, |_| false)
}

/// As [`escaped`], but leaves characters that `keep` names.
#[must_use]
pub fn escaped_unless(text: &str, keep: impl Fn(char) -> bool) -> Cow<'_, str> {
    let is_plain = |c: char| !is_unsafe(c) || keep(c);
    if text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len().saturating_add(16));
    for c in text.chars() {
        if is_plain(c) {
            out.push(c);
        } else {
            // Writing into a String does not fail. All of these characters have four hexadecimal digits.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        }
    }
    Cow::Owned(out)
}

/// Control characters, line and paragraph separators, and the marks of bidirectional text.
#[must_use]
pub fn is_unsafe(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unsafe_characters_are_escaped() {
        assert_eq!(
            escaped("a\u{1b}[31m\r\n\u{7}\u{9b}\u{202e}ü中😀"),
            "a\\u001b[31m\\u000d\\u000a\\u0007\\u009b\\u202eü中😀"
        );
        assert_eq!(escaped_unless("a\tb\u{7f}", |c| c == '\t'), "a\tb\\u007f");
        assert!(matches!(escaped("plain ü"), Cow::Borrowed(_)));
    }

    #[test]
    fn long_texts_are_cut_for_a_log() {
        let whole = "ü".repeat(LOGGED_CHARS_MAX);
        assert_eq!(shown(&whole).to_string(), whole);
        assert_eq!(shown(&format!("{whole}xyz")).to_string(), format!("{whole}… (and 3 bytes)"));
    }
}
