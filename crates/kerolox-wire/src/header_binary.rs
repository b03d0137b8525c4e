//! The compact header: fixed fields, then length-prefixed pairs.
//!
//! `code i16 | language u8 | version i16 | opaque i32 | flag i32 | remark length i32 | remark | fields length i32 |
//! (name length i16 | name | value length i32 | value)*`

use std::borrow::Cow;

use bytes::{BufMut, BytesMut};

use crate::fields::{FIELDS_MAX, Fields, text_of};
use crate::frame::{Frame, FrameError, Head, Language, Serialization};

/// Reads a whole header into a fresh frame.
pub(crate) fn read(header: &[u8], frame: &mut Frame) -> Result<(), FrameError> {
    let mut rest = Rest { all: header.len(), bytes: header };
    frame.serialization = Serialization::Binary;
    frame.code = i32::from(rest.i16()?);
    frame.language = Language(rest.take(1)?.first().copied().unwrap_or_default());
    frame.version = i32::from(rest.i16()?);
    frame.opaque = rest.i32()?;
    frame.flag = rest.i32()?;
    let remark = rest.i32()?;
    if remark > 0 {
        let remark = rest.text(remark)?;
        frame.replaced |= matches!(remark, Cow::Owned(_));
        frame.remark = Some(remark.into_owned());
    }
    let pairs = rest.i32()?;
    if pairs > 0 {
        let mut pairs = Rest { all: rest.all, bytes: rest.take_signed(pairs)? };
        frame.fields = Fields::with_capacity(pairs.bytes.len());
        while !pairs.bytes.is_empty() {
            let len = i32::from(pairs.i16()?);
            let name = pairs.text(len)?;
            let len = pairs.i32()?;
            let value = pairs.text(len)?;
            if frame.fields.len() == FIELDS_MAX {
                return Err(pairs.wrong("too many extension fields"));
            }
            frame.replaced |= matches!((&name, &value), (Cow::Owned(_), _) | (_, Cow::Owned(_)));
            frame.fields.push(&name, &value);
        }
        if frame.fields.is_repeated(&[]) {
            return Err(pairs.wrong("an extension field is repeated"));
        }
    }
    Ok(())
}

/// Appends a header, whose code must fit 16 bits.
pub(crate) fn write(head: &Head<'_>, out: &mut BytesMut) {
    out.put_i16(i16::try_from(head.code).unwrap_or(i16::MAX));
    out.put_u8(head.language.0);
    out.put_i16(i16::try_from(head.version).unwrap_or(i16::MAX));
    out.put_i32(head.opaque);
    out.put_i32(head.flag);
    let remark = head.remark.unwrap_or_default();
    out.put_u32(u32::try_from(remark.len()).unwrap_or(u32::MAX));
    out.put_slice(remark.as_bytes());
    let size: usize = head.fields.iter().filter(|(k, _)| fits(k)).map(|(k, v)| 6 + k.len() + v.len()).sum();
    out.put_u32(u32::try_from(size).unwrap_or(u32::MAX));
    for (name, value) in head.fields.iter().filter(|(k, _)| fits(k)) {
        out.put_i16(i16::try_from(name.len()).unwrap_or(i16::MAX));
        out.put_slice(name.as_bytes());
        out.put_u32(u32::try_from(value.len()).unwrap_or(u32::MAX));
        out.put_slice(value.as_bytes());
    }
}

/// Names are ours or the peer's own; one beyond 16 bits of length cannot be written and is left out.
fn fits(name: &str) -> bool {
    i16::try_from(name.len()).is_ok()
}

struct Rest<'a> {
    all: usize,
    bytes: &'a [u8],
}

impl<'a> Rest<'a> {
    fn wrong(&self, why: &'static str) -> FrameError {
        FrameError::Header { at: self.all.saturating_sub(self.bytes.len()), why }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], FrameError> {
        let (taken, rest) = self.bytes.split_at_checked(len).ok_or_else(|| self.wrong("the header ends early"))?;
        self.bytes = rest;
        Ok(taken)
    }

    fn take_signed(&mut self, len: i32) -> Result<&'a [u8], FrameError> {
        let len = usize::try_from(len).map_err(|_| self.wrong("negative length"))?;
        self.take(len)
    }

    /// A text; what is no UTF-8 in it is replaced, as Java does.
    fn text(&mut self, len: i32) -> Result<Cow<'a, str>, FrameError> {
        self.take_signed(len).map(text_of)
    }

    fn i16(&mut self) -> Result<i16, FrameError> {
        let bytes = self.take(2)?;
        Ok(bytes.first_chunk().map_or(0, |b| i16::from_be_bytes(*b)))
    }

    fn i32(&mut self) -> Result<i32, FrameError> {
        let bytes = self.take(4)?;
        Ok(bytes.first_chunk().map_or(0, |b| i32::from_be_bytes(*b)))
    }
}
