//! Files of this machine that hosts are to have: looked at once, for all hosts.
//!
//! A path comes in; a [`Tree`] of folders, files and links goes out, parents first and sorted by name.
//! Contents are not kept: a file is read by position whenever a host takes a part of it, and found out
//! if it changes meanwhile. Its hash is made once, when the first host asks for it.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, Metadata};
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rustix::fs::SeekFrom;
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use crate::host::escaped;
use crate::remote::Content;

/// Files that are kept open, of all trees together.
const OPEN_FILES: usize = 64;
/// How much of a file is hashed at once.
const HASH_BYTES: usize = 256 * 1024;

/// SHA-256 of a file's content.
pub type Hash = [u8; 32];

/// A file, or a folder with all that is in it.
#[derive(Debug)]
pub struct Tree {
    /// What it is called on a host; `None` for the contents of a folder.
    pub name: Option<OsString>,
    /// The top, whose path is empty, and what is in it, parents first.
    pub nodes: Vec<Arc<Node>>,
    /// What can't be put on a host and is left out: devices, sockets, pipes.
    pub left_out: Vec<PathBuf>,
}

/// A folder, a file or a link.
#[derive(Debug)]
pub struct Node {
    /// Where it is within the tree.
    pub path: PathBuf,
    /// The twelve bits of permissions.
    pub mode: u32,
    /// When it was changed, in seconds since 1970.
    pub modified: u64,
    /// What it is.
    pub kind: NodeKind,
}

/// What a [`Node`] is.
#[derive(Debug)]
pub enum NodeKind {
    /// A folder.
    Folder,
    /// A symbolic link, and what it says.
    Link(PathBuf),
    /// A file.
    File(Body),
}

/// What is in a file.
#[derive(Debug)]
pub struct Body {
    source: Source,
    length: u64,
    hash: OnceLock<Result<Hash, String>>,
}

#[derive(Debug)]
enum Source {
    Bytes(Arc<[u8]>),
    File { path: PathBuf, seen: Seen },
}

/// What tells whether a file is the one that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Seen {
    device: u64,
    inode: u64,
    length: u64,
    modified: (i64, i64),
}

impl Seen {
    fn of(file: &Metadata) -> Self {
        Self {
            device: file.dev(),
            inode: file.ino(),
            length: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
        }
    }
}

impl Tree {
    /// Looks at `path`. A folder is taken with its name, or, if the path ends with a `/`, only what is
    /// in it. A link is followed if it is the path itself, and kept as a link further down.
    ///
    /// # Errors
    /// When something can't be read; the message names it.
    pub fn read(path: &Path) -> io::Result<Self> {
        let found = fs::metadata(path).map_err(|error| about(path, &error))?;
        let is_contents = path.as_os_str().as_bytes().ends_with(b"/");
        if is_contents && !found.is_dir() {
            return Err(about(path, &io::ErrorKind::NotADirectory.into()));
        }
        let mut tree = Self {
            name: (!is_contents).then(|| name_of(path)).transpose()?,
            nodes: Vec::new(),
            left_out: Vec::new(),
        };
        if !found.is_dir() && !found.is_file() {
            let message = "neither a file nor a folder";
            return Err(about(path, &io::Error::other(message)));
        }
        tree.add(path, Path::new(""), &found)?;
        Ok(tree)
    }

    /// Returns a tree of one file that has this content.
    pub fn of_bytes(name: OsString, bytes: Arc<[u8]>, mode: u32, modified: u64) -> Self {
        let body = Body::of_bytes(bytes);
        let node = Node {
            path: PathBuf::new(),
            mode,
            modified,
            kind: NodeKind::File(body),
        };
        Self {
            name: Some(name),
            nodes: vec![Arc::new(node)],
            left_out: Vec::new(),
        }
    }

    /// Whether it is a folder.
    pub fn is_folder(&self) -> bool {
        let top = self.nodes.first();
        top.is_some_and(|top| matches!(top.kind, NodeKind::Folder))
    }

    fn add(&mut self, from: &Path, path: &Path, found: &Metadata) -> io::Result<()> {
        let kind = if found.is_dir() {
            NodeKind::Folder
        } else if found.is_symlink() {
            NodeKind::Link(fs::read_link(from).map_err(|error| about(from, &error))?)
        } else if found.is_file() {
            // Whether it may be read is found out before anybody is contacted.
            File::open(from).map_err(|error| about(from, &error))?;
            NodeKind::File(Body::of_file(from, found))
        } else {
            self.left_out.push(from.to_owned());
            return Ok(());
        };
        self.nodes.push(Arc::new(Node {
            path: path.to_owned(),
            mode: found.permissions().mode() & 0o7777,
            modified: u64::try_from(found.mtime()).unwrap_or(0),
            kind,
        }));
        if found.is_dir() {
            let entries = fs::read_dir(from).and_then(Iterator::collect::<io::Result<Vec<_>>>);
            let mut entries = entries.map_err(|error| about(from, &error))?;
            entries.sort_by_key(fs::DirEntry::file_name);
            for entry in entries {
                let from = entry.path();
                let found = entry.metadata().map_err(|error| about(&from, &error))?;
                self.add(&from, &path.join(entry.file_name()), &found)?;
            }
        }
        Ok(())
    }
}

impl Node {
    /// Returns the same file with other content.
    #[must_use]
    pub fn with_content(&self, bytes: Arc<[u8]>) -> Self {
        Self {
            path: self.path.clone(),
            mode: self.mode,
            modified: self.modified,
            kind: NodeKind::File(Body::of_bytes(bytes)),
        }
    }
}

/// Returns what something is called; `.` and `..` have names of their own.
fn name_of(path: &Path) -> io::Result<OsString> {
    if let Some(name) = path.file_name() {
        return Ok(name.to_owned());
    }
    let real = fs::canonicalize(path).map_err(|error| about(path, &error))?;
    real.file_name()
        .map(OsStr::to_owned)
        .ok_or_else(|| about(path, &io::Error::other("it has no name; end it with a `/`")))
}

fn about(path: &Path, error: &io::Error) -> io::Error {
    let message = format!("{}: {error}", escaped(&path.to_string_lossy()));
    io::Error::new(error.kind(), message)
}

impl Body {
    fn of_bytes(bytes: Arc<[u8]>) -> Self {
        Self {
            length: bytes.len() as u64,
            source: Source::Bytes(bytes),
            hash: OnceLock::new(),
        }
    }

    /// Returns where the content is read from, where it is a file.
    pub fn path(&self) -> Option<&Path> {
        match &self.source {
            Source::Bytes(_) => None,
            Source::File { path, .. } => Some(path),
        }
    }

    fn of_file(path: &Path, found: &Metadata) -> Self {
        Self {
            source: Source::File {
                path: path.to_owned(),
                seen: Seen::of(found),
            },
            length: found.len(),
            hash: OnceLock::new(),
        }
    }

    /// Returns SHA-256 of the content; made by whoever asks first, which blocks all who ask meanwhile.
    ///
    /// # Errors
    /// Why it can't be read, on one line.
    pub fn hash(&self) -> Result<Hash, String> {
        let made = self.hash.get_or_init(|| {
            let mut hasher = Sha256::new();
            let mut buffer = vec![0; HASH_BYTES];
            let mut offset = 0;
            loop {
                match self.read_at(&mut buffer, offset) {
                    Ok(0) => return Ok(hasher.finalize().into()),
                    Ok(count) => {
                        hasher.update(&buffer[..count]);
                        offset += count as u64;
                    }
                    Err(error) => return Err(error.to_string()),
                }
            }
        });
        made.clone()
    }
}

impl Content for Body {
    fn length(&self) -> u64 {
        self.length
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let left = self.length.saturating_sub(offset);
        let most = usize::try_from(left)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let buffer = &mut buffer[..most];
        match &self.source {
            Source::Bytes(bytes) => {
                let start = usize::try_from(offset)
                    .unwrap_or(usize::MAX)
                    .min(bytes.len());
                buffer.copy_from_slice(&bytes[start..start + most]);
                Ok(most)
            }
            Source::File { path, seen } => {
                if most == 0 {
                    return Ok(0);
                }
                let file = open(path, seen)?;
                let count = Content::read_at(&*file, buffer, offset)?;
                let is_last = offset + count as u64 == self.length;
                if count == 0 || (is_last && Seen::of(&file.metadata()?) != *seen) {
                    return Err(changed(path));
                }
                Ok(count)
            }
        }
    }

    fn data_from(&self, offset: u64) -> Option<Range<u64>> {
        let rest = (offset < self.length).then_some(offset..self.length);
        let Source::File { path, seen } = &self.source else {
            return rest;
        };
        let Ok(file) = open(path, seen) else {
            return rest;
        };
        // Places of the open file don't matter to those who read by position.
        let start = match rustix::fs::seek(&*file, SeekFrom::Data(offset)) {
            Ok(start) if start < self.length => start,
            Ok(_) | Err(Errno::NXIO) => return None,
            Err(_) => return rest,
        };
        let end = rustix::fs::seek(&*file, SeekFrom::Hole(start)).unwrap_or(self.length);
        Some(start..end.min(self.length))
    }
}

fn changed(path: &Path) -> io::Error {
    let error = io::Error::other("it changed while it was read; try again");
    about(path, &error)
}

/// Returns an open file, which others may be reading too.
fn open(path: &Path, seen: &Seen) -> io::Result<Arc<File>> {
    static OPEN: Mutex<Vec<(PathBuf, Seen, Arc<File>)>> = Mutex::new(Vec::new());
    let mut files = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
    let known = files
        .iter()
        .position(|(at, was, _)| was == seen && at == path);
    if let Some(place) = known {
        // The most recently used ones come last.
        files[place..].rotate_left(1);
        return Ok(Arc::clone(&files[files.len() - 1].2));
    }
    let file = File::open(path).map_err(|error| about(path, &error))?;
    if Seen::of(&file.metadata()?) != *seen {
        return Err(changed(path));
    }
    let file = Arc::new(file);
    if files.len() == OPEN_FILES {
        files.remove(0);
    }
    files.push((path.to_owned(), *seen, Arc::clone(&file)));
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;
    use std::os::unix::fs::symlink;

    use super::*;

    fn body(tree: &Tree, path: &str) -> Arc<Node> {
        let mut nodes = tree.nodes.iter();
        Arc::clone(nodes.find(|node| node.path == Path::new(path)).unwrap())
    }

    fn content(node: &Node) -> io::Result<Vec<u8>> {
        let NodeKind::File(body) = &node.kind else {
            panic!("{node:?}")
        };
        let mut all = Vec::new();
        let mut buffer = [0; 7];
        loop {
            match body.read_at(&mut buffer, all.len() as u64)? {
                0 => return Ok(all),
                count => all.extend(&buffer[..count]),
            }
        }
    }

    #[test]
    fn folders_come_before_what_is_in_them() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().join("top");
        let odd = OsString::from_vec(b"odd \n\xff".to_vec());
        fs::create_dir_all(top.join("b/empty")).unwrap();
        fs::write(top.join("b/x"), "some text").unwrap();
        fs::write(top.join(&odd), "").unwrap();
        symlink("/nowhere", top.join("a")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, top.join("fifo"), 0o600.into()).unwrap();
        let tree = Tree::read(&top).unwrap();
        let paths: Vec<_> = tree.nodes.iter().map(|node| node.path.clone()).collect();
        let expected = ["", "a", "b", "b/empty", "b/x"].map(PathBuf::from);
        assert_eq!(paths[..5], expected);
        assert_eq!(paths[5], PathBuf::from(&odd));
        assert_eq!(tree.left_out, [top.join("fifo")]);
        assert_eq!(tree.name, Some("top".into()));
        assert_eq!(content(&body(&tree, "b/x")).unwrap(), b"some text");
        let contents = Tree::read(&folder.path().join("top/")).unwrap();
        assert_eq!(contents.name, None);
        assert!(contents.is_folder());
    }

    #[test]
    fn a_file_that_changes_is_found_out() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, "some text").unwrap();
        let tree = Tree::read(&path).unwrap();
        fs::write(&path, "some").unwrap();
        let error = content(&tree.nodes[0]).unwrap_err().to_string();
        assert!(
            error.ends_with("it changed while it was read; try again"),
            "{error}"
        );
        fs::remove_file(&path).unwrap();
        let tree = Tree::of_bytes("x".into(), b"abc"[..].into(), 0o644, 0);
        assert_eq!(content(&tree.nodes[0]).unwrap(), b"abc");
    }

    #[test]
    fn the_hash_is_that_of_sha256sum() {
        let tree = Tree::of_bytes("x".into(), b"abc"[..].into(), 0o644, 0);
        let NodeKind::File(body) = &tree.nodes[0].kind else {
            panic!()
        };
        let hash = body
            .hash()
            .unwrap()
            .map(|byte| format!("{byte:02x}"))
            .concat();
        assert_eq!(
            hash,
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }

    #[test]
    fn holes_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        let file = File::create(&path).unwrap();
        file.set_len(8 << 30).unwrap();
        std::os::unix::fs::FileExt::write_at(&file, b"x", 5 << 30).unwrap();
        let tree = Tree::read(&path).unwrap();
        let NodeKind::File(body) = &tree.nodes[0].kind else {
            panic!()
        };
        let data = body.data_from(0).unwrap();
        assert!(
            data.contains(&(5 << 30)) && data.end - data.start < 1 << 20,
            "{data:?}"
        );
        assert_eq!(body.data_from(data.end), None);
    }

    #[test]
    fn what_is_not_there_or_no_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let none = Tree::read(&folder.path().join("none")).unwrap_err();
        assert!(none.to_string().contains("/none: No such file"), "{none}");
        assert!(Tree::read(Path::new("/dev/null")).is_err());
        fs::write(folder.path().join("file"), "").unwrap();
        assert!(Tree::read(&folder.path().join("file/")).is_err());
    }
}
