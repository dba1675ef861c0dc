//! Inventories read from text at hand: what every format makes of its own files and of bad ones.

mod ansible;
mod combine;
mod csv;
mod json;
mod properties;
mod samples;
mod source;
mod text;

use super::{Inventory, Source};
use crate::host::{Host, TransportName, is_printable};

/// Loads `text` as a source called `name`.
fn load(name: &str, text: &str) -> Inventory {
    all(&[(name, text)]).unwrap()
}

/// Loads several sources.
fn all(sources: &[(&str, &str)]) -> Result<Inventory, String> {
    let sources: Vec<_> = sources
        .iter()
        .map(|(name, text)| Source::bytes(*name, (*text).into()))
        .collect();
    Inventory::load(&sources).map_err(|error| {
        let error = error.to_string();
        assert!(error.chars().all(is_printable), "{error:?}");
        assert!(!error.ends_with('.'), "{error}");
        error
    })
}

/// Returns why `text` can't be loaded from a source called `name`.
fn error(name: &str, text: &str) -> String {
    all(&[(name, text)]).expect_err(text)
}

/// Shows one host a line: attributes, groups in brackets, variables in braces.
fn dump(inventory: &Inventory) -> String {
    let lines: Vec<_> = inventory.hosts().map(line).collect();
    lines.join("\n")
}

fn line(host: &Host) -> String {
    let mut parts = vec![host.name.to_string()];
    let attributes = [
        ("address", host.address.as_ref().map(ToString::to_string)),
        ("user", host.user.as_ref().map(ToString::to_string)),
        ("port", host.port.as_ref().map(ToString::to_string)),
        ("identity", host.identity.as_ref().map(ToString::to_string)),
        ("jump", host.jump.as_ref().map(ToString::to_string)),
        (
            "transport",
            host.transport.map(|t| TransportName::as_str(t).to_owned()),
        ),
        ("provider", host.provider.as_ref().map(ToString::to_string)),
        ("id", host.id.as_ref().map(ToString::to_string)),
        ("host_key", host.host_key.as_ref().map(ToString::to_string)),
    ];
    for (name, value) in attributes {
        if let Some(value) = value {
            parts.push(format!("{name}={value}"));
        }
    }
    if !host.groups.is_empty() {
        parts.push(format!("[{}]", host.groups.join(" ")));
    }
    if !host.variables.is_empty() {
        let pairs = host
            .variables
            .iter()
            .map(|(name, value)| format!("{name}={value}"));
        parts.push(format!("{{{}}}", pairs.collect::<Vec<_>>().join(", ")));
    }
    parts.join(" ")
}

/// Returns the names of a group's hosts.
fn group(inventory: &Inventory, name: &str) -> Vec<String> {
    let hosts = inventory.group(name).expect("the group exists");
    hosts.map(|host| host.name.to_string()).collect()
}
