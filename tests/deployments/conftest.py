"""Deployments that were made for gunicorn, started by it and by oxicorn.

A tree is copied as it is. In the one file that starts the server the word `gunicorn` becomes
`oxicorn`, and that is all that a move changes.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from support import eventually
from support.server import environment

TREES = Path(__file__).resolve().parent


class Deployed:
    """A server that was started as the deployment does it."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        env: Mapping[str, str],
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.folder = folder
        self._out, self._err = folder / "stdout.log", folder / "stderr.log"
        programs = str(Path(sys.executable).parent)
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                command,
                cwd=folder,
                env={
                    **environment(),
                    "PATH": f"{programs}:{os.environ['PATH']}",
                    # gunicorn makes files there.
                    "HOME": str(folder),
                    "PYTHONPATH": "",
                    **env,
                },
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                start_new_session=True,
                pass_fds=pass_fds,
            )

    def out(self) -> str:
        """Standard output, where access lines go."""
        return self._out.read_text()

    def log(self) -> str:
        """Standard error."""
        return self._err.read_text()

    def says(self, text: str, times: int = 1) -> None:
        """Waits for a text in the log."""

        def said() -> bool:
            assert self.process.poll() is None, self.log()
            return self.log().count(text) >= times

        try:
            eventually(said, within=60)
        except AssertionError:
            raise AssertionError(f"{text!r} is not in the log:\n{self.log()}") from None

    def signal(self, number: signal.Signals) -> None:
        """Sends a signal to the process that was started."""
        self.process.send_signal(number)

    def ends(self) -> int:
        """Waits for the end and gives the exit status."""
        return self.process.wait(60)

    def end(self) -> None:
        """Leaves nothing of it."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        assert "panicked" not in self.log()


@pytest.fixture(params=["gunicorn", "oxicorn"])
def word(request: pytest.FixtureRequest) -> str:
    """The server's name, where the deployment starts it."""
    return str(request.param)


@pytest.fixture
def tree(tmp_path: Path, word: str) -> Callable[[str, str], Path]:
    """Copies a tree; `start` is the file in it that starts the server."""

    def copy(name: str, start: str) -> Path:
        folder = tmp_path / name
        shutil.copytree(TREES / name, folder, ignore=shutil.ignore_patterns("__pycache__"))
        text = (folder / start).read_text()
        moved, count = re.subn(r"\bgunicorn(?= )", word, text)
        assert count == 1, f"{start} starts the server {count} times"
        (folder / start).write_text(moved)
        return folder

    return copy


@pytest.fixture
def deploy() -> Iterator[Callable[..., Deployed]]:
    """Starts servers, and ends them with the test."""
    started: list[Deployed] = []

    def run(*args, **options) -> Deployed:
        started.append(Deployed(*args, **options))
        return started[-1]

    yield run
    for each in started:
        each.end()
