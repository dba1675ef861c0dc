//! How a command comes to other rights than the login has, and what may keep it from them.
//!
//! The script that would run the command hands itself, encoded as it came, to `sudo` or a program
//! like it, and so goes on with other rights: nothing is quoted twice, and all that it finds out
//! (directory, program, process) it finds out as that user. Before that it tells a marker, so that
//! what `sudo` says can be told from what the command says.

use super::Marker;
use super::wire::{DECODE, posix};
use crate::host::escaped;
use crate::remote::Elevation;

/// What the elevated script finds in `$2`.
pub(super) const ELEVATED: &str = "elevated";

/// Says first what to tell with. `__1__` and `__2__` stand for the halves of the marker.
pub(super) const TELLING: &str = r#"hoist_h=__1__
hoist_m() { echo "$hoist_h"__2__" $1" >&2; }
hoist_no() { hoist_m "failed $1"; exit 127; }
"#;

/// `$1` is the encoded script, `$2` is empty only in its first run. `__W__` stands for what is true
/// where other rights are needed, `__P__` for the program that gives them, and `__A__` for all that
/// is executed but the script.
const ELEVATE: &str = r#"if [ -z "$2" ]__W__; then
command -v __P__ >/dev/null 2>&1 || hoist_no unelevated
hoist_m elevating
exec __A__ sh -c '__D__' sh "$1" __E__
exit 127
fi
"#;

/// Most characters of what was said that a message shows.
const MAX_SHOWN: usize = 160;

/// Returns what `script` begins with, the two halves of the marker included, where it is to be run
/// with other rights, or only [`TELLING`] where not.
pub(super) fn prologue(elevation: Option<&Elevation>, marker: &Marker) -> Vec<u8> {
    let (first, second) = marker.halves();
    let telling = TELLING.replace("__1__", first).replace("__2__", second);
    let mut script = telling.into_bytes();
    let Some(elevation) = elevation else {
        return script;
    };
    let (needed, words) = match elevation {
        Elevation::Sudo { user, password } => {
            // root may have other names; it has no other number.
            let needed = match user.as_str() {
                "root" => " && [ \"$(id -u 2>/dev/null)\" != 0 ]".to_owned(),
                name => format!(" && [ \"$(id -un 2>/dev/null)\" != {} ]", posix(name)),
            };
            // Without a password sudo must not wait for one. With one it is asked for by the
            // marker, in a line of its own, and read from stdin byte by byte.
            let asking = match password {
                None => "-n".to_owned(),
                Some(_) => format!("-S -p \"$hoist_h\"{second}\" password\n\""),
            };
            let user = posix(user.as_str());
            (
                needed,
                vec!["sudo".to_owned(), format!("{asking} -u {user} --")],
            )
        }
        Elevation::With(words) => (String::new(), words.iter().map(|one| posix(one)).collect()),
    };
    let text = ELEVATE
        .replace("__W__", &needed)
        .replace("__P__", words.first().map_or("''", String::as_str))
        .replace("__D__", DECODE)
        .replace("__E__", ELEVATED)
        .replace("__A__", &words.join(" "));
    script.extend_from_slice(text.as_bytes());
    script
}

/// Returns what gives the rights, for messages: `sudo`, `doas`.
fn program(elevation: &Elevation) -> String {
    match elevation {
        Elevation::Sudo { .. } => "sudo".to_owned(),
        Elevation::With(words) => escaped(words.first().map_or("", String::as_str)),
    }
}

/// Returns that the host lacks what is to give the rights, on one line.
pub(super) fn missing(elevation: &Elevation) -> String {
    let program = program(elevation);
    format!("the host has no `{program}`, which is to give the command its rights")
}

/// Returns why the command did not get its rights, on one line, and how to go on. `asked` is how
/// often a password was asked for, `said` what was said meanwhile.
pub(super) fn refusal(elevation: &Elevation, asked: u32, said: &str) -> String {
    let has = |words: &[&str]| words.iter().any(|words| said.contains(words));
    let quoted = last_line(said);
    let Elevation::Sudo { user, password } = elevation else {
        return format!("`{}` did not run the command{quoted}", program(elevation));
    };
    if asked > 1 {
        return "sudo did not take the password".to_owned();
    }
    if password.is_none() && has(&["password is required", "authentication is required"]) {
        return "sudo asks for a password: give it with --ask-sudo-pass".to_owned();
    }
    if has(&["must have a tty"]) {
        return "sudo wants a terminal, which commands on many hosts don't have: \
                take `requiretty` out of sudoers, or add `Defaults:ACCOUNT !requiretty`"
            .to_owned();
    }
    // The last is what sudo-rs says.
    if has(&[
        "sudoers file",
        "not allowed",
        "may not run",
        "I'm afraid I can't do that",
    ]) {
        return format!(
            "the account may not run commands as {user}: sudoers must allow it to run `sh`{quoted}"
        );
    }
    format!("sudo did not run the command{quoted}")
}

/// Returns the last line that is not empty: ``; it said `…` ``.
fn last_line(said: &str) -> String {
    let last = said.lines().rev().find(|line| !line.trim().is_empty());
    last.map_or_else(String::new, |line| {
        let mut line = escaped(line.trim());
        if let Some((end, _)) = line.char_indices().nth(MAX_SHOWN) {
            line.truncate(end);
            line.push('…');
        }
        format!("; it said `{line}`")
    })
}
