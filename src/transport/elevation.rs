//! The talk with `sudo` before a command begins: a password where one is asked for, and the
//! command's own stdin only once the command is there.
//!
//! `sudo` reads from the same stdin as the command. What is sent before it has asked could reach the
//! command, and what belongs to the command could be taken for a password: so nothing flows until the
//! wrapper's marker tells that the command is being started.

use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::quote::MarkerFilter;
use crate::remote::{Elevation, Exec};
use crate::secret::Secret;

/// How long `sudo` may take. It waits some seconds after a wrong password, and perhaps for a
/// directory server.
pub(super) const TIME: Duration = Duration::from_mins(1);

/// What to do with a command's stdin next.
#[derive(Debug)]
pub(super) enum Next {
    /// Nothing may flow yet.
    Wait,
    /// This line, and then nothing yet.
    Send(Zeroizing<Vec<u8>>),
    /// There is no answer: it ends here.
    Close,
    /// The command is there: its own input may flow.
    Open,
}

/// The talk about one command.
#[derive(Debug)]
pub(super) struct Talk {
    password: Option<Secret>,
    answered: u32,
    /// When the command must have been begun.
    pub(super) deadline: Instant,
}

impl Talk {
    /// Returns the talk that a command needs, if it needs other rights.
    pub(super) fn about(exec: &Exec) -> Option<Self> {
        exec.elevation.as_ref().map(Self::with)
    }

    /// Returns the talk with what gives these rights.
    pub(super) fn with(elevation: &Elevation) -> Self {
        let password = match elevation {
            Elevation::Sudo { password, .. } => password.clone(),
            Elevation::With(_) => None,
        };
        Self {
            password,
            answered: 0,
            deadline: Instant::now() + TIME,
        }
    }

    /// Returns what to do, after `filter` has seen what was said so far.
    ///
    /// A password is sent once: whoever asks again did not take it.
    pub(super) fn next(&mut self, filter: &MarkerFilter) -> Next {
        if filter.started().is_some() {
            return Next::Open;
        }
        if filter.asked() <= self.answered {
            return Next::Wait;
        }
        self.answered = filter.asked();
        match self.password.take() {
            Some(password) => {
                let mut line = Zeroizing::new(Vec::with_capacity(password.expose().len() + 1));
                line.extend_from_slice(password.expose().as_bytes());
                line.push(b'\n');
                Next::Send(line)
            }
            None => Next::Close,
        }
    }
}

/// Returns what to report of a command that was not begun in time.
pub(super) fn too_late() -> String {
    format!("sudo has neither run the command nor refused to in {TIME:?}")
}
