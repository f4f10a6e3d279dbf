"""What the server has for a client is not held back by the kernel."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
def test_small_pieces_leave_at_once(serve, dial, host):
    """Nagle's algorithm would keep each until the client has acknowledged the one before."""
    server = serve("sockets", bind=f"{host}:0")
    assert dial(server).get().body == b"1\n"


def test_a_unix_socket_needs_no_such_option(serve, dial, tmp_path):
    server = serve("sockets", bind=f"unix:{tmp_path / 'socket'}")
    assert dial(server).get().body == b""
