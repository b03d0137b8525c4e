//! The bytes of one file: what the page cache shows, what is on the disk, and what the next sync will write.

use std::collections::{BTreeMap, BTreeSet};

use super::random::Random;

/// Bytes of one page.
pub(super) const PAGE: usize = 4096;
/// Bytes that the disk writes as a whole.
const SECTOR: usize = 512;
const SECTORS: usize = PAGE / SECTOR;
/// Bytes of logged writes from which a page's oldest versions are forgotten.
const LOG_BYTES_MAX: usize = 16 * PAGE;

type Bytes = Box<[u8; PAGE]>;

/// The bytes of one file of fixed length.
pub(super) struct Inode {
    pub(super) len: u64,
    pub(super) modified_ms: i64,
    /// Room for all pages was claimed when the file was made.
    pub(super) allocated: bool,
    /// Pages that were ever written; others read as zeros.
    pages: BTreeMap<u64, Page>,
    /// Pages that the next sync writes.
    dirty: BTreeSet<u64>,
}

struct Page {
    cached: Bytes,
    durable: Durable,
    /// Writes since cached and durable bytes were equal, oldest first.
    writes: WriteLog,
}

/// What the disk has of one page.
enum Durable {
    /// The same bytes as the page cache.
    Same,
    /// Zeros: the page was never written.
    Zeros,
    /// Older bytes.
    Older(Bytes),
}

/// The writes that led from a page's durable bytes to its cached ones.
#[derive(Default)]
struct WriteLog {
    /// Place in the page and length.
    ranges: Vec<(usize, usize)>,
    bytes: Vec<u8>,
}

impl Inode {
    pub(super) fn new(len: u64, allocated: bool, modified_ms: i64) -> Self {
        Self { len, modified_ms, allocated, pages: BTreeMap::new(), dirty: BTreeSet::new() }
    }

    /// Pages that take room on the disk.
    pub(super) fn pages_used(&self) -> u64 {
        if self.allocated { self.len.div_ceil(PAGE as u64) } else { self.pages.len() as u64 }
    }

    /// Pages that a write would have to claim room for.
    pub(super) fn pages_missing(&self, offset: u64, len: usize) -> u64 {
        if self.allocated {
            return 0;
        }
        parts(offset, len).filter(|part| !self.pages.contains_key(&part.page)).count() as u64
    }

    pub(super) fn read(&self, offset: u64, out: &mut [u8]) {
        let mut rest = out;
        for part in parts(offset, rest.len()) {
            let (target, behind) = rest.split_at_mut(part.len);
            rest = behind;
            match self.pages.get(&part.page).and_then(|page| page.cached.get(part.within())) {
                Some(bytes) => target.copy_from_slice(bytes),
                None => target.fill(0),
            }
        }
    }

    pub(super) fn write(&mut self, offset: u64, bytes: &[u8], now_ms: i64) {
        let mut rest = bytes;
        for part in parts(offset, bytes.len()) {
            let (own, behind) = rest.split_at(part.len);
            rest = behind;
            self.pages.entry(part.page).or_insert_with(Page::zeros).write(part.at, own);
            self.dirty.insert(part.page);
        }
        self.modified_ms = now_ms;
    }

    /// Writes zeros where anything else was written.
    pub(super) fn zero(&mut self, offset: u64, len: usize, now_ms: i64) {
        let end = offset.saturating_add(len as u64);
        let first = offset / PAGE as u64;
        let written: Vec<_> = self.pages.range(first..end.div_ceil(PAGE as u64).max(first)).map(|(n, _)| *n).collect();
        for page in written {
            let start = page.saturating_mul(PAGE as u64);
            let (from, to) = (offset.max(start), end.min(start.saturating_add(PAGE as u64)));
            let len = usize::try_from(to.saturating_sub(from)).unwrap_or(0);
            if let Some(zeros) = [0; PAGE].get(..len) {
                self.write(from, zeros, now_ms);
            }
        }
        self.modified_ms = now_ms;
    }

    /// First offset from `offset` on that was ever written; the length when there is none.
    pub(super) fn data_from(&self, offset: u64) -> u64 {
        let first = self.pages.range(offset / PAGE as u64..).next();
        first.map_or(self.len, |(page, _)| page.saturating_mul(PAGE as u64).max(offset).min(self.len))
    }

    /// Writes all dirty pages to the disk.
    pub(super) fn sync(&mut self) {
        for page in std::mem::take(&mut self.dirty) {
            if let Some(page) = self.pages.get_mut(&page) {
                page.durable = Durable::Same;
                page.writes.clear();
            }
        }
    }

    /// As Linux does after a failed write-back: the pages count as clean and keep what the disk may not have.
    pub(super) fn fail_sync(&mut self) {
        self.dirty.clear();
    }

    /// Drops what is not on the disk: all of it, or what `torn` decides for each sector.
    pub(super) fn lose_power(&mut self, mut torn: Option<&mut Random>) {
        self.dirty.clear();
        for page in self.pages.values_mut() {
            page.lose_power(torn.as_deref_mut());
        }
    }

    /// Inverts one bit of the cached and of the durable bytes.
    pub(super) fn flip(&mut self, offset: u64, mask: u8) {
        let Some(part) = parts(offset, 1).next() else { return };
        let page = self.pages.entry(part.page).or_insert_with(|| Page { durable: Durable::Same, ..Page::zeros() });
        if matches!(page.durable, Durable::Zeros) {
            page.durable = Durable::Older(Box::new([0; PAGE]));
        }
        let durable = match &mut page.durable {
            Durable::Older(bytes) => bytes.get_mut(part.at),
            Durable::Same | Durable::Zeros => None,
        };
        for byte in durable.into_iter().chain(page.cached.get_mut(part.at)) {
            *byte ^= mask;
        }
    }
}

impl Page {
    fn zeros() -> Self {
        Self { cached: Box::new([0; PAGE]), durable: Durable::Zeros, writes: WriteLog::default() }
    }

    fn write(&mut self, at: usize, bytes: &[u8]) {
        if matches!(self.durable, Durable::Same) {
            self.durable = Durable::Older(self.cached.clone());
        }
        if let Some(target) = self.cached.get_mut(at..at.saturating_add(bytes.len())) {
            target.copy_from_slice(bytes);
        }
        if self.writes.bytes.len() > LOG_BYTES_MAX {
            self.writes.clear();
            self.writes.push(0, self.cached.as_slice());
        } else {
            self.writes.push(at, bytes);
        }
    }

    fn lose_power(&mut self, torn: Option<&mut Random>) {
        let mut survived = match std::mem::replace(&mut self.durable, Durable::Same) {
            Durable::Same => return,
            Durable::Zeros => Box::new([0; PAGE]),
            Durable::Older(bytes) => bytes,
        };
        if let Some(random) = torn {
            self.writes.replay(&mut survived, random);
        }
        self.writes.clear();
        self.cached = survived;
    }
}

impl WriteLog {
    fn push(&mut self, at: usize, bytes: &[u8]) {
        self.ranges.push((at, bytes.len()));
        self.bytes.extend_from_slice(bytes);
    }

    fn clear(&mut self) {
        self.ranges.clear();
        self.bytes.clear();
    }

    /// Brings each sector to the state after any number of the writes: the system may write a page at any moment.
    fn replay(&self, page: &mut Bytes, random: &mut Random) {
        let total = self.ranges.len();
        let kept: [usize; SECTORS] = std::array::from_fn(|_| match random.below(4) {
            0 => 0,
            1 => usize::try_from(random.below(total as u64)).unwrap_or(0),
            _ => total,
        });
        let mut rest = self.bytes.as_slice();
        for (number, (at, len)) in self.ranges.iter().enumerate() {
            let (own, behind) = rest.split_at(*len);
            rest = behind;
            let whole = page.iter_mut().enumerate().skip(*at).zip(own);
            for ((place, target), byte) in whole {
                if kept.get(place / SECTOR).is_some_and(|kept| number < *kept) {
                    *target = *byte;
                }
            }
        }
    }
}

/// The share of one page in a range of bytes.
struct Part {
    page: u64,
    /// First byte within the page.
    at: usize,
    len: usize,
}

impl Part {
    fn within(&self) -> std::ops::Range<usize> {
        self.at..self.at.saturating_add(self.len)
    }
}

/// Splits a range of bytes by pages.
fn parts(offset: u64, len: usize) -> impl Iterator<Item = Part> {
    let mut offset = offset;
    let mut left = len;
    std::iter::from_fn(move || {
        if left == 0 {
            return None;
        }
        let at = usize::try_from(offset % PAGE as u64).unwrap_or(0);
        let part = Part { page: offset / PAGE as u64, at, len: left.min(PAGE.saturating_sub(at)) };
        offset = offset.saturating_add(part.len as u64);
        left = left.saturating_sub(part.len);
        Some(part)
    })
}
