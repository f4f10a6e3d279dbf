"""`wsgiref.validate` as a judge between the server and plain applications."""

from __future__ import annotations

import pytest

from support import eventually

LINES = b"".join(b"line %d\n" % number for number in range(2000)) + b"no end of line"


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module("validated", "--threads", "2")


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/hello/", b"hello\n"),
        ("/hello/with%20space?and=query", b"hello\n"),
        ("/sized/10", b"x" * 10),
        ("/sized/500000/1000", b"x" * 500_000),
        ("/sleepy/5", b"/5"),
    ],
)
def test_get(server, dial, path, body):
    peer = dial(server)
    for _ in range(2):
        response = peer.get(path)
        assert (response.status, response.body) == (200, body)
    assert "AssertionError" not in server.log()


@pytest.mark.parametrize("framing", ["length", "chunked"])
@pytest.mark.parametrize("way", ["read", "pieces", "lines", "readlines", "readline"])
def test_body(server, dial, way, framing):
    head = f"POST /validated_echo/{way} HTTP/1.1\r\nHost: a\r\n".encode()
    peer = dial(server)
    if framing == "length":
        peer.send(head + b"Content-Length: %d\r\n\r\n" % len(LINES) + LINES)
    else:
        peer.send(head + b"Transfer-Encoding: chunked\r\n\r\n")
        peer.send(b"%x\r\n%s\r\n0\r\n\r\n" % (len(LINES), LINES))
    response = peer.response()
    assert (response.status, response.body) == (200, LINES)
    eventually(lambda: "read the body" in server.log())
    assert "AssertionError" not in server.log()


def test_head(server, dial):
    peer = dial(server)
    peer.send(b"HEAD /hello/ HTTP/1.1\r\nHost: a\r\n\r\n")
    response = peer.response(to="HEAD")
    assert (response.status, response.get("Content-Length")) == (200, "6")
    assert peer.is_idle()
