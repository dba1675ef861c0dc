//! CSV inventories: what is loaded is what stands in the cells, as another reader finds them, and
//! is read again as it was written.

use hoist::host::{Host, Port};
use hoist::inventory::Inventory;

use super::inventory::{attribute, attribute_named, check_variants, check_written, load};

/// The extension makes it CSV, whatever it looks like.
const NAME: &str = "fleet.csv";

/// What spreadsheets put between cells.
const DELIMITERS: [u8; 3] = *b",;\t";

/// Checks all that is promised of `data` as a CSV inventory.
pub(crate) fn check(data: &[u8]) {
    let loaded = load(NAME, data);
    check_variants(NAME, data, &loaded);
    if let Ok(inventory) = &loaded {
        let is_as_read = |delimiter| is_as_in(inventory, &records(data, delimiter));
        assert!(DELIMITERS.into_iter().any(is_as_read), "{inventory:?}");
        check_written(inventory);
    }
}

/// Whether every cell of `records` is found in the inventory, and no host besides.
fn is_as_in(inventory: &Inventory, records: &[Vec<String>]) -> bool {
    let Some((header, rows)) = records.split_first() else {
        return false;
    };
    let is_name = |cell: &String| ["name", "host"].contains(&&*cell.trim().to_ascii_lowercase());
    let Some(index) = header.iter().position(is_name) else {
        return false;
    };
    let mut named = Vec::new();
    for row in rows
        .iter()
        .filter(|row| row.iter().any(|cell| !cell.trim().is_empty()))
    {
        let name = row.get(index).map_or("", |cell| without_blanks(cell));
        let Some(host) = inventory.get(name) else {
            return false;
        };
        named.push(name);
        let mut cells = header.iter().zip(row).filter(|(_, cell)| !cell.is_empty());
        if !cells.all(|(column, cell)| has(inventory, host, column.trim(), cell)) {
            return false;
        }
    }
    named.sort_unstable();
    named.dedup();
    named.len() == inventory.len()
}

fn has(inventory: &Inventory, host: &Host, column: &str, cell: &str) -> bool {
    let value = without_blanks(cell);
    match column.to_ascii_lowercase().as_str() {
        "" => cell.trim().is_empty(),
        "name" | "host" => true,
        "groups" => {
            let groups = inventory.groups_of(host.name.as_str());
            let mut named = cell.split(|c: char| c.is_whitespace() || "|;".contains(c));
            named.all(|name| {
                name.is_empty() || name == "all" || name == "ungrouped" || groups.contains(&name)
            })
        }
        _ => match attribute_named(column) {
            Some("port") => value.is_empty() || host.port.map(Port::get) == value.parse().ok(),
            Some(known) => value.is_empty() || attribute(host, known).as_deref() == Some(value),
            None => host.variables.get(column) == Some(cell),
        },
    }
}

fn without_blanks(cell: &str) -> &str {
    cell.trim_matches([' ', '\t'])
}

/// Where a reader of CSV is.
enum State {
    CellStart,
    Bare,
    Quoted,
    /// After a quote within quotes: it closes them, or is half of a quote meant literally.
    Closed,
}

/// Returns the cells of every line that is not empty (RFC 4180, any line ends).
fn records(bytes: &[u8], delimiter: u8) -> Vec<Vec<String>> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_start_matches('\u{feff}');
    let (mut records, mut record, mut cell) = (Vec::new(), Vec::new(), String::new());
    let mut state = State::CellStart;
    let mut is_empty = true;
    for c in text.chars() {
        let is_end = !matches!(state, State::Quoted) && matches!(c, '\n' | '\r');
        let is_delimiter = !matches!(state, State::Quoted) && c == char::from(delimiter);
        if is_end || is_delimiter {
            state = State::CellStart;
            if is_delimiter || !is_empty {
                record.push(std::mem::take(&mut cell));
            }
            is_empty = is_end;
            if is_end && !record.is_empty() {
                records.push(std::mem::take(&mut record));
            }
            continue;
        }
        is_empty = false;
        state = match (state, c) {
            (State::CellStart, '"') => State::Quoted,
            (State::Quoted, '"') => State::Closed,
            (State::Closed, '"') => {
                cell.push(c);
                State::Quoted
            }
            (State::Quoted, c) => {
                cell.push(c);
                State::Quoted
            }
            (_, c) => {
                cell.push(c);
                State::Bare
            }
        };
    }
    if !is_empty || !record.is_empty() {
        record.push(cell);
        records.push(record);
    }
    records
}
