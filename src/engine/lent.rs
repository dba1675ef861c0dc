//! A host as it is lent to a transfer: it executes commands there, or opens the host's files, within its
//! time and until the run is to stop.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_io::Timer;
use futures_lite::future::FutureExt;

use super::attempt::{Attempt, deadline};
use super::execution::{Takes, Verdict};
use crate::event::EventKind;
use crate::outcome::Kind;
use crate::remote::{Exec, Pipe};
use crate::transfer::{Gauge, Ran, Site, Trouble};
use crate::transport::files::{FileError, FileReason, Files};
use crate::transport::{Session, Work};

/// Most bytes of an output that are kept, where a command has no limit of its own.
const MOST_KEPT: u64 = 256 * 1024 * 1024;
/// How often it is told how far files have come.
const TELLING_MILLIS: u64 = 100;
/// A host that takes or gives nothing, and answers nothing, for so long is given up.
const STALL: Duration = Duration::from_mins(1);

/// One host, lent.
pub(super) struct Lent<'a> {
    attempt: &'a Attempt<'a>,
    session: &'a mut dyn Session,
    timeout: Option<Duration>,
    deadline: Option<Instant>,
    clock: Arc<Clock>,
}

impl<'a> Lent<'a> {
    pub(super) fn new(
        attempt: &'a Attempt<'a>,
        session: &'a mut dyn Session,
        timeout: Option<Duration>,
    ) -> Self {
        Self {
            attempt,
            session,
            timeout,
            deadline: deadline(timeout),
            clock: Arc::new(Clock::new()),
        }
    }

    async fn execute<T: Takes>(&mut self, mut exec: Exec, taker: &mut T) -> Result<Ran, Trouble> {
        exec.timeout = self.timeout;
        let process = self.attempt.spawn(self.session, &exec, self.deadline).await;
        let verdict = match process {
            Ok(process) => {
                let follow = self.attempt.follow(process, &exec, self.deadline, taker);
                follow.await
            }
            Err(verdict) => verdict,
        };
        self.clock.tick();
        let Verdict {
            kind,
            exit,
            message,
            ..
        } = verdict;
        match (kind, exit) {
            (None | Some(Kind::Exit | Kind::Signal), Some(exit)) => Ok(Ran {
                exit,
                stdout: Vec::new(),
                stderr: Vec::new(),
            }),
            (kind, _) => Err(Trouble::new(kind.unwrap_or(Kind::Internal), message)),
        }
    }
}

impl Site for Lent<'_> {
    fn run(&mut self, exec: Exec) -> Work<'_, Result<Ran, Trouble>> {
        Box::pin(async move {
            let mut kept = Kept {
                most: exec.max_output.unwrap_or(MOST_KEPT),
                ..Kept::default()
            };
            let ran = self.execute(exec, &mut kept).await?;
            Ok(Ran {
                stdout: kept.stdout,
                stderr: kept.stderr,
                ..ran
            })
        })
    }

    fn stream<'a>(
        &'a mut self,
        exec: Exec,
        sink: &'a mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Work<'a, Result<Ran, Trouble>> {
        Box::pin(async move {
            let mut streamed = Streamed {
                sink,
                stderr: Kept {
                    most: exec.max_output.unwrap_or(MOST_KEPT),
                    ..Kept::default()
                },
            };
            let ran = self.execute(exec, &mut streamed).await?;
            Ok(Ran {
                stderr: streamed.stderr.stderr,
                ..ran
            })
        })
    }

    fn files(&mut self) -> Work<'_, Result<Box<dyn Files>, FileError>> {
        Box::pin(async move {
            let open = self.session.files();
            let opened = self.attempt.agree(open, self.timeout, self.deadline).await;
            opened.unwrap_or_else(|verdict| {
                let is_late = verdict.kind == Some(Kind::Channel);
                Err(FileError {
                    reason: if is_late {
                        FileReason::NoService
                    } else {
                        FileReason::Lost
                    },
                    message: verdict.message,
                })
            })
        })
    }

    fn over(&self) -> Work<'_, Trouble> {
        Box::pin(async move {
            let late = async {
                self.deadline.map_or_else(Timer::never, Timer::at).await;
                let limit = self.timeout.unwrap_or_default();
                Trouble::new(
                    Kind::Timeout,
                    format!("the files took longer than {limit:?}"),
                )
            };
            let stopped = async {
                self.attempt.shift.cancel.stopped().await;
                Trouble::new(Kind::Cancelled, "cancelled while files were on their way")
            };
            let stalled = async {
                loop {
                    let end = self.clock.stalls_at();
                    if end <= Instant::now() {
                        let message = format!("no byte of the files moved in {STALL:?}");
                        return Trouble::new(Kind::Timeout, message);
                    }
                    Timer::at(end).await;
                }
            };
            stopped.or(late).or(stalled).await
        })
    }

    fn progressed(&self) {
        self.clock.note();
    }

    fn gauge(&self, total: u64) -> Arc<Gauge> {
        let (reporter, host) = (self.attempt.reporter.clone(), self.attempt.host);
        let clock = Arc::clone(&self.clock);
        Arc::new(Gauge::new(total, move |bytes, total| {
            if clock.tick() || bytes == total {
                reporter.tell(EventKind::Moved { host, bytes, total });
            }
        }))
    }
}

/// When files last moved, and when that was last told, since the transfer began.
struct Clock {
    began: Instant,
    moved: AtomicU64,
    told: AtomicU64,
}

impl Clock {
    fn new() -> Self {
        Self {
            began: Instant::now(),
            moved: AtomicU64::new(0),
            told: AtomicU64::new(0),
        }
    }

    fn millis(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Notes that something moved.
    fn note(&self) -> u64 {
        let now = self.millis();
        self.moved.store(now, Ordering::Relaxed);
        now
    }

    /// Notes that something moved; whether it is time to tell.
    fn tick(&self) -> bool {
        let now = self.note();
        let is_due = now >= self.told.load(Ordering::Relaxed) + TELLING_MILLIS;
        if is_due {
            self.told.store(now, Ordering::Relaxed);
        }
        is_due
    }

    /// Returns when it is too long ago that something moved.
    fn stalls_at(&self) -> Instant {
        self.began + Duration::from_millis(self.moved.load(Ordering::Relaxed)) + STALL
    }
}

/// Both outputs, up to a limit each.
#[derive(Default)]
struct Kept {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    most: u64,
}

impl Takes for Kept {
    async fn take(&mut self, pipe: Pipe, bytes: Vec<u8>) -> io::Result<()> {
        let kept = match pipe {
            Pipe::Stdout => &mut self.stdout,
            Pipe::Stderr => &mut self.stderr,
        };
        let room = self.most.saturating_sub(kept.len() as u64);
        let room = usize::try_from(room).unwrap_or(usize::MAX);
        kept.extend_from_slice(&bytes[..bytes.len().min(room)]);
        Ok(())
    }
}

/// stdout that goes somewhere else as it comes.
struct Streamed<'a> {
    sink: &'a mut dyn FnMut(&[u8]) -> io::Result<()>,
    stderr: Kept,
}

impl Takes for Streamed<'_> {
    async fn take(&mut self, pipe: Pipe, bytes: Vec<u8>) -> io::Result<()> {
        match pipe {
            Pipe::Stdout => (self.sink)(&bytes),
            Pipe::Stderr => self.stderr.take(pipe, bytes).await,
        }
    }
}
