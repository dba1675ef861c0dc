//! An `ssh` that holds a connection, over which others start commands (`ControlMaster`).

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_lite::future;

use super::arguments::Arguments;
use super::asking::Desk;
use super::failure;
use super::folder::Watched;
use super::log::Log;
use super::{Demands, Program};
use crate::host::{Endpoint, Route};
use crate::outcome::{Kind, Login};
use crate::remote::{Signal, Stdin};
use crate::transport::child::{self, Running};
use crate::transport::{ConnectError, Phase, Process, Progress};

/// Pieces of its log read at once: a host may have any number of lines written.
const PIECES_PER_TURN: usize = 8;

/// The `ssh` of one connection; ended when dropped.
pub(super) struct Master {
    running: Running,
    /// Until it is over.
    watched: Option<Watched>,
    pub(super) log: Log,
    /// It has ended, and its log is read.
    pub(super) is_over: bool,
    /// Where other `ssh` find it.
    pub(super) socket: PathBuf,
    buffer: Vec<u8>,
    /// The hosts before this one and their logs, the nearest first.
    jumps: Vec<(Arc<Endpoint>, PathBuf)>,
}

impl Master {
    /// Connects and logs in.
    pub(super) async fn connect(
        program: &Program,
        endpoint: &Endpoint,
        demands: Demands<'_>,
        phase: &Cell<Phase>,
    ) -> Result<Self, ConnectError> {
        let internal = |error: io::Error| {
            ConnectError::transient(Kind::Internal, format!("cannot start ssh: {error}"))
        };
        let answers = RefCell::new(demands.answers);
        let desk = match &program.asker {
            Some(asker) if !answers.borrow().is_empty() => {
                Some(Desk::open(&program.folder, asker).map_err(internal)?)
            }
            _ => None,
        };
        let started = Self::start(program, endpoint, desk.as_ref(), demands.is_accepted);
        let mut master = started.map_err(internal)?;
        let ready = poll_fn(|cx| {
            master.poll(cx);
            if master.log.phase != Phase::Start {
                phase.set(master.log.phase);
            }
            if master.log.is_ready || master.is_over {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        });
        match &desk {
            Some(desk) => future::or(ready, desk.serve(&answers)).await,
            None => ready.await,
        }
        if master.is_over {
            let mut failure = master.failure(endpoint);
            if failure.kind == Kind::Auth
                && let Some(withheld) = demands.withheld
            {
                failure.message = format!("{}; {withheld}", failure.message);
            }
            return Err(failure);
        }
        Ok(master)
    }

    fn start(
        program: &Program,
        endpoint: &Endpoint,
        desk: Option<&Desk>,
        is_accepted: &dyn Fn(&Endpoint) -> bool,
    ) -> io::Result<Self> {
        let socket = program.folder.place("s");
        let mut arguments = Arguments::own(program);
        arguments
            .word("-N")
            .word("-M")
            .word("-S")
            .word(&socket)
            // Not `LogLevel`: without this, what a ProxyCommand says is lost.
            .word("-v");
        if program.tells_all() {
            // Tells when the host agrees to run a command, and when a status arrives.
            arguments.option("LogVerbose=*:mux_exit_message():*,*:client_status_confirm():*");
        }
        arguments
            .batch(desk.is_none())
            .liveness(&endpoint.ssh)
            .host_key(endpoint, program, is_accepted(endpoint))?;
        let jumps = arguments.route(endpoint, program, is_accepted, desk.is_some())?;
        arguments.settings(endpoint).host(endpoint);
        let mut command = std::process::Command::new(&program.path);
        command.args(arguments.words()).process_group(0);
        if let Some(desk) = desk {
            command
                .env("SSH_ASKPASS", desk.program())
                .env("SSH_ASKPASS_REQUIRE", "force");
        }
        if matches!(endpoint.ssh.route, Route::Jump(_)) {
            // It runs the commands that lead there, which are quoted for this one.
            command.env("SHELL", "/bin/sh");
        }
        child::end_with_parent(&mut command);
        let mut command = async_process::Command::from(command);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let running = Running::start(command, (&Stdin::Empty).into())?;
        Ok(Self {
            watched: Some(program.folder.watch(running.group())),
            running,
            log: Log::default(),
            is_over: false,
            socket,
            buffer: Vec::new(),
            jumps,
        })
    }

    /// Reads on in the log; wakes the task when there is more.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        for _ in 0..PIECES_PER_TURN {
            if self.is_over {
                return;
            }
            match self.running.poll(cx, &mut self.buffer) {
                Poll::Ready(Progress::Output(_)) => self.log.push(&self.buffer),
                Poll::Ready(Progress::Ended(_)) => {
                    self.is_over = true;
                    self.watched = None;
                }
                Poll::Pending => return,
            }
        }
        cx.waker().wake_by_ref();
    }

    /// Returns what the host told of itself.
    pub(super) fn login(&self) -> Option<Login> {
        let (host_key, fingerprint) = self.log.host_key.clone()?;
        Some(Login {
            server: self.log.server.clone(),
            host_key,
            fingerprint,
            method: self.log.method?,
        })
    }

    /// Returns ssh's last words about a connection that is over.
    pub(super) fn last_words(&self) -> String {
        failure::last_words(&self.log).unwrap_or_else(|| "ssh ended without a word".to_owned())
    }

    /// Ends the connection.
    pub(super) async fn close(mut self) {
        let _ = self.running.signal(Signal::Term).await;
        poll_fn(|cx| {
            self.poll(cx);
            if self.is_over {
                Poll::Ready(())
            } else {
                Poll::Pending
            }
        })
        .await;
    }

    /// Says why there is no connection: the first host that failed on the way is the reason.
    fn failure(&self, endpoint: &Endpoint) -> ConnectError {
        let mut behind: Vec<&Endpoint> = vec![endpoint];
        behind.extend(self.jumps.iter().map(|(jump, _)| &**jump));
        let mut reached = None;
        for (index, (jump, path)) in self.jumps.iter().enumerate().rev() {
            let mut log = Log::default();
            log.push(&std::fs::read(path).unwrap_or_default());
            let beyond = behind[index];
            if log.method.is_none() && log.words().next().is_some() {
                return failure::at_jump_host(jump, failure::explain(&log, jump));
            }
            reached = reached.or_else(|| failure::beyond(&log, jump, beyond));
        }
        reached.unwrap_or_else(|| failure::explain(&self.log, endpoint))
    }
}
