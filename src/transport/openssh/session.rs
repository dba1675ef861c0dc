//! An authenticated connection: an `ssh` that holds it, and one more `ssh` for each command.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs::File;
use std::future::{Future, poll_fn};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Stdio;
use std::rc::Rc;
use std::task::{Context, Poll};

use async_io::{Async, Timer};
use futures_lite::AsyncRead;

use super::Program;
use super::arguments::Arguments;
use super::log::ClientLog;
use super::master::Master;
use super::process::{LAST_WORDS_TIME, OpenSshProcess};
use crate::host::Endpoint;
use crate::outcome::{Kind, Login};
use crate::quote::{self, Marker};
use crate::remote::{self, Exec};
use crate::transport::child::{self, Wrapped};
use crate::transport::marked::Killer;
use crate::transport::{Process, Progress, Session, SpawnError, Work};

/// A connection, shared by the session and the command on it.
pub(super) struct Connection {
    program: Program,
    /// What every `ssh` over it is told, but for the command.
    arguments: Arguments,
    endpoint: Endpoint,
    /// `None` where the connection is somebody else's.
    master: Option<RefCell<Master>>,
}

impl Connection {
    /// Returns the connection that `ssh` finds at this socket.
    pub(super) fn new(
        program: &Program,
        endpoint: &Endpoint,
        socket: &Path,
        master: Option<Master>,
    ) -> Self {
        let mut arguments = Arguments::own(program);
        arguments
            .word("-S")
            .word(socket)
            .option("ControlMaster=no")
            // Where the connection is refused, ssh would make one of its own.
            .option("ProxyCommand=false")
            .batch(true);
        if program.version >= (8, 7) {
            arguments.option("SessionType=default");
        }
        Self {
            program: program.clone(),
            arguments,
            endpoint: endpoint.clone(),
            master: master.map(RefCell::new),
        }
    }

    /// Returns whether somebody holds a connection at the socket.
    pub(super) async fn is_there(&self) -> bool {
        let mut arguments = self.arguments.clone();
        arguments.word("-O").word("check").settings(&self.endpoint);
        let mut command = self.command(&mut arguments, None);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        command.status().await.is_ok_and(|status| status.success())
    }

    /// Sends a signal, aside of the command.
    pub(super) async fn run_aside(&self, killer: Killer) -> io::Result<()> {
        let mut arguments = self.arguments.clone();
        arguments.option("LogLevel=QUIET").settings(&self.endpoint);
        let mut command = self.command(&mut arguments, Some(&killer.line));
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        Wrapped::kill(command, killer.marked)?.succeeds().await
    }

    fn command(&self, arguments: &mut Arguments, line: Option<&[u8]>) -> async_process::Command {
        arguments.host(&self.endpoint);
        if let Some(line) = line {
            arguments.word(OsStr::from_bytes(line));
        }
        let mut command = std::process::Command::new(&self.program.path);
        command.args(arguments.words()).process_group(0);
        child::end_with_parent(&mut command);
        command.into()
    }

    /// Starts an `ssh` that has `request` run, and returns it with its log.
    fn start(
        &self,
        request: quote::Request,
        marker: &Marker,
        exec: &Exec,
    ) -> io::Result<(Wrapped, Tail)> {
        let (path, pipe) = self.program.folder.pipe()?;
        let mut arguments = self.arguments.clone();
        arguments
            .option("LogLevel=DEBUG2")
            .word("-E")
            .word(&path)
            .settings(&self.endpoint);
        let mut command = self.command(&mut arguments, Some(&request.line));
        let is_fed = !request.preamble.is_empty()
            || exec.elevation.is_some()
            || !matches!(exec.input(), remote::Stdin::Empty);
        command
            .stdin(if is_fed {
                Stdio::piped()
            } else {
                Stdio::null()
            })
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let wrapped = Wrapped::start(command, request, marker, exec)?;
        Ok((wrapped, Tail::new(path, pipe)))
    }

    /// Reads on in the log of the connection, where it is hoist's own.
    pub(super) fn poll(&self, cx: &mut Context<'_>) {
        if let Some(master) = &self.master {
            master.borrow_mut().poll(cx);
        }
    }

    /// Asks the connection's own `ssh`, where there is one.
    pub(super) fn asks<T>(&self, ask: impl FnOnce(&Master) -> T) -> Option<T> {
        self.master.as_ref().map(|master| ask(&master.borrow()))
    }
}

/// The log of one command's `ssh`, as it grows.
pub(super) struct Tail {
    path: PathBuf,
    pipe: Async<File>,
    pub(super) log: ClientLog,
}

impl Tail {
    fn new(path: PathBuf, pipe: Async<File>) -> Self {
        Self {
            path,
            pipe,
            log: ClientLog::default(),
        }
    }

    /// Reads what there is.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) {
        let mut bytes = [0; 4096];
        let mut pipe = &self.pipe;
        while let Poll::Ready(Ok(count)) = Pin::new(&mut pipe).poll_read(cx, &mut bytes) {
            if count == 0 {
                return;
            }
            self.log.push(&bytes[..count]);
        }
    }
}

impl Drop for Tail {
    fn drop(&mut self) {
        // The whole folder goes in the end.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// One authenticated connection.
pub(super) struct OpenSshSession(Rc<Connection>);

impl OpenSshSession {
    pub(super) fn new(connection: Connection) -> Self {
        Self(Rc::new(connection))
    }

    async fn start(&self, exec: &Exec) -> Result<OpenSshProcess, SpawnError> {
        let marker = Marker::random();
        let request = quote::request(exec, &marker).map_err(|error| SpawnError {
            kind: Kind::Spawn,
            message: error.to_string(),
        })?;
        let started = self.0.start(request, &marker, exec);
        let (wrapped, tail) = started.map_err(|error| SpawnError {
            kind: Kind::Channel,
            message: format!("cannot start ssh: {error}"),
        })?;
        let mut beginning = Beginning {
            connection: &self.0,
            tail,
            wrapped,
            first: Vec::new(),
            ended: None,
        };
        let early = poll_fn(|cx| beginning.poll(cx)).await?;
        Ok(OpenSshProcess::new(
            Rc::clone(&self.0),
            beginning.wrapped,
            beginning.tail,
            early.map(|progress| (progress, beginning.first)),
        ))
    }
}

/// A command that is being started.
struct Beginning<'a> {
    connection: &'a Connection,
    tail: Tail,
    wrapped: Wrapped,
    /// What it wrote before it was known that it runs.
    first: Vec<u8>,
    /// Its `ssh` has ended; runs while that of the connection may say why.
    ended: Option<(Progress, Timer)>,
}

impl Beginning<'_> {
    /// Waits until the host runs the command; what was read by then is kept.
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Progress>, SpawnError>> {
        let told = match &self.ended {
            Some(_) => None,
            None => match self.wrapped.poll(cx, &mut self.first) {
                Poll::Ready(told) => Some(told),
                Poll::Pending => None,
            },
        };
        // After its pipes: whatever came there, the logs told before.
        self.connection.poll(cx);
        self.tail.poll(cx);
        if let Some(refusal) = &self.tail.log.refusal {
            return refused(
                Kind::Channel,
                format!("the host refused a channel: {refusal}"),
            );
        }
        match told {
            told if self.is_running() => {
                let ended = self.ended.take().map(|(ended, _)| ended);
                return Poll::Ready(Ok(told.or(ended)));
            }
            // ssh says so in the command's place.
            Some(Progress::Output(_)) if self.first.starts_with(b"exec request failed") => {
                let message = "the host refused to run the command".to_owned();
                return refused(Kind::Channel, message);
            }
            Some(Progress::Output(_)) => return Poll::Ready(Ok(told)),
            Some(told) => self.ended = Some((told, Timer::after(LAST_WORDS_TIME))),
            None => {}
        }
        self.poll_ended(cx)
    }

    /// Whether the host has agreed to run the command, as far as the logs tell.
    fn is_running(&self) -> bool {
        self.tail.log.channel.is_some_and(|channel| {
            let is_accepted = |master: &Master| {
                !self.connection.program.tells_all() || master.log.is_accepted(channel)
            };
            self.connection.asks(is_accepted).unwrap_or(true)
        })
    }

    /// Says why the command's `ssh` has ended, as soon as that is known.
    fn poll_ended(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Progress>, SpawnError>> {
        let Some((_, timer)) = &mut self.ended else {
            return Poll::Pending;
        };
        let is_time_up = Pin::new(timer).poll(cx).is_ready();
        match self.connection.asks(|master| master.is_over) {
            Some(false) if !is_time_up => Poll::Pending,
            Some(false) if self.tail.log.channel.is_some() => {
                let message = "the host refused to run the command: it closed the channel";
                refused(Kind::Channel, message.to_owned())
            }
            _ => {
                let why = self.connection.asks(Master::last_words);
                let why = why.or_else(|| self.tail.log.word.clone());
                let why = why.unwrap_or_else(|| "ssh ended without a word".to_owned());
                let message = format!("the connection broke before the command ran: {why}");
                refused(Kind::Lost, message)
            }
        }
    }
}

fn refused<T>(kind: Kind, message: String) -> Poll<Result<T, SpawnError>> {
    Poll::Ready(Err(SpawnError { kind, message }))
}

impl Session for OpenSshSession {
    fn spawn<'a>(&'a mut self, exec: &'a Exec) -> Work<'a, Result<Box<dyn Process>, SpawnError>> {
        Box::pin(async move {
            let process = self.start(exec).await?;
            Ok(Box::new(process) as Box<dyn Process>)
        })
    }

    fn peer(&self) -> Option<String> {
        self.0.asks(|master| master.log.peer.clone()).flatten()
    }

    fn login(&self) -> Option<Login> {
        self.0.asks(Master::login).flatten()
    }

    fn close(self: Box<Self>) -> Work<'static, ()> {
        Box::pin(async move {
            // A command that is still there holds the connection: it goes with it.
            let connection = Rc::into_inner(self.0);
            if let Some(master) = connection.and_then(|connection| connection.master) {
                master.into_inner().close().await;
            }
        })
    }
}
