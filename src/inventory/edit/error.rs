//! Why an inventory file can't be edited.

use std::sync::Arc;

use thiserror::Error;

use crate::inventory::error::{Flaw, InventoryError, Place};

/// Why an inventory file can't be edited. No text ends with a full stop or holds a control character.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum EditError {
    /// The file does not load as it is.
    #[error(transparent)]
    Unloadable(InventoryError),
    /// The file is of a kind that can't be edited.
    #[error("{name}: found {found}, which can't be edited; expected {expected}")]
    Unsupported {
        /// Name of the file, escaped for display.
        name: Arc<str>,
        /// What it is.
        found: String,
        /// What to give instead.
        expected: &'static str,
    },
    /// A value that can't be written into an inventory.
    #[error("{name}: can't write the {field} of server `{server}`: {flaw}")]
    Value {
        /// Name of the file, escaped for display.
        name: Arc<str>,
        /// The server's name, escaped for display.
        server: String,
        /// Which value.
        field: &'static str,
        /// What is wrong with it.
        flaw: Box<Flaw>,
    },
    /// A host of that name is there, and it is somebody else's.
    #[error("{place}: found host `{host}`, {why}; expected another name, or no such row")]
    Conflict {
        /// Where it is.
        place: Place,
        /// Its name, escaped for display.
        host: String,
        /// Whose it is.
        why: String,
    },
    /// The file is no longer what it was when it was read.
    #[error("{name}: changed by somebody else meanwhile; nothing was written, try again")]
    Changed {
        /// Name of the file, escaped for display.
        name: Arc<str>,
    },
    /// The file would not say afterwards what it has to.
    #[error("{name}: nothing was written, since afterwards {why}; edit the file by hand")]
    Unfit {
        /// Name of the file, escaped for display.
        name: Arc<str>,
        /// What would be wrong.
        why: String,
    },
    /// There is no folder to make it in.
    #[error("{name}: there is no folder {folder} to make it in")]
    NoFolder {
        /// Name of the file, escaped for display.
        name: Arc<str>,
        /// Name of the folder, escaped for display.
        folder: Arc<str>,
    },
    /// The system did not let it be read or written.
    #[error("{name}: can't {action}: {error}")]
    Io {
        /// Name of the file, escaped for display.
        name: Arc<str>,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        #[source]
        error: std::io::Error,
    },
}
