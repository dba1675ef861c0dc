//! One host as a program sees it: run a command there, get its output and exit status.
//!
//! The same calls work on this machine and over SSH; only the constructor differs. Everything
//! blocks, nothing is retried, output is kept in memory. For many hosts, events, deadlines and
//! bounded memory there is [`Fleet`](crate::fleet::Fleet).

use std::cell::Cell;
use std::ffi::OsString;
use std::sync::Arc;

use thiserror::Error;

use crate::host::{
    Address, Endpoint, HostName, NameError, Port, SshSettings, TransportName, UserName,
};
use crate::remote::{Command, Exec, ExitStatus, Pipe};
use crate::transport::local::Local;
use crate::transport::ssh::{Ssh, SshError, SshOptions};
use crate::transport::{ConnectError, End, Phase, Progress, SpawnError, Transport};

/// Runs commands on one host.
///
/// ```
/// use hoist::shell::Shell;
///
/// let output = Shell::local().run(["echo", "it's", "exact"])?;
/// assert!(output.is_success());
/// assert_eq!(output.stdout, b"it's exact\n");
/// # Ok::<(), hoist::shell::ShellError>(())
/// ```
pub struct Shell {
    endpoint: Endpoint,
    transport: Box<dyn Transport>,
}

/// What a command gave back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// How it ended.
    pub status: ExitStatus,
    /// All of its standard output.
    pub stdout: Vec<u8>,
    /// All of its standard error.
    pub stderr: Vec<u8>,
}

impl Output {
    /// Whether the command returned 0.
    pub fn is_success(&self) -> bool {
        self.status.is_success()
    }
}

/// Why there is no [`Output`].
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ShellError {
    /// The destination is not `[user@]host[:port]`.
    #[error(transparent)]
    Destination(#[from] NameError),
    /// The destination names no user.
    #[error("`{0}` names no user; write user@host")]
    NoUser(String),
    /// SSH can't be used at all.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// The host could not be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The host would not start the command.
    #[error(transparent)]
    Spawn(#[from] SpawnError),
    /// The program could not be started: not found, not executable.
    #[error("{0}")]
    NotSpawned(String),
    /// The command did not get the rights it was to have.
    #[error("{0}")]
    NotElevated(String),
    /// The connection broke before the command ended.
    #[error("{0}")]
    Lost(String),
}

impl Shell {
    /// Returns this machine.
    #[allow(clippy::missing_panics_doc)] // the name is valid
    pub fn local() -> Self {
        let endpoint = endpoint(
            "localhost".parse().expect("a valid name"),
            TransportName::Local,
        );
        Self {
            endpoint,
            transport: Box::new(Local::new()),
        }
    }

    /// Returns the host at `user@host[:port]`, reached with these settings and keys. Nothing is
    /// contacted yet.
    ///
    /// ```no_run
    /// use hoist::host::SshSettings;
    /// use hoist::shell::Shell;
    /// use hoist::transport::ssh::SshOptions;
    ///
    /// let settings = SshSettings {
    ///     known_hosts: vec!["/home/me/.ssh/known_hosts".into()],
    ///     agent: Some("/run/user/1000/ssh-agent.sock".into()),
    ///     ..SshSettings::default()
    /// };
    /// let shell = Shell::ssh("ubuntu@192.0.2.7", settings, SshOptions::default())?;
    /// let output = shell.run(["uname", "-r"])?;
    /// # Ok::<(), hoist::shell::ShellError>(())
    /// ```
    ///
    /// # Errors
    /// When the destination can't be read, or names no user.
    pub fn ssh(
        destination: &str,
        settings: SshSettings,
        options: SshOptions,
    ) -> Result<Self, ShellError> {
        let (user, host) = destination
            .rsplit_once('@')
            .ok_or_else(|| ShellError::NoUser(crate::host::escaped(destination)))?;
        let (host, port) = split_port(host)?;
        let user = Some(UserName::parse(user)?);
        let endpoint = Endpoint {
            port,
            user,
            ssh: Arc::new(settings),
            ..endpoint(host.parse()?, TransportName::Ssh)
        };
        let ssh = Ssh::new(options, std::slice::from_ref(&endpoint))?;
        Ok(Self {
            endpoint,
            transport: Box::new(ssh),
        })
    }

    /// Runs a program with exactly these arguments and waits for its end.
    ///
    /// # Errors
    /// When the host can't be reached, the program can't be started, or the connection breaks. A
    /// program that fails is not an error: see [`Output::status`].
    pub fn run<W: Into<OsString>>(
        &self,
        argv: impl IntoIterator<Item = W>,
    ) -> Result<Output, ShellError> {
        let argv = argv.into_iter().map(Into::into).collect();
        self.exec(&Exec::new(Command::Argv(argv)))
    }

    /// Runs a command with everything around it. [`Exec::timeout`] and [`Exec::max_output`] are
    /// for [`Fleet`](crate::fleet::Fleet)s and not looked at here.
    ///
    /// # Errors
    /// As [`Shell::run`].
    pub fn exec(&self, exec: &Exec) -> Result<Output, ShellError> {
        async_io::block_on(async {
            let phase = Cell::new(Phase::Start);
            let mut session = self.transport.connect(&self.endpoint, &phase).await?;
            let mut process = session.spawn(exec).await?;
            let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
            let mut buffer = Vec::new();
            let end = loop {
                match process.next(&mut buffer).await {
                    Progress::Output(Pipe::Stdout) => stdout.append(&mut buffer),
                    Progress::Output(Pipe::Stderr) => stderr.append(&mut buffer),
                    Progress::Ended(end) => break end,
                }
            };
            drop(process);
            session.close().await;
            match end {
                End::Exited { status, .. } => Ok(Output {
                    status,
                    stdout,
                    stderr,
                }),
                End::NotSpawned { message } | End::Replaced { message } => {
                    Err(ShellError::NotSpawned(message))
                }
                End::NotElevated { message } => Err(ShellError::NotElevated(message)),
                End::Lost { message } => Err(ShellError::Lost(message)),
            }
        })
    }
}

fn endpoint(name: HostName, transport: TransportName) -> Endpoint {
    Endpoint {
        address: Address::from(&name),
        name,
        transport,
        port: Port::SSH,
        user: None,
        ssh: Arc::default(),
        host_key: None,
    }
}

/// Splits `host:port`; an IPv6 address with a port is in brackets.
fn split_port(text: &str) -> Result<(&str, Port), NameError> {
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|text| text.split_once(']')) {
        let port = rest.strip_prefix(':').map_or(Ok(Port::SSH), str::parse)?;
        return Ok((host, port));
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => Ok((host, port.parse()?)),
        _ => Ok((text, Port::SSH)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_split_as_ssh_does() {
        let split = |text| split_port(text).map(|(host, port)| (host, port.get()));
        assert_eq!(split("web1"), Ok(("web1", 22)));
        assert_eq!(split("web1:2222"), Ok(("web1", 2222)));
        assert_eq!(split("2001:db8::1"), Ok(("2001:db8::1", 22)));
        assert_eq!(split("[2001:db8::1]:2222"), Ok(("2001:db8::1", 2222)));
        assert!(split("web1:ssh").is_err());
        assert!(matches!(
            Shell::ssh("web1", SshSettings::default(), SshOptions::default()),
            Err(ShellError::NoUser(_))
        ));
    }

    #[test]
    fn local_commands_give_back_everything() {
        let output = Shell::local()
            .run(["sh", "-c", "echo out; echo err >&2; exit 3"])
            .unwrap();
        assert_eq!(output.status, ExitStatus::Code(3));
        assert_eq!(
            (&*output.stdout, &*output.stderr),
            (&b"out\n"[..], &b"err\n"[..])
        );
        let missing = Shell::local().run(["no-such-program-here"]);
        assert!(matches!(missing, Err(ShellError::NotSpawned(_))));
    }
}
