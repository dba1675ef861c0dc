//! The same few runs, shown by every renderer.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, SystemTime};

use super::*;
use crate::event::{Event, EventKind};
use crate::outcome::{Kind, Outcome, PipeTotal, StopReason, Summary};
use crate::remote::{ExitStatus, Pipe};

mod exact;
mod snapshots;

/// 2026-01-31T23:59:59.5Z
const START: Duration = Duration::from_millis(1_769_903_999_500);

/// Something that happens in a run.
#[derive(Debug, Clone)]
pub(super) enum Told {
    /// A host writes to stdout.
    Output(HostIndex, Vec<u8>),
    /// A host writes to stderr.
    Error(HostIndex, Vec<u8>),
    /// A host is done.
    Finished(HostIndex, Outcome),
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shown {
    pub(super) out: Vec<u8>,
    pub(super) err: Vec<u8>,
}

impl Shown {
    /// Returns what went to `out`, bytes that are not UTF-8 as `�`.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }
}

/// A writer whose bytes can be seen afterwards.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen(Rc<RefCell<Vec<u8>>>);

impl Seen {
    pub(super) fn take(&self) -> Vec<u8> {
        self.0.take()
    }
}

impl Write for Seen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Returns the outcome of a host that is ok.
pub(super) fn outcome() -> Outcome {
    Outcome {
        kind: None,
        exit: Some(ExitStatus::Code(0)),
        message: String::new(),
        address: "192.0.2.7".to_owned(),
        user: Some("root".to_owned()),
        port: Some(22),
        started_at: SystemTime::UNIX_EPOCH + START,
        duration: Duration::from_millis(1234),
        connect_duration: Some(Duration::from_millis(81)),
        attempts: 1,
        stdout: PipeTotal::default(),
        stderr: PipeTotal::default(),
        is_stdout_held: false,
        killed: None,
        has_changed: None,
    }
}

/// Returns the outcome of a command that returned `code`.
pub(super) fn exit(code: u32) -> Outcome {
    Outcome {
        kind: (code != 0).then_some(Kind::Exit),
        exit: Some(ExitStatus::Code(code)),
        ..outcome()
    }
}

/// Returns the outcome of a host that was not reached.
pub(super) fn unreached(kind: Kind, message: &str) -> Outcome {
    Outcome {
        kind: Some(kind),
        exit: None,
        message: message.to_owned(),
        connect_duration: None,
        ..outcome()
    }
}

pub(super) fn names(hosts: &[&str]) -> Arc<[HostName]> {
    hosts
        .iter()
        .map(|host| HostName::parse(host).unwrap())
        .collect()
}

/// Returns the events of a run of `hosts` in which `told` happens.
pub(super) fn events(hosts: &[&str], told: &[Told]) -> Vec<Event> {
    let at = SystemTime::UNIX_EPOCH + START;
    let mut summary = Summary {
        hosts: hosts.len(),
        duration: Duration::from_millis(2100),
        ..Summary::default()
    };
    let mut kinds = vec![EventKind::RunStarted {
        run: RunId::new(at, 0x3f_9a2c),
        hosts: names(hosts),
    }];
    let mut totals = vec![[PipeTotal::default(); 2]; hosts.len()];
    kinds.extend(told.iter().cloned().map(|told| match told {
        Told::Output(host, bytes) => {
            totals[host][0].bytes += bytes.len() as u64;
            let pipe = Pipe::Stdout;
            EventKind::Output { host, pipe, bytes }
        }
        Told::Error(host, bytes) => {
            totals[host][1].bytes += bytes.len() as u64;
            let pipe = Pipe::Stderr;
            EventKind::Output { host, pipe, bytes }
        }
        Told::Finished(host, mut outcome) => {
            outcome.stdout.bytes += totals[host][0].bytes;
            outcome.stderr.bytes += totals[host][1].bytes;
            summary.count(&outcome);
            let outcome = Box::new(outcome);
            EventKind::Finished { host, outcome }
        }
    }));
    kinds.push(EventKind::RunFinished { summary });
    kinds.into_iter().map(|kind| Event { at, kind }).collect()
}

/// Returns a run in which every kind of event happens.
pub(super) fn every_event() -> Vec<Event> {
    let told = [
        Told::Output(0, "grö".into()),
        Told::Output(0, b"\xff".to_vec()),
        Told::Error(0, b"no\n".to_vec()),
        Told::Finished(0, exit(3)),
        Told::Finished(1, unreached(Kind::NotStarted, "")),
    ];
    let mut events = events(&HOSTS[..2], &told);
    let at = events[0].at;
    let host = 0;
    let before = [
        EventKind::Attempt { host, attempt: 1 },
        EventKind::Connected {
            host,
            duration: Duration::from_millis(81),
            login: None,
        },
        EventKind::Started { host },
        EventKind::Moved {
            host,
            bytes: 1024,
            total: 4096,
        },
        EventKind::Stopping {
            reason: StopReason::Interrupt,
            running: 1,
        },
    ];
    events.splice(1..1, before.map(|kind| Event { at, kind }));
    events
}

/// Shows events.
pub(super) fn show(options: &Options, events: &[Event], memory: usize) -> Shown {
    let store = Store::with_memory(std::env::temp_dir(), memory);
    let (out, err) = (Seen::default(), Seen::default());
    let mut renderer = renderer(
        options,
        &store,
        Box::new(out.clone()),
        Box::new(err.clone()),
    );
    for event in events {
        renderer.tell(event).unwrap();
    }
    Shown {
        out: out.take(),
        err: err.take(),
    }
}

/// Shows a run of the hosts `web1` to `web3` and `db1` in which `told` happens.
pub(super) fn run(options: &Options, told: &[Told]) -> Shown {
    show(options, &events(&HOSTS, told), crate::spool::MEMORY)
}

const HOSTS: [&str; 4] = ["web1", "web2", "web3", "db1"];
