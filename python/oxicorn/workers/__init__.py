"""Worker classes that run the application under another library's event loop."""

from __future__ import annotations

from typing import Any

from oxicorn.errors import Error


def check(settings: Any) -> None:
    """Raises `Error` when the library that the worker class needs is not there."""
    if settings.worker_class != "gevent":
        return
    try:
        import gevent
    except ImportError as error:
        raise Error(
            f"worker_class: `gevent` needs the package of that name ({error}): pip install gevent"
        ) from None
    version = tuple(int(part) for part in gevent.__version__.split(".")[:2] if part.isdigit())
    if version < (24, 2):
        raise Error(
            f"worker_class: gevent {gevent.__version__} is too old: pip install 'gevent>=24.2'"
        )
