//! Hosts that are reached through others: jump hosts and `ProxyCommand`.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::fleet::{Fleet, over_openssh, transport};
use crate::support::listener::DeadPort;
use crate::support::sshd::{self, Sshd};
use crate::support::tree::{descendants, is_gone, kill};
use crate::support::{PATIENCE, installed, names};

/// Hosts of one server, and a bastion before them that is a server of its own.
struct Site {
    hosts: Sshd,
    bastion: Sshd,
    fleet: Fleet,
}

impl Site {
    /// The bastion is as sshd comes, with these lines besides. It lets in the key of the hosts.
    fn with(pattern: &str, lines: &[&str]) -> Self {
        let hosts = Sshd::start();
        let mut bastion = Sshd::with()
            .line("MaxStartups 10:30:100")
            .line("MaxSessions 10");
        for line in lines {
            bastion = bastion.line(line);
        }
        let bastion = bastion.start();
        bastion.authorize(&hosts.client_key.public());
        let fleet = Fleet::new().served(pattern, &hosts).log(&bastion.log());
        let site = Self {
            hosts,
            bastion,
            fleet,
        };
        site.with_known_bastion()
    }

    fn with_known_bastion(self) -> Self {
        let known = self.fleet.known_hosts();
        let key = self.bastion.host_keys[0].public();
        let line = format!("[127.0.0.1]:{} {key}\n", self.bastion.port());
        self.fleet.write_known_hosts(&(known + &line));
        self
    }

    /// Adds one that stands between two others in a run of one at a time: it tells that it is ready,
    /// and ends when there is a file `go`.
    fn with_a_pause_before(self, last: &str) -> Self {
        let tree = self.fleet.tree().path().display();
        let act = format!(
            "echo ready > {tree}/announcements; while [ ! -e {tree}/go ]; do sleep 0.05; done"
        );
        let fleet = self.fleet.hosts("pause").acts("pause", &act);
        let fleet = fleet.served(last, &self.hosts);
        Self { fleet, ..self }.with_known_bastion()
    }

    /// Returns the processes that serve the bastion's connections.
    fn sessions(&self) -> Vec<u32> {
        descendants(self.bastion.pid())
    }

    /// Returns the bastion as `-J` names it.
    fn jump(&self) -> String {
        format!("{}@127.0.0.1:{}", sshd::user(), self.bastion.port())
    }

    /// Returns how many sessions of the bastion that many hosts take: `ssh` makes one for each.
    #[expect(clippy::unused_self, reason = "a question about the site")]
    fn logins_for(&self, hosts: usize) -> usize {
        if transport() == "openssh" { hosts } else { 1 }
    }

    /// Returns how often somebody logged in to the bastion.
    fn logins(&self) -> usize {
        let log = self.bastion.log().to_string();
        log.matches("Accepted publickey").count()
    }
}

/// The user's configuration, without the machine's.
fn config(fleet: &Fleet) -> PathBuf {
    fleet.tree().join("home/.ssh/config")
}

#[test]
fn many_hosts_share_a_few_sessions_of_a_bastion_as_sshd_comes() {
    let site = Site::with("web[001-200]", &[]);
    let line = format!("run -J {} -o jsonl -- echo hello", site.jump());
    let ended = site
        .fleet
        .command(&line)
        .patience(Duration::from_mins(2))
        .run();
    ended.code(0).each_host_once(&names("web[001-200]"));
    for record in ended.records() {
        assert_eq!(record.bytes("stdout"), b"hello\n", "{ended}");
    }
    let logins = site.logins();
    assert!((1..=16).contains(&logins), "{logins} logins\n{ended}");
}

#[test]
fn what_goes_through_a_bastion_is_exact_and_whole() {
    let site = Site::with("web[1-3]", &[]);
    let line = format!(
        "run -J {} -o jsonl -- sh -c 'head -c 3000000 /dev/zero | tr \"\\0\" x; echo end >&2; exit 3'",
        site.jump()
    );
    let ended = site
        .fleet
        .command(&line)
        .patience(Duration::from_mins(1))
        .run();
    ended.code(1);
    for record in ended.records() {
        assert_eq!(
            record.bytes("stdout").len(),
            3_000_000,
            "{}",
            record.text("message")
        );
        assert_eq!(record.bytes("stderr"), b"end\n");
        assert_eq!(record.number("exit_code"), 3);
    }
}

#[test]
fn jumps_follow_one_another_each_by_its_own_rules() {
    let site = Site::with("web[1-5]", &[]);
    let second = Sshd::start();
    second.authorize(
        &std::fs::read_to_string(site.fleet.tree().join("home/.ssh/id_ed25519.pub")).unwrap(),
    );
    let key = second.host_keys[0].public();
    let known = site.fleet.known_hosts();
    // The first jump host knows nothing of the second one's key: it is checked here.
    site.fleet
        .write_known_hosts(&format!("{known}second {key}\n"));
    let (user, port) = (sshd::user(), second.port());
    site.fleet.tree().write(
        "home/.ssh/config",
        format!(
            "Host second\n HostName 127.0.0.2\n Port {port}\n User {user}\n HostKeyAlias second\n"
        ),
    );
    let line = format!("run -J {},second -o jsonl -- true", site.jump());
    let ended = site
        .fleet
        .command(&line)
        .env("HOIST_SSH_CONFIG", config(&site.fleet))
        .run();
    ended.code(0).each_host_once(&names("web[1-5]"));
    assert_eq!(site.logins(), site.logins_for(5), "{ended}");
    assert!(
        second.log().to_string().contains("Accepted publickey"),
        "{ended}"
    );

    // The same, written down: the second one is reached through the first one.
    let first = site.jump();
    site.fleet.tree().write(
        "home/.ssh/config",
        format!(
            "Host second\n HostName 127.0.0.2\n Port {port}\n User {user}\n HostKeyAlias second\n ProxyJump {first}\n\
             Host web*\n ProxyJump second\n"
        ),
    );
    let ended = site
        .fleet
        .command("run -o jsonl -- true")
        .env("HOIST_SSH_CONFIG", config(&site.fleet))
        .run();
    ended.code(0).each_host_once(&names("web[1-5]"));
    assert_eq!(site.logins(), 2 * site.logins_for(5), "{ended}");
}

#[test]
fn a_jump_host_is_a_row_of_the_inventory_where_there_is_one() {
    let site = Site::with("web[1-2]", &[]);
    let (user, port) = (sshd::user(), site.bastion.port());
    let rows = String::from_utf8(site.fleet.tree().read("work/fleet.csv")).unwrap();
    let mut lines = rows.lines();
    let mut new = format!("{},jump\n", lines.next().unwrap());
    for line in lines {
        writeln!(new, "{line},bastion").unwrap();
    }
    writeln!(new, "bastion,ssh,127.0.0.1,{port},{user},,,none").unwrap();
    let fleet = site.fleet.inventory(&new);
    let ended = fleet.hoist("run -o jsonl -- true");
    ended
        .code(0)
        .each_host_once(&[names("web[1-2]"), names("bastion")].concat());
}

#[test]
fn a_jump_host_that_fails_is_named_for_every_host_behind_it() {
    let site = Site::with("web[1-5]", &[]);
    let closed = DeadPort::take();
    let user = sshd::user();
    let line = format!("run -J {user}@127.0.0.1:{} -o jsonl -- true", closed.port());
    let ended = site.fleet.hoist(&line);
    ended.code(3);
    for name in names("web[1-5]") {
        ended.became(&name, "failed", "refused");
        let message = ended.record(&name).text("message");
        assert!(
            message.starts_with("jump host 127.0.0.1: cannot connect to"),
            "{message}"
        );
    }
    site.fleet.write_known_hosts("");
    let ended = site
        .fleet
        .hoist(&format!("run -J {} -o jsonl -- true", site.jump()));
    ended.code(3).became("web1", "failed", "host-key-unknown");
    let message = ended.record("web1").text("message");
    assert!(
        message.starts_with("jump host 127.0.0.1: the host's key is not known"),
        "{message}"
    );
    assert_eq!(site.logins(), 0);
}

#[test]
fn a_host_that_its_jump_host_cannot_reach_fails_alone() {
    let site = Site::with("web[1-3]", &[]);
    let closed = DeadPort::take();
    let user = sshd::user();
    let known = site.fleet.known_hosts();
    let fleet = site
        .fleet
        .ssh_host("dead", closed.port(), &user, "ssh-ed25519 AAAA");
    fleet.write_known_hosts(&known);
    let jump = format!("{}@127.0.0.1:{}", user, site.bastion.port());
    let ended = fleet.hoist(&format!("run -J {jump} -o jsonl -- true"));
    ended.code(3).became("dead", "failed", "unreachable");
    let message = ended.record("dead").text("message");
    assert!(
        message.contains("the jump host 127.0.0.1 cannot connect to 127."),
        "{message}"
    );
    for name in names("web[1-3]") {
        assert_eq!(ended.record(&name).text("status"), "ok", "{ended}");
    }
}

#[test]
fn a_bastion_that_forwards_nothing_is_told() {
    let site = Site::with("web1", &["AllowTcpForwarding no"]);
    let ended = site
        .fleet
        .hoist(&format!("run -J {} -o jsonl -- true", site.jump()));
    ended.code(3).became("web1", "failed", "unreachable");
    let message = ended.record("web1").text("message");
    assert!(message.contains("AllowTcpForwarding"), "{message}");
}

#[test]
fn jump_hosts_that_lead_to_each_other_are_refused() {
    let fleet = Fleet::new();
    fleet.tree().write(
        "home/.ssh/config",
        "Host a\n ProxyJump b\nHost b\n ProxyJump c\nHost c\n ProxyJump b\n",
    );
    fleet
        .command("run -w a -- true")
        .env("HOIST_SSH_CONFIG", config(&fleet))
        .env("HOIST_INVENTORY", "")
        .run()
        .code(2)
        .complains(&["jump hosts lead in a circle: b → c → b", "ProxyJump none"]);
}

#[test]
fn a_command_can_lead_to_a_host() {
    let site = Site::with("web[1-3]", &[]);
    let ssh = installed("ssh", "openssh-client");
    let home = site.fleet.tree().join("home/.ssh");
    let text = format!(
        "Host web*\n ProxyCommand {} -F none -i {home}/id_ed25519 -o UserKnownHostsFile={home}/known_hosts -W %h:%p -p {} {}@127.0.0.1\n",
        ssh.display(),
        site.bastion.port(),
        sshd::user(),
        home = home.display(),
    );
    site.fleet.tree().write("home/.ssh/config", text);
    let ended = site
        .fleet
        .command("run -o jsonl -- true")
        .env("HOIST_SSH_CONFIG", config(&site.fleet))
        .run();
    ended.code(0).each_host_once(&names("web[1-3]"));
    assert_eq!(site.logins(), 3, "{ended}");
}

#[test]
fn a_command_that_leads_nowhere_is_told_in_its_own_words() {
    let site = Site::with("web1", &[]);
    let run = |command: &str| {
        let option = format!("ProxyCommand={command}");
        site.fleet
            .argv([
                "run",
                "-o",
                "jsonl",
                "-O",
                &option,
                "--connect-timeout",
                "2s",
                "--",
                "true",
            ])
            .run()
    };
    let ended = run("echo 'no way to %h' >&2; exit 1");
    ended.code(3).became("web1", "failed", "handshake");
    let message = ended.record("web1").text("message");
    assert!(
        message.contains("ProxyCommand said: no way to 127."),
        "{message}"
    );
    // One that stays is ended with the connection.
    let ended = run(&format!(
        "sh -c 'echo $$ > {}/pids/proxy.pid; exec sleep 300'",
        site.fleet.tree().path().display()
    ));
    ended.code(3).became("web1", "failed", "connect-timeout");
    site.fleet.everybody_leaves();
}

#[test]
fn an_account_that_means_something_to_a_shell_is_kept_from_one() {
    let fleet = Fleet::new();
    fleet
        .argv([
            "run",
            "-w",
            "web1",
            "-l",
            "a$(id)",
            "-O",
            "ProxyCommand=nc %r",
            "--",
            "true",
        ])
        .env("HOIST_INVENTORY", "")
        .run()
        .code(2);
    fleet
        .argv([
            "run",
            "-w",
            "web1",
            "-l",
            "a$b",
            "-O",
            "ProxyCommand=nc %r",
            "--",
            "true",
        ])
        .env("HOIST_INVENTORY", "")
        .run()
        .code(2)
        .complains(&["ProxyCommand", "a$b", "shell"]);
}

#[test]
fn a_person_is_asked_about_the_bastion_once_and_then_about_those_behind_it() {
    let site = Site::with("web[1-2]", &[]);
    site.fleet.write_known_hosts("");
    let line = format!("run -J {} -o jsonl -- true", site.jump());
    let mut running = site.fleet.command(&line).start_on_terminal();
    running.shows("The key of this host is not known");
    running.type_in("y\n");
    running.shows("The keys of these 2 hosts are not known");
    running.type_in("y\n");
    let ended = running.wait(PATIENCE);
    ended.code(0);
    let known = site.fleet.known_hosts();
    let mut lines: Vec<&str> = known.lines().collect();
    if transport() == "openssh" {
        // Two `ssh` at once each remember the bastion.
        lines.sort_unstable();
        lines.dedup();
    }
    assert_eq!(lines.len(), 3, "{ended}");
}

/// Freezes a bastion under three commands, and checks what becomes of them.
fn freezes(config_text: &str) {
    let site = Site::with("web[1-3]", &[]);
    let staying = site.fleet.staying();
    let fleet = names("web[1-3]")
        .iter()
        .fold(site.fleet, |fleet, name| fleet.acts(name, &staying));
    let site = Site { fleet, ..site }.with_known_bastion();
    site.fleet.tree().write("home/.ssh/config", config_text);
    let announcements = site.fleet.announcements();
    let line = format!("run -J {} -o jsonl -- {}", site.jump(), site.fleet.act());
    let command = site.fleet.command(&line);
    let running = command.env("HOIST_SSH_CONFIG", config(&site.fleet)).start();
    for name in names("web[1-3]") {
        announcements.shows(&format!("{name} is ready"));
    }
    let frozen = site.sessions();
    assert!(!frozen.is_empty(), "somebody serves the bastion's session");
    for pid in &frozen {
        let pid = Pid::from_raw(i32::try_from(*pid).unwrap()).unwrap();
        kill_process(pid, Signal::STOP).unwrap();
    }
    let since = Instant::now();
    let ended = running.wait(PATIENCE);
    let took = since.elapsed();
    for pid in frozen {
        kill(pid);
    }
    for name in names("web[1-3]") {
        ended.became(&name, "failed", "lost");
        let message = ended.record(&name).text("message");
        let words = "the connection to the jump host 127.0.0.1 broke: no sign of life for 4s";
        assert!(message.contains(words), "{message}");
    }
    // So long a silence, told at the next heartbeat, and whatever the machine takes.
    assert!(took < Duration::from_secs(4 + 2 + 5), "{took:?}");
}

#[test]
fn a_bastion_that_freezes_is_lost_with_those_behind_it() {
    freezes("Host *\n ServerAliveInterval 2\n ServerAliveCountMax 2\n");
}

#[test]
fn a_bastion_that_freezes_is_noticed_where_nobody_else_would() {
    freezes(
        "Host web*\n ServerAliveInterval 0\n\
         Host *\n ServerAliveInterval 2\n ServerAliveCountMax 2\n",
    );
}

/// Runs one host, then the pause and what happens in it, then another host.
fn runs_with_a_pause(happens: impl FnOnce(&Site)) -> Site {
    let site = Site::with("web1", &[]).with_a_pause_before("web2");
    let announcements = site.fleet.announcements();
    let (jump, act) = (site.jump(), site.fleet.act());
    let line = format!("run --fan-out 1 -J {jump} -o jsonl -- {act}");
    let running = site.fleet.command(&line).start();
    announcements.shows("ready");
    assert_eq!(site.logins(), 1);
    happens(&site);
    site.fleet.tree().write("go", "");
    let ended = running.wait(PATIENCE);
    ended.code(0);
    assert_eq!(ended.record("web2").number("attempts"), 1, "{ended}");
    assert_eq!(site.logins(), 2, "{ended}");
    site
}

#[test]
fn a_session_that_died_while_nobody_needed_it_is_made_again() {
    runs_with_a_pause(|site| {
        let sessions = site.sessions();
        assert!(!sessions.is_empty(), "it is still there");
        for pid in sessions {
            kill(pid);
            assert!(is_gone(pid, PATIENCE), "{pid}");
        }
    });
}

#[test]
fn a_session_that_nobody_needs_is_closed() {
    runs_with_a_pause(|site| {
        let log = site.bastion.log();
        assert!(log.wait_for("Received disconnect from", PATIENCE), "{log}");
    });
}

// One session for many hosts is hoist's own; and `ssh` may end before such a command has spoken.
over_openssh!(
    what_goes_through_a_bastion_is_exact_and_whole,
    jumps_follow_one_another_each_by_its_own_rules,
    a_jump_host_is_a_row_of_the_inventory_where_there_is_one,
    a_jump_host_that_fails_is_named_for_every_host_behind_it,
    a_host_that_its_jump_host_cannot_reach_fails_alone,
    a_bastion_that_forwards_nothing_is_told,
    jump_hosts_that_lead_to_each_other_are_refused,
    a_command_can_lead_to_a_host,
    an_account_that_means_something_to_a_shell_is_kept_from_one,
    a_person_is_asked_about_the_bastion_once_and_then_about_those_behind_it,
);
