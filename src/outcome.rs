//! What became of one host, and the counts over a run.
//!
//! A host that fails is an [`Outcome`], never an `Err`. The words of [`Kind`] are the same in
//! records, in `--where kind=…`, in exit codes and in history.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use crate::remote::ExitStatus;

/// What a host told of itself when it was logged in to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The server's version line: `SSH-2.0-OpenSSH_9.2p1`; what can't be printed is escaped.
    pub server: String,
    /// Type of the host's key: `ssh-ed25519`.
    pub host_key: String,
    /// The key's fingerprint: `SHA256:…`.
    pub fingerprint: String,
    /// How the login went: `publickey`, `none`.
    pub method: &'static str,
}

/// The class of an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// The command ran and returned 0.
    Ok,
    /// Something went wrong; the kind says what.
    Failed,
    /// The host was never tried.
    Skipped,
}

impl Status {
    /// Returns `ok`, `failed` or `skipped`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $word:literal,)*) => {
        /// Why a host is not ok.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Kind { $($(#[$doc])* $variant,)* }

        impl Kind {
            /// Every kind, in the order they are listed to people.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns the word used in records and arguments.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
    };
}

kinds! {
    /// The command returned a status other than 0.
    Exit = "exit",
    /// A signal ended the command.
    Signal = "signal",
    /// The command could not be started: not found, not executable, no such directory.
    Spawn = "spawn",
    /// The command did not get the rights it was to have.
    Sudo = "sudo",
    /// A file could not be read or written there.
    Transfer = "transfer",
    /// What was put there did not pass its check, and is not there any more.
    Check = "check",
    /// The command ran longer than it may.
    Timeout = "timeout",
    /// The link died, or the host sent no exit status.
    Lost = "lost",
    /// The name has no address, or the name servers didn't answer.
    Dns = "dns",
    /// The host refused the connection.
    Refused = "refused",
    /// No route to the host.
    Unreachable = "unreachable",
    /// Connecting and authenticating took longer than it may.
    ConnectTimeout = "connect-timeout",
    /// The SSH handshake failed.
    Handshake = "handshake",
    /// The host's key is not known.
    HostKeyUnknown = "host-key-unknown",
    /// The host's key is not the one that is known, or is revoked.
    HostKeyChanged = "host-key-changed",
    /// The host accepted none of the credentials.
    Auth = "auth",
    /// The host refused to run anything on an authenticated connection.
    Channel = "channel",
    /// The run was stopped while the host was being worked.
    Cancelled = "cancelled",
    /// The run was stopped before the host was tried.
    NotStarted = "not-started",
    /// hoist failed.
    Internal = "internal",
}

impl Kind {
    /// Whether the host was reached: the command ran, or would have.
    pub fn is_reached(self) -> bool {
        matches!(
            self,
            Self::Exit | Self::Signal | Self::Spawn | Self::Sudo | Self::Transfer | Self::Check
        )
    }

    /// Returns the status that a record of this kind shows.
    pub fn status(self) -> Status {
        if self == Self::NotStarted {
            Status::Skipped
        } else {
            Status::Failed
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = ();
    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL
            .iter()
            .copied()
            .find(|kind| kind.as_str() == text)
            .ok_or(())
    }
}

/// Whether a command that hoist ended is known to be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Killed {
    /// The host reported its end.
    Confirmed,
    /// No report came; it may still run.
    Unconfirmed,
}

impl Killed {
    /// Returns `confirmed` or `unconfirmed`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Unconfirmed => "unconfirmed",
        }
    }
}

/// What one pipe carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PipeTotal {
    /// Bytes the command wrote, dropped ones included.
    pub bytes: u64,
    /// Whether some were dropped at `max_output`.
    pub is_truncated: bool,
}

/// What became of one host. The output itself travels in events.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// `None` when all went well.
    pub kind: Option<Kind>,
    /// How the command ended, where it did.
    pub exit: Option<ExitStatus>,
    /// What happened and how to go on, on one line; empty when all went well.
    pub message: String,
    /// What was dialled: an address, without port.
    pub address: String,
    /// Account, where there is a login.
    pub user: Option<String>,
    /// Port, where one was dialled.
    pub port: Option<u16>,
    /// When the first attempt began; for a host never tried, when the run ended.
    pub started_at: SystemTime,
    /// From the start of the first attempt to the end.
    pub duration: Duration,
    /// Lookup, connection, handshake and authentication of the last attempt.
    pub connect_duration: Option<Duration>,
    /// Tries made.
    pub attempts: u32,
    /// Standard output.
    pub stdout: PipeTotal,
    /// Standard error.
    pub stderr: PipeTotal,
    /// The command ended but something it left behind kept its stdout open.
    pub is_stdout_held: bool,
    /// Set when hoist ended the command.
    pub killed: Option<Killed>,
    /// Whether something was changed, where that is known.
    pub has_changed: Option<bool>,
}

impl Outcome {
    /// Returns the class.
    pub fn status(&self) -> Status {
        self.kind.map_or(Status::Ok, Kind::status)
    }
}

/// Counts over one run.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Summary {
    /// Hosts selected.
    pub hosts: usize,
    /// Hosts that are ok.
    pub ok: usize,
    /// Hosts by kind, in the order of [`Kind::ALL`], without zeros.
    pub kinds: std::collections::BTreeMap<Kind, usize>,
    /// Largest exit code any command returned.
    pub max_exit_code: u32,
    /// The signal that stopped the run, if one did.
    pub stopped_by: Option<StopReason>,
    /// From the first event to the last.
    pub duration: Duration,
}

/// Why a run was stopped before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum StopReason {
    /// SIGHUP.
    Hangup,
    /// SIGINT, Ctrl-C.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// Nobody reads the output any more and nothing else wants it.
    NoReader,
}

impl StopReason {
    /// Returns how a person would call it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hangup => "hangup",
            Self::Interrupt => "interrupt",
            Self::Terminate => "termination request",
            Self::NoReader => "closed output",
        }
    }
}

impl Summary {
    /// Counts one more host.
    pub fn count(&mut self, outcome: &Outcome) {
        match outcome.kind {
            None => self.ok += 1,
            Some(kind) => *self.kinds.entry(kind).or_default() += 1,
        }
        if let Some(ExitStatus::Code(code)) = outcome.exit {
            self.max_exit_code = self.max_exit_code.max(code);
        }
    }

    /// Returns how many hosts are of `kind`.
    pub fn of(&self, kind: Kind) -> usize {
        self.kinds.get(&kind).copied().unwrap_or(0)
    }
}
