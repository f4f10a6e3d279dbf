"""Servers that speak TLS, and clients that do."""

from __future__ import annotations

import pytest

from support.certificates import Authority
from support.peer import Peer

NAME = "shop.example"


@pytest.fixture(scope="session")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="session")
def pair(authority):
    """The certificate of `shop.example`, and its key."""
    return authority.issue(NAME, "127.0.0.1")


@pytest.fixture(scope="session")
def options(pair):
    """The options for it."""
    chain, key = pair
    return ("--certfile", str(chain), "--keyfile", str(key))


@pytest.fixture
def secure(serve, options):
    """`serve`, with TLS."""

    def start(app, *more, **named):
        return serve(app, *options, *more, **named)

    return start


@pytest.fixture(scope="module")
def mirror(serve_module, options):
    """One server for all tests of a file that leave it as it is."""
    return serve_module("mirror", *options)


@pytest.fixture
def dial_tls(authority):
    """Opens TLS connections, and closes them with the test."""
    peers = []

    def connect(server, context=None, name=NAME, session=None, timeout=30.0):
        context = context or authority.context()
        plain = server.connect(timeout)
        try:
            sock = context.wrap_socket(plain, server_hostname=name, session=session)
        except BaseException:
            plain.close()
            raise
        peers.append(Peer(sock))
        return peers[-1]

    yield connect
    for peer in peers:
        peer.socket.close()
