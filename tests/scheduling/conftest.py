"""Slow requests for the tests of scheduling."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.hogs import Hogs


@pytest.fixture
def hogs(tmp_path: Path) -> Iterator[Hogs]:
    """Slow requests that are ended with the test at the latest."""
    folder = tmp_path / "hogs"
    folder.mkdir()
    hogs = Hogs(folder)
    yield hogs
    hogs.end_all()
