//! What can go wrong at a provider, by what it means for whoever pays.

use std::fmt;

use thiserror::Error;

use super::{FleetName, ProviderName};
use crate::host::{cut, escaped};

/// Longest text of a vendor that is shown, in characters.
const MAX_SHOWN: usize = 400;

/// What could not be done at a provider.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ProviderError {
    /// There is nothing to log in with.
    #[error("no credentials for {}: {hint}", provider.title())]
    NoCredentials {
        /// Where.
        provider: ProviderName,
        /// What to set, and where to get it.
        hint: String,
    },
    /// Credentials are there and can't be used.
    #[error("cannot use the credentials for {}: {message}", provider.title())]
    BadCredentials {
        /// Where.
        provider: ProviderName,
        /// Why not; never the credentials themselves.
        message: String,
    },
    /// Nothing was sent: no address, no connection, no trust in the certificate.
    #[error("cannot reach {} at {url}: {message}", provider.title())]
    Unreachable {
        /// Where.
        provider: ProviderName,
        /// The API's address.
        url: String,
        /// Why not.
        message: String,
    },
    /// The request may have been heard; no answer came.
    #[error("no answer from {}: {message}", provider.title())]
    Lost {
        /// Where.
        provider: ProviderName,
        /// How the connection ended.
        message: String,
    },
    /// The API said no.
    #[error("{} {}", provider.title(), refusal)]
    Refused {
        /// Where.
        provider: ProviderName,
        /// What it said.
        refusal: Refusal,
    },
    /// The API said yes in a way that makes no sense.
    #[error("cannot understand what {} answered to {what}: {message}", provider.title())]
    Unreadable {
        /// Where.
        provider: ProviderName,
        /// The request: `GET /regions`.
        what: String,
        /// What was expected.
        message: String,
    },
    /// A name that the provider doesn't know.
    #[error("{what} `{name}` is not known{}", hint(near.as_deref(), see.as_deref()))]
    Unknown {
        /// `region`, `size`, `image`, `option`.
        what: &'static str,
        /// What was asked for, escaped.
        name: String,
        /// What was perhaps meant.
        near: Option<String>,
        /// The command that lists them.
        see: Option<String>,
    },
    /// Something asked for makes no sense.
    #[error("{message}")]
    Input {
        /// What and why.
        message: String,
    },
    /// A file or a process of this machine failed.
    #[error("{message}")]
    Local {
        /// What and why.
        message: String,
    },
    /// Another hoist holds the fleet's record.
    #[error("another hoist is at work on the fleet `{fleet}`")]
    InUse {
        /// The fleet.
        fleet: FleetName,
    },
    /// Stopped while waiting.
    #[error("interrupted")]
    Stopped,
}

impl ProviderError {
    /// Whether the next request of the same sort would fail the same way: credentials, permission,
    /// quota, unknown names.
    pub fn repeats(&self) -> bool {
        match self {
            Self::Lost { .. } | Self::Unreadable { .. } => false,
            Self::Refused { refusal, .. } => refusal.kind.repeats(),
            _ => true,
        }
    }

    /// Returns what kind of no it is, where the API said no.
    pub fn refusal(&self) -> Option<&Refusal> {
        match self {
            Self::Refused { refusal, .. } => Some(refusal),
            _ => None,
        }
    }

    /// Whether the API said that there is no such thing.
    pub(crate) fn is_not_found(&self) -> bool {
        self.refusal()
            .is_some_and(|refusal| refusal.kind == RefusalKind::NotFound)
    }
}

/// Returns the error of a name that is none of `known`.
pub(crate) fn unknown<'a>(
    what: &'static str,
    name: &str,
    known: impl Iterator<Item = &'a str>,
) -> ProviderError {
    ProviderError::Unknown {
        what,
        name: escaped(name),
        near: nearest(name, known),
        see: None,
    }
}

/// Returns which of `known` was perhaps meant by `name`, if any.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let lower = name.to_lowercase();
    let scored = known.map(|candidate| {
        let distance = strsim::damerau_levenshtein(&lower, &candidate.to_lowercase());
        (distance, candidate)
    });
    let (distance, candidate) = scored.min_by_key(|(distance, _)| *distance)?;
    (distance <= name.chars().count().max(3) / 3).then(|| escaped(candidate))
}

fn hint(near: Option<&str>, see: Option<&str>) -> String {
    match (near, see) {
        (Some(near), _) => format!("; did you mean `{near}`?"),
        (None, Some(see)) => format!("; `{see}` lists them"),
        (None, None) => String::new(),
    }
}

/// How a vendor said no.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// What it means.
    pub kind: RefusalKind,
    /// The HTTP status.
    pub status: u16,
    /// The vendor's own code, escaped.
    pub code: Option<String>,
    /// The vendor's sentence, escaped.
    pub message: String,
    /// What the vendor calls the request, for its support, escaped.
    pub request_id: Option<String>,
    /// How to go on.
    pub hint: Option<String>,
}

impl Refusal {
    /// Returns a refusal of the kind that the status tells. Texts of the vendor are escaped and cut.
    pub fn new(status: u16, message: &str) -> Self {
        Self {
            kind: RefusalKind::of_status(status),
            status,
            code: None,
            message: shown(message),
            request_id: None,
            hint: None,
        }
    }

    /// Adds the vendor's code.
    #[must_use]
    pub fn with_code(self, code: Option<&str>) -> Self {
        Self {
            code: code.map(shown),
            ..self
        }
    }

    /// Adds what the vendor calls the request.
    #[must_use]
    pub fn with_request_id(self, id: Option<&str>) -> Self {
        Self {
            request_id: id.map(shown),
            ..self
        }
    }
}

fn shown(text: &str) -> String {
    cut(escaped(text.trim()), MAX_SHOWN)
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, status) = (self.kind.words(), self.status);
        match (self.message.is_empty(), &self.code) {
            (true, None) => write!(f, "{word} (status {status})")?,
            (true, Some(code)) => write!(f, "{word}: {code} (status {status})")?,
            (false, None) => write!(f, "{word}: {} (status {status})", self.message)?,
            (false, Some(code)) => write!(f, "{word}: {} ({code}, status {status})", self.message)?,
        }
        if let Some(id) = &self.request_id {
            write!(f, ", request {id}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "; {hint}")?;
        }
        Ok(())
    }
}

/// What a no means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RefusalKind {
    /// The credentials are not accepted.
    Credentials,
    /// They are, but not for this.
    Permission,
    /// The account has as many as it may.
    Quota,
    /// There is none left of what was asked for, there.
    SoldOut,
    /// Something in the request makes no sense.
    Input,
    /// There is no such thing.
    NotFound,
    /// There is one already, or it is in use.
    Conflict,
    /// It can't be done while something else is going on.
    Locked,
    /// Too many requests, or the vendor has trouble; tried again in vain.
    Busy,
    /// Anything else.
    Other,
}

impl RefusalKind {
    /// Returns what a status means where the vendor says nothing more.
    pub fn of_status(status: u16) -> Self {
        match status {
            401 => Self::Credentials,
            403 => Self::Permission,
            404 => Self::NotFound,
            409 => Self::Conflict,
            423 => Self::Locked,
            408 | 429 | 500..=599 => Self::Busy,
            400..=499 => Self::Input,
            _ => Self::Other,
        }
    }

    /// Whether the next request of the same sort would be refused as well.
    pub fn repeats(self) -> bool {
        matches!(
            self,
            Self::Credentials | Self::Permission | Self::Quota | Self::SoldOut | Self::Input
        )
    }

    fn words(self) -> &'static str {
        match self {
            Self::Credentials => "does not accept the credentials",
            Self::Permission => "does not permit it",
            Self::Quota => "allows no more",
            Self::SoldOut => "has none left",
            Self::NotFound => "does not know it",
            Self::Conflict => "says that there is one already",
            Self::Locked => "says that something else is going on",
            Self::Busy => "has no time for it",
            Self::Input | Self::Other => "refuses",
        }
    }
}
