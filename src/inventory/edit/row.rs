//! What is to be in the file, and which of its rows are meant.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::error::EditError;
use crate::host::Host;
use crate::inventory::attribute::{Attribute, check_group_name, host_name};
use crate::inventory::error::{Flaw, shown};

/// A server's row. Texts may come from a provider: they are checked before they are written.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Row {
    /// The host's name, unique in the inventory.
    pub name: String,
    /// Where it is reached.
    pub address: String,
    /// Account to log in as.
    pub user: Option<String>,
    /// SSH port, where it is not 22.
    pub port: Option<u16>,
    /// Private key that it lets in, where that is not a usual one.
    pub identity: Option<String>,
    /// Groups it has to be in, besides those that the file says already.
    pub groups: Vec<String>,
    /// Name of the hosting API that made it.
    pub provider: String,
    /// The provider's id.
    pub id: String,
    /// The only host key accepted: `ssh-ed25519 AAAA…`.
    pub host_key: Option<String>,
}

/// A server that is gone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Gone {
    /// The host's name.
    pub name: String,
    /// Name of the hosting API that made it.
    pub provider: String,
    /// The provider's id, if it is known.
    pub id: Option<String>,
}

/// A part of a row besides its groups, in the order new columns are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Field {
    Name,
    Address,
    User,
    Port,
    Identity,
    Provider,
    Id,
    HostKey,
}

impl Field {
    pub(super) const ALL: [Self; 8] = [
        Self::Name,
        Self::Address,
        Self::User,
        Self::Port,
        Self::Identity,
        Self::Provider,
        Self::Id,
        Self::HostKey,
    ];

    /// Returns its name as a column or key.
    pub(super) fn as_str(self) -> &'static str {
        self.attribute().map_or("name", Attribute::as_str)
    }

    fn attribute(self) -> Option<Attribute> {
        match self {
            Self::Name => None,
            Self::Address => Some(Attribute::Address),
            Self::User => Some(Attribute::User),
            Self::Port => Some(Attribute::Port),
            Self::Identity => Some(Attribute::Identity),
            Self::Provider => Some(Attribute::Provider),
            Self::Id => Some(Attribute::Id),
            Self::HostKey => Some(Attribute::HostKey),
        }
    }
}

impl Row {
    /// Returns the value of `field`, if it is to be written.
    pub(super) fn value(&self, field: Field) -> Option<String> {
        match field {
            Field::Name => Some(self.name.clone()),
            Field::Address => Some(self.address.clone()),
            Field::User => self.user.clone(),
            Field::Port => self.port.map(|port| port.to_string()),
            Field::Identity => self.identity.clone(),
            Field::Provider => Some(self.provider.clone()),
            Field::Id => Some(self.id.clone()),
            Field::HostKey => self.host_key.clone(),
        }
    }

    /// Yields the groups that have to be written: every host is in `all`.
    pub(super) fn listed_groups(&self) -> impl Iterator<Item = &str> {
        let groups = self.groups.iter().map(String::as_str);
        groups.filter(|group| !matches!(*group, "all" | "ungrouped"))
    }

    fn check(&self) -> Result<(), (&'static str, Box<Flaw>)> {
        let name = host_name(&self.name).map_err(|flaw| ("name", flaw.into()))?;
        let mut host = Host::named(name);
        for field in Field::ALL {
            let Some(value) = self.value(field) else {
                continue;
            };
            if let Some(attribute) = field.attribute() {
                let set = attribute.set(&mut host, &value);
                set.map_err(|flaw| (field.as_str(), flaw.into()))?;
            }
            check_cell(&value).map_err(|flaw| (field.as_str(), flaw.into()))?;
        }
        for group in &self.groups {
            let checked = check_group_name(group).and_then(|()| check_cell(group));
            checked.map_err(|flaw| ("group", flaw.into()))?;
        }
        Ok(())
    }
}

/// Refuses what a spreadsheet would calculate, and what would not read back as it is.
fn check_cell(value: &str) -> Result<(), Flaw> {
    let expected = "a text that a spreadsheet does not take for a formula";
    if let Some(first) = value.chars().next()
        && matches!(first, '=' | '+' | '-' | '@')
    {
        return Err(Flaw::character(first, 0, expected));
    }
    if value.trim() != value {
        let expected = "a text without blanks around it";
        return Err(Flaw::unexpected(format!("`{}`", shown(value)), expected));
    }
    Ok(())
}

/// The rows that have to be in the file.
pub(super) struct Wanted<'a> {
    pub(super) rows: &'a [Row],
    by_id: HashMap<(&'a str, &'a str), usize>,
    by_name: HashMap<&'a str, usize>,
}

/// Whose row of the file it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// Nobody's that is looked for.
    Other,
    /// That of the row of this index.
    Ours(usize),
    /// The one of the row of this index as somebody wrote it, without a provider.
    Hand(usize),
    /// One of another provider.
    Foreign,
}

impl<'a> Wanted<'a> {
    /// Checks every value of `rows`; `name` is that of the file.
    pub(super) fn new(rows: &'a [Row], name: &Arc<str>) -> Result<Self, EditError> {
        let mut wanted = Self {
            rows,
            by_id: HashMap::with_capacity(rows.len()),
            by_name: HashMap::with_capacity(rows.len()),
        };
        for (index, row) in rows.iter().enumerate() {
            let refused = |(field, flaw): (_, Box<Flaw>)| EditError::Value {
                name: Arc::clone(name),
                server: shown(&row.name),
                field,
                flaw,
            };
            row.check().map_err(refused)?;
            let twice = |field, value: &str| {
                let found = format!("a second server with `{}`", shown(value));
                refused((field, Flaw::unexpected(found, "one of each").into()))
            };
            if wanted.by_name.insert(&row.name, index).is_some() {
                return Err(twice("name", &row.name));
            }
            if wanted
                .by_id
                .insert((&row.provider, &row.id), index)
                .is_some()
            {
                return Err(twice("id", &row.id));
            }
        }
        Ok(wanted)
    }

    /// Returns whose the row of the file is that says this of itself.
    pub(super) fn owner(&self, name: &str, provider: &str, id: &str) -> Owner {
        if !provider.is_empty()
            && let Some(index) = self.by_id.get(&(provider, id))
        {
            return Owner::Ours(*index);
        }
        match self.by_name.get(name) {
            None => Owner::Other,
            Some(index) if provider.is_empty() => Owner::Hand(*index),
            Some(index) if self.rows[*index].provider == provider => Owner::Ours(*index),
            Some(_) => Owner::Foreign,
        }
    }
}

/// The servers whose rows have to go.
pub(super) struct Parting<'a> {
    /// By provider and id.
    by_id: HashSet<(&'a str, &'a str)>,
    /// By provider and name; whether the server's id is known.
    by_name: HashMap<(&'a str, &'a str), bool>,
}

impl<'a> Parting<'a> {
    pub(super) fn new(servers: &'a [Gone]) -> Self {
        let known = servers.iter().filter_map(|gone| {
            let id = gone.id.as_deref().filter(|id| !id.is_empty())?;
            Some((&*gone.provider, id))
        });
        let mut by_name = HashMap::with_capacity(servers.len());
        for gone in servers {
            let has_id = gone.id.as_ref().is_some_and(|id| !id.is_empty());
            // Of two servers of one name the one without an id counts.
            let slot = by_name.entry((&*gone.provider, &*gone.name));
            *slot.or_insert(has_id) &= has_id;
        }
        Self {
            by_id: known.collect(),
            by_name,
        }
    }

    /// Whether the row of the file that says this of itself has to go.
    pub(super) fn is_gone(&self, name: &str, provider: &str, id: &str) -> bool {
        !provider.is_empty()
            && (self.by_id.contains(&(provider, id))
                || match self.by_name.get(&(provider, name)) {
                    Some(has_id) => !has_id || id.is_empty(),
                    None => false,
                })
    }
}
