//! Subcommands that make servers and take them away: `hoist up`, `hoist down`, `hoist cloud`.
//!
//! Servers are known by their fleet: at the provider by a tag, here by the fleet's record, which is
//! locked while one of these works on it.

use std::ffi::OsString;
use std::path::Path;

use hoist::host::escaped;
use hoist::provider::fleet::{Fleet, Razed};
use hoist::provider::ledger::{self, Ledger};
use hoist::provider::{FleetName, ProviderError, ProviderName, Server};
use hoist::quote;

use crate::args::{Credentials, Words};
use crate::report::{Failure, note};
use crate::settings::FleetTable;
use account::failure;

mod account;
mod book;
pub(super) mod cloud;
pub(super) mod down;
mod follow;
mod key;
pub(super) mod live;
mod rows;
mod server;
mod told;
pub(super) mod up;
mod usable;
mod watch;

/// Opens the record of a fleet; where another hoist works on it, says so and waits.
fn ledger(state: &Path, fleet: &FleetName) -> Result<Ledger, Failure> {
    match Ledger::open(state, fleet, false) {
        Err(error @ ProviderError::InUse { .. }) => {
            note(&format!("hoist: {error}; waiting for it"));
            Ledger::open(state, fleet, true)
        }
        other => other,
    }
    .map_err(|error| failure(&error))
}

/// Returns where a fleet is: as asked for, else as recorded, else the sandbox.
fn provider_of(
    asked: Option<ProviderName>,
    fleet: &FleetName,
    state: &Path,
) -> Result<ProviderName, Failure> {
    if let Some(asked) = asked {
        return Ok(asked);
    }
    let recorded = Ledger::peek_all(state, fleet).map_err(|error| failure(&error))?;
    let recorded = recorded.first().and_then(ledger::provider_of);
    Ok(recorded.unwrap_or(ProviderName::Sandbox))
}

/// Returns the region to look in: as asked for, else the one that the fleet is recorded in, where it
/// makes a difference.
fn region_of(
    asked: Option<&str>,
    provider: ProviderName,
    fleet: &FleetName,
    state: &Path,
) -> Option<String> {
    if asked.is_some() || provider != ProviderName::Aws {
        return asked.map(str::to_owned);
    }
    let recorded = Ledger::peek_all(state, fleet).ok()?;
    recorded.first().map(|known| known.region.clone())
}

/// Keeps the servers of a listing that are the fleet's, by their tag or by the record.
fn ours(fleet: &FleetName, listed: Vec<Server>, state: &Path) -> Result<Vec<Server>, Failure> {
    let recorded = Ledger::peek(state, fleet).map_err(|error| failure(&error))?;
    let ours = listed.into_iter().filter(|server| {
        let mut ids = recorded.iter().filter_map(|known| known.id.as_ref());
        server.fleet.as_ref() == Some(fleet)
            || (server.fleet.is_none() && ids.any(|id| *id == server.id))
    });
    let mut ours: Vec<Server> = ours.collect();
    ours.sort_by_cached_key(|server| (server.name.len(), server.name.clone()));
    Ok(ours)
}

/// Says what could not be destroyed, and returns that: names with ids.
fn leftovers(razed: &Razed) -> Vec<(&str, Option<&str>)> {
    for (server, error) in &razed.left {
        let name = escaped(&server.name);
        note(&format!("hoist: {name}: cannot be destroyed: {error}"));
    }
    let left = razed.left.iter();
    left.map(|(server, _)| (server.name.as_str(), Some(server.id.as_str())))
        .collect()
}

/// Returns the servers whose rows in an inventory are of no use any more: the provider lists them no
/// longer, and no newer server has their name and takes the row.
fn vanished(fleet: &Fleet<'_>, provider: ProviderName) -> Vec<Server> {
    let missing = fleet.missing().into_iter();
    let missing = missing.filter(|known| fleet.recorded(&known.name).is_none());
    let vanished = missing.filter_map(|known| Some(Server::new(provider, known.id?, known.name)));
    vanished.collect()
}

/// Returns the line that says what may still cost money, names with ids, and how to end that.
fn costs(
    fleet: &FleetName,
    provider: ProviderName,
    costly: &[(&str, Option<&str>)],
    inventory: Option<&Path>,
) -> String {
    let named = costly.iter().map(|(name, id)| {
        let id = id.map_or_else(|| "not known yet".to_owned(), escaped);
        format!("{} ({id})", escaped(name))
    });
    let named: Vec<String> = named.collect();
    let them = if named.len() == 1 { "it" } else { "them" };
    let mut words = vec![
        "hoist",
        "down",
        fleet.as_str(),
        "--provider",
        provider.as_str(),
    ];
    let inventory = inventory.map(|file| file.display().to_string());
    if let Some(file) = &inventory {
        words.extend(["-i", file]);
    }
    let words: Vec<OsString> = words.into_iter().map(OsString::from).collect();
    format!(
        "hoist: what may still cost money: {}; `{}` destroys {them}",
        named.join(", "),
        quote::display(&words)
    )
}

/// Returns what the configuration file says of the fleet, where the arguments don't.
fn token(asked: &Credentials, table: Option<&FleetTable>) -> Credentials {
    if asked.token_file.is_some() || asked.token_command.is_some() || asked.profile.is_some() {
        return asked.clone();
    }
    let text = |id: &str| table.and_then(|table| table.value(id)?.to_str());
    Credentials {
        token_file: text("token_file").map(Into::into),
        token_command: text("token_command")
            .and_then(|line| quote::split(line).ok())
            .map(Words),
        profile: text("profile").map(str::to_owned),
    }
}
