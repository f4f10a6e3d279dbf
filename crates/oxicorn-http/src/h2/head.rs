//! From pseudo-header fields and fields to the head that HTTP/1 has.
//!
//! What `h2` has found sound is written as the text of an HTTP/1.1 head, and that is read by the
//! machine of HTTP/1: so each rule and limit is there once, and holds for both. No value can begin
//! a line of its own in that text, as `h2` lets no CR, LF or NUL through (RFC 9113, section 8.2.1);
//! and nothing but the whole of the text is accepted.

use http::{HeaderName, Request, header};

use crate::{Framing, Head, Reject, Rules, Version, h1};

/// What is wrong with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// It is answered as in HTTP/1, but closes nothing.
    Reject(Reject),
    /// It is no HTTP/2 request: the stream is reset (RFC 9113, section 8.1.1).
    Stream(&'static str),
}

impl From<Reject> for Malformed {
    fn from(reject: Reject) -> Self {
        Self::Reject(reject)
    }
}

/// Makes the head of a request, and the bytes that it points into.
///
/// # Errors
///
/// See [`Malformed`].
pub fn request_head(
    request: &Request<()>,
    has_body: bool,
    rules: &Rules,
) -> Result<(Head, Vec<u8>), Malformed> {
    let fields = request.headers();
    let target = request.uri().path_and_query().map_or("", |target| target.as_str());
    let authority = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    if request.method() == http::Method::CONNECT {
        return Err(Reject::NotImplemented("CONNECT").into());
    }
    let is_asterisk = target == "*" && request.method() == http::Method::OPTIONS;
    if !target.starts_with('/') && !is_asterisk {
        return Err(Reject::BadRequest("`:path` does not begin with a slash").into());
    }
    let mut hosts = fields.get_all(header::HOST).iter();
    match (authority, hosts.next()) {
        (Some(authority), Some(host)) if !host.as_bytes().eq_ignore_ascii_case(authority) => {
            return Err(Reject::BadRequest("`:authority` and Host differ").into());
        }
        _ if hosts.next().is_some() => return Err(Reject::BadRequest("repeated Host").into()),
        _ => {}
    }
    let mut text = Vec::with_capacity(256 + 32 * fields.len());
    let line = [request.method().as_str().as_bytes(), b" ", target.as_bytes(), b" HTTP/1.1\r\n"];
    line.iter().for_each(|part| text.extend_from_slice(part));
    if let Some(authority) = authority {
        put(&mut text, &header::HOST, &[authority]);
    }
    for (name, value) in fields {
        let value = value.as_bytes();
        if matches!(value, [b' ' | b'\t', ..] | [.., b' ' | b'\t']) {
            return Err(Malformed::Stream("white space around a field value"));
        }
        match *name {
            header::HOST if authority.is_some() => {}
            // Pieces of one field (RFC 9113, section 8.2.3): they follow below.
            header::COOKIE => {}
            header::TRANSFER_ENCODING | header::CONNECTION | header::UPGRADE => {
                return Err(Malformed::Stream("connection-specific field"));
            }
            _ => put(&mut text, name, &[value]),
        }
    }
    let mut crumbs = Vec::new();
    for crumb in fields.get_all(header::COOKIE) {
        if !crumbs.is_empty() {
            crumbs.push(&b"; "[..]);
        }
        crumbs.push(crumb.as_bytes());
    }
    if !crumbs.is_empty() {
        put(&mut text, &header::COOKIE, &crumbs);
    }
    text.extend_from_slice(b"\r\n");
    let head = read_text(&mut text, has_body, rules)?;
    Ok((head, text))
}

/// Reads the text that [`request_head`] has made.
///
/// # Errors
///
/// See [`Malformed`].
pub fn read_text(text: &mut [u8], has_body: bool, rules: &Rules) -> Result<Head, Malformed> {
    let head = h1::read_head(text, rules)?;
    let mut head = head.ok_or(Malformed::Stream("fields that are no fields"))?;
    head.version = Version::Http2;
    head.persistent = true;
    head.upgrade = false;
    if !has_body {
        head.expect_continue = false;
    } else if head.framing == Framing::None {
        // Its length will be known at its end.
        head.framing = Framing::Chunked;
    }
    Ok(head)
}

fn put(text: &mut Vec<u8>, name: &HeaderName, parts: &[&[u8]]) {
    text.extend_from_slice(name.as_str().as_bytes());
    text.extend_from_slice(b": ");
    parts.iter().for_each(|part| text.extend_from_slice(part));
    text.extend_from_slice(b"\r\n");
}
