//! A script that is brought along: every shell takes it as it came and leaves nothing behind.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::symlink;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{ChildStderr, ChildStdin, Stdio};
use std::time::{Duration, Instant};

use super::*;
use crate::quote::shells::{INNER, cross, finish, nasty_words, program};
use crate::quote::{
    Marker, MarkerFilter, NotSpawned, Request, kill_request, request, wire, wrapper,
};
use crate::remote::{Script, Signal};

fn script(content: &[u8], arguments: &[OsString]) -> Exec {
    let content = content.into();
    let script = Script::new("x.sh".as_ref(), content, Vec::new(), arguments.to_vec());
    Exec::new(Command::Script(script))
}

/// Where the scripts of a home go.
fn places(home: &Home) -> PathBuf {
    let places = home.path().join("places");
    std::fs::create_dir_all(&places).unwrap();
    places
}

fn content(exec: &Exec) -> Vec<u8> {
    match &exec.command {
        Command::Script(script) => script.content().to_vec(),
        _ => unreachable!("it is a script"),
    }
}

/// Reads stderr to its end, and sends what is asked for when it is asked for.
fn talk(
    mut stderr: ChildStderr,
    stdin: ChildStdin,
    marker: &Marker,
    parts: [Vec<u8>; 2],
) -> Vec<u8> {
    let mut filter = MarkerFilter::new(marker);
    let [mut content, mut input] = parts.map(Some);
    let mut stdin = Some(stdin);
    let mut told = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = stderr.read(&mut buffer).unwrap();
        if count == 0 {
            return told;
        }
        told.extend_from_slice(&buffer[..count]);
        filter.push(&buffer[..count], &mut Vec::new());
        if filter.is_placing()
            && let (Some(content), Some(stdin)) = (content.take(), &mut stdin)
        {
            stdin.write_all(&content).ok();
        }
        if filter.started().is_some()
            && let (Some(input), Some(mut stdin)) = (input.take(), stdin.take())
        {
            std::thread::spawn(move || stdin.write_all(&input).ok());
        }
    }
}

/// Executes a script through `shell` with this on its stdin.
fn bring(shell: std::process::Command, exec: &Exec, input: &[u8]) -> Ran {
    let marker = Marker::random();
    let request = request(exec, &marker).unwrap();
    bring_by(shell, request, &marker, [content(exec), input.to_vec()])
}

fn bring_by(
    mut shell: std::process::Command,
    request: Request,
    marker: &Marker,
    parts: [Vec<u8>; 2],
) -> Ran {
    let mut child = shell
        .arg("-c")
        .arg(OsString::from_vec(request.line))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(&request.preamble).unwrap();
    let stderr = child.stderr.take().unwrap();
    let own = marker.clone();
    let talking = std::thread::spawn(move || talk(stderr, stdin, &own, parts));
    let mut output = child.wait_with_output().unwrap();
    output.stderr = talking.join().unwrap();
    finish(output, marker)
}

/// Waits until no script is there any more.
fn assert_empty(places: &Path, what: &str) {
    let deadline = Instant::now() + Duration::from_secs(30);
    while std::fs::read_dir(places).unwrap().next().is_some() {
        assert!(Instant::now() < deadline, "{what}: a folder was left");
        std::thread::yield_now();
    }
}

fn with_places(home: &Home, login: &str, inner: &str) -> std::process::Command {
    let mut shell = home.login(login, inner);
    shell.env("TMPDIR", places(home));
    shell
}

#[test]
fn words_content_and_input_are_exact_through_every_shell() {
    let home = Home::new();
    let every_byte: Vec<u8> = (0..=255).cycle().take(100_000).collect();
    let start = b"#!/bin/dash\nprintf '%s\\0' \"${0##*/}\" \"$@\"; cat \"$0\" -; exit 0\n";
    let text = [&start[..], &every_byte].concat();
    let words = nasty_words();
    let exec = script(&text, &words);
    let mut with_variable = exec.clone();
    with_variable.env = vec![("A".into(), "b".into())];
    let expected = [
        &nul_ended(&["x.sh".into()])[..],
        &nul_ended(&words),
        &text,
        b"in\nput",
    ]
    .concat();
    for (login, inner) in cross() {
        for exec in [&exec, &with_variable] {
            let ran = bring(with_places(&home, login, inner), exec, b"in\nput");
            let what = format!("{login}, {inner}");
            assert_ok(&ran, &expected, &what);
            assert_empty(&places(&home), &what);
        }
    }
}

#[test]
fn its_end_is_its_own_and_nobody_is_its_child() {
    let home = Home::new();
    for (login, inner) in cross() {
        for (line, code, signal) in [
            ("exit 0", Some(0), None),
            ("exit 143", Some(143), None),
            ("kill -TERM $$", None, Some(15)),
            ("kill -KILL $$", None, Some(9)),
            // Whoever waits for all children must not wait for the keeper.
            (
                "read -r c </proc/$$/task/$$/children; [ -z \"$c\" ]",
                Some(0),
                None,
            ),
        ] {
            let ran = bring(
                with_places(&home, login, inner),
                &script(line.as_bytes(), &[]),
                b"",
            );
            let what = format!("{login}, {inner}, {line}: {}", ran.describe());
            assert_eq!(ran.output.status.code(), code, "{what}");
            assert_eq!(ran.output.status.signal(), signal, "{what}");
            assert!(ran.stderr.is_empty(), "{what}");
            assert_empty(&places(&home), &what);
        }
    }
}

#[test]
fn what_is_to_read_it_is_looked_for_before_it_is_placed() {
    let home = Home::new();
    let given = |words: &[&str]| {
        let words = words.iter().map(OsString::from).collect();
        let script = Script::new("x.sh".as_ref(), (*b"").into(), words, Vec::new());
        Exec::new(Command::Script(script))
    };
    for (exec, reason, message) in [
        (
            script(b"#!/no/such/one -x\n", &[]),
            NotSpawned::Missing,
            "cannot run `x.sh`: the host has no `/no/such/one`, which is to read it",
        ),
        (
            script(b"#!/bin/sh\r\n", &[]),
            NotSpawned::Missing,
            "cannot run `x.sh`: the host has no `/bin/sh\\r`, which is to read it",
        ),
        (
            script(b"#!/usr/bin/env no-such-one\n", &[]),
            NotSpawned::Interpreter,
            "cannot run `x.sh`: the host has no `no-such-one`, which is to read it",
        ),
        (
            given(&["no-such-one", "-u"]),
            NotSpawned::Missing,
            "cannot run `x.sh`: the host has no `no-such-one`, which is to read it",
        ),
        (
            script(b"#!/etc/passwd\n", &[]),
            NotSpawned::Denied,
            "cannot run `x.sh`: `/etc/passwd`, which is to read it, can't be executed",
        ),
    ] {
        for (login, inner) in cross() {
            let ran = bring(with_places(&home, login, inner), &exec, b"");
            let what = format!("{login}, {inner}: {}", ran.describe());
            assert_eq!(ran.filter.not_spawned(), Some(reason), "{what}");
            assert!(!ran.filter.is_placing(), "{what}");
            assert!(ran.stderr.is_empty(), "{what}");
        }
        assert_eq!(reason.message(&exec), message);
    }
    assert_empty(&places(&home), "nothing was placed");
}

#[test]
fn a_program_is_executed_itself() {
    let home = Home::new();
    let echo = std::fs::read("/bin/echo").unwrap();
    for inner in INNER {
        let exec = script(&echo, &["a  b".into()]);
        let ran = bring(with_places(&home, "sh", inner), &exec, b"");
        assert_ok(&ran, b"a  b\n", inner);
        assert_empty(&places(&home), inner);
    }
}

#[test]
fn the_request_fits_into_one_line_of_a_small_server() {
    let marker = Marker::random();
    let request = request(&script(b"", &["a b".into()]), &marker).unwrap();
    assert!(request.preamble.is_empty(), "{}", request.preamble.len());
}

#[test]
fn what_does_not_come_whole_is_not_run() {
    let home = Home::new();
    for inner in INNER {
        let exec = script(b"echo ran\n", &[]);
        let marker = Marker::random();
        let request = request(&exec, &marker).unwrap();
        let mut shell = with_places(&home, "sh", inner);
        let line = OsString::from_vec(request.line);
        shell.arg("-c").arg(line).stdin(Stdio::piped());
        shell.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = shell.spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"echo").unwrap();
        let ran = finish(child.wait_with_output().unwrap(), &marker);
        let what = format!("{inner}: {}", ran.describe());
        assert_eq!(
            ran.filter.not_spawned(),
            Some(NotSpawned::NotPlaced),
            "{what}"
        );
        assert!(
            ran.output.stdout.is_empty() && ran.stderr.is_empty(),
            "{what}"
        );
        assert_empty(&places(&home), &what);
    }
}

/// Returns a PATH of these tools alone, and `inner` as `sh`.
fn tools(home: &Home, inner: &str, names: &[&str]) -> PathBuf {
    let tools = home.path().join(format!("tools-{inner}-{}", names.len()));
    std::fs::create_dir(&tools).unwrap();
    for name in names {
        symlink(program(name), tools.join(name)).unwrap();
    }
    symlink(home.path().join(inner).join("sh"), tools.join("sh")).unwrap();
    tools
}

#[test]
fn a_host_of_few_tools_takes_it_too() {
    let home = Home::new();
    // Neither `head` nor `setsid`.
    let few = ["printf", "sleep", "mkdir", "rm", "chmod", "dd", "wc", "cat"];
    for inner in INNER {
        let mut shell = with_places(&home, "dash", inner);
        shell
            .env("PATH", tools(&home, inner, &few))
            .process_group(0);
        let ran = bring(shell, &script(b"cat", &[]), b"input");
        assert_ok(&ran, b"input", inner);
        assert_empty(&places(&home), inner);
        // Nor `mkdir`: no folder can be made.
        let mut shell = with_places(&home, "dash", inner);
        shell
            .env("PATH", tools(&home, inner, &few[..2]))
            .process_group(0);
        let exec = script(b"cat", &[]);
        let ran = bring(shell, &exec, b"");
        let reason = ran.filter.not_spawned();
        assert_eq!(
            reason,
            Some(NotSpawned::NoPlace),
            "{inner}: {}",
            ran.describe()
        );
    }
}

#[test]
fn without_proc_the_keeper_asks_by_a_signal() {
    let home = Home::new();
    for inner in INNER {
        let exec = script(b"ls \"${0%/*}\"; cat", &[]);
        let marker = Marker::random();
        let text = String::from_utf8(wrapper::script(&exec, &marker)).unwrap();
        assert!(text.contains("/proc/$hoist_w/stat"));
        let text = text.replace("/proc/", "/none/");
        let request = wire::request(text.as_bytes()).unwrap();
        let parts = [content(&exec), b"input".to_vec()];
        let ran = bring_by(with_places(&home, "sh", inner), request, &marker, parts);
        assert_ok(&ran, b"x.sh\ninput", inner);
        assert_empty(&places(&home), inner);
    }
}

#[test]
fn a_group_that_is_killed_at_once_leaves_no_folder() {
    let home = Home::new();
    for (login, inner) in cross() {
        let exec = script(b"trap '' TERM; echo ready; sleep 60 & wait; wait", &[]);
        let marker = Marker::random();
        let request = request(&exec, &marker).unwrap();
        let mut shell = with_places(&home, login, inner);
        let line = OsString::from_vec(request.line);
        shell.arg("-c").arg(line).stdin(Stdio::piped());
        shell.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = shell.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(&content(&exec)).unwrap();
        let mut ready = [0; 6];
        child
            .stdout
            .as_mut()
            .unwrap()
            .read_exact(&mut ready)
            .unwrap();
        let mut filter = MarkerFilter::new(&marker);
        let mut told = [0; 4096];
        while filter.started().is_none() {
            let count = child.stderr.as_mut().unwrap().read(&mut told).unwrap();
            filter.push(&told[..count], &mut Vec::new());
        }
        assert_eq!(std::fs::read_dir(places(&home)).unwrap().count(), 1);
        let started = filter.started().unwrap();
        let kill = kill_request(started, Signal::Kill, None, &Marker::random());
        let mut killing = home.login(login, inner);
        let done = killing
            .arg("-c")
            .arg(OsString::from_vec(kill.line))
            .status();
        assert!(done.unwrap().success(), "{login}, {inner}");
        assert_eq!(child.wait().unwrap().signal(), Some(9), "{login}, {inner}");
        assert_empty(&places(&home), &format!("{login}, {inner}"));
    }
}
