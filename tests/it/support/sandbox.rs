//! A home in which servers of the provider `sandbox` are made.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use super::fleet::Fleet;
use super::installed;
use super::tree::{kill, processes_naming};

/// A home in which servers of the sandbox are made, all of which are gone in the end.
pub(crate) struct Sandbox(pub Fleet);

impl Sandbox {
    /// Makes an inventory with a row of somebody else's, and no server.
    pub(crate) fn new() -> Self {
        installed("sshd", "openssh-server");
        Self(Fleet::new().inventory("name,address,port,user,groups,rack\nold,192.0.2.9,,,,a1\n"))
    }

    /// Returns the rows of the inventory, by name; each by column.
    pub(crate) fn rows(&self) -> BTreeMap<String, BTreeMap<String, String>> {
        let text = String::from_utf8(self.0.tree().read("work/fleet.csv")).unwrap();
        let mut lines = text.lines();
        let columns: Vec<&str> = lines.next().unwrap().split(',').collect();
        let rows = lines.map(|line| {
            let cells = line.split(',').map(str::to_owned);
            let row: BTreeMap<_, _> = columns.iter().map(ToString::to_string).zip(cells).collect();
            (row["name"].clone(), row)
        });
        rows.collect()
    }

    /// Checks that no process of the sandbox is left.
    #[track_caller]
    pub(crate) fn is_empty(&self) {
        let left = processes_naming(&self.folder().display().to_string());
        assert!(left.is_empty(), "still there: {left:?}");
        assert_eq!(self.ids(), [] as [String; 0]);
    }

    /// Returns the ids of the servers that have a folder.
    pub(crate) fn ids(&self) -> Vec<String> {
        let entries = fs::read_dir(self.folder());
        let entries = entries.into_iter().flatten().flatten();
        let folders = entries.filter(|entry| entry.path().is_dir());
        let mut ids: Vec<String> = folders
            .map(|entry| entry.file_name().into_string().unwrap())
            .collect();
        ids.sort();
        ids
    }

    fn folder(&self) -> PathBuf {
        self.0.tree().join("state/hoist/sandbox")
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        for pid in processes_naming(&self.folder().display().to_string()) {
            kill(pid);
        }
    }
}
