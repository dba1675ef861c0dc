//! Servers that take only what libssh2 can't do: the message names it, and the way.

use crate::support::ended::Ended;
use crate::support::fleet::Fleet;
use crate::support::sshd::{self, Configuration, Sshd};

/// Adds a host of a server that is like this.
fn with(fleet: Fleet, name: &str, configuration: Configuration) -> (Fleet, Sshd) {
    let server = configuration.start();
    let key = server.host_keys[0].public();
    let fleet = fleet.log(&server.log());
    (
        fleet.ssh_host(name, server.port(), &sshd::user(), &key),
        server,
    )
}

#[track_caller]
fn says(ended: &Ended, host: &str, kind: &str, words: &[&str]) {
    ended.became(host, "failed", kind);
    let message = ended.record(host).text("message");
    for words in words {
        assert!(message.contains(words), "{message}\n{ended}");
    }
}

#[test]
fn algorithms_that_only_openssh_knows_are_named() {
    let fleet = Fleet::new();
    let kex = "sntrup761x25519-sha512@openssh.com";
    let line = format!("KexAlgorithms {kex}");
    let (fleet, _kex) = with(fleet, "kex", Sshd::with().line(&line));
    let mac = "umac-128-etm@openssh.com";
    let macs = Sshd::with()
        .line("Ciphers aes256-ctr")
        .line(&format!("MACs {mac}"));
    let (fleet, _macs) = with(fleet, "mac", macs);
    let old = Sshd::with()
        .host_keys(&["rsa"])
        .line("HostKeyAlgorithms ssh-rsa");
    let (fleet, _old) = with(fleet, "old", old);
    let ended = fleet.hoist("run -o jsonl -- true");
    ended.code(3);
    let way = |name: &str| format!("; --transport openssh knows {name}");
    let no = |what: &str| format!("no {what} in common: the host offers ");
    says(
        &ended,
        "kex",
        "handshake",
        &[&no("key exchange"), &way(kex)],
    );
    says(&ended, "mac", "handshake", &[&no("MAC"), &way(mac)]);
    let way = "--transport openssh with -O HostKeyAlgorithms=+ssh-rsa";
    says(&ended, "old", "handshake", &[&no("host key"), way]);
    let ended = fleet.hoist("run -o jsonl -w mac -O MACs=umac-64@openssh.com -- true");
    let none = "nothing that MACs `umac-64@openssh.com` allows is built in";
    says(&ended, "mac", "handshake", &[none, "--transport openssh"]);
}

#[test]
fn ways_to_log_in_that_only_openssh_knows_are_named() {
    let first = Sshd::start();
    let mut fleet = Fleet::new().with_identity(&first.client_key);
    let mut servers = Vec::new();
    for (name, keyword, method) in [
        ("gssapi", "GSSAPIAuthentication", "gssapi-with-mic"),
        ("hostbased", "HostbasedAuthentication", "hostbased"),
        ("both", "HostbasedAuthentication", "publickey,hostbased"),
    ] {
        let configuration = Sshd::with()
            .line(&format!("{keyword} yes"))
            .line(&format!("AuthenticationMethods {method}"));
        let (with, server) = with(fleet, name, configuration);
        server.authorize(&first.client_key.public());
        fleet = with;
        servers.push(server);
    }
    let ended = fleet.hoist("run -o jsonl -- true");
    ended.code(3);
    let way = "; hoist can't do that, --transport openssh may";
    for (host, words) in [
        ("gssapi", "the host takes gssapi-with-mic"),
        ("hostbased", "the host takes hostbased"),
        ("both", "the host asks besides for hostbased"),
    ] {
        says(&ended, host, "auth", &[&format!("{words}{way}")]);
    }
}

#[test]
fn a_provider_of_keys_is_named_with_the_way() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web1", &sshd);
    fleet
        .hoist("run -O PKCS11Provider=/usr/lib/opensc-pkcs11.so -- true")
        .code(0)
        .complains(&["without effect here: PKCS11Provider", "--transport openssh"]);
}
