"""Connections by the thousand: what one process has open at a time."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Callable, Iterator

from support.peer import Peer
from support.server import Server

_AT_A_TIME = 500


@contextlib.contextmanager
def many_descriptors() -> Iterator[int]:
    """Lets this process and its servers open as many descriptors as they may; gives the number."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    many = hard if 0 < hard < 65536 else 65536
    resource.setrlimit(resource.RLIMIT_NOFILE, (many, hard))
    try:
        yield many
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def served_once(
    server: Server, dial: Callable[..., Peer], stack: contextlib.ExitStack, count: int
) -> list[Peer]:
    """So many connections that got `hello` for `/hello`, and are idle since."""
    idle: list[Peer] = []
    while len(idle) < count:
        some = [dial(server, 60.0) for _ in range(min(_AT_A_TIME, count - len(idle)))]
        for peer in some:
            # No port is kept back for what might still come.
            stack.callback(peer.reset)
            peer.send(b"GET /hello HTTP/1.1\r\nHost: a\r\n\r\n")
        for peer in some:
            assert peer.response().body == b"hello"
        idle += some
    return idle
