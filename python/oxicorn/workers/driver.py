"""Turns of the engine as callbacks of gevent's loop; requests as greenlets."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import gevent
from gevent import monkey
from gevent.hub import get_hub

from oxicorn._oxicorn import LoopHandle, ReadyRequest

_READ, _WRITE = 1, 2


def wait(fd: int, writing: bool, seconds: float) -> None:
    """Lets other greenlets run until `fd` is ready or the time is over; -1 waits for the time."""
    hub = get_hub()
    if gevent.getcurrent() is hub:
        # A handler that was not given a greenlet cannot be left: it stops everything, as it asked.
        poll = monkey.get_original("select", "poll")()
        if fd >= 0:
            poll.register(fd, 4 if writing else 1)
        poll.poll(seconds * 1000)
        return
    if fd < 0:
        hub.wait(hub.loop.timer(seconds))
        return
    watcher = hub.loop.io(fd, _WRITE if writing else _READ)
    try:
        with gevent.Timeout(seconds, False):
            hub.wait(watcher)
    finally:
        watcher.close()


class Driver:
    """Drives one `LoopHandle` on the hub of the thread that starts it.

    `spawn` starts a greenlet (`None` runs requests in the hub); while `full()` they wait.
    """

    def __init__(
        self,
        handle: LoopHandle,
        spawn: Callable[..., Any] | None,
        full: Callable[[], bool],
        over: Callable[[], object],
    ) -> None:
        self._handle, self._spawn, self._full, self._over = handle, spawn, full, over
        self._hub = get_hub()
        self._timer: Any = None
        self._held = False
        self._watcher = self._hub.loop.io(handle.fileno(), _READ)
        self._watcher.start(self._turn)
        self._wait_until_due()

    def close(self) -> None:
        """Gives up the loop's watchers; nothing is served any more."""
        if self._watcher is None:
            return
        for watcher in (self._watcher, self._timer):
            watcher.stop()
            watcher.close()
        self._watcher = None

    def _turn(self) -> None:
        if self._watcher is None:
            return
        self._handle.turn()
        self._dispatch()
        if self._handle.is_over:
            self.close()
            self._over()
        else:
            self._wait_until_due()

    def _wait_until_due(self) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
        # libev rounds up to its own reading of the clock, and 0 means at once.
        self._timer = self._hub.loop.timer(max(self._handle.next_deadline(), 0.001))
        self._timer.start(self._turn)

    def _dispatch(self) -> None:
        while not (full := self._full()):
            request = self._handle.next()
            if request is None:
                break
            if self._spawn is None:
                self._run(request)
                continue
            try:
                greenlet = self._spawn(self._run, request)
            except BaseException:
                self._hub.handle_error(self, *sys.exc_info())
                continue
            link = getattr(greenlet, "rawlink", None)
            if link is not None:
                # After the pool has heard of the end, as it was linked first.
                link(self._ended)
        self._held = full

    def _ended(self, greenlet: object) -> None:
        if self._held and self._watcher is not None:
            self._dispatch()

    def _run(self, request: ReadyRequest) -> None:
        try:
            self._handle.run(request)
        except BaseException:
            self._hub.handle_error(request, *sys.exc_info())
