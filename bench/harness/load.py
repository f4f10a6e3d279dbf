"""The load generators, and what a round of one shows."""

import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from . import h2load, handshakes, wrk
from .process import Failed, Running
from .servers import HTTP2
from .workloads import Workload

WARM_SECS = 0.4
OVERTIME_SECS = 60
"""A generator that takes longer than it should waits for a server that says nothing."""
PACKAGES = {
    "taskset": "util-linux",
    "cc": "gcc libc6-dev",
    "vgdb": "valgrind",
    "h2load": "nghttp2-client",
}
"""Debian's, where they have other names than the tools."""


@dataclass(frozen=True)
class Sample:
    """One round of one server."""

    cpu_us: float
    per_second: float
    p50_ms: float
    p99_ms: float


def require_tools(*tools: str) -> None:
    missing = [tool for tool in tools if not shutil.which(tool)]
    if missing:
        names = " ".join(PACKAGES.get(tool, tool) for tool in missing)
        sys.exit(f"needs {', '.join(missing)} (Debian: apt-get install {names})")


def generator(workload: Workload) -> ModuleType:
    """The program that makes this load."""
    if workload.protocol == HTTP2:
        return h2load
    return handshakes if workload.handshake else wrk


def warm_up(here: Running, workload: Workload, core: int | None = 0) -> None:
    """Puts a server under load for a moment. What it makes of that shows when it is measured."""
    with tempfile.TemporaryDirectory() as folder:
        argv = pinned(core, generator(workload).command(here, workload, 9, Path(folder)))
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        with subprocess.Popen(argv, **silent) as program:
            time.sleep(WARM_SECS)
            program.send_signal(signal.SIGINT)


def measure(here: Running, workload: Workload, duration: int, core: int | None = 0) -> Sample:
    """One round: the generator on `core` (None: anywhere), and the server's CPU time meanwhile."""
    chosen = generator(workload)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        argv = pinned(core, chosen.command(here, workload, duration, folder))
        before = here.cpu_secs()
        try:
            done = subprocess.run(
                argv, capture_output=True, text=True, check=False, timeout=duration + OVERTIME_SECS
            )
        except subprocess.TimeoutExpired as error:
            raise Failed(f"the load did not end: {here.tail()}") from error
        cpu = here.cpu_secs() - before
        if done.returncode:
            raise Failed(f"{done.stdout}{done.stderr}")
        seen = chosen.read(done.stdout, workload, folder)
    return Sample(cpu * 1e6 / seen.requests, seen.per_second, seen.p50_ms, seen.p99_ms)


def pinned(core: int | None, argv: list[str]) -> list[str]:
    return argv if core is None else ["taskset", "-c", str(core), *argv]
