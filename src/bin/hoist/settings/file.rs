//! The configuration file: TOML with one table, `[defaults]`, whose keys are long flags.

use std::ffi::OsString;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};

use clap::{Arg, ValueHint};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Layer, Place, Reader, SettingsError, is_repeatable, is_switch};

/// The table that holds the flags.
const TABLE: &str = "defaults";

/// Reads the file at `path`. A relative path in it starts at the file's own folder, `~/` at `home`.
pub(super) fn read(
    path: &Path,
    home: Option<&Path>,
    reader: &Reader<'_>,
) -> Result<Layer, SettingsError> {
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
        reader,
    };
    file.layer()
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
    reader: &'a Reader<'a>,
}

impl File<'_> {
    fn layer(&self) -> Result<Layer, SettingsError> {
        let root = DeTable::parse(self.text).map_err(|error| SettingsError::Syntax {
            place: self.place(&error.span().unwrap_or_default()),
            message: error.message().lines().collect::<Vec<_>>().join(", "),
        })?;
        let mut layer = Layer::new();
        for (key, value) in root.get_ref() {
            if key.get_ref() != TABLE {
                return Err(self.unknown_table(key.get_ref(), &key.span()));
            }
            let DeValue::Table(table) = value.get_ref() else {
                return Err(self.wrong_type(TABLE, value, "a table, `[defaults]`"));
            };
            for (key, value) in table {
                layer.push(self.setting(key.get_ref(), &key.span(), value)?);
            }
        }
        Ok(layer)
    }

    fn setting(
        &self,
        key: &str,
        span: &Range<usize>,
        value: &Spanned<DeValue<'_>>,
    ) -> Result<(String, Vec<OsString>), SettingsError> {
        let Some(arg) = self.reader.flag(key) else {
            let known = self.reader.flags.iter().filter_map(|arg| arg.get_long());
            return Err(SettingsError::Unknown {
                place: self.place(span),
                what: "key",
                name: key.to_owned(),
                hint: nearest(key, known).map(|near| format!("did you mean `{near}`?")),
            });
        };
        let values = self.values(key, arg, value)?;
        self.reader
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
        let hint = match self.reader.flag(name) {
            Some(_) => format!("it belongs under `[{TABLE}]`"),
            None => format!("expected `[{TABLE}]`"),
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
