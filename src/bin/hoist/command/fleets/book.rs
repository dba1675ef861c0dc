//! The inventory that servers are written into and taken out of.

use std::path::{Path, PathBuf};

use hoist::inventory::edit::{self, Edit, EditError, Gone, Row};
use hoist::inventory::{Inventory, Source};
use hoist::provider::{ProviderName, Server};

use super::live;
use crate::report::{Failure, note};

/// An inventory that can be edited.
pub(super) struct Book {
    file: PathBuf,
}

impl Book {
    /// Makes sure that `file` is an inventory that can be edited, or can be made.
    ///
    /// # Errors
    /// When it is none, or of a kind that can't be edited.
    pub(super) fn open(file: &Path) -> Result<Self, Failure> {
        if let Some((provider, fleet)) = file.to_str().and_then(live::named)
            && !file.exists()
        {
            return Err(Failure::usage(format!(
                "`{provider}:{fleet}` stands for live servers, and nothing can be written there"
            ))
            .hint("name a file, as in `-i fleet.csv`"));
        }
        Edit::open(file).map_err(|error| failure(&error))?;
        Ok(Self {
            file: file.to_owned(),
        })
    }

    /// Makes sure that no host of somebody else has one of these names.
    ///
    /// # Errors
    /// When one has.
    pub(super) fn check_names(
        &self,
        names: &[String],
        provider: ProviderName,
    ) -> Result<(), Failure> {
        let Some(inventory) = self.inventory()? else {
            return Ok(());
        };
        for name in names {
            let known = inventory.get(name);
            // In Ansible's inventories it is a variable like any other.
            let theirs = known.map(|host| {
                let said = host.provider.as_deref();
                said.or_else(|| host.variables.get("provider"))
            });
            if theirs.is_some_and(|said| said != Some(provider.as_str())) {
                let place = inventory.origin(name).unwrap_or_default();
                return Err(Failure::usage(format!(
                    "{place}: there is a host `{name}` already that is not a server of {provider}"
                ))
                .hint("give the servers other names with --name"));
            }
        }
        Ok(())
    }

    fn inventory(&self) -> Result<Option<Inventory>, Failure> {
        if !self.file.exists() {
            return Ok(None);
        }
        let source = Source::File(self.file.clone());
        Inventory::load(&[source]).map(Some).map_err(Failure::usage)
    }

    /// Writes servers with their host keys into the inventory, in `group`; those that are there
    /// already are brought up to date. `identity` is the private key that they let in, where it is
    /// not a usual one.
    ///
    /// # Errors
    /// When it can't be written, or somebody else's host has the name of one.
    pub(super) fn put(
        &mut self,
        servers: &[(&Server, Option<String>)],
        group: &str,
        identity: Option<&Path>,
    ) -> Result<(), Failure> {
        let rows = servers.iter().filter_map(|(server, host_key)| {
            Some(Row {
                name: server.name.clone(),
                address: server.address()?.to_string(),
                user: server.login_user.clone(),
                port: server.port.filter(|port| *port != 22),
                groups: vec![group.to_owned()],
                identity: identity.map(|identity| identity.display().to_string()),
                provider: server.provider.to_string(),
                id: server.id.clone(),
                host_key: host_key.clone(),
            })
        });
        let rows: Vec<Row> = rows.collect();
        edit::apply(&self.file, |edit| edit.put(&rows)).map_err(|error| failure(&error))
    }

    /// Takes servers out of the inventory, and says where they are named still.
    ///
    /// # Errors
    /// When it can't be written.
    pub(super) fn remove(&mut self, servers: &[&Server]) -> Result<(), Failure> {
        let gone = servers.iter().map(|server| Gone {
            name: server.name.clone(),
            provider: server.provider.to_string(),
            id: Some(server.id.clone()),
        });
        let gone: Vec<Gone> = gone.collect();
        let mut left = Vec::new();
        edit::apply(&self.file, |edit| {
            left = edit.remove(&gone)?;
            Ok(())
        })
        .map_err(|error| failure(&error))?;
        for place in left {
            note(&format!("hoist: {place} still names a server that is gone"));
        }
        Ok(())
    }
}

fn failure(error: &EditError) -> Failure {
    match error {
        EditError::Io { .. } => Failure::own(error),
        _ => Failure::usage(error),
    }
}
