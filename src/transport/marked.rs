//! What the wrapper around a command tells on its stderr, and what follows from that for the end.
//!
//! Bytes of stderr and the end as the transport saw it come in; the command's own stderr and the
//! truth about the end go out: a command that was not begun was not executed, whatever the status.

use std::ffi::OsString;

use super::{End, Progress};
use crate::quote::{Marker, MarkerFilter, Started};
use crate::remote::{Command, Exec, Pipe};

/// Success of something else must not pass for success of the command.
const REPLACED: &str = "the host reported success without having begun the command: it runs \
    something else in its place (ForceCommand, command= in authorized_keys, the account's shell)";

/// The stderr of a command that runs in the wrapper.
pub(super) struct Marked {
    filter: MarkerFilter,
    /// As much of the command as an error message names.
    named: Exec,
    is_finished: bool,
}

impl Marked {
    pub(super) fn new(marker: &Marker, exec: &Exec) -> Self {
        Self {
            filter: MarkerFilter::new(marker),
            named: named(exec),
            is_finished: false,
        }
    }

    /// Appends what of `bytes` is the command's own.
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.filter.push(bytes, out);
    }

    /// Returns the command's process, once the wrapper has told it.
    pub(super) fn started(&self) -> Option<&Started> {
        self.filter.started()
    }

    /// Hands over what was still held back, then the end: `end`, unless the wrapper knows better.
    pub(super) fn finish(&mut self, buffer: &mut Vec<u8>, end: End) -> Progress {
        if !std::mem::replace(&mut self.is_finished, true) {
            self.filter.finish(buffer);
            if !buffer.is_empty() {
                return Progress::Output(Pipe::Stderr);
            }
        }
        if let Some(reason) = self.filter.not_spawned() {
            let message = reason.message(&self.named);
            return Progress::Ended(End::NotSpawned { message });
        }
        let is_success = matches!(&end, End::Exited { status, .. } if status.is_success());
        if is_success && self.started().is_none() {
            // The wrapper says first that it is there.
            return Progress::Ended(End::Replaced {
                message: REPLACED.to_owned(),
            });
        }
        Progress::Ended(end)
    }
}

/// Returns a command of which only what a message names is kept: an argument may be long.
fn named(exec: &Exec) -> Exec {
    let command = match &exec.command {
        Command::Argv(argv) => Command::Argv(argv.iter().take(1).cloned().collect()),
        Command::Shell(_) => Command::Shell(OsString::new()),
    };
    Exec {
        cwd: exec.cwd.clone(),
        ..Exec::new(command)
    }
}
