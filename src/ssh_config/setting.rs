//! One value that somebody set, and where.

use std::fmt;
use std::sync::Arc;

use super::keyword::Keyword;
use crate::host::{HostName, Port, UserName};

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// A file, or what else set the value: `-O`, `--user`.
    pub source: Arc<str>,
    /// Line, from 1; 0 where there are no lines.
    pub line: usize,
}

impl Place {
    /// Returns a place that is not a line of a file.
    pub fn of(source: &str) -> Self {
        Self {
            source: source.into(),
            line: 0,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => f.write_str(&self.source),
            line => write!(f, "{}:{line}", self.source),
        }
    }
}

/// A value as it was written; tokens are not expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Value {
    /// One word or a rest of a line. Choices are in lower case.
    Text(Box<str>),
    /// Several words.
    Words(Vec<String>),
    /// `yes` or `no`.
    Flag(bool),
    /// A whole number.
    Number(u32),
    /// Seconds; `None` for `none`.
    Time(Option<u64>),
    /// A port.
    Port(Port),
    /// Hops, the first one dialled first; empty for `none`.
    Jumps(Vec<JumpHop>),
}

/// A jump host as it is named.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JumpHop {
    /// Account there, if named.
    pub user: Option<UserName>,
    /// Its name, which the configuration may say more about.
    pub name: HostName,
    /// Its port, if named.
    pub port: Option<Port>,
}

impl fmt::Display for JumpHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(user) = &self.user {
            write!(f, "{user}@")?;
        }
        if self.name.as_str().contains(':') {
            write!(f, "[{}]", self.name)?;
        } else {
            write!(f, "{}", self.name)?;
        }
        match self.port {
            Some(port) => write!(f, ":{port}"),
            None => Ok(()),
        }
    }
}

/// A keyword with a value, and where it was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    /// What is set.
    pub keyword: Keyword,
    /// To what.
    pub value: Value,
    /// By whom.
    pub place: Place,
    /// Set by the user, rather than for the whole machine.
    pub(super) is_user: bool,
}

impl Setting {
    /// Returns a value that something other than a file sets; `place` says what.
    pub fn new(keyword: Keyword, value: Value, place: Place) -> Arc<Self> {
        Arc::new(Self {
            keyword,
            value,
            place,
            is_user: true,
        })
    }

    /// Returns the text of a value that is one.
    pub(super) fn text(&self) -> &str {
        match &self.value {
            Value::Text(text) => text,
            _ => "",
        }
    }
}
