//! Going through the log record by record, past what is damaged.
//!
//! Two kinds of damage are told apart. A write that the loss of power has torn leaves sectors as they were before, which in
//! a new file is zeros: behind the last sync the log ends there, so that no offsets are left out. Anything else is damage
//! at rest. A damaged record costs itself and no other: where its size, or the size that its parts add up to, leads to a sound
//! record, the log goes on there; else the file is searched for the next sound one. Sound is what parses, has the right
//! checksum and says that it stands where it does.

use std::io;
use std::sync::Arc;

use kerolox_wire::names::TopicName;
use kerolox_wire::record::{BodyCheck, MAGIC_V1, MAGIC_V2, Peek, Record, RecordError, peek};
use memchr::memmem;

use crate::commit_log::{CommitLog, filler};
use crate::config::SEGMENT_FILLER;
use crate::error::OpenError;
use crate::segment::Segment;
use crate::tombstone::Tombstone;

/// Bytes looked at with one read.
const WALK_BYTES: u64 = 1 << 20;
/// Where a record of two IPv4 addresses has the length of its body.
const BODY_LEN_AT: u64 = 84;

/// What stands at one place of the log.
pub(crate) enum Place {
    /// A record that could be read.
    Record {
        /// Its size in bytes.
        size: u64,
        /// When it was stored, ms.
        store_ms: i64,
        /// The topic that it deletes.
        tombstone: Option<Box<Tombstone>>,
    },
    /// The rest of the file is unused.
    FileEnd,
    /// Nothing was written here.
    Blank,
    /// A record whose last bytes were never written.
    Torn,
    /// No record, and why.
    Damaged(String),
}

/// How a walk ended.
pub(crate) struct Walked {
    /// Behind the last good record.
    pub(crate) end: u64,
    /// Where the last good record begins, if there was one.
    pub(crate) last: Option<u64>,
    /// Store time of the last record, 0 when there was none.
    pub(crate) last_ms: i64,
    /// Good records.
    pub(crate) records: u64,
    /// Damaged places that were passed over.
    pub(crate) damaged: u64,
    /// What stood at the end, if it was not simply blank.
    pub(crate) stop: Option<String>,
    /// Topics deleted by the records walked.
    pub(crate) tombstones: Vec<Tombstone>,
}

/// Goes through the log record by record.
pub(crate) struct Walk<'a> {
    pub(crate) log: &'a CommitLog,
    /// Whether the checksum of each body is compared.
    pub(crate) check: bool,
    /// After a crash: from here on nothing is known to be durable, and a torn write ends the log.
    pub(crate) torn_from: Option<u64>,
}

/// What a file leads to.
enum FileEnd {
    /// The next file.
    Next,
    /// Nothing more in this file.
    Open,
    /// A torn write: what follows was never durable.
    Torn,
}

/// Bytes that a disk writes as a whole.
const SECTOR: u64 = 512;
/// Zeros in a sector, from a place that should hold something, that no record has by itself.
const ZEROS_TORN: usize = 16;

impl Walk<'_> {
    /// Walks from `from`, where a record, a filler or the log's end is, to the end of the log.
    pub(crate) fn run(&self, from: u64) -> Result<Walked, OpenError> {
        let list = self.log.segments().list();
        let mut walked =
            Walked { end: from, last: None, last_ms: 0, records: 0, damaged: 0, stop: None, tombstones: Vec::new() };
        let mut bytes = Vec::new();
        for (number, segment) in list.iter().enumerate().filter(|(_, s)| s.end() > from) {
            if segment.end() <= walked.end {
                continue;
            }
            match self.file(segment, &mut walked, &mut bytes).map_err(OpenError::io(segment.path()))? {
                FileEnd::Next => continue,
                FileEnd::Open => {}
                FileEnd::Torn => break,
            }
            let later = list.get(number.saturating_add(1)..).unwrap_or_default();
            match self.next_sound(later, &mut bytes)? {
                Some(next) => bridge(&list, next, &mut walked)?,
                None => break,
            }
        }
        Ok(walked)
    }

    /// Walks one file.
    fn file(&self, segment: &Segment, walked: &mut Walked, bytes: &mut Vec<u8>) -> io::Result<FileEnd> {
        bytes.clear();
        let mut loaded_at = walked.end;
        loop {
            let skip = usize::try_from(walked.end.saturating_sub(loaded_at)).map_err(io::Error::other)?;
            let rest = bytes.get(skip..).unwrap_or_default();
            let wanted = match peek(rest) {
                _ if rest.len() < 8 => WALK_BYTES,
                Peek::Record { size } if u64::from(size) > rest.len() as u64 => u64::from(size).max(WALK_BYTES),
                _ => 0,
            };
            let left = segment.end().saturating_sub(walked.end);
            if wanted > 0 && left > rest.len() as u64 {
                loaded_at = walked.end;
                let len = usize::try_from(wanted.min(left)).map_err(io::Error::other)?;
                bytes.resize(len, 0);
                segment.file().read_at(loaded_at.saturating_sub(segment.base()), bytes)?;
                continue;
            }
            match self.judge(rest, walked.end, segment.end(), self.check) {
                Place::Record { size, store_ms, tombstone } => {
                    walked.tombstones.extend(tombstone.map(|tombstone| *tombstone));
                    walked.last = Some(walked.end);
                    walked.end = walked.end.saturating_add(size);
                    walked.last_ms = store_ms;
                    walked.records = walked.records.saturating_add(1);
                }
                Place::FileEnd => {
                    walked.end = segment.end();
                    return Ok(FileEnd::Next);
                }
                place => {
                    let is_torn = matches!(place, Place::Torn);
                    let why = match place {
                        Place::Damaged(why) => Some(why),
                        Place::Torn => Some("a record whose last bytes were never written".into()),
                        _ => None,
                    };
                    let next = self.behind_damage(segment, walked.end)?;
                    let may_be = self.torn_from.is_some_and(|torn_from| walked.end >= torn_from);
                    let damaged_to = next.unwrap_or(segment.end());
                    let torn = may_be && (is_torn || lacks_a_sector(segment, walked.end, damaged_to)?);
                    let Some(next) = next else {
                        walked.stop = why;
                        return Ok(if torn { FileEnd::Torn } else { FileEnd::Open });
                    };
                    if torn {
                        walked.stop = Some(why.unwrap_or_else(|| "a write that was torn".into()));
                        return Ok(FileEnd::Torn);
                    }
                    tracing::error!(
                        at = walked.end,
                        bytes = next.saturating_sub(walked.end),
                        why,
                        "damaged place of the log passed over"
                    );
                    walked.damaged = walked.damaged.saturating_add(1);
                    walked.end = next;
                    bytes.clear();
                    loaded_at = next;
                }
            }
        }
    }

    /// What stands at one place.
    pub(crate) fn at(&self, segment: &Segment, offset: u64) -> io::Result<Place> {
        self.look(segment, offset, self.check)
    }

    fn look(&self, segment: &Segment, offset: u64, check: bool) -> io::Result<Place> {
        let within = offset.saturating_sub(segment.base());
        let left = segment.end().saturating_sub(offset);
        if left < 8 {
            return Ok(Place::Damaged("no room for a record".into()));
        }
        let mut bytes = segment.file().slice(within, 8)?;
        if let Peek::Record { size } = peek(&bytes)
            && u64::from(size) <= left
        {
            bytes = segment.file().slice(within, usize::try_from(size).map_err(io::Error::other)?)?;
        }
        Ok(self.judge(&bytes, offset, segment.end(), check))
    }

    /// Judges the bytes that begin at `at`.
    fn judge(&self, bytes: &[u8], at: u64, file_end: u64, check: bool) -> Place {
        let left = file_end.saturating_sub(at);
        let size = match peek(bytes) {
            Peek::Record { size } => u64::from(size),
            Peek::Filler { size } if u64::from(size) == left => return Place::FileEnd,
            Peek::Filler { size } => return Place::Damaged(format!("a filler of {size} bytes where {left} are left")),
            Peek::Blank => return Place::Blank,
            Peek::Bad => return Place::Damaged("neither record nor filler".into()),
        };
        if size.saturating_add(SEGMENT_FILLER) > left {
            return Place::Damaged(format!("a record of {size} bytes where {left} are left"));
        }
        let check = if check { BodyCheck::Crc } else { BodyCheck::Skip };
        match Record::parse(bytes, check) {
            Ok(record) if is_torn(&record) => Place::Torn,
            Ok(record) if record.log_offset().get() == at => Place::Record {
                size,
                store_ms: record.store_timestamp(),
                tombstone: Tombstone::of(&record).map(Box::new),
            },
            Ok(record) => Place::Damaged(format!("a record that says it stands at {}", record.log_offset())),
            // Complete as bytes, only not for us: the reference reads on, and so do we.
            Err(RecordError::Field { .. }) if own_offset(bytes) == Some(at) => {
                Place::Record { size, store_ms: 0, tombstone: None }
            }
            Err(e) => Place::Damaged(e.to_string()),
        }
    }

    /// Where the log goes on in the same file behind a place that is no record; `None` when nothing sound follows.
    pub(crate) fn behind_damage(&self, segment: &Segment, at: u64) -> io::Result<Option<u64>> {
        for size in sizes_at(segment, at)?.into_iter().flatten() {
            let next = at.saturating_add(size);
            if next < segment.end() && self.goes_on_at(segment, next)? {
                return Ok(Some(next));
            }
        }
        self.search(segment, at.saturating_add(1))
    }

    /// Whether a sound record or the file's filler stands at a place.
    fn goes_on_at(&self, segment: &Segment, at: u64) -> io::Result<bool> {
        Ok(matches!(self.look(segment, at, true)?, Place::Record { store_ms: 1.., .. } | Place::FileEnd))
    }

    /// The first sound record of a legal topic from `from` on in the file.
    fn search(&self, segment: &Segment, from: u64) -> io::Result<Option<u64>> {
        let magics = [MAGIC_V1, MAGIC_V2].map(u32::to_be_bytes);
        let finders = magics.each_ref().map(memmem::Finder::new);
        let mut at = from;
        while at < segment.end() {
            let data = segment.file().data_from(at.saturating_sub(segment.base()));
            at = at.max(segment.base().saturating_add(data));
            // Windows overlap, so that no magic is split by the end of one.
            let len = segment.end().saturating_sub(at).min(WALK_BYTES);
            if len < 8 {
                break;
            }
            let window = segment.file().slice(at.saturating_sub(segment.base()), usize::try_from(len).unwrap_or(0))?;
            let mut found: Vec<u64> =
                finders.iter().flat_map(|finder| finder.find_iter(&window)).map(|place| place as u64).collect();
            found.sort_unstable();
            for place in found.into_iter().filter_map(|place| place.checked_sub(4)) {
                let candidate = at.saturating_add(place);
                // Its own offset first: a body may hold many bytes that look like the beginning of a record.
                let head = usize::try_from(place).ok().and_then(|place| window.get(place..)).unwrap_or_default();
                if own_offset(head).is_none_or(|own| own == candidate) && self.is_sound_message(segment, candidate)? {
                    return Ok(Some(candidate));
                }
            }
            at = at.saturating_add(len.saturating_sub(7));
        }
        Ok(None)
    }

    fn is_sound_message(&self, segment: &Segment, at: u64) -> io::Result<bool> {
        let Place::Record { size, store_ms: 1.., .. } = self.look(segment, at, true)? else { return Ok(false) };
        let len = usize::try_from(size).map_err(io::Error::other)?;
        let bytes = segment.file().slice(at.saturating_sub(segment.base()), len)?;
        let topic =
            Record::parse(&bytes, BodyCheck::Skip).ok().and_then(|record| TopicName::parse(record.topic()).ok());
        Ok(topic.is_some())
    }

    /// The first later file that begins with a whole record: proof that the log once went on.
    fn next_sound<'s>(
        &self,
        later: &'s [Arc<Segment>],
        bytes: &mut Vec<u8>,
    ) -> Result<Option<&'s Arc<Segment>>, OpenError> {
        bytes.clear();
        for segment in later {
            let place = self.at(segment, segment.base()).map_err(OpenError::io(segment.path()))?;
            if matches!(place, Place::Record { .. }) {
                return Ok(Some(segment));
            }
        }
        Ok(None)
    }
}

/// Whether a place that should hold something has a sector without it.
fn lacks_a_sector(segment: &Segment, from: u64, to: u64) -> io::Result<bool> {
    let mut at = from;
    while at < to {
        let within = at.saturating_sub(segment.base());
        let end = to.min(at.saturating_add(SECTOR.saturating_sub(within % SECTOR)));
        let bytes = segment.file().slice(within, usize::try_from(end.saturating_sub(at)).map_err(io::Error::other)?)?;
        if bytes.len() >= ZEROS_TORN && bytes.iter().all(|byte| *byte == 0) {
            return Ok(true);
        }
        at = end;
    }
    Ok(false)
}

/// Sizes that a damaged record may have: the one it says, and the one that its parts add up to.
fn sizes_at(segment: &Segment, at: u64) -> io::Result<[Option<u64>; 2]> {
    let field = |from: u64, len: usize| -> io::Result<Option<u64>> {
        let from = at.saturating_sub(segment.base()).saturating_add(from);
        if from.saturating_add(len as u64) > segment.file().len() {
            return Ok(None);
        }
        let bytes = segment.file().slice(from, len)?;
        Ok(Some(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))))
    };
    let Some(own) = field(0, 4)? else { return Ok([None; 2]) };
    let derived = || -> io::Result<Option<u64>> {
        let Some(body) = field(BODY_LEN_AT, 4)? else { return Ok(None) };
        let topic_at = BODY_LEN_AT.saturating_add(4).saturating_add(body);
        let Some(topic) = field(topic_at, 1)? else { return Ok(None) };
        let properties_at = topic_at.saturating_add(1).saturating_add(topic);
        let Some(properties) = field(properties_at, 2)? else { return Ok(None) };
        Ok(Some(properties_at.saturating_add(2).saturating_add(properties)))
    };
    let legal = |size: &u64| *size > 0 && *size <= u64::from(i32::MAX.cast_unsigned());
    let mut sizes = [Some(own).filter(legal), derived()?.filter(legal)];
    // The shorter way first: the longer one may lead past sound records.
    sizes.sort_unstable();
    Ok(sizes)
}

/// Gives up the damaged rest of a file rather than all later ones: a filler lets every reader pass.
fn bridge(list: &[Arc<Segment>], next: &Segment, walked: &mut Walked) -> Result<(), OpenError> {
    for segment in list.iter().filter(|s| s.end() > walked.end && s.base() < next.base()) {
        let at = walked.end.max(segment.base());
        let rest = segment.end().saturating_sub(at);
        tracing::error!(file = %segment.path().display(), at, bytes = rest, why = ?walked.stop,
            "damaged log: the rest of this file is given up, later files are kept");
        segment.write(at, &filler(rest)).map_err(OpenError::io(segment.path()))?;
        segment.file().sync_data().map_err(OpenError::io(segment.path()))?;
    }
    walked.end = next.base();
    walked.stop = None;
    Ok(())
}

/// The log offset that a record says it has.
pub(crate) fn own_offset(bytes: &[u8]) -> Option<u64> {
    bytes.get(28..36).and_then(|b| b.first_chunk()).map(|b| u64::from_be_bytes(*b))
}

/// Whether a write ended inside of the record, behind its body: a killed process may leave the pages before and none of
/// those after. The body's checksum does not cover what follows it, but neither a topic nor a properties text ends in a
/// zero byte, which is what an unwritten page holds: a batch stores no other.
pub(crate) fn is_torn(record: &Record<'_>) -> bool {
    record.properties_bytes().last() == Some(&0) || record.topic().ends_with('\0')
}
