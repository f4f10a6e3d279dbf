"""Figures about the server that the master logs, for StatsD."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from oxicorn import _oxicorn, backlog

__all__ = ["Figures", "tell_backlog"]


class Figures:
    """Remembers what was told last."""

    def __init__(self) -> None:
        self._workers = -1

    def count_workers(self, count: int, log: Any) -> None:
        """Says how many workers there are, when that has changed."""
        if count != self._workers:
            self._workers = count
            extra = {"metric": "gunicorn.workers", "value": count, "mtype": "gauge"}
            log.debug("%s workers", count, extra=extra)


def tell_backlog(listeners: Iterable[_oxicorn.Listener], log: Any) -> None:
    """Says how many connections wait to be accepted, where the kernel knows."""
    found = [backlog.waiting(listener.fileno()) for listener in listeners]
    known = [count for count in found if count is not None]
    if known:
        extra = {"metric": "gunicorn.backlog", "value": sum(known), "mtype": "histogram"}
        log.debug("socket backlog: %s", sum(known), extra=extra)
