"""Clients that could keep the others waiting, with default settings.

Requests behind a busy worker have tests of their own; here it is slow and idle clients, more of
them than there are threads.
"""

from __future__ import annotations

import pytest

from support import eventually
from support.hogs import request

SHAPES = [(1, 1), (2, 1), (2, 4)]


@pytest.mark.parametrize(("workers", "threads"), SHAPES)
def test_slow_uploads_hold_nobody_up(serve, dial, workers, threads):
    server = serve("mirror", "--threads", str(threads), workers=workers)
    slow = [dial(server) for _ in range(3 * workers * threads)]
    for peer in slow:
        peer.send(request("/slow", "Content-Length: 1000", method="POST") + b"abc")
    for _ in range(3 * workers * threads):
        assert dial(server).get("/").status == 200
    for peer in slow:
        peer.send(b"x" * 997)
        assert peer.response().status == 200


@pytest.mark.parametrize(("workers", "threads"), SHAPES)
def test_clients_that_do_not_read_hold_nobody_up(serve, dial, workers, threads):
    server = serve("sized", "--threads", str(threads), workers=workers)
    slow = [dial(server) for _ in range(2 * workers * threads)]
    for peer in slow:
        peer.send(request(f"/{32 << 20}"))
    for _ in range(3 * workers * threads):
        assert dial(server).get("/7").body == b"x" * 7
    # They were not given up for it: whoever reads gets all.
    assert len(slow[0].response().body) == 32 << 20


@pytest.mark.parametrize(("workers", "threads"), SHAPES)
def test_idle_connections_hold_nobody_up(serve, dial, workers, threads):
    server = serve("hello", "--threads", str(threads), workers=workers)
    idle = [dial(server) for _ in range(300)]
    for peer in idle:
        assert peer.get("/").status == 200
    for _ in range(3 * workers * threads):
        assert dial(server).get("/").status == 200
    assert idle[0].get("/").status == 200


def test_idle_connections_up_to_the_limit_make_room(serve, dial):
    server = serve("hello", "--worker-connections", "8", workers=2)
    idle = [dial(server) for _ in range(16)]
    for peer in idle:
        assert peer.get("/").status == 200
    for _ in range(16):
        assert dial(server).get("/").status == 200
    eventually(lambda: server.connections() <= 16)
