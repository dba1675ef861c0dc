//! `hoist ping`: who can be logged in to.

use serde_json::Value;

use crate::support::fleet::{Fleet, over_openssh};
use crate::support::listener::{DeadPort, SilentPort};
use crate::support::names;
use crate::support::sshd::{self, Sshd};

fn rows(text: &str) -> Vec<Value> {
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[test]
fn each_host_tells_of_itself() {
    let sshd = Sshd::start();
    let key = &sshd.host_keys[0];
    let dead = DeadPort::take();
    let fleet = Fleet::new().served("web[1-3]", &sshd).ssh_host(
        "gone",
        dead.port(),
        &sshd::user(),
        &key.public(),
    );
    let ended = fleet.hoist("ping -o jsonl");
    ended.code(3).no_stderr();
    let rows = rows(&ended.out());
    let found: Vec<&str> = rows.iter().filter_map(|row| row["host"].as_str()).collect();
    assert_eq!(found, [names("web[1-3]"), names("gone")].concat());
    for row in &rows[..3] {
        assert_eq!(row["status"], "ok", "{ended}");
        assert!(
            row["server"]
                .as_str()
                .unwrap()
                .starts_with("SSH-2.0-OpenSSH_"),
            "{ended}"
        );
        assert_eq!(row["host_key"], "ssh-ed25519");
        assert_eq!(row["fingerprint"].as_str().unwrap(), key.fingerprint());
        assert_eq!(row["login"], "publickey");
        assert!(row["connect_ms"].is_u64() && row["message"].is_null());
    }
    assert_eq!(rows[3]["kind"], "refused");
    assert!(rows[3]["server"].is_null());
    assert!(
        rows[3]["message"]
            .as_str()
            .unwrap()
            .contains("connection refused")
    );
    // Logged in, and nothing was run.
    let log = sshd.log().to_string();
    assert!(
        log.contains("Accepted publickey") && !log.contains("Starting session"),
        "{log}"
    );
}

#[test]
fn the_table_is_for_people_and_csv_for_sheets() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web1", &sshd).hosts("here");
    let ended = fleet.hoist("ping");
    ended.code(0).no_stderr();
    let lines: Vec<String> = ended
        .out()
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(lines[0], "HOST STATUS TIME SERVER LOGIN HOST KEY");
    assert!(
        lines[1].starts_with("web1 ok ") && lines[1].contains(" publickey ssh-ed25519 SHA256:"),
        "{ended}"
    );
    assert!(lines[2].starts_with("here ok "), "{ended}");
    let ended = fleet.hoist("ping -o csv -w web1");
    ended.code(0).stdout_has(
        "host,address,user,port,status,kind,connect_ms,server,host_key,fingerprint,login,message\n",
    );
    assert_eq!(ended.out().lines().count(), 2, "{ended}");
}

#[test]
fn a_port_is_probed_without_a_word() {
    let sshd = Sshd::start();
    let silent = SilentPort::open();
    let dead = DeadPort::take();
    let (user, key) = (sshd::user(), sshd.host_keys[0].public());
    let fleet = Fleet::new()
        .ssh_host("ssh", sshd.port(), &user, &key)
        .ssh_host("silent", silent.port(), &user, &key)
        .ssh_host("dead", dead.port(), &user, &key);
    let ended = fleet.hoist("ping --tcp -o jsonl --connect-timeout 5s");
    ended.code(3);
    let rows = rows(&ended.out());
    let kinds: Vec<Option<&str>> = rows.iter().map(|row| row["kind"].as_str()).collect();
    assert_eq!(kinds, [None, None, Some("refused")], "{ended}");
    assert!(rows[0]["server"].is_null() && rows[0]["connect_ms"].is_u64());
}

#[test]
fn every_host_that_cannot_be_logged_in_to_says_why() {
    let sshd = Sshd::start();
    let fleet = Fleet::new()
        .served("web1", &sshd)
        .strangers("other", sshd.port());
    let ended = fleet.hoist("ping -o jsonl");
    ended.code(3);
    let rows = rows(&ended.out());
    assert_eq!(rows[1]["kind"], "host-key-unknown", "{ended}");
    sshd.authorize_nobody();
    let ended = fleet.hoist("ping -w web1");
    ended.code(3).stdout_has("auth").stdout_has("id_ed25519");
    fleet.hoist("ping -w nobody").code(2);
}

over_openssh!(
    each_host_tells_of_itself,
    the_table_is_for_people_and_csv_for_sheets,
    a_port_is_probed_without_a_word,
    every_host_that_cannot_be_logged_in_to_says_why,
);
