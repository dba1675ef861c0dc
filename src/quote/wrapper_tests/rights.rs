//! A command that gets other rights: every shell hands the script on as it came.

use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use super::*;
use crate::quote::kill_request;
use crate::quote::shells::{cross, nasty_words, run_with};
use crate::quote::{Marker, NotBegun};
use crate::remote::{Elevation, Signal};

/// Gives no rights, but is executed as what gives some would be.
fn through(words: &[&str]) -> Elevation {
    let words = words.iter().map(|word| (*word).to_owned());
    Elevation::With(words.collect())
}

#[test]
fn words_and_variables_and_input_are_exact_through_every_shell() {
    let home = Home::new();
    let words = nasty_words();
    let mut exec = argv(&dump(&words));
    exec.env = vec![("ODD".to_owned(), words.iter().cloned().collect())];
    exec.elevation = Some(through(&["env", "A= b'\"$x\\!"]));
    for (login, inner) in cross() {
        let ran = home.run(login, inner, &exec);
        let what = format!("{login}, {inner}");
        assert!(ran.filter.is_elevating(), "{what}: {}", ran.describe());
        assert_ok(&ran, &nul_ended(&dump(&words)), &what);
    }
    let mut exec = argv(&["cat"]);
    exec.elevation = Some(through(&["env"]));
    for (login, inner) in cross() {
        let ran = run_with(home.login(login, inner), &exec, b"a\nb");
        assert_ok(&ran, b"a\nb", &format!("{login}, {inner}"));
    }
}

#[test]
fn what_is_said_before_the_command_is_not_its_own() {
    let home = Home::new();
    let mut exec = argv(&["sh", "-c", "echo own >&2"]);
    let script = "echo lecture >&2; exec \"$@\"";
    exec.elevation = Some(through(&["/bin/dash", "-c", script, "name"]));
    for (login, inner) in cross() {
        let ran = home.run(login, inner, &exec);
        assert_eq!(ran.stderr, b"own\n", "{login}, {inner}: {}", ran.describe());
        assert_eq!(ran.filter.not_begun(&exec), None, "{login}, {inner}");
    }
}

#[test]
fn who_gives_no_rights_is_quoted() {
    let home = Home::new();
    let mut exec = argv(&["true"]);
    exec.elevation = Some(through(&[
        "/bin/dash",
        "-c",
        "echo 'not \u{1b}you' >&2; exit 1",
    ]));
    let lacking = Exec {
        elevation: Some(through(&["no-such-program", "-x"])),
        ..exec.clone()
    };
    for (login, inner) in cross() {
        let ran = home.run(login, inner, &exec);
        let Some(NotBegun::NotElevated(why)) = ran.filter.not_begun(&exec) else {
            panic!("{login}, {inner}: {}", ran.describe());
        };
        assert_eq!(
            why,
            "`/bin/dash` did not run the command; it said `not \\u{1b}you`"
        );
        assert!(
            ran.stderr.is_empty(),
            "{login}, {inner}: {}",
            ran.describe()
        );
        let ran = home.run(login, inner, &lacking);
        let Some(NotBegun::NotElevated(why)) = ran.filter.not_begun(&lacking) else {
            panic!("{login}, {inner}: {}", ran.describe());
        };
        assert_eq!(
            why,
            "the host has no `no-such-program`, which is to give the command its rights"
        );
    }
}

#[test]
fn a_command_with_other_rights_is_signalled_with_those() {
    let home = Home::new();
    let witness = home.path().join("witness");
    let script = format!("echo with rights >{}; exec \"$@\"", witness.display());
    let elevation = through(&["/bin/dash", "-c", &script, "name"]);
    for (login, inner) in cross() {
        let mut sleeping = std::process::Command::new("sleep")
            .arg("60")
            .spawn()
            .unwrap();
        let started = crate::quote::Started {
            pid: sleeping.id(),
            is_group_leader: false,
        };
        let request = kill_request(&started, Signal::Term, Some(&elevation), &Marker::random());
        let mut child = home
            .login(login, inner)
            .arg("-c")
            .arg(OsString::from_vec(request.line))
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&request.elevated).unwrap();
        let output = child.wait_with_output().unwrap();
        let status = sleeping.wait().unwrap();
        assert!(output.status.success(), "{login}, {inner}: {output:?}");
        let signal = status.signal();
        assert_eq!(signal, Some(15), "{login}, {inner}");
        std::fs::remove_file(&witness).expect("signalled with the rights");
    }
}
