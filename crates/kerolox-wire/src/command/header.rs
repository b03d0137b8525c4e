//! Typed headers over extension fields.

use crate::fields::Fields;
use crate::names::{GroupName, NameError, TopicName};

/// Which of a field's two names is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Names {
    /// The full name.
    Long,
    /// The one-letter name, where the field has one.
    Short,
}

/// What is known of one header field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FieldSpec {
    /// Name on the wire.
    pub name: &'static str,
    /// One-letter name of the compact requests, or empty.
    pub short: &'static str,
    /// Whether a request without it is refused.
    pub required: bool,
    /// Rust type of the value.
    pub kind: &'static str,
    /// What it says.
    pub doc: &'static str,
}

/// What is known of one header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeaderSpec {
    /// Name of its type, empty for the header without fields.
    pub name: &'static str,
    /// What it says.
    pub doc: &'static str,
    /// The fields in declaration order.
    pub fields: &'static [FieldSpec],
}

impl FieldSpec {
    /// The text of the field among `fields`, whichever of its names it has there.
    #[must_use]
    pub fn value<'a>(&self, fields: &'a Fields) -> Option<&'a str> {
        fields.find(self.name, if self.short.is_empty() { self.name } else { self.short })
    }
}

/// A request or response header.
pub trait Header: Sized {
    /// Its name and fields.
    const SPEC: &'static HeaderSpec;

    /// Reads the header.
    ///
    /// # Errors
    /// When a required field is absent or a value is not of its type.
    fn decode(fields: &Fields) -> Result<Self, HeaderError>;

    /// Appends the header's fields.
    fn encode(&self, fields: &mut Fields, names: Names);
}

/// Why a header cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeaderError {
    /// A required field is absent.
    #[error("the request lacks the field {field}")]
    Missing {
        /// Its name.
        field: &'static str,
    },
    /// A value is not of the field's type.
    #[error("the field {field} has the value {value:?}, which is not {expected}")]
    Value {
        /// The field's name.
        field: &'static str,
        /// The value, cut after 64 characters.
        value: String,
        /// What it should be.
        expected: &'static str,
    },
    /// A topic or group name breaks the rules for names.
    #[error("{0}")]
    Name(#[from] NameError),
}

/// A type that a field's value can have.
pub trait FieldValue: Sized {
    /// Whether an empty text counts as an absent field.
    const EMPTY_IS_ABSENT: bool = true;

    /// Reads the value of `field`.
    ///
    /// # Errors
    /// When `text` is not such a value.
    fn parse(field: &'static str, text: &str) -> Result<Self, HeaderError>;

    /// Appends the text form.
    fn write(&self, out: &mut String);
}

fn wrong(field: &'static str, text: &str, expected: &'static str) -> HeaderError {
    HeaderError::Value { field, value: text.chars().take(64).collect(), expected }
}

macro_rules! number_value {
    ($ty:ty, $expected:literal) => {
        impl FieldValue for $ty {
            fn parse(field: &'static str, text: &str) -> Result<Self, HeaderError> {
                text.trim().parse().map_err(|_| wrong(field, text, $expected))
            }
            fn write(&self, out: &mut String) {
                out.push_str(itoa::Buffer::new().format(*self));
            }
        }
    };
}

number_value!(i32, "a 32-bit integer");
number_value!(i64, "a 64-bit integer");

impl FieldValue for bool {
    fn parse(_: &'static str, text: &str) -> Result<Self, HeaderError> {
        // As Java reads it: anything but "true" is false.
        Ok(text.eq_ignore_ascii_case("true"))
    }
    fn write(&self, out: &mut String) {
        out.push_str(if *self { "true" } else { "false" });
    }
}

impl FieldValue for String {
    const EMPTY_IS_ABSENT: bool = false;

    fn parse(_: &'static str, text: &str) -> Result<Self, HeaderError> {
        Ok(text.to_owned())
    }
    fn write(&self, out: &mut String) {
        out.push_str(self);
    }
}

impl FieldValue for TopicName {
    fn parse(_: &'static str, text: &str) -> Result<Self, HeaderError> {
        Ok(Self::parse(text)?)
    }
    fn write(&self, out: &mut String) {
        out.push_str(self.as_str());
    }
}

impl FieldValue for GroupName {
    fn parse(_: &'static str, text: &str) -> Result<Self, HeaderError> {
        Ok(Self::parse(text)?)
    }
    fn write(&self, out: &mut String) {
        out.push_str(self.as_str());
    }
}

pub(super) fn optional<T: FieldValue>(
    fields: &Fields,
    name: &'static str,
    short: &'static str,
) -> Result<Option<T>, HeaderError> {
    match fields.find(name, if short.is_empty() { name } else { short }) {
        Some(text) if !(T::EMPTY_IS_ABSENT && text.is_empty()) => T::parse(name, text).map(Some),
        _ => Ok(None),
    }
}

pub(super) fn required<T: FieldValue>(
    fields: &Fields,
    name: &'static str,
    short: &'static str,
) -> Result<T, HeaderError> {
    optional(fields, name, short)?.ok_or(HeaderError::Missing { field: name })
}

pub(super) fn put<T: FieldValue>(fields: &mut Fields, names: Names, name: &str, short: &str, value: &T) {
    let name = if names == Names::Short && !short.is_empty() { short } else { name };
    fields.push_with(name, |text| value.write(text));
}

/// Declares a header by rows of `field: required|optional|default Type = "name" | "n"`; the last word is the
/// one-letter name, and `default` takes an absent field for the type's default.
macro_rules! header {
    ($(#[doc = $doc:literal])* $name:ident { $(
        $(#[doc = $field_doc:literal])* $field:ident: $kind:ident $ty:ty = $long:literal $(| $short:literal)?
    ),* $(,)? }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name { $($(#[doc = $field_doc])* pub $field: header!(@type $kind $ty)),* }

        impl $crate::command::Header for $name {
            const SPEC: &'static $crate::command::HeaderSpec = &$crate::command::HeaderSpec {
                name: stringify!($name),
                doc: concat!($($doc),*),
                fields: &[$($crate::command::FieldSpec {
                    name: $long,
                    short: header!(@short $($short)?),
                    required: header!(@required $kind),
                    kind: stringify!($ty),
                    doc: concat!($($field_doc),*),
                }),*],
            };

            fn decode(fields: &$crate::fields::Fields) -> Result<Self, $crate::command::HeaderError> {
                Ok(Self { $($field: header!(@decode $kind fields, $ty, $long, header!(@short $($short)?))),* })
            }

            fn encode(&self, fields: &mut $crate::fields::Fields, names: $crate::command::Names) {
                $(header!(@encode $kind fields, names, self.$field, $long, header!(@short $($short)?));)*
            }
        }
    };
    (@type optional $ty:ty) => { Option<$ty> };
    (@type $kind:ident $ty:ty) => { $ty };
    (@required required) => { true };
    (@required $kind:ident) => { false };
    (@short $short:literal) => { $short };
    (@short) => { "" };
    (@decode required $fields:ident, $ty:ty, $long:literal, $short:expr) => {
        $crate::command::header::required::<$ty>($fields, $long, $short)?
    };
    (@decode optional $fields:ident, $ty:ty, $long:literal, $short:expr) => {
        $crate::command::header::optional::<$ty>($fields, $long, $short)?
    };
    (@decode default $fields:ident, $ty:ty, $long:literal, $short:expr) => {
        $crate::command::header::optional::<$ty>($fields, $long, $short)?.unwrap_or_default()
    };
    (@encode optional $fields:ident, $names:ident, $value:expr, $long:literal, $short:expr) => {
        if let Some(value) = &$value {
            $crate::command::header::put($fields, $names, $long, $short, value);
        }
    };
    (@encode $kind:ident $fields:ident, $names:ident, $value:expr, $long:literal, $short:expr) => {
        $crate::command::header::put($fields, $names, $long, $short, &$value)
    };
}
pub(super) use header;

/// A header without fields.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NoFields;

impl Header for NoFields {
    const SPEC: &'static HeaderSpec = &HeaderSpec { name: "", doc: "", fields: &[] };

    fn decode(_: &Fields) -> Result<Self, HeaderError> {
        Ok(Self)
    }

    fn encode(&self, _: &mut Fields, _: Names) {}
}
