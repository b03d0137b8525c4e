//! Writes the dialect: compact for the wire, with tabs for table files.

use std::fmt::{self, Write as _};

use serde::ser::{self, Impossible, Serialize, Serializer};

use super::Style;
use super::item::RAW;

/// Why a value cannot be written.
#[derive(Debug)]
pub(super) struct WriteError(String);

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WriteError {}

impl ser::Error for WriteError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

/// Where line breaks go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Nowhere.
    Compact,
    /// Before every member and item.
    Pretty,
}

/// The text so far.
pub(super) struct Writer {
    out: String,
    style: Style,
    layout: Layout,
    depth: usize,
}

impl Writer {
    pub(super) const fn new(style: Style, layout: Layout) -> Self {
        Self { out: String::new(), style, layout, depth: 0 }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.out.into_bytes()
    }

    fn shown(&mut self, value: impl fmt::Display) {
        // Writing to a String cannot fail.
        let _ = write!(self.out, "{value}");
    }

    fn quoted(&mut self, text: &str) {
        self.out.push('"');
        let mut rest = text;
        while let Some(at) = rest.bytes().position(|byte| matches!(byte, b'"' | b'\\' | 0..0x20 | 0x7F)) {
            self.out.push_str(rest.get(..at).unwrap_or_default());
            match rest.as_bytes().get(at) {
                Some(b'"') => self.out.push_str("\\\""),
                Some(b'\\') => self.out.push_str("\\\\"),
                Some(b'\n') => self.out.push_str("\\n"),
                Some(b'\r') => self.out.push_str("\\r"),
                Some(b'\t') => self.out.push_str("\\t"),
                Some(byte) => {
                    let _ = write!(self.out, "\\u{byte:04x}");
                }
                None => {}
            }
            rest = rest.get(at + 1..).unwrap_or_default();
        }
        self.out.push_str(rest);
        self.out.push('"');
    }

    fn line(&mut self) {
        if self.layout == Layout::Pretty {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n('\t', self.depth));
        }
    }

    fn open(&mut self, brackets: [char; 2]) -> Parts<'_> {
        self.out.push(brackets[0]);
        self.depth += 1;
        Parts { writer: self, close: brackets[1], any: false, start: None }
    }
}

const OBJECT: [char; 2] = ['{', '}'];
const LIST: [char; 2] = ['[', ']'];

/// An object or list being written.
pub(super) struct Parts<'w> {
    writer: &'w mut Writer,
    close: char,
    /// Whether a part was written before.
    any: bool,
    /// Where the member whose value is still missing began, and its value.
    start: Option<(usize, usize)>,
}

impl Parts<'_> {
    /// Begins a member or item; returns where.
    fn next(&mut self) -> usize {
        let start = self.writer.out.len();
        if self.any {
            self.writer.out.push(',');
        }
        self.writer.line();
        start
    }

    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), WriteError> {
        let start = self.next();
        let comma_end = start + usize::from(self.any);
        let key_start = self.writer.out.len();
        let layout = std::mem::replace(&mut self.writer.layout, Layout::Compact);
        let result = key.serialize(&mut *self.writer);
        self.writer.layout = layout;
        result?;
        let bare = !self.writer.out.get(key_start..).is_some_and(|key| key.starts_with('"'));
        if bare {
            let key = self.writer.out.split_off(key_start);
            match self.writer.style {
                Style::Strict => self.writer.quoted(&key),
                Style::Fastjson => {
                    // Table files of the reference have no line break before such keys.
                    self.writer.out.truncate(comma_end);
                    self.writer.out.push_str(&key);
                }
            }
        }
        self.writer.out.push(':');
        self.start = Some((start, self.writer.out.len()));
        Ok(())
    }

    /// Writes the value of the member begun before; one that is null takes its key with it.
    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), WriteError> {
        value.serialize(&mut *self.writer)?;
        if let Some((start, value_start)) = self.start.take()
            && self.writer.out.get(value_start..) == Some("null")
        {
            self.writer.out.truncate(start);
            return Ok(());
        }
        self.any = true;
        Ok(())
    }

    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), WriteError> {
        self.next();
        self.any = true;
        value.serialize(&mut *self.writer)
    }

    fn close(self) {
        self.writer.depth -= 1;
        if self.any {
            self.writer.line();
        }
        self.writer.out.push(self.close);
    }
}

macro_rules! list_parts {
    ($($part:ident $method:ident)*) => { $(
        impl ser::$part for Parts<'_> {
            type Ok = ();
            type Error = WriteError;
            fn $method<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), WriteError> {
                self.item(value)
            }
            fn end(self) -> Result<(), WriteError> {
                self.close();
                Ok(())
            }
        }
    )* };
}

list_parts! { SerializeSeq serialize_element SerializeTuple serialize_element SerializeTupleStruct serialize_field }

impl ser::SerializeMap for Parts<'_> {
    type Ok = ();
    type Error = WriteError;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), WriteError> {
        self.key(key)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), WriteError> {
        self.value(value)
    }

    fn end(self) -> Result<(), WriteError> {
        self.close();
        Ok(())
    }
}

impl ser::SerializeStruct for Parts<'_> {
    type Ok = ();
    type Error = WriteError;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), WriteError> {
        self.key(key)?;
        self.value(value)
    }

    fn end(self) -> Result<(), WriteError> {
        self.close();
        Ok(())
    }
}

macro_rules! shown {
    ($($method:ident $type:ty;)*) => { $(
        fn $method(self, value: $type) -> Result<(), WriteError> {
            self.shown(value);
            Ok(())
        }
    )* };
}

impl<'w> Serializer for &'w mut Writer {
    type Ok = ();
    type Error = WriteError;
    type SerializeSeq = Parts<'w>;
    type SerializeTuple = Parts<'w>;
    type SerializeTupleStruct = Parts<'w>;
    type SerializeTupleVariant = Impossible<(), WriteError>;
    type SerializeMap = Parts<'w>;
    type SerializeStruct = Parts<'w>;
    type SerializeStructVariant = Impossible<(), WriteError>;

    shown! {
        serialize_bool bool;
        serialize_i8 i8;
        serialize_i16 i16;
        serialize_i32 i32;
        serialize_i64 i64;
        serialize_u8 u8;
        serialize_u16 u16;
        serialize_u32 u32;
        serialize_u64 u64;
    }

    fn serialize_f32(self, value: f32) -> Result<(), WriteError> {
        self.serialize_f64(value.into())
    }

    fn serialize_f64(self, value: f64) -> Result<(), WriteError> {
        if value.is_finite() {
            // The debug form keeps the `.0` of whole numbers, as Java does.
            self.shown(format_args!("{value:?}"));
            return Ok(());
        }
        self.serialize_unit()
    }

    fn serialize_char(self, value: char) -> Result<(), WriteError> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), WriteError> {
        self.quoted(value);
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), WriteError> {
        value.serialize(self)
    }

    fn serialize_none(self) -> Result<(), WriteError> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), WriteError> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), WriteError> {
        self.out.push_str("null");
        Ok(())
    }

    fn serialize_unit_struct(self, _name: &'static str) -> Result<(), WriteError> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), WriteError> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(self, name: &'static str, value: &T) -> Result<(), WriteError> {
        if name != RAW {
            return value.serialize(self);
        }
        // The text has been read in this dialect, so it can be written in it.
        let start = self.out.len();
        value.serialize(&mut *self)?;
        let quoted = self.out.split_off(start);
        let text: String = super::from_json(quoted.as_bytes()).map_err(|why| WriteError(why.to_string()))?;
        self.out.push_str(&text);
        Ok(())
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: &T,
    ) -> Result<(), WriteError> {
        Err(ser::Error::custom(variant))
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Parts<'w>, WriteError> {
        Ok(self.open(LIST))
    }

    fn serialize_tuple(self, _: usize) -> Result<Parts<'w>, WriteError> {
        Ok(self.open(LIST))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Parts<'w>, WriteError> {
        Ok(self.open(LIST))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, WriteError> {
        Err(ser::Error::custom(variant))
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Parts<'w>, WriteError> {
        Ok(self.open(OBJECT))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Parts<'w>, WriteError> {
        Ok(self.open(OBJECT))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, WriteError> {
        Err(ser::Error::custom(variant))
    }
}
