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

from . import nginx, tls
from .servers import BENCH, PLAIN, Server

BOOT_SECS = 30
NOT_YET = b" 502 "
# An application that reads a body asks for its length; not every server answers when one fails.
FIRST_REQUEST = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Failed(Exception):
    """The server did not do what it must do to be measured."""


@dataclass
class Running:
    server: Server
    port: int
    roots: list[subprocess.Popen[bytes]]
    """What was started; the last one is what clients speak to."""
    log: IO[bytes]
    protocol: str = PLAIN
    start_ms: float = 0.0
    """From the start of the process to the first answer."""

    def pids(self) -> list[int]:
        """The processes that were started and everything below them."""
        return [pid for root in self.roots for pid in tree(root.pid)]

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

    def connect(self, timeout: float) -> socket.socket:
        """A connection for HTTP/1.1, in TLS if the server is measured with it."""
        client = socket.create_connection(("127.0.0.1", self.port), timeout)
        if self.protocol == PLAIN:
            return client
        try:
            return tls.client_context().wrap_socket(client, server_hostname="127.0.0.1")
        except OSError:
            client.close()
            raise

    def url(self, path: str) -> str:
        return f"{'http' if self.protocol == PLAIN else 'https'}://127.0.0.1:{self.port}{path}"

    def tail(self) -> str:
        self.log.seek(0)
        return self.log.read()[-2000:].decode(errors="replace")


def tree(root: int) -> list[int]:
    """A process and everything below it."""
    pids, found = [root], 0
    while found < len(pids):
        for path in Path(f"/proc/{pids[found]}/task").glob("*/children"):
            pids += [int(pid) for pid in path.read_text().split()]
        found += 1
    return pids


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
    protocol: str = PLAIN,
    before: list[str] | None = None,
    boot_secs: int = BOOT_SECS,
    extra: list[str] | None = None,
) -> Iterator[Running]:
    """Starts a server on one core and waits until it answers; stops it and its children after."""
    port = free_port()
    pin = [] if core is None else ["taskset", "-c", str(core)]
    values = {"app": app, "port": port, "connections": connections}
    values |= {"threads": threads, "workers": workers}
    if protocol != PLAIN:
        values |= {"cert": tls.certificate().cert, "key": tls.certificate().key}
    with tempfile.TemporaryFile() as log, tempfile.TemporaryDirectory() as folder:
        command = server.argv(protocol, folder=folder, **values)
        commands = [[*(before or []), *command, *(extra or [])]]
        if server.behind_nginx:
            commands.append(nginx.command(Path(folder), port, workers))
        here = Running(server, port, [], log, protocol)
        try:
            for argv in commands:
                here.roots.append(start([*pin, *argv], app, log))
            wait_for_answer(here, boot_secs)
            yield here
        finally:
            for root in reversed(here.roots):
                stop(root)


def start(argv: list[str], app: str, log: IO[bytes]) -> subprocess.Popen[bytes]:
    try:
        return subprocess.Popen(
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
    except OSError as error:
        raise Failed(f"cannot start {argv[0]}: {error}") from error


def wait_for_answer(here: Running, boot_secs: int) -> None:
    """Asks until there is an answer, whatever it is, and notes how long that took."""
    began = time.monotonic()
    while time.monotonic() < began + boot_secs:
        if any(root.poll() is not None for root in here.roots):
            raise Failed(f"ended at once: {here.tail()}")
        try:
            with here.connect(boot_secs) as client:
                client.sendall(FIRST_REQUEST)
                begin = client.recv(64)
        except OSError:
            begin = NOT_YET
        # What is behind nginx starts at the same time.
        if NOT_YET in begin:
            time.sleep(0.002)
            continue
        here.start_ms = 1000 * (time.monotonic() - began)
        return
    raise Failed(f"does not answer after {boot_secs} s: {here.tail()}")


def stop(root: subprocess.Popen[bytes]) -> None:
    children = tree(root.pid) if root.poll() is None else []
    root.send_signal(signal.SIGTERM)
    try:
        root.wait(timeout=60)
    except subprocess.TimeoutExpired:
        root.kill()
        root.wait()
        # A master that was killed leaves its workers behind.
        for pid in children[1:]:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
