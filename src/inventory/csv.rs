//! CSV and TSV as spreadsheets write them: a header row, then one row a host.
//!
//! The header decides between `,`, `;` and tab. Short rows, empty rows and empty cells say nothing;
//! a value under no header is an error. Cells of hoist's own columns are trimmed, variables are kept
//! as they are. Ranges are not expanded: one row is one host.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use csv::{ReaderBuilder, StringRecord};

use super::attribute::{Attribute, host_name};
use super::builder::{Builder, Key, Repeat};
use super::document::{Document, lines};
use super::error::{Flaw, InventoryError, shown};
use super::groups::GroupId;
use crate::host::{Host, Variables};

/// Delimiters that a header may use, in order of preference.
const DELIMITERS: [u8; 3] = *b",;\t";

/// Different `groups` cells whose meaning is remembered.
const REMEMBERED_CELLS: usize = 1024;

/// What a column holds.
#[derive(Debug, Clone)]
enum Column {
    Name,
    Key(Key),
    /// No header: its cells have to be empty.
    Nameless,
}

/// Returns whether `bytes` begin with a header of several columns that names hosts.
///
/// A list of hosts one of which is called `name` is not one: there has to be another column that
/// hoist knows, or a row below.
pub(super) fn is_csv(bytes: &[u8]) -> bool {
    let header = header_line(bytes);
    let delimiter = delimiter_of(header);
    let mut record = StringRecord::new();
    let is_read = reader(header, delimiter).read_record(&mut record);
    let is_header = is_read.is_ok_and(|is_read| is_read)
        && record.iter().any(is_name_column)
        && !record.iter().any(|cell| cell.contains(['=', '[', '#']));
    let known = record.iter().filter(|cell| known(cell.trim()).is_some());
    let below = lines(bytes).filter(|(_, line)| !line.is_empty()).nth(1);
    is_header
        && record.len() > 1
        && (known.count() > 1 || below.is_some_and(|(_, line)| line.contains(&delimiter)))
}

fn is_name_column(cell: &str) -> bool {
    let cell = cell.trim();
    cell.eq_ignore_ascii_case("name") || cell.eq_ignore_ascii_case("host")
}

/// Reads every row of `document` into `builder`; `delimiter` is found in the header if not given.
///
/// # Errors
/// Without a header row that names hosts, and at the first cell that is not valid.
pub(super) fn read(
    document: &Document,
    delimiter: Option<u8>,
    builder: &mut Builder,
) -> Result<(), InventoryError> {
    let text = document.text()?;
    let header = header_line(text.as_bytes());
    let delimiter = delimiter.unwrap_or_else(|| delimiter_of(header));
    let mut table = Table {
        document,
        delimiter,
        columns: Vec::new(),
        groups: HashMap::new(),
        line: 1,
        counted: 0,
    };
    builder.reserve(memchr::memchr_iter(b'\n', text.as_bytes()).count());
    let mut reader = reader(text.as_bytes(), delimiter);
    let mut record = StringRecord::new();
    let mut last = 0;
    while reader
        .read_record(&mut record)
        .map_err(|error| table.broken(&error, last))?
    {
        last = table.advance(record.position().map_or(0, csv::Position::byte));
        if table.columns.is_empty() {
            table.columns = table.header(&record, last, builder)?;
        } else {
            table.row(&record, last, builder)?;
        }
    }
    if table.columns.is_empty() {
        return Err(table.no_header());
    }
    table.check_closed(last)
}

fn reader(bytes: &[u8], delimiter: u8) -> csv::Reader<&[u8]> {
    ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(bytes)
}

/// Returns the first line that is not empty.
pub(super) fn header_line(bytes: &[u8]) -> &[u8] {
    let found = lines(bytes).find(|(_, line)| !line.is_empty());
    found.map_or(&[], |(_, line)| line)
}

/// Returns the delimiter that `header` uses most.
pub(super) fn delimiter_of(header: &[u8]) -> u8 {
    let mut counts = [0_usize; DELIMITERS.len()];
    let mut is_quoted = false;
    for byte in header {
        is_quoted ^= *byte == b'"';
        if let (false, Some(which)) = (is_quoted, DELIMITERS.iter().position(|d| d == byte)) {
            counts[which] += 1;
        }
    }
    let most = counts.iter().max().copied().unwrap_or(0);
    let which = counts.iter().position(|count| *count == most);
    DELIMITERS[which.unwrap_or(0)]
}

/// A table while it is read.
struct Table<'a> {
    document: &'a Document,
    delimiter: u8,
    columns: Vec<Column>,
    /// What `groups` cells were seen to mean.
    groups: HashMap<Box<str>, Arc<[GroupId]>>,
    /// The line at byte offset `counted`.
    line: usize,
    counted: usize,
}

impl Table<'_> {
    /// Moves on to the record that starts at `offset` or after the line ends there; returns where
    /// it really starts.
    fn advance(&mut self, offset: u64) -> usize {
        let bytes = self.document.bytes();
        let mut start = usize::try_from(offset)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        while matches!(bytes.get(start), Some(b'\n' | b'\r')) {
            start += 1;
        }
        self.line += lines(&bytes[self.counted..start]).count() - 1;
        self.counted = start;
        start
    }

    fn header(
        &self,
        record: &StringRecord,
        start: usize,
        builder: &mut Builder,
    ) -> Result<Vec<Column>, InventoryError> {
        let mut columns = Vec::with_capacity(record.len());
        let mut seen = HashSet::new();
        for (index, cell) in record.iter().enumerate() {
            let name = cell.trim();
            let skipped = count_before(cell, cell.trim_start());
            if !name.is_empty() && !seen.insert(known(name).unwrap_or(name)) {
                let found = format!("a second column `{}`", shown(name));
                let flaw = Flaw::unexpected(found, "one column of each name");
                return Err(self.at(start, index, skipped, flaw));
            }
            let column = column(name, builder);
            columns.push(column.map_err(|flaw| self.at(start, index, skipped, flaw))?);
        }
        if columns.iter().any(|column| matches!(column, Column::Name)) {
            return Ok(columns);
        }
        let names: Vec<_> = record.iter().map(str::trim).collect();
        let found = format!("the columns `{}`", shown(&names.join("`, `")));
        let flaw = Flaw::unexpected(found, "a header row with a column `name`");
        Err(flaw.at(self.document.place(start)))
    }

    fn row(
        &mut self,
        record: &StringRecord,
        start: usize,
        builder: &mut Builder,
    ) -> Result<(), InventoryError> {
        if record.iter().all(|cell| cell.trim().is_empty()) {
            return Ok(());
        }
        let is_name = |column: &Column| matches!(column, Column::Name);
        let index = self.columns.iter().position(is_name).unwrap_or(0);
        let name = record.get(index).unwrap_or("");
        let name = host_name(blank_free(name))
            .map_err(|flaw| self.at(start, index, count_blanks(name), flaw))?;
        let mut host = Host {
            variables: Variables::with_capacity(self.count_variables(record)),
            ..Host::named(name)
        };
        let mut groups: Arc<[GroupId]> = Arc::new([]);
        for (index, cell) in record
            .iter()
            .enumerate()
            .filter(|(_, cell)| !cell.is_empty())
        {
            let set = match self.columns.get(index) {
                Some(Column::Name) => Ok(()),
                Some(Column::Key(Key::Groups)) => {
                    self.groups(cell, builder).map(|found| groups = found)
                }
                // The header names each column once.
                Some(Column::Key(Key::Variable(name))) => Builder::set_new(&mut host, name, cell),
                Some(Column::Key(key)) => match blank_free(cell) {
                    "" => Ok(()),
                    value => Builder::set(&mut host, key, value),
                },
                Some(Column::Nameless) | None => stray(cell, self.columns.len()),
            };
            set.map_err(|flaw| {
                let skipped = match self.columns.get(index) {
                    // Groups are found in the whole cell.
                    Some(Column::Key(Key::Groups)) => 0,
                    _ => count_blanks(cell),
                };
                self.at(start, index, skipped, flaw)
            })?;
        }
        builder
            .add(host, &groups, self.line, Repeat::Counted)
            .map_err(|flaw| self.refused(record, start, flaw))
    }

    fn count_variables(&self, record: &StringRecord) -> usize {
        let is_set = |(column, cell): &(&Column, &str)| {
            matches!(column, Column::Key(Key::Variable(_))) && !cell.is_empty()
        };
        self.columns.iter().zip(record).filter(is_set).count()
    }

    fn groups(&mut self, cell: &str, builder: &mut Builder) -> Result<Arc<[GroupId]>, Flaw> {
        if let Some(known) = self.groups.get(cell) {
            return Ok(Arc::clone(known));
        }
        let groups: Arc<[GroupId]> = builder.groups_in(cell)?.into();
        if self.groups.len() < REMEMBERED_CELLS {
            self.groups.insert(cell.into(), Arc::clone(&groups));
        }
        Ok(groups)
    }

    /// Puts a flaw of cell `index` of the record at `start` in its place; `skipped` characters of
    /// the cell come before the value it is a flaw of.
    fn at(&self, start: usize, index: usize, skipped: usize, flaw: Flaw) -> InventoryError {
        let bytes = self.document.bytes();
        let mut cells = Cells::new(bytes, start, self.delimiter);
        let offset = cells.nth(index).map_or(start, |cell| {
            // A quoted cell goes over many lines: the character has to be looked for.
            cell.start
                + offset_in_cell(
                    &bytes[cell.start..],
                    cell.is_quoted,
                    skipped + flaw.offset(),
                )
        });
        let place = self.document.place(offset);
        let flaw = Box::new(flaw);
        InventoryError::Flawed { place, flaw }
    }

    /// Puts a row's conflict with another row at the cell that is part of it.
    fn refused(&self, record: &StringRecord, start: usize, flaw: Flaw) -> InventoryError {
        let is_meant = |column: &Column| match (&flaw, column) {
            (Flaw::Conflict { field, .. }, Column::Key(Key::Attribute(attribute))) => {
                attribute.as_str() == field
            }
            (Flaw::Conflict { field, .. }, Column::Key(Key::Variable(name))) => **name == **field,
            (_, Column::Name) => true,
            _ => false,
        };
        let is_name = |column: &Column| matches!(column, Column::Name);
        let meant = self
            .columns
            .iter()
            .position(|column| !is_name(column) && is_meant(column))
            .or_else(|| self.columns.iter().position(is_name))
            .unwrap_or(0);
        let cell = record.get(meant).unwrap_or("");
        self.at(start, meant, count_blanks(cell), flaw)
    }

    /// A quote that is never closed has swallowed the rest of the file into the last record.
    fn check_closed(&self, last: usize) -> Result<(), InventoryError> {
        let cells = Cells::new(self.document.bytes(), last, self.delimiter);
        match cells.filter(|cell| cell.is_unclosed).last() {
            None => Ok(()),
            Some(cell) => {
                let flaw = Flaw::unexpected("a `\"` that is never closed", "another `\"`");
                Err(flaw.at(self.document.place(cell.start - 1)))
            }
        }
    }

    fn no_header(&self) -> InventoryError {
        let expected = "a header row with a column `name`";
        Flaw::unexpected("no rows", expected).at(self.document.place(0))
    }

    fn broken(&self, error: &csv::Error, last: usize) -> InventoryError {
        let found = shown(&error.to_string());
        Flaw::unexpected(found, "rows of CSV").at(self.document.place(last))
    }
}

/// What surrounds a value in a cell without being part of it.
const BLANKS: [char; 2] = [' ', '\t'];

fn blank_free(cell: &str) -> &str {
    cell.trim_matches(BLANKS)
}

/// Returns how many blanks a cell begins with.
fn count_blanks(cell: &str) -> usize {
    count_before(cell, cell.trim_start_matches(BLANKS))
}

/// Returns how many characters of `text` come before its end `rest`.
fn count_before(text: &str, rest: &str) -> usize {
    text[..text.len() - rest.len()].chars().count()
}

/// Returns hoist's own word for the column called `name`.
pub(super) fn known(name: &str) -> Option<&'static str> {
    if is_name_column(name) {
        return Some("name");
    }
    let own = Attribute::ALL.into_iter().map(Attribute::as_str);
    own.chain(["groups"])
        .find(|own| own.eq_ignore_ascii_case(name))
}

fn column(name: &str, builder: &mut Builder) -> Result<Column, Flaw> {
    Ok(match known(name) {
        _ if name.is_empty() => Column::Nameless,
        Some("name") => Column::Name,
        Some("groups") => Column::Key(Key::Groups),
        Some(own) => match Attribute::named(own) {
            Some(attribute) => Column::Key(Key::Attribute(attribute)),
            None => Column::Nameless,
        },
        None => Column::Key(Key::Variable(builder.column(name)?)),
    })
}

/// Refuses a value that belongs to no column.
fn stray(cell: &str, columns: usize) -> Result<(), Flaw> {
    if cell.trim().is_empty() {
        return Ok(());
    }
    let found = format!("`{}` in a column without a header", shown(cell.trim()));
    let expected = format!("at most the {columns} columns of the header row, each with a name");
    Err(Flaw::unexpected(found, expected))
}

/// The raw cells of one record, for errors alone: the csv crate doesn't tell where a cell starts.
struct Cells<'a> {
    bytes: &'a [u8],
    /// Where the next cell starts; `None` at the end of the record.
    next: Option<usize>,
    delimiter: u8,
}

/// Where one cell is.
struct Cell {
    /// Byte offset of its content, after an opening quote.
    start: usize,
    is_quoted: bool,
    is_unclosed: bool,
}

impl<'a> Cells<'a> {
    fn new(bytes: &'a [u8], start: usize, delimiter: u8) -> Self {
        Self {
            bytes,
            next: Some(start),
            delimiter,
        }
    }
}

impl Iterator for Cells<'_> {
    type Item = Cell;

    fn next(&mut self) -> Option<Cell> {
        let mut at = self.next.take()?;
        let is_quoted = self.bytes.get(at) == Some(&b'"');
        let start = at + usize::from(is_quoted);
        let mut is_open = is_quoted;
        at = start;
        while let (true, Some(byte)) = (is_open, self.bytes.get(at)) {
            let is_escaped = *byte == b'"' && self.bytes.get(at + 1) == Some(&b'"');
            is_open = *byte != b'"' || is_escaped;
            at += 1 + usize::from(is_escaped);
        }
        let rest = self.bytes.get(at..).unwrap_or(&[]);
        if let Some(length) = memchr::memchr3(self.delimiter, b'\n', b'\r', rest) {
            self.next = (rest[length] == self.delimiter).then_some(at + length + 1);
        }
        Some(Cell {
            start,
            is_quoted,
            is_unclosed: is_open,
        })
    }
}

/// Returns where in `raw`, the text from a cell's content on, the character `number` of its value
/// (from 0) stands: quotes that close are none, and two in a quoted cell are one.
fn offset_in_cell(raw: &[u8], is_quoted: bool, number: usize) -> usize {
    let mut is_open = is_quoted;
    let mut left = number;
    let mut at = 0;
    while let Some(byte) = raw.get(at) {
        let is_quote = is_open && *byte == b'"';
        let is_pair = is_quote && raw.get(at + 1) == Some(&b'"');
        is_open &= !is_quote || is_pair;
        let is_first_byte = (*byte & 0xc0) != 0x80;
        if is_first_byte && (!is_quote || is_pair) {
            if left == 0 {
                break;
            }
            left -= 1;
        }
        at += 1 + usize::from(is_pair);
    }
    at
}
