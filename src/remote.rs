//! What is executed on a host and what comes back: command, pipes, exit status.
//!
//! The same for every transport. Everything is bytes: hoist never decides an encoding.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::host::UserName;
use crate::secret::Secret;

mod script;

pub use script::Script;

/// What hosts execute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// A program and its arguments, delivered byte for byte. Never empty, no NUL.
    Argv(Vec<OsString>),
    /// A line for the account's own shell.
    Shell(OsString),
    /// A program that the host doesn't have: it is brought there, and removed when it has ended.
    Script(Script),
}

/// One command with everything around it.
#[derive(Debug, Clone)]
pub struct Exec {
    /// What is executed.
    pub command: Command,
    /// Working directory; the account's home (or, locally, hoist's own) when `None`.
    pub cwd: Option<PathBuf>,
    /// Environment added to the account's own, in order; a later value wins.
    pub env: Vec<(String, OsString)>,
    /// Whose rights the command has, where those are not the login's.
    pub elevation: Option<Elevation>,
    /// What the command reads.
    pub stdin: Stdin,
    /// Most bytes kept of each pipe; more is read and dropped.
    pub max_output: Option<u64>,
    /// Longest the command may run.
    pub timeout: Option<Duration>,
}

impl Exec {
    /// Returns `command` with nothing around it: empty stdin, no limit.
    pub fn new(command: Command) -> Self {
        Self {
            command,
            cwd: None,
            env: Vec::new(),
            elevation: None,
            stdin: Stdin::Empty,
            max_output: None,
            timeout: None,
        }
    }

    /// Returns what is sent: the content of a script, then what the command reads.
    pub(crate) fn input(&self) -> Stdin {
        match &self.command {
            Command::Script(script) => {
                Stdin::Made(Arc::new(script::Joined::new(script, self.stdin.clone())))
            }
            Command::Argv(_) | Command::Shell(_) => self.stdin.clone(),
        }
    }
}

/// What gives a command other rights than the login has.
#[derive(Debug, Clone)]
pub enum Elevation {
    /// `sudo`. Not used where the login is that user's already.
    Sudo {
        /// Who the command runs as.
        user: UserName,
        /// Told to `sudo` where it asks, and to nobody else; without one it may not ask.
        password: Option<Secret>,
    },
    /// These words, to which what is to be executed is added: `doas -u root`. Never empty, no NUL.
    With(Vec<String>),
}

/// What a command reads. One source serves every host, each from its start.
#[derive(Debug, Clone, Default)]
pub enum Stdin {
    /// End of file at once.
    #[default]
    Empty,
    /// These bytes.
    Bytes(Arc<[u8]>),
    /// This file, read by position, so that hosts don't disturb each other.
    File(Arc<File>),
    /// What is put together as it is read.
    Made(Arc<dyn Content>),
}

impl Stdin {
    /// Returns what is read by position, if that is how it is read.
    pub fn content(&self) -> Option<&dyn Content> {
        match self {
            Self::Empty | Self::Bytes(_) => None,
            Self::File(file) => Some(&**file),
            Self::Made(content) => Some(&**content),
        }
    }
}

/// Bytes that are read by position, by many hosts at once and each in its own time.
pub trait Content: fmt::Debug + Send + Sync {
    /// Returns how many bytes there are.
    fn length(&self) -> u64;

    /// Reads at `offset` and returns how many bytes that were; 0 at the end alone.
    ///
    /// # Errors
    /// When it can't be read, or has changed since its length was told.
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;

    /// Returns the next part that is more than a hole (bytes that are 0 and take no room), from
    /// `offset` on; `None` when nothing but a hole is left.
    fn data_from(&self, offset: u64) -> Option<Range<u64>> {
        (offset < self.length()).then(|| offset..self.length())
    }
}

impl Content for File {
    fn length(&self) -> u64 {
        self.metadata().map_or(0, |file| file.len())
    }

    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match FileExt::read_at(self, buffer, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

/// One of a command's two outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pipe {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Pipe {
    /// Both, in the order records show them.
    pub const BOTH: [Self; 2] = [Self::Stdout, Self::Stderr];

    /// Returns `stdout` or `stderr`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// How a remote command ended, as the host told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExitStatus {
    /// It returned this code; SSH allows 32 bits (RFC 4254 §6.10).
    Code(u32),
    /// A signal ended it; the name has no `SIG` prefix.
    Signal(String),
}

impl ExitStatus {
    /// Whether the command returned 0.
    pub fn is_success(&self) -> bool {
        *self == Self::Code(0)
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit {code}"),
            Self::Signal(name) => write!(f, "signal {name}"),
        }
    }
}

/// A signal hoist sends to end a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// Asks it to end.
    Term,
    /// Ends it.
    Kill,
}

impl Signal {
    /// Returns the name as `kill -s` and RFC 4254 §6.9 take it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Term => "TERM",
            Self::Kill => "KILL",
        }
    }
}
