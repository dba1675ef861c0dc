//! One host from the first attempt to its outcome, as sequential async code.
//!
//! Deadlines live here: one for connecting (from the moment the host has its handshake slot), one
//! for the command. Both are instants on the monotonic clock, raced against the work, so that they
//! hold whatever a transport does. How a command is followed and ended is in `execution`, what a
//! transfer may use of a host in `lent`.

use std::cell::Cell;
use std::future::Future;
use std::pin::pin;
use std::time::{Duration, Instant, SystemTime};

use async_io::Timer;
use async_lock::{Semaphore, SemaphoreGuard};
use futures_lite::future::FutureExt;

use super::execution::{Execution, Takes, Verdict, within};
use super::lent::Lent;
use super::pace;
use super::report::{Outflow, Reporter};
use super::workers::Shift;
use crate::event::{EventKind, HostIndex};
use crate::host::{Endpoint, Route};
use crate::outcome::{Kind, Outcome};
use crate::plan::Transfer;
use crate::remote::{Exec, Pipe};
use crate::transfer;
use crate::transport::{ConnectError, Phase, Process, Session, UnknownKey};

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

/// One host being worked.
pub(super) struct Attempt<'a> {
    pub(super) shift: &'a Shift<'a>,
    pub(super) host: HostIndex,
    pub(super) reporter: &'a Reporter,
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
        let plan = self.shift.plan;
        let verdict = match (&plan.transfer, plan.exec_for(self.host)) {
            (Some(transfer), _) => self.transfer(&mut *session, transfer).await,
            (None, Some(exec)) => self.execute_on(&mut *session, &exec).await,
            (None, None) => Verdict::default(),
        };
        within(CLOSE_TIME, session.close()).await;
        verdict
    }

    async fn execute_on(&self, session: &mut dyn Session, exec: &Exec) -> Verdict {
        let deadline = deadline(exec.timeout);
        let process = match self.spawn(session, exec, deadline).await {
            Ok(process) => process,
            Err(verdict) => return verdict,
        };
        self.reporter.tell(EventKind::Started { host: self.host });
        let mut outflow = Outflow::new(self.reporter, self.host, exec.max_output);
        let verdict = self.follow(process, exec, deadline, &mut outflow).await;
        outflow.counted(verdict)
    }

    /// Brings files to the host or fetches some, and tells what was done as a command would.
    async fn transfer(&self, session: &mut dyn Session, transfer: &Transfer) -> Verdict {
        self.reporter.tell(EventKind::Started { host: self.host });
        let mut lent = Lent::new(self, session, transfer.timeout());
        let (report, result) = match transfer {
            Transfer::Put(put) => transfer::put(put, self.host, &mut lent).await,
            Transfer::Get(get) => {
                let name = &self.endpoint().name;
                transfer::get(get, self.host, name, &mut lent).await
            }
        };
        let mut outflow = Outflow::new(self.reporter, self.host, None);
        outflow.push(Pipe::Stdout, report.text()).await;
        let mut verdict = Verdict::default();
        if let Err(trouble) = result {
            outflow.push(Pipe::Stderr, trouble.output).await;
            verdict = Verdict::failed(trouble.kind, trouble.message);
        }
        verdict.has_changed = report.has_changed;
        outflow.counted(verdict)
    }

    /// Follows a command to its end.
    pub(super) async fn follow<T: Takes>(
        &self,
        process: Box<dyn Process>,
        exec: &Exec,
        deadline: Option<Instant>,
        taker: &mut T,
    ) -> Verdict {
        let (cancel, grace) = (self.shift.cancel, self.shift.plan.limits.grace);
        let execution = Execution::new(cancel, grace, exec, deadline, taker);
        execution.follow(process).await
    }

    /// Starts the command; the host has as long to agree as it had to connect.
    pub(super) async fn spawn(
        &self,
        session: &mut dyn Session,
        exec: &Exec,
        deadline: Option<Instant>,
    ) -> Result<Box<dyn Process>, Verdict> {
        let refused =
            |error: crate::transport::SpawnError| Verdict::failed(error.kind, error.message);
        let spawn = async { session.spawn(exec).await.map_err(refused) };
        let agreed = self.agree(spawn, exec.timeout, deadline).await;
        agreed.unwrap_or_else(Err)
    }

    /// Waits until the host agrees to something, unless time is up or the run is to stop.
    pub(super) async fn agree<T>(
        &self,
        work: impl Future<Output = T>,
        timeout: Option<Duration>,
        deadline: Option<Instant>,
    ) -> Result<T, Verdict> {
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
            not_started(Kind::Timeout, timeout.unwrap_or_default())
        };
        let stopped = async {
            self.shift.cancel.stopped().await;
            Err(Verdict::failed(
                Kind::Cancelled,
                "cancelled while the command was being started",
            ))
        };
        async { Ok(work.await) }.or(over).or(late).or(stopped).await
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
            has_changed: verdict.has_changed,
        }
    }
}

/// Returns when a limit that begins now is over.
pub(super) fn deadline(limit: Option<Duration>) -> Option<Instant> {
    limit.and_then(|limit| Instant::now().checked_add(limit))
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
