"""Programs that embed the server by a subclass, as gunicorn's do: only the import differs."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from oxicorn import application, config_file, daemon, starting, workers
from oxicorn._oxicorn import CommandLine, Settings, setting_names
from oxicorn.config import Config
from oxicorn.errors import Error
from oxicorn.upgrade import Start

__all__ = ["Application", "BaseApplication"]


class BaseApplication:
    """A program with settings of its own; `load_config` and `load` are to be written."""

    def __init__(self, usage: str | None = None, prog: str | None = None) -> None:
        self.usage = usage
        self.prog = prog
        self.cfg: Any = None
        self.callable: Callable[..., Any] | None = None
        self.logger = None
        self._start = Start.take()
        self._is_serving = False
        self.do_load_config()

    def do_load_config(self) -> None:
        """Sets everything up; what is wrong ends the process with a message."""
        try:
            self.load_default_config()
            self.load_config()
            self.cfg.resolve()
        except Exception as error:
            if self._is_serving:
                raise
            if details := getattr(error, "details", ""):
                print(details.rstrip("\n"), file=sys.stderr)
            print(f"Error: {error}", file=sys.stderr)
            sys.exit(getattr(error, "exit_code", 1))

    def load_default_config(self) -> None:
        """Begins with the defaults."""
        self.cfg = Config(self.usage, prog=self.prog)

    def init(self, parser: Any, opts: Any, args: list[str]) -> dict[str, Any] | None:
        """Settings of the program, weaker than those of files and the command line."""
        raise NotImplementedError

    def load(self) -> Callable[..., Any]:
        """Gives the WSGI application; each worker calls it once, or the master with preload_app."""
        raise NotImplementedError

    def load_config(self) -> None:
        """Sets settings: `self.cfg.set(name, value)`."""
        raise NotImplementedError

    def reload(self) -> None:
        """Reads the settings again."""
        self.do_load_config()

    def wsgi(self) -> Callable[..., Any]:
        """The WSGI application, loaded when it is asked for first."""
        if self.callable is None:
            self.callable = self.load()
        return self.callable

    def run(self) -> None:
        """Serves until told to stop, and ends the process."""
        settings: Settings = self.cfg.resolve()
        try:
            starting.set_environment(settings)
            workers.check(settings)
        except Error as error:
            print(f"Error: {error}", file=sys.stderr)
            sys.exit(error.exit_code)
        if not isinstance(self, Application):
            starting.warn(settings.warnings)
        from oxicorn import master

        self._is_serving = True

        def load(settings: Settings) -> Callable[..., Any]:
            return self.wsgi()

        sys.exit(master.run(settings, self._reread, start=self._start, load=load, program=self))

    def _reread(self) -> Settings:
        """Fresh settings for HUP; raises where the start would have ended the process."""
        before = self.cfg
        try:
            self.reload()
            settings: Settings = self.cfg.resolve()
            starting.set_environment(settings)
            workers.check(settings)
        except SystemExit as error:
            self.cfg = before
            raise Error(
                f"the program left with {error.code!r} while it read its settings"
            ) from None
        except BaseException:
            self.cfg = before
            raise
        return settings


class Application(BaseApplication):
    """A program with a command line and settings files; `init` and `load` are to be written."""

    def __init__(self, usage: str | None = None, prog: str | None = None) -> None:
        self._directory = Path.cwd()
        super().__init__(usage, prog)

    def chdir(self) -> None:
        """Enters the directory of the settings; modules are looked for in it."""
        settings = self.cfg.resolve()
        starting.enter_directory(settings)
        application.prepare_path(settings.pythonpath)

    def load_config_from_file(self, filename: str) -> dict[str, Any]:
        """Adds what a settings file says; gives its names."""
        names = config_file.load(filename).names
        for name, value in names.items():
            if name in self.cfg.settings:
                self.cfg.set(name, value)
        return names

    def load_config(self) -> None:
        """Command line, environment and settings file, over what `init` gives."""
        os.chdir(self._directory)
        command = CommandLine(sys.argv[1:], dict(os.environ))
        if command.action == "print":
            print(command.text, end="")
            sys.exit(0)
        options, arguments = _options(command)
        parser = argparse.ArgumentParser(self.cfg.prog, self.usage, add_help=False)
        framework = self.init(parser, options, arguments)
        location = command.config
        notes: list[str] = []
        if location is None:
            location, notes = config_file.find()
        own = {**self.cfg._given, **(framework or {})}
        say = starting.log if self._is_serving else starting.warn
        self.cfg.start_from(starting.read(command, location, notes, framework=own, say=say))
        self.chdir()

    def run(self) -> None:
        """Serves, or checks and prints as the settings ask."""
        settings = self.cfg.resolve()
        if settings.print_config:
            print(self.cfg, flush=True)
        if settings.print_config or settings.check_config:
            try:
                self.load()
            except Exception:
                print("Error while loading the application:", file=sys.stderr)
                traceback.print_exc()
                sys.exit(1)
            sys.exit(0)
        if settings.daemon and not self._start.listeners:
            daemon.detach(keep_output=settings.enable_stdio_inheritance)
        super().run()


def _options(command: CommandLine) -> tuple[SimpleNamespace, list[str]]:
    """What the command line gives, as gunicorn's parser tells it: `None` for all else."""
    settings = command.settings()
    given = {
        name: getattr(settings, name) if settings.origin(name).startswith("-") else None
        for name in setting_names()
    }
    is_named = settings.origin("wsgi_app") == "command line"
    arguments = [settings.wsgi_app] if is_named else []
    return SimpleNamespace(**given, args=arguments), arguments
