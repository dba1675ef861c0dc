//! The script that a host's `sh` runs to become the command: it makes itself the leader of a
//! process group, changes the directory, sets the variables, looks for the program, tells the
//! marker, and executes the program in its own place.
//!
//! It reads nothing of stdin but a script that is brought along, writes nothing but the marker, and works in dash, bash, busybox
//! ash, ksh93, mksh and zsh in the role of `sh`. Status and signal of the command are those of
//! the request, as the command is the same process.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::wire::{self, DECODE, Request, push_word};
use super::{Marker, QuoteError, check, elevate, place};
use crate::remote::{Command, Elevation, Exec};

/// A function, then a process group. `__D__` stands for the decoder. `$1` is the encoded script, `$2`
/// is `again` once `setsid` was tried.
///
/// The marker is told by `echo`, a builtin everywhere: mksh waits forever for a program that it
/// starts after a failed `exec`, and its `printf` is one.
///
/// `setsid` forks when it is started by a group leader, so it may only be used by a process that
/// is known not to be one. An empty folder in PATH is the working directory.
const GROUP: &str = r#"hoist_find() {
hoist_f=
case $1 in
*/*) hoist_f=$1;;
*) hoist_p=$2:
while [ -n "$hoist_p" ]; do
hoist_t=${hoist_p%%:*}
hoist_t=${hoist_t:-.}/$1
hoist_p=${hoist_p#*:}
if [ -f "$hoist_t" ]; then
hoist_f=$hoist_t
if [ -x "$hoist_t" ]; then return; fi
fi
done
esac
}
if { read -r hoist_t </proc/$$/stat; } 2>/dev/null
then set -- "$1" "$2" ${hoist_t##*") "}
else set -- "$1" "$2" - - $(ps -o pgid= -p $$ 2>/dev/null)
fi
hoist_g=member
case $5 in
$$) hoist_g=leader;;
"") ;;
*) if [ "$2" != again ] && command -v setsid >/dev/null 2>&1
then exec setsid sh -c '__D__' sh "$1" again
fi
esac
"#;

/// Enters `$hoist_t`.
const ENTER: &str = r#"cd -P "$hoist_t" >/dev/null 2>&1 || {
[ -d "$hoist_t" ] && hoist_no cwd-denied
[ -e "$hoist_t" ] && hoist_no cwd-file
hoist_no cwd-missing
}
"#;

/// Looks for the program, `$1`, in the folders of `$hoist_q`. `$hoist_e` is the path of `env`
/// where it is needed.
///
/// What can be known beforehand is told beforehand. A failing `exec` is noticed by the trap in
/// dash, busybox and mksh, in bash only with `execfail`, and never in ksh, zsh and `env`: there
/// the commonest reason, a missing interpreter, is looked for as well.
pub(super) const FIND: &str = r##"hoist_find "$1" "$hoist_q"
[ -d "$hoist_f" ] && hoist_no directory
[ -e "$hoist_f" ] || hoist_no missing
[ -f "$hoist_f" ] && [ -x "$hoist_f" ] || hoist_no denied
case ${KSH_VERSION-}${ZSH_VERSION-}$hoist_e in
?*) hoist_p=
{ read -r hoist_p hoist_t hoist_d <"$hoist_f"; } 2>/dev/null
case $hoist_p in
"#!") hoist_p=$hoist_t;;
"#!"*) hoist_p=${hoist_p#??};;
*) hoist_p=
esac
[ -z "$hoist_p" ] || [ -x "$hoist_p" ] || hoist_no interpreter
esac
case $1 in
-*) shift; set -- "$hoist_f" "$@"
esac
"##;

/// Finds the account's shell: service accounts have one that runs nothing.
const SHELL: &str = r"hoist_s=${SHELL:-/bin/sh}
case $hoist_s in
*/nologin|*/false) hoist_s=/bin/sh
esac
";

/// Tells the process and gets ready for a failing `exec`.
const TELL: &str = r#"hoist_m "started $$ $hoist_g"
if [ -n "${BASH_VERSION-}" ]; then shopt -s execfail; fi
trap 'hoist_m "failed refused"' 0
"#;

/// Executes the program. mksh and its ancestors would run a builtin of that name instead, unless
/// they are given a path.
const EXEC: &str = r#"case ${KSH_VERSION-} in
*MIRBSD*) hoist_t=$1; shift; exec -a "$hoist_t" "$hoist_f" "$@";;
*PD*) shift; exec "$hoist_f" "$@";;
*) exec "$@"
esac
exit 127"#;

/// Returns what to ask an SSH server to execute, for an account with any login shell.
///
/// # Errors
/// When the command is empty, holds a NUL or a name that can't be a variable's, or is longer than
/// [`MAX_COMMAND_LINE`](super::MAX_COMMAND_LINE) once it is quoted.
pub fn request(exec: &Exec, marker: &Marker) -> Result<Request, QuoteError> {
    check(exec)?;
    elevated(&script(exec, marker), exec.elevation.as_ref(), marker)
}

/// Returns how a script is sent that runs with other rights, if some are asked for.
///
/// # Errors
/// When it is too long.
pub(super) fn elevated(
    script: &[u8],
    elevation: Option<&Elevation>,
    marker: &Marker,
) -> Result<Request, QuoteError> {
    let Some(elevation) = elevation else {
        return wire::request(script);
    };
    let own = wire::encoded(script);
    let mut whole = elevate::prologue(elevation, marker, own.len());
    whole.extend_from_slice(script);
    let mut request = wire::request(&whole)?;
    request.elevated = own;
    Ok(request)
}

pub(super) fn script(exec: &Exec, marker: &Marker) -> Vec<u8> {
    let mut script = elevate::telling(marker);
    script.extend_from_slice(GROUP.replace("__D__", DECODE).as_bytes());
    if let Some(cwd) = &exec.cwd {
        assign("hoist_t", &from_here(cwd), &mut script);
        script.extend_from_slice(ENTER.as_bytes());
    }
    let (own, given): (Vec<_>, Vec<_>) = exec
        .env
        .iter()
        .partition(|(name, _)| name.starts_with("HOIST_"));
    for (name, value) in own {
        script.extend_from_slice(b"export ");
        assign(name, value, &mut script);
    }
    script.extend_from_slice(if given.is_empty() {
        b"hoist_e=\n"
    } else {
        b"hoist_find env \"$PATH\"\nhoist_e=$hoist_f\n[ -x \"$hoist_e\" ] || hoist_no env\n"
    });
    match last(exec, "PATH") {
        Some(path) => assign("hoist_q", path, &mut script),
        None => script.extend_from_slice(b"hoist_q=$PATH\n"),
    }
    if let Command::Script(own) = &exec.command {
        place::push(own, last(exec, "TMPDIR"), marker, &mut script);
    } else {
        push_argv(exec, &mut script);
        script.extend_from_slice(FIND.as_bytes());
    }
    script.extend_from_slice(TELL.as_bytes());
    if given.is_empty() {
        script.extend_from_slice(EXEC.as_bytes());
    } else {
        push_env_exec(exec, &given, &mut script);
    }
    script
}

/// Sets the script's arguments to the command's argument vector.
fn push_argv(exec: &Exec, script: &mut Vec<u8>) {
    if matches!(exec.command, Command::Shell(_)) {
        script.extend_from_slice(SHELL.as_bytes());
    }
    script.extend_from_slice(b"set --");
    match &exec.command {
        Command::Argv(argv) => {
            for word in argv {
                script.push(b' ');
                push_word(word.as_bytes(), script);
            }
        }
        Command::Shell(line) => {
            match last(exec, "SHELL").filter(|shell| !shell.is_empty()) {
                Some(shell) => {
                    script.push(b' ');
                    push_word(shell.as_bytes(), script);
                }
                None => script.extend_from_slice(b" \"$hoist_s\""),
            }
            script.extend_from_slice(b" -c ");
            push_word(line.as_bytes(), script);
        }
        Command::Script(_) => {}
    }
    script.push(b'\n');
}

/// Executes the program through `env`. Shells own some names (`UID`, `SECONDS`, `IFS`, `LC_ALL`,
/// others each): they refuse them or act on them, so that only `env` sets any value exactly.
fn push_env_exec(exec: &Exec, given: &[&(String, OsString)], script: &mut Vec<u8>) {
    script.extend_from_slice(b"exec \"$hoist_e\"");
    for (name, value) in given {
        script.push(b' ');
        script.extend_from_slice(name.as_bytes());
        script.push(b'=');
        push_word(value.as_bytes(), script);
    }
    // A program's name with a `=` would be one more variable.
    let has_equals = match &exec.command {
        Command::Argv(argv) => argv[0].as_bytes().contains(&b'='),
        Command::Shell(_) => false,
        // That of a folder on the host may hold one as well.
        Command::Script(own) => {
            let program = own.interpreter().into_iter().next();
            program.is_none_or(|program| program.as_bytes().contains(&b'='))
        }
    };
    if has_equals {
        script.extend_from_slice(b" sh -c 'exec \"$@\"' sh");
    }
    script.extend_from_slice(b" \"$@\"\nexit 127");
}

pub(super) fn assign(name: &str, value: &OsStr, script: &mut Vec<u8>) {
    script.extend_from_slice(name.as_bytes());
    script.push(b'=');
    push_word(value.as_bytes(), script);
    script.push(b'\n');
}

/// `cd` means something else by `-`, and searches CDPATH for `name`, but not for `./name`.
fn from_here(cwd: &Path) -> OsString {
    if cwd.is_absolute() {
        return cwd.into();
    }
    let mut here = OsString::from("./");
    here.push(cwd);
    here
}

fn last<'a>(exec: &'a Exec, name: &str) -> Option<&'a OsString> {
    let mut matching = exec.env.iter().rev().filter(|(key, _)| key == name);
    matching.next().map(|(_, value)| value)
}
