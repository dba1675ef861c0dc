//! Files edited and read back.

mod csv;
mod files;
mod properties;
mod text;

use std::fs;
use std::path::PathBuf;

use super::{Edit, EditError, Gone, Row};
use crate::host::{Host, is_printable};
use crate::inventory::{Inventory, Source};

/// A file in a folder of its own.
struct Scratch {
    folder: tempfile::TempDir,
    path: PathBuf,
}

impl Scratch {
    /// Makes a folder, without the file.
    fn empty(name: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        Self { folder, path }
    }

    fn new(name: &str, text: &str) -> Self {
        let scratch = Self::empty(name);
        fs::write(&scratch.path, text).unwrap();
        scratch
    }

    fn open(&self) -> Edit {
        Edit::open(&self.path).unwrap()
    }

    fn error(&self) -> String {
        self.show(&Edit::open(&self.path).unwrap_err())
    }

    /// Shows an error without the folder.
    fn show(&self, error: &EditError) -> String {
        let error = error.to_string();
        assert!(error.chars().all(is_printable), "{error:?}");
        assert!(!error.ends_with('.'), "{error}");
        let folder = format!("{}/", self.folder.path().display());
        error.replace(&folder, "")
    }
}

/// Returns what a file called `name` that holds `text` holds after `change`.
fn edited(
    name: &str,
    text: &str,
    change: impl FnOnce(&mut Edit) -> Result<(), EditError>,
) -> Result<String, String> {
    let scratch = Scratch::new(name, text);
    let mut edit = scratch.open();
    change(&mut edit).map_err(|error| {
        assert_eq!(edit.text(), text.as_bytes(), "a failure changes nothing");
        scratch.show(&error)
    })?;
    Ok(String::from_utf8(edit.text().to_vec()).unwrap())
}

fn put(name: &str, text: &str, rows: &[Row]) -> Result<String, String> {
    edited(name, text, |edit| edit.put(rows))
}

fn removed(name: &str, text: &str, rows: &[Row]) -> String {
    let gone: Vec<_> = rows.iter().map(gone).collect();
    edited(name, text, |edit| edit.remove(&gone).map(drop)).unwrap()
}

/// A server whose values follow from its name.
fn row(name: &str) -> Row {
    Row {
        name: name.to_owned(),
        address: "203.0.113.7".to_owned(),
        groups: vec!["app".to_owned()],
        provider: "vultr".to_owned(),
        id: format!("id-{name}"),
        ..Row::default()
    }
}

/// A server with all that can be known.
fn whole_row(name: &str) -> Row {
    Row {
        user: Some("root".to_owned()),
        port: Some(2222),
        host_key: Some("ssh-ed25519 AAAA+/==".to_owned()),
        ..row(name)
    }
}

fn gone(row: &Row) -> Gone {
    Gone {
        name: row.name.clone(),
        provider: row.provider.clone(),
        id: Some(row.id.clone()),
    }
}

/// Loads a text as anybody does.
fn load(name: &str, text: &[u8]) -> Inventory {
    Inventory::load(&[Source::bytes(name, text.to_vec())]).unwrap()
}

/// Whether the host says all that the row does.
fn says(host: &Host, row: &Row) -> bool {
    let text = |value: Option<&Box<str>>| value.map(ToString::to_string);
    let is_user = |user: &String| host.user.as_ref().is_some_and(|is| is.as_str() == user);
    host.address.as_ref().map(ToString::to_string) == Some(row.address.clone())
        && row.user.as_ref().is_none_or(is_user)
        && row
            .port
            .is_none_or(|port| host.port.is_some_and(|is| is.get() == port))
        && text(host.provider.as_ref()) == Some(row.provider.clone())
        && text(host.id.as_ref()) == Some(row.id.clone())
        && (row.host_key.is_none() || text(host.host_key.as_ref()) == row.host_key)
        && row
            .groups
            .iter()
            .all(|group| host.groups.iter().any(|is| **is == **group))
}
