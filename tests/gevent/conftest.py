"""Programs with gevent's hub, on both of its loops."""

from __future__ import annotations

import pytest

from support.program import run_scenario


@pytest.fixture(params=["libev-cext", "libuv-cffi"])
def run_program(request):
    """Runs a scenario of a program in `tests/apps`, and gives the lines that it printed."""
    return lambda name, scenario: run_scenario(name, scenario, {"GEVENT_LOOP": request.param})
