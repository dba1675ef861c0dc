//! A line of a text inventory cut into words, as Ansible cuts it.
//!
//! The rules are those of Python's `shlex.split(comments=True)`: blanks separate, `'…'` and `"…"`
//! join, a backslash escapes, `#` outside quotes starts a comment wherever it stands.

use super::attribute::Attribute;
use super::error::{Flaw, InventoryError, Place, shown};

/// What is expected after the host on a line.
pub(super) const EXPECTED_PAIR: &str = "key=value";

/// What is expected where a second host might be meant.
const EXPECTED_NO_HOST: &str = "key=value (hosts have a line each, or commas between)";

/// One word of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word<'a> {
    /// One-based column, in characters.
    pub(super) column: usize,
    /// As it is written, quotes and all.
    pub(super) raw: &'a str,
    /// With quotes and backslashes acted upon.
    pub(super) text: String,
}

impl Word<'_> {
    /// Returns the word's place on the line that begins at `start`.
    pub(super) fn place(&self, start: &Place) -> Place {
        Place {
            column: self.column,
            ..start.clone()
        }
    }

    /// Whether this is `key=value`.
    pub(super) fn is_pair(&self) -> bool {
        self.text.contains('=')
    }

    /// Returns key and value.
    ///
    /// # Errors
    /// When this is something else.
    pub(super) fn pair<'a>(&'a self, start: &Place) -> Result<(&'a str, &'a str), InventoryError> {
        match self.text.split_once('=') {
            Some((key, value)) => Ok((key, unquoted(value))),
            None => Err(self.no_pair(start)),
        }
    }

    /// Returns the error that this is not `key=value`.
    pub(super) fn no_pair(&self, start: &Place) -> InventoryError {
        let found = format!("`{}`", shown(self.raw));
        Flaw::unexpected(found, EXPECTED_NO_HOST).at(self.place(start))
    }

    /// Returns where the value of a pair starts, after an opening quote.
    pub(super) fn value_place(&self, start: &Place) -> Place {
        let key = self.raw.split_once('=').map_or("", |(key, _)| key);
        let value = &self.raw[key.len()..];
        let quotes = value
            .chars()
            .skip(1)
            .take_while(|c| matches!(c, '"' | '\''));
        Place {
            column: self.column + key.chars().count() + 1 + quotes.count(),
            ..start.clone()
        }
    }

    /// Whether this is the pair that a conflict is about.
    pub(super) fn is_about(&self, flaw: &Flaw) -> bool {
        match (flaw, self.text.split_once('=')) {
            (Flaw::Conflict { field, .. }, Some((key, value))) => {
                let known = Attribute::of_ansible(key, value).map(|(known, _)| known.as_str());
                key == field || known == Some(field)
            }
            _ => false,
        }
    }
}

/// What a character is part of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    Between,
    Bare,
    /// Within quotes that were opened at that column.
    Quoted(char, usize),
}

/// Cuts `line` into words.
///
/// # Errors
/// When a quote is never closed, or a backslash is the last character.
pub(super) fn words(line: &str) -> Result<Vec<Word<'_>>, Flaw> {
    let mut words: Vec<Word<'_>> = Vec::new();
    let mut state = State::Between;
    let mut start = 0;
    let mut chars = line.char_indices().zip(1..);
    while let Some(((at, c), column)) = chars.next() {
        if state == State::Between {
            match c {
                '#' => return Ok(words),
                c if c.is_ascii_whitespace() => continue,
                _ => {}
            }
            (state, start) = (State::Bare, at);
            words.push(Word {
                column,
                raw: "",
                text: String::new(),
            });
        }
        let word = words.last_mut().expect("a word was begun");
        match (state, c) {
            (State::Bare, '#') => {
                word.raw = &line[start..at];
                return Ok(words);
            }
            (State::Bare, c) if c.is_ascii_whitespace() => {
                word.raw = &line[start..at];
                state = State::Between;
            }
            (State::Bare, '\'' | '"') => state = State::Quoted(c, column),
            (State::Quoted(quote, _), c) if c == quote => state = State::Bare,
            (State::Bare | State::Quoted('"', _), '\\') => {
                let Some(((_, escaped), _)) = chars.next() else {
                    return Err(dangling(column));
                };
                let is_kept = state != State::Bare && !matches!(escaped, '"' | '\\');
                word.text.extend(is_kept.then_some('\\'));
                word.text.push(escaped);
            }
            (_, c) => word.text.push(c),
        }
    }
    match (state, words.last_mut()) {
        (State::Quoted(quote, column), _) => return Err(unclosed(quote, column)),
        (State::Bare, Some(word)) => word.raw = &line[start..],
        _ => {}
    }
    Ok(words)
}

/// Strips the quotes of a value that is one Python string, as Ansible does once more after cutting.
pub(super) fn unquoted(value: &str) -> &str {
    let inner = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    match inner('\'').or_else(|| inner('"')) {
        Some(inner) if !inner.contains(['\\', value.as_bytes()[0] as char]) => inner,
        _ => value,
    }
}

/// Returns the value of a `[group:vars]` line: a quoted text, or everything up to a comment.
///
/// Unlike on host lines a `#` within a word is kept, as Ansible keeps it.
pub(super) fn literal(value: &str) -> &str {
    let value = value.trim_ascii();
    if let Some(quote @ ('"' | '\'')) = value.chars().next()
        && let Some(length) = value[1..].find(quote)
    {
        let rest = value[length + 2..].trim_ascii_start();
        if rest.is_empty() || rest.starts_with('#') {
            return unquoted(&value[..length + 2]);
        }
    }
    let is_comment = |at: &usize| *at == 0 || value.as_bytes()[at - 1].is_ascii_whitespace();
    let comment = value.match_indices('#').map(|(at, _)| at).find(is_comment);
    value[..comment.unwrap_or(value.len())].trim_ascii_end()
}

fn unclosed(quote: char, column: usize) -> Flaw {
    Flaw::Unexpected {
        found: format!("a `{quote}` that is never closed"),
        expected: format!("another `{quote}`"),
        offset: column - 1,
    }
}

fn dangling(column: usize) -> Flaw {
    Flaw::Unexpected {
        found: "a backslash at the end of the line".to_owned(),
        expected: "a character after it".to_owned(),
        offset: column - 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(line: &str) -> Vec<String> {
        let words = words(line).unwrap();
        words.into_iter().map(|word| word.text).collect()
    }

    /// Checked against Python: `shlex.split(line, comments=True)`.
    #[test]
    fn lines_are_cut_as_python_cuts_them() {
        assert_eq!(texts("a b=c#d e"), ["a", "b=c"]);
        assert_eq!(texts(r#"a b="x # y" # z"#), ["a", "b=x # y"]);
        assert_eq!(texts(r"a b=c\ d"), ["a", "b=c d"]);
        assert_eq!(texts(r#"a m="'03#pa'""#), ["a", "m='03#pa'"]);
        assert_eq!(texts(r#"a x="a\nb\"c""#), ["a", r#"x=a\nb"c"#]);
        assert_eq!(texts("a b= c"), ["a", "b=", "c"]);
        assert_eq!(texts("a b=''"), ["a", "b="]);
        assert_eq!(texts(r"a b='x\'y"), ["a", r"b=x\y"]);
        assert_eq!(texts("  # a"), [""; 0]);
    }

    #[test]
    fn words_know_their_column_and_how_they_were_written() {
        let found = words("  é 'a b'c d#").unwrap();
        let seen: Vec<_> = found.iter().map(|word| (word.column, word.raw)).collect();
        assert_eq!(seen, [(3, "é"), (5, "'a b'c"), (12, "d")]);
    }

    #[test]
    fn open_ends_are_shown_where_they_begin() {
        insta::assert_snapshot!(words("a b=\"c").unwrap_err(), @"found a `\"` that is never closed; expected another `\"`");
        insta::assert_snapshot!(words("a\\").unwrap_err(), @"found a backslash at the end of the line; expected a character after it");
    }

    #[test]
    fn a_value_that_is_one_python_string_loses_its_quotes() {
        assert_eq!(unquoted("'03#pa'"), "03#pa");
        assert_eq!(unquoted("\"x\""), "x");
        for kept in ["'a'b'", "'a", "'", "''a'", "a'", r"'\n'"] {
            assert_eq!(unquoted(kept), kept);
        }
    }
}
