//! Names: what is seen now, what is durable, and the changes between them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

use super::rng::Rng;

/// A file's number; never reused in a world.
pub(super) type FileNumber = u32;

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    Folder,
    File(FileNumber),
}

#[derive(Debug)]
struct Change {
    sequence: u64,
    folder: PathBuf,
    removed: Option<PathBuf>,
    added: Option<(PathBuf, Node)>,
}

/// The name space of the device. After a power cut each folder has lost an arbitrary suffix of
/// its unsynced changes (a rename belongs to the folder of its new name).
#[derive(Debug, Default)]
pub(super) struct Tree {
    live: BTreeMap<PathBuf, Node>,
    durable: BTreeMap<PathBuf, Node>,
    changes: Vec<Change>,
}

impl Tree {
    pub(super) fn node(&self, path: &Path) -> Option<Node> {
        if is_root(path) {
            return Some(Node::Folder);
        }
        self.live.get(path).copied()
    }

    pub(super) fn file(&self, path: &Path) -> io::Result<FileNumber> {
        match self.node(path) {
            Some(Node::File(number)) => Ok(number),
            Some(Node::Folder) => Err(io::ErrorKind::IsADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// All files by path.
    pub(super) fn files(&self) -> impl Iterator<Item = (&PathBuf, FileNumber)> {
        self.live.iter().filter_map(|(path, node)| match node {
            Node::File(number) => Some((path, *number)),
            Node::Folder => None,
        })
    }

    pub(super) fn create(&mut self, sequence: u64, path: &Path, node: Node) -> io::Result<()> {
        self.parent(path)?;
        self.apply(sequence, None, Some((path.to_path_buf(), node)));
        Ok(())
    }

    pub(super) fn create_folders(&mut self, sequence: u64, path: &Path) -> io::Result<()> {
        if let Some(parent) = path.parent()
            && !is_root(parent)
        {
            self.create_folders(sequence, parent)?;
        }
        match self.node(path) {
            Some(Node::Folder) => Ok(()),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => self.create(sequence, path, Node::Folder),
        }
    }

    pub(super) fn rename(&mut self, sequence: u64, from: &Path, to: &Path) -> io::Result<()> {
        let number = self.file(from)?;
        self.parent(to)?;
        if self.node(to) == Some(Node::Folder) {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        let added = (to.to_path_buf(), Node::File(number));
        self.apply(sequence, Some(from.to_path_buf()), Some(added));
        Ok(())
    }

    pub(super) fn remove(&mut self, sequence: u64, path: &Path) -> io::Result<()> {
        self.file(path)?;
        self.apply(sequence, Some(path.to_path_buf()), None);
        Ok(())
    }

    pub(super) fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        if self.node(path) != Some(Node::Folder) {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(self
            .live
            .keys()
            .filter(|name| name.parent() == Some(path))
            .filter_map(|name| name.file_name())
            .map(|name| name.to_string_lossy().into_owned())
            .collect())
    }

    /// A folder sync: its changes up to `sequence` are durable.
    pub(super) fn sync(&mut self, folder: &Path, sequence: u64) {
        let durable = &mut self.durable;
        self.changes.retain(|change| {
            if change.folder != folder || change.sequence > sequence {
                return true;
            }
            settle(durable, change);
            false
        });
    }

    /// The power goes off.
    pub(super) fn cut(&mut self, rng: &mut Rng) {
        let changes = std::mem::take(&mut self.changes);
        let folders: BTreeSet<&PathBuf> = changes.iter().map(|change| &change.folder).collect();
        let mut kept: BTreeMap<&PathBuf, usize> = folders
            .into_iter()
            .map(|folder| {
                let count = changes.iter().filter(|c| c.folder == *folder).count();
                (folder, rng.index(count + 1))
            })
            .collect();
        for change in &changes {
            let left = kept.entry(&change.folder).or_default();
            if *left > 0 {
                *left -= 1;
                settle(&mut self.durable, change);
            }
        }
        self.live = reachable(&self.durable);
        self.durable.clone_from(&self.live);
    }

    /// Whether any name, now or after a power cut, can lead to the file.
    pub(super) fn refers_to(&self, number: FileNumber) -> bool {
        let node = Node::File(number);
        let named = |(_, named): (&PathBuf, &Node)| *named == node;
        self.live.iter().any(named)
            || self.durable.iter().any(named)
            || self
                .changes
                .iter()
                .any(|change| change.added.as_ref().is_some_and(|(_, n)| *n == node))
    }

    fn parent(&self, path: &Path) -> io::Result<()> {
        let parent = path.parent().unwrap_or(Path::new(""));
        match self.node(parent) {
            Some(Node::Folder) => Ok(()),
            Some(Node::File(_)) => Err(io::ErrorKind::NotADirectory.into()),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    fn apply(&mut self, sequence: u64, removed: Option<PathBuf>, added: Option<(PathBuf, Node)>) {
        let name = added.as_ref().map(|(path, _)| path).or(removed.as_ref());
        let folder = name
            .and_then(|path| path.parent())
            .map(Path::to_path_buf)
            .unwrap_or_default();
        let change = Change {
            sequence,
            folder,
            removed,
            added,
        };
        settle(&mut self.live, &change);
        self.changes.push(change);
    }
}

fn settle(names: &mut BTreeMap<PathBuf, Node>, change: &Change) {
    if let Some(path) = &change.removed {
        names.remove(path);
    }
    if let Some((path, node)) = &change.added {
        names.insert(path.clone(), *node);
    }
}

/// What is left when names below folders that do not exist are gone.
fn reachable(names: &BTreeMap<PathBuf, Node>) -> BTreeMap<PathBuf, Node> {
    names
        .iter()
        .filter(|(path, _)| {
            path.ancestors()
                .skip(1)
                .all(|above| is_root(above) || names.get(above) == Some(&Node::Folder))
        })
        .map(|(path, node)| (path.clone(), *node))
        .collect()
}

fn is_root(path: &Path) -> bool {
    path.as_os_str().is_empty() || path == Path::new("/")
}
