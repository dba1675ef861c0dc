//! A fleet at its provider: brought to a size, and taken away, without paying for a server twice or
//! forgetting one.
//!
//! A [`Fleet`] is a provider, the fleet's [record](super::ledger) and somebody who is told what
//! happens. [`raise`](Fleet::raise) makes what is missing and nothing more, so it can be repeated
//! after any failure; [`raze`](Fleet::raze) destroys. Before each create call its intent is on the
//! disk; an intent without a result is settled first thing the next time, by looking for the server.

mod raise;
mod raze;
mod settle;
#[cfg(test)]
mod tests;

use std::sync::Mutex;
use std::time::{Duration, Instant};

use super::ledger::{Entry, Ledger, Recorded, now};
use super::{FleetName, Pace, Provider, ProviderError, Server, State, Stop};

pub use self::raise::{Ended, Made, Raised, Wanted};
pub use self::raze::Razed;

/// Requests in flight at once.
const IN_FLIGHT: usize = 4;

/// What happens to a server, told as it happens.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Step {
    /// It is being asked for.
    Creating,
    /// It was made.
    Created {
        /// The provider's id.
        id: String,
    },
    /// It had been made by a run that could not record it, and is recorded now.
    Adopted {
        /// The provider's id.
        id: String,
    },
    /// It could not be made, or what was asked for came to nothing.
    Failed {
        /// Why not.
        message: String,
    },
    /// The provider tells another state.
    State {
        /// In hoist's words.
        state: State,
        /// In the provider's words.
        raw: String,
    },
    /// It runs and has an address.
    Running {
        /// Where it is reached.
        address: std::net::IpAddr,
    },
    /// It is being destroyed.
    Destroying,
    /// It is gone.
    Gone,
}

/// Who is told: the server's name, and what happened to it.
pub type Told<'a> = &'a (dyn Fn(&str, &Step) + Sync);

/// One fleet at its provider.
pub struct Fleet<'a> {
    provider: &'a dyn Provider,
    name: FleetName,
    ledger: Mutex<Ledger>,
    pace: Pace,
    stop: Stop,
    told: Told<'a>,
}

impl<'a> Fleet<'a> {
    /// Returns the fleet whose record is `ledger`.
    pub fn new(
        provider: &'a dyn Provider,
        name: FleetName,
        ledger: Ledger,
        (pace, stop): (Pace, Stop),
        told: Told<'a>,
    ) -> Self {
        let ledger = Mutex::new(ledger);
        Self {
            provider,
            name,
            ledger,
            pace,
            stop,
            told,
        }
    }

    /// Lists the servers that are there: those of the fleet that the provider tells, joined with the
    /// record. Settles what an earlier run left open; see [`settle`].
    ///
    /// # Errors
    /// When the provider can't be asked, or the record can't be written.
    pub fn servers(&self) -> Result<Vec<Server>, ProviderError> {
        settle::settle(self)
    }

    /// Returns what the record knows of the server called `name`.
    pub fn recorded(&self, name: &str) -> Option<Recorded> {
        self.with_ledger(|ledger| ledger.get(name).cloned())
    }

    /// Writes that the server is about to have another host key.
    ///
    /// # Errors
    /// When the record can't be written: then the key must not be changed.
    pub fn rekeying(&self, name: &str, host_key: &str) -> Result<(), ProviderError> {
        self.write(Entry::Rekeying {
            at: now(),
            name: name.to_owned(),
            host_key: host_key.to_owned(),
        })
    }

    /// Writes that the server has another host key.
    ///
    /// # Errors
    /// When the record can't be written.
    pub fn rekeyed(&self, name: &str, host_key: &str) -> Result<(), ProviderError> {
        self.write(Entry::Rekeyed {
            at: now(),
            name: name.to_owned(),
            host_key: host_key.to_owned(),
        })
    }

    fn with_ledger<T>(&self, look: impl FnOnce(&mut Ledger) -> T) -> T {
        let ledger = self.ledger.lock();
        look(&mut ledger.unwrap_or_else(std::sync::PoisonError::into_inner))
    }

    fn write(&self, entry: Entry) -> Result<(), ProviderError> {
        self.with_ledger(|ledger| ledger.write(entry))
    }

    fn tell(&self, name: &str, step: &Step) {
        (self.told)(name, step);
    }

    /// Looks every so often until `look` is content; `false` when the time is up.
    fn poll(
        &self,
        first: Duration,
        timeout: Duration,
        mut look: impl FnMut() -> Result<bool, ProviderError>,
    ) -> Result<bool, ProviderError> {
        let ends_at = Instant::now() + timeout;
        let mut wait = first;
        loop {
            if !self.stop.wait(wait) {
                return Err(ProviderError::Stopped);
            }
            if look()? {
                return Ok(true);
            }
            if Instant::now() >= ends_at {
                return Ok(false);
            }
            wait = self.pace.poll;
        }
    }
}

/// Does `work` for every item, a few at once, in order.
fn each<T: Sync>(items: &[T], work: impl Fn(&T) + Sync) {
    let next = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..IN_FLIGHT.min(items.len()) {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    let Some(item) = items.get(index) else { return };
                    work(item);
                }
            });
        }
    });
}
