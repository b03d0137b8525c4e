//! Who changed what through the console: one JSON object a line, in its folder and on the audit page.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, BufRead, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};

/// Entries that the page can show.
const SHOWN_MAX: usize = 1_000;
/// Size at which the file is set aside; one such file is kept.
const FILE_SIZE_MAX: u64 = 8 * 1024 * 1024;
/// Longest text of an entry's field, bytes.
const FIELD_SIZE_MAX: usize = 500;

/// One change, or a try.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    /// When, ms since 1970.
    pub(crate) at_ms: i64,
    /// Account; the name given for a login that failed.
    pub(crate) user: String,
    /// Where from.
    pub(crate) from: String,
    /// What: method and path.
    pub(crate) action: String,
    /// What the path does not say.
    #[serde(default)]
    pub(crate) detail: String,
    /// HTTP status of the answer.
    pub(crate) status: u16,
}

/// The log.
#[derive(Debug)]
pub(crate) struct Audit {
    file: PathBuf,
    recent: Mutex<VecDeque<Entry>>,
}

impl Audit {
    /// Reads what the file ends with; a line that is no entry is passed over.
    pub(crate) fn open(file: PathBuf) -> io::Result<Self> {
        let mut recent = VecDeque::new();
        match fs::File::open(&file) {
            Ok(opened) => {
                for line in io::BufReader::new(opened).lines() {
                    let Ok(entry) = serde_json::from_str(&line?) else { continue };
                    if recent.len() == SHOWN_MAX {
                        recent.pop_front();
                    }
                    recent.push_back(entry);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        Ok(Self { file, recent: Mutex::new(recent) })
    }

    /// Adds an entry. What cannot be written is logged, and stands on the page until the end of the process.
    pub(crate) fn add(&self, mut entry: Entry) {
        for field in [&mut entry.user, &mut entry.action, &mut entry.detail] {
            if field.len() > FIELD_SIZE_MAX {
                field.truncate(field.floor_char_boundary(FIELD_SIZE_MAX));
                field.push('…');
            }
        }
        // Held while writing, so that lines do not mix.
        let mut recent = self.recent.lock();
        if let Err(error) = append(&self.file, &entry) {
            tracing::error!(%error, file = %self.file.display(), action = %entry.action.escape_debug(), "an entry of the audit log could not be written");
        }
        if recent.len() == SHOWN_MAX {
            recent.pop_front();
        }
        recent.push_back(entry);
    }

    /// The newest entries that contain `word`, newest first.
    pub(crate) fn recent(&self, word: &str, most: usize) -> Vec<Entry> {
        let recent = self.recent.lock();
        let has = |entry: &&Entry| {
            let fields = [&entry.user, &entry.from, &entry.action, &entry.detail];
            word.is_empty() || fields.iter().any(|field| field.contains(word))
        };
        recent.iter().rev().filter(has).take(most).cloned().collect()
    }
}

fn append(path: &Path, entry: &Entry) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    if fs::metadata(path).is_ok_and(|known| known.len() >= FILE_SIZE_MAX) {
        fs::rename(path, path.with_extension("log.1"))?;
    }
    let mut line = serde_json::to_vec(entry)?;
    line.push(b'\n');
    fs::OpenOptions::new().append(true).create(true).mode(0o600).open(path)?.write_all(&line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(action: &str) -> Entry {
        Entry {
            at_ms: 1,
            user: "admin".to_owned(),
            from: "127.0.0.1".to_owned(),
            action: action.to_owned(),
            detail: String::new(),
            status: 200,
        }
    }

    #[test]
    fn entries_outlive_a_restart_newest_first() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/audit.log");
        let audit = Audit::open(path.clone()).unwrap();
        audit.add(entry("DELETE /api/topics/a"));
        audit.add(entry("DELETE /api/topics/b"));
        fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"half a li").unwrap();
        let again = Audit::open(path).unwrap();
        let seen: Vec<String> = again.recent("", 10).into_iter().map(|entry| entry.action).collect();
        assert_eq!(seen, ["DELETE /api/topics/b", "DELETE /api/topics/a"]);
        assert_eq!(again.recent("topics/a", 10).len(), 1);
        assert_eq!(again.recent("", 1).len(), 1);
    }

    #[test]
    fn a_line_break_in_a_name_makes_no_second_entry() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("audit.log");
        Audit::open(path.clone()).unwrap().add(Entry { user: "a\n{}".to_owned(), ..entry(&"x".repeat(10_000)) });
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 1);
        assert!(Audit::open(path).unwrap().recent("", 1)[0].action.len() < 600);
    }
}
