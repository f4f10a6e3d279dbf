"""Deployments that were made for gunicorn, started by it and by oxicorn.

A tree is copied as it is. In the one file that starts the server the word `gunicorn` becomes
`oxicorn`, and that is all that a move changes.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support.deployed import Deployed

TREES = Path(__file__).resolve().parent


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
