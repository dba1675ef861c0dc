use std::ffi::OsString;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::event::RunId;
use crate::host::{Address, Endpoint, HostName, Port, TransportName};
use crate::outcome::{Killed, Status, StopReason};
use crate::plan::Limits;
use crate::remote::{Command, Exec, ExitStatus, Pipe, Signal};
use crate::transport::End;
use crate::transport::fake::{Fake, Gate, Script};

fn plan(names: &[&str]) -> Plan {
    let endpoint = |name: &&str| {
        let name = HostName::parse(name).unwrap();
        Endpoint {
            address: Address::from(&name),
            name,
            transport: TransportName::Ssh,
            port: Port::SSH,
            user: None,
            ssh: Arc::default(),
            host_key: None,
        }
    };
    Plan {
        run: RunId::new(SystemTime::UNIX_EPOCH, 0),
        hosts: names.iter().map(endpoint).collect(),
        exec: Some(Exec::new(Command::Argv(vec![OsString::from("true")]))),
        commands: Vec::new(),
        transfer: None,
        limits: Limits {
            fan_out: 64,
            handshakes: 64,
            connect_rate: None,
            connect_timeout: Duration::from_secs(10),
            retries: 0,
            grace: Duration::from_secs(10),
        },
    }
}

/// Keeps every event; calls `react` on each.
struct Log<'a> {
    events: Vec<EventKind>,
    react: Box<dyn FnMut(&EventKind) + 'a>,
}

impl Log<'_> {
    fn new() -> Self {
        Self {
            events: Vec::new(),
            react: Box::new(|_| ()),
        }
    }

    fn outcomes(&self) -> Vec<(usize, &Outcome)> {
        let finished = |event: &'_ EventKind| matches!(event, EventKind::Finished { .. });
        let mut outcomes: Vec<_> = self
            .events
            .iter()
            .filter(|event| finished(event))
            .map(|event| match event {
                EventKind::Finished { host, outcome } => (*host, &**outcome),
                _ => unreachable!(),
            })
            .collect();
        outcomes.sort_by_key(|(host, _)| *host);
        outcomes
    }

    fn kinds(&self) -> Vec<Option<Kind>> {
        self.outcomes()
            .iter()
            .map(|(_, outcome)| outcome.kind)
            .collect()
    }

    fn output(&self, of: usize, from: Pipe) -> Vec<u8> {
        self.events
            .iter()
            .filter_map(|event| match event {
                EventKind::Output { host, pipe, bytes } if *host == of && *pipe == from => {
                    Some(bytes.as_slice())
                }
                _ => None,
            })
            .collect::<Vec<_>>()
            .concat()
    }
}

impl Listener for Log<'_> {
    fn tell(&mut self, event: &Event) -> io::Result<()> {
        (self.react)(&event.kind);
        self.events.push(event.kind.clone());
        Ok(())
    }
}

fn work<'a>(plan: &Plan, fake: &Fake) -> (Summary, Log<'a>) {
    let mut log = Log::new();
    let summary = run(plan, fake, &Cancel::new(), &mut [&mut log], None).unwrap();
    (summary, log)
}

#[test]
fn every_host_finishes_once_with_its_own_output() {
    let names: Vec<String> = (0..300).map(|n| format!("h{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let fake = names
        .iter()
        .enumerate()
        .fold(Fake::new(), |fake, (n, name)| {
            let script = Script::new()
                .says(&format!("out {n}\n"))
                .writes(Pipe::Stderr, b"err");
            fake.host(name, script.exits(u32::from(n % 7 == 0)))
        });
    let (summary, log) = work(&plan(&names), &fake);

    assert_eq!(summary.hosts, 300);
    assert_eq!(summary.ok + summary.of(Kind::Exit), 300);
    assert_eq!(summary.of(Kind::Exit), 43);
    let hosts: Vec<usize> = log.outcomes().iter().map(|(host, _)| *host).collect();
    assert_eq!(hosts, (0..300).collect::<Vec<_>>());
    for (host, outcome) in log.outcomes() {
        assert_eq!(
            log.output(host, Pipe::Stdout),
            format!("out {host}\n").into_bytes()
        );
        assert_eq!(outcome.stderr.bytes, 3);
    }
    assert!(matches!(
        log.events.first(),
        Some(EventKind::RunStarted { .. })
    ));
    assert!(matches!(
        log.events.last(),
        Some(EventKind::RunFinished { .. })
    ));
}

#[test]
fn an_empty_plan_has_an_empty_summary() {
    let (summary, _) = work(&plan(&[]), &Fake::new());
    assert_eq!((summary.hosts, summary.ok), (0, 0));
}

#[test]
fn one_at_a_time_keeps_the_plans_order() {
    let names = ["c", "a", "b", "e", "d"];
    let mut plan = plan(&names);
    plan.limits.fan_out = 1;
    let fake = Fake::new();
    work(&plan, &fake);
    assert_eq!(fake.connected(), names);
    assert_eq!(fake.most_open(), 1);
}

#[test]
fn the_fan_out_is_reached_and_never_exceeded() {
    let names: Vec<String> = (0..50).map(|n| format!("h{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let gate = Gate::new();
    let fake = names.iter().fold(Fake::new(), |fake, name| {
        fake.host(name, Script::new().waits_for(&gate))
    });
    let mut plan = plan(&names);
    plan.limits.fan_out = 8;
    let mut started = 0;
    let mut log = Log::new();
    log.react = Box::new(|event| {
        started += usize::from(matches!(event, EventKind::Started { .. }));
        // The ninth can't start before the gate is open.
        if started == 8 {
            gate.open();
        }
    });
    run(&plan, &fake, &Cancel::new(), &mut [&mut log], None).unwrap();
    assert_eq!(fake.most_open(), 8);
}

#[test]
fn retries_are_for_connections_only() {
    let mut plan = plan(&["flaky", "down", "bad"]);
    plan.limits.retries = 1;
    let fake = Fake::new()
        .host("flaky", Script::new().refuses(1))
        .host("down", Script::new().refuses(9))
        .host("bad", Script::new().exits(1));
    let (_, log) = work(&plan, &fake);
    assert_eq!(log.kinds(), [None, Some(Kind::Refused), Some(Kind::Exit)]);
    let attempts: Vec<u32> = log
        .outcomes()
        .iter()
        .map(|(_, outcome)| outcome.attempts)
        .collect();
    assert_eq!(attempts, [2, 2, 1]);
    assert_eq!(fake.connected(), ["bad", "flaky"]);
}

#[test]
fn a_busy_host_is_dialled_again_without_using_up_retries() {
    let mut plan = plan(&["busy", "broken"]);
    plan.limits.connect_timeout = Duration::from_secs(1);
    let fake = Fake::new()
        .host("busy", Script::new().drops(2))
        .host("broken", Script::new().drops(u32::MAX));
    let (_, log) = work(&plan, &fake);
    assert_eq!(log.kinds(), [None, Some(Kind::Handshake)]);
    let attempts: Vec<u32> = log
        .outcomes()
        .iter()
        .map(|(_, outcome)| outcome.attempts)
        .collect();
    assert_eq!(attempts, [1, 1]);
    assert_eq!(fake.refusals("busy"), 2);
    assert!(fake.refusals("broken") > 2);
}

#[test]
fn a_silent_host_is_given_up_and_the_phase_is_named() {
    let mut plan = plan(&["silent", "good"]);
    plan.limits.connect_timeout = Duration::from_millis(50);
    let (_, log) = work(
        &plan,
        &Fake::new().host("silent", Script::new().is_silent()),
    );
    assert_eq!(log.kinds(), [Some(Kind::ConnectTimeout), None]);
    assert_eq!(
        log.outcomes()[0].1.message,
        "no answer in 50ms while connecting"
    );
}

#[test]
fn a_command_that_never_ends_is_ended() {
    let mut plan = plan(&["polite", "stubborn"]);
    plan.exec.as_mut().unwrap().timeout = Some(Duration::from_millis(50));
    let never = Gate::new();
    let fake = Fake::new()
        .host("polite", Script::new().says("x").waits_for(&never))
        .host(
            "stubborn",
            Script::new().waits_for(&never).ignores(Signal::Term),
        );
    let (_, log) = work(&plan, &fake);
    assert_eq!(log.kinds(), [Some(Kind::Timeout), Some(Kind::Timeout)]);
    for ((_, outcome), signal) in log.outcomes().iter().zip(["TERM", "KILL"]) {
        assert_eq!(outcome.killed, Some(Killed::Confirmed));
        assert_eq!(outcome.exit, Some(ExitStatus::Signal(signal.to_owned())));
    }
    assert_eq!(
        log.outcomes()[0].1.message,
        "ran longer than 50ms; ended: signal TERM"
    );
}

/// A time that no test reaches.
const FOREVER: Duration = Duration::from_hours(24);
/// A time that every test reaches.
const SOON: Duration = Duration::from_millis(50);

/// Works one host within these limits for connecting and for the command.
fn limited(script: Script, connect_timeout: Duration, timeout: Option<Duration>) -> Outcome {
    let mut plan = plan(&["h"]);
    plan.limits.connect_timeout = connect_timeout;
    plan.exec.as_mut().unwrap().timeout = timeout;
    let (_, log) = work(&plan, &Fake::new().host("h", script));
    log.outcomes()[0].1.clone()
}

#[test]
fn a_connection_has_its_own_limit_whatever_the_command_has() {
    let outcome = limited(Script::new().is_silent(), SOON, Some(FOREVER));
    assert_eq!(outcome.kind, Some(Kind::ConnectTimeout));
}

#[test]
fn the_commands_limit_does_not_run_while_connecting() {
    let drops = Script::new().drops(2);
    let outcome = limited(drops, FOREVER, Some(Duration::from_millis(150)));
    // The waits between three dials take longer than that.
    assert_eq!(outcome.kind, None, "{outcome:?}");
}

#[test]
fn a_command_that_is_never_started_has_as_long_as_a_connection() {
    let outcome = limited(Script::new().never_starts(), SOON, Some(FOREVER));
    assert_eq!(outcome.kind, Some(Kind::Channel));
    assert_eq!(
        outcome.message,
        "the host did not start the command in 50ms"
    );
}

#[test]
fn the_commands_limit_holds_while_it_is_started() {
    let outcome = limited(Script::new().never_starts(), FOREVER, Some(SOON));
    assert_eq!(outcome.kind, Some(Kind::Timeout));
    assert_eq!(
        outcome.message,
        "the host did not start the command in 50ms"
    );
}

#[test]
fn the_commands_limit_holds_within_the_grace_period() {
    let mut plan = plan(&["h"]);
    plan.exec.as_mut().unwrap().timeout = Some(Duration::from_millis(200));
    plan.limits.grace = Duration::MAX;
    let cancel = Cancel::new();
    let mut log = Log::new();
    log.react = Box::new(|event| {
        if matches!(event, EventKind::Started { .. }) {
            cancel.stop(StopReason::Interrupt);
        }
    });
    let fake = Fake::new().host("h", Script::new().waits_for(&Gate::new()));
    run(&plan, &fake, &cancel, &mut [&mut log], None).unwrap();
    assert_eq!(log.kinds(), [Some(Kind::Timeout)]);
}

#[test]
fn what_even_kill_does_not_end_is_given_up() {
    let script = Script::new().waits_for(&Gate::new());
    let script = script.ignores(Signal::Term).ignores(Signal::Kill);
    let outcome = limited(script, FOREVER, Some(SOON));
    assert_eq!(outcome.kind, Some(Kind::Timeout));
    assert_eq!(outcome.killed, Some(Killed::Unconfirmed));
    assert_eq!(outcome.exit, None);
}

#[test]
fn silent_hosts_do_not_keep_others_from_their_handshake() {
    let names: Vec<String> = (0..8).map(|n| format!("silent{n}")).collect();
    let silent = |fake: Fake, name: &String| fake.host(name, Script::new().is_silent());
    let fake = names.iter().fold(Fake::new(), silent);
    let mut names: Vec<&str> = names.iter().map(String::as_str).collect();
    names.push("good");
    let mut plan = plan(&names);
    plan.limits.handshakes = 4;
    plan.limits.connect_timeout = Duration::from_secs(20);
    let cancel = Cancel::new();
    let mut log = Log::new();
    log.react = Box::new(|event| {
        // Only the good one can end by itself.
        if matches!(event, EventKind::Finished { .. }) {
            cancel.stop(StopReason::Interrupt);
        }
    });
    run(&plan, &fake, &cancel, &mut [&mut log], None).unwrap();
    assert_eq!(log.kinds().last(), Some(&None));
}

#[test]
fn connections_are_made_at_the_rate_that_is_given() {
    let mut plan = plan(&["a", "b", "c", "d", "e"]);
    plan.limits.connect_rate = NonZeroU32::new(20);
    let (summary, _) = work(&plan, &Fake::new());
    assert_eq!(summary.ok, 5);
    assert!(summary.duration >= Duration::from_millis(200));
}

#[test]
fn output_beyond_the_limit_is_counted_and_dropped() {
    let mut plan = plan(&["h"]);
    plan.exec.as_mut().unwrap().max_output = Some(5);
    let script = Script::new()
        .says("abc")
        .says("defgh")
        .writes(Pipe::Stderr, b"12345");
    let (_, log) = work(&plan, &Fake::new().host("h", script));
    assert_eq!(log.output(0, Pipe::Stdout), b"abcde");
    assert_eq!(log.output(0, Pipe::Stderr), b"12345");
    let outcome = log.outcomes()[0].1;
    assert_eq!(
        (outcome.stdout.bytes, outcome.stdout.is_truncated),
        (8, true)
    );
    assert_eq!(
        (outcome.stderr.bytes, outcome.stderr.is_truncated),
        (5, false)
    );
}

#[test]
fn ends_are_told_apart() {
    let fake = Fake::new()
        .host(
            "a",
            Script::new().ends(End::Lost {
                message: "gone".into(),
            }),
        )
        .host(
            "b",
            Script::new().ends(End::NotSpawned {
                message: "no such program".into(),
            }),
        )
        .host(
            "c",
            Script::new().ends(End::Exited {
                status: ExitStatus::Signal("SEGV".into()),
                is_held: false,
            }),
        )
        .host(
            "d",
            Script::new().ends(End::Exited {
                status: ExitStatus::Code(0),
                is_held: true,
            }),
        );
    let (_, log) = work(&plan(&["a", "b", "c", "d"]), &fake);
    assert_eq!(
        log.kinds(),
        [
            Some(Kind::Lost),
            Some(Kind::Spawn),
            Some(Kind::Signal),
            None
        ]
    );
    assert!(log.outcomes()[3].1.is_stdout_held);
}

#[test]
fn a_defect_costs_one_host_only() {
    let fake = Fake::new().host("bug", Script::new().panics());
    let (summary, log) = work(&plan(&["a", "bug", "b"]), &fake);
    assert_eq!(log.kinds(), [None, Some(Kind::Internal), None]);
    assert_eq!(summary.ok, 2);
}

#[test]
fn a_stop_starts_nothing_new_and_lets_running_commands_end() {
    let mut plan = plan(&["a", "b", "c"]);
    plan.limits.fan_out = 1;
    let gate = Gate::new();
    let fake = Fake::new().host("a", Script::new().waits_for(&gate).says("done"));
    let cancel = Cancel::new();
    let mut log = Log::new();
    log.react = Box::new(|event| {
        if matches!(event, EventKind::Started { .. }) {
            cancel.stop(StopReason::Interrupt);
            gate.open();
        }
    });
    let summary = run(&plan, &fake, &cancel, &mut [&mut log], None).unwrap();
    assert_eq!(
        log.kinds(),
        [None, Some(Kind::NotStarted), Some(Kind::NotStarted)]
    );
    assert_eq!(log.outcomes()[1].1.status(), Status::Skipped);
    assert_eq!(summary.stopped_by, Some(StopReason::Interrupt));
    assert_eq!(fake.connected(), ["a"]);
}

#[test]
fn after_the_grace_period_commands_are_ended() {
    let mut plan = plan(&["a", "b"]);
    plan.limits.grace = Duration::ZERO;
    let never = Gate::new();
    let fake = Fake::new()
        .host("a", Script::new().waits_for(&never))
        .host("b", Script::new().is_silent());
    let cancel = Cancel::new();
    let mut awaited = 2;
    let mut log = Log::new();
    log.react = Box::new(|event| {
        let is_a_running = matches!(event, EventKind::Started { host: 0 });
        let is_b_tried = matches!(event, EventKind::Attempt { host: 1, .. });
        awaited -= usize::from(is_a_running || is_b_tried);
        if awaited == 0 {
            cancel.stop(StopReason::Terminate);
        }
    });
    run(&plan, &fake, &cancel, &mut [&mut log], None).unwrap();
    assert_eq!(log.kinds(), [Some(Kind::Cancelled), Some(Kind::Cancelled)]);
    assert_eq!(log.outcomes()[0].1.killed, Some(Killed::Confirmed));
    assert_eq!(log.outcomes()[1].1.message, "cancelled while connecting");
}

#[test]
fn unknown_keys_are_asked_about_once_after_everything_else() {
    let fake = || {
        Fake::new()
            .host("new1", Script::new().has_unknown_key())
            .host("new2", Script::new().has_unknown_key())
    };
    for (answer, expected) in [(true, None), (false, Some(Kind::HostKeyUnknown))] {
        let fake = fake();
        let mut asked = Vec::new();
        let mut ask = |keys: &[UnknownKey]| {
            assert_eq!(fake.connected(), ["old"]);
            asked.push(keys.iter().map(|key| key.host.clone()).collect::<Vec<_>>());
            answer
        };
        let mut log = Log::new();
        let plan = plan(&["new1", "old", "new2"]);
        run(
            &plan,
            &fake,
            &Cancel::new(),
            &mut [&mut log],
            Some(&mut ask),
        )
        .unwrap();
        assert_eq!(asked, [["new1", "new2"]]);
        assert_eq!(log.kinds(), [expected, None, expected]);
    }
}

#[test]
fn a_failing_listener_does_not_stop_the_run() {
    struct Full;
    impl Listener for Full {
        fn tell(&mut self, _: &Event) -> io::Result<()> {
            Err(io::ErrorKind::StorageFull.into())
        }
    }
    let fake = Fake::new();
    let mut log = Log::new();
    let plan = plan(&["a", "b"]);
    let result = run(
        &plan,
        &fake,
        &Cancel::new(),
        &mut [&mut Full, &mut log],
        None,
    );
    assert!(matches!(result, Err(EngineError::Listener(_))));
    assert_eq!(log.kinds(), [None, None]);
}

#[test]
fn hosts_know_their_place() {
    let plan = plan(&["a", "b"]);
    let env = plan.exec_for(1).unwrap().env;
    let value = |name: &str| env.iter().find(|(key, _)| key == name).unwrap().1.clone();
    assert_eq!(value("HOIST_HOST"), "b");
    assert_eq!(value("HOIST_INDEX"), "1");
    assert_eq!(value("HOIST_TOTAL"), "2");
}
