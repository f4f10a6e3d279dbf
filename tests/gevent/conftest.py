"""Programs with gevent's hub, on both of its loops."""

from __future__ import annotations

import subprocess
import sys

import pytest

from support.server import TESTS, environment


@pytest.fixture(params=["libev-cext", "libuv-cffi"])
def run_program(request):
    """Runs a scenario of a program in `tests/apps`, and gives the lines that it printed."""

    def run(name, scenario):
        done = subprocess.run(
            [sys.executable, str(TESTS / "apps" / f"{name}.py"), scenario],
            env=environment({"GEVENT_LOOP": request.param}),
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout.splitlines()

    return run
