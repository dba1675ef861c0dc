//! When the next order may be sent.
//!
//! Linode takes about ten orders in half a minute and says with each answer how many are left
//! (<https://techdocs.akamai.com/linode-api/reference/rate-limits>). Waiting for the next window is
//! better than being refused by it: refusals are tried again a few times only.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::super::http::Answer;
use super::super::{Access, ProviderError, Stop};

/// The instant before which no order is taken.
pub(super) struct Turn {
    opens_at: Mutex<Option<Instant>>,
    cap: Duration,
    stop: Stop,
}

impl Turn {
    /// Returns one that is open.
    pub(super) fn new(access: &Access) -> Self {
        Self {
            opens_at: Mutex::new(None),
            cap: access.pace.retry_after_cap,
            stop: access.stop.clone(),
        }
    }

    /// Waits until orders are taken.
    ///
    /// # Errors
    /// When stopped meanwhile.
    pub(super) fn wait(&self) -> Result<(), ProviderError> {
        let opens_at = *self.lock();
        let left = opens_at.map(|at| at.saturating_duration_since(Instant::now()));
        match left.filter(|left| !left.is_zero()) {
            Some(left) if !self.stop.wait(left) => Err(ProviderError::Stopped),
            _ => Ok(()),
        }
    }

    /// Learns from the answer to an order whether more are taken now.
    pub(super) fn learn(&self, answer: &Answer) {
        let number = |name: &str| answer.header(name)?.trim().parse::<u64>().ok();
        let (Some(0), Some(reset)) = (number("x-ratelimit-remaining"), number("x-ratelimit-reset"))
        else {
            return;
        };
        let reset = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(reset));
        let left = reset.and_then(|reset| reset.duration_since(answer.at).ok());
        // The clock is theirs; a wrong one of ours must not make it long.
        let left = left.unwrap_or_default().min(self.cap);
        *self.lock() = Instant::now().checked_add(left);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Instant>> {
        // An instant can't be half written.
        let opens_at = self.opens_at.lock();
        opens_at.unwrap_or_else(PoisonError::into_inner)
    }
}
