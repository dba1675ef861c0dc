//! Rows of an inventory file put in and taken out in place, as servers come and go.
//!
//! A text or CSV file goes in; the same file comes out with the rows of some servers added, brought
//! up to date or removed. Whatever else is in it stays byte for byte: comments, blank lines, quotes,
//! line ends, the order of columns. A row is a server's when it says its `provider` and its `id`;
//! rows that a person wrote are never changed. Nothing here runs an inventory or asks a provider.
//!
//! What comes out was read back before it is kept: it loads, the rows say what was wanted, and every
//! other host is what it was.
//!
//! ```
//! use hoist::inventory::edit::{Edit, Row};
//!
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("fleet.csv");
//! std::fs::write(&path, "name,rack\nweb1,a1\n")?;
//! let mut edit = Edit::open(&path)?;
//! edit.put(&[Row {
//!     name: "app-1".to_owned(),
//!     address: "203.0.113.7".to_owned(),
//!     provider: "vultr".to_owned(),
//!     id: "4f1c".to_owned(),
//!     ..Row::default()
//! }])?;
//! edit.save()?;
//! let text = std::fs::read_to_string(&path)?;
//! assert_eq!(text, "name,rack,address,provider,id\nweb1,a1,,,\napp-1,,203.0.113.7,vultr,4f1c\n");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod cells;
mod check;
mod csv;
mod error;
mod file;
mod line;
mod row;
mod splice;
mod text;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use super::builder::Builder;
use super::document::Document;
use super::{Inventory, MAX_HOSTS};

pub use self::error::EditError;
use self::file::Target;
pub use self::row::{Gone, Row};
use self::row::{Parting, Wanted};

/// How often [`apply`] begins again when others write the file at the same time.
const MAX_ATTEMPTS: usize = 10;

/// How the file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Text,
    Csv,
    Tsv,
}

/// An inventory file and what is to become of it.
#[derive(Debug)]
pub struct Edit {
    target: Target,
    format: Format,
    /// How many bytes of byte order marks the text begins with.
    marks: usize,
    /// The whole content, marks and all.
    bytes: Vec<u8>,
    /// What the content says.
    inventory: Inventory,
}

/// Opens `path`, lets `change` change it, and saves it; begins again if somebody else wrote the file
/// meanwhile. Blocks on the disk alone.
///
/// # Errors
/// As [`Edit::open`], `change` and [`Edit::save`].
pub fn apply(
    path: &Path,
    mut change: impl FnMut(&mut Edit) -> Result<(), EditError>,
) -> Result<(), EditError> {
    let mut attempts = 1;
    loop {
        let mut edit = Edit::open(path)?;
        change(&mut edit)?;
        match edit.save() {
            Err(EditError::Changed { .. }) if attempts < MAX_ATTEMPTS => attempts += 1,
            saved => return saved,
        }
    }
}

impl Edit {
    /// Reads the file at `path`; a missing one is begun, in the format that its extension tells.
    ///
    /// # Errors
    /// When the file can't be read or loaded, or is of a kind that can't be edited: standard input,
    /// a folder, a pipe, a program, JSON.
    pub fn open(path: &Path) -> Result<Self, EditError> {
        let (target, bytes) = Target::open(path)?;
        let document = target.document(&bytes);
        let marks = bytes.len() - document.bytes().len();
        let format = file::format(&target, &document)?;
        target.check_text(&document)?;
        let inventory = load(format, &document).map_err(EditError::Unloadable)?;
        Ok(Self {
            target,
            format,
            marks,
            bytes,
            inventory,
        })
    }

    /// Adds the rows, or brings those that are there already up to date: the row of the same
    /// provider and id, or else of the same provider and name. What a row leaves out stays as it is;
    /// groups are added to those that are there.
    ///
    /// # Errors
    /// When a value can't be written, or a name is that of a host that somebody else wrote. Then
    /// nothing is changed.
    pub fn put(&mut self, rows: &[Row]) -> Result<(), EditError> {
        let wanted = Wanted::new(rows, &self.target.name)?;
        if rows.is_empty() {
            return Ok(());
        }
        let document = self.document();
        let put = match self.format {
            Format::Text => text::put(&document, &wanted, &self.inventory),
            Format::Csv => csv::put(&document, None, &wanted, &self.inventory),
            Format::Tsv => csv::put(&document, Some(b'\t'), &wanted, &self.inventory),
        };
        self.accept(&put?, |before, after, is_ansible| {
            check::put(before, after, &wanted, is_ansible)
        })
    }

    /// Removes the rows of servers: those of the same provider and id, or of the same provider and
    /// name where one of the two has no id. Headings and comments stay. Returns where the servers
    /// are named still, in rows that somebody else wrote, as `fleet.txt:7`.
    ///
    /// # Errors
    /// When the file could not be loaded without them. Then nothing is changed.
    pub fn remove(&mut self, servers: &[Gone]) -> Result<Vec<String>, EditError> {
        let parting = Parting::new(servers);
        let document = self.document();
        let (text, names) = match self.format {
            Format::Text => text::remove(&document, &parting),
            Format::Csv => csv::remove(&document, None, &parting),
            Format::Tsv => csv::remove(&document, Some(b'\t'), &parting),
        };
        if !names.is_empty() {
            self.accept(&text, |before, after, _| {
                check::remove(before, after, &names)
            })?;
        }
        let left = names
            .iter()
            .map(String::as_str)
            .chain(servers.iter().map(|gone| &*gone.name));
        let mut left: Vec<_> = left
            .filter_map(|name| self.inventory.origin(name))
            .collect();
        left.sort_unstable();
        left.dedup();
        Ok(left)
    }

    /// Returns the whole content as it is to be.
    pub fn text(&self) -> &[u8] {
        &self.bytes
    }

    /// Whether the content differs from the file's.
    pub fn is_changed(&self) -> bool {
        self.target.is_other(&self.bytes)
    }

    /// Puts the content in the place of the file's: all of it or nothing, even if the machine goes
    /// down. A link stays one, what it points to is replaced. Does nothing where nothing changed.
    ///
    /// # Errors
    /// When the file is no longer what it was when it was opened, or can't be written.
    pub fn save(&mut self) -> Result<(), EditError> {
        if self.is_changed() {
            self.target.replace(&self.bytes)?;
        }
        Ok(())
    }

    fn document(&self) -> Document {
        self.target.document(&self.bytes)
    }

    /// Keeps `text` if it can be loaded and `check` finds it right.
    fn accept(
        &mut self,
        text: &[u8],
        check: impl FnOnce(&Inventory, &Inventory, bool) -> Result<(), String>,
    ) -> Result<(), EditError> {
        let name = &self.target.name;
        let unfit = |why: String| EditError::Unfit {
            name: Arc::clone(name),
            why,
        };
        let bytes = [&self.bytes[..self.marks], text].concat();
        let document = self.target.document(&bytes);
        // An extension tells the format for good, but a content may have become another's.
        let is_same = file::format(&self.target, &document).is_ok_and(|now| now == self.format);
        if !is_same {
            return Err(unfit("its format would be taken for another".to_owned()));
        }
        let after = load(self.format, &document).map_err(|error| unfit(format!("at {error}")))?;
        let is_ansible = self.format == Format::Text && text::is_ansible(document.bytes());
        check(&self.inventory, &after, is_ansible).map_err(unfit)?;
        self.bytes = bytes;
        self.inventory = after;
        Ok(())
    }
}

/// Reads what `document` says, as an inventory of nothing else.
fn load(format: Format, document: &Document) -> Result<Inventory, super::InventoryError> {
    let mut builder = Builder::new(MAX_HOSTS);
    builder.begin(&document.name);
    match format {
        Format::Text => super::text::read(document, &mut builder)?,
        // A file that was only touched has no header yet.
        Format::Csv | Format::Tsv if cells::is_blank(document.bytes()) => {}
        Format::Csv => super::csv::read(document, None, &mut builder)?,
        Format::Tsv => super::csv::read(document, Some(b'\t'), &mut builder)?,
    }
    builder.finish()
}
