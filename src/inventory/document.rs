//! The text of one source and the way from an offset in it back to line and column.
//!
//! Lines end with LF, CRLF or a lone CR. Columns are counted in characters, from 1; byte order
//! marks before it are no part of the text.

use std::cell::{Cell, OnceCell};
use std::path::PathBuf;
use std::sync::Arc;

use super::error::{Flaw, InventoryError, Place};

/// Byte order mark that spreadsheets put before UTF-8.
const UTF8_MARK: &[u8] = b"\xef\xbb\xbf";

/// A source that was read.
#[derive(Debug)]
pub(super) struct Document {
    /// Name shown in errors, escaped for display.
    pub(super) name: Arc<str>,
    /// The file it came from, if it is one that can include others.
    pub(super) path: Option<PathBuf>,
    /// Content without byte order marks.
    bytes: Vec<u8>,
    /// Offsets at which lines start, once somebody asked for a place.
    starts: OnceCell<Vec<usize>>,
    /// Offset and column of the last place asked for: places in one long line are asked for in
    /// order, and each must not cost the whole line.
    last: Cell<(usize, usize)>,
}

impl Document {
    /// Keeps `bytes`, whose name in errors is `name`.
    pub(super) fn new(name: Arc<str>, path: Option<PathBuf>, mut bytes: Vec<u8>) -> Self {
        // All of them: programs that copy a marked text may mark it again, and the csv crate takes
        // one away of which the places would know nothing.
        let marks = bytes
            .chunks(UTF8_MARK.len())
            .take_while(|chunk| *chunk == UTF8_MARK);
        let length = marks.count() * UTF8_MARK.len();
        bytes.drain(..length);
        Self {
            name,
            path,
            bytes,
            starts: OnceCell::new(),
            last: Cell::new((0, 1)),
        }
    }

    /// Returns the content.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Gives the content back.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Returns the content as text.
    ///
    /// # Errors
    /// At the first byte that is not UTF-8.
    pub(super) fn text(&self) -> Result<&str, InventoryError> {
        std::str::from_utf8(&self.bytes).map_err(|error| {
            let offset = error.valid_up_to();
            not_utf8(self.bytes[offset]).at(self.place(offset))
        })
    }

    /// Returns the place of the byte at `offset`.
    pub(super) fn place(&self, offset: usize) -> Place {
        let offset = offset.min(self.bytes.len());
        let line = self.line(offset);
        let start = self.starts()[line - 1];
        let (from, column) = match self.last.get() {
            last if (start..=offset).contains(&last.0) => last,
            _ => (start, 1),
        };
        let is_first_byte = |byte: &&u8| (**byte & 0xc0) != 0x80;
        let between = self.bytes[from..offset].iter().filter(is_first_byte);
        let column = column + between.count();
        self.last.set((offset, column));
        Place {
            source: Arc::clone(&self.name),
            line,
            column,
        }
    }

    /// Returns the line of the byte at `offset`, from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        self.starts().partition_point(|start| *start <= offset)
    }

    fn starts(&self) -> &[usize] {
        self.starts
            .get_or_init(|| lines(&self.bytes).map(|(start, _)| start).collect())
    }
}

/// Returns what is said of a byte that is not UTF-8.
pub(super) fn not_utf8(byte: u8) -> Flaw {
    Flaw::unexpected(
        format!("byte 0x{byte:02x}, which is not UTF-8"),
        "UTF-8 (save the file as UTF-8)",
    )
}

/// Yields each line's offset and content without its end; the last one may be empty.
pub(super) fn lines(bytes: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut rest = Some(0);
    std::iter::from_fn(move || {
        let start = rest?;
        let end = memchr::memchr2(b'\n', b'\r', &bytes[start..]).map(|length| start + length);
        rest = end.map(|end| {
            end + if bytes[end..].starts_with(b"\r\n") {
                2
            } else {
                1
            }
        });
        Some((start, &bytes[start..end.unwrap_or(bytes.len())]))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> Document {
        Document::new("x".into(), None, text.into())
    }

    #[test]
    fn every_kind_of_line_end_ends_one_line() {
        let text: Vec<_> = lines(b"a\nb\r\nc\rd\n").collect();
        let expected: [(usize, &[u8]); 5] = [(0, b"a"), (2, b"b"), (5, b"c"), (7, b"d"), (9, b"")];
        assert_eq!(text, expected);
    }

    #[test]
    fn places_count_lines_and_characters() {
        let document = document("a\r\nbé x\ry");
        for (offset, line, column) in [
            (0, 1, 1),
            (3, 2, 1),
            (7, 2, 4),
            (9, 3, 1),
            (99, 3, 2),
            (5, 2, 3),
        ] {
            let place = document.place(offset);
            assert_eq!((place.line, place.column), (line, column), "{offset}");
        }
    }

    #[test]
    fn byte_order_marks_are_no_text() {
        for marked in ["\u{feff}name", "\u{feff}\u{feff}name"] {
            assert_eq!(document(marked).text().unwrap(), "name");
        }
    }

    #[test]
    fn other_encodings_are_named_with_their_place() {
        let document = Document::new("x".into(), None, b"ok\nna\xefve".to_vec());
        insta::assert_snapshot!(
            document.text().unwrap_err(),
            @"x:2:3: found byte 0xef, which is not UTF-8; expected UTF-8 (save the file as UTF-8)"
        );
    }
}
