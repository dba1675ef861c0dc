//! The record of a fleet on disk: what was about to be made is written before it is asked for, so
//! that no server is paid for and forgotten.
//!
//! One file a fleet, `<state>/fleets/<fleet>.jsonl`, mode 0600, only ever appended to: a line is
//! written and synced before the call it tells of. Whoever holds the [`Ledger`] holds a lock on it.
//! A last line that was cut off by a crash is dropped; anything else that can't be read is an error.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use super::{FleetName, ProviderError, ProviderName};
use crate::host::escaped;

/// A line of the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Entry {
    /// A server is about to be asked for.
    Intent {
        /// When, in seconds since 1970.
        at: u64,
        /// What the fleet's server is called.
        name: String,
        /// Names the order at the provider.
        token: String,
        /// Where.
        provider: String,
        /// The provider's region.
        region: String,
        /// Public half of the host key that was handed over.
        #[serde(skip_serializing_if = "Option::is_none")]
        host_key: Option<String>,
        /// Account that the image lets in.
        login_user: String,
    },
    /// It was made, or found again.
    Created {
        /// When.
        at: u64,
        /// The server's name.
        name: String,
        /// The provider's id.
        id: String,
    },
    /// It was not made.
    Failed {
        /// When.
        at: u64,
        /// The server's name.
        name: String,
        /// Why not.
        error: String,
    },
    /// The server is about to have this host key in the place of the one handed over.
    Rekeying {
        /// When.
        at: u64,
        /// The server's name.
        name: String,
        /// Public half of the key that the server made.
        host_key: String,
    },
    /// The server has it.
    Rekeyed {
        /// When.
        at: u64,
        /// The server's name.
        name: String,
        /// Public half of the key.
        host_key: String,
    },
    /// It is gone.
    Destroyed {
        /// When.
        at: u64,
        /// The server's name.
        name: String,
        /// The provider's id.
        id: String,
    },
}

impl Entry {
    fn name(&self) -> &str {
        match self {
            Self::Intent { name, .. }
            | Self::Created { name, .. }
            | Self::Failed { name, .. }
            | Self::Rekeying { name, .. }
            | Self::Rekeyed { name, .. }
            | Self::Destroyed { name, .. } => name,
        }
    }
}

/// What the record knows of one server, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// What it is called.
    pub name: String,
    /// Where it was asked for.
    pub provider: String,
    /// The provider's region.
    pub region: String,
    /// What the order was called.
    pub token: String,
    /// When it was asked for, in seconds since 1970.
    pub asked_at: u64,
    /// The provider's id; `None` while nobody knows whether it was made.
    pub id: Option<String>,
    /// Account that the image lets in.
    pub login_user: String,
    /// Public half of the host key it has, as far as known.
    pub host_key: Option<String>,
    /// Public half of the key it is about to have, or has already.
    pub next_host_key: Option<String>,
    /// Whether `host_key` was made by the server itself.
    pub is_rekeyed: bool,
}

/// The record of one fleet, open and locked.
#[derive(Debug)]
pub struct Ledger {
    file: File,
    path: PathBuf,
    servers: BTreeMap<String, Recorded>,
}

impl Ledger {
    /// Opens the record of `fleet` below `state`, making it where there is none, and locks it.
    /// Blocks while another hoist works on the fleet, unless `waits` is false.
    ///
    /// # Errors
    /// When it can't be opened or read, or is locked by another hoist.
    pub fn open(state: &Path, fleet: &FleetName, waits: bool) -> Result<Self, ProviderError> {
        let folder = folder(state);
        let path = folder.join(format!("{fleet}.jsonl"));
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
            io::ErrorKind::WouldBlock => ProviderError::Local {
                message: format!("another hoist is at work on the fleet `{fleet}`"),
            },
            _ => failed("lock the record", &error),
        })?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)
            .map_err(|error| failed("read the record", &error))?;
        let whole = bytes
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(0, |at| at + 1);
        if whole < bytes.len() {
            // Cut off by a crash, so nothing was done after it.
            file.set_len(whole as u64)
                .and_then(|()| file.seek(SeekFrom::End(0)))
                .map_err(|error| failed("repair the record", &error))?;
        }
        let servers = read(&path, &bytes[..whole])?;
        sync_folder(&folder).map_err(|error| local(&folder, "sync the folder", &error))?;
        Ok(Self {
            file,
            path,
            servers,
        })
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
    /// When it can't: then what the line tells of must not be done.
    pub fn write(&mut self, entry: Entry) -> Result<(), ProviderError> {
        let mut line = serde_json::to_vec(&entry).map_err(|error| ProviderError::Local {
            message: format!("cannot write the record: {error}"),
        })?;
        line.push(b'\n');
        // One write, so that no other reader sees half of it.
        self.file
            .write_all(&line)
            .and_then(|()| self.file.sync_data())
            .map_err(|error| local(&self.path, "write the record", &error))?;
        apply(&mut self.servers, entry);
        Ok(())
    }

    /// Yields what is known of every server that is there, or may be, by name.
    pub fn servers(&self) -> impl Iterator<Item = &Recorded> {
        self.servers.values()
    }

    /// Returns what is known of the server called `name`.
    pub fn get(&self, name: &str) -> Option<&Recorded> {
        self.servers.get(name)
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

fn read(path: &Path, bytes: &[u8]) -> Result<BTreeMap<String, Recorded>, ProviderError> {
    let mut servers = BTreeMap::new();
    for (index, line) in bytes.split(|b| *b == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        let entry = serde_json::from_slice(line).map_err(|error| ProviderError::Local {
            message: format!(
                "cannot read the record {}:{}:{}: {error}",
                escaped(&path.display().to_string()),
                index + 1,
                error.column()
            ),
        })?;
        apply(&mut servers, entry);
    }
    Ok(servers)
}

fn apply(servers: &mut BTreeMap<String, Recorded>, entry: Entry) {
    let name = entry.name().to_owned();
    match entry {
        Entry::Intent {
            at,
            token,
            provider,
            region,
            host_key,
            login_user,
            ..
        } => {
            let recorded = Recorded {
                name: name.clone(),
                provider,
                region,
                token,
                asked_at: at,
                id: None,
                login_user,
                host_key,
                next_host_key: None,
                is_rekeyed: false,
            };
            servers.insert(name, recorded);
        }
        Entry::Failed { .. } => {
            servers.remove(&name);
        }
        Entry::Destroyed { id, .. } => {
            // A name may be in use again by the time that an older server's end is noticed.
            if servers
                .get(&name)
                .is_some_and(|server| server.id.as_ref() == Some(&id))
            {
                servers.remove(&name);
            }
        }
        Entry::Created { id, .. } => {
            if let Some(server) = servers.get_mut(&name) {
                server.id = Some(id);
            }
        }
        Entry::Rekeying { host_key, .. } => {
            if let Some(server) = servers.get_mut(&name) {
                server.next_host_key = Some(host_key);
            }
        }
        Entry::Rekeyed { host_key, .. } => {
            if let Some(server) = servers.get_mut(&name) {
                server.host_key = Some(host_key);
                server.next_host_key = None;
                server.is_rekeyed = true;
            }
        }
    }
}

fn local(path: &Path, what: &str, error: &io::Error) -> ProviderError {
    ProviderError::Local {
        message: format!(
            "cannot {what} {}: {error}",
            escaped(&path.display().to_string())
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intent(name: &str) -> Entry {
        Entry::Intent {
            at: 1,
            name: name.to_owned(),
            token: format!("token-{name}"),
            provider: "vultr".to_owned(),
            region: "ewr".to_owned(),
            host_key: Some("ssh-ed25519 first".to_owned()),
            login_user: "root".to_owned(),
        }
    }

    fn created(name: &str, id: &str) -> Entry {
        let (name, id) = (name.to_owned(), id.to_owned());
        Entry::Created { at: 2, name, id }
    }

    fn fleet() -> FleetName {
        FleetName::parse("app").unwrap()
    }

    #[test]
    fn what_was_written_is_there_the_next_time() {
        let state = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(state.path(), &fleet(), false).unwrap();
        for name in ["app-1", "app-2", "app-3"] {
            ledger.write(intent(name)).unwrap();
        }
        ledger.write(created("app-1", "11")).unwrap();
        let failed = Entry::Failed {
            at: 3,
            name: "app-2".to_owned(),
            error: "quota".to_owned(),
        };
        ledger.write(failed).unwrap();
        let kept: Vec<_> = ledger.servers().cloned().collect();
        drop(ledger);
        let ledger = Ledger::open(state.path(), &fleet(), false).unwrap();
        assert_eq!(ledger.servers().cloned().collect::<Vec<_>>(), kept);
        assert_eq!(ledger.get("app-1").unwrap().id.as_deref(), Some("11"));
        assert_eq!(ledger.get("app-2"), None);
        assert_eq!(ledger.get("app-3").unwrap().id, None);
        assert_eq!(Ledger::fleets(state.path()).unwrap(), [fleet()]);
    }

    #[test]
    fn only_one_hoist_works_on_a_fleet() {
        let state = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(state.path(), &fleet(), false).unwrap();
        let second = Ledger::open(state.path(), &fleet(), false).unwrap_err();
        assert_eq!(
            second.to_string(),
            "another hoist is at work on the fleet `app`"
        );
        drop(ledger);
        Ledger::open(state.path(), &fleet(), false).unwrap();
    }

    #[test]
    fn a_line_that_was_cut_off_is_dropped_and_a_broken_one_is_an_error() {
        let state = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(state.path(), &fleet(), false).unwrap();
        ledger.write(intent("app-1")).unwrap();
        let path = ledger.path().to_owned();
        drop(ledger);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, [&whole[..], b"{\"event\":\"created\",\"na"].concat()).unwrap();
        let mut ledger = Ledger::open(state.path(), &fleet(), false).unwrap();
        ledger.write(created("app-1", "11")).unwrap();
        drop(ledger);
        let ledger = Ledger::open(state.path(), &fleet(), false).unwrap();
        assert_eq!(ledger.get("app-1").unwrap().id.as_deref(), Some("11"));
        drop(ledger);
        fs::write(&path, [b"{\"event\":\n", &whole[..]].concat()).unwrap();
        let error = Ledger::open(state.path(), &fleet(), false).unwrap_err();
        assert!(error.to_string().contains("app.jsonl:1:"), "{error}");
    }

    #[test]
    fn the_end_of_an_older_server_leaves_a_newer_one_of_its_name() {
        let state = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(state.path(), &fleet(), false).unwrap();
        let destroyed = |id: &str| Entry::Destroyed {
            at: 4,
            name: "app-1".to_owned(),
            id: id.to_owned(),
        };
        for entry in [intent("app-1"), created("app-1", "12"), destroyed("11")] {
            ledger.write(entry).unwrap();
        }
        assert!(ledger.get("app-1").is_some());
        ledger.write(destroyed("12")).unwrap();
        assert!(ledger.get("app-1").is_none());
    }

    #[test]
    fn a_key_counts_once_the_server_has_it() {
        let state = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::open(state.path(), &fleet(), false).unwrap();
        ledger.write(intent("app-1")).unwrap();
        let (name, host_key) = ("app-1".to_owned(), "ssh-ed25519 second".to_owned());
        ledger
            .write(Entry::Rekeying {
                at: 3,
                name: name.clone(),
                host_key: host_key.clone(),
            })
            .unwrap();
        let server = ledger.get("app-1").unwrap();
        assert_eq!(server.host_key.as_deref(), Some("ssh-ed25519 first"));
        assert_eq!(server.next_host_key.as_ref(), Some(&host_key));
        ledger
            .write(Entry::Rekeyed {
                at: 4,
                name,
                host_key: host_key.clone(),
            })
            .unwrap();
        let server = ledger.get("app-1").unwrap();
        assert_eq!(server.host_key, Some(host_key));
        assert!(server.is_rekeyed && server.next_host_key.is_none());
    }
}
