//! A public key that opens servers, and the names that vendors find it by.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::ProviderError;
use crate::host::escaped;

/// Hex digits of the hash in a key's name.
const NAME_DIGITS: usize = 16;

/// A public key: its type and its blob. The comment is dropped, which may name a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    algorithm: String,
    blob: Vec<u8>,
}

impl PublicKey {
    /// Reads the line of an `id_….pub` file.
    ///
    /// # Errors
    /// When it is none; a private key is named as such.
    pub fn parse(line: &str) -> Result<Self, ProviderError> {
        let input = |message: String| ProviderError::Input { message };
        if line.contains("PRIVATE KEY") {
            return Err(input(
                "this is a private key; name the public one, which ends in .pub".to_owned(),
            ));
        }
        let key = ssh_key::PublicKey::from_openssh(line.trim())
            .map_err(|error| input(format!("this is no public key of OpenSSH: {error}")))?;
        let bytes = key
            .to_bytes()
            .map_err(|error| input(format!("this public key can't be used: {error}")))?;
        Ok(Self {
            algorithm: key.algorithm().to_string(),
            blob: bytes,
        })
    }

    /// Whether `line`, as a vendor tells it, is the same key: type and blob, whatever the comment.
    pub fn is_same(&self, line: &str) -> bool {
        let mut words = line.split_ascii_whitespace();
        let is_type = words.next() == Some(&self.algorithm);
        let blob = words.next().and_then(|blob| STANDARD.decode(blob).ok());
        is_type && blob.as_deref() == Some(&self.blob)
    }

    /// Returns `ssh-ed25519 AAAA…`, without a comment or a line end.
    pub fn line(&self) -> String {
        format!("{} {}", self.algorithm, STANDARD.encode(&self.blob))
    }

    /// Returns `ssh-ed25519`.
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// Returns what the key is called when it is uploaded: `hoist-` and 16 hex digits of the
    /// SHA-256 of its blob.
    pub fn name(&self) -> String {
        let digest = Sha256::digest(&self.blob);
        let mut name = String::from("hoist-");
        for byte in digest.iter().take(NAME_DIGITS / 2) {
            let _ = write!(name, "{byte:02x}");
        }
        name
    }

    /// Returns the MD5 of the blob as hex pairs with colons, by which `DigitalOcean` and Hetzner
    /// find keys. It identifies, it protects nothing.
    pub fn md5(&self) -> String {
        let digest = openssl::hash::hash(openssl::hash::MessageDigest::md5(), &self.blob);
        let digest = digest.map(|bytes| bytes.to_vec()).unwrap_or_default();
        let pairs: Vec<String> = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        pairs.join(":")
    }
}

impl std::fmt::Display for PublicKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&escaped(&self.line()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    #[test]
    fn a_key_is_its_type_and_blob_whatever_the_comment() {
        let key = PublicKey::parse(&format!("{LINE} jane@laptop\n")).unwrap();
        assert_eq!(key.line(), LINE);
        assert!(key.is_same(&format!("{LINE} other")));
        assert!(!key.is_same(&LINE.replace("QfZf", "QfZg")));
        assert!(!key.is_same("ssh-rsa AAAA"));
        assert!(!key.is_same(""));
    }

    #[test]
    fn names_follow_the_blob() {
        // echo LINE | cut -d' ' -f2 | base64 -d | sha256sum, md5sum
        let key = PublicKey::parse(LINE).unwrap();
        insta::assert_snapshot!(key.name(), @"");
        insta::assert_snapshot!(key.md5(), @"");
    }

    #[test]
    fn what_is_no_public_key_is_refused() {
        for text in [
            "",
            "ssh-ed25519",
            "ssh-ed25519 AAAA",
            "hello world",
            "-----BEGIN OPENSSH PRIVATE KEY-----",
        ] {
            assert!(PublicKey::parse(text).is_err(), "{text}");
        }
    }
}
