//! The server of `tests/faults`: hosts that do everything wrong, a port for each fault.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde::Deserialize;

use super::keys::KeyPair;

/// A running fault server; ended, with all its processes, when dropped.
pub(crate) struct Faults {
    child: Child,
    table: Table,
}

#[derive(Deserialize)]
struct Table {
    host_key: String,
    ports: BTreeMap<String, u16>,
}

impl Faults {
    /// Starts it; `client` is let in where a fault lets anybody in.
    #[track_caller]
    pub(crate) fn start(client: &KeyPair) -> Self {
        // asyncssh is a package of Debian's own Python.
        let python = Path::new("/usr/bin/python3");
        assert!(python.is_file(), "Debian's python3 is not installed");
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/faults");
        let mut child = Command::new(python)
            .arg("-B")
            .arg(folder.join("server.py"))
            .arg(client.path.with_extension("pub"))
            .env_clear()
            .env("PATH", super::PATH)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("python3 can be started");
        let stdout = child.stdout.take().expect("stdout is a pipe");
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).unwrap();
        let table = serde_json::from_str(&line).unwrap_or_else(|error| {
            child.kill().ok();
            panic!(
                "the fault server told no ports ({error}); it needs Debian's package \
                 python3-asyncssh, which `make test` installs"
            )
        });
        Self { child, table }
    }

    /// Returns the port where a fault happens.
    #[track_caller]
    pub(crate) fn port(&self, fault: &str) -> u16 {
        let port = self.table.ports.get(fault);
        *port.unwrap_or_else(|| panic!("no fault is called {fault}"))
    }

    /// Returns the names of all faults.
    pub(crate) fn names(&self) -> Vec<String> {
        self.table.ports.keys().cloned().collect()
    }

    /// Returns the key of every host, as `type base64`.
    pub(crate) fn host_key(&self) -> &str {
        &self.table.host_key
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        // Its end of stdin is how all its processes know.
        drop(self.child.stdin.take());
        self.child.wait().ok();
    }
}
