//! Ways to reach a host, behind three small traits: [`Transport`] makes a [`Session`], a session
//! starts a [`Process`].
//!
//! The engine knows nothing else: SSH, this machine and the scripted fake are the same to it. All
//! of it is non-blocking and single-threaded per host: the futures are polled on one worker and
//! never block it. Every future may be dropped at any await point; what was read is never lost,
//! because [`Process::next`] hands over bytes as soon as it has them.
//!
//! Deadlines, retries and cancelling are the engine's; a transport only says what happened.

use std::cell::Cell;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;

use thiserror::Error;

use crate::host::{Endpoint, TransportName};
use crate::outcome::{Kind, Login};
use crate::quote::NotBegun;
use crate::remote::{Exec, ExitStatus, Pipe, Signal};

mod child;
mod elevation;
pub mod fake;
pub mod files;
pub mod local;
mod marked;
pub mod openssh;
pub mod ssh;

use files::{FileError, FileReason, Files};

/// A piece of non-blocking work on the current worker.
pub type Work<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// How much a transport reads at once, and the most a [`Process::next`] hands over.
pub const READ_BYTES: usize = 64 * 1024;

/// A way to reach hosts, shared by all workers.
pub trait Transport: Send + Sync {
    /// Connects to a host and logs in; the phase tells how far it got.
    fn connect<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        phase: &'a Cell<Phase>,
    ) -> Work<'a, Result<Box<dyn Session>, ConnectError>>;

    /// Accepts these host keys from now on, and remembers them where that is configured.
    ///
    /// # Errors
    /// When they can't be remembered; they are accepted for this run all the same.
    fn trust(&self, keys: &[UnknownKey]) -> io::Result<()> {
        let _ = keys;
        Ok(())
    }
}

/// One authenticated connection.
pub trait Session {
    /// Starts a command. A further one may be started once the first has ended.
    fn spawn<'a>(&'a mut self, exec: &'a Exec) -> Work<'a, Result<Box<dyn Process>, SpawnError>>;

    /// Opens the host's own file service. What is returned ends with the session.
    fn files(&mut self) -> Work<'_, Result<Box<dyn Files>, FileError>> {
        Box::pin(async {
            Err(FileError {
                reason: FileReason::Unsupported,
                message: "this transport has no file service".to_owned(),
            })
        })
    }

    /// Returns the address the connection goes to, as numbers, where there is one.
    fn peer(&self) -> Option<String>;

    /// Returns what the host told of itself, where there was a login.
    fn login(&self) -> Option<Login> {
        None
    }

    /// Ends the connection, within a bounded short time.
    fn close(self: Box<Self>) -> Work<'static, ()>;
}

/// A command being executed on a host.
pub trait Process {
    /// Waits until the command wrote something or ended. Feeds its stdin meanwhile.
    ///
    /// `buffer` is cleared and then holds what was written, never more than [`READ_BYTES`]. After
    /// [`Progress::Ended`] there is nothing more.
    fn next<'a>(&'a mut self, buffer: &'a mut Vec<u8>) -> Work<'a, Progress>;

    /// Sends a signal to the command and everything in its process group.
    ///
    /// # Errors
    /// When the signal could not be delivered. That it was delivered doesn't mean that the
    /// command ended: [`Process::next`] tells that.
    fn signal(&mut self, signal: Signal) -> Work<'_, io::Result<()>>;
}

/// What a command did next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// It wrote to this pipe.
    Output(Pipe),
    /// It is over.
    Ended(End),
}

/// How a command was over.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// It ended by itself or by a signal.
    Exited {
        /// How.
        status: ExitStatus,
        /// Something it left behind keeps a pipe open.
        is_held: bool,
    },
    /// The program could not be started: not found, not executable, no such directory.
    NotSpawned {
        /// Why, on one line.
        message: String,
    },
    /// It did not get the rights it was to have.
    NotElevated {
        /// Why, on one line.
        message: String,
    },
    /// The host reported success and had not begun to run it.
    Replaced {
        /// What that means, on one line.
        message: String,
    },
    /// The link died, or the host closed the channel without any status.
    Lost {
        /// What was seen, on one line.
        message: String,
    },
}

impl From<NotBegun> for End {
    fn from(why: NotBegun) -> Self {
        match why {
            NotBegun::NotSpawned(message) => Self::NotSpawned { message },
            NotBegun::NotElevated(message) => Self::NotElevated { message },
        }
    }
}

/// How far a connection has come; told when a deadline ends it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// Nothing done yet.
    #[default]
    Start,
    /// Looking up the name.
    Lookup,
    /// Waiting for the jump host that leads there: none of the host's own time.
    Jump,
    /// Opening the TCP connection.
    Connect,
    /// SSH version and key exchange.
    Handshake,
    /// Logging in.
    Authentication,
}

impl Phase {
    /// Returns the words for "no answer after 10s while …".
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Start => "starting",
            Self::Lookup => "looking up the name",
            Self::Jump => "waiting for the jump host",
            Self::Connect => "connecting",
            Self::Handshake => "waiting for the SSH handshake",
            Self::Authentication => "logging in",
        }
    }
}

/// Why there is no session.
#[derive(Debug, Clone, Error)]
#[error("{message}")]
pub struct ConnectError {
    /// What to report.
    pub kind: Kind,
    /// What happened and how to go on, on one line.
    pub message: String,
    /// Whether another attempt could end differently.
    pub is_transient: bool,
    /// Whether the host dropped the connection before login, as busy servers do, or this machine
    /// had no more room for it: the engine dials again, slower, as long as there is time to connect.
    pub is_busy: bool,
    /// The key that nobody has vouched for, if that was the reason and a person may be asked.
    pub unknown_key: Option<Box<UnknownKey>>,
}

impl ConnectError {
    /// Returns an error that another attempt won't mend.
    pub fn permanent(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            is_transient: false,
            is_busy: false,
            unknown_key: None,
        }
    }

    /// Returns an error that another attempt may mend.
    pub fn transient(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            is_transient: true,
            ..Self::permanent(kind, message)
        }
    }

    /// Returns an error of a server that hung up before login, or of a machine out of room.
    pub fn busy(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            is_busy: true,
            ..Self::transient(kind, message)
        }
    }
}

/// Why a command was not started on a session.
#[derive(Debug, Clone, Error)]
#[error("{message}")]
pub struct SpawnError {
    /// What to report: `channel`, `spawn` or `lost`.
    pub kind: Kind,
    /// What happened and how to go on, on one line.
    pub message: String,
}

/// A host key that nobody has vouched for yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownKey {
    /// As `known_hosts` names the host: `web1`, `[web1]:2222`.
    pub host: String,
    /// Key type: `ssh-ed25519`.
    pub algorithm: String,
    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    pub fingerprint: String,
    /// The key itself in SSH wire form (RFC 4253 §6.6); empty where the system's `ssh` showed it,
    /// which remembers it itself.
    pub blob: Vec<u8>,
    /// Where it is remembered, if anywhere.
    pub file: Option<PathBuf>,
    /// The host's name is written hashed there.
    pub is_hashed: bool,
}

/// Reaches every host by its own transport.
pub struct Transports {
    /// Used for [`TransportName::Ssh`].
    pub ssh: Box<dyn Transport>,
    /// Used for [`TransportName::OpenSsh`]; needed where a host is reached so.
    pub openssh: Option<Box<dyn Transport>>,
    /// Used for [`TransportName::Local`].
    pub local: Box<dyn Transport>,
}

impl Transport for Transports {
    fn connect<'a>(
        &'a self,
        endpoint: &'a Endpoint,
        phase: &'a Cell<Phase>,
    ) -> Work<'a, Result<Box<dyn Session>, ConnectError>> {
        match endpoint.transport {
            TransportName::Ssh => self.ssh.connect(endpoint, phase),
            TransportName::OpenSsh => match &self.openssh {
                Some(openssh) => openssh.connect(endpoint, phase),
                None => Box::pin(async {
                    let message = "the transport `openssh` was not set up";
                    Err(ConnectError::permanent(Kind::Internal, message))
                }),
            },
            TransportName::Local => self.local.connect(endpoint, phase),
        }
    }

    fn trust(&self, keys: &[UnknownKey]) -> io::Result<()> {
        let own = keys.iter().cloned();
        let (of_openssh, of_ssh): (Vec<_>, Vec<_>) = own.partition(openssh::is_of_openssh);
        if let Some(openssh) = &self.openssh {
            openssh.trust(&of_openssh)?;
        }
        self.ssh.trust(&of_ssh)
    }
}
