//! What can be wrong with a pattern, and where.
//!
//! A [`Reason`] says what; a [`PatternError`] adds the text and the column. Inside the parser a
//! [`Fault`] holds a byte offset, turned into a column only when an error really leaves: counting
//! characters for every operand of a long pattern would cost more than parsing it.

use std::fmt;

use thiserror::Error;
use unicode_width::UnicodeWidthStr;

use super::{MAX_DEPTH, MAX_GLOBS, MAX_NAMES};
use crate::host::{NameError, escaped};

/// Most characters of the pattern shown on each side of the column.
const SHOWN_AROUND: usize = 40;

/// Why a text is not a pattern, or can't be expanded.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Reason {
    /// Something else should stand here.
    #[error("expected {expected}, found {}", Found(*.found))]
    Expected {
        /// What would have been right.
        expected: &'static str,
        /// The character found, `None` at the end.
        found: Option<char>,
    },
    /// An opening bracket or parenthesis without its partner.
    #[error("`{opening}` is not closed")]
    NotClosed {
        /// `[` or `(`.
        opening: char,
    },
    /// A closing bracket without its partner.
    #[error("`]` closes nothing")]
    NotOpened,
    /// A bracket inside brackets.
    #[error("`[` can't stand inside brackets")]
    Nested,
    /// Too many parentheses in each other.
    #[error("parentheses are nested more than {MAX_DEPTH} deep")]
    TooDeep,
    /// Something in brackets that no range is made of.
    #[error("`{}` is neither a number nor a single letter", shown(.item))]
    NotInRange {
        /// The text between the separators.
        item: String,
    },
    /// A range from a number to a letter, or from a small letter to a capital one.
    #[error("`{}-{}` is not a range: its ends are of different kinds", shown(.first), shown(.last))]
    Mixed {
        /// Its first value.
        first: String,
        /// Its last value.
        last: String,
    },
    /// A range whose last value comes before its first.
    #[error("`{}-{}` runs backwards", shown(.first), shown(.last))]
    Reversed {
        /// Its first value.
        first: String,
        /// Its last value.
        last: String,
    },
    /// A range whose ends are padded with zeros to different widths.
    #[error("`{}` and `{}` are not padded with zeros to the same width", shown(.first), shown(.last))]
    Width {
        /// Its first value.
        first: String,
        /// Its last value.
        last: String,
    },
    /// What follows `/` in a range is not a number, or none that a step can have.
    #[error("step `{}` is not a number from 1 to 2^64 - 1", shown(.step))]
    Step {
        /// The text of the step.
        step: String,
    },
    /// A step after a single value.
    #[error("`/` needs a range before it, as in `1-9/2`")]
    StepWithoutRange,
    /// A host name, user or port that can't be one.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Two or more colons outside brackets, but no IPv6 address.
    #[error("`{}` is not an IPv6 address; a name with colons is put in brackets", shown(.text))]
    Colons {
        /// The text.
        text: String,
    },
    /// More names than a pattern may stand for.
    #[error("{} names are too many; a pattern stands for at most {MAX_NAMES}", Count(*.count))]
    TooMany {
        /// How many there would be; [`u64::MAX`] when there are that many or more.
        count: u64,
    },
    /// Ranges beside `*` or `?` that stand for too many globs.
    #[error("{} globs are too many; ranges beside `*` or `?` make at most {MAX_GLOBS}", Count(*.count))]
    TooManyGlobs {
        /// How many there would be; [`u64::MAX`] when there are that many or more.
        count: u64,
    },
    /// A glob that can't be compiled.
    #[error("glob `{}` can't be used: {problem}", shown(.glob))]
    Glob {
        /// The text of the glob.
        glob: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A group or a glob where no inventory is.
    #[error("`{}` needs an inventory", shown(.operand))]
    NoInventory {
        /// The group or glob as it was written.
        operand: String,
    },
    /// A glob that fits nothing.
    #[error("`{}` matches nothing in the inventory", shown(.operand))]
    NoMatch {
        /// The glob as it was written.
        operand: String,
    },
    /// A group the inventory doesn't have.
    #[error("group `{}` is not defined{}", shown(.name), DidYouMean(.suggestion.as_deref()))]
    UnknownGroup {
        /// The group asked for.
        name: String,
        /// The nearest group there is.
        suggestion: Option<String>,
    },
    /// A host the inventory doesn't have.
    #[error(
        "host `{name}`{} not in the inventory (`--ad-hoc` allows that){}",
        Others(*.others),
        DidYouMean(.suggestion.as_deref())
    )]
    UnknownHost {
        /// The first such name of the pattern.
        name: String,
        /// How many other names of the same operand are unknown too.
        others: u64,
        /// The nearest host, or `@group`, there is.
        suggestion: Option<String>,
    },
    /// Pattern syntax where one host or range is expected.
    #[error("{} is not allowed here: expected one host or range of hosts", Found(Some(*.found)))]
    NotInEntry {
        /// The character.
        found: char,
    },
}

/// A [`Reason`] and the place in the pattern it is about.
///
/// Displays as one line; [`PatternError::caret`] shows the place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternError {
    text: Box<str>,
    column: usize,
    reason: Box<Reason>,
}

impl PatternError {
    /// Returns the whole pattern as it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the place in the pattern, in characters, from 1. The end of the pattern is one
    /// past its last character.
    pub fn column(&self) -> usize {
        self.column
    }

    /// Returns what is wrong, without the pattern and the place.
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// Returns the pattern on one line and, on the next, `^` under the column. No newline at the
    /// end. Of a long pattern only the part around the column is shown.
    pub fn caret(&self) -> String {
        let (before, after) = self.excerpt();
        let margin = " ".repeat(before.width());
        format!("{before}{after}\n{margin}^")
    }

    /// Returns what is shown before and from the column on, escaped for display.
    fn excerpt(&self) -> (String, String) {
        let at = self.column - 1;
        let skipped = at.saturating_sub(SHOWN_AROUND);
        let mut chars = self.text.chars().skip(skipped);
        let before: String = chars.by_ref().take(at - skipped).collect();
        let after: String = chars.by_ref().take(SHOWN_AROUND).collect();
        let start = if skipped > 0 { "…" } else { "" };
        let end = if chars.next().is_some() { "…" } else { "" };
        (
            format!("{start}{}", escaped(&before)),
            format!("{}{end}", escaped(&after)),
        )
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (before, after) = self.excerpt();
        let Self { column, reason, .. } = self;
        write!(f, "pattern `{before}{after}`, column {column}: {reason}")
    }
}

impl std::error::Error for PatternError {}

/// A [`Reason`] at a byte offset of the text being read.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) at: usize,
    pub(super) reason: Reason,
}

impl Fault {
    pub(super) fn new(at: usize, reason: impl Into<Reason>) -> Self {
        Self {
            at,
            reason: reason.into(),
        }
    }

    /// Says that `expected` should stand at `at` in `text`.
    pub(super) fn expected(expected: &'static str, text: &str, at: usize) -> Self {
        let found = text[at..].chars().next();
        Self::new(at, Reason::Expected { expected, found })
    }

    /// Turns the offset into a column of `text`.
    pub(super) fn in_text(self, text: &str) -> PatternError {
        PatternError {
            text: text.into(),
            column: text[..self.at].chars().count() + 1,
            reason: Box::new(self.reason),
        }
    }
}

/// Shows a part of a pattern, cut when it is long.
fn shown(text: &str) -> String {
    match text.char_indices().nth(2 * SHOWN_AROUND) {
        None => escaped(text),
        Some((end, _)) => escaped(&text[..end]) + "…",
    }
}

/// Shows a character, or that the text ended.
struct Found(Option<char>);

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str("the end"),
            Some(' ') => f.write_str("a blank"),
            Some(c) => write!(f, "`{}`", escaped(c.encode_utf8(&mut [0; 4]))),
        }
    }
}

/// Shows a count that may have been too large to count.
struct Count(u64);

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            u64::MAX => write!(f, "{} or more", u64::MAX),
            count => count.fmt(f),
        }
    }
}

/// Shows the verb after a host name, counting the names that share its fate.
struct Others(u64);

impl fmt::Display for Others {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => f.write_str(" is"),
            others => write!(f, " and {others} more are"),
        }
    }
}

/// Shows a suggestion, if there is one.
pub(crate) struct DidYouMean<'a>(pub(crate) Option<&'a str>);

impl fmt::Display for DidYouMean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => Ok(()),
            Some(suggestion) => write!(f, "; did you mean `{}`?", escaped(suggestion)),
        }
    }
}
