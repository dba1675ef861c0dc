//! The system's own `ssh`, for what the built-in client can't do: GSSAPI, PKCS#11, algorithms of
//! its own, keywords that only its configuration knows.
//!
//! An [`Endpoint`] comes in, a session goes out on which commands run, as with the built-in client.
//! One `ssh` holds the connection, in a private folder that is gone with the run; each command is
//! one more `ssh` over it. Where the user's own `ControlMaster` has a connection, that one is used.
//! Host keys are judged by `ssh`, which never asks anybody: what may be answered, hoist answers
//! ([`ask`]). Every process is ended with what it was started for, and with hoist.

use std::cell::Cell;
use std::collections::HashSet;
use std::io;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};

use thiserror::Error;

use crate::host::{Endpoint, HostKeyPolicy, escaped};
use crate::secret::Secret;
use crate::transport::ssh::known_hosts::host_form;
use crate::transport::{ConnectError, Phase, Session, Transport, UnknownKey, Work};

mod arguments;
mod asking;
mod failure;
mod folder;
mod log;
mod master;
mod process;
mod session;

use asking::Answers;
use folder::Folder;
use master::Master;
use session::{Connection, OpenSshSession};

pub use arguments::named_files;
pub use asking::{ask, is_asking};

/// From this version on, what a host asks can be told from what `ssh` itself asks.
const FIRST_TO_ANSWER: (u32, u32) = (8, 5);

/// Everything the hosts of a run share. The library finds nothing out by itself.
#[derive(Debug, Default)]
pub struct OpenSshOptions {
    /// The program; `ssh` is looked up in PATH.
    pub program: PathBuf,
    /// Where the private folder is made. Paths of sockets are short: at most some 60 bytes.
    pub base: PathBuf,
    /// A program that calls [`ask`] when [`is_asking`] says so; without it nothing is answered.
    pub asker: Option<PathBuf>,
    /// Sent only to hosts whose key is verified.
    pub password: Option<Secret>,
    /// Of encrypted keys, by their files.
    pub passphrases: Vec<(PathBuf, Secret)>,
}

/// Why the system's `ssh` can't be used at all.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenSshError {
    /// It can't be started.
    #[error("cannot start {}: {error}", program.display())]
    Program {
        /// What was to be started.
        program: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// It is something else.
    #[error("{} is not OpenSSH: it says `{said}`", program.display())]
    Stranger {
        /// What was started.
        program: PathBuf,
        /// Its version, escaped.
        said: String,
    },
    /// It can't be trusted with a password.
    #[error(
        "OpenSSH {}.{} can't be given passwords; that takes OpenSSH {}.{}",
        version.0, version.1, FIRST_TO_ANSWER.0, FIRST_TO_ANSWER.1
    )]
    TooOld {
        /// Its version.
        version: (u32, u32),
    },
    /// There is no room for sockets.
    #[error("cannot make a private folder in {}: {error}", base.display())]
    Folder {
        /// Where.
        base: PathBuf,
        /// Why not.
        error: io::Error,
    },
}

/// The `ssh` that is started, and what it is given.
#[derive(Clone)]
struct Program {
    path: PathBuf,
    version: (u32, u32),
    folder: Arc<Folder>,
    asker: Option<PathBuf>,
}

impl Program {
    /// Whether the log of a connection tells when a command is begun and when its status comes.
    fn tells_all(&self) -> bool {
        self.version >= (8, 5)
    }
}

/// What one connection asks of hoist.
struct Demands<'a> {
    answers: Answers,
    /// Whether a person has accepted the key of a host.
    is_accepted: &'a dyn Fn(&Endpoint) -> bool,
    /// Why the password is not sent.
    withheld: Option<&'static str>,
}

/// Reaches hosts through the system's `ssh`.
pub struct OpenSsh {
    program: Program,
    password: Option<Secret>,
    passphrases: Vec<(PathBuf, Secret)>,
    /// Hosts as `known_hosts` names them, and the fingerprints that a person has accepted.
    accepted: Mutex<HashSet<(String, String)>>,
}

impl OpenSsh {
    /// Looks which `ssh` it is and makes the private folder. Blocks meanwhile.
    ///
    /// # Errors
    /// When there is no OpenSSH, or none that can do what is asked.
    pub fn new(options: OpenSshOptions) -> Result<Self, OpenSshError> {
        let version = version(&options.program)?;
        let has_secrets = options.password.is_some() || !options.passphrases.is_empty();
        if has_secrets && version < FIRST_TO_ANSWER {
            return Err(OpenSshError::TooOld { version });
        }
        let folder = Folder::make_in(&options.base).map_err(|error| OpenSshError::Folder {
            base: options.base,
            error,
        })?;
        Ok(Self {
            program: Program {
                path: options.program,
                version,
                folder: Arc::new(folder),
                asker: options.asker.filter(|_| version >= FIRST_TO_ANSWER),
            },
            password: options.password,
            passphrases: options.passphrases,
            accepted: Mutex::default(),
        })
    }

    async fn open(
        &self,
        endpoint: &Endpoint,
        phase: &Cell<Phase>,
    ) -> Result<OpenSshSession, ConnectError> {
        phase.set(Phase::Lookup);
        if let Some(socket) = &endpoint.ssh.control_path
            && socket.exists()
        {
            let others = Connection::new(&self.program, endpoint, socket, None);
            if others.is_there().await {
                return Ok(OpenSshSession::new(others));
            }
        }
        let is_accepted = |endpoint: &Endpoint| !self.accepted_keys(endpoint).is_empty();
        let demands = self.demands(endpoint, &is_accepted);
        let master = Master::connect(&self.program, endpoint, demands, phase).await?;
        let socket = master.socket.clone();
        Ok(OpenSshSession::new(Connection::new(
            &self.program,
            endpoint,
            &socket,
            Some(master),
        )))
    }

    fn demands<'a>(
        &self,
        endpoint: &Endpoint,
        is_accepted: &'a dyn Fn(&Endpoint) -> bool,
    ) -> Demands<'a> {
        let jumps = endpoint.jumps().map(|jump| &**jump);
        let hosts: Vec<&Endpoint> = [endpoint].into_iter().chain(jumps).collect();
        // There, keys that nobody knows are let through: ssh doesn't tell in time which they are.
        let is_off =
            |host: &&Endpoint| host.ssh.policy == HostKeyPolicy::Off && host.host_key.is_none();
        let is_unverified = hosts.iter().any(is_off);
        let fingerprints = hosts.iter().flat_map(|host| self.accepted_keys(host));
        Demands {
            answers: Answers {
                password: self.password.clone().filter(|_| !is_unverified),
                passphrases: self.passphrases.clone(),
                fingerprints: fingerprints.collect(),
                ..Answers::default()
            },
            is_accepted,
            withheld: (self.password.is_some() && is_unverified)
                .then_some("the password was not sent, because host keys are not checked"),
        }
    }

    /// Returns the fingerprints that a person has accepted for a host.
    fn accepted_keys(&self, endpoint: &Endpoint) -> Vec<String> {
        let (name, port) = endpoint.ssh.looked_up_as(&endpoint.address, endpoint.port);
        let name = host_form(name, port);
        let accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        let own = accepted.iter().filter(|(host, _)| *host == name);
        own.map(|(_, fingerprint)| fingerprint.clone()).collect()
    }
}

impl Transport for OpenSsh {
    fn connect<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        phase: &'a Cell<Phase>,
    ) -> Work<'a, Result<Box<dyn Session>, ConnectError>> {
        Box::pin(async move {
            let session = self.open(endpoint, phase).await?;
            Ok(Box::new(session) as Box<dyn Session>)
        })
    }

    /// They are told to `ssh`, which remembers them when it has seen them again.
    fn trust(&self, keys: &[UnknownKey]) -> io::Result<()> {
        let mut accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        let own = keys.iter().filter(|key| is_of_openssh(key));
        accepted.extend(own.map(|key| (key.host.clone(), key.fingerprint.clone())));
        Ok(())
    }
}

/// Whether `ssh` showed this key, and remembers it itself.
pub(super) fn is_of_openssh(key: &UnknownKey) -> bool {
    key.blob.is_empty()
}

/// Asks a program which OpenSSH it is.
fn version(program: &PathBuf) -> Result<(u32, u32), OpenSshError> {
    let told = std::process::Command::new(program)
        .arg("-V")
        .stdin(Stdio::null())
        .output();
    let told = told.map_err(|error| OpenSshError::Program {
        program: program.clone(),
        error,
    })?;
    let said = String::from_utf8_lossy(&told.stderr);
    version_in(&said).ok_or_else(|| OpenSshError::Stranger {
        program: program.clone(),
        said: escaped(said.lines().next().unwrap_or_default()),
    })
}

/// Finds the version in `OpenSSH_9.2p1 Debian-2, OpenSSL 3.0.22`.
fn version_in(said: &str) -> Option<(u32, u32)> {
    let (_, rest) = said.split_once("OpenSSH_")?;
    // On Windows: `OpenSSH_for_Windows_9.5p1`.
    let rest = rest.strip_prefix("for_Windows_").unwrap_or(rest);
    let (major, rest) = rest.split_once('.')?;
    let end = rest.find(|c: char| !c.is_ascii_digit());
    let minor = &rest[..end.unwrap_or(rest.len())];
    Some((major.parse().ok()?, minor.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_its_own_words() {
        for (said, version) in [
            (
                "OpenSSH_9.2p1 Debian-2+deb12u10, OpenSSL 3.0.22",
                Some((9, 2)),
            ),
            ("OpenSSH_10.0p2, LibreSSL 3.3.6", Some((10, 0))),
            ("OpenSSH_8.4, OpenSSL 1.1.1", Some((8, 4))),
            ("Dropbear v2022.83", None),
            ("", None),
        ] {
            assert_eq!(version_in(said), version, "{said}");
        }
    }

    #[test]
    fn what_is_no_openssh_is_refused() {
        let new = |program: &str| {
            let options = OpenSshOptions {
                program: program.into(),
                base: "/tmp".into(),
                ..OpenSshOptions::default()
            };
            OpenSsh::new(options).map(|_| ()).unwrap_err()
        };
        assert!(matches!(new("/no/such/ssh"), OpenSshError::Program { .. }));
        assert!(matches!(new("/bin/true"), OpenSshError::Stranger { .. }));
    }
}
