//! `-i PROVIDER:FLEET`: the servers of a fleet, as they are right now, as an inventory.

use hoist::inventory::Source;
use hoist::provider::ledger::Ledger;
use hoist::provider::{FleetName, ProviderName, State};
use serde_json::{Value, json};

use super::account::{self, failure};
use crate::args::Credentials;
use crate::report::{Failure, note};
use crate::settings::{Environment, Origins};

/// Whose servers a name of an inventory stands for, if it does.
pub(in crate::command) fn named(inventory: &str) -> Option<(ProviderName, FleetName)> {
    let (provider, fleet) = inventory.split_once(':')?;
    Some((provider.parse().ok()?, FleetName::parse(fleet).ok()?))
}

/// Asks the provider for the servers that run, and returns them as an inventory. Their host keys
/// come from the fleet's record.
///
/// # Errors
/// When the provider can't be asked.
pub(in crate::command) fn source(
    (provider, fleet): (ProviderName, FleetName),
    origins: &Origins,
    environment: &Environment,
) -> Result<Source, Failure> {
    let state = account::state(environment)?;
    let table = origins.fleet(fleet.as_str());
    let token = super::token(&Credentials::default(), table);
    let region = table.and_then(|table| table.value("region")?.to_str());
    let region = super::region_of(region, provider, &fleet, &state);
    let opened = account::open(provider, &token, region.as_deref(), environment)?;
    let listed = opened.provider.list(Some(&fleet));
    let listed = super::ours(&fleet, listed.map_err(|error| failure(&error))?, &state)?;
    let recorded = Ledger::peek(&state, &fleet).map_err(|error| failure(&error))?;
    let mut rows: Vec<Value> = Vec::new();
    for server in listed {
        let Some(address) = server.address().filter(|_| server.state == State::Running) else {
            note(&format!(
                "hoist: {} is left out: it is {}",
                hoist::host::escaped(&server.name),
                server.state.as_str()
            ));
            continue;
        };
        let known = recorded
            .iter()
            .find(|known| known.id.as_ref() == Some(&server.id));
        rows.push(json!({
            "name": server.name,
            "address": address.to_string(),
            "user": server.login_user.as_ref().or(known.map(|known| &known.login_user)),
            "port": server.port,
            "groups": [fleet.as_str()],
            "identity": super::key::own_if_needed(environment),
            "provider": provider.as_str(),
            "id": server.id,
            "host_key": known.and_then(|known| known.host_key.as_ref()),
            "region": server.region,
        }));
    }
    if rows.is_empty() {
        return Err(Failure::usage(format!(
            "the fleet `{fleet}` has no server that runs at {}",
            provider.title()
        ))
        .hint(format!(
            "`hoist up {fleet} --provider {provider}` makes some"
        )));
    }
    let name = format!("{provider}:{fleet}");
    Ok(Source::bytes(
        name,
        Value::from(rows).to_string().into_bytes(),
    ))
}
