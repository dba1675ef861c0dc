//! Records as CSV and TSV, with a header, in inventory order.
//!
//! CSV is RFC 4180 with LF line ends, as Unix tools expect; bytes stay as they are, inside quotes
//! where needed. TSV has one line a host: tab, line feed, carriage return and backslash within a
//! cell are written `\t`, `\n`, `\r`, `\\`, so that `cut` and `awk` see the right columns. Both
//! make control characters visible when the writer is a terminal.

use std::io::{self, Write};

use super::Options;
use super::outputs::{fill, piece_for};
use super::record::{FIELDS, Record, Value};
use super::records::Encoding;
use super::sanitize::{Sanitizer, sanitize};
use crate::spool::Spool;

/// What makes a spreadsheet run a cell as a formula when it begins it (OWASP, CSV Injection); the
/// last four are the full-width forms of the first.
const FORMULAS: [&str; 11] = [
    "=", "+", "-", "@", "\t", "\r", "\n", "\u{ff1d}", "\u{ff0b}", "\u{ff0d}", "\u{ff20}",
];

/// What both have in common.
#[derive(Debug, Clone, Copy)]
struct Cells {
    is_safe: bool,
    is_terminal: bool,
}

/// Comma-separated.
pub(super) struct Csv(Cells);

/// Tab-separated.
pub(super) struct Tsv(Cells);

impl Csv {
    pub(super) fn new(options: &Options) -> Self {
        Self(Cells::new(options))
    }
}

impl Tsv {
    pub(super) fn new(options: &Options) -> Self {
        Self(Cells::new(options))
    }
}

impl Encoding for Csv {
    const IS_ORDERED: bool = true;

    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", FIELDS.join(","))
    }

    fn record(&mut self, out: &mut dyn Write, record: &Record, _: usize) -> io::Result<()> {
        for (index, value) in record.values().into_iter().enumerate() {
            if index > 0 {
                out.write_all(b",")?;
            }
            let is_quoted = match &value {
                Value::Text(text) => text.contains([',', '"', '\n', '\r']),
                Value::Output(spool) => !spool.is_empty(),
                _ => false,
            };
            let quote: &[u8] = if is_quoted { b"\"" } else { b"" };
            out.write_all(quote)?;
            self.0.write(out, &value, write_doubled)?;
            out.write_all(quote)?;
        }
        out.write_all(b"\n")
    }
}

impl Encoding for Tsv {
    const IS_ORDERED: bool = true;

    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        writeln!(out, "{}", FIELDS.join("\t"))
    }

    fn record(&mut self, out: &mut dyn Write, record: &Record, _: usize) -> io::Result<()> {
        for (index, value) in record.values().into_iter().enumerate() {
            if index > 0 {
                out.write_all(b"\t")?;
            }
            self.0.write(out, &value, write_escaped)?;
        }
        out.write_all(b"\n")
    }
}

impl Cells {
    fn new(options: &Options) -> Self {
        Self {
            is_safe: options.is_csv_safe,
            is_terminal: options.is_terminal,
        }
    }

    /// Writes a cell through `encode`, which must not mind where its pieces are cut.
    fn write(self, out: &mut dyn Write, value: &Value, encode: Encode) -> io::Result<()> {
        match value {
            Value::Null => Ok(()),
            Value::Bool(is_true) => write!(out, "{is_true}"),
            Value::Number(number) => write!(out, "{number}"),
            Value::Text(text) => {
                self.defuse(out, text.as_bytes())?;
                if self.is_terminal {
                    return encode(out, sanitize(text.as_bytes()).as_bytes());
                }
                encode(out, text.as_bytes())
            }
            Value::Output(spool) => self.write_output(out, spool, encode),
        }
    }

    fn write_output(self, out: &mut dyn Write, spool: &Spool, encode: Encode) -> io::Result<()> {
        let mut reader = spool.reader();
        let mut piece = piece_for(spool);
        let mut sanitizer = self.is_terminal.then(Sanitizer::default);
        let mut shown = String::new();
        let mut is_first = true;
        loop {
            let n = fill(&mut reader, &mut piece)?;
            let (bytes, is_last) = (&piece[..n], n < piece.len());
            if std::mem::take(&mut is_first) {
                self.defuse(out, bytes)?;
            }
            if let Some(sanitizer) = &mut sanitizer {
                shown.clear();
                sanitizer.push(bytes, &mut shown);
                if is_last {
                    sanitizer.finish(&mut shown);
                }
                encode(out, shown.as_bytes())?;
            } else {
                encode(out, bytes)?;
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// Keeps a spreadsheet from running a cell that begins like this.
    fn defuse(self, out: &mut dyn Write, start: &[u8]) -> io::Result<()> {
        let is_formula = FORMULAS
            .iter()
            .any(|sign| start.starts_with(sign.as_bytes()));
        if self.is_safe && is_formula {
            out.write_all(b"'")?;
        }
        Ok(())
    }
}

/// Writes a piece of a cell.
type Encode = fn(&mut dyn Write, &[u8]) -> io::Result<()>;

/// Writes bytes with their quotes doubled.
fn write_doubled(out: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    let mut rest = bytes;
    while let Some(at) = memchr::memchr(b'"', rest) {
        out.write_all(&rest[..=at])?;
        out.write_all(b"\"")?;
        rest = &rest[at + 1..];
    }
    out.write_all(rest)
}

/// Writes bytes without anything that would end a cell or a line.
fn write_escaped(out: &mut dyn Write, bytes: &[u8]) -> io::Result<()> {
    let mut rest = bytes;
    while let Some(at) = rest
        .iter()
        .position(|byte| matches!(byte, b'\t' | b'\n' | b'\r' | b'\\'))
    {
        out.write_all(&rest[..at])?;
        out.write_all(match rest[at] {
            b'\t' => b"\\t",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            _ => b"\\\\",
        })?;
        rest = &rest[at + 1..];
    }
    out.write_all(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::Format;
    use crate::render::tests::{Told, outcome, run};
    use proptest::prelude::*;

    fn shown(options: &Options, stdout: &[u8]) -> Vec<u8> {
        let mut ok = outcome();
        ok.message = "a \"quoted\", message".to_owned();
        run(
            options,
            &[Told::Output(0, stdout.to_vec()), Told::Finished(0, ok)],
        )
        .out
    }

    /// Returns the stdout cells, as the csv crate reads them.
    fn read_back(text: &[u8]) -> Vec<Vec<u8>> {
        let mut reader = csv::Reader::from_reader(text);
        assert_eq!(reader.headers().unwrap(), &FIELDS[..]);
        let rows = reader.byte_records().map(Result::unwrap);
        rows.map(|row| {
            assert_eq!(&row[20], b"a \"quoted\", message");
            row[8].to_vec()
        })
        .collect()
    }

    #[test]
    fn a_tsv_row_is_one_line_whatever_is_in_it() {
        let options = Options::new(Format::Tsv);
        let text = shown(&options, b"a\tb\\c\r\n\xff");
        let lines: Vec<&[u8]> = text.split(|byte| *byte == b'\n').collect();
        assert_eq!(
            lines.len(),
            3,
            "header, row, and nothing after the last line feed"
        );
        let cells: Vec<&[u8]> = lines[1].split(|byte| *byte == b'\t').collect();
        assert_eq!(cells.len(), FIELDS.len());
        assert_eq!(cells[8], b"a\\tb\\\\c\\r\\n\xff");
    }

    #[test]
    fn formulas_are_defused_when_asked_for() {
        let mut options = Options::new(Format::Csv);
        assert_eq!(read_back(&shown(&options, b"=1+1")), [b"=1+1"]);
        options.is_csv_safe = true;
        for formula in ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\u{ff1d}1"] {
            let cell = format!("'{formula}").into_bytes();
            assert_eq!(read_back(&shown(&options, formula.as_bytes())), [cell]);
        }
        assert_eq!(read_back(&shown(&options, b"1-1")), [b"1-1"]);
    }

    #[test]
    fn a_terminal_gets_no_control_characters() {
        for format in [Format::Csv, Format::Tsv] {
            let mut options = Options::new(format);
            options.is_terminal = true;
            let text = String::from_utf8(shown(&options, b"\x1b[2J\xff\x9b\n")).unwrap();
            assert!(
                text.contains("^[[2J\\xff\\x9b") || text.contains("^[[2J\\\\xff"),
                "{text}"
            );
        }
    }

    proptest! {
        #[test]
        fn cells_read_back_equal(bytes: Vec<u8>) {
            let text = shown(&Options::new(Format::Csv), &bytes);
            prop_assert_eq!(read_back(&text), [bytes]);
        }

        #[test]
        fn quotes_and_line_ends_read_back_equal(text in "[a\",'\n\r\t ]*") {
            let csv = shown(&Options::new(Format::Csv), text.as_bytes());
            prop_assert_eq!(read_back(&csv), [text.into_bytes()]);
        }
    }
}
