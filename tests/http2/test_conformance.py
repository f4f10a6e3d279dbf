"""RFC 9113, sections 3 to 6, frame by frame: what a client may not do, and what comes of it."""

from __future__ import annotations

import pytest

from support.conformance import (
    ACK,
    COMPRESSION,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PLAIN,
    PRIORITY,
    PUSH,
    RST,
    SETTINGS,
    SIZE,
    WINDOW,
    WITH_PRIORITY,
    Cases,
    block,
    setting,
)
from support.http2 import (
    FLOW_CONTROL_ERROR,
    PREFACE,
    PROTOCOL_ERROR,
    REFUSED_STREAM,
    STREAM_CLOSED,
    fields,
)

CASES = Cases()
case, malformed = CASES.add, CASES.malformed

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

case("4.3", "a size of the table above what is permitted", connection=COMPRESSION)(
    # RFC 7541, section 6.3: 4097, where 4096 was never raised.
    lambda p: p.raw_frame(HEADERS, 5, 1, b"\x3f\xe2\x1f" + block(p))
)
case("4.3", "a size of the table after fields", connection=COMPRESSION)(
    # RFC 7541, section 4.2.
    lambda p: p.raw_frame(HEADERS, 5, 1, block(p) + b"\x20")
)
case("4.3", "the index 0", connection=COMPRESSION)(
    lambda p: p.raw_frame(HEADERS, 5, 1, block(p) + b"\x80")
)
case("4.3", "Huffman code with too much padding", connection=COMPRESSION)(
    # RFC 7541, section 5.2: `a` is 5 bits, and the rest of two octets is ones.
    lambda p: p.raw_frame(HEADERS, 5, 1, block(p) + b"\x00\x01x\x82\x1f\xff")
)
case("4.3", "Huffman code padded with zeros", connection=COMPRESSION)(
    lambda p: p.raw_frame(HEADERS, 5, 1, block(p) + b"\x00\x01x\x81\x18")
)
case("4.3", "Huffman code with the end of strings inside", connection=COMPRESSION)(
    lambda p: p.raw_frame(HEADERS, 5, 1, block(p) + b"\x00\x01x\x84\xff\xff\xff\xff")
)
# Every form of a field (RFC 7541, section 6), over the pseudo-header fields of a GET.
for form, octets in {
    "indexed": b"",
    "literal, indexed, with an indexed name": b"\x7a\x01a",
    "literal, indexed": b"\x40\x01x\x01y\xbe",
    "literal, not indexed": b"\x00\x01x\x01y",
    "literal, never indexed": b"\x10\x01x\x01y",
    "literal, Huffman code": b"\x00\x01x\x81\x1f",
}.items():
    case("4.3", f"a field that is {form}")(
        lambda p, octets=octets: p.raw_frame(HEADERS, 5, 1, b"\x82\x86\x84\x41\x01a" + octets)
    )
case("4.3", "two sizes of the table before fields")(
    lambda p: p.raw_frame(HEADERS, 5, 1, b"\x20\x3f\xe1\x1f\x82\x86\x84\x41\x01a")
)
case("4.3", "an unknown frame inside a field block", connection=(PROTOCOL_ERROR,))(
    lambda p: (p.raw_frame(HEADERS, 1, 1, block(p)), p.raw_frame(0x16, 0, 1, b"x"))
)
case("4.2", "DATA as large as a frame may be")(
    lambda p: (p.headers(fields("/", "POST"), end=False), p.data(1, bytes(16384), end=True))
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
for name, begin in {
    "END_STREAM": lambda p: p.get("/600"),
    "RST_STREAM": lambda p: (p.headers(fields("/", "POST"), end=False), p.reset(1)),
}.items():
    case(
        "5.1",
        f"CONTINUATION after {name}",
        connection=(STREAM_CLOSED, PROTOCOL_ERROR),
        stream=(STREAM_CLOSED,),
    )(lambda p, begin=begin: (begin(p), p.raw_frame(CONTINUATION, 4, 1, block(p))))
    case("5.1", f"PRIORITY after {name} is fine")(
        lambda p, begin=begin: (begin(p), p.raw_frame(PRIORITY, 0, 1, bytes(5)))
    )
    case("5.1", f"WINDOW_UPDATE after {name} is fine")(
        lambda p, begin=begin: (begin(p), p.window(1, 1))
    )
case("5.1", "RST_STREAM after END_STREAM is fine")(lambda p: (p.get("/600"), p.reset(1)))
case("5.1", "RST_STREAM twice is fine")(lambda p: (p.get("/600"), p.reset(1), p.reset(1)))
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

case("5.3", "PRIORITY of any weight, exclusive or not, is ignored")(
    lambda p: [
        p.raw_frame(PRIORITY, 0, 7, bytes([first, 0, 0, 3, weight]))
        for first in (0, 0x80)
        for weight in (0, 255)
    ]
)
# RFC 7540 had an error for it; here there is none, as there are no priorities.
case(
    "5.3",
    "HEADERS that depend on themselves",
    connection=(PROTOCOL_ERROR,),
    stream=(PROTOCOL_ERROR,),
)(lambda p: p.raw_frame(HEADERS, 5 | WITH_PRIORITY, 1, bytes([0, 0, 0, 1, 9]) + PLAIN))
case(
    "5.3", "PRIORITY that depends on itself", connection=(PROTOCOL_ERROR,), stream=(PROTOCOL_ERROR,)
)(lambda p: (p.get("/600"), p.raw_frame(PRIORITY, 0, 1, bytes([0, 0, 0, 1, 9]))))

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

case("6.1", "padding alone, and several pieces")(
    lambda p: (
        p.headers(fields("/", "POST"), end=False),
        p.raw_frame(DATA, PADDED, 1, b"\x00"),
        p.data(1, b"a"),
        p.data(1, b"b", end=True),
    )
)

# 6.2: HEADERS

case("6.2", "HEADERS on stream 0", connection=(PROTOCOL_ERROR,))(
    lambda p: p.raw_frame(HEADERS, 5, 0, block(p))
)
case("6.2", "padding longer than HEADERS", connection=(PROTOCOL_ERROR,))(
    lambda p: p.raw_frame(HEADERS, 5 | PADDED, 1, b"\xff" + block(p))
)
case("6.2", "HEADERS with padding and a priority")(
    lambda p: p.raw_frame(
        HEADERS,
        5 | PADDED | WITH_PRIORITY,
        1,
        b"\x02" + bytes([0, 0, 0, 0, 9]) + block(p) + b"\0\0",
    )
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

case("6.4", "RST_STREAM with an unknown code is fine")(
    # Section 7.
    lambda p: (p.headers(fields("/", "POST"), end=False), p.reset(1, 0xFF))
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

case("6.5.3", "the last of several values counts")(
    lambda p: p.raw_frame(SETTINGS, 0, 0, setting(4, 1 << 16) + setting(4, 1 << 15))
)
case("6.5", "one value")(lambda p: p.raw_frame(SETTINGS, 0, 0, setting(1, 0)))

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

case("6.8", "GOAWAY with an unknown code and a word is fine")(
    # Section 7; the connection takes what was begun before.
    lambda p: (p.get("/600"), p.raw_frame(GOAWAY, 0, 0, bytes(4) + b"\0\0\0\xffword"))
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

case(
    "6.9.2",
    "settings that take a stream's window above the most",
    connection=(FLOW_CONTROL_ERROR,),
)(
    lambda p: (
        p.get("/600"),
        p.window(1, (1 << 31) - 1 - 65535),
        p.raw_frame(SETTINGS, 0, 0, setting(4, 1 << 30)),
    )
)

# 6.10: CONTINUATION

case("6.10", "CONTINUATION on stream 0", connection=(PROTOCOL_ERROR,))(
    lambda p: (p.raw_frame(HEADERS, 1, 1, block(p)), p.raw_frame(CONTINUATION, 4, 0, b""))
)
case("6.10", "CONTINUATION after the end of a head", connection=(PROTOCOL_ERROR,))(
    lambda p: (p.get("/600"), p.raw_frame(CONTINUATION, 4, 1, b""))
)

case("6.10", "CONTINUATION after CONTINUATION that ended a head", connection=(PROTOCOL_ERROR,))(
    lambda p: (
        p.raw_frame(HEADERS, END_STREAM, 1, block(p)),
        p.raw_frame(CONTINUATION, END_HEADERS, 1, b""),
        p.raw_frame(CONTINUATION, END_HEADERS, 1, b""),
    )
)
case("6.10", "DATA inside a field block", connection=(PROTOCOL_ERROR,))(
    lambda p: (p.raw_frame(HEADERS, 0, 1, block(p)), p.data(1, b"x"))
)
case("6.10", "CONTINUATION after DATA", connection=(PROTOCOL_ERROR,))(
    lambda p: (
        p.headers(fields("/", "POST"), end=False),
        p.data(1, b"x"),
        p.raw_frame(CONTINUATION, 4, 1, b""),
    )
)
case("6.10", "CONTINUATION of another stream", connection=(PROTOCOL_ERROR,))(
    lambda p: (p.raw_frame(HEADERS, 1, 1, block(p)), p.raw_frame(CONTINUATION, 4, 3, b""))
)


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module("sleepy", "--http2-cleartext", "prior-knowledge", "--threads", "2")


@pytest.mark.parametrize("case", CASES, ids=str)
def test_rules(server, dial2, case):
    case.holds(dial2(server))


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


@pytest.mark.parametrize("kind", [DATA, HEADERS, CONTINUATION])
def test_a_stream_that_is_over_on_both_sides_takes_no_more(server, dial2, kind):
    """5.1"""
    peer = dial2(server)
    stream = peer.get()
    assert peer.response(stream).status == 200
    peer.raw_frame(kind, 5, stream, b"x" if kind == DATA else PLAIN)
    while peer.goaway is None and peer.stream(stream).reset is None:
        assert peer.step()
    assert peer.stream(stream).reset == STREAM_CLOSED or peer.goaway in (
        STREAM_CLOSED,
        PROTOCOL_ERROR,
    )


def test_refused_streams_may_be_tried_again(serve2, dial2):
    """5.1.2"""
    peer = dial2(serve2("sleepy", "--http2-max-concurrent-streams", "1"))
    peer.round_trip()
    with peer.at_once():
        first, second = peer.get("/300"), peer.get("/second")
    assert peer.response(second).reset == REFUSED_STREAM
    assert peer.response(first).status == 200
    assert peer.response(peer.get("/second")).body == b"/second"
