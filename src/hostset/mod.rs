//! Host sets: ordered, distinct host names, and the patterns that denote them.
//!
//! Text such as `web[01-20,31],@db!web07` comes in and is parsed into a [`Pattern`]; expanded
//! against an inventory's [`Names`] it becomes a [`LoginSet`], in the order written. A
//! [`HostSet`] goes out as text again by [`HostSet::fold`]. A name is never rebuilt from a
//! number: `n1`, `n01` and `n001` are three hosts. Nothing here reads files or dials.
//!
//! ```
//! use hoist::hostset::{NoNames, Pattern};
//!
//! let pattern = Pattern::parse("web[08-11]!web09")?;
//! let hosts = pattern.expand(&NoNames)?.names();
//! assert!(hosts.iter().map(|name| name.as_str()).eq(["web08", "web10", "web11"]));
//! assert_eq!(hosts.fold(), "web[08,10-11]");
//!
//! let error = Pattern::parse("web[1-010]").unwrap_err();
//! assert_eq!(error.column(), 5);
//! # Ok::<(), hoist::hostset::PatternError>(())
//! ```

mod error;
mod fold;
mod glob;
mod login;
mod parse;
mod pattern;
#[cfg(test)]
mod properties;
mod range;
mod template;
#[cfg(test)]
mod tests;

use indexmap::IndexSet;

use crate::host::HostName;

pub(crate) use error::DidYouMean;
pub use error::{PatternError, Reason};
pub use glob::{Glob, GlobError};
pub use login::{Login, LoginSet};
pub use parse::parse_host_entry;
pub use pattern::{ExpandedNames, Pattern};

/// Most names a pattern may stand for, counted before any is made.
pub const MAX_NAMES: u64 = 1_000_000;

/// Most parentheses in each other.
pub const MAX_DEPTH: usize = 64;

/// Most globs that ranges beside `*` or `?` may make.
pub const MAX_GLOBS: u64 = 1_000;

/// What a pattern asks of an inventory.
pub trait Names {
    /// Yields every host in the inventory's order; globs are matched against them.
    fn all(&self) -> Box<dyn Iterator<Item = &HostName> + '_>;

    /// Yields the hosts of a group in order, `None` when there is no such group.
    fn group(&self, name: &str) -> Option<Box<dyn Iterator<Item = &HostName> + '_>>;

    /// Returns the names of all groups.
    fn group_names(&self) -> Vec<&str>;

    /// Whether there is an inventory at all; without one every glob and group is an error.
    fn is_inventory(&self) -> bool {
        true
    }
}

/// No inventory: a pattern stands for the names written in it alone.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoNames;

impl Names for NoNames {
    fn all(&self) -> Box<dyn Iterator<Item = &HostName> + '_> {
        Box::new(std::iter::empty())
    }

    fn group(&self, _: &str) -> Option<Box<dyn Iterator<Item = &HostName> + '_>> {
        None
    }

    fn group_names(&self) -> Vec<&str> {
        Vec::new()
    }

    fn is_inventory(&self) -> bool {
        false
    }
}

/// Distinct host names in the order they were inserted.
///
/// Two sets are equal when they hold the same names, in whatever order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct HostSet(IndexSet<HostName>);

impl HostSet {
    /// Returns the empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `name` at the end, unless it is there already; returns whether it was added.
    pub fn insert(&mut self, name: HostName) -> bool {
        self.0.insert(name)
    }

    /// Whether `name` is in the set.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// Returns how many names there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Yields the names in order.
    pub fn iter(&self) -> impl Iterator<Item = &HostName> {
        self.0.iter()
    }

    /// Returns the names of this set, then those that only `other` has.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        self.0.union(&other.0).cloned().collect()
    }

    /// Returns the names that `other` doesn't have.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        self.0.difference(&other.0).cloned().collect()
    }

    /// Returns the names that `other` has too, in the order of this set.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        self.0.intersection(&other.0).cloned().collect()
    }

    /// Returns the names that only this set has, then those that only `other` has.
    #[must_use]
    pub fn symmetric_difference(&self, other: &Self) -> Self {
        self.0.symmetric_difference(&other.0).cloned().collect()
    }

    /// Returns a pattern for the same set in as few terms as it finds: `web[1-20],db1`.
    ///
    /// It is for people, so the terms and the values in a bracket come in natural order (`web2`
    /// before `web10`), not in the order of the set: `Pattern::parse(&set.fold())` expands to an
    /// equal set. Numbers that differ are folded in several places at once where the names are a
    /// full product, `rack[1-2]-node[1-4]`. Steps are not used. The empty set gives the empty
    /// text, which is not a pattern.
    pub fn fold(&self) -> String {
        fold::fold(self.0.iter())
    }
}

impl FromIterator<HostName> for HostSet {
    fn from_iter<I: IntoIterator<Item = HostName>>(names: I) -> Self {
        Self(names.into_iter().collect())
    }
}

impl Extend<HostName> for HostSet {
    fn extend<I: IntoIterator<Item = HostName>>(&mut self, names: I) {
        self.0.extend(names);
    }
}

impl IntoIterator for HostSet {
    type Item = HostName;
    type IntoIter = indexmap::set::IntoIter<HostName>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

impl<'a> IntoIterator for &'a HostSet {
    type Item = &'a HostName;
    type IntoIter = indexmap::set::Iter<'a, HostName>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.iter()
    }
}

/// Returns the word of `among` that `word` was probably meant to be: the one with the fewest
/// typing errors between them, if they are few; of equals the first.
pub fn suggest<'a>(word: &str, among: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let length = word.chars().count();
    let limit = (length / 3).max(1);
    let mut nearest = None;
    let mut least = limit + 1;
    for candidate in among {
        if candidate.chars().count().abs_diff(length) >= least {
            continue;
        }
        let distance = strsim::osa_distance(word, candidate);
        if distance < least {
            least = distance;
            nearest = Some(candidate);
        }
    }
    nearest
}
