//! The JSON header, read by a scanner that knows its members and copies every text once.
//!
//! It is the largest cost of a small message, hence no general parser; the tests hold it against `serde_json`.

use std::fmt::Write as _;

use bytes::{BufMut, BytesMut};

use crate::fields::{FIELDS_MAX, Fields};
use crate::frame::{Frame, FrameError, Language};

/// Deepest nesting of a value that is skipped.
const DEPTH_MAX: usize = 16;

/// Reads a whole header.
pub(crate) fn read(header: &[u8]) -> Result<Frame, FrameError> {
    let text = std::str::from_utf8(header)
        .map_err(|e| FrameError::Header { at: e.valid_up_to(), why: "text is not UTF-8" })?;
    let mut scan = Scan { text, at: 0 };
    let mut frame = Frame::default();
    let mut name = String::new();
    scan.object(|scan| {
        name.clear();
        scan.string(&mut name)?;
        scan.expect(b':', "expected ':'")?;
        match name.as_str() {
            "code" => frame.code = scan.integer()?,
            "version" => frame.version = scan.integer()?,
            "opaque" => frame.opaque = scan.integer()?,
            "flag" => frame.flag = scan.integer()?,
            "language" => frame.language = scan.language()?,
            "remark" => frame.remark = scan.text_or_null()?,
            "extFields" => frame.fields = scan.fields()?,
            _ => scan.skip(0)?,
        }
        Ok(())
    })?;
    scan.blank();
    if scan.at < text.len() {
        return Err(scan.wrong("text after the header's object"));
    }
    Ok(frame)
}

/// Appends the header of `frame`; members stand in the order Java writes them.
pub(crate) fn write(frame: &Frame, out: &mut BytesMut) {
    // Writing into a BytesMut fails only when memory does.
    let _ = write!(out, "{{\"code\":{}", frame.code);
    if !frame.fields.is_empty() {
        out.put_slice(b",\"extFields\":{");
        for (n, (name, value)) in frame.fields.iter().enumerate() {
            if n > 0 {
                out.put_u8(b',');
            }
            quoted(name, out);
            out.put_u8(b':');
            quoted(value, out);
        }
        out.put_u8(b'}');
    }
    let language = frame.language.name();
    let _ = write!(out, ",\"flag\":{},\"language\":\"{language}\",\"opaque\":{}", frame.flag, frame.opaque);
    if let Some(remark) = &frame.remark {
        out.put_slice(b",\"remark\":");
        quoted(remark, out);
    }
    let _ = write!(out, ",\"serializeTypeCurrentRPC\":\"JSON\",\"version\":{}}}", frame.version);
}

fn needs_escape(byte: u8) -> bool {
    byte < 0x20 || byte == b'"' || byte == b'\\'
}

fn quoted(text: &str, out: &mut BytesMut) {
    out.put_u8(b'"');
    let mut rest = text.as_bytes();
    while let Some(plain) = rest.iter().position(|b| needs_escape(*b)) {
        let (before, from) = rest.split_at(plain);
        out.put_slice(before);
        let Some((special, after)) = from.split_first() else { break };
        match special {
            b'"' => out.put_slice(b"\\\""),
            b'\\' => out.put_slice(b"\\\\"),
            b'\n' => out.put_slice(b"\\n"),
            b'\r' => out.put_slice(b"\\r"),
            b'\t' => out.put_slice(b"\\t"),
            other => {
                let _ = write!(out, "\\u{other:04x}");
            }
        }
        rest = after;
    }
    out.put_slice(rest);
    out.put_u8(b'"');
}

struct Scan<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Scan<'a> {
    fn wrong(&self, why: &'static str) -> FrameError {
        FrameError::Header { at: self.at, why }
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn blank(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\n' | b'\r')) {
            self.at += 1;
        }
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

    fn fields(&mut self) -> Result<Fields, FrameError> {
        if self.null() {
            return Ok(Fields::new());
        }
        let mut fields = Fields::with_capacity(self.text.len().saturating_sub(self.at));
        self.object(|scan| {
            if fields.len() == FIELDS_MAX {
                return Err(scan.wrong("too many extension fields"));
            }
            let key = fields.arena().len();
            scan.string(fields.arena())?;
            scan.expect(b':', "expected ':'")?;
            let value = fields.arena().len();
            scan.blank();
            if scan.null() {
                // A null value is as good as an absent field.
                fields.arena().truncate(key);
                return Ok(());
            }
            if scan.peek() == Some(b'"') {
                scan.string(fields.arena())?;
            } else {
                let from = scan.at;
                scan.skip(0)?;
                fields.arena().push_str(scan.text.get(from..scan.at).unwrap_or_default());
            }
            fields.close(key, value);
            Ok(())
        })?;
        Ok(fields)
    }

    fn null(&mut self) -> bool {
        self.blank();
        let there = self.text.get(self.at..).is_some_and(|t| t.starts_with("null"));
        if there {
            self.at += 4;
        }
        there
    }

    fn text_or_null(&mut self) -> Result<Option<String>, FrameError> {
        if self.null() {
            return Ok(None);
        }
        let mut out = String::new();
        self.string(&mut out)?;
        Ok(Some(out))
    }

    fn language(&mut self) -> Result<Language, FrameError> {
        self.blank();
        match self.peek() {
            Some(b'"') => {
                let mut name = String::new();
                self.string(&mut name)?;
                Ok(Language::from_name(&name))
            }
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

    /// Appends a string's text, escapes resolved.
    fn string(&mut self, out: &mut String) -> Result<(), FrameError> {
        self.expect(b'"', "expected a string")?;
        loop {
            let from = self.at;
            let rest = self.text.as_bytes().get(from..).unwrap_or_default();
            let Some(plain) = rest.iter().position(|b| *b == b'"' || *b == b'\\') else {
                return Err(self.wrong("a string does not end"));
            };
            self.at = from + plain;
            out.push_str(self.text.get(from..self.at).unwrap_or_default());
            let special = self.peek();
            self.at += 1;
            if special == Some(b'"') {
                return Ok(());
            }
            let c = self.escaped()?;
            out.push(c);
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
        let digits = self.text.get(self.at..self.at + 4).ok_or_else(|| self.wrong("a \\u escape ends early"))?;
        if !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(self.wrong("a \\u escape has a non-hexadecimal digit"));
        }
        let code = u32::from_str_radix(digits, 16).map_err(|_| self.wrong("malformed \\u escape"))?;
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
            Some(b'"') => self.string(&mut String::new()),
            Some(b'{') => self.object(|scan| {
                scan.string(&mut String::new())?;
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
