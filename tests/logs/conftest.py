"""What tests of logs listen with."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


@pytest.fixture(params=["with gunicorn", "without gunicorn"])
def either_way(request: pytest.FixtureRequest) -> dict[str, str]:
    """The environment of a server that can import gunicorn, and of one that cannot."""
    if request.param == "without gunicorn":
        return dict(request.getfixturevalue("without_gunicorn"))
    pytest.importorskip("gunicorn")
    return {}


class Ear:
    """A socket of a collector, and what it heard; datagrams and stream alike."""

    def __init__(self, family: socket.AddressFamily, kind: socket.SocketKind, name: object) -> None:
        self._kind = kind
        self._socket = socket.socket(family, kind)
        self._socket.bind(name)
        self._socket.setblocking(False)
        if kind == socket.SOCK_STREAM:
            self._socket.listen()
        self._peers: list[socket.socket] = []
        self._heard = b""
        self.datagrams: list[str] = []

    @property
    def port(self) -> int:
        return int(self._socket.getsockname()[1])

    def text(self) -> str:
        """Everything that came so far."""
        if self._kind == socket.SOCK_DGRAM:
            while data := self._take(self._socket):
                self.datagrams.append(data.decode())
            return "\n".join(self.datagrams)
        try:
            while True:
                self._peers.append(self._socket.accept()[0])
                self._peers[-1].setblocking(False)
        except BlockingIOError:
            pass
        for peer in self._peers:
            while data := self._take(peer):
                self._heard += data
        return self._heard.decode()

    def close(self) -> None:
        for each in [self._socket, *self._peers]:
            each.close()

    @staticmethod
    def _take(source: socket.socket) -> bytes:
        try:
            return source.recv(65536)
        except BlockingIOError:
            return b""


@pytest.fixture
def listen(tmp_path: Path) -> Iterator[Callable[[str], tuple[str, Ear]]]:
    """Opens an ear for `udp`, `tcp`, `dgram` or `stream`; gives its place and the ear."""
    ears: list[Ear] = []

    def open_ear(way: str) -> tuple[str, Ear]:
        kind = socket.SOCK_DGRAM if way in ("udp", "dgram") else socket.SOCK_STREAM
        if way in ("udp", "tcp"):
            ears.append(Ear(socket.AF_INET, kind, ("127.0.0.1", 0)))
            return f"127.0.0.1:{ears[-1].port}", ears[-1]
        path = str(tmp_path / f"{way}.sock")
        ears.append(Ear(socket.AF_UNIX, kind, path))
        return path, ears[-1]

    yield open_ear
    for ear in ears:
        ear.close()
