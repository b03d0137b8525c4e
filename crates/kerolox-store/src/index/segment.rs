//! One index file as readers see it, and the walk along its chains.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kerolox_wire::names::LogOffset;

use super::format::{ENTRY_BYTES, Entry, HEADER_BYTES, Header, Layout};
use crate::disk::{Allocate, Disk, DiskFile, OpenMode};

/// One open file.
pub(super) struct Segment {
    pub(super) name: String,
    pub(super) path: PathBuf,
    pub(super) layout: Layout,
    pub(super) file: Arc<dyn DiskFile>,
}

/// What a query looks for in one file.
pub(super) struct Search {
    pub(super) hash: u32,
    pub(super) begin_ms: i64,
    pub(super) end_ms: i64,
    pub(super) max: usize,
}

impl Segment {
    /// Makes a file with this header; none is left behind when that fails.
    pub(super) fn create(
        disk: &dyn Disk,
        dir: &Path,
        name: String,
        layout: Layout,
        header: &Header,
    ) -> io::Result<Self> {
        disk.create_dir_all(dir)?;
        let path = dir.join(&name);
        let mode = OpenMode::Create { len: layout.file_size(), allocate: Allocate::Sparse };
        let made = disk.open(&path, mode).and_then(|file| {
            file.write_at(0, &header.encode())?;
            Ok(file)
        });
        match made {
            Ok(file) => Ok(Self { name, path, layout, file }),
            Err(error) => {
                // The first error is the one to tell; an empty file that stays is dropped by the next open.
                let _ = disk.remove(&path);
                Err(error)
            }
        }
    }

    pub(super) fn open(disk: &dyn Disk, dir: &Path, name: String, layout: Layout) -> io::Result<Self> {
        let path = dir.join(&name);
        let file = disk.open(&path, OpenMode::ReadWrite)?;
        Ok(Self { name, path, layout, file })
    }

    pub(super) fn read_header(&self) -> io::Result<Header> {
        let mut bytes = [0; HEADER_BYTES];
        self.file.read_at(0, &mut bytes)?;
        Ok(Header::decode(&bytes))
    }

    pub(super) fn write_header(&self, header: &Header) -> io::Result<()> {
        self.file.write_at(0, &header.encode())
    }

    pub(super) fn read_entry(&self, n: u32) -> io::Result<Entry> {
        let mut bytes = [0; ENTRY_BYTES];
        self.file.read_at(self.layout.entry_at(n), &mut bytes)?;
        Ok(Entry::decode(&bytes))
    }

    /// Follows the chain that begins with entry `newest`. Entries below `header.count` never change.
    pub(super) fn search(
        &self,
        header: &Header,
        newest: u32,
        search: &Search,
        out: &mut Vec<LogOffset>,
    ) -> io::Result<()> {
        let mut n = newest;
        let mut above = header.count.min(self.layout.entries);
        // A chain only leads to older entries; anything else is a torn link and ends it.
        while n > 0 && n < above && out.len() < search.max {
            let entry = self.read_entry(n)?;
            let ms = header.ms_of(entry.seconds);
            if !entry.is_legal() {
                break;
            }
            let found = LogOffset::new(entry.log_offset);
            // A record may be indexed twice under one key: it names the key twice, or was put again after a crash.
            if entry.hash == search.hash && ms >= search.begin_ms && ms <= search.end_ms && out.last() != Some(&found) {
                out.push(found);
            }
            if ms < search.begin_ms {
                break;
            }
            above = n;
            n = entry.prev;
        }
        Ok(())
    }
}
