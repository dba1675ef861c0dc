//! Work on a plan with a person beside it: signals are heeded, and unknown host keys asked about.

use hoist::engine::{self, Ask, Cancel, EngineError};
use hoist::event::Listener;
use hoist::host::{Route, TransportName};
use hoist::outcome::{StopReason, Summary};
use hoist::plan::Plan;
use hoist::transport::{Transports, UnknownKey};

use super::host_keys;
use super::signals::Watch;
use crate::report::Failure;
use crate::ui::prompt;
use crate::ui::{Notes, Terminal};

/// Threads of the program itself: signals, the writer of stdout, progress.
const OWN_THREADS: usize = 3;

/// What is there from before anything is asked until the last host is done.
pub(in crate::command) struct Attended {
    pub(in crate::command) cancel: Cancel,
    watch: Watch,
    terminal: Terminal,
    /// Signals are heeded by somebody else afterwards.
    is_part: bool,
}

/// What the engine made of a plan.
pub(in crate::command) struct Worked {
    pub(in crate::command) summary: Result<Summary, EngineError>,
    /// The signal that asked for the end, if one did.
    pub(in crate::command) signalled: Option<StopReason>,
}

impl Drop for Attended {
    /// Where somebody else heeds signals, this doesn't do so any longer, whatever came of it.
    fn drop(&mut self) {
        if self.is_part {
            self.watch.leave();
        }
    }
}

impl Attended {
    /// Makes sure that there is room for the threads, and watches for signals from now on.
    pub(in crate::command) fn start(plan: &Plan, terminal: Terminal) -> Result<Self, Failure> {
        let threads = OWN_THREADS + usize::from(has_jumps(plan));
        engine::check_threads(plan, threads).map_err(Failure::own)?;
        let cancel = Cancel::new();
        let watch = Watch::start(&cancel).map_err(|error| unwatched(&error))?;
        Ok(Self {
            cancel,
            watch,
            terminal,
            is_part: false,
        })
    }

    /// Takes note that more is to be done afterwards, by somebody who heeds signals then.
    pub(super) fn into_part(mut self) -> Self {
        self.is_part = true;
        self.watch.is_part();
        self
    }

    /// Works the plan to its end.
    pub(in crate::command) fn work(
        self,
        plan: &Plan,
        transports: &Transports,
        notes: &Notes,
        listeners: &mut [&mut dyn Listener],
    ) -> Result<Worked, Failure> {
        let begun = self.watch.begin(notes.clone(), plan.limits.grace);
        begun.map_err(|error| unwatched(&error))?;
        let mut ask = |keys: &[UnknownKey]| host_keys::ask(keys, &self.watch, notes);
        let ask: Option<Ask<'_>> = if is_person_there(self.terminal) {
            Some(&mut ask)
        } else {
            None
        };
        let summary = engine::run(plan, transports, &self.cancel, listeners, ask);
        let signalled = if self.is_part {
            self.watch.leave()
        } else {
            self.watch.end()
        };
        Ok(Worked { summary, signalled })
    }
}

impl Worked {
    /// Returns the counts, where hoist could do its own work.
    pub(in crate::command) fn summary(self) -> Result<Summary, Failure> {
        let mut summary = self.summary.map_err(Failure::own)?;
        summary.stopped_by = self.signalled.or(summary.stopped_by);
        Ok(summary)
    }
}

/// Whether somebody sees questions and can answer them.
pub(super) fn is_person_there(terminal: Terminal) -> bool {
    terminal.is_stderr && prompt::is_possible()
}

/// Whether some host is behind a jump host that hoist itself goes through: those have a thread of
/// their own.
fn has_jumps(plan: &Plan) -> bool {
    let mut hosts = plan.hosts.iter();
    hosts.any(|host| {
        host.transport == TransportName::Ssh && matches!(host.ssh.route, Route::Jump(_))
    })
}

fn unwatched(error: &std::io::Error) -> Failure {
    Failure::own(format!("cannot watch for signals: {error}"))
}
