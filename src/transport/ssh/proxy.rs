//! A command whose stdin and stdout lead to a host (`ProxyCommand` in `ssh_config(5)`).
//!
//! It runs in a shell, in a process group of its own, as the child of this process, and is ended
//! with the connection. What it writes to stderr is kept in a nameless file, for the message if it
//! fails.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::host::{cut, escaped};

/// The end of what a command said that is looked at, in bytes.
const LAST_BYTES: u64 = 1024;
/// Most characters that are shown of it.
const MAX_SHOWN: usize = 200;

/// A running command. Dropping it ends it.
pub(super) struct ProxyCommand {
    child: Mutex<Option<Child>>,
    stderr: Mutex<File>,
}

impl ProxyCommand {
    /// Starts a command line and returns it with the stream that leads through it.
    pub(super) fn start(line: &str) -> io::Result<(Self, UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        let stderr = tempfile::tempfile()?;
        let stdin = OwnedFd::from(theirs.try_clone()?);
        let child = Command::new("/bin/sh")
            .arg("-c")
            .arg(format!("exec {line}"))
            .stdin(Stdio::from(stdin))
            .stdout(Stdio::from(OwnedFd::from(theirs)))
            .stderr(Stdio::from(stderr.try_clone()?))
            .process_group(0)
            .spawn()?;
        let command = Self {
            child: Mutex::new(Some(child)),
            stderr: Mutex::new(stderr),
        };
        Ok((command, ours))
    }

    /// Returns the last line on its stderr.
    pub(super) fn said(&self) -> Option<String> {
        let mut stderr = self.stderr.lock().ok()?;
        let length = stderr.seek(SeekFrom::End(0)).ok()?;
        stderr
            .seek(SeekFrom::Start(length.saturating_sub(LAST_BYTES)))
            .ok()?;
        let mut bytes = Vec::new();
        (&mut *stderr)
            .take(LAST_BYTES)
            .read_to_end(&mut bytes)
            .ok()?;
        // Whatever the command writes next goes to the end.
        stderr.seek(SeekFrom::End(0)).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let last = text.lines().rev().find(|line| !line.trim().is_empty())?;
        Some(cut(escaped(last.trim()), MAX_SHOWN))
    }
}

impl Drop for ProxyCommand {
    fn drop(&mut self) {
        let Some(mut child) = self.child.get_mut().ok().and_then(Option::take) else {
            return;
        };
        let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let end = move |signal| {
            // It may have ended by itself.
            let _ = group.map(|group| kill_process_group(group, signal));
        };
        end(Signal::TERM);
        // Not reaped before it is looked at: until then its number is nobody else's.
        if matches!(child.try_wait(), Ok(Some(_))) {
            return;
        }
        blocking::unblock(move || {
            std::thread::sleep(std::time::Duration::from_millis(200));
            if matches!(child.try_wait(), Ok(None)) {
                end(Signal::KILL);
            }
            let _ = child.wait();
        })
        .detach();
    }
}
