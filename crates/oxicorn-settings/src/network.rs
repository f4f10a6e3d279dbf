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
    /// `unix:`: the peers on unix sockets.
    pub unix: bool,
    /// The networks named one by one.
    pub networks: Vec<Network>,
}

impl Networks {
    /// Parses `*`, `unix:`, addresses and `ADDRESS/PREFIX`.
    ///
    /// # Errors
    ///
    /// [`Unfit`] names the item that is none of these.
    pub fn parse(items: &[String]) -> Result<Self, Unfit> {
        let mut set = Self::default();
        for item in items {
            if item == "*" {
                set.everyone = true;
            } else if item == "unix:" {
                set.unix = true;
            } else {
                set.networks.push(Network::parse(item)?);
            }
        }
        Ok(set)
    }

    /// Whether nobody is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        !self.everyone && !self.unix && self.networks.is_empty()
    }

    /// The items, as they can be written.
    #[must_use]
    pub fn items(&self) -> Vec<String> {
        let text = self.to_string();
        text.split(',').filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }
}

impl Network {
    fn parse(item: &str) -> Result<Self, Unfit> {
        let wrong = |what: &str| Unfit(Cow::Owned(format!("{what} in `{item}`")));
        let (address, prefix) = match item.split_once('/') {
            None => (item, None),
            Some((address, prefix)) => (address, Some(prefix)),
        };
        let address: IpAddr = address
            .parse()
            .map_err(|_| wrong("an IP address, a network, unix: or *, but not a name,"))?;
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
        if self.unix {
            write!(f, "{separator}unix:")?;
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
    fn a_set_is_shown_as_it_is_written() {
        let text = "*,unix:,10.0.0.0/8,::1,192.168.1.7";
        let items: Vec<_> = text.split(',').collect();
        assert_eq!(parse(&items).expect("networks").to_string(), text);
    }

    #[test]
    fn host_bits_names_and_wide_prefixes_are_refused() {
        for item in ["10.0.0.1/8", "proxy", "10.0.0.0/33", "::/129", "10.0.0.0/", "10.0.0.0/-1", ""]
        {
            assert!(parse(&[item]).is_err(), "{item}");
        }
    }
}
