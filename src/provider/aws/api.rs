//! How EC2 is spoken to: signed forms go out, XML comes back.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use super::credentials::Credentials;
use super::refusal;
use super::sign::{self, CONTENT_TYPE, Unsigned};
use super::xml::Element;
use crate::provider::http::{Answer, Call, Care, Dialect, Http, Method, Uri, encoded};
use crate::provider::{Access, ProviderError, ProviderName, Refusal};

/// The version of the API that everything here is written for.
const VERSION: &str = "2016-11-15";

/// Clocks that differ by less are not what a refusal is about; EC2 allows five minutes.
const MAX_SKEW: i64 = 60;

/// Most pages of a list.
const MAX_PAGES: usize = 1000;

/// What is asked: an action and its parameters, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Form {
    action: &'static str,
    parameters: Vec<(String, String)>,
}

impl Form {
    /// Returns an action without parameters.
    pub(super) fn new(action: &'static str) -> Self {
        Self {
            action,
            parameters: Vec::new(),
        }
    }

    /// Adds a parameter.
    #[must_use]
    pub(super) fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.parameters.push((name.into(), value.into()));
        self
    }

    /// Adds a parameter if there is a value.
    #[must_use]
    pub(super) fn with_some(self, name: &str, value: Option<impl Into<String>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// Adds a list: `name.1`, `name.2` and so on.
    #[must_use]
    pub(super) fn with_list<T: AsRef<str>>(
        self,
        name: &str,
        values: impl IntoIterator<Item = T>,
    ) -> Self {
        let values = values.into_iter().zip(1_u32..);
        values.fold(self, |form, (value, number)| {
            form.with(format!("{name}.{number}"), value.as_ref())
        })
    }

    /// Adds a filter, after those that are there.
    #[must_use]
    pub(super) fn with_filter(self, name: &str, values: &[&str]) -> Self {
        let filters = self.parameters.iter();
        let is_filter = |name: &str| name.starts_with("Filter.") && name.ends_with(".Name");
        let number = 1 + filters.filter(|(name, _)| is_filter(name)).count();
        self.with(format!("Filter.{number}.Name"), name)
            .with_list(&format!("Filter.{number}.Value"), values)
    }

    /// Tags what is made.
    #[must_use]
    pub(super) fn with_tags(self, number: u8, kind: &str, tags: &[(String, String)]) -> Self {
        let name = format!("TagSpecification.{number}");
        let form = self.with(format!("{name}.ResourceType"), kind);
        tags.iter()
            .zip(1..)
            .fold(form, |form, ((key, value), tag): (_, u32)| {
                form.with(format!("{name}.Tag.{tag}.Key"), key)
                    .with(format!("{name}.Tag.{tag}.Value"), value)
            })
    }

    /// Returns what is sent.
    fn body(&self) -> String {
        let mut body = format!("Action={}&Version={VERSION}", self.action);
        for (name, value) in &self.parameters {
            let _ = write!(body, "&{}={}", encoded(name), encoded(value));
        }
        body
    }
}

/// The API of one region.
pub(super) struct Api {
    http: Http,
    dialect: Signer,
}

impl Api {
    /// Returns the API of `region`. Contacts nobody.
    ///
    /// # Errors
    /// When the region can't be one, or the address can't be used.
    pub(super) fn new(
        access: &Access,
        credentials: &Arc<Credentials>,
        region: &str,
    ) -> Result<Self, ProviderError> {
        // It becomes part of a host's name.
        let is_region =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if region.is_empty() || !region.bytes().all(is_region) {
            let message = format!(
                "`{}` is no region of AWS; regions look like `eu-west-1`",
                crate::host::escaped(region)
            );
            return Err(ProviderError::Input { message });
        }
        let variables = ProviderName::Aws.url_variables().iter();
        let mut urls = variables.filter_map(|name| access.variables.get(*name));
        let base = urls.find(|url| !url.is_empty());
        let base = base.cloned().unwrap_or_else(|| address(region));
        Ok(Self {
            http: Http::new(ProviderName::Aws, &base, access)?,
            dialect: Signer {
                region: region.to_owned(),
                credentials: Arc::clone(credentials),
                skew: AtomicI64::new(0),
                has_made: AtomicBool::new(false),
            },
        })
    }

    /// Returns where it is.
    pub(super) fn region(&self) -> &str {
        &self.dialect.region
    }

    /// Sends a form that makes nothing that costs money, and returns the root of the answer.
    ///
    /// # Errors
    /// When EC2 refuses, or can't be reached or understood.
    pub(super) fn ask(&self, form: &Form) -> Result<Element, ProviderError> {
        let answer = self.send(form, Care::Repeatable)?;
        let root = Element::parse(&answer.body).map_err(|why| unreadable(form, why))?;
        // Else the page of whoever stands between would be a list of nothing.
        if root.is_response() {
            return Ok(root);
        }
        Err(unreadable(form, "it is not a response of EC2"))
    }

    /// Sends a form that makes a server. It carries a token, by which EC2 knows it again.
    ///
    /// # Errors
    /// As [`Api::ask`]; [`ProviderError::Lost`] when there may be a server.
    pub(super) fn make(&self, form: &Form) -> Result<Element, ProviderError> {
        let answer = self.send(form, Care::CreateOnce)?;
        let root = Element::parse(&answer.body);
        root.map_err(|why| self.http.lost(format!("it answered, but {why}")))
    }

    /// Sends a form as often as there are pages, and returns the elements of the lists at `path`.
    ///
    /// # Errors
    /// As [`Api::ask`].
    pub(super) fn all(&self, form: &Form, path: &str) -> Result<Vec<Element>, ProviderError> {
        let (mut all, mut token) = (Vec::new(), None::<String>);
        for _ in 0..MAX_PAGES {
            let form = form.clone().with_some("NextToken", token.clone());
            let page = self.ask(&form)?;
            all.extend(page.items(path).cloned());
            match page.some_text("nextToken") {
                None => return Ok(all),
                Some(next) if Some(&next) == token.as_ref() => break,
                next => token = next,
            }
        }
        Err(unreadable(form, "the list has no end"))
    }

    /// Remembers that something was made just now, which other parts of EC2 may not know yet.
    pub(super) fn has_made(&self) {
        self.dialect.has_made.store(true, Ordering::Relaxed);
    }

    fn send(&self, form: &Form, care: Care) -> Result<Answer, ProviderError> {
        let mut call = Call::new(Method::POST, "/", care).with_header("content-type", CONTENT_TYPE);
        call.body = form.body().into_bytes();
        self.http.send(&self.dialect, &call)
    }
}

/// Returns the error of an answer that makes no sense.
pub(super) fn unreadable(form: &Form, message: impl Into<String>) -> ProviderError {
    ProviderError::Unreadable {
        provider: ProviderName::Aws,
        what: form.action.to_owned(),
        message: message.into(),
    }
}

/// Returns the address of a region's API; China has a domain of its own.
fn address(region: &str) -> String {
    let end = if region.starts_with("cn-") { ".cn" } else { "" };
    format!("https://ec2.{region}.amazonaws.com{end}")
}

/// Signs, with the time that it is there.
struct Signer {
    region: String,
    credentials: Arc<Credentials>,
    /// Seconds that EC2's clock is ahead of this machine's.
    skew: AtomicI64,
    /// Whether a key or a group was made by this hoist.
    has_made: AtomicBool,
}

impl Signer {
    fn now(&self) -> SystemTime {
        let skew = self.skew.load(Ordering::Relaxed);
        let (now, apart) = (SystemTime::now(), Duration::from_secs(skew.unsigned_abs()));
        let there = if skew < 0 {
            now.checked_sub(apart)
        } else {
            now.checked_add(apart)
        };
        there.unwrap_or(now)
    }

    /// Learns what time it is there. Whether that is news.
    fn learns_time(&self, answer: &Answer) -> Option<bool> {
        let there = jiff::fmt::rfc2822::parse(answer.header("date")?).ok()?;
        let here = jiff::Timestamp::try_from(answer.at).ok()?;
        let skew = there.timestamp().as_second() - here.as_second();
        let known = self.skew.load(Ordering::Relaxed);
        let is_news = (skew - known).abs() > MAX_SKEW;
        if is_news {
            self.skew.store(skew, Ordering::Relaxed);
        }
        // Another call may have learnt it while this one was on its way.
        Some(is_news || known != 0)
    }
}

impl Dialect for Signer {
    fn authorize(
        &self,
        call: &Call,
        url: &str,
    ) -> Result<Vec<(&'static str, String)>, ProviderError> {
        let keys = self.credentials.keys()?;
        let uri: Option<Uri> = url.parse().ok();
        let host = uri.as_ref().and_then(Uri::authority);
        let host = host.map_or("", |host| host.as_str());
        // A port that goes without saying is not sent.
        let port = match uri.as_ref().and_then(Uri::scheme_str) {
            Some("https") => ":443",
            _ => ":80",
        };
        let unsigned = Unsigned {
            region: &self.region,
            host: host.strip_suffix(port).unwrap_or(host),
            path: uri.as_ref().map_or("/", Uri::path),
            body: &call.body,
            at: self.now(),
        };
        Ok(sign::headers(&keys, &unsigned))
    }

    fn refusal(&self, answer: &Answer) -> Refusal {
        refusal::read(answer)
    }

    fn is_passing(&self, call: &Call, refusal: &Refusal) -> bool {
        let code = refusal.code.as_deref().unwrap_or_default();
        // What was made just now is not known everywhere at once.
        let may_come = matches!(code, "InvalidGroup.NotFound" | "InvalidKeyPair.NotFound")
            && !call.body.starts_with(b"Action=Describe")
            && self.has_made.load(Ordering::Relaxed);
        refusal::is_throttled(code) || may_come
    }

    fn learns(&self, answer: &Answer, refusal: &Refusal) -> bool {
        match refusal.code.as_deref().unwrap_or_default() {
            "AuthFailure" | "SignatureDoesNotMatch" | "InvalidSignatureException" => {
                self.learns_time(answer) == Some(true)
            }
            "RequestExpired" | "ExpiredToken" => {
                let is_news = self.learns_time(answer) == Some(true);
                self.credentials.forget() || is_news
            }
            _ => false,
        }
    }
}
