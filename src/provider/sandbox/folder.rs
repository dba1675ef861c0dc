//! The sandbox on disk: a folder for each server, its record in it.
//!
//! A folder gets its name when everything is in it and loses it before anything is taken out, so
//! what has a server's name is whole. What a killed hoist left half made or half removed begins with
//! a dot, has no sshd, and goes with the next change.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::super::ProviderError;
use super::{failed, local};
use crate::host::escaped;

/// The record in a server's folder.
const RECORD: &str = "server.json";

/// How folders begin that are being made, or taken away.
const NEW: &str = ".new-";
const GONE: &str = ".gone-";

/// Letters and digits of an id.
const ID_DIGITS: usize = 12;

/// What is known of a server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    pub id: String,
    pub name: String,
    pub fleet: String,
    pub tags: Vec<String>,
    pub size: String,
    pub address: IpAddr,
    pub port: u16,
    /// Who may log in.
    pub user: String,
    /// Since 1970.
    pub created_ms: u64,
    /// How long booting seems to take.
    pub boot_ms: u64,
    /// Whether the host key came with the user-data.
    pub has_host_key_of_user_data: bool,
}

/// What is in the sandbox.
#[derive(Debug)]
pub(super) enum Found {
    /// A server.
    Server(Box<Record>),
    /// The folder of one, by its id, whose record can't be read.
    Unreadable(String),
}

impl Found {
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Server(record) => &record.id,
            Self::Unreadable(id) => id,
        }
    }

    pub(super) fn record(&self) -> Option<&Record> {
        match self {
            Self::Server(record) => Some(record),
            Self::Unreadable(_) => None,
        }
    }
}

/// The folders of all servers.
#[derive(Debug)]
pub(super) struct Folders {
    root: PathBuf,
}

impl Folders {
    /// Returns those below `state`; makes nothing.
    pub(super) fn new(state: &Path) -> Result<Self, ProviderError> {
        let state =
            std::path::absolute(state).map_err(|error| failed("use the folder", state, &error))?;
        Ok(Self {
            root: state.join("sandbox"),
        })
    }

    /// Returns the folder of the server.
    pub(super) fn of(&self, id: &str) -> PathBuf {
        self.root.join(id)
    }

    /// Returns the folder of the server if there is one. An id comes from outside.
    pub(super) fn existing(&self, id: &str) -> Option<PathBuf> {
        let folder = self.of(id);
        (is_id(id) && folder.is_dir()).then_some(folder)
    }

    /// Keeps others from changing the sandbox while the file is open, and waits for those who do.
    pub(super) fn lock(&self) -> Result<File, ProviderError> {
        let path = self.root.join("lock");
        let mut folders = DirBuilder::new();
        folders.recursive(true).mode(0o700);
        folders
            .create(&self.root)
            .map_err(|error| failed("make the folder", &self.root, &error))?;
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(false).mode(0o600);
        let file = options
            .open(&path)
            .map_err(|error| failed("open", &path, &error))?;
        loop {
            match rustix::fs::flock(&file, FlockOperation::LockExclusive) {
                Ok(()) => return Ok(file),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(failed("lock", &path, &error.into())),
            }
        }
    }

    /// Returns all servers, the oldest first.
    pub(super) fn all(&self) -> Result<Vec<Found>, ProviderError> {
        let entries = match fs::read_dir(&self.root) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(|error| failed("read the folder", &self.root, &error))?,
        };
        let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
        let found = names.filter(|name| is_id(name));
        let mut found: Vec<Found> = found.filter_map(|id| self.read(id)).collect();
        found.sort_by_key(|found| {
            let created = found.record().map(|record| record.created_ms);
            (created, found.id().to_owned())
        });
        Ok(found)
    }

    fn read(&self, id: String) -> Option<Found> {
        let folder = self.of(&id);
        let text = fs::read(folder.join(RECORD)).ok();
        let record = text.and_then(|text| serde_json::from_slice::<Record>(&text).ok());
        match record.filter(|record| record.id == id) {
            Some(record) => Some(Found::Server(Box::new(record))),
            // It may have been destroyed a moment ago.
            None => folder.is_dir().then_some(Found::Unreadable(id)),
        }
    }

    /// Makes the folder of a server, which `fill` fills: it is given the path that the folder will
    /// have, and the one that it has until then.
    pub(super) fn add(
        &self,
        record: &Record,
        fill: impl FnOnce(&Path, &Path) -> Result<(), ProviderError>,
    ) -> Result<PathBuf, ProviderError> {
        let folder = self.of(&record.id);
        let new = self.root.join(format!("{NEW}{}", record.id));
        make_folder(&new)?;
        let text = serde_json::to_string_pretty(record)
            .map_err(|error| local(format!("cannot write the record: {error}")))?;
        write(&new.join(RECORD), &(text + "\n"))?;
        fill(&folder, &new)?;
        fs::rename(&new, &folder).map_err(|error| failed("rename", &new, &error))?;
        Ok(folder)
    }

    /// Removes the folder of a server.
    pub(super) fn remove(&self, id: &str) -> Result<(), ProviderError> {
        let folder = self.of(id);
        let gone = self.root.join(format!("{GONE}{id}"));
        fs::rename(&folder, &gone).map_err(|error| failed("rename", &folder, &error))?;
        fs::remove_dir_all(&gone).map_err(|error| failed("remove the folder", &gone, &error))
    }

    /// Removes what a killed hoist left behind; for whoever holds the lock.
    pub(super) fn clean(&self) {
        let entries = fs::read_dir(&self.root).into_iter().flatten().flatten();
        for entry in entries {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if name.starts_with(NEW) || name.starts_with(GONE) {
                // What can't be removed is in nobody's way.
                fs::remove_dir_all(entry.path()).ok();
            }
        }
    }
}

/// Returns an id that no other server has had.
pub(super) fn new_id() -> String {
    let digit = || fastrand::choice(b'a'..=b'z').map_or('a', char::from);
    std::iter::repeat_with(digit).take(ID_DIGITS).collect()
}

fn is_id(text: &str) -> bool {
    text.len() == ID_DIGITS && text.bytes().all(|b| b.is_ascii_lowercase())
}

/// Makes a folder that nobody else can look into.
pub(super) fn make_folder(path: &Path) -> Result<(), ProviderError> {
    let made = DirBuilder::new().mode(0o700).create(path);
    made.map_err(|error| failed("make the folder", path, &error))
}

/// Writes a file that nobody else can read.
pub(super) fn write(path: &Path, text: &str) -> Result<(), ProviderError> {
    let mut options = OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes()))
        .map_err(|error| failed("write", path, &error))
}

/// Returns the path as text in the quotes of a configuration file of OpenSSH.
pub(super) fn quoted(path: &Path) -> Result<String, ProviderError> {
    let text = path.to_str().filter(|text| {
        let is_odd = |c: char| matches!(c, '"' | '\\') || c.is_control();
        !text.contains(is_odd)
    });
    let text = text.ok_or_else(|| {
        local(format!(
            "the sandbox can't be at {}: sshd takes no path with quotes, backslashes or control \
             characters; have hoist keep its state elsewhere with XDG_STATE_HOME",
            escaped(&path.display().to_string())
        ))
    })?;
    Ok(format!("\"{text}\""))
}
