//! Files brought to a host and fetched from it, on the session that also runs commands.
//!
//! What is to be there and a [`Site`], a host at work, come in; a [`Report`] of what was changed goes
//! out, or the [`Trouble`] that kept it from being done. A host's files are reached in one of two
//! [ways](Way): through its file service (SFTP), or by scripts for its `sh`, which also work where there
//! is no such service, and with other rights than the login has. What is decided is the same for
//! both; connections, deadlines and stopping are the engine's.

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::host::{cut, escaped};
use crate::outcome::Kind;
use crate::remote::{Exec, ExitStatus};
use crate::transport::Work;
use crate::transport::files::{FileError, FileKind, Files, Wanted};
use crate::tree::{Hash, Node};

mod elsewhere;
mod get;
mod keep;
mod lanes;
mod owner;
mod put;
mod reach;
mod scripts;
mod service;

pub use get::{Source, get};
pub use put::put;
pub use scripts::Scripts;
pub use service::Service;

/// Most characters of a path that a message shows.
const MAX_SHOWN: usize = 300;

/// A host at work, as the engine lends it.
pub trait Site {
    /// Executes a command and waits for its end; both outputs are kept, up to `max_output` of the
    /// command. It is ended when the run is to stop or its time is up, which is an error then.
    fn run(&mut self, exec: Exec) -> Work<'_, Result<Ran, Trouble>>;

    /// Executes a command whose stdout goes to `sink` as it comes.
    fn stream<'a>(
        &'a mut self,
        exec: Exec,
        sink: &'a mut dyn FnMut(&[u8]) -> std::io::Result<()>,
    ) -> Work<'a, Result<Ran, Trouble>>;

    /// Opens the host's file service.
    fn files(&mut self) -> Work<'_, Result<Box<dyn Files>, FileError>>;

    /// Waits until there is no more time, or the run is to stop. What doesn't go through
    /// [`run`](Self::run) ends then.
    fn over(&self) -> Work<'_, Trouble>;

    /// Notes that something was done: what moves no bytes of files must not be taken for a stall.
    fn progressed(&self);

    /// Returns what counts the bytes of files that go over the connection, `total` in all.
    fn gauge(&self, total: u64) -> Arc<Gauge>;
}

/// Counts the bytes of files on their way, and tells how many there are.
pub struct Gauge {
    bytes: AtomicU64,
    total: u64,
    tell: Box<dyn Fn(u64, u64) + Send + Sync>,
}

impl Gauge {
    /// Returns one that has `tell` called with the bytes so far and in all.
    pub fn new(total: u64, tell: impl Fn(u64, u64) + Send + Sync + 'static) -> Self {
        Self {
            bytes: AtomicU64::new(0),
            total,
            tell: Box::new(tell),
        }
    }

    /// Counts so many more.
    pub fn add(&self, bytes: u64) {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        (self.tell)(before + bytes, self.total);
    }
}

impl fmt::Debug for Gauge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gauge({:?} of {})", self.bytes, self.total)
    }
}

/// A command that came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// How it ended.
    pub exit: ExitStatus,
    /// What it wrote to stdout; empty where that went to a sink.
    pub stdout: Vec<u8>,
    /// What it wrote to stderr.
    pub stderr: Vec<u8>,
}

/// Why a transfer was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// What to report.
    pub kind: Kind,
    /// What happened and how to go on, on one line.
    pub message: String,
    /// Output that tells more, such as that of a failed check.
    pub output: Vec<u8>,
}

impl Trouble {
    /// Returns trouble without output.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            output: Vec::new(),
        }
    }
}

/// What a transfer did on a host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// Whether anything was changed, where that is known.
    pub has_changed: Option<bool>,
    /// A line for each thing that was done, or would be.
    pub lines: Vec<String>,
}

impl Report {
    /// Returns the lines as they are shown.
    pub fn text(&self) -> Vec<u8> {
        self.lines.iter().fold(Vec::new(), |mut text, line| {
            text.extend_from_slice(line.as_bytes());
            text.push(b'\n');
            text
        })
    }
}

/// What is found at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it is.
    pub kind: FileKind,
    /// Length in bytes.
    pub size: u64,
    /// The twelve bits of permissions.
    pub mode: u32,
    /// When it was changed, in seconds since 1970, where that is known.
    pub modified: Option<u64>,
    /// User and group, as numbers, where they are known.
    pub owner: Option<(u32, u32)>,
    /// What a link says.
    pub target: Option<PathBuf>,
}

/// Where the parts of many files go: a file's place in the list, a part, and where in the file it is.
pub type Sink<'a> = &'a mut dyn FnMut(usize, &[u8], u64) -> std::io::Result<()>;

/// A way to a host's files. A relative path begins in the login's home.
pub trait Way {
    /// Returns SHA-256 of each file, in order; `None` where the host can't tell.
    fn hashes<'a>(
        &'a mut self,
        site: &'a mut dyn Site,
        paths: &'a [PathBuf],
    ) -> Work<'a, Result<Vec<Option<Hash>>, Trouble>>;

    /// Returns what is at each path, in order, links not followed; `None` for nothing.
    fn survey<'a>(
        &'a mut self,
        site: &'a mut dyn Site,
        paths: &'a [PathBuf],
    ) -> Work<'a, Result<Vec<Option<Found>>, Trouble>>;

    /// Returns the absolute path with no link in it, of something that exists.
    fn real_path<'a>(
        &'a mut self,
        site: &'a mut dyn Site,
        path: &'a Path,
    ) -> Work<'a, Result<PathBuf, Trouble>>;

    /// Returns all that is in a folder and the folders in it, parents first, links not followed.
    fn below<'a>(
        &'a mut self,
        site: &'a mut dyn Site,
        folder: &'a Path,
    ) -> Work<'a, Result<Vec<(PathBuf, Found)>, Trouble>>;

    /// Returns what is directly in a folder: names, links not followed.
    fn list<'a>(
        &'a mut self,
        site: &'a mut dyn Site,
        folder: &'a Path,
    ) -> Work<'a, Result<Vec<(OsString, Found)>, Trouble>>;

    /// Reads files, each from its offset to its end. Parts of one file come in
    /// order. Returns where each file
    /// ended, or why it could not be read; what the sink can't take ends all of it.
    fn fetch<'a>(
        &'a mut self,
        site: &'a mut dyn Site,
        files: &'a [(PathBuf, u64)],
        sink: Sink<'a>,
    ) -> Work<'a, Result<Vec<Result<u64, Trouble>>, Trouble>>;

    /// Makes the changes, each whole or not at all; those that come first are made first.
    fn apply<'a>(
        &'a mut self,
        site: &'a mut dyn Site,
        changes: &'a Changes<'a>,
        gauge: Arc<Gauge>,
    ) -> Work<'a, Result<(), Trouble>>;
}

/// What is to be changed on a host. Folders come before what is in them.
#[derive(Debug, Clone, Default)]
pub struct Changes<'a> {
    /// In order.
    pub list: Vec<Change>,
    /// `user`, `user:group` or `:group`, for all that is made or changed.
    pub owner: Option<&'a str>,
    /// Keep what is replaced under its name and the time.
    pub backs_up: bool,
    /// Executed when all is changed: where it fails, all is changed back.
    pub check: Option<&'a [OsString]>,
    /// Executed after the check: where it fails, all is changed back and it is executed again.
    pub then: Option<&'a [OsString]>,
}

/// One change.
#[derive(Debug, Clone)]
pub struct Change {
    /// Where.
    pub path: PathBuf,
    /// What is there now.
    pub old: Option<Found>,
    /// What is done.
    pub what: What,
}

/// What is done to a path.
#[derive(Debug, Clone)]
pub enum What {
    /// A file is put there, in the place of a file or a link.
    Store(Arc<Node>, Wanted),
    /// A folder is made.
    MakeFolder(Wanted),
    /// A link is put there, in the place of a file or a link.
    MakeLink(PathBuf),
    /// What is there is given this mode and time.
    Set(Wanted),
    /// The owner is set.
    SetOwner,
    /// A file or a link is removed.
    Remove,
    /// An empty folder is removed.
    RemoveFolder,
}

/// Returns a path as messages show it.
fn shown(path: &Path) -> String {
    format!("`{}`", cut(escaped(&path.to_string_lossy()), MAX_SHOWN))
}
