//! Shows a run: each [`Format`] is a listener that turns events into text on a writer.
//!
//! [`renderer`] makes the one that [`Options`] ask for; [`OutDir`], [`FailedTo`] and [`Failures`]
//! stand beside it; an [`Outlet`] is the writer to give it when nobody may wait for whoever reads.
//! Results go to `out`. What hosts wrote to stderr goes to `err` in the formats that keep the pipes
//! apart by descriptor (`stream`, `raw`), with a note on each host that failed (`stream`).
//! Output that can't be shown yet waits in spools, so memory does not grow with it. Nothing here
//! knows whether a writer is a terminal, or prints by itself.

use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;
use std::sync::Arc;

use thiserror::Error;

use crate::event::{HostIndex, Listener, RunId};
use crate::host::{HostName, escaped};
use crate::spool::Store;

pub use files::{FailedTo, OutDir};
pub use outlet::{Drained, Outlet};
pub use record::{FIELDS, Record, Value};
pub use sanitize::{Sanitizer, sanitize, sanitize_line};
pub use summary::Failures;

mod csv;
mod events;
mod excerpt;
mod files;
mod gather;
mod json;
mod outlet;
mod outputs;
mod raw;
mod record;
mod records;
mod sanitize;
mod sink;
mod stream;
mod summary;
mod table;
#[cfg(test)]
mod tests;
mod words;

/// How much is read from a spool or gathered for a writer at once.
const PIECE: usize = 64 << 10;

/// What results look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// One row a host, for people.
    Table,
    /// `host: line` as lines arrive.
    Stream,
    /// Hosts with the same status and output together.
    Group,
    /// One array of records.
    Json,
    /// A record a line, as each host ends.
    Jsonl,
    /// Records, comma-separated, with a header.
    Csv,
    /// Records, tab-separated, with a header; one line each.
    Tsv,
    /// Bytes as they come, one host after the other.
    Raw,
    /// Nothing.
    None,
}

impl Format {
    /// Every format, in the order they are listed to people.
    pub const ALL: [Self; 9] = [
        Self::Table,
        Self::Stream,
        Self::Group,
        Self::Json,
        Self::Jsonl,
        Self::Csv,
        Self::Tsv,
        Self::Raw,
        Self::None,
    ];

    /// Returns the word used in arguments.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Stream => "stream",
            Self::Group => "group",
            Self::Json => "json",
            Self::Jsonl => "jsonl",
            Self::Csv => "csv",
            Self::Tsv => "tsv",
            Self::Raw => "raw",
            Self::None => "none",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A word that names no format.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("output format `{text}` is not one of {}", Format::ALL.map(Format::as_str).join(", "))]
pub struct FormatError {
    /// The word, escaped for display.
    text: String,
}

impl FromStr for Format {
    type Err = FormatError;
    fn from_str(text: &str) -> Result<Self, FormatError> {
        let found = Self::ALL.into_iter().find(|format| format.as_str() == text);
        found.ok_or_else(|| FormatError {
            text: escaped(text),
        })
    }
}

/// How results are shown.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // independent choices of the user, each with its flag
pub struct Options {
    /// What they look like.
    pub format: Format,
    /// `stream`: whether each line begins with its host's name.
    pub is_labelled: bool,
    /// Columns of the terminal; `None` where there is no limit.
    pub width: Option<u16>,
    /// Whether the status may be coloured.
    pub has_color: bool,
    /// Whether `out` is a terminal: control characters are then made visible.
    pub is_terminal: bool,
    /// Whether `err` is a terminal.
    pub is_err_terminal: bool,
    /// `csv`, `tsv`: whether cells that a spreadsheet would run as formulas are defused.
    pub is_csv_safe: bool,
    /// `jsonl`: every event instead of records alone.
    pub has_events: bool,
}

impl Options {
    /// Returns `format` with nothing special: labels, no limit, no colour, no terminal.
    pub fn new(format: Format) -> Self {
        Self {
            format,
            is_labelled: true,
            width: None,
            has_color: false,
            is_terminal: false,
            is_err_terminal: false,
            is_csv_safe: false,
            has_events: false,
        }
    }
}

/// Returns the listener that shows a run as `options` say.
pub fn renderer<'a>(
    options: &Options,
    store: &Store,
    out: Box<dyn Write + 'a>,
    err: Box<dyn Write + 'a>,
) -> Box<dyn Listener + 'a> {
    match options.format {
        Format::Table => Box::new(table::Table::new(options, store, out)),
        Format::Stream => Box::new(stream::Stream::new(options, store, out, err)),
        Format::Group => Box::new(gather::Gather::new(options, store, out)),
        Format::Json => Box::new(records::Records::new(json::Array, store, out)),
        Format::Jsonl if options.has_events => Box::new(events::Events::new(store, out)),
        Format::Jsonl => Box::new(records::Records::new(json::Lines, store, out)),
        Format::Csv => Box::new(records::Records::new(csv::Csv::new(options), store, out)),
        Format::Tsv => Box::new(records::Records::new(csv::Tsv::new(options), store, out)),
        Format::Raw => Box::new(raw::Raw::new(options, store, out, err)),
        Format::None => Box::new(Nothing),
    }
}

/// Shows nothing.
struct Nothing;

impl Listener for Nothing {
    fn tell(&mut self, _: &crate::event::Event) -> io::Result<()> {
        Ok(())
    }
}

/// The run that is shown, as its first event told.
#[derive(Debug, Clone, Default)]
struct Run {
    id: String,
    hosts: Arc<[HostName]>,
}

impl Run {
    fn new(id: &RunId, hosts: &Arc<[HostName]>) -> Self {
        Self {
            id: id.as_str().to_owned(),
            hosts: Arc::clone(hosts),
        }
    }

    fn name(&self, host: HostIndex) -> &str {
        self.hosts.get(host).map_or("", HostName::as_str)
    }
}
