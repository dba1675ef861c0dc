//! What is checked of any input, by the fuzz targets and, on every file of a corpus, by the tests.
//!
//! Bytes come in; a check panics when something doesn't hold of them. Only the library's public face
//! is used. Whatever could take long (a pattern for a million names) is weighed and left out first,
//! so that a slow input is a defect.

/// CSV inventories.
pub(crate) mod csv_inventory;
/// `known_hosts` files.
pub(crate) mod known_hosts;
/// The marker on a command's stderr.
pub(crate) mod marker;
/// Host-set patterns.
pub(crate) mod pattern;
/// Command lines, and words on their way to a host.
pub(crate) mod quote;
/// Lines of outputs as they arrive.
pub(crate) mod stream;
/// Text inventories.
pub(crate) mod text_inventory;

/// What holds of every inventory.
mod inventory;
/// How much a text may stand for.
mod weight;
