//! The parsed head of a request: offsets into the bytes it was parsed from.
//!
//! Filled by [`crate::h1`], read by the driver and by the application bridge. It owns no bytes, so
//! one `Head` can be used again and again without allocating.

use crate::octets::list;

/// A part of the input: `start` and length, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// Offset of the first byte.
    pub start: u32,
    /// Number of bytes.
    pub len: u32,
}

impl Span {
    /// The bytes that this span names in `input`; empty when it does not lie inside.
    #[must_use]
    pub fn of(self, input: &[u8]) -> &[u8] {
        let start = self.start as usize;
        input.get(start..start + self.len as usize).unwrap_or(&[])
    }
}

/// The protocol versions that are served.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    #[default]
    Http11,
    /// HTTP/2
    Http2,
}

/// How the end of a request body is known (RFC 9112, section 6).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    #[default]
    None,
    /// `Content-Length`; never `Length(0)` by accident: a sent length of zero is `Length(0)`.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// Field names that the server itself acts upon.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Name {
    /// `Connection`
    Connection,
    /// `Content-Length`
    ContentLength,
    /// `Content-Type`
    ContentType,
    /// `Cookie`
    Cookie,
    /// `Expect`
    Expect,
    /// `Host`
    Host,
    /// `Transfer-Encoding`
    TransferEncoding,
    /// `Upgrade`
    Upgrade,
    /// Any other.
    #[default]
    Other,
}

/// One field line: its name and its value without surrounding white space.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Field {
    /// The name as sent.
    pub name: Span,
    /// The value, trimmed of SP and HTAB.
    pub value: Span,
    /// Which of the names the server acts upon, if any.
    pub known: Name,
}

/// A request head, valid by construction: what is in it passed every check of the strict pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// Number of input bytes that the head took, the empty line included.
    pub len: usize,
    /// The method, case kept (unless the policy folds it).
    pub method: Span,
    /// The request target as sent.
    pub target: Span,
    /// The path of the target, still percent-encoded; empty for an absolute-form without a path.
    pub path: Span,
    /// What follows the first `?` of the target, if there is one.
    pub query: Option<Span>,
    /// The authority of an absolute-form target; it replaces Host (RFC 9112, section 3.2.2).
    pub authority: Option<Span>,
    /// The protocol version.
    pub version: Version,
    /// The field lines in the order received, without those that the policy drops.
    pub fields: Vec<Field>,
    /// The marks of the names in `fields`: whoever looks for a name whose mark is not among them
    /// need not look.
    pub marks: u64,
    /// How the body ends.
    pub framing: Framing,
    /// Whether the client wants the connection kept.
    pub persistent: bool,
    /// Whether an HTTP/1.1 client waits for `100 Continue` before its body.
    pub expect_continue: bool,
    /// Whether the client asks for a protocol upgrade (`Connection: upgrade` with `Upgrade`).
    pub upgrade: bool,
}

/// The mark of a name: one of 64 bits, by its length and first letter.
#[inline]
pub(crate) fn mark(name: &[u8]) -> u64 {
    let first = name.first().map_or(0, |first| usize::from(first & 31));
    // With this factor the usual fields of browsers share no mark with forwarding fields.
    1 << ((name.len() + 5 * first) % 64)
}

impl Head {
    /// The path to serve: `/` for an absolute-form target without one.
    #[must_use]
    pub fn path<'i>(&self, input: &'i [u8]) -> &'i [u8] {
        match self.path.of(input) {
            [] => b"/",
            path => path,
        }
    }

    /// Whether the client asks for a WebSocket: a GET without a body that names this protocol to
    /// upgrade to (RFC 6455, section 4.1; whether its key and version are right is for who answers
    /// it).
    #[must_use]
    pub fn asks_for_websocket(&self, input: &[u8]) -> bool {
        let is_websocket = |field: &Field| {
            field.known == Name::Upgrade
                && list(field.value.of(input)).any(|name| name.eq_ignore_ascii_case(b"websocket"))
        };
        self.upgrade
            && matches!(self.framing, Framing::None | Framing::Length(0))
            && self.method.of(input) == b"GET"
            && self.fields.iter().any(is_websocket)
    }

    /// Whether the method is HEAD, whose response has no body.
    #[must_use]
    pub fn is_head(&self, input: &[u8]) -> bool {
        self.method.of(input) == b"HEAD"
    }
}
