//! Where the log lies when only some of the paths are set.
//!
//! In RocketMQ 4.7.1 `storePathCommitLog` does not follow `storePathRootDir`: who sets the root alone keeps the log in
//! `$HOME/store/commitlog`, shared by all brokers of the user that do so. Here the log follows the root, unless that
//! would leave the messages of such a broker behind.

use std::fs;
use std::path::{Path, PathBuf};

/// Name of the file of accounts.
const ACCOUNTS: &str = "plain_acl.yml";

/// Which folder is the log's.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct CommitLog {
    /// The folder.
    pub(crate) dir: PathBuf,
    /// What the operator should know.
    pub(crate) warning: Option<String>,
}

/// Chooses the log's folder; `commit_log` is set or empty.
pub(crate) fn commit_log(home: &Path, root: &Path, commit_log: &Path) -> CommitLog {
    let plain = |dir: PathBuf| CommitLog { dir, warning: None };
    if !commit_log.as_os_str().is_empty() {
        return plain(commit_log.to_owned());
    }
    let below_root = root.join("commitlog");
    let of_4_7_1 = home.join("store/commitlog");
    if below_root == of_4_7_1 || holds_segments(&below_root) || !holds_segments(&of_4_7_1) {
        return plain(below_root);
    }
    let (root, below, java) = (root.display(), below_root.display(), of_4_7_1.display());
    if was_used(below_root.parent().unwrap_or(&below_root)) {
        return CommitLog {
            warning: Some(format!(
                "storePathRootDir is set and storePathCommitLog is not: {java} holds log files and {below} does not, so \
                 the log in {java} is used, as RocketMQ 4.7.1 does. Set storePathCommitLog to say which one is meant"
            )),
            dir: of_4_7_1,
        };
    }
    CommitLog {
        warning: Some(format!(
            "storePathRootDir is set and storePathCommitLog is not: {root} is new, so its log goes to {below}. RocketMQ \
             4.7.1 would use the log files in {java}; set storePathCommitLog if these are meant"
        )),
        dir: below_root,
    }
}

/// Chooses the file of accounts. `set` is empty or as RocketMQ has it: a path in its installation folder, with a slash
/// in front. `config` is the configuration file.
pub(crate) fn accounts(home: Option<&Path>, set: &Path, config: Option<&Path>) -> PathBuf {
    if !set.as_os_str().is_empty() {
        let below = home.map(|home| home.join(set.strip_prefix("/").unwrap_or(set)));
        return below.filter(|file| file.exists()).unwrap_or_else(|| set.to_owned());
    }
    let beside = config.map(|file| file.with_file_name(ACCOUNTS));
    let below = home.map(|home| home.join("conf").join(ACCOUNTS));
    let first = beside.clone().filter(|file| file.exists());
    first.or(below).or(beside).unwrap_or_else(|| Path::new("conf").join(ACCOUNTS))
}

/// Whether a broker worked with this root before.
fn was_used(root: &Path) -> bool {
    root.join("checkpoint").exists() || root.join("consumequeue").exists()
}

/// Whether a log file lies here: its name is its first offset, twenty digits.
fn holds_segments(dir: &Path) -> bool {
    let Ok(entries) = fs::read_dir(dir) else { return false };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let bytes = name.as_encoded_bytes();
        bytes.len() == 20 && bytes.iter().all(u8::is_ascii_digit)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(dir: &Path) {
        fs::create_dir_all(dir).unwrap();
        fs::write(dir.join("00000000000000000000"), "").unwrap();
    }

    #[test]
    fn the_log_follows_the_root_and_a_set_folder_always_counts() {
        let dir = tempfile::tempdir().unwrap();
        let (home, root) = (dir.path().join("home"), dir.path().join("root"));
        let none = Path::new("");
        assert_eq!(commit_log(&home, &root, none), CommitLog { dir: root.join("commitlog"), warning: None });
        let default_root = home.join("store");
        segment(&home.join("store/commitlog"));
        assert_eq!(commit_log(&home, &default_root, none).warning, None);
        assert_eq!(commit_log(&home, &root, Path::new("/log")), CommitLog { dir: "/log".into(), warning: None });
    }

    #[test]
    fn a_root_used_by_4_7_1_keeps_its_log_in_the_home_folder_with_a_warning() {
        let dir = tempfile::tempdir().unwrap();
        let (home, root) = (dir.path().join("home"), dir.path().join("root"));
        segment(&home.join("store/commitlog"));
        fs::create_dir_all(root.join("consumequeue")).unwrap();
        let found = commit_log(&home, &root, Path::new(""));
        assert_eq!(found.dir, home.join("store/commitlog"));
        assert!(found.warning.unwrap().contains("Set storePathCommitLog"));
        segment(&root.join("commitlog"));
        assert_eq!(commit_log(&home, &root, Path::new("")), CommitLog { dir: root.join("commitlog"), warning: None });
    }

    #[test]
    fn accounts_lie_beside_the_configuration_or_in_the_installation() {
        let dir = tempfile::tempdir().unwrap();
        let (home, config) = (dir.path().join("home"), dir.path().join("etc/broker.conf"));
        let (none, beside) = (Path::new(""), dir.path().join("etc/plain_acl.yml"));
        let of_home = home.join("conf/plain_acl.yml");
        assert_eq!(accounts(None, none, None), Path::new("conf/plain_acl.yml"));
        assert_eq!(accounts(None, none, Some(&config)), beside);
        assert_eq!(accounts(Some(&home), none, Some(&config)), of_home);
        fs::create_dir_all(dir.path().join("etc")).unwrap();
        fs::write(&beside, "").unwrap();
        assert_eq!(accounts(Some(&home), none, Some(&config)), beside);
        let set = Path::new("/conf/mine.yml");
        assert_eq!(accounts(Some(&home), set, Some(&config)), set);
        fs::create_dir_all(home.join("conf")).unwrap();
        fs::write(home.join("conf/mine.yml"), "").unwrap();
        assert_eq!(accounts(Some(&home), set, Some(&config)), home.join("conf/mine.yml"));
    }

    #[test]
    fn a_new_root_does_not_take_the_log_of_another_broker() {
        let dir = tempfile::tempdir().unwrap();
        let (home, root) = (dir.path().join("home"), dir.path().join("root"));
        segment(&home.join("store/commitlog"));
        let found = commit_log(&home, &root, Path::new(""));
        assert_eq!(found.dir, root.join("commitlog"));
        assert!(found.warning.unwrap().contains("is new"));
    }
}
