//! `hoist hosts`: prints the selection, or works on patterns without an inventory.

use std::collections::HashSet;
use std::io::{self, BufRead, BufWriter, Write};

use clap::Args;
use hoist::host::Host;
use hoist::hostset::{HostSet, LoginSet, NoNames, Pattern};
use hoist::inventory::Inventory;
use hoist::selection::Selected;
use serde_json::{Map, Value};

use super::reaching::{self, Reaching};
use super::selecting;
use crate::args::{Connecting, Hosts, ListFormat, Listing};
use crate::report::Failure;
use crate::settings::{Environment, Origins};

/// How much is gathered for stdout at once.
const BUFFER_BYTES: usize = 64 * 1024;

/// Prints what was asked for.
pub(crate) fn run(
    hosts: &Hosts,
    origins: &Origins,
    environment: &Environment,
) -> Result<(), Failure> {
    let listing = &hosts.listing;
    check_resolve(listing, origins)?;
    if !listing.fold && !listing.names.is_empty() {
        let name = &listing.names[0];
        return Err(Failure::usage(format!("`{name}` belongs to no flag"))
            .hint("select hosts with `-w`, or fold names with `--fold`"));
    }
    let mut out = BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock());
    if listing.resolve {
        resolve(hosts, origins, environment, &mut out)?;
    } else if listing.fold {
        fold(listing, &mut out)?;
    } else if listing.expand.is_empty() {
        let chosen = selecting::select(&hosts.selecting, origins, environment)?;
        let list = List::of(&chosen.hosts, chosen.inventory.as_deref());
        print_list(&list, listing, &mut out)?;
    } else {
        expand(listing, &mut out)?;
    }
    out.flush().map_err(|error| Failure::writing(&error))
}

/// Refuses flags about connections where nothing is said of them.
fn check_resolve(listing: &Listing, origins: &Origins) -> Result<(), Failure> {
    let connecting = Connecting::augment_args(clap::Command::new(""));
    let mut typed = origins.typed().iter();
    let about_connections = typed.find(|typed| {
        let mut flags = connecting.get_arguments();
        flags.any(|flag| flag.get_id().as_str() == typed.id)
    });
    match about_connections {
        Some(typed) if !listing.resolve => {
            let flag = typed.words[0].to_string_lossy().into_owned();
            Err(
                Failure::usage(format!("`{flag}` is about how hosts are reached"))
                    .hint("add --resolve to see that"),
            )
        }
        _ if listing.resolve && listing.output != Some(ListFormat::Json) => {
            Err(Failure::usage("--resolve needs `-o json`")
                .hint("`hoist explain HOST` prints it as a table"))
        }
        _ => Ok(()),
    }
}

/// Prints how each host is reached.
fn resolve(
    hosts: &Hosts,
    origins: &Origins,
    environment: &Environment,
    out: &mut impl Write,
) -> Result<(), Failure> {
    let chosen = selecting::select(&hosts.selecting, origins, environment)?;
    let reaching = Reaching {
        connecting: &hosts.connecting,
        origins,
        environment,
        is_quiet: true,
    };
    let explained = reaching.explain(chosen.hosts, chosen.inventory.as_deref())?;
    let objects = explained.iter().map(|facts| reaching::object(facts));
    print_objects(objects, out).map_err(|error| Failure::writing(&error))
}

/// Writes an array, an object a line.
fn print_objects(
    objects: impl Iterator<Item = Map<String, Value>>,
    out: &mut impl Write,
) -> io::Result<()> {
    let mut before = "[\n";
    for object in objects {
        out.write_all(before.as_bytes())?;
        serde_json::to_writer(&mut *out, &object)?;
        before = ",\n";
    }
    out.write_all(if before == "[\n" { b"[]\n" } else { b"\n]\n" })
}

fn fold(listing: &Listing, out: &mut impl Write) -> Result<(), Failure> {
    let texts = if listing.names.is_empty() {
        lines_of_stdin()?
    } else {
        listing.names.clone()
    };
    let hosts = union(&texts)?;
    let format = listing.output.unwrap_or(ListFormat::Folded);
    print_logins(&hosts, format, listing.count, out)
}

fn expand(listing: &Listing, out: &mut impl Write) -> Result<(), Failure> {
    let mut texts = Vec::new();
    for text in &listing.expand {
        match text.as_str() {
            "-" => texts.extend(lines_of_stdin()?),
            _ => texts.push(text.clone()),
        }
    }
    let format = listing.output.unwrap_or(ListFormat::Plain);
    // One pattern is the common case, and needs no memory for its names.
    match &texts[..] {
        [text] if listing.count => {
            let count = Pattern::parse(text).and_then(|pattern| pattern.count());
            line(&count.map_err(Failure::usage)?, out)
        }
        [text] if format == ListFormat::Plain => {
            let pattern = Pattern::parse(text).map_err(Failure::usage)?;
            print_names(pattern.names().map_err(Failure::usage)?, out)
        }
        texts => print_logins(&union(texts)?, format, listing.count, out),
    }
}

/// Returns what the patterns stand for together, without an inventory.
fn union(texts: &[String]) -> Result<LoginSet, Failure> {
    let mut all = LoginSet::new();
    for text in texts {
        let set = Pattern::parse(text).and_then(|pattern| pattern.expand(&NoNames));
        all.unite(set.map_err(Failure::usage)?);
    }
    Ok(all)
}

/// Reads lines, without blanks around them, empty ones and comments.
fn lines_of_stdin() -> Result<Vec<String>, Failure> {
    let mut lines = Vec::new();
    for (index, line) in io::stdin().lock().lines().enumerate() {
        let line = line.map_err(|error| {
            Failure::usage(format!("cannot read <stdin>:{}: {error}", index + 1))
        })?;
        let line = line.trim();
        if !line.is_empty() && !line.starts_with('#') {
            lines.push(line.to_owned());
        }
    }
    Ok(lines)
}

fn print_logins(
    set: &LoginSet,
    format: ListFormat,
    is_count: bool,
    out: &mut impl Write,
) -> Result<(), Failure> {
    if is_count {
        return line(&set.len(), out);
    }
    match format {
        ListFormat::Plain => print_names(set.iter().map(|(name, _)| name), out),
        ListFormat::Folded => line(&set.names().fold(), out),
        ListFormat::Csv | ListFormat::Json => {
            let hosts: Vec<Selected> = set
                .iter()
                .map(|(name, login)| Selected {
                    host: Host::named(name.clone()),
                    login: login.clone(),
                })
                .collect();
            let list = List::of(&hosts, None);
            match format {
                ListFormat::Csv => list.print_csv(out),
                _ => list.print_json(out),
            }
            .map_err(|error| Failure::writing(&error))
        }
    }
}

fn print_list(list: &List<'_>, listing: &Listing, out: &mut impl Write) -> Result<(), Failure> {
    if listing.count {
        return line(&list.hosts.len(), out);
    }
    let names = || list.hosts.iter().map(|selected| &selected.host.name);
    match listing.output.unwrap_or(ListFormat::Plain) {
        ListFormat::Plain => print_names(names(), out),
        ListFormat::Folded => line(&names().cloned().collect::<HostSet>().fold(), out),
        ListFormat::Csv => list
            .print_csv(out)
            .map_err(|error| Failure::writing(&error)),
        ListFormat::Json => list
            .print_json(out)
            .map_err(|error| Failure::writing(&error)),
    }
}

fn print_names<N: AsRef<str>>(
    names: impl Iterator<Item = N>,
    out: &mut impl Write,
) -> Result<(), Failure> {
    for name in names {
        out.write_all(name.as_ref().as_bytes())
            .and_then(|()| out.write_all(b"\n"))
            .map_err(|error| Failure::writing(&error))?;
    }
    Ok(())
}

fn line(text: &impl std::fmt::Display, out: &mut impl Write) -> Result<(), Failure> {
    writeln!(out, "{text}").map_err(|error| Failure::writing(&error))
}

/// Hosts as a table: the columns that any of them has, in an order `-i` reads back.
struct List<'a> {
    hosts: &'a [Selected],
    inventory: Option<&'a Inventory>,
    columns: Vec<&'a str>,
}

/// The columns an inventory has of its own.
const COLUMNS: [&str; 11] = [
    "name",
    "address",
    "user",
    "port",
    "groups",
    "identity",
    "jump",
    "transport",
    "provider",
    "id",
    "host_key",
];

impl<'a> List<'a> {
    fn of(hosts: &'a [Selected], inventory: Option<&'a Inventory>) -> Self {
        let mut list = Self {
            hosts,
            inventory,
            columns: Vec::new(),
        };
        let known = COLUMNS.into_iter().filter(|column| {
            let mut hosts = hosts.iter();
            *column == "name" || hosts.any(|host| list.known(host, column).is_some())
        });
        let mut columns: Vec<&str> = known.collect();
        columns.extend(variables(hosts));
        list.columns = columns;
        list
    }

    /// Returns what `host` has in one of [`COLUMNS`].
    fn known(&self, selected: &Selected, column: &str) -> Option<String> {
        let Selected { host, login } = selected;
        let text = |text: &Option<Box<str>>| text.as_deref().map(str::to_owned);
        match column {
            "name" => Some(host.name.to_string()),
            "address" => host.address.as_ref().map(ToString::to_string),
            "user" => login
                .user
                .as_ref()
                .or(host.user.as_ref())
                .map(ToString::to_string),
            "port" => login.port.or(host.port).map(|port| port.to_string()),
            "groups" => Some(self.groups(host)).filter(|groups| !groups.is_empty()),
            "identity" => text(&host.identity),
            "jump" => text(&host.jump),
            "transport" => host.transport.map(|name| name.as_str().to_owned()),
            "provider" => text(&host.provider),
            "id" => text(&host.id),
            "host_key" => text(&host.host_key),
            _ => None,
        }
    }

    fn groups(&self, host: &Host) -> String {
        match self.inventory {
            Some(inventory) => inventory.groups_of(host.name.as_str()).join(" "),
            None => host.groups.join(" "),
        }
    }

    fn cell(&self, selected: &Selected, column: &str) -> Option<String> {
        let variable = || selected.host.variables.get(column).map(str::to_owned);
        self.known(selected, column).or_else(variable)
    }

    fn print_csv(&self, out: &mut impl Write) -> io::Result<()> {
        let mut writer = csv::Writer::from_writer(out);
        writer.write_record(&self.columns)?;
        for host in self.hosts {
            let cells = self.columns.iter();
            let row = cells.map(|column| self.cell(host, column).unwrap_or_default());
            writer.write_record(row)?;
        }
        writer.flush()
    }

    fn print_json(&self, out: &mut impl Write) -> io::Result<()> {
        print_objects(self.hosts.iter().map(|host| self.object(host)), out)
    }

    fn object(&self, host: &Selected) -> Map<String, Value> {
        let filled = self.columns.iter().filter_map(|column| {
            let cell = self.cell(host, column)?;
            let value = match *column {
                "port" => cell.parse::<u16>().map_or(Value::Null, Value::from),
                "groups" => cell.split(' ').map(Value::from).collect(),
                _ => Value::from(cell),
            };
            Some(((*column).to_owned(), value))
        });
        filled.collect()
    }
}

/// Returns the names of the variables of any host, in the order they are first seen.
fn variables(hosts: &[Selected]) -> Vec<&str> {
    let mut seen = HashSet::new();
    let all = hosts
        .iter()
        .flat_map(|selected| selected.host.variables.iter());
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in all {
        if !COLUMNS.contains(&name) && seen.insert(name) {
            names.push(name);
        }
    }
    names
}
