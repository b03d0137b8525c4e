//! Names: the folders as processes see them, the folders as they are on the disk, and the changes between the two.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path};
use std::sync::Arc;

use parking_lot::Mutex;

use super::inode::Inode;
use super::random::Random;

/// One file, shared by its names and by those that have it open.
pub(super) type SharedInode = Arc<Mutex<Inode>>;
/// Number of a folder; the root is 0.
type DirId = usize;
const ROOT: DirId = 0;

/// What a name stands for.
#[derive(Clone)]
pub(super) enum Node {
    File(SharedInode),
    Dir(DirId),
}

/// All names of the disk.
pub(super) struct Tree {
    /// Folders by number; a removed folder keeps its number and cannot be reached.
    dirs: Vec<Dir>,
    /// Changes that no sync of a folder has made durable, oldest first.
    pending: Vec<Change>,
}

#[derive(Default)]
struct Dir {
    live: BTreeMap<OsString, Node>,
    durable: BTreeMap<OsString, Node>,
}

/// Entries that change together: a power loss keeps all of them or none.
struct Change(Vec<Entry>);

/// A name and what it stands for after the change.
#[derive(Clone)]
struct Entry {
    dir: DirId,
    name: OsString,
    node: Option<Node>,
}

impl Tree {
    pub(super) fn new() -> Self {
        Self { dirs: vec![Dir::default()], pending: Vec::new() }
    }

    pub(super) fn node(&self, path: &Path) -> Option<Node> {
        let mut node = Node::Dir(ROOT);
        for name in names(path) {
            let Node::Dir(dir) = node else { return None };
            node = self.dirs.get(dir)?.live.get(name)?.clone();
        }
        Some(node)
    }

    pub(super) fn file(&self, path: &Path) -> io::Result<SharedInode> {
        match self.node(path) {
            Some(Node::File(inode)) => Ok(inode),
            Some(Node::Dir(_)) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(not_found(path)),
        }
    }

    fn dir(&self, path: &Path) -> io::Result<DirId> {
        match self.node(path) {
            Some(Node::Dir(dir)) => Ok(dir),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(not_found(path)),
        }
    }

    /// The entries of a folder; none when it is missing.
    pub(super) fn entries(&self, path: &Path) -> io::Result<Vec<(OsString, Node)>> {
        match self.dir(path) {
            Ok(dir) => Ok(self.live(dir).map(|(name, node)| (name.clone(), node.clone())).collect()),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            Err(e) => Err(e),
        }
    }

    fn live(&self, dir: DirId) -> impl Iterator<Item = (&OsString, &Node)> {
        self.dirs.get(dir).into_iter().flat_map(|dir| dir.live.iter())
    }

    /// Whether a folder has to be made so that the path is one.
    pub(super) fn lacks_dir(&self, path: &Path) -> bool {
        !matches!(self.node(path), Some(Node::Dir(_)))
    }

    /// Creates a folder and those above it; with `durable`, their names need no sync.
    pub(super) fn create_dir_all(&mut self, path: &Path, durable: bool) -> io::Result<()> {
        let mut dir = ROOT;
        for name in names(path) {
            dir = match self.dirs.get(dir).and_then(|dir| dir.live.get(name)).cloned() {
                Some(Node::Dir(inner)) => inner,
                Some(Node::File(_)) => return Err(io::ErrorKind::NotADirectory.into()),
                None => {
                    let inner = self.dirs.len();
                    self.dirs.push(Dir::default());
                    self.change(vec![Entry { dir, name: name.to_owned(), node: Some(Node::Dir(inner)) }]);
                    if durable && let Some(change) = self.pending.pop() {
                        self.persist(&change);
                    }
                    inner
                }
            };
        }
        Ok(())
    }

    /// Gives a file a name; a file that had it loses it first.
    pub(super) fn link(&mut self, path: &Path, inode: SharedInode) -> io::Result<()> {
        let entry = self.entry(path)?;
        match self.node(path) {
            Some(Node::Dir(_)) => return Err(io::ErrorKind::IsADirectory.into()),
            Some(Node::File(_)) => self.change(vec![entry.clone()]),
            None => {}
        }
        self.change(vec![Entry { node: Some(Node::File(inode)), ..entry }]);
        Ok(())
    }

    pub(super) fn remove_file(&mut self, path: &Path) -> io::Result<()> {
        self.file(path)?;
        let entry = self.entry(path)?;
        self.change(vec![entry]);
        Ok(())
    }

    pub(super) fn remove_dir(&mut self, path: &Path) -> io::Result<()> {
        let dir = self.dir(path)?;
        if self.live(dir).next().is_some() {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
        let entry = self.entry(path)?;
        self.change(vec![entry]);
        Ok(())
    }

    /// Both names change together.
    pub(super) fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        let node = self.node(from).ok_or_else(|| not_found(from))?;
        let (old, new) = (self.entry(from)?, self.entry(to)?);
        if matches!(self.node(to), Some(Node::Dir(_))) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        self.change(vec![old, Entry { node: Some(node), ..new }]);
        Ok(())
    }

    /// Makes the entries of one folder durable. It may still be lost with the entry of the folder itself.
    pub(super) fn sync_dir(&mut self, path: &Path) -> io::Result<()> {
        let dir = self.dir(path)?;
        for change in std::mem::take(&mut self.pending) {
            if change.0.iter().any(|entry| entry.dir == dir) {
                self.persist(&change);
            } else {
                self.pending.push(change);
            }
        }
        Ok(())
    }

    /// Drops the changes that are not durable: all of them, or those that `torn` picks.
    pub(super) fn lose_power(&mut self, mut torn: Option<&mut Random>) {
        for change in std::mem::take(&mut self.pending) {
            if torn.as_deref_mut().is_some_and(Random::coin) {
                self.persist(&change);
            }
        }
        for dir in &mut self.dirs {
            dir.live = dir.durable.clone();
        }
    }

    /// Every file that has a name, once.
    pub(super) fn each_file(&self, mut visit: impl FnMut(&mut Inode)) {
        let mut seen = BTreeSet::new();
        let mut dirs = vec![ROOT];
        while let Some(dir) = dirs.pop() {
            for (_, node) in self.live(dir) {
                match node {
                    Node::Dir(inner) => dirs.push(*inner),
                    Node::File(inode) if seen.insert(Arc::as_ptr(inode).addr()) => visit(&mut inode.lock()),
                    Node::File(_) => {}
                }
            }
        }
    }

    /// The entry of a name, standing for nothing.
    fn entry(&self, path: &Path) -> io::Result<Entry> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        let dir = self.dir(path.parent().unwrap_or(Path::new("")))?;
        Ok(Entry { dir, name, node: None })
    }

    fn change(&mut self, entries: Vec<Entry>) {
        for entry in &entries {
            if let Some(dir) = self.dirs.get_mut(entry.dir) {
                apply(&mut dir.live, entry);
            }
        }
        self.pending.push(Change(entries));
    }

    fn persist(&mut self, change: &Change) {
        for entry in &change.0 {
            if let Some(dir) = self.dirs.get_mut(entry.dir) {
                apply(&mut dir.durable, entry);
            }
        }
    }
}

fn apply(entries: &mut BTreeMap<OsString, Node>, entry: &Entry) {
    match &entry.node {
        Some(node) => drop(entries.insert(entry.name.clone(), node.clone())),
        None => drop(entries.remove(&entry.name)),
    }
}

fn names(path: &Path) -> impl Iterator<Item = &OsStr> {
    path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name),
        _ => None,
    })
}

pub(super) fn not_found(path: &Path) -> io::Error {
    io::Error::new(io::ErrorKind::NotFound, path.display().to_string())
}
