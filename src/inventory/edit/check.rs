//! Whether an edited file says what was wanted and nothing else.

use std::collections::HashSet;

use super::row::{Field, Row, Wanted};
use crate::host::{Host, escaped};
use crate::inventory::Inventory;

/// Compares the file before and after rows were put in.
pub(super) fn put(
    before: &Inventory,
    after: &Inventory,
    wanted: &Wanted<'_>,
    is_ansible: bool,
) -> Result<(), String> {
    let mut named = HashSet::with_capacity(wanted.rows.len());
    for row in wanted.rows {
        named.insert(&*row.name);
        let host = after.get(&row.name);
        let host = host.ok_or_else(|| format!("`{}` would be missing", escaped(&row.name)))?;
        says(host, row, is_ansible)?;
    }
    // A server that was given another name has left its former one.
    let is_renamed = |host: &Host| {
        let said = |field| said(host, field, is_ansible).unwrap_or_default();
        let (name, provider, id) = (host.name.as_str(), said(Field::Provider), said(Field::Id));
        matches!(
            wanted.owner(name, &provider, &id),
            super::row::Owner::Ours(_)
        )
    };
    others(before, after, |host| {
        named.contains(host.name.as_str()) || is_renamed(host)
    })
}

/// Compares the file before and after the rows of the hosts called `names` were taken out.
pub(super) fn remove(
    before: &Inventory,
    after: &Inventory,
    names: &HashSet<String>,
) -> Result<(), String> {
    others(before, after, |host| names.contains(host.name.as_str()))
}

/// Refuses any difference but that of the hosts that are meant.
fn others(
    before: &Inventory,
    after: &Inventory,
    is_meant: impl Fn(&Host) -> bool,
) -> Result<(), String> {
    let changed = |host: &Host| format!("host `{}` would be another", escaped(host.name.as_str()));
    for host in before.hosts().filter(|host| !is_meant(host)) {
        if after.get(host.name.as_str()) != Some(host) {
            return Err(changed(host));
        }
    }
    let mut new = after.hosts();
    match new.find(|host| before.get(host.name.as_str()).is_none() && !is_meant(host)) {
        Some(host) => Err(changed(host)),
        None => Ok(()),
    }
}

/// Refuses a host that does not say all that its row does.
fn says(host: &Host, row: &Row, is_ansible: bool) -> Result<(), String> {
    let wrong = |what: &str| format!("`{}` would have another {what}", escaped(&row.name));
    for field in Field::ALL {
        if let Some(value) = row.value(field)
            && said(host, field, is_ansible).as_ref() != Some(&value)
        {
            return Err(wrong(field.as_str()));
        }
    }
    let mut groups = row.listed_groups();
    match groups.find(|group| !host.groups.iter().any(|known| **known == **group)) {
        Some(group) => Err(wrong(&format!("group than `{group}`"))),
        None => Ok(()),
    }
}

fn said(host: &Host, field: Field, is_ansible: bool) -> Option<String> {
    let is_variable = is_ansible && matches!(field, Field::Provider | Field::Id | Field::HostKey);
    if is_variable {
        return host.variables.get(field.as_str()).map(ToOwned::to_owned);
    }
    match field {
        Field::Name => Some(host.name.to_string()),
        Field::Address => host.address.as_ref().map(ToString::to_string),
        Field::User => host.user.as_ref().map(ToString::to_string),
        Field::Port => host.port.map(|port| port.to_string()),
        Field::Identity => host.identity.as_ref().map(ToString::to_string),
        Field::Provider => host.provider.as_ref().map(ToString::to_string),
        Field::Id => host.id.as_ref().map(ToString::to_string),
        Field::HostKey => host.host_key.as_ref().map(ToString::to_string),
    }
}
