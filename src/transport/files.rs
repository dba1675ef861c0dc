//! The files of a host, as its own file service (SFTP) gives them.
//!
//! Paths and names are bytes and go to the host as they are; a relative path begins where the host
//! has its logins begin. All of it is non-blocking. Several of these may be under way at once, as long
//! as they are polled by one task: that is how many small files come to share one round trip.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use thiserror::Error;

use super::Work;
use crate::remote::Content;

/// A host's files.
pub trait Files {
    /// Returns what is at `path`, or behind the link there if it `follows` that; `None` for nothing.
    fn look<'a>(
        &'a self,
        path: &'a Path,
        follows: bool,
    ) -> Work<'a, Result<Option<Attributes>, FileError>>;

    /// Returns the absolute path, with no `.`, `..` or link in it, as far as it exists.
    fn real_path<'a>(&'a self, path: &'a Path) -> Work<'a, Result<PathBuf, FileError>>;

    /// Returns what is in a folder, without `.` and `..`, links not followed. No name is empty or
    /// holds a `/`: one that does is an error.
    fn list<'a>(
        &'a self,
        folder: &'a Path,
    ) -> Work<'a, Result<Vec<(OsString, Attributes)>, FileError>>;

    /// Makes a folder.
    fn make_folder<'a>(&'a self, path: &'a Path, mode: u32) -> Work<'a, Result<(), FileError>>;

    /// Makes a symbolic link at `path` that says `target`.
    fn make_link<'a>(&'a self, path: &'a Path, target: &'a Path)
    -> Work<'a, Result<(), FileError>>;

    /// Returns what a symbolic link says.
    fn read_link<'a>(&'a self, path: &'a Path) -> Work<'a, Result<PathBuf, FileError>>;

    /// Sets what is given; links are followed.
    fn set<'a>(&'a self, path: &'a Path, wanted: Wanted) -> Work<'a, Result<(), FileError>>;

    /// Puts `from` in the place of `to`, whatever is there, so that there is always one of them.
    fn replace<'a>(&'a self, from: &'a Path, to: &'a Path) -> Work<'a, Result<(), FileError>>;

    /// Removes a file or a link.
    fn remove<'a>(&'a self, path: &'a Path) -> Work<'a, Result<(), FileError>>;

    /// Removes an empty folder.
    fn remove_folder<'a>(&'a self, path: &'a Path) -> Work<'a, Result<(), FileError>>;

    /// Writes a file that must not exist yet, with `wanted` set before it is closed, and makes sure
    /// that it is as long as the content. Readable by nobody else until then. `sent` is called with
    /// the bytes of each part that went out. A file that could not be written whole is removed again.
    fn store<'a>(
        &'a self,
        path: &'a Path,
        content: &'a dyn Content,
        wanted: Wanted,
        sent: &'a dyn Fn(u64),
    ) -> Work<'a, Result<(), FileError>>;

    /// Reads a file from `offset` to its end. `sink` is given each part and its place; they come in
    /// order. Returns the place of the end.
    fn fetch<'a>(
        &'a self,
        path: &'a Path,
        offset: u64,
        sink: &'a mut dyn FnMut(&[u8], u64) -> std::io::Result<()>,
    ) -> Work<'a, Result<u64, FileError>>;
}

/// What is known of something in a file system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// What it is.
    pub kind: FileKind,
    /// Length in bytes.
    pub size: u64,
    /// The twelve bits of permissions.
    pub mode: u32,
    /// When it was changed, in seconds since 1970.
    pub modified: u64,
}

/// What something in a file system is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
    /// A device, a socket, a pipe.
    Other,
}

/// What a file is to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Wanted {
    /// The twelve bits of permissions.
    pub mode: Option<u32>,
    /// When it was changed, in seconds since 1970.
    pub modified: Option<u64>,
}

/// Why something could not be done with a file.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct FileError {
    /// What kind of failure it is.
    pub reason: FileReason,
    /// What happened, on one line, without the path; what the host said is fit to be shown.
    pub message: String,
}

/// What kind of failure a [`FileError`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileReason {
    /// There is no such file or folder.
    Missing,
    /// The account may not do that.
    Denied,
    /// The host can't do that at all.
    Unsupported,
    /// The host said no: a full disk, something already there, a folder that isn't empty.
    Refused,
    /// Something on this side: the source can't be read, the sink can't be written.
    Own,
    /// The host has no file service.
    NoService,
    /// The connection is gone, or what came is no answer.
    Lost,
}
