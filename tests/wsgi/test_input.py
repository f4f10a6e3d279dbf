"""`wsgi.input`: the same for a body in memory, in a file, and still on its way."""

from __future__ import annotations

import ast
import io
import json

import pytest

BODY = b"first\nsecond\r\n\n\0\xff\nlast without end"
MIDDLE = b"".join(b"line %d\n" % number for number in range(20_000))
# More than is kept in memory.
LARGE = b"".join(b"line %d\n" % number for number in range(110_000))


@pytest.fixture(scope="module", params=["buffered", "streaming"])
def server(request, serve_module):
    options = [] if request.param == "buffered" else ["--request-buffering", "off"]
    return serve_module("inputs", *options)


def results(response):
    assert response.status == 200
    return [ast.literal_eval(text) for text in json.loads(response.body)]


def head(calls, *fields):
    lines = [f"POST /?{calls} HTTP/1.1", "Host: a", *fields, "", ""]
    return "\r\n".join(lines).encode()


def chunked(body, size):
    pieces = [body[start : start + size] for start in range(0, len(body), size)]
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


CALLS = [
    "read",
    "read:-1",
    "read:None",
    "read:0;read:3;read:0;read;read;read:5",
    "read:1000000;read:1",
    "readline;readline;readline;readline;readline;readline",
    "readline:0;readline:3;readline:3;readline:-1;readline:100;read",
    "readline:None;readlines",
    "readlines:8;readlines:0;readlines",
    "readlines:-1;readline",
    "list;list;read",
    "next;read:2;next;list",
]


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("calls", CALLS)
@pytest.mark.parametrize("body", [BODY, MIDDLE, LARGE], ids=["small", "middle", "large"])
def test_same_as_a_file(server, dial, calls, framing, body):
    expected = []
    file = io.BytesIO(body)
    for call in calls.split(";"):
        name, *arguments = call.split(":")
        arguments = [ast.literal_eval(text) for text in arguments]
        if name == "list":
            expected.append(list(file))
        elif name == "next":
            expected.append(next(file, None))
        else:
            expected.append(getattr(file, name)(*arguments))
    peer = dial(server)
    if framing == "length":
        peer.send(head(calls, f"Content-Length: {len(body)}") + body)
    else:
        peer.send(head(calls, "Transfer-Encoding: chunked") + chunked(body, 1000))
    assert results(peer.response()) == expected
    if expected[-1] in (b"", []):  # read to the end, so the connection is there for another
        peer.send(head("read"))
        assert results(peer.response()) == [b""]


@pytest.mark.parametrize("calls", CALLS)
def test_no_body_never_waits(server, dial, calls):
    peer = dial(server)
    peer.send(f"GET /?{calls} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    told = results(peer.response())
    assert set(map(str, told)) <= {"b''", "[]", "None"}


@pytest.mark.parametrize(
    "body", [b"", BODY, MIDDLE, LARGE], ids=["empty", "small", "middle", "large"]
)
def test_buffered_body_is_seekable(serve, dial, body):
    peer = dial(serve("inputs"))
    calls = "seekable;tell;read;seek:2;tell;read:3;seek:-3:2;read;seek:1:1;seek:0;read;readable"
    peer.send(head(calls, f"Content-Length: {len(body)}") + body)
    told = results(peer.response())
    assert told[0] is True
    assert told[1:3] == [0, body]
    assert told[5] == body[2:5]
    assert told[7] == body[-3:]
    assert told[10:] == [body, True]
    # The empty one is shared: what a request did to it is gone with it.
    peer.send(head("tell;read"))
    assert results(peer.response()) == [0, b""]


def test_large_body_has_a_descriptor(serve, dial):
    peer = dial(serve("inputs"))
    peer.send(head("fileno;read:4", f"Content-Length: {len(LARGE)}") + LARGE)
    number, start = results(peer.response())
    assert number > 2
    assert start == LARGE[:4]


def test_streamed_body_that_ends_early_is_an_error(serve, dial):
    server = serve("inputs", "--request-buffering", "off")
    peer = dial(server)
    peer.send(head("read;read:1;readline;list", "Content-Length: 10") + b"12345")
    peer.half_close()
    rest = peer.rest()
    assert b"12345" not in rest
    assert rest.count(b"ConnectionResetError") in (0, 4)


def test_streamed_body_with_broken_framing_is_an_error(serve, dial):
    peer = dial(serve("inputs", "--request-buffering", "off"))
    peer.send(head("read;read", "Transfer-Encoding: chunked") + b"3\r\nabc\r\nnonsense\r\n\r\n")
    assert results(peer.response()) == ["OSError", "OSError"]
    assert peer.closed_by_server()


def test_streamed_body_arrives_piece_by_piece(serve, dial):
    peer = dial(serve("inputs", "--request-buffering", "off"))
    peer.send(head("read:3;readline;read", "Content-Length: 12") + b"ab")
    assert peer.is_idle()
    peer.send_in_pieces(b"cd\nefghijk")
    assert results(peer.response()) == [b"abc", b"d\n", b"efghijk"]
