//! The key that opens servers, by the name that it has at EC2.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::api::{Api, Form};
use super::network::is_coded;
use super::settings::{fleet_tags, input};
use crate::host::escaped;
use crate::provider::{FleetName, ProviderError, PublicKey};

/// Whether EC2 takes keys of this sort.
/// <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/create-key-pairs.html>
///
/// # Errors
/// When it doesn't.
pub(super) fn check(key: &PublicKey) -> Result<(), ProviderError> {
    match key.algorithm() {
        "ssh-ed25519" | "ssh-rsa" => Ok(()),
        other => Err(input(format!(
            "AWS EC2 takes no keys of type {}; make one with `ssh-keygen -t ed25519`",
            escaped(other)
        ))),
    }
}

/// Returns the name by which EC2 knows the key, after giving it the key unless it has it.
///
/// # Errors
/// When another key has the name, or EC2 refuses.
pub(super) fn prepare(
    api: &Api,
    key: &PublicKey,
    fleet: &FleetName,
) -> Result<String, ProviderError> {
    let name = key.name();
    if is_there(api, key, &name)? {
        return Ok(name);
    }
    let form = Form::new("ImportKeyPair")
        .with("KeyName", &name)
        .with("PublicKeyMaterial", STANDARD.encode(key.line()))
        .with_tags(1, "key-pair", &fleet_tags(fleet));
    match api.ask(&form) {
        Ok(_) => api.has_made(),
        // Another hoist was faster, or the answer to an earlier try was lost.
        Err(error) if is_coded(&error, "InvalidKeyPair.Duplicate") => {
            if !is_there(api, key, &name)? {
                return Err(error);
            }
        }
        Err(error) => return Err(error),
    }
    Ok(name)
}

/// Whether EC2 has the key by this name. Its fingerprints differ from kind to kind: what counts is
/// the key itself.
fn is_there(api: &Api, key: &PublicKey, name: &str) -> Result<bool, ProviderError> {
    let form = Form::new("DescribeKeyPairs")
        .with_filter("key-name", &[name])
        .with("IncludePublicKey", "true");
    let keys = api.all(&form, "keySet")?;
    let Some(found) = keys.iter().find(|found| found.text("keyName") == name) else {
        return Ok(false);
    };
    if key.is_same(found.text("publicKey")) {
        return Ok(true);
    }
    Err(input(format!(
        "the key pair {name} in {} is another key than yours; delete or rename it",
        api.region()
    )))
}
