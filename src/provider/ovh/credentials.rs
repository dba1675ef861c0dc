//! Where the API is and what opens it: the environment first, then `~/.ovh.conf` and
//! `/etc/ovh.conf` (<https://github.com/ovh/python-ovh#configuration>).
//!
//! The first complete set counts: keys of two sources are never mixed.

use std::io::ErrorKind;
use std::path::PathBuf;

use super::super::{Access, ProviderError, ProviderName, error};
use crate::host::escaped;
use crate::secret::Secret;

/// Endpoints with a Public Cloud.
const ENDPOINTS: [(&str, &str); 3] = [
    ("ovh-eu", "https://eu.api.ovh.com/1.0"),
    ("ovh-ca", "https://ca.api.ovh.com/1.0"),
    ("ovh-us", "https://api.us.ovhcloud.com/1.0"),
];

/// Endpoints of the same API that sell dedicated servers only.
const WITHOUT_CLOUD: [&str; 4] = ["kimsufi-eu", "kimsufi-ca", "soyoustart-eu", "soyoustart-ca"];

/// Variables that hold the keys.
const VARIABLES: [&str; 3] = [
    "OVH_APPLICATION_KEY",
    "OVH_APPLICATION_SECRET",
    "OVH_CONSUMER_KEY",
];

/// Names of the keys in a section of a file.
const FIELDS: [&str; 3] = ["application_key", "application_secret", "consumer_key"];

/// What opens the account.
#[derive(Debug)]
pub(super) enum Credentials {
    /// Every request is signed.
    Keys(Keys),
    /// An access token of OAuth 2 goes along.
    Token(Secret),
}

/// What requests are signed with.
#[derive(Debug)]
pub(super) struct Keys {
    /// Names the application.
    pub(super) application: Secret,
    /// Belongs to the application, and is never sent.
    pub(super) secret: Secret,
    /// Names the account and what may be done with it.
    pub(super) consumer: Secret,
}

impl Keys {
    /// Returns the keys if all three are there.
    fn complete(keys: [Option<Secret>; 3]) -> Option<Self> {
        let [application, secret, consumer] = keys;
        Some(Self {
            application: application?,
            secret: secret?,
            consumer: consumer?,
        })
    }
}

/// Returns the address of the API and what opens it.
///
/// # Errors
/// When there is nothing, or the endpoint is not known.
pub(super) fn find(
    access: &Access,
    files: &[PathBuf],
) -> Result<(String, Credentials), ProviderError> {
    let mut problems = Vec::new();
    let files: Vec<Ini> = files
        .iter()
        .filter_map(|path| Ini::open(path, &mut problems))
        .collect();
    let endpoint = variable(access, "OVH_ENDPOINT").or_else(|| {
        let mut named = files.iter().map(|file| file.get("default", "endpoint"));
        named.find_map(|endpoint| endpoint)
    });
    let endpoint = endpoint.as_ref().map_or("ovh-eu", Secret::expose);
    let base = base(endpoint)?;
    let from_files = || {
        let keys = |file: &Ini| Keys::complete(FIELDS.map(|field| file.get(endpoint, field)));
        files.iter().find_map(keys).map(Credentials::Keys)
    };
    let own = VARIABLES.map(|name| variable(access, name));
    let missing: Vec<&str> = (VARIABLES.iter().zip(&own))
        .filter_map(|(name, value)| value.is_none().then_some(*name))
        .collect();
    let token = |token: Secret| Credentials::Token(trimmed(token.expose()));
    let found = (access.token.clone().map(token))
        .or_else(|| Keys::complete(own).map(Credentials::Keys))
        .or_else(|| variable(access, "OVH_ACCESS_TOKEN").map(Credentials::Token))
        .or_else(from_files);
    match found {
        Some(credentials) => Ok((base, credentials)),
        None => Err(ProviderError::NoCredentials {
            provider: ProviderName::Ovh,
            hint: advice(&missing, &problems, endpoint, &base),
        }),
    }
}

/// Returns the address that an endpoint's name stands for; a URL stands for itself.
fn base(endpoint: &str) -> Result<String, ProviderError> {
    if endpoint.contains("://") {
        return Ok(endpoint.trim_end_matches('/').to_owned());
    }
    if WITHOUT_CLOUD.contains(&endpoint) {
        return Err(ProviderError::Input {
            message: format!(
                "there is no Public Cloud at the endpoint `{endpoint}`; set OVH_ENDPOINT to \
                 ovh-eu, ovh-ca or ovh-us"
            ),
        });
    }
    let known = ENDPOINTS.iter().find(|(name, _)| *name == endpoint);
    let names = ENDPOINTS.iter().map(|(name, _)| *name);
    known
        .map(|(_, base)| (*base).to_owned())
        .ok_or_else(|| error::unknown("endpoint", endpoint, names))
}

/// Says what is missing and where to get it.
fn advice(missing: &[&str], problems: &[String], endpoint: &str, base: &str) -> String {
    let too = if missing.len() == VARIABLES.len() {
        ""
    } else {
        " too"
    };
    let mut advice = format!(
        "set {}{too}, or write the keys to [{}] of ~/.ovh.conf; {} makes them",
        missing.join(", "),
        escaped(endpoint),
        token_page(base)
    );
    for problem in problems {
        advice.push_str("; ");
        advice.push_str(problem);
    }
    advice
}

/// Returns the page that makes keys with the rights that hoist needs.
pub(super) fn token_page(base: &str) -> String {
    let mut versions = ["/1.0", "/v1"].into_iter();
    let site = versions.find_map(|version| base.strip_suffix(version));
    format!(
        "{}/createToken/?GET=/cloud/*&POST=/cloud/*&DELETE=/cloud/*",
        escaped(site.unwrap_or(base))
    )
}

/// Returns a variable that is set to something.
fn variable(access: &Access, name: &str) -> Option<Secret> {
    let value = trimmed(access.variables.get(name)?);
    (!value.expose().is_empty()).then_some(value)
}

fn trimmed(text: &str) -> Secret {
    Secret::new(text.trim().to_owned())
}

/// A file of sections with `key=value` lines.
#[derive(Debug)]
struct Ini {
    text: Secret,
}

impl Ini {
    /// Reads a file. One that is not there is none; why another can't be read is added to
    /// `problems`.
    fn open(path: &PathBuf, problems: &mut Vec<String>) -> Option<Self> {
        match std::fs::read_to_string(path) {
            Ok(text) => Some(Self {
                text: Secret::new(text),
            }),
            Err(error) if error.kind() == ErrorKind::NotFound => None,
            Err(error) => {
                let path = path.to_string_lossy();
                problems.push(format!("cannot read {}: {error}", escaped(&path)));
                None
            }
        }
    }

    /// Returns what a section says last of a key, unless that is nothing.
    fn get(&self, section: &str, key: &str) -> Option<Secret> {
        let mut is_inside = false;
        let mut found = None;
        for line in self.text.expose().lines().map(str::trim) {
            if line.starts_with(['#', ';']) {
                continue;
            }
            let header = line.strip_prefix('[');
            if let Some(name) = header.and_then(|rest| rest.strip_suffix(']')) {
                is_inside = name.trim() == section;
            } else if let Some((name, value)) = line.split_once(['=', ':']) {
                let is_key = name.trim().eq_ignore_ascii_case(key);
                if is_inside && is_key {
                    found = Some(trimmed(value));
                }
            }
        }
        found.filter(|value| !value.expose().is_empty())
    }
}
