//! JSON inventories: hoist's own records, lists of names, and Ansible's dynamic inventory.
//!
//! A record is an object with a text `host` or `name`; records come in an array or one after
//! another. Its known keys are those of hoist's CSV, everything else becomes a variable, so that a
//! result can be piped back and selected by `kind=exit`. An object that is no record is Ansible's:
//! its keys are groups. `null` says nothing.

use indexmap::IndexSet;

use super::ansible;
use super::attribute::{Attribute, host_name};
use super::builder::{Builder, Key, Repeat};
use super::document::Document;
use super::error::{Flaw, InventoryError};
use super::groups::GroupId;
use super::node::{Field, Json, Node, values};
use crate::host::Host;

/// What is expected in an array.
const EXPECTED_ITEM: &str = "a host name, or an object with a text `host` or `name`";

/// Returns whether `bytes` begin like a JSON inventory rather than a text one.
pub(super) fn is_json(bytes: &[u8]) -> bool {
    match bytes.trim_ascii_start() {
        [b'{', ..] => true,
        [b'[', rest @ ..] => matches!(rest.trim_ascii_start(), [b'{' | b'"' | b']', ..]),
        _ => false,
    }
}

/// Reads `document` into `builder`.
///
/// # Errors
/// When it is not JSON, and at the first value that doesn't belong where it is.
pub(super) fn read(document: &Document, builder: &mut Builder) -> Result<(), InventoryError> {
    let values = values(document)?;
    for value in &values {
        match value.open()? {
            Json::Object(fields) if is_record(&fields) => record(*value, &fields, builder)?,
            Json::Object(fields) if values.len() == 1 => ansible::read(&fields, builder)?,
            Json::Array(items) => items.into_iter().try_for_each(|item| add(item, builder))?,
            _ => return Err(value.instead_of(EXPECTED_ITEM)),
        }
    }
    Ok(())
}

/// Reads what a program printed, which is Ansible's form and nothing else.
pub(super) fn read_program(
    document: &Document,
    builder: &mut Builder,
) -> Result<(), InventoryError> {
    match values(document)?.as_slice() {
        [value] => ansible::read(&value.object("an object of groups")?, builder),
        [] => {
            let flaw = Flaw::unexpected("nothing", "an object of groups");
            Err(flaw.at(document.place(0)))
        }
        [_, second, ..] => Err(second.instead_of("one object of groups")),
    }
}

fn is_record(fields: &[Field<'_>]) -> bool {
    let is_name = |field: &Field<'_>| is_name_key(&field.name);
    fields
        .iter()
        .any(|field| is_name(field) && field.value.raw.starts_with('"'))
}

fn is_name_key(key: &str) -> bool {
    matches!(key, "host" | "name")
}

/// Adds one member of an array.
fn add(item: Node<'_>, builder: &mut Builder) -> Result<(), InventoryError> {
    match item.open()? {
        Json::Text(name) => {
            let name = host_name(&name).map_err(|flaw| item.at(flaw))?;
            let host = Host::named(name);
            let added = builder.add(host, &[], item.line(), Repeat::Counted);
            added.map_err(|flaw| item.at(flaw))
        }
        Json::Object(fields) if is_record(&fields) => record(item, &fields, builder),
        _ => Err(item.instead_of(EXPECTED_ITEM)),
    }
}

fn record(
    whole: Node<'_>,
    fields: &[Field<'_>],
    builder: &mut Builder,
) -> Result<(), InventoryError> {
    let mut keys = fields.iter().filter(|field| is_name_key(&field.name));
    let Some(named) = keys.next() else {
        return Err(whole.instead_of(EXPECTED_ITEM));
    };
    if let Some(second) = keys.next() {
        let found = format!("`{}` beside `{}`", second.name, named.name);
        return Err(second.key.at(Flaw::unexpected(found, "one of them")));
    }
    let name = named.value.text("a host name")?;
    let name = host_name(&name).map_err(|flaw| named.value.at(flaw))?;
    let mut host = Host::named(name);
    let mut groups = Vec::new();
    for field in fields.iter().filter(|field| !is_name_key(&field.name)) {
        match Attribute::named(&field.name) {
            None if field.name == "groups" => groups = group_list(field.value, builder)?,
            None => set_variable(&mut host, field, builder)?,
            Some(attribute) => {
                if let Some(value) = field.value.value()?.filter(|value| !value.is_empty()) {
                    let set = attribute.set(&mut host, &value);
                    set.map_err(|flaw| field.value.at(flaw))?;
                }
            }
        }
    }
    let added = builder.add(host, &groups, whole.line(), Repeat::Counted);
    added.map_err(|flaw| conflicting(fields, &flaw).unwrap_or(named.value).at(flaw))
}

/// Gives `host` the variable that `field` is.
pub(super) fn set_variable(
    host: &mut Host,
    field: &Field<'_>,
    builder: &mut Builder,
) -> Result<(), InventoryError> {
    let Some(value) = field.value.value()? else {
        return Ok(());
    };
    let column = builder.column(&field.name);
    let key = Key::Variable(column.map_err(|flaw| field.key.at(flaw))?);
    Builder::set(host, &key, &value).map_err(|flaw| field.value.at(flaw))
}

/// Returns the field that a conflict is about.
pub(super) fn conflicting<'a>(fields: &[Field<'a>], flaw: &Flaw) -> Option<Node<'a>> {
    let Flaw::Conflict { field, .. } = flaw else {
        return None;
    };
    let is_meant = |known: &&Field<'_>| {
        let ansible = Attribute::of_ansible(&known.name, "local");
        known.name == *field || ansible.is_some_and(|(known, _)| known.as_str() == field)
    };
    fields.iter().find(is_meant).map(|field| field.value)
}

/// Reads the groups of a record: an array of names or a text as in a CSV cell.
fn group_list(value: Node<'_>, builder: &mut Builder) -> Result<Vec<GroupId>, InventoryError> {
    let expected = "an array of group names";
    match value.open()? {
        Json::Null => Ok(Vec::new()),
        Json::Text(cell) => builder.groups_in(&cell).map_err(|flaw| value.at(flaw)),
        Json::Array(items) => {
            let mut groups = IndexSet::with_capacity(items.len());
            for item in items {
                let name = item.text("a group name")?;
                let group = builder.groups.define(&name);
                groups.insert(group.map_err(|flaw| item.at(flaw))?);
            }
            Ok(groups.into_iter().collect())
        }
        _ => Err(value.instead_of(expected)),
    }
}
