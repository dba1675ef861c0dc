//! The talk before a command begins: with `sudo` a password where one is asked for, then the content
//! of a script that is brought along, and the command's own stdin only once the command is there.
//!
//! `sudo` reads from the same stdin as the command. What is sent before it has asked could reach the
//! command, and what belongs to the command could be taken for a password: so nothing flows until the
//! wrapper's marker tells that the command is being started.

use std::time::{Duration, Instant};

use zeroize::Zeroizing;

use crate::quote::MarkerFilter;
use crate::remote::{Command, Elevation, Exec};
use crate::secret::Secret;

/// How long `sudo` may take. It waits some seconds after a wrong password, and perhaps for a
/// directory server.
pub(super) const TIME: Duration = Duration::from_mins(1);

/// How long the wrapper may take to say that it is there.
pub(super) const WRAPPER_TIME: Duration = Duration::from_secs(10);

/// What to do with a command's stdin next.
#[derive(Debug)]
pub(super) enum Next {
    /// Nothing may flow yet.
    Wait,
    /// These bytes, and then nothing yet.
    Send(Zeroizing<Vec<u8>>),
    /// The first so many bytes of its input, which are a script's content, and then nothing yet.
    Pass(u64),
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
    /// What is sent when the rights are there.
    script: Vec<u8>,
    /// How long the content is of a script that is brought along.
    content: Option<u64>,
    needs_rights: bool,
    began: Instant,
}

impl Talk {
    /// Returns the talk that a command needs, if it needs other rights or is brought along; `script` is
    /// what runs with them.
    pub(super) fn about(exec: &Exec, script: Vec<u8>) -> Option<Self> {
        let content = match &exec.command {
            Command::Script(script) => Some(script.content().len() as u64),
            Command::Argv(_) | Command::Shell(_) => None,
        };
        let password = match &exec.elevation {
            None if content.is_none() => return None,
            Some(Elevation::Sudo { password, .. }) => password.clone(),
            Some(Elevation::With(_)) | None => None,
        };
        Some(Self {
            password,
            answered: 0,
            script,
            content,
            needs_rights: exec.elevation.is_some(),
            began: Instant::now(),
        })
    }

    /// Returns when the next thing must have happened. How long a script takes to get there depends
    /// on its length and the link: only the command's own time limits that.
    pub(super) fn deadline(&self, filter: &MarkerFilter) -> Option<Instant> {
        let time = if filter.is_elevating() || !self.needs_rights {
            TIME
        } else {
            WRAPPER_TIME
        };
        (!filter.is_placing()).then(|| self.began + time)
    }

    /// Returns what to do, after `filter` has seen what was said so far.
    ///
    /// A password is sent once: whoever asks again did not take it.
    pub(super) fn next(&mut self, filter: &MarkerFilter) -> Next {
        if filter.started().is_some() {
            return Next::Open;
        }
        if filter.is_ready() && !self.script.is_empty() {
            return Next::Send(std::mem::take(&mut self.script).into());
        }
        if filter.is_placing()
            && let Some(length) = self.content.take()
        {
            return Next::Pass(length);
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
