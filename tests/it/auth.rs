//! Logging in: keys from files, keys from an agent, passwords.

use std::process::Command;

use crate::support::captured::Keep;
use crate::support::ended::Ended;
use crate::support::fleet::{Fleet, over_openssh};
use crate::support::keys::KeyPair;
use crate::support::namespace::{Account, Namespace, in_namespace};
use crate::support::process::{Running, must};
use crate::support::sshd::{self, Configuration, Sshd};
use crate::support::{PATIENCE, installed, names};

const RUN: &str = "run -o jsonl -- true";

/// Hosts of a server whose keys are known, and no identity in place.
fn without_identity(pattern: &str, sshd: &Sshd) -> Fleet {
    let key = sshd.host_keys[0].public();
    Fleet::new()
        .log(&sshd.log())
        .ssh_hosts(pattern, sshd.port(), &key)
}

#[test]
fn a_refused_key_is_told() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web1", &sshd);
    sshd.authorize_nobody();
    let ended = fleet.hoist(RUN);
    ended.code(3).became("web1", "failed", "auth");
    assert!(
        ended.record("web1").text("message").contains("id_ed25519"),
        "{ended}"
    );
}

#[test]
fn no_credential_at_all_is_told() {
    let sshd = Sshd::start();
    without_identity("web1", &sshd)
        .hoist(RUN)
        .code(3)
        .became("web1", "failed", "auth");
}

#[test]
fn keys_of_every_type_and_form_log_in() {
    let sshd = Sshd::start();
    let fleet = without_identity("web1", &sshd);
    for (algorithm, form) in [
        ("ed25519", "RFC4716"),
        ("ecdsa", "RFC4716"),
        ("ecdsa", "PEM"),
        ("ecdsa", "PKCS8"),
        ("rsa", "RFC4716"),
        ("rsa", "PEM"),
        ("rsa", "PKCS8"),
    ] {
        let name = format!("{algorithm}-{form}");
        let key = KeyPair::generate(&fleet.tree().join(&name), algorithm);
        sshd.authorize(&key.public());
        if form != "RFC4716" {
            must(
                "ssh-keygen",
                &[
                    &"-q", &"-p", &"-N", &"", &"-P", &"", &"-m", &form, &"-f", &key.path,
                ],
            );
        }
        let path = key.path.to_str().unwrap();
        let ended = fleet
            .argv(["run", "-o", "jsonl", "--identity", path, "--", "true"])
            .run();
        assert_eq!(ended.record("web1").text("status"), "ok", "{name}\n{ended}");
    }
}

#[test]
fn an_identity_of_the_inventory_is_for_its_host_alone() {
    let sshd = Sshd::start();
    let fleet = without_identity("web[1-2]", &sshd);
    let path = fleet.tree().join("work/own-key");
    fleet.copy_key(&sshd.client_key, "work/own-key");
    let user = crate::support::sshd::user();
    let port = sshd.port();
    let rows = format!(
        "name,address,port,user,identity\nweb1,127.1.0.2,{port},{user},{}\nweb2,127.1.0.3,{port},{user},\n",
        path.display()
    );
    let ended = fleet.inventory(&rows).hoist(RUN);
    ended
        .code(3)
        .became("web1", "ok", "")
        .became("web2", "failed", "auth");
}

#[test]
fn a_missing_identity_that_was_asked_for_is_an_error() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web1", &sshd);
    fleet
        .hoist("run --identity no-such-key -- true")
        .code(2)
        .complains(&["no-such-key"]);
}

/// Starts an agent that holds `key`; it ends when dropped.
fn agent(fleet: &Fleet, key: &KeyPair) -> (Running, std::path::PathBuf) {
    installed("ssh-agent", "openssh-client");
    let socket = fleet.tree().join("agent");
    let mut command = Command::new("ssh-agent");
    command.arg("-D").arg("-a").arg(&socket);
    let agent = Running::start(&mut command, Keep::All, false);
    agent.shows("SSH_AUTH_SOCK");
    let mut add = Command::new("ssh-add");
    add.arg("-q").arg(&key.path).env("SSH_AUTH_SOCK", &socket);
    Running::start(&mut add, Keep::All, false)
        .wait(PATIENCE)
        .code(0);
    (agent, socket)
}

#[test]
fn keys_of_an_agent_log_in_to_many_hosts_at_once() {
    let sshd = Sshd::start();
    let fleet = without_identity("web[1-30]", &sshd);
    for algorithm in ["ed25519", "ecdsa", "rsa"] {
        let key = KeyPair::generate(&fleet.tree().join(algorithm), algorithm);
        sshd.authorize(&key.public());
        let (agent, socket) = agent(&fleet, &key);
        let ended = fleet.command(RUN).env("SSH_AUTH_SOCK", &socket).run();
        ended.code(0).each_host_once(&names("web[1-30]"));
        drop(agent);
        std::fs::remove_file(socket).ok();
    }
}

#[test]
fn an_agent_that_does_not_answer_is_a_warning() {
    let sshd = Sshd::start();
    let fleet = Fleet::new().served("web1", &sshd);
    let ended = fleet
        .command(RUN)
        .env("SSH_AUTH_SOCK", fleet.tree().join("nothing"))
        .run();
    ended.code(0).became("web1", "ok", "");
}

#[test]
fn an_encrypted_key_asks_once_for_all_hosts() {
    let sshd = Sshd::start();
    let fleet = without_identity("web[1-5]", &sshd);
    let key = KeyPair::with_passphrase(&fleet.tree().join("locked"), "ed25519", "open sesame");
    sshd.authorize(&key.public());
    let path = key.path.to_str().unwrap();
    let mut running = fleet
        .argv(["run", "-o", "jsonl", "--identity", path, "--", "true"])
        .start_on_terminal();
    running.shows("locked");
    running.type_in("open sesame\n");
    let ended = running.wait(PATIENCE);
    ended.code(0);
    assert_eq!(ended.out().matches("\"ok\"").count(), 5, "{ended}");
    assert!(!ended.out().contains("sesame"), "{ended}");
}

#[test]
fn nobody_is_asked_without_a_terminal() {
    let sshd = Sshd::start();
    let fleet = without_identity("web1", &sshd);
    let key = KeyPair::with_passphrase(&fleet.tree().join("locked"), "ed25519", "open sesame");
    sshd.authorize(&key.public());
    let path = key.path.to_str().unwrap();
    // setsid: without the terminal that the tests may have been started from.
    let line = ["run", "-o", "jsonl", "--identity", path, "--", "true"];
    let ended = fleet.argv(line).run_detached();
    assert_ne!(
        ended.status.and_then(|status| status.code()),
        Some(0),
        "{ended}"
    );
    let asked = fleet
        .argv(["run", "-o", "jsonl", "--ask-pass", "--", "true"])
        .run_detached();
    asked.code(2).complains(&[]);
}

/// A server that takes the password of an account, and a fleet of its hosts.
fn with_password(namespace: &Namespace, configuration: Configuration) -> (Sshd, Fleet, Account) {
    let account = namespace.account_with_password("max", "secret word");
    let sshd = configuration.start();
    let key = sshd.host_keys[0].public();
    let mut fleet = Fleet::new().log(&sshd.log());
    for name in names("web[1-5]") {
        fleet = fleet.ssh_host(&name, sshd.port(), &account.name, &key);
    }
    (sshd, fleet, account)
}

fn asks_for_the_password_once(fleet: &Fleet) {
    let mut running = fleet
        .command("run -o jsonl --ask-pass -- id -un")
        .start_on_terminal();
    running.shows("assword");
    running.type_in("secret word\n");
    let ended = running.wait(PATIENCE);
    ended.code(0);
    assert_eq!(ended.out().matches("max\\n").count(), 5, "{ended}");
    assert!(!ended.out().contains("secret"), "{ended}");
}

#[test]
fn a_password_is_asked_for_once() {
    in_namespace!(|namespace: &Namespace| {
        let configuration = Sshd::with().line("PasswordAuthentication yes");
        let (_sshd, fleet, _) = with_password(namespace, configuration);
        asks_for_the_password_once(&fleet);
    });
}

#[test]
fn a_password_answers_keyboard_interactive_too() {
    in_namespace!(|namespace: &Namespace| {
        let rules = "auth required pam_unix.so\naccount required pam_permit.so\nsession required pam_permit.so\n";
        namespace.write_etc("pam.d/sshd", rules);
        let configuration = Sshd::with()
            .line("UsePAM yes")
            .line("KbdInteractiveAuthentication yes");
        let (_sshd, fleet, _) = with_password(namespace, configuration);
        asks_for_the_password_once(&fleet);
    });
}

#[test]
fn a_wrong_password_is_told_and_shown_nowhere() {
    in_namespace!(|namespace: &Namespace| {
        let configuration = Sshd::with().line("PasswordAuthentication yes");
        let (_sshd, fleet, _) = with_password(namespace, configuration);
        let mut running = fleet
            .command("run -o jsonl -w web1 --ask-pass -- id")
            .start_on_terminal();
        running.shows("assword");
        running.type_in("wrong guess\n");
        let ended = running.wait(PATIENCE);
        ended.code(3).stdout_has("\"auth\"");
        assert!(!ended.out().contains("guess"), "{ended}");
    });
}

#[test]
fn a_password_is_not_sent_to_a_key_nobody_knows() {
    in_namespace!(|namespace: &Namespace| {
        let configuration = Sshd::with().line("PasswordAuthentication yes");
        let (sshd, fleet, _) = with_password(namespace, configuration);
        fleet.write_known_hosts("");
        let line = "run -o jsonl -w web1 --host-keys off --ask-pass -- id";
        let mut running = fleet.command(line).start_on_terminal();
        running.shows("assword");
        running.type_in("secret word\n");
        running.wait(PATIENCE).code(3).stdout_has("\"auth\"");
        let log = sshd.log().to_string();
        assert!(!log.contains("password for"), "{log}");
    });
}

#[test]
fn certificates_log_in_where_only_their_authority_is_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let authority = KeyPair::generate(&folder.path().join("authority"), "ed25519");
    let trusted = format!(
        "TrustedUserCAKeys {}",
        authority.path.with_extension("pub").display()
    );
    let sshd = Sshd::with().line(&trusted).start();
    let user = sshd::user();
    for algorithm in ["ed25519", "ecdsa", "rsa"] {
        let fleet = without_identity("web1", &sshd);
        let key = KeyPair::generate(&fleet.tree().join("home/.ssh/own"), algorithm);
        let public = key.path.with_extension("pub");
        let sign: [&dyn AsRef<std::ffi::OsStr>; 8] = [
            &"-q",
            &"-s",
            &authority.path,
            &"-I",
            &"me",
            &"-n",
            &user,
            &public,
        ];
        must("ssh-keygen", &sign);
        let path = key.path.to_str().unwrap();
        // Beside the key it is found by itself.
        let ended = fleet
            .argv(["run", "-o", "jsonl", "--identity", path, "--", "true"])
            .run();
        assert_eq!(
            ended.record("web1").text("status"),
            "ok",
            "{algorithm}\n{ended}"
        );
        let beside = format!("{path}-cert.pub");
        let elsewhere = fleet.tree().join("elsewhere.pub");
        std::fs::rename(&beside, &elsewhere).unwrap();
        fleet
            .argv(["run", "-o", "jsonl", "--identity", path, "--", "true"])
            .run()
            .code(3);
        let option = format!("CertificateFile={}", elsewhere.display());
        let ended = fleet
            .argv([
                "run",
                "-o",
                "jsonl",
                "-O",
                &option,
                "--identity",
                path,
                "--",
                "true",
            ])
            .run();
        assert_eq!(
            ended.record("web1").text("status"),
            "ok",
            "{algorithm}\n{ended}"
        );
    }
}

#[test]
fn a_password_comes_from_a_file_that_nobody_else_reads() {
    in_namespace!(|namespace: &Namespace| {
        let configuration = Sshd::with().line("PasswordAuthentication yes");
        let (_sshd, fleet, _) = with_password(namespace, configuration);
        let file = fleet
            .tree()
            .write_with_mode("work/secret", "secret word\nmore\n", 0o600);
        let line = "run -o jsonl -- id -un";
        let ended = fleet
            .command(line)
            .env("HOIST_PASSWORD_FILE", "secret")
            .run();
        ended.code(0);
        assert_eq!(ended.out().matches("max\\n").count(), 5, "{ended}");
        // From a descriptor.
        let script = "exec 3<secret; exec \"$@\"";
        let ended = fleet
            .command("run -o jsonl --password-file /dev/fd/3 -- id -un")
            .run_through(script);
        ended.code(0);
        crate::support::tree::set_mode(&file, 0o640);
        let refused = fleet.hoist("run --password-file secret -- true");
        refused
            .code(2)
            .complains(&["secret is open to others (mode 0640)", "chmod 600"]);
        fleet.tree().write_with_mode("work/empty", "\nx\n", 0o600);
        fleet
            .hoist("run --password-file empty -- true")
            .code(2)
            .complains(&["no password"]);
        fleet
            .hoist("run --password-file none -- true")
            .code(2)
            .complains(&["none"]);
    });
}

/// What PAM does for an account with a password.
const PAM: &str = "\
auth required pam_unix.so
account required pam_unix.so
password required pam_unix.so
session required pam_permit.so
";

#[track_caller]
fn is_kept_out(ended: &Ended, host: &str, words: &[&str]) {
    ended.became(host, "failed", "auth");
    let message = ended.record(host).text("message");
    for words in words {
        assert!(message.contains(words), "{message}\n{ended}");
    }
}

#[test]
fn steps_are_taken_one_after_the_other() {
    in_namespace!(|namespace: &Namespace| {
        namespace.write_etc("pam.d/sshd", PAM);
        let mut configuration = Sshd::with()
            .own_homes()
            .line("UsePAM yes")
            .line("PasswordAuthentication yes")
            .line("KbdInteractiveAuthentication yes");
        let all = [
            "publickey,password",
            "password,publickey",
            "publickey,keyboard-interactive",
            "keyboard-interactive,password",
        ];
        for (number, steps) in (2..).zip(all) {
            configuration = configuration
                .last_line(&format!("Match LocalAddress 127.1.0.{number}"))
                .last_line(&format!("AuthenticationMethods {steps}"));
        }
        let (sshd, fleet, account) = with_password(namespace, configuration);
        namespace.authorize(&account.name, &sshd.client_key.public());
        let fleet = fleet.with_identity(&sshd.client_key);
        let ended = fleet.hoist(RUN);
        let accepted = "cannot log in as max: accepted: key ";
        for (host, next) in [("web1", "password"), ("web3", "keyboard-interactive")] {
            let next = format!("id_ed25519; the host asks besides for {next}; --ask-pass");
            is_kept_out(&ended, host, &[accepted, &next]);
        }
        is_kept_out(
            &ended,
            "web2",
            &["refused: key ", "the host takes password"],
        );
        let secret = "secret word\n";
        fleet.tree().write_with_mode("work/secret", secret, 0o600);
        let ended = fleet.hoist("run -o jsonl --password-file secret -- true");
        for host in ["web1", "web2", "web3", "web5"] {
            ended.became(host, "ok", "");
        }
        // The password is sent once.
        let accepted = "accepted: keyboard-interactive (`Password:`); ";
        let next = "the host asks besides for password";
        is_kept_out(&ended, "web4", &[accepted, next]);
    });
}

#[test]
fn a_password_that_has_to_be_changed_is_told() {
    in_namespace!(|namespace: &Namespace| {
        namespace.write_etc("pam.d/sshd", PAM);
        let configuration = Sshd::with()
            .line("UsePAM yes")
            .line("KbdInteractiveAuthentication yes");
        let (sshd, fleet, _) = with_password(namespace, configuration);
        let shadow = std::fs::read_to_string("/etc/shadow").unwrap();
        std::fs::write("/etc/shadow", shadow.replace(":19000:", ":0:")).unwrap();
        let secret = "secret word\n";
        fleet.tree().write_with_mode("work/secret", secret, 0o600);
        let ended = fleet.hoist("run -w web1 -o jsonl --password-file secret -- true");
        let asked = "after the password the host asks for `Current password:`; ";
        let said = "the host says `You are required to change your password";
        is_kept_out(&ended, "web1", &[asked, said]);
        let log = sshd.log().to_string();
        assert!(!log.contains("Failed keyboard-interactive"), "{log}");
    });
}

over_openssh!(
    a_refused_key_is_told,
    no_credential_at_all_is_told,
    keys_of_every_type_and_form_log_in,
    an_identity_of_the_inventory_is_for_its_host_alone,
    a_missing_identity_that_was_asked_for_is_an_error,
    keys_of_an_agent_log_in_to_many_hosts_at_once,
    an_agent_that_does_not_answer_is_a_warning,
    an_encrypted_key_asks_once_for_all_hosts,
    nobody_is_asked_without_a_terminal,
    a_password_is_asked_for_once,
    a_password_answers_keyboard_interactive_too,
    a_wrong_password_is_told_and_shown_nowhere,
    a_password_is_not_sent_to_a_key_nobody_knows,
    certificates_log_in_where_only_their_authority_is_trusted,
    a_password_comes_from_a_file_that_nobody_else_reads,
);
