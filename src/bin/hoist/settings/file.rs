//! The configuration file: TOML with the table `[defaults]`, whose keys are long flags, and a table
//! `[fleet.NAME]` for each fleet, whose keys are long flags of `hoist up`.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::{Arg, ValueHint};
use hoist::provider::FleetName;
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{
    FleetTable, Fleets, Layer, Place, Reader, Readers, Settings, SettingsError, is_repeatable,
    is_switch,
};

/// The table that holds the flags.
const TABLE: &str = "defaults";

/// The table that holds a table for each fleet.
const FLEETS: &str = "fleet";

/// What follows a fleet, in its table.
const FOLLOW: &str = "follow";

/// Settings of a provider's own, in the table of a fleet.
const SETTINGS: &str = "set";

/// Reads the file at `path`. A relative path in it starts at the file's own folder, `~/` at `home`.
pub(super) fn read(
    path: &Path,
    home: Option<&Path>,
    readers: &Readers<'_>,
) -> Result<Settings, SettingsError> {
    let bytes = fs::read(path).map_err(|source| SettingsError::Unreadable {
        path: path.display().to_string(),
        source,
    })?;
    let text = std::str::from_utf8(&bytes).map_err(|error| SettingsError::Syntax {
        place: place(path, &bytes, error.valid_up_to()),
        message: "this byte is not UTF-8".to_owned(),
    })?;
    let file = File {
        path,
        text,
        home,
        readers,
    };
    file.settings()
}

/// Counts the line and column of the byte at `offset`.
fn place(path: &Path, bytes: &[u8], offset: usize) -> Place {
    let before = &bytes[..offset.min(bytes.len())];
    let line_start = before
        .iter()
        .rposition(|b| *b == b'\n')
        .map_or(0, |at| at + 1);
    let column = String::from_utf8_lossy(&before[line_start..])
        .chars()
        .count();
    Place {
        path: path.to_owned(),
        line: before.split(|b| *b == b'\n').count(),
        column: column + 1,
    }
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
    home: Option<&'a Path>,
    readers: &'a Readers<'a>,
}

impl File<'_> {
    fn settings(&self) -> Result<Settings, SettingsError> {
        let root = DeTable::parse(self.text).map_err(|error| SettingsError::Syntax {
            place: self.place(&error.span().unwrap_or_default()),
            message: error.message().lines().collect::<Vec<_>>().join(", "),
        })?;
        let mut settings = Settings::default();
        for (key, value) in root.get_ref() {
            match (key.get_ref().as_ref(), value.get_ref()) {
                (TABLE, DeValue::Table(table)) => {
                    settings.defaults = self.layer(&self.readers.defaults, table)?;
                }
                (TABLE, _) => {
                    return Err(self.wrong_type(TABLE, value, "a table, `[defaults]`"));
                }
                (FLEETS, DeValue::Table(table)) => settings.fleets = self.fleets(table)?,
                (FLEETS, _) => {
                    return Err(self.wrong_type(FLEETS, value, "tables, `[fleet.NAME]`"));
                }
                (name, _) => return Err(self.unknown_table(name, &key.span())),
            }
        }
        Ok(settings)
    }

    fn layer(&self, reader: &Reader<'_>, table: &DeTable<'_>) -> Result<Layer, SettingsError> {
        let settings = table
            .iter()
            .map(|(key, value)| self.setting(reader, key, value));
        settings.collect()
    }

    fn fleets(&self, tables: &DeTable<'_>) -> Result<Fleets, SettingsError> {
        let mut fleets = Fleets::new();
        for (name, value) in tables {
            let DeValue::Table(table) = value.get_ref() else {
                return Err(self.wrong_type(name.get_ref(), value, "a table, `[fleet.NAME]`"));
            };
            FleetName::parse(name.get_ref()).map_err(|error| SettingsError::Value {
                place: self.place(&name.span()),
                reason: error.to_string(),
            })?;
            fleets.insert(name.get_ref().to_string(), self.fleet(table)?);
        }
        Ok(fleets)
    }

    fn fleet(&self, table: &DeTable<'_>) -> Result<FleetTable, SettingsError> {
        let mut fleet = FleetTable::default();
        let reader = &self.readers.fleet;
        for (key, value) in table {
            match (key.get_ref().as_ref(), value.get_ref()) {
                (FOLLOW, DeValue::Array(items)) => {
                    let follow = items.iter().map(|item| self.follow(item));
                    fleet.follow = follow.collect::<Result<_, _>>()?;
                }
                (FOLLOW, _) => {
                    return Err(self.wrong_type(FOLLOW, value, "an array of tables"));
                }
                (SETTINGS, DeValue::Table(table)) => {
                    let settings = table.iter().map(|(key, value)| {
                        let json = self.json(key.get_ref(), value)?;
                        Ok(format!("{}={json}", key.get_ref()).into())
                    });
                    let settings = settings.collect::<Result<_, _>>()?;
                    fleet.layer.push((SETTINGS.to_owned(), settings));
                }
                _ => fleet.layer.push(self.setting(reader, key, value)?),
            }
        }
        Ok(fleet)
    }

    /// Returns the words after `hoist put` that a table stands for.
    fn follow(&self, item: &Spanned<DeValue<'_>>) -> Result<Vec<OsString>, SettingsError> {
        let DeValue::Table(table) = item.get_ref() else {
            return Err(self.wrong_type(FOLLOW, item, "an array of tables"));
        };
        let (mut words, mut source, mut dest) = (Vec::new(), None, None);
        let path = |key: &str, value: &Spanned<DeValue<'_>>| match value.get_ref() {
            DeValue::String(text) => Ok(text.to_string()),
            _ => Err(self.wrong_type(key, value, "a path in quotes")),
        };
        for (key, value) in table {
            match key.get_ref().as_ref() {
                word @ ("template" | "source") => {
                    source = Some(self.resolved(&path(word, value)?).into());
                    if word == "template" {
                        words.push("--template".into());
                    }
                }
                "dest" => dest = Some(OsString::from(path("dest", value)?)),
                _ => words.extend(self.words(key, value)?),
            }
        }
        let missing = |what: &str| SettingsError::Value {
            place: self.place(&item.span()),
            reason: format!("what follows needs `{what}`"),
        };
        words.push("--".into());
        words.push(source.ok_or_else(|| missing("template"))?);
        words.push(dest.ok_or_else(|| missing("dest"))?);
        Ok(words)
    }

    /// Returns a flag of `hoist put` as it would be typed.
    fn words(
        &self,
        key: &Spanned<Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Vec<OsString>, SettingsError> {
        let reader = &self.readers.follow;
        let long = key.get_ref();
        // A flag with a value that can be left out: `sudo = true`.
        if let (DeValue::Boolean(true), "sudo") = (value.get_ref(), long.as_ref()) {
            return Ok(vec!["--sudo".into()]);
        }
        let (_, values) = self.setting(reader, key, value)?;
        if reader.flag(long).is_some_and(is_switch) {
            let is_on = values.iter().any(|value| value == "true");
            return Ok(is_on
                .then(|| format!("--{long}").into())
                .into_iter()
                .collect());
        }
        let words = values.iter().map(|value| {
            let mut word = OsString::from(format!("--{long}="));
            word.push(value);
            word
        });
        Ok(words.collect())
    }

    /// Returns a value as JSON.
    fn json(&self, key: &str, value: &Spanned<DeValue<'_>>) -> Result<Value, SettingsError> {
        match value.get_ref() {
            DeValue::String(text) => Ok(Value::from(text.as_ref())),
            DeValue::Boolean(value) => Ok(Value::from(*value)),
            DeValue::Integer(number) => serde_json::from_str(&number.to_string())
                .map_err(|_| self.wrong_type(key, value, "a decimal number")),
            DeValue::Float(number) => serde_json::from_str(&number.to_string())
                .map_err(|_| self.wrong_type(key, value, "a decimal number")),
            DeValue::Array(items) => items.iter().map(|item| self.json(key, item)).collect(),
            DeValue::Table(table) => {
                let members = table.iter().map(|(key, value)| {
                    let key = key.get_ref().to_string();
                    Ok((key.clone(), self.json(&key, value)?))
                });
                let members = members.collect::<Result<serde_json::Map<_, _>, _>>()?;
                Ok(Value::Object(members))
            }
            DeValue::Datetime(_) => Err(self.wrong_type(key, value, "text in quotes")),
        }
    }

    fn setting(
        &self,
        reader: &Reader<'_>,
        key: &Spanned<Cow<'_, str>>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<(String, Vec<OsString>), SettingsError> {
        let span = &key.span();
        let key = key.get_ref();
        let Some(arg) = reader.flag(key) else {
            let own = [FOLLOW]
                .into_iter()
                .filter(|_| reader.line == self.readers.fleet.line);
            let known = reader.flags.iter().filter_map(|arg| arg.get_long());
            let near = nearest(key, known.chain(own));
            let is_defaults = reader.line == self.readers.defaults.line;
            let hint = match near {
                _ if is_defaults && self.readers.fleet.flag(key).is_some() => {
                    Some(format!("it belongs under `[{FLEETS}.NAME]`"))
                }
                near => near.map(|near| format!("did you mean `{near}`?")),
            };
            return Err(SettingsError::Unknown {
                place: self.place(span),
                what: "key",
                name: key.to_string(),
                hint,
            });
        };
        let values = self.values(key, arg, value)?;
        reader
            .check(arg, &values)
            .map_err(|reason| SettingsError::Value {
                place: self.place(&value.span()),
                reason,
            })?;
        Ok((arg.get_id().to_string(), values))
    }

    /// Returns the values as they would be typed.
    fn values(
        &self,
        key: &str,
        arg: &Arg,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<Vec<OsString>, SettingsError> {
        match value.get_ref() {
            DeValue::Boolean(value) if is_switch(arg) => Ok(vec![value.to_string().into()]),
            _ if is_switch(arg) => Err(self.wrong_type(key, value, "true or false")),
            DeValue::Array(items) if is_repeatable(arg) => {
                let texts = items.iter().map(|item| self.text(key, arg, item));
                texts.collect()
            }
            _ => Ok(vec![self.text(key, arg, value)?]),
        }
    }

    fn text(
        &self,
        key: &str,
        arg: &Arg,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<OsString, SettingsError> {
        match value.get_ref() {
            DeValue::String(text) if is_path(arg) => Ok(self.resolved(text).into()),
            DeValue::String(text) => Ok(text.as_ref().into()),
            DeValue::Integer(number) if !is_path(arg) => Ok(number.to_string().into()),
            _ if is_path(arg) => Err(self.wrong_type(key, value, "a path in quotes")),
            _ if is_repeatable(arg) => Err(self.wrong_type(key, value, "text in quotes")),
            _ => Err(self.wrong_type(key, value, "a number or text in quotes")),
        }
    }

    fn resolved(&self, path: &str) -> PathBuf {
        match (path.strip_prefix("~/"), self.home, self.path.parent()) {
            _ if path == "-" => path.into(),
            (Some(rest), Some(home), _) => home.join(rest),
            (_, _, Some(folder)) => folder.join(path),
            _ => path.into(),
        }
    }

    fn unknown_table(&self, name: &str, span: &Range<usize>) -> SettingsError {
        let hint = match self.readers.defaults.flag(name) {
            Some(_) => format!("it belongs under `[{TABLE}]`"),
            None => format!("expected `[{TABLE}]` or `[{FLEETS}.NAME]`"),
        };
        SettingsError::Unknown {
            place: self.place(span),
            what: "table or key",
            name: name.to_owned(),
            hint: Some(hint),
        }
    }

    fn wrong_type(
        &self,
        key: &str,
        value: &Spanned<DeValue<'_>>,
        expected: &'static str,
    ) -> SettingsError {
        SettingsError::Type {
            place: self.place(&value.span()),
            key: key.to_owned(),
            found: match value.get_ref() {
                DeValue::String(_) => "text",
                DeValue::Integer(_) => "a number",
                DeValue::Float(_) => "a number with a fraction",
                DeValue::Boolean(true) => "true",
                DeValue::Boolean(false) => "false",
                DeValue::Datetime(_) => "a date",
                DeValue::Array(_) => "an array",
                DeValue::Table(_) => "a table",
            },
            expected,
        }
    }

    fn place(&self, span: &Range<usize>) -> Place {
        place(self.path, self.text.as_bytes(), span.start)
    }
}

fn is_path(arg: &Arg) -> bool {
    matches!(
        arg.get_value_hint(),
        ValueHint::FilePath | ValueHint::DirPath
    )
}

fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.replace('_', "-");
    hoist::hostset::suggest(&word, known)
}
