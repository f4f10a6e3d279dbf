//! The `proxy` group: its settings, and which fields it hides; [`view`] reads those of a trusted peer.

mod view;

use self::view::View;
use super::{Effective, Trace, TrustedPeers, shown};
use crate::{Head, Name, Reject};

/// How many proxies are stepped over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hops {
    /// This many at most; 0 reads nothing.
    AtMost(u32),
    /// As far as the trusted networks reach.
    Auto,
}

impl Default for Hops {
    fn default() -> Self {
        Self::AtMost(0)
    }
}

/// Which forwarding fields the application does not see.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strip {
    /// It sees all.
    Never,
    /// Those of untrusted peers.
    #[default]
    Untrusted,
    /// Those of untrusted peers, and those that no setting reads.
    Unused,
}

/// The names of the fields, where they are not the usual ones.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the field of that fact")]
pub struct Names {
    pub client: Option<Vec<u8>>,
    pub proto: Option<Vec<u8>>,
    pub host: Option<Vec<u8>>,
    pub port: Option<Vec<u8>>,
    pub prefix: Option<Vec<u8>>,
}

/// What a mapped field sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// `HTTP_HOST`
    Host,
    /// `REMOTE_ADDR`
    RemoteAddr,
    /// `SCRIPT_NAME`
    ScriptName,
    /// `SERVER_PORT`
    ServerPort,
    /// `wsgi.url_scheme`
    Scheme,
    /// Any other variable.
    Other(String),
}

/// The settings of the group.
#[derive(Clone, Debug, Default)]
pub struct Group {
    /// Who is believed.
    pub trusted: TrustedPeers,
    /// Read `Forwarded` instead of the `X-Forwarded-` family.
    pub rfc7239: bool,
    /// Proxies to step over for the client's address.
    pub x_for: Hops,
    /// Place of the scheme, counted from the right; 0 reads nothing.
    pub x_proto: u32,
    /// Place of the host.
    pub x_host: u32,
    /// Place of the port.
    pub x_port: u32,
    /// Place of the prefix.
    pub x_prefix: u32,
    /// Elements of `Forwarded` to step over.
    pub forwarded: Hops,
    /// Count hops without looking at their addresses.
    pub count_only: bool,
    /// Other names of the fields.
    pub names: Names,
    /// Fields that set environ variables.
    pub map: Vec<(Vec<u8>, Target)>,
    /// What the application does not see.
    pub strip: Strip,
    /// Refuse what is malformed, ambiguous or too short.
    pub strict: bool,
}

/// Names of forwarding fields beside those that begin with `X-Forwarded`.
const FORWARDING: [&[u8]; 11] = [
    b"Forwarded",
    b"X-Real-IP",
    b"X-Scheme",
    b"X-Url-Scheme",
    b"X-Client-IP",
    b"X-Cluster-Client-IP",
    b"X-Original-Forwarded-For",
    b"X-Original-Host",
    b"True-Client-IP",
    b"CF-Connecting-IP",
    b"Fastly-Client-IP",
];

/// A fact of the X-Forwarded family.
#[derive(Clone, Copy)]
enum Fact {
    Client,
    Proto,
    Host,
    Port,
    Prefix,
}

impl Group {
    pub(super) fn judge(
        &self,
        trusted: bool,
        head: &Head,
        bytes: &[u8],
        trace: &mut Trace<'_>,
    ) -> Result<Option<Effective>, Reject> {
        let mut effective = Effective { keeps_originals: trusted, ..Effective::default() };
        self.strip_fields(trusted, head, bytes, &mut effective, trace);
        if !trusted {
            trace.say(|| "the peer is not trusted: no field changes anything".to_owned());
            return Ok((!effective.stripped.is_empty()).then_some(effective));
        }
        trace.say(|| "the peer is trusted".to_owned());
        let view = View { group: self, head, bytes };
        if self.rfc7239 {
            view.forwarded(&mut effective, trace)?;
        } else {
            view.client(&mut effective, trace)?;
            view.proto(&mut effective, trace)?;
            view.host(&mut effective, trace)?;
            view.port(&mut effective, trace)?;
            view.prefix(&mut effective, trace)?;
        }
        view.map(&mut effective, trace)?;
        Ok(Some(effective))
    }

    fn name(&self, fact: Fact) -> (&[u8], bool) {
        let (renamed, usual): (_, &[u8]) = match fact {
            Fact::Client => (&self.names.client, b"X-Forwarded-For"),
            Fact::Proto => (&self.names.proto, b"X-Forwarded-Proto"),
            Fact::Host => (&self.names.host, b"X-Forwarded-Host"),
            Fact::Port => (&self.names.port, b"X-Forwarded-Port"),
            Fact::Prefix => (&self.names.prefix, b"X-Forwarded-Prefix"),
        };
        renamed.as_ref().map_or((usual, false), |name| (name, true))
    }

    fn is_read(&self, fact: Fact) -> bool {
        let is_on = match fact {
            Fact::Client => self.x_for != Hops::AtMost(0),
            Fact::Proto => self.x_proto > 0,
            Fact::Host => self.x_host > 0,
            Fact::Port => self.x_port > 0,
            Fact::Prefix => self.x_prefix > 0,
        };
        is_on && !self.rfc7239
    }

    /// Whether a setting reads fields of this name.
    fn reads(&self, name: &[u8]) -> bool {
        let facts = [Fact::Client, Fact::Proto, Fact::Host, Fact::Port, Fact::Prefix];
        let read = |fact| self.is_read(fact) && name.eq_ignore_ascii_case(self.name(fact).0);
        (self.rfc7239
            && self.forwarded != Hops::AtMost(0)
            && name.eq_ignore_ascii_case(b"Forwarded"))
            || facts.into_iter().any(read)
            || self.map.iter().any(|(mapped, _)| name.eq_ignore_ascii_case(mapped))
    }

    /// Whether fields of this name say something about a client, in any spelling: environ does not
    /// tell `-` from `_`.
    fn is_forwarding(&self, name: &[u8]) -> bool {
        const FAMILY: &[u8] = b"X-Forwarded";
        if name.get(..FAMILY.len()).is_some_and(|start| same_variable(start, FAMILY)) {
            return true;
        }
        let names = &self.names;
        let renamed = [&names.client, &names.proto, &names.host, &names.port, &names.prefix];
        let renamed = renamed.into_iter().flatten().map(Vec::as_slice);
        let mapped = self.map.iter().map(|(name, _)| name.as_slice());
        FORWARDING.into_iter().chain(renamed).chain(mapped).any(|known| same_variable(name, known))
    }

    fn strip_fields(
        &self,
        trusted: bool,
        head: &Head,
        bytes: &[u8],
        effective: &mut Effective,
        trace: &mut Trace<'_>,
    ) {
        if self.strip == Strip::Never {
            return;
        }
        for (index, field) in head.fields.iter().enumerate() {
            let name = field.name.of(bytes);
            if field.known != Name::Other || !self.is_forwarding(name) {
                continue;
            }
            let reason = if !trusted {
                "the peer is not trusted"
            } else if name.contains(&b'_') {
                "an underscore can pose as a dash"
            } else if self.strip == Strip::Unused && !self.reads(name) {
                "no setting reads it"
            } else {
                continue;
            };
            trace.say(|| format!("{} is left out: {reason}", shown(name)));
            effective.stripped.push(index);
        }
    }
}

/// Whether two names become the same environ variable.
fn same_variable(one: &[u8], other: &[u8]) -> bool {
    let fold = |b: &u8| if *b == b'_' { b'-' } else { b.to_ascii_lowercase() };
    one.len() == other.len() && one.iter().map(fold).eq(other.iter().map(fold))
}
