//! One place an inventory is read from: which format it has, and that it is text at all.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::builder::Builder;
use super::document::Document;
use super::error::{Flaw, InventoryError};
use super::program::{self, Bounds};
use super::{csv, json, text};
use crate::host::escaped;

/// Most bytes of one source.
pub(super) const MAX_BYTES: usize = 256 * 1024 * 1024;

/// Bytes looked at before the rest is read.
const HEAD_BYTES: u64 = 8 * 1024;

/// What a program may take and print.
const BOUNDS: Bounds = Bounds {
    timeout: Duration::from_mins(1),
    output: MAX_BYTES,
};

/// What is expected of every source.
const EXPECTED: &str = "a text, CSV or JSON inventory in UTF-8";

/// One place an inventory is read from.
///
/// The format is told by the extension (`.csv`, `.tsv`, `.json`, `.jsonl`, `.ndjson`, `.ini`), or
/// else by the content:
///
/// * **Text**: `[user@]host[:port] [key=value …]` with ranges, under `[group]` headings or none.
///   A pssh host file, a pdsh WCOLL file and an Ansible INI inventory are such texts. A key that is
///   the name of a CSV column sets what the column would, unless the file uses Ansible's own keys
///   (`ansible_user=…`): then it is a variable, as in Ansible. Two bare words are a host and a user,
///   as pssh has them, in files without headings. `#include FILE` is followed in those, too.
/// * **CSV**: a header row with `name` (or `host`) and any of `address`, `user`, `port`, `groups`,
///   `identity`, `jump`, `transport`, `provider`, `id`, `host_key`; other columns are variables. An
///   empty cell says nothing.
/// * **JSON**: records with the same keys in an array or one after another, an array of names, or
///   Ansible's dynamic inventory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// A file. One that is executable and begins as a script or a program does is run with `--list`
    /// and prints Ansible's JSON.
    File(PathBuf),
    /// What was read already, such as standard input.
    Bytes {
        /// What errors call it: `<stdin>`.
        name: String,
        /// The whole content.
        bytes: Vec<u8>,
    },
}

/// How a source is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Csv,
    Tsv,
    Json,
}

impl Source {
    /// Returns a source of what was read already; errors call it `name`.
    pub fn bytes(name: impl Into<String>, bytes: Vec<u8>) -> Self {
        Self::Bytes {
            name: name.into(),
            bytes,
        }
    }

    /// Reads all there is into `builder`.
    pub(super) fn read_into(&self, builder: &mut Builder) -> Result<(), InventoryError> {
        match self {
            Self::Bytes { name, bytes } => {
                let name: Arc<str> = escaped(name).into();
                builder.begin(&name);
                check_head(&name, bytes)?;
                if bytes.len() > MAX_BYTES {
                    return Err(too_large(&name));
                }
                read_document(&Document::new(name, None, bytes.clone()), builder)
            }
            Self::File(path) => {
                let (name, file, head) = open(path)?;
                builder.begin(&name);
                if is_program(path, &head) {
                    drop(file);
                    return run(path, &name, builder);
                }
                read_document(&read_rest(path, name, file, head)?, builder)
            }
        }
    }
}

/// Reads a file that has to be text, whatever its extension.
pub(super) fn read_text_file(path: &Path) -> Result<Document, InventoryError> {
    let (name, file, head) = open(path)?;
    read_rest(path, name, file, head)
}

fn run(path: &Path, name: &Arc<str>, builder: &mut Builder) -> Result<(), InventoryError> {
    let printed = program::list(path, name, BOUNDS)?;
    if let Some(complaint) = printed.complaint {
        builder.warn(format!("{name} --list says `{complaint}`"));
    }
    let output = format!("{name} --list").into();
    check_head(&output, &printed.output)?;
    json::read_program(&Document::new(output, None, printed.output), builder)
}

/// Opens `path` and reads its first bytes.
fn open(path: &Path) -> Result<(Arc<str>, File, Vec<u8>), InventoryError> {
    let name: Arc<str> = escaped(&path.to_string_lossy()).into();
    let unreadable = |error| InventoryError::Unreadable {
        name: Arc::clone(&name),
        error,
    };
    let mut file = File::open(path).map_err(unreadable)?;
    if file.metadata().map_err(unreadable)?.is_dir() {
        return Err(InventoryError::Unsupported {
            found: "a folder".to_owned(),
            expected: "a file (-i may be given several times)",
            name,
        });
    }
    let mut head = Vec::new();
    let is_read = (&mut file).take(HEAD_BYTES).read_to_end(&mut head);
    is_read.map_err(unreadable)?;
    Ok((name, file, head))
}

fn read_rest(
    path: &Path,
    name: Arc<str>,
    file: File,
    head: Vec<u8>,
) -> Result<Document, InventoryError> {
    check_head(&name, &head)?;
    let head = Document::new(Arc::clone(&name), None, head);
    check_text(&head)?;
    let mut bytes = head.into_bytes();
    let limit = MAX_BYTES + 1 - bytes.len();
    file.take(limit as u64)
        .read_to_end(&mut bytes)
        .map_err(|error| InventoryError::Unreadable {
            name: Arc::clone(&name),
            error,
        })?;
    if bytes.len() > MAX_BYTES {
        return Err(too_large(&name));
    }
    Ok(Document::new(name, Some(path.to_owned()), bytes))
}

/// Returns whether the file is to be run: it may be, and it begins as programs do.
///
/// On some filesystems every file may be run.
pub(super) fn is_program(path: &Path, head: &[u8]) -> bool {
    let is_runnable = head.starts_with(b"#!") || is_binary_program(head);
    is_runnable && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok()
}

fn is_binary_program(head: &[u8]) -> bool {
    let is_mach = |magic: [u8; 4]| head.starts_with(&magic);
    head.starts_with(b"\x7fELF")
        || is_mach([0xcf, 0xfa, 0xed, 0xfe])
        || is_mach([0xca, 0xfe, 0xba, 0xbe])
}

/// Refuses what is no text, before more of it is read.
fn check_head(name: &Arc<str>, head: &[u8]) -> Result<(), InventoryError> {
    let (found, expected) = match head {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => {
            ("UTF-16 text", "UTF-8 (in Excel: save as `CSV UTF-8`)")
        }
        [b'P', b'K', 3, 4, ..] => ("a spreadsheet or a ZIP archive", "CSV (save it as CSV)"),
        [0x1f, 0x8b, ..] => ("a compressed file", EXPECTED),
        _ if is_binary_program(head) => ("a program that may not be run", EXPECTED),
        _ => return Ok(()),
    };
    Err(InventoryError::Unsupported {
        name: Arc::clone(name),
        found: found.to_owned(),
        expected,
    })
}

/// Refuses NUL bytes, which no text holds.
fn check_text(document: &Document) -> Result<(), InventoryError> {
    match memchr::memchr(0, document.bytes()) {
        None => Ok(()),
        Some(offset) => {
            let flaw = Flaw::character('\0', 0, EXPECTED);
            Err(flaw.at(document.place(offset)))
        }
    }
}

fn too_large(name: &Arc<str>) -> InventoryError {
    InventoryError::Unsupported {
        name: Arc::clone(name),
        found: format!("more than {} MiB", MAX_BYTES >> 20),
        expected: "a smaller inventory",
    }
}

fn read_document(document: &Document, builder: &mut Builder) -> Result<(), InventoryError> {
    check_text(document)?;
    match format(document)? {
        Format::Text => text::read(document, builder),
        Format::Csv => csv::read(document, None, builder),
        Format::Tsv => csv::read(document, Some(b'\t'), builder),
        Format::Json => json::read(document, builder),
    }
}

/// Tells the format by the extension of the name, or else by the content.
pub(super) fn format(document: &Document) -> Result<Format, InventoryError> {
    let extension = Path::new(&*document.name).extension();
    let extension = extension.map(|text| text.to_string_lossy().to_ascii_lowercase());
    let bytes = document.bytes();
    Ok(match extension.as_deref() {
        Some("csv") => Format::Csv,
        Some("tsv" | "tab") => Format::Tsv,
        Some("json" | "jsonl" | "ndjson") => Format::Json,
        Some("ini") => Format::Text,
        Some("yml" | "yaml") => {
            return Err(InventoryError::Unsupported {
                name: Arc::clone(&document.name),
                found: "YAML".to_owned(),
                expected: "text, CSV or JSON (`ansible-inventory --list` prints JSON)",
            });
        }
        _ if json::is_json(bytes) => Format::Json,
        _ if csv::is_csv(bytes) => Format::Csv,
        _ => Format::Text,
    })
}
