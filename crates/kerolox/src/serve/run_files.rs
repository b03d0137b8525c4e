//! Which nodes of this user run: one small file each, believed only as far as `/proc` confirms it.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Variable that names the folder of run files.
const FOLDER_VARIABLE: &str = "KEROLOX_RUN_DIR";

/// A node that says it runs; its file goes when this does.
#[derive(Debug)]
pub(crate) struct RunFile(PathBuf);

impl RunFile {
    /// Leaves word that this process runs as `role`.
    ///
    /// # Errors
    /// When no file can be written; the node runs all the same, but `mqshutdown` does not find it.
    pub(crate) fn leave(role: &str) -> io::Result<Self> {
        let folder = folders().into_iter().next().ok_or_else(|| io::Error::other("there is no home folder"))?;
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let pid = std::process::id();
        let ticks = start_ticks(pid).ok_or_else(|| io::Error::other("/proc does not show this process"))?;
        let path = folder.join(format!("{role}-{pid}"));
        fs::write(&path, format!("{ticks}\n"))?;
        Ok(Self(path))
    }
}

impl Drop for RunFile {
    fn drop(&mut self) {
        // Left behind, it is found to be stale by the next who looks.
        let _ = fs::remove_file(&self.0);
    }
}

/// Whether that process still is the one that left a run file.
pub(crate) fn is_running(pid: u32, role: &str) -> bool {
    running(role).contains(&pid)
}

/// Processes of this user that run as `role`, by number. Files of those that ended are removed on the way.
pub(crate) fn running(role: &str) -> Vec<u32> {
    let mut found: Vec<u32> = folders().iter().flat_map(|folder| running_in(folder, role)).collect();
    found.sort_unstable();
    found.dedup();
    found
}

fn running_in(folder: &Path, role: &str) -> Vec<u32> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut found = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or("");
        let Some(pid) = name.strip_prefix(role).and_then(|rest| rest.strip_prefix('-')?.parse().ok()) else { continue };
        let noted = fs::read_to_string(&path).ok().and_then(|text| text.trim().parse().ok());
        if noted.is_some() && start_ticks(pid) == noted {
            if is_ours(pid, role) {
                found.push(pid);
            }
        } else {
            let _ = fs::remove_file(&path);
        }
    }
    found
}

/// Where run files may lie: a session of a desktop or of systemd has its own folder, `cron` and `su` do not.
fn folders() -> Vec<PathBuf> {
    if let Some(folder) = std::env::var_os(FOLDER_VARIABLE).filter(|folder| !folder.is_empty()) {
        return vec![PathBuf::from(folder)];
    }
    let home = std::env::home_dir().filter(|home| home.is_absolute());
    home.map(|home| home.join(".kerolox/run")).into_iter().collect()
}

/// When a process started, which tells it from a later one of the same number; none when it is gone or a zombie.
fn start_ticks(pid: u32) -> Option<u64> {
    of_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Field 22 of the line; the name in field 2 may hold blanks and brackets.
fn of_stat(line: &str) -> Option<u64> {
    let (_, rest) = line.rsplit_once(')')?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?;
    if state == "Z" || state == "X" {
        return None;
    }
    fields.nth(18)?.parse().ok()
}

/// Whether a process is of this user, and was started as this role.
fn is_ours(pid: u32, role: &str) -> bool {
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let same_user = fs::metadata(&folder).is_ok_and(|meta| meta.uid() == rustix::process::geteuid().as_raw());
    let command = fs::read(folder.join("cmdline")).unwrap_or_default();
    same_user && is_role(&command, role)
}

/// The command line is a program and its words, each ended by a zero byte.
fn is_role(command: &[u8], role: &str) -> bool {
    let mut words = command.split(|byte| *byte == 0);
    let program = words.next().unwrap_or_default();
    let name = program.rsplit(|byte| *byte == b'/').next().unwrap_or_default();
    name.starts_with(b"kerolox") && words.next() == Some(role.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_start_of_a_process_is_read_behind_its_name() {
        let tail = "1 1 1 0 -1 4194304 1 0 0 0 1 0 0 0 20 0 9 0 123456 1 1 1";
        assert_eq!(of_stat(&format!("7 (odd ) name) S {tail}")), Some(123_456));
        assert_eq!(of_stat(&format!("7 (x) Z {tail}")), None);
        assert_eq!(of_stat("nonsense"), None);
        assert!(start_ticks(std::process::id()).is_some());
    }

    #[test]
    fn a_command_line_must_name_program_and_role() {
        assert!(is_role(b"/opt/kerolox/kerolox\0broker\0-c\0x\0", "broker"));
        for other in [&b"/bin/sh\0broker\0"[..], b"kerolox\0namesrv\0", b"kerolox\0", b"", b"vi\0kerolox\0broker\0"] {
            assert!(!is_role(other, "broker"), "{}", String::from_utf8_lossy(other));
        }
    }

    #[test]
    fn files_of_ended_processes_go_and_those_of_strangers_are_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let me = std::process::id();
        let (stale, stranger) = (dir.path().join("broker-999999999"), dir.path().join(format!("broker-{me}")));
        fs::write(&stale, "1\n").unwrap();
        // This process runs, but is no broker.
        fs::write(&stranger, format!("{}\n", start_ticks(me).unwrap())).unwrap();
        assert_eq!(running_in(dir.path(), "broker"), Vec::<u32>::new());
        assert!(!stale.exists() && stranger.exists());
    }
}
