"""Fixtures of the tests of HTTP/2."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from support.http2 import Http2Peer
from support.server import Server

CLEARTEXT = ("--http2-cleartext", "prior-knowledge")

KINDS = {
    "one": (),
    "threads": ("--threads", "3"),
    "gevent": ("-k", "gevent"),
    "eventlet": ("-k", "eventlet"),
    "tornado": ("-k", "tornado"),
    "tornado threads": ("-k", "tornado", "--threads", "3"),
}


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """The options of every way to run the application."""
    options: tuple[str, ...] = KINDS[request.param]
    if "-k" in options:
        pytest.importorskip(options[1])
    return options


@pytest.fixture
def serve2(serve) -> Callable[..., Server]:
    """Starts servers that speak HTTP/2 to clients that begin with it."""
    return lambda app, *options, **other: serve(app, *CLEARTEXT, *options, **other)


@pytest.fixture
def dial2() -> Iterator[Callable[..., Http2Peer]]:
    """Opens connections that speak HTTP/2, and closes them with the test."""
    peers: list[Http2Peer] = []

    def connect(server: Server, **how) -> Http2Peer:
        peer = Http2Peer(server.connect(), **how)
        peers.append(peer)
        return peer

    yield connect
    for peer in peers:
        peer.socket.close()
