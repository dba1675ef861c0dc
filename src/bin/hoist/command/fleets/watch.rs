//! Ctrl-C and its kin while servers are made or destroyed: the first one stops asking for more, the
//! second ends hoist at once.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use hoist::engine::Cancel;
use hoist::outcome::StopReason;
use hoist::provider::Stop;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

use crate::command::run::{ignored_signals, stop_reason};
use crate::report::{Failure, note};
use crate::ui::prompt;

/// What is going on, which decides what a signal means.
#[derive(Debug)]
enum Stage {
    /// Nothing was changed yet: a signal ends hoist.
    Before,
    /// Servers are being made or waited for.
    Making(Stop, Cancel),
    /// A command runs on them, and signals are heeded by whoever runs it.
    Lent,
    /// Servers are being destroyed, which goes on.
    Destroying,
}

/// Watches for signals.
#[derive(Debug, Clone)]
pub(super) struct Watch(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    stage: Stage,
    /// The first signal.
    reason: Option<StopReason>,
    /// There was one since this stage began.
    is_warned: bool,
}

impl Watch {
    /// Starts watching, from a thread of its own.
    ///
    /// # Errors
    /// When the system doesn't let it.
    pub(super) fn start() -> Result<Self, Failure> {
        let watch = Self(Arc::new(Mutex::new(Inner {
            stage: Stage::Before,
            reason: None,
            is_warned: false,
        })));
        let failed =
            |error: std::io::Error| Failure::own(format!("cannot watch for signals: {error}"));
        let ignored = ignored_signals();
        let wanted = [SIGINT, SIGTERM, SIGHUP].into_iter();
        let wanted = wanted.filter(|signal| (ignored >> (signal - 1)) & 1 == 0);
        let mut signals = Signals::new(wanted.collect::<Vec<_>>()).map_err(failed)?;
        let own = watch.clone();
        let thread = thread::Builder::new().name("fleet-signals".to_owned());
        thread
            .spawn(move || signals.forever().for_each(|signal| own.take(signal)))
            .map_err(failed)?;
        Ok(watch)
    }

    /// From now on a signal ends hoist, as nothing was changed yet.
    pub(super) fn before(&self) {
        self.enter(Stage::Before);
    }

    /// From now on the first signal stops making servers, and waiting for them.
    pub(super) fn making(&self, stop: &Stop, cancel: &Cancel) {
        self.enter(Stage::Making(stop.clone(), cancel.clone()));
    }

    /// From now on somebody else heeds signals.
    pub(super) fn lend(&self) {
        self.enter(Stage::Lent);
    }

    /// From now on the first signal changes nothing.
    pub(super) fn destroying(&self) {
        self.enter(Stage::Destroying);
    }

    /// Returns what asked for the end, if a signal did.
    pub(super) fn reason(&self) -> Option<StopReason> {
        self.lock().reason
    }

    fn enter(&self, stage: Stage) {
        let mut inner = self.lock();
        inner.stage = stage;
        inner.is_warned = false;
    }

    fn take(&self, signal: i32) {
        let mut inner = self.lock();
        let reason = stop_reason(signal);
        inner.reason.get_or_insert(reason);
        let warned = std::mem::replace(&mut inner.is_warned, true);
        let line = match &inner.stage {
            Stage::Lent => return,
            Stage::Making(stop, cancel) if !warned => {
                stop.stop();
                cancel.stop(reason);
                "no further server is made; what was asked for is waited for and recorded; \
                 a second signal ends hoist at once"
            }
            Stage::Destroying if !warned => {
                "destroying goes on; a second signal ends hoist at once, and what is left then \
                 costs money"
            }
            stage => {
                prompt::restore();
                if matches!(stage, Stage::Before) {
                    // A question may be open in this line.
                    note("");
                    note("hoist: nothing more was changed");
                }
                low_level::exit(128 + signal);
            }
        };
        drop(inner);
        note(&format!("hoist: {}: {line}", reason.as_str()));
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
