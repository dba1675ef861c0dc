//! Dated facts about a run: the whole contract between the work and whoever shows or keeps it.
//!
//! The engine makes events, in order, on the calling thread; listeners are told each of them.
//! Per host the order is: any number of `Attempt`, at most one `Connected` after each, then
//! `Started`, any number of `Output` and `Moved`, and exactly one `Finished`. A host that was never tried has
//! `Finished` alone. `RunStarted` is first and `RunFinished` last.

use std::io;
use std::time::{Duration, SystemTime};

use crate::host::HostName;
use crate::outcome::{Login, Outcome, StopReason, Summary};
use crate::remote::Pipe;

/// A host's place in the run's plan: dense, from 0, in inventory order.
pub type HostIndex = usize;

/// One fact.
#[derive(Debug, Clone)]
pub struct Event {
    /// When it happened, on the wall clock.
    pub at: SystemTime,
    /// What happened.
    pub kind: EventKind,
}

/// What happened.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum EventKind {
    /// The run begins.
    RunStarted {
        /// Names the run in records and on disk.
        run: RunId,
        /// Every host, in plan order; an index points into this list.
        hosts: std::sync::Arc<[HostName]>,
    },
    /// A host is about to be connected to.
    Attempt {
        /// Which host.
        host: HostIndex,
        /// Counts from 1.
        attempt: u32,
    },
    /// The host is connected and has accepted the login.
    Connected {
        /// Which host.
        host: HostIndex,
        /// Lookup, connection, handshake and authentication together.
        duration: Duration,
        /// What the host told of itself, where there was a login.
        login: Option<Box<Login>>,
    },
    /// The command has been handed to the host.
    Started {
        /// Which host.
        host: HostIndex,
    },
    /// The command wrote something.
    Output {
        /// Which host.
        host: HostIndex,
        /// Where to.
        pipe: Pipe,
        /// Never empty; cut anywhere, even within a character.
        bytes: Vec<u8>,
    },
    /// Files are on their way; told again and again, the last time when all are there.
    Moved {
        /// Which host.
        host: HostIndex,
        /// Bytes that went over the connection.
        bytes: u64,
        /// How many there will be.
        total: u64,
    },
    /// Nothing more comes from this host.
    Finished {
        /// Which host.
        host: HostIndex,
        /// What became of it.
        outcome: Box<Outcome>,
    },
    /// Something asked the run to stop: no further host starts.
    Stopping {
        /// What asked.
        reason: StopReason,
        /// Hosts still being worked.
        running: usize,
    },
    /// Every host has finished.
    RunFinished {
        /// The counts.
        summary: Summary,
    },
}

/// Names one run: sorts by time, fits in a file name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RunId(String);

impl RunId {
    /// Makes an id from the time and a random part: `20260131T235959Z-3f9a2c`.
    pub fn new(at: SystemTime, random: u32) -> Self {
        let at = jiff::Timestamp::try_from(at).unwrap_or_default();
        Self(format!(
            "{}-{:06x}",
            at.strftime("%Y%m%dT%H%M%SZ"),
            random & 0xff_ffff
        ))
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whoever is told.
pub trait Listener {
    /// Takes note of one event.
    ///
    /// # Errors
    /// When the listener could not do its own work, such as writing to a full disk. The run goes
    /// on; the listener is told of the rest all the same, and the error is returned at the end.
    fn tell(&mut self, event: &Event) -> io::Result<()>;
}
