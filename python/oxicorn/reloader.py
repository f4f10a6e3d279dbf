"""Notices changes of the code, for `reload`."""

from __future__ import annotations

import glob
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from oxicorn.errors import AppImportError

INTERVAL = 1.0
"""Seconds between two looks."""


class Reloader(threading.Thread):
    """Looks at the files of all modules, and calls back once when one has changed."""

    def __init__(self, extra: Iterable[str], changed: Callable[[str], None], began: int) -> None:
        """`began` is when loading began (`time.time_ns()`): what was saved after it may have been
        read before."""
        super().__init__(name="oxicorn-reloader", daemon=True)
        self._extra = list(extra)
        self._changed = changed
        self._seen: dict[str, int] = {}
        self._stop = threading.Event()
        self._look()
        now = time.time_ns()
        self._early = [name for name, saved in self._seen.items() if began <= saved <= now]

    def run(self) -> None:
        while not self._stop.wait(INTERVAL):
            name = self._early[0] if self._early else self._look()
            if name is not None:
                self._changed(name)
                return

    def _look(self) -> str | None:
        """A file that changed since it was seen first, if there is one."""
        for name in self._files():
            try:
                saved = os.stat(name).st_mtime_ns
            except OSError:
                continue  # an editor may be about to put it back
            if self._seen.setdefault(name, saved) != saved:
                return name
        return None

    def _files(self) -> Iterator[str]:
        for module in list(sys.modules.values()):
            name = getattr(module, "__file__", None)
            if isinstance(name, str):
                yield name.removesuffix("c") if name.endswith(".pyc") else name
        for pattern in self._extra:
            yield from glob.glob(pattern, recursive=True) or [pattern]


def files_behind(error: AppImportError) -> list[str]:
    """Where the mistake can be corrected; a module that is not there may come to be here."""
    return error.files or [str(Path.cwd())]


def page_of(error: AppImportError) -> Callable[..., Any]:
    """An application that shows why the real one could not be loaded."""
    page = f"{error}\n\n{error.details}".rstrip().encode(errors="backslashreplace") + b"\n"
    fields = [
        ("Content-Type", "text/plain; charset=utf-8"),
        ("Content-Length", str(len(page))),
        ("Cache-Control", "no-store"),
    ]

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("500 Internal Server Error", fields)
        return [page]

    return application
