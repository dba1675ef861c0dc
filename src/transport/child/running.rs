//! One child process: its pipes drained and fed together, its end told once.

use std::future::{Future, poll_fn};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::pin::Pin;
use std::process::ExitStatus as Status;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use async_io::Timer;
use async_process::{Child, ChildStderr, ChildStdout, Command};
use futures_lite::AsyncRead;
use rustix::io::Errno;
use rustix::process::{Pid, Signal as Number, kill_process_group};

use super::feed::Feed;
use crate::remote::{ExitStatus, Pipe, Signal, Stdin};
use crate::transport::elevation::Next;
use crate::transport::{End, Process, Progress, READ_BYTES, Work};

/// How long something that the command left behind may hold a pipe before the end is told.
const LINGER: Duration = Duration::from_millis(250);

/// More than both pipes can hold (`/proc/sys/fs/pipe-max-size` is 1 MiB): what the command itself
/// wrote before it ended is read whole, however busy the reader is and whatever else writes.
const MOST_IN_FLIGHT: usize = 2 * 1024 * 1024 + READ_BYTES;

/// What a process reads.
pub(in crate::transport) struct Input<'a> {
    /// Comes first.
    pub(in crate::transport) preamble: Vec<u8>,
    pub(in crate::transport) source: &'a Stdin,
    /// The source has to wait.
    pub(in crate::transport) is_held: bool,
}

impl<'a> From<&'a Stdin> for Input<'a> {
    fn from(source: &'a Stdin) -> Self {
        Self {
            preamble: Vec::new(),
            source,
            is_held: false,
        }
    }
}

/// A command that became a process.
pub(in crate::transport) struct Running {
    /// The process and its group.
    pid: Pid,
    /// Resolves when the process has ended; it is a zombie, its id not reused, until then.
    exit: Pin<Box<dyn Future<Output = io::Result<Status>>>>,
    stdin: Option<Feed>,
    stdout: Option<ChildStdout>,
    stderr: Option<ChildStderr>,
    /// Which pipe is looked at first: the other than last time.
    first: Pipe,
    ended: Option<Ended>,
    /// Reaps the process, even when it is dropped.
    _child: Child,
}

/// The process has ended; its pipes may still be open.
struct Ended {
    /// `Err` says why the status is not known.
    status: Result<ExitStatus, String>,
    deadline: Instant,
    timer: Timer,
    /// Bytes read since.
    read: usize,
}

impl Ended {
    fn new(status: Result<ExitStatus, String>) -> Self {
        let deadline = Instant::now() + LINGER;
        Self {
            status,
            deadline,
            timer: Timer::at(deadline),
            read: 0,
        }
    }

    fn is_enough(&self) -> bool {
        self.read >= MOST_IN_FLIGHT && Instant::now() >= self.deadline
    }

    fn progress(&self, is_held: bool) -> Progress {
        Progress::Ended(match self.status.clone() {
            Ok(status) => End::Exited { status, is_held },
            Err(message) => End::Lost { message },
        })
    }
}

impl Running {
    /// Starts `command`. Those of its stdout and stderr that are pipes are drained; a stdin that is
    /// one is fed.
    pub(in crate::transport) fn start(mut command: Command, input: Input<'_>) -> io::Result<Self> {
        let mut child = command.spawn()?;
        let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
        let feed = child.stdin.take();
        Ok(Self {
            pid: pid.ok_or(Errno::SRCH)?,
            stdin: feed.map(|pipe| {
                let source = input.source.clone();
                Feed::new(pipe, input.preamble, source, input.is_held)
            }),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
            first: Pipe::Stdout,
            ended: None,
            exit: Box::pin(child.status()),
            _child: child,
        })
    }

    /// Lets flow into stdin what a command that is getting its rights may have.
    pub(super) fn heed(&mut self, next: Next) {
        if let Some(feed) = &mut self.stdin {
            feed.heed(next);
        }
    }

    /// Returns the number of its process group.
    pub(in crate::transport) fn group(&self) -> u32 {
        self.pid.as_raw_nonzero().get().unsigned_abs()
    }

    /// Loses nothing when it is not polled to its end: bytes are only taken from a pipe together
    /// with the answer.
    pub(in crate::transport) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut Vec<u8>,
    ) -> Poll<Progress> {
        self.poll_stdin(cx);
        self.poll_exit(cx);
        let is_enough = self.ended.as_ref().is_some_and(Ended::is_enough);
        if !is_enough && let Some(pipe) = self.poll_pipes(cx, buffer) {
            if let Some(ended) = &mut self.ended {
                ended.read += buffer.len();
            }
            return Poll::Ready(Progress::Output(pipe));
        }
        let Some(ended) = &mut self.ended else {
            return Poll::Pending;
        };
        let is_held = self.stdout.is_some() || self.stderr.is_some();
        if is_held && !is_enough && Pin::new(&mut ended.timer).poll(cx).is_pending() {
            return Poll::Pending;
        }
        Poll::Ready(ended.progress(is_held))
    }

    /// Asked every time, as something left behind may write without end.
    fn poll_exit(&mut self, cx: &mut Context<'_>) {
        if self.ended.is_some() {
            return;
        }
        if let Poll::Ready(status) = self.exit.as_mut().poll(cx) {
            self.end(
                status
                    .map(exit_status)
                    .map_err(|error| format!("how the command ended can't be known: {error}")),
            );
        }
    }

    fn poll_stdin(&mut self, cx: &mut Context<'_>) {
        let Some(feed) = &mut self.stdin else { return };
        match feed.poll(cx) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => self.stdin = None,
            // A part of the input must not pass for the whole.
            Poll::Ready(Err(error)) => {
                self.kill();
                self.end(Err(format!(
                    "the command was ended, as its input can't be read: {error}"
                )));
            }
        }
    }

    fn poll_pipes(&mut self, cx: &mut Context<'_>, buffer: &mut Vec<u8>) -> Option<Pipe> {
        let order = match self.first {
            Pipe::Stdout => [Pipe::Stdout, Pipe::Stderr],
            Pipe::Stderr => [Pipe::Stderr, Pipe::Stdout],
        };
        buffer.resize(READ_BYTES, 0);
        for pipe in order {
            let read = match pipe {
                Pipe::Stdout => poll_pipe(&mut self.stdout, cx, buffer),
                Pipe::Stderr => poll_pipe(&mut self.stderr, cx, buffer),
            };
            if read > 0 {
                buffer.truncate(read);
                if pipe == self.first {
                    self.first = order[1];
                }
                return Some(pipe);
            }
        }
        buffer.clear();
        None
    }

    fn end(&mut self, status: Result<ExitStatus, String>) {
        self.stdin = None;
        self.ended = Some(Ended::new(status));
    }

    fn kill(&self) {
        // It may have ended a moment ago, which is as good.
        let _ = kill_process_group(self.pid, Number::KILL);
    }
}

/// Reads once and returns how much; 0 when there is nothing, with the pipe gone at its end.
fn poll_pipe<P: AsyncRead + Unpin>(
    pipe: &mut Option<P>,
    cx: &mut Context<'_>,
    buffer: &mut [u8],
) -> usize {
    let Some(open) = pipe else { return 0 };
    match Pin::new(open).poll_read(cx, buffer) {
        Poll::Pending => 0,
        Poll::Ready(Ok(read)) if read > 0 => read,
        Poll::Ready(_) => {
            *pipe = None;
            0
        }
    }
}

impl Process for Running {
    fn next<'a>(&'a mut self, buffer: &'a mut Vec<u8>) -> Work<'a, Progress> {
        buffer.clear();
        Box::pin(poll_fn(|cx| self.poll(cx, buffer)))
    }

    fn signal(&mut self, signal: Signal) -> Work<'_, io::Result<()>> {
        let number = match signal {
            Signal::Term => Number::TERM,
            Signal::Kill => Number::KILL,
        };
        // Once the process is reaped its id may be another's.
        let sent = match self.ended {
            None => kill_process_group(self.pid, number),
            Some(_) => Err(Errno::SRCH),
        };
        Box::pin(async move { sent.map_err(io::Error::from) })
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended.is_none() {
            self.kill();
        }
    }
}

fn exit_status(status: Status) -> ExitStatus {
    match (status.code(), status.signal()) {
        (Some(code), _) => ExitStatus::Code(code.unsigned_abs()),
        (None, signal) => ExitStatus::Signal(signal_name(signal.unwrap_or_default())),
    }
}

/// Returns the name without `SIG`, or the number of a signal that has none (real-time signals).
fn signal_name(number: i32) -> String {
    const NAMES: &[(Number, &str)] = &[
        (Number::HUP, "HUP"),
        (Number::INT, "INT"),
        (Number::QUIT, "QUIT"),
        (Number::ILL, "ILL"),
        (Number::TRAP, "TRAP"),
        (Number::ABORT, "ABRT"),
        (Number::BUS, "BUS"),
        (Number::FPE, "FPE"),
        (Number::KILL, "KILL"),
        (Number::USR1, "USR1"),
        (Number::SEGV, "SEGV"),
        (Number::USR2, "USR2"),
        (Number::PIPE, "PIPE"),
        (Number::ALARM, "ALRM"),
        (Number::TERM, "TERM"),
        (Number::XCPU, "XCPU"),
        (Number::XFSZ, "XFSZ"),
        (Number::VTALARM, "VTALRM"),
        (Number::PROF, "PROF"),
        (Number::IO, "IO"),
        (Number::SYS, "SYS"),
    ];
    let named = NAMES.iter().find(|(named, _)| named.as_raw() == number);
    named.map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_without_sig_and_others_are_numbers() {
        assert_eq!(signal_name(9), "KILL");
        assert_eq!(signal_name(6), "ABRT");
        assert_eq!(signal_name(40), "40");
    }
}
