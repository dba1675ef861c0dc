//! The record of a fleet on disk: what was about to be made is written before it is asked for, so
//! that no server is paid for and forgotten.
//!
//! One file a fleet, `<state>/fleets/<fleet>.jsonl`, mode 0600, only ever appended to: a line is
//! written and synced before the call it tells of. Whoever holds the [`Ledger`] holds a lock on it.
//! A last line that was cut off by a crash is dropped; anything else that can't be read is an error.
//!
//! What a listing doesn't show any more is not forgotten but [missing](Ledger::missing): it may have
//! been destroyed elsewhere, or belong to an account that is not the one being asked.

mod entry;
#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::FlockOperation;

pub use self::entry::{Entry, Recorded};

use self::entry::Books;
use super::{FleetName, ProviderError, ProviderName};
use crate::host::escaped;

/// The record of one fleet, open and locked.
#[derive(Debug)]
pub struct Ledger {
    file: File,
    path: PathBuf,
    /// How many bytes of the file are whole lines; `None` when what comes after them could not be
    /// taken away.
    whole: Option<u64>,
    books: Books,
}

impl Ledger {
    /// Opens the record of `fleet` below `state`, making it where there is none, and locks it.
    /// Blocks while another hoist works on the fleet, unless `waits` is false.
    ///
    /// # Errors
    /// When it can't be opened or read, or is locked by another hoist.
    pub fn open(state: &Path, fleet: &FleetName, waits: bool) -> Result<Self, ProviderError> {
        let folder = folder(state);
        let path = path(state, fleet);
        let failed = |what: &str, error: &io::Error| local(&path, what, error);
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&folder)
            .map_err(|error| local(&folder, "make the folder", &error))?;
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .open(&path)
            .map_err(|error| failed("open the record", &error))?;
        lock(&file, waits).map_err(|error| match error.kind() {
            io::ErrorKind::WouldBlock => ProviderError::InUse {
                fleet: fleet.clone(),
            },
            _ => failed("lock the record", &error),
        })?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)
            .map_err(|error| failed("read the record", &error))?;
        let lines = whole(&bytes);
        let whole = lines.len() as u64;
        if lines.len() < bytes.len() {
            // Cut off by a crash, so nothing was done after it.
            file.set_len(whole)
                .map_err(|error| failed("repair the record", &error))?;
        }
        let books = read(&path, lines)?;
        for folder in [&folder, state] {
            sync_folder(folder).map_err(|error| local(folder, "sync the folder", &error))?;
        }
        Ok(Self {
            file,
            path,
            whole: Some(whole),
            books,
        })
    }

    /// Reads what is known of the servers of `fleet`, by name, without a lock; nothing where there
    /// is no record. A line that another hoist is just writing is left out.
    ///
    /// # Errors
    /// When the record can't be read.
    pub fn peek(state: &Path, fleet: &FleetName) -> Result<Vec<Recorded>, ProviderError> {
        let books = Self::books(state, fleet)?;
        Ok(books.servers.into_values().collect())
    }

    /// Reads the same, and after them what is known of those that the provider lists no more.
    ///
    /// # Errors
    /// When the record can't be read.
    pub fn peek_all(state: &Path, fleet: &FleetName) -> Result<Vec<Recorded>, ProviderError> {
        let books = Self::books(state, fleet)?;
        let servers = books.servers.into_values();
        Ok(servers.chain(books.missing.into_values()).collect())
    }

    fn books(state: &Path, fleet: &FleetName) -> Result<Books, ProviderError> {
        let path = path(state, fleet);
        match fs::read(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Books::default()),
            Err(error) => Err(local(&path, "read the record", &error)),
            Ok(bytes) => read(&path, whole(&bytes)),
        }
    }

    /// Returns the names of all fleets that have a record.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn fleets(state: &Path) -> Result<Vec<FleetName>, ProviderError> {
        let folder = folder(state);
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(|error| local(&folder, "read the folder", &error))?,
        };
        let names = entries.filter_map(|entry| {
            let name = entry.ok()?.file_name().into_string().ok()?;
            FleetName::parse(name.strip_suffix(".jsonl")?).ok()
        });
        let mut names: Vec<_> = names.collect();
        names.sort();
        Ok(names)
    }

    /// Writes a line and has it on the disk before it returns.
    ///
    /// # Errors
    /// When it can't: then what the line tells of must not be done, and the record is as before.
    pub fn write(&mut self, entry: Entry) -> Result<(), ProviderError> {
        let failed = |path: &Path, error: &io::Error| local(path, "write the record", error);
        let mut line = serde_json::to_vec(&entry)
            .map_err(|error| failed(&self.path, &io::Error::from(error)))?;
        line.push(b'\n');
        let whole = self.whole.ok_or_else(|| ProviderError::Local {
            message: format!(
                "cannot write the record {}: an earlier line is half written",
                escaped(&self.path.display().to_string())
            ),
        })?;
        let written = self.file.write_all(&line);
        if let Err(error) = written.and_then(|()| self.file.sync_data()) {
            // A half of a line would make one of it and the next.
            if self.file.set_len(whole).is_err() {
                self.whole = None;
            }
            return Err(failed(&self.path, &error));
        }
        self.whole = Some(whole + line.len() as u64);
        self.books.enter(entry);
        Ok(())
    }

    /// Yields what is known of every server that is there, or may be, by name.
    pub fn servers(&self) -> impl Iterator<Item = &Recorded> {
        self.books.servers.values()
    }

    /// Yields what is known of every server that was made and not destroyed by hoist, and that the
    /// provider does not list any more.
    pub fn missing(&self) -> impl Iterator<Item = &Recorded> {
        self.books.missing.values()
    }

    /// Returns what is known of the server called `name`.
    pub fn get(&self, name: &str) -> Option<&Recorded> {
        self.books.servers.get(name)
    }

    /// Returns which other fleet has recorded the server with this id.
    pub(super) fn holder(&self, provider: ProviderName, id: &str) -> Option<FleetName> {
        let state = self.path.parent()?.parent()?;
        let fleets = Self::fleets(state).ok()?;
        fleets.into_iter().find(|fleet| {
            let is_other = path(state, fleet) != self.path;
            is_other
                && Self::peek(state, fleet).is_ok_and(|servers| {
                    servers.iter().any(|known| {
                        known.id.as_deref() == Some(id) && provider_of(known) == Some(provider)
                    })
                })
        })
    }

    /// Returns where it is kept.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// Returns the time for an entry.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}

/// Returns the provider's name as it was recorded, if this hoist knows it.
pub fn provider_of(recorded: &Recorded) -> Option<ProviderName> {
    recorded.provider.parse().ok()
}

fn folder(state: &Path) -> PathBuf {
    state.join("fleets")
}

fn path(state: &Path, fleet: &FleetName) -> PathBuf {
    folder(state).join(format!("{fleet}.jsonl"))
}

fn lock(file: &File, waits: bool) -> io::Result<()> {
    let operation = if waits {
        FlockOperation::LockExclusive
    } else {
        FlockOperation::NonBlockingLockExclusive
    };
    loop {
        match rustix::fs::flock(file, operation) {
            Err(rustix::io::Errno::INTR) => {}
            other => return other.map_err(io::Error::from),
        }
    }
}

fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Returns the whole lines that `bytes` begin with.
fn whole(bytes: &[u8]) -> &[u8] {
    let end = bytes.iter().rposition(|b| *b == b'\n');
    &bytes[..end.map_or(0, |at| at + 1)]
}

fn read(path: &Path, lines: &[u8]) -> Result<Books, ProviderError> {
    let mut books = Books::default();
    for (index, line) in lines.split(|b| *b == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let entry = serde_json::from_slice(line).map_err(|error| ProviderError::Local {
            message: format!(
                "cannot read the record {}:{}:{}: {}",
                escaped(&path.display().to_string()),
                index + 1,
                error.column(),
                escaped(&error.to_string())
            ),
        })?;
        books.enter(entry);
    }
    Ok(books)
}

fn local(path: &Path, what: &str, error: &io::Error) -> ProviderError {
    ProviderError::Local {
        message: format!(
            "cannot {what} {}: {error}",
            escaped(&path.display().to_string())
        ),
    }
}
