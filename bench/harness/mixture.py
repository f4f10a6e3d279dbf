"""Requests of two lengths, sent when they are due, whatever became of those before.

A generator that waits for answers sends less to a server that is slow, and so hides the waits that
matter here. This one has a plan, the same for every server, and times each request from when it was
due. It takes some idle connection of its own for each, as a proxy does that keeps connections open.
"""

import contextlib
import heapq
import random
import selectors
import socket
import time
from collections import Counter, deque
from dataclasses import dataclass, field

from .conformance import first_answer
from .process import Failed, Running

PATIENCE_SECS = 30
"""What a request may take; one that takes longer is an error."""


@dataclass(frozen=True)
class Due:
    """One request of a plan."""

    at: float
    """Seconds after the begin."""
    is_slow: bool


def plan(seconds: float, per_second: float, slow_share: float, seed: int) -> list[Due]:
    """Requests that come independently of each other (a Poisson process)."""
    chance = random.Random(seed)
    found, at = [], chance.expovariate(per_second)
    while at < seconds:
        found.append(Due(at, chance.random() < slow_share))
        at += chance.expovariate(per_second)
    return found


def least_waits(requests: list[Due], threads: int, slow_secs: float) -> list[float]:
    """What the fast ones would wait, in milliseconds, if each request began when it is its turn and
    any of the threads is free, and nothing else took time: no server can do better on average."""
    free, waits = [0.0] * threads, []
    for due in requests:
        begins = max(due.at, heapq.heappop(free))
        heapq.heappush(free, begins + (slow_secs if due.is_slow else 0.0))
        if not due.is_slow:
            waits.append(1000 * (begins - due.at))
    return waits


@dataclass
class Outcome:
    """What became of a plan."""

    fast_ms: list[float] = field(default_factory=list)
    """From when a fast request was due to its whole answer, one for each."""
    slow_ms: list[float] = field(default_factory=list)
    errors: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Outcome") -> None:
        """Counts another round in."""
        self.fast_ms += other.fast_ms
        self.slow_ms += other.slow_ms
        self.errors += other.errors


@dataclass
class _Connection:
    socket: socket.socket
    due: Due | None = None
    received: bytes = b""


class Generator:
    """Kept-alive connections to one server, and what is sent on them."""

    def __init__(self, here: Running, connections: int, paths: tuple[str, str], answer: bytes):
        self._here, self._answer = here, answer
        self._requests = [
            f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{here.port}\r\n\r\n".encode() for path in paths
        ]
        self._selector = selectors.DefaultSelector()
        self._idle = [self._connect() for _ in range(connections)]
        self._busy = 0

    def close(self) -> None:
        """Closes all connections."""
        for key in list(self._selector.get_map().values()):
            key.fileobj.close()
        self._selector.close()

    def warm_up(self) -> None:
        """Uses each connection once, so that each is at the worker where it stays."""
        outcome, many = Outcome(), len(self._idle)
        for _ in range(many):
            self._send(self._idle.pop(0), Due(0.0, is_slow=False))
            last = time.monotonic() + PATIENCE_SECS
            while self._busy and time.monotonic() < last:
                self._take(outcome, 0.0, 1)
        if outcome.errors or len(outcome.fast_ms) != many:
            problem = ", ".join(outcome.errors) or "no answer on some connection"
            raise Failed(f"{problem}: {self._here.tail()}")

    def run(self, requests: list[Due], seed: int) -> Outcome:
        """Sends what is due when it is due, and waits for the answers."""
        outcome, backlog, chance = Outcome(), deque(requests), random.Random(seed)
        began = time.monotonic()
        while backlog:
            now, due = time.monotonic() - began, backlog[0]
            if not self._idle:
                if now > due.at + PATIENCE_SECS:
                    raise Failed(f"no answer for {PATIENCE_SECS} s: {self._here.tail()}")
                self._take(outcome, began, 1)
            elif due.at > now:
                self._take(outcome, began, due.at - now)
            else:
                connection = self._idle.pop(chance.randrange(len(self._idle)))
                self._send(connection, backlog.popleft())
        last = time.monotonic() + PATIENCE_SECS
        while self._busy and time.monotonic() < last:
            self._take(outcome, began, 1)
        if self._busy:
            outcome.errors["no answer"] += self._busy
        return outcome

    def _connect(self) -> _Connection:
        client = socket.create_connection(("127.0.0.1", self._here.port), PATIENCE_SECS)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection = _Connection(client)
        self._selector.register(client, selectors.EVENT_READ, connection)
        return connection

    def _send(self, connection: _Connection, due: Due) -> None:
        connection.due = due
        self._busy += 1
        # If it is closed, reading tells as well.
        with contextlib.suppress(OSError):
            connection.socket.sendall(self._requests[due.is_slow])

    def _take(self, outcome: Outcome, began: float, wait: float) -> None:
        """Takes the answers that are there; waits so many seconds if there is none."""
        for key, _ in self._selector.select(wait):
            self._read(key.data, outcome, began)

    def _read(self, connection: _Connection, outcome: Outcome, began: float) -> None:
        try:
            piece = connection.socket.recv(65536)
        except OSError:
            piece = b""
        connection.received += piece
        parsed = first_answer(connection.received, is_over=not piece)
        if parsed is None and piece:
            return
        due, connection.due = connection.due, None
        if due is not None:
            self._busy -= 1
            self._note(outcome, due, parsed, 1000 * (time.monotonic() - began - due.at))
        connection.received = b""
        if not piece or parsed is None or "\nconnection: close" in parsed[0].lower():
            self._selector.unregister(connection.socket)
            connection.socket.close()
            if connection in self._idle:
                self._idle.remove(connection)
            connection = self._connect()
        if connection not in self._idle:
            self._idle.append(connection)

    def _note(
        self, outcome: Outcome, due: Due, parsed: tuple[str, bytes, bytes] | None, ms: float
    ) -> None:
        if parsed is None:
            outcome.errors["closed without an answer"] += 1
            return
        status = parsed[0].split(" ", 2)[1:2]
        if status != ["200"] or parsed[1] != self._answer:
            outcome.errors[f"status {''.join(status)}"] += 1
        else:
            (outcome.slow_ms if due.is_slow else outcome.fast_ms).append(ms)
