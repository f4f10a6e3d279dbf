"""Who writes the logs of a process: the engine alone, or Python's logging as well.

As long as nothing more is asked for, the engine formats and writes both logs without the
interpreter. A logger class, a configuration of logging, syslog and StatsD are Python's: then the
engine's own messages are queued for the logger (`Carrier`), and access lines are made where the
hooks around requests are called.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import threading
import urllib.parse
from datetime import timedelta
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, NamedTuple

from oxicorn import _oxicorn, gunicorn_names
from oxicorn.config import Config
from oxicorn.log_records import AccessLogHandler, ErrorLogHandler
from oxicorn.logger import Logger, file_handlers, tell_of_failure
from oxicorn.statsd import Statsd

__all__ = [
    "Carrier",
    "Flow",
    "flow",
    "go_back",
    "install",
    "load_class",
    "release_access_log",
    "reopen",
    "share_logs",
]

_DEFAULT_CLASS = "gunicorn.glogging.Logger"
_STATSD_CLASS = "gunicorn.instrument.statsd.Statsd"
_NAMES = ("gunicorn.error", "gunicorn.access")

# What the process has opened, and by which settings: there is one error log.
_lock = threading.Lock()
_error_log: tuple[str, str, bool] | None = None


class Flow(NamedTuple):
    """What goes through Python."""

    errors: bool
    """Messages of the engine."""
    access: bool
    """Access lines."""


# For a master and its workers.


def install(cfg: Config) -> Any:
    """Opens the logs that the settings name, and makes the logger: `server.log`.

    Raises `OSError` or `ValueError` with the name of the setting, and what a logger class of the
    operator's raises; `go_back` then puts the logs back that were there.
    """
    settings = cfg.resolve()
    make = load_class(settings)
    through = _wanted(settings, make)
    with _lock:
        _init(settings, _error_log_of(settings), through.access)
    for name in _NAMES:
        log = logging.getLogger(name)
        log.handlers.clear()
        log.filters.clear()
    with gunicorn_names.importable():
        made = make(cfg)
    _give_files(settings)
    _oxicorn.forward_messages(made if through.errors else None)
    return made


def go_back(cfg: Config, log: Any) -> Any:
    """Installs the logs of these settings again, after a reload that came to nothing.

    `log` is the logger that they had; it is what there is if that fails.
    """
    try:
        return install(cfg)
    except Exception:
        tell_of_failure("the logs of the settings that stay")
        return log


def reopen(settings: Any, log: Any) -> None:
    """Opens all files of the logs again by their names, before the workers do it."""
    try:
        log.reopen_files()
    except Exception:
        tell_of_failure("usr1")
    _give_files(settings)


def load_class(settings: Any) -> Any:
    """The class of the logger; raises `ValueError`."""
    named = settings.logger_class
    if isinstance(named, type) and f"{named.__module__}.{named.__qualname__}" == _DEFAULT_CLASS:
        named = Logger
    if named in (_DEFAULT_CLASS, "simple", Logger):
        return Statsd if settings.statsd_host else Logger
    if named == _STATSD_CLASS:
        return Statsd
    if isinstance(named, str):
        try:
            with gunicorn_names.importable():
                named = _imported(named)
        except Exception as error:
            what = f"{type(error).__name__}: {error}"
            raise ValueError(_wrong_class(settings, f"cannot be imported: {what}")) from error
    if not callable(named):
        raise ValueError(_wrong_class(settings, "is no class"))
    if hasattr(named, "install"):
        named.install()
    return named


def flow(settings: Any, log: Any) -> Flow:
    """Decides what goes through Python in a worker whose application is loaded, and says it.

    Besides what the settings ask for, that is what somebody has hung on the loggers since.
    """
    errors, access = (logging.getLogger(name) for name in _NAMES)
    for logger in (errors, access):
        # An application that configures logging turns off the loggers that it does not name.
        logger.disabled = False
    wanted = _wanted(settings, type(log))
    through = Flow(
        wanted.errors or _is_touched(errors, ErrorLogHandler),
        wanted.access or (bool(settings.accesslog) and _is_touched(access, AccessLogHandler)),
    )
    _oxicorn.forward_messages(log if through.errors else None)
    if through.access:
        _oxicorn.forward_access()
    return through


# For a server inside a program, whose loggers are left alone.


def share_logs(settings: Any) -> None:
    """Opens the logs; the error log that is open stays, unless the settings name one."""
    with _lock:
        names = ("errorlog", "loglevel", "capture_output")
        if _error_log is None or any(settings.origin(name) != "default" for name in names):
            _init(settings, _error_log_of(settings))
        elif settings.accesslog is not None:
            _init(settings, _error_log)


def release_access_log(settings: Any) -> None:
    """Leaves the access log of these settings to the engines that were made since it was opened."""
    with _lock:
        if settings.accesslog is not None and _error_log is not None:
            path, level, capture = _error_log
            shape = settings.access_log_format, settings.log_format == "json"
            _oxicorn.init_logs(path, level, None, *shape, capture, False)


def _error_log_of(settings: Any) -> tuple[str, str, bool]:
    return settings.errorlog or "-", settings.loglevel, settings.capture_output


def _init(settings: Any, error_log: tuple[str, str, bool], access_by_python: bool = False) -> None:
    global _error_log
    path, level, capture = error_log
    shape = settings.access_log_format, settings.log_format == "json"
    _oxicorn.init_logs(path, level, settings.accesslog, *shape, capture, access_by_python)
    _error_log = error_log


class Carrier:
    """Brings the engine's messages to the logger, in a process whose loggers are Python's.

    `owner.log` is the logger.
    """

    def __init__(self, owner: Any) -> None:
        self._owner = owner
        self._lock = threading.Lock()

    def start(self) -> None:
        """Does it on a thread from now on."""
        threading.Thread(target=self._run, name="oxicorn-log", daemon=True).start()

    def deliver(self) -> None:
        """Does it now; also what another thread has begun is done when this returns."""
        with self._lock:
            for message in _oxicorn.take_messages():
                self._deliver(*message)

    def _run(self) -> None:
        while True:
            _oxicorn.await_messages()
            self.deliver()

    def _deliver(self, what: str, content: Any) -> None:
        try:
            if what == "refused":
                _log_refused(self._owner.log, **content)
            else:
                getattr(self._owner.log, what)("%s", content)
        except Exception:
            tell_of_failure(content)


def _wanted(settings: Any, make: Any) -> Flow:
    is_own = make not in (Logger, Statsd)
    has_config = settings.logconfig_dict or settings.logconfig_json or settings.logconfig
    to_syslog = settings.syslog and not settings.disable_redirect_access_to_syslog
    return Flow(
        bool(is_own or has_config or settings.syslog or make is Statsd),
        bool(is_own or has_config or to_syslog),
    )


def _is_touched(log: logging.Logger, ours: type[logging.Handler]) -> bool:
    """Whether a logger does more than the engine would do in its place."""
    handlers = [handler for handler in log.handlers if type(handler) is ours]
    if log.filters or log.propagate or len(handlers) != len(log.handlers):
        return True
    return not log.isEnabledFor(logging.CRITICAL) or any(handler.filters for handler in handlers)


def _imported(name: str) -> Any:
    if name.startswith("egg:"):
        project, _, name = name.removeprefix("egg:").partition("#")
        for entry in entry_points(group="gunicorn.loggers", name=name):
            if entry.dist is not None and entry.dist.name.lower() == project.lower():
                return entry.load()
        raise LookupError(f"no such entry point in `gunicorn.loggers` of `{project}`")
    module, _, attribute = name.rpartition(".")
    if not module:
        raise LookupError("expected module.Class")
    return getattr(importlib.import_module(module), attribute)


def _wrong_class(settings: Any, what: str) -> str:
    return f"logger_class: `{settings.logger_class}` {what} ({settings.origin('logger_class')})"


def _give_files(settings: Any) -> None:
    """Gives the files of loggers to the user of the workers, who open them again."""
    if not (settings.user or settings.group):
        return
    uid, gid = _oxicorn.find_identity(settings.user, settings.group)
    for handler in file_handlers():
        # One that waits for its first message has no file yet.
        if handler.stream is None or not Path(handler.baseFilename).is_file():
            continue
        with contextlib.suppress(OSError):
            os.fchown(handler.stream.fileno(), uid, gid)


def _log_refused(
    log: Any,
    *,
    status: int,
    sent: int,
    client: str,
    method: str,
    target: str,
    protocol: str,
    fields: list[tuple[str, str]],
    names: dict[str, str],
) -> None:
    """The line of a request that no application has seen."""
    from oxicorn.request_hooks import Request, Response

    path, _, query = target.partition("?")
    environ = {
        "REQUEST_METHOD": method,
        "RAW_URI": target,
        "PATH_INFO": urllib.parse.unquote(path, "latin-1"),
        "QUERY_STRING": query,
        "SERVER_PROTOCOL": protocol,
        "REMOTE_ADDR": client,
        "wsgi.url_scheme": "http",
        "wsgi.input": None,
        **names,
    }
    for name, value in fields:
        environ["HTTP_" + name.upper().replace("-", "_")] = value
    request = Request(environ, [(name.upper(), value) for name, value in fields])
    log.access(Response(status, sent, None), request, environ, timedelta(0))
