//! Brings a fleet to a size: makes what is missing, waits until it runs.

mod make;
mod wait;

use std::collections::BTreeSet;

use super::super::{FleetName, Offer, ProviderError, Server, Spec, State, is_server_name};
use super::{Fleet, Place, Razed, Reach, settle};
use crate::host::escaped;
use make::Fates;

/// What a fleet is to be.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// What each server is to be.
    pub spec: &'a Spec,
    /// What that came to.
    pub offer: &'a Offer,
    /// How many there are to be.
    pub count: usize,
    /// How they are called: `{fleet}-{n}`.
    pub pattern: &'a str,
    /// Names this run, so that no other uses its tokens.
    pub run: &'a str,
    /// What servers read when they first boot, besides what hoist has to say.
    pub user_data: Option<&'a [u8]>,
    /// Whether to wait until they run.
    pub waits: bool,
    /// Whether to destroy what this run made if not all could be made.
    pub is_all_or_nothing: bool,
}

/// One server of a fleet after it was raised.
#[derive(Debug, Clone)]
pub struct Made {
    /// What it is called.
    pub name: String,
    /// What is there, and costs money; `None` where nothing is, as far as known.
    pub server: Option<Server>,
    /// Whether this run made it.
    pub is_new: bool,
    /// Whether it was asked for and nobody knows yet if it was made: it may cost money. The next run
    /// finds out.
    pub is_open: bool,
    /// Why it can't be used.
    pub error: Option<ProviderError>,
}

/// How raising ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Every server runs, or was made where there was no waiting.
    Complete,
    /// Some could not be made, or don't run.
    Partial,
    /// Some could not be made, and what this run had made was destroyed.
    Undone,
    /// Stopped from outside.
    Stopped,
}

/// A fleet after it was raised.
#[derive(Debug, Clone)]
pub struct Raised {
    /// Every server, those that could not be made included, by number. Two may have one name.
    pub servers: Vec<Made>,
    /// How many names there are beyond what was wanted; then nothing was made or destroyed.
    pub surplus: usize,
    /// How it ended.
    pub ended: Ended,
}

impl Raised {
    /// Yields what costs money, or may: names with ids, or without one where nobody knows yet
    /// whether the server was made.
    pub fn costly(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let costly = self.servers.iter().filter(|made| {
            let is_there = made.server.is_some();
            is_there || made.is_open
        });
        costly.map(|made| {
            let server = made.server.as_ref();
            (made.name.as_str(), server.map(|server| server.id.as_str()))
        })
    }
}

/// Returns the first `count` names that `pattern` gives to servers of `fleet`.
///
/// # Errors
/// When the pattern gives names that can't be.
pub fn names(pattern: &str, fleet: &FleetName, count: usize) -> Result<Vec<String>, ProviderError> {
    let none = BTreeSet::new();
    missing(pattern, fleet.as_str(), (&none, &none), count)
}

/// Returns the names that are missing among `taken` until there are `count`, lowest numbers first.
/// Those in `avoided` are used neither, though they don't count.
///
/// # Errors
/// When the pattern gives names that can't be.
pub(super) fn missing(
    pattern: &str,
    fleet: &str,
    (taken, avoided): (&BTreeSet<String>, &BTreeSet<String>),
    count: usize,
) -> Result<Vec<String>, ProviderError> {
    if !pattern.contains("{n}") {
        return Err(ProviderError::Input {
            message: format!(
                "`{}` gives every server the same name; write {{n}} where its number goes",
                escaped(pattern)
            ),
        });
    }
    let wanted = count.saturating_sub(taken.len());
    let name = |n: usize| {
        pattern
            .replace("{fleet}", fleet)
            .replace("{n}", &n.to_string())
    };
    let free = (1..)
        .map(name)
        .filter(|name| !taken.contains(name) && !avoided.contains(name));
    let names: Vec<String> = free.take(wanted).collect();
    match names.iter().find(|name| !is_server_name(name)) {
        None => Ok(names),
        Some(name) => Err(ProviderError::Input {
            message: format!(
                "`{}` can't be a server's name: lower-case letters, digits and single `-` between \
                 them, a letter first, 3 to 63 characters",
                escaped(name)
            ),
        }),
    }
}

impl Fleet<'_> {
    /// Makes what is missing of the fleet, whose servers are now `there`, and waits until all run.
    /// Where there are more than wanted, nothing is made or destroyed.
    ///
    /// Never fails as a whole once something was made: what became of each server is in the result,
    /// and [`Raised::costly`] tells what has to be paid.
    ///
    /// # Errors
    /// When nothing was made: the pattern is wrong, the fleet is at another provider or region, or
    /// what has to be there first can't be made.
    pub fn raise(&self, wanted: &Wanted<'_>, there: &[Server]) -> Result<Raised, ProviderError> {
        let place = self.ordered_place(wanted)?;
        self.check_place(place)?;
        let there = self.settled(place, there)?;
        let taken = self.taken(&there);
        let names = self.names(wanted, &taken, &there)?;
        let mut fates = Fates::new();
        if !names.is_empty() {
            if self.reach.stop.is_stopped() {
                return Err(ProviderError::Stopped);
            }
            let (spec, offer) = (wanted.spec.clone(), wanted.offer.clone());
            let prepared = self.reach.ask(self.pace.grace, move |provider| {
                provider.prepare(&spec, &offer)
            })?;
            fates = self.make_all(wanted, prepared, &names);
        }
        let end = self.wait(wanted, place, there, &mut fates);
        let mut servers = self.made(wanted, &end, &fates);
        sort(&mut servers);
        let ended = self.ended(&servers);
        let mut raised = Raised {
            servers,
            surplus: taken.len().saturating_sub(wanted.count),
            ended,
        };
        if wanted.is_all_or_nothing && is_short(&raised.servers) {
            self.undo(place, &mut raised);
        }
        Ok(raised)
    }

    /// Returns what a listing shows where the servers are to be made.
    fn ordered_place<'p>(&'p self, wanted: &'p Wanted<'_>) -> Result<Place<'p>, ProviderError> {
        let ordered = wanted.offer.region.as_str();
        let place = self.place(Some(ordered));
        match place {
            Place::Region(provider, listed) if listed != ordered => Err(ProviderError::Input {
                message: format!(
                    "servers are to be made at {provider} {}, but {} is what is listed; name the \
                     same region for both",
                    escaped(ordered),
                    escaped(listed)
                ),
            }),
            _ => Ok(place),
        }
    }

    /// Returns what is there, `there` for all that was known before, after what the order's place
    /// lets be settled is settled.
    fn settled(&self, place: Place<'_>, there: &[Server]) -> Result<Vec<Server>, ProviderError> {
        let is_listed = |id: &String| there.iter().any(|server| server.id == *id);
        let has_doubts = self.with_ledger(|ledger| {
            let mut servers = ledger.servers();
            servers.any(|known| !known.id.as_ref().is_some_and(is_listed))
        });
        if has_doubts {
            settle::settle(self, &self.reach, place)
        } else {
            Ok(there.to_vec())
        }
    }

    /// Returns the names that are in use: what is there, and what may be.
    fn taken(&self, there: &[Server]) -> BTreeSet<String> {
        let recorded: Vec<String> = self.with_ledger(|ledger| {
            let names = ledger.servers().map(|known| known.name.clone());
            names.collect()
        });
        let there = there.iter().map(|server| server.name.clone());
        there.chain(recorded).collect()
    }

    /// Returns what this run is to make.
    fn names(
        &self,
        wanted: &Wanted<'_>,
        taken: &BTreeSet<String>,
        there: &[Server],
    ) -> Result<Vec<String>, ProviderError> {
        // Somebody else's server of the same name could be taken for a lost one later.
        let others = self.seen().unrecorded.clone().into_iter();
        let avoided = others.map(|server| server.name).collect();
        let fleet = self.name.as_str();
        let names = missing(wanted.pattern, fleet, (taken, &avoided), wanted.count)?;
        let broken = there.iter().find(|server| server.state == State::Error);
        match broken {
            Some(server) if wanted.is_all_or_nothing && !names.is_empty() => {
                Err(ProviderError::Input {
                    message: format!(
                        "not all servers can be there while `{}` (id `{}`) is in error at {}; \
                         destroy it first",
                        escaped(&server.name),
                        escaped(&server.id),
                        server.provider.title()
                    ),
                })
            }
            _ => Ok(names),
        }
    }

    fn ended(&self, servers: &[Made]) -> Ended {
        if servers.iter().all(|made| made.error.is_none()) {
            Ended::Complete
        } else if self.reach.stop.is_stopped() {
            Ended::Stopped
        } else {
            Ended::Partial
        }
    }

    /// Destroys what this run made, and nothing else, after what was left open is settled. What may
    /// still be there then is in `raised` as open, or in what is left.
    pub fn unmake(&self, wanted: &Wanted<'_>, raised: &mut Raised) -> Razed {
        let reach = self.open_reach();
        let place = self.place(Some(&wanted.offer.region));
        self.settle_open(reach, place, &mut raised.servers);
        let new = raised.servers.iter().filter(|made| made.is_new);
        let new: Vec<Server> = new.filter_map(|made| made.server.clone()).collect();
        self.raze_through(reach, &new)
    }

    /// Destroys what this run made, and nothing that was there before.
    fn undo(&self, place: Place<'_>, raised: &mut Raised) {
        let reach = self.open_reach();
        self.settle_open(reach, place, &mut raised.servers);
        let new = raised.servers.iter().filter(|made| made.is_new);
        let new: Vec<Server> = new.filter_map(|made| made.server.clone()).collect();
        let razed = self.raze_through(reach, &new);
        for made in raised.servers.iter_mut().filter(|made| made.is_new) {
            undone(made, &razed);
        }
        let is_undone = !raised
            .servers
            .iter()
            .any(|made| made.is_open || (made.is_new && made.server.is_some()));
        raised.ended = match raised.ended {
            Ended::Stopped => Ended::Stopped,
            _ if is_undone => Ended::Undone,
            _ => Ended::Partial,
        };
    }

    /// Finds out what became of servers that were asked for, so that they can be destroyed as well.
    fn settle_open(&self, reach: &Reach, place: Place<'_>, servers: &mut [Made]) {
        if !servers.iter().any(|made| made.is_open) {
            return;
        }
        let Ok(there) = settle::settle(self, reach, place) else {
            return;
        };
        for made in servers.iter_mut().filter(|made| made.is_open) {
            let known = self.recorded(&made.name);
            let id = known.as_ref().and_then(|known| known.id.clone());
            let server = there.iter().find(|server| Some(&server.id) == id.as_ref());
            made.is_open = known.as_ref().is_some_and(|known| known.id.is_none());
            made.is_new = server
                .zip(known.as_ref())
                .is_some_and(|(server, known)| settle::is_as_young(server, known) != Some(false));
            made.server = server.cloned();
        }
    }
}

fn undone(made: &mut Made, razed: &Razed) {
    let Some(server) = &made.server else { return };
    if razed.gone.iter().any(|gone| gone.id == server.id) {
        made.server = None;
        made.error.get_or_insert(ProviderError::Input {
            message: "destroyed again, as not all could be made".to_owned(),
        });
        return;
    }
    let left = razed.left.iter().find(|(left, _)| left.id == server.id);
    if let Some((_, error)) = left {
        made.error = Some(ProviderError::Local {
            message: format!("not all could be made, and it can't be destroyed: {error}"),
        });
    }
}

/// Whether not all could be made.
fn is_short(servers: &[Made]) -> bool {
    servers.iter().any(|made| {
        let server = made.server.as_ref();
        server.is_none_or(|server| server.state == State::Error)
    })
}

fn sort(servers: &mut [Made]) {
    let key = |made: &Made| {
        let id = made.server.as_ref().map(|server| server.id.clone());
        (made.name.len(), made.name.clone(), id)
    };
    servers.sort_by_key(key);
}
