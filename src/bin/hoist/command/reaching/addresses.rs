//! The addresses of this machine, for `Match localnetwork`: those that Linux knows as its own on
//! interfaces that are up. Other systems tell none this way.

use std::net::{IpAddr, Ipv6Addr};

/// Returns them.
pub(super) fn own_addresses() -> Vec<IpAddr> {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let (routes, interfaces) = (read("/proc/net/fib_trie"), read("/proc/net/if_inet6"));
    let mut all: Vec<IpAddr> = local_v4(&routes).chain(local_v6(&interfaces)).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// Finds the addresses of IPv4 in the tree of routes: `|-- 10.0.0.7` is followed by its routes, of
/// which `/32 host LOCAL` is the one that leads here.
fn local_v4(routes: &str) -> impl Iterator<Item = IpAddr> {
    let mut address = None;
    routes.lines().filter_map(move |line| {
        let line = line.trim_start();
        if let Some(found) = line.strip_prefix("|-- ") {
            address = found.parse().ok();
        }
        address.filter(|_| line == "/32 host LOCAL")
    })
}

/// Finds those of IPv6: each line begins with one, as 32 digits.
fn local_v6(interfaces: &str) -> impl Iterator<Item = IpAddr> {
    let each = interfaces.lines().filter_map(|line| line.split(' ').next());
    let bits = each.filter_map(|digits| u128::from_str_radix(digits, 16).ok());
    bits.map(|bits| Ipv6Addr::from_bits(bits).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_that_routes_lead_here_for() {
        let routes = "Main:\n  +-- 0.0.0.0/0 3 0 5\n     |-- 0.0.0.0\n        /0 universe UNICAST\n     \
                      |-- 10.0.0.7\n        /32 host LOCAL\n     |-- 10.0.0.255\n        \
                      /32 link BROADCAST\n";
        let found: Vec<IpAddr> = local_v4(routes).collect();
        assert_eq!(found, ["10.0.0.7".parse::<IpAddr>().unwrap()]);
        let interfaces = "00000000000000000000000000000001 01 80 10 80       lo\nnonsense\n";
        let found: Vec<IpAddr> = local_v6(interfaces).collect();
        assert_eq!(found, ["::1".parse::<IpAddr>().unwrap()]);
        assert!(own_addresses().contains(&"127.0.0.1".parse().unwrap()));
    }
}
