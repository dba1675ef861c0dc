//! Every fault a host can have, each beside 20 good hosts: the run ends in time, every host is
//! reported once with the right kind, code and words, and nobody else is affected.
//!
//! What is served by `tests/faults` stands in [`tables`]; [`real`] holds what real servers and
//! the network do. Limits are few seconds, and what is held against the clock is the limit, what
//! giving up takes by design, and five more: the machine may be slow. What depends on how much a
//! host gets done in its time has plenty of it. These tests run alone (`.config/nextest.toml`).

use std::time::Duration;

use self::tables::{Case, ENDINGS, ENDLESS, FLOODS, HANDSHAKES, LOGINS, OUTPUTS, Out, QUESTIONS};
use crate::support::ended::Ended;
use crate::support::faults::Faults;
use crate::support::fleet::{Fleet, over};
use crate::support::keys::KeyPair;
use crate::support::listener::{DeadPort, SilentPort};
use crate::support::names;
use crate::support::sshd::Sshd;

/// Servers and networks that really are so.
mod real;

/// Most memory a run may take, in KiB.
const MOST: u64 = 64 * 1024;
/// `--connect-timeout` where hosts never answer.
const CONNECT: Duration = Duration::from_secs(4);
/// `--timeout` where commands never end.
const COMMAND: Duration = Duration::from_secs(2);
/// Both where everything ends by itself, however slow the machine is.
const PLENTY: Duration = Duration::from_secs(40);
/// What a run is given.
#[derive(Clone, Copy)]
struct Limits {
    connect: Duration,
    timeout: Duration,
}

/// For hosts that use up whatever they are given.
const SHORT: Limits = Limits {
    connect: CONNECT,
    timeout: COMMAND,
};
/// For hosts that come to an end, however slow the machine is.
const LONG: Limits = Limits {
    connect: PLENTY,
    timeout: PLENTY,
};
/// What giving up a command takes at most where the host answers nothing: 2 s for TERM, 2 s for
/// KILL, 1 s for taking leave.
const GIVING_UP: Duration = Duration::from_secs(5);
/// How much later than its limit anything may end.
const SLACK: Duration = Duration::from_secs(5);

/// What each fault of `tests/faults` leads to.
mod tables;
/// Twenty good hosts.
fn good(sshd: &Sshd) -> Fleet {
    names("good[01-20]")
        .iter()
        .fold(Fleet::new().served("good[01-20]", sshd), |fleet, name| {
            fleet.says(name, "fine")
        })
}

#[track_caller]
fn good_ones_are_good(ended: &Ended) {
    for name in names("good[01-20]") {
        ended.became(&name, "ok", "");
        assert_eq!(ended.record(&name).text("stdout"), "fine\n", "{ended}");
    }
}

/// Twenty good hosts, and one for each case.
fn fleet(sshd: &Sshd, faults: &Faults, cases: &[&Case]) -> Fleet {
    cases.iter().fold(good(sshd), |fleet, case| {
        let port = faults.port(case.fault);
        fleet.ssh_host(case.fault, port, "root", faults.host_key())
    })
}

/// Returns what gives hoist a password.
fn password(fleet: &Fleet) -> String {
    let file = fleet
        .tree()
        .write_with_mode("password", "secret word\n", 0o600);
    format!("--password-file {}", file.display())
}

/// Works the fleet and checks what everybody became.
fn work(fleet: &Fleet, cases: &[&Case], limits: Limits, more: &str) -> Ended {
    let Limits { connect, timeout } = limits;
    let line = format!(
        "run -o jsonl --connect-timeout {} --timeout {} --max-output 1M {more} -- {}",
        connect.as_secs(),
        timeout.as_secs(),
        fleet.act()
    );
    let (ended, peak) = fleet.command(&line).run_measured();
    ended.within(connect + timeout + GIVING_UP + SLACK);
    good_ones_are_good(&ended);
    let wrong: Vec<String> = cases
        .iter()
        .filter_map(|case| complaint(&ended, case, limits))
        .collect();
    assert!(wrong.is_empty(), "{}\n{ended}", wrong.join("\n"));
    assert!(peak < MOST, "{peak} KiB\n{ended}");
    ended
}

/// Says what is not as the case wants it.
fn complaint(ended: &Ended, case: &Case, Limits { connect, timeout }: Limits) -> Option<String> {
    let record = ended.record(case.fault);
    let message = record.text("message");
    let took = Duration::from_millis(record.number("duration_ms").unsigned_abs());
    let connecting = record.get("connect_ms").as_u64().unwrap_or(0);
    let connecting = Duration::from_millis(connecting).min(connect);
    let limit = timeout.max(connecting) + timeout + GIVING_UP + SLACK;
    let is_printed = match case.stdout {
        Out::Text(text) => record.text("stdout") == text,
        Out::Bytes(count) => record.bytes("stdout").len() == count,
        Out::AtMost(count) => record.bytes("stdout").len() <= count,
        Out::Any => true,
    };
    let is_right = record.text("kind") == case.kind
        && record.get("exit_code").as_i64() == case.code
        && message.contains(case.words)
        // A message goes to terminals.
        && !message.contains(char::is_control)
        && is_printed
        && took <= limit;
    (!is_right).then(|| {
        let mut out = record.text("stdout");
        out.truncate(60);
        format!(
            "{}: {:?}, {:?}, {message:?}, {out:?}, {took:?} of {limit:?}",
            case.fault,
            record.text("kind"),
            record.get("exit_code"),
        )
    })
}

/// Runs all cases of a theme at once.
fn theme(cases: &[Case], limits: Limits) -> Ended {
    let sshd = Sshd::start();
    let faults = Faults::start(&sshd.client_key);
    let cases: Vec<&Case> = cases.iter().collect();
    work(&fleet(&sshd, &faults, &cases), &cases, limits, "")
}

#[test]
fn handshakes_that_come_to_nothing() {
    theme(&HANDSHAKES, SHORT).code(3);
}

#[test]
fn logins_that_come_to_nothing() {
    theme(&LOGINS, SHORT).code(3);
}

#[test]
fn floods_of_what_nobody_asked_for() {
    theme(&FLOODS, LONG).code(3);
}

#[test]
fn questions_of_which_the_password_answers_one() {
    let sshd = Sshd::start();
    let faults = Faults::start(&sshd.client_key);
    let cases: Vec<&Case> = QUESTIONS.iter().collect();
    let fleet = fleet(&sshd, &faults, &cases);
    let ended = work(&fleet, &cases, LONG, &password(&fleet));
    ended.code(3);
    assert!(!ended.out().contains("secret"), "{ended}");
}

#[test]
fn commands_that_end_oddly() {
    let ended = theme(&ENDINGS, LONG);
    ended.code(3);
    let held = ended.record("status-but-no-eof");
    assert!(held.is("stdout_held"), "{ended}");
    let whole = ended.record("eof-and-status-but-no-close");
    assert!(!whole.is("stdout_held"), "{ended}");
}

#[test]
fn commands_that_never_end() {
    let ended = theme(&ENDLESS, SHORT);
    ended.code(3);
    for name in ["frozen-in-output", "never-ends", "floods"] {
        let killed = ended.record(name).text("killed");
        assert_eq!(killed, "unconfirmed", "{name}\n{ended}");
    }
}

#[test]
fn output_of_every_kind_arrives_exactly() {
    let ended = theme(&OUTPUTS, LONG);
    ended.code(0);
    let all: Vec<u8> = (0..=255).chain(*b"\r\n\xc3\x28\x1b[2J\x00").collect();
    assert_eq!(ended.record("every-byte").bytes("stdout"), all, "{ended}");
    assert_eq!(
        ended.record("tiny-packets").text("stdout"),
        "tiny".repeat(250)
    );
    let both = ended.record("stderr-before-stdout");
    for pipe in ["stdout", "stderr"] {
        assert_eq!(both.number(&format!("{pipe}_bytes")), 3_000_000, "{ended}");
        assert!(both.is(&format!("{pipe}_truncated")), "{ended}");
    }
    let rekeyed = ended.record("rekeys-in-the-middle");
    assert_eq!(rekeyed.number("stdout_bytes"), 2_000_000, "{ended}");
    let lines: String = (0..).map(|n| format!("{n:0999}\n")).take(1050).collect();
    assert!(lines.starts_with(&rekeyed.text("stdout")), "{ended}");
    let held = ended.record("status-then-endless-output");
    assert!(held.is("stdout_held"), "{ended}");
}

/// Hosts of real servers that go wrong, with what they become.
const REAL: [(&str, &str); 13] = [
    ("changed", "host-key-changed"),
    ("unknown", "host-key-unknown"),
    ("revoked", "host-key-changed"),
    ("refused", "auth"),
    ("password", "auth"),
    ("dead", "refused"),
    ("silent", "connect-timeout"),
    ("closed", "channel"),
    ("forced", "exit"),
    ("stubborn", "timeout"),
    ("killed", "signal"),
    ("daemon", ""),
    ("long", ""),
];

/// The servers behind them.
struct Servers {
    good: Sshd,
    other: Sshd,
    revoked: Sshd,
    closed: Sshd,
    forced: Sshd,
    password: Sshd,
    dead: DeadPort,
    silent: SilentPort,
}

impl Servers {
    fn start() -> Self {
        let password = Sshd::with()
            .line("PasswordAuthentication yes")
            .line("AuthenticationMethods password");
        let servers = Self {
            good: Sshd::start(),
            other: Sshd::start(),
            revoked: Sshd::start(),
            closed: Sshd::with().line("MaxSessions 0").start(),
            forced: Sshd::with()
                .line("ForceCommand echo forced; exit 3")
                .start(),
            password: password.start(),
            dead: DeadPort::take(),
            silent: SilentPort::open(),
        };
        for server in [&servers.closed, &servers.forced, &servers.password] {
            server.authorize(&servers.good.client_key.public());
        }
        servers
    }

    /// Adds the hosts of [`REAL`].
    fn add_to(&self, fleet: Fleet) -> Fleet {
        let wrong = KeyPair::generate(&fleet.tree().join("wrong"), "ed25519").public();
        let fleet = fleet
            .ssh_hosts("changed", self.good.port(), &wrong)
            .strangers("unknown", self.good.port())
            .strangers("dead", self.dead.port())
            .strangers("silent", self.silent.port());
        let hosts = [
            ("revoked", &self.revoked),
            ("refused", &self.other),
            ("password", &self.password),
            ("closed", &self.closed),
            ("forced", &self.forced),
            ("stubborn", &self.good),
            ("killed", &self.good),
            ("daemon", &self.good),
            ("long", &self.good),
        ];
        hosts
            .iter()
            .fold(fleet, |fleet, (name, server)| {
                let key = server.host_keys[0].public();
                fleet.ssh_hosts(name, server.port(), &key)
            })
            .acts("stubborn", "trap '' TERM; while :; do sleep 1; done")
            .acts("killed", "kill -KILL $$")
            .acts("daemon", "sleep 30 & echo done")
            .acts("long", "head -c 16777216 /dev/zero | tr '\\0' x")
    }
}

#[test]
fn every_fault_at_once() {
    let servers = Servers::start();
    let faults = Faults::start(&servers.good.client_key);
    let tables = [
        &HANDSHAKES[..],
        &LOGINS,
        &QUESTIONS,
        &FLOODS,
        &ENDINGS,
        &ENDLESS,
        &OUTPUTS,
    ];
    let cases: Vec<&Case> = tables.into_iter().flatten().collect();
    let mut tested: Vec<&str> = cases.iter().map(|case| case.fault).collect();
    tested.sort_unstable();
    assert_eq!(tested, faults.names(), "every fault stands in a table");
    let fleet = servers.add_to(fleet(&servers.good, &faults, &cases));
    let revoked = servers.revoked.host_keys[0].public();
    fleet.write_known_hosts(&format!("{}@revoked * {revoked}\n", fleet.known_hosts()));
    let line = format!(
        "run -o jsonl --connect-timeout 20s --timeout 20s --max-output 1M {} -- {}",
        password(&fleet),
        fleet.act()
    );
    let (ended, peak) = fleet.command(&line).run_measured();
    ended
        .code(3)
        .within(Duration::from_secs(20 + 20) + GIVING_UP + SLACK);
    let expected = cases.iter().map(|case| (case.fault, case.kind));
    let mut all: Vec<(&str, &str)> = expected.chain(REAL).collect();
    let good = names("good[01-20]");
    all.extend(good.iter().map(|name| (name.as_str(), "")));
    for (name, kind) in &all {
        let status = if kind.is_empty() { "ok" } else { "failed" };
        ended.became(name, status, kind);
    }
    let all: Vec<String> = all.iter().map(|(name, _)| (*name).to_owned()).collect();
    ended.each_host_once(&all);
    let stubborn = ended.record("stubborn");
    assert_eq!(stubborn.text("killed"), "confirmed", "{ended}");
    assert!(ended.record("daemon").is("stdout_held"), "{ended}");
    assert!(peak < MOST, "{peak} KiB\n{ended}");
}

#[test]
fn only_what_never_started_is_tried_again() {
    let sshd = Sshd::start();
    let faults = Faults::start(&sshd.client_key);
    let fleet = Fleet::new().with_identity(&sshd.client_key);
    let once = [
        "exec-never-answered",
        "fin-in-output",
        "no-status",
        "exit-255",
    ];
    let again = ["no-banner"];
    let fleet = once.iter().chain(&again).fold(fleet, |fleet, fault| {
        fleet.ssh_host(fault, faults.port(fault), "root", faults.host_key())
    });
    let ended = fleet.hoist("run -o jsonl --retries 1 --connect-timeout 1s --timeout 1s -- true");
    ended.code(3);
    for (names, attempts) in [(&once[..], 1), (&again[..], 2)] {
        for name in names {
            assert_eq!(
                ended.record(name).number("attempts"),
                attempts,
                "{name}\n{ended}"
            );
        }
    }
}

/// What becomes of hosts by the system's `ssh` that become something else by the built-in client.
const BY_OPENSSH: [(&str, &str); 7] = [
    // It knows that one, and waits for what never comes.
    ("no-common-kex", "connect-timeout"),
    ("ignore-flood", "connect-timeout"),
    ("endless-banners", "connect-timeout"),
    // It takes in any number of messages that nobody asked for.
    ("floods-with-ignore", "timeout"),
    ("floods-with-what-nobody-asked-for", "timeout"),
    // It closes a channel that has come to its end, and waits no longer.
    ("eof-but-no-status", "lost"),
    // It ends the connection at once.
    ("data-for-another-channel", "lost"),
];

/// Says what is not as it should be over the system's `ssh`, whose words are its own.
fn complaint_over_openssh(ended: &Ended, case: &Case) -> Option<String> {
    let record = ended.record(case.fault);
    let other = BY_OPENSSH.iter().find(|(fault, _)| *fault == case.fault);
    let kind = other.map_or(case.kind, |(_, kind)| kind);
    let is_printed = match case.stdout {
        Out::Text(text) => record.text("stdout") == text,
        Out::Bytes(count) => record.bytes("stdout").len() == count,
        Out::AtMost(count) => record.bytes("stdout").len() <= count,
        Out::Any => true,
    };
    let message = record.text("message");
    let found = record.text("kind");
    // One that hangs up is dialled again for as long as there is time, which may run out just then.
    let is_late = found == "connect-timeout" && kind == "handshake";
    let is_right = (found == kind || is_late)
        && (other.is_some() || record.get("exit_code").as_i64() == case.code)
        && !message.contains(char::is_control)
        && (kind != case.kind || !kind.is_empty() || is_printed);
    (!is_right).then(|| format!("{}: {found:?}, {message:?}", case.fault))
}

#[test]
fn over_openssh_hosts_with_faults_become_the_same() {
    over("openssh", || {
        let sshd = Sshd::start();
        let faults = Faults::start(&sshd.client_key);
        let short = [&HANDSHAKES[..], &LOGINS, &FLOODS, &ENDINGS, &ENDLESS];
        let runs: [(Vec<&Case>, Duration); 2] = [
            (short.into_iter().flatten().collect(), 2 * COMMAND),
            (OUTPUTS.iter().collect(), PLENTY),
        ];
        for (cases, timeout) in runs {
            let fleet = fleet(&sshd, &faults, &cases);
            let line = format!(
                "run -o jsonl --connect-timeout {} --timeout {} --max-output 1M -- {}",
                CONNECT.as_secs(),
                timeout.as_secs(),
                fleet.act()
            );
            let ended = fleet.command(&line).patience(Duration::from_mins(4)).run();
            good_ones_are_good(&ended);
            let wrong: Vec<String> = cases
                .iter()
                .filter_map(|case| complaint_over_openssh(&ended, case))
                .collect();
            assert!(wrong.is_empty(), "{}\n{ended}", wrong.join("\n"));
        }
    });
}
