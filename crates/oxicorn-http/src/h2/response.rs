//! From the head of a response as HTTP/1 writes it to status and fields.

use http::{HeaderName, HeaderValue, Response, StatusCode};

/// A head.
pub(super) enum Fields {
    /// 1xx: another one follows.
    Interim(Response<()>),
    /// The head of the response.
    Final(Response<()>),
}

/// Reads a head of ours, with or without the empty line at its end. What speaks of the connection is
/// left out (RFC 9113, section 8.2.2).
pub(super) fn parse(head: &[u8]) -> Option<Fields> {
    let mut lines = head.split(|octet| *octet == b'\n').map(<[u8]>::trim_ascii_end);
    let status = lines.next()?.splitn(3, |octet| *octet == b' ').nth(1)?;
    let status = StatusCode::from_bytes(status).ok()?;
    let mut response = Response::new(());
    *response.status_mut() = status;
    for line in lines.filter(|line| !line.is_empty()) {
        let colon = line.iter().position(|octet| *octet == b':')?;
        let (name, value) = line.split_at(colon);
        let name = HeaderName::from_bytes(name).ok()?;
        if is_of_connection(&name) {
            continue;
        }
        let value = value.get(1..)?.trim_ascii_start();
        response.headers_mut().append(name, HeaderValue::from_bytes(value).ok()?);
    }
    Some(if status.is_informational() {
        Fields::Interim(response)
    } else {
        Fields::Final(response)
    })
}

fn is_of_connection(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection" | "keep-alive" | "proxy-connection" | "transfer-encoding" | "upgrade"
    )
}
