//! Results as files: one host each in a folder, and the list of hosts that failed.
//!
//! A file is written under a temporary name beside its place and renamed when it is whole, so
//! whoever looks sees the old one or the new one. Host names are safe file names by construction.

use std::io;
use std::path::Path;

pub use failed_to::FailedTo;
pub use out_dir::OutDir;

mod failed_to;
mod out_dir;
#[cfg(test)]
mod tests;

/// Returns an error with what was tried.
fn failed(path: &Path, verb: &str, error: &io::Error) -> io::Error {
    let path = path.display();
    io::Error::new(error.kind(), format!("cannot {verb} {path}: {error}"))
}
