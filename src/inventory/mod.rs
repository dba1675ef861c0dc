//! All known hosts with their groups and variables, read from text, CSV, JSON or a program.
//!
//! [`Source`]s go in, in order; an [`Inventory`] comes out, or an error that shows file, line,
//! column, what was found and what was expected. Later sources may add hosts and add to hosts;
//! they replace nothing. Hosts keep the order in which they were first named. Nothing here
//! resolves or dials a host.
//!
//! ```
//! use hoist::inventory::{Inventory, Source};
//!
//! let text = "[web]\nweb[1-2] rack=a1\nroot@web3:2222\n".into();
//! let inventory = Inventory::load(&[Source::bytes("fleet.txt", text)])?;
//! assert_eq!(inventory.len(), 3);
//! assert_eq!(inventory.get("web2").unwrap().variables.get("rack"), Some("a1"));
//! assert_eq!(inventory.group("web").unwrap().count(), 3);
//! # Ok::<(), hoist::inventory::InventoryError>(())
//! ```

mod ansible;
mod attribute;
mod builder;
mod combine;
mod csv;
mod document;
pub mod edit;
mod entry;
mod error;
mod groups;
mod heading;
mod include;
mod json;
mod node;
mod program;
mod source;
mod text;
mod words;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};

use self::builder::Builder;
use self::groups::{GroupId, Groups};
use crate::host::{Host, HostName};
use crate::hostset::Names;

pub use self::error::{Flaw, InventoryError, Place};
pub use self::source::Source;

/// Most hosts in one inventory.
pub const MAX_HOSTS: usize = 4_000_000;

/// Most different variables in one inventory.
pub const MAX_COLUMNS: usize = 4096;

/// All known hosts, groups and variables.
#[derive(Debug, Default)]
pub struct Inventory {
    /// Names of everything that was read, escaped for display.
    sources: Vec<Arc<str>>,
    hosts: IndexMap<HostName, Entry>,
    groups: Groups,
    columns: IndexSet<Arc<str>>,
    warnings: Vec<String>,
}

/// A host and where it was first named.
#[derive(Debug)]
struct Entry {
    host: Host,
    origin: Origin,
}

/// A line of a source.
#[derive(Debug, Clone, Copy)]
struct Origin {
    source: u32,
    line: u32,
}

impl Origin {
    fn show(self, sources: &[Arc<str>]) -> String {
        let source = sources.get(self.source as usize).map_or("?", |name| name);
        format!("{source}:{}", self.line)
    }
}

impl Inventory {
    /// Reads `sources` in order and combines them.
    ///
    /// Blocks: files are read whole, and executable ones are run with `--list` for up to a minute.
    ///
    /// # Errors
    /// At the first thing that can't be read or means nothing, that contradicts another row, or
    /// that names an undefined group. An error means that nothing was loaded.
    pub fn load(sources: &[Source]) -> Result<Self, InventoryError> {
        let mut builder = Builder::new(MAX_HOSTS);
        for source in sources {
            source.read_into(&mut builder)?;
        }
        builder.finish()
    }

    /// Returns an inventory without hosts.
    pub fn empty() -> Self {
        Self::default()
    }

    /// Number of hosts.
    pub fn len(&self) -> usize {
        self.hosts.len()
    }

    /// Whether there is no host.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty()
    }

    /// Yields all hosts in the order first named.
    pub fn hosts(&self) -> impl Iterator<Item = &Host> {
        self.hosts.values().map(|entry| &entry.host)
    }

    /// Returns the host called `name`.
    pub fn get(&self, name: &str) -> Option<&Host> {
        self.hosts.get(name).map(|entry| &entry.host)
    }

    /// Returns the place of the host called `name` among [`hosts`](Self::hosts), from 0.
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.hosts.get_index_of(name)
    }

    /// Returns where the host called `name` was first named, as `fleet.csv:7`.
    pub fn origin(&self, name: &str) -> Option<String> {
        let entry = self.hosts.get(name)?;
        Some(entry.origin.show(&self.sources))
    }

    /// Yields the hosts of group `name`: those of its child groups, then its own, each once.
    ///
    /// `all` and `ungrouped` always exist. `None` means that there is no such group.
    pub fn group<'a>(&'a self, name: &str) -> Option<impl Iterator<Item = &'a Host> + use<'a>> {
        let group = self.groups.get(name)?;
        let members = members(&self.hosts, &self.groups, group).into_iter();
        Some(members.map(|index| &self.hosts[index as usize].host))
    }

    /// Returns the names of all groups in the order first seen, without `all` and `ungrouped`.
    pub fn group_names(&self) -> Vec<&str> {
        self.groups.names().collect()
    }

    /// Returns the groups that the host called `host` is in, its own first, then their parents,
    /// without `all` and `ungrouped`.
    pub fn groups_of(&self, host: &str) -> Vec<&str> {
        let own = self.get(host).map_or(&[][..], |host| &host.groups);
        self.groups.with_ancestors(own)
    }

    /// Returns the names of all variables in the order first seen.
    pub fn columns(&self) -> Vec<&str> {
        self.columns.iter().map(|name| &**name).collect()
    }

    /// Returns what the user should know although the inventory is loaded, one line each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

impl Names for Inventory {
    fn all(&self) -> Box<dyn Iterator<Item = &HostName> + '_> {
        Box::new(self.hosts.keys())
    }

    fn group(&self, name: &str) -> Option<Box<dyn Iterator<Item = &HostName> + '_>> {
        let hosts = Self::group(self, name)?;
        Some(Box::new(hosts.map(|host| &host.name)))
    }

    fn group_names(&self) -> Vec<&str> {
        Self::group_names(self)
    }
}

/// Returns the hosts of `group` as indexes.
fn members(hosts: &IndexMap<HostName, Entry>, groups: &Groups, group: GroupId) -> Vec<u32> {
    let indexes = 0..u32::try_from(hosts.len()).expect("MAX_HOSTS fits");
    match group {
        GroupId::ALL => indexes.collect(),
        GroupId::UNGROUPED => indexes
            .filter(|index| hosts[*index as usize].host.groups.is_empty())
            .collect(),
        _ => groups.hosts(group),
    }
}
