//! Large outputs, little memory, few descriptors, many hosts.

use std::process::Command;
use std::time::Duration;

use crate::support::captured::Keep;
use crate::support::fleet::Fleet;
use crate::support::names;
use crate::support::process::{Running, must};
use crate::support::sshd::Sshd;

/// Most memory a run may take, in KiB.
const MOST: u64 = 64 * 1024;

/// Time for the large ones, on a slow machine without optimisation.
const LONG: Duration = Duration::from_mins(5);

/// A gibibyte of numbered lines: nothing in it repeats, so nothing can be lost or swapped unseen.
const GIBIBYTE: &str = "seq 1 200000000 | head -c 1073741824";

#[test]
fn a_gibibyte_from_one_host_arrives_whole_in_little_memory() {
    let sshd = Sshd::start();
    let fleet = Fleet::new()
        .served("web[1-3]", &sshd)
        .says("web2", "fine")
        .says("web3", "fine");
    let fleet = fleet.acts("web1", GIBIBYTE);
    let line = format!("run -w web1 -o raw -- {}", fleet.act());
    let (ended, peak) = fleet.command(&line).tallied().patience(LONG).run_measured();
    let mut here = Command::new("sh");
    let here = Running::start(here.args(["-c", GIBIBYTE]), Keep::Tally, false).wait(LONG);
    ended.code(0);
    assert_eq!(ended.tally.bytes, 1 << 30, "{ended}");
    assert_eq!(ended.tally, here.tally, "{ended}");
    assert!(peak < MOST, "{peak} KiB\n{ended}");
}

#[test]
fn records_of_large_outputs_are_written_from_disk() {
    let fleet = Fleet::new().hosts("web[1-4]");
    let line = "seq 1 200000000 | head -c 67108864";
    let (ended, peak) = fleet
        .argv(["run", "-o", "json", "--", "sh", "-c", line])
        .tallied()
        .patience(LONG)
        .run_measured();
    ended.code(0);
    assert!(ended.tally.bytes > 4 * (64 << 20), "{ended}");
    assert!(peak < MOST, "{peak} KiB\n{ended}");
    assert_eq!(
        fleet.tree().list("tmp"),
        Vec::<String>::new(),
        "nothing is left behind"
    );
}

#[test]
fn many_hosts_that_print_at_once_take_little_memory() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web[1-30]", &sshd);
    let line = "run -o csv -- sh -c 'seq 1 200000000 | head -c 8388608'";
    let (ended, peak) = fleet.command(line).tallied().patience(LONG).run_measured();
    ended.code(0);
    assert!(ended.tally.bytes > 30 * (8 << 20), "{ended}");
    assert!(peak < MOST, "{peak} KiB\n{ended}");
}

#[test]
fn a_slow_reader_holds_up_nobody_and_costs_no_memory() {
    let fleet = Fleet::new().hosts("web[1-3]");
    let fifos = names("web[1-3]")
        .into_iter()
        .map(|name| fleet.tree().join(name));
    fifos.for_each(|path| drop(must("mkfifo", &[&path])));
    let folder = fleet.tree().path().display();
    let line = format!("seq 1 200000000 | head -c 33554432; echo done > {folder}/$HOIST_HOST");
    // Reads nothing of the output until every host has told that it printed all of it.
    let script = format!("\"$@\" | {{ cd {folder}; cat web1 web2 web3 >/dev/null; wc -c; }}");
    let args = ["run", "-N", "-o", "stream", "--", "sh", "-c", &line];
    let ended = fleet.argv(args).patience(LONG).run_through(&script);
    assert_eq!(ended.out().trim(), (3 * 33_554_432).to_string(), "{ended}");
}

#[test]
fn few_descriptors_lower_the_fan_out_with_one_warning() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web[1-200]", &sshd);
    let ended = fleet
        .command("run -o jsonl -- true")
        .patience(LONG)
        .run_through(r#"ulimit -H -n 64; exec "$@""#);
    ended.code(0).each_host_once(&names("web[1-200]"));
    assert_eq!(ended.err().lines().count(), 1, "{ended}");
}

#[test]
fn descriptors_are_raised_where_that_is_allowed() {
    let fleet = Fleet::new().hosts("web[1-200]");
    let ended = fleet
        .command("run -o jsonl -- true")
        .patience(LONG)
        .run_through(r#"ulimit -S -n 64; exec "$@""#);
    ended
        .code(0)
        .each_host_once(&names("web[1-200]"))
        .no_stderr();
}

#[test]
fn a_thousand_hosts_of_a_real_server_are_all_reported() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web[0001-1000]", &sshd);
    let line = "run -o jsonl --connect-timeout 60s -- sh -c 'echo $HOIST_HOST'";
    let (ended, peak) = fleet.command(line).patience(LONG).run_measured();
    ended.code(0).each_host_once(&names("web[0001-1000]"));
    for record in ended.records() {
        assert_eq!(record.text("stdout"), record.text("host") + "\n");
    }
    assert!(peak < MOST, "{peak} KiB\n{ended}");
}

#[test]
fn a_small_address_space_is_enough() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web[001-300]", &sshd);
    let ended = fleet
        .command("run -o csv --connect-timeout 60s -- seq 1 20000")
        .tallied()
        .patience(LONG)
        .run_through(r#"ulimit -v 786432; exec "$@""#);
    ended.code(0);
    assert!(ended.tally.bytes > 300 * 108_894, "{ended}");
}

#[test]
fn threads_that_are_refused_are_told_before_anything_runs() {
    // A limit of processes binds nobody who is root.
    let fleet = Fleet::new().hosts("web[1-3]");
    let program = fleet.tree().join("hoist");
    std::fs::copy(env!("CARGO_BIN_EXE_hoist"), &program).unwrap();
    let (mut worked, mut refused) = (0, 0);
    for limit in 1..=20 {
        let script = format!(
            "shift; exec setpriv --reuid=61{}{limit:02} --clear-groups \
             prlimit --nproc={limit} {} \"$@\"",
            std::process::id() % 10,
            program.display()
        );
        let ended = fleet.command("run -o jsonl -- true").run_through(&script);
        if ended.status.is_some_and(|status| status.success()) {
            ended.each_host_once(&names("web[1-3]"));
            worked += 1;
        } else {
            ended
                .code(4)
                .no_stdout()
                .complains(&["threads", "ulimit -u"]);
            refused += 1;
        }
    }
    assert!(
        worked > 0 && refused > 0,
        "{worked} worked, {refused} refused"
    );
}

#[test]
fn twenty_files_are_enough_for_one_host_at_a_time() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web[1-5]", &sshd).hosts("here[1-5]");
    let ended = fleet
        .command("run -o jsonl -- true")
        .patience(LONG)
        .run_through(r#"ulimit -n 20; exec "$@""#);
    ended
        .code(0)
        .each_host_once(&[names("web[1-5]"), names("here[1-5]")].concat())
        .stderr_has("the fan-out is 1, not 10");
}
