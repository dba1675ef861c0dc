//! Host names with the account and port that a pattern gives them.

use std::sync::Arc;

use indexmap::IndexMap;
use indexmap::map::Entry;

use super::HostSet;
use crate::host::{HostName, Port, UserName};

/// What `user@` and `:port` in a pattern say about a host.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Login {
    /// Account to log in as, if one is written.
    pub user: Option<UserName>,
    /// Port to dial, if one is written.
    pub port: Option<Port>,
}

/// What is said about a host that is named without a user and a port.
static UNSAID: Login = Login {
    user: None,
    port: None,
};

impl Login {
    /// Returns what is said here and, where that is nothing, what `earlier` says.
    fn over(&self, earlier: &Self) -> Self {
        Self {
            user: self.user.as_ref().or(earlier.user.as_ref()).cloned(),
            port: self.port.or(earlier.port),
        }
    }
}

/// Distinct host names in the order written, each with its [`Login`].
///
/// A host that is named again keeps its place; what is said about it the second time wins.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LoginSet(IndexMap<HostName, Option<Arc<Login>>>);

impl LoginSet {
    /// Returns the empty set.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds `name`, or says more about it.
    pub fn insert(&mut self, name: HostName, login: Login) {
        let is_said = login != UNSAID;
        self.add(name, is_said.then(|| Arc::new(login)).as_ref());
    }

    /// Adds `name`, or says more about it; most hosts share their login with others.
    pub(super) fn add(&mut self, name: HostName, login: Option<&Arc<Login>>) {
        match self.0.entry(name) {
            Entry::Vacant(place) => {
                place.insert(login.cloned());
            }
            Entry::Occupied(mut place) => {
                let Some(login) = login else { return };
                let merged = match place.get() {
                    Some(earlier) => Arc::new(login.over(earlier)),
                    None => Arc::clone(login),
                };
                place.insert(Some(merged));
            }
        }
    }

    /// Makes room for `more` names.
    pub(super) fn reserve(&mut self, more: usize) {
        self.0.reserve(more);
    }

    /// Returns what is said about `name`, `None` when it is not in the set.
    pub fn get(&self, name: &str) -> Option<&Login> {
        self.0.get(name).map(|login| said(login.as_ref()))
    }

    /// Whether `name` is in the set.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// Returns how many names there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Yields the names and their logins in order.
    pub fn iter(&self) -> impl Iterator<Item = (&HostName, &Login)> {
        let entries = self.0.iter();
        entries.map(|(name, login)| (name, said(login.as_ref())))
    }

    /// Returns the names alone.
    pub fn names(&self) -> HostSet {
        self.0.keys().cloned().collect()
    }

    /// Gives the names alone away, in order.
    pub(super) fn into_names(self) -> IntoNames {
        self.0.into_keys()
    }

    /// Adds the names of `other` at the end; what it says about hosts of both wins.
    pub fn unite(&mut self, other: Self) {
        if self.is_empty() {
            *self = other;
            return;
        }
        self.reserve(other.len());
        for (name, login) in other.0 {
            self.add(name, login.as_ref());
        }
    }

    /// Takes the names of `other` away.
    pub fn subtract(&mut self, other: &Self) {
        self.0.retain(|name, _| !other.0.contains_key(name));
    }

    /// Keeps the names that `other` has too; what it says about them wins.
    pub fn intersect(&mut self, other: Self) {
        self.0.retain(|name, _| other.0.contains_key(name));
        for (name, login) in other.0 {
            if self.0.contains_key(&name) {
                self.add(name, login.as_ref());
            }
        }
    }

    /// Takes away the names that both have and adds, at the end, those only `other` has.
    pub fn toggle(&mut self, mut other: Self) {
        let mine = self.clone();
        self.subtract(&other);
        other.subtract(&mine);
        self.unite(other);
    }
}

/// Yields the names of a set that is given away.
pub(super) type IntoNames = indexmap::map::IntoKeys<HostName, Option<Arc<Login>>>;

type Entries = indexmap::map::IntoIter<HostName, Option<Arc<Login>>>;

fn said(login: Option<&Arc<Login>>) -> &Login {
    login.map_or(&UNSAID, |login| login)
}

impl FromIterator<(HostName, Login)> for LoginSet {
    fn from_iter<I: IntoIterator<Item = (HostName, Login)>>(hosts: I) -> Self {
        let mut set = Self::new();
        for (name, login) in hosts {
            set.insert(name, login);
        }
        set
    }
}

impl IntoIterator for LoginSet {
    type Item = (HostName, Login);
    type IntoIter = std::iter::Map<Entries, fn((HostName, Option<Arc<Login>>)) -> Self::Item>;

    fn into_iter(self) -> Self::IntoIter {
        let owned = |(name, login): (HostName, Option<Arc<Login>>)| {
            (name, login.map(Arc::unwrap_or_clone).unwrap_or_default())
        };
        self.0.into_iter().map(owned)
    }
}
