//! Being asked to stop: nothing new starts, running hosts get a moment, all is reported.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::PATIENCE;
use crate::support::fleet::{Fleet, over_openssh};
use crate::support::listener::SilentPort;
use crate::support::names;
use crate::support::process::must;
use crate::support::sshd::Sshd;

/// Makes each of these hosts stay.
fn stay(fleet: Fleet, pattern: &str) -> Fleet {
    let line = fleet.staying();
    names(pattern)
        .iter()
        .fold(fleet, |fleet, name| fleet.acts(name, &line))
}

/// Two at once of four hosts that stay.
const RUN: &str = "run -o jsonl -f 2 --grace 1s -- act";

#[test]
fn each_signal_ends_the_run_with_its_own_code_after_a_full_report() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let fleet = stay(Fleet::new().hosts("web[1-4]"), "web[1-4]");
        let ready = fleet.announcements();
        let running = fleet.command(RUN).start();
        ready.shows("web1 is ready").shows("web2 is ready");
        running.signal(signal);
        let ended = running.wait(PATIENCE);
        ended
            .code(code)
            .within(Duration::from_secs(20))
            .each_host_once(&names("web[1-4]"));
        ended
            .became("web1", "failed", "cancelled")
            .became("web2", "failed", "cancelled");
        ended
            .became("web3", "skipped", "not-started")
            .became("web4", "skipped", "not-started");
        assert_eq!(ended.record("web1").text("killed"), "confirmed", "{ended}");
        fleet.nobody_stays();
    }
}

#[test]
fn hosts_that_end_within_the_grace_are_ok() {
    let fleet = Fleet::new().hosts("web[1-2]");
    let fifo = fleet.tree().join("fifo");
    must("mkfifo", &[&fifo]);
    let fleet = fleet.acts("web1", &format!("echo ready; cat {}", fifo.display()));
    let running = fleet.command("run -f 1 --grace 30s -- act").start();
    running.shows("ready").signal(Signal::INT);
    // It goes on to its own end.
    fs::write(&fifo, "finished\n").unwrap();
    running
        .wait(PATIENCE)
        .code(130)
        .stdout_has("web1: finished\n");
}

#[test]
fn a_second_interrupt_does_not_wait() {
    let fleet = stay(Fleet::new().hosts("web[1-4]"), "web[1-4]");
    let running = fleet
        .command("run -o stream -f 2 --grace 5m -- act")
        .start();
    running.shows("ready").signal(Signal::INT);
    // Two that are not taken yet would be one.
    running.warns("second signal").signal(Signal::INT);
    running
        .wait(PATIENCE)
        .code(130)
        .within(Duration::from_secs(30));
}

#[test]
fn commands_over_ssh_are_ended_there() {
    let sshd = Sshd::start();
    let fleet = stay(Fleet::new().served("web[1-2]", &sshd), "web[1-2]");
    let line = format!("run -o stream --grace 500ms -- {}", fleet.act());
    let running = fleet.command(&line).start();
    running
        .shows("web1: ready")
        .shows("web2: ready")
        .signal(Signal::TERM);
    running.wait(PATIENCE).code(143);
    fleet.nobody_stays();
}

#[test]
fn the_key_on_the_terminal_does_the_same() {
    let fleet = stay(Fleet::new().hosts("web[1-4]"), "web[1-4]");
    let ready = fleet.announcements();
    let mut running = fleet
        .command("run -o table -f 2 --grace 1s -- act")
        .start_on_terminal();
    ready.shows("web1 is ready").shows("web2 is ready");
    running.type_in("\u{3}");
    let ended = running.wait(PATIENCE);
    ended
        .code(130)
        .stdout_has("cancelled")
        .stdout_has("not-started");
    fleet.nobody_stays();
}

#[test]
fn a_run_that_is_only_connecting_is_stopped_too() {
    let silent = SilentPort::open();
    let fleet = stay(
        Fleet::new()
            .strangers("web[1-3]", silent.port())
            .hosts("here"),
        "here",
    );
    let running = fleet
        .command("run -o stream --connect-timeout 5m --grace 500ms -- act")
        .start();
    running.shows("here: ready").signal(Signal::INT);
    running
        .wait(PATIENCE)
        .code(130)
        .within(Duration::from_secs(20));
}

#[test]
fn commands_on_this_machine_end_when_hoist_is_killed() {
    let fleet = stay(Fleet::new().hosts("web[1-3]"), "web[1-3]");
    let ready = fleet.announcements();
    let running = fleet.command("run -o jsonl -- act").start();
    for name in names("web[1-3]") {
        ready.shows(&format!("{name} is ready"));
    }
    running.signal(Signal::KILL);
    running.wait(PATIENCE);
    fleet.everybody_leaves();
}

#[test]
fn a_command_outlives_no_worker_before_its_time() {
    // Few hosts at once: workers come to their end while others' commands still run.
    let fleet = Fleet::new().hosts("web[1-4]");
    let fleet = names("web[1-3]")
        .iter()
        .fold(fleet, |fleet, name| fleet.says(name, "quick"));
    let fleet = fleet.acts("web4", "sleep 2; echo slow");
    let ended = fleet.hoist("run -o stream -- act");
    ended.code(0).stdout_has("web4: slow\n");
}

#[test]
fn killed_at_any_moment_hoist_leaves_nothing_half_written_under_its_name() {
    let fleet = Fleet::new().hosts("web[01-40]");
    let line = "seq 1 20000; seq 1 20000 >&2";
    let numbers: Vec<String> = (1..=20_000).map(|n: u32| n.to_string()).collect();
    let whole = numbers.join("\n") + "\n";
    let mut finished = 0;
    for moment in 1..=12 {
        let folder = format!("logs{moment}");
        let args = [
            "run",
            "-o",
            "jsonl",
            "-f",
            "4",
            "--out-dir",
            &folder,
            "--failed-to",
            "bad",
            "--",
            "sh",
            "-c",
            line,
        ];
        let running = fleet.argv(args).start();
        // A moment is when so many hosts have been reported.
        running.shows(&format!("\"host\":\"web{moment:02}\""));
        running.signal(Signal::KILL);
        running.wait(PATIENCE);
        for name in fleet.tree().list(&format!("work/{folder}")) {
            if name.starts_with('.') {
                continue;
            }
            let content = fs::read_to_string(fleet.tree().join(format!("work/{folder}/{name}")));
            let expected = if name.ends_with(".status") {
                "ok\n"
            } else {
                &whole
            };
            assert!(content.unwrap() == expected, "{name} is not whole");
            finished += 1;
        }
        let bad = fleet.tree().join("work/bad");
        assert!(!bad.exists(), "a list of a run that was killed");
    }
    assert!(finished > 0, "some hosts had finished");
}

over_openssh!(
    commands_over_ssh_are_ended_there,
    a_run_that_is_only_connecting_is_stopped_too,
);
