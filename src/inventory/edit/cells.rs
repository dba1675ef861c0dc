//! Where the records and cells of a CSV text are, byte for byte, as the csv crate reads them.

use std::borrow::Cow;
use std::ops::Range;

/// One record.
#[derive(Debug, Default)]
pub(super) struct Record {
    /// Each cell as it is written, quotes and all.
    pub(super) cells: Vec<Range<usize>>,
    /// Where the line end after the last cell ends.
    pub(super) end: usize,
}

impl Record {
    /// Returns where the first cell begins.
    pub(super) fn start(&self) -> usize {
        self.cells.first().map_or(self.end, |cell| cell.start)
    }

    /// Returns where the last cell ends.
    pub(super) fn content_end(&self) -> usize {
        self.cells.last().map_or(self.end, |cell| cell.end)
    }
}

/// Walks through the records of a text.
pub(super) struct Records<'a> {
    pub(super) text: &'a [u8],
    pub(super) delimiter: u8,
    at: usize,
}

impl<'a> Records<'a> {
    pub(super) fn new(text: &'a [u8], delimiter: u8) -> Self {
        let at = 0;
        Self {
            text,
            delimiter,
            at,
        }
    }

    /// Reads the next record that is no empty line; returns whether there was one.
    pub(super) fn read(&mut self, record: &mut Record) -> bool {
        record.cells.clear();
        while matches!(self.text.get(self.at), Some(b'\n' | b'\r')) {
            self.at += 1;
        }
        if self.at >= self.text.len() {
            return false;
        }
        loop {
            let start = self.at;
            self.at = self.cell_end(start);
            record.cells.push(start..self.at);
            if self.text.get(self.at) != Some(&self.delimiter) {
                break;
            }
            self.at += 1;
        }
        self.at += match self.text[self.at..] {
            [b'\r', b'\n', ..] => 2,
            [b'\r' | b'\n', ..] => 1,
            _ => 0,
        };
        record.end = self.at;
        true
    }

    fn cell_end(&self, start: usize) -> usize {
        let text = self.text;
        let mut at = start;
        if text.get(at) == Some(&b'"') {
            at += 1;
            loop {
                let Some(length) = memchr::memchr(b'"', &text[at..]) else {
                    return text.len();
                };
                at += length + 1;
                if text.get(at) != Some(&b'"') {
                    break;
                }
                at += 1;
            }
        }
        let rest = &text[at..];
        let length = memchr::memchr3(self.delimiter, b'\n', b'\r', rest);
        at + length.unwrap_or(rest.len())
    }

    /// Returns what the cell says, without blanks around it.
    pub(super) fn value(&self, record: &Record, index: usize) -> Cow<'a, str> {
        let Some(cell) = record.cells.get(index) else {
            return Cow::Borrowed("");
        };
        let raw = std::str::from_utf8(&self.text[cell.clone()]).unwrap_or("");
        match decoded(raw) {
            Cow::Borrowed(value) => Cow::Borrowed(trimmed(value)),
            Cow::Owned(value) => Cow::Owned(trimmed(&value).to_owned()),
        }
    }

    /// Whether the cell is written in quotes.
    pub(super) fn is_quoted(&self, record: &Record, index: usize) -> bool {
        let cell = record.cells.get(index);
        cell.is_some_and(|cell| self.text.get(cell.start) == Some(&b'"'))
    }
}

fn trimmed(value: &str) -> &str {
    value.trim_matches([' ', '\t'])
}

/// Returns what a cell as it is written says.
pub(super) fn decoded(raw: &str) -> Cow<'_, str> {
    let Some(rest) = raw.strip_prefix('"') else {
        return Cow::Borrowed(raw);
    };
    match rest.find('"') {
        Some(end) if end + 1 == rest.len() => return Cow::Borrowed(&rest[..end]),
        None => return Cow::Borrowed(rest),
        Some(_) => {}
    }
    let mut value = String::with_capacity(rest.len());
    let mut is_open = true;
    let mut chars = rest.chars().peekable();
    while let Some(c) = chars.next() {
        if is_open && c == '"' && chars.next_if_eq(&'"').is_none() {
            is_open = false;
        } else {
            value.push(c);
        }
    }
    Cow::Owned(value)
}

/// Writes a value as a cell, in quotes where it has to be or `is_quoted` says so.
pub(super) fn encoded(value: &str, delimiter: u8, is_quoted: bool) -> String {
    let is_special = |byte: u8| byte == delimiter || matches!(byte, b'"' | b'\n' | b'\r');
    if is_quoted || value.bytes().any(is_special) {
        format!("\"{}\"", value.replace('"', "\"\""))
    } else {
        value.to_owned()
    }
}

/// Whether a text holds nothing but line ends and blanks.
pub(super) fn is_blank(text: &[u8]) -> bool {
    text.trim_ascii().is_empty()
}
