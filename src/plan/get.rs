//! What is to be fetched from hosts.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use crate::remote::Elevation;

/// Files and folders of hosts, and where their copies go.
#[derive(Debug, Clone, Default)]
pub struct Get {
    /// What is wanted from each host, as it was written, in the order of the plan's hosts; a single
    /// one is for all.
    pub wanted: Vec<Vec<OsString>>,
    /// Where each host gets a folder with its name.
    pub dir: PathBuf,
    /// What is the same here is fetched all the same.
    pub is_forced: bool,
    /// It is only told what would be fetched.
    pub is_dry: bool,
    /// Whose rights are used, where those are not the login's.
    pub elevation: Option<Elevation>,
    /// Longest all of it may take.
    pub timeout: Option<Duration>,
}

impl Get {
    /// Returns what is wanted from the host at `index`.
    pub fn wanted(&self, index: usize) -> &[OsString] {
        match &self.wanted[..] {
            [all] => all,
            each => each.get(index).map_or(&[], Vec::as_slice),
        }
    }
}
