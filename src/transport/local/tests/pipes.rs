//! No byte is lost or waited for in vain.

use std::io::{Seek, SeekFrom, Write};
use std::sync::Arc;

use rustix::process::Pid;

use super::*;
use crate::remote::Stdin;

#[test]
fn both_pipes_are_drained_while_stdin_is_fed() {
    let input = bytes(3_000_000);
    // Fills stderr beyond any pipe before it reads, then echoes.
    let mut exec = script("head -c 1000000 /dev/zero >&2; cat; head -c 1000000 /dev/zero >&2");
    exec.stdin = Stdin::Bytes(input.clone().into());
    let ran = done(&exec);
    assert!(ran.stdout == input);
    assert_eq!(ran.stderr.len(), 2_000_000);
    assert_eq!(ran.code(), 0);
}

#[test]
fn one_file_feeds_several_commands_each_from_its_start() {
    let mut file = tempfile::tempfile().unwrap();
    let input = bytes(200_000);
    file.write_all(&input).unwrap();
    file.seek(SeekFrom::Start(5)).unwrap();
    let mut exec = argv(["cat"]);
    exec.stdin = Stdin::File(Arc::new(file));
    let (one, other) = block_on(future::zip(run(&exec), run(&exec)));
    assert!(one.stdout == input && other.stdout == input);
}

#[test]
fn an_input_that_cannot_be_read_ends_the_command() {
    let mut exec = argv(["cat"]);
    exec.stdin = Stdin::File(Arc::new(File::open("/").unwrap()));
    let ran = done(&exec);
    let Some(End::Lost { message }) = &ran.end else {
        panic!("{ran:?}")
    };
    insta::assert_snapshot!(message, @"the command was ended, as its input can't be read: Is a directory (os error 21)");
}

#[test]
fn empty_input_ends_at_once() {
    assert_eq!(done(&argv(["cat"])).code(), 0);
    let mut exec = argv(["wc", "-c"]);
    exec.stdin = Stdin::Bytes([].into());
    assert_eq!(done(&exec).stdout(), "0\n");
}

#[test]
fn a_command_need_not_read_its_input() {
    for text in [
        "exec <&-; echo ok",
        "head -c 1 >/dev/null; echo ok",
        "echo ok",
    ] {
        let mut exec = script(text);
        exec.stdin = Stdin::Bytes(bytes(1_000_000).into());
        let ran = done(&exec);
        assert_eq!((ran.stdout(), ran.code()), ("ok\n", 0), "{text}");
    }
}

/// Ends what a command left behind, and tells whether it was there.
fn end_left_behind(pid: &[u8]) -> bool {
    let pid = str::from_utf8(pid).unwrap().trim().parse().unwrap();
    rustix::process::kill_process(Pid::from_raw(pid).unwrap(), rustix::process::Signal::KILL)
        .is_ok()
}

const HELD: End = End::Exited {
    status: ExitStatus::Code(4),
    is_held: true,
};

#[test]
fn what_holds_a_pipe_after_the_end_is_told_and_left_alone() {
    for text in [
        "sleep 60 2>/dev/null & echo $!; exit 4",
        "sleep 60 >/dev/null & echo $!; exit 4",
        "setsid sleep 60 & echo $!; exit 4",
    ] {
        let ran = done(&script(text));
        assert_eq!(ran.end, Some(HELD), "{text}");
        assert!(end_left_behind(&ran.stdout), "{text}");
    }
    // Nothing is held by one that let go of both.
    let ran = done(&script("sleep 60 >/dev/null 2>&1 & echo $!; exit 4"));
    assert_eq!(ran.code(), 4);
    assert!(end_left_behind(&ran.stdout));
}

#[test]
fn what_writes_without_end_after_the_end_does_not_hold_it_up() {
    let ran = done(&script("yes & exit 4"));
    assert_eq!(ran.end, Some(HELD));
}

#[test]
fn what_was_in_flight_at_the_end_is_read_whole_by_a_slow_reader() {
    let text = "head -c 60000 /dev/zero; head -c 60000 /dev/zero >&2; sleep 60 & exit 4";
    let ran = block_on(async {
        let mut process = spawn(&script(text)).await;
        let mut ran = Ran::default();
        while ran.step(&mut *process).await {
            // Longer than the pipes are waited for.
            Timer::after(Duration::from_millis(300)).await;
        }
        ran
    });
    assert_eq!((ran.stdout.len(), ran.stderr.len()), (60_000, 60_000));
    assert_eq!(ran.end, Some(HELD));
}

#[test]
fn a_command_that_closes_its_pipes_is_waited_for() {
    let ran = done(&script("exec >&- 2>&-; sleep 0.3; exit 5"));
    assert_eq!(ran.code(), 5);
}

#[test]
fn a_wait_that_is_dropped_loses_nothing() {
    let input = bytes(500_000);
    let mut exec = script("cat; for i in 1 2 3; do echo $i >&2; sleep 0.01; done; exit 6");
    exec.stdin = Stdin::Bytes(input.clone().into());
    let ran = block_on(async {
        let mut process = spawn(&exec).await;
        let mut ran = Ran::default();
        let mut dropped = 0;
        loop {
            match future::poll_once(ran.step(&mut *process)).await {
                Some(true) => {}
                Some(false) => break,
                None => {
                    dropped += 1;
                    Timer::after(Duration::from_millis(1)).await;
                }
            }
        }
        assert!(dropped > 0);
        ran
    });
    assert!(ran.stdout == input, "{} bytes", ran.stdout.len());
    assert_eq!((&ran.stderr[..], ran.code()), (&b"1\n2\n3\n"[..], 6));
}
