//! How a command ended, and why one was not started.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;

use super::*;
use crate::quote::NotSpawned;
use crate::quote::shells::{INNER, cross, run};

fn write_executable(path: &Path, content: &[u8]) {
    fs::write(path, content).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn every_exit_code_passes() {
    let home = Home::new();
    let exits = |login, inner, code: i32| {
        let exec = argv(&["/bin/dash", "-c", &format!("exit {code}")]);
        let ran = home.run(login, inner, &exec);
        let what = || format!("{login}, {inner}, {code}: {}", ran.describe());
        assert_eq!(ran.output.status.code(), Some(code), "{}", what());
        assert_eq!(ran.filter.not_spawned(), None, "{}", what());
        assert!(ran.filter.started().is_some(), "{}", what());
        assert!(ran.stderr.is_empty(), "{}", what());
    };
    for code in 0..=255 {
        exits("sh", "dash", code);
    }
    for (login, inner) in cross() {
        for code in [0, 1, 2, 125, 126, 127, 128, 129, 130, 137, 143, 254, 255] {
            exits(login, inner, code);
        }
    }
}

#[test]
fn death_by_a_signal_passes() {
    let home = Home::new();
    for (login, inner) in cross() {
        for (name, number) in [
            ("TERM", 15),
            ("KILL", 9),
            ("INT", 2),
            ("PIPE", 13),
            ("USR1", 10),
        ] {
            let exec = argv(&["/bin/dash", "-c", &format!("kill -{name} $$; exit 3")]);
            let ran = home.run(login, inner, &exec);
            let what = format!("{login}, {inner}, {name}: {}", ran.describe());
            assert_eq!(ran.output.status.signal(), Some(number), "{what}");
        }
    }
}

#[test]
fn what_cannot_be_started_is_told_with_its_reason() {
    let home = Home::new();
    let at = |name: &str| home.path().join(name);
    fs::write(at("plain"), "x").unwrap();
    fs::create_dir(at("dir")).unwrap();
    symlink("/nowhere", at("dangling")).unwrap();
    for (name, first_line) in [
        ("a", "#!/no/such/one\n"),
        ("b", "#! /no/such/one -x\n"),
        ("c", "#!/bin/dash\r\n"),
    ] {
        write_executable(&at(name), first_line.as_bytes());
    }
    for (login, inner) in cross() {
        for (program, reason) in [
            ("no-such-program", NotSpawned::Missing),
            ("", NotSpawned::Missing),
            ("cd", NotSpawned::Missing),
            ("./nowhere", NotSpawned::Missing),
            ("./plain/x", NotSpawned::Missing),
            ("./dangling", NotSpawned::Missing),
            ("./dir", NotSpawned::IsDirectory),
            ("/", NotSpawned::IsDirectory),
            ("./plain", NotSpawned::Denied),
            ("/dev/null", NotSpawned::Denied),
            ("./a", NotSpawned::Interpreter),
            ("./b", NotSpawned::Interpreter),
            ("./c", NotSpawned::Interpreter),
        ] {
            for variable in ["HOIST_A", "A"] {
                let mut exec = argv(&[program, "x"]);
                exec.env.push((variable.into(), "b".into()));
                let ran = home.run(login, inner, &exec);
                let what = format!("{login}, {inner}, {program}: {}", ran.describe());
                // Where `exec` itself finds out, the shell says why in words of its own.
                let found = ran.filter.not_spawned().expect(&what);
                let is_late = reason == NotSpawned::Interpreter && found == NotSpawned::Refused;
                assert!(found == reason || is_late, "{what}");
                assert!(is_late || ran.stderr.is_empty(), "{what}");
                assert_eq!(ran.output.status.code(), Some(127), "{what}");
                assert!(ran.output.stdout.is_empty(), "{what}");
            }
        }
    }
}

#[test]
fn a_failing_exec_is_told_by_the_shells_that_notice() {
    let home = Home::new();
    // An ELF header of no known machine, with a NUL in its first line.
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xff\xff".to_vec();
    elf.resize(200, 0);
    write_executable(&home.path().join("elf"), &elf);
    for inner in ["dash", "bash", "mksh"] {
        let ran = home.run("sh", inner, &argv(&["./elf"]));
        let reason = ran.filter.not_spawned();
        assert_eq!(
            reason,
            Some(NotSpawned::Refused),
            "{inner}: {}",
            ran.describe()
        );
    }
}

#[test]
fn a_script_without_a_first_line_runs_as_in_any_shell() {
    let home = Home::new();
    write_executable(&home.path().join("script"), b"echo \"$1\" $#\n");
    for inner in INNER {
        let ran = home.run("sh", inner, &argv(&["./script", "a  b"]));
        assert_ok(&ran, b"a  b 1\n", inner);
    }
}

#[test]
fn path_is_searched_as_execvp_does() {
    let home = Home::new();
    for dir in ["first", "second", "a dir"] {
        fs::create_dir(home.path().join(dir)).unwrap();
    }
    fs::write(home.path().join("first/tool"), "not executable").unwrap();
    write_executable(
        &home.path().join("second/tool"),
        b"#!/bin/dash\necho second\n",
    );
    write_executable(
        &home.path().join("a dir/spaced"),
        b"#!/bin/dash\necho spaced\n",
    );
    write_executable(&home.path().join("here"), b"#!/bin/dash\necho here\n");
    for inner in INNER {
        for (program, path, stdout) in [
            ("tool", "first:second", "second\n"),
            ("tool", "/none:second", "second\n"),
            ("spaced", "first:a dir", "spaced\n"),
            ("here", "first::second", "here\n"),
            ("here", ":first", "here\n"),
            ("here", "first:", "here\n"),
            ("here", "", "here\n"),
        ] {
            let mut exec = argv(&[program]);
            exec.env.push(("PATH".into(), path.into()));
            let ran = home.run("sh", inner, &exec);
            assert_ok(&ran, stdout.as_bytes(), &format!("{inner}, {path:?}"));
        }
        let mut exec = argv(&["tool"]);
        exec.env.push(("PATH".into(), "first".into()));
        let ran = home.run("sh", inner, &exec);
        assert_eq!(ran.filter.not_spawned(), Some(NotSpawned::Denied));
    }
}

#[test]
fn a_host_without_what_the_wrapper_needs_never_looks_like_success() {
    let home = Home::new();
    // mksh has no printf of its own.
    for (login, inner, path) in [("dash", "mksh", "mksh"), ("dash", "dash", "none")] {
        let mut command = home.login(login, inner);
        command.env("PATH", home.path().join(path));
        let ran = run(command, &argv(&["/bin/true"]));
        assert!(!ran.output.status.success(), "{}", ran.describe());
        assert!(ran.filter.started().is_none(), "{}", ran.describe());
    }
}

#[test]
fn a_host_without_env_says_so() {
    let home = Home::new();
    let mut command = home.login("dash", "dash");
    command.env("PATH", home.path().join("dash"));
    let mut exec = argv(&["/bin/true"]);
    exec.env.push(("A".into(), "b".into()));
    assert_eq!(
        run(command, &exec).filter.not_spawned(),
        Some(NotSpawned::NoEnv)
    );
}
