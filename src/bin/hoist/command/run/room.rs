//! Room for hosts: raises `ulimit -n`, and lowers the fan-out where that is not enough, or where the
//! system's `ssh` would take too much.

use std::fmt;

use hoist::host::{Endpoint, Route, TransportName};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that hoist needs open besides those of the hosts: its own outputs, the inventory, what
/// the workers wait on, lookups of names and agents for the handshakes in flight, and the files that
/// are being sent to hosts.
const RESERVED: u64 = 192;

/// The system's `ssh` takes so much time and memory that more of them at once only wait for each
/// other.
const OPENSSH_PER_CORE: usize = 8;

/// How many hosts are worked at once.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::command) struct Room {
    /// At least 1.
    pub fan_out: usize,
    /// Why it is less than what was wanted.
    pub lowered_by: Option<Reason>,
}

/// What there is no room in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::command) enum Reason {
    OpenFiles,
    OpenSsh,
}

impl Reason {
    /// Whether it is worth a word even where nobody asked for a fan-out.
    pub(in crate::command) fn is_a_surprise(self) -> bool {
        self == Self::OpenFiles
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::OpenFiles => "`ulimit -n` doesn't allow more open files",
            Self::OpenSsh => "over the transport `openssh` it is at most 8 for each core",
        })
    }
}

impl Room {
    /// Raises the limit of open files as far as needed and says what fits. `own` is how many a host
    /// needs besides what its transport does.
    pub(in crate::command) fn find(wanted: usize, hosts: &[Endpoint], own: u64) -> Self {
        let wanted = wanted.min(hosts.len()).max(1);
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let has_openssh = hosts
            .iter()
            .any(|host| host.transport == TransportName::OpenSsh);
        let possible = if has_openssh {
            wanted.min(OPENSSH_PER_CORE * cores)
        } else {
            wanted
        };
        let each = own + hosts.iter().map(files).max().unwrap_or(1);
        let fan_out = fitting(possible, each, raise(RESERVED + each * possible as u64));
        let lowered_by = match fan_out {
            _ if fan_out < possible => Some(Reason::OpenFiles),
            _ if fan_out < wanted => Some(Reason::OpenSsh),
            _ => None,
        };
        Self {
            fan_out,
            lowered_by,
        }
    }
}

/// Returns how many files a host needs at once.
fn files(host: &Endpoint) -> u64 {
    match (host.transport, &host.ssh.route) {
        // Three pipes, and both their ends while the process is made; the process itself.
        (TransportName::Local, _) => 7,
        // Those of the connection, and of a command with its log; where questions arrive.
        (TransportName::OpenSsh, _) => 14,
        // The connection.
        (TransportName::Ssh, Route::Direct) => 1,
        // Both ends of the bridge to the jump host.
        (TransportName::Ssh, Route::Jump(_)) => 2,
        // The command's stdin and stdout, its stderr, and both ends while it is started.
        (TransportName::Ssh, Route::Command(_)) => 5,
    }
}

fn fitting(wanted: usize, each: u64, limit: Option<u64>) -> usize {
    let Some(limit) = limit else {
        return wanted;
    };
    let fitting = limit.saturating_sub(RESERVED) / each;
    wanted
        .min(usize::try_from(fitting).unwrap_or(usize::MAX))
        .max(1)
}

/// Makes sure that `needed` files can be open, if that is possible, and returns how many can be;
/// `None` when there is no limit. Raises no further than needed: commands on this machine inherit
/// the limit, and some programs walk through all of it.
fn raise(needed: u64) -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let current = limit.current?;
    if current >= needed {
        return Some(current);
    }
    let wanted = limit.maximum.map_or(needed, |maximum| needed.min(maximum));
    let raised = Rlimit {
        current: Some(wanted),
        ..limit
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => Some(wanted),
        Err(_) => Some(current),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fan_out_is_what_fits() {
        assert_eq!(fitting(128, 1, Some(1024)), 128);
        assert_eq!(fitting(1000, 1, Some(1024)), 832);
        assert_eq!(fitting(1000, 7, Some(1024)), 118);
        assert_eq!(fitting(1000, 7, None), 1000);
        assert_eq!(fitting(128, 2, Some(10)), 1);
    }
}
