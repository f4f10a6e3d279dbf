"""The error log as hooks see it: `server.log` and `worker.log`."""

from __future__ import annotations

import threading
import traceback
from typing import Any

from oxicorn import _oxicorn

# What the process has opened, and by which settings: there is one error log.
_lock = threading.Lock()
_error_log: tuple[str, str, bool] | None = None


def init_logs(settings: Any) -> None:
    """Opens the logs that the settings name."""
    with _lock:
        _init(settings, (settings.errorlog or "-", settings.loglevel, settings.capture_output))


def share_logs(settings: Any) -> None:
    """The same for a server inside a program: what is open stays, unless the settings name it."""
    with _lock:
        named = (settings.errorlog or "-", settings.loglevel, settings.capture_output)
        names = ("errorlog", "loglevel", "capture_output")
        if _error_log is None or any(settings.origin(name) != "default" for name in names):
            _init(settings, named)
        elif settings.accesslog is not None:
            _init(settings, _error_log)


def release_access_log(settings: Any) -> None:
    """Leaves the access log of these settings to the engines that were made since it was opened."""
    with _lock:
        if settings.accesslog is not None and _error_log is not None:
            path, level, capture = _error_log
            shape = settings.access_log_format, settings.log_format == "json"
            _oxicorn.init_logs(path, level, None, *shape, capture)


def _init(settings: Any, error_log: tuple[str, str, bool]) -> None:
    global _error_log
    path, level, capture = error_log
    shape = settings.access_log_format, settings.log_format == "json"
    _oxicorn.init_logs(path, level, settings.accesslog, *shape, capture)
    _error_log = error_log


class Logger:
    """Writes to the server's error log; messages are formatted as those of `logging` are."""

    def debug(self, message: object, *args: object) -> None:
        _write("debug", message, args)

    def info(self, message: object, *args: object) -> None:
        _write("info", message, args)

    def warning(self, message: object, *args: object) -> None:
        _write("warning", message, args)

    def error(self, message: object, *args: object) -> None:
        _write("error", message, args)

    def critical(self, message: object, *args: object) -> None:
        _write("critical", message, args)

    def exception(self, message: object, *args: object) -> None:
        """An error with the traceback of the exception being handled."""
        _write("error", f"{_text(message, args)}\n{traceback.format_exc().rstrip()}", ())


def _write(level: str, message: object, args: tuple[object, ...]) -> None:
    if _oxicorn.log_enabled(level):
        _oxicorn.log(level, _text(message, args))


def _text(message: object, args: tuple[object, ...]) -> str:
    return str(message) % args if args else str(message)
