"""A program that serves: any command, with its output in files."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path

from support.server import TESTS, environment
from support.wait import eventually


def run_scenario(app: str, scenario: str, environ: Mapping[str, str]) -> list[str]:
    """Runs a program in `tests/apps` to its end, and gives the lines that it printed."""
    done = subprocess.run(
        [sys.executable, str(TESTS / "apps" / f"{app}.py"), scenario],
        env=environment(environ),
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout.splitlines()


class Program:
    """One started program; `end` leaves nothing of it behind."""

    def __init__(
        self,
        args: Sequence[str],
        folder: Path,
        environ: Mapping[str, str] | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self._out, self._err = folder / "out", folder / "err"
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                args,
                cwd=folder,
                env=environment(environ),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
                pass_fds=pass_fds,
            )

    def out(self) -> str:
        """What it printed."""
        return self._out.read_text()

    def log(self) -> str:
        """Its error log."""
        return self._err.read_text()

    def address(self) -> tuple[str, int]:
        """Where it says it listens."""

        def found() -> re.Match[str] | None:
            assert self.process.poll() is None, self.log()
            return re.search(r"Listening at: http://([\d.]+):(\d+)", self.log())

        said = eventually(found)
        assert said is not None
        return said[1], int(said[2])

    def fetch(self, path: str = "/") -> bytes:
        """A page."""
        host, port = self.address()
        with urllib.request.urlopen(f"http://{host}:{port}{path}", timeout=60) as response:
            return bytes(response.read())

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        self.process.send_signal(number)

    def ends(self, number: signal.Signals | None = None) -> int:
        """Its exit status, after a signal or without."""
        if number is not None:
            self.signal(number)
        return self.process.wait(60)

    def end(self) -> None:
        """The end of the test."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        assert "panicked" not in self.log()
