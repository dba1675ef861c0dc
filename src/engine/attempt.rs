//! One host from the first attempt to its outcome, as sequential async code.
//!
//! Deadlines live here: one for connecting (from the moment the host has its handshake slot), one
//! for the command. Both are instants on the monotonic clock, raced against the work, so that they
//! hold whatever a transport does. Ending a command goes through the same few stages for a time-out
//! and for a stop: TERM, some seconds, KILL, some seconds, give up.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant, SystemTime};

use async_io::Timer;
use async_lock::{Semaphore, SemaphoreGuard};
use futures_lite::future::{self, FutureExt};

use super::pace;
use super::report::{Outflow, Reporter};
use super::workers::Shift;
use crate::event::{EventKind, HostIndex};
use crate::host::{Endpoint, Route};
use crate::outcome::{Killed, Kind, Outcome, PipeTotal};
use crate::remote::{Exec, ExitStatus, Signal};
use crate::transport::{ConnectError, End, Phase, Process, Progress, Session, UnknownKey};

/// How long a command has to end after TERM, and again after KILL; sending the signal included.
const END_TIME: Duration = Duration::from_secs(2);
/// How long taking leave of a host may take.
const CLOSE_TIME: Duration = Duration::from_secs(1);
/// How long a handshake counts as work for this machine. One that takes longer waits for the
/// network or the host, and silent hosts must not keep the others waiting.
const SLOT_TIME: Duration = Duration::from_secs(1);
/// The first wait before another attempt; doubled each time.
const BACKOFF: Duration = Duration::from_millis(500);
/// The longest wait before another attempt.
const MAX_BACKOFF: Duration = Duration::from_secs(30);
/// How exactly the time of a host behind a jump host is taken.
const JUMP_TICK: Duration = Duration::from_millis(50);
/// Chunks read from one host before its neighbours get a turn.
const CHUNKS_PER_TURN: u32 = 16;

/// Works one host to its outcome and reports it, or has it set aside.
pub(super) async fn work(
    shift: &Shift<'_>,
    host: HostIndex,
    handshakes: &Semaphore,
    reporter: &Reporter,
) {
    let mut attempt = Attempt::new(shift, host, reporter);
    let verdict = match attempt.connect(handshakes).await {
        Ok(session) => attempt.execute(session).await,
        Err(failure) => match (failure.unknown_key.clone(), reporter.may_ask) {
            (Some(key), true) => return attempt.set_aside(*key, failure),
            _ => Verdict::failed(failure.kind, failure.message),
        },
    };
    let outcome = attempt.outcome(verdict);
    reporter.tell(EventKind::Finished {
        host,
        outcome: Box::new(outcome),
    });
}

/// What is known of a host when its work is over.
#[derive(Default)]
struct Verdict {
    kind: Option<Kind>,
    message: String,
    exit: Option<ExitStatus>,
    killed: Option<Killed>,
    is_held: bool,
    stdout: PipeTotal,
    stderr: PipeTotal,
}

impl Verdict {
    fn failed(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind: Some(kind),
            message: message.into(),
            ..Self::default()
        }
    }
}

struct Attempt<'a> {
    shift: &'a Shift<'a>,
    host: HostIndex,
    reporter: &'a Reporter,
    began_at: SystemTime,
    began: Instant,
    count: u32,
    connect_duration: Option<Duration>,
    peer: Option<String>,
}

impl<'a> Attempt<'a> {
    fn new(shift: &'a Shift<'a>, host: HostIndex, reporter: &'a Reporter) -> Self {
        Self {
            shift,
            host,
            reporter,
            began_at: SystemTime::now(),
            began: Instant::now(),
            count: 0,
            connect_duration: None,
            peer: None,
        }
    }

    fn endpoint(&self) -> &'a Endpoint {
        &self.shift.plan.hosts[self.host]
    }

    /// Returns the host's own limit, else that of the plan.
    fn connect_timeout(&self) -> Duration {
        let own = self.endpoint().ssh.connect_timeout;
        own.unwrap_or(self.shift.plan.limits.connect_timeout)
    }

    /// Returns how many further attempts the plan or the host's own settings allow.
    fn retries(&self) -> u32 {
        let own = self.endpoint().ssh.connection_attempts.saturating_sub(1);
        own.max(self.shift.plan.limits.retries)
    }

    /// Connects, again where that may help and is allowed.
    async fn connect(&mut self, handshakes: &Semaphore) -> Result<Box<dyn Session>, ConnectError> {
        loop {
            let failure = match self.connect_once(handshakes).await {
                Ok(session) => return Ok(session),
                Err(failure) => failure,
            };
            if !failure.is_transient || self.count > self.retries() {
                return Err(failure);
            }
            let pause = async {
                Timer::after(backoff(self.count)).await;
                false
            };
            if self.stopped(pause).await {
                return Err(failure);
            }
        }
    }

    /// Makes one attempt: dials, again and slower while a busy host hangs up before login and
    /// there is time. Waiting for a turn takes none of that time.
    async fn connect_once(
        &mut self,
        handshakes: &Semaphore,
    ) -> Result<Box<dyn Session>, ConnectError> {
        let mut left = self.connect_timeout();
        for drops in 0.. {
            let (result, spent) = self.dial(handshakes, left, drops == 0).await?;
            let failure = match result {
                Err(failure) if failure.is_busy => failure,
                result => return self.connected(result, spent),
            };
            let wait = pace::wait(drops);
            left = left.saturating_sub(spent + wait);
            let pause = async {
                Timer::after(wait).await;
                false
            };
            if left.is_zero() || self.stopped(pause).await {
                return Err(failure);
            }
        }
        unreachable!("the time to connect is used up before the numbers are");
    }

    fn connected(
        &mut self,
        result: Result<Box<dyn Session>, ConnectError>,
        duration: Duration,
    ) -> Result<Box<dyn Session>, ConnectError> {
        self.connect_duration = Some(duration);
        let session = result?;
        self.peer = session.peer();
        self.reporter.tell(EventKind::Connected {
            host: self.host,
            duration,
            login: session.login().map(Box::new),
        });
        Ok(session)
    }

    /// Waits for a turn, then connects within `limit`; returns how long that took. `Err` when the
    /// run is stopped before the turn came.
    async fn dial(
        &mut self,
        handshakes: &Semaphore,
        limit: Duration,
        is_first: bool,
    ) -> Result<(Result<Box<dyn Session>, ConnectError>, Duration), ConnectError> {
        let endpoint = self.endpoint();
        let turn = async {
            let place = self.shift.pace.place(endpoint).await;
            let slot = handshakes.acquire().await;
            self.shift.pace.turn().await;
            Ok((place, slot))
        };
        let stopped = async {
            self.shift.cancel.stopped().await;
            Err(cancelled("before it was connected"))
        };
        let is_untried = self.count == 0;
        let (place, slot) = stopped.or(turn).await.map_err(|failure| {
            if is_untried {
                ConnectError {
                    kind: Kind::NotStarted,
                    ..failure
                }
            } else {
                failure
            }
        })?;
        let began = Instant::now();
        if is_first {
            self.count += 1;
            if self.count == 1 {
                (self.began, self.began_at) = (began, SystemTime::now());
            }
            self.reporter.tell(EventKind::Attempt {
                host: self.host,
                attempt: self.count,
            });
        }
        let result = holding(slot, self.connect_within(limit)).await;
        match &result {
            Ok(_) => place.went_well(),
            Err(failure) if failure.is_busy || failure.kind == Kind::Refused => {
                self.shift.pace.slow_down(endpoint);
            }
            Err(_) => {}
        }
        Ok((result, began.elapsed()))
    }

    async fn connect_within(&self, limit: Duration) -> Result<Box<dyn Session>, ConnectError> {
        let phase = Cell::new(Phase::Start);
        let deadline = async {
            self.own_time(limit, &phase).await;
            let whole = self.connect_timeout();
            Err(ConnectError::transient(
                Kind::ConnectTimeout,
                format!("no answer in {whole:?} while {}", phase.get().as_str()),
            ))
        };
        let stopped = async {
            self.shift.cancel.stopped().await;
            Err(cancelled(&format!("while {}", phase.get().as_str())))
        };
        self.shift
            .transport
            .connect(self.endpoint(), &phase)
            .or(deadline)
            .or(stopped)
            .await
    }

    /// Waits until the host has used up this much time; waiting for its jump host takes none.
    async fn own_time(&self, limit: Duration, phase: &Cell<Phase>) {
        let mut left = limit;
        if matches!(self.endpoint().ssh.route, Route::Jump(_)) {
            while !left.is_zero() {
                let tick = left.min(JUMP_TICK);
                let is_own = phase.get() != Phase::Jump;
                Timer::after(tick).await;
                if is_own || phase.get() != Phase::Jump {
                    left -= tick;
                }
            }
        }
        Timer::after(left).await;
    }

    /// Runs the command, if there is one, on an open session and takes leave of the host.
    async fn execute(&self, mut session: Box<dyn Session>) -> Verdict {
        let verdict = match self.shift.plan.exec_for(self.host) {
            Some(exec) => self.execute_on(&mut session, &exec).await,
            None => Verdict::default(),
        };
        within(CLOSE_TIME, session.close()).await;
        verdict
    }

    async fn execute_on(&self, session: &mut Box<dyn Session>, exec: &Exec) -> Verdict {
        let deadline = exec
            .timeout
            .and_then(|limit| Instant::now().checked_add(limit));
        match self.spawn(session, exec, deadline).await {
            Ok(process) => {
                self.reporter.tell(EventKind::Started { host: self.host });
                Execution::new(self, exec, deadline).follow(process).await
            }
            Err(verdict) => verdict,
        }
    }

    /// Starts the command; the host has as long to agree as it had to connect.
    async fn spawn(
        &self,
        session: &mut Box<dyn Session>,
        exec: &Exec,
        deadline: Option<Instant>,
    ) -> Result<Box<dyn Process>, Verdict> {
        let limit = self.connect_timeout();
        let not_started = |kind, limit: Duration| {
            let message = format!("the host did not start the command in {limit:?}");
            Err(Verdict::failed(kind, message))
        };
        let late = async {
            Timer::after(limit).await;
            not_started(Kind::Channel, limit)
        };
        let over = async {
            deadline.map_or_else(Timer::never, Timer::at).await;
            not_started(Kind::Timeout, exec.timeout.unwrap_or_default())
        };
        let stopped = async {
            self.shift.cancel.stopped().await;
            Err(Verdict::failed(
                Kind::Cancelled,
                "cancelled while the command was being started",
            ))
        };
        let spawn = async {
            let refused =
                |error: crate::transport::SpawnError| Verdict::failed(error.kind, error.message);
            session.spawn(exec).await.map_err(refused)
        };
        spawn.or(over).or(late).or(stopped).await
    }

    /// Waits for `work` unless the run is to stop; returns whether it is.
    async fn stopped(&self, work: impl Future<Output = bool>) -> bool {
        let stopped = async {
            self.shift.cancel.stopped().await;
            true
        };
        stopped.or(work).await
    }

    fn set_aside(&self, key: UnknownKey, failure: ConnectError) {
        let outcome = self.outcome(Verdict::failed(failure.kind, failure.message));
        self.reporter.set_aside(self.host, key, outcome);
    }

    fn outcome(&self, verdict: Verdict) -> Outcome {
        let endpoint = self.endpoint();
        Outcome {
            kind: verdict.kind,
            exit: verdict.exit,
            message: verdict.message,
            address: self
                .peer
                .clone()
                .unwrap_or_else(|| endpoint.address.to_string()),
            user: endpoint.user.as_ref().map(ToString::to_string),
            port: endpoint.user.is_some().then(|| endpoint.port.get()),
            started_at: self.began_at,
            duration: self.began.elapsed(),
            connect_duration: self.connect_duration,
            attempts: self.count,
            stdout: verdict.stdout,
            stderr: verdict.stderr,
            is_stdout_held: verdict.is_held,
            killed: verdict.killed,
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

/// One command, followed to its end.
struct Execution<'a> {
    attempt: &'a Attempt<'a>,
    exec: &'a Exec,
    deadline: Option<Instant>,
    stage: Stage,
    /// Set when hoist decides to end the command.
    reason: Option<Kind>,
    alarm: Timer,
    outflow: Outflow<'a>,
}

impl<'a> Execution<'a> {
    fn new(attempt: &'a Attempt<'a>, exec: &'a Exec, deadline: Option<Instant>) -> Self {
        Self {
            attempt,
            exec,
            deadline,
            stage: Stage::Running,
            reason: None,
            alarm: deadline.map_or_else(Timer::never, Timer::at),
            outflow: Outflow::new(attempt.reporter, attempt.host, exec.max_output),
        }
    }

    async fn follow(mut self, mut process: Box<dyn Process>) -> Verdict {
        let cancel = self.attempt.shift.cancel;
        let mut stopped = pin!(cancel.stopped());
        let mut killed = pin!(cancel.killed());
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
                    self.outflow.push(pipe, std::mem::take(&mut buffer)).await;
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
        let grace_end = Instant::now().checked_add(self.attempt.shift.plan.limits.grace);
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
        self.with_totals(Verdict {
            kind: self.reason,
            message,
            killed: Some(Killed::Unconfirmed),
            ..Verdict::default()
        })
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
        self.with_totals(verdict)
    }

    fn ended_by_hoist(&self, how: &str) -> String {
        match self.reason {
            Some(Kind::Timeout) => timed_out(self.exec, how),
            _ => format!("cancelled; {how}"),
        }
    }

    fn with_totals(&self, verdict: Verdict) -> Verdict {
        Verdict {
            stdout: self.outflow.stdout,
            stderr: self.outflow.stderr,
            ..verdict
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

fn cancelled(when: &str) -> ConnectError {
    ConnectError::permanent(Kind::Cancelled, format!("cancelled {when}"))
}

/// Returns a random wait of up to twice as long as before the previous attempt (full jitter).
fn backoff(attempts: u32) -> Duration {
    let doubled = BACKOFF.saturating_mul(1_u32.checked_shl(attempts - 1).unwrap_or(u32::MAX));
    doubled.min(MAX_BACKOFF).mul_f64(fastrand::f64())
}

/// Does `work`, giving `slot` back on the way if it takes long.
async fn holding<T>(slot: SemaphoreGuard<'_>, work: impl Future<Output = T>) -> T {
    let mut work = pin!(work);
    if let Some(result) = within(SLOT_TIME, work.as_mut()).await {
        return result;
    }
    drop(slot);
    work.await
}

/// Waits for `work` at most this long.
async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    let late = async {
        Timer::after(limit).await;
        None
    };
    async { Some(work.await) }.or(late).await
}
