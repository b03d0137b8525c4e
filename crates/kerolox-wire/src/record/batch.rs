//! The body of a batch send: several messages back to back, each in a short form of a record.
//!
//! Per item: i32 size, i32 magic, i32 CRC (the three are not looked at), i32 flag, i32 length and body, i16 length and
//! properties.

use super::RecordError;
use crate::cursor::Cursor;

/// One message of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BatchItem<'a> {
    /// The application's own flag.
    pub flag: i32,
    /// The body.
    pub body: &'a [u8],
    /// The properties text.
    pub properties: &'a str,
}

/// The messages of a batch body in order. Ends after the first error.
#[derive(Debug, Clone)]
pub struct BatchItems<'a> {
    cursor: Cursor<'a>,
}

impl<'a> BatchItems<'a> {
    /// Reads the body of a batch send.
    #[must_use]
    pub const fn new(body: &'a [u8]) -> Self {
        Self { cursor: Cursor::new(body) }
    }

    fn item(&mut self) -> Option<Result<BatchItem<'a>, RecordError>> {
        let cursor = &mut self.cursor;
        // Size, magic and CRC: senders leave the latter two zero and the reference reads none of them.
        cursor.array::<12>()?;
        let flag = cursor.i32()?;
        let body = cursor.block32()?;
        let size = cursor.i16()?;
        let properties = cursor.take(usize::try_from(size).ok()?)?;
        Some(match std::str::from_utf8(properties) {
            Ok(properties) => Ok(BatchItem { flag, body, properties }),
            Err(_) => Err(RecordError::Field { field: "properties" }),
        })
    }
}

impl<'a> Iterator for BatchItems<'a> {
    type Item = Result<BatchItem<'a>, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.cursor.is_empty() {
            return None;
        }
        let have = self.cursor.rest().len();
        let item = self.item().unwrap_or(Err(RecordError::Short { have }));
        if item.is_err() {
            self.cursor = Cursor::new(&[]);
        }
        Some(item)
    }
}

/// Appends one message in the form that [`BatchItems`] reads.
///
/// # Errors
/// When a part does not fit its length field; `out` is then as before.
pub fn encode_batch_item(out: &mut Vec<u8>, item: &BatchItem<'_>) -> Result<(), RecordError> {
    let properties = item.properties.as_bytes();
    let size = 22 + item.body.len() + properties.len();
    let total = i32::try_from(size).map_err(|_| RecordError::TooLarge { size })?;
    let body_size = i32::try_from(item.body.len()).map_err(|_| RecordError::TooLarge { size })?;
    let properties_size =
        i16::try_from(properties.len()).map_err(|_| RecordError::PropertiesTooLong { size: properties.len() })?;
    out.reserve(size);
    out.extend_from_slice(&total.to_be_bytes());
    out.extend_from_slice(&[0; 8]);
    out.extend_from_slice(&item.flag.to_be_bytes());
    out.extend_from_slice(&body_size.to_be_bytes());
    out.extend_from_slice(item.body);
    out.extend_from_slice(&properties_size.to_be_bytes());
    out.extend_from_slice(properties);
    Ok(())
}
