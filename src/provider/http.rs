//! One way to speak HTTP with every provider: retries, waits, and errors in the vendor's words.
//!
//! | failure | reading | deleting | creating |
//! |---|---|---|---|
//! | nothing was sent (no address, no connection, no TLS) | again | again | again |
//! | the connection broke or timed out after that | again | again | [`ProviderError::Lost`] |
//! | 429, or a refusal that the vendor says will pass | again | again | again |
//! | 408, 500, 502, 503, 504 | again | again | [`ProviderError::Lost`] |
//! | any other status | the vendor's refusal | the same; 404 is success | the same |
//!
//! A vendor's `Retry-After` is obeyed up to a minute; else waits grow with jitter. Redirects are
//! not followed: a credential goes to the address it is meant for, over HTTPS, or to this machine.
//! Connections are not kept: on one that the other side is closing, nobody could tell whether a
//! create call was heard.

use std::fmt::Write as _;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use ureq::http::Request;
pub use ureq::http::{HeaderMap, Method, Uri};
use ureq::{Agent, Proxy, Timeout};

use super::{Access, Clock, Pace, ProviderError, ProviderName, Refusal, RefusalKind, Stop};
use crate::host::escaped;
use crate::secret::Secret;

/// Most bytes of an answer: lists of images are long.
const MAX_ANSWER: u64 = 64 * 1024 * 1024;

/// What a request does, which decides how it may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Care {
    /// Changes nothing, or the same however often it is done.
    Repeatable,
    /// Takes away: what is not there is as good as taken away.
    Delete,
    /// Makes something that costs money: never sent again once it may have been heard.
    Create,
    /// As `Create`, but the vendor knows the request again: it can be sent until an answer comes.
    CreateOnce,
}

/// One request.
#[derive(Debug, Clone)]
pub struct Call {
    /// `GET`.
    pub method: Method,
    /// From the base on, with the query, percent-encoded: `/instances?per_page=500`.
    pub path: String,
    /// Besides those of [`Dialect::authorize`].
    pub headers: Vec<(&'static str, String)>,
    /// Exactly what is sent.
    pub body: Vec<u8>,
    /// How it may be repeated.
    pub care: Care,
}

impl Call {
    /// Returns a request that reads.
    pub fn get(path: impl Into<String>) -> Self {
        Self::new(Method::GET, path, Care::Repeatable)
    }

    /// Returns a request that takes away.
    pub fn delete(path: impl Into<String>) -> Self {
        Self::new(Method::DELETE, path, Care::Delete)
    }

    /// Returns a request that makes what `body` says.
    pub fn create(path: impl Into<String>, body: &Value) -> Self {
        Self::new(Method::POST, path, Care::Create).with_json(body)
    }

    /// Returns a request without headers and body.
    pub fn new(method: Method, path: impl Into<String>, care: Care) -> Self {
        Self {
            method,
            path: path.into(),
            headers: Vec::new(),
            body: Vec::new(),
            care,
        }
    }

    /// Sends `body`.
    #[must_use]
    pub fn with_json(mut self, body: &Value) -> Self {
        self.body = body.to_string().into_bytes();
        self.with_header("content-type", "application/json")
    }

    /// Sends a header.
    #[must_use]
    pub fn with_header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    /// Returns `GET /instances`, without the query.
    fn shown(&self) -> String {
        let path = self.path.split('?').next().unwrap_or_default();
        format!("{} {}", self.method, escaped(path))
    }
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Vec<u8>,
    /// When it came, by this machine's clock.
    pub at: SystemTime,
}

impl Answer {
    /// Returns a header that is text.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// Returns the body as JSON; `Null` where it is none, so that looking for a field finds nothing.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// How one vendor wants to be spoken to.
pub trait Dialect: Send + Sync {
    /// Returns the headers that say who asks. Called again for every try; `url` is the whole of it.
    ///
    /// # Errors
    /// When the credentials can't be had.
    fn authorize(
        &self,
        call: &Call,
        url: &str,
    ) -> Result<Vec<(&'static str, String)>, ProviderError>;

    /// Reads the vendor's words out of an answer that is no success.
    fn refusal(&self, answer: &Answer) -> Refusal;

    /// Whether this refusal will pass although its status doesn't say so. The request did nothing.
    fn is_passing(&self, call: &Call, refusal: &Refusal) -> bool {
        let _ = (call, refusal);
        false
    }

    /// Learns from a refusal, such as what time it is there. Whether another try makes sense now;
    /// asked once a call.
    fn learns(&self, answer: &Answer, refusal: &Refusal) -> bool {
        let _ = (answer, refusal);
        false
    }
}

/// The way to one API.
pub struct Http {
    provider: ProviderName,
    agent: Agent,
    base: String,
    pace: Pace,
    stop: Stop,
    clock: Clock,
}

/// How one try ended without an answer.
enum Broken {
    /// Nothing was sent.
    Before(String),
    /// Something may have been heard.
    After(String),
}

impl Http {
    /// Returns the way to the API at `base`, version part included. Contacts nobody.
    ///
    /// # Errors
    /// When `base` is no address, or neither HTTPS nor on this machine.
    pub fn new(provider: ProviderName, base: &str, access: &Access) -> Result<Self, ProviderError> {
        let base = base.trim_end_matches('/').to_owned();
        let is_here = check_base(provider, &base)?;
        let pace = access.pace.clone();
        let proxy = if is_here {
            None
        } else {
            proxy(provider, &base, access)?
        };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .https_only(!is_here)
            .proxy(proxy)
            .max_idle_connections(0)
            .timeout_connect(Some(pace.connect_timeout))
            .timeout_global(Some(pace.request_timeout))
            .user_agent(concat!("hoist/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Self {
            provider,
            agent: config.new_agent(),
            base,
            pace,
            stop: access.stop.clone(),
            clock: access.clock.clone(),
        })
    }

    /// Returns the address that every path is appended to.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// Sends a request as often as the table above says, and returns the success.
    ///
    /// # Errors
    /// The last failure; a request that may have been heard is [`ProviderError::Lost`].
    pub fn send(&self, dialect: &dyn Dialect, call: &Call) -> Result<Answer, ProviderError> {
        let mut may_be_heard = false;
        let sent = self.send_until(dialect, call, &mut may_be_heard);
        sent.map_err(|error| match error {
            // Whatever became of the later tries, an earlier one may have made something.
            error if may_be_heard => self.lost(error.to_string()),
            error => error,
        })
    }

    fn send_until(
        &self,
        dialect: &dyn Dialect,
        call: &Call,
        may_be_heard: &mut bool,
    ) -> Result<Answer, ProviderError> {
        let url = format!("{}{}", self.base, call.path);
        let (mut attempt, mut may_learn) = (1, true);
        loop {
            let is_last = attempt >= self.pace.attempts;
            let wait = match self.once(dialect, call, &url)? {
                Err(broken) => {
                    *may_be_heard |=
                        call.care == Care::CreateOnce && matches!(broken, Broken::After(_));
                    let (error, is_final) = self.broken(call, broken);
                    if is_last || is_final {
                        return Err(error);
                    }
                    None
                }
                Ok(answer) if (200..300).contains(&answer.status) => return Ok(answer),
                Ok(answer) if answer.status == 404 && call.care == Care::Delete => {
                    return Ok(answer);
                }
                Ok(answer) => {
                    let refusal = dialect.refusal(&answer);
                    if may_learn && dialect.learns(&answer, &refusal) {
                        may_learn = false;
                        continue;
                    }
                    let is_passing = dialect.is_passing(call, &refusal);
                    let meaning = Meaning::of(&answer, &refusal, is_passing);
                    *may_be_heard |=
                        call.care == Care::CreateOnce && meaning == Meaning::MayHaveDone;
                    let refusal = with_redirect(&answer, refusal);
                    self.refused(call, meaning, refusal, is_last)?;
                    retry_after(&answer)
                }
            };
            attempt += 1;
            let wait = wait.map_or_else(
                || self.pace.backoff(attempt),
                |wait| wait.min(self.pace.retry_after_cap),
            );
            if !self.stop.wait(wait) {
                return Err(ProviderError::Stopped);
            }
        }
    }

    /// Sends a request and returns the JSON of its success.
    ///
    /// # Errors
    /// As [`Http::send`]; also when it is no JSON. A create call that succeeded is then
    /// [`ProviderError::Lost`], as there is something now.
    pub fn json(&self, dialect: &dyn Dialect, call: &Call) -> Result<Value, ProviderError> {
        let answer = self.send(dialect, call)?;
        if answer.body.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&answer.body).map_err(|error| {
            let message = format!("it is no JSON: {error}");
            match call.care {
                Care::Create | Care::CreateOnce => self.lost(message),
                _ => self.unreadable(call, message),
            }
        })
    }

    /// Returns the error of an answer that makes no sense.
    pub fn unreadable(&self, call: &Call, message: impl Into<String>) -> ProviderError {
        ProviderError::Unreadable {
            provider: self.provider,
            what: call.shown(),
            message: message.into(),
        }
    }

    /// Returns the error of a request of which nobody knows what it did.
    pub fn lost(&self, message: impl Into<String>) -> ProviderError {
        ProviderError::Lost {
            provider: self.provider,
            message: message.into(),
        }
    }

    /// Sends it once. The outer error is for what never changes.
    fn once(
        &self,
        dialect: &dyn Dialect,
        call: &Call,
        url: &str,
    ) -> Result<Result<Answer, Broken>, ProviderError> {
        if self.stop.is_stopped() {
            return Err(ProviderError::Stopped);
        }
        let mut request = Request::builder().method(call.method.clone()).uri(url);
        let own = call.headers.iter().cloned();
        for (name, value) in own.chain(dialect.authorize(call, url)?) {
            request = request.header(name, value);
        }
        // A header's value can be wrong: what it is stays untold, it may be a secret.
        let request =
            request
                .body(call.body.as_slice())
                .map_err(|_| ProviderError::BadCredentials {
                    provider: self.provider,
                    message: "they hold a character that can't be sent".to_owned(),
                })?;
        let sent = if call.body.is_empty() && call.method != Method::POST {
            self.agent.run(request.map(|_| ()))
        } else {
            self.agent.run(request)
        };
        let mut response = match sent {
            Ok(response) => response,
            Err(error) => return Ok(Err(broken(&error))),
        };
        let at = SystemTime::now();
        let date = response.headers().get("date");
        if let Some(date) = date.and_then(|date| date.to_str().ok()) {
            self.clock.learn(date, at);
        }
        let body = response.body_mut().with_config().limit(MAX_ANSWER);
        match body.read_to_vec() {
            Ok(body) => Ok(Ok(Answer {
                status: response.status().as_u16(),
                headers: response.headers().clone(),
                body,
                at,
            })),
            Err(error) => Ok(Err(Broken::After(shown(&error)))),
        }
    }

    /// Returns the error, and whether no further try may be made.
    fn broken(&self, call: &Call, broken: Broken) -> (ProviderError, bool) {
        match broken {
            Broken::Before(message) => {
                let error = ProviderError::Unreachable {
                    provider: self.provider,
                    url: escaped(&self.base),
                    message,
                };
                (error, false)
            }
            Broken::After(message) => (self.lost(message), call.care == Care::Create),
        }
    }

    /// Decides about an answer that is no success: an error is the end of it.
    fn refused(
        &self,
        call: &Call,
        meaning: Meaning,
        refusal: Refusal,
        is_last: bool,
    ) -> Result<(), ProviderError> {
        let is_creating = match call.care {
            Care::Create => true,
            Care::CreateOnce => is_last,
            Care::Repeatable | Care::Delete => false,
        };
        match meaning {
            Meaning::MayHaveDone if is_creating => Err(self.lost(refusal.to_string())),
            Meaning::MayHaveDone | Meaning::DidNothing if !is_last => Ok(()),
            _ => Err(ProviderError::Refused {
                provider: self.provider,
                refusal,
            }),
        }
    }
}

/// What an answer that is no success says about the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    /// It did nothing, and may do something the next time.
    DidNothing,
    /// Nobody knows what it did.
    MayHaveDone,
    /// It did nothing and never will.
    Refused,
}

impl Meaning {
    fn of(answer: &Answer, refusal: &Refusal, is_passing: bool) -> Self {
        // A vendor may say with such a status what it knows well: locked, sold out.
        let is_vague = matches!(refusal.kind, RefusalKind::Busy | RefusalKind::Other);
        match answer.status {
            _ if is_passing => Self::DidNothing,
            429 => Self::DidNothing,
            408 | 500 | 502 | 503 | 504 if is_vague => Self::MayHaveDone,
            _ => Self::Refused,
        }
    }
}

/// Says where a redirect would have led: often the mistake is in the base address.
fn with_redirect(answer: &Answer, refusal: Refusal) -> Refusal {
    match answer.header("location") {
        Some(place) if (300..400).contains(&answer.status) => Refusal {
            kind: RefusalKind::Other,
            hint: Some(format!(
                "it redirects to {}, and hoist follows no redirects",
                escaped(place)
            )),
            ..refusal
        },
        _ => refusal,
    }
}

/// Returns the header that a token goes along in (RFC 6750 §2.1).
pub(super) fn bearer(token: &Secret) -> Vec<(&'static str, String)> {
    vec![("authorization", format!("Bearer {}", token.expose()))]
}

/// Percent-encodes what is to be one value of a query or one part of a path (RFC 3986 §2.3).
pub fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            _ => {
                let _ = write!(encoded, "%{byte:02X}");
            }
        }
    }
    encoded
}

/// Returns how long the vendor asks to wait, if it does (RFC 9110 §10.2.3).
fn retry_after(answer: &Answer) -> Option<Duration> {
    let text = answer.header("retry-after")?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    let at: SystemTime = at.into();
    Some(at.duration_since(answer.at).unwrap_or_default())
}

fn broken(error: &ureq::Error) -> Broken {
    use std::io::ErrorKind;
    let is_before = match error {
        ureq::Error::Timeout(timeout) => matches!(timeout, Timeout::Resolve | Timeout::Connect),
        ureq::Error::Io(error) => matches!(
            error.kind(),
            ErrorKind::ConnectionRefused
                | ErrorKind::HostUnreachable
                | ErrorKind::NetworkUnreachable
                | ErrorKind::AddrNotAvailable
                | ErrorKind::PermissionDenied
        ),
        ureq::Error::HostNotFound
        | ureq::Error::ConnectionFailed
        | ureq::Error::Tls(_)
        | ureq::Error::Rustls(_)
        | ureq::Error::BadUri(_)
        | ureq::Error::RequireHttpsOnly(_) => true,
        _ => false,
    };
    let message = shown(error);
    if is_before {
        Broken::Before(message)
    } else {
        Broken::After(message)
    }
}

/// Returns what a person can use of the error.
fn shown(error: &ureq::Error) -> String {
    match error {
        ureq::Error::HostNotFound => "its name has no address".to_owned(),
        ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
            "no connection in time".to_owned()
        }
        ureq::Error::Timeout(_) => "it took too long".to_owned(),
        ureq::Error::Io(error) => escaped(&error.to_string()),
        other => escaped(&other.to_string()),
    }
}

/// Whether `base` is an address on this machine.
pub(super) fn is_here(provider: ProviderName, base: &str) -> bool {
    check_base(provider, base).unwrap_or(false)
}

/// Whether `base` is on this machine, where HTTP will do.
fn check_base(provider: ProviderName, base: &str) -> Result<bool, ProviderError> {
    let bad = |message: &str| ProviderError::Input {
        message: format!(
            "cannot use `{}` as the address of {}: {message}",
            escaped(base),
            provider.title()
        ),
    };
    let uri: Uri = base.parse().map_err(|_| bad("it is no URL"))?;
    let host = uri.host().ok_or_else(|| bad("it names no host"))?;
    if uri
        .authority()
        .is_some_and(|authority| authority.as_str().contains('@'))
    {
        return Err(bad("it holds a user name"));
    }
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let address = host.parse::<std::net::IpAddr>();
    let is_here = host == "localhost" || address.is_ok_and(|address| address.is_loopback());
    match uri.scheme_str() {
        Some("https") => Ok(is_here),
        Some("http") if is_here => Ok(true),
        Some("http") => Err(bad(
            "credentials go over https only, except to this machine",
        )),
        _ => Err(bad("it must begin with https://")),
    }
}

/// Returns the proxy that the environment names, unless it excepts the address.
fn proxy(
    provider: ProviderName,
    base: &str,
    access: &Access,
) -> Result<Option<Proxy>, ProviderError> {
    let variable = |name: &str| {
        let lower = access.variables.get(&name.to_lowercase());
        lower.or_else(|| access.variables.get(name))
    };
    let host = base.parse::<Uri>().ok();
    let host = host.as_ref().and_then(Uri::host).unwrap_or_default();
    let excepted = variable("NO_PROXY").map(String::as_str).unwrap_or_default();
    let is_excepted = excepted.split(',').map(str::trim).any(|name| {
        let name = name.trim_start_matches('.');
        name == "*"
            || (!name.is_empty()
                && host
                    .strip_suffix(name)
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
    });
    let url = variable("HTTPS_PROXY").or_else(|| variable("ALL_PROXY"));
    let Some(url) = url.filter(|_| !is_excepted) else {
        return Ok(None);
    };
    // The address of a proxy may hold its password.
    let proxy = Proxy::new(url).map_err(|_| ProviderError::Input {
        message: format!(
            "cannot reach {}: HTTPS_PROXY is no address of a proxy",
            provider.title()
        ),
    })?;
    Ok(Some(proxy))
}

#[cfg(test)]
mod tests;
