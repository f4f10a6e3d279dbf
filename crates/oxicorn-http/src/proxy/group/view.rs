//! What the fields of one request say, read hop by hop under the rules of a group.

use std::net::IpAddr;

use super::{Fact, Group, Hops, Target};
use crate::proxy::value::{self, members};
use crate::proxy::{Effective, Trace, rfc7239, shown};
use crate::{Head, Name, Reject};

/// One request under the rules of a group.
pub(super) struct View<'v> {
    pub(super) group: &'v Group,
    pub(super) head: &'v Head,
    pub(super) bytes: &'v [u8],
}

impl<'v> View<'v> {
    /// The values of all fields of a name, in order.
    fn lines(&self, name: &'v [u8]) -> impl Iterator<Item = &'v [u8]> + 'v {
        let bytes = self.bytes;
        let fields = self.head.fields.iter();
        fields
            .filter(move |field| field.name.of(bytes).eq_ignore_ascii_case(name))
            .map(move |field| field.value.of(bytes))
    }

    /// The list in all fields of a fact.
    fn list(&self, fact: Fact) -> Vec<&'v [u8]> {
        members(self.lines(self.group.name(fact).0)).collect()
    }

    /// Says that something is not as it should be, and refuses it if the group is strict.
    fn doubt(&self, what: &'static str, trace: &mut Trace<'_>) -> Result<(), Reject> {
        trace.say(|| what.to_owned());
        if self.group.strict { Err(Reject::BadRequest(what)) } else { Ok(()) }
    }

    /// The member of a list at a place counted from the right.
    fn nth(
        &self,
        fact: Fact,
        place: u32,
        trace: &mut Trace<'_>,
    ) -> Result<Option<&'v [u8]>, Reject> {
        if place == 0 {
            return Ok(None);
        }
        let list = self.list(fact);
        let name = self.group.name(fact).0;
        let found = list.len().checked_sub(place as usize).and_then(|index| list.get(index));
        match found {
            Some(member) => {
                let len = list.len();
                trace.say(|| {
                    format!(
                        "{}: number {place} from the right of {len} is {}",
                        shown(name),
                        shown(member)
                    )
                });
                Ok(Some(member))
            }
            None => {
                trace.say(|| format!("{} has {} of {place} values", shown(name), list.len()));
                self.doubt("a forwarding field has fewer values than proxies", trace)?;
                Ok(None)
            }
        }
    }

    pub(super) fn client(
        &self,
        effective: &mut Effective,
        trace: &mut Trace<'_>,
    ) -> Result<(), Reject> {
        let (most, needed) = match self.group.x_for {
            Hops::AtMost(0) => return Ok(()),
            Hops::AtMost(count) => (count as usize, count),
            Hops::Auto => (usize::MAX, 0),
        };
        if self.group.count_only {
            if let Some(member) = self.nth(Fact::Client, needed, trace)? {
                match value::address(member) {
                    Some((address, port)) => effective.client = Some((address, port.unwrap_or(0))),
                    None => self.doubt("a forwarded address is none", trace)?,
                }
            }
            return Ok(());
        }
        let list = self.list(Fact::Client);
        if list.len() < needed as usize {
            let name = self.group.name(Fact::Client).0;
            trace.say(|| format!("{} has {} of {needed} values", shown(name), list.len()));
            self.doubt("a forwarding field has fewer values than proxies", trace)?;
        }
        for member in list.iter().rev().take(most) {
            let Some((address, port)) = value::address(member) else {
                trace.say(|| format!("{} is no address: stop", shown(member)));
                return self.doubt("a forwarded address is none", trace);
            };
            effective.client = Some((address, port.unwrap_or(0)));
            if !self.group.trusted.contains(address) {
                trace.say(|| format!("{address} is not trusted: it is the client"));
                return Ok(());
            }
            trace.say(|| format!("{address} is trusted: it may be a proxy, go on"));
        }
        match effective.client {
            Some((address, _)) => {
                trace.say(|| {
                    format!("there is nothing further to the left: {address} is the client")
                });
            }
            None => trace.say(|| "the address of the peer stays".to_owned()),
        }
        Ok(())
    }

    pub(super) fn proto(
        &self,
        effective: &mut Effective,
        trace: &mut Trace<'_>,
    ) -> Result<(), Reject> {
        let Some(member) = self.nth(Fact::Proto, self.group.x_proto, trace)? else { return Ok(()) };
        self.set_scheme(member, self.group.name(Fact::Proto).1, effective, trace)
    }

    fn set_scheme(
        &self,
        member: &[u8],
        words: bool,
        effective: &mut Effective,
        trace: &mut Trace<'_>,
    ) -> Result<(), Reject> {
        match value::is_https(member, words) {
            Some(https) => effective.https = Some(https),
            None => return self.doubt("a forwarded scheme is neither http nor https", trace),
        }
        Ok(())
    }

    pub(super) fn host(
        &self,
        effective: &mut Effective,
        trace: &mut Trace<'_>,
    ) -> Result<(), Reject> {
        match self.nth(Fact::Host, self.group.x_host, trace)? {
            Some(member) => self.set_host(member, effective, trace),
            None => Ok(()),
        }
    }

    fn set_host(
        &self,
        member: &[u8],
        effective: &mut Effective,
        trace: &mut Trace<'_>,
    ) -> Result<(), Reject> {
        let Some(authority) = value::authority(member) else {
            return self.doubt("a forwarded host is none", trace);
        };
        effective.host = Some(member.to_vec());
        effective.server_name = Some(authority.host.to_vec());
        if authority.port.is_some() {
            effective.server_port = authority.port;
        }
        Ok(())
    }

    pub(super) fn port(
        &self,
        effective: &mut Effective,
        trace: &mut Trace<'_>,
    ) -> Result<(), Reject> {
        match self.nth(Fact::Port, self.group.x_port, trace)? {
            Some(member) => self.set_port(member, effective, trace),
            None => Ok(()),
        }
    }

    fn set_port(
        &self,
        member: &[u8],
        effective: &mut Effective,
        trace: &mut Trace<'_>,
    ) -> Result<(), Reject> {
        let Some(port) = value::port(member) else {
            return self.doubt("a forwarded port is none", trace);
        };
        effective.server_port = Some(port);
        let host = effective.host.as_deref().or_else(|| self.own_host());
        if let Some(authority) = host.and_then(value::authority) {
            effective.host = Some([authority.host, format!(":{port}").as_bytes()].concat());
        }
        Ok(())
    }

    /// The host that the request itself names.
    fn own_host(&self) -> Option<&'v [u8]> {
        let field = self.head.fields.iter().find(|field| field.known == Name::Host);
        let span = self.head.authority.or(field.map(|field| field.value))?;
        Some(span.of(self.bytes))
    }

    pub(super) fn prefix(
        &self,
        effective: &mut Effective,
        trace: &mut Trace<'_>,
    ) -> Result<(), Reject> {
        match self.nth(Fact::Prefix, self.group.x_prefix, trace)? {
            Some(member) => self.set_prefix(member, effective, trace),
            None => Ok(()),
        }
    }

    fn set_prefix(
        &self,
        member: &[u8],
        effective: &mut Effective,
        trace: &mut Trace<'_>,
    ) -> Result<(), Reject> {
        match value::prefix(member) {
            Some(prefix) => effective.prefix = Some(prefix.to_vec()),
            None => return self.doubt("a forwarded prefix is no plain path", trace),
        }
        Ok(())
    }

    /// RFC 7239: an element was written by the proxy whose address is in the element to its right.
    pub(super) fn forwarded(
        &self,
        effective: &mut Effective,
        trace: &mut Trace<'_>,
    ) -> Result<(), Reject> {
        let (most, needed) = match self.group.forwarded {
            Hops::AtMost(0) => return Ok(()),
            Hops::AtMost(count) => (count as usize, count as usize),
            Hops::Auto => (usize::MAX, 0),
        };
        let Some(elements) = rfc7239::parse(self.lines(b"Forwarded")) else {
            return self.doubt("malformed Forwarded", trace);
        };
        if elements.len() < needed {
            trace.say(|| format!("Forwarded has {} of {needed} elements", elements.len()));
            self.doubt("a forwarding field has fewer values than proxies", trace)?;
            if self.group.count_only {
                return Ok(());
            }
        }
        let mut reached = None;
        for element in elements.iter().rev().take(most) {
            reached = Some(element);
            let node = element.for_.as_deref().unwrap_or(b"unknown");
            let Some((address, port)) = node_address(node) else {
                trace.say(|| format!("for={} names no address", shown(node)));
                if !node.eq_ignore_ascii_case(b"unknown") && !node.starts_with(b"_") {
                    self.doubt("a forwarded address is none", trace)?;
                }
                if self.group.count_only {
                    continue;
                }
                break;
            };
            effective.client = Some((address, port));
            if !self.group.count_only && !self.group.trusted.contains(address) {
                trace.say(|| format!("{address} is not trusted: it is the client"));
                break;
            }
            trace.say(|| format!("{address} is stepped over"));
        }
        let Some(element) = reached else { return Ok(()) };
        if let Some(proto) = &element.proto {
            self.set_scheme(proto, false, effective, trace)?;
        }
        if let Some(host) = &element.host {
            self.set_host(host, effective, trace)?;
        }
        Ok(())
    }

    pub(super) fn map(
        &self,
        effective: &mut Effective,
        trace: &mut Trace<'_>,
    ) -> Result<(), Reject> {
        for (name, target) in &self.group.map {
            let mut lines = self.lines(name);
            let (Some(value), again) = (lines.next(), lines.next()) else { continue };
            if again.is_some() {
                trace.say(|| format!("{} is there more than once", shown(name)));
                self.doubt("a mapped field is ambiguous", trace)?;
                continue;
            }
            trace.say(|| format!("{} is {}", shown(name), shown(value)));
            match target {
                Target::Host => self.set_host(value, effective, trace)?,
                Target::RemoteAddr => match value::address(value) {
                    Some((address, port)) => effective.client = Some((address, port.unwrap_or(0))),
                    None => self.doubt("a forwarded address is none", trace)?,
                },
                Target::ScriptName => self.set_prefix(value, effective, trace)?,
                Target::ServerPort => self.set_port(value, effective, trace)?,
                Target::Scheme => self.set_scheme(value, true, effective, trace)?,
                Target::Other(_) if value.iter().any(u8::is_ascii_control) => {
                    self.doubt("a mapped value has a control character", trace)?;
                }
                Target::Other(key) => effective.environ.push((key.clone(), value.to_vec())),
            }
        }
        Ok(())
    }
}

/// The address of a node, and its port or 0; a port may be obfuscated.
fn node_address(node: &[u8]) -> Option<(IpAddr, u16)> {
    if let Some((address, port)) = value::address(node) {
        // RFC 7239, section 6: IPv6 addresses are in brackets.
        let is_bare_ipv6 =
            node.first() != Some(&b'[') && node.iter().filter(|b| **b == b':').count() > 1;
        return (!is_bare_ipv6).then(|| (address, port.unwrap_or(0)));
    }
    let colon = node.windows(2).rposition(|two| two == b":_")?;
    let (address, _) = value::address(&node[..colon])?;
    Some((address, 0))
}
