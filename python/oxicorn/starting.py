"""What comes before the master: settings read, process prepared; for the console script and for
programs that embed it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from oxicorn import _oxicorn, application, config_file
from oxicorn._oxicorn import CommandLine, Settings
from oxicorn.errors import Error

# What variables were before `raw_env` set them.
_before: dict[str, str | None] = {}


def warn(lines: Iterable[str]) -> None:
    """Says what the operator should know, to whoever starts the server."""
    for line in lines:
        print(f"Warning: {line}", file=sys.stderr)


def log(lines: Iterable[str]) -> None:
    """Says it in the error log, when the server has one."""
    for line in lines:
        _oxicorn.log("warning", line)


def read(
    command: CommandLine,
    location: str | None,
    notes: Iterable[str],
    framework: dict[str, Any] | None = None,
    say: Callable[[Iterable[str]], None] = warn,
) -> Settings:
    """Runs the settings file, puts all layers together, and says what there is to say."""
    if location is None:
        settings = command.settings(framework=framework)
    else:
        file = config_file.load(location)
        notes = [*notes, *file.notes]
        # A hook may be named, and its module stand beside the file.
        with config_file.importing_from_here():
            settings = command.settings(file.path, file.names, file.lines, framework)
    say([*notes, *settings.warnings])
    return settings


def prepare(settings: Settings) -> None:
    """Directory, module path and environment, as the application will find them."""
    enter_directory(settings)
    application.prepare_path(settings.pythonpath)
    set_environment(settings)


def enter_directory(settings: Settings) -> None:
    """`chdir`; modules of the directory that is left can still be imported."""
    if settings.chdir is None:
        return
    application.put_first(os.getcwd())
    try:
        os.chdir(settings.chdir)
    except OSError as error:
        origin = settings.origin("chdir")
        raise Error(
            f"chdir: cannot change to `{settings.chdir}`: {error.strerror} ({origin})"
        ) from None


def set_environment(settings: Settings) -> None:
    """`raw_env`; what earlier settings have set, and these do not, is as it was before them."""
    wanted = {}
    for variable in settings.raw_env:
        name, separator, text = variable.partition("=")
        if not separator or not name:
            origin = settings.origin("raw_env")
            raise Error(f"raw_env: expected NAME=TEXT, got `{variable}` ({origin})")
        wanted[name] = text
    for name in _before.keys() - wanted.keys():
        text = _before.pop(name)
        if text is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = text
    for name, text in wanted.items():
        _before.setdefault(name, os.environ.get(name))
        os.environ[name] = text


@dataclass(frozen=True)
class Surroundings:
    """What of the process belongs to some settings: directory, module path and environment."""

    settings: Settings
    directory: str
    path: tuple[str, ...]

    @classmethod
    def of(cls, settings: Settings) -> Surroundings:
        """What these settings have made of it."""
        return cls(settings, os.getcwd(), tuple(sys.path))

    def enter(self) -> None:
        """Makes it so again."""
        os.chdir(self.directory)
        sys.path[:] = self.path
        set_environment(self.settings)
