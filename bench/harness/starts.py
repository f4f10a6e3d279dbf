"""How long a server takes from its start to its first answer, and what memory it has then."""

import time
from dataclasses import dataclass, field
from statistics import median

from . import process, servers

APP = "hello"
WORKERS = 4
QUIET_SECS = 0.5


@dataclass
class Start:
    """Starts of one server, each of a new process tree."""

    all_ms: list[float] = field(default_factory=list)
    pss_bytes: int = 0
    """Memory of the tree with one worker, after one answer; a shared page counts once."""
    worker_bytes: float | None = None
    """What a further worker adds; `None` where there can be one only."""

    @property
    def ms(self) -> float:
        return median(self.all_ms)


def once(server: servers.Server, start: Start) -> None:
    """One start with one worker."""
    with process.running(server, APP) as here:
        start.all_ms.append(here.start_ms)
        start.pss_bytes = here.pss_bytes()


def with_workers(server: servers.Server, start: Start) -> None:
    """What more workers take, where there can be any."""
    if "{workers}" not in server.command:
        return
    with process.running(server, APP, workers=WORKERS) as here:
        settle(here)
        start.worker_bytes = (here.pss_bytes() - start.pss_bytes) / (WORKERS - 1)


def settle(here: process.Running) -> None:
    """Waits until no process has come for a while: the first worker may answer before the last."""
    seen, since = 0, time.monotonic()
    deadline = since + process.BOOT_SECS
    while time.monotonic() < min(since + QUIET_SECS, deadline):
        if len(here.pids()) != seen:
            seen, since = len(here.pids()), time.monotonic()
        time.sleep(0.02)
