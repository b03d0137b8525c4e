//! One pass over a log, record by record, that goes on behind what is damaged. Holds one piece of a file in memory.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::Arc;

use kerolox_wire::record::{BodyCheck, MAGIC_FILLER, MAGIC_V1, MAGIC_V2, Record};

use super::log::{FILE_END_BYTES, HEAD_BYTES, LogFile, LogFiles, Place, bytes_wanted, judge, own_offset};
use crate::disk::{DiskFile, OpenMode};

/// Bytes read at a time.
const PIECE: u64 = 1 << 20;
/// Bytes by which a piece is read again when the disk did not deliver it.
const PAGE: u64 = 4096;

/// What a walk meets, in the order of the log.
#[derive(Debug)]
pub enum Item<'a> {
    /// A sound record.
    Record(Record<'a>),
    /// A record that is complete but holds an impossible value.
    Odd {
        /// Where it begins.
        at: u64,
        /// Its bytes.
        len: u64,
        /// Which value.
        why: String,
    },
    /// No sound record is in this stretch. The log may go on behind it.
    Stretch {
        /// Where it begins.
        at: u64,
        /// Its bytes, up to the next sound record or the end of the file.
        len: u64,
        /// What stands at its beginning.
        why: String,
        /// Whether nothing was ever written there.
        blank: bool,
    },
    /// The disk did not deliver these bytes; they are judged as zeros.
    Unreadable {
        /// Where they begin.
        at: u64,
        /// How many.
        len: u64,
        /// What the disk said.
        why: String,
    },
}

/// A walk over a log.
pub struct Walk<'a> {
    log: &'a LogFiles<'a>,
    /// Number of the file that `at` is in.
    file: usize,
    open: Option<Arc<dyn DiskFile>>,
    at: u64,
    /// Log offset of the first byte in `bytes`.
    bytes_at: u64,
    bytes: Vec<u8>,
    unreadable: VecDeque<(Range<u64>, String)>,
    /// Before it, what could not be read has been noted.
    noted_to: u64,
}

impl<'a> Walk<'a> {
    /// Begins at the first record at or behind `from`.
    #[must_use]
    pub fn new(log: &'a LogFiles<'a>, from: u64) -> Self {
        let file = log.files.partition_point(|file| file.end() <= from);
        let base = log.files.get(file).map_or(from, |file| file.base);
        let (at, bytes) = (from.max(base), Vec::new());
        Self { log, file, open: None, at, bytes_at: 0, bytes, unreadable: VecDeque::new(), noted_to: 0 }
    }

    /// Where the walk is.
    #[must_use]
    pub fn at(&self) -> u64 {
        self.at
    }

    /// The next item, `None` behind the last file.
    pub fn next_item(&mut self) -> Option<Item<'_>> {
        loop {
            if let Some((range, why)) = self.unreadable.pop_front() {
                let len = range.end.saturating_sub(range.start);
                return Some(Item::Unreadable { at: range.start, len, why });
            }
            let log = self.log;
            let file = log.files.get(self.file)?;
            let left = file.end().saturating_sub(self.at);
            if left == 0 {
                self.next_file();
                continue;
            }
            let at = self.at;
            match self.place(file, at) {
                Place::Record { size } => {
                    self.at = at.saturating_add(size);
                    // What the record reads is told with the next item: the bytes are borrowed until then.
                    let bytes = self.held(at, size);
                    return Record::parse(bytes, BodyCheck::Skip).ok().map(Item::Record);
                }
                Place::Odd { size, why } => {
                    self.at = at.saturating_add(size);
                    return Some(Item::Odd { at, len: size, why });
                }
                Place::FileEnd => self.next_file(),
                Place::Blank => return Some(self.stretch(file, "nothing was written here".into())),
                Place::Bad(why) => return Some(self.stretch(file, why)),
            }
        }
    }

    fn next_file(&mut self) {
        self.file = self.file.saturating_add(1);
        self.open = None;
        self.bytes.clear();
        if let Some(file) = self.log.files.get(self.file) {
            self.at = file.base;
        }
    }

    /// Passes over what is no record: to the next sound one in this file, or to its end.
    fn stretch(&mut self, file: &LogFile, why: String) -> Item<'static> {
        let at = self.at;
        let (end, blank) = self.next_sound(file, at);
        self.at = end;
        Item::Stretch { at, len: end.saturating_sub(at), why, blank }
    }

    /// The first sound record or filler behind `from` in the file, else the file's end, and whether all before is zeros.
    fn next_sound(&mut self, file: &LogFile, from: u64) -> (u64, bool) {
        let mut blank = true;
        let mut at = from;
        while at < file.end() {
            at = self.skip_hole(file, at);
            let left = file.end().saturating_sub(at);
            let piece = PIECE.min(left);
            self.fill(file, at, piece);
            let held = self.held(at, piece);
            // Most of what is walked here is the unused rest of the last file.
            let zeros = is_zeros(held);
            let candidates = if zeros { Vec::new() } else { candidates(held, at) };
            blank &= zeros;
            for candidate in candidates.into_iter().filter(|candidate| *candidate > from) {
                if self.is_sound(file, candidate) {
                    return (candidate, blank && candidate == at);
                }
            }
            // A magic number may lie across two pieces.
            at = if piece < left { at.saturating_add(piece.saturating_sub(FILE_END_BYTES)) } else { file.end() };
        }
        (file.end(), blank)
    }

    /// Where data may be again, if the file has a hole here.
    fn skip_hole(&mut self, file: &LogFile, at: u64) -> u64 {
        let Some(open) = self.open(file) else { return at };
        let data = file.base.saturating_add(open.data_from(at.saturating_sub(file.base)));
        // The zeros that a record's size begins with may count as hole.
        data.saturating_sub(FILE_END_BYTES).clamp(at, file.end())
    }

    /// Whether a record or filler stands here. Only what names this very offset is looked at as a whole.
    fn is_sound(&mut self, file: &LogFile, at: u64) -> bool {
        let left = file.end().saturating_sub(at);
        self.fill(file, at, HEAD_BYTES.min(left));
        let head = self.held(at, HEAD_BYTES.min(left));
        match judge(head.get(..8).unwrap_or_default(), at, left) {
            Place::FileEnd => true,
            _ if own_offset(head) != Some(at) => false,
            _ => matches!(self.place(file, at), Place::Record { .. } | Place::Odd { .. }),
        }
    }

    fn place(&mut self, file: &LogFile, at: u64) -> Place {
        let left = file.end().saturating_sub(at);
        self.fill(file, at, FILE_END_BYTES.min(left));
        let wanted = bytes_wanted(self.held(at, FILE_END_BYTES.min(left)), left).min(left);
        self.fill(file, at, wanted);
        judge(self.held(at, wanted), at, left)
    }

    /// Bytes that [`Self::fill`] has read.
    fn held(&self, at: u64, len: u64) -> &[u8] {
        let from = usize::try_from(at.saturating_sub(self.bytes_at)).unwrap_or(usize::MAX);
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        self.bytes.get(from..).and_then(|rest| rest.get(..len)).unwrap_or_default()
    }

    /// Sees to it that `len` bytes from `at` on are held. What the disk does not deliver reads as zeros.
    fn fill(&mut self, file: &LogFile, at: u64, len: u64) {
        let held_end = self.bytes_at.saturating_add(self.bytes.len() as u64);
        if at >= self.bytes_at && at.saturating_add(len) <= held_end && !self.bytes.is_empty() {
            return;
        }
        let len = len.max(PIECE).min(file.end().saturating_sub(at));
        self.bytes.clear();
        self.bytes.resize(usize::try_from(len).unwrap_or(0), 0);
        self.bytes_at = at;
        let within = at.saturating_sub(file.base);
        let mut bytes = std::mem::take(&mut self.bytes);
        let read = self.read(file, within, &mut bytes);
        if read.is_err() {
            self.by_pages(file, within, &mut bytes);
        }
        self.bytes = bytes;
    }

    fn read(&mut self, file: &LogFile, within: u64, out: &mut [u8]) -> io::Result<()> {
        if self.open.is_none() {
            self.open = Some(self.log.disk.open(&file.path, OpenMode::Read)?);
        }
        self.open.as_ref().ok_or(io::ErrorKind::NotFound)?.read_once(within, out)
    }

    fn open(&mut self, file: &LogFile) -> Option<Arc<dyn DiskFile>> {
        if self.open.is_none() {
            self.open = self.log.disk.open(&file.path, OpenMode::Read).ok();
        }
        self.open.clone()
    }

    /// Reads page by page what could not be read as a whole.
    fn by_pages(&mut self, file: &LogFile, within: u64, out: &mut [u8]) {
        let mut at = within;
        for page in out.chunks_mut(usize::try_from(PAGE).unwrap_or(1)) {
            if let Err(why) = self.read(file, at, page) {
                page.fill(0);
                self.note_unreadable(file.base.saturating_add(at), page.len() as u64, &why);
            }
            at = at.saturating_add(page.len() as u64);
        }
    }

    fn note_unreadable(&mut self, at: u64, len: u64, why: &io::Error) {
        let end = at.saturating_add(len);
        if at < self.noted_to {
            return;
        }
        self.noted_to = end;
        match self.unreadable.back_mut() {
            Some((range, _)) if range.end == at => range.end = end,
            _ => self.unreadable.push_back((at..end, why.to_string())),
        }
    }
}

fn is_zeros(bytes: &[u8]) -> bool {
    const ZEROS: [u8; 4096] = [0; 4096];
    bytes.chunks(ZEROS.len()).all(|chunk| ZEROS.starts_with(chunk))
}

/// Offsets at which a record or a filler may begin, by the magic number behind its size.
fn candidates(bytes: &[u8], at: u64) -> Vec<u64> {
    let magics = [MAGIC_V1, MAGIC_V2, MAGIC_FILLER].map(u32::to_be_bytes);
    let mut found = Vec::new();
    for (number, window) in bytes.windows(4).enumerate() {
        // The first byte decides nearly always.
        if matches!(window.first(), Some(0xDA | 0xCB)) && magics.iter().any(|magic| window == magic) {
            found.extend(number.checked_sub(4).map(|number| at.saturating_add(number as u64)));
        }
    }
    found
}
