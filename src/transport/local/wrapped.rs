//! A command on this machine that needs other rights, or a script that is brought along: it runs in
//! the wrapper, as it would elsewhere.

use std::ffi::{OsStr, OsString};
use std::future::poll_fn;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::process::Stdio;

use async_process::Command;

use super::super::child::{Wrapped, begin_session, end_with_parent};
use crate::outcome::Kind;
use crate::quote::{self, Marker};
use crate::remote::{Exec, Signal};
use crate::transport::{Process, Progress, SpawnError, Work};

/// A command in the wrapper.
struct InWrapper(Wrapped);

/// Starts a command that needs other rights, or a script. Lines are for `shell`, unless the rights
/// come with another one.
pub(super) fn start(exec: &Exec, shell: &OsStr) -> Result<Box<dyn Process>, SpawnError> {
    let failed = |kind| move |message: String| SpawnError { kind, message };
    let marker = Marker::random();
    let request = quote::request(exec, &marker);
    let mut request = request.map_err(|error| failed(Kind::Spawn)(error.to_string()))?;
    let line = std::mem::take(&mut request.line);
    let mut command = sh(line);
    command.env("SHELL", shell);
    let wrapped = Wrapped::start(command, request, &marker, exec);
    let wrapped = wrapped.map_err(|error| {
        failed(Kind::Channel)(format!("this machine could not start a process: {error}"))
    })?;
    Ok(Box::new(InWrapper(wrapped)))
}

/// Returns a shell that is about to run a line.
fn sh(line: Vec<u8>) -> Command {
    let mut command = std::process::Command::new("/bin/sh");
    command.arg("-c").arg(OsString::from_vec(line));
    begin_session(&mut command);
    end_with_parent(&mut command);
    let mut command = Command::from(command);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

impl Process for InWrapper {
    fn next<'a>(&'a mut self, buffer: &'a mut Vec<u8>) -> Work<'a, Progress> {
        buffer.clear();
        Box::pin(async {
            match poll_fn(|cx| self.0.poll(cx, buffer)).await {
                Progress::Ended(end) => self.0.finish(buffer, end),
                output @ Progress::Output(_) => output,
            }
        })
    }

    fn signal(&mut self, signal: Signal) -> Work<'_, io::Result<()>> {
        let killer = self.0.killer(signal).filter(|_| self.0.is_elevated());
        match killer {
            None => self.0.signal_own(signal),
            Some(killer) => Box::pin(async {
                Wrapped::kill(sh(killer.line), killer.marked)?
                    .succeeds()
                    .await
            }),
        }
    }
}
