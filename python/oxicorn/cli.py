"""The console script: reads the settings, prepares the process, hands over to the master."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from oxicorn import application, config_file, daemon, log_setup, ssl_context, starting, workers
from oxicorn._oxicorn import CommandLine, Credentials, SettingError, Settings
from oxicorn.config import Config
from oxicorn.errors import AppImportError, Error, reason_of
from oxicorn.generation import identity
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
    settings = starting.read(command, location, notes)
    if not _names_application(settings) and not settings.print_config:
        raise Error(NO_APPLICATION)
    starting.prepare(settings)
    workers.check(settings)
    if settings.print_config:
        print("\n".join(settings.listing()), flush=True)
    if settings.print_config or settings.check_config:
        return _check(settings, start)

    def reload() -> Settings:
        """Reads the settings file again, and gives fresh settings; raises as the start would."""
        here = Path.cwd()
        os.chdir(start)
        try:
            fresh = starting.read(command, location, [], say=starting.log)
        except BaseException:
            os.chdir(here)
            raise
        starting.prepare(fresh)
        workers.check(fresh)
        return fresh

    # The new master of an upgrade has left the terminal as its predecessor did.
    if settings.daemon and not begin.listeners:
        daemon.detach(keep_output=settings.enable_stdio_inheritance)

    from oxicorn import master

    load = partial(application.load_for, directory=start)
    return master.run(settings, reload, start=begin, load=load)


def _names_application(settings: Settings) -> bool:
    return settings.wsgi_app is not None or settings.paste is not None


def _check(settings: Settings, start: Path) -> int:
    """Loads the application; every mistake ends with 1, as scripts that check expect."""
    if not _names_application(settings):
        raise Error(NO_APPLICATION)
    try:
        log_setup.load_class(settings)
    except ValueError as error:
        return _complain(str(error), 1)
    try:
        config = Config.of(settings)
        ssl_context.take_over(config)
        resolved = config.resolve()
        Credentials.of(resolved)
        identity(resolved)
    except (OSError, ValueError) as error:
        return _complain(reason_of(error), 1)
    try:
        application.load_for(settings, start)
    except AppImportError as error:
        return _complain(str(error), 1, error.details)
    return 0


def _complain(message: str, exit_code: int, details: str = "") -> int:
    if details:
        print(details.rstrip("\n"), file=sys.stderr)
    print(f"Error: {message}", file=sys.stderr)
    return exit_code
