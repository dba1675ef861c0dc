//! Laws that hold for any file.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{Scratch, gone, load, says};
use crate::inventory::edit::cells::{Record, Records, decoded};
use crate::inventory::edit::{Edit, Row};

/// A table with hosts `h0`, `h1`, … and servers `s0`, `s1`, … of vultr.
#[derive(Debug, Clone)]
struct Table {
    delimiter: char,
    text: String,
    /// How many rows are servers.
    servers: usize,
}

const ENDS: [&str; 3] = ["\n", "\r\n", "\r"];

/// The columns a table may have besides its names.
const COLUMNS: [&str; 8] = [
    "address", "USER", "provider", " id ", "Groups", "host_key", "rack", "note, x",
];

fn odd_cell() -> impl Strategy<Value = String> {
    "([a-z ]|\"|,|;|\n|\r\n|é){0,6}"
}

/// Writes a cell, in quotes if it has to be or `is_quoted` says so.
fn cell(value: &str, delimiter: char, is_quoted: bool) -> String {
    let is_special = |c| c == delimiter || c == '\n' || c == '\r';
    if is_quoted || value.starts_with('"') || value.contains(is_special) {
        format!("\"{}\"", value.replace('"', "\"\""))
    } else {
        value.to_owned()
    }
}

prop_compose! {
    fn table()(
        delimiter in prop::sample::select(vec![',', ';', '\t']),
        columns in prop::sample::subsequence(COLUMNS.to_vec(), 0..=COLUMNS.len()).prop_shuffle(),
        name_at in any::<prop::sample::Index>(),
        end in prop::sample::select(ENDS.to_vec()),
        is_marked in any::<bool>(),
        is_ended in any::<bool>(),
        rows in vec((any::<bool>(), vec((odd_cell(), any::<bool>()), 9), 0..4_usize, 0..5_usize), 0..8),
        is_quoted in any::<bool>(),
    ) -> Table {
        let mut columns = columns;
        columns.insert(name_at.index(columns.len() + 1), "name");
        // One column alone does not tell the delimiter.
        let delimiter = if columns.len() == 1 { ',' } else { delimiter };
        let is_known = columns.contains(&"provider") && columns.contains(&" id ");
        let join = |cells: Vec<String>| cells.join(&delimiter.to_string());
        let header = columns.iter().map(|name| cell(name, delimiter, is_quoted || name.contains(','))).collect();
        let mut lines = vec![join(header)];
        let mut servers = 0;
        for (number, (is_server, odd, short, blank)) in rows.into_iter().enumerate() {
            let is_server = is_server && is_known;
            let name = if is_server { format!("s{servers}") } else { format!("h{number}") };
            let mut cells = Vec::new();
            for (column, (odd, is_quoted)) in columns.iter().zip(&odd) {
                let value = match column.trim().to_lowercase().as_str() {
                    "name" => name.clone(),
                    "provider" if is_server => "vultr".to_owned(),
                    "id" if is_server => format!("id-{name}"),
                    "provider" | "id" | "user" | "host_key" => String::new(),
                    "address" => format!(" 10.0.0.{number}\t"),
                    "groups" => ["", "x", "x;y ", "y | z"][short].to_owned(),
                    _ => odd.clone(),
                };
                cells.push(cell(&value, delimiter, *is_quoted));
            }
            servers += usize::from(is_server);
            if !is_server && short == 3 {
                let least = columns.iter().position(|name| *name == "name").unwrap() + 1;
                cells.truncate(least);
            }
            lines.push(join(cells));
            if blank == 0 {
                lines.push(String::new());
            }
        }
        let mut text = lines.join(end);
        if is_ended {
            text.push_str(end);
        }
        // An empty line at the end is a line end.
        if is_marked {
            text.insert(0, '\u{feff}');
        }
        Table { delimiter, text, servers }
    }
}

prop_compose! {
    fn server()(
        address in "10\\.1\\.1\\.[1-9]",
        user in prop::option::of("[a-z]{1,4}"),
        port in prop::option::of(1..u16::MAX),
        groups in prop::sample::subsequence(vec!["app", "x", "y"], 0..3),
        key in prop::option::of("ssh-rsa [A-Z]{1,4}"),
    ) -> Row {
        Row {
            address,
            user,
            port,
            groups: groups.into_iter().map(ToOwned::to_owned).collect(),
            provider: "vultr".to_owned(),
            host_key: key,
            ..Row::default()
        }
    }
}

/// Gives servers the names of some that are there, and new ones.
fn named(servers: Vec<Row>, known: usize) -> Vec<Row> {
    let name = |(number, row): (usize, Row)| {
        let name = if number < known {
            format!("s{number}")
        } else {
            format!("new{number}")
        };
        let id = format!("id-{name}");
        Row { name, id, ..row }
    };
    servers.into_iter().enumerate().map(name).collect()
}

/// Returns the records of a table as they are written, line ends left out.
fn records(text: &str, delimiter: char) -> Vec<String> {
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = Records::new(text.as_bytes(), delimiter as u8);
    let mut record = Record::default();
    let mut all = Vec::new();
    while reader.read(&mut record) {
        all.push(text[record.start()..record.content_end()].to_owned());
    }
    all
}

/// Every host of `before` that no row names is in `after` what it was, and all rows are there.
fn check_loaded(name: &str, before: &str, after: &[u8], rows: &[Row]) {
    let (before, after) = (load(name, before.as_bytes()), load(name, after));
    for row in rows {
        assert!(says(after.get(&row.name).unwrap(), row), "{row:?}");
    }
    let is_put = |name: &str| rows.iter().any(|row| row.name == name);
    for host in before.hosts().filter(|host| !is_put(host.name.as_str())) {
        assert_eq!(after.get(host.name.as_str()), Some(host));
    }
    let new = rows
        .iter()
        .filter(|row| before.get(&row.name).is_none())
        .count();
    assert_eq!(after.len(), before.len() + new);
}

fn text(edit: &Edit) -> &str {
    std::str::from_utf8(edit.text()).unwrap()
}

proptest! {
    #[test]
    fn cells_are_those_of_the_csv_crate(
        pieces in vec(prop::sample::select(vec!["a", "\"", "\"\"", ",", "\n", "\r\n", "\r", " ", "é"]), 0..30),
    ) {
        let text = pieces.concat();
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(text.as_bytes());
        let expected: Vec<Vec<String>> = reader
            .records()
            .map(|record| record.unwrap().iter().map(ToOwned::to_owned).collect())
            .collect();
        let mut reader = Records::new(text.as_bytes(), b',');
        let mut record = Record::default();
        let mut found = Vec::new();
        while reader.read(&mut record) {
            let cells = record.cells.iter().map(|cell| decoded(&text[cell.clone()]).into_owned());
            found.push(cells.collect::<Vec<_>>());
        }
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn tables_keep_what_is_not_ours(table in table(), servers in vec(server(), 1..5), known in 0..4_usize) {
        let known = known.min(table.servers);
        let rows = named(servers, known);
        let name = if table.delimiter == '\t' { "a.tsv" } else { "a.csv" };
        let scratch = Scratch::new(name, &table.text);
        let mut edit = scratch.open();
        edit.put(&rows).unwrap();
        check_loaded(name, &table.text, edit.text(), &rows);

        let before = records(&table.text, table.delimiter);
        let after = records(text(&edit), table.delimiter);
        let has_new_columns = before[0] != after[0];
        prop_assert!(after[0].starts_with(&before[0]));
        let inventory = load(name, table.text.as_bytes());
        for (host, number) in inventory.hosts().zip(1..) {
            // Hosts are in the order of the rows.
            let is_put = rows.iter().any(|row| row.name == host.name.as_str());
            if !is_put && has_new_columns {
                let rest = after[number].strip_prefix(&before[number]).unwrap();
                prop_assert!(rest.chars().all(|c| c == table.delimiter), "{rest:?}");
            } else if !is_put {
                prop_assert_eq!(&after[number], &before[number]);
            }
        }
        let again = edit.text().to_vec();
        edit.put(&rows).unwrap();
        prop_assert_eq!(edit.text(), &again);

        edit.remove(&rows.iter().map(gone).collect::<Vec<_>>()).unwrap();
        let left = load(name, edit.text());
        prop_assert!(rows.iter().all(|row| left.get(&row.name).is_none()));
        if known == 0 && !has_new_columns {
            prop_assert_eq!(text(&edit), &table.text);
        }
    }

    #[test]
    fn texts_keep_what_is_not_ours(
        pieces in vec((0..12_usize, 0..3_usize), 0..14),
        servers in vec(server(), 1..4),
        end in prop::sample::select(ENDS.to_vec()),
        is_ended in any::<bool>(),
    ) {
        let mut lines = Vec::new();
        let mut known = 0;
        for (number, (kind, more)) in pieces.iter().enumerate() {
            let group = ["app", "x", "other"][*more];
            lines.push(match kind {
                0 => String::new(),
                1 => format!("# a comment {number}"),
                2 => format!("  ; {number}"),
                3 | 4 => format!("[{group}]"),
                5 => format!("h{number}-[1-3] rack=a"),
                6 => format!("root@h{number}:22  # x"),
                7 if *more == 0 => "[app]\n[all:children]\napp\n[x]".replace('\n', end),
                8 | 9 => {
                    known += 1;
                    let name = format!("s{}", known - 1);
                    format!("{name}  id=id-{name} rack='a b' provider=\"vultr\"  # kept {number}")
                }
                _ => format!("h{number} note=\"a # b\""),
            });
        }
        let mut before = lines.join(end);
        if is_ended && !before.is_empty() {
            before.push_str(end);
        }
        let known = known.min(2);
        let rows = named(servers, known);
        let scratch = Scratch::new("a.txt", &before);
        let mut edit = scratch.open();
        edit.put(&rows).unwrap();
        check_loaded("a.txt", &before, edit.text(), &rows);
        let again = edit.text().to_vec();
        edit.put(&rows).unwrap();
        prop_assert_eq!(edit.text(), &again);

        // Lines that are nobody's of ours are there as they were, in order.
        let ours = |line: &&str| rows.iter().any(|row| line.split_whitespace().next() == Some(&row.name));
        let after: Vec<_> = text(&edit).split(['\n', '\r']).filter(|line| !ours(line)).collect();
        let mut rest = after.iter();
        for line in before.split(['\n', '\r']).filter(|line| !ours(line) && !line.is_empty()) {
            prop_assert!(rest.any(|found| *found == line), "{line:?} in {after:?}");
        }
        edit.remove(&rows.iter().map(gone).collect::<Vec<_>>()).unwrap();
        let has_headings = rows.iter().all(|row| row.groups.iter().all(|group| {
            before.split(end).any(|line| line == format!("[{group}]"))
        }));
        if known == 0 && has_headings {
            prop_assert_eq!(text(&edit), &before);
        }
    }

    #[test]
    fn no_value_breaks_a_file(
        name in "\\PC{0,6}",
        id in "(\\PC|\n|\"|'|\\\\|#| |=){0,8}",
        user in prop::option::of("\\PC{0,4}"),
        group in "\\PC{0,4}",
    ) {
        let row = Row {
            name,
            id,
            user,
            groups: vec![group],
            ..super::row("x")
        };
        for (file, before) in [("a.csv", "name,x\nweb1,1\n"), ("a.txt", "[app]\nweb1\n"), ("b", "")] {
            let scratch = Scratch::new(file, before);
            let mut edit = scratch.open();
            match edit.put(std::slice::from_ref(&row)) {
                Ok(()) => check_loaded(file, before, edit.text(), std::slice::from_ref(&row)),
                Err(error) => {
                    scratch.show(&error);
                    prop_assert_eq!(text(&edit), before);
                }
            }
        }
    }
}
