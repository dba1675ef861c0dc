//! Servers as EC2 tells of them: what it calls instances.

use super::api::{Api, Form};
use super::network::is_coded;
use super::xml::Element;
use crate::provider::json::{address_of, time_of};
use crate::provider::{Destroyed, FleetName, ProviderError, ProviderName, Server, State, TAG};

/// Most instances of one page.
const PAGE: &str = "1000";

/// States of what is not gone; those that are stay listed for about an hour.
const STATES: [&str; 4] = ["pending", "running", "stopping", "stopped"];

/// Lists the servers of a fleet, or all that hoist made in the region.
///
/// # Errors
/// When EC2 can't be asked.
pub(super) fn list(api: &Api, fleet: Option<&FleetName>) -> Result<Vec<Server>, ProviderError> {
    let form = Form::new("DescribeInstances");
    let form = match fleet {
        Some(fleet) => form.with_filter(&format!("tag:{TAG}"), &[fleet.as_str()]),
        None => form.with_filter("tag-key", &[TAG]),
    };
    let form = form
        .with_filter("instance-state-name", &STATES)
        .with("MaxResults", PAGE);
    let reservations = api.all(&form, "reservationSet")?;
    let instances = reservations
        .iter()
        .flat_map(|reservation| reservation.items("instancesSet"));
    let servers = instances.filter_map(|instance| server(instance, api.region()));
    Ok(servers
        .filter(|server| server.state != State::Gone)
        .collect())
}

/// Returns the server that an answer tells of, unless it has no id.
pub(super) fn server(instance: &Element, region: &str) -> Option<Server> {
    let tag = |wanted: &str| {
        let mut tags = instance.items("tagSet");
        tags.find(|tag| tag.text("key") == wanted)
            .map(|tag| tag.text("value"))
    };
    let mut server = Server::new(
        ProviderName::Aws,
        instance.some_text("instanceId")?,
        tag("Name").unwrap_or_default(),
    );
    region.clone_into(&mut server.region);
    server.fleet = tag(TAG).and_then(|fleet| FleetName::parse(fleet).ok());
    instance
        .text("instanceState/name")
        .clone_into(&mut server.raw_state);
    server.state = state(&server.raw_state);
    server.ipv4 = address_of(instance.text("ipAddress"));
    server.private_ipv4 = address_of(instance.text("privateIpAddress"));
    server.ipv6 = address_of(instance.text("ipv6Address")).or_else(|| {
        let interfaces = instance.items("networkInterfaceSet");
        let mut addresses = interfaces.flat_map(|interface| interface.items("ipv6AddressesSet"));
        addresses.find_map(|address| address_of(address.text("ipv6Address")))
    });
    server.created_at = time_of(instance.text("launchTime"));
    Some(server)
}

fn state(word: &str) -> State {
    match word {
        "running" => State::Running,
        "stopping" | "stopped" => State::Stopped,
        "shutting-down" | "terminated" => State::Gone,
        _ => State::Pending,
    }
}

/// Destroys a server once. `None` when EC2 knows none of this id.
///
/// # Errors
/// When EC2 refuses or can't be asked.
pub(super) fn destroy(api: &Api, id: &str) -> Result<Option<Destroyed>, ProviderError> {
    let form = Form::new("TerminateInstances").with("InstanceId.1", id);
    match api.ask(&form) {
        Ok(answer) => {
            let mut instances = answer.items("instancesSet");
            let ours = instances.find(|instance| instance.text("instanceId") == id);
            let is_gone = ours.is_some_and(|ours| ours.text("currentState/name") == "terminated");
            Ok(Some(if is_gone {
                Destroyed::Gone
            } else {
                Destroyed::Accepted
            }))
        }
        Err(error) if is_coded(&error, "InvalidInstanceID.NotFound") => Ok(None),
        Err(error) => Err(error),
    }
}
