"""Clients of `apps/socketio_site.py`."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import socketio

from support.server import Server
from support.wait import eventually


@contextlib.contextmanager
def talking(server: Server, transports: list[str]) -> Iterator[None]:
    """Has three clients call, be answered and be told something that was said to all; they stay."""
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(3):
            client = stack.enter_context(socketio.SimpleClient())
            client.connect(server.url, transports=transports, wait_timeout=60)
            clients.append(client)
        for client in clients:
            eventually(lambda client=client: client.call("transport") == transports[-1])
            assert client.call("say", "x" * 100_000) == 100_000
            assert client.receive(60) == ["said", "x" * 100_000]
        clients[0].emit("shout", "all of you")
        for client in clients:
            assert client.receive(60) == ["shouted", "ALL OF YOU"]
        yield
