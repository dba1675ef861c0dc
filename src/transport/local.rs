//! This machine as a host: no network and no shell in between, the same semantics as elsewhere.
//!
//! Each command is a child process that leads its own process group, so that a signal reaches
//! everything it started. One that is dropped while it runs is killed with its group; what a
//! command leaves behind when it ends (a daemon) is left alone, as an SSH server would.

use std::cell::Cell;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::LazyLock;

use rustix::io::Errno;

use super::child::{self, Running};
use super::{ConnectError, End, Phase, Process, Progress, Session, SpawnError, Transport, Work};
use crate::host::Endpoint;
use crate::outcome::Kind;
use crate::quote::{self, NotSpawned};
use crate::remote::{self, Exec, Signal};

#[cfg(test)]
mod tests;
mod wrapped;

/// Runs commands on this machine.
#[derive(Debug, Clone)]
pub struct Local {
    shell: OsString,
}

impl Local {
    /// Returns the transport, with `/bin/sh` for command lines.
    pub fn new() -> Self {
        Self::with_shell("/bin/sh".into())
    }

    /// Returns the transport, with the account's own shell for command lines.
    pub fn with_shell(shell: OsString) -> Self {
        Self { shell }
    }
}

impl Default for Local {
    fn default() -> Self {
        Self::new()
    }
}

impl Transport for Local {
    fn connect<'a>(
        &'a self,
        _: &'a Endpoint,
        _: &'a Cell<Phase>,
    ) -> Work<'a, Result<Box<dyn Session>, ConnectError>> {
        let session: Box<dyn Session> = Box::new(self.clone());
        Box::pin(async { Ok(session) })
    }
}

impl Session for Local {
    fn spawn<'a>(&'a mut self, exec: &'a Exec) -> Work<'a, Result<Box<dyn Process>, SpawnError>> {
        Box::pin(async { start(exec, &self.shell) })
    }

    fn peer(&self) -> Option<String> {
        None
    }

    fn close(self: Box<Self>) -> Work<'static, ()> {
        Box::pin(async {})
    }
}

fn start(exec: &Exec, shell: &OsStr) -> Result<Box<dyn Process>, SpawnError> {
    quote::check(exec).map_err(|error| SpawnError {
        kind: Kind::Spawn,
        message: error.to_string(),
    })?;
    if exec.elevation.is_some() || matches!(exec.command, remote::Command::Script(_)) {
        return wrapped::start(exec, shell);
    }
    let (program, arguments) = words(exec, shell);
    let error = match Running::start(command(exec, program, &arguments), (&exec.stdin).into()) {
        Ok(running) => return Ok(Box::new(running)),
        // A script without a `#!` line runs in sh, as every shell has it (POSIX XCU §2.9.1.4).
        Err(error) if is_errno(&error, Errno::NOEXEC) && !is_binary(exec, program) => {
            let mut own = vec!["-c".as_ref(), r#"exec "$0" "$@""#.as_ref(), program];
            own.append(&mut arguments.clone());
            match Running::start(
                command(exec, "/bin/sh".as_ref(), &own),
                (&exec.stdin).into(),
            ) {
                Ok(running) => return Ok(Box::new(running)),
                Err(error) => error,
            }
        }
        Err(error) => error,
    };
    match reason(exec, program, &error) {
        Some(reason) => Ok(Box::new(Unstarted(reason.message(exec)))),
        None => Err(refusal(&error)),
    }
}

fn words<'a>(exec: &'a Exec, shell: &'a OsStr) -> (&'a OsStr, Vec<&'a OsStr>) {
    match &exec.command {
        remote::Command::Argv(argv) => {
            let mut words = argv.iter().map(OsString::as_os_str);
            (words.next().unwrap_or_default(), words.collect())
        }
        remote::Command::Shell(line) => (shell, vec!["-c".as_ref(), line]),
        // It runs in the wrapper.
        remote::Command::Script(_) => (OsStr::new(""), Vec::new()),
    }
}

fn command(exec: &Exec, program: &OsStr, arguments: &[&OsStr]) -> async_process::Command {
    let mut command = std::process::Command::new(program);
    command.args(arguments).process_group(0);
    command.envs(exec.env.iter().map(|(name, value)| (name, value)));
    if let Some(cwd) = &exec.cwd {
        command.current_dir(cwd);
    }
    if is_plain(exec, program) {
        child::end_with_parent(&mut command);
    }
    let mut command = async_process::Command::from(command);
    command
        .stdin(match exec.stdin {
            remote::Stdin::Empty => Stdio::null(),
            _ => Stdio::piped(),
        })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

fn is_errno(error: &io::Error, errno: Errno) -> bool {
    Errno::from_io_error(error) == Some(errno)
}

/// Whether the program is no text: a shell would read it as a script all the same. One that is
/// found through PATH is taken for text.
fn is_binary(exec: &Exec, program: &OsStr) -> bool {
    start_of(&from_cwd(exec, program)).is_some_and(|start| start.contains(&0))
}

/// Whether the program is a text or made for this machine. Of anything else only the kernel knows
/// whether it can be executed, and `execvp` hides its answer by giving the file to a shell;
/// `posix_spawn`, which is used where nothing is to be done between `fork` and `exec`, does not.
fn is_plain(exec: &Exec, program: &OsStr) -> bool {
    static OWN: LazyLock<Option<Made>> =
        LazyLock::new(|| made_for(&start_of(Path::new("/proc/self/exe"))?));
    let Some(start) = start_of(&from_cwd(exec, program)) else {
        return true;
    };
    !start.contains(&0) || (OWN.is_some() && made_for(&start) == *OWN)
}

/// What an ELF program is made for: class, byte order and version; machine.
type Made = ([u8; 3], [u8; 2]);

/// Returns what a program that begins so is made for, if it is an ELF file.
fn made_for(start: &[u8]) -> Option<Made> {
    let identity = start.strip_prefix(b"\x7fELF")?.first_chunk()?;
    let machine = start.get(18..)?.first_chunk()?;
    Some((*identity, *machine))
}

/// Returns up to 128 bytes of a file.
fn start_of(path: &Path) -> Option<Vec<u8>> {
    let mut start = Vec::with_capacity(128);
    let file = File::open(path).ok()?;
    file.take(128).read_to_end(&mut start).ok()?;
    Some(start)
}

fn from_cwd(exec: &Exec, program: &OsStr) -> PathBuf {
    let cwd = exec.cwd.as_deref().unwrap_or(Path::new(""));
    cwd.join(program)
}

/// Returns what of the command can't be executed; `None` when the machine is short of something.
fn reason(exec: &Exec, program: &OsStr, error: &io::Error) -> Option<NotSpawned> {
    if let Some(reason) = exec.cwd.as_deref().and_then(cwd_reason) {
        return Some(reason);
    }
    let is_path = program.as_encoded_bytes().contains(&b'/');
    let file = is_path.then(|| from_cwd(exec, program));
    match Errno::from_io_error(error)? {
        Errno::NOENT | Errno::NOTDIR => Some(match file {
            Some(file) if file.exists() => NotSpawned::Interpreter,
            _ => NotSpawned::Missing,
        }),
        Errno::ACCESS | Errno::PERM => Some(match file {
            Some(file) if file.is_dir() => NotSpawned::IsDirectory,
            _ => NotSpawned::Denied,
        }),
        Errno::NOEXEC | Errno::LOOP | Errno::NAMETOOLONG | Errno::TXTBSY | Errno::LIBBAD => {
            Some(NotSpawned::Refused)
        }
        _ => None,
    }
}

fn cwd_reason(cwd: &Path) -> Option<NotSpawned> {
    if cwd.exists() && !cwd.is_dir() {
        return Some(NotSpawned::CwdIsFile);
    }
    match rustix::fs::access(cwd, rustix::fs::Access::EXEC_OK) {
        Ok(()) => None,
        Err(Errno::ACCESS) => Some(NotSpawned::CwdDenied),
        Err(_) => Some(NotSpawned::CwdMissing),
    }
}

fn refusal(error: &io::Error) -> SpawnError {
    if is_errno(error, Errno::TOOBIG) {
        return SpawnError {
            kind: Kind::Spawn,
            message: "the arguments and variables are longer than this machine takes; \
                      send long data through --stdin"
                .to_owned(),
        };
    }
    SpawnError {
        kind: Kind::Channel,
        message: format!("this machine could not start a process: {error}"),
    }
}

/// A command that never was a process.
struct Unstarted(String);

impl Process for Unstarted {
    fn next<'a>(&'a mut self, buffer: &'a mut Vec<u8>) -> Work<'a, Progress> {
        buffer.clear();
        let message = self.0.clone();
        Box::pin(async { Progress::Ended(End::NotSpawned { message }) })
    }

    fn signal(&mut self, _: Signal) -> Work<'_, io::Result<()>> {
        Box::pin(async { Err(Errno::SRCH.into()) })
    }
}
