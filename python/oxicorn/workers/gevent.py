"""`worker_class = "gevent"`: each request in a greenlet."""

from __future__ import annotations

from typing import Any

import gevent
from gevent import monkey
from gevent.event import Event
from gevent.pool import Pool

from oxicorn._oxicorn import LoopHandle
from oxicorn.workers.driver import Driver, wait

__all__ = ["prepare", "serve", "wait"]


def prepare() -> None:
    """In a new worker, before the application is loaded: makes the standard library cooperative."""
    monkey.patch_all()
    # A hub that the master had, for an application loaded there, is not this process's.
    gevent.reinit()


def serve(handle: LoopHandle, settings: Any) -> int:
    """Serves until it is drained or stopped; gives the number of the signal that ended it."""
    pool = Pool(max(settings.worker_connections, 1))
    over = Event()
    driver = Driver(handle, pool.spawn, pool.full, over.set)
    try:
        over.wait()
    finally:
        driver.close()
    return handle.ended_by
