//! Networks of peers, strict: an address with bits outside its prefix is a mistake, not a network.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use crate::value::Unfit;

/// One network: an address and how many of its bits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// The address; its host bits are zero.
    pub address: IpAddr,
    /// The number of leading bits that count.
    pub prefix: u8,
}

/// A set of networks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks {
    /// `*`: every peer.
    pub everyone: bool,
    /// The networks named one by one.
    pub networks: Vec<Network>,
}

impl Networks {
    /// Parses `*`, addresses and `ADDRESS/PREFIX`.
    ///
    /// # Errors
    ///
    /// [`Unfit`] names the item that is none of these.
    pub fn parse(items: &[String]) -> Result<Self, Unfit> {
        let mut set = Self::default();
        for item in items {
            if item == "*" {
                set.everyone = true;
            } else {
                set.networks.push(Network::parse(item)?);
            }
        }
        Ok(set)
    }

    /// Whether `address` is in the set.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        self.everyone || self.networks.iter().any(|network| network.contains(address))
    }
}

impl Network {
    fn parse(item: &str) -> Result<Self, Unfit> {
        let wrong = |what: &str| Unfit(Cow::Owned(format!("{what} in `{item}`")));
        let (address, prefix) = match item.split_once('/') {
            None => (item, None),
            Some((address, prefix)) => (address, Some(prefix)),
        };
        let address: IpAddr =
            address.parse().map_err(|_| wrong("an IP address, a network or *, but not a name,"))?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => width,
            Some(prefix) => match prefix.parse() {
                Ok(prefix) if prefix <= width => prefix,
                _ => return Err(wrong(&format!("a prefix between 0 and {width}"))),
            },
        };
        let network = Self { address, prefix };
        if network.masked(address) != bits(address) {
            return Err(wrong("zero bits after the prefix"));
        }
        Ok(network)
    }

    fn contains(&self, address: IpAddr) -> bool {
        // `::ffff:10.0.0.1` is 10.0.0.1 on a socket that takes both families.
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && self.masked(address) == bits(self.address)
    }

    fn masked(&self, address: IpAddr) -> u128 {
        let width = if address.is_ipv4() { 32 } else { 128 };
        let ignored = u32::from(width - self.prefix);
        let mask = u128::MAX.checked_shl(ignored).unwrap_or(0);
        bits(address) & mask
    }
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()),
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl fmt::Display for Networks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        if self.everyone {
            f.write_str("*")?;
            separator = ",";
        }
        for Network { address, prefix } in &self.networks {
            write!(f, "{separator}{address}")?;
            if *prefix != if address.is_ipv4() { 32 } else { 128 } {
                write!(f, "/{prefix}")?;
            }
            separator = ",";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(items: &[&str]) -> Result<Networks, Unfit> {
        Networks::parse(&items.iter().map(|&item| item.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn peers_are_matched_by_prefix() {
        let set = parse(&["10.0.0.0/8", "::1", "192.168.1.7"]).expect("networks");
        let contains = |address: &str| set.contains(address.parse().expect("address"));
        assert!(contains("10.255.0.1") && contains("::1") && contains("192.168.1.7"));
        assert!(contains("::ffff:10.1.2.3"));
        assert!(!contains("11.0.0.1") && !contains("::2") && !contains("192.168.1.8"));
        assert_eq!(set.to_string(), "10.0.0.0/8,::1,192.168.1.7");
    }

    #[test]
    fn a_zero_prefix_is_the_whole_family() {
        let set = parse(&["0.0.0.0/0"]).expect("networks");
        assert!(set.contains([8, 8, 8, 8].into()));
        assert!(!set.contains("2001:db8::1".parse().expect("address")));
        assert!(parse(&["*"]).expect("everyone").contains([1, 2, 3, 4].into()));
    }

    #[test]
    fn host_bits_names_and_wide_prefixes_are_refused() {
        for item in ["10.0.0.1/8", "proxy", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", ""]
        {
            assert!(parse(&[item]).is_err(), "{item}");
        }
    }
}
