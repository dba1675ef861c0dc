//! Commands over SSH against OpenSSH: the same as on this machine, and what a link adds.

use std::ffi::OsString;
use std::time::Duration;

use crate::run::{printed_arguments, prints_arguments};
use crate::support::fleet::{Fleet, over_openssh, signal_told};
use crate::support::sshd::Sshd;
use crate::support::{names, numbered_lines};

#[test]
fn every_host_says_its_own_line() {
    let sshd = Sshd::start();
    Fleet::new()
        .served("web[1-5]", &sshd)
        .hoist("run -- sh -c 'echo I am $HOIST_HOST, $HOIST_INDEX of $HOIST_TOTAL'")
        .code(0)
        .stdout_lines(&[
            "web1: I am web1, 0 of 5",
            "web2: I am web2, 1 of 5",
            "web3: I am web3, 2 of 5",
            "web4: I am web4, 3 of 5",
            "web5: I am web5, 4 of 5",
        ])
        .no_stderr();
}

#[test]
fn hosts_of_both_transports_are_worked_together() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web[1-2]", &sshd).hosts("here");
    let ended = fleet.hoist("run -o jsonl -- true");
    ended
        .code(0)
        .each_host_once(&[names("web[1-2]"), names("here")].concat());
    let (web, here) = (ended.record("web1"), ended.record("here"));
    assert_eq!(web.number("port"), i64::from(sshd.port()), "{ended}");
    assert!(web.text("address").starts_with("127."), "{ended}");
    assert!(here.get("port").is_null(), "{ended}");
}

#[test]
fn arguments_arrive_byte_for_byte() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web1", &sshd);
    let start = ["run", "-o", "jsonl", "--"].map(OsString::from);
    let ended = fleet
        .argv(start.into_iter().chain(prints_arguments()))
        .run();
    ended.code(0);
    assert_eq!(
        ended.record("web1").bytes("stdout"),
        printed_arguments(),
        "{ended}"
    );
}

#[test]
fn a_line_is_for_the_accounts_shell_when_told_so() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web1", &sshd);
    fleet
        .argv(["run", "-N", "--shell", "echo a | tr a b; exit 4"])
        .run()
        .code(1)
        .stdout("b\n");
}

#[test]
fn a_line_too_long_for_linux_is_refused_before_any_connection() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web1", &sshd);
    // Each word is short enough for Linux; the line with all of them is not.
    let words = vec!["x".repeat(5000); 40];
    let start = ["run", "--", "echo"].map(str::to_owned);
    let ended = fleet.argv(start.into_iter().chain(words)).run();
    ended.code(2).no_stdout().complains(&[]);
    let log = sshd.log().to_string();
    assert!(!log.contains("Accepted publickey"), "{log}");
}

#[test]
fn folder_variables_and_input_are_as_told() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web[1-3]", &sshd);
    let folder = fleet.tree().folder("a 'folder'");
    let text = numbered_lines(200_000);
    fleet.tree().write("work/input", &text);
    let ended = fleet
        .argv(
            [
                "run",
                "-o",
                "jsonl",
                "--env",
                "ODD=a b'\"$x\n",
                "--stdin",
                "input",
                "--cwd",
            ]
            .into_iter()
            .chain([folder.to_str().unwrap(), "--", "sh", "-c"])
            .chain(["echo \"$PWD\"; printf '%s\\n' \"$ODD\"; cat"]),
        )
        .run();
    ended.code(0).each_host_once(&names("web[1-3]"));
    let expected = format!("{}\na b'\"$x\n\n{text}", folder.display());
    for record in ended.records() {
        assert!(
            record.text("stdout") == expected,
            "{} got something else",
            record.text("host")
        );
    }
}

#[test]
fn both_pipes_and_the_input_flow_together() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web1", &sshd);
    fleet.tree().write("work/input", vec![b'x'; 8 << 20]);
    // More than any window on each of the three: drained or fed one after the other they hang.
    let ended = fleet
        .argv([
            "run",
            "-o",
            "jsonl",
            "--stdin",
            "input",
            "--",
            "sh",
            "-c",
            "tee /dev/stderr",
        ])
        .run();
    ended.code(0);
    let record = ended.record("web1");
    assert_eq!(
        (record.number("stdout_bytes"), record.number("stderr_bytes")),
        (8 << 20, 8 << 20)
    );
}

#[test]
fn a_command_may_leave_its_input_unread() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web1", &sshd);
    fleet.tree().write("work/input", vec![b'x'; 8 << 20]);
    fleet
        .hoist("run -N --stdin input -- echo done")
        .code(0)
        .stdout("done\n");
}

#[test]
fn status_signal_and_neither_are_told_apart() {
    let sshd = Sshd::start();
    let cut = sshd.cuts_the_session();
    let fleet = Fleet::new()
        .served("web[1-5]", &sshd)
        .acts("web1", "exit 200")
        .acts("web2", "kill -TERM $$")
        .acts("web3", "kill -KILL $$")
        .acts("web4", &format!("echo before; {cut}"))
        .exits("web5", 0);
    let ended = fleet.hoist(&format!("run -o jsonl --timeout 60s -- {}", fleet.act()));
    ended.code(3).each_host_once(&names("web[1-5]"));
    ended
        .became("web1", "failed", "exit")
        .became("web2", "failed", "signal");
    ended
        .became("web3", "failed", "signal")
        .became("web4", "failed", "lost");
    ended.became("web5", "ok", "");
    assert_eq!(ended.record("web1").number("exit_code"), 200);
    assert_eq!(ended.record("web2").text("signal"), signal_told("TERM"));
    assert_eq!(ended.record("web3").text("signal"), signal_told("KILL"));
    assert_eq!(ended.record("web4").text("stdout"), "before\n");
    assert!(ended.record("web4").get("exit_code").is_null(), "{ended}");
}

#[test]
fn a_missing_program_or_folder_is_told_from_a_status() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web1", &sshd);
    let missing = fleet.hoist("run -o jsonl -- no-such-program-here --flag");
    missing.code(1).became("web1", "failed", "spawn");
    let folder = fleet.hoist("run -o jsonl --cwd /no/such/folder -- true");
    folder.code(1).became("web1", "failed", "spawn");
    let status = fleet.hoist("run -o jsonl -- sh -c 'exit 127'");
    status.code(1).became("web1", "failed", "exit");
}

#[test]
fn what_stands_around_the_command_leaves_no_trace_in_its_output() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web1", &sshd);
    let ended = fleet
        .argv([
            "run",
            "-o",
            "jsonl",
            "--",
            "sh",
            "-c",
            "echo out; echo err >&2",
        ])
        .run();
    let record = ended.record("web1");
    assert_eq!(record.text("stdout"), "out\n", "{ended}");
    assert_eq!(record.text("stderr"), "err\n", "{ended}");
    assert_eq!(
        (record.number("stdout_bytes"), record.number("stderr_bytes")),
        (4, 4),
        "{ended}"
    );
}

#[test]
fn a_command_that_takes_too_long_is_ended_there() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web[1-2]", &sshd).exits("web2", 0);
    let pids = fleet.tree().join("pids");
    let child = format!("sleep 300 & echo $! > {}/child.pid; ", pids.display());
    let line = child + &fleet.staying();
    let fleet = fleet.acts("web1", &line);
    let ended = fleet.hoist(&format!("run -o jsonl --timeout 1s -- {}", fleet.act()));
    ended
        .code(3)
        .became("web1", "failed", "timeout")
        .became("web2", "ok", "");
    ended.within(Duration::from_secs(15));
    assert_eq!(ended.record("web1").text("killed"), "confirmed", "{ended}");
    fleet.nobody_stays();
}

#[test]
fn a_command_that_ignores_term_is_killed_there() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web1", &sshd);
    let line = format!("trap '' TERM; {}", fleet.staying());
    let fleet = fleet.acts("web1", &line);
    let ended = fleet.hoist(&format!("run -o jsonl --timeout 500ms -- {}", fleet.act()));
    ended
        .code(3)
        .became("web1", "failed", "timeout")
        .within(Duration::from_secs(30));
    assert_eq!(ended.record("web1").text("killed"), "confirmed", "{ended}");
    fleet.nobody_stays();
}

#[test]
fn a_shells_line_that_takes_too_long_is_ended_there() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web1", &sshd);
    let line = fleet.staying();
    let ended = fleet
        .argv(["run", "-o", "jsonl", "--timeout", "1s", "--shell", &line])
        .run();
    ended.code(3).became("web1", "failed", "timeout");
    assert_eq!(ended.record("web1").text("killed"), "confirmed", "{ended}");
    fleet.nobody_stays();
}

#[test]
fn a_daemon_that_keeps_stdout_open_does_not_hold_up_the_end() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web1", &sshd);
    let pids = fleet.tree().join("pids");
    let line = format!(
        "sleep 300 & echo $! > {}/daemon.pid; echo started",
        pids.display()
    );
    let fleet = fleet.acts("web1", &line);
    let ended = fleet.hoist(&format!("run -o jsonl -- {}", fleet.act()));
    ended
        .code(0)
        .became("web1", "ok", "")
        .within(Duration::from_secs(30));
    assert!(ended.record("web1").is("stdout_held"), "{ended}");
}

#[test]
fn a_server_that_runs_nothing_is_told() {
    let sshd = Sshd::with().line("MaxSessions 0").start();
    let ended = Fleet::new()
        .served("web1", &sshd)
        .hoist("run -o jsonl -- true");
    ended.code(3).became("web1", "failed", "channel");
}

#[test]
fn only_what_both_sides_know_is_spoken() {
    let old = Sshd::with()
        .line("KexAlgorithms diffie-hellman-group14-sha1")
        .start();
    let strict = Sshd::with()
        .line("KexAlgorithms curve25519-sha256")
        .line("Ciphers aes256-gcm@openssh.com")
        .start();
    let group = Sshd::with()
        .line("KexAlgorithms diffie-hellman-group16-sha512")
        .line("Ciphers aes128-ctr")
        .start();
    let fleet = Fleet::new()
        .served("old", &old)
        .served("strict", &strict)
        .served("group", &group);
    // Each server lets its own key in.
    for sshd in [&old, &strict, &group] {
        sshd.authorize(&group.client_key.public());
    }
    let ended = fleet.hoist("run -o jsonl -w strict,group -- echo hello");
    ended
        .code(0)
        .became("strict", "ok", "")
        .became("group", "ok", "");
}

#[test]
fn connecting_is_measured_and_counted() {
    let sshd = Sshd::start();
    let ended = Fleet::new()
        .served("web1", &sshd)
        .hoist("run -o jsonl -- true");
    let record = ended.record("web1");
    assert_eq!(record.number("attempts"), 1, "{ended}");
    assert!(
        record.number("connect_ms") <= record.number("duration_ms"),
        "{ended}"
    );
}

#[test]
fn the_port_and_user_of_a_pattern_win() {
    let sshd = Sshd::start();
    let fleet = Fleet::new()
        .served("web1", &sshd)
        .inventory("name,address,port,user\nweb1,127.1.0.2,1,nobody\n");
    let user = crate::support::sshd::user();
    let pattern = format!("{user}@web1:{}", sshd.port());
    let ended = fleet
        .argv([
            "run", "-o", "jsonl", "-l", "nobody", "-p", "2", "-w", &pattern, "--", "true",
        ])
        .run();
    ended.code(0).became("web1", "ok", "");
}

#[test]
fn names_are_dialled_as_they_are_without_an_inventory() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web1", &sshd);
    let known = format!("* {}\n", sshd.host_keys[0].public());
    fleet.write_known_hosts(&known);
    let (user, port) = (crate::support::sshd::user(), sshd.port().to_string());
    let ended = fleet
        .argv([
            "run",
            "-o",
            "jsonl",
            "-w",
            "127.9.0.[1-3]",
            "-l",
            &user,
            "-p",
            &port,
            "--",
            "true",
        ])
        .env("HOIST_INVENTORY", "")
        .run();
    ended.code(0).each_host_once(&names("127.9.0.[1-3]"));
}

over_openssh!(
    every_host_says_its_own_line,
    hosts_of_both_transports_are_worked_together,
    arguments_arrive_byte_for_byte,
    a_line_is_for_the_accounts_shell_when_told_so,
    a_line_too_long_for_linux_is_refused_before_any_connection,
    folder_variables_and_input_are_as_told,
    both_pipes_and_the_input_flow_together,
    a_command_may_leave_its_input_unread,
    status_signal_and_neither_are_told_apart,
    a_missing_program_or_folder_is_told_from_a_status,
    what_stands_around_the_command_leaves_no_trace_in_its_output,
    a_command_that_takes_too_long_is_ended_there,
    a_command_that_ignores_term_is_killed_there,
    a_shells_line_that_takes_too_long_is_ended_there,
    a_daemon_that_keeps_stdout_open_does_not_hold_up_the_end,
    a_server_that_runs_nothing_is_told,
    only_what_both_sides_know_is_spoken,
    connecting_is_measured_and_counted,
    the_port_and_user_of_a_pattern_win,
    names_are_dialled_as_they_are_without_an_inventory,
);
