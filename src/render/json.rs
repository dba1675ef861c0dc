//! Records as JSON: an array in inventory order, or one a line as each host ends.
//!
//! Outputs are escaped while they are read from their spools, in bounded memory. Strings never
//! hold a character that could drive a terminal: those are written as `\u…`, which reads back as
//! the same. Bytes that are not UTF-8 go to `stdout_b64` or `stderr_b64`; the plain field is then
//! null.

use std::io::{self, Write};
use std::str;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::outputs::{fill, piece_for};
use super::record::{FIELDS, Record, Value};
use super::records::Encoding;
use super::sanitize::is_visible;
use crate::spool::Spool;

/// One array of records.
pub(super) struct Array;

impl Encoding for Array {
    const IS_ORDERED: bool = true;

    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(b"[")
    }

    fn record(&mut self, out: &mut dyn Write, record: &Record, index: usize) -> io::Result<()> {
        out.write_all(if index == 0 { b"\n" } else { b",\n" })?;
        write_record(out, record)
    }

    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        out.write_all(b"\n]\n")
    }
}

/// One record a line.
pub(super) struct Lines;

impl Encoding for Lines {
    const IS_ORDERED: bool = false;

    fn record(&mut self, out: &mut dyn Write, record: &Record, _: usize) -> io::Result<()> {
        write_record(out, record)?;
        out.write_all(b"\n")
    }
}

/// Writes a record as one object, without a line end.
pub(super) fn write_record(out: &mut dyn Write, record: &Record) -> io::Result<()> {
    let mut object = Object::begin(out)?;
    for (name, value) in FIELDS.into_iter().zip(record.values()) {
        match value {
            Value::Null => object.raw(name, "null")?,
            Value::Bool(is_true) => object.raw(name, &is_true.to_string())?,
            Value::Number(number) => object.raw(name, &number.to_string())?,
            Value::Text(text) => object.text(name, &text)?,
            Value::Output(spool) => object.output(name, spool)?,
        }
    }
    object.end()
}

/// An object that is being written, member by member.
pub(super) struct Object<'a> {
    out: &'a mut dyn Write,
    has_members: bool,
}

impl<'a> Object<'a> {
    pub(super) fn begin(out: &'a mut dyn Write) -> io::Result<Self> {
        out.write_all(b"{")?;
        Ok(Self {
            out,
            has_members: false,
        })
    }

    /// Writes a member whose value is JSON already.
    pub(super) fn raw(&mut self, name: &str, json: &str) -> io::Result<()> {
        self.name(name)?.write_all(json.as_bytes())
    }

    /// Writes a text.
    pub(super) fn text(&mut self, name: &str, text: &str) -> io::Result<()> {
        write_text(self.name(name)?, text)
    }

    /// Writes bytes as text, or as base64 in `<name>_b64` where they are not UTF-8.
    pub(super) fn bytes(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        match str::from_utf8(bytes) {
            Ok(text) => self.text(name, text),
            Err(_) => self.raw(
                &format!("{name}_b64"),
                &format!("\"{}\"", BASE64.encode(bytes)),
            ),
        }
    }

    /// Writes an output as text; where it is not UTF-8, null and then base64 in `<name>_b64`.
    fn output(&mut self, name: &str, spool: &Spool) -> io::Result<()> {
        if spool.is_utf8() {
            let out = self.name(name)?;
            out.write_all(b"\"")?;
            write_utf8(out, spool)?;
            return out.write_all(b"\"");
        }
        self.raw(name, "null")?;
        let out = self.name(&format!("{name}_b64"))?;
        out.write_all(b"\"")?;
        write_base64(out, spool)?;
        out.write_all(b"\"")
    }

    /// Writes a name and returns where its value goes.
    pub(super) fn name(&mut self, name: &str) -> io::Result<&mut dyn Write> {
        if self.has_members {
            self.out.write_all(b",")?;
        }
        self.has_members = true;
        write!(self.out, "\"{name}\":")?;
        Ok(self.out)
    }

    pub(super) fn end(self) -> io::Result<()> {
        self.out.write_all(b"}")
    }
}

/// Writes a string.
pub(super) fn write_text(out: &mut dyn Write, text: &str) -> io::Result<()> {
    out.write_all(b"\"")?;
    write_escaped(out, text)?;
    out.write_all(b"\"")
}

/// Writes what a string holds, escaped.
fn write_escaped(out: &mut dyn Write, text: &str) -> io::Result<()> {
    let is_plain = |c| match c {
        '"' | '\\' => false,
        ' '..='~' => true,
        c => is_visible(c),
    };
    let mut rest = text;
    while let Some(at) = rest.find(|c| !is_plain(c)) {
        out.write_all(&rest.as_bytes()[..at])?;
        let c = rest[at..].chars().next().expect("just found");
        rest = &rest[at + c.len_utf8()..];
        match c {
            '"' => out.write_all(b"\\\"")?,
            '\\' => out.write_all(b"\\\\")?,
            '\n' => out.write_all(b"\\n")?,
            '\r' => out.write_all(b"\\r")?,
            '\t' => out.write_all(b"\\t")?,
            c => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    write!(out, "\\u{unit:04x}")?;
                }
            }
        }
    }
    out.write_all(rest.as_bytes())
}

/// Writes what a spool that is UTF-8 holds, escaped.
fn write_utf8(out: &mut dyn Write, spool: &Spool) -> io::Result<()> {
    let mut reader = spool.reader();
    let mut piece = piece_for(spool);
    let mut held = 0;
    loop {
        let n = fill(&mut reader, &mut piece[held..])?;
        let is_last = held + n < piece.len();
        held += n;
        let whole = match str::from_utf8(&piece[..held]) {
            Ok(text) => text.len(),
            Err(error) => error.valid_up_to(),
        };
        write_escaped(out, str::from_utf8(&piece[..whole]).unwrap_or_default())?;
        // A character may be cut: its start comes again with its rest.
        piece.copy_within(whole..held, 0);
        held -= whole;
        if is_last {
            return Ok(());
        }
    }
}

/// Writes what a spool holds as base64.
fn write_base64(out: &mut dyn Write, spool: &Spool) -> io::Result<()> {
    let mut reader = spool.reader();
    let mut piece = piece_for(spool);
    loop {
        let n = fill(&mut reader, &mut piece)?;
        out.write_all(BASE64.encode(&piece[..n]).as_bytes())?;
        if n < piece.len() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::PIECE;
    use crate::spool::Store;
    use proptest::prelude::*;

    fn spool(bytes: &[u8], memory: usize) -> Spool {
        let store = Store::with_memory(std::env::temp_dir(), memory);
        let mut spool = store.spool();
        spool.push(bytes).unwrap();
        spool
    }

    fn written(bytes: &[u8], memory: usize) -> Vec<u8> {
        let mut json = Vec::new();
        let mut object = Object::begin(&mut json).unwrap();
        object.output("stdout", &spool(bytes, memory)).unwrap();
        object.end().unwrap();
        json
    }

    fn read_back(json: &[u8]) -> Vec<u8> {
        let value: serde_json::Value = serde_json::from_slice(json).unwrap();
        match value["stdout_b64"].as_str() {
            Some(text) => BASE64.decode(text).unwrap(),
            None => value["stdout"].as_str().unwrap().as_bytes().to_vec(),
        }
    }

    #[test]
    fn strings_are_escaped() {
        let mut json = Vec::new();
        let text = "a\"b\\c\n\r\t\0\u{1b}[2J\u{7f}\u{9b}\u{202e}\u{e0001}ü日";
        write_text(&mut json, text).unwrap();
        assert_eq!(
            String::from_utf8(json).unwrap(),
            r#""a\"b\\c\n\r\t\u0000\u001b[2J\u007f\u009b\u202e\udb40\udc01ü日""#
        );
    }

    #[test]
    fn what_is_not_utf8_is_base64_beside_a_null() {
        assert_eq!(
            written(b"\xff\0", 9),
            br#"{"stdout":null,"stdout_b64":"/wA="}"#
        );
        assert_eq!(written(b"", 9), br#"{"stdout":""}"#);
    }

    #[test]
    fn characters_across_pieces_stay_whole() {
        for shift in 0..4 {
            let text = format!("{}{}", "x".repeat(shift), "😀".repeat(PIECE));
            assert!(read_back(&written(text.as_bytes(), 0)) == text.as_bytes());
            let binary = vec![0xff; PIECE * 2 + shift];
            assert!(read_back(&written(&binary, 0)) == binary);
        }
    }

    proptest! {
        #[test]
        fn outputs_read_back_equal(
            bytes in prop_oneof![any::<Vec<u8>>(), any::<String>().prop_map(String::into_bytes)],
        ) {
            let json = written(&bytes, 64);
            prop_assert_eq!(read_back(&json), bytes);
            prop_assert!(std::str::from_utf8(&json).unwrap().chars().all(is_visible));
        }
    }
}
