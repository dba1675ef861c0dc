//! Ctrl-C and its kin: the first lets running hosts finish, the second ends hoist at once.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use hoist::engine::Cancel;
use hoist::outcome::StopReason;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::{Handle, Signals};
use signal_hook::{SigId, flag, low_level};

use crate::report::note;
use crate::ui::{Notes, prompt};

/// Watches for signals from a thread of its own.
#[derive(Debug, Clone)]
pub(in crate::command) struct Watch {
    cancel: Cancel,
    signals: Vec<i32>,
    /// Set by the first signal of a run, in the handler itself: the next one then ends hoist right
    /// there, however fast it follows and whatever the threads are doing.
    is_last_chance: Arc<AtomicBool>,
    stage: Arc<Mutex<Stage>>,
    /// Ends the thread.
    handle: Option<Handle>,
    /// What was registered for the run.
    registered: Arc<Mutex<Vec<SigId>>>,
}

/// What a signal means at the moment.
#[derive(Debug, Default)]
struct Stage {
    /// Where to say that the run is being stopped; before the run there is nothing to stop.
    run: Option<(Notes, Duration)>,
    /// More is to be done after the run, so that no signal may end hoist before it.
    is_part: bool,
    stopped_by: Option<StopReason>,
    /// Answers the question that is open.
    question: Option<Sender<bool>>,
}

impl Watch {
    /// Starts watching. Until [`Watch::begin`] a signal ends hoist, the terminal mended.
    ///
    /// A signal that whoever started hoist had chosen to ignore (`nohup`) stays ignored.
    pub(in crate::command) fn start(cancel: &Cancel) -> io::Result<Self> {
        let ignored = ignored();
        let wanted = [SIGINT, SIGTERM, SIGHUP].into_iter();
        let mut watch = Self {
            cancel: cancel.clone(),
            signals: wanted
                .filter(|signal| (ignored >> (signal - 1)) & 1 == 0)
                .collect(),
            is_last_chance: Arc::default(),
            stage: Arc::default(),
            handle: None,
            registered: Arc::default(),
        };
        let mut signals = Signals::new(&watch.signals)?;
        watch.handle = Some(signals.handle());
        let own = watch.clone();
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(move || signals.forever().for_each(|signal| own.take(signal)))?;
        Ok(watch)
    }

    /// Signals are not to end hoist before the run: something is to be cleaned up after it.
    pub(in crate::command) fn is_part(&self) {
        self.stage().is_part = true;
    }

    /// From now on the first signal stops the run.
    pub(in crate::command) fn begin(&self, notes: Notes, grace: Duration) -> io::Result<()> {
        self.stage().run = Some((notes, grace));
        for &signal in &self.signals {
            // In this order: the signal that sets the flag is not ended by it. The end is without
            // destructors: workers are running, and libraries clean up in ways that race with them.
            let flag = &self.is_last_chance;
            let end = flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(flag))?;
            let set = flag::register(signal, Arc::clone(flag))?;
            let mut registered = self.registered.lock();
            let registered = registered
                .as_mut()
                .unwrap_or_else(|poisoned| poisoned.get_mut());
            registered.extend([end, set]);
        }
        Ok(())
    }

    /// The run is over: the next signal ends hoist. Returns what asked it to stop, if a signal did.
    pub(in crate::command) fn end(&self) -> Option<StopReason> {
        self.is_last_chance.store(true, Ordering::SeqCst);
        self.stage().stopped_by
    }

    /// The run is over, and signals are somebody else's from now on, who watches already. Returns
    /// what asked it to stop, if a signal did.
    pub(in crate::command) fn leave(&self) -> Option<StopReason> {
        if let Some(handle) = &self.handle {
            handle.close();
        }
        let mut registered = self
            .registered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        for id in registered.drain(..) {
            low_level::unregister(id);
        }
        self.stage().stopped_by
    }

    /// While a question is open, a signal answers it.
    pub(super) fn open(&self, question: Sender<bool>) {
        self.stage().question = Some(question);
    }

    /// The question has been answered.
    pub(super) fn close(&self) {
        self.stage().question = None;
    }

    fn take(&self, signal: i32) {
        let mut stage = self.stage();
        let Some((notes, grace)) = stage.run.clone() else {
            if stage.is_part && stage.stopped_by.is_none() {
                let reason = reason(signal);
                stage.stopped_by = Some(reason);
                self.cancel.stop(reason);
                note("hoist: nothing is executed any more; press Enter to go on");
                return;
            }
            prompt::restore();
            low_level::exit(128 + signal);
        };
        if stage.stopped_by.is_some() {
            return;
        }
        let reason = reason(signal);
        stage.stopped_by = Some(reason);
        self.cancel.stop(reason);
        if let Some(question) = stage.question.take() {
            // The question may just have been answered.
            let _ = question.send(false);
        }
        drop(stage);
        notes.line(&format!(
            "hoist: {}: no further host is started; running commands have {grace:?} to end; \
             a second signal ends hoist at once",
            reason.as_str(),
        ));
    }

    fn stage(&self) -> MutexGuard<'_, Stage> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns what a signal asks for.
pub(in crate::command) fn reason(signal: i32) -> StopReason {
    match signal {
        SIGHUP => StopReason::Hangup,
        SIGTERM => StopReason::Terminate,
        _ => StopReason::Interrupt,
    }
}

/// Returns the signals that hoist was started to ignore, a bit each from signal 1 (proc(5)); none
/// where that can't be told.
pub(in crate::command) fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .unwrap_or(0)
}
