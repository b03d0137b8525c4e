//! One record of the log, copied and checked, with the ways in which that can fail kept apart: only a record that is gone
//! or damaged may be passed over, one that the disk did not deliver must be asked for again.

use std::io;

use bytes::{Bytes, BytesMut};
use kerolox_wire::names::{QueueId, QueueOffset};
use kerolox_wire::record::{BodyCheck, Peek, Record, peek};

use crate::commit_log::CommitLog;

/// Bytes of a record's length and magic number.
const HEAD_BYTES: usize = 8;

/// Why a record cannot be handed out.
#[derive(Debug)]
pub(crate) enum Unreadable {
    /// It lies before the beginning of the log.
    Gone,
    /// No whole record stands there, however often it is read.
    Damaged(String),
    /// The disk did not deliver it; the next try may find it.
    Failed(io::Error),
}

/// How closely a copied record is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Check {
    /// Its length, magic number and own log offset.
    Head,
    /// All of its fields.
    Fields,
    /// All of its fields, and the checksum of its body.
    Body,
}

/// Where a record stands, and how it is checked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place {
    pub(crate) at: u64,
    pub(crate) size: u32,
    pub(crate) check: Check,
    /// Queue and offset in it, where a unit says them: no checksum covers the record's own.
    pub(crate) queue: Option<(QueueId, QueueOffset)>,
}

/// Appends the record at a place to `out`, which stays as it was when that fails.
///
/// # Errors
/// A record that does not fit is read twice before it counts as damaged.
pub(crate) fn fetch(log: &CommitLog, place: Place, out: &mut BytesMut) -> Result<(), Unreadable> {
    let start = out.len();
    let outcome = twice(|| {
        out.truncate(start);
        copy(log, place, out)
    });
    if outcome.is_err() {
        out.truncate(start);
    }
    outcome
}

/// The record that begins at `at`, whatever its size.
///
/// # Errors
/// As [`fetch`].
pub(crate) fn fetch_at(log: &CommitLog, at: u64, check: Check) -> Result<Bytes, Unreadable> {
    let mut bytes = BytesMut::new();
    twice(|| {
        bytes.clear();
        let mut head = [0; HEAD_BYTES];
        log.read(at, &mut head).map_err(|error| classify(log, at, HEAD_BYTES as u64, &error))?;
        match peek(&head) {
            Peek::Record { size } => copy(log, Place { at, size, check, queue: None }, &mut bytes),
            other => Err(Unreadable::Damaged(format!("found {other:?}"))),
        }
    })?;
    Ok(bytes.freeze())
}

/// Tries once more when the first copy was damaged: it may have been damaged on its way.
fn twice<T>(mut read: impl FnMut() -> Result<T, Unreadable>) -> Result<T, Unreadable> {
    match read() {
        Err(Unreadable::Damaged(_)) => read(),
        other => other,
    }
}

fn copy(log: &CommitLog, place: Place, out: &mut BytesMut) -> Result<(), Unreadable> {
    let start = out.len();
    let len = usize::try_from(place.size).map_err(|e| Unreadable::Damaged(e.to_string()))?;
    log.copy_to(place.at, len, out).map_err(|error| classify(log, place.at, place.size.into(), &error))?;
    let (_, record) = out.split_at(start);
    verify(record, place).map_err(Unreadable::Damaged)
}

/// Whether these bytes are the record that the place describes.
fn verify(record: &[u8], place: Place) -> Result<(), String> {
    let own_offset = record.get(28..36).and_then(|b| b.first_chunk()).map(|b| u64::from_be_bytes(*b));
    if peek(record) != (Peek::Record { size: place.size }) || own_offset != Some(place.at) {
        return Err(match own_offset {
            Some(other) if other != place.at => format!("the record says it stands at {other}"),
            _ => "not the record that was stored there".to_owned(),
        });
    }
    if let Some((queue, offset)) = place.queue {
        let own = (field(record, 12, 4), field(record, 20, 8));
        if own != (queue.get().into(), offset.get()) {
            return Err(format!("the record says it is number {} of queue {}, not {offset} of {queue}", own.1, own.0));
        }
    }
    let body = match place.check {
        Check::Head => return Ok(()),
        Check::Fields => BodyCheck::Skip,
        Check::Body => BodyCheck::Crc,
    };
    Record::parse(record, body).map(drop).map_err(|e| e.to_string())
}

/// A number of `len` bytes.
fn field(record: &[u8], from: usize, len: usize) -> u64 {
    let bytes = record.iter().skip(from).take(len);
    bytes.fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// What a failed read of the log means.
pub(crate) fn classify(log: &CommitLog, at: u64, size: u64, error: &io::Error) -> Unreadable {
    if at < log.begin() {
        return Unreadable::Gone;
    }
    let (segments, end) = (log.segments(), at.saturating_add(size));
    if end > log.end() || segments.base_of(at) != segments.base_of(end.saturating_sub(1)) {
        return Unreadable::Damaged(error.to_string());
    }
    let file = segments.find(at).and_then(|segment| segment.path().file_name().map(|name| name.display().to_string()));
    let text = format!("reading the log at {at} (file {}): {error}", file.unwrap_or_default());
    Unreadable::Failed(io::Error::new(error.kind(), text))
}

#[cfg(test)]
mod tests {
    use kerolox_wire::names::LogOffset;
    use kerolox_wire::record::{LateFields, NewRecord, fill_late};

    use super::*;

    fn record(at: u64) -> Vec<u8> {
        let host = "127.0.0.1:1".parse().unwrap();
        let new = NewRecord {
            topic: "T",
            queue_id: 0,
            flag: 0,
            sys_flag: 0,
            born_timestamp: 1,
            born_host: host,
            store_host: host,
            reconsume_times: 0,
            prepared_transaction_offset: 0,
            body: b"body",
            properties: "",
        };
        let mut bytes = Vec::new();
        new.encode(&mut bytes).unwrap();
        let late = LateFields { queue_offset: QueueOffset::ZERO, log_offset: LogOffset::new(at), store_timestamp: 2 };
        fill_late(&mut bytes, &late);
        bytes
    }

    #[test]
    fn damage_shows_at_the_depth_asked_for() {
        let sound = record(100);
        let size = u32::try_from(sound.len()).unwrap();
        let place = |check| Place { at: 100, size, check, queue: Some((QueueId::new(0), QueueOffset::ZERO)) };
        let shows =
            |bytes: &[u8]| [Check::Head, Check::Fields, Check::Body].map(|check| verify(bytes, place(check)).is_err());
        assert_eq!(shows(&sound), [false; 3]);
        let with_flip = |at: usize| {
            let mut bytes = sound.clone();
            bytes[at] ^= 0x40;
            bytes
        };
        let body = sound.windows(4).position(|w| w == b"body").unwrap();
        assert_eq!(shows(&with_flip(body)), [false, false, true]);
        assert_eq!(shows(&with_flip(body - 1)), [false, true, true], "the length of the body");
        assert_eq!(shows(&with_flip(27)), [true; 3], "its queue offset");
        assert_eq!(shows(&with_flip(15)), [true; 3], "its queue");
        assert_eq!(shows(&with_flip(35)), [true; 3], "its own log offset");
        assert_eq!(shows(&with_flip(4)), [true; 3], "the magic number");
    }

    #[test]
    fn only_damage_is_read_again() {
        let tries = |first: fn() -> Unreadable| {
            let mut count = 0;
            let outcome = twice(|| {
                count += 1;
                if count == 1 { Err(first()) } else { Ok(()) }
            });
            (count, outcome.is_ok())
        };
        assert_eq!(tries(|| Unreadable::Damaged(String::new())), (2, true));
        assert_eq!(tries(|| Unreadable::Gone), (1, false));
        assert_eq!(tries(|| Unreadable::Failed(io::ErrorKind::Other.into())), (1, false));
    }
}
