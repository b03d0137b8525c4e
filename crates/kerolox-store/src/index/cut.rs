//! Taking keys back: of records that a crash took from the log, and of those that are about to be put again.

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::format::{Entry, Header};
use super::segment::Segment;
use super::slots::Slots;
use super::{Active, Index, State, remove_file};
use crate::disk::Disk;

impl Index {
    /// Drops the keys of records at or behind `log_end` and makes that durable. Files that hold nothing else go.
    ///
    /// # Errors
    /// When the disk fails.
    pub fn truncate(&self, log_end: u64) -> io::Result<()> {
        cut_back(self.disk.as_ref(), &self.dir, &mut self.state.lock(), log_end)
    }
}

/// As [`Index::truncate`].
pub(super) fn cut_back(disk: &dyn Disk, dir: &Path, state: &mut State, log_end: u64) -> io::Result<()> {
    state.cuts = state.cuts.saturating_add(1);
    loop {
        let active = match state.active.take() {
            Some(active) => active,
            None => match state.sealed.pop_if(|last| last.header.end_log >= log_end) {
                Some(last) => {
                    state.unsynced.retain(|(segment, _)| !Arc::ptr_eq(segment, &last.segment));
                    let slots = Slots::on_disk(last.segment.layout);
                    Active { segment: last.segment, header: last.header, slots, durable: last.header }
                }
                None => break,
            },
        };
        // An empty file repeats the end of the one before it.
        if active.header.end_log < log_end {
            state.active = Some(active);
            break;
        }
        if active.header.is_empty() || active.header.begin_log >= log_end {
            let path = active.segment.path.clone();
            state.active = Some(active);
            remove_file(disk, &path)?;
            state.active = None;
            // If it came back after a crash, without those before it, keys would be missing between.
            disk.sync_dir(dir)?;
            continue;
        }
        let active = state.active.insert(active);
        active.drop_behind(log_end)?;
        break;
    }
    state.next_log = state.next_log.min(log_end);
    state.sealed_ms = state.sealed_ms.min(state.sealed.last().map_or(0, |last| last.header.end_ms));
    Ok(())
}

impl Active {
    fn drop_behind(&mut self, log_end: u64) -> io::Result<()> {
        drop_newest(&self.segment, &mut self.header, &mut self.slots, |entry| entry.log_offset >= log_end)?;
        self.slots.write(self.segment.file.as_ref())?;
        // A header that counted dropped entries would bring them back after a crash.
        self.segment.file.sync_data()?;
        self.segment.write_header(&self.header)?;
        self.segment.file.sync_data()?;
        self.durable = self.header;
        Ok(())
    }
}

/// Drops the newest entries as long as `doomed` says so.
pub(super) fn drop_newest(
    segment: &Segment,
    header: &mut Header,
    slots: &mut Slots,
    doomed: impl Fn(&Entry) -> bool,
) -> io::Result<()> {
    while !header.is_empty() {
        let n = header.count.saturating_sub(1);
        let entry = segment.read_entry(n)?;
        if !doomed(&entry) {
            header.end_log = entry.log_offset;
            header.end_ms = header.end_ms.min(header.ms_of(entry.seconds));
            break;
        }
        slots.replace(segment.file.as_ref(), segment.layout.slot_of(entry.hash), entry.prev)?;
        header.used_slots = header.used_slots.saturating_sub(u32::from(entry.prev == 0));
        header.count = n;
    }
    Ok(())
}
