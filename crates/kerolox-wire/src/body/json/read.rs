//! Reads the dialect straight into a type, without a tree in between: what a peer's text costs is what its type keeps.

use std::borrow::Cow;
use std::fmt;

use serde::de::{
    self, DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor,
};
use serde::{Deserialize as _, forward_to_deserialize_any};

use super::item::RAW;

/// How deep objects and lists may stand within each other.
pub const DEPTH_MAX: usize = 64;

/// What went wrong; where is known to the reader.
#[derive(Debug)]
pub(super) struct ReadError(Cow<'static, str>);

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ReadError {}

impl de::Error for ReadError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string().into())
    }
}

const fn wrong<T>(what: &'static str) -> Result<T, ReadError> {
    Err(ReadError(Cow::Borrowed(what)))
}

/// A place in the text.
pub(super) struct Reader<'de> {
    text: &'de str,
    at: usize,
    depth: usize,
}

impl<'de> Reader<'de> {
    pub(super) const fn new(text: &'de str) -> Self {
        Self { text, at: 0, depth: 0 }
    }

    pub(super) const fn at(&self) -> usize {
        self.at
    }

    /// Nothing but blanks may follow.
    pub(super) fn end(&mut self) -> Result<(), ReadError> {
        if self.peek().is_some() { wrong("something follows the value") } else { Ok(()) }
    }

    fn byte(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    /// The next byte that is not blank.
    fn peek(&mut self) -> Option<u8> {
        while let Some(b' ' | b'\t' | b'\r' | b'\n') = self.byte() {
            self.at += 1;
        }
        self.byte()
    }

    /// Passes `wanted` if it is next.
    fn pass(&mut self, wanted: u8) -> bool {
        let found = self.peek() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, wanted: u8, what: &'static str) -> Result<(), ReadError> {
        if self.pass(wanted) { Ok(()) } else { wrong(what) }
    }

    /// The longest run of bytes that `belongs` accepts; they must be ASCII.
    fn run(&mut self, belongs: fn(u8) -> bool) -> &'de str {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let len = rest.bytes().position(|byte| !belongs(byte)).unwrap_or(rest.len());
        self.at += len;
        rest.get(..len).unwrap_or_default()
    }

    fn number(&mut self) -> &'de str {
        self.run(|byte| matches!(byte, b'0'..=b'9' | b'-' | b'+' | b'.' | b'e' | b'E'))
    }

    fn word(&mut self) -> &'de str {
        self.run(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'$' | b'@'))
    }

    /// Passes a `null` if it is next.
    fn pass_null(&mut self) -> bool {
        let found = self.peek() == Some(b'n');
        let before = self.at;
        if found && self.word() == "null" {
            return true;
        }
        self.at = before;
        false
    }

    /// A text in quotes; the opening one is next.
    fn string(&mut self) -> Result<Cow<'de, str>, ReadError> {
        self.expect(b'"', "a text is missing")?;
        let rest = self.text.get(self.at..).unwrap_or_default();
        let Some(end) = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\')) else {
            return wrong("a text does not end");
        };
        let plain = rest.get(..end).unwrap_or_default();
        self.at += end;
        if self.pass_raw(b'"') {
            return Ok(Cow::Borrowed(plain));
        }
        let mut text = plain.to_owned();
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            let Some(end) = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\')) else {
                return wrong("a text does not end");
            };
            text.push_str(rest.get(..end).unwrap_or_default());
            self.at += end;
            if self.pass_raw(b'"') {
                return Ok(Cow::Owned(text));
            }
            self.at += 1;
            text.push(self.escape()?);
        }
    }

    fn pass_raw(&mut self, wanted: u8) -> bool {
        let found = self.byte() == Some(wanted);
        self.at += usize::from(found);
        found
    }

    /// What stands behind a backslash.
    fn escape(&mut self) -> Result<char, ReadError> {
        let Some(byte) = self.byte() else { return wrong("a text does not end") };
        let plain = match byte {
            b'"' | b'\\' | b'/' | b'\'' => char::from(byte),
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                return self.unicode();
            }
            _ => return wrong("an unknown escape"),
        };
        self.at += 1;
        Ok(plain)
    }

    /// One or two UTF-16 units; Java's texts may hold half a pair, which no Rust text can.
    fn unicode(&mut self) -> Result<char, ReadError> {
        let first = self.unit()?;
        if !(0xD800..0xDC00).contains(&first) {
            return Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        let before = self.at;
        if self.pass_raw(b'\\') && self.pass_raw(b'u') {
            let second = self.unit()?;
            if (0xDC00..0xE000).contains(&second) {
                let joined = 0x1_0000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                return Ok(char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
        }
        self.at = before;
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn unit(&mut self) -> Result<u32, ReadError> {
        let digits = self.text.get(self.at..).and_then(|rest| rest.get(..4));
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        let Some(unit) = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) else {
            return wrong("an escape needs four digits");
        };
        self.at += 4;
        Ok(unit)
    }

    /// Runs `inside` one level deeper; the opening bracket is next.
    fn nested<T>(&mut self, inside: impl FnOnce(&mut Self) -> Result<T, ReadError>) -> Result<T, ReadError> {
        if self.depth >= DEPTH_MAX {
            return wrong("nested too deep");
        }
        self.depth += 1;
        self.at += 1;
        let result = inside(self);
        self.depth -= 1;
        result
    }

    fn object<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, ReadError> {
        self.nested(|reader| {
            let value = visitor.visit_map(Members { reader: &mut *reader, first: true })?;
            reader.expect(b'}', "an object does not end").map(|()| value)
        })
    }

    fn list<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, ReadError> {
        self.nested(|reader| {
            let value = visitor.visit_seq(Items { reader: &mut *reader, first: true })?;
            reader.expect(b']', "a list does not end").map(|()| value)
        })
    }

    /// The text of the next value, whatever it is.
    fn raw(&mut self) -> Result<&'de str, ReadError> {
        self.peek();
        let from = self.at;
        de::IgnoredAny::deserialize(&mut *self)?;
        Ok(self.text.get(from..self.at).unwrap_or_default())
    }

    /// The text of a plain value where another kind of plain value may be wanted.
    fn plain(&mut self) -> Result<Cow<'de, str>, ReadError> {
        match self.peek() {
            Some(b'"') => self.string(),
            Some(b'-' | b'0'..=b'9') => Ok(Cow::Borrowed(self.number())),
            Some(b't' | b'f') => match self.word() {
                word @ ("true" | "false") => Ok(Cow::Borrowed(word)),
                _ => wrong("an unknown word"),
            },
            Some(b'n') => wrong("a value is missing"),
            _ => wrong("a plain value is missing"),
        }
    }
}

/// Whole numbers as such, others as floating point.
fn visit_number<'de, V: Visitor<'de>>(text: &str, visitor: V) -> Result<V::Value, ReadError> {
    if let Ok(number) = text.parse() {
        return visitor.visit_i64(number);
    }
    if let Ok(number) = text.parse() {
        return visitor.visit_u64(number);
    }
    match text.parse::<f64>() {
        Ok(number) if number.is_finite() => visitor.visit_f64(number),
        _ => Err(ReadError::invalid_value(Unexpected::Str(text), &visitor)),
    }
}

fn visit_bool<'de, V: Visitor<'de>>(text: &str, visitor: V) -> Result<V::Value, ReadError> {
    match text {
        _ if text.eq_ignore_ascii_case("true") || text == "1" => visitor.visit_bool(true),
        _ if text.eq_ignore_ascii_case("false") || text == "0" => visitor.visit_bool(false),
        _ => Err(ReadError::invalid_value(Unexpected::Str(text), &visitor)),
    }
}

fn visit_text<'de, V: Visitor<'de>>(text: Cow<'de, str>, visitor: V) -> Result<V::Value, ReadError> {
    match text {
        Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
        Cow::Owned(text) => visitor.visit_string(text),
    }
}

/// Methods of a deserializer that turn a plain value's text into what is wanted.
macro_rules! from_plain {
    ($($visit:ident: $($method:ident)*;)*) => { $($(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
            let text = self.plain()?;
            $visit(&text, visitor)
        }
    )*)* };
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        match self.peek() {
            Some(b'{') => self.object(visitor),
            Some(b'[') => self.list(visitor),
            Some(b'"') => visit_text(self.string()?, visitor),
            Some(b'-' | b'0'..=b'9') => visit_number(self.number(), visitor),
            Some(_) => match self.word() {
                "true" => visitor.visit_bool(true),
                "false" => visitor.visit_bool(false),
                "null" => visitor.visit_unit(),
                _ => wrong("an unknown word"),
            },
            None => wrong("a value is missing"),
        }
    }

    from_plain! {
        visit_number: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16
            deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64;
        visit_bool: deserialize_bool;
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visit_text(self.plain()?, visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.deserialize_str(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        if self.pass_null() {
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        if name == RAW {
            return visitor.visit_borrowed_str(self.raw()?);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_enum(self.string()?.into_deserializer())
    }

    forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

/// The members of an object. The closing bracket stays for the object itself.
struct Members<'r, 'de> {
    reader: &'r mut Reader<'de>,
    first: bool,
}

impl<'de> MapAccess<'de> for Members<'_, 'de> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        loop {
            if self.reader.peek() == Some(b'}') {
                return Ok(None);
            }
            if !self.first {
                self.reader.expect(b',', "a comma is missing between members")?;
            }
            self.first = false;
            let key = match self.reader.peek() {
                Some(b'{' | b'[') => {
                    let key = seed.deserialize(&mut *self.reader)?;
                    self.reader.expect(b':', "a colon is missing")?;
                    return Ok(Some(key));
                }
                Some(b'"') => self.reader.string()?,
                Some(b'-' | b'0'..=b'9') => Cow::Borrowed(self.reader.number()),
                _ => match self.reader.word() {
                    "" => return wrong("a key is missing"),
                    word => Cow::Borrowed(word),
                },
            };
            self.reader.expect(b':', "a colon is missing")?;
            // The reference leaves a member alone that is null, so that its default stays.
            if !self.reader.pass_null() {
                return seed.deserialize(Key(key)).map(Some);
            }
        }
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        seed.deserialize(&mut *self.reader)
    }
}

/// The items of a list. The closing bracket stays for the list itself.
struct Items<'r, 'de> {
    reader: &'r mut Reader<'de>,
    first: bool,
}

impl<'de> SeqAccess<'de> for Items<'_, 'de> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ReadError> {
        if self.reader.peek() == Some(b']') {
            return Ok(None);
        }
        if !self.first {
            self.reader.expect(b',', "a comma is missing between items")?;
        }
        self.first = false;
        seed.deserialize(&mut *self.reader).map(Some)
    }
}

/// A key that is text or a bare number.
struct Key<'de>(Cow<'de, str>);

impl<'de> Key<'de> {
    // Same name and result as the reader's, for the macro's sake.
    fn plain(self) -> Result<Cow<'de, str>, ReadError> {
        Ok(self.0)
    }
}

impl<'de> Deserializer<'de> for Key<'de> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visit_text(self.0, visitor)
    }

    from_plain! {
        visit_number: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_u8 deserialize_u16
            deserialize_u32 deserialize_u64 deserialize_f32 deserialize_f64;
        visit_bool: deserialize_bool;
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_some(self)
    }

    forward_to_deserialize_any! {
        i128 u128 char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct enum identifier
        ignored_any
    }
}
