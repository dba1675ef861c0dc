//! Keys that the machine itself hands out: a container's, or an instance's by its metadata.
//!
//! <https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html>,
//! <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html>

use std::time::Duration;

use ureq::Agent;
use ureq::http::{Method, Request, Uri};
use zeroize::Zeroizing;

use super::{Keys, bad, missing, printed};
use crate::host::escaped;
use crate::provider::{Access, ProviderError};
use crate::secret::Secret;

/// Where containers of ECS ask.
const CONTAINER: &str = "http://169.254.170.2";

/// Where instances ask.
const INSTANCE: &str = "http://169.254.169.254";

/// Where instances are told of their role.
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";

/// It is next door or not there at all.
const TIMEOUT: Duration = Duration::from_secs(1);

/// Most bytes of an answer.
const MAX_ANSWER: u64 = 64 * 1024;

/// Who hands out keys here.
pub(super) enum Endpoint {
    /// The agent of containers.
    Container {
        /// The whole address.
        url: String,
        /// Header `authorization`.
        authorization: Option<Secret>,
    },
    /// The instance's metadata.
    Instance {
        /// Its address, without a path.
        base: String,
    },
}

impl Endpoint {
    /// Returns the one that the environment of a container names.
    ///
    /// # Errors
    /// When it is not next door.
    pub(super) fn of_container(access: &Access) -> Result<Option<Self>, ProviderError> {
        let relative = access.variable(&["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]);
        let full = access.variable(&["AWS_CONTAINER_CREDENTIALS_FULL_URI"]);
        let url = match (relative, full) {
            (Some(path), _) if path.starts_with('/') => format!("{CONTAINER}{path}"),
            (Some(path), _) => format!("{CONTAINER}/{path}"),
            (None, Some(url)) => url.to_owned(),
            (None, None) => return Ok(None),
        };
        if !is_next_door(&url) {
            return Err(bad(
                "AWS_CONTAINER_CREDENTIALS_FULL_URI must be on this machine or at 169.254.170.2",
            ));
        }
        let token = access.variable(&["AWS_CONTAINER_AUTHORIZATION_TOKEN"]);
        Ok(Some(Self::Container {
            url,
            authorization: token.map(|token| Secret::new(token.to_owned())),
        }))
    }

    /// Returns the metadata unless they are switched off. Whether this is an instance shows when
    /// they are asked.
    pub(super) fn of_instance(access: &Access) -> Option<Self> {
        let disabled = access.variable(&["AWS_EC2_METADATA_DISABLED"]);
        if disabled.is_some_and(|disabled| disabled.eq_ignore_ascii_case("true")) {
            return None;
        }
        let base = access
            .variable(&["AWS_EC2_METADATA_SERVICE_ENDPOINT"])
            .unwrap_or(INSTANCE);
        let base = base.trim_end_matches('/').to_owned();
        Some(Self::Instance { base })
    }

    /// Returns what it is, for people.
    pub(super) fn title(&self) -> &'static str {
        match self {
            Self::Container { .. } => "the container",
            Self::Instance { .. } => "the instance's role",
        }
    }

    /// Asks for keys.
    ///
    /// # Errors
    /// When nobody answers, or not with keys.
    pub(super) fn keys(&self) -> Result<Keys, ProviderError> {
        let unusable = |why: String| bad(format!("those of {}: {why}", self.title()));
        let answer = match self {
            Self::Container { url, authorization } => {
                let header = authorization.as_ref();
                let header = header.map(|token| ("authorization", token));
                ask(&Method::GET, url, header).map_err(unusable)?
            }
            Self::Instance { base } => {
                let token = token(base)?;
                let get = |path: &str| get(base, path, &token);
                let role = get(ROLES).map_err(|why| missing(Some(&why)))?;
                let role = String::from_utf8_lossy(&role);
                let role = role.lines().next().unwrap_or_default().trim();
                if role.is_empty() {
                    return Err(missing(Some("this instance has no role")));
                }
                let role = crate::provider::http::encoded(role);
                get(&format!("{ROLES}{role}")).map_err(unusable)?
            }
        };
        printed(&answer).map_err(unusable)
    }

    /// Asks an instance where it is.
    ///
    /// # Errors
    /// When nobody answers.
    pub(super) fn region(&self) -> Result<Option<String>, ProviderError> {
        let Self::Instance { base } = self else {
            return Ok(None);
        };
        let region = get(base, "/latest/meta-data/placement/region", &token(base)?);
        let region = region.map_err(|why| missing(Some(&why)))?;
        let region = String::from_utf8_lossy(&region).trim().to_owned();
        Ok((!region.is_empty()).then_some(region))
    }
}

/// Whether a password may go there unencrypted.
fn is_next_door(url: &str) -> bool {
    let uri: Option<Uri> = url.parse().ok();
    let host = uri.as_ref().and_then(Uri::host).unwrap_or_default();
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address = host.parse::<std::net::IpAddr>();
    host == "localhost"
        || host == "169.254.170.2"
        || address.is_ok_and(|address| address.is_loopback())
}

/// Returns the token of a metadata session, which version 2 of the service asks for.
fn token(base: &str) -> Result<Secret, ProviderError> {
    let ttl = Secret::new("21600".to_owned());
    let ttl = ("x-aws-ec2-metadata-token-ttl-seconds", &ttl);
    let token = ask(&Method::PUT, &format!("{base}/latest/api/token"), Some(ttl));
    let token = token.map_err(|why| missing(Some(&why)))?;
    Ok(Secret::new(
        String::from_utf8_lossy(&token).trim().to_owned(),
    ))
}

fn get(base: &str, path: &str, token: &Secret) -> Result<Zeroizing<Vec<u8>>, String> {
    let token = ("x-aws-ec2-metadata-token", token);
    ask(&Method::GET, &format!("{base}{path}"), Some(token))
}

/// Asks once, without any proxy.
fn ask(
    method: &Method,
    url: &str,
    header: Option<(&'static str, &Secret)>,
) -> Result<Zeroizing<Vec<u8>>, String> {
    let agent: Agent = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        .timeout_global(Some(TIMEOUT))
        .build()
        .into();
    let shown = escaped(url);
    let mut request = Request::builder().method(method.clone()).uri(url);
    if let Some((name, value)) = header {
        request = request.header(name, value.expose());
    }
    let request = request
        .body(())
        .map_err(|_| format!("`{shown}` can't be asked"))?;
    let failed =
        |error: ureq::Error| format!("{shown} gives no answer: {}", escaped(&error.to_string()));
    let mut response = agent.run(request).map_err(failed)?;
    if !response.status().is_success() {
        return Err(format!(
            "{shown} answers with status {}",
            response.status().as_u16()
        ));
    }
    let body = response.body_mut().with_config().limit(MAX_ANSWER);
    body.read_to_vec().map(Zeroizing::new).map_err(failed)
}
