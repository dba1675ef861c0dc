//! A fleet at its provider: brought to a size, and taken away, without paying for a server twice or
//! forgetting one.
//!
//! A [`Fleet`] is a provider, the fleet's [record](super::ledger) and somebody who is told what
//! happens. [`raise`](Fleet::raise) makes what is missing and nothing more, so it can be repeated
//! after any failure; [`raze`](Fleet::raze) destroys. Before each create call its intent is on the
//! disk; an intent without a result is settled first thing the next time, by looking for the server.
//!
//! A fleet is at one provider. Its servers are those with its tag and those in its record; a server
//! with neither is never touched, whatever its name.

mod adopt;
mod raise;
mod raze;
mod settle;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::time::{Duration, Instant};

use super::ledger::{Entry, Ledger, Recorded, now};
use super::{
    FleetName, Pace, Provider, ProviderError, ProviderName, RefusalKind, Server, State, Stop,
};
use crate::host::escaped;

pub use self::raise::{Ended, Made, Raised, Wanted, names};
pub use self::raze::Razed;

/// Requests in flight at once.
const IN_FLIGHT: usize = 4;

/// How soon a stop is noticed while an answer is awaited.
const LOOK_FOR_STOP: Duration = Duration::from_millis(50);

/// How often in a row the provider may fail to be asked while something is awaited.
const MOST_FAILURES: u32 = 3;

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
    /// It was asked for, and nobody knows whether it was made.
    Lost {
        /// What happened.
        message: String,
    },
    /// It was recorded and is not listed: destroyed by somebody else, or another account's.
    Missing {
        /// The provider's id.
        id: String,
    },
    /// It was missing and is listed again.
    Found {
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
    reach: Reach,
    cleanup: Option<Reach>,
    name: FleetName,
    region: Option<String>,
    ledger: Mutex<Ledger>,
    pace: Pace,
    told: Told<'a>,
    seen: Mutex<Seen>,
}

/// What listings showed.
#[derive(Default)]
struct Seen {
    /// Ids that were listed at some time.
    ids: BTreeSet<String>,
    /// What the last listing showed and the record lacks.
    unrecorded: Vec<Server>,
}

impl<'a> Fleet<'a> {
    /// Returns the fleet whose record is `ledger`.
    pub fn new(
        provider: Arc<dyn Provider>,
        name: FleetName,
        ledger: Ledger,
        (pace, stop): (Pace, Stop),
        told: Told<'a>,
    ) -> Self {
        Self {
            reach: Reach { provider, stop },
            cleanup: None,
            name,
            region: None,
            ledger: Mutex::new(ledger),
            pace,
            told,
            seen: Mutex::default(),
        }
    }

    /// Has what is left to destroy after the stop destroyed through another access to the same
    /// account: `provider` has to be opened with this other `stop`.
    #[must_use]
    pub fn with_cleanup(self, provider: Arc<dyn Provider>, stop: Stop) -> Self {
        Self {
            cleanup: Some(Reach { provider, stop }),
            ..self
        }
    }

    /// Says that the provider lists this region only. EC2 does; as long as the region is not known,
    /// nothing that was asked for there is taken to be gone.
    #[must_use]
    pub fn in_region(self, region: Option<String>) -> Self {
        Self { region, ..self }
    }

    /// Lists the servers that are there: those of the fleet that the provider tells, joined with the
    /// record, and those just made that it doesn't tell yet. Settles what an earlier run left open,
    /// which may take [`Pace::lost`].
    ///
    /// Two servers may have one name, if somebody else made one.
    ///
    /// # Errors
    /// When the provider can't be asked, the record can't be written, or the fleet is recorded at
    /// another provider or region.
    pub fn servers(&self) -> Result<Vec<Server>, ProviderError> {
        let place = self.place(None);
        self.check_place(place)?;
        settle::settle(self, &self.reach, place)
    }

    /// Returns what the last listing showed that may be the fleet's and is not in its record: it has
    /// the fleet's tag, or, where there are no tags (`fleet` is unset), a name like one of its servers.
    pub fn unrecorded(&self) -> Vec<Server> {
        let unrecorded = self.seen().unrecorded.clone();
        let is_like = |server: &Server| {
            let number = server.name.strip_prefix(self.name.as_str());
            let number = number.and_then(|rest| rest.strip_prefix('-'));
            let is_numbered = number.is_some_and(|number| {
                !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
            });
            is_numbered || self.recorded(&server.name).is_some()
        };
        let unrecorded = unrecorded.into_iter().filter(|server| {
            server.fleet.is_some() || (is_like(server) && self.holder(&server.id).is_none())
        });
        unrecorded.collect()
    }

    /// Returns what the record knows of servers that hoist did not destroy and that the provider
    /// does not list: somebody else destroyed them, or they are another account's.
    pub fn missing(&self) -> Vec<Recorded> {
        self.with_ledger(|ledger| ledger.missing().cloned().collect())
    }

    /// Gives the record back.
    pub fn into_ledger(self) -> Ledger {
        let ledger = self.ledger.into_inner();
        ledger.unwrap_or_else(PoisonError::into_inner)
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
        look(&mut locked(&self.ledger))
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        locked(&self.seen)
    }

    fn write(&self, entry: Entry) -> Result<(), ProviderError> {
        self.with_ledger(|ledger| ledger.write(entry))
    }

    fn tell(&self, name: &str, step: &Step) {
        (self.told)(name, step);
    }

    /// Returns which other fleet has recorded the server with this id.
    fn holder(&self, id: &str) -> Option<FleetName> {
        let provider = self.reach.provider.name();
        self.with_ledger(|ledger| ledger.holder(provider, id))
    }

    /// Returns the way to the provider that is open: the one for cleaning up once stopped.
    fn open_reach(&self) -> &Reach {
        let cleanup = self.cleanup.as_ref();
        let cleanup = cleanup.filter(|_| self.reach.stop.is_stopped());
        cleanup.unwrap_or(&self.reach)
    }

    /// Returns what the provider lists: everything, or one region, which an order names.
    fn place<'p>(&'p self, ordered: Option<&'p str>) -> Place<'p> {
        let provider = self.reach.provider.name();
        if provider == ProviderName::Aws {
            let region = self.region.as_deref().or(ordered);
            region.map_or(Place::SomeRegion(provider), |region| {
                Place::Region(provider, region)
            })
        } else {
            Place::Everywhere(provider)
        }
    }

    /// Makes sure that the record speaks of nothing that a listing can't show.
    fn check_place(&self, place: Place<'_>) -> Result<(), ProviderError> {
        let elsewhere = self.with_ledger(|ledger| {
            let mut servers = ledger.servers();
            servers
                .find(|known| place.shows(known) == Some(false))
                .map(|known| (known.provider.clone(), known.region.clone()))
        });
        let Some((provider, region)) = elsewhere else {
            return Ok(());
        };
        let here = match place {
            Place::Region(provider, region) => format!("{provider} {region}"),
            Place::Everywhere(provider) | Place::SomeRegion(provider) => provider.to_string(),
        };
        Err(ProviderError::Input {
            message: format!(
                "the fleet `{}` is at {} {}, not at {}; work on it there, or take another name",
                self.name,
                escaped(&provider),
                escaped(&region),
                escaped(&here)
            ),
        })
    }

    /// Looks every so often until `look` is content; `false` when the time is up. A provider that
    /// can't be asked now and then is asked again.
    fn poll(
        &self,
        stop: &Stop,
        (first, timeout): (Duration, Duration),
        mut look: impl FnMut() -> Result<bool, ProviderError>,
    ) -> Result<bool, ProviderError> {
        let ends_at = Instant::now() + timeout;
        let (mut wait, mut failures) = (first, 0);
        loop {
            if !stop.wait(wait) {
                return Err(ProviderError::Stopped);
            }
            let looked = look();
            let is_over = Instant::now() >= ends_at;
            match looked {
                Ok(false) if !is_over => failures = 0,
                Ok(is_content) => return Ok(is_content),
                Err(error) if passes(&error) && failures < MOST_FAILURES && !is_over => {
                    failures += 1;
                }
                Err(error) => return Err(error),
            }
            wait = self.pace.poll;
        }
    }
}

/// Whether what failed for this reason may succeed before long.
fn passes(error: &ProviderError) -> bool {
    match error {
        ProviderError::Unreachable { .. }
        | ProviderError::Lost { .. }
        | ProviderError::Unreadable { .. } => true,
        ProviderError::Refused { refusal, .. } => {
            matches!(refusal.kind, RefusalKind::Busy | RefusalKind::Locked)
        }
        _ => false,
    }
}

/// What a listing can show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place<'a> {
    /// All that the account has.
    Everywhere(ProviderName),
    /// One region, which nobody has told.
    SomeRegion(ProviderName),
    /// One region.
    Region(ProviderName, &'a str),
}

impl Place<'_> {
    /// Whether a listing shows this server if it is there, as far as that is known.
    fn shows(self, known: &Recorded) -> Option<bool> {
        let is_at = |provider: ProviderName| known.provider == provider.as_str();
        match self {
            Self::Everywhere(provider) => Some(is_at(provider)),
            Self::SomeRegion(provider) => (!is_at(provider)).then_some(false),
            // What was adopted may be recorded by the zone within the region, or without either.
            Self::Region(provider, region) => {
                let is_in = known.region.is_empty() || known.region.starts_with(region);
                Some(is_at(provider) && is_in)
            }
        }
    }
}

/// A way to the provider, and what ends waiting for it.
#[derive(Clone)]
struct Reach {
    provider: Arc<dyn Provider>,
    stop: Stop,
}

impl Reach {
    /// Asks the provider something. Once stopped, waits so much longer for the answer and no more:
    /// then it is [`ProviderError::Stopped`], and the request may have been heard.
    fn ask<T: Send + 'static>(
        &self,
        grace: Duration,
        ask: impl FnOnce(&dyn Provider) -> Result<T, ProviderError> + Send + 'static,
    ) -> Result<T, ProviderError> {
        let (sender, answers) = mpsc::channel();
        let provider = Arc::clone(&self.provider);
        let thread = std::thread::Builder::new().spawn(move || {
            // Nobody may be left to hear it.
            let _ = sender.send(ask(provider.as_ref()));
        });
        thread.map_err(|error| ProviderError::Local {
            message: format!("cannot start a thread: {error}"),
        })?;
        let mut ends_at = None;
        loop {
            match answers.recv_timeout(LOOK_FOR_STOP) {
                Ok(answer) => return answer,
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    return Err(ProviderError::Lost {
                        provider: self.provider.name(),
                        message: "asking failed within hoist".to_owned(),
                    });
                }
                Err(mpsc::RecvTimeoutError::Timeout) => {}
            }
            if ends_at.is_none() && self.stop.is_stopped() {
                ends_at = Some(Instant::now() + grace);
            }
            if ends_at.is_some_and(|at| Instant::now() >= at) {
                return Err(ProviderError::Stopped);
            }
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
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
