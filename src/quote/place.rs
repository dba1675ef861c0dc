//! What the wrapper does for a script that is brought along: makes a private folder for it, takes
//! its content from stdin once a marker has asked for it, and goes on to execute it there.
//!
//! The folder is made and removed by a keeper: a shell in a session of its own, which no signal to the
//! command, no end of the login and no lost link reaches. It waits until the process that the command
//! became is gone, however that ended. Nothing is made before the keeper is there.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use super::wire::push_word;
use super::wrapper::{FIND, assign};
use super::{Marker, NotSpawned};
use crate::host::escaped;
use crate::remote::Script;

/// The keeper: `$1` names the folder, `$2` is `program` where files must be executable there, `$3` is
/// the process to wait for, the rest are places to try. It tells the folder.
///
/// A process is the same one as long as it began at the same time: numbers are used again. One that
/// nobody has asked for its status counts as gone. What can't be read of it counts as there.
const KEEPER: &str = r#"trap "" HUP INT QUIT PIPE TERM
umask 077
hoist_n=$1 hoist_k=$2 hoist_w=$3
shift 3
hoist_there() {
if { read -r hoist_t </proc/$hoist_w/stat; } 2>/dev/null; then
set -- ${hoist_t##*") "}
case $1 in [XZx]) return 1; esac
[ "${20-$hoist_b}" = "$hoist_b" ]
else
[ -z "$hoist_b" ] && kill -0 $hoist_w
fi
}
hoist_b=
if { read -r hoist_t </proc/$hoist_w/stat; } 2>/dev/null; then
hoist_b=$(set -- ${hoist_t##*") "}; echo "${20-}")
fi
command -v sleep >/dev/null && command -v rm >/dev/null || exit 1
hoist_d=
for hoist_p do
case $hoist_p in
/*) hoist_d=$hoist_p/$hoist_n;;
*) continue
esac
if mkdir "$hoist_d"; then
if case $hoist_k in
program) : >"$hoist_d/.try" && chmod 700 "$hoist_d/.try" && "$hoist_d/.try";;
*) echo >"$hoist_d/.try"
esac
then
rm -f "$hoist_d/.try"
break
fi
rm -rf "$hoist_d"
fi
hoist_d=
done
[ -n "$hoist_d" ] || exit 1
printf "%s\n" "$hoist_d"
exec >/dev/null
cd /
hoist_i=0
while hoist_there; do
hoist_i=$((hoist_i + 1))
if [ $hoist_i -gt 20 ] || ! sleep 0.1; then sleep 1; fi
done
rm -rf "$hoist_d""#;

/// Starts the keeper, `$0`, and hands on what it tells. It is nobody's child then: a command that waits
/// for all of its children must not wait for it. ksh93 reads no longer than what it started is there,
/// so something waits for the answer.
const START: &str = r#"(
if command -v setsid >/dev/null
then setsid sh -c "$0" sh "$@" &
else
(set -m) && set -m
sh -c "$0" sh "$@" &
fi
) | {
read -r hoist_d && printf "%s\n" "$hoist_d"
}"#;

/// Has a folder made; `$hoist_w` is the first place.
const MAKE: &str = r#"hoist_o=$(sh -c __START__ __KEEPER__ __FOLDER__ __KIND__ $$ "$hoist_w" /tmp /var/tmp "${HOME-}" "$PWD" </dev/null 2>/dev/null)
[ -n "$hoist_o" ] || hoist_no place
hoist_o=$hoist_o/__NAME__
"#;

/// Takes the content. Nothing follows it before the start is told, so whoever reads more than it
/// wants takes nothing away.
const TAKE: &str = r#"hoist_m placing
if head -c 1 </dev/null >/dev/null 2>&1
then head -c __LENGTH__
else dd bs=1 count=__LENGTH__
fi 2>/dev/null >"$hoist_o"
chmod 700 "$hoist_o" 2>/dev/null
hoist_t=$(wc -c <"$hoist_o" 2>/dev/null)
[ ${hoist_t:--1} -eq __LENGTH__ ] || hoist_no unwritten
"#;

/// Appends what brings `own` along and makes it the script's arguments; `temporary` is where the
/// command is told to put its files.
pub(super) fn push(
    own: &Script,
    temporary: Option<&OsString>,
    marker: &Marker,
    script: &mut Vec<u8>,
) {
    match temporary {
        Some(place) => assign("hoist_w", place, script),
        None => script.extend_from_slice(b"hoist_w=${TMPDIR-}\n"),
    }
    let interpreter = own.interpreter();
    let Some((program, words)) = interpreter.split_first() else {
        push_placing(own, "program", marker, script);
        script.extend_from_slice(b"set -- \"$hoist_o\"");
        push_words(own.arguments(), script);
        script.push(b'\n');
        script.extend_from_slice(FIND.as_bytes());
        return;
    };
    if let Some(program) = own.env_program() {
        script.extend_from_slice(b"hoist_find ");
        push_word(program.as_bytes(), script);
        script.extend_from_slice(b" \"$hoist_q\"\n[ -x \"$hoist_f\" ] || hoist_no interpreter\n");
    }
    script.extend_from_slice(b"set -- ");
    push_word(program.as_bytes(), script);
    script.push(b'\n');
    script.extend_from_slice(FIND.as_bytes());
    push_placing(own, "script", marker, script);
    script.extend_from_slice(b"set -- \"$1\"");
    push_words(words, script);
    script.extend_from_slice(b" \"$hoist_o\"");
    push_words(own.arguments(), script);
    script.push(b'\n');
}

fn push_words(words: &[OsString], script: &mut Vec<u8>) {
    for word in words {
        script.push(b' ');
        push_word(word.as_bytes(), script);
    }
}

fn push_placing(own: &Script, kind: &str, marker: &Marker, script: &mut Vec<u8>) {
    let quoted = |text: &str| super::posix(text);
    // The folder's name can be seen, and so can this half.
    let make = MAKE
        .replace("__START__", &quoted(START))
        .replace("__KEEPER__", &quoted(KEEPER))
        .replace("__FOLDER__", marker.halves().0)
        .replace("__KIND__", kind)
        .replace("__NAME__", own.name());
    let take = TAKE.replace("__LENGTH__", &own.content().len().to_string());
    script.extend_from_slice(make.as_bytes());
    script.extend_from_slice(take.as_bytes());
}

/// Returns what to tell of a script that was not started, where that differs from other commands.
pub(super) fn refusal(reason: NotSpawned, own: &Script) -> Option<String> {
    let interpreter = own.interpreter();
    let program = match reason {
        NotSpawned::Interpreter => own.env_program(),
        _ => None,
    };
    let program = program.or_else(|| interpreter.first().map(OsString::as_os_str));
    let shown = |program: &OsStr| escaped(&program.to_string_lossy());
    let reason = match (reason, program.map(shown)) {
        (NotSpawned::Missing | NotSpawned::Interpreter, Some(program)) => {
            format!("the host has no `{program}`, which is to read it")
        }
        (NotSpawned::Denied | NotSpawned::IsDirectory, Some(program)) => {
            format!("`{program}`, which is to read it, can't be executed")
        }
        (NotSpawned::Refused, Some(program)) => {
            format!("the system refused to execute `{program}`, which is to read it")
        }
        (NotSpawned::NoPlace, Some(_)) => {
            "no folder takes it (TMPDIR, /tmp, /var/tmp, the home, the working directory): each is \
             missing, full or closed to the account"
                .to_owned()
        }
        (NotSpawned::NoPlace, None) => {
            "no folder lets programs be executed (TMPDIR, /tmp, /var/tmp, the home, the working \
             directory): each is missing, full, closed to the account or mounted `noexec`"
                .to_owned()
        }
        (NotSpawned::NotPlaced, _) => {
            "it could not be written there whole: perhaps the disk is full".to_owned()
        }
        _ => return None,
    };
    Some(format!("cannot run `{}`: {reason}", own.name()))
}
