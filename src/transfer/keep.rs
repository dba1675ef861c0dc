//! Files of hosts, written down here: one folder for a host, and nothing outside of it.
//!
//! Paths that were checked and what is to be there come in. Each is reached from the open folder
//! down, part by part, and no link is followed, whoever put it there. A file is written under
//! a hidden name beside its place and has its name when it is whole. What is interrupted is
//! gone on with if it is large (see [`Part`]).

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fmt::Write;
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;

use rustix::fs::{
    self as at, AtFlags, FileType, FlockOperation, Mode, OFlags, Stat, Timespec, Timestamps,
};
use rustix::io::Errno;
use sha2::{Digest, Sha256};

use super::{Found, Trouble};
use crate::host::{HostName, escaped};
use crate::outcome::Kind;
use crate::transport::files::FileKind;

mod part;

pub(super) use part::Part;

/// What ends the name of a file that isn't whole.
const SUFFIX: &[u8] = b".hoist-part";
/// Longest name of a file.
const MAX_NAME_BYTES: usize = 255;
/// Digits that tell one state of a file from another.
const TAG_DIGITS: usize = 16;
/// What a folder has beside its own permissions, so that the next run can write to it.
const OWN_FOLDER: u32 = 0o700;

/// The folder of one host.
pub(super) struct Keep {
    /// `None` where nothing is to be written and it isn't there.
    root: Option<Rc<OwnedFd>>,
    shown: PathBuf,
    /// The folder used last.
    near: Option<(PathBuf, Rc<OwnedFd>)>,
    /// Parts of earlier runs, by folder.
    left: HashMap<PathBuf, Vec<OsString>>,
}

/// Why something was not written.
#[derive(Debug)]
pub(super) enum KeepError {
    /// Something that isn't replaced is in its place.
    InTheWay(&'static str),
    /// What the host does makes no sense.
    Host(&'static str),
    /// What the system said.
    Failed(io::Error),
}

impl From<io::Error> for KeepError {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

impl From<Errno> for KeepError {
    fn from(error: Errno) -> Self {
        Self::Failed(error.into())
    }
}

impl KeepError {
    /// Returns what to report of `path`. A write that failed is hoist's own failure, and ends the work.
    pub(super) fn trouble(self, path: &Path) -> Trouble {
        let path = escaped(&path.to_string_lossy());
        match self {
            Self::InTheWay(what) => Trouble::new(
                Kind::Transfer,
                format!("{path}: {what} is in its place here"),
            ),
            Self::Host(what) => Trouble::new(Kind::Transfer, format!("{path}: {what}")),
            Self::Failed(error) => {
                Trouble::new(Kind::Internal, format!("cannot write {path}: {error}"))
            }
        }
    }
}

impl Keep {
    /// Opens the folder of `host` in `dir`, and makes both if they are not there. One that is being
    /// written to by another run is an error.
    pub(super) fn open(dir: &Path, host: &HostName) -> Result<Self, Trouble> {
        let shown = dir.join(host.as_str());
        let opened = fs::create_dir_all(dir)
            .map_err(KeepError::from)
            .and_then(|()| Ok(at::open(dir, FOLDER, Mode::empty())?))
            .and_then(|dir| {
                make_folder(&dir, OsStr::new(host.as_str()), 0o777)?;
                open_folder(&dir, OsStr::new(host.as_str()))
            });
        let root = opened.map_err(|error| error.trouble(&shown))?;
        if at::flock(&root, FlockOperation::NonBlockingLockExclusive) == Err(Errno::WOULDBLOCK) {
            let message = "another hoist is fetching into it; wait until that has ended";
            let message = format!("{}: {message}", escaped(&shown.to_string_lossy()));
            return Err(Trouble::new(Kind::Internal, message));
        }
        let mut keep = Self::of(Some(root), shown);
        keep.remember_parts(Path::new(""));
        Ok(keep)
    }

    /// Opens the folder of `host`, if it is there, to look only.
    pub(super) fn look_at(dir: &Path, host: &HostName) -> Self {
        let dir_fd = at::open(dir, FOLDER, Mode::empty()).ok();
        let root = dir_fd.and_then(|dir| open_folder(&dir, OsStr::new(host.as_str())).ok());
        Self::of(root, dir.join(host.as_str()))
    }

    fn of(root: Option<OwnedFd>, shown: PathBuf) -> Self {
        Self {
            root: root.map(Rc::new),
            shown,
            near: None,
            left: HashMap::new(),
        }
    }

    /// Returns where something is, for messages.
    pub(super) fn place(&self, path: &Path) -> PathBuf {
        self.shown.join(path)
    }

    /// Returns what is at a path.
    pub(super) fn look(&mut self, path: &Path) -> Result<Option<Stat>, KeepError> {
        let (folder, name) = match self.parent(path) {
            Err(KeepError::Failed(error)) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(None);
            }
            parent => parent?,
        };
        match at::statat(&*folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(there) => Ok(Some(there)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a folder, if it is not there; returns whether it was made. One that is there can be
    /// written to afterwards.
    pub(super) fn make_folder(&mut self, path: &Path) -> Result<bool, KeepError> {
        let (parent, name) = self.parent(path)?;
        let is_new = make_folder(&parent, name, OWN_FOLDER)?;
        let folder = open_folder(&parent, name)?;
        if !is_new {
            let mode = at::fstat(&folder)?.st_mode & 0o777;
            set_mode(&folder, mode | OWN_FOLDER)?;
        }
        self.near = Some((path.to_owned(), Rc::new(folder)));
        if !is_new {
            self.remember_parts(path);
        }
        Ok(is_new)
    }

    /// Gives a folder its permissions and time, when all that is in it is written.
    pub(super) fn finish_folder(&mut self, path: &Path, found: &Found) -> Result<(), KeepError> {
        let folder = self.folder(path)?;
        set_mode(&folder, found.mode & 0o777 | OWN_FOLDER)?;
        set_time(&*folder, found.modified);
        Ok(())
    }

    /// Puts a link there; returns whether it was not there.
    pub(super) fn make_link(&mut self, path: &Path, found: &Found) -> Result<bool, KeepError> {
        let target = found.target.as_deref().unwrap_or(Path::new(""));
        let (folder, name) = self.parent(path)?;
        if in_the_way(&folder, name)? == Some(FileType::Symlink) {
            let says = at::readlinkat(&*folder, name, Vec::new())?;
            if says.as_bytes() == target.as_os_str().as_bytes() {
                return Ok(false);
            }
        }
        let temporary = part_name(name, "link");
        remove(&folder, &temporary)?;
        at::symlinkat(target, &*folder, &temporary)?;
        if let Some(times) = timestamps(found.modified) {
            // What no time can be set on is no worse for it.
            let _ = at::utimensat(&*folder, &temporary, &times, AtFlags::SYMLINK_NOFOLLOW);
        }
        at::renameat(&*folder, &temporary, &*folder, name)?;
        Ok(true)
    }

    /// Gives a file that is there these permissions; returns whether it had others.
    pub(super) fn set_mode(&mut self, path: &Path, mode: u32) -> Result<bool, KeepError> {
        let (folder, name) = self.parent(path)?;
        let there = at::statat(&*folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if there.st_mode & 0o7777 == mode & 0o777 {
            return Ok(false);
        }
        // Not read through its name: a link might be there by now.
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = at::openat(&*folder, name, flags, Mode::empty())?;
        if FileType::from_raw_mode(at::fstat(&file)?.st_mode) != FileType::RegularFile {
            return Ok(false);
        }
        let path = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
        // What belongs to somebody else stays as it is.
        Ok(at::chmod(path, Mode::from_raw_mode(mode & 0o777)).is_ok())
    }

    /// Removes parts of a file that is whole now.
    fn remove_parts(&mut self, path: &Path, folder: &OwnedFd, name: &OsStr) {
        let parent = path.parent().unwrap_or(Path::new(""));
        let Some(left) = self.left.get_mut(parent) else {
            return;
        };
        let any = part_name(name, &"0".repeat(TAG_DIGITS));
        left.retain(|part| {
            let is_own = same_file(part.as_bytes(), any.as_bytes());
            if is_own {
                let _ = remove(folder, part);
            }
            !is_own
        });
    }

    /// Notes what parts are in a folder.
    fn remember_parts(&mut self, path: &Path) {
        let Ok(folder) = self.folder(path) else {
            return;
        };
        let Ok(entries) = at::Dir::read_from(&*folder) else {
            return;
        };
        let names = entries
            .flatten()
            .map(|entry| entry.file_name().to_bytes().to_vec());
        let parts = names.filter(|name| name.ends_with(SUFFIX));
        let parts: Vec<_> = parts.map(OsString::from_vec).collect();
        if !parts.is_empty() {
            self.left.insert(path.to_owned(), parts);
        }
    }

    /// Returns the folder that something is in, and what it is called there.
    fn parent<'p>(&mut self, path: &'p Path) -> Result<(Rc<OwnedFd>, &'p OsStr), KeepError> {
        let name = path.file_name().ok_or(Errno::INVAL)?;
        let folder = self.folder(path.parent().unwrap_or(Path::new("")))?;
        Ok((folder, name))
    }

    /// Opens a folder, from the top down.
    fn folder(&mut self, path: &Path) -> Result<Rc<OwnedFd>, KeepError> {
        let root = self.root.as_ref().ok_or(Errno::NOENT)?;
        if path.as_os_str().is_empty() {
            return Ok(Rc::clone(root));
        }
        if let Some((near, folder)) = &self.near
            && near == path
        {
            return Ok(Rc::clone(folder));
        }
        let mut folder = Rc::clone(root);
        for part in path {
            folder = Rc::new(open_folder(&folder, part)?);
        }
        self.near = Some((path.to_owned(), Rc::clone(&folder)));
        Ok(folder)
    }
}

/// How folders are opened.
const FOLDER: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

fn open_folder(parent: &OwnedFd, name: &OsStr) -> Result<OwnedFd, KeepError> {
    match at::openat(parent, name, FOLDER | OFlags::NOFOLLOW, Mode::empty()) {
        Ok(folder) => Ok(folder),
        // The kernel says either of a link.
        Err(Errno::LOOP | Errno::NOTDIR) => Err(match kind(parent, name)? {
            Some(FileType::Symlink) => KeepError::InTheWay("a link"),
            _ => KeepError::InTheWay("something that is no folder"),
        }),
        Err(error) => Err(error.into()),
    }
}

fn make_folder(parent: &OwnedFd, name: &OsStr, mode: u32) -> Result<bool, KeepError> {
    match at::mkdirat(parent, name, Mode::from_raw_mode(mode)) {
        Ok(()) => Ok(true),
        Err(Errno::EXIST) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Sets what a folder permits, if that is something else. A folder of somebody else stays as it is.
fn set_mode(folder: &OwnedFd, mode: u32) -> Result<(), Errno> {
    if at::fstat(folder)?.st_mode & 0o777 == mode {
        return Ok(());
    }
    match at::fchmod(folder, Mode::from_raw_mode(mode)) {
        Err(Errno::PERM) => Ok(()),
        set => set,
    }
}

/// Returns what is in a place, if it is something that a file or a link may replace.
fn in_the_way(folder: &OwnedFd, name: &OsStr) -> Result<Option<FileType>, KeepError> {
    match kind(folder, name)? {
        Some(FileType::Directory) => Err(KeepError::InTheWay("a folder")),
        Some(kind @ (FileType::RegularFile | FileType::Symlink)) => Ok(Some(kind)),
        Some(_) => Err(KeepError::InTheWay("a device, a socket or a pipe")),
        None => Ok(None),
    }
}

fn kind(folder: &OwnedFd, name: &OsStr) -> Result<Option<FileType>, Errno> {
    match at::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(there) => Ok(Some(FileType::from_raw_mode(there.st_mode))),
        Err(Errno::NOENT) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Removes a file or a link, if there is one.
fn remove(folder: &OwnedFd, name: &OsStr) -> Result<(), Errno> {
    match at::unlinkat(folder, name, AtFlags::empty()) {
        Err(Errno::NOENT) => Ok(()),
        removed => removed,
    }
}

/// Returns what a file is called while it isn't whole. It tells the file's state on the host, and
/// fits however long the name is.
fn part_name(name: &OsStr, tag: &str) -> OsString {
    let room = MAX_NAME_BYTES - SUFFIX.len() - TAG_DIGITS - 2;
    let name = &name.as_bytes()[..name.len().min(room)];
    let parts = [b".", name, b".", tag.as_bytes(), SUFFIX];
    OsString::from_vec(parts.concat())
}

/// Whether two names of parts differ in the state alone.
fn same_file(one: &[u8], other: &[u8]) -> bool {
    let start = one.len().saturating_sub(SUFFIX.len() + TAG_DIGITS);
    one.len() == other.len() && one[..start] == other[..start]
}

/// Returns what tells one state of a file from another.
fn tag(path: &Path, found: &Found) -> String {
    let mut hasher = Sha256::new();
    hasher.update(path.as_os_str().as_bytes());
    hasher.update([0]);
    hasher.update(found.size.to_be_bytes());
    hasher.update(found.modified.unwrap_or_default().to_be_bytes());
    let mut digits = String::with_capacity(TAG_DIGITS);
    for byte in &hasher.finalize()[..TAG_DIGITS / 2] {
        // A String takes all that is written to it.
        let _ = write!(digits, "{byte:02x}");
    }
    digits
}

fn timestamps(modified: Option<u64>) -> Option<Timestamps> {
    let time = Timespec {
        tv_sec: modified?.try_into().ok()?,
        tv_nsec: 0,
    };
    Some(Timestamps {
        last_access: time,
        last_modification: time,
    })
}

/// Sets a time. One that the disk can't keep is left.
fn set_time(file: impl std::os::fd::AsFd, modified: Option<u64>) {
    if let Some(times) = timestamps(modified) {
        let _ = at::futimens(file, &times);
    }
}

/// Whether a file here is the one that was found on a host, as far as length and time tell.
pub(super) fn is_same(here: &Stat, found: &Found) -> bool {
    let is_file = FileType::from_raw_mode(here.st_mode) == FileType::RegularFile;
    let modified = u64::try_from(here.st_mtime).ok();
    let has_time = found.modified.is_some() && modified == found.modified;
    is_file
        && found.kind == FileKind::File
        && has_time
        && u64::try_from(here.st_size) == Ok(found.size)
}
