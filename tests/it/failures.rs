//! Hosts that fail in every way, among hosts that don't: the good ones are not affected, the run
//! ends in time, and each failure is told by its own word.

use std::time::Duration;

use crate::support::ended::Ended;
use crate::support::fleet::{Fleet, over_openssh, signal_told, transport};
use crate::support::keys::KeyPair;
use crate::support::listener::{DeadPort, SilentPort};
use crate::support::names;
use crate::support::namespace::{Namespace, in_namespace};
use crate::support::sshd::Sshd;

/// Most memory a run may take, in KiB.
const MOST: u64 = 64 * 1024;

/// Runs `act` on everybody with ten seconds for connecting and for the command.
fn run(fleet: &Fleet) -> Ended {
    let line = format!(
        "run -o jsonl --connect-timeout 10s --timeout 10s -- {}",
        fleet.act()
    );
    fleet.hoist(&line)
}

fn good_ones_are_good(ended: &Ended) {
    for name in names("good[1-5]") {
        ended.became(&name, "ok", "");
        assert_eq!(ended.record(&name).text("stdout"), "fine\n", "{ended}");
    }
}

/// Five good hosts, each in its own place in the order.
fn good(sshd: &Sshd) -> Fleet {
    let fleet = Fleet::new().served("good[1-5]", sshd);
    names("good[1-5]")
        .iter()
        .fold(fleet, |fleet, name| fleet.says(name, "fine"))
}

#[test]
fn a_dead_port() {
    let (sshd, dead) = (Sshd::start(), DeadPort::take());
    let ended = run(&good(&sshd).strangers("bad", dead.port()));
    ended
        .code(3)
        .became("bad", "failed", "refused")
        .within(Duration::from_secs(20));
    good_ones_are_good(&ended);
}

#[test]
fn a_silent_port() {
    let (sshd, silent) = (Sshd::start(), SilentPort::open());
    let fleet = good(&sshd).strangers("bad[1-3]", silent.port());
    let line = format!("run -o jsonl --connect-timeout 2s -- {}", fleet.act());
    let ended = fleet.hoist(&line);
    ended.code(3).within(Duration::from_secs(20));
    for name in names("bad[1-3]") {
        ended.became(&name, "failed", "connect-timeout");
        assert!(ended.record(&name).number("duration_ms") >= 2000, "{ended}");
    }
    good_ones_are_good(&ended);
}

#[test]
fn a_changed_host_key() {
    let sshd = Sshd::start();
    let fleet = good(&sshd);
    let other = KeyPair::generate(&fleet.tree().join("other"), "ed25519").public();
    let ended = run(&fleet.ssh_hosts("bad", sshd.port(), &other));
    ended.code(3).became("bad", "failed", "host-key-changed");
    good_ones_are_good(&ended);
}

#[test]
fn a_refused_key() {
    let (sshd, other) = (Sshd::start(), Sshd::start());
    let ended = run(&good(&sshd).ssh_hosts("bad", other.port(), &other.host_keys[0].public()));
    ended.code(3).became("bad", "failed", "auth");
    good_ones_are_good(&ended);
}

#[test]
fn a_server_that_hangs_in_the_middle_of_logging_in() {
    // The public key is accepted, then sshd waits for a program that takes its time.
    let sshd = Sshd::start();
    let slow = Sshd::with()
        .line("AuthorizedKeysCommand /bin/sleep 300")
        .line("AuthorizedKeysCommandUser root")
        .line("AuthorizedKeysFile none")
        .start();
    let fleet = good(&sshd).ssh_hosts("bad", slow.port(), &slow.host_keys[0].public());
    let line = format!("run -o jsonl --connect-timeout 3s -- {}", fleet.act());
    let ended = fleet.hoist(&line);
    ended
        .code(3)
        .became("bad", "failed", "connect-timeout")
        .within(Duration::from_secs(20));
    good_ones_are_good(&ended);
}

#[test]
fn a_command_that_never_ends() {
    let sshd = Sshd::start();
    let fleet = good(&sshd).served("bad", &sshd);
    let staying = fleet.staying();
    let fleet = fleet.acts("bad", &staying);
    let ended = fleet.hoist(&format!("run -o jsonl --timeout 2s -- {}", fleet.act()));
    ended
        .code(3)
        .became("bad", "failed", "timeout")
        .within(Duration::from_secs(20));
    good_ones_are_good(&ended);
    fleet.nobody_stays();
}

#[test]
fn a_command_that_prints_without_end() {
    let sshd = Sshd::start();
    let fleet = good(&sshd).served("bad[1-2]", &sshd);
    let fleet = fleet
        .acts("bad1", "exec yes out")
        .acts("bad2", "exec yes err >&2");
    let line = format!(
        "run -o jsonl --timeout 2s --max-output 1M -- {}",
        fleet.act()
    );
    let (ended, peak) = fleet.command(&line).run_measured();
    ended
        .code(3)
        .became("bad1", "failed", "timeout")
        .became("bad2", "failed", "timeout");
    ended.within(Duration::from_secs(30));
    good_ones_are_good(&ended);
    for (name, pipe) in [("bad1", "stdout"), ("bad2", "stderr")] {
        let record = ended.record(name);
        assert_eq!(record.bytes(pipe).len(), 1 << 20);
        assert!(record.is(&format!("{pipe}_truncated")));
        assert_eq!(record.text("killed"), "confirmed");
    }
    assert!(peak < MOST, "{peak} KiB");
}

#[test]
fn a_command_killed_by_a_signal() {
    let sshd = Sshd::start();
    let ended = run(&good(&sshd)
        .served("bad", &sshd)
        .acts("bad", "kill -ABRT $$"));
    ended.code(1).became("bad", "failed", "signal");
    assert_eq!(
        ended.record("bad").text("signal"),
        signal_told("ABRT"),
        "{ended}"
    );
    good_ones_are_good(&ended);
}

#[test]
fn sixteen_mebibytes_in_one_line() {
    let sshd = Sshd::start();
    let fleet = good(&sshd).served("bad", &sshd);
    let fleet = fleet.acts("bad", "head -c 16777216 /dev/zero | tr '\\0' x");
    let line = format!("run -N -w bad -o raw -- {}", fleet.act());
    let ended = fleet.command(&line).tallied().run();
    assert_eq!(ended.code(0).tally.bytes, 16_777_216);
    let ended = run(&fleet);
    ended.code(0);
    assert_eq!(ended.record("bad").number("stdout_bytes"), 16_777_216);
    good_ones_are_good(&ended);
}

#[test]
fn bytes_that_are_no_text() {
    let sshd = Sshd::start();
    let fleet = good(&sshd).served("bad", &sshd);
    let fleet = fleet.acts(
        "bad",
        "printf '\\377\\376\\000\\033]0;title\\007\\033[2J\\r\\n\\303'",
    );
    let ended = run(&fleet);
    ended.code(0).became("bad", "ok", "");
    let bytes = b"\xff\xfe\0\x1b]0;title\x07\x1b[2J\r\n\xc3";
    assert_eq!(ended.record("bad").bytes("stdout"), bytes, "{ended}");
    good_ones_are_good(&ended);
}

#[test]
fn a_server_that_dies_in_the_middle() {
    let (sshd, dying) = (Sshd::start(), Sshd::start());
    let fleet = good(&sshd).ssh_hosts("bad", dying.port(), &dying.host_keys[0].public());
    dying.authorize(&sshd.client_key.public());
    let cut = dying.cuts_the_session();
    let ended = run(&fleet.acts("bad", &format!("echo begun; {cut}")));
    ended.code(3).became("bad", "failed", "lost");
    assert_eq!(ended.record("bad").text("stdout"), "begun\n", "{ended}");
    good_ones_are_good(&ended);
}

#[test]
fn a_host_that_stops_answering_in_the_middle() {
    let (sshd, freezing) = (Sshd::start(), Sshd::start());
    let fleet = good(&sshd).ssh_hosts("bad", freezing.port(), &freezing.host_keys[0].public());
    freezing.authorize(&sshd.client_key.public());
    // Its own session's process is stopped, so nobody answers, closes or resets anything.
    let freeze = freezing.cuts_the_session().replace("-KILL", "-STOP");
    let fleet = fleet.acts("bad", &format!("echo begun; {freeze}"));
    let ended = fleet.hoist(&format!("run -o jsonl --timeout 2s -- {}", fleet.act()));
    // Two more processes are started for each host.
    let spare = if transport() == "openssh" { 3 } else { 0 };
    ended.code(3).within(Duration::from_secs(2 + 5 + spare));
    ended.became("bad", "failed", "timeout");
    assert_eq!(ended.record("bad").text("killed"), "unconfirmed", "{ended}");
    good_ones_are_good(&ended);
}

#[test]
fn a_host_that_failed_to_connect_is_tried_again_when_told_so() {
    let dead = DeadPort::take();
    let fleet = Fleet::new()
        .strangers("bad", dead.port())
        .hosts("good")
        .exits("good", 7);
    let ended = fleet.hoist("run -o jsonl --retries 2 -- act");
    ended
        .code(3)
        .became("bad", "failed", "refused")
        .became("good", "failed", "exit");
    assert_eq!(ended.record("bad").number("attempts"), 3, "{ended}");
    assert_eq!(
        ended.record("good").number("attempts"),
        1,
        "a command is never run twice\n{ended}"
    );
}

#[test]
fn a_name_server_that_never_answers() {
    in_namespace!(|namespace: &Namespace| {
        let silent = std::net::UdpSocket::bind("127.0.0.66:53").unwrap();
        namespace.write_etc(
            "resolv.conf",
            "nameserver 127.0.0.66\noptions timeout:30 attempts:5\n",
        );
        namespace.write_etc("nsswitch.conf", "hosts: files dns\n");
        let sshd = Sshd::start();
        let fleet = good(&sshd);
        let names: Vec<String> = (0..20).map(|n| format!("slow{n}.invalid")).collect();
        let pattern = format!("*,{}", names.join(","));
        let ended = fleet
            .argv(
                [
                    "run",
                    "-o",
                    "jsonl",
                    "--ad-hoc",
                    "-w",
                    &pattern,
                    "--connect-timeout",
                    "2s",
                    "-l",
                    "root",
                ]
                .into_iter()
                .chain(["--", "echo", "fine"]),
            )
            .run();
        ended.code(3).within(Duration::from_secs(30));
        for name in &names {
            let kind = ended.record(name).text("kind");
            assert!(
                ["dns", "connect-timeout"].contains(&kind.as_str()),
                "{name}: {kind}\n{ended}"
            );
        }
        good_ones_are_good(&ended);
        drop(silent);
    });
}

over_openssh!(
    a_dead_port,
    a_silent_port,
    a_changed_host_key,
    a_refused_key,
    a_server_that_hangs_in_the_middle_of_logging_in,
    a_command_that_never_ends,
    a_command_that_prints_without_end,
    a_command_killed_by_a_signal,
    sixteen_mebibytes_in_one_line,
    bytes_that_are_no_text,
    a_server_that_dies_in_the_middle,
    a_host_that_stops_answering_in_the_middle,
    a_host_that_failed_to_connect_is_tried_again_when_told_so,
    a_name_server_that_never_answers,
);
