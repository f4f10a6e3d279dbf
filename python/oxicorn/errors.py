"""Mistakes of the operator: one line each, and the code that the process ends with.

And `RequestTimeout`, which applications see.
"""

from __future__ import annotations

from collections.abc import Sequence

__all__ = [
    "AppImportError",
    "CannotStart",
    "ConfigFileError",
    "Error",
    "HaltServer",
    "RequestTimeout",
    "reason_of",
]


class Error(Exception):
    """A mistake that stops the start: `str()` is the line to show.

    `details` is text for the lines below it (a traceback of the operator's own code), or empty.
    """

    def __init__(self, message: str, exit_code: int = 1, details: str = "") -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.details = details


class AppImportError(Error):
    """The application cannot be loaded: 3 if its module fails, 4 if the name in it is wrong."""

    def __init__(
        self, message: str, exit_code: int = 1, details: str = "", files: Sequence[str] = ()
    ) -> None:
        super().__init__(message, exit_code, details)
        self.files = list(files)
        """The application's own files that have to do with it, as far as known."""


class CannotStart(Exception):
    """The server cannot start; the log has said why if there is no reason here."""


class ConfigFileError(Error):
    """The settings file cannot be read or run."""


class HaltServer(BaseException):
    """Raised in a hook of the master, it ends the server, as gunicorn's does.

    No `Exception`, as what else hooks raise is logged and forgotten.
    """

    def __init__(self, reason: str, exit_status: int = 1) -> None:
        super().__init__(reason)
        self.reason = reason
        self.exit_status = exit_status


class RequestTimeout(BaseException):
    """Raised in a request that takes longer than `request_timeout`.

    No `Exception`, as `GeneratorExit` and `asyncio.CancelledError` are none: code that catches all
    errors to try again, or to answer with a page of its own, must not keep a request from ending.
    """

    def __init__(self, message: str = "the request took longer than request_timeout") -> None:
        super().__init__(message)


def reason_of(error: Exception) -> str:
    """What an error says, without the number that the kernel gives it."""
    return str(error.strerror or error) if isinstance(error, OSError) else str(error)
