"""Requests that keep a worker busy until a test ends them: the other side of `apps/hog.py`."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from oxicorn import Scoreboard
from support.peer import Peer, Response
from support.server import Server
from support.wait import eventually

ENDLESS = ("--timeout", "0", "--graceful-timeout", "1", "--keep-alive", "600")
"""Options with which nothing but the test ends a slow request."""


class Hogs:
    """The folder in which slow requests are seen to begin and told to end."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.env = {"HOG": str(folder)}

    def begin(self, peer: Peer, what: str, name: str) -> int:
        """Sends a slow request, and gives the process id of the worker that is busy with it."""
        peer.send(request(f"/{what}/{name}"))
        eventually(lambda: self.began(name))
        return int((self.folder / name).read_text())

    def began(self, name: str) -> bool:
        """Whether the application was called for a slow request."""
        return (self.folder / name).exists()

    def end(self, name: str) -> None:
        """Lets a slow request be answered."""
        (self.folder / f"{name}.end").touch()

    def end_all(self) -> None:
        """Lets all of them be answered."""
        for begun in list(self.folder.iterdir()):
            begun.with_suffix(".end").touch()


def request(path: str, *fields: str, method: str = "GET") -> bytes:
    """A plain request."""
    lines = [f"{method} {path} HTTP/1.1", "Host: test", *fields]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode()


def pid_of(response: Response) -> int:
    """The worker that has answered a fast request."""
    assert response.status == 200
    return int(response.body.split()[0])


def warm(peers: list[Peer]) -> list[int]:
    """Uses every connection once; gives the workers they are at, and puts the fullest one first."""
    homes = {peer: pid_of(peer.get("/warm")) for peer in peers}
    counts = Counter(homes.values())
    peers.sort(key=lambda peer: (-counts[homes[peer]], homes[peer]))
    return [homes[peer] for peer in peers]


def at_work(server: Server, pid: int) -> int:
    """Requests that a worker is busy with."""
    workers = Scoreboard(server.pid).read()["workers"]
    return int(next(worker["busy"] for worker in workers if worker["pid"] == pid))


def descriptors(pid: int) -> int:
    """Open descriptors of a process."""
    return len(os.listdir(f"/proc/{pid}/fd"))
