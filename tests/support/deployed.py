"""A server that is started as a deployment starts it, whatever its name."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from support.server import environment
from support.wait import eventually


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
