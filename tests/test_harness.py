"""The tools of the tests, tried on themselves: a judge that cannot say no proves nothing."""

from __future__ import annotations

import socket

import pytest

from support import Peer, ProtocolError, eventually
from support.corpus import unescape


@pytest.fixture
def ends():
    """A peer and the raw server end of its connection."""
    client, server = socket.socketpair()
    client.settimeout(10)
    with Peer(client) as peer, server:
        yield peer, server


def test_serves_and_stops(serve, dial):
    server = serve("hello", workers=2)
    with dial(server) as peer:
        assert peer.get().body == b"hello\n"
    eventually(lambda: '"GET / HTTP/1.1" 200 6' in server.access_log())
    assert len(server.workers()) == 2
    assert server.stop() == 0


def test_responses_are_told_apart(ends):
    peer, server = ends
    server.sendall(
        b"HTTP/1.1 100 Continue\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n1\r\nd\r\n0\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\nhi"
        b"HTTP/1.1 404 Not Found\r\nConnection: close\r\n\r\nrest"
    )
    server.close()
    assert peer.head().status == 100
    chunked, plain, last = peer.response(), peer.response(), peer.response()
    assert (chunked.body, chunked.chunks) == (b"abcd", [3, 1])
    assert (plain.body, plain.all("set-cookie")) == (b"hi", ["a", "b"])
    assert (last.status, last.reason, last.body, last.closes) == (404, "Not Found", b"rest", True)
    assert peer.closed_by_server()


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\nContent-Length: 0\n\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nabcde",
        b"HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX A: 1\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"200 OK\r\n\r\n",
    ],
)
def test_wrong_response_is_noticed(ends, response):
    peer, server = ends
    server.sendall(response)
    server.close()
    with pytest.raises(ProtocolError):
        peer.response()


def test_idle_connection_is_told_from_a_closed_one(ends):
    peer, server = ends
    assert peer.is_idle()
    server.close()
    assert not peer.is_idle()


def test_corpus_escapes():
    assert unescape(rb"GET / \x41\\" + b"\n" + rb"\r\n") == b"GET / A\\\r\n"
    with pytest.raises(AssertionError):
        unescape(rb"\q")
