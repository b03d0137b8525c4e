//! Opening an index: which files to trust, and how far the others are whole.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::cut::drop_newest;
use super::format::{ENTRY_BYTES, Entry, Header, Layout};
use super::segment::Segment;
use super::slots::Slots;
use super::{Active, Sealed, name, remove_file, slots};
use crate::disk::{DirEntry, Disk};
use crate::queues::LoadError;

/// The settings that decide the size of index files.
const FILE_SIZE_SETTINGS: &str = "maxHashSlotNum and maxIndexNum";
/// Newest entries whose slots are looked at after a clean stop: enough to notice that slots were not written.
const PROBED_ENTRIES: u32 = 64;
/// Entries read at a time while a file is walked.
const WALK_ENTRIES: u32 = 16_384;

/// What an open found.
#[derive(Default)]
pub(super) struct Found {
    pub(super) sealed: Vec<Sealed>,
    pub(super) active: Option<Active>,
    pub(super) next_log: u64,
    pub(super) rebuild_from: Option<u64>,
    /// The latest time of all files taken in.
    latest_ms: i64,
}

/// Opens all files of `dir`, checks those that a crash may have torn, and drops what cannot be kept.
pub(super) fn open(
    disk: &dyn Disk,
    dir: &Path,
    layout: Layout,
    abnormal: bool,
    checkpoint_index_ms: i64,
) -> Result<Found, LoadError> {
    let mut segments = open_segments(disk, dir, layout)?;
    let mut found = Found::default();
    let mut left = segments.len();
    for segment in segments.drain(..) {
        left = left.saturating_sub(1);
        let path = segment.path.clone();
        let step = if found.active.is_some() {
            // Only a file that lost entries is continued before the last one: nothing behind it has its place any more.
            remove_file(disk, &path)
        } else {
            take_in(disk, segment, left == 0, abnormal.then_some(checkpoint_index_ms), &mut found)
        };
        step.map_err(LoadError::io(&path))?;
    }
    let end = found.active.as_ref().map(|active| active.header).or(found.sealed.last().map(|sealed| sealed.header));
    if abnormal && found.rebuild_from.is_none() {
        // A newer file may be lost as a whole, with the rest of the keys of the last record known.
        found.rebuild_from = Some(end.map_or(0, |end| end.end_log));
    }
    let known = end.filter(|end| end.end_ms > 0).map_or(0, |end| end.end_log.saturating_add(1));
    found.next_log = found.rebuild_from.unwrap_or(known);
    Ok(found)
}

/// The files, oldest first.
fn open_segments(disk: &dyn Disk, dir: &Path, layout: Layout) -> Result<Vec<Segment>, LoadError> {
    let mut files = Vec::<DirEntry>::new();
    for entry in disk.list(dir).map_err(LoadError::io(dir))? {
        if name::is_file_name(&entry.name) && !entry.is_dir {
            files.push(entry);
        } else {
            tracing::warn!(path = %dir.join(&entry.name).display(), "not an index file; left alone");
        }
    }
    files.sort_unstable_by(|a, b| a.name.cmp(&b.name));
    if let Some(first) = files.iter().position(|file| file.len == 0) {
        // A crash came before the file was synced; the keys of what is behind it are put again.
        for file in files.drain(first..) {
            let path = dir.join(file.name);
            remove_file(disk, &path).map_err(LoadError::io(&path))?;
        }
    }
    let mut segments = Vec::new();
    for file in files {
        let path = dir.join(&file.name);
        let expected = layout.file_size();
        if file.len != expected {
            return Err(LoadError::WrongSize { file: path, len: file.len, expected, setting: FILE_SIZE_SETTINGS });
        }
        segments.push(Segment::open(disk, dir, file.name, layout).map_err(LoadError::io(&path))?);
    }
    Ok(segments)
}

/// Takes the next file in. `crash` has the time up to which files are durable when the last stop was a crash.
fn take_in(disk: &dyn Disk, segment: Segment, last: bool, crash: Option<i64>, found: &mut Found) -> io::Result<()> {
    let header = segment.read_header()?;
    let layout = segment.layout;
    // Where the clock was set back, a time says nothing about the order in which files became durable.
    let rises = header.begin_ms >= found.latest_ms && header.end_ms >= header.begin_ms;
    found.latest_ms = found.latest_ms.max(header.begin_ms).max(header.end_ms);
    let durable = crash.is_none_or(|durable_ms| rises && header.end_ms <= durable_ms && !header.is_empty());
    if crash.is_none() && header.is_empty() && !last {
        // Left over when the disk failed while the file was made.
        return remove_file(disk, &segment.path);
    }
    // Only a full file is followed by another.
    let has_its_place = if last { header.count <= layout.entries } else { header.count == layout.entries };
    let segment = Arc::new(segment);
    if durable && has_its_place && (!last || slots_are_written(&segment, &header)?) {
        if last {
            let slots = Slots::on_disk(layout);
            found.active = Some(Active { segment, header, slots, durable: header });
        } else {
            found.sealed.push(Sealed { segment, header });
        }
        return Ok(());
    }
    let mut walked = walk(&segment, &header)?;
    let whole = has_its_place && walked.header.count == header.count && !walked.header.is_empty();
    if !whole || last {
        walked.drop_last_record(&segment)?;
        let before = found.sealed.last().map_or(0, |before| before.header.end_log);
        found.rebuild_from = Some(walked.dropped.unwrap_or(before));
        tracing::warn!(
            path = %segment.path.display(),
            entries = walked.header.count,
            claimed = header.count,
            from = found.rebuild_from,
            "index file repaired; keys are put again from the given log offset"
        );
    }
    if walked.header.is_empty() {
        if !last {
            // Whatever follows has lost its place; an empty active file makes the caller drop it.
            found.active = Some(walked.into_active(segment, found)?);
            return Ok(());
        }
        return remove_file(disk, &segment.path);
    }
    if last || !whole {
        found.active = Some(walked.into_active(segment, found)?);
        return Ok(());
    }
    walked.slots.overrule(segment.file.as_ref())?;
    walked.slots.write(segment.file.as_ref())?;
    segment.write_header(&walked.header)?;
    segment.file.sync_data()?;
    found.sealed.push(Sealed { segment, header: walked.header });
    Ok(())
}

/// Whether the slots of the newest entries lead to them.
fn slots_are_written(segment: &Segment, header: &Header) -> io::Result<bool> {
    let oldest = header.count.saturating_sub(PROBED_ENTRIES).max(1);
    for n in oldest..header.count {
        let entry = segment.read_entry(n)?;
        let slot = slots::read_slot(segment.layout, segment.file.as_ref(), segment.layout.slot_of(entry.hash))?;
        if slot < n || slot >= header.count {
            return Ok(false);
        }
    }
    Ok(true)
}

/// A file as far as its entries agree with each other.
struct Walked {
    header: Header,
    slots: Slots,
    /// Log offset of the record whose entries were dropped.
    dropped: Option<u64>,
}

/// Derives the slots from the entries, up to the first entry that does not follow from those before it.
fn walk(segment: &Segment, claimed: &Header) -> io::Result<Walked> {
    let layout = segment.layout;
    let file = segment.file.as_ref();
    let mut header =
        Header { count: 1, used_slots: 0, end_ms: claimed.begin_ms, end_log: claimed.begin_log, ..*claimed };
    let mut slots = Slots::zeros(layout);
    let limit = claimed.count.min(layout.entries);
    let mut bytes = Vec::new();
    'walk: while header.count < limit {
        let entries = limit.saturating_sub(header.count).min(WALK_ENTRIES);
        bytes.resize(usize::try_from(entries).unwrap_or(0).saturating_mul(ENTRY_BYTES), 0);
        file.read_at(layout.entry_at(header.count), &mut bytes)?;
        for entry in bytes.as_chunks().0.iter().map(Entry::decode) {
            let slot = layout.slot_of(entry.hash);
            let follows = entry.is_legal() && entry.log_offset >= header.end_log;
            if !follows || slots.get(file, slot)? != entry.prev {
                break 'walk;
            }
            slots.replace(file, slot, header.count)?;
            header.used_slots = header.used_slots.saturating_add(u32::from(entry.prev == 0));
            header.count = header.count.saturating_add(1);
            header.end_log = entry.log_offset;
            header.end_ms = header.ms_of(entry.seconds);
        }
    }
    if header.count == claimed.count {
        (header.end_ms, header.end_log) = (claimed.end_ms, claimed.end_log);
    }
    Ok(Walked { header, slots, dropped: None })
}

impl Walked {
    /// Drops the entries of the last record: the last of them may be torn where two pages meet, and others may be
    /// missing.
    fn drop_last_record(&mut self, segment: &Segment) -> io::Result<()> {
        if self.header.is_empty() {
            return Ok(());
        }
        let last = segment.read_entry(self.header.count.saturating_sub(1))?.log_offset;
        self.dropped = Some(last);
        drop_newest(segment, &mut self.header, &mut self.slots, |entry| entry.log_offset == last)
    }

    fn into_active(mut self, segment: Arc<Segment>, found: &Found) -> io::Result<Active> {
        self.slots.overrule(segment.file.as_ref())?;
        if self.header.is_empty() {
            self.header = found
                .sealed
                .last()
                .map_or(Header::empty(0, 0), |before| Header::empty(before.header.end_ms, before.header.end_log));
        }
        segment.file.sync_data()?;
        segment.write_header(&self.header)?;
        Ok(Active { segment, header: self.header, slots: self.slots, durable: self.header })
    }
}
