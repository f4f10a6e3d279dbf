"""RFC 9113, sections 3 to 8, frame by frame: what a client may not do, and what comes of it.

Each case sends frames on a fresh connection and says what must follow: the connection ends with one
of these codes, the stream is reset with one of them, or all goes on.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from support.http2 import (
    COMPRESSION_ERROR,
    FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR,
    PREFACE,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    STREAM_CLOSED,
    Http2Peer,
    fields,
)

DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
# A more general code is permitted where one is enough (section 5.4).
SIZE = (FRAME_SIZE_ERROR, PROTOCOL_ERROR)
COMPRESSION = (COMPRESSION_ERROR, PROTOCOL_ERROR)
# A stream that no case uses.
UNUSED = 101
END_STREAM, END_HEADERS, PADDED, WITH_PRIORITY, ACK = 1, 4, 8, 0x20, 1


@dataclass
class Case:
    section: str
    rule: str
    act: Callable[[Http2Peer], object]
    connection: tuple[int, ...] = ()
    """Codes with which the connection may end."""
    stream: tuple[int, ...] = ()
    """Codes with which stream 1 may be reset instead."""


CASES: list[Case] = []


def case(section: str, rule: str, *, connection=(), stream=()):
    def add(act: Callable[[Http2Peer], object]) -> Callable[[Http2Peer], object]:
        CASES.append(Case(section, rule, act, connection, stream))
        return act

    return add


def block(peer: Http2Peer, *more, path: str = "/", method: str = "GET") -> bytes:
    return peer.encoder.encode(fields(path, method, more=more))


def setting(number: int, value: int) -> bytes:
    return number.to_bytes(2, "big") + value.to_bytes(4, "big")


def malformed(section: str, rule: str, pairs: list[tuple[str, str]]) -> None:
    case(section, rule, connection=(PROTOCOL_ERROR,), stream=(PROTOCOL_ERROR,))(
        lambda peer: peer.headers(pairs)
    )


# 4.1, 4.2: frames

case("4.1", "a frame of an unknown type is ignored")(lambda p: p.raw_frame(0x16, 0, 0, b"12345678"))
case("4.1", "flags that mean nothing are ignored")(lambda p: p.raw_frame(PING, 0x16, 0, bytes(8)))
case("4.1", "the reserved bit is ignored")(lambda p: p.raw_frame(PING, 0, 1 << 31, bytes(8)))
case("4.2", "DATA above the frame size", connection=SIZE, stream=SIZE)(
    lambda p: (p.headers(fields("/", "POST"), end=False), p.raw_frame(DATA, 1, 1, bytes(16385)))
)
case("4.2", "HEADERS above the frame size", connection=SIZE)(
    lambda p: p.raw_frame(HEADERS, 5, 1, block(p, ("x", "y" * 30000)) + bytes(20000))
)

# 4.3: field blocks

case("4.3", "a field block that cannot be read", connection=COMPRESSION)(
    lambda p: p.raw_frame(HEADERS, 5, 1, b"\x40")
)
case("4.3", "an index that is not there", connection=COMPRESSION)(
    lambda p: p.raw_frame(HEADERS, 5, 1, block(p) + b"\xff\xff\xff\xff\x00")
)
case("4.3", "PRIORITY inside a field block", connection=(PROTOCOL_ERROR,))(
    lambda p: (p.raw_frame(HEADERS, 1, 1, block(p)), p.raw_frame(PRIORITY, 0, 1, bytes(5)))
)
case("4.3", "HEADERS of another stream inside a field block", connection=(PROTOCOL_ERROR,))(
    lambda p: (p.raw_frame(HEADERS, 1, 1, block(p)), p.raw_frame(HEADERS, 5, 3, block(p)))
)

# 5.1: states of streams

case("5.1", "DATA on an idle stream", connection=(PROTOCOL_ERROR,))(lambda p: p.data(1, b"x"))
case("5.1", "RST_STREAM on an idle stream", connection=(PROTOCOL_ERROR,))(lambda p: p.reset(1))
case("5.1", "WINDOW_UPDATE on an idle stream", connection=(PROTOCOL_ERROR,))(
    lambda p: p.window(1, 1)
)
case("5.1", "CONTINUATION on an idle stream", connection=(PROTOCOL_ERROR,))(
    lambda p: p.raw_frame(CONTINUATION, 4, 1, block(p))
)
case("5.1", "PRIORITY on an idle stream is fine")(lambda p: p.raw_frame(PRIORITY, 0, 9, bytes(5)))
case(
    "5.1",
    "DATA after END_STREAM",
    connection=(STREAM_CLOSED, PROTOCOL_ERROR),
    stream=(STREAM_CLOSED,),
)(lambda p: (p.get("/600"), p.data(1, b"x")))
case(
    "5.1",
    "HEADERS after END_STREAM",
    connection=(STREAM_CLOSED, PROTOCOL_ERROR),
    stream=(STREAM_CLOSED,),
)(lambda p: (p.get("/600"), p.headers(fields(), stream=1)))
case("5.1", "DATA after RST_STREAM", connection=(STREAM_CLOSED,), stream=(STREAM_CLOSED,))(
    lambda p: (p.headers(fields("/", "POST"), end=False), p.reset(1), p.data(1, b"x"))
)
case(
    "5.1",
    "HEADERS after RST_STREAM",
    connection=(STREAM_CLOSED, PROTOCOL_ERROR),
    stream=(STREAM_CLOSED,),
)(lambda p: (p.headers(fields("/", "POST"), end=False), p.reset(1), p.headers(fields(), stream=1)))
case("5.1.1", "a stream with an even number", connection=(PROTOCOL_ERROR,))(
    lambda p: p.headers(fields(), stream=2)
)
case("5.1.1", "a stream with a lower number", connection=(PROTOCOL_ERROR, STREAM_CLOSED))(
    lambda p: (p.headers(fields(), stream=5), p.headers(fields(), stream=3))
)

# 5.3: priorities, which count for nothing

case("5.3", "a priority in HEADERS is ignored")(
    lambda p: p.raw_frame(HEADERS, 5 | WITH_PRIORITY, 1, bytes([0, 0, 0, 0, 9]) + block(p))
)

# 6.1: DATA

case("6.1", "DATA on stream 0", connection=(PROTOCOL_ERROR,))(
    lambda p: p.raw_frame(DATA, 1, 0, b"x")
)
case("6.1", "padding longer than the frame", connection=(PROTOCOL_ERROR,))(
    lambda p: (p.headers(fields("/", "POST"), end=False), p.raw_frame(DATA, 9, 1, b"\x09abc"))
)
case("6.1", "padding counts for nothing but the window")(
    lambda p: (p.headers(fields("/", "POST"), end=False), p.raw_frame(DATA, 9, 1, b"\x02abc\0\0"))
)

# 6.2: HEADERS

case("6.2", "HEADERS on stream 0", connection=(PROTOCOL_ERROR,))(
    lambda p: p.raw_frame(HEADERS, 5, 0, block(p))
)
case("6.2", "padding longer than HEADERS", connection=(PROTOCOL_ERROR,))(
    lambda p: p.raw_frame(HEADERS, 5 | PADDED, 1, b"\xff" + block(p))
)
case("6.2", "a head in pieces")(
    lambda p: (
        (whole := block(p)),
        p.raw_frame(HEADERS, END_STREAM, 1, whole[:3]),
        p.raw_frame(CONTINUATION, 0, 1, whole[3:5]),
        p.raw_frame(CONTINUATION, END_HEADERS, 1, whole[5:]),
    )
)

# 6.3: PRIORITY

case("6.3", "PRIORITY on stream 0", connection=(PROTOCOL_ERROR,))(
    lambda p: p.raw_frame(PRIORITY, 0, 0, bytes(5))
)
case("6.3", "PRIORITY of a wrong size", connection=SIZE, stream=SIZE)(
    lambda p: (p.get("/600"), p.raw_frame(PRIORITY, 0, 1, bytes(4)))
)

# 6.4: RST_STREAM

case("6.4", "RST_STREAM on stream 0", connection=(PROTOCOL_ERROR,))(
    lambda p: p.raw_frame(RST, 0, 0, bytes(4))
)
case("6.4", "RST_STREAM of a wrong size", connection=SIZE)(
    lambda p: (p.get("/600"), p.raw_frame(RST, 0, 1, bytes(3)))
)

# 6.5: SETTINGS

case("6.5", "SETTINGS with ACK and content", connection=SIZE)(
    lambda p: p.raw_frame(SETTINGS, ACK, 0, setting(3, 1))
)
case("6.5", "SETTINGS on a stream", connection=(PROTOCOL_ERROR,))(
    lambda p: p.raw_frame(SETTINGS, 0, 1, b"")
)
case("6.5", "SETTINGS of a wrong size", connection=SIZE)(
    lambda p: p.raw_frame(SETTINGS, 0, 0, b"12345")
)
case("6.5.2", "ENABLE_PUSH that is neither 0 nor 1", connection=(PROTOCOL_ERROR,))(
    lambda p: p.raw_frame(SETTINGS, 0, 0, setting(2, 2))
)
case("6.5.2", "a window above the most", connection=(FLOW_CONTROL_ERROR, PROTOCOL_ERROR))(
    lambda p: p.raw_frame(SETTINGS, 0, 0, setting(4, 1 << 31))
)
case("6.5.2", "a frame size below the least", connection=(PROTOCOL_ERROR,))(
    lambda p: p.raw_frame(SETTINGS, 0, 0, setting(5, 16383))
)
case("6.5.2", "a frame size above the most", connection=(PROTOCOL_ERROR,))(
    lambda p: p.raw_frame(SETTINGS, 0, 0, setting(5, 1 << 24))
)
case("6.5.2", "an unknown setting is ignored")(
    lambda p: p.raw_frame(SETTINGS, 0, 0, setting(99, 1))
)

# 6.6: PUSH_PROMISE

case("6.6", "a client cannot push", connection=(PROTOCOL_ERROR,))(
    lambda p: (p.get("/600"), p.raw_frame(PUSH, 4, 1, bytes([0, 0, 0, 2]) + block(p)))
)

# 6.7: PING

case("6.7", "PING on a stream", connection=(PROTOCOL_ERROR,))(
    lambda p: p.raw_frame(PING, 0, 1, bytes(8))
)
case("6.7", "PING of a wrong size", connection=SIZE)(lambda p: p.raw_frame(PING, 0, 0, bytes(7)))
case("6.7", "an answer that nobody asked for is ignored")(
    lambda p: p.raw_frame(PING, ACK, 0, bytes(8))
)

# 6.8: GOAWAY

case("6.8", "GOAWAY on a stream", connection=(PROTOCOL_ERROR,))(
    lambda p: p.raw_frame(GOAWAY, 0, 1, bytes(8))
)

# 6.9: WINDOW_UPDATE

case("6.9", "a connection's window by 0", connection=(PROTOCOL_ERROR,))(
    lambda p: p.raw_frame(WINDOW, 0, 0, bytes(4))
)
case("6.9", "a stream's window by 0", connection=(PROTOCOL_ERROR,), stream=(PROTOCOL_ERROR,))(
    lambda p: (p.get("/600"), p.raw_frame(WINDOW, 0, 1, bytes(4)))
)
case("6.9", "WINDOW_UPDATE of a wrong size", connection=SIZE)(
    lambda p: p.raw_frame(WINDOW, 0, 0, bytes(3))
)
case("6.9.1", "a connection's window above the most", connection=(FLOW_CONTROL_ERROR,))(
    lambda p: (p.window(0, (1 << 31) - 1), p.window(0, (1 << 31) - 1))
)
case(
    "6.9.1", "a stream's window above the most",
    connection=(FLOW_CONTROL_ERROR,), stream=(FLOW_CONTROL_ERROR,),
)(lambda p: (p.get("/600"), p.window(1, (1 << 31) - 1), p.window(1, (1 << 31) - 1)))  # fmt: skip
case(
    "6.9.1", "more than the window permits",
    connection=(FLOW_CONTROL_ERROR,), stream=(FLOW_CONTROL_ERROR,),
)(
    lambda p: (
        p.headers(fields("/", "POST"), end=False),
        [p.data(1, bytes(16384)) for _ in range(200)],
    )
)  # fmt: skip

# 6.10: CONTINUATION

case("6.10", "CONTINUATION on stream 0", connection=(PROTOCOL_ERROR,))(
    lambda p: (p.raw_frame(HEADERS, 1, 1, block(p)), p.raw_frame(CONTINUATION, 4, 0, b""))
)
case("6.10", "CONTINUATION after the end of a head", connection=(PROTOCOL_ERROR,))(
    lambda p: (p.get("/600"), p.raw_frame(CONTINUATION, 4, 1, b""))
)

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


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.section} {case.rule}")
def test_rules(server, dial2, case):
    peer = dial2(server)
    peer.round_trip()
    with peer.at_once():
        case.act(peer)
    stream = peer.stream(1)
    if not case.connection and not case.stream:
        peer.round_trip()
        after = peer.headers(fields("/after"), stream=UNUSED)
        peer.until(lambda: peer.stream(after).is_over or stream.is_over)
        assert peer.goaway is None
        return
    while peer.goaway is None and stream.reset is None and not stream.is_over and peer.step():
        pass
    if peer.goaway is not None and case.connection:
        assert peer.goaway in case.connection
    else:
        assert stream.reset in case.stream, f"neither ended nor reset: {peer.streams}"
        again = peer.headers(fields("/again"), stream=UNUSED)
        assert peer.response(again).status == 200, "only the stream ends"


def test_the_server_begins_with_settings_and_acknowledges_ours(server, dial2):
    """3.4, 6.5.3"""
    peer = dial2(server)
    peer.until(lambda: peer.settings and peer.acks)
    peer.raw_frame(SETTINGS, 0, 0, setting(4, 100))
    peer.until(lambda: peer.acks == 2)


def test_a_ping_is_answered_with_its_content(server, dial2):
    """6.7"""
    peer = dial2(server)
    peer.ping(b"abcdefgh")
    peer.until(lambda: peer.pongs)
    assert peer.pongs == [b"abcdefgh"]


@pytest.mark.parametrize("rest", [b"XX\r\n\r\n", b"SM\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"])
def test_an_invalid_preface_ends_the_connection(server, dial2, rest):
    """3.4"""
    peer = dial2(server, begin=False)
    peer.send(PREFACE[:18] + rest)
    data = b""
    while more := peer.socket.recv(1000):
        data += more
    assert b" 200 " not in data


def test_windows_are_honoured_byte_by_byte(server, dial2):
    """6.9.1, 6.9.2: a window of 1, and one that becomes negative."""
    peer = dial2(server, windows=False)
    peer.raw_frame(SETTINGS, 0, 0, setting(4, 1))
    stream = peer.get("/abcdef")
    peer.until(lambda: peer.stream(stream).body == b"/")
    peer.round_trip()
    assert peer.stream(stream).body == b"/"
    peer.raw_frame(SETTINGS, 0, 0, setting(4, 0))
    peer.window(stream, 1)
    peer.round_trip()
    assert peer.stream(stream).body == b"/"
    peer.window(stream, 3)
    peer.until(lambda: peer.stream(stream).body == b"/abc")
    peer.raw_frame(SETTINGS, 0, 0, setting(4, 100))
    assert peer.response(stream).body == b"/abcdef"


def test_frames_are_no_larger_than_permitted(serve2, dial2):
    """4.2, 6.5.2"""
    peer = dial2(serve2("sized"))
    sizes = []
    take = peer._take

    def taken(frame):
        sizes.append(frame.body_len)
        take(frame)

    peer._take = taken
    assert len(peer.response(peer.get("/200000")).body) == 200_000
    assert max(sizes) <= 16384


def test_a_goaway_of_the_client_lets_answers_come(server, dial2):
    """6.8"""
    peer = dial2(server)
    stream = peer.get("/600")
    peer.raw_frame(GOAWAY, 0, 0, bytes(8))
    assert peer.response(stream).body == b"/600"


def test_authority_and_host_that_differ_are_refused(serve2, dial2):
    """8.3.1"""
    peer = dial2(serve2("mirror"))
    assert peer.response(peer.get("/", ("host", "b.example"))).status == 400
    assert peer.response(peer.get("/", ("host", "a.example"))).status == 200
    assert peer.response(peer.get("/", authority="user@a.example")).status == 400
    assert peer.response(peer.get("/", authority=None)).status == 400


def test_targets_are_those_of_http1(serve2, dial2):
    """8.3.1"""
    peer = dial2(serve2("mirror"))
    for path in ("nothing", "http://a.example/", "*"):
        response = peer.response(peer.get(path))
        assert response.status == 400 or response.reset == PROTOCOL_ERROR
    response = peer.response(peer.get("*", method="OPTIONS"))
    assert json.loads(response.body)["path"] == "*"
    connect = peer.headers([(":method", "CONNECT"), (":authority", "a.example:443")])
    assert peer.response(connect).status == 501


def test_refused_streams_may_be_tried_again(serve2, dial2):
    """5.1.2"""
    peer = dial2(serve2("sleepy", "--http2-max-concurrent-streams", "1"))
    peer.round_trip()
    with peer.at_once():
        first, second = peer.get("/300"), peer.get("/second")
    assert peer.response(second).reset == REFUSED_STREAM
    assert peer.response(first).status == 200
    assert peer.response(peer.get("/second")).body == b"/second"
