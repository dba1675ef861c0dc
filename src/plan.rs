//! Everything decided before the first connection. Pure: a dry run prints it.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::time::Duration;

use crate::event::RunId;
use crate::host::Endpoint;
use crate::remote::{Command, Elevation, Exec};

mod get;
mod put;

pub use get::Get;
pub use put::{Load, Put};

/// One run, decided.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Names the run.
    pub run: RunId,
    /// Whom to work, in the order they are started and shown.
    pub hosts: Vec<Endpoint>,
    /// What each of them executes; without it they are only logged in to.
    pub exec: Option<Exec>,
    /// What each host executes instead of the command in `exec`, in the order of `hosts`; empty
    /// where all execute the same.
    pub commands: Vec<Command>,
    /// What files are brought to them or fetched, in the place of executing something.
    pub transfer: Option<Transfer>,
    /// How hard to go.
    pub limits: Limits,
}

/// Files on their way.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Transfer {
    /// To the hosts.
    Put(Put),
    /// From the hosts.
    Get(Get),
}

impl Transfer {
    /// Returns the longest it may take.
    pub fn timeout(&self) -> Option<Duration> {
        match self {
            Self::Put(put) => put.timeout,
            Self::Get(get) => get.timeout,
        }
    }
}

impl Plan {
    /// Returns what gives other rights than the login has, if something is to.
    pub fn elevation_mut(&mut self) -> Option<&mut Elevation> {
        let exec = self.exec.as_mut();
        match &mut self.transfer {
            Some(Transfer::Put(put)) => put.elevation.as_mut(),
            Some(Transfer::Get(get)) => get.elevation.as_mut(),
            None => exec.and_then(|exec| exec.elevation.as_mut()),
        }
    }

    /// Returns what the host at `index` executes, if anything: the command with the host's own variables, those
    /// of the command, and `HOIST_HOST`, `HOIST_INDEX` (from 0) and `HOIST_TOTAL` in its
    /// environment; of two values the later one counts.
    pub fn exec_for(&self, index: usize) -> Option<Exec> {
        let mut exec = self.exec.clone()?;
        if let Some(command) = self.commands.get(index) {
            exec.command = command.clone();
        }
        let host = self.hosts[index].ssh.environment.iter();
        let host = host.map(|(name, value)| (name.clone(), OsString::from(value)));
        exec.env.splice(0..0, host);
        let own: [(&str, OsString); 3] = [
            ("HOIST_HOST", self.hosts[index].name.as_str().into()),
            ("HOIST_INDEX", index.to_string().into()),
            ("HOIST_TOTAL", self.hosts.len().to_string().into()),
        ];
        exec.env
            .extend(own.map(|(name, value)| (name.to_owned(), value)));
        Some(exec)
    }
}

/// How hard to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Most hosts worked at once, at least 1.
    pub fan_out: usize,
    /// Most handshakes in flight at once, at least 1. One that takes longer than a second waits for
    /// somebody else and doesn't count any more.
    pub handshakes: usize,
    /// Most new connections a second, evenly spaced. Without it, an address is only slowed down
    /// when it turns connections away.
    pub connect_rate: Option<NonZeroU32>,
    /// Longest lookup, connection, handshake and authentication together, from the moment the
    /// host has its handshake slot.
    pub connect_timeout: Duration,
    /// Further attempts after a failure before the command was started.
    pub retries: u32,
    /// How long running commands may go on after a stop is asked for, before they are ended.
    pub grace: Duration,
}
