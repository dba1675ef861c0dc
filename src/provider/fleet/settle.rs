//! What is there: the provider's list joined with the record, after what was left open is settled.
//!
//! An intent without a result is a create call whose answer nobody heard: a killed hoist, a broken
//! connection. If a server of that name is listed, it is the one and is adopted. If none turns up
//! until [`Pace::lost`](super::Pace) after the call, it came to nothing.

use std::collections::HashMap;
use std::time::Duration;

use super::super::ledger::{Entry, Recorded, now};
use super::super::{ProviderError, Server, State};
use super::{Fleet, Step};

/// Settles the record and returns the servers that are there.
pub(super) fn settle(fleet: &Fleet<'_>) -> Result<Vec<Server>, ProviderError> {
    let mut servers = list(fleet)?;
    adopt(fleet, &servers)?;
    let open = open(fleet);
    if !open.is_empty() {
        let youngest = open.iter().map(|server| server.asked_at).max();
        let age = Duration::from_secs(now().saturating_sub(youngest.unwrap_or_default()));
        let left = fleet.pace.lost.saturating_sub(age);
        let mut look = || {
            servers = list(fleet)?;
            adopt(fleet, &servers)?;
            Ok(self::open(fleet).is_empty())
        };
        let is_settled = look()? || (!left.is_zero() && fleet.poll(fleet.pace.poll, left, look)?);
        if !is_settled {
            give_up(fleet)?;
        }
    }
    forget(fleet, &servers)?;
    Ok(servers)
}

/// Lists what is there of the fleet, with what only the record knows.
pub(super) fn list(fleet: &Fleet<'_>) -> Result<Vec<Server>, ProviderError> {
    let all = fleet.provider.list(Some(&fleet.name))?;
    let (by_id, by_name) = fleet.with_ledger(|ledger| {
        let by_id: HashMap<String, Recorded> = ledger
            .servers()
            .filter_map(|server| Some((server.id.clone()?, server.clone())))
            .collect();
        let open = ledger.servers().filter(|server| server.id.is_none());
        let by_name: HashMap<String, Recorded> = open
            .map(|server| (server.name.clone(), server.clone()))
            .collect();
        (by_id, by_name)
    });
    let ours = all.into_iter().filter(|server| server.state != State::Gone);
    let ours = ours.filter_map(|mut server| {
        let recorded = by_id.get(&server.id).or_else(|| by_name.get(&server.name));
        // A provider without tags lists what could be meant; only the record makes it ours.
        if server.fleet.is_none() && recorded.is_some() {
            server.fleet = Some(fleet.name.clone());
        }
        if let (None, Some(recorded)) = (&server.login_user, recorded) {
            server.login_user = Some(recorded.login_user.clone());
        }
        (server.fleet.as_ref() == Some(&fleet.name)).then_some(server)
    });
    let mut ours: Vec<_> = ours.collect();
    ours.sort_by_key(|server| (server.name.len(), server.name.clone()));
    Ok(ours)
}

/// Records the servers that were asked for by a name that is listed.
fn adopt(fleet: &Fleet<'_>, servers: &[Server]) -> Result<(), ProviderError> {
    for open in open(fleet) {
        let found = servers.iter().find(|server| server.name == open.name);
        if let Some(server) = found {
            fleet.write(Entry::Created {
                at: now(),
                name: open.name.clone(),
                id: server.id.clone(),
            })?;
            let id = server.id.clone();
            fleet.tell(&open.name, &Step::Adopted { id });
        }
    }
    Ok(())
}

/// Records that what was asked for came to nothing.
fn give_up(fleet: &Fleet<'_>) -> Result<(), ProviderError> {
    for open in open(fleet) {
        let message = "no server of this name turned up".to_owned();
        fleet.write(Entry::Failed {
            at: now(),
            name: open.name.clone(),
            error: message.clone(),
        })?;
        fleet.tell(&open.name, &Step::Failed { message });
    }
    Ok(())
}

/// Records that servers are gone which somebody else destroyed.
fn forget(fleet: &Fleet<'_>, servers: &[Server]) -> Result<(), ProviderError> {
    let recorded: Vec<_> = fleet.with_ledger(|ledger| ledger.servers().cloned().collect());
    for known in recorded {
        let Some(id) = known.id else { continue };
        let is_fresh = now().saturating_sub(known.asked_at) < fleet.pace.fresh.as_secs();
        if !is_fresh && servers.iter().all(|server| server.id != id) {
            let name = known.name;
            fleet.write(Entry::Destroyed {
                at: now(),
                name,
                id,
            })?;
        }
    }
    Ok(())
}

/// Returns the intents that have no result.
fn open(fleet: &Fleet<'_>) -> Vec<Recorded> {
    fleet.with_ledger(|ledger| {
        let open = ledger.servers().filter(|server| server.id.is_none());
        open.cloned().collect()
    })
}
