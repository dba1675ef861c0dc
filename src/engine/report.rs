//! What workers send to the receiver, and the credit that keeps it bounded.

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_lock::{Semaphore, SemaphoreGuardArc};
use crossbeam_channel::Sender;

use super::execution::{Takes, Verdict};
use crate::event::{Event, EventKind, HostIndex};
use crate::outcome::{Kind, Outcome, PipeTotal};
use crate::plan::Plan;
use crate::remote::Pipe;
use crate::transport::UnknownKey;

/// Chunks of output on the way to the receiver, of all hosts together. A chunk is at most
/// 64 KiB, so this is the most memory they take: 12 MiB.
const CHUNKS_IN_ALL: usize = 192;
/// Chunks of one host on the way, so that a flooding host can't take all the credit.
const CHUNKS_PER_HOST: usize = 4;

/// One message to the receiver.
pub(super) enum Message {
    /// To be told to the listeners.
    Event {
        event: Event,
        credit: Option<Credit>,
    },
    /// The host waits for a decision about its key; `outcome` holds if that is no.
    SetAside {
        host: HostIndex,
        key: UnknownKey,
        outcome: Box<Outcome>,
    },
}

/// Permission to have one chunk on the way; given back when dropped.
pub(super) struct Credit {
    _own: SemaphoreGuardArc,
    _shared: SemaphoreGuardArc,
}

/// A worker's line to the receiver.
#[derive(Clone)]
pub(super) struct Reporter {
    events: Sender<Message>,
    chunks: Arc<Semaphore>,
    /// Whether a host with an unknown key may be set aside.
    pub(super) may_ask: bool,
}

impl Reporter {
    pub(super) fn new(events: Sender<Message>, may_ask: bool) -> Self {
        Self {
            events,
            chunks: Arc::new(Semaphore::new(CHUNKS_IN_ALL)),
            may_ask,
        }
    }

    /// Tells a fact, without waiting.
    pub(super) fn tell(&self, kind: EventKind) {
        self.send(Message::Event {
            event: now(kind),
            credit: None,
        });
    }

    /// Puts a host aside until its key is decided about.
    pub(super) fn set_aside(&self, host: HostIndex, key: UnknownKey, outcome: Outcome) {
        self.send(Message::SetAside {
            host,
            key,
            outcome: Box::new(outcome),
        });
    }

    fn send(&self, message: Message) {
        // The receiver outlives the workers; were it gone, nobody would be left to tell.
        let _ = self.events.send(message);
    }
}

/// One host's output on its way to the receiver.
pub(super) struct Outflow<'a> {
    reporter: &'a Reporter,
    host: HostIndex,
    own: Arc<Semaphore>,
    max: Option<u64>,
    stdout: PipeTotal,
    stderr: PipeTotal,
}

impl<'a> Outflow<'a> {
    pub(super) fn new(reporter: &'a Reporter, host: HostIndex, max: Option<u64>) -> Self {
        Self {
            reporter,
            host,
            own: Arc::new(Semaphore::new(CHUNKS_PER_HOST)),
            max,
            stdout: PipeTotal::default(),
            stderr: PipeTotal::default(),
        }
    }

    /// Returns `verdict` with how much was written.
    pub(super) fn counted(&self, verdict: Verdict) -> Verdict {
        Verdict {
            stdout: self.stdout,
            stderr: self.stderr,
            ..verdict
        }
    }

    /// Counts `bytes`, cuts what is beyond the limit, and sends the rest when there is credit.
    pub(super) async fn push(&mut self, pipe: Pipe, mut bytes: Vec<u8>) {
        let total = match pipe {
            Pipe::Stdout => &mut self.stdout,
            Pipe::Stderr => &mut self.stderr,
        };
        let room = self
            .max
            .map_or(u64::MAX, |max| max.saturating_sub(total.bytes));
        total.bytes += bytes.len() as u64;
        if bytes.len() as u64 > room {
            total.is_truncated = true;
            bytes.truncate(usize::try_from(room).unwrap_or(usize::MAX));
        }
        if bytes.is_empty() {
            return;
        }
        let credit = Credit {
            _own: self.own.acquire_arc().await,
            _shared: self.reporter.chunks.acquire_arc().await,
        };
        let event = now(EventKind::Output {
            host: self.host,
            pipe,
            bytes,
        });
        self.reporter.send(Message::Event {
            event,
            credit: Some(credit),
        });
    }
}

impl Takes for Outflow<'_> {
    async fn take(&mut self, pipe: Pipe, bytes: Vec<u8>) -> io::Result<()> {
        self.push(pipe, bytes).await;
        Ok(())
    }
}

fn now(kind: EventKind) -> Event {
    Event {
        at: SystemTime::now(),
        kind,
    }
}

/// Returns the outcome of a host that was never connected to.
pub(super) fn untried(plan: &Plan, host: HostIndex, kind: Kind, message: String) -> Outcome {
    let endpoint = &plan.hosts[host];
    let is_dialled = endpoint.user.is_some();
    Outcome {
        kind: Some(kind),
        exit: None,
        message,
        address: endpoint.address.to_string(),
        user: endpoint.user.as_ref().map(ToString::to_string),
        port: is_dialled.then(|| endpoint.port.get()),
        started_at: SystemTime::now(),
        duration: Duration::ZERO,
        connect_duration: None,
        attempts: 0,
        stdout: PipeTotal::default(),
        stderr: PipeTotal::default(),
        is_stdout_held: false,
        killed: None,
        has_changed: None,
    }
}
