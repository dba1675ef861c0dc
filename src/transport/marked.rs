//! What the wrapper around a command tells on its stderr, and what follows from that for the end.
//!
//! Bytes of stderr and the end as the transport saw it come in; the command's own stderr and the
//! truth about the end go out: a command that was not begun was not executed, whatever the status.
//! Where the command needs other rights than the login has, or is brought along, it also says what may
//! flow into stdin.

use std::ffi::OsString;
use std::time::Instant;

use super::elevation::{self, Next, Talk};
use super::{End, Progress};
use crate::quote::{self, Marker, MarkerFilter, NotBegun};
use crate::remote::{Command, Exec, Pipe, Signal};

/// Success of something else must not pass for success of the command.
const REPLACED: &str = "the host reported success without having begun the command: it runs \
    something else in its place (ForceCommand, command= in authorized_keys, the account's shell)";

/// What is there instead may wait for input.
const SILENT: &str = "the host has not begun the command: it runs something else in its place \
    (ForceCommand, command= in authorized_keys, the account's shell or its start-up files)";

/// The stderr of a command that runs in the wrapper.
pub(super) struct Marked {
    filter: MarkerFilter,
    /// As much of the command as an error message names.
    named: Exec,
    /// Goes on until the command has the rights it needs, and is there.
    talk: Option<Talk>,
    is_finished: bool,
}

/// What signals a command, and what it tells.
pub(super) struct Killer {
    /// The line for the account's login shell.
    pub(super) line: Vec<u8>,
    pub(super) marked: Marked,
}

impl Marked {
    /// `elevated` is what runs once the command has its rights.
    pub(super) fn new(marker: &Marker, exec: &Exec, elevated: Vec<u8>) -> Self {
        Self {
            filter: MarkerFilter::new(marker),
            named: named(exec),
            talk: Talk::about(exec, elevated),
            is_finished: false,
        }
    }

    /// Appends what of `bytes` is the command's own.
    pub(super) fn push(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        self.filter.push(bytes, out);
    }

    /// Whether nothing may flow into stdin until [`next_input`](Self::next_input) says so.
    pub(super) fn is_input_held(&self) -> bool {
        self.talk.is_some()
    }

    /// Returns what may flow into stdin, as long as that is held. To be asked after each push.
    pub(super) fn next_input(&mut self) -> Next {
        let Some(talk) = &mut self.talk else {
            return Next::Open;
        };
        let next = talk.next(&self.filter);
        if matches!(next, Next::Open) {
            self.talk = None;
        }
        next
    }

    /// Whether the command has other rights than the login, or is getting them.
    pub(super) fn is_elevating(&self) -> bool {
        self.filter.is_elevating()
    }

    /// Whether the wrapper has told which process the command is.
    pub(super) fn is_started(&self) -> bool {
        self.filter.started().is_some()
    }

    /// Returns when the command must have got its rights, or a script its place, if it needs some and
    /// has not.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.talk.as_ref()?.deadline(&self.filter)
    }

    /// Returns the end of a command that should have got its rights or its place by now.
    pub(super) fn late(&self) -> Option<End> {
        if self.deadline()? > Instant::now() {
            return None;
        }
        let silence = self.filter.not_begun_in(elevation::TIME, &self.named);
        Some(match silence {
            Some(message) => End::NotElevated { message },
            None => End::Replaced {
                message: SILENT.to_owned(),
            },
        })
    }

    /// Returns what signals the command, once the wrapper has told its process. A command with other
    /// rights is signalled with those.
    pub(super) fn killer(&self, signal: Signal) -> Option<Killer> {
        let started = self.filter.started()?;
        let marker = Marker::random();
        let elevation = self.named.elevation.as_ref();
        let elevation = elevation.filter(|_| self.filter.is_elevating());
        let exec = Exec {
            elevation: elevation.cloned(),
            ..Exec::new(Command::Shell(OsString::new()))
        };
        let request = quote::kill_request(started, signal, elevation, &marker);
        Some(Killer {
            line: request.line,
            marked: Self::new(&marker, &exec, request.elevated),
        })
    }

    /// Hands over what was still held back, then the end: `end`, unless the wrapper knows better.
    pub(super) fn finish(&mut self, buffer: &mut Vec<u8>, end: End) -> Progress {
        if !std::mem::replace(&mut self.is_finished, true) {
            self.filter.finish(buffer);
            if !buffer.is_empty() {
                return Progress::Output(Pipe::Stderr);
            }
        }
        match (self.filter.not_begun(&self.named), &end) {
            // A connection that breaks meanwhile is no refusal, and neither is silence.
            (
                Some(NotBegun::NotElevated(_)),
                End::Lost { .. } | End::NotElevated { .. } | End::Replaced { .. },
            )
            | (None, _) => {}
            (Some(why), _) => return Progress::Ended(why.into()),
        }
        let is_success = matches!(&end, End::Exited { status, .. } if status.is_success());
        if is_success && self.filter.started().is_none() {
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
        // Its content is shared.
        Command::Script(script) => Command::Script(script.clone()),
    };
    Exec {
        cwd: exec.cwd.clone(),
        elevation: exec.elevation.clone(),
        ..Exec::new(command)
    }
}
