//! Behind a proxy: who began a request, and how, when another server passed it on.
//!
//! A connection's peer is judged once ([`Proxy::trusts`]), after its PROXY header if there is one
//! ([`mod@line`]). For each request [`Proxy::evaluate`] then gives what the forwarding fields say, valid
//! by construction, or nothing: without trust a field changes no fact, it is at most left out.
//!
//! ```
//! use oxicorn_http::proxy::{Group, Hops, Peer, Proxy, TrustedPeers};
//! use oxicorn_http::{Connection, Head, Rules};
//!
//! let nginx = Peer::Inet([127, 0, 0, 1].into(), 50000);
//! let trusted = TrustedPeers::new(false, false, [([127, 0, 0, 1].into(), 32)]);
//! let proxy = Proxy::Group(Group { trusted, x_for: Hops::AtMost(1), ..Group::default() });
//!
//! let wire = b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.0.0.1, 203.0.113.9\r\n\r\n";
//! let mut head = Head::default();
//! Connection::new().receive(wire, &mut head, &Rules::default())?;
//! let effective = proxy.evaluate(proxy.trusts(&nginx), &head, wire)?.expect("from a trusted peer");
//! assert_eq!(effective.client, Some(([203, 0, 113, 9].into(), 0)));
//! # Ok::<(), oxicorn_http::Reject>(())
//! ```

pub mod arrival;
mod group;
mod gunicorn;
pub mod line;
mod rfc7239;
mod trust;
mod value;

use std::net::IpAddr;

pub use group::{Group, Hops, Names, Strip, Target};
pub use gunicorn::Gunicorn;
pub use trust::{Peer, TrustedPeers};

use crate::{Head, Reject};

/// Which forwarding fields are believed, and from whom.
#[derive(Clone, Debug)]
pub enum Proxy {
    /// gunicorn's rules: the scheme, and the prefix of the application.
    Gunicorn(Gunicorn),
    /// The `proxy` group.
    Group(Group),
}

impl Default for Proxy {
    /// Nobody is trusted, and nothing is left out.
    fn default() -> Self {
        Self::Gunicorn(Gunicorn::default())
    }
}

/// What holds for a request instead of what its connection says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Effective {
    /// Whether the peer was believed, so that the connection's own facts are worth keeping.
    pub keeps_originals: bool,
    /// The client's address, and its port or 0.
    pub client: Option<(IpAddr, u16)>,
    /// Whether the client spoke https.
    pub https: Option<bool>,
    /// The host with its port, if it was given.
    pub host: Option<Vec<u8>>,
    /// The host without its port.
    pub server_name: Option<Vec<u8>>,
    /// The port that the client connected to.
    pub server_port: Option<u16>,
    /// Where the application is mounted.
    pub prefix: Option<Vec<u8>>,
    /// Whether the prefix is part of the path, and to be cut from it.
    pub prefix_in_path: bool,
    /// Other environ variables.
    pub environ: Vec<(String, Vec<u8>)>,
    /// Fields that the application must not see: indexes into the head's, ascending.
    pub stripped: Vec<usize>,
}

impl Effective {
    /// The head without the fields that are left out; `None` if all of them stay.
    #[must_use]
    pub fn strip(&self, head: &Head) -> Option<Head> {
        if self.stripped.is_empty() {
            return None;
        }
        let mut head = head.clone();
        let mut index = 0;
        head.fields.retain(|_| {
            index += 1;
            self.stripped.binary_search(&(index - 1)).is_err()
        });
        Some(head)
    }
}

impl Proxy {
    /// Whether the forwarding fields of this peer count.
    #[must_use]
    pub fn trusts(&self, peer: &Peer) -> bool {
        match self {
            Self::Gunicorn(rules) => rules.trusted.includes(peer),
            Self::Group(group) => group.trusted.includes(peer),
        }
    }

    /// What the fields of a request change, given whether its peer is trusted.
    ///
    /// # Errors
    ///
    /// Fields that contradict each other; with `strict`, also those that are malformed or missing.
    #[inline]
    pub fn evaluate(
        &self,
        trusted: bool,
        head: &Head,
        bytes: &[u8],
    ) -> Result<Option<Effective>, Reject> {
        match self {
            // The usual server: no group, and mostly no such field.
            Self::Gunicorn(rules) if !trusted || !rules.may_apply(head) => Ok(None),
            _ => self.judge(trusted, head, bytes, &mut Trace(None)),
        }
    }

    /// The same, with a sentence for each step.
    ///
    /// # Errors
    ///
    /// As [`evaluate`](Self::evaluate).
    pub fn explain(
        &self,
        trusted: bool,
        head: &Head,
        bytes: &[u8],
        steps: &mut Vec<String>,
    ) -> Result<Option<Effective>, Reject> {
        self.judge(trusted, head, bytes, &mut Trace(Some(steps)))
    }

    #[cold]
    fn judge(
        &self,
        trusted: bool,
        head: &Head,
        bytes: &[u8],
        trace: &mut Trace<'_>,
    ) -> Result<Option<Effective>, Reject> {
        match self {
            Self::Gunicorn(_) if !trusted => {
                trace.say(|| "the peer is not trusted: no field changes anything".to_owned());
                Ok(None)
            }
            Self::Gunicorn(rules) => rules.judge(head, bytes, trace),
            Self::Group(group) => group.judge(trusted, head, bytes, trace),
        }
    }
}

/// Who wants to know why.
struct Trace<'s>(Option<&'s mut Vec<String>>);

impl Trace<'_> {
    fn say(&mut self, step: impl FnOnce() -> String) {
        if let Some(steps) = &mut self.0 {
            steps.push(step());
        }
    }
}

/// Bytes of a client for a person to read.
fn shown(bytes: &[u8]) -> String {
    format!("`{}`", bytes.escape_ascii())
}
