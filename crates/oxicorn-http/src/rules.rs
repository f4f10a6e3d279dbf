//! What a request may be: limits, and what to do with doubtful input.

/// Sizes above which a request is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the method; default 32, above it 501.
    pub method: usize,
    /// Bytes of the request line without its line end; default 8190, above it 414.
    pub request_line: usize,
    /// Number of field lines; default 100, above it 431.
    pub fields: usize,
    /// Bytes of one field line without its line end; default 8190, above it 431.
    pub field_size: usize,
    /// Bytes of the whole head; default 64 KiB, above it 431.
    pub head: usize,
    /// Bytes of the body; default 1 GiB, above it 413.
    pub body: u64,
    /// Bytes of the extensions of one chunk; default 256, above it 400.
    pub chunk_extension: usize,
    /// Bytes of all chunk extensions of a body; default 16 KiB, above it 400.
    pub chunk_extensions: usize,
    /// Bytes of the trailer section; default 8 KiB, above it 431.
    pub trailers: usize,
    /// Number of trailer field lines; default 32, above it 431.
    pub trailer_fields: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            method: 32,
            request_line: 8190,
            fields: 100,
            field_size: 8190,
            head: 64 * 1024,
            body: 1 << 30,
            chunk_extension: 256,
            chunk_extensions: 16 * 1024,
            trailers: 8 * 1024,
            trailer_fields: 32,
        }
    }
}

/// What to do with a field name that contains `_` (gunicorn's `header_map`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HeaderMap {
    /// Leave the field out; it still counts against the limits.
    #[default]
    Drop,
    /// Refuse the request.
    Refuse,
    /// Keep it, as names with `-` and `_` then collide in environ.
    Dangerous,
}

/// Names with `_` that a trusted proxy may send (gunicorn's `forwarder_headers`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ForwarderNames {
    /// Each of them.
    All,
    /// These, in any case.
    These(Vec<Vec<u8>>),
}

impl Default for ForwarderNames {
    fn default() -> Self {
        Self::These(Vec::new())
    }
}

impl ForwarderNames {
    /// Whether the name is one of them.
    pub(crate) fn include(&self, name: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::These(names) => names.iter().any(|known| name.eq_ignore_ascii_case(known)),
        }
    }
}

/// Choices for doubtful input; the default refuses every doubt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a choice of its own")]
pub struct Policy {
    /// Names with `_`.
    pub header_map: HeaderMap,
    /// Names with `_` that are kept all the same: those that a trusted proxy may send.
    pub forwarder_names: ForwarderNames,
    /// Accept HTTP/1.1 without Host, as gunicorn does; RFC 9112 asks for 400.
    pub permit_missing_host: bool,
    /// Join lines that begin with white space to the field before, except for fields that decide
    /// framing, persistence or the host.
    pub permit_obsolete_folding: bool,
    /// Accept white space between a field's name and its colon.
    pub strip_header_spaces: bool,
    /// Take any `HTTP/x.y` for the nearest version that is served.
    pub permit_unconventional_http_version: bool,
    /// Make the method upper-case.
    pub casefold_http_method: bool,
}

/// Limits and policy together: all that the machine needs to know beside the bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rules {
    /// Sizes.
    pub limits: Limits,
    /// Choices.
    pub policy: Policy,
}
