"""Opens listeners: at an address of the settings, or from those who have opened them before."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from typing import Any

from oxicorn import _oxicorn
from oxicorn.errors import CannotStart, Error, reason_of

__all__ = ["adopt", "handed_over", "listen"]

_ATTEMPTS = 5


def listen(
    address: str, log: Any, is_told_to_stop: Callable[[], bool], **options: Any
) -> _oxicorn.Listener:
    """Opens one, and waits a little for an address that is taken.

    Raises `CannotStart`, or `KeyboardInterrupt` when the server is told to stop meanwhile.
    """
    host, _, port = address.rpartition(":")
    name = f"('{host}', {port})" if host and "unix:" not in address else address
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _oxicorn.Listener(address, **options)
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise CannotStart(reason_of(error)) from error
        except ValueError as error:
            raise CannotStart(str(error)) from error
        log.error("Connection in use: %s", name)
        if attempt < _ATTEMPTS:
            log.error("Retrying in 1 second.")
            time.sleep(1)
            if is_told_to_stop():
                raise KeyboardInterrupt
    raise CannotStart(f"Can't connect to {name}")


def handed_over() -> list[str]:
    """Sockets that a service manager has opened for this process; told once.

    Raises `Error` where `LISTEN_FDS` is no number (sd_listen_fds(3)).
    """
    if os.environ.get("LISTEN_PID") != str(os.getpid()):
        return []
    told = os.environ.get("LISTEN_FDS", "0")
    if not (told.isascii() and told.isdigit()):
        raise Error(f"LISTEN_FDS is {told!r}, not a number of sockets: unset it, or LISTEN_PID")
    # They are not meant for programs that the application starts.
    for name in ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"):
        os.environ.pop(name, None)
    return [f"fd://{number}" for number in range(3, 3 + int(told))]


def adopt(number: int) -> _oxicorn.Listener:
    listener = _oxicorn.Listener(f"fd://{number}", backlog=0)
    os.close(number)  # it has its own
    return listener
