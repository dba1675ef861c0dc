//! What an account is opened with, and what is found in it.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use super::{Clock, Pace, ProviderError, ProviderName, Stop};
use crate::secret::Secret;

/// What an account is opened with.
#[derive(Clone, Default)]
pub struct Access {
    /// Variables of the environment that hoist was started in.
    pub variables: BTreeMap<String, String>,
    /// The account's home folder.
    pub home: Option<PathBuf>,
    /// Where hoist keeps what it has to remember: `$XDG_STATE_HOME/hoist`.
    pub state: PathBuf,
    /// A token from a file or a command of the settings; goes before the environment's.
    pub token: Option<Secret>,
    /// Credentials profile, where a provider has such.
    pub profile: Option<String>,
    /// Region, where the API's address depends on it.
    pub region: Option<String>,
    /// How long to wait for what.
    pub pace: Pace,
    /// Ends waiting.
    pub stop: Stop,
    /// Learns from the provider's answers.
    pub clock: Clock,
}

impl fmt::Debug for Access {
    /// Leaves out the variables, which hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Access")
            .field("state", &self.state)
            .field("profile", &self.profile)
            .field("region", &self.region)
            .finish_non_exhaustive()
    }
}

impl Access {
    /// Returns the first of these variables that is set to something, without blanks around it.
    pub(super) fn variable(&self, names: &[&str]) -> Option<&str> {
        let set = names.iter().filter_map(|name| self.variables.get(*name));
        let mut set = set.map(|value| value.trim());
        set.find(|value| !value.is_empty())
    }

    /// Returns the token that was given, else what the first of these variables holds.
    ///
    /// # Errors
    /// When there is none, with `hint`.
    pub(super) fn token(
        &self,
        provider: ProviderName,
        names: &[&str],
        hint: impl FnOnce() -> String,
    ) -> Result<Secret, ProviderError> {
        let given = self.token.as_ref().map(|token| token.expose().trim());
        let given = given.filter(|token| !token.is_empty());
        let token = given.or_else(|| self.variable(names));
        let token = token.ok_or_else(|| ProviderError::NoCredentials {
            provider,
            hint: hint(),
        })?;
        Ok(Secret::new(token.to_owned()))
    }

    /// Returns the address of the API: what a variable says, else `base`.
    pub(super) fn base<'a>(&'a self, provider: ProviderName, base: &'a str) -> &'a str {
        self.variable(provider.url_variables()).unwrap_or(base)
    }
}
