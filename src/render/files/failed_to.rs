//! The hosts that failed, as an inventory.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::failed;
use crate::event::{Event, EventKind, Listener};
use crate::host::{Endpoint, TransportName};

/// Writes the hosts that failed or were skipped, in a form that `-i` reads back, when the run
/// ends. Without any the file is empty.
#[derive(Debug)]
pub struct FailedTo {
    path: PathBuf,
    endpoints: Vec<Endpoint>,
    is_failed: Vec<bool>,
}

impl FailedTo {
    /// Will write to `path`; `endpoints` are the plan's, in its order.
    pub fn new(path: PathBuf, endpoints: Vec<Endpoint>) -> Self {
        let is_failed = vec![false; endpoints.len()];
        Self {
            path,
            endpoints,
            is_failed,
        }
    }

    fn write(&self) -> io::Result<()> {
        let failed = self.endpoints.iter().zip(&self.is_failed);
        let failed = failed.filter(|(_, is_failed)| **is_failed);
        let text: String = failed
            .map(|(endpoint, _)| inventory_line(endpoint))
            .collect();
        match fs::metadata(&self.path) {
            // A pipe or a device can't be replaced.
            Ok(there) if !there.is_file() => OpenOptions::new()
                .write(true)
                .open(&self.path)?
                .write_all(text.as_bytes()),
            _ => replace(&self.path, text.as_bytes()),
        }
    }
}

impl Listener for FailedTo {
    fn tell(&mut self, event: &Event) -> io::Result<()> {
        match &event.kind {
            EventKind::Finished { host, outcome } => {
                if let Some(is_failed) = self.is_failed.get_mut(*host) {
                    *is_failed = outcome.kind.is_some();
                }
                Ok(())
            }
            EventKind::RunFinished { .. } => self
                .write()
                .map_err(|error| failed(&self.path, "write", &error)),
            _ => Ok(()),
        }
    }
}

/// Returns a host as a line of a text inventory, with everything that decides where it is reached.
fn inventory_line(endpoint: &Endpoint) -> String {
    let name = endpoint.name.as_str();
    let mut words = vec![if name.contains(':') {
        format!("[{name}]")
    } else {
        name.to_owned()
    }];
    let mut add = |key: &str, value: &str| words.push(format!("{key}={}", quoted(value)));
    if endpoint.address.as_str() != name {
        add("address", endpoint.address.as_str());
    }
    match endpoint.transport {
        TransportName::Local => add("transport", TransportName::Local.as_str()),
        TransportName::Ssh | TransportName::OpenSsh => {
            if endpoint.transport != TransportName::default() {
                add("transport", endpoint.transport.as_str());
            }
            if let Some(user) = &endpoint.user {
                add("user", user.as_str());
            }
            add("port", &endpoint.port.to_string());
            if let Some(key) = &endpoint.host_key {
                add("host_key", key);
            }
        }
    }
    words.join(" ") + "\n"
}

/// Quotes a value as a POSIX shell would want it, which is how text inventories are read.
fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "-_.:@%+/,=".contains(c);
    if value.chars().all(is_plain) {
        return value.to_owned();
    }
    format!("'{}'", value.replace('\'', r"'\''"))
}

/// Writes a whole file beside its place and puts it there.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    // A link stays a link: what it points to is replaced.
    let place = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let dir = match place.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let mut file = tempfile::Builder::new()
        .prefix(".hoist-")
        .permissions(Permissions::from_mode(0o666)) // the umask takes its part
        .tempfile_in(dir)?;
    file.write_all(bytes)?;
    file.persist(&place)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Address, HostName, Port, UserName};
    use crate::render::files::tests::{HOSTS, names_in, some_run, tell};
    use crate::render::tests::{Told, exit};

    fn endpoint(name: &str) -> Endpoint {
        let name = HostName::parse(name).unwrap();
        Endpoint {
            address: Address::from(&name),
            name,
            transport: TransportName::Ssh,
            port: Port::SSH,
            user: None,
            ssh: std::sync::Arc::default(),
            host_key: None,
        }
    }

    fn endpoints() -> Vec<Endpoint> {
        let mut endpoints: Vec<_> = HOSTS.iter().map(|name| endpoint(name)).collect();
        endpoints[1].address = Address::parse("192.0.2.8").unwrap();
        endpoints[1].user = Some(UserName::parse("CORP\\jane").unwrap());
        endpoints[1].port = Port::new(2222).unwrap();
        endpoints[1].host_key = Some("ssh-ed25519 AAAA+/=".into());
        endpoints[2].transport = TransportName::Local;
        endpoints
    }

    #[test]
    fn failed_hosts_are_lines_of_an_inventory() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("failed");
        fs::write(&path, "of an earlier run").unwrap();
        let mut failed = FailedTo::new(path.clone(), endpoints());
        assert!(tell(&mut failed, &some_run()).is_empty());
        assert_eq!(
            fs::read_to_string(&path).unwrap(),
            "web2 address=192.0.2.8 user='CORP\\jane' port=2222 host_key='ssh-ed25519 AAAA+/='\n\
             web3 transport=local\n\
             [2001:db8::1] port=22\n"
        );
        assert_eq!(names_in(dir.path()), ["failed"]);
    }

    #[test]
    fn without_failures_the_file_is_empty() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("failed");
        fs::write(&path, "of an earlier run").unwrap();
        let mut failed = FailedTo::new(path.clone(), endpoints());
        let all_ok: Vec<Told> = (0..4).map(|host| Told::Finished(host, exit(0))).collect();
        assert!(tell(&mut failed, &all_ok).is_empty());
        assert_eq!(fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn a_list_that_cannot_be_written_is_told_with_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("nowhere/failed");
        let mut failed = FailedTo::new(path.clone(), endpoints());
        let errors = tell(&mut failed, &some_run());
        assert_eq!(errors.len(), 1);
        assert!(errors[0].to_string().contains("nowhere/failed"));
        let mut full = FailedTo::new("/dev/full".into(), endpoints());
        let errors = tell(&mut full, &some_run());
        assert_eq!(errors[0].kind(), io::ErrorKind::StorageFull);
    }
}
