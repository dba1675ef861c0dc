//! A child process whose stderr carries the wrapper's marker: a command that a shell, here or
//! elsewhere, runs.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_io::Timer;
use async_process::Command;

use super::{Input, Running};
use crate::quote::{Marker, Request};
use crate::remote::{Exec, Pipe, Signal, Stdin};
use crate::transport::marked::{Killer, Marked};
use crate::transport::{End, Process, Progress, Work};

/// A process that stands for a command in the wrapper.
pub(in crate::transport) struct Wrapped {
    running: Running,
    marked: Marked,
    /// Goes off when a command should have got the rights or the place it needs.
    late: Timer,
    /// What was read, before the marker is taken out.
    raw: Vec<u8>,
}

impl Wrapped {
    /// Starts `command`, whose stdin, stdout and stderr are pipes, to have `request` run.
    pub(in crate::transport) fn start(
        command: Command,
        request: Request,
        marker: &Marker,
        exec: &Exec,
    ) -> io::Result<Self> {
        let told = Marked::new(marker, exec, request.elevated);
        Self::with(command, request.preamble, &exec.input(), told)
    }

    /// Starts `command`, whose stdin, stdout and stderr are pipes, to have a signal sent.
    pub(in crate::transport) fn kill(command: Command, marked: Marked) -> io::Result<Self> {
        Self::with(command, Vec::new(), &Stdin::Empty, marked)
    }

    fn with(
        command: Command,
        preamble: Vec<u8>,
        source: &Stdin,
        marked: Marked,
    ) -> io::Result<Self> {
        let input = Input {
            preamble,
            source,
            is_held: marked.is_input_held(),
        };
        Ok(Self {
            running: Running::start(command, input)?,
            late: marked.deadline().map_or_else(Timer::never, Timer::at),
            marked,
            raw: Vec::new(),
        })
    }

    /// Returns what the command wrote, or how the process itself ended: what that means for the
    /// command is for [`finish`](Self::finish). Loses nothing when it is not polled to its end.
    pub(in crate::transport) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut Vec<u8>,
    ) -> Poll<Progress> {
        loop {
            match self.running.poll(cx, buffer) {
                Poll::Ready(Progress::Output(Pipe::Stderr)) => {
                    std::mem::swap(&mut self.raw, buffer);
                    buffer.clear();
                    self.marked.push(&self.raw, buffer);
                    if self.marked.is_input_held() {
                        self.running.heed(self.marked.next_input());
                    }
                    if !buffer.is_empty() {
                        return Poll::Ready(Progress::Output(Pipe::Stderr));
                    }
                }
                Poll::Pending if Pin::new(&mut self.late).poll(cx).is_ready() => {
                    if let Some(end) = self.marked.late() {
                        return Poll::Ready(Progress::Ended(end));
                    }
                    // There is more time by now, or no need for it any more.
                    let deadline = self.marked.deadline();
                    self.late = deadline.map_or_else(Timer::never, Timer::at);
                }
                told => return told,
            }
        }
    }

    /// Hands over what was still held back, then the end: `end`, unless the wrapper knows better.
    pub(in crate::transport) fn finish(&mut self, buffer: &mut Vec<u8>, end: End) -> Progress {
        self.marked.finish(buffer, end)
    }

    /// Whether the wrapper has told which process the command is.
    pub(in crate::transport) fn is_started(&self) -> bool {
        self.marked.is_started()
    }

    /// Returns what signals the command, once the wrapper has told its process.
    pub(in crate::transport) fn killer(&self, signal: Signal) -> Option<Killer> {
        self.marked.killer(signal)
    }

    /// Whether the command has other rights than who started it.
    pub(in crate::transport) fn is_elevated(&self) -> bool {
        self.marked.is_elevating()
    }

    /// Sends a signal to the process itself and its group.
    pub(in crate::transport) fn signal_own(&mut self, signal: Signal) -> Work<'_, io::Result<()>> {
        self.running.signal(signal)
    }

    /// Waits for the end, and drops what is said meanwhile.
    ///
    /// # Errors
    /// When it did not end with 0.
    pub(in crate::transport) async fn succeeds(mut self) -> io::Result<()> {
        let mut said = Vec::new();
        loop {
            said.clear();
            match poll_fn(|cx| self.poll(cx, &mut said)).await {
                Progress::Output(_) => {}
                Progress::Ended(End::Exited { status, .. }) if status.is_success() => return Ok(()),
                Progress::Ended(_) => {
                    return Err(io::Error::other("the signal could not be delivered"));
                }
            }
        }
    }
}
