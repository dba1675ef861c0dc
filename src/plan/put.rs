//! What is to be put on hosts.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::remote::Elevation;
use crate::tree::Tree;

/// Files that hosts are to have, and what is done beside.
#[derive(Debug, Clone, Default)]
#[allow(clippy::struct_excessive_bools, reason = "each is asked for or not")]
pub struct Put {
    /// What each host is to have, in the order of the plan's hosts; a single one is for all.
    pub loads: Vec<Load>,
    /// The permissions of files, in the place of those they have here. Folders can be entered besides
    /// by whoever may read them.
    pub mode: Option<u32>,
    /// `user`, `user:group` or `:group`.
    pub owner: Option<String>,
    /// Files keep the times they have here.
    pub keeps_times: bool,
    /// What is the same there is put there all the same.
    pub is_forced: bool,
    /// What is in the folders there and not in those here is removed.
    pub deletes: bool,
    /// It is only told what would be done.
    pub is_dry: bool,
    /// What is replaced is kept under its name and the time.
    pub backs_up: bool,
    /// Executed when something was changed; where it fails, all is changed back.
    pub check: Option<Vec<OsString>>,
    /// Executed after that; where it fails, all is changed back and it is executed again.
    pub then: Option<Vec<OsString>>,
    /// Whose rights are used, where those are not the login's.
    pub elevation: Option<Elevation>,
    /// Longest all of it may take.
    pub timeout: Option<Duration>,
}

/// Files and where they go.
#[derive(Debug, Clone)]
pub struct Load {
    /// What is put there.
    pub trees: Vec<Arc<Tree>>,
    /// Where it goes: a file's new name, or a folder. A relative path begins in the login's home.
    pub dest: PathBuf,
}

impl Put {
    /// Returns what the host at `index` is to have.
    pub fn load(&self, index: usize) -> Option<&Load> {
        match &self.loads[..] {
            [all] => Some(all),
            each => each.get(index),
        }
    }
}
