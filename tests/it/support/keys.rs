//! SSH keys made for one test.

use std::fs;
use std::path::{Path, PathBuf};

use super::process::must;

/// A key pair in files, made by `ssh-keygen`.
#[derive(Debug, Clone)]
pub(crate) struct KeyPair {
    /// The private half; the public one is beside it with `.pub`.
    pub path: PathBuf,
}

impl KeyPair {
    /// Makes one of type `ed25519`, `ecdsa` or `rsa` without a passphrase.
    pub(crate) fn generate(path: &Path, algorithm: &str) -> Self {
        Self::with_passphrase(path, algorithm, "")
    }

    /// Makes one with a passphrase, decrypted in a moment.
    pub(crate) fn with_passphrase(path: &Path, algorithm: &str, passphrase: &str) -> Self {
        super::installed("ssh-keygen", "openssh-client");
        let bits = if algorithm == "rsa" { "2048" } else { "256" };
        let args: [&dyn AsRef<std::ffi::OsStr>; 13] = [
            &"-q",
            &"-t",
            &algorithm,
            &"-b",
            &bits,
            &"-a",
            &"2",
            &"-N",
            &passphrase,
            &"-C",
            &"hoist-test",
            &"-f",
            &path,
        ];
        must("ssh-keygen", &args);
        Self {
            path: path.to_owned(),
        }
    }

    /// Returns the public half as `type base64`.
    pub(crate) fn public(&self) -> String {
        let line = fs::read_to_string(self.path.with_extension("pub")).unwrap();
        line.split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    /// Returns `SHA256:…`, as `ssh-keygen -l` prints it.
    pub(crate) fn fingerprint(&self) -> String {
        let line = must("ssh-keygen", &[&"-l", &"-E", &"sha256", &"-f", &self.path]);
        line.split(' ')
            .nth(1)
            .expect("size, fingerprint, comment")
            .to_owned()
    }
}
