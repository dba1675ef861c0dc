//! A server, out of what Linode tells of it.
//!
//! <https://techdocs.akamai.com/linode-api/reference/get-linode-instance>

use std::net::{IpAddr, Ipv4Addr};

use serde_json::Value;

use super::super::{FleetName, Server, State, TAG, json};
use super::NAME;

/// Returns the server, unless it has no id.
pub(super) fn server(linode: &Value) -> Option<Server> {
    let id = json::id(linode, "/id")?;
    let mut server = Server::new(NAME, id, json::text(linode, "/label"));
    json::text(linode, "/region").clone_into(&mut server.region);
    server.fleet = FleetName::of_tags(json::words(linode, "/tags"));
    let addresses = json::words(linode, "/ipv4").filter_map(ipv4);
    let (private, public): (Vec<_>, Vec<_>) = addresses.partition(Ipv4Addr::is_private);
    server.ipv4 = public.first().copied().map(IpAddr::V4);
    server.private_ipv4 = private.first().copied().map(IpAddr::V4);
    server.ipv6 = json::address(linode, "/ipv6").filter(IpAddr::is_ipv6);
    server.created_at = json::time(linode, "/created");
    json::text(linode, "/status").clone_into(&mut server.raw_state);
    server.state = state(&server.raw_state, server.address().is_some());
    Some(server)
}

/// Whether it is of the fleet, or hoist's where none is named.
pub(super) fn is_of(linode: &Value, fleet: Option<&FleetName>) -> bool {
    let its = FleetName::of_tags(json::words(linode, "/tags"));
    match fleet {
        Some(fleet) => its.as_ref() == Some(fleet),
        None => its.is_some() || json::words(linode, "/tags").any(|tag| tag == TAG),
    }
}

fn ipv4(text: &str) -> Option<Ipv4Addr> {
    match json::address_of(text)? {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}

fn state(status: &str, has_address: bool) -> State {
    match status {
        "running" if has_address => State::Running,
        "offline" | "stopped" | "shutting_down" => State::Stopped,
        "deleting" => State::Gone,
        "billing_suspension" => State::Error,
        _ => State::Pending,
    }
}
