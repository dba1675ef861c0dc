//! A writer that takes what hosts wrote: exactly, or made visible when it is a terminal.

use std::io::{self, BufWriter, Read, Write};

use super::PIECE;
use super::outputs::piece_for;
use super::sanitize::Sanitizer;
use crate::spool::Spool;

/// One writer.
pub(super) struct Sink<W: Write> {
    out: BufWriter<W>,
    /// There on a terminal.
    sanitizer: Option<Sanitizer>,
    shown: String,
    /// Whether the last line has no end yet.
    is_open: bool,
    /// The last line gets its end if anything follows.
    owes_newline: bool,
}

impl<W: Write> Sink<W> {
    pub(super) fn new(out: W, is_terminal: bool) -> Self {
        Self {
            out: BufWriter::with_capacity(PIECE, out),
            sanitizer: is_terminal.then(Sanitizer::default),
            shown: String::new(),
            is_open: false,
            owes_newline: false,
        }
    }

    /// Writes hoist's own words as they are.
    pub(super) fn text(&mut self, text: &str) -> io::Result<()> {
        self.pay_newline()?;
        self.is_open = !text.ends_with('\n');
        self.out.write_all(text.as_bytes())
    }

    /// Writes what a host wrote, cut anywhere; not nothing.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.pay_newline()?;
        self.is_open = !bytes.ends_with(b"\n");
        let Some(sanitizer) = &mut self.sanitizer else {
            return self.out.write_all(bytes);
        };
        self.shown.clear();
        sanitizer.push(bytes, &mut self.shown);
        self.out.write_all(self.shown.as_bytes())
    }

    /// Writes all that a spool holds.
    pub(super) fn spool(&mut self, spool: &Spool) -> io::Result<()> {
        if spool.is_empty() {
            return Ok(());
        }
        let mut reader = spool.reader();
        let mut piece = piece_for(spool);
        loop {
            match reader.read(&mut piece)? {
                0 => return Ok(()),
                n => self.bytes(&piece[..n])?,
            }
        }
    }

    /// Says that what comes next belongs to something else. On a terminal that begins a new line,
    /// and a character that is not whole by now never will be.
    pub(super) fn cut(&mut self) -> io::Result<()> {
        let Some(sanitizer) = &mut self.sanitizer else {
            return Ok(());
        };
        self.shown.clear();
        sanitizer.finish(&mut self.shown);
        if std::mem::take(&mut self.is_open) {
            self.shown.push('\n');
        }
        self.out.write_all(self.shown.as_bytes())
    }

    /// Ends the last line, if it has no end.
    pub(super) fn end_line(&mut self) -> io::Result<()> {
        self.cut()?;
        if self.is_open {
            self.text("\n")?;
        }
        Ok(())
    }

    /// Leaves the last line as it is, unless something follows; a terminal's is ended at once.
    pub(super) fn leave_line(&mut self) -> io::Result<()> {
        self.cut()?;
        self.owes_newline = self.is_open;
        Ok(())
    }

    fn pay_newline(&mut self) -> io::Result<()> {
        if std::mem::take(&mut self.owes_newline) {
            self.out.write_all(b"\n")?;
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}
