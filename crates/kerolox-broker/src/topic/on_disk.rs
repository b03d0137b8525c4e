//! What queues on the disk tell of topics, for a start whose table of topics is gone.

use std::io;
use std::path::Path;

use kerolox_store::disk::{Disk, OpenMode};

/// Bytes of one unit of a queue file.
const UNIT_BYTES: usize = 20;
/// Digits of a queue file's name.
const NAME_DIGITS: usize = 20;

/// The topics with messages in the queues below `root`, without those that `is_system` takes.
///
/// # Errors
/// When the disk fails.
pub(crate) fn topics_with_messages(
    disk: &dyn Disk,
    root: &Path,
    is_system: impl Fn(&str) -> bool,
) -> io::Result<Vec<String>> {
    let mut topics = Vec::new();
    for topic in disk.list(root)?.into_iter().filter(|entry| entry.is_dir && !is_system(&entry.name)) {
        if any_message(disk, &root.join(&topic.name))? {
            topics.push(topic.name);
        }
    }
    topics.sort();
    Ok(topics)
}

fn any_message(disk: &dyn Disk, topic: &Path) -> io::Result<bool> {
    for queue in disk.list(topic)?.into_iter().filter(|entry| entry.is_dir && entry.name.parse::<u32>().is_ok()) {
        let folder = topic.join(queue.name);
        for file in disk.list(&folder)?.into_iter().filter(|entry| !entry.is_dir && is_queue_file(&entry.name)) {
            if file.len >= UNIT_BYTES as u64 && begins_with_unit(disk, &folder.join(file.name))? {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

fn is_queue_file(name: &str) -> bool {
    name.len() == NAME_DIGITS && name.bytes().all(|byte| byte.is_ascii_digit())
}

/// A file is made just before its first unit is written, so one that begins with zeros has none.
fn begins_with_unit(disk: &dyn Disk, path: &Path) -> io::Result<bool> {
    let unit = disk.open(path, OpenMode::Read)?.slice(0, UNIT_BYTES)?;
    Ok(unit.iter().any(|byte| *byte != 0))
}

#[cfg(test)]
mod tests {
    use kerolox_store::disk::RealDisk;

    use super::*;

    #[test]
    fn topics_count_once_they_have_a_unit() {
        let folder = tempfile::tempdir().unwrap();
        let put = |path: &str, bytes: &[u8]| {
            let path = folder.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        };
        let file = "0".repeat(20);
        let unit = [&[0; 19][..], &[1]].concat();
        put(&format!("orders/3/{file}"), &unit);
        put(&format!("orders/4/{file}"), &unit);
        put(&format!("made-only/0/{file}"), &[0; 40]);
        put(&format!("short/0/{file}"), &[1; 19]);
        put(&format!("SYSTEM/0/{file}"), &unit);
        put("notes/0/readme.txt", b"hello, this is not a queue file");
        put("stray.txt", b"x");
        let found = |root: &Path| topics_with_messages(&RealDisk, root, |name| name == "SYSTEM").unwrap();
        assert_eq!(found(folder.path()), ["orders"]);
        assert!(found(&folder.path().join("missing")).is_empty());
    }
}
