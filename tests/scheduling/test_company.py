"""Responses that go out together are held for no call that takes long."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from support import eventually
from support.certificates import Authority
from support.peer import Peer

CLIENTS = 100
SLOW = 90
"""Which of them has the request that takes long."""


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(params=["plain", "TLS"])
def company(request, serve, tmp_path, authority):
    """A server and its connections."""
    options = []
    if request.param == "TLS":
        certificate, key = authority.issue("localhost")
        options = ["--certfile", str(certificate), "--keyfile", str(key)]
    server = serve("company", *options, env={"COMPANY": str(tmp_path)})
    with ExitStack() as stack:
        sockets = [stack.enter_context(server.connect()) for _ in range(CLIENTS)]
        if options:
            context = authority.context()
            sockets = [
                stack.enter_context(context.wrap_socket(sock, server_hostname="localhost"))
                for sock in sockets
            ]
        yield [Peer(sock) for sock in sockets]


@pytest.mark.parametrize("what", ["slow", "after", "close"])
def test_whoever_had_a_call_is_answered_while_the_next_takes_long(company, tmp_path, what):
    def ask(paths):
        for peer, path in zip(company, paths, strict=True):
            peer.send(f"GET /{path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    def are_whole(numbers):
        return all(company[number].response().body == b"whole" for number in numbers)

    def called():
        return (tmp_path / "called").read_text().splitlines()

    for turn in range(3):
        # The application shows that it is quick.
        for _ in range(3):
            ask([f"quick/{number}" for number in range(CLIENTS)])
            assert are_whole(range(CLIENTS))
        before = len(called())
        paths = [f"quick/{number}" for number in range(CLIENTS)]
        paths[SLOW] = f"{what}/{turn}"
        ask(paths)
        eventually((tmp_path / str(turn)).exists)
        # Whatever is behind it waits: there is one thread.
        had_calls = called()[before:]
        had_calls.remove(paths[SLOW])
        first = [paths.index(path) for path in had_calls]
        if what != "slow":
            first.append(SLOW)
        assert are_whole(first)
        (tmp_path / f"{turn}.end").touch()
        assert are_whole(set(range(CLIENTS)) - set(first))
