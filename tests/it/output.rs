//! What `hoist run` prints and writes.

use std::fs::{self, File};

use crate::support::fleet::Fleet;
use crate::support::names;
use crate::support::namespace::{Namespace, in_namespace};

/// Three hosts: one says a line, one two lines and fails, one nothing.
fn fleet() -> Fleet {
    Fleet::new()
        .hosts("web[1-3]")
        .says("web1", "fine")
        .acts("web2", "echo one; echo two; echo oops >&2; exit 3")
        .acts("web3", "exit 0")
}

/// Each field a record has.
const FIELDS: &[&str] = &[
    "host",
    "address",
    "user",
    "port",
    "status",
    "kind",
    "exit_code",
    "signal",
    "stdout",
    "stderr",
    "stdout_truncated",
    "stderr_truncated",
    "stdout_bytes",
    "stderr_bytes",
    "stdout_held",
    "changed",
    "started_at",
    "duration_ms",
    "connect_ms",
    "attempts",
    "message",
    "killed",
    "run",
];

#[test]
fn a_stream_labels_each_line_on_the_pipe_it_came_from() {
    let ended = fleet().hoist("run -o stream -- act");
    ended
        .code(1)
        .stdout_lines(&["web1: fine", "web2: one", "web2: two"]);
    ended.stderr_has("web2: oops\n");
}

#[test]
fn a_stream_keeps_lines_whole_and_ends_the_last_one() {
    let fleet = Fleet::new().hosts("web[1-4]");
    let line = "for n in 1 2 3 4 5; do printf 'a long line of %s ' $HOIST_HOST; printf 'in parts\\n'; done; printf end";
    let ended = fleet.argv(["run", "--", "sh", "-c", line]).run();
    ended.code(0);
    let expected: Vec<String> = names("web[1-4]")
        .iter()
        .flat_map(|name| {
            let line = format!("{name}: a long line of {name} in parts");
            vec![line; 5].into_iter().chain([format!("{name}: end")])
        })
        .collect();
    ended.stdout_lines(&expected);
}

#[test]
fn lines_of_a_stream_come_as_they_are_written() {
    let fleet = Fleet::new().hosts("web1");
    let staying = fleet.staying();
    let running = fleet.acts("web1", &staying);
    let running = running.command("run -- act").start();
    // The command goes on; its line is there.
    running.shows("web1: ready\n");
}

#[test]
fn records_have_every_field_in_every_format() {
    let fleet = fleet();
    for format in ["json", "jsonl"] {
        let ended = fleet.hoist(&format!("run -o {format} -- act"));
        ended.code(1).each_host_once(&names("web[1-3]"));
        for record in ended.records() {
            let missing: Vec<_> = FIELDS.iter().filter(|field| !record.has(field)).collect();
            assert!(
                missing.is_empty(),
                "{missing:?} missing in {format}\n{ended}"
            );
        }
        let record = ended.record("web2");
        assert_eq!(
            (record.text("stdout"), record.text("stderr")),
            ("one\ntwo\n".into(), "oops\n".into())
        );
    }
    for (format, separator) in [("csv", b','), ("tsv", b'\t')] {
        let ended = fleet.hoist(&format!("run -o {format} -- act"));
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(separator)
            .from_reader(&*ended.stdout);
        let header: Vec<String> = reader
            .headers()
            .unwrap()
            .iter()
            .map(str::to_owned)
            .collect();
        for field in FIELDS {
            assert!(
                header.iter().any(|name| name == field),
                "{field} missing in {format}\n{ended}"
            );
        }
        assert_eq!(reader.records().count(), 3, "{ended}");
    }
}

#[test]
fn all_records_of_a_run_name_it() {
    let ended = fleet().hoist("run -o json -- act");
    let runs: Vec<String> = ended
        .records()
        .iter()
        .map(|record| record.text("run"))
        .collect();
    assert!(
        !runs[0].is_empty() && runs.iter().all(|run| *run == runs[0]),
        "{ended}"
    );
}

#[test]
fn bytes_that_are_no_text_are_kept() {
    let fleet = Fleet::new()
        .hosts("web1")
        .acts("web1", "printf '\\377\\000\\033[31m'");
    for format in ["json", "jsonl"] {
        let record = fleet
            .hoist(&format!("run -o {format} -- act"))
            .record("web1");
        assert_eq!(record.bytes("stdout"), b"\xff\0\x1b[31m", "{format}");
        assert!(
            record.get("stdout").is_null() || !record.has("stdout"),
            "{format}"
        );
    }
    fleet.hoist("run -o raw -- act").code(0);
    assert_eq!(fleet.hoist("run -o raw -- act").stdout, b"\xff\0\x1b[31m");
    let piped = fleet.hoist("run -o stream -- act");
    assert!(
        piped.stdout.windows(2).any(|two| two == b"\xff\0"),
        "{piped}"
    );
}

#[test]
fn a_table_is_in_the_order_of_the_inventory() {
    let ended = fleet().hoist("run -o table -- act");
    ended
        .code(1)
        .stdout_has("HOST")
        .stdout_has("STATUS")
        .stdout_has("OUTPUT");
    let out = ended.out();
    let places = ["web1", "web2", "web3"].map(|name| out.find(name));
    assert!(
        places.iter().all(Option::is_some) && places.is_sorted(),
        "{ended}"
    );
    ended.stdout_has("fine").stdout_has("exit 3");
}

#[test]
fn groups_gather_hosts_with_the_same_output() {
    let fleet = Fleet::new().hosts("web[1-9]").says("web4", "different");
    let ended = fleet.hoist("run -o group -- act");
    ended.code(0).stdout_has("different");
    assert!(ended.out().contains("web[1-3,5-9]"), "{ended}");
}

#[test]
fn raw_is_one_host_after_the_other() {
    let fleet = Fleet::new().hosts("web[1-3]");
    let line = "for n in 1 2 3; do echo $HOIST_HOST; done";
    let ended = fleet
        .argv(["run", "-o", "raw", "--", "sh", "-c", line])
        .run();
    let out = ended.code(0).out();
    let mut lines: Vec<&str> = out.lines().collect();
    assert_eq!(lines.len(), 9, "{ended}");
    lines.dedup();
    assert_eq!(lines.len(), 3, "not mixed\n{ended}");
}

#[test]
fn nothing_is_printed_when_told_so() {
    fleet()
        .hoist("run -o none -q -- act")
        .code(1)
        .no_stdout()
        .no_stderr();
}

#[test]
fn stderr_holds_no_progress_and_no_summary_in_a_pipe() {
    Fleet::new()
        .hosts("web[1-3]")
        .hoist("run -o jsonl -- true")
        .code(0)
        .no_stderr();
}

#[test]
fn each_host_gets_its_files() {
    let fleet = fleet();
    fleet.hoist("run -o none --out-dir out -- act").code(1);
    let expected: Vec<String> = names("web[1-3]")
        .iter()
        .flat_map(|name| ["err", "out", "status"].map(|end| format!("{name}.{end}")))
        .collect();
    assert_eq!(fleet.tree().list("work/out"), expected);
    assert_eq!(fleet.tree().read("work/out/web2.out"), b"one\ntwo\n");
    assert_eq!(fleet.tree().read("work/out/web2.err"), b"oops\n");
    assert_eq!(fleet.tree().read("work/out/web3.out"), b"");
    let status = String::from_utf8(fleet.tree().read("work/out/web2.status")).unwrap();
    assert!(status.contains('3'), "{status}");
}

#[test]
fn the_hosts_that_failed_can_be_run_again() {
    let fleet = fleet();
    fleet
        .hoist("run -o none --failed-to bad.txt -- act")
        .code(1);
    let again = fleet.hoist("run -o jsonl -i bad.txt -- echo again");
    again.code(0).each_host_once(&names("web2"));
    // Nobody failed: a list of nobody.
    fleet
        .hoist("run -o none --failed-to none.txt -- true")
        .code(0);
    assert!(fleet.tree().join("work/none.txt").exists());
}

#[test]
fn every_event_can_be_had() {
    let ended = fleet().hoist("run -o jsonl --events -- act");
    ended.code(1);
    let lines = ended.out().lines().count();
    assert!(lines > 3 + 3, "more than a line a host\n{ended}");
    for line in ended.out().lines() {
        serde_json::from_str::<serde_json::Value>(line)
            .unwrap_or_else(|error| panic!("{error}: {line}\n{ended}"));
    }
}

#[test]
fn cells_that_a_spreadsheet_would_run_are_defused_when_told_so() {
    let fleet = Fleet::new()
        .hosts("web1")
        .says("web1", "=cmd|' /C calc'!A0");
    let plain = fleet.hoist("run -o csv -- act").out();
    assert!(
        plain.contains("=cmd") && !plain.contains("'=cmd"),
        "{plain}"
    );
    let safe = fleet.hoist("run -o csv --csv-safe -- act").out();
    assert!(safe.contains("'=cmd"), "{safe}");
}

#[test]
fn a_full_stdout_is_four_whatever_the_format() {
    for format in [
        "stream", "table", "group", "json", "jsonl", "csv", "tsv", "raw",
    ] {
        let full = File::options().write(true).open("/dev/full").unwrap();
        let fleet = Fleet::new().hosts("web[1-3]");
        let ended = fleet
            .command(&format!("run -o {format} -- echo x"))
            .stdout_to(full)
            .run();
        ended.code(4).complains(&["No space left"]);
    }
}

#[test]
fn a_full_stdout_does_not_stop_the_run() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let fleet = Fleet::new().hosts("web[1-9]");
    let ended = fleet
        .command("run -f 1 -- sh -c 'touch ran-$HOIST_HOST; echo x'")
        .stdout_to(full)
        .run();
    ended.code(4);
    let ran = fleet
        .tree()
        .list("work")
        .iter()
        .filter(|name| name.starts_with("ran-"))
        .count();
    assert_eq!(ran, 9, "{ended}");
}

#[test]
fn a_reader_that_goes_away_is_no_failure_and_the_run_is_finished() {
    let fleet = Fleet::new().hosts("web[1-9]");
    let line = "touch ran-$HOIST_HOST; seq 1 100000";
    let script = r#"{ "$@"; echo code $? >&2; } | head -n 1"#;
    let ended = fleet
        .argv(["run", "-f", "1", "--out-dir", "out", "--", "sh", "-c", line])
        .run_through(script);
    ended.code(0).stdout("web1: 1\n");
    assert_eq!(ended.err(), "code 0\n", "{ended}");
    let ran = fleet
        .tree()
        .list("work")
        .iter()
        .filter(|name| name.starts_with("ran-"))
        .count();
    assert_eq!(ran, 9, "{ended}");
    assert_eq!(fleet.tree().list("work/out").len(), 27, "{ended}");
}

#[test]
fn commands_that_print_for_nobody_are_ended() {
    let fleet = Fleet::new().hosts("web[1-2]");
    let pids = fleet.tree().join("pids");
    let line = format!("echo $$ > {}/$HOIST_HOST.pid; exec yes", pids.display());
    let ended = fleet
        .argv(["run", "--", "sh", "-c", &line])
        .run_through(r#""$@" | head -n 3"#);
    assert_eq!(ended.out().lines().count(), 3, "{ended}");
    fleet.nobody_stays();
}

#[test]
fn a_full_disk_for_the_files_is_four_and_every_host_is_worked() {
    in_namespace!(|namespace: &Namespace| {
        let disk = namespace.disk("small", "256k");
        let fleet = Fleet::new().hosts("web[1-5]");
        let out = disk.join("out");
        let line = ["run", "-o", "jsonl", "--out-dir", out.to_str().unwrap()];
        let command = ["--", "sh", "-c", "seq 1 50000"];
        let ended = fleet.argv(line.into_iter().chain(command)).run();
        ended
            .code(4)
            .each_host_once(&names("web[1-5]"))
            .complains(&["No space left"]);
        // No file that is there is half of one.
        for entry in fs::read_dir(&out).unwrap() {
            let path = entry.unwrap().path();
            let is_output = path.extension().is_some_and(|end| end == "out");
            assert!(
                !is_output || fs::metadata(&path).unwrap().len() == 288_894,
                "{}",
                path.display()
            );
        }
    });
}

#[test]
fn a_full_disk_for_what_does_not_fit_memory_is_told() {
    in_namespace!(|namespace: &Namespace| {
        let disk = namespace.disk("small", "1m");
        let fleet = Fleet::new().hosts("web[1-2]").says("web2", "fine");
        let fleet = fleet.acts("web1", "head -c 100000000 /dev/zero");
        let ended = fleet
            .command("run -o json -- act")
            .env("TMPDIR", &disk)
            .run();
        ended.code(4).each_host_once(&names("web[1-2]"));
        assert_eq!(ended.record("web2").text("stdout"), "fine\n");
    });
}

#[test]
fn a_folder_or_list_that_cannot_be_written_is_told_before_anything_runs() {
    let fleet = Fleet::new().hosts("web1");
    fleet.tree().write("work/file", "");
    for flags in ["--out-dir file/out", "--failed-to no/such/folder/bad.txt"] {
        let ended = fleet.hoist(&format!("run {flags} -- touch ran"));
        assert_ne!(
            ended.status.and_then(|status| status.code()),
            Some(0),
            "{ended}"
        );
        ended.complains(&[]);
        assert!(!fleet.tree().join("work/ran").exists(), "{ended}");
    }
}

#[test]
fn a_missing_stdout_does_no_harm() {
    let fleet = Fleet::new().hosts("web1");
    // Files opened later must not take the place of stdout.
    let ended = fleet
        .command("run -o jsonl --out-dir out -- echo x")
        .run_through(r#""$@" >&-; echo code $?"#);
    assert_eq!(fleet.tree().read("work/out/web1.out"), b"x\n", "{ended}");
}
