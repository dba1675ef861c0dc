//! A public key that opens servers, and the names that vendors find it by.

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

use super::ProviderError;
use super::user_data::HostKey;
use crate::host::escaped;

/// Types of keys that OpenSSH takes today, and their certificates not.
const ALGORITHMS: [&str; 7] = [
    "ssh-ed25519",
    "ssh-rsa",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "sk-ssh-ed25519@openssh.com",
    "sk-ecdsa-sha2-nistp256@openssh.com",
];

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
        let mut words = line.split_ascii_whitespace();
        let algorithm = words.next().unwrap_or_default();
        let blob = words.next().and_then(|blob| STANDARD.decode(blob).ok());
        // The blob begins with the same name (RFC 4253 §6.6), its length before it.
        let is_told = |blob: &Vec<u8>| {
            let name = blob.get(4..4 + algorithm.len());
            let length = u32::try_from(algorithm.len()).unwrap_or_default();
            blob.starts_with(&length.to_be_bytes()) && name == Some(algorithm.as_bytes())
        };
        let is_known = ALGORITHMS.contains(&algorithm);
        match blob.filter(is_told) {
            Some(blob) if is_known && blob.len() > algorithm.len() + 4 => Ok(Self {
                algorithm: algorithm.to_owned(),
                blob,
            }),
            _ if !algorithm.is_empty() && !is_known => Err(input(format!(
                "this is no public key that servers take: its type is `{}`",
                escaped(algorithm)
            ))),
            _ => Err(input("this is no public key of OpenSSH".to_owned())),
        }
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

/// Makes a key that logs in, at `path`, which must not be there, and its public half beside it
/// (`.pub`). The folder is made if it is missing.
///
/// # Errors
/// When it can't be made or written.
pub fn make(path: &Path) -> Result<(), ProviderError> {
    let failed = |error: &dyn std::fmt::Display| ProviderError::Local {
        message: format!(
            "cannot make the key {}: {error}",
            escaped(&path.display().to_string())
        ),
    };
    let key = HostKey::generate()?;
    let mut public_path = path.as_os_str().to_owned();
    public_path.push(".pub");
    if let Some(folder) = path.parent() {
        let mut builder = fs::DirBuilder::new();
        let made = builder.recursive(true).mode(0o700).create(folder);
        made.map_err(|error| failed(&error))?;
    }
    let write = |path: &Path, mode: u32, text: &str| {
        let mut options = OpenOptions::new();
        let file = options.write(true).create_new(true).mode(mode).open(path);
        file.and_then(|mut file| {
            file.write_all(text.as_bytes())
                .and_then(|()| file.sync_all())
        })
    };
    // The private half last: with it the key counts as made.
    let _ = fs::remove_file(&public_path);
    write(
        Path::new(&public_path),
        0o644,
        &format!("{} hoist\n", key.public()),
    )
    .and_then(|()| write(path, 0o600, key.private().expose()))
    .map_err(|error| failed(&error))
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
        insta::assert_snapshot!(key.name(), @"hoist-5025222ebecf8ecf");
        insta::assert_snapshot!(key.md5(), @"ae:6f:ba:1b:70:2c:ae:c7:5c:ab:6e:4d:5e:d4:c7:23");
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
