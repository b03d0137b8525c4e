//! The JSON header, read by a scanner that knows its members and copies every text once.
//!
//! It is the largest cost of a small message, hence no general parser; the tests hold it against `serde_json`.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::Range;

use bytes::{BufMut, BytesMut};
use smallvec::SmallVec;

use crate::fields::{FIELDS_MAX, Fields};
use crate::frame::{Frame, FrameError, Head, Language};

/// Deepest nesting of a value that is skipped.
const DEPTH_MAX: usize = 16;
/// Most members of a header that are not in [`MEMBERS`]; the protocol has none.
const UNKNOWN_MEMBERS_MAX: usize = 16;

/// The members of a header; one that comes again is refused, since readers differ in which of the two they believe.
const MEMBERS: [&str; 8] =
    ["code", "version", "opaque", "flag", "language", "remark", "extFields", "serializeTypeCurrentRPC"];

/// In `"a":"value"`, how far the name lies before the value.
const COMPACT_NAME_BACK: usize = 4;

/// Reads a whole header into a fresh frame. The work is linear in the header's length.
pub(crate) fn read(header: &[u8], frame: &mut Frame) -> Result<(), FrameError> {
    let text = crate::fields::text_of(header);
    frame.replaced = matches!(text, Cow::Owned(_));
    Scan::new(&text).header(frame)
}

/// Appends a header; members stand in the order Java writes them.
pub(crate) fn write(head: &Head<'_>, out: &mut BytesMut) {
    out.put_slice(b"{\"code\":");
    number(head.code, out);
    if !head.fields.is_empty() {
        out.put_slice(b",\"extFields\":{");
        for (n, (name, value)) in head.fields.iter().enumerate() {
            if n > 0 {
                out.put_u8(b',');
            }
            quoted(name, out);
            out.put_u8(b':');
            quoted(value, out);
        }
        out.put_u8(b'}');
    }
    out.put_slice(b",\"flag\":");
    number(head.flag, out);
    out.put_slice(b",\"language\":\"");
    out.put_slice(head.language.name().as_bytes());
    out.put_slice(b"\",\"opaque\":");
    number(head.opaque, out);
    if let Some(remark) = head.remark {
        out.put_slice(b",\"remark\":");
        quoted(remark, out);
    }
    out.put_slice(b",\"serializeTypeCurrentRPC\":\"JSON\",\"version\":");
    number(head.version, out);
    out.put_u8(b'}');
}

fn number(value: i32, out: &mut BytesMut) {
    out.put_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn quoted(text: &str, out: &mut BytesMut) {
    out.put_u8(b'"');
    let mut rest = text.as_bytes();
    // Looking at all bytes without stopping is several at a time, and nearly every text has nothing to escape.
    let plain = !rest.iter().fold(false, |any, byte| any | needs_escape(*byte));
    while !plain && let Some(special) = rest.iter().position(|b| needs_escape(*b)) {
        let (before, from) = rest.split_at(special);
        out.put_slice(before);
        let Some((special, after)) = from.split_first() else { break };
        match special {
            b'"' => out.put_slice(b"\\\""),
            b'\\' => out.put_slice(b"\\\\"),
            b'\n' => out.put_slice(b"\\n"),
            b'\r' => out.put_slice(b"\\r"),
            b'\t' => out.put_slice(b"\\t"),
            other => {
                // Writing into a BytesMut fails only when memory does.
                let _ = write!(out, "\\u{other:04x}");
            }
        }
        rest = after;
    }
    out.put_slice(rest);
    out.put_u8(b'"');
}

/// Where the first quote or backslash stands. Most strings are so short that looking is cheaper than calling who looks
/// at many bytes at a time.
fn string_end(text: &[u8]) -> Option<usize> {
    const NEAR: usize = 12;
    let near = text.get(..NEAR).unwrap_or(text);
    if let Some(at) = near.iter().position(|byte| matches!(byte, b'"' | b'\\')) {
        return Some(at);
    }
    memchr::memchr2(b'"', b'\\', text.get(NEAR..)?).map(|at| at + NEAR)
}

/// Characters of a string that stand for themselves.
struct Run {
    from: usize,
    to: usize,
    /// Whether the string ends behind them; else an escape follows.
    closed: bool,
}

/// Names of the members of a header that were read already.
#[derive(Default)]
struct MembersRead<'a> {
    /// One bit for each of [`MEMBERS`].
    known: u8,
    unknown: SmallVec<[Cow<'a, str>; 2]>,
}

impl<'a> MembersRead<'a> {
    /// Notes a member.
    ///
    /// # Errors
    /// What is wrong with it.
    fn insert(&mut self, name: Cow<'a, str>) -> Result<(), &'static str> {
        let repeated = if let Some(place) = MEMBERS.iter().position(|known| *known == name) {
            let bit = 1 << place;
            let repeated = self.known & bit != 0;
            self.known |= bit;
            repeated
        } else {
            let repeated = self.unknown.contains(&name);
            self.unknown.push(name);
            repeated
        };
        match repeated {
            true => Err("a member is repeated"),
            false if self.unknown.len() > UNKNOWN_MEMBERS_MAX => Err("too many members"),
            false => Ok(()),
        }
    }
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
    /// Bytes looked at or copied, each as often as it was.
    #[cfg(test)]
    steps: usize,
}

impl<'a> Scan<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            #[cfg(test)]
            steps: 0,
        }
    }

    /// Counts work where tests ask how much there was.
    fn step(&mut self, bytes: usize) {
        #[cfg(test)]
        {
            self.steps += bytes;
        }
        let _ = bytes;
    }

    fn header(&mut self, frame: &mut Frame) -> Result<(), FrameError> {
        let mut members = MembersRead::default();
        self.object(|scan| {
            let name = scan.string()?;
            members.insert(name.clone()).map_err(|why| scan.wrong(why))?;
            scan.expect(b':', "expected ':'")?;
            match name.as_ref() {
                "code" => frame.code = scan.integer()?,
                "version" => frame.version = scan.integer()?,
                "opaque" => frame.opaque = scan.integer()?,
                "flag" => frame.flag = scan.integer()?,
                "language" => frame.language = scan.language()?,
                "remark" => frame.remark = scan.text_or_null()?,
                "extFields" => scan.fields(&mut frame.fields)?,
                _ => scan.skip(0)?,
            }
            Ok(())
        })?;
        self.blank();
        if self.at < self.text.len() {
            return Err(self.wrong("text after the header's object"));
        }
        Ok(())
    }

    fn wrong(&self, why: &'static str) -> FrameError {
        FrameError::Header { at: self.at, why }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blank(&mut self) {
        let from = self.at;
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
        self.step(1 + self.at - from);
    }

    fn eat(&mut self, byte: u8) -> bool {
        self.blank();
        let there = self.peek() == Some(byte);
        if there {
            self.at += 1;
        }
        there
    }

    fn expect(&mut self, byte: u8, why: &'static str) -> Result<(), FrameError> {
        if self.eat(byte) { Ok(()) } else { Err(self.wrong(why)) }
    }

    /// Walks an object; `member` reads one name, the colon and the value.
    fn object(&mut self, mut member: impl FnMut(&mut Self) -> Result<(), FrameError>) -> Result<(), FrameError> {
        self.expect(b'{', "expected an object")?;
        if self.eat(b'}') {
            return Ok(());
        }
        loop {
            member(self)?;
            if self.eat(b'}') {
                return Ok(());
            }
            self.expect(b',', "expected ',' or '}'")?;
        }
    }

    fn fields(&mut self, fields: &mut Fields) -> Result<(), FrameError> {
        if self.null() {
            *fields = Fields::new();
            return Ok(());
        }
        // Names and values stay where they lie in a copy of the header's rest.
        let base = self.at;
        let rest = self.text.get(base..).unwrap_or_default();
        self.step(rest.len());
        fields.begin(rest);
        let mut absent = SmallVec::<[Range<usize>; 2]>::new();
        self.object(|scan| {
            if fields.len() + absent.len() == FIELDS_MAX {
                return Err(scan.wrong("too many extension fields"));
            }
            if let Some((letter, value)) = scan.compact() {
                let name = value.start.saturating_sub(base + COMPACT_NAME_BACK);
                fields.close_letter(letter, name, value.start.saturating_sub(base)..value.end.saturating_sub(base));
                return Ok(());
            }
            let name = scan.piece(base, fields.arena())?;
            scan.expect(b':', "expected ':'")?;
            scan.blank();
            if scan.null() {
                // A null value is as good as an absent field.
                absent.push(name);
                return Ok(());
            }
            let value = if scan.peek() == Some(b'"') {
                scan.piece(base, fields.arena())?
            } else {
                let from = scan.at;
                scan.skip(0)?;
                from.saturating_sub(base)..scan.at.saturating_sub(base)
            };
            fields.close(name, value);
            Ok(())
        })?;
        if fields.is_repeated(&absent) { Err(self.wrong("an extension field is repeated")) } else { Ok(()) }
    }

    /// A field with a one-letter name and a value without escapes, written without blanks, as nearly all are that come
    /// often: its letter, and where its value lies. Anything else is left where it is.
    fn compact(&mut self) -> Option<(u8, Range<usize>)> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let [b'"', letter @ b'a'..=b'z', b'"', b':', b'"', value @ ..] = rest else { return None };
        let len = string_end(value).filter(|len| value.get(*len) == Some(&b'"'))?;
        let from = self.at + 1 + COMPACT_NAME_BACK;
        self.step(1 + len);
        self.at = from + len + 1;
        Some((*letter, from..from + len))
    }

    /// A string as a piece of `arena`, which begins with a copy of the text from `base` on: the place where it lies, or
    /// a new one at the arena's end when it has escapes.
    fn piece(&mut self, base: usize, arena: &mut String) -> Result<Range<usize>, FrameError> {
        self.expect(b'"', "expected a string")?;
        let run = self.run()?;
        if run.closed {
            return Ok(run.from.saturating_sub(base)..run.to.saturating_sub(base));
        }
        let start = arena.len();
        self.resolve(run, arena)?;
        Ok(start..arena.len())
    }

    fn null(&mut self) -> bool {
        self.blank();
        let there = self.peek() == Some(b'n') && self.text.get(self.at..).is_some_and(|t| t.starts_with("null"));
        if there {
            self.at += 4;
        }
        there
    }

    fn text_or_null(&mut self) -> Result<Option<String>, FrameError> {
        if self.null() {
            return Ok(None);
        }
        Ok(Some(self.string()?.into_owned()))
    }

    fn language(&mut self) -> Result<Language, FrameError> {
        self.blank();
        match self.peek() {
            Some(b'"') => Ok(Language::from_name(&self.string()?)),
            Some(b'n') if self.null() => Ok(Language::OTHER),
            _ => Ok(u8::try_from(self.integer()?).map_or(Language::OTHER, Language)),
        }
    }

    /// An integer, bare or quoted; null is 0.
    fn integer(&mut self) -> Result<i32, FrameError> {
        if self.null() {
            return Ok(0);
        }
        let quoted = self.eat(b'"');
        let from = self.at;
        while matches!(self.peek(), Some(b'-' | b'0'..=b'9')) {
            self.at += 1;
        }
        let digits = self.text.get(from..self.at).unwrap_or_default();
        let value = digits.parse().map_err(|_| self.wrong("expected a 32-bit integer"))?;
        if quoted {
            self.expect(b'"', "expected a closing quote")?;
        }
        Ok(value)
    }

    /// A string's text, escapes resolved.
    fn string(&mut self) -> Result<Cow<'a, str>, FrameError> {
        self.expect(b'"', "expected a string")?;
        let run = self.run()?;
        if run.closed {
            return Ok(Cow::Borrowed(self.text.get(run.from..run.to).unwrap_or_default()));
        }
        let mut out = String::new();
        self.resolve(run, &mut out)?;
        Ok(Cow::Owned(out))
    }

    /// Passes the characters up to the next quote or backslash, and that one too.
    fn run(&mut self) -> Result<Run, FrameError> {
        let from = self.at;
        let rest = self.text.as_bytes().get(from..).unwrap_or_default();
        let Some(len) = string_end(rest) else {
            return Err(self.wrong("a string does not end"));
        };
        self.step(1 + len);
        self.at = from + len + 1;
        Ok(Run { from, to: from + len, closed: rest.get(len) == Some(&b'"') })
    }

    /// Appends the string that begins with `run` and goes on with an escape.
    fn resolve(&mut self, mut run: Run, out: &mut String) -> Result<(), FrameError> {
        loop {
            out.push_str(self.text.get(run.from..run.to).unwrap_or_default());
            if run.closed {
                return Ok(());
            }
            let c = self.escaped()?;
            out.push(c);
            run = self.run()?;
        }
    }

    fn escaped(&mut self) -> Result<char, FrameError> {
        let kind = self.peek().ok_or_else(|| self.wrong("a string does not end"))?;
        self.at += 1;
        Ok(match kind {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => return self.unicode(),
            _ => return Err(self.wrong("unknown escape")),
        })
    }

    fn unicode(&mut self) -> Result<char, FrameError> {
        let first = self.hex4()?;
        if !(0xD800..0xDC00).contains(&first) {
            // A lone low surrogate has no character; Java would keep it, UTF-8 cannot.
            return Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let paired = self.text.get(self.at..).is_some_and(|t| t.starts_with("\\u"));
        if !paired {
            return Ok(char::REPLACEMENT_CHARACTER);
        }
        self.at += 2;
        let second = self.hex4()?;
        if !(0xDC00..0xE000).contains(&second) {
            return Ok(char::REPLACEMENT_CHARACTER);
        }
        let code = 0x10000 + ((first & 0x3FF) << 10) + (second & 0x3FF);
        Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex4(&mut self) -> Result<u32, FrameError> {
        let digits = self.text.as_bytes().get(self.at..self.at + 4);
        let digits = digits.ok_or_else(|| self.wrong("a \\u escape ends early"))?;
        let mut code = 0;
        for digit in digits {
            let digit = char::from(*digit).to_digit(16);
            code = code << 4 | digit.ok_or_else(|| self.wrong("a \\u escape has a non-hexadecimal digit"))?;
        }
        self.at += 4;
        Ok(code)
    }

    /// Passes over any value.
    fn skip(&mut self, depth: usize) -> Result<(), FrameError> {
        if depth > DEPTH_MAX {
            return Err(self.wrong("nested too deeply"));
        }
        self.blank();
        match self.peek() {
            Some(b'"') => self.string().map(|_| ()),
            Some(b'{') => self.object(|scan| {
                scan.string()?;
                scan.expect(b':', "expected ':'")?;
                scan.skip(depth + 1)
            }),
            Some(b'[') => self.list(depth),
            Some(b'-' | b'0'..=b'9' | b't' | b'f' | b'n') => {
                while matches!(self.peek(), Some(b'-' | b'+' | b'.' | b'0'..=b'9' | b'a'..=b'z' | b'E')) {
                    self.at += 1;
                }
                Ok(())
            }
            _ => Err(self.wrong("expected a value")),
        }
    }

    fn list(&mut self, depth: usize) -> Result<(), FrameError> {
        self.expect(b'[', "expected a list")?;
        if self.eat(b']') {
            return Ok(());
        }
        loop {
            self.skip(depth + 1)?;
            if self.eat(b']') {
                return Ok(());
            }
            self.expect(b',', "expected ',' or ']'")?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::HEADER_SIZE_MAX;

    /// Repeats `part` between `before` and `after` as often as the largest header has room for.
    fn filled(before: &str, part: impl Fn(usize) -> String, after: &str) -> String {
        let mut text = before.to_owned();
        for n in 0.. {
            let part = part(n);
            if text.len() + part.len() + after.len() > HEADER_SIZE_MAX {
                break;
            }
            text.push_str(&part);
        }
        text + after
    }

    #[test]
    fn work_is_linear_in_the_header() {
        let plain = |part: &'static str| move |_: usize| part.to_owned();
        let cases = [
            filled("{", plain("\"extFields\":{},"), "\"code\":1}"),
            filled("{", plain("\"extFields\":null,"), "\"code\":1}"),
            filled("{", |n| format!("\"x{n}\":{{}},"), "\"code\":1}"),
            filled("{\"extFields\":{", |n| format!("\"x{n}\":null,"), "\"a\":\"\"}}"),
            filled("{\"extFields\":{", |n| format!("\"x{n}\":[1],"), "\"a\":\"\"}}"),
            filled("{\"extFields\":{\"a\":\"", plain("\\n"), "\"}}"),
            filled("{\"extFields\":{\"a\":\"", plain("\\ud83d\\ude00"), "\"}}"),
            filled("{\"extFields\":{\"a\":[", plain("[[[]]],"), "1]}}"),
            filled("{\"remark\":\"", plain("x\\\""), "\"}"),
            filled("{\"y\":[", plain("{\"a\":[{}]},"), "1]}"),
            filled("{", plain(" "), "}"),
            "[".repeat(HEADER_SIZE_MAX),
            format!("{{\"y\":{}", "{\"a\":".repeat(HEADER_SIZE_MAX / 8)),
        ];
        for text in cases {
            let mut scan = Scan::new(&text);
            let _ = scan.header(&mut Frame::default());
            assert!(scan.steps <= 4 * text.len(), "{} steps for {} bytes: {:.60}", scan.steps, text.len(), text);
        }
    }
}
