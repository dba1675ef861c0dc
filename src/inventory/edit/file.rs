//! The file that is edited: which kinds can be, how it is read, and how it is replaced as a whole.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::Format;
use super::error::EditError;
use crate::host::escaped;
use crate::inventory::document::Document;
use crate::inventory::error::{Flaw, InventoryError};
use crate::inventory::source::{self, MAX_BYTES, is_program};

/// What can be edited.
const EXPECTED: &str = "an ordinary CSV, TSV or text file";

/// A file, and what it held when it was read.
#[derive(Debug)]
pub(super) struct Target {
    /// Name shown in errors, escaped for display.
    pub(super) name: Arc<str>,
    /// As it was given.
    path: PathBuf,
    /// What links lead to.
    place: PathBuf,
    /// `None` for a file that is begun.
    original: Option<Vec<u8>>,
}

impl Target {
    /// Opens `path` and reads the whole content.
    pub(super) fn open(path: &Path) -> Result<(Self, Vec<u8>), EditError> {
        let name: Arc<str> = escaped(&path.to_string_lossy()).into();
        let unsupported = |found: &str| unsupported(&name, found);
        if path == Path::new("-") {
            return Err(unsupported("standard input"));
        }
        let place = match fs::canonicalize(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                if fs::symlink_metadata(path).is_ok() {
                    return Err(unsupported("a link to a file that is not there"));
                }
                None
            }
            found => Some(found.map_err(|error| failed(&name, "find the file", error))?),
        };
        let mut target = Self {
            path: path.to_owned(),
            place: place.clone().unwrap_or_else(|| path.to_owned()),
            original: None,
            name: Arc::clone(&name),
        };
        if place.is_none() {
            if !folder_of(path).is_dir() {
                return Err(EditError::NoFolder {
                    name,
                    folder: escaped(&folder_of(path).display().to_string()).into(),
                });
            }
            return Ok((target, Vec::new()));
        }
        let bytes = target.read()?;
        if is_program(path, &bytes) {
            return Err(unsupported("a program that prints an inventory"));
        }
        target.original = Some(bytes.clone());
        Ok((target, bytes))
    }

    /// Reads what the file holds now.
    fn read(&self) -> Result<Vec<u8>, EditError> {
        let unreadable = |error| failed(&self.name, "read the file", error);
        let kind = fs::metadata(&self.place).map_err(unreadable)?.file_type();
        if !kind.is_file() {
            return Err(unsupported(&self.name, described(kind)));
        }
        // Should it be a pipe by now, nobody has to write before it is opened.
        let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
        let file = OpenOptions::new()
            .read(true)
            .custom_flags(flags)
            .open(&self.place)
            .map_err(unreadable)?;
        let kind = file.metadata().map_err(unreadable)?.file_type();
        if !kind.is_file() {
            return Err(unsupported(&self.name, described(kind)));
        }
        let mut bytes = Vec::new();
        let is_read = file.take(MAX_BYTES as u64 + 1).read_to_end(&mut bytes);
        if is_read.map_err(unreadable)? > MAX_BYTES {
            let found = format!("more than {} MiB", MAX_BYTES >> 20);
            return Err(unsupported(&self.name, &found));
        }
        Ok(bytes)
    }

    /// Returns `bytes` as the text of this file.
    pub(super) fn document(&self, bytes: &[u8]) -> Document {
        Document::new(
            Arc::clone(&self.name),
            Some(self.path.clone()),
            bytes.to_vec(),
        )
    }

    /// Refuses what is no text, in the words of who loads it.
    pub(super) fn check_text(&self, document: &Document) -> Result<(), EditError> {
        let bytes = document.bytes();
        let nul = memchr::memchr(0, bytes);
        if nul.is_none() && std::str::from_utf8(bytes).is_ok() {
            return Ok(());
        }
        source::read_text_file(&self.place).map_err(EditError::Unloadable)?;
        match nul {
            None => Ok(()), // A comment in another encoding is nobody's business.
            Some(offset) => {
                let flaw = Flaw::character('\0', 0, EXPECTED);
                Err(EditError::Unloadable(flaw.at(document.place(offset))))
            }
        }
    }

    /// Whether the file does not hold `bytes`.
    pub(super) fn is_other(&self, bytes: &[u8]) -> bool {
        self.original.as_deref().unwrap_or_default() != bytes
    }

    /// Puts `bytes` in the place of what the file holds.
    pub(super) fn replace(&mut self, bytes: &[u8]) -> Result<(), EditError> {
        let name = &self.name;
        let unwritable = |error| failed(name, "write the file", error);
        if self.original.is_some() {
            let may_write = rustix::fs::access(&self.place, rustix::fs::Access::WRITE_OK);
            may_write.map_err(|error| match error {
                rustix::io::Errno::NOENT => self.changed(),
                error => unwritable(error.into()),
            })?;
        }
        let folder = folder_of(&self.place);
        let mut file = tempfile::Builder::new()
            .prefix(".hoist-")
            .permissions(Permissions::from_mode(0o666)) // the umask takes its part
            .tempfile_in(folder)
            .map_err(unwritable)?;
        file.write_all(bytes).map_err(unwritable)?;
        if self.original.is_some() {
            let metadata = fs::metadata(&self.place).map_err(|_| self.changed())?;
            keep_rights(file.as_file(), &metadata).map_err(unwritable)?;
        }
        file.as_file().sync_all().map_err(unwritable)?;
        if let Some(original) = &self.original {
            if self.read().map_err(|_| self.changed())? != *original {
                return Err(self.changed());
            }
            let moved = file.persist(&self.place);
            moved.map_err(|error| unwritable(error.error))?;
        } else {
            let moved = file.persist_noclobber(&self.place);
            moved.map_err(|error| match error.error.kind() {
                ErrorKind::AlreadyExists => self.changed(),
                _ => unwritable(error.error),
            })?;
        }
        self.original = Some(bytes.to_vec());
        // The file is in its place; only its name could still get lost.
        let synced = File::open(folder).and_then(|folder| folder.sync_all());
        synced.map_err(|error| failed(&self.name, "sync the folder", error))
    }

    fn changed(&self) -> EditError {
        EditError::Changed {
            name: Arc::clone(&self.name),
        }
    }
}

/// Gives `file` mode and owner of the one it replaces, as far as the system lets us.
fn keep_rights(file: &File, old: &fs::Metadata) -> io::Result<()> {
    let new = file.metadata()?;
    let mut mode = old.mode() & 0o777;
    if (new.uid(), new.gid()) != (old.uid(), old.gid())
        && fchown(file, Some(old.uid()), Some(old.gid())).is_err()
        && fchown(file, None, Some(old.gid())).is_err()
    {
        // What one group was allowed must not become another's.
        mode &= !0o070;
    }
    file.set_permissions(Permissions::from_mode(mode))
}

/// Tells the format, as loading does, and refuses those that can't be edited.
pub(super) fn format(target: &Target, document: &Document) -> Result<Format, EditError> {
    match source::format(document) {
        Ok(source::Format::Text) => Ok(Format::Text),
        Ok(source::Format::Csv) => Ok(Format::Csv),
        Ok(source::Format::Tsv) => Ok(Format::Tsv),
        Ok(source::Format::Json) => Err(unsupported(&target.name, "JSON")),
        Err(InventoryError::Unsupported { found, .. }) => Err(unsupported(&target.name, &found)),
        Err(error) => Err(EditError::Unloadable(error)),
    }
}

fn described(kind: fs::FileType) -> &'static str {
    if kind.is_dir() {
        "a folder"
    } else if kind.is_fifo() {
        "a pipe"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

fn unsupported(name: &Arc<str>, found: &str) -> EditError {
    EditError::Unsupported {
        name: Arc::clone(name),
        found: found.to_owned(),
        expected: EXPECTED,
    }
}

fn failed(name: &Arc<str>, action: &'static str, error: io::Error) -> EditError {
    EditError::Io {
        name: Arc::clone(name),
        action,
        error,
    }
}
