//! Which file includes which: pdsh's `#include FILE`, without going round in circles.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use super::document::Document;
use super::error::{Flaw, shown};

/// Deepest nesting of included files.
const MAX_DEPTH: usize = 16;

/// Most files that one inventory may include in all.
const MAX_FILES: usize = 1024;

/// What is expected after `#include`.
const EXPECTED: &str = "the name of a text file, from where this file is";

/// The files that are open and those that were read.
#[derive(Debug, Default)]
pub(super) struct Includes {
    /// From the outermost file to the one being read.
    open: Vec<PathBuf>,
    seen: HashSet<PathBuf>,
}

impl Includes {
    /// Begins with `document`.
    pub(super) fn starting_at(document: &Document) -> Self {
        let outermost = document.path.as_deref();
        let open = outermost.and_then(|path| path.canonicalize().ok());
        Self {
            seen: open.iter().cloned().collect(),
            open: open.into_iter().collect(),
        }
    }

    /// Opens `file` as named in `from`; `None` if it was read before. The caller leaves it again.
    ///
    /// # Errors
    /// When it is no file, includes itself, or is one too many; the flaw is that of the whole line.
    pub(super) fn enter(&mut self, from: &Document, file: &str) -> Result<Option<PathBuf>, Flaw> {
        let file_shown = shown(file);
        let refused =
            |why: &str| Flaw::unexpected(format!("#include of `{file_shown}`, {why}"), EXPECTED);
        let Some(folder) = from.path.as_deref().map(folder) else {
            return Err(refused("but this is no file itself"));
        };
        let path = folder.join(file);
        let canonical = path
            .canonicalize()
            .map_err(|error| refused(&format!("which can't be read ({error})")))?;
        if !canonical.is_file() {
            return Err(refused("which is no ordinary file"));
        }
        if self.open.contains(&canonical) {
            return Err(refused("which includes this file"));
        }
        if self.open.len() > MAX_DEPTH {
            return Err(refused(&format!("{MAX_DEPTH} files deep")));
        }
        if self.seen.len() > MAX_FILES {
            return Err(refused(&format!("after {MAX_FILES} others")));
        }
        if !self.seen.insert(canonical.clone()) {
            return Ok(None);
        }
        self.open.push(canonical);
        Ok(Some(path))
    }

    /// Closes the file that was entered last.
    pub(super) fn leave(&mut self) {
        self.open.pop();
    }
}

fn folder(path: &Path) -> &Path {
    path.parent().unwrap_or(Path::new(""))
}
