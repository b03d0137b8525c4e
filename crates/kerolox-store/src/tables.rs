//! Tables kept as one text file each (`config/*.json`): read with the previous text as fallback, replaced as a whole.

use std::io;
use std::path::{Path, PathBuf};

use crate::disk::Disk;

/// Why a table cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TableError {
    /// Neither the file nor its previous text can be used.
    #[error("{} cannot be used: {why}; its previous text {}: {backup_why}", file.display(), backup.display())]
    Corrupt {
        /// The table's file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
        /// The file with the previous text.
        backup: PathBuf,
        /// What is wrong with that.
        backup_why: String,
    },
    /// The disk failed.
    #[error("{}: {source}", file.display())]
    Io {
        /// The file.
        file: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
}

/// Reads a table with `parse`, falling back to its previous text; `None` when there never was one. A file that cannot
/// be used is kept as `X.bad`, so that the next save does not put it in the place of the good previous text.
///
/// # Errors
/// When what is there cannot be used, or the disk fails. A table is never silently lost.
pub fn load<T>(
    disk: &dyn Disk,
    path: &Path,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<Option<T>, TableError> {
    let why = match read(disk, path, &parse)? {
        Text::Good(table) => return Ok(Some(table)),
        Text::Missing => None,
        Text::Bad(why) => Some(why),
    };
    let backup = beside(path, "bak");
    match (read(disk, &backup, &parse)?, why) {
        (Text::Good(table), why) => {
            let why = why.unwrap_or_else(|| "is missing or empty".into());
            tracing::warn!(path = %path.display(), why, "table read from its previous text");
            keep_bad(disk, path)?;
            Ok(Some(table))
        }
        // An interrupted first save leaves an empty file and nothing else.
        (Text::Missing, None) => Ok(None),
        (Text::Missing, Some(why)) => Err(corrupt(path, why, backup, "is missing or empty".into())),
        (Text::Bad(backup_why), why) => {
            let why = why.unwrap_or_else(|| "is missing or empty".into());
            Err(corrupt(path, why, backup, backup_why))
        }
    }
}

/// Replaces the text of a table; a crash leaves the old or the new one.
///
/// # Errors
/// When the disk fails.
pub fn save(disk: &dyn Disk, path: &Path, text: &str) -> Result<(), TableError> {
    disk.write_file_atomic(path, text.as_bytes()).map_err(|source| TableError::Io { file: path.to_path_buf(), source })
}

enum Text<T> {
    Good(T),
    /// Not there, or empty.
    Missing,
    Bad(String),
}

fn read<T>(disk: &dyn Disk, path: &Path, parse: impl Fn(&str) -> Result<T, String>) -> Result<Text<T>, TableError> {
    if !disk.exists(path) {
        return Ok(Text::Missing);
    }
    let bytes = disk.read_file(path).map_err(|source| TableError::Io { file: path.to_path_buf(), source })?;
    if bytes.is_empty() {
        return Ok(Text::Missing);
    }
    let text = String::from_utf8(bytes).map_err(|error| error.to_string());
    Ok(text.and_then(|text| parse(&text)).map_or_else(Text::Bad, Text::Good))
}

/// Moves an unusable file out of the way.
fn keep_bad(disk: &dyn Disk, path: &Path) -> Result<(), TableError> {
    if !disk.exists(path) {
        return Ok(());
    }
    disk.rename(path, &beside(path, "bad")).map_err(|source| TableError::Io { file: path.to_path_buf(), source })
}

/// `X.<suffix>` for the file `X`.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(".");
    name.push(suffix);
    name.into()
}

fn corrupt(path: &Path, why: String, backup: PathBuf, backup_why: String) -> TableError {
    TableError::Corrupt { file: path.to_path_buf(), why, backup, backup_why }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::RealDisk;

    fn number(text: &str) -> Result<u32, String> {
        text.parse().map_err(|_| format!("{text:?} is no number"))
    }

    struct Case {
        main: Option<&'static str>,
        backup: Option<&'static str>,
        found: Result<Option<u32>, &'static str>,
    }

    #[test]
    fn a_table_falls_back_to_its_previous_text_and_is_never_silently_lost() {
        let cases = [
            Case { main: Some("2"), backup: Some("1"), found: Ok(Some(2)) },
            Case { main: Some("2"), backup: Some("x"), found: Ok(Some(2)) },
            Case { main: Some("x"), backup: Some("1"), found: Ok(Some(1)) },
            Case { main: Some(""), backup: Some("1"), found: Ok(Some(1)) },
            Case { main: None, backup: Some("1"), found: Ok(Some(1)) },
            Case { main: None, backup: None, found: Ok(None) },
            Case { main: Some(""), backup: None, found: Ok(None) },
            Case { main: Some("x"), backup: None, found: Err("\"x\" is no number") },
            Case { main: Some("x"), backup: Some("y"), found: Err("\"y\" is no number") },
            Case { main: None, backup: Some("y"), found: Err("\"y\" is no number") },
        ];
        for case in cases {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("topics.json");
            let put = |path: &Path, text: Option<&str>| text.map(|text| std::fs::write(path, text).unwrap());
            put(&path, case.main);
            put(&beside(&path, "bak"), case.backup);
            match (load(&RealDisk, &path, number), case.found) {
                (Ok(found), Ok(expected)) => assert_eq!(found, expected),
                (Err(error), Err(part)) => {
                    let text = error.to_string();
                    assert!(text.contains(part) && text.contains("topics.json"), "{text}");
                }
                (found, expected) => panic!("{found:?} instead of {expected:?}"),
            }
        }
    }

    #[test]
    fn a_save_keeps_the_previous_text_and_not_a_bad_one() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("topics.json");
        save(&RealDisk, &path, "1").unwrap();
        save(&RealDisk, &path, "2").unwrap();
        assert_eq!(std::fs::read_to_string(beside(&path, "bak")).unwrap(), "1");
        std::fs::write(&path, "torn").unwrap();
        assert_eq!(load(&RealDisk, &path, number).unwrap(), Some(1));
        save(&RealDisk, &path, "3").unwrap();
        assert_eq!(load(&RealDisk, &path, number).unwrap(), Some(3));
        assert_eq!(std::fs::read_to_string(beside(&path, "bak")).unwrap(), "1");
        assert_eq!(std::fs::read_to_string(beside(&path, "bad")).unwrap(), "torn");
    }

    #[test]
    fn bytes_that_are_no_text_are_corrupt() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("topics.json");
        std::fs::write(&path, [0xff, 0xfe]).unwrap();
        assert!(matches!(load(&RealDisk, &path, number), Err(TableError::Corrupt { .. })));
    }
}
