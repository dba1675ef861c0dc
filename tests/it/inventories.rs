//! Inventories of every kind, good and hostile.

use std::path::Path;

use crate::support::fleet::Fleet;
use crate::support::tree::set_mode;

/// Lists the hosts of one inventory file of that name.
#[track_caller]
fn lists(name: &str, content: &str, expected: &str) {
    let fleet = Fleet::new();
    fleet.tree().write(&format!("work/{name}"), content);
    fleet
        .hoist(&format!("hosts -i {name}"))
        .code(0)
        .stdout(expected);
}

#[test]
fn other_tools_files_load_as_they_are() {
    // parallel-ssh: one host a line, with port and user in either form
    lists(
        "pssh",
        "# hosts\nweb1\nweb2:2222\nroot@web3\n\n",
        "web1\nweb2\nweb3\n",
    );
    // pdsh
    lists("wcoll", "web[1-2]\n#comment\ndb1\n", "web1\nweb2\ndb1\n");
    // Ansible
    let ini = "lonely ansible_host=127.0.0.9\n[web]\nweb[1:2] ansible_user=deploy ansible_port=2222\n\
               [db]\ndb1\n[all:vars]\nzone=a\n[prod:children]\nweb\ndb\n";
    lists("fleet.ini", ini, "lonely\nweb1\nweb2\ndb1\n");
    let json = r#"{"web":{"hosts":["web1","web2"]},"db":{"hosts":["db1"]},
        "_meta":{"hostvars":{"web1":{"ansible_host":"127.0.0.5","ansible_port":2222}}}}"#;
    lists("dynamic.json", json, "web1\nweb2\ndb1\n");
}

#[test]
fn groups_and_their_children_are_known() {
    let fleet = Fleet::new();
    let ini = "[web]\nweb1\nweb2\n[db]\ndb1\n[prod:children]\nweb\ndb\n";
    fleet.tree().write("work/fleet.ini", ini);
    fleet
        .hoist("hosts -i fleet.ini -w '@prod!@db'")
        .code(0)
        .stdout("web1\nweb2\n");
}

#[test]
fn a_file_can_include_another() {
    let fleet = Fleet::new();
    fleet.tree().write("work/more", "db1\n");
    fleet.tree().write("work/hosts", "web1\n#include more\n");
    fleet.hoist("hosts -i hosts").code(0).stdout("web1\ndb1\n");
    fleet.tree().write("work/more", "#include hosts\n");
    fleet.hoist("hosts -i hosts").code(2).complains(&["more"]);
}

#[test]
fn spreadsheets_write_csv_in_many_ways() {
    let plain = "name,groups,note\nweb1,web,\"a, \"\"b\"\"\"\nweb2,\"web;prod\",\n";
    let windows = format!("\u{feff}{}", plain.replace('\n', "\r\n"));
    let tabs = "name\tgroups\tnote\nweb1\tweb\tx\nweb2\tweb|prod\t\n";
    for (name, content) in [("a.csv", plain), ("b.csv", &windows), ("c.tsv", tabs)] {
        let fleet = Fleet::new();
        fleet.tree().write(&format!("work/{name}"), content);
        fleet
            .hoist(&format!("hosts -i {name} -w @web"))
            .code(0)
            .stdout("web1\nweb2\n");
        fleet
            .hoist(&format!("hosts -i {name} -w @prod"))
            .code(0)
            .stdout("web2\n");
        fleet
            .hoist(&format!("hosts -i {name} --where note=?*"))
            .code(0)
            .stdout("web1\n");
    }
}

#[test]
fn an_executable_is_asked_with_list() {
    let fleet = Fleet::new();
    let script =
        "#!/bin/sh\n[ \"$1\" = --list ] && echo '{\"web\":{\"hosts\":[\"web1\",\"web2\"]}}'\n";
    let path = fleet.tree().write("work/source", script);
    set_mode(&path, 0o755);
    fleet
        .hoist("hosts -i ./source -w @web")
        .code(0)
        .stdout("web1\nweb2\n");
    fleet
        .tree()
        .write("work/source", "#!/bin/sh\necho broken >&2; exit 3\n");
    fleet
        .hoist("hosts -i ./source")
        .code(2)
        .complains(&["source", "3"]);
}

#[test]
fn several_files_and_stdin_are_merged_in_order() {
    let fleet = Fleet::new();
    fleet.tree().write("work/one", "web1\nweb2\n");
    let merged = fleet
        .command("hosts -i one -i -")
        .stdin("db1\nweb2\n")
        .run();
    merged.code(0).stdout("web1\nweb2\ndb1\n");
}

#[test]
fn equal_rows_merge_with_one_warning_and_different_ones_are_an_error() {
    let fleet = Fleet::new();
    fleet.tree().write(
        "work/same.csv",
        "name,user\nweb1,root\nweb2,root\nweb1,root\n",
    );
    let same = fleet.hoist("hosts -i same.csv");
    same.code(0).stdout("web1\nweb2\n").stderr_has("web1");
    assert_eq!(same.err().lines().count(), 1, "{same}");
    fleet
        .tree()
        .write("work/other.csv", "name,user\nweb1,root\nweb1,admin\n");
    fleet
        .hoist("hosts -i other.csv")
        .code(2)
        .complains(&["other.csv:3", "web1"]);
}

#[test]
fn errors_tell_the_place_and_nothing_runs() {
    for (name, content, place) in [
        ("a.csv", "name,port\nweb1,22\nweb2,99999\n", "a.csv:3:6"),
        ("b.csv", "address,port\n127.0.0.1,22\n", "b.csv:1"),
        ("c.csv", "name,port\nweb1,22\n\"web2,22\n", "c.csv:3"),
        ("d.txt", "web1\nweb[1-\n", "d.txt:2:"),
        ("e.ini", "[web]\nweb1\n[all:children]\nwbe\n", "e.ini:4:"),
        ("f.json", "{\"web\": {\"hosts\": [\"web1\",]}}", "f.json:1:"),
    ] {
        let fleet = Fleet::new();
        fleet.tree().write(&format!("work/{name}"), content);
        let ended = fleet.hoist(&format!("run -i {name} --transport local -- touch ran"));
        ended.code(2).no_stdout().complains(&[place]);
        assert!(!fleet.tree().join("work/ran").exists(), "{ended}");
    }
}

#[test]
fn names_that_could_do_harm_are_refused_and_shown_escaped() {
    for name in [
        "-oProxyCommand=id",
        "a/../../b",
        "..",
        "a\\u001bc",
        "a b",
        "a\\u0000b",
        "a\\u202eb",
    ] {
        let fleet = Fleet::new();
        fleet.tree().write(
            "work/bad.json",
            format!("{{\"web\":{{\"hosts\":[\"{name}\"]}}}}"),
        );
        let ended = fleet.hoist("run -i bad.json --transport local --out-dir out -- touch ran");
        ended.code(2).no_stdout().complains(&["bad.json"]);
        let is_plain = |b: &u8| *b == b'\n' || !b.is_ascii_control();
        assert!(ended.stderr.iter().all(is_plain), "{ended}");
        assert!(!fleet.tree().join("work/ran").exists(), "{ended}");
        assert!(!fleet.tree().join("work/out").exists(), "{ended}");
    }
}

#[test]
fn user_names_that_could_do_harm_are_refused() {
    for user in ["-oProxyCommand=id", "a b", "a;id", "a\u{1b}c"] {
        let fleet = Fleet::new().inventory(&format!("name,user\nweb1,\"{user}\"\n"));
        fleet.hoist("hosts").code(2).complains(&["fleet.csv:2:"]);
    }
}

#[test]
fn an_empty_inventory_selects_nobody_and_says_so() {
    let fleet = Fleet::new();
    fleet.tree().write("work/empty.txt", "# nobody\n\n");
    fleet
        .hoist("run -i empty.txt -- touch ran")
        .code(2)
        .complains(&[]);
}

#[test]
fn the_inventories_that_come_with_hoist_load() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("inventories");
    let fleet = Fleet::new();
    let mut loaded = 0;
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() && path.extension().is_none_or(|extension| extension != "md") {
            let ended = fleet.argv(["hosts", "-i", path.to_str().unwrap()]).run();
            ended.code(0).no_stderr();
            assert!(!ended.stdout.is_empty(), "{ended}");
            loaded += 1;
        }
    }
    assert!(loaded > 0, "there are some");
}

#[test]
fn the_demo_inventory_is_this_machine() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("inventories/demo.csv");
    let args = [
        "run",
        "-o",
        "jsonl",
        "-i",
        path.to_str().unwrap(),
        "--",
        "uname",
    ];
    let ended = Fleet::new().argv(args).run();
    ended.code(0);
    assert!(ended.records().len() >= 3, "{ended}");
}
