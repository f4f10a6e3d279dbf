"""`worker_class = "gevent"`: each request in a greenlet, turns in gevent's hub."""

from __future__ import annotations

import contextvars
import math
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import gevent
import gevent.socket
from gevent import monkey
from gevent.event import Event
from gevent.hub import get_hub
from gevent.pool import Group
from gevent.pywsgi import WSGISecureEnviron

from oxicorn._oxicorn import LoopHandle, ReadyRequest
from oxicorn.workers import TAKING_TURNS, Host
from oxicorn.workers.driver import Driver

__all__ = ["HOST", "CrewDriver", "HubDriver", "Socket", "report", "running", "wait"]

_READ, _WRITE = 1, 2
# Greenlets that are kept for the next requests; each takes some 20 KiB.
_WAITING = 500


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


def report(environ: dict[str, Any], kind: Any, error: Any, traceback: Any) -> bool:
    """Tells the hub of a failure, for whoever watches it there; the error log has it in any case.

    What would end the process stays away from the hub: the worker is the master's to end.
    """
    if isinstance(error, Exception):
        hub = get_hub()
        stream, hub.exception_stream = hub.exception_stream, None
        try:
            hub.handle_error(WSGISecureEnviron(environ), kind, error, traceback)
        finally:
            hub.exception_stream = stream
    return False


class Socket(gevent.socket.socket):  # type: ignore[misc]
    """What an application takes a connection over by."""

    def send(self, data: Any, flags: int = 0) -> int:
        """Sends all of it, as a socket that blocks does and libraries count on."""
        rest = memoryview(data).cast("B")
        sent = int(super().send(rest, flags))
        while sent < len(rest) and self.timeout != 0:
            sent += super().send(rest[sent:], flags)
        return sent


def running() -> object | None:
    """The greenlet that runs, into which an error can be thrown; none in the hub."""
    current = gevent.getcurrent()
    return None if current is get_hub() else current


class HubDriver(Driver):
    """A driver on the hub of the thread that makes it.

    `spawn` starts a greenlet (`None` runs requests in the hub); while `full()` they wait. With
    `beside` WebSockets run in that group, however many requests there are.
    """

    def __init__(
        self,
        handle: LoopHandle,
        spawn: Callable[..., Any] | None,
        full: Callable[[], bool],
        over: Callable[[], object],
        beside: Group | None = None,
    ) -> None:
        super().__init__(handle, over)
        self._spawn, self._full, self._beside = spawn, full, beside
        self._hub = get_hub()
        self._watcher: Any = None
        self._timer: Any = None

    def watch(self, fd: int) -> None:
        self._watcher = self._hub.loop.io(fd, _READ)
        self._watcher.start(self.turn)

    def turn_within(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.stop()
            self._timer.close()
        self._timer = self._hub.loop.timer(seconds)
        self._timer.start(self.turn_when_due)

    def unwatch(self) -> None:
        for watcher in (self._watcher, self._timer):
            watcher.stop()
            watcher.close()

    def is_full(self) -> bool:
        return self._full()

    def start(self, request: ReadyRequest) -> None:
        if self._beside is not None and request.is_for_websocket:
            self._beside.spawn(self.run, request)
            return
        if self._spawn is None:
            self.run(request)
            return
        greenlet = self._spawn(self.run, request)
        link = getattr(greenlet, "rawlink", None)
        if link is not None:
            # After the pool has heard of the end, as it was linked first.
            link(lambda greenlet: self.has_room())

    def fail(self, where: object) -> None:
        self._hub.handle_error(where, *sys.exc_info())


class CrewDriver(HubDriver):
    """A driver whose greenlets run one request after another, `most` at a time (`None`: all), and
    a WebSocket each beside them.

    To make a greenlet costs more than a short request takes. Each request has a context of its own.
    """

    def __init__(
        self, handle: LoopHandle, over: Callable[[], object], most: int | None = None
    ) -> None:
        super().__init__(handle, gevent.spawn, self._has_all, over)
        self._most = math.inf if most is None else most
        self._running = 0
        # Greenlets that wait for a request, each with the box that it will be in.
        self._waiting: list[tuple[Any, list[ReadyRequest]]] = []
        self._context = contextvars.copy_context()

    def start(self, request: ReadyRequest) -> None:
        if request.is_for_websocket:
            gevent.spawn(self.run, request)
            return
        self._running += 1
        if not self._waiting:
            gevent.spawn(self._work, [request])
            return
        greenlet, box = self._waiting.pop()
        box.append(request)
        self._hub.loop.run_callback(_go_on, greenlet, box)

    def close(self) -> None:
        super().close()
        for greenlet, _ in self._waiting:
            self._hub.loop.run_callback(greenlet.switch)
        self._waiting.clear()

    def _has_all(self) -> bool:
        return self._running >= self._most

    def _work(self, box: list[ReadyRequest]) -> None:
        place = gevent.getcurrent(), box
        while box:
            try:
                self._context.copy().run(self.run, box.pop())
            finally:
                self._running -= 1
            self.has_room()
            if not self.is_open or len(self._waiting) >= _WAITING:
                return
            self._waiting.append(place)
            try:
                # Whatever else still wants to wake this greenlet is none of the next request's.
                while not box and self.is_open:
                    self._hub.switch()
            except BaseException:
                # Such as a timeout that the application left behind.
                if box:
                    self._running -= 1
                    self.start(box.pop())
                elif place in self._waiting:
                    self._waiting.remove(place)
                raise


def _go_on(greenlet: Any, box: list[ReadyRequest]) -> None:
    # It may have been woken by something else meanwhile.
    if box:
        greenlet.switch()


def _prepare() -> None:
    # Makes the standard library cooperative.
    monkey.patch_all()
    # A hub that the master had, for an application loaded there, is not this process's.
    gevent.reinit()


def _serve(handle: LoopHandle, settings: Any, deliver: Callable[[], object] | None) -> int:
    over = Event()
    driver = CrewDriver(handle, over.set, max(settings.worker_connections, 1))
    return driver.serve(over.wait, deliver and partial(gevent.spawn, deliver))


HOST = Host(
    prepare=_prepare,
    serve=_serve,
    wait=wait,
    socket=Socket,
    report=report,
    running=running,
    environ=TAKING_TURNS,
)
