//! Globs over host names and the values of columns.
//!
//! globset matches bytes, so its `?` and `[…]` would see two things in an `ö`. Here they match
//! characters: text that is not plain ASCII is first narrowed to one byte a character, by the
//! few such characters that the glob itself names.

use std::borrow::Cow;

use globset::{Candidate, GlobSet, GlobSetBuilder};
use thiserror::Error;

use crate::host::escaped;

/// Most different characters outside printable ASCII in a glob: one control character for each.
const MAX_SPECIAL: usize = 31;

/// Why a glob can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GlobError {
    /// It is not a glob, or far too large.
    #[error("{0}")]
    Syntax(String),
    /// More different characters outside ASCII than can be told apart.
    #[error("more than {MAX_SPECIAL} different characters outside ASCII")]
    Special,
}

/// One or more globs, as globset writes them: `*`, `?`, `[a-z]`, `{one,two}`. A text matches as
/// a whole, capitals are not small letters, and a range in `[…]` is of ASCII characters.
#[derive(Debug, Clone)]
pub struct Glob {
    globs: GlobSet,
    /// Characters outside printable ASCII that the globs name, sorted.
    special: Vec<char>,
}

impl Glob {
    /// Reads one glob.
    ///
    /// # Errors
    /// When it is malformed or can't be compiled.
    pub fn new(glob: &str) -> Result<Self, GlobError> {
        Self::any(&[glob])
    }

    /// Reads globs of which any may match.
    pub(super) fn any(globs: &[impl AsRef<str>]) -> Result<Self, GlobError> {
        let chars = globs.iter().flat_map(|glob| glob.as_ref().chars());
        let mut special: Vec<char> = chars.filter(|c| is_special(*c)).collect();
        special.sort_unstable();
        special.dedup();
        if special.len() > MAX_SPECIAL {
            return Err(GlobError::Special);
        }
        let mut builder = GlobSetBuilder::new();
        for glob in globs {
            let glob = narrow(glob.as_ref(), &special);
            builder.add(globset::Glob::new(&glob).map_err(|e| syntax(&e))?);
        }
        let globs = builder.build().map_err(|e| syntax(&e))?;
        Ok(Self { globs, special })
    }

    /// Whether the whole of `text` matches.
    pub fn is_match(&self, text: &str) -> bool {
        let text = narrow(text, &self.special);
        self.globs
            .is_match_candidate(&Candidate::from_bytes(text.as_bytes()))
    }
}

fn syntax(error: &globset::Error) -> GlobError {
    GlobError::Syntax(escaped(&error.kind().to_string()))
}

fn is_special(c: char) -> bool {
    !matches!(c, ' '..='~')
}

/// Replaces each special character by a control character of its own, or by NUL when the glob
/// doesn't name it. Control characters are special themselves, so nothing is confused.
fn narrow<'a>(text: &'a str, special: &[char]) -> Cow<'a, str> {
    if !text.chars().any(is_special) {
        return Cow::Borrowed(text);
    }
    let stand_in = |c: char| match special.binary_search(&c) {
        _ if !is_special(c) => c,
        Ok(index) => char::from(u8::try_from(index + 1).unwrap_or(0)),
        Err(_) => '\0',
    };
    Cow::Owned(text.chars().map(stand_in).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_mark_is_one_character() {
        let glob = Glob::new("gr?ße?").unwrap();
        assert!(glob.is_match("größe1"));
        assert!(glob.is_match("große1"));
        assert!(glob.is_match("größeé"));
        assert!(!glob.is_match("größe"));
        assert!(!glob.is_match("gr??e1"));
        assert!(!Glob::new("??").unwrap().is_match("ö"));
    }

    #[test]
    fn characters_are_told_apart() {
        assert!(!Glob::new("ö*").unwrap().is_match("é1"));
        assert!(Glob::new("[öé]1").unwrap().is_match("é1"));
        assert!(!Glob::new("[öé]1").unwrap().is_match("ü1"));
        assert!(!Glob::new("ö").unwrap().is_match("\u{1}"));
        assert!(Glob::new("\u{1}").unwrap().is_match("\u{1}"));
    }

    #[test]
    fn the_whole_text_is_matched_whatever_it_holds() {
        assert!(Glob::new("*").unwrap().is_match(""));
        assert!(Glob::new("*").unwrap().is_match("a/b\nc"));
        assert!(Glob::new("a*b").unwrap().is_match("a/b"));
        assert!(Glob::new("*.org").unwrap().is_match("web1.example.org"));
        assert!(!Glob::new("web").unwrap().is_match("web1"));
        assert!(!Glob::new("web*").unwrap().is_match("WEB1"));
        assert!(Glob::new("").unwrap().is_match(""));
    }

    #[test]
    fn a_malformed_glob_is_an_error() {
        assert!(Glob::new("[a").is_err());
        assert!(Glob::new("{a").is_err());
        let many: String = ('à'..='ÿ').chain('α'..='ω').collect();
        assert_eq!(Glob::new(&many).unwrap_err(), GlobError::Special);
    }
}
