//! Files that are replaced as a whole.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Replaces a file, so that a crash leaves the old one or the new one; only this user may read it. Makes its folder.
/// Two at once for the same file are the caller's to prevent.
pub(crate) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder)?;
    }
    let beside = path.with_extension("tmp");
    let _stale = fs::remove_file(&beside);
    let mut out = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    out.write_all(bytes)?;
    out.sync_all()?;
    fs::rename(&beside, path)
}
