//! From servers that run to servers that can be used: logged in to, set up, with a host key that
//! nobody but them has ever held.
//!
//! The first connection is verified by the host key that was handed over in the user-data. As that
//! stays readable at the provider, the server makes another one over this connection: it is
//! recorded before the server uses it, and again once a connection was verified by it.

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use hoist::engine::{self, Cancel};
use hoist::event::{Event, EventKind, Listener, RunId};
use hoist::host::{Endpoint, Host, HostKeyPolicy, HostName};
use hoist::hostset::Login;
use hoist::outcome::{Kind, Outcome};
use hoist::plan::Plan;
use hoist::provider::fleet::Fleet;
use hoist::provider::{Pace, Server, Stop};
use hoist::remote::{Command, Exec, Pipe};
use hoist::selection::Selected;
use hoist::transport::Transports;

use super::account;
use super::told::Teller;
use crate::args::Pacing;
use crate::command::reaching::{self, Reaching};
use crate::command::run::{limits, room};
use crate::report::Failure;

const PREPARE: &str = concat!(include_str!("as_root.sh"), include_str!("prepare.sh"));
const SWAP: &str = concat!(include_str!("as_root.sh"), include_str!("swap.sh"));

/// What stands before the public half of a key that a server made.
const MARK: &str = "hoist-host-key ";

/// A command that fails so often on a server will go on failing.
const TRIES: u32 = 3;

/// How long commands may go on after Ctrl-C.
const GRACE: Duration = Duration::from_secs(3);

/// What is needed to log in to new servers.
pub(super) struct Logins<'a> {
    pub reaching: Reaching<'a>,
    pub pacing: &'a Pacing,
    pub fleet: &'a Fleet<'a>,
    pub teller: &'a Teller,
    pub pace: &'a Pace,
    pub stop: &'a Stop,
    pub cancel: &'a Cancel,
    /// Private half of the key that the servers let in, where it is not a usual one.
    pub identity: Option<PathBuf>,
    /// Longest until all can be used.
    pub timeout: Duration,
}

/// What became of one server.
pub(super) struct Usable {
    pub name: String,
    /// Public half of its host key, or why it can't be used.
    pub host_key: Result<String, String>,
}

/// What is to be done next on a server.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// Have it make a host key.
    Prepare,
    /// Have it use the key.
    Swap(String),
    /// See whether it shows the key.
    Verify(String),
    /// See whether it lets in.
    Check,
}

/// A server that is not done.
struct Candidate {
    name: String,
    endpoint: Endpoint,
    /// The host key it has, as far as known.
    host_key: Option<String>,
    /// The one it may have already.
    next_key: Option<String>,
    stage: Stage,
    failures: u32,
    message: String,
}

impl Logins<'_> {
    /// Waits until each of `servers` can be used, and gives them host keys of their own.
    ///
    /// # Errors
    /// When nothing can be tried: a key can't be read, a setting makes no sense.
    pub(super) fn wait(&self, servers: &[Server]) -> Result<Vec<Usable>, Failure> {
        let (mut selected, mut odd) = (Vec::new(), Vec::new());
        for server in servers {
            match self.selected(server) {
                Some(host) => selected.push(host),
                None => odd.push(usable(
                    server.name.clone(),
                    Err("its name or address can't be those of a host".to_owned()),
                )),
            }
        }
        if selected.is_empty() {
            return Ok(odd);
        }
        let (mut endpoints, required) = self.reaching.resolve(selected, None)?;
        let folder = tempfile::tempdir()
            .map_err(|error| Failure::own(format!("cannot make a temporary folder: {error}")))?;
        for endpoint in &mut endpoints {
            if endpoint.host_key.is_none() {
                accept_new(endpoint, folder.path().join("known_hosts"));
                let line = "its host key is not known here; the first one that it shows is taken";
                self.teller.line(&format!("{}: {line}", endpoint.name));
            }
        }
        let ways = self.reaching.credentials(&endpoints, &required)?;
        let plan = self.plan(endpoints.clone(), Vec::new());
        let transports = reaching::transports(ways, &plan)?;
        let open = endpoints
            .into_iter()
            .map(|endpoint| self.candidate(endpoint));
        let mut done = self.work(open.collect(), &transports)?;
        done.extend(odd);
        Ok(done)
    }

    fn selected(&self, server: &Server) -> Option<Selected> {
        let known = self.fleet.recorded(&server.name);
        let key = known.and_then(|known| known.host_key);
        let host = host(server, key.as_deref(), self.identity.as_deref())?;
        let login = Login::default();
        Some(Selected { host, login })
    }

    fn candidate(&self, endpoint: Endpoint) -> Candidate {
        let name = endpoint.name.to_string();
        let known = self.fleet.recorded(&name);
        let is_rekeyed = known.as_ref().is_some_and(|known| known.is_rekeyed);
        let stage = if is_rekeyed {
            Stage::Check
        } else {
            Stage::Prepare
        };
        Candidate {
            host_key: endpoint.host_key.as_deref().map(str::to_owned),
            next_key: known.and_then(|known| known.next_host_key),
            stage,
            failures: 0,
            message: "nobody tried to log in".to_owned(),
            name,
            endpoint,
        }
    }

    /// Takes all of them from stage to stage until they are done or time is up.
    fn work(
        &self,
        mut open: Vec<Candidate>,
        transports: &Transports,
    ) -> Result<Vec<Usable>, Failure> {
        let ends_at = Instant::now() + self.timeout;
        let mut done = Vec::new();
        while !open.is_empty() {
            let outcomes = self.round(&open, transports, ends_at)?;
            let mut has_moved = false;
            let mut left = Vec::new();
            for (mut candidate, (outcome, stdout)) in open.into_iter().zip(outcomes) {
                let before = candidate.stage.clone();
                match self.advance(&mut candidate, outcome.as_ref(), &stdout) {
                    Ok(None) => {
                        has_moved |= candidate.stage != before;
                        left.push(candidate);
                    }
                    Ok(Some(key)) => done.push(usable(candidate.name, Ok(key))),
                    Err(message) => done.push(usable(candidate.name, Err(message))),
                }
            }
            open = left;
            let is_over = Instant::now() >= ends_at || self.stop.is_stopped();
            if is_over || (!has_moved && !open.is_empty() && !self.stop.wait(self.pace.login_poll))
            {
                break;
            }
        }
        let given_up = open.into_iter().map(|candidate| {
            let message = format!("cannot be logged in to: {}", candidate.message);
            usable(candidate.name, Err(message))
        });
        done.extend(given_up);
        Ok(done)
    }

    /// Works one stage of each, and returns what came of it.
    fn round(
        &self,
        open: &[Candidate],
        transports: &Transports,
        ends_at: Instant,
    ) -> Result<Vec<Answer>, Failure> {
        let commands = open.iter().map(|candidate| match &candidate.stage {
            Stage::Prepare => shell(PREPARE),
            Stage::Swap(_) => shell(SWAP),
            Stage::Verify(_) | Stage::Check => shell(":"),
        });
        let endpoints = open.iter().map(|candidate| {
            let mut endpoint = candidate.endpoint.clone();
            let key = match &candidate.stage {
                Stage::Verify(new) => Some(new),
                _ => candidate.host_key.as_ref(),
            };
            endpoint.host_key = key.map(|key| key.as_str().into());
            endpoint
        });
        let mut plan = self.plan(endpoints.collect(), commands.collect());
        if let Some(exec) = &mut plan.exec {
            let left = ends_at.saturating_duration_since(Instant::now());
            exec.timeout = Some(left.max(self.pace.login_poll));
        }
        let mut answers = Answers(vec![(None, Vec::new()); open.len()]);
        engine::run(&plan, transports, self.cancel, &mut [&mut answers], None)
            .map_err(Failure::own)?;
        Ok(answers.0)
    }

    fn plan(&self, hosts: Vec<Endpoint>, commands: Vec<Command>) -> Plan {
        let wanted = self.pacing.fan_out.get().min(hosts.len());
        let fan_out = room::Room::find(wanted, &hosts, 0).fan_out;
        Plan {
            run: RunId::new(SystemTime::now(), fastrand::u32(..)),
            limits: limits(self.pacing, fan_out, GRACE),
            hosts,
            exec: Some(Exec::new(shell(":"))),
            commands,
            transfer: None,
        }
    }

    /// Takes note of what came of a stage. Returns the host key of a server that is done.
    fn advance(
        &self,
        candidate: &mut Candidate,
        outcome: Option<&Outcome>,
        stdout: &[u8],
    ) -> Result<Option<String>, String> {
        let Some(outcome) = outcome else {
            return Ok(None);
        };
        if let Some(kind) = outcome.kind {
            return candidate.fail(kind, outcome).map(|()| None);
        }
        let recorded = |result: Result<(), hoist::provider::ProviderError>| {
            result.map_err(|error| account::failure(&error).text)
        };
        let name = &candidate.name;
        candidate.stage = match &candidate.stage {
            Stage::Check => return Ok(Some(candidate.host_key.clone().unwrap_or_default())),
            Stage::Prepare => {
                let key = made(stdout).ok_or("it made no host key of its own")?;
                recorded(self.fleet.rekeying(name, &key))?;
                // The answer to the swap may be lost.
                candidate.next_key = Some(key.clone());
                Stage::Swap(key)
            }
            Stage::Swap(key) => Stage::Verify(key.clone()),
            Stage::Verify(key) => {
                recorded(self.fleet.rekeyed(name, key))?;
                return Ok(Some(key.clone()));
            }
        };
        candidate.failures = 0;
        Ok(None)
    }
}

impl Candidate {
    /// Takes note of a failure; an error means that trying again has no sense.
    fn fail(&mut self, kind: Kind, outcome: &Outcome) -> Result<(), String> {
        self.message = if outcome.message.is_empty() {
            kind.as_str().to_owned()
        } else {
            outcome.message.clone()
        };
        // An earlier run may have ended after the server took its own key.
        if kind == Kind::HostKeyChanged
            && let Some(next) = self.next_key.take()
        {
            self.host_key = Some(next);
            return Ok(());
        }
        if matches!(kind, Kind::Exit | Kind::Signal | Kind::Spawn) {
            self.failures += 1;
            if self.failures >= TRIES {
                let what = match &self.stage {
                    Stage::Prepare => "cannot make a host key of its own",
                    Stage::Swap(_) => "cannot take its own host key into use",
                    Stage::Verify(_) | Stage::Check => "lets nobody execute anything",
                };
                return Err(format!("{what}: {}", self.message));
            }
        }
        Ok(())
    }
}

/// Returns the host that a server is, if its name and address can be used.
pub(super) fn host(
    server: &Server,
    host_key: Option<&str>,
    identity: Option<&std::path::Path>,
) -> Option<Host> {
    let mut host = Host::named(HostName::parse(&server.name).ok()?);
    let address = server.address()?.to_string();
    host.address = Some(address.parse().ok()?);
    host.user = server
        .login_user
        .as_ref()
        .and_then(|user| user.parse().ok());
    host.port = server.port.and_then(|port| port.to_string().parse().ok());
    host.provider = Some(server.provider.as_str().into());
    host.id = Some(server.id.as_str().into());
    host.host_key = host_key.map(Into::into);
    host.identity = identity.map(|identity| identity.to_string_lossy().into());
    Some(host)
}

/// Takes whatever key the host shows first, and keeps it apart from all others.
fn accept_new(endpoint: &mut Endpoint, known_hosts: PathBuf) {
    let mut ssh = (*endpoint.ssh).clone();
    ssh.policy = HostKeyPolicy::AcceptNew;
    ssh.known_hosts = vec![known_hosts];
    ssh.global_known_hosts = Vec::new();
    endpoint.ssh = ssh.into();
}

fn shell(script: &str) -> Command {
    Command::Argv(["sh", "-c", script].map(OsString::from).to_vec())
}

/// Returns the public half of the key that a server made, without a comment.
fn made(stdout: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(stdout).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(MARK))?;
    hoist::provider::PublicKey::parse(line)
        .ok()
        .map(|key| key.line())
}

fn usable(name: String, host_key: Result<String, String>) -> Usable {
    Usable { name, host_key }
}

/// What servers answered, in plan order.
struct Answers(Vec<Answer>);

/// What became of a server, once it is known, and what it printed.
type Answer = (Option<Outcome>, Vec<u8>);

/// More than any public key has.
const MAX_ANSWER: usize = 64 * 1024;

impl Listener for Answers {
    fn tell(&mut self, event: &Event) -> io::Result<()> {
        match &event.kind {
            EventKind::Output {
                host,
                pipe: Pipe::Stdout,
                bytes,
            } if self.0[*host].1.len() < MAX_ANSWER => self.0[*host].1.extend(bytes),
            EventKind::Finished { host, outcome } => self.0[*host].0 = Some((**outcome).clone()),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_found_among_what_a_server_prints() {
        let key =
            "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";
        let printed = format!("welcome\nhoist-host-key {key} root@new\n");
        assert_eq!(made(printed.as_bytes()).as_deref(), Some(key));
        assert_eq!(made(key.as_bytes()), None);
        assert_eq!(made(b"hoist-host-key ssh-ed25519 AAAA\n"), None);
    }
}
