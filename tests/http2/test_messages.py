"""RFC 9113, section 8: which requests are malformed, and which are as in HTTP/1."""

from __future__ import annotations

import json

import pytest

from support.conformance import (
    Cases,
)
from support.http2 import (
    PROTOCOL_ERROR,
    fields,
)

CASES = Cases()
case, malformed = CASES.add, CASES.malformed

# 8.1: messages

case("8.1", "trailers without END_STREAM", connection=(PROTOCOL_ERROR,), stream=(PROTOCOL_ERROR,))(
    lambda p: (
        p.headers(fields("/", "POST"), end=False),
        p.data(1, b"x"),
        p.headers([("x", "y")], end=False, stream=1),
    )
)
# Malformed by the letter; as no trailers reach anybody, these need not be told from others.
case("8.1", "a pseudo-header field in trailers is left out with them")(
    lambda p: (
        p.headers(fields("/", "POST"), end=False),
        p.data(1, b"x"),
        p.headers([(":method", "GET")], stream=1),
    )
)

case("8.1", "trailers")(
    lambda p: (
        p.headers(fields("/", "POST"), end=False),
        p.data(1, b"x"),
        p.headers([("x", "y")], stream=1),
    )
)
for name, field in {
    "a name in upper case": ("X", "y"),
    "a field of connections": ("connection", "close"),
    "a value with a line end": ("x", "a\nb"),
}.items():
    case("8.1", f"{name} in trailers", connection=(PROTOCOL_ERROR,), stream=(PROTOCOL_ERROR,))(
        lambda p, field=field: (
            p.headers(fields("/", "POST"), end=False),
            p.data(1, b"x"),
            p.headers([field], stream=1),
        )
    )

# 8.2: fields

malformed("8.2.1", "a name in upper case", fields(more=[("X-Upper", "1")]))
malformed("8.2.1", "a name with a space", fields(more=[("x y", "1")]))
malformed("8.2.1", "an empty name", fields(more=[("", "1")]))
malformed("8.2.1", "a value with a line end", fields(more=[("x", "a\r\nhost: b")]))
malformed("8.2.1", "a value with NUL", fields(more=[("x", "a\0b")]))
malformed("8.2.1", "a value that begins with a space", fields(more=[("x", " a")]))
malformed("8.2.1", "a value that ends with a tab", fields(more=[("x", "a\t")]))
for name in ("connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"):
    malformed("8.2.2", f"the field {name}", fields(more=[(name, "close")]))
malformed("8.2.2", "te other than trailers", fields(more=[("te", "gzip")]))
case("8.2.2", "te: trailers is fine")(lambda p: p.get("/", ("te", "trailers")))

# 8.3: pseudo-header fields

malformed("8.3", "an unknown pseudo-header field", fields(more=[(":unknown", "1")]))
malformed("8.3", "a pseudo-header field of responses", fields(more=[(":status", "200")]))
malformed("8.3", "a pseudo-header field after others", [*fields()[:2], ("x", "y"), *fields()[2:]])
for missing in (":method", ":scheme", ":path"):
    malformed("8.3.1", f"no {missing}", [pair for pair in fields() if pair[0] != missing])
for name, value in fields():
    malformed("8.3.1", f"{name} twice", [(name, value), *fields()])
malformed("8.3.1", "an empty path", fields(""))
malformed("8.1.1", "a length that is wrong", fields("/", "POST", more=[("content-length", "1")]))
malformed(
    "8.1.1",
    "two lengths",
    fields("/", "POST", more=[("content-length", "0"), ("content-length", "1")]),
)
for method in ("", "G E T", "GET\n", "G:T"):
    malformed("8.3.1", f"the method {method!r}", fields("/", method))
for path in ("/a b", "/a\tb", "/a\rb", "/a\0b", "/a\x7fb"):
    malformed("8.3.1", f"the path {path!r}", fields(path))
for authority in ("a b", "a\0b", "a,b@c d", "[::1"):
    malformed("8.3.1", f"the authority {authority!r}", fields(authority=authority))
malformed(
    "8.3.1",
    "a scheme that is none",
    [(":scheme", "ht tp"), *(f for f in fields() if f[0] != ":scheme")],
)
for name, pieces in {"less": [b"x"], "more": [b"xx", b"xx"], "nothing": [b""]}.items():
    case(
        "8.1.1",
        f"{name} than the length says, in pieces",
        connection=(PROTOCOL_ERROR,),
        stream=(PROTOCOL_ERROR,),
    )(
        lambda p, pieces=pieces: (
            p.headers(fields("/", "POST", more=[("content-length", "3")]), end=False),
            [p.data(1, piece) for piece in pieces[:-1]],
            p.data(1, pieces[-1], end=True),
        )
    )
case(
    "8.1.1",
    "less than the length says, and trailers",
    connection=(PROTOCOL_ERROR,),
    stream=(PROTOCOL_ERROR,),
)(
    lambda p: (
        p.headers(fields("/", "POST", more=[("content-length", "3")]), end=False),
        p.data(1, b"x"),
        p.headers([("x", "y")], stream=1),
    )
)
for length in ("-1", "+1", "1x", "1, 1"):
    malformed("8.1.1", f"the length {length!r}", fields(more=[("content-length", length)]))
malformed("8.2.2", "te: trailers and more", fields(more=[("te", "trailers, gzip")]))
malformed(
    "8.5", "CONNECT with a scheme", [(":method", "CONNECT"), (":authority", "a"), (":scheme", "a")]
)
malformed("8.5", "CONNECT with a path", fields("/", "CONNECT"))

case(
    "8.5",
    "an extended CONNECT was not offered",
    connection=(PROTOCOL_ERROR,),
    stream=(PROTOCOL_ERROR,),
)(lambda p: p.headers([*fields("/", "CONNECT"), (":protocol", "websocket")]))


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module("sleepy", "--http2-cleartext", "prior-knowledge", "--threads", "2")


@pytest.fixture(scope="module")
def mirror(serve_module):
    return serve_module("mirror", "--http2-cleartext", "prior-knowledge")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_rules(server, dial2, case):
    case.holds(dial2(server))


def test_authority_and_host_that_differ_are_refused(mirror, dial2):
    """8.3.1"""
    peer = dial2(mirror)
    assert peer.response(peer.get("/", ("host", "b.example"))).status == 400
    assert peer.response(peer.get("/", ("host", "a.example"))).status == 200
    assert peer.response(peer.get("/", authority="user@a.example")).status == 400
    assert peer.response(peer.get("/", authority=None)).status == 400


TARGETS = (
    "/", "//a", "/a//b/../c", "/?", "/?a?b", "/a;b=c", "/%41%2f", "/%", "/%zz", "/%00",
    "/a\"b", "/a<b>", "/a\\b", "/a^b", "/a`b", "/a{b}", "/a|b", "/\xe9", "/~a!$&'()*+,;=:@",
    "nothing", "?a", "http://a.example/", "ftp://a.example/", "a.example:80", "*", "/" + "a" * 9000,
)  # fmt: skip


@pytest.mark.parametrize("target", TARGETS, ids=lambda target: target[:20])
def test_targets_are_those_of_http1(mirror, dial, dial2, target):
    """8.3.1: `:path` is what a request line has there, but never a whole URL."""
    peer = dial2(mirror)
    stream = peer.get(target.encode("latin-1"))
    response = peer.stream(stream)
    while not response.is_over and response.reset is None and peer.step():
        pass
    plain = dial(mirror)
    plain.send(b"GET " + target.encode("latin-1") + b" HTTP/1.1\r\nHost: a.example\r\n\r\n")
    expected = plain.response()
    if target in ("http://a.example/", "/\xe9", "/a<b>", "/a`b") or expected.status != 200:
        # What cannot be a path of a URI is no request of HTTP/2 at all.
        is_refused = response.status in (400, expected.status) and response.status != 200
        assert is_refused or PROTOCOL_ERROR in (response.reset, peer.goaway)
    else:
        assert response.status == 200
        told, wanted = json.loads(response.body), json.loads(expected.body)
        assert [told[name] for name in ("path", "query")] == [
            wanted[name] for name in ("path", "query")
        ]


def test_a_fragment_reaches_nobody(mirror, dial2):
    """8.3.1, RFC 3986, section 3.5: `h2` cuts it off, where HTTP/1 refuses it."""
    peer = dial2(mirror)
    told = json.loads(peer.response(peer.get("/a?b#c?d")).body)
    assert (told["path"], told["query"]) == ("/a", "b")
    assert "#" not in json.dumps(told)


def test_other_targets(mirror, dial2):
    """8.3.1, 8.5"""
    peer = dial2(mirror)
    response = peer.response(peer.get("*", method="OPTIONS"))
    assert json.loads(response.body)["path"] == "*"
    for more in ([], [(":authority", "a.example:443")]):
        assert peer.response(peer.headers([(":method", "CONNECT"), *more])).status == 501


def test_the_scheme_is_that_of_the_connection(mirror, dial2):
    """8.3.1 lets a proxy say what it was asked for; other fields of it count (`proxy`)."""
    peer = dial2(mirror)
    pairs = [(":scheme", "https"), *(pair for pair in fields() if pair[0] != ":scheme")]
    assert json.loads(peer.response(peer.headers(pairs)).body)["scheme"] == "http"


def test_an_empty_length_is_refused_as_in_http1(mirror, dial2):
    """8.1.1"""
    peer = dial2(mirror)
    assert peer.response(peer.get("/", ("content-length", ""))).status == 400
