//! One command on a host, followed to its end: within its time, and ended when that is over or the run
//! is to stop.
//!
//! Ending a command goes through the same few stages for both: TERM, some seconds, KILL, some
//! seconds, give up.

use std::future::Future;
use std::io;
use std::pin::pin;
use std::time::{Duration, Instant};

use async_io::Timer;
use futures_lite::future::{self, FutureExt};

use super::Cancel;
use crate::outcome::{Killed, Kind, PipeTotal};
use crate::remote::{Exec, ExitStatus, Pipe, Signal};
use crate::transport::{End, Process, Progress};

/// How long a command has to end after TERM, and again after KILL; sending the signal included.
const END_TIME: Duration = Duration::from_secs(2);
/// Chunks read from one host before its neighbours get a turn.
const CHUNKS_PER_TURN: u32 = 16;

/// What is known of a host when its work is over.
#[derive(Default)]
pub(super) struct Verdict {
    pub(super) kind: Option<Kind>,
    pub(super) message: String,
    pub(super) exit: Option<ExitStatus>,
    pub(super) killed: Option<Killed>,
    pub(super) is_held: bool,
    pub(super) stdout: PipeTotal,
    pub(super) stderr: PipeTotal,
    pub(super) has_changed: Option<bool>,
}

impl Verdict {
    pub(super) fn failed(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind: Some(kind),
            message: message.into(),
            ..Self::default()
        }
    }
}

/// How far a command is from being ended by hoist.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// It runs within its time.
    Running,
    /// The run is to stop; it may still end by itself.
    Grace,
    /// It was sent TERM.
    Term,
    /// It was sent KILL.
    Kill,
}

/// What the wait for a command's next move was ended by.
enum Wake {
    Progress(Progress),
    Alarm,
    Stopped,
    Killed,
}

/// Where the output of a command goes.
pub(super) trait Takes {
    /// Takes what was written to a pipe; never empty. An error ends the command.
    async fn take(&mut self, pipe: Pipe, bytes: Vec<u8>) -> io::Result<()>;
}

/// One command, followed to its end.
pub(super) struct Execution<'a, T> {
    cancel: &'a Cancel,
    /// How long it may go on after a stop is asked for.
    grace: Duration,
    exec: &'a Exec,
    deadline: Option<Instant>,
    stage: Stage,
    /// Set when hoist decides to end the command.
    reason: Option<Kind>,
    alarm: Timer,
    taker: &'a mut T,
}

impl<'a, T: Takes> Execution<'a, T> {
    pub(super) fn new(
        cancel: &'a Cancel,
        grace: Duration,
        exec: &'a Exec,
        deadline: Option<Instant>,
        taker: &'a mut T,
    ) -> Self {
        Self {
            cancel,
            grace,
            exec,
            deadline,
            stage: Stage::Running,
            reason: None,
            alarm: deadline.map_or_else(Timer::never, Timer::at),
            taker,
        }
    }

    /// Returns what became of the command, but for how much it wrote.
    pub(super) async fn follow(mut self, mut process: Box<dyn Process>) -> Verdict {
        let mut stopped = pin!(self.cancel.stopped());
        let mut killed = pin!(self.cancel.killed());
        let mut buffer = Vec::new();
        let mut turn = 0_u32;
        loop {
            let stage = self.stage;
            let alarm = async {
                (&mut self.alarm).await;
                Wake::Alarm
            };
            let stop = async {
                match stage {
                    Stage::Running => stopped.as_mut().await,
                    _ => future::pending().await,
                }
                Wake::Stopped
            };
            let kill = async {
                match stage {
                    Stage::Grace => killed.as_mut().await,
                    _ => future::pending().await,
                }
                Wake::Killed
            };
            let next = async { Wake::Progress(process.next(&mut buffer).await) };
            match alarm.or(stop).or(kill).or(next).await {
                Wake::Progress(Progress::Output(pipe)) => {
                    let bytes = std::mem::take(&mut buffer);
                    if let Err(error) = self.taker.take(pipe, bytes).await {
                        let _ = within(END_TIME, process.signal(Signal::Term)).await;
                        return Verdict::failed(Kind::Internal, error.to_string());
                    }
                    turn += 1;
                    if turn.is_multiple_of(CHUNKS_PER_TURN) {
                        future::yield_now().await;
                    }
                }
                Wake::Progress(Progress::Ended(end)) => return self.verdict(end),
                Wake::Stopped => self.begin_grace(),
                Wake::Alarm if self.stage == Stage::Kill => return self.give_up(),
                Wake::Alarm | Wake::Killed => self.advance(&mut *process).await,
            }
        }
    }

    fn begin_grace(&mut self) {
        self.stage = Stage::Grace;
        let grace_end = Instant::now().checked_add(self.grace);
        let end = self.deadline.into_iter().chain(grace_end).min();
        self.alarm = end.map_or_else(Timer::never, Timer::at);
    }

    /// Goes one stage further towards the end of the command.
    async fn advance(&mut self, process: &mut dyn Process) {
        let is_late = self
            .deadline
            .is_some_and(|deadline| deadline <= Instant::now());
        let signal = match self.stage {
            Stage::Running | Stage::Grace => {
                self.reason = Some(if is_late {
                    Kind::Timeout
                } else {
                    Kind::Cancelled
                });
                self.stage = Stage::Term;
                Signal::Term
            }
            Stage::Term | Stage::Kill => {
                self.stage = Stage::Kill;
                Signal::Kill
            }
        };
        let end_at = Instant::now() + END_TIME;
        // Whether it arrived shows in whether the command ends.
        let _ = within(END_TIME, process.signal(signal)).await;
        self.alarm.set_at(end_at);
    }

    fn give_up(self) -> Verdict {
        let message = self.ended_by_hoist("its end was not confirmed; it may still run");
        Verdict {
            kind: self.reason,
            message,
            killed: Some(Killed::Unconfirmed),
            ..Verdict::default()
        }
    }

    fn verdict(self, end: End) -> Verdict {
        let mut verdict = match end {
            End::Exited { status, is_held } => exited(status, is_held),
            End::NotSpawned { message } => Verdict::failed(Kind::Spawn, message),
            End::NotElevated { message } => Verdict::failed(Kind::Sudo, message),
            End::Replaced { message } => Verdict::failed(Kind::Channel, message),
            End::Lost { message } => Verdict::failed(Kind::Lost, message),
        };
        if let Some(reason) = self.reason {
            let is_gone = verdict.exit.is_some() && !verdict.is_held;
            verdict.killed = Some(if is_gone {
                Killed::Confirmed
            } else {
                Killed::Unconfirmed
            });
            verdict.kind = Some(reason);
            verdict.message = match &verdict.exit {
                Some(status) if is_gone => self.ended_by_hoist(&format!("ended: {status}")),
                _ => self.ended_by_hoist("its end was not confirmed; it may still run"),
            };
        }
        verdict
    }

    fn ended_by_hoist(&self, how: &str) -> String {
        match self.reason {
            Some(Kind::Timeout) => timed_out(self.exec, how),
            _ => format!("cancelled; {how}"),
        }
    }
}

fn exited(status: ExitStatus, is_held: bool) -> Verdict {
    let (kind, message) = match &status {
        ExitStatus::Code(0) => (None, String::new()),
        ExitStatus::Code(code) => (Some(Kind::Exit), format!("exit status {code}")),
        ExitStatus::Signal(name) => (Some(Kind::Signal), format!("killed by signal {name}")),
    };
    Verdict {
        kind,
        message,
        exit: Some(status),
        is_held,
        ..Verdict::default()
    }
}

fn timed_out(exec: &Exec, how: &str) -> String {
    let limit = exec.timeout.unwrap_or_default();
    format!("ran longer than {limit:?}; {how}")
}

/// Waits for `work` at most this long.
pub(super) async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    let late = async {
        Timer::after(limit).await;
        None
    };
    async { Some(work.await) }.or(late).await
}
