//! An instance as the API tells it.

use std::net::IpAddr;

use serde_json::Value;

use super::super::{ProviderName, Server, State, json};

/// Returns the server that `told` is; `None` where it has no id.
pub(super) fn read(told: &Value) -> Option<Server> {
    let id = json::id(told, "/id")?;
    let mut server = Server::new(ProviderName::Ovh, id, json::text(told, "/name"));
    json::text(told, "/region").clone_into(&mut server.region);
    json::text(told, "/status").clone_into(&mut server.raw_state);
    server.ipv4 = address(told, "public", IpAddr::is_ipv4);
    server.ipv6 = address(told, "public", IpAddr::is_ipv6);
    server.private_ipv4 = address(told, "private", IpAddr::is_ipv4);
    server.state = state(&server.raw_state);
    // Every network gives IPv4: until that address is told, there is more to come.
    let has_address = server.ipv4.or(server.private_ipv4).is_some();
    if server.state == State::Running && !has_address {
        server.state = State::Pending;
    }
    server.login_user = json::some_text(told, "/image/user");
    server.created_at = json::time(told, "/created");
    Some(server)
}

fn address(told: &Value, kind: &str, is_version: impl Fn(&IpAddr) -> bool) -> Option<IpAddr> {
    let all = json::list(told, "/ipAddresses").iter();
    let of_kind = all.filter(|address| json::text(address, "/type") == kind);
    of_kind
        .filter_map(|address| json::address(address, "/ip"))
        .find(is_version)
}

/// Returns what a status means (`cloud.instance.InstanceStatusEnum`,
/// <https://eu.api.ovh.com/v1/cloud.json>); what is not known is on its way.
fn state(status: &str) -> State {
    match status {
        "ACTIVE" => State::Running,
        "SHUTOFF" | "STOPPED" | "PAUSED" | "SUSPENDED" => State::Stopped,
        status if status.starts_with("SHELVED") => State::Stopped,
        "DELETED" | "DELETING" | "SOFT_DELETED" => State::Gone,
        "ERROR" | "UNKNOWN" => State::Error,
        _ => State::Pending,
    }
}
