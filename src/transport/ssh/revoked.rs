//! Keys that no host may show any more (`RevokedHostKeys` in `ssh_config(5)`).
//!
//! A file with a public key on each line comes in; whether a key, the key within a certificate, or
//! the authority behind that is among them goes out. As with `ssh`, a file that can't be read to
//! its end refuses every host: nobody could say what it would have said. The binary lists of
//! `ssh-keygen -k` (PROTOCOL.krl) are not read.

use std::collections::HashMap;
use std::path::Path;

use super::dial::plain;
use super::known_hosts;
use crate::host::escaped;

/// How a binary list begins.
const KRL_MAGIC: &[u8] = b"SSHKRL\n\0";

/// A file of revoked keys, read.
#[derive(Debug)]
pub(super) struct Revoked {
    file: String,
    /// The line of each key.
    lines: HashMap<Box<[u8]>, usize>,
}

impl Revoked {
    /// Reads a file.
    ///
    /// # Errors
    /// When it can't be used, in words.
    pub(super) fn load(path: &Path) -> Result<Self, String> {
        let file = escaped(&path.to_string_lossy());
        let bytes = std::fs::read(path).map_err(|error| format!("{file}: {}", plain(&error)))?;
        if bytes.starts_with(KRL_MAGIC) {
            return Err(format!(
                "{file} is a binary list, which is not read here: list the public keys, one a line, \
                 or use --transport openssh"
            ));
        }
        let mut lines = HashMap::new();
        for (number, line) in (1..).zip(bytes.split(|byte| *byte == b'\n')) {
            let line = line.trim_ascii();
            if line.is_empty() || line.starts_with(b"#") {
                continue;
            }
            let key = known_hosts::public_key(line);
            let key = key.ok_or_else(|| format!("{file}:{number} is no public key"))?;
            lines.entry(key.into()).or_insert(number);
        }
        Ok(Self { file, lines })
    }

    /// Returns where one of these keys is revoked.
    pub(super) fn place_of(&self, keys: &[&[u8]]) -> Option<String> {
        let line = keys.iter().find_map(|key| self.lines.get(*key))?;
        Some(format!("{}:{line}", self.file))
    }
}
