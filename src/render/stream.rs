//! `host: line`, as lines arrive.
//!
//! A line is written when it is whole; until then its start waits in a spool, however long it
//! grows, so two hosts never share a line and no host's bytes change their order. A last line
//! without an end gets one; without labels it stays as it is, unless something follows it. Notes
//! on failed hosts go to `err`.

use std::collections::HashMap;
use std::io::{self, Write};

use super::sink::Sink;
use super::words::{count, status_and_message};
use super::{Options, Run};
use crate::event::{Event, EventKind, HostIndex, Listener};
use crate::outcome::{Outcome, PipeTotal};
use crate::remote::Pipe;
use crate::spool::{Spool, Store};

/// The listener that writes lines.
pub(super) struct Stream<O: Write, E: Write> {
    is_labelled: bool,
    store: Store,
    run: Run,
    /// The lines that have no end yet.
    begun: HashMap<(HostIndex, Pipe), Spool>,
    out: Sink<O>,
    err: Sink<E>,
}

impl<O: Write, E: Write> Stream<O, E> {
    pub(super) fn new(options: &Options, store: &Store, out: O, err: E) -> Self {
        Self {
            is_labelled: options.is_labelled,
            store: store.clone(),
            run: Run::default(),
            begun: HashMap::new(),
            out: Sink::new(out, options.is_terminal),
            err: Sink::new(err, options.is_err_terminal),
        }
    }

    fn output(&mut self, host: HostIndex, pipe: Pipe, bytes: &[u8]) -> io::Result<()> {
        let Some(last) = memchr::memrchr(b'\n', bytes) else {
            return self.begin(host, pipe, bytes);
        };
        let (whole, rest) = bytes.split_at(last + 1);
        let begun = self.begun.remove(&(host, pipe));
        let label = self.is_labelled.then(|| self.run.name(host));
        match pipe {
            Pipe::Stdout => write_lines(&mut self.out, label, begun.as_ref(), whole)?,
            Pipe::Stderr => write_lines(&mut self.err, label, begun.as_ref(), whole)?,
        }
        if rest.is_empty() {
            return Ok(());
        }
        self.begin(host, pipe, rest)
    }

    fn begin(&mut self, host: HostIndex, pipe: Pipe, bytes: &[u8]) -> io::Result<()> {
        let begun = self.begun.entry((host, pipe));
        begun.or_insert_with(|| self.store.spool()).push(bytes)
    }

    fn finished(&mut self, host: HostIndex, outcome: &Outcome) -> io::Result<()> {
        let label = self.is_labelled.then(|| self.run.name(host));
        if let Some(begun) = self.begun.remove(&(host, Pipe::Stdout)) {
            write_last(&mut self.out, label, &begun)?;
        }
        if let Some(begun) = self.begun.remove(&(host, Pipe::Stderr)) {
            write_last(&mut self.err, label, &begun)?;
        }
        self.note_cut(host, Pipe::Stdout, outcome.stdout)?;
        self.note_cut(host, Pipe::Stderr, outcome.stderr)?;
        if outcome.kind.is_some() {
            self.note(host, &status_and_message(outcome))?;
        }
        Ok(())
    }

    fn note_cut(&mut self, host: HostIndex, pipe: Pipe, total: PipeTotal) -> io::Result<()> {
        if !total.is_truncated {
            return Ok(());
        }
        let (pipe, bytes) = (pipe.as_str(), count(total.bytes));
        self.note(
            host,
            &format!("{pipe} was cut at the limit; all of it was {bytes} bytes"),
        )
    }

    fn note(&mut self, host: HostIndex, note: &str) -> io::Result<()> {
        let note = format!("hoist: {}: {note}\n", self.run.name(host));
        self.err.text(&note)
    }
}

impl<O: Write, E: Write> Listener for Stream<O, E> {
    fn tell(&mut self, event: &Event) -> io::Result<()> {
        match &event.kind {
            EventKind::RunStarted { run, hosts } => {
                self.run = Run::new(run, hosts);
                return Ok(());
            }
            EventKind::Output { host, pipe, bytes } => self.output(*host, *pipe, bytes)?,
            EventKind::Finished { host, outcome } => self.finished(*host, outcome)?,
            _ => return Ok(()),
        }
        self.out.flush()?;
        self.err.flush()
    }
}

/// Writes whole lines, the first of which has begun earlier.
fn write_lines<W: Write>(
    sink: &mut Sink<W>,
    label: Option<&str>,
    begun: Option<&Spool>,
    lines: &[u8],
) -> io::Result<()> {
    let Some(label) = label else {
        if let Some(begun) = begun {
            sink.spool(begun)?;
        }
        return sink.bytes(lines);
    };
    let mut begun = begun;
    for line in lines.split_inclusive(|byte| *byte == b'\n') {
        sink.text(label)?;
        sink.text(": ")?;
        if let Some(begun) = begun.take() {
            sink.spool(begun)?;
        }
        sink.bytes(line)?;
    }
    Ok(())
}

/// Writes a last line that has no end.
fn write_last<W: Write>(sink: &mut Sink<W>, label: Option<&str>, begun: &Spool) -> io::Result<()> {
    let Some(label) = label else {
        sink.spool(begun)?;
        return sink.leave_line();
    };
    sink.text(label)?;
    sink.text(": ")?;
    sink.spool(begun)?;
    sink.end_line()
}
