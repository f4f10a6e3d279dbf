"""The console script: reads the settings, prepares the process, hands over to the master."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from oxicorn import application, config_file, daemon, log_setup, workers
from oxicorn._oxicorn import CommandLine, SettingError, Settings
from oxicorn.errors import AppImportError, Error
from oxicorn.upgrade import Start

__all__ = ["main"]

NO_APPLICATION = "no application given: oxicorn [options] module:app"


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the server and returns its exit code.

    0: a normal end. 1: a wrong setting, no application, or a check that failed. 2: a wrong command
    line. 3 and 4: the application cannot be loaded.
    """
    try:
        return _main(sys.argv[1:] if argv is None else argv)
    except SettingError as error:
        return _complain(str(error), error.exit_code)
    except Error as error:
        return _complain(str(error), error.exit_code, error.details)
    except KeyboardInterrupt:
        return 130


def _main(argv: Sequence[str]) -> int:
    begin = Start.take()
    environ = dict(os.environ)
    if argv and argv[0] == "explain-proxy":
        from oxicorn.explain import explain

        return explain(argv[1:], environ)
    if argv and argv[0] == "migrate":
        from oxicorn.migrate import migrate

        return migrate(argv[1:], environ)
    if argv and argv[0] == "show-workers":
        from oxicorn.show_workers import show_workers

        return show_workers(argv[1:])
    command = CommandLine(argv, environ)
    if command.action == "print":
        print(command.text, end="")
        return 0

    # The file belongs to the directory that the server was started in, also at a reload.
    start = Path.cwd()
    location = command.config
    notes: list[str] = []
    if location is None:
        location, notes = config_file.find()
    settings = _read(command, location, notes)
    if settings.wsgi_app is None and not settings.print_config:
        raise Error(NO_APPLICATION)
    _prepare(settings)
    workers.check(settings)
    if settings.print_config:
        print("\n".join(settings.listing()), flush=True)
    if settings.print_config or settings.check_config:
        return _check(settings)

    def reload() -> Settings:
        """Reads the settings file again, and gives fresh settings; raises as the start would."""
        here = Path.cwd()
        os.chdir(start)
        try:
            fresh = _read(command, location, [])
        except BaseException:
            os.chdir(here)
            raise
        _prepare(fresh)
        workers.check(fresh)
        return fresh

    # The new master of an upgrade has left the terminal as its predecessor did.
    if settings.daemon and not begin.listeners:
        daemon.detach(keep_output=settings.enable_stdio_inheritance)

    from oxicorn import master

    return master.run(settings, reload, start=begin)


def _read(command: CommandLine, location: str | None, notes: list[str]) -> Settings:
    """Runs the settings file and puts all layers together."""
    if location is None:
        settings = command.settings()
    else:
        file = config_file.load(location)
        notes = [*notes, *file.notes]
        # A hook may be named, and its module stand beside the file.
        with config_file.importing_from_here():
            settings = command.settings(file.path, file.names, file.lines)
    for line in [*notes, *settings.warnings]:
        print(f"Warning: {line}", file=sys.stderr)
    return settings


def _prepare(settings: Settings) -> None:
    """Directory, module path and environment, as the application will find them."""
    if settings.chdir is not None:
        try:
            os.chdir(settings.chdir)
        except OSError as error:
            origin = settings.origin("chdir")
            raise Error(
                f"chdir: cannot change to `{settings.chdir}`: {error.strerror} ({origin})"
            ) from None
    application.prepare_path(settings.pythonpath)
    for variable in settings.raw_env:
        name, separator, text = variable.partition("=")
        if not separator or not name:
            origin = settings.origin("raw_env")
            raise Error(f"raw_env: expected NAME=TEXT, got `{variable}` ({origin})")
        os.environ[name] = text


def _check(settings: Settings) -> int:
    """Loads the application; every mistake ends with 1, as scripts that check expect."""
    if settings.wsgi_app is None:
        raise Error(NO_APPLICATION)
    try:
        log_setup.load_class(settings)
    except ValueError as error:
        return _complain(str(error), 1)
    try:
        application.load(settings.wsgi_app)
    except AppImportError as error:
        return _complain(str(error), 1, error.details)
    return 0


def _complain(message: str, exit_code: int, details: str = "") -> int:
    if details:
        print(details.rstrip("\n"), file=sys.stderr)
    print(f"Error: {message}", file=sys.stderr)
    return exit_code
