//! The first and the last lines of an output of any size, in bounded memory.

use std::collections::VecDeque;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::sanitize::sanitize;
use super::words::count;

/// Lines kept from the start.
const HEAD: usize = 4;
/// Lines kept from the end.
const TAIL: usize = 5;
/// Bytes kept of a line.
const LINE: usize = 480;

/// What is kept of an output.
#[derive(Debug, Default)]
pub(super) struct Excerpt {
    head: Vec<Line>,
    tail: VecDeque<Line>,
    /// Lines that have neither place.
    missing: u64,
    /// The line that has no end yet.
    line: Option<Line>,
}

#[derive(Debug, Default)]
struct Line {
    bytes: Vec<u8>,
    is_cut: bool,
}

impl Line {
    fn push(&mut self, bytes: &[u8]) {
        let room = LINE - self.bytes.len();
        self.is_cut |= bytes.len() > room;
        self.bytes
            .extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// Returns the line harmless and without tabs, at most `width` characters long.
    fn text(&self, width: usize) -> String {
        let bytes = match &self.bytes[..] {
            [rest @ .., b'\r'] => rest,
            bytes if self.is_cut => without_cut_character(bytes),
            bytes => bytes,
        };
        let text = expand_tabs(&sanitize(bytes));
        shorten(text.trim_end(), width, self.is_cut)
    }
}

impl Excerpt {
    /// Takes the next piece of the output.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        for piece in self.skip(bytes).split_inclusive(|byte| *byte == b'\n') {
            let line = self.line.get_or_insert_default();
            match piece.strip_suffix(b"\n") {
                None => line.push(piece),
                Some(end) => {
                    line.push(end);
                    self.end_line();
                }
            }
        }
    }

    /// Returns the rest of `bytes` after lines that are sure to be missing, and counts those.
    fn skip<'a>(&mut self, bytes: &'a [u8]) -> &'a [u8] {
        if self.head.len() < HEAD {
            return bytes;
        }
        let Some(end) = memchr::memrchr_iter(b'\n', bytes).nth(TAIL) else {
            return bytes;
        };
        let (skipped, rest) = bytes.split_at(end + 1);
        let lines = memchr::memchr_iter(b'\n', skipped).count() + self.tail.len();
        self.missing += lines as u64;
        self.tail.clear();
        self.line = None;
        rest
    }

    fn end_line(&mut self) {
        let Some(line) = self.line.take() else {
            return;
        };
        if self.head.len() < HEAD {
            return self.head.push(line);
        }
        self.tail.push_back(line);
        if self.tail.len() > TAIL {
            self.tail.pop_front();
            self.missing += 1;
        }
    }

    /// Whether nothing was written but blanks.
    pub(super) fn is_blank(&self) -> bool {
        let mut lines = self.head.iter().chain(&self.tail).chain(&self.line);
        self.missing == 0 && lines.all(|line| line.bytes.trim_ascii().is_empty())
    }

    /// Returns the first and the last lines, but blank ones at either end, each at most `width` characters long, and between
    /// them how many are missing.
    pub(super) fn ends(&mut self, width: usize) -> String {
        self.end_line();
        let mut lines: Vec<String> = self.head.iter().map(|line| line.text(width)).collect();
        if self.missing > 0 {
            lines.push(missing(self.missing));
        }
        lines.extend(self.tail.iter().map(|line| line.text(width)));
        lines.join("\n").trim_matches('\n').to_owned()
    }

    /// Returns the last lines, each at most `width` characters long, after how many are missing.
    pub(super) fn last(&mut self, width: usize) -> String {
        self.end_line();
        let before = self.missing + (self.head.len() + self.tail.len()).saturating_sub(TAIL) as u64;
        if before <= 1 {
            return self.ends(width);
        }
        let lines: Vec<&Line> = self.head.iter().chain(&self.tail).collect();
        let last = &lines[lines.len() - TAIL..];
        let texts = last.iter().map(|line| line.text(width));
        let texts: Vec<String> = std::iter::once(missing(before)).chain(texts).collect();
        texts.join("\n").trim_end_matches('\n').to_owned()
    }
}

fn missing(lines: u64) -> String {
    let plural = if lines == 1 { "" } else { "s" };
    format!("… {} more line{plural} …", count(lines))
}

/// Returns `bytes` without the start of a character at their end.
fn without_cut_character(bytes: &[u8]) -> &[u8] {
    let cut = bytes.utf8_chunks().last();
    let cut = cut.map_or(0, |chunk| chunk.invalid().len());
    &bytes[..bytes.len() - cut]
}

fn expand_tabs(text: &str) -> String {
    let mut expanded = String::with_capacity(text.len());
    for (index, part) in text.split('\t').enumerate() {
        if index > 0 {
            let column = expanded.width();
            expanded.extend(std::iter::repeat_n(' ', 8 - column % 8));
        }
        expanded.push_str(part);
    }
    expanded
}

/// Returns `text` in at most `width` columns, with `…` at its end where something is missing.
fn shorten(text: &str, width: usize, is_cut: bool) -> String {
    if !is_cut && text.width() <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for c in text.chars() {
        used += c.width().unwrap_or(0);
        if used + 1 > width {
            break;
        }
        kept.push(c);
    }
    kept.push('…');
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn excerpt(bytes: &[u8]) -> Excerpt {
        let mut excerpt = Excerpt::default();
        excerpt.push(bytes);
        excerpt
    }

    fn numbered(lines: usize) -> Vec<u8> {
        (1..=lines)
            .flat_map(|n| format!("{n}\n").into_bytes())
            .collect()
    }

    #[test]
    fn few_lines_are_shown_as_they_are() {
        assert_eq!(excerpt(b"a\n\n  b").ends(80), "a\n\n  b");
        assert_eq!(excerpt(b"").ends(80), "");
        assert_eq!(excerpt(&numbered(9)).ends(80), "1\n2\n3\n4\n5\n6\n7\n8\n9");
    }

    #[test]
    fn of_many_lines_the_ends_are_shown() {
        let shown = "1\n2\n3\n4\n… 1,991 more lines …\n1996\n1997\n1998\n1999\n2000";
        assert_eq!(excerpt(&numbered(2000)).ends(80), shown);
        let shown = "… 1,995 more lines …\n1996\n1997\n1998\n1999\n2000";
        assert_eq!(excerpt(&numbered(2000)).last(80), shown);
        assert_eq!(excerpt(&numbered(6)).last(80), "1\n2\n3\n4\n5\n6");
        assert_eq!(
            excerpt(&numbered(7)).last(80),
            "… 2 more lines …\n3\n4\n5\n6\n7"
        );
    }

    #[test]
    fn long_lines_are_shortened_between_characters() {
        assert_eq!(excerpt(b"0123456789\n").ends(5), "0123…");
        assert_eq!(excerpt("日本語".as_bytes()).ends(5), "日本…");
        let long = "ü".repeat(1 << 20);
        let shown = excerpt(format!("x{long}").as_bytes()).ends(9999);
        assert_eq!(shown, format!("x{}…", "ü".repeat(239)));
    }

    #[test]
    fn tabs_and_control_characters_keep_the_columns() {
        assert_eq!(excerpt(b"a\tb\r\n\x1b[1m").ends(80), "a       b\n^[[1m");
    }

    #[test]
    fn blank_output_is_known() {
        assert!(excerpt(b" \n\t\r\n").is_blank());
        assert!(!excerpt(b"\n.").is_blank());
    }

    proptest! {
        #[test]
        fn cuts_make_no_difference(text in "[a\n]{0,60}", size in 1_usize..40) {
            let mut pieces = Excerpt::default();
            for piece in text.as_bytes().chunks(size) {
                pieces.push(piece);
            }
            prop_assert_eq!(pieces.ends(80), excerpt(text.as_bytes()).ends(80));
        }

        #[test]
        fn lines_are_counted(lines in 0_usize..200, size in 1_usize..300) {
            let mut pieces = Excerpt::default();
            for piece in numbered(lines).chunks(size) {
                pieces.push(piece);
            }
            let text = pieces.ends(80);
            let shown = text.lines().filter(|line| !line.starts_with('…')).count();
            prop_assert_eq!(shown as u64 + pieces.missing, lines as u64);
        }
    }
}
