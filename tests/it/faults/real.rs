//! Faults of real servers and of the network between: each beside 20 good hosts.

use std::fmt::Write;
use std::net::UdpSocket;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use hoist::fleet::Fleet as Library;
use hoist::host::{Address, Endpoint, HostName, Port, SshSettings, TransportName, UserName};
use hoist::outcome::Kind;
use hoist::remote::{Command, Exec};
use hoist::transport::ssh::identity::{Identity, Loaded, NamedKey};
use hoist::transport::ssh::{Ssh, SshOptions};

use super::{COMMAND, CONNECT, GIVING_UP, PLENTY, SLACK, good, good_ones_are_good};
use crate::support::ended::Ended;
use crate::support::fleet::Fleet;
use crate::support::keys::KeyPair;
use crate::support::listener::DeadPort;
use crate::support::namespace::{Namespace, in_namespace};
use crate::support::process::must;
use crate::support::sshd::{self, Sshd};
use crate::support::{names, numbered_lines};

fn work(fleet: &Fleet, more: &str) -> Ended {
    work_within(COMMAND, fleet, more)
}

fn work_within(timeout: Duration, fleet: &Fleet, more: &str) -> Ended {
    let line = format!(
        "run -o jsonl --connect-timeout {} --timeout {} {more} -- {}",
        CONNECT.as_secs(),
        timeout.as_secs(),
        fleet.act()
    );
    let ended = fleet.hoist(&line);
    ended.within(CONNECT + timeout + GIVING_UP + SLACK);
    good_ones_are_good(&ended);
    ended
}

#[track_caller]
fn says(ended: &Ended, host: &str, words: &[&str]) {
    let message = ended.record(host).text("message");
    for part in words {
        assert!(message.contains(part), "{host}: {message}\n{ended}");
    }
}

/// Adds a host of another server that lets the same key in.
fn other(fleet: Fleet, name: &str, first: &Sshd, server: &Sshd) -> Fleet {
    server.authorize(&first.client_key.public());
    fleet.ssh_host(
        name,
        server.port(),
        &sshd::user(),
        &server.host_keys[0].public(),
    )
}

#[test]
fn servers_that_let_nobody_in() {
    let sshd = Sshd::start();
    let few = Sshd::with().line("MaxAuthTries 2").start();
    let password = Sshd::with()
        .line("PasswordAuthentication yes")
        .line("AuthenticationMethods password")
        .start();
    let questions = Sshd::with()
        .line("KbdInteractiveAuthentication yes")
        .line("AuthenticationMethods keyboard-interactive")
        .start();
    let fleet = good(&sshd).ssh_host("few", few.port(), &sshd::user(), &few.host_keys[0].public());
    let fleet = other(fleet, "password", &sshd, &password);
    let fleet = other(fleet, "questions", &sshd, &questions);
    let mut more = format!("--identity {}", sshd.client_key.path.display());
    for name in ["a", "b", "c"] {
        let key = KeyPair::generate(&fleet.tree().join(name), "ed25519");
        more = format!("--identity {} {more}", key.path.display());
    }
    // The right key is the last one: good servers take more tries.
    let ended = work(&fleet, &more);
    ended.code(3);
    for name in ["few", "password", "questions"] {
        ended.became(name, "failed", "auth");
    }
    says(&ended, "few", &["too many", "--identity"]);
    says(
        &ended,
        "password",
        &["the host takes password", "--ask-pass"],
    );
    says(
        &ended,
        "questions",
        &["the host takes keyboard-interactive", "--ask-pass"],
    );
}

#[test]
fn servers_that_run_something_else_or_nothing() {
    let sshd = Sshd::start();
    let closed = Sshd::with().line("MaxSessions 0").start();
    let forced = Sshd::with()
        .line("ForceCommand echo forced; exit 3")
        .start();
    let pleased = Sshd::with().line("ForceCommand echo forced").start();
    let rekeying = Sshd::with().line("RekeyLimit 100K").start();
    let fleet = other(good(&sshd), "closed", &sshd, &closed);
    let fleet = other(fleet, "pleased", &sshd, &pleased);
    let fleet = other(fleet, "forced", &sshd, &forced);
    let fleet = other(fleet, "rekeying", &sshd, &rekeying);
    let lines = numbered_lines(300_000);
    fleet.tree().write("lines", &lines);
    let path = fleet.tree().join("lines");
    let fleet = fleet.acts("rekeying", &format!("cat {}", path.display()));
    let ended = work_within(PLENTY, &fleet, "");
    ended
        .became("closed", "failed", "channel")
        .became("forced", "failed", "exit")
        .became("pleased", "failed", "channel")
        .became("rekeying", "ok", "");
    says(&ended, "pleased", &["something else in its place"]);
    assert_eq!(
        ended.record("pleased").text("stdout"),
        "forced\n",
        "{ended}"
    );
    assert_eq!(ended.record("forced").text("stdout"), "forced\n", "{ended}");
    assert_eq!(ended.record("forced").number("exit_code"), 3, "{ended}");
    assert!(
        ended.record("rekeying").text("stdout") == lines,
        "all lines, in order"
    );
}

#[test]
fn new_keys_in_the_middle_of_both_directions() {
    let sshd = Sshd::with().line("RekeyLimit 100K").start();
    let fleet = Fleet::new().served("web[1-3]", &sshd);
    let lines = numbered_lines(300_000);
    fleet.tree().write("work/lines", &lines);
    let ended = fleet.hoist("run -o jsonl --stdin lines -- tee /dev/stderr");
    ended.code(0).each_host_once(&names("web[1-3]"));
    for record in ended.records() {
        let is_whole = record.text("stdout") == lines && record.text("stderr") == lines;
        assert!(is_whole, "{}: all lines, in order", record.text("host"));
    }
}

#[test]
fn a_million_lines_a_second() {
    let sshd = Sshd::start();
    let fleet = good(&sshd)
        .served("fast", &sshd)
        .acts("fast", "exec seq 1000000");
    let ended = work_within(PLENTY, &fleet, "");
    let mut wanted = String::new();
    for number in 1..=1_000_000 {
        writeln!(wanted, "{number}").unwrap();
    }
    assert!(
        ended.record("fast").text("stdout") == wanted,
        "all lines, in order"
    );
}

#[test]
fn accounts_that_may_not_log_in() {
    in_namespace!(|namespace: &Namespace| {
        let sshd = Sshd::with().own_homes().line("UsePAM no").start();
        let expired = namespace.account("expired", "/bin/sh".as_ref());
        let nologin = namespace.account("nologin", "/usr/sbin/nologin".as_ref());
        let shadow = std::fs::read_to_string("/etc/shadow").unwrap();
        let shadow = shadow.replace(
            "expired:*:19000:0:99999:7:::",
            "expired:*:19000:0:99999:7::10000:",
        );
        std::fs::write("/etc/shadow", shadow).unwrap();
        let key = &sshd.client_key.public();
        for account in ["root", &expired.name, &nologin.name] {
            namespace.authorize(account, key);
        }
        let host = &sshd.host_keys[0].public();
        let fleet = good(&sshd)
            .ssh_host("expired", sshd.port(), "expired", host)
            .ssh_host("nologin", sshd.port(), "nologin", host);
        let ended = work(&fleet, "");
        ended
            .code(3)
            .became("expired", "failed", "auth")
            .became("nologin", "failed", "exit");
        says(&ended, "expired", &["cannot log in as expired"]);
        assert_eq!(ended.record("nologin").number("exit_code"), 1, "{ended}");
        let told = ended.record("nologin").text("stdout");
        assert!(told.contains("not available"), "{ended}");
    });
}

/// Answers that names of `no-such` don't exist, and never answers for any other.
fn name_server() {
    let socket = UdpSocket::bind("127.0.0.66:53").unwrap();
    thread::spawn(move || {
        let mut query = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut query) {
            let mut answer = query[..length].to_vec();
            if answer.windows(7).any(|part| part == b"no-such") {
                // A response, recursion available, NXDOMAIN (RFC 1035 §4.1.1), nothing added.
                answer[2..4].copy_from_slice(&[0x81, 0x83]);
                answer[10..12].fill(0);
                socket.send_to(&answer[..question_end(&answer)], from).ok();
            }
        }
    });
}

/// Returns where the one question of a message ends.
fn question_end(message: &[u8]) -> usize {
    let name = message[12..].iter().position(|byte| *byte == 0);
    12 + name.expect("a name ends with the root") + 5
}

#[test]
fn names_and_networks_that_lead_nowhere() {
    in_namespace!(|namespace: &Namespace| {
        name_server();
        namespace.write_etc(
            "resolv.conf",
            "nameserver 127.0.0.66\noptions timeout:30 attempts:5\n",
        );
        namespace.write_etc("nsswitch.conf", "hosts: files dns\n");
        // What is sent into this network is never seen again.
        must(
            "ip",
            &[
                &"link", &"add", &"hole", &"type", &"veth", &"peer", &"name", &"end",
            ],
        );
        must("ip", &[&"link", &"set", &"end", &"up"]);
        must("ip", &[&"addr", &"add", &"10.66.0.1/24", &"dev", &"hole"]);
        must("ip", &[&"link", &"set", &"hole", &"up"]);
        let arp = "02:00:00:00:00:02";
        must(
            "ip",
            &[
                &"neigh",
                &"add",
                &"10.66.0.2",
                &"lladdr",
                &arp,
                &"dev",
                &"hole",
            ],
        );
        let (sshd, dead) = (Sshd::start(), DeadPort::take());
        let refused = format!("127.9.9.9:{}", dead.port());
        let bad = [
            ("no-such.invalid", "dns", "cannot look up `no-such.invalid`"),
            ("slow.invalid", "connect-timeout", "looking up the name"),
            ("10.66.0.2", "connect-timeout", "while connecting"),
            ("10.99.0.1", "unreachable", "network is unreachable"),
            ("127.9.9.9", "refused", "connection refused"),
        ];
        let fleet = good(&sshd);
        let pattern = "*,no-such.invalid,slow.invalid,10.66.0.2,10.99.0.1,".to_owned() + &refused;
        let ended = work(&fleet, &format!("--ad-hoc -l root -w {pattern}"));
        ended.code(3);
        for (name, kind, words) in bad {
            ended.became(name, "failed", kind);
            says(&ended, name, &[words]);
        }
    });
}

/// Returns a host of the library's own.
fn endpoint(server: &Sshd) -> Endpoint {
    Endpoint {
        name: HostName::parse("frozen").unwrap(),
        address: Address::parse("127.0.0.1").unwrap(),
        transport: TransportName::Ssh,
        port: Port::new(server.port()).unwrap(),
        user: Some(UserName::parse(&sshd::user()).unwrap()),
        ssh: Arc::new(SshSettings {
            identities: vec![server.client_key.path.clone()],
            keepalive: Duration::from_secs(2),
            ..SshSettings::default()
        }),
        host_key: Some(server.host_keys[0].public().into()),
    }
}

#[test]
fn a_half_open_connection_is_found_by_its_silence() {
    let server = Sshd::start();
    let Loaded::Ready(identity) = Identity::load(&server.client_key.path).unwrap() else {
        panic!("the key is not encrypted");
    };
    let hosts = vec![endpoint(&server)];
    let options = SshOptions {
        identities: vec![NamedKey::Own(identity)],
        ..SshOptions::default()
    };
    let ssh = Ssh::new(options, &hosts);
    let fleet = Library::new(hosts, ssh.unwrap());
    // Nobody answers, closes or resets anything from here on; no limit but the heartbeat holds.
    let line = "echo begun; ".to_owned() + &server.cuts_the_session().replace("-KILL", "-STOP");
    let argv = ["sh", "-c", &line].map(Into::into).to_vec();
    let began = Instant::now();
    let results = fleet.run(Exec::new(Command::Argv(argv))).unwrap();
    let took = began.elapsed();
    assert_eq!(results[0].outcome.kind, Some(Kind::Lost), "{results:?}");
    assert_eq!(results[0].stdout, b"begun\n");
    let message = &results[0].outcome.message;
    assert!(
        message.contains("no sign of life from the host for 6s"),
        "{message}"
    );
    assert!(
        took >= Duration::from_secs(6) && took < Duration::from_secs(8) + SLACK,
        "{took:?}"
    );
}

#[test]
fn a_server_that_drops_connections_serves_everybody() {
    // sshd's own default: from 10 connections before login on, three of ten are dropped.
    let sshd = Sshd::with().line("MaxStartups 10:30:100").start();
    let all = names("web[001-500]");
    let mut rows = "name,address,port,user\n".to_owned();
    for name in &all {
        let (port, user) = (sshd.port(), sshd::user());
        writeln!(rows, "{name},127.0.0.1,{port},{user}").unwrap();
    }
    let fleet = Fleet::new()
        .with_identity(&sshd.client_key)
        .log(&sshd.log());
    let fleet = fleet.inventory(&rows);
    let key = sshd.host_keys[0].public();
    fleet.write_known_hosts(&format!("[127.0.0.1]:{} {key}\n", sshd.port()));
    let ended = fleet
        .command("run -o jsonl -- true")
        .patience(Duration::from_mins(3))
        .run();
    ended.code(0).each_host_once(&all);
}
