//! Works a plan: every host exactly once, never more at a time than the limits allow.
//!
//! A [`Plan`] and a [`Transport`] come in; events go out to the listeners, in order, on the
//! calling thread; a [`Summary`] is returned. Inside, a rayon pool of one worker per core drives
//! all hosts as sequential async tasks (see `workers`); one host's life is in `attempt`. A host
//! that fails is an outcome like any other; `Err` means that hoist could not do its own work.
//!
//! ```text
//! plan ─► workers ─(crossbeam)─► receiver on the calling thread ─► listeners
//!             └─ attempt: connect ─► spawn ─► output … ─► outcome
//!                                 └─► transfer ─► outcome
//! ```
//!
//! Memory is bounded by credit: a worker may have only so many chunks of output on the way to the
//! receiver, and reads no further from its host until the receiver has given one back.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crossbeam_channel::Receiver;
use thiserror::Error;

use crate::event::{Event, EventKind, HostIndex, Listener};
use crate::outcome::{Kind, Outcome, Summary};
use crate::plan::Plan;
use crate::transport::{Transport, UnknownKey};

mod attempt;
mod cancel;
mod execution;
mod lent;
mod pace;
mod report;
mod workers;

pub use cancel::Cancel;

use report::{Message, Reporter};

/// Why a run could not be done or recorded, as far as hoist itself is concerned.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EngineError {
    /// A listener could not do its work; every host was worked all the same.
    #[error(transparent)]
    Listener(#[from] io::Error),
    /// The system gave no threads.
    #[error("cannot start worker threads: {0}")]
    Workers(#[from] rayon::ThreadPoolBuildError),
    /// The system would not give enough threads; nobody was contacted.
    #[error(
        "cannot start {needed} threads: {error}; end other programs of this user, or raise \
         `ulimit -u` or the container's limit of processes"
    )]
    Threads {
        /// How many are needed.
        needed: usize,
        /// What the system said.
        error: io::Error,
    },
}

/// Answers whether host keys that nobody has vouched for are to be accepted; no key is named twice.
/// Called on the calling thread, when nothing else is being worked: once a run, and once more for
/// each jump host on the longest way, as hosts show their keys only when the one before them is
/// trusted.
pub type Ask<'a> = &'a mut dyn FnMut(&[UnknownKey]) -> bool;

/// Makes sure that the system gives the threads a run of `plan` needs, and `others` beside them.
///
/// Some of them are started by libraries that end the program when they get none, so all are
/// started once for a try. [`run`] does this too; whoever starts threads of their own before it
/// may want to know earlier.
///
/// # Errors
/// [`EngineError::Threads`] when it does not.
pub fn check_threads(plan: &Plan, others: usize) -> Result<(), EngineError> {
    // Each worker may be starting a process, which counts as a thread does.
    let workers = 2 * workers::count(plan.hosts.len(), &plan.limits);
    let needed = workers + workers::HELPERS + others;
    workers::try_threads(needed).map_err(|error| EngineError::Threads { needed, error })
}

/// Works `plan` to its end, telling the listeners every event in order, on the calling thread.
///
/// Blocks until every host has finished. With `ask`, hosts with unknown keys are set aside,
/// disconnected, until all others are done; then one question decides about all of them.
///
/// # Errors
/// When a listener failed (the first error, after the run was finished) or no worker could be
/// started.
pub fn run(
    plan: &Plan,
    transport: &dyn Transport,
    cancel: &Cancel,
    listeners: &mut [&mut dyn Listener],
    ask: Option<Ask<'_>>,
) -> Result<Summary, EngineError> {
    check_threads(plan, 0)?;
    let mut desk = Desk::new(plan, listeners);
    desk.tell(EventKind::RunStarted {
        run: plan.run.clone(),
        hosts: plan.hosts.iter().map(|host| host.name.clone()).collect(),
    });

    let mut run = Run {
        plan,
        transport,
        cancel,
        may_ask: ask.is_some(),
    };
    run.work(&(0..plan.hosts.len()).collect::<Vec<_>>(), &mut desk)?;

    if let Some(ask) = ask {
        for questions_left in (0..=longest_way(plan)).rev() {
            let set_aside = std::mem::take(&mut desk.set_aside);
            if set_aside.is_empty() {
                break;
            }
            run.may_ask = questions_left > 0;
            run.decide(set_aside, ask, &mut desk)?;
        }
    }
    desk.finish_untouched(cancel);
    desk.close(cancel)
}

struct Run<'a> {
    plan: &'a Plan,
    transport: &'a dyn Transport,
    cancel: &'a Cancel,
    may_ask: bool,
}

impl Run<'_> {
    /// Works these hosts with a pool of its own; returns when the last is done or set aside.
    fn work(&self, hosts: &[HostIndex], desk: &mut Desk<'_, '_>) -> Result<(), EngineError> {
        let workers = workers::count(hosts.len(), &self.plan.limits);
        let pool = workers::pool(workers)?;
        let (events, inbox) = crossbeam_channel::unbounded();
        let reporter = Reporter::new(events, self.may_ask);
        let shift = workers::Shift::new(self.plan, self.transport, self.cancel, hosts, workers);
        pool.in_place_scope(|scope| {
            for worker in 0..workers {
                let (shift, reporter) = (&shift, reporter.clone());
                scope.spawn(move |_| shift.work(worker, &reporter));
            }
            drop(reporter);
            desk.receive(&inbox);
        });
        Ok(())
    }

    /// Asks once about all hosts that were set aside, and works them again if the answer is yes.
    fn decide(
        &self,
        set_aside: BTreeMap<HostIndex, (UnknownKey, Outcome)>,
        ask: &mut dyn FnMut(&[UnknownKey]) -> bool,
        desk: &mut Desk<'_, '_>,
    ) -> Result<(), EngineError> {
        let hosts: Vec<_> = set_aside.keys().copied().collect();
        let mut keys: Vec<UnknownKey> = Vec::new();
        let mut seen = HashSet::new();
        for (key, _) in set_aside.values() {
            // Many hosts may be behind one jump host.
            if seen.insert((&key.host, &key.blob)) {
                keys.push(key.clone());
            }
        }
        if self.cancel.is_stopped() || !ask(&keys) {
            for (host, (_, outcome)) in set_aside {
                desk.tell(EventKind::Finished {
                    host,
                    outcome: Box::new(outcome),
                });
            }
            return Ok(());
        }
        if let Err(error) = self.transport.trust(&keys) {
            desk.fail(error);
        }
        self.work(&hosts, desk)
    }
}

/// Returns how many jump hosts are on the way to the host that has most of them.
fn longest_way(plan: &Plan) -> usize {
    let jumps = plan.hosts.iter().map(|host| host.jumps().count());
    jumps.max().unwrap_or(0)
}

/// Where events arrive: tells the listeners and keeps the count.
struct Desk<'a, 'l> {
    plan: &'a Plan,
    listeners: &'a mut [&'l mut dyn Listener],
    summary: Summary,
    is_finished: Vec<bool>,
    set_aside: BTreeMap<HostIndex, (UnknownKey, Outcome)>,
    began: Instant,
    error: Option<io::Error>,
}

impl<'a, 'l> Desk<'a, 'l> {
    fn new(plan: &'a Plan, listeners: &'a mut [&'l mut dyn Listener]) -> Self {
        Self {
            plan,
            listeners,
            summary: Summary {
                hosts: plan.hosts.len(),
                ..Summary::default()
            },
            is_finished: vec![false; plan.hosts.len()],
            set_aside: BTreeMap::new(),
            began: Instant::now(),
            error: None,
        }
    }

    fn receive(&mut self, inbox: &Receiver<Message>) {
        for message in inbox {
            match message {
                // The credit goes back when the listeners have had the bytes.
                Message::Event { event, credit } => {
                    self.tell_event(&event);
                    drop(credit);
                }
                Message::SetAside { host, key, outcome } => {
                    self.set_aside.insert(host, (key, *outcome));
                }
            }
        }
    }

    fn tell(&mut self, kind: EventKind) {
        self.tell_event(&Event {
            at: SystemTime::now(),
            kind,
        });
    }

    fn tell_event(&mut self, event: &Event) {
        if let EventKind::Finished { host, outcome } = &event.kind {
            debug_assert!(!self.is_finished[*host], "a host finishes once");
            self.is_finished[*host] = true;
            self.summary.count(outcome);
        }
        for index in 0..self.listeners.len() {
            if let Err(error) = self.listeners[index].tell(event) {
                self.fail(error);
            }
        }
    }

    fn fail(&mut self, error: io::Error) {
        self.error.get_or_insert(error);
    }

    /// Accounts for hosts that no worker reported: not started, or lost by hoist itself.
    fn finish_untouched(&mut self, cancel: &Cancel) {
        for host in 0..self.plan.hosts.len() {
            if !self.is_finished[host] {
                let outcome = match cancel.reason() {
                    Some(reason) => report::untried(
                        self.plan,
                        host,
                        Kind::NotStarted,
                        format!("not started: the run was stopped by {}", reason.as_str()),
                    ),
                    None => report::untried(
                        self.plan,
                        host,
                        Kind::Internal,
                        "hoist lost track of this host; please report this".to_owned(),
                    ),
                };
                self.tell(EventKind::Finished {
                    host,
                    outcome: Box::new(outcome),
                });
            }
        }
    }

    fn close(mut self, cancel: &Cancel) -> Result<Summary, EngineError> {
        self.summary.duration = self.began.elapsed();
        self.summary.stopped_by = cancel.reason();
        self.tell(EventKind::RunFinished {
            summary: self.summary.clone(),
        });
        match self.error {
            Some(error) => Err(error.into()),
            None => Ok(self.summary),
        }
    }
}

/// A list of hosts being worked, shared by the workers.
type Queue = Arc<[HostIndex]>;

#[cfg(test)]
mod tests;
