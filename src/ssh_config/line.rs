//! One line of a configuration: a keyword, then arguments split the way OpenSSH splits them.

use std::net::Ipv6Addr;

use thiserror::Error;

use super::keyword::Shape;
use super::setting::{JumpHop, Value};
use crate::host::{Port, escaped};

/// What separates words.
const BLANKS: &[char] = &[' ', '\t', '\r', '\n'];

/// Why a line can't be used.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Flaw {
    /// A keyword stands alone.
    #[error("{keyword} has no value")]
    NoValue {
        /// The keyword, as written.
        keyword: String,
    },
    /// A quote is opened and never closed.
    #[error("a quote is never closed")]
    OpenQuote,
    /// More words than the keyword takes.
    #[error("{keyword} takes one value; a value with blanks needs quotes")]
    TooMany {
        /// The keyword, as written.
        keyword: String,
    },
    /// A value of the wrong kind.
    #[error("{keyword} is `{found}`; expected {expected}")]
    Value {
        /// The keyword, as written.
        keyword: String,
        /// The value, escaped for display.
        found: String,
        /// What would do.
        expected: String,
    },
    /// A condition that isn't one.
    #[error("{0}")]
    Condition(String),
    /// Bytes that are not text.
    #[error("the line is not UTF-8")]
    Encoding,
}

/// A word of a line, and where it starts, in characters from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) column: usize,
}

/// A line with something on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) keyword: &'a str,
    /// Column of the keyword.
    pub(super) column: usize,
    /// What follows, without the blanks around it.
    pub(super) rest: &'a str,
    /// Column where that starts.
    pub(super) rest_column: usize,
}

impl<'a> Line<'a> {
    /// Reads a line; `None` if it is empty or a comment.
    pub(super) fn parse(text: &'a str) -> Option<Self> {
        let text = text.trim_end_matches([' ', '\t', '\r', '\n', '\x0c']);
        let start = text.trim_start_matches(BLANKS);
        if start.is_empty() || start.starts_with('#') {
            return None;
        }
        let (keyword, after) = match start.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
            None => start.split_at(start.find(is_separator).unwrap_or(start.len())),
        };
        let after = after.trim_start_matches(BLANKS);
        let rest = after.strip_prefix('=').unwrap_or(after);
        let rest = rest.trim_start_matches(BLANKS);
        let column_of = |part: &str| text[..text.len() - part.len()].chars().count() + 1;
        Some(Self {
            keyword,
            column: column_of(start),
            rest,
            rest_column: column_of(rest),
        })
    }

    /// Splits what follows the keyword.
    pub(super) fn words(&self) -> Result<Vec<Word>, Flaw> {
        let mut words = split(self.rest)?;
        for word in &mut words {
            word.column += self.rest_column - 1;
        }
        Ok(words)
    }

    /// Reads the value as the keyword takes it.
    pub(super) fn value(&self, shape: Shape) -> Result<Value, Flaw> {
        if self.rest.is_empty() {
            return Err(self.no_value());
        }
        match shape {
            Shape::Rest => {
                let rest = self.rest.trim_start_matches([' ', '\t', '=']);
                return Ok(Value::Text(rest.into()));
            }
            Shape::Jumps => return self.jumps(),
            _ => {}
        }
        let words = self.words()?;
        if words.first().is_none_or(|word| word.text.is_empty()) {
            return Err(self.no_value());
        }
        let takes_many = matches!(
            shape,
            Shape::Files | Shape::Assignments | Shape::VariableNames
        );
        if !takes_many && words.len() > 1 {
            return Err(Flaw::TooMany {
                keyword: escaped(self.keyword),
            });
        }
        self.shaped(shape, words.into_iter().map(|word| word.text).collect())
    }

    fn shaped(&self, shape: Shape, words: Vec<String>) -> Result<Value, Flaw> {
        let first = words[0].as_str();
        match shape {
            Shape::Flag => self
                .choice(first, &["yes", "no"])
                .map(|word| Value::Flag(word == "yes")),
            Shape::Choice(choices) => self
                .choice(first, choices)
                .map(|word| Value::Text(word.into())),
            Shape::Number => number(first)
                .map(Value::Number)
                .ok_or_else(|| self.wrong(first, "a whole number")),
            Shape::Time if first == "none" => Ok(Value::Time(None)),
            Shape::Time => seconds(first)
                .map(|seconds| Value::Time(Some(seconds)))
                .ok_or_else(|| self.wrong(first, "a time such as 90 or 1h30m, or none")),
            Shape::Port => first
                .parse()
                .map(Value::Port)
                .map_err(|_| self.wrong(first, "a number from 1 to 65535")),
            Shape::Files => self.files(words),
            Shape::Assignments => match words.iter().find(|word| !word.contains('=')) {
                Some(word) => Err(self.wrong(word, "NAME=VALUE")),
                None => Ok(Value::Words(words)),
            },
            Shape::VariableNames => match words
                .iter()
                .find(|word| word.contains('=') || word.is_empty())
            {
                Some(word) => Err(self.wrong(word, "names of variables")),
                None => Ok(Value::Words(words)),
            },
            Shape::Argument | Shape::Algorithms => Ok(Value::Text(first.into())),
            Shape::Rest | Shape::Jumps => unreachable!("these are read before words are split"),
        }
    }

    fn choice(&self, found: &str, choices: &[&'static str]) -> Result<&'static str, Flaw> {
        let lower = found.to_ascii_lowercase();
        let word = match lower.as_str() {
            "true" => "yes",
            "false" => "no",
            other => other,
        };
        let mut all = choices.iter();
        all.find(|choice| **choice == word).copied().ok_or_else(|| {
            let expected = format!("one of {}", choices.join(", "));
            self.wrong(found, &expected)
        })
    }

    fn files(&self, words: Vec<String>) -> Result<Value, Flaw> {
        let is_none = |word: &String| word.eq_ignore_ascii_case("none");
        if words.len() > 1 && words.iter().any(is_none) {
            return Err(self.wrong("none", "files, or none alone"));
        }
        match words.iter().find(|word| word.is_empty()) {
            Some(_) => Err(self.wrong("", "files, or none alone")),
            None => Ok(Value::Words(words)),
        }
    }

    fn jumps(&self) -> Result<Value, Flaw> {
        let text = self.rest.trim_start_matches([' ', '\t', '=']);
        let text = text.split('#').next().unwrap_or_default().trim_end();
        if text.eq_ignore_ascii_case("none") {
            return Ok(Value::Jumps(Vec::new()));
        }
        text.split(',')
            .map(|hop| JumpHop::parse(hop).ok_or_else(|| self.wrong(hop, "[user@]host[:port]")))
            .collect::<Result<_, _>>()
            .map(Value::Jumps)
    }

    pub(super) fn no_value(&self) -> Flaw {
        Flaw::NoValue {
            keyword: escaped(self.keyword),
        }
    }

    fn wrong(&self, found: &str, expected: &str) -> Flaw {
        Flaw::Value {
            keyword: escaped(self.keyword),
            found: escaped(found),
            expected: expected.to_owned(),
        }
    }
}

fn is_separator(c: char) -> bool {
    BLANKS.contains(&c) || c == '=' || c == '"'
}

/// Splits at blanks outside quotes. In a word `\'`, `\"`, `\\` and, outside quotes, `\ ` stand for
/// the second character; an unquoted `#` at the start of a word ends the line.
fn split(text: &str) -> Result<Vec<Word>, Flaw> {
    let mut words = Vec::new();
    let mut rest = text.chars().enumerate().peekable();
    while let Some((index, c)) = rest.peek().copied() {
        if c == ' ' || c == '\t' {
            rest.next();
            continue;
        }
        if c == '#' {
            break;
        }
        let mut word = String::new();
        let mut quote = None;
        while let Some((_, c)) = rest.next_if(|(_, c)| quote.is_some() || (*c != ' ' && *c != '\t'))
        {
            let next = rest.peek().map(|(_, c)| *c);
            match c {
                '\\' if is_escaped(next, quote.is_some()) => {
                    word.extend(rest.next().map(|(_, c)| c));
                }
                '"' | '\'' if quote.is_none() => quote = Some(c),
                c if quote == Some(c) => quote = None,
                c => word.push(c),
            }
        }
        if quote.is_some() {
            return Err(Flaw::OpenQuote);
        }
        words.push(Word {
            text: word,
            column: index + 1,
        });
    }
    Ok(words)
}

fn is_escaped(next: Option<char>, is_quoted: bool) -> bool {
    matches!(next, Some('\'' | '"' | '\\')) || (!is_quoted && next == Some(' '))
}

fn number(text: &str) -> Option<u32> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let is_plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_plain.then(|| digits.parse().ok()).flatten()
}

/// Reads a time as `sshd_config(5)`, "TIME FORMATS", has it: numbers with an optional unit, added up.
fn seconds(text: &str) -> Option<u64> {
    let mut total = 0_u64;
    let mut rest = text;
    loop {
        let digits = rest
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(rest.len());
        let number: u64 = rest[..digits].parse().ok()?;
        let mut tail = rest[digits..].chars();
        let unit = match tail.next() {
            None | Some('s' | 'S') => 1,
            Some('m' | 'M') => 60,
            Some('h' | 'H') => 3600,
            Some('d' | 'D') => 86_400,
            Some('w' | 'W') => 604_800,
            Some(_) => return None,
        };
        total = total.checked_add(number.checked_mul(unit)?)?;
        rest = tail.as_str();
        if rest.is_empty() {
            return i32::try_from(total).is_ok().then_some(total);
        }
    }
}

impl JumpHop {
    /// Reads `[user@]host[:port]` or `ssh://[user@]host[:port]`; IPv6 in brackets.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim_matches([' ', '\t']);
        let text = match text.strip_prefix("ssh://") {
            Some(rest) => rest.strip_suffix('/').unwrap_or(rest),
            None => text,
        };
        let (user, place) = match text.rsplit_once('@') {
            Some((user, place)) => (Some(user.parse().ok()?), place),
            None => (None, text),
        };
        let (name, port) = match place.strip_prefix('[') {
            Some(bracketed) => {
                let (name, after) = bracketed.split_once(']')?;
                match after.strip_prefix(':') {
                    Some(port) => (name, Some(port)),
                    None if after.is_empty() => (name, None),
                    None => return None,
                }
            }
            None => match place.split_once(':') {
                Some((name, port)) if !port.contains(':') => (name, Some(port)),
                Some(_) => (place.parse::<Ipv6Addr>().ok().map(|_| place)?, None),
                None => (place, None),
            },
        };
        let port = match port {
            Some(port) => Some(port.parse::<Port>().ok()?),
            None => None,
        };
        Some(Self {
            user,
            name: name.parse().ok()?,
            port,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn texts(line: &str) -> Vec<String> {
        let words = split(line).unwrap();
        words.into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn words_are_split_as_openssh_splits_them() {
        assert_eq!(texts("a b\tc"), ["a", "b", "c"]);
        assert_eq!(texts(r#""a b" 'c d'e"#), ["a b", "c de"]);
        assert_eq!(texts(r"a\ b a\b \\ \' "), ["a b", r"a\b", r"\", "'"]);
        assert_eq!(texts(r#""a\ b" "#), [r"a\ b"]);
        assert_eq!(texts("a#b # c"), ["a#b"]);
        assert_eq!(texts(r#""""#), [""]);
        assert_eq!(split("'a"), Err(Flaw::OpenQuote));
    }

    #[test]
    fn a_keyword_may_be_followed_by_one_equals_sign() {
        for text in [
            "Port 22",
            "Port=22",
            "  Port = 22 ",
            "Port\t=22\r\n",
            "\"Port\" 22",
        ] {
            let line = Line::parse(text).unwrap();
            assert_eq!((line.keyword, line.rest), ("Port", "22"), "{text:?}");
        }
        for text in ["", " \t", "# Port 22", "  #"] {
            assert_eq!(Line::parse(text), None);
        }
        let line = Line::parse("  Port = 22").unwrap();
        assert_eq!((line.column, line.rest_column), (3, 10));
    }

    #[test]
    fn times_add_up() {
        for (text, expected) in [("90", 90), ("1h30m", 5400), ("1w1D1s", 691_201), ("0", 0)] {
            assert_eq!(seconds(text), Some(expected));
        }
        for text in ["", "1x", "m", "-1", "1.5", "99999999999"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }

    #[test]
    fn hops_name_a_host_and_perhaps_user_and_port() {
        let shown = |text| JumpHop::parse(text).map(|hop| hop.to_string());
        for text in ["a", "me@a", "a:2222", "me@[::1]:22"] {
            assert_eq!(shown(text).as_deref(), Some(text));
        }
        assert_eq!(shown("ssh://me@a:22/").as_deref(), Some("me@a:22"));
        assert_eq!(shown("fe80::1").as_deref(), Some("[fe80::1]"));
        for text in [
            "",
            "@a",
            "a:",
            "a:x",
            "[a",
            "[a]x",
            "-oProxyCommand=x",
            "a b",
        ] {
            assert_eq!(shown(text), None, "{text}");
        }
    }

    const SHAPES: [Shape; 11] = [
        Shape::Argument,
        Shape::Files,
        Shape::Rest,
        Shape::Flag,
        Shape::Choice(&["yes", "no"]),
        Shape::Number,
        Shape::Time,
        Shape::Port,
        Shape::Algorithms,
        Shape::Jumps,
        Shape::Assignments,
    ];

    proptest! {
        #[test]
        fn no_line_makes_the_reader_panic(text in "[ \t]{0,2}[A-Za-z\"]{0,9}[ =\"']{0,3}\\PC{0,40}") {
            if let Some(line) = Line::parse(&text) {
                let width = text.chars().count();
                for word in line.words().unwrap_or_default() {
                    prop_assert!((1..=width).contains(&word.column));
                }
                for shape in SHAPES {
                    let _ = line.value(shape);
                }
            }
        }

        #[test]
        fn a_hop_that_is_read_is_shown_so_that_it_is_read_again(text in "[a-z@:.\\[\\]0-9]{0,16}") {
            if let Some(hop) = JumpHop::parse(&text) {
                prop_assert_eq!(JumpHop::parse(&hop.to_string()), Some(hop));
            }
        }
    }
}
