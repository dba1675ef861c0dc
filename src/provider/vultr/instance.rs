//! A server, out of what Vultr tells of it.
//!
//! <https://www.vultr.com/api/#tag/instances/operation/get-instance>. The answer to a create call
//! also holds the first password, which is not looked at.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::Value;

use super::super::{FleetName, Server, State, TAG, json};
use super::NAME;

/// Longest that installing a system takes.
const INSTALLING: Duration = Duration::from_mins(4);

/// Returns the server, unless it has no id.
pub(super) fn server(instance: &Value) -> Option<Server> {
    let id = json::id(instance, "/id")?;
    let mut server = Server::new(NAME, id, json::text(instance, "/label"));
    json::text(instance, "/region").clone_into(&mut server.region);
    server.fleet = FleetName::of_tags(json::words(instance, "/tags"));
    server.ipv4 = json::address(instance, "/main_ip").filter(IpAddr::is_ipv4);
    server.ipv6 = json::address(instance, "/v6_main_ip").filter(IpAddr::is_ipv6);
    server.private_ipv4 = json::address(instance, "/internal_ip").filter(IpAddr::is_ipv4);
    server.created_at = json::time(instance, "/date_created");
    let (state, raw) = state(instance, &server);
    server.state = state;
    raw.clone_into(&mut server.raw_state);
    Some(server)
}

/// Whether it is of the fleet, or hoist's where none is named.
pub(super) fn is_of(instance: &Value, fleet: Option<&FleetName>) -> bool {
    let its = FleetName::of_tags(json::words(instance, "/tags"));
    match fleet {
        Some(fleet) => its.as_ref() == Some(fleet),
        None => its.is_some() || json::words(instance, "/tags").any(|tag| tag == TAG),
    }
}

/// Returns the state, and which of the three words of Vultr says so.
fn state<'a>(instance: &'a Value, server: &Server) -> (State, &'a str) {
    let status = json::text(instance, "/status");
    let power = json::text(instance, "/power_status");
    let health = json::text(instance, "/server_status");
    match (status, power) {
        ("suspended", _) => (State::Error, status),
        // Some stay there for long although they run: whoever logs in finds out.
        ("active", "running")
            if health == "installingbooting"
                && is_late(server)
                && has_address(instance, server) =>
        {
            (State::Running, power)
        }
        // `active` comes minutes before the system is installed.
        ("active", _) if !matches!(health, "ok" | "") => (State::Pending, health),
        ("active", _) if !has_address(instance, server) => (State::Pending, status),
        ("active", "running") => (State::Running, power),
        ("active", "stopped") => (State::Stopped, power),
        _ => (State::Pending, status),
    }
}

/// Whether it was made so long ago that its system must be installed by now.
fn is_late(server: &Server) -> bool {
    let age = server.created_at.and_then(|at| at.elapsed().ok());
    age.is_some_and(|age| age > INSTALLING)
}

/// Whether it has the address that it is to have. `0.0.0.0` stands for a public one that will come;
/// a server that was ordered without has none.
fn has_address(instance: &Value, server: &Server) -> bool {
    let is_without = json::text(instance, "/main_ip").is_empty()
        && json::text(instance, "/server_status") == "ok";
    server.ipv4.is_some() || (is_without && server.address().is_some())
}
