//! Networks as `Match localnetwork` lists them: `10.0.0.0/8,2001:db8::/32,192.0.2.7`.

use std::net::IpAddr;

/// Networks, each by its address and how many bits of it count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Networks(Vec<(IpAddr, u32)>);

impl Networks {
    /// Reads a list between commas; returns the part that is none otherwise.
    pub(super) fn parse(list: &str) -> Result<Self, &str> {
        let each = list.split(',');
        each.map(|text| network(text).ok_or(text))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// Whether one of these addresses is in one of the networks.
    pub(super) fn hold(&self, addresses: &[IpAddr]) -> bool {
        addresses.iter().any(|address| {
            let mut networks = self.0.iter();
            networks.any(|(network, length)| {
                network.is_ipv4() == address.is_ipv4()
                    && leading(*network, *length) == leading(*address, *length)
            })
        })
    }
}

/// Reads one network. As in OpenSSH, bits beyond its length must be zero.
fn network(text: &str) -> Option<(IpAddr, u32)> {
    let (address, length) = match text.split_once('/') {
        Some((address, length)) => (address, Some(length)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let most = bits(address).1;
    let length = match length {
        Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => digits.parse().ok()?,
        Some(_) => return None,
        None => most,
    };
    (length <= most && leading(address, length) == leading(address, most))
        .then_some((address, length))
}

/// Returns the bits of an address, and how many there are.
fn bits(address: IpAddr) -> (u128, u32) {
    match address {
        IpAddr::V4(address) => (address.to_bits().into(), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

/// Returns the first bits of an address, the others zero.
fn leading(address: IpAddr, length: u32) -> u128 {
    let (bits, count) = bits(address);
    let rest = count - length;
    bits.checked_shr(rest)
        .unwrap_or(0)
        .checked_shl(rest)
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(list: &str, address: &str) -> bool {
        let networks = Networks::parse(list).unwrap();
        networks.hold(&[address.parse().unwrap()])
    }

    #[test]
    fn an_address_is_in_a_network_when_its_first_bits_are() {
        for (list, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.1"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.8"),
            ("10.1.2.128/25,2001:db8::/32", "10.1.2.129", "10.1.2.127"),
            ("10.0.0.0/8,2001:db8::/32", "2001:db8:ff::1", "2001:db9::1"),
            ("0.0.0.0/0", "203.0.113.9", "::1"),
            ("::/0", "::1", "203.0.113.9"),
        ] {
            assert!(holds(list, inside), "{inside} in {list}");
            assert!(!holds(list, outside), "{outside} in {list}");
        }
    }

    #[test]
    fn what_is_no_network_is_named() {
        for part in [
            "",
            "x",
            "10.0.0.1/8",
            "10.0.0.0/33",
            "10.0.0.0/+8",
            "::/129",
            "!10.0.0.0/8",
        ] {
            assert_eq!(Networks::parse(&format!("10.0.0.0/8,{part}")), Err(part));
        }
    }
}
