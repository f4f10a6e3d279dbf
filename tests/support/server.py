"""A server under test: the installed package as a process, with its logs in files."""

from __future__ import annotations

import contextlib
import errno
import os
import random
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from support.wait import eventually

TESTS = Path(__file__).resolve().parent.parent

STOP_LIMIT = 60.0
"""Seconds for a graceful stop; above the server's own limit for what is still open."""


def command() -> list[str]:
    """How the server is started.

    OXICORN_TEST_COMMAND names another one with the same options, to see what a test says about it:
    `OXICORN_TEST_COMMAND="python -m gunicorn -k gthread" pytest tests/wire`.
    """
    other = os.environ.get("OXICORN_TEST_COMMAND")
    return shlex.split(other) if other else [sys.executable, "-m", "oxicorn"]


def app_spec(app: str) -> str:
    """`hello` is `tests/apps/hello.py`; whatever has a colon or a dot is passed on as it is."""
    return app if set(app) & set(":.") else f"apps.{app}:app"


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """The environment of a server: nothing of the caller's that would change its settings."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("OXICORN_", "GUNICORN_"))
        and name not in ("PORT", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS", "PYTHONPATH")
    }
    return {**kept, "PYTHONPATH": str(TESTS), "PYTHONUNBUFFERED": "1", **(extra or {})}


class Server:
    """One started server. The `serve` fixture makes it, waits for it, and ends it."""

    def __init__(
        self,
        app: str | None,
        options: Sequence[str],
        *,
        folder: Path,
        bind: str | None,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> None:
        self.expected_exit: int | None = None
        """The exit status that the end of the test asserts; None asserts nothing."""
        self.args = [*command(), *options]
        if bind is not None:
            self.args += ["--bind", bind]
        if app is not None:
            self.args.append(app_spec(app))
        self._bind = bind
        self._stdout, self._stderr = folder / "stdout", folder / "stderr"
        with self._stdout.open("wb") as out, self._stderr.open("wb") as err:
            self._process = subprocess.Popen(
                self.args,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                cwd=cwd or folder,
                env=environment(env),
                start_new_session=True,  # signals to a group reach this server only
            )
        self._announced: list[str] = []

    # What it is.

    @property
    def pid(self) -> int:
        """Process id of the master."""
        return self._process.pid

    @property
    def url(self) -> str:
        """Where it listens, as its log says: `http://127.0.0.1:4000` or `unix:/path`."""
        return self._announced[0]

    @property
    def address(self) -> tuple[str, int] | str:
        """What a socket connects to: host and port, or a path."""
        return _address(self.url)

    @property
    def port(self) -> int:
        """The TCP port of the first listener."""
        address = self.address
        assert not isinstance(address, str), f"{self.url} has no port"
        return address[1]

    def log(self) -> str:
        """The error log so far (standard error)."""
        return self._stderr.read_text(errors="backslashreplace")

    def access_log(self) -> str:
        """The access log so far (standard output)."""
        return self._stdout.read_text(errors="backslashreplace")

    def workers(self) -> list[int]:
        """Process ids of the living workers: the children of the master, seen from outside."""
        path = Path(f"/proc/{self.pid}/task/{self.pid}/children")
        try:
            pids = [int(pid) for pid in path.read_text().split()]
        except FileNotFoundError:
            return []
        return [pid for pid in pids if _is_alive(pid)]

    def connections(self) -> int:
        """Number of TCP connections that its side of the sockets still has open."""
        rows = [row.split() for row in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        port, open_states = f":{self.port:04X}", ("01", "08")  # ESTABLISHED, CLOSE_WAIT
        return sum(row[1].endswith(port) and row[3] in open_states for row in rows)

    def is_running(self) -> bool:
        """Whether the master has not ended."""
        return self._process.poll() is None

    # What one does with it.

    def wait_listening(self, workers: int) -> None:
        """Waits until it says where it listens and has begun to boot its workers."""

        def is_up() -> bool:
            if not self.is_running():
                raise AssertionError(f"ended with {self._process.returncode}:\n{self.log()}")
            if self._announced:
                return self.log().count("Booting worker with pid") >= workers
            said = re.search(r"Listening at: (.+) \(\d+\)", self.log())
            self._announced = said[1].split(",") if said else []
            return False

        eventually(is_up, within=60)

    def wait_accepting(self) -> None:
        """Waits until its address takes a connection, for a server whose log goes elsewhere."""
        bind = self._bind or ""
        self._announced = [bind if bind.startswith("unix:") else f"http://{bind}"]

        def accepts() -> bool:
            if not self.is_running():
                raise AssertionError(f"ended with {self._process.returncode}:\n{self.log()}")
            try:
                self.connect().close()
            except OSError:
                return False
            return True

        eventually(accepts, within=60)

    def connect(self, timeout: float = 30.0) -> socket.socket:
        """A new connection to its first listener."""
        address = self.address
        if isinstance(address, str):
            peer = socket.socket(socket.AF_UNIX)
            peer.settimeout(timeout)
            try:
                peer.connect(address)
            except OSError:
                peer.close()
                raise
            return peer

        def dial() -> socket.socket | None:
            try:
                return socket.create_connection(address, timeout=timeout)
            except OSError as error:
                # All that runs on this machine has the same ports; a shortage passes.
                if error.errno == errno.EADDRNOTAVAIL:
                    return None
                raise

        connected = eventually(dial, within=120)
        assert connected is not None
        return connected

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the master."""
        self._process.send_signal(number)

    def wait(self, within: float = STOP_LIMIT) -> int:
        """Waits for the master to end and gives its exit status."""
        return self._process.wait(within)

    def stop(self) -> int:
        """TERM, then a bounded wait; gives the exit status."""
        if self.is_running():
            self._process.terminate()
        return self.wait()

    def end(self) -> None:
        """The end of the test: stops it, leaves no process behind, and asserts that it was well."""
        stuck = False
        try:
            status = self.stop()
        except subprocess.TimeoutExpired:
            stuck, status = True, -signal.SIGKILL
        finally:
            self._kill_group()
        assert not stuck, f"still there {STOP_LIMIT:.0f} s after TERM"
        if self.expected_exit is not None:
            assert status == self.expected_exit, f"exit status {status}"
        assert "panicked at" not in self.log()

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


def _address(url: str) -> tuple[str, int] | str:
    if url.startswith("unix:"):
        return url.removeprefix("unix:")
    host, _, port = url.removeprefix("https://").removeprefix("http://").rpartition(":")
    return host.strip("[]"), int(port)


def _is_alive(pid: int) -> bool:
    """Whether the process exists and is no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def free_port() -> int:
    """A TCP port that was free a moment ago, for the few tests that cannot use port 0.

    It is below those that the kernel gives to connections, or one of them might have it next.
    """
    first = int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    while True:
        port = random.randrange(10000, max(first, 20000))
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
