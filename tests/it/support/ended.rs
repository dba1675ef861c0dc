//! How a program ended and what it printed, with the checks tests make on that.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use super::captured::{Captured, Tally};
use super::record::Record;

/// A program that is over. Every check returns it, so that checks can be chained; one that fails
/// shows all there is.
pub(crate) struct Ended {
    pub line: String,
    pub status: Option<ExitStatus>,
    pub took: Duration,
    pub stdout: Vec<u8>,
    pub tally: Tally,
    pub stderr: Vec<u8>,
    pub logs: Vec<Captured>,
}

impl Ended {
    /// Returns stdout as text.
    pub(crate) fn out(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Returns stderr as text.
    pub(crate) fn err(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    #[track_caller]
    fn check(&self, holds: bool, claim: impl fmt::Display) -> &Self {
        assert!(holds, "expected {claim}\n{self}");
        self
    }

    /// Checks the exit code.
    #[track_caller]
    pub(crate) fn code(&self, code: i32) -> &Self {
        let is_it = self.status.and_then(|status| status.code()) == Some(code);
        self.check(is_it, format_args!("exit code {code}"))
    }

    /// Checks the whole of stdout.
    #[track_caller]
    pub(crate) fn stdout(&self, text: &str) -> &Self {
        self.check(
            self.stdout == text.as_bytes(),
            format_args!("stdout to be {text:?}"),
        )
    }

    /// Checks the lines of stdout, in any order.
    #[track_caller]
    pub(crate) fn stdout_lines<T: AsRef<str>>(&self, lines: &[T]) -> &Self {
        let out = self.out();
        let mut found: Vec<&str> = out.lines().collect();
        let mut wanted: Vec<&str> = lines.iter().map(AsRef::as_ref).collect();
        found.sort_unstable();
        wanted.sort_unstable();
        self.check(
            found == wanted,
            format_args!("in any order on stdout: {wanted:#?}"),
        )
    }

    /// Checks that stdout holds a text.
    #[track_caller]
    pub(crate) fn stdout_has(&self, text: &str) -> &Self {
        self.check(
            self.out().contains(text),
            format_args!("stdout to hold {text:?}"),
        )
    }

    /// Checks that stderr holds a text.
    #[track_caller]
    pub(crate) fn stderr_has(&self, text: &str) -> &Self {
        self.check(
            self.err().contains(text),
            format_args!("stderr to hold {text:?}"),
        )
    }

    /// Checks that stderr doesn't hold a text.
    #[track_caller]
    pub(crate) fn stderr_lacks(&self, text: &str) -> &Self {
        self.check(
            !self.err().contains(text),
            format_args!("stderr not to hold {text:?}"),
        )
    }

    /// Checks that nothing was printed on stderr.
    #[track_caller]
    pub(crate) fn no_stderr(&self) -> &Self {
        self.check(self.stderr.is_empty(), "nothing on stderr")
    }

    /// Checks that nothing was printed on stdout.
    #[track_caller]
    pub(crate) fn no_stdout(&self) -> &Self {
        self.check(self.stdout.is_empty(), "nothing on stdout")
    }

    /// Checks for one line of complaint on stderr, `hoist: …`, holding all of `parts`.
    #[track_caller]
    pub(crate) fn complains(&self, parts: &[&str]) -> &Self {
        let err = self.err();
        let says_all = |line: &str| parts.iter().all(|part| line.contains(part));
        let found = err
            .lines()
            .any(|line| line.starts_with("hoist: ") && says_all(line));
        self.check(
            found,
            format_args!("one line on stderr with `hoist: ` and {parts:?}"),
        )
    }

    /// Checks that it didn't take longer.
    #[track_caller]
    pub(crate) fn within(&self, limit: Duration) -> &Self {
        self.check(self.took <= limit, format_args!("to end within {limit:?}"))
    }

    /// Returns the records on stdout: JSON lines, or one array.
    #[track_caller]
    pub(crate) fn records(&self) -> Vec<Record> {
        Record::all(&self.stdout).unwrap_or_else(|error| panic!("no records: {error}\n{self}"))
    }

    /// Returns the record of one host.
    #[track_caller]
    pub(crate) fn record(&self, host: &str) -> Record {
        let mut own = self.records();
        own.retain(|record| record.text("host") == host);
        self.check(own.len() == 1, format_args!("exactly one record of {host}"));
        own.remove(0)
    }

    /// Checks that every host of `names` has exactly one record and nobody else has one.
    #[track_caller]
    pub(crate) fn each_host_once(&self, names: &[String]) -> &Self {
        let mut found: Vec<String> = self.records().iter().map(|r| r.text("host")).collect();
        let mut wanted = names.to_vec();
        found.sort_unstable();
        wanted.sort_unstable();
        self.check(
            found == wanted,
            format_args!("one record each of {wanted:?}"),
        )
    }

    /// Checks `status` and `kind` of one host's record; kind `""` is for none.
    #[track_caller]
    pub(crate) fn became(&self, host: &str, status: &str, kind: &str) -> &Self {
        let record = self.record(host);
        let found = (record.text("status"), record.text("kind"));
        self.check(
            found == (status.to_owned(), kind.to_owned()),
            format_args!("{host} to be {status} of kind {kind:?}, not {found:?}"),
        )
    }
}

impl fmt::Display for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ending = match self.status {
            None => "killed by the test".to_owned(),
            Some(status) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("exit code {code}"),
                (None, signal) => format!("signal {signal:?}"),
            },
        };
        writeln!(f, "command: {}", self.line)?;
        writeln!(
            f,
            "ended:   {ending} after {:?}, {} bytes on stdout",
            self.took, self.tally.bytes
        )?;
        writeln!(f, "--- stdout\n{}", clipped(&self.stdout))?;
        writeln!(f, "--- stderr\n{}", clipped(&self.stderr))?;
        f.write_str(&shown_logs(&self.logs))
    }
}

/// Returns the logs of servers for a message.
pub(crate) fn shown_logs(logs: &[Captured]) -> String {
    let shown = logs
        .iter()
        .map(|log| format!("--- server\n{}\n", clipped(&log.bytes())));
    shown.collect()
}

fn clipped(bytes: &[u8]) -> String {
    const MOST: usize = 6000;
    let text = |bytes: &[u8]| {
        let lossy = String::from_utf8_lossy(bytes).into_owned();
        lossy.replace(|c: char| c.is_control() && c != '\n', "\u{fffd}")
    };
    if bytes.len() <= MOST {
        return text(bytes);
    }
    let (head, tail) = (&bytes[..MOST / 2], &bytes[bytes.len() - MOST / 2..]);
    format!(
        "{}\n[… {} bytes …]\n{}",
        text(head),
        bytes.len() - MOST,
        text(tail)
    )
}
