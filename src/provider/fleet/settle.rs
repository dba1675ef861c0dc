//! What is there: the provider's list joined with the record, after what was left open is settled.
//!
//! An intent without a result is a create call whose answer nobody heard: a killed hoist, a broken
//! connection. A listed server of that name is adopted, if it carries the fleet's tag, or, where
//! there are no tags, if it was not made before it was asked for: somebody else's older server of
//! that name is never taken. If none turns up for [`Pace::lost`](super::Pace), it came to nothing.
//!
//! What is recorded and not listed is missing from then on, and comes back when it is listed again.
//! Only a listing that could have shown it counts: one of the same provider and region, and not of
//! the first moments, in which a server may not be listed yet.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, SystemTime};

use super::super::ledger::{Entry, Recorded, now};
use super::super::{ProviderError, Server, State};
use super::{Fleet, Place, Reach, Step};

/// How far the provider's clock may be from this machine's.
const CLOCK_SLACK: Duration = Duration::from_mins(5);

/// Settles the record and returns the servers that are there.
pub(super) fn settle(
    fleet: &Fleet<'_>,
    reach: &Reach,
    place: Place<'_>,
) -> Result<Vec<Server>, ProviderError> {
    let mut listed = look(fleet, reach)?;
    let mut is_settled = open(fleet, place, &listed).is_empty();
    let patience = patience(fleet, &open(fleet, place, &listed));
    if !is_settled && !patience.is_zero() {
        let mut look = || {
            listed = self::look(fleet, reach)?;
            Ok(open(fleet, place, &listed).is_empty())
        };
        let waits = (fleet.pace.poll.min(patience), patience);
        is_settled = fleet.poll(&reach.stop, waits, &mut look)?;
    }
    if !is_settled {
        give_up(fleet, &open(fleet, place, &listed))?;
    }
    miss(fleet, place, &listed)?;
    Ok(joined(fleet, place, listed))
}

/// Lists what is there of the fleet, with what only the record knows, and settles nothing.
pub(super) fn list(
    fleet: &Fleet<'_>,
    reach: &Reach,
    place: Place<'_>,
) -> Result<Vec<Server>, ProviderError> {
    let listed = listed(fleet, reach)?;
    Ok(joined(fleet, place, listed))
}

/// Whether the server was not made before it was asked for, as far as that is known.
pub(super) fn is_as_young(server: &Server, known: &Recorded) -> Option<bool> {
    let asked_at = SystemTime::UNIX_EPOCH + Duration::from_secs(known.asked_at);
    let created_at = server.created_at?;
    Some(created_at + CLOCK_SLACK >= asked_at)
}

/// Returns all that the provider lists, and remembers it.
pub(super) fn listed(fleet: &Fleet<'_>, reach: &Reach) -> Result<Vec<Server>, ProviderError> {
    let name = fleet.name.clone();
    let mut listed = reach.ask(fleet.pace.grace, move |provider| provider.list(Some(&name)))?;
    let is_possible = |server: &Server| {
        let tagged = server.fleet.as_ref();
        server.state != State::Gone && tagged.is_none_or(|tagged| *tagged == fleet.name)
    };
    listed.retain(is_possible);
    let ours = by_id(fleet);
    let unrecorded = listed
        .iter()
        .filter(|server| !ours.contains_key(&server.id));
    let mut seen = fleet.seen();
    seen.unrecorded = unrecorded.cloned().collect();
    seen.ids
        .extend(listed.iter().map(|server| server.id.clone()));
    drop(seen);
    Ok(listed)
}

/// Lists, and records what can be recorded of it.
fn look(fleet: &Fleet<'_>, reach: &Reach) -> Result<Vec<Server>, ProviderError> {
    let listed = listed(fleet, reach)?;
    find(fleet, &listed)?;
    adopt(fleet, &listed)?;
    let ours = by_id(fleet);
    let mut seen = fleet.seen();
    seen.unrecorded
        .retain(|server| !ours.contains_key(&server.id));
    drop(seen);
    Ok(listed)
}

/// Returns what the record knows of servers at this provider, by id: another provider may use the
/// same ids.
fn by_id(fleet: &Fleet<'_>) -> HashMap<String, Recorded> {
    let provider = fleet.reach.provider.name().as_str();
    fleet.with_ledger(|ledger| {
        let known = ledger.servers().chain(ledger.missing());
        known
            .filter(|known| known.provider == provider)
            .filter_map(|known| Some((known.id.clone()?, known.clone())))
            .collect()
    })
}

/// Returns those of `listed` that are the fleet's, and what was just made and is not listed yet, by
/// number.
fn joined(fleet: &Fleet<'_>, place: Place<'_>, listed: Vec<Server>) -> Vec<Server> {
    let by_id = by_id(fleet);
    let is_listed: BTreeSet<String> = listed.iter().map(|server| server.id.clone()).collect();
    let fresh: Vec<Server> = fleet.with_ledger(|ledger| {
        let fresh = ledger.servers().filter(|known| {
            let id = known.id.as_ref();
            id.is_some_and(|id| !is_listed.contains(id))
                && is_fresh(fleet, known)
                && place.shows(known) == Some(true)
        });
        fresh.filter_map(|known| remembered(fleet, known)).collect()
    });
    let ours = listed.into_iter().filter_map(|mut server| {
        if let Some(known) = by_id.get(&server.id) {
            server.fleet = Some(fleet.name.clone());
            // It may have been renamed since; hoist's inventories know it by this name.
            server.name.clone_from(&known.name);
            if server.login_user.is_none() && !known.login_user.is_empty() {
                server.login_user = Some(known.login_user.clone());
            }
        }
        server.fleet.is_some().then_some(server)
    });
    let mut ours: Vec<_> = ours.chain(fresh).collect();
    ours.sort_by(|a, b| (a.name.len(), &a.name, &a.id).cmp(&(b.name.len(), &b.name, &b.id)));
    ours
}

/// Returns a server of which only the record knows.
pub(super) fn remembered(fleet: &Fleet<'_>, known: &Recorded) -> Option<Server> {
    let id = known.id.clone()?;
    let mut server = Server::new(fleet.reach.provider.name(), id, &known.name);
    server.region.clone_from(&known.region);
    server.login_user = Some(known.login_user.clone()).filter(|user| !user.is_empty());
    server.fleet = Some(fleet.name.clone());
    Some(server)
}

/// Whether it may not be listed yet although it is there.
pub(super) fn is_fresh(fleet: &Fleet<'_>, known: &Recorded) -> bool {
    let made_at = known.made_at.unwrap_or(known.asked_at);
    Duration::from_secs(now().saturating_sub(made_at)) < fleet.pace.fresh
}

/// Records what was missing and is listed again, unless its name has another server by now.
fn find(fleet: &Fleet<'_>, listed: &[Server]) -> Result<(), ProviderError> {
    let provider = fleet.reach.provider.name().as_str();
    for known in fleet.missing() {
        let Some(id) = known.id else { continue };
        let is_listed = listed.iter().any(|server| server.id == id);
        let is_free = fleet.recorded(&known.name).is_none();
        if !is_listed || !is_free || known.provider != provider {
            continue;
        }
        fleet.write(Entry::Found {
            at: now(),
            name: known.name.clone(),
            id: id.clone(),
        })?;
        fleet.tell(&known.name, &Step::Found { id });
    }
    Ok(())
}

/// Records the servers that were asked for and are listed.
fn adopt(fleet: &Fleet<'_>, listed: &[Server]) -> Result<(), ProviderError> {
    let open: Vec<Recorded> = fleet.with_ledger(|ledger| {
        let open = ledger.servers().filter(|known| known.id.is_none());
        open.cloned().collect()
    });
    for known in open {
        let found = candidate(fleet, listed, &known);
        if let Some(server) = found {
            let id = server.id.clone();
            fleet.write(Entry::Created {
                at: now(),
                name: known.name.clone(),
                id: id.clone(),
            })?;
            fleet.tell(&known.name, &Step::Adopted { id });
        }
    }
    Ok(())
}

/// Returns the listed server that an intent came to, the first made where there are several.
pub(super) fn candidate<'s>(
    fleet: &Fleet<'_>,
    listed: &'s [Server],
    known: &Recorded,
) -> Option<&'s Server> {
    let provider = fleet.reach.provider.name();
    let ours = by_id(fleet);
    let fits = |server: &&Server| {
        let is_young = is_as_young(server, known);
        let is_ours = match server.fleet {
            Some(_) => true,
            None => is_young == Some(true) && fleet.holder(&server.id).is_none(),
        };
        server.name == known.name
            && known.provider == provider.as_str()
            && is_in(fleet, server, known)
            && !ours.contains_key(&server.id)
            && is_ours
    };
    let found = listed.iter().filter(fits);
    found.min_by_key(|server| {
        let is_old = is_as_young(server, known) == Some(false);
        (is_old, server.created_at, server.id.clone())
    })
}

/// Whether the server is in the region that it was asked for in, where that makes a difference.
fn is_in(fleet: &Fleet<'_>, server: &Server, known: &Recorded) -> bool {
    let is_regional = !matches!(fleet.place(None), Place::Everywhere(_));
    !is_regional || server.region.starts_with(&known.region)
}

/// Whether `listed` shows the server if it is there.
fn is_shown(fleet: &Fleet<'_>, place: Place<'_>, listed: &[Server], known: &Recorded) -> bool {
    let is_known = place.shows(known);
    is_known.unwrap_or_else(|| listed.iter().any(|server| is_in(fleet, server, known)))
}

/// Returns the intents without a result that `listed` would have shown.
fn open(fleet: &Fleet<'_>, place: Place<'_>, listed: &[Server]) -> Vec<Recorded> {
    let mut open: Vec<Recorded> = fleet.with_ledger(|ledger| {
        let open = ledger.servers().filter(|known| known.id.is_none());
        open.cloned().collect()
    });
    open.retain(|known| is_shown(fleet, place, listed, known));
    open
}

/// Returns how long a server may still turn up: [`Pace::lost`](super::Pace) after its call, and how
/// long that took is not known.
fn patience(fleet: &Fleet<'_>, open: &[Recorded]) -> Duration {
    let youngest = open.iter().map(|known| known.asked_at).max();
    let age = Duration::from_secs(now().saturating_sub(youngest.unwrap_or_default()));
    let pace = &fleet.pace;
    let left = (pace.longest_request() + pace.lost).saturating_sub(age);
    left.min(pace.lost)
}

/// Records that what was asked for came to nothing.
fn give_up(fleet: &Fleet<'_>, open: &[Recorded]) -> Result<(), ProviderError> {
    for known in open {
        let message = "no server of this name turned up".to_owned();
        fleet.write(Entry::Failed {
            at: now(),
            name: known.name.clone(),
            error: message.clone(),
        })?;
        fleet.tell(&known.name, &Step::Failed { message });
    }
    Ok(())
}

/// Records that servers are not listed any more.
fn miss(fleet: &Fleet<'_>, place: Place<'_>, listed: &[Server]) -> Result<(), ProviderError> {
    let recorded: Vec<_> = fleet.with_ledger(|ledger| ledger.servers().cloned().collect());
    for known in recorded {
        let is_listed = |id: &String| listed.iter().any(|server| server.id == *id);
        let is_missing = known.id.as_ref().is_some_and(|id| !is_listed(id))
            && !is_fresh(fleet, &known)
            && is_shown(fleet, place, listed, &known);
        let Some(id) = known.id.filter(|_| is_missing) else {
            continue;
        };
        fleet.write(Entry::Missing {
            at: now(),
            name: known.name.clone(),
            id: id.clone(),
        })?;
        fleet.tell(&known.name, &Step::Missing { id });
    }
    Ok(())
}
