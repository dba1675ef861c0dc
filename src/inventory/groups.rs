//! Named host sets: members, nested groups, and what they give their members.
//!
//! As in Ansible every host is in `all`, a host of no group is in `ungrouped`, a group's hosts are
//! those of its children and then its own, and of two groups the deeper one's variables win.

use std::sync::Arc;

use indexmap::{IndexMap, IndexSet};

use super::attribute::check_group_name;
use super::error::{Flaw, InventoryError, Place};
use crate::host::{Host, HostName};
use crate::hostset::suggest;

/// Deepest nesting of groups.
const MAX_DEPTH: usize = 64;

/// Index of a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct GroupId(usize);

impl GroupId {
    /// Every host.
    pub(super) const ALL: Self = Self(0);
    /// The hosts of no group.
    pub(super) const UNGROUPED: Self = Self(1);

    /// Whether the group's members are implied rather than listed.
    pub(super) fn is_implied(self) -> bool {
        self == Self::ALL || self == Self::UNGROUPED
    }
}

/// One group.
#[derive(Debug)]
struct Group {
    /// Hosts listed in the group itself, as indexes, in order, each once.
    members: Vec<u32>,
    children: Vec<Nested>,
    parents: Vec<usize>,
    /// What the hosts are given where they lack it; kept as a host to share its fields.
    defaults: Option<Box<Host>>,
    /// Whether the group is defined, rather than only mentioned.
    is_defined: bool,
    /// Where it was first mentioned as a child or given variables.
    mention: Option<Place>,
}

/// A child and where it was made one.
#[derive(Debug)]
struct Nested {
    child: usize,
    place: Place,
}

/// All groups, in the order first seen, after `all` and `ungrouped`.
#[derive(Debug)]
pub(super) struct Groups {
    by_name: IndexMap<Arc<str>, Group>,
}

impl Default for Groups {
    fn default() -> Self {
        let by_name = ["all", "ungrouped"].map(|name| (name.into(), Group::new(true)));
        Self {
            by_name: by_name.into(),
        }
    }
}

impl Group {
    fn new(is_defined: bool) -> Self {
        Self {
            members: Vec::new(),
            children: Vec::new(),
            parents: Vec::new(),
            defaults: None,
            is_defined,
            mention: None,
        }
    }
}

impl Groups {
    /// Defines group `name`, which may exist already.
    pub(super) fn define(&mut self, name: &str) -> Result<GroupId, Flaw> {
        let id = self.index(name)?;
        self.by_name[id].is_defined = true;
        Ok(GroupId(id))
    }

    /// Speaks of group `name`, which has to be defined somewhere before all is read.
    pub(super) fn mention(&mut self, name: &str, place: &Place) -> Result<GroupId, Flaw> {
        let id = self.index(name)?;
        let group = &mut self.by_name[id];
        group.mention.get_or_insert_with(|| place.clone());
        Ok(GroupId(id))
    }

    fn index(&mut self, name: &str) -> Result<usize, Flaw> {
        if let Some(index) = self.by_name.get_index_of(name) {
            return Ok(index);
        }
        check_group_name(name)?;
        let (index, _) = self.by_name.insert_full(name.into(), Group::new(false));
        Ok(index)
    }

    /// Lists the host of `index` as a member that it was not yet.
    pub(super) fn add_member(&mut self, group: GroupId, index: u32) {
        self.by_name[group.0].members.push(index);
    }

    /// Makes `child` a group within `parent`; `place` is where that is said.
    pub(super) fn nest(
        &mut self,
        parent: GroupId,
        child: GroupId,
        place: &Place,
    ) -> Result<(), Flaw> {
        let expected = "another group";
        if parent == GroupId::ALL && child != GroupId::ALL {
            return Ok(());
        }
        if parent == GroupId::UNGROUPED {
            return Err(Flaw::unexpected("a child of group `ungrouped`", expected));
        }
        if child.is_implied() {
            let found = format!("group `{}` as a child", self.name(child));
            return Err(Flaw::unexpected(found, expected));
        }
        if !self.by_name[child.0].parents.contains(&parent.0) {
            self.by_name[child.0].parents.push(parent.0);
            self.by_name[parent.0].children.push(Nested {
                child: child.0,
                place: place.clone(),
            });
        }
        Ok(())
    }

    /// Returns what the group gives its members, to be added to.
    pub(super) fn defaults(&mut self, group: GroupId) -> &mut Host {
        self.by_name[group.0].defaults.get_or_insert_with(|| {
            let name = HostName::parse("group").expect("letters are a name");
            Box::new(Host::named(name))
        })
    }

    /// Returns the group's shared name.
    pub(super) fn name(&self, group: GroupId) -> &Arc<str> {
        self.by_name.get_index(group.0).expect("ids are indexes").0
    }

    /// Returns the group of that name.
    pub(super) fn get(&self, name: &str) -> Option<GroupId> {
        self.by_name.get_index_of(name).map(GroupId)
    }

    /// Yields the names of all groups but the implied ones.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().skip(2).map(|name| &**name)
    }

    /// Checks that every group spoken of is defined and none is within itself.
    pub(super) fn check(&self) -> Result<(), InventoryError> {
        for (name, group) in &self.by_name {
            if let (false, Some(place)) = (group.is_defined, &group.mention) {
                let defined = self.by_name.iter().filter(|(_, group)| group.is_defined);
                let flaw = Flaw::UndefinedGroup {
                    name: name.to_string(),
                    suggestion: suggest(name, defined.map(|(name, _)| &**name))
                        .map(ToOwned::to_owned),
                };
                return Err(flaw.at(place.clone()));
            }
        }
        let mut heights = vec![0; self.by_name.len()];
        (0..self.by_name.len())
            .try_for_each(|index| self.check_nesting(index, &mut Vec::new(), &mut heights))
    }

    /// Finds the height of `index`, whose ancestors on this way are `path`; 0 is not yet known.
    fn check_nesting(
        &self,
        index: usize,
        path: &mut Vec<usize>,
        heights: &mut [usize],
    ) -> Result<(), InventoryError> {
        if heights[index] > 0 {
            return Ok(());
        }
        path.push(index);
        let mut height = 1;
        for nested in &self.by_name[index].children {
            let refused = |found: String| {
                Flaw::unexpected(found, "groups that end in hosts").at(nested.place.clone())
            };
            if let Some(start) = path.iter().position(|above| *above == nested.child) {
                let cycle = self.cycle(&path[start..]);
                return Err(refused(format!("a group within itself ({cycle})")));
            }
            if path.len() < MAX_DEPTH {
                self.check_nesting(nested.child, path, heights)?;
            }
            height = height.max(heights[nested.child] + 1);
            if path.len() >= MAX_DEPTH || height > MAX_DEPTH {
                return Err(refused(format!("groups nested deeper than {MAX_DEPTH}")));
            }
        }
        path.pop();
        heights[index] = height;
        Ok(())
    }

    fn cycle(&self, path: &[usize]) -> String {
        let name = |index: &usize| self.name(GroupId(*index)).to_string();
        let mut names: Vec<_> = path.iter().map(name).collect();
        names.extend(path.first().map(name));
        names.join(" > ")
    }

    /// Returns the group's hosts as indexes: those of its children, then its own, each once.
    ///
    /// Of the implied groups it knows nothing.
    pub(super) fn hosts(&self, group: GroupId) -> Vec<u32> {
        let mut hosts = IndexSet::new();
        let mut is_visited = vec![false; self.by_name.len()];
        self.gather(group.0, &mut is_visited, &mut hosts);
        hosts.into_iter().collect()
    }

    fn gather(&self, index: usize, is_visited: &mut [bool], hosts: &mut IndexSet<u32>) {
        if std::mem::replace(&mut is_visited[index], true) {
            return;
        }
        let group = &self.by_name[index];
        for nested in &group.children {
            self.gather(nested.child, is_visited, hosts);
        }
        hosts.extend(&group.members);
    }

    /// Returns `own` and all groups that hold them, the nearest first.
    pub(super) fn with_ancestors<'a>(&'a self, own: &[Arc<str>]) -> Vec<&'a str> {
        let mut found = IndexSet::new();
        found.extend(
            own.iter()
                .filter_map(|name| self.by_name.get_index_of(name)),
        );
        let mut next = 0;
        while let Some(index) = found.get_index(next).copied() {
            found.extend(&self.by_name[index].parents);
            next += 1;
        }
        let name = |index: usize| &**self.name(GroupId(index));
        found.into_iter().map(name).collect()
    }

    /// Takes what every group gives its members, the strongest first: the deepest, then the highest
    /// `ansible_group_priority`, then the last by name.
    pub(super) fn take_defaults(&mut self) -> Vec<(GroupId, Box<Host>)> {
        let depths = self.depths();
        let mut given: Vec<_> = (0..self.by_name.len())
            .filter_map(|index| Some((index, self.by_name[index].defaults.take()?)))
            .collect();
        given.sort_by_cached_key(|(index, defaults)| {
            let priority = defaults.variables.get("ansible_group_priority");
            let priority = priority.and_then(|text| text.parse::<i64>().ok());
            let name = Arc::clone(self.name(GroupId(*index)));
            std::cmp::Reverse((depths[*index], priority.unwrap_or(1), name))
        });
        let with_id = |(index, defaults)| (GroupId(index), defaults);
        given.into_iter().map(with_id).collect()
    }

    /// Returns every group's longest way down from `all`; the nesting has been checked.
    fn depths(&self) -> Vec<usize> {
        let mut depths = vec![0; self.by_name.len()];
        for index in 1..depths.len() {
            self.sink(index, 1, &mut depths);
        }
        depths
    }

    fn sink(&self, index: usize, depth: usize, depths: &mut [usize]) {
        if depths[index] >= depth {
            return;
        }
        depths[index] = depth;
        for nested in &self.by_name[index].children {
            self.sink(nested.child, depth + 1, depths);
        }
    }
}
