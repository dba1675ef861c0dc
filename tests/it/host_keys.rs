//! Whose key a host shows, and what is known about it.

use std::fs;
use std::process::Command;

use crate::support::captured::Keep;
use crate::support::fleet::{Fleet, over_openssh, transport};
use crate::support::keys::KeyPair;
use crate::support::names;
use crate::support::process::{Running, must};
use crate::support::sshd::{Sshd, user};
use crate::support::{PATIENCE, installed};

/// A server that logs every request for a login, and a fleet of hosts there that nobody knows yet.
fn strangers(pattern: &str) -> (Sshd, Fleet) {
    let sshd = Sshd::with().line("LogLevel DEBUG1").start();
    let fleet = Fleet::new()
        .log(&sshd.log())
        .with_identity(&sshd.client_key)
        .strangers(pattern, sshd.port());
    (sshd, fleet)
}

/// Checks that nobody tried to log in: no user name, no key, no password was sent.
#[track_caller]
fn no_credential_was_sent(sshd: &Sshd) {
    // This is how sshd tells the end of a connection on which keys were exchanged.
    let is_over = sshd.log().wait_for("[preauth]", PATIENCE);
    let log = sshd.log().to_string();
    assert!(is_over, "the server was there: {log}");
    for words in ["authenticating user", "Accepted", "Failed"] {
        assert!(!log.contains(words), "{log}");
    }
}

const RUN: &str = "run -o jsonl -- true";

#[test]
fn an_unknown_key_is_refused_and_nothing_is_sent() {
    let (sshd, fleet) = strangers("web[1-2]");
    let ended = fleet.hoist(RUN);
    ended
        .code(3)
        .became("web1", "failed", "host-key-unknown")
        .became("web2", "failed", "host-key-unknown");
    let message = ended.record("web1").text("message");
    assert!(
        message.contains(&sshd.host_keys[0].fingerprint()),
        "{ended}"
    );
    no_credential_was_sent(&sshd);
    assert_eq!(fleet.known_hosts(), "");
}

#[test]
fn a_changed_key_is_refused_with_the_line_that_disagrees() {
    let (sshd, fleet) = strangers("web1");
    let other = KeyPair::generate(&fleet.tree().join("other"), "ed25519");
    let lines = format!("# mine\n\n[127.1.0.2]:{} {}\n", sshd.port(), other.public());
    fleet.write_known_hosts(&lines);
    for policy in ["strict", "accept-new"] {
        let ended = fleet.hoist(&format!("run -o jsonl --host-keys {policy} -- true"));
        ended.code(3).became("web1", "failed", "host-key-changed");
        let message = ended.record("web1").text("message");
        assert!(message.contains("known_hosts:3"), "{ended}");
    }
    no_credential_was_sent(&sshd);
    assert_eq!(fleet.known_hosts(), lines, "the file is as it was");
}

#[test]
fn a_revoked_key_is_refused_whatever_the_policy() {
    let (sshd, fleet) = strangers("web1");
    let key = sshd.host_keys[0].public();
    fleet.write_known_hosts(&format!(
        "@revoked * {key}\n[127.1.0.2]:{} {key}\n",
        sshd.port()
    ));
    for policy in ["strict", "accept-new", "off"] {
        let ended = fleet.hoist(&format!("run -o jsonl --host-keys {policy} -- true"));
        ended.code(3).became("web1", "failed", "host-key-changed");
    }
    no_credential_was_sent(&sshd);
}

/// Whether the system's own `ssh` logs in with the fleet's known keys.
fn openssh_logs_in(sshd: &Sshd, fleet: &Fleet, options: &[String]) -> bool {
    let known = fleet.tree().join("home/.ssh/known_hosts");
    let mut ssh = Command::new(installed("ssh", "openssh-client"));
    ssh.args([
        "-F",
        "none",
        "-o",
        "BatchMode=yes",
        "-o",
        "GlobalKnownHostsFile=none",
    ]);
    ssh.arg("-o")
        .arg(format!("UserKnownHostsFile={}", known.display()));
    for option in options {
        ssh.arg("-o").arg(option);
    }
    ssh.arg("-i")
        .arg(&sshd.client_key.path)
        .arg("-p")
        .arg(sshd.port().to_string());
    ssh.arg(format!("{}@127.1.0.2", user())).arg("true");
    let mut running = Running::start(&mut ssh, Keep::All, false);
    running.feed(Vec::new());
    let ended = running.wait(PATIENCE);
    ended.status.is_some_and(|status| status.success())
}

#[test]
fn known_hosts_is_read_as_openssh_reads_it() {
    let (sshd, fleet) = strangers("web1");
    let (key, port) = (sshd.host_keys[0].public(), sshd.port());
    let other = KeyPair::generate(&fleet.tree().join("other"), "ed25519").public();
    let lines = [
        format!("[127.1.0.2]:{port} {key}"),
        format!("127.1.0.2 {key}"),
        format!("* {key}"),
        format!("[127.1.*]:{port} {key} a comment"),
        format!("other,[127.1.0.?]:{port} {key}"),
        format!("  [127.1.0.2]:{port}\t{key}"),
        format!("[127.1.0.2]:{port} ssh-rsa AAAA-broken\n[127.1.0.2]:{port} {key}"),
        format!("[127.1.0.2]:{port} {other}\n[127.1.0.2]:{port} {key}"),
        format!("[127.1.0.2]:{port} {other}\n* {key}"),
        format!("@cert-authority * {key}"),
        format!("@cert-authority * {other}\n* {key}"),
        format!("@revoked * {other}\n* {key}"),
        format!("@unheard-of * {key}"),
        format!("*,![127.1.0.2]:{port} {key}"),
        format!("*,!127.1.0.2,![127.1.0.2]:{port} {key}"),
        format!("# [127.1.0.2]:{port} {key}"),
        format!("[127.1.0.3]:{port} {key}"),
        format!("[127.1.0.2]:{} {key}", port - 1),
        format!("[127.1.0.2]:{port},{key}"),
        String::new(),
    ];
    let mut accepted = 0;
    for line in &lines {
        fleet.write_known_hosts(&format!("{line}\n"));
        let ended = fleet.hoist(RUN);
        let status = ended.record("web1").text("status");
        let expected = openssh_logs_in(&sshd, &fleet, &[]);
        assert_eq!(status == "ok", expected, "{line}\n{ended}");
        accepted += usize::from(expected);
    }
    assert!(accepted > 5 && lines.len() - accepted > 5, "{accepted}");
}

#[test]
fn hashed_names_are_known() {
    let (sshd, fleet) = strangers("web[1-3]");
    let key = sshd.host_keys[0].public();
    let line = |n: usize| format!("[127.1.0.{}]:{} {key}\n", n + 1, sshd.port());
    fleet.write_known_hosts(&(1..=3).map(line).collect::<String>());
    let path = fleet.tree().join("home/.ssh/known_hosts");
    must("ssh-keygen", &[&"-q", &"-H", &"-f", &path]);
    assert!(
        fleet.known_hosts().starts_with("|1|"),
        "{}",
        fleet.known_hosts()
    );
    fleet.hoist(RUN).code(0).each_host_once(&names("web[1-3]"));
}

#[test]
fn the_type_that_is_known_is_asked_for() {
    let sshd = Sshd::with().host_keys(&["ed25519", "ecdsa", "rsa"]).start();
    for key in &sshd.host_keys {
        let fleet = Fleet::new()
            .log(&sshd.log())
            .with_identity(&sshd.client_key)
            .ssh_hosts("web1", sshd.port(), &key.public());
        fleet.hoist(RUN).code(0).became("web1", "ok", "");
    }
}

#[test]
fn new_keys_are_accepted_and_remembered_when_told_so() {
    let (sshd, fleet) = strangers("web[1-40]");
    let ended = fleet.hoist("run -o jsonl --host-keys accept-new -- true");
    ended.code(0).each_host_once(&names("web[1-40]"));
    let known = fleet.known_hosts();
    assert_eq!(known.lines().count(), 40, "{known}");
    let key = sshd.host_keys[0].public();
    assert!(known.lines().all(|line| line.ends_with(&key)), "{known}");
    let path = fleet.tree().join("home/.ssh/known_hosts");
    for last in ["2", "41"] {
        let name = format!("[127.1.0.{last}]:{}", sshd.port());
        must("ssh-keygen", &[&"-F", &name, &"-f", &path]);
    }
    fleet.hoist(RUN).code(0);
    assert_eq!(fleet.known_hosts(), known, "nothing is written twice");
}

#[test]
fn keys_are_added_after_a_last_line_without_an_end() {
    let (sshd, fleet) = strangers("web1");
    let other = KeyPair::generate(&fleet.tree().join("other"), "ed25519");
    let line = format!("elsewhere {}", other.public());
    fleet.write_known_hosts(&line);
    fleet
        .hoist("run -o jsonl --host-keys accept-new -- true")
        .code(0);
    let known = fleet.known_hosts();
    assert_eq!(known.lines().count(), 2, "{known}");
    assert!(known.starts_with(&(line + "\n")), "{known}");
    drop(sshd);
}

#[test]
fn a_missing_known_hosts_is_made_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let (sshd, fleet) = strangers("web1");
    let path = fleet.tree().join("home/.ssh/known_hosts");
    fs::remove_file(&path).unwrap();
    fleet
        .hoist("run -o jsonl --host-keys accept-new -- true")
        .code(0);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "{mode:o}");
    drop(sshd);
}

#[test]
fn any_key_will_do_when_told_so_and_none_is_remembered() {
    let (_sshd, fleet) = strangers("web1");
    fleet.hoist("run -o jsonl --host-keys off -- true").code(0);
    assert_eq!(fleet.known_hosts(), "");
}

#[test]
fn the_key_in_the_inventory_is_the_only_one() {
    let (sshd, fleet) = strangers("web1");
    let other = KeyPair::generate(&fleet.tree().join("other"), "ed25519");
    let (right, wrong) = (sshd.host_keys[0].public(), other.public());
    let port = sshd.port();
    let user = user();
    let row = |key: &str| {
        format!("name,address,port,user,host_key\nweb1,127.1.0.2,{port},{user},{key}\n")
    };
    fleet.write_known_hosts(&format!("* {wrong}\n"));
    let fleet = fleet.inventory(&row(&right));
    fleet.hoist(RUN).code(0).became("web1", "ok", "");
    fleet.write_known_hosts(&format!("* {right}\n"));
    let fleet = fleet.inventory(&row(&wrong));
    fleet
        .hoist(RUN)
        .code(3)
        .became("web1", "failed", "host-key-changed");
    fleet
        .hoist("run -o jsonl --host-keys accept-new -- true")
        .code(3);
}

#[test]
fn another_file_can_be_named() {
    let (sshd, fleet) = strangers("web1");
    fleet
        .tree()
        .write("work/known", format!("* {}\n", sshd.host_keys[0].public()));
    fleet
        .hoist("run -o jsonl --known-hosts known -- true")
        .code(0);
}

#[test]
fn somebody_at_a_terminal_is_asked_once_for_all() {
    let (sshd, fleet) = strangers("web[1-3]");
    let mut running = fleet.command("run -o jsonl -- true").start_on_terminal();
    running
        .shows(&sshd.host_keys[0].fingerprint())
        .shows("[y/N]");
    running.type_in("yes\n");
    let ended = running.wait(PATIENCE);
    ended.code(0);
    assert_eq!(ended.out().matches("[y/N]").count(), 1, "{ended}");
    assert_eq!(fleet.known_hosts().lines().count(), 3, "{ended}");
}

#[test]
fn somebody_at_a_terminal_may_say_no() {
    let (sshd, fleet) = strangers("web1");
    // `--yes` answers confirmations, never this.
    let mut running = fleet
        .command("run -o jsonl --yes -- true")
        .start_on_terminal();
    running.shows("[y/N]");
    running.type_in("\n");
    running
        .wait(PATIENCE)
        .code(3)
        .stdout_has("host-key-unknown");
    assert_eq!(fleet.known_hosts(), "");
    no_credential_was_sent(&sshd);
}

/// A server whose ecdsa key an authority vouches for, under these names; its other key is unknown.
fn certified(folder: &std::path::Path, names: &str) -> (Sshd, KeyPair) {
    let authority = KeyPair::generate(&folder.join("authority"), "ed25519");
    let host = KeyPair::generate(&folder.join("host"), "ecdsa");
    let public = host.path.with_extension("pub");
    must(
        "ssh-keygen",
        &[
            &"-q",
            &"-h",
            &"-s",
            &authority.path,
            &"-I",
            &"x",
            &"-n",
            &names,
            &public,
        ],
    );
    let sshd = Sshd::with()
        .line(&format!("HostKey {}", host.path.display()))
        .line(&format!("HostCertificate {}-cert.pub", host.path.display()))
        .start();
    (sshd, authority)
}

#[test]
fn an_authority_vouches_for_hosts_that_nobody_knows() {
    let folder = tempfile::tempdir().unwrap();
    let (sshd, authority) = certified(folder.path(), "web,db");
    let fleet = Fleet::new()
        .strangers("web1", sshd.port())
        .with_identity(&sshd.client_key);
    let run = |alias: &str| fleet.hoist(&format!("run -O HostKeyAlias={alias} -o jsonl -- true"));
    fleet.write_known_hosts(&format!(
        "@cert-authority web,mail {}\n",
        authority.public()
    ));
    run("web").code(0);
    // Not trusted for this name; trusted, but the certificate isn't for it.
    run("db")
        .code(3)
        .became("web1", "failed", "host-key-unknown");
    let ended = run("mail");
    ended.code(3).became("web1", "failed", "host-key-unknown");
    let message = ended.record("web1").text("message");
    assert!(
        message.ends_with("; its certificate is not for `mail`"),
        "{message}"
    );
    let ended = fleet.hoist("explain -O HostKeyAlias=web web1");
    ended.code(0).stdout_has("authority");
    // A revoked authority vouches for nobody.
    let lines = format!(
        "@cert-authority * {0}\n@revoked * {0}\n",
        authority.public()
    );
    fleet.write_known_hosts(&lines);
    // To `ssh`, the certificate itself is revoked.
    let kind = match transport() {
        "openssh" => "host-key-changed",
        _ => "host-key-unknown",
    };
    run("web").code(3).became("web1", "failed", kind);
}

#[test]
fn a_certificate_of_a_stranger_is_worth_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let (sshd, _) = certified(folder.path(), "web");
    let stranger = KeyPair::generate(&folder.path().join("stranger"), "ed25519");
    let fleet = Fleet::new()
        .strangers("web1", sshd.port())
        .with_identity(&sshd.client_key);
    let key = std::fs::read_to_string(folder.path().join("host.pub")).unwrap();
    let lines = format!("@cert-authority web {}\nweb {key}", stranger.public());
    fleet.write_known_hosts(&lines);
    fleet
        .hoist("run -O HostKeyAlias=web -o jsonl -- true")
        .code(0);
}

#[test]
fn a_file_of_revoked_keys_is_read_as_openssh_reads_it() {
    let folder = tempfile::tempdir().unwrap();
    let (sshd, authority) = certified(folder.path(), "web");
    let fleet = Fleet::new()
        .strangers("web1", sshd.port())
        .with_identity(&sshd.client_key);
    let key = std::fs::read_to_string(folder.path().join("host.pub")).unwrap();
    let certificate = std::fs::read_to_string(folder.path().join("host-cert.pub")).unwrap();
    let other = KeyPair::generate(&fleet.tree().join("other"), "ed25519").public();
    let authority = authority.public();
    fleet.write_known_hosts(&format!("@cert-authority * {authority}\n* {key}"));
    let file = fleet.tree().join("revoked");
    let option = format!("RevokedHostKeys={}", file.display());
    let options = ["HostKeyAlias=web".to_owned(), option.clone()];
    let run = |more: &str| {
        let line = format!("run -O HostKeyAlias=web -O '{option}' -o jsonl {more} -- true");
        fleet.hoist(&line)
    };
    let told = |line: usize| Some((line, "host-key-changed"));
    for (text, refused) in [
        (String::new(), None),
        (format!("# {key}\n \t{other}\n"), None),
        (format!("{other}\n\n  {key}"), told(3)),
        (format!("{authority} who vouches\n"), told(1)),
        (certificate, told(1)),
        (format!("web {key}"), Some((1, "host-key-unknown"))),
        (
            format!("{other}\nssh-ed25519 AAAA\n"),
            Some((2, "host-key-unknown")),
        ),
    ] {
        std::fs::write(&file, &text).unwrap();
        let is_in = openssh_logs_in(&sshd, &fleet, &options);
        assert_eq!(is_in, refused.is_none(), "{text}");
        for policy in ["strict", "accept-new", "off"] {
            let ended = run(&format!("--host-keys {policy}"));
            let Some((line, kind)) = refused else {
                ended.code(0);
                continue;
            };
            ended.code(3).became("web1", "failed", kind);
            let message = ended.record("web1").text("message");
            let place = format!("{}:{line}", file.display());
            assert!(message.contains(&place), "{message}");
        }
    }
    let explained = fleet.hoist(&format!("explain -O '{option}' web1"));
    explained.code(0).stdout_has("revoked-keys");
}

#[test]
fn revoked_keys_that_cannot_be_read_refuse_every_host() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web1", &sshd);
    let key = &sshd.host_keys[0].path;
    let list = fleet.tree().join("list");
    must(
        "ssh-keygen",
        &[&"-q", &"-k", &"-f", &list, &key.with_extension("pub")],
    );
    for (file, words) in [
        ("list", "is a binary list, which is not read here"),
        ("none", "no such file or directory"),
    ] {
        let option = format!("RevokedHostKeys={}", fleet.tree().join(file).display());
        assert!(!openssh_logs_in(
            &sshd,
            &fleet,
            std::slice::from_ref(&option)
        ));
        let ended = fleet.hoist(&format!("run -O '{option}' -o jsonl -- true"));
        ended.code(3).became("web1", "failed", "host-key-unknown");
        let message = ended.record("web1").text("message");
        assert!(
            message.contains("cannot tell whether the host's key is revoked"),
            "{message}"
        );
        assert!(message.contains(words), "{message}");
    }
    // One that is pinned in the inventory is no exception.
    let revoked = fleet.tree().write("revoked", sshd.host_keys[0].public());
    let rows = format!(
        "name,address,port,user,host_key\nweb1,127.1.0.2,{},{},{}\n",
        sshd.port(),
        user(),
        sshd.host_keys[0].public()
    );
    let fleet = fleet.inventory(&rows);
    let ended = fleet.hoist(&format!(
        "run -O 'RevokedHostKeys={}' -o jsonl -- true",
        revoked.display()
    ));
    ended.code(3).became("web1", "failed", "host-key-changed");
    no_credential_was_sent(&sshd);
    fleet.hoist(RUN).code(0);
}

// How known_hosts is written is left to `ssh` itself.
over_openssh!(
    an_unknown_key_is_refused_and_nothing_is_sent,
    a_changed_key_is_refused_with_the_line_that_disagrees,
    a_revoked_key_is_refused_whatever_the_policy,
    known_hosts_is_read_as_openssh_reads_it,
    hashed_names_are_known,
    the_type_that_is_known_is_asked_for,
    new_keys_are_accepted_and_remembered_when_told_so,
    any_key_will_do_when_told_so_and_none_is_remembered,
    the_key_in_the_inventory_is_the_only_one,
    another_file_can_be_named,
    somebody_at_a_terminal_is_asked_once_for_all,
    somebody_at_a_terminal_may_say_no,
    an_authority_vouches_for_hosts_that_nobody_knows,
    a_certificate_of_a_stranger_is_worth_its_key,
);
