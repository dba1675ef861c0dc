//! `hoist run` on this machine: what arrives at a command, and how its end is told.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use crate::support::fleet::Fleet;
use crate::support::{names, numbered_lines};

/// Arguments that quoting gets wrong when it gets anything wrong.
pub(crate) const ODD_ARGUMENTS: &[&[u8]] = &[
    b"",
    b" ",
    b"two words",
    b"'",
    b"\"",
    b"\\",
    b"\\\\'",
    b"!",
    b"!!",
    b"$HOME",
    b"`id`",
    b"$(id)",
    b"*",
    b"~",
    b"a\nb",
    b"ends with newline\n",
    b"\n",
    b"\t",
    b"%s%n",
    b"-n",
    b"--",
    b"\xff\xfe",
    "h\u{f6}ist \u{1f6a9}".as_bytes(),
    b"a;b|c&d>e<f#g(h)i{j}k[l]m",
    b"\x01\x1b[31m\x7f",
    b"=",
    b"\r\n",
];

/// Returns the words of a command that prints each of its arguments with a NUL after it.
pub(crate) fn prints_arguments() -> Vec<OsString> {
    let words = [b"printf".as_slice(), b"%s\\0"].into_iter();
    words
        .chain(ODD_ARGUMENTS.iter().copied())
        .map(|word| OsString::from_vec(word.to_vec()))
        .collect()
}

/// Returns what [`prints_arguments`] prints.
pub(crate) fn printed_arguments() -> Vec<u8> {
    ODD_ARGUMENTS
        .iter()
        .flat_map(|word| [word, &b"\0"[..]].concat())
        .collect()
}

fn run_with(command: Vec<OsString>) -> Vec<OsString> {
    let start = ["run", "-o", "jsonl", "--"].map(OsString::from);
    start.into_iter().chain(command).collect()
}

#[test]
fn every_host_says_its_own_line() {
    Fleet::new()
        .hosts("web[1-3]")
        .hoist("run -- sh -c 'echo I am $HOIST_HOST'")
        .code(0)
        .stdout_lines(&["web1: I am web1", "web2: I am web2", "web3: I am web3"])
        .no_stderr();
}

#[test]
fn one_host_fails_and_the_others_do_not_notice() {
    let ended = Fleet::new()
        .hosts("web[1-3]")
        .says("web2", "boom")
        .exits("web2", 3)
        .hoist("run -o jsonl -- act");
    ended.code(1).each_host_once(&names("web[1-3]"));
    ended
        .became("web1", "ok", "")
        .became("web2", "failed", "exit")
        .became("web3", "ok", "");
    let record = ended.record("web2");
    assert_eq!(record.number("exit_code"), 3, "{ended}");
    assert_eq!(record.text("stdout"), "boom\n", "{ended}");
}

#[test]
fn a_host_selected_twice_is_worked_once() {
    let fleet = Fleet::new().hosts("web[1-3]");
    let ended = fleet.hoist("run -o jsonl -w web1,web2 -w 'web[2-3],web1' -- true");
    ended.code(0).each_host_once(&names("web[1-3]"));
}

#[test]
fn arguments_arrive_byte_for_byte() {
    let fleet = Fleet::new().hosts("web1");
    let ended = fleet.argv(run_with(prints_arguments())).run();
    ended.code(0);
    assert_eq!(
        ended.record("web1").bytes("stdout"),
        printed_arguments(),
        "{ended}"
    );
}

#[test]
fn a_lone_word_is_split_like_a_shell_would() {
    let fleet = Fleet::new().hosts("web1");
    let ended = fleet
        .argv(["run", "-N", r#"printf '%s|' one "two three" four\ five"#])
        .run();
    ended.code(0).stdout_has("one|two three|four five|");
}

#[test]
fn a_lone_word_is_not_split_when_told_so() {
    let fleet = Fleet::new().hosts("web1");
    let program = fleet
        .tree()
        .write_with_mode("bin/odd name", "#!/bin/sh\necho odd\n", 0o755);
    let path = program.to_str().unwrap();
    fleet
        .argv(["run", "-N", "--no-split", path])
        .run()
        .code(0)
        .stdout("odd\n");
    let ended = fleet.argv(["run", "-o", "jsonl", path]).run();
    ended.code(1).became("web1", "failed", "spawn");
}

#[test]
fn an_unclosed_quote_is_shown_before_anything_runs() {
    let fleet = Fleet::new().hosts("web1");
    fleet
        .argv(["run", "touch ran 'half"])
        .run()
        .code(2)
        .complains(&["11"]);
    assert!(!fleet.tree().join("work/ran").exists());
}

#[test]
fn shell_syntax_in_split_words_is_literal_and_hinted_at_once() {
    let fleet = Fleet::new().hosts("web[1-3]");
    let ended = fleet.argv(["run", "-N", "echo a | tr a b"]).run();
    ended
        .code(0)
        .stdout(&"a | tr a b\n".repeat(3))
        .stderr_has("--shell");
    assert_eq!(ended.err().matches("--shell").count(), 1, "{ended}");
    let quoted = fleet.argv(["run", "-N", "echo 'a | b'"]).run();
    quoted.code(0).no_stderr();
}

#[test]
fn a_shell_gets_the_line_as_it_is() {
    let fleet = Fleet::new().hosts("web1");
    let ended = fleet
        .argv(["run", "-N", "--shell", "echo a | tr a b; exit 4"])
        .run();
    ended.code(1).stdout("b\n").stderr_lacks("--shell");
}

#[test]
fn a_command_knows_who_it_is() {
    let fleet = Fleet::new().hosts("web[1-3]");
    fleet
        .hoist("run -N -- sh -c 'echo $HOIST_HOST $HOIST_INDEX/$HOIST_TOTAL'")
        .code(0)
        .stdout_lines(&["web1 0/3", "web2 1/3", "web3 2/3"]);
}

#[test]
fn folder_and_variables_are_as_told() {
    let fleet = Fleet::new().hosts("web1");
    let folder = fleet.tree().folder("a 'folder'");
    let value = OsString::from_vec(b"a b'\"$x\n\xff".to_vec());
    let mut args = [
        "run", "-o", "jsonl", "--env", "FIRST=1", "--env", "FIRST=2", "--cwd",
    ]
    .map(OsString::from)
    .to_vec();
    args.push(folder.clone().into());
    let mut odd = OsString::from("ODD=");
    odd.push(&value);
    args.extend(["--env".into(), odd]);
    args.extend(
        [
            "--",
            "sh",
            "-c",
            "printf '%s\\0' \"$PWD\" \"$FIRST\" \"$ODD\"",
        ]
        .map(OsString::from),
    );
    let ended = fleet.argv(args).run();
    ended.code(0);
    let expected = [folder.into_os_string(), "2".into(), value]
        .map(|word| [word.into_vec(), vec![0]].concat())
        .concat();
    assert_eq!(ended.record("web1").bytes("stdout"), expected, "{ended}");
}

#[test]
fn a_missing_program_or_folder_is_told_from_a_status() {
    let fleet = Fleet::new().hosts("web1");
    let missing = fleet.hoist("run -o jsonl -- no-such-program-here --flag");
    missing.code(1).became("web1", "failed", "spawn");
    let message = missing.record("web1").text("message");
    assert!(message.contains("no-such-program-here"), "{missing}");

    let folder = fleet.hoist("run -o jsonl --cwd /no/such/folder -- true");
    folder.code(1).became("web1", "failed", "spawn");

    for status in [126, 127] {
        let ended = fleet.hoist(&format!("run -o jsonl -- sh -c 'exit {status}'"));
        ended.code(1).became("web1", "failed", "exit");
        assert_eq!(ended.record("web1").number("exit_code"), status);
    }
}

#[test]
fn a_signal_is_told_from_a_status() {
    let ended = Fleet::new()
        .hosts("web1")
        .hoist("run -o jsonl -- sh -c 'kill -SEGV $$'");
    ended.code(1).became("web1", "failed", "signal");
    let record = ended.record("web1");
    assert_eq!(record.text("signal"), "SEGV", "{ended}");
    assert!(record.get("exit_code").is_null(), "{ended}");
}

#[test]
fn a_command_reads_nothing_unless_given_something() {
    let fleet = Fleet::new().hosts("web1");
    fleet
        .command("run -N -- cat")
        .stdin("not for the hosts")
        .run()
        .code(0)
        .no_stdout();
}

#[test]
fn every_host_reads_the_same_from_its_start() {
    let fleet = Fleet::new().hosts("web[1-4]");
    let text = numbered_lines(100_000);
    fleet.tree().write("work/input", &text);
    for flag in ["input", "-"] {
        let line = format!("run -o jsonl --stdin {flag} -- cat");
        let ended = fleet.command(&line).stdin(text.clone()).run();
        ended.code(0).each_host_once(&names("web[1-4]"));
        for record in ended.records() {
            assert!(
                record.text("stdout") == text,
                "{} got something else",
                record.text("host")
            );
        }
    }
}

#[test]
fn a_command_may_leave_its_input_unread() {
    let fleet = Fleet::new().hosts("web1");
    fleet.tree().write("work/input", vec![b'x'; 4 << 20]);
    fleet
        .hoist("run -N --stdin input -- echo done")
        .code(0)
        .stdout("done\n");
}

#[test]
fn both_pipes_are_drained_together() {
    let fleet = Fleet::new().hosts("web1");
    let both = "head -c 5000000 /dev/zero >&2; head -c 5000000 /dev/zero; echo end";
    let ended = fleet
        .argv(["run", "-o", "jsonl", "--", "sh", "-c", both])
        .run();
    ended.code(0);
    let record = ended.record("web1");
    assert_eq!(
        (record.number("stdout_bytes"), record.number("stderr_bytes")),
        (5_000_004, 5_000_000)
    );
}

#[test]
fn a_command_that_takes_too_long_is_ended_with_all_it_started() {
    let fleet = Fleet::new().hosts("web[1-2]").exits("web2", 0);
    let line = fleet.staying();
    let pids = fleet.tree().join("pids");
    let child = format!("sleep 300 & echo $! > {}/child.pid; ", pids.display());
    let fleet = fleet.acts("web1", &(child + &line));
    let ended = fleet.hoist("run -o jsonl --timeout 1s -- act");
    ended
        .code(3)
        .became("web1", "failed", "timeout")
        .became("web2", "ok", "");
    ended.within(Duration::from_secs(10));
    let record = ended.record("web1");
    assert_eq!(record.text("killed"), "confirmed", "{ended}");
    assert_eq!(record.text("stdout"), "ready\n", "{ended}");
    fleet.nobody_stays();
}

#[test]
fn a_command_that_ignores_term_is_killed() {
    let fleet = Fleet::new().hosts("web1");
    let line = format!("trap '' TERM; {}", fleet.staying());
    let fleet = fleet.acts("web1", &line);
    let ended = fleet.hoist("run -o jsonl --timeout 500ms -- act");
    ended
        .code(3)
        .became("web1", "failed", "timeout")
        .within(Duration::from_secs(20));
    assert_eq!(ended.record("web1").text("killed"), "confirmed", "{ended}");
    fleet.nobody_stays();
}

#[test]
fn a_daemon_that_keeps_stdout_open_does_not_hold_up_the_end() {
    let fleet = Fleet::new().hosts("web1");
    let pids = fleet.tree().join("pids");
    let line = format!(
        "sleep 300 & echo $! > {}/daemon.pid; echo started",
        pids.display()
    );
    let ended = fleet.acts("web1", &line).hoist("run -o jsonl -- act");
    ended
        .code(0)
        .became("web1", "ok", "")
        .within(Duration::from_secs(30));
    let record = ended.record("web1");
    assert!(record.is("stdout_held"), "{ended}");
    assert_eq!(record.text("stdout"), "started\n", "{ended}");
}

#[test]
fn output_beyond_the_limit_is_read_and_dropped_and_told() {
    let fleet = Fleet::new().hosts("web1");
    let line = "seq 1 100000; seq 1 100000 >&2; echo end";
    let ended = fleet
        .argv([
            "run",
            "-o",
            "jsonl",
            "--max-output",
            "1k",
            "--",
            "sh",
            "-c",
            line,
        ])
        .run();
    ended.code(0);
    let record = ended.record("web1");
    for pipe in ["stdout", "stderr"] {
        assert_eq!(record.bytes(pipe).len(), 1024, "{ended}");
        assert!(record.is(&format!("{pipe}_truncated")), "{ended}");
    }
    assert_eq!(
        record.number("stdout_bytes"),
        588_895 + 4,
        "all that came is counted\n{ended}"
    );
}

#[test]
fn hosts_are_worked_at_once_but_not_more_than_told() {
    let fleet = Fleet::new().hosts("web[1-2]");
    let fifo = fleet.tree().join("fifo");
    let (write, read) = (
        format!("echo met > {}", fifo.display()),
        format!("cat {}", fifo.display()),
    );
    // Each end waits for the other: alone none of them would end.
    let fleet = fleet.acts("web1", &write).acts("web2", &read);
    crate::support::process::must("mkfifo", &[&fifo]);
    fleet
        .hoist("run -N -f 2 --timeout 20s -- act")
        .code(0)
        .stdout("met\n");
    let alone = fleet.hoist("run -o jsonl -f 1 --timeout 1s -- act");
    alone.code(3).became("web1", "failed", "timeout");
}

#[test]
fn one_at_a_time_goes_in_the_order_of_the_inventory() {
    let fleet = Fleet::new().hosts("web[1-9]").hosts("db[1-9]");
    let ended = fleet.hoist("run -N -f 1 -- sh -c 'echo $HOIST_HOST'");
    let lines: Vec<String> = [names("web[1-9]"), names("db[1-9]")].concat();
    ended.code(0).stdout(&(lines.join("\n") + "\n"));
}

#[test]
fn a_dry_run_tells_and_does_nothing() {
    let fleet = Fleet::new().hosts("web[1-2]");
    let ended = fleet.hoist("run -n -- touch ran");
    ended
        .code(0)
        .stdout_has("web1")
        .stdout_has("web2")
        .stdout_has("touch ran");
    assert!(!fleet.tree().join("work/ran").exists());
}

#[test]
fn the_transport_can_be_named_for_hosts_that_name_none() {
    let fleet = Fleet::new().inventory("name\nweb1\nweb2\n");
    fleet
        .hoist("run --transport local -- sh -c 'echo $HOIST_HOST'")
        .code(0)
        .stdout_lines(&["web1: web1", "web2: web2"]);
}

#[test]
fn a_command_does_not_see_files_hoist_has_open() {
    let fleet = Fleet::new().hosts("web1");
    fleet.tree().write("work/input", "x");
    // Whoever started the tests may have left files open for everybody.
    let usual = fleet.program("ls", ["/proc/self/fd"]).run().out();
    let ended = fleet.hoist("run -N --stdin input --out-dir out -- ls /proc/self/fd");
    let seen = ended.code(0).out();
    let is_usual = |file: &&str| usual.lines().any(|line| line == *file);
    let more: Vec<&str> = seen.lines().filter(|file| !is_usual(file)).collect();
    assert!(more.is_empty(), "{more:?}\n{ended}");
}
