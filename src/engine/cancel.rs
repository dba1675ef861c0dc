//! Stopping a run: asked from any thread, at any time, heard by every host.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};

use async_channel::{Receiver, Sender};

use crate::outcome::StopReason;

/// A switch with three positions: run, stop (running commands get the grace period), end at once.
///
/// Clones share one switch. It never goes back.
#[derive(Debug, Clone)]
pub struct Cancel {
    reason: Arc<OnceLock<StopReason>>,
    stop: Latch,
    kill: Latch,
}

impl Default for Cancel {
    fn default() -> Self {
        Self::new()
    }
}

impl Cancel {
    /// Returns a switch in the position "run".
    pub fn new() -> Self {
        Self {
            reason: Arc::default(),
            stop: Latch::new(),
            kill: Latch::new(),
        }
    }

    /// Starts nothing new, gives up connections being made, and lets running commands have
    /// the grace period before they are ended. The first reason is the one reported.
    pub fn stop(&self, reason: StopReason) {
        // A second reason doesn't replace the first.
        let _ = self.reason.set(reason);
        self.stop.trip();
    }

    /// Ends running commands without grace; implies [`Cancel::stop`].
    pub fn kill(&self, reason: StopReason) {
        self.stop(reason);
        self.kill.trip();
    }

    /// Returns why the run is to stop, if it is.
    pub fn reason(&self) -> Option<StopReason> {
        self.reason.get().copied()
    }

    /// Whether the run is to stop.
    pub fn is_stopped(&self) -> bool {
        self.stop.is_tripped()
    }

    /// Waits until the run is to stop.
    pub(super) async fn stopped(&self) {
        self.stop.tripped().await;
    }

    /// Waits until running commands are to be ended at once.
    pub(super) async fn killed(&self) {
        self.kill.tripped().await;
    }
}

/// Closing an async channel wakes every waiter, now and later.
#[derive(Debug, Clone)]
struct Latch {
    sender: Sender<Infallible>,
    receiver: Receiver<Infallible>,
}

impl Latch {
    fn new() -> Self {
        let (sender, receiver) = async_channel::bounded(1);
        Self { sender, receiver }
    }

    fn trip(&self) {
        self.sender.close();
    }

    fn is_tripped(&self) -> bool {
        self.sender.is_closed()
    }

    async fn tripped(&self) {
        // Nothing can be sent, so this ends when the channel is closed.
        let _ = self.receiver.recv().await;
    }
}
