//! What holds for every input: cutting changes nothing, and nothing panics.

mod support;

use oxicorn_http::Rules;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use support::{say_in_pieces, say_slowly, say_under};

/// Pieces of requests, good and bad, that are put together at random.
const PIECES: &[&str] = &[
    "GET / HTTP/1.1\r\n",
    "POST /a?b=c HTTP/1.1\r\n",
    "GET http://h:1/x HTTP/1.1\r\n",
    "OPTIONS * HTTP/1.0\r\n",
    "Host: a\r\n",
    "Host:a:80\r\n",
    "Connection: close\r\n",
    "Connection: keep-alive, Upgrade\r\n",
    "Content-Length: 5\r\n",
    "Content-Length: 05\r\n",
    "Transfer-Encoding: chunked\r\n",
    "Expect: 100-continue\r\n",
    "X-A:\t b \t\r\n",
    "X_A: b\r\n",
    "X-Empty: \r\n",
    "\r\n",
    "\r\n\r\n",
    "hello",
    "5\r\nhello\r\n",
    "5;x=y\r\nhello\r\n",
    "0\r\n\r\n",
    "0\r\nX-T: 1\r\n\r\n",
    "0\r\nHost: a\r\n\r\n",
    "\n",
    "\r",
    " ",
    ":",
    "\0",
    "PRI * HTTP/2.0\r\n",
    "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
];

fn wire() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        20 => select(PIECES).prop_map(|piece| piece.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 1..4),
    ];
    vec(piece, 1..12).prop_map(|pieces| pieces.concat())
}

/// Limits so low that the generated inputs reach them.
fn rules() -> impl Strategy<Value = Rules> {
    (any::<bool>(), 1..40_usize, 0..4_usize, 1..30_usize, 1..120_usize, 0..12_u64).prop_map(
        |(is_default, request_line, fields, field_size, head, body)| {
            let mut rules = Rules::default();
            if !is_default {
                rules.limits.request_line = request_line;
                rules.limits.fields = fields;
                rules.limits.field_size = field_size;
                rules.limits.head = head;
                rules.limits.body = body;
                rules.limits.chunk_extension = fields;
                rules.limits.trailers = field_size;
                rules.limits.trailer_fields = fields;
            }
            rules
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn cutting_the_input_changes_nothing(
        wire in wire(), rules in rules(), cuts in vec(any::<prop::sample::Index>(), 0..6),
    ) {
        let whole = say_under(&rules, &wire);
        prop_assert_eq!(&say_slowly(&rules, &wire), &whole);
        let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(wire.len() + 1)).collect();
        cuts.sort_unstable();
        prop_assert_eq!(&say_in_pieces(&rules, &wire, &cuts), &whole);
    }

    #[test]
    fn arbitrary_bytes_do_not_panic(wire in vec(any::<u8>(), 0..300)) {
        let whole = say_under(&Rules::default(), &wire);
        prop_assert_eq!(say_slowly(&Rules::default(), &wire), whole);
    }
}
