"""Servers inside the test's own process."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import textwrap
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import Peer, eventually
from support.program import Program


def open_descriptors() -> set[str]:
    """What the process has open, by number and object."""
    found = set()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(f"{entry.name} {os.readlink(entry)}")
    # The directory that was being read is gone by now.
    return {each for each in found if f"/proc/{os.getpid()}/fd" not in each}


def kernel_threads() -> set[str]:
    return {entry.name for entry in Path("/proc/self/task").iterdir()}


@pytest.fixture(autouse=True)
def nothing_is_left() -> Iterator[None]:
    """A test leaves neither threads nor descriptors behind."""
    threads, descriptors = kernel_threads(), open_descriptors()
    yield
    eventually(lambda: kernel_threads() <= threads)
    eventually(lambda: open_descriptors() <= descriptors)


@pytest.fixture
def talk():
    """Opens connections to addresses, and closes them with the test."""
    peers: list[Peer] = []

    def connect(address: tuple[str, int] | str) -> Peer:
        if isinstance(address, str):
            sock = socket.socket(socket.AF_UNIX)
            sock.settimeout(30)
            sock.connect("\0" + address[1:] if address.startswith("\0") else address)
        else:
            sock = socket.create_connection(address, timeout=30)
        peers.append(Peer(sock))
        return peers[-1]

    yield connect
    for peer in peers:
        peer.socket.close()


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    """Starts programs from their text: `program(text, "--an-option", A_VARIABLE="text")`."""
    started = []

    def start(text: str, *argv: str, **environ: str) -> Program:
        (tmp_path / "program.py").write_text(textwrap.dedent(text))
        started.append(Program([sys.executable, "program.py", *argv], tmp_path, environ))
        return started[-1]

    yield start
    for each in started:
        each.end()


class Gate:
    """An application that waits until it is let go on; it counts the calls inside."""

    def __init__(self) -> None:
        self.opened = threading.Event()
        self.inside = threading.Semaphore(0)

    def __call__(self, environ, start_response):
        self.inside.release()
        assert self.opened.wait(60)
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "4")])
        return [b"done"]

    def wait_inside(self) -> None:
        """Waits for a call."""
        assert self.inside.acquire(timeout=60)


@pytest.fixture
def gate() -> Iterator[Gate]:
    gate = Gate()
    yield gate
    gate.opened.set()
