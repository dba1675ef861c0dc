//! A name with ranges in it: `rack[1-2]-node[01-40].example.org`.
//!
//! A [`Template`] knows how many names it stands for without making them; an [`Expansion`] makes
//! them one by one, the last bracket fastest, in memory that doesn't grow. Whether the names are
//! good host names is asked separately, as groups and globs are templates too.

use super::MAX_NAMES;
use super::error::{Fault, Reason};
use super::range::{Cursor, Range};
use crate::host::{HostName, MAX_NAME_BYTES, NameError};

/// Literal text, then brackets, each with the literal text that follows it.
#[derive(Debug, Clone)]
pub(super) struct Template {
    head: Literal,
    brackets: Vec<(Range, Literal)>,
}

/// Text that is in every name, perhaps empty.
#[derive(Debug, Clone)]
struct Literal {
    /// Where it starts in the pattern, in bytes.
    at: usize,
    text: Box<str>,
}

impl Literal {
    /// Takes the part of `text` up to the next bracket or `end`.
    fn until_bracket(text: &str, at: usize, end: usize) -> Self {
        let rest = &text[at..end];
        let text = rest.split('[').next().unwrap_or(rest).into();
        Self { at, text }
    }

    fn end(&self) -> usize {
        self.at + self.text.len()
    }
}

impl Template {
    /// Reads `text` from byte `at` to `end`. Brackets there are balanced and not nested.
    pub(super) fn parse(text: &str, at: usize, end: usize) -> Result<Self, Fault> {
        let head = Literal::until_bracket(text, at, end);
        let mut brackets = Vec::new();
        let mut open = head.end();
        while open < end {
            let close = text[open..end].find(']').map_or(end, |width| open + width);
            let range = Range::parse(text, open + 1..close)?;
            let tail = Literal::until_bracket(text, close + 1, end);
            open = tail.end();
            brackets.push((range, tail));
        }
        let template = Self { head, brackets };
        template.check_size()?;
        Ok(template)
    }

    /// Takes `text`, which starts at byte `at` of the pattern, as it is.
    pub(super) fn literal(at: usize, text: &str) -> Self {
        let text = text.into();
        Self {
            head: Literal { at, text },
            brackets: Vec::new(),
        }
    }

    /// Returns where it starts in the pattern, in bytes.
    pub(super) fn at(&self) -> usize {
        self.head.at
    }

    fn literals(&self) -> impl Iterator<Item = &Literal> {
        let tails = self.brackets.iter().map(|(_, tail)| tail);
        std::iter::once(&self.head).chain(tails)
    }

    /// Whether `*` or `?` is in it.
    pub(super) fn is_glob(&self) -> bool {
        self.literals().any(|l| l.text.contains(['*', '?']))
    }

    /// Returns how many names there are, repetitions included; saturated.
    pub(super) fn count(&self) -> u64 {
        let counts = self.brackets.iter().map(|(range, _)| range.count());
        counts.fold(1, u64::saturating_mul)
    }

    /// Whether it is certain that no name appears twice.
    ///
    /// `[1,11][1,11]` makes `111` in two ways. That can't happen when one can tell, reading a
    /// name from the left, where each value ends: because all are of one width, or because text
    /// follows that starts with neither a digit nor a letter. The last one of several widths
    /// takes what is left.
    pub(super) fn is_distinct(&self) -> bool {
        let mut is_end_known = true;
        self.brackets.iter().all(|(range, tail)| {
            let is_fixed = range.is_fixed_width();
            let is_certain = range.is_distinct() && (is_fixed || is_end_known);
            let delimiter = tail.text.chars().next();
            let is_delimited = delimiter.is_some_and(|c| !c.is_ascii_alphanumeric());
            is_end_known &= is_fixed || is_delimited;
            is_certain
        })
    }

    /// Refuses more than can be made or named.
    fn check_size(&self) -> Result<(), Fault> {
        let count = self.count();
        if count > MAX_NAMES {
            return Err(Fault::new(self.at(), Reason::TooMany { count }));
        }
        let values: usize = self.brackets.iter().map(|(range, _)| range.longest()).sum();
        let length = values + self.literals().map(|l| l.text.len()).sum::<usize>();
        if length > MAX_NAME_BYTES {
            let what = "host name";
            return Err(Fault::new(self.at(), NameError::TooLong { what, length }));
        }
        Ok(())
    }

    /// Refuses a template whose names can't be host names. `*` and `?` are let pass.
    pub(super) fn check_names(&self) -> Result<(), Fault> {
        let mut names = self.expand();
        let first = names.next_name().unwrap_or_default();
        match HostName::parse(&first.replace(['*', '?'], "x")) {
            Ok(_) => Ok(()),
            Err(error @ NameError::Character { .. }) => {
                Err(Fault::new(self.first_bad_character(), error))
            }
            Err(error) => Err(Fault::new(self.at(), error)),
        }
    }

    /// Returns where in the pattern the first character is that no name may hold.
    fn first_bad_character(&self) -> usize {
        let is_bad =
            |c: char| !matches!(c, '*' | '?') && HostName::parse(&format!("x{c}")).is_err();
        let found = self.literals().find_map(|literal| {
            let (index, _) = literal.text.char_indices().find(|(_, c)| is_bad(*c))?;
            Some(literal.at + index)
        });
        found.unwrap_or(self.at())
    }

    /// Makes the names, in the order written.
    pub(super) fn expand(&self) -> Expansion<'_> {
        let wheels = self.brackets.iter().map(|(range, tail)| Wheel {
            offset: self.head.text.len(),
            cursor: Cursor::new(range),
            tail: &tail.text,
        });
        Expansion {
            wheels: wheels.collect(),
            name: self.head.text.to_string(),
            changed: Some(0),
        }
    }
}

/// Makes the names of a [`Template`] one by one.
#[derive(Debug)]
pub(super) struct Expansion<'a> {
    wheels: Vec<Wheel<'a>>,
    name: String,
    /// The first wheel that the next name doesn't share with the one before; `None` at the end.
    changed: Option<usize>,
}

/// One bracket, as a wheel of an odometer.
#[derive(Debug)]
struct Wheel<'a> {
    /// Length of the name before the value.
    offset: usize,
    cursor: Cursor<'a>,
    /// The text that follows the value.
    tail: &'a str,
}

impl Expansion<'_> {
    /// Returns the next name, `None` after the last one.
    pub(super) fn next_name(&mut self) -> Option<&str> {
        let changed = self.changed?;
        if let Some(wheel) = self.wheels.get(changed) {
            self.name.truncate(wheel.offset);
        }
        for wheel in &mut self.wheels[changed..] {
            wheel.offset = self.name.len();
            wheel.cursor.write(&mut self.name);
            self.name.push_str(wheel.tail);
        }
        self.changed = self.wheels.iter_mut().rposition(|w| w.cursor.advance());
        Some(&self.name)
    }
}
