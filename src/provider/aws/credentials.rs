//! Who asks: access keys, from wherever AWS's own tools look for them, as far as no other service
//! has to be asked.
//!
//! The first that is there counts: a profile that was named; `AWS_ACCESS_KEY_ID` and
//! `AWS_SECRET_ACCESS_KEY` (and `AWS_SESSION_TOKEN`); the profile `AWS_PROFILE` or `default` of the
//! shared files, with its `credential_process`; a container's credentials; the instance's own.
//! Profiles that log in elsewhere first (roles, SSO) are refused with the way around.
//!
//! <https://docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html>

mod endpoint;
mod process;
mod profile;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde::Deserialize;

use self::endpoint::Endpoint;
use self::profile::Profile;
use crate::provider::{Access, ProviderError, ProviderName};
use crate::secret::Secret;

/// Keys are fetched anew so long before they expire.
const EARLY: Duration = Duration::from_mins(5);

/// How roles and SSO are used all the same.
const BRIDGE: &str = "let `aws configure export-credentials --format process` get the keys: name \
                      it as `credential_process` of another profile, or use its `--format env`";

/// An access key.
#[derive(Clone)]
pub(super) struct Keys {
    /// Which one.
    pub(super) id: String,
    /// What proves it.
    pub(super) secret: Secret,
    /// What goes along with temporary ones.
    pub(super) session: Option<Secret>,
    /// When it is of no use any more.
    pub(super) expires_at: Option<SystemTime>,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}

/// Where keys come from.
enum Source {
    /// They are known; with where from.
    Known(Keys, String),
    /// A program prints them.
    Process { command: String, profile: String },
    /// A container's or an instance's own.
    Endpoint(Endpoint),
}

/// Keys that are fetched when they are needed, and again before they expire.
pub(super) struct Credentials {
    source: Source,
    fetched: Mutex<Option<Arc<Keys>>>,
    access: Access,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("Credentials");
        debug
            .field("origin", &self.origin())
            .finish_non_exhaustive()
    }
}

impl Credentials {
    /// Finds out where the keys come from. Reads files; contacts nobody and runs nothing.
    ///
    /// # Errors
    /// When there are none, or those that are there can't be used.
    pub(super) fn find(access: &Access) -> Result<Self, ProviderError> {
        let credentials = |source| Self {
            source,
            fetched: Mutex::default(),
            access: access.clone(),
        };
        if let Some(token) = &access.token {
            let keys = printed(token.expose().as_bytes()).map_err(bad)?;
            return Ok(credentials(Source::Known(keys, "the settings".to_owned())));
        }
        if let Some(name) = &access.profile {
            return named(access, name).map(credentials);
        }
        if let Some(keys) = of_variables(access)? {
            return Ok(credentials(Source::Known(
                keys,
                "the environment".to_owned(),
            )));
        }
        if let Some(name) = access.variable(&["AWS_PROFILE"]) {
            return named(access, name).map(credentials);
        }
        if let Some(source) = of_profile(&Profile::read(access, "default")?)? {
            return Ok(credentials(source));
        }
        if access.variable(&["AWS_WEB_IDENTITY_TOKEN_FILE"]).is_some() {
            return Err(bad(format!(
                "AWS_WEB_IDENTITY_TOKEN_FILE names a role, and hoist takes no roles; {BRIDGE}"
            )));
        }
        let endpoint = Endpoint::of_container(access)?.or_else(|| Endpoint::of_instance(access));
        let source = endpoint.map(Source::Endpoint);
        source.map(credentials).ok_or_else(|| missing(None))
    }

    /// Returns keys that are good now.
    ///
    /// # Errors
    /// When they can't be had.
    pub(super) fn keys(&self) -> Result<Arc<Keys>, ProviderError> {
        // Held while they are fetched, so that they are fetched once.
        let mut fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keys) = fetched.as_ref().filter(|keys| keys.are_good()) {
            return Ok(Arc::clone(keys));
        }
        let keys = match &self.source {
            Source::Known(keys, _) => keys.clone(),
            Source::Process { command, profile } => {
                process::keys(command, profile, self.access.pace.request_timeout)?
            }
            Source::Endpoint(endpoint) => endpoint.keys()?,
        };
        let keys = Arc::new(keys);
        *fetched = Some(Arc::clone(&keys));
        Ok(keys)
    }

    /// Forgets keys that are not accepted any more. Whether others may be had.
    pub(super) fn forget(&self) -> bool {
        let mut fetched = self.fetched.lock().unwrap_or_else(PoisonError::into_inner);
        fetched.take();
        !matches!(self.source, Source::Known(..))
    }

    /// Returns where the keys come from, for people.
    pub(super) fn origin(&self) -> String {
        match &self.source {
            Source::Known(_, from) => from.clone(),
            Source::Process { profile, .. } => {
                format!("credential_process of profile {profile}")
            }
            Source::Endpoint(endpoint) => endpoint.title().to_owned(),
        }
    }

    /// Returns the region that requests go to. An instance without a named one is asked where it is;
    /// whether this machine is one is not tried out.
    ///
    /// # Errors
    /// When none is named anywhere: there is no default.
    pub(super) fn region(&self) -> Result<String, ProviderError> {
        if let Some(region) = self.named_region()? {
            return Ok(region);
        }
        let region = match &self.source {
            Source::Endpoint(endpoint) => endpoint.region()?,
            _ => None,
        };
        region.ok_or_else(|| ProviderError::Input {
            message: "no region is named for AWS EC2, which has no default: set AWS_REGION, \
                      `region` in the profile, or name one as the region of the fleet"
                .to_owned(),
        })
    }

    /// Whether somebody would have to be asked for the region.
    ///
    /// # Errors
    /// When a file can't be read.
    pub(super) fn asks_for_region(&self) -> Result<bool, ProviderError> {
        let may_ask = matches!(self.source, Source::Endpoint(Endpoint::Instance { .. }));
        Ok(may_ask && self.named_region()?.is_none())
    }

    fn named_region(&self) -> Result<Option<String>, ProviderError> {
        let access = &self.access;
        let named = access.region.as_deref();
        let named = named.or_else(|| access.variable(&["AWS_REGION"]));
        let named = named.or_else(|| access.variable(&["AWS_DEFAULT_REGION"]));
        if let Some(region) = named {
            return Ok(Some(region.to_owned()));
        }
        let profile = access.profile.as_deref();
        let profile = profile.or_else(|| access.variable(&["AWS_PROFILE"]));
        let profile = Profile::read(access, profile.unwrap_or("default"))?;
        Ok(profile.get("region").map(str::to_owned))
    }
}

impl Keys {
    fn are_good(&self) -> bool {
        let soon = SystemTime::now() + EARLY;
        self.expires_at.is_none_or(|expires_at| expires_at > soon)
    }
}

fn of_variables(access: &Access) -> Result<Option<Keys>, ProviderError> {
    let id = access.variable(&["AWS_ACCESS_KEY_ID"]);
    let secret = access.variable(&["AWS_SECRET_ACCESS_KEY"]);
    match (id, secret) {
        (Some(id), Some(secret)) => {
            let session = access.variable(&["AWS_SESSION_TOKEN"]);
            let keys = keys(id, secret, session).map_err(bad)?;
            Ok(Some(keys))
        }
        (None, None) => Ok(None),
        (Some(_), None) => Err(bad(
            "AWS_ACCESS_KEY_ID is set and AWS_SECRET_ACCESS_KEY is not",
        )),
        (None, Some(_)) => Err(bad(
            "AWS_SECRET_ACCESS_KEY is set and AWS_ACCESS_KEY_ID is not",
        )),
    }
}

/// Returns where a profile that was named has its keys.
fn named(access: &Access, name: &str) -> Result<Source, ProviderError> {
    let profile = Profile::read(access, name)?;
    let shown = crate::host::escaped(name);
    if !profile.is_there() {
        return Err(bad(format!(
            "there is no profile `{shown}` in {}",
            profile.files()
        )));
    }
    of_profile(&profile)?.ok_or_else(|| bad(format!("the profile `{shown}` holds no keys")))
}

/// Returns where a profile has its keys, if it has any.
fn of_profile(profile: &Profile) -> Result<Option<Source>, ProviderError> {
    let name = crate::host::escaped(profile.name());
    let elsewhere = |setting: &str| {
        bad(format!(
            "the profile `{name}` has `{setting}`, and hoist logs in nowhere else; {BRIDGE}"
        ))
    };
    if profile.get("role_arn").is_some() {
        return Err(elsewhere("role_arn"));
    }
    let id = profile.get("aws_access_key_id");
    let secret = profile.get("aws_secret_access_key");
    if let (Some(id), Some(secret)) = (id, secret) {
        let keys = keys(id, secret, profile.get("aws_session_token")).map_err(bad)?;
        return Ok(Some(Source::Known(keys, format!("profile {name}"))));
    }
    if id.is_some() || secret.is_some() {
        return Err(bad(format!(
            "the profile `{name}` needs both aws_access_key_id and aws_secret_access_key"
        )));
    }
    if let Some(command) = profile.get("credential_process") {
        return Ok(Some(Source::Process {
            command: command.to_owned(),
            profile: name,
        }));
    }
    let settings = ["sso_session", "sso_start_url", "web_identity_token_file"];
    match settings.iter().find(|name| profile.get(name).is_some()) {
        Some(setting) => Err(elsewhere(setting)),
        None => Ok(None),
    }
}

/// What a `credential_process` prints and what metadata tell.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Printed {
    version: Option<u64>,
    code: Option<String>,
    access_key_id: Option<String>,
    secret_access_key: Option<String>,
    session_token: Option<String>,
    token: Option<String>,
    expiration: Option<String>,
}

/// Reads keys out of JSON. What is wrong is told without the text itself.
fn printed(json: &[u8]) -> Result<Keys, String> {
    // An error of serde would tell what it found instead.
    let printed: Printed = serde_json::from_slice(json)
        .map_err(|_| "they are not the JSON that `credential_process` is to print".to_owned())?;
    if printed.version.is_some_and(|version| version != 1) {
        return Err("they are JSON of another version than 1".to_owned());
    }
    if let Some(code) = printed.code.filter(|code| code != "Success") {
        return Err(format!("their state is `{}`", crate::host::escaped(&code)));
    }
    let secret = printed.secret_access_key.map(Secret::new);
    let session = printed.session_token.or(printed.token).map(Secret::new);
    let (Some(id), Some(secret)) = (printed.access_key_id, secret) else {
        return Err("their JSON has no AccessKeyId or no SecretAccessKey".to_owned());
    };
    let expires_at = printed.expiration.as_deref();
    let keys = keys(&id, secret.expose(), session.as_ref().map(Secret::expose))?;
    Ok(Keys {
        expires_at: expires_at.and_then(crate::provider::json::time_of),
        ..keys
    })
}

/// Checks that keys can be sent at all: the id and the token are headers.
fn keys(id: &str, secret: &str, session: Option<&str>) -> Result<Keys, String> {
    let can_be_sent = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
    if !can_be_sent(id) || !can_be_sent(secret) || !session.is_none_or(can_be_sent) {
        return Err("they hold a character that no access key has".to_owned());
    }
    Ok(Keys {
        id: id.to_owned(),
        secret: Secret::new(secret.to_owned()),
        session: session.map(|token| Secret::new(token.to_owned())),
        expires_at: None,
    })
}

fn bad(message: impl Into<String>) -> ProviderError {
    ProviderError::BadCredentials {
        provider: ProviderName::Aws,
        message: message.into(),
    }
}

/// Returns the error of there being none; `tried` is what was asked last.
fn missing(tried: Option<&str>) -> ProviderError {
    let tried = tried.map_or_else(String::new, |tried| format!(" ({tried})"));
    ProviderError::NoCredentials {
        provider: ProviderName::Aws,
        hint: format!(
            "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run `aws configure`; keys are \
             made at https://console.aws.amazon.com/iam{tried}"
        ),
    }
}
