//! The system's `ssh` as a transport: what is only its own. What every transport does is tested over
//! both, in the modules that end with `over_openssh!`.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use hoist::fleet::Fleet as Hosts;
use hoist::host::{Address, Endpoint, HostKeyPolicy, HostName, Port, SshSettings, TransportName};
use hoist::remote;
use hoist::transport::openssh::{OpenSsh, OpenSshOptions};
use hoist::transport::{End, Process, Progress, Transport};
use rustix::process::Signal;

use crate::support::captured::Keep;
use crate::support::fleet::{Fleet, over};
use crate::support::listener::SilentPort;
use crate::support::namespace::{Namespace, in_namespace};
use crate::support::process::{Running, must};
use crate::support::sshd::{self, Sshd};
use crate::support::tree::{is_gone, processes_naming};
use crate::support::{PATIENCE, installed, names};

/// Hosts of a server, reached by the system's `ssh`.
fn served(pattern: &str, sshd: &Sshd) -> Fleet {
    over("openssh", || ());
    Fleet::new().served(pattern, sshd)
}

/// The user's configuration, which the fleet otherwise does without.
fn configured(fleet: &Fleet, text: &str) -> PathBuf {
    fleet.tree().write("home/.ssh/config", text)
}

#[test]
fn it_is_the_systems_ssh_that_connects_once_for_each_host() {
    let sshd = Sshd::with().line("LogLevel DEBUG1").start();
    let fleet = served("web[1-2]", &sshd);
    fleet.hoist("run -o jsonl -- true").code(0);
    let log = sshd.log().to_string();
    assert!(log.contains("remote software version OpenSSH_"), "{log}");
    assert!(!log.contains("remote software version libssh2"), "{log}");
    assert_eq!(log.matches("Accepted publickey").count(), 2, "{log}");
}

#[test]
fn a_status_of_255_is_told_from_what_ssh_itself_means_by_it() {
    let sshd = Sshd::start();
    let fleet = served("web[1-2]", &sshd);
    let cut = sshd.cuts_the_session();
    let fleet = fleet.exits("web1", 255).acts("web2", &cut);
    let ended = fleet.hoist(&format!("run -o jsonl --timeout 60s -- {}", fleet.act()));
    ended.code(3).became("web1", "failed", "exit");
    assert_eq!(ended.record("web1").number("exit_code"), 255, "{ended}");
    ended.became("web2", "failed", "lost");
    let message = ended.record("web2").text("message");
    assert!(
        message.starts_with("the connection broke while the command ran: "),
        "{message}"
    );
}

#[test]
fn one_session_for_each_connection_is_enough_for_a_command() {
    let sshd = Sshd::with().line("MaxSessions 1").start();
    let fleet = served("web[1-2]", &sshd);
    let staying = fleet.staying();
    let fleet = fleet.acts("web1", &staying).says("web2", "fine");
    let ended = fleet.hoist(&format!("run -o jsonl --timeout 1s -- {}", fleet.act()));
    ended.code(3).became("web2", "ok", "");
    // There is no second one to end it from.
    ended.became("web1", "failed", "timeout");
    assert_eq!(
        ended.record("web1").text("killed"),
        "unconfirmed",
        "{ended}"
    );
}

/// Starts a run that stays on two hosts, with its private folder where the test can see it.
fn staying(fleet: &Fleet) -> Running {
    let ready = fleet.announcements();
    let line = format!("run -o stream --grace 500ms -- {}", fleet.act());
    let running = fleet.command(&line).start();
    ready.shows("web1 is ready").shows("web2 is ready");
    running
}

/// Returns the processes of runs, by the private folder that each of them is told of.
fn of_runs(fleet: &Fleet) -> Vec<u32> {
    processes_naming(&fleet.tree().join("tmp/hoist-").display().to_string())
}

/// Two hosts that stay.
fn staying_fleet(sshd: &Sshd) -> Fleet {
    let fleet = served("web[1-2]", sshd);
    let line = fleet.staying();
    let fleet = fleet.acts("web1", &line);
    fleet.acts("web2", &line)
}

#[test]
fn nothing_is_left_when_it_is_interrupted() {
    let sshd = Sshd::start();
    let fleet = staying_fleet(&sshd);
    let running = staying(&fleet);
    assert!(of_runs(&fleet).len() >= 5, "two for each host, and one");
    running.signal(Signal::INT);
    running.wait(PATIENCE).code(130);
    fleet.nobody_stays();
    assert_eq!(of_runs(&fleet), [0; 0]);
    assert!(fleet.tree().list("tmp").is_empty());
}

#[test]
fn nothing_is_left_when_hoist_is_killed() {
    let sshd = Sshd::start();
    let fleet = staying_fleet(&sshd);
    let running = staying(&fleet);
    let pids = of_runs(&fleet);
    assert!(pids.len() >= 5, "two for each host, and one");
    running.signal(Signal::KILL);
    running.wait(PATIENCE);
    for pid in pids {
        assert!(is_gone(pid, PATIENCE), "process {pid} is still there");
    }
    assert!(fleet.tree().list("tmp").is_empty());
}

#[test]
fn what_leads_to_hosts_ends_with_hoist_too() {
    let silent = SilentPort::open();
    let sshd = Sshd::start();
    let fleet = served("web1", &sshd);
    let jump = format!("{}@127.0.0.1:{}", sshd::user(), silent.port());
    let line = format!("run -J {jump} --connect-timeout 5m -- true");
    let running = fleet.command(&line).start();
    let _visitor = silent.visitor();
    let pids = of_runs(&fleet);
    assert!(pids.len() >= 3, "two on the way, and one");
    running.signal(Signal::KILL);
    running.wait(PATIENCE);
    for pid in pids {
        assert!(is_gone(pid, PATIENCE), "process {pid} is still there");
    }
    assert!(fleet.tree().list("tmp").is_empty());
}

#[test]
fn a_connection_of_the_users_own_is_used_and_left_alone() {
    let sshd = Sshd::start();
    let fleet = served("web1", &sshd);
    let fleet = fleet.acts("web1", "echo out; echo err >&2; exit 255");
    let socket = fleet.tree().join("own-%p");
    let text = format!("ControlPath {}\nControlMaster auto\n", socket.display());
    let config = configured(&fleet, &text);
    let home = fleet.tree().join("home/.ssh");
    let mut ssh = Command::new(installed("ssh", "openssh-client"));
    ssh.arg("-F")
        .arg(&config)
        .args(["-v", "-N", "-M", "-l", &sshd::user()]);
    ssh.arg("-i").arg(home.join("id_ed25519"));
    ssh.args(["-p", &sshd.port().to_string()]);
    let known = format!("UserKnownHostsFile={}", home.join("known_hosts").display());
    ssh.args(["-o", &known, "127.1.0.2"]);
    let own = Running::start(&mut ssh, Keep::All, false);
    own.warns("Entering interactive session");
    let run = |line: &str| fleet.command(line).env("HOIST_SSH_CONFIG", &config).run();
    for _ in 0..2 {
        let ended = run(&format!("run -o jsonl -- {}", fleet.act()));
        ended.code(1).became("web1", "failed", "exit");
        let record = ended.record("web1");
        assert_eq!(record.number("exit_code"), 255, "{ended}");
        assert_eq!(record.text("stdout"), "out\n", "{ended}");
        assert_eq!(record.text("stderr"), "err\n", "{ended}");
    }
    let explained = run("explain web1");
    explained
        .code(0)
        .stdout_has("control-path")
        .stdout_has("/own-");
    let log = sshd.log().to_string();
    assert_eq!(log.matches("Accepted publickey").count(), 1, "{log}");
    own.signal(Signal::TERM);
    // Where nobody holds one, hoist makes its own.
    own.wait(PATIENCE);
    run(&format!("run -o jsonl -- {}", fleet.act())).code(1);
    let log = sshd.log().to_string();
    assert_eq!(log.matches("Accepted publickey").count(), 2, "{log}");
}

#[test]
fn no_password_is_in_arguments_or_environments() {
    in_namespace!(|namespace: &Namespace| {
        let account = namespace.account_with_password("max", "secret word");
        let sshd = Sshd::with().line("PasswordAuthentication yes").start();
        over("openssh", || ());
        let key = sshd.host_keys[0].public();
        let fleet = Fleet::new().log(&sshd.log());
        let fleet = fleet.ssh_host("web1", sshd.port(), &account.name, &key);
        fleet
            .tree()
            .write_with_mode("work/secret", "secret word\n", 0o600);
        let line = "run -o stream --password-file secret -- sh -c 'echo ready; exec sleep 300'";
        let running = fleet.command(line).start();
        running.shows("ready");
        assert!(!of_runs(&fleet).is_empty());
        assert_eq!(processes_naming("secret word"), [0; 0]);
        running.signal(Signal::TERM);
        let ended = running.wait(PATIENCE);
        ended.code(143).stderr_lacks("secret word");
        assert!(fleet.tree().list("tmp").is_empty());
    });
}

#[test]
fn questions_are_put_for_ssh_alone() {
    let fleet = Fleet::new();
    let program = fleet.tree().join("hoist-ask-0");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_hoist"), &program).unwrap();
    let line = format!("{} --version", program.display());
    // Nobody is there to answer.
    let asked = fleet.program("/bin/sh", ["-c", &line]).run();
    asked.code(1).no_stdout().no_stderr();
}

#[test]
fn a_name_is_never_taken_for_an_option() {
    let fleet = Fleet::new();
    let evil = fleet.tree().join("evil");
    let name = format!("-oProxyCommand=touch${{IFS}}{}", evil.display());
    let refused = fleet
        .argv(["run", "--transport", "openssh", "-w", &name, "--", "true"])
        .env("HOIST_INVENTORY", "")
        .run();
    refused.code(2);
    let fleet = fleet.inventory(&format!("name,transport\n{name},openssh\n"));
    fleet.hoist("run -- true").code(2);
    assert!(!evil.exists());
}

#[test]
fn what_only_ssh_can_do_is_done() {
    let sshd = Sshd::with()
        .line("KexAlgorithms sntrup761x25519-sha512@openssh.com")
        .start();
    let fleet = served("web1", &sshd);
    let built_in = fleet.hoist("run --transport ssh -o jsonl -- true");
    built_in.code(3).became("web1", "failed", "handshake");
    let message = built_in.record("web1").text("message");
    assert!(message.contains("--transport openssh"), "{message}");
    fleet.hoist("run -o jsonl -- true").code(0);
}

#[test]
fn keywords_that_only_ssh_honours_are_no_longer_in_vain() {
    let sshd = Sshd::start();
    let fleet = served("web1", &sshd);
    fleet.write_known_hosts("");
    let key = sshd.host_keys[0].public();
    let text = format!("KnownHostsCommand /bin/echo * {key}\nLocalForward 1 127.0.0.1:1\n");
    let config = configured(&fleet, &text);
    let run = |line: &str| fleet.command(line).env("HOIST_SSH_CONFIG", &config).run();
    let ended = run("run --transport ssh -o jsonl -- true");
    ended
        .code(3)
        .stderr_has("without effect here: KnownHostsCommand (")
        .stderr_has("--transport openssh");
    let ended = run("run -o jsonl -- true");
    ended
        .code(0)
        .stderr_lacks("KnownHostsCommand")
        .stderr_has("without effect here: LocalForward (");
    let explained = run("explain web1");
    explained.code(0).stdout_has("LocalForward");
    assert!(
        !explained.out().contains("KnownHostsCommand"),
        "{explained}"
    );
}

#[test]
fn without_the_program_nothing_is_begun() {
    let sshd = Sshd::start();
    let fleet = served("web1", &sshd);
    let ended = fleet
        .command("run -- true")
        .env("PATH", fleet.tree().join("bin"))
        .run();
    ended.code(2).complains(&["cannot start ssh"]);
    ended.stderr_has("--transport ssh");
    let log = sshd.log().to_string();
    assert!(!log.contains("Accepted"), "{log}");
}

#[test]
fn so_many_at_once_as_the_machine_can_bear() {
    let sshd = Sshd::start();
    let fleet = served("web[001-100]", &sshd);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let most = format!("the fan-out is {}, not 100", 8 * cores);
    let line = "run -w web001 -f 100 -o jsonl -- true";
    fleet.hoist(line).code(0).no_stderr();
    let line = "run -f 100 -o none --host-keys strict -- true";
    let ended = fleet.command(line).patience(Duration::from_mins(3)).run();
    ended.code(0).complains(&[&most, "for each core"]);
}

#[test]
fn the_transport_is_told_with_its_source() {
    let sshd = Sshd::start();
    let fleet = served("web1", &sshd);
    let ended = fleet.hoist("explain web1");
    ended.code(0).stdout_has("openssh");
    let line = ended.out();
    let line = line.lines().find(|line| line.starts_with("transport"));
    let words: Vec<&str> = line.unwrap().split_whitespace().collect();
    assert_eq!(words, ["transport", "openssh", "the", "inventory"]);
    let ended = fleet.hoist("hosts --resolve -o json --transport ssh");
    ended.code(0).stdout_has("\"transport\":\"ssh\"");
    // What failed can be tried again in the same way.
    sshd.authorize_nobody();
    fleet.hoist("run --failed-to again -o none -- true").code(3);
    let again = String::from_utf8(fleet.tree().read("work/again")).unwrap();
    assert!(again.contains("transport=openssh"), "{again}");
}

#[test]
fn a_jump_host_that_refuses_is_named() {
    let (hosts, bastion) = (Sshd::start(), Sshd::start());
    let fleet = served("web1", &hosts);
    let known = fleet.known_hosts();
    let key = bastion.host_keys[0].public();
    fleet.write_known_hosts(&format!("{known}[127.0.0.1]:{} {key}\n", bastion.port()));
    let jump = format!("{}@127.0.0.1:{}", sshd::user(), bastion.port());
    let ended = fleet.hoist(&format!("run -J {jump} -o jsonl -- true"));
    ended.code(3).became("web1", "failed", "auth");
    let message = ended.record("web1").text("message");
    assert!(
        message.starts_with("jump host 127.0.0.1: cannot log in as"),
        "{message}"
    );
}

#[test]
fn what_leads_to_a_host_says_why_it_does_not() {
    let sshd = Sshd::start();
    let fleet = served("web1", &sshd);
    let option = "ProxyCommand=sh -c 'echo no way to %h >&2; echo SSH-1.5-x; cat'";
    let ended = fleet
        .argv(["run", "-o", "jsonl", "-O", option, "--", "true"])
        .run();
    ended.code(3).became("web1", "failed", "handshake");
    let message = ended.record("web1").text("message");
    assert!(
        message.ends_with("ProxyCommand said: no way to 127.1.0.2"),
        "{message}"
    );
}

#[test]
fn keys_that_a_person_accepts_are_told_to_ssh_and_remembered() {
    over("openssh", || ());
    let sshd = Sshd::start();
    let fleet = Fleet::new()
        .log(&sshd.log())
        .with_identity(&sshd.client_key)
        .strangers("web[1-3]", sshd.port());
    let mut running = fleet.command("run -o jsonl -- true").start_on_terminal();
    running
        .shows(&sshd.host_keys[0].fingerprint())
        .shows("[y/N]");
    running.type_in("yes\n");
    running.wait(PATIENCE).code(0);
    assert_eq!(fleet.known_hosts().lines().count(), 3);
    for name in names("web[1-3]") {
        fleet.hoist(&format!("run -w {name} -- true")).code(0);
    }
    let known = fleet.tree().join("home/.ssh/known_hosts");
    let name = format!("[127.1.0.2]:{}", sshd.port());
    must("ssh-keygen", &[&"-F", &name, &"-f", &known]);
}

/// A host of a server as a program that embeds hoist has it, and the way there. `ssh` is told all of
/// it, and reads no configuration.
fn embedded(sshd: &Sshd, folder: &Path) -> (Endpoint, OpenSsh) {
    let known_hosts = folder.join("known hosts");
    std::fs::write(&known_hosts, format!("* {}\n", sshd.host_keys[0].public())).unwrap();
    let settings = SshSettings {
        identities: vec![sshd.client_key.path.clone()],
        is_identities_only: true,
        known_hosts: vec![known_hosts],
        policy: HostKeyPolicy::Strict,
        ..SshSettings::default()
    };
    let endpoint = Endpoint {
        name: HostName::parse("no-such-name.invalid").unwrap(),
        transport: TransportName::OpenSsh,
        address: Address::parse("127.0.0.9").unwrap(),
        port: Port::new(sshd.port()).unwrap(),
        user: Some(sshd::user().parse().unwrap()),
        ssh: settings.into(),
        host_key: None,
    };
    let options = OpenSshOptions {
        program: installed("ssh", "openssh-client"),
        base: folder.to_owned(),
        ..OpenSshOptions::default()
    };
    (endpoint, OpenSsh::new(options).unwrap())
}

fn exec(words: &[&str]) -> remote::Exec {
    let words = words.iter().map(Into::into).collect();
    remote::Exec::new(remote::Command::Argv(words))
}

#[test]
fn a_program_that_embeds_hoist_needs_no_configuration() {
    let sshd = Sshd::start();
    let folder = tempfile::tempdir().unwrap();
    let (endpoint, openssh) = embedded(&sshd, folder.path());
    let hosts = Hosts::new(vec![endpoint], openssh);
    let results = hosts.run(exec(&["echo", "a  b"])).unwrap();
    assert_eq!(results[0].outcome.message, "");
    assert_eq!(results[0].stdout, b"a  b\n");
    assert_eq!(results[0].outcome.address, "127.0.0.9");
    drop(hosts);
    // Only the known hosts.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

/// Follows a command to its end, with a signal once it has written something.
async fn follow(mut process: Box<dyn Process>, signal: Option<remote::Signal>) -> (Vec<u8>, End) {
    let (mut all, mut buffer) = (Vec::new(), Vec::new());
    loop {
        match process.next(&mut buffer).await {
            Progress::Output(_) => {
                all.append(&mut buffer);
                if let Some(signal) = signal {
                    process.signal(signal).await.unwrap();
                }
            }
            Progress::Ended(end) => return (all, end),
        }
    }
}

#[test]
fn steps_share_one_connection_and_a_signal_that_hoist_sent_has_its_name() {
    let sshd = Sshd::start();
    let folder = tempfile::tempdir().unwrap();
    let (endpoint, openssh) = embedded(&sshd, folder.path());
    let exited = |status| End::Exited {
        status,
        is_held: false,
    };
    async_io::block_on(async {
        let mut session = openssh.connect(&endpoint, &Cell::default()).await.unwrap();
        for code in 0..3 {
            let exec = exec(&["sh", "-c", &format!("echo {code}; exit {code}")]);
            let process = session.spawn(&exec).await.unwrap();
            let (output, end) = follow(process, None).await;
            assert_eq!(output, format!("{code}\n").into_bytes());
            assert_eq!(end, exited(remote::ExitStatus::Code(code)));
        }
        let exec = exec(&["sh", "-c", "echo ready; exec sleep 300"]);
        let process = session.spawn(&exec).await.unwrap();
        let (output, end) = follow(process, Some(remote::Signal::Term)).await;
        assert_eq!(output, b"ready\n");
        assert_eq!(end, exited(remote::ExitStatus::Signal("TERM".to_owned())));
        session.close().await;
    });
    let log = sshd.log().to_string();
    assert_eq!(log.matches("Accepted publickey").count(), 1, "{log}");
}
