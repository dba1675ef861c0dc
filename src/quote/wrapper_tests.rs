//! The wrapper through the real shells: every login shell, every shell in the role of `sh`.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::shells::{Home, Ran};
use crate::remote::{Command, Exec};

mod around;
mod place;
mod rights;
mod start;
mod told;
mod words;

fn argv<S: AsRef<OsStr>>(words: &[S]) -> Exec {
    let words = words.iter().map(|word| word.as_ref().to_owned());
    Exec::new(Command::Argv(words.collect()))
}

/// Returns a command that prints its own argument vector, NUL after each, as the kernel has it.
fn dump(words: &[OsString]) -> Vec<OsString> {
    let script = ["/bin/dash", "-c", "cat /proc/$$/cmdline", "name"];
    let script = script.into_iter().map(Into::into);
    script.chain(words.iter().cloned()).collect()
}

fn nul_ended(words: &[OsString]) -> Vec<u8> {
    let ended = |word: &OsString| [word.as_bytes(), b"\0"].concat();
    words.iter().flat_map(ended).collect()
}

fn assert_ok(ran: &Ran, stdout: &[u8], what: &str) {
    let is_ok = ran.output.status.success()
        && ran.output.stdout == stdout
        && ran.stderr.is_empty()
        && ran.filter.started().is_some()
        && ran.filter.not_spawned().is_none();
    assert!(is_ok, "{what}: {}", ran.describe());
}
