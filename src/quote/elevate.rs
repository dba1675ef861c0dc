//! How a command comes to other rights than the login has, and what may keep it from them.
//!
//! Where the login has them already, the script that runs the command just goes on. Else it tells a
//! marker, so that what is said from then on can be told from what the command says, and has `sudo`,
//! or a program like it, start a shell that reads the same script from stdin, once it has told that it
//! is there. So nothing is quoted twice, and neither the command nor its variables stand among the
//! arguments of `sudo`, which everybody on the host can read as long as the command runs.

use std::time::Duration;

use super::Marker;
use super::wire::{DECODE, posix};
use crate::host::{cut, escaped};
use crate::remote::Elevation;

/// Most characters of what was said that a message shows.
const MAX_SHOWN: usize = 160;

/// Says first what to tell with. `__1__` and `__2__` stand for the halves of the marker.
const TELLING: &str = r#"hoist_h=__1__
hoist_m() { echo "$hoist_h"__2__" $1" >&2; }
hoist_no() { hoist_m "failed $1"; exit 127; }
"#;

/// Returns what every script begins with.
pub(super) fn telling(marker: &Marker) -> Vec<u8> {
    let (first, second) = marker.halves();
    let text = TELLING.replace("__1__", first).replace("__2__", second);
    text.into_bytes()
}

/// Returns what a script begins with that is to be run with other rights; `length` is that of the
/// encoded script without it. `$1` is set to the whole script, `$2` is empty only in its first run.
///
/// The reader tells the first half of the marker alone: it stands among the arguments of `sudo`,
/// where others can see it.
pub(super) fn prologue(elevation: &Elevation, marker: &Marker, length: usize) -> Vec<u8> {
    let (first, _) = marker.halves();
    let read = format!(
        r#"echo "{first} ready" >&2; set -- "$(dd bs=1 count={length} 2>/dev/null)"; [ ${{#1}} -eq {length} ] || exit 127; {DECODE}"#
    );
    // A question that can't be answered must not pass for "there already".
    let (is_there, words) = match elevation {
        Elevation::Sudo { user, password } => {
            let name = posix(user.as_str());
            // root may have other names; it has no other number.
            let is_there = if name == "root" {
                r#"[ "$(id -u 2>/dev/null)" = 0 ]"#.to_owned()
            } else {
                format!(r#"[ "$(id -un 2>/dev/null)" = {name} ]"#)
            };
            // Without a password sudo must not wait for one. With one it is asked for in a line of
            // its own, and read from stdin byte by byte.
            let asking = match password {
                None => "-n".to_owned(),
                Some(_) => format!("-S -p '{first} password\n'"),
            };
            let words = vec!["sudo".to_owned(), format!("{asking} -u {name} --")];
            (is_there, words)
        }
        Elevation::With(words) => {
            let words = words.iter().map(|one| posix(one)).collect();
            ("false".to_owned(), words)
        }
    };
    let program = words.first().map_or("''", String::as_str);
    let all = words.join(" ");
    let mut script = telling(marker);
    let text = format!(
        r#"if [ -n "$2" ] || {is_there}
then :
else
command -v {program} >/dev/null 2>&1 || hoist_no unelevated
hoist_m elevating
exec {all} sh -c '{read}' sh
exit 127
fi
"#
    );
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
    let Elevation::Sudo { user, password } = elevation else {
        let program = program(elevation);
        return format!(
            "`{program}` did not run the command{}",
            quoted(last_line(said))
        );
    };
    if asked > 1 || (asked > 0 && has(&["incorrect password attempt"])) {
        return "sudo did not take the password".to_owned();
    }
    let needs_password = ["password is required", "authentication is required"];
    if password.is_none() && has(&needs_password) {
        return "sudo asks for a password: give it with --ask-sudo-pass".to_owned();
    }
    if has(&["must have a tty"]) {
        return "sudo wants a terminal, which commands on many hosts don't have: \
                take `requiretty` out of sudoers, or add `Defaults:ACCOUNT !requiretty`"
            .to_owned();
    }
    let refusal = quoted(last_line(said));
    // The last is what sudo-rs says.
    if has(&[
        "sudoers file",
        "not allowed",
        "may not run",
        "I'm afraid I can't do that",
    ]) {
        return format!(
            "the account may not run commands as {user}: sudoers must allow it to run `sh`{refusal}"
        );
    }
    // What went wrong first is the reason, and may be in any language.
    let first = said.lines().find(|line| line.starts_with("sudo: "));
    let refusal = first.map_or(refusal, |line| quoted(Some(line)));
    let hint = match password {
        None => "; if it asks for a password, give it with --ask-sudo-pass",
        Some(_) => "",
    };
    format!("sudo did not run the command{refusal}{hint}")
}

/// Returns what to tell of a program that neither gives the rights nor refuses them in time.
pub(super) fn silence(elevation: &Elevation, said: &str, time: Duration) -> String {
    let program = program(elevation);
    let said = quoted(last_line(said));
    format!(
        "`{program}` has neither run the command nor refused to in {time:?}{said}; it may still wait \
         there"
    )
}

/// Returns the last line that is not empty.
fn last_line(said: &str) -> Option<&str> {
    said.lines().rev().find(|line| !line.trim().is_empty())
}

/// Returns ``; it said `…` ``, or nothing.
fn quoted(line: Option<&str>) -> String {
    line.map_or_else(String::new, |line| {
        let line = cut(escaped(line.trim()), MAX_SHOWN);
        format!("; it said `{line}`")
    })
}
