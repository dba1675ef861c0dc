//! Rows about servers and what providers offer, in the format that was asked for.

use std::io::{self, BufWriter, Write};

use hoist::host::escaped;
use serde_json::{Map, Value};

use crate::args::TellFormat;
use crate::command::columns;
use crate::report::Failure;

/// One row: members with their values, the same members in every row.
pub(super) type Row = Map<String, Value>;

/// Prints rows on stdout; in a table, `heads` names the members that are shown.
///
/// # Errors
/// When stdout can't be written.
pub(super) fn print<const N: usize>(
    rows: &[Row],
    heads: [(&str, &str); N],
    format: TellFormat,
) -> Result<(), Failure> {
    let mut out = BufWriter::new(io::stdout().lock());
    write(rows, heads, format, &mut out)
        .and_then(|()| out.flush())
        .map_err(|error| Failure::writing(&error))
}

fn write<const N: usize>(
    rows: &[Row],
    heads: [(&str, &str); N],
    format: TellFormat,
    out: &mut impl Write,
) -> io::Result<()> {
    match format {
        TellFormat::Table => {
            let mut table = vec![heads.map(|(head, _)| head.to_owned())];
            let cells = |row: &Row| heads.map(|(_, member)| shown(&row[member]));
            table.extend(rows.iter().map(cells));
            columns::print(&table, out)
        }
        TellFormat::Json => {
            serde_json::to_writer_pretty(&mut *out, rows)?;
            writeln!(out)
        }
        TellFormat::Jsonl => {
            for row in rows {
                serde_json::to_writer(&mut *out, row)?;
                writeln!(out)?;
            }
            Ok(())
        }
        TellFormat::Csv => {
            let mut writer = csv::Writer::from_writer(out);
            for (index, row) in rows.iter().enumerate() {
                if index == 0 {
                    writer.write_record(row.keys())?;
                }
                writer.write_record(row.values().map(cell))?;
            }
            writer.flush()
        }
    }
}

/// Returns a cell as a terminal may show it.
fn shown(value: &Value) -> String {
    escaped(&cell(value))
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
