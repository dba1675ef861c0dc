//! What holds of every inventory, whatever its format: errors point into the file, and hosts,
//! groups and variables agree with each other.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt::Write;

use hoist::host::{Host, is_printable};
use hoist::inventory::{Inventory, InventoryError, Source};

/// The columns that hoist knows, without `name`, `host` and `groups`.
const ATTRIBUTES: [&str; 9] = [
    "address",
    "user",
    "port",
    "identity",
    "jump",
    "transport",
    "provider",
    "id",
    "host_key",
];

/// Loads `bytes` as a file called `name`, and checks what came of it.
pub(super) fn load(name: &str, bytes: &[u8]) -> Result<Inventory, InventoryError> {
    let loaded = Inventory::load(&[Source::bytes(name, bytes.to_vec())]);
    match &loaded {
        Ok(inventory) => check(inventory, name, bytes),
        Err(error) => check_error(error, name, bytes),
    }
    loaded
}

/// Checks that the same hosts come of `bytes` where a difference should make none: with a byte
/// order mark, and read twice.
pub(super) fn check_variants(name: &str, bytes: &[u8], loaded: &Result<Inventory, InventoryError>) {
    let expected = shown(loaded);
    let is_supported = !matches!(loaded, Err(InventoryError::Unsupported { .. }));
    if is_supported {
        let marked = ["\u{feff}".as_bytes(), bytes].concat();
        assert_eq!(shown(&load(name, &marked)), expected, "with a mark");
    }
    if loaded.is_ok() {
        let source = Source::bytes(name, bytes.to_vec());
        let twice = Inventory::load(&[source.clone(), source]);
        assert_eq!(shown(&twice), expected, "read twice");
    }
}

/// Returns all that can be seen of an inventory but its warnings, or the error.
pub(super) fn shown(loaded: &Result<Inventory, InventoryError>) -> String {
    let inventory = match loaded {
        Ok(inventory) => inventory,
        Err(error) => return error.to_string(),
    };
    let mut shown = format!("{:?}\n", inventory.columns());
    for host in inventory.hosts() {
        let origin = inventory.origin(host.name.as_str());
        writeln!(shown, "{host:?} {origin:?}").expect("a string takes everything");
    }
    for group in inventory.group_names() {
        let names: Vec<_> = names_of(inventory, group).collect();
        writeln!(shown, "{group} {names:?}").expect("a string takes everything");
    }
    shown
}

fn names_of<'a>(inventory: &'a Inventory, group: &str) -> impl Iterator<Item = &'a str> {
    let hosts = inventory.group(group).expect("the group is named");
    hosts.map(|host| host.name.as_str())
}

/// Returns the lines of a file as people count them.
fn lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_start_matches('\u{feff}');
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    text.split('\n').map(str::to_owned).collect()
}

fn check_error(error: &InventoryError, name: &str, bytes: &[u8]) {
    let text = error.to_string();
    assert!(text.starts_with(name), "{text}");
    assert!(text.contains("; expected "), "{text}");
    assert!(text.chars().all(is_printable), "{text:?}");
    if let InventoryError::Flawed { place, .. } = error {
        assert_eq!(&*place.source, name);
        let lines = lines(bytes);
        let line = lines.get(place.line.wrapping_sub(1));
        let line = line.unwrap_or_else(|| panic!("there is no such line: {text}"));
        let columns = 1..=line.chars().count() + 1;
        assert!(columns.contains(&place.column), "not in {line:?}: {text}");
    }
}

fn check(inventory: &Inventory, name: &str, bytes: &[u8]) {
    assert!(
        inventory
            .warnings()
            .iter()
            .all(|warning| warning.chars().all(is_printable))
    );
    let hosts: Vec<&Host> = inventory.hosts().collect();
    assert_eq!(hosts.len(), inventory.len());
    let columns: HashSet<&str> = inventory.columns().into_iter().collect();
    let last = lines(bytes).len();
    for host in &hosts {
        let host_name = host.name.as_str();
        assert_eq!(inventory.get(host_name), Some(*host));
        assert!(
            host.variables
                .iter()
                .all(|(name, _)| columns.contains(name))
        );
        let origin = inventory.origin(host_name).expect("it was named somewhere");
        let line = origin
            .strip_prefix(name)
            .and_then(|rest| rest.strip_prefix(':'));
        let line: usize = line.and_then(|line| line.parse().ok()).expect("a line");
        assert!((1..=last).contains(&line), "{origin} of {last} lines");
    }
    check_groups(inventory, &hosts);
}

/// Hosts know their groups, groups their hosts, and `all` and `ungrouped` what is implied.
fn check_groups(inventory: &Inventory, hosts: &[&Host]) {
    let mut groups_of: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for group in inventory.group_names() {
        let names: Vec<&str> = names_of(inventory, group).collect();
        let distinct: HashSet<&str> = names.iter().copied().collect();
        assert_eq!(distinct.len(), names.len(), "{group} holds each host once");
        for name in names {
            groups_of.entry(name).or_default().insert(group);
        }
    }
    for host in hosts {
        let name = host.name.as_str();
        let told: BTreeSet<&str> = inventory.groups_of(name).into_iter().collect();
        assert_eq!(
            groups_of.get(name).cloned().unwrap_or_default(),
            told,
            "{name}"
        );
        assert!(host.groups.iter().all(|group| told.contains(&**group)));
    }
    let names = hosts.iter().map(|host| host.name.as_str());
    assert!(names_of(inventory, "all").eq(names.clone()));
    let ungrouped = names.filter(|name| !groups_of.contains_key(name));
    assert!(names_of(inventory, "ungrouped").eq(ungrouped));
}

/// Returns what `host` has under the name of one of hoist's own columns.
pub(super) fn attribute(host: &Host, name: &str) -> Option<String> {
    let text = |value: &Option<Box<str>>| value.as_deref().map(str::to_owned);
    match name {
        "address" => host.address.as_ref().map(ToString::to_string),
        "user" => host.user.as_ref().map(ToString::to_string),
        "port" => host.port.map(|port| port.to_string()),
        "identity" => text(&host.identity),
        "jump" => text(&host.jump),
        "transport" => host.transport.map(|name| name.as_str().to_owned()),
        "provider" => text(&host.provider),
        "id" => text(&host.id),
        "host_key" => text(&host.host_key),
        other => panic!("{other} is no attribute"),
    }
}

/// Returns the attribute that a column is for, however its name is written.
pub(super) fn attribute_named(column: &str) -> Option<&'static str> {
    ATTRIBUTES
        .into_iter()
        .find(|known| known.eq_ignore_ascii_case(column))
}

/// Whether a CSV column of that name is a variable which keeps its name.
fn is_variable(column: &str) -> bool {
    let is_own = ["name", "host", "groups"]
        .iter()
        .any(|own| own.eq_ignore_ascii_case(column));
    !is_own && attribute_named(column).is_none() && column.trim() == column
}

/// What CSV can say of a host: what is not empty, without blanks around hoist's own values.
fn row(inventory: &Inventory, host: &Host) -> BTreeMap<String, String> {
    let attributes = ATTRIBUTES.iter().filter_map(|name| {
        let value = attribute(host, name)?.trim_matches([' ', '\t']).to_owned();
        Some(((*name).to_owned(), value))
    });
    let variables = host.variables.iter().filter(|(name, _)| is_variable(name));
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let mut groups = inventory.groups_of(host.name.as_str());
    groups.sort_unstable();
    let name = ("name".to_owned(), host.name.to_string());
    let groups = ("groups".to_owned(), groups.join(" "));
    let cells = attributes.chain(variables).chain([name, groups]);
    cells.filter(|(_, value)| !value.is_empty()).collect()
}

/// Checks that the hosts, written as CSV, load again as they were.
pub(super) fn check_written(inventory: &Inventory) {
    let rows: Vec<_> = inventory.hosts().map(|host| row(inventory, host)).collect();
    let variables = inventory
        .columns()
        .into_iter()
        .filter(|name| is_variable(name));
    let own = ["name", "groups"].into_iter().chain(ATTRIBUTES);
    let columns: Vec<&str> = own.chain(variables).collect();
    let mut writer = csv::WriterBuilder::new()
        .quote_style(csv::QuoteStyle::Always)
        .from_writer(Vec::new());
    writer
        .write_record(&columns)
        .expect("a vector takes everything");
    for row in &rows {
        let cells = columns
            .iter()
            .map(|column| row.get(*column).map_or("", String::as_str));
        writer
            .write_record(cells)
            .expect("a vector takes everything");
    }
    let bytes = writer.into_inner().expect("a vector takes everything");
    let again = load("written.csv", &bytes).unwrap_or_else(|error| {
        panic!("{error} in {}", String::from_utf8_lossy(&bytes));
    });
    let rows_again: Vec<_> = again.hosts().map(|host| row(&again, host)).collect();
    assert_eq!(rows_again, rows);
}
