//! One row a host, in inventory order: HOST, STATUS, TIME and the ends of what it wrote.
//!
//! While hosts run only the ends of their outputs are kept; when the last one is done the columns
//! are laid out and the rows written one by one.

use std::collections::HashMap;
use std::io::{self, BufWriter, Read, Write};
use std::time::Duration;

use comfy_table::{ColumnConstraint, ContentArrangement, Width, presets};
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

use super::excerpt::Excerpt;
use super::words::{colored, duration, message, status};
use super::{Options, PIECE, Run};
use crate::event::{Event, EventKind, HostIndex, Listener};
use crate::host::HostName;
use crate::outcome::{Kind, Outcome, Status};
use crate::remote::Pipe;
use crate::spool::{Spool, Store};

const HEADER: [&str; 4] = ["HOST", "STATUS", "TIME", "OUTPUT"];
/// Blanks between columns.
const GAP: usize = 2;
/// Least columns of OUTPUT; HOST and STATUS give way to it. A wide terminal has more for it.
const MIN_OUTPUT: usize = 10;
/// Least columns of HOST and of STATUS.
const MIN_NAME: usize = 8;
/// Screen lines that one line of output may take.
const MAX_WRAPS: usize = 3;
/// Columns of one line of output where the width is not limited.
const MAX_LINE: usize = 400;

/// The listener that makes a table.
pub(super) struct Table<W: Write> {
    width: Option<usize>,
    has_color: bool,
    store: Store,
    run: Run,
    running: HashMap<HostIndex, Excerpts>,
    rows: HashMap<HostIndex, Row>,
    out: BufWriter<W>,
}

/// The ends of what a running host has written.
#[derive(Default)]
struct Excerpts {
    stdout: Excerpt,
    stderr: Excerpt,
}

/// A host that is done.
struct Row {
    class: Status,
    status: String,
    duration: Duration,
    /// Text for the last column: a spool, because there may be many.
    output: Spool,
}

/// Widths of the columns, without gaps.
struct Layout {
    host: usize,
    status: usize,
    time: usize,
    output: Option<usize>,
}

impl<W: Write> Table<W> {
    pub(super) fn new(options: &Options, store: &Store, out: W) -> Self {
        Self {
            width: options.width.map(usize::from),
            has_color: options.has_color,
            store: store.clone(),
            run: Run::default(),
            running: HashMap::new(),
            rows: HashMap::new(),
            out: BufWriter::with_capacity(PIECE, out),
        }
    }

    fn output(&mut self, host: HostIndex, pipe: Pipe, bytes: &[u8]) {
        let excerpts = self.running.entry(host).or_default();
        match pipe {
            Pipe::Stdout => excerpts.stdout.push(bytes),
            Pipe::Stderr => excerpts.stderr.push(bytes),
        }
    }

    fn finished(&mut self, host: HostIndex, outcome: &Outcome) -> io::Result<()> {
        let excerpts = self.running.remove(&host).unwrap_or_default();
        let width = self.width.map_or(MAX_LINE, |width| width * MAX_WRAPS);
        let mut output = self.store.spool();
        let text = excerpts.text(outcome, width);
        let pushed = output.push(text.as_bytes());
        let row = Row {
            class: outcome.status(),
            status: status(outcome),
            duration: outcome.duration,
            output,
        };
        self.rows.insert(host, row);
        pushed
    }

    fn write(&mut self) -> io::Result<()> {
        let layout = self.layout();
        let header = render(HEADER.map(str::to_owned), &layout);
        writeln!(self.out, "{}", header.join("\n"))?;
        for host in 0..self.run.hosts.len() {
            if let Some(row) = self.rows.remove(&host) {
                self.write_row(host, &row, &layout)?;
            }
        }
        self.out.flush()
    }

    fn write_row(&mut self, host: HostIndex, row: &Row, layout: &Layout) -> io::Result<()> {
        let mut output = String::new();
        row.output.reader().read_to_string(&mut output)?;
        let cells = [
            self.run.name(host).to_owned(),
            row.status.clone(),
            row.time(),
            output,
        ];
        for line in render(cells, layout) {
            if self.has_color {
                writeln!(self.out, "{}", layout.color_status(&line, row.class))?;
            } else {
                writeln!(self.out, "{line}")?;
            }
        }
        Ok(())
    }

    /// Lets HOST, STATUS and TIME be as wide as they need and gives OUTPUT the rest; where that is
    /// too little, HOST and then STATUS become narrower.
    fn layout(&self) -> Layout {
        let widest = |title: &str, widths: &mut dyn Iterator<Item = usize>| {
            widths.fold(title.width(), usize::max)
        };
        let hosts = self.run.hosts.iter().map(HostName::as_str);
        let mut layout = Layout {
            host: widest(HEADER[0], &mut hosts.map(UnicodeWidthStr::width)),
            status: widest(
                HEADER[1],
                &mut self.rows.values().map(|row| row.status.width()),
            ),
            time: widest(
                HEADER[2],
                &mut self.rows.values().map(|row| row.time().width()),
            ),
            output: None,
        };
        if let Some(width) = self.width {
            let wanted = MIN_OUTPUT.max(width / 4);
            let lacking = (layout.names() + wanted).saturating_sub(width);
            let given = lacking.min(layout.host.saturating_sub(MIN_NAME));
            layout.host -= given;
            layout.status -= (lacking - given).min(layout.status.saturating_sub(MIN_NAME));
            layout.output = Some(width.saturating_sub(layout.names()).max(MIN_OUTPUT));
        }
        layout
    }
}

impl Layout {
    /// Returns how many columns there are before OUTPUT.
    fn names(&self) -> usize {
        self.host + self.status + self.time + 3 * GAP
    }

    fn constraints(&self) -> Vec<ColumnConstraint> {
        let fixed = |width: usize| {
            let width = u16::try_from(width).unwrap_or(u16::MAX);
            ColumnConstraint::Absolute(Width::Fixed(width))
        };
        let mut constraints = [self.host, self.status, self.time]
            .map(|width| fixed(width + GAP))
            .to_vec();
        constraints.extend(self.output.map(fixed));
        constraints
    }

    /// Returns a finished line with its part in the STATUS column coloured.
    fn color_status(&self, line: &str, class: Status) -> String {
        let (before, rest) = split_at_column(line, self.host + GAP);
        let (status, after) = split_at_column(rest, self.status);
        let text = status.trim_end();
        let blanks = &status[text.len()..];
        if text.is_empty() {
            return line.to_owned();
        }
        format!("{before}{}{blanks}{after}", colored(text, class, true))
    }
}

impl Excerpts {
    /// Returns what is worth showing: of a host that is ok its output; of one that failed why, or
    /// what it said last.
    fn text(mut self, outcome: &Outcome, width: usize) -> String {
        let (out, err) = (&mut self.stdout, &mut self.stderr);
        if outcome.kind.is_none() {
            let shown = if out.is_blank() { err } else { out };
            return shown.ends(width);
        }
        let said = match (err.is_blank(), out.is_blank()) {
            (false, _) => Some(err.last(width)),
            (true, false) => Some(out.last(width)),
            (true, true) => None,
        };
        let is_own = matches!(outcome.kind, Some(Kind::Exit | Kind::Signal));
        match (said, message(outcome)) {
            (Some(said), Some(message)) if !is_own => format!("{message}\n{said}"),
            (Some(said), _) => said,
            (None, message) => message.unwrap_or_default(),
        }
    }
}

impl Row {
    /// Returns the text for the TIME column; a host that was never tried took none.
    fn time(&self) -> String {
        if self.class == Status::Skipped {
            return "-".to_owned();
        }
        duration(self.duration)
    }
}

impl<W: Write> Listener for Table<W> {
    fn tell(&mut self, event: &Event) -> io::Result<()> {
        match &event.kind {
            EventKind::RunStarted { run, hosts } => self.run = Run::new(run, hosts),
            EventKind::Output { host, pipe, bytes } => self.output(*host, *pipe, bytes),
            EventKind::Finished { host, outcome } => self.finished(*host, outcome)?,
            EventKind::RunFinished { .. } => self.write()?,
            _ => {}
        }
        Ok(())
    }
}

/// Lays out one row and returns its lines, without blanks at their ends.
fn render(cells: [String; 4], layout: &Layout) -> Vec<String> {
    let mut table = comfy_table::Table::new();
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .add_row(cells)
        .set_constraints(layout.constraints());
    for (index, column) in table.column_iter_mut().enumerate() {
        let gap = if index + 1 < HEADER.len() { GAP } else { 0 };
        column.set_padding((0, u16::try_from(gap).unwrap_or(0)));
    }
    let lines = table.lines();
    lines.map(|line| line.trim_end().to_owned()).collect()
}

/// Splits a text where its first `column` columns end.
fn split_at_column(text: &str, column: usize) -> (&str, &str) {
    let mut used = 0;
    let end = text.char_indices().find(|(_, c)| {
        used += c.width().unwrap_or(0);
        used > column
    });
    text.split_at(end.map_or(text.len(), |(at, _)| at))
}
