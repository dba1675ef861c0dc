//! Waits until servers run, and says what became of each.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::super::super::{ProviderError, Server, State};
use super::super::{Fleet, Place, Step, settle};
use super::make::{Fate, Fates};
use super::{Made, Wanted};
use crate::host::escaped;

/// What is there after waiting.
pub(super) struct Waited {
    /// As last listed, or as known.
    servers: Vec<Server>,
    /// Listed before, and not any more.
    vanished: Vec<Server>,
    /// Whether everything was settled in time, or why nobody could wait.
    outcome: Result<bool, ProviderError>,
}

impl Fleet<'_> {
    /// Settles what is open, then waits until every server runs.
    pub(super) fn wait(
        &self,
        wanted: &Wanted<'_>,
        place: Place<'_>,
        there: Vec<Server>,
        fates: &mut Fates,
    ) -> Waited {
        let mut servers = there.clone();
        let is_open = fates.values().any(|fate| matches!(fate, Fate::Open(_)));
        let outcome = self.settle_fates(is_open, place, fates).and_then(|()| {
            let (mut told, mut off) = (BTreeSet::new(), BTreeMap::new());
            let mut look = || {
                servers = settle::list(self, &self.reach, place)?;
                Ok(self.are_settled(&servers, &mut told, &mut off))
            };
            if self.reach.stop.is_stopped() {
                Err(ProviderError::Stopped)
            } else if wanted.waits {
                let waits = (self.pace.first_poll, self.pace.boot_timeout);
                self.poll(&self.reach.stop, waits, look)
            } else {
                look()
            }
        });
        let is_listed = |server: &Server| servers.iter().any(|other| other.id == server.id);
        let vanished = there.into_iter().filter(|server| !is_listed(server));
        Waited {
            vanished: vanished.collect(),
            servers,
            outcome,
        }
    }

    /// Finds out what became of the servers that were asked for and of which nobody knows.
    fn settle_fates(
        &self,
        is_open: bool,
        place: Place<'_>,
        fates: &mut Fates,
    ) -> Result<(), ProviderError> {
        if !is_open || self.reach.stop.is_stopped() {
            return Ok(());
        }
        let settled = settle::settle(self, &self.reach, place);
        let there = settled.as_ref().map_or(&[][..], Vec::as_slice);
        for (name, fate) in fates.iter_mut() {
            let Fate::Open(error) = fate else { continue };
            let known = self.recorded(name);
            let server = known.as_ref().and_then(|known| {
                let listed = there
                    .iter()
                    .find(|server| Some(&server.id) == known.id.as_ref());
                listed.cloned().or_else(|| settle::remembered(self, known))
            });
            match (known, server) {
                (Some(known), Some(server)) => {
                    let is_old = settle::is_as_young(&server, &known) == Some(false);
                    let server = Box::new(server);
                    *fate = if is_old {
                        Fate::Found(server)
                    } else {
                        Fate::Made(server, None)
                    };
                }
                (Some(_), None) => {}
                (None, _) => *fate = Fate::Failed(came_to_nothing(error)),
            }
        }
        settled.map(|_| ())
    }

    /// Tells what changed, and whether there is nothing left to wait for.
    /// `off` holds since when servers are switched off: between being made and starting, some are for
    /// a moment.
    fn are_settled(
        &self,
        servers: &[Server],
        told: &mut BTreeSet<(String, String)>,
        off: &mut BTreeMap<String, Instant>,
    ) -> bool {
        let is_off = |server: &&Server| server.state == State::Stopped;
        off.retain(|id, _| servers.iter().filter(is_off).any(|server| server.id == *id));
        for server in servers.iter().filter(is_off) {
            off.entry(server.id.clone()).or_insert_with(Instant::now);
        }
        for server in servers {
            let is_usable = is_usable(server);
            let word = if is_usable {
                "running"
            } else {
                &server.raw_state
            };
            if !told.insert((server.id.clone(), word.to_owned())) {
                continue;
            }
            if let Some(address) = server.address().filter(|_| is_usable) {
                self.tell(&server.name, &Step::Running { address });
            } else {
                let (state, raw) = (server.state, server.raw_state.clone());
                self.tell(&server.name, &Step::State { state, raw });
            }
        }
        let recorded: Vec<String> = self.with_ledger(|ledger| {
            let ids = ledger.servers().filter_map(|known| known.id.clone());
            ids.collect()
        });
        let is_listed = |id: &String| servers.iter().any(|server| server.id == *id);
        let stays_off = |server: &Server| {
            let since = off.get(&server.id);
            since.is_some_and(|since| since.elapsed() >= self.pace.fresh)
        };
        let is_done = |server: &Server| {
            is_usable(server) || server.state == State::Error || stays_off(server)
        };
        recorded.iter().all(is_listed) && servers.iter().all(is_done)
    }

    /// Returns every server that is there, and every name that was to be made.
    pub(super) fn made(&self, wanted: &Wanted<'_>, end: &Waited, fates: &Fates) -> Vec<Made> {
        let mut servers = end.servers.clone();
        for fate in fates.values() {
            let (Fate::Made(server, _) | Fate::Found(server)) = fate else {
                continue;
            };
            if servers.iter().all(|other| other.id != server.id) {
                servers.push(server.as_ref().clone());
            }
        }
        let twins = twins(&servers);
        let there = servers.into_iter().map(|server| {
            let (is_new, failed) = match fates.get(&server.name) {
                Some(Fate::Made(made, error)) if made.id == server.id => (true, error.clone()),
                _ => (false, None),
            };
            let error = failed.or_else(|| twin_error(&twins, &server));
            let error = error.or_else(|| self.unusable(wanted, &server, &end.outcome));
            Made {
                name: server.name.clone(),
                server: Some(server),
                is_new,
                is_open: false,
                error,
            }
        });
        let absent = fates.iter().filter_map(|(name, fate)| match fate {
            Fate::Open(error) => Some((name, true, error)),
            Fate::Failed(error) => Some((name, false, error)),
            Fate::Made(..) | Fate::Found(_) => None,
        });
        let absent = absent.map(|(name, is_open, error)| Made {
            name: name.clone(),
            server: None,
            is_new: false,
            is_open,
            error: Some(error.clone()),
        });
        let vanished = end.vanished.iter().map(|server| Made {
            name: server.name.clone(),
            server: Some(server.clone()),
            is_new: false,
            is_open: false,
            error: Some(ProviderError::Local {
                message: "it is not listed any more".to_owned(),
            }),
        });
        there.chain(absent).chain(vanished).collect()
    }

    /// Returns why a server can't be used.
    fn unusable(
        &self,
        wanted: &Wanted<'_>,
        server: &Server,
        outcome: &Result<bool, ProviderError>,
    ) -> Option<ProviderError> {
        if is_usable(server) || (!wanted.waits && server.state == State::Pending) {
            return None;
        }
        let raw = escaped(&server.raw_state);
        let message = match (&server.message, server.state, outcome) {
            (Some(message), State::Error, _) => escaped(message),
            (None, State::Error, _) => format!("the provider says `{raw}`"),
            (_, State::Stopped, _) => format!("it is switched off (`{raw}`)"),
            (_, _, Err(error)) => return Some(error.clone()),
            _ if server.raw_state.is_empty() => {
                format!("it was not listed within {:?}", self.pace.boot_timeout)
            }
            _ => format!(
                "it did not run within {:?} (`{raw}`)",
                self.pace.boot_timeout
            ),
        };
        Some(ProviderError::Local { message })
    }
}

/// Returns why there is no server although nobody said so.
fn came_to_nothing(error: &ProviderError) -> ProviderError {
    match error {
        ProviderError::Lost { provider, message } => ProviderError::Lost {
            provider: *provider,
            message: format!("{message}, and no server of this name turned up"),
        },
        other => other.clone(),
    }
}

/// Whether it runs and can be dialled.
fn is_usable(server: &Server) -> bool {
    server.state == State::Running && server.address().is_some()
}

/// Returns the ids of the names that several servers have.
fn twins(servers: &[Server]) -> BTreeMap<String, Vec<String>> {
    let mut ids: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for server in servers {
        let ids = ids.entry(server.name.clone()).or_default();
        ids.push(server.id.clone());
    }
    ids.retain(|_, ids| ids.len() > 1);
    ids
}

fn twin_error(twins: &BTreeMap<String, Vec<String>>, server: &Server) -> Option<ProviderError> {
    let ids = twins.get(&server.name)?.iter();
    let ids: Vec<String> = ids.map(|id| format!("`{}`", escaped(id))).collect();
    Some(ProviderError::Input {
        message: format!(
            "{} servers are called `{}`: ids {}; destroy all but one",
            ids.len(),
            escaped(&server.name),
            ids.join(", ")
        ),
    })
}
