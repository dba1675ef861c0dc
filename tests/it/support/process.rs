//! Starts a program, watches its pipes, ends it by its own process descriptor when time is up.

use std::ffi::OsStr;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::captured::{Captured, Keep};
use super::ended::Ended;
use super::tree::{descendants, kill};

/// A program that was started; killed when dropped before its end.
pub(crate) struct Running {
    line: String,
    started_at: Instant,
    pid: u32,
    process: OwnedFd,
    stdin: Option<ChildStdin>,
    ended: mpsc::Receiver<ExitStatus>,
    is_over: bool,
    /// Standard output so far; empty where it was given away.
    pub stdout: Captured,
    /// Standard error so far.
    pub stderr: Captured,
    /// Logs of servers, shown with a failure.
    pub logs: Vec<Captured>,
}

impl Running {
    /// Starts `command`; its stdout is captured unless `gives_stdout_away`.
    pub(crate) fn start(command: &mut Command, keep: Keep, gives_stdout_away: bool) -> Self {
        let line = words(command);
        command.stdin(Stdio::piped()).stderr(Stdio::piped());
        if !gives_stdout_away {
            command.stdout(Stdio::piped());
        }
        let mut child = command
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start `{line}`: {error}"));
        // Nobody has waited for the child yet, so the number is still its own.
        let pid = Pid::from_child(&child);
        let process = pidfd_open(pid, PidfdFlags::empty()).expect("a child can be watched");
        let stdout = child.stdout.take().map(|pipe| Captured::from(pipe, keep));
        let stderr = child
            .stderr
            .take()
            .map(|pipe| Captured::from(pipe, Keep::All));
        let stdin = child.stdin.take();
        let (sender, ended) = mpsc::channel();
        thread::spawn(move || sender.send(child.wait().expect("a child can be waited for")));
        Self {
            line,
            started_at: Instant::now(),
            pid: pid.as_raw_nonzero().get().unsigned_abs(),
            process,
            stdin,
            ended,
            is_over: false,
            stdout: stdout.unwrap_or_else(Captured::nothing),
            stderr: stderr.unwrap_or_else(Captured::nothing),
            logs: Vec::new(),
        }
    }

    /// Writes to the program's stdin, from a thread so that a program that doesn't read holds
    /// nobody up, then closes it.
    pub(crate) fn feed(&mut self, bytes: Vec<u8>) {
        let stdin = self.stdin.take();
        if let Some(mut stdin) = stdin {
            // A program may well end without reading everything.
            thread::spawn(move || stdin.write_all(&bytes).ok());
        }
    }

    /// Types on the program's terminal.
    pub(crate) fn type_in(&mut self, text: &str) {
        let stdin = self.stdin.as_mut().expect("stdin is still open");
        stdin
            .write_all(text.as_bytes())
            .expect("somebody reads the terminal");
    }

    /// Waits until stdout holds `text`; fails the test otherwise.
    #[track_caller]
    pub(crate) fn shows(&self, text: &str) -> &Self {
        assert!(
            self.stdout.wait_for(text, super::PATIENCE),
            "`{}` never printed `{text}`\nstdout: {}\nstderr: {}\n{}",
            self.line,
            self.stdout,
            self.stderr,
            super::ended::shown_logs(&self.logs),
        );
        self
    }

    /// Waits until stderr holds `text`; fails the test otherwise.
    #[track_caller]
    pub(crate) fn warns(&self, text: &str) -> &Self {
        assert!(
            self.stderr.wait_for(text, super::PATIENCE),
            "`{}` never printed `{text}` on stderr\nstdout: {}\nstderr: {}\n{}",
            self.line,
            self.stdout,
            self.stderr,
            super::ended::shown_logs(&self.logs),
        );
        self
    }

    /// Returns the process id, for commands that are to signal it.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) -> &Self {
        pidfd_send_signal(&self.process, signal).expect("the program is there to take a signal");
        self
    }

    /// Ends the program and all it has started: it may stand around the one that is tested.
    fn kill(&self) {
        let started = descendants(self.pid);
        pidfd_send_signal(&self.process, Signal::KILL).ok();
        started.into_iter().for_each(kill);
    }

    /// Waits for the end; kills the program and fails the test when it takes longer than
    /// `patience`.
    #[track_caller]
    pub(crate) fn wait(mut self, patience: Duration) -> Ended {
        let left = |start: Instant| patience.saturating_sub(start.elapsed());
        let status = self.ended.recv_timeout(left(self.started_at)).ok();
        let took = self.started_at.elapsed();
        self.is_over = status.is_some();
        if status.is_none() {
            self.kill();
        }
        // What the program left behind may keep its pipes open: not for longer than the rest.
        let closing = left(self.started_at).max(Duration::from_secs(2));
        self.stdout.wait_for_end(closing);
        self.stderr.wait_for_end(closing);
        let ended = Ended {
            line: self.line.clone(),
            status,
            took,
            stdout: self.stdout.bytes(),
            tally: self.stdout.tally(),
            stderr: self.stderr.bytes(),
            logs: self.logs.clone(),
        };
        assert!(
            status.is_some(),
            "was still running after {patience:?} and has been killed\n{ended}"
        );
        ended
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_over {
            self.kill();
        }
    }
}

/// Runs `program` to its end and returns its stdout; fails the test when it doesn't succeed.
#[track_caller]
pub(crate) fn must(program: &str, args: &[&dyn AsRef<OsStr>]) -> String {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", super::PATH)
        .env("LC_ALL", "C.UTF-8");
    command
        .args(args.iter().map(AsRef::as_ref))
        .stdin(Stdio::null());
    let output = command
        .output()
        .unwrap_or_else(|error| panic!("cannot start `{}`: {error}", words(&command)));
    assert!(
        output.status.success(),
        "`{}` failed with {}: {}",
        words(&command),
        output.status,
        String::from_utf8_lossy(&output.stderr),
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Returns a command as one line for messages.
fn words(command: &Command) -> String {
    let words = [command.get_program()]
        .into_iter()
        .chain(command.get_args());
    words
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}
