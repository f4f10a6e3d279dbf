"""A server that is started as a deployment starts it, whatever its name."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from support.program import Program
from support.wait import eventually


class Deployed(Program):
    """A server that was started as the deployment does it."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        env: Mapping[str, str],
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.folder = folder
        own = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            # gunicorn makes files there.
            "HOME": str(folder),
            "PYTHONPATH": "",
        }
        super().__init__(command, folder, {**own, **env}, pass_fds)

    def says(self, text: str, times: int = 1) -> None:
        """Waits for a text in the log."""

        def said() -> bool:
            assert self.process.poll() is None, self.log()
            return self.log().count(text) >= times

        try:
            eventually(said, within=60)
        except AssertionError:
            raise AssertionError(f"{text!r} is not in the log:\n{self.log()}") from None
