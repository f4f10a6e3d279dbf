"""What comes before the master: settings read, process prepared; for the console script and for
programs that embed it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any

from oxicorn import application, config_file
from oxicorn._oxicorn import CommandLine, Settings
from oxicorn.errors import Error


def read(
    command: CommandLine,
    location: str | None,
    notes: Iterable[str],
    framework: dict[str, Any] | None = None,
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
    warn([*notes, *settings.warnings])
    return settings


def warn(lines: Iterable[str]) -> None:
    """Says what the operator should know."""
    for line in lines:
        print(f"Warning: {line}", file=sys.stderr)


def prepare(settings: Settings) -> None:
    """Directory, module path and environment, as the application will find them."""
    enter_directory(settings)
    application.prepare_path(settings.pythonpath)
    set_environment(settings)


def enter_directory(settings: Settings) -> None:
    """`chdir`."""
    if settings.chdir is None:
        return
    try:
        os.chdir(settings.chdir)
    except OSError as error:
        origin = settings.origin("chdir")
        raise Error(
            f"chdir: cannot change to `{settings.chdir}`: {error.strerror} ({origin})"
        ) from None


def set_environment(settings: Settings) -> None:
    """`raw_env`."""
    for variable in settings.raw_env:
        name, separator, text = variable.partition("=")
        if not separator or not name:
            origin = settings.origin("raw_env")
            raise Error(f"raw_env: expected NAME=TEXT, got `{variable}` ({origin})")
        os.environ[name] = text
