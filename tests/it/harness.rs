//! The harness itself, against the system's own `ssh`: what the other tests rely on.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use openssl::sha::sha256;
use rustix::process::Signal;

use crate::support::captured::{Captured, Keep, Tally};
use crate::support::dropbear::Dropbear;
use crate::support::ended::Ended;
use crate::support::faults::Faults;
use crate::support::keys::KeyPair;
use crate::support::listener::{DeadPort, SilentPort};
use crate::support::namespace::{Namespace, in_namespace};
use crate::support::process::{Running, must};
use crate::support::server::greeting;
use crate::support::sshd::{self, Sshd};
use crate::support::tree::{Tree, is_running};
use crate::support::{PATIENCE, names};

/// The system's `ssh`, with one known host key.
struct Client<'a> {
    tree: &'a Tree,
    port: u16,
    key: &'a KeyPair,
    host_key: String,
}

impl Client<'_> {
    fn run(&self, login: &str, command: &str) -> Ended {
        let (_, address) = login.split_once('@').unwrap();
        let line = format!("[{address}]:{} {}\n", self.port, self.host_key);
        let known = self.tree.write("known_hosts", line);
        let mut ssh = Command::new("ssh");
        ssh.args([
            "-F",
            "none",
            "-o",
            "BatchMode=yes",
            "-o",
            "IdentitiesOnly=yes",
        ]);
        ssh.arg("-o")
            .arg(format!("UserKnownHostsFile={}", known.display()));
        ssh.arg("-i")
            .arg(&self.key.path)
            .arg("-p")
            .arg(self.port.to_string());
        ssh.args([login, command]);
        let mut running = Running::start(&mut ssh, Keep::All, false);
        running.feed(Vec::new());
        running.wait(PATIENCE)
    }
}

#[test]
fn a_server_answers_at_every_loopback_address() {
    let (sshd, tree) = (Sshd::start(), Tree::new());
    let host_key = sshd.host_keys[0].public();
    let client = Client {
        tree: &tree,
        port: sshd.port(),
        key: &sshd.client_key,
        host_key,
    };
    for address in ["127.0.0.1", "127.1.2.3", "127.200.0.9"] {
        let login = format!("{}@{address}", sshd::user());
        client
            .run(&login, "echo hello; exit 7")
            .code(7)
            .stdout("hello\n");
        // Nothing is read from the real home.
        client.run(&login, "ls -A ~").code(0).no_stdout();
    }
}

#[test]
fn a_server_has_the_host_keys_asked_for_and_lets_in_who_is_authorized() {
    let sshd = Sshd::with().host_keys(&["ecdsa", "rsa"]).start();
    let tree = Tree::new();
    let login = format!("{}@127.0.0.1", sshd::user());
    let other = KeyPair::generate(&tree.join("other"), "ecdsa");
    let client = |key, host_key: &KeyPair| {
        let host_key = host_key.public();
        Client {
            tree: &tree,
            port: sshd.port(),
            key,
            host_key,
        }
        .run(&login, "true")
    };
    let [ecdsa, rsa] = &sshd.host_keys[..] else {
        panic!("two were asked for");
    };
    client(&sshd.client_key, ecdsa).code(0);
    client(&sshd.client_key, rsa).code(0);
    client(&other, rsa).code(255);
    sshd.authorize(&other.public());
    client(&other, rsa).code(0);
    sshd.authorize_nobody();
    client(&other, rsa).code(255);
    assert!(ecdsa.fingerprint().starts_with("SHA256:"));
}

#[test]
fn a_command_can_cut_its_own_session_and_no_other() {
    let (sshd, tree) = (Sshd::start(), Tree::new());
    let host_key = sshd.host_keys[0].public();
    let client = Client {
        tree: &tree,
        port: sshd.port(),
        key: &sshd.client_key,
        host_key,
    };
    let login = format!("{}@127.0.0.1", sshd::user());
    let line = format!("echo begun; {}", sshd.cuts_the_session());
    client.run(&login, &line).code(255).stdout("begun\n");
    client
        .run(&login, "echo still here")
        .code(0)
        .stdout("still here\n");
}

#[test]
fn a_server_is_gone_when_dropped() {
    let sshd = Sshd::start();
    let (port, pid) = (sshd.port(), sshd.pid());
    assert!(is_running(pid));
    drop(sshd);
    assert!(!is_running(pid));
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err());
}

#[test]
fn dropbear_answers() {
    in_namespace!(|namespace: &Namespace| {
        let dropbear = Dropbear::start(namespace);
        let client = Client {
            tree: namespace.tree(),
            port: dropbear.port(),
            key: &dropbear.client_key,
            host_key: dropbear.host_key.clone(),
        };
        let home = namespace.tree().join("home/root");
        let ended = client.run("root@127.9.9.9", "echo $HOME; exit 5");
        ended.code(5).stdout(&format!("{}\n", home.display()));
    });
}

#[test]
fn a_namespace_has_accounts_of_its_own() {
    let is_outside = in_namespace!(|namespace: &Namespace| {
        let zoe = namespace.account("zoe", Path::new("/bin/sh"));
        let key = KeyPair::generate(&namespace.tree().join("key"), "ed25519");
        namespace.authorize("zoe", &key.public());
        let other = namespace.account_with_password("max", "secret word");
        assert_ne!(zoe.id, other.id);
        let sshd = Sshd::with().own_homes().start();
        let client = Client {
            tree: namespace.tree(),
            port: sshd.port(),
            key: &key,
            host_key: sshd.host_keys[0].public(),
        };
        let expected = format!("{}\n{}\n", zoe.name, zoe.home.display());
        client
            .run("zoe@127.0.0.1", "id -un; pwd")
            .code(0)
            .stdout(&expected);
        assert!(
            fs::read_to_string("/etc/shadow")
                .unwrap()
                .contains("max:$6$hoist-test$")
        );
        assert_eq!(other.name, "max");
    });
    if is_outside {
        let accounts = fs::read_to_string("/etc/passwd").unwrap();
        assert!(!accounts.contains("hoist-test"));
    }
}

#[test]
fn a_namespace_has_a_small_disk_and_settings_of_its_own() {
    let is_outside = in_namespace!(|namespace: &Namespace| {
        let disk = namespace.disk("small", "64k");
        assert!(fs::write(disk.join("small"), vec![0; 1000]).is_ok());
        assert!(fs::write(disk.join("large"), vec![0; 100_000]).is_err());
        namespace.write_etc("resolv.conf", "nameserver 127.0.0.66\n");
        assert_eq!(
            fs::read_to_string("/etc/resolv.conf").unwrap(),
            "nameserver 127.0.0.66\n"
        );
        assert!(has_loopback_alone());
    });
    if is_outside {
        let own = fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
        assert!(!own.contains("127.0.0.66"));
    }
}

/// Whether loopback is there and nothing of the outer machine is.
fn has_loopback_alone() -> bool {
    let devices = must("ip", &[&"-o", &"link", &"show", &"up"]);
    devices.lines().count() == 1 && devices.contains("lo")
}

#[test]
fn ports_misbehave_as_named() {
    let dead = DeadPort::take();
    let refused = TcpStream::connect((Ipv4Addr::new(127, 3, 3, 3), dead.port()));
    assert_eq!(
        refused.unwrap_err().kind(),
        std::io::ErrorKind::ConnectionRefused
    );

    let silent = SilentPort::open();
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, silent.port())).unwrap();
    stream.set_nonblocking(true).unwrap();
    assert_eq!(
        stream.peek(&mut [0]).unwrap_err().kind(),
        std::io::ErrorKind::WouldBlock
    );

    let tree = Tree::new();
    let client = KeyPair::generate(&tree.join("client"), "ed25519");
    let faults = Faults::start(&client);
    let line = greeting(Ipv4Addr::LOCALHOST, faults.port("web-server"));
    assert_eq!(line, "HTTP/1.1 400 Bad Request\r\n");
}

#[test]
fn a_running_program_is_watched_signalled_and_killed() {
    let start = |line: &str| {
        let mut command = Command::new("sh");
        Running::start(command.args(["-c", line]), Keep::All, false)
    };
    let running = start("echo out; echo err >&2; read x; echo got $x");
    let mut running = running;
    running.shows("out").warns("err");
    running.type_in("typed\n");
    running.wait(PATIENCE).code(0).stdout("out\ngot typed\n");

    let trapped = start("trap 'exit 9' TERM; echo ready; while :; do read x; done");
    trapped.shows("ready").signal(Signal::TERM);
    trapped.wait(PATIENCE).code(9);

    let endless = start("sleep 300 & echo child $! end; wait");
    endless.shows("end");
    let out = endless.stdout.to_string();
    let child = out.split(' ').nth(1).and_then(|pid| pid.parse().ok());
    let child = child.expect("a process id");
    assert!(is_running(child));
    let died = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        endless.wait(Duration::from_millis(300));
    }));
    assert!(died.is_err(), "what goes on too long fails the test");
    assert!(!is_running(child), "and is ended with all it started");
}

#[test]
fn outputs_too_large_to_keep_are_compared_by_tally() {
    let captured = Captured::from(&b"one two three"[..], Keep::Tally);
    assert!(captured.wait_for_end(PATIENCE));
    let whole = Tally {
        bytes: 13,
        digest: sha256(b"one two three"),
    };
    assert_eq!((captured.tally(), captured.bytes()), (whole, Vec::new()));
}

#[test]
fn names_of_a_range_keep_their_padding() {
    assert_eq!(names("web[9-11]"), ["web9", "web10", "web11"]);
    assert_eq!(names("n[08-10]"), ["n08", "n09", "n10"]);
    assert_eq!(names("db"), ["db"]);
}
