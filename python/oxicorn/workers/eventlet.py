"""`worker_class = "eventlet"`: each request in a green thread, turns in eventlet's hub."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Callable
from typing import Any

import eventlet
from eventlet import hubs, patcher
from eventlet.event import Event
from eventlet.greenpool import GreenPool

from oxicorn._oxicorn import LoopHandle, ReadyRequest, has_messages
from oxicorn.workers import Host
from oxicorn.workers.driver import Driver

__all__ = ["HOST", "GreenDriver", "running", "wait"]


class _TimeIsOver(Exception):
    """Ends a wait; never seen outside."""


def wait(fd: int, writing: bool, seconds: float) -> None:
    """Lets other green threads run until `fd` is ready or the time is over; -1 waits for the
    time.
    """
    if eventlet.getcurrent() is hubs.get_hub().greenlet:
        # What runs in the hub cannot be left: it stops everything, as it asked.
        poll = patcher.original("select").poll()
        if fd >= 0:
            poll.register(fd, 4 if writing else 1)
        poll.poll(seconds * 1000)
    elif fd < 0:
        eventlet.sleep(seconds)
    else:
        with contextlib.suppress(_TimeIsOver):
            hubs.trampoline(
                fd, read=not writing, write=writing, timeout=seconds, timeout_exc=_TimeIsOver
            )


def running() -> object | None:
    """The green thread that runs, into which an error can be thrown; none in the hub."""
    current = eventlet.getcurrent()
    return None if current is hubs.get_hub().greenlet else current


class GreenDriver(Driver):
    """A driver on the hub of the thread that makes it; requests run in a pool's green threads."""

    def __init__(self, handle: LoopHandle, pool: Any, over: Callable[[], object]) -> None:
        super().__init__(handle, over)
        self._pool = pool
        self._hub = hubs.get_hub()
        self._listener: Any = None
        self._timer: Any = None

    def watch(self, fd: int) -> None:
        turn, ignore = (lambda fd: self.turn()), (lambda *_: None)
        self._listener = self._hub.add(self._hub.READ, fd, turn, ignore, ignore)

    def turn_within(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._hub.schedule_call_global(seconds, self.turn_when_due)

    def unwatch(self) -> None:
        self._hub.remove(self._listener)
        self._timer.cancel()

    def is_full(self) -> bool:
        return bool(self._pool.free() <= 0)

    def start(self, request: ReadyRequest) -> None:
        # After the pool has heard of the end, as it was linked first.
        self._pool.spawn(self.run, request).link(lambda thread: self.has_room())

    def fail(self, where: object) -> None:
        traceback.print_exc()


def _prepare() -> None:
    eventlet.monkey_patch()
    # A hub that the master had, for an application loaded there, is not this process's.
    hubs.use_hub()


def _serve(handle: LoopHandle, settings: Any, deliver: Callable[[], object] | None) -> int:
    over = Event()
    driver = GreenDriver(handle, GreenPool(max(settings.worker_connections, 1)), over.send)
    if deliver is not None:
        driver.after_turn = lambda: has_messages() and eventlet.spawn(deliver)
    driver.begin()
    try:
        over.wait()
    finally:
        driver.close()
    return handle.ended_by


HOST = Host(
    prepare=_prepare,
    serve=_serve,
    wait=wait,
    running=running,
    # Calls take turns in one thread, and each has to reckon with the others.
    environ={"wsgi.multithread": True},
)
