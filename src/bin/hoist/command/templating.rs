//! What templates see: the inventory, `--var`, `--vars` and `--results`, read before anything else is
//! done; and what a template comes to for each host.

use std::collections::HashSet;
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;

use hoist::host::Host;
use hoist::inventory::Inventory;
use hoist::template::{Scene, Template};
use serde_json::{Map, Value};

use super::selecting::is_stdin;
use crate::args::{Templating, Variable};
use crate::report::Failure;
use crate::settings::{Origins, Typed};

/// Reads what templates see. Later values win, and those of `--var` over files.
///
/// # Errors
/// When a file can't be read or understood.
pub(super) fn scene(
    templating: &Templating,
    inventory: Option<&Arc<Inventory>>,
) -> Result<Scene, Failure> {
    let mut vars = Map::new();
    for file in &templating.vars {
        vars.extend(read_vars(file)?);
    }
    for Variable { name, value } in &templating.var {
        let Some(value) = value.to_str() else {
            return Err(Failure::usage(format!("--var {name} is not UTF-8")));
        };
        vars.insert(name.clone(), value.into());
    }
    let results = match &templating.results {
        Some(file) => read_results(file)?,
        None => Map::new(),
    };
    let inventory = inventory.map_or_else(|| Arc::new(Inventory::empty()), Arc::clone);
    Ok(Scene::with(inventory, vars, results))
}

/// What a template comes to for each host; equal texts are kept once.
pub(super) struct Texts<'a> {
    template: &'a Template,
    scene: &'a Scene,
    is_same_for_all: bool,
    known: HashSet<Arc<str>>,
}

impl<'a> Texts<'a> {
    pub(super) fn new(template: &'a Template, scene: &'a Scene) -> Self {
        Self {
            template,
            scene,
            is_same_for_all: template.is_same_for_all(),
            known: HashSet::new(),
        }
    }

    /// Returns the text for a host.
    ///
    /// # Errors
    /// When it can't be rendered.
    pub(super) fn of(&mut self, host: &Host) -> Result<Arc<str>, Failure> {
        let first = self.known.iter().next();
        if let Some(text) = first.filter(|_| self.is_same_for_all) {
            return Ok(Arc::clone(text));
        }
        let text = self.template.render(self.scene, host);
        let text = text.map_err(Failure::usage)?;
        if let Some(text) = self.known.get(&*text) {
            return Ok(Arc::clone(text));
        }
        let text: Arc<str> = text.into();
        self.known.insert(Arc::clone(&text));
        Ok(text)
    }
}

/// Refuses flags about templates where nothing is one.
pub(super) fn refuse(origins: &Origins) -> Result<(), Failure> {
    let about_templates = |flag: &&Typed| ["var", "vars", "results"].contains(&&*flag.id);
    match origins.typed().iter().find(about_templates) {
        Some(flag) => Err(Failure::usage(format!("--{} needs --template", flag.id))),
        None => Ok(()),
    }
}

/// Whether results come from stdin.
pub(super) fn reads_stdin(templating: &Templating) -> bool {
    templating.results.as_deref().is_some_and(is_stdin)
}

/// Refuses that two read stdin: the second one would find nothing.
pub(super) fn check_stdin(readers: &[(&str, bool)]) -> Result<(), Failure> {
    let mut reading = readers.iter().filter(|(_, reads)| *reads);
    match (reading.next(), reading.next()) {
        (Some((first, _)), Some((second, _))) => {
            let text = format!("{first} and {second} can't both come from stdin");
            Err(Failure::usage(text).hint("put one of them into a file"))
        }
        _ => Ok(()),
    }
}

/// Reads a text, from stdin for `-`.
pub(super) fn read_text(file: &Path, what: &str) -> Result<String, Failure> {
    let mut bytes = Vec::new();
    let read = if is_stdin(file) {
        io::stdin().read_to_end(&mut bytes).map(|_| bytes)
    } else {
        fs::read(file)
    };
    let failed = |why: String| {
        let file = file.display();
        Failure::usage(format!("cannot read {what} {file}: {why}"))
    };
    let bytes = read.map_err(|error| failed(error.to_string()))?;
    String::from_utf8(bytes).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.split(|byte| *byte == b'\n').count();
        failed(format!("line {line} is not UTF-8"))
    })
}

fn read_vars(file: &Path) -> Result<Map<String, Value>, Failure> {
    let text = read_text(file, "variables from")?;
    let name = file.display();
    let extension = file.extension().and_then(|extension| extension.to_str());
    match extension {
        Some("csv") => read_table(file, &text),
        Some("json") => match serde_json::from_str(&text) {
            Ok(vars) => Ok(vars),
            Err(error) => Err(unreadable("variables", file, &error)),
        },
        Some("toml") => match text.parse::<toml::Table>() {
            Ok(table) => Ok(table
                .into_iter()
                .map(|(key, value)| (key, json(value)))
                .collect()),
            Err(error) => {
                let start = error.span().map_or(0, |span| span.start);
                let before = text.get(..start).unwrap_or_default();
                let line = before.matches('\n').count() + 1;
                let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
                let words = error.message().lines().collect::<Vec<_>>().join(", ");
                Err(Failure::usage(format!(
                    "cannot read variables from {name}:{line}:{column}: {words}"
                )))
            }
        },
        _ => Err(Failure::usage(format!("cannot tell what {name} is"))
            .hint("variables are in files named *.toml, *.json or *.csv")),
    }
}

fn unreadable(what: &str, file: &Path, error: &serde_json::Error) -> Failure {
    let (name, line, column) = (file.display(), error.line(), error.column());
    // It ends with the place, which stands before it here.
    let words = error.to_string();
    let words = words.split(" at line ").next().unwrap_or_default();
    Failure::usage(format!(
        "cannot read {what} from {name}:{line}:{column}: {words}"
    ))
}

/// Reads the rows of a table: a list under the file's name without `.csv`.
fn read_table(file: &Path, text: &str) -> Result<Map<String, Value>, Failure> {
    let failed = |error: csv::Error| {
        let line = error.position().map_or(1, csv::Position::line);
        let words = match error.kind() {
            csv::ErrorKind::UnequalLengths {
                expected_len, len, ..
            } => format!("{len} cells, where the first row has {expected_len}"),
            _ => error.to_string(),
        };
        Failure::usage(format!(
            "cannot read variables from {}:{line}: {words}",
            file.display()
        ))
    };
    let mut reader = csv::Reader::from_reader(text.trim_start_matches('\u{feff}').as_bytes());
    let heads = reader.headers().map_err(failed)?.clone();
    let rows = reader.records().map(|record| {
        let record = record.map_err(failed)?;
        let cells = heads.iter().zip(record.iter());
        let row = cells.map(|(head, cell)| (head.to_owned(), Value::from(cell)));
        Ok(Value::Object(row.collect()))
    });
    let rows = rows.collect::<Result<Vec<_>, Failure>>()?;
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    Ok(Map::from_iter([(stem.into_owned(), Value::Array(rows))]))
}

/// Returns a value of TOML as JSON has it; dates become text.
fn json(value: toml::Value) -> Value {
    match value {
        toml::Value::String(text) => text.into(),
        toml::Value::Integer(number) => number.into(),
        toml::Value::Float(number) => number.into(),
        toml::Value::Boolean(is_true) => is_true.into(),
        toml::Value::Datetime(time) => time.to_string().into(),
        toml::Value::Array(items) => items.into_iter().map(json).collect(),
        toml::Value::Table(table) => table
            .into_iter()
            .map(|(key, value)| (key, json(value)))
            .collect(),
    }
}

/// Reads records: one array, or an object a line. Of two records of a host the later one counts.
fn read_results(file: &Path) -> Result<Map<String, Value>, Failure> {
    let text = read_text(file, "results from")?;
    let failed = |error: serde_json::Error| unreadable("results", file, &error);
    let records: Vec<Value> = if text.trim_start().starts_with('[') {
        serde_json::from_str(&text).map_err(failed)?
    } else {
        let records = serde_json::Deserializer::from_str(&text).into_iter();
        records.collect::<Result<_, _>>().map_err(failed)?
    };
    let named = records.into_iter().map(|record| {
        let host = record.get("host").and_then(Value::as_str);
        match host.map(str::to_owned) {
            Some(host) => Ok((host, record)),
            None => Err(Failure::usage(format!(
                "cannot read results from {}: a record names no host",
                file.display()
            ))
            .hint("`hoist run -o jsonl` writes records")),
        }
    });
    named.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, text: &str) -> Result<Value, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        fs::write(&file, text).unwrap();
        let read = if name.starts_with("run") {
            read_results(&file)
        } else {
            read_vars(&file)
        };
        let place = format!("{}/", folder.path().display());
        read.map(Value::Object)
            .map_err(|failure| failure.line().replace(&place, ""))
    }

    #[test]
    fn variables_come_from_toml_json_and_csv() {
        let toml = "a = 1\nday = 2026-01-31\n[b]\nc = [true, 1.5]\n";
        insta::assert_snapshot!(read("x.toml", toml).unwrap(), @r#"{"a":1,"b":{"c":[true,1.5]},"day":"2026-01-31"}"#);
        insta::assert_snapshot!(read("x.json", "{\"a\": {\"b\": null}}").unwrap(), @r#"{"a":{"b":null}}"#);
        insta::assert_snapshot!(read("ports.csv", "\u{feff}name,port\nweb,80\ndb,5432\n").unwrap(), @r#"{"ports":[{"name":"web","port":"80"},{"name":"db","port":"5432"}]}"#);
    }

    #[test]
    fn results_come_from_an_array_or_from_lines() {
        insta::assert_snapshot!(read("run.json", "[{\"host\": \"a\", \"stdout\": \"x\"}]").unwrap(), @r#"{"a":{"host":"a","stdout":"x"}}"#);
        insta::assert_snapshot!(read("run.jsonl", "{\"host\": \"a\"}\n{\"host\": \"b\"}\n").unwrap(), @r#"{"a":{"host":"a"},"b":{"host":"b"}}"#);
    }

    #[test]
    fn what_cannot_be_read_is_told_with_its_place() {
        insta::assert_snapshot!(read("x.toml", "a = 1\nb = x\n").unwrap_err(), @"hoist: cannot read variables from x.toml:2:5: string values must be quoted, expected literal string");
        insta::assert_snapshot!(read("x.json", "{\n \"a\": }").unwrap_err(), @"hoist: cannot read variables from x.json:2:7: expected value");
        insta::assert_snapshot!(read("x.json", "[1]").unwrap_err(), @"hoist: cannot read variables from x.json:1:0: invalid type: sequence, expected a map");
        insta::assert_snapshot!(read("x.csv", "a,b\n1\n").unwrap_err(), @"hoist: cannot read variables from x.csv:2: 1 cells, where the first row has 2");
        insta::assert_snapshot!(read("x.ini", "a=1").unwrap_err(), @"hoist: cannot tell what x.ini is; variables are in files named *.toml, *.json or *.csv");
        insta::assert_snapshot!(read("run.jsonl", "{\"host\": \"a\"}\n{]").unwrap_err(), @"hoist: cannot read results from run.jsonl:2:2: key must be a string");
        insta::assert_snapshot!(read("run.json", "[{}]").unwrap_err(), @"hoist: cannot read results from run.json: a record names no host; `hoist run -o jsonl` writes records");
    }
}
