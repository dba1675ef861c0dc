//! What the lines of a record say, one after the other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A line of the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Entry {
    /// A server is about to be asked for.
    Intent {
        /// When, in seconds since 1970.
        at: u64,
        /// What the fleet's server is called.
        name: String,
        /// Names the order at the provider.
        token: String,
        /// Where.
        provider: String,
        /// The provider's region.
        region: String,
        /// Public half of the host key that was handed over.
        #[serde(skip_serializing_if = "Option::is_none")]
        host_key: Option<String>,
        /// Account that the image lets in.
        login_user: String,
    },
    /// It was made, or found again.
    Created {
        /// When.
        at: u64,
        /// The server's name.
        name: String,
        /// The provider's id.
        id: String,
    },
    /// It was there without a record, and belongs to the fleet from now on.
    Adopted {
        /// When.
        at: u64,
        /// The server's name.
        name: String,
        /// The provider's id.
        id: String,
        /// Where.
        provider: String,
        /// The provider's region.
        region: String,
        /// Account that the image lets in, where it is known.
        #[serde(skip_serializing_if = "Option::is_none")]
        login_user: Option<String>,
    },
    /// It was not made.
    Failed {
        /// When.
        at: u64,
        /// The server's name.
        name: String,
        /// Why not.
        error: String,
    },
    /// The server is about to have this host key in the place of the one handed over.
    Rekeying {
        /// When.
        at: u64,
        /// The server's name.
        name: String,
        /// Public half of the key that the server made.
        host_key: String,
    },
    /// The server has it.
    Rekeyed {
        /// When.
        at: u64,
        /// The server's name.
        name: String,
        /// Public half of the key.
        host_key: String,
    },
    /// The provider does not list it any more, and hoist did not destroy it.
    Missing {
        /// When.
        at: u64,
        /// The server's name.
        name: String,
        /// The provider's id.
        id: String,
    },
    /// The provider lists it again.
    Found {
        /// When.
        at: u64,
        /// The server's name.
        name: String,
        /// The provider's id.
        id: String,
    },
    /// It is gone.
    Destroyed {
        /// When.
        at: u64,
        /// The server's name.
        name: String,
        /// The provider's id.
        id: String,
    },
}

impl Entry {
    fn name(&self) -> &str {
        match self {
            Self::Intent { name, .. }
            | Self::Created { name, .. }
            | Self::Adopted { name, .. }
            | Self::Failed { name, .. }
            | Self::Rekeying { name, .. }
            | Self::Rekeyed { name, .. }
            | Self::Missing { name, .. }
            | Self::Found { name, .. }
            | Self::Destroyed { name, .. } => name,
        }
    }
}

/// What the record knows of one server, by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// What it is called.
    pub name: String,
    /// Where it was asked for.
    pub provider: String,
    /// The provider's region.
    pub region: String,
    /// What the order was called; empty where hoist did not order it.
    pub token: String,
    /// When it was asked for, in seconds since 1970.
    pub asked_at: u64,
    /// When it turned out to be made, in seconds since 1970.
    pub made_at: Option<u64>,
    /// The provider's id; `None` while nobody knows whether it was made.
    pub id: Option<String>,
    /// Account that the image lets in; empty where nobody knows.
    pub login_user: String,
    /// Public half of the host key it has, as far as known.
    pub host_key: Option<String>,
    /// Public half of the key it is about to have, or has already.
    pub next_host_key: Option<String>,
    /// Whether `host_key` was made by the server itself.
    pub is_rekeyed: bool,
}

/// All that a record says in the end.
#[derive(Debug, Default)]
pub(super) struct Books {
    /// What is there, or may be, by name.
    pub(super) servers: BTreeMap<String, Recorded>,
    /// What is not listed any more, by id.
    pub(super) missing: BTreeMap<String, Recorded>,
}

impl Books {
    /// Goes on with one more line.
    pub(super) fn enter(&mut self, entry: Entry) {
        let name = entry.name().to_owned();
        match entry {
            entry @ (Entry::Intent { .. } | Entry::Adopted { .. }) => self.begin(entry),
            Entry::Created { at, id, .. } => {
                if let Some(server) = self.servers.get_mut(&name) {
                    server.id = Some(id);
                    server.made_at = Some(at);
                }
            }
            Entry::Failed { .. } => {
                self.servers.remove(&name);
            }
            Entry::Rekeying { host_key, .. } => {
                if let Some(server) = self.servers.get_mut(&name) {
                    server.next_host_key = Some(host_key);
                }
            }
            Entry::Rekeyed { host_key, .. } => {
                if let Some(server) = self.servers.get_mut(&name) {
                    server.host_key = Some(host_key);
                    server.next_host_key = None;
                    server.is_rekeyed = true;
                }
            }
            Entry::Missing { id, .. } => {
                if let Some(name) = self.name_of(&id) {
                    self.put_aside(&name);
                }
            }
            Entry::Found { id, .. } => {
                if let Some(server) = self.missing.remove(&id) {
                    self.put_aside(&name);
                    self.servers.insert(name, server);
                }
            }
            Entry::Destroyed { id, .. } => {
                self.missing.remove(&id);
                // A name may be in use again by the time that an older server's end is noticed.
                if let Some(name) = self.name_of(&id) {
                    self.servers.remove(&name);
                }
            }
        }
    }

    fn begin(&mut self, entry: Entry) {
        let recorded = match entry {
            Entry::Intent {
                at,
                name,
                token,
                provider,
                region,
                host_key,
                login_user,
            } => Recorded {
                name,
                provider,
                region,
                token,
                asked_at: at,
                made_at: None,
                id: None,
                login_user,
                host_key,
                next_host_key: None,
                is_rekeyed: false,
            },
            Entry::Adopted {
                at,
                name,
                id,
                provider,
                region,
                login_user,
            } => Recorded {
                name,
                provider,
                region,
                token: String::new(),
                asked_at: at,
                made_at: Some(at),
                id: Some(id),
                login_user: login_user.unwrap_or_default(),
                host_key: None,
                next_host_key: None,
                is_rekeyed: false,
            },
            _ => return,
        };
        self.put_aside(&recorded.name);
        if let Some(id) = &recorded.id {
            self.missing.remove(id);
        }
        self.servers.insert(recorded.name.clone(), recorded);
    }

    /// Makes room for another server of this name, without losing the one that has it.
    fn put_aside(&mut self, name: &str) {
        if let Some(server) = self.servers.remove(name)
            && let Some(id) = server.id.clone()
        {
            self.missing.insert(id, server);
        }
    }

    fn name_of(&self, id: &str) -> Option<String> {
        let mut servers = self.servers.values();
        let server = servers.find(|server| server.id.as_deref() == Some(id));
        server.map(|server| server.name.clone())
    }
}
