//! The harness itself, against the system's own `ssh`: what the other tests rely on.

use std::fs;
use std::net::{Ipv4Addr, TcpStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::support::captured::{Captured, Keep, Tally};
use crate::support::dropbear::Dropbear;
use crate::support::ended::Ended;
use crate::support::keys::KeyPair;
use crate::support::listener::{DeadPort, SilentPort, TalkingPort, Then};
use crate::support::namespace::{Namespace, in_namespace};
use crate::support::process::{Running, must};
use crate::support::server::greeting;
use crate::support::sshd::{self, Sshd};
use crate::support::tree::{Tree, is_running};
use crate::support::{PATIENCE, names};

/// Runs the system's `ssh` with a known host key.
fn ssh(
    tree: &Tree,
    login: &str,
    port: u16,
    client: &KeyPair,
    host_key: &str,
    command: &str,
) -> Ended {
    let (_, address) = login.split_once('@').unwrap();
    let known = tree.write("known_hosts", format!("[{address}]:{port} {host_key}\n"));
    let mut program = Command::new("ssh");
    program.args([
        "-F",
        "none",
        "-o",
        "BatchMode=yes",
        "-o",
        "IdentitiesOnly=yes",
    ]);
    program
        .arg("-o")
        .arg(format!("UserKnownHostsFile={}", known.display()));
    program
        .arg("-i")
        .arg(&client.path)
        .arg("-p")
        .arg(port.to_string());
    program.args([login, command]);
    let mut running = Running::start(&mut program, Keep::All, false);
    running.feed(Vec::new());
    running.wait(PATIENCE)
}

#[test]
fn a_server_answers_at_every_loopback_address() {
    let (sshd, tree) = (Sshd::start(), Tree::new());
    for address in ["127.0.0.1", "127.1.2.3", "127.200.0.9"] {
        let login = format!("{}@{address}", sshd::user());
        let key = sshd.host_keys[0].public();
        let ended = ssh(
            &tree,
            &login,
            sshd.port(),
            &sshd.client_key,
            &key,
            "echo hello; exit 7",
        );
        ended.code(7).stdout("hello\n");
    }
}

#[test]
fn a_server_has_the_host_keys_asked_for_and_lets_in_who_is_authorized() {
    let sshd = Sshd::with().host_keys(&["ecdsa", "rsa"]).start();
    let tree = Tree::new();
    let login = format!("{}@127.0.0.1", sshd::user());
    let other = KeyPair::generate(&tree.join("other"), "ecdsa");
    for key in &sshd.host_keys {
        let ended = ssh(
            &tree,
            &login,
            sshd.port(),
            &sshd.client_key,
            &key.public(),
            "true",
        );
        ended.code(0);
    }
    let key = sshd.host_keys[1].public();
    ssh(&tree, &login, sshd.port(), &other, &key, "true").code(255);
    sshd.authorize(&other.public());
    ssh(&tree, &login, sshd.port(), &other, &key, "true").code(0);
    sshd.authorize_nobody();
    ssh(&tree, &login, sshd.port(), &other, &key, "true").code(255);
    assert!(sshd.host_keys[0].fingerprint().starts_with("SHA256:"));
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
        let login = "root@127.9.9.9";
        let ended = ssh(
            namespace.tree(),
            login,
            dropbear.port(),
            &dropbear.client_key,
            &dropbear.host_key,
            "echo $HOME; exit 5",
        );
        ended.code(5).stdout(&format!(
            "{}\n",
            namespace.tree().join("home/root").display()
        ));
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
        let sshd = Sshd::with()
            .line("AuthorizedKeysFile .ssh/authorized_keys")
            .start();
        let host_key = sshd.host_keys[0].public();
        let ended = ssh(
            namespace.tree(),
            "zoe@127.0.0.1",
            sshd.port(),
            &key,
            &host_key,
            "id -un; pwd",
        );
        ended
            .code(0)
            .stdout(&format!("{}\n{}\n", zoe.name, zoe.home.display()));
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

    for then in [Then::Close, Then::Hold, Then::Repeat] {
        let talking = TalkingPort::saying(b"HTTP/1.1 400 Bad Request\r\n", then);
        let line = greeting(Ipv4Addr::LOCALHOST, talking.port());
        assert_eq!(line, "HTTP/1.1 400 Bad Request\r\n");
    }
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

    let endless = start("exec sleep 300");
    let died = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        endless.wait(Duration::from_millis(300));
    }));
    assert!(
        died.is_err(),
        "a program that goes on too long fails the test"
    );
}

#[test]
fn outputs_too_large_to_keep_are_compared_by_tally() {
    let mut whole = Tally::default();
    whole.add(b"one two three");
    let mut pieces = Tally::default();
    for piece in [&b"one"[..], b" two", b"", b" three"] {
        pieces.add(piece);
    }
    let mut swapped = Tally::default();
    swapped.add(b"two one three");
    assert_eq!(whole, pieces);
    assert_ne!(whole, swapped);
    let captured = Captured::from(&b"one two three"[..], Keep::Tally);
    assert!(captured.wait_for_end(PATIENCE));
    assert_eq!((captured.tally(), captured.bytes()), (whole, Vec::new()));
}

#[test]
fn names_of_a_range_keep_their_padding() {
    assert_eq!(names("web[9-11]"), ["web9", "web10", "web11"]);
    assert_eq!(names("n[08-10]"), ["n08", "n09", "n10"]);
    assert_eq!(names("db"), ["db"]);
}
