//! What is different on a terminal.

use crate::support::PATIENCE;
use crate::support::ended::Ended;
use crate::support::fleet::{Fleet, Invocation};

fn on_terminal(invocation: Invocation<'_>) -> Ended {
    invocation.start_on_terminal().wait(PATIENCE)
}

/// Whether bytes could do anything to a terminal but set colours and draw the progress bar.
fn has_controls(bytes: &[u8]) -> bool {
    let harmless = |b: &u8| !b.is_ascii_control() || matches!(b, b'\n' | b'\r' | b'\t' | 0x1b);
    !bytes.iter().all(harmless)
}

#[test]
fn a_table_and_a_summary_are_shown_by_default() {
    let fleet = Fleet::new()
        .hosts("web[1-3]")
        .says("web1", "fine")
        .exits("web2", 3);
    let ended = on_terminal(fleet.command("run -- act"));
    ended
        .code(1)
        .stdout_has("HOST")
        .stdout_has("fine")
        .stdout_has("exit 3")
        .stdout_has("3 hosts");
}

#[test]
fn what_a_host_prints_cannot_drive_the_terminal() {
    let evil = "printf '\\033]0;title\\007\\033[2Jevil\\033[1A\\rover\\b\\b\\302\\233x\\n'";
    let fleet = Fleet::new().hosts("web1").acts("web1", evil);
    for format in ["table", "stream", "group", "raw"] {
        let line = format!("run -o {format} --color never -q -- act");
        let ended = on_terminal(fleet.command(&line));
        ended.code(0).stdout_has("evil");
        for sequence in ["\x1b]0;", "\x1b[2J", "\x1b[1A", "\x07", "\x08", "\u{9b}"] {
            assert!(
                !ended.out().contains(sequence),
                "{sequence:?} in {format}\n{ended}"
            );
        }
        assert!(!has_controls(&ended.stdout), "{format}\n{ended}");
    }
}

#[test]
fn a_table_fits_the_width() {
    let fleet = Fleet::new()
        .hosts("web[1-2]")
        .says("web1", &"wide \u{4f60}\u{597d} ".repeat(60));
    let ended = on_terminal(fleet.command("run -o table -q --color never -- act"));
    ended.code(0);
    for line in ended.out().lines() {
        let width = unicode_width::UnicodeWidthStr::width(line.trim_end());
        assert!(width <= 100, "{width} columns: {line}\n{ended}");
    }
}

#[test]
fn colour_is_left_out_when_nobody_wants_it() {
    let fleet = Fleet::new().hosts("web[1-2]").exits("web2", 3);
    let plain = on_terminal(fleet.command("run -q -- act").env("NO_COLOR", "1"));
    assert!(!plain.out().contains("\x1b["), "{plain}");
    let colourful = on_terminal(fleet.command("run -q -- act"));
    assert!(colourful.out().contains("\x1b["), "{colourful}");
    let piped = fleet.hoist("run -o table -- act");
    assert!(!piped.out().contains("\x1b["), "{piped}");
    let forced = fleet.hoist("run -o table --color always -- act");
    assert!(forced.out().contains("\x1b["), "{forced}");
}

#[test]
fn results_can_go_to_a_file_while_the_terminal_shows_the_summary() {
    let fleet = Fleet::new().hosts("web[1-3]");
    let args = [
        "-c",
        "exec \"$@\" > result",
        "sh",
        env!("CARGO_BIN_EXE_hoist"),
        "run",
        "--",
        "echo",
        "x",
    ];
    let ended = on_terminal(fleet.program("sh", args));
    ended.code(0).stdout_has("3 hosts");
    let result = String::from_utf8(fleet.tree().read("work/result")).unwrap();
    assert_eq!(result.lines().count(), 3, "{result}");
    assert!(result.lines().all(|line| line.ends_with(": x")), "{result}");
}
