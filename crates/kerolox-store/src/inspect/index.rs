//! The key index, read only: headers, chains, and entries that must point to records. The byte positions are those of
//! `index/format.rs`; the numbers of slots and entries come from the files themselves.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::finding::{Finding, Findings, Kind};
use super::log::{LogFiles, Place, Records};
use super::progress::Progress;
use crate::disk::{Disk, DiskFile, OpenMode};

const HEADER: u64 = 40;
const SLOT: u64 = 4;
const ENTRY: u64 = 20;
/// Digits of a file name.
const NAME_DIGITS: usize = 17;
/// RocketMQ's numbers of slots and entries.
const USUAL: Layout = Layout { slots: 5_000_000, entries: 20_000_000 };
/// Slots that a check keeps in memory; larger files are not checked.
const SLOTS_MAX: u64 = 64_000_000;
/// Entries read at a time.
const PIECE_ENTRIES: u64 = 16_384;
/// Bytes of the slots read at a time while the layout is searched.
const PIECE: u64 = 1 << 20;
/// Entries whose slots must agree for a layout to be believed.
const PROBED: u32 = 16;

/// Where slots and entries stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Layout {
    slots: u64,
    entries: u64,
}

impl Layout {
    fn entry_at(self, n: u64) -> u64 {
        n.saturating_mul(ENTRY).saturating_add(self.slots.saturating_mul(SLOT)).saturating_add(HEADER)
    }

    fn file_size(self) -> u64 {
        self.entry_at(self.entries)
    }
}

/// The fields of a header that an inspection needs.
#[derive(Debug, Clone, Copy)]
struct Header {
    begin_ms: i64,
    end_ms: i64,
    begin_log: i64,
    end_log: i64,
    used_slots: i32,
    /// Number of the next entry.
    count: u64,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    hash: i32,
    log_offset: i64,
    seconds: i32,
    prev: i32,
}

/// What the index is compared with.
pub(super) struct Against<'a> {
    pub(super) log: &'a LogFiles<'a>,
    pub(super) log_end: u64,
    /// The broker did not stop cleanly.
    pub(super) abnormal: bool,
}

/// The files of an index, oldest first.
pub(super) struct IndexFiles<'a> {
    disk: &'a dyn Disk,
    files: Vec<(PathBuf, u64)>,
}

impl<'a> IndexFiles<'a> {
    pub(super) fn find(disk: &'a dyn Disk, dir: &Path) -> io::Result<Self> {
        let named = |name: &str| name.len() == NAME_DIGITS && name.bytes().all(|byte| byte.is_ascii_digit());
        let entries = disk.list(dir)?.into_iter().filter(|entry| !entry.is_dir && named(&entry.name));
        let mut files: Vec<_> = entries.map(|entry| (dir.join(entry.name), entry.len)).collect();
        files.sort_unstable();
        if files.last().is_some_and(|(_, len)| *len == 0) {
            files.pop();
        }
        Ok(Self { disk, files })
    }

    pub(super) fn count(&self) -> usize {
        self.files.len()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().fold(0, |sum, (_, len)| sum.saturating_add(*len))
    }

    /// Checks every file.
    pub(super) fn check(&self, against: &Against<'_>, findings: &mut Findings, progress: &mut dyn Progress) {
        let mut check = Check { against, records: Records::new(against.log), layout: None, findings };
        for (number, (path, len)) in self.files.iter().enumerate() {
            let newest = number.saturating_add(1) == self.files.len();
            if let Err(why) = check.file(self.disk, path, *len, newest) {
                check.findings.add(Finding::of(Kind::IndexUnreadable, path, why.to_string()));
            }
            progress.advance(*len);
        }
    }
}

/// A check of one file after the other.
struct Check<'c, 'a> {
    against: &'c Against<'a>,
    records: Records<'c>,
    /// That of the first file that tells.
    layout: Option<Layout>,
    findings: &'c mut Findings,
}

impl Check<'_, '_> {
    fn file(&mut self, disk: &dyn Disk, path: &Path, len: u64, newest: bool) -> io::Result<()> {
        let (against, findings) = (self.against, &mut *self.findings);
        let file = disk.open(path, OpenMode::Read)?;
        let header = read_header(&file)?;
        if self.layout.is_none() {
            self.layout = find_layout(&file, len, &header)?;
        }
        let Some(layout) = self.layout else {
            if header.count > 1 && !(newest && against.abnormal) {
                let why = "neither the usual numbers of slots and entries fit this file nor any others";
                findings.add(Finding::of(Kind::IndexFileSize, path, why));
            }
            return Ok(());
        };
        if len != layout.file_size() {
            let why = format!("{len} bytes, where other index files have {}", layout.file_size());
            findings.add(Finding::of(Kind::IndexFileSize, path, why));
            return Ok(());
        }
        if newest && against.abnormal {
            findings.add(Finding::of(Kind::IndexOpen, path, "its slots were not written"));
        }
        if let Some(why) = header_fault(&header, layout, newest, against.log_end) {
            findings.add(Finding::of(Kind::IndexHeader, path, why));
            return Ok(());
        }
        let mut chains = Chains::new(path, layout)?;
        chains.walk(&file, &header, &mut self.records, against, findings)?;
        if !(newest && against.abnormal) {
            chains.compare_slots(&file, findings)?;
        }
        Ok(())
    }
}

fn header_fault(header: &Header, layout: Layout, newest: bool, log_end: u64) -> Option<String> {
    if header.count > layout.entries {
        return Some(format!("it counts {} entries, and the file has room for {}", header.count, layout.entries));
    }
    if !newest && header.count < layout.entries && header.count > 1 {
        return Some(format!("it counts {} of {} entries, and another file follows", header.count, layout.entries));
    }
    if header.end_log < header.begin_log || header.end_ms < header.begin_ms {
        return Some("it ends before it begins".into());
    }
    if header.count > 1 && u64::try_from(header.end_log).is_ok_and(|end| end >= log_end) {
        return Some(format!("its last record stands at {}, and the log ends at {log_end}", header.end_log));
    }
    (header.used_slots < 0).then(|| "it counts fewer than no slots".into())
}

/// The slots as the entries call for them, built while the entries are walked.
struct Chains<'p> {
    path: &'p Path,
    layout: Layout,
    slots: Vec<u32>,
    checked: Option<i64>,
}

impl<'p> Chains<'p> {
    fn new(path: &'p Path, layout: Layout) -> io::Result<Self> {
        let slots = usize::try_from(layout.slots).map_err(io::Error::other)?;
        Ok(Self { path, layout, slots: vec![0; slots], checked: None })
    }

    fn walk(
        &mut self,
        file: &Arc<dyn DiskFile>,
        header: &Header,
        records: &mut Records<'_>,
        against: &Against<'_>,
        findings: &mut Findings,
    ) -> io::Result<()> {
        let mut bytes = Vec::new();
        let mut n = 1;
        while n < header.count {
            let many = PIECE_ENTRIES.min(header.count.saturating_sub(n));
            bytes.resize(usize::try_from(many.saturating_mul(ENTRY)).map_err(io::Error::other)?, 0);
            file.read_once(self.layout.entry_at(n), &mut bytes)?;
            for (number, entry) in (n..).zip(bytes.as_chunks::<20>().0.iter().map(entry)) {
                self.entry(number, entry, header, findings);
                self.record(number, entry, records, against, findings);
            }
            n = n.saturating_add(many);
        }
        Ok(())
    }

    fn entry(&mut self, number: u64, entry: Entry, header: &Header, findings: &mut Findings) {
        let hash = u64::try_from(entry.hash).ok();
        let slot = hash.and_then(|hash| hash.checked_rem(self.layout.slots));
        let place = slot.and_then(|slot| usize::try_from(slot).ok()).and_then(|slot| self.slots.get_mut(slot));
        let legal = entry.seconds >= 0 && entry.log_offset >= header.begin_log && entry.log_offset <= header.end_log;
        let Some(place) = place.filter(|_| legal) else {
            let why = format!("entry {number} has a hash, time or log offset that it cannot have");
            findings.add(Finding::of(Kind::IndexChain, self.path, why).at(self.layout.entry_at(number), ENTRY));
            return;
        };
        let before = std::mem::replace(place, u32::try_from(number).unwrap_or(u32::MAX));
        // A link to itself, forward or below 1 ends a chain, as 0 does.
        let prev = u32::try_from(entry.prev).ok().filter(|prev| u64::from(*prev) < number).unwrap_or(0);
        if prev != before {
            let why = format!("entry {number} leads to entry {prev}, where {before} is the one before it in its chain");
            findings.add(Finding::of(Kind::IndexChain, self.path, why).at(self.layout.entry_at(number), ENTRY));
        }
    }

    fn record(
        &mut self,
        number: u64,
        entry: Entry,
        records: &mut Records<'_>,
        against: &Against<'_>,
        findings: &mut Findings,
    ) {
        let Ok(offset) = u64::try_from(entry.log_offset) else { return };
        // The keys of one record follow each other; those of expired records stay until their whole file expires.
        if self.checked == Some(entry.log_offset) || offset < against.log.begin() {
            return;
        }
        self.checked = Some(entry.log_offset);
        let why = match records.head(offset) {
            Ok(Some(Place::Record { .. })) => return,
            _ if offset >= against.log_end => format!("the log ends at {}", against.log_end),
            Ok(_) => "no record begins there".to_owned(),
            Err(why) => why.to_string(),
        };
        let why = format!("entry {number} points to {offset}, but {why}");
        let finding = Finding::of(Kind::IndexEntryPointsNowhere, self.path, why);
        findings.add(finding.at(self.layout.entry_at(number), ENTRY));
    }

    fn compare_slots(&self, file: &Arc<dyn DiskFile>, findings: &mut Findings) -> io::Result<()> {
        let mut bytes = Vec::new();
        for (piece, slots) in self.slots.chunks(262_144).enumerate() {
            let from = (piece as u64).saturating_mul(262_144);
            bytes.resize(slots.len().saturating_mul(4), 0);
            let at = from.saturating_mul(SLOT).saturating_add(HEADER);
            file.read_once(at, &mut bytes)?;
            let stored = bytes.as_chunks::<4>().0.iter().map(|bytes| u32::from_be_bytes(*bytes));
            for (slot, (expected, stored)) in (from..).zip(slots.iter().zip(stored)) {
                if *expected != stored {
                    let why = format!("slot {slot} holds {stored}, where {expected} is the newest of its chain");
                    let finding = Finding::of(Kind::IndexChain, self.path, why);
                    findings.add(finding.at(slot.saturating_mul(SLOT).saturating_add(HEADER), SLOT));
                }
            }
        }
        Ok(())
    }
}

/// The numbers of slots and entries of a file: the usual ones, or those at which the first entries are found.
fn find_layout(file: &Arc<dyn DiskFile>, len: u64, header: &Header) -> io::Result<Option<Layout>> {
    if len == USUAL.file_size() {
        return Ok(Some(USUAL));
    }
    if header.count <= 1 {
        return Ok(None);
    }
    let mut bytes = Vec::new();
    let mut at = HEADER;
    // The first entry: any hash, the first record's log offset, no seconds, no link.
    let mut wanted = [0; 16];
    wanted.split_at_mut(8).0.copy_from_slice(&header.begin_log.to_be_bytes());
    while at.saturating_add(ENTRY) <= len && at < SLOTS_MAX.saturating_mul(SLOT) {
        let size = PIECE.min(len.saturating_sub(at));
        bytes.resize(usize::try_from(size).map_err(io::Error::other)?, 0);
        file.read_once(at, &mut bytes)?;
        for (n, window) in bytes.windows(ENTRY_BYTES).enumerate().step_by(4) {
            if window.get(4..) == Some(&wanted) {
                let first = at.saturating_add(n as u64);
                if let Some(layout) = layout_with_first(first, len)
                    && is_layout(file, layout, header)?
                {
                    return Ok(Some(layout));
                }
            }
        }
        if size < PIECE {
            break;
        }
        // A multiple of 4 that keeps an entry across two pieces whole.
        at = at.saturating_add(size).saturating_sub(ENTRY);
    }
    Ok(None)
}

const ENTRY_BYTES: usize = 20;
const _: () = assert!(ENTRY_BYTES as u64 == ENTRY);

/// The layout in which entry 1 stands at byte `first`.
fn layout_with_first(first: u64, len: u64) -> Option<Layout> {
    let slot_bytes = first.checked_sub(HEADER)?.checked_sub(ENTRY)?;
    let slots = slot_bytes / SLOT;
    let rest = len.checked_sub(HEADER)?.checked_sub(slot_bytes)?;
    (slots > 0 && slot_bytes.is_multiple_of(SLOT) && rest.is_multiple_of(ENTRY))
        .then_some(Layout { slots, entries: rest / ENTRY })
}

/// Whether the slots of the first entries lead to these or newer ones.
fn is_layout(file: &Arc<dyn DiskFile>, layout: Layout, header: &Header) -> io::Result<bool> {
    let probed = header.count.min(u64::from(PROBED).saturating_add(1));
    for n in 1..probed {
        let mut bytes = [0; ENTRY_BYTES];
        file.read_once(layout.entry_at(n), &mut bytes)?;
        let entry = entry(&bytes);
        let Ok(hash) = u64::try_from(entry.hash) else { return Ok(false) };
        let Some(slot) = hash.checked_rem(layout.slots) else { return Ok(false) };
        let mut bytes = [0; 4];
        file.read_once(slot.saturating_mul(SLOT).saturating_add(HEADER), &mut bytes)?;
        let newest = u64::from(u32::from_be_bytes(bytes));
        if entry.log_offset < header.begin_log || newest < n || newest >= header.count {
            return Ok(false);
        }
    }
    Ok(true)
}

fn read_header(file: &Arc<dyn DiskFile>) -> io::Result<Header> {
    let mut bytes = [0; 40];
    file.read_once(0, &mut bytes)?;
    let (longs, ints) = bytes.split_at(32);
    let mut longs = longs.as_chunks().0.iter().map(|bytes| i64::from_be_bytes(*bytes));
    let mut ints = ints.as_chunks().0.iter().map(|bytes| i32::from_be_bytes(*bytes));
    let mut long = || longs.next().unwrap_or(0);
    let mut int = || ints.next().unwrap_or(0);
    Ok(Header {
        begin_ms: long(),
        end_ms: long(),
        begin_log: long(),
        end_log: long(),
        used_slots: int(),
        // A header that was never written is that of an empty file.
        count: u64::try_from(int()).unwrap_or(0).max(1),
    })
}

fn entry(bytes: &[u8; ENTRY_BYTES]) -> Entry {
    let [h0, h1, h2, h3, a, b, c, d, e, f, g, h, s0, s1, s2, s3, p0, p1, p2, p3] = *bytes;
    Entry {
        hash: i32::from_be_bytes([h0, h1, h2, h3]),
        log_offset: i64::from_be_bytes([a, b, c, d, e, f, g, h]),
        seconds: i32::from_be_bytes([s0, s1, s2, s3]),
        prev: i32::from_be_bytes([p0, p1, p2, p3]),
    }
}
