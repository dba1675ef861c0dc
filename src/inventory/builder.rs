//! Where every format puts its hosts and groups, and where they become one [`Inventory`].
//!
//! Rows of one host are combined, whichever source they are in: what is missing is added, values
//! that differ are refused with both places, and rows that add nothing are counted for one warning.

use std::collections::HashMap;
use std::sync::Arc;

use indexmap::map::Entry as Slot;
use indexmap::{IndexMap, IndexSet};

use super::attribute::Attribute;
use super::combine::{Fit, combine};
use super::error::{Flaw, InventoryError, shown};
use super::groups::{GroupId, Groups};
use super::{Entry, Inventory, MAX_COLUMNS, Origin};
use crate::host::{Host, HostName, MAX_NAME_BYTES, is_printable};

/// Whether a format may list a host many times as a matter of course.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// A row that adds nothing is worth a warning.
    Counted,
    /// A host is listed wherever it belongs.
    Usual,
}

/// What a key or column sets.
#[derive(Debug, Clone)]
pub(super) enum Key {
    Attribute(Attribute),
    Groups,
    Variable(Arc<str>),
}

/// An inventory in the making.
#[derive(Debug, Default)]
pub(super) struct Builder {
    /// Most hosts.
    limit: usize,
    sources: Vec<Arc<str>>,
    hosts: IndexMap<HostName, Entry>,
    pub(super) groups: Groups,
    columns: IndexSet<Arc<str>>,
    /// Who set a field, where that was not the host's first row.
    added: HashMap<(Owner, Box<str>), Origin>,
    repeats: usize,
    first_repeat: Option<(HostName, Origin, Origin)>,
    warnings: Vec<String>,
}

/// Whom a field belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Owner {
    Host(usize),
    Group(GroupId),
}

impl Builder {
    /// Returns an inventory without hosts, for at most `limit` of them.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            ..Self::default()
        }
    }

    /// Says that what follows comes from the source called `name` (escaped for display).
    pub(super) fn begin(&mut self, name: &Arc<str>) {
        self.sources.push(Arc::clone(name));
    }

    /// Makes room for `rows` more hosts.
    pub(super) fn reserve(&mut self, rows: usize) {
        self.hosts.reserve(rows.min(self.limit));
    }

    /// Remembers one line for the user.
    pub(super) fn warn(&mut self, warning: String) {
        self.warnings.push(warning);
    }

    /// Returns the shared name of variable `name`.
    pub(super) fn column(&mut self, name: &str) -> Result<Arc<str>, Flaw> {
        if let Some(known) = self.columns.get(name) {
            return Ok(Arc::clone(known));
        }
        let expected = "the name of a variable";
        if name.is_empty() {
            return Err(Flaw::unexpected("nothing", expected));
        }
        if name.len() > MAX_NAME_BYTES {
            let found = format!("`{}`, {} bytes long", shown(name), name.len());
            let expected = format!("a name of at most {MAX_NAME_BYTES} bytes");
            return Err(Flaw::unexpected(found, expected));
        }
        if let Some((offset, c)) = name.chars().enumerate().find(|(_, c)| !is_printable(*c)) {
            return Err(Flaw::character(c, offset, expected));
        }
        if self.columns.len() >= MAX_COLUMNS {
            let found = format!("more than {MAX_COLUMNS} different variables");
            return Err(Flaw::unexpected(found, "fewer"));
        }
        let name: Arc<str> = name.into();
        self.columns.insert(Arc::clone(&name));
        Ok(name)
    }

    /// Returns the groups named in `cell`, with blanks, `;` or `|` between.
    pub(super) fn groups_in(&mut self, cell: &str) -> Result<Vec<GroupId>, Flaw> {
        let is_between = |c: char| c.is_whitespace() || matches!(c, ';' | '|');
        let mut ids = IndexSet::new();
        let mut rest = cell;
        while let Some(start) = rest.find(|c| !is_between(c)) {
            rest = &rest[start..];
            let (name, after) = rest.split_at(rest.find(is_between).unwrap_or(rest.len()));
            let id = self.groups.define(name).map_err(|flaw| {
                let before = &cell[..cell.len() - rest.len()];
                flaw.moved(before.chars().count())
            });
            ids.insert(id?);
            rest = after;
        }
        Ok(ids.into_iter().collect())
    }

    /// Gives `host` one more value; values of [`Key::Groups`] are none of its business.
    pub(super) fn set(host: &mut Host, key: &Key, value: &str) -> Result<(), Flaw> {
        match key {
            Key::Attribute(attribute) => attribute.set(host, value),
            Key::Groups => Ok(()),
            // Names of variables are shared, see `column`.
            Key::Variable(name) => match host.variables.get_shared(name) {
                Some(earlier) if earlier != value => Err(Flaw::unexpected(
                    format!("a second `{name}` with value `{}`", shown(value)),
                    format!("one, or the same (`{}`) again", shown(earlier)),
                )),
                Some(_) => Ok(()),
                None => Self::set_new(host, name, value),
            },
        }
    }

    /// Gives `host` a variable that it is known to lack: in a row of thousands of cells, looking for
    /// each would take time in their square.
    pub(super) fn set_new(host: &mut Host, name: &Arc<str>, value: &str) -> Result<(), Flaw> {
        no_nul(value)?;
        host.variables.push(Arc::clone(name), value);
        Ok(())
    }

    /// Adds a row: `host`, listed in `groups` (each once), named at `line` of the current source.
    pub(super) fn add(
        &mut self,
        mut host: Host,
        groups: &[GroupId],
        line: usize,
        repeat: Repeat,
    ) -> Result<(), Flaw> {
        let origin = self.origin(line);
        let is_full = self.hosts.len() >= self.limit;
        match self.hosts.entry(host.name.clone()) {
            Slot::Vacant(_) if is_full => Err(Flaw::unexpected(
                format!("more than {} hosts", self.limit),
                "fewer, in several inventories",
            )),
            Slot::Vacant(slot) => {
                let index = slot.index();
                let listed = groups.iter().filter(|group| !group.is_implied());
                host.groups.reserve_exact(listed.clone().count());
                for group in listed {
                    host.groups.push(Arc::clone(self.groups.name(*group)));
                    self.groups.add_member(*group, index_of(index));
                }
                slot.insert(Entry { host, origin });
                Ok(())
            }
            Slot::Occupied(slot) => {
                let index = slot.index();
                let has_added = self.extend(index, &host, origin)? | self.join(index, groups);
                if !has_added && repeat == Repeat::Counted {
                    let first = self.hosts[index].origin;
                    self.repeats += 1;
                    self.first_repeat.get_or_insert((host.name, origin, first));
                }
                Ok(())
            }
        }
    }

    /// Lists the host at `index` in `groups` it was not in; returns whether there was one.
    fn join(&mut self, index: usize, groups: &[GroupId]) -> bool {
        let mut has_joined = false;
        let host = &mut self.hosts[index].host;
        for group in groups.iter().filter(|group| !group.is_implied()) {
            let name = self.groups.name(*group);
            if !host.groups.iter().any(|known| Arc::ptr_eq(known, name)) {
                host.groups.push(Arc::clone(name));
                self.groups.add_member(*group, index_of(index));
                has_joined = true;
            }
        }
        has_joined
    }

    /// Gives the host at `index` what `more` has; returns whether that was anything.
    fn extend(&mut self, index: usize, more: &Host, origin: Origin) -> Result<bool, Flaw> {
        let Entry {
            host,
            origin: first,
        } = &mut self.hosts[index];
        let label = format!("host `{}`", host.name);
        let mut ledger = Ledger {
            added: &mut self.added,
            sources: &self.sources,
            owner: Owner::Host(index),
            first: *first,
            origin,
            has_added: false,
            conflict: None,
        };
        combine(host, more, &self.columns, |field, fit| {
            ledger.note(&label, field, &fit);
        });
        ledger.close()
    }

    /// Gives members of `group` what `more` has, where they lack it; `line` is where that is said.
    pub(super) fn give(&mut self, group: GroupId, more: &Host, line: usize) -> Result<(), Flaw> {
        let origin = self.origin(line);
        let label = format!("group `{}`", self.groups.name(group));
        let mut ledger = Ledger {
            added: &mut self.added,
            sources: &self.sources,
            owner: Owner::Group(group),
            first: origin,
            origin,
            has_added: false,
            conflict: None,
        };
        combine(
            self.groups.defaults(group),
            more,
            &self.columns,
            |field, fit| {
                ledger.note(&label, field, &fit);
            },
        );
        ledger.close().map(|_| ())
    }

    fn origin(&self, line: usize) -> Origin {
        Origin {
            source: u32::try_from(self.sources.len().saturating_sub(1)).unwrap_or(u32::MAX),
            line: u32::try_from(line).unwrap_or(u32::MAX),
        }
    }

    /// Applies what groups give and returns the inventory.
    ///
    /// # Errors
    /// When a group is undefined or within itself.
    pub(super) fn finish(mut self) -> Result<Inventory, InventoryError> {
        self.groups.check()?;
        for (group, defaults) in self.groups.take_defaults() {
            for index in self.hosts_of(group) {
                let host = &mut self.hosts[index as usize].host;
                combine(host, &defaults, &self.columns, |_, _| {});
            }
        }
        self.warn_of_repeats();
        self.warn_of_connections();
        Ok(Inventory {
            sources: self.sources,
            hosts: self.hosts,
            groups: self.groups,
            columns: self.columns,
            warnings: self.warnings,
        })
    }

    fn hosts_of(&self, group: GroupId) -> Vec<u32> {
        super::members(&self.hosts, &self.groups, group)
    }

    /// A host that Ansible reaches otherwise can be loaded, but hoist can't reach it that way.
    fn warn_of_connections(&mut self) {
        let key = "ansible_connection";
        let unknown = self.hosts.values().filter_map(|Entry { host, .. }| {
            let value = host.variables.get(key)?;
            let is_unknown = Attribute::of_ansible(key, value).is_none();
            is_unknown.then(|| (host.name.clone(), shown(value)))
        });
        let mut unknown = unknown.fuse();
        if self.columns.contains(key)
            && let Some((name, value)) = unknown.next()
        {
            let count = 1 + unknown.count();
            self.warnings.push(format!(
                "{key}={value} is not known: `{name}` ({count} in all) is reached like any other host"
            ));
        }
    }

    fn warn_of_repeats(&mut self) {
        let Some((name, again, first)) = self.first_repeat.take() else {
            return;
        };
        let (again, first) = (again.show(&self.sources), first.show(&self.sources));
        let example = format!("`{name}` at {again}, first at {first}");
        self.warn(match self.repeats {
            1 => format!("1 row repeats a host and adds nothing: {example}"),
            count => format!("{count} rows repeat a host and add nothing, such as {example}"),
        });
    }
}

/// Keeps account of one row that is combined with what is there.
struct Ledger<'a> {
    added: &'a mut HashMap<(Owner, Box<str>), Origin>,
    sources: &'a [Arc<str>],
    owner: Owner,
    /// Where a field was set unless `added` knows better.
    first: Origin,
    origin: Origin,
    has_added: bool,
    conflict: Option<Flaw>,
}

impl Ledger<'_> {
    fn note(&mut self, label: &str, field: &str, fit: &Fit<'_>) {
        let key = (self.owner, Box::from(field));
        match fit {
            Fit::Added => {
                self.has_added = true;
                self.added.insert(key, self.origin);
            }
            Fit::Differs { value, earlier } if self.conflict.is_none() => {
                let place = self.added.get(&key).unwrap_or(&self.first);
                self.conflict = Some(Flaw::Conflict {
                    owner: label.to_owned(),
                    field: field.to_owned(),
                    value: shown(&value.to_string()),
                    earlier: shown(&earlier.to_string()),
                    earlier_place: place.show(self.sources),
                });
            }
            Fit::Differs { .. } => {}
        }
    }

    fn close(self) -> Result<bool, Flaw> {
        self.conflict.map_or(Ok(self.has_added), Err)
    }
}

/// Refuses what can be neither an argument nor an environment variable.
fn no_nul(value: &str) -> Result<(), Flaw> {
    match value.chars().position(|c| c == '\0') {
        None => Ok(()),
        Some(offset) => Err(Flaw::character('\0', offset, "text without NUL bytes")),
    }
}

fn index_of(index: usize) -> u32 {
    u32::try_from(index).expect("MAX_HOSTS fits")
}
