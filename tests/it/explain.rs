//! `hoist explain` and `hoist hosts --resolve`: how hosts are reached, and who said so.

use std::path::PathBuf;

use serde_json::Value;

use crate::support::fleet::Fleet;
use crate::support::sshd::Sshd;

const CONFIG: &str = "\
Host bastion
  HostName 192.0.2.1
  User ops
Host db*
  ProxyJump bastion
  User deploy
  IdentityFile ~/.ssh/prod
  ForwardAgent yes
Host *
  StrictHostKeyChecking accept-new
";

fn config(fleet: &Fleet) -> PathBuf {
    fleet.tree().join("home/.ssh/config")
}

fn configured() -> Fleet {
    let fleet = Fleet::new().inventory(
        "name,address,user,port,groups\nweb1,10.0.0.1,root,2222,web\ndb1,10.0.0.7,,,db\n",
    );
    fleet
        .tree()
        .write_with_mode("home/.ssh/config", CONFIG, 0o600);
    fleet.write_known_hosts("10.0.0.7 ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n");
    fleet
}

#[test]
fn each_value_stands_with_the_line_it_comes_from() {
    let fleet = configured();
    let home = fleet.tree().join("home");
    let ended = fleet
        .command("explain db1")
        .env("HOIST_SSH_CONFIG", config(&fleet))
        .run();
    ended.code(0).no_stderr();
    let text = ended.out().replace(home.to_str().unwrap(), "~");
    let lines: Vec<String> = text
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    insta::assert_snapshot!(lines.join("\n"), @r"
    host db1 fleet.csv:3
    transport ssh built in
    address 10.0.0.7 fleet.csv:3
    port 22 built in
    user deploy ~/.ssh/config:6
    jump ops@bastion (192.0.2.1:22) ~/.ssh/config:5
    key ~/.ssh/prod (not there) ~/.ssh/config:7
    login publickey, keyboard-interactive, password built in
    host-keys accept-new ~/.ssh/config:10
    known-key ssh-ed25519 SHA256:ZkAslGjFiUHdGf/WUL8rQvkib4PTvQatUV0OUQSncCA ~/.ssh/known_hosts:1
    keepalive 15s, 3 times built in
    without-effect ForwardAgent ~/.ssh/config:8
    ");
}

#[test]
fn a_name_that_no_inventory_holds_is_explained_as_it_would_be_dialled() {
    let fleet = configured();
    let ended = fleet
        .command("explain -l me -p 2200 -J none db9 here")
        .env("HOIST_SSH_CONFIG", config(&fleet))
        .env("HOIST_INVENTORY", "")
        .run();
    ended.code(0).stdout_has("--user").stdout_has("--port");
    let ended = fleet.command("explain -l me --transport local here").run();
    ended.code(0).stdout_has("local").stdout_has("--transport");
    assert!(!ended.out().contains("address"), "{ended}");
}

#[test]
fn programs_read_the_same_of_a_whole_selection() {
    let fleet = configured();
    let ended = fleet
        .command("hosts --resolve -o json")
        .env("HOIST_SSH_CONFIG", config(&fleet))
        .run();
    ended.code(0).no_stderr();
    let all: Vec<Value> = serde_json::from_str(&ended.out()).unwrap();
    assert_eq!(all.len(), 2, "{ended}");
    assert_eq!(all[0]["host"], "web1");
    assert_eq!(all[0]["port"], 2222);
    assert_eq!(all[0]["user"], "root");
    assert_eq!(all[0]["from"]["user"], "fleet.csv:2");
    assert_eq!(all[1]["jump"][0], "ops@bastion (192.0.2.1:22)");
    assert!(
        all[1]["from"]["jump"][0]
            .as_str()
            .unwrap()
            .ends_with(".ssh/config:5"),
        "{ended}"
    );
    let explained = fleet
        .command("explain -o json db1")
        .env("HOIST_SSH_CONFIG", config(&fleet))
        .run();
    let explained: Vec<Value> = serde_json::from_str(&explained.out()).unwrap();
    assert_eq!(explained[0], all[1]);
}

#[test]
fn flags_about_connections_are_for_what_tells_of_them() {
    let fleet = configured();
    fleet
        .hoist("hosts -l me")
        .code(2)
        .complains(&["`-l` is about how hosts are reached", "--resolve"]);
    fleet
        .hoist("hosts --resolve")
        .code(2)
        .complains(&["--resolve needs `-o json`", "hoist explain"]);
    fleet.hoist("explain").code(2).complains(&["HOST"]);
}

#[test]
fn nobody_is_contacted() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web1", &sshd);
    fleet.hoist("explain web1").code(0);
    let log = sshd.log().to_string();
    assert!(!log.contains("127.1."), "{log}");
}
