//! Responses: what the application may send, how its body is framed, when the connection stays.

use oxicorn_http::Version;
use oxicorn_http::h1::encode::{
    BadResponse, BodyFraming, BodyWriter, RequestFacts, ResponseHead, early_hints, error_page,
};
use proptest::collection::vec;
use proptest::prelude::*;

const DATE: &[u8] = b"Thu, 01 Jan 1970 00:00:00 GMT";
const GET: RequestFacts =
    RequestFacts { version: Version::Http11, is_head: false, persistent: true };
const HEAD: RequestFacts = RequestFacts { is_head: true, ..GET };
const HTTP10: RequestFacts = RequestFacts { version: Version::Http10, ..GET };

/// A response head as the client gets it, with how the body is framed and the connection goes on.
fn answer(
    request: RequestFacts,
    status: &str,
    fields: &[(&str, &str)],
    known_length: Option<u64>,
) -> (String, BodyFraming, bool) {
    let mut head = ResponseHead::default();
    head.begin(request.version, status.as_bytes()).expect("a good status");
    for (name, value) in fields {
        head.field(name.as_bytes(), value.as_bytes()).expect("a good field");
    }
    let (framing, persistent) = head.finish(request, known_length, DATE, Some(b"oxicorn"));
    let text = String::from_utf8(head.buffer().clone()).expect("text");
    (text, framing, persistent)
}

fn field(name: &[u8], value: &[u8]) -> Result<(), BadResponse> {
    let mut head = ResponseHead::default();
    head.begin(Version::Http11, b"200 OK").expect("a good status");
    let len = head.buffer().len();
    let result = head.field(name, value);
    assert!(result.is_ok() || head.buffer().len() == len, "part of a refused field was written");
    result
}

#[test]
fn head_has_the_fields_in_order_then_the_servers() {
    let fields = [("Set-Cookie", "a=1"), ("X-CASE", "kept"), ("Set-Cookie", "b=2")];
    let (text, framing, persistent) = answer(GET, "200 Fine by me", &fields, Some(5));
    assert_eq!(
        text,
        "HTTP/1.1 200 Fine by me\r\nSet-Cookie: a=1\r\nX-CASE: kept\r\nSet-Cookie: b=2\r\n\
         Server: oxicorn\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 5\r\n\r\n"
    );
    assert_eq!((framing, persistent), (BodyFraming::Length(5), true));
}

#[test]
fn server_and_date_of_the_application_win() {
    let (text, ..) = answer(GET, "200 OK", &[("server", "mine"), ("DATE", "today")], Some(0));
    assert_eq!(text, "HTTP/1.1 200 OK\r\nserver: mine\r\nDATE: today\r\nContent-Length: 0\r\n\r\n");
}

#[test]
fn body_without_length_is_chunked_in_1_1_and_ends_the_connection_in_1_0() {
    let (text, framing, persistent) = answer(GET, "200 OK", &[], None);
    assert!(text.ends_with("Transfer-Encoding: chunked\r\n\r\n"));
    assert_eq!((framing, persistent), (BodyFraming::Chunked, true));
    let (text, framing, persistent) = answer(HTTP10, "200 OK", &[], None);
    assert!(text.starts_with("HTTP/1.0 200 OK\r\n") && text.contains("Connection: close\r\n"));
    assert!(!text.contains("Transfer-Encoding"));
    assert_eq!((framing, persistent), (BodyFraming::UntilClose, false));
}

#[test]
fn persistent_http_1_0_is_told_so() {
    let (text, framing, persistent) = answer(HTTP10, "200 OK", &[], Some(2));
    assert!(text.contains("Connection: keep-alive\r\n"));
    assert_eq!((framing, persistent), (BodyFraming::Length(2), true));
}

#[test]
fn close_of_request_or_application_is_honoured_and_said_once() {
    let closing = RequestFacts { persistent: false, ..GET };
    for (request, fields) in [(closing, &[][..]), (GET, &[("Connection", "x, Close")][..])] {
        let (text, _, persistent) = answer(request, "200 OK", fields, Some(0));
        assert_eq!(text.matches("Connection: close\r\n").count(), 1);
        assert!(!persistent);
    }
}

#[test]
fn hop_by_hop_fields_are_left_out_and_noticed() {
    for name in ["Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "proxy-connection"]
    {
        let mut head = ResponseHead::default();
        head.begin(Version::Http11, b"200 OK").expect("a good status");
        assert_eq!(head.field(name.as_bytes(), b"chunked"), Ok(()));
        assert!(head.dropped_fields(), "{name}");
        head.finish(GET, Some(1), DATE, None);
        let text = String::from_utf8(head.buffer().clone()).expect("text");
        assert!(!text.contains(name), "{name}");
        // Starting over forgets it.
        head.begin(Version::Http11, b"200 OK").expect("a good status");
        assert!(!head.dropped_fields());
    }
}

#[test]
fn no_content_has_no_framing_field() {
    let (text, framing, persistent) =
        answer(GET, "204 No Content", &[("Content-Length", "0")], Some(0));
    assert!(!text.contains("Content-Length") && !text.contains("Transfer-Encoding"));
    assert_eq!((framing, persistent), (BodyFraming::None, true));
}

#[test]
fn not_modified_keeps_the_length_of_the_application_only() {
    let (text, framing, _) = answer(GET, "304 Not Modified", &[("Content-Length", "7")], None);
    assert!(text.contains("Content-Length: 7\r\n"));
    assert_eq!(framing, BodyFraming::None);
    let (text, ..) = answer(GET, "304 Not Modified", &[], Some(0));
    assert!(!text.contains("Content-Length"));
}

#[test]
fn head_has_the_length_that_get_would_have_but_no_guess() {
    let (text, framing, persistent) = answer(HEAD, "200 OK", &[("Content-Length", "7")], Some(0));
    assert!(text.contains("Content-Length: 7\r\n"));
    assert_eq!((framing, persistent), (BodyFraming::None, true));
    assert!(answer(HEAD, "200 OK", &[], Some(5)).0.contains("Content-Length: 5\r\n"));
    for known_length in [None, Some(0)] {
        let (text, ..) = answer(HEAD, "200 OK", &[], known_length);
        assert!(!text.contains("Content-Length") && !text.contains("Transfer-Encoding"));
    }
}

#[test]
fn malformed_status_is_refused() {
    let begin = |status: &[u8]| ResponseHead::default().begin(Version::Http11, status);
    for status in ["", "200", "200OK", "20 OK", "2000 OK", "x00 OK", " 200 OK", "000 A", "600 A"] {
        assert_eq!(begin(status.as_bytes()), Err(BadResponse::Status), "{status}");
    }
    assert_eq!(begin(b"200 OK\r\nX-Injected: 1"), Err(BadResponse::Status));
    assert_eq!(begin(b"200 \0"), Err(BadResponse::Status));
    assert_eq!(begin(b"100 Continue"), Err(BadResponse::Informational));
    assert_eq!(begin(b"101 Switching Protocols"), Err(BadResponse::Informational));
    assert_eq!(begin(b"200 "), Ok(()));
    assert_eq!(begin(b"599 caf\xe9\t!"), Ok(()));
}

#[test]
fn malformed_field_is_refused() {
    for name in [&b""[..], b"X A", b"X:", b"X\r\n", b"X\0", b"caf\xe9"] {
        assert_eq!(field(name, b"a"), Err(BadResponse::FieldName), "{name:?}");
    }
    for value in [&b"a\r\nX-Injected: 1"[..], b"a\n", b"\r", b"\0", b"\x7f", b"\x1b"] {
        assert_eq!(field(b"X-A", value), Err(BadResponse::FieldValue), "{value:?}");
        assert_eq!(field(b"Upgrade", value), Err(BadResponse::FieldValue), "{value:?}");
    }
    assert_eq!(field(b"X-A", b"a\tb caf\xe9"), Ok(()));
    assert_eq!(field(b"X-A", b""), Ok(()));
}

#[test]
fn content_length_is_digits_and_given_once() {
    for value in ["", "+5", "-1", " 5", "5 ", "0x5", "5, 5", "99999999999999999999", "5.0"] {
        let refused = Err(BadResponse::ContentLength);
        assert_eq!(field(b"Content-Length", value.as_bytes()), refused, "{value}");
    }
    let mut head = ResponseHead::default();
    head.begin(Version::Http11, b"200 OK").expect("a good status");
    assert_eq!(head.field(b"content-length", b"05"), Ok(()));
    assert_eq!(head.content_length(), Some(5));
    assert_eq!(head.field(b"Content-Length", b"5"), Err(BadResponse::ContentLength));
}

/// What goes out for these pieces, and whether the body was whole.
fn body(framing: BodyFraming, pieces: &[&str]) -> (String, bool) {
    let mut writer = BodyWriter::new(framing);
    let mut out = Vec::new();
    for piece in pieces {
        let allowed = writer.allowed(piece.len() as u64);
        writer.before(allowed, &mut out);
        out.extend_from_slice(&piece.as_bytes()[..allowed as usize]);
        writer.after(&mut out);
    }
    let whole = writer.finish(&mut out);
    assert!(writer.finish(&mut Vec::new()) == whole, "finishing twice changes nothing");
    (String::from_utf8(out).expect("text"), whole)
}

#[test]
fn chunks_are_framed_and_empty_pieces_send_nothing() {
    let long = "x".repeat(26);
    let (out, whole) = body(BodyFraming::Chunked, &["hello", "", &long]);
    assert_eq!(out, format!("5\r\nhello\r\n1a\r\n{long}\r\n0\r\n\r\n"));
    assert!(whole);
    assert_eq!(body(BodyFraming::Chunked, &[]), ("0\r\n\r\n".to_owned(), true));
}

#[test]
fn no_more_than_content_length_goes_out() {
    assert_eq!(body(BodyFraming::Length(7), &["hello", "world"]), ("hellowo".to_owned(), true));
}

#[test]
fn fewer_bytes_than_content_length_are_noticed() {
    assert_eq!(body(BodyFraming::Length(7), &["hello"]), ("hello".to_owned(), false));
}

#[test]
fn response_without_body_sends_none() {
    assert_eq!(body(BodyFraming::None, &["hello"]), (String::new(), true));
}

#[test]
fn error_pages_are_whole_responses_that_close() {
    for status in [400, 403, 404, 408, 413, 414, 417, 431, 500, 501, 503, 504, 505, 499, 599] {
        let mut out = Vec::new();
        error_page(status, false, DATE, Some(b"oxicorn"), None, &mut out);
        let text = String::from_utf8(out).expect("text");
        let (head, page) = text.split_once("\r\n\r\n").expect("a head and a page");
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
        assert!(head.contains("\r\nConnection: close\r\n"));
        assert!(head.ends_with(&format!("Content-Length: {}", page.len())));
        assert_eq!(head.contains("Retry-After"), status == 503);
        let mut out = Vec::new();
        error_page(status, true, DATE, Some(b"oxicorn"), None, &mut out);
        assert_eq!(String::from_utf8(out).expect("text"), format!("{head}\r\n\r\n"));
        let mut out = Vec::new();
        error_page(status, true, DATE, None, Some((b"X-Id", b"7")), &mut out);
        assert!(String::from_utf8(out).expect("text").contains("\r\nX-Id: 7\r\n"));
    }
}

#[test]
fn early_hints_are_one_interim_response_or_nothing() {
    let mut out = Vec::new();
    let hints: [(&[u8], &[u8]); 2] = [(b"Link", b"</a>"), (b"Content-Length", b"5")];
    assert_eq!(early_hints(&hints, &mut out), Ok(()));
    assert_eq!(out, b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    let bad: [(&[u8], &[u8]); 2] = [(b"Link", b"</a>"), (b"Link", b"\r\n")];
    assert_eq!(early_hints(&bad, &mut Vec::new()), Err(BadResponse::FieldValue));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_was_accepted_reads_back_exactly(
        fields in vec(("X-[a-z]{1,9}", vec(any::<u8>(), 0..20)), 0..8),
        known_length in any::<Option<u64>>(),
    ) {
        let mut head = ResponseHead::default();
        head.begin(Version::Http11, b"200 OK").expect("a good status");
        let accepted: Vec<_> = fields
            .iter()
            .filter(|(name, value)| head.field(name.as_bytes(), value).is_ok())
            .collect();
        head.finish(GET, known_length, DATE, None);
        let out = head.buffer().clone();
        prop_assert!(!out.contains(&0));
        let lines: Vec<&[u8]> = out.split(|&b| b == b'\n').collect();
        prop_assert_eq!(lines.len(), accepted.len() + 5, "a line that nobody gave");
        for (line, (name, value)) in lines[1..].iter().zip(&accepted) {
            let meant = [name.as_bytes(), b": ", value, b"\r"].concat();
            prop_assert_eq!(*line, &meant[..]);
        }
    }
}
