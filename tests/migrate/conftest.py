"""What `oxicorn migrate` prints is read back, by TOML's rules and by the server."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

APPLICATION = """
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]


app = application


def create_app():
    return application
"""


class Migrated(NamedTuple):
    """The file that was printed."""

    text: str
    settings: dict[str, Any]
    stderr: str

    def note(self, what: str) -> str:
        """The comment about something, on one line."""
        lines = iter(self.text.splitlines())
        for line in lines:
            if line.startswith(f"# - {what}"):
                note = [line.removeprefix("# - ")]
                for more in lines:
                    if not more.startswith("#   "):
                        break
                    note.append(more.removeprefix("#   "))
                return " ".join(note)
        raise AssertionError(f"nothing is said about {what}:\n{self.text}")


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A directory with a package that can be served."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop/__init__.py").touch()
    (tmp_path / "shop/wsgi.py").write_text(APPLICATION)
    return tmp_path


@pytest.fixture
def migrate(
    oxicorn: Callable[..., subprocess.CompletedProcess[str]], place: Path
) -> Callable[..., Migrated]:
    """Runs `oxicorn migrate`, and has the server check what came of it."""

    def run(*args: str, env: Mapping[str, str] | None = None, checked: bool = True) -> Migrated:
        result = oxicorn("migrate", *args, env=env, cwd=place)
        assert result.returncode == 0, result.stderr
        settings = tomllib.loads(result.stdout)
        if checked:
            (place / "oxicorn.toml").write_text(result.stdout)
            # A file may change the directory, so it is named from the root.
            told = oxicorn("--check-config", "-c", str(place / "oxicorn.toml"), cwd=place)
            assert (told.returncode, told.stderr) == (0, ""), told.stderr
        return Migrated(result.stdout, settings, result.stderr)

    return run
