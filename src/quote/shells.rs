//! The real shells, for tests: each as login shell that parses a line, and as the host's `sh`.

use std::ffi::{OsStr, OsString};
use std::io::Write;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::{Marker, MarkerFilter, request};
use crate::remote::Exec;

/// What an account may have as its login shell.
pub(super) const LOGIN: &[&str] = &[
    "sh", "bash", "dash", "zsh", "ksh", "mksh", "busybox", "fish", "tcsh",
];

/// What a host may have as its `sh`.
pub(super) const INNER: &[&str] = &["dash", "bash", "busybox", "ksh", "mksh", "zsh"];

pub(super) const PATH: &str = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";

/// Every login shell, and every shell in the role of `sh`, at least once.
pub(super) fn cross() -> impl Iterator<Item = (&'static str, &'static str)> {
    let logins = LOGIN.iter().map(|login| (*login, "dash"));
    logins.chain(INNER.iter().map(|inner| ("sh", *inner)))
}

/// A home folder and one folder for each shell that plays the role of `sh`.
pub(super) struct Home {
    dir: tempfile::TempDir,
}

/// What came of a line.
pub(super) struct Ran {
    pub(super) output: Output,
    /// stderr without the marker.
    pub(super) stderr: Vec<u8>,
    pub(super) filter: MarkerFilter,
}

impl Home {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        for shell in INNER {
            let folder = dir.path().join(shell);
            std::fs::create_dir(&folder).unwrap();
            symlink(program(shell), folder.join("sh")).unwrap();
        }
        Self { dir }
    }

    pub(super) fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Returns `shell` with an environment of its own, to be given `-c LINE`.
    pub(super) fn shell(&self, shell: &str) -> Command {
        let mut command = Command::new(program(shell));
        if shell == "busybox" {
            command.arg("sh");
        }
        command
            .env_clear()
            .env("PATH", PATH)
            .env("HOME", self.path())
            .env("SHELL", "/bin/sh")
            .current_dir(self.path());
        command
    }

    /// Returns `login` about to parse a line on a host whose `sh` is `inner`.
    pub(super) fn login(&self, login: &str, inner: &str) -> Command {
        let mut command = self.shell(login);
        let mut path = self.path().join(inner).into_os_string();
        path.push(":");
        path.push(PATH);
        command.env("PATH", path);
        command
    }

    /// Executes `exec` by `login` on a host whose `sh` is `inner`.
    pub(super) fn run(&self, login: &str, inner: &str, exec: &Exec) -> Ran {
        run(self.login(login, inner), exec)
    }
}

/// Executes `exec` through `shell`.
pub(super) fn run(shell: Command, exec: &Exec) -> Ran {
    run_with(shell, exec, b"")
}

/// Executes `exec` through `shell` with this on its stdin.
pub(super) fn run_with(mut shell: Command, exec: &Exec, input: &[u8]) -> Ran {
    let marker = Marker::random();
    let request = request(exec, &marker).unwrap();
    let mut child = shell
        .arg("-c")
        .arg(OsString::from_vec(request.line))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    // Nobody reads ahead: what is asked for later may be there already.
    let bytes = [&request.preamble, &request.elevated, input].concat();
    let feed = std::thread::spawn(move || {
        // A command need not read what it is given.
        stdin.write_all(&bytes).ok();
    });
    let output = child.wait_with_output().unwrap();
    feed.join().unwrap();
    finish(output, &marker)
}

/// Takes the marker out of what a command left.
pub(super) fn finish(output: Output, marker: &Marker) -> Ran {
    let mut filter = MarkerFilter::new(marker);
    let mut stderr = Vec::new();
    filter.push(&output.stderr, &mut stderr);
    filter.finish(&mut stderr);
    Ran {
        output,
        stderr,
        filter,
    }
}

impl Ran {
    /// Shows all that is known, for a failed assertion.
    pub(super) fn describe(&self) -> String {
        format!(
            "{:?}, stdout {:?}, stderr {:?}, {:?}",
            self.output.status,
            shown(&self.output.stdout),
            shown(&self.stderr),
            self.filter,
        )
    }
}

fn shown(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(&bytes[..bytes.len().min(2000)])
}

/// Returns where a shell is installed.
pub(super) fn program(shell: &str) -> PathBuf {
    let mut places = PATH.split(':').map(|dir| Path::new(dir).join(shell));
    let package = if shell == "ksh" { "ksh93u+m" } else { shell };
    places
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{shell} is not installed; install the package `{package}`"))
}

/// Words that some shell would act on, cut short, or lose.
pub(super) fn nasty_words() -> Vec<OsString> {
    let every_byte: Vec<u8> = (1..=255).collect();
    let pairs: Vec<u8> = (0x80..=0xff).flat_map(|b| [b, b'\'', b, b'\\']).collect();
    let texts: &[&[u8]] = &[
        b"",
        b" ",
        b"a b",
        b"\n",
        b"a\n",
        b"a\n\n\n",
        b"\na",
        b"!",
        b"!!",
        b"a!b",
        b"'!'",
        b"'",
        b"''",
        b"\"",
        b"\\",
        b"\\\\",
        b"\\'",
        b"\\n",
        b"\\0101",
        b"\\c",
        b"x\\",
        b"*",
        b"?",
        b"[a-z]",
        b"/*",
        b"$HOME",
        b"$(id)",
        b"`id`",
        b"${HOME}",
        b"$$",
        b"$",
        b"~",
        b"~root",
        b"-n",
        b"--",
        b"-",
        b"-e",
        b"%s",
        b"%d%n%%",
        b"%",
        b"=ls",
        b"a=b",
        b"{a,b}",
        b"{}",
        b"#",
        b"a#b",
        b";",
        b"&",
        b"|",
        b"&&",
        b">x",
        b"<x",
        b"()",
        b"^a^b",
        b"\t",
        b"\r",
        b"\r\n",
        b"\x1b[31m",
        b"\x7f",
        b"\x01\x02",
        b"\xff",
        b"\xc3",
        b"\xc3'",
        b"\xe2\x82",
        b"\xed\xa0\x80",
        b"\x81\x5c",
        b"\x81",
        b"\x88\x84",
        "größe €".as_bytes(),
        "\u{202e}".as_bytes(),
        b"if",
        b"done",
        b"a\\\nb",
        b"\\\n",
    ];
    let mut words: Vec<OsString> = texts
        .iter()
        .map(|text| OsStr::from_bytes(text).into())
        .collect();
    words.push(OsString::from_vec(every_byte.clone()));
    words.push(OsString::from_vec(every_byte.into_iter().rev().collect()));
    words.push(OsString::from_vec(pairs));
    words
}
