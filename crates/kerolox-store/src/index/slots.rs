//! The slots of the newest index file, kept in memory page by page as they are touched. They can always be derived from
//! the entries, so they are written rarely and in large pieces.

use std::io;

use super::format::{Layout, SLOT_BYTES};
use crate::disk::DiskFile;

/// Slots of a page.
const PAGE_SLOTS: usize = 1024;
/// Pages written at a time.
const WRITE_PAGES: usize = 64;

struct Page {
    dirty: bool,
    slots: [u32; PAGE_SLOTS],
}

/// The slot table of one file.
pub(super) struct Slots {
    layout: Layout,
    pages: Vec<Option<Box<Page>>>,
    /// Pages not touched yet are read from the file; otherwise they are zeros.
    on_disk: bool,
}

impl Slots {
    /// The slots of a new file.
    pub(super) fn zeros(layout: Layout) -> Self {
        Self::new(layout, false)
    }

    /// The slots of a file that is complete.
    pub(super) fn on_disk(layout: Layout) -> Self {
        Self::new(layout, true)
    }

    fn new(layout: Layout, on_disk: bool) -> Self {
        let pages = to_len(layout.slots).div_ceil(PAGE_SLOTS);
        Self { layout, pages: std::iter::repeat_with(|| None).take(pages).collect(), on_disk }
    }

    /// What the slot holds.
    pub(super) fn get(&self, file: &dyn DiskFile, slot: u32) -> io::Result<u32> {
        let slot_len = to_len(slot);
        match self.pages.get(slot_len / PAGE_SLOTS) {
            Some(Some(page)) => Ok(page.slots.get(slot_len % PAGE_SLOTS).copied().unwrap_or(0)),
            Some(None) if self.on_disk => read_slot(self.layout, file, slot),
            _ => Ok(0),
        }
    }

    /// Puts `value` into the slot and returns what was there.
    pub(super) fn replace(&mut self, file: &dyn DiskFile, slot: u32, value: u32) -> io::Result<u32> {
        let slot = to_len(slot);
        let number = slot / PAGE_SLOTS;
        let place = self.pages.get_mut(number).ok_or(io::ErrorKind::InvalidInput)?;
        let page = match place {
            Some(page) => page,
            None => {
                let slots = if self.on_disk { read_page(self.layout, file, number)? } else { [0; PAGE_SLOTS] };
                place.insert(Box::new(Page { dirty: false, slots }))
            }
        };
        page.dirty = true;
        let place = page.slots.get_mut(slot % PAGE_SLOTS).ok_or(io::ErrorKind::InvalidInput)?;
        Ok(std::mem::replace(place, value))
    }

    /// After all slots were derived anew: what the file says of untouched pages is overruled by zeros.
    pub(super) fn overrule(&mut self, file: &dyn DiskFile) -> io::Result<()> {
        for (number, place) in self.pages.iter_mut().enumerate() {
            if place.is_none() && read_page(self.layout, file, number)?.iter().any(|slot| *slot != 0) {
                *place = Some(Box::new(Page { dirty: true, slots: [0; PAGE_SLOTS] }));
            }
        }
        Ok(())
    }

    /// Writes what changed since the last write.
    pub(super) fn write(&mut self, file: &dyn DiskFile) -> io::Result<()> {
        let mut number = 0;
        for group in self.pages.chunk_by_mut(|a, b| is_dirty(a.as_deref()) == is_dirty(b.as_deref())) {
            for pages in group.chunks_mut(WRITE_PAGES) {
                write_pages(self.layout, file, number, pages)?;
                number = number.saturating_add(pages.len());
            }
        }
        Ok(())
    }
}

fn is_dirty(page: Option<&Page>) -> bool {
    page.is_some_and(|page| page.dirty)
}

/// Writes neighbouring pages, the first of which is number `first`, if they are dirty.
fn write_pages(layout: Layout, file: &dyn DiskFile, first: usize, pages: &mut [Option<Box<Page>>]) -> io::Result<()> {
    let mut bytes = Vec::new();
    for page in pages.iter().flatten().filter(|page| page.dirty) {
        bytes.extend(page.slots.iter().flat_map(|slot| slot.to_be_bytes()));
    }
    if bytes.is_empty() {
        return Ok(());
    }
    let (at, room) = page_range(layout, first);
    bytes.truncate(room);
    file.write_at(at, &bytes)?;
    for page in pages.iter_mut().flatten() {
        page.dirty = false;
    }
    Ok(())
}

/// Where the page stands, and bytes from there to the end of the slots.
fn page_range(layout: Layout, number: usize) -> (u64, usize) {
    let first = u32::try_from(number.saturating_mul(PAGE_SLOTS)).unwrap_or(u32::MAX);
    let room = to_len(layout.slots.saturating_sub(first)).saturating_mul(SLOT_BYTES);
    (layout.slot_at(first), room)
}

fn read_page(layout: Layout, file: &dyn DiskFile, number: usize) -> io::Result<[u32; PAGE_SLOTS]> {
    let (at, room) = page_range(layout, number);
    let mut bytes = [0; PAGE_SLOTS * SLOT_BYTES];
    let len = bytes.len().min(room);
    file.read_at(at, bytes.get_mut(..len).unwrap_or_default())?;
    let mut slots = [0; PAGE_SLOTS];
    for (slot, bytes) in slots.iter_mut().zip(bytes.as_chunks().0) {
        *slot = u32::from_be_bytes(*bytes);
    }
    Ok(slots)
}

/// What a slot of a complete file holds.
pub(super) fn read_slot(layout: Layout, file: &dyn DiskFile, slot: u32) -> io::Result<u32> {
    let mut bytes = [0; SLOT_BYTES];
    file.read_at(layout.slot_at(slot), &mut bytes)?;
    Ok(u32::from_be_bytes(bytes))
}

fn to_len(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}
