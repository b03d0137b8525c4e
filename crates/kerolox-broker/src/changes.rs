//! When a table has to be written again: changes are counted, and a save remembers the count that it wrote.

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};

use kerolox_store::disk::Disk;
use kerolox_store::tables::{self, TableError};
use parking_lot::Mutex;

/// Counts the changes of one table and writes it when there are new ones.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    made: AtomicU64,
    /// Held over the write, so that an older text never replaces a newer one.
    written: Mutex<u64>,
}

impl Changes {
    /// Notes a change; the change itself must be visible before.
    pub(crate) fn touch(&self) {
        self.made.fetch_add(1, Ordering::Release);
    }

    /// Whether something changed since the last save.
    #[cfg(test)]
    pub(crate) fn pending(&self) -> bool {
        *self.written.lock() != self.made.load(Ordering::Acquire)
    }

    /// Writes `text()` when something changed since the last save; true when it did.
    pub(crate) fn save(&self, disk: &dyn Disk, path: &Path, text: impl FnOnce() -> String) -> Result<bool, TableError> {
        self.save_after(disk, path, text, || Ok(()))
    }

    /// As [`Self::save`]; `before` runs between the making of the text and its write: what the text speaks of is made
    /// durable there. When that fails nothing is written.
    pub(crate) fn save_after(
        &self,
        disk: &dyn Disk,
        path: &Path,
        text: impl FnOnce() -> String,
        before: impl FnOnce() -> io::Result<()>,
    ) -> Result<bool, TableError> {
        let mut written = self.written.lock();
        // Read before the text is made: a change in between is written twice rather than never.
        let made = self.made.load(Ordering::Acquire);
        if *written == made {
            return Ok(false);
        }
        let text = text();
        before().map_err(|source| TableError::Io { file: path.to_path_buf(), source })?;
        tables::save(disk, path, &text)?;
        *written = made;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use kerolox_store::disk::RealDisk;

    use super::*;

    #[test]
    fn a_table_waits_for_what_it_speaks_of() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.json");
        let changes = Changes::default();
        changes.touch();
        let sealed = || Err(io::Error::other("sealed"));
        let failed = changes.save_after(&RealDisk, &path, || "early".to_owned(), sealed);
        assert!(failed.is_err_and(|e| e.to_string().contains("sealed")) && !path.exists() && changes.pending());
        let text_first = std::cell::Cell::new(false);
        let text = || {
            text_first.set(true);
            "late".to_owned()
        };
        let before = || {
            assert!(text_first.get(), "what changes after the text is for the next save");
            Ok(())
        };
        assert!(changes.save_after(&RealDisk, &path, text, before).unwrap() && path.exists());
    }

    #[test]
    fn a_table_is_written_after_a_change_and_only_then() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.json");
        let changes = Changes::default();
        let save = |text: &str| changes.save(&RealDisk, &path, || text.to_owned()).unwrap();
        assert!(!save("untouched") && !path.exists());
        changes.touch();
        assert!(changes.pending());
        assert!(save("first") && !save("again"));
        assert!(!changes.pending());
        let parse = |text: &str| Ok(text.to_owned());
        assert_eq!(tables::load(&RealDisk, &path, parse).unwrap().as_deref(), Some("first"));
    }
}
