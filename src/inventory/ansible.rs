//! Ansible's dynamic inventory: groups with `hosts`, `vars` and `children`, and `_meta.hostvars`.
//!
//! Hosts and children may also be objects, as in Ansible's YAML inventories. Host variables come
//! from `_meta.hostvars`; a program is never asked for one host at a time.

use std::collections::HashMap;

use super::attribute::{Attribute, host_name};
use super::builder::{Builder, Repeat};
use super::error::{Flaw, InventoryError};
use super::groups::GroupId;
use super::json::{conflicting, set_variable};
use super::node::{Field, Json, Node};
use crate::host::{Host, HostName};

/// Deepest nesting of children that are objects.
const MAX_DEPTH: usize = 64;

/// What is expected where hosts are listed.
const EXPECTED_HOSTS: &str = "an array of host names";

/// Reads the groups of `fields`.
///
/// # Errors
/// At the first value that doesn't belong where it is.
pub(super) fn read(fields: &[Field<'_>], builder: &mut Builder) -> Result<(), InventoryError> {
    let mut reader = Reader {
        builder,
        vars: host_vars(fields)?,
        unread: 0,
    };
    reader.unread = reader.vars.len();
    for field in fields.iter().filter(|field| field.name != "_meta") {
        reader.group(&field.name, field.key, field.value, 0)?;
    }
    if reader.unread > 0 {
        let count = match reader.unread {
            1 => "1 host of `_meta.hostvars` is".to_owned(),
            count => format!("{count} hosts of `_meta.hostvars` are"),
        };
        let warning = format!("{count} in no group and left out");
        reader.builder.warn(warning);
    }
    Ok(())
}

/// The variables of one host, until the host is met.
struct HostVars<'a> {
    object: Node<'a>,
    is_read: bool,
}

struct Reader<'a, 'b> {
    builder: &'b mut Builder,
    vars: HashMap<String, HostVars<'a>>,
    /// How many of `vars` were not yet read.
    unread: usize,
}

fn host_vars<'a>(fields: &[Field<'a>]) -> Result<HashMap<String, HostVars<'a>>, InventoryError> {
    let Some(meta) = fields.iter().find(|field| field.name == "_meta") else {
        return Ok(HashMap::new());
    };
    let meta = meta.value.object("an object with `hostvars`")?;
    let Some(vars) = meta.into_iter().find(|field| field.name == "hostvars") else {
        return Ok(HashMap::new());
    };
    let vars = vars.value.object("an object of hosts")?;
    let unread = |field: Field<'a>| {
        let object = field.value;
        let is_read = false;
        (field.name, HostVars { object, is_read })
    };
    Ok(vars.into_iter().map(unread).collect())
}

impl<'a> Reader<'a, '_> {
    /// Reads one group and returns it.
    fn group(
        &mut self,
        name: &str,
        key: Node<'a>,
        value: Node<'a>,
        depth: usize,
    ) -> Result<GroupId, InventoryError> {
        let group = self.builder.groups.define(name);
        let group = group.map_err(|flaw| key.at(flaw))?;
        let fields = match value.open()? {
            Json::Null => return Ok(group),
            Json::Array(hosts) => return self.hosts(hosts, group).map(|()| group),
            Json::Object(fields) => fields,
            _ => return Err(value.instead_of("a group: an object or an array of hosts")),
        };
        let is_part = |field: &Field<'_>| matches!(&*field.name, "hosts" | "vars" | "children");
        if !fields.is_empty() && !fields.iter().any(is_part) {
            // The oldest form: a host that is its own group, and its variables.
            self.host(name, key, Some(value), group)?;
            return Ok(group);
        }
        for field in fields {
            match &*field.name {
                "hosts" => self.host_list(field.value, group)?,
                "vars" => self.vars(field.value, group)?,
                "children" => self.children(field.value, group, depth)?,
                _ => {}
            }
        }
        Ok(group)
    }

    fn host_list(&mut self, value: Node<'a>, group: GroupId) -> Result<(), InventoryError> {
        match value.open()? {
            Json::Null => Ok(()),
            Json::Array(hosts) => self.hosts(hosts, group),
            Json::Object(hosts) => hosts.into_iter().try_for_each(|field| {
                let vars = (!field.value.raw.starts_with('n')).then_some(field.value);
                self.host(&field.name, field.key, vars, group)
            }),
            _ => Err(value.instead_of(EXPECTED_HOSTS)),
        }
    }

    fn hosts(&mut self, hosts: Vec<Node<'a>>, group: GroupId) -> Result<(), InventoryError> {
        hosts.into_iter().try_for_each(|host| {
            let name = host.text("a host name")?;
            self.host(&name, host, None, group)
        })
    }

    /// Lists a host in `group`, with its variables when it is first met.
    fn host(
        &mut self,
        name: &str,
        place: Node<'a>,
        own: Option<Node<'a>>,
        group: GroupId,
    ) -> Result<(), InventoryError> {
        let parsed = host_name(name).map_err(|flaw| place.at(flaw))?;
        if let Some(own) = own {
            self.add(parsed.clone(), own, place, group)?;
        }
        if let Some(vars) = self.vars.get_mut(name).filter(|vars| !vars.is_read) {
            vars.is_read = true;
            self.unread -= 1;
            let object = vars.object;
            return self.add(parsed, object, place, group);
        }
        let (host, line) = (Host::named(parsed), place.line());
        let added = self.builder.add(host, &[group], line, Repeat::Usual);
        added.map_err(|flaw| place.at(flaw))
    }

    fn add(
        &mut self,
        name: HostName,
        object: Node<'a>,
        place: Node<'a>,
        group: GroupId,
    ) -> Result<(), InventoryError> {
        let fields = object.object("an object of variables")?;
        let mut host = Host::named(name);
        for field in &fields {
            set(&mut host, field, self.builder)?;
        }
        let added = self
            .builder
            .add(host, &[group], object.line(), Repeat::Usual);
        added.map_err(|flaw| conflicting(&fields, &flaw).unwrap_or(place).at(flaw))
    }

    fn vars(&mut self, value: Node<'a>, group: GroupId) -> Result<(), InventoryError> {
        let fields = value.object("an object of variables")?;
        let name = HostName::parse("group").expect("letters are a name");
        let mut more = Host::named(name);
        for field in &fields {
            set(&mut more, field, self.builder)?;
        }
        let given = self.builder.give(group, &more, value.line());
        given.map_err(|flaw| conflicting(&fields, &flaw).unwrap_or(value).at(flaw))
    }

    fn children(
        &mut self,
        value: Node<'a>,
        parent: GroupId,
        depth: usize,
    ) -> Result<(), InventoryError> {
        let children = match value.open()? {
            Json::Null => return Ok(()),
            Json::Array(names) => names
                .into_iter()
                .map(|name| Ok((name.text("a group name")?, name, None)))
                .collect::<Result<Vec<_>, InventoryError>>()?,
            Json::Object(fields) => fields
                .into_iter()
                .map(|field| (field.name, field.key, Some(field.value)))
                .collect(),
            _ => return Err(value.instead_of("an array of group names")),
        };
        for (name, place, inner) in children {
            let child = match inner {
                Some(_) if depth >= MAX_DEPTH => {
                    let found = format!("groups nested deeper than {MAX_DEPTH}");
                    return Err(place.at(Flaw::unexpected(found, "fewer")));
                }
                Some(inner) => self.group(&name, place, inner, depth + 1)?,
                None => {
                    let child = self.builder.groups.define(&name);
                    child.map_err(|flaw| place.at(flaw))?
                }
            };
            let nested = self.builder.groups.nest(parent, child, &place.place());
            nested.map_err(|flaw| place.at(flaw))?;
        }
        Ok(())
    }
}

/// Gives `host` a field under a key as Ansible has them; an empty connection setting says nothing.
fn set(host: &mut Host, field: &Field<'_>, builder: &mut Builder) -> Result<(), InventoryError> {
    let value = field.value.value()?.unwrap_or_default();
    match Attribute::of_ansible(&field.name, &value) {
        Some(_) if value.is_empty() => Ok(()),
        Some((attribute, value)) => {
            let set = attribute.set(host, value);
            set.map_err(|flaw| field.value.at(flaw))
        }
        None => set_variable(host, field, builder),
    }
}
