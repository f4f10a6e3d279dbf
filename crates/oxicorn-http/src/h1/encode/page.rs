//! The server's own responses: fixed pages, without a byte that the client sent.

use super::{put_decimal, put_field};

/// A whole response of fixed text for a refused request or a failed application: status line,
/// Date, `Connection: close`, Content-Type, Content-Length and a short page without any byte of
/// the request. With `is_head` the page itself is left out.
///
/// A 503 tells the client when to come back, too; `extra` is one more field, if there is one.
pub fn error_page(
    status: u16,
    is_head: bool,
    date: &[u8],
    server: Option<&[u8]>,
    extra: Option<(&[u8], &[u8])>,
    out: &mut Vec<u8>,
) {
    let (reason, text) = wording(status);
    let mut title = Vec::with_capacity(64);
    put_decimal(&mut title, u64::from(status));
    title.push(b' ');
    title.extend_from_slice(reason.as_bytes());
    let mut page = Vec::with_capacity(256);
    for part in [
        b"<!DOCTYPE html>\n<html lang=\"en\">\n<head><title>",
        title.as_slice(),
        b"</title></head>\n<body>\n<h1>",
        &title,
        b"</h1>\n<p>",
        text.as_bytes(),
        b"</p>\n</body>\n</html>\n",
    ] {
        page.extend_from_slice(part);
    }

    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(&title);
    out.extend_from_slice(b"\r\n");
    if let Some(server) = server {
        put_field(out, b"Server", server);
    }
    put_field(out, b"Date", date);
    if let Some((name, value)) = extra {
        put_field(out, name, value);
    }
    put_field(out, b"Connection", b"close");
    if status == 503 {
        put_field(out, b"Retry-After", b"1");
    }
    put_field(out, b"Content-Type", b"text/html; charset=utf-8");
    out.extend_from_slice(b"Content-Length: ");
    put_decimal(out, page.len() as u64);
    out.extend_from_slice(b"\r\n\r\n");
    if !is_head {
        out.extend_from_slice(&page);
    }
}

/// Reason phrase and one sentence for a person.
fn wording(status: u16) -> (&'static str, &'static str) {
    match status {
        400 => ("Bad Request", "The request is not valid HTTP."),
        403 => ("Forbidden", "The request is not permitted."),
        404 => ("Not Found", "There is nothing here."),
        405 => ("Method Not Allowed", "The method is not permitted here."),
        408 => ("Request Timeout", "The request took too long to arrive."),
        413 => ("Content Too Large", "The body of the request is too large."),
        414 => ("URI Too Long", "The address is too long."),
        417 => ("Expectation Failed", "The expectation of the request cannot be met."),
        431 => ("Request Header Fields Too Large", "The header of the request is too large."),
        501 => ("Not Implemented", "The server does not support what the request asks for."),
        502 => ("Bad Gateway", "The application gave no valid answer."),
        503 => ("Service Unavailable", "The server is busy. Please try again soon."),
        504 => ("Gateway Timeout", "The application took too long to answer."),
        505 => ("HTTP Version Not Supported", "The version of HTTP is not supported."),
        _ if status < 500 => ("Error", "The request cannot be served."),
        _ => ("Internal Server Error", "The application failed to answer."),
    }
}
