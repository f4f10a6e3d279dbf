"""Worker classes that run the application under another library's event loop."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from importlib import metadata
from typing import Any

from oxicorn._oxicorn import LoopHandle
from oxicorn.errors import Error

__all__ = ["TAKING_TURNS", "Host", "check", "host"]

# The modules behind the worker classes, each with its package and the oldest version of it that has
# what is used.
_GEVENT = ("gevent", "gevent", (24, 2))
_PACKAGES = {
    "eventlet": [("eventlet", "eventlet", (0, 33))],
    "gevent": [_GEVENT],
    "geventwebsocket": [_GEVENT, ("geventwebsocket", "gevent-websocket", (0, 10))],
    "tornado": [("tornado", "tornado", (6, 3))],
}

# Calls take turns in one thread, and each has to reckon with the others.
TAKING_TURNS = {"wsgi.multithread": True}


def _unchanged(app: Callable[..., Any]) -> Callable[..., Any]:
    return app


@dataclass(frozen=True)
class Host:
    """What a worker has to know of a library's loop; its module has one, named `HOST`."""

    prepare: Callable[[], None]
    """Called in a new worker before the application is loaded."""
    serve: Callable[[LoopHandle, Any, Callable[[], object] | None], int]
    """Serves with these settings until the handle is over; gives the signal that ended it.

    The third argument, if there is one, brings the engine's messages to a logger of Python's.
    """
    wait: Callable[[int, bool, float], None] | None = None
    """How a request on the loop's thread waits; see `LoopHandle`."""
    socket: Callable[..., Any] | None = None
    """What makes a socket whose waits are the loop's; see `LoopHandle`."""
    report: Callable[..., bool] | None = None
    """What is told of the application's failures; see `LoopHandle`."""
    running: Callable[[], Any] | None = None
    """The call that runs, for interruptions; see `LoopHandle`."""
    environ: dict[str, Any] | None = None
    """What is merged over the environ of each request."""
    adapt: Callable[[Callable[..., Any]], Callable[..., Any]] = _unchanged
    """Makes a WSGI callable of what was loaded."""


def check(settings: Any) -> None:
    """Raises `Error` when the worker class lacks its library."""
    name = settings.worker_class
    if name not in _PACKAGES:
        return
    for module, package, oldest in _PACKAGES[name]:
        try:
            importlib.import_module(module)
            version = metadata.version(package)
        except ImportError as error:
            raise Error(
                f"worker_class: `{name}` needs the package {package} ({error}): "
                f"pip install {package}"
            ) from None
        if tuple(int(part) for part in version.split(".")[:2] if part.isdigit()) < oldest:
            least = ".".join(map(str, oldest))
            raise Error(
                f"worker_class: {package} {version} is too old: pip install '{package}>={least}'"
            )


def host(settings: Any) -> Host | None:
    """The loop of the worker class; None where the engine has its own threads."""
    name = settings.worker_class
    if name not in _PACKAGES:
        return None
    module = importlib.import_module(f"oxicorn.workers.{name}")
    found: Host = module.HOST
    return found
