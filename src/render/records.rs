//! Writes one record a host, in whatever encoding.
//!
//! An ordered encoding gets the hosts in inventory order, each as soon as those before it are
//! done; the others get them as they end.

use std::io::{self, BufWriter, Write};

use super::outputs::{Output, Outputs, Turns};
use super::record::Record;
use super::{PIECE, Run};
use crate::event::{Event, EventKind, HostIndex, Listener};
use crate::outcome::Outcome;
use crate::spool::Store;

/// How records are written.
pub(super) trait Encoding {
    /// Whether records come in inventory order.
    const IS_ORDERED: bool;

    /// Writes what comes before the first record.
    fn begin(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let _ = out;
        Ok(())
    }

    /// Writes a record; `index` counts from 0 in the order they are written.
    fn record(&mut self, out: &mut dyn Write, record: &Record, index: usize) -> io::Result<()>;

    /// Writes what comes after the last record.
    fn end(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let _ = out;
        Ok(())
    }
}

/// The listener that writes records.
pub(super) struct Records<E, W: Write> {
    encoding: E,
    run: Run,
    outputs: Outputs,
    turns: Turns<Box<Outcome>>,
    written: usize,
    out: BufWriter<W>,
}

impl<E: Encoding, W: Write> Records<E, W> {
    pub(super) fn new(encoding: E, store: &Store, out: W) -> Self {
        Self {
            encoding,
            run: Run::default(),
            outputs: Outputs::new(store),
            turns: Turns::new(),
            written: 0,
            out: BufWriter::with_capacity(PIECE, out),
        }
    }

    fn finished(&mut self, host: HostIndex, outcome: &Outcome) -> io::Result<()> {
        if !E::IS_ORDERED {
            return self.write(host, outcome);
        }
        self.turns.wait(host, Box::new(outcome.clone()));
        // A host whose record can't be written does not hold up those after it.
        let mut result = Ok(());
        while let Some((host, outcome)) = self.turns.take() {
            result = result.and(self.write(host, &outcome));
        }
        result
    }

    fn write(&mut self, host: HostIndex, outcome: &Outcome) -> io::Result<()> {
        let Output { stdout, stderr } = &self.outputs.take(host);
        let record = Record {
            run: &self.run.id,
            host: self.run.name(host),
            outcome,
            stdout,
            stderr,
        };
        self.written += 1;
        self.encoding
            .record(&mut self.out, &record, self.written - 1)
    }
}

impl<E: Encoding, W: Write> Listener for Records<E, W> {
    fn tell(&mut self, event: &Event) -> io::Result<()> {
        match &event.kind {
            EventKind::RunStarted { run, hosts } => {
                self.run = Run::new(run, hosts);
                self.encoding.begin(&mut self.out)?;
            }
            EventKind::Output { host, pipe, bytes } => {
                return self.outputs.push(*host, *pipe, bytes);
            }
            EventKind::Finished { host, outcome } => self.finished(*host, outcome)?,
            EventKind::RunFinished { .. } => self.encoding.end(&mut self.out)?,
            _ => return Ok(()),
        }
        self.out.flush()
    }
}
