//! A few workers, one per core, each driving very many hosts.
//!
//! Every worker is a rayon job that runs an executor until the last of its hosts is done; a host is
//! a task on it that never moves to another worker. Measured against a thread per host, this costs
//! a third less memory and, beyond a few hundred hosts, far less CPU. Hosts are taken from one
//! queue in plan order, so a worker with slow hosts takes fewer.

use std::io;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use async_executor::LocalExecutor;
use async_lock::Semaphore;
use futures_lite::future::{self, FutureExt};

use super::attempt;
use super::pace::Pace;
use super::report::{self, Reporter};
use super::{Cancel, Queue};
use crate::event::{EventKind, HostIndex};
use crate::outcome::Kind;
use crate::plan::{Limits, Plan};
use crate::transport::Transport;

/// How long hosts are run before sockets and timers are looked at.
const TURN: Duration = Duration::from_millis(2);

/// Returns how many workers to start: no more than cores, hosts, or hosts worked at once.
pub(super) fn count(hosts: usize, limits: &Limits) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    cores.min(hosts).min(limits.fan_out).max(1)
}

/// Threads that are started besides the workers: one that watches sockets and timers, one that
/// waits for processes, one that looks up names.
pub(super) const HELPERS: usize = 3;

/// Starts so many threads at once, and ends them.
pub(super) fn try_threads(count: usize) -> io::Result<()> {
    let (start, started) = crossbeam_channel::bounded::<()>(0);
    thread::scope(|scope| {
        // Dropped on the way out, it ends everybody's waiting.
        let _start = start;
        (0..count).try_for_each(|_| {
            let started = started.clone();
            let wait = move || started.recv().unwrap_or_default();
            thread::Builder::new().spawn_scoped(scope, wait).map(drop)
        })
    })
}

/// Makes a pool whose every thread is occupied by one worker until the work is done.
pub(super) fn pool(workers: usize) -> Result<rayon::ThreadPool, rayon::ThreadPoolBuildError> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(workers)
        .thread_name(|index| format!("worker-{index}"))
        .build()
}

/// A list of hosts being worked by a number of workers.
pub(super) struct Shift<'a> {
    pub(super) plan: &'a Plan,
    pub(super) transport: &'a dyn Transport,
    pub(super) cancel: &'a Cancel,
    pub(super) pace: Pace,
    queue: Queue,
    next: AtomicUsize,
    workers: usize,
}

impl<'a> Shift<'a> {
    pub(super) fn new(
        plan: &'a Plan,
        transport: &'a dyn Transport,
        cancel: &'a Cancel,
        hosts: &[HostIndex],
        workers: usize,
    ) -> Self {
        Self {
            plan,
            transport,
            cancel,
            pace: Pace::new(plan.limits.connect_rate),
            queue: hosts.into(),
            next: AtomicUsize::new(0),
            workers,
        }
    }

    /// Takes hosts from the queue until it is empty, and returns when the last one is done.
    pub(super) fn work(&self, worker: usize, reporter: &Reporter) {
        let limits = &self.plan.limits;
        let fan_out = share(limits.fan_out, worker, self.workers);
        let slots = Rc::new(Semaphore::new(fan_out));
        let handshakes = Semaphore::new(share(limits.handshakes, worker, self.workers).max(1));
        let executor = LocalExecutor::new();
        let feed = async {
            while let Some(slot) = self.slot(&slots).await {
                let Some(host) = self.take() else { break };
                let task = self.host(host, &handshakes, reporter);
                executor
                    .spawn(async move {
                        task.await;
                        drop(slot);
                    })
                    .detach();
                // Lets the host begin, and the other worker take the next one.
                future::yield_now().await;
            }
            // Every slot back means every host done.
            for _ in 0..fan_out {
                slots.acquire().await.forget();
            }
        };
        async_io::block_on(feed.or(in_turns(&executor)));
    }

    /// Waits for room for one more host; `None` when the run is to stop.
    async fn slot(&self, slots: &Rc<Semaphore>) -> Option<Slot> {
        let stopped = async {
            self.cancel.stopped().await;
            None
        };
        let free = async {
            slots.acquire().await.forget();
            Some(Slot(Rc::clone(slots)))
        };
        stopped.or(free).await
    }

    fn take(&self) -> Option<HostIndex> {
        let place = self.next.fetch_add(1, Ordering::Relaxed);
        self.queue.get(place).copied()
    }

    /// Works one host; a defect in hoist costs that host, not the run.
    async fn host(&self, host: HostIndex, handshakes: &Semaphore, reporter: &Reporter) {
        let work = attempt::work(self, host, handshakes, reporter);
        if AssertUnwindSafe(work).catch_unwind().await.is_err() {
            let message = "hoist failed while working this host; please report this".to_owned();
            let outcome = report::untried(self.plan, host, Kind::Internal, message);
            reporter.tell(EventKind::Finished {
                host,
                outcome: Box::new(outcome),
            });
        }
    }
}

/// Runs hosts, and looks at sockets and timers at least each [`TURN`]: a host that always has something
/// to do must not keep others from hearing that they have, too.
async fn in_turns(executor: &LocalExecutor<'_>) {
    loop {
        let began = Instant::now();
        while began.elapsed() < TURN {
            executor.tick().await;
        }
        future::yield_now().await;
    }
}

/// Room for one host, given back when dropped.
struct Slot(Rc<Semaphore>);

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.add_permits(1);
    }
}

/// Returns this worker's part of `total`; the parts add up to it.
fn share(total: usize, worker: usize, workers: usize) -> usize {
    total / workers + usize::from(worker < total % workers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        for total in 1..40 {
            for workers in 1..=total {
                let parts: Vec<_> = (0..workers).map(|w| share(total, w, workers)).collect();
                assert_eq!(parts.iter().sum::<usize>(), total);
                assert!(parts.iter().all(|part| *part > 0));
            }
        }
    }
}
