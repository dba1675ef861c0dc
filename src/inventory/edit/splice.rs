//! A text copied with pieces of it replaced, front to back.

use std::ops::Range;

/// A copy in the making.
pub(super) struct Splice<'a> {
    from: &'a [u8],
    /// Everything before this is decided.
    at: usize,
    out: Vec<u8>,
    /// Whether the last line was taken away, and had no end.
    has_lost_open_line: bool,
}

impl<'a> Splice<'a> {
    pub(super) fn new(from: &'a [u8]) -> Self {
        Self {
            from,
            at: 0,
            out: Vec::with_capacity(from.len() + 256),
            has_lost_open_line: false,
        }
    }

    /// Puts `bytes` in the place of `range`, which comes after every one before.
    pub(super) fn replace(&mut self, range: Range<usize>, bytes: &[u8]) {
        self.out.extend_from_slice(&self.from[self.at..range.start]);
        self.out.extend_from_slice(bytes);
        self.at = range.end;
    }

    /// Takes the whole lines of `range` away, their ends included.
    pub(super) fn remove_lines(&mut self, range: Range<usize>) {
        let is_open = !is_ended(&self.from[..range.end]);
        self.has_lost_open_line |= is_open;
        self.replace(range, b"");
    }

    /// Copies the rest and returns all.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.out.extend_from_slice(&self.from[self.at..]);
        if self.has_lost_open_line {
            // The line before is the last one now, and ends as the last one did.
            let ends: [&[u8]; 3] = [b"\r\n", b"\n", b"\r"];
            let end = ends.iter().find(|end| self.out.ends_with(end));
            let length = self.out.len() - end.map_or(0, |end| end.len());
            self.out.truncate(length);
        }
        self.out
    }
}

/// Whether nothing stands after the last line end.
pub(super) fn is_ended(text: &[u8]) -> bool {
    matches!(text.last(), None | Some(b'\n' | b'\r'))
}

/// Returns how the first line of `text` ends, or else a line feed.
pub(super) fn line_end(text: &[u8]) -> &'static [u8] {
    match memchr::memchr2(b'\n', b'\r', text) {
        Some(at) if text[at..].starts_with(b"\r\n") => b"\r\n",
        Some(at) if text[at] == b'\r' => b"\r",
        _ => b"\n",
    }
}
