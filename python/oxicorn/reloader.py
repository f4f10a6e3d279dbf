"""Notices changes of the code, for `reload`."""

from __future__ import annotations

import glob
import os
import select
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from oxicorn._oxicorn import Changes
from oxicorn.errors import AppImportError

INTERVAL = 1.0
"""Seconds between two looks; with inotify, until modules are noticed that were imported later."""


class Reloader(threading.Thread):
    """Looks at the files of all modules, and calls back once when one has changed.

    When to look is told by the kernel (inotify) where it can, else by the clock. Whether a file has
    changed is always told by its time.
    """

    def __init__(
        self,
        extra: Iterable[str],
        changed: Callable[[str], None],
        began: int,
        engine: str = "auto",
    ) -> None:
        """`began` is when loading began (`time.time_ns()`): what was saved after it may have been
        read before. `engine` is the setting `reload_engine`."""
        super().__init__(name="oxicorn-reloader", daemon=True)
        self._extra = list(extra)
        self._changed = changed
        self._seen: dict[str, int] = {}
        self._watched: set[str] = set()
        self._changes = None if engine == "poll" else _changes()
        self._watch()
        self._look()
        now = time.time_ns()
        self._early = [name for name, saved in self._seen.items() if began <= saved <= now]

    @property
    def engine(self) -> str:
        """How it knows when to look."""
        return "poll" if self._changes is None else "inotify"

    def run(self) -> None:
        name = self._early[0] if self._early else None
        while name is None:
            if self._wait():
                name = self._look()
        self._changed(name)

    def _wait(self) -> bool:
        """Waits a while; whether there is something to look at."""
        if self._changes is None:
            time.sleep(INTERVAL)
            return True
        # `select`, as event loops make it theirs.
        select.select([self._changes.fileno()], [], [], INTERVAL)
        told = self._changes.take()
        return self._watch() or told

    def _watch(self) -> bool:
        """Has the kernel watch the directories that are new; whether there were any."""
        if self._changes is None:
            return False
        wanted = {os.path.dirname(name) or "." for name in self._files()}
        wanted |= {name for name in self._extra if os.path.isdir(name)}
        new = wanted - self._watched
        for directory in new:
            self._watched.add(directory)
            try:
                self._changes.watch(directory)
            except (FileNotFoundError, NotADirectoryError):
                self._watched.discard(directory)  # it may come to be there
            except OSError:
                self._changes = None  # too many: the clock will do
                return True
        return bool(new & self._watched)

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


def _changes() -> Changes | None:
    try:
        return Changes()
    except OSError:
        return None


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
