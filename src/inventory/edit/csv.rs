//! Rows put into and taken out of CSV and TSV.

use std::borrow::Cow;
use std::collections::HashSet;

use super::cells::{Record, Records, encoded, is_blank};
use super::error::EditError;
use super::row::{Field, Owner, Parting, Row, Wanted};
use super::splice::{Splice, is_ended, line_end};
use crate::inventory::Inventory;
use crate::inventory::csv::{delimiter_of, header_line, known};
use crate::inventory::document::Document;
use crate::inventory::error::shown;

/// Columns of a file that is begun.
const NEW_COLUMNS: &str = "name,address,user,port,groups,provider,id,host_key";

/// Which columns hold what.
#[derive(Debug, Default)]
struct Header {
    /// Of the fields, in their order.
    fields: [Option<usize>; Field::ALL.len()],
    groups: Option<usize>,
    /// How many columns the file has.
    count: usize,
    /// Names of columns that have to be added.
    added: Vec<&'static str>,
    /// Whether every cell of the header is written in quotes.
    is_quoted: bool,
}

impl Header {
    /// Reads the header row.
    fn of(records: &mut Records<'_>, record: &mut Record) -> Self {
        let mut header = Self::default();
        if !records.read(record) {
            return header;
        }
        header.count = record.cells.len();
        header.is_quoted = (0..header.count).all(|index| records.is_quoted(record, index));
        for index in 0..header.count {
            let name = records.value(record, index);
            match known(name.trim()) {
                Some("groups") => header.groups = Some(index),
                Some(name) => {
                    let place = Field::ALL.iter().position(|field| field.as_str() == name);
                    if let Some(place) = place {
                        header.fields[place] = Some(index);
                    }
                }
                None => {}
            }
        }
        header
    }

    /// Returns the column of `field`.
    fn column(&self, field: Field) -> Option<usize> {
        let place = Field::ALL.iter().position(|known| *known == field)?;
        self.fields[place]
    }

    /// Makes room for all that `rows` say.
    fn fit(&mut self, rows: &[Row]) {
        for (place, field) in Field::ALL.into_iter().enumerate() {
            // Groups stand between the account's columns and the provider's, as in a new file.
            if field == Field::Provider
                && self.groups.is_none()
                && rows.iter().any(|row| row.listed_groups().next().is_some())
            {
                self.groups = Some(self.add("groups"));
            }
            let is_needed = || rows.iter().any(|row| row.value(field).is_some());
            if self.fields[place].is_none() && is_needed() {
                self.fields[place] = Some(self.add(field.as_str()));
            }
        }
    }

    fn add(&mut self, name: &'static str) -> usize {
        self.added.push(name);
        self.count += 1;
        self.count - 1
    }
}

/// A row of the file that is one of a wanted row.
struct Match {
    /// Where the record starts.
    start: usize,
    index: usize,
    /// Whether it is the first of its kind: what is missing is added there alone.
    is_first: bool,
}

/// Puts `wanted` into `document`.
///
/// # Errors
/// When a host of such a name is somebody else's.
pub(super) fn put(
    document: &Document,
    delimiter: Option<u8>,
    wanted: &Wanted<'_>,
    before: &Inventory,
) -> Result<Vec<u8>, EditError> {
    let text = &*with_header(document.bytes(), delimiter);
    let delimiter = delimiter.unwrap_or_else(|| delimiter_of(header_line(text)));
    let mut records = Records::new(text, delimiter);
    let mut record = Record::default();
    let mut header = Header::of(&mut records, &mut record);
    let header_end = record.content_end();
    let matches = Search::new(wanted, &header).run(document, &mut records)?;
    header.fit(wanted.rows);

    let mut writer = Writer {
        splice: Splice::new(text),
        header: &header,
        delimiter,
    };
    if !header.added.is_empty() {
        writer.extend_header(header_end);
    }
    let is_padding = !header.added.is_empty();
    let mut missing: Vec<bool> = vec![true; wanted.rows.len()];
    let present = present(text, &matches, &header, delimiter, wanted.rows.len());
    let mut matches = matches.into_iter().peekable();
    let mut records = Records::new(text, delimiter);
    records.read(&mut record);
    while records.read(&mut record) {
        match matches.next_if(|found| found.start == record.start()) {
            Some(found) => {
                missing[found.index] = false;
                let row = &wanted.rows[found.index];
                let absent = found.is_first.then(|| !present[found.index]);
                writer.update(&records, &record, (row, absent), before);
            }
            None if is_padding => writer.pad(&record, record.cells.len()),
            None if matches.peek().is_none() => break,
            None => {}
        }
    }
    let mut out = writer.splice.finish();
    let new = wanted.rows.iter().zip(missing);
    for (row, _) in new.filter(|(_, is_missing)| *is_missing) {
        let line = new_line(row, &header, delimiter);
        // What ends without a line end goes on to do so.
        let (line, end) = (line.as_bytes(), line_end(text));
        let pieces = if is_ended(text) {
            [line, end]
        } else {
            [end, line]
        };
        out.extend_from_slice(&pieces.concat());
    }
    Ok(out)
}

/// Returns the text, with a header if it has none because it is empty.
fn with_header(text: &[u8], delimiter: Option<u8>) -> Cow<'_, [u8]> {
    if !is_blank(text) {
        return Cow::Borrowed(text);
    }
    let delimiter = char::from(delimiter.unwrap_or(b','));
    let columns = NEW_COLUMNS.replace(',', &delimiter.to_string());
    Cow::Owned([text, columns.as_bytes(), line_end(text)].concat())
}

/// Finds the rows that are meant.
struct Search<'a, 'w> {
    wanted: &'a Wanted<'w>,
    header: &'a Header,
}

impl<'a, 'w> Search<'a, 'w> {
    fn new(wanted: &'a Wanted<'w>, header: &'a Header) -> Self {
        Self { wanted, header }
    }

    fn run(&self, document: &Document, records: &mut Records<'_>) -> Result<Vec<Match>, EditError> {
        let count = self.wanted.rows.len();
        let mut matches = Vec::new();
        // Where a row of the wanted name is, and whether it is a server's.
        let mut named: Vec<Option<(usize, bool)>> = vec![None; count];
        let mut is_matched = vec![false; count];
        let mut record = Record::default();
        while records.read(&mut record) {
            let said = |field| match self.header.column(field) {
                Some(column) => records.value(&record, column),
                None => "".into(),
            };
            let (name, provider) = (said(Field::Name), said(Field::Provider));
            let owner = self.wanted.owner(&name, &provider, &said(Field::Id));
            let place = self.header.column(Field::Name).unwrap_or(0);
            let offset = record.cells.get(place).map_or(record.start(), |c| c.start);
            match owner {
                Owner::Other => {}
                Owner::Foreign => {
                    let why = format!("which is a server of `{}`", shown(&provider));
                    return Err(conflict(document, offset, &name, why));
                }
                Owner::Hand(index) => {
                    named[index].get_or_insert((offset, false));
                }
                Owner::Ours(index) => {
                    let is_named = *name == *self.wanted.rows[index].name;
                    if is_named {
                        named[index] = Some((offset, true));
                    }
                    matches.push(Match {
                        start: record.start(),
                        index,
                        is_first: !is_matched[index],
                    });
                    is_matched[index] = true;
                }
            }
        }
        let hand = named.iter().zip(self.wanted.rows);
        for (found, row) in hand {
            if let Some((offset, false)) = found {
                let why = BY_HAND.to_owned();
                return Err(conflict(document, *offset, &row.name, why));
            }
        }
        Ok(matches)
    }
}

/// Whose a host is that no row says the provider of.
pub(super) const BY_HAND: &str =
    "which somebody else wrote (no row of its own that says `provider` and `id`)";

fn conflict(document: &Document, offset: usize, host: &str, why: String) -> EditError {
    EditError::Conflict {
        place: document.place(offset),
        host: shown(host),
        why,
    }
}

/// Returns which fields the rows found for each wanted row say together, as bits.
fn present(
    text: &[u8],
    matches: &[Match],
    header: &Header,
    delimiter: u8,
    count: usize,
) -> Vec<u8> {
    let mut present = vec![0_u8; count];
    let mut record = Record::default();
    for found in matches {
        let mut records = Records::new(&text[found.start..], delimiter);
        records.read(&mut record);
        for (bit, column) in header.fields.iter().enumerate() {
            if let Some(column) = column
                && !records.value(&record, *column).is_empty()
            {
                present[found.index] |= 1 << bit;
            }
        }
    }
    present
}

/// Writes the new text.
struct Writer<'a> {
    splice: Splice<'a>,
    header: &'a Header,
    delimiter: u8,
}

impl Writer<'_> {
    fn extend_header(&mut self, end: usize) {
        let mut more = String::new();
        for name in &self.header.added {
            more.push(char::from(self.delimiter));
            more.push_str(&encoded(name, self.delimiter, self.header.is_quoted));
        }
        self.splice.replace(end..end, more.as_bytes());
    }

    /// Adds empty cells at the end of a record that has `cells` of them.
    fn pad(&mut self, record: &Record, cells: usize) {
        let count = self.header.count.saturating_sub(cells);
        let end = record.content_end();
        self.splice.replace(end..end, &vec![self.delimiter; count]);
    }

    /// Gives a record what its row says: what differs, and in the first of several records also what
    /// is `absent` (as bits) in all of them.
    fn update(
        &mut self,
        records: &Records<'_>,
        record: &Record,
        (row, absent): (&Row, Option<u8>),
        before: &Inventory,
    ) {
        let mut values: Vec<(usize, String)> = Vec::new();
        let said = |field| match self.header.column(field) {
            Some(column) => records.value(record, column),
            None => "".into(),
        };
        let (name, id) = (said(Field::Name), said(Field::Id));
        for (bit, field) in Field::ALL.into_iter().enumerate() {
            let Some(column) = self.header.column(field) else {
                continue;
            };
            let earlier = said(field);
            let is_absent = absent.is_some_and(|bits| bits & (1 << bit) != 0);
            match row.value(field) {
                Some(value) if *earlier != *value && (is_absent || !earlier.is_empty()) => {
                    values.push((column, value));
                }
                // The key was that of the server before.
                None if field == Field::HostKey && *id != *row.id && !earlier.is_empty() => {
                    values.push((column, String::new()));
                }
                _ => {}
            }
        }
        if let Some(column) = self.header.groups
            && absent.is_some()
        {
            let cell = records.value(record, column);
            values.extend(
                more_groups(&cell, row, before, &name, self.delimiter).map(|g| (column, g)),
            );
        }
        values.sort_unstable_by_key(|(column, _)| *column);
        self.write(records, record, &values);
    }

    fn write(&mut self, records: &Records<'_>, record: &Record, values: &[(usize, String)]) {
        let have = record.cells.len();
        let mut cells = have;
        for (column, value) in values {
            if let Some(cell) = record.cells.get(*column) {
                let is_quoted = records.is_quoted(record, *column);
                let cell_text = encoded(value, self.delimiter, is_quoted);
                self.splice.replace(cell.clone(), cell_text.as_bytes());
                continue;
            }
            let end = record.content_end();
            let mut more = vec![self.delimiter; column + 1 - cells];
            more.extend_from_slice(
                encoded(value, self.delimiter, self.header.is_quoted).as_bytes(),
            );
            self.splice.replace(end..end, &more);
            cells = column + 1;
        }
        if !self.header.added.is_empty() {
            self.pad(record, cells);
        }
    }
}

/// Returns the cell with the groups of `row` that the host is not in yet, if there are any.
fn more_groups(
    cell: &str,
    row: &Row,
    before: &Inventory,
    name: &str,
    delimiter: u8,
) -> Option<String> {
    let known = before.get(name).map_or(&[][..], |host| &host.groups);
    let mut seen: HashSet<&str> = known.iter().map(|group| &**group).collect();
    let new: Vec<_> = row
        .listed_groups()
        .filter(|group| seen.insert(group))
        .collect();
    if new.is_empty() {
        return None;
    }
    let is_between = |c: &char| matches!(c, ';' | '|') && *c != char::from(delimiter);
    let between = cell.chars().find(is_between).unwrap_or(' ').to_string();
    let mut cell = cell.to_owned();
    for group in new {
        if !cell.is_empty() {
            cell.push_str(&between);
        }
        cell.push_str(group);
    }
    Some(cell)
}

fn new_line(row: &Row, header: &Header, delimiter: u8) -> String {
    let mut cells = vec![String::new(); header.count];
    for field in Field::ALL {
        if let (Some(column), Some(value)) = (header.column(field), row.value(field)) {
            cells[column] = encoded(&value, delimiter, header.is_quoted);
        }
    }
    if let Some(column) = header.groups {
        let mut seen = HashSet::new();
        let groups: Vec<_> = row
            .listed_groups()
            .filter(|group| seen.insert(*group))
            .collect();
        if !groups.is_empty() {
            cells[column] = encoded(&groups.join(" "), delimiter, header.is_quoted);
        }
    }
    cells.join(&char::from(delimiter).to_string())
}

/// Takes the rows of `parting` out of `document`; returns the text and the names of the hosts.
pub(super) fn remove(
    document: &Document,
    delimiter: Option<u8>,
    parting: &Parting<'_>,
) -> (Vec<u8>, HashSet<String>) {
    let text = document.bytes();
    let delimiter = delimiter.unwrap_or_else(|| delimiter_of(header_line(text)));
    let mut records = Records::new(text, delimiter);
    let mut record = Record::default();
    let header = Header::of(&mut records, &mut record);
    let mut splice = Splice::new(text);
    let mut names = HashSet::new();
    while records.read(&mut record) {
        let said = |field| match header.column(field) {
            Some(column) => records.value(&record, column),
            None => "".into(),
        };
        let name = said(Field::Name);
        if parting.is_gone(&name, &said(Field::Provider), &said(Field::Id)) {
            splice.remove_lines(record.start()..record.end);
            names.insert(name.into_owned());
        }
    }
    (splice.finish(), names)
}
