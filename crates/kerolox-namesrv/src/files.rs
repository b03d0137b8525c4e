//! Small files that are replaced as a whole: the new text is complete on disk before it takes the old one's place.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Replaces the file's text; the previous one is kept beside it as `.bak`.
pub(crate) fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let fresh = beside(path, ".tmp");
    let mut file = File::create(&fresh)?;
    file.write_all(text)?;
    file.sync_all()?;
    match fs::read(path) {
        Ok(old) => fs::write(beside(path, ".bak"), old)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    fs::rename(&fresh, path)?;
    // The rename itself is on disk once the folder is.
    File::open(folder)?.sync_all()
}

/// The file's text, or none when there is no file or an empty one.
pub(crate) fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    match fs::read(path) {
        Ok(text) if text.is_empty() => Ok(None),
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The path with `ending` put behind its name.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_previous_text_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("deep/er/kv.json");
        assert_eq!(read(&path).unwrap(), None);
        replace(&path, b"one").unwrap();
        replace(&path, b"two").unwrap();
        assert_eq!(read(&path).unwrap().unwrap(), b"two");
        assert_eq!(read(&beside(&path, ".bak")).unwrap().unwrap(), b"one");
        assert!(!beside(&path, ".tmp").exists());
    }
}
