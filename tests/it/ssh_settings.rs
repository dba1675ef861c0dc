//! What settings of the configuration of `ssh` do to a run, against real servers.

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::support::fleet::{Fleet, Invocation};
use crate::support::keys::KeyPair;
use crate::support::listener::SilentPort;
use crate::support::names;
use crate::support::namespace::{Namespace, in_namespace};
use crate::support::process::must;
use crate::support::sshd::{self, Sshd};

const RUN: &str = "run -o jsonl -- true";

/// A home with this configuration, and no inventory.
fn configured(config: &str) -> Fleet {
    let fleet = Fleet::new();
    fleet
        .tree()
        .write_with_mode("home/.ssh/config", config, 0o600);
    fleet
}

/// Prepares a command that reads the usual configuration and no inventory.
fn usual<'a>(fleet: &'a Fleet, line: &str) -> Invocation<'a> {
    fleet
        .command(line)
        .env("HOIST_SSH_CONFIG", config(fleet))
        .env("HOIST_INVENTORY", "")
}

/// The user's configuration, without the machine's.
fn config(fleet: &Fleet) -> PathBuf {
    fleet.tree().join("home/.ssh/config")
}

#[test]
fn aliases_lead_to_hosts_as_whoever_with_whichever_key() {
    let sshd = Sshd::start();
    let (user, port) = (sshd::user(), sshd.port());
    let fleet = configured(&format!(
        "Include config.d/*\n\
         Host db\n  HostName 127.0.0.9\n\
         Host web-*\n  HostName 127.0.0.2\n  HostKeyAlias web\n\
         Host *\n  Port {port}\n  User {user}\n  IdentitiesOnly yes\n"
    ));
    fleet.copy_key(&sshd.client_key, "home/.ssh/fleet");
    fleet.tree().write_with_mode(
        "home/.ssh/config.d/keys",
        "Host db web-?\n  IdentityFile ~/.ssh/fleet\n",
        0o600,
    );
    let key = sshd.host_keys[0].public();
    fleet.write_known_hosts(&format!("web,[127.0.0.9]:{port} {key}\n"));
    let ended = usual(&fleet, "run -w db,web-1,web-2,web-10 -o jsonl -- true").run();
    ended.code(3);
    for (name, address) in [
        ("db", "127.0.0.9"),
        ("web-1", "127.0.0.2"),
        ("web-2", "127.0.0.2"),
    ] {
        let record = ended.record(name);
        assert_eq!(record.text("status"), "ok", "{ended}");
        assert_eq!(
            (record.text("address"), record.text("user")),
            (address.to_owned(), user.clone())
        );
        assert_eq!(record.number("port"), i64::from(port));
    }
    // No key of its own, and nobody else's.
    ended.became("web-10", "failed", "auth");
    assert!(
        !ended.record("web-10").text("message").contains("fleet"),
        "{ended}"
    );
}

#[test]
fn the_inventory_counts_more_and_arguments_most() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web1", &sshd);
    fleet.tree().write_with_mode(
        "home/.ssh/config",
        "User nobody\nPort 1\nHostName 127.1.1.1\n",
        0o600,
    );
    let run = |line: &str| {
        fleet
            .command(line)
            .env("HOIST_SSH_CONFIG", config(&fleet))
            .run()
    };
    run(RUN).code(0);
    let ended = run("run -O User=somebody -o jsonl -- true");
    assert_eq!(ended.record("web1").text("user"), "somebody", "{ended}");
    let ended = run("run -l me -O User=somebody -o jsonl -- true");
    assert_eq!(ended.record("web1").text("user"), "me", "{ended}");
    let ended = run("run -w you@web1 -l me -o jsonl -- true");
    assert_eq!(ended.record("web1").text("user"), "you", "{ended}");
}

#[test]
fn new_keys_are_accepted_and_written_hashed_where_that_is_said() {
    let sshd = Sshd::start();
    let port = sshd.port();
    let fleet = configured(&format!(
        "Host *\n  Port {port}\n  StrictHostKeyChecking accept-new\n  HashKnownHosts yes\n  UserKnownHostsFile ~/.ssh/known.d/%k\n"
    ));
    fleet.copy_key(&sshd.client_key, "home/.ssh/id_ed25519");
    usual(&fleet, "run -w 127.0.0.[1-3] -o jsonl -- true")
        .run()
        .code(0);
    for name in names("127.0.0.[1-3]") {
        let path = fleet.tree().join(format!("home/.ssh/known.d/{name}"));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(
            text.starts_with("|1|") && text.lines().count() == 1,
            "{text}"
        );
        let form = format!("[{name}]:{port}");
        must("ssh-keygen", &[&"-F", &form, &"-f", &path]);
    }
    // The second time they are known.
    usual(
        &fleet,
        "run -w 127.0.0.[1-3] --host-keys strict -o jsonl -- true",
    )
    .run()
    .code(0);
}

#[test]
fn a_checked_address_must_not_be_known_by_another_key() {
    let sshd = Sshd::start();
    let other = Sshd::start();
    let (port, key) = (sshd.port(), sshd.host_keys[0].public());
    let fleet = configured(&format!(
        "Host web\n  HostName 127.0.0.1\n  HostKeyAlias web\n  Port {port}\n"
    ));
    fleet.copy_key(&sshd.client_key, "home/.ssh/id_ed25519");
    let wrong = other.host_keys[0].public();
    fleet.write_known_hosts(&format!("web {key}\n127.0.0.1 {wrong}\n"));
    usual(&fleet, "run -w web -o jsonl -- true").run().code(0);
    let ended = usual(&fleet, "run -w web -O CheckHostIP=yes -o jsonl -- true").run();
    ended.code(3).became("web", "failed", "host-key-changed");
}

#[test]
fn algorithms_are_those_that_are_asked_for() {
    let sshd = Sshd::with()
        .line("KexAlgorithms diffie-hellman-group14-sha256")
        .line("Ciphers aes256-ctr")
        .line("MACs hmac-sha2-512")
        .start();
    let fleet = Fleet::new().served("web1", &sshd);
    fleet.hoist(RUN).code(0);
    let run = |option: &str| fleet.hoist(&format!("run -O {option} -o jsonl -- true"));
    run("Ciphers=aes256-ctr").code(0);
    run("MACs=-hmac-sha1*").code(0);
    run("KexAlgorithms=^diffie-hellman-group14-sha256").code(0);
    for (option, word) in [
        ("Ciphers=aes128-ctr", "aes128-ctr"),
        ("MACs=hmac-sha2-256", "hmac-sha2-256"),
        ("KexAlgorithms=curve25519-sha256", "curve25519-sha256"),
        ("HostKeyAlgorithms=rsa-sha2-512", "rsa-sha2-512"),
    ] {
        let ended = run(option);
        ended.code(3).became("web1", "failed", "handshake");
        assert!(
            ended.record("web1").text("message").contains(word),
            "{ended}"
        );
    }
    let ended = run("KexAlgorithms=sntrup761x25519-sha512@openssh.com");
    ended.code(3).became("web1", "failed", "handshake");
    let message = ended.record("web1").text("message");
    assert!(
        message.contains("KexAlgorithms `sntrup761x25519-sha512@openssh.com`"),
        "{message}"
    );
}

#[test]
fn variables_arrive_below_those_of_the_command() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web1", &sshd);
    fleet.tree().write_with_mode(
        "home/.ssh/config",
        "SetEnv A=1 B=\"x y\" C=%n\nSendEnv MY_*\n",
        0o600,
    );
    fleet
        .command("run -N --env A=2 -- sh -c 'echo \"$A|$B|$C|$MY_OWN|$OTHER\"'")
        .env("HOIST_SSH_CONFIG", config(&fleet))
        .env("MY_OWN", "mine")
        .env("OTHER", "theirs")
        .run()
        .code(0)
        .stdout("2|x y|web1|mine|\n");
}

#[test]
fn what_has_no_effect_is_said_once() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web[1-3]", &sshd);
    let path = fleet.tree().write_with_mode(
        "home/.ssh/config",
        "Host web*\n  ForwardAgent yes\n  ForwardX11 no\n  LocalForward 1 a:1\n  RemoteCommand uptime\n  NewKeyword 1\nHost other\n  Tunnel yes\n",
        0o600,
    );
    let path = path.display();
    let ended = fleet
        .command("run -- true")
        .env("HOIST_SSH_CONFIG", config(&fleet))
        .run();
    ended.code(0).stderr_has(&format!(
        "hoist: without effect here: ForwardAgent ({path}:2), LocalForward ({path}:4), NewKeyword ({path}:6), RemoteCommand ({path}:5); --transport openssh knows more of them\n"
    ));
    assert_eq!(ended.err().matches("ForwardAgent").count(), 1, "{ended}");
    let quiet = fleet
        .command("run -q -- true")
        .env("HOIST_SSH_CONFIG", config(&fleet))
        .run();
    quiet.code(0).no_stderr();
}

#[test]
fn what_depends_on_the_network_holds_in_it() {
    in_namespace!(|_: &Namespace| {
        // Of this machine alone, and of no interface that is down.
        for line in [
            "link add office type veth",
            "addr add 10.66.0.7/24 dev office",
            "link set office up",
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            let words: Vec<&dyn AsRef<OsStr>> = words.iter().map(|word| word as _).collect();
            must("ip", &words);
        }
        let fleet = configured(
            "Match localnetwork 10.66.1.0/24,192.0.2.0/24\n Port 1\n\
             Match !localnetwork 10.66.0.0/16\n Port 2\n\
             Match localnetwork 2001:db8::/32,10.66.0.0/24 host a\n Port 3\n\
             Match localnetwork ::1\n Port 4\n",
        );
        let port = |host: &str, port: u16| {
            let resolved = usual(&fleet, &format!("hosts --resolve -o json -w {host}")).run();
            resolved.code(0).no_stderr();
            assert_eq!(
                resolved.record(host).number("port"),
                i64::from(port),
                "{resolved}"
            );
        };
        port("a", 3);
        port("b", 4);
        must("ip", &[&"link", &"set", &"office", &"down"]);
        must("ip", &[&"addr", &"flush", &"dev", &"office"]);
        port("a", 2);
    });
    let fleet = configured("Match localnetwork 10.0.0.1/8\n Port 1\n");
    let wrong = usual(&fleet, "run -w a -- true").run();
    wrong
        .code(2)
        .complains(&["config:1:7", "`10.0.0.1/8` is no network"]);
}

#[test]
fn an_include_that_depends_on_the_host_is_named() {
    let fleet = configured("Host a\n Include hosts/%h\nHost *\n Port 7\n");
    let path = fleet.tree().join("home/.ssh/config");
    let ended = usual(
        &fleet,
        "run --connect-timeout 1s -O ProxyCommand=false -w a,b -- true",
    )
    .run();
    let place = format!("Include hosts/%h ({}:2)", path.display());
    ended.code(3).complains(&["without effect here", &place]);
    usual(&fleet, "explain b")
        .run()
        .code(0)
        .stdout_has("port")
        .no_stderr();
    // Until OpenSSH 9.8 that is the name of a file.
    let name = "home/.ssh/hosts/%h";
    fleet.tree().write_with_mode(name, "Port 9\n", 0o600);
    let ended = usual(&fleet, "hosts --resolve -o json -w a").run();
    ended.code(0).no_stderr();
    assert_eq!(ended.record("a").number("port"), 9, "{ended}");
}

#[test]
fn a_line_that_makes_no_sense_stops_it_before_anybody_is_contacted() {
    let fleet = configured("Host *\n  Port  many\n");
    let path = fleet.tree().join("home/.ssh/config");
    let place = format!("{}:2:9", path.display());
    usual(&fleet, "run -w a -- true")
        .run()
        .code(2)
        .complains(&[&place, "Port is `many`"]);
    let bare = |line: &str| fleet.command(line).env("HOIST_INVENTORY", "").run();
    bare("run -w a -O Prot=1 -- true")
        .code(2)
        .complains(&["--option `Prot=1`", "`Prot` is not a keyword"]);
    bare("run -w a -F no/such -- true")
        .code(2)
        .complains(&["no/such"]);
    fleet
        .tree()
        .write_with_mode("home/.ssh/config", "Port 1\n", 0o666);
    fleet
        .command("run -w a -- true")
        .env("HOIST_SSH_CONFIG", "")
        .env("HOIST_INVENTORY", "")
        .run()
        .code(2)
        .complains(&["others can write to it"]);
}

#[test]
fn limits_of_the_configuration_hold_where_hoist_has_none() {
    let silent = SilentPort::open();
    let fleet = configured(&format!(
        "Host *\n  HostName 127.0.0.1\n  Port {}\n  ConnectTimeout 1\n",
        silent.port()
    ));
    let ended = usual(&fleet, "run -w a -o jsonl -- true").run();
    ended
        .code(3)
        .became("a", "failed", "connect-timeout")
        .within(Duration::from_secs(8));
    assert!(
        ended
            .record("a")
            .text("message")
            .contains("no answer in 1s"),
        "{ended}"
    );
    let ended = usual(&fleet, "run -w a --connect-timeout 2s -o jsonl -- true").run();
    assert!(
        ended
            .record("a")
            .text("message")
            .contains("no answer in 2s"),
        "{ended}"
    );
}

#[test]
fn only_ways_to_log_in_that_are_allowed_are_tried() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web1", &sshd);
    for option in [
        "PubkeyAuthentication=no",
        "PreferredAuthentications=password",
    ] {
        let ended = fleet.hoist(&format!("run -O {option} -o jsonl -- true"));
        ended.code(3).became("web1", "failed", "auth");
        let message = ended.record("web1").text("message");
        assert!(message.contains("there was nothing to offer"), "{message}");
    }
}

#[test]
fn a_public_key_tells_which_of_the_agents_keys_is_meant() {
    let sshd = Sshd::with().line("MaxAuthTries 2").start();
    let key = sshd.host_keys[0].public();
    let fleet = Fleet::new()
        .log(&sshd.log())
        .ssh_hosts("web1", sshd.port(), &key);
    let socket = fleet.tree().join("agent");
    let mut agent = Command::new("ssh-agent")
        .arg("-D")
        .arg("-a")
        .arg(&socket)
        .spawn()
        .unwrap();
    let add = |key: &KeyPair| {
        let added = Command::new("ssh-add")
            .arg("-q")
            .arg(&key.path)
            .env("SSH_AUTH_SOCK", &socket)
            .status();
        assert!(added.unwrap().success());
    };
    while !socket.exists() {
        std::thread::yield_now();
    }
    for number in 0..5 {
        add(&KeyPair::generate(
            &fleet.tree().join(format!("key{number}")),
            "ed25519",
        ));
    }
    add(&sshd.client_key);
    let public = sshd.client_key.path.with_extension("pub");
    let run = |options: &[&str]| {
        let words = [&["run", "-o", "jsonl"], options, &["--", "true"]].concat();
        fleet
            .argv(words)
            .env("SSH_AUTH_SOCK", socket.as_os_str())
            .run()
    };
    // Too many keys before the right one.
    let many = run(&[]);
    let told = run(&["--identity", public.to_str().unwrap()]);
    let only = format!("IdentityFile={}", public.display());
    let only = run(&["-O", &only, "-O", "IdentitiesOnly=yes"]);
    let _ = agent.kill();
    let _ = agent.wait();
    many.code(3).became("web1", "failed", "auth");
    told.code(0);
    only.code(0);
}
