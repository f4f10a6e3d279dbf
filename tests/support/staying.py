"""Clients whose connections cannot change the worker, with TLS or HTTP/2, seen alike."""

from __future__ import annotations

import select
import ssl
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from support.certificates import Authority
from support.hogs import Hogs
from support.http2 import Http2Peer, fields
from support.peer import Peer, ProtocolError
from support.server import Server
from support.wait import eventually

NAME = "shop.example"
CONNECTIONS = 10
"""Connections of HTTP/1 that are opened, of which some are at the worker that will be busy."""


@dataclass
class Answer:
    """A response, or what there was of it."""

    status: int
    fields: dict[str, str]
    body: bytes
    is_whole: bool = True

    @property
    def pid(self) -> int:
        """The worker that has answered."""
        assert (self.status, self.is_whole) == (200, True), self
        return int(self.body.split()[0])


Waits = Callable[[], Answer]


class Http1Client:
    """Connections of HTTP/1, one for each request that is on its way."""

    def __init__(self, connect: Callable[[], Peer]) -> None:
        self._peers = [connect() for _ in range(CONNECTIONS)]
        homes = {peer: self._send(peer, "/warm")().pid for peer in self._peers}
        [(self.home, _)] = Counter(homes.values()).most_common(1)
        self._peers = [peer for peer in self._peers if homes[peer] == self.home]

    @property
    def lanes(self) -> int:
        """Requests that can be on their way."""
        return len(self._peers)

    def take(self) -> Peer:
        """One of the connections, for good."""
        return self._peers.pop()

    def ask(
        self, path: str, *more: tuple[str, str], method: str = "GET", body: bytes = b""
    ) -> Waits:
        """Sends a request; gives what waits for its answer."""
        return self._send(self._peers.pop(), path, *more, method=method, body=body)

    def _send(
        self, peer: Peer, path: str, *more: tuple[str, str], method: str = "GET", body: bytes = b""
    ) -> Waits:
        lines = [f"{method} {path} HTTP/1.1", f"Host: {NAME}", *map(": ".join, more)]
        if body:
            lines.append(f"Content-Length: {len(body)}")
        peer.send("".join(f"{line}\r\n" for line in [*lines, ""]).encode() + body)

        def wait() -> Answer:
            response = peer.head()
            while response.status == 103:
                response = peer.head()
            answer = Answer(response.status, {n.lower(): v for n, v in response.fields}, b"")
            try:
                peer.read_body(response, method)
            except (ProtocolError, ssl.SSLError):
                answer.is_whole = False
                return answer
            answer.body = response.body
            if response.closes:
                assert peer.closed_by_server()
            elif peer not in self._peers:
                self._peers.append(peer)
            return answer

        wait.peer = peer  # type: ignore[attr-defined]
        return wait

    def await_begin(self, wait: Waits) -> None:
        """Waits until some of the answer has come."""
        sock = wait.peer.socket  # type: ignore[attr-defined]
        assert select.select([sock], [], [], 30)[0]

    def give_up(self, wait: Waits) -> None:
        """Does not want an answer any more."""
        wait.peer.socket.close()  # type: ignore[attr-defined]


class Http2Client:
    """Streams of one connection."""

    lanes = 50

    def __init__(self, connect: Callable[[], Http2Peer]) -> None:
        self.peer = connect()
        self.home = self.ask("/warm")().pid

    def ask(
        self, path: str, *more: tuple[str, str], method: str = "GET", body: bytes = b""
    ) -> Waits:
        """Sends a request; gives what waits for its answer."""
        peer = self.peer
        stream = peer.headers(fields(path, method, NAME, more), end=not body)
        if body:
            peer.data(stream, body, end=True)

        def wait() -> Answer:
            got = peer.response(stream)
            return Answer(got.status, got.fields, got.body, got.reset is None)

        wait.stream = stream  # type: ignore[attr-defined]
        return wait

    def await_begin(self, wait: Waits) -> None:
        """Waits until some of the answer has come."""
        stream = self.peer.stream(wait.stream)  # type: ignore[attr-defined]
        self.peer.until(lambda: stream.body)

    def give_up(self, wait: Waits) -> None:
        """Does not want an answer any more."""
        self.peer.reset(wait.stream)  # type: ignore[attr-defined]


Client = Http1Client | Http2Client


class Ways:
    """What is needed to serve and to be a client in each of the ways."""

    def __init__(self, way: str, authority: Authority) -> None:
        self.way, self.authority = way, authority
        self._chain, self._key = authority.issue(NAME)
        self._open: list[ssl.SSLSocket] = []

    @property
    def options(self) -> tuple[str, ...]:
        if self.way == "cleartext h2":
            return ("--http2-cleartext", "prior-knowledge")
        pair = ("--certfile", str(self._chain), "--keyfile", str(self._key))
        return (*pair, "--http-protocols", "h2,h1")

    def client(self, server: Server, pair: tuple[Path, Path] | None = None) -> Client:
        """Connections to a server, of which the most used are at the same worker."""

        def connect():
            sock = server.connect()
            if self.way != "cleartext h2":
                context = self.authority.context()
                if pair:
                    context.load_cert_chain(*pair)
                context.set_alpn_protocols(["http/1.1" if self.way == "h1" else "h2"])
                sock = context.wrap_socket(sock, server_hostname=NAME)
            self._open.append(sock)
            return Peer(sock) if self.way == "h1" else Http2Peer(sock)

        return Http1Client(connect) if self.way == "h1" else Http2Client(connect)

    def close(self) -> None:
        for each in self._open:
            each.close()


def begin(hogs: Hogs, client: Client, what: str, name: str) -> tuple[int, Waits]:
    """Sends a slow request; gives the worker that is busy with it."""
    wait = client.ask(f"/{what}/{name}")
    eventually(lambda: hogs.began(name) and (hogs.folder / name).read_text())
    return int((hogs.folder / name).read_text()), wait
