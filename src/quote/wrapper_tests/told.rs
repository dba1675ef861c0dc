//! What the marker tells, and what stays output.

use std::fs;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::Path;

use super::*;
use crate::quote::Marker;
use crate::quote::shells::{INNER, cross, finish, run};
use crate::quote::wire::line;
use crate::quote::wrapper::script;

/// The process's own id and that of its group.
const IDS: &str = "read -r line </proc/$$/stat; set -- ${line##*) }; echo $$ $3";

#[test]
fn the_marker_tells_the_process_and_its_group() {
    let home = Home::new();
    let exec = argv(&["/bin/dash", "-c", IDS]);
    for (login, inner) in cross() {
        for is_leader in [true, false] {
            let mut command = home.login(login, inner);
            if is_leader {
                command.process_group(0);
            }
            let ran = run(command, &exec);
            let started = ran.filter.started().unwrap();
            let pid = started.pid;
            let what = format!("{login}, {inner}, {is_leader}");
            assert!(started.is_group_leader, "{what}");
            assert_ok(&ran, format!("{pid} {pid}\n").as_bytes(), &what);
        }
    }
}

/// Makes a folder that holds only what the tests need, and no `setsid`.
fn tools_without_setsid(home: &Home) -> OsString {
    let tools = home.path().join("tools");
    fs::create_dir(&tools).unwrap();
    for tool in ["printf", "cat", "sleep", "ps", "env"] {
        symlink(Path::new("/usr/bin").join(tool), tools.join(tool)).unwrap();
    }
    tools.into_os_string()
}

#[test]
fn without_setsid_the_marker_says_that_the_group_is_not_its_own() {
    let home = Home::new();
    let tools = tools_without_setsid(&home);
    for inner in INNER {
        let mut path = home.path().join(inner).into_os_string();
        path.push(":");
        path.push(&tools);
        let mut command = home.shell("dash");
        command.env("PATH", path);
        let ran = run(command, &argv(&["/bin/dash", "-c", IDS]));
        let started = ran.filter.started().unwrap();
        assert!(!started.is_group_leader, "{inner}");
        let own_group = rustix::process::getpgrp().as_raw_nonzero();
        let ids = format!("{} {own_group}\n", started.pid);
        assert_ok(&ran, ids.as_bytes(), inner);
    }
}

#[test]
fn without_proc_the_group_is_asked_of_ps() {
    let home = Home::new();
    let exec = argv(&["/bin/dash", "-c", IDS]);
    for inner in INNER {
        for is_leader in [true, false] {
            let marker = Marker::random();
            let script = String::from_utf8(script(&exec, &marker)).unwrap();
            let without = script.replace("</proc/", "</none/");
            // The command's own script names it as well; that one is quoted.
            let without = without.replace("line </none/", "line </proc/");
            assert_ne!(script, without);
            let mut command = home.login("sh", inner);
            if is_leader {
                command.process_group(0);
            }
            let line = OsString::from_vec(line(without.as_bytes()));
            let ran = finish(command.arg("-c").arg(line).output().unwrap(), &marker);
            let started = ran.filter.started().unwrap();
            let pid = started.pid;
            assert!(started.is_group_leader, "{inner}");
            assert_ok(&ran, format!("{pid} {pid}\n").as_bytes(), inner);
        }
    }
}

#[test]
fn what_start_up_files_print_stays_output() {
    let home = Home::new();
    let noise = "echo out; printf 'no line break' >&2\n";
    fs::write(home.path().join(".zshenv"), noise).unwrap();
    fs::write(home.path().join(".bash_env"), noise).unwrap();
    let fish = home.path().join(".config/fish");
    fs::create_dir_all(&fish).unwrap();
    fs::write(fish.join("config.fish"), noise).unwrap();
    let tcsh = "echo out; /bin/sh -c 'printf \"no line break\" >&2'\n";
    fs::write(home.path().join(".tcshrc"), tcsh).unwrap();
    for login in ["zsh", "bash", "fish", "tcsh"] {
        let mut command = home.login(login, "dash");
        command.env("BASH_ENV", home.path().join(".bash_env"));
        let ran = run(
            command,
            &argv(&["/bin/dash", "-c", "echo own; echo err >&2"]),
        );
        let what = format!("{login}: {}", ran.describe());
        assert_eq!(ran.output.stdout, b"out\nown\n", "{what}");
        assert_eq!(ran.stderr, b"no line breakerr\n", "{what}");
        assert!(ran.filter.started().is_some(), "{what}");
    }
}

#[test]
fn a_traced_wrapper_does_not_show_the_marker_twice() {
    let home = Home::new();
    let mut command = home.login("sh", "bash");
    command.env("SHELLOPTS", "xtrace");
    let ran = run(command, &argv(&["/bin/dash", "-c", "echo $$"]));
    let pid = ran.filter.started().unwrap().pid;
    assert_eq!(ran.output.stdout, format!("{pid}\n").as_bytes());
    assert!(
        ran.stderr.windows(2).any(|w| w == b"+ "),
        "{}",
        ran.describe()
    );
}
