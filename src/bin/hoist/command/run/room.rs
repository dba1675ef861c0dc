//! Room for open files: raises `ulimit -n`, and lowers the fan-out where that is not enough.

use hoist::host::{Endpoint, Route, TransportName};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Files that hoist needs open besides those of the hosts: its own outputs, the inventory, what
/// the workers wait on, and lookups of names and agents for the handshakes in flight.
const RESERVED: u64 = 128;

/// Raises the limit as far as needed and returns the fan-out that fits, at least 1.
pub(in crate::command) fn fan_out(wanted: usize, hosts: &[Endpoint]) -> usize {
    let wanted = wanted.min(hosts.len()).max(1);
    let each = hosts.iter().map(files).max();
    let each = each.unwrap_or(1);
    fitting(wanted, each, raise(RESERVED + each * wanted as u64))
}

/// Returns how many files a host needs at once.
fn files(host: &Endpoint) -> u64 {
    match (host.transport, &host.ssh.route) {
        // Three pipes, and both their ends while the process is made; the process itself.
        (TransportName::Local, _) => 7,
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
        assert_eq!(fitting(1000, 1, Some(1024)), 896);
        assert_eq!(fitting(1000, 7, Some(1024)), 128);
        assert_eq!(fitting(1000, 7, None), 1000);
        assert_eq!(fitting(128, 2, Some(10)), 1);
    }
}
