//! Takes into the record what is there of a fleet without being in it.

use std::collections::BTreeMap;

use super::super::ledger::{Entry, now};
use super::super::{ProviderError, Server};
use super::{Fleet, Step};
use crate::host::escaped;

impl Fleet<'_> {
    /// Records servers that the provider lists and the record lacks, and returns those that are new
    /// in it. `which` holds names or ids; empty, it stands for all that carry the fleet's tag. What
    /// carries no tag is taken only if it is named by its id. Settles first, as
    /// [`Fleet::servers`] does.
    ///
    /// # Errors
    /// When one of `which` is not listed, is another fleet's, or has the name of another server;
    /// when the provider can't be asked, or the record can't be written.
    pub fn adopt(&self, which: &[String]) -> Result<Vec<Server>, ProviderError> {
        let there = self.servers()?;
        let unrecorded = self.seen().unrecorded.clone();
        let meant: Vec<Server> = unrecorded
            .into_iter()
            .filter(|server| is_meant(server, which))
            .collect();
        for word in which {
            let mut all = there.iter().chain(&meant);
            if !all.any(|server| server.id == *word || server.name == *word) {
                return Err(ProviderError::Input {
                    message: format!(
                        "`{}` is no server of the fleet `{}` that {} lists; one without the \
                         fleet's tag has to be named by its id",
                        escaped(word),
                        self.name,
                        self.reach.provider.name().title()
                    ),
                });
            }
        }
        self.check(&meant)?;
        meant.into_iter().map(|server| self.take(server)).collect()
    }

    /// Makes sure that a server can be recorded by its name, and is nobody else's.
    fn check(&self, meant: &[Server]) -> Result<(), ProviderError> {
        let mut ids: BTreeMap<&str, String> = BTreeMap::new();
        for server in meant {
            let known = self.recorded(&server.name).map(|known| known.id);
            let known = known.map(|id| id.unwrap_or_else(|| "not known yet".to_owned()));
            let other = known.or_else(|| ids.get(server.name.as_str()).cloned());
            if let Some(other) = other {
                return Err(ProviderError::Input {
                    message: format!(
                        "two servers are called `{}`: ids `{}` and `{}`; rename or destroy one",
                        escaped(&server.name),
                        escaped(&other),
                        escaped(&server.id)
                    ),
                });
            }
            ids.insert(&server.name, server.id.clone());
            if let Some(fleet) = self.holder(&server.id) {
                return Err(ProviderError::Input {
                    message: format!("`{}` is of the fleet `{fleet}`", escaped(&server.id)),
                });
            }
        }
        Ok(())
    }

    fn take(&self, server: Server) -> Result<Server, ProviderError> {
        self.write(Entry::Adopted {
            at: now(),
            name: server.name.clone(),
            id: server.id.clone(),
            provider: self.reach.provider.name().to_string(),
            region: server.region.clone(),
            login_user: server.login_user.clone(),
        })?;
        let mut seen = self.seen();
        seen.unrecorded.retain(|other| other.id != server.id);
        drop(seen);
        let id = server.id.clone();
        self.tell(&server.name, &Step::Adopted { id });
        Ok(Server {
            fleet: Some(self.name.clone()),
            ..server
        })
    }
}

fn is_meant(server: &Server, which: &[String]) -> bool {
    let is_tagged = server.fleet.is_some();
    which.contains(&server.id) || (is_tagged && (which.is_empty() || which.contains(&server.name)))
}
