//! `hoist hosts`: selections and patterns, without contacting anybody.

use std::time::Duration;

use crate::support::fleet::Fleet;

fn fleet() -> Fleet {
    Fleet::new().group("web", "web[1-3]").group("db", "db[1-2]")
}

#[test]
fn all_hosts_are_listed_in_the_order_of_the_inventory() {
    fleet()
        .hoist("hosts")
        .code(0)
        .stdout("web1\nweb2\nweb3\ndb1\ndb2\n")
        .no_stderr();
}

#[test]
fn selections_are_read_left_to_right() {
    let fleet = fleet();
    for (args, expected) in [
        ("-w web1", "web1\n"),
        ("-w 'web[2-3]'", "web2\nweb3\n"),
        ("-w @db", "db1\ndb2\n"),
        ("-w 'web*'", "web1\nweb2\nweb3\n"),
        ("-w '?b1'", "db1\n"),
        ("-w '@web!web2'", "web1\nweb3\n"),
        ("-w '@web&web[2-9]' --ad-hoc", "web2\nweb3\n"),
        ("-w '@web^web1'", "web2\nweb3\n"),
        ("-w '@db,(@web!(web1,web2))'", "db1\ndb2\nweb3\n"),
        ("-w db1 -w web1", "db1\nweb1\n"),
        ("-x @web", "db1\ndb2\n"),
        ("-w '*' -x 'web[1-2],db2'", "web3\ndb1\n"),
        ("--where groups=db", "db1\ndb2\n"),
        ("--where name=web* --where name=*1", "web1\n"),
        ("-w nobody --ad-hoc", "nobody\n"),
        ("-w web1 --expect 1", "web1\n"),
        ("-w @db --expect 1..2", "db1\ndb2\n"),
    ] {
        fleet
            .hoist(&format!("hosts {args}"))
            .code(0)
            .stdout(expected);
    }
}

#[test]
fn a_sample_has_the_size_asked_for_and_can_be_had_again() {
    let fleet = Fleet::new().hosts("n[01-50]");
    let pick = || fleet.hoist("hosts --pick 7 --seed 42");
    let first = pick().out();
    assert_eq!(first.lines().count(), 7);
    assert_eq!(pick().out(), first);
    let shuffled = fleet.hoist("hosts --shuffle --seed 1").out();
    let mut sorted: Vec<&str> = shuffled.lines().collect();
    assert_ne!(
        sorted.concat(),
        fleet.hoist("hosts").out().replace('\n', "")
    );
    sorted.sort_unstable();
    assert_eq!(sorted.join("\n") + "\n", fleet.hoist("hosts").out());
}

#[test]
fn what_cannot_be_selected_is_an_error_that_helps() {
    let fleet = fleet();
    for (args, parts) in [
        ("-w wbe1", &["wbe1", "web1"][..]),
        ("-w @wbe", &["wbe", "web"]),
        ("--where color=red", &["color"]),
        ("-w 'web[1-'", &["web[1-"]),
        ("-w 'web1,,web2'", &["6"]),
        ("-w 'n[1-010]'", &["010"]),
        ("-w web1 -x web1", &[]),
        ("-w 'nothing*'", &["nothing*"]),
        ("--expect 4", &["5", "4"]),
        ("-i no-such-file.csv", &["no-such-file.csv"]),
    ] {
        let ended = fleet.hoist(&format!("hosts {args}"));
        ended.code(2).no_stdout().complains(parts);
    }
}

#[test]
fn the_list_can_be_had_in_every_format() {
    let fleet = fleet();
    fleet
        .hoist("hosts -o folded")
        .code(0)
        .stdout("db[1-2],web[1-3]\n");
    fleet.hoist("hosts --count").code(0).stdout("5\n");
    let csv = fleet.hoist("hosts -o csv");
    csv.code(0);
    assert_eq!(csv.out().lines().count(), 6, "{csv}");
    let json = fleet.hoist("hosts -o json");
    let hosts: serde_json::Value = serde_json::from_slice(&json.code(0).stdout).unwrap();
    assert_eq!(hosts.as_array().map(Vec::len), Some(5), "{json}");
}

#[test]
fn a_list_reads_back_as_an_inventory() {
    let fleet = fleet();
    for format in ["plain", "csv", "json"] {
        let list = fleet.hoist(&format!("hosts -o {format}"));
        let again = fleet.command("hosts -i -").stdin(list.stdout.clone()).run();
        again.code(0).stdout("web1\nweb2\nweb3\ndb1\ndb2\n");
    }
    let list = fleet.hoist("hosts -o csv");
    let again = fleet
        .command("hosts -i - -w @db")
        .stdin(list.stdout.clone())
        .run();
    again.code(0).stdout("db1\ndb2\n");
}

#[test]
fn patterns_expand_without_an_inventory() {
    let fleet = Fleet::new();
    for (pattern, expected) in [
        ("n[1,01,001]", "n1\nn01\nn001\n"),
        ("n[08-11]", "n08\nn09\nn10\nn11\n"),
        ("n[1-9/4]", "n1\nn5\nn9\n"),
        ("r[a-c]", "ra\nrb\nrc\n"),
        ("r[1-2]n[1-2]x", "r1n1x\nr1n2x\nr2n1x\nr2n2x\n"),
        ("a,b,c!b", "a\nc\n"),
    ] {
        fleet
            .argv(["hosts", "--expand", pattern])
            .run()
            .code(0)
            .stdout(expected);
    }
}

#[test]
fn names_fold_to_a_pattern_that_expands_to_them() {
    let fleet = Fleet::new();
    let list = "web1\nweb2\nweb3\nn08\nn09\nn10\nodd\n";
    let folded = fleet.command("hosts --fold").stdin(list).run();
    folded.code(0);
    let pattern = folded.out().trim_end().to_owned();
    assert!(pattern.len() < list.len(), "{folded}");
    let expanded = fleet.argv(["hosts", "--expand", &pattern]).run();
    let names: Vec<&str> = list.lines().collect();
    expanded.code(0).stdout_lines(&names);
    fleet
        .hoist("hosts --fold a1 a2 a3")
        .code(0)
        .stdout("a[1-3]\n");
}

#[test]
fn a_pattern_for_too_many_names_is_refused_before_it_grows() {
    let fleet = Fleet::new();
    for pattern in [
        "a[1-999999999]",
        "a[1-2000]b[1-2000]",
        "a[1-18446744073709551615]",
    ] {
        let (ended, peak) = fleet.argv(["hosts", "--expand", pattern]).run_measured();
        ended
            .code(2)
            .no_stdout()
            .within(Duration::from_secs(5))
            .complains(&[]);
        assert!(peak < 64 * 1024, "{peak} KiB\n{ended}");
    }
}

#[test]
fn a_million_names_need_memory_for_the_text_alone() {
    let fleet = Fleet::new();
    let (ended, peak) = fleet
        .argv(["hosts", "--expand", "n[0-999999]"])
        .tallied()
        .run_measured();
    ended.code(0);
    let digits = 10 + 90 * 2 + 900 * 3 + 9_000 * 4 + 90_000 * 5 + 900_000 * 6;
    assert_eq!(ended.tally.bytes, digits + 2 * 1_000_000, "{ended}");
    assert!(peak < 64 * 1024, "{peak} KiB\n{ended}");
    fleet
        .argv(["hosts", "--count", "--expand", "n[0-999999]"])
        .run()
        .stdout("1000000\n");
}
