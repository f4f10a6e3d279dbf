"""When a connection stays (RFC 9112, section 9) and when it ends."""

from __future__ import annotations

import pytest

from support import eventually


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module("hello")


def request(version: str, *fields: str) -> bytes:
    return "\r\n".join([f"GET / HTTP/{version}", "Host: a", *fields, "", ""]).encode()


@pytest.mark.parametrize(
    "head",
    [
        request("1.1"),
        request("1.1", "Connection: keep-alive"),
        request("1.1", "Connection: x-other"),
        request("1.0", "Connection: keep-alive"),
        request("1.0", "Connection: x-other, Keep-Alive"),
    ],
)
def test_connection_stays(server, dial, head):
    peer = dial(server)
    for _ in range(3):
        peer.send(head)
        response = peer.response()
        assert (response.status, response.body) == (200, b"hello\n")
        assert not response.closes
        if b"HTTP/1.0" in head:
            assert "keep-alive" in (response.get("Connection") or "").lower()
    assert peer.is_idle()


@pytest.mark.parametrize(
    "head",
    [
        request("1.1", "Connection: close"),
        request("1.1", "Connection: x-other, CLOSE"),
        request("1.1", "Connection: keep-alive", "Connection: close"),
        request("1.0"),
        request("1.0", "Connection: close"),
        b"GET / HTTP/1.0\r\n\r\n",
    ],
)
def test_connection_ends(server, dial, head):
    peer = dial(server)
    peer.send(head)
    response = peer.response()
    assert (response.status, response.body) == (200, b"hello\n")
    if b"HTTP/1.1" in head:
        assert response.closes
    assert peer.closed_by_server()


def test_idle_connection_is_closed_after_keepalive(serve, dial):
    server = serve("hello", "--keep-alive", "1")
    peer = dial(server)
    assert peer.get().status == 200
    assert peer.closed_by_server()


def test_keepalive_zero_closes_after_each_response(serve, dial):
    server = serve("hello", "--keep-alive", "0")
    peer = dial(server)
    assert peer.get().closes
    assert peer.closed_by_server()


def test_last_request_of_a_connection_is_announced(serve, dial):
    server = serve("hello", "--keepalive-requests", "3")
    peer = dial(server)
    assert [peer.get().closes for _ in range(3)] == [False, False, True]
    assert peer.closed_by_server()


def test_many_requests_on_one_connection(server, dial):
    peer = dial(server)
    for _ in range(1000):
        assert peer.get().body == b"hello\n"
    assert peer.is_idle()


def test_one_access_line_per_request(serve, dial):
    server = serve("hello")
    peer = dial(server)
    for number in range(5):
        assert peer.get(f"/{number}").status == 200
    eventually(lambda: server.access_log().count("\n") == 5)
    assert [f'"GET /{n} HTTP/1.1" 200 6' in server.access_log() for n in range(5)] == [True] * 5


def test_idle_connections_end_at_once_on_a_graceful_stop(serve, dial):
    server = serve("hello", "--keep-alive", "600")
    peer, silent = dial(server), dial(server)
    assert peer.get().status == 200
    assert server.stop() == 0
    assert peer.closed_by_server()
    assert silent.closed_by_server()
