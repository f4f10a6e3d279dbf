//! Trusted peers: who may speak for a client.

use std::net::IpAddr;

/// The other end of a connection, or what a PROXY line announced in its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Peer {
    /// An address and its port.
    Inet(IpAddr, u16),
    /// Whoever could open the socket file.
    #[default]
    Unix,
}

/// A set of peers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrustedPeers {
    everyone: bool,
    unix: bool,
    networks: Vec<Network>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Network {
    is_ipv4: bool,
    base: u128,
    mask: u128,
}

impl TrustedPeers {
    /// The peers of these networks (address and number of leading bits that count), those on unix
    /// sockets, or everyone.
    #[must_use]
    pub fn new(
        everyone: bool,
        unix: bool,
        networks: impl IntoIterator<Item = (IpAddr, u8)>,
    ) -> Self {
        let networks = networks.into_iter().map(|(address, prefix)| {
            // A network of mapped addresses is one of IPv4, as the peers in it are.
            let (address, prefix) = match address.to_canonical() {
                canonical @ IpAddr::V4(_) if address.is_ipv6() => (canonical, prefix.max(96) - 96),
                _ => (address, prefix),
            };
            let (is_ipv4, bits) = bits(address);
            let ignored = (if is_ipv4 { 32_u32 } else { 128 }).saturating_sub(u32::from(prefix));
            let mask = u128::MAX.checked_shl(ignored).unwrap_or(0);
            Network { is_ipv4, base: bits & mask, mask }
        });
        Self { everyone, unix, networks: networks.collect() }
    }

    /// Whether `peer` is one of them.
    #[must_use]
    pub fn includes(&self, peer: &Peer) -> bool {
        match peer {
            Peer::Unix => self.unix || self.everyone,
            Peer::Inet(address, _) => self.contains(*address),
        }
    }

    /// Whether the address is in one of the networks; `::ffff:10.0.0.1` is 10.0.0.1.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let (is_ipv4, bits) = bits(address.to_canonical());
        self.everyone
            || self
                .networks
                .iter()
                .any(|network| network.is_ipv4 == is_ipv4 && (bits & network.mask) == network.base)
    }

    /// Whether nobody is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.everyone && !self.unix && self.networks.is_empty()
    }
}

fn bits(address: IpAddr) -> (bool, u128) {
    match address {
        IpAddr::V4(address) => (true, u128::from(address.to_bits())),
        IpAddr::V6(address) => (false, address.to_bits()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(networks: &[(&str, u8)]) -> TrustedPeers {
        let parsed = networks.iter().map(|(address, prefix)| (ip(address), *prefix));
        TrustedPeers::new(false, false, parsed)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("address")
    }

    #[test]
    fn peers_are_matched_by_prefix() {
        let set = set(&[("10.0.0.0", 8), ("::1", 128), ("192.168.1.7", 32)]);
        for inside in ["10.255.0.1", "::1", "192.168.1.7", "::ffff:10.1.2.3"] {
            assert!(set.contains(ip(inside)), "{inside}");
        }
        for outside in ["11.0.0.1", "::2", "192.168.1.8", "::ffff:11.0.0.1", "::10.0.0.1"] {
            assert!(!set.contains(ip(outside)), "{outside}");
        }
    }

    #[test]
    fn a_zero_prefix_is_the_whole_family() {
        let set = set(&[("0.0.0.0", 0)]);
        assert!(set.contains(ip("8.8.8.8")) && !set.contains(ip("2001:db8::1")));
    }

    #[test]
    fn a_mapped_network_is_one_of_ipv4() {
        let set = set(&[("::ffff:10.0.0.0", 104)]);
        assert!(set.contains(ip("10.1.1.1")) && !set.contains(ip("11.1.1.1")));
    }

    #[test]
    fn unix_peers_are_trusted_only_by_name() {
        assert!(!set(&[("0.0.0.0", 0), ("::", 0)]).includes(&Peer::Unix));
        assert!(TrustedPeers::new(false, true, []).includes(&Peer::Unix));
        assert!(TrustedPeers::new(true, false, []).includes(&Peer::Unix));
    }
}
