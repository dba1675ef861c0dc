//! An authenticated connection: an `ssh` that holds it, and one more `ssh` for each command.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::fs::File;
use std::future::poll_fn;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::process::Stdio;
use std::rc::Rc;
use std::task::{Context, Poll};

use async_io::Async;
use futures_lite::AsyncRead;

use super::Program;
use super::arguments::Arguments;
use super::log::ClientLog;
use super::master::Master;
use super::process::OpenSshProcess;
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
            || !matches!(exec.stdin, remote::Stdin::Empty);
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
        let (mut wrapped, mut tail) = started.map_err(|error| SpawnError {
            kind: Kind::Channel,
            message: format!("cannot start ssh: {error}"),
        })?;
        let mut first = Vec::new();
        let began = poll_fn(|cx| self.poll_beginning(cx, &mut tail, &mut wrapped, &mut first));
        let early = began.await?;
        Ok(OpenSshProcess::new(
            Rc::clone(&self.0),
            wrapped,
            tail,
            early.map(|progress| (progress, first)),
        ))
    }

    /// Waits until the command has its channel; what it wrote by then is kept.
    fn poll_beginning(
        &self,
        cx: &mut Context<'_>,
        tail: &mut Tail,
        wrapped: &mut Wrapped,
        first: &mut Vec<u8>,
    ) -> Poll<Result<Option<Progress>, SpawnError>> {
        self.0.poll(cx);
        tail.poll(cx);
        if tail.log.channel.is_some() {
            return Poll::Ready(Ok(None));
        }
        if let Some(refusal) = &tail.log.refusal {
            let message = format!("the host refused a channel: {refusal}");
            return Poll::Ready(Err(SpawnError {
                kind: Kind::Channel,
                message,
            }));
        }
        match wrapped.poll(cx, first) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(told) => {
                // Whatever it was, its log is written by now.
                tail.poll(cx);
                if tail.log.channel.is_some() || matches!(told, Progress::Output(_)) {
                    return Poll::Ready(Ok(Some(told)));
                }
                let why = self.0.asks(Master::last_words).unwrap_or_default();
                let message = format!("the connection broke before the command ran: {why}");
                Poll::Ready(Err(SpawnError {
                    kind: Kind::Lost,
                    message,
                }))
            }
        }
    }
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
