//! What shapes a text inventory: `[group]` headings, `#include` lines, and whose words it speaks.

use super::attribute::is_ipv6;
use super::document::lines;
use super::error::{Flaw, InventoryError, Place, shown};

/// What is known of a file before its first line is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dialect {
    pub(super) has_headings: bool,
    /// Whether keys are named as Ansible names them.
    pub(super) is_ansible: bool,
}

impl Dialect {
    /// Looks through a whole file.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let mut dialect = Self {
            has_headings: false,
            is_ansible: false,
        };
        for (_, line) in lines(bytes) {
            let line = line.trim_ascii_start();
            match line.first() {
                None | Some(b'#' | b';') => {}
                Some(b'[') => dialect.has_headings |= is_heading(line),
                Some(_) => dialect.is_ansible |= has_ansible_key(line),
            }
        }
        dialect
    }
}

/// Returns whether `line` is a heading that could be read; this only looks, errors come later.
fn is_heading(line: &[u8]) -> bool {
    let place = Place {
        source: "".into(),
        line: 1,
        column: 1,
    };
    let text = std::str::from_utf8(line).ok();
    text.is_some_and(|text| matches!(heading(text, &place), Ok(Some(_))))
}

/// Returns whether a word of `line` is `ansible_…=`, with or without blanks before the `=`.
fn has_ansible_key(line: &[u8]) -> bool {
    let prefix = b"ansible_";
    memchr::memmem::find_iter(line, prefix).any(|at| {
        let is_start = at == 0 || line[at - 1].is_ascii_whitespace();
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        let rest = &line[at + prefix.len()..];
        let length = rest.iter().take_while(|byte| is_word(byte)).count();
        is_start && rest[length..].trim_ascii_start().starts_with(b"=")
    })
}

/// The inner text of a heading, and its place.
pub(super) struct Heading<'a> {
    pub(super) text: &'a str,
    pub(super) place: Place,
}

/// Returns the heading that `line` is, if it is one: brackets around a name that end the line.
///
/// `[::1]` and `[a-c]1` are hosts.
pub(super) fn heading<'a>(
    line: &'a str,
    start: &Place,
) -> Result<Option<Heading<'a>>, InventoryError> {
    let indent = line.len() - line.trim_ascii_start().len();
    let Some(inner) = line[indent..].strip_prefix('[') else {
        return Ok(None);
    };
    let place = place_in(line, start, indent + 1);
    let Some((text, rest)) = inner.split_once(']') else {
        let found = format!("`[{}`", shown(inner.trim_ascii_end()));
        return Err(Flaw::unexpected(found, "a `]` at the end of the heading").at(place));
    };
    let rest = rest.trim_ascii_start();
    let is_last = rest.is_empty() || rest.starts_with(['#', ';']);
    Ok((is_last && !is_ipv6(text)).then_some(Heading { text, place }))
}

/// Returns the file that a pdsh `#include FILE` names; with more words it is a comment.
pub(super) fn included(line: &[u8]) -> Option<&str> {
    let rest = std::str::from_utf8(line).ok()?.strip_prefix("#include")?;
    let mut words = rest.split_ascii_whitespace();
    let file = words.next()?;
    (rest.starts_with([' ', '\t']) && words.next().is_none()).then_some(file)
}

/// Returns the place of the byte `offset` of a line.
pub(super) fn place_in(line: &str, start: &Place, offset: usize) -> Place {
    Place {
        column: line[..offset].chars().count() + 1,
        ..start.clone()
    }
}
