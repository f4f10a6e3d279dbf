//! Where to listen, as an operator writes it.

use std::fmt;
use std::net::Ipv6Addr;

use crate::value::Unfit;

/// The port of an address that names none.
const DEFAULT_PORT: u16 = 8000;

/// One place to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BindAddress {
    /// A host name or address (without brackets) and a port.
    Tcp {
        /// The host; never empty.
        host: String,
        /// The port; 0 lets the kernel choose.
        port: u16,
    },
    /// A socket file.
    Unix(String),
    /// A socket without a file, in Linux's abstract namespace; the name comes without `@`.
    UnixAbstract(String),
    /// A descriptor that was inherited, already listening.
    Fd(i32),
}

impl BindAddress {
    /// Parses `HOST`, `HOST:PORT`, `:PORT`, `[V6]:PORT`, `tcp://…`, `unix:PATH`, `unix:@NAME` or
    /// `fd://N`.
    ///
    /// # Errors
    ///
    /// [`Unfit`] says which part is wrong.
    pub fn parse(text: &str) -> Result<Self, Unfit> {
        if let Some(number) = text.strip_prefix("fd://") {
            return match number.parse() {
                Ok(fd) if fd >= 0 => Ok(Self::Fd(fd)),
                _ => Err(Unfit::from("fd:// and the number of a descriptor")),
            };
        }
        if let Some(rest) = text.strip_prefix("unix:") {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            return match path.strip_prefix('@') {
                Some("") => Err(Unfit::from("a name after unix:@")),
                Some(name) => Ok(Self::UnixAbstract(name.to_owned())),
                None if path.is_empty() => Err(Unfit::from("a path after unix:")),
                None => Ok(Self::Unix(path.to_owned())),
            };
        }
        let text = text.strip_prefix("tcp://").unwrap_or(text);
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, port) =
                    rest.split_once(']').ok_or(Unfit::from("a closing bracket after the host"))?;
                if host.split('%').next().is_none_or(|host| host.parse::<Ipv6Addr>().is_err()) {
                    return Err(Unfit::from("an IPv6 address in the brackets"));
                }
                match port.strip_prefix(':') {
                    None if port.is_empty() => (host, None),
                    None => return Err(Unfit::from("[HOST]:PORT")),
                    port => (host, port),
                }
            }
            None => match text.split_once(':') {
                None => (text, None),
                Some((_, port)) if port.contains(':') => {
                    return Err(Unfit::from("an IPv6 address in brackets, as in [::1]:8000"));
                }
                Some((host, port)) => (host, Some(port)),
            },
        };
        if host.contains(|c: char| c == '/' || c.is_whitespace()) {
            return Err(Unfit::from("HOST:PORT, unix:PATH or fd://N"));
        }
        let port = match port {
            None => DEFAULT_PORT,
            Some(port) if port.bytes().all(|b| b.is_ascii_digit()) => {
                port.parse().map_err(|_| Unfit::from("a port between 0 and 65535"))?
            }
            Some(_) => return Err(Unfit::from("a port number after the host")),
        };
        let host = if host.is_empty() { "0.0.0.0" } else { host };
        Ok(Self::Tcp { host: host.to_ascii_lowercase(), port })
    }
}

impl fmt::Display for BindAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => write!(f, "unix:{path}"),
            Self::UnixAbstract(name) => write!(f, "unix:@{name}"),
            Self::Fd(fd) => write!(f, "fd://{fd}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_understood() {
        for (text, shown) in [
            ("localhost", "localhost:8000"),
            ("0.0.0.0:80", "0.0.0.0:80"),
            (":5000", "0.0.0.0:5000"),
            ("[::1]:80", "[::1]:80"),
            ("[fe80::1%eth0]:80", "[fe80::1%eth0]:80"),
            ("[::]", "[::]:8000"),
            ("tcp://Example.org:1", "example.org:1"),
            ("unix:/run/a.sock", "unix:/run/a.sock"),
            ("unix:///run/a.sock", "unix:/run/a.sock"),
            ("unix:relative.sock", "unix:relative.sock"),
            ("unix:@name", "unix:@name"),
            ("fd://3", "fd://3"),
        ] {
            let address = BindAddress::parse(text).map(|address| address.to_string());
            assert_eq!(address, Ok(shown.to_owned()), "{text}");
        }
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "::1",
            "::1:80",
            "[::1",
            "[::1]x",
            "[x]:1",
            "a:",
            "a:b",
            "a:-1",
            "a:65536",
            "http://a",
            "unix:",
            "unix:@",
            "fd://",
            "fd://-1",
            "fd://x",
            "/run/a.sock",
            "a b:1",
            "[]:1",
        ] {
            let parsed = BindAddress::parse(text);
            // `a:` names a host and an empty port.
            assert!(parsed.is_err(), "{text}: {parsed:?}");
        }
    }
}
