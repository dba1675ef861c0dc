//! What a server reads when it first boots: its host key, and what the user has for it.
//!
//! cloud-init reads it. Where the user has nothing for the server it is hoist's own `#cloud-config`;
//! otherwise both are parts of a MIME message (RFC 2046 §5.1), hoist's last: a later part replaces
//! the keys it has in common with an earlier one and leaves the rest alone, so hoist's host key holds
//! and everything else is the user's.
//! See <https://cloudinit.readthedocs.io/en/latest/explanation/format.html> and
//! <https://cloudinit.readthedocs.io/en/latest/reference/merging.html>.

mod part;
#[cfg(test)]
mod tests;

use openssl::pkey::{Id, PKey, Private};
use ssh_key::LineEnding;
use ssh_key::private::{Ed25519Keypair, Ed25519PrivateKey, KeypairData, PrivateKey};
use ssh_key::public::Ed25519PublicKey;

use self::part::Part;
use super::ProviderError;
use crate::secret::Secret;

/// Where hoist's part says what the host key is; read back by [`host_key_of`].
const PRIVATE: &str = "\nssh_keys:\n  ed25519_private: |\n";

/// Before each line of the private half.
const INDENT: &str = "    ";

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
        let failed = |reason: String| ProviderError::Local {
            message: format!("cannot make a host key: {reason}"),
        };
        let pair = PKey::generate_ed25519().map_err(|error| failed(error.to_string()))?;
        let key = openssh(&pair).map_err(failed)?;
        Self::of(&key).map_err(|error| failed(error.to_string()))
    }

    fn of(key: &PrivateKey) -> Result<Self, ssh_key::Error> {
        let mut text = key.to_openssh(LineEnding::LF)?;
        Ok(Self {
            private: Secret::new(std::mem::take(&mut text)),
            public: key.public_key().to_openssh()?.trim_end().to_owned(),
        })
    }

    /// Returns the public half: `ssh-ed25519 AAAA…`.
    pub fn public(&self) -> &str {
        &self.public
    }

    /// Returns the private half as the text of OpenSSH's `ssh_host_ed25519_key`.
    pub(super) fn private(&self) -> &Secret {
        &self.private
    }

    /// Returns the `#cloud-config` that has a server use this key and no other.
    fn cloud_config(&self) -> Secret {
        let private = self.private.expose().lines();
        let mut text = format!("#cloud-config\nssh_deletekeys: true{PRIVATE}");
        // Wide enough that the text never moves in memory, where a copy would be left behind.
        text.reserve(self.private.expose().len() * 2 + self.public.len() + 64);
        for line in private {
            text.push_str(INDENT);
            text.push_str(line);
            text.push('\n');
        }
        text.push_str("  ed25519_public: ");
        text.push_str(&self.public);
        text.push('\n');
        Secret::new(text)
    }
}

fn openssh(pair: &PKey<Private>) -> Result<PrivateKey, String> {
    debug_assert_eq!(pair.id(), Id::ED25519);
    let bytes = |bytes: Result<Vec<u8>, openssl::error::ErrorStack>| {
        let bytes = bytes.map_err(|error| error.to_string())?;
        let bytes = zeroize::Zeroizing::new(bytes);
        <[u8; 32]>::try_from(bytes.as_slice()).map_err(|error| error.to_string())
    };
    let seed = zeroize::Zeroizing::new(bytes(pair.raw_private_key())?);
    let pair = Ed25519Keypair {
        public: Ed25519PublicKey(bytes(pair.raw_public_key())?),
        private: Ed25519PrivateKey::from_bytes(&seed),
    };
    PrivateKey::new(KeypairData::Ed25519(pair), "").map_err(|error| error.to_string())
}

/// Returns what the server reads when it first boots, as UTF-8.
///
/// `own` is whatever cloud-init takes, told by its first line: a script, a `#cloud-config`, an
/// `#include`, a MIME message. What it says of `ssh_keys` does not hold.
///
/// # Errors
/// When it is longer than `limit`, or `own` is nothing that cloud-init knows, is compressed, or sets
/// `ssh_keys` for all to see.
pub fn combine(key: &HostKey, own: Option<&[u8]>, limit: usize) -> Result<Vec<u8>, ProviderError> {
    let config = key.cloud_config();
    let own = own.filter(|own| !own.trim_ascii().is_empty());
    let combined = match own {
        None => config.expose().as_bytes().to_vec(),
        Some(own) => message(&Part::of(own)?, config.expose()),
    };
    let excess = combined.len().saturating_sub(limit);
    if excess == 0 {
        return Ok(combined);
    }
    Err(ProviderError::Input {
        message: format!(
            "the user-data has {} bytes with hoist's own part, {excess} more than the {limit} that \
             the provider takes; have it fetch the rest, with `#include` and an address",
            combined.len()
        ),
    })
}

/// Returns the message of which `own` is the first part and `config` the second.
fn message(own: &Part<'_>, config: &str) -> Vec<u8> {
    let own = own.text();
    let boundary = boundary(&own);
    let text = format!(
        "Content-Type: multipart/mixed; boundary=\"{boundary}\"\nMIME-Version: 1.0\n\n\
         --{boundary}\n{own}\n\
         --{boundary}\nContent-Type: text/cloud-config; charset=\"us-ascii\"\n\
         MIME-Version: 1.0\nX-Merge-Type: dict(replace)+list()+str()\n\n{config}\n\
         --{boundary}--\n"
    );
    text.into_bytes()
}

/// Returns a boundary that is not in `text`. It has a `=`, which base64 has at its end alone.
fn boundary(text: &str) -> String {
    let mut candidates = std::iter::repeat_with(|| format!("==hoist-{:016x}==", fastrand::u64(..)));
    let free = candidates.find(|candidate| !text.contains(candidate.as_str()));
    free.expect("a text doesn't hold all of them")
}

/// Returns the host key that hoist's part of `user_data` hands over, where there is one.
pub(super) fn host_key_of(user_data: &[u8]) -> Option<HostKey> {
    let text = std::str::from_utf8(user_data).ok()?;
    // Hoist's part is the last, so nothing of the user's comes after.
    let (_, after) = text.rsplit_once(PRIVATE)?;
    let lines = after.lines().map_while(|line| line.strip_prefix(INDENT));
    let mut pem = zeroize::Zeroizing::new(String::with_capacity(after.len()));
    for line in lines {
        pem.push_str(line);
        pem.push('\n');
    }
    HostKey::of(&PrivateKey::from_openssh(pem.as_bytes()).ok()?).ok()
}
