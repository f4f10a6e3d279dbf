"""The prefix that the environment gives to all paths, as gunicorn reads it: `SCRIPT_NAME=/shop`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

_PAGE = b"the path does not begin with SCRIPT_NAME\n"
_FIELDS = [("Content-Type", "text/plain"), ("Content-Length", str(len(_PAGE)))]


class UnderPrefix:
    """An application whose paths begin with a prefix; others are answered with 400.

    The prefix has no slash at its end. One that a trusted proxy tells takes its place.
    """

    def __init__(self, app: Callable[..., Iterable[bytes]], prefix: str) -> None:
        self.app = app
        self._prefix = prefix

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["SCRIPT_NAME"] == "":
            path = environ["PATH_INFO"]
            if path != self._prefix and not path.startswith(f"{self._prefix}/"):
                start_response("400 Bad Request", _FIELDS)
                return [_PAGE]
            environ["SCRIPT_NAME"] = self._prefix
            environ["PATH_INFO"] = path[len(self._prefix) :]
        return self.app(environ, start_response)
