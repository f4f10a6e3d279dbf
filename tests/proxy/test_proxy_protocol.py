"""The PROXY protocol over raw sockets."""

from __future__ import annotations

import contextlib
import json
import struct

import pytest

REQUEST = b"GET / HTTP/1.1\r\nHost: test\r\n\r\n"
V1 = b"PROXY TCP4 203.0.113.9 10.0.0.1 4711 80\r\n"
SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
ADDRESSES = bytes([203, 0, 113, 9, 10, 0, 0, 1]) + struct.pack("!HH", 4711, 80)
V2 = SIGNATURE + b"\x21\x11" + struct.pack("!H", 12) + ADDRESSES
V2_LOCAL = SIGNATURE + b"\x20\x00\x00\x00"
V2_UNSPEC = SIGNATURE + b"\x21\x00\x00\x00"
REQUIRED = ("--proxy-protocol", "auto", "--proxy-protocol-from", "127.0.0.1")


@pytest.fixture(scope="module")
def strict(serve_module):
    return serve_module("environs", *REQUIRED)


def told(peer):
    return json.loads(peer.response().body)


@pytest.mark.parametrize("header", [V1, V2], ids=["v1", "v2"])
@pytest.mark.parametrize("size", [1, 1000])
def test_the_announced_client(strict, dial, header, size):
    peer = dial(strict)
    peer.send_in_pieces(header + REQUEST, size)
    environ = told(peer)
    assert (environ["REMOTE_ADDR"], environ["REMOTE_PORT"]) == ("'203.0.113.9'", "'4711'")
    assert environ["PROXY_PROTOCOL"] == "'TCP4'"
    assert (environ["PROXY_ADDR"], environ["PROXY_PORT"]) == ("'10.0.0.1'", "'80'")
    assert environ["oxicorn.proxy.peer"] == "'127.0.0.1'"
    peer.send(REQUEST)
    assert told(peer)["REMOTE_ADDR"] == "'203.0.113.9'", "it holds for the whole connection"


@pytest.mark.parametrize(
    "header", [b"PROXY UNKNOWN\r\n", V2_LOCAL, V2_UNSPEC], ids=["unknown", "local", "unspec"]
)
def test_a_header_that_names_nobody_keeps_the_peer(strict, dial, header):
    peer = dial(strict)
    peer.send(header + REQUEST)
    environ = told(peer)
    assert environ["REMOTE_ADDR"] == "'127.0.0.1'"
    assert environ["REMOTE_PORT"] == repr(str(peer.socket.getsockname()[1]))
    assert "PROXY_PROTOCOL" not in environ


@pytest.mark.parametrize(
    "start",
    [
        REQUEST,
        b"PROXY TCP4 1.1.1.1 2.2.2.2 1\r\n" + REQUEST,
        b"PROXY " + b"x" * 200,
        V1[:-2] + b"\n" + REQUEST,
        SIGNATURE + b"\x21\x11" + struct.pack("!H", 14) + ADDRESSES + b"\x01\x02" + REQUEST,
        SIGNATURE + b"\x21\x11" + struct.pack("!H", 60000),
    ],
    ids=["absent", "short", "long", "lf", "tlv", "length"],
)
def test_a_fault_closes_without_a_word(strict, dial, start):
    peer = dial(strict)
    peer.send(start)
    with contextlib.suppress(ConnectionResetError):
        assert peer.socket.recv(100) == b""


def test_only_one_header_for_a_connection(strict, dial):
    peer = dial(strict)
    peer.send(V1 + V1 + REQUEST)
    assert peer.response().status == 400


def test_an_unlisted_peer_is_turned_away(serve, dial):
    options = ("--proxy-protocol", "v1", "--proxy-protocol-from", "10.0.0.0/8")
    peer = dial(serve("environs", *options))
    peer.send(V1 + REQUEST)
    with contextlib.suppress(ConnectionResetError):
        assert peer.socket.recv(100) == b""


def test_a_silent_peer_does_not_stay(strict, dial):
    peer = dial(strict)
    peer.send(b"PROXY TCP4")
    assert peer.socket.recv(100) == b""


def test_fields_behind_a_balancer_are_the_clients_own(serve, dial):
    options = (*REQUIRED, "--proxy-trusted", "127.0.0.1", "--proxy-x-for", "1")
    peer = dial(serve("environs", *options))
    peer.send(V1 + b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n")
    environ = told(peer)
    assert environ["REMOTE_ADDR"] == "'203.0.113.9'"
    assert "HTTP_X_FORWARDED_FOR" not in environ


@pytest.mark.parametrize("mode", ["v1", "v2", "auto"])
def test_gunicorns_header_is_optional(serve, dial, mode):
    server = serve("environs", "--proxy-protocol", mode)
    assert json.loads(dial(server).get("/").body)["REMOTE_ADDR"] == "'127.0.0.1'"
    peer = dial(server)
    peer.send((V2 if mode == "v2" else V1) + REQUEST)
    assert told(peer)["REMOTE_ADDR"] == "'203.0.113.9'"


def test_gunicorns_header_from_a_stranger(serve, dial):
    server = serve("environs", "--proxy-protocol", "--proxy-allow-from", "10.0.0.1")
    assert dial(server).get("/").status == 200
    peer = dial(server)
    peer.send(V1 + REQUEST)
    with contextlib.suppress(ConnectionResetError):
        assert peer.socket.recv(100) == b""
