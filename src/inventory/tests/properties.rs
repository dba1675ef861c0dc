//! Laws that hold for any input.

use proptest::collection::vec;
use proptest::prelude::*;

use super::dump;
use crate::host::is_printable;
use crate::inventory::{Inventory, Source};

/// Names that choose every format.
const NAMES: [&str; 6] = ["x", "x.csv", "x.tsv", "x.json", "x.jsonl", "x.ini"];

/// Loads `bytes` in every format; errors have to be fit for a terminal.
fn survive(bytes: &[u8]) {
    for name in NAMES {
        match Inventory::load(&[Source::bytes(name, bytes.to_vec())]) {
            Ok(inventory) => {
                assert_eq!(inventory.hosts().count(), inventory.len());
                for warning in inventory.warnings() {
                    assert!(warning.chars().all(is_printable), "{warning:?}");
                }
            }
            Err(error) => {
                let error = error.to_string();
                assert!(error.starts_with(name), "{error}");
                assert!(error.chars().all(is_printable), "{error:?}");
                assert!(error.contains("; expected "), "{error}");
            }
        }
    }
}

/// Pieces of which inventories are made, valid and not.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "web1",
            "db[1-3]",
            "[web]",
            "[web:children]",
            "[web:vars]",
            "[all:vars]",
            "\n",
            "\r\n",
            "\r",
            " ",
            "\t",
            ",",
            ";",
            "|",
            "\"",
            "'",
            "\\",
            "=",
            "#",
            "#include x",
            "@",
            ":22",
            "name",
            "host",
            "groups",
            "user=root",
            "ansible_port=22",
            "ansible_connection=local",
            "{",
            "}",
            "[",
            "]",
            ":",
            "\"host\"",
            "\"hosts\"",
            "\"children\"",
            "\"vars\"",
            "\"_meta\"",
            "\"hostvars\"",
            "null",
            "1e5",
            "\u{feff}",
            "\0",
            "é",
            "\u{202e}",
            "-",
            "/",
            "[1:3]",
            "[a:c]",
            "2001:db8::1",
            "%",
            "ungrouped",
            "all",
        ])
        .prop_map(ToOwned::to_owned),
        "\\PC{0,3}",
    ]
}

fn name() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9.-]{0,6}"
}

/// A text that a spreadsheet cell could hold.
fn cell() -> impl Strategy<Value = String> {
    "([ -~]|\n|\r\n|é|\"|,|;){0,8}"
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in vec(any::<u8>(), 0..200)) {
        survive(&bytes);
    }

    #[test]
    fn no_text_panics(pieces in vec(piece(), 0..30)) {
        survive(pieces.concat().as_bytes());
    }

    #[test]
    fn no_json_panics(pieces in vec(piece(), 0..12)) {
        survive(format!("{{\"a\": {{\"hosts\": [{}]}}}}", pieces.join(",")).as_bytes());
        survive(format!("[{{\"host\": \"a\", {}}}]", pieces.join(":")).as_bytes());
    }

    #[test]
    fn csv_reads_back_equal(
        rows in prop::collection::btree_map(name(), (cell(), cell()), 0..20),
        delimiter in prop::sample::select(vec![b',', b';', b'\t']),
        has_crlf in any::<bool>(),
    ) {
        let terminator = if has_crlf { csv::Terminator::CRLF } else { csv::Terminator::Any(b'\n') };
        let mut writer = csv::WriterBuilder::new()
            .delimiter(delimiter)
            .terminator(terminator)
            .from_writer(Vec::new());
        writer.write_record(["x", "name", "y z"]).unwrap();
        for (name, (x, y)) in &rows {
            writer.write_record([x, name, y]).unwrap();
        }
        let bytes = writer.into_inner().unwrap();
        let fleet = Inventory::load(&[Source::bytes("a.csv", bytes)]).unwrap();
        prop_assert_eq!(fleet.len(), rows.len());
        for (host, (name, (x, y))) in fleet.hosts().zip(&rows) {
            prop_assert_eq!(host.name.as_str(), name);
            prop_assert_eq!(host.variables.get("x").unwrap_or(""), x);
            prop_assert_eq!(host.variables.get("y z").unwrap_or(""), y);
        }
    }

    /// A host's line number is that of its row, whatever cells before it hold.
    #[test]
    fn rows_know_their_line(notes in vec(cell(), 1..10)) {
        let mut text = String::from("note,name\n");
        let mut lines = Vec::new();
        for (index, note) in notes.iter().enumerate() {
            lines.push(1 + text.matches('\n').count());
            text.extend(["\"", &note.replace('"', "\"\""), &format!("\",h{index}\n")]);
        }
        let fleet = Inventory::load(&[Source::bytes("a.csv", text.into())]).unwrap();
        for (index, line) in lines.iter().enumerate() {
            let origin = fleet.origin(&format!("h{index}"));
            prop_assert_eq!(origin, Some(format!("a.csv:{line}")));
        }
    }

    /// Combining in any order gives the same hosts, and combining twice changes nothing.
    #[test]
    fn sources_combine_in_any_order(
        rows in vec((0..5_u8, 0..4_u8, 0..3_u8, any::<bool>()), 0..12),
    ) {
        // A value is a function of host and key, so that rows never disagree.
        let sources: Vec<_> = rows
            .iter()
            .map(|(host, key, group, is_grouped)| {
                let heading = if *is_grouped { format!("[g{group}]\n") } else { String::new() };
                let text = format!("{heading}h{host} k{key}=v{host}{key}");
                Source::bytes("x", text.into())
            })
            .collect();
        let sorted = |sources: &[Source]| {
            let fleet = Inventory::load(sources).unwrap();
            let mut hosts: Vec<_> = fleet
                .hosts()
                .map(|host| {
                    let mut variables: Vec<_> = host.variables.iter().map(|(k, v)| format!("{k}={v}")).collect();
                    let mut groups = fleet.groups_of(host.name.as_str());
                    variables.sort();
                    groups.sort_unstable();
                    format!("{} {groups:?} {variables:?}", host.name)
                })
                .collect();
            hosts.sort();
            hosts
        };
        let expected = sorted(&sources);
        let reversed: Vec<_> = sources.iter().rev().cloned().collect();
        prop_assert_eq!(&sorted(&reversed), &expected);
        let twice = [sources.clone(), sources].concat();
        prop_assert_eq!(&sorted(&twice), &expected);
    }

    /// A group's hosts are the union of its own and its children's, each once, and `all` is
    /// everyone.
    #[test]
    fn a_group_holds_its_children(
        members in vec((0..6_usize, 0..8_u8), 0..20),
        edges in vec((0..6_usize, 0..6_usize), 0..10),
    ) {
        let mut text: Vec<_> = (0..6).map(|group| format!("[g{group}]\n")).collect();
        for (group, host) in &members {
            text.push(format!("[g{group}]\nh{host}\n"));
        }
        // Downwards only, so that there is no cycle.
        let edges: Vec<_> = edges.into_iter().filter(|(parent, child)| parent < child).collect();
        for (parent, child) in &edges {
            text.push(format!("[g{parent}:children]\ng{child}\n"));
        }
        let fleet = Inventory::load(&[Source::bytes("x", text.concat().into())]).unwrap();
        let hosts = |group: usize| -> std::collections::BTreeSet<String> {
            super::group(&fleet, &format!("g{group}")).into_iter().collect()
        };
        for group in 0..6 {
            let mut expected: std::collections::BTreeSet<_> = members
                .iter()
                .filter(|(of, _)| *of == group)
                .map(|(_, host)| format!("h{host}"))
                .collect();
            for (_, child) in edges.iter().filter(|(parent, _)| *parent == group) {
                expected.extend(hosts(*child));
            }
            prop_assert_eq!(&hosts(group), &expected);
            prop_assert_eq!(super::group(&fleet, &format!("g{group}")).len(), expected.len());
            for name in expected {
                let group = format!("g{group}");
                prop_assert!(fleet.groups_of(&name).contains(&&*group));
            }
        }
        prop_assert_eq!(super::group(&fleet, "all").len(), fleet.len());
    }

    #[test]
    fn a_host_beats_its_group(values in vec(prop::option::of("[a-z]{1,3}"), 1..6)) {
        let mut text = vec!["[g:vars]\nk=given\n[g]\n".to_owned()];
        for (index, value) in values.iter().enumerate() {
            let own = value.as_ref().map_or_else(String::new, |value| format!(" k={value}"));
            text.push(format!("h{index}{own}\n"));
        }
        let fleet = Inventory::load(&[Source::bytes("x", text.concat().into())]).unwrap();
        for (host, value) in fleet.hosts().zip(&values) {
            let expected = value.as_deref().unwrap_or("given");
            prop_assert_eq!(host.variables.get("k"), Some(expected), "{}", dump(&fleet));
        }
    }
}
