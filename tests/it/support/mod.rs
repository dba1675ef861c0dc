//! What the tests stand on: a clean home and the program ([`fleet`]), real servers ([`sshd`],
//! [`dropbear`]), ports and servers that misbehave ([`listener`], [`faults`]), hosting APIs
//! ([`cloud`], [`imitation`], [`judge`]), the library's own sessions to them ([`session`]), servers of
//! the sandbox ([`sandbox`]), a browser ([`browser`]), and a private copy of this machine's accounts
//! and network ([`namespace`]).
//!
//! Everything lives in a temporary folder, talks to 127.0.0.0/8 only, and is gone after the test.
//! Whatever waits, waits for a fact (a line, a banner, an exit) and gives up at a deadline; nothing
//! sleeps. What is not installed fails the test and names the package.

pub(crate) mod browser;
pub(crate) mod captured;
pub(crate) mod cloud;
pub(crate) mod description;
pub(crate) mod dropbear;
pub(crate) mod ended;
pub(crate) mod faults;
pub(crate) mod fleet;
pub(crate) mod imitation;
pub(crate) mod judge;
pub(crate) mod keys;
pub(crate) mod listener;
pub(crate) mod namespace;
pub(crate) mod process;
pub(crate) mod record;
pub(crate) mod sandbox;
pub(crate) mod server;
pub(crate) mod session;
pub(crate) mod sshd;
#[allow(dead_code, reason = "the library's tests include it too")]
pub(crate) mod stub;
pub(crate) mod tree;

use std::path::{Path, PathBuf};
use std::time::Duration;

/// Where programs are looked up, by the tests and by everything they start.
pub(crate) const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How long anything may take before the test fails; generous, as test machines are busy.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

/// Returns where `name` is installed; fails the test and names the Debian package otherwise.
pub(crate) fn installed(name: &str, package: &str) -> PathBuf {
    PATH.split(':')
        .map(|folder| Path::new(folder).join(name))
        .find(|path| path.is_file())
        .unwrap_or_else(|| {
            panic!("`{name}` is not installed: it is in Debian's package {package}; `make test` installs all that is needed")
        })
}

/// Returns that many lines, none like another.
pub(crate) fn numbered_lines(count: usize) -> String {
    let lines: Vec<String> = (0..count).map(|n| format!("line {n}\n")).collect();
    lines.concat()
}

/// Yields the names a simple range stands for: `web[1-3]`, `web[01-20]`, or the text itself.
pub(crate) fn names(pattern: &str) -> Vec<String> {
    let Some((prefix, range)) = pattern
        .strip_suffix(']')
        .and_then(|text| text.split_once('['))
    else {
        return vec![pattern.to_owned()];
    };
    let (first, last) = range.split_once('-').expect("a range has two ends");
    let (from, to): (usize, usize) = (first.parse().unwrap(), last.parse().unwrap());
    let width = first.len();
    (from..=to)
        .map(|n| format!("{prefix}{n:0width$}"))
        .collect()
}
