"""A server as a process tree: started, checked, measured, stopped."""

import os
import re
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from .servers import BENCH, Server

BOOT_SECS = 30


class Failed(Exception):
    """The server did not do what it must do to be measured."""


@dataclass
class Running:
    server: Server
    port: int
    root: subprocess.Popen[bytes]
    log: IO[bytes]
    start_ms: float = 0.0
    """From the start of the process to the first answer."""

    def pids(self) -> list[int]:
        """The process that was started and everything below it."""
        pids, found = [self.root.pid], 0
        while found < len(pids):
            for path in Path(f"/proc/{pids[found]}/task").glob("*/children"):
                pids += [int(pid) for pid in path.read_text().split()]
            found += 1
        return pids

    def cpu_secs(self) -> float:
        """CPU time of the whole tree: to the nanosecond where the kernel tells, else in ticks."""
        return sum(cpu_secs(pid) for pid in self.pids())

    def pss_bytes(self) -> int:
        """Memory of the whole tree; a shared page counts once."""
        total = 0
        for pid in self.pids():
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += 1024 * int(re.search(r"^Pss:\s+(\d+)", rollup, re.MULTILINE)[1])
        return total

    def tail(self) -> str:
        self.log.seek(0)
        return self.log.read()[-2000:].decode(errors="replace")


def cpu_secs(pid: int) -> float:
    nanoseconds = 0
    for path in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        nanoseconds += int(path.read_text().split()[0])
    if nanoseconds:
        return nanoseconds / 1e9
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


@contextmanager
def running(
    server: Server,
    app: str,
    core: int | None = 0,
    connections: int = 1000,
    threads: int = 1,
    workers: int = 1,
    before: list[str] | None = None,
    boot_secs: int = BOOT_SECS,
    extra: list[str] | None = None,
) -> Iterator[Running]:
    """Starts a server on one core and waits until it answers; stops it and its children after."""
    port = free_port()
    pin = [] if core is None else ["taskset", "-c", str(core)]
    command = server.argv(app, port, connections, threads, workers)
    argv = [*pin, *(before or []), *command, *(extra or [])]
    with tempfile.TemporaryFile() as log:
        root = subprocess.Popen(
            argv,
            cwd=BENCH / "apps",
            env={
                **os.environ,
                "PYTHONPATH": str(BENCH / "apps"),
                "PYTHONHASHSEED": "0",
                "BENCH_FRAMEWORKS": app.partition("_")[0],
            },
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
        here = Running(server, port, root, log)
        try:
            wait_for_answer(here, boot_secs)
            yield here
        finally:
            stop(here)


def wait_for_answer(here: Running, boot_secs: int) -> None:
    """Asks until there is an answer, whatever it is, and notes how long that took."""
    began = time.monotonic()
    while time.monotonic() < began + boot_secs:
        if here.root.poll() is not None:
            raise Failed(f"ended at once: {here.tail()}")
        try:
            with socket.create_connection(("127.0.0.1", here.port), timeout=boot_secs) as client:
                client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                client.recv(1)
        except OSError:
            time.sleep(0.002)
            continue
        here.start_ms = 1000 * (time.monotonic() - began)
        return
    raise Failed(f"does not answer after {boot_secs} s: {here.tail()}")


def stop(here: Running) -> None:
    children = here.pids() if here.root.poll() is None else []
    here.root.send_signal(signal.SIGTERM)
    try:
        here.root.wait(timeout=60)
    except subprocess.TimeoutExpired:
        here.root.kill()
        here.root.wait()
        # A master that was killed leaves its workers behind.
        for pid in children[1:]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
