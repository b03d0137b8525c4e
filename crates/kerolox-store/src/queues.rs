//! All queues of a store, found by topic and number.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kerolox_wire::names::{QueueId, TopicName};
use papaya::{Equivalent, HashMap};
use parking_lot::Mutex;

use crate::consume_queue::{Files, Place, Queue, UNIT_SIZE, parse_file_name};
use crate::disk::{DirEntry, Disk};

/// The setting that decides the size of queue files.
const FILE_SIZE_SETTING: &str = "mappedFileSizeConsumeQueue";

/// Why the files of queues or index cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A file was made with another setting, or cut.
    #[error("{} is {len} bytes long, but with the present {setting} it must be {expected}", file.display())]
    WrongSize {
        /// The file.
        file: PathBuf,
        /// Its length.
        len: u64,
        /// The length it should have.
        expected: u64,
        /// Setting that decides the length.
        setting: &'static str,
    },
    /// The disk failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// What the disk said.
        source: io::Error,
    },
}

impl LoadError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_path_buf();
        move |source| Self::Io { path, source }
    }
}

/// All queues of a store. Looking one up takes no lock.
pub struct Queues {
    place: Arc<Place>,
    map: HashMap<Key, Arc<Queue>>,
    strangers: Vec<PathBuf>,
    deleted: Mutex<Deletions>,
}

/// What deletions leave to be done or to be known.
#[derive(Default)]
struct Deletions {
    /// Where in the log each topic was deleted that dispatch has not passed yet: records before belong to no queue.
    at: BTreeMap<TopicName, u64>,
    /// Deleted queues whose files are still there.
    doomed: Vec<Arc<Queue>>,
}

/// Names and ends of all queues in two numbers, by which a mark knows the queues it was made beside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct QueueSum {
    names: u32,
    ends: u32,
}

impl QueueSum {
    /// The sum as a mark keeps it.
    pub(crate) const fn to_bits(self) -> u64 {
        (self.names as u64) << 32 | self.ends as u64
    }

    /// The sum that a mark has kept.
    #[allow(clippy::cast_possible_truncation, reason = "the two halves of the number")]
    pub(crate) const fn from_bits(bits: u64) -> Self {
        Self { names: (bits >> 32) as u32, ends: bits as u32 }
    }

    /// Adds what one queue or several add.
    pub(crate) const fn plus(self, other: Self) -> Self {
        Self { names: self.names.wrapping_add(other.names), ends: self.ends.wrapping_add(other.ends) }
    }

    /// Whether the same queues are there, wherever they end.
    pub(crate) const fn same_names(self, other: Self) -> bool {
        self.names == other.names
    }
}

impl Queues {
    /// Finds the queues under `root` (the folder `consumequeue`); `file_size` is rounded up to whole units. Their ends
    /// are unknown until `recover` is called on each.
    ///
    /// # Errors
    /// When a file has another size than `file_size` says, or the disk fails. Anything else that does not belong there
    /// is left alone and reported.
    pub fn load(disk: Arc<dyn Disk>, root: &Path, file_size: u64) -> Result<Self, LoadError> {
        let file_size = file_size.max(1).div_ceil(UNIT_SIZE).saturating_mul(UNIT_SIZE);
        let place = Arc::new(Place::new(disk, root, file_size));
        let mut queues = Self { place, map: HashMap::new(), strangers: Vec::new(), deleted: Mutex::default() };
        for (path, entry) in queues.list(root)? {
            match TopicName::parse(&entry.name) {
                Ok(topic) if entry.is_dir => queues.load_topic(&path, &topic)?,
                _ => queues.strangers.push(path),
            }
        }
        for path in &queues.strangers {
            tracing::warn!(path = %path.display(), "not a queue's file or folder; left alone");
        }
        Ok(queues)
    }

    /// What was found under the root that is no queue's.
    #[must_use]
    pub fn strangers(&self) -> &[PathBuf] {
        &self.strangers
    }

    /// The queue, if there is one.
    #[must_use]
    pub fn get(&self, topic: &TopicName, id: QueueId) -> Option<Arc<Queue>> {
        self.map.pin().get(&KeyRef { topic, id }).cloned()
    }

    /// The queue, made when missing. It has no file until its first unit.
    #[must_use]
    pub fn get_or_create(&self, topic: &TopicName, id: QueueId) -> Arc<Queue> {
        let map = self.map.pin();
        if let Some(queue) = map.get(&KeyRef { topic, id }) {
            return queue.clone();
        }
        // Held until the queue is known: a deletion meanwhile would miss it.
        let deleted = self.deleted.lock();
        let born_at = deleted.at.get(topic).copied().unwrap_or(0);
        let fresh = || Arc::new(Queue::new(topic.clone(), id, self.place.clone(), Files::default(), born_at));
        map.get_or_insert_with(Key { topic: topic.clone(), id }, fresh).clone()
    }

    /// All queues, in no particular order.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Queue>> {
        self.map.pin().values().cloned().collect()
    }

    /// The queues of one topic.
    #[must_use]
    pub fn of_topic(&self, topic: &TopicName) -> Vec<Arc<Queue>> {
        self.map.pin().values().filter(|queue| queue.topic() == topic).cloned().collect()
    }

    /// A handle of a name that is no queue of this store: for records that take no place in any.
    pub(crate) fn detached(&self, topic: &TopicName) -> Arc<Queue> {
        Arc::new(Queue::new(topic.clone(), QueueId::new(0), self.place.clone(), Files::default(), 0))
    }

    /// Deletes the queues of a topic at a log offset: records before it no longer enter a queue of this name, those
    /// behind it enter new ones. The files go with [`Self::finish_deletions`]. Called under the append lock, or while
    /// nothing is appended. Returns whether there were any.
    pub(crate) fn delete(&self, topic: &TopicName, at: u64) -> bool {
        let mut deleted = self.deleted.lock();
        let own = self.of_topic(topic).into_iter().filter(|queue| queue.born_at() < at || at == 0);
        let own: Vec<_> = own.collect();
        // An older deletion may be met in the log while a newer one is known already.
        let last = deleted.at.entry(topic.clone()).or_default();
        *last = (*last).max(at);
        for queue in &own {
            queue.set_deleted();
            self.map.pin().remove(&KeyRef { topic, id: queue.id() });
        }
        let any = !own.is_empty();
        deleted.doomed.extend(own);
        any
    }

    /// Forgets where topics were deleted before `passed`, a log offset that dispatch has reached.
    pub(crate) fn forget_deletions(&self, passed: u64) {
        self.deleted.lock().at.retain(|_, at| *at >= passed);
    }

    /// Removes the files of deleted queues. Until it succeeds, no unit of a queue of the same name may be written.
    ///
    /// # Errors
    /// When the disk fails; the next call goes on.
    pub(crate) fn finish_deletions(&self) -> io::Result<()> {
        let mut deleted = self.deleted.lock();
        if deleted.doomed.is_empty() {
            return Ok(());
        }
        while let Some(queue) = deleted.doomed.last() {
            queue.destroy()?;
            let folder = self.place.root.join(queue.topic().as_str());
            if self.place.disk.exists(&folder) {
                self.place.disk.sync_dir(&folder)?;
                if self.place.disk.list(&folder)?.is_empty() {
                    self.place.disk.remove_dir(&folder)?;
                }
            }
            deleted.doomed.pop();
        }
        // A topic of the same name may be made anew: nothing of this one may come back then.
        if self.place.disk.exists(&self.place.root) { self.place.disk.sync_dir(&self.place.root) } else { Ok(()) }
    }

    /// Names and ends of all queues, and what each adds to them.
    pub(crate) fn sum(&self) -> (QueueSum, Vec<(Arc<Queue>, u64)>) {
        let each: Vec<_> = self.all().into_iter().map(|queue| (queue.checksum(), queue)).collect();
        let sum = each.iter().fold(QueueSum::default(), |sum, (own, _)| sum.plus(QueueSum::from_bits(*own)));
        (sum, each.into_iter().map(|(own, queue)| (queue, own)).collect())
    }

    /// Closes descriptors that no queue used since the last call.
    pub fn close_idle(&self) {
        for queue in self.map.pin().values() {
            queue.close_idle();
        }
    }

    fn load_topic(&mut self, folder: &Path, topic: &TopicName) -> Result<(), LoadError> {
        for (path, entry) in self.list(folder)? {
            match parse_queue_id(&entry.name) {
                Some(id) if entry.is_dir => {
                    let files = self.load_files(&path)?;
                    let queue = Queue::new(topic.clone(), id, self.place.clone(), files, 0);
                    self.map.pin().insert(Key { topic: topic.clone(), id }, Arc::new(queue));
                }
                _ => self.strangers.push(path),
            }
        }
        Ok(())
    }

    /// The newest run of files without holes.
    fn load_files(&mut self, folder: &Path) -> Result<Files, LoadError> {
        let size = self.place.file_size;
        let mut found = Vec::new();
        for (path, entry) in self.list(folder)? {
            match parse_file_name(&entry.name) {
                Some(start) if !entry.is_dir && start.is_multiple_of(size) => found.push((start, path, entry.len)),
                Some(_) if !entry.is_dir && entry.len != size => return Err(self.wrong_size(path, entry.len)),
                _ => self.strangers.push(path),
            }
        }
        found.sort_unstable();
        if let Some(first) = found.iter().position(|(_, _, len)| *len == 0) {
            // A crash came before the file was synced. What is behind it has lost its place; all is made anew.
            for (_, path, _) in found.drain(first..) {
                tracing::warn!(path = %path.display(), "queue file without content, or behind one, removed");
                self.place.disk.remove(&path).map_err(LoadError::io(&path))?;
            }
        }
        let mut files = Files::default();
        while let Some((start, path, len)) = found.pop() {
            if len != size {
                return Err(self.wrong_size(path, len));
            }
            if files.is_empty() {
                files = Files::found(start, 1);
            } else if start.checked_add(size) == Some(files.first()) {
                files = Files::found(start, files.count().saturating_add(1));
            } else {
                self.strangers.push(path);
            }
        }
        Ok(files)
    }

    fn wrong_size(&self, file: PathBuf, len: u64) -> LoadError {
        LoadError::WrongSize { file, len, expected: self.place.file_size, setting: FILE_SIZE_SETTING }
    }

    fn list(&self, folder: &Path) -> Result<Vec<(PathBuf, DirEntry)>, LoadError> {
        let entries = self.place.disk.list(folder).map_err(LoadError::io(folder))?;
        Ok(entries.into_iter().map(|entry| (folder.join(&entry.name), entry)).collect())
    }
}

/// A queue id in its only spelling.
fn parse_queue_id(name: &str) -> Option<QueueId> {
    let id = QueueId::from_wire(name.parse().ok()?)?;
    (id.to_string() == name).then_some(id)
}

#[derive(PartialEq, Eq)]
struct Key {
    topic: TopicName,
    id: QueueId,
}

/// A key to look up with, which costs no copy of the name.
struct KeyRef<'a> {
    topic: &'a TopicName,
    id: QueueId,
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        KeyRef { topic: &self.topic, id: self.id }.hash(state);
    }
}

impl Hash for KeyRef<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.topic.hash(state);
        self.id.hash(state);
    }
}

impl Equivalent<Key> for KeyRef<'_> {
    fn equivalent(&self, key: &Key) -> bool {
        self.id == key.id && *self.topic == key.topic
    }
}

#[cfg(test)]
mod tests {
    use kerolox_wire::names::QueueOffset;

    use super::*;
    use crate::consume_queue::Unit;
    use crate::disk::RealDisk;

    fn load(root: &Path) -> Result<Queues, LoadError> {
        Queues::load(Arc::new(RealDisk), root, 150)
    }

    fn topic(name: &str) -> TopicName {
        TopicName::parse(name).unwrap()
    }

    fn fill(queues: &Queues, name: &str, id: u32) {
        let unit = Unit { log_offset: 0, size: 9, tags_code: 0 };
        queues.get_or_create(&topic(name), QueueId::new(id)).append(QueueOffset::ZERO, &[unit]).unwrap();
    }

    #[test]
    fn queues_are_found_again_by_topic_and_number() {
        let dir = tempfile::tempdir().unwrap();
        let queues = load(dir.path()).unwrap();
        fill(&queues, "A", 0);
        fill(&queues, "A", 7);
        fill(&queues, "%RETRY%g", 0);
        let idle = queues.get_or_create(&topic("B"), QueueId::new(1));
        assert!(Arc::ptr_eq(&idle, &queues.get_or_create(&topic("B"), QueueId::new(1))));
        let queues = load(dir.path()).unwrap();
        assert_eq!(queues.all().len(), 3, "a queue without units has no file");
        assert!(queues.get(&topic("A"), QueueId::new(7)).is_some());
        assert!(queues.get(&topic("A"), QueueId::new(1)).is_none());
        // The size is rounded up to whole units.
        assert_eq!(std::fs::metadata(dir.path().join("A/7/00000000000000000000")).unwrap().len(), 160);
    }

    #[test]
    fn a_file_of_another_size_is_an_error_that_names_the_setting() {
        let dir = tempfile::tempdir().unwrap();
        fill(&load(dir.path()).unwrap(), "A", 0);
        let error = Queues::load(Arc::new(RealDisk), dir.path(), 200).err().unwrap().to_string();
        for part in ["A/0/00000000000000000000", "160", "200", "mappedFileSizeConsumeQueue"] {
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn strangers_are_reported_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fill(&load(dir.path()).unwrap(), "A", 0);
        for folder in ["no\\topic", "A/x", "A/00", "A/-1", "A/0/folder"] {
            std::fs::create_dir_all(dir.path().join(folder)).unwrap();
        }
        std::fs::write(dir.path().join(".DS_Store"), "x").unwrap();
        std::fs::write(dir.path().join("A/0/note.txt"), "x").unwrap();
        std::fs::write(dir.path().join("A/0/00000000000000000640"), [0; 160]).unwrap();
        let queues = load(dir.path()).unwrap();
        assert_eq!(queues.all().len(), 1);
        // A file apart from the others: the newest run counts, the first file is apart.
        assert_eq!(queues.strangers().len(), 8, "{:?}", queues.strangers());
        assert!(dir.path().join("A/0/note.txt").exists());
    }

    #[test]
    fn an_empty_last_file_is_what_a_crash_leaves() {
        let dir = tempfile::tempdir().unwrap();
        fill(&load(dir.path()).unwrap(), "A", 0);
        let path = dir.path().join("A/0/00000000000000000160");
        std::fs::write(&path, []).unwrap();
        let queues = load(dir.path()).unwrap();
        assert!(!path.exists());
        assert_eq!(queues.get(&topic("A"), QueueId::new(0)).unwrap().recover().unwrap(), 9);
    }

    #[test]
    fn topics_are_removed_with_their_folders() {
        let dir = tempfile::tempdir().unwrap();
        let queues = load(dir.path()).unwrap();
        for (name, id) in [("A", 0), ("A", 1), ("B", 0)] {
            fill(&queues, name, id);
        }
        assert!(queues.delete(&topic("A"), 9));
        queues.finish_deletions().unwrap();
        assert!(!dir.path().join("A").exists());
        assert_eq!(queues.all().len(), 1);
        fill(&queues, "A", 1);
        assert_eq!(load(dir.path()).unwrap().all().len(), 1, "a record from before the deletion enters no queue");
        queues.forget_deletions(10);
        let unit = Unit { log_offset: 9, size: 9, tags_code: 0 };
        queues.get_or_create(&topic("A"), QueueId::new(1)).append(QueueOffset::ZERO, &[unit]).unwrap();
        assert_eq!(load(dir.path()).unwrap().all().len(), 2);
    }
}
