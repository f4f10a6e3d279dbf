"""The error log as hooks see it: `server.log` and `worker.log`."""

from __future__ import annotations

import traceback

from oxicorn import _oxicorn


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
