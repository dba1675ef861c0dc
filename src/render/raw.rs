//! Bytes as they come, one host after the other in inventory order: stdout to `out`, stderr to
//! `err`.
//!
//! The host whose turn it is writes straight through; the others wait in spools. Nothing is added,
//! not even a line end between two hosts, except on a terminal.

use std::io::{self, Write};

use super::Options;
use super::outputs::{Output, Outputs, Turns};
use super::sink::Sink;
use crate::event::{Event, EventKind, HostIndex, Listener};
use crate::remote::Pipe;
use crate::spool::Store;

/// The listener that writes bytes.
pub(super) struct Raw<O: Write, E: Write> {
    outputs: Outputs,
    turns: Turns<()>,
    out: Sink<O>,
    err: Sink<E>,
}

impl<O: Write, E: Write> Raw<O, E> {
    pub(super) fn new(options: &Options, store: &Store, out: O, err: E) -> Self {
        Self {
            outputs: Outputs::new(store),
            turns: Turns::new(),
            out: Sink::new(out, options.is_terminal),
            err: Sink::new(err, options.is_err_terminal),
        }
    }

    fn output(&mut self, host: HostIndex, pipe: Pipe, bytes: &[u8]) -> io::Result<()> {
        match pipe {
            _ if host != self.turns.turn() => self.outputs.push(host, pipe, bytes),
            Pipe::Stdout => self.out.bytes(bytes),
            Pipe::Stderr => self.err.bytes(bytes),
        }
    }

    fn finished(&mut self, host: HostIndex) -> io::Result<()> {
        self.turns.wait(host, ());
        let mut result = Ok(());
        while self.turns.take().is_some() {
            result = result.and(self.out.cut()).and(self.err.cut());
            // The next one goes on from what it has written so far.
            let Output { stdout, stderr } = self.outputs.take(self.turns.turn());
            result = result.and_then(|()| self.out.spool(&stdout));
            result = result.and_then(|()| self.err.spool(&stderr));
        }
        result
    }
}

impl<O: Write, E: Write> Listener for Raw<O, E> {
    fn tell(&mut self, event: &Event) -> io::Result<()> {
        match &event.kind {
            EventKind::Output { host, pipe, bytes } => self.output(*host, *pipe, bytes)?,
            EventKind::Finished { host, .. } => self.finished(*host)?,
            _ => return Ok(()),
        }
        self.out.flush()?;
        self.err.flush()
    }
}
