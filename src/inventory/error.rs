//! What can be wrong with an inventory, and where.
//!
//! A format finds a [`Flaw`] in a value; only its caller knows the [`Place`] of that value, and the
//! two together are an [`InventoryError`]. All texts are shown with everything unprintable escaped.

use std::fmt;
use std::sync::Arc;

use thiserror::Error;

use crate::host::{NameError, escaped};
use crate::hostset::{DidYouMean, PatternError};

/// A character in a source: `fleet.ini:12:9`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Name of the source, escaped for display.
    pub source: Arc<str>,
    /// One-based.
    pub line: usize,
    /// One-based, in characters.
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.source, self.line, self.column)
    }
}

/// Why an inventory can't be loaded. No text ends with a full stop or holds a control character.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InventoryError {
    /// Something in the text of a source.
    #[error("{place}: {flaw}")]
    Flawed {
        /// Where it is.
        place: Place,
        /// What it is.
        flaw: Box<Flaw>,
    },
    /// The source can't be read at all.
    #[error("{name}: {error}; expected a file that can be read")]
    Unreadable {
        /// Name of the source, escaped for display.
        name: Arc<str>,
        /// What the system said.
        #[source]
        error: std::io::Error,
    },
    /// The source is something else than a file of a supported format.
    #[error("{name}: found {found}; expected {expected}")]
    Unsupported {
        /// Name of the source, escaped for display.
        name: Arc<str>,
        /// What it is.
        found: String,
        /// What to give instead.
        expected: &'static str,
    },
    /// An executable inventory that did not deliver.
    #[error("{name} --list: {problem}; expected exit status 0 and JSON on its standard output")]
    Program {
        /// Name of the source, escaped for display.
        name: Arc<str>,
        /// How it ended.
        problem: String,
    },
}

/// What is wrong with a value, before its place is known.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Flaw {
    /// Not what belongs there.
    #[error("found {found}; expected {expected}")]
    Unexpected {
        /// What is there, escaped for display.
        found: String,
        /// What belongs there.
        expected: String,
        /// Zero-based offset of the offending character in the value, in characters.
        offset: usize,
    },
    /// A name that is not one.
    #[error("{error}; expected {expected}")]
    Name {
        /// What is wrong with it.
        #[source]
        error: NameError,
        /// What belongs there.
        expected: &'static str,
        /// Zero-based offset of the name in the value, in characters.
        offset: usize,
    },
    /// A host entry or its ranges.
    #[error("{}; expected [user@]host[:port], ranges as in web[01-20]", .error.reason())]
    Entry {
        /// What is wrong with it.
        #[source]
        error: Box<PatternError>,
        /// Zero-based offset of the entry in the value, in characters.
        offset: usize,
    },
    /// Two rows that can't both be true.
    #[error(
        "found {field} `{value}` for {owner}, which has `{earlier}` at {earlier_place}; \
         expected the same value or another name"
    )]
    Conflict {
        /// ``host `web1` `` or ``group `web` ``.
        owner: String,
        /// The attribute or variable.
        field: String,
        /// How the new value begins, escaped for display.
        value: String,
        /// How the value it already has begins, escaped for display.
        earlier: String,
        /// Source and line of the earlier value.
        earlier_place: String,
    },
    /// A child or `:vars` of a group that is defined nowhere.
    #[error(
        "found group `{name}`, which is not defined; expected a [{name}] heading or another group{}",
        DidYouMean(.suggestion.as_deref())
    )]
    UndefinedGroup {
        /// The group.
        name: String,
        /// The nearest defined group.
        suggestion: Option<String>,
    },
}

/// Longest text shown in an error, in characters.
const SHOWN: usize = 80;

/// Shows the beginning of `text` with everything unprintable escaped.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        None => escaped(text),
        Some((end, _)) => escaped(&text[..end]) + "…",
    }
}

impl Flaw {
    /// Returns that `found` is there instead of `expected`.
    pub(super) fn unexpected(found: impl Into<String>, expected: impl Into<String>) -> Self {
        Self::Unexpected {
            found: found.into(),
            expected: expected.into(),
            offset: 0,
        }
    }

    /// Returns that the character at `offset` (from 0) of a value is wrong.
    pub(super) fn character(found: char, offset: usize, expected: &str) -> Self {
        let found = match found {
            '\0' => "a NUL byte".to_owned(),
            c => format!("the character `{}`", escaped(c.encode_utf8(&mut [0; 4]))),
        };
        Self::Unexpected {
            found,
            expected: expected.to_owned(),
            offset,
        }
    }

    /// Puts the flaw at the value that starts at `start`, moving on to the offending character.
    pub(super) fn at(self, start: Place) -> InventoryError {
        let place = Place {
            column: start.column + self.offset(),
            ..start
        };
        let flaw = Box::new(self);
        InventoryError::Flawed { place, flaw }
    }

    /// Moves the offending character on by `characters`, for a value that is part of another.
    pub(super) fn moved(self, characters: usize) -> Self {
        match self {
            Self::Unexpected {
                found,
                expected,
                offset,
            } => Self::Unexpected {
                found,
                expected,
                offset: offset + characters,
            },
            Self::Name {
                error,
                expected,
                offset,
            } => Self::Name {
                error,
                expected,
                offset: offset + characters,
            },
            Self::Entry { error, offset } => Self::Entry {
                error,
                offset: offset + characters,
            },
            other => other,
        }
    }

    /// Zero-based offset of the offending character, in characters.
    pub(super) fn offset(&self) -> usize {
        match self {
            Self::Name {
                error: NameError::Character { column, .. },
                offset,
                ..
            } => offset + column - 1,
            Self::Unexpected { offset, .. } | Self::Name { offset, .. } => *offset,
            Self::Entry { error, offset } => offset + error.column().saturating_sub(1),
            _ => 0,
        }
    }
}
