//! The files of a log, read only: their names and sizes as they are, and single records at known offsets.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kerolox_wire::record::{BodyCheck, Peek, Record, peek};

use super::finding::{Finding, Findings, Kind};
use crate::disk::{Disk, DiskFile, OpenMode};

/// Bytes of a record that this inspection believes; more is damage. Frames of clients are far smaller.
pub(super) const RECORD_SIZE_MAX: u64 = 64 << 20;
/// Bytes that stay free behind the last record of a file.
pub(super) const FILE_END_BYTES: u64 = 8;
/// Bytes of a record up to and with its own log offset.
pub(super) const HEAD_BYTES: u64 = 36;
/// Digits of a file name.
const NAME_DIGITS: usize = 20;
/// Files that single reads keep open.
const OPEN_MAX: usize = 8;

/// One file of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFile {
    /// Log offset of its first byte.
    pub base: u64,
    /// Its bytes.
    pub len: u64,
    /// Where it is.
    pub path: PathBuf,
}

impl LogFile {
    /// Log offset behind its last byte.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.base.saturating_add(self.len)
    }
}

/// The files of a log, oldest first.
pub struct LogFiles<'a> {
    pub(super) disk: &'a dyn Disk,
    pub(super) files: Vec<LogFile>,
}

impl<'a> LogFiles<'a> {
    /// Finds the files of a folder; what does not belong there is told in `findings`.
    ///
    /// # Errors
    /// When the folder cannot be listed.
    pub fn find(disk: &'a dyn Disk, dir: &Path, findings: &mut Findings) -> io::Result<Self> {
        let mut files = Vec::new();
        for entry in disk.list(dir)? {
            let path = dir.join(&entry.name);
            match base_of(&entry.name) {
                Some(base) if !entry.is_dir => files.push(LogFile { base, len: entry.len, path }),
                _ => findings.add(Finding::of(Kind::LogStranger, &path, "no log file; the broker passes over it")),
            }
        }
        files.sort_unstable_by_key(|file| file.base);
        let log = Self { disk, files };
        log.check_names(findings);
        Ok(log)
    }

    /// Bytes that most files have, 0 without a file.
    #[must_use]
    pub fn file_size(&self) -> u64 {
        let most = |len: u64| self.files.iter().filter(|file| file.len == len).count();
        self.files.iter().map(|file| file.len).max_by_key(|len| (most(*len), *len)).unwrap_or(0)
    }

    /// The files.
    #[must_use]
    pub fn files(&self) -> &[LogFile] {
        &self.files
    }

    /// Bytes of all files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, file| sum.saturating_add(file.len))
    }

    /// First offset that there is a file for.
    #[must_use]
    pub fn begin(&self) -> u64 {
        self.files.first().map_or(0, |file| file.base)
    }

    /// The file that holds an offset.
    #[must_use]
    pub fn holding(&self, offset: u64) -> Option<&LogFile> {
        let behind = self.files.partition_point(|file| file.base <= offset);
        self.files.get(behind.checked_sub(1)?).filter(|file| offset < file.end())
    }

    fn check_names(&self, findings: &mut Findings) {
        let size = self.file_size();
        for file in self.files.iter().filter(|file| file.len != size) {
            let why = format!("{} bytes, where the other files have {size}", file.len);
            findings.add(Finding::of(Kind::LogFileSize, &file.path, why).at(file.base, file.len));
        }
        for pair in self.files.windows(2) {
            let [before, file] = pair else { continue };
            let expected = before.base.saturating_add(size);
            if file.base != expected {
                let why = format!("the file before it calls for {expected:0NAME_DIGITS$} here");
                let gap = file.base.saturating_sub(expected);
                findings.add(Finding::of(Kind::LogFileGap, &file.path, why).at(expected, gap));
            }
        }
    }
}

/// Log offset that a file name stands for.
fn base_of(name: &str) -> Option<u64> {
    let legal = name.len() == NAME_DIGITS && name.bytes().all(|byte| byte.is_ascii_digit());
    name.parse().ok().filter(|base| legal && i64::try_from(*base).is_ok())
}

/// What stands at one offset of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// A sound record.
    Record {
        /// Its bytes.
        size: u64,
    },
    /// A record that is complete, but has a field with an impossible value.
    Odd {
        /// Its bytes.
        size: u64,
        /// Which field.
        why: String,
    },
    /// The filler: the rest of the file is unused.
    FileEnd,
    /// Nothing was written.
    Blank,
    /// Neither record nor filler.
    Bad(String),
}

/// The bytes that [`judge`] has to see of what begins with `head`.
pub(super) fn bytes_wanted(head: &[u8], left: u64) -> u64 {
    match peek(head) {
        Peek::Record { size } if fits(size.into(), left) => size.into(),
        _ => FILE_END_BYTES,
    }
}

fn fits(size: u64, left: u64) -> bool {
    size <= RECORD_SIZE_MAX && size.saturating_add(FILE_END_BYTES) <= left
}

/// Judges what stands at log offset `at`, `left` bytes before the end of its file.
pub(super) fn judge(bytes: &[u8], at: u64, left: u64) -> Place {
    let size = match peek(bytes) {
        Peek::Record { size } => u64::from(size),
        Peek::Filler { size } if u64::from(size) == left => return Place::FileEnd,
        Peek::Filler { size } => return Place::Bad(format!("a filler of {size} bytes where {left} are left")),
        Peek::Blank => return Place::Blank,
        Peek::Bad => return Place::Bad("neither record nor filler".into()),
    };
    if !fits(size, left) {
        return Place::Bad(format!("a record of {size} bytes where {left} are left"));
    }
    match Record::parse(bytes, BodyCheck::Crc) {
        Ok(record) if record.properties_bytes().last() == Some(&0) || record.topic().ends_with('\0') => {
            Place::Bad("a record whose last bytes were never written".into())
        }
        Ok(record) if record.log_offset().get() == at => Place::Record { size },
        Ok(record) => Place::Bad(format!("a record that belongs at offset {}", record.log_offset())),
        Err(why) if own_offset(bytes) == Some(at) && matches!(why, kerolox_wire::record::RecordError::Field { .. }) => {
            Place::Odd { size, why: why.to_string() }
        }
        Err(why) => Place::Bad(why.to_string()),
    }
}

/// The log offset that a record says it stands at.
pub(super) fn own_offset(bytes: &[u8]) -> Option<u64> {
    bytes.get(28..36).and_then(|field| field.first_chunk()).map(|field| u64::from_be_bytes(*field))
}

/// Reads single records, for units and entries that point to them.
pub(super) struct Records<'a> {
    log: &'a LogFiles<'a>,
    open: Vec<(u64, Arc<dyn DiskFile>)>,
    bytes: Vec<u8>,
}

impl<'a> Records<'a> {
    pub(super) fn new(log: &'a LogFiles<'a>) -> Self {
        Self { log, open: Vec::new(), bytes: Vec::new() }
    }

    /// What stands at an offset; `None` outside of every file.
    pub(super) fn place(&mut self, offset: u64) -> io::Result<Option<Place>> {
        let log = self.log;
        let Some(file) = log.holding(offset) else { return Ok(None) };
        let left = file.end().saturating_sub(offset);
        self.read(file, offset, FILE_END_BYTES.min(left))?;
        let wanted = bytes_wanted(&self.bytes, left);
        if wanted > FILE_END_BYTES {
            self.read(file, offset, wanted)?;
        }
        Ok(Some(judge(&self.bytes, offset, left)))
    }

    /// First offset of the log.
    pub(super) fn begin(&self) -> u64 {
        self.log.begin()
    }

    /// As [`Self::place`], by a record's first bytes alone: body and properties are not looked at.
    pub(super) fn head(&mut self, offset: u64) -> io::Result<Option<Place>> {
        let log = self.log;
        let Some(file) = log.holding(offset) else { return Ok(None) };
        let left = file.end().saturating_sub(offset);
        self.read(file, offset, HEAD_BYTES.min(left))?;
        Ok(Some(match peek(&self.bytes) {
            Peek::Record { size } if fits(size.into(), left) && own_offset(&self.bytes) == Some(offset) => {
                Place::Record { size: size.into() }
            }
            _ => Place::Bad("no record begins here".into()),
        }))
    }

    /// The sound record at an offset.
    pub(super) fn record(&mut self, offset: u64) -> io::Result<Option<Record<'_>>> {
        match self.place(offset)? {
            Some(Place::Record { .. }) => Ok(Record::parse(&self.bytes, BodyCheck::Skip).ok()),
            _ => Ok(None),
        }
    }

    fn read(&mut self, file: &LogFile, offset: u64, len: u64) -> io::Result<()> {
        let known = self.open.iter().position(|(base, _)| *base == file.base);
        let open = match known.and_then(|at| self.open.get(at)) {
            Some((_, open)) => Arc::clone(open),
            None => {
                let open = self.log.disk.open(&file.path, OpenMode::Read)?;
                if self.open.len() >= OPEN_MAX {
                    self.open.remove(0);
                }
                self.open.push((file.base, Arc::clone(&open)));
                open
            }
        };
        self.bytes.clear();
        self.bytes.resize(usize::try_from(len).map_err(io::Error::other)?, 0);
        open.read_once(offset.saturating_sub(file.base), &mut self.bytes)
    }
}
