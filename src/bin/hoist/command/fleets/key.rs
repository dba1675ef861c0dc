//! Which key logs in to new servers.

use std::fs;
use std::path::{Path, PathBuf};

use hoist::host::escaped;
use hoist::provider::{PublicKey, key};

use super::account;
use crate::report::{Failure, note};
use crate::settings::Environment;

/// Names of keys that `ssh` tries by itself (`ssh_config(5)`, `IdentityFile`).
const USUAL: [&str; 3] = ["id_ed25519", "id_ecdsa", "id_rsa"];

/// The key that hoist makes where there is none.
const OWN: &str = "id_ed25519";

/// A key for new servers.
#[derive(Debug)]
pub(super) struct LoginKey {
    pub public: PublicKey,
    /// The private half, where `ssh` would not find it by itself.
    pub identity: Option<PathBuf>,
}

/// Returns the key that was named, else the usual one, else one that hoist makes and keeps.
///
/// # Errors
/// When the one that was named can't be read, or none can be made.
pub(super) fn choose(
    named: Option<&Path>,
    identities: &[PathBuf],
    environment: &Environment,
    is_quiet: bool,
) -> Result<LoginKey, Failure> {
    if let Some(file) = named {
        let private = file.with_extension("");
        let has_private = file.extension().is_some_and(|end| end == "pub") && private.is_file();
        let identity = has_private.then(|| absolute(&private));
        return read(file, identity);
    }
    if let Some(private) = identities.first() {
        return read(&public_half(private), Some(absolute(private)));
    }
    if let Some(private) = of_ssh(environment) {
        return read(&public_half(&private), None);
    }
    let private = account::state(environment)?.join(OWN);
    if !private.is_file() {
        key::make(&private).map_err(|error| account::failure(&error))?;
        if !is_quiet {
            note(&format!(
                "hoist: you have no SSH key; new servers let in {}, which hoist made",
                escaped(&private.display().to_string())
            ));
        }
    }
    read(&public_half(&private), Some(private))
}

fn read(file: &Path, identity: Option<PathBuf>) -> Result<LoginKey, Failure> {
    let name = escaped(&file.display().to_string());
    let text = fs::read_to_string(file)
        .map_err(|error| Failure::usage(format!("cannot read the SSH key {name}: {error}")))?;
    let public = PublicKey::parse(&text)
        .map_err(|error| Failure::usage(format!("cannot use the SSH key {name}: {error}")))?;
    Ok(LoginKey { public, identity })
}

fn public_half(private: &Path) -> PathBuf {
    let mut name = private.as_os_str().to_owned();
    name.push(".pub");
    name.into()
}

/// Returns a path that means the same in any folder, as inventories are read from anywhere.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// Returns the private key that new servers let in where none is named, if there is one.
pub(super) fn usual(environment: &Environment) -> Option<PathBuf> {
    of_ssh(environment).or_else(|| own(environment).map(PathBuf::from))
}

/// Returns the first key that `ssh` finds by itself.
fn of_ssh(environment: &Environment) -> Option<PathBuf> {
    let folder = environment.home.as_deref()?.join(".ssh");
    let mut usual = USUAL.into_iter().map(|name| folder.join(name));
    usual.find(|private| private.is_file() && public_half(private).is_file())
}

/// Returns the key that hoist made, where servers let it in by default.
pub(super) fn own_if_needed(environment: &Environment) -> Option<String> {
    match of_ssh(environment) {
        Some(_) => None,
        None => own(environment),
    }
}

/// Returns the key that hoist made, where it did.
fn own(environment: &Environment) -> Option<String> {
    let private = account::state(environment).ok()?.join(OWN);
    private.is_file().then(|| private.display().to_string())
}
